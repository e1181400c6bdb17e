"""What models cost a session, what a budget does about it, what is said when a model fails. The models are real clients."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent_runtime import Agent, AgentSession, RunContext, clock, function_tool, virtual
from agent_runtime.chat import FunctionCall
from agent_runtime.errors import UsageError
from agent_runtime.events import BudgetExceeded, Close, Error, Event, ModelCalled, Stalled
from agent_runtime.inference.fallback import FallbackLLM
from agent_runtime.inference.spending import GOODBYE, Budget
from agent_runtime.llm import LLM
from agent_runtime.plugins import groq, openai
from agent_runtime.providers.openai.llm import OpenAILLM
from agent_runtime.session import APOLOGY
from agent_runtime.tape.replay import replay
from agent_runtime.trace.tape import read_tape
from agent_runtime.types import APIConnectOptions
from tests.providers.openai_wire import DONE, HELLO, Recorder, called, events, fragment, said

ONCE = APIConnectOptions(max_retry=0)
DOWN = httpx.Response(503, json={"error": {"message": "no"}})
UNPRICED = "a-model-of-mine"


class Server(Recorder):
    """Answers what is asked of a model; that a connection is made beforehand does not count."""

    slow = 0.0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={})
        await clock.sleep(self.slow)
        return await super().handle_async_request(request)


class Slow(Server):
    slow = 5.0


def gpt(*replies: Any, model: str = "gpt-4o-mini", options: APIConnectOptions | None = ONCE) -> LLM:
    return openai.LLM(model=model, api_key="sk-test", transport=Server(*replies), conn_options=options)


def used(prompt: int, completion: int) -> dict[str, Any]:
    return {"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": 0}}


class Told:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self.said: list[str] = []
        self.session: AgentSession[Any]

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


def talk(
    use: Callable[[AgentSession[Any]], Awaitable[object]],
    *,
    agent: Agent | None = None,
    record: Path | None = None,
    **given: Any,
) -> Told:
    """A written conversation."""
    told = Told()

    async def main() -> None:
        session = told.session = AgentSession(**given)
        session.log.subscribe(told.events.append)
        await session.start(agent or Agent(instructions="Be brief."), record=record)
        await use(session)
        await session.aclose()
        told.said = [m.text_content or "" for m in session.history.messages() if m.role == "assistant"]

    virtual.run(main())
    return told


async def one(session: AgentSession[Any]) -> None:
    await session.run(user_input="Hello?")


async def three(session: AgentSession[Any]) -> None:
    for _ in range(3):
        if session.is_open:
            await session.run(user_input="Hello?")


# Usage and cost


def test_what_a_call_used_and_cost_is_an_event_and_a_sum() -> None:
    told = talk(three, llm=gpt([said("Hello.", finish="stop"), used(1_000_000, 100_000), DONE]))
    calls = told.of(ModelCalled)
    assert [(each.provider, each.model, each.outcome) for each in calls] == [
        ("openai", "openai/gpt-4o-mini", "answered")
    ] * 3
    assert (calls[0].prompt_tokens, calls[0].completion_tokens, calls[0].characters) == (1_000_000, 100_000, 6)
    assert calls[0].speech_id is not None
    (sum_,) = told.session.usage.models
    assert (sum_.calls, sum_.prompt_tokens, sum_.completion_tokens) == (3, 3_000_000, 300_000)
    assert told.session.usage.usd == pytest.approx(3 * (0.15 + 0.06))  # gpt-4o-mini: 0.15 in, 0.60 out a million


def test_an_unpriced_model_costs_something_unknown() -> None:
    told = talk(one, llm=gpt(HELLO, model=UNPRICED))
    assert told.session.usage.unknown == [f"openai/{UNPRICED}"]
    assert told.session.usage.models[0].usd is None


def test_every_attempt_is_counted() -> None:
    told = talk(one, llm=gpt(DOWN, HELLO, options=None))
    assert [each.outcome for each in told.of(ModelCalled)] == ["failed", "answered"]
    assert "status 503" in told.of(ModelCalled)[0].error
    assert told.session.usage.models[0].wasted == 1


def test_an_answer_that_is_interrupted_is_counted_as_given_up() -> None:
    async def interrupt(session: AgentSession[Any]) -> None:
        handle = session.generate_reply(user_input="Hello?")
        await clock.sleep(1.0)
        await session.interrupt()
        assert handle.interrupted

    told = talk(interrupt, llm=openai.LLM(model="m", api_key="k", transport=Slow()))
    (call,) = told.of(ModelCalled)
    assert (call.outcome, call.prompt_tokens, call.at - call.requested_at) == ("cancelled", None, 1.0)
    assert told.session.usage.models[0].unmetered == 1


# The budget

DEAR = [said("Hello.", finish="stop"), used(1_000_000, 0), DONE]
"""Fifteen cents with gpt-4o-mini."""


def test_a_session_over_its_budget_says_good_bye_between_turns_and_ends() -> None:
    told = talk(three, llm=gpt(DEAR), budget=Budget(usd=0.20))
    assert told.said == ["Hello.", "Hello.", GOODBYE]
    (exceeded,) = told.of(BudgetExceeded)
    assert (exceeded.usd, exceeded.limit, exceeded.action) == (pytest.approx(0.30), 0.20, "say_goodbye")
    assert told.of(Close)[0].reason == "budget_exceeded"


def test_a_session_over_its_budget_may_just_stop() -> None:
    told = talk(three, llm=gpt(DEAR), budget=Budget(usd=0.10, on_exceed="stop"))
    assert told.said == ["Hello."]
    assert told.of(Close)[0].reason == "budget_exceeded"


def test_a_session_over_its_budget_may_do_what_the_application_says() -> None:
    seen: list[AgentSession[Any]] = []

    async def cheaper(session: AgentSession[Any]) -> None:
        seen.append(session)
        session.say("I must be brief from now on.")

    told = talk(three, llm=gpt(DEAR), budget=Budget(usd=0.20, on_exceed=cheaper))
    assert told.said == ["Hello.", "Hello.", "I must be brief from now on.", "Hello."]
    assert seen == [told.session]


def test_what_the_application_does_may_fail_without_harm() -> None:
    def bad(session: AgentSession[Any]) -> None:
        raise ValueError("no")

    told = talk(three, llm=gpt(DEAR), budget=Budget(usd=0.20, on_exceed=bad))
    assert told.said == ["Hello."] * 3
    assert [event.source for event in told.of(Error)] == ["budget"]


def test_a_budget_for_each_turn() -> None:
    told = talk(three, llm=gpt(HELLO, DEAR), budget=Budget(usd=0.10, per="turn"))
    assert told.said == ["Hello.", "Hello.", GOODBYE]


def test_under_its_budget_nothing_happens() -> None:
    told = talk(three, llm=gpt(DEAR), budget=Budget(usd=1.0))
    assert told.said == ["Hello."] * 3
    assert told.of(BudgetExceeded) == []


def test_a_budget_that_cannot_count_a_model_says_so_once() -> None:
    told = talk(three, llm=gpt(HELLO, model=UNPRICED), budget=Budget(usd=1.0))
    (error,) = told.of(Error)
    assert error.source == "budget"
    assert f"What 'openai/{UNPRICED}' costs is not known" in error.message
    assert "config/prices.toml" in error.message


# A model that fails


def test_a_failure_is_told_to_the_caller_and_the_session_lives_on() -> None:
    told = talk(three, llm=gpt(DOWN, HELLO))
    assert told.said == [APOLOGY, "Hello.", "Hello."]
    (error,) = told.of(Error)
    assert "openai refused 'gpt-4o-mini' (status 503)" in error.message
    assert "sk-test" not in error.message


def test_what_is_said_then_is_the_applications() -> None:
    assert talk(one, llm=gpt(DOWN), on_error="Just a moment.").said == ["Just a moment."]
    assert talk(one, llm=gpt(DOWN), on_error=None).said == []


def test_the_next_of_a_chain_answers_before_anything_is_said() -> None:
    told = talk(one, llm=FallbackLLM([gpt(DOWN), gpt(HELLO, model="gpt-4.1")]))
    assert told.said == ["Hello."]
    assert [(each.model, each.outcome) for each in told.of(ModelCalled)] == [
        ("openai/gpt-4o-mini", "failed"),
        ("openai/gpt-4.1", "answered"),
    ]


def test_a_lost_hedge_is_counted_and_shown() -> None:
    slow = openai.LLM(model="slow", api_key="k", transport=Slow())
    told = talk(one, llm=FallbackLLM([slow, gpt(HELLO)], hedges=[None, 0.6]))
    assert {(each.model, each.outcome) for each in told.of(ModelCalled)} == {
        ("openai/slow", "lost"),
        ("openai/gpt-4o-mini", "answered"),
    }


def test_a_silent_model_is_named_and_a_reasoning_one_waited_for() -> None:
    class Silent(Server):
        slow = 40.0

    def asked(timeout: float) -> Told:
        options = APIConnectOptions(max_retry=0, first_token_timeout=timeout)
        return talk(one, llm=openai.LLM(model="m", api_key="k", transport=Silent(), conn_options=options))

    told = asked(10.0)
    assert told.said == [APOLOGY]
    assert "said nothing of 'm' for 10 s before its answer began" in told.of(Error)[0].message
    assert told.of(Stalled) == []
    assert asked(60.0).said == ["Hello."]


def test_a_model_that_falls_silent_in_its_answer_is_named_too() -> None:
    class Halting(Server):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.method == "GET":
                return httpx.Response(200, json={})
            return httpx.Response(200, stream=_Halting())

    class _Halting(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield events([said("Half of it")])
            await clock.sleep(60.0)

    told = talk(one, llm=openai.LLM(model="m", api_key="k", transport=Halting()))
    assert told.said == ["Half of it", APOLOGY]
    assert "said nothing of 'm' for 10 s in the middle of its answer" in told.of(Error)[0].message
    assert told.of(Stalled) == []


def test_an_empty_answer_does_not_end_in_silence() -> None:
    told = talk(one, llm=gpt([said(finish="stop"), DONE]))
    assert told.said == [APOLOGY]
    assert "gave an empty answer" in told.of(Error)[0].message


@pytest.mark.parametrize("given", [5, "groq", openai.LLM])
def test_what_is_no_model_is_refused_before_anything_is_said(given: Any) -> None:
    async def use(session: AgentSession[Any]) -> None:
        with pytest.raises(UsageError):
            session.generate_reply(user_input="Hello?", llm=given)

    assert talk(use, llm=gpt(HELLO)).said == []


# Another model for one turn


def test_one_reply_may_come_from_another_model() -> None:
    first, second = Server(HELLO), Server([said("Bonjour.", finish="stop"), DONE])
    other = groq.LLM(model="llama", api_key="k", transport=second)

    async def use(session: AgentSession[Any]) -> None:
        await session.generate_reply(user_input="Hello?", llm=other)
        await session.run(user_input="Hello?")
        with pytest.raises(UsageError, match="GROQ_API_KEY"):
            session.generate_reply(llm="groq/llama")
        await session.generate_reply(user_input="What is your name?", llm="local/rules")

    told = talk(use, llm=openai.LLM(model="m", api_key="k", transport=first))
    assert told.said[:2] == ["Bonjour.", "Hello."]
    assert len(told.said) == 3
    assert (len(first.requests), len(second.requests)) == (1, 1)


# What goes back


def test_what_a_service_wants_back_with_a_call_stands_in_the_history() -> None:
    signed = {"extra_content": {"google": {"thought_signature": "c2ln"}}}
    calls: list[Any] = [called({**fragment("{}", name="look", index=0, id="a"), **signed}, finish="tool_calls"), DONE]
    server = Server(calls, HELLO)

    class Looks(Agent):
        @function_tool
        async def look(self, context: RunContext[Any]) -> str:
            """Look."""
            return "seen"

    agent = Looks(instructions="Look.")
    told = talk(one, agent=agent, llm=OpenAILLM("m", provider="gemini_openai", api_key="k", transport=server))
    (call,) = [item for item in told.session.history.items if isinstance(item, FunctionCall)]
    assert json.dumps(call.extra).count("c2ln") == 1
    assert json.dumps(server.body).count("c2ln") == 1


def test_what_a_service_wants_back_with_its_text_stands_in_the_history() -> None:
    signed = {"extra_content": {"google": {"thought_signature": "c2ln"}}}
    server = Server([said("Hello.", finish="stop", **signed), DONE], HELLO)
    told = talk(three, llm=OpenAILLM("m", provider="gemini_openai", api_key="k", transport=server))
    first = told.session.history.messages()[1]
    assert first.extra == {"google": {"thought_signature": "c2ln"}}
    assert json.dumps(server.body).count("c2ln") == 1


# On tape


def test_a_replay_tells_the_same_calls(tmp_path: Path) -> None:
    told = talk(three, llm=gpt(DOWN, DEAR, options=None), record=tmp_path / "call.tape")
    assert len(told.of(ModelCalled)) == 4
    again = replay(read_tape(tmp_path / "call.tape"))
    assert again.identical
