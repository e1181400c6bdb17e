"""What is the same for every wire: attempts, deadlines, closing. The wire here is the smallest there can be."""

import asyncio
import gc
import json
import logging
import traceback
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import httpx
import pytest

from agent_runtime import clock, virtual
from agent_runtime.chat import ChatContext
from agent_runtime.errors import APIConnectionError, APIError, APIStatusError, APITimeoutError, UsageError
from agent_runtime.llm import ChatChunk, ChoiceDelta
from agent_runtime.providers.http.exchange import Answer, Request
from agent_runtime.providers.http.service import Service
from agent_runtime.providers.remote import Asked, RemoteLLM
from agent_runtime.types import APIConnectOptions


class Words(Answer[ChatChunk]):
    """Each payload is a piece of text, ``.`` is the end."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._whole = False

    def feed(self, payload: bytes) -> Sequence[ChatChunk]:
        if payload == b".":
            self._whole = True
            return ()
        if payload == b"-":
            return ()
        if payload.startswith(b"!"):
            raise self._service.failed_inside(json.loads(payload[1:]))
        return [ChatChunk("1", ChoiceDelta(content=payload.decode()))]

    def end(self) -> Sequence[ChatChunk]:
        if not self._whole:
            raise self._service.broken("it has no end")
        return ()


class WordsLLM(RemoteLLM):
    async def request(self, asked: Asked) -> Request:
        if "wrong" in asked.extra_kwargs:
            raise UsageError("wrong is not known.")
        return Request.of_json("https://api.test/v1", {"authorization": "Bearer sk-secret"}, {"text": "sk-secret?"})

    def answer(self, asked: Asked) -> Answer[ChatChunk]:
        return Words(self.service)

    @property
    def prewarm_url(self) -> str:
        return "https://api.test/models"


Script = Callable[[httpx.Request], AsyncIterator[bytes] | httpx.Response | Awaitable[httpx.Response]]


class Server(httpx.AsyncBaseTransport):
    """Answers each request with the next script."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = list(scripts)
        self.asked: list[float] = []
        self.closed: list[float] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(clock.now())
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        answer = script(request)
        if isinstance(answer, httpx.Response):
            return answer
        if isinstance(answer, Awaitable):
            return await answer
        return httpx.Response(200, stream=_Stream(answer, self))


class _Stream(httpx.AsyncByteStream):
    def __init__(self, pieces: AsyncIterator[bytes], server: Server) -> None:
        self._pieces = pieces
        self._server = server

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces

    async def aclose(self) -> None:
        self._server.closed.append(clock.now())


def says(*pieces: str | float | Exception) -> Script:
    """Texts are events, numbers are seconds to wait, exceptions are raised."""

    async def stream() -> AsyncIterator[bytes]:
        for piece in pieces:
            if isinstance(piece, Exception):
                raise piece
            if isinstance(piece, str):
                yield piece.encode() if piece.startswith(":") else f"data: {piece}\n\n".encode()
            else:
                await clock.sleep(piece)

    return lambda request: stream()


def status(code: int, headers: dict[str, str] | None = None) -> Script:
    return lambda request: httpx.Response(code, headers=headers or {}, json={"error": {"message": "no"}})


def llm(server: Server, options: APIConnectOptions | None = None) -> WordsLLM:
    service = Service("test", "words", secrets=["sk-secret"])
    return WordsLLM(service, conn_options=options, transport=server)


class Told:
    """What came of one request."""

    def __init__(self) -> None:
        self.text: list[tuple[float, str]] = []
        self.error: Exception | None = None
        self.at = 0.0


def ask(server: Server, options: APIConnectOptions | None = None, *, pause: float = 0.0) -> Told:
    async def main() -> Told:
        told = Told()
        model = llm(server, options)
        try:
            async with model.chat(chat_ctx=ChatContext()) as stream:
                async for chunk in stream:
                    assert chunk.delta is not None
                    told.text.append((clock.now(), chunk.delta.content or ""))
                    await clock.sleep(pause)
        except APIError as error:
            told.error = error
        told.at = clock.now()
        await model.aclose()
        return told

    return virtual.run(main())


def test_an_answer_comes_as_it_is_made() -> None:
    server = Server(says(0.2, "one", 0.1, "two", "."))
    told = ask(server)
    assert [text for _, text in told.text] == ["one", "two"]
    assert [at for at, _ in told.text] == pytest.approx([0.2, 0.3])
    assert told.error is None
    assert server.asked == [0.0]


def test_what_may_pass_is_tried_again_before_anything_came() -> None:
    server = Server(status(503), says("one", "."))
    told = ask(server)
    assert [text for _, text in told.text] == ["one"]
    assert server.asked == [0.0, pytest.approx(0.1)]


def test_the_third_time_comes_after_the_interval() -> None:
    server = Server(status(503), says(httpx.ReadError("reset")), says("one", "."))
    ask(server)
    assert server.asked == [0.0, pytest.approx(0.1), pytest.approx(2.1)]


@pytest.mark.parametrize("code", [400, 401, 403, 404, 413])
def test_what_will_not_pass_is_asked_once(code: int) -> None:
    server = Server(status(code))
    told = ask(server)
    assert isinstance(told.error, APIStatusError)
    assert told.error.status_code == code
    assert len(server.asked) == 1


def test_nothing_is_sent_again_after_something_was_delivered() -> None:
    for end in (httpx.ReadError("reset"), '!{"code": 503}'):
        server = Server(says("one", end))
        told = ask(server)
        assert [text for _, text in told.text] == ["one"]
        assert isinstance(told.error, APIError)
        assert len(server.asked) == 1


def test_retries_end() -> None:
    server = Server(status(500))
    told = ask(server, APIConnectOptions(max_retry=2, retry_interval=1.0))
    assert isinstance(told.error, APIStatusError)
    assert len(server.asked) == 3


def test_retry_after_is_obeyed() -> None:
    server = Server(status(429, {"retry-after": "3"}), says("one", "."))
    assert ask(server).error is None
    assert server.asked == [0.0, pytest.approx(3.0)]


def test_a_wait_longer_than_the_time_there_is_is_not_waited_for() -> None:
    server = Server(status(429, {"retry-after": "60"}))
    told = ask(server)
    assert isinstance(told.error, APIStatusError)
    assert told.error.retry_after == 60.0
    assert told.at == 0.0


def test_all_attempts_together_end_at_the_first_token_deadline() -> None:
    server = Server(status(503), says(60.0))
    told = ask(server, APIConnectOptions(first_token_timeout=7.0))
    assert isinstance(told.error, APITimeoutError)
    assert "for 7 s before its answer began" in str(told.error)
    assert told.at == pytest.approx(7.0)
    assert len(server.asked) == 2


def test_bytes_that_are_no_answer_do_not_put_the_first_deadline_off() -> None:
    server = Server(says(4.0, ": still thinking\n\n", 4.0, "-", 60.0))
    assert ask(server).at == pytest.approx(10.0)


def test_a_silence_in_the_middle_ends_the_answer() -> None:
    server = Server(says(1.0, "one", 60.0))
    told = ask(server)
    assert isinstance(told.error, APITimeoutError)
    assert "for 10 s in the middle" in str(told.error)
    assert told.at == pytest.approx(11.0)
    assert server.closed == [pytest.approx(11.0)]


def test_a_longer_first_deadline_does_not_put_off_the_later_one() -> None:
    server = Server(says(1.0, "one", 60.0))
    assert ask(server, APIConnectOptions(first_token_timeout=60.0, timeout=3.0)).at == pytest.approx(4.0)


def test_bytes_that_drip_and_make_no_message_are_silence() -> None:
    drip = [piece for _ in range(30) for piece in (": x", 1.0)]
    assert ask(Server(says("one", *drip))).at == pytest.approx(10.0)


def test_messages_without_text_are_no_silence_once_it_has_begun() -> None:
    beat = [piece for _ in range(4) for piece in (8.0, "-")]
    assert ask(Server(says("one", *beat, "two", "."))).error is None


def test_the_time_that_a_reader_takes_is_not_the_services() -> None:
    told = ask(Server(says("one", 1.0, "two", 1.0, ".")), pause=25.0)
    assert told.error is None
    assert [text for _, text in told.text] == ["one", "two"]


def test_an_answer_that_just_stops_is_an_error() -> None:
    told = ask(Server(says("one")))
    assert "cannot be used: it has no end" in str(told.error)


def test_a_message_without_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_runtime.providers.http.sse.LONGEST_LINE", 10)
    told = ask(Server(says("x" * 100)), APIConnectOptions(max_retry=0))
    assert "cannot be used: a line of more than 10 bytes" in str(told.error) or "an event" in str(told.error)


def test_a_transport_of_ones_own_may_give_the_whole_answer_at_once() -> None:
    def whole(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=b"data: one\n\ndata: two\n\ndata: .\n\n")

    assert [text for _, text in ask(Server(whole)).text] == ["one", "two"]


def test_a_service_that_is_not_there() -> None:
    def nobody(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused", request=request)

    told = ask(Server(nobody), APIConnectOptions(max_retry=1))
    assert isinstance(told.error, APIConnectionError)
    assert not isinstance(told.error, APITimeoutError)
    assert "test could not be reached for 'words' at https://api.test/v1 (connection refused)" in str(told.error)


def test_nothing_is_sent_of_a_wrong_request() -> None:
    server = Server(says("."))

    async def main() -> None:
        async with llm(server).chat(chat_ctx=ChatContext(), extra_kwargs={"wrong": 1}) as stream:
            async for _ in stream:
                pass

    with pytest.raises(UsageError, match="wrong is not known"):
        virtual.run(main())
    assert server.asked == []


def test_nothing_is_sent_before_the_stream_is_read() -> None:
    server = Server(says("."))

    async def main() -> None:
        async with llm(server).chat(chat_ctx=ChatContext()):
            await clock.sleep(1.0)

    virtual.run(main())
    assert server.asked == []


@pytest.mark.parametrize("by", ["close", "cancel"])
def test_closing_or_cancelling_closes_the_connection_at_once(by: str) -> None:
    server = Server(says("one", 5.0, "two", "."))

    async def read(stream: AsyncIterator[ChatChunk]) -> None:
        async for _ in stream:
            if by == "close":
                return

    async def main() -> None:
        stream = llm(server).chat(chat_ctx=ChatContext())
        task = asyncio.ensure_future(read(aiter(stream)))
        await clock.sleep(1.0)
        task.cancel()
        await asyncio.wait([task])
        await stream.aclose()
        assert server.closed == [1.0]

    virtual.run(main())


def test_a_refusal_that_never_ends_is_read_in_part() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 10_000

    async def refuse() -> httpx.Response:
        return httpx.Response(400, content=endless())

    told = ask(Server(lambda request: refuse()))
    assert isinstance(told.error, APIStatusError)


def test_prewarming_asks_for_what_costs_nothing_and_may_fail() -> None:
    for answer in (status(200), says(60.0), lambda request: httpx.Response(500)):
        server = Server(answer)

        async def main(server: Server = server) -> None:
            model = llm(server)
            model.prewarm()
            model.prewarm()
            await clock.sleep(1.0)
            await model.aclose()

        virtual.run(main())
        assert server.asked == [0.0]


def test_d32_the_raw_call_is_logged_when_asked_for_and_without_keys(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        ask(Server(says("one", ".")))
        assert caplog.text == ""
        monkeypatch.setenv("AGENT_RUNTIME_LLM_DEBUG", "1")
        ask(Server(says("one", ".")))
    assert '-> test/words {"text":"***?"}' in caplog.text
    assert "<- test/words one" in caplog.text
    assert "sk-secret" not in caplog.text


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_retry": -1}, "max_retry is -1"),
        ({"timeout": 0}, "timeout is 0"),
        ({"timeout": float("nan")}, "timeout is nan"),
        ({"retry_interval": -0.1}, "retry_interval is -0.1"),
        ({"first_token_timeout": float("inf")}, "first_token_timeout is inf"),
    ],
)
def test_patience_out_of_range(given: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        APIConnectOptions(**given)  # type: ignore[arg-type]


# What is not the service


def page(code: int, **headers: str) -> Script:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request: httpx.Response(code, headers=named, content=b"" if code == 204 else b"<html>Sign in</html>")


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_a_redirect_is_told_and_asked_once(code: int) -> None:
    server = Server(page(code, location="https://user:hunter2@elsewhere.test/v1"))
    told = ask(server)
    assert isinstance(told.error, APIStatusError)
    assert (told.error.status_code, told.error.fault, told.error.retryable) == (code, "request", False)
    assert f"redirects 'words' to https://***@elsewhere.test/v1 (status {code})" in str(told.error)
    assert "correct the base URL" in str(told.error)
    assert len(server.asked) == 1


def test_a_status_with_nothing_behind_it_is_told_and_asked_once() -> None:
    server = Server(page(204))
    told = ask(server)
    assert isinstance(told.error, APIStatusError)
    assert (told.error.status_code, told.error.fault) == (204, "request")
    assert "correct the base URL" in str(told.error)
    assert len(server.asked) == 1


def test_a_web_page_is_no_answer_and_asked_once() -> None:
    server = Server(page(200, content_type="Text/HTML; charset=utf-8"))
    told = ask(server)
    assert isinstance(told.error, APIError)
    assert (told.error.fault, told.error.retryable) == ("answer", False)
    assert "it is a web page; correct the base URL" in str(told.error)
    assert len(server.asked) == 1


# What cannot be sent, and what cannot be read


def raises(error: Exception) -> Script:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error

    return answer


@pytest.mark.parametrize(
    "error",
    [
        httpx.LocalProtocolError("Illegal header value b'Bearer sk-other\\n'"),
        httpx.UnsupportedProtocol("Request URL has an unsupported protocol 'ftp://'."),
        httpx.InvalidURL("Invalid port: 'x'"),
    ],
)
def test_what_cannot_be_sent_is_the_callers_and_told_at_once(error: Exception) -> None:
    server = Server(raises(error))
    with pytest.raises(UsageError, match=r"of test for 'words' at https://api\.test/v1 cannot be sent") as caught:
        ask(server)
    assert len(server.asked) == 1
    shown = "".join(traceback.format_exception(caught.value))
    assert "sk-other" not in shown
    assert "(not shown)" in shown or not isinstance(error, httpx.LocalProtocolError)


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("https://api.test:port/v1", {}),
        ("https://api.test/v1", {"authorization": "Bearer sk-\u00e9-other\u4e16"}),
        ("https://api.test/\x00v1", {}),
        ("https://api.test/v1", {"x-none": None}),
    ],
)
def test_a_request_that_cannot_be_made_is_the_callers(url: str, headers: Any) -> None:
    class Wrong(WordsLLM):
        async def request(self, asked: Asked) -> Request:
            return Request(url, headers, b"{}")

    async def main() -> float:
        model = Wrong(Service("test", "words"), transport=Server(says(".")))
        with pytest.raises(UsageError, match="cannot be sent") as caught:
            await model.chat(chat_ctx=ChatContext()).collect()
        assert caught.value.__context__ is None
        assert "-other" not in "".join(traceback.format_exception(caught.value))
        return clock.now()

    assert virtual.run(main()) == 0.0


def test_an_answer_that_is_not_compressed_as_it_says_is_broken() -> None:
    def garbled(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(b"no gzip"))

    told = ask(Server(garbled))
    assert isinstance(told.error, APIError)
    assert told.error.fault == "answer"
    assert "cannot be used: it is not compressed as it says" in str(told.error)


def test_a_proxy_is_named_as_what_it_is() -> None:
    server = Server(raises(httpx.ProxyError("407 Proxy Authentication Required")))
    told = ask(server)
    assert isinstance(told.error, APIConnectionError)
    assert "The proxy on the way to test lets 'words' not pass (407" in str(told.error)
    assert "HTTPS_PROXY" in str(told.error)
    assert len(server.asked) == 1
    told = ask(Server(status(407)))
    assert isinstance(told.error, APIStatusError)
    assert (told.error.fault, told.error.retryable) == ("network", False)
    assert "HTTP_PROXY" in str(told.error)


def test_nothing_of_a_failure_holds_what_it_came_from() -> None:
    told = ask(Server(raises(httpx.ConnectError("no way with sk-secret"))))
    assert isinstance(told.error, APIConnectionError)
    assert "sk-secret" not in "".join(traceback.format_exception(told.error))
    assert told.error.__context__ is None


# Streams that nobody closes


@pytest.mark.parametrize("then", ["ends", "waits", "collects"])
def test_a_stream_that_is_just_left_ends_in_silence(then: str) -> None:
    server = Server(says("one", 5.0, "two", "."))
    told: list[dict[str, object]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
        model = llm(server)
        stream = model.chat(chat_ctx=ChatContext())
        async for _ in stream:
            break
        if then != "ends":
            del stream
            await clock.sleep(1.0)
            gc.collect()
            await clock.sleep(1.0)
            assert server.closed == [0.0]
        if then == "collects":
            async for _ in model.chat(chat_ctx=ChatContext()):
                break

    virtual.run(main())
    gc.collect()
    assert told == []
    assert len(server.closed) == len(server.asked)


def test_a_stream_is_no_part_of_a_circle() -> None:
    """What is in one ends when the collector comes, all at once and in any order."""

    async def main() -> None:
        stream = llm(Server(says("one", 5.0))).chat(chat_ctx=ChatContext())
        async for _ in stream:
            break
        left = weakref.ref(stream)
        gc.disable()
        try:
            del stream
            assert left() is None
        finally:
            gc.enable()

    virtual.run(main())


def test_any_error_may_say_when_to_ask_again() -> None:
    class Busy(WordsLLM):
        async def request(self, asked: Asked) -> Request:
            times.append(clock.now())
            if len(times) == 1:
                raise APIError("No token yet.", provider="test", retryable=True, retry_after=3.0)
            return await super().request(asked)

    async def main() -> None:
        model = Busy(Service("test", "words"), transport=Server(says("one", ".")))
        assert (await model.chat(chat_ctx=ChatContext()).collect()).text == "one"

    times: list[float] = []
    virtual.run(main())
    assert times == [0.0, pytest.approx(3.0)]


def test_prewarming_at_an_address_that_is_none_is_no_noise() -> None:
    class Wrong(WordsLLM):
        @property
        def prewarm_url(self) -> str:
            return "https://api.test:port/models"

    told: list[dict[str, object]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
        model = Wrong(Service("test", "words"), transport=Server(says(".")))
        model.prewarm()
        await clock.sleep(1.0)
        await model.aclose()

    virtual.run(main())
    gc.collect()
    assert told == []


def test_an_answer_that_is_nested_too_deep_is_broken() -> None:
    told = ask(Server(says("!" + "[" * 100_000)))
    assert isinstance(told.error, APIError)
    assert "cannot be used: it is nested too deep" in str(told.error)


def test_a_parameter_that_is_no_json_is_the_callers() -> None:
    circle: list[object] = []
    circle.append(circle)
    for wrong in ({1, 2}, circle, object()):
        with pytest.raises(UsageError, match="A parameter of the request cannot be written as JSON"):
            Request.of_json("https://api.test/v1", {}, {"given": wrong})
