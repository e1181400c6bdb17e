"""The last seconds of a microphone, for whoever judges by sound."""

from collections import deque
from math import ceil

from agent_runtime.audio.frame import FRAME_S, AudioFrame


class RecentSound:
    """The newest `seconds` of 20 ms frames, as they came: nothing is copied before somebody asks."""

    def __init__(self, seconds: float) -> None:
        self._frames: deque[AudioFrame] = deque(maxlen=ceil(seconds / FRAME_S))

    def add(self, frame: AudioFrame) -> None:
        self._frames.append(frame)

    def forget_all_but(self, seconds: float) -> None:
        """Keep only so much of the newest."""
        while len(self._frames) > ceil(seconds / FRAME_S):
            self._frames.popleft()

    def until(self, at: float) -> bytes:
        """The samples of the frames that begin before loop time `at`."""
        return b"".join(frame.data for frame in self._frames if frame.at is None or frame.at < at)
