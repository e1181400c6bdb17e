"""Who is told of a session's events by name: `session.on("user_input_transcribed", callback)`."""

import asyncio
from collections.abc import Callable
from typing import Any

from agent_runtime import events
from agent_runtime.errors import UsageError
from agent_runtime.events import Event

Callback = Callable[[Any], Any]


class Listeners:
    """Callbacks by event name, called on the loop in the order of the events.

    Args:
        failed: told of a callback that raised, by name; the callback keeps its place.
    """

    def __init__(self, failed: Callable[[str, BaseException], None]) -> None:
        self._callbacks: dict[str, list[Callback]] = {}
        self._failed = failed

    def add(self, event: str, callback: Callback) -> None:
        if asyncio.iscoroutinefunction(callback):
            raise UsageError(
                f"The callback for {event!r} is a coroutine function; start a task in a plain one instead."
            )
        self._callbacks.setdefault(event, []).append(callback)

    def remove(self, event: str, callback: Callback) -> None:
        if callback in self._callbacks.get(event, []):
            self._callbacks[event].remove(callback)

    def tell(self, event: Event) -> None:
        for callback in tuple(self._callbacks.get(event.type, ())):
            try:
                callback(event)
            except Exception as error:
                if event.type == events.Error.type:
                    continue  # one that fails on errors would be told of its own for ever
                name = getattr(callback, "__name__", repr(callback))
                self._failed(f"The callback {name!r} for {event.type!r}", error)
