"""How far two readings of the same sound lie apart, in phonemes, and whether the grammar's is to be believed.

A grammar hears one of its phrases in everything: "unless to be rather cold hearted" comes out as "what is your name".
The language model beside it is often wrong about the words but seldom about their sound. So the grammar's phrase is
believed where it sounds like what the language model read, and nowhere else. Likelihoods do not tell: the difference
of the two decoders' scores let through 6 of 12 foreign sentences when it was tried.

The bounds here were set on 752 utterances in eight synthetic voices, human recordings, coughs and hums. Of 386 foreign
sentences, coughs and hums none passes; of 244 phrases in flite's voices 217 do, of 122 in espeak's, which the language
model can hardly follow, 36. At half of the phonemes "turn left at the corner" turned on a light.
"""

from collections.abc import Callable, Sequence

MAX_DISTANCE = 0.45
"""Up to here a phrase is believed: this part of the phonemes of the longer reading may differ."""

UNSURE = 0.45
"""The most that a reading of the language model alone is worth: below `agent_runtime.stt.MIN_CONFIDENCE`."""

_REST_DISTANCE = 0.5
_BEGUN_DISTANCE = 1 / 3
_BEGUN_PHONEMES = 5
_BEGUN_PHONEMES_EXACT = 3

Sounds = Callable[[str], Sequence[str]]
"""The phonemes of a text."""


def edits(one: Sequence[str], other: Sequence[str]) -> int:
    """Insertions, deletions and substitutions that turn one into the other."""
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        diagonal, row[0] = row[0], i
        for j, right in enumerate(other, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (left != right))
    return row[-1]


def distance(one: Sequence[str], other: Sequence[str]) -> float:
    """Edits over the longer length: 0.0 to 1.0."""
    return edits(one, other) / max(len(one), len(other), 1)


def agreement(phrase: str, reading: str, sounds: Sounds) -> float | None:
    """How sure a whole `phrase` is, from 0.55 to 1.0, given the language model's `reading`; None: it is a guess."""
    apart = distance(sounds(phrase), sounds(reading))
    if not phrase or apart > MAX_DISTANCE or not _rest_agrees(phrase.split(), reading.split(), sounds):
        return None
    return 1.0 - apart


def _rest_agrees(phrase: list[str], reading: list[str], sounds: Sounds) -> bool:
    """Whether what follows the words that both begin with is alike too.

    "I would like to" opens half of all phrases and half of all other sentences; it proves nothing about what follows.
    """
    same = 0
    while same < min(len(phrase), len(reading)) and phrase[same] == reading[same]:
        same += 1
    if same == len(phrase):
        return True
    one, other = sounds(" ".join(phrase[same:])), sounds(" ".join(reading[same:]))
    return edits(one, other) <= _REST_DISTANCE * max(len(one), len(other)) + 1


def begun(phrase: str, reading: str, sounds: Sounds) -> float | None:
    """The same for the beginning of a phrase while it is spoken, and stricter: a cough soon sounds like a short word."""
    one, other = sounds(phrase), sounds(reading)
    apart = distance(one, other)
    enough = _BEGUN_PHONEMES_EXACT if apart == 0 else _BEGUN_PHONEMES
    return 1.0 - apart if len(one) >= enough and apart <= _BEGUN_DISTANCE else None


def alone(words: int) -> float:
    """What a reading of so many words is worth with no phrase to back it: the more words, the less likely a cough."""
    return min(UNSURE, 0.1 + 0.05 * words) if words else 0.0
