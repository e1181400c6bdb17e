"""Nodes that follow a script, each with its times: for tests of turn-taking, where only time matters.

Times are seconds of loop time; on a virtual loop they are exact. A node that runs out of script is an error.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from agent_runtime import clock
from agent_runtime.audio.frame import FRAME_S, OUTPUT_RATE, AudioFrame, TimedWord
from agent_runtime.channels import Channel
from agent_runtime.chat import ChatContext, FunctionCallOutput
from agent_runtime.llm import LLM, ChatChunk, ChoiceDelta, FunctionToolCall, LLMStream
from agent_runtime.stt import STT, RecognizeStream, SpeechData, SpeechEvent, SpeechEventType, STTContext
from agent_runtime.testing.caller import Caller as Caller
from agent_runtime.testing.caller import Line as Line
from agent_runtime.testing.caller import ScriptedCaller as ScriptedCaller
from agent_runtime.testing.sounds import bounds, sound
from agent_runtime.tools import Tool, ToolChoice
from agent_runtime.tts import TTS
from agent_runtime.vad import VAD, SpeechEnded, SpeechStarted, VADEvent, VADStream


class OutOfScript(AssertionError):
    """A scripted node was asked for more than its script holds."""


# Nodes


class ScriptedVAD(VAD):
    """Hears every sample that is not silence (see `sounds.LOUD`), in the frame in which it comes.

    Args:
        min_silence: s of silence before it says that the voice has stopped.
    """

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
        voiced = bounds(frame.data)
        if voiced is not None:
            self._last = at + (voiced[1] + 1) / frame.sample_rate
            if not self._on:
                self._on = True
                return [SpeechStarted(onset=at + voiced[0] / frame.sample_rate)]
        elif self._on and at + frame.duration - self._last >= self._min_silence - 1e-9:
            self._on = False
            return [SpeechEnded(last_voiced=self._last)]
        return []


Finals = Literal["once", "never", "twice", "late"]


class ScriptedSTT(STT):
    """Reads the caller's lines: interim k at k times `interim_every` after the onset, the final `delay` after the end.

    A line without words gives an empty final, as recognisers do that have looked at a noise and found nothing; not so a
    noise during a line with words.

    Args:
        delay: s from the end of the voice to the final.
        interim_every: s; interims come as long as the voice is on. None or 0: none come.
        finals: ``never``: only interims; ``twice``: again a second later; ``late``: `late_by` seconds later than due.
        shrinking: every second interim lacks the last of the words that the one before had.
    """

    label = "scripted"

    def __init__(
        self,
        caller: Caller,
        *,
        delay: float = 0.2,
        interim_every: float | None = 0.2,
        finals: Finals = "once",
        late_by: float = 2.0,
        shrinking: bool = False,
    ) -> None:
        self.caller = caller
        self.delay = delay
        self.interim_every = interim_every
        self.finals = finals
        self.late_by = late_by
        self.shrinking = shrinking

    def stream(self, *, language: str | None = None, context: STTContext | None = None) -> RecognizeStream:
        return _ScriptedRecognition(self)

    def readings(self, line: Line) -> list[tuple[float, SpeechEvent]]:
        """What is said of a line when, in order; times are the caller's."""
        words = line.words
        if not words and any(other.words and _overlap(line, other) for other in self.caller.lines):
            return []
        said = [
            (line.at + after, _reading(SpeechEventType.INTERIM_TRANSCRIPT, words[:count], line))
            for after, count in self._interims(words, line.duration)
        ]
        due = line.end + self.delay
        finals = {"once": [due], "never": [], "twice": [due, due + 1.0], "late": [due + self.late_by]}[self.finals]
        return said + [(at, _reading(SpeechEventType.FINAL_TRANSCRIPT, words, line)) for at in finals]

    def _interims(self, words: list[str], duration: float) -> list[tuple[float, int]]:
        """(seconds after the onset, how many words have begun by then)."""
        if not words or not self.interim_every:
            return []
        each = duration / len(words)
        found = []
        for k in range(1, int(duration / self.interim_every + 1e-6) + 1):
            after = k * self.interim_every
            begun = min(len(words), int(after / each + 1e-6) + 1)
            found.append((after, max(1, begun - 1) if self.shrinking and k % 2 == 0 else begun))
        return found


def _overlap(one: Line, other: Line) -> bool:
    return one is not other and one.at < other.end and other.at < one.end


def _reading(kind: SpeechEventType, words: Sequence[str], line: Line) -> SpeechEvent:
    return SpeechEvent(kind, [SpeechData(" ".join(words), confidence=line.confidence)])


class _ScriptedRecognition(RecognizeStream):
    """Says what is due from the moment on at which it was begun, and ends when there is no more sound and nothing due."""

    def __init__(self, stt: ScriptedSTT) -> None:
        super().__init__()
        self._stt = stt

    async def recognize(self, audio: AsyncIterator[AudioFrame]) -> AsyncIterator[SpeechEvent]:
        caller, loop = self._stt.caller, asyncio.get_running_loop()
        ready: Channel[SpeechEvent] = Channel(1024)
        due: list[asyncio.TimerHandle] = []
        begun = clock.now()

        def follow(line: Line) -> None:
            for at, event in self._stt.readings(line):
                if caller.origin + at >= begun - clock.GRAIN_S:
                    due.append(loop.call_at(caller.origin + at, ready.put, event))

        unfollow = caller.follow(follow)
        listening = asyncio.ensure_future(_hear_out(audio, due, ready))
        try:
            async for event in ready:
                yield event
        finally:
            unfollow()
            listening.cancel()
            for timer in due:
                timer.cancel()


async def _hear_out(
    audio: AsyncIterator[AudioFrame], due: Sequence[asyncio.TimerHandle], ready: Channel[SpeechEvent]
) -> None:
    async for _ in audio:
        pass
    last = max((timer.when() for timer in due), default=0.0)
    if last > clock.now():
        await clock.sleep_until(last)
    await clock.sleep(0)
    ready.close()


@dataclass(frozen=True, slots=True)
class ToolCall:
    """In a reply: the model calls a tool."""

    name: str
    arguments: str = "{}"


Call = ToolCall


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


Replies = Mapping[str, Answer] | Sequence[Answer] | Callable[[ChatContext], Answer]


@dataclass(slots=True)
class ScriptedLLM(LLM):
    """Answers by what was said last: the user's text, or a tool's output; ``"*"`` answers everything else.

    A text alone answers everything; with a list, request n gets answer n. Token 1 comes `ttft` after the request, the next
    every 1/`tokens_per_second`; a token is a word with what follows it. `requests` keeps every context it was asked with.

    Raises:
        OutOfScript: from `chat`: it has no answer. `out_of_script` keeps the first.
    """

    replies: Replies
    ttft: float = 0.1
    tokens_per_second: float = 80.0
    requests: list[ChatContext] = field(default_factory=list)
    out_of_script: OutOfScript | None = None
    on_out_of_script: Callable[[OutOfScript], None] | None = None
    label = "scripted"

    def chat(
        self, *, chat_ctx: ChatContext, tools: Sequence[Tool] = (), tool_choice: ToolChoice | None = None
    ) -> LLMStream:
        self.requests.append(chat_ctx)
        try:
            answer = self._answer(chat_ctx)
        except OutOfScript as error:
            self.out_of_script = self.out_of_script or error
            if self.on_out_of_script is not None:
                self.on_out_of_script(error)
            raise
        return _ScriptedAnswer(self, answer, len(self.requests))

    def _answer(self, ctx: ChatContext) -> Sequence[Part]:
        answer: Answer
        if isinstance(self.replies, str):
            answer = self.replies
        elif callable(self.replies):
            answer = self.replies(ctx)
        elif isinstance(self.replies, Mapping):
            last = _last_said(ctx)
            found = next(
                (self.replies[key] for key in (last, " ".join(last.split()), "*") if key in self.replies), None
            )
            if found is None:
                raise OutOfScript(f"The scripted LLM has no reply to {last!r}; it has {list(self.replies)}.")
            answer = found
        elif len(self.requests) > len(self.replies):
            raise OutOfScript(
                f"The scripted LLM has {len(self.replies)} replies and was asked once more, with {_last_said(ctx)!r}."
            )
        else:
            answer = self.replies[len(self.requests) - 1]
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
        start, each = clock.now() + self._llm.ttft, 1 / self._llm.tokens_per_second
        number = calls = 0
        for part in self._parts:
            match part:
                case str():
                    for token in _tokens(part):
                        await clock.sleep_until(start + number * each)
                        number += 1
                        yield ChatChunk(self._id, ChoiceDelta(role="assistant", content=token))
                case Call(name=name, arguments=arguments):
                    await clock.sleep_until(start + number * each)
                    calls += 1
                    call = FunctionToolCall(name, arguments, f"{self._id}_call_{calls}")
                    yield ChatChunk(self._id, ChoiceDelta(role="assistant", tool_calls=[call]))
                case Pause(seconds=seconds):
                    if seconds is None:
                        await asyncio.get_running_loop().create_future()
                    start += seconds or 0.0
                case Fail(error=error):
                    await clock.sleep_until(start + number * each)
                    raise error


def _tokens(text: str) -> list[str]:
    """Words, each with what follows it."""
    return re.findall(r"^\s+|\S+\s*", text)


class ScriptedTTS(TTS):
    """Frame k (20 ms) comes at `ttfb` + k times 20 ms times `real_time_factor` after its text.

    Args:
        word_times: whether the frames tell when each word sounds.
        fails_after_s, dies_after_samples: the engine raises once it has made so much sound in all; and from then on.

    `text` keeps every phrase it was given.
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
        dies_after_samples: int | None = None,
    ) -> None:
        self.ttfb = ttfb
        self.words_per_second = words_per_second
        self.real_time_factor = real_time_factor
        self.word_times = word_times
        self.text: list[str] = []
        self._dies_after = dies_after_samples
        if fails_after_s is not None:
            self._dies_after = round(fails_after_s * OUTPUT_RATE)
        self._made = 0

    @property
    def sample_rate(self) -> int:
        return OUTPUT_RATE

    async def synthesize(self, text: str) -> AsyncIterator[AudioFrame]:
        self.text.append(text)
        start = clock.now() + self.ttfb
        words = text.split()
        each = 1 / self.words_per_second
        total = round(len(words) * each * OUTPUT_RATE)
        pcm = sound("agent", total, OUTPUT_RATE)
        for first in range(0, total, _FRAME):
            await clock.sleep_until(start + first / OUTPUT_RATE * self.real_time_factor)
            last = min(first + _FRAME, total)
            if self._dies_after is not None:
                last = min(last, first + self._dies_after - self._made)
                if last <= first:
                    raise RuntimeError("the scripted synthesiser died")
            self._made += last - first
            at, end = first / OUTPUT_RATE, last / OUTPUT_RATE
            timed = tuple(
                TimedWord(word, i * each - at, (i + 1) * each - at)
                for i, word in enumerate(words)
                if at <= i * each + 1e-9 < end
            )
            yield AudioFrame(pcm[2 * first : 2 * last], OUTPUT_RATE, words=timed if self.word_times else ())


_FRAME = int(FRAME_S * OUTPUT_RATE)
