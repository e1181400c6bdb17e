"""What a language model is to a session."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from agent_runtime.chat import ChatContext
    from agent_runtime.tools import FunctionTool, ToolChoice


@dataclass(frozen=True, slots=True)
class FunctionToolCall:
    """A tool call, whole: `arguments` is the JSON text that the model wrote."""

    name: str
    arguments: str
    call_id: str


@dataclass(frozen=True, slots=True)
class ChoiceDelta:
    role: str | None = None
    content: str | None = None
    tool_calls: list[FunctionToolCall] = field(default_factory=list)
    extra: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class CompletionUsage:
    """Tokens, as the service counted them."""

    completion_tokens: int
    prompt_tokens: int
    total_tokens: int
    prompt_cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ChatChunk:
    """A piece of an answer: some text, whole tool calls, or (at the end) the usage."""

    id: str
    delta: ChoiceDelta | None = None
    usage: CompletionUsage | None = None


class LLM(ABC):
    """A language model that can be named in `AgentSession(llm=...)`."""

    label: str = ""
    leaves_machine: bool = True
    """Whether what it is told goes over a network."""

    @abstractmethod
    def chat(
        self,
        *,
        chat_ctx: "ChatContext",
        tools: "Sequence[FunctionTool]" = (),
        tool_choice: "ToolChoice | None" = None,
    ) -> "LLMStream":
        """Ask for an answer. Nothing is sent before the stream is entered or iterated."""

    async def aclose(self) -> None:
        """Close every connection."""


class LLMStream(ABC):
    """An answer on its way: `async with llm.chat(...) as stream: async for chunk in stream: ...`."""

    _chunks: AsyncIterator[ChatChunk] | None = None

    @abstractmethod
    def generate(self) -> AsyncIterator[ChatChunk]:
        """An async generator: the model itself."""

    def __aiter__(self) -> AsyncIterator[ChatChunk]:
        if self._chunks is None:
            self._chunks = self.generate()
        return self._chunks

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
