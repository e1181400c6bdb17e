"""Changing the rate of a stream of sound, and its loudness."""

import importlib
import math
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Quality = Literal["HQ", "MQ", "LQ"]


def prewarm() -> None:
    """Import what changing a rate or a level takes, 0.1 s, so that no call has to wait for it. Meant for a thread."""
    for name in ("numpy", "soxr"):
        importlib.import_module(name)


class Resampler:
    """The rate of a stream of int16 mono sound, changed by soxr.

    For speech from a synthesiser, where a sound comes as a whole: up to 40 ms of it (`held_back_s`) stay inside until
    more comes or `flush` ends it. Between `flush`es the samples out are those in times `out_rate / in_rate`, rounded
    to the nearest. On a live device, where held-back sound is delay, use `LiveResampler`.
    """

    def __init__(self, in_rate: int, out_rate: int, quality: Quality = "HQ") -> None:
        self.in_rate = in_rate
        self.out_rate = out_rate
        self._pushed = 0
        self._returned = 0
        self._odd = b""
        self._stream: Any = None
        if in_rate != out_rate:
            import soxr

            # Not int16: soxr adds noise to that, seeded from the time of day, and no two runs would be the same.
            self._stream = soxr.ResampleStream(in_rate, out_rate, 1, dtype="float32", quality=quality)

    @property
    def held_back_s(self) -> float:
        """Seconds of sound that went in and have not come out."""
        return max(0.0, self._pushed / self.in_rate - self._returned / self.out_rate)

    def push(self, pcm: bytes) -> bytes:
        """Take sound, return what is ready. Half a sample at the end of `pcm` waits for its other half."""
        return self._process(pcm, last=False)

    def flush(self) -> bytes:
        """The sound ends here: return all that is held back. The next `push` begins a new sound."""
        self._odd = b""
        rest = self._process(b"", last=True) if self._pushed else b""
        if self._stream is not None:
            self._stream.clear()
        self._pushed = self._returned = 0
        return rest

    def _process(self, pcm: bytes, *, last: bool) -> bytes:
        if self._odd or len(pcm) % 2:
            pcm = self._odd + pcm
            whole = len(pcm) & ~1
            pcm, self._odd = pcm[:whole], pcm[whole:]
        self._pushed += len(pcm) // 2
        if self._stream is not None:
            import numpy as np

            samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32)
            pcm = to_int16(self._stream.resample_chunk(samples, last=last))
        self._returned += len(pcm) // 2
        return pcm


class LiveResampler:
    """The rate of a stream of int16 mono sound, changed with next to no delay, for what goes to and from a device.

    A short polyphase filter (10 samples of the lower rate to each side), so sound comes out `delay_s` late, half a
    millisecond where soxr takes 12 to 40. Nothing is held back: after `n` samples in, exactly
    `ceil(n * out_rate / in_rate)` have come out, whatever the chunks. Flat within 1 dB to 0.4 of the lower rate,
    aliases 60 dB down.
    """

    REACH = 10

    def __init__(self, in_rate: int, out_rate: int) -> None:
        import numpy as np

        self.in_rate = in_rate
        self.out_rate = out_rate
        common = math.gcd(in_rate, out_rate)
        self._up, self._down = out_rate // common, in_rate // common
        self._taps = _polyphase(self._up, self._down, self.REACH) if self._up != self._down else None
        self._pushed = 0
        self._returned = 0
        width = 0 if self._taps is None else self._taps.shape[1]
        self._history: NDArray[np.int16] = np.zeros(max(0, width - 1), dtype=np.int16)
        self.delay_s = width / 2 / in_rate

    def push(self, pcm: bytes) -> bytes:
        """Take whole samples, return those that belong to them."""
        if self._taps is None or not pcm:
            return pcm
        import numpy as np

        samples: NDArray[np.int16] = np.concatenate([self._history, np.frombuffer(pcm, dtype=np.int16)])
        first_in, first_out = self._pushed, self._returned
        self._pushed += len(pcm) // 2
        self._returned = -(-self._pushed * self._up // self._down)
        position = np.arange(first_out, self._returned, dtype=np.int64) * self._down
        windows = np.lib.stride_tricks.sliding_window_view(samples, self._taps.shape[1])
        picked = windows[position // self._up - first_in]
        out = np.einsum("ij,ij->i", picked, self._taps[position % self._up])
        self._history = samples[len(samples) - len(self._history) :]
        return to_int16(out)

    def reset(self) -> None:
        """Forget the sound so far; what comes next follows silence."""
        self._pushed = self._returned = 0
        self._history[:] = 0


def _polyphase(up: int, down: int, reach: int) -> "NDArray[np.float32]":
    """Row `p`: the taps that make the output sample `p / up` of an input sample after the newest one of a window."""
    import numpy as np

    # In units of input samples: the window spans `half` to each side of its middle, the filter ends where the lower
    # rate does. The cutoff lies below half the lower rate by about the width of the transition band.
    stretch = max(1.0, down / up)
    half = math.ceil(reach * stretch)
    cutoff = 0.92 / stretch
    offsets = np.arange(2 * half)[None, :] - (half - 1) - np.arange(up)[:, None] / up
    edge = np.clip(offsets / half, -1.0, 1.0)
    window = np.i0(6.0 * np.sqrt(1.0 - edge**2)) / np.i0(6.0)
    taps = np.sinc(offsets * cutoff) * window
    normal: NDArray[np.float32] = (taps / taps.sum(axis=1, keepdims=True)).astype(np.float32)
    return normal


def scale(pcm: bytes, gain_from: float, gain_to: float) -> bytes:
    """Int16 sound, louder or quieter.

    The gain goes in a straight line from `gain_from` at the first sample to `gain_to` just after the last, so that
    chunks join without a step. What is too loud is clipped, never wrapped around.
    """
    if gain_from == gain_to == 1.0 or not pcm:
        return pcm
    if gain_from == gain_to == 0.0:
        return bytes(len(pcm))
    import numpy as np

    samples = np.frombuffer(pcm, dtype="<i2")
    gains = np.linspace(gain_from, gain_to, len(samples), endpoint=False, dtype=np.float32)
    return to_int16(samples * gains)


def to_int16(samples: "NDArray[np.floating[Any]]") -> bytes:
    """Samples between -32768 and 32767, rounded and clipped."""
    import numpy as np

    return bytes(np.clip(np.rint(samples), -32768, 32767).astype("<i2").tobytes())
