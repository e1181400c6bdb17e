"""Who said what when, as heard: the utterances of a call out of its log."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from agent_runtime.events import (
    AgentFalseInterruption,
    Event,
    PlaybackFinished,
    PlaybackStarted,
    SessionStarted,
    ToolEnded,
    ToolStarted,
    TurnCommitted,
    TurnReopened,
    VoiceStarted,
    VoiceStopped,
)


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of text; `cut`: it was made but not heard."""

    text: str
    cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """Something said, or a tool called. Times in seconds since the session started.

    `who` is caller, agent or tool. A caller's utterance without segments is voice that held no words (a cough).
    """

    who: Literal["caller", "agent", "tool"]
    start: float
    end: float
    segments: tuple[Segment, ...] = ()
    turn: int | None = None

    @property
    def heard(self) -> str:
        return " ".join(segment.text for segment in self.segments if not segment.cut)


def origin(events: Iterable[Event]) -> float:
    """Loop time of the session's start, from which all times in pictures and tables count."""
    first: Event | None = None
    for event in events:
        if isinstance(event, SessionStarted):
            return event.at
        first = first or event
    return 0.0 if first is None else first.at


def utterances(events: Iterable[Event]) -> list[Utterance]:
    """Every utterance of a call, by the time it began."""
    log = list(events)
    reader = _Reader(origin(log))
    for event in log:
        reader.read(event)
    return sorted(reader.found, key=lambda utterance: utterance.start)


@dataclass(slots=True)
class _Reader:
    started: float
    found: list[Utterance] = field(default_factory=list)
    voices: list[list[float]] = field(default_factory=list)
    playing: dict[str, float] = field(default_factory=dict)
    tools: dict[str, ToolStarted] = field(default_factory=dict)

    def read(self, event: Event) -> None:
        match event:
            case VoiceStarted():
                self.voices.append([event.onset, event.at])
            case VoiceStopped() if self.voices:
                self.voices[-1][1] = event.last_voiced
            case AgentFalseInterruption() if self.voices:
                # Only the last voice was the false one; what came before may be half a turn.
                start, end = self.voices.pop()
                self._add(Utterance(who="caller", start=start, end=end))
            case TurnCommitted():
                self._commit(event)
            case TurnReopened():
                self._reopen(event.turn)
            case PlaybackStarted():
                self.playing[event.speech_id] = event.at
            case PlaybackFinished() if event.speech_id in self.playing:
                segments = [Segment(event.heard.strip())] if event.heard.strip() else []
                segments += [Segment(event.cut.strip(), cut=True)] if event.cut.strip() else []
                start = self.playing.pop(event.speech_id)
                self._add(Utterance(who="agent", start=start, end=event.at, segments=tuple(segments)))
            case ToolStarted():
                self.tools[event.call_id] = event
            case ToolEnded() if event.call_id in self.tools:
                call = self.tools.pop(event.call_id)
                text = f"{call.name}({arguments_text(call.arguments)}) {'!' if event.is_error else '->'} {event.output}"
                self._add(Utterance(who="tool", start=call.at, end=event.at, segments=(Segment(text.strip()),)))

    def _commit(self, event: TurnCommitted) -> None:
        start = self.voices[0][0] if self.voices and event.last_voiced is not None else event.at
        end = event.at if event.last_voiced is None else event.last_voiced
        self.voices.clear()
        text = event.transcript.strip()
        said = (Segment(text),) if text else ()
        self._add(Utterance(who="caller", start=min(start, end), end=end, segments=said, turn=event.turn))

    def _reopen(self, turn: int) -> None:
        """The halves become one turn: the first half is voice again that waits for its commit."""
        for utterance in [u for u in self.found if u.turn == turn]:
            self.found.remove(utterance)
            self.voices.insert(0, [utterance.start + self.started, utterance.end + self.started])

    def _add(self, utterance: Utterance) -> None:
        shifted = {"start": utterance.start - self.started, "end": utterance.end - self.started}
        self.found.append(
            Utterance(who=utterance.who, segments=utterance.segments, turn=utterance.turn, **shifted),
        )


def arguments_text(text: str) -> str:
    """`{"item": "milk"}` as ``item: milk``; what is no JSON object stands as it is."""
    try:
        values = json.loads(text or "{}")
    except ValueError:
        return text
    if not isinstance(values, dict):
        return text
    return ", ".join(
        f"{key}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for key, value in values.items()
    )
