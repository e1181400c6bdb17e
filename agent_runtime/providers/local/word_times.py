"""From an engine's marks ("the character at 17 sounds from sample 9000 on") to the words of a text as it was written.

Engines and writers do not agree on what a word is. An engine splits "$1,234" and "3:15" into many, speaks "of the" as
one, and says nothing for a dash. History is rebuilt from what the writer wrote, so every run of characters between
white space is a word here, keeps its punctuation, and gets a time:

* A mark belongs to the written word in which its character lies, or to the one before where it lies between two. The
  first mark of a word is its start; further marks inside the word are passed over.
* A word without a mark shares the time of the last marked word before it, by the number of letters, digits and symbols
  in each; a word of punctuation only takes no time.
* A word ends where the sound before the next mark fades to silence, so that a pause after a comma belongs to no word.

Pure: sound and marks go in, pieces come out, each with the words that start in it. A piece is held back until the ends
of its words are known, for `LOOK_AHEAD_S` at the most.
"""

import re
import unicodedata
from array import array
from bisect import bisect_right

LOOK_AHEAD_S = 10.0
"""A longer word gets the end that is known by then; so one word of 100,000 letters still streams."""

_SILENCE = 64
"""Samples (of 32768) up to this are silence: -54 dB, above an engine's rounding noise, below its softest sound."""

Piece = tuple[bytes, list[tuple[str, int, int]]]
"""Sound, and for each word that starts in it its text, its start and its end in samples from the start of the piece."""


def is_speakable(text: str) -> bool:
    """Whether there is anything to say: a letter, a digit, or a symbol (a currency sign, an emoji)."""
    return any(map(_is_spoken, text))


def _is_spoken(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNS"


class WordTimes:
    """One phrase on its way through an engine.

    Args:
        text: the phrase; marks count its characters (code points) from 0.
        sample_rate: of the sound, int16 mono.
        piece_samples: the length of each piece but the last.
    """

    def __init__(self, text: str, sample_rate: int, piece_samples: int) -> None:
        found = list(re.finditer(r"\S+", text))
        self._words = [match.group() for match in found]
        self._positions = [match.start() for match in found]
        self._piece = piece_samples
        self._look_ahead = int(LOOK_AHEAD_S * sample_rate)
        self._sound = bytearray()
        self._taken = 0
        self._timed: list[tuple[str, int, int]] = []
        # The open group: words from here on are not timed yet, and the first of them starts at this sample.
        self._group = 0
        self._group_start = 0
        self._last_mark = -1
        self._finished = False

    def add(self, sound: bytes, marks: list[tuple[int, int]]) -> None:
        """Take the next sound and the marks (character, sample from the start of the phrase) that came with it."""
        self._sound += sound
        for position, sample in marks:
            word = bisect_right(self._positions, position) - 1
            if word > self._last_mark:
                self._close_group(word, sample)
                self._last_mark = word

    def finish(self) -> None:
        """The engine is done: all that is left can be taken."""
        self._close_group(len(self._words), self._received)
        self._finished = True

    def take(self) -> Piece | None:
        """The next piece; None when more sound must come first, or at the end."""
        held = len(self._sound) // 2
        if not self._finished:
            if held < self._piece:
                return None
            if self._group_start < self._taken + self._piece:
                if held < self._look_ahead:
                    return None
                self._close_group(self._group + 1, self._received)
        if not held and not self._timed:
            return None
        length = min(self._piece, held)
        first, end = self._taken, self._taken + length
        last_piece = self._finished and length == held
        words = []
        while self._timed and (self._timed[0][1] < end or last_piece):
            text, start, stop = self._timed.pop(0)
            words.append((text, max(start, first) - first, max(stop, first) - first))
        sound = bytes(self._sound[: 2 * length])
        del self._sound[: 2 * length]
        self._taken = end
        return sound, words

    @property
    def _received(self) -> int:
        return self._taken + len(self._sound) // 2

    def _close_group(self, until: int, sample: int) -> None:
        """Give the words of the open group, up to `until`, the time until `sample`; the next group starts there."""
        words = self._words[self._group : until]
        weights = [sum(map(_is_spoken, word)) for word in words]
        if words and not any(weights):
            weights[0] = 1
        start, end = self._group_start, self._voiced_end(sample)
        said = 0
        for word, weight in zip(words, weights, strict=True):
            begins = start + (end - start) * said // sum(weights)
            said += weight
            self._timed.append((word, begins, start + (end - start) * said // sum(weights)))
        self._group, self._group_start = max(self._group, until), sample

    def _voiced_end(self, sample: int) -> int:
        """Where the last sound before `sample` ends, looking back to the start of the open group."""
        lowest = max(self._group_start, self._taken)
        samples = array("h", bytes(self._sound[2 * (lowest - self._taken) : 2 * (sample - self._taken)]))
        for index in range(len(samples) - 1, -1, -1):
            if not -_SILENCE <= samples[index] <= _SILENCE:
                return lowest + index + 1
        return max(sample, self._group_start)
