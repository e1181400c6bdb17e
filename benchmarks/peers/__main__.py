"""`make bench-peers`: the same calls through ours, livekit-agents, pipecat and a bare asyncio program, in turns.

    python -m benchmarks.peers [--rounds 5] [--quick] [--only MEASUREMENT ...] [--systems SYSTEM ...] [--out STEM]

Every measurement of every system is a process of its own. In a round each system has its turn, so that a busy moment of
the machine meets all of them; a figure is the median of the rounds, except where it says that the values of all rounds
were put together.
"""

import argparse
import io
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from agent_runtime import __version__, clock
from benchmarks.peers.run import LATENCY, MEASUREMENTS, SATURATED, SYSTEMS
from benchmarks.report import Report, machine, percentile

ROOT = Path(__file__).parent.parent.parent
RESULTS = Path(__file__).parent.parent / "results" / "peers"
TIMEOUT_S = 600
LONG_AT_ONCE = 6
"""Calls of 500 turns take two minutes and mostly wait; CPU time and memory are asked of them, not time."""

Found = dict[str, dict[str, list[dict[str, Any]]]]
"""measurement: system: what each round found"""


def python_of(system: str) -> Path:
    peer = system.split("-")[0]
    return ROOT / (f".venv-{peer}" if peer in ("livekit", "pipecat") else ".venv") / "bin" / "python"


def measure(system: str, measurement: str, quick: bool) -> dict[str, Any] | str:
    """What a process found, or why it did not."""
    python = python_of(system)
    if not python.exists():
        return f"not installed ({python.parent.parent.name} is missing: see what scripts/environments.sh says)"
    command = [str(python), "-m", "benchmarks.peers.run", system, measurement, *(["--quick"] if quick else [])]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return f"no answer in {TIMEOUT_S} s"
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def gather(options: argparse.Namespace, report: Report) -> Found:
    found: Found = {measurement: {} for measurement in options.only}
    failed: set[str] = set()

    def keep(system: str, measurement: str, outcome: dict[str, Any] | str) -> None:
        if isinstance(outcome, dict):
            found[measurement].setdefault(system, []).append(outcome)
        elif (why := f"{system}, {measurement}: {outcome}") not in failed:
            failed.add(why)
            report.say(f"FAILED  {why}")

    for number in range(options.rounds):
        for measurement in options.only:
            if measurement == "long":
                continue
            print(f"round {number + 1} of {options.rounds}: {measurement}", file=sys.stderr)
            for system in options.systems:
                if system != "null" or measurement == "density":
                    keep(system, measurement, measure(system, measurement, options.quick))
        if options.out is not None:  # what came is not lost where it ends early
            write_json(options.out, [], found)
    if "long" in options.only:
        print("all rounds: long", file=sys.stderr)
        systems = [name for name in options.systems if name != "null"] * options.rounds
        with ThreadPoolExecutor(LONG_AT_ONCE) as pool:
            outcomes = pool.map(lambda system: measure(system, "long", options.quick), systems)
            for system, outcome in zip(systems, outcomes, strict=True):
                keep(system, "long", outcome)
    if options.out is not None:
        write_json(options.out, [], found)
    return found


def write_json(out: Path, rows: list[dict[str, Any]], found: Found) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".json").write_text(json.dumps({"table": rows, "rounds": found}, indent=1) + "\n")


# The table


class Table:
    """A row per figure, a column per system, and what ours has to reach."""

    def __init__(self, report: Report, systems: list[str]) -> None:
        self._report = report
        self._systems = [name for name in systems if name != "null"]
        self.rows: list[dict[str, Any]] = []

    def title(self, text: str, note: str = "") -> None:
        self._report.title(text)
        if note:
            self._report.say(note)
        self._report.say(f"{'':<34}" + "".join(f"{name:>14}" for name in self._systems) + f"{'to reach':>10}")

    def row(self, name: str, values: dict[str, float | None], limit: float | None = None, unit: str = "") -> None:
        cells = "".join(f"{_cell(values.get(system)):>14}" for system in self._systems)
        ours = values.get("ours")
        verdict = ""
        if limit is not None and ours is not None:
            verdict = "OK" if ours <= limit else "MISSED"
        self._report.say(f"{name:<34}{cells}{_cell(limit) if limit is not None else '':>10}  {verdict}")
        self.rows.append({"figure": name, "unit": unit, "values": values, "to_reach": limit, "verdict": verdict})


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def tabulate(found: Found, table: Table) -> None:
    if latency := found.get("latency"):
        table.title(
            "Added latency: end of speech, and the endpointing delay, to the first sample at the sink, ms",
            "p50: median of the rounds; p99: of the turns of all rounds",
        )
        for case in LATENCY:
            values = {system: [run[case] for run in runs] for system, runs in latency.items()}
            for name, of, limit in (("p50", _p50, 0.5), ("p99", _p99, 2.0)):
                row = {system: of(runs) for system, runs in values.items()}
                timed = LATENCY[case].delay > 0  # by a timer of the loop, which is up to 1 ms late for all
                table.row(f"{case}: {name}", row, None if timed else limit, "ms")
                if timed and (floor := row.get("floor")) is not None:
                    above = {s: value - floor for s, value in row.items() if value is not None and s != "floor"}
                    table.row("  above the floor", dict(above), limit, "ms")
    if crowd := found.get("same-instant"):
        table.title("50 turns at the same instant: last words to the first sample, ms")
        added = {system: [run["added"] for run in runs] for system, runs in crowd.items()}
        table.row("p50", {s: _p50(runs) for s, runs in added.items()}, None, "ms")
        p95 = {s: [percentile(run, 95) for run in runs if run] for s, runs in added.items()}
        table.row("p95", {s: median(each) for s, each in p95.items() if each}, 50.0, "ms")
        answered = {s: median(len(run["added"]) / run["turns"] for run in runs) for s, runs in crowd.items()}
        table.row("turns answered, of 1", answered)
    if told := found.get("barge-in"):
        table.title("Barge-in: decision to the sink being told, ms")
        for what, name in (("voice", "voice: pause, duck or cut"), ("words", "words: cut")):
            runs_of = {s: [run[what] for run in runs if run[what]] for s, runs in told.items()}
            runs_of = {s: runs for s, runs in runs_of.items() if runs}
            table.row(f"{name}, p50", {s: _p50(runs) for s, runs in runs_of.items()}, 0.15, "ms")
            table.row(f"{name}, p99", {s: _p99(runs) for s, runs in runs_of.items()}, 0.5, "ms")
    if density := found.get("density"):
        _tabulate_density(density, table)
    if calls := found.get("long"):
        table.title("One session, 500 turns")
        for key, name, limit, unit in (
            ("first_ms", "CPU ms a turn, first 50", 2.0, "ms"),
            ("last_ms", "CPU ms a turn, last 50", 2.0, "ms"),
            ("kept_kb", "memory a turn, kB", 3.0, "kB"),
        ):
            table.row(name, {s: median(run[key] for run in runs) for s, runs in calls.items()}, limit, unit)


def _tabulate_density(density: dict[str, list[dict[str, Any]]], table: Table) -> None:
    table.title(
        "Sessions in one process, the agent speaking half of the time, frames of 20 ms",
        "-: the process was saturated (sound did not come in time) with so many sessions, or with fewer",
    )
    counts = sorted({count for runs in density.values() for run in runs for count in run["at"]}, key=int)

    def at(count: str, key: str, *, kept_up: bool = True) -> dict[str, float | None]:
        """The median of the rounds that came so far, where most of them did."""
        values: dict[str, float | None] = {}
        for system, runs in density.items():
            there = [run["at"][count] for run in runs if count in run["at"]]
            if kept_up:
                there = [each for each in there if system == "null" or each["spoken"] >= SATURATED]
            values[system] = median(each[key] for each in there) if 2 * len(there) > len(runs) else None
        return values

    for count in counts:
        values = at(count, "cpu_ms")
        null = values.pop("null", None) or 0.0
        net = {system: None if value is None else max(0.0, value - null) for system, value in values.items()}
        table.row(f"CPU ms a session-second, {count}", net, 1.2 if int(count) >= 50 else None, "ms")
    for count in counts:
        table.row(f"loop lag p99, ms, {count}", at(count, "lag_p99_ms"), 5.0 if count == "100" else None, "ms")
    for count in counts:
        table.row(f"sound that came in time, of 1, {count}", at(count, "spoken", kept_up=False))
    table.row("memory of the process, MB", {s: median(r["empty_mb"] for r in runs) for s, runs in density.items()})
    few, many = at(counts[0], "rss_mb"), {count: at(count, "rss_mb") for count in counts[1:]}
    each: dict[str, float | None] = {}
    for system, base in few.items():
        for count in (count for count in counts[1:] if int(count) <= 50):  # as many as a system keeps up with
            if base is not None and (more := many[count][system]) is not None:
                each[system] = (more - base) / (int(count) - int(counts[0]))
    table.row("memory a session, MB", each, 0.15, "MB")


def _p50(runs: list[list[float]]) -> float | None:
    return median(median(run) for run in runs if run) if any(runs) else None


def _p99(runs: list[list[float]]) -> float | None:
    values = [value for run in runs for value in run]
    return percentile(values, 99) if values else None


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description="Ours beside its peers.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--quick", action="store_true", help="as little as shows that all run; the figures mean nothing"
    )
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS))
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--out", type=Path, help=f"FILE for FILE.txt and FILE.json (a whole run: {RESULTS.name})")
    options = parser.parse_args()
    if not options.quick and set(options.only) == set(MEASUREMENTS) and set(options.systems) == set(SYSTEMS):
        options.out = options.out or RESULTS
    kept = io.StringIO()
    report = Report(sys.stdout, kept)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    report.say(f"agent_runtime {__version__} beside livekit-agents 1.8.9 and pipecat-ai 1.14, {clock.wall().date()}")
    report.say(f"{machine()}, load {load:.1f} at the start; {options.rounds} rounds in turns, medians")
    found = gather(options, report)
    table = Table(report, options.systems)
    tabulate(found, table)
    checked = [row for row in table.rows if row["verdict"]]
    missed = [row["figure"] for row in checked if row["verdict"] == "MISSED"]
    report.say()
    report.say(f"{len(missed)} of {len(checked)} numbers missed")
    if options.out is not None:
        write_json(options.out, table.rows, found)
        options.out.with_suffix(".txt").write_text(kept.getvalue())
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
