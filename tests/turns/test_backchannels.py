import random

import pytest

from agent_runtime.turns.backchannels import BACKCHANNEL_S, Kind, is_aside, kind_of


def over_agent(text: str, language: str | None = "en", duration_s: float | None = 0.4) -> Kind:
    return kind_of(text, language, duration_s=duration_s, agent_speaking=True)


def in_silence(text: str, language: str | None = "en", *, after_question: bool = False) -> Kind:
    return kind_of(text, language, duration_s=0.4, agent_speaking=False, after_question=after_question)


LISTENING = [
    "mm hmm",
    "Mm-hmm.",
    "mhm",
    "uh huh",
    "right",
    "Okay.",
    "yeah",
    "I see",
    "oh okay",
    "yeah yeah",
    "um yeah",
    "got it",
    "no problem",
]
COMMANDS = [
    "no",
    "No!",
    "stop",
    "wait",
    "hold on",
    "hang on",
    "excuse me",
    "oh wait",
    "okay stop",
    "um no",
    "no that's wrong",
    "wait a second",
]
SOUNDS = ["um", "uh", "hmm", "ugh", "ahem", "mm", "um uh", "ummmm", "[cough]", "(sneezes)", "ha ha ha", ""]
SPEECH = [
    "right now",
    "okay but",
    "yes please",
    "okay okay okay so listen",
    "can you",
    "I want",
    "and then",
    "no one told me",
    "yeah I need a taxi",
    "well",
    "what",
    "so",
]


@pytest.mark.parametrize("text", LISTENING)
def test_signs_of_listening_while_the_agent_speaks(text: str) -> None:
    assert over_agent(text) == "backchannel"


@pytest.mark.parametrize("text", COMMANDS)
def test_commands_while_the_agent_speaks(text: str) -> None:
    assert over_agent(text) == "command"
    assert over_agent(text, duration_s=3.0) == "command"
    assert in_silence(text) == "speech"


@pytest.mark.parametrize("text", SOUNDS)
def test_sounds_are_nothing_at_any_time(text: str) -> None:
    assert over_agent(text) == in_silence(text) == in_silence(text, after_question=True) == "filler"


@pytest.mark.parametrize("text", SPEECH)
def test_everything_else_is_speech(text: str) -> None:
    assert over_agent(text) == in_silence(text) == "speech"


@pytest.mark.parametrize("text", LISTENING)
def test_after_a_question_it_is_an_answer(text: str) -> None:
    assert in_silence(text, after_question=True) == "speech"
    assert kind_of(text, "en", duration_s=0.4, agent_speaking=True, after_question=True) == "speech"


def test_in_silence_only_a_murmur_asks_for_nothing() -> None:
    assert in_silence("mm hmm") == "backchannel"
    assert in_silence("okay") == "speech"


def test_what_is_long_is_speech() -> None:
    assert over_agent("okay", duration_s=BACKCHANNEL_S) == "backchannel"
    assert over_agent("okay", duration_s=BACKCHANNEL_S + 0.1) == "speech"
    assert over_agent("okay", duration_s=None) == "backchannel"
    assert over_agent("yeah okay right", duration_s=1.7) == "backchannel"
    assert over_agent("yeah yeah yeah yeah") == "speech"


@pytest.mark.parametrize("whole", ["mm hmm", "uh huh", "I see", "got it", "makes sense", "yeah", "okay", "exactly"])
def test_the_beginning_of_a_backchannel_is_no_speech_yet(whole: str) -> None:
    words = whole.split()
    for count in range(1, len(words)):
        assert over_agent(" ".join(words[:count])) in ("backchannel", "filler", "undecided")
    if len(words) == 1:
        assert {over_agent(whole[:n]) for n in range(2, len(whole))} <= {"backchannel", "filler", "undecided"}


@pytest.mark.parametrize(
    ("language", "listening", "command", "speech"),
    [
        ("de", "ja genau", "Moment mal", "ja aber"),
        ("fr", "d'accord", "attendez", "oui mais"),
        ("es", "claro", "espera", "sí pero"),
        ("it", "ho capito", "aspetti", "sì ma"),
        ("pt", "entendi", "espera aí", "sim mas"),
        ("nl", "ja precies", "wacht even", "ja maar"),
        ("pl", "no tak", "chwileczkę", "tak ale"),
    ],
)
def test_other_languages(language: str, listening: str, command: str, speech: str) -> None:
    assert over_agent(listening, language) == "backchannel"
    assert over_agent(command, language) == "command"
    assert over_agent(speech, language) == "speech"


@pytest.mark.parametrize("language", [None, "multi", "ja"])
def test_no_known_language(language: str | None) -> None:
    assert over_agent("mm hmm", language) == "backchannel"
    assert over_agent("okay", language) == "backchannel"
    assert over_agent("stop", language) == "command"
    assert over_agent("hmm", language) == "filler"
    assert over_agent("right", language) == "speech"


ASIDES = [
    "honey can you get the door",
    "not you",
    "I'm on the phone",
    "be right there",
    "hey mom",
    "Sorry, not you.",
    "just a minute sweetie",
    "in a minute, mom",
    "Kids, stop it.",
    "no not you",
    "dad where are you",
    "who's at the door",
]
NO_ASIDES = [
    "honey mustard sauce please",
    "I'd like tea with honey",
    "a gift for my mom",
    "call mom",
    "I want to order a pizza",
    "stop",
    "no",
    "wait a second",
    "can you hear me",
    "dad wants a refund",
    "put me through to billing",
    "I need a new phone",
    "my kids",
    "okay",
    "",
]


@pytest.mark.parametrize("text", ASIDES)
def test_said_to_somebody_else(text: str) -> None:
    assert is_aside(text, "en")


@pytest.mark.parametrize("text", NO_ASIDES)
def test_said_to_the_agent(text: str) -> None:
    assert not is_aside(text, "en")


@pytest.mark.parametrize("language", ["multi", None, "ja"])
def test_without_words_nothing_is_an_aside(language: str | None) -> None:
    assert not is_aside("I'm on the phone", language)


def test_it_takes_any_text() -> None:
    dice = random.Random(11)
    words = " ".join(LISTENING + COMMANDS + SOUNDS + SPEECH + ASIDES).split()
    for _ in range(1500):
        text = " ".join(dice.choices(words, k=dice.randrange(0, 8))) + chr(dice.randrange(0x110000))
        language = dice.choice(["en", "de", "fr", "ja", None])
        kind = kind_of(
            text,
            language,
            duration_s=dice.choice([None, 0.0, 0.5, 9.0, float("nan")]),
            agent_speaking=dice.random() < 0.5,
            after_question=dice.random() < 0.5,
        )
        assert kind in ("backchannel", "undecided", "command", "speech", "filler")
        assert is_aside(text, language) in (True, False)
