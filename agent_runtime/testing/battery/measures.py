"""The figures of a battery beside what they are to be, and what each miss was about."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from agent_runtime.testing.battery import eva
from agent_runtime.testing.battery.calls import INJECTED_S
from agent_runtime.testing.battery.holding import HeldCall
from agent_runtime.testing.battery.intervals import EXACT_S, TICK_S
from agent_runtime.testing.battery.panel import Occurrence, Panel, Rate, What, read, summarise
from agent_runtime.trace.table import percentile


@dataclass(frozen=True, slots=True)
class Measured:
    """What a battery came to.

    Attributes:
        panel: on ticks, as tau-voice has it.
        exact: the same on exact times; its latencies are those that were heard.
        turn_taking: EVA's score, the mean over the calls.
        passed: calls with EVA's pass mark.
        routes: for each kind of EVA's turns how many there were, and how much of the score they cost.
        found: everything the panel counts, with the name of its call.
    """

    calls: int
    panel: Panel
    exact: Panel
    latencies: tuple[float, ...]
    turn_taking: float | None
    passed: Rate
    routes: dict[str, tuple[int, float]]
    found: tuple[tuple[str, Occurrence], ...]


def measure(calls: Sequence[HeldCall]) -> Measured:
    found = [(call.name, each) for call in calls for each in read(call.caller, call.agent, call.labels, grid_s=TICK_S)]
    exact = [each for call in calls for each in read(call.caller, call.agent, call.labels, grid_s=EXACT_S)]
    scored = [eva.turn_scores(call.caller, call.agent, call.labels) for call in calls]
    scores = [score for each in scored if (score := eva.call_score(each)) is not None]
    return Measured(
        calls=len(calls),
        panel=summarise(each for _, each in found),
        exact=summarise(exact),
        latencies=tuple(each.latency for each in exact if each.what == "response" and each.latency is not None),
        turn_taking=fmean(scores) if scores else None,
        passed=Rate(sum(score >= eva.PASS_MARK for score in scores), len(scores)),
        routes=_routes(scored),
        found=tuple(found),
    )


def _routes(scored: Iterable[Sequence[eva.TurnScore]]) -> dict[str, tuple[int, float]]:
    """The costs sum to one less the score: each call counts alike, however many turns it has."""
    counted = [each for each in scored if each]
    turns: Counter[str] = Counter()
    costs: defaultdict[str, float] = defaultdict(float)
    for call in counted:
        for turn in call:
            turns[turn.route] += 1
            costs[turn.route] += (1 - turn.score) / len(call) / len(counted)
    return {route: (count, costs[route]) for route, count in turns.most_common()}


# What they are to be


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that is to be at most, or (`at_least`) at least, so much. Seconds where it is a latency."""

    name: str
    of: Callable[[Measured], float | None]
    limit: float
    at_least: bool
    what: What | None = None
    rate: Callable[[Panel], Rate] | None = None

    def kept(self, measured: Measured) -> bool:
        """What is not known is not kept."""
        value = self.of(measured)
        if value is None:
            return False
        return value >= self.limit if self.at_least else value <= self.limit


def _rate(name: str, what: What, of: Callable[[Panel], Rate], limit: float, *, at_least: bool = True) -> Target:
    return Target(name, lambda measured: of(measured.panel).value, limit, at_least, what, of)


TARGETS = (
    Target(
        "response latency, s", lambda m: m.panel.response_latency, INJECTED_S + 0.6, at_least=False, what="response"
    ),
    Target("yield latency, s", lambda m: m.panel.yield_latency, 0.40, at_least=False, what="yield"),
    _rate("response rate", "response", lambda p: p.response_rate, 0.99),
    _rate("yield rate", "yield", lambda p: p.yield_rate, 0.97),
    _rate("interrupts the caller", "agent_interrupts", lambda p: p.agent_interrupts, 0.10, at_least=False),
    _rate("ignores backchannels", "backchannel", lambda p: p.backchannels_ignored, 0.90),
    _rate("ignores tics", "tic", lambda p: p.tics_ignored, 0.60),
    _rate("ignores speech not meant for it", "non_directed", lambda p: p.non_directed_ignored, 0.50),
    Target("EVA turn taking", lambda m: m.turn_taking, 0.95, at_least=True),
)


# Why


@dataclass(frozen=True, slots=True)
class Cause:
    """What some of the misses of a measure have in common: `missed` of `total` such things, in these calls."""

    measure: str
    what: str
    missed: int
    total: int
    calls: tuple[str, ...]


def causes(measured: Measured, *, also_kept: bool = False) -> list[Cause]:
    """What the misses were about, most first, for the measures that are missed (or all of them)."""
    found: list[Cause] = []
    for target in TARGETS:
        if also_kept or not target.kept(measured):
            found += _causes(target, measured.found)
    return found


def _causes(target: Target, found: Sequence[tuple[str, Occurrence]]) -> list[Cause]:
    those = [(name, each) for name, each in found if each.what == (target.what or "response")]
    total = Counter(_about(each) for _, each in those)
    missed: defaultdict[str, list[str]] = defaultdict(list)
    for name, each in those:
        if _is_missed(target, each):
            missed[_about(each)].append(name)
    made = [
        Cause(target.name, about, len(names), total[about], tuple(dict.fromkeys(names)))
        for about, names in missed.items()
    ]
    return sorted(made, key=lambda cause: (-cause.missed, cause.what))


def _is_missed(target: Target, found: Occurrence) -> bool:
    """Whether it counts against the target: it was wrong, or later than it should be. EVA's late answers are those."""
    if target.rate is not None:
        return not found.good
    if found.latency is None:
        return False
    return found.latency > target.limit + 1e-9 if target.what is not None else found.latency > _LATE_S


_LATE_S = eva.LATENCY_POINTS[2][0]
"""A later answer costs of EVA's score."""


def _about(found: Occurrence) -> str:
    label = found.label
    said = f'"{label.text}"' if label.text and not label.text.startswith("(") else label.text
    match found.what:
        case "agent_interrupts" if found.while_speaking:
            return f"starts while the caller speaks ({label.kind})"
        case "agent_interrupts":
            return f"starts in a pause, after {_CLAUSES[label.pause]}"
        case "tic" | "non_directed":
            return f"{said} {'over the agent' if found.while_speaking else 'in silence'}"
        case _:
            return said


_CLAUSES = {
    "complete": "what could be complete",
    "unfinished": "an unfinished clause",
    None: "the last part",
}


# As plain values


def as_plain(measured: Measured) -> dict[str, Any]:
    """Everything, for JSON. Rates as [count, total]; what is not known is null."""

    def panel(given: Panel) -> dict[str, Any]:
        values = {name: getattr(given, name) for name in given.__dataclass_fields__}
        return {
            name: [value.count, value.total] if isinstance(value, Rate) else value for name, value in values.items()
        }

    return {
        "calls": measured.calls,
        "panel": panel(measured.panel),
        "exact": {
            "response_latency": measured.exact.response_latency,
            "response_latency_p50": percentile(measured.latencies, 0.5),
            "response_latency_p90": percentile(measured.latencies, 0.9),
            "yield_latency": measured.exact.yield_latency,
        },
        "eva_turn_taking": measured.turn_taking,
        "eva_passed": [measured.passed.count, measured.passed.total],
        "eva_routes": {name: {"turns": count, "cost": cost} for name, (count, cost) in measured.routes.items()},
        "targets": [
            {
                "name": target.name,
                "value": target.of(measured),
                "limit": target.limit,
                "at_least": target.at_least,
                "kept": target.kept(measured),
            }
            for target in TARGETS
        ],
        "causes": [
            {"measure": c.measure, "what": c.what, "missed": c.missed, "of": c.total, "calls": list(c.calls)}
            for c in causes(measured, also_kept=True)
        ],
    }
