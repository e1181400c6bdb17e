"""Where sound comes from and where it goes, as a session sees it: a microphone, a file, memory, a room."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable

from agent_runtime.audio.frame import AudioFrame


class AudioSource(ABC):
    """The caller's sound."""

    @abstractmethod
    def frames(self) -> AsyncIterator[AudioFrame]:
        """An async generator of 20 ms frames, 16 kHz mono int16, with `at` set to the loop time of the first sample.

        It yields each frame when its last sample has come in, so `at` is about 20 ms before `clock.now()`. It ends when
        the caller is gone for good; a lost device is not that.
        """

    async def listen(self, hear: Callable[[AudioFrame], None]) -> None:
        """Call `hear` with each frame, until the caller is gone. It never raises.

        What is here does for every source. One whose sound is pushed into it saves a task switch a frame by calling
        `hear` in that very call.
        """
        async for frame in self.frames():
            hear(frame)

    async def aclose(self) -> None:
        """Let go of the device or file; `frames` ends."""


class AudioSink(ABC):
    """The caller's ear: a queue of samples which the device consumes at its own pace.

    The playout keeps the queue short and asks often what has been played; `played_samples` is the only truth about what
    the caller heard. Sound is mono int16 at `sample_rate`. Nothing here waits.
    """

    sample_rate: int
    latency_s: float = 0.0
    """Seconds from a sample being consumed (counted as played) to its being heard."""

    @abstractmethod
    def write(self, pcm: bytes) -> None:
        """Queue samples behind those already queued."""

    @property
    @abstractmethod
    def queued_samples(self) -> int:
        """Samples written but not consumed."""

    @property
    @abstractmethod
    def played_samples(self) -> int:
        """Samples consumed since the sink was made. Silence that the device plays for want of samples does not count."""

    @abstractmethod
    def clear(self) -> int:
        """Throw away what is queued, at once, and say how many samples that was."""

    async def aclose(self) -> None:
        """Let go of the device or file."""
