"""The recorded call with all real engines: how much faster than real time it is held."""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from agent_runtime.clock import Stopwatch
from benchmarks.report import Report

ROOT = Path(__file__).parent.parent
ROUNDS = 3
COMMAND = ["console", "agents/clock.py", "--input", "agents/clock.wav"]


def measure_recorded_call(report: Report) -> None:
    report.title(f"The recorded call, all engines of this machine, {ROUNDS} times")
    report.say(f"agent-runtime {' '.join(COMMAND)} --out TMP")
    speeds = [_play(report) for _ in range(ROUNDS)]
    # The fastest: whatever else the machine does can only take from it.
    report.bound("recorded call, call seconds a wall second", max(speeds), 5.0, "times", at_least=True)


def _play(report: Report) -> float:
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "agent_runtime.cli", *COMMAND, "--out", out]
        with watch:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        lines = (Path(out) / "call.jsonl").read_text().splitlines()
    call_s = float(json.loads(lines[-1])["t"])
    engines = re.search(r"machine time[^:]*: (.*)", done.stdout)
    speed = call_s / watch.seconds
    report.say(f"{call_s:.1f} s of call in {watch.seconds:.1f} s: {speed:.1f} times faster than it was spoken")
    report.say(f"  machine time: {engines[1] if engines else 'not told'}")
    return speed
