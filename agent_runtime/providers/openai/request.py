"""The body of a chat completion: what the user asks for, checked, and made into what the service takes. Pure.

What a service may know and we do not passes through as it stands; what is known is checked before anything is sent. What
is known to be refused by a model (`services.toml`) is left out, renamed or brought into range, and a note says so.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import ref

from agent_runtime.errors import UsageError
from agent_runtime.providers import ranges
from agent_runtime.providers.openai import services
from agent_runtime.providers.openai.services import ServiceRow
from agent_runtime.providers.remote import Asked
from agent_runtime.providers.schemas import ResponseSchema, loose, response_schema, strict_or_loose
from agent_runtime.tools import FunctionTool, ProviderTool
from agent_runtime.types import NOT_GIVEN

JSON = dict[str, Any]

MOST_STOPS = 4
MOST_CHOICES = 128
MOST_METADATA = 16
"""Of the API."""

APART = ("extra_body", "extra_headers", "extra_query")
"""What goes with a request besides its parameters."""

_ONE_LIMIT = ("max_tokens", "max_completion_tokens")


@dataclass(slots=True)
class Parameters:
    """What one request asks for, before the service is looked at.

    Attributes:
        body: parameters by name.
        extra_body, extra_headers, extra_query: sent as they are, whatever the service's rules say.
    """

    body: JSON
    extra_body: JSON = field(default_factory=dict)
    extra_headers: dict[str, str] = field(default_factory=dict)
    extra_query: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, *layers: Mapping[str, Any]) -> "Parameters":
        """Layers of parameters, the later ones over the earlier. None takes away what an earlier one says."""
        body: JSON = {}
        apart: dict[str, JSON] = {name: {} for name in APART}
        for layer in layers:
            given = {name: value for name, value in layer.items() if value is not NOT_GIVEN}
            for name in APART:
                apart[name].update(ranges.mapping(name, given.pop(name, None)))
            if any(given.get(name) is not None for name in _ONE_LIMIT):  # two names of one thing
                body = {name: value for name, value in body.items() if name not in _ONE_LIMIT}
            body.update(given)
        for name in ("extra_headers", "extra_query"):
            apart[name] = {
                key: _plain(f"{name}[{key!r}]", value) for key, value in apart[name].items() if value is not None
            }
        return cls({name: value for name, value in body.items() if value is not None}, **apart)


def _plain(name: str, value: Any) -> str:
    if not isinstance(value, str | int | float):
        raise UsageError(f"{name} is {value!r:.80}; it is a text.")
    return str(value)


@dataclass(slots=True)
class Drawn:
    """A body, and what was done to it that its user may not expect."""

    body: JSON
    notes: list[str] = field(default_factory=list)


def draw(asked: Asked, parameters: Parameters, *, row: ServiceRow, model: str, messages: Sequence[JSON]) -> Drawn:
    """The body for `asked`.

    Raises:
        UsageError: something in it cannot be asked; thing, value and fix are named.
    """
    chosen = dict(parameters.body)
    response_format = chosen.pop("response_format", None) if asked.response_format is None else asked.response_format
    raw_tools = _raw_tools(chosen.pop("tools", None))
    given: JSON = {"tool_choice": asked.tool_choice, "parallel_tool_calls": asked.parallel_tool_calls}
    chosen |= {name: value for name, value in given.items() if value is not None and value is not NOT_GIVEN}
    check({**chosen, **parameters.extra_body}, messages)
    ranges.check_patience(chosen)
    check_words(chosen, row)
    drawn = Drawn({"model": model})
    tools = _tools(asked.tools, raw_tools, row, drawn.notes)
    if tools and not row.tools:
        drawn.notes.append(f"{row.name} takes no tools: none are sent.")
        tools = []
    _choose(chosen, tools, asked, row)
    schema = response_schema(response_format)
    drawn.body["messages"] = list(messages)
    if schema is not None:
        chosen["response_format"] = _format(schema, row, drawn.body)
    if chosen.get("continue_final_message"):
        chosen["add_generation_prompt"] = False
    _follow_rules(chosen, row, model, bool(tools), drawn.notes)
    drawn.body["stream"] = True
    if row.usage_in_stream:
        drawn.body["stream_options"] = {"include_usage": True, **chosen.pop("stream_options", {})}
    if tools:
        drawn.body["tools"] = tools
    drawn.body |= {**chosen, **parameters.extra_body}
    if drawn.body.get("n", 1) > 1:
        drawn.notes.append(f"n is {drawn.body['n']}: the first is spoken, the others are in extra['choices'].")
    return drawn


# What a parameter may be


def _is_number(low: float, high: float) -> Callable[[str, Any], object]:
    return lambda name, value: ranges.number(name, value, low, high)


def _is_whole(low: int, high: int | None = None) -> Callable[[str, Any], object]:
    def is_whole(name: str, value: Any) -> None:
        if ranges.whole(name, value, low) is not None and high is not None and value > high:
            raise UsageError(f"{name} is {value}; it is a whole number from {low} to {high}.")

    return is_whole


def _is_text(name: str, value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise UsageError(f"{name} is {value!r}; it is a text that is not empty.")


def _is_stop(name: str, value: Any) -> None:
    ranges.stops(name, value, MOST_STOPS, blank=True)


def _is_metadata(name: str, value: Any) -> None:
    entries = ranges.mapping(name, value)
    if not all(isinstance(each, str) for entry in entries.items() for each in entry):
        raise UsageError(f"{name} is {value!r:.80}; its names and values are texts.")
    if len(entries) > MOST_METADATA:
        raise UsageError(f"{name} has {len(entries)} entries; {MOST_METADATA} is the most.")


def _is_modalities(name: str, value: Any) -> None:
    if not isinstance(value, list | tuple) or not value or not all(isinstance(each, str) and each for each in value):
        raise UsageError(f"{name} is {value!r:.80}; it is a list of texts, as ['text', 'audio'].")


def _is_logit_bias(name: str, value: Any) -> None:
    for token, bias in ranges.mapping(name, value).items():
        ranges.number(f"{name}[{token!r}]", bias, -100, 100)
        if not str(token).lstrip("-").isdecimal():
            raise UsageError(
                f"{name} has the token {token!r}; a token is named by its number, as in {{'50256': -100}}."
            )


_CHECKS: Mapping[str, Callable[[str, Any], object]] = {
    "temperature": _is_number(0, 2),
    "top_p": _is_number(0, 1),
    "max_tokens": _is_whole(1),
    "max_completion_tokens": _is_whole(1),
    "frequency_penalty": _is_number(-2, 2),
    "presence_penalty": _is_number(-2, 2),
    "seed": _is_whole(-(2**63), 2**63 - 1),
    "stop": _is_stop,
    "n": _is_whole(1, MOST_CHOICES),
    "logprobs": ranges.flag,
    "top_logprobs": _is_whole(0, 20),
    "logit_bias": _is_logit_bias,
    "tools": lambda _, value: _raw_tools(value),
    "reasoning_effort": _is_text,
    "store": ranges.flag,
    "user": _is_text,
    "service_tier": _is_text,
    "metadata": _is_metadata,
    "modalities": _is_modalities,
    "verbosity": _is_text,
    "safety_identifier": _is_text,
    "prompt_cache_key": _is_text,
    "prompt_cache_retention": _is_text,
    "stream_options": ranges.mapping,
}


def check(chosen: Mapping[str, Any], messages: Sequence[JSON] = ()) -> None:
    """What is known of single parameters, and of what they need from each other.

    Raises:
        UsageError: one is out of its range, or lacks what it goes with.
    """
    for name, value in chosen.items():
        if value is None:
            continue
        if name in _CHECKS:
            _CHECKS[name](name, value)
        _check_json(name, value)
    ranges.check(chosen)
    if all(chosen.get(name) is not None for name in _ONE_LIMIT):
        raise UsageError("max_tokens and max_completion_tokens are both given; keep max_completion_tokens.")
    if chosen.get("top_logprobs") is not None and chosen.get("logprobs") is not True:
        raise UsageError(f"top_logprobs is {chosen['top_logprobs']}, without logprobs; set logprobs=True besides.")
    if chosen.get("continue_final_message") and messages and messages[-1]["role"] != "assistant":
        raise UsageError(
            "continue_final_message is True, but the last message is not the assistant's; "
            "add the beginning of the answer as a message of the assistant."
        )


def check_words(chosen: Mapping[str, Any], row: ServiceRow) -> None:
    """Refuse a word that the service has not, of those parameters of which it is known which it has.

    Raises:
        UsageError: it is named with what was near.
    """
    for name, known in row.words.items():
        word = chosen.get(name)
        if isinstance(word, str) and word not in known:
            raise UsageError(
                f"{name} is {word!r}, which {row.name} has not. {services.near(word, known)} "
                f"A newer word goes into extra_body={{{name!r}: ...}}."
            )


def _check_json(name: str, value: Any) -> None:
    if isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name} is {value!r:.80}, which JSON cannot hold ({error}).") from None


# Tools


def _raw_tools(tools: Any) -> list[JSON]:
    """Tools that were given among the parameters, as the service has them."""
    if tools is None:
        return []
    if not isinstance(tools, Sequence) or not all(isinstance(tool, Mapping) for tool in tools):
        raise UsageError(f"tools is {tools!r:.80}; in extra_kwargs it is a list of dictionaries.")
    return [_raw_tool(tool) for tool in tools]


def _raw_tool(tool: Mapping[str, Any]) -> JSON:
    """One that is written as the service has it. Of what the service itself runs, nothing is known here."""
    _check_json("tools", tool)
    if "function" in tool or tool.get("type") == "function":
        function = tool.get("function")
        name = function.get("name") if isinstance(function, Mapping) else None
        if not isinstance(name, str) or not name:
            raise UsageError(
                f"A tool has no name: {dict(tool)!s:.80}; write {{'type': 'function', 'function': {{'name': ...}}}}."
            )
    elif not tool:
        raise UsageError("A tool is {}; write {'type': 'function', 'function': {'name': ...}}.")
    return dict(tool)


def _tools(given: Any, raw_tools: Sequence[JSON], row: ServiceRow, notes: list[str]) -> list[JSON]:
    """The tools of a request, in any form in which they are given, as they are sent."""
    return [_tool(tool, row, notes) for tool in ranges.tools([*ranges.tools(given), *raw_tools])]


def _tool(tool: Any, row: ServiceRow, notes: list[str]) -> JSON:
    if isinstance(tool, FunctionTool):
        return _function(tool, row, notes)
    if isinstance(tool, ProviderTool):
        return _provider_tool(tool, row)
    return _raw_tool(tool)


_described: dict[tuple[int, bool], tuple["ref[FunctionTool]", JSON, str]] = {}
"""Tools as they are sent, strict or not: working one out takes longer than the rest of a request. By identity, as tools of
one function are equal whatever their names."""


def _function(tool: FunctionTool, row: ServiceRow, notes: list[str]) -> JSON:
    key = (id(tool), row.strict_tools)
    known = _described.get(key)
    if known is None or known[0]() is not tool:
        known = _described[key] = (ref(tool, lambda _: _described.pop(key, None)), *_worked_out(tool, row.strict_tools))
    _, told, note = known
    if note:
        notes.append(note)
    return told


def _worked_out(tool: FunctionTool, strict: bool) -> tuple[JSON, str]:
    """A tool as it is sent, and a note."""
    described: JSON = {"name": tool.name}
    if tool.description:
        described["description"] = tool.description
    what = f"The schema of the tool '{tool.name}'"
    # A schema that its user wrote is left as it is.
    if not strict or tool.raw_schema is not None:
        return {"type": "function", "function": {**described, "parameters": loose(tool.parameters, what=what)}}, ""
    parameters, reason = strict_or_loose(tool.parameters, what=what)
    if reason:
        note = f"The tool '{tool.name}' is sent without strict arguments: {reason}."
        return {"type": "function", "function": {**described, "parameters": parameters}}, note
    return {"type": "function", "function": {**described, "strict": True, "parameters": parameters}}, ""


def _provider_tool(tool: ProviderTool, row: ServiceRow) -> JSON:
    if tool.provider == row.provider:
        return {"type": tool.name, **tool.options}
    if tool.provider in row.provider_tools:
        return {tool.name: dict(tool.options)}
    raise UsageError(
        f"The tool '{tool.name}' is {tool.provider}'s own; {row.provider} does not know it. "
        f"Take it out of the agent's tools, or name a model of {tool.provider}."
    )


def _choose(chosen: JSON, tools: Sequence[JSON], asked: Asked, row: ServiceRow) -> None:
    """Say how tools are to be used, where there are any."""
    if not tools:
        chosen.pop("tool_choice", None)
        chosen.pop("parallel_tool_calls", None)
        return
    choice = chosen.get("tool_choice")
    if choice is None and row.tool_choice_auto:
        chosen["tool_choice"] = "auto"
    elif isinstance(choice, Mapping):
        name = choice["function"]["name"]
        known = [tool["function"]["name"] for tool in tools if "function" in tool]
        if name not in known:
            raise UsageError(f"tool_choice names the tool '{name}', which is not there; there are {', '.join(known)}.")
        chosen["tool_choice"] = {"type": "function", "function": {"name": name}}


def _format(schema: ResponseSchema, row: ServiceRow, body: JSON) -> JSON:
    """How the answer is to look. A service that knows no schemas is asked for JSON, and told the schema."""
    if row.json_schema or schema.schema is None:
        return schema.openai()
    told = json.dumps(schema.sent, ensure_ascii=False)
    body["messages"].append({"role": "system", "content": f"Answer in JSON that fits this schema:\n{told}"})
    return {"type": "json_object"}


# What the service wants otherwise


def _follow_rules(chosen: JSON, row: ServiceRow, model: str, with_tools: bool, notes: list[str]) -> None:
    told = f"{row.name}'s '{model}'"
    for rule in row.rules_for(model):
        if rule.with_tools and not with_tools:
            continue
        if rule.unless and all(chosen.get(name) == value for name, value in rule.unless.items()):
            continue
        for name, value in rule.defaults.items():
            chosen.setdefault(name, value)
        dropped = [name for name in rule.drop if chosen.pop(name, None) is not None]
        notes += [f"{name} is not sent: {told} refuses it." for name in dropped]
        for name, other in rule.rename.items():
            if name in chosen:
                chosen.setdefault(other, chosen.pop(name))
        for name, (low, high) in rule.clamp.items():
            value = chosen.get(name)
            if value is not None and not low <= value <= high:
                chosen[name] = low if value < low else high
                notes.append(f"{name} is {chosen[name]:g} instead of {value:g}: {told} takes {low:g} to {high:g}.")
