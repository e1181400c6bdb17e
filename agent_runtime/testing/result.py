"""What a simulated call has left: its log, what was audible, its history, and how its expectations were met."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from agent_runtime.audio.frame import INPUT_RATE, OUTPUT_RATE
from agent_runtime.chat import ChatContext, ChatMessage
from agent_runtime.events import AgentFalseInterruption, Event, InterruptionConfirmed
from agent_runtime.testing.sounds import LOUD
from agent_runtime.testing.steps import Line
from agent_runtime.trace.log import encode, record
from agent_runtime.trace.waterfall import PARTS, Waterfall, waterfalls

JOIN_S = 0.05
"""Silence shorter than this within somebody's sound is no gap."""

Interval = tuple[float, float]


class Track:
    """Sound as it came: pieces of int16 mono, each with the loop time of its first sample."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.runs: list[tuple[float, bytearray]] = []
        """Pieces that follow each other, with the time of their first sample; what is silent is left out."""

    def add(self, at: float, pcm: bytes) -> None:
        if not pcm.strip(b"\0"):  # a long call is mostly silence
            return
        if self.runs:
            start, run = self.runs[-1]
            if abs(start + len(run) / 2 / self.rate - at) < 0.25 / self.rate:
                run += pcm
                return
        self.runs.append((at, bytearray(pcm)))

    def lane(self, origin: float, length: float) -> "Lane":
        """All of it from loop time `origin` on, for `length` seconds, with its silence."""
        pcm = bytearray(2 * round(length * self.rate))
        for start, run in self.runs:
            first = round((start - origin) * self.rate)
            pcm[2 * first : 2 * first + len(run)] = run
        return Lane(self.rate, pcm[: 2 * round(length * self.rate)])

    def audible(self, origin: float) -> list[Interval]:
        """Where there is sound, in seconds after `origin`, rounded to microseconds; gaps under `JOIN_S` are joined."""
        found: list[list[float]] = []
        for start, run in self.runs:
            for first, last in _loud(run, int(JOIN_S * self.rate)):
                begin, end = start - origin + first / self.rate, start - origin + (last + 1) / self.rate
                if found and begin - found[-1][1] < JOIN_S - 1e-9:
                    found[-1][1] = end
                else:
                    found.append([begin, end])
        return [(round(begin, 6) + 0.0, round(end, 6)) for begin, end in found]


@dataclass(frozen=True, slots=True)
class Lane:
    """One side of a call: int16 mono."""

    rate: int
    pcm: bytearray


def _loud(pcm: bytearray, gap: int) -> list[tuple[int, int]]:
    """(first, last) sample of each stretch with sound; between two lie `gap` samples of silence or more."""
    import numpy as np

    samples = np.frombuffer(bytes(pcm), dtype="<i2")
    loud = np.flatnonzero((samples >= LOUD) | (samples <= -LOUD))
    if not len(loud):
        return []
    breaks = np.flatnonzero(np.diff(loud) > gap)
    firsts = loud[np.concatenate(([0], breaks + 1))]
    lasts = loud[np.concatenate((breaks, [len(loud) - 1]))]
    return [(int(first), int(last)) for first, last in zip(firsts, lasts, strict=True)]


@dataclass(frozen=True, slots=True)
class Said:
    """A message of the history. `role` is user or assistant."""

    role: str
    content: str
    interrupted: bool

    @classmethod
    def all_of(cls, history: ChatContext) -> "list[Said]":
        messages = [item for item in history.items if isinstance(item, ChatMessage)]
        return [
            cls(message.role, message.text_content or "", bool(message.interrupted))
            for message in messages
            if message.role in ("user", "assistant")
        ]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether an expectation was met, and what was so. `at`: where in the call that can be seen, in seconds."""

    text: str
    met: bool
    detail: str
    at: float | None = None


@dataclass
class CallResult:
    """A call that is over. All times are seconds since it began.

    Attributes:
        lines: what the caller said and did, with the truth about it.
        length: when it ended.
        failure: what went wrong with the scenario itself, a sentence; None: nothing.
    """

    name: str
    log: list[Event]
    started: float
    lines: list[Line]
    heard: Track = field(repr=False)
    played: Track = field(repr=False)
    history: list[Said]
    length: float
    expectations: list[Outcome] = field(default_factory=list)
    failure: str | None = None

    @property
    def ok(self) -> bool:
        return self.failure is None and all(outcome.met for outcome in self.expectations)

    @cached_property
    def audible(self) -> dict[str, list[Interval]]:
        """When caller and agent could be heard. Ducked sound counts, a pause does not."""
        return {"caller": self.heard.audible(self.started), "agent": self.played.audible(self.started)}

    @cached_property
    def events(self) -> list[dict[str, Any]]:
        """The log as records: `seq`, `t`, `type` and the event's own fields."""
        return [record(event, seq=seq, started=self.started) for seq, event in enumerate(self.log)]

    @cached_property
    def turns(self) -> list[Waterfall]:
        """Where the time of each of the user's turns went."""
        return waterfalls(self.log)

    @property
    def metrics(self) -> dict[str, Any]:
        caller, agent = self.audible["caller"], self.audible["agent"]
        return {
            "length": _rounded(self.length),
            "caller_speaking": _rounded(_total(caller)),
            "agent_speaking": _rounded(_total(agent)),
            "overlap": _rounded(_total(overlap(caller, agent))),
            "interruptions": sum(isinstance(event, InterruptionConfirmed) for event in self.log),
            "false_interruptions": sum(isinstance(event, AgentFalseInterruption) for event in self.log),
            "turns": [_turn(each, self.started) for each in self.turns],
        }

    def expect(self, sentence: str) -> None:
        """Check one more expectation.

        Raises:
            NotAsExpected: it is not met; with the timeline round the place.
        """
        from agent_runtime.testing.expect import NotAsExpected, parse
        from agent_runtime.testing.timeline import complaint

        __tracebackhide__ = True  # pytest shows the line in the test
        outcome = parse(sentence).look(self)
        if not outcome.met:
            raise NotAsExpected(complaint(self, outcome))

    def check(self) -> None:
        """Raise what is wrong with the call, if anything is.

        Raises:
            NotAsExpected: an expectation is not met, or the script did not suffice.
        """
        from agent_runtime.testing.expect import NotAsExpected
        from agent_runtime.testing.timeline import complaints

        if not self.ok:
            raise NotAsExpected(complaints(self))

    def timeline(self, at: float | None = None) -> str:
        """Who was heard when, and the log beside it, as text: round second `at`, or from the beginning."""
        from agent_runtime.testing.timeline import timeline

        return timeline(self, at)

    def to_dict(self) -> dict[str, Any]:
        """What the JSON of a call holds."""
        outcomes = list(self.expectations)
        if self.failure is not None:
            outcomes.append(Outcome("the script suffices", False, self.failure))
        return {
            "name": self.name,
            "events": self.events,
            "audible": {who: [list(each) for each in intervals] for who, intervals in self.audible.items()},
            "history": [{"role": s.role, "content": s.content, "interrupted": s.interrupted} for s in self.history],
            "metrics": self.metrics,
            "expectations": [{"text": each.text, "met": each.met, "detail": each.detail} for each in outcomes],
        }


def to_json(results: CallResult | Sequence[CallResult]) -> str:
    """One call as an object, several as a list; a line for each event, so that two runs can be compared by line."""
    if isinstance(results, CallResult):
        return _object(results.to_dict()) + "\n"
    return "[\n" + ",\n".join(_object(result.to_dict()) for result in results) + "\n]\n"


def _object(values: Mapping[str, Any]) -> str:
    return "{\n" + ",\n".join(f"{_compact(key)}:{_value(value)}" for key, value in values.items()) + "\n}"


def _value(value: Any) -> str:
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(_compact(each) for each in value) + "\n]"
    return _compact(value)


def _compact(value: Any) -> str:
    if isinstance(value, dict):
        return encode(value).decode().rstrip("\n")
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def overlap(one: Iterable[Interval], other: Sequence[Interval]) -> list[Interval]:
    """Where both are."""
    pairs = ((max(a, c), min(b, d)) for a, b in one for c, d in other)
    return [(begin, end) for begin, end in pairs if begin < end]


def _total(intervals: Iterable[Interval]) -> float:
    return sum(end - begin for begin, end in intervals)


def _turn(turn: Waterfall, started: float) -> dict[str, Any]:
    told: dict[str, Any] = {"turn": turn.turn, "began": _rounded(turn.began - started), "gap": _rounded(turn.gap)}
    told |= {name: _rounded(getattr(turn, name)) for name in PARTS}
    return told | {"tools": list(turn.tools), "tags": list(turn.tags)}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6) + 0.0


def new_tracks() -> tuple[Track, Track]:
    """For what the caller says, and for what is played to the caller."""
    return Track(INPUT_RATE), Track(OUTPUT_RATE)
