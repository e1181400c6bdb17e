"""One question to a service on the network, and its answer, piece by piece: attempts, deadlines, closing.

The path of an answer: bytes of the connection -> messages (`sse.Framing`, pure) -> pieces (`Answer`, pure) -> who asked.
Everything that has to do with time, with failure and with the connection is here, once:

* nothing is sent again after a piece of the answer was delivered; before that, what may pass is tried again, within
  `first_token_timeout` for all attempts together;
* silence of `timeout` seconds in the middle of an answer ends it, also where bytes drip that make no message;
* closing the generator closes the connection, which is what makes a server stop;
* every failure is an `APIError` (see `service`).
"""

import json
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import httpx

from agent_runtime import clock
from agent_runtime.errors import APIError
from agent_runtime.providers.http.service import Service
from agent_runtime.providers.http.sse import Framing
from agent_runtime.providers.http.transport import Transport
from agent_runtime.types import APIConnectOptions

T = TypeVar("T")

DEBUG_VARIABLE = "AGENT_RUNTIME_LLM_DEBUG"
"""Set to 1, each request and each message of the answer is written to the log, keys struck out."""

LONGEST_ERROR = 65_536
"""Bytes of a refusal that are read."""

LINGER_S = 1.0
"""For what follows an answer that is whole."""

log = logging.getLogger("agent_runtime.llm")


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent: a POST of `content`."""

    url: str
    headers: Mapping[str, str]
    content: bytes

    @classmethod
    def of_json(cls, url: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> "Request":
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
        return cls(url, {"content-type": "application/json", **headers}, content)


class Answer(ABC, Generic[T]):
    """Reads one answer, message by message. Pure: it knows no clock and no connection.

    It gives something only for what is delivered, never an empty piece. Errors are made by `Service`.
    """

    held: int = 0
    """Pieces of the answer that came and are kept until they are whole (a tool call's): nothing is delivered yet, but the
    answer has begun, and goes on."""
    whole: bool = False
    """The answer has said that it is over. What may follow (usage, an end mark, the connection's end) is waited for
    `LINGER_S`, and that it does not come, or is garbage, is no failure."""

    def begins(self, content_type: str) -> None:
        """The service answers, in the form that it names.

        Raises:
            APIError: that cannot be read.
        """

    @abstractmethod
    def feed(self, payload: bytes) -> Sequence[T]:
        """What this message adds.

        Raises:
            APIError: it says that the service failed, or cannot be understood.
        """

    @abstractmethod
    def end(self) -> Sequence[T]:
        """The connection was closed in good order.

        Raises:
            APIError: the answer was not whole.
        """


class Attempts:
    """What its user is told of the attempts at one question; by itself nothing is done about it."""

    def began(self) -> None:
        """The question is asked, for the first time or again."""

    def failed(self, error: APIError) -> None: ...


class Exchange(Generic[T]):
    """A question and its answer.

    Args:
        service: who is asked, for names and messages.
        connections: the way there.
        options: how patient to be.
        request: makes what is sent; it may ask for something itself, and is asked again at each attempt.
        answer, framing: make a reader for one answer.
    """

    def __init__(
        self,
        service: Service,
        connections: Transport,
        options: APIConnectOptions,
        *,
        request: Callable[[], Awaitable[Request]],
        answer: Callable[[], Answer[T]],
        framing: Callable[[], Framing],
    ) -> None:
        self._service = service
        self._connections = connections
        self._options = options
        self._request = request
        self._answer = answer
        self._framing = framing
        self._begun = False
        self._delivered = False

    async def pieces(self, attempts: Attempts) -> AsyncGenerator[T]:
        """The answer, once."""
        options = self._options
        given_up_at = clock.now() + options.first_token_timeout
        attempt = 0
        while True:
            attempts.began()
            try:
                async with aclosing(self._attempt(given_up_at)) as pieces:
                    async for piece in pieces:
                        yield piece
                return
            except APIError as error:
                attempts.failed(error)
                asked_for: float | None = getattr(error, "retry_after", None)
                wait = options.interval(attempt) if asked_for is None else asked_for
                again = error.retryable and attempt < options.max_retry and clock.now() + wait < given_up_at
                if self._delivered or not again:
                    raise
            attempt += 1
            await clock.sleep(wait)

    async def _attempt(self, given_up_at: float) -> AsyncGenerator[T]:
        service, options = self._service, self._options
        request: Request | None = None
        self._begun = False
        answer = self._answer()
        try:
            async with clock.Deadline(given_up_at - clock.now()) as deadline:
                deadline.restart()
                request = await self._request()
                held, lingering = 0, False
                async with aclosing(self._messages(request, answer)) as messages:
                    async for pieces in messages:
                        if pieces:
                            self._begin(deadline)
                            self._delivered = True
                            for piece in pieces:
                                yield piece
                        elif answer.held != held:
                            self._begin(deadline)
                        if answer.whole and not lingering:
                            lingering = True
                            deadline.change(LINGER_S)
                        if self._begun:
                            deadline.restart()
                        held = answer.held
            return
        except TimeoutError:
            if not deadline.expired:
                raise
            if not answer.whole:
                seconds = options.timeout if self._begun else options.first_token_timeout
                raise service.silent(seconds, self._begun) from None
        except httpx.HTTPError as error:
            if not answer.whole:
                url = request.url if request is not None else ""
                raise service.unreachable(error, url, begun=self._begun) from error
        except APIError:
            if not answer.whole:
                raise
        for piece in answer.end():
            yield piece

    def _begin(self, deadline: clock.Deadline) -> None:
        """A piece of the answer is there: what its reader does with it is not the service's time."""
        if self._begun:
            deadline.pause()
        else:
            self._begun = True
            deadline.change(self._options.timeout)

    async def _messages(self, request: Request, answer: Answer[T]) -> AsyncGenerator[Sequence[T]]:
        """What each message of the answer adds."""
        service, framing = self._service, self._framing()
        debug = os.environ.get(DEBUG_VARIABLE) == "1"
        if debug:
            self._debug("->", request.content)
        client = await self._connections.client()
        async with client.stream("POST", request.url, headers=request.headers, content=request.content) as response:
            if response.status_code >= 400:
                raise service.refused(response.status_code, response.headers, await _some(response))
            answer.begins(response.headers.get("content-type", ""))
            # Undecoded bytes are cheaper; a transport of one's own may give the whole answer at once.
            raw = "content-encoding" not in response.headers and not response.is_stream_consumed
            async for data in response.aiter_raw() if raw else response.aiter_bytes():
                try:
                    payloads = framing.feed(data)
                except ValueError as error:
                    raise service.broken(str(error)) from error
                if debug:
                    self._debug("<-", *payloads)
                for payload in payloads:
                    yield answer.feed(payload)
            for payload in framing.end():
                yield answer.feed(payload)
        yield answer.end()

    def _debug(self, direction: str, *contents: bytes) -> None:
        for content in contents:
            try:
                text = self._service.redacted(content.decode())
            except UnicodeDecodeError:
                text = f"{len(content)} bytes that are no text"
            log.warning("%s %s %s", direction, f"{self._service.provider}/{self._service.model}", text)


async def _some(response: httpx.Response) -> bytes:
    """The beginning of a refusal."""
    body = b""
    async for data in response.aiter_bytes():
        body += data
        if len(body) > LONGEST_ERROR:
            break
    return body[:LONGEST_ERROR]
