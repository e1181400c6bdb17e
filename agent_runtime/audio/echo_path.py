"""Whether the microphone hears the speaker at all, and whether it hears something much louder than that.

Why it matters. An echo canceller that has found no echo does not know that there is none: it takes whatever the microphone
hears while the speaker plays for echo that it has not learnt yet, and suppresses it. A caller with headphones, or far from
the speaker, could then not interrupt: a word as loud as the agent's came out 40 dB softer. So the sound goes past the
canceller while nothing of the speaker arrives.

How it is found out. Echo is the speaker's sound again, late; a caller's voice is not, however loud. The two sides are
correlated with every frequency counted alike (generalised cross-correlation with phase transform), which makes a needle at
the echo's delay. Over the other delays lies grass; how far the needle stands above it does not depend on levels. The
correlations of successive stretches are added up, since the delay stays and the grass does not: an echo 20 dB below the
caller's voice shows within two seconds, also one that a room has blurred.

Where there is echo, its delay and its level are known by then. What is much louder is a voice, and the canceller would
cut that down too: a "stop" 12 dB above the echo came out as two clicks. It goes past the canceller as well; the echo under
it does no harm, for the agent is made softer as soon as a voice is heard.
"""

from collections import deque
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

PIECE_S = 0.01
"""How much is played and heard at a time."""

LOUDER = 6.3
"""A voice is so many times the power of nearly all echo; 8 dB."""

_VOICE_PIECES = 3
_HANG_PIECES = 30
"""For so long something must be louder to be a voice, and is one afterwards."""

_LEARNT_PIECES = 50
_REMEMBERED_PIECES = 150
"""From how much echo its level is known, and how much of it counts."""

_DOUBT_PIECES = 200
"""Louder for longer than this, it may as well be the echo: somebody has turned the volume up."""

_EARLY, _LATE = 2, 20
"""How many pieces before and after the needle's delay echo is reckoned with, for its blur."""

_SOUND = 30.0
"""Root mean square, of 32768, below which a side is silent; -60 dB."""

_FAINT = 3.0
"""The same below which the microphone hears nothing that could be an echo; -80 dB."""

_FAR_S = NEAR_S + LATEST_S


class EchoPath:
    """Looks on as sound is played and heard, in pieces of `PIECE_S`, in step.

    `audible` says whether echo has to be reckoned with. It is so until proven otherwise; proof takes 1.3 s of the agent's
    speech. `caller_dominates` says whether what was heard last is a voice much louder than the echo.
    """

    def __init__(self, rate: int) -> None:
        self.audible = True
        self.caller_dominates = False
        self._level = _EchoLevel()
        self._delay: int | None = None
        self._powers: deque[float] = deque(maxlen=round(LATEST_S / PIECE_S) + _LATE + 1)
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
        self._powers.appendleft(_power(pcm))
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
        if self._delay is not None:
            echoing = list(self._powers)[max(0, self._delay - _EARLY) : self._delay + _LATE]
            self.caller_dominates = self._level.exceeded(_power(pcm), max(echoing, default=0.0))

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
                self.audible, self._delay = False, None

    def _samples(self, pcm: bytearray, size: int) -> Any:
        """The last `size` bytes as float at `RATE`."""
        import numpy as np

        whole = np.frombuffer(bytes(pcm[-size:]), dtype="<i2").astype(np.float64)
        return whole[: len(whole) // self._step * self._step].reshape(-1, self._step).mean(axis=1)

    def _needle(self, far: Any, near: Any) -> float:
        """How far the needle stands above the grass; `_delay` is where it stands."""
        import numpy as np

        size = 1 << (len(far) + len(near) - 1).bit_length()
        cross = np.fft.rfft(far, size) * np.conj(np.fft.rfft(near * np.hanning(len(near)), size))
        correlation = np.fft.irfft(cross / (np.abs(cross) + 1e-9), size)
        # Index: by how much the played sound stands before the heard one, counted from the longest delay down.
        found = correlation[: len(far) - len(near) + 1]
        self._sum = found if self._sum is None else KEPT * self._sum + found
        needle = float(np.max(self._sum) / np.sqrt((self._sum**2).mean()))
        if needle > NEEDLE:
            self._delay = round((len(found) - 1 - int(np.argmax(self._sum))) / RATE / PIECE_S)
        return needle


class _EchoLevel:
    """How loud the echo is for what was played, learnt from what is heard."""

    def __init__(self) -> None:
        self._ratios: deque[float] = deque(maxlen=_REMEMBERED_PIECES)
        self._usual: float | None = None
        self._run = 0
        self._hang = 0
        self._doubt = 0

    def exceeded(self, heard: float, played: float) -> bool:
        """Take the powers of a piece and of what it may echo; whether a voice must be in it."""
        if played < _SOUND**2:  # the agent is silent; the canceller goes on for a while as if it were not
            self._run = 0
            self._hang = _HANG_PIECES if self._hang and heard > _SOUND**2 else max(0, self._hang - 1)
            return self._hang > 0
        ratio = heard / played
        louder = self._usual is not None and heard > _SOUND**2 and ratio > LOUDER * self._usual
        self._run = self._run + 1 if louder else 0
        self._hang = _HANG_PIECES if self._run >= _VOICE_PIECES else max(0, self._hang - 1)
        self._doubt = self._doubt + 1 if self._hang else 0
        if (not louder and not self._hang) or self._doubt > _DOUBT_PIECES:
            self._learn(ratio)
        return self._hang > 0

    def _learn(self, ratio: float) -> None:
        self._ratios.append(ratio)
        if len(self._ratios) >= _LEARNT_PIECES:
            self._usual = sorted(self._ratios)[len(self._ratios) * 9 // 10]


def _power(pcm: bytes | memoryview) -> float:
    import numpy as np

    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32)
    return float(samples @ samples) / max(1, len(samples))
