"""Hand-worked calls: what each measure counts, and what it does not. Times in seconds; a tick is 0.2 s."""

import pytest

from agent_runtime.errors import UsageError
from agent_runtime.testing.battery.intervals import EXACT_S, Label
from agent_runtime.testing.battery.panel import Occurrence, Panel, read, summarise

TURN = Label("turn")
PART = Label("part", pause="complete")
INTERRUPTION = Label("interruption")
BACKCHANNEL = Label("backchannel")
TIC = Label("tic")
ASIDE = Label("non_directed")
NOISE = Label("noise")

Intervals = list[list[float]]


def panel(caller: Intervals, agent: Intervals, *labels: Label) -> Panel:
    return summarise(read(caller, agent, labels))


def only(caller: Intervals, agent: Intervals, *labels: Label) -> Occurrence:
    (found,) = read(caller, agent, labels)
    return found


# Answers


def test_a_turn_is_answered_after_its_end() -> None:
    found = panel([[0.4, 1.6]], [[2.8, 6.0]], TURN)
    assert found.response_latency == pytest.approx(1.2)
    assert (found.response_rate.count, found.response_rate.total) == (1, 1)
    assert found.agent_interrupts.value == 0.0


def test_latency_is_counted_in_ticks_and_exactly() -> None:
    caller, agent = [[0.5, 1.7]], [[2.55, 5.0]]
    assert only(caller, agent, TURN).latency == pytest.approx(0.6)  # tick 9 to tick 12
    (exact,) = read(caller, agent, [TURN], grid_s=EXACT_S)
    assert exact.latency == pytest.approx(0.85)


def test_an_agent_that_never_speaks_has_answered_nothing_and_its_latency_is_unknown() -> None:
    found = panel([[0.4, 1.6], [6.0, 7.0]], [], TURN, TURN)
    assert (found.response_rate.count, found.response_rate.total) == (0, 2)
    assert found.response_latency is None
    assert found.yield_latency is None
    assert found.yield_rate.value is None
    assert found.backchannels_ignored.value is None


def test_an_answer_after_the_next_turn_has_started_answers_only_that() -> None:
    found = panel([[0.4, 1.6], [4.0, 5.0]], [[6.0, 8.0]], TURN, TURN)
    assert (found.response_rate.count, found.response_rate.total) == (1, 2)
    assert found.response_latency == pytest.approx(1.0)


def test_a_double_answer_counts_once() -> None:
    found = panel([[0.4, 1.6]], [[2.4, 4.0], [5.0, 6.0]], TURN)
    assert (found.response_rate.count, found.response_rate.total) == (1, 1)
    assert found.response_latency == pytest.approx(0.8)


def test_what_is_no_turn_between_a_turn_and_its_answer_takes_nothing_away() -> None:
    found = panel([[0.4, 1.6], [1.9, 2.1]], [[2.6, 6.0]], TURN, NOISE)
    assert found.response_latency == pytest.approx(1.0)


def test_no_answer_is_owed_after_a_turn_that_asks_for_none() -> None:
    found = panel([[0.4, 0.8]], [], Label("turn", "wait", owed=False))
    assert found.response_rate.value is None


def test_an_answer_to_a_turn_with_pauses_counts_from_its_last_part() -> None:
    found = panel([[0.4, 1.6], [2.6, 3.8]], [[4.8, 7.0]], PART, TURN)
    assert (found.response_rate.count, found.response_rate.total) == (1, 1)
    assert found.response_latency == pytest.approx(1.0)
    assert (found.pauses_kept.count, found.pauses_kept.total) == (1, 1)
    assert found.agent_interrupts.value == 0.0


# The agent cuts in


def test_an_agent_that_starts_in_a_pause_has_interrupted_and_has_to_yield() -> None:
    found = read([[0.4, 1.6], [3.0, 4.0]], [[2.4, 3.2], [5.0, 8.0]], [PART, TURN])
    assert [(each.what, each.good) for each in found] == [
        ("pause", False),
        ("agent_interrupts", False),
        ("yield", True),
        ("response", True),
    ]
    assert summarise(found).agent_interrupts.value == 1.0


def test_an_agent_that_starts_in_the_middle_of_speech_has_interrupted() -> None:
    found = panel([[0.4, 4.0]], [[2.0, 2.6], [5.0, 6.0]], TURN)
    assert (found.agent_interrupts.count, found.agent_interrupts.total) == (1, 1)
    assert found.pauses_kept.value is None


def test_a_turn_at_whose_end_the_agent_speaks_is_not_asked_for_an_answer() -> None:
    found = panel([[0.4, 4.0]], [[2.0, 6.0]], TURN)
    assert found.response_rate.value is None
    assert found.agent_interrupts.count == 1
    assert found.agent_interrupts.value is None  # there is no turn to set it against


def test_two_starts_in_one_turn_count_twice() -> None:
    found = panel([[0.0, 6.0]], [[1.0, 2.0], [3.0, 4.0], [7.0, 8.0]], TURN)
    assert found.agent_interrupts.value == 2.0


def test_a_start_over_a_murmur_counts_and_one_over_an_aside_or_a_noise_does_not() -> None:
    agent = [[1.0, 3.0], [4.4, 6.0]]
    assert panel([[4.0, 5.0]], agent, BACKCHANNEL).agent_interrupts.count == 1
    assert panel([[4.0, 5.0]], agent, ASIDE).agent_interrupts.count == 0
    assert panel([[4.0, 5.0]], agent, NOISE).agent_interrupts.count == 0


# Yielding


def test_yield_latency_goes_from_the_first_sound_to_the_first_silent_tick() -> None:
    found = only([[3.0, 4.0]], [[1.0, 3.25]], Label("interruption", owed=False))
    assert found.what == "yield"
    assert found.good
    assert found.latency == pytest.approx(0.4)  # ticks 15 and 16 have speech, 17 has none


def test_an_agent_that_speaks_through_two_seconds_does_not_yield() -> None:
    for end, good in ((4.79, True), (4.81, False), (9.0, False)):
        found = panel([[3.0, 4.0]], [[1.0, end]], Label("interruption", owed=False))
        assert (found.yield_rate.count, found.yield_rate.total) == (int(good), 1), end
        assert (found.yield_latency is None) is not good


def test_an_agent_that_speaks_throughout() -> None:
    caller = [[0.4, 1.6], [3.0, 4.0], [6.0, 6.4], [8.0, 8.4], [10.0, 11.0]]
    found = panel(caller, [[0.0, 20.0]], TURN, INTERRUPTION, BACKCHANNEL, TIC, ASIDE)
    assert (found.yield_rate.count, found.yield_rate.total) == (0, 2)
    assert found.response_rate.value is None
    assert found.yield_latency is None
    assert (found.backchannels_ignored.value, found.tics_ignored.value, found.non_directed_ignored.value) == (1, 1, 1)


def test_an_interruption_that_finds_the_agent_silent_is_a_turn() -> None:
    found = read([[3.0, 4.0]], [[1.0, 2.6], [5.0, 6.0]], [INTERRUPTION])
    assert [each.what for each in found] == ["response"]


def test_a_turn_that_starts_over_the_agent_counts_as_an_interruption() -> None:
    assert panel([[3.0, 4.0]], [[1.0, 3.2], [5.0, 6.0]], TURN).yield_rate.value == 1.0


# What is to be ignored


@pytest.mark.parametrize("label", [BACKCHANNEL, TIC, ASIDE, NOISE])
@pytest.mark.parametrize(("end", "good"), [(3.79, False), (3.81, True), (9.0, True)])
def test_over_the_agent_it_has_to_go_on_for_a_second(label: Label, end: float, good: bool) -> None:
    found = only([[3.0, 3.4]], [[1.0, end]], label)
    assert (found.what, found.good, found.while_speaking) == (label.kind, good, True)


def test_a_gap_that_leaves_speech_in_every_tick_is_not_seen_and_a_silent_tick_is() -> None:
    for gap, good in (([3.25, 3.55], True), ([3.15, 3.45], False)):  # the tick from 3.2 to 3.4
        found = only([[3.0, 3.4]], [[1.0, gap[0]], [gap[1], 9.0]], BACKCHANNEL)
        assert found.good is good


@pytest.mark.parametrize("label", [TIC, ASIDE])
@pytest.mark.parametrize(("start", "good"), [(4.0, False), (5.5, False), (5.59, False), (5.61, True)])
def test_in_silence_the_agent_has_to_stay_silent_for_two_seconds(label: Label, start: float, good: bool) -> None:
    found = only([[3.0, 3.4]], [[0.0, 2.0], [start, 9.0]], label)
    assert (found.what, found.good, found.while_speaking) == (label.kind, good, False)


def test_an_agent_that_never_speaks_ignores_tics_and_asides() -> None:
    found = panel([[3.0, 3.4], [6.0, 7.0]], [], TIC, ASIDE)
    assert (found.tics_ignored.value, found.non_directed_ignored.value) == (1.0, 1.0)


def test_backchannels_and_noises_in_silence_are_not_scored() -> None:
    assert read([[3.0, 3.4], [5.0, 5.4]], [[4.0, 4.8]], [BACKCHANNEL, NOISE]) == []


# Labels


def test_labels_of_what_was_never_said_may_be_left_over() -> None:
    assert panel([[0.4, 1.6]], [[2.4, 4.0]], TURN, TURN, TIC).response_rate.total == 1


def test_a_turn_of_which_the_call_holds_only_a_part_is_asked_for_nothing() -> None:
    assert panel([[0.4, 1.6]], [], PART, TURN) == panel([], [])


def test_intervals_without_a_label_are_refused() -> None:
    with pytest.raises(UsageError, match="heard 2 times, and there are 1 labels"):
        read([[0, 1], [2, 3]], [], [TURN])


def test_an_interval_without_length_is_refused() -> None:
    with pytest.raises(UsageError, match="has no length"):
        read([[1.0, 1.0]], [], [TURN])
