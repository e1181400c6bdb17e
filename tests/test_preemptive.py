"""Replies that are made ahead of their turn: sooner when the guess was right, and as if they had never been when not."""

from collections.abc import Sequence
from typing import Any

import pytest

from agent_runtime import Agent, AgentSession, RunContext, clock, function_tool
from agent_runtime.chat import ChatContext, ChatMessage
from agent_runtime.events import (
    AgentStateChanged,
    ConversationItemAdded,
    Error,
    FirstToken,
    GenerationDiscarded,
    LlmRequested,
    PlaybackStarted,
    SpeechCreated,
    ToolStarted,
    TurnCommitted,
    TurnReopened,
)
from agent_runtime.testing.scripted import Call, Fail, Line, Pause, ScriptedLLM, ScriptedTTS
from agent_runtime.trace.waterfall import waterfalls
from tests.scripted_call import Plain, Told, call

SECRET = "Zanzibar"
"""A word of replies that are thrown away."""


def ahead(lines: Sequence[Line], replies: Any = None, *, min_delay: float = 0.5, more: Any = None, **how: Any) -> Told:
    """A call in which replies are made ahead, with silence alone to end turns."""
    preemptive = {"enabled": True, **(more or {})}
    given = {
        "turn_detection": "vad",
        "preemptive_generation": preemptive,
        "endpointing": {"min_delay": min_delay, "max_delay": max(3.0, min_delay)},
    }
    return call(lines, replies, turn_handling=given, **how)


def nothing_is_left_of_it(told: Told) -> None:
    """Not a word of what was thrown away is in history, log or sound; nor does it count as a speech."""
    assert SECRET not in repr(told.history.items)
    assert SECRET not in repr(told.session.current_agent.chat_ctx.items)
    assert SECRET not in repr(told.events)
    thrown = {event.speech_id for event in told.of(GenerationDiscarded)}
    assert thrown
    for event in told.events:
        if not isinstance(event, GenerationDiscarded):
            assert getattr(event, "speech_id", None) not in thrown, event


HELLO = [Line(1.0, "hello there", 0.6)]
WHOLE = 1.86
"""When the detector has noticed that the first voice is over, and its final is there."""

HALVES = [Line(1.0, "Order tea", 0.6), Line(1.95, "with milk", 0.8)]
"""The second comes 0.35 s after the first: before its commit, after its final."""
ANSWERS = {"Order tea": f"To {SECRET} it goes, to {SECRET}.", "Order tea with milk": "Tea it is."}


# A hit


def test_a_reply_made_ahead_is_heard_sooner() -> None:
    late = call(HELLO, {"*": "Good day."}, turn_handling={"turn_detection": "vad"}, until=6.0)
    soon = ahead(HELLO, {"*": "Good day."}, until=6.0)
    sooner = ahead(HELLO, {"*": "Good day."}, more={"preemptive_tts": True}, until=6.0)
    assert soon.one(TurnCommitted).at == late.one(TurnCommitted).at == pytest.approx(2.1)
    starts = [told.one(PlaybackStarted).at for told in (late, soon, sooner)]
    assert starts[0] - starts[1] == pytest.approx(0.1125, abs=0.02)  # all that the model took
    assert starts[1] - starts[2] > 0.1  # and most of what the synthesiser took
    for told in (soon, sooner):
        assert told.said == late.said
        assert not told.of(GenerationDiscarded)
        assert told.one(LlmRequested).at == pytest.approx(WHOLE)


def test_the_turn_is_final_before_anything_of_it_is_told() -> None:
    told = ahead(HELLO, {"*": "Good day."}, more={"preemptive_tts": True}, until=6.0)
    order = [type(event) for event in told.events]
    commit = order.index(TurnCommitted)
    assert order.index(SpeechCreated) > commit
    assert order.index(LlmRequested) > order.index(SpeechCreated)
    assert order.index(FirstToken) > commit
    assert told.one(SpeechCreated).turn == 1
    assert min(at for at, _ in told.played) >= told.one(TurnCommitted).at
    assert told.states == ["listening", "thinking", "speaking", "listening"]
    thinks = next(event.at for event in told.of(AgentStateChanged) if event.new_state == "thinking")
    assert thinks == told.one(TurnCommitted).at


@pytest.mark.parametrize("tts", [False, True])
def test_its_waterfall_is_tagged_and_sums_to_what_was_heard(tts: bool) -> None:
    told = ahead(HELLO, {"*": "Good day to you."}, more={"preemptive_tts": tts}, until=6.0)
    (fall,) = waterfalls(told.events)
    assert "preemptive" in fall.tags
    last_voiced = told.one(TurnCommitted).last_voiced
    assert last_voiced is not None
    heard = told.one(PlaybackStarted).at - last_voiced
    assert fall.gap == pytest.approx(heard, abs=0.02)
    assert sum(seconds for _, seconds in fall.parts if seconds is not None) == pytest.approx(fall.gap)
    assert fall.first_token == 0.0  # it was there before the commit


def test_without_it_no_waterfall_is_tagged() -> None:
    told = call(HELLO, {"*": "Good day."}, turn_handling={"turn_detection": "vad"}, until=6.0)
    assert all("preemptive" not in fall.tags for fall in waterfalls(told.events))


def test_a_written_call_can_be_made_ahead_too() -> None:
    told = ahead(HELLO, {"*": "Good day."}, sink=False, until=6.0)
    assert told.states == ["listening", "thinking", "listening"]
    assert told.said == [("user", "hello there"), ("assistant", "Good day.")]
    assert told.one(LlmRequested).at < told.one(TurnCommitted).at


def test_the_user_interrupts_an_adopted_reply_before_it_sounds() -> None:
    lines = [Line(1.0, "Order tea", 0.6), Line(2.15, "with milk", 0.8)]
    told = ahead(lines, ANSWERS, until=8.0)
    assert told.of(TurnReopened)
    assert told.said == [("user", "Order tea with milk"), ("assistant", "Tea it is.")]
    assert SECRET not in repr(told.history.items)
    assert len(told.of(PlaybackStarted)) == 1


def test_a_turn_that_the_detector_takes_for_unfinished_is_not_anticipated() -> None:
    given = {"preemptive_generation": {"enabled": True}}
    told = call([Line(1.0, "I would like a", 0.8)], {"*": "A what?"}, turn_handling=given, until=8.0)
    assert told.one(TurnCommitted).at == pytest.approx(1.8 + 3.0)
    assert told.one(LlmRequested).at >= told.one(TurnCommitted).at
    told = call([Line(1.0, "what is open", 0.8)], {"*": "The bakery."}, turn_handling=given, until=8.0)
    assert told.one(LlmRequested).at < told.one(TurnCommitted).at
    assert told.said == [("user", "what is open"), ("assistant", "The bakery.")]


# A miss


@pytest.mark.parametrize("tts", [False, True])
def test_nothing_is_left_of_a_reply_to_half_a_turn(tts: bool) -> None:
    voice = ScriptedTTS(ttfb=0.01)
    told = ahead(HALVES, ANSWERS, more={"preemptive_tts": tts}, tts=voice, min_delay=0.9, until=8.0)
    assert told.said == [("user", "Order tea with milk"), ("assistant", "Tea it is.")]
    assert [event.turn for event in told.of(TurnCommitted)] == [1]
    discarded = told.one(GenerationDiscarded)
    assert discarded.reason == "the user went on"
    assert discarded.characters > 0
    assert (discarded.audio > 0) == tts  # what it cost is counted
    nothing_is_left_of_it(told)
    assert told.one(PlaybackStarted).at > 2.75
    if not tts:
        assert SECRET not in "".join(voice.text)


def test_a_cough_in_the_pause_throws_nothing_away() -> None:
    model = ScriptedLLM({"*": "Good day."})
    told = ahead([Line(1.0, "hello there", 0.6), Line(1.9, "", 0.15)], llm=model, until=7.0)
    assert not told.of(GenerationDiscarded)
    assert len(model.requests) == 1
    assert told.said == [("user", "hello there"), ("assistant", "Good day.")]
    assert told.one(PlaybackStarted).at > 2.0  # but nothing sounds over it


def test_thrown_away_twice() -> None:
    lines = [Line(1.0, "one", 0.4), Line(1.75, "two", 0.4), Line(2.5, "three", 0.4)]
    replies = {"one": f"{SECRET} one.", "one two": f"{SECRET} two.", "one two three": "All three."}
    told = ahead(lines, replies, until=8.0)
    assert len(told.of(GenerationDiscarded)) == 2
    assert told.said == [("user", "one two three"), ("assistant", "All three.")]
    nothing_is_left_of_it(told)


@pytest.mark.parametrize(("limit", "asked"), [(0, 1), (1, 2), (2, 3), (3, 3)])
def test_the_limit_of_what_is_made_ahead(limit: int, asked: int) -> None:
    lines = [Line(1.0, "one", 0.4), Line(1.75, "two", 0.4), Line(2.5, "three", 0.4)]
    model = ScriptedLLM({"*": "Good."})
    told = ahead(lines, more={"max_retries": limit}, llm=model, until=8.0)
    assert len(model.requests) == asked
    assert told.said == [("user", "one two three"), ("assistant", "Good.")]


def test_after_a_long_speech_nothing_is_made_ahead() -> None:
    told = ahead([Line(1.0, "hello there", 2.0)], more={"max_speech_duration": 1.5}, until=7.0)
    assert told.one(LlmRequested).at >= told.one(TurnCommitted).at


def test_an_interruption_by_the_application_takes_it_too() -> None:
    async def then(session: AgentSession[Any]) -> None:
        await clock.sleep_until(1.95)
        session.interrupt()

    replies = [f"{SECRET}.", "Good day."]
    told = ahead(HELLO, replies, then=then, until=6.0)
    assert told.one(GenerationDiscarded).reason == "interrupted"
    assert told.said == [("user", "hello there"), ("assistant", "Good day.")]
    nothing_is_left_of_it(told)


def test_a_turn_thrown_away_takes_it_too() -> None:
    async def then(session: AgentSession[Any]) -> None:
        await clock.sleep_until(1.95)
        session.clear_user_turn()

    told = ahead(HELLO, {"*": f"{SECRET}."}, then=then, until=6.0)
    assert told.said == []
    nothing_is_left_of_it(told)


def test_a_turn_that_is_not_to_be_answered_takes_it_too() -> None:
    async def then(session: AgentSession[Any]) -> None:
        await clock.sleep_until(1.95)
        await session.commit_user_turn(skip_reply=True)

    told = ahead(HELLO, {"*": f"{SECRET}."}, then=then, until=6.0)
    assert told.said == [("user", "hello there")]
    nothing_is_left_of_it(told)


def test_typed_words_take_its_place() -> None:
    async def then(session: AgentSession[Any]) -> None:
        await clock.sleep_until(1.95)
        session.generate_reply(user_input="typed")

    told = ahead(HELLO, {"hello there": f"{SECRET}.", "*": "Good day."}, then=then, until=8.0)
    assert ("user", "typed") in told.said
    assert ("user", "hello there") in told.said
    # The answer to the spoken turn knows of the typed one: it was asked for anew.
    assert told.one(GenerationDiscarded)


def test_another_agent_answers_itself() -> None:
    async def then(session: AgentSession[Any]) -> None:
        await clock.sleep_until(1.95)
        session.update_agent(Agent(instructions="You are another."))

    model = ScriptedLLM([f"{SECRET}.", "I am another."])
    told = ahead(HELLO, llm=model, then=then, until=6.0)
    assert told.said == [("user", "hello there"), ("assistant", "I am another.")]
    nothing_is_left_of_it(told)
    system = model.requests[-1].items[0]
    assert isinstance(system, ChatMessage)
    assert system.text_content == "You are another."


@pytest.mark.parametrize("at", [1.85, 1.95, 2.05, 2.15, 2.25])
@pytest.mark.parametrize("tts", [False, True])
def test_the_call_ends_while_it_is_made(at: float, tts: bool) -> None:
    told = ahead(HELLO, {"*": f"{SECRET} one two three."}, more={"preemptive_tts": tts}, until=at)
    assert ("user", "hello there") in told.said
    assert SECRET not in repr(told.history.items)


# What it may not do


class Hooked(Plain):
    async def on_user_turn_completed(self, turn_ctx: ChatContext, new_message: ChatMessage) -> None:
        new_message.content = ["something else"]


def test_an_agent_that_looks_at_each_turn_first_is_not_anticipated() -> None:
    model = ScriptedLLM({"something else": "Yes."})
    told = ahead(HELLO, llm=model, agent=Hooked, until=6.0)
    assert told.one(LlmRequested).at >= told.one(TurnCommitted).at
    assert len(model.requests) == 1
    assert told.said == [("user", "something else"), ("assistant", "Yes.")]


class Orders(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.ordered: list[float] = []

    @function_tool
    async def order(self, context: RunContext) -> str:
        """Order."""
        self.ordered.append(clock.now())
        return "ordered"


def test_a_tool_waits_for_the_commit() -> None:
    replies = {"hello there": ["Let me see.", Call("order")], "ordered": "It is ordered."}
    told = ahead(HELLO, replies, agent=Orders, min_delay=1.0, until=9.0)
    assert told.one(ToolStarted).at == pytest.approx(told.one(TurnCommitted).at)
    assert told.of(LlmRequested)[0].at < told.one(TurnCommitted).at
    assert [text for role, text in told.said if role == "assistant"] == ["Let me see.", "It is ordered."]


def test_a_tool_of_a_reply_that_is_thrown_away_never_runs() -> None:
    agents: list[Orders] = []

    def agent() -> Orders:
        agents.append(Orders())
        return agents[-1]

    replies = {"Order tea": [f"{SECRET}.", Call("order")], "Order tea with milk": "Tea it is."}
    told = ahead(HALVES, replies, agent=agent, until=8.0)
    assert agents[0].ordered == []
    assert not told.of(ToolStarted)
    nothing_is_left_of_it(told)


@pytest.mark.parametrize(
    "failure", [Fail(RuntimeError("overloaded")), ["Well", Fail(RuntimeError("overloaded"))], Pause(None), ""]
)
def test_a_model_that_fails_ahead_is_asked_again_at_the_commit(failure: Any) -> None:
    model = ScriptedLLM([failure, "Good day."])
    min_delay, until = (12.0, 22.0) if isinstance(failure, Pause) else (0.5, 6.0)
    told = ahead(HELLO, llm=model, min_delay=min_delay, until=until)
    assert len(model.requests) == 2
    assert told.said == [("user", "hello there"), ("assistant", "Good day.")]
    assert not told.of(Error)  # nobody has missed anything


def test_a_synthesiser_that_fails_ahead_is_asked_again_at_the_commit() -> None:
    class Fails(ScriptedTTS):
        async def synthesize(self, text: str) -> Any:
            if not self.text:
                self.text.append(text)
                raise RuntimeError("no voice")
            async for frame in super().synthesize(text):
                yield frame

    told = ahead(HELLO, {"*": "Good day."}, more={"preemptive_tts": True}, tts=Fails(), until=6.0)
    assert told.said == [("user", "hello there"), ("assistant", "Good day.")]


def test_a_model_that_is_slower_than_the_commit_is_not_asked_twice() -> None:
    model = ScriptedLLM({"*": "Good day."}, ttft=1.0)
    told = ahead(HELLO, llm=model, until=6.0)
    assert len(model.requests) == 1
    assert told.one(FirstToken).at == pytest.approx(WHOLE + 1.0)
    assert told.one(FirstToken).at > told.one(TurnCommitted).at
    assert told.said == [("user", "hello there"), ("assistant", "Good day.")]


def test_the_history_holds_the_turn_once() -> None:
    told = ahead(HALVES, ANSWERS, until=8.0)
    added = [event.item for event in told.of(ConversationItemAdded) if isinstance(event.item, ChatMessage)]
    assert [item.role for item in added] == ["user", "assistant"]


def test_nothing_is_made_ahead_while_the_agent_speaks() -> None:
    class Firm(Plain):
        async def on_enter(self) -> None:
            self.session.say("one two three four five six seven eight nine.", allow_interruptions=False)

    told = ahead(HELLO, {"*": "Good day."}, agent=Firm, until=9.0)
    assert told.one(LlmRequested).at >= told.one(TurnCommitted).at
    assert told.said[-1] == ("assistant", "Good day.")


def test_the_same_call_twice_tells_the_same() -> None:
    def once() -> list[str]:
        return [repr(event) for event in ahead(HALVES, ANSWERS, more={"preemptive_tts": True}, until=8.0).events]

    assert once() == once()
