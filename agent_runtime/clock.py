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
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import datetime, timedelta
from typing import TypeVar

T = TypeVar("T")


def now() -> float:
    """Loop time in seconds. Only differences mean anything."""
    return asyncio.get_running_loop().time()


async def sleep(seconds: float) -> None:
    """Wait for `seconds` of loop time; zero or less gives the other tasks one round."""
    await asyncio.sleep(seconds)


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
