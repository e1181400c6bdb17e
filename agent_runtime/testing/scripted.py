"""Nodes that follow a script, each with its times: for tests of turn-taking, where only time matters.

Times are seconds of loop time; on a virtual loop they are exact. A node that runs out of script is an error.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from agent_runtime import clock
from agent_runtime.audio.endpoints import AudioSource
from agent_runtime.audio.frame import FRAME_S, INPUT_RATE, OUTPUT_RATE, AudioFrame, TimedWord
from agent_runtime.chat import ChatContext, FunctionCallOutput
from agent_runtime.llm import LLM, ChatChunk, ChoiceDelta, FunctionToolCall, LLMStream
from agent_runtime.stt import STT, RecognizeStream, SpeechData, SpeechEvent, SpeechEventType, STTContext
from agent_runtime.tools import FunctionTool, ToolChoice
from agent_runtime.tts import TTS
from agent_runtime.vad import VAD, SpeechEnded, SpeechStarted, VADEvent, VADStream

_FRAME = int(FRAME_S * INPUT_RATE)
_VOICE = b"\x00\x10"


class OutOfScript(AssertionError):
    """A scripted node was asked for more than its script holds."""


# The caller


@dataclass(frozen=True, slots=True)
class Line:
    """Voice from `at` on, lasting `duration`. Its words are spread evenly; without words it is a cough.

    `confidence` is what the recogniser gives its readings.
    """

    at: float
    text: str
    duration: float
    confidence: float | None = None

    @property
    def end(self) -> float:
        return self.at + self.duration


class ScriptedCaller(AudioSource):
    """A caller who says `lines` (times from the start of the call) and is there for `until` seconds."""

    def __init__(self, lines: Iterable[Line], *, until: float) -> None:
        self.lines = sorted(lines, key=lambda line: line.at)
        self._until = until
        self._start: asyncio.Future[float] | None = None
        self._closed = False

    async def started(self) -> float:
        """Loop time of the call's first sample."""
        if self._start is None:
            self._start = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._start)

    async def frames(self) -> AsyncIterator[AudioFrame]:
        if self._start is None:
            self._start = asyncio.get_running_loop().create_future()
        start = clock.now()
        self._start.set_result(start)
        for number in range(round(self._until / FRAME_S)):
            await clock.sleep_until(start + (number + 1) * FRAME_S)
            if self._closed:
                return
            yield AudioFrame(self._sound(number * _FRAME), INPUT_RATE, at=start + number * FRAME_S)

    def _sound(self, first: int) -> bytes:
        pcm = bytearray(2 * _FRAME)
        for line in self.lines:
            begin = max(0, round(line.at * INPUT_RATE) - first)
            end = min(_FRAME, round(line.end * INPUT_RATE) - first)
            if begin < end:
                pcm[2 * begin : 2 * end] = _VOICE * (end - begin)
        return bytes(pcm)

    async def aclose(self) -> None:
        self._closed = True


# Nodes


class ScriptedVAD(VAD):
    """Hears every sample that is not silence, in the frame in which it comes."""

    label = "scripted"

    def __init__(self, *, min_silence: float = 0.25) -> None:
        self.min_silence = min_silence

    def stream(self) -> VADStream:
        return _ScriptedVADStream(self.min_silence)


class _ScriptedVADStream(VADStream):
    def __init__(self, min_silence: float) -> None:
        self._min_silence = min_silence
        self._on = False
        self._last = 0.0

    def push(self, frame: AudioFrame) -> list[VADEvent]:
        at = frame.at if frame.at is not None else clock.now() - frame.duration
        voiced = frame.data.strip(b"\0")
        if voiced:
            lead = (len(frame.data) - len(frame.data.lstrip(b"\0"))) // 2
            self._last = at + (len(frame.data.rstrip(b"\0")) + 1) // 2 / frame.sample_rate
            if not self._on:
                self._on = True
                return [SpeechStarted(onset=at + lead / frame.sample_rate)]
        elif self._on and at + frame.duration - self._last >= self._min_silence - 1e-9:
            self._on = False
            return [SpeechEnded(last_voiced=self._last)]
        return []


class ScriptedSTT(STT):
    """Reads the caller's lines: interim k at k times `interim_every` after the onset, the final `delay` after the end."""

    label = "scripted"

    def __init__(self, caller: ScriptedCaller, *, delay: float = 0.2, interim_every: float | None = 0.2) -> None:
        self.caller = caller
        self.delay = delay
        self.interim_every = interim_every

    def stream(self, *, language: str | None = None, context: STTContext | None = None) -> RecognizeStream:
        return _ScriptedRecognition(self)

    def readings(self) -> list[tuple[float, SpeechEvent]]:
        """What is said when, in order."""
        said: list[tuple[float, SpeechEvent]] = []
        for line in self.caller.lines:
            words = line.text.split()
            count = int(line.duration / self.interim_every) if self.interim_every and words else 0
            for k in range(1, count + 1):
                assert self.interim_every is not None
                begun = [
                    word for i, word in enumerate(words) if i * line.duration / len(words) <= k * self.interim_every
                ]
                said.append(
                    (line.at + k * self.interim_every, _reading(SpeechEventType.INTERIM_TRANSCRIPT, begun, line))
                )
            said.append((line.end + self.delay, _reading(SpeechEventType.FINAL_TRANSCRIPT, words, line)))
        return sorted(said, key=lambda each: each[0])


def _reading(kind: SpeechEventType, words: Sequence[str], line: Line) -> SpeechEvent:
    return SpeechEvent(kind, [SpeechData(" ".join(words), confidence=line.confidence)])


class _ScriptedRecognition(RecognizeStream):
    def __init__(self, stt: ScriptedSTT) -> None:
        super().__init__()
        self._stt = stt

    async def recognize(self, audio: AsyncIterator[AudioFrame]) -> AsyncIterator[SpeechEvent]:
        start = await self._stt.caller.started()
        for at, event in self._stt.readings():
            await clock.sleep_until(start + at)
            yield event
        async for _ in audio:
            pass


@dataclass(frozen=True, slots=True)
class Call:
    """In a reply: the model calls a tool."""

    name: str
    arguments: str = "{}"


@dataclass(frozen=True, slots=True)
class Pause:
    """In a reply: nothing comes for so long; None: nothing comes any more."""

    seconds: float | None


@dataclass(frozen=True, slots=True)
class Fail:
    """In a reply: the model fails with this."""

    error: Exception


Part = str | Call | Pause | Fail
Answer = Part | Sequence[Part]


@dataclass(slots=True)
class ScriptedLLM(LLM):
    """Answers by what was said last: the user's text, or a tool's output; ``"*"`` answers everything else.

    Token 1 comes `ttft` after the request, the next every 1/`tokens_per_second`; a token is a word with what follows it.
    `requests` keeps every context it was asked with.
    """

    replies: "dict[str, Answer] | Callable[[ChatContext], Answer]"
    ttft: float = 0.1
    tokens_per_second: float = 80.0
    requests: list[ChatContext] = field(default_factory=list)
    label = "scripted"

    def chat(
        self, *, chat_ctx: ChatContext, tools: Sequence[FunctionTool] = (), tool_choice: ToolChoice | None = None
    ) -> LLMStream:
        self.requests.append(chat_ctx)
        return _ScriptedAnswer(self, self._answer(chat_ctx), len(self.requests))

    def _answer(self, ctx: ChatContext) -> Sequence[Part]:
        if callable(self.replies):
            answer = self.replies(ctx)
        else:
            last = _last_said(ctx)
            found = self.replies.get(last, self.replies.get("*"))
            if found is None:
                raise OutOfScript(f"The scripted LLM has no reply to {last!r}; it has {list(self.replies)}.")
            answer = found
        return [answer] if isinstance(answer, str | Call | Pause | Fail) else answer


def _last_said(ctx: ChatContext) -> str:
    for item in reversed(ctx.items):
        if isinstance(item, FunctionCallOutput):
            return item.output
        if getattr(item, "role", None) == "user":
            return getattr(item, "text_content", "") or ""
    return ""


class _ScriptedAnswer(LLMStream):
    def __init__(self, llm: ScriptedLLM, parts: Sequence[Part], number: int) -> None:
        self._llm = llm
        self._parts = parts
        self._id = f"answer_{number}"

    async def generate(self) -> AsyncIterator[ChatChunk]:
        due = clock.now() + self._llm.ttft
        calls = 0
        for part in self._parts:
            match part:
                case str():
                    for token in _tokens(part):
                        await clock.sleep_until(due)
                        due = clock.now() + 1 / self._llm.tokens_per_second
                        yield ChatChunk(self._id, ChoiceDelta(role="assistant", content=token))
                case Call(name=name, arguments=arguments):
                    await clock.sleep_until(due)
                    calls += 1
                    call = FunctionToolCall(name, arguments, f"{self._id}_call_{calls}")
                    yield ChatChunk(self._id, ChoiceDelta(role="assistant", tool_calls=[call]))
                case Pause(seconds=seconds):
                    if seconds is None:
                        await asyncio.get_running_loop().create_future()
                    due += seconds or 0.0
                case Fail(error=error):
                    await clock.sleep_until(due)
                    raise error


def _tokens(text: str) -> list[str]:
    words = text.split(" ")
    return [word + " " for word in words[:-1]] + [words[-1]]


class ScriptedTTS(TTS):
    """Frame k (20 ms) comes at `ttfb` + k times 20 ms times `real_time_factor` after its text.

    `fails_after_s`: the engine raises once it has made so much sound. `text` keeps every phrase it was given.
    """

    label = "scripted"

    def __init__(
        self,
        *,
        ttfb: float = 0.2,
        words_per_second: float = 3.0,
        real_time_factor: float = 0.1,
        word_times: bool = True,
        fails_after_s: float | None = None,
    ) -> None:
        self.ttfb = ttfb
        self.words_per_second = words_per_second
        self.real_time_factor = real_time_factor
        self.word_times = word_times
        self.fails_after_s = fails_after_s
        self.text: list[str] = []
        self._made_s = 0.0

    @property
    def sample_rate(self) -> int:
        return OUTPUT_RATE

    async def synthesize(self, text: str) -> AsyncIterator[AudioFrame]:
        self.text.append(text)
        start = clock.now()
        words = text.split()
        frame = int(FRAME_S * OUTPUT_RATE)
        total = round(len(words) / self.words_per_second * OUTPUT_RATE)
        each = 1 / self.words_per_second
        for first in range(0, total, frame):
            await clock.sleep_until(start + self.ttfb + first / OUTPUT_RATE * self.real_time_factor)
            if self.fails_after_s is not None and self._made_s >= self.fails_after_s:
                raise RuntimeError("the scripted synthesiser died")
            samples = min(frame, total - first)
            self._made_s += samples / OUTPUT_RATE
            at, end = first / OUTPUT_RATE, (first + samples) / OUTPUT_RATE
            timed = tuple(
                TimedWord(word, i * each - at, (i + 1) * each - at)
                for i, word in enumerate(words)
                if at <= i * each + 1e-9 < end
            )
            yield AudioFrame(b"\x00\x20" * samples, OUTPUT_RATE, words=timed if self.word_times else ())
