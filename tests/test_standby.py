"""The tasks of the next answer, which wait for the end of the user's turn."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Coroutine
from contextvars import ContextVar
from typing import Any

import pytest

from agent_runtime import Agent, AgentSession, RunContext, clock, function_tool
from agent_runtime.audio.frame import AudioFrame
from agent_runtime.chat import ChatContext
from agent_runtime.events import Close, Error, PlaybackStarted, TurnCommitted
from agent_runtime.llm import LLMStream
from agent_runtime.testing.scripted import Call, Line, ScriptedLLM, ScriptedTTS
from agent_runtime.tools import ToolChoice
from agent_runtime.types import ModelSettings
from tests.scripted_call import Plain, call

HELLO = [Line(0.5, "hello", 0.6)]
TWICE = [*HELLO, Line(5.0, "hello again", 0.6)]
application: ContextVar[str] = ContextVar("application", default="nobody")


def standing_by() -> list[str]:
    return sorted(task.get_name() for task in asyncio.all_tasks() if task.get_name() in ("standby", "tts"))


def test_the_end_of_a_turn_starts_no_task_of_its_answer() -> None:
    begun: list[tuple[float, str]] = []

    async def then(session: AgentSession[Any]) -> None:
        def begin(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **given: Any) -> asyncio.Task[Any]:
            begun.append((loop.time(), getattr(work, "__qualname__", str(work))))
            return asyncio.Task(work, loop=loop, **given)

        asyncio.get_running_loop().set_task_factory(begin)  # type: ignore[arg-type]  # typeshed has an older form

    told = call(TWICE, then=then, until=9.0)
    commits, sounds = told.of(TurnCommitted), told.of(PlaybackStarted)
    assert (len(commits), len(sounds)) == (2, 2)
    for commit, sound in zip(commits, sounds, strict=True):
        assert [name for at, name in begun if commit.at <= at <= sound.at] == []
    assert [name for _, name in begun].count("Reply._voice") == 2, (
        "one after each answer, and the first was there before"
    )


def test_they_wait_where_a_voice_can_be_answered() -> None:
    waiting: list[list[str]] = []

    async def then(session: AgentSession[Any]) -> None:
        await clock.sleep_until(0.3)
        waiting.append(standing_by())

    call(HELLO, then=then)
    call(HELLO, then=then, sink=False)
    call(HELLO, then=then, tts=None, agent=lambda: Plain(tts=None))
    assert waiting == [["standby", "tts"], ["standby"], ["standby"]]


def test_an_agents_own_node_is_called_when_there_is_something_to_say() -> None:
    called: list[float] = []

    class Own(Plain):
        def tts_node(self, text: AsyncIterable[str], model_settings: ModelSettings) -> AsyncIterator[AudioFrame]:
            called.append(clock.now())
            return Agent.default.tts_node(self, text, model_settings)

    told = call(HELLO, agent=Own, until=4.0)
    assert len(called) == 1
    assert called[0] >= told.one(TurnCommitted).at
    assert told.said[-1] == ("assistant", "All right.")


def test_the_next_agent_answers_with_its_own_voice() -> None:
    voices = {name: ScriptedTTS() for name in ("first", "second")}

    class Second(Plain):
        def __init__(self) -> None:
            super().__init__(tts=voices["second"])

    class First(Plain):
        def __init__(self) -> None:
            super().__init__(tts=voices["first"])

        @function_tool
        async def hand_over(self, context: RunContext[None]) -> Agent:
            """Hand the caller over."""
            return Second()

    replies = {"hello": ["One moment, ", Call("hand_over")], "hello again": "Second here.", "*": ""}
    told = call(TWICE, replies, agent=First, until=9.0)
    assert (voices["first"].text, voices["second"].text) == (["One moment,"], ["Second here."])
    assert told.said[-1] == ("assistant", "Second here.")


def test_an_answer_that_says_nothing_leaves_nothing_behind() -> None:
    class Quiet(Plain):
        @function_tool
        async def note(self, context: RunContext[None]) -> None:
            """Note it."""

    told = call(TWICE, {"hello": [Call("note")], "hello again": "Yes.", "*": ""}, agent=Quiet, until=9.0)
    assert told.said == [("user", "hello"), ("user", "hello again"), ("assistant", "Yes.")]


def test_a_turn_is_not_answered_in_the_context_of_what_the_application_said() -> None:
    """What is said in a request of the application's is traced there; the user's next turn is not."""
    seen: list[str] = []

    class Seeing(ScriptedLLM):
        def chat(self, *, chat_ctx: ChatContext, tools: Any = (), tool_choice: ToolChoice | None = None) -> LLMStream:
            seen.append(application.get())
            return super().chat(chat_ctx=chat_ctx, tools=tools, tool_choice=tool_choice)

    async def then(session: AgentSession[Any]) -> None:
        application.set("a request")
        await session.say("Good morning.")
        application.set("another")
        await session.generate_reply(user_input="typed")

    call([Line(6.0, "hello", 0.6)], llm=Seeing({"*": "Yes."}), then=then, until=9.0)
    assert seen == ["another", "nobody"]


def test_what_sounds_is_interrupted_and_the_next_turn_answered() -> None:
    lines = [*HELLO, Line(2.5, "no wait stop", 0.8), Line(6.0, "hello again", 0.6)]
    told = call(lines, {"*": "This is a rather long answer that goes on and on and on."}, until=12.0)
    assert [role for role, _ in told.said] == ["user", "assistant"] * 3


def test_a_session_that_is_cancelled_while_the_agent_speaks_ends_and_starts_nothing() -> None:
    """As where the application's main coroutine raises, or at Ctrl-C: a coroutine that is never awaited is a warning."""
    ended: list[bool] = []

    async def then(session: AgentSession[Any]) -> None:
        await clock.sleep_until(2.6)
        assert session.agent_state == "speaking"
        assert session._main is not None
        session._main.cancel()
        done, _ = await asyncio.wait([session._main], timeout=30)
        ended.append(bool(done))

    told = call(HELLO, {"*": "This is a rather long answer that goes on and on for some time."}, then=then)
    assert ended == [True]
    assert told.session.last_error is None


def test_a_voice_that_cannot_be_had_is_told_of_at_the_turn_and_ends_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    async def then(session: AgentSession[Any]) -> None:
        session.update_agent(Plain(tts="openai/gpt-4o-mini-tts"))

    told = call(HELLO, then=then, until=6.0)
    assert told.of(Close)[-1].reason == "user_initiated"
    errors = told.of(Error)
    assert errors
    assert all("OPENAI_API_KEY" in error.message and error.at >= told.one(TurnCommitted).at for error in errors)


def test_an_agent_that_hands_over_at_once_leaves_no_error() -> None:
    class Router(Plain):
        async def on_enter(self) -> None:
            self.session.update_agent(Plain())

    told = call(HELLO, agent=Router, until=6.0)
    assert told.of(Error) == []
    assert told.said == [("user", "hello"), ("assistant", "All right.")]


def test_a_node_of_the_agents_own_may_be_set_on_the_object() -> None:
    class Own(Plain):
        def __init__(self) -> None:
            super().__init__()
            self.tts_node = self.mine  # type: ignore[method-assign]

        async def mine(self, text: AsyncIterable[str], model_settings: ModelSettings) -> AsyncIterator[AudioFrame]:
            yield AudioFrame(bytes(960), 24_000)
            async for frame in Agent.default.tts_node(self, text, model_settings):
                yield frame

    told = call(TWICE, agent=Own, until=9.0)
    assert [text for role, text in told.said if role == "assistant"] == ["All right.", "All right."]
