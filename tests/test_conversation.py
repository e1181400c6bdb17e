"""What is heard, what is remembered of it, and who has the floor: whole calls with scripted nodes, in virtual time."""

import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent_runtime import AgentSession, RunContext, clock, function_tool
from agent_runtime.audio.frame import FRAME_S, OUTPUT_RATE, AudioFrame, TimedWord
from agent_runtime.chat import FunctionCall, FunctionCallOutput
from agent_runtime.events import (
    AgentFalseInterruption,
    FirstToken,
    FunctionToolsExecuted,
    InterruptionConfirmed,
    InterruptionSuspected,
    LlmRequested,
    PlaybackFinished,
    PlaybackStarted,
    PlayoutPaused,
    SpeechCreated,
    Stalled,
    ToolEnded,
    ToolStarted,
    TurnCommitted,
    TurnReopened,
    UserStateChanged,
)
from agent_runtime.testing.scripted import Call, Line, ScriptedLLM, ScriptedTTS
from agent_runtime.tts import TTS
from tests.scripted_call import Plain, Told, call

LONG = "one two three four five six, seven eight nine ten, eleven twelve thirteen fourteen, fifteen sixteen seventeen."
WORDS_PER_S = 3.0


class Greeter(Plain):
    """Says `LONG` at once: 17 words, three a second, from 0.2 s on."""

    async def on_enter(self) -> None:
        self.session.say(LONG)


class RampTTS(TTS):
    """Sample n of a speech has a value that names n: positions can be read off the sound."""

    label = "ramp"
    word_times = True

    def __init__(self) -> None:
        self.made = 0
        self.running = 0

    @property
    def sample_rate(self) -> int:
        return OUTPUT_RATE

    async def synthesize(self, text: str) -> AsyncIterator[AudioFrame]:
        frame = int(FRAME_S * OUTPUT_RATE)
        words = text.split()
        each = OUTPUT_RATE // 3
        self.running += 1
        try:
            for first in range(0, len(words) * each, frame):
                count = min(frame, len(words) * each - first)
                pcm = struct.pack(f"<{count}h", *(ramp(self.made + i) for i in range(count)))
                self.made += count
                timed = tuple(
                    TimedWord(word, (i * each - first) / OUTPUT_RATE, ((i + 1) * each - first) / OUTPUT_RATE)
                    for i, word in enumerate(words)
                    if first <= i * each < first + count
                )
                await clock.sleep(0.001)
                yield AudioFrame(pcm, OUTPUT_RATE, words=timed)
        finally:
            self.running -= 1


def ramp(sample: int) -> int:
    return sample % 30_000 + 1_000


def samples(pcm: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(pcm) // 2}h", pcm))


# A turn


def test_a_turn_and_its_times() -> None:
    told = call([Line(1.0, "how are you?", 0.9)], {"how are you?": "Good day to you. How are you?"}, until=8.0)
    commit = told.one(TurnCommitted)
    assert commit.at == pytest.approx(1.9 + 0.5)
    assert (commit.turn, commit.transcript, commit.reason) == (1, "how are you?", "silence")
    assert commit.last_voiced == pytest.approx(1.9)
    assert commit.transcribed_at == pytest.approx(2.1)
    assert told.one(LlmRequested).at == pytest.approx(2.4)
    assert told.one(FirstToken).at == pytest.approx(2.5)
    # "Good day to you." is four tokens of 1/80 s; the phrase is known to end with the token after it.
    started = told.one(PlaybackStarted)
    assert 2.5 + 0.2 <= started.at <= 2.5 + 0.2 + 5 / 80
    assert told.played[0][0] == pytest.approx(started.at)
    finished = told.one(PlaybackFinished)
    assert finished.position == pytest.approx(7 / WORDS_PER_S)
    assert finished.at == pytest.approx(started.at + 7 / WORDS_PER_S, abs=0.05)
    assert not finished.interrupted
    assert told.said == [("user", "how are you?"), ("assistant", "Good day to you. How are you?")]


def test_the_order_of_events_in_a_turn() -> None:
    told = call([Line(1.0, "hello", 0.6)], {"hello": "Good day."}, until=5.0)
    order = [name for name in told.types if name not in ("user_input_transcribed", "phrase_ready")]
    assert order == [
        "session_started",
        "conversation_item_added",
        "agent_state_changed",
        "voice_started",
        "user_state_changed",
        "voice_stopped",
        "turn_predicted",
        "user_state_changed",
        "turn_committed",
        "speech_created",
        "agent_state_changed",
        "llm_requested",
        "first_token",
        "first_sample",
        "playback_started",
        "conversation_item_added",
        "agent_state_changed",
        "playback_finished",
        "agent_state_changed",
        "conversation_item_added",
        "close",
    ]
    assert told.types[-1] == "close"
    times = [event.at for event in told.events]
    assert times == sorted(times)


def test_the_states_do_not_flicker() -> None:
    told = call([Line(1.0, "hello", 0.6), Line(5.0, "and more", 0.9)], {"*": "Good day. To all of you."}, until=9.0)
    assert told.states == ["listening", "thinking", "speaking", "listening", "thinking", "speaking", "listening"]
    assert [event.new_state for event in told.of(UserStateChanged)] == ["speaking", "listening"] * 2


def test_an_interrupted_answer_is_not_thought_about_any_more() -> None:
    """The model is still writing when it is interrupted: speaking, then listening, and no thinking between."""
    long = " ".join(f"word{i}" for i in range(400)) + "."
    told = call([Line(1.0, "hello", 0.6), Line(4.0, "stop it", 0.6)], {"hello": long, "*": "Fine."}, until=9.0)
    assert told.states == ["listening", "thinking", "speaking", "listening", "thinking", "speaking", "listening"]


def test_the_user_is_away_after_fifteen_seconds_and_comes_back() -> None:
    told = call([Line(20.0, "hello", 0.6)], until=24.0)
    states = [(round(event.at, 1), event.new_state) for event in told.of(UserStateChanged)]
    assert states == [(15.0, "away"), (20.0, "speaking"), (20.9, "listening")]
    assert [event.new_state for event in call(until=20.0, user_away_timeout=None).of(UserStateChanged)] == []


# Interruptions


class Counter(Plain):
    """The same without commas: the scripted voice makes no pauses, and without word times pauses are reckoned with."""

    async def on_enter(self) -> None:
        self.session.say(LONG.replace(",", ""))


def interrupted_at(seconds: float, *, word_times: bool, by: str) -> Told:
    async def then(session: AgentSession[Any]) -> None:
        if by == "application":
            await clock.sleep_until(0.2 + seconds)
            session.interrupt()

    lines = [Line(0.2 + seconds, "stop right there", 0.9)] if by == "user" else []
    agent = Greeter if word_times else Counter
    return call(lines, {"*": "Yes."}, agent=agent, tts=ScriptedTTS(word_times=word_times), then=then, until=9.0)


@pytest.mark.parametrize("by", ["user", "application"])
@pytest.mark.parametrize("word_times", [True, False])
def test_history_is_what_was_heard(by: str, word_times: bool) -> None:
    words = LONG.split() if word_times else LONG.replace(",", "").split()
    for tenth in range(1, 50):
        told = interrupted_at(tenth / 10 + 0.013, word_times=word_times, by=by)
        finished = told.of(PlaybackFinished)[0]
        assert finished.interrupted
        heard = round(finished.position * OUTPUT_RATE)
        until = told.of(InterruptionConfirmed)[0].at
        assert len(told.sounding(0.0, until)) // 2 == heard  # the position is what left the sink
        truth = sum((i + 0.5) / WORDS_PER_S <= finished.position for i in range(len(words)))
        remembered = next((text for role, text in told.said if role == "assistant"), "").split()
        assert remembered == words[: len(remembered)]
        assert abs(len(remembered) - truth) <= (0 if word_times else 1), f"at {finished.position}"
        made = (finished.heard + " " + finished.cut).split()
        assert made == words[: len(made)]


def test_nothing_of_the_old_speech_sounds_after_an_interruption() -> None:
    told = call([Line(2.0, "stop now", 0.8)], {"*": "Yes of course."}, agent=Greeter, tts=RampTTS(), until=8.0)
    confirmed = told.one(InterruptionConfirmed)
    new = told.of(PlaybackStarted)[1].at
    assert told.sounding(confirmed.at, new) == b""
    answer = samples(told.sounding(new, 9.0))
    first = answer[0] - ramp(0)  # where in the ramp the answer begins; nothing of the old speech stands before it
    assert answer == [ramp(first + n) for n in range(4 * OUTPUT_RATE // 3 - OUTPUT_RATE // 3)]


def test_from_voice_to_silence_in_a_quarter_of_a_second() -> None:
    told = call([Line(2.0, "stop now", 0.8)], {"*": "Yes."}, agent=Greeter, until=6.0)
    assert told.one(InterruptionSuspected).at <= 2.0 + 0.06
    assert told.sounding(2.25, told.of(PlaybackStarted)[1].at) == b""


def test_a_false_alarm_goes_on_from_the_very_sample() -> None:
    told = call([Line(2.0, "", 0.4)], agent=Greeter, tts=RampTTS(), until=9.0)
    assert told.one(AgentFalseInterruption).resumed
    assert told.one(AgentFalseInterruption).at <= 2.4 + 0.5
    values = samples(told.sound)
    expected = [ramp(n) for n in range(17 * (OUTPUT_RATE // 3))]
    assert len(values) == len(expected)  # nothing lost, nothing twice
    duck, resumed = 2.0, told.one(AgentFalseInterruption).position
    before = round((duck - told.one(PlaybackStarted).at - 0.02) * OUTPUT_RATE)
    after = round((resumed + FRAME_S) * OUTPUT_RATE)
    assert values[:before] == expected[:before]
    assert values[after:] == expected[after:]
    for played, meant in zip(values[before:after], expected[before:after], strict=True):
        assert 0.19 * meant - 2 <= played <= meant + 1
    assert told.said == [("assistant", LONG)]


def test_a_cough_over_the_seam_of_two_utterances() -> None:
    """What is said before and after a tool are two utterances; a cough between them costs half a second, not three."""

    class Looks(Plain):
        @function_tool
        async def look(self) -> str:
            """Look."""
            return "seen"

    replies = {"go on": ["Let me look.", Call("look")], "seen": "There it is at last, I see it."}
    # The preamble ends near 2.83 s.
    for at in (2.6, 2.7, 2.75, 2.8, 2.82, 2.84):
        told = call([Line(0.5, "go on", 0.6), Line(at, "", 0.3)], replies, agent=Looks, until=9.0)
        assert told.said[-1] == ("assistant", "There it is at last, I see it."), f"cough at {at}"
        assert not told.of(Stalled)
        assert told.of(PlaybackFinished)[-1].at < 2.9 + 8 / 3 + 1.2


def test_a_cough_while_the_reply_is_pending() -> None:
    told = call([Line(0.5, "hello there", 0.6), Line(1.65, "", 0.2)], {"*": "Good day."}, until=6.0)
    assert told.one(TurnCommitted).at == pytest.approx(1.6)
    assert told.one(PlayoutPaused).at <= 1.7
    assert told.one(AgentFalseInterruption).reason == "no words"
    assert told.said == [("user", "hello there"), ("assistant", "Good day.")]
    assert told.one(PlaybackStarted).at < 2.5


def test_the_user_goes_on_after_the_commit() -> None:
    replies = {"Order tea": "With milk?", "Order tea with milk": "Tea it is."}
    told = call([Line(0.5, "Order tea", 0.6), Line(1.9, "with milk", 0.8)], replies, until=7.0)
    assert told.one(TurnReopened).turn == 1
    assert [event.turn for event in told.of(TurnCommitted)] == [1, 1]
    assert told.said == [("user", "Order tea with milk"), ("assistant", "Tea it is.")]
    assert [event.speech_id for event in told.of(PlaybackStarted)] == ["speech_2"]


@pytest.mark.parametrize("what", ["interrupt", "typed"])
def test_a_turn_that_the_application_made_final_cannot_be_reopened(what: str) -> None:
    async def then(session: AgentSession[Any]) -> None:
        await clock.sleep_until(1.85)  # between the voice and its first word
        if what == "interrupt":
            session.interrupt()
        else:
            session.generate_reply(user_input="typed")

    told = call([Line(0.5, "I would", 0.6), Line(1.68, "like tea", 0.8)], {"*": "Yes."}, then=then, until=7.0)
    users = " ".join(text for role, text in told.said if role == "user" and text != "typed")
    assert users == "I would like tea"


def test_what_was_heard_cannot_be_reopened() -> None:
    told = call(
        [Line(0.5, "Order tea", 0.6), Line(2.2, "with milk", 0.8)], {"*": "What do you mean by that?"}, until=9.0
    )
    assert not told.of(TurnReopened)
    assert [text for role, text in told.said if role == "user"] == ["Order tea", "with milk"]


def test_three_interruptions_in_a_row() -> None:
    lines = [Line(1.0, "first stop", 0.7), Line(4.0, "second stop", 0.7), Line(7.0, "third stop", 0.7)]
    told = call(lines, {"*": LONG}, agent=Greeter, until=18.0)
    assert len(told.of(InterruptionConfirmed)) == 3
    assert [text for role, text in told.said if role == "user"] == ["first stop", "second stop", "third stop"]
    assert told.said[-1] == ("assistant", LONG)
    interrupted = [text for role, text in told.said if role == "assistant"][:-1]
    assert all(LONG.startswith(text) and text for text in interrupted)


def test_a_speech_that_may_not_be_interrupted() -> None:
    class Firm(Plain):
        async def on_enter(self) -> None:
            self.session.say(LONG, allow_interruptions=False)

    told = call([Line(1.0, "let me speak", 0.9)], {"let me speak": "Go ahead."}, agent=Firm, until=12.0)
    assert not told.of(InterruptionConfirmed)
    assert told.said == [("assistant", LONG), ("user", "let me speak"), ("assistant", "Go ahead.")]
    assert told.of(PlaybackFinished)[0].position == pytest.approx(17 / 3, abs=0.01)


def test_a_firm_speech_waits_for_nobody_but_is_heard_whole() -> None:
    async def then(session: AgentSession[Any]) -> None:
        await clock.sleep_until(1.2)
        session.say(LONG, allow_interruptions=False)

    told = call([Line(1.0, "what is going on here", 1.5)], {"*": "Nothing."}, then=then, until=14.0)
    assert told.of(PlaybackFinished)[0].heard == LONG
    assert ("user", "what is going on here") in told.said
    assert told.said[-1] == ("assistant", "Nothing.")


def test_a_voice_without_words_is_asked_about() -> None:
    told = call([Line(1.0, "", 1.0)], until=9.0)
    assert told.one(Stalled).what == "turn"
    assert told.said == [("assistant", "Sorry, I did not catch that. Could you say it again?")]
    assert told.one(PlaybackStarted).at <= 2.0 + 3.0 + 0.25


def test_a_reply_that_comes_to_nothing_under_a_voice_does_not_make_the_agent_mute() -> None:
    """The reply is held back by a voice, and the model then says nothing at all."""
    told = call(
        [Line(0.5, "hello there", 0.6), Line(1.62, "", 0.5), Line(7.0, "again please", 0.6)],
        {"hello there": "", "*": "I am here."},
        until=12.0,
    )
    assert ("assistant", "I am here.") in told.said
    assert told.of(PlaybackStarted)[-1].at < 9.0


def test_a_queued_speech_that_is_interrupted_leaves_the_one_that_sounds() -> None:
    async def then(session: AgentSession[Any]) -> None:
        session.say("One two three four five six.")
        second = session.say("Never heard at all.")
        await clock.sleep_until(1.0)
        second.interrupt()
        await clock.sleep_until(1.1)
        assert session.agent_state == "speaking"

    told = call([Line(1.3, "", 0.3)], then=then, until=6.0)
    assert told.said == [("assistant", "One two three four five six.")]
    assert told.of(InterruptionSuspected)  # the machine knows that somebody is speaking: it ducks first
    assert told.of(InterruptionSuspected)[0].at < told.of(PlayoutPaused)[0].at


def test_a_speech_interrupted_before_its_first_step() -> None:
    async def then(session: AgentSession[Any]) -> None:
        handle = session.say("Never heard.")
        handle.interrupt()
        await handle
        assert handle.interrupted
        await session.wait_for_idle()
        await session.say("Heard.")

    told = call(then=then, until=3.0)
    assert told.said == [("assistant", "Heard.")]


def test_the_engine_stops_with_the_speech() -> None:
    """It waits for room in the playout when it is cut: its generator is closed there and then."""
    ramps = RampTTS()
    running: list[int] = []

    async def then(session: AgentSession[Any]) -> None:
        handle = session.say(" ".join(f"word{i}" for i in range(200)) + ".")
        await clock.sleep_until(2.0)
        running.append(ramps.running)
        handle.interrupt()
        await handle
        running.append(ramps.running)

    call(tts=ramps, then=then, until=3.0)
    assert running == [1, 0]


# Tools


class Slow(Plain):
    @function_tool
    async def order(self, what: str) -> str:
        """Order something."""
        await clock.sleep(3.0)
        return f"ordered {what}"


def test_a_tool_in_flight_is_kept_and_told_later() -> None:
    replies = {
        "order tea": ["I will order that for you now.", Call("order", '{"what":"tea"}')],
        "stop talking": "Fine.",
        "ordered tea": "Your tea is ordered.",
    }
    told = call([Line(0.5, "order tea", 0.6), Line(2.2, "stop talking", 0.7)], replies, agent=Slow, until=14.0)
    assert told.one(InterruptionConfirmed).at < told.one(ToolEnded).at
    calls = [item for item in told.history.items if isinstance(item, FunctionCall)]
    outputs = [item for item in told.history.items if isinstance(item, FunctionCallOutput)]
    assert [(item.call_id, item.output, item.is_error) for item in outputs] == [
        (calls[0].call_id, "ordered tea", False)
    ]
    assert len(calls) == 1
    assert len(told.of(FunctionToolsExecuted)) == 1
    assert told.said[-1] == ("assistant", "Your tea is ordered.")


def test_a_model_asked_meanwhile_knows_that_the_tool_still_runs() -> None:
    model = ScriptedLLM(
        {
            "order tea": ["I will order that for you now.", Call("order", '{"what":"tea"}')],
            "*": "Fine.",
        }
    )
    call([Line(0.5, "order tea", 0.6), Line(2.2, "stop talking", 0.7)], llm=model, agent=Slow, until=8.0)
    asked = model.requests[1].items
    (output,) = [item for item in asked if isinstance(item, FunctionCallOutput)]
    assert "still running" in output.output


def test_the_follow_up_is_asked_for_while_the_preamble_plays() -> None:
    class Quick(Plain):
        @function_tool
        async def look(self) -> str:
            """Look."""
            await clock.sleep(0.1)
            return "seen"

    replies = {"go on": ["Let me have a good long look at all of it.", Call("look")], "seen": "There."}
    told = call([Line(0.5, "go on", 0.6)], replies, agent=Quick, until=9.0)
    second = told.of(LlmRequested)[1]
    assert second.at == pytest.approx(told.one(ToolEnded).at)
    assert second.at < told.of(PlaybackFinished)[0].at - 2.0
    # and it follows without a gap
    assert told.of(PlaybackStarted)[1].at == pytest.approx(told.of(PlaybackFinished)[0].at, abs=0.021)


def test_a_tool_may_wait_for_what_was_said_before_it() -> None:
    waited: list[float] = []

    class Waits(Plain):
        @function_tool
        async def look(self, context: RunContext) -> str:
            """Look."""
            await context.wait_for_playout()
            waited.append(clock.now())
            return "seen"

    replies = {"go on": ["Let me have a look.", Call("look")], "seen": "There."}
    told = call([Line(0.5, "go on", 0.6)], replies, agent=Waits, until=9.0)
    assert waited == [pytest.approx(told.of(PlaybackFinished)[0].at, abs=1e-6)]


def test_a_tool_makes_the_turn_final() -> None:
    told = call(
        [Line(0.5, "order tea", 0.6), Line(2.1, "no wait", 0.7)],
        {"order tea": [Call("order", '{"what":"tea"}')], "*": "Yes."},
        agent=Slow,
        until=12.0,
    )
    assert told.one(ToolStarted).at < 2.1
    assert not told.of(TurnReopened)
    assert [text for role, text in told.said if role == "user"] == ["order tea", "no wait"]


def test_two_turns_waiting_for_their_replies_are_both_remembered() -> None:
    class Firm(Plain):
        async def on_enter(self) -> None:
            self.session.say(LONG, allow_interruptions=False)

    async def then(session: AgentSession[Any]) -> None:
        await clock.sleep_until(3.0)
        session.generate_reply(user_input="typed one")
        session.generate_reply(user_input="typed two")

    told = call([Line(1.0, "spoken one", 0.6)], {"*": "Yes."}, agent=Firm, then=then, until=14.0)
    users = [text for role, text in told.said if role == "user"]
    assert sorted(users) == ["spoken one", "typed one", "typed two"]


# The application ends the turn

MANUAL = {"turn_detection": "manual"}


def test_manual_mode() -> None:
    got: list[str] = []

    async def then(session: AgentSession[Any]) -> None:
        await clock.sleep_until(5.0)
        got.append(await session.commit_user_turn())

    told = call([Line(1.0, "hello there", 0.6)], {"*": "Yes."}, then=then, turn_handling=MANUAL, until=8.0)
    assert got == ["hello there"]
    assert told.one(TurnCommitted).at == pytest.approx(5.0)
    assert told.said == [("user", "hello there"), ("assistant", "Yes.")]


def test_a_commit_of_nothing_is_answered_and_changes_nothing() -> None:
    got: list[str] = []

    async def then(session: AgentSession[Any]) -> None:
        got.append(await session.commit_user_turn(skip_reply=True))

    told = call([Line(1.0, "hello there", 0.6)], {"*": "Yes."}, then=then, until=6.0)
    assert got == [""]
    assert told.said == [("user", "hello there"), ("assistant", "Yes.")]  # the reply to the next turn is not skipped


def test_a_commit_of_a_voice_without_words_is_answered() -> None:
    got: list[Any] = []

    async def then(session: AgentSession[Any]) -> None:
        await clock.sleep_until(2.5)
        transcript = await session.commit_user_turn(transcript_timeout=1.0)
        got.append((clock.now(), transcript))

    call([Line(1.0, "", 1.0)], then=then, turn_handling=MANUAL, until=9.0)
    assert got == [(pytest.approx(3.5), "")]


def test_a_commit_without_a_reply() -> None:
    async def then(session: AgentSession[Any]) -> None:
        await clock.sleep_until(3.0)
        await session.commit_user_turn(skip_reply=True)
        await session.wait_for_idle()

    told = call([Line(1.0, "note this", 0.6)], then=then, turn_handling=MANUAL, until=6.0)
    assert told.said == [("user", "note this")]
    assert not told.of(SpeechCreated)


def test_a_cleared_turn_is_gone() -> None:
    async def then(session: AgentSession[Any]) -> None:
        await clock.sleep_until(1.7)  # the voice is over, the final not there
        session.clear_user_turn()

    told = call([Line(1.0, "forget this", 0.6), Line(5.0, "keep this", 0.6)], {"*": "Yes."}, then=then, until=9.0)
    assert told.said == [("user", "keep this"), ("assistant", "Yes.")]


def test_in_manual_mode_a_pause_of_the_user_silences_nobody() -> None:
    async def then(session: AgentSession[Any]) -> None:
        await clock.sleep_until(3.0)
        await session.wait_for_idle()
        await session.say("Still there?")

    told = call([Line(1.0, "hello there", 0.6)], then=then, turn_handling=MANUAL, until=6.0)
    assert ("assistant", "Still there?") in told.said
    assert ("user", "hello there") in told.said  # nothing that was said is lost when the call ends


def test_the_same_call_twice_tells_the_same() -> None:
    def once() -> list[str]:
        lines = [Line(1.0, "first stop", 0.7), Line(2.5, "", 0.3), Line(4.0, "second", 0.7)]
        return [repr(event) for event in call(lines, {"*": LONG}, agent=Greeter, until=12.0).events]

    assert once() == once()
