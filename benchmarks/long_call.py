"""A call of many turns: what a turn costs early and late, and what each leaves behind.

    python -m benchmarks.long_call ours|floor rss|traced

holds one call in virtual time, where waiting is free and only work is left, and prints it as JSON.
"""

import asyncio
import gc
import json
import os
import resource
import subprocess
import sys
import tracemalloc
from pathlib import Path
from statistics import median
from typing import Any

from agent_runtime import virtual
from agent_runtime.events import Event
from agent_runtime.trace.log import encode, record
from benchmarks import floor, ours
from benchmarks.report import Report
from benchmarks.talk import Caller, Ear, Script, Sink

ROOT = Path(__file__).parent.parent
ROUNDS = 5
EARLY, LATE = 50, 500
AROUND = 25
BLOCK = 10
"""CPU time is read for blocks of so many turns: one turn is near the clock's resolution."""

SCRIPT = Script(delay=0.1)
"""The conversation whose latency is measured too: 0.1 s of voice, the endpointing delay, two phrases of 0.04 s."""


class _Meter(Caller):
    """Reads the meters each time a turn is over."""

    def __init__(self, turns: int, *, traced: bool) -> None:
        super().__init__(turns)
        self.cpu_ms: list[float] = []
        self.memory: dict[int, float] = {}
        self._traced = traced

    def go_on(self) -> None:
        if not self._go_on:
            self.cpu_ms.append(_cpu_ms())
            if len(self.cpu_ms) in (EARLY, LATE):
                gc.collect()
                self.memory[len(self.cpu_ms)] = tracemalloc.get_traced_memory()[0] if self._traced else _resident()
        super().go_on()


def _cpu_ms() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return 1e3 * (used.ru_utime + used.ru_stime)


def _resident() -> float:
    """Bytes; 0 where the system does not tell."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0


def _call(side: str, traced: bool) -> dict[str, float]:
    if traced:
        tracemalloc.start()
    caller = _Meter(LATE + AROUND + 1, traced=traced)
    converse = ours.converse if side == "ours" else floor.converse
    virtual.run(converse(caller, Ear(), SCRIPT, Sink()))
    kept = (caller.memory[LATE] - caller.memory[EARLY]) / (LATE - EARLY) / 1000
    return {"early": _block(caller.cpu_ms, EARLY), "late": _block(caller.cpu_ms, LATE), "kept_kb": kept}


def _block(cpu_ms: list[float], turn: int) -> float:
    """CPU ms a turn around `turn`: the median of the blocks there."""
    starts = range(turn - AROUND, turn + AROUND - BLOCK + 1, BLOCK)
    return median((cpu_ms[start + BLOCK] - cpu_ms[start]) / BLOCK for start in starts)


def measure_long_call(report: Report) -> None:
    report.title(f"A long call: CPU ms a turn at turn {EARLY} and at turn {LATE}, median of {ROUNDS} calls in turns")
    runs: dict[str, list[dict[str, float]]] = {"ours": [], "floor": []}
    for _ in range(ROUNDS):
        for side, made in runs.items():
            made.append(_fresh(side, "rss"))
    report.say(f"{'':<8}{f'turn {EARLY}':>10}{f'turn {LATE}':>10}{'late/early':>12}{'RSS kB a turn':>16}")
    for side, made in runs.items():
        growth = median(run["late"] / run["early"] for run in made)
        early, late, kept = (median(run[name] for run in made) for name in ("early", "late", "kept_kb"))
        report.say(f"{side:<8}{early:>10.2f}{late:>10.2f}{growth:>12.3f}{kept:>16.2f}")
        if side == "ours":
            mine = growth, early, late, kept
    traced = {side: _fresh(side, "traced")["kept_kb"] for side in runs}
    report.say(f"live Python objects, kB a turn: ours {traced['ours']:.2f}, floor {traced['floor']:.2f}")
    report.bound(f"CPU a turn, turn {LATE} to turn {EARLY}", mine[0], 1.1, "times")
    report.bound(f"CPU a turn, turn {EARLY}", mine[1], 2.0, "ms")
    report.bound(f"CPU a turn, turn {LATE}", mine[2], 2.0, "ms")
    report.bound("memory a turn, resident", mine[3], 3.0, "kB")
    report.bound("memory a turn, live objects", traced["ours"], 3.0, "kB")


def _fresh(side: str, memory: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.long_call", side, memory]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    values: dict[str, float] = json.loads(done.stdout)
    return values


def count(report: Report) -> None:
    """Tasks and bytes, which need no repetition: they are the same every time."""
    report.title("Counted")
    turns = 20
    idle, busy, size, lines = virtual.run(_count(turns))
    report.say(f"tasks of a session with nobody speaking: {idle}, the next answer's included; while it answers: {busy}")
    report.say(f"log: {size / turns:.0f} bytes and {lines / turns:.1f} events a turn")


async def _count(turns: int) -> tuple[int, int, int, int]:
    caller, ear, sink = Caller(turns), Ear(), Sink()
    sizes: list[int] = []
    tasks: dict[str, list[int]] = {"listening": [], "speaking": []}

    def note(event: Event) -> None:
        sizes.append(len(encode(record(event, seq=len(sizes), started=0.0))))
        # Less the one that waits here for the caller to go.
        if event.type in ("voice_started", "first_sample"):
            state = "listening" if event.type == "voice_started" else "speaking"
            tasks[state].append(len(asyncio.all_tasks()) - 1)

    talk = ours.session(ear, SCRIPT)
    talk.log.subscribe(note)
    talk.on("playback_finished", lambda event: caller.go_on())
    await talk.start(ours.agent(), input=caller, output=sink)
    await caller.spoken.wait()
    await talk.aclose()
    return round(median(tasks["listening"])), max(tasks["speaking"]), sum(sizes), len(sizes)


if __name__ == "__main__":
    result: Any = _call(sys.argv[1], sys.argv[2] == "traced")
    print(json.dumps(result))
