"""What a parameter of a model may be. Each check gives the value back, and says what is wrong with it as `UsageError`."""

from collections.abc import Collection, Mapping
from typing import Any

from agent_runtime.errors import UsageError


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
    return list(texts) or None


def mapping(name: str, value: Any) -> dict[str, Any]:
    """Names and values; none for None."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise UsageError(f"{name} is {value!r}; it is a dictionary.")
    return dict(value)
