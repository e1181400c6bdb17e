"""Where the voice activity detector and the recogniser disagree, event by event. Times are seconds."""

from typing import Any

import pytest

from agent_runtime.turns.endpoint import DEAF_AFTER_S
from agent_runtime.turns.machine import State
from agent_runtime.turns.signals import (
    AskAgain,
    Cancel,
    Commit,
    CommitRequested,
    GiveUpOnVoice,
    Hold,
    Release,
    Reopen,
    ReplyTookEffect,
)
from tests.turns.floor import AGENT_SPEAKING, LISTENING, REPLY_PENDING, USER_PAUSED, Floor, commit


def transcripts(floor: Floor) -> list[str]:
    return [each.transcript for each in floor.commands if isinstance(each, Commit)]


# One voice, read as two finals


def in_parts(**given: Any) -> Floor:
    """The first part of a voice is final, and its turn is over."""
    floor = Floor(**given).voice(0.0).silence(1.0).final(1.2, "I would like").wait(1.5)
    assert floor.take() == [(1.5, commit("I would like", "silence", 1.0, 1.2))]
    return floor


def test_a_second_part_before_the_reply_sounds_is_of_the_same_turn() -> None:
    floor = in_parts().final(1.7, "a pizza").wait(9)
    assert floor.take() == [(1.7, Reopen()), (1.7, commit("I would like a pizza", "silence", 1.0, 1.7))]
    assert floor.state is REPLY_PENDING


def test_so_is_a_third() -> None:
    floor = in_parts().final(1.7, "a pizza").final(2.2, "with olives").wait(9)
    assert transcripts(floor) == ["I would like a pizza", "I would like a pizza with olives"]
    assert floor.commands.count(Reopen()) == 2
    assert floor.said[-1] == (2.2, commit("I would like a pizza with olives", "silence", 1.0, 2.2))


def test_a_second_part_that_only_completes_or_repeats_the_first_changes_nothing() -> None:
    for again in ("I would like", "I would like it", "i would"):
        floor = in_parts().final(1.7, again).interim(1.8, again).wait(9)
        assert floor.take() == []
        assert floor.machine.ignored == 2


def test_over_the_reply_it_does_not_interrupt_and_is_the_next_turn() -> None:
    floor = in_parts().agent(1.6).final(1.9, "a pizza").wait(4)
    assert floor.take() == []
    assert floor.state is AGENT_SPEAKING
    floor.agent_stops(4.0).wait(9)
    assert floor.take() == [(4.0, commit("a pizza", "silence", 1.9, 1.9))]


def test_words_that_grow_over_the_reply_are_spoken_now() -> None:
    floor = in_parts().agent(1.6).interim(3.0, "no").interim(3.2, "no wait").final(3.6, "no wait a moment").wait(9)
    assert floor.take() == [(3.0, Cancel("words")), (4.1, commit("no wait a moment", "silence", 3.6, 3.6))]


def test_an_order_over_the_reply_needs_no_voice() -> None:
    floor = in_parts().agent(1.6).final(5.0, "stop", kind="speech").wait(5)
    assert floor.take() == [], "a lone final is of the voice that was told of"
    floor = in_parts().agent(1.6).interim(5.0, "stop", kind="command")
    assert floor.take() == [(5.0, Cancel("words"))]


def test_words_that_the_recogniser_doubts_do_not_reopen_a_turn() -> None:
    floor = in_parts().final(1.7, "huh", sure=False).wait(9)
    assert floor.take() == []


@pytest.mark.parametrize("kind", ["backchannel", "filler", "aside", "undecided"])
def test_nor_do_murmurs(kind: str) -> None:
    floor = in_parts().final(1.7, "mm hmm", kind=kind).wait(9)  # type: ignore[arg-type]
    assert floor.take() == []
    assert floor.machine.pending_transcript == ""


def test_a_part_that_comes_when_a_tool_has_started_ends_its_reply() -> None:
    floor = in_parts().give(ReplyTookEffect(1.6)).final(1.7, "a pizza").wait(9)
    assert floor.take() == [(1.7, Cancel("words")), (2.2, commit("a pizza", "silence", 1.7, 1.7))]


def test_where_the_first_part_was_not_even_owed_a_final_it_is_new_too() -> None:
    """The final came while the voice was on, the rest of that voice is not read in time."""
    floor = Floor().voice(0.0).final(0.6, "one").silence(1.0).wait(4.1)
    assert floor.take() == [(4.0, commit("one", "max_delay", 1.0, 0.6))]
    floor.final(4.2, "two").wait(9)
    assert floor.take() == [(4.2, Reopen()), (4.2, commit("one two", "silence", 1.0, 4.2))]


def test_a_part_that_comes_after_the_reply_is_a_turn() -> None:
    floor = in_parts().agent(1.6).agent_stops(2.0).final(2.2, "a pizza").wait(9)
    assert floor.take() == [(2.7, commit("a pizza", "silence", 2.2, 2.2))]


# A detector that hears nothing


def test_a_long_sentence_that_the_detector_does_not_hear_is_not_cut() -> None:
    floor = Floor()
    words = "I would like to order a large pizza with olives and without any cheese".split()
    for number in range(1, len(words) + 1):
        floor.interim(number * 0.8, " ".join(words[:number]))
    spoken = 0.8 * len(words)
    assert floor.take() == []
    floor.final(spoken + 0.4, " ".join(words)).wait(30)
    ((at, command),) = floor.take()
    assert at == pytest.approx(spoken + 0.9)
    assert command == commit(" ".join(words), "silence", spoken + 0.4, spoken + 0.4)


def test_its_bound_counts_from_the_last_new_word() -> None:
    floor = Floor().interim(1.0, "so").interim(2.5, "so I").interim(5.0, "so I said").wait(30)
    assert floor.take() == [(8.0, commit("so I said", "max_delay", 5.0, 5.0))]


@pytest.mark.parametrize("has_vad", [True, False])
def test_what_is_read_again_is_no_sign_of_life(has_vad: bool) -> None:
    floor = Floor(has_vad=has_vad)
    for tenth in range(10, 60):
        floor.interim(tenth / 10, "so I said" if tenth % 2 else "so I")
    floor.wait(30)
    assert [at for at, each in floor.said if isinstance(each, Commit)] == [1.1 + 3.0]


def test_after_a_final_words_grow_from_nothing() -> None:
    floor = Floor().interim(1.0, "I would like").final(1.3, "I would like").interim(1.7, "tea").wait(30)
    assert floor.take() == [(4.7, commit("I would like tea", "max_delay", 1.7, 1.7))]


def test_where_words_are_the_voice_a_final_that_is_late_is_waited_for() -> None:
    """A recogniser that is quick as a rule may be in the middle of a sentence of which only it knows."""
    floor = Floor()
    for turn in range(5):
        start = 10.0 * turn
        floor.voice(start).silence(start + 1).final(start + 1.1, "hello").wait(start + 3)
        floor.agent(start + 3).agent_stops(start + 4)
    floor.take()
    floor.interim(60.0, "I would").interim(61.4, "I would like").wait(64.3)
    assert floor.take() == []
    assert floor.wait(70).take() == [(64.4, commit("I would like", "max_delay", 61.4, 61.4))]


def test_words_over_the_agent_interrupt_without_a_voice() -> None:
    floor = Floor().agent(0.0).interim(2.0, "wait")
    assert floor.take() == [(2.0, Cancel("words"))]
    floor.interim(3.5, "wait I have").final(4.0, "wait I have a question").wait(20)
    assert floor.take() == [(4.5, commit("wait I have a question", "silence", 4.0, 4.0))]


@pytest.mark.parametrize("kind", ["backchannel", "filler", "aside", "undecided", "echo"])
def test_murmurs_do_not(kind: str) -> None:
    text = "" if kind == "echo" else "right"
    floor = Floor().agent(0.0).interim(2.0, text, kind=kind).final(2.4, text, kind=kind).wait(9)  # type: ignore[arg-type]
    assert floor.take() == []


def test_nor_what_may_not_be_interrupted() -> None:
    floor = Floor().agent(0.0, interruptible=False).interim(2.0, "wait").final(2.5, "wait please").wait(3)
    assert floor.take() == []
    floor.agent_stops(4.0).wait(9)
    assert floor.take() == [(4.0, commit("wait please", "silence", 2.5, 2.5))]


def test_min_words_counts_there_too() -> None:
    floor = Floor(interruption={"min_words": 2}).agent(0.0).interim(2.0, "wait")
    assert floor.take() == []
    assert floor.interim(2.3, "wait please").take() == [(2.3, Cancel("words"))]


def test_a_voice_that_was_let_go_long_ago_explains_no_words() -> None:
    """A cough, and seven seconds later words: the bound counts from these."""
    floor = Floor().agent(0.0).voice(1.0).silence(1.3).wait(9)
    floor.take()
    floor.interim(9.0, "I would").interim(11.0, "I would like").wait(13.9)
    assert floor.take() == [(9.0, Cancel("words"))]
    assert floor.wait(20).take() == [(14.0, commit("I would like", "max_delay", 11.0, 11.0))]


def test_a_voice_that_was_let_go_just_now_does() -> None:
    floor = Floor().agent(0.0).voice(1.0).silence(2.0).wait(2.6).interim(3.0, "I would").interim(4.8, "I would like")
    assert floor.wait(20).said[-1] == (5.0, commit("I would like", "max_delay", 2.0, 4.8))


def test_a_caller_who_goes_on_unheard_makes_one_turn() -> None:
    floor = Floor().interim(1.0, "I would").final(1.4, "I would like").wait(1.9)
    floor.take()
    floor.interim(2.3, "a").interim(4.0, "a large pizza").final(4.4, "a large pizza").wait(20)
    assert floor.take() == [
        (2.3, Reopen()),
        (4.9, commit("I would like a large pizza", "silence", 4.4, 4.4)),
    ]


def test_whole_calls_are_held_with_a_deaf_detector_and_a_recogniser_that_never_says_final() -> None:
    floor = Floor()
    for turn, said in enumerate(("what is open", "and tomorrow", "thank you")):
        start = 20.0 * turn
        floor.interim(start + 1.0, said.split()[0]).interim(start + 1.5, said).wait(start + 5)
        floor.agent(start + 5).agent_stops(start + 8)
    assert transcripts(floor) == ["what is open", "and tomorrow", "thank you"]


def test_who_is_asked_twice_may_answer_the_same_twice() -> None:
    floor = Floor().final(1.0, "yes").wait(1.6).agent(2.0).agent_stops(4.0).final(5.0, "Yes.").wait(9)
    assert transcripts(floor) == ["yes", "Yes."]


def test_words_out_of_silence_may_be_reopened_by_a_voice() -> None:
    floor = Floor().final(1.0, "I would").wait(1.6).voice(1.7).interim(2.0, "like").silence(2.2).final(2.4, "like it")
    assert floor.wait(9).commands == [
        commit("I would", "silence", 1.0, 1.0),
        Hold(),
        Reopen(),
        commit("I would like it", "silence", 2.2, 2.4),
    ]


def test_a_cough_after_a_question_is_no_word() -> None:
    floor = Floor().voice(0.0).silence(1.0).wait(4.0).agent(4.2).voice(5.0).silence(5.2).final(5.4, "").wait(20)
    assert [type(each) for each in floor.commands].count(AskAgain) == 1
    assert floor.commands[-1] == Release("no words")
    assert floor.agent_stops(21.0).state is LISTENING


# A detector that is slow


def slow(**given: float) -> Floor:
    """One that has shown that it waits for 5 s."""
    floor = Floor(endpointing=given).voice(0.0).final(1.2, "hello").silence(1.0, found=6.0).wait(7)
    assert floor.take()[-1] == (6.0, commit("hello", "silence", 1.0, 1.2))
    floor.agent(7.0).agent_stops(8.0)
    return floor


def test_its_voice_is_over_max_delay_after_the_last_word_where_words_are_read_along() -> None:
    floor = slow().voice(10.0).interim(10.5, "I would").interim(11.0, "I would like").final(11.4, "I would like tea")
    assert floor.wait(14.3).take() == []
    given_up, committed = floor.wait(20).take()
    assert given_up == (14.4, GiveUpOnVoice(3.0, confirmed=False))
    at, command = committed
    assert isinstance(command, Commit)
    assert (at, command.transcript, command.reason) == (14.4, "I would like tea", "silence")
    assert command.last_voiced == pytest.approx(11.4)
    floor.silence(11.2, found=16.2).wait(30)
    assert floor.take() == [], "when it tells, that is no news"
    assert floor.state is REPLY_PENDING


def test_what_is_read_again_does_not_put_that_off() -> None:
    floor = slow().voice(10.0).interim(10.5, "I would like")
    for tenth in range(106, 160):
        floor.interim(tenth / 10, "I would like")
    assert [at for at, each in floor.said if isinstance(each, Commit)] == [13.5]


def test_nothing_is_known_of_one_that_is_not_read_along() -> None:
    floor = slow().voice(10.0).final(11.4, "I would like tea").wait(15.9)
    assert floor.take() == []
    assert floor.silence(11.0, found=16.0).take()[-1] == (16.0, commit("I would like tea", "silence", 11.0, 11.4))


def test_a_detector_as_quick_as_the_delay_is_believed() -> None:
    floor = slow(max_delay=5.0).voice(10.0).interim(10.5, "I would").interim(11.0, "I would like").wait(15.9)
    assert floor.take() == []
    assert floor.wait(16.1).take()[0] == (11.0 + DEAF_AFTER_S, GiveUpOnVoice(DEAF_AFTER_S, confirmed=False))


def test_in_manual_mode_it_costs_nothing() -> None:
    floor = Floor(mode="manual").voice(0.0).final(1.2, "hello").silence(1.0, found=6.0).give(CommitRequested(6.0, 7.0))
    floor.take()
    floor.agent(7.0).agent_stops(8.0).voice(10.0).interim(10.5, "I would").interim(11.0, "I would like").wait(15.9)
    assert floor.take() == []


def test_words_in_its_hang_over_are_words_without_a_voice() -> None:
    floor = slow().voice(10.0).interim(10.5, "tea").final(11.0, "tea").wait(14.1).agent(14.5)
    floor.take()
    floor.interim(15.5, "no coffee")
    assert floor.take() == [(15.5, Cancel("words"))]
    assert floor.state is USER_PAUSED


@pytest.mark.parametrize("state", [State.LISTENING, State.AGENT_SPEAKING])
def test_its_silence_ends_no_second_turn(state: State) -> None:
    floor = slow().voice(10.0).interim(10.5, "tea").final(11.0, "tea").wait(14.1).agent(14.5)
    if state is LISTENING:
        floor.agent_stops(15.0)
    floor.take()
    assert floor.silence(10.9, found=15.9).wait(40).take() == []
    assert floor.state is state
