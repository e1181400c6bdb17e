"""What of a speech was heard, told from how many of its samples were played.

Theory of operation. Each word of the text has a *mark*, the sample from which on it counts as heard: the middle of the
word. Marks never fall, so a question about a played position is one binary search, and every answer splits the text, as
the model wrote it, in two: what was heard, and the rest.

A phrase whose sound is whole is settled: its marks are reckoned once. Where the synthesiser told the times of its
words, they are exact; else the phrase's samples are shared out among its words by their length. What is not settled is
the *tail*. How long it will be is not known there, and is taken from the speed of this voice so far (3 words a second
before there is any), or from the sound there is, if that is more. Where no phrase is ever done (somebody's own
synthesis gives bare sound) all is tail, and `finish` makes its length known.

Words are those of `agent_runtime.text.words`: what cannot be said belongs to the word before it.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby
from typing import Self

from agent_runtime.audio.frame import TimedWord
from agent_runtime.text.words import align, spans, speakable, weight

WORDS_PER_S = 3.0
"""How fast a voice is taken to speak before it has said anything: 180 words a minute; espeak-ng's default is 175."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The text, in the model's own writing, on both sides of a played position. `words` are in `text`."""

    text: str
    cut: str
    words: int


@dataclass(frozen=True, slots=True)
class _Marks:
    """`ends[i]` is where in the text word i ends; it counts as heard from sample `origin + at[i] * scale` on."""

    at: Sequence[float] = ()
    ends: Sequence[int] = ()
    origin: float = 0.0
    scale: float = 1.0

    def heard(self, played: float) -> int:
        return bisect_right(self.at, (played - self.origin) / self.scale)


@dataclass(frozen=True, slots=True)
class _Spoken:
    """What the synthesiser was given, word by word. `middles` and `length` are in letters, pauses included."""

    words: list[str]
    middles: list[float]
    length: float

    @classmethod
    def read(cls, text: str) -> Self:
        words = [text[start:end] for start, end in spans(text)]
        weights = [weight(word) for word in words]
        ends = list(accumulate((letters + pause for letters, pause in weights), initial=0.0))
        middles = [begin + letters / 2 for begin, (letters, _) in zip(ends, weights, strict=False)]
        return cls(words, middles, ends[-1])


class PlayoutLedger:
    """The account of one speech.

    For each phrase `said`, then `samples` as its sound arrives, then `phrase_done`; at last `finish`. More may be said
    before a phrase's sound is there: sound belongs to the first phrase that is not done. For sound that knows no phrases
    never call `phrase_done`; its text may be said in any number of pieces, before, between or after the sound.
    """

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._text = ""
        self._made = 0
        self._finished = False
        # What is settled: its words, and how much it is.
        self._at: list[float] = []
        self._ends: list[int] = []
        self._settled_text = 0
        self._settled_samples = 0
        self._settled_length = 0.0
        # The tail: for each phrase where it ends in the text and its spoken form; the words reported, in samples.
        self._phrases: deque[tuple[int, str]] = deque()
        self._times: list[TimedWord] = []
        self._tail: _Marks | None = None
        self._tail_spoken: _Spoken | None = None

    # What happens

    def said(self, raw: str, spoken: str | None = None) -> None:
        """A phrase goes to the synthesiser: as the model wrote it, and as it is to be said (None: the same).

        A phrase without a letter or a digit to say makes no sound and needs no `phrase_done`: it was heard when all of
        the phrase before it was.
        """
        self._text += raw
        end = len(self._text)
        spoken = raw if spoken is None else spoken
        if speakable(spoken):
            self._phrases.append((end, spoken))
        elif self._phrases:
            self._phrases[-1] = (end, self._phrases[-1][1])
        else:
            self._attach(end)
        self._tail = self._tail_spoken = None

    def samples(self, count: int, words: Iterable[TimedWord] = ()) -> None:
        """Sound arrived, and with it the words that start in it, their times in seconds from its start."""
        for word in words:
            if word.end >= word.start >= 0.0:  # not so for NaN
                start, end = self._made + word.start * self._rate, self._made + word.end * self._rate
                self._times.append(TimedWord(word.text, start, end))
                self._tail = None
        self._made += count

    def phrase_done(self) -> None:
        """All sound of the first phrase not yet done is there. If it made none, it is a silent one: see `said`."""
        if not self._phrases:
            return
        end, spoken = self._phrases.popleft()
        if self._made > self._settled_samples:
            self._settle(end, _Spoken.read(spoken))
        else:
            self._attach(end)
        self._times.clear()
        self._tail = self._tail_spoken = None

    def finish(self) -> None:
        """No more sound will come. Text may still be said, where it is known apart from the sound."""
        self._finished = True
        self._tail = None

    # What was heard

    def heard(self, played_samples: int) -> Heard:
        """Split the text at a played position. Nothing is heard at 0, and nothing beyond the sound there is."""
        played = min(played_samples, self._made)
        words = bisect_right(self._at, played) if played > 0 else 0
        end = self._ends[words - 1] if words else 0
        if played > self._settled_samples and self._phrases:
            tail = self._tail_marks()
            if more := tail.heard(played):
                words, end = words + more, tail.ends[more - 1]
        return Heard(self._text[:end].strip(), self._text[end:].strip(), words)

    def all_heard(self) -> Heard:
        """When it was played to its end: all of the text, also where a synthesiser made no sound of a phrase."""
        return Heard(self._text.strip(), "", len(spans(self._text)))

    def position(self, samples: int) -> float:
        """Seconds into the speech."""
        return samples / self._rate

    # Inside

    def _attach(self, end: int) -> None:
        """Text up to `end` belongs to the last settled word; if there is none, to the first word that will be."""
        if self._ends:
            self._ends[-1] = self._settled_text = end

    def _settle(self, end: int, spoken: _Spoken) -> None:
        marks = self._marks(end, spoken, complete=True)
        first = self._settled_samples + 1
        for at, text_end in zip(marks.at, marks.ends, strict=True):
            self._at.append(max(marks.origin + at * marks.scale, first))
            self._ends.append(text_end)
        self._settled_text = end
        self._settled_samples = self._made
        self._settled_length += spoken.length

    def _tail_marks(self) -> _Marks:
        if self._tail_spoken is None:
            self._tail_spoken = _Spoken.read(" ".join(spoken for _, spoken in self._phrases))
        if self._tail is None:
            self._tail = self._marks(self._phrases[-1][0], self._tail_spoken, complete=self._finished)
        if self._times:
            return self._tail
        return replace(self._tail, scale=self._samples_per_letter(self._tail_spoken, self._finished))

    def _marks(self, end: int, spoken: _Spoken, *, complete: bool) -> _Marks:
        """The marks of the text from what is settled up to `end`; with `complete`, `_made` is where its sound ends."""
        if self._times:
            origin, scale = 0.0, 1.0
            heard_at = self._timed(spoken, complete)
        else:
            origin, scale = float(self._settled_samples), self._samples_per_letter(spoken, complete)
            heard_at = spoken.middles
        written = [
            (self._settled_text + a, self._settled_text + b) for a, b in spans(self._text[self._settled_text : end])
        ]
        pairs = align(spoken.words, [self._text[a:b] for a, b in written])
        pairs += [(len(spoken.words) - 1,) * 2] * (len(written) - len(pairs))
        at = [heard_at[last] for _, last in pairs if last < len(heard_at)]
        ends = [text_end for (_, text_end), _ in zip(written, at, strict=False)]
        if ends and len(ends) == len(written):
            ends[-1] = end
        return _Marks(at, ends, origin, scale)

    def _samples_per_letter(self, spoken: _Spoken, complete: bool) -> float:
        known = (self._made - self._settled_samples) / spoken.length
        if complete:
            return known
        if self._settled_length:
            return max(known, self._settled_samples / self._settled_length)
        return max(known, len(spoken.words) / WORDS_PER_S * self._rate / spoken.length)

    def _timed(self, spoken: _Spoken, complete: bool) -> list[float]:
        """The middle of each spoken word by the times reported, in samples. If not `complete`, of those reported."""
        pairs = align([word.text for word in self._times], spoken.words, complete=complete)
        middles: list[float] = []
        for (first, last), group in groupby(pairs):
            middles += self._shared(
                spoken, len(middles), len(list(group)), self._times[first].start, self._times[last].end
            )
        rest = len(spoken.words) - len(middles)
        if complete and rest:
            middles += self._shared(spoken, len(middles), rest, min(self._times[-1].end, self._made), self._made)
        if complete:
            middles = [min(middle, self._made) for middle in middles]
        return list(accumulate(middles, max))

    @staticmethod
    def _shared(spoken: _Spoken, first: int, count: int, start: float, end: float) -> list[float]:
        """The middles of `count` words that are said between two samples."""
        if count == 1:
            return [(start + end) / 2]
        middles = spoken.middles[first : first + count]
        begin = spoken.middles[first - 1] if first else 0.0
        length = (middles[-1] - begin) + 1.0
        return [start + (middle - begin) / length * (end - start) for middle in middles]
