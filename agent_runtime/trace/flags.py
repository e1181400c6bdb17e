"""What was decided in a call, and why: the flags on its picture."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from agent_runtime.events import (
    AgentFalseInterruption,
    Close,
    DeviceLost,
    DeviceReturned,
    EngineRestarted,
    Error,
    Event,
    InputEnded,
    InterruptionConfirmed,
    InterruptionSuspected,
    PlayoutPaused,
    Stalled,
    ToolEnded,
    ToolStarted,
    TurnCommitted,
    TurnReopened,
)
from agent_runtime.trace.transcript import arguments_text, origin

DOUBT, STOP, GO, TURN, TOOL, FAULT = "#9a6700", "#c4302b", "#1a7f37", "#35536f", "#a13777", "#c4302b"

_AT_ONCE_S = 0.05
"""A tool that took less is one flag, not two."""


@dataclass(frozen=True, slots=True)
class Flag:
    """`at` in seconds since the session started."""

    at: float
    text: str
    colour: str


def flags(events: Sequence[Event]) -> list[Flag]:
    """Every decision of a call, in order."""
    started = origin(events)
    tools = {event.call_id: event for event in events if isinstance(event, ToolStarted)}
    quick = {
        event.call_id
        for event in events
        if isinstance(event, ToolEnded) and event.call_id in tools and event.at - tools[event.call_id].at < _AT_ONCE_S
    }
    found = []
    for event in events:
        if isinstance(event, ToolStarted) and event.call_id in quick:
            continue
        if isinstance(event, ToolEnded):
            call = tools.get(event.call_id) if event.call_id in quick else None
            found.append(Flag(event.at - started, _tool_ended(event, call), FAULT if event.is_error else TOOL))
        elif (told := _TOLD.get(type(event))) is not None:
            colour, text = told
            found.append(Flag(event.at - started, text(event), colour))
    return sorted(found, key=lambda flag: flag.at)


def _tool_ended(event: ToolEnded, call: ToolStarted | None) -> str:
    start = f"tool {event.name}" if call is None else f"tool {event.name}({arguments_text(call.arguments)})"
    return f"{start} failed: {event.output}" if event.is_error else f"{start} \u2192 {event.output}"


_TOLD: dict[type[Event], tuple[str, Callable[[Any], str]]] = {
    InterruptionSuspected: (DOUBT, lambda e: "suspected"),
    PlayoutPaused: (DOUBT, lambda e: "paused"),
    InterruptionConfirmed: (STOP, lambda e: f"interrupted: {e.reason}"),
    AgentFalseInterruption: (
        GO,
        lambda e: f"{'resumed' if e.resumed else 'false interruption'}: {e.reason}",
    ),
    TurnCommitted: (TURN, lambda e: f"turn {e.turn} committed: {e.reason}"),
    TurnReopened: (DOUBT, lambda e: f"turn {e.turn} reopened"),
    ToolStarted: (TOOL, lambda e: f"tool {e.name}({arguments_text(e.arguments)})"),
    Stalled: (FAULT, lambda e: e.sentence),
    EngineRestarted: (FAULT, lambda e: f"{e.engine} restarted: {e.reason}"),
    Error: (FAULT, lambda e: f"{e.source} failed: {e.message}"),
    DeviceLost: (FAULT, lambda e: f"{e.device} lost: {e.message}"),
    DeviceReturned: (GO, lambda e: f"{e.device} is back"),
    InputEnded: (TURN, lambda e: "caller gone"),
    Close: (TURN, lambda e: f"closed: {e.reason}" + (f", {e.error}" if e.error else "")),
}


# Where they stand


@dataclass(slots=True)
class Place:
    """A flag's pole at `pole`, its text from `left` to `right`, `level` 0 lowest."""

    pole: float
    left: float
    right: float
    level: int = 0

    def covers(self, other: "Place") -> bool:
        """Whether the other's pole, where it stood higher, would cross this text."""
        # At its own pole a text ends exactly: the next pole may be a pixel away.
        start = self.left - (_AIR if self.left < self.pole else 0)
        end = self.right + (_AIR if self.right > self.pole else 0)
        return start < other.pole < end

    def overlaps(self, other: "Place") -> bool:
        return self.left < other.right + _AIR and other.left < self.right + _AIR


_AIR = 4.0


def place(poles: Sequence[float], widths: Sequence[float], left: float, right: float) -> list[Place]:
    """Room for each text beside its pole, within `left` and `right`, so that none overlaps and few levels are used.

    A text stands to the right of its pole, or to its left. One that reaches over another's pole must be above it, or
    that pole would cross it; so a crowd of flags is a stair, up to the left or up to the right. Beginning with all
    texts on the right, neighbours are turned around together as long as that makes the whole lower. Where even so
    the stair would be higher than `_HIGHEST`, texts are packed as close as they go, and hide the poles behind them.
    """
    count = len(poles)
    must = [pole + width > right for pole, width in zip(poles, widths, strict=True)]
    may = [pole - width >= left for pole, width in zip(poles, widths, strict=True)]
    turned = must
    best, places = _stairs(poles, widths, turned)
    improved = count <= _MOST
    while improved:
        improved = False
        for first in range(count):
            for last in range(first, min(count, first + _NEIGHBOURS)):
                other = [must[i] or (may[i] and (turned[i] != (first <= i <= last))) for i in range(count)]
                if other == turned:
                    continue
                cost, candidate = _stairs(poles, widths, other)
                if cost < best:
                    best, places, turned, improved = cost, candidate, other, True
    return places if best[1] <= _HIGHEST else _packed(poles, widths, right)


_NEIGHBOURS = 8
_HIGHEST = 7
_MOST = 16
"""The search takes a tenth of a second for this many."""


def _packed(poles: Sequence[float], widths: Sequence[float], right: float) -> list[Place]:
    ends: list[float] = []
    places = []
    for pole, width in zip(poles, widths, strict=True):
        left = min(pole, right - width)
        level = next((i for i, end in enumerate(ends) if end + _AIR <= left), len(ends))
        ends[level : level + 1] = [left + width]
        places.append(Place(pole, left, left + width, level))
    return places


def _stairs(
    poles: Sequence[float], widths: Sequence[float], turned: Sequence[bool]
) -> tuple[tuple[int, int, int], list[Place]]:
    """The levels that a choice of sides needs, and what that costs: crossings, height, turned texts and levels."""
    places = [
        Place(pole, pole - width if back else pole, pole if back else pole + width)
        for pole, width, back in zip(poles, widths, turned, strict=True)
    ]
    crossings = 0
    waiting = list(places)
    settled: list[Place] = []
    while waiting:
        # The lowest are those that stand above nobody's pole; in a ring of such demands one is overruled.
        ready = [p for p in waiting if not any(p is not low and p.covers(low) for low in waiting)]
        crossings += not ready
        for one in ready or waiting[:1]:
            below = [p for p in settled if p.overlaps(one)]
            one.level = max((low.level + 1 for low in below if one.covers(low)), default=0)
            while any(p.level == one.level for p in below):
                one.level += 1
            settled.append(one)
        waiting = [p for p in waiting if not any(p is done for done in settled)]
    height = max((p.level for p in places), default=0)
    return (crossings, height, sum(turned) + sum(p.level for p in places)), places
