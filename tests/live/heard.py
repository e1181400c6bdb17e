"""What can be read off a recording: when somebody sounds, and how loudly."""

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.live.bus import RATE

Samples = NDArray[np.int16]

WINDOW_S = 0.005


@dataclass(frozen=True)
class Stretch:
    """Sound between two silences, in seconds of the recording."""

    start: float
    end: float

    @property
    def length(self) -> float:
        return self.end - self.start


def levels_db(samples: Samples, window_s: float = WINDOW_S) -> NDArray[np.float64]:
    """Root mean square of each window, in dB below full scale."""
    size = round(window_s * RATE)
    whole = samples[: len(samples) // size * size].astype(np.float64).reshape(-1, size) / 32768
    levels: NDArray[np.float64] = 10 * np.log10((whole**2).mean(axis=1) + 1e-12)
    return levels


def stretches(samples: Samples, *, above_db: float = -60.0, gap_s: float = 0.4) -> list[Stretch]:
    """Where it is louder than `above_db`; silences shorter than `gap_s` are no end."""
    loud = np.flatnonzero(levels_db(samples) > above_db)
    found: list[list[int]] = []
    for window in loud:
        if found and (window - found[-1][1]) * WINDOW_S < gap_s:
            found[-1][1] = int(window) + 1
        else:
            found.append([int(window), int(window) + 1])
    return [Stretch(start * WINDOW_S, end * WINDOW_S) for start, end in found]


def sound_of(wav: Path) -> Samples:
    """A mono WAV file as it sounds on the bus."""
    import soxr

    with wave.open(str(wav)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        converted: Samples = soxr.resample(samples, file.getframerate(), RATE)
    return converted


def place_of(sound: Samples, channel: Samples, *, start_s: float = 0.0) -> tuple[float, float]:
    """Where `sound` is best found in `channel` from `start_s` on, in seconds, and how alike both are there (0 to 1)."""
    searched = channel[round(start_s * RATE) :].astype(np.float64)
    wanted = sound.astype(np.float64)
    size = 1 << (len(searched) + len(wanted)).bit_length()
    match = np.fft.irfft(np.fft.rfft(searched, size) * np.conj(np.fft.rfft(wanted, size)), size)
    match = match[: max(1, len(searched) - len(wanted) + 1)]
    place = int(np.argmax(match))
    there = searched[place : place + len(wanted)]
    alike = match[place] / (np.sqrt((there**2).sum() * (wanted**2).sum()) + 1e-9)
    return start_s + place / RATE, float(alike)


def voice_in(sound: Samples, *, below_peak_db: float = 20.0) -> Stretch:
    """From where to where a voice sounds in a recording of it alone: what is within `below_peak_db` of its loudest."""
    levels = levels_db(sound)
    loud = np.flatnonzero(levels > np.max(levels) - below_peak_db)
    return Stretch(float(loud[0]) * WINDOW_S, float(loud[-1] + 1) * WINDOW_S)
