import pytest

from agent_runtime.providers.local.automaton import compile_patterns
from agent_runtime.providers.local.phrases import (
    INTENTS,
    NUMBERS,
    OPERATORS,
    RULES,
    number_words,
    patterns,
    regex,
    words,
)


def intents(text: str) -> set[str]:
    return {intent for intent in INTENTS for pattern in patterns(intent) if regex(pattern).fullmatch(text)}


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("what time is it", "time"),
        ("can you please tell me what time it is", "time"),
        ("what's the date today", "date"),
        ("what is your name please", "name"),
        ("what is seven times eight", "arithmetic"),
        ("please say that again", "repeat"),
        ("what can you do", "help"),
        ("thank you goodbye", "goodbye"),
        ("no thanks", "no"),
        ("stop", "stop"),
        ("hello there", "greeting"),
    ],
)
def test_a_phrase_has_one_intent(text: str, intent: str) -> None:
    assert intents(text) == {intent}


@pytest.mark.parametrize("text", ["what time", "helpme", "stopit", "what is your name tag", "seven times", ""])
def test_half_a_phrase_has_none(text: str) -> None:
    assert intents(text) == set()


def test_references_are_groups() -> None:
    pattern = regex("what is <number> <operator> <number>")
    match = pattern.fullmatch("what is twenty one multiplied by a hundred")
    assert match is not None
    one, operator, other = match.groups()
    assert (NUMBERS[one], OPERATORS[operator], NUMBERS[other]) == (21, "*", 100)


def test_the_grammar_speaks_every_number_and_no_other() -> None:
    machine = compile_patterns(["<number>"], RULES)
    assert all(machine.accepts(number_words(value)) for value in range(101))
    assert all(machine.accepts(spoken) for spoken in NUMBERS)
    assert not machine.accepts("twenty ten")
    with pytest.raises(ValueError, match="101"):
        number_words(101)


def test_expression_and_machine_agree_on_every_pattern() -> None:
    for intent in INTENTS:
        for pattern in patterns(intent):
            machine = compile_patterns([pattern], RULES)
            expression = regex(pattern)
            plain = " ".join(words(pattern))
            for text in (plain, "what time is it", "seven plus two", "please help me", "no"):
                assert machine.accepts(text) == bool(expression.fullmatch(text)), (pattern, text)
