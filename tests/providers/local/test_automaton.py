import itertools
import re

import pytest

from agent_runtime.providers.local.automaton import Machine, compile_patterns


def said(machine: Machine, words: str, longest: int) -> set[str]:
    """Everything that the machine accepts, up to so many of these words."""
    texts = (
        " ".join(text) for count in range(1, longest + 1) for text in itertools.product(words.split(), repeat=count)
    )
    return {text for text in texts if machine.accepts(text)}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a", {"a"}),
        ("a b", {"a b"}),
        ("a | b", {"a", "b"}),
        ("a [b]", {"a", "a b"}),
        ("[a] (b | c d)", {"b", "a b", "c d", "a c d"}),
        ("[[a] b] c", {"c", "b c", "a b c"}),
        ("(a | b | )  c", {"c", "a c", "b c"}),
        ("[a | b c] d", {"d", "a d", "b c d"}),
        ("<x> d <x>", {"a d a", "a d b", "b d a", "b d b"}),
        ("a (b)", {"a b"}),
    ],
)
def test_it_accepts_just_what_the_pattern_says(pattern: str, expected: set[str]) -> None:
    assert said(compile_patterns([pattern], {"x": "a | b"}), "a b c d", 4) == expected


def test_alternatives_after_an_option_do_not_leak_into_each_other() -> None:
    machine = compile_patterns(["a [b] c", "a b d"], {})
    assert said(machine, "a b c d", 3) == {"a c", "a b c", "a b d"}


def test_it_is_the_smallest_machine() -> None:
    # start, after "a" or "b", after "c", the end
    machine = compile_patterns(["a c", "b c", "(a | b) c"], {})
    assert machine.states == 4
    assert sorted(machine.arcs) == [(0, 1, "a"), (0, 1, "b"), (1, 2, "c"), (2, 3, "")]


def test_each_state_has_one_arc_a_word() -> None:
    machine = compile_patterns(["a [b] c", "a b d", "[a] b"], {})
    assert len({(source, word) for source, _, word in machine.arcs}) == len(machine.arcs)


def test_it_finds_the_longest_phrase_that_a_text_begins_with() -> None:
    machine = compile_patterns(["stop [it now]", "go"], {})
    assert machine.phrase_in("stop it now please") == "stop it now"
    assert machine.phrase_in("stop it") == "stop"
    assert machine.phrase_in("it") == ""
    assert machine.phrase_in("") == ""
    assert not machine.accepts("")


def test_a_rule_that_is_not_there_or_eats_its_own_tail_is_an_error() -> None:
    with pytest.raises(KeyError, match="room"):
        compile_patterns(["go to <room>"], {})
    with pytest.raises(RecursionError):
        compile_patterns(["<a>"], {"a": "b <a>"})


def test_words_keep_their_apostrophes_and_full_stops() -> None:
    words = {word for _, _, word in compile_patterns(["what's a.m."], {}).arcs}
    assert re.fullmatch(r"\w+'s", min(words - {"", "a.m."}))
    assert "a.m." in words
