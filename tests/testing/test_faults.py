import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import httpx
import pytest

from agent_runtime.errors import UsageError
from agent_runtime.testing.faults import Cut, Drip, Drop, Fault, FaultProxy, Insert, Latency, Reset, Stall, Status

pytestmark = [pytest.mark.sockets, pytest.mark.real_time]

T = TypeVar("T")
ANSWER = b"data: one\n\ndata: zw\xc3\xb6lf\n\ndata: [DONE]\n\n"


@asynccontextmanager
async def service(pieces: int = 1) -> AsyncIterator[str]:
    """Answers every request with ANSWER in so many pieces, and says in a header what it was asked."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next((int(line.split(":")[1]) for line in head.splitlines() if line.startswith("content-length")), 0)
        body = await reader.readexactly(length)
        writer.write(b"HTTP/1.1 200 OK\r\nx-asked: " + head.split()[1].encode() + b" " + body)
        writer.write(b"\r\ntransfer-encoding: chunked\r\n\r\n")
        size = -(-len(ANSWER) // pieces)
        for start in range(0, len(ANSWER), size):
            piece = ANSWER[start : start + size]
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


def through(use: Callable[[httpx.AsyncClient, FaultProxy], Awaitable[T]], *faults: Fault, pieces: int = 1) -> T:
    async def main() -> T:
        async with (
            service(pieces) as upstream,
            FaultProxy(upstream, *faults) as proxy,
            httpx.AsyncClient(base_url=proxy.url, timeout=5.0) as client,
        ):
            return await use(client, proxy)

    return asyncio.run(main())


async def read(client: httpx.AsyncClient, proxy: FaultProxy) -> bytes:
    return (await client.post("/v1/x?y=1", content=b"hello")).content


async def read_until_it_breaks(client: httpx.AsyncClient, proxy: FaultProxy) -> tuple[bytes, type[Exception] | None]:
    got = b""
    try:
        async with client.stream("POST", "/v1", content=b"hello") as response:
            async for data in response.aiter_raw():
                got += data
    except httpx.HTTPError as error:
        return got, type(error)
    return got, None


def test_without_a_fault_everything_passes() -> None:
    async def use(client: httpx.AsyncClient, proxy: FaultProxy) -> str:
        for _ in range(2):
            response = await client.post("/v1/x?y=1", content=b"hello")
            assert response.content == ANSWER
        assert proxy.requests == 2
        return response.headers["x-asked"]

    assert through(use) == "/v1/x?y=1 hello"


@pytest.mark.parametrize("pieces", [1, 7, len(ANSWER)])
@pytest.mark.parametrize(
    ("after", "comes"),
    [
        (0, b""),
        (3, ANSWER[:3]),
        ("one", b"data: one"),
        (b"zw\xc3", b"data: one\n\ndata: zw\xc3"),
        ("not in it", ANSWER),
        (10_000, ANSWER),
    ],
)
def test_a_fault_strikes_at_its_place_however_the_answer_comes(
    after: int | str | bytes, comes: bytes, pieces: int
) -> None:
    assert through(read, Cut(after=after), pieces=pieces) == comes


def test_what_is_inserted_stands_at_its_place() -> None:
    assert through(read, Insert(after="one\n\n", data=b"!!"), pieces=5) == ANSWER.replace(b"one\n\n", b"one\n\n!!")


def test_two_faults_in_one_answer() -> None:
    assert through(read, Cut(after="zw"), Insert(after="one", data=b"!")) == b"data: one!\n\ndata: zw"


@pytest.mark.parametrize(
    ("fault", "error"), [(Reset(after="one"), httpx.ReadError), (Drop(after="one"), httpx.RemoteProtocolError)]
)
def test_a_broken_connection(fault: Fault, error: type[Exception]) -> None:
    assert through(read_until_it_breaks, fault) == (b"data: one", error)


def test_a_stall_lasts_until_the_client_goes_and_says_when() -> None:
    async def use(client: httpx.AsyncClient, proxy: FaultProxy) -> int:
        with pytest.raises(httpx.ReadTimeout):
            await client.post("/", timeout=0.2)
        for _ in range(100):
            if proxy.closed_at:
                break
            await asyncio.sleep(0.01)
        return len(proxy.closed_at)

    assert through(use, Stall(after="one")) == 1


def test_a_drip_goes_on_for_ever() -> None:
    async def use(client: httpx.AsyncClient, proxy: FaultProxy) -> bytes:
        got = b""
        async with client.stream("POST", "/") as response:
            async for data in response.aiter_raw():
                got += data
                if got.endswith(b"...."):
                    break
        return got

    assert through(use, Drip(after="one", every=0.01, filler=b".")) == b"data: one...."


def test_a_status_in_the_place_of_an_answer_and_only_so_often() -> None:
    async def use(client: httpx.AsyncClient, proxy: FaultProxy) -> list[int]:
        first = await client.post("/")
        assert first.headers["retry-after"] == "1"
        assert first.json()["error"]["message"] == "injected"
        return [first.status_code, (await client.post("/")).status_code]

    assert through(use, Status(code=429, headers={"retry-after": "1"}, times=1)) == [429, 200]


def test_latency_and_its_jitter_are_the_same_each_time() -> None:
    drawn = [Latency(seconds=0.0, jitter=1.0, seed=3)._draw.uniform(-1, 1) for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert through(read, Latency(seconds=0.02)) == ANSWER


def test_leaving_the_proxy_ends_what_runs_in_it() -> None:
    async def use(client: httpx.AsyncClient, proxy: FaultProxy) -> None:
        task = asyncio.ensure_future(client.post("/"))
        for _ in range(200):
            if proxy.requests:
                break
            await asyncio.sleep(0.01)
        assert proxy.requests == 1
        task.cancel()

    through(use, Stall())


@pytest.mark.parametrize("upstream", ["https://127.0.0.1:1", "127.0.0.1:80", "http://127.0.0.1"])
def test_an_upstream_that_it_cannot_stand_in_front_of(upstream: str) -> None:
    with pytest.raises(UsageError, match="is no 'http://host:port'"):
        FaultProxy(upstream)
