"""The battery is the same for the same seed, holds what it promises, and can be held whatever the agent does."""

import re
from itertools import pairwise
from typing import Any

import pytest

from agent_runtime.testing.battery.calls import INJECTED_S, BatteryCall, battery, shares


@pytest.fixture(scope="module")
def calls() -> list[BatteryCall]:
    return battery()


def test_the_same_seed_gives_the_same_calls_and_another_seed_others() -> None:
    assert battery(5, seed=7) == battery(5, seed=7)
    assert battery(5, seed=7) != battery(5, seed=8)
    assert battery(8, seed=7)[:5] == battery(5, seed=7)


def test_there_are_two_hundred_calls_with_names_of_their_own(calls: list[BatteryCall]) -> None:
    assert len({call.name for call in calls}) == 200


@pytest.mark.parametrize("seed", [1, 2, 99])
def test_every_fifth_turn_has_a_pause_half_of_them_after_what_could_be_complete(seed: int) -> None:
    count = shares(battery(seed=seed))
    turns = count["turn"] + count["interruption"]
    complete, unfinished = count["pause, complete"], count["pause, unfinished"]
    assert complete + unfinished >= turns / 5
    assert abs(complete - unfinished) <= 1
    assert min(count.values()) >= 50  # enough of each for a rate


def steps(calls: list[BatteryCall], verb: str) -> list[dict[str, Any]]:
    return [step for call in calls for step in call.scenario["caller"] if verb in step]


def test_pauses_last_between_0_6_and_2_seconds(calls: list[BatteryCall]) -> None:
    pauses = [step["pause"] for step in steps(calls, "hesitate")]
    assert 0.6 <= min(pauses) < 0.7
    assert 1.9 < max(pauses) <= 2.0


def test_callers_speak_at_the_pace_of_people(calls: list[BatteryCall]) -> None:
    rates = sorted(len(step["say"].split()) / step["for"] for step in steps(calls, "say"))
    assert 1.8 < rates[0] < 2.6
    assert 3.2 < rates[-1] < 4.3


def test_agents_speak_for_six_to_twelve_seconds_when_they_are_interrupted(calls: list[BatteryCall]) -> None:
    for call in calls:
        models = call.scenario["models"]
        for text, reply in models["llm"]["replies"].items():
            seconds = len(reply.split()) / models["tts"]["words_per_second"]
            assert 5.9 < seconds < 12.6 or (text in ("Stop", "Wait", "No wait", "Stop please") and seconds < 1), reply


def test_delays_are_600_ms(calls: list[BatteryCall]) -> None:
    for call in calls:
        models = call.scenario["models"]
        assert models["stt"]["delay"] + models["llm"]["ttft"] + models["tts"]["ttfb"] == pytest.approx(INJECTED_S)
    assert pytest.approx(0.6) == INJECTED_S


def test_there_is_a_label_for_each_sound_in_order(calls: list[BatteryCall]) -> None:
    silent = {"silence", "hang_up"}
    verbs = {"say", "hesitate", "interrupt", "backchannel", "murmur", "aside", "cough", "noise", "phone"}
    for call in calls:
        texts: list[str] = []
        for step in call.scenario["caller"]:
            (verb,) = (verbs | silent) & step.keys()
            if verb in ("cough", "noise", "phone"):
                texts.append(f"({verb})")
            elif verb not in silent:
                texts += step[verb].split(" ... ")
        assert texts == [label.text for label in call.labels]


def test_a_part_is_followed_by_its_turn(calls: list[BatteryCall]) -> None:
    for call in calls:
        for label, following in pairwise(call.labels):
            assert (label.kind == "part") == (label.pause is not None)
            assert label.kind != "part" or following.kind == "turn"
        assert call.labels[-1].kind != "part"


def test_each_request_has_an_answer_of_its_own(calls: list[BatteryCall]) -> None:
    for call in calls:
        replies = call.scenario["models"]["llm"]["replies"]
        for step in call.scenario["caller"]:
            text = step.get("say") or step.get("hesitate") or step.get("interrupt")
            assert text is None or re.sub(r" \.\.\. ", " ", text) in replies


def test_only_the_first_turn_has_a_time_and_all_else_waits_for_something(calls: list[BatteryCall]) -> None:
    for call in calls:
        first, *others = call.scenario["caller"]
        assert "at" in first
        assert not any("at" in step for step in others)


def test_what_is_no_turn_is_followed_by_a_turn_only_when_the_time_to_ignore_it_is_over(
    calls: list[BatteryCall],
) -> None:
    for call in calls:
        for step, following in pairwise(call.scenario["caller"]):
            if {"murmur", "cough", "aside"} & step.keys() and "after" not in following:
                assert following["wait"] > 2.0
