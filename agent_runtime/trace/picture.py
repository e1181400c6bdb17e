"""call.svg: a call on one picture, as a function of its log and its recording.

From top to bottom, for every twenty seconds or so: each decision as a flag with its reason; the caller's lane and what
was said under it; the agent's lane as played, with what was heard and, struck through, what was not; the states of
both; what the caller waited, turn by turn; the time. At the foot stand the waits again, large, part by part.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agent_runtime.events import AgentStateChanged, Event, SessionStarted, UserStateChanged
from agent_runtime.trace.envelope import Envelope, envelope
from agent_runtime.trace.flags import Flag, Place, flags, place
from agent_runtime.trace.svg import Drawing, clean, number, shorten, text_width
from agent_runtime.trace.table import LABELS, percentile, remarks, shared
from agent_runtime.trace.transcript import Utterance, origin, utterances
from agent_runtime.trace.waterfall import PARTS, Waterfall, waterfalls

if TYPE_CHECKING:
    from agent_runtime.trace.envelope import Recording

Side = Literal["caller", "agent"]

_WIDTH, _LEFT, _RIGHT = 1100.0, 88.0, 22.0
_PLOT = _WIDTH - _LEFT - _RIGHT
_EDGE = _LEFT + _PLOT
_ROW_S = 20.0
_SHORTEST_ROW_S = 8.0
_LANE, _BAND, _LINE, _FLAG = 54.0, 15.0, 18.0, 19.0
_TEXT, _SMALL = 14.0, 11.5
_PITCH = 2.0
_MOST_LINES = 5
_NARROWEST_TEXT = 150.0
_BARS = 560.0

_PAPER, _FRAME, _GRID = "#ffffff", "#d0d7de", "#e6eaef"
_INK, _MUTED, _FAINT = "#1f2328", "#59636e", "#8b949e"
_WAVES = {"caller": "#2f74d0", "agent": "#7a55cf"}
_LANES = {"caller": "#f2f7fd", "agent": "#f7f4fd"}
_QUIET = "#edf0f3"
_STATES = {"thinking": "#ffe3a3", "speaking": "#d8cbf6", "away": "#e6dccf"}
_USER_STATES = {"speaking": "#bcd6f7", "away": "#e6dccf"}
_HALO: dict[str, Any] = {"stroke": _PAPER, "stroke_width": 3.0, "stroke_linejoin": "round", "paint_order": "stroke"}
_PART_COLOURS = {
    "commit": "#b4c1cf",
    "transcript": "#7ccbd8",
    "first_token": "#f6b95e",
    "tool": "#e8a0c8",
    "first_clause": "#eedb6c",
    "first_sample": "#92d09d",
    "played": "#8fb5ea",
}


def draw_call(
    events: Iterable[Event],
    recording: "Recording | None",
    out: str | os.PathLike[str],
    *,
    title: str = "A call",
) -> None:
    """Draw a call into the file `out`.

    `recording` is call.wav, or its samples: int16 of shape (n, 2) at 24 kHz, caller left, sample 0 at the start of the
    session. None leaves the lanes empty. The same log and recording give the same bytes.
    """
    call = _Call(list(events), None if recording is None else envelope(recording))
    page = Drawing()
    height = _Picture(call, page).draw(title)
    Path(out).write_bytes(page.finished(_WIDTH, height, title))


class _Call:
    """What is drawn, in seconds since the session started."""

    def __init__(self, log: Sequence[Event], sound: Envelope | None) -> None:
        self.started = origin(log)
        self.sound = sound
        self.utterances = [u for u in utterances(log) if u.who != "tool"]
        self.flags = flags(log)
        self.waterfalls = waterfalls(log)
        self.nodes = next((event.nodes for event in log if isinstance(event, SessionStarted)), {})
        sound_s = 0.0 if sound is None else sound.duration
        self.length = max([1.0, sound_s, *(event.at - self.started for event in log)])
        self.user_states = self._states(log, UserStateChanged, "listening")
        self.agent_states = self._states(log, AgentStateChanged, "initializing")
        self.rows = _rows(self.length, self._busy())
        self.scale = _PLOT / max(_SHORTEST_ROW_S, *(end - start for start, end in self.rows))

    def waited(self, waterfall: Waterfall) -> tuple[float, float]:
        start = waterfall.began - self.started
        return start, start + waterfall.total

    def _states(
        self, log: Sequence[Event], kind: type[UserStateChanged] | type[AgentStateChanged], first: str
    ) -> list[tuple[float, float, str]]:
        changes = [(0.0, first)]
        changes += [(event.at - self.started, str(event.new_state)) for event in log if isinstance(event, kind)]
        ends = [at for at, _ in changes[1:]] + [self.length]
        return [(at, end, state) for (at, state), end in zip(changes, ends, strict=True) if end > at]

    def _busy(self) -> list[tuple[float, float]]:
        """Where no row should end: in somebody's speech, or in a wait."""
        return sorted([(u.start, u.end) for u in self.utterances] + [self.waited(w) for w in self.waterfalls])


def _rows(length: float, busy: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Cut the call into rows of about `_ROW_S`, at quiet moments where there are any."""
    rows, start = [], 0.0
    for left in range(max(1, round(length / _ROW_S + 0.3)), 1, -1):
        end = _quiet_near(start + (length - start) / left, busy)
        rows.append((start, end))
        start = end
    return [*rows, (start, length)]


def _quiet_near(target: float, busy: Sequence[tuple[float, float]]) -> float:
    near = [(a - 0.2, b + 0.2) for a, b in busy if abs(a - target) < _ROW_S or abs(b - target) < _ROW_S]
    edges = [target, *(edge for span in near for edge in span if abs(edge - target) <= 0.15 * _ROW_S)]
    quiet = [at for at in edges if not any(a < at < b for a, b in near)]
    return min(quiet, key=lambda at: abs(at - target), default=target)


@dataclass(slots=True)
class _Label:
    """Lines of text under a lane; a word is (text, cut)."""

    x: float
    lines: list[list[tuple[str, bool]]]
    quiet: bool


class _Picture:
    """The drawing of one call, from the top down: `y` is where the next thing goes."""

    def __init__(self, call: _Call, page: Drawing) -> None:
        self.call = call
        self.page = page
        self.y = 0.0
        self.row = (0.0, 0.0)

    def draw(self, title: str) -> float:
        """Returns the height."""
        rows = Drawing()
        paper, self.page = self.page, rows
        self.y = 24.0
        self._header(title)
        for row in self.call.rows:
            self.row = row
            self._row()
        self._waits()
        height = self.y + 18
        paper.rect(0.5, 0.5, _WIDTH - 1, height - 1, _PAPER, rx=10, stroke=_FRAME)
        paper.add(rows)
        return height

    def _x(self, at: float) -> float:
        return _LEFT + (at - self.row[0]) * self.call.scale

    def _holds(self, at: float) -> bool:
        start, end = self.row
        return start <= at < end or (at >= end and end == self.call.length)

    # The head

    def _header(self, title: str) -> None:
        call, page = self.call, self.page
        page.text(_RIGHT, self.y + 12, title, 20, _INK, font_weight="600")
        gaps = [w.gap for w in call.waterfalls]
        facts = [f"{call.length:.1f} s", f"{len(call.waterfalls)} turn{'s' * (len(call.waterfalls) != 1)}"]
        median, p90 = percentile(gaps, 0.5), percentile(gaps, 0.9)
        if median is not None and p90 is not None:
            facts.append(f"heard gap: median {median:.2f} s, p90 {p90:.2f} s")
        facts += [f"{name} {descriptor}" for name, descriptor in call.nodes.items() if descriptor]
        page.text(_RIGHT, self.y + 34, shorten(" \u00b7 ".join(facts), _WIDTH - 2 * _RIGHT, 12.5), 12.5, _MUTED)
        if any(segment.cut for u in call.utterances for segment in u.segments):
            mark = f'<tspan fill="{_FAINT}" text-decoration="line-through">struck</tspan>: made, but not heard'
            page.element("text", mark, x=_EDGE, y=self.y + 12, font_size=12.5, fill=_MUTED, text_anchor="end")
        self.y += 52

    # A row

    def _row(self) -> None:
        placed = self._place_flags([flag for flag in self.call.flags if self._holds(flag.at)])
        said: dict[Side, list[_Label]] = {"caller": self._labels("caller"), "agent": self._labels("agent")}
        top = self.y + _FLAG * (1 + max((at.level for _, at in placed), default=0)) + 4
        below = {side: _LINE * max([1, *(len(label.lines) for label in said[side])]) + 8 for side in said}
        agent_top = top + _LANE + below["caller"]
        bands = agent_top + _LANE + below["agent"]
        bottom = bands + 3 * (_BAND + 3)
        self._grid(top, bottom)
        self._lane("caller", top)
        self._lane("agent", agent_top)
        self._shade_waits(top, bands)
        self._draw_flags(placed, top, agent_top + _LANE)
        self._write(said["caller"], top + _LANE)
        self._write(said["agent"], agent_top + _LANE)
        self._band("caller is", self.call.user_states, _USER_STATES, bands)
        self._band("agent is", self.call.agent_states, _STATES, bands + _BAND + 3)
        self._gaps(bands + 2 * (_BAND + 3))
        self._axis(bottom)
        self.y = bottom + 38

    def _grid(self, top: float, bottom: float) -> None:
        start, end = self.row
        for second in range(int(start) + (start > int(start)), int(end) + 1):
            colour = _FRAME if second % 5 == 0 else _GRID
            self.page.line(self._x(second), top, self._x(second), bottom, colour, stroke_width=0.8)

    def _axis(self, y: float) -> None:
        start, end = self.row
        self.page.line(_LEFT, y, self._x(end), y, _FRAME)
        for second in range(int(start) + (start > int(start)), int(end) + 1):
            long = second % 5 == 0
            self.page.line(self._x(second), y, self._x(second), y + (6 if long else 3), _FAINT)
            if long:
                self.page.text(self._x(second), y + 18, f"{second} s", _SMALL, _MUTED, text_anchor="middle")

    def _lane(self, side: Side, y: float) -> None:
        start, end = self.row
        page, middle = self.page, y + _LANE / 2
        page.text(_LEFT - 10, middle + 4, side, _TEXT, _WAVES[side], text_anchor="end", font_weight="600")
        page.rect(_LEFT, y, self._x(end) - _LEFT, _LANE, _LANES[side], rx=3)
        page.line(_LEFT, middle, self._x(end), middle, _WAVES[side], stroke_width=0.8, opacity=0.5)
        if self.call.sound is None:
            return
        count = max(1, round((end - start) * self.call.scale / _PITCH))
        channel = 0 if side == "caller" else 1
        columns = self.call.sound.columns(channel, start, start + count * _PITCH / self.call.scale, count)
        reach = _LANE / 2 - 2
        strokes = [
            f"M{number(_LEFT + (i + 0.5) * _PITCH)} {number(middle - high * reach)}V{number(middle - low * reach)}"
            for i, (low, high) in enumerate(columns)
            if (high - low) * reach >= 1.0
        ]
        if strokes:
            page.element("path", d="".join(strokes), stroke=_WAVES[side], stroke_width=1.3, fill="none")

    # Flags

    def _place_flags(self, found: Sequence[Flag]) -> list[tuple[Flag, Place]]:
        poles = [self._x(flag.at) for flag in found]
        widths = [text_width(_flag_text(flag), _SMALL) + 12 for flag in found]
        return list(zip(found, place(poles, widths, _LEFT, _EDGE), strict=True))

    def _draw_flags(self, placed: Sequence[tuple[Flag, Place]], top: float, bottom: float) -> None:
        for flag, at in placed:
            head = top - 4 - at.level * _FLAG
            self.page.line(at.pole, head, at.pole, bottom, flag.colour, stroke_width=1.2, opacity=0.75)
        for flag, at in placed:
            y = top - 4 - (at.level + 1) * _FLAG
            self.page.rect(at.left, y, at.right - at.left, _FLAG - 3, _PAPER, rx=3, stroke=flag.colour)
            self.page.text(at.left + 6, y + 12, _flag_text(flag), _SMALL, flag.colour, font_weight="500")

    # Texts

    def _labels(self, side: Side) -> list[_Label]:
        start, end = self.row
        here = [u for u in self.call.utterances if u.who == side and u.start < end and u.end >= start and u.end > 0]
        words = [self._words_here(u) for u in here]
        told = [(u, w) for u, w in zip(here, words, strict=True) if w]
        labels: list[_Label] = []
        free = _LEFT
        for i, (utterance, said) in enumerate(told):
            x = self._x(max(utterance.start, start))
            limit = self._x(told[i + 1][0].start) - 12 if i + 1 < len(told) else _EDGE + 14
            whole = text_width(" ".join(word for word, _ in said), _TEXT)
            if limit - x < min(whole, _NARROWEST_TEXT):
                x = max(free, limit - min(whole, _NARROWEST_TEXT))
            lines = _wrapped(said, limit - x)
            labels.append(_Label(x, lines, quiet=not utterance.segments))
            free = x + max(text_width(" ".join(word for word, _ in line), _TEXT) for line in lines) + 12
        return labels

    def _words_here(self, utterance: Utterance) -> list[tuple[str, bool]]:
        """The words that fall into this row: all, or by their share of the time where it goes over a row's end."""
        start, end = self.row
        heard = [(word, False) for segment in utterance.segments if not segment.cut for word in segment.text.split()]
        cut = [(word, True) for segment in utterance.segments if segment.cut for word in segment.text.split()]
        if not heard and not cut:
            return [("(no words)", False)] if self._holds(utterance.start) else []
        lasts = max(utterance.end - utterance.start, 0.001)
        first = round(len(heard) * min(1.0, max(0.0, (start - utterance.start) / lasts)))
        last = round(len(heard) * min(1.0, max(0.0, (end - utterance.start) / lasts)))
        return heard[first:last] + (cut if self._holds(utterance.end) else [])

    def _write(self, labels: Sequence[_Label], top: float) -> None:
        for label in labels:
            for i, line in enumerate(label.lines):
                style = "italic" if label.quiet else None
                colour = _FAINT if label.quiet else _INK
                y = top + _LINE * (i + 1)
                # A halo of paper keeps poles and grid out of the letters.
                self.page.element(
                    "text", _spans(line), x=label.x, y=y, font_size=_TEXT, font_style=style, fill=colour, **_HALO
                )

    # States and waits

    def _band(self, name: str, states: Iterable[tuple[float, float, str]], colours: dict[str, str], y: float) -> None:
        self.page.text(_LEFT - 10, y + 11, name, _SMALL, _MUTED, text_anchor="end")
        for start, end, state in states:
            a, b = max(start, self.row[0]), min(end, self.row[1])
            if b <= a:
                continue
            width = (b - a) * self.call.scale
            self.page.rect(self._x(a), y, max(width - 0.8, 0.6), _BAND, colours.get(state, _QUIET), rx=2)
            if text_width(state, _SMALL) + 8 < width:
                self.page.text(self._x(a) + 5, y + 11, state, _SMALL, _MUTED if state not in colours else _INK)

    def _shade_waits(self, top: float, bottom: float) -> None:
        for waterfall in self.call.waterfalls:
            a, b = self.call.waited(waterfall)
            if waterfall.gap is not None and self._holds(a):
                width = (min(b, self.row[1]) - a) * self.call.scale
                self.page.rect(self._x(a), top, width, bottom - top, "#f0b429", opacity=0.13)

    def _gaps(self, y: float) -> None:
        """Each wait where it was, to scale."""
        self.page.text(_LEFT - 10, y + 11, "heard gap", _SMALL, _MUTED, text_anchor="end")
        free = _LEFT
        for waterfall in self.call.waterfalls:
            start, _ = self.call.waited(waterfall)
            if waterfall.gap is None or not self._holds(start):
                continue
            x = self._x(start)
            for name, seconds in waterfall.parts:
                width = (seconds or 0.0) * self.call.scale
                if width >= 0.1:
                    self.page.rect(x, y + 2, width, _BAND - 4, _PART_COLOURS[name])
                x += width
            text = f"turn {waterfall.turn}: {waterfall.gap:.2f} s"
            if self._x(start) >= free and x + 6 + text_width(text, _SMALL) <= _EDGE:
                self.page.text(x + 6, y + 11, text, _SMALL, _INK)
                free = x + 12 + text_width(text, _SMALL)

    def _waits(self) -> None:
        """The waits, part by part, on a scale of their own."""
        if not self.call.waterfalls:
            return
        page = self.page
        page.line(_RIGHT, self.y - 8, _EDGE, self.y - 8, _GRID)
        page.text(_RIGHT, self.y + 14, "What the caller waited", 15, _INK, font_weight="600")
        x = _RIGHT + 196.0
        page.text(x, self.y + 14, "from the last voiced sample, ms:", 12, _MUTED)
        x += text_width("from the last voiced sample, ms:", 12) + 4
        for name in PARTS:
            if any(getattr(w, name) is not None for w in self.call.waterfalls):
                page.rect(x, self.y + 4, 11, 11, _PART_COLOURS[name], rx=2)
                page.text(x + 16, self.y + 14, LABELS[name], 12, _MUTED)
                x += 28 + text_width(LABELS[name], 12)
        self.y += 28
        scale = min(900.0, _BARS / max(0.1, *(w.total for w in self.call.waterfalls)))
        for waterfall in self.call.waterfalls:
            self._wait(waterfall, scale)
            self.y += 24

    def _wait(self, waterfall: Waterfall, scale: float) -> None:
        page, y = self.page, self.y
        page.text(_LEFT - 10, y + 14, f"turn {waterfall.turn}", 12, _MUTED, text_anchor="end")
        known = [(name, seconds) for name, seconds in waterfall.parts if seconds is not None]
        x, outside = _LEFT, []
        for (name, seconds), ms in zip(known, shared([seconds for _, seconds in known], 0.001), strict=True):
            width = seconds * scale
            page.rect(x, y, width, 20, _PART_COLOURS[name], opacity=1.0 if waterfall.gap is not None else 0.5)
            inside = [text for text in (f"{LABELS[name]} {ms}", str(ms)) if text_width(text, _SMALL) + 6 <= width]
            if inside:
                page.text(x + width / 2, y + 14, inside[0], _SMALL, _INK, text_anchor="middle")
            elif ms:
                outside.append(f"{LABELS[name]} {ms}")
            x += width
        total = f"{waterfall.total:.2f} s" if waterfall.played is not None else "no sound"
        page.text(x + 10, y + 15, total, 14, _INK, font_weight="600")
        x += 20 + text_width(total, 14) * 1.08
        rest = " \u00b7 ".join(outside + remarks(waterfall))
        page.text(x, y + 14, shorten(rest, _EDGE - x, _SMALL), _SMALL, _MUTED)


def _flag_text(flag: Flag) -> str:
    return shorten(flag.text, 300, _SMALL)


def _wrapped(words: Sequence[tuple[str, bool]], width: float) -> list[list[tuple[str, bool]]]:
    """Lines no wider than `width` (a single word may be); what does not fit `_MOST_LINES` ends in an ellipsis."""
    lines: list[list[tuple[str, bool]]] = [[]]
    for word in words:
        if lines[-1] and text_width(" ".join([*(w for w, _ in lines[-1]), word[0]]), _TEXT) > width:
            lines.append([])
        lines[-1].append((shorten(word[0], max(width, 40.0), _TEXT), word[1]))
    if len(lines) > _MOST_LINES:
        lines = lines[:_MOST_LINES]
        last = lines[-1]
        while len(last) > 1 and text_width(" ".join(w for w, _ in last) + "\u2026", _TEXT) > width:
            last.pop()
        last[-1] = (last[-1][0] + "\u2026", last[-1][1])
    return lines


def _spans(line: Sequence[tuple[str, bool]]) -> str:
    """A line as markup: runs of heard words, and runs of cut ones struck through."""
    runs: list[tuple[list[str], bool]] = []
    for word, cut in line:
        if not runs or runs[-1][1] != cut:
            runs.append(([], cut))
        runs[-1][0].append(word)
    parts = []
    for words, cut in runs:
        text = clean(" ".join(words))
        parts.append(f'<tspan fill="{_FAINT}" text-decoration="line-through">{text}</tspan>' if cut else text)
    return " ".join(parts)
