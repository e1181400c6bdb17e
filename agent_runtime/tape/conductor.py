"""When each arrival on a tape comes again: the conductor, and the loop it conducts.

Theory of operation. In a replay nothing comes from outside; what waits for an arrival asks the conductor. There is no timer
for it: whenever nothing can run any more, the loop asks what comes next, an arrival or a timer of the session's own
(`ReplayLoop.until_next`).

In a replay without changes an arrival comes at the time of its mark, behind those with a smaller number, and not before the
log has as many events as it had then. So two things of one moment come in the order in which they came. On a tape that
was made in real time the session's own timers were a little late; in the replay they are on time, and would overtake an
arrival that came just before one of them did its work. Such an arrival is let in first (`is_close`).

In a replay with changes the log is another, and only times count; those of an answer are counted from its request (see
`tape.answers`).
"""

import asyncio
import contextvars
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from agent_runtime.trace.log import EventLog
from agent_runtime.virtual import VirtualLoop

LATE_S = 0.02
"""How late a timer on a loop in real time may have been for the order of two things to be known still."""

TOGETHER_S = 0.002
"""In real time what an application does in one go takes such a time, and nothing that it leads to comes between."""

PATIENCE_S = 1e-6
"""An arrival whose place in the log does not come is let in after so long: the replay has left the tape."""


@dataclass(frozen=True, slots=True)
class Mark:
    """When something came: see `trace.recorder`."""

    at: float
    n: int
    k: int

    @classmethod
    def of(cls, values: "list[float] | tuple[float, ...]") -> "Mark":
        at, n, k = values
        return cls(at, int(n), int(k))


@dataclass(order=True, slots=True)
class _Waiting:
    order: tuple[float, int]
    due: float = field(compare=False)
    mark: Mark = field(compare=False)
    come: Callable[[], object] = field(compare=False)
    is_call: bool = field(compare=False)


class Conductor:
    """Lets arrivals in, in order.

    Args:
        exact: nothing was changed, so numbers and places in the log count, and not times alone.
        together_s: what comes within so many seconds of a call by the application, with nothing in the log between, comes
            with it.
        is_close: whether a timer of the session's own did something so shortly after this mark that it may overtake it.
    """

    def __init__(self, loop: "ReplayLoop", *, exact: bool, together_s: float, is_close: Callable[[Mark], bool]) -> None:
        self._loop = loop
        self.exact = exact
        self._together_s = together_s
        self._is_close = is_close
        self._waiting: list[_Waiting] = []
        self._log: EventLog | None = None
        self.left_at: float | None = None
        """Loop time at which an arrival did not find its place in the log for the first time."""
        loop.conductor = self

    def follow(self, log: EventLog) -> None:
        """The log of the session that is replayed."""
        self._log = log
        log.subscribe(lambda _: self._log_has_grown())

    async def arrival(self, mark: Mark, due: float) -> None:
        """Return when this arrives: at loop time `due`, in its place."""
        if self.is_next(mark, due):
            return
        order = self._order(mark, due)
        arrived: asyncio.Future[None] = self._loop.create_future()
        waiting = _Waiting(order, due, mark, partial(_set, arrived), is_call=False)
        heapq.heappush(self._waiting, waiting)
        try:
            await arrived
        finally:
            if waiting in self._waiting and arrived.cancelled():
                self._waiting.remove(waiting)
                heapq.heapify(self._waiting)

    def is_next(self, mark: Mark, due: float) -> bool:
        """Whether this may arrive in this very moment, before everything else that waits."""
        now, head = self._loop.time(), self._waiting[0] if self._waiting else None
        first = head is None or self._order(mark, due) < head.order or head.due > now
        return first and due <= now and self._fits(mark)

    def call(self, mark: Mark, due: float, function: Callable[[], object], *, last: bool = False) -> None:
        """Call `function` when this arrives; `last`: behind what can run then, as a task that a timer wakes."""
        context = contextvars.Context()
        calls = partial(self._loop.call_soon, function, context=context)

        def come() -> None:
            self._loop.call_soon(calls if last else function, context=context)

        heapq.heappush(self._waiting, _Waiting(self._order(mark, due), due, mark, come, is_call=True))

    def _order(self, mark: Mark, due: float) -> tuple[float, int]:
        return (0.0 if self.exact else due, mark.k)

    def _fits(self, mark: Mark) -> bool:
        return not self.exact or self._log is None or mark.n <= len(self._log)

    def _let_in(self) -> None:
        heapq.heappop(self._waiting).come()

    def _log_has_grown(self) -> None:
        """What waited for that comes next, before all else that can run."""
        if not self.exact:
            return
        now, count = self._loop.time(), 0
        while self._waiting and self._waiting[0].due <= now and self._fits(self._waiting[0].mark):
            self._let_in()
            count += 1
        self._loop.put_first(count)

    def until_next(self, timeout: float | None) -> float | None:
        """Nothing can run for so many seconds: let in what comes before that, and return when it does."""
        if not self._waiting:
            return timeout
        now, head = self._loop.time(), self._waiting[0]
        timer = None if timeout is None else now + timeout
        due, fits = max(head.due, now), self._fits(head.mark)
        if not fits:
            due += PATIENCE_S
        ahead = LATE_S if fits and timer is not None and timer < due and self._is_close(head.mark) else 0.0
        if timer is not None and timer < due - ahead:
            return timeout
        reached = due if timer is None else min(due, timer)
        if not fits and self.left_at is None:
            self.left_at = head.mark.at
        until = max(reached, head.due) + self._together_s if head.is_call else reached
        self._let_in()
        while self._waiting and self._waiting[0].due <= until and self._fits(self._waiting[0].mark):
            self._let_in()
        return reached - now


def _set(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


class ReplayLoop(VirtualLoop):
    """A virtual loop that begins at the loop time of the tape."""

    def __init__(self, *, at: float, wall_start: datetime) -> None:
        super().__init__(wall_start=wall_start)
        self._virtual_now = at
        self.conductor: Conductor | None = None

    def until_next(self, timeout: float | None) -> float | None:
        return timeout if self.conductor is None else self.conductor.until_next(timeout)

    def put_first(self, count: int) -> None:
        """The last `count` things that were put into the queue of what can run come first."""
        if count:
            self._ready.rotate(count)  # type: ignore[attr-defined]  # asyncio has no public way to jump its queue
