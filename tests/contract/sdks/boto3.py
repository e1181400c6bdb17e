"""The calls as users of `boto3` write them."""

import json
from collections.abc import Callable
from typing import Any

import boto3  # type: ignore[import-not-found,import-untyped,attr-defined,unused-ignore]
from botocore.config import Config  # type: ignore[import-not-found,import-untyped,attr-defined,unused-ignore]
from botocore.exceptions import EventStreamError  # type: ignore[import-not-found,import-untyped,attr-defined,unused-ignore]

from tests.contract.material import (
    AWS_KEY,
    AWS_SECRET,
    BOOK_TOOL,
    FORECAST,
    HELLO,
    PDF,
    PNG,
    REGION,
    SAID,
    SYSTEM,
    WEATHER_TOOL,
)
from tests.contract.sdks.running import run


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"text": each} if isinstance(each, str) else each for each in blocks]}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {**user(*blocks), "role": "assistant"}


def used(call_id: str, city: str) -> dict[str, Any]:
    return {"toolUse": {"toolUseId": call_id, "name": "get_weather", "input": {"city": city}}}


def result(call_id: str, text: str) -> dict[str, Any]:
    return {"toolResult": {"toolUseId": call_id, "content": [{"text": text}], "status": "success"}}


MODEL = "amazon.nova-2-lite-v1:0"
ARN = "arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.amazon.nova-2-lite-v1:0"
POINT = {"cachePoint": {"type": "default"}}
WEATHER = {
    "toolSpec": {
        "name": "get_weather",
        "description": WEATHER_TOOL,
        "inputSchema": {
            "json": {
                "type": "object",
                "properties": {"city": {"type": "string", "description": "where"}},
                "required": ["city"],
                "additionalProperties": False,
            }
        },
    }
}
BOOK = {
    "toolSpec": {
        "name": "book",
        "description": BOOK_TOOL,
        "inputSchema": {
            "json": {
                "type": "object",
                "properties": {
                    "seats": {"type": "integer"},
                    "name": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
                },
                "required": ["seats"],
                "additionalProperties": False,
            }
        },
    }
}
QUESTION = "Weather in Rome?"


def choosing(**choice: Any) -> dict[str, Any]:
    return {"messages": [user(QUESTION)], "toolConfig": {"tools": [WEATHER, BOOK], **choice}}


CALLS: dict[str, dict[str, Any]] = {
    "plain": {},
    "profile": {"modelId": ARN},
    "turns": {
        "system": [{"text": SYSTEM}],
        "messages": [user(HELLO), assistant("Hi, what can I do?"), user("Tell me a joke.")],
    },
    "tool_turn": {
        "messages": [user(QUESTION), assistant(used("call_1", "Rome")), user(result("call_1", "sunny in Rome"))],
        "toolConfig": {"tools": [WEATHER]},
    },
    "parallel_calls": {
        "messages": [
            user("Weather in Rome and Bern?"),
            assistant(used("call_1", "Rome"), used("call_2", "Bern")),
            user(result("call_1", "sunny in Rome"), result("call_2", "rain in Bern")),
        ],
        "toolConfig": {"tools": [WEATHER]},
    },
    "spoken_call": {
        "system": [{"text": SYSTEM}],
        "messages": [
            user(QUESTION),
            assistant("Let me look.", used("call_1", "Rome")),
            user(result("call_1", "sunny in Rome")),
            assistant("It is sunny."),
            user("Thanks!"),
        ],
        "toolConfig": {"tools": [WEATHER]},
    },
    "tools": choosing(),
    "choice_auto": choosing(toolChoice={"auto": {}}),
    "choice_required": choosing(toolChoice={"any": {}}),
    "choice_named": choosing(toolChoice={"tool": {"name": "book"}}),
    "sampling": {"inferenceConfig": {"temperature": 0.7, "topP": 0.9, "maxTokens": 100}},
    "stop": {"inferenceConfig": {"stopSequences": ["\n", "END"]}},
    "json_schema": {
        "outputConfig": {
            "textFormat": {
                "type": "json_schema",
                "structure": {"jsonSchema": {"name": "Forecast", "schema": json.dumps(FORECAST)}},
            }
        }
    },
    "image_data": {"messages": [user("What is this?", {"image": {"format": "png", "source": {"bytes": PNG}}})]},
    "pdf": {
        "messages": [
            user({"document": {"format": "pdf", "name": "paper pdf 1", "source": {"bytes": PDF}}}, "Sum it up.")
        ]
    },
    "thinking": {
        "modelId": "anthropic.claude-sonnet-4-5-20250929-v1:0",
        "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 2048}},
        "inferenceConfig": {"maxTokens": 4096},
    },
    "effort": {"outputConfig": {"effort": "low"}},
    "caching": {
        "system": [{"text": SYSTEM}, POINT],
        "messages": [user(HELLO)],
        "toolConfig": {"tools": [WEATHER, POINT]},
    },
    "guardrail": {
        "guardrailConfig": {"guardrailIdentifier": "g1", "guardrailVersion": "1"},
        "performanceConfig": {"latency": "optimized"},
        "additionalModelRequestFields": {"inferenceConfig": {"topK": 20}},
    },
}


def client(url: str, **keys: Any) -> Any:
    keys = keys or {"aws_access_key_id": AWS_KEY, "aws_secret_access_key": AWS_SECRET}
    once = Config(retries={"max_attempts": 0, "mode": "standard"}, parameter_validation=True)
    return boto3.client("bedrock-runtime", region_name=REGION, endpoint_url=url, config=once, **keys)


def calling(name: str) -> Callable[[str], object]:
    def call(url: str) -> object:
        told = {"modelId": MODEL, "messages": [user(HELLO)], **CALLS[name]}
        return list(client(url).converse_stream(**told)["stream"])

    return call


def session_token(url: str) -> object:
    keys = {"aws_access_key_id": AWS_KEY, "aws_secret_access_key": AWS_SECRET, "aws_session_token": "session-1"}
    return list(client(url, **keys).converse_stream(modelId=MODEL, messages=[user(HELLO)])["stream"])


def read(url: str) -> dict[str, Any]:
    found: dict[str, Any] = {"text": "", "reasoning": "", "calls": []}
    try:
        for event in client(url).converse_stream(modelId=MODEL, messages=[user(HELLO)])["stream"]:
            ((kind, told),) = event.items()
            delta = told.get("delta", {})
            if kind == "contentBlockStart":
                use = told["start"]["toolUse"]
                found["calls"].append({"id": use["toolUseId"], "name": use["name"], "arguments": ""})
            elif "text" in delta:
                found["text"] += delta["text"]
            elif "toolUse" in delta:
                found["calls"][-1]["arguments"] += delta["toolUse"]["input"]
            elif "reasoningContent" in delta:
                found["reasoning"] += delta["reasoningContent"].get("text", "")
            elif kind == "messageStop":
                found["finish"] = told["stopReason"]
            elif kind == "metadata":
                usage = told["usage"]
                cached = usage["cacheReadInputTokens"]
                found["usage"] = {
                    "prompt_tokens": usage["inputTokens"] + cached,
                    "completion_tokens": usage["outputTokens"],
                    "cached_tokens": cached,
                }
    except EventStreamError as error:
        said = error.response["Error"]
        found["error"] = [said["Code"], said["Message"]]
    return found


if __name__ == "__main__":
    calls = {name: calling(name) for name in CALLS} | {"session_token": session_token}
    run(boto3.__version__, calls, dict.fromkeys(SAID, read))
