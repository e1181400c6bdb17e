"""Figures beside their targets, on calls made up by hand."""

import json

import pytest

from agent_runtime.testing.battery.holding import HeldCall
from agent_runtime.testing.battery.intervals import Label
from agent_runtime.testing.battery.measures import TARGETS, Measured, as_plain, causes, measure

TURN = Label("turn", "what time is it")
GOOD = HeldCall("call 001 of battery 1", ((0.4, 1.4),), ((2.4, 9.0),), (TURN,))
TALKED_OVER = HeldCall(
    "call 002 of battery 1",
    ((0.4, 1.4), (3.0, 3.4), (6.0, 6.4)),
    ((2.4, 3.2), (4.0, 9.0)),
    (TURN, Label("backchannel", "yes"), Label("tic", "(cough)")),
)
CUT_INTO = HeldCall(
    "call 003 of battery 1",
    ((0.4, 1.4), (3.0, 3.4)),
    ((2.4, 3.2), (4.4, 9.0)),
    (Label("part", "I want", pause="unfinished"), Label("turn", "a room")),
)


def target(name: str, measured: Measured) -> tuple[float | None, bool]:
    (found,) = [each for each in TARGETS if each.name == name]
    value = found.of(measured)
    return None if value is None else round(value, 6), found.kept(measured)


def test_targets_are_those_of_the_field() -> None:
    assert {each.name: (round(each.limit, 6), each.at_least) for each in TARGETS} == {
        "response latency, s": (1.2, False),
        "yield latency, s": (0.4, False),
        "response rate": (0.99, True),
        "yield rate": (0.97, True),
        "interrupts the caller": (0.1, False),
        "ignores backchannels": (0.9, True),
        "ignores tics": (0.6, True),
        "ignores speech not meant for it": (0.5, True),
        "EVA turn taking": (0.95, True),
    }


def test_figures_are_over_all_calls() -> None:
    measured = measure([GOOD, TALKED_OVER, CUT_INTO])
    assert target("response latency, s", measured) == (1.0, True)
    assert target("response rate", measured) == (1.0, True)
    assert target("interrupts the caller", measured) == (0.333333, False)
    assert target("ignores backchannels", measured) == (0.0, False)
    assert target("ignores tics", measured) == (1.0, True)


def test_what_is_not_known_is_not_kept() -> None:
    assert target("yield rate", measure([GOOD])) == (None, False)
    assert all(not each.kept(measure([])) for each in TARGETS)


def test_causes_are_told_for_what_was_missed_with_their_calls() -> None:
    found = causes(measure([GOOD, TALKED_OVER, CUT_INTO]))
    assert [(each.what, each.missed, each.total, each.calls) for each in found] == [
        ("starts in a pause, after an unfinished clause", 1, 1, ("call 003 of battery 1",)),
        ('"yes"', 1, 1, ("call 002 of battery 1",)),
    ]


def test_evas_costs_sum_to_what_is_missing() -> None:
    measured = measure([GOOD, TALKED_OVER, CUT_INTO])
    # The third call: 0.2 s of overlap, 0.5 * (1 - 0.1).
    assert measured.turn_taking == pytest.approx((1 + 1 + 0.45) / 3)
    assert sum(cost for _, cost in measured.routes.values()) == pytest.approx(1 - (1 + 1 + 0.45) / 3)
    assert (measured.passed.count, measured.passed.total) == (2, 3)


def test_plain_values_are_json_and_keep_the_unknown_unknown() -> None:
    plain = json.loads(json.dumps(as_plain(measure([GOOD])), allow_nan=False))
    assert plain["panel"]["yield_latency"] is None
    assert plain["panel"]["yield_rate"] == [0, 0]
    assert plain["exact"]["response_latency"] == pytest.approx(1.0)
