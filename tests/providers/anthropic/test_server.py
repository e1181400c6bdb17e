"""The wire of Anthropic against llama.cpp's real server, which speaks it at ``/v1/messages``. What is said means nothing."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.chat import ChatContext
from agent_runtime.errors import APIError
from agent_runtime.llm import ChatChunk, CollectedResponse, FunctionToolCall
from agent_runtime.providers.anthropic.llm import AnthropicLLM
from tests.providers import tiny_gguf
from tests.providers.wires import called, conversation, raw_tool

pytestmark = [pytest.mark.sockets, pytest.mark.real_time]

SWITCH = raw_tool("switch", {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("xllamacpp")
    path: Path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    tiny_gguf.make_gguf(path)
    return path


@pytest.fixture(scope="module")
def url(model: Path) -> Iterator[str]:
    with tiny_gguf.serving(model) as address:
        yield address


@pytest.fixture(scope="module")
def calling(model: Path) -> Iterator[str]:
    """Of a model that makes one call after the other, as far as the server's grammar lets it."""
    import gguf

    path = model.with_name("calling.gguf")
    path.write_bytes(model.read_bytes())
    weights: dict[str, Any] = {tensor.name: tensor.data for tensor in gguf.GGUFReader(path, "r+").tensors}
    weights["token_embd.weight"][:, 0] = 1000  # one number that is the same whatever was said, and larger than all else
    weights["output.weight"][tiny_gguf.token(tiny_gguf.TOOL_CALL), 0] = 10
    del weights
    with tiny_gguf.serving(path) as address:
        yield address


def ask(url: str, chat_ctx: ChatContext | None = None, **options: Any) -> CollectedResponse:
    asked = {
        name: options.pop(name)
        for name in ("tools", "tool_choice", "response_format", "extra_kwargs")
        if name in options
    }

    async def answered() -> CollectedResponse:
        llm = AnthropicLLM("tiny", base_url=url, **options)
        try:
            ctx = chat_ctx or conversation(("system", "Be brief."), ("user", "Hello"))
            return await llm.chat(chat_ctx=ctx, **asked).collect()
        finally:
            await llm.aclose()

    return asyncio.run(answered())


def test_c5_a_real_server_streams_to_us(url: str) -> None:
    found = ask(url, max_tokens=8, temperature=0)
    assert found.text
    assert found.extra["finish_reason"] == "length"
    assert found.usage is not None
    assert found.usage.completion_tokens == 8
    assert found.usage.prompt_tokens > 20
    assert found.text == ask(url, max_tokens=8, temperature=0).text


def test_c8_its_call_is_whole(calling: str) -> None:
    async def first_call() -> FunctionToolCall:
        llm = AnthropicLLM("tiny", base_url=calling, max_tokens=300)
        async with llm.chat(chat_ctx=conversation(("user", "Hi")), tools=[SWITCH], tool_choice="required") as stream:
            async for chunk in stream:
                if chunk.delta and chunk.delta.tool_calls:
                    break
        await llm.aclose()
        assert chunk.delta is not None
        return chunk.delta.tool_calls[0]

    call = asyncio.run(first_call())
    assert call.name == "switch"
    assert json.loads(call.arguments)["on"] in (True, False)


def test_no_call_that_it_cut_off_is_given(calling: str) -> None:
    errors = []
    for most in range(40, 70, 2):
        try:
            found = ask(calling, max_tokens=most, temperature=0, tools=[SWITCH], tool_choice="required")
        except APIError as error:
            errors.append(str(error))
        else:
            assert all(json.loads(call.arguments)["on"] in (True, False) for call in found.tool_calls)
    assert errors
    assert all("broke off at max_tokens, in the arguments of the tool 'switch'" in error for error in errors)


def test_d8_an_answer_of_a_given_form(calling: str) -> None:
    schema = {"type": "object", "properties": {"yes": {"type": "boolean"}}, "required": ["yes"], "title": "Answer"}
    wanted = {"type": "json_object", "response_schema": schema, "enforce_validation": True}
    found = ask(calling, max_tokens=300, structured_output="tool", response_format=wanted)
    assert json.loads(found.text)["yes"] in (True, False)
    assert found.tool_calls == []


def test_it_takes_a_history_with_calls(url: str) -> None:
    ctx = conversation(("user", "On?"), *called("c1", "switch", '{"on": true}', "done"), ("assistant", "It is on."))
    assert ask(url, ctx, max_tokens=4).usage is not None
    assert ask(url, ctx, max_tokens=4, tools=[SWITCH], tool_choice="none").tool_calls == []


def test_closing_frees_the_servers_slot(url: str) -> None:
    async def leave() -> int:
        llm = AnthropicLLM("tiny", base_url=url, max_tokens=4000)
        ctx = conversation(("user", "Hello"))
        async with llm.chat(chat_ctx=ctx) as stream:
            first: ChatChunk = await anext(aiter(stream))
            assert first.delta is not None
        client = await llm.connections.client()
        busy = 99
        async with asyncio.timeout(2):
            while busy:
                slots = (await client.get(url + "/slots")).json()
                busy = sum(slot["is_processing"] for slot in slots)
        await llm.aclose()
        return busy

    assert asyncio.run(leave()) == 0
