"""One system, one measurement, one process: what it measured, as JSON on stdout.

    python -m benchmarks.peers.run SYSTEM MEASUREMENT [--quick]

runs under the Python of the environment that has the system. Milliseconds, kB and MB are in the names.
"""

import argparse
import asyncio
import gc
import importlib
import json
import os
import sys
import time
import warnings
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.peers.call import Close, Line, Lines, Open, Script
from benchmarks.peers.floor import nobody

SYSTEMS = {
    "null": "floor:nobody",
    "floor": "floor:call",
    "ours": "ours:call",
    "livekit": "livekit_agents:plain",
    "livekit-room": "livekit_agents:room",
    "pipecat": "pipecat:default",
    "pipecat-lean": "pipecat:lean",
}

SHORT = Script(frames=1, voiced=3, pause=2)
LATENCY = {
    "no delays": SHORT,
    "tokens every 10 ms": replace(SHORT, every=0.01),
    "speech per sentence": replace(SHORT, words=("It ", "is ", "twelve ", "o'clock ", "now."), per_sentence=True),
    "endpointing 0.3 s": replace(SHORT, delay=0.3),
}
BARGE_IN = Script(frames=10, voiced=5, barge_in=8)
SENTENCE = ("All right, ", *("word " for _ in range(17)), "noon.")
TALK = Script(words=SENTENCE, frames=5, voiced=40, period=4.0)
"""4 s: the caller speaks for 0.8 s, the agent for 2 s, half of the time."""
SATURATED = 0.9
"""Of the sound that was to come. With less the process does not keep up, and more sessions are not tried."""
SAME_INSTANT = Script(voiced=10, period=1.2)
LONG = Script(words=("Noon ", "now."), voiced=3, pause=2)

SETTLE_S = 0.3
STALLED_S = 30.0


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    turns: int = 10
    bursts: int = 3
    sessions: tuple[int, ...] = (10, 25, 50, 100)
    crowd: int = 50
    long: int = 500
    early: int = 50
    harness_s: float = 5.0


QUICK = Size(turns=2, bursts=1, sessions=(3,), crowd=3, long=12, early=2, harness_s=0.5)


async def latency(call: Open, size: Size) -> dict[str, Any]:
    """Milliseconds from the end of speech and the endpointing delay to the first sample at the sink, each turn."""
    found = {}
    for name, script in LATENCY.items():
        line = Line(script, turns=size.turns + 1)  # one to get warm
        await _hold(call, [line])
        causes = [at + script.delay for at in line.ended] if script.delay else line.finals
        found[name] = _after(causes[1:], line.begun)
    return found


async def barge_in(call: Open, size: Size) -> dict[str, Any]:
    """Milliseconds from what the nodes tell to the sink's being told: of voice, and of the words that confirm it."""
    line = Line(BARGE_IN, turns=size.turns + 2)  # the first interrupts nobody, the second gets warm
    await _hold(call, [line])
    words = _after(line.words[2:], line.told, within_ms=15.0)
    # Some act on the first words, some on the last, some on none: they have cut at the voice.
    return {"voice": _after(line.voices[2:], line.told), "words": words or _after(line.finals[2:], line.told, 15.0)}


async def same_instant(call: Open, size: Size) -> dict[str, Any]:
    """Milliseconds from the last words to the first sample, where so many callers speak in step."""
    lines = [Line(SAME_INSTANT, offset=0.0) for _ in range(size.crowd)]
    async with _held(call, lines) as clock:
        await _until_phase(SAME_INSTANT.period, 0.9)
        for line in lines:
            line.finals.clear()
        clock.late_s.clear()
        await asyncio.sleep(size.bursts * SAME_INSTANT.period)
        found = [_after(line.finals, line.begun) for line in lines]
    return {"added": [ms for each in found for ms in each], "turns": size.bursts * size.crowd}


async def density(call: Open, size: Size) -> dict[str, Any]:
    """What a session costs while so many talk, each at another moment."""
    found: dict[str, Any] = {}
    empty_mb = _resident_mb()
    async with _held(call, []) as clock:
        closers: list[Close] = []
        for count in size.sessions:
            while len(clock.lines) < count:
                line = Line(TALK, offset=(len(clock.lines) * 0.618034 % 1.0) * TALK.period)
                closers.append(await call(line))
                clock.lines.append(line)
            await asyncio.sleep(TALK.period)  # each has spoken once
            gc.collect()
            for line in clock.lines:
                line.written_s = 0.0
            clock.late_s.clear()
            cpu, at = time.process_time(), time.monotonic()
            await asyncio.sleep(TALK.period)
            cpu, seconds = time.process_time() - cpu, time.monotonic() - at
            spoken = sum(line.written_s for line in clock.lines) / (seconds * count)
            found[str(count)] = {
                "cpu_ms": 1e3 * cpu / (seconds * count),
                "lag_p99_ms": 1e3 * _percentile(clock.late_s, 99),
                "spoken": spoken / (TALK.answer_s / TALK.period),
                "rss_mb": _resident_mb(),
            }
            if 0 < found[str(count)]["spoken"] < SATURATED:
                break
        await _close(closers, clock)
    return {"empty_mb": empty_mb, "at": found}


async def long(call: Open, size: Size) -> dict[str, Any]:
    """One session, many turns: CPU a turn early and late, less what its frames cost the harness; what a turn leaves."""
    taken: list[tuple[float, float]] = []
    rss: dict[int, float] = {}

    def note(turn: int) -> None:
        taken.append((time.process_time(), time.monotonic()))
        if turn in (size.early, size.long):
            gc.collect()
            rss[turn] = _resident_mb()

    # Before and after: what a wake-up costs changes with what else the machine does.
    before = await _harness_share(size.harness_s)
    await _hold(call, [Line(LONG, turns=size.long, on_turn=note)])
    after = await _harness_share(size.harness_s)
    few = size.early

    def each_ms(first: int, last: int, harness: float) -> float:
        cpu, wall = (taken[last][clock] - taken[first][clock] for clock in (0, 1))
        return 1e3 * (cpu - harness * wall) / (last - first)

    return {
        "first_ms": each_ms(0, few, before),
        "last_ms": each_ms(size.long - few, size.long, after),
        "kept_kb": 1000 * (rss[size.long] - rss[few]) / (size.long - few),
        "harness": [before, after],
    }


async def _harness_share(seconds: float) -> float:
    """CPU time for each second in which a line's frames go nowhere."""
    async with _held(nobody, [Line(LONG)], watched=False):
        await asyncio.sleep(SETTLE_S)
        cpu, at = time.process_time(), time.monotonic()
        await asyncio.sleep(seconds)
        return (time.process_time() - cpu) / (time.monotonic() - at)


MEASUREMENTS: dict[str, Callable[[Open, Size], Coroutine[Any, Any, dict[str, Any]]]] = {
    "latency": latency,
    "barge-in": barge_in,
    "same-instant": same_instant,
    "density": density,
    "long": long,
}


@asynccontextmanager
async def _held(call: Open, lines: list[Line], *, watched: bool = True) -> AsyncIterator[Lines]:
    clock = Lines()
    closers = [await call(line) for line in lines]
    clock.lines.extend(lines)
    tasks = [asyncio.create_task(clock.run())]
    if watched:
        tasks.append(asyncio.create_task(clock.watch()))
    try:
        yield clock
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await _close(closers, clock)


async def _close(closers: list[Close], clock: Lines) -> None:
    clock.lines.clear()
    async with asyncio.timeout(STALLED_S):
        await asyncio.gather(*(close() for close in closers))


async def _hold(call: Open, lines: list[Line]) -> None:
    """Calls from the first turn to the last."""
    async with _held(call, lines, watched=False):
        for line in lines:
            said = -1
            while not line.done.is_set():
                if said == (said := len(line.begun) + len(line.ended)):
                    raise RuntimeError(
                        f"a call stands still: {len(line.ended)} turns were said, {len(line.finals)} understood, "
                        f"{line.written_s:.2f} s of sound came in {len(line.begun)} pieces"
                    )
                try:
                    async with asyncio.timeout(STALLED_S):
                        await line.done.wait()
                except TimeoutError:
                    continue
        await asyncio.sleep(SETTLE_S)


async def _until_phase(period: float, phase: float) -> None:
    now = asyncio.get_running_loop().time()
    await asyncio.sleep((phase * period - now) % period + period)


def _after(causes: Sequence[float], effects: Sequence[float], within_ms: float = float("inf")) -> list[float]:
    """Milliseconds from each cause to the first effect after it, where there is one `within_ms`."""
    found = ((cause, bisect_left(effects, cause)) for cause in causes)
    delays = (1e3 * (effects[index] - cause) for cause, index in found if index < len(effects))
    return [delay for delay in delays if delay <= within_ms]


def _percentile(values: Sequence[float], percent: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * percent / 100))]


def _resident_mb() -> float:
    """0 where the system does not tell."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6 if statm.exists() else 0.0


async def _measure(name: str, call: Open, size: Size) -> dict[str, Any]:
    return await MEASUREMENTS[name](call, size)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.run")
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("measurement", choices=MEASUREMENTS)
    parser.add_argument("--quick", action="store_true", help="as little as shows that it works")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # what others deprecate is not measured here
    module, name = SYSTEMS[options.system].split(":")
    call: Open = getattr(importlib.import_module(f"benchmarks.peers.{module}"), name)
    found = asyncio.run(_measure(options.measurement, call, QUICK if options.quick else Size()))
    json.dump(found, sys.stdout)
    sys.stdout.write("\n")
    sys.stdout.flush()
    os._exit(0)  # what a system leaves behind (threads, tasks that ignore their cancelling) is not measured either


if __name__ == "__main__":
    main()
