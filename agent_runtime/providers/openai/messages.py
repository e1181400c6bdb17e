"""A conversation as the messages of a chat completion, so that every service's rules accept it. Pure, but for `load_parts`.

* Calls that stand together are one message of the assistant, with what it said right before; their outputs follow at once,
  wherever they stand in the conversation. A call without an output is left out, and so is an output without its call.
* Ids of calls are unique in a message; arguments are a JSON object.
* Text is a plain string, and where there is more than text, that comes first: more services understand it so.
* What was not heard is not in the conversation any more, so an interrupted message is as any other; handoffs are not told.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agent_runtime.chat import (
    INSTRUCTION_ROLES,
    ChatContent,
    ChatContext,
    ChatItem,
    ChatMessage,
    FunctionCall,
    FunctionCallOutput,
)
from agent_runtime.content import AudioContent, Content, FileContent, ImageContent, Loaded, TextContent
from agent_runtime.errors import UsageError
from agent_runtime.providers.inlined import base64_of, data_uri, is_large
from agent_runtime.providers.parts import Typing, load_all, typed
from agent_runtime.providers.turns import EMPTY, GO_ON

if TYPE_CHECKING:
    from agent_runtime.providers.http.transport import Transport
    from agent_runtime.providers.openai.services import ServiceRow

JSON = dict[str, Any]

INTERRUPTED = "(interrupted)"
"""Stands for an answer that the user did not wait for, where a service insists on one."""

_SOUND_FORMATS = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}
"""What ``input_audio`` can hold."""


def messages(
    chat_ctx: ChatContext, *, row: "ServiceRow", loaded: Mapping[int, Loaded] | None = None
) -> list[dict[str, Any]]:
    """`chat_ctx` as `row` wants it; `loaded` is what `load_parts` gave. There is at least one message."""
    items = _new(chat_ctx.items) if row.history == "new" else chat_ctx.items
    told = list(_told(items, row, loaded or {}))
    if row.turns != "any":
        told = _alternating(told) if row.turns == "alternate" else _answered(told)
    return told or [{"role": "user", "content": EMPTY}]


async def load_parts(
    chat_ctx: ChatContext,
    *,
    row: "ServiceRow",
    connections: "Transport",
    typing: Typing = typed,
    allow_private: bool = False,
) -> dict[int, Loaded]:
    """The bytes of what has to be sent, by the `id` of the part.

    Raises:
        UsageError, APIError: as `parts.load` does.
    """
    parts = [
        part
        for item in chat_ctx.items
        if isinstance(item, ChatMessage)
        for part in item.content
        if not isinstance(part, str)
    ]
    if not parts:
        return {}
    wanted = {id(part): known for part in parts if _is_sent(known := typing(part), row)}
    client = await connections.client()
    found = await load_all([*wanted.values()], client=client, allow_private=allow_private)
    return dict(zip(wanted, found, strict=True))


def _is_sent(part: Content | JSON, row: "ServiceRow") -> bool:
    """Whether the bytes of a part go into the request, and have to be had first."""
    if isinstance(part, ImageContent):
        is_uri = isinstance(part.image, str) and part.image.startswith("data:") and not is_large(part.image)
        return not is_uri and not (part.url is not None and row.image_urls)
    if isinstance(part, FileContent):
        return part.uri is None or not row.file_uris
    return isinstance(part, AudioContent) and row.audio_input


def _new(items: Sequence[ChatItem]) -> Sequence[ChatItem]:
    """What came after the service's own last words."""
    last = max(
        (index for index, item in enumerate(items) if isinstance(item, ChatMessage) and item.role == "assistant"),
        default=-1,
    )
    return items[last + 1 :]


def _told(items: Sequence[ChatItem], row: "ServiceRow", loaded: Mapping[int, Loaded]) -> Iterator[JSON]:
    outputs = _outputs(items) if row.tools else {}
    said: JSON | None = None
    """A message of the assistant which calls may belong to."""
    calls: list[tuple[FunctionCall, FunctionCallOutput]] = []
    for index, item in enumerate(items):
        if isinstance(item, FunctionCall):
            if index in outputs:
                calls.append((item, outputs[index]))
            continue
        if calls:
            yield from _with_calls(said, calls, row)
            said, calls = None, []
        if isinstance(item, ChatMessage):
            if said is not None:
                yield said
            shown, said = _message(item, row, loaded)
            if shown is not None:
                yield shown
            if said is not None and item.role != "assistant":
                yield said
                said = None
    if calls:
        yield from _with_calls(said, calls, row)
    elif said is not None:
        yield said


def _outputs(items: Sequence[ChatItem]) -> dict[int, FunctionCallOutput]:
    """The output of each call that has one, by the place of the call."""
    waiting: dict[str, int] = {}
    found = {}
    for index, item in enumerate(items):
        if isinstance(item, FunctionCall):
            waiting[item.call_id] = index
        elif isinstance(item, FunctionCallOutput) and item.call_id in waiting:
            found[waiting.pop(item.call_id)] = item
    return found


# Calls


def _with_calls(
    said: JSON | None, calls: Sequence[tuple[FunctionCall, FunctionCallOutput]], row: "ServiceRow"
) -> Iterator[JSON]:
    message: JSON = said or {"role": "assistant"}
    taken: dict[str, FunctionCall] = {}
    message["tool_calls"] = []
    for call, _ in calls:
        call_id = _id_of(call, row, taken)
        taken[call_id] = call
        told: JSON = {
            "id": call_id,
            "type": "function",
            "function": {"name": call.name, "arguments": _arguments(call.arguments)},
        }
        message["tool_calls"].append(told)
        if call.extra:
            told |= _extra_content(call.extra, row)
            message |= {key: call.extra[key] for key in row.echo if call.extra.get(key)}
    yield message
    for call_id, (_, output) in zip(taken, calls, strict=True):
        yield {"role": "tool", "tool_call_id": call_id, "content": output.output}


def _id_of(call: FunctionCall, row: "ServiceRow", taken: Mapping[str, Any]) -> str:
    call_id = call.call_id or "call"
    if row.call_id_length and not (len(call_id) == row.call_id_length and call_id.isalnum() and call_id.isascii()):
        call_id = _shortened(call_id, row.call_id_length)
    number, free = 1, call_id
    while free in taken:
        number += 1
        free = (
            f"{call_id}_{number}" if not row.call_id_length else _shortened(f"{call_id}_{number}", row.call_id_length)
        )
    return free


def _shortened(call_id: str, length: int) -> str:
    return hashlib.sha256(call_id.encode("utf-8", "replace")).hexdigest()[:length]


def _arguments(text: str) -> str:
    """As the model wrote them; nothing where that is no object: servers parse them, and the output says it already."""
    try:
        return text if isinstance(json.loads(text), dict) else "{}"
    except ValueError:
        return "{}"


def _extra_content(extra: Mapping[str, Any], row: "ServiceRow") -> JSON:
    kept = {key: extra[key] for key in row.extra_content if extra.get(key)}
    return {"extra_content": kept} if kept else {}


# Messages


def _message(item: ChatMessage, row: "ServiceRow", loaded: Mapping[int, Loaded]) -> tuple[JSON | None, JSON | None]:
    """What is shown before it, and the message; None for each that has nothing in it.

    Only the user may show something: pictures of the others are a message of the user, before theirs.
    """
    content = _content(item.content, row, loaded)
    shown = None
    if isinstance(content, list) and item.role != "user":
        others = [part for part in content if part["type"] != "text"]
        shown = {"role": "user", "content": others} if others else None
        texts = [part for part in content if part["type"] == "text"]
        marked = any("cache_control" in part for part in texts)
        content = texts if marked else _joined([part["text"] for part in texts])
    if not content:
        return shown, None
    role = "system" if item.role == "developer" and not row.developer_role else item.role
    message: JSON = {"role": role, "content": content}
    name = item.extra.get("name")
    if row.message_names and isinstance(name, str) and name:
        message["name"] = name
    if item.extra:
        message |= _extra_content(item.extra, row)
    return shown, message


def _content(parts: Sequence[ChatContent], row: "ServiceRow", loaded: Mapping[int, Loaded]) -> str | list[JSON]:
    if len(parts) == 1 and isinstance(parts[0], str):  # nearly always
        return parts[0] if parts[0].strip() else ""
    texts = [part for part in parts if isinstance(part, str)]
    if len(texts) == len(parts):
        return _joined(texts)
    known = [(typed(part), loaded.get(id(part))) for part in parts]
    made = [_part(part, bytes_, row) for part, bytes_ in known]
    told = [each for each in made if each is not None]
    if any("cache_control" in each for each in told):  # a mark counts for what stands before it
        return told
    text = _joined([each["text"] for each in told if each["type"] == "text"])
    others = [each for each in told if each["type"] != "text"]
    if not others:
        return text
    return [*others, {"type": "text", "text": text}] if text else others


def _joined(texts: Sequence[str]) -> str:
    text = "\n".join(text for text in texts if text)
    return text if text.strip() else ""


def _part(part: Content | JSON, loaded: Loaded | None, row: "ServiceRow") -> JSON | None:
    """A part in OpenAI's form; None for one of which nothing can be said here."""
    if isinstance(part, dict):
        return _known_there(part)
    if isinstance(part, TextContent):
        made: JSON | None = {"type": "text", "text": part.text} if part.text else None
    elif isinstance(part, ImageContent):
        url = _image_url(part, loaded or part.loaded)
        made = {"type": "image_url", "image_url": {"url": url, "detail": part.inference_detail}}
    elif isinstance(part, AudioContent):
        made = _sound(part, loaded, row)
    else:
        made = _file(part, loaded or part.loaded, row)
    if made is not None and row.cache_control and part.cache_control:
        made["cache_control"] = dict(part.cache_control)
    return made


def _known_there(part: JSON) -> JSON:
    """A part of a kind that the service may know."""
    kind = part.get("type")
    if not isinstance(kind, str) or not kind or len(part) == 1:
        raise UsageError(
            f"A message holds the part {part!r:.80}; write one like {{'type': 'text', 'text': ...}}, or ImageContent(...)."
        )
    return part


def _sound(part: AudioContent, loaded: Loaded | None, row: "ServiceRow") -> JSON | None:
    if not row.audio_input:
        return {"type": "text", "text": part.transcript} if part.transcript else None
    return _input_audio("wav", loaded or Loaded("audio/wav", part.wav()))


def _file(part: FileContent, loaded: Loaded | None, row: "ServiceRow") -> JSON:
    if part.uri is not None and loaded is None:
        told: JSON = {"file_id": part.uri}
        return {"type": "file", "file": told | ({"format": part.mime_type} if part.mime_type else {})}
    loaded = loaded or Loaded(part.mime_type or "", part.data if isinstance(part.data, bytes) else b"")
    if row.audio_input and not row.file_uris and loaded.mime_type in _SOUND_FORMATS:
        return _input_audio(_SOUND_FORMATS[loaded.mime_type], loaded)
    named = {"filename": part.filename} if part.filename else {}
    return {"type": "file", "file": {**named, "file_data": data_uri(loaded)}}


def _input_audio(kind: str, loaded: Loaded) -> JSON:
    return {"type": "input_audio", "input_audio": {"data": base64_of(loaded), "format": kind}}


def _image_url(part: ImageContent, loaded: Loaded | None) -> Any:
    if loaded is not None:
        return data_uri(loaded)
    return part.image


# Services that insist on turns


def _alternating(told: Sequence[JSON]) -> list[JSON]:
    """Instructions at the head, then user and assistant in turns: the user begins, and is the last."""
    made: list[JSON] = []
    for message in told:
        if message["role"] in INSTRUCTION_ROLES and any(each["role"] == "user" for each in made):
            message = _by_the_user(message)
        if message["role"] == "assistant" and (not made or made[-1]["role"] in INSTRUCTION_ROLES):
            made.append({"role": "user", "content": EMPTY})
        if made and made[-1]["role"] == message["role"]:
            made[-1] = {**made[-1], "content": _together(made[-1]["content"], message["content"])}
        else:
            made.append(message)
    if not made or made[-1]["role"] in INSTRUCTION_ROLES:
        made.append({"role": "user", "content": EMPTY})
    elif made[-1]["role"] == "assistant":
        made.append({"role": "user", "content": GO_ON})
    return made


def _answered(told: Sequence[JSON]) -> list[JSON]:
    """An answer behind each output of a tool, instructions before answers, and the user or a tool last (Mistral)."""
    made: list[JSON] = []
    for message in told:
        before = made[-1]["role"] if made else "system"
        if message["role"] in INSTRUCTION_ROLES and before in ("assistant", "tool"):
            message = _by_the_user(message)
        if message["role"] == "user" and before == "tool":
            made.append({"role": "assistant", "content": INTERRUPTED})
        made.append(message)
    if made and made[-1]["role"] not in ("user", "tool"):
        made.append({"role": "user", "content": GO_ON if made[-1]["role"] == "assistant" else EMPTY})
    return made


def _by_the_user(message: JSON) -> JSON:
    """Instructions in the middle of a conversation, for services that want them at its head or nowhere."""
    content = message["content"]
    text = content if isinstance(content, str) else _joined([part["text"] for part in content])
    return {"role": "user", "content": f"<instructions>\n{text}\n</instructions>"}


def _together(first: str | list[JSON], second: str | list[JSON]) -> str | list[JSON]:
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}\n{second}"
    return [*_as_parts(first), *_as_parts(second)]


def _as_parts(content: str | list[JSON]) -> list[JSON]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
