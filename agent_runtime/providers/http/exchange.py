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
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import httpx

from agent_runtime import clock
from agent_runtime.errors import APIError, UsageError
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

NO_ANSWER = (204, 205)
"""Statuses of success with nothing behind them."""

WEB_PAGES = ("text/html", "application/xhtml+xml")

log = logging.getLogger("agent_runtime.llm")


@dataclass(frozen=True, slots=True)
class Verbatim:
    """A text in a body that has nothing in it that JSON escapes: large ones would take long to be looked through."""

    pieces: tuple[bytes, ...]


_MARK = f"verbatim {os.urandom(8).hex()} "
"""Stands where a `Verbatim` is to stand, with its number behind it."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent: a POST of `content`."""

    url: str
    headers: Mapping[str, str]
    content: bytes

    @classmethod
    def of_json(
        cls, url: str, headers: Mapping[str, str], body: Mapping[str, Any], *, in_order: bool = False
    ) -> "Request":
        """`body` as JSON; `in_order`, of its names.

        Raises:
            UsageError: something in it is none.
        """
        verbatim: list[Verbatim] = []

        def mark(value: Any) -> str:
            if not isinstance(value, Verbatim):
                raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
            verbatim.append(value)
            return f"{_MARK}{len(verbatim)}"

        try:
            text = json.dumps(
                body, ensure_ascii=False, separators=(",", ":"), sort_keys=in_order, default=mark, allow_nan=False
            )
        except (TypeError, ValueError, RecursionError) as error:
            raise UsageError(
                f"A parameter of the request cannot be written as JSON ({error}); give plain values."
            ) from None
        content = text.encode(errors="replace")
        if verbatim:
            content = b"".join(_with(content, verbatim))
        return cls(url, {"content-type": "application/json", **headers}, content)


def _with(content: bytes, verbatim: Sequence[Verbatim]) -> Iterator[bytes]:
    """The content, with each text in the place of its mark. No other text can look like one: its quotes are escaped."""
    for number, text in enumerate(verbatim, 1):
        before, _, content = content.partition(f'"{_MARK}{number}"'.encode())
        yield from (before, b'"', *text.pieces, b'"')
    yield content


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

    def note(self, piece: Any) -> None:
        """A piece of the answer is about to be given."""

    def answered(self) -> None:
        """The answer is over, and whole.

        Raises:
            APIError: it is not what was asked for.
        """

    def failed(self, error: APIError) -> None: ...

    def left(self) -> None:
        """Nothing more is done about it: it was answered, it failed, or nobody wanted the rest."""


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

    async def pieces(self, attempts: Attempts) -> AsyncGenerator[T]:
        """The answer, once.

        One generator alone, and nobody else's inside that has to be closed: a loop closes each generator that was left in
        the middle by itself, in any order, and one that waits for another inside would be closed twice.
        """
        options = self._options
        given_up_at = clock.now() + options.first_token_timeout
        attempt = 0
        try:
            while True:
                attempts.began()
                asking = _Asking(self._service, self._connections, options, self._answer(), self._framing())
                failure: Exception | None = None
                try:
                    async with clock.Deadline(given_up_at - clock.now()) as asking.deadline, asking:
                        await asking.begin(self._request)
                        async for data in asking.data:
                            for pieces in asking.added(data):
                                for piece in pieces:
                                    attempts.note(piece)
                                    yield piece
                                asking.went_on()
                    asking.end()
                except Exception as error:
                    failure = asking.failure(error)
                if failure is None:
                    for piece in asking.last:
                        attempts.note(piece)
                        yield piece
                    attempts.answered()
                    return
                try:
                    if not isinstance(failure, APIError):
                        raise failure
                    attempts.failed(failure)
                    wait = options.interval(attempt) if failure.retry_after is None else failure.retry_after
                    again = failure.retryable and attempt < options.max_retry and clock.now() + wait < given_up_at
                    if asking.delivered or not again:
                        raise failure
                finally:
                    del failure  # its traceback holds this frame
                attempt += 1
                await clock.sleep(wait)
        finally:
            attempts.left()


class _Asking(Generic[T]):
    """One attempt: its connection, what comes over it, and the time that it may take.

    Attributes:
        deadline: until something comes. What its reader does with a piece is not the service's time.
        data: the bytes of the answer.
        last: the pieces that its end adds.
        delivered: something was given to who asked.
    """

    deadline: clock.Deadline
    data: AsyncIterator[bytes]

    def __init__(
        self,
        service: Service,
        connections: Transport,
        options: APIConnectOptions,
        answer: Answer[T],
        framing: Framing,
    ) -> None:
        self.last: Sequence[T] = ()
        self.delivered = False
        self._service = service
        self._connections = connections
        self._options = options
        self._answer = answer
        self._framing = framing
        self._debugged = os.environ.get(DEBUG_VARIABLE) == "1"
        self._url = ""
        self._response: httpx.Response | None = None
        self._begun = False
        self._held = 0
        self._lingering = False

    async def __aenter__(self) -> None:
        self.deadline.restart()

    async def __aexit__(self, *error: object) -> None:
        if self._response is not None:
            await self._response.aclose()

    async def begin(self, make: Callable[[], Awaitable[Request]]) -> None:
        """Ask, until it is known that there is an answer."""
        request = await make()
        self._url = request.url
        if self._debugged:
            self._debug("->", request.content)
        client = await self._connections.client()
        failure: Exception | None = None
        try:
            made = client.build_request("POST", request.url, headers=dict(request.headers), content=request.content)
        except (httpx.InvalidURL, ValueError, TypeError) as error:
            failure = self._service.lost(error, request.url, begun=False)
        if failure is not None:
            raise failure
        self._response = response = await client.send(made, stream=True)
        status = response.status_code
        if status >= 400:
            raise self._service.refused(status, response.headers, await _some(response))
        if status >= 300 or status in NO_ANSWER:
            raise self._service.redirected(status, response.headers.get("location", ""))
        kind = response.headers.get("content-type", "")
        if kind.partition(";")[0].strip().lower() in WEB_PAGES:
            raise self._service.broken("it is a web page; correct the base URL", retryable=False)
        self._answer.begins(kind)
        # Undecoded bytes are cheaper; a transport of one's own may give the whole answer at once.
        raw = "content-encoding" not in response.headers and not response.is_stream_consumed
        self.data = response.aiter_raw() if raw else response.aiter_bytes()

    def added(self, data: bytes) -> Iterator[Sequence[T]]:
        """What these bytes add, message by message. After each comes `went_on`."""
        for payload in self._payloads(self._framing.feed, data):
            pieces = self._fed(payload)
            if pieces or self._answer.held != self._held:
                self._held = self._answer.held
                self.delivered = self.delivered or bool(pieces)
                if self._begun:
                    self.deadline.pause()
                else:
                    self._begun = True
                    self.deadline.change(self._options.timeout)
            yield pieces

    def went_on(self) -> None:
        """The time of the service goes on."""
        if self._answer.whole and not self._lingering:
            self._lingering = True
            self.deadline.change(LINGER_S)
        if self._begun:
            self.deadline.restart()

    def end(self) -> None:
        """The connection was closed in good order."""
        pieces = [piece for payload in self._payloads(self._framing.end) for piece in self._fed(payload)]
        self.last = [*pieces, *self._answer.end()]

    def failure(self, error: Exception) -> Exception | None:
        """What is told of it; nothing where the answer was whole before. What it came from may hold a key."""
        network = isinstance(error, httpx.HTTPError | httpx.InvalidURL)
        expired = isinstance(error, TimeoutError) and self.deadline.expired
        if self._answer.whole and (network or expired or isinstance(error, APIError)):
            try:
                self.last = self._answer.end()
            except APIError as broken:
                return broken
            return None
        if expired:
            seconds = self._options.timeout if self._begun else self._options.first_token_timeout
            return self._service.silent(seconds, self._begun)
        return self._service.lost(error, self._url, begun=self._begun) if network else error

    def _payloads(self, framed: Callable[..., list[bytes]], *data: bytes) -> list[bytes]:
        try:
            payloads = framed(*data)
        except ValueError as error:
            raise self._service.broken(str(error)) from None
        if self._debugged:
            self._debug("<-", *payloads)
        return payloads

    def _fed(self, payload: bytes) -> Sequence[T]:
        try:
            return self._answer.feed(payload)
        except RecursionError:
            raise self._service.broken("it is nested too deep") from None

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
