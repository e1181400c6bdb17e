"""Who is told of a session's events by name: `session.on("user_input_transcribed", callback)`."""

import asyncio
import difflib
from collections.abc import Callable
from typing import Any

from agent_runtime import events
from agent_runtime.errors import UsageError
from agent_runtime.events import Event
from agent_runtime.trace.log import EventLog

Callback = Callable[[Any], Any]

NAMES = frozenset(
    events.BY_NAME.keys()
    # Those that scripts written for livekit-agents listen to, and that nothing here raises yet.
    | {"metrics_collected", "session_usage_updated", "overlapping_speech", "user_transcription_timeout"}
    | {"eot_prediction", "tool_execution_updated", "debug_message"}
)
"""What one can listen to."""


class Listeners:
    """Callbacks by event name, called on the loop in the order of the events.

    Args:
        failed: told of a callback that raised, by name; the callback keeps its place.
    """

    def __init__(self, failed: Callable[[str, BaseException], None]) -> None:
        self._callbacks: dict[str, list[Callback]] = {}
        self._failed = failed
        self._log: EventLog | None = None
        self._unsubscribe: Callable[[], None] | None = None

    def follow(self, log: EventLog) -> None:
        """From here on they are told of what this log is told."""
        self._log = log
        self._subscribe()

    def _subscribe(self) -> None:
        """To the kinds that anybody listens to, and to no other: most of what happens is told to nobody by name."""
        kinds = [events.BY_NAME[name] for name in self._callbacks if name in events.BY_NAME]
        if self._unsubscribe is not None:
            self._unsubscribe()
        self._unsubscribe = self._log.subscribe(self._tell, *kinds) if self._log is not None and kinds else None

    def add(self, event: str, callback: Callback) -> None:
        if asyncio.iscoroutinefunction(callback):
            raise UsageError(
                f"The callback for {event!r} is a coroutine function; start a task in a plain one instead."
            )
        if not callable(callback):
            raise UsageError(f"on({event!r}, ...) takes a function that is given the event, not {callback!r}.")
        _check(event)
        if event in self._callbacks:
            self._callbacks[event].append(callback)
            return
        self._callbacks[event] = [callback]
        self._subscribe()

    def remove(self, event: str, callback: Callback) -> None:
        _check(event)
        if callback in self._callbacks.get(event, []):
            self._callbacks[event].remove(callback)

    def once(self, event: str, callback: Callback) -> Callback:
        """What to add in the place of `callback` for it to be called once."""

        def call(value: Any) -> None:
            self.remove(event, call)
            callback(value)

        return call

    def _tell(self, event: Event) -> None:
        for callback in tuple(self._callbacks.get(event.type, ())):
            try:
                callback(event)
            except Exception as error:
                if event.type == events.Error.type:
                    continue  # one that fails on errors would be told of its own for ever
                name = getattr(callback, "__name__", repr(callback))
                self._failed(f"The callback {name!r} for {event.type!r}", error)


def _check(event: str) -> None:
    if event not in NAMES:
        near = difflib.get_close_matches(event, NAMES, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else "See docs/writing-an-agent.md for their names."
        raise UsageError(f"A session has no event {event!r}. {hint}")
