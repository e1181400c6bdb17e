"""The event log of a call: an ordered stream that others follow, and its form on disk.

On disk a call is one JSON object a line::

    {"seq":4,"t":1.84,"type":"voice_stopped","last_voiced":1.32}

`seq` counts from 0, `t` is seconds since the session started, and then come the event's own fields in the order of
their declaration. Fields that hold loop time (`onset`, `last_voiced`, `transcribed_at`) are told in the same seconds as
`t`. Nothing in a line depends on the machine: the same call gives the same bytes.
"""

import dataclasses
import json
import logging
import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from agent_runtime.content import CONTENT_TYPES, outline
from agent_runtime.errors import UsageError
from agent_runtime.events import BY_NAME, Event
from agent_runtime.trace.file import CallFile

Subscriber = Callable[[Event], object]

_logger = logging.getLogger(__name__)

_LOOP_TIMES = frozenset({"onset", "last_voiced", "transcribed_at"})
_NOT_TOLD = frozenset({"created_at"})
"""When a conversation item was made: loop time or, in items of other makers, wall time. `t` says it for everybody."""


class EventLog:
    """What happened, in order, for whoever listens.

    Every subscriber is called with every event of the kinds it named, in the order of appending. A subscriber may append:
    its event is delivered when the present one has reached everybody, so all see the same order. A subscriber that raises
    is logged and stays subscribed; it takes nothing from the others and does not end the call.

    The order is the order of appending. `at` may step back a little between two events: what a device tells
    afterwards (when playback began) is stamped with the moment it is about.

    Only the `last` event is kept: to let go of older ones would cost more than all else in here. Who wants them all
    subscribes, or reads the file (`read_events`).
    """

    def __init__(self) -> None:
        self.last: Event | None = None
        self._subscribers: tuple[tuple[Subscriber, tuple[type[Event], ...]], ...] = ()
        self._by_kind: dict[type[Event], tuple[Subscriber, ...]] = {}
        self._undelivered: deque[Event] = deque()
        self._delivering = False
        self._appended = 0
        self.delivered = 0
        """How many events were told, the one that is being told included."""

    def __len__(self) -> int:
        """How many events were appended."""
        return self._appended

    @property
    def delivering(self) -> bool:
        """Whether this is called by a subscriber, directly or not."""
        return self._delivering

    def subscribe(self, subscriber: Subscriber, *kinds: type[Event]) -> Callable[[], None]:
        """Call `subscriber` with every event from now on, or with those of the classes `kinds`.

        Returns what ends that; it may be called twice.
        """
        entry = (subscriber, kinds)
        self._subscribers = (*self._subscribers, entry)
        self._by_kind.clear()

        def unsubscribe() -> None:
            self._subscribers = tuple(other for other in self._subscribers if other is not entry)
            self._by_kind.clear()

        return unsubscribe

    def _told_of(self, kind: type[Event]) -> tuple[Subscriber, ...]:
        told = tuple(subscriber for subscriber, kinds in self._subscribers if not kinds or kind in kinds)
        self._by_kind[kind] = told
        return told

    def append(self, event: Event) -> None:
        self._appended += 1
        self.last = event
        if self._delivering:
            self._undelivered.append(event)
            return
        self._delivering = True
        try:
            while True:
                self.delivered += 1
                told = self._by_kind.get(type(event))
                for subscriber in told if told is not None else self._told_of(type(event)):
                    try:
                        subscriber(event)
                    except Exception:
                        _logger.exception("A subscriber to the event log failed on %s", event.type)
                if not self._undelivered:
                    return
                event = self._undelivered.popleft()
        finally:
            self._delivering = False


class JsonlWriter:
    """A subscriber that writes each event as a line: `log.subscribe(JsonlWriter("call.jsonl"))`.

    `started` is the loop time that is `t` 0; by default that of the first event. A disk that fails ends the writing,
    not the call: the file ends with a whole line, the error is in `error` and was given once to `on_error` (from within
    a delivery; appending an event there is fine).
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        started: float | None = None,
        on_error: Callable[[OSError], None] | None = None,
    ) -> None:
        self._file = CallFile(path, on_error=on_error)
        self._started = started
        self._size = 0
        self.lines = 0

    @property
    def error(self) -> OSError | None:
        return self._file.error

    def __call__(self, event: Event) -> None:
        if not self._file.open:
            return
        if self._started is None:
            self._started = event.at
        line = encode(record(event, seq=self.lines, started=self._started))
        if self._file.write(self._size, line, whole=self._size):
            self._size += len(line)
            self.lines += 1

    def close(self) -> None:
        self._file.close()


# An event as a record, and back


def record(event: Event, *, seq: int, started: float) -> dict[str, Any]:
    """The event as plain values: what a line of the log holds."""
    result: dict[str, Any] = {"seq": seq, "t": _rounded(event.at - started), "type": event.type}
    for name in _field_names(type(event)):
        value = getattr(event, name)
        if name in _LOOP_TIMES and value is not None:
            value = value - started
        result[name] = _plain(value)
    return result


def encode(values: Mapping[str, Any]) -> bytes:
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # Half a surrogate pair has no UTF-8; the escape this makes of it is the one JSON knows.
    return text.encode("utf-8", "backslashreplace") + b"\n"


def read_jsonl(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The records of a log, as dicts. `UsageError` names the line that is none."""
    return list(_records(Path(path)))


def read_events(path: str | os.PathLike[str]) -> list[Event]:
    """The events of a log, with `at` (and every other time) in seconds since the session started.

    Conversation items stay dicts. `UsageError` names a line whose type or fields no event has.
    """
    return [_event(Path(path), number, values) for number, values in enumerate(_records(Path(path)), start=1)]


def _records(path: Path) -> Iterator[dict[str, Any]]:
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}; name a log that a call has written.") from error
    if lines and not lines[-1]:
        lines.pop()
    for number, line in enumerate(lines, start=1):
        try:
            values = json.loads(line)
        except ValueError:
            values = None
        if not isinstance(values, dict):
            raise _broken(path, number, line, "is no JSON object")
        yield values


def event_of(values: Mapping[str, Any], *, at: float) -> Event:
    """The event of a record, at another time; KeyError or TypeError where it is none."""
    fields = {name: value for name, value in values.items() if name not in ("seq", "t", "type")}
    return BY_NAME[values["type"]](at=at, **fields)


def _event(path: Path, number: int, values: dict[str, Any]) -> Event:
    try:
        return event_of(values, at=float(values["t"]))
    except (KeyError, TypeError, ValueError) as error:
        raise _broken(path, number, encode(values).strip(), "is no event that this version knows") from error


def _broken(path: Path, number: int, line: bytes, what: str) -> UsageError:
    shown = line[:60].decode("utf-8", "replace") + ("..." if len(line) > 60 else "")
    return UsageError(f"Line {number} of {path} {what}: {shown!r}; delete that line to read the others.")


_names: dict[type[Event], tuple[str, ...]] = {}


def _field_names(kind: type[Event]) -> tuple[str, ...]:
    names = _names.get(kind)
    if names is None:
        names = _names[kind] = tuple(field.name for field in dataclasses.fields(kind) if field.name != "at")
    return names


def _plain(value: Any) -> Any:
    if value is None or (isinstance(value, bool | int | str) and not isinstance(value, Enum)):
        return value
    if isinstance(value, float):
        return _rounded(value)
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in outline(value).items() if key not in _NOT_TOLD}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, CONTENT_TYPES):  # pictures have no place in a log
        return value.outline()
    if callable(to_dict := getattr(value, "to_dict", None)):
        return _plain(to_dict())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind = getattr(type(value), "type", None)
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return _plain({"type": kind, **fields} if isinstance(kind, str) else fields)
    # repr() would tell addresses.
    return f"<{type(value).__name__}>"


def _rounded(seconds: float) -> float | None:
    if not math.isfinite(seconds):
        return None
    return round(seconds, 6) + 0.0  # -0.0 reads as a difference that is none
