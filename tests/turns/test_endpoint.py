"""When the user's turn ends, event by event. Times are seconds."""

import itertools
import math
import random
from collections.abc import Callable
from typing import Any

import pytest

from agent_runtime.turns.endpoint import ADVICE_BUDGET_S, DEAF_AFTER_S
from agent_runtime.turns.endpointing import Estimates
from agent_runtime.turns.machine import State
from agent_runtime.turns.options import Endpointing
from agent_runtime.turns.signals import (
    Advice,
    AskAgain,
    AskDetector,
    Cancel,
    Commit,
    CommitRequested,
    GiveUpOnVoice,
    Heard,
    Ignore,
    Prepare,
    Tick,
    TurnEvent,
    VoiceStarted,
    VoiceStopped,
)
from tests.turns.floor import AGENT_SPEAKING, LISTENING, REPLY_PENDING, USER_PAUSED, USER_SPEAKING, Floor, commit, row

# The end of a turn


@row((USER_PAUSED, Advice))
def test_a_turn_that_is_thought_unfinished_waits_longer() -> Floor:
    floor = Floor(has_detector=True).voice(0.0).silence(1.0).final(1.3, "I would like a")
    floor.advice(1.3, "I would like a", 0.05)
    assert floor.take() == [(1.3, AskDetector("I would like a"))]
    assert floor.wait(9).take() == [(4.0, commit("I would like a", "max_delay", 1.0, 1.3))]
    return floor


@row((LISTENING, VoiceStarted), (USER_SPEAKING, VoiceStopped), (USER_PAUSED, Heard), (USER_PAUSED, Tick))
def test_commit_comes_min_delay_after_the_last_voiced_sample() -> Floor:
    floor = Floor().voice(0.0).silence(1.0).final(1.3, "hello")
    assert floor.state is USER_PAUSED
    assert floor.wait(1.499).take() == []
    assert floor.wait(9).take() == [(1.5, commit("hello", "silence", 1.0, 1.3))]
    assert floor.state is REPLY_PENDING
    return floor


@row((USER_SPEAKING, Heard))
def test_the_final_may_come_before_the_detector_hears_the_end() -> Floor:
    floor = Floor().voice(0.0).final(1.1, "hello").silence(1.0)
    assert floor.wait(9).take() == [(1.5, commit("hello", "silence", 1.0, 1.1))]
    return floor


@pytest.mark.parametrize("found", [1.2, 1.25, 1.45, 1.5])
@pytest.mark.parametrize("final_at", [1.05, 1.2, 1.3, 1.49, 1.5])
def test_the_order_of_final_and_silence_does_not_matter(found: float, final_at: float) -> None:
    floor = Floor().voice(0.0)
    steps: list[tuple[float, Callable[[], Floor]]] = [
        (found, lambda: floor.silence(1.0, found=found)),
        (final_at, lambda: floor.final(final_at, "hello")),
    ]
    for _, step in sorted(steps, key=lambda each: each[0]):
        step()
    floor.wait(9)
    assert [(at, type(command)) for at, command in floor.take()] == [(1.5, Commit)]


def test_a_detector_slower_than_min_delay_commits_as_soon_as_it_tells() -> None:
    floor = Floor().voice(0.0).final(1.1, "hello").silence(1.0, found=1.8).wait(9)
    assert floor.take() == [(1.8, commit("hello", "silence", 1.0, 1.1))]


def test_a_late_final_commits_at_once() -> None:
    floor = Floor().voice(0.0).interim(0.5, "hel").silence(1.0).final(2.2, "hello").wait(9)
    assert floor.take() == [(2.2, commit("hello", "final transcript", 1.0, 2.2))]


def test_a_final_from_before_the_voices_end_does_not_pay_for_the_rest() -> None:
    floor = Floor().voice(0.0).final(0.6, "one").silence(1.0).wait(2).final(2.0, "two").wait(9)
    assert floor.take() == [(2.0, commit("one two", "final transcript", 1.0, 2.0))]


def test_max_delay_commits_what_is_understood_so_far() -> None:
    floor = Floor().voice(0.0).interim(0.5, "hel").interim(0.8, "hello").silence(1.0).wait(3.999)
    assert floor.take() == []
    assert floor.wait(9).take() == [(4.0, commit("hello", "max_delay", 1.0, 0.8))]


def test_a_voice_without_words_is_asked_about_at_max_delay() -> None:
    floor = Floor().voice(0.0).silence(1.0).wait(9)
    assert floor.take() == [(4.0, AskAgain(after=3.0))]
    assert floor.state is REPLY_PENDING


def test_so_is_one_of_which_the_recogniser_says_that_it_held_no_words() -> None:
    floor = Floor().voice(0.0).silence(1.0).final(1.4, "").wait(9)
    assert floor.take() == [(4.0, AskAgain(after=3.0))]


@pytest.mark.parametrize(("length", "asks"), [(0.29, False), (0.31, True)])
def test_a_noise_shorter_than_a_word_needs_no_answer(length: float, asks: bool) -> None:
    floor = Floor().voice(0.0).silence(length).wait(9)
    assert floor.commands == ([AskAgain(after=3.0)] if asks else [])
    assert floor.state is (REPLY_PENDING if asks else LISTENING)


def test_without_a_recogniser_nobody_is_asked_again() -> None:
    floor = Floor(has_recogniser=False).voice(0.0).silence(1.0).wait(9)
    assert floor.take() == []
    assert floor.state is LISTENING


def test_late_words_after_asking_again_are_a_turn() -> None:
    floor = Floor().voice(0.0).silence(1.0).wait(4.0).agent(4.3).final(4.6, "hello").wait(20)
    assert floor.commands[:2] == [AskAgain(after=3.0), Cancel("words")]
    assert floor.commands[2:] == [commit("hello", "silence", 4.6, 4.6)]


@pytest.mark.parametrize("state", [REPLY_PENDING, AGENT_SPEAKING, LISTENING])
def test_a_final_that_comes_twice_starts_no_second_turn(state: State) -> None:
    floor = Floor().voice(0.0).silence(1.0).final(1.3, "hello").wait(1.6)
    if state is not REPLY_PENDING:
        floor.agent(2.0)
    if state is LISTENING:
        floor.agent_stops(3.0)
    floor.take()
    assert floor.state is state
    floor.final(3.2, "Hello").wait(20)
    assert floor.take() == []
    assert floor.state is state


@pytest.mark.parametrize("state", [REPLY_PENDING, AGENT_SPEAKING, LISTENING])
def test_a_final_that_comes_after_max_delay_starts_no_second_turn(state: State) -> None:
    floor = Floor().voice(0.0).interim(0.5, "hel").silence(1.0).wait(4.0)
    if state is not REPLY_PENDING:
        floor.agent(4.2)
    if state is LISTENING:
        floor.agent_stops(4.4)
    floor.take()
    floor.interim(4.5, "hello th").final(4.6, "hello there").wait(20)
    assert floor.take() == []
    assert floor.state is state
    if state is LISTENING:
        floor.voice(20).silence(21).final(21.3, "next").wait(30)
        assert floor.commands == [commit("next", "silence", 21, 21.3)]


@row((USER_PAUSED, VoiceStarted))
def test_the_user_goes_on_in_the_pause() -> Floor:
    floor = Floor().voice(0.0).silence(1.0).final(1.3, "I would").voice(1.4, found=1.42)
    assert floor.state is USER_SPEAKING
    floor.silence(2.0).final(2.4, "like that").wait(9)
    assert floor.take() == [(2.5, commit("I would like that", "silence", 2.0, 2.4))]
    return floor


def test_an_uncertain_final_makes_an_uncertain_turn() -> None:
    floor = Floor().voice(0.0).silence(1.0).final(1.2, "one").final(1.3, "two", sure=False).wait(9)
    assert floor.commands == [commit("one two", "silence", 1.0, 1.3, sure=False)]


@row((LISTENING, Heard))
def test_words_without_a_voice_are_their_own_sign_of_life() -> Floor:
    floor = Floor().interim(1.0, "hel").interim(1.4, "hello").final(1.8, "hello").wait(9)
    assert [type(each) for each in floor.commands] == [Commit]
    return floor


def test_without_a_detector_the_delays_count_from_the_last_words() -> None:
    floor = Floor(has_vad=False).interim(1.0, "hel").interim(3.9, "hello").final(4.0, "hello").wait(20)
    assert floor.take() == [(4.5, commit("hello", "silence", 4.0, 4.0))]
    floor.agent(5.0).agent_stops(6.0).interim(9.0, "by").wait(20)
    assert floor.take() == [(12.0, commit("by", "max_delay", 9.0, 9.0))]


def test_without_a_detector_words_interrupt_and_the_rest_of_them_is_waited_for() -> None:
    floor = Floor(has_vad=False).final(1.0, "hello").wait(2).agent(2.0)
    floor.take()
    floor.interim(5.0, "stop")
    assert floor.take() == [(5.0, Cancel("words"))]
    floor.final(5.6, "stop it now").wait(20)
    assert floor.take() == [(6.1, commit("stop it now", "silence", 5.6, 5.6))]


def test_stt_mode_keeps_the_delay_and_asks_no_detector() -> None:
    floor = Floor(mode="stt", has_detector=True).voice(0.0).silence(1.0).final(1.3, "hello").wait(9)
    assert floor.take() == [(1.5, commit("hello", "silence", 1.0, 1.3))]


def test_a_final_said_again_over_a_cough_is_no_second_turn() -> None:
    floor = Floor().voice(0.0).silence(1.0).final(1.2, "one pizza please").wait(1.5).agent(1.9)
    floor.take()
    floor.voice(2.0).final(2.2, "one pizza please").silence(2.6).final(2.8, "").wait(9)
    assert not [command for command in floor.commands if isinstance(command, Commit | Cancel)]


def test_noise_is_noise_where_the_recogniser_has_just_read_something() -> None:
    floor = Floor().voice(0.0).silence(1.0).final(1.2, "one pizza please").wait(1.5).agent(1.9)
    floor.take()
    floor.voice(2.0).wait(9)
    assert not [command for command in floor.commands if isinstance(command, Cancel)]


def test_stt_mode_is_bounded_too() -> None:
    floor = Floor(mode="stt").voice(0.0).interim(0.5, "hello").silence(1.0).wait(9)
    assert floor.take() == [(4.0, commit("hello", "max_delay", 1.0, 0.5))]


@pytest.mark.parametrize("seed", range(300))
def test_a_turn_ends_within_max_delay_whatever_the_recogniser_does(seed: int) -> None:
    """One voice, any number of readings at any time: exactly one Commit or AskAgain, and in time."""
    dice = random.Random(seed)
    end = dice.uniform(0.3, 3.0)
    found = end + dice.uniform(0.0, 1.0)
    readings = sorted(
        (dice.uniform(0.1, end + 2.9), dice.random() < 0.4, dice.choice(["", "one", "one two"]))
        for _ in range(dice.randrange(6))
    )
    floor = Floor().voice(0.0)
    stopped = False
    for at, is_final, text in readings:
        if at >= found and not stopped:
            floor.silence(end, found=found)
            stopped = True
        floor.give(Heard(at, text, is_final))
    if not stopped:
        floor.silence(end, found=found)
    floor.wait(99)
    ends = [(at, each) for at, each in floor.said if isinstance(each, Commit | AskAgain)]
    assert len(ends) == 1
    assert end + 0.5 - 1e-9 <= ends[0][0] <= end + 3.0 + 1e-9


# What the turn detector advises

TEXT = "I would like a"


def asked(*, at: float = 1.3, text: str = TEXT, **given: Any) -> Floor:
    """A voice from 0 to 1 s with a final at `at`, about which the detector was just asked."""
    floor = Floor(has_detector=True, mode=None, **given).voice(0.0).silence(1.0).final(at, text)
    assert floor.take() == [(at, AskDetector(text))]
    return floor


@pytest.mark.parametrize("probability", [1.0, 0.9, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0, None])
def test_the_less_likely_a_turn_is_whole_the_longer_it_waits(probability: float | None) -> None:
    delay = Estimates(Endpointing()).min_delay(probability)
    floor = asked().advice(1.3, TEXT, probability).wait(9)
    ((at, command),) = floor.take()
    assert at == pytest.approx(1.0 + delay)
    assert isinstance(command, Commit)
    assert delay == (0.5 if probability is None or probability >= 0.9 else 3.0 if probability <= 0.1 else delay)


@pytest.mark.parametrize("nonsense", [math.nan, math.inf, -math.inf, 1.5, 7.0, -0.5])
def test_what_is_no_probability_is_no_advice(nonsense: float) -> None:
    floor = asked().advice(1.3, TEXT, nonsense).wait(9)
    assert floor.take() == [(1.5, commit(TEXT, "silence", 1.0, 1.3))]


def test_a_detector_that_never_answers_costs_its_budget_and_no_more() -> None:
    floor = asked().wait(9)
    assert floor.take() == [(1.3 + ADVICE_BUDGET_S, commit(TEXT, "silence", 1.0, 1.3))]


def test_its_budget_does_not_reach_beyond_max_delay() -> None:
    floor = asked(at=3.9).wait(9)
    assert floor.take() == [(4.0, commit(TEXT, "max_delay", 1.0, 3.9))]


@pytest.mark.parametrize("late", [1.5601, 1.7, 30.0])
def test_an_answer_after_its_budget_changes_nothing(late: float) -> None:
    floor = asked(at=1.31).advice(late, TEXT, 0.0).wait(40)
    assert [(round(at, 4), type(command)) for at, command in floor.take()] == [(1.56, Commit)]


def test_an_answer_in_time_may_shorten_the_wait_for_it() -> None:
    floor = asked(at=1.45)
    assert floor.wait(1.6).take() == []  # min_delay is over, and it is waited for
    assert floor.advice(1.62, TEXT, 0.9).take() == [(1.62, commit(TEXT, "silence", 1.0, 1.45))]


def test_an_answer_about_other_words_is_no_answer() -> None:
    floor = asked().final(1.4, "coffee")
    assert floor.take() == [(1.4, AskDetector(f"{TEXT} coffee"))]
    floor.advice(1.45, TEXT, 0.0).advice(1.46, f"{TEXT} coffee", 0.9).wait(9)
    assert floor.take() == [(1.5, commit(f"{TEXT} coffee", "silence", 1.0, 1.4))]


def test_a_second_answer_about_the_same_words_is_none() -> None:
    floor = asked().advice(1.3, TEXT, 0.9).advice(1.4, TEXT, 0.0).wait(9)
    assert floor.take() == [(1.5, commit(TEXT, "silence", 1.0, 1.3))]


def test_a_detector_is_asked_anew_when_the_voice_has_been_on_again() -> None:
    """One that hears sound may think otherwise of the same words now."""
    floor = asked().advice(1.3, TEXT, 0.0).voice(1.6).silence(1.9).advice(2.16, TEXT, 0.0).final(2.4, "").wait(9)
    assert floor.take() == [(2.15, AskDetector(TEXT)), (4.9, commit(TEXT, "max_delay", 1.9, 1.3))]


def test_a_detector_is_asked_once_about_the_same_words() -> None:
    floor = asked().advice(1.3, TEXT, 0.0).final(2.4, "").final(2.6, TEXT).wait(9)
    assert floor.take() == [(4.0, commit(TEXT, "max_delay", 1.0, 1.3))]


def test_the_advice_of_one_turn_is_not_that_of_the_next() -> None:
    floor = asked().advice(1.3, TEXT, 0.0).wait(4.0).agent(4.2).agent_stops(5.0)
    floor.take()
    floor.voice(10.0).silence(11.0).final(11.3, TEXT).wait(20)
    assert floor.take() == [(11.3, AskDetector(TEXT)), (11.55, commit(TEXT, "silence", 11.0, 11.3))]


@pytest.mark.parametrize("mode", ["stt", "manual"])
def test_where_something_else_ends_turns_nobody_is_asked(mode: str) -> None:
    floor = Floor(has_detector=True, mode=mode).voice(0.0).silence(1.0).final(1.3, TEXT).wait(9)
    assert not [each for each in floor.commands if isinstance(each, AskDetector)]


def test_a_requested_commit_asks_nobody() -> None:
    floor = asked().advice(1.3, TEXT, 0.0).give(CommitRequested(1.6, 3.6))
    assert floor.take() == [(1.6, commit(TEXT, "requested", 1.0, 1.3))]


def test_words_that_are_not_final_are_asked_about_where_the_final_is_known_to_be_late() -> None:
    floor = Floor(has_detector=True, mode=None)
    for turn in range(5):  # this recogniser takes 0.2 s
        floor.voice(10.0 * turn).silence(10.0 * turn + 1).final(10.0 * turn + 1.2, "hello").wait(10.0 * turn + 3)
        floor.agent(10.0 * turn + 3).agent_stops(10.0 * turn + 4)
    floor.take()
    floor.voice(50.0).interim(50.9, TEXT).silence(51.0).advice(51.25, TEXT, 0.9).wait(51.499)
    assert floor.take() == [(51.25, AskDetector(TEXT))]
    floor.wait(53)
    assert floor.take() == [(51.5, commit(TEXT, "the final is late", 51.0, 50.9))]
    floor.final(53.4, f"{TEXT} cup of tea").wait(60)  # it starts no second turn
    assert floor.take() == []


def test_a_caller_who_pauses_in_turns_is_waited_for_as_long_as_his_pauses_last() -> None:
    floor = Floor(has_detector=True, mode=None).voice(0.0)
    for pause in range(6):
        floor.silence(2.0 * pause + 1).final(2.0 * pause + 1.3, "and").advice(2.0 * pause + 1.3, "", 0.0)
        floor.advice(2.0 * pause + 1.31, " ".join(["and"] * (pause + 1)), 0.0).voice(2.0 * pause + 2.0)
    floor.silence(13.0).final(13.3, "tea").advice(13.3, "and " * 6 + "tea", 0.45).wait(20)
    at, command = floor.said[-1]
    assert isinstance(command, Commit)
    assert at == pytest.approx(13.0 + 1.0 + 0.1, abs=0.05)  # his pauses last 1.0 s


# The recogniser is odd


def test_a_final_that_comes_twice_before_the_commit_is_taken_once() -> None:
    floor = asked().advice(1.3, TEXT, 0.0).final(2.3, TEXT).wait(9)
    assert floor.take() == [(4.0, commit(TEXT, "max_delay", 1.0, 1.3))]


def test_the_same_word_in_two_voices_is_said_twice() -> None:
    floor = Floor().voice(0.0).silence(0.4).final(0.5, "five").voice(0.7).silence(1.0).final(1.2, "five").wait(9)
    assert floor.take() == [(1.5, commit("five five", "silence", 1.0, 1.2))]


def test_interims_that_shrink_are_taken_as_they_are() -> None:
    floor = Floor().voice(0.0).interim(0.4, "one two three").interim(0.6, "one two").interim(0.8, "one").silence(1.0)
    floor.wait(9)
    assert floor.take() == [(4.0, commit("one", "max_delay", 1.0, 0.8))]


def test_interims_that_shrink_to_nothing_are_no_words() -> None:
    floor = Floor().voice(0.0).interim(0.4, "one two").interim(0.8, "").silence(1.0).wait(9)
    assert floor.take() == [(4.0, AskAgain(after=3.0))]


def test_interims_that_go_on_after_the_voice_do_not_move_the_bound() -> None:
    floor = Floor().voice(0.0).silence(1.0)
    for tenth in range(13, 45):
        floor.interim(tenth / 10, "so " * (tenth - 12))
    commits = [(at, each) for at, each in floor.said if isinstance(each, Commit)]
    assert [at for at, _ in commits] == [4.0]


def test_a_voice_that_never_ends_after_its_words_does_not_hold_the_turn_for_ever() -> None:
    """A fan was switched on while the caller spoke: the detector hears it for ever, the recogniser nothing more."""
    floor = Floor().voice(0.0).interim(0.4, "hello").final(1.2, "hello there").wait(20)
    ((at, given_up), (then, committed)) = floor.take()
    assert given_up == GiveUpOnVoice(DEAF_AFTER_S, confirmed=False)
    assert at == 1.2 + DEAF_AFTER_S
    assert then == at + 0.5
    assert committed == commit("hello there", "silence", at, 1.2)


def test_but_somebody_who_speaks_for_long_is_not_cut_by_a_recogniser_that_waits_for_the_end() -> None:
    floor = Floor().voice(0.0).silence(1.0).final(1.2, "well").voice(1.3).wait(9.0)
    assert floor.take() == []
    floor.silence(9.0).final(9.4, "that was long").wait(20)
    assert floor.take() == [(9.5, commit("well that was long", "silence", 9.0, 9.4))]


@pytest.mark.parametrize("answer", ["at once", "late", "never", "not whole"])
@pytest.mark.parametrize("mode", ["vad", None, "stt"])
def test_the_bounds_hold(mode: str | None, answer: str) -> None:
    for low, high, found, final in itertools.product(
        (0.0, 0.5, 1.0), (1.0, 3.0), (0.05, 0.25, 0.9), (-0.1, 0.3, 0.95, 2.5, None)
    ):
        floor = Floor(has_detector=mode is None, mode=mode, endpointing={"min_delay": low, "max_delay": high})
        floor.voice(0.0).interim(0.4, "hello")
        happens: list[TurnEvent] = [VoiceStopped(1.0 + found, 1.0)]
        happens += [Heard(1.0 + final, "hello", is_final=True)] if final is not None else []
        for event in sorted(happens, key=lambda each: each.at):
            floor.give(event)
            if answer != "never" and AskDetector("hello") in floor.commands:
                later = 0.2 if answer == "late" else 0.0
                floor.advice(event.at + later, "hello", 0.0 if answer == "not whole" else 0.9)
        floor.wait(99)
        (at,) = [at for at, each in floor.said if isinstance(each, Commit)]
        assert at <= max(1.0 + high, 1.0 + found) + 1e-9, (low, high, found, final)
        assert at >= 1.0 + low - 1e-9, (low, high, found, final)


# A reply ahead of its turn


def eager(**given: Any) -> dict[str, Any]:
    return {"enabled": True, **given}


def test_a_reply_is_prepared_as_soon_as_the_words_are_whole() -> None:
    floor = Floor(preemptive_generation=eager()).voice(0.0).interim(0.9, "hello").silence(1.0).wait(1.3)
    assert floor.take() == []
    floor.final(1.3, "hello").wait(9)
    assert floor.take() == [(1.3, Prepare("hello")), (1.5, commit("hello", "silence", 1.0, 1.3))]


def test_nothing_is_prepared_unless_it_is_asked_for() -> None:
    floor = Floor().voice(0.0).silence(1.0).final(1.3, "hello").wait(9)
    assert [type(each) for each in floor.commands] == [Commit]


def test_nothing_is_prepared_where_the_turn_ends_at_once() -> None:
    floor = Floor(preemptive_generation=eager()).voice(0.0).silence(1.0).final(1.6, "hello").wait(9)
    assert floor.take() == [(1.6, commit("hello", "final transcript", 1.0, 1.6))]


@pytest.mark.parametrize(("probability", "prepares"), [(0.9, True), (0.5, True), (0.49, False), (0.0, False)])
def test_a_turn_that_is_thought_unfinished_is_not_prepared_for(probability: float, prepares: bool) -> None:
    floor = asked(preemptive_generation=eager()).advice(1.35, TEXT, probability)
    assert floor.take() == ([(1.35, Prepare(TEXT))] if prepares else [])


def test_nor_is_anything_while_the_advice_is_waited_for() -> None:
    floor = asked(at=1.1, preemptive_generation=eager()).wait(1.34)
    assert floor.take() == []
    floor.wait(9)
    assert [type(command) for _, command in floor.take()][-1] is Commit


def test_other_words_are_prepared_for_anew_and_so_often_and_no_more() -> None:
    floor = Floor(preemptive_generation=eager(max_retries=2)).voice(0.0)
    for number in range(4):
        floor.silence(number + 0.5).final(number + 0.7, str(number)).voice(number + 0.8)
    floor.silence(5.0).final(5.2, "end").wait(9)
    prepared = [each.transcript for each in floor.commands if isinstance(each, Prepare)]
    assert prepared == ["0", "0 1"]
    floor.agent(9).agent_stops(10).voice(11).silence(12).final(12.1, "next").wait(20)
    assert Prepare("next") in floor.commands  # the limit is one turn's


def test_a_cough_in_the_pause_does_not_prepare_the_same_twice() -> None:
    floor = Floor(preemptive_generation=eager()).voice(0.0).silence(1.0).final(1.2, "hello").voice(1.3).silence(1.4)
    floor.final(1.7, "").wait(9)
    assert floor.take() == [(1.2, Prepare("hello")), (1.9, commit("hello", "silence", 1.4, 1.2))]


@pytest.mark.parametrize(("length", "prepares"), [(9.9, True), (10.1, False)])
def test_after_a_long_speech_nothing_is_prepared(length: float, prepares: bool) -> None:
    floor = Floor(preemptive_generation=eager()).voice(0.0)
    floor.interim(3, "a").interim(7, "a b").silence(length).final(length + 0.3, "a b c").wait(99)
    assert (Prepare("a b c") in floor.commands) == prepares


@pytest.mark.parametrize("kind", ["backchannel", "filler", "aside"])
def test_for_what_is_no_turn_nothing_is_prepared(kind: Any) -> None:
    floor = Floor(preemptive_generation=eager()).voice(0.0).silence(0.4).final(0.6, "mm", kind=kind).wait(9)
    assert floor.take() == [(0.9, Ignore("mm", kind))]


# Without a detector of voices


@pytest.mark.parametrize("state", [REPLY_PENDING, AGENT_SPEAKING, LISTENING])
@pytest.mark.parametrize("final", ["hello there you", "hello there", "hello"])
def test_a_final_after_max_delay_starts_no_second_turn_without_one_either(state: State, final: str) -> None:
    floor = Floor(has_vad=False).interim(1.0, "hello there").wait(4.0)
    if state is not REPLY_PENDING:
        floor.agent(4.2)
    if state is LISTENING:
        floor.agent_stops(4.4)
    assert floor.take() == [(4.0, commit("hello there", "max_delay", 1.0, 1.0))]
    floor.final(4.6, final).wait(20)
    assert floor.take() == []
    assert floor.state is state


def test_nor_when_it_comes_twice() -> None:
    floor = Floor(has_vad=False).interim(1.0, "hello").wait(4.0).agent(4.2).agent_stops(4.4)
    floor.take()
    floor.final(4.6, "hello there").final(5.6, "hello there").wait(20)
    assert floor.take() == []
    floor.interim(21.0, "hello").final(21.4, "hello there").wait(30)  # but this is somebody who says it again
    assert [each.transcript for each in floor.commands if isinstance(each, Commit)] == ["hello there"]


def test_other_words_do() -> None:
    floor = Floor(has_vad=False).interim(1.0, "hello there").wait(4.0).agent(4.2).agent_stops(5.0)
    floor.final(5.6, "and something else").wait(20)
    assert [each.transcript for each in floor.commands if isinstance(each, Commit)] == [
        "hello there",
        "and something else",
    ]


def test_a_final_without_words_does_not_make_a_turn_longer() -> None:
    floor = Floor(has_vad=False).final(1.0, "hello").final(1.4, "").wait(20)
    assert floor.take() == [(1.5, commit("hello", "silence", 1.0, 1.0))]


def test_nor_does_a_voice_of_which_nothing_is_ever_read() -> None:
    floor = Floor().voice(0.0).silence(1.0).final(1.2, "hello").voice(1.3).wait(60)
    assert floor.take() == [
        (21.3, GiveUpOnVoice(DEAF_AFTER_S, confirmed=False)),
        (21.8, commit("hello", "silence", 21.3, 1.2)),
    ]


def test_a_long_voice_of_which_nothing_was_read_is_asked_about() -> None:
    """Also where it was taken for noise meanwhile: a recogniser may say nothing before a voice is over."""
    floor = Floor().voice(1.0).silence(9.0).wait(30)
    assert floor.said == [(6.0, GiveUpOnVoice(DEAF_AFTER_S, confirmed=False)), (12.0, AskAgain(after=3.0))]


def test_its_words_may_still_come() -> None:
    floor = Floor().voice(1.0).silence(9.0).final(9.4, "tea please").wait(30)
    assert floor.said[1:] == [(9.5, commit("tea please", "silence", 9.0, 9.4))]


def test_a_long_voice_that_was_read_as_nothing_is_a_noise() -> None:
    floor = Floor().voice(1.0).final(8.0, "").silence(9.0).wait(30)
    assert floor.said == [(6.0, GiveUpOnVoice(DEAF_AFTER_S, confirmed=False))]


def test_a_short_max_delay_does_not_cut_between_two_readings() -> None:
    floor = Floor(endpointing={"min_delay": 0.1, "max_delay": 0.2}).voice(0.5)
    floor.interim(0.7, "what").interim(1.1, "what is").interim(1.5, "what is open").wait(1.7)
    assert floor.said == []
    floor.silence(1.7).final(1.9, "what is open").wait(9)
    assert floor.said == [(1.9, commit("what is open", "final transcript", 1.7, 1.9))]
