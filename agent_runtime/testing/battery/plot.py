"""The sweep as a picture: how soon the agent answers, and how often it talks into the caller's turn for that."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from agent_runtime.testing.battery.sweep import Knobs, Point
from agent_runtime.trace.svg import Drawing

_WIDTH, _HEIGHT = 860.0, 520.0
_LEFT, _TOP, _RIGHT, _BOTTOM = 70.0, 66.0, 210.0, 56.0
_INK, _GREY, _PAPER, _GOOD = "#1f2328", "#8b949e", "#ffffff", "#e6f4ea"
_COLOURS = ("#1b6ca8", "#d1682c", "#3f8f4f", "#8a4fa3", "#b03a48", "#6b6b6b")
_RADII = (3.0, 4.5, 6.0, 7.5, 9.0)


class _Axes:
    """From seconds and rates to pixels."""

    def __init__(self, latest: float, worst: float) -> None:
        self.latest = max(1.5, -(-latest // 0.25) * 0.25)
        self.worst = max(0.2, -(-worst // 0.1) * 0.1)

    def x(self, latency: float) -> float:
        return _LEFT + latency / self.latest * (_WIDTH - _LEFT - _RIGHT)

    def y(self, rate: float) -> float:
        return _HEIGHT - _BOTTOM - rate / self.worst * (_HEIGHT - _TOP - _BOTTOM)


def draw(
    points: Sequence[Point], *, default: Knobs, latency_limit: float, interrupts_limit: float, title: str
) -> bytes:
    """The picture as SVG. A line joins what differs in `min_delay` only; the green field is where both targets are met."""
    known = [(p.knobs, p.latency, p.interrupts) for p in points if p.latency is not None and p.interrupts is not None]
    axes = _Axes(max((each[1] for each in known), default=0.0), max((each[2] for each in known), default=0.0))
    drawing = Drawing()
    drawing.rect(0, 0, _WIDTH, _HEIGHT, _PAPER)
    drawing.text(_LEFT, 28, title, 17, _INK, font_weight="600")
    drawing.text(
        _LEFT, 48, "Each point is a battery of calls. Further left is sooner, further down is politer.", 12, _GREY
    )
    corner = axes.x(latency_limit), axes.y(interrupts_limit)
    drawing.rect(axes.x(0), corner[1], corner[0] - axes.x(0), axes.y(0) - corner[1], _GOOD)
    _draw_axes(drawing, axes)
    thresholds = sorted({knobs.threshold for knobs, _, _ in known}, key=lambda value: (value is None, value or 0.0))
    holds = sorted({knobs.max_delay for knobs, _, _ in known})
    colours = {threshold: _COLOURS[i % len(_COLOURS)] for i, threshold in enumerate(thresholds)}
    radii = {hold: _RADII[min(i, len(_RADII) - 1)] for i, hold in enumerate(holds)}
    ordered = sorted(known, key=lambda each: (each[0].max_delay, each[0].threshold or 0.0, each[0].min_delay))
    for (_, threshold), group in groupby(ordered, key=lambda each: (each[0].max_delay, each[0].threshold)):
        line = [(axes.x(latency), axes.y(rate)) for _, latency, rate in group]
        _polyline(drawing, line, colours[threshold])
    for knobs, latency, rate in ordered:
        x, y, radius = axes.x(latency), axes.y(rate), radii[knobs.max_delay]
        told = f"<title>{_named(knobs)}: {latency:.2f} s, {rate:.3f}</title>"
        drawing.element("circle", told, cx=x, cy=y, r=radius, fill=colours[knobs.threshold], fill_opacity=0.8)
        if knobs == default:
            drawing.element("circle", cx=x, cy=y, r=radius + 4, fill="none", stroke=_INK, stroke_width=1.8)
    _draw_legend(drawing, colours, radii)
    return drawing.finished(_WIDTH, _HEIGHT, title)


def _polyline(drawing: Drawing, line: Sequence[tuple[float, float]], colour: str) -> None:
    coordinates = " ".join(f"{x:.1f},{y:.1f}" for x, y in line)
    drawing.element("polyline", points=coordinates, fill="none", stroke=colour, stroke_width=1.2, stroke_opacity=0.6)


def _named(knobs: Knobs) -> str:
    threshold = "as graded" if knobs.threshold is None else f"threshold {knobs.threshold:g}"
    return f"{threshold}, min_delay {knobs.min_delay:g} s, max_delay {knobs.max_delay:g} s"


def _draw_axes(drawing: Drawing, axes: _Axes) -> None:
    for value in _steps(axes.latest, 0.25):
        drawing.line(axes.x(value), axes.y(0), axes.x(value), axes.y(0) + 4, _GREY)
        drawing.text(axes.x(value), axes.y(0) + 18, f"{value:g}", 12, _GREY, text_anchor="middle")
    for value in _steps(axes.worst, axes.worst / 5):
        drawing.line(axes.x(0), axes.y(value), axes.x(axes.latest), axes.y(value), "#e3e6ea")
        drawing.text(axes.x(0) - 8, axes.y(value) + 4, f"{value:.2f}", 12, _GREY, text_anchor="end")
    drawing.line(axes.x(0), axes.y(0), axes.x(axes.latest), axes.y(0), _GREY)
    middle = (axes.x(0) + axes.x(axes.latest)) / 2
    drawing.text(middle, _HEIGHT - 14, "response latency, s (mean, as heard)", 12, _INK, text_anchor="middle")
    up = (axes.y(0) + axes.y(axes.worst)) / 2
    turned = f"rotate(-90 20 {up:.1f})"
    drawing.text(20, up, "interrupts the caller, for each turn", 12, _INK, text_anchor="middle", transform=turned)


def _steps(last: float, step: float) -> Iterator[float]:
    for number in range(round(last / step) + 1):
        yield number * step


def _draw_legend(drawing: Drawing, colours: dict[float | None, str], radii: dict[float, float]) -> None:
    x, y = _WIDTH - _RIGHT + 24, _TOP + 10
    drawing.text(x, y, "threshold", 12, _INK, font_weight="600")
    for threshold, colour in colours.items():
        y += 20
        drawing.element("circle", cx=x + 8, cy=y - 4, r=5.0, fill=colour)
        drawing.text(x + 24, y, "as graded" if threshold is None else f"{threshold:g}", 12, _INK)
    y += 30
    drawing.text(x, y, "max_delay, s", 12, _INK, font_weight="600")
    for hold, radius in radii.items():
        y += 22
        drawing.element("circle", cx=x + 8, cy=y - 4, r=radius, fill=_GREY)
        drawing.text(x + 24, y, f"{hold:g}", 12, _INK)
    y += 34
    drawing.element("circle", cx=x + 8, cy=y - 4, r=8.0, fill="none", stroke=_INK, stroke_width=1.8)
    drawing.text(x + 24, y, "the defaults", 12, _INK)
    y += 24
    drawing.rect(x, y - 12, 16, 14, _GOOD)
    drawing.text(x + 24, y, "both targets met", 12, _INK)
