"""Speech as a recogniser takes it that decodes only what is voiced: the spans of it, and what is read in them. Pure.

A *span* is what lies between two silences, and yields one final transcript. It begins `PRE_ROLL_S` before the first frame
that the voice activity detector marks, and ends with the first one that it does not. A long span is decoded as several
*utterances*, of at most `MAX_UTTERANCE_S`.
"""

from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from agent_runtime.audio.frame import INPUT_RATE, AudioFrame
from agent_runtime.channels import Channel
from agent_runtime.errors import UsageError
from agent_runtime.stt import MIN_CONFIDENCE, SpeechData, SpeechEvent, SpeechEventType

PRE_ROLL_S = 0.5
"""How much of what came before the first voiced frame belongs to the span. Silero finds a human onset 0.2 s late."""

MAX_UTTERANCE_S = 20.0
"""A longer span is decoded in pieces of this length: what has to be kept and said again stays bounded."""

MAX_BATCH_S = 1.0
"""No more sound than this is taken at once, also where more waits."""

SAMPLE_BYTES = 2


@dataclass(frozen=True, slots=True)
class Reading:
    """What an utterance says up to now, and from 0.0 to 1.0 how sure that is; None where the engine does not know."""

    text: str
    confidence: float | None

    @property
    def sure(self) -> bool:
        return self.confidence is None or self.confidence >= MIN_CONFIDENCE


NOTHING = Reading("", 0.0)


@dataclass(slots=True)
class Span:
    """What is known of the speech between two silences. Times are loop time."""

    language: str
    start: float
    end: float = 0.0
    kept: tuple[Reading, ...] = ()
    shown: Reading = NOTHING

    def take(self, frames: Sequence[AudioFrame]) -> None:
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


class PreRoll:
    """The newest `PRE_ROLL_S` of the silence, which belong to the speech that follows."""

    def __init__(self) -> None:
        self._frames: deque[AudioFrame] = deque()

    def remember(self, frames: Sequence[AudioFrame]) -> None:
        self._frames.extend(frames)
        while sum(frame.duration for frame in self._frames) - self._frames[0].duration >= PRE_ROLL_S:
            self._frames.popleft()

    def take(self) -> list[AudioFrame]:
        frames = list(self._frames)
        self._frames.clear()
        return frames


async def batches(audio: AsyncIterator[AudioFrame], name: str) -> AsyncIterator[list[AudioFrame]]:
    """All frames that wait, or the next one; each request to a lagging engine so takes more, and it catches up.

    Raises:
        UsageError: a frame is not what recognisers take; `name` is who says so.
    """
    async for frame in audio:
        frames = [_checked(frame, name)]
        while isinstance(audio, Channel) and len(audio) and sum(frame.duration for frame in frames) < MAX_BATCH_S:
            frames.append(_checked(await anext(audio), name))
        yield frames


def by_voice(frames: Sequence[AudioFrame]) -> list[list[AudioFrame]]:
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
