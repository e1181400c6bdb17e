import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest

from agent_runtime import clock, virtual
from agent_runtime.chat import ChatContext, ChatMessage
from agent_runtime.errors import APIStatusError, UsageError
from agent_runtime.inference.fallback import AHEAD, GO_ON, FallbackLLM, NoModelAnswered
from agent_runtime.llm import (
    LLM,
    ChatChunk,
    ChoiceDelta,
    CompletionUsage,
    FunctionToolCall,
    LLMStream,
    ModelCall,
    reporting,
)
from agent_runtime.plugins import openai

CALL = FunctionToolCall("stop", "{}", "c1")


def down(status: int = 503) -> APIStatusError:
    return APIStatusError("it is down", status_code=status, provider="a", retryable=True)


class Script(LLM):
    """Each request plays the next script: texts and calls are chunks, numbers are seconds, exceptions are raised."""

    def __init__(self, label: str, *scripts: Sequence[Any], patience: float | None = None) -> None:
        self.label = label
        self.scripts = list(scripts)
        self.asked: list[Any] = []
        self.contexts: list[ChatContext] = []
        self.closed: list[Any] = []
        if patience is not None:
            self.first_token_timeout = patience

    def chat(self, *, chat_ctx: ChatContext, tools: Any = (), tool_choice: Any = None) -> LLMStream:
        self.asked.append(clock.now())
        self.contexts.append(chat_ctx)
        return _Play(self, self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0])


class _Play(LLMStream):
    def __init__(self, llm: Script, script: Sequence[Any]) -> None:
        self._llm = llm
        self._script = script

    async def generate(self) -> AsyncIterator[ChatChunk]:
        try:
            for piece in self._script:
                if isinstance(piece, Exception):
                    raise piece
                if isinstance(piece, str):
                    yield ChatChunk("1", ChoiceDelta(content=piece))
                elif isinstance(piece, FunctionToolCall):
                    yield ChatChunk("1", ChoiceDelta(tool_calls=[piece]))
                elif isinstance(piece, ChatChunk):
                    yield piece
                else:
                    await clock.sleep(piece)
        finally:
            self._llm.closed.append(clock.now())


async def said(chain: LLM) -> tuple[str, Any]:
    """The answer and when its first piece came."""
    text, first = "", None
    async with chain.chat(chat_ctx=ChatContext()) as stream:
        async for chunk in stream:
            first = clock.now() if first is None else first
            text += (chunk.delta.content or "") if chunk.delta else ""
    return text, first if first is not None else clock.now()


def ask(chain: LLM) -> tuple[str, Any]:
    async def main() -> tuple[str, Any]:
        try:
            return await said(chain)
        finally:
            await chain.aclose()

    return virtual.run(main())


def test_the_first_answers_and_the_second_is_not_asked() -> None:
    a, b = Script("a", [0.2, "one ", "two"]), Script("b", ["no"])
    assert ask(FallbackLLM([a, b])) == ("one two", pytest.approx(0.2))
    assert b.asked == []


@pytest.mark.parametrize("status", [401, 404, 429, 500])
def test_when_it_fails_the_next_one_answers(status: int) -> None:
    a, b = Script("a", [0.1, down(status)]), Script("b", [0.2, "two"])
    assert ask(FallbackLLM([a, b])) == ("two", pytest.approx(0.3))


def test_when_it_is_silent_the_next_one_answers() -> None:
    a, b = Script("a", [60.0]), Script("b", ["two"])
    assert ask(FallbackLLM([a, b])) == ("two", pytest.approx(5.0))
    assert a.closed == [pytest.approx(5.0)]


def test_what_is_thought_or_blank_is_no_answer() -> None:
    thought = ChatChunk("1", ChoiceDelta(extra={"reasoning": "hm"}))
    a, b = Script("a", [thought, " ", "\n", 60.0]), Script("b", ["two"])
    assert ask(FallbackLLM([a, b])) == ("two", pytest.approx(5.0))


def test_more_thoughts_than_wait_in_a_channel_do_not_hold_the_answer_up() -> None:
    thoughts = [ChatChunk("1", ChoiceDelta(extra={"reasoning": str(number)})) for number in range(AHEAD + 50)]

    async def main() -> list[ChatChunk]:
        chain = FallbackLLM([Script("a", [*thoughts, "one"]), Script("b", ["two"])])
        async with chain.chat(chat_ctx=ChatContext()) as stream:
            return [chunk async for chunk in stream]

    chunks = virtual.run(main())
    assert chunks[:-1] == thoughts
    assert chunks[-1].delta is not None
    assert chunks[-1].delta.content == "one"


def test_a_reasoning_model_has_the_time_that_it_asks_for() -> None:
    a, b = Script("a", [40.0, "one"], patience=60.0), Script("b", ["two"])
    chain = FallbackLLM([a, b])
    assert ask(chain) == ("one", pytest.approx(40.0))
    assert chain.first_token_timeout == 65.0


def test_one_with_another_behind_it_is_not_asked_again_and_the_last_one_is() -> None:
    class Refusing(httpx.AsyncBaseTransport):
        def __init__(self) -> None:
            self.asked = 0

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            self.asked += 1
            return httpx.Response(503, json={})

    ways = Refusing(), Refusing()
    models = [openai.LLM(model="m", api_key="k", transport=way) for way in ways]
    with pytest.raises(NoModelAnswered):
        ask(FallbackLLM(models))
    assert [way.asked for way in ways] == [1, 4]


def test_all_failing_is_one_error_that_names_each() -> None:
    with pytest.raises(NoModelAnswered, match=r"None of 2 models answered. a: it is down b: it is down") as caught:
        ask(FallbackLLM([Script("a", [down()]), Script("b", [down(401)])]))
    assert list(caught.value.errors) == ["a", "b"]


def test_a_mistake_of_the_application_is_not_answered_by_another_model() -> None:
    b = Script("b", ["two"])
    with pytest.raises(UsageError, match="temperature is 9"):
        ask(FallbackLLM([Script("a", [UsageError("temperature is 9")]), b]))
    assert b.asked == []


def test_after_the_first_word_there_is_no_silent_switch() -> None:
    a, b = Script("a", ["one ", 0.1, down()]), Script("b", ["two"])
    with pytest.raises(APIStatusError, match="it is down"):
        ask(FallbackLLM([a, b]))
    assert b.asked == []


def test_where_it_is_wished_the_next_one_goes_on_with_what_was_said() -> None:
    a, b = Script("a", ["one ", 0.1, down()]), Script("b", ["two"])
    assert ask(FallbackLLM([a, b], continue_answers=True))[0] == "one two"
    told = [(item.role, item.text_content) for item in b.contexts[0].items if isinstance(item, ChatMessage)]
    assert told == [("assistant", "one "), ("system", GO_ON)]


def test_a_call_of_a_tool_is_never_gone_on_with() -> None:
    a, b = Script("a", [CALL, down()]), Script("b", ["two"])
    with pytest.raises(APIStatusError):
        ask(FallbackLLM([a, b], continue_answers=True))
    assert b.asked == []


def test_where_one_answers_nothing_the_next_one_is_asked() -> None:
    usage = ChatChunk("1", usage=CompletionUsage(1, 2, 3))
    a, b = Script("a", [0.1, " ", usage]), Script("b", [0.1, "two"])
    chain = FallbackLLM([a, b])
    assert ask(chain) == ("two", pytest.approx(0.2))
    assert not chain.availability.is_down(0)


def test_where_one_answers_nothing_the_one_beside_it_is_waited_for() -> None:
    a, b = Script("a", [0.7]), Script("b", [0.3, "two"])
    assert ask(FallbackLLM([a, b], hedges=[None, 0.6])) == ("two", pytest.approx(0.9))


@pytest.mark.parametrize(("first", "second"), [([0.1], [0.1]), ([0.1, down()], [0.1]), ([0.1], [0.1, down()])])
def test_where_none_answers_more_the_answer_is_empty(first: list[Any], second: list[Any]) -> None:
    assert ask(FallbackLLM([Script("a", first), Script("b", second)])) == ("", pytest.approx(0.2))


@pytest.mark.parametrize(
    ("fault", "retryable", "is_down"),
    [("request", False, False), ("answer", False, False), ("answer", True, True), ("key", False, True)],
)
def test_a_fault_of_the_request_is_not_held_against_the_model(fault: Any, retryable: bool, is_down: bool) -> None:
    wrong = APIStatusError("too long", status_code=400, provider="a", fault=fault, retryable=retryable)
    a, b = Script("a", [wrong], ["one"]), Script("b", ["two"])
    chain = FallbackLLM([a, b])

    async def main() -> list[str]:
        return [(await said(chain))[0] for _ in range(2)]

    assert virtual.run(main()) == (["two", "two"] if is_down else ["two", "one"])


def test_of_two_with_one_label_each_has_its_error() -> None:
    failing = [
        Script(label, [APIStatusError(text, status_code=503, provider="a")])
        for label, text in (("a", "one"), ("b", "two"), ("a", "three"))
    ]
    with pytest.raises(
        NoModelAnswered, match=r"None of 3 models answered. a \(1\): one b: two a \(3\): three"
    ) as caught:
        ask(FallbackLLM(failing))
    assert list(caught.value.errors) == ["a (1)", "b", "a (3)"]


def test_the_third_goes_on_with_what_both_before_it_said_once() -> None:
    a, b, c = Script("a", ["one ", down()]), Script("b", ["two ", down()]), Script("c", ["three"])
    assert ask(FallbackLLM([a, b, c], continue_answers=True))[0] == "one two three"
    told = [(item.role, item.text_content) for item in c.contexts[0].items if isinstance(item, ChatMessage)]
    assert told == [("assistant", "one two "), ("system", GO_ON)]


def test_closing_closes_each_and_then_tells_what_went_wrong() -> None:
    class Closing(Script):
        closed_at: float | None = None

        async def aclose(self) -> None:
            if self.label == "a":
                raise OSError("the line is gone")
            await clock.sleep(0.1)
            self.closed_at = clock.now()

    b = Closing("b", [])

    async def main() -> None:
        with pytest.raises(OSError, match="the line is gone"):
            await FallbackLLM([Closing("a", []), b]).aclose()
        assert b.closed_at == pytest.approx(0.1)

    virtual.run(main())


# The hedge


def test_a_slow_first_has_the_second_asked_besides_and_the_faster_wins() -> None:
    a, b = Script("a", [2.0, "one"]), Script("b", [0.3, "two"])
    assert ask(FallbackLLM([a, b], hedges=[None, 0.6])) == ("two", pytest.approx(0.9))
    assert b.asked == [pytest.approx(0.6)]
    assert a.closed == [pytest.approx(0.9)], "the loser is closed at once"


def test_the_first_may_win_after_all() -> None:
    a, b = Script("a", [0.8, "one", 1.0, " more"]), Script("b", [9.0, "two"])
    assert ask(FallbackLLM([a, b], hedges=[None, 0.6])) == ("one more", pytest.approx(0.8))
    assert b.closed == [pytest.approx(0.8)]


def test_a_fast_first_has_nobody_asked_besides() -> None:
    a, b = Script("a", [0.5, "one", 5.0, " more"]), Script("b", ["two"])
    assert ask(FallbackLLM([a, b], hedges=[None, 0.6])) == ("one more", pytest.approx(0.5))
    assert b.asked == []


def test_a_first_that_fails_does_not_have_the_hedge_waited_for() -> None:
    a, b = Script("a", [0.1, down()]), Script("b", [0.1, "two"])
    assert ask(FallbackLLM([a, b], hedges=[None, 0.6])) == ("two", pytest.approx(0.2))


def test_a_third_is_hedged_from_the_second_on() -> None:
    a, b, c = Script("a", [9.0]), Script("b", [9.0]), Script("c", [0.1, "three"])
    assert ask(FallbackLLM([a, b, c], hedges=[None, 0.5, 0.4])) == ("three", pytest.approx(1.0))
    assert (a.closed, b.closed) == ([pytest.approx(1.0)], [pytest.approx(1.0)])


def test_a_hedge_that_fails_leaves_the_first_in_the_race() -> None:
    a, b = Script("a", [2.0, "one"]), Script("b", [down()])
    assert ask(FallbackLLM([a, b], hedges=[None, 0.6])) == ("one", pytest.approx(2.0))


def test_a_learned_hedge_comes_sooner_with_a_fast_model() -> None:
    a = Script("a", *[[0.2, "one"]] * 8, [9.0])
    b = Script("b", ["two"])
    chain = FallbackLLM([a, b], hedges=[None, "p90"])

    async def main() -> float:
        for _ in range(8):
            await said(chain)
        before = clock.now()
        await said(chain)
        return clock.now() - before

    assert virtual.run(main()) == pytest.approx(0.2)


# What is remembered


def test_who_was_down_is_passed_over_and_asked_again_besides_later() -> None:
    a = Script("a", [down()], [0.5, "back"], ["one"])
    b = Script("b", ["two"])
    chain = FallbackLLM([a, b])

    async def main() -> list[str]:
        told = []
        for pause in (0.0, 1.0, 5.0, 1.0):
            await clock.sleep(pause)
            told.append((await said(chain))[0])
        await chain.aclose()
        return told

    assert virtual.run(main()) == ["two", "two", "two", "one"]
    assert a.asked == [0.0, pytest.approx(6.0), pytest.approx(7.0)]


def test_closing_ends_a_probe_that_hangs() -> None:
    a, b = Script("a", [down()], [60.0]), Script("b", ["two"])
    chain = FallbackLLM([a, b])

    async def main() -> tuple[int, Any]:
        await said(chain)
        await clock.sleep(6.0)
        await said(chain)
        probes = len(chain.probes)
        await chain.aclose()
        return probes, clock.now()

    assert virtual.run(main()) == (1, pytest.approx(6.0))
    assert len(a.closed) == 2


# The end


def test_closing_the_stream_closes_every_model() -> None:
    a, b = Script("a", [9.0]), Script("b", [9.0])
    chain = FallbackLLM([a, b], hedges=[None, 0.2])

    async def read(stream: LLMStream) -> None:
        async for _ in stream:
            pass

    async def main() -> None:
        stream = chain.chat(chat_ctx=ChatContext())
        task = asyncio.ensure_future(read(stream))
        await clock.sleep(1.0)
        task.cancel()
        await asyncio.wait([task])
        await stream.aclose()
        assert (a.closed, b.closed) == ([1.0], [1.0])
        assert len(asyncio.all_tasks()) == 1

    virtual.run(main())


class Reporting(Script):
    """As models of services do."""

    def chat(self, *, chat_ctx: ChatContext, tools: Any = (), tool_choice: Any = None) -> LLMStream:
        return _Reporting(self, self.scripts[0])


class _Reporting(_Play):
    async def generate(self) -> AsyncIterator[ChatChunk]:
        outcome = "cancelled"
        try:
            async for chunk in super().generate():
                yield chunk
            outcome = "answered"
        finally:
            report = reporting.get()
            assert report is not None
            now = clock.now()
            report(
                ModelCall(
                    provider="x",
                    model=self._llm.label,
                    outcome=outcome,  # type: ignore[arg-type]
                    requested_at=now,
                    first_token_at=None,
                    ended_at=now,
                    characters=0,
                )
            )


def reported(a: Sequence[Any], b: Sequence[Any], **options: Any) -> dict[str, tuple[str, str | None]]:
    """What the requests to two models came to, and the errors."""
    calls: list[ModelCall] = []

    async def main() -> None:
        reporting.set(calls.append)
        await said(FallbackLLM([Reporting("a", a), Reporting("b", b)], **options))

    virtual.run(main())
    return {call.model: (call.outcome, call.error) for call in calls}


def test_what_each_request_came_to_is_reported() -> None:
    assert reported([9.0], [0.1, "two"], hedges=[None, 0.6]) == {"a": ("lost", None), "b": ("answered", None)}


@pytest.mark.parametrize("options", [{}, {"hedges": [None, 0.6]}])
def test_an_empty_answer_in_whose_place_another_was_given_is_booked_as_failed(options: dict[str, Any]) -> None:
    assert reported([0.7, " "], [0.3, "two"], **options) == {
        "a": ("failed", "a gave an empty answer."),
        "b": ("answered", None),
    }


def test_an_empty_answer_that_is_the_answer_is_booked_as_one() -> None:
    assert reported([0.1], [0.1])["b"] == ("answered", None)


@pytest.mark.parametrize(
    ("models", "hedges", "message"),
    [
        (1, (), "two models or more, not 1"),
        (2, (None,), "one entry for each model"),
        (2, (0.5, 0.5), "None for the first"),
    ],
)
def test_what_is_no_chain(models: int, hedges: tuple[Any, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        FallbackLLM([Script("a", [])] * models, hedges=hedges)


@pytest.mark.parametrize(
    ("models", "options", "message"),
    [
        ("a/x | b/y", {}, "has the string 'a/x | b/y'; give a list of models"),
        ([Script("a", []), "b/y?api_key=SESAME"], {}, r"Model 2 of FallbackLLM is the string 'b/y\?api_key=\*\*\*'"),
        ([Script("a", []), 3], {}, "Model 2 of FallbackLLM is 3; give an object of class LLM"),
        (None, {"hedges": "600ms"}, "hedges='600ms'; give a list"),
        (None, {"hedges": [None, "600ms"]}, "the hedge '600ms' for model 2; it is a number of seconds above 0, 'p90'"),
        (None, {"hedges": [None, "p95"]}, "the hedge 'p95'"),
        (None, {"hedges": [None, 0]}, "the hedge 0 "),
        (None, {"hedges": [None, -1]}, "the hedge -1 "),
        (None, {"attempt_timeout": 0}, "attempt_timeout=0; it is a number of seconds above 0"),
        (None, {"attempt_timeout": float("nan")}, "attempt_timeout=nan"),
        (None, {"attempt_timeout": "5"}, "attempt_timeout='5'"),
        (None, {"max_retry_per_llm": -1}, "max_retry_per_llm=-1; it is a whole number from 0 on"),
        (None, {"max_retry_per_llm": 1.5}, "max_retry_per_llm=1.5"),
    ],
)
def test_an_argument_of_the_wrong_form_is_named(models: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        FallbackLLM(models or [Script("a", []), Script("b", [])], **options)


def test_usage_comes_through() -> None:
    usage = ChatChunk("1", usage=CompletionUsage(1, 2, 3))

    async def main() -> Any:
        return (
            await FallbackLLM([Script("a", ["one", usage]), Script("b", [])]).chat(chat_ctx=ChatContext()).collect()
        ).usage

    assert virtual.run(main()) == CompletionUsage(1, 2, 3)
