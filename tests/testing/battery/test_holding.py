"""Calls of the battery through the simulator: what is kept of them, and that it is the same however they are held."""

from pathlib import Path

import pytest

from agent_runtime.cli import load_server
from agent_runtime.testing.battery.calls import BatteryCall, battery
from agent_runtime.testing.battery.holding import (
    HeldCall,
    hold,
    hold_all,
    laid_over,
    waiting_for_greeting,
    with_real_speech,
)
from agent_runtime.testing.battery.intervals import EXACT_S
from agent_runtime.testing.battery.panel import read, summarise
from agent_runtime.testing.scenario import Scenario

CLOCK = str(Path(__file__).parents[3] / "agents" / "clock.py")


@pytest.fixture(scope="module")
def calls() -> list[BatteryCall]:
    return battery(2, seed=3)


@pytest.fixture(scope="module")
def held(calls: list[BatteryCall]) -> list[HeldCall]:
    return hold_all(calls)


def latency(call: HeldCall) -> float:
    found = summarise(read(call.caller, call.agent, call.labels, grid_s=EXACT_S)).response_latency
    assert found is not None
    return found


def test_everything_the_caller_says_is_one_interval(calls: list[BatteryCall], held: list[HeldCall]) -> None:
    for call, was in zip(calls, held, strict=True):
        assert was.failure is None
        assert was.labels == call.labels
        assert len(was.caller) == len(call.labels)
        lasting = [step["for"] for step in call.scenario["caller"] if "for" in step and "silence" not in step]
        voiced = sum(end - start for start, end in was.caller)
        assert voiced == pytest.approx(sum(lasting), abs=0.01)
        assert was.agent


def test_settings_are_laid_over_the_calls_own(calls: list[BatteryCall], held: list[HeldCall]) -> None:
    patient = hold(calls[0], {"endpointing": {"min_delay": 2.0, "max_delay": 4.0}})
    assert latency(patient) >= latency(held[0]) + 1.0


def test_laying_over_goes_level_by_level_and_changes_nothing() -> None:
    base = {"endpointing": {"min_delay": 0.5, "max_delay": 3.0}, "mute": ["during_tools"]}
    assert laid_over(base, {"endpointing": {"min_delay": 1.0}, "turn_detection": "vad"}) == {
        "endpointing": {"min_delay": 1.0, "max_delay": 3.0},
        "mute": ["during_tools"],
        "turn_detection": "vad",
    }
    assert base["endpointing"] == {"min_delay": 0.5, "max_delay": 3.0}


def test_the_agent_of_a_script_is_called_and_its_greeting_waited_for(calls: list[BatteryCall]) -> None:
    def hold_here(given: list[BatteryCall]) -> list[HeldCall]:
        return hold_all(given, script=CLOCK, load=load_server)

    (call,) = waiting_for_greeting(calls[:1], hold_here)  # type: ignore[arg-type]  # a list will do
    (was,) = hold_here([call])
    greeting, first = was.agent[0], was.caller[0]
    assert greeting[1] < first[0]
    assert was.failure is None


def test_an_agent_that_does_not_greet_is_spoken_to_at_once(calls: list[BatteryCall]) -> None:
    assert waiting_for_greeting(calls, hold_all) == calls


def test_real_speech_says_the_same_with_voices(calls: list[BatteryCall]) -> None:
    for call, real in zip(calls, with_real_speech(calls), strict=True):
        Scenario.of(real.scenario)  # which refuses words without sound for a real recogniser
        assert real.labels == call.labels
        texts = [step[verb] for step in real.scenario["caller"] for verb in ("say", "interrupt") if verb in step]
        assert texts == [label.text for label in call.labels if label.kind in ("turn", "part", "interruption")]
        assert real.scenario["models"]["llm"] == call.scenario["models"]["llm"]


def test_every_call_is_a_scenario() -> None:
    for call in battery(30, seed=5):
        Scenario.of(call.scenario)
