"""Two calls drawn over one time: who spoke when in each, and under it what each turn gained or lost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent_runtime.trace.svg import Drawing, number, shorten
from agent_runtime.trace.tape import Json

_WIDTH, _LEFT, _RIGHT = 1200.0, 90.0, 30.0
_LANE, _GAP = 26.0, 8.0
_COLOURS = {"caller": "#2f74d0", "agent": "#7a55cf"}
_COMMIT, _LOST, _GAINED, _INK, _FAINT = "#d2452d", "#d2452d", "#2c8a4b", "#1f2328", "#8a929b"

Span = tuple[float, float]


@dataclass(slots=True)
class Timeline:
    """What a call's log tells of who spoke when, in s."""

    name: str
    length: float
    caller: list[Span] = field(default_factory=list)
    agent: list[Span] = field(default_factory=list)
    commits: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, name: str, lines: Sequence[Json]) -> "Timeline":
        made = cls(name, max((line["t"] for line in lines), default=0.0))
        voice: float | None = None
        sounds: float | None = None
        for line in lines:
            at = line["t"]
            match line["type"]:
                case "voice_started":
                    voice = line["onset"] if voice is None else voice
                case "voice_stopped" if voice is not None:
                    made.caller.append((voice, line["last_voiced"]))
                    voice = None
                case "turn_committed":
                    made.commits.append(at)
                case "playback_started":
                    sounds = at if sounds is None else sounds
                case "agent_false_interruption" if sounds is None and line["resumed"]:
                    sounds = at
                case "playout_paused" | "playback_finished" if sounds is not None:
                    made.agent.append((sounds, at))
                    sounds = None
        for begun, spans in ((voice, made.caller), (sounds, made.agent)):
            if begun is not None:
                spans.append((begun, made.length))
        return made


def draw(calls: tuple[Timeline, Timeline], turns: Sequence[tuple[str, Mapping[str, float | None]]]) -> str:
    """The drawing. `turns`: each turn's name, and how much longer each part of it takes in the second call, in s."""
    drawing = Drawing()
    length = max(1.0, *(call.length for call in calls))
    scale = (_WIDTH - _LEFT - _RIGHT) / length
    y = 30.0
    for letter, call in zip("AB", calls, strict=True):
        drawing.text(_LEFT, y, f"{letter}  {shorten(call.name, 900, 13)}", 13, _INK)
        y += _GAP
        for who, spans in (("caller", call.caller), ("agent", call.agent)):
            drawing.text(_LEFT - 10, y + 17, who, 12, _FAINT, text_anchor="end")
            drawing.rect(_LEFT, y, length * scale, _LANE, "#f4f5f7")
            for begin, end in spans:
                drawing.rect(_LEFT + begin * scale, y + 3, max(1.0, (end - begin) * scale), _LANE - 6, _COLOURS[who])
            y += _LANE + 2
        for at in call.commits:
            x = _LEFT + at * scale
            drawing.line(x, y - 2 * _LANE - 4, x, y, _COMMIT, stroke_width=1.5)
        y += 26
    _axis(drawing, y - 14, length, scale)
    return drawing.finished(_WIDTH, _bars(drawing, y + 20, turns), "Two calls side by side").decode()


def _axis(drawing: Drawing, y: float, length: float, scale: float) -> None:
    step = next(step for step in (1, 2, 5, 10, 30, 60, 300, 3600) if length / step <= 16 or step == 3600)
    second = 0
    while second <= length:
        drawing.text(_LEFT + second * scale, y, f"{second} s", 11, _FAINT, text_anchor="middle")
        second += step


def _bars(drawing: Drawing, y: float, turns: Sequence[tuple[str, Mapping[str, float | None]]]) -> float:
    """What each turn lost (right) or gained (left); returns where the drawing ends."""
    if not turns:
        return y
    drawing.text(_LEFT, y, "what each turn lost (right) or gained (left)", 13, _INK)
    changes = [change.get("gap") for _, change in turns]
    most = max(0.05, *(abs(change) for change in changes if change is not None), 0.05)
    middle, reach = _WIDTH / 2, _WIDTH / 2 - _LEFT - 180
    drawing.line(middle, y + 8, middle, y + 12 + 22 * len(turns), _FAINT)
    for (name, change), gap in zip(turns, changes, strict=True):
        y += 22
        drawing.text(_LEFT - 10, y + 4, f"turn {name}", 12, _INK, text_anchor="end")
        if gap is None:
            drawing.text(middle + 8, y + 4, "heard in one call only", 11, _FAINT)
            continue
        width = abs(gap) / most * reach
        drawing.rect(middle if gap >= 0 else middle - width, y - 8, width, 14, _LOST if gap > 0 else _GAINED)
        parts = ", ".join(
            f"{part.replace('_', ' ')} {number(round(1000 * value))}"
            for part, value in change.items()
            if part != "gap" and value is not None and round(1000 * value)
        )
        label = f"{round(1000 * gap):+d} ms" + (f"  ({parts})" if parts else "")
        x, anchor = (middle + width + 8, "start") if gap >= 0 else (middle - width - 8, "end")
        drawing.text(x, y + 4, label, 11, _INK, text_anchor=anchor)
    return y + 30
