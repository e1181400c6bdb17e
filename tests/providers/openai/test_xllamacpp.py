"""llama.cpp's real server answers our client: the rows of the reference that are marked X."""

import asyncio
import json
from collections.abc import Coroutine, Iterator
from typing import Any, Literal, TypeVar

import httpx
import pytest

from agent_runtime import clock
from agent_runtime.chat import ChatContext
from agent_runtime.errors import APIError, APIStatusError, UsageError
from agent_runtime.llm import CollectedResponse
from agent_runtime.providers.openai.llm import OpenAILLM
from agent_runtime.tools import function_tool
from tests.providers import tiny_gguf
from tests.providers.openai_wire import hello
from tests.providers.tiny_gguf import TOOL_CALL, token

pytest.importorskip("xllamacpp")
pytestmark = [pytest.mark.sockets, pytest.mark.real_time]

T = TypeVar("T")

ANY = "abcdefghijklmnopqrstuvwxyz "
PLAIN: dict[str, Any] = {"seed": 7, "max_completion_tokens": 12, "logit_bias": {str(token(each)): 20 for each in ANY}}
"""The model says nothing but letters, so that what it says is text."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    model = tmp_path_factory.mktemp("model") / "tiny.gguf"
    tiny_gguf.make_gguf(model)
    with tiny_gguf.serving(model) as found:
        yield found


def run(main: Coroutine[Any, Any, T]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(20.0):
            return await main

    return asyncio.run(bounded())


def ask(address: str, chat_ctx: ChatContext | None = None, tools: Any = (), **extra: Any) -> CollectedResponse:
    async def main() -> CollectedResponse:
        llm = OpenAILLM("tiny", provider="llamacpp", base_url=f"{address}/v1")
        try:
            return await llm.chat(chat_ctx=chat_ctx or hello(), tools=tools, extra_kwargs={**PLAIN, **extra}).collect()
        finally:
            await llm.aclose()

    return run(main())


def tokens(response: CollectedResponse) -> tuple[int, int]:
    assert response.usage is not None
    return response.usage.prompt_tokens, response.usage.completion_tokens


CALLING: dict[str, Any] = {
    "tool_choice": "required",
    "parallel_tool_calls": False,
    "logit_bias": {str(token(TOOL_CALL)): 100, str(token("<|im_end|>")): 100},
    "max_completion_tokens": 1500,
}
"""A model of random numbers calls as often as it may; but it calls."""


@function_tool
async def get_weather(location: Literal["Paris", "Oslo"]) -> str:
    """How the weather is."""
    return location


@function_tool
async def write_down(text: str) -> str:
    """Write something down."""
    return text


def test_b3_b4_an_answer_streams_and_is_counted(address: str) -> None:
    response = ask(address, max_completion_tokens=5)
    assert len(response.text) == 5
    assert tokens(response)[1] == 5
    assert response.extra["finish_reason"] == "length"
    assert tokens(ask(address, max_tokens=3, max_completion_tokens=None))[1] == 3


def test_b7_one_seed_says_one_thing(address: str) -> None:
    assert ask(address).text == ask(address).text != ask(address, seed=8).text


def test_b1_b2_without_chance_seeds_do_not_matter(address: str) -> None:
    assert ask(address, temperature=0).text == ask(address, temperature=0, seed=8).text
    assert ask(address, top_p=0).text == ask(address, top_p=0, seed=8).text


def test_b5_b6_penalties_are_felt(address: str) -> None:
    said = ask(address, temperature=0, max_completion_tokens=40).text
    for penalty in ("frequency_penalty", "presence_penalty"):
        penalised: dict[str, Any] = {penalty: 2}
        assert len(set(ask(address, temperature=0, max_completion_tokens=40, **penalised).text)) > len(set(said))


def test_b8_a_stop_stops(address: str) -> None:
    said = ask(address).text
    response = ask(address, stop=[said[3:6]])
    assert response.text == said[:3]
    assert response.extra["finish_reason"] == "stop"


def test_b9_the_first_of_several_is_the_answer(address: str) -> None:
    response = ask(address, n=2)
    assert len(response.text) == 12
    assert [choice["index"] for choice in response.extra["choices"]] == [1]
    assert len(response.extra["choices"][0]["content"]) == 12


def test_b10_b11_logprobs_are_given(address: str) -> None:
    logprobs = ask(address, logprobs=True, top_logprobs=3, max_completion_tokens=2).extra["logprobs"]
    assert len(logprobs) == 2
    assert all(each["logprob"] <= 0.0 and len(each["top_logprobs"]) == 3 for each in logprobs)


def test_b12_a_bias_forces_a_token(address: str) -> None:
    assert ask(address, logit_bias={str(token("x")): 100}).text == "x" * 12


def test_b13_b14_a_tool_is_called(address: str) -> None:
    response = ask(address, tools=[get_weather], **CALLING)
    assert response.tool_calls
    for call in response.tool_calls:
        assert call.name == "get_weather"
        assert json.loads(call.arguments)["location"] in ("Paris", "Oslo")
    assert len({call.call_id for call in response.tool_calls}) == len(response.tool_calls)
    assert response.extra["finish_reason"] == "tool_calls"


def test_rule_2_a_call_that_reaches_the_limit_is_not_delivered(address: str) -> None:
    with pytest.raises(APIError, match=r"arguments of the tool call 'write_down'.*Raise max_completion_tokens"):
        ask(address, tools=[write_down], **{**CALLING, "max_completion_tokens": 60})


def test_d8_a_grammar_holds_the_answer_to_its_schema(address: str) -> None:
    schema = {
        "type": "object",
        "properties": {"ok": {"type": "boolean"}},
        "required": ["ok"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_object", "response_schema": schema, "enforce_validation": True}
    response = ask(address, response_format=wanted, max_completion_tokens=200, logit_bias={str(token("}")): 20})
    assert isinstance(json.loads(response.text)["ok"], bool)


def test_b15_add_generation_prompt_is_the_templates(address: str) -> None:
    opening = len("<assistant\n")  # the first is one token
    assert tokens(ask(address))[0] - tokens(ask(address, add_generation_prompt=False))[0] == opening


def test_b16_a_message_is_continued(address: str) -> None:
    chat_ctx = hello()
    chat_ctx.add_message(role="assistant", content="Once upon")
    alone = tokens(ask(address, hello(), add_generation_prompt=False))[0]
    continued = tokens(ask(address, chat_ctx, continue_final_message=True))[0]
    assert continued == alone + len("<assistant\nOnce upon")  # no end, so that the model goes on


def test_b16_both_template_flags_are_refused_by_us_before_the_server_does(address: str) -> None:
    chat_ctx = hello()
    chat_ctx.add_message(role="assistant", content="Once upon")
    both = {"continue_final_message": True, "add_generation_prompt": True}
    with pytest.raises(UsageError, match="both True"):
        ask(address, chat_ctx, **both)
    body = {"messages": [{"role": "assistant", "content": "Once"}], **both}
    response = httpx.post(f"{address}/v1/chat/completions", json=body)
    assert response.status_code == 400
    assert "Cannot set both" in response.json()["error"]["message"]


def test_a_context_that_is_too_long_is_the_requests_fault(address: str) -> None:
    chat_ctx = ChatContext()
    chat_ctx.add_message(role="user", content="x" * tiny_gguf.CONTEXT)
    with pytest.raises(APIStatusError, match="exceeds the available context size") as caught:
        ask(address, chat_ctx)
    assert (caught.value.status_code, caught.value.fault, caught.value.retryable) == (400, "request", False)


def test_history_with_calls_goes_through_the_template(address: str) -> None:
    from agent_runtime.chat import FunctionCall, FunctionCallOutput

    chat_ctx = hello()
    chat_ctx.insert(FunctionCall(call_id="a", name="get_weather", arguments='{"location": "Oslo"}'))
    chat_ctx.insert(FunctionCallOutput(call_id="a", output="Snow", is_error=False))
    assert len(ask(address, chat_ctx, tools=[get_weather], tool_choice="none").text) == 12


async def busy(client: httpx.AsyncClient, address: str) -> int:
    slots = (await client.get(f"{address}/slots")).json()
    return sum(slot["is_processing"] for slot in slots)


def test_closing_the_stream_frees_the_slot(address: str) -> None:
    async def main() -> tuple[int, int, float]:
        llm = OpenAILLM("tiny", provider="llamacpp", base_url=f"{address}/v1")
        endless = {**PLAIN, "max_completion_tokens": 8000, "ignore_eos": True}
        async with httpx.AsyncClient() as client:
            async with llm.chat(chat_ctx=hello(), extra_kwargs=endless) as stream:
                await anext(aiter(stream))
                during = await busy(client, address)
            closed = clock.now()
            while after := await busy(client, address):
                await clock.sleep(0.001)
            took = clock.now() - closed
        await llm.aclose()
        return during, after, took

    during, after, took = run(main())
    assert (during, after) == (1, 0)
    assert took < 0.5  # it would have gone on for longer


def test_sixteen_at_once(address: str) -> None:
    async def main() -> list[str]:
        llm = OpenAILLM("tiny", provider="llamacpp", base_url=f"{address}/v1", max_completion_tokens=30)

        async def one(seed: int) -> str:
            return (await llm.chat(chat_ctx=hello(), extra_kwargs={**PLAIN, "seed": seed % 2}).collect()).text

        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(one(seed)) for seed in range(16)]
        await llm.aclose()
        return [each.result() for each in asked]

    texts = run(main())
    assert {len(text) for text in texts} == {12}
    assert len({*texts[::2]}) == 1  # nobody got a piece of another's answer
    assert texts[0] != texts[1]
