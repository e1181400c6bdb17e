"""Log-mel features as the Whisper models take them, by numpy.

A frame of 25 ms every 10 ms, its power in 80 bands of Slaney's mel scale, the logarithm of it with 80 dB of range.
"""

import functools
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]

RATE = 16_000
WINDOW_SAMPLES = 400
HOP_SAMPLES = 160
BANDS = 80
RANGE_BELS = 8.0
"""What is softer than the loudest band by more than this counts as that soft."""


def log_mel(samples: "Floats") -> "Floats":
    """The features of 16 kHz mono sound: float32, shape (80, samples / 160).

    Frames lie round every 160th sample from the first on; beyond both ends the sound is mirrored.
    """
    import numpy as np

    around = np.pad(samples.astype(np.float64), WINDOW_SAMPLES // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(around, WINDOW_SAMPLES)[::HOP_SAMPLES]
    spectrum = np.fft.rfft(frames[: len(samples) // HOP_SAMPLES] * _window())
    bels = np.log10(np.maximum(_bands() @ (np.abs(spectrum) ** 2).T, 1e-10))
    features: Floats = ((np.maximum(bels, bels.max() - RANGE_BELS) + 4.0) / 4.0).astype(np.float32)
    return features


@functools.cache
def _window() -> "Floats":
    import numpy as np

    return np.hanning(WINDOW_SAMPLES + 1)[:-1]


@functools.cache
def _bands() -> "Floats":
    """The weight of each of the 201 frequencies in each band: triangles of equal area, each from the top of one
    neighbour to the top of the other."""
    import numpy as np

    # Slaney's scale: even up to 1 kHz, which is 15 mel; from there a factor of 6.4 takes 27 mel.
    mels = np.linspace(0.0, 15 + 27 * math.log(RATE / 2000, 6.4), BANDS + 2)
    edges = np.where(mels < 15, mels * 200 / 3, 1000 * 6.4 ** ((mels - 15) / 27))
    low, top, high = (edges[first : first + BANDS, None] for first in range(3))
    hertz = np.fft.rfftfreq(WINDOW_SAMPLES, 1 / RATE)
    triangles = np.maximum(0.0, np.minimum((hertz - low) / (top - low), (high - hertz) / (high - top)))
    bands: Floats = triangles * 2 / (high - low)
    return bands
