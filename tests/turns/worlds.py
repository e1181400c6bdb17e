"""Calls as the turn machine sees them: a seeded generator of plausible worlds, with some chaos.

A world has a user who speaks, coughs and goes on, a recogniser whose finals are in time, early, late, doubled or missing, an
agent that follows the machine's commands, a turn detector that may hang or answer nonsense, and an application that ends
or clears turns. In a wild world everybody also breaks the rules. Ticks are given when they are due, or a little late.

Signals that this module does not know are made from their annotations (`anything`), and so are settings: a new row of
the table is met by the search without a change here, if chance can meet it.
"""

import dataclasses
import functools
import heapq
import inspect
import json
import math
import random
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from agent_runtime.turns import signals
from agent_runtime.turns.machine import State, TurnMachine
from agent_runtime.turns.options import TurnHandling
from agent_runtime.turns.signals import (
    AgentStarted,
    AgentStopped,
    AskAgain,
    Cancel,
    ClearRequested,
    Command,
    Commit,
    CommitRequested,
    Heard,
    Release,
    Reopen,
    ReplyPlanned,
    ReplyTookEffect,
    Tick,
    TurnEvent,
    VoiceStarted,
    VoiceStopped,
)

SIGNALS: dict[str, type[TurnEvent]] = {kind.__name__: kind for kind in get_args(TurnEvent)}

KNOWN = {
    VoiceStarted,
    VoiceStopped,
    Heard,
    ReplyPlanned,
    AgentStarted,
    AgentStopped,
    ReplyTookEffect,
    CommitRequested,
    ClearRequested,
    Tick,
}

Make = Callable[..., TurnMachine]

LONGEST = 400
"""No sequence has more events."""


# A case: what is needed to run a sequence again


@dataclass
class Case:
    """One sequence for one machine. Ticks are not in it, but for those that nobody asked for: see `run`."""

    options: dict[str, Any]
    has: dict[str, bool]
    late_s: float = 0.0
    events: list[TurnEvent] = field(default_factory=list)
    wild: bool = False

    def machine(self, make: Make = TurnMachine) -> TurnMachine:
        options: Any = self.options
        return make(TurnHandling.of(options), **self.has)

    def to_json(self) -> str:
        events = [[type(event).__name__, dataclasses.asdict(event)] for event in self.events]
        head = {"options": self.options, "has": self.has, "late_s": self.late_s, "wild": self.wild}
        lines = ",\n  ".join(json.dumps(event) for event in events)
        return json.dumps(head)[:-1] + ',\n "events": [\n  ' + lines + "\n]}\n"

    @classmethod
    def of_json(cls, text: str) -> "Case":
        given = json.loads(text)
        given["events"] = [SIGNALS[name](**fields) for name, fields in given["events"]]
        return cls(**given)


Step = Callable[[TurnEvent], list[Command]]


def run(case: Case, take: Step, machine: TurnMachine) -> None:
    """The case again: its events in order, and the ticks that the machine asks for on the way and afterwards."""
    now = 0.0
    for event in [*case.events, None]:
        until = event.at if event is not None else now + 20.0
        while (due := machine.deadline) is not None and due + case.late_s <= until:
            now = max(now, due + case.late_s)
            take(Tick(now))
        if event is not None:
            now = event.at
            take(event)


# Anything at all


def anything(dice: random.Random, kind: Any, *, at: float, name: str = "") -> Any:
    """A value of an annotated type."""
    if name == "at":
        return at
    if get_origin(kind) in (Union, types.UnionType):
        return anything(dice, dice.choice(get_args(kind)), at=at, name=name)
    if get_origin(kind) is Literal:
        return dice.choice(get_args(kind))
    if kind is bool:
        return dice.random() < 0.5
    if kind is int:
        return dice.randrange(4)
    if kind is float:
        if name in ("onset", "last_voiced", "deadline"):
            return round(at + dice.choice([-0.8, -0.1, 0.0, 0.5] if name != "deadline" else [0.0, 0.5, 2.0]), 3)
        return dice.choice([0.0, 0.3, 0.7, 1.0, 1.5, math.nan])
    if kind is str:
        return dice.choice(["", "yes", "hello there", "stop it now please"])
    if kind in (None, type(None)):
        return None
    raise TypeError(f"{name}: {kind} is nothing that the search can make; teach it in tests/turns/worlds.py")


@functools.cache
def _hints(name: str) -> dict[str, Any]:
    kind = SIGNALS[name]
    hints = get_type_hints(kind)
    return {each.name: hints[each.name] for each in dataclasses.fields(kind)}


def any_signal(dice: random.Random, kind: type[TurnEvent], at: float) -> TurnEvent:
    return kind(**{name: anything(dice, hint, at=at, name=name) for name, hint in _hints(kind.__name__).items()})


DELAYS = {
    "min_delay": (0.5, 0.5, 0.5, 0.3, 0.0, 1.0),
    "max_delay": (3.0, 3.0, 1.0, 2.0, 6.0),
    "min_duration": (0.5, 0.5, 0.2, 1.0),
    "min_words": (0, 0, 0, 2, 3),
    "false_interruption_timeout": (2.0, None, 0.2),
    "enabled": (True, True, True, False),
    "resume_false_interruption": (True, True, True, False),
    "turn_detection": ("vad", "vad", "vad", "stt", "manual", None),
}
"""What the settings are drawn from; one that is not named here is made by its kind, or left as it is by default."""


def settings(dice: random.Random) -> dict[str, Any]:
    given = _settings(dice, TurnHandling())
    delays = given["endpointing"]
    delays["min_delay"], delays["max_delay"] = sorted([delays["min_delay"], delays["max_delay"]])
    return given


def _settings(dice: random.Random, defaults: Any) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for each in dataclasses.fields(defaults):
        value = getattr(defaults, each.name)
        if dataclasses.is_dataclass(value):
            given[each.name] = _settings(dice, value)
        elif each.name in DELAYS:
            given[each.name] = dice.choice(DELAYS[each.name])
        elif isinstance(value, bool):
            given[each.name] = dice.random() < 0.5
        elif isinstance(value, int | float):
            given[each.name] = dice.choice([value, value, 0 * value, 2 * value])
    return given


@functools.cache
def _switches() -> tuple[str, ...]:
    """What a machine may have or lack, by the names of its parameters."""
    return tuple(name for name in inspect.signature(TurnMachine).parameters if name.startswith("has_"))


KINDS: tuple[str, ...] = get_args(getattr(signals, "Kind", None)) or ("speech",)
ADVICE: Any = getattr(signals, "Advice", None)
ASK_DETECTOR: Any = getattr(signals, "AskDetector", ())
NEW = [kind for kind in get_args(TurnEvent) if kind not in KNOWN and kind is not ADVICE]


# A world


class World:
    """One call. `take` gives an event to the machine that is watched, and returns its commands."""

    def __init__(self, dice: random.Random, *, events: int) -> None:
        self.dice = dice
        chance = dice.random
        self.case = Case(
            options=settings(dice),
            has={name: chance() < 0.85 for name in _switches()},
            late_s=dice.choice([0.0, 0.0, 0.0, 0.004, 0.03, 0.3]),
            wild=chance() < 0.1,
        )
        if not (self.case.has["has_vad"] or self.case.has["has_recogniser"]):
            self.case.has["has_vad"] = True
        self.manual = self.case.options["turn_detection"] == "manual"
        self.target = min(events, LONGEST)
        self.count = 0
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[[], TurnEvent | None]]] = []
        self._number = 0
        self._words = 0
        self._read_at = 0.0
        self._voice_until: float | None = None  # a voice is on, and ends then
        self._audible = False
        self._planned = 0
        self._interruptible = True
        self._left_s = 0.0
        self._silence_s = dice.choice([0.1, 0.25, 0.25, 0.25, 0.5, 0.5, 5.0])
        self._missed = dice.choice([0.07] * 9 + [0.9])
        self._stt_s = dice.choice([0.05, 0.2, 0.4, 0.9])

    # Time

    def _at(self, at: float, what: Callable[[], TurnEvent | None]) -> None:
        self._number += 1
        heapq.heappush(self._due, (max(self.now, round(at, 3)), self._number, what))

    def play(self, machine: TurnMachine, take: Step) -> None:
        """Let it happen, until so many events were taken."""
        self.machine = machine

        def told(event: TurnEvent) -> list[Command]:
            commands = take(event)
            self.count, self.now = self.count + 1, event.at
            for command in commands:
                self._obey(command)
            return commands

        self._user_speaks_at(self.dice.choice([0.0, 0.5]))
        if self.dice.random() < 0.4:
            self._plan(self.dice.choice([0.0, 0.2]))
        self._application()
        while self.count < self.target:
            due = machine.deadline
            if due is not None and due + self.case.late_s <= self._due[0][0]:
                told(Tick(max(self.now, due + self.case.late_s)))
                continue
            self.now, _, what = heapq.heappop(self._due)
            event = what()
            if event is not None:
                self.case.events.append(event)
                told(event)

    # The user

    def _user_speaks_at(self, at: float) -> None:
        self._at(at, self._user_speaks)

    def _user_speaks(self) -> TurnEvent | None:
        dice, now = self.dice, self.now
        chance = dice.random
        length = dice.choice([0.06, 0.2, 0.35, 0.6, 0.6, 1.0, 1.0, 1.8, 3.0, 7.0])
        words = 0 if chance() < 0.25 else 1 + int(length / 0.35)
        self._recognise(now, length, min(words, 5))
        gap = dice.choice([0.05, 0.15, 0.3, 0.4, 0.6, 0.6, 1.0, 1.0, 2.0, 2.0, 4.0])
        self._user_speaks_at(now + length + self._silence_s + gap)
        if not self.case.has["has_vad"] or chance() < self._missed:  # the detector misses it
            return None
        found = now + dice.choice([0.0, 0.02, 0.03, 0.1])
        stop = now + length
        self._at(stop + dice.choice([self._silence_s] * 4 + [0.0, 0.8]), lambda: self._silence(stop))
        if chance() < 0.15 and length > 0.5:  # one voice is found as two
            middle = now + length / 2
            self._at(middle, lambda: self._silence(middle))
            self._at(middle + 0.1, lambda: self._voice(middle + 0.1))
        self._at(found, lambda: self._voice(now))
        return None

    def _voice(self, onset: float) -> TurnEvent | None:
        if self._voice_until is not None:
            return None
        self._voice_until = 0.0
        return VoiceStarted(self.now, round(onset, 3))

    def _silence(self, last_voiced: float) -> TurnEvent | None:
        if self._voice_until is None:
            return None
        self._voice_until = None
        return VoiceStopped(self.now, round(min(last_voiced, self.now), 3))

    def _recognise(self, start: float, length: float, words: int) -> None:
        if not self.case.has["has_recogniser"]:
            return
        dice = self.dice
        said = [f"w{self._words + n:03}" for n in range(words)]  # none begins as another
        self._words += words
        sure = dice.random() < 0.85
        kind = "speech" if dice.random() < 0.7 else dice.choice(KINDS)
        end = start + length
        text = " ".join(said)
        fate = dice.random()
        parts = words > 1 and fate < 0.06  # the first of two finals comes while the voice is on
        half = words // 2 if parts else 0
        if parts:
            self._reads(start + length / 2, " ".join(said[:half]), True, sure, kind)
        for n in range(half + 1, min(words, half + 3) + 1):
            if dice.random() < 0.6:
                shrunk = n - 1 if n - 1 > half and dice.random() < 0.2 else n
                after = length / 2 + 0.01 if parts else 0.0
                self._reads(
                    max(start + after, start + length * n / (words + 1)), " ".join(said[half:shrunk]), False, sure, kind
                )
        if parts:
            self._reads(end + self._stt_s, " ".join(said[half:]), True, sure, kind)
        elif words > 1 and fate < 0.12:  # or both come behind it, the second without any warning
            self._reads(end + self._stt_s, " ".join(said[:1]), True, sure, kind)
            self._reads(end + self._stt_s + dice.choice([0.3, 0.6, 1.0]), " ".join(said[1:]), True, sure, kind)
        elif fate < 0.8:
            self._reads(end + self._stt_s, text, True, sure, kind)
            if fate > 0.73:  # it comes twice
                self._reads(end + self._stt_s + dice.choice([0.05, 1.0]), text, True, sure, kind)
        elif fate < 0.9:  # it comes late, else never
            self._reads(end + dice.choice([1.5, 3.5]), text, True, sure, kind)

    def _reads(self, at: float, text: str, is_final: bool, sure: bool, kind: str) -> None:
        if not self.case.wild:  # what was said first is read first
            at = self._read_at = max(at, self._read_at)
        self._at(at, lambda: self._read(text, is_final, sure, kind))

    def _read(self, text: str, is_final: bool, sure: bool, kind: Any) -> TurnEvent:
        if len(KINDS) == 1:
            return Heard(self.now, text, is_final, sure)
        # The kind is of all that is not committed: a murmur behind a sentence is a part of it.
        earlier = self.machine.pending_transcript.split()
        alone = all(word in text for word in earlier)
        if not text or not alone or (is_final and kind == "undecided"):  # a final is decided
            kind = "speech"
        return Heard(self.now, text, is_final, sure, kind=kind)

    # The agent, as the owner of a machine behaves

    def _obey(self, command: Command) -> None:
        dice = self.dice
        match command:
            case Commit():
                if dice.random() < 0.08:  # the application wants no reply
                    self._at(self.now, lambda: ReplyTookEffect(self.now))
                    self._at(self.now, self._nothing_to_say)
                else:
                    self._plan(0.0)
            case AskAgain():
                self._plan(0.0)
            case Cancel() | Reopen():
                self._planned, was = 0, self._audible
                self._audible = False
                if was or dice.random() < 0.8:
                    self._at(self.now, lambda: AgentStopped(self.now, False))
            case Release():
                self._at(self.now + 0.02, self._start)
            case _ if ADVICE is not None and isinstance(command, ASK_DETECTOR):
                self._advise(command)

    def _advise(self, command: Any) -> None:
        dice = self.dice
        if dice.random() < 0.85:
            opinion = dice.choice([0.0, 0.2, 0.5, 0.9, 1.0, None, math.nan, -1.0])
            after = dice.choice([0.0, 0.0, 0.05, 0.05, 0.2, 0.4])
            self._at(self.now + after, lambda: ADVICE(self.now, command.text, opinion))

    def _nothing_to_say(self) -> TurnEvent | None:
        return None if self._audible else AgentStopped(self.now, False)

    def _plan(self, after: float) -> None:
        dice = self.dice

        def plan() -> TurnEvent:
            self._planned += 1
            if not self._audible:
                self._interruptible = dice.random() < 0.85
            return ReplyPlanned(self.now, self._interruptible)

        self._at(self.now + after, plan)
        ready = self.now + after + dice.choice([0.05, 0.3, 0.3, 1.0, 2.5])
        if dice.random() < 0.15:
            self._at(ready - 0.02, lambda: ReplyTookEffect(self.now) if self._planned else None)
        if dice.random() < 0.1:
            self._at(ready, self._come_to_nothing)
        else:
            self._at(ready, self._start)

    def _come_to_nothing(self) -> TurnEvent | None:
        if self._audible or not self._planned:
            return None
        self._planned -= 1
        return AgentStopped(self.now, self._planned > 0)

    def _start(self) -> TurnEvent | None:
        if self._audible or not self._planned:
            return None
        if self._interruptible and not self.machine.floor_is_free and self.dice.random() > 0.03:
            self._at(self.now + self.dice.choice([0.05, 0.3]), self._start)
            return None
        self._audible, self._left_s = True, self.dice.choice([0.3, 1.0, 3.0, 8.0])
        self._at(self.now + self._left_s, self._end)
        return AgentStarted(self.now, self._interruptible)

    def _end(self) -> TurnEvent | None:
        if not self._audible:
            return None
        if self.machine.state is State.HELD:  # what stands still does not end
            self._at(self.now + 0.3, self._end)
            return None
        self._audible = False
        self._planned = max(0, self._planned - 1)
        more = self._planned > 0 or self.dice.random() < 0.15
        if more:
            self._planned = max(1, self._planned)
            self._interruptible = self.dice.random() < 0.85
            self._at(self.now + self.dice.choice([0.0, 0.05, 0.3]), self._start)
        return AgentStopped(self.now, more)

    # The application, and those who break the rules

    def _application(self) -> None:
        dice = self.dice
        every = 0.2 if self.case.wild else 1.5 if self.manual else 4.0
        self._at(self.now + dice.uniform(0.05, 2 * every), self._interferes)

    def _interferes(self) -> TurnEvent | None:
        dice, now = self.dice, self.now
        self._application()
        what = dice.random()
        if self.case.wild and what < 0.6:
            return any_signal(dice, dice.choice(tuple(SIGNALS.values())), now)
        if self.manual and what < 0.7:
            return CommitRequested(now, round(now + dice.choice([0.0, 0.5, 2.0]), 3))
        if NEW and what < 0.4:
            return any_signal(dice, dice.choice(NEW), now)
        if what < 0.55:
            return CommitRequested(now, round(now + dice.choice([0.0, 0.5, 2.0]), 3))
        if what < 0.7:
            return ClearRequested(now)
        if what < 0.75:
            return Tick(now)
        if not self._planned:
            self._plan(0.0)
        return None
