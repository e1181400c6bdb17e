"""What the owner of a machine may ask it, and what one voice leaves behind. Times are seconds."""

import pytest

from agent_runtime.turns.machine import TurnMachine
from agent_runtime.turns.options import TurnHandling
from agent_runtime.turns.signals import (
    AskAgain,
    Cancel,
    ClearRequested,
    Commit,
    CommitRequested,
    Duck,
    GiveUpOnVoice,
    Hold,
    Prepare,
    Release,
    Reopen,
)
from tests.turns.floor import AGENT_SPEAKING, LISTENING, REPLY_PENDING, USER_PAUSED, USER_SPEAKING, Floor


def test_before_anything_happens() -> None:
    machine = TurnMachine(TurnHandling())
    assert not machine.voice_on
    assert not machine.agent_audible
    assert machine.pending_transcript == ""
    assert machine.onset is None
    assert machine.voice_s(9.0) is None
    assert machine.so_far("") == ""
    assert machine.floor_is_free
    assert machine.is_quiet
    assert not machine.commit_is_due


def test_who_is_heard() -> None:
    floor = Floor().voice(1.0, found=1.03)
    assert floor.machine.voice_on
    assert floor.machine.onset == 1.0
    assert floor.machine.voice_s(1.5) == 0.5
    assert floor.machine.voice_s(0.5) == 0.0
    floor.silence(2.0)
    assert not floor.machine.voice_on
    assert floor.machine.voice_s(9.0) == 1.0
    floor.final(2.3, "hello").wait(3).agent(3.5)
    assert floor.machine.agent_audible
    assert floor.machine.voice_s(9.0) is None
    assert not floor.agent_stops(4.0).machine.agent_audible


def test_what_was_said_so_far_is_the_turn_with_the_newest_reading() -> None:
    floor = Floor().voice(0.0).final(0.5, "one").interim(0.8, "tw").silence(1.0)
    assert floor.machine.so_far("two") == "one two"
    assert floor.machine.pieces("two") == ["one", "two"]
    assert floor.machine.pending_transcript == "one tw"


def test_over_the_agent_it_is_what_was_said_in_the_voice_that_is_on() -> None:
    floor = Floor().agent(0.0, interruptible=False).voice(1.0).silence(1.5).final(1.8, "one").voice(3.0)
    assert floor.machine.so_far("two") == "two"
    assert floor.machine.pieces("two") == ["two"]
    floor.final(3.0, "and").agent_stops(3.5)
    assert floor.machine.so_far("two") == "one and two"
    assert floor.machine.pieces("two") == ["one", "and", "two"]


def test_over_the_agent_and_without_a_voice_it_is_all_of_it() -> None:
    floor = Floor(has_vad=False, interruption={"min_words": 3}).agent(0.0)
    assert floor.machine.pieces("one") == ["one"]
    floor.final(1.0, "one")
    assert floor.machine.pieces("two") == ["one", "two"]


@pytest.mark.parametrize("event", ["begins", "ends"])
def test_the_caller_may_speak_in_a_state_that_does_not_care(event: str) -> None:
    floor = Floor().agent(0.0, interruptible=False).voice(1.0)
    if event == "ends":
        floor.silence(2.0)
    assert floor.state is AGENT_SPEAKING
    assert floor.machine.voice_on == (event == "begins")


# What is left of a suspicion, a question, a request


def test_why_a_suspicion_was_none_is_said_of_that_one() -> None:
    floor = Floor(interruption={"min_words": 2}).agent(0.0).voice(1.0).silence(1.4).final(1.7, "yes")
    floor.voice(3.0).silence(3.4).final(3.7, "")
    assert floor.commands == [Duck(), Hold(), Release("too few words"), Duck(), Hold(), Release("no words")]


def test_the_answer_to_a_question_ends_it() -> None:
    floor = Floor().voice(0.0).silence(1.0).wait(4.0).agent(4.3).final(4.6, "hello").wait(6).agent(6.5)
    floor.take()
    floor.interim(9.0, "mm", kind="backchannel").final(9.3, "mm hmm", kind="backchannel").wait(10)
    assert floor.take() == []


def test_to_clear_before_the_reply_is_planned_leaves_the_turn_to_it() -> None:
    floor = Floor().voice(0.0).silence(1.0).final(1.3, "hello").wait(1.5).give(ClearRequested(1.6))
    assert floor.state is REPLY_PENDING


@pytest.mark.parametrize("again", [1.9, 2.2])
def test_to_clear_over_a_speech_throws_away_the_voice_that_is_ending(again: float) -> None:
    floor = Floor().agent(0.0, interruptible=False).voice(1.0).give(ClearRequested(2.0)).agent_stops(2.1)
    assert floor.state is USER_SPEAKING
    floor.silence(again, found=again + 0.25).wait(20)
    assert [type(each) for each in floor.commands] == ([] if again < 2.0 else [AskAgain])
    assert floor.state is (LISTENING if again < 2.0 else REPLY_PENDING)


def test_a_voice_after_a_clear_is_not_thrown_away() -> None:
    floor = Floor().voice(0.0).give(ClearRequested(0.6)).silence(0.5, found=0.8)
    assert floor.state is LISTENING
    floor.voice(0.55, found=1.0).silence(0.59, found=1.2)
    assert floor.state is USER_PAUSED, "its onset was found after the clear"


def test_a_request_is_for_one_turn() -> None:
    floor = Floor().voice(0.0).silence(1.0).final(1.3, "hello").give(CommitRequested(1.4, 2.0)).agent(2.0)
    floor.agent_stops(3.0).voice(4.0).silence(5.0).final(5.2, "mm", kind="filler").wait(9)
    assert [each.transcript for each in floor.commands if isinstance(each, Commit)] == ["hello"]


def test_what_was_reopened_is_not_reopened_by_words_over_audible_speech() -> None:
    floor = Floor().voice(0.0).silence(1.0).final(1.3, "one").wait(1.5).voice(1.6).interim(1.8, "two").silence(2.0)
    floor.final(2.2, "two").wait(2.6).agent(3.0).voice(4.0).interim(4.3, "three")
    assert floor.commands.count(Reopen()) == 1
    assert floor.commands[-1] == Cancel("words")


# What is owed for a voice


def test_for_a_voice_that_is_on_a_final_is_owed() -> None:
    floor = Floor().voice(0.0).silence(0.4).final(0.5, "one").voice(0.8).give(CommitRequested(1.0, 2.0))
    assert floor.take() == []
    floor.silence(1.1).final(1.3, "two")
    assert [each.transcript for each in floor.commands if isinstance(each, Commit)] == ["one two"]


def test_a_final_from_before_a_voice_was_found_pays_nothing_for_it() -> None:
    floor = Floor().voice(0.0).silence(1.0).final(1.45, "one").voice(1.4, found=1.46).silence(1.44, found=1.7).wait(3)
    assert floor.take() == []
    assert floor.final(3.0, "two").commands == [Commit("one two", "final transcript", 1.44, 3.0, True)]


def test_who_says_a_word_in_each_of_two_voices_says_it_twice_also_where_words_are_read_along() -> None:
    floor = Floor().voice(0.0).interim(0.2, "five").silence(0.4).final(0.5, "five").voice(0.7).silence(1.0)
    assert floor.final(1.2, "five").wait(9).machine.state is REPLY_PENDING
    assert [each.transcript for each in floor.commands if isinstance(each, Commit)] == ["five five"]


def test_a_voice_that_was_read_as_an_echo_is_owed_nothing() -> None:
    floor = Floor().voice(1.0).interim(1.3, "", kind="echo").silence(1.5).wait(20)
    assert floor.take() == []
    assert floor.state is LISTENING
    floor.voice(30.0).silence(31.0).wait(40)
    assert floor.commands == [AskAgain(after=3.0)], "the next one is"


def test_nor_is_one_that_began_as_an_echo_and_went_on() -> None:
    floor = Floor().voice(1.0).interim(1.3, "", kind="echo").interim(1.4, "and").interim(1.5, "").silence(2.0).wait(20)
    assert floor.commands == [AskAgain(after=3.0)]


def test_what_is_planned_in_the_users_pause_is_due_when_that_is_over() -> None:
    floor = Floor().voice(0.0).silence(1.0).plan(1.5).give(ClearRequested(1.6))
    assert floor.state is REPLY_PENDING


def test_a_final_of_one_letter_is_a_sign_of_life() -> None:
    floor = Floor(has_vad=False).final(1.0, "5").wait(3).agent(3.0).agent_stops(4.0)
    floor.take()
    assert floor.final(9.0, "6").wait(20).take() == [(9.5, Commit("6", "silence", 9.0, 9.0, True))]


def test_a_recogniser_that_says_a_thing_twice_lives() -> None:
    floor = Floor().voice(0.0).silence(1.0).final(1.2, "hello").wait(2).final(20.0, "hello").agent(21.0).voice(45.0)
    floor.wait(51)
    assert floor.commands[-1] == Release("noise without words")


def test_a_request_counts_from_the_last_voiced_sample_when_that_is_known() -> None:
    floor = Floor(endpointing={"max_delay": 1.0}).voice(0.0).interim(0.5, "hello").give(CommitRequested(1.15, 9.0))
    assert floor.silence(1.0).wait(9).take() == [(2.0, Commit("hello", "requested", 1.0, 0.5, True))]


def test_words_after_a_question_that_came_soon_answer_it() -> None:
    floor = Floor(mode="manual").voice(0.0).silence(1.0).give(CommitRequested(1.3, 1.5)).wait(1.5).agent(1.6)
    floor.final(1.8, "hello")
    assert [type(each) for each in floor.commands] == [AskAgain, Cancel]


def test_a_voice_of_which_the_beginning_was_thrown_away_is_listened_to_anew() -> None:
    floor = Floor().voice(0.0).give(ClearRequested(3.0)).wait(7.9)
    assert floor.take() == []
    assert floor.wait(8.0).take() == [(8.0, GiveUpOnVoice(5.0, confirmed=False))]


def test_one_letter_after_a_final_is_a_new_word() -> None:
    floor = Floor(has_vad=False).final(1.0, "well").interim(1.4, "I").wait(20)
    assert floor.said[-1] == (4.4, Commit("well I", "max_delay", 1.4, 1.4, True))


def test_an_echo_is_one_also_where_a_reading_without_words_follows() -> None:
    floor = Floor().voice(1.0).interim(1.3, "", kind="echo").interim(1.4, "").silence(1.5).wait(20)
    assert floor.take() == []


def test_each_turn_has_its_own_replies_made_ahead() -> None:
    floor = Floor(preemptive_generation={"enabled": True, "max_retries": 2})
    for start in (0.0, 10.0):
        for part in range(3):
            begins = start + 0.7 * part
            floor.voice(begins).silence(begins + 0.3).final(begins + 0.6, f"part {part}")
        floor.wait(start + 4).agent(start + 4).agent_stops(start + 5)
    made = [each.transcript for each in floor.commands if isinstance(each, Prepare)]
    assert made == ["part 0", "part 0 part 1"] * 2
