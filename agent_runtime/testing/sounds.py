"""What a simulated caller and agent sound like, computed: the same samples in every run and on every machine.

Theory of operation. The sounds stand for voices and noises; nobody is to recognise a word in them. What matters is that
each is loud enough from its first sample to its last: no sample is within `FLOOR` of silence, so a detector or a reader of
the recording finds the exact bounds, also of sound that was ducked. One second of each is made once and repeated.
"""

import math
import random
import sys
from array import array
from collections.abc import Callable
from functools import lru_cache

from agent_runtime.audio.frame import INPUT_RATE
from agent_runtime.errors import UsageError

LOUD = 100
"""From this absolute value on a sample counts as sound, of 32768: -50 dB. Below lie the noise floors of recordings."""

FLOOR = 600
"""No sample of the sounds here is softer, so that they stay above `LOUD` when they are ducked by 14 dB."""

KEY_S, KEY_GAP_S = 0.1, 0.1
"""A telephone sends a key's tone for so long, and pauses for so long."""

_Wave = Callable[[float, random.Random], float]
"""From the time in the second, and seeded dice, to a sample's value."""

_ROWS, _COLUMNS = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
_KEYS = "123A456B789C*0#D"


def sound(kind: str, samples: int, rate: int = INPUT_RATE) -> bytes:
    """So many samples of a sound, int16 mono; `kind` is voice, other, agent, cough, noise or phone."""
    loop = _second(kind, rate)
    whole, rest = divmod(2 * samples, len(loop))
    return loop * whole + loop[:rest]


@lru_cache
def _second(kind: str, rate: int) -> bytes:
    wave = _WAVES[kind]
    dice = random.Random(kind)
    values = array("h", bytes(2 * rate))
    for index in range(rate):
        value = round(wave(index / rate, dice))
        values[index] = max(value, FLOOR) if value >= 0 else min(value, -FLOOR)
    return _little(values)


def _voice(pitch: int) -> _Wave:
    def wave(t: float, _: random.Random) -> float:
        syllable = 0.65 - 0.35 * math.cos(2 * math.pi * 4 * t)
        return syllable * sum(5200 / k * math.sin(2 * math.pi * k * pitch * t) for k in range(1, 6))

    return wave


def _cough(t: float, dice: random.Random) -> float:
    return dice.uniform(-9000, 9000) * math.exp(-5 * (t % 0.4))


def _noise(t: float, dice: random.Random) -> float:
    return dice.uniform(-3000, 3000)


def _phone(t: float, _: random.Random) -> float:
    trill = 1.0 if t % 0.1 < 0.05 else 0.6
    return trill * 3500 * (math.sin(2 * math.pi * 440 * t) + math.sin(2 * math.pi * 480 * t))


_WAVES: dict[str, _Wave] = {
    "voice": _voice(110),
    "other": _voice(190),
    "agent": _voice(150),
    "cough": _cough,
    "noise": _noise,
    "phone": _phone,
}


def keys_s(keys: str) -> float:
    """How long pressing these keys takes."""
    return len(keys) * (KEY_S + KEY_GAP_S) - KEY_GAP_S if keys else 0.0


def key_tones(keys: str, rate: int = INPUT_RATE) -> bytes:
    """The tones (DTMF) of telephone keys.

    Raises:
        UsageError: a letter that is no key.
    """
    gap = bytes(2 * round(KEY_GAP_S * rate))
    return gap.join(_key(key, rate) for key in keys)


@lru_cache
def _key(key: str, rate: int) -> bytes:
    place = _KEYS.find(key.upper())
    if place < 0 or len(key) != 1:
        raise UsageError(f"There is no telephone key {key!r}; press 0 to 9, *, # or A to D.")
    low, high = _ROWS[place // 4], _COLUMNS[place % 4]
    values = array("h")
    for index in range(round(KEY_S * rate)):
        t = index / rate
        value = round(5000 * (math.sin(2 * math.pi * low * t) + math.sin(2 * math.pi * high * t)))
        values.append(max(value, FLOOR) if value >= 0 else min(value, -FLOOR))
    return _little(values)


def _little(values: "array[int]") -> bytes:
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()


def bounds(pcm: bytes) -> tuple[int, int] | None:
    """The first and the last sample that counts as sound; None where there is none."""
    if not pcm.strip(b"\0"):  # most frames of a call are silence, and numpy takes its time over 320 samples
        return None
    import numpy as np

    samples = np.frombuffer(pcm, dtype="<i2")
    loud = np.flatnonzero((samples >= LOUD) | (samples <= -LOUD))
    return (int(loud[0]), int(loud[-1])) if len(loud) else None
