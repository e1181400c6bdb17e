"""A session from start to close: its hooks, nodes and tools, and all the ways in which they fail."""

import asyncio
import contextlib
import gc
import re
import sys
import tracemalloc
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from agent_runtime import Agent, AgentSession, RunContext, StopResponse, ToolError, clock, function_tool, virtual
from agent_runtime.audio.endpoints import AudioSource
from agent_runtime.audio.frame import OUTPUT_RATE, AudioFrame
from agent_runtime.chat import AgentHandoff, ChatContext, ChatMessage, FunctionCallOutput
from agent_runtime.errors import UsageError
from agent_runtime.events import (
    Close,
    Error,
    Event,
    InterruptionConfirmed,
    LlmRequested,
    PlaybackFinished,
    SpeechCreated,
    Stalled,
    ToolEnded,
    TurnCommitted,
    UserInputTranscribed,
)
from agent_runtime.io.memory import ClockSink, MemorySource
from agent_runtime.llm import ChatChunk, ChoiceDelta, FunctionToolCall
from agent_runtime.session import APOLOGY
from agent_runtime.stt import RecognizeStream, SpeechEvent, SpeechEventType, STTContext
from agent_runtime.testing.scripted import (
    Call,
    Fail,
    Line,
    Pause,
    ScriptedCaller,
    ScriptedLLM,
    ScriptedSTT,
    ScriptedTTS,
    ScriptedVAD,
)
from agent_runtime.tools import INTERNAL_ERROR, Tool
from agent_runtime.types import ModelSettings
from tests.scripted_call import Plain, Told, call

HELLO = [Line(0.5, "hello", 0.6)]
ONE_TWO = "One two three four five six seven eight nine ten eleven twelve."


def asked(
    agent: Callable[[], Agent], *parts: Any, then_says: str = "So it is.", until: float = 8.0, **options: Any
) -> Told:
    """The user says hello, the model answers with `parts`, and with `then_says` to whatever a tool gives."""
    return call(HELLO, {"hello": list(parts), "*": then_says}, agent=agent, until=until, **options)


def outputs(told: Told) -> list[tuple[str, bool]]:
    return [(item.output, item.is_error) for item in told.history.items if isinstance(item, FunctionCallOutput)]


# Tools


class Toolbox(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.ran: list[Any] = []

    @function_tool
    async def add(self, a: int, b: int = 1) -> int:
        """Add.

        Args:
            a: one
            b: other
        """
        self.ran.append((a, b))
        return a + b

    @function_tool
    async def fails(self) -> str:
        """Fail."""
        raise RuntimeError("the secret reason")

    @function_tool
    async def refuses(self) -> str:
        """Refuse."""
        raise ToolError("no tea today")

    @function_tool
    async def hangs(self) -> str:
        """Hang."""
        await asyncio.get_running_loop().create_future()
        return "never"

    @function_tool
    def blocks(self) -> dict[str, int]:
        """Run in a thread."""
        return {"tea": 2}

    @function_tool
    async def nothing(self) -> None:
        """Say nothing."""

    @function_tool
    async def quiet(self) -> None:
        """Stop the response."""
        raise StopResponse


@pytest.mark.parametrize(
    ("tool", "arguments", "output", "is_error"),
    [
        ("add", '{"a": 2, "b": 3}', "5", False),
        ("add", '{"a": 2}', "3", False),
        ("add", "{}", "a", True),
        ("add", '{"a": 2, "c": 3}', "c", True),
        ("add", '{"a": "two"}', "a", True),
        ("add", "not json", "JSON", True),
        ("unknown", "{}", "There is no tool 'unknown'", True),
        ("fails", "{}", "An internal error occurred", True),
        ("refuses", "{}", "no tea today", True),
        ("blocks", "{}", '{"tea": 2}', False),
    ],
)
def test_what_a_tool_gives_goes_back_to_the_model(tool: str, arguments: str, output: str, is_error: bool) -> None:
    told = asked(Toolbox, Call(tool, arguments))
    ((given, failed),) = outputs(told)
    assert output in given
    assert failed is is_error
    assert "secret" not in given
    assert told.said[-1] == ("assistant", "So it is.")
    assert len(told.of(ToolEnded)) == 1


def test_a_tool_that_raises_is_an_event_with_its_reason() -> None:
    told = asked(Toolbox, Call("fails"))
    assert "the secret reason" in told.one(Error).message
    assert isinstance(told.session.last_error, RuntimeError)


@pytest.mark.parametrize("tool", ["nothing", "quiet"])
def test_a_tool_after_which_nothing_is_to_be_said(tool: str) -> None:
    told = asked(Toolbox, Call(tool))
    assert len(told.of(LlmRequested)) == 1
    assert told.said == [("user", "hello")]
    assert told.states[-1] == "listening"


def test_a_tool_called_twice_in_a_turn() -> None:
    told = asked(Toolbox, Call("add", '{"a":1}'), Call("add", '{"a":5}'))
    assert sorted(outputs(told)) == [("2", False), ("6", False)]
    assert len(told.of(LlmRequested)) == 2


def test_max_tool_steps() -> None:
    """The model wants to call for ever: it may three times, then it must speak; if it does not, the agent does."""
    model = ScriptedLLM(lambda ctx: Call("add", '{"a":1}'))
    told = call(HELLO, llm=model, agent=Toolbox, until=9.0)
    assert len(outputs(told)) == 3
    assert len(model.requests) == 4
    assert told.said[-1] == ("assistant", APOLOGY)
    assert "max_tool_steps" in told.one(Error).message


def test_no_tool_steps_at_all() -> None:
    told = call(HELLO, llm=ScriptedLLM(lambda ctx: "Just words."), agent=Toolbox, until=9.0, max_tool_steps=0)
    assert told.said[-1] == ("assistant", "Just words.")


def test_a_tool_that_hangs_is_ended_with_the_session_and_told_of() -> None:
    async def then(session: AgentSession[Any]) -> None:
        await clock.sleep_until(3.0)
        assert session.agent_state == "thinking"
        assert session.current_speech is not None
        session.current_speech.interrupt()
        await clock.sleep_until(4.0)
        await session.generate_reply(user_input="still there?")

    told = asked(Toolbox, Call("hangs"), then=then)
    assert ("assistant", "So it is.") in told.said  # the conversation goes on without it
    assert outputs(told) == [("The call ended before this was done.", True)]
    assert told.one(ToolEnded).is_error


def test_a_tool_told_to_run_in_the_moment_of_the_end_has_an_outcome_too() -> None:
    async def then(session: AgentSession[Any]) -> None:
        await clock.sleep_until(1.7 + 1e-6)
        await session.aclose()

    for nudge in range(5):  # the tool's task is made at 1.7; close right about then
        told = asked(Toolbox, Call("hangs"), then=then, until=1.7 + nudge * 1e-3)
        assert len(outputs(told)) == len([name for name in told.types if name == "tool_started"])


def test_a_tool_may_speak() -> None:
    class Speaks(Plain):
        @function_tool
        async def speak(self, context: RunContext) -> str:
            """Speak."""
            context.session.say("One moment.")
            return "done"

    told = asked(Speaks, Call("speak"))
    assert sorted(text for role, text in told.said if role == "assistant") == ["One moment.", "So it is."]


def test_a_tool_that_waits_for_its_own_reply_is_told_so() -> None:
    class Waits(Plain):
        @function_tool
        async def wait(self, context: RunContext) -> str:
            """Wait."""
            await context.speech_handle
            return "never"

    told = asked(Waits, Call("wait"))
    assert "context.wait_for_playout()" in told.one(Error).message
    assert told.said[-1] == ("assistant", "So it is.")


def test_userdata() -> None:
    class Notes(Plain):
        @function_tool
        async def note(self, context: RunContext[list[str]], what: str) -> str:
            """Note."""
            context.userdata.append(what)
            return "noted"

    notes: list[str] = []
    asked(Notes, Call("note", '{"what":"tea"}'), userdata=notes)
    assert notes == ["tea"]
    with pytest.raises(UsageError, match="userdata"):
        _ = AgentSession().userdata


# Nodes that are overridden


class LlmGives(Plain):
    def __init__(self, give: Callable[[], Any]) -> None:
        super().__init__()
        self.give = give

    def llm_node(self, chat_ctx: Any, tools: Any, model_settings: Any) -> Any:
        return self.give()


async def _text(*pieces: str) -> AsyncIterator[str]:
    for piece in pieces:
        yield piece


async def _coroutine(value: Any) -> Any:
    return value


async def _hang() -> AsyncIterator[Any]:
    await asyncio.get_running_loop().create_future()
    yield ""


async def _raise(*before: Any) -> AsyncIterator[Any]:
    for piece in before:
        yield piece
    raise ValueError("broken node")


@pytest.mark.parametrize(
    ("give", "said"),
    [
        (lambda: "A string.", ["A string."]),
        (lambda: _coroutine("A string."), ["A string."]),
        (lambda: _text("Two ", "pieces."), ["Two pieces."]),
        (lambda: _coroutine(_text("Two ", "pieces.")), ["Two pieces."]),
        (lambda: None, []),
        (lambda: _coroutine(None), []),
        (lambda: _text(), []),
        (lambda: _raise(), [APOLOGY]),
        (lambda: _raise("Half of "), ["Half of", APOLOGY]),
        (lambda: 1 / 0, [APOLOGY]),
        (_hang, [APOLOGY]),
    ],
)
def test_what_an_llm_node_may_give(give: Callable[[], Any], said: list[str]) -> None:
    told = call(HELLO, agent=lambda: LlmGives(give), until=18.0)
    assert [text for role, text in told.said if role == "assistant"] == said
    assert told.said[0] == ("user", "hello")
    assert told.states[-1] == "listening"
    assert told.one(Close).reason == "user_initiated"


class TtsGives(Plain):
    def __init__(self, give: Callable[[AsyncIterable[str]], Any]) -> None:
        super().__init__()
        self.give = give

    def tts_node(self, text: AsyncIterable[str], model_settings: ModelSettings) -> Any:
        return self.give(text)


def _frames(seconds: float) -> AudioFrame:
    return AudioFrame(b"\x00\x10" * round(seconds * OUTPUT_RATE), OUTPUT_RATE)


async def _sound(text: AsyncIterable[str], seconds: float = 0.5) -> AsyncIterator[AudioFrame]:
    async for _ in text:
        yield _frames(seconds)


async def _eats(text: AsyncIterable[str]) -> AsyncIterator[AudioFrame]:
    async for _ in text:
        pass
    return
    yield


async def _eats_and_hangs(text: AsyncIterable[str]) -> AsyncIterator[AudioFrame]:
    async for _ in text:
        yield _frames(0.1)
    await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize(
    ("give", "heard", "noted"),
    [
        (_sound, "All right.", ""),
        (lambda text: _coroutine(_sound(text)), "All right.", ""),
        (lambda text: None, None, "error"),
        (lambda text: _coroutine(None), None, "error"),
        (_eats, None, "error"),
        (lambda text: _hang(), None, "stalled"),
        (lambda text: _raise(), None, "error"),
        (lambda text: 1 / 0, None, "error"),
        (lambda text: "no sound", None, "error"),
        (_eats_and_hangs, "", "stalled"),
    ],
)
def test_what_a_tts_node_may_give(give: Callable[[AsyncIterable[str]], Any], heard: str | None, noted: str) -> None:
    told = call(HELLO, agent=lambda: TtsGives(give), until=9.0)
    said = [text for role, text in told.said if role == "assistant"]
    if heard is None:
        assert said == []
    elif heard:
        assert said == [heard]
    assert (noted in told.types) or not noted
    assert ("error" in told.types) is (noted == "error")
    assert told.states[-1] == "listening"
    assert told.one(Close).reason == "user_initiated"


class Shows(Plain):
    def __init__(self, give: Callable[[AsyncIterable[str]], Any]) -> None:
        super().__init__()
        self.give = give

    def transcription_node(self, text: AsyncIterable[str], model_settings: ModelSettings) -> Any:
        return self.give(text)


async def _loud(text: AsyncIterable[str]) -> AsyncIterator[str]:
    async for piece in text:
        yield piece.upper()


@pytest.mark.parametrize("sink", [True, False])
@pytest.mark.parametrize(
    ("give", "shown"),
    [
        (_loud, "ALL RIGHT."),
        (lambda text: _coroutine(_loud(text)), "ALL RIGHT."),
        (lambda text: "Shown instead.", "Shown instead."),
        (lambda text: None, "All right."),
        (lambda text: _hang(), "All right."),
        (lambda text: _raise(), "All right."),
        (lambda text: _raise("Half "), "All right."),
    ],
)
def test_what_a_transcription_node_may_give(give: Callable[[AsyncIterable[str]], Any], shown: str, sink: bool) -> None:
    told = call(HELLO, agent=lambda: Shows(give), until=9.0, sink=sink)
    assert told.said == [("user", "hello"), ("assistant", shown)]
    assert told.states[-1] == "listening"


class Listens(Plain):
    def __init__(self, give: Callable[[AsyncIterable[AudioFrame]], Any]) -> None:
        super().__init__()
        self.give = give

    def stt_node(self, audio: AsyncIterable[AudioFrame], model_settings: ModelSettings) -> Any:
        return self.give(audio)


async def _hears(audio: AsyncIterable[AudioFrame]) -> AsyncIterator[str]:
    await clock.sleep(1.3)
    yield "hello"
    async for _ in audio:
        pass


def test_an_stt_node_may_give_plain_strings() -> None:
    told = call(HELLO, agent=lambda: Listens(_hears), until=6.0)
    assert told.said == [("user", "hello"), ("assistant", "All right.")]


@pytest.mark.parametrize("give", [lambda audio: None, lambda audio: _hang(), lambda audio: _text()])
def test_an_stt_node_without_words_leaves_the_session_alive(give: Callable[[Any], Any]) -> None:
    told = call([Line(0.5, "hello", 0.6)], agent=lambda: Listens(give), until=9.0)
    assert told.one(Close).reason == "user_initiated"
    assert len(told.of(Error)) <= 1
    assert told.one(Stalled).what == "turn"  # the user spoke, and is asked again
    assert told.said[0][0] == "assistant"


def test_an_stt_node_that_ends_early_is_started_again() -> None:
    starts: list[float] = []

    async def once(audio: AsyncIterable[AudioFrame]) -> AsyncIterator[str]:
        starts.append(clock.now())
        await clock.sleep(1.3)
        yield "hello" if len(starts) == 1 else "again"

    told = call([*HELLO, Line(2.0, "again", 0.6)], agent=lambda: Listens(once), until=5.0)
    assert starts[:2] == [0.0, pytest.approx(1.3 + 0.5)]
    assert [text for role, text in told.said if role == "user"][:2] == ["hello", "again"]


@pytest.mark.parametrize("give", [lambda audio: _raise(), lambda audio: 1 / 0])
def test_an_stt_node_that_keeps_raising_ends_the_session(give: Callable[[Any], Any]) -> None:
    told = call(HELLO, agent=lambda: Listens(give), until=6.0)
    assert len(told.of(Error)) == 3
    assert told.one(Close).reason == "error"
    assert told.one(Close).at == pytest.approx(2 * 0.5)


# Providers that fail


class Flaky(ScriptedSTT):
    """Raises at its first `times` streams, `after` seconds into each."""

    def __init__(self, caller: ScriptedCaller, *, times: int, after: float) -> None:
        super().__init__(caller)
        self.times, self.after = times, after

    def stream(self, *, language: str | None = None, context: STTContext | None = None) -> RecognizeStream:
        self.times -= 1
        return _Breaks(self.after) if self.times >= 0 else super().stream()


class _Breaks(RecognizeStream):
    def __init__(self, after: float) -> None:
        super().__init__()
        self._after = after

    async def recognize(self, audio: AsyncIterator[AudioFrame]) -> AsyncIterator[SpeechEvent]:
        await clock.sleep(self._after)
        raise ConnectionError("the recogniser is gone")
        yield SpeechEvent(SpeechEventType.FINAL_TRANSCRIPT)


def test_a_recogniser_that_breaks_is_started_again() -> None:
    told = call([Line(3.0, "hello", 0.6)], stt=lambda caller: Flaky(caller, times=2, after=0.4), until=7.0)
    assert [event.source for event in told.of(Error)] == ["stt", "stt"]
    assert told.said[0] == ("user", "hello")


def test_a_recogniser_that_keeps_breaking_ends_the_session() -> None:
    told = call(stt=lambda caller: Flaky(caller, times=99, after=0.4), until=9.0)
    close = told.one(Close)
    assert close.reason == "error"
    assert "the recogniser is gone" in (close.error or "")
    assert close.at == pytest.approx(3 * 0.4 + 2 * 0.5)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([Fail(ConnectionError("no model"))], [APOLOGY]),
        (["Let me see now", Fail(ConnectionError("no model"))], ["Let me see now", APOLOGY]),
        ([Pause(None)], [APOLOGY]),
        (["Let me see now", Pause(None)], ["Let me see now", APOLOGY]),
        ([Fail(TimeoutError("its own"))], [APOLOGY]),
    ],
)
def test_a_model_that_fails_is_apologised_for(answer: Sequence[Any], said: list[str]) -> None:
    lines = [*HELLO, Line(20.0, "again", 0.6)]
    told = call(lines, {"hello": answer, "again": "Now it works."}, until=25.0)
    assert [text for role, text in told.said if role == "assistant"] == [*said, "Now it works."]
    failed = isinstance(answer[-1], Fail)
    assert len(told.of(Error)) == failed
    assert [event.what for event in told.of(Stalled)] == ([] if failed else ["llm"])
    assert told.one(Close).reason == "user_initiated"


def test_a_synthesiser_that_dies_is_not_believed_to_have_spoken() -> None:
    for word_times in (True, False):
        voice = ScriptedTTS(fails_after_s=1.0, word_times=word_times)
        told = call(HELLO, {"*": ONE_TWO}, tts=voice, until=9.0)
        assert told.one(Error).source == "tts"
        (finished,) = told.of(PlaybackFinished)
        assert finished.position == pytest.approx(1.0)
        ((_, said),) = [each for each in told.said if each[0] == "assistant"]
        assert ONE_TWO.startswith(said)
        assert abs(len(said.split()) - 3) <= (0 if word_times else 1)
        assert told.states[-1] == "listening"


def test_a_synthesiser_that_is_dead_from_the_start() -> None:
    told = call([*HELLO, Line(4.0, "again", 0.6)], {"*": ONE_TWO}, tts=ScriptedTTS(fails_after_s=0.0), until=9.0)
    assert told.said == [("user", "hello"), ("user", "again")]
    assert [event.source for event in told.of(Error)] == ["tts", "tts"]


def test_without_a_model_the_user_is_told_of_it_in_the_log() -> None:
    async def main() -> list[str]:
        session: AgentSession[Any] = AgentSession(vad=None)
        messages: list[str] = []
        session.on("error", lambda event: messages.append(event.message))
        await session.start(Plain())
        await session.generate_reply(user_input="hello")
        await session.aclose()
        return messages

    (message,) = virtual.run(main())
    assert "AgentSession(llm=...)" in message


class BrokenSink(ClockSink):
    def write(self, pcm: bytes) -> None:
        if self.played_samples > OUTPUT_RATE:
            raise OSError("the speaker is gone")
        super().write(pcm)


class BrokenSource(AudioSource):
    async def frames(self) -> AsyncIterator[AudioFrame]:
        await clock.sleep(1.0)
        raise OSError("the microphone is gone")
        yield AudioFrame(b"", 16_000)


@pytest.mark.parametrize("broken", ["sink", "source"])
def test_a_device_that_raises_ends_the_session_and_what_was_heard_is_kept(broken: str) -> None:
    async def main() -> None:
        session: AgentSession[Any] = AgentSession(vad=ScriptedVAD(), llm=ScriptedLLM({}), tts=ScriptedTTS())
        closes: list[Close] = []
        session.on("close", closes.append)
        sink = BrokenSink() if broken == "sink" else ClockSink()
        source = BrokenSource() if broken == "source" else None
        await session.start(Plain(), input=source, output=sink)
        session.say(ONE_TWO)
        with pytest.raises(OSError, match="is gone"):
            await session.wait_closed()
        assert closes[0].reason == "error"
        (message,) = session.history.messages()
        assert ONE_TWO.startswith(message.text_content or "?")
        await session.aclose()

    virtual.run(main())


# Speeches that the application makes


def test_say_nothing() -> None:
    async def then(session: AgentSession[Any]) -> None:
        handle = await session.say("")
        assert handle.done()
        await session.say("Something.")

    assert call(then=then, until=3.0).said == [("assistant", "Something.")]


@pytest.mark.parametrize(
    "text", ["**Bold** and `code`.", "Fine 👍.", "👍", "# Title\n\n* one\n* two", "…", "   ", "\N{ZERO WIDTH SPACE}"]
)
def test_say_something_that_is_hard_to_say(text: str) -> None:
    async def then(session: AgentSession[Any]) -> None:
        await session.say(text)
        await session.wait_for_idle()

    told = call(then=then, until=6.0)
    said = [text for _, text in told.said]
    assert said == ([text.strip()] if text.strip() else [])


def test_a_hundred_thousand_characters() -> None:
    text = "The quick brown fox jumps over the lazy dog, and then it goes home. " * 1500
    voice = ScriptedTTS()

    async def then(session: AgentSession[Any]) -> None:
        handle = session.say(text)
        await clock.sleep_until(3.0)
        handle.interrupt()
        await handle
        assert clock.now() == pytest.approx(3.0)

    tracemalloc.start()
    try:
        told = call(then=then, tts=voice, until=4.0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 30e6
    assert sum(len(each) for each in voice.text) < 1000  # it makes no more than it may be ahead
    ((_, said),) = told.said
    assert text.startswith(said)
    assert len(said.split()) == pytest.approx(2.8 * 3, abs=1.5)


def test_say_with_its_own_sound() -> None:
    async def sound() -> AsyncIterator[AudioFrame]:
        yield _frames(1.0)

    async def then(session: AgentSession[Any]) -> None:
        await session.say("Hi there.", audio=sound())

    told = call(then=then, until=3.0)
    assert told.said == [("assistant", "Hi there.")]
    assert len(told.sound) == 2 * OUTPUT_RATE


def test_say_from_a_source_that_breaks() -> None:
    async def then(session: AgentSession[Any]) -> None:
        await session.say(_raise("What came is said. "))
        await session.say("And on.")

    told = call(then=then, until=6.0)
    assert [text for _, text in told.said] == ["What came is said.", "And on."]
    assert told.one(Error).source == "say"


def test_generate_reply_with_instructions_and_typed_input() -> None:
    model = ScriptedLLM({"*": "Yes."})

    async def then(session: AgentSession[Any]) -> None:
        await session.generate_reply(user_input="typed", instructions="Be brief.")
        await session.generate_reply(instructions="Be long.")

    told = call(llm=model, then=then, until=4.0)
    assert told.said == [("user", "typed"), ("assistant", "Yes."), ("assistant", "Yes.")]
    texts = [[item.text_content for item in each.messages()] for each in model.requests]
    assert texts == [["You are plain.", "typed", "Be brief."], ["You are plain.", "typed", "Yes.", "Be long."]]
    assert not told.of(TurnCommitted) or told.one(TurnCommitted).last_voiced is None


def test_interrupt_and_force() -> None:
    async def then(session: AgentSession[Any]) -> None:
        firm = session.say(ONE_TWO, allow_interruptions=False)
        await clock.sleep_until(1.0)
        with pytest.raises(UsageError, match="may not be interrupted"):
            firm.interrupt()
        await session.interrupt()
        assert not firm.done()
        await session.interrupt(force=True)
        assert firm.done()
        assert firm.interrupted
        assert clock.now() == pytest.approx(1.0)

    told = call(then=then, until=3.0)
    assert told.one(InterruptionConfirmed).at == pytest.approx(1.0)
    assert [text for _, text in told.said] == ["One two"]


def test_wait_for_idle() -> None:
    async def then(session: AgentSession[Any]) -> None:
        await session.wait_for_idle()
        assert clock.now() == 0.0
        session.say("One two three.")
        await session.wait_for_idle()
        assert clock.now() == pytest.approx(1.2, abs=0.05)

    call(then=then, until=3.0)


# Hooks


class Completes(Plain):
    def __init__(self, completed: Callable[[ChatContext, ChatMessage], None]) -> None:
        super().__init__()
        self.completed = completed

    async def on_user_turn_completed(self, turn_ctx: ChatContext, new_message: ChatMessage) -> None:
        self.completed(turn_ctx, new_message)


def test_the_hook_may_change_the_message() -> None:
    def change(ctx: ChatContext, message: ChatMessage) -> None:
        message.content = ["HELLO!"]
        ctx.add_message(role="system", content="only now")

    model = ScriptedLLM({"HELLO!": "Changed.", "*": "Not changed."})
    told = call(HELLO, llm=model, agent=lambda: Completes(change), until=5.0)
    assert told.said == [("user", "HELLO!"), ("assistant", "Changed.")]
    assert "only now" in [item.text_content for item in model.requests[0].messages()]


def test_the_hook_may_stop_the_response() -> None:
    def stop(ctx: ChatContext, message: ChatMessage) -> None:
        if message.text_content == "hello":
            raise StopResponse

    told = call([*HELLO, Line(3.0, "again", 0.6)], agent=lambda: Completes(stop), until=7.0)
    assert told.said == [("user", "again"), ("assistant", "All right.")]
    assert told.states[-1] == "listening"


def test_a_hook_that_raises_does_not_cost_the_turn() -> None:
    def fail(ctx: ChatContext, message: ChatMessage) -> None:
        raise LookupError("no database")

    told = call(HELLO, agent=lambda: Completes(fail), until=5.0)
    assert told.said == [("user", "hello"), ("assistant", "All right.")]
    assert told.one(Error).source == "hook"


def test_callbacks_that_raise_take_nothing_from_the_others() -> None:
    heard: list[str] = []

    def broken(event: Any) -> None:
        raise RuntimeError("broken callback")

    def prepare(session: AgentSession[Any]) -> None:
        session.on("user_input_transcribed", broken)
        session.on("user_input_transcribed", lambda event: heard.append(event.transcript))
        session.on("error", broken)  # it must not be told of its own failure for ever

    told = call(HELLO, prepare=prepare, until=5.0)
    assert heard == [event.transcript for event in told.of(UserInputTranscribed)]
    assert told.said[-1] == ("assistant", "All right.")
    assert len(told.of(Error)) == len(heard)


def test_on_once_and_off() -> None:
    heard: list[str] = []

    def prepare(session: AgentSession[Any]) -> None:
        session.once("user_input_transcribed", lambda event: heard.append("once"))

        def also(event: Any) -> None:
            heard.append("on")
            session.off("user_input_transcribed", also)

        session.on("user_input_transcribed")(also)

        with pytest.raises(UsageError, match="coroutine function"):
            session.on("close", _coroutine)

    call(HELLO, prepare=prepare, until=5.0)
    assert sorted(heard) == ["on", "once"]


# Hand-overs


class Second(Agent):
    def __init__(self, enters: Callable[[Agent], Any] | None = None) -> None:
        super().__init__(instructions="You are the second.")
        self.enters = enters

    async def on_enter(self) -> None:
        if self.enters is not None:
            await self.enters(self)


class First(Plain):
    def __init__(self, gives: Callable[[], Any]) -> None:
        super().__init__()
        self.gives = gives
        self.left = False

    @function_tool
    async def transfer(self) -> Any:
        """Hand over."""
        return self.gives()

    async def on_exit(self) -> None:
        await clock.sleep(0.3)
        self.left = True


async def _greets(agent: Agent) -> None:
    await agent.session.say("Second here.")


async def _generates(agent: Agent) -> None:
    await agent.session.generate_reply(instructions="Greet.")


@pytest.mark.parametrize(
    ("gives", "said"),
    [
        (lambda: Second(_greets), "Second here."),
        (lambda: Second(_generates), "Now me."),
        (lambda: (Second(_greets), "transferred"), "Second here."),
        (lambda: (Second(), "transferred"), "Now me."),
    ],
)
def test_a_tool_hands_over(gives: Callable[[], Any], said: str) -> None:
    model = ScriptedLLM({"hello": ["I will put you through.", Call("transfer")], "*": "Now me."})
    told = call(HELLO, llm=model, agent=lambda: First(gives), until=9.0)
    handoffs = [item for item in told.history.items if isinstance(item, AgentHandoff)]
    assert [item.new_agent_id for item in handoffs] == ["first", "second"]
    assert [text for role, text in told.said if role == "assistant"] == ["I will put you through.", said]
    assert told.session.current_agent.id == "second"
    if said == "Now me.":
        assert model.requests[-1].items[0].text_content == "You are the second."  # type: ignore[union-attr]


def test_a_silent_hand_over_is_over_before_the_session_is_idle() -> None:
    async def then(session: AgentSession[Any]) -> None:
        result = await session.run(user_input="hello")
        result.expect.next_event().is_function_call(name="transfer")
        result.expect.next_event().is_function_call_output()
        result.expect.next_event().is_agent_handoff(new_agent_id="second")
        result.expect.no_more_events()
        assert session.current_agent.id == "second"

    call((), {"hello": [Call("transfer")]}, agent=lambda: First(Second), then=then, until=5.0, sink=False)


def test_an_on_exit_may_say_good_bye() -> None:
    class Polite(First):
        async def on_exit(self) -> None:
            await self.session.say("Good-bye from the first.")

    replies = {"hello": [Call("transfer")], "*": "?"}
    told = call(HELLO, replies, agent=lambda: Polite(lambda: Second(_greets)), until=9.0)
    assert [text for role, text in told.said if role == "assistant"] == ["Good-bye from the first.", "Second here."]


def test_update_agent_twice_at_once() -> None:
    first = First(lambda: None)

    async def then(session: AgentSession[Any]) -> None:
        session.update_agent(Second())
        session.update_agent(Plain(id="third"))
        await session.wait_for_idle()
        assert session.current_agent.id == "third"

    told = call(agent=lambda: first, then=then, until=3.0)
    handoffs = [item for item in told.history.items if isinstance(item, AgentHandoff)]
    assert [(item.old_agent_id, item.new_agent_id) for item in handoffs] == [
        (None, "first"),
        ("first", "second"),
        ("second", "third"),
    ]
    with pytest.raises(UsageError, match="is in no session"):
        _ = first.session


# Text only


def test_run_and_expect() -> None:
    async def then(session: AgentSession[Any]) -> None:
        result = await session.run(user_input="hello")
        result.expect.next_event().is_function_call(name="add", arguments={"a": 2})
        result.expect.next_event().is_function_call_output(output="3", is_error=False)
        result.expect.next_event().is_message(role="assistant", text="so it is")
        result.expect.no_more_events()
        assert result.final_output == "So it is."
        with pytest.raises(AssertionError, match="Expected a call of 'sub'"):
            result.expect[0].is_function_call(name="sub")
        again = await session.run(user_input="hello")
        assert len(again.events) == 3

    replies = {"hello": [Call("add", '{"a":2}')], "*": "So it is."}
    told = call((), replies, agent=Toolbox, then=then, until=3.0, sink=False)
    assert told.said == [("user", "hello"), ("assistant", "So it is.")] * 2


# The end


def test_shutdown_lets_it_finish_its_sentence() -> None:
    async def then(session: AgentSession[Any]) -> None:
        session.say("One two three.")
        session.shutdown()
        await session.wait_closed()
        assert clock.now() == pytest.approx(1.2, abs=0.05)

    told = call(then=then, until=3.0)
    assert told.said == [("assistant", "One two three.")]
    assert told.one(Close).at < 1.3


def test_shutdown_at_once() -> None:
    async def then(session: AgentSession[Any]) -> None:
        session.say(ONE_TWO)
        await clock.sleep_until(1.0)
        session.shutdown(drain=False, reason="job_shutdown")
        await session.wait_closed()
        assert clock.now() == pytest.approx(1.0)

    told = call(then=then, until=3.0)
    assert told.said == [("assistant", "One two")]
    assert told.one(Close).reason == "job_shutdown"


def test_draining_starts_no_turn_but_forgets_nothing() -> None:
    async def then(session: AgentSession[Any]) -> None:
        session.say(ONE_TWO, allow_interruptions=False)
        await clock.sleep_until(0.5)
        await session.drain()

    told = call([Line(1.0, "too late", 0.6)], then=then, until=8.0)
    assert ("user", "too late") in told.said
    assert [event.source for event in told.of(SpeechCreated)] == ["say"]


def test_a_tool_may_drain_and_shut_down() -> None:
    class Ends(Plain):
        @function_tool
        async def end(self, context: RunContext) -> str:
            """End the call."""
            context.session.shutdown(reason="task_completed")
            return "ended"

    told = asked(Ends, "Good-bye then.", Call("end"), then_says="It is over.")
    assert told.one(Close).reason == "task_completed"
    assert [text for role, text in told.said if role == "assistant"] == ["Good-bye then.", "It is over."]


MOMENTS = {
    "listening": 0.1,
    "user speaking": 0.8,
    "user paused": 1.4,
    "thinking": 1.65,
    "first words": 1.95,
    "speaking and a tool": 2.5,
    "ducked": 3.1,
    "held": 3.4,
    "interrupted": 3.9,
    "late": 6.0,
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("how", ["once", "twice", "at once", "cancelled"])
def test_aclose_from_every_state(moment: str, how: str) -> None:
    at = MOMENTS[moment]

    async def then(session: AgentSession[Any]) -> None:
        await clock.sleep_until(at)
        match how:
            case "once":
                await session.aclose()
            case "twice":
                await session.aclose()
                await session.aclose()
            case "at once":
                await asyncio.gather(session.aclose(), session.aclose(), session.aclose())
            case "cancelled":
                closing = asyncio.ensure_future(session.aclose())
                await clock.sleep(0)
                closing.cancel()
                await asyncio.wait([closing])
                await session.aclose()
        assert clock.now() <= at + 2.0
        with pytest.raises(UsageError, match="has ended"):
            session.say("too late")

    lines = [*HELLO, Line(3.0, "stop now", 0.8)]
    replies = {"hello": ["Let me look at all of this now.", Call("hangs")], "*": "Fine then."}
    told = call(lines, replies, agent=Toolbox, then=then, until=at + 2.5)
    assert told.types.count("close") == 1
    assert told.types[-1] == "close"
    assert told.types.count("tool_started") == told.types.count("tool_ended")
    if at > 1.6:
        assert ("user", "hello") in told.said


class Closes(Plain):
    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    async def _close(self, here: str) -> None:
        if here == self.where:
            await self.session.aclose()

    async def on_enter(self) -> None:
        await self._close("on_enter")

    async def on_exit(self) -> None:
        await self._close("on_exit")

    async def on_user_turn_completed(self, turn_ctx: ChatContext, new_message: ChatMessage) -> None:
        await self._close("hook")

    async def llm_node(self, chat_ctx: Any, tools: Any, model_settings: Any) -> AsyncIterator[Any]:
        await self._close("llm")
        async for chunk in Agent.default.llm_node(self, chat_ctx, tools, model_settings):
            yield chunk

    async def tts_node(self, text: Any, model_settings: Any) -> AsyncIterator[AudioFrame]:
        await self._close("tts")
        async for frame in Agent.default.tts_node(self, text, model_settings):
            yield frame

    @function_tool
    async def end(self) -> str:
        """End."""
        await self._close("tool")
        return "ended"


@pytest.mark.parametrize("where", ["on_enter", "on_exit", "hook", "llm", "tts", "tool", "callback"])
def test_aclose_from_inside(where: str) -> None:
    closings: list[asyncio.Future[None]] = []

    def prepare(session: AgentSession[Any]) -> None:
        if where == "callback":
            session.on("turn_committed", lambda event: closings.append(asyncio.ensure_future(session.aclose())))

    async def then(session: AgentSession[Any]) -> None:
        if where == "on_exit":
            await session.aclose()
        await session.wait_closed()
        assert clock.now() < 4.5

    replies = {"hello": ["One moment please.", Call("end")], "*": "Fine."}
    told = call(HELLO, replies, agent=lambda: Closes(where), then=then, prepare=prepare, until=5.0)
    assert told.types.count("close") == 1
    assert told.one(Close).reason == "user_initiated"


def test_aclose_before_start() -> None:
    async def main() -> None:
        session: AgentSession[Any] = AgentSession(vad=None)
        await session.aclose()
        await session.aclose()
        with pytest.raises(UsageError, match="closed"):
            await session.start(Plain())
        with pytest.raises(UsageError, match="not started"):
            session.say("Hi.")

    virtual.run(main())


def test_what_comes_from_outside_is_let_go_of_when_the_session_ends_by_itself() -> None:
    class Sink(ClockSink):
        closed = 0

        async def aclose(self) -> None:
            self.closed += 1
            await super().aclose()

    async def main() -> None:
        sink = Sink()
        session: AgentSession[Any] = AgentSession(vad=None, tts=ScriptedTTS())
        await session.start(Plain(), output=sink)
        session.shutdown(drain=False)
        await clock.sleep(1.0)
        assert sink.closed == 1
        await session.aclose()
        assert sink.closed == 1

    virtual.run(main())


def test_a_start_that_fails_says_why_and_hangs_nobody() -> None:
    class NoVAD(ScriptedVAD):
        def stream(self) -> Any:
            raise RuntimeError("no detector")

    async def main() -> None:
        caller = ScriptedCaller([], until=1.0)
        session: AgentSession[Any] = AgentSession(vad=NoVAD(), stt=ScriptedSTT(caller), llm=ScriptedLLM({}))
        with pytest.raises(RuntimeError, match="no detector"):
            await session.start(Plain(), input=caller)
        await session.aclose()
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []

    virtual.run(main())


def test_what_will_not_be_cancelled_does_not_hold_up_the_end() -> None:
    freed: list[asyncio.Event] = []

    class Stubborn(Plain):
        @function_tool
        async def cling(self) -> str:
            """Cling."""
            free = asyncio.Event()
            freed.append(free)
            while not free.is_set():
                try:
                    await free.wait()
                except asyncio.CancelledError:
                    continue
            return "freed"

    async def then(session: AgentSession[Any]) -> None:
        await clock.sleep_until(3.0)
        closed: list[Any] = []
        session.on("close", closed.append)
        await session.aclose()
        assert clock.now() <= 3.0 + 4.1 + 1e-6
        assert closed
        freed[0].set()
        await session.wait_closed()

    asked(Stubborn, Call("cling"), then=then)


def test_a_thousand_short_sessions_leave_memory_flat() -> None:
    async def one() -> None:
        session: AgentSession[Any] = AgentSession(vad=None, llm=ScriptedLLM({"*": "Yes."}), tts=ScriptedTTS())
        await session.start(Toolbox(), output=ClockSink())
        await session.generate_reply(user_input="hello")
        await session.aclose()

    async def main() -> tuple[int, int]:
        for _ in range(20):
            await one()
        gc.collect()
        tracemalloc.start()
        sizes = []
        for _ in range(2):
            for _ in range(100):
                await one()
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        return sizes[0], sizes[1]

    first, second = virtual.run(main())
    assert second - first < 100 * 300  # bytes a session


def test_a_tool_may_speak_and_wait_for_it() -> None:
    class Filler(Agent):
        @function_tool
        async def look(self, context: RunContext[None]) -> str:
            """Look."""
            await context.session.say("One moment please.")
            return "It is sunny."

    told = asked(lambda: Filler(instructions=""), Call("look"), then_says="Sunny.")
    assert [text for role, text in told.said if role == "assistant"] == ["One moment please.", "Sunny."]


def test_a_tool_whose_own_request_is_cancelled_has_failed() -> None:
    class Client(Agent):
        @function_tool
        async def fetch(self) -> str:
            """Fetch."""
            inner = asyncio.ensure_future(clock.sleep(9))
            inner.cancel()
            await inner
            return "never"

    told = asked(lambda: Client(instructions=""), Call("fetch"), then_says="That failed.")
    assert outputs(told) == [(INTERNAL_ERROR, True)]
    assert told.said[-1] == ("assistant", "That failed.")


def test_two_calls_under_one_id_have_an_outcome_each() -> None:
    class Twice(Agent):
        @function_tool
        async def one(self, x: int) -> str:
            """One."""
            return f"r{x}"

        async def llm_node(
            self, chat_ctx: ChatContext, tools: list[Tool], model_settings: ModelSettings
        ) -> AsyncIterator[ChatChunk | str]:
            if any(isinstance(item, FunctionCallOutput) for item in chat_ctx.items):
                yield "Both done."
                return
            calls = [FunctionToolCall("one", f'{{"x": {x}}}', "same") for x in (1, 2)]
            yield ChatChunk("answer", ChoiceDelta(tool_calls=calls))

    told = asked(lambda: Twice(instructions=""))
    assert outputs(told) == [("r1", False), ("r2", False)]


def test_a_plain_generator_is_a_node_too() -> None:
    class Plainly(Agent):
        def llm_node(self, chat_ctx: Any, tools: Any, model_settings: Any) -> Any:
            yield "All "
            yield "right."

    assert asked(lambda: Plainly(instructions="")).said[-1] == ("assistant", "All right.")


def test_an_agents_own_engine_is_looked_up_when_the_agent_is_made() -> None:
    with pytest.raises(UsageError, match="Did you mean 'local/espeak'"):
        Agent(instructions="", tts="local/espek")


def test_an_event_that_does_not_exist_is_named() -> None:
    session: AgentSession[None] = AgentSession()
    with pytest.raises(UsageError, match="Did you mean 'agent_state_changed'"):
        session.on("agent_state_change", print)


def test_whoever_waits_for_idleness_does_not_wait_beyond_the_end() -> None:
    async def then(session: AgentSession[Any]) -> None:
        session.say(ONE_TWO)
        waiting = asyncio.ensure_future(session.wait_for_idle())
        await clock.sleep(1.0)
        await session.aclose()
        async with asyncio.timeout(1.0):
            await waiting

    call([], then=then, until=1.0)


def test_what_cannot_be_said_is_refused_at_once() -> None:
    async def then(session: AgentSession[Any]) -> None:
        with pytest.raises(UsageError, match=r"say\(\) takes a text .* not 5"):
            session.say(5)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="takes a text or a ChatMessage, not 7"):
            session.generate_reply(user_input=7)  # type: ignore[arg-type]

    call([], then=then, until=0.5)


class TestABrokenEnd:
    """Speakers that fail when the call ends, and words that never became sound."""

    @pytest.mark.parametrize("end", ["close", "shutdown"])
    def test_a_sink_that_is_gone_does_not_keep_the_call_from_ending(self, end: str) -> None:
        class Gone(ClockSink):
            gone = False

            @property
            def played_samples(self) -> int:
                if self.gone:
                    raise OSError("the device is gone")
                return super().played_samples

            def clear(self) -> int:
                if self.gone:
                    raise OSError("the device is gone")
                return super().clear()

        told: list[Event] = []

        async def main() -> None:
            sink = Gone()
            session: AgentSession[Any] = AgentSession(llm=ScriptedLLM({"*": "x"}), tts=ScriptedTTS())
            session.log.subscribe(told.append)
            await session.start(Plain(), output=sink)
            session.say("One two three four five six seven eight nine ten.")
            await clock.sleep(1.0)
            sink.gone = True
            if end == "shutdown":
                session.shutdown(drain=False)
                with contextlib.suppress(OSError):
                    await session.wait_closed()
            await session.aclose()

        virtual.run(main())
        (close,) = [event for event in told if isinstance(event, Close)]
        assert told[-1] is close
        (finished,) = [event for event in told if isinstance(event, PlaybackFinished)]
        assert finished.heard.startswith("One two")
        assert "ten" not in finished.heard

    def test_words_that_the_synthesiser_gives_an_empty_frame_for_were_not_heard(self) -> None:
        class Mute(ScriptedTTS):
            async def synthesize(self, text: str) -> AsyncIterator[AudioFrame]:
                if "secret" in text:
                    yield AudioFrame(b"", 24_000)
                    return
                async for frame in super().synthesize(text):
                    yield frame

        told = call((), tts=Mute(), then=lambda session: _say(session, "Here I am. The secret is out. That is all."))
        assert told.said == [("assistant", "Here I am. That is all.")]


async def _say(session: AgentSession[Any], text: str) -> None:
    session.say(text)


# Nodes that give the wrong thing, or nothing that counts


class GivesNothingForEver(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You say nothing.")

    async def llm_node(self, chat_ctx: ChatContext, tools: list[Tool], model_settings: ModelSettings) -> Any:
        while True:
            yield ""
            await clock.sleep(0.1)


def test_a_model_that_gives_empty_texts_has_given_nothing() -> None:
    told = call(HELLO, agent=GivesNothingForEver, until=30.0)
    (stalled,) = told.of(Stalled)
    assert (stalled.what, stalled.after) == ("llm", 10.0)
    assert told.said[-1] == ("assistant", APOLOGY)


class HearsNumbers(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You listen.")

    async def stt_node(self, audio: AsyncIterable[AudioFrame], model_settings: ModelSettings) -> Any:
        yield SpeechEvent(SpeechEventType.START_OF_SPEECH)
        yield 5


def test_a_recogniser_that_gives_no_words_is_given_up_after_three_failures() -> None:
    async def main() -> list[str]:
        session: AgentSession[None] = AgentSession(vad=None, stt=ScriptedSTT(ScriptedCaller([], until=9.0)))
        errors: list[str] = []
        session.on("error", lambda event: errors.append(event.message))
        await session.start(HearsNumbers(), input=MemorySource())
        with pytest.raises(TypeError):
            await session.wait_closed()
        return errors

    errors = virtual.run(main())
    assert len(errors) == 3
    assert "it gave 5; a recogniser gives SpeechEvents, or texts as finals" in errors[0]


def test_it_is_not_idle_between_two_speeches_of_a_hook() -> None:
    class Greets(Agent):
        async def on_enter(self) -> None:
            await self.session.say("Hello.")
            await self.session.generate_reply(instructions="greet")

    async def main() -> list[tuple[str, str | None]]:
        async with AgentSession[None](vad=None, llm=ScriptedLLM(["Who are you?", "Aha."])) as session:
            await session.start(Greets(instructions="You greet."))
            await session.wait_for_idle()
            await session.run(user_input="It is me.")
            return [(message.role, message.text_content) for message in session.history.messages()]

    assert virtual.run(main()) == [
        ("assistant", "Hello."),
        ("assistant", "Who are you?"),
        ("user", "It is me."),
        ("assistant", "Aha."),
    ]


@pytest.mark.parametrize(
    ("ask", "wrong"),
    [
        (lambda session: session.say(None), "say() takes a text"),
        (lambda session: session.run(user_input=None), "run(user_input=...) takes a text, not None"),
        (lambda session: session.generate_reply(instructions=5), "takes a text, not 5"),
        (lambda session: session.generate_reply(tool_choice="foo"), "tool_choice is 'foo'"),
        (lambda session: session.on("close", 5), "takes a function that is given the event, not 5"),
        (lambda session: session.off("clos", print), "Did you mean 'close'?"),
    ],
)
def test_what_is_asked_wrongly_is_refused_at_once(ask: Callable[[Any], object], wrong: str) -> None:
    async def main() -> None:
        async with AgentSession[None](vad=None, llm=ScriptedLLM([])) as session:
            await session.start(Agent(instructions="You wait."))
            with pytest.raises(UsageError, match=re.escape(wrong)):
                ask(session)

    virtual.run(main())


@pytest.mark.parametrize("seconds", ["x", -1, float("nan")])
def test_a_time_that_is_none_is_refused(seconds: Any) -> None:
    with pytest.raises(UsageError, match="user_away_timeout is"):
        AgentSession(vad=None, user_away_timeout=seconds)


def test_what_was_being_written_and_is_given_up_is_told() -> None:
    async def main() -> list[tuple[str, str, bool]]:
        async with AgentSession[None](vad=None, llm=ScriptedLLM([["One ", "two ", Pause(60.0), "three."]])) as session:
            told: list[PlaybackFinished] = []
            session.on("playback_finished", told.append)
            await session.start(Agent(instructions="You count."))
            session.generate_reply(user_input="Count.")
            await clock.sleep(1.0)
            await session.interrupt()
            return [(event.heard, event.cut, event.interrupted) for event in told]

    assert virtual.run(main()) == [("", "One two", True)]


# Code that tries to end the process


class Leaves(Plain):
    async def on_enter(self) -> None:
        sys.exit("bye")

    async def on_exit(self) -> None:
        sys.exit(4)

    @function_tool
    async def leave(self) -> None:
        """Leave."""
        sys.exit(3)


def test_sys_exit_in_hooks_and_tools_fails_there_and_the_call_goes_on() -> None:
    told = asked(Leaves, Call("leave"))
    messages = [error.message for error in told.of(Error)]
    end = "was called; end a call with session.shutdown(), or raise an error."
    assert messages == [
        f"on_enter of 'leaves' failed: sys.exit('bye') {end}",
        f"The tool 'leave' failed: sys.exit(3) {end}",
        f"on_exit of 'leaves' failed: sys.exit(4) {end}",
    ]
    assert told.said[-1] == ("assistant", "So it is.")
    assert told.one(Close).reason == "user_initiated"


@pytest.mark.parametrize("early", [True, False])
def test_sys_exit_in_a_node_is_the_nodes_failure(early: bool) -> None:
    class Breaks(Plain):
        async def llm_node(self, chat_ctx: ChatContext, tools: list[Tool], model_settings: ModelSettings) -> Any:
            if not early:
                yield "One. "
            sys.exit(2)

    told = asked(Breaks)
    assert told.of(Error)
    assert all("sys.exit(2) was called; end a call with session.shutdown()" in each.message for each in told.of(Error))
    assert told.one(Close).reason == "user_initiated"


def test_an_agent_speaks_in_one_session_at_a_time() -> None:
    async def main() -> None:
        agent = Agent(instructions="You are one.")
        async with AgentSession[None](vad=None, llm=ScriptedLLM([])) as first:
            await first.start(agent)
            await first.wait_for_idle()
            second: AgentSession[None] = AgentSession(vad=None, llm=ScriptedLLM([]))
            with pytest.raises(UsageError, match="The agent 'agent' speaks in another session"):
                await second.start(agent)
            await second.start(Agent(instructions="You are another."))
            with pytest.raises(UsageError, match="speaks in another session"):
                second.update_agent(agent)
            await second.aclose()
        third: AgentSession[None] = AgentSession(vad=None, llm=ScriptedLLM([]))
        await third.start(agent)
        await third.aclose()

    virtual.run(main())


class LeavesBetween(Plain):
    async def on_user_turn_completed(self, turn_ctx: ChatContext, new_message: ChatMessage) -> None:
        raise SystemExit(3)


def test_a_hook_that_exits_has_failed_and_no_more() -> None:
    told = call(HELLO, agent=LeavesBetween, until=9.0)
    assert "sys.exit(3)" in told.one(Error).message
    assert told.said[-1][0] == "assistant"
