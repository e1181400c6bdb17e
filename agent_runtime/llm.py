"""What a language model is to a session."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from contextvars import ContextVar
from dataclasses import field
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from agent_runtime.records import record

if TYPE_CHECKING:
    from agent_runtime.chat import ChatContext
    from agent_runtime.tools import Tool, ToolChoice

FIRST_TOKEN_TIMEOUT_S = 10.0
"""From the request to the first piece of the answer, where a model does not ask for more."""


@record(frozen=True, slots=True)
class FunctionToolCall:
    """A tool call, whole: `arguments` is the JSON text that the model wrote.

    `extra` is what the service wants back with the call in the next request (Gemini's thought signatures).
    """

    type: ClassVar[Literal["function"]] = "function"

    name: str
    arguments: str
    call_id: str
    extra: dict[str, Any] | None = None


@record(frozen=True, slots=True)
class ChoiceDelta:
    """What a chunk adds to the answer.

    `content` is spoken, `extra` never. Its keys, each where the service gives it: ``reasoning`` (a piece of the model's
    thoughts), ``finish_reason`` (``stop``, ``length``, ``tool_calls``, ``content_filter``), ``logprobs``, ``citations``,
    ``annotations``, ``grounding_metadata``, ``url_context_metadata``, ``code_execution``, ``images`` (data URIs),
    ``audio``; and what a service calls ``extra_content``, which goes back to it with the message.
    """

    role: str | None = None
    content: str | None = None
    tool_calls: list[FunctionToolCall] = field(default_factory=list)
    extra: dict[str, Any] | None = None


@record(frozen=True, slots=True)
class CompletionUsage:
    """Tokens, as the service counted them. What was cached or thought is part of the larger counts, not besides."""

    completion_tokens: int
    prompt_tokens: int
    total_tokens: int
    prompt_cached_tokens: int = 0
    cache_creation_tokens: int = 0
    reasoning_tokens: int = 0
    service_tier: str | None = None


@record(frozen=True, slots=True)
class ChatChunk:
    """A piece of an answer: some text, whole tool calls, or (at the end) the usage."""

    id: str
    delta: ChoiceDelta | None = None
    usage: CompletionUsage | None = None


@record(frozen=True, slots=True)
class CollectedResponse:
    """A whole answer. `extra` holds what the chunks' `extra` held: texts and lists joined, else the last."""

    text: str = ""
    tool_calls: list[FunctionToolCall] = field(default_factory=list)
    usage: CompletionUsage | None = None
    extra: dict[str, Any] = field(default_factory=dict)


CallOutcome = Literal["answered", "failed", "cancelled", "lost", "probe"]
"""What became of a request: the whole answer came; an error came; its user gave it up; another model was faster; it only
asked whether the service is back."""


@record(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """One request to a model, for the books. Times are loop time; what is not known is None.

    Attributes:
        model: ``provider/model``.
        usage: None where the service did not say, as when the answer was given up.
        characters: of text that came.
    """

    provider: str
    model: str
    outcome: CallOutcome
    requested_at: float
    first_token_at: float | None
    ended_at: float
    characters: int
    usage: CompletionUsage | None = None
    error: str | None = None


reporting: ContextVar[Callable[[ModelCall], None] | None] = ContextVar("reporting", default=None)
"""Who keeps the books of the requests that are made in this context."""


class LLM(ABC):
    """A language model that can be named in `AgentSession(llm=...)`."""

    label: str = ""
    model: str = ""
    """As its service names it."""
    provider: str = ""
    """Who serves it."""
    leaves_machine: bool = True
    """Whether what it is told goes over a network."""
    first_token_timeout: float = FIRST_TOKEN_TIMEOUT_S
    """Seconds that it may take to the first piece of an answer, all attempts together, before the turn is given up."""
    watches_itself: bool = False
    """Whether it ends with an error of its own after that time, and after 10 s of silence in an answer."""

    @abstractmethod
    def chat(
        self,
        *,
        chat_ctx: "ChatContext",
        tools: "Sequence[Tool]" = (),
        tool_choice: "ToolChoice | None" = None,
    ) -> "LLMStream":
        """Ask for an answer. Nothing is sent before the stream is entered or iterated."""

    async def aclose(self) -> None:
        """Close every connection."""


class LLMStream(ABC):
    """An answer on its way: `async with llm.chat(...) as stream: async for chunk in stream: ...`.

    It is iterated by one task; closing it stops the model.
    """

    _chunks: AsyncIterator[ChatChunk] | None = None

    @abstractmethod
    def generate(self) -> AsyncIterator[ChatChunk]:
        """An async generator: the model itself."""

    def __aiter__(self) -> AsyncIterator[ChatChunk]:
        if self._chunks is None:
            self._chunks = self.generate()
        return self._chunks

    async def collect(self) -> CollectedResponse:
        """The whole answer."""
        text: list[str] = []
        calls: list[FunctionToolCall] = []
        extra: dict[str, Any] = {}
        usage = None
        async with self:
            async for chunk in self:
                usage = chunk.usage or usage
                if chunk.delta is None:
                    continue
                text.append(chunk.delta.content or "")
                calls += chunk.delta.tool_calls
                for key, value in (chunk.delta.extra or {}).items():
                    joined = isinstance(value, str | list) and isinstance(extra.get(key), type(value))
                    extra[key] = extra[key] + value if joined else value
        return CollectedResponse("".join(text), calls, usage, extra)

    async def to_str_iterable(self) -> AsyncIterator[str]:
        """The text alone, piece by piece."""
        async with self:
            async for chunk in self:
                if chunk.delta is not None and chunk.delta.content:
                    yield chunk.delta.content

    async def aclose(self) -> None:
        """Stop the model now."""
        close = getattr(self._chunks, "aclose", None)
        if close is not None:
            await close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
