"""A scripted server that speaks the wires of OpenAI, Anthropic, Gemini and Amazon Bedrock, and records what it is asked.

    async with ModelServer("Hello there.", Said("Later.", calls=[("stop", {})])) as server:
        llm = openai.LLM(model="m", base_url=f"{server.url}/v1", api_key="k")

Each request takes the next answer; the last one stays. The wire is chosen by the path, and whether it is told in pieces
by the path or by ``stream`` in the body. The text is told word by word, the arguments of a call in pieces of `PIECE`
characters. Of Gemini there are also ``cachedContents`` and ``:embedContent``; of OpenAI ``/audio/transcriptions``, which
reads `text` in whatever it hears, and ``/audio/speech``, which says `audio`, or a tone as long as its input takes.
"""

import array
import base64
import json
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import h11

from agent_runtime import clock
from agent_runtime.errors import UsageError
from agent_runtime.testing.http import Peer, Server

PIECE = 5


@dataclass(frozen=True)
class Said:
    """One answer.

    Attributes:
        text: what is said.
        calls: tools that are called then, by name and arguments.
        reasoning: what is thought before.
        images, audio: pictures (PNG), and sound (16 bit, 24 kHz, mono): Gemini alone has words for them, and
            ``/audio/speech`` says the sound.
        no_speech: how likely it is that there are no words in what is transcribed, from 0 to 1.
        prompt_tokens, completion_tokens: the usage that is told. Of these `cached_tokens` came out of a cache, and
            `reasoning_tokens` were thought.
        cut: the answer was too long, and ends before its end.
        error: behind the text, instead of an end, the service says that it failed. Only a stream can.
        delay: seconds to its beginning; `every`: between its pieces.
    """

    text: str = ""
    calls: Sequence[tuple[str, Mapping[str, Any]]] = ()
    reasoning: str = ""
    images: Sequence[bytes] = ()
    audio: bytes = b""
    no_speech: float = 0.0
    prompt_tokens: int = 12
    completion_tokens: int = 7
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cut: bool = False
    error: str = ""
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

    @property
    def form(self) -> dict[str, list[bytes]]:
        """The fields of a form with files, each as often as it was sent."""
        boundary = re.search(r'boundary="?([^";]+)', self.headers.get("content-type", ""))
        fields: dict[str, list[bytes]] = {}
        for part in self.body.split(b"--" + boundary[1].encode()) if boundary else ():
            head, _, value = part.partition(b"\r\n\r\n")
            name = re.search(rb'name="([^"]*)"', head)
            if name is not None:
                fields.setdefault(name[1].decode(), []).append(value.removesuffix(b"\r\n"))
        return fields


class ModelServer(Server):
    """See the module; an answer that is a text is that text.

    Attributes:
        requests: what came, in order.
        closed_at: loop time at which a client left an answer that was not over.
    """

    def __init__(self, *answers: Said | str) -> None:
        super().__init__()
        self._answers = [Said(each) if isinstance(each, str) else each for each in answers] or [Said("Hello.")]
        self.requests: list[Received] = []
        self.closed_at: list[float] = []

    def said(self, received: Received) -> Said:
        """What `received` is answered with."""
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    async def serve(self, client: Peer, request: h11.Request, body: bytes) -> None:
        headers = {name.decode(): value.decode() for name, value in request.headers}
        received = Received(request.method.decode(), request.target.decode(), headers, body)
        self.requests.append(received)
        besides = _besides(received)
        if besides is not None:
            await client.answer(200, [], json.dumps(besides).encode())
            return
        wire = _wire(received)
        if wire is None:
            error = {"error": {"message": f"no such path: {received.path}"}}
            await client.answer(404, [], json.dumps(error).encode())
            return
        said = self.said(received)
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


def told(received: Received, said: Said) -> tuple[str, bytes]:
    """The answer to `received` as a whole, without a server: its content type and its bytes.

    Raises:
        UsageError: nothing is asked for at that path.
    """
    besides = _besides(received)
    if besides is not None:
        return "application/json", json.dumps(besides).encode()
    wire = _wire(received)
    if wire is None:
        raise UsageError(f"There is nothing at the path {received.path!r}; see the paths in model_server.py.")
    content_type, messages = wire(said)
    return content_type, b"".join(messages)


def _besides(received: Received) -> dict[str, Any] | None:
    """What is asked for besides an answer; None where it is one."""
    if re.search(r"[/:]cachedContents(\?|$)", received.path):  # with a colon LiteLLM asks, where it has an api_base
        named = {"displayName": (received.json or {}).get("displayName"), "expireTime": "2100-01-01T00:00:00Z"}
        return {} if received.method == "GET" else {"name": "cachedContents/c1", "model": "models/scripted", **named}
    if received.method == "GET":
        return {"object": "list", "data": []}
    vector = {"values": [0.5, -0.25]}
    if re.search(r":embedContent(\?|$)", received.path):
        return {"embedding": vector}
    if re.search(r":batchEmbedContents(\?|$)", received.path):
        return {"embeddings": [vector] * len(received.json["requests"])}
    return None


Wire = Callable[[Said], tuple[str, Iterator[bytes]]]
"""The content type and the pieces of an answer."""


def _wire(received: Received) -> Wire | None:
    for pattern, wire in _SOUNDS:
        if re.search(pattern, received.path):
            return wire(received)
    for pattern, in_pieces, whole in _WIRES:
        if re.search(pattern, received.path):
            streams = whole is None or (received.json or {}).get("stream") is True
            return in_pieces if streams else whole
    return None


def _event(data: Mapping[str, Any], name: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def _pieces(arguments: Mapping[str, Any]) -> list[str]:
    text = json.dumps(arguments, ensure_ascii=False)
    return [text[at : at + PIECE] for at in range(0, len(text), PIECE)]


# OpenAI


def _openai(said: Said) -> tuple[str, Iterator[bytes]]:
    return "text/event-stream", _openai_events(said)


def _openai_whole(said: Said) -> tuple[str, Iterator[bytes]]:
    message: dict[str, Any] = {"role": "assistant", "content": said.text or None}
    if said.reasoning:
        message["reasoning_content"] = said.reasoning
    if said.calls:
        message["tool_calls"] = [
            {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
            for number, (name, arguments) in enumerate(said.calls)
        ]
    choice = {"index": 0, "message": message, "finish_reason": _openai_end(said), "logprobs": None}
    whole = {**_OPENAI, "object": "chat.completion", "choices": [choice], "usage": _openai_usage(said)}
    return "application/json", iter([json.dumps(whole).encode()])


def _openai_events(said: Said) -> Iterator[bytes]:
    yield _openai_delta({"role": "assistant", "content": ""})
    if said.reasoning:
        yield _openai_delta({"reasoning_content": said.reasoning})
    for word in said.words:
        yield _openai_delta({"content": word})
    if said.error:
        yield _event({"error": {"message": said.error, "type": "server_error", "param": None, "code": None}})
        return
    for index, (name, arguments) in enumerate(said.calls):
        function: dict[str, Any] = {"name": name, "arguments": ""}
        yield _openai_delta(
            {"tool_calls": [{"index": index, "id": f"call_{index}", "type": "function", "function": function}]}
        )
        for piece in _pieces(arguments):
            yield _openai_delta({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield _openai_delta({}, finish=_openai_end(said))
    yield _event({**_OPENAI, "choices": [], "usage": _openai_usage(said)})
    yield b"data: [DONE]\n\n"


def _openai_end(said: Said) -> str:
    return "length" if said.cut else "tool_calls" if said.calls else "stop"


def _openai_usage(said: Said) -> dict[str, Any]:
    return {
        "prompt_tokens": said.prompt_tokens,
        "completion_tokens": said.completion_tokens,
        "total_tokens": said.prompt_tokens + said.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": said.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": said.reasoning_tokens},
    }


_OPENAI = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "scripted"}


def _openai_delta(delta: Mapping[str, Any], *, finish: str | None = None) -> bytes:
    return _event({**_OPENAI, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


# OpenAI's sound


def _transcribed(received: Received) -> Wire:
    form = received.form
    asked = {name: value[0].decode(errors="replace").lower() for name, value in form.items() if name != "file"}
    verbose = asked.get("response_format") == "verbose_json"
    if asked.get("stream") == "true":
        return lambda said: ("text/event-stream", _transcript_events(said))
    return lambda said: ("application/json", iter([json.dumps(_transcript(said, verbose, form)).encode()]))


def _transcript(said: Said, verbose: bool, form: Mapping[str, Sequence[bytes]]) -> dict[str, Any]:
    if not verbose:
        return {"text": said.text}
    seconds = (len(form["file"][0]) - 44) / 32_000
    segment = {
        "id": 0,
        "seek": 0,
        "start": 0.0,
        "end": seconds,
        "text": f" {said.text}",
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": -0.1,
        "compression_ratio": 1.0,
        "no_speech_prob": said.no_speech,
    }
    segments = [segment] if said.text else []
    usage = {"type": "duration", "seconds": seconds}
    return {"language": "english", "duration": seconds, "text": said.text, "segments": segments, "usage": usage}


def _transcript_events(said: Said) -> Iterator[bytes]:
    for word in said.words:
        yield _event({"type": "transcript.text.delta", "delta": word})
    if said.error:
        yield _event({"type": "error", "error": {"message": said.error, "type": "server_error", "code": None}})
        return
    yield _event({"type": "transcript.text.done", "text": said.text})
    yield b"data: [DONE]\n\n"


def _spoken(received: Received) -> Wire | None:
    asked = received.json or {}
    format_ = asked.get("response_format")
    if format_ not in ("pcm", "wav"):
        return None
    evented = asked.get("stream_format") == "sse"
    kind = "text/event-stream" if evented else f"audio/{format_}"
    return lambda said: (kind, _sounds(said.audio or _tone(str(asked.get("input"))), format_, evented=evented))


def _sounds(pcm: bytes, format_: str, *, evented: bool) -> Iterator[bytes]:
    """A tenth of a second at a time. The head of a WAV file does not know how long it will be."""
    if format_ == "wav":
        head = struct.pack("<HHIIHH", 1, 1, 24_000, 48_000, 2, 16)
        pcm = struct.pack("<4sI8sI16s4sI", b"RIFF", 0xFFFFFFFF, b"WAVEfmt ", 16, head, b"data", 0xFFFFFFFF) + pcm
    for at in range(0, len(pcm), 4800):
        piece = pcm[at : at + 4800]
        yield _event({"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()}) if evented else piece
    if evented:
        usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
        yield _event({"type": "speech.audio.done", "usage": usage})


def _tone(text: str) -> bytes:
    """60 ms for each character."""
    return array.array("h", (3000 if sample // 60 % 2 else -3000 for sample in range(1440 * len(text)))).tobytes()


# Anthropic


def _anthropic(said: Said) -> tuple[str, Iterator[bytes]]:
    return "text/event-stream", (_event(each, each["type"]) for each in _anthropic_events(said))


def _anthropic_whole(said: Said) -> tuple[str, Iterator[bytes]]:
    content: list[dict[str, Any]] = []
    if said.reasoning:
        content.append({"type": "thinking", "thinking": said.reasoning, "signature": "c2lnbmVk"})
    if said.text:
        content.append({"type": "text", "text": said.text})
    for number, (name, arguments) in enumerate(said.calls):
        content.append({"type": "tool_use", "id": f"call_{number}", "name": name, "input": dict(arguments)})
    usage = {**_anthropic_input(said), "output_tokens": said.completion_tokens}
    whole = {
        **_ANTHROPIC,
        "content": content,
        "stop_reason": _anthropic_end(said),
        "stop_sequence": None,
        "usage": usage,
    }
    return "application/json", iter([json.dumps(whole).encode()])


def _anthropic_events(said: Said) -> Iterator[dict[str, Any]]:
    usage = {**_anthropic_input(said), "output_tokens": 1}
    beginning: dict[str, Any] = {
        **_ANTHROPIC,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    yield {"type": "message_start", "message": beginning}
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
        if said.error:
            yield {"type": "error", "error": {"type": "overloaded_error", "message": said.error}}
            return
        yield {"type": "content_block_stop", "index": index}
        index += 1
    for number, (name, arguments) in enumerate(said.calls):
        block = {"type": "tool_use", "id": f"call_{number}", "name": name, "input": {}}
        yield {"type": "content_block_start", "index": index, "content_block": block}
        for piece in _pieces(arguments):
            yield _anthropic_delta(index, {"type": "input_json_delta", "partial_json": piece})
        yield {"type": "content_block_stop", "index": index}
        index += 1
    end = {"stop_reason": _anthropic_end(said), "stop_sequence": None}
    yield {"type": "message_delta", "delta": end, "usage": {"output_tokens": said.completion_tokens}}
    yield {"type": "message_stop"}


_ANTHROPIC = {"id": "msg_1", "type": "message", "role": "assistant", "model": "scripted"}


def _anthropic_end(said: Said) -> str:
    return "max_tokens" if said.cut else "tool_use" if said.calls else "end_turn"


def _anthropic_input(said: Said) -> dict[str, int]:
    cached = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": said.cached_tokens}
    return {"input_tokens": said.prompt_tokens - said.cached_tokens, **cached}


def _anthropic_delta(index: int, delta: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


# Gemini


def _gemini(said: Said) -> tuple[str, Iterator[bytes]]:
    return "text/event-stream", (_gemini_event(each) for each in _gemini_chunks(said))


def _gemini_whole(said: Said) -> tuple[str, Iterator[bytes]]:
    chunks = list(_gemini_chunks(said))
    parts = [part for chunk in chunks for part in chunk["candidates"][0]["content"]["parts"]]
    chunks[-1]["candidates"][0]["content"]["parts"] = parts
    return "application/json", iter([json.dumps(chunks[-1]).encode()])


def _gemini_event(data: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(data, ensure_ascii=False)}\r\n\r\n".encode()


def _gemini_chunks(said: Said) -> Iterator[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    if said.reasoning:
        parts.append({"text": said.reasoning, "thought": True})
    parts += [{"text": word} for word in said.words]
    parts += [_gemini_data("image/png", image) for image in said.images]
    parts += [_gemini_data("audio/L16;codec=pcm;rate=24000", said.audio)] if said.audio else []
    signed = {"thoughtSignature": base64.b64encode(b"signed").decode()}
    parts += [{"functionCall": {"name": name, "args": dict(args)}, **signed} for name, args in said.calls]
    for part in parts:
        yield {**_GEMINI, "candidates": [{"content": {"role": "model", "parts": [part]}, "index": 0}]}
    if said.error:
        yield {"error": {"code": 503, "message": said.error, "status": "UNAVAILABLE"}}
        return
    usage = {
        "promptTokenCount": said.prompt_tokens,
        "candidatesTokenCount": said.completion_tokens - said.reasoning_tokens,
        "totalTokenCount": said.prompt_tokens + said.completion_tokens,
        **({"thoughtsTokenCount": said.reasoning_tokens} if said.reasoning_tokens else {}),
        **({"cachedContentTokenCount": said.cached_tokens} if said.cached_tokens else {}),
    }
    finish = "MAX_TOKENS" if said.cut else "STOP"
    end = {"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": finish, "index": 0}
    yield {**_GEMINI, "candidates": [end], "usageMetadata": usage}


def _gemini_data(mime_type: str, data: bytes) -> dict[str, Any]:
    return {"inlineData": {"mimeType": mime_type, "data": base64.b64encode(data).decode()}}


_GEMINI = {"modelVersion": "scripted", "responseId": "r1"}


# Bedrock


def _bedrock(said: Said) -> tuple[str, Iterator[bytes]]:
    return "application/vnd.amazon.eventstream", _bedrock_messages(said)


def _bedrock_messages(said: Said) -> Iterator[bytes]:
    for kind, payload in _bedrock_events(said):
        yield aws_message(kind, payload, message_type="exception" if kind.endswith("Exception") else "event")


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
        if said.error:
            yield "throttlingException", {"message": said.error}
            return
        yield "contentBlockStop", {"contentBlockIndex": index}
        index += 1
    for number, (name, arguments) in enumerate(said.calls):
        start = {"toolUse": {"toolUseId": f"call_{number}", "name": name}}
        yield "contentBlockStart", {"start": start, "contentBlockIndex": index}
        for piece in _pieces(arguments):
            yield "contentBlockDelta", {"delta": {"toolUse": {"input": piece}}, "contentBlockIndex": index}
        yield "contentBlockStop", {"contentBlockIndex": index}
        index += 1
    yield "messageStop", {"stopReason": _anthropic_end(said)}
    usage = {
        "inputTokens": said.prompt_tokens - said.cached_tokens,
        "outputTokens": said.completion_tokens,
        "totalTokens": said.prompt_tokens + said.completion_tokens,
        "cacheReadInputTokens": said.cached_tokens,
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


_SOUNDS: tuple[tuple[str, Callable[[Received], Wire | None]], ...] = (
    (r"/audio/transcriptions(\?|$)", _transcribed),
    (r"/audio/speech(\?|$)", _spoken),
)
"""Path, and what the answer is like, by the request."""

_WIRES: tuple[tuple[str, Wire, Wire | None], ...] = (
    (r"/chat/completions(\?|$)", _openai, _openai_whole),
    (r"/messages(\?|$)", _anthropic, _anthropic_whole),
    (r":streamGenerateContent(\?|$)", _gemini, None),
    (r":generateContent(\?|$)", _gemini_whole, None),
    (r"/converse-stream(\?|$)", _bedrock, None),
)
"""Path, the answer in pieces, and whole where the body decides which."""
