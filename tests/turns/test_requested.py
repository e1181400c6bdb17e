"""Where the application ends the user's turn, or throws it away."""

from collections.abc import Callable

import pytest

from agent_runtime.turns.signals import (
    AgentStarted,
    AskAgain,
    Cancel,
    ClearRequested,
    Commit,
    CommitRequested,
    Duck,
    Hold,
    Release,
    VoiceStopped,
)
from tests.turns.floor import (
    AGENT_SPEAKING,
    HELD,
    LISTENING,
    OVERLAP,
    REPLY_PENDING,
    USER_PAUSED,
    USER_SPEAKING,
    Floor,
    commit,
    row,
)

# Where the application ends the turn


@row((USER_PAUSED, CommitRequested))
def test_in_manual_mode_only_the_application_commits() -> Floor:
    floor = Floor(mode="manual").voice(0.0).silence(1.0).final(1.3, "hello").wait(99)
    assert floor.take() == []
    floor.give(CommitRequested(100.0, 102.0))
    assert floor.take() == [(100.0, commit("hello", "requested", 1.0, 1.3))]
    return floor


def test_a_requested_commit_waits_for_the_final() -> None:
    floor = Floor(mode="manual").voice(0.0).interim(0.5, "hel").silence(1.0)
    floor.give(CommitRequested(1.3, 3.3)).final(1.6, "hello").wait(9)
    assert floor.take() == [(1.6, commit("hello", "final transcript", 1.0, 1.6))]


def test_a_requested_commit_waits_no_longer_than_it_says() -> None:
    floor = Floor(mode="manual").voice(0.0).interim(0.5, "hel").silence(1.0)
    floor.give(CommitRequested(1.3, 3.3)).wait(9)
    assert floor.take() == [(3.3, commit("hel", "requested", 1.0, 0.5))]
    floor = Floor().voice(0.0).interim(0.5, "hel").silence(1.0).give(CommitRequested(1.3, 9.0)).wait(9)
    assert floor.take() == [(4.0, commit("hel", "requested", 1.0, 0.5))]  # nor longer than max_delay


@pytest.mark.parametrize("mode", ["manual", "vad"])
@row((USER_SPEAKING, CommitRequested), (USER_PAUSED, VoiceStopped))
def test_a_commit_while_the_voice_is_on_waits_for_no_more_than_its_end(mode: str) -> Floor:
    floor = Floor(mode=mode).voice(0.0).final(1.1, "hello").give(CommitRequested(1.15, 3.15)).silence(1.0).wait(9)
    assert floor.take() == [(1.25, commit("hello", "requested", 1.0, 1.1))]
    return floor


def test_a_user_who_goes_on_does_not_undo_a_requested_commit() -> None:
    floor = Floor(mode="manual").voice(0.0).interim(0.5, "hel").silence(1.0)
    floor.give(CommitRequested(1.3, 3.3)).voice(1.5)
    assert floor.machine.commit_is_due
    floor.wait(9)
    assert [(at, type(command)) for at, command in floor.take()] == [(3.3, Commit)]
    assert not floor.machine.commit_is_due


def test_a_requested_commit_of_nothing_asks_again() -> None:
    floor = Floor(mode="manual").voice(0.0).silence(1.0).give(CommitRequested(1.3, 2.3)).wait(9)
    assert [(at, type(command)) for at, command in floor.take()] == [(2.3, AskAgain)]
    assert not floor.machine.commit_is_due


def test_a_commit_is_ignored_where_nobody_said_anything() -> None:
    floor = Floor(mode="manual").give(CommitRequested(1.0, 3.0)).wait(9)
    assert floor.take() == []
    assert floor.state is LISTENING
    assert not floor.machine.commit_is_due


@row((OVERLAP, CommitRequested), (HELD, CommitRequested))
def test_a_commit_under_suspicion_makes_it_an_interruption() -> Floor:
    floor = Floor(mode="manual").agent(0.0).voice(1.0).give(CommitRequested(1.05, 3.05)).silence(1.6).final(1.9, "stop")
    assert floor.take() == [
        (1.0, Duck()),
        (1.05, Cancel("requested")),
        (1.9, commit("stop", "final transcript", 1.6, 1.9)),
    ]
    floor.agent(3.0).voice(4.0).wait(4.5).give(CommitRequested(4.6, 6.0)).final(4.8, "x").silence(4.7).wait(9)
    assert floor.commands[:3] == [Duck(), Hold(), Cancel("requested")]
    assert floor.commands[3:] == [commit("x", "requested", 4.7, 4.8)]
    return floor


@row((AGENT_SPEAKING, CommitRequested), (REPLY_PENDING, CommitRequested), (USER_PAUSED, AgentStarted))
def test_words_over_a_speech_that_went_on_can_be_committed() -> Floor:
    floor = Floor(mode="manual").agent(0.0, interruptible=False).voice(1.0).silence(2.0).final(2.3, "and this")
    assert floor.state is AGENT_SPEAKING
    floor.give(CommitRequested(3.0, 5.0))
    assert floor.take() == [(3.0, commit("and this", "requested", 2.0, 2.3))]
    assert floor.state is AGENT_SPEAKING
    floor.agent_stops(4.0, more=True)
    assert floor.state is REPLY_PENDING
    assert floor.give(CommitRequested(4.1, 5.1)).take() == []
    floor.agent(5.0).agent_stops(6.0).voice(7.0).silence(8.0).final(8.2, "more")
    assert floor.machine.floor_is_free  # a pause that waits for the application holds up nobody
    assert floor.machine.is_quiet
    floor.agent(9.0)
    assert floor.state is AGENT_SPEAKING
    floor.agent_stops(10.0)
    assert floor.machine.pending_transcript == "more"
    return floor


def test_words_from_before_the_agents_speech_do_not_interrupt_it() -> None:
    floor = Floor(mode="manual").voice(7.0).silence(8.0).agent(8.1).final(8.2, "more")
    assert floor.take() == []
    assert floor.machine.pending_transcript == "more"


@row((USER_SPEAKING, ClearRequested), (USER_PAUSED, ClearRequested))
def test_clearing_throws_away_what_was_said() -> Floor:
    floor = Floor().voice(0.0).interim(0.5, "hello").give(ClearRequested(0.6))
    assert floor.state is USER_SPEAKING
    assert floor.machine.pending_transcript == ""
    floor.silence(1.0).give(ClearRequested(1.3))
    assert floor.state is LISTENING
    assert floor.final(1.4, "hello").wait(9).take() == []  # what was owed for it is thrown away with it
    floor.voice(10.0).silence(11.0).final(11.3, "next").wait(19)
    assert floor.commands == [commit("next", "silence", 11.0, 11.3)]
    return floor


@pytest.mark.parametrize("final_at", [1.15, 1.4])
def test_clearing_while_only_the_detector_still_waits(final_at: float) -> None:
    floor = Floor().voice(0.0).give(ClearRequested(1.1))
    steps: list[tuple[float, Callable[[], Floor]]] = [
        (1.25, lambda: floor.silence(1.0)),
        (final_at, lambda: floor.final(final_at, "hello")),
    ]
    for _, step in sorted(steps, key=lambda each: each[0]):
        step()
    assert floor.wait(9).take() == []
    assert (floor.state, floor.machine.pending_transcript) == (LISTENING, "")


@row((AGENT_SPEAKING, ClearRequested), (REPLY_PENDING, ClearRequested))
def test_clearing_over_a_speech_that_goes_on() -> Floor:
    floor = Floor().plan(0.0, interruptible=False).voice(0.2).silence(0.6).final(0.9, "one").give(ClearRequested(1.0))
    assert (floor.state, floor.machine.pending_transcript) == (REPLY_PENDING, "")
    floor.agent(1.0, interruptible=False).voice(1.2).silence(1.6).final(1.9, "two").give(ClearRequested(2.0))
    assert (floor.state, floor.machine.pending_transcript) == (AGENT_SPEAKING, "")
    assert floor.agent_stops(3.0).wait(9).take() == []
    return floor


@row((OVERLAP, ClearRequested), (HELD, ClearRequested))
def test_clearing_under_suspicion() -> Floor:
    floor = Floor(interruption={"min_words": 2}).agent(0.0).voice(1.0).interim(1.05, "wait").give(ClearRequested(1.08))
    assert floor.machine.pending_transcript == ""
    floor.wait(1.3).interim(1.4, "um").give(ClearRequested(1.5)).silence(1.6).wait(9)
    assert floor.commands == [Duck(), Hold(), Release("silence without words")]
    return floor


def test_a_request_while_the_voice_is_on_is_bounded_by_max_delay_too() -> None:
    floor = Floor(endpointing={"max_delay": 1.0}).voice(0.0).interim(0.9, "hello").give(CommitRequested(1.0, 5.0))
    floor.wait(20)
    assert floor.take() == [(2.0, commit("hello", "requested", 1.0, 0.9))]
    floor = Floor(mode="manual", endpointing={"max_delay": 1.0}).voice(0.0).interim(0.9, "hello")
    floor.give(CommitRequested(1.0, 5.0)).wait(20)
    assert floor.take() == [(5.0, commit("hello", "requested", 1.0, 0.9))]  # manual mode is not


def test_a_request_over_the_agent_tells_when_the_user_last_spoke() -> None:
    floor = Floor().agent(0.0, interruptible=False).voice(1.0).final(1.4, "and this").give(CommitRequested(1.6, 3.6))
    assert floor.take() == [(1.6, commit("and this", "requested", 1.6, 1.4))]


def test_a_reopened_turn_knows_when_its_words_came() -> None:
    floor = Floor().voice(0.0).silence(1.0).final(1.3, "hello").wait(1.5).voice(1.6).give(CommitRequested(1.9, 2.1))
    floor.wait(9)
    assert floor.commands[-1] == commit("hello", "requested", 1.9, 1.3)


@pytest.mark.parametrize("mode", ["manual", "vad"])
def test_who_asks_twice_does_not_wait_longer(mode: str) -> None:
    floor = Floor(mode=mode).voice(0.0).interim(0.5, "hel").silence(1.0)
    floor.give(CommitRequested(1.3, 2.3)).give(CommitRequested(1.5, 9.0)).wait(20)
    assert floor.take() == [(2.3, commit("hel", "requested", 1.0, 0.5))]
