"""What Anthropic's Messages API is told: a history, tools and a choice in its own form. Pure; see `turns` for the rules."""

from collections.abc import Mapping, Sequence
from typing import Any

from agent_runtime.chat import FunctionCall, FunctionCallOutput
from agent_runtime.content import Loaded, TextContent
from agent_runtime.errors import UsageError
from agent_runtime.providers.inlined import base64_of
from agent_runtime.providers.schemas import NotStrict, ResponseSchema, loose, strict
from agent_runtime.providers.turns import EMPTY, History, Part, Turn, arguments_of
from agent_runtime.tools import FunctionTool, ProviderTool

JSON = dict[str, Any]

BREAKPOINTS = 4
"""How many places may be marked for the cache."""

IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")

_UNCHECKED = frozenset(
    "minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength maxItems uniqueItems pattern".split()
)
"""Keywords that its grammar does not take; the model reads of them in the description."""


# History


def messages(history: History, contents: Mapping[int, JSON]) -> list[JSON]:
    """``messages``. `contents` has the block of every picture and file, by the id of its part."""
    return [{"role": turn.role, "content": _content(turn, contents)} for turn in history.turns]


def system(history: History) -> list[JSON]:
    return [{"type": "text", "text": text} for text in history.instructions]


def _content(turn: Turn, contents: Mapping[int, JSON]) -> list[JSON]:
    blocks = [_block(part, contents) for part in turn.parts]
    # A turn with calls begins with the thoughts that led to them, as they were signed.
    thoughts = [thought for call in turn.calls for thought in thoughts_of(call, "anthropic")]
    return [_thought(each) for each in thoughts] + blocks


def thoughts_of(call: FunctionCall, provider: str, model: str | None = None) -> list[JSON]:
    """What `provider` wants back with a call of its own; of one model alone where it is named."""
    kept = (call.extra or {}).get(provider)
    if not isinstance(kept, Mapping) or (model is not None and kept.get("model") != model):
        return []
    return list(kept.get("thoughts") or ())


def _thought(thought: JSON) -> JSON:
    if "redacted" in thought:
        return {"type": "redacted_thinking", "data": thought["redacted"]}
    return {"type": "thinking", "thinking": thought["text"], "signature": thought["signature"]}


def _block(part: Part, contents: Mapping[int, JSON]) -> JSON:
    match part:
        case str():
            return {"type": "text", "text": part}
        case TextContent():
            return marked({"type": "text", "text": part.text}, part)
        case FunctionCall():
            return {"type": "tool_use", "id": part.call_id, "name": part.name, "input": arguments_of(part)}
        case FunctionCallOutput():
            result: JSON = {"type": "tool_result", "tool_use_id": part.call_id, "content": part.output or EMPTY}
            return {**result, "is_error": True} if part.is_error else result
    return marked(contents[id(part)], part)


def marked(block: Mapping[str, Any], part: Any) -> JSON:
    """The block of a part, with the mark that the application has put on it."""
    control = getattr(part, "cache_control", None)
    return {**block, "cache_control": dict(control)} if control else dict(block)


def content(loaded: Loaded) -> JSON:
    """The block of a picture or a file.

    Raises:
        UsageError: it is none of the types that the service reads.
    """
    mime_type = loaded.mime_type
    if mime_type.startswith("text/") or mime_type == "application/json":
        text = loaded.data.decode("utf-8", "replace")
        return {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": text}}
    if mime_type not in (*IMAGES, "application/pdf"):
        raise UsageError(
            f"Anthropic's models read no {mime_type}; give a JPEG, PNG, GIF or WebP picture, a PDF or plain text."
        )
    kind = "image" if mime_type in IMAGES else "document"
    return {"type": kind, "source": {"type": "base64", "media_type": mime_type, "data": base64_of(loaded)}}


# Tools


def tools(given: Sequence[FunctionTool | ProviderTool | Mapping[str, Any]], *, strictly: bool) -> list[JSON]:
    """``tools``: functions, what the service runs itself (``ProviderTool("anthropic", "web_search_20250305")``), and either
    as the service has it."""
    return [_tool(each, strictly) for each in given]


def _tool(tool: FunctionTool | ProviderTool | Mapping[str, Any], strictly: bool) -> JSON:
    if isinstance(tool, Mapping):
        if not isinstance(tool.get("name"), str) or not tool["name"]:
            raise UsageError(
                f"A tool has no name: {dict(tool)!s:.80}; anthropic has {{'name': ..., 'input_schema': {{...}}}}."
            )
        return dict(tool)
    if isinstance(tool, ProviderTool):
        if tool.provider != "anthropic":
            raise UsageError(f"The tool '{tool.name}' is run by {tool.provider}; anthropic has none of that name.")
        name, _, dated = tool.name.rpartition("_")
        return {"type": tool.name, "name": name if dated.isdecimal() else tool.name, **tool.options}
    made: JSON = {"name": tool.name, "description": tool.description, "input_schema": input_schema(tool, "anthropic")}
    if not made["description"]:
        del made["description"]
    if strictly:
        try:
            made |= {"input_schema": _unchecked(strict(tool.parameters)), "strict": True}
        except NotStrict as error:
            raise UsageError(
                f"The tool '{tool.name}' has no strict schema, because {error}; leave strict_tools out."
            ) from None
    return made


def input_schema(tool: FunctionTool, provider: str) -> JSON:
    """The schema of a tool's arguments, which has to be an object's."""
    what = f"The schema of the tool '{tool.name}'"
    schema = loose(tool.parameters, what=what)
    schema.setdefault("type", "object")
    alternatives = {"anyOf", "oneOf", "allOf"} & set(schema)
    if schema["type"] != "object" or alternatives:
        how = f"has '{min(alternatives)}' at the top" if alternatives else f"is of the type {schema['type']!r}"
        raise UsageError(f"{what} {how}, which {provider} does not take; make it an object with properties.")
    return schema


def declared(calls: Sequence[FunctionCall]) -> list[JSON]:
    """The tools of a history without tools: calls may only stand in it if their tools are named."""
    names = dict.fromkeys(call.name for call in calls)
    return [{"name": name, "input_schema": {"type": "object"}} for name in names]


def tool_choice(choice: Any, names: Sequence[str], parallel: bool | None) -> JSON | None:
    """``tool_choice``; None where nothing is said.

    Raises:
        UsageError: it is none, or names a tool that is not there.
    """
    made: JSON | None = named_choice(choice, names)
    if parallel is False and made != {"type": "none"}:
        made = {**(made or {"type": "auto"}), "disable_parallel_tool_use": True}
    return made


def named_choice(choice: Any, names: Sequence[str]) -> JSON | None:
    match choice:
        case None:
            return None
        case "auto" | "none":
            return {"type": choice}
        case "required":
            return {"type": "any"}
        case {"type": "function", "function": {"name": name}}:
            if name not in names:
                known = f"; there are {', '.join(names)}" if names else ", nor any other"
                raise UsageError(f"tool_choice names the tool '{name}', which is not there{known}.")
            return {"type": "tool", "name": name}
    raise UsageError(
        f"tool_choice is {choice!r}; it is 'auto', 'required', 'none' or "
        "{'type': 'function', 'function': {'name': ...}}."
    )


# Answers of a given form


def output_schema(wanted: ResponseSchema) -> JSON:
    """The schema of an answer as Anthropic's grammar takes it: no free keys, and no bounds.

    Raises:
        UsageError: it cannot be said so.
    """
    assert wanted.schema is not None
    try:
        return dict(_unchecked(strict(wanted.schema, nullable=False)))
    except NotStrict as error:
        raise UsageError(
            f"response_format '{wanted.name}' cannot be forced on this model, because {error}; "
            "change the schema, or give structured_output='tool'."
        ) from None


def form(wanted: ResponseSchema) -> JSON:
    """The tool whose arguments are the answer."""
    schema = loose(wanted.schema) if wanted.schema is not None else {"type": "object"}
    if schema.get("type", "object") != "object":
        raise UsageError(f"response_format '{wanted.name}' is no object; put what it is into a field of one.")
    described = wanted.description or "Give the answer with this."
    return {"name": wanted.name, "description": described, "input_schema": {"type": "object", **schema}}


def put_form(body: JSON, form: JSON) -> None:
    """Have the model answer with `form`; where it may call tools, with it or one of them."""
    tools = body.get("tools", [])
    if any(tool["name"] == form["name"] for tool in tools):
        raise UsageError(f"response_format and a tool are both named '{form['name']}'; rename one of them.")
    chosen = body.get("tool_choice", {"type": "auto"})["type"]
    if chosen == "none":
        tools = []
    body["tools"] = [*tools, form]
    if chosen != "tool":
        body["tool_choice"] = {"type": "any", "disable_parallel_tool_use": True}


def _unchecked(schema: Any) -> Any:
    """Without bounds, which become part of the description."""
    if isinstance(schema, list):
        return [_unchecked(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    bounds = {key: value for key, value in schema.items() if key in _UNCHECKED and not isinstance(value, dict)}
    if schema.get("minItems", 0) not in (0, 1):
        bounds["minItems"] = schema["minItems"]
    made = {key: value for key, value in schema.items() if key not in bounds}
    for key in ("properties", "$defs", "definitions"):
        if key in made:
            made[key] = {name: _unchecked(each) for name, each in made[key].items()}
    for key in ("items", "anyOf"):
        if key in made:
            made[key] = _unchecked(made[key])
    if bounds:
        told = ", ".join(f"{key}: {value}" for key, value in bounds.items())
        made["description"] = " ".join([*([made["description"]] if "description" in made else []), f"({told})"])
    return made


# Cache


def mark(body: JSON, control: JSON) -> None:
    """Mark what is worth keeping: the system's words, the tools, the assistant's last turn and the user's before it.

    Marks that the application has put there itself count too, and come first.
    """
    used = sum("cache_control" in block for block in _cacheable(body))
    last = len(body["messages"])
    places = [body.get("system"), body.get("tools")]
    for role in ("assistant", "user"):
        last = next((at for at in range(last - 1, -1, -1) if body["messages"][at]["role"] == role), -1)
        if last < 0:
            break
        places.append(body["messages"][last]["content"])
    for blocks in places:
        fit = [block for block in blocks or () if block.get("type") not in ("thinking", "redacted_thinking")]
        if fit and used < BREAKPOINTS and "cache_control" not in fit[-1]:
            fit[-1]["cache_control"] = dict(control)
            used += 1


def _cacheable(body: JSON) -> list[JSON]:
    contents = [block for message in body["messages"] for block in message["content"]]
    return [*body.get("system", ()), *body.get("tools", ()), *contents]
