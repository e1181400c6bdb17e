"""A recording as a caller."""

from collections.abc import AsyncIterator

from agent_runtime import clock
from agent_runtime.audio.endpoints import AudioSource
from agent_runtime.audio.frame import FRAME_S, INPUT_RATE, AudioFrame
from agent_runtime.audio.wav import Recording

_FRAME_SAMPLES = int(INPUT_RATE * FRAME_S)


class WavSource(AudioSource):
    """Plays a recording into a session at the pace of the running loop's clock, real or virtual, and ends with it.

    Args:
        recording: from `agent_runtime.audio.wav.read_wav`.
        lead_s: seconds of silence before it, in which the agent may greet.
        tail_s: seconds of silence after it, in which the last turn's end is heard; the last frame is filled up with
            silence anyway.
    """

    def __init__(self, recording: Recording, *, lead_s: float = 0.0, tail_s: float = 0.0) -> None:
        self._pcm = _silence(lead_s) + recording.pcm + _silence(tail_s)
        self._closed = False

    async def frames(self) -> AsyncIterator[AudioFrame]:
        start = clock.now()
        for first in range(0, len(self._pcm) // 2, _FRAME_SAMPLES):
            # From the start and not from the frame before, or errors of rounding and late wake-ups would add up.
            await clock.sleep_until(start + (first + _FRAME_SAMPLES) / INPUT_RATE)
            if self._closed:
                return
            data = self._pcm[2 * first : 2 * (first + _FRAME_SAMPLES)]
            yield AudioFrame(data.ljust(2 * _FRAME_SAMPLES, b"\0"), INPUT_RATE, at=start + first / INPUT_RATE)

    async def aclose(self) -> None:
        self._closed = True


def _silence(seconds: float) -> bytes:
    return bytes(2 * round(seconds * INPUT_RATE))
