"""The three settings of the end of a turn, each at several values: what patience costs and what it gives."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from agent_runtime.testing.battery.calls import INJECTED_S, BatteryCall
from agent_runtime.testing.battery.holding import HeldCall, Settings
from agent_runtime.testing.battery.measures import Measured, measure
from agent_runtime.turns.detectors import TextDetector, TurnSoFar
from agent_runtime.turns.options import TurnHandling

THRESHOLDS = (0.3, 0.65, 0.85, 0.92)
"""How sure the text detector must be that the turn is over. Its grades lie between these; see `turns.detectors`."""
MIN_DELAYS = (0.3, 0.5, 0.8, 1.1)
MAX_DELAYS = (1.5, 3.0, 4.5)


class Decided(TextDetector):
    """The text detector, which is sure of everything: over from `threshold` on, else not."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold

    def predict(self, turn: TurnSoFar) -> float | None:
        graded = super().predict(turn)
        return None if graded is None else float(graded >= self.threshold)


@dataclass(frozen=True, slots=True)
class Knobs:
    """`threshold` is None where the detector's grades go to the machine as they are, which is the default."""

    threshold: float | None
    min_delay: float
    max_delay: float

    @property
    def settings(self) -> Settings:
        chosen: dict[str, Any] = {"endpointing": {"min_delay": self.min_delay, "max_delay": self.max_delay}}
        return chosen if self.threshold is None else {**chosen, "turn_detection": Decided(self.threshold)}


@dataclass(frozen=True, slots=True)
class Point:
    knobs: Knobs
    measured: Measured

    @property
    def latency(self) -> float | None:
        """Mean seconds from the end of the caller's turn to the agent's first sound, as heard."""
        return self.measured.exact.response_latency

    @property
    def interrupts(self) -> float | None:
        return self.measured.panel.agent_interrupts.value


def defaults() -> Knobs:
    endpointing = TurnHandling().endpointing
    return Knobs(None, endpointing.min_delay, endpointing.max_delay)


def grid() -> Iterator[Knobs]:
    """Every combination, the defaults among them."""
    own = defaults()
    delays = product(_with(MIN_DELAYS, own.min_delay), _with(MAX_DELAYS, own.max_delay))
    for threshold, (min_delay, max_delay) in product((None, *THRESHOLDS), list(delays)):
        yield Knobs(threshold, min_delay, max_delay)


def _with(values: Sequence[float], own: float) -> list[float]:
    return sorted({*values, own})


def swept(
    calls: Sequence[BatteryCall],
    hold_all: Callable[[Sequence[BatteryCall], Settings], list[HeldCall]],
    told: Callable[[Point], None],
) -> list[Point]:
    """Hold the calls with every combination; `told` is called with each as soon as it is known."""
    points = []
    for knobs in grid():
        point = Point(knobs, measure(hold_all(calls, knobs.settings)))
        points.append(point)
        told(point)
    return points


def best(points: Sequence[Point]) -> set[Knobs]:
    """Those that no other beats in both: sooner and with fewer interruptions."""
    known = [(p.latency, p.interrupts, p.knobs) for p in points if p.latency is not None and p.interrupts is not None]
    return {
        knobs
        for latency, interrupts, knobs in known
        if not any(
            other_latency <= latency
            and other_interrupts <= interrupts
            and (other_latency, other_interrupts) != (latency, interrupts)
            for other_latency, other_interrupts, _ in known
        )
    }


LATENCY_LIMIT_S = INJECTED_S + 0.6
