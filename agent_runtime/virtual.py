"""An event loop whose clock jumps.

Theory of operation. An asyncio loop waits in one place: its selector. `VirtualLoop` gives it a selector that does
not wait. When the loop asks to sleep for `timeout` seconds because nothing can run, one of three things is true:

* Work given to a thread or to a child process (`clock.offload`, `run_in_executor`) is still out. Time stands still;
  the selector waits, in real time, for the *oldest* piece and hands over that one. Results so arrive in the order
  in which the work was given out and never depend on which thread was faster.
* A timer is due later. The clock jumps to it.
* Neither. Nothing can ever run again: `Deadlock` is raised, naming the tasks that wait.

So a call runs as fast as its engines compute, and everything in it happens at the same virtual moment in every run.
Signals still arrive: the real selector is looked at in every round.
"""

import asyncio
import selectors
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, ThreadPoolExecutor
from concurrent.futures import Future as ThreadFuture
from datetime import UTC, datetime
from typing import Any, TypeVar

from agent_runtime.errors import InternalError

T = TypeVar("T")

WALL_START = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
"""What a virtual loop's wall clock shows at loop time 0, unless told otherwise: a Monday morning."""


ROUNDS_AT_ONE_MOMENT = 300_000
"""Rounds of the loop, some seconds of computing, at one moment of virtual time: then something runs that waits for none."""


class Deadlock(InternalError):
    """Time cannot go on: every task waits for something that can never happen, or one never waits."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop with its own clock, which starts at 0.0 and moves only when nothing can run."""

    def __init__(self, *, wall_start: datetime = WALL_START) -> None:
        self.wall_start = wall_start
        self._virtual_now = 0.0
        self._outstanding: deque[tuple[ThreadFuture[Any], asyncio.Future[Any]]] = deque()
        self._threads: ThreadPoolExecutor | None = None
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self._virtual_now

    def run_in_executor(  # type: ignore[override]  # narrower than the stub: always a Future
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        if executor is None:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(thread_name_prefix="offload")
            executor = self._threads
        work = executor.submit(func, *args)
        result: asyncio.Future[T] = self.create_future()
        self._outstanding.append((work, result))
        work.add_done_callback(self._poke)
        return result

    def _poke(self, _: object) -> None:
        if not self.is_closed():
            self.call_soon_threadsafe(_nothing)

    def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)
            self._threads = None
        super().close()

    # What the selector calls.

    def hand_over_oldest(self) -> bool:
        """Deliver the oldest piece of outside work if it is done. Returns whether one was delivered."""
        work, result = self._outstanding[0]
        if not work.done():
            return False
        self._outstanding.popleft()
        if result.cancelled():
            work.cancelled() or work.exception()
        elif work.cancelled():
            result.cancel()
        elif (error := work.exception()) is not None:
            result.set_exception(error)
        else:
            result.set_result(work.result())
        return True

    @property
    def work_is_out(self) -> bool:
        return bool(self._outstanding)

    def until_next(self, timeout: float | None) -> float | None:
        """Nothing can run for so many seconds (None: ever again). Returns when something will."""
        return timeout

    def jump(self, seconds: float) -> None:
        """Move the clock: nothing can run before."""
        # Nanoseconds are finer than any timer here and keep sums of 20 ms frames from drifting apart in the log.
        self._virtual_now = round(self._virtual_now + seconds, 9)


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop
        self._rounds = 0  # at this moment

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout == 0:
            self._rounds += 1
            if self._rounds > ROUNDS_AT_ONE_MOMENT:
                self._rounds = 0
                raise Deadlock(
                    f"At {self._loop.time():.3f} s of virtual time something runs on and on and waits for nothing "
                    f"(a loop around 'await sleep(0)'?). {_tasks(self._loop)}"
                )
            return super().select(0)
        self._rounds = 0
        if self._loop.work_is_out:
            if self._loop.hand_over_oldest():
                return super().select(0)
            return super().select(None)
        events = super().select(0)
        if events:
            return events
        timeout = self._loop.until_next(timeout)
        if timeout is None:
            raise Deadlock(_who_waits(self._loop))
        self._loop.jump(timeout)
        return events


def _nothing() -> None:
    """What a finished thread asks the loop to call: the loop wakes, and the selector sees to the rest."""


def _who_waits(loop: VirtualLoop) -> str:
    return f"Nothing can run any more at {loop.time():.3f} s of virtual time. {_tasks(loop)}"


def _tasks(loop: VirtualLoop) -> str:
    names = sorted(task.get_name() for task in asyncio.all_tasks(loop))
    return f"Tasks: {', '.join(names) or 'none'}."


def run(main: Coroutine[Any, Any, T], *, wall_start: datetime = WALL_START) -> T:
    """Run `main` to its end on a fresh `VirtualLoop`: `asyncio.run` with virtual time."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(wall_start=wall_start)) as runner:
        return runner.run(main)
