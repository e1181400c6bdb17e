"""Where the time of a turn went: from the caller's last voiced sample to the agent's first sample in the speaker.

Theory of operation. A turn passes seven marks in this order:

    end of speech, commit, transcript, first token, first clause, first sample, played

A part is the time from the mark before it to its own mark. Marks are taken as a running maximum, and none lies beyond
`played`: a mark that was reached before the one it follows (a transcript before the commit, which is usual; a token of
a speculative request) cost nothing *more*, so its part is 0. A mark that is not known (no request to a model for
`say()`; no end of speech for a typed turn) has no part, and the next known part reaches back to the last known mark. So
the known parts always sum to the heard gap.

Tools that ran between the first token and the first clause are a part of their own, `tool`: the time in which at
least one of them ran. What is left of `first_clause` then holds the model's second answer.

`WaterfallBuilder` is that function fed one event at a time; `waterfalls` feeds it a whole log.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from agent_runtime.events import (
    Event,
    FirstSample,
    FirstToken,
    InterruptionConfirmed,
    LlmRequested,
    PhraseReady,
    PlaybackFinished,
    PlaybackStarted,
    SpeechCreated,
    ToolEnded,
    ToolStarted,
    TurnCommitted,
    TurnReopened,
)

PARTS = ("commit", "transcript", "first_token", "tool", "first_clause", "first_sample", "played")
"""The parts in their order, as `Waterfall` names them."""

_OPEN_TURNS = 8
"""Turns that may wait for their sound at the same time; the oldest is closed without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waterfall:
    """One turn of the user. Seconds; a part that is not known is None.

    Attributes:
        turn: the user's turn, counted from 1.
        speech_id: the speech whose sound ended the wait, or the last that tried.
        began: loop time of the last voiced sample; of the commit where the turn was typed.
        gap: what the caller heard of silence: last voiced sample to first played one. None for a typed turn and where
            nothing was played.
        tools: the tools that had been started before the first sound, by name.
        tags: of ``typed``, ``say`` (answered without a model), ``tool``, ``preemptive`` (the model was asked before the
            commit), ``reopened`` (the user went on after a commit), ``interrupted`` (cancelled before its first sound),
            ``no_reply`` (nothing was said, and nobody interrupted).
    """

    turn: int
    speech_id: str | None
    began: float
    gap: float | None
    commit: float | None
    transcript: float | None
    first_token: float | None
    tool: float | None
    first_clause: float | None
    first_sample: float | None
    played: float | None
    tools: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[tuple[str, float | None], ...]:
        """Names and seconds in the order of `PARTS`."""
        return tuple((name, getattr(self, name)) for name in PARTS)

    @property
    def total(self) -> float:
        """The sum of the known parts: the heard gap; for a typed turn from its commit on; else as far as it came."""
        return sum(seconds for _, seconds in self.parts if seconds is not None)


def waterfalls(events: Iterable[Event]) -> list[Waterfall]:
    """The waterfall of every turn in a log, by turn. A turn that was committed again counts as it ended."""
    builder = WaterfallBuilder()
    found = [waterfall for event in events if (waterfall := builder.feed(event)) is not None]
    found += builder.close()
    return [waterfall for _, waterfall in sorted({w.turn: w for w in found}.items())]


@dataclass(slots=True)
class _Speech:
    speech_id: str
    turn: int
    source: str
    requested: float | None = None
    first_token: float | None = None
    first_clause: float | None = None
    first_sample: float | None = None
    running: dict[str, float] = field(default_factory=dict)
    ran: list[tuple[float, float]] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Turn:
    turn: int
    committed: float
    last_voiced: float | None
    transcribed: float | None
    reopened: bool
    last_speech: _Speech | None = None
    waiting: set[str] = field(default_factory=set)


class WaterfallBuilder:
    """Feed it every event of a call; it returns a turn's waterfall at the moment its first sample is played.

    A turn that ends without sound is returned when that is known: its reply was cancelled, the next turn was
    committed, or the call is over (`close`). Nothing is kept of a turn that was returned; tools that start after the
    first sound are therefore not told here, they delayed nothing that the gap measures.
    """

    def __init__(self) -> None:
        self._turns: dict[int, _Turn] = {}
        self._speeches: dict[str, _Speech] = {}
        self._reopened: int | None = None
        self._latest_turn = 0
        self._done: deque[Waterfall] = deque()

    def feed(self, event: Event) -> Waterfall | None:
        match event:
            case TurnCommitted():
                self._commit(event)
            case TurnReopened():
                self._reopen(event.turn)
            case SpeechCreated():
                self._create(event)
            case _:
                speech_id = getattr(event, "speech_id", None)
                speech = self._speeches.get(speech_id) if speech_id is not None else None
                if speech is not None:
                    self._follow(speech, event)
        return self._done.popleft() if self._done else None

    def close(self) -> list[Waterfall]:
        """The call is over: what is still open, and what was not yet returned."""
        for turn in list(self._turns.values()):
            self._finish(turn, "no_reply")
        self._speeches.clear()
        done = list(self._done)
        self._done.clear()
        return done

    @property
    def open_turns(self) -> int:
        return len(self._turns)

    def _commit(self, event: TurnCommitted) -> None:
        for turn in list(self._turns.values()):
            if turn.turn != event.turn and not turn.waiting:
                self._finish(turn, "no_reply")
        while len(self._turns) >= _OPEN_TURNS:
            self._finish(next(iter(self._turns.values())), "no_reply")
        turn = _Turn(event.turn, event.at, event.last_voiced, event.transcribed_at, self._reopened == event.turn)
        self._turns[event.turn] = turn
        self._latest_turn = max(self._latest_turn, event.turn)
        self._reopened = None
        for speech in list(self._speeches.values()):
            if speech.turn == event.turn:  # asked for before the commit
                turn.waiting.add(speech.speech_id)
                turn.last_speech = speech

    def _reopen(self, number: int) -> None:
        self._reopened = number
        self._turns.pop(number, None)
        for speech in [s for s in self._speeches.values() if s.turn == number]:
            del self._speeches[speech.speech_id]

    def _create(self, event: SpeechCreated) -> None:
        if event.turn is None:
            return
        turn = self._turns.get(event.turn)
        if turn is None and event.turn <= self._latest_turn and event.turn != self._reopened:
            return  # a further speech of a turn that has already been heard
        speech = _Speech(event.speech_id, event.turn, event.source)
        self._speeches[event.speech_id] = speech
        if turn is not None:
            turn.waiting.add(event.speech_id)
            turn.last_speech = speech
        elif sum(1 for s in self._speeches.values() if s.turn == event.turn) > _OPEN_TURNS:
            # Speculative requests thrown away one after another before the commit.
            del self._speeches[next(s.speech_id for s in self._speeches.values() if s.turn == event.turn)]

    def _follow(self, speech: _Speech, event: Event) -> None:
        match event:
            case LlmRequested():
                speech.requested = _first(speech.requested, event.at)
            case FirstToken():
                speech.first_token = _first(speech.first_token, event.at)
            case PhraseReady(index=0):
                speech.first_clause = _first(speech.first_clause, event.at)
            case FirstSample():
                speech.first_sample = _first(speech.first_sample, event.at)
            case ToolStarted():
                speech.running[event.call_id] = event.at
                speech.tools.append(event.name)
            case ToolEnded() if event.call_id in speech.running:
                speech.ran.append((speech.running.pop(event.call_id), event.at))
            case PlaybackStarted():
                self._play(speech, event.at)
            case InterruptionConfirmed():
                self._abandon(speech, "interrupted")
            case PlaybackFinished():
                self._abandon(speech, "interrupted" if event.interrupted else "no_reply")

    def _play(self, speech: _Speech, at: float) -> None:
        turn = self._turns.get(speech.turn)
        if turn is None:
            # Sound before the commit of what it answers: no gap can be measured, the turn has had its sound.
            self._latest_turn = max(self._latest_turn, speech.turn)
            del self._speeches[speech.speech_id]
            return
        turn.last_speech = speech
        self._finish(turn, None, played=at)

    def _abandon(self, speech: _Speech, why: str) -> None:
        del self._speeches[speech.speech_id]
        turn = self._turns.get(speech.turn)
        if turn is None:
            return
        turn.waiting.discard(speech.speech_id)
        if not turn.waiting:
            self._finish(turn, why)

    def _finish(self, turn: _Turn, why: str | None, *, played: float | None = None) -> None:
        del self._turns[turn.turn]
        for speech_id in turn.waiting:
            self._speeches.pop(speech_id, None)
        self._done.append(_waterfall(turn, turn.last_speech or _Speech("", turn.turn, ""), played, why))


def _waterfall(turn: _Turn, speech: _Speech, played: float | None, why: str | None) -> Waterfall:
    parts = _parts(turn, speech, played)
    tags = {
        "typed": turn.last_voiced is None,
        "say": speech.source == "say",
        "tool": bool(speech.tools),
        "preemptive": speech.requested is not None and speech.requested < turn.committed,
        "reopened": turn.reopened,
        "interrupted": why == "interrupted",
        "no_reply": why == "no_reply",
    }
    heard = played is not None and turn.last_voiced is not None
    return Waterfall(
        turn=turn.turn,
        speech_id=speech.speech_id or None,
        began=turn.committed if turn.last_voiced is None else turn.last_voiced,
        gap=sum(seconds for seconds in parts.values() if seconds is not None) if heard else None,
        **parts,
        tools=tuple(speech.tools),
        tags=tuple([tag for tag, holds in tags.items() if holds]),
    )


def _parts(turn: _Turn, speech: _Speech, played: float | None) -> dict[str, float | None]:
    parts: dict[str, float | None] = dict.fromkeys(PARTS)
    marks = {
        "commit": turn.committed,
        "transcript": turn.transcribed,
        "first_token": speech.first_token,
        "first_clause": speech.first_clause,
        "first_sample": speech.first_sample,
        "played": played,
    }
    reached = turn.last_voiced
    for name, mark in marks.items():
        if mark is None:
            continue
        if reached is None:
            reached = mark
            continue
        at = max(reached, mark if played is None else min(mark, played))
        span = at - reached
        if parts["tool"] is None and name in _AFTER_TOOLS:
            tool = parts["tool"] = _covered(speech, reached, at)
            span -= tool or 0.0
        parts[name] = span
        reached = at
    return parts


_AFTER_TOOLS = ("first_clause", "first_sample", "played")
"""The parts that tools can delay; the first of them that is known gives their time up to `tool`."""


def _covered(speech: _Speech, start: float, end: float) -> float | None:
    """Seconds of [start, end] in which at least one tool ran; None where none was started by then."""
    spans = sorted(speech.ran + [(began, end) for began in speech.running.values()])
    spans = [(max(a, start), min(b, end)) for a, b in spans if a <= end]
    if not spans:
        return None
    total, reached = 0.0, start
    for a, b in spans:
        total += max(0.0, b - max(a, reached))
        reached = max(reached, b)
    return total


def _first(known: float | None, at: float) -> float:
    return at if known is None else known
