"""What a sentence may say of the log: the names of its events, their fields, and what stands in those."""

import dataclasses
import difflib
import functools
import math
import types
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from agent_runtime import events
from agent_runtime.errors import UsageError
from agent_runtime.testing.steps import event_names


def known_event(name: str) -> str:
    """The name, if an event has it.

    Raises:
        UsageError: none has; it says which one is near, or which there are.
    """
    if name not in event_names():
        raise UsageError(f"There is no event {name!r}; {_near(name, event_names()) or _all(event_names())}")
    return name


@functools.cache
def fields_of(event: str) -> Mapping[str, Any]:
    """The fields of an event as they stand in a log, with their types."""
    kind = events.BY_NAME[event]
    hints = get_type_hints(kind)
    own = {each.name: hints[each.name] for each in dataclasses.fields(kind) if each.name != "at"}
    return {"seq": int, "t": float, **own}


def value_of(event: str, field: str, text: str) -> str | float | bool | None:
    """What `text` means in that field: a word, a number, or something in quotes.

    Raises:
        UsageError: the event has no such field, or what `text` says never stands in it.
    """
    known = fields_of(event)
    if field not in known:
        near = _near(field, known)
        has = _all(known, "It has" if near else "it has")
        raise UsageError(f"The event {event!r} has no field {field!r}; {near}{' ' if near else ''}{has}")
    hint = known[field]
    kinds = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    if text == "null" and types.NoneType in kinds:
        return None
    return _read(event, field, text, kinds)


def _read(event: str, field: str, text: str, kinds: tuple[Any, ...]) -> str | float | bool:
    kind, bare = kinds[0], text[:1] not in "\"'“"
    plain = text if bare else text[1:-1]
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    if kind is str or plain in choices:
        return plain
    if kind is bool and text in ("true", "false"):
        return text == "true"
    number = _number(text) if kind in (int, float) else None
    if number is not None and (kind is float or number.is_integer()):
        return number
    what = f"one of {', '.join(choices)}" if choices else _KINDS.get(kind)
    if what is None:
        raise UsageError(
            f"The field {field!r} of {event} is a list or an object, which no sentence can name; leave it out."
        )
    or_null = " or null" if types.NoneType in kinds else ""
    near = f"; {_near(plain, choices)}" if choices and _near(plain, choices) else "."
    raise UsageError(f"The field {field!r} of {event} is {what}{or_null}, and never {text}{near}")


_KINDS = {bool: "true or false", int: "a whole number", float: "a number"}


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else ""


def _all(known: Iterable[str], begin: str = "there are") -> str:
    return f"{begin} {', '.join(known)}."
