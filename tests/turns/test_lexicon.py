from dataclasses import fields
from pathlib import Path

import pytest

import agent_runtime.turns
from agent_runtime.turns.lexicon import Lexicon, Phrases, lexicon, tokens, undetermined

LANGUAGES = sorted(file.stem for file in Path(str(agent_runtime.turns.__file__)).with_name("languages").glob("*.toml"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Okay, hold on...", "okay hold on"),
        ("uh-huh", "uh huh"),
        ("Don’t", "don't"),
        ("ummmm", "umm"),
        ("at 5 p.m. in the U.S.A.", "at 5 pm in the usa"),
        ("555-1234", "555 1234"),
        ("Write to J.Smith@x-y.co.uk.", "write to j dot smith at x y dot co dot uk"),
        ("[cough] yes (laughs) *sighs*", "yes"),
        ("Ｈｅｌｌｏ", "hello"),
        ("Straße", "strasse"),
        ("♪ ♪", ""),
        ("_ - .", ""),
    ],
)
def test_tokens(text: str, words: str) -> None:
    assert tokens(text) == tuple(words.split())


def test_phrases_know_where_they_stand() -> None:
    phrases = Phrases("hold on, hold on just? a second|minute\nwait")
    assert len(list(phrases)) == 6
    assert phrases.at_start("hold on a second please".split()) == 4
    assert phrases.at_end("please hold on".split()) == 2
    assert phrases.at_end("hold on please".split()) == 0
    assert ("wait",) in phrases
    assert phrases.within("can you wait here".split())
    assert not phrases.within("weight".split())
    assert phrases.begun_by(["hold"])
    assert phrases.begun_by_piece("wa")
    assert not phrases.begun_by(["wait"])
    assert phrases.without_start("wait wait now".split()) == ["now"]
    assert phrases.without_end("now wait hold on".split()) == ["now"]


def test_the_languages_that_are_promised_are_there() -> None:
    assert {"de", "en", "es", "fr", "it", "nl", "pl", "pt", "und"} <= set(LANGUAGES)


@pytest.mark.parametrize("tag", LANGUAGES)
def test_a_phrase_is_written_as_it_is_heard(tag: str) -> None:
    """What `tokens` would never give can never be found."""
    listed = undetermined() if tag == "und" else lexicon(tag)
    assert listed is not None
    sets = [getattr(listed, each.name) for each in fields(Lexicon)] + list(listed.dictated.values())
    phrases = {phrase for one in sets if isinstance(one, Phrases) for phrase in one}
    assert {phrase for phrase in phrases if tokens(" ".join(phrase)) != phrase} == set()
    assert {word for word in listed.digits if tokens(word) != (word,)} == set()


@pytest.mark.parametrize("tag", [tag for tag in LANGUAGES if tag != "und"])
def test_a_language_says_what_every_rule_needs(tag: str) -> None:
    listed = lexicon(tag)
    assert listed is not None
    needed = "sounds fillers tics murmurs backchannels commands wait open questions subjects yes_no whole stop_words"
    assert [name for name in [*needed.split(), "either_or"] if not list(getattr(listed, name))] == []
    assert len(set(listed.digits.values())) == 10


def test_a_language_is_found_however_its_code_is_written() -> None:
    assert lexicon("en-US") is lexicon("English") is lexicon("en")


@pytest.mark.parametrize("code", ["multi", "zh", "", None, "no such language", "../en", "und"])
def test_no_language_no_words(code: str | None) -> None:
    assert lexicon(code) is None
