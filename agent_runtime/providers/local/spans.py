"""Speech recognition span by span, in a child process per microphone: what the local recognisers have in common.

An engine hears only the spans of `providers.voiced`: hearing everything costs twice as much and gains nothing.

Theory of operation. The sound of an utterance is kept until its final reading has come, so that a child which dies or
hangs on the way is replaced by one that is told the same again; the frames which arrive meanwhile wait in the stream's
channel. So no word is lost, and what is kept has a bound.

A child's engine has a method ``hear(pcm: bytes, first: bool, last: bool) -> Reading`` that takes the next piece of an
utterance, of any length: `first` opens it, `last` closes it, and that reading is final. Its method
``skipped() -> tuple[str, ...]`` says what it was asked to listen for and cannot.
"""

import logging
from collections.abc import AsyncIterator, Callable

from agent_runtime import clock
from agent_runtime.audio.frame import INPUT_RATE, AudioFrame
from agent_runtime.errors import EngineDied, EngineStalled
from agent_runtime.providers.local.child import ChildEngine
from agent_runtime.providers.voiced import (
    MAX_BATCH_S,
    MAX_UTTERANCE_S,
    NOTHING,
    SAMPLE_BYTES,
    PreRoll,
    Reading,
    Span,
    batches,
    by_voice,
)
from agent_runtime.stt import STT, RecognizeStream, SpeechEvent, SpeechEventType

logger = logging.getLogger(__name__)

MAX_FAILURES = 3
"""So many children may be lost in one utterance; then the recogniser gives up."""

START_DEADLINE_S = 20.0
"""A child may take this long to start, model included: half a second, but not from a cold disk on a busy machine."""


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
        self._before = PreRoll()
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
            span: Span | None = None
            async for frames in batches(audio, self._child.name):
                for frames_alike in by_voice(frames):
                    if frames_alike[0].voiced:
                        if span is None:
                            span = Span(self._language, frames_alike[0].at or 0.0)
                            yield SpeechEvent(SpeechEventType.START_OF_SPEECH)
                            frames_alike = [*self._before.take(), *frames_alike]
                        span.take(frames_alike)
                        if (event := span.heard(await self._hear(frames_alike, span))) is not None:
                            yield event
                    else:
                        if span is not None:
                            yield span.finished(await self._finish())
                            yield SpeechEvent(SpeechEventType.END_OF_SPEECH)
                            span = None
                        self._before.remember(frames_alike)
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

    async def _hear(self, frames: list[AudioFrame], span: Span) -> Reading:
        for frame in frames:
            self._utterance += frame.data
        if len(self._utterance) >= MAX_UTTERANCE_S * INPUT_RATE * SAMPLE_BYTES:
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
        step = int(MAX_BATCH_S * INPUT_RATE) * SAMPLE_BYTES
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
