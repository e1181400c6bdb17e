"""What counts of what is heard while the agent speaks: murmurs, orders, coughs, echo, and a caller who is not listened to."""

from typing import Any

import pytest

from agent_runtime import Agent, AgentSession, clock, function_tool
from agent_runtime.audio.frame import OUTPUT_RATE
from agent_runtime.errors import UsageError
from agent_runtime.events import (
    AgentFalseInterruption,
    Error,
    InterruptionConfirmed,
    PlaybackFinished,
    PlaybackStarted,
    PlayoutPaused,
    Stalled,
    TurnCommitted,
    TurnIgnored,
    UserInputTranscribed,
)
from agent_runtime.testing.scripted import Call, Line, ScriptedLLM, ScriptedSTT
from agent_runtime.turns.machine import RELEASE_AFTER_S
from tests.scripted_call import Plain, Told, call
from tests.test_conversation import LONG, Greeter, RampTTS, ramp, samples

FRAME = 0.02


def pauses(told: Told) -> list[float]:
    """How long nothing sounded between the first sample and the last, each time."""
    found = []
    end = told.played[0][0]
    for at, pcm in told.played:
        if at - end > 0.001:
            found.append(at - end)
        end = at + len(pcm) / 2 / OUTPUT_RATE
    return found


def over_agent(line: Line | list[Line], **more: Any) -> Told:
    """What is said while the agent says `LONG`, 17 words, three a second, from 0.2 s on."""
    lines = line if isinstance(line, list) else [line]
    return call(lines, {"*": "Yes?"}, **{"agent": Greeter, "until": 14.0, **more})


def went_on_as_if_nothing_was_said(told: Told) -> None:
    assert not told.of(InterruptionConfirmed)
    assert not told.of(TurnCommitted)
    assert not told.of(Stalled)
    assert told.said == [("assistant", LONG)]
    assert told.one(PlaybackFinished).position == pytest.approx(17 / 3, abs=0.01)


# Murmurs


@pytest.mark.parametrize("words", ["mm hmm", "uh huh", "right", "okay", "yeah", "I see", "um"])
@pytest.mark.parametrize("lasting", [0.25, 0.35, 0.6, 0.9])
def test_a_murmur_costs_half_a_second_at_most(words: str, lasting: float) -> None:
    told = over_agent(Line(2.0, words, lasting))
    went_on_as_if_nothing_was_said(told)
    assert sum(pauses(told)) <= 0.5
    assert told.of(UserInputTranscribed)  # it was heard, and understood


@pytest.mark.parametrize("finals", ["once", "never", "twice", "late"])
@pytest.mark.parametrize("every", [0.2, None])
def test_whatever_the_recogniser_makes_of_it(finals: Any, every: float | None) -> None:
    told = over_agent(
        Line(2.0, "mm hmm", 0.35), stt=lambda caller: ScriptedSTT(caller, interim_every=every, finals=finals)
    )
    went_on_as_if_nothing_was_said(told)
    silent = 0.35 + RELEASE_AFTER_S if every is None and finals in ("never", "late") else 0.5
    assert sum(pauses(told)) <= silent


def test_nothing_of_the_speech_is_lost_to_a_murmur() -> None:
    told = over_agent([Line(1.0, "mm hmm", 0.35), Line(3.0, "right", 0.3)], tts=RampTTS())
    assert len(samples(told.sound)) == len([ramp(n) for n in range(17 * (OUTPUT_RATE // 3))])
    went_on_as_if_nothing_was_said(told)


@pytest.mark.parametrize("at", [5.4, 5.6, 5.75, 5.85, 5.95])
def test_a_murmur_into_the_last_word_is_not_answered(at: float) -> None:
    told = over_agent(Line(at, "mm hmm", 0.35))
    assert [role for role, _ in told.said] == ["assistant"]
    assert not told.of(TurnCommitted)
    assert not told.of(Stalled)


def test_what_begins_like_a_murmur_interrupts_when_it_goes_on() -> None:
    told = over_agent(Line(2.0, "right but what about tomorrow", 1.5))
    assert told.one(InterruptionConfirmed).at == pytest.approx(2.4, abs=0.25)
    assert ("user", "right but what about tomorrow") in told.said


@pytest.mark.parametrize("words", ["honey can you get the door", "I'm on the phone"])
def test_words_to_somebody_else_interrupt_nobody(words: str) -> None:
    told = over_agent(Line(2.0, words, 1.2), stt=lambda caller: ScriptedSTT(caller, interim_every=None))
    went_on_as_if_nothing_was_said(told)


def test_a_murmur_before_the_reply_sounds_is_no_turn() -> None:
    told = call([Line(1.0, "what is open", 0.8), Line(2.35, "um", 0.3)], {"*": "The bakery."}, until=8.0)
    assert told.said == [("user", "what is open"), ("assistant", "The bakery.")]


class Asks(Plain):
    async def on_enter(self) -> None:
        self.session.say("Shall I go on?")


class Tells(Plain):
    async def on_enter(self) -> None:
        self.session.say("It is on its way.")


def test_the_same_word_answers_a_question_and_not_a_statement() -> None:
    lines = [Line(2.2, "okay", 0.4)]
    told = call(lines, {"*": "Good."}, agent=Asks, until=8.0)
    assert told.said == [("assistant", "Shall I go on?"), ("user", "okay"), ("assistant", "Good.")]
    told = call(lines, {"*": "Good."}, agent=Tells, until=8.0)
    assert told.said == [("assistant", "It is on its way.")]
    assert (told.one(TurnIgnored).transcript, told.one(TurnIgnored).kind) == ("okay", "backchannel")
    assert "okay" not in repr(told.session.current_agent.chat_ctx.items)


def test_who_says_it_twice_is_answered() -> None:
    told = call([Line(2.2, "okay", 0.4), Line(4.4, "okay", 0.4)], {"*": "Good."}, agent=Tells, until=9.0)
    assert told.said == [("assistant", "It is on its way."), ("user", "okay"), ("assistant", "Good.")]


def test_an_okay_long_after_the_agent_has_spoken_is_a_turn() -> None:
    told = call([Line(6.0, "okay", 0.4)], {"*": "Good."}, agent=Tells, until=9.0)
    assert told.said[1:] == [("user", "okay"), ("assistant", "Good.")]


# Orders


@pytest.mark.parametrize("words", ["no", "stop", "wait", "hold on", "no that is wrong", "okay stop", "uh wait"])
@pytest.mark.parametrize("given", [{}, {"min_words": 4}, {"min_duration": 3.0}])
def test_an_order_interrupts_with_its_first_words(words: str, given: dict[str, Any]) -> None:
    handling = {"turn_detection": "vad", "interruption": given}
    told = over_agent(Line(2.0, words, 0.2 * (len(words.split()) + 1)), turn_handling=handling)
    first = 2.2 if words.split()[0] in ("no", "stop", "wait", "hold") else 2.6
    assert told.one(InterruptionConfirmed).at <= first + 0.2 + FRAME
    answered = told.of(PlaybackStarted)[1].at
    assert told.sounding(told.one(InterruptionConfirmed).at, answered) == b""
    assert [text for role, text in told.said if role == "user"] == [words]
    assert told.said[-1] == ("assistant", "Yes?")
    assert told.said[0][1] in LONG
    assert told.said[0][1] != LONG


def test_three_orders_in_a_row() -> None:
    lines = [Line(2.0, "stop", 0.3), Line(4.5, "no", 0.3), Line(7.0, "wait", 0.3)]
    told = call(lines, {"*": LONG}, agent=Greeter, turn_handling={"turn_detection": "vad"}, until=18.0)
    assert len(told.of(InterruptionConfirmed)) == 3
    assert [text for role, text in told.said if role == "user"] == ["stop", "no", "wait"]
    assert told.said[-1] == ("assistant", LONG)


# Sounds without words


@pytest.mark.parametrize("at", [0.5, 1.333, 2.0, 3.007, 5.1])
@pytest.mark.parametrize("lasting", [0.05, 0.1, 0.3, 0.8, 2.0])
@pytest.mark.parametrize("reads", ["nothing", "no words", "a word it doubts"])
def test_after_a_cough_it_goes_on_from_the_very_sample(at: float, lasting: float, reads: str) -> None:
    line = Line(at, "huh", lasting, confidence=0.3) if reads == "a word it doubts" else Line(at, "", lasting)
    finals: Any = "never" if reads == "nothing" else "once"
    told = over_agent(line, tts=RampTTS(), stt=lambda caller: ScriptedSTT(caller, finals=finals))
    assert told.one(AgentFalseInterruption).at <= at + lasting + RELEASE_AFTER_S + FRAME
    if told.of(PlayoutPaused):
        (gap,) = pauses(told)
        began = told.one(PlayoutPaused).at
        assert began + gap <= at + lasting + RELEASE_AFTER_S + 2 * FRAME
    values, whole = samples(told.sound), [ramp(n) for n in range(17 * (OUTPUT_RATE // 3))]
    assert len(values) == len(whole)
    clear = [played == meant for played, meant in zip(values, whole, strict=True)]
    ducked = clear.count(False) / OUTPUT_RATE
    assert ducked <= (lasting if not told.of(PlayoutPaused) else 0.25) + 0.5
    assert all(0.19 * meant - 2 <= played <= meant + 1 for played, meant in zip(values, whole, strict=True))
    went_on_as_if_nothing_was_said(told)


def test_ten_coughs_cost_ten_pauses_and_nothing_else() -> None:
    told = over_agent([Line(0.6 + 0.9 * n, "", 0.2) for n in range(10)], tts=RampTTS(), until=20.0)
    assert len(samples(told.sound)) == 17 * (OUTPUT_RATE // 3)
    assert told.said == [("assistant", LONG)]
    assert all(pause <= 0.2 + RELEASE_AFTER_S + 2 * FRAME for pause in pauses(told))


# Echo


SPEECH = "Your order is on its way to you and it will be there in about twenty minutes from now."


class Courier(Plain):
    async def on_enter(self) -> None:
        self.session.say(SPEECH)


@pytest.mark.parametrize("delay", [0.3, 0.8])
def test_the_echo_of_its_own_words_does_not_interrupt_it(delay: float) -> None:
    """What the agent says between 0.2 and 3.5 s comes back."""
    line = Line(1.5 + delay, "is on its way to you", 2.0)
    told = call([line], {"*": "Yes?"}, agent=Courier, until=14.0)
    heard = [event for event in told.of(UserInputTranscribed) if event.is_final]
    assert [event.ignored for event in heard] == ["echo"]
    assert not told.of(TurnCommitted)
    assert told.said == [("assistant", SPEECH)]


def test_the_echo_of_its_last_words_is_no_turn() -> None:
    line = Line(6.8, "in about twenty minutes from now", 0.5)
    told = call([line], {"*": "Yes?"}, agent=Courier, until=14.0)
    assert told.said == [("assistant", SPEECH)]
    assert not told.of(TurnCommitted)
    assert not told.of(Stalled)


def test_other_words_are_no_echo() -> None:
    told = call([Line(2.0, "will it be there by five", 1.0)], {"*": "Yes."}, agent=Courier, until=14.0)
    assert ("user", "will it be there by five") in told.said


# Not listened to


def muted(mute: Any, lines: list[Line], **more: Any) -> Told:
    handling = {"turn_detection": "vad", "mute": mute}
    return call(lines, {"*": "Yes?"}, turn_handling=handling, **{"agent": Greeter, "until": 14.0, **more})


def test_until_the_first_reply_is_over_nobody_is_listened_to() -> None:
    told = muted("until_first_reply", [Line(2.0, "stop right there", 0.8), Line(8.0, "now you listen", 0.8)])
    assert told.said == [("assistant", LONG), ("user", "now you listen"), ("assistant", "Yes?")]
    assert told.of(UserInputTranscribed)[0].ignored == "muted"
    assert not told.of(AgentFalseInterruption)


def test_a_voice_that_begins_while_muted_is_not_heard_to_its_end() -> None:
    told = muted(["until_first_reply"], [Line(5.0, "this began too early", 2.0), Line(9.0, "now you listen", 0.8)])
    assert [text for role, text in told.said if role == "user"] == ["now you listen"]


def test_a_speech_that_was_interrupted_is_over_too() -> None:
    async def then(session: AgentSession[Any]) -> None:
        await clock.sleep_until(2.0)
        session.interrupt()

    told = muted(["until_first_reply"], [Line(3.0, "now you listen", 0.8)], then=then)
    assert told.said[1:] == [("user", "now you listen"), ("assistant", "Yes?")]


class Looks(Plain):
    @function_tool
    async def look(self) -> str:
        """Look."""
        await clock.sleep(3.0)
        return "seen"


def test_during_tools_nobody_is_listened_to() -> None:
    replies: dict[str, Any] = {"go on": Call("look"), "seen": "There it is.", "*": "Yes?"}
    lines = [Line(0.5, "go on", 0.6), Line(3.0, "hurry up please", 0.8), Line(7.5, "and now", 0.6)]
    told = muted("during_tools", lines, agent=Looks, llm=ScriptedLLM(replies))
    assert [text for _, text in told.said] == ["go on", "There it is.", "and now", "Yes?"]
    open_ears = call(lines[:2], llm=ScriptedLLM(replies), agent=Looks, until=12.0)
    assert "hurry up please" in [text for _, text in open_ears.said]


def test_a_function_decides_at_each_voice() -> None:
    asked: list[float] = []

    def function() -> bool:
        asked.append(clock.now())
        return clock.now() < 7.0

    told = muted(function, [Line(2.0, "stop right there", 0.8), Line(8.0, "now you listen", 0.8)])
    assert asked == [pytest.approx(2.0, abs=0.05), pytest.approx(8.0, abs=0.05)]
    assert [text for role, text in told.said if role == "user"] == ["now you listen"]


def test_a_function_that_raises_mutes_nobody_and_is_told_of() -> None:
    def function() -> bool:
        raise RuntimeError("no idea")

    told = muted(function, [Line(2.0, "stop right there", 0.8)])
    assert [text for role, text in told.said if role == "user"] == ["stop right there"]
    assert told.one(Error).source == "mute"
    assert "no idea" in told.one(Error).message


def test_any_of_several_mutes() -> None:
    told = muted(["during_tools", lambda: clock.now() < 7.0], [Line(2.0, "stop right there", 0.8)])
    assert told.said == [("assistant", LONG)]


@pytest.mark.parametrize("mute", ["always", ["until_first_reply", "never"], [7], [None]])
def test_a_mute_that_does_not_exist_is_named(mute: Any) -> None:
    with pytest.raises(UsageError, match="turn_handling mute has"):
        AgentSession(turn_handling={"mute": mute})


# Words over what may not be interrupted


class Firm(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You finish.", allow_interruptions=False)

    async def on_enter(self) -> None:
        self.session.say(LONG)


def test_words_over_a_speech_that_may_not_be_interrupted_are_the_next_turn_once() -> None:
    lines = [Line(1.0, "and this", 0.6), Line(3.0, "mm hmm", 0.3), Line(4.0, "and that", 0.6)]
    told = over_agent(lines, agent=Firm, turn_handling={"turn_detection": "vad"})
    assert told.said == [("assistant", LONG), ("user", "and this and that"), ("assistant", "Yes?")]
    assert told.one(TurnCommitted).at == pytest.approx(told.of(PlaybackFinished)[0].at, abs=FRAME)


def test_they_are_said_on_after_it() -> None:
    told = over_agent([Line(4.0, "and", 0.4), Line(5.7, "this too", 0.6)], agent=Firm)
    assert [text for role, text in told.said if role == "user"] == ["and this too"]


def test_they_are_not_lost_when_the_call_ends() -> None:
    told = over_agent([Line(1.0, "and this", 0.6)], agent=Firm, until=3.0)
    assert [role for role, _ in told.said] in (["assistant", "user"], ["user", "assistant"])
    assert ("user", "and this") in told.said


def test_typed_words_do_not_take_them_away() -> None:
    async def then(session: AgentSession[Any]) -> None:
        await clock.sleep_until(3.0)
        session.generate_reply(user_input="typed")

    told = over_agent([Line(1.0, "and this", 0.6)], agent=Firm, then=then)
    assert sorted(text for role, text in told.said if role == "user") == ["and this", "typed"]
