"""The other sides of the two wires of sound, for tests: they keep what is sent and say what they are told to."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from agent_runtime import clock
from agent_runtime.testing.model_server import Received


@dataclass(frozen=True)
class Answer:
    """After `delay` seconds `pieces`, `every` seconds between two."""

    pieces: Sequence[bytes] = (b'{"text": "hello there"}',)
    delay: float = 0.0
    every: float = 0.0
    status: int = 200


def said(text: str, **options: Any) -> Answer:
    return Answer((json.dumps({"text": text}).encode(),), **options)


def streamed(*deltas: str, done: str | None = None, **options: Any) -> Answer:
    told: list[Any] = [{"type": "transcript.text.delta", "delta": delta} for delta in deltas]
    told += [] if done is None else [{"type": "transcript.text.done", "text": done}]
    return Answer([b"data: " + json.dumps(each).encode() + b"\n\n" for each in told], **options)


class Ears(httpx.AsyncBaseTransport):
    """Answers the n-th upload with the n-th answer, the last one again and again."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.asked_at: list[float] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        if request.method == "GET":  # a connection is made ready
            return httpx.Response(200)
        self.requests.append(request)
        self.asked_at.append(clock.now())
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        await clock.sleep(answer.delay)
        return httpx.Response(answer.status, stream=_Pieces(answer))

    @property
    def forms(self) -> list[dict[str, list[bytes]]]:
        return [
            Received("POST", "", {"content-type": each.headers["content-type"]}, each.content).form
            for each in self.requests
        ]


class _Pieces(httpx.AsyncByteStream):
    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._answer.pieces:
            if piece == b"broken":
                raise httpx.ReadError("gone")
            yield piece
            if self._answer.every:
                await clock.sleep(self._answer.every)


class Voices(httpx.AsyncBaseTransport):
    """Answers with `answers`, the last one again and again: bytes in pieces with a pause between them, or a response."""

    def __init__(
        self, *answers: Sequence[bytes] | httpx.Response, content_type: str = "audio/pcm", every: float = 0.0
    ) -> None:
        self._answers = list(answers)
        self._content_type = content_type
        self._every = every
        self.requests: list[httpx.Request] = []
        self.left_at: float | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        if request.method == "GET":  # a connection is made ready
            return httpx.Response(200)
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, httpx.Response):
            return answer
        return httpx.Response(
            200, headers={"content-type": self._content_type}, stream=_Sound(self, answer, self._every)
        )

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.requests[-1].content)
        return body


class _Sound(httpx.AsyncByteStream):
    def __init__(self, service: Voices, pieces: Sequence[bytes], every: float) -> None:
        self._service, self._pieces, self._every = service, pieces, every

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            if self._every:
                await clock.sleep(self._every)
            if piece == b"broken":
                raise httpx.ReadError("gone")
            if piece == b"silence":
                await clock.sleep(3600)
            yield piece

    async def aclose(self) -> None:
        self._service.left_at = clock.now()
