"""Anthropic's events and a model that reads them, for the tests of its wire."""

import json
from typing import Any

import httpx

from agent_runtime.chat import ChatContext
from agent_runtime.providers.anthropic.llm import AnthropicLLM
from tests.providers.wires import Scripted, collect

OLD = "claude-3-5-haiku-20241022"
"""A model of before 4.6."""


def events(*said: dict[str, Any]) -> bytes:
    return b"".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode() for each in said)


def start(**usage: Any) -> dict[str, Any]:
    counts = {"input_tokens": 10, "output_tokens": 1, **usage}
    return {
        "type": "message_start",
        "message": {"id": "msg_1", "type": "message", "role": "assistant", "usage": counts},
    }


def block(index: int, content: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": content},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def text(*pieces: str, index: int = 0) -> list[dict[str, Any]]:
    return block(index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": piece} for piece in pieces))


def tool_use(*pieces: str, index: int = 1, name: str = "get_weather") -> list[dict[str, Any]]:
    deltas = ({"type": "input_json_delta", "partial_json": piece} for piece in pieces)
    return block(index, {"type": "tool_use", "id": f"toolu_{index}", "name": name, "input": {}}, *deltas)


def stop(reason: str = "end_turn", **usage: Any) -> list[dict[str, Any]]:
    counts = {"output_tokens": 7, **usage}
    return [
        {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": counts},
        {"type": "message_stop"},
    ]


ANSWER = events(start(), {"type": "ping"}, *text("Hel", "lo."), *stop())


def model(*answers: bytes | httpx.Response, **options: Any) -> tuple[AnthropicLLM, Scripted]:
    service = Scripted(*(answers or (ANSWER,)))
    return AnthropicLLM(**{"api_key": "sk-ant-secret", "transport": service, **options}), service


def body(chat_ctx: ChatContext | None = None, *, options: Any = None, **asked: Any) -> dict[str, Any]:
    """What is sent."""
    llm, service = model(**(options or {}))
    collect(llm, chat_ctx, **asked)
    return service.body


THOUGHT = block(
    0,
    {"type": "thinking", "thinking": "", "signature": ""},
    {"type": "thinking_delta", "thinking": "Hm, "},
    {"type": "thinking_delta", "thinking": "Rome."},
    {"type": "signature_delta", "signature": "sig=="},
)
REDACTED = block(1, {"type": "redacted_thinking", "data": "xxx"})
