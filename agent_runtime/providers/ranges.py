"""What a parameter of a model may be. Each check gives the value back, and says what is wrong with it as `UsageError`.

`check` is what holds for every service; each service adds what is its own.
"""

import sys
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from agent_runtime.errors import UsageError
from agent_runtime.tools import FunctionTool, ProviderTool, ToolContext

STOPS = ("stop", "stop_sequences", "stopSequences")
"""The names that services have for what ends an answer."""

PATIENCE = {
    "timeout": "timeout",
    "first_token_timeout": "first_token_timeout",
    "retry_interval": "retry_interval",
    "max_retry": "max_retry",
    "max_retries": "max_retry",
}
"""What clients take besides the parameters of a request, by its name in `APIConnectOptions`."""


def number(name: str, value: Any, low: float, high: float) -> Any:
    """A number between two others, or None."""
    fits = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    if value is not None and not fits:
        raise UsageError(f"{name} is {value!r}; it is a number from {low:g} to {high:g}.")
    return value


def whole(name: str, value: Any, low: int) -> Any:
    """A whole number of at least `low`, or None."""
    if value is not None and not (isinstance(value, int) and not isinstance(value, bool) and value >= low):
        raise UsageError(f"{name} is {value!r}; it is a whole number of at least {low}.")
    return value


def one_of(name: str, value: Any, known: Collection[Any]) -> Any:
    """One of a few values, or None."""
    if value is not None and value not in known:
        raise UsageError(f"{name} is {value!r}; it is one of {', '.join(map(repr, known))}.")
    return value


def stops(name: str, value: Any, most: int, *, blank: bool = False) -> list[str] | None:
    """What ends an answer: a text or several; None for none. Where `blank`, one may be a line's end alone."""
    if value is None:
        return None
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(each, str) and each for each in texts):
        raise UsageError(f"{name} is {value!r}; it is a text that is not empty, or a list of such.")
    if not blank and not all(map(str.strip, texts)):
        raise UsageError(f"{name} is {value!r}; it is a text that is not blank, or a list of such.")
    if len(texts) > most:
        raise UsageError(f"{name} has {len(texts)} texts; {most} is the most.")
    if not texts:
        raise UsageError(f"{name} is {value!r}; name a text in it, or leave it out.")
    return list(texts)


def flag(name: str, value: Any) -> Any:
    """True, False or None."""
    if value is not None and not isinstance(value, bool):
        raise UsageError(f"{name} is {value!r}; it is True or False.")
    return value


def tool_choice(name: str, value: Any) -> Any:
    """Whether the model is to call a tool, or which one; or None."""
    function = value.get("function") if isinstance(value, Mapping) else None
    named = isinstance(function, Mapping) and isinstance(function.get("name"), str)
    if value is None or named or (isinstance(value, str) and value in ("auto", "required", "none")):
        return value
    raise UsageError(
        f"{name} is {value!r}; it is 'auto', 'required', 'none' or {{'type': 'function', 'function': {{'name': ...}}}}."
    )


def tools(given: Any) -> list[Any]:
    """Tools of any form: functions, what the service runs itself, and dictionaries in the service's own words.

    No two of them have one name.
    """
    if given is None:
        return []
    if isinstance(given, ToolContext):
        return list(given.all_tools)
    if isinstance(given, str | Mapping) or not isinstance(given, Iterable):
        raise UsageError(f"tools is {given!r:.80}; it is a list of tools.")
    found: list[Any] = []
    for tool in given:
        if isinstance(tool, ToolContext):
            found += tool.all_tools
        elif isinstance(tool, FunctionTool | ProviderTool | Mapping):
            found.append(tool)
        else:
            raise UsageError(f"{tool!r:.80} is no tool; put @function_tool above the function.")
    _differently_named(found)
    return found


def _differently_named(tools: Collection[Any]) -> None:
    names: set[str] = set()
    for name in filter(None, map(_name_of, tools)):
        if name in names:
            raise UsageError(
                f"There are two tools '{name}'; give one of them another name, as in @function_tool(name=...)."
            )
        names.add(name)


def _name_of(tool: Any) -> str | None:
    """The name by which a model would call it; None where its service sees to that."""
    if isinstance(tool, FunctionTool):
        return tool.name
    function = tool.get("function", tool) if isinstance(tool, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    return name if isinstance(name, str) else None


def check(given: Mapping[str, Any], *, in_one_piece: bool = False) -> None:
    """What holds of parameters at every service, by whatever name they go there.

    Args:
        in_one_piece: the service may be asked for an answer that is not streamed.

    Raises:
        UsageError: one is out of its range, or is no parameter of a request.
    """
    for name in ("messages", "contents"):
        if name in given:
            raise UsageError(
                f"{name} is {given[name]!r:.80} among the parameters; it cannot be given: the messages are those of chat_ctx."
            )
    if not in_one_piece and given.get("stream", True) is not True:
        raise UsageError(f"stream is {given['stream']!r:.80}; leave it out: answers are streamed.")
    if "model" in given:
        raise UsageError(
            f"model is {given['model']!r} among the parameters; give it to the model itself, by whose name it is billed."
        )
    for name in STOPS:
        stops("stop", given.get(name), sys.maxsize, blank=True)
    for name in ("parallel_tool_calls", "add_generation_prompt", "continue_final_message"):
        flag(name, given.get(name))
    tool_choice("tool_choice", given.get("tool_choice"))
    tools(given.get("tools"))
    if given.get("continue_final_message") and given.get("add_generation_prompt"):
        raise UsageError(
            "continue_final_message and add_generation_prompt are both True; leave add_generation_prompt out."
        )


def check_patience(given: Mapping[str, Any]) -> None:
    """Refuse what says how patient to be, which is no parameter of a request. Where one is, it goes into ``extra_body``.

    Raises:
        UsageError: it is named with the option that it is.
    """
    for name, option in PATIENCE.items():
        if given.get(name) is not None:
            raise UsageError(
                f"{name} is {given[name]!r:.80} among the parameters of the request; how patient to be is said by "
                f"conn_options=APIConnectOptions({option}=...)."
            )


def mapping(name: str, value: Any) -> dict[str, Any]:
    """Names and values; none for None."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise UsageError(f"{name} is {value!r}; it is a dictionary.")
    return dict(value)
