"""What a caller at a terminal sees of a call: a function of the session's events.

On a terminal (`live`) what is in the making stands at the foot, greyed, and is written over: the words being read, the
phrases being said, the tools that run, the states. What is final becomes a line that stays. In a pipe only those lines
are written, without an escape code.
"""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, TextIO

from agent_runtime import events
from agent_runtime.chat import AgentHandoff, ChatMessage
from agent_runtime.events import Event
from agent_runtime.io.lines import NO_BREAK, Span, Style, columns, fit, harmless, wrap
from agent_runtime.io.region import Place, Region
from agent_runtime.trace.table import clock as time_text
from agent_runtime.trace.table import waterfall_line
from agent_runtime.trace.transcript import arguments_text
from agent_runtime.trace.waterfall import WaterfallBuilder

PROMPT = "you> "

AGENT_ROWS = 3
"""How much of what is being said the foot shows: the last of it."""

HEARD_ROWS = 2

TOOL_TEXT = 240
"""Columns of a tool's arguments, and of its result, that are shown."""

_AT_ONCE_S = 0.05

Entry = tuple[str, int]
"""A line being typed, and the cursor's place in it, in characters."""


class TerminalView:
    """A subscriber of a session's log: ``session.log.subscribe(view)``.

    Args:
        out: where it writes.
        live: whether `out` is a terminal on which rows may be written over.
        color: None: where `out` is a terminal, unless NO_COLOR is set or TERM is dumb.
        width: in columns; None: that of the terminal, asked at each write; lines in a pipe are then not broken.
        written: the conversation is typed, not spoken: no times, and a prompt.

    Attributes:
        entry: the line being typed at the foot, or None. Set it, then `refresh`.
        microphone: what the foot says of the microphone ("muted"); empty: nothing.
        hint: what the foot says of the keys.
    """

    def __init__(
        self,
        out: TextIO | None = None,
        *,
        live: bool,
        color: bool | None = None,
        width: int | None = None,
        written: bool = False,
    ) -> None:
        out = sys.stdout if out is None else out
        dumb = os.environ.get("TERM") == "dumb"
        if color is None:
            color = (live or out.isatty()) and not dumb and not os.environ.get("NO_COLOR")
        self.live = live and not dumb
        self.written = written
        self.entry: Entry | None = None
        self.microphone = ""
        self.hint = ""
        self._region = Region(out, live=self.live, color=color, width=width)
        self._broken = live or width is not None or out.isatty()  # whether lines are to be broken at the width
        self._waterfalls = WaterfallBuilder()
        self._started: float | None = None
        self._closed = False
        self._agent_state: str = "initializing"
        self._user_state: str = "listening"
        self._saying: list[tuple[str, str]] = []  # speech id, phrase
        self._tools: dict[str, events.ToolStarted] = {}
        self._finals: list[str] = []
        self._interim = ""
        self._commits: deque[float] = deque(
            maxlen=16
        )  # turns whose item of the history is still to come, by their time
        self._asking = False
        self._asked = False
        self._lines: list[list[Span]] = []

    def __call__(self, event: Event) -> None:
        """Show what happened."""
        if self._started is None:
            self._started = event.at
        told = self._TOLD.get(type(event))
        if told is not None:
            told(self, event)
        waterfall = self._waterfalls.feed(event)
        if waterfall is not None:
            self._waterfall(waterfall)
        if isinstance(event, events.Close):
            for rest in self._waterfalls.close():
                self._waterfall(rest)
        self.refresh()

    def note(self, text: str, style: Style = "grey") -> None:
        """A line of our own among those of the call."""
        self._note(text, style)
        self.refresh()

    def repaint(self) -> None:
        """The screen is another than it was: show the foot anew, below whatever is there."""
        self._region.forget()
        self.refresh()

    def close(self) -> None:
        """Take the foot away; what stays is a whole last line. Later events write nothing but lines that stay."""
        self._closed = True
        if self._asking:
            self._asking = False
            self._region.write("\n")
        self.refresh()

    def __enter__(self) -> "TerminalView":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # A prompt where the foot is not: in a pipe.

    def ask(self) -> None:
        """Write the prompt, and keep it below whatever is written until `asked`. From now on there is no foot."""
        self._asked = True
        self.refresh()
        self._asking = True
        self._region.write(PROMPT)

    def asked(self, line: str | None) -> None:
        """The prompt was answered with `line`, which is shown as a terminal would have; None: with the end."""
        self._asking = False
        self._region.write(f"{harmless(line or '')}\n")

    # Events

    def _transcribed(self, event: events.UserInputTranscribed) -> None:
        text = harmless(event.transcript)
        if event.is_final:
            self._interim = ""
            if text:
                self._finals.append(text)
        else:
            self._interim = text

    def _committed(self, event: events.TurnCommitted) -> None:
        self._forget_words()
        self._commits.append(event.at)
        self._said("you", [Span(harmless(event.transcript) or "(no words)")], event.at)

    def _reopened(self, event: events.TurnReopened) -> None:
        self._saying.clear()
        self._note(f"turn {event.turn} goes on", "grey")

    def _suspected(self, event: events.InterruptionSuspected) -> None:
        self._note("voice over the agent: softer", "grey")

    def _paused(self, event: events.PlayoutPaused) -> None:
        self._note(f"paused at {event.position:.1f} s", "grey")

    def _confirmed(self, event: events.InterruptionConfirmed) -> None:
        self._note(f"interrupted at {event.position:.1f} s: {event.reason}", "grey")
        self._forget_speech(event.speech_id)

    def _false_interruption(self, event: events.AgentFalseInterruption) -> None:
        self._forget_words()
        what = f"resumed at {event.position:.1f} s" if event.resumed else "no interruption"
        self._note(f"{what}: {event.reason}", "grey")

    def _states(self, event: Any) -> None:
        if isinstance(event, events.AgentStateChanged):
            self._agent_state = event.new_state
        else:
            self._user_state = event.new_state

    def _phrase(self, event: events.PhraseReady) -> None:
        self._saying.append((event.speech_id, harmless(event.text)))

    def _played(self, event: events.PlaybackFinished) -> None:
        heard, cut = harmless(event.heard), harmless(event.cut)
        if event.interrupted:
            self._forget_speech(event.speech_id)
        else:
            self._forget_said(event.speech_id, len(f"{heard} {cut}".split()))
        spans = [Span(heard, "agent")] if heard else []
        if cut:
            spans += [Span(" ")] if spans else []
            spans += [Span(cut, "cut") if self._region.color else Span(f"~~{cut}~~")]
        if spans:
            self._said("agent", spans, event.at)

    def _tool_started(self, event: events.ToolStarted) -> None:
        self._tools[event.call_id] = event

    def _tool_ended(self, event: events.ToolEnded) -> None:
        started = self._tools.pop(event.call_id, None)
        took = event.at - started.at if started is not None else 0.0
        call = _call_text(started) if started is not None else harmless(event.name)
        outcome = fit(harmless(event.output), TOOL_TEXT)
        sign = " failed: " if event.is_error else " -> " if outcome else " done"
        time = f" ({took:.1f} s)" if took >= _AT_ONCE_S else ""
        style: Style = "error" if event.is_error else "plain"
        self._said("tool", [Span(call), Span(f"{sign}{outcome}", style), Span(time, "grey")], event.at)

    def _item(self, event: events.ConversationItemAdded) -> None:
        item = event.item
        if isinstance(item, AgentHandoff) and item.old_agent_id is not None:
            self._note(f"{item.new_agent_id} speaks from here on", "grey")
        elif isinstance(item, ChatMessage) and item.role == "user":
            if item.created_at in self._commits:  # it stands there already, as it was heard
                self._commits.remove(item.created_at)
            elif not self._asked:
                self._said("you", [Span(harmless(item.text_content or ""))], event.at)

    def _fault(self, event: Any) -> None:
        text, style = _FAULTS[type(event)]
        self._note(text(event), style)

    def _input_ended(self, event: events.InputEnded) -> None:
        self._note("the caller is gone", "grey")

    def _ended(self, event: events.Close) -> None:
        self._forget_words()
        self._saying.clear()
        self._tools.clear()
        if event.error is not None:
            self._note(f"the call failed: {event.error}", "error")
        elif not self.written:
            self._note(f"the call is over: {event.reason.replace('_', ' ')}", "grey")
        self._closed = True

    # What is forgotten

    def _forget_words(self) -> None:
        self._finals.clear()
        self._interim = ""

    def _forget_speech(self, speech_id: str) -> None:
        self._saying = [phrase for phrase in self._saying if phrase[0] != speech_id]

    def _forget_said(self, speech_id: str, words: int) -> None:
        """The first `words` words of this speech are a line that stays by now."""
        rest = []
        for speech, phrase in self._saying:
            if speech == speech_id and words > 0:
                words -= len(phrase.split())
            else:
                rest.append((speech, phrase))
        self._saying = rest

    # Lines that stay

    def _said(self, who: str, spans: list[Span], at: float) -> None:
        label: Style = "grey" if who == "tool" else "label"
        if self.written:
            head = [Span(f"{who}> ", label)]
        else:
            time = time_text(at - (self._started or 0.0))
            head = [Span(f"{time:>6}  ", "grey"), Span(f"{who:<6}", label), Span(" ")]
        self._stay(head, spans)

    def _note(self, text: str, style: Style) -> None:
        self._stay([Span("  " if self.written else " " * 15)], [Span(harmless(text), style)])

    def _waterfall(self, waterfall: Any) -> None:
        parts = _typed(waterfall_line(waterfall)).replace(" ", NO_BREAK)
        text = parts.replace(f"{NO_BREAK}+", " +").replace(f"{NO_BREAK}(", " (")
        self._stay([Span(" " * 15)], [Span(text, "grey")])

    def _stay(self, head: list[Span], spans: list[Span]) -> None:
        if not self._broken:
            self._lines.append([*head, *spans])
            return
        indent = sum(columns(span.text) for span in head)
        lines = wrap(spans, max(20, self._region.width - indent))
        for number, line in enumerate(lines):
            self._lines.append([*(head if number == 0 else [Span(" " * indent)]), *line])

    # The foot

    def refresh(self) -> None:
        """Write what has become final, and the foot anew where it has changed."""
        lines, self._lines = self._lines, []
        if self._asking and lines:
            self._region.write("\n")
        rows = [] if self._closed or self._asked or not self.live else self._rows()
        self._region.draw(lines, rows, self._cursor(rows) if rows else None)
        if self._asking and lines:
            self._region.write(PROMPT)

    def _rows(self) -> list[list[Span]]:
        width = self._region.width - 1
        rows = _tail("agent", [Span(phrase, "grey") for _, phrase in self._saying], width, AGENT_ROWS)
        rows += [[Span(fit(f"tool   {_call_text(tool)} ...", width), "grey")] for tool in self._tools.values()]
        words = [Span(text) for text in self._finals] + ([Span(self._interim, "grey")] if self._interim else [])
        rows += _tail("you", words, width, HEARD_ROWS)
        if not self.written or self._agent_state == "thinking":
            rows.append(self._status_row(width))
        if self.entry is not None:
            rows.append(self._entry_row(width))
        return rows

    def _status_row(self, width: int) -> list[Span]:
        if self.written:
            return [Span(fit("agent thinking", width), "grey")]
        states = f"agent {self._agent_state}   you {self._user_state}"
        status = fit(states, width)
        row = [Span(status, "plain")]
        left = width - columns(status)
        for text, style in ((self.microphone, "warning"), (self.hint, "grey")):
            if text and columns(text) + 3 <= left:
                row += [Span("   "), Span(text, style)]  # type: ignore[arg-type]
                left -= columns(text) + 3
        return row

    def _entry_row(self, width: int) -> list[Span]:
        text, _ = self._entry_text(width)
        return [Span(PROMPT, "label"), Span(text)]

    def _entry_text(self, width: int) -> tuple[str, str]:
        """What of the line being typed fits, and the part of that before the cursor."""
        assert self.entry is not None
        text, place = self.entry
        room = max(4, width - len(PROMPT))
        before = fit(_typed(text[:place]), room - 1, keep="tail")
        return before + fit(_typed(text[place:]), room - columns(before)), before

    def _cursor(self, rows: list[list[Span]]) -> Place | None:
        if self.entry is None:
            return None
        _, before = self._entry_text(self._region.width - 1)
        return Place(len(rows) - 1, len(PROMPT) + columns(before))

    _TOLD: ClassVar[dict[type[Event], Callable[..., None]]] = {
        events.UserInputTranscribed: _transcribed,
        events.TurnCommitted: _committed,
        events.TurnReopened: _reopened,
        events.InterruptionSuspected: _suspected,
        events.PlayoutPaused: _paused,
        events.InterruptionConfirmed: _confirmed,
        events.AgentFalseInterruption: _false_interruption,
        events.AgentStateChanged: _states,
        events.UserStateChanged: _states,
        events.PhraseReady: _phrase,
        events.PlaybackFinished: _played,
        events.ToolStarted: _tool_started,
        events.ToolEnded: _tool_ended,
        events.ConversationItemAdded: _item,
        events.InputEnded: _input_ended,
        events.Error: _fault,
        events.Stalled: _fault,
        events.EngineRestarted: _fault,
        events.DeviceLost: _fault,
        events.DeviceReturned: _fault,
        events.Close: _ended,
    }


_FAULTS: dict[type[Event], tuple[Callable[[Any], str], Style]] = {
    events.Error: (lambda e: e.message, "error"),
    events.Stalled: (lambda e: e.sentence, "warning"),
    events.EngineRestarted: (lambda e: f"{e.engine} {e.reason} and was started again", "warning"),
    events.DeviceLost: (lambda e: f"{e.device} lost: {e.message}", "error"),
    events.DeviceReturned: (lambda e: f"{e.device} is back: {e.message}", "good"),
}


def _call_text(event: events.ToolStarted) -> str:
    return f"{harmless(event.name)}({fit(harmless(arguments_text(event.arguments)), TOOL_TEXT)})"


def _typed(text: str) -> str:
    """Harmless, with its blanks kept: what stands in columns, or under a cursor."""
    return " ".join(harmless(word) for word in text.split(" "))


def _tail(who: str, spans: Iterable[Span], width: int, rows: int) -> list[list[Span]]:
    """The last `rows` rows of what somebody is saying."""
    room = max(8, width - 7)
    budget = room * rows
    kept: list[Span] = []
    for span in reversed(list(spans)):
        if budget <= 0:
            break
        text = fit(span.text, budget, keep="tail")
        kept[:0] = [Span(text, span.style), Span(" ")] if kept else [Span(text, span.style)]
        budget -= columns(text) + 1
    if not kept:
        return []
    lines = wrap(kept, room)[-rows:]
    return [[Span(f"{who:<7}" if n == 0 else " " * 7, "grey"), *line] for n, line in enumerate(lines)]
