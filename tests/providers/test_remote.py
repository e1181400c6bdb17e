"""What is the same for every wire: attempts, deadlines, closing. The wire here is the smallest there can be."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

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
