"""Five hundred whole calls at random, each judged from its recording and its log.

SIM_CALLS sets how many (50000 takes some hours: `SIM_CALLS=50000 make test ARGS=tests/sim/test_calls.py`), SIM_TABLE names
a file for the counts. `python -m tests.sim.search` is the same by hand.
"""

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.io.memory import ClockSink
from agent_runtime.nodes.playout import Utterance
from agent_runtime.testing.scenario import Scenario
from agent_runtime.turns.ledger import Heard, PlayoutLedger
from agent_runtime.turns.machine import TurnMachine
from agent_runtime.turns.signals import Command, Commit, TurnEvent
from tests.sim import search
from tests.sim.calls import make, plan
from tests.sim.checks import CHECKS, broken

CALLS = int(os.environ.get("SIM_CALLS", "500"))


def test_five_hundred_calls(capsys: pytest.CaptureFixture[str]) -> None:
    counts = search.in_parallel(CALLS)
    with capsys.disabled():
        print(f"\n{counts.table()}")
    if "SIM_TABLE" in os.environ:
        Path(os.environ["SIM_TABLE"]).write_text(counts.table())
    assert not counts.broken, f"{counts.broken}; shrunk: {[str(path) for path in search.keep(counts)]}"
    assert counts.calls == CALLS
    for kind in (
        "interruption_confirmed",
        "agent_false_interruption",
        "turn_reopened",
        "tool_ended",
        "stalled",
        "error",
    ):
        assert counts.events[kind] * 50 >= CALLS, f"{kind} is too rare to be proven anything about"


def test_what_was_found_once_is_found_no_more() -> None:
    for path in sorted(search.FOUND.glob("*.*")):
        assert search.look(search.found(path))[1] == [], path


# The checks can fail


def _of_the_first(check: str, seeds: range = range(40)) -> bool:
    return any(why.startswith(check) for seed in seeds for why in search.look(plan(seed))[1])


def test_a_sample_that_is_left_out_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Utterance, "give_back", lambda self, samples: None)
    assert _of_the_first("c2_it_goes_on_at_the_very_sample")


def test_a_speech_that_is_not_cut_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClockSink, "clear", lambda self: 0)
    assert _of_the_first("c2_nothing_interrupted_sounds")


def test_words_that_were_not_heard_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = PlayoutLedger.heard

    def generous(self: PlayoutLedger, samples: int) -> Heard:
        return heard(self, samples + 24_000)

    monkeypatch.setattr(PlayoutLedger, "heard", generous)
    assert _of_the_first("c3_history_is_what_was_played")


def test_words_of_the_user_that_are_lost_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    handle = TurnMachine.handle

    def careless(self: TurnMachine, event: TurnEvent) -> list[Command]:
        return [
            dataclasses.replace(each, transcript=each.transcript.partition(" ")[0])
            if isinstance(each, Commit)
            else each
            for each in handle(self, event)
        ]

    monkeypatch.setattr(TurnMachine, "handle", careless)
    assert _of_the_first("c3_each_word_of_the_user_is_in_the_history_once")


def test_a_machine_that_waits_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    due: Any = TurnMachine.deadline

    def late(self: TurnMachine) -> float | None:
        at = due.fget(self)
        return None if at is None else at + 2.0

    monkeypatch.setattr(TurnMachine, "deadline", property(late))
    assert _of_the_first("c5_a_commit_is_in_time")


def test_a_plan_is_a_seed_and_a_scenario() -> None:
    what = plan(3)
    assert what == plan(3)
    assert what != plan(4)
    scenario = Scenario.of(what.scenario)
    assert scenario.name == "call 3"


def test_a_plan_comes_back_from_its_file(tmp_path: Path) -> None:
    for seed in range(12):
        what = plan(seed)
        again = search.found(search.write(what, "c0", tmp_path))
        assert (again.scenario, again.faults, again.acts) == (what.scenario, what.faults, what.acts)


def test_every_check_passes_on_a_plain_call() -> None:
    what = dataclasses.replace(plan(0), faults={}, acts=[])
    made = make(what)
    assert broken(made) == []
    assert len(CHECKS) >= 12
    assert made.stretches
