"""The queue of speeches: order, priority, no gap between them, and what ends one of them or all."""

import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent_runtime import Agent, AgentSession, RunContext, clock, function_tool
from agent_runtime.audio.frame import OUTPUT_RATE, AudioFrame
from agent_runtime.chat import ChatContext, ChatMessage, FunctionCallOutput
from agent_runtime.errors import UsageError
from agent_runtime.events import (
    Error,
    InterruptionConfirmed,
    LlmRequested,
    PlaybackFinished,
    PlaybackStarted,
    Stalled,
    ToolEnded,
    ToolStarted,
    TurnCommitted,
    TurnReopened,
)
from agent_runtime.reply import HOOK_STALL_S
from agent_runtime.session import APOLOGY
from agent_runtime.speech import SpeechHandle
from agent_runtime.testing.scripted import Call, Line, ScriptedLLM, ScriptedTTS
from agent_runtime.tool_runs import TOOL_STALL_S
from tests.scripted_call import Plain, Told, call
from tests.test_conversation import LONG, Greeter, RampTTS, samples

LOW, NORMAL, HIGH = (
    SpeechHandle.SPEECH_PRIORITY_LOW,
    SpeechHandle.SPEECH_PRIORITY_NORMAL,
    SpeechHandle.SPEECH_PRIORITY_HIGH,
)
HELLO = [Line(0.5, "hello", 0.6)]


def texts(told: Told) -> list[str]:
    return [text for _, text in told.said]


class Telling(ScriptedTTS):
    """Each sample of "three" is 3000."""

    async def synthesize(self, text: str) -> AsyncIterator[AudioFrame]:
        values = [1000 * (NUMBERS.index(word.strip(".")) + 1) for word in text.split()]
        pcm = b"".join(struct.pack("<h", value) * (OUTPUT_RATE // 3) for value in values)
        first = 0
        async for frame in super().synthesize(text):
            count = len(frame.data)
            yield AudioFrame(pcm[first : first + count], OUTPUT_RATE, words=frame.words)
            first += count


NUMBERS = "one two three four five six seven eight nine".split()


# In order, and without a gap


def test_between_queued_speeches_not_a_sample_is_missing() -> None:
    async def then(session: AgentSession[Any]) -> None:
        for text in ("one two three.", "four five six.", "seven.", "eight nine."):
            session.say(text)

    told = call(tts=Telling(), then=then, until=6.0)
    assert texts(told) == ["one two three.", "four five six.", "seven.", "eight nine."]
    assert samples(told.sound) == [1000 * number for number in range(1, 10) for _ in range(OUTPUT_RATE // 3)]
    first = told.played[0][0]
    assert sum(len(pcm) // 2 for _, pcm in told.played) / OUTPUT_RATE == pytest.approx(3.0)
    last, pcm = told.played[-1]
    assert last + len(pcm) / 2 / OUTPUT_RATE - first == pytest.approx(3.0, abs=1e-6)  # and it took no longer


def test_the_next_one_is_synthesised_while_the_first_plays() -> None:
    voice = ScriptedTTS(ttfb=0.8)

    async def then(session: AgentSession[Any]) -> None:
        session.say("one two three four five six.")
        session.say("seven eight nine.")

    told = call(tts=voice, then=then, until=6.0)
    first, second = told.of(PlaybackStarted)
    assert second.at == pytest.approx(first.at + 2.0, abs=0.021)


def test_a_reply_behind_a_speech_is_asked_for_when_its_turn_comes() -> None:
    """It is to know what was said before it."""
    model = ScriptedLLM({"*": "Then this."})

    async def then(session: AgentSession[Any]) -> None:
        session.say("First this.")
        session.generate_reply(user_input="typed")

    told = call(llm=model, then=then, until=6.0)
    assert texts(told) == ["typed", "First this.", "Then this."] or texts(told)[-2:] == ["First this.", "Then this."]
    assert told.one(LlmRequested).at >= told.of(PlaybackFinished)[0].at - 1e-9
    asked = [item.text_content for item in model.requests[0].items if isinstance(item, ChatMessage)]
    assert "First this." in asked


# Priority


def test_what_is_more_urgent_is_said_first() -> None:
    async def then(session: AgentSession[Any]) -> None:
        session.say("now sounding.")
        await clock.sleep_until(0.5)
        session.say("low one.", priority=LOW)
        session.say("normal one.")
        session.say("low two.", priority=LOW)
        session.say("high one.", priority=HIGH)
        session.say("normal two.")
        session.say("high two.", priority=HIGH)

    told = call(then=then, until=9.0)
    assert texts(told) == [
        "now sounding.", "high one.", "high two.", "normal one.", "normal two.", "low one.", "low two."
    ]  # fmt: skip
    assert all(not event.interrupted for event in told.of(PlaybackFinished))


def test_it_does_not_cut_what_sounds_nor_lose_what_it_passes() -> None:
    async def then(session: AgentSession[Any]) -> None:
        session.say(LONG, priority=LOW)
        session.say("two.", priority=LOW)
        await clock.sleep_until(2.0)
        session.say("urgent.", priority=HIGH)

    told = call(tts=RampTTS(), then=then, until=9.0)
    assert texts(told) == [LONG, "urgent.", "two."]
    assert len(samples(told.sound)) == 19 * (OUTPUT_RATE // 3)


def test_an_urgent_reply_goes_before_what_waits() -> None:
    async def then(session: AgentSession[Any]) -> None:
        session.say("now sounding.")
        session.say("later.")
        session.generate_reply(instructions="Warn them.", priority=HIGH)

    told = call(replies={"*": "Mind the step."}, then=then, until=6.0)
    assert texts(told) == ["now sounding.", "Mind the step.", "later."]


# Ending one, or all


@pytest.mark.parametrize("which", [0, 1, 2])
def test_one_is_cancelled(which: int) -> None:
    said = ["one two three.", "four five six.", "seven eight nine."]
    handles: list[SpeechHandle] = []

    async def then(session: AgentSession[Any]) -> None:
        handles.extend(session.say(text) for text in said)
        await clock.sleep_until(0.5)
        handles[which].interrupt()
        await session.wait_for_idle()
        assert [handle.interrupted for handle in handles] == [index == which for index in range(3)]
        assert all(handle.done() for handle in handles)

    told = call(then=then, until=6.0)
    whole = [text for index, text in enumerate(said) if index != which]
    assert [text for text in texts(told) if text in said] == whole
    assert [handle.chat_items != [] for handle in handles] == [index != which or which == 0 for index in range(3)]


def test_all_are_cancelled() -> None:
    async def then(session: AgentSession[Any]) -> None:
        handles = [session.say(text) for text in ("one two three.", "four five six.", "seven eight nine.")]
        await clock.sleep_until(0.9)
        await session.interrupt()
        assert all(handle.interrupted for handle in handles)
        assert session.current_speech is None
        await session.say("Anew.")

    told = call(then=then, until=6.0)
    assert texts(told)[-1] == "Anew."
    assert "four" not in " ".join(texts(told))
    assert told.sounding(0.9 + 1e-3, told.of(PlaybackStarted)[1].at) == b""


def test_what_may_not_be_interrupted_is_left_in_the_queue() -> None:
    async def then(session: AgentSession[Any]) -> None:
        session.say("one two three.")
        firm = session.say("four five six.", allow_interruptions=False)
        session.say("seven eight nine.")
        await clock.sleep_until(0.9)
        await session.interrupt()
        with pytest.raises(UsageError, match="may not be interrupted"):
            firm.interrupt()
        await firm
        assert not firm.interrupted

    told = call(then=then, until=6.0)
    assert texts(told)[-1] == "four five six."
    assert "seven" not in " ".join(texts(told))


def test_the_user_ends_all_that_waits() -> None:
    async def then(session: AgentSession[Any]) -> None:
        session.say("one two three four five six.")
        session.say("never heard.")
        session.generate_reply(instructions="Never asked.")

    told = call([Line(1.0, "stop that now", 0.6)], {"*": "Yes."}, then=then, until=6.0)
    assert texts(told)[1:] == ["stop that now", "Yes."]
    assert len(told.of(LlmRequested)) == 1


# The agent's own follow-up, and the user


@pytest.mark.parametrize("offset", [-0.1, -0.02, 0.0, 0.01, 0.05, 0.15, 0.3])
def test_a_follow_up_in_the_moment_in_which_the_user_starts(offset: float) -> None:
    """Whoever was first: both are in the history once, what was not heard is not, and the user is answered."""

    async def then(session: AgentSession[Any]) -> None:
        await clock.sleep_until(2.0 + offset)
        session.say("One more thing to tell you.")

    told = call([Line(2.0, "tell me the time", 0.9)], {"*": "Noon."}, then=then, until=9.0)
    assert texts(told).count("tell me the time") == 1
    assert texts(told)[-1] == "Noon."
    if told.of(PlaybackStarted)[0].speech_id == "speech_1":
        assert told.of(PlaybackFinished)[0].heard in "One more thing to tell you."


@pytest.mark.parametrize("at", [1.6, 1.8, 2.0, 2.1, 2.2, 2.3])
def test_the_reply_ends_while_an_interruption_is_pending(at: float) -> None:
    """The speech ends at about 2.2 s; the voice begins before it, and its words come after."""

    async def then(session: AgentSession[Any]) -> None:
        session.say("one two three four five six.")

    told = call([Line(at, "and what then", 0.8)], {"*": "Nothing."}, then=then, until=8.0)
    assert [text for role, text in told.said if role == "user"] == ["and what then"]
    assert texts(told)[-1] == "Nothing."
    assert told.one(TurnCommitted).at <= at + 0.8 + 3.0
    first = told.of(PlaybackFinished)[0]
    assert ("assistant", first.heard) in told.said or not first.heard


@pytest.mark.parametrize("tenth", range(1, 12))
def test_the_user_goes_on_at_every_moment_after_the_commit(tenth: int) -> None:
    """Before the first sample the halves are one turn; after it they are two. Not a word is lost or told twice."""
    replies = {"Order tea": "With or without milk?", "Order tea and milk too": "Tea with milk it is.", "*": "Yes."}
    lines = [Line(0.5, "Order tea", 0.6), Line(1.6 + tenth / 10, "and milk too", 0.6)]
    told = call(lines, replies, turn_handling={"turn_detection": "vad"}, until=9.0)
    users = [text for role, text in told.said if role == "user"]
    assert " ".join(users) == "Order tea and milk too"
    assert len(users) == (1 if told.of(TurnReopened) else 2)
    if told.of(TurnReopened):
        assert "With" not in " ".join(texts(told)[:-1])
        assert "With" not in repr([event.heard for event in told.of(PlaybackFinished)][:-1])
    assert texts(told)[-1] in ("Tea with milk it is.", "Yes.")


# The caller hangs up


@pytest.mark.parametrize("second", range(9))
def test_the_call_ends_at_every_tenth_of_a_second(second: int) -> None:
    class Looks(Plain):
        @function_tool
        async def look(self) -> str:
            """Look."""
            await clock.sleep(0.5)
            return "seen"

    replies = {"go on": ["Let me have a look.", Call("look")], "seen": "There it is at last.", "*": "Yes."}
    lines = [Line(0.5, "go on", 0.6), Line(2.4, "", 0.3), Line(5.0, "stop now", 0.7)]
    for tenth in range(10):
        until = second + tenth / 10 + 0.013
        told = call(lines, replies, agent=Looks, until=until)
        assert told.types[-1] == "close"
        assert len(told.of(ToolStarted)) == len(told.of(ToolEnded)), until
        outputs = [item for item in told.history.items if isinstance(item, FunctionCallOutput)]
        assert len(outputs) == len(told.of(ToolStarted)), until
        heard = " ".join(event.heard for event in told.of(PlaybackFinished)).split()
        assert " ".join(text for role, text in told.said if role == "assistant").split() == heard, until
        users = [text for role, text in told.said if role == "user"]
        assert "go on stop now".startswith(" ".join(users)), until
        assert bool(users) == (until > 0.7), until  # its first interim comes 0.2 s after its onset


# Tools under interruption


class Pays(Plain):
    def __init__(self, *, disallow: bool = True, after: float = 0.0) -> None:
        super().__init__()
        self.disallow = disallow
        self.after = after
        self.paid = 0

    @function_tool
    async def pay(self, context: RunContext) -> str:
        """Pay."""
        if self.disallow:
            await clock.sleep(self.after)
            context.disallow_interruptions()
        await clock.sleep(2.0)
        self.paid += 1
        return "paid"


PAYS: dict[str, Any] = {
    "pay": ["I am paying it for you now, one moment.", Call("pay")],
    "paid": "It is paid.",
    "*": "Yes?",
}


@pytest.mark.parametrize("at", [1.9, 2.4, 3.0, 4.0, 5.0])
def test_a_reply_whose_tool_disallows_interruptions_is_heard_to_its_end(at: float) -> None:
    lines = [Line(0.5, "pay", 0.4), Line(at, "stop right there", 0.7)]
    told = call(lines, PAYS, agent=Pays, turn_handling={"turn_detection": "vad"}, until=14.0)
    assert not [event for event in told.of(PlaybackFinished) if event.interrupted]
    assert texts(told) == [
        "pay", "I am paying it for you now, one moment.", "It is paid.", "stop right there", "Yes?"
    ]  # fmt: skip
    assert not told.of(InterruptionConfirmed)


@pytest.mark.parametrize("at", [2.45, 2.6, 3.0, 4.0, 5.0])
def test_also_where_it_does_so_while_the_words_before_it_sound(at: float) -> None:
    """The tool begins at 1.6 s, the sound at 1.8 s, and at 2.4 s it is not to be interrupted any more."""
    lines = [Line(0.5, "pay", 0.4), Line(at, "stop right there", 0.7)]
    told = call(lines, PAYS, agent=lambda: Pays(after=0.8), turn_handling={"turn_detection": "vad"}, until=14.0)
    assert not [event for event in told.of(PlaybackFinished) if event.interrupted]
    assert texts(told) == [
        "pay", "I am paying it for you now, one moment.", "It is paid.", "stop right there", "Yes?"
    ]  # fmt: skip


def test_a_voice_that_was_on_already_interrupts_it_no_more() -> None:
    lines = [Line(0.5, "pay", 0.4), Line(2.2, "stop right there", 0.7)]
    replies = {**PAYS, "paid": "It is paid."}
    told = call(lines, replies, agent=lambda: Pays(after=0.75), turn_handling={"turn_detection": "vad"}, until=14.0)
    assert not [event for event in told.of(PlaybackFinished) if event.interrupted]
    assert texts(told)[-1] == "Yes?"
    assert texts(told).count("stop right there") == 1


@pytest.mark.parametrize("at", [1.7, 1.9, 2.4, 3.0, 4.0, 5.0])
def test_a_tool_that_has_started_has_one_outcome_and_it_is_told(at: float) -> None:
    lines = [Line(0.5, "pay", 0.4), Line(at, "stop right there", 0.7)]
    agents: list[Pays] = []

    def agent() -> Agent:
        agents.append(Pays(disallow=False))
        return agents[0]

    model = ScriptedLLM(PAYS)
    told = call(lines, llm=model, agent=agent, turn_handling={"turn_detection": "vad"}, until=16.0)
    assert agents[0].paid == 1
    assert len(told.of(ToolStarted)) == len(told.of(ToolEnded)) == 1
    outputs = [item.output for item in told.history.items if isinstance(item, FunctionCallOutput)]
    assert outputs == ["paid"]
    assert outputs[0] in [getattr(item, "output", "") for item in model.requests[-1].items]  # the model was told of it
    assert texts(told).count("stop right there") == 1


# What is slow, empty or mute is told of


def test_a_slow_tool_is_told_of_and_waited_for() -> None:
    class Slow(Plain):
        @function_tool
        async def look(self) -> str:
            """Look."""
            await clock.sleep(TOOL_STALL_S + 2.0)
            return "seen"

    told = call(HELLO, {"hello": Call("look"), "seen": "There."}, agent=Slow, until=24.0, user_away_timeout=None)
    stalled = told.one(Stalled)
    assert (stalled.what, stalled.after) == ("tool", TOOL_STALL_S)
    assert stalled.at == pytest.approx(told.one(ToolStarted).at + TOOL_STALL_S)
    assert texts(told)[-1] == "There."


def test_a_slow_hook_is_told_of_and_waited_for() -> None:
    class Slow(Plain):
        async def on_user_turn_completed(self, turn_ctx: ChatContext, new_message: ChatMessage) -> None:
            await clock.sleep(HOOK_STALL_S + 1.0)

    told = call(HELLO, {"*": "There."}, agent=Slow, until=12.0)
    assert (told.one(Stalled).what, told.one(Stalled).after) == ("hook", HOOK_STALL_S)
    assert texts(told) == ["hello", "There."]


def test_what_is_quick_is_not_told_of() -> None:
    told = call(HELLO, {"hello": Call("pay"), "*": "There."}, agent=Pays, until=30.0, user_away_timeout=None)
    assert not told.of(Stalled)


@pytest.mark.parametrize("answer", ["", []])
def test_an_empty_answer_is_told_of_and_does_not_end_in_silence(answer: Any) -> None:
    told = call(HELLO, {"hello": answer}, until=8.0)
    assert told.one(Error).source == "llm"
    assert "empty answer" in told.one(Error).message
    assert told.states[-1] == "listening"
    assert texts(told) == ["hello", APOLOGY]


class Mute(ScriptedTTS):
    async def synthesize(self, text: str) -> Any:
        self.text.append(text)
        return
        yield


def test_a_synthesiser_that_makes_no_sound_is_told_of() -> None:
    told = call(HELLO, {"*": "You cannot hear this."}, tts=Mute(), until=6.0)
    assert told.one(Error).source == "tts"
    assert "no sound" in told.one(Error).message
    assert texts(told) == ["hello"]  # nobody has heard it
    assert told.states[-1] == "listening"


def test_silence_to_say_is_no_fault() -> None:
    async def then(session: AgentSession[Any]) -> None:
        await session.say("")
        await session.say("  ")

    assert not call(then=then, tts=Mute(), until=3.0).of(Error)


# Waiting for oneself


@pytest.mark.parametrize("what", ["wait_for_idle", "run", "handle"])
def test_a_tool_that_would_wait_for_itself_is_told_so(what: str) -> None:
    said: list[str] = []

    class Waits(Plain):
        @function_tool
        async def look(self, context: RunContext) -> str:
            """Look."""
            try:
                if what == "wait_for_idle":
                    await self.session.wait_for_idle()
                elif what == "run":
                    await self.session.run(user_input="more")
                else:
                    await context.speech_handle
            except UsageError as error:
                said.append(str(error))
            return "seen"

    told = call(HELLO, {"hello": Call("look"), "seen": "There."}, agent=Waits, until=6.0)
    assert len(said) == 1
    assert "waits for" in said[0]
    assert texts(told) == ["hello", "There."]


def test_a_task_that_a_tool_has_started_may_wait() -> None:
    idle: list[float] = []

    class Starts(Plain):
        @function_tool
        async def look(self) -> str:
            """Look."""
            tasks.append(self.session._spawn(self._wait(), name="waits"))
            return "seen"

        async def _wait(self) -> None:
            await self.session.wait_for_idle()
            idle.append(clock.now())

    tasks: list[Any] = []
    told = call(HELLO, {"hello": Call("look"), "seen": "There."}, agent=Starts, until=6.0)
    assert idle == [pytest.approx(told.one(PlaybackFinished).at, abs=1e-3)]


# The end


@pytest.mark.parametrize("what", ["run", "typed", "say"])
def test_after_shutdown_nothing_new_is_taken(what: str) -> None:
    async def then(session: AgentSession[Any]) -> None:
        session.say("one two three.")
        await clock.sleep_until(0.5)
        session.shutdown()
        if what == "say":
            session.say("Good bye.")  # what the agent still has to say is said
            return
        with pytest.raises(UsageError, match="is ending and takes no more input"):
            session.run(user_input="more") if what == "run" else session.generate_reply(user_input="more")

    told = call(then=then, until=4.0)
    assert texts(told) == ["one two three."] + ["Good bye."] * (what == "say")


def test_a_session_told_to_end_before_it_began_does_not_begin() -> None:
    with pytest.raises(UsageError, match="was told to end before it had started"):
        call(prepare=lambda session: session.shutdown())


def test_a_greeting_is_interrupted_and_told_as_it_was_heard() -> None:
    told = call([Line(2.0, "stop", 0.3)], {"*": "Yes?"}, agent=Greeter, until=8.0)
    greeting = told.of(PlaybackFinished)[0]
    assert texts(told) == [greeting.heard, "stop", "Yes?"]
    assert f"{greeting.heard} {greeting.cut}" == LONG
