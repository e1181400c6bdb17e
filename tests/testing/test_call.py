"""Simulated calls: what they leave, that it is the same every time, and that engines and scripts mix."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from agent_runtime import Agent, AgentSession, clock, function_tool, virtual
from agent_runtime.errors import UsageError
from agent_runtime.testing import Scenario, SimulatedCall, perform, simulate, to_json
from agent_runtime.testing.result import Track

ROOT = Path(__file__).parents[2]
SCENARIOS = ROOT / "tests/sim/scenarios"

QUESTION = {"at": 0.5, "say": "What is open?", "for": 1.2}


# What a call leaves


def test_the_json_of_a_call() -> None:
    call = simulate(Scenario.load(SCENARIOS / "order_a_pizza.yaml"))
    told = json.loads(to_json(call))
    assert list(told) == ["name", "events", "audible", "history", "metrics", "expectations"]
    assert told["name"] == "order a pizza"
    assert [event["seq"] for event in told["events"]] == list(range(len(told["events"])))
    assert {"seq", "t", "type"} <= set(told["events"][0])
    assert told["audible"]["caller"] == [[0.5, 1.7], [4.0, 4.35], [6.0, 6.8]]
    assert told["audible"]["agent"][0] == [2.5125, 3.845833]
    assert told["history"][:2] == [
        {"role": "user", "content": "What is open?", "interrupted": False},
        {"role": "assistant", "content": "The bakery, until nine.", "interrupted": False},
    ]
    assert told["expectations"] == [
        {"text": each.text, "met": True, "detail": each.detail} for each in call.expectations
    ]
    turn = told["metrics"]["turns"][0]
    assert (turn["gap"], turn["commit"], turn["first_token"], turn["first_sample"]) == (0.8125, 0.5, 0.1, 0.2)
    assert told["metrics"]["length"] == 9.0
    assert told["metrics"]["caller_speaking"] == 2.35
    assert json.loads(to_json([call, call])) == [told, told]


def test_ducked_sound_is_audible_and_a_pause_is_not() -> None:
    numbers = "One two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen."
    call = simulate(
        {
            "models": {"llm": {"replies": numbers}, "tts": {"words_per_second": 2}},
            "caller": [QUESTION, {"at": 4.0, "cough": True, "for": 0.8}],
            "until": 14,
        }
    )
    first, second = call.audible["agent"]
    assert 4.05 < first[1] <= 4.25, "ducked, then silent"
    assert 4.8 <= second[0] <= 5.3
    assert (first[1] - first[0]) + (second[1] - second[0]) == pytest.approx(7.5, abs=1e-3), "no sample was lost"


def test_gaps_under_50_ms_are_joined() -> None:
    loud, rate = b"\x00\x10", 1000

    def audible(gap: int) -> list[tuple[float, float]]:
        track = Track(rate)
        track.add(1.0, loud * 100 + bytes(2 * gap) + loud * 100)
        return track.audible(1.0)

    assert audible(49) == [(0.0, 0.249)]
    assert audible(50) == [(0.0, 0.1), (0.15, 0.25)]
    track = Track(rate)
    track.add(1.0, loud * 100)
    track.add(1.149, loud * 100)  # from the clock, not from the samples
    assert track.audible(1.0) == [(0.0, 0.249)]
    assert Track(rate).audible(0.0) == []


def test_sound_too_soft_to_be_one_is_none() -> None:
    track = Track(1000)
    track.add(0.0, (99).to_bytes(2, "little") * 100 + (100).to_bytes(2, "little") * 100)
    assert track.audible(0.0) == [(0.1, 0.2)]


def test_tool_calls_are_in_the_events_and_not_in_the_history() -> None:
    call = simulate(Scenario.load(SCENARIOS / "tool_call.yaml"))
    assert {said.role for said in call.history} == {"user", "assistant"}
    assert [event["name"] for event in call.events if event["type"] == "tool_started"] == ["check_stock"]
    assert call.turns[0].tools == ("check_stock",)


def test_the_caller_s_own_truth_is_kept() -> None:
    call = simulate({"caller": [{"at": 1.0, "cough": True, "for": 0.3}, {"at": 2.0, "say": "hi"}], "until": 2.1} | LLM)
    assert [(line.kind, line.at, line.text) for line in call.lines] == [("cough", 1.0, ""), ("say", 2.0, "hi")]


LLM: dict[str, Any] = {"models": {"llm": {"replies": "Yes."}}}


# Its end


def test_a_call_without_an_end_goes_on_for_ten_seconds() -> None:
    assert simulate(LLM | {"caller": [QUESTION]}).length == pytest.approx(11.7)
    late = {"after": "agent stops", "wait": 1.0, "cough": True, "for": 0.3}
    call = simulate(LLM | {"caller": [QUESTION, late]})
    assert call.length == pytest.approx(call.lines[-1].end + 10.0)
    assert simulate({}).length == 10.0


def test_a_session_that_ends_itself_ends_the_call() -> None:
    class Brief(Agent):
        async def on_enter(self) -> None:
            self.session.say("Good-bye.")
            self.session.shutdown()

    call = simulate({"until": 30}, agent=Brief(instructions=""))
    assert call.length == pytest.approx(0.2 + 1 / 3, abs=0.01)
    assert call.history[0].content == "Good-bye."


def test_nothing_is_left_running() -> None:
    async def main() -> list[str]:
        await perform(Scenario.load(SCENARIOS / "hang_up.yaml"))
        await perform(Scenario.load(SCENARIOS / "tool_call.yaml"))
        return [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    assert virtual.run(main()) == []


# A call by hand


def test_a_session_of_one_s_own_may_be_called() -> None:
    class Shop(Agent):
        @function_tool
        async def price(self, fruit: str) -> str:
            """Say a price.

            Args:
                fruit: which
            """
            return f"{fruit}: two"

    async def main() -> SimulatedCall:
        call = SimulatedCall(name="by hand")
        call.llm.replies = {"*": "Two euros."}
        session: AgentSession[Any] = AgentSession(vad=call.vad, stt=call.stt, llm=call.llm, tts=call.tts)
        call.caller.says("What are apples?", at=0.5, lasting=1.0)
        await session.start(Shop(instructions=""), room=call)
        await call.run(5)
        call.expect('history agent 1 is "Two euros."')
        with pytest.raises(UsageError, match="has one session"):
            await AgentSession[Any](llm=call.llm).start(Shop(instructions=""), room=call)
        assert (await call.end()) is (await call.end())
        return call

    call = virtual.run(main())
    assert call.so_far().name == "by hand"
    assert call.so_far().length == 5.0


def test_what_is_heard_now_can_be_expected_now() -> None:
    async def main() -> None:
        call = SimulatedCall()
        await call.start(Greeter(instructions=""))
        await call.wait_for("agent speaks")
        call.expect("agent starts speaking within 0 s of 0.2")
        with pytest.raises(AssertionError, match="agent stops speaking"):
            call.expect("agent stops speaking within 0.05 s of 1.0")
        await clock.sleep(2)
        call.expect("agent stops speaking within 0.05 s of 1.2")
        await call.end()

    virtual.run(main())


class Greeter(Agent):
    async def on_enter(self) -> None:
        self.session.say("Good morning, friend.")


def test_a_call_that_has_not_begun_says_so() -> None:
    with pytest.raises(UsageError, match="has not begun"):
        SimulatedCall().so_far()


def test_a_minute_takes_less_than_a_second() -> None:
    steps: list[dict[str, Any]] = []
    for minute in range(6):
        steps.append({"at": 0.5 + 10 * minute, "say": "What is open today in this town?", "for": 2.4})
        steps.append({"at": 6.2 + 10 * minute, "cough": True, "for": 0.4})
    answer = "The bakery is open until nine, and the butcher until ten, but not on Sunday. That is all I know about it."
    scenario = {"models": {"llm": {"replies": answer}}, "caller": steps, "until": 60}
    simulate(scenario)  # what it imports is not its own time
    begun = time.process_time()
    call = simulate(scenario)
    assert time.process_time() - begun < 1.0
    assert call.metrics["agent_speaking"] > 30


# The same every time


def test_the_same_scenario_gives_the_same_bytes() -> None:
    for path in sorted(SCENARIOS.glob("*.yaml")):
        first = to_json(simulate(Scenario.load(path)))
        assert to_json(simulate(Scenario.load(path))) == first, path.name


def test_and_in_another_process_with_another_hash_seed(tmp_path: Path) -> None:
    here = to_json([simulate(Scenario.load(path)) for path in sorted(SCENARIOS.glob("*.yaml"))])
    out = tmp_path / "calls.json"
    environment = os.environ | {"PYTHONHASHSEED": "4711", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "agent_runtime.cli", "sim", str(SCENARIOS), "--json", str(out)]
    subprocess.run(command, env=environment, check=False, capture_output=True, timeout=60)
    assert out.read_text("utf-8") == here


def test_engines_threads_and_scripts_mix_and_two_runs_are_the_same() -> None:
    scenario = {
        "models": {
            "stt": "local/pocketsphinx",
            "vad": "local/silero",
            "llm": {"replies": "Fine."},
            "tts": "local/espeak",
        },
        "caller": [{"at": 0.5, "say": "what time is it", "with": "local/espeak"}],
        "until": 6,
    }
    first = simulate(scenario)
    assert first.events[0]["nodes"] == {
        "vad": "local/silero",
        "stt": "local/pocketsphinx",
        "llm": "scripted",
        "tts": "local/espeak",
    }
    assert any(event["type"] == "user_input_transcribed" and event["transcript"] for event in first.events)
    assert len(first.audible["agent"]) > 0
    assert to_json(simulate(scenario)) == to_json(first)


def test_the_example_of_the_page_is_the_one_in_the_folder() -> None:
    page = (ROOT / "docs/scenario-format.md").read_text("utf-8")
    assert (SCENARIOS / "order_a_pizza.yaml").read_text("utf-8") in page
