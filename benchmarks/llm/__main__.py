"""`make bench-llm`: asking a model through ours, raw httpx, the openai SDK, livekit-agents and LiteLLM, in turns; exit 1
where a bound is missed.

    python -m benchmarks.llm [--rounds 5] [--quick] [--only MEASUREMENT ...] [--systems SYSTEM ...] [--out FILE]

Every measurement of every system is a process of its own, of the environment that has the system; one server process answers
them all. In a round each system has its turn. A figure is the median of the rounds; a difference and a ratio too, of what
each round found, so that a busy moment of the machine meets both sides.
"""

import argparse
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import sub, truediv
from pathlib import Path
from statistics import median

from agent_runtime import __version__, clock
from benchmarks.llm.run import MEASUREMENTS, SYSTEMS
from benchmarks.report import Report, machine

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).parents[1] / "results" / "llm.txt"
TIMEOUT_S = 120

Rounds = dict[str, list[dict[str, float]]]
"""system: what each round found"""


def python_of(system: str) -> Path:
    return ROOT / (f".venv-{system}" if system in ("openai", "livekit", "litellm") else ".venv") / "bin" / "python"


@contextmanager
def serving() -> Iterator[str]:
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.llm.server"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
    finally:
        server.stdin.close()
        server.wait(timeout=10)
        server.stdout.close()


def measure(system: str, measurement: str, url: str, quick: bool) -> dict[str, float] | str:
    """What a process found, or why it did not."""
    python = python_of(system)
    if not python.exists():
        return f"not installed ({python.parent.parent.name} is missing: sh scripts/environments.sh {system})"
    command = [str(python), "-m", "benchmarks.llm.run", system, measurement, url, *(["--quick"] if quick else [])]
    # No keys and no proxies of the user's; LiteLLM would fetch its table of prices.
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    env = {**kept, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "NO_PROXY": "*"}
    try:
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return f"no answer in {TIMEOUT_S} s"
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def gather(options: argparse.Namespace, url: str, report: Report) -> dict[str, Rounds]:
    found: dict[str, Rounds] = {measurement: {} for measurement in options.only}
    failed: set[str] = set()
    for number in range(options.rounds):
        for measurement in options.only:
            print(f"round {number + 1} of {options.rounds}: {measurement}", file=sys.stderr)
            for system in MEASUREMENTS[measurement][1]:
                if system in SYSTEMS and system not in options.systems:
                    continue
                outcome = measure(system, measurement, url, options.quick)
                if isinstance(outcome, dict):
                    found[measurement].setdefault(system, []).append(outcome)
                elif (why := f"{system}, {measurement}: {outcome}") not in failed:
                    failed.add(why)
                    report.say(f"FAILED  {why}")
    return found


# The table


class Figures:
    """What was found, as lines and bounds."""

    def __init__(self, report: Report, found: dict[str, Rounds]) -> None:
        self._report = report
        self._found = found

    def row(self, name: str, measurement: str, key: str) -> None:
        cells = []
        for system in SYSTEMS:
            runs = self._found.get(measurement, {}).get(system)
            cells.append(f"{median(run[key] for run in runs):>12.2f}" if runs else f"{'-':>12}")
        self._report.say(f"{name:<46}{''.join(cells)}")

    def bound(
        self,
        name: str,
        measurement: str,
        key: str,
        limit: float,
        unit: str,
        *,
        system: str = "ours",
        than: str | None = None,
        how: Callable[[float, float], float] = sub,
    ) -> None:
        """Ours, or what ours is beside another; missed where it was not measured."""
        rounds = self._found.get(measurement)
        if rounds is None:
            return
        mine = [run[key] for run in rounds.get(system, [])]
        if than is not None:
            mine = [how(*pair) for pair in zip(mine, (run[key] for run in rounds.get(than, [])), strict=False)]
        self._report.bound(name, median(mine) if mine else float("nan"), limit, unit)


def tabulate(report: Report, found: dict[str, Rounds]) -> None:
    figures = Figures(report, found)
    report.title("Asking a model")
    report.say(f"{'':<46}" + "".join(f"{system:>12}" for system in SYSTEMS))
    for name, measurement, key in (
        ("CPU a chunk, one stream back to back, us", "back-to-back", "cpu_us"),
        ("CPU a chunk, 16 streams at 100 a second, us", "crowd", "cpu_us"),
        ("  how late the last of them ends, ms", "crowd", "late_ms"),
        ("to the first token, p50, ms", "first-token", "p50_ms"),
        ("  p95", "first-token", "p95_ms"),
        ("first call of a process, ms", "first-call", "ms"),
        ("  import, and the client, before it, ms", "first-call", "made_ms"),
        ("  memory of the process behind it, MB", "first-call", "peak_mb"),
        ("cancel to the server's seeing the close, p50, ms", "cancel", "p50_ms"),
        ("  the slowest", "cancel", "max_ms"),
    ):
        if measurement in found:
            figures.row(name, measurement, key)
    if memory := found.get("memory"):
        report.say()
        for stage, name in (
            ("bare", "the package, and a session without nodes"),
            ("bare-httpx", "besides, an answer through raw httpx"),
            ("ours", "instead, an answer through our client"),
            ("all", "the same, with the plugins of all services imported"),
        ):
            if stage in memory:
                report.say(f"memory: {name:<52}{median(run['mb'] for run in memory[stage]):>8.1f} MB")
    report.title("Bounds")
    figures.bound("CPU a chunk, one stream back to back", "back-to-back", "cpu_us", 25, "us")
    ratio = "CPU a chunk, 16 streams, to raw httpx"
    figures.bound(ratio, "crowd", "cpu_us", 1.3, "times", than="httpx", how=truediv)
    figures.bound("to the first token, over raw httpx", "first-token", "p50_ms", 0.5, "ms", than="httpx")
    figures.bound("first call of a process, over raw httpx", "first-call", "ms", 60, "ms", than="httpx")
    figures.bound(
        "memory, all services, one in use, over the package", "memory", "mb", 15, "MB", system="all", than="bare"
    )
    figures.bound("cancel to the server's seeing the close, p50", "cancel", "p50_ms", 10, "ms")
    figures.bound("the slot of a hedge's loser free, slowest", "hedge", "max_ms", 50, "ms")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.llm", description="Asking a model, beside others.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--quick", action="store_true", help="as little as shows that all run; the figures mean nothing"
    )
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS))
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--out", type=Path, help=f"where to write what is printed (a whole run: {RESULTS.name})")
    options = parser.parse_args()
    whole = not options.quick and set(options.only) == set(MEASUREMENTS) and set(options.systems) == set(SYSTEMS)
    kept = io.StringIO()
    report = Report(sys.stdout, kept)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    report.say(f"agent_runtime {__version__}, {clock.wall().date()}, {machine()}, load {load:.1f} at the start")
    report.say("beside httpx 0.28, openai 3.54, livekit-agents 1.8.9 (inference.LLM), litellm 1.106.2")
    report.say(f"{options.rounds} rounds in turns, medians")
    with serving() as url:
        found = gather(options, url, report)
    tabulate(report, found)
    report.say(f"{len(report.missed)} of {report.checked} bounds missed")
    out = options.out or (RESULTS if whole else None)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(kept.getvalue())
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
