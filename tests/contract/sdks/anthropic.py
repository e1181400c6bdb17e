"""The calls as users of the `anthropic` package write them."""

from collections.abc import Callable, Mapping
from typing import Any

import anthropic  # type: ignore[import-not-found,import-untyped,attr-defined,unused-ignore]

from tests.contract.material import (
    BOOK_TOOL,
    FORECAST,
    HELLO,
    KEY,
    LONG,
    PDF_BASE64,
    PICTURE_URL,
    PNG_BASE64,
    SAID,
    SYSTEM,
    WEATHER_TOOL,
)
from tests.contract.sdks.running import run


def text(said: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": said, **more}


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": [text(each) if isinstance(each, str) else each for each in blocks]}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": [text(each) if isinstance(each, str) else each for each in blocks]}


def used(call_id: str, city: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": "get_weather", "input": {"city": city}}


def result(call_id: str, content: str) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content}


EPHEMERAL = {"type": "ephemeral"}
WEATHER = {
    "name": "get_weather",
    "description": WEATHER_TOOL,
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "where"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
BOOK = {
    "name": "book",
    "description": BOOK_TOOL,
    "input_schema": {
        "type": "object",
        "properties": {
            "seats": {"type": "integer"},
            "name": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        },
        "required": ["seats"],
        "additionalProperties": False,
    },
}
QUESTION = "Weather in Rome?"
TOOLS = {"messages": [user(QUESTION)], "tools": [WEATHER, BOOK]}

CALLS: dict[str, dict[str, Any]] = {
    "plain": {},
    "turns": {
        "system": [text(SYSTEM)],
        "messages": [user(HELLO), assistant("Hi, what can I do?"), user("Tell me a joke.")],
    },
    "tool_turn": {
        "messages": [user(QUESTION), assistant(used("call_1", "Rome")), user(result("call_1", "sunny in Rome"))],
        "tools": [WEATHER],
    },
    "parallel_calls": {
        "messages": [
            user("Weather in Rome and Bern?"),
            assistant(used("call_1", "Rome"), used("call_2", "Bern")),
            user(result("call_1", "sunny in Rome"), result("call_2", "rain in Bern")),
        ],
        "tools": [WEATHER],
    },
    "spoken_call": {
        "system": [text(SYSTEM)],
        "messages": [
            user(QUESTION),
            assistant("Let me look.", used("call_1", "Rome")),
            user(result("call_1", "sunny in Rome")),
            assistant("It is sunny."),
            user("Thanks!"),
        ],
        "tools": [WEATHER],
    },
    "tools": TOOLS,
    "choice_auto": {**TOOLS, "tool_choice": {"type": "auto"}},
    "choice_required": {**TOOLS, "tool_choice": {"type": "any"}},
    "choice_none": {**TOOLS, "tool_choice": {"type": "none"}},
    "choice_named": {**TOOLS, "tool_choice": {"type": "tool", "name": "book"}},
    "one_call": {**TOOLS, "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
    # This version of the SDK has no arguments for these, the service has.
    "sampling": {"max_tokens": 100, "extra_body": {"temperature": 0.7, "top_p": 0.9}},
    "top_k": {"extra_body": {"top_k": 40}},
    "stop": {"stop_sequences": ["###", "END"]},
    "json_schema": {"output_config": {"format": {"type": "json_schema", "schema": FORECAST}}},
    "image_data": {
        "messages": [
            user(
                "What is this?",
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG_BASE64}},
            )
        ]
    },
    "image_url": {
        "messages": [user({"type": "image", "source": {"type": "url", "url": PICTURE_URL}}, "What is this?")],
    },
    "pdf": {
        "messages": [
            user(
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": PDF_BASE64},
                },
                "Sum it up.",
            )
        ]
    },
    "thinking": {"max_tokens": 4096, "thinking": {"type": "enabled", "budget_tokens": 2048}},
    "thinking_off": {"thinking": {"type": "disabled"}},
    "effort": {
        "model": "claude-sonnet-4-6",
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "medium"},
    },
    "user": {"metadata": {"user_id": "caller-7"}, "service_tier": "standard_only"},
    "caching": {
        "system": [text(LONG, cache_control=EPHEMERAL)],
        "messages": [
            user(text(HELLO, cache_control=EPHEMERAL)),
            assistant(text("Hi, what can I do?", cache_control=EPHEMERAL)),
            user("Tell me a joke."),
        ],
        "tools": [WEATHER, {**BOOK, "cache_control": EPHEMERAL}],
    },
    "extra": {"extra_body": {"speed": "fast"}, "extra_headers": {"anthropic-beta": "b1"}, "extra_query": {"beta": "1"}},
}


def calling(name: str) -> Callable[[str], object]:
    def call(url: str) -> object:
        client = anthropic.Anthropic(base_url=url, api_key=KEY, max_retries=0)
        told: Mapping[str, Any] = {
            "model": "claude-sonnet-4-5",
            "max_tokens": 1024,
            "messages": [user(HELLO)],
            **CALLS[name],
        }
        return list(client.messages.create(**told, stream=True))

    return call


def read(url: str) -> dict[str, Any]:
    client = anthropic.Anthropic(base_url=url, api_key=KEY, max_retries=0)
    try:
        with client.messages.stream(model="m", max_tokens=1024, messages=[user(HELLO)]) as stream:
            return understood(stream.get_final_message())
    except anthropic.APIError as error:
        return {"error": [type(error).__name__, error.body["error"]["message"]]}


def whole(url: str) -> dict[str, Any]:
    client = anthropic.Anthropic(base_url=url, api_key=KEY, max_retries=0)
    return understood(client.messages.create(model="m", max_tokens=1024, messages=[user(HELLO)]))


def understood(message: Any) -> dict[str, Any]:
    kept: dict[str, list[Any]] = {"text": [], "thinking": [], "tool_use": []}
    for block in message.content:
        kept[block.type].append(block)
    told = message.usage
    return {
        "text": "".join(block.text for block in kept["text"]),
        "reasoning": "".join(block.thinking for block in kept["thinking"]),
        "signatures": [block.signature for block in kept["thinking"]],
        "calls": [{"id": each.id, "name": each.name, "arguments": each.input} for each in kept["tool_use"]],
        "finish": message.stop_reason,
        "usage": {
            "prompt_tokens": told.input_tokens + told.cache_read_input_tokens + told.cache_creation_input_tokens,
            "completion_tokens": told.output_tokens,
            "cached_tokens": told.cache_read_input_tokens,
        },
    }


if __name__ == "__main__":
    wholes = {f"whole-{name}": whole for name in SAID if name != "error"}
    run(anthropic.__version__, {name: calling(name) for name in CALLS}, dict.fromkeys(SAID, read) | wholes)
