"""What a runtime adds: from the end of the caller's speech to sound, and from the decision to interrupt to silence."""

import asyncio
import gc
from bisect import bisect_left
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from benchmarks import floor, ours
from benchmarks.awake import core_awake
from benchmarks.report import Report, percentile
from benchmarks.talk import Caller, Ear, Script, Sink

ROUNDS = 3
TURNS = 20
"""In a round; rounds of both sides take turns, so that a busy moment of the machine meets both."""

BOUNDS = (50, 0.5), (99, 2.0)
"""Percentile and ms."""

Converse = Callable[[Caller, Ear, Script, Sink], Coroutine[Any, Any, None]]
Call = tuple[Caller, Ear, Sink]

PLAIN = Script()
TOKENS = Script(every=0.01)
SENTENCE = Script(words=("It ", "is ", "twelve ", "o'clock ", "right ", "now."), per_token=False)
TIMED = Script(delay=0.1)
BARGE_IN = Script(frames=100, barge_in=True)


def measure_added(report: Report) -> None:
    """From the end of speech, and the endpointing delay, to the first sample at the sink."""
    report.title(f"Added between the end of speech and the first sample, {ROUNDS * TURNS} turns in real time, ms")
    _head(report)
    mine, bare = _both(PLAIN, TURNS, _to_first_sample)
    _row(report, "(no delays, core at rest)", mine, bare)
    with core_awake():
        _measure_awake(report)


def _measure_awake(report: Report) -> None:
    mine, bare = _both(PLAIN, TURNS, _to_first_sample)
    _row(report, "no delays", mine, bare)
    for percent, limit in BOUNDS:
        report.bound(f"added latency, no delays, p{percent}", percentile(mine, percent), limit, "ms")
    # More is in the way of these than a runtime: the model's tokens, a timer of the loop that is up to 1 ms late (epoll).
    for name, script, figure in (
        ("tokens every 10 ms", TOKENS, _to_first_sample),
        ("speech per sentence", SENTENCE, _to_first_sample),
        (f"endpointing delay {TIMED.delay} s", TIMED, _after_the_delay),
    ):
        mine, bare = _both(script, TURNS, figure)
        _row(report, name, mine, bare)
        for percent, limit in BOUNDS:
            above = percentile(mine, percent) - percentile(bare, percent)
            report.bound(f"added latency, {name}, p{percent} above the floor", above, limit, "ms")


def _after_the_delay(call: Call) -> list[float]:
    return _after([at + TIMED.delay for at in call[0].ended], call[2].begun)


def _to_first_sample(call: Call) -> list[float]:
    return _after(call[1].finals, call[2].begun)


def measure_barge_in(report: Report) -> None:
    """From a voice, from words, and from the decision that the words bring, to the sink's being told to be silent.

    What lies between the words and the decision is a judgement: whether they are the caller's, a murmur or an echo.
    """
    report.title(f"Barge-in: decision to the sink being told, {ROUNDS * TURNS} times in real time, ms")
    _head(report)
    with core_awake():
        calls = _rounds(BARGE_IN, TURNS + 1)
    for name, figure in (
        ("duck (voice)", _to_duck),
        ("cancel (words)", _from_words),
        ("cancel (decision)", _to_cancel),
    ):
        mine, bare = _pooled(calls, figure)
        _row(report, name, mine, bare)
        if figure is not _from_words:
            report.bound(f"barge-in, {name}, p50", percentile(mine, 50), 0.15, "ms")


def _to_duck(call: Call) -> list[float]:
    return _after(call[1].voices[1:], call[2].cleared)  # the first turn interrupts nobody


def _from_words(call: Call) -> list[float]:
    return _after(call[1].words[1:], call[2].cleared)


def _to_cancel(call: Call) -> list[float]:
    return _after(call[1].cuts, call[2].cleared)


def _both(script: Script, turns: int, figure: Callable[[Call], list[float]]) -> tuple[list[float], list[float]]:
    return _pooled(_rounds(script, turns), figure)


def _rounds(script: Script, turns: int) -> tuple[list[Call], list[Call]]:
    """Calls of ours and of the floor, alternately."""
    calls: tuple[list[Call], list[Call]] = ([], [])
    for _ in range(ROUNDS):
        for converse, made in zip((ours.converse, floor.converse), calls, strict=True):
            made.append(_talk(converse, script, turns))
    return calls


def _pooled(
    calls: tuple[list[Call], list[Call]], figure: Callable[[Call], list[float]]
) -> tuple[list[float], list[float]]:
    mine, bare = ([value for call in side for value in figure(call)] for side in calls)
    return mine, bare


def _talk(converse: Converse, script: Script, turns: int) -> Call:
    caller, ear, sink = Caller(turns), Ear(), Sink()
    gc.collect()
    gc.freeze()  # as the console does when a call begins
    asyncio.run(converse(caller, ear, script, sink))
    gc.unfreeze()
    return caller, ear, sink


def _after(causes: Sequence[float], effects: Sequence[float]) -> list[float]:
    """Milliseconds from each cause to the first effect after it."""
    return [1e3 * (effects[bisect_left(effects, cause)] - cause) for cause in causes]


def _head(report: Report) -> None:
    report.say(f"{'':<26}{'ours p50':>10}{'p99':>8}{'floor p50':>12}{'p99':>8}{'ratio':>8}")


def _row(report: Report, name: str, mine: list[float], bare: list[float]) -> None:
    report.say(
        f"{name:<26}{percentile(mine, 50):>10.3f}{percentile(mine, 99):>8.3f}"
        f"{percentile(bare, 50):>12.3f}{percentile(bare, 99):>8.3f}{percentile(mine, 50) / percentile(bare, 50):>8.1f}"
    )
