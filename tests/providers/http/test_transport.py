"""The connections themselves, on loopback: who shares them, when they are closed, how soon a server sees it."""

import asyncio
import gc
import sys
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from agent_runtime.errors import UsageError
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


def test_a_model_that_moves_between_loops_gives_all_back() -> None:
    one, two = Transport(), Transport()

    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    try:
        pools: list[transport._Pool] = []
        for loop in (first, second, first):
            loop.run_until_complete(with_client(one, two, pools))
        assert pools[0] is pools[2] is not pools[1]
        assert [pool.users for pool in pools] == [2, 2, 2]
        first.run_until_complete(one.aclose())
        assert [pool.users for pool in pools[:2]] == [1, 1]
        first.run_until_complete(two.aclose())
        assert [pool.users for pool in pools[:2]] == [0, 0]
        assert pools[0].client.is_closed
        assert list(transport._pools) == [second]  # not this loop's to close: it ends with its own
        second.run_until_complete(second.shutdown_asyncgens())
        assert pools[1].client.is_closed
    finally:
        first.close()
        second.close()
    assert not len(transport._pools)


async def with_client(one: Transport, two: Transport, pools: list[transport._Pool]) -> None:
    assert await one.client() is await two.client()
    pools.append(transport._pools[asyncio.get_running_loop()])


def test_closing_one_model_leaves_the_answers_of_a_shared_pool() -> None:
    async def use(url: str) -> None:
        first, second = Transport(), Transport()
        await second.client()
        client = await first.client()
        async with client.stream("GET", url) as response:
            await first.aclose()
            assert await response.aread() == b"ok"
        await second.aclose()

    assert asyncio.run(with_server(use)) == (1, 0)


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.0.1.1", "127.9.8.7", "0.0.0.0", "[::1]", "models.localhost"]
)
def test_this_machine_is_asked_without_a_proxy(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a proxy is set that is not there, this machine is asked all the same, and others are not."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")

    async def main() -> None:
        async with transport.make_client() as client:
            for scheme in ("http", "https"):
                direct, proxied = (
                    client._transport_for_url(httpx.URL(f"{scheme}://{each}:1/")) for each in (host, "api.test")
                )
                assert direct is client._transport
                assert proxied is not client._transport

    asyncio.run(main())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("socks5://me:hunter2@127.0.0.1:9", "^ALL_PROXY names a SOCKS proxy, which needs socksio"),
        ("gopher://me:hunter2@127.0.0.1:9", "^ALL_PROXY names no address of a proxy that can be used"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named(value: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv("ALL_PROXY", value)
    with pytest.raises(UsageError, match=message) as caught:
        transport.make_client()
    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("found", [None, b"no certificate"])
def test_certificates_that_cannot_be_read_are_named(
    found: bytes | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "certificates.pem"
    if found is not None:
        file.write_bytes(found)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    transport._tls.cache_clear()
    with pytest.raises(UsageError, match=r"^SSL_CERT_FILE is '.*certificates\.pem', from where no certificates can be"):
        Transport()
