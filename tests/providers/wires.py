"""What the tests of the wires share: a service that answers by a script, tools, and histories of every kind."""

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import httpx
from hypothesis import strategies as st

from agent_runtime import virtual
from agent_runtime.chat import AgentHandoff, ChatContext, ChatItem, ChatMessage, FunctionCall, FunctionCallOutput
from agent_runtime.llm import LLM, ChatChunk, CollectedResponse
from agent_runtime.tools import FunctionTool, function_tool

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
)
"""A picture of one pixel."""


class Scripted(httpx.AsyncBaseTransport):
    """A service: request n gets answer n, the last answer all others. `requests` keeps what came."""

    def __init__(self, *answers: bytes | httpx.Response, cuts: Iterable[int] = ()) -> None:
        self._answers = list(answers)
        self._cuts = sorted(set(cuts))
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, httpx.Response):
            return answer
        return httpx.Response(200, stream=_Pieces(cut(answer, self._cuts)))

    @property
    def body(self) -> dict[str, Any]:
        """Of the last request."""
        body: dict[str, Any] = json.loads(self.requests[-1].content)
        return body


class _Pieces(httpx.AsyncByteStream):
    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> Any:
        for piece in self._pieces:
            yield piece


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """`data` in pieces."""
    bounds = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


def conversation(*said: tuple[str, str] | ChatItem) -> ChatContext:
    """``("user", "Hi")`` and items as they are."""
    items = [each if not isinstance(each, tuple) else ChatMessage(role=each[0], content=[each[1]]) for each in said]  # type: ignore[arg-type]
    return ChatContext(items)


HELLO = (("user", "Hello"),)


def collect(llm: LLM, chat_ctx: ChatContext | None = None, **asked: Any) -> CollectedResponse:
    """The whole answer, in virtual time."""

    async def ask() -> CollectedResponse:
        try:
            return await llm.chat(chat_ctx=chat_ctx or conversation(*HELLO), **asked).collect()
        finally:
            await llm.aclose()

    return virtual.run(ask())


def chunks(llm: LLM, chat_ctx: ChatContext | None = None, **asked: Any) -> list[ChatChunk]:
    async def ask() -> list[ChatChunk]:
        async with llm.chat(chat_ctx=chat_ctx or conversation(*HELLO), **asked) as stream:
            found = [chunk async for chunk in stream]
        await llm.aclose()
        return found

    return virtual.run(ask())


@function_tool
async def get_weather(city: str) -> str:
    """Look up the weather.

    Args:
        city: where
    """
    return f"sunny in {city}"


@function_tool
async def book(seats: int, name: str | None = None) -> str:
    """Book seats."""
    return f"{seats} for {name}"


def called(call_id: str, name: str, arguments: str, output: str, **options: Any) -> tuple[ChatItem, ChatItem]:
    """A call and its result."""
    extra = options.pop("extra", {})
    return (
        FunctionCall(call_id=call_id, name=name, arguments=arguments, extra=extra),
        FunctionCallOutput(call_id=call_id, output=output, is_error=options.pop("is_error", False)),
    )


def raw_tool(name: str, parameters: dict[str, Any]) -> FunctionTool:
    async def run(raw_arguments: dict[str, Any]) -> str:
        return ""

    return FunctionTool(run, raw_schema={"name": name, "parameters": parameters})


# Any history


_ids = st.sampled_from(["a", "b", "c", "call 1/ü", "x" * 80, ""])
_texts = st.sampled_from(["", " ", "\n", "Hello.", "How are you? ", "{}", "ä" * 3])
_messages = st.builds(
    lambda role, content: ChatMessage(role=role, content=content),
    st.sampled_from(["system", "developer", "user", "assistant"]),
    st.lists(_texts, max_size=3),
)
_calls = st.builds(
    lambda call_id, name, arguments: FunctionCall(call_id=call_id, name=name, arguments=arguments),
    _ids,
    st.sampled_from(["get_weather", "no such tool!", "", "n" * 90]),
    st.sampled_from(["{}", '{"city": "Rome"}', "", "[1]", '{"city": "Ro']),
)
_outputs = st.builds(
    lambda call_id, output, is_error: FunctionCallOutput(call_id=call_id, output=output, is_error=is_error),
    _ids,
    st.sampled_from(["", "sunny", "[]", " "]),
    st.booleans(),
)
histories: st.SearchStrategy[ChatContext] = st.builds(
    ChatContext,
    st.lists(st.one_of(_messages, _calls, _outputs, st.builds(lambda: AgentHandoff(new_agent_id="b"))), max_size=14),
)
"""Also such as no session makes: results without calls, ids twice, arguments cut off."""
