"""Whole calls in which the voice activity detector hears nothing and the recogniser everything."""

from typing import Any

import pytest

from agent_runtime.chat import ChatMessage
from agent_runtime.events import InterruptionConfirmed, TurnCommitted
from tests.sim.calls import Made, Plan, make
from tests.sim.checks import broken, of

STORY = "a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 a10 a11 a12 a13 a14 a15 a16 a17 a18 a19 a20 a21 a22 a23 a24 a25 a26 a27."
LONG = " ".join(f"u{n}" for n in range(24))


def deaf(*caller: dict[str, Any], finals: str = "once") -> Made:
    """A call with these steps of the caller."""
    scenario = {
        "session": {"turn_handling": {"turn_detection": None}, "tools": {}},
        "models": {
            "vad": {"min_silence": 0.25},
            "stt": {"delay": 0.2, "interim_every": 0.3, "finals": finals},
            "llm": {"ttft": 0.1, "replies": [STORY, "b0 b1.", "b2 b3.", "b4 b5."]},
            "tts": {"word_times": True},
        },
        "caller": list(caller),
        "until": 60.0,
    }
    made = make(Plan(0, scenario, {"vad": "deaf"}))
    assert broken(made) == []
    return made


def said(made: Made) -> list[tuple[str, str]]:
    messages = [item for item in made.history.items if isinstance(item, ChatMessage)]
    return [(message.role, message.text_content or "") for message in messages]


@pytest.mark.parametrize("finals", ["once", "never", "late"])
def test_a_sentence_of_8_s_is_one_turn(finals: str) -> None:
    made = deaf({"say": LONG, "at": 1.0, "for": 8.0}, finals=finals)
    assert said(made) == [("user", LONG), ("assistant", STORY)]
    (turn,) = of(made, TurnCommitted)
    ends_at = {"once": 9.0 + 0.2 + 0.5, "late": 9.0 + 0.2 + 2.0 + 0.5, "never": 8.8 + 3.0}[finals]
    assert turn.at == pytest.approx(ends_at, abs=0.4)


def test_words_over_the_agent_interrupt_it() -> None:
    made = deaf({"say": "u0 u1", "at": 1.0, "for": 0.6}, {"say": "u2 u3 u4", "at": 5.0, "for": 1.2})
    (interruption,) = of(made, InterruptionConfirmed)
    assert interruption.at == pytest.approx(5.3)
    (_, first), (role, heard), (_, second), _ = said(made)
    assert (first, second) == ("u0 u1", "u2 u3 u4")
    assert role == "assistant"
    assert heard
    assert STORY.startswith(heard)


def test_a_backchannel_does_not() -> None:
    made = deaf({"say": "u0 u1", "at": 1.0, "for": 0.6}, {"backchannel": "mm hmm", "at": 5.0, "for": 0.4})
    assert said(made) == [("user", "u0 u1"), ("assistant", STORY)]
