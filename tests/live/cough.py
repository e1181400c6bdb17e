"""A cough: voiced enough that a detector takes it for a voice, with no word in it."""

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
BURSTS_S = (0.20, 0.18)
PAUSE_S = 0.09
PITCH_HZ = 160.0
THROAT = ((700.0, 120.0), (1200.0, 150.0), (2600.0, 260.0))
"""Resonances: centre and width in Hz."""


def write_cough(path: Path) -> Path:
    """Write it as a WAV file, and return where."""
    random = np.random.default_rng(3)
    bursts = [np.concatenate([_burst(length, random), np.zeros(round(PAUSE_S * RATE))]) for length in BURSTS_S]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((0.6 * 32767 * np.concatenate(bursts)).astype("<i2").tobytes())
    return path


def _burst(length_s: float, random: np.random.Generator) -> NDArray[np.float64]:
    at = np.arange(round(length_s * RATE)) / RATE
    phase = np.cumsum(PITCH_HZ * (1 - 0.2 * at / length_s)) / RATE
    source = (phase % 1.0 < 0.25) - 0.25 + 0.3 * random.standard_normal(len(at))
    sound = sum(_resonance(source, centre, width) for centre, width in THROAT)
    envelope = np.minimum(at / 0.02, 1.0) * np.minimum((length_s - at) / 0.05, 1.0) * np.exp(-at / length_s)
    shaped: NDArray[np.float64] = envelope * sound / np.abs(sound).max()
    return shaped


def _resonance(source: NDArray[np.float64], centre: float, width: float) -> NDArray[np.float64]:
    radius = np.exp(-np.pi * width / RATE)
    a1, a2 = -2 * radius * np.cos(2 * np.pi * centre / RATE), radius * radius
    out = np.zeros(len(source) + 2)
    for i, value in enumerate(source):
        out[i + 2] = value - a1 * out[i + 1] - a2 * out[i]
    return out[2:]
