"""What interrupts nobody, and what interrupts at once: the kinds of words, event by event. Times are seconds."""

from typing import Any

import pytest

from agent_runtime.turns.machine import HOLD_AFTER_S, RELEASE_AFTER_S, State
from agent_runtime.turns.signals import (
    AskAgain,
    Cancel,
    ClearRequested,
    Commit,
    CommitRequested,
    Duck,
    Hold,
    Ignore,
    Release,
    Reopen,
)
from tests.turns.floor import Floor, commit

MURMURS = ("backchannel", "filler", "aside")
HELD_AT = 1.0 + HOLD_AFTER_S


@pytest.mark.parametrize("kind", MURMURS)
def test_the_agent_goes_on_with_the_first_word_of_a_murmur(kind: Any) -> None:
    floor = Floor().agent(0.0).voice(1.0).interim(1.2, "mm", kind=kind)
    assert floor.take() == [(1.0, Duck()), (HELD_AT, Hold()), (1.2, Release(kind))]
    floor.interim(1.4, "mm hmm", kind=kind).silence(1.5).final(1.7, "mm hmm", kind=kind).agent_stops(3.0).wait(20)
    assert floor.take() == []
    assert floor.machine.pending_transcript == ""
    assert floor.state is State.LISTENING


@pytest.mark.parametrize("kind", MURMURS)
def test_a_murmur_before_the_hold_is_hardly_heard(kind: Any) -> None:
    floor = Floor().agent(0.0).voice(1.0).interim(1.08, "mm", kind=kind).wait(2)
    assert floor.take() == [(1.0, Duck()), (1.08, Release(kind))]


@pytest.mark.parametrize("kind", MURMURS)
def test_a_murmur_that_comes_as_a_final_alone(kind: Any) -> None:
    floor = Floor().agent(0.0).voice(1.0).silence(1.4).final(1.6, "mm hmm", kind=kind).agent_stops(3.0).wait(20)
    assert floor.take() == [(1.0, Duck()), (HELD_AT, Hold()), (1.6, Release(kind))]


def test_a_murmur_that_is_read_too_late_costs_what_a_noise_costs() -> None:
    floor = Floor().agent(0.0).voice(1.0).silence(1.4).final(2.6, "mm hmm", kind="backchannel").agent_stops(4.0)
    floor.wait(20)
    assert floor.take() == [(1.0, Duck()), (HELD_AT, Hold()), (1.4 + RELEASE_AFTER_S, Release("silence without words"))]


@pytest.mark.parametrize("final_at", [None, 3.2])
def test_a_murmur_whose_final_is_not_there_when_the_agent_ends_is_no_turn(final_at: float | None) -> None:
    """The recogniser has said what that voice was: nobody is asked to say it again, and nobody waits for it."""
    floor = Floor().agent(0.0).voice(1.0).interim(1.2, "mm hmm", kind="backchannel").silence(1.5).agent_stops(2.0)
    assert floor.machine.floor_is_free
    if final_at is not None:
        floor.final(final_at, "mm hmm", kind="backchannel")
    floor.wait(20)
    assert not [each for each in floor.commands if isinstance(each, AskAgain | Commit)]
    assert floor.state is State.LISTENING


@pytest.mark.parametrize("kind", MURMURS)
def test_what_begins_as_a_murmur_may_become_an_interruption(kind: Any) -> None:
    floor = Floor().agent(0.0).voice(1.0).interim(1.2, "right", kind=kind).interim(1.6, "right so I")
    assert floor.take()[-1] == (1.6, Cancel("words"))
    floor.silence(2.0).final(2.2, "right so I wonder").wait(9)
    assert floor.take()[-1] == (2.5, commit("right so I wonder", "silence", 2.0, 2.2))


def test_a_murmur_that_turns_out_to_be_an_interruption_only_in_the_final() -> None:
    floor = Floor().agent(0.0).voice(1.0).interim(1.2, "okay", kind="backchannel").silence(1.6)
    floor.final(1.8, "okay stop", kind="command").wait(9)
    assert floor.said[3:] == [(1.8, Cancel("words")), (2.1, commit("okay stop", "silence", 1.6, 1.8))]


@pytest.mark.parametrize("kind", MURMURS)
def test_a_murmur_before_the_reply_sounds_does_not_undo_the_turn(kind: Any) -> None:
    floor = Floor().voice(0.0).silence(1.0).final(1.3, "hello").wait(1.5)
    floor.take()
    floor.voice(1.6).interim(1.8, "um", kind=kind).silence(1.9).final(2.1, "um", kind=kind).wait(9)
    assert floor.take() == [(1.6, Hold()), (1.8, Release(kind))]
    assert floor.state is State.REPLY_PENDING


@pytest.mark.parametrize("kind", MURMURS)
def test_a_murmur_over_what_may_not_be_interrupted_is_not_kept(kind: Any) -> None:
    floor = Floor().agent(0.0, interruptible=False).voice(1.0).interim(1.2, "mm", kind=kind).silence(1.4)
    floor.final(1.6, "mm hmm", kind=kind).agent_stops(3.0).wait(20)
    assert floor.take() == []
    assert floor.state is State.LISTENING


def test_a_murmur_does_not_take_kept_words_with_it() -> None:
    floor = Floor().agent(0.0, interruptible=False).voice(1.0).silence(2.0).final(2.2, "and this")
    floor.voice(3.0).silence(3.3).final(3.5, "mm hmm", kind="backchannel").agent_stops(4.0).wait(20)
    assert [each.transcript for each in floor.commands if isinstance(each, Commit)] == ["and this"]


# In the agent's silence


@pytest.mark.parametrize("kind", MURMURS)
def test_what_is_no_turn_is_not_answered(kind: Any) -> None:
    floor = Floor().voice(1.0).silence(1.4).final(1.6, "mm hmm", kind=kind).wait(20)
    assert floor.take() == [(1.9, Ignore("mm hmm", kind))]
    assert floor.state is State.LISTENING
    assert floor.machine.pending_transcript == ""


def test_nor_twice_where_the_recogniser_says_it_twice() -> None:
    floor = Floor().voice(1.0).silence(1.4).final(1.6, "mm hmm", kind="backchannel").wait(2.5)
    floor.final(2.6, "mm hmm", kind="backchannel").wait(20)
    assert floor.take() == [(1.9, Ignore("mm hmm", "backchannel"))]


def test_who_says_it_again_is_answered() -> None:
    floor = Floor().voice(1.0).silence(1.4).final(1.6, "mm hmm", kind="backchannel").wait(4)
    floor.voice(5.0).silence(5.4).final(5.6, "mm hmm", kind="backchannel").wait(20)
    assert floor.take()[1:] == [(5.9, commit("mm hmm", "silence", 5.4, 5.6))]


def test_an_application_that_ends_the_turn_means_it() -> None:
    floor = Floor(mode="manual").voice(1.0).silence(1.4).final(1.6, "mm hmm", kind="backchannel")
    assert floor.give(CommitRequested(3.0, 5.0)).take() == [(3.0, commit("mm hmm", "requested", 1.4, 1.6))]


def test_a_filler_is_a_turn_together_with_what_follows() -> None:
    floor = Floor().voice(1.0).silence(1.4).final(1.6, "um", kind="filler").voice(1.7).silence(2.5)
    floor.final(2.7, "a large tea", kind="speech").wait(20)
    assert floor.take() == [(3.0, commit("um a large tea", "silence", 2.5, 2.7))]


def test_a_cleared_murmur_is_gone_too() -> None:
    floor = Floor().voice(1.0).silence(1.4).final(1.6, "mm hmm", kind="backchannel").give(ClearRequested(1.7)).wait(9)
    assert floor.take() == []


# Orders, and beginnings


@pytest.mark.parametrize("given", [{}, {"min_words": 3}, {"min_duration": 2.0}])
def test_an_order_interrupts_with_its_first_reading(given: dict[str, Any]) -> None:
    floor = Floor(interruption=given).agent(0.0).voice(1.0).interim(1.2, "no", kind="command")
    assert floor.take()[-1] == (1.2, Cancel("words"))
    floor.silence(1.4).final(1.6, "no", kind="command").wait(9)
    assert floor.take()[-1] == (1.9, commit("no", "silence", 1.4, 1.6))


def test_an_order_that_the_recogniser_doubts_is_none_yet() -> None:
    floor = Floor().agent(0.0).voice(1.0).interim(1.2, "no", kind="command", sure=False)
    assert floor.commands == [Duck(), Hold()]


def test_an_order_to_what_may_not_be_interrupted_waits() -> None:
    floor = Floor().agent(0.0, interruptible=False).voice(1.0).final(1.5, "stop", kind="command").silence(1.4)
    assert floor.take() == []
    assert floor.agent_stops(4.0).take() == [(4.0, commit("stop", "silence", 1.4, 1.5))]


def test_an_order_before_the_reply_sounds_makes_one_turn_of_both() -> None:
    floor = Floor().voice(0.0).silence(1.0).final(1.3, "call her").wait(1.5)
    floor.voice(1.6).interim(1.8, "no", kind="command").silence(2.0).final(2.2, "no wait", kind="command").wait(9)
    assert [type(each) for each in floor.commands] == [Commit, Hold, Reopen, Commit]
    assert floor.commands[-1] == commit("call her no wait", "silence", 2.0, 2.2)


def test_the_beginning_of_a_word_decides_nothing() -> None:
    floor = Floor().agent(0.0).voice(1.0).interim(1.2, "ye", kind="undecided").wait(1.3)
    assert floor.commands == [Duck(), Hold()]
    assert floor.interim(1.4, "yeah", kind="backchannel").said[-1] == (1.4, Release("backchannel"))
    floor = Floor().agent(0.0).voice(1.0).interim(1.2, "ye", kind="undecided").interim(1.4, "yesterday I")
    assert floor.said[-1] == (1.4, Cancel("words"))


def test_a_beginning_after_which_nothing_comes_holds_no_longer_than_a_noise() -> None:
    floor = Floor().agent(0.0).voice(1.0).interim(1.2, "ye", kind="undecided").silence(1.4).agent_stops(3.0).wait(20)
    assert floor.said[2] == (1.4 + RELEASE_AFTER_S, Release("silence without words"))
    assert not [each for each in floor.commands if isinstance(each, AskAgain | Commit)]


@pytest.mark.parametrize("final_at", [None, 1.7])
def test_a_murmur_into_the_agents_last_word_is_not_asked_about(final_at: float | None) -> None:
    floor = Floor().agent(0.0).voice(1.0).interim(1.2, "mm hmm", kind="backchannel").agent_stops(1.3).silence(1.5)
    if final_at is not None:
        floor.final(1.7, "mm hmm", kind="backchannel")
    floor.wait(20)
    assert not [each for each in floor.commands if isinstance(each, AskAgain | Commit)]
    assert floor.state is State.LISTENING


def test_a_voice_that_goes_on_long_after_its_murmur_held_something_else() -> None:
    floor = Floor().agent(0.0).voice(1.0).interim(1.2, "um", kind="filler").agent_stops(1.5).silence(4.0).wait(20)
    assert floor.said[-1] == (7.0, AskAgain(after=3.0))


# Echo of the agent's own words


def test_echo_lets_the_agent_go_on_at_once() -> None:
    floor = Floor().agent(0.0).voice(1.0).interim(1.6, "", kind="echo")
    assert floor.take() == [(1.0, Duck()), (HELD_AT, Hold()), (1.6, Release("echo"))]
    floor.silence(2.0).final(2.2, "", kind="echo").agent_stops(3.0).wait(20)
    assert floor.take() == []
    assert floor.state is State.LISTENING


@pytest.mark.parametrize("interims", [True, False])
@pytest.mark.parametrize("times", [1, 3])
def test_echo_in_the_agents_silence_is_nobodys_voice(interims: bool, times: int) -> None:
    floor = Floor().agent(0.0).agent_stops(1.0)
    for at in range(1, times + 1):
        floor.voice(at + 0.1).interim(at + 0.3, "twenty" if interims else "")
        floor.silence(at + 0.5).final(at + 0.8, "", kind="echo")
    floor.wait(20)
    assert floor.take() == []
    assert floor.state is State.LISTENING


def test_echo_takes_no_words_of_the_user_with_it() -> None:
    floor = Floor().voice(0.0).silence(1.0).final(1.2, "hello there").voice(1.3).silence(1.6)
    floor.final(1.8, "", kind="echo").wait(9)
    assert floor.take() == [(2.1, commit("hello there", "silence", 1.6, 1.2))]


@pytest.mark.parametrize(("ends_at", "asked"), [(2.19, False), (2.21, True)])
def test_a_murmur_read_a_second_before_the_end_of_its_voice_is_all_of_it(ends_at: float, asked: bool) -> None:
    floor = Floor().agent(0.0).voice(1.0).interim(1.2, "mm hmm", kind="backchannel").agent_stops(1.3)
    floor.silence(ends_at).wait(20)
    assert any(isinstance(each, AskAgain) for each in floor.commands) == asked
