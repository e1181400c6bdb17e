"""What Amazon Bedrock's Converse API is told: a history, tools and a choice in its own form. Pure.

The rules of turns are those of `turns`. Besides: calls may stand in a history only where tools are sent, and there is no
way to forbid calling them; so where none are to be called, neither tools nor calls are sent.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from agent_runtime.chat import FunctionCall, FunctionCallOutput
from agent_runtime.content import Loaded, TextContent
from agent_runtime.errors import UsageError
from agent_runtime.providers.anthropic.messages import form, input_schema, named_choice, output_schema, thoughts_of
from agent_runtime.providers.inlined import base64_of
from agent_runtime.providers.schemas import ResponseSchema
from agent_runtime.providers.turns import EMPTY, History, Part, Turn, arguments_of
from agent_runtime.tools import FunctionTool, ProviderTool

JSON = dict[str, Any]

CACHE_POINT: JSON = {"cachePoint": {"type": "default"}}

IMAGES = {"image/jpeg": "jpeg", "image/png": "png", "image/gif": "gif", "image/webp": "webp"}
DOCUMENTS = {
    "application/pdf": "pdf",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/csv": "csv",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
VIDEOS = {
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "video/webm": "webm",
    "video/mpeg": "mpeg",
    "video/x-matroska": "mkv",
    "video/x-flv": "flv",
    "video/x-ms-wmv": "wmv",
    "video/3gpp": "three_gp",
}
SOUNDS = {
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/ogg": "ogg",
    "audio/flac": "flac",
    "audio/aac": "aac",
    "audio/mp4": "m4a",
    "audio/webm": "webm",
}
"""Types of files to the names that the service has for their formats."""

_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9()\[\]-]+")


def messages(history: History, contents: Mapping[int, JSON], model: str) -> list[JSON]:
    """``messages``. `contents` has the block of every picture and file, by the id of its part."""
    return [{"role": turn.role, "content": _content(turn, contents, model)} for turn in history.turns]


def system(history: History, *, cache: bool) -> list[JSON]:
    blocks: list[JSON] = [{"text": text} for text in history.instructions]
    return [*blocks, CACHE_POINT] if blocks and cache else blocks


def _content(turn: Turn, contents: Mapping[int, JSON], model: str) -> list[JSON]:
    blocks = [_thought(each) for call in turn.calls for each in thoughts_of(call, "bedrock", model)]
    for part in turn.parts:
        blocks.append(_block(part, contents))
        if getattr(part, "cache_control", None):
            blocks.append(CACHE_POINT)
    if (
        turn.role == "user"
        and any("document" in block for block in blocks)
        and not any("text" in each for each in blocks)
    ):
        blocks.append({"text": EMPTY})  # a document has to stand with words
    return blocks


def _thought(thought: JSON) -> JSON:
    if "redacted" in thought:
        return {"reasoningContent": {"redactedContent": thought["redacted"]}}
    return {"reasoningContent": {"reasoningText": {"text": thought["text"], "signature": thought["signature"]}}}


def _block(part: Part, contents: Mapping[int, JSON]) -> JSON:
    match part:
        case str():
            return {"text": part}
        case TextContent():
            return {"text": part.text}
        case FunctionCall():
            return {"toolUse": {"toolUseId": part.call_id, "name": part.name, "input": arguments_of(part)}}
        case FunctionCallOutput():
            status = "error" if part.is_error else "success"
            text = part.output if part.output.strip() else EMPTY
            return {"toolResult": {"toolUseId": part.call_id, "content": [{"text": text}], "status": status}}
    return contents[id(part)]


def content(loaded: Loaded, name: str, number: int) -> JSON:
    """The block of a picture or a file; `number` makes names of documents differ.

    Raises:
        UsageError: it is none of the types that the service reads.
    """
    mime_type, source = loaded.mime_type, {"bytes": base64_of(loaded)}
    for kind, formats in (("image", IMAGES), ("video", VIDEOS), ("audio", SOUNDS)):
        if mime_type in formats:
            return {kind: {"format": formats[mime_type], "source": source}}
    if mime_type in DOCUMENTS:
        plain = _NOT_IN_NAMES.sub(" ", name).strip()[:190]
        return {
            "document": {"format": DOCUMENTS[mime_type], "name": f"{plain or 'document'} {number}", "source": source}
        }
    raise UsageError(
        f"Bedrock's models read no {mime_type}; give a picture, a PDF, an Office file, a text, sound or a video."
    )


# Tools


def tool_config(
    tools: Sequence[FunctionTool | ProviderTool | Mapping[str, Any]],
    choice: Any,
    wanted: ResponseSchema | None,
    *,
    cache: bool,
) -> JSON | None:
    """``toolConfig``; None where no tool is to be called.

    Args:
        wanted: the answer is to be the arguments of a tool of this schema.
        cache: whether the tools are kept in the service's cache.
    """
    specs = [_tool(tool) for tool in tools]
    names = [str(told.get("name")) for spec in specs for told in spec.values()]
    chosen = named_choice(choice, names)
    if chosen == {"type": "none"}:
        specs, names = [], []
    if wanted is not None:
        answer = form(wanted)
        if answer["name"] in names:
            raise UsageError(f"response_format and a tool are both named '{answer['name']}'; rename one of them.")
        specs.append(_spec(answer["name"], answer["description"], answer["input_schema"]))
        if chosen is None or chosen["type"] != "tool":
            chosen = {"type": "any"}
    if not specs:
        return None
    config: JSON = {"tools": [*specs, CACHE_POINT] if cache else specs}
    match chosen:
        case {"type": "tool", "name": name}:
            config["toolChoice"] = {"tool": {"name": name}}
        case {"type": kind}:
            config["toolChoice"] = {kind: {}}
    return config


def _tool(tool: FunctionTool | ProviderTool | Mapping[str, Any]) -> JSON:
    if isinstance(tool, Mapping):
        if (
            not tool
            or set(tool) - {"toolSpec", "systemTool"}
            or not all(isinstance(each, Mapping) for each in tool.values())
        ):
            raise UsageError(
                f"The tool {dict(tool)!s:.80} is of no form that bedrock takes; give {{'toolSpec': {{'name': ...}}}}."
            )
        return dict(tool)
    if isinstance(tool, ProviderTool):
        if tool.provider != "bedrock":
            raise UsageError(f"The tool '{tool.name}' is run by {tool.provider}; bedrock has none of that name.")
        return {"systemTool": {"name": tool.name, **tool.options}}
    return _spec(tool.name, tool.description, input_schema(tool, "bedrock"))


def _spec(name: str, description: str, schema: JSON) -> JSON:
    described = {"description": description} if description.strip() else {}
    return {"toolSpec": {"name": name, **described, "inputSchema": {"json": schema}}}


def text_format(wanted: ResponseSchema) -> JSON:
    """``textFormat`` of ``outputConfig``."""
    schema = json.dumps(output_schema(wanted), ensure_ascii=False)
    described = {"description": wanted.description} if wanted.description else {}
    return {
        "type": "json_schema",
        "structure": {"jsonSchema": {"schema": schema, "name": wanted.name, **described}},
    }
