"""A proxy that breaks what passes through it, to see what a client does then.

    async with FaultProxy("http://127.0.0.1:8080", Stall(after="Par")) as proxy:
        llm = openai.LLM(model="m", base_url=f"{proxy.url}/v1", api_key="k")

It stands in front of any HTTP service. What a fault strikes is the body of an answer, at a place: a number of bytes, or
behind the first occurrence of a text, also where that comes in pieces. All that comes before the place has been sent on
when it strikes; `Stall`, `Reset` and `Drop` with ``after=None`` strike before any answer, its status included. `times`
limits a fault to so many requests, so that the next attempt gets through. A GET is none of them, and never struck: clients
make one to have a connection ready.
"""

import asyncio
import contextlib
import random
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import h11

from agent_runtime import clock
from agent_runtime.errors import UsageError
from agent_runtime.testing.http import READ, Peer, Server

Place = int | str | bytes
"""Bytes of the body, or a text in it."""


class _Body(ABC):
    """Where the body of an answer goes to."""

    @abstractmethod
    async def send(self, data: bytes) -> None: ...
    @abstractmethod
    async def end(self) -> None:
        """In good order."""

    @abstractmethod
    def reset(self) -> None:
        """With a TCP reset."""

    @abstractmethod
    def drop(self) -> None:
        """By closing the connection in the middle of the answer."""

    @abstractmethod
    async def gone(self) -> None:
        """Wait until the client has closed the connection."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something that goes wrong, `times` times; None: always."""

    times: int | None = None

    @property
    def place(self) -> Place | None:
        """Where in the body it strikes; None: before any of it."""
        return None

    async def before(self, client: _Body) -> "Status | None":
        """What happens before the service is asked; a status is answered in its place."""
        return None

    async def strike(self, body: _Body) -> bool:
        """What happens at the place. Returns whether the rest is sent on."""
        return True


@dataclass(frozen=True, kw_only=True)
class _Placed(Fault):
    after: Place = 0

    @property
    def place(self) -> Place:
        return self.after


@dataclass(frozen=True, kw_only=True)
class _Ending(Fault):
    """One behind which nothing comes; it may strike before the answer."""

    after: Place | None = 0

    @property
    def place(self) -> Place | None:
        return self.after

    async def before(self, client: _Body) -> None:
        if self.after is None:
            await self.strike(client)
            raise ConnectionAbortedError("the answer that never was")


@dataclass(frozen=True, kw_only=True)
class Latency(Fault):
    """The answer begins `seconds` late, give or take up to `jitter` (drawn with `seed`, so the same each time)."""

    seconds: float
    jitter: float = 0.0
    seed: int = 0
    _draw: random.Random = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_draw", random.Random(self.seed))

    async def before(self, client: _Body) -> None:
        await clock.sleep(self.seconds + self._draw.uniform(-self.jitter, self.jitter))


@dataclass(frozen=True, kw_only=True)
class Status(Fault):
    """The service is not asked; this is answered."""

    code: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b'{"error":{"message":"injected","type":"injected"}}'

    async def before(self, client: _Body) -> "Status":
        return self


@dataclass(frozen=True, kw_only=True)
class Stall(_Ending):
    """Silence, with the connection open: what a half-open socket looks like."""

    async def strike(self, body: _Body) -> bool:
        await body.gone()
        return False


@dataclass(frozen=True, kw_only=True)
class Reset(_Ending):
    """A TCP reset."""

    async def strike(self, body: _Body) -> bool:
        body.reset()
        return False


@dataclass(frozen=True, kw_only=True)
class Drop(_Ending):
    """The connection is closed, without the end that HTTP prescribes."""

    async def strike(self, body: _Body) -> bool:
        body.drop()
        return False


@dataclass(frozen=True, kw_only=True)
class Cut(_Placed):
    """The answer ends here, in good order as far as HTTP goes: in the middle of a character, a line, a text."""

    async def strike(self, body: _Body) -> bool:
        await body.end()
        return False


@dataclass(frozen=True, kw_only=True)
class Insert(_Placed):
    """`data` stands in the answer: garbage, an error, a line without end. Then it goes on."""

    data: bytes

    async def strike(self, body: _Body) -> bool:
        await body.send(self.data)
        return True


@dataclass(frozen=True, kw_only=True)
class Drip(_Placed):
    """Bytes that mean nothing (`filler`), one each `every` seconds, for ever."""

    every: float = 0.5
    filler: bytes = b":"

    async def strike(self, body: _Body) -> bool:
        gone = asyncio.ensure_future(body.gone())
        try:
            while not gone.done():
                await body.send(self.filler)
                await asyncio.wait([gone], timeout=self.every)
        finally:
            gone.cancel()
        return False


class FaultProxy(Server):
    """Forwards to `upstream` (``http://host:port``), with faults.

    Attributes:
        url: where it listens, on loopback, while it is entered.
        requests: how many came, GETs apart.
        closed_at: loop time at which the client closed each connection that a fault kept open.
    """

    def __init__(self, upstream: str, *faults: Fault) -> None:
        parts = urlsplit(upstream)
        if parts.scheme != "http" or not parts.hostname or parts.port is None:
            raise UsageError(f"The upstream {upstream!r} is no 'http://host:port'; the proxy speaks plain HTTP alone.")
        super().__init__()
        self._host, self._port = parts.hostname, parts.port
        self._faults = faults
        self.requests = 0
        self.closed_at: list[float] = []

    async def serve(self, client: Peer, request: h11.Request, body: bytes) -> None:
        asks = request.method != b"GET"
        self.requests += asks
        faults = [each for each in self._faults if asks and (each.times is None or self.requests <= each.times)]
        out = _ClientBody(client, self.closed_at)
        for fault in faults:
            status = await fault.before(out)
            if status is not None:
                await client.answer(status.code, list(status.headers.items()), status.body)
                return
        async with self._ask(request, body) as upstream:
            response = await upstream.event()
            assert isinstance(response, h11.Response)
            kept = [(name, value) for name, value in response.headers if name not in _HOP_BY_HOP]
            await client.send(h11.Response(status_code=response.status_code, headers=kept))
            if await _broken(upstream.body(), [fault for fault in faults if fault.place is not None], out):
                await out.end()

    @contextlib.asynccontextmanager
    async def _ask(self, request: h11.Request, body: bytes) -> AsyncIterator[Peer]:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        upstream = Peer(h11.CLIENT, reader, writer)
        headers = [(name, value) for name, value in request.headers if name not in (*_HOP_BY_HOP, b"host")]
        headers += [(b"host", f"{self._host}:{self._port}".encode()), (b"connection", b"close")]
        if body:
            headers.append((b"content-length", str(len(body)).encode()))
        try:
            await upstream.send(h11.Request(method=request.method, target=request.target, headers=headers))
            if body:
                await upstream.send(h11.Data(data=body))
            await upstream.send(h11.EndOfMessage())
            yield upstream
        finally:
            writer.close()


_HOP_BY_HOP = (b"transfer-encoding", b"content-length", b"connection", b"keep-alive")


async def _broken(data: AsyncIterator[bytes], faults: list[Fault], body: _Body) -> bool:
    """Send `data` on, with each fault at its place. Returns whether it went to its end."""
    waiting = list(faults)
    sent = b""  # all that has passed: answers of models are small
    async for piece in data:
        held = sent + piece
        while waiting:
            at = min((_reached(fault.place, held), index) for index, fault in enumerate(waiting))
            if at[0] > len(held):
                break
            fault = waiting.pop(at[1])
            place = max(at[0], len(sent))
            if place > len(sent):
                await body.send(held[len(sent) : place])
                sent = held[:place]
            if not await fault.strike(body):
                return False
        if len(held) > len(sent):
            await body.send(held[len(sent) :])
            sent = held
    for fault in waiting:  # an answer that is shorter than the place, or has not the text, is struck at its end
        if not await fault.strike(body):
            return False
    return True


def _reached(place: Place | None, data: bytes) -> int:
    """Where in `data` the place is; behind its end where it is not in it."""
    if place is None or isinstance(place, int):
        return place or 0
    text = place.encode() if isinstance(place, str) else place
    found = data.find(text)
    return found + len(text) if found >= 0 else len(data) + 1


class _ClientBody(_Body):
    def __init__(self, client: Peer, closed_at: list[float]) -> None:
        self._client = client
        self._closed_at = closed_at

    async def send(self, data: bytes) -> None:
        await self._client.send(h11.Data(data=data))

    async def end(self) -> None:
        await self._client.send(h11.EndOfMessage())

    def reset(self) -> None:
        raw: socket.socket = self._client.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._client.writer.transport.abort()

    def drop(self) -> None:
        self._client.writer.close()

    async def gone(self) -> None:
        with contextlib.suppress(ConnectionError):
            while await self._client.reader.read(READ):
                pass
        self._closed_at.append(clock.now())
