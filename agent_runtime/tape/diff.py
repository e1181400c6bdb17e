"""Two calls side by side: what happened when in each, and what each turn gained or lost."""

import difflib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent_runtime.events import Event
from agent_runtime.tape import picture
from agent_runtime.trace.log import event_of, read_events, read_jsonl
from agent_runtime.trace.table import LABELS
from agent_runtime.trace.tape import Json, is_tape, read_tape
from agent_runtime.trace.waterfall import PARTS, Waterfall, waterfalls

MOVED_S = 0.0005
"""Less is the same time: the log is told to the microsecond, a screen to the millisecond."""

_SHOWN: dict[str, tuple[str, ...]] = {
    "voice_started": (),
    "voice_stopped": (),
    "user_input_transcribed": ("transcript",),
    "turn_committed": ("turn", "transcript", "reason"),
    "turn_reopened": ("turn",),
    "generation_discarded": ("speech_id", "reason"),
    "interruption_suspected": ("speech_id",),
    "playout_paused": ("speech_id",),
    "interruption_confirmed": ("speech_id", "reason"),
    "agent_false_interruption": ("speech_id", "reason"),
    "speech_created": ("speech_id", "source"),
    "playback_started": ("speech_id",),
    "playback_finished": ("speech_id", "heard"),
    "tool_started": ("name", "arguments"),
    "tool_ended": ("name", "output"),
    "stalled": ("what", "action"),
    "error": ("source", "message"),
    "engine_restarted": ("engine", "reason"),
    "device_lost": ("device",),
    "device_returned": ("device",),
    "input_ended": (),
    "close": ("reason",),
}
"""What a timeline shows, and of it what."""

_WIDTH = 58


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two calls."""

    name: str
    lines: list[Json]
    events: list[Event]

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "Side":
        """A tape, or the call.jsonl of a call.

        Raises:
            UsageError: it is neither.
        """
        if is_tape(path):
            lines = read_tape(path).log
            return cls(str(path), lines, [event_of(line, at=float(line["t"])) for line in lines])
        return cls(str(path), read_jsonl(Path(path)), read_events(path))

    @property
    def shown(self) -> list[Json]:
        return [line for line in self.lines if line["type"] in _SHOWN and line.get("is_final") is not False]

    @property
    def turns(self) -> list[tuple[str, Waterfall]]:
        """Each turn with its words."""
        words = {line["turn"]: line["transcript"] for line in self.lines if line["type"] == "turn_committed"}
        return [(words.get(each.turn, ""), each) for each in waterfalls(self.events)]


@dataclass(frozen=True, slots=True)
class Row:
    """The same thing in both calls, or something that only one has."""

    a: Json | None
    b: Json | None

    @property
    def moved(self) -> float | None:
        """How much later it is in B, in s."""
        return None if self.a is None or self.b is None else self.b["t"] - self.a["t"]

    @property
    def sign(self) -> str:
        if self.moved is None:
            return "<" if self.b is None else ">"
        return "~" if abs(self.moved) >= MOVED_S else " "


@dataclass(frozen=True, slots=True)
class TurnPair:
    """A turn of the user in both calls, or in one."""

    words: str
    a: Waterfall | None
    b: Waterfall | None

    def change(self, part: str) -> float | None:
        """How much longer `part` (or the whole ``gap``) takes in B, in s; None where either does not know it."""
        a, b = (getattr(each, part) if each is not None else None for each in (self.a, self.b))
        return None if a is None or b is None else b - a


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between two calls."""

    a: Side
    b: Side
    rows: list[Row]
    turns: list[TurnPair]

    @property
    def same(self) -> bool:
        """Whether the logs are the same, to the last field."""
        return self.a.lines == self.b.lines

    @property
    def text(self) -> str:
        if self.same:
            return f"{self.a.name} and {self.b.name}: the same call, {len(self.a.lines)} events"
        return "\n".join([*_timelines(self), "", *_turn_table(self.turns)])

    @property
    def svg(self) -> str:
        sides = (picture.Timeline.of(self.a.name, self.a.lines), picture.Timeline.of(self.b.name, self.b.lines))
        bars = [(_turn_name(turn), {part: turn.change(part) for part in (*PARTS, "gap")}) for turn in self.turns]
        return picture.draw(sides, bars)


def difference(a: Side, b: Side) -> Difference:
    rows = [Row(one, other) for one, other in _aligned(a.shown, b.shown, _key, _kind)]
    turns = [
        TurnPair((one or other or ("", None))[0], one[1] if one else None, other[1] if other else None)
        for one, other in _aligned(a.turns, b.turns, lambda turn: turn[0])
    ]
    return Difference(a, b, rows, turns)


def _key(line: Json) -> tuple[str, ...]:
    """What makes two events the same, whenever they happen."""
    fields = [name for name in _SHOWN[line["type"]] if name not in ("speech_id", "turn")]
    return (line["type"], *(str(line.get(name)) for name in fields))


def _kind(line: Json) -> str:
    return str(line["type"])


def _aligned(a: Sequence[Any], b: Sequence[Any], key: Any, coarse: Any = None) -> Iterator[tuple[Any, Any]]:
    """Pairs of what is the same in both, in order; what one lacks is None there. `coarse` pairs what is left."""
    matcher = difflib.SequenceMatcher(None, [key(each) for each in a], [key(each) for each in b], autojunk=False)
    for what, a1, a2, b1, b2 in matcher.get_opcodes():
        if what == "equal":
            yield from zip(a[a1:a2], b[b1:b2], strict=True)
        elif coarse is not None:
            yield from _aligned(a[a1:a2], b[b1:b2], coarse)
        else:
            yield from ((each, None) for each in a[a1:a2])
            yield from ((None, each) for each in b[b1:b2])


# Text


def _timelines(found: Difference) -> Iterator[str]:
    yield f"{found.a.name:{_WIDTH}}     {found.b.name}"
    for row in found.rows:
        moved = "" if row.moved is None or abs(row.moved) < MOVED_S else f"  {1000 * row.moved:+.0f} ms"
        yield f"{_told(row.a):{_WIDTH}}  {row.sign}  {_told(row.b)}{moved}".rstrip()


def _told(line: Json | None) -> str:
    if line is None:
        return ""
    said = " ".join(str(line[name]) for name in _SHOWN[line["type"]] if line.get(name) not in (None, ""))
    text = f"{line['t']:8.3f}  {line['type'].replace('_', ' ')}  {' '.join(said.split())}".rstrip()
    return text if len(text) <= _WIDTH else text[: _WIDTH - 3] + "..."


def _turn_name(turn: TurnPair) -> str:
    numbers = [str(each.turn) if each is not None else "-" for each in (turn.a, turn.b)]
    return numbers[0] if numbers[0] == numbers[1] else "/".join(numbers)


def _turn_table(turns: Sequence[TurnPair]) -> Iterator[str]:
    head = ["turn", "gap A", "gap B", "change", *(LABELS[part] for part in PARTS)]
    rows = [
        [
            _turn_name(turn),
            *(_ms(each.gap if each is not None else None) for each in (turn.a, turn.b)),
            *(_ms(turn.change(part), sign=True) for part in ("gap", *PARTS)),
        ]
        for turn in turns
    ]
    widths = [max(len(row[index]) for row in (head, *rows)) for index in range(len(head))]
    yield "what each turn lost (+) or gained (-), ms"
    for row, turn in zip((head, *rows), (None, *turns), strict=True):
        cells = "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        yield cells if turn is None else f"{cells}  {_remark(turn)}".rstrip()


def _remark(turn: TurnPair) -> str:
    only = "" if turn.a is not None and turn.b is not None else "only in A: " if turn.b is None else "only in B: "
    return only + (turn.words if len(turn.words) <= 40 else turn.words[:37] + "...")


def _ms(seconds: float | None, *, sign: bool = False) -> str:
    if seconds is None:
        return "-"
    ms = round(1000 * seconds)
    return f"{ms:+d}" if sign and ms else str(ms)
