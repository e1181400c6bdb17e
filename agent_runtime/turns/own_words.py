"""Echo told by its text: what the recogniser heard is what the agent has just said.

A second guard, behind the echo canceller. A caller repeats the agent's words too: picks one of two things offered, reads
a number back, asks "at nine?". So whatever could be an answer is one, and only a stretch of running speech is echo:

* at least `MIN_WORDS` words in the agent's order, the first and the last of them the agent's; a word may be a little
  misheard, two may have become one, and of six one may be another;
* of an offer or a question, only what begins it, or stretches over the "or", or is long;
* a short stretch only where half of it are words of any sentence ("your order is on"), not names of things.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from agent_runtime.turns.lexicon import Lexicon, Words, lexicon, tokens, undetermined

MIN_WORDS = 3
LONG = 6
"""So many words in order are nobody's answer."""
ALIKE = 0.6
"""Of two words' letter pairs, how many they must share to be one word, misheard (Dice)."""
HEARD_AT_MOST = 40
"""More words than that are not compared (it would cost more than 5 ms), and count as the caller's."""
SPOKEN_AT_MOST = 60
"""Of the agent's words the last ones are compared: about 20 s of speech."""

_SENTENCE = re.compile(r"(?<=[.!?؟])\s+|(?<=[。！？])")
_MISHEARD = 0.3
_WRONG = 1.0
_SKIPPED = 0.5
_ERRORS_A_WORD = 0.2


def is_echo(heard: str, recently_spoken: str, language: str | None = None) -> bool:
    """Whether `heard` consists of the agent's own words.

    Args:
        heard: what the recogniser understood, final or not.
        recently_spoken: what of the agent's speech sounded in the last few seconds, with its punctuation.
        language: tells which words are those of any sentence and which join what is offered.
    """
    listed = lexicon(language) or undetermined()
    mine = _canonical(tokens(heard), listed)
    if not MIN_WORDS <= len(mine) <= HEARD_AT_MOST:
        return False
    spoken = _read(recently_spoken, language)
    if 3 * sum(map(spoken.known.__contains__, mine)) < len(mine):  # misheard or joined words can be no more than that
        return False
    found = _align(mine, spoken.words)
    if found is None:
        return False
    start, end, errors = found
    allowed = _ERRORS_A_WORD * len(mine) if len(mine) >= LONG else _MISHEARD * len(mine) / 2
    return errors <= allowed and not _may_be_answer(mine, start, end, spoken, listed)


def may_become_echo(heard: str, recently_spoken: str, language: str | None = None) -> bool:
    """Whether `heard` is too short to be told from echo so far: fewer than `MIN_WORDS` words, in the agent's order."""
    listed = lexicon(language) or undetermined()
    mine = _canonical(tokens(heard), listed)
    if not 0 < len(mine) < MIN_WORDS:
        return False
    spoken = _read(recently_spoken, language).words
    return any(list(spoken[at : at + len(mine)]) == mine for at in range(len(spoken) - len(mine) + 1))


@lru_cache(maxsize=4)
def _read(text: str, language: str | None) -> "_Spoken":
    """Read once: a recogniser gives its readings several times a second, and the agent says one thing meanwhile."""
    return _Spoken.of(text, lexicon(language) or undetermined())


@dataclass(frozen=True, slots=True)
class _Spoken:
    """The agent's words, and for each where its sentence begins and whether that asks or offers."""

    words: Sequence[str]
    starts: Sequence[int]
    asks: Sequence[bool]
    joins: Sequence[bool]
    """Whether the word joins what is offered: "or"."""
    known: frozenset[str]
    """The words."""

    @classmethod
    def of(cls, text: str, listed: Lexicon) -> "_Spoken":
        words: list[str] = []
        starts: list[int] = []
        asks: list[bool] = []
        joins: list[bool] = []
        for sentence in _SENTENCE.split(text):
            said = tokens(sentence)
            offers = [(word,) in listed.either_or for word in said]
            question = sentence.rstrip().endswith(("?", "？", "؟")) or any(offers)
            starts += [len(words)] * len(said)
            asks += [question] * len(said)
            joins += offers
            words += _canonical(said, listed)
        cut = max(0, len(words) - SPOKEN_AT_MOST)
        return cls(
            words[cut:],
            [max(0, start - cut) for start in starts[cut:]],
            asks[cut:],
            joins[cut:],
            frozenset(words[cut:]),
        )


def _may_be_answer(mine: Words, start: int, end: int, spoken: _Spoken, listed: Lexicon) -> bool:
    if len(mine) >= LONG:
        return False
    if spoken.asks[start]:
        return start != spoken.starts[start] and not any(spoken.joins[start + 1 : end - 1])
    return 2 * sum((word,) in listed.stop_words for word in spoken.words[start:end]) < end - start


def _align(mine: Words, spoken: Words) -> tuple[int, int, float] | None:
    """Where in `spoken` all of `mine` stands with the fewest errors: start, end, errors.

    Sellers' alignment: what stands before and behind costs nothing. A row for each heard word; a cell holds the errors so
    far and where the stretch began.
    """
    never = (float("inf"), 0)
    before: list[tuple[float, int]] = [(0.0, place) for place in range(len(spoken) + 1)]
    earlier = [never] * (len(spoken) + 1)
    alike: dict[tuple[str, str], float] = {}

    def cost(one: str, other: str) -> float:
        key = one, other
        if key not in alike:
            alike[key] = _difference(one, other)
        return alike[key]

    for row, word in enumerate(mine):
        edge = row in (0, len(mine) - 1)  # the first and the last have to be the agent's
        here = [never]
        for place, said in enumerate(spoken):
            wrong = cost(word, said)
            choices = [_plus(before[place], wrong if wrong < _WRONG or not edge else float("inf"))]
            if not edge:
                choices.append(_plus(before[place + 1], _WRONG))
            choices.append(_plus(here[place], _SKIPPED))
            if place and word == spoken[place - 1] + said:
                choices.append(before[place - 1])
            if row and mine[row - 1] + word == said:
                choices.append(earlier[place])
            here.append(min(choices))
        earlier, before = before, here
    errors, end = min((cell[0], place) for place, cell in enumerate(before))
    return None if errors == float("inf") else (before[end][1], end, errors)


def _plus(cell: tuple[float, int], cost: float) -> tuple[float, int]:
    return cell[0] + cost, cell[1]


def _difference(one: str, other: str) -> float:
    """0 for the same word, `_MISHEARD` for one that sounds like it, `_WRONG` for another."""
    if one == other:
        return 0.0
    if abs(len(one) - len(other)) > 3:
        return _WRONG
    pairs, others = _pairs(one), _pairs(other)
    shared = sum(min(count, others.get(pair, 0)) for pair, count in pairs.items())
    return _MISHEARD if 2 * shared >= ALIKE * (sum(pairs.values()) + sum(others.values())) else _WRONG


def _pairs(word: str) -> dict[str, int]:
    """Its pairs of neighbouring letters, the ends counted as letters."""
    padded = f"^{word}$"
    found: dict[str, int] = {}
    for place in range(len(padded) - 1):
        pair = padded[place : place + 2]
        found[pair] = found.get(pair, 0) + 1
    return found


def _canonical(words: Words, listed: Lexicon) -> list[str]:
    """ "five" and "5" are one word, "you're" and "youre" too."""
    return [listed.digits.get(word, word).replace("'", "") for word in words]
