"""What no service may be asked is refused by each client alike, before anything is sent."""

from collections.abc import Callable
from typing import Any

import pytest

from agent_runtime import virtual
from agent_runtime.errors import UsageError
from agent_runtime.providers.anthropic.llm import AnthropicLLM
from agent_runtime.providers.bedrock.llm import BedrockLLM
from agent_runtime.providers.gemini.llm import GeminiLLM
from agent_runtime.providers.livekit_inference import InferenceLLM
from agent_runtime.providers.openai.llm import OpenAILLM
from agent_runtime.providers.remote import Asked, RemoteLLM
from agent_runtime.providers.schemas import response_schema, strict
from agent_runtime.tools import ToolContext, function_tool
from tests.providers.wires import HELLO, Scripted, book, collect, conversation, get_weather

Make = Callable[..., RemoteLLM]

CLIENTS: dict[str, Make] = {
    "openai": lambda **options: OpenAILLM("gpt-4.1", api_key="k", **options),
    "livekit": lambda **options: InferenceLLM("openai/gpt-4.1", api_key="k", api_secret="s", **options),
    "anthropic": lambda **options: AnthropicLLM(api_key="k", **options),
    "google": lambda **options: GeminiLLM(api_key="k", **options),
    "bedrock": lambda **options: BedrockLLM(bearer_token="k", **options),
}

BOTH_FLAGS = {"add_generation_prompt": True, "continue_final_message": True}

PARAMETERS: list[tuple[dict[str, Any], str]] = [
    ({"stop": []}, r"stop is \[\]; name a text in it, or leave it out"),
    ({"stop": 5}, "stop is 5; it is a text"),
    (BOTH_FLAGS, "continue_final_message and add_generation_prompt are both True; leave add_generation_prompt out"),
    ({"extra_body": BOTH_FLAGS}, "are both True"),
    ({"add_generation_prompt": "no"}, "add_generation_prompt is 'no'; it is True or False"),
    ({"messages": []}, r"messages is \[\] among the parameters.*the messages are those of chat_ctx"),
    ({"contents": []}, r"contents is \[\] among the parameters.*the messages are those of chat_ctx"),
    ({"extra_body": {"messages": []}}, r"messages is \[\]"),
    ({"model": "other"}, "model is 'other' among the parameters; give it to the model itself"),
    ({"extra_body": {"model": "other"}}, "model is 'other'"),
    ({"stream": "no"}, "stream is 'no'"),
    ({"tools": [1]}, "1 is no tool|it is a list of dictionaries"),
    ({"tools": "search"}, "tools is 'search'"),
    ({"tool_choice": "sometimes"}, "tool_choice is 'sometimes'; it is 'auto', 'required', 'none' or"),
    ({"parallel_tool_calls": "yes"}, "parallel_tool_calls is 'yes'; it is True or False"),
    ({"timeout": -1}, r"timeout is -1 among .* said by conn_options=APIConnectOptions\(timeout=\.\.\.\)"),
    ({"timeout": 5.0}, "timeout is 5.0 among"),
    ({"max_retries": 2}, r"max_retries is 2 among .* conn_options=APIConnectOptions\(max_retry=\.\.\.\)"),
    ({"anything": [float("inf")]}, "JSON"),
]


def refused(llm: RemoteLLM, service: Scripted, said: str, **asked: Any) -> None:
    with pytest.raises(UsageError, match=said):
        collect(llm, **asked)
    assert service.requests == [], "nothing was sent"


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(("given", "said"), PARAMETERS, ids=[str(given) for given, _ in PARAMETERS])
def test_a_parameter_out_of_its_range_is_sent_to_no_service(client: str, given: dict[str, Any], said: str) -> None:
    service = Scripted(b"")
    refused(CLIENTS[client](transport=service), service, said, extra_kwargs=given)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(("given", "said"), PARAMETERS[:-1], ids=[str(given) for given, _ in PARAMETERS[:-1]])
def test_nor_is_a_model_made_with_one(client: str, given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        CLIENTS[client](extra_kwargs=given, transport=Scripted(b""))


@pytest.mark.parametrize("client", [each for each in CLIENTS if each != "google"])
def test_an_answer_is_streamed(client: str) -> None:
    """But for Gemini, which can be asked for one in one piece."""
    service = Scripted(b"")
    said = "stream is False; leave it out: answers are streamed"
    refused(CLIENTS[client](transport=service), service, said, extra_kwargs={"stream": False})


@pytest.mark.parametrize("client", ["openai", "anthropic", "bedrock"])
def test_b16_one_flag_of_the_model_and_one_of_the_call_are_both_too(client: str) -> None:
    service = Scripted(b"")
    llm = CLIENTS[client](extra_kwargs={"add_generation_prompt": True}, transport=service)
    refused(llm, service, "are both True", extra_kwargs={"continue_final_message": True})


@function_tool(name="book")
async def another(title: str) -> str:
    """Not the same book."""
    return title


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"tools": [1]}, "1 is no tool; put @function_tool above the function"),
        ({"tools": "book"}, "tools is 'book'; it is a list of tools"),
        ({"tools": [{}]}, "tool"),
        ({"tools": [{"type": "function"}]}, "tool"),
        ({"tools": [book, another]}, "There are two tools 'book'; give one of them another name"),
        ({"tools": [book, get_weather, ToolContext([another])]}, "two tools 'book'"),
        ({"tool_choice": "sometimes"}, "tool_choice is 'sometimes'"),
        ({"tool_choice": "sometimes", "tools": [book]}, "tool_choice is 'sometimes'"),
        ({"tool_choice": {"type": "function"}}, "tool_choice is {'type': 'function'}"),
        ({"parallel_tool_calls": 1}, "parallel_tool_calls is 1; it is True or False"),
        ({"extra_kwargs": [1]}, r"extra_kwargs is \[1\]; it is a dictionary"),
    ],
    ids=str,
)
def test_tools_and_their_choice(client: str, asked: dict[str, Any], said: str) -> None:
    service = Scripted(b"")
    refused(CLIENTS[client](transport=service), service, said, **asked)


def form(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


FREE: dict[str, Any] = {"type": "object"}
NESTED: list[dict[str, Any]] = [
    {"type": "object", "properties": {"a": FREE}},
    {"type": "object", "properties": {"a": {"type": "array", "items": FREE}}},
    {"type": "object", "properties": {"a": {"anyOf": [FREE, {"type": "null"}]}}},
    {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": FREE}},
]


@pytest.mark.parametrize("client", ["anthropic", "bedrock"])
@pytest.mark.parametrize("schema", [FREE, {"type": "object", "properties": {}}, *NESTED], ids=str)
def test_an_object_of_any_keys_is_not_made_an_empty_one(client: str, schema: dict[str, Any]) -> None:
    for response_format in (form(schema), schema):
        service = Scripted(b"")
        said = "cannot be forced on this model, because .* takes keys that are not known before"
        refused(CLIENTS[client](transport=service), service, said, response_format=response_format)


@pytest.mark.parametrize("schema", [FREE, *NESTED], ids=str)
def test_openai_is_told_that_it_is_not_strict(schema: dict[str, Any]) -> None:
    for response_format in (form(schema), schema):
        found = response_schema(response_format)
        assert found is not None
        assert found.openai()["json_schema"]["strict"] is False
        assert found.sent == schema


def test_an_object_that_is_said_to_be_empty_may_be() -> None:
    closed = {"type": "object", "additionalProperties": False}
    empty = {**closed, "properties": {}, "required": []}
    assert strict(closed, nullable=False) == empty
    schema = {"type": "object", "properties": {"a": closed}}
    assert strict(schema, nullable=False)["properties"] == {"a": empty}


NATIVE: dict[str, dict[str, Any]] = {
    "openai": {"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {}}}},
    "anthropic": {"name": "find", "input_schema": {"type": "object"}},
    "google": {"functionDeclarations": [{"name": "find"}]},
    "bedrock": {"toolSpec": {"name": "find", "inputSchema": {"json": {"type": "object"}}}},
}


@pytest.mark.parametrize("client", NATIVE)
def test_a_tool_in_the_services_own_words_stands_beside_the_others(client: str) -> None:
    """Given as a tool or as a parameter; a list of them does not replace the agent's."""

    async def main() -> list[bytes]:
        llm = CLIENTS[client](transport=Scripted(b""))
        given = (
            Asked(conversation(*HELLO), tools=[book, NATIVE[client]]),  # type: ignore[list-item]
            Asked(conversation(*HELLO), tools=[book], extra_kwargs={"tools": [NATIVE[client]]}),
        )
        sent = [(await llm.request(asked)).content for asked in given]
        await llm.aclose()
        return sent

    one, other = virtual.run(main())
    assert one == other
    assert one.count(b'"name":"find"') == one.count(b'"name":"book"') == 1
