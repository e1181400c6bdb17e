"""Whether the microphone hears the speaker at all.

Why it matters. An echo canceller that has found no echo does not know that there is none: it takes whatever the microphone
hears while the speaker plays for echo that it has not learnt yet, and suppresses it. A caller with headphones, or far from
the speaker, could then not interrupt: a word as loud as the agent's came out 40 dB softer. So the sound goes past the
canceller while nothing of the speaker arrives.

How it is found out. Echo is the speaker's sound again, late; a caller's voice is not, however loud. The two sides are
correlated with every frequency counted alike (generalised cross-correlation with phase transform), which makes a needle at
the echo's delay. Over the other delays lies grass; how far the needle stands above it does not depend on levels. The
correlations of successive stretches are added up, since the delay stays and the grass does not: an echo 20 dB below the
caller's voice shows within two seconds, also one that a room has blurred.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RATE = 8000
"""Speech has enough of its frequencies below 4 kHz to find a delay by."""

EVERY_S = 0.25
NEAR_S = 0.5
"""The stretch of the microphone that is looked at, every `EVERY_S`."""

LATEST_S = 0.6
"""Later echo is not looked for: devices and a room take 0.05 to 0.4 s."""

KEPT = 0.75
"""What part of the sum of correlations stays at the next stretch."""

NEEDLE = 7.0
"""So many times the grass's root mean square is an echo; up to 6 is what two strangers' voices reach."""

FIRST_LOOKS = 3
LOOKS = 12
"""So many stretches in a row without a needle mean that there is no echo: at first, and where there was one."""

_SOUND = 30.0
"""Root mean square, of 32768, below which a side is silent; -60 dB."""

_FAINT = 3.0
"""The same below which the microphone hears nothing that could be an echo; -80 dB."""

_FAR_S = NEAR_S + LATEST_S


class EchoPath:
    """Looks on as sound is played and heard, in pieces of one length, in step.

    `audible` says whether echo has to be reckoned with. It is so until proven otherwise; proof takes 1.3 s of the agent's
    speech.
    """

    def __init__(self, rate: int) -> None:
        self.audible = True
        self._step = rate // RATE
        self._far = bytearray()
        self._near = bytearray()
        self._far_size = 2 * self._step * round(RATE * _FAR_S)
        self._near_size = 2 * self._step * round(RATE * NEAR_S)
        self._every = 2 * self._step * round(RATE * EVERY_S)
        self._heard = 0
        self._without = 0
        self._wanted = FIRST_LOOKS
        self._sum: NDArray[np.float64] | None = None

    def played(self, pcm: bytes | memoryview) -> None:
        self._far += pcm
        if len(self._far) > 2 * self._far_size:
            del self._far[: -self._far_size]

    def heard(self, pcm: bytes | memoryview) -> None:
        self._near += pcm
        self._heard += len(pcm)
        if len(self._near) > 2 * self._near_size:
            del self._near[: -self._near_size]
        if self._heard >= self._every:
            self._heard = 0
            self._look()

    def _look(self) -> None:
        import numpy as np

        far, near = self._samples(self._far, self._far_size), self._samples(self._near, self._near_size)
        if len(far) < round(RATE * _FAR_S) or len(near) < round(RATE * NEAR_S):
            return
        blocks = np.sqrt((far.reshape(-1, len(far) // 22) ** 2).mean(axis=1))  # of 50 ms
        if (blocks > _SOUND).mean() < 0.5:
            return  # too little was played to judge by
        needle = 0.0
        if np.sqrt((near**2).mean()) > _FAINT:
            needle = self._needle(far, near)
        else:
            self._sum = None
        if needle > NEEDLE:
            self.audible, self._without, self._wanted = True, 0, LOOKS
        else:
            self._without += 1
            if self._without >= self._wanted:
                self.audible = False

    def _samples(self, pcm: bytearray, size: int) -> Any:
        """The last `size` bytes as float at `RATE`."""
        import numpy as np

        whole = np.frombuffer(bytes(pcm[-size:]), dtype="<i2").astype(np.float64)
        return whole[: len(whole) // self._step * self._step].reshape(-1, self._step).mean(axis=1)

    def _needle(self, far: Any, near: Any) -> float:
        import numpy as np

        size = 1 << (len(far) + len(near) - 1).bit_length()
        cross = np.fft.rfft(far, size) * np.conj(np.fft.rfft(near * np.hanning(len(near)), size))
        correlation = np.fft.irfft(cross / (np.abs(cross) + 1e-9), size)
        # Index: by how much the played sound stands before the heard one, counted from the end of both.
        found = correlation[: len(far) - len(near) + 1]
        self._sum = found if self._sum is None else KEPT * self._sum + found
        return float(self._sum.max() / np.sqrt((self._sum**2).mean()))
