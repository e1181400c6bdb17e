"""The timeline of a call in text: who was heard when, and the log beside it, round a place where something is wrong."""

from collections.abc import Sequence

from agent_runtime.testing.result import CallResult, Interval, Outcome

BEFORE_S, AFTER_S = 2.0, 3.0
CELL_S = 0.1

_DULL = frozenset({"agent_state_changed", "user_state_changed", "conversation_item_added", "session_started"})
_SHOWN = ("transcript", "is_final", "reason", "heard", "cut", "position", "text", "name", "what", "message", "turn")


def timeline(call: CallResult, at: float | None = None) -> str:
    """The part of a call round second `at`; all of it where that is None and it is short."""
    first, last = _window(call, at)
    cells = round((last - first) / CELL_S)
    ruler = "".join(f"{first + n * CELL_S:<10.1f}" for n in range(0, cells, 10))[:cells].rstrip()
    lanes = [f"{who:>7} |{_lane(call.audible[who], first, cells)}|" for who in ("caller", "agent")]
    rows = [
        f"  {event['t']:8.3f}  {event['type']}{_details(event)}"
        for event in call.events
        if first <= event["t"] <= last and event["type"] not in _DULL
    ]
    return "\n".join([f"{'s':>7}  {ruler}", *lanes, *rows])


def complaint(call: CallResult, outcome: Outcome) -> str:
    """An expectation that was not met, what was so, and the timeline round it."""
    return f"{call.name}: not met: {outcome.text}\n  {outcome.detail}\n{timeline(call, outcome.at)}"


def complaints(call: CallResult) -> str:
    """Everything that is wrong with a call; what can be seen in the same part of it, over one timeline."""
    wrong = [(f"not met: {each.text}\n  {each.detail}", each.at) for each in call.expectations if not each.met]
    if call.failure is not None:
        wrong.insert(0, (call.failure, call.length))
    parts: dict[str, list[str]] = {}
    for told, at in wrong:
        parts.setdefault(timeline(call, at), []).append(f"{call.name}: {told}")
    return "\n\n".join("\n".join([*told, picture]) for picture, told in parts.items())


def _window(call: CallResult, at: float | None) -> tuple[float, float]:
    if at is None:
        at = call.length / 2 if call.length <= BEFORE_S + AFTER_S else BEFORE_S
        if call.length <= 12.0:
            return 0.0, max(1.0, call.length)
    first = max(0.0, round(at - BEFORE_S, 1))
    return first, min(max(call.length, first + 1.0), first + BEFORE_S + AFTER_S)


def _lane(intervals: Sequence[Interval], first: float, cells: int) -> str:
    lane = []
    for number in range(cells):
        begin, end = first + number * CELL_S, first + (number + 1) * CELL_S
        sounds = sum(max(0.0, min(end, b) - max(begin, a)) for a, b in intervals)
        lane.append("#" if sounds >= 0.5 * CELL_S else "-" if sounds > 0 else " ")
    return "".join(lane)


def _details(event: dict[str, object]) -> str:
    shown = [f"{name}={_short(event[name])}" for name in _SHOWN if event.get(name) not in (None, "")]
    return f"  {' '.join(shown)}" if shown else ""


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "...'"
