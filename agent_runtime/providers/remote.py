"""Asking a language model over the network: what is the same for every service.

The path of a token: bytes of the connection -> payloads (`sse`, pure) -> chunks (an `Answer`, pure) -> the reply. A
provider brings two things: `request`, which says what is sent, and `answer`, which reads what comes. Everything that has
to do with time, with failure and with the connection is here, once:

* nothing is sent again after a piece of the answer was delivered; before that, what may pass is tried again, within
  `first_token_timeout` for all attempts together;
* silence of `timeout` seconds in the middle of an answer ends it, also where bytes drip that make no message;
* closing the stream closes the connection, which is what makes a server stop;
* every failure is an `APIError` (see `service`).
"""

import asyncio
import json
import logging
import os
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import httpx

from agent_runtime import clock
from agent_runtime.errors import APIError
from agent_runtime.llm import LLM, CallOutcome, ChatChunk, CompletionUsage, LLMStream, ModelCall, reporting
from agent_runtime.providers.service import Service
from agent_runtime.providers.sse import Framing, ServerSentEvents
from agent_runtime.providers.transport import Transport
from agent_runtime.types import APIConnectOptions

if TYPE_CHECKING:
    from agent_runtime.chat import ChatContext
    from agent_runtime.tools import FunctionTool, ProviderTool, ToolChoice

DEBUG_VARIABLE = "AGENT_RUNTIME_LLM_DEBUG"
"""Set to 1, each request and each message of the answer is written to the log, keys struck out."""

LONGEST_ERROR = 65_536
"""Bytes of a refusal that are read."""

log = logging.getLogger("agent_runtime.llm")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as its user made it."""

    chat_ctx: "ChatContext"
    tools: "Sequence[FunctionTool | ProviderTool]" = ()
    tool_choice: "ToolChoice | None" = None
    parallel_tool_calls: bool | None = None
    response_format: Any = None
    extra_kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent: a POST of `content`."""

    url: str
    headers: Mapping[str, str]
    content: bytes

    @classmethod
    def of_json(cls, url: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> "Request":
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        return cls(url, {"content-type": "application/json", **headers}, content)


class Answer:
    """Reads one answer, message by message. Pure: it knows no clock and no connection.

    It gives a chunk only for something delivered: text, whole tool calls, extras, usage. Errors are made by `service`.
    """

    @abstractmethod
    def feed(self, payload: bytes) -> Sequence[ChatChunk]:
        """What this message adds.

        Raises:
            APIError: it says that the service failed, or cannot be understood.
        """

    @abstractmethod
    def end(self) -> Sequence[ChatChunk]:
        """The connection was closed in good order.

        Raises:
            APIError: the answer was not whole.
        """


class RemoteLLM(LLM):
    """A language model behind HTTP.

    Args:
        service: who is asked, for names and messages.
        conn_options: how patient to be.
        transport: a way of one's own to the service, for proxies and tests; else connections are shared.
    """

    framing: ClassVar[type[Framing]] = ServerSentEvents

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
        self._warming: asyncio.Task[None] | None = None

    @abstractmethod
    async def request(self, asked: Asked) -> Request:
        """What is sent for `asked`.

        Raises:
            UsageError: something in it cannot be asked of this model; nothing was sent.
            APIError: something that the request needs (a picture, a token) could not be had.
        """

    @abstractmethod
    def answer(self, asked: Asked) -> Answer:
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
        """Ask for an answer. What is given here counts before what was given to the constructor."""
        asked = Asked(chat_ctx, tools or (), tool_choice, parallel_tool_calls, response_format, extra_kwargs or {})
        return RemoteStream(self, asked, conn_options or self.conn_options)

    def prewarm(self) -> None:
        """Make a connection now, in the background; whether that works is seen when something is asked."""
        if self.prewarm_url is not None and self._warming is None:
            self._warming = asyncio.get_running_loop().create_task(self._warm(self.prewarm_url))

    async def _warm(self, url: str) -> None:
        try:
            async with clock.Deadline(self.conn_options.timeout) as deadline:
                deadline.restart()
                client = await self.connections.client()
                await client.get(url)
        except (httpx.HTTPError, TimeoutError) as error:
            log.debug("%s was not reached beforehand: %s", self.provider, type(error).__name__)

    async def aclose(self) -> None:
        if self._warming is not None:
            self._warming.cancel()
            await asyncio.wait([self._warming])
        await self.connections.aclose()


class RemoteStream(LLMStream):
    """An answer on its way over the network."""

    def __init__(self, llm: RemoteLLM, asked: Asked, options: APIConnectOptions) -> None:
        self._llm = llm
        self._asked = asked
        self._options = options
        self._delivered = False

    async def generate(self) -> AsyncIterator[ChatChunk]:
        options = self._options
        given_up_at = clock.now() + options.first_token_timeout
        attempt = 0
        while True:
            books = _Books(self._llm)
            try:
                async with aclosing(self._attempt(given_up_at)) as chunks:
                    async for chunk in chunks:
                        books.note(chunk)
                        yield chunk
                books.close("answered")
                return
            except APIError as error:
                books.close("failed", str(error))
                asked_for: float | None = getattr(error, "retry_after", None)
                wait = options.interval(attempt) if asked_for is None else asked_for
                again = error.retryable and attempt < options.max_retry and clock.now() + wait < given_up_at
                if self._delivered or not again:
                    raise
            finally:
                books.close("cancelled")
            attempt += 1
            await clock.sleep(wait)

    async def _attempt(self, given_up_at: float) -> AsyncGenerator[ChatChunk]:
        llm, options = self._llm, self._options
        request: Request | None = None
        try:
            async with clock.Deadline(given_up_at - clock.now()) as deadline:
                deadline.restart()
                request = await llm.request(self._asked)
                async with aclosing(self._messages(request)) as messages:
                    async for chunks in messages:
                        if chunks:
                            self._begin(deadline)
                            for chunk in chunks:
                                yield chunk
                        if self._delivered:
                            deadline.restart()
        except TimeoutError:
            if not deadline.expired:
                raise
            seconds = options.timeout if self._delivered else options.first_token_timeout
            raise llm.service.silent(seconds, self._delivered) from None
        except httpx.HTTPError as error:
            url = request.url if request is not None else ""
            raise llm.service.unreachable(error, url, begun=self._delivered) from error

    def _begin(self, deadline: clock.Deadline) -> None:
        """Something is about to be delivered: what its reader does with it is not the service's time."""
        if self._delivered:
            deadline.pause()
        else:
            self._delivered = True
            deadline.change(self._options.timeout)

    async def _messages(self, request: Request) -> AsyncGenerator[Sequence[ChatChunk]]:
        """What each message of the answer adds."""
        llm = self._llm
        answer, framing = llm.answer(self._asked), llm.framing()
        debug = os.environ.get(DEBUG_VARIABLE) == "1"
        if debug:
            self._debug("->", request.content)
        client = await llm.connections.client()
        async with client.stream("POST", request.url, headers=request.headers, content=request.content) as response:
            if response.status_code >= 400:
                raise llm.service.refused(response.status_code, response.headers, await _some(response))
            encoded = "content-encoding" in response.headers
            async for data in response.aiter_bytes() if encoded else response.aiter_raw():
                try:
                    payloads = framing.feed(data)
                except ValueError as error:
                    raise llm.service.broken(str(error)) from error
                if debug:
                    self._debug("<-", *payloads)
                for payload in payloads:
                    yield answer.feed(payload)
            for payload in framing.end():
                yield answer.feed(payload)
        yield answer.end()

    def _debug(self, direction: str, *contents: bytes) -> None:
        for content in contents:
            text = self._llm.service.redacted(content.decode("utf-8", "replace"))
            log.warning("%s %s %s", direction, self._llm.label, text)


async def _some(response: httpx.Response) -> bytes:
    """The beginning of a refusal."""
    body = b""
    async for data in response.aiter_bytes():
        body += data
        if len(body) > LONGEST_ERROR:
            break
    return body[:LONGEST_ERROR]


class _Books:
    """What one request came to."""

    def __init__(self, llm: RemoteLLM) -> None:
        self._llm = llm
        self._requested_at = clock.now()
        self._first_token_at: float | None = None
        self._characters = 0
        self._usage: CompletionUsage | None = None
        self._closed = False

    def note(self, chunk: ChatChunk) -> None:
        if chunk.usage is not None:
            self._usage = chunk.usage
        if chunk.delta is not None and (chunk.delta.content or chunk.delta.tool_calls):
            self._characters += len(chunk.delta.content or "")
            if self._first_token_at is None:
                self._first_token_at = clock.now()

    def close(self, outcome: CallOutcome, error: str | None = None) -> None:
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
