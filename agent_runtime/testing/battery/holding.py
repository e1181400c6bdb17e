"""Holds the calls of a battery, in several processes, and keeps of each what is measured: who was heard when."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache, partial
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from agent_runtime.testing.battery.calls import BatteryCall
from agent_runtime.testing.battery.intervals import Interval, Label

if TYPE_CHECKING:
    from agent_runtime.testing.caller import Line
    from agent_runtime.testing.result import CallResult
    from agent_runtime.worker.server import AgentServer

LoadServer = Callable[[str], "AgentServer"]
"""From a script's name to its server."""

Settings = Mapping[str, Any]
"""What `AgentSession(turn_handling=...)` takes, in part: it is laid over what the scenario or the script has."""

PROCESSES = min(2, os.cpu_count() or 1)

VOICES = ("local/flite:slt", "local/flite:rms", "local/espeak:en-us", "local/flite:awb", "local/espeak:en-gb")
"""Who the callers are where their speech is real; call n has voice n."""

REAL_NODES = {"vad": "local/silero", "stt": "local/pocketsphinx"}

_GREETING_S = 5.0
"""An agent that has said nothing by then does not greet."""

_SPOKEN = ("say", "interrupt", "backchannel", "murmur", "aside")


@dataclass(frozen=True, slots=True)
class HeldCall:
    """A call that was held. `failure` says what never happened in it, for example because no answer came."""

    name: str
    caller: tuple[Interval, ...]
    agent: tuple[Interval, ...]
    labels: tuple[Label, ...] = field(repr=False)
    failure: str | None = None


def hold(
    call: BatteryCall, settings: Settings | None = None, script: str | None = None, load: LoadServer | None = None
) -> HeldCall:
    """Hold one call, in virtual time.

    Args:
        settings: see `Settings`.
        script: the agent of this script is called, with the call's scripted models; `load` finds its server.
    """
    result = _made(call.scenario, settings or {}, script, load)
    return HeldCall(
        name=call.name,
        caller=tuple(_by_line(result.audible["caller"], result.lines)),
        agent=tuple(result.audible["agent"]),
        labels=call.labels,
        failure=result.failure,
    )


def _made(given: Mapping[str, Any], settings: Settings, script: str | None, load: LoadServer | None) -> "CallResult":
    from agent_runtime import virtual
    from agent_runtime.testing.call import simulate
    from agent_runtime.testing.scenario import Scenario

    scenario = Scenario.of(given)
    if settings:
        turns = laid_over(scenario.session.get("turn_handling", {}), settings)
        scenario = replace(scenario, session={**scenario.session, "turn_handling": turns})
    if script is None or load is None:
        return simulate(scenario)
    from agent_runtime.testing.scripts import perform_with

    return virtual.run(perform_with(scenario, _server(load, script)))


@cache
def _server(load: LoadServer, script: str) -> "AgentServer":
    return load(script)


def hold_all(
    calls: Sequence[BatteryCall],
    settings: Settings | None = None,
    *,
    script: str | None = None,
    load: LoadServer | None = None,
    pool: Executor | None = None,
) -> list[HeldCall]:
    """Hold them all, here or in a pool of processes; the outcome is the same, and in the same order."""
    one = partial(hold, settings=settings, script=script, load=load)
    if pool is None:
        return [one(call) for call in calls]
    return list(pool.map(one, calls, chunksize=max(1, min(8, len(calls) // PROCESSES))))


@contextlib.contextmanager
def processes(count: int = PROCESSES) -> Iterator[Executor | None]:
    """A pool of so many processes; None for one, which is this."""
    if count == 1:
        yield None
        return
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def waiting_for_greeting(
    calls: Sequence[BatteryCall], hold_all: Callable[[Sequence[BatteryCall]], list[HeldCall]]
) -> list[BatteryCall]:
    """The same calls, in which the caller lets the agent greet before speaking, if it is one that greets."""
    silent = {**calls[0].scenario, "caller": [{"silence": True, "for": _GREETING_S}], "until": _GREETING_S}
    (held,) = hold_all([BatteryCall(silent, ())])
    return [_after_greeting(call) for call in calls] if held.agent else list(calls)


def _after_greeting(call: BatteryCall) -> BatteryCall:
    first, *others = call.scenario["caller"]
    first = {key: value for key, value in first.items() if key != "at"} | {"after": "playback_finished", "wait": 0.6}
    return replace(call, scenario={**call.scenario, "caller": [first, *others]})


def laid_over(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `more`, level by level."""
    out = dict(base)
    for key, value in more.items():
        inner = out.get(key)
        out[key] = laid_over(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return out


def _by_line(audible: Sequence[Interval], lines: "Sequence[Line]") -> list[Interval]:
    """What was heard of each of the caller's lines, as one interval: speech has gaps between its sounds."""
    heard: list[Interval] = []
    for line in lines:
        parts = [each for each in audible if each[0] < line.end and each[1] > line.at]
        if parts:
            heard.append((max(line.at, parts[0][0]), min(line.end, parts[-1][1])))
    return heard


def with_real_speech(calls: Sequence[BatteryCall]) -> list[BatteryCall]:
    """The same calls spoken by synthesisers, through a real detector and a real recogniser.

    The voice decides how long each thing takes. A hesitation becomes two sentences with a pause between, as its parts are
    spoken one by one.
    """
    return [_spoken(call, VOICES[number % len(VOICES)]) for number, call in enumerate(calls)]


def _spoken(call: BatteryCall, voice: str) -> BatteryCall:
    caller: list[dict[str, Any]] = []
    for step in call.scenario["caller"]:
        verb = next((name for name in _SPOKEN if name in step), None)
        if "hesitate" in step:
            first, second = step["hesitate"].split(" ... ")
            when = {key: step[key] for key in ("at", "after", "wait") if key in step}
            caller += [{**when, "say": first, "with": voice}, {"wait": step["pause"], "say": second, "with": voice}]
        elif verb is not None:
            caller.append({key: value for key, value in step.items() if key != "for"} | {"with": voice})
        else:
            caller.append(step)
    models = {**call.scenario["models"], **REAL_NODES}
    return replace(call, scenario={**call.scenario, "caller": caller, "models": models})
