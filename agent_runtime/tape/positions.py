"""A speaker as it was on the tape: how long it took, each time, until it played what it was given."""

from collections.abc import Callable, Iterator, Sequence

from agent_runtime import clock
from agent_runtime.io.memory import ClockSink, OnPlayed
from agent_runtime.trace.tape import Tape, unpack_floats


class TapeSink(ClockSink):
    """A `ClockSink` that begins late: run number i (from an empty queue on) by `delays[i]` seconds, later ones by the last.

    Between, it plays by the clock: that a device's clock runs a little faster or slower is below 1 ms in a minute.

    Args:
        fail_again: raises what the sink raised at this time of the call.
        delays: in s; none: it begins at once.
    """

    def __init__(
        self, fail_again: Callable[[], None], delays: Sequence[float], sample_rate: int, on_played: OnPlayed
    ) -> None:
        super().__init__(sample_rate, on_played)
        self._fail_again = fail_again
        self._delays = delays
        self._runs = 0

    def write(self, pcm: bytes) -> None:
        self._fail_again()
        empty = not super().queued_samples
        super().write(pcm)
        if empty and self._queue and self._delays:
            self._run_start = clock.now() + self._delays[min(self._runs, len(self._delays) - 1)]
            self._runs += 1

    @property
    def queued_samples(self) -> int:
        self._fail_again()
        return super().queued_samples

    @property
    def played_samples(self) -> int:
        self._fail_again()
        return super().played_samples

    def clear(self) -> int:
        self._fail_again()
        return super().clear()


def delays_of(tape: Tape, rate: int) -> list[float]:
    """What the tape tells of its device: for each run the least time by which it was behind the clock."""
    found: list[float] = []
    for run in _runs(tape):
        began, first, _ = run[0]
        behind = [at - began - (played - first) / rate for at, played, _ in run if played > first]
        if behind:
            found.append(max(0.0, min(behind)))
    return found


def _runs(tape: Tape) -> Iterator[list[tuple[float, float, float]]]:
    """Stretches of (loop time, samples played, samples queued) in which the queue was never empty."""
    run: list[tuple[float, float, float]] = []
    for number, _ in tape.of("played"):
        values = unpack_floats(tape.sound(number))
        for index in range(0, len(values), 3):
            at, played, queued = values[index : index + 3]
            if queued or run:
                run.append((at, played, queued))
            if not queued and run:
                yield run
                run = []
    if run:
        yield run
