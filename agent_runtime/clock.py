"""The only source of time.

Everything in this package that reads a clock, sleeps, or leaves the event loop to compute does it through this
module, so that a loop that owns its own time (`agent_runtime.virtual.VirtualLoop`) owns all of it. A test keeps the
rest of the package from importing `time` or calling `asyncio.sleep`.

Two kinds of time exist. *Loop time* is the running loop's `time()`: it orders events, times turns and paces sound,
and it is virtual when the loop is. *Machine time* (`Stopwatch`) is what a computation really took here; it is shown
apart and never decides anything.
"""

import asyncio
import time
import types
from asyncio import get_running_loop
from collections.abc import Callable, Generator
from concurrent.futures import Executor
from datetime import datetime, timedelta
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")

GRAIN_S = 1e-6
"""Two moments closer than this are one: a loop may call a timer by its clock's resolution too early."""


def now() -> float:
    """Loop time in seconds. Only differences mean anything."""
    return get_running_loop().time()


async def sleep(seconds: float) -> None:
    """Wait for `seconds` of loop time; zero or less gives the other tasks one round."""
    await (_others_first() if seconds <= 0 else asyncio.sleep(seconds))


@types.coroutine
def _others_first() -> Generator[None, None, None]:
    yield


async def sleep_until(at: float) -> None:
    """Wait until loop time `at`. A moment already past gives the other tasks one round."""
    await asyncio.sleep(max(0.0, at - now()))


def wall() -> datetime:
    """The date and time of day, with its zone.

    On a loop that owns its time this is the loop's `wall_start` plus the loop time gone by since, so that a played
    call tells the same time at every run. Off a loop it is the machine's.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return datetime.now().astimezone()
    start: datetime | None = getattr(loop, "wall_start", None)
    if start is None:
        return datetime.now().astimezone()
    return start + timedelta(seconds=loop.time())


async def offload(function: Callable[..., T], *args: object, executor: Executor | None = None) -> T:
    """Run `function(*args)` in a thread and wait for it.

    A virtual loop holds time still meanwhile and hands results over in the order in which the work was given out.
    Cancelling the wait does not stop the thread: what `function` does must be safe to finish unseen.
    """
    return await asyncio.get_running_loop().run_in_executor(executor, function, *args)


class Deadline:
    """A timeout that is put off often: ``async with Deadline(2.5) as deadline``, then `restart` and `pause` in the body.

    It raises TimeoutError in the body once `seconds` have passed since its beginning, or the last `restart`, without a
    `pause`. Putting it off costs an assignment: the timer that runs is left to come, and looks again then.
    """

    __slots__ = ("_cancelling", "_due", "_fired", "_loop", "_seconds", "_task", "_timer", "_watching", "expired")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._watching = False  # a timer is on its way, or none is needed any more
        self._fired = False
        self.expired = False
        """Whether the TimeoutError that left the body was this one's."""

    def restart(self) -> None:
        """The time counts from now."""
        self._due = self._loop.time() + self._seconds
        if not self._watching:
            self._watching = True
            self._timer = self._loop.call_at(self._due, self._look)

    def pause(self) -> None:
        """The time does not count until `restart`."""
        self._due = None

    def change(self, seconds: float) -> None:
        """Pause it, and count so many seconds from the next `restart` on."""
        self._due = None
        self._seconds = seconds
        if self._timer is not None:  # it may come too late
            self._timer.cancel()
            self._watching = False

    def _look(self) -> None:
        if self._due is None:
            self._watching = False
        elif self._loop.time() < self._due - GRAIN_S:
            self._timer = self._loop.call_at(self._due, self._look)
        elif self._task is not None:
            self._fired = True
            self._task.cancel()

    async def __aenter__(self) -> "Deadline":
        self._task = asyncio.current_task()
        assert self._task is not None, "a deadline interrupts a task"
        self._cancelling = self._task.cancelling()
        self._due = self._loop.time() + self._seconds
        self._timer = self._loop.call_at(self._due, self._look)
        self._watching = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._watching = True
        if self._timer is not None:
            self._timer.cancel()
        # Ours is taken back; a cancellation that came from elsewhere besides goes on.
        if self._fired and self._task is not None:
            others = self._task.uncancel() > self._cancelling
            if not others and isinstance(error, asyncio.CancelledError):
                self.expired = True
                raise TimeoutError from error


class Stopwatch:
    """Machine time, summed over the spans in which it ran: `with watch: ...`, then `watch.seconds`."""

    __slots__ = ("_started", "seconds", "spans")

    def __init__(self) -> None:
        self.seconds = 0.0
        self.spans = 0
        self._started = 0.0

    def __enter__(self) -> "Stopwatch":
        self._started = time.perf_counter()
        return self

    def __exit__(self, *exc: object) -> None:
        self.seconds += time.perf_counter() - self._started
        self.spans += 1
