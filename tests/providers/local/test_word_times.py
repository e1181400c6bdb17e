import array

import pytest

from agent_runtime.providers.local.word_times import LOOK_AHEAD_S, WordTimes, is_speakable

RATE = 1000
PIECE = 100
LOUD = 5000


def sound(*spans: tuple[int, int]) -> bytes:
    """Spans of (samples, amplitude)."""
    return array.array("h", [amplitude for samples, amplitude in spans for _ in range(samples)]).tobytes()


def words(text: str, marks: list[tuple[int, int]], pcm: bytes) -> list[tuple[str, int, int]]:
    """The words and their times from the start of the phrase, having checked that no sound is lost."""
    times = WordTimes(text, RATE, PIECE)
    times.add(pcm, marks)
    times.finish()
    found, sounded = [], b""
    while (piece := times.take()) is not None:
        found += [(word, len(sounded) // 2 + start, len(sounded) // 2 + end) for word, start, end in piece[1]]
        sounded += piece[0]
    assert sounded == pcm
    return found


def test_each_mark_starts_its_word_and_a_pause_belongs_to_none() -> None:
    pcm = sound((150, LOUD), (50, 0), (200, LOUD), (100, 3))
    assert words("Hello, you.", [(0, 0), (7, 200)], pcm) == [("Hello,", 0, 150), ("you.", 200, 400)]


def test_marks_inside_a_word_or_in_the_space_after_it_are_its_own() -> None:
    pcm = sound((600, LOUD))
    marks = [(0, 0), (5, 100), (6, 150), (8, 200), (8, 250), (10, 300), (11, 400)]
    assert words("paid $1.50 at", marks, pcm) == [("paid", 0, 100), ("$1.50", 100, 400), ("at", 400, 600)]


def test_words_that_are_spoken_as_one_share_the_time_by_their_letters() -> None:
    assert words("of the day", [(0, 0), (7, 100)], sound((200, LOUD))) == [
        ("of", 0, 40),
        ("the", 40, 100),
        ("day", 100, 200),
    ]


def test_punctuation_alone_takes_no_time() -> None:
    pcm = sound((100, LOUD), (50, 0), (100, LOUD))
    assert words("« so — yes »", [(2, 0), (7, 150)], pcm) == [
        ("«", 0, 0),
        ("so", 0, 100),
        ("—", 100, 100),
        ("yes", 150, 250),
        ("»", 250, 250),
    ]


def test_without_marks_the_words_share_all_of_it() -> None:
    assert words("aa bbbb", [], sound((300, LOUD))) == [("aa", 0, 100), ("bbbb", 100, 300)]


def test_words_without_sound_are_lost_neither() -> None:
    assert words("a b", [(0, 0)], b"") == [("a", 0, 0), ("b", 0, 0)]


def test_marks_out_of_order_or_out_of_range_do_no_harm() -> None:
    found = words("one two three", [(4, 100), (0, 150), (-3, 160), (99, 200), (8, 250)], sound((300, LOUD)))
    assert [word for word, _, _ in found] == ["one", "two", "three"]
    assert all(0 <= start <= end <= 300 for _, start, end in found)


def test_a_word_stands_in_the_piece_in_which_it_starts() -> None:
    times = WordTimes("one two", RATE, PIECE)
    times.add(sound((250, LOUD)), [(0, 0), (4, 130)])
    assert times.take() == (sound((100, LOUD)), [("one", 0, 130)])  # its end lies beyond the piece
    assert times.take() is None  # the end of "two" is not known yet
    times.finish()
    assert times.take() == (sound((100, LOUD)), [("two", 30, 150)])
    assert times.take() == (sound((50, LOUD)), [])
    assert times.take() is None


def test_a_piece_waits_for_the_end_of_its_word_but_not_for_ever() -> None:
    times = WordTimes("endless word", RATE, PIECE)
    limit = int(LOOK_AHEAD_S * RATE)
    times.add(sound((limit - 1, LOUD)), [(0, 0)])
    assert times.take() is None
    times.add(sound((1, LOUD)), [])
    assert times.take() == (sound((100, LOUD)), [("endless", 0, limit)])
    times.add(sound((200, LOUD)), [(8, limit + 100)])
    times.finish()
    left = []
    while (piece := times.take()) is not None:
        left += piece[1]
    assert [word for word, _, _ in left] == ["word"]


@pytest.mark.parametrize("text", ["", "  \n", "...", "—", "?!", "\u200b", "*_*"])
def test_nothing_to_say(text: str) -> None:
    assert not is_speakable(text)


@pytest.mark.parametrize("text", ["a", "7", "\U0001f642", "€", "你好", "مرحبا"])
def test_something_to_say(text: str) -> None:
    assert is_speakable(text)
