"""The turn machine, event by event. Times are seconds; a test reads as what the two parties do on one clock."""

import functools
import random
from collections.abc import Callable
from typing import Any, ParamSpec

import pytest

from agent_runtime.turns.machine import DEAF_AFTER_S, HOLD_AFTER_S, State, TurnMachine
from agent_runtime.turns.options import TurnHandling
from agent_runtime.turns.signals import (
    Advice,
    AgentStarted,
    AgentStopped,
    AskAgain,
    AskDetector,
    Cancel,
    ClearRequested,
    Command,
    Commit,
    CommitRequested,
    Dismiss,
    Duck,
    GiveUpOnVoice,
    Heard,
    Hold,
    Kind,
    Release,
    Reopen,
    ReplyPlanned,
    ReplyTookEffect,
    Tick,
    TurnEvent,
    VoiceStarted,
    VoiceStopped,
)

P = ParamSpec("P")

LISTENING, USER_SPEAKING, USER_PAUSED = State.LISTENING, State.USER_SPEAKING, State.USER_PAUSED
REPLY_PENDING, AGENT_SPEAKING = State.REPLY_PENDING, State.AGENT_SPEAKING
OVERLAP, HELD = State.OVERLAP, State.HELD

VAD_SILENCE_S = 0.25


class Floor:
    """A machine, driven in order; `said` holds its commands with the time of each, ticks are given when due."""

    def __init__(
        self,
        *,
        has_recogniser: bool = True,
        has_vad: bool = True,
        has_detector: bool = False,
        mode: str | None = "vad",
        **given: dict[str, Any],
    ) -> None:
        asked: Any = {"turn_detection": mode, **given}
        self.machine = TurnMachine(
            TurnHandling.of(asked), has_recogniser=has_recogniser, has_vad=has_vad, has_detector=has_detector
        )
        self.said: list[tuple[float, Command]] = []
        self.taken: set[tuple[State, type]] = set()

    @property
    def state(self) -> State:
        return self.machine.state

    @property
    def commands(self) -> list[Command]:
        return [command for _, command in self.said]

    def take(self) -> list[tuple[float, Command]]:
        """The commands since this was last asked, with their times."""
        said, self.said = self.said, []
        return said

    def wait(self, until: float) -> "Floor":
        while (due := self.machine.deadline) is not None and due <= until:
            self._handle(Tick(due))
            assert self.machine.deadline != due, "a tick that changes nothing comes for ever"
        return self

    def give(self, event: TurnEvent) -> "Floor":
        self.wait(event.at)
        self._handle(event)
        return self

    def _handle(self, event: TurnEvent) -> None:
        self.taken.add((self.state, type(event)))
        self.said += [(event.at, command) for command in self.machine.handle(event)]

    # What happens, in the words of a test.

    def voice(self, onset: float, *, found: float | None = None) -> "Floor":
        return self.give(VoiceStarted(onset if found is None else found, onset))

    def silence(self, last_voiced: float, *, found: float | None = None) -> "Floor":
        return self.give(VoiceStopped(last_voiced + VAD_SILENCE_S if found is None else found, last_voiced))

    def final(self, at: float, text: str, *, sure: bool = True, kind: Kind = "speech") -> "Floor":
        return self.give(Heard(at, text, is_final=True, sure=sure, kind=kind))

    def interim(self, at: float, text: str, *, sure: bool = True, kind: Kind = "speech") -> "Floor":
        return self.give(Heard(at, text, is_final=False, sure=sure, kind=kind))

    def advice(self, at: float, text: str, probability: float | None) -> "Floor":
        return self.give(Advice(at, text, probability))

    def agent(self, at: float, *, interruptible: bool = True) -> "Floor":
        return self.give(AgentStarted(at, interruptible))

    def agent_stops(self, at: float, *, more: bool = False) -> "Floor":
        return self.give(AgentStopped(at, more))

    def plan(self, at: float, *, interruptible: bool = True) -> "Floor":
        return self.give(ReplyPlanned(at, interruptible))


ROWS: set[tuple[State, type]] = set()


def row(*rows: tuple[State, type]) -> Callable[[Callable[P, Floor]], Callable[P, None]]:
    """The test takes these rows of the table; it returns the floor on which it did."""
    ROWS.update(rows)

    def decorate(test: Callable[P, Floor]) -> Callable[P, None]:
        @functools.wraps(test)
        def run(*args: P.args, **kwargs: P.kwargs) -> None:
            missed = set(rows) - test(*args, **kwargs).taken
            assert not missed, f"these rows were not taken: {missed}"

        return run

    return decorate


def test_every_row_of_the_table_has_a_test() -> None:
    assert set(TurnMachine._TABLE) == ROWS


def commit(transcript: str, reason: str, last_voiced: float, transcribed_at: float | None, sure: bool = True) -> Commit:
    return Commit(transcript, reason, last_voiced, transcribed_at, sure)


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


def test_stt_mode_commits_at_the_final() -> None:
    floor = Floor(mode="stt").voice(0.0).silence(1.0).final(1.3, "hello")
    assert floor.take() == [(1.3, commit("hello", "final transcript", 1.0, 1.3))]


def test_stt_mode_is_bounded_too() -> None:
    floor = Floor(mode="stt").voice(0.0).interim(0.5, "hello").silence(1.0).wait(9)
    assert floor.take() == [(4.0, commit("hello", "max_delay", 1.0, 0.5))]


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
    floor = Floor(mode="manual").agent(0.0).voice(1.0).give(CommitRequested(1.1, 3.1)).silence(1.6).final(1.9, "stop")
    assert floor.take() == [
        (1.0, Duck()),
        (1.1, Cancel("requested")),
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
    floor = Floor(interruption={"min_words": 2}).agent(0.0).voice(1.0).interim(1.1, "wait").give(ClearRequested(1.15))
    assert floor.machine.pending_transcript == ""
    floor.wait(1.3).interim(1.4, "um").give(ClearRequested(1.5)).silence(1.6).wait(9)
    assert floor.commands == [Duck(), Hold(), Release("silence without words")]
    return floor


# An interruption


@row((LISTENING, AgentStarted), (AGENT_SPEAKING, VoiceStarted), (OVERLAP, Tick))
def test_a_voice_over_the_agent_ducks_in_the_same_event_and_holds_at_250_ms() -> Floor:
    floor = Floor().agent(0.0).voice(1.0, found=1.03)
    assert floor.take() == [(1.03, Duck())]
    assert floor.state is OVERLAP
    assert floor.wait(1.3).take() == [(1.0 + HOLD_AFTER_S, Hold())]
    assert floor.state is HELD
    return floor


def test_a_voice_found_late_holds_at_once() -> None:
    floor = Floor().agent(0.0).voice(1.0, found=1.4).wait(1.4)
    assert floor.take() == [(1.4, Duck()), (1.4, Hold())]


@row((OVERLAP, Heard), (HELD, Heard))
def test_words_confirm_also_in_the_making() -> Floor:
    early = Floor().agent(0.0).voice(1.0).interim(1.1, "stop")
    assert early.take() == [(1.0, Duck()), (1.1, Cancel("words"))]
    floor = Floor().agent(0.0).voice(1.0).interim(1.4, "stop")
    assert floor.take() == [(1.0, Duck()), (1.0 + HOLD_AFTER_S, Hold()), (1.4, Cancel("words"))]
    assert floor.state is USER_SPEAKING
    floor.silence(2.0).final(2.3, "stop it").wait(9)
    assert floor.take() == [(2.5, commit("stop it", "silence", 2.0, 2.3))]
    floor.taken |= early.taken
    return floor


def test_words_that_the_recogniser_does_not_trust_confirm_nothing() -> None:
    floor = Floor().agent(0.0).voice(1.0).interim(1.4, "huh", sure=False).interim(1.6, "huh", sure=False)
    floor.silence(1.7).final(2.0, "huh", sure=False).wait(9)
    assert floor.take() == [(1.0, Duck()), (1.0 + HOLD_AFTER_S, Hold()), (2.0, Release("words not certain"))]
    assert floor.machine.pending_transcript == ""
    assert floor.agent_stops(9.0).wait(20).take() == []


def test_min_words() -> None:
    floor = Floor(interruption={"min_words": 2}).agent(0.0).voice(1.0).interim(1.4, "wait")
    assert Cancel("words") not in floor.commands
    floor.interim(1.6, "wait please")
    assert floor.said[-1] == (1.6, Cancel("words"))


def test_many_words_are_speech_also_where_each_is_doubted() -> None:
    floor = Floor().agent(0.0).voice(1.0).interim(1.6, "what is the capital", sure=False).silence(2.5)
    assert floor.take() == [(1.0, Duck()), (1.0 + HOLD_AFTER_S, Hold())], "in the making they confirm nothing"
    floor.final(2.8, "what is the capital", sure=False).wait(9)
    cancelled, committed = floor.take()
    assert cancelled == (2.8, Cancel("words"))
    assert isinstance(committed[1], Commit)
    assert not committed[1].sure


def test_certain_words_that_were_too_few_begin_the_next_turn() -> None:
    floor = Floor(interruption={"min_words": 2}).agent(0.0).voice(1.0).silence(1.4).final(1.7, "yes")
    assert floor.commands == [Duck(), Hold(), Release("words not certain")]
    floor.take()
    floor.agent_stops(3.0).wait(9)
    assert floor.take() == [(3.0, commit("yes", "silence", 1.4, 1.7))]


def test_uncertain_words_do_not_take_certain_ones_with_them() -> None:
    floor = Floor(interruption={"min_words": 3}).agent(0.0).voice(1.0).silence(1.4).final(1.7, "yes")
    floor.voice(2.0).silence(2.4).final(2.7, "huh", sure=False)
    assert floor.machine.pending_transcript == "yes"


def test_kept_words_do_not_make_an_interruption_of_a_cough() -> None:
    floor = Floor().agent(0.0, interruptible=False).voice(1.0).silence(1.4).final(1.7, "yes").agent(2.0)
    floor.take()
    floor.voice(3.0).silence(3.3).final(3.5, "").wait(9)
    assert floor.commands == [Duck(), Hold(), Release("no words")]
    assert floor.machine.pending_transcript == "yes"


@row((OVERLAP, VoiceStopped))
def test_release_as_soon_as_the_recogniser_says_no_words() -> Floor:
    before = Floor().agent(0.0).voice(1.0).final(1.1, "").silence(1.05, found=1.15).wait(9)
    assert before.take() == [(1.0, Duck()), (1.15, Release("no words"))]
    floor = Floor().agent(0.0).voice(1.0).silence(1.2).final(1.5, "").wait(9)
    assert floor.take() == [(1.0, Duck()), (1.0 + HOLD_AFTER_S, Hold()), (1.5, Release("no words"))]
    assert floor.state is AGENT_SPEAKING
    floor.taken |= before.taken
    return floor


@row((HELD, VoiceStopped), (HELD, Tick))
def test_release_half_a_second_after_the_voice_at_the_latest() -> Floor:
    floor = Floor().agent(0.0).voice(1.0).silence(1.6).wait(9)
    assert floor.take() == [(1.0, Duck()), (1.0 + HOLD_AFTER_S, Hold()), (2.1, Release("silence without words"))]
    return floor


def test_release_sooner_where_the_application_says_so() -> None:
    floor = Floor(interruption={"false_interruption_timeout": 0.25}).agent(0.0).voice(1.0).silence(1.5).wait(9)
    assert floor.said[-1] == (1.75, Release("silence without words"))


def test_a_detector_slower_than_the_release_releases_when_it_tells() -> None:
    floor = Floor().agent(0.0).voice(1.0).silence(1.4, found=2.0).wait(9)
    assert floor.said[-1] == (2.0, Release("silence without words"))


@row((HELD, VoiceStarted))
def test_the_voice_resumes_during_the_wait_for_the_release() -> Floor:
    floor = Floor().agent(0.0).voice(1.0).silence(1.4).voice(1.7).wait(2.2)
    assert floor.commands == [Duck(), Hold()]
    floor.silence(2.2).wait(9)
    assert floor.said[-1] == (2.7, Release("silence without words"))
    return floor


@row((OVERLAP, VoiceStarted))
def test_two_clicks_within_the_overlap() -> Floor:
    floor = Floor().agent(0.0).voice(1.0).silence(1.02, found=1.05).voice(1.1).silence(1.125, found=1.15).wait(9)
    assert floor.take() == [(1.0, Duck()), (1.0 + HOLD_AFTER_S, Hold()), (1.625, Release("silence without words"))]
    return floor


@row((AGENT_SPEAKING, Heard))
def test_words_after_the_release_still_interrupt() -> Floor:
    floor = Floor().agent(0.0).voice(1.0).silence(1.6).wait(2.2)
    floor.take()
    floor.final(2.4, "stop")
    assert floor.take() == [(2.4, Cancel("words")), (2.4, commit("stop", "silence", 1.6, 2.4))]
    return floor


@pytest.mark.parametrize(("length", "cancelled"), [(0.4, False), (0.6, True)])
def test_duration_confirms_where_there_is_no_recogniser(length: float, cancelled: bool) -> None:
    floor = Floor(has_recogniser=False).agent(0.0).voice(1.0, found=1.02).silence(1.0 + length, found=1.0 + length)
    floor.wait(9)
    last = (1.5, Cancel("duration")) if cancelled else (1.9, Release("silence without words"))
    assert floor.said == [(1.02, Duck()), (1.0 + HOLD_AFTER_S, Hold()), last]


def test_duration_does_not_confirm_where_there_is_one() -> None:
    floor = Floor().agent(0.0).voice(1.0).wait(1.0 + DEAF_AFTER_S - 0.01)
    assert floor.commands == [Duck(), Hold()]


def test_a_silent_recogniser_is_deaf_and_the_voice_counts() -> None:
    floor = Floor().agent(0.0).voice(1.0).wait(9)
    assert (
        floor.said[2:]
        == [
            (1.0 + DEAF_AFTER_S, GiveUpOnVoice(DEAF_AFTER_S, confirmed=True)),
            (1.0 + DEAF_AFTER_S, Cancel("duration, the recogniser is silent")),
            (1.0 + 2 * DEAF_AFTER_S, GiveUpOnVoice(DEAF_AFTER_S, confirmed=False)),
        ][: len(floor.said) - 2]
    )
    assert floor.said[3][1] == Cancel("duration, the recogniser is silent")
    assert floor.state is USER_SPEAKING


def test_a_live_recogniser_without_words_means_noise() -> None:
    floor = Floor().agent(0.0).voice(1.0).final(2.0, "").final(5.0, "").wait(9)
    assert floor.said[2:] == [
        (1.0 + DEAF_AFTER_S, GiveUpOnVoice(DEAF_AFTER_S, confirmed=False)),
        (1.0 + DEAF_AFTER_S, Release("noise without words")),
    ]
    assert floor.state is AGENT_SPEAKING


def test_a_barking_dog_does_not_hold_the_agent_for_ever() -> None:
    floor = Floor().agent(0.0)
    at = 1.0
    while at < 20.0:  # each bark comes before the wait after the last is over
        floor.voice(at).silence(at + 0.3)
        at += 0.7
    held = [(when, command) for when, command in floor.said if isinstance(command, Hold | Release | Cancel)]
    assert held[0] == (1.0 + HOLD_AFTER_S, Hold())
    assert held[1][0] <= 1.0 + DEAF_AFTER_S + 0.5


def test_nor_does_it_count_as_a_voice_where_the_recogniser_lives() -> None:
    """It has said of the first bark that it was none of its business; it need not say so of each."""
    floor = Floor().agent(0.0).voice(1.0).final(1.1, "").silence(1.15, found=1.16).wait(1.2)
    floor.take()
    floor.voice(2.0).final(2.1, "").silence(2.4)
    at = 2.7
    while at < 9.0:
        floor.voice(at).silence(at + 0.3)
        at += 0.7
    assert Cancel("duration, the recogniser is silent") not in floor.commands


@row((USER_SPEAKING, Tick), (USER_SPEAKING, AgentStarted))
def test_noise_holds_the_floor_for_five_seconds_and_no_longer() -> Floor:
    floor = Floor().voice(0.0).silence(0.2).wait(0.9)
    floor.give(ClearRequested(0.9)).voice(1.0).plan(2.0)
    assert not floor.machine.floor_is_free
    assert floor.wait(7.0).take() == [(6.0, GiveUpOnVoice(DEAF_AFTER_S, confirmed=False))]
    assert floor.machine.floor_is_free
    floor.agent(7.0)
    assert floor.state is AGENT_SPEAKING
    floor.agent_stops(8.0).silence(20.0).wait(40)
    assert floor.take() == []  # and nobody is asked to say noise again
    assert floor.state is LISTENING
    return floor


def test_words_over_noise_are_a_turn_though_the_voice_never_ends() -> None:
    floor = Floor().voice(1.0).wait(7.0).interim(8.0, "hello").final(8.4, "hello you").wait(8.89)
    assert floor.commands == [GiveUpOnVoice(DEAF_AFTER_S, confirmed=False)]
    floor.wait(9)
    assert floor.said[-1] == (8.9, commit("hello you", "silence", 8.4, 8.4))
    floor.agent(9.2).interim(10.0, "stop").final(10.3, "stop it").wait(20)
    assert [(at, type(command)) for at, command in floor.said[2:]] == [(10.0, Cancel), (10.8, Commit)]


def test_resume_false_interruption_off_makes_every_voice_that_holds_one() -> None:
    floor = Floor(interruption={"resume_false_interruption": False}).agent(0.0).voice(1.0).silence(1.5)
    assert isinstance(floor.commands[-1], Cancel)


# Speeches that may not be interrupted, and the agent's coming and going


def test_speech_that_may_not_be_interrupted_keeps_the_words_for_the_next_turn() -> None:
    floor = Floor().agent(0.0, interruptible=False).voice(1.0).interim(1.3, "but").silence(2.0).final(2.3, "but I")
    assert floor.take() == []
    assert floor.state is AGENT_SPEAKING
    floor.agent_stops(4.0).wait(9)
    assert floor.take() == [(4.0, commit("but I", "silence", 2.0, 2.3))]


def test_a_user_still_speaking_when_it_ends_has_the_floor() -> None:
    floor = Floor().agent(0.0, interruptible=False).voice(1.0).agent_stops(1.5)
    assert floor.state is USER_SPEAKING
    floor.silence(2.0).final(2.2, "but I").wait(9)
    assert floor.take() == [(2.5, commit("but I", "silence", 2.0, 2.2))]


def test_interruption_switched_off() -> None:
    floor = Floor(interruption={"enabled": False}).agent(0.0).voice(1.0).silence(2.0).final(2.3, "stop")
    assert floor.take() == []


@row((REPLY_PENDING, VoiceStarted))
def test_a_pending_speech_that_may_not_be_interrupted_is_not_held() -> Floor:
    floor = Floor().plan(0.0, interruptible=False).voice(0.2).interim(0.6, "hello")
    assert floor.take() == []
    floor.silence(1.0).agent(1.1, interruptible=False).agent_stops(2.0).final(2.1, "hello").wait(9)
    assert [type(command) for command in floor.commands] == [Commit]
    return floor


def test_a_turn_goes_on_also_where_its_reply_may_not_be_interrupted() -> None:
    floor = Floor().voice(0.0).silence(1.0).final(1.3, "I").wait(1.5).plan(1.5, interruptible=False)
    floor.take()
    floor.voice(1.6).interim(1.9, "want")
    assert floor.commands == [Hold(), Reopen()]


def test_the_agent_starts_over_a_running_voice() -> None:
    floor = Floor().voice(1.0).agent(1.1)
    assert floor.take() == [(1.1, Duck())]
    assert floor.state is OVERLAP
    assert floor.wait(1.3).take() == [(1.0 + HOLD_AFTER_S, Hold())]
    assert Floor().voice(1.0).agent(1.1, interruptible=False).state is AGENT_SPEAKING


@row((AGENT_SPEAKING, AgentStopped))
def test_the_agent_stops() -> Floor:
    floor = Floor().agent(0.0).agent_stops(1.0, more=True)
    assert floor.state is REPLY_PENDING
    floor.agent(2.0).agent_stops(3.0)
    assert floor.state is LISTENING
    return floor


@row((REPLY_PENDING, AgentStopped), (LISTENING, ReplyPlanned))
def test_a_reply_that_comes_to_nothing() -> Floor:
    floor = Floor().plan(1.0)
    assert floor.state is REPLY_PENDING
    floor.agent_stops(2.0)
    assert floor.state is LISTENING
    return floor


@pytest.mark.parametrize("held", [False, True])
def test_the_agent_comes_to_its_end_under_suspicion(held: bool) -> None:
    floor = Floor().agent(0.0).voice(1.0).wait(1.5 if held else 1.1).agent_stops(1.5 if held else 1.1)
    assert floor.commands[0] == Duck()
    assert (Hold() in floor.commands) == held
    assert floor.commands[-1] == Dismiss()
    assert floor.state is USER_SPEAKING


@row((OVERLAP, AgentStopped))
def test_a_user_who_speaks_into_the_last_word_has_the_floor() -> Floor:
    floor = Floor().agent(0.0).voice(1.0).agent_stops(1.1).silence(2.0).final(2.3, "hello").wait(9)
    assert floor.commands == [Duck(), Dismiss(), commit("hello", "silence", 2.0, 2.3)]
    return floor


@row((HELD, AgentStopped))
def test_a_held_reply_that_comes_to_nothing() -> Floor:
    floor = Floor().voice(0.0).silence(1.0).final(1.3, "hello").wait(1.5).voice(1.6).agent_stops(1.7)
    assert floor.commands[1:] == [Hold(), Dismiss()]
    assert floor.state is USER_SPEAKING
    return floor


@pytest.mark.parametrize("text", ["", "stop"])
def test_a_suspicion_outlives_the_end_of_one_piece_of_the_speech(text: str) -> None:
    """Between two utterances of one reply a cough must not cost three seconds of silence."""
    floor = Floor().agent(0.0).voice(1.0).agent_stops(1.1, more=True)
    assert not floor.machine.floor_is_free
    floor.silence(1.3).final(1.6, text)
    assert floor.commands[:2] == [Duck(), Hold()]
    assert floor.commands[2] == (Cancel("words") if text else Release("no words"))
    assert floor.state is (USER_PAUSED if text else REPLY_PENDING)


@row((OVERLAP, AgentStarted))
def test_what_may_not_be_interrupted_starts_under_suspicion() -> Floor:
    floor = Floor().agent(0.0).voice(1.0).agent_stops(1.1, more=True).agent(1.15, interruptible=False)
    assert floor.take() == [(1.0, Duck()), (1.15, Release("this speech may not be interrupted"))]
    assert floor.state is AGENT_SPEAKING
    assert floor.interim(1.3, "no").take() == []
    return floor


@row((HELD, AgentStarted))
def test_what_may_not_be_interrupted_starts_while_all_is_held() -> Floor:
    floor = Floor().agent(0.0).voice(1.0).wait(1.3).agent_stops(1.4, more=True).agent(1.5, interruptible=False)
    assert floor.commands[-1] == Release("this speech may not be interrupted")
    assert floor.state is AGENT_SPEAKING
    return floor


# Before anything of the reply was heard


@row((REPLY_PENDING, AgentStarted))
def test_the_reply_is_heard() -> Floor:
    floor = Floor().voice(0.0).silence(1.0).final(1.3, "hello").wait(1.5).agent(2.0)
    assert floor.state is AGENT_SPEAKING
    assert floor.agent_stops(3.0).state is LISTENING
    return floor


def test_a_user_who_goes_on_makes_one_turn_of_both_halves() -> None:
    floor = Floor().voice(0.0).silence(1.0).final(1.3, "I would").wait(1.5)
    floor.take()
    floor.voice(1.6)
    assert floor.take() == [(1.6, Hold())]
    floor.interim(1.9, "like")
    assert floor.take() == [(1.9, Reopen())]
    floor.silence(2.2).final(2.4, "like that").wait(9)
    assert floor.take() == [(2.7, commit("I would like that", "silence", 2.2, 2.4))]


def test_a_turn_committed_unfinished_is_reopened_with_its_unfinished_words() -> None:
    floor = Floor().voice(0.0).interim(0.9, "I would").silence(1.0).wait(4.0).voice(4.1).interim(4.4, "like")
    floor.silence(4.6).final(4.9, "like that").wait(9)
    assert [type(each) for each in floor.commands] == [Commit, Hold, Reopen, Commit]
    assert floor.commands[-1] == commit("I would like that", "silence", 4.6, 4.9)


def test_what_was_heard_is_not_reopened() -> None:
    floor = Floor().voice(0.0).silence(1.0).final(1.3, "one").wait(1.5).agent(1.7).agent_stops(2.5, more=True)
    floor.take()
    assert floor.voice(3.0).interim(3.3, "two").commands == [Hold(), Cancel("words")]


def test_reopened_twice() -> None:
    floor = Floor().voice(0.0).silence(1.0).final(1.3, "one").wait(1.5).voice(1.6).silence(1.8).final(2.0, "two")
    floor.wait(2.3).voice(2.4).silence(2.6).final(2.8, "three").wait(9)
    commits = [each.transcript for each in floor.commands if isinstance(each, Commit)]
    assert commits == ["one", "one two", "one two three"]


def test_a_cough_while_the_reply_is_pending_delays_it_and_no_more() -> None:
    floor = Floor().voice(0.0).silence(1.0).final(1.3, "hello").wait(1.5)
    floor.take()
    floor.voice(1.6).silence(1.8).final(2.1, "").wait(9)
    assert floor.take() == [(1.6, Hold()), (2.1, Release("no words"))]
    assert floor.state is REPLY_PENDING


def test_a_tool_that_has_started_cannot_be_untold() -> None:
    floor = Floor().voice(0.0).silence(1.0).final(1.3, "buy it").wait(1.5).give(ReplyTookEffect(1.55))
    floor.take()
    floor.voice(1.6).interim(1.9, "no").silence(2.1).final(2.3, "no wait").wait(9)
    assert floor.commands == [Hold(), Cancel("words"), commit("no wait", "silence", 2.1, 2.3)]


@row((REPLY_PENDING, Heard))
def test_late_words_of_the_committed_turn_change_nothing() -> Floor:
    floor = Floor().voice(0.0).interim(0.5, "hello").silence(1.0).wait(4.0)
    floor.take()
    assert floor.final(4.1, "hello you").take() == []
    return floor


# Whatever happens


def _a_day_at_the_microphone(seed: int) -> None:
    dice = random.Random(seed)
    mode = dice.choice(["vad", "vad", "vad", "stt", "manual", None])
    floor = Floor(
        mode=mode,
        has_recogniser=dice.random() < 0.8,
        has_vad=dice.random() < 0.9,
        interruption={
            "enabled": dice.random() < 0.9,
            "min_words": dice.choice([0, 0, 2]),
            "resume_false_interruption": dice.random() < 0.8,
            "false_interruption_timeout": dice.choice([None, 0.2, 2.0]),
        },
    )
    machine = floor.machine
    suspicion = False  # Duck or Hold without an end
    voice = sounding = False
    now = 0.0
    last_voiced = 0.0
    owes_since: float | None = None  # the end of a voice that nothing was done about
    max_delay = machine.options.endpointing.max_delay
    for _ in range(120):
        now = round(now + dice.choice([0.0, 0.01, 0.05, 0.1, 0.3, 0.7, 1.5, 4.0]), 3)
        floor.wait(now)
        if machine.state not in (USER_PAUSED, OVERLAP, HELD):
            owes_since = None
        event = _next(dice, now, voice, sounding, floor)
        match event:
            case VoiceStarted():
                voice = True
            case VoiceStopped():
                voice, last_voiced = False, event.last_voiced
            case AgentStarted():
                sounding = True
            case AgentStopped():
                sounding = False
        floor.give(event)
        for at, command in floor.take():
            match command:
                case Duck() | Hold():
                    suspicion = True
                case Release() | Dismiss():
                    assert suspicion, f"{command} ends nothing"
                    suspicion = False
                case Cancel() | Reopen():  # words alone may confirm, too
                    suspicion = sounding = False
                case Commit():
                    assert command.transcript
                    assert command.last_voiced <= at
        assert suspicion == (machine.state in (OVERLAP, HELD)), "a suspicion ends in exactly one way"
        assert machine.deadline is None or machine.deadline >= now - 1e-9, "a deadline in the past"
        waiting = machine.state in (USER_PAUSED, OVERLAP, HELD) and not voice
        owes_since = None if not waiting else now if owes_since is None else owes_since
        if owes_since is not None and machine.has_vad and mode != "manual":
            assert machine.deadline is not None, f"stuck in {machine.state}"
            assert machine.deadline <= max(now, last_voiced + max_delay, owes_since + max_delay) + 1e-9


def _next(dice: random.Random, now: float, voice: bool, sounding: bool, floor: Floor) -> TurnEvent:
    machine = floor.machine
    words = ["", "", "yes", "hello there", "stop it now please"]
    options: list[Callable[[], TurnEvent]] = [
        lambda: Heard(now, dice.choice(words), dice.random() < 0.6, dice.random() < 0.8),
        lambda: ReplyPlanned(now, dice.random() < 0.8),
        lambda: AgentStopped(now, dice.random() < 0.4),
    ]
    if machine.has_vad and voice:
        options += [lambda: VoiceStopped(now, round(now - dice.choice([0.0, 0.1, 0.25, 0.8]), 3))] * 4
    elif machine.has_vad:
        options += [lambda: VoiceStarted(now, round(now - dice.choice([0.0, 0.02, 0.1]), 3))] * 4
    if not sounding and (machine.floor_is_free or dice.random() < 0.05):
        options += [lambda: AgentStarted(now, dice.random() < 0.8)] * 3
    rare: list[Callable[[], TurnEvent]] = [
        lambda: ReplyTookEffect(now),
        lambda: CommitRequested(now, now + dice.choice([0.0, 0.5, 2.0])),
        lambda: ClearRequested(now),
        lambda: Tick(now),
    ]
    return dice.choice(options if dice.random() < 0.9 else rare)()


@pytest.mark.parametrize("block", range(20))
def test_whatever_happens(block: int) -> None:
    for seed in range(block * 150, block * 150 + 150):
        try:
            _a_day_at_the_microphone(seed)
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error


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
