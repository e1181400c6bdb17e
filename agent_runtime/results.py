"""What a tool's result is to a model: text.

A string stays as it is, anything else becomes JSON. What has no text of its own is refused, for the model would read it
out to the caller: ``<Order object at 0x7f...>``.
"""

import asyncio
import inspect
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping

from agent_runtime.content import TextContent
from agent_runtime.errors import UsageError

TAKEN = "a str, a number, a bool, None, a list or dict of these, a dataclass, a pydantic model or an Agent"

_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+>")


def elements(result: object) -> Iterable[object]:
    """The elements of a list or a tuple; else the result is the one there is."""
    return result if isinstance(result, list | tuple) else (result,)


def plain(result: object) -> object:
    """A result with the text of each `TextContent` in its place."""
    if isinstance(result, list | tuple) and any(isinstance(each, TextContent) for each in result):
        return [plain(each) if isinstance(each, TextContent) else each for each in result]
    return result.text if isinstance(result, TextContent) else result


def is_agent(value: object) -> bool:
    kind = _agent_class()
    return kind is not None and isinstance(value, kind)


def as_text(name: str, result: object) -> str:
    """What the model is told that tool `name` returned.

    Raises:
        UsageError: it has no text, or something in it: a coroutine, a class, an object that is no more than its address.
    """
    if result is None:
        return ""
    if isinstance(result, str):
        return result
    try:
        return json.dumps(result, ensure_ascii=False)
    except (TypeError, ValueError):
        return _as_text_of_types(name, result)


def _as_text_of_types(name: str, result: object) -> str:
    """Dataclasses, dates, sets, pydantic models: what pydantic has a JSON form for; else as Python writes it."""
    from pydantic_core import PydanticSerializationError, to_json

    try:
        return to_json(_sets_in_order(result)).decode()
    except (PydanticSerializationError, ValueError):
        return _as_python_writes_it(name, result)


def _sets_in_order(value: object) -> object:
    """Sets as lists that every run writes alike: a set's own order changes from process to process."""
    match value:
        case set() | frozenset():
            return sorted(map(_sets_in_order, value), key=repr)
        case list() | tuple():
            return [_sets_in_order(each) for each in value]
        case dict():
            return {key: _sets_in_order(each) for key, each in value.items()}
    return value


def _as_python_writes_it(name: str, result: object) -> str:
    mute = [each for each in _parts(result) if _is_mute(each)]
    for each in mute:
        if inspect.iscoroutine(each):
            each.close()  # nobody will await it
    text = "" if mute else str(result)
    if mute or _ADDRESS.search(text):
        raise UsageError(f"The tool '{name}' returned {_mend((mute or [result])[0])}.")
    return text


def _parts(result: object) -> Iterator[object]:
    if isinstance(result, Mapping):
        for key, value in result.items():
            yield from _parts(key)
            yield from _parts(value)
    elif isinstance(result, list | tuple | set | frozenset):
        for each in result:
            yield from _parts(each)
    else:
        yield result


def _is_mute(value: object) -> bool:
    """Whether it is written in angle brackets, which is how Python marks what has no text."""
    return type(value).__str__ is object.__str__ and repr(value).startswith("<")


def _mend(mute: object) -> str:
    if inspect.iscoroutine(mute):
        return "a coroutine; write 'return await ...'"
    if isinstance(mute, asyncio.Future):
        return f"a {type(mute).__name__} that is not awaited; write 'return await ...'"
    if isinstance(mute, type):
        kind = _agent_class()
        if kind is not None and issubclass(mute, kind):
            return f"the class {mute.__name__}; return an instance to hand over, {mute.__name__}(...)"
        return f"the class {mute.__name__}, which has no text for the model; return {TAKEN}"
    return f"an object of type {type(mute).__name__}, which has no text for the model; return {TAKEN}"


def _agent_class() -> type | None:
    # Where that module was never imported, nothing can be an agent.
    module = sys.modules.get("agent_runtime.agent")
    return None if module is None else module.Agent
