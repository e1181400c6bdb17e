"""The outline of a recording: lowest and highest sample in each hundredth of a second."""

import os
import wave
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent_runtime.audio.frame import OUTPUT_RATE
from agent_runtime.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Recording = str | os.PathLike[str] | NDArray[np.int16]

_STEP_S = 0.01
_FLOOR = 1600
"""A lane whose loudest sample is below this (5 % of full scale) is not blown up to look like speech."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Arrays of shape (n, 2), from -1 to 1 of each lane's loudest sample; a row is `step` seconds."""

    low: "NDArray[np.float32]"
    high: "NDArray[np.float32]"
    step: float

    @property
    def duration(self) -> float:
        return len(self.low) * self.step

    def columns(self, lane: int, start: float, end: float, count: int) -> list[tuple[float, float]]:
        """Lowest and highest value in each of `count` equal stretches from `start` to `end` seconds."""
        import numpy as np

        edges = np.rint(np.linspace(start, end, count + 1) / self.step).astype(int)
        result = []
        for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            low, high = self.low[a : max(b, a + 1), lane], self.high[a : max(b, a + 1), lane]
            result.append((float(np.min(low)), float(np.max(high))) if len(low) else (0.0, 0.0))
        return result


def envelope(recording: "Recording") -> Envelope:
    """Of call.wav, read a few seconds at a time, or of its samples: int16 of shape (n, 2) at 24 kHz."""
    import numpy as np

    if isinstance(recording, np.ndarray):
        if recording.ndim != 2 or recording.shape[1] != 2:
            raise UsageError(f"A call's recording is an array of shape (samples, 2), not {recording.shape}.")
        size = round(OUTPUT_RATE * _STEP_S)
        return _outline([recording], size, size / OUTPUT_RATE)
    path = Path(recording)
    try:
        with wave.open(os.fspath(path), "rb") as file:
            if file.getnchannels() != 2 or file.getsampwidth() != 2:
                raise wave.Error(f"{file.getnchannels()} channel(s) of {8 * file.getsampwidth()} bits")
            size = round(file.getframerate() * _STEP_S)
            return _outline(_blocks(file, 500 * size), size, size / file.getframerate())
    except (wave.Error, EOFError) as error:
        raise UsageError(
            f"{path} is no recording of a call ({error}); give the call.wav that the call wrote: stereo, 16 bits."
        ) from error
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}; give the call.wav that the call wrote.") from error


def _blocks(file: wave.Wave_read, frames: int) -> "Iterator[NDArray[np.int16]]":
    import numpy as np

    while data := file.readframes(frames):
        yield np.frombuffer(data[: len(data) // 4 * 4], dtype="<i2").reshape(-1, 2)


def _outline(blocks: "Iterable[NDArray[np.int16]]", size: int, step: float) -> Envelope:
    """Every block but the last is a multiple of `size` long."""
    import numpy as np

    lows = [np.zeros((0, 2), dtype=np.int16)]
    highs = [np.zeros((0, 2), dtype=np.int16)]
    for block in blocks:
        if short := -len(block) % size:
            block = np.concatenate([block, np.zeros((short, 2), dtype=np.int16)])
        bins = block.reshape(-1, size, 2)
        lows.append(bins.min(axis=1))
        highs.append(bins.max(axis=1))
    low = np.concatenate(lows).astype(np.float32)
    high = np.concatenate(highs).astype(np.float32)
    loudest = np.maximum(np.maximum(high, -low).max(axis=0, initial=0.0), _FLOOR)
    return Envelope(low / loudest, high / loudest, step)
