from collections.abc import Sequence

import pytest

from agent_runtime.providers.local.phonemes import MAX_DISTANCE, agreement, alone, begun, distance, edits
from agent_runtime.stt import MIN_CONFIDENCE


def letters(text: str) -> Sequence[str]:
    """A language that is spoken as it is written."""
    return text.replace(" ", "")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [("", "", 0), ("a", "", 1), ("", "ab", 2), ("kitten", "sitting", 3), ("flaw", "lawn", 2), ("same", "same", 0)],
)
def test_edits(one: str, other: str, expected: int) -> None:
    assert edits(one, other) == edits(other, one) == expected
    assert distance(one, other) == expected / max(len(one), len(other), 1)


def test_a_phrase_that_sounds_like_the_reading_is_believed() -> None:
    assert agreement("add milk", "add milk", letters) == 1.0
    assert agreement("add milk", "at mill", letters) == pytest.approx(1 - 3 / 7)


def test_a_phrase_that_does_not_is_a_guess() -> None:
    assert agreement("add milk", "elephants", letters) is None
    assert agreement("", "", letters) is None
    assert agreement("stop", "", letters) is None


def test_the_same_beginning_proves_nothing_about_what_follows() -> None:
    phrase, reading = "i would like to stop", "i would like to fly"
    assert distance(letters(phrase), letters(reading)) < MAX_DISTANCE
    assert agreement(phrase, reading, letters) is None


def test_words_that_follow_a_whole_phrase_are_breath() -> None:
    assert agreement("what can you do", "what can you do huh", letters) == pytest.approx(1 - 3 / 15)


def test_one_word_misread_at_the_end_is_forgiven() -> None:
    assert agreement("seven times at", "seven times a", letters) is not None


def test_the_beginning_of_a_phrase_needs_more_than_a_cough() -> None:
    assert begun("what time", "what time", letters) == 1.0
    assert begun("wait", "wait", letters) == 1.0
    assert begun("on", "on", letters) is None
    assert begun("how are", "are", letters) is None
    assert begun("", "", letters) is None


def test_a_reading_alone_is_never_sure_but_more_so_the_longer() -> None:
    assert alone(0) == 0.0
    assert 0 < alone(1) < alone(3) < alone(50) < MIN_CONFIDENCE
