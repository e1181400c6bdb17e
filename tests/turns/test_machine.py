"""The turn machine, event by event. Times are seconds; a test reads as what the two parties do on one clock."""

import importlib
import random
from collections.abc import Callable

import pytest

from agent_runtime.turns.endpoint import DEAF_AFTER_S
from agent_runtime.turns.machine import HOLD_AFTER_S, TurnMachine
from agent_runtime.turns.signals import (
    AgentStarted,
    AgentStopped,
    Cancel,
    ClearRequested,
    Commit,
    CommitRequested,
    Dismiss,
    Duck,
    GiveUpOnVoice,
    Heard,
    Hold,
    Release,
    Reopen,
    ReplyPlanned,
    ReplyTookEffect,
    Tick,
    TurnEvent,
    VoiceStarted,
    VoiceStopped,
)
from tests.turns.floor import (
    AGENT_SPEAKING,
    HELD,
    LISTENING,
    OVERLAP,
    REPLY_PENDING,
    ROWS,
    USER_PAUSED,
    USER_SPEAKING,
    Floor,
    commit,
    row,
)


def test_every_row_of_the_table_has_a_test() -> None:
    for module in ("test_endpoint", "test_requested"):  # they take some of the rows
        importlib.import_module(f"tests.turns.{module}")
    assert set(TurnMachine._TABLE) == ROWS


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
    early = Floor().agent(0.0).voice(1.0).interim(1.05, "stop")
    assert early.take() == [(1.0, Duck()), (1.05, Cancel("words"))]
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
    assert floor.commands == [Duck(), Hold(), Release("too few words")]
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
    before = Floor().agent(0.0).voice(1.0).final(1.06, "").silence(1.03, found=1.08).wait(9)
    assert before.take() == [(1.0, Duck()), (1.08, Release("no words"))]
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
    floor = Floor().agent(0.0).voice(1.0).silence(1.01, found=1.02).voice(1.04).silence(1.06, found=1.09).wait(9)
    assert floor.take() == [(1.0, Duck()), (1.0 + HOLD_AFTER_S, Hold()), (1.56, Release("silence without words"))]
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
    last = (1.6, Cancel("duration")) if cancelled else (1.9, Release("silence without words"))
    assert floor.said == [(1.02, Duck()), (1.0 + HOLD_AFTER_S, Hold()), last]


@pytest.mark.parametrize(("length", "cancelled"), [(0.3, False), (0.49, False), (0.5, True), (2.0, True)])
@pytest.mark.parametrize("silence", [0.1, 0.25, 0.4])
def test_the_detectors_own_silence_is_no_voice(silence: float, length: float, cancelled: bool) -> None:
    """A cough of 0.3 s and the 0.25 s in which nobody knows that it is over are not half a second of voice."""
    floor = Floor(has_recogniser=False).voice(0.0).silence(0.2, found=0.2 + silence).wait(9)
    floor.agent(10.0).voice(11.0)
    if length + silence < 0.5 + silence - 1e-9:
        floor.silence(11.0 + length, found=11.0 + length + silence)
    floor.wait(20)
    last = (11.5 + silence, Cancel("duration")) if cancelled else (11.5 + length, Release("silence without words"))
    at, command = floor.said[-1]
    assert at == pytest.approx(last[0])
    assert command == last[1]


def test_a_detector_of_which_nothing_is_known_is_taken_to_wait_for_250_ms() -> None:
    floor = Floor(has_recogniser=False).agent(0.0).voice(1.0).wait(9)
    assert floor.said[-1] == (1.75, Cancel("duration"))


def test_a_slow_one_puts_the_interruption_off_by_half_a_second_at_the_most() -> None:
    floor = Floor(has_recogniser=False).voice(0.0).silence(1.0, found=6.0).wait(9)
    floor.agent(10.0).voice(11.0).wait(20)
    assert floor.said[-1] == (12.0, Cancel("duration"))


def test_a_voice_that_resumes_is_measured_from_there() -> None:
    floor = Floor(has_recogniser=False).agent(0.0).voice(1.0).silence(1.3).voice(1.7).silence(2.1, found=2.3).wait(9)
    assert floor.said[-1] == (2.6, Release("silence without words"))
    floor = Floor(has_recogniser=False).agent(0.0).voice(1.0).silence(1.3).voice(1.7).wait(9)
    assert floor.said[-1] == (2.45, Cancel("duration"))


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


@pytest.mark.parametrize(("read_at", "deaf"), [(65.0, False), (64.9, True)])
def test_a_recogniser_lives_for_30_s_after_all_that_it_reads(read_at: float, deaf: bool) -> None:
    floor = Floor().agent(0.0, interruptible=False).voice(60.0).silence(60.5).final(read_at, "").agent(70.0)
    floor.voice(90.0).wait(99)
    assert GiveUpOnVoice(DEAF_AFTER_S, confirmed=deaf) in floor.commands


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
    floor = Floor().agent(0.0).voice(1.0).wait(1.5 if held else 1.05).agent_stops(1.5 if held else 1.05)
    assert floor.commands[0] == Duck()
    assert (Hold() in floor.commands) == held
    assert floor.commands[-1] == Dismiss()
    assert floor.state is USER_SPEAKING


@row((OVERLAP, AgentStopped))
def test_a_user_who_speaks_into_the_last_word_has_the_floor() -> Floor:
    floor = Floor().agent(0.0).voice(1.0).agent_stops(1.05).silence(2.0).final(2.3, "hello").wait(9)
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
    floor = Floor().agent(0.0).voice(1.0).agent_stops(1.05, more=True).agent(1.08, interruptible=False)
    assert floor.take() == [(1.0, Duck()), (1.08, Release("this speech may not be interrupted"))]
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
    words_at = 0.0
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
            case Heard(text=text) if text:  # words that no voice tells of are their own sign of life
                words_at = now
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
            assert machine.deadline <= max(now, max(last_voiced, words_at, owes_since) + max_delay) + 1e-9


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
