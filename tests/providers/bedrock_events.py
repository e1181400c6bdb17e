"""Bedrock's frames, a model that reads them, and AWS's own SDK as a judge, for the tests of its wire."""

import base64
import functools
import json
import struct
import zlib
from typing import Any

import httpx

from agent_runtime.chat import ChatContext
from agent_runtime.providers.bedrock.llm import BedrockLLM
from tests.providers.wires import Scripted, collect

CLAUDE = "anthropic.claude-3-5-sonnet-20240620-v1:0"
"""A model of before 4.6."""


def frame(payload: bytes, **headers: str) -> bytes:
    """A message of AWS's event stream: lengths, their sum, headers (7: a string), the payload, the sum of it all."""
    encoded = b""
    for name, value in headers.items():
        key = (":" + name.replace("_", "-")).encode()
        encoded += struct.pack("!B", len(key)) + key + struct.pack("!BH", 7, len(value.encode())) + value.encode()
    prelude = struct.pack("!II", 12 + len(encoded) + len(payload) + 4, len(encoded))
    start = prelude + struct.pack("!I", zlib.crc32(prelude)) + encoded + payload
    return start + struct.pack("!I", zlib.crc32(start))


def event(kind: str, **said: Any) -> bytes:
    payload = json.dumps(said, ensure_ascii=False).encode()
    return frame(payload, event_type=kind, content_type="application/json", message_type="event")


def exception(kind: str, **said: Any) -> bytes:
    payload = json.dumps(said).encode()
    return frame(payload, exception_type=kind, content_type="application/json", message_type="exception")


def start() -> bytes:
    return event("messageStart", role="assistant")


def delta(index: int, **said: Any) -> bytes:
    return event("contentBlockDelta", contentBlockIndex=index, delta=said)


def text(*pieces: str, index: int = 0) -> bytes:
    return b"".join(delta(index, text=piece) for piece in pieces) + event("contentBlockStop", contentBlockIndex=index)


def tool_use(*pieces: str, index: int = 1, name: str = "get_weather") -> bytes:
    begun = {"toolUse": {"toolUseId": f"tooluse_{index}", "name": name}}
    return (
        event("contentBlockStart", contentBlockIndex=index, start=begun)
        + b"".join(delta(index, toolUse={"input": piece}) for piece in pieces)
        + event("contentBlockStop", contentBlockIndex=index)
    )


def stop(reason: str = "end_turn", **usage: int) -> bytes:
    counts = {"inputTokens": 10, "outputTokens": 7, "totalTokens": 17, **usage}
    return event("messageStop", stopReason=reason) + event("metadata", usage=counts, metrics={"latencyMs": 5})


THOUGHT = (
    delta(0, reasoningContent={"text": "Hm, "})
    + delta(0, reasoningContent={"text": "Rome."})
    + delta(0, reasoningContent={"signature": "sig=="})
    + event("contentBlockStop", contentBlockIndex=0)
)
REDACTED = delta(1, reasoningContent={"redactedContent": "eHh4"}) + event("contentBlockStop", contentBlockIndex=1)

ANSWER = start() + text("Hel", "lo.") + stop()


def model(*answers: bytes | httpx.Response, **options: Any) -> tuple[BedrockLLM, Scripted]:
    service = Scripted(*(answers or (ANSWER,)))
    return BedrockLLM(**{"api_key": "AKIATEST", "api_secret": "very-secret", "transport": service, **options}), service


def body(chat_ctx: ChatContext | None = None, *, options: Any = None, **asked: Any) -> dict[str, Any]:
    """What is sent; AWS's own SDK takes it, and would send the same."""
    llm, service = model(**(options or {}))
    collect(llm, chat_ctx, **asked)
    judge(service.body, llm.model)
    return service.body


@functools.cache
def operation() -> Any:
    """`ConverseStream`, as AWS describes it."""
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    return ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2")).operation_model("ConverseStream")


def judge(sent: dict[str, Any], model_id: str) -> None:
    """The body is valid by AWS's description of the service, and is what its SDK makes of the same call."""
    from botocore.serialize import create_serializer
    from botocore.validate import ParamValidator

    asked = {"modelId": model_id, **_with_bytes(sent)}
    problems = ParamValidator().validate(asked, operation().input_shape)
    assert not problems.has_errors(), problems.generate_report()
    made = create_serializer("rest-json").serialize_to_request(asked, operation())
    assert json.loads(made["body"]) == sent


def _with_bytes(value: Any) -> Any:
    """What is base64 on the wire is bytes to the SDK."""
    if isinstance(value, list):
        return [_with_bytes(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64decode(each)
        if key in ("bytes", "redactedContent") and isinstance(each, str)
        else _with_bytes(each)
        for key, each in value.items()
    }


def read_by_the_sdk(stream: bytes) -> list[dict[str, Any]]:
    """The events that AWS's SDK reads of a stream."""
    from botocore.eventstream import EventStream
    from botocore.parsers import EventStreamJSONParser

    class Raw:
        def stream(self) -> Any:
            return iter([stream])

        def close(self) -> None:
            return

    shape = operation().get_event_stream_output()
    return list(EventStream(Raw(), shape, EventStreamJSONParser(), "ConverseStream"))
