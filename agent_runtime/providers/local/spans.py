"""Speech recognition span by span, in a child process per microphone: what the local recognisers have in common.

An engine hears only what the voice activity detector marks, from half a second before the first marked frame (a detector
needs some sound to be sure) to the first unmarked one: hearing everything costs twice as much and gains nothing.

Theory of operation. A *span* is what lies between two silences; it yields one final transcript. A span is decoded as
one *utterance*, or as several of at most `MAX_UTTERANCE_S`. The sound of the utterance is kept until its final reading
has come, so that a child which dies or hangs on the way is replaced by one that is told the same again; the frames which
arrive meanwhile wait in the stream's channel. So no word is lost, and what is kept has a bound.
"""

import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from agent_runtime import clock
from agent_runtime.audio.frame import INPUT_RATE, AudioFrame
from agent_runtime.channels import Channel
from agent_runtime.errors import EngineDied, EngineStalled, UsageError
from agent_runtime.providers.local.child import ChildEngine
from agent_runtime.stt import MIN_CONFIDENCE, STT, RecognizeStream, SpeechData, SpeechEvent, SpeechEventType

logger = logging.getLogger(__name__)

PRE_ROLL_S = 0.5
"""How much of what came before the first voiced frame belongs to the span. Silero finds a human onset 0.2 s late."""

MAX_UTTERANCE_S = 20.0
"""A longer span is decoded in pieces of this length: what has to be kept and said again stays bounded."""

MAX_FAILURES = 3
"""So many children may be lost in one utterance; then the recogniser gives up."""

START_DEADLINE_S = 20.0
"""A child may take this long to start, model included: half a second, but not from a cold disk on a busy machine."""

_MAX_REQUEST_S = 1.0
"""More sound than this goes to the child in several requests, so that each meets its deadline on a busy machine."""

_SAMPLE_BYTES = 2


@dataclass(frozen=True, slots=True)
class Reading:
    """What an utterance says up to now, and from 0.0 to 1.0 how sure that is; None where the engine does not know.

    A child's engine has a method ``hear(pcm: bytes, first: bool, last: bool) -> Reading`` that takes the next piece of an
    utterance, of any length: `first` opens it, `last` closes it, and that reading is final. Its method
    ``skipped() -> tuple[str, ...]`` says what it was asked to listen for and cannot.
    """

    text: str
    confidence: float | None

    @property
    def sure(self) -> bool:
        return self.confidence is None or self.confidence >= MIN_CONFIDENCE


NOTHING = Reading("", 0.0)


class SpanSTT(STT):
    """A recogniser whose engine runs in a child process, one per stream.

    Attributes:
        watch: machine time spent waiting for the children of all streams.
    """

    needs_vad = True

    def __init__(self, *, deadline: float) -> None:
        self.watch = clock.Stopwatch()
        self._deadline = deadline
        self._streams: list[SpanStream] = []

    def _open(self, target: str, options: dict[str, object], language: str = "en") -> "SpanStream":
        """Start on a new microphone with the engine that the factory `target` makes in the child."""
        self._streams = [stream for stream in self._streams if not stream.closed]
        start = max(self._deadline, START_DEADLINE_S)
        child = ChildEngine(self.label, target, options, deadline=self._deadline, start_deadline=start)
        child.watch = self.watch
        stream = SpanStream(child, language)
        self._streams.append(stream)
        return stream

    async def aclose(self) -> None:
        streams, self._streams = self._streams, []
        for stream in streams:
            await stream.aclose()


class SpanStream(RecognizeStream):
    """One microphone and its child process.

    Attributes:
        on_restart: called with ``"died"`` or ``"stalled"`` when the child had to be replaced.
        skipped: what the application declared but cannot be listened for, each with its reason; known once started.
    """

    def __init__(self, child: ChildEngine, language: str) -> None:
        super().__init__()
        self.on_restart: Callable[[str], None] | None = None
        self.skipped: tuple[str, ...] = ()
        self.closed = False
        self._child = child
        self._language = language
        self._before: deque[AudioFrame] = deque()
        self._utterance = bytearray()
        self._told = 0
        self._failures = 0

    @property
    def pid(self) -> int | None:
        """Of the child process, while there is one."""
        return self._child.pid

    async def recognize(self, audio: AsyncIterator[AudioFrame]) -> AsyncIterator[SpeechEvent]:
        try:
            await self._warm_up()
            span: _Span | None = None
            async for frames in _batches(audio, self._child.name):
                for frames_alike in _by_voice(frames):
                    if frames_alike[0].voiced:
                        if span is None:
                            span = _Span(self._language, frames_alike[0].at or 0.0)
                            yield SpeechEvent(SpeechEventType.START_OF_SPEECH)
                            frames_alike = [*self._before, *frames_alike]
                            self._before.clear()
                        span.take(frames_alike)
                        if (event := span.heard(await self._hear(frames_alike, span))) is not None:
                            yield event
                    else:
                        if span is not None:
                            yield span.finished(await self._finish())
                            yield SpeechEvent(SpeechEventType.END_OF_SPEECH)
                            span = None
                        self._remember(frames_alike)
            if span is not None:
                yield span.finished(await self._finish())
                yield SpeechEvent(SpeechEventType.END_OF_SPEECH)
        except (EngineDied, EngineStalled):
            if not self.closed:
                raise
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        await super().aclose()
        self.closed = True
        await self._child.aclose()

    def _remember(self, frames: list[AudioFrame]) -> None:
        self._before.extend(frames)
        while sum(frame.duration for frame in self._before) - self._before[0].duration >= PRE_ROLL_S:
            self._before.popleft()

    # The child.

    async def _warm_up(self) -> None:
        """Load the models before anybody speaks: that takes half a second."""
        while True:
            try:
                self.skipped = await self._child.request("skipped")
                break
            except (EngineDied, EngineStalled) as error:
                self._lost(error)
        self._failures = 0
        if self.skipped:
            logger.warning("%s cannot listen for: %s.", self._child.name, "; ".join(self.skipped))

    async def _hear(self, frames: list[AudioFrame], span: "_Span") -> Reading:
        for frame in frames:
            self._utterance += frame.data
        if len(self._utterance) >= MAX_UTTERANCE_S * INPUT_RATE * _SAMPLE_BYTES:
            span.keep(await self._finish())
            return NOTHING
        return await self._tell(last=False)

    async def _finish(self) -> Reading:
        reading = await self._tell(last=True)
        self._utterance.clear()
        self._told = 0
        self._failures = 0
        return reading

    async def _tell(self, *, last: bool) -> Reading:
        """Send what the child was not told of the utterance; where it is lost, send everything to its successor."""
        while True:
            try:
                return await self._send(last)
            except (EngineDied, EngineStalled) as error:
                self._lost(error)

    async def _send(self, last: bool) -> Reading:
        step = int(_MAX_REQUEST_S * INPUT_RATE) * _SAMPLE_BYTES
        while True:
            piece = bytes(self._utterance[self._told : self._told + step])
            at_end = self._told + len(piece) == len(self._utterance)
            reading: Reading = await self._child.request("hear", piece, self._told == 0, last and at_end)
            self._told += len(piece)
            if at_end:
                return reading

    def _lost(self, error: EngineDied | EngineStalled) -> None:
        """Count a lost child, or give up. The next request starts another."""
        if self.closed:
            raise error
        self._told = 0
        self._failures += 1
        if self._failures >= MAX_FAILURES:
            raise error
        if self.on_restart is not None:
            self.on_restart("stalled" if isinstance(error, EngineStalled) else "died")


@dataclass(slots=True)
class _Span:
    """What is known of the speech between two silences. Times are loop time."""

    language: str
    start: float
    end: float = 0.0
    kept: tuple[Reading, ...] = ()
    shown: Reading = NOTHING

    def take(self, frames: list[AudioFrame]) -> None:
        last = frames[-1]
        self.end = (last.at or 0.0) + last.duration

    def keep(self, reading: Reading) -> None:
        """An utterance of the span is over; the span is not."""
        if reading.text:
            self.kept += (reading,)

    def heard(self, reading: Reading) -> SpeechEvent | None:
        """An interim transcript, if it says anything new: another text, or that the same text is now to be believed."""
        reading = self._whole(reading)
        if reading.text == self.shown.text and reading.sure == self.shown.sure:
            return None
        self.shown = reading
        return self._event(SpeechEventType.INTERIM_TRANSCRIPT, reading)

    def finished(self, reading: Reading) -> SpeechEvent:
        return self._event(SpeechEventType.FINAL_TRANSCRIPT, self._whole(reading))

    def _whole(self, reading: Reading) -> Reading:
        parts = [*self.kept, reading] if reading.text else [*self.kept]
        known = [part.confidence for part in parts if part.confidence is not None]
        if not parts:
            return NOTHING
        return Reading(" ".join(part.text for part in parts), min(known) if known else None)

    def _event(self, kind: SpeechEventType, reading: Reading) -> SpeechEvent:
        data = SpeechData(reading.text, self.language, reading.confidence, self.start, self.end)
        return SpeechEvent(kind, [data])


async def _batches(audio: AsyncIterator[AudioFrame], name: str) -> AsyncIterator[list[AudioFrame]]:
    """All frames that wait, or the next one; each request to a lagging engine so takes more, and it catches up."""
    async for frame in audio:
        frames = [_checked(frame, name)]
        while isinstance(audio, Channel) and len(audio) and sum(frame.duration for frame in frames) < _MAX_REQUEST_S:
            frames.append(_checked(await anext(audio), name))
        yield frames


def _by_voice(frames: list[AudioFrame]) -> list[list[AudioFrame]]:
    """Cut where the voice begins or ends."""
    runs: list[list[AudioFrame]] = []
    for frame in frames:
        if runs and bool(runs[-1][0].voiced) == bool(frame.voiced):
            runs[-1].append(frame)
        else:
            runs.append([frame])
    return runs


def _checked(frame: AudioFrame, name: str) -> AudioFrame:
    if frame.sample_rate != INPUT_RATE or frame.num_channels != 1:
        raise UsageError(
            f"{name} takes mono sound at {INPUT_RATE} Hz, not {frame.num_channels} channels at "
            f"{frame.sample_rate} Hz; resample it first."
        )
    return frame
