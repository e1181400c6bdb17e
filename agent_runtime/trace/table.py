"""A call told in text: a line for a turn, the table of all turns, the transcript."""

from collections.abc import Iterable, Sequence

from agent_runtime.events import Event
from agent_runtime.trace.transcript import Segment, Utterance, utterances
from agent_runtime.trace.waterfall import PARTS, Waterfall

LABELS = {name: name.replace("_", " ") for name in PARTS}
"""The parts as people read them."""


def waterfall_line(waterfall: Waterfall) -> str:
    """One turn in one line, for a terminal while the call runs.

    ``turn 3  1.02 s  speech end +0.50 commit +0.00 transcript ... played``. Hundredths are shared out so that the parts
    shown sum to the total shown.
    """
    start = "typed" if "typed" in waterfall.tags else "speech end"
    known = [(LABELS[name], seconds) for name, seconds in waterfall.parts if seconds is not None]
    steps = "".join(
        f" +{units / 100:.2f} {label}"
        for (label, _), units in zip(known, shared([seconds for _, seconds in known], 0.01), strict=True)
    )
    total = f"{waterfall.total:.2f} s" if waterfall.played is not None else "-"
    return f"turn {waterfall.turn}  {total}  {start}{steps}{_remark(waterfall)}"


def call_table(waterfalls: Sequence[Waterfall], *, title: str) -> str:
    """Every turn's parts in milliseconds, then their median and 90th percentile, under `title`.

    A dash is a part that is not known. A turn's row sums; the two rows at the foot are of each column by itself.
    """
    header = ["turn", "heard gap", *(LABELS[name] for name in PARTS)]
    rows = [header, *(_row(waterfall) for waterfall in waterfalls)]
    if waterfalls:
        columns = [[w.gap for w in waterfalls], *([getattr(w, name) for w in waterfalls] for name in PARTS)]
        for label, share in (("median", 0.5), ("p90", 0.9)):
            rows.append([label, *(_ms(percentile(column, share)) for column in columns)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    notes = ["", *(_remark(waterfall) for waterfall in waterfalls), "", ""]
    lines = [_aligned(row, widths) + remark for row, remark in zip(rows, notes, strict=False)]
    rule = "-" * len(lines[0])
    body = [lines[0], rule, *lines[1 : 1 + len(waterfalls)]]
    if waterfalls:
        body += [rule, *lines[1 + len(waterfalls) :]]
    else:
        body.append("no turn")
    return "\n".join([f"{title}, ms", *body])


def transcript(events: Iterable[Event]) -> str:
    """The call as plain text: times, who, what was heard, and ~~what was cut~~."""
    return "\n".join(transcript_line(utterance) for utterance in utterances(events))


def transcript_line(utterance: Utterance) -> str:
    """A terminal that strikes through by itself styles `utterance.segments` instead."""
    text = " ".join(_struck(segment) for segment in utterance.segments) or "(no words)"
    return f"{clock(utterance.start)}  {utterance.who:<6}  {text}"


def clock(seconds: float) -> str:
    """Time since the session started: ``0:07.3``."""
    tenths = max(0, round(seconds * 10))
    return f"{tenths // 600}:{tenths % 600 / 10:04.1f}"


def shared(parts: Sequence[float], unit: float) -> list[int]:
    """Each part in whole units, so that they sum to the rounded sum: the largest remainders are rounded up."""
    whole = [int(part / unit + 1e-9) for part in parts]
    missing = round(sum(parts) / unit) - sum(whole)
    by_remainder = sorted(range(len(parts)), key=lambda i: whole[i] - parts[i] / unit)
    for i in by_remainder[: max(0, missing)]:
        whole[i] += 1
    return whole


def remarks(waterfall: Waterfall) -> list[str]:
    """The tags as people read them; tools by their names."""
    return [f"tool {', '.join(waterfall.tools)}" if tag == "tool" else tag.replace("_", " ") for tag in waterfall.tags]


def percentile(values: Iterable[float | None], share: float) -> float | None:
    """Of the known values, between the nearest two; None where none is known."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return None
    place = share * (len(known) - 1)
    low = int(place)
    high = min(low + 1, len(known) - 1)
    return known[low] + (known[high] - known[low]) * (place - low)


def _row(waterfall: Waterfall) -> list[str]:
    parts = [getattr(waterfall, name) for name in PARTS]
    units = iter(shared([part for part in parts if part is not None], 0.001))
    cells = ["-" if part is None else str(next(units)) for part in parts]
    return [str(waterfall.turn), _ms(waterfall.gap), *cells]


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    return first[0].ljust(first[1]) + "".join("  " + cell.rjust(width) for cell, width in others)


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else str(round(seconds * 1000))


def _remark(waterfall: Waterfall) -> str:
    names = remarks(waterfall)
    return f"  ({'; '.join(names)})" if names else ""


def _struck(segment: Segment) -> str:
    return f"~~{segment.text}~~" if segment.cut else segment.text
