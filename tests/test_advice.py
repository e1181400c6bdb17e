"""Turn detectors of every kind behind a call: their advice moves the commit, and whatever else they do moves nothing."""

import asyncio
import contextlib
import dataclasses
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from agent_runtime import AgentSession, clock
from agent_runtime.errors import UsageError
from agent_runtime.events import Error, LlmRequested, TurnCommitted, TurnPredicted
from agent_runtime.testing.scripted import Line, ScriptedSTT
from agent_runtime.turns.detectors import TurnSoFar
from agent_runtime.turns.endpoint import ADVICE_BUDGET_S
from tests.scripted_call import Plain, Told, call

HELLO = [Line(1.0, "hello there", 0.6)]
END = 1.6
FINAL = 1.86
"""When the voice is known to be over, and its final is there."""


class Detector:
    """Answers with what it is given: a value, or a function of the turn."""

    label = "mine"

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[tuple[float, TurnSoFar]] = []

    def predict(self, turn: TurnSoFar) -> Any:
        self.asked.append((clock.now(), turn))
        return self.answer(turn) if callable(self.answer) else self.answer


def raises(turn: TurnSoFar) -> float:
    raise RuntimeError("no model")


def advised(answer: Any, lines: list[Line] | None = None, **more: Any) -> Told:
    given = {"turn_detection": Detector(answer)}
    return call(lines or HELLO, {"*": "Yes."}, turn_handling=given, **{"until": 8.0, **more})


def later(seconds: float, answer: Any) -> Callable[[TurnSoFar], Any]:
    async def predict(turn: TurnSoFar) -> Any:
        await clock.sleep(seconds)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return predict


def hangs(turn: TurnSoFar) -> Any:
    return asyncio.get_running_loop().create_future()


@pytest.mark.parametrize(
    ("answer", "delay"),
    [(1.0, 0.5), (0.95, 0.5), (1, 0.5), (np.float32(0.95), 0.5), (Fraction(19, 20), 0.5), (0.05, 3.0), (0, 3.0)],
)
def test_its_advice_moves_the_commit(answer: Any, delay: float) -> None:
    told = advised(answer)
    assert told.one(TurnCommitted).at == pytest.approx(END + delay)
    predicted = told.one(TurnPredicted)
    assert predicted.detector == "mine"
    assert predicted.probability == pytest.approx(float(answer))
    assert predicted.delay == pytest.approx(delay)
    assert not told.of(Error)
    assert told.said == [("user", "hello there"), ("assistant", "Yes.")]


def test_no_opinion_is_silence_alone() -> None:
    told = advised(None)
    assert told.one(TurnCommitted).at == pytest.approx(END + 0.5)
    assert told.one(TurnPredicted).probability is None
    assert not told.of(Error)


@pytest.mark.parametrize("answer", [math.nan, math.inf, 7, 7.0, -0.1, "0.9", True, [0.9], {}, 1j, object(), raises])
def test_nonsense_is_no_advice_and_told_once(answer: Any) -> None:
    lines = [Line(1.0, "hello there", 0.6), Line(5.0, "and again", 0.6)]
    told = advised(answer, lines, until=10.0)
    assert [event.at for event in told.of(TurnCommitted)] == [pytest.approx(END + 0.5), pytest.approx(5.6 + 0.5)]
    assert told.one(Error).source == "turn_detector"
    assert "'mine'" in told.one(Error).message
    assert [event.probability for event in told.of(TurnPredicted)] == [None, None]


@pytest.mark.parametrize(
    ("answer", "commits_at"),
    [
        (later(0.1, 0.95), END + 0.5),
        (later(0.1, 0.0), END + 3.0),
        (later(0.1, RuntimeError("no model")), END + 0.5),
        (later(0.1, math.nan), END + 0.5),
        (later(0.1, "yes"), END + 0.5),
        (later(ADVICE_BUDGET_S + 0.05, 0.0), FINAL + ADVICE_BUDGET_S),
        (later(2.0, 0.0), FINAL + ADVICE_BUDGET_S),
        (later(2.0, RuntimeError("no model")), FINAL + ADVICE_BUDGET_S),
        (hangs, FINAL + ADVICE_BUDGET_S),
    ],
)
def test_one_that_takes_its_time(answer: Any, commits_at: float) -> None:
    told = advised(answer)
    assert told.one(TurnCommitted).at == pytest.approx(commits_at, abs=1e-6)
    assert told.said == [("user", "hello there"), ("assistant", "Yes.")]


def test_one_that_will_not_be_cancelled_does_not_hold_up_the_call() -> None:
    async def stubborn(turn: TurnSoFar) -> float:
        with contextlib.suppress(asyncio.CancelledError):
            await clock.sleep(60.0)
        await clock.sleep(60.0)
        return 0.9

    told = advised(stubborn, until=4.0)
    assert told.one(TurnCommitted).at == pytest.approx(FINAL + ADVICE_BUDGET_S)
    assert told.types[-1] == "close"


def test_one_that_is_slow_is_asked_about_the_newest_words_only() -> None:
    detector = Detector(later(0.2, 0.95))
    lines = [Line(1.0, "I would", 0.5), Line(1.85, "like tea", 0.8)]
    told = call(lines, {"*": "Yes."}, turn_handling={"turn_detection": detector}, until=8.0)
    assert [turn.text for _, turn in detector.asked] == ["I would", "I would like tea"]
    assert told.one(TurnCommitted).transcript == "I would like tea"
    assert told.one(TurnCommitted).at == pytest.approx(2.65 + 0.5)


def test_what_it_is_asked() -> None:
    detector = Detector(0.9)

    class Asks(Plain):
        async def on_enter(self) -> None:
            self.session.say("What size?")

    call([Line(2.0, "large", 0.6)], {"*": "Yes."}, agent=Asks, turn_handling={"turn_detection": detector}, until=6.0)
    ((at, turn),) = detector.asked
    assert turn.text == "large"
    assert turn.last_voiced == pytest.approx(2.6)
    assert turn.agent_said == "What size?"
    assert at == pytest.approx(2.86)


@pytest.mark.parametrize("mode", ["vad", "stt", "manual", None])
def test_a_mode_asks_nobody(mode: str | None) -> None:
    told = call(HELLO, {"*": "Yes."}, turn_handling={"turn_detection": mode}, until=5.0)
    assert not told.of(TurnPredicted)
    commits = {"vad": [END + 0.5], None: [END + 0.5], "stt": [END + 0.5], "manual": []}
    assert [event.at for event in told.of(TurnCommitted)] == pytest.approx(commits[mode])


def test_the_built_in_one_waits_for_the_end_of_a_clause() -> None:
    lines = [Line(1.0, "I would like a", 0.8), Line(3.4, "cup of tea", 0.8)]
    told = call(lines, {"*": "Yes."}, until=9.0)
    assert told.one(TurnCommitted).transcript == "I would like a cup of tea"
    predicted = told.of(TurnPredicted)
    assert predicted[0].detector == "local/text"
    assert predicted[0].probability is not None
    assert predicted[0].probability < 0.1
    assert told.said == [("user", "I would like a cup of tea"), ("assistant", "Yes.")]


@pytest.mark.parametrize("words", ["hold on a second", "um", "my number is five five"])
def test_and_no_longer_than_max_delay(words: str) -> None:
    told = call([Line(1.0, words, 0.8)], {"*": "Yes."}, until=9.0)
    for commit in told.of(TurnCommitted):
        assert commit.at <= 1.8 + 3.0 + 1e-6


def test_a_language_without_word_lists_is_told_of_once() -> None:
    class Speaks(ScriptedSTT):
        def readings(self, line: Line) -> Any:
            for at, event in super().readings(line):
                yield (
                    at,
                    dataclasses.replace(
                        event, alternatives=[dataclasses.replace(each, language="eo") for each in event.alternatives]
                    ),
                )

    lines = [Line(1.0, "saluton al vi kaj", 0.6), Line(5.0, "dankon", 0.6)]
    told = call(lines, {"*": "Yes."}, stt=Speaks, until=9.0)
    assert [event.at for event in told.of(TurnCommitted)] == [pytest.approx(END + 0.5), pytest.approx(5.6 + 0.5)]
    assert "'eo'" in told.one(Error).message
    assert [event.probability for event in told.of(TurnPredicted)] == [None, None]


def test_another_detector_from_now_on() -> None:
    first, second = Detector(0.95), Detector(0.0)

    async def then(session: AgentSession[Any]) -> None:
        await clock.sleep_until(4.0)
        session.update_options(turn_detection=second)
        await clock.sleep_until(9.5)
        session.update_options(turn_detection=None)

    lines = [Line(1.0, "one", 0.6), Line(5.0, "two", 0.6), Line(10.0, "three", 0.6)]
    told = call(lines, {"*": "Yes."}, turn_handling={"turn_detection": first}, then=then, until=14.0)
    delays = [event.at - (event.last_voiced or 0.0) for event in told.of(TurnCommitted)]
    assert delays == [pytest.approx(0.5), pytest.approx(3.0), pytest.approx(0.5)]
    assert [len(first.asked), len(second.asked)] == [1, 1]


def test_what_the_old_one_still_says_counts_no_more() -> None:
    async def then(session: AgentSession[Any]) -> None:
        await clock.sleep_until(1.9)
        session.update_options(turn_detection=Detector(0.95))

    told = advised(later(0.1, 0.0), then=then)
    assert told.one(TurnCommitted).at <= FINAL + ADVICE_BUDGET_S + 1e-6


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("local/txt", "Did you mean 'local/text'?"),
        ("vda", "Did you mean 'vad'?"),
        ("zzz", "It may be"),
        (7, "turn_detection is 7"),
        (Detector, "turn_detection is"),
        (object(), "turn_detection is"),
    ],
)
def test_one_that_does_not_exist_is_named_when_the_session_is_built(wanted: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("?", r"\?")):
        AgentSession(turn_handling={"turn_detection": wanted})


def test_a_detector_that_speaks_up_itself() -> None:
    """What it does to the session in its own call does not upset the machine that asks."""

    def speaks(turn: TurnSoFar) -> float:
        sessions[0].say("Hm.")
        return 0.95

    sessions: list[AgentSession[Any]] = []
    told = advised(speaks, prepare=sessions.append)
    assert ("assistant", "Hm.") in told.said
    assert ("user", "hello there") in told.said
    assert ("assistant", "Yes.") in told.said
    assert len(told.of(LlmRequested)) == 1
