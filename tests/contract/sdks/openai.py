"""The calls as users of the `openai` package write them."""

from collections.abc import Callable, Mapping
from typing import Any

import openai  # type: ignore[import-not-found,import-untyped,attr-defined,unused-ignore]

from tests.contract.material import (
    BOOK_TOOL,
    FORECAST,
    HELLO,
    KEY,
    PDF_BASE64,
    PICTURE_URL,
    PNG_URI,
    SAID,
    SYSTEM,
    WAV_BASE64,
    WEATHER_TOOL,
)
from tests.contract.sdks.running import run

USER = {"role": "user", "content": HELLO}
QUESTION = {"role": "user", "content": "Weather in Rome?"}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": WEATHER_TOOL,
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "description": "where"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
BOOK = {
    "type": "function",
    "function": {
        "name": "book",
        "description": BOOK_TOOL,
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"seats": {"type": "integer"}, "name": {"type": ["string", "null"]}},
            "required": ["seats", "name"],
            "additionalProperties": False,
        },
    },
}
ROME = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Rome"}'}}
BERN = {"id": "call_2", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Bern"}'}}
SUNNY = {"role": "tool", "tool_call_id": "call_1", "content": "sunny in Rome"}
RAINY = {"role": "tool", "tool_call_id": "call_2", "content": "rain in Bern"}
TOOLS = {"messages": [QUESTION], "tools": [WEATHER, BOOK]}

CALLS: dict[str, dict[str, Any]] = {
    "plain": {},
    "turns": {
        "messages": [
            {"role": "system", "content": SYSTEM},
            USER,
            {"role": "assistant", "content": "Hi, what can I do?"},
            {"role": "user", "content": "Tell me a joke."},
        ]
    },
    "developer": {"messages": [{"role": "developer", "content": SYSTEM}, USER]},
    "tool_turn": {"messages": [QUESTION, {"role": "assistant", "tool_calls": [ROME]}, SUNNY], "tools": [WEATHER]},
    "parallel_calls": {
        "messages": [
            {"role": "user", "content": "Weather in Rome and Bern?"},
            {"role": "assistant", "tool_calls": [ROME, BERN]},
            SUNNY,
            RAINY,
        ],
        "tools": [WEATHER],
    },
    "spoken_call": {
        "messages": [
            {"role": "system", "content": SYSTEM},
            QUESTION,
            {"role": "assistant", "content": "Let me look.", "tool_calls": [ROME]},
            SUNNY,
            {"role": "assistant", "content": "It is sunny."},
            {"role": "user", "content": "Thanks!"},
        ],
        "tools": [WEATHER],
    },
    "tools": TOOLS,
    "choice_auto": {**TOOLS, "tool_choice": "auto"},
    "choice_required": {**TOOLS, "tool_choice": "required"},
    "choice_none": {**TOOLS, "tool_choice": "none"},
    "choice_named": {**TOOLS, "tool_choice": {"type": "function", "function": {"name": "book"}}},
    "one_call": {**TOOLS, "parallel_tool_calls": False},
    "sampling": {"temperature": 0.7, "top_p": 0.9, "max_completion_tokens": 100},
    "max_tokens": {"max_tokens": 100},
    "penalties": {"frequency_penalty": 0.5, "presence_penalty": -0.5},
    "seed": {"seed": 7},
    "stop": {"stop": ["\n", "END"]},
    "stop_text": {"stop": "END"},
    "n": {"n": 2},
    "logprobs": {"logprobs": True, "top_logprobs": 3},
    "logit_bias": {"logit_bias": {"50256": -100}},
    "json_schema": {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "Forecast", "schema": FORECAST, "strict": True},
        }
    },
    "json_object": {"response_format": {"type": "json_object"}},
    "image_data": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": PNG_URI, "detail": "auto"}},
                    {"type": "text", "text": "What is this?"},
                ],
            }
        ]
    },
    "image_url": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": PICTURE_URL, "detail": "low"}},
                    {"type": "text", "text": "What is this?"},
                ],
            }
        ]
    },
    "audio": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "input_audio", "input_audio": {"data": WAV_BASE64, "format": "wav"}},
                    {"type": "text", "text": "What do you hear?"},
                ],
            }
        ]
    },
    "pdf": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {
                        "type": "file",
                        "file": {"filename": "paper.pdf", "file_data": f"data:application/pdf;base64,{PDF_BASE64}"},
                    },
                    {"type": "text", "text": "Sum it up."},
                ],
            }
        ]
    },
    "effort": {"model": "o3", "reasoning_effort": "high", "max_completion_tokens": 2000},
    "verbosity": {"model": "gpt-5", "verbosity": "low", "reasoning_effort": "low"},
    "user": {"user": "caller-7", "metadata": {"line": "2"}, "store": True, "service_tier": "flex"},
    "prompt_cache": {"prompt_cache_key": "agent-7", "safety_identifier": "h4sh"},
    "extra": {
        "extra_body": {"top_k": 5},
        "extra_headers": {"X-Trace": "t1"},
        "extra_query": {"beta": "1"},
    },
}


def calling(name: str) -> Callable[[str], object]:
    def call(url: str) -> object:
        client = openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)
        told: Mapping[str, Any] = {"model": "gpt-4.1", "messages": [USER], **CALLS[name]}
        return list(client.chat.completions.create(**told, stream=True, stream_options={"include_usage": True}))

    return call


def organization(url: str) -> object:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, organization="org-1", project="proj-1", max_retries=0)
    return list(
        client.chat.completions.create(
            model="gpt-4.1", messages=[USER], stream=True, stream_options={"include_usage": True}
        )
    )


def azure(*, token: str | None = None) -> Callable[[str], object]:
    def call(url: str) -> object:
        key = {"azure_ad_token": token} if token else {"api_key": KEY}
        client = openai.AzureOpenAI(azure_endpoint=url, api_version="2025-01-01-preview", max_retries=0, **key)
        told: Any = {"messages": [USER], "stream": True, "stream_options": {"include_usage": True}}
        return list(client.chat.completions.create(model="my-deployment", **told))

    return call


def read(url: str) -> dict[str, Any]:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)
    found: dict[str, Any] = {"text": "", "reasoning": "", "calls": []}
    try:
        stream = client.chat.completions.create(
            model="m", messages=[USER], stream=True, stream_options={"include_usage": True}
        )
        for chunk in stream:
            for choice in chunk.choices:
                found["text"] += choice.delta.content or ""
                found["reasoning"] += getattr(choice.delta, "reasoning_content", None) or ""
                for call in choice.delta.tool_calls or ():
                    if call.id:
                        found["calls"].append({"id": call.id, "name": call.function.name, "arguments": ""})
                    found["calls"][-1]["arguments"] += call.function.arguments or ""
                found["finish"] = choice.finish_reason or found.get("finish")
            if chunk.usage is not None:
                found["usage"] = usage(chunk.usage)
    except openai.APIError as error:
        found["error"] = [type(error).__name__, error.message]
    return found


def whole(url: str) -> dict[str, Any]:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)
    answer = client.chat.completions.create(model="m", messages=[USER])
    choice = answer.choices[0]
    return {
        "text": choice.message.content or "",
        "reasoning": getattr(choice.message, "reasoning_content", None) or "",
        "calls": [
            {"id": call.id, "name": call.function.name, "arguments": call.function.arguments}
            for call in choice.message.tool_calls or ()
        ],
        "finish": choice.finish_reason,
        "usage": usage(answer.usage),
    }


def usage(told: Any) -> dict[str, int]:
    return {
        "prompt_tokens": told.prompt_tokens,
        "completion_tokens": told.completion_tokens,
        "cached_tokens": told.prompt_tokens_details.cached_tokens,
        "reasoning_tokens": told.completion_tokens_details.reasoning_tokens,
    }


if __name__ == "__main__":
    besides = {"organization": organization, "azure": azure(), "azure_token": azure(token="token-1234567")}
    wholes = {f"whole-{name}": whole for name in SAID if name != "error"}
    run(
        openai.__version__,
        {name: calling(name) for name in CALLS} | besides,
        dict.fromkeys(SAID, read) | wholes,
    )
