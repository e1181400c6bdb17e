import random

import pytest

from agent_runtime.text.words import align, count, spans, speakable, weight


def words(text: str) -> list[str]:
    return [text[start:end] for start, end in spans(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello there.", ["Hello", "there."]),
        ("  - one - two \U0001f600 ", ["- one -", "two \U0001f600"]),
        ("你好, OK", ["你", "好,", "OK"]),
        (" ... ", ["..."]),
        ("", []),
        (" \n", []),
    ],
)
def test_spans(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_count_and_speakable() -> None:
    assert count("one, two - three") == 3
    assert count("你好吗我") == 2
    assert count("\U0001f600 --") == 0
    assert not speakable("_ * \U0001f600")
    assert speakable("5")


def test_digits_and_pauses_take_time() -> None:
    assert weight("2024")[0] > weight("four")[0]
    assert weight("so")[1] == 0
    assert weight("so,")[1] > weight("so.")[1] > 0


@pytest.mark.parametrize(
    ("source", "target", "pairs"),
    [
        ("a b c", "a b c", [(0, 0), (1, 1), (2, 2)]),
        ("Hello, World!", "**hello** world", [(0, 0), (1, 1)]),
        ("five apples", "5 apples", [(0, 0), (1, 1)]),
        ("in twenty twenty four it", "in 2024 it", [(0, 0), (1, 3), (4, 4)]),
        ("call for example me", "call e.g. me", [(0, 0), (1, 2), (3, 3)]),
        ("the docs", "the [a] docs", [(0, 0), (0, 0), (1, 1)]),
        ("x y", "a b c d", [(0, 0), (0, 0), (1, 1), (1, 1)]),
        ("a b", "a b more", [(0, 0), (1, 1)]),
        ("a b and so on", "a b", [(0, 0), (1, 4)]),
        ("25 5 apples", "25 apples", [(0, 1), (2, 2)]),
        ("", "a", []),
        ("a", "", []),
    ],
)
def test_align(source: str, target: str, pairs: list[tuple[int, int]]) -> None:
    assert align(source.split(), target.split()) == pairs


def test_what_has_not_come_yet_is_not_paired() -> None:
    assert align(["one", "two"], ["one", "two", "three"], complete=False) == [(0, 0), (1, 1)]
    assert align(["five"], ["5", "apples"], complete=False) == [(0, 0)]


@pytest.mark.parametrize("seed", range(30))
def test_pairs_never_fall_and_stay_inside(seed: int) -> None:
    draw = random.Random(seed)
    source = draw.choices("abcdefg", k=draw.randint(0, 30))
    target = draw.choices("abcdefg", k=draw.randint(0, 30))
    for complete in (True, False):
        pairs = align(source, target, complete=complete)
        assert len(pairs) <= len(target)
        flat = [index for pair in pairs for index in pair]
        assert all(first <= last for first, last in pairs)
        assert [first for first, _ in pairs] == sorted(first for first, _ in pairs)
        assert [last for _, last in pairs] == sorted(last for _, last in pairs)
        assert all(0 <= index < len(source) for index in flat)
        if complete and pairs:
            assert pairs[-1][1] == len(source) - 1 or len(pairs) < len(target) or not target
