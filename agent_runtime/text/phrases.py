"""Cut the text of a language model, as it streams in, into phrases for a synthesiser.

Theory of operation. Text can be cut behind a white-space character, and behind the marks of scripts that put no space
there. Each such break is judged by the word in front of it, at the moment it arrives, without a look at what follows:

* a *sentence end* cuts any phrase that has a word in it. Full stops of abbreviations, initials, list numbers and
  ordinals are none, nor is an ellipsis; a line break is one where the line is a list item, a heading, a table row or a
  quotation, behind a mark of punctuation, and where a blank line follows;
* a *clause end* (comma, semicolon, colon, dash, any other line break) cuts the first phrase of an utterance when it has
  two words, so that speech starts early, and a later one when it is already long. A single word ("Sure,") waits for
  its sentence: alone it would be said with the wrong tune and leave the synthesiser too little time for the rest;
* *any* break cuts a phrase that has grown to its bound.

Where it is not sure (a number and a full stop: "It is 42." or "am 3. Oktober"?) it does not cut: two sentences in one
phrase sound right, half a sentence does not. How the text was cut into tokens makes no difference to the phrases.
"""

import re
import unicodedata
from collections.abc import Callable
from typing import Literal

from agent_runtime.records import record
from agent_runtime.text.words import count

Ending = Literal["sentence", "clause", "word"]


@record(frozen=True, slots=True)
class Phrase:
    """A piece of an utterance.

    Attributes:
        raw: as the model wrote it, with all its white space: the `raw` of all phrases, joined, are the input.
        spoken: what the synthesiser is to say; empty where there is nothing to say.
    """

    raw: str
    spoken: str


@record(frozen=True, slots=True)
class _Bounds:
    """From how many words or characters on a phrase is cut at a clause end, and from how many at any break."""

    clause_words: int
    clause_chars: int
    words: int
    chars: int


_FIRST = _Bounds(clause_words=2, clause_chars=80, words=10, chars=80)
_LATER = _Bounds(clause_words=20, clause_chars=120, words=30, chars=200)
_UNBROKEN_CHARS = 400
"""Text without any break (a data URL, garbage) is cut at this length: a synthesiser is never given an endless word."""

_CLOSERS = r"\"'”’»›)\]}*_~`」』）】〉》\U0001F000-\U0001FAFF\u2600-\u27BF\uFE0F\u200D"
_UNSPACED = "。！？।॥۔؟，、；—"
"""Marks behind which a phrase may be cut without a space."""

_BREAK = re.compile(
    rf"\s|(?=[^\s{_UNSPACED}{_CLOSERS}])"
    rf"(?:(?<=[{_UNSPACED}])|(?<=[{_UNSPACED}][{_CLOSERS}])|(?<=[{_UNSPACED}][{_CLOSERS}][{_CLOSERS}]))"
)
_TRAILING = re.compile(rf"[{_CLOSERS}]+$")
_PLAIN_ENDS = ".,?!;:"
_SENTENCE_MARKS = tuple("!?。！？।॥۔؟")
_CLAUSE_MARKS = tuple(",;:，、；：،؛—–")
_MARKS = (".", "…", *_SENTENCE_MARKS, *_CLAUSE_MARKS)
_ENDINGS: dict[str, Ending] = {
    **dict.fromkeys((".", *_SENTENCE_MARKS), "sentence"),
    **dict.fromkeys(_CLAUSE_MARKS, "clause"),
}
_DASHES = frozenset(("-", "--", "–", "—"))
_BLOCK = re.compile(r"[-*+•]$|\d{1,3}[.)]$|#{1,6}$|>|\||```|~~~")
"""The first word of a line that stands for itself."""

_SHORT = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]$|\d{1,2}$")
"""What a full stop is part of: an initial, an acronym (U.S, e.g), a small number that may be an ordinal."""

_OPENERS = re.compile(r"^[\"'“‘«(\[{*_~`¿¡]+")
_ABBREVIATIONS = frozenset(
    # English
    "mr mrs ms messrs dr prof st sr jr rev hon gen col maj capt cmdr lt sgt cpl gov sen rep pres supt vs etc approx "
    "est esp al cf ca fig figs vol vols pp ch sec nos inc ltd corp co bros dept univ assn ave blvd rd mt ft ext tel "
    "min hr hrs lb lbs oz yr yrs jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thurs fri phd "
    # German, Dutch
    "bzw usw ggf evtl inkl zzgl vgl nr str hr fr abs bspw sog mio mrd tgl dhr mevr blz bijv enz "
    # French, Spanish, Portuguese, Italian
    "mme mlle mm av env sra srta dra ud uds vd vds pág núm avda depto exmo sig dott ing avv ecc "
    # Polish, Swedish, Danish, Norwegian, Turkish
    "np tzn itd itp ul godz tj bl osv dvs kl ev alm sn dk vb".split()
)
_NUMBER_ABBREVIATIONS = frozenset(("no", "No", "art", "Art", "p"))
"""Short for something only inside of a phrase, and "no" only with a capital: "Room No. 5", but "No. I did not."."""

_ZWJ = "\u200d"
_JOINERS = frozenset((_ZWJ, *map(chr, range(0x1F3FB, 0x1F400))))
"""What glues emoji together, and the tones of skin."""
_LONGEST_CHARACTER = 32


class PhraseSplitter:
    """Text in, phrases out. An utterance ends at `flush`, and the next one starts with a first clause again.

    `transform` makes a phrase's `spoken` of its `raw`; it is called once for each phrase, in order.
    """

    def __init__(self, transform: Callable[[str], str] = str.strip) -> None:
        self._transform = transform
        self._start_utterance()

    def _start_utterance(self) -> None:
        self._bounds = _FIRST
        self._text = ""  # the phrase in the making
        self._words = 0.0  # in it
        self._word = 0  # where in it the word in the making starts
        self._seen = 0  # up to where it was searched for breaks
        self._last = ""  # the last word, without what closes it
        self._new_line = True  # no word in this line yet
        self._block = False  # this line stands for itself

    def push(self, text: str) -> list[Phrase]:
        """Take a token; return the phrases that it completes."""
        text, start = self._text + text, 0
        phrases: list[Phrase] = []
        plain = text.isascii() and text.isprintable()  # then a space is all that there is to find
        while True:
            limit = start + _UNBROKEN_CHARS
            if plain:
                found = text.find(" ", self._seen, limit + 1)
                cut = found + 1
            else:
                found, cut = place.span() if (place := _BREAK.search(text, self._seen, limit + 1)) else (-1, 0)
            if found >= 0:
                self._seen = max(cut, found + 1)
                ends = self._judge(text[self._word : found], text[found:cut] == "\n", cut - start)
            elif len(text) > limit:
                cut = self._seen = _between_characters(text, limit)
                ends = True
            else:
                break
            self._word = cut
            if ends:
                phrases.append(self._phrase(text[start:cut]))
                start = cut
        self._text, self._word, self._seen = text[start:], self._word - start, len(text) - start
        return phrases

    def flush(self) -> list[Phrase]:
        """End the utterance; return what is left of it."""
        phrases = [self._phrase(self._text)] if self._text else []
        self._start_utterance()
        return phrases

    def _phrase(self, raw: str) -> Phrase:
        self._bounds, self._words = _LATER, 0.0
        return Phrase(raw, self._transform(raw))

    def _judge(self, word: str, at_line_end: bool, chars: int) -> bool:
        """Whether the phrase, `chars` long, ends behind `word`."""
        if word.isalpha() and word.isascii() and not at_line_end:  # most words: nothing ends behind them
            ending: Ending = "word"
            self._last = word
            if self._new_line:
                self._new_line = self._block = False
            self._words += 1.0
        else:
            ending = self._ending(word, at_line_end)
            if word[:1].isalnum() and word.isascii():
                self._words += 1.0
            elif not word.startswith(("```", "~~~")):
                self._words += count(word)
        if not self._words:
            return chars >= _UNBROKEN_CHARS
        bounds = self._bounds
        if ending == "clause" and (self._words >= bounds.clause_words or chars >= bounds.clause_chars):
            return True
        return ending == "sentence" or self._words >= bounds.words or chars >= bounds.chars

    def _ending(self, word: str, at_line_end: bool) -> Ending:
        """What ends behind `word`, which may be empty: behind the first of two spaces, or in a blank line."""
        ending: Ending = "word"
        if word:
            before, end = self._last, word[-1]
            self._last = word if end.isalnum() or end in _PLAIN_ENDS else _TRAILING.sub("", word)
            ending = self._punctuation(self._last, before)
            if self._new_line:
                self._new_line, self._block = False, not word[0].isalpha() and _BLOCK.match(word) is not None
        if not at_line_end:
            return ending
        stands_alone = self._new_line or self._block or self._last.endswith(_MARKS)
        self._new_line, self._block = True, False
        return "sentence" if stands_alone else "clause"

    def _punctuation(self, word: str, before: str) -> Ending:
        end = word[-1:]
        if end == "." and not self._is_full_stop(word):
            return "word"
        if word in _DASHES:
            return "word" if self._new_line or before[-1:].isdigit() else "clause"  # a bullet, a minus
        return _ENDINGS.get(end, "word")

    def _is_full_stop(self, word: str) -> bool:
        if word.endswith("..") or (self._new_line and _BLOCK.match(word)):
            return False
        name = _OPENERS.sub("", word[:-1])
        if name in _NUMBER_ABBREVIATIONS:
            return not self._words
        return name == "I" or not (_SHORT.match(name) or name.casefold() in _ABBREVIATIONS)


def _between_characters(text: str, index: int) -> int:
    """The last place at or before `index` that is not inside of a character made of several code points."""
    for place in range(index, max(index - _LONGEST_CHARACTER, 1), -1):
        joined = text[place] in _JOINERS or text[place - 1] == _ZWJ or unicodedata.category(text[place])[0] == "M"
        if not joined:
            return place
    return index
