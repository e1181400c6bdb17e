"""A piece of sound and what is known of it."""

from dataclasses import dataclass

FRAME_S = 0.02
"""A microphone frame and a playout frame last 20 ms: what WebRTC and telephony use."""

INPUT_RATE = 16_000
"""Samples a second from the microphone: what every speech recogniser here was trained on."""

OUTPUT_RATE = 24_000
"""Samples a second to the speaker: what most speech services send."""


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word and when it sounds, in seconds from the start of the frame that carries it.

    A word stands in the frame in which it starts; `end` may lie beyond that frame.
    """

    text: str
    start: float
    end: float


@dataclass(slots=True)
class AudioFrame:
    """Interleaved little-endian int16 samples.

    Who hands a frame on leaves it as it is. Not frozen only because there are fifty a second in each direction, and a
    frozen one takes three times as long to make; the ear alone writes into it (`voiced`).

    Attributes:
        data: the samples, 2 bytes each.
        sample_rate: samples a second, per channel.
        num_channels: 1 everywhere inside a session.
        at: loop time of the first sample, where sound came in from somewhere.
        voiced: whether the voice activity node holds the frame to be part of speech (its hang-over included);
            None where there is no such node. The ear sets it. Recognisers that decode only speech go by it.
        text: what the sound from here on says, up to the next frame with a `text`; None: as before.
        spoken: how the engine was asked to say `text`, where that differs (markup taken out).
        words: the words that start in this frame, where the engine knows.
    """

    data: bytes
    sample_rate: int
    num_channels: int = 1
    at: float | None = None
    voiced: bool | None = None
    text: str | None = None
    spoken: str | None = None
    words: tuple[TimedWord, ...] = ()

    @property
    def samples_per_channel(self) -> int:
        return len(self.data) // (2 * self.num_channels)

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.data) // (2 * self.num_channels) / self.sample_rate
