"""A call as two lists of intervals with labels: what everything about turn-taking is measured from."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from agent_runtime.errors import UsageError

TICK_S = 0.2
EXACT_S = 1e-6

Interval = Sequence[float]
Kind = Literal["turn", "part", "interruption", "backchannel", "tic", "non_directed", "noise"]

FLOOR: tuple[Kind, ...] = ("turn", "part", "interruption")
"""What the caller says to the agent, so that the agent has to be silent."""


@dataclass(frozen=True, slots=True)
class Label:
    """What an interval of the caller is.

    A `part` belongs to the `turn` or `interruption` that comes next among the parts and turns; `pause` says after what
    its pause comes: a clause that could be complete, or one that is unfinished. `owed` is False for a turn after which
    silence is as good as an answer ("wait").
    """

    kind: Kind
    text: str = ""
    owed: bool = True
    pause: Literal["complete", "unfinished"] | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of speech on the grid, `end` exclusive."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Said(Segment):
    label: Label


@dataclass(frozen=True, slots=True)
class Turn(Segment):
    """A turn of the caller with its pauses; an interruption is one too."""

    pieces: tuple[Said, ...]

    @property
    def label(self) -> Label:
        """Of its end: a `part` where the call was over before the turn was."""
        return self.pieces[-1].label


class HeardCall:
    """Both parties on a grid of `grid_s`: on ticks what falls into a tick fills it, else times are whole microseconds.

    On the exact grid a gap in the agent's speech of no more than a tick is no stop, as on ticks it mostly is not seen.

    Raises:
        UsageError: more intervals of the caller than labels, or an interval without length.
    """

    def __init__(
        self, caller: Sequence[Interval], agent: Sequence[Interval], labels: Sequence[Label], grid_s: float
    ) -> None:
        if len(caller) > len(labels):
            raise UsageError(
                f"The caller was heard {len(caller)} times, and there are {len(labels)} labels; give one each."
            )
        self.grid_s = grid_s
        in_order = sorted(caller, key=lambda interval: interval[0])
        self.said = [Said(*self._snap(each), label) for each, label in zip(in_order, labels, strict=False)]
        gap = self.units(TICK_S) if grid_s == EXACT_S else 0
        self.agent = _joined((Segment(*self._snap(each)) for each in agent), gap)
        self.turns = list(_turns(self.said))

    def _snap(self, interval: Interval) -> tuple[int, int]:
        start, end = interval
        if not start < end:
            raise UsageError(f"The interval {list(interval)!r} has no length; give [start, end] with start before end.")
        if self.grid_s == EXACT_S:
            return round(start / EXACT_S), round(end / EXACT_S)
        # A millionth of slack: 0.6 / 0.2 is a little less than 3.
        return math.floor(start / self.grid_s + 1e-6), math.ceil(end / self.grid_s - 1e-6)

    def units(self, seconds: float) -> int:
        return round(seconds / self.grid_s)

    def seconds(self, units: int) -> float:
        return round(units * self.grid_s, 6)

    def agent_at(self, moment: int) -> Segment | None:
        """What the agent says at a moment."""
        return next((each for each in self.agent if each.start <= moment < each.end), None)

    def agent_goes_on(self, moment: int) -> bool:
        """Whether the agent speaks at this moment, and has begun before it."""
        return any(each.start < moment < each.end for each in self.agent)

    def next_start(self, moment: int) -> int | None:
        """When the agent begins to speak, at this moment or later."""
        return next((each.start for each in self.agent if each.start >= moment), None)


def _joined(segments: Iterable[Segment], gap: int) -> list[Segment]:
    """In order; what overlaps, or is `gap` apart or less, is one."""
    out: list[Segment] = []
    for each in sorted(segments, key=lambda segment: segment.start):
        if out and each.start <= out[-1].end + gap:
            out[-1] = Segment(out[-1].start, max(each.end, out[-1].end))
        else:
            out.append(each)
    return out


def _turns(said: Iterable[Said]) -> Iterable[Turn]:
    pieces: list[Said] = []
    for each in said:
        if each.label.kind in FLOOR:
            pieces.append(each)
            if each.label.kind != "part":
                yield Turn(pieces[0].start, each.end, tuple(pieces))
                pieces = []
    if pieces:  # the call ended in the middle of it
        yield Turn(pieces[0].start, pieces[-1].end, tuple(pieces))
