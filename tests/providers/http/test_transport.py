"""The connections themselves, on loopback: who shares them, when they are closed, how soon a server sees it."""

import asyncio
import gc
import warnings
from collections.abc import Awaitable, Callable

import httpx
import pytest

from agent_runtime.providers.http import transport
from agent_runtime.providers.http.transport import Transport

pytestmark = [pytest.mark.sockets, pytest.mark.real_time]


async def with_server(use: Callable[[str], Awaitable[None]]) -> tuple[int, int]:
    """Serves while `use` runs. Returns how many connections were made, and how many are open after it."""
    made = 0
    open_now = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal made, open_now
        made += 1
        open_now += 1
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            open_now -= 1
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await use(f"http://127.0.0.1:{port}/")
    for _ in range(100):
        if not open_now:
            break
        await asyncio.sleep(0.01)
    server.close()
    return made, open_now


def test_models_share_connections_and_the_last_one_closes_them() -> None:
    async def use(url: str) -> None:
        first, second = Transport(), Transport()
        assert await first.client() is await second.client()
        for each in (first, second, first):
            assert (await (await each.client()).get(url)).text == "ok"
        await first.aclose()
        assert (await (await second.client()).get(url)).text == "ok"
        await second.aclose()
        await second.aclose()

    assert asyncio.run(with_server(use)) == (1, 0)


def test_a_model_that_was_closed_can_be_asked_again() -> None:
    async def use(url: str) -> None:
        one = Transport()
        for _ in range(2):
            assert (await (await one.client()).get(url)).text == "ok"
            await one.aclose()

    assert asyncio.run(with_server(use)) == (2, 0)


def test_each_loop_has_its_own_and_takes_it_along() -> None:
    one = Transport()

    async def use(url: str) -> None:
        assert (await (await one.client()).get(url)).text == "ok"

    async def open_once() -> None:
        await with_server(use)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            asyncio.run(open_once())
        gc.collect()
    assert not len(transport._pools)


def test_a_way_of_ones_own_is_not_shared() -> None:
    async def main() -> None:
        one = Transport(httpx.MockTransport(lambda request: httpx.Response(200, text="mine")))
        client = await one.client()
        assert (await client.get("https://nowhere.test")).text == "mine"
        await one.aclose()
        assert client.is_closed
        assert not len(transport._pools)

    asyncio.run(main())
