"""EVA's curve at its corners, and hand-worked turns of every kind. Times in seconds."""

import pytest

from agent_runtime.testing.battery.eva import call_score, latency_score, turn_scores
from agent_runtime.testing.battery.intervals import Interval, Label

TURN = Label("turn")
PART = Label("part", pause="complete")
INTERRUPTION = Label("interruption")
BACKCHANNEL = Label("backchannel")


@pytest.mark.parametrize(
    ("latency", "plain", "tool"),
    [
        (-0.5, 0.0, 0.0),
        (0.0, 0.5, 0.5),
        (0.2, 0.7, 0.7),
        (0.5, 1.0, 1.0),
        (2.0, 1.0, 1.0),
        (2.75, 0.5, 1.0),
        (3.0, 1 / 3, 1.0),
        (3.5, 0.0, 0.75),
        (4.0, 0.0, 0.5),
        (5.0, 0.0, 0.0),
    ],
)
def test_the_curve(latency: float, plain: float, tool: float) -> None:
    assert latency_score(latency) == pytest.approx(plain)
    assert latency_score(latency, uses_tool=True) == pytest.approx(tool)


def score(caller: list[Interval], agent: list[Interval], *labels: Label) -> float | None:
    return call_score(turn_scores(caller, agent, labels))


def test_an_ordinary_turn_scores_by_its_latency_and_an_unanswered_one_nothing() -> None:
    assert score([[0, 1]], [[1.9, 4]], TURN) == 1.0
    assert score([[0, 1]], [[1.2, 4]], TURN) == pytest.approx(0.7)
    assert score([[0, 1], [5, 6]], [[7, 8]], TURN, TURN) == pytest.approx(0.5)


def test_an_interruption_scores_by_how_soon_the_agent_yields_whatever_comes_after() -> None:
    assert score([[3, 4]], [[1, 3.3], [9, 10]], INTERRUPTION) == pytest.approx(0.85)
    assert score([[3, 4]], [[1, 5.5], [9, 10]], INTERRUPTION) == 0.0


def test_a_gap_in_the_agents_speech_that_is_shorter_than_a_tick_is_no_yield() -> None:
    assert score([[3, 4]], [[1, 3.3], [3.45, 9]], INTERRUPTION) == 0.0


def test_a_turn_that_the_agent_cut_into_scores_a_half_at_most() -> None:
    # 0.4 s of overlap: 0.5 * (1 - 0.4 / 2); one cut in: 0.5; then it answers in good time.
    assert score([[0, 4]], [[3, 3.4], [5, 6]], TURN) == pytest.approx(0.4)
    # Twice: 0.5 * (1 - 1 / 2).
    assert score([[0, 4]], [[1, 1.1], [3, 3.1], [5, 6]], TURN) == pytest.approx(0.25)
    # Over all of it, and on.
    assert score([[0, 4]], [[1, 6]], TURN) == 0.0


def test_where_both_interrupted_the_lower_counts() -> None:
    # In the pause the agent starts; the caller goes on at 3 and it yields in 0.3 s: 0.85 against 0.5 * (1 - 0.15).
    assert score([[0, 1], [3, 4]], [[2, 3.3], [5, 6]], PART, TURN) == pytest.approx(0.425)


def test_a_cut_in_during_a_pause_that_is_over_before_the_caller_goes_on() -> None:
    assert score([[0, 1], [3, 4]], [[2, 2.5], [5, 6]], PART, TURN) == pytest.approx(0.5)


def test_a_call_without_turns_has_no_score() -> None:
    assert score([[3, 3.4]], [[1, 9]], BACKCHANNEL) is None
    assert score([], [[1, 9]]) is None


def test_routes_are_told_apart() -> None:
    caller = [[0, 1], [5, 6], [8, 9], [13, 14], [15, 16]]
    agent = [[2, 5.2], [9.8, 12], [14.5, 15.2]]
    found = turn_scores(caller, agent, [TURN, INTERRUPTION, TURN, PART, TURN])
    assert [each.route for each in found] == ["ordinary", "caller interrupts", "ordinary", "both interrupt"]
    assert [each.route for each in turn_scores([[0, 4]], [[3, 3.4]], [TURN])] == ["agent interrupts"]
    assert [each.route for each in turn_scores([[0, 4]], [], [TURN])] == ["unanswered"]
