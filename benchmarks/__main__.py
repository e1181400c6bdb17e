"""`make bench`: every figure beside what it is compared with, and exit 1 where a bound is missed.

python -m benchmarks [--only NAME ...] [--out FILE]
"""

import argparse
import io
import sys
from pathlib import Path

from agent_runtime import __version__, clock
from benchmarks import imports, latency, long_call, recorded
from benchmarks.report import Report, machine

SECTIONS = {
    "imports": imports.measure_imports,
    "latency": latency.measure_added,
    "barge-in": latency.measure_barge_in,
    "long-call": long_call.measure_long_call,
    "counts": long_call.count,
    "recorded-call": recorded.measure_recorded_call,
}
RESULTS = Path(__file__).parent / "results" / "last.txt"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure, compare, and check the bounds.")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="NAME",
                        help=f"some of: {', '.join(SECTIONS)}")  # fmt: skip
    parser.add_argument("--out", type=Path, help=f"where to write what is printed (a whole run: {RESULTS.name})")
    options = parser.parse_args()
    kept = io.StringIO()
    report = Report(sys.stdout, kept)
    report.say(f"agent_runtime {__version__}, {clock.wall().date()}, {machine()}")
    for name in options.only:
        SECTIONS[name](report)
    report.title("Bounds")
    for line in report.missed:
        report.say(f"MISSED  {line}")
    report.say(f"{len(report.missed)} of {report.checked} bounds missed")
    out = options.out or (RESULTS if list(options.only) == list(SECTIONS) else None)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(kept.getvalue())
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
