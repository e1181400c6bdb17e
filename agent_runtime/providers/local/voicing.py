"""From the opinions of a voice detector, one for each short window, to stretches of speech.

Theory of operation. `Windows` cuts microphone frames into the windows that an engine wants and keeps for each the loop
time of its first and of its last sample. `Segmenter` is a pure table of three states over those windows:

* *silence*: the last `of` windows are looked at. When `needed` of them lie above the activation threshold, speech may
  have begun, at the first of these.
* *pending*: speech may have begun but has not lasted for `min_speech_duration`. It is dropped again when no window of
  the last `of` is voiced.
* *speech*: each voiced window moves `last_voiced` on. The threshold is lower here, so that a syllable that fades does
  not end it. `min_silence_duration` after `last_voiced` it ends.

All times are those of the samples, so they do not depend on how late a window was looked at. Where sound is missing (a
dropped frame, a lost device) time simply goes on without windows: speech ends when the gap is as long as the silence.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from agent_runtime.audio.frame import INPUT_RATE, AudioFrame
from agent_runtime.clock import Stopwatch
from agent_runtime.errors import UsageError
from agent_runtime.vad import SpeechEnded, SpeechStarted, VADEvent, VADStream

_RESYNC_S = 0.1
"""A step in `frame.at` beyond this throws the begun window away: its halves do not belong together. Smaller ones are
jitter of the device, or a few dropped frames that no engine minds."""

_EPSILON_S = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class VoicingOptions:
    """How sure, and how long.

    Attributes:
        activation_threshold: a window above it is voiced while there is silence.
        deactivation_threshold: a window at or above it is voiced while there is speech.
        needed: so many voiced windows of the last `of` begin speech.
        of: how many windows are looked at together.
        min_speech_duration: seconds from the onset before speech is reported.
        min_silence_duration: seconds without voice before its end is reported.
    """

    activation_threshold: float = 0.5
    deactivation_threshold: float = 0.35
    needed: int = 2
    of: int = 3
    min_speech_duration: float = 0.05
    min_silence_duration: float = 0.25

    def __post_init__(self) -> None:
        if not 0 < self.deactivation_threshold <= self.activation_threshold < 1:
            raise UsageError(
                f"deactivation_threshold={self.deactivation_threshold:g} and "
                f"activation_threshold={self.activation_threshold:g} must lie between 0 and 1, the first not above it."
            )
        if not 1 <= self.needed <= self.of:
            raise UsageError(f"needed={self.needed} must lie between 1 and of={self.of}.")
        if self.min_speech_duration < 0 or self.min_silence_duration <= 0:
            raise UsageError(
                f"min_speech_duration={self.min_speech_duration:g} must not be negative and "
                f"min_silence_duration={self.min_silence_duration:g} must be above 0 seconds."
            )


@dataclass(frozen=True, slots=True)
class _Window:
    start: float
    end: float
    voiced: bool


class Segmenter:
    """The pure table. Feed it windows in the order of their times; each call says what changed."""

    def __init__(self, options: VoicingOptions) -> None:
        self._options = options
        self._recent: deque[_Window] = deque(maxlen=options.of)
        self._state: Literal["silence", "pending", "speech"] = "silence"
        self._onset = 0.0
        self._last_voiced = 0.0

    @property
    def speaking(self) -> bool:
        return self._state == "speech"

    def push(self, probability: float, start: float, end: float) -> list[VADEvent]:
        """Take the engine's opinion of the sound from `start` to `end`, loop times in seconds."""
        options = self._options
        events = self._skip_to(start)
        threshold = options.deactivation_threshold if self.speaking else options.activation_threshold
        # A probability that is no number compares false: not voiced.
        voiced = probability >= threshold if self.speaking else probability > threshold
        self._recent.append(_Window(start, end, voiced))
        return events + (self._go_on(voiced, end) if self.speaking else self._look_for_speech(end))

    def _skip_to(self, start: float) -> list[VADEvent]:
        """Account for the time between the last window and this one, which is usually none."""
        if self._state == "speech" and start - self._last_voiced >= self._options.min_silence_duration - _EPSILON_S:
            return self._end()
        if self._recent and not -_RESYNC_S < start - self._recent[-1].end < self._options.min_silence_duration:
            # Across a long gap, or when time was set anew, what was heard before says nothing.
            self._recent.clear()
            if self._state == "speech":
                return self._end()
            self._state = "silence"
        return []

    def _look_for_speech(self, end: float) -> list[VADEvent]:
        voiced = [window for window in self._recent if window.voiced]
        if self._state == "silence" and len(voiced) >= self._options.needed:
            self._state = "pending"
            self._onset = voiced[0].start
        if self._state != "pending":
            return []
        if not voiced:
            self._state = "silence"
            return []
        self._last_voiced = voiced[-1].end
        if end - self._onset < self._options.min_speech_duration - _EPSILON_S:
            return []
        self._state = "speech"
        return [SpeechStarted(self._onset)]

    def _go_on(self, voiced: bool, end: float) -> list[VADEvent]:
        if voiced:
            self._last_voiced = end
        if end - self._last_voiced >= self._options.min_silence_duration - _EPSILON_S:
            return self._end()
        return []

    def _end(self) -> list[VADEvent]:
        self._state = "silence"
        self._recent.clear()
        return [SpeechEnded(self._last_voiced)]


class Windows:
    """Cuts frames of any length into windows of `samples`."""

    def __init__(self, samples: int) -> None:
        self._size = 2 * samples
        self._begun = bytearray()
        self._start = 0.0
        self._expected: float | None = None

    def cut(self, data: bytes, at: float) -> Iterator[tuple[bytes, float, float]]:
        """Take sound whose first sample is of loop time `at`; yield whole windows with the times of their ends."""
        if self._expected is None or abs(at - self._expected) > _RESYNC_S:
            self._begun.clear()
        taken = 0
        while taken < len(data):
            if not self._begun:
                self._start = at + taken / (2 * INPUT_RATE)
            piece = data[taken : taken + self._size - len(self._begun)]
            self._begun += piece
            taken += len(piece)
            if len(self._begun) == self._size:
                window = bytes(self._begun)
                self._begun.clear()
                yield window, self._start, at + taken / (2 * INPUT_RATE)
        self._expected = at + len(data) / (2 * INPUT_RATE)


class VoicingStream(VADStream):
    """A detector on one microphone.

    Args:
        label: the descriptor, for messages.
        probability: the engine: from a window's samples to how likely it holds voice, 0 to 1.
        window_samples: how many samples the engine wants at a time.
        options: see `VoicingOptions`.
        watch: where the engine's machine time is counted.
    """

    def __init__(
        self,
        label: str,
        probability: Callable[[bytes], float],
        window_samples: int,
        options: VoicingOptions,
        watch: Stopwatch,
    ) -> None:
        self.probability = 0.0
        """The engine's last opinion, for a level display."""
        self._label = label
        self._judge = probability
        self._windows = Windows(window_samples)
        self._segmenter = Segmenter(options)
        self._watch = watch

    def push(self, frame: AudioFrame) -> list[VADEvent]:
        if frame.sample_rate != INPUT_RATE or frame.num_channels != 1:
            raise UsageError(
                f"{self._label} takes {INPUT_RATE} Hz with 1 channel, not {frame.sample_rate} Hz with "
                f"{frame.num_channels}; resample the frame first."
            )
        if frame.at is None:
            raise UsageError(f"{self._label} needs the time of each frame; set AudioFrame(at=...).")
        events: list[VADEvent] = []
        for window, start, end in self._windows.cut(frame.data, frame.at):
            with self._watch:
                self.probability = self._judge(window)
            events += self._segmenter.push(self.probability, start, end)
        return events
