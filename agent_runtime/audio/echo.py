"""Taking the agent's own voice out of the microphone."""

import importlib.util
from typing import Any

from agent_runtime.audio.echo_path import EchoPath

RATES = (16_000, 24_000, 48_000)
"""At which the WebRTC module was run; it takes others only by converting them itself."""


class EchoCanceller:
    """WebRTC's echo canceller (from the package `livekit`), fed with chunks of any length.

    Only the canceller is on: noise suppression and gain control were measured to make recognition worse while both
    talk. The module works on pieces of exactly 10 ms and *aborts the process* when given another length, so the pieces
    are cut here and nowhere else.

    Making one loads the library: 0.2 s and 30 MB the first time. A 10 ms piece costs about 0.1 ms in both
    directions together. Echo up to 300 ms late is found without a hint; later echo takes some seconds, or `delay_s`.

    While the microphone hears nothing of the speaker, or a voice much louder than it, the sound is left as it is
    (`agent_runtime.audio.echo_path` says why).
    """

    def __init__(self, rate: int) -> None:
        if rate not in RATES:
            raise ValueError(f"the echo canceller runs at {RATES} Hz, not {rate}")
        from livekit import rtc

        self.rate = rate
        self._rtc = rtc
        self._apm: Any = rtc.AudioProcessingModule(echo_cancellation=True)
        self._path = EchoPath(rate)
        self._piece = rate // 100 * 2
        self._played = bytearray()
        self._heard = bytearray()

    @staticmethod
    def available() -> str | None:
        """None, or why there is no echo cancellation here and what brings it."""
        try:
            found = importlib.util.find_spec("livekit.rtc")
        except ModuleNotFoundError:
            found = None
        if found is None:
            return (
                "Echo cancellation needs the package 'livekit'; install it with `pip install 'agent-runtime[sound]'`."
            )
        return None

    @property
    def held_back_s(self) -> float:
        """Seconds of the microphone's sound that wait for the rest of their piece; less than 10 ms."""
        return len(self._heard) / 2 / self.rate

    def hint_delay(self, delay_s: float) -> None:
        """Say how long after `played` a sound is about to come back in `heard`."""
        self._apm.set_stream_delay_ms(round(delay_s * 1000))

    def played(self, pcm: bytes) -> None:
        """Take what the speaker played next, its silence included."""
        self._played += pcm
        while len(self._played) >= self._piece:
            frame = self._cut(self._played)
            self._path.played(frame.data.cast("B"))
            self._apm.process_reverse_stream(frame)

    def heard(self, pcm: bytes) -> bytes:
        """Take what the microphone heard next; returns whole pieces of 10 ms without the echo, maybe none."""
        self._heard += pcm
        clean = bytearray()
        while len(self._heard) >= self._piece:
            frame = self._cut(self._heard)
            raw = bytes(frame.data.cast("B"))
            self._path.heard(raw)
            self._apm.process_stream(frame)  # always, or it would have to learn anew
            needless = not self._path.audible or self._path.caller_dominates
            clean += raw if needless else frame.data.cast("B")
        return bytes(clean)

    def _cut(self, queue: bytearray) -> Any:
        piece = queue[: self._piece]
        del queue[: self._piece]
        return self._rtc.AudioFrame(piece, self.rate, 1, self._piece // 2)
