"""A scripted server that speaks the wires of OpenAI, Anthropic, Gemini and Amazon Bedrock, and records what it is asked.

    async with ModelServer(Said("Hello there."), Said("Later.", calls=[("stop", {})])) as server:
        llm = openai.LLM(model="m", base_url=f"{server.url}/v1", api_key="k")

Each request takes the next answer; the last one stays. The wire is chosen by the path. The text is told word by word,
the arguments of a call in pieces of `PIECE` characters.
"""

import base64
import json
import re
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import h11

from agent_runtime import clock
from agent_runtime.testing.http import Peer, Server

PIECE = 5


@dataclass(frozen=True)
class Said:
    """One answer.

    Attributes:
        text: what is said.
        calls: tools that are called then, by name and arguments.
        reasoning: what is thought before.
        prompt_tokens, completion_tokens: the usage that is told.
        delay: seconds to its beginning; `every`: between its pieces.
    """

    text: str = ""
    calls: Sequence[tuple[str, Mapping[str, Any]]] = ()
    reasoning: str = ""
    prompt_tokens: int = 12
    completion_tokens: int = 7
    delay: float = 0.0
    every: float = 0.0

    @property
    def words(self) -> list[str]:
        return re.findall(r"\S+\s*|\s+", self.text)


@dataclass(frozen=True)
class Received:
    """A request. `json` is None where the body is none."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:
            return None


class ModelServer(Server):
    """See the module.

    Attributes:
        requests: what came, in order.
        closed_at: loop time at which a client left an answer that was not over.
    """

    def __init__(self, *answers: Said) -> None:
        super().__init__()
        self._answers = list(answers) or [Said("Hello.")]
        self.requests: list[Received] = []
        self.closed_at: list[float] = []

    async def serve(self, client: Peer, request: h11.Request, body: bytes) -> None:
        headers = {name.decode(): value.decode() for name, value in request.headers}
        self.requests.append(Received(request.method.decode(), request.target.decode(), headers, body))
        path = self.requests[-1].path
        if request.method == b"GET":
            await client.answer(200, [], b'{"object":"list","data":[]}')
            return
        wire = next((wire for pattern, wire in _WIRES if re.search(pattern, path)), None)
        if wire is None:
            await client.answer(404, [], json.dumps({"error": {"message": f"no such path: {path}"}}).encode())
            return
        said = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        await clock.sleep(said.delay)
        content_type, messages = wire(said)
        await client.send(h11.Response(status_code=200, headers=[("content-type", content_type)]))
        try:
            for message in messages:
                await client.send(h11.Data(data=message))
                if said.every:
                    await clock.sleep(said.every)
            await client.send(h11.EndOfMessage())
        except ConnectionError:
            self.closed_at.append(clock.now())
            raise


def _event(data: Mapping[str, Any], name: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def _pieces(arguments: Mapping[str, Any]) -> list[str]:
    text = json.dumps(arguments, ensure_ascii=False)
    return [text[at : at + PIECE] for at in range(0, len(text), PIECE)]


# OpenAI


def _openai(said: Said) -> tuple[str, Iterator[bytes]]:
    return "text/event-stream", _openai_events(said)


def _openai_events(said: Said) -> Iterator[bytes]:
    yield _openai_delta({"role": "assistant", "content": ""})
    if said.reasoning:
        yield _openai_delta({"reasoning_content": said.reasoning})
    for word in said.words:
        yield _openai_delta({"content": word})
    for index, (name, arguments) in enumerate(said.calls):
        function: dict[str, Any] = {"name": name, "arguments": ""}
        yield _openai_delta(
            {"tool_calls": [{"index": index, "id": f"call_{index}", "type": "function", "function": function}]}
        )
        for piece in _pieces(arguments):
            yield _openai_delta({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield _openai_delta({}, finish="tool_calls" if said.calls else "stop")
    usage = {
        "prompt_tokens": said.prompt_tokens,
        "completion_tokens": said.completion_tokens,
        "total_tokens": said.prompt_tokens + said.completion_tokens,
    }
    yield _event({**_OPENAI, "choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


_OPENAI = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "scripted"}


def _openai_delta(delta: Mapping[str, Any], *, finish: str | None = None) -> bytes:
    return _event({**_OPENAI, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


# Anthropic


def _anthropic(said: Said) -> tuple[str, Iterator[bytes]]:
    return "text/event-stream", (_event(each, each["type"]) for each in _anthropic_events(said))


def _anthropic_events(said: Said) -> Iterator[dict[str, Any]]:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "scripted", "content": []}
    usage = {"input_tokens": said.prompt_tokens, "output_tokens": 1}
    yield {"type": "message_start", "message": {**message, "stop_reason": None, "stop_sequence": None, "usage": usage}}
    yield {"type": "ping"}
    index = 0
    if said.reasoning:
        thought = {"type": "thinking", "thinking": "", "signature": ""}
        yield {"type": "content_block_start", "index": index, "content_block": thought}
        yield _anthropic_delta(index, {"type": "thinking_delta", "thinking": said.reasoning})
        yield _anthropic_delta(index, {"type": "signature_delta", "signature": "c2lnbmVk"})
        yield {"type": "content_block_stop", "index": index}
        index += 1
    if said.text:
        yield {"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}}
        for word in said.words:
            yield _anthropic_delta(index, {"type": "text_delta", "text": word})
        yield {"type": "content_block_stop", "index": index}
        index += 1
    for number, (name, arguments) in enumerate(said.calls):
        block = {"type": "tool_use", "id": f"call_{number}", "name": name, "input": {}}
        yield {"type": "content_block_start", "index": index, "content_block": block}
        for piece in _pieces(arguments):
            yield _anthropic_delta(index, {"type": "input_json_delta", "partial_json": piece})
        yield {"type": "content_block_stop", "index": index}
        index += 1
    end = {"stop_reason": "tool_use" if said.calls else "end_turn", "stop_sequence": None}
    yield {"type": "message_delta", "delta": end, "usage": {"output_tokens": said.completion_tokens}}
    yield {"type": "message_stop"}


def _anthropic_delta(index: int, delta: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


# Gemini


def _gemini(said: Said) -> tuple[str, Iterator[bytes]]:
    return "text/event-stream", (b"data: " + json.dumps(each).encode() + b"\r\n\r\n" for each in _gemini_chunks(said))


def _gemini_whole(said: Said) -> tuple[str, Iterator[bytes]]:
    chunks = list(_gemini_chunks(said))
    parts = [part for chunk in chunks for part in chunk["candidates"][0]["content"]["parts"]]
    chunks[-1]["candidates"][0]["content"]["parts"] = parts
    return "application/json", iter([json.dumps(chunks[-1]).encode()])


def _gemini_chunks(said: Said) -> Iterator[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    if said.reasoning:
        parts.append({"text": said.reasoning, "thought": True})
    parts += [{"text": word} for word in said.words]
    signed = {"thoughtSignature": base64.b64encode(b"signed").decode()}
    parts += [{"functionCall": {"name": name, "args": dict(args)}, **signed} for name, args in said.calls]
    for part in parts:
        yield {**_GEMINI, "candidates": [{"content": {"role": "model", "parts": [part]}, "index": 0}]}
    usage = {
        "promptTokenCount": said.prompt_tokens,
        "candidatesTokenCount": said.completion_tokens,
        "totalTokenCount": said.prompt_tokens + said.completion_tokens,
    }
    end = {"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": "STOP", "index": 0}
    yield {**_GEMINI, "candidates": [end], "usageMetadata": usage}


_GEMINI = {"modelVersion": "scripted", "responseId": "r1"}


# Bedrock


def _bedrock(said: Said) -> tuple[str, Iterator[bytes]]:
    return "application/vnd.amazon.eventstream", (aws_message(*each) for each in _bedrock_events(said))


def _bedrock_events(said: Said) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "messageStart", {"role": "assistant"}
    index = 0
    if said.reasoning:
        for delta in ({"text": said.reasoning}, {"signature": "c2lnbmVk"}):
            yield "contentBlockDelta", {"delta": {"reasoningContent": delta}, "contentBlockIndex": index}
        yield "contentBlockStop", {"contentBlockIndex": index}
        index += 1
    if said.text:
        for word in said.words:
            yield "contentBlockDelta", {"delta": {"text": word}, "contentBlockIndex": index}
        yield "contentBlockStop", {"contentBlockIndex": index}
        index += 1
    for number, (name, arguments) in enumerate(said.calls):
        start = {"toolUse": {"toolUseId": f"call_{number}", "name": name}}
        yield "contentBlockStart", {"start": start, "contentBlockIndex": index}
        for piece in _pieces(arguments):
            yield "contentBlockDelta", {"delta": {"toolUse": {"input": piece}}, "contentBlockIndex": index}
        yield "contentBlockStop", {"contentBlockIndex": index}
        index += 1
    yield "messageStop", {"stopReason": "tool_use" if said.calls else "end_turn"}
    usage = {
        "inputTokens": said.prompt_tokens,
        "outputTokens": said.completion_tokens,
        "totalTokens": said.prompt_tokens + said.completion_tokens,
    }
    yield "metadata", {"usage": usage, "metrics": {"latencyMs": 1}}


def aws_message(kind: str, payload: Mapping[str, Any], *, message_type: str = "event") -> bytes:
    """One message of AWS's event stream: a prelude with two lengths and its checksum, headers, payload, checksum."""
    named = "event" if message_type == "event" else "exception"
    headers = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for name, value in (
            (f":{named}-type", kind),
            (":content-type", "application/json"),
            (":message-type", message_type),
        )
    )
    body = json.dumps(payload, ensure_ascii=False).encode()
    prelude = struct.pack(">II", len(headers) + len(body) + 16, len(headers))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + body
    return message + struct.pack(">I", zlib.crc32(message))


_WIRES = (
    (r"/chat/completions(\?|$)", _openai),
    (r"/messages(\?|$)", _anthropic),
    (r":streamGenerateContent(\?|$)", _gemini),
    (r":generateContent(\?|$)", _gemini_whole),
    (r"/converse-stream(\?|$)", _bedrock),
)
