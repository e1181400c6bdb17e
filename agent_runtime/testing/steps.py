"""What a simulated caller can be told to do: a step, the lines of sound that come of it, and what a step may wait for."""

import asyncio
import difflib
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypedDict

from agent_runtime import events
from agent_runtime.audio.frame import INPUT_RATE
from agent_runtime.audio.resample import scale
from agent_runtime.errors import UsageError
from agent_runtime.events import Event
from agent_runtime.testing import sounds

WORD_S = 0.4
"""How long a word takes where nothing is said of it: 150 words a minute."""

NOISES = {"cough": 0.5, "noise": 2.0, "phone": 3.0}
"""Sounds without words, and how long they last where nothing is said of it."""

Kind = Literal[
    "say",
    "hesitate",
    "interrupt",
    "backchannel",
    "murmur",
    "aside",
    "cough",
    "noise",
    "phone",
    "keys",
    "silence",
    "hang_up",
]

TRIGGERS: dict[str, Callable[[Event], bool]] = {
    "agent speaks": lambda event: isinstance(event, events.AgentStateChanged) and event.new_state == "speaking",
    "agent stops": lambda event: isinstance(event, events.AgentStateChanged) and event.old_state == "speaking",
    "agent thinks": lambda event: isinstance(event, events.AgentStateChanged) and event.new_state == "thinking",
    "agent pauses": lambda event: isinstance(event, events.PlayoutPaused),
    "turn ends": lambda event: isinstance(event, events.TurnCommitted),
    "tool starts": lambda event: isinstance(event, events.ToolStarted),
    "tool ends": lambda event: isinstance(event, events.ToolEnded),
}
"""What a step may wait for, besides the name of any event of the log. The agent speaks again when it goes on after a
pause, and stops when it pauses."""


class When(TypedDict, total=False):
    """What every step takes.

    at: when it begins, in s since the call began. after: what it waits for, see `TRIGGERS`. wait: s after that, or after
    the step before it.
    """

    at: float
    after: str
    wait: float


class How(When, total=False):
    """What a step with a voice takes besides.

    lasting: s; the words are spread evenly over it. level: in dB, against the voice as it is. confidence: what the
    recogniser gives its readings. heard_as: what it reads instead of what was said. sound: a WAV file that is played.
    voice: a synthesiser that says it (a descriptor).
    """

    lasting: float
    level: float
    confidence: float | None
    heard_as: str
    sound: str | Path
    voice: str


@dataclass(frozen=True, slots=True)
class Line:
    """Sound from `at` on, lasting `duration`. Its words are spread evenly; without words it is a noise.

    Attributes:
        confidence: what the recogniser gives its readings.
        kind: what the caller does with it.
        pcm: int16 mono at 16 kHz; None: a computed voice, or a cough where there are no words.
        heard_as: what the recogniser reads instead of `text`.
    """

    at: float
    text: str
    duration: float
    confidence: float | None = None
    kind: Kind = "say"
    pcm: bytes | None = field(default=None, repr=False)
    heard_as: str | None = None

    @property
    def end(self) -> float:
        return self.at + self.duration

    @property
    def words(self) -> list[str]:
        """As the recogniser is to read them."""
        return (self.text if self.heard_as is None else self.heard_as).split()


@dataclass(slots=True, eq=False)
class Step:
    """Something the caller is to do. Await it in a running call: it is done when the caller has done it."""

    kind: Kind
    text: str = ""
    at: float | None = None
    after: str | None = None
    wait: float = 0.0
    lasting: float | None = None
    pauses: Sequence[float] = ()
    level: float = 0.0
    confidence: float | None = None
    heard_as: str | None = None
    sound: Path | None = None
    voice: str | None = None
    begun: float | None = None
    over: float | None = None
    pcm: bytes | None = field(default=None, repr=False)
    _done: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    def __await__(self) -> Generator[Any, None, None]:
        yield from self._done.wait().__await__()

    @property
    def needs_making(self) -> bool:
        return self.sound is not None or self.voice is not None

    def stretches(self) -> list[tuple[float, float, str]]:
        """Where its voice is on: seconds after its beginning, seconds, and what is said."""
        length = self.length
        if self.kind in ("silence", "hang_up"):
            return []
        if self.kind != "hesitate":
            return [(0.0, length, self.text)]
        parts = [part.strip() for part in self.text.replace("…", "...").split("...")]
        count = sum(len(part.split()) for part in parts)
        found, offset = [], 0.0
        for index, part in enumerate(parts):
            lasts = length * len(part.split()) / count
            found.append((offset, lasts, part))
            offset += lasts + (self.pauses[min(index, len(self.pauses) - 1)] if index < len(parts) - 1 else 0.0)
        return found

    @property
    def length(self) -> float:
        """Seconds of voice."""
        if self.kind == "keys":
            return sounds.keys_s(self.text)
        if self.pcm is not None:
            return len(self.pcm) / (2 * INPUT_RATE)
        if self.lasting is not None:
            return self.lasting
        if self.kind in ("silence", "hang_up"):
            return 0.0
        return NOISES.get(self.kind) or WORD_S * len([word for word in self.text.split() if word not in ("...", "…")])

    def said(self) -> str:
        """How a failure names it."""
        what = f"{self.kind} {self.text!r}" if self.text else self.kind
        when = (
            f" after {self.after!r}" if self.after is not None else f" at {self.at:g} s" if self.at is not None else ""
        )
        return what + when


def trigger(name: str) -> Callable[[Event], bool]:
    """What tells the event that a step waits for.

    Raises:
        UsageError: nothing has this name.
    """
    known = TRIGGERS.get(name)
    if known is not None:
        return known
    if name in event_names():
        return lambda event: event.type == name
    near = difflib.get_close_matches(name, [*TRIGGERS, *event_names()], n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"it is one of {', '.join(TRIGGERS)}, or an event of the log."
    raise UsageError(f"after={name!r} is nothing that can happen; {hint}")


def event_names() -> list[str]:
    """The names of all events that stand in a log."""
    return sorted(events.BY_NAME)


def check_hesitation(step: Step) -> None:
    """Refuse one without a pause, or with pauses that do not fit."""
    parts = step.text.replace("…", "...").split("...")
    if len(parts) < 2 or not all(part.strip() for part in parts):
        raise UsageError(f"The hesitation {step.text!r} has no pause in it; write '...' between two of its words.")
    if not step.pauses or len(step.pauses) > len(parts) - 1 or step.needs_making:
        raise UsageError(
            f"The hesitation {step.text!r} takes one pause for all its '...', or one for each, and no sound of its own."
        )


def line_of(step: Step, at: float, length: float, text: str) -> Line:
    """One of the step's stretches of sound."""
    samples = round((at + length) * INPUT_RATE) - round(at * INPUT_RATE)
    heard = step.heard_as
    if step.kind == "keys":
        pcm, text = sounds.key_tones(step.text), ""
    elif step.pcm is not None:
        pcm = step.pcm
    else:
        kind = step.kind if step.kind in NOISES else "other" if step.kind == "aside" else "voice"
        pcm = sounds.sound(kind, samples)
    if step.level:
        gain = 10 ** (step.level / 20)
        pcm = scale(pcm, gain, gain)
    return Line(at, text, length, step.confidence, step.kind, pcm, heard)
