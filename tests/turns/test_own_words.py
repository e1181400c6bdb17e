import random

import pytest

from agent_runtime.turns.own_words import is_echo, may_become_echo

SAID = (
    "Thank you. Your order is on its way and should arrive before eight tonight. "
    "Would you like a small or a large drink with that?"
)


@pytest.mark.parametrize(
    "heard",
    [
        "your order is on its way",
        "order is on its way and should arrive",
        "Your order is on his way.",  # misheard
        "you're order is on it's weigh and should arrive",
        "thank you your order is",  # over the end of a sentence
        "and should arrive before 8 tonight would you like",
        "would you like a small",
        "a small or a large drink",  # nobody answers with both
    ],
)
def test_the_agents_own_words(heard: str) -> None:
    assert is_echo(heard, SAID, "en")


@pytest.mark.parametrize(
    "heard",
    [
        "",
        "large",
        "a large",
        "a large drink",
        "a small",
        "a large drink with that",
        "a large drink please",
        "yes a small",
        "no",
        "stop",
        "thank you",
        "before eight tonight",
        "where is my order",
        "is my order on its way",
        "my order is late",
        "your order is wrong",
        "I would like a small drink",
        "no your order is on its way",  # the caller spoke over the echo
        "your order is on its way stop",
        "way its on is order your",
    ],
)
def test_the_callers_words(heard: str) -> None:
    assert not is_echo(heard, SAID, "en")


OFFER = (
    "We have vanilla, chocolate and strawberry. I can offer Monday at nine or Tuesday at ten. Is your name John Smith?"
)


@pytest.mark.parametrize(
    "heard",
    ["chocolate and strawberry", "monday at nine", "Tuesday at ten", "John Smith", "name John Smith", "vanilla"],
)
def test_what_was_offered_is_an_answer(heard: str) -> None:
    assert not is_echo(heard, OFFER, "en")


def test_one_of_two_words_is_never_echo() -> None:
    dice = random.Random(2)
    words = "small large red blue cash card monday tuesday coffee tea window aisle".split()
    for _ in range(300):
        one, other = dice.sample(words, 2)
        asked = dice.choice(
            ["Would you like {} or {}?", "{} or {}", "You can have {} or {}.", "Is it {}, or rather {}?"]
        )
        heard = dice.choice(["{}", "{} please", "the {} one", "{} {}", "um {}"]).replace(
            "{}", dice.choice([one, other])
        )
        assert not is_echo(heard, asked.format(one, other), "en")


def test_a_long_stretch_needs_no_language() -> None:
    said = "Ich kann Ihnen am Montag um neun Uhr einen Termin anbieten."
    assert is_echo("kann ihnen am montag um neun uhr", said)
    assert is_echo("ich kann ihnen am", said, "de")
    assert not is_echo("montag um neun uhr", said, "de")


def test_two_words_may_have_become_one() -> None:
    assert is_echo("the ice cream is here now", "The icecream is here now.", "en")
    assert is_echo("the icecream is here now", "The ice cream is here now.", "en")


def test_nothing_was_said() -> None:
    assert not is_echo("where is my order", "", "en")


def test_what_is_said_whole_is_echo_wherever_it_is_cut() -> None:
    words = SAID.split()
    for start in range(len(words)):
        for end in range(start + 6, len(words) + 1):
            assert is_echo(" ".join(words[start:end]), SAID, "en")


def test_it_takes_any_text() -> None:
    dice = random.Random(6)
    words = [*SAID.split(), "?", "—", "你好", "🙂", "é", "\x00", "a" * 300]
    for _ in range(400):
        heard = " ".join(dice.choices(words, k=dice.randrange(0, 50)))
        spoken = " ".join(dice.choices(words, k=dice.randrange(0, 90)))
        assert is_echo(heard, spoken, dice.choice(["en", "de", None])) in (True, False)


def test_words_too_few_to_tell_may_become_echo() -> None:
    assert may_become_echo("your", "Your order is on its way.", "en")
    assert may_become_echo("order is", "Your order is on its way.", "en")
    assert not may_become_echo("is order", "Your order is on its way.", "en")
    assert not may_become_echo("my", "Your order is on its way.", "en")
    assert not may_become_echo("order is on", "Your order is on its way.", "en")  # these can be told
    assert not may_become_echo("", "Your order is on its way.", "en")
    assert not may_become_echo("your", "", "en")
