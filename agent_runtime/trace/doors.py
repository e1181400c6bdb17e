"""The doors of a session, through which everything comes that a tape holds: each passes it on, and has it written.

`Ask` is a request that was made of something outside; the classes behind it stand in the place of a session's ends and nodes.
"""

import asyncio
import contextlib
import inspect
from array import array
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import aclosing
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from agent_runtime.audio.endpoints import AudioSink, AudioSource
from agent_runtime.audio.frame import AudioFrame
from agent_runtime.llm import LLM, ChatChunk, LLMStream, ModelCall, reporting
from agent_runtime.stt import STT, RecognizeStream, SpeechEvent, STTContext
from agent_runtime.tools import Tool, ToolChoice
from agent_runtime.trace import codec
from agent_runtime.trace.tape import pack, pack_floats
from agent_runtime.tts import TTS
from agent_runtime.turns.detectors import TurnSoFar
from agent_runtime.vad import VAD, VADEvent, VADStream

if TYPE_CHECKING:
    from agent_runtime.trace.recorder import Recorder

SOUND_S = 1.0
"""So much of the caller's sound is gathered for a record, and so much is lost when the process is killed."""

within_node: ContextVar["Ask | None"] = ContextVar("tape_node", default=None)
"""The overridden node in which the code runs."""


class Ask:
    """A request, and what comes of it."""

    def __init__(self, recorder: "Recorder", number: int) -> None:
        self.id = number
        self._recorder = recorder
        self._over = False

    def got(self, **values: Any) -> None:
        if self._over:  # a model that lost a race, and ends later
            return
        recorder = self._recorder
        frame = values.pop("frame", None)
        told = {"r": "got", "id": self.id, "m": recorder.mark(), **values}
        if frame is None:
            recorder.tape.write(told)
        else:
            values, sound = codec.frame(frame)
            recorder.tape.write({**told, "frame": values}, sound)

    def end(self, error: BaseException | None = None, **values: Any) -> None:
        if self._over:
            return
        self._over = True
        task = asyncio.current_task()
        own = isinstance(error, asyncio.CancelledError) and task is not None and not task.cancelling()
        if isinstance(error, GeneratorExit | asyncio.CancelledError) and not own:
            values["left"] = True  # nobody wants the rest
        elif error is not None:
            values["error"] = codec.error(error)
        recorder = self._recorder
        recorder.tape.write({"r": "end", "id": self.id, "m": recorder.mark(), **values})

    async def through(self, items: AsyncIterable[Any], *, whole: bool = False) -> AsyncGenerator[Any]:
        """The same items, each recorded; `whole`: with what else the node tells the session meanwhile."""
        stream = aiter(items)
        close = getattr(stream, "aclose", None)
        try:
            async with aclosing(stream) if close is not None else contextlib.nullcontext():  # type: ignore[type-var]
                while True:
                    token = within_node.set(self if whole else within_node.get())
                    try:
                        item = await anext(stream)
                    except StopAsyncIteration:
                        break
                    finally:
                        within_node.reset(token)
                    self.got(**codec.item(item))
                    yield item
        except BaseException as error:
            self.end(error)
            raise
        self.end()

    async def pulling(self, text: AsyncIterable[str]) -> AsyncIterator[str]:
        """The text that a node takes."""
        async for piece in text:
            self.got(pull=piece)
            yield piece
        self.got(pull=None)


class TapedSource(AudioSource):
    def __init__(self, recorder: "Recorder", source: AudioSource) -> None:
        self._recorder = recorder
        self._source = source

    async def frames(self) -> AsyncIterator[AudioFrame]:
        ask = self._recorder.ask("source")
        try:
            async for frame in self._source.frames():
                self._recorder.frame(frame)
                yield frame
        except BaseException as error:
            ask.end(error)
            raise
        ask.end()

    async def aclose(self) -> None:
        await self._source.aclose()


class TapedFrames:
    """The caller's sound on its way into the file."""

    def __init__(self, recorder: "Recorder") -> None:
        self._recorder = recorder
        self._marks = array("d")
        self._pcm = bytearray()
        self._rate = 0

    def add(self, frame: AudioFrame) -> None:
        if frame.sample_rate != self._rate:
            self.flush()
            self._rate = frame.sample_rate
        at = frame.at if frame.at is not None else float("nan")
        self._marks.extend((at, len(frame.data), *self._recorder.mark()))
        self._pcm += frame.data
        if len(self._pcm) >= 2 * SOUND_S * self._rate:
            self.flush()

    def flush(self) -> None:
        if not self._marks:
            return
        name, packed = pack(bytes(self._pcm), self._rate)
        marks = pack_floats(self._marks)
        self._recorder.tape.write(
            {"r": "frames", "rate": self._rate, "codec": name, "marks": len(marks)}, marks + packed
        )
        self._marks = array("d")
        self._pcm.clear()


class TapedSink(AudioSink):
    """The played position of a device is no function of time, so it is noted when somebody asks for it."""

    def __init__(self, recorder: "Recorder", sink: AudioSink, *, by_clock: bool) -> None:
        self._recorder = recorder
        self._sink = sink
        self._by_clock = by_clock
        self._last = -1
        self.sample_rate = sink.sample_rate

    @property
    def latency_s(self) -> float:  # type: ignore[override]  # of the sink, which may learn it later
        return self._sink.latency_s

    def write(self, pcm: bytes) -> None:
        with self._watched():
            self._sink.write(pcm)
        self._note()

    @property
    def queued_samples(self) -> int:
        with self._watched():
            return self._sink.queued_samples

    @property
    def played_samples(self) -> int:
        with self._watched():
            played = self._sink.played_samples
        if played != self._last:
            self._note()
        return played

    def clear(self) -> int:
        with self._watched():
            thrown = self._sink.clear()
        self._note()
        return thrown

    def _note(self) -> None:
        if self._by_clock:
            return
        self._last = self._sink.played_samples
        self._recorder.position(self._last, self._sink.queued_samples)

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._recorder.failed("sink", error)
            raise

    async def aclose(self) -> None:
        await self._sink.aclose()


class TapedVAD(VAD):
    def __init__(self, recorder: "Recorder", vad: VAD) -> None:
        self._recorder = recorder
        self._vad = vad
        self.label = vad.label or type(vad).__name__

    def __getattr__(self, name: str) -> Any:
        return getattr(self._vad, name)

    def stream(self) -> VADStream:
        try:
            return _TapedVADStream(self._recorder, self._vad.stream())
        except Exception as error:
            self._recorder.failed("vad", error)
            raise


class _TapedVADStream(VADStream):
    def __init__(self, recorder: "Recorder", stream: VADStream) -> None:
        self._recorder = recorder
        self._stream = stream
        self._frames = 0

    def push(self, frame: AudioFrame) -> list[VADEvent]:
        try:
            said = self._stream.push(frame)
        except Exception as error:
            self._recorder.failed("vad", error)
            raise
        if said:
            self._recorder.tape.write({"r": "vad", "frame": self._frames, "said": [codec.vad_event(e) for e in said]})
        self._frames += 1
        return said

    def close(self) -> None:
        self._stream.close()


class TapedSTT(STT):
    def __init__(self, recorder: "Recorder", stt: STT) -> None:
        self._recorder = recorder
        self._stt = stt
        self.label = stt.label or type(stt).__name__
        self.uses_tools = stt.uses_tools
        self.needs_vad = stt.needs_vad

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stt, name)

    def stream(self, *, language: str | None = None, context: STTContext | None = None) -> RecognizeStream:
        return _TapedRecognition(self._recorder, self._stt.stream(language=language, context=context))

    async def aclose(self) -> None:
        await self._stt.aclose()


class _TapedRecognition(RecognizeStream):
    def __init__(self, recorder: "Recorder", stream: RecognizeStream) -> None:
        super().__init__()
        self._recorder = recorder
        self._stream = stream

    async def recognize(self, audio: AsyncIterator[AudioFrame]) -> AsyncIterator[SpeechEvent]:
        ask = self._recorder.ask("stt")
        told = self.on_restart

        def restarted(reason: str) -> None:
            ask.got(restart=reason)
            if told is not None:
                told(reason)

        self._stream.on_restart = restarted
        async with aclosing(ask.through(self._stream.recognize(audio))) as said:
            async for event in said:
                yield event

    async def aclose(self) -> None:
        await self._stream.aclose()


class TapedLLM(LLM):
    def __init__(self, recorder: "Recorder", llm: LLM) -> None:
        self._recorder = recorder
        self._llm = llm
        self.label, self.model, self.provider = llm.label, llm.model, llm.provider
        self.leaves_machine = llm.leaves_machine
        self.first_token_timeout, self.watches_itself = llm.first_token_timeout, llm.watches_itself

    def __getattr__(self, name: str) -> Any:
        return getattr(self._llm, name)

    def chat(self, *, chat_ctx: Any, tools: Sequence[Tool] = (), tool_choice: ToolChoice | None = None) -> LLMStream:
        ask = self._recorder.ask("llm", **codec.question(chat_ctx), choice=codec.plain(tool_choice))
        try:
            stream = self._llm.chat(chat_ctx=chat_ctx, tools=tools, tool_choice=tool_choice)
        except Exception as error:
            ask.end(error)
            raise
        return _TapedAnswer(ask, stream)

    async def aclose(self) -> None:
        await self._llm.aclose()


class _TapedAnswer(LLMStream):
    def __init__(self, ask: Ask, stream: LLMStream) -> None:
        self._ask = ask
        self._stream = stream

    def generate(self) -> AsyncIterator[ChatChunk]:
        return self._ask.through(_Accounted(self._ask, self._stream))


class _Accounted:
    """An answer, with what its requests to models came to: that is recorded among its pieces."""

    def __init__(self, ask: Ask, stream: LLMStream) -> None:
        self._ask = ask
        self._chunks = aiter(stream)
        self._close = stream.aclose
        self._report = reporting.get()

    def __aiter__(self) -> AsyncIterator[ChatChunk]:
        return self

    async def __anext__(self) -> ChatChunk:
        token = reporting.set(self._note)
        try:
            return await anext(self._chunks)
        finally:
            reporting.reset(token)

    async def aclose(self) -> None:
        token = reporting.set(self._note)
        try:
            await self._close()
        finally:
            reporting.reset(token)

    def _note(self, call: ModelCall) -> None:
        self._ask.got(call=codec.model_call(call))
        if self._report is not None:
            self._report(call)


class TapedTTS(TTS):
    def __init__(self, recorder: "Recorder", tts: TTS) -> None:
        self._recorder = recorder
        self._tts = tts
        self.label = tts.label
        self.word_times = tts.word_times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tts, name)

    @property
    def sample_rate(self) -> int:
        return self._tts.sample_rate

    def synthesize(self, text: str) -> AsyncIterator[AudioFrame]:
        return self._recorder.ask("tts", text=text).through(self._tts.synthesize(text))

    async def aclose(self) -> None:
        await self._tts.aclose()


class TapedDetector:
    """The application's own turn detector."""

    def __init__(self, recorder: "Recorder", detector: Any) -> None:
        self._recorder = recorder
        self._detector = detector

    def __getattr__(self, name: str) -> Any:
        return getattr(self._detector, name)

    @property
    def label(self) -> str:
        return str(self._detector.label)

    def predict(self, turn: TurnSoFar) -> float | Awaitable[float | None] | None:
        ask = self._recorder.ask("detector", text=turn.text, label=self.label)
        try:
            answer = self._detector.predict(turn)
        except Exception as error:
            ask.end(error, now=True)
            raise
        if inspect.isawaitable(answer):
            return self._later(ask, answer)
        ask.end(None, now=True, value=codec.plain(answer))
        return answer  # type: ignore[no-any-return]

    async def _later(self, ask: Ask, answer: Awaitable[float | None]) -> float | None:
        try:
            value = await answer
        except BaseException as error:
            ask.end(error)
            raise
        ask.end(None, value=codec.plain(value))
        return value
