"""The model that all are measured with: OpenAI's wire, on a port of its own, in a process of its own.

    python -m benchmarks.llm.server

prints its port. What is said is asked for in the model's name, or in what the user says: ``chunks=300,every=10,first=0``
(milliseconds). Each chunk is one of HTTP's, as services send them. ``GET /left`` gives the moments (CLOCK_MONOTONIC, which
all processes share) at which clients closed an answer that was not over, and how many answers are going on.
"""

import asyncio
import json
import sys
import time
from typing import Any

WORDS = (" one", " two", " three", " four", " five", " six", " seven", " eight")
BURST = 64
"""Chunks in one write where no time is between them."""


def _event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    return _message({"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]})


def _message(what: dict[str, Any]) -> bytes:
    head = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "system_fingerprint": "f",
    }
    return _chunk(f"data: {json.dumps({**head, **what})}\n\n".encode())


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


FIRST = _event({"role": "assistant", "content": ""})
SAID = [_event({"content": word}) for word in WORDS] * (BURST // len(WORDS))
USAGE = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
LAST = _event({}, "stop") + _message({"choices": [], "usage": USAGE})
LAST += _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"

left: list[float] = []
going_on = 0


class Connection(asyncio.Protocol):
    """One client."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.received = b""
        self.answering: asyncio.Task[None] | None = None
        self.room = asyncio.Event()
        self.room.set()

    def connection_lost(self, error: Exception | None) -> None:
        if self.answering is not None and not self.answering.done():
            left.append(time.monotonic())
            self.answering.cancel()

    def pause_writing(self) -> None:
        self.room.clear()

    def resume_writing(self) -> None:
        self.room.set()

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, rest = self.received.partition(b"\r\n\r\n")
        if not end:
            return
        lines = head.decode().lower().split("\r\n")
        length = next((int(line.split(":")[1]) for line in lines if line.startswith("content-length:")), 0)
        if len(rest) < length:
            return
        self.received = rest[length:]
        if lines[0].startswith("get"):
            self._tell({"left": left, "going_on": going_on} if "/left" in lines[0] else {"data": []})
            return
        asked = json.loads(rest[:length])
        told = asked["model"] if "=" in asked["model"] else asked["messages"][-1]["content"]
        script = dict(part.split("=") for part in told.split(","))
        self.answering = asyncio.ensure_future(self._answer({name: float(value) for name, value in script.items()}))

    def _tell(self, what: object) -> None:
        body = json.dumps(what).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        self.transport.write(head.encode() + body)

    async def _answer(self, script: dict[str, float]) -> None:
        global going_on
        going_on += 1
        try:
            if script["first"]:
                await asyncio.sleep(script["first"] / 1e3)
            self.transport.write(HEAD + FIRST)
            chunks, every = int(script["chunks"]), script["every"] / 1e3
            if every:
                started = asyncio.get_running_loop().time()
                for number in range(chunks):
                    self.transport.write(SAID[number % BURST])
                    await asyncio.sleep(started + (number + 1) * every - asyncio.get_running_loop().time())
            else:
                for at in range(0, chunks, BURST):
                    self.transport.write(b"".join(SAID[: chunks - at]))
                    await self.room.wait()
                    await asyncio.sleep(0)
            self.transport.write(LAST)
        finally:
            going_on -= 1


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await asyncio.to_thread(sys.stdin.read)  # until who started it is gone


if __name__ == "__main__":
    asyncio.run(main())
