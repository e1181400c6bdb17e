"""HTTP servers on loopback for tests: h11 over asyncio's streams."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import Self

import h11

READ = 65_536


class Peer:
    """The other side of a connection."""

    def __init__(
        self, role: type[h11.CLIENT] | type[h11.SERVER], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.connection = h11.Connection(role)
        self.reader = reader
        self.writer = writer

    async def event(self) -> h11.Event | type[h11.PAUSED]:
        while True:
            event = self.connection.next_event()
            if event is not h11.NEED_DATA:
                return event  # type: ignore[return-value]
            self.connection.receive_data(await self.reader.read(READ))

    async def body(self) -> AsyncIterator[bytes]:
        while True:
            event = await self.event()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            else:
                return

    async def send(self, event: h11.Event) -> None:
        data = self.connection.send(event)
        if data:
            self.writer.write(data)
            await self.writer.drain()

    async def answer(
        self, code: int, headers: list[tuple[str, str]], body: bytes, content_type: str = "application/json"
    ) -> None:
        """A whole answer."""
        headers = [*headers, ("content-type", content_type), ("content-length", str(len(body)))]
        await self.send(h11.Response(status_code=code, headers=headers))
        await self.send(h11.Data(data=body))
        await self.send(h11.EndOfMessage())


class Server(ABC):
    """Serves on 127.0.0.1 while it is entered; `url` says where.

    Attributes:
        port: the port to serve on; 0: a free one. Set it before entering.
    """

    def __init__(self) -> None:
        self.url = ""
        self.port = 0
        self._server: asyncio.Server | None = None
        self._running: set[asyncio.Task[None]] = set()

    @abstractmethod
    async def serve(self, client: Peer, request: h11.Request, body: bytes) -> None:
        """Answer one request."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        client = Peer(h11.SERVER, reader, writer)
        try:
            while True:
                request = await client.event()
                if not isinstance(request, h11.Request):
                    return
                body = b"".join([data async for data in client.body()])
                await self.serve(client, request, body)
                if client.connection.our_state is not h11.DONE:
                    return
                client.connection.start_next_cycle()
        except (ConnectionError, h11.RemoteProtocolError):
            pass  # the client is gone, which is what some tests are about
        except asyncio.CancelledError:
            pass  # the server is closed; asyncio's streams would report the cancellation as an error
        finally:
            self._running.discard(task)
            writer.close()
