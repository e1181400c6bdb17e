"""How far two readings of the same sound lie apart, in phonemes, and whether the grammar's is to be believed.

A grammar hears one of its phrases in everything: "unless to be rather cold hearted" comes out as "what is your name".
The language model beside it is often wrong about the words but seldom about their sound. So the grammar's phrase is
believed where it sounds like what the language model read, and nowhere else. Likelihoods do not tell: the difference
of the two decoders' scores let through 6 of 12 foreign sentences when it was tried.
"""

from collections.abc import Sequence

MAX_DISTANCE = 0.5
"""Up to here a phrase is believed: half of the phonemes of the longer reading."""

UNSURE = 0.45
"""The most that a reading of the language model alone is worth: below `agent_runtime.stt.MIN_CONFIDENCE`."""


def distance(one: Sequence[str], other: Sequence[str]) -> float:
    """Insertions, deletions and substitutions that turn one into the other, over the longer length: 0.0 to 1.0."""
    if not one or not other:
        return 1.0 if one or other else 0.0
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        diagonal, row[0] = row[0], i
        for j, right in enumerate(other, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (left != right))
    return row[-1] / max(len(one), len(other))


def agreement(phrase: Sequence[str], reading: Sequence[str]) -> float | None:
    """How sure the phonemes of the grammar's `phrase` are, from 0.5 to 1.0, given the language model's `reading`.

    None: the phrase is a guess.
    """
    if not phrase:
        return None
    apart = distance(phrase, reading)
    return 1.0 - apart if apart <= MAX_DISTANCE else None


def alone(words: int) -> float:
    """What a reading of so many words is worth without a phrase to back it: the more words, the less likely a cough."""
    return min(UNSURE, 0.1 + 0.05 * words) if words else 0.0
