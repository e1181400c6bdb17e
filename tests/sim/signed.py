"""A voice whose every sample says which it is, and a reader that tells from a recording what was played.

Theory of operation. The sign of sample n of everything the synthesiser ever makes is bit n of one long row of random bits,
in which no two windows of `WINDOW` bits are alike. Loudness does not touch a sign, so the reader finds the place of any
stretch of a recording, ducked or not, whatever was cut out before it.
"""

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent_runtime import clock
from agent_runtime.audio.frame import OUTPUT_RATE, AudioFrame
from agent_runtime.testing.result import Track
from agent_runtime.testing.scripted import ScriptedTTS

WINDOW = 44
SURE = 32
"""What follows a cut may look like what was cut for some samples; so many in a row are no chance."""
_SAMPLES = 1 << 22  # three minutes of speech
_LOUDNESS = 8000


@lru_cache
def _signs() -> NDArray[np.bool_]:
    return np.random.default_rng(20).integers(0, 2, _SAMPLES).astype(np.bool_)


@lru_cache
def _index() -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The windows in order, and where each stands."""
    keys = _keys(_signs())
    order = np.argsort(keys, kind="stable")
    return keys[order], order


def _keys(signs: NDArray[np.bool_]) -> NDArray[np.uint64]:
    count = len(signs) - WINDOW + 1
    keys = np.zeros(count, np.uint64)
    for offset in range(WINDOW):
        keys = (keys << np.uint64(1)) | signs[offset : offset + count].astype(np.uint64)
    return keys


@dataclass(frozen=True, slots=True)
class Phrase:
    """Something the synthesiser was given. Word i is samples `start + i * each` to `start + (i + 1) * each`."""

    text: str
    start: int
    end: int
    each: float
    asked_at: float

    @property
    def words(self) -> list[str]:
        return self.text.split()


class SignedTTS(ScriptedTTS):
    """`ScriptedTTS` with signed samples. `phrases` keeps what it was given."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.phrases: list[Phrase] = []
        self.mute: list[str] = []
        """What it was given and made no sound for."""
        self._next = 0

    async def synthesize(self, text: str) -> AsyncIterator[AudioFrame]:
        each = OUTPUT_RATE / self.words_per_second
        length = round(len(text.split()) * each)
        place, end = self._next, self._next + length
        assert end <= _SAMPLES, "more speech than there are signs"
        self._next = end
        self.phrases.append(Phrase(text, place, end, each, clock.now()))
        async for frame in super().synthesize(text):
            count = len(frame.data) // 2
            signs = _signs()[place : place + count]
            pcm = np.where(signs, _LOUDNESS, -_LOUDNESS).astype("<i2").tobytes()
            yield AudioFrame(pcm, frame.sample_rate, words=frame.words)
            place += count


@dataclass(frozen=True, slots=True)
class Stretch:
    """Samples `first` to `first + count` sounded without a break from loop time `at` on."""

    at: float
    first: int
    count: int

    @property
    def end(self) -> float:
        return self.at + self.count / OUTPUT_RATE


def read(track: Track) -> list[Stretch]:
    """What was played, in order. Sound that is nobody's is left out."""
    assert track.rate == OUTPUT_RATE
    return [stretch for start, run in track.runs for stretch in _read(start, np.frombuffer(bytes(run), "<i2"))]


def _read(start: float, samples: NDArray[np.int16]) -> Iterator[Stretch]:
    signs, known = samples > 0, _signs()
    if len(signs) < WINDOW:
        return
    keys, order = _index()
    mine = _keys(signs)
    index = 0
    while index < len(mine):
        place = int(np.searchsorted(keys, mine[index]))
        if place == len(keys) or keys[place] != mine[index]:
            index += 1
            continue
        first = int(order[place])
        most = min(len(signs) - index, len(known) - first)
        differ = np.flatnonzero(signs[index : index + most] != known[first : first + most])
        count = int(differ[0]) if len(differ) else most
        yield Stretch(start + index / OUTPUT_RATE, first, count)
        index += count


def played_of(phrase: Phrase, stretches: list[Stretch]) -> list[tuple[float, int, int]]:
    """(loop time, first, end) of what was played of a phrase, in samples from its beginning."""
    found = []
    for stretch in stretches:
        first, end = max(phrase.start, stretch.first), min(phrase.end, stretch.first + stretch.count)
        if end - first >= SURE:
            found.append((stretch.at + (first - stretch.first) / OUTPUT_RATE, first - phrase.start, end - phrase.start))
    return found


def gaps(parts: list[tuple[float, int, int]]) -> list[int]:
    """Samples that were skipped between two parts; negative where some were played twice."""
    return [later[1] - earlier[2] for earlier, later in pairwise(parts)]


NAME = re.compile(r"\b[a-z]\d+\b")
"""A word of the tests, which is said once in a call: ``u12`` by the user, ``a12`` by the agent."""


def heard_words(phrase: Phrase, parts: list[tuple[float, int, int]]) -> list[str]:
    """The words whose middle was played."""
    words = []
    for number, word in enumerate(phrase.words):
        middle = (number + 0.5) * phrase.each
        if any(first <= middle <= end for _, first, end in parts):
            words += NAME.findall(word)
    return words
