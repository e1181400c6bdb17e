"""Which settings are tried, which of them no other beats, and the picture of them."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from agent_runtime.testing.battery import plot
from agent_runtime.testing.battery.holding import HeldCall, Settings
from agent_runtime.testing.battery.intervals import Label
from agent_runtime.testing.battery.measures import measure
from agent_runtime.testing.battery.sweep import Decided, Knobs, Point, best, defaults, grid, swept
from agent_runtime.turns.detectors import TurnSoFar
from agent_runtime.turns.options import TurnHandling

PART, TURN = Label("part", pause="complete"), Label("turn")


def point(min_delay: float, latency: float, interrupts: int) -> Point:
    """Ten turns with a pause, answered after `latency`; the agent starts in the pause of some."""
    caller = ((0.0, 1.0), (2.0, 3.0))
    answer = (3.0 + latency, 9.0)
    held = [
        HeldCall(f"call {n}", caller, ((1.6, 2.2), answer) if n < interrupts else (answer,), (PART, TURN))
        for n in range(10)
    ]
    return Point(Knobs(None, min_delay, 3.0), measure(held))


def test_every_combination_is_tried_and_the_defaults_are_among_them() -> None:
    every = list(grid())
    assert len(set(every)) == len(every) >= 48
    assert defaults() in every
    for knobs in every:
        if knobs.threshold is None:
            TurnHandling.of(knobs.settings)  # type: ignore[arg-type]  # a dict with its keys
        assert knobs.settings["endpointing"] == {"min_delay": knobs.min_delay, "max_delay": knobs.max_delay}


@pytest.mark.parametrize(("threshold", "text", "over"), [
    (0.3, "I would like to order a", 0.0),
    (0.3, "what time do you open", 1.0),
    (0.92, "what time do you open", 1.0),
    (0.99, "what time do you open", 0.0),
])  # fmt: skip
def test_a_threshold_makes_the_detector_sure(threshold: float, text: str, over: float) -> None:
    assert Decided(threshold).predict(TurnSoFar(text, "en", 1.0)) == over


def test_a_detector_without_an_opinion_has_none_with_a_threshold_either() -> None:
    assert Decided(0.5).predict(TurnSoFar("", "en", 1.0)) is None


def test_best_is_what_no_other_beats_in_both() -> None:
    soon, polite, neither = point(0.3, 0.8, 5), point(1.1, 1.6, 0), point(0.8, 1.7, 3)
    assert best([soon, polite, neither]) == {soon.knobs, polite.knobs}


def test_each_combination_is_held_with_its_settings_and_told() -> None:
    asked: list[Settings] = []
    told: list[Point] = []

    def hold_all(calls: object, settings: Settings) -> list[HeldCall]:
        asked.append(settings)
        return []

    points = swept([], hold_all, told.append)
    assert told == points
    assert [each.knobs for each in points] == list(grid())
    assert len(asked) == len(points)


def drawn(points: list[Point]) -> list[ET.Element]:
    picture = plot.draw(points, default=points[0].knobs, latency_limit=1.2, interrupts_limit=0.1, title="A <sweep>")
    root = ET.fromstring(picture)
    assert root[0].text == "A <sweep>"
    return [element for element in root if element.tag.endswith("circle")]


def test_the_picture_has_a_point_for_each_combination_further_left_and_down_where_it_is_better() -> None:
    soon, polite = point(0.3, 0.8, 5), point(1.1, 1.6, 0)
    circles = {circle[0].text or "": circle for circle in drawn([soon, polite]) if len(circle)}
    (left,) = [circle for text, circle in circles.items() if "min_delay 0.3 s" in text]
    (right,) = [circle for text, circle in circles.items() if "min_delay 1.1 s" in text]
    assert float(left.attrib["cx"]) < float(right.attrib["cx"])
    assert float(left.attrib["cy"]) < float(right.attrib["cy"])  # y grows downward


def test_a_combination_of_which_nothing_is_known_is_left_out() -> None:
    soon = point(0.3, 0.8, 5)
    empty = replace(soon, knobs=Knobs(None, 9.0, 9.0), measured=measure([]))
    assert sum(len(circle) for circle in drawn([soon, empty])) == 1
