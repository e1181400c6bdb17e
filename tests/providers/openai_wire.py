"""The other side of OpenAI's wire, for tests: it records what is asked and says what it is told to."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import httpx

from agent_runtime.chat import ChatContext
from agent_runtime.llm import ChatChunk, CollectedResponse
from agent_runtime.providers.http.service import Service
from agent_runtime.providers.http.sse import ServerSentEvents
from agent_runtime.providers.openai.answer import OpenAIAnswer
from agent_runtime.providers.openai.llm import OpenAILLM

DONE = b"[DONE]"

Message = Mapping[str, Any] | bytes


def said(content: str | list[Any] | None = None, *, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    """A message with one choice."""
    delta = delta if content is None else {"content": content, **delta}
    return {"id": "c1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def called(*fragments: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
    return said(tool_calls=list(fragments), finish=finish)


def fragment(arguments: Any = None, *, name: str | None = None, **rest: Any) -> dict[str, Any]:
    """A piece of a tool call; `index=0`, `id="a"` and the like as they are given."""
    function = {"name": name, "arguments": arguments}
    return {**rest, "function": {key: value for key, value in function.items() if value is not None}}


HELLO: Sequence[Message] = (
    said("", role="assistant"),
    said("Hel"),
    said("lo."),
    said(finish="stop"),
    {"id": "c1", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}},
    DONE,
)


def events(messages: Sequence[Message]) -> bytes:
    datas = (each if isinstance(each, bytes) else json.dumps(each, ensure_ascii=False).encode() for each in messages)
    return b"".join(b"data: " + data + b"\n\n" for data in datas)


class Recorder(httpx.AsyncBaseTransport):
    """Answers every request with the same messages, or with the next of several replies."""

    def __init__(self, *replies: Sequence[Message] | httpx.Response) -> None:
        self.requests: list[httpx.Request] = []
        self._replies = list(replies or (HELLO,))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        return reply if isinstance(reply, httpx.Response) else httpx.Response(200, stream=Body(events(reply)))

    @property
    def body(self) -> dict[str, Any]:
        """Of the last request."""
        body: dict[str, Any] = json.loads(self.requests[-1].content)
        return body


class Body(httpx.AsyncByteStream):
    def __init__(self, data: bytes) -> None:
        self._data = data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._data


def hello() -> ChatContext:
    chat_ctx = ChatContext()
    chat_ctx.add_message(role="user", content="Hello?")
    return chat_ctx


async def ask(llm: OpenAILLM, chat_ctx: ChatContext | None = None, **options: Any) -> CollectedResponse:
    """One answer; the model is closed then."""
    try:
        return await llm.chat(chat_ctx=chat_ctx or hello(), **options).collect()
    finally:
        await llm.aclose()


def read(*messages: Message, cuts: Sequence[int] = (), **options: Any) -> list[ChatChunk]:
    """The chunks of an answer whose bytes come in pieces, cut at `cuts`."""
    answer = OpenAIAnswer(Service("openai", "m"), **options)
    framing, data = ServerSentEvents(), events(messages)
    chunks: list[ChatChunk] = []
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(data)], strict=True):
        for payload in framing.feed(data[start:end]):
            chunks += answer.feed(payload)
    for payload in framing.end():
        chunks += answer.feed(payload)
    return [*chunks, *answer.end()]


def text_of(chunks: Sequence[ChatChunk]) -> str:
    return "".join(chunk.delta.content or "" for chunk in chunks if chunk.delta)


def calls_of(chunks: Sequence[ChatChunk]) -> list[tuple[str, str, str]]:
    """Of each call its id, its name and its arguments."""
    calls = [call for chunk in chunks if chunk.delta for call in chunk.delta.tool_calls]
    return [(call.call_id, call.name, call.arguments) for call in calls]


def extra_of(chunks: Sequence[ChatChunk], key: str) -> list[Any]:
    return [
        chunk.delta.extra[key] for chunk in chunks if chunk.delta and chunk.delta.extra and key in chunk.delta.extra
    ]
