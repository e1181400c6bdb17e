"""Corners of the turn machine: what one turn leaves behind for the next, and numbers by their value. Times are seconds."""

from typing import Any

import pytest

from agent_runtime.turns.endpoint import ADVICE_BUDGET_S, DEAF_AFTER_S
from agent_runtime.turns.machine import TurnMachine
from agent_runtime.turns.options import TurnHandling
from agent_runtime.turns.signals import (
    AskAgain,
    AskDetector,
    Cancel,
    ClearRequested,
    Command,
    Commit,
    CommitRequested,
    Duck,
    GiveUpOnVoice,
    Heard,
    Hold,
    Ignore,
    Kind,
    Prepare,
    Release,
    Reopen,
    Tick,
    VoiceStarted,
    VoiceStopped,
)
from tests.turns.floor import AGENT_SPEAKING, LISTENING, REPLY_PENDING, Floor, commit

ASIDE: Kind = "aside"

# After words that were no turn


@pytest.mark.parametrize("interim", ["", "not you"])
def test_the_late_final_of_what_was_no_turn_is_none(interim: str) -> None:
    """Something was understood at `max_delay`, the rest is owed: as an interim, or as voice after the last final."""
    floor = Floor().voice(0.0)
    if interim:
        floor.interim(0.4, interim, kind=ASIDE)
    else:
        floor.final(0.4, "not you", kind=ASIDE)
    floor.silence(1.0).wait(4.5)
    assert floor.take() == [(4.0, Ignore("not you", ASIDE))]
    floor.final(4.6, "not you my dear", kind=ASIDE).wait(20)
    assert floor.take() == []
    assert floor.state is LISTENING


def test_nor_is_it_where_only_an_interim_came_after_the_final() -> None:
    floor = Floor().voice(0.0).silence(0.8).final(1.0, "not you", kind=ASIDE).interim(1.1, "my", kind=ASIDE).wait(4.5)
    assert floor.take() == [(3.8, Ignore("not you my", ASIDE))]
    floor.final(4.6, "my dear", kind=ASIDE).wait(20)
    assert floor.take() == []


def test_after_words_that_were_no_turn_and_were_whole_nothing_is_owed() -> None:
    floor = Floor().voice(0.0).silence(0.8).final(1.0, "not you", kind=ASIDE).wait(2)
    assert floor.take() == [(1.3, Ignore("not you", ASIDE))]
    floor.final(3.0, "hello").wait(20)  # words without a voice: the detector has missed it
    assert floor.take() == [(3.5, commit("hello", "silence", 3.0, 3.0))]


def test_without_a_detector_of_voices_what_was_no_turn_is_told_from_its_words() -> None:
    floor = Floor(has_vad=False).interim(1.0, "not you", kind=ASIDE).wait(4.5)
    assert floor.take() == [(4.0, Ignore("not you", ASIDE))]
    assert floor.final(4.6, "not you my dear", kind=ASIDE).wait(20).take() == []
    floor = Floor(has_vad=False).final(1.0, "not you", kind=ASIDE).wait(2)
    assert floor.take() == [(1.5, Ignore("not you", ASIDE))]
    assert floor.final(2.6, "not you my dear").wait(20).take() == [
        (3.1, commit("not you my dear", "silence", 2.6, 2.6))
    ]


def test_a_murmur_is_none_also_after_one_that_was_answered() -> None:
    floor = Floor()
    for start in (0.0, 10.0, 20.0):
        floor.voice(start).silence(start + 0.4).final(start + 0.6, "mm hmm", kind="backchannel").wait(start + 2)
        if start == 10.0:  # who says it again is answered
            floor.agent(12.0).agent_stops(13.0)
    assert [type(each) for each in floor.commands] == [Ignore, Commit, Ignore]


def test_a_detector_is_asked_anew_about_the_words_of_what_was_no_turn() -> None:
    floor = Floor(has_detector=True, mode=None).voice(0.0).silence(1.0).final(1.2, "let me see", kind="filler")
    floor.advice(1.25, "let me see", 0.0).wait(5)
    assert floor.take() == [(1.2, AskDetector("let me see")), (4.0, Ignore("let me see", "filler"))]
    floor.voice(10.0).silence(11.0).final(11.2, "let me see", kind="filler").advice(11.25, "let me see", 0.95).wait(20)
    assert floor.take() == [
        (11.2, AskDetector("let me see")),
        (11.5, commit("let me see", "silence", 11.0, 11.2)),
    ]


@pytest.mark.parametrize("agent", ["speaks", "will go on"])
def test_late_words_after_asking_again_that_were_no_turn_are_none_when_they_are_final(agent: str) -> None:
    floor = Floor().voice(0.0).silence(1.0).wait(4.0).interim(4.2, "not", kind=ASIDE).wait(7.5)
    assert floor.take() == [(4.0, AskAgain(after=3.0)), (4.2, Cancel("words")), (7.2, Ignore("not", ASIDE))]
    floor.agent(7.6)
    if agent == "will go on":
        floor.agent_stops(7.8, more=True)
    floor.final(8.0, "not you", kind=ASIDE).wait(20)
    assert floor.take() == []
    assert floor.state is (AGENT_SPEAKING if agent == "speaks" else REPLY_PENDING)


# The voice of a turn is not that of the next


def over(how: str) -> Floor:
    """A floor on which a voice has just ended in a turn, in none, or in a question."""
    floor = Floor(preemptive_generation={"enabled": True}).voice(0.0)
    if how == "asked again":
        floor.silence(1.0).wait(4.0)
    else:
        floor.silence(1.0).final(1.2, "well", kind="filler" if how == "ignored" else "speech").wait(4.0)
    floor.take()
    return floor


@pytest.mark.parametrize("how", ["committed", "ignored", "asked again"])
def test_a_turn_begins_with_its_own_voice(how: str) -> None:
    floor = over(how)
    assert floor.machine.onset is None
    assert floor.machine.voice_s(4.0) is None
    if how == "committed":
        floor.agent(4.1).agent_stops(5.0)
    floor.final(20.0, "and then", kind="speech")  # the detector misses it
    assert floor.machine.onset == 20.0
    if how != "asked again":  # there the words answer the question, and the turn is over at once
        assert Prepare("and then") in floor.commands, "it is a short one"


def test_a_noise_after_a_question_does_not_end_the_wait_for_the_reply() -> None:
    floor = over("asked again").voice(4.2).silence(4.4).final(4.6, "")
    assert floor.commands == [Hold(), Release("no words")]
    assert floor.state is REPLY_PENDING


@pytest.mark.parametrize("kind", ["filler", "echo"])
def test_a_voice_that_goes_on_after_a_request_is_no_longer_the_murmur_it_began_with(kind: Any) -> None:
    floor = Floor().agent(0.0, interruptible=False).voice(1.0).final(1.3, "and this")
    floor.interim(1.5, "" if kind == "echo" else "mm", kind=kind).give(CommitRequested(1.6, 1.7)).agent_stops(1.8)
    assert floor.take() == [(1.6, commit("and this", "requested", 1.6, 1.3))]
    floor.silence(2.4).wait(20)
    assert [type(each) for each in floor.commands] == [AskAgain]


def test_a_turn_that_goes_on_is_reopened_once() -> None:
    floor = Floor().voice(0.0).silence(1.0).final(1.3, "I would").wait(1.5).voice(1.6).interim(1.9, "like")
    floor.silence(2.2).give(ClearRequested(2.5)).plan(3.0).voice(4.0).interim(4.3, "no")
    assert floor.commands[1:] == [Hold(), Reopen(), Hold(), Cancel("words")]
    assert floor.machine.pending_transcript == "no"


def test_a_pause_after_which_a_turn_was_reopened_is_a_pause() -> None:
    """A caller whose pauses are longer than `min_delay` is waited for, once there are enough of them."""
    floor = Floor(has_detector=True, mode=None).voice(0.0)
    for pause in range(5):
        end = 3.0 * pause + 1.0
        floor.silence(end).final(end + 0.2, f"part {pause}").wait(end + 0.9)
        floor.voice(end + 1.0).interim(end + 1.3, "so")
    assert [type(each) for each in floor.commands].count(Reopen) == 5
    assert floor.machine.delay_for(None) == pytest.approx(1.0 + 0.1)


# A voice that is on


def test_a_voice_of_which_words_are_read_is_none_that_is_given_up_on() -> None:
    floor = Floor().voice(0.0)
    for at in range(1, 20, 3):
        floor.interim(float(at), "so " * at)
    assert floor.wait(19.0 + DEAF_AFTER_S - 0.1).take() == []
    assert floor.wait(30).commands[0] == GiveUpOnVoice(DEAF_AFTER_S, confirmed=False)


def test_words_over_noise_that_come_whole_are_taken_once() -> None:
    floor = Floor().voice(1.0).wait(7.0)
    assert floor.take() == [(6.0, GiveUpOnVoice(DEAF_AFTER_S, confirmed=False))]
    floor.final(8.4, "hello you").wait(20)
    assert floor.take() == [(8.9, commit("hello you", "silence", 8.4, 8.4))]


def test_a_murmur_before_the_reply_sounds_leaves_the_floor_to_the_reply_though_the_voice_is_on() -> None:
    floor = Floor().voice(0.0).silence(1.0).final(1.3, "hello").wait(1.5).voice(1.6).interim(1.8, "mm", kind="filler")
    assert floor.state is REPLY_PENDING
    assert floor.machine.floor_is_free


def test_noise_with_a_pause_in_it_holds_the_agent_no_longer_than_one_without() -> None:
    floor = Floor().agent(0.0).voice(1.0).silence(2.9, found=3.0).voice(3.2).interim(3.4, "").wait(9)
    assert floor.said[-1] == (1.0 + DEAF_AFTER_S, Release("noise without words"))


def test_readings_without_words_do_not_put_that_off() -> None:
    floor = Floor().voice(0.0).final(2.0, "").interim(4.0, "").wait(9)
    assert floor.take() == [(DEAF_AFTER_S, GiveUpOnVoice(DEAF_AFTER_S, confirmed=False))]


def test_a_tick_before_its_time_gives_up_on_no_voice() -> None:
    floor = Floor().voice(0.0).give(Tick(1.0))
    assert floor.take() == []
    assert floor.machine.deadline == DEAF_AFTER_S


# The delays


def test_where_nobody_advises_a_callers_pauses_do_not_make_the_delay_longer() -> None:
    floor = Floor(endpointing={"min_delay": 0.5, "max_delay": 3.0})
    for pause in range(9):
        floor.voice(2.0 * pause).final(2.0 * pause + 1.0, "and").silence(2.0 * pause + 1.1)
        floor.voice(2.0 * pause + 1.5).silence(2.0 * pause + 1.6)
    assert floor.machine.estimates.min_delay() > 0.5
    assert floor.machine.delay_for(None) == 0.5


def test_an_answer_that_the_turn_is_unfinished_puts_off_what_was_due() -> None:
    floor = Floor(has_detector=True, mode=None).voice(0.0).silence(1.0).final(1.3, "I would like a")
    assert floor.machine.deadline == 1.3 + ADVICE_BUDGET_S
    floor.advice(1.4, "I would like a", 0.0)
    assert floor.machine.deadline == 4.0


# Numbers


def test_the_steps_of_an_interruption_in_ms() -> None:
    floor = Floor().agent(0.0).voice(1.0).silence(1.6).wait(9)
    assert floor.take() == [(1.0, Duck()), (1.1, Hold()), (2.1, Release("silence without words"))]


def test_a_voice_may_hold_the_agent_for_5_s() -> None:
    floor = Floor().agent(0.0).voice(1.0).interim(2.0, "").wait(9)
    assert floor.said[2:] == [(6.0, GiveUpOnVoice(5.0, confirmed=False)), (6.0, Release("noise without words"))]


@pytest.mark.parametrize(("text", "confirms"), [("what is that", False), ("what is that there", True)])
def test_four_words_are_speech_though_each_is_doubted_and_three_are_not(text: str, confirms: bool) -> None:
    floor = Floor().agent(0.0).voice(1.0).silence(2.0).final(2.2, text, sure=False)
    assert floor.commands[2] == (Cancel("words") if confirms else Release("words not certain"))


def test_what_means_nothing_is_counted_once() -> None:
    floor = Floor().silence(1.0)  # no row
    assert floor.machine.ignored == 1
    floor.voice(2.0).silence(3.0).final(3.2, "hello").wait(3.6).final(3.7, "hello")  # twice: over the reply
    assert floor.machine.ignored == 2
    floor.agent(4.0).agent_stops(5.0).final(5.2, "hello")  # and in silence
    assert floor.machine.ignored == 3
    floor = Floor(has_detector=True).voice(0.0).silence(1.0).final(1.2, "hello").advice(1.3, "other words", 0.0)
    assert floor.machine.ignored == 1
    floor.advice(1.35, "hello", 0.9)
    assert floor.machine.ignored == 1


def test_a_machine_of_which_nothing_is_said_has_a_recogniser_and_a_detector_of_voices_and_none_of_turns() -> None:
    machine = TurnMachine(TurnHandling())
    assert [machine.has_recogniser, machine.has_vad, machine.has_detector] == [True, True, False]
    said: list[Command] = []
    for event in (VoiceStarted(0.0, 0.0), VoiceStopped(1.25, 1.0), Heard(1.3, "hello", is_final=True)):
        said += machine.handle(event)
    assert said == []  # a detector of turns would be asked
    assert machine.deadline == 1.5
