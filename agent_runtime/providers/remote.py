"""Asking a language model over the network: what is the same for every service.

A provider brings two things: `request`, which says what is sent, and `answer`, which reads what comes. Time, failure and
the connection are `exchange`'s.
"""

from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import httpx

from agent_runtime import clock
from agent_runtime.errors import APIError
from agent_runtime.llm import LLM, CallOutcome, ChatChunk, CompletionUsage, LLMStream, ModelCall, reporting
from agent_runtime.providers import ranges
from agent_runtime.providers.http.exchange import Answer, Attempts, Exchange, Request
from agent_runtime.providers.http.service import Service
from agent_runtime.providers.http.sse import Framing, ServerSentEvents
from agent_runtime.providers.http.transport import Transport
from agent_runtime.providers.parts import Typed
from agent_runtime.providers.schemas import response_schema
from agent_runtime.types import APIConnectOptions

if TYPE_CHECKING:
    from agent_runtime.chat import ChatContext
    from agent_runtime.tools import FunctionTool, ProviderTool, ToolChoice


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as its user made it."""

    chat_ctx: "ChatContext"
    tools: "Sequence[FunctionTool | ProviderTool]" = ()
    tool_choice: "ToolChoice | None" = None
    parallel_tool_calls: bool | None = None
    response_format: Any = None
    extra_kwargs: Mapping[str, Any] = field(default_factory=dict)


class RemoteLLM(LLM):
    """A language model behind HTTP.

    Args:
        service: who is asked, for names and messages.
        conn_options: how patient to be.
        transport: a way of one's own to the service, for proxies and tests; else connections are shared.
    """

    framing: ClassVar[type[Framing]] = ServerSentEvents
    watches_itself = True
    _response_format: Any = None
    """The form of answers that was given to the constructor."""

    def __init__(
        self,
        service: Service,
        *,
        conn_options: APIConnectOptions | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.service = service
        self.model = service.model
        self.provider = service.provider
        self.label = f"{service.provider}/{service.model}"
        self.conn_options = conn_options or APIConnectOptions()
        self.first_token_timeout = self.conn_options.first_token_timeout
        self.connections = Transport(transport)
        self.typed = Typed()

    @abstractmethod
    async def request(self, asked: Asked) -> Request:
        """What is sent for `asked`.

        Raises:
            UsageError: something in it cannot be asked of this model; nothing was sent.
            APIError: something that the request needs (a picture, a token) could not be had.
        """

    @abstractmethod
    def answer(self, asked: Asked) -> Answer[ChatChunk]:
        """A reader for one answer."""

    @property
    def prewarm_url(self) -> str | None:
        """What can be asked for, at no cost, to have a connection ready."""
        return None

    def chat(
        self,
        *,
        chat_ctx: "ChatContext",
        tools: "Sequence[FunctionTool | ProviderTool]" = (),
        tool_choice: "ToolChoice | None" = None,
        parallel_tool_calls: bool | None = None,
        response_format: Any = None,
        extra_kwargs: Mapping[str, Any] | None = None,
        conn_options: APIConnectOptions | None = None,
    ) -> "RemoteStream":
        """Ask for an answer. What is given here counts before what was given to the constructor.

        Raises:
            UsageError: something among `tools` is no tool, or two have one name; what else is wrong is said when the
                answer is waited for, before anything is sent.
        """
        extra = ranges.mapping("extra_kwargs", extra_kwargs or None)
        # Whether an answer fits is seen to where it is put together, so its form stands in its own place.
        form = self._form(extra) if response_format is None else response_format
        asked = Asked(chat_ctx, ranges.tools(tools or ()), tool_choice, parallel_tool_calls, form, extra)
        return RemoteStream(self, asked, conn_options or self.conn_options)

    def _form(self, extra: Mapping[str, Any]) -> Any:
        """The form of an answer where the call names none but perhaps in its `extra` parameters."""
        of_the_call = extra.get("response_format")
        return self._response_format if of_the_call is None else of_the_call

    def prewarm(self) -> None:
        """Make a connection now, in the background; whether that works is seen when something is asked."""
        if self.prewarm_url is not None:
            self.connections.warm(self.prewarm_url, self.prepare)

    async def prepare(self) -> None:
        """Get what every request needs besides a connection: a token, where the service wants one."""

    async def aclose(self) -> None:
        await self.connections.aclose()


class RemoteStream(LLMStream):
    """An answer on its way over the network."""

    def __init__(self, llm: RemoteLLM, asked: Asked, options: APIConnectOptions) -> None:
        self._llm = llm
        self._asked = asked
        self._exchange: Exchange[ChatChunk] = Exchange(
            llm.service,
            llm.connections,
            options,
            request=lambda: llm.request(asked),
            answer=lambda: llm.answer(asked),
            framing=llm.framing,
        )

    def generate(self) -> AsyncIterator[ChatChunk]:
        """The exchange's own generator, and no other around it; it does not know this stream, which keeps it."""
        return self._exchange.pieces(_Books(self._llm, self._asked.response_format))


class _Enforced:
    """The text of an answer that is to be checked when it is whole; of any other nothing is kept.

    Raises:
        UsageError: it cannot be checked: no schema, or no `jsonschema`.
    """

    def __init__(self, response_format: Any) -> None:
        wanted = isinstance(response_format, Mapping) and response_format.get("enforce_validation", False) is not False
        self._schema = response_schema(response_format) if wanted else None
        self._text: list[str] = []
        self._calls = False

    def note(self, chunk: ChatChunk) -> None:
        if self._schema is not None and chunk.delta is not None:
            self._text.append(chunk.delta.content or "")
            self._calls = self._calls or bool(chunk.delta.tool_calls)

    def check(self, service: Service) -> None:
        """Raise `JSONSchemaValidationError` where it does not fit. Calls of tools are no answer yet."""
        text = "".join(self._text)
        if self._schema is not None and (text.strip() or not self._calls):
            self._schema.check(text, service)


class _Books(Attempts):
    """What each request came to."""

    def __init__(self, llm: RemoteLLM, response_format: Any) -> None:
        self._llm = llm
        self._response_format = response_format
        self._closed = True

    def began(self) -> None:
        self._enforced = _Enforced(self._response_format)
        self._requested_at = clock.now()
        self._first_token_at: float | None = None
        self._characters = 0
        self._usage: CompletionUsage | None = None
        self._closed = False

    def failed(self, error: APIError) -> None:
        self._close("failed", str(error))

    def answered(self) -> None:
        try:
            self._enforced.check(self._llm.service)
        except APIError as error:
            self.failed(error)
            raise
        self._close("answered")

    def left(self) -> None:
        self._close("cancelled")

    def note(self, chunk: ChatChunk) -> None:
        self._enforced.note(chunk)
        if chunk.usage is not None:
            self._usage = chunk.usage
        if chunk.delta is not None and (chunk.delta.content or chunk.delta.tool_calls):
            self._characters += len(chunk.delta.content or "")
            if self._first_token_at is None:
                self._first_token_at = clock.now()

    def _close(self, outcome: CallOutcome, error: str | None = None) -> None:
        """Report it, once."""
        report = reporting.get()
        if self._closed or report is None:
            return
        self._closed = True
        report(
            ModelCall(
                provider=self._llm.provider,
                model=self._llm.label,
                outcome=outcome,
                requested_at=self._requested_at,
                first_token_at=self._first_token_at,
                ended_at=clock.now(),
                characters=self._characters,
                usage=self._usage,
                error=error,
            )
        )
