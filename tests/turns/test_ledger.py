import random
from itertools import pairwise

import pytest

from agent_runtime.audio.frame import TimedWord
from agent_runtime.text.phrases import PhraseSplitter
from agent_runtime.text.transforms import compose
from agent_runtime.turns.ledger import Heard, PlayoutLedger

RATE = 1000


def timed(text: str, *starts: float) -> tuple[TimedWord, ...]:
    """Each word lasts until the next one starts; the last of `starts` is where the last word ends."""
    return tuple(TimedWord(word, start, end) for word, (start, end) in zip(text.split(), pairwise(starts), strict=True))


def spoken_phrase(ledger: PlayoutLedger, raw: str, samples: int, words: tuple[TimedWord, ...] = ()) -> None:
    ledger.said(raw)
    ledger.samples(samples, words)
    ledger.phrase_done()


# With word times


def test_a_word_is_heard_from_its_middle_on() -> None:
    ledger = PlayoutLedger(RATE)
    spoken_phrase(ledger, "Hello my dear friend. ", 1000, timed("Hello my dear friend.", 0.0, 0.4, 0.5, 0.7, 0.9))
    assert ledger.heard(199) == Heard("", "Hello my dear friend.", 0)
    assert ledger.heard(200) == Heard("Hello", "my dear friend.", 1)
    assert ledger.heard(600).text == "Hello my dear"
    assert ledger.heard(799).cut == "friend."
    assert ledger.heard(800) == Heard("Hello my dear friend.", "", 4)


def test_times_count_from_the_chunk_that_carries_them() -> None:
    ledger = PlayoutLedger(RATE)
    ledger.said("one two")
    ledger.samples(500, timed("one", 0.0, 0.4))
    ledger.samples(500, timed("two", 0.1, 0.3))
    assert ledger.heard(699).text == "one"
    assert ledger.heard(700).text == "one two"


def test_the_text_is_the_models_own() -> None:
    ledger = PlayoutLedger(RATE)
    ledger.said("**You** have [5 red](https://x.y) apples \U0001f34e today. ", "You have 5 red apples today.")
    ledger.samples(700, timed("You have five red apples today.", 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6))
    ledger.phrase_done()
    assert ledger.heard(260).text == "**You** have [5"
    assert ledger.heard(360).text == "**You** have [5 red](https://x.y)"
    assert ledger.heard(460) == Heard("**You** have [5 red](https://x.y) apples \U0001f34e", "today.", 5)


def test_a_word_that_is_many_when_spoken_is_heard_from_the_middle_of_them() -> None:
    ledger = PlayoutLedger(RATE)
    ledger.said("In 2024 it was. ")
    ledger.samples(700, timed("In twenty twenty four it was.", 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6))
    ledger.phrase_done()
    assert ledger.heard(249).text == "In"
    assert ledger.heard(250).text == "In 2024"
    assert ledger.heard(450).text == "In 2024 it"


def test_one_time_for_many_words_is_shared_among_them() -> None:
    ledger = PlayoutLedger(RATE)
    spoken_phrase(ledger, "aaaa bbbb cccc dddd", 1000, (TimedWord("aaaabbbbccccdddd", 0.0, 1.0),))
    assert [ledger.heard(played).words for played in (1, 250, 500, 750, 1000)] == [0, 1, 2, 3, 4]


def test_words_told_only_for_the_beginning() -> None:
    ledger = PlayoutLedger(RATE)
    spoken_phrase(ledger, "one two three four five six", 3000, timed("one two", 0.0, 0.4, 0.8))
    assert ledger.heard(800).words == 2
    assert ledger.heard(1900).words in (3, 4)
    assert ledger.heard(3000).words == 6


def test_times_that_make_no_sense_are_let_go() -> None:
    ledger = PlayoutLedger(RATE)
    nan = float("nan")
    spoken_phrase(ledger, "one two", 1000, (TimedWord("one", nan, nan), TimedWord("two", -1.0, 0.5)))
    assert ledger.heard(1000) == Heard("one two", "", 2)
    spoken_phrase(ledger, "three", 1000, (TimedWord("three", 50.0, 60.0),))
    assert ledger.heard(2000).cut == ""


def test_words_past_the_end_of_the_sound_were_heard_at_its_end() -> None:
    ledger = PlayoutLedger(RATE)
    ledger.said("one two")
    ledger.samples(1000, timed("one two", 0.0, 0.5, 4.0))
    assert ledger.heard(1000).words == 1
    ledger.finish()
    assert ledger.heard(1000) == Heard("one two", "", 2)


def test_words_without_sound_do_not_leak_into_the_next_phrase() -> None:
    ledger = PlayoutLedger(RATE)
    spoken_phrase(ledger, "Ahem. ", 0, timed("Ahem.", 0.0, 0.0))
    spoken_phrase(ledger, "one two", 1000, timed("one two", 0.0, 0.4, 1.0))
    assert ledger.heard(199).text == ""
    assert ledger.heard(200).text == "Ahem. one"


# Without word times

ESPEAK = [  # where espeak-ng 1.52 (en-us, 175 words a minute) starts each word, and how long it all is, in ms
    ("How are you today?", [0, 178, 295, 398, 885]),
    (
        "The train to London leaves from platform 7 at 10:45.",
        [0, 108, 462, 596, 948, 1291, 1549, 2107, 2412, 2616, 3704],
    ),
    (
        "I could not find that order, but I can look for it by your phone number.",
        [0, 73, 283, 510, 891, 1120, 1636, 1835, 1907, 2120, 2330, 2537, 2694, 2836, 2981, 3286, 3780],
    ),
    ("My supervisor will telephone you tomorrow afternoon.", [0, 129, 755, 937, 1447, 1547, 1925, 2587]),
    ("That makes 18 euros and 50 cents altogether.", [0, 224, 527, 856, 1358, 1556, 1945, 2367, 3050]),
    (
        "If the problem comes back, switch the router off, wait for a minute, and switch it on again.",
        [0, 138, 243, 716, 1107, 1600, 1969, 2083, 2376, 2845, 3113, 3337, 3337, 3854, 4049, 4390, 4500, 4602, 5092],
    ),
]
"""Sentences that the weights of words were not fitted to."""


@pytest.mark.parametrize(("text", "starts"), ESPEAK)
def test_without_times_it_is_at_most_one_word_off(text: str, starts: list[int]) -> None:
    words = text.split()
    pauses = [200 if word[-1] in ",.;!?" else 0 for word in words]
    middles = [(start + end - pause) / 2 for (start, end), pause in zip(pairwise(starts), pauses, strict=True)]
    ledger = PlayoutLedger(RATE)
    spoken_phrase(ledger, text, starts[-1])
    for played in range(0, starts[-1] + 1, 10):
        assert abs(ledger.heard(played).words - sum(middle <= played for middle in middles)) <= 1, played


def test_chinese_is_cut_between_characters() -> None:
    ledger = PlayoutLedger(RATE)
    spoken_phrase(ledger, "我是一个助手，很高兴。", 2000)
    heard = ledger.heard(1000)
    assert heard.text + heard.cut == "我是一个助手，很高兴。"
    assert heard.words in (4, 5, 6)


# While the sound still comes


def test_three_words_a_second_before_anything_is_known() -> None:
    ledger = PlayoutLedger(RATE)
    ledger.said("word " * 30)
    ledger.samples(2000)
    assert ledger.heard(0).words == 0
    assert ledger.heard(2000).words in (5, 6, 7)


def test_then_the_speed_of_the_voice() -> None:
    slow = PlayoutLedger(RATE)
    spoken_phrase(slow, "word " * 10, 10_000)
    slow.said("word " * 10)
    slow.samples(3000)
    assert slow.heard(13_000).words in (12, 13, 14)


def test_or_the_sound_there_is_when_that_is_more() -> None:
    ledger = PlayoutLedger(RATE)
    ledger.said("one two three four five six ")
    ledger.samples(12_000)
    assert ledger.heard(6000).words in (2, 3, 4)
    assert ledger.heard(12_000).words == 6


def test_with_times_only_what_was_reported() -> None:
    ledger = PlayoutLedger(RATE)
    ledger.said("one two three four five")
    ledger.samples(1000, timed("one two three", 0.0, 0.3, 0.6, 1.2))
    assert [ledger.heard(played).words for played in (149, 150, 450, 899, 900, 1000)] == [0, 1, 2, 2, 3, 3]


def test_what_was_handed_over_but_made_no_sound_yet_is_cut() -> None:
    ledger = PlayoutLedger(RATE)
    spoken_phrase(ledger, "It is done. ", 1000)
    ledger.said("And this is next.")
    assert ledger.heard(1000) == Heard("It is done.", "And this is next.", 3)
    ledger.finish()
    assert ledger.heard(1000) == Heard("It is done.", "And this is next.", 3)


def test_more_may_be_said_ahead() -> None:
    ledger = PlayoutLedger(RATE)
    ledger.said("one two. ")
    ledger.said("three four.")
    ledger.samples(1000)
    ledger.phrase_done()
    ledger.samples(1000)
    ledger.phrase_done()
    assert [ledger.heard(played).words for played in (0, 999, 1000, 2000)] == [0, 2, 2, 4]


# Silent phrases


def test_what_cannot_be_said_goes_with_the_phrase_before() -> None:
    ledger = PlayoutLedger(RATE)
    ledger.said("\U0001f389 ", "")
    spoken_phrase(ledger, "Hello you. ", 1000)
    ledger.said("\U0001f600 ", "")
    spoken_phrase(ledger, "Bye now.", 1000)
    assert ledger.heard(1).text == ""
    assert ledger.heard(450).text == "\U0001f389 Hello"
    assert ledger.heard(1000) == Heard("\U0001f389 Hello you. \U0001f600", "Bye now.", 2)
    assert ledger.heard(2000).text == "\U0001f389 Hello you. \U0001f600 Bye now."


def test_a_phrase_of_which_the_engine_made_nothing() -> None:
    ledger = PlayoutLedger(RATE)
    ledger.said("Ahem ")
    ledger.phrase_done()
    spoken_phrase(ledger, "Hello. ", 1000)
    ledger.said("Hm hm. ")
    ledger.phrase_done()
    spoken_phrase(ledger, "Bye.", 1000)
    assert ledger.heard(1) == Heard("", "Ahem Hello. Hm hm. Bye.", 0)
    assert ledger.heard(1000) == Heard("Ahem Hello. Hm hm.", "Bye.", 2)


def test_only_emoji_is_never_heard() -> None:
    ledger = PlayoutLedger(RATE)
    ledger.said("\U0001f600", "")
    ledger.finish()
    assert ledger.heard(100) == Heard("", "\U0001f600", 0)
    assert ledger.all_heard() == Heard("\U0001f600", "", 1)


# Sound without phrases


@pytest.mark.parametrize("when", ["before", "between", "after", "at the end"])
def test_text_may_come_apart_from_the_sound(when: str) -> None:
    ledger = PlayoutLedger(RATE)
    for moment in ("before", "between", "after"):
        if when == moment:
            ledger.said("one two three four ")
            ledger.said("five six.")
        ledger.samples(1000)
    ledger.finish()
    if when == "at the end":
        ledger.said("one two three four ")
        ledger.said("five six.")
    assert ledger.heard(3000) == Heard("one two three four five six.", "", 6)
    assert ledger.heard(1500).words == 3
    assert ledger.heard(0).words == 0


def test_position() -> None:
    assert PlayoutLedger(24_000).position(36_000) == 1.5


# Whatever happens

TEXTS = [
    "Well, **hello** there. I have [5 apples](https://x.y), \U0001f34e and - maybe - pears! \U0001f600 Is that fine?",
    "# List\n- one thing\n- two things, e.g. `this_one`\n\n---\nThat is all of it. 2*3 = 6.",
    "\U0001f600 我是助手，很高兴。 It is 11:57. 好。",
    "word " * 60,
]


def random_ledger(draw: random.Random, text: str) -> tuple[PlayoutLedger, int]:
    """A speech with or without times, whole or in the making, in chunks of any size."""
    ledger = PlayoutLedger(RATE)
    splitter = PhraseSplitter(compose()())
    phrases = splitter.push(text) + splitter.flush()
    whole = draw.random() < 0.5
    spoken_phrases = len(phrases) if whole else draw.randint(0, len(phrases))
    made = 0
    for number, phrase in enumerate(phrases):
        ledger.said(phrase.raw, phrase.spoken)
        if not phrase.spoken or number >= spoken_phrases:
            continue
        at = 0.0
        timed_phrase = draw.random() < 0.5
        for word in phrase.spoken.split():
            length = draw.choice([0, 50, 200, 400])
            words = (
                (TimedWord(word, 0.0, draw.uniform(0, length / RATE)),) if timed_phrase and draw.random() < 0.9 else ()
            )
            ledger.samples(length, words)
            made += length
            at += length
        if number + 1 < spoken_phrases or whole:
            ledger.phrase_done()
    if whole:
        ledger.finish()
    return ledger, made


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("seed", range(12))
def test_heard_grows_and_nothing_is_lost(text: str, seed: int) -> None:
    ledger, made = random_ledger(random.Random(seed), text)
    assert ledger.heard(0).text == ""
    before = -1
    for played in range(0, made + 50, 7):
        heard = ledger.heard(played)
        assert heard.words >= before
        assert "".join((heard.text + heard.cut).split()) == "".join(text.split())
        assert text.lstrip().startswith(heard.text)
        assert text.rstrip().endswith(heard.cut)
        before = heard.words
    assert ledger.heard(10**9) == ledger.heard(made)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("seed", range(6))
def test_played_to_its_end_it_is_the_text(text: str, seed: int) -> None:
    draw = random.Random(seed)
    ledger = PlayoutLedger(RATE)
    splitter = PhraseSplitter(compose()())
    for phrase in splitter.push(text) + splitter.flush():
        ledger.said(phrase.raw, phrase.spoken)
        if phrase.spoken:
            ledger.samples(draw.randint(1, 3000))
            ledger.phrase_done()
    ledger.finish()
    assert ledger.heard(10**9).text == text.strip()
    assert ledger.heard(10**9).cut == ""


@pytest.mark.parametrize("seed", range(20))
def test_with_times_it_is_exact(seed: int) -> None:
    """Against a plain count of the words whose middle was reached."""
    draw = random.Random(seed)
    ledger = PlayoutLedger(RATE)
    middles: list[float] = []
    texts: list[str] = []
    made = 0
    for number in range(draw.randint(1, 6)):
        count = draw.randint(1, 12)
        words = [f"w{number}x{index}" for index in range(count)]
        ledger.said(" ".join(words) + ". ")
        for word in words:
            lead, length, tail = (draw.randint(0, 30) for _ in range(3))
            chunk = lead + length + tail + 1
            ledger.samples(chunk, (TimedWord(word, lead / RATE, (lead + length) / RATE),))
            middles.append(max(made + lead + length / 2, 1.0))
            made += chunk
        texts += [*words[:-1], words[-1] + "."]
        if draw.random() < 0.9:
            ledger.phrase_done()
        else:
            break
    for played in range(made + 1):
        count = sum(middle <= played + 1e-6 for middle in middles)
        heard = ledger.heard(played)
        assert heard.words == count if played else heard.words == 0
        assert heard.text.split() == texts[: heard.words]


def test_memory_is_bounded_by_the_text() -> None:
    ledger = PlayoutLedger(RATE)
    spoken_phrase(ledger, "one two three ", 1000, timed("one two three", 0.0, 0.3, 0.6, 0.9))
    for _ in range(100_000):
        ledger.samples(480)
    assert ledger.heard(10**9).words == 3
    assert len(ledger._at) == len(ledger._ends) == 3
    assert not ledger._times
