"""Makes agents/clock.wav, the recorded caller of the example: `python agents/record_clock_caller.py`.

The words are spoken by flite (CMU, BSD-like licence; `apt-get install flite`), voice slt. The cough is computed here. The
file is committed, so nobody needs flite to hear it; run this again to change what the caller says.
"""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile
import soxr

RATE = 16_000
VOICE = "slt"

# Seconds from the start of the call, and what is said then.
LINES: list[tuple[float, str]] = [
    (2.2, "what time is it"),
    (6.4, "add milk to my shopping list"),
    (11.0, "what can you do"),
    (14.6, "stop"),  # while the agent lists what it can do
    (17.4, "what is seven times six"),
    (22.0, "what is on my shopping list"),
    (27.0, "what day is it"),
    (34.5, "good bye"),
]
COUGHS: list[float] = [29.0]  # while the agent says the date
LENGTH_S = 39.0
NOISE = 12.0
"""Standard deviation of the room's noise, of 32768: a silent room, not digital silence."""


def spoken(text: str) -> np.ndarray:
    """The voice's samples as float, at `RATE`."""
    wav = subprocess.run(["flite", "-voice", VOICE, "-t", text, "-o", "/dev/stdout"], capture_output=True, check=True)
    samples, rate = soundfile.read(io.BytesIO(wav.stdout), dtype="float32")
    return np.asarray(soxr.resample(samples, rate, RATE))


def cough(random: np.random.Generator) -> np.ndarray:
    """Three voiced bursts: a falling glottal pulse train and breath, through three resonances of an open throat."""
    bursts = []
    for length, level in ((0.16, 1.0), (0.14, 0.8), (0.20, 0.6)):
        n = int(length * RATE)
        at = np.arange(n) / RATE
        phase = np.cumsum(220 - 300 * at) / RATE
        source = (phase % 1.0 < 0.25).astype(float) - 0.25 + 0.5 * random.standard_normal(n)
        sound = sum(resonance(source, centre, width) for centre, width in ((900, 160), (1500, 200), (2700, 260)))
        envelope = np.minimum(at / 0.012, 1.0) * np.exp(-at / (length / 2.2))
        bursts += [level * envelope * sound / np.abs(sound).max(), np.zeros(int(0.09 * RATE))]
    return 0.6 * np.concatenate(bursts)


def resonance(source: np.ndarray, centre: float, width: float) -> np.ndarray:
    """A two-pole filter at `centre` Hz, `width` Hz wide."""
    radius = np.exp(-np.pi * width / RATE)
    a1, a2 = -2 * radius * np.cos(2 * np.pi * centre / RATE), radius * radius
    out = np.zeros(len(source) + 2)
    for i, value in enumerate(source):
        out[i + 2] = value - a1 * out[i + 1] - a2 * out[i]
    return out[2:]


def main() -> None:
    random = np.random.default_rng(3)
    call = np.zeros(int(LENGTH_S * RATE))
    for at, text in LINES:
        place(call, at, spoken(text))
    for at in COUGHS:
        place(call, at, cough(random))
    call = call * 32767 + NOISE * random.standard_normal(len(call))
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("clock.wav")
    soundfile.write(target, np.clip(call, -32768, 32767).astype(np.int16), RATE, subtype="PCM_16")
    print(f"{target}: {LENGTH_S:g} s")


def place(call: np.ndarray, at: float, sound: np.ndarray) -> None:
    start = int(at * RATE)
    call[start : start + len(sound)] += sound[: len(call) - start]


if __name__ == "__main__":
    main()
