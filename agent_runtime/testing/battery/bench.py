"""The command `bench turns`: holds the battery, and prints every figure beside what it is to be."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_runtime.errors import UsageError

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from agent_runtime.testing.battery.calls import BatteryCall
    from agent_runtime.testing.battery.holding import HeldCall, LoadServer
    from agent_runtime.testing.battery.measures import Measured
    from agent_runtime.testing.battery.sweep import Point

CALLS = 200
SWEEP_CALLS = 30
REAL_CALLS = 40
"""Recognising speech takes its time, so there are fewer of these, unless `--calls` says how many."""

_MOST_CAUSES = 10
"""For each target; `--json` has all."""

DESCRIPTION = """\
Measure how turns are taken: generated calls with pauses, interruptions, murmurs, coughs, asides and noises, held in
virtual time, and the figures of tau-voice and EVA-Bench over them, each beside its target.
"""


def add_bench(commands: Any) -> None:
    """Add the command to a command line's subparsers; `options.run(options, load)` runs it."""
    text = "Measure what an agent does in a call."
    kinds = commands.add_parser("bench", help=text, description=text).add_subparsers(
        dest="bench", required=True, metavar="WHAT"
    )
    turns = kinds.add_parser("turns", help="how turns are taken", description=DESCRIPTION)
    turns.add_argument("--script", metavar="SCRIPT", help="call the agent of this script, with its own settings")
    turns.add_argument("--calls", metavar="N", type=_count, help=f"how many ({CALLS}; with real speech {REAL_CALLS})")
    turns.add_argument("--seed", metavar="N", type=int, default=1, help="which battery (1)")
    turns.add_argument("--real-speech", action="store_true",
                       help="also with spoken words, through local/silero and local/pocketsphinx")  # fmt: skip
    turns.add_argument("--no-sweep", action="store_true", help="measure the settings as they are, and no others")
    turns.add_argument("--sweep-calls", metavar="N", type=_count, default=SWEEP_CALLS,
                       help=f"calls for each combination of settings ({SWEEP_CALLS})")  # fmt: skip
    turns.add_argument("--json", metavar="OUT", help="write figures, causes, and who was heard when there")
    turns.add_argument("--svg", metavar="OUT", help="draw the sweep there")
    turns.add_argument("--out", metavar="OUT", help="write what is printed there too")
    turns.add_argument("--processes", metavar="N", type=_count, help="how many calls at the same time (2)")
    turns.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show tracebacks")
    turns.set_defaults(run=bench_command)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no count; give a whole number from 1 on")
    return int(text)


def bench_command(options: argparse.Namespace, load: "LoadServer | None" = None) -> int:
    """Run the command. Returns 0 where every target is met by the scripted calls, else 1.

    Args:
        load: gives the server of a script; it must be a function of a module, so that other processes find it.

    Raises:
        UsageError: options that do not go together, or a file that cannot be written.
    """
    for option in ("json", "svg", "out"):
        _check_writable(option, getattr(options, option))
    if options.script is not None and options.svg is not None:
        raise UsageError(
            "--svg draws the sweep, which changes the settings, and --script keeps its own; leave out one."
        )
    if options.no_sweep and options.svg is not None:
        raise UsageError("--svg draws the sweep; leave out --no-sweep.")
    from agent_runtime.testing.battery.holding import PROCESSES, processes

    with processes(options.processes or PROCESSES) as pool:
        return _Bench(options, load, pool).run()


def _check_writable(option: str, name: str | None) -> None:
    """Minutes of work are not to end in a name that was wrong from the beginning."""
    if name is not None and not Path(name).absolute().parent.is_dir():
        raise UsageError(f"--{option} {name!r} is in no folder that exists; make the folder, or name another file.")


class _Bench:
    """One run: measures, prints, and keeps what is to be written."""

    def __init__(self, options: argparse.Namespace, load: "LoadServer | None", pool: "Executor | None") -> None:
        from agent_runtime.testing.battery.holding import hold_all

        self._options = options
        self._hold_all = partial(
            hold_all,
            script=options.script,
            load=load if options.script is not None else None,
            pool=pool,
        )
        self._printed: list[str] = []
        self._kept: dict[str, Any] = {"seed": options.seed, "script": options.script}

    def run(self) -> int:
        from agent_runtime.testing.battery.calls import INJECTED_S, battery, shares
        from agent_runtime.testing.battery.holding import waiting_for_greeting, with_real_speech
        from agent_runtime.testing.battery.measures import TARGETS

        options = self._options
        calls = battery(options.calls or CALLS, options.seed)
        if options.script is not None:
            calls = waiting_for_greeting(calls, self._hold_all)
        count = ", ".join(f"{number} {name}" for name, number in shares(calls).items())
        self._say(f"{len(calls)} calls of battery {options.seed}: {count}.")
        self._say(f"Scripted models take {INJECTED_S:g} s together; a tick is 0.2 s; latencies to the right are exact.")
        measured = self._measure(f"Scripted speech, {options.script or 'the default settings'}", calls, "scripted")
        if options.real_speech:
            real = calls[: options.calls or REAL_CALLS]
            self._measure(
                "Real speech: flite and espeak through local/silero and local/pocketsphinx",
                with_real_speech(real),
                "real_speech",
            )
        if options.script is None and not options.no_sweep:
            self._sweep(battery(options.sweep_calls, options.seed))
        if options.json is not None:
            _write("json", options.json, (json.dumps(self._kept, indent=1, ensure_ascii=False) + "\n").encode())
        missed = [target.name for target in TARGETS if not target.kept(measured)]
        self._say()
        self._say(
            f"{len(TARGETS) - len(missed)} of {len(TARGETS)} targets met."
            + (f" MISSED: {', '.join(missed)}." if missed else "")
        )
        if options.out is not None:
            _write("out", options.out, ("\n".join(self._printed) + "\n").encode())
        return 1 if missed else 0

    def _say(self, line: str = "") -> None:
        self._printed.append(line.rstrip())
        print(self._printed[-1], flush=True)

    def _title(self, text: str) -> None:
        for line in ("", text, "-" * len(text)):
            self._say(line)

    def _measure(self, title: str, calls: "Sequence[BatteryCall]", name: str) -> "Measured":
        from agent_runtime.testing.battery.measures import as_plain, measure

        held = self._hold_all(calls)
        measured = measure(held)
        self._title(title)
        for line in panel_lines(measured):
            self._say(line)
        for line in cause_lines(measured):
            self._say(line)
        for line in _failures(held):
            self._say(line)
        self._kept[name] = {**as_plain(measured), "held": [_plain_call(call) for call in held]}
        return measured

    def _sweep(self, calls: "Sequence[BatteryCall]") -> None:
        from agent_runtime.testing.battery import plot, sweep
        from agent_runtime.testing.battery.measures import as_plain

        self._title(f"Sweep: {len(calls)} calls for each combination; * is the default, + what no other beats in both")
        own = sweep.defaults()
        points = sweep.swept(calls, self._hold_all, _Progress(len(list(sweep.grid()))))
        for line in sweep_lines(points):
            self._say(line)
        self._kept["sweep"] = [
            {"threshold": p.knobs.threshold, "min_delay": p.knobs.min_delay, "max_delay": p.knobs.max_delay}
            | {key: value for key, value in as_plain(p.measured).items() if key not in ("causes", "targets")}
            for p in points
        ]
        if self._options.svg is not None:
            title = f"Turn-taking: {len(calls)} calls, models of 0.6 s"
            picture = plot.draw(
                points, default=own, latency_limit=sweep.LATENCY_LIMIT_S, interrupts_limit=0.10, title=title
            )
            _write("svg", self._options.svg, picture)


# What is printed


class _Progress:
    """Counts on a terminal's last line; nothing where nobody watches."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0

    def __call__(self, _: object) -> None:
        self._done += 1
        if sys.stderr.isatty():
            end = "\r" if self._done < self._total else "\r\033[K"
            print(f"{self._done} of {self._total} combinations", end=end, file=sys.stderr, flush=True)


def panel_lines(measured: "Measured") -> Iterator[str]:
    """The table of figures, targets and verdicts."""
    from agent_runtime.testing.battery.measures import TARGETS
    from agent_runtime.trace.table import percentile

    yield f"{'':34}{'ours':>8}  {'target':>9}  {'':8}{'of':>6}"
    for target in TARGETS:
        value = target.of(measured)
        rate = target.rate(measured.panel) if target.rate is not None else None
        limit = f"{'>=' if target.at_least else '<='} {target.limit:.2f}"
        verdict = "OK" if target.kept(measured) else "MISSED"
        of = str(rate.total) if rate is not None else ""
        exact = ""
        if target.name.startswith("response latency"):
            of = str(measured.panel.response_rate.count)
            shown = [measured.exact.response_latency, *(percentile(measured.latencies, p) for p in (0.5, 0.9))]
            exact = f"{_figure(shown[0])} (p50 {_figure(shown[1])}, p90 {_figure(shown[2])})"
        elif target.name.startswith("yield latency"):
            of = str(measured.panel.yield_rate.count)
            exact = _figure(measured.exact.yield_latency)
        elif target.name.startswith("EVA"):
            of = str(measured.passed.total)
            exact = f"{measured.passed.count} of {measured.passed.total} calls pass"
        elif target.what in ("tic", "non_directed"):
            over, silent = (_share(measured, target.what, while_speaking=each) for each in (True, False))
            exact = f"{over} over the agent, {silent} in silence"
        yield f"{target.name:34}{_figure(value):>8}  {limit:>9}  {verdict:8}{of:>6}  {exact}"
    kept, noise = measured.panel.pauses_kept, measured.panel.noise_ignored
    yield f"{'silent in pauses of a turn':34}{_figure(kept.value):>8}  {'':>9}  {'':8}{kept.total:>6}"
    yield f"{'goes on over noises':34}{_figure(noise.value):>8}  {'':>9}  {'':8}{noise.total:>6}"


def cause_lines(measured: "Measured") -> Iterator[str]:
    """What the misses were about, and what cost EVA's score."""
    from agent_runtime.testing.battery.measures import causes

    found = causes(measured)
    if found:
        yield ""
        yield "What was missed:"
    for measure, same in groupby(found, key=lambda cause: cause.measure):
        listed = list(same)
        for cause in listed[:_MOST_CAUSES]:
            numbers = ", ".join(name.split()[1] for name in cause.calls[:4]) + (", ..." if len(cause.calls) > 4 else "")
            yield f"  {measure}: {cause.what}: {cause.missed} of {cause.total} (calls {numbers})"
        if len(listed) > _MOST_CAUSES:
            rest = sum(cause.missed for cause in listed[_MOST_CAUSES:])
            yield f"  {measure}: {rest} more of {len(listed) - _MOST_CAUSES} kinds"
    costs = [
        f"{route} {cost:.3f} ({turns} turns)" for route, (turns, cost) in measured.routes.items() if cost >= 0.0005
    ]
    if costs:
        yield ""
        yield f"EVA's score is less than 1 by: {', '.join(costs)}."


def _failures(held: "Sequence[HeldCall]") -> Iterator[str]:
    failed = [call for call in held if call.failure is not None]
    if failed:
        yield ""
        yield f"Not held to their end: {len(failed)} calls, for example {failed[0].name}: {failed[0].failure}"


def sweep_lines(points: "Sequence[Point]") -> Iterator[str]:
    """A line for each combination."""
    from agent_runtime.testing.battery.sweep import best, defaults

    own, front = defaults(), best(points)
    yield (
        f"  {'threshold':>9} {'min_delay':>9} {'max_delay':>9}  {'latency':>7} {'p90':>5}  {'interrupts':>10} {'pauses':>6}"
        f"  {'yields':>6} {'murmur':>6} {'tics':>5} {'aside':>5}  {'EVA':>5}"
    )
    for point in points:
        knobs, panel = point.knobs, point.measured.panel
        mark = ("*" if knobs == own else " ") + ("+" if knobs in front else " ")
        rates = (panel.yield_rate, panel.backchannels_ignored, panel.tics_ignored, panel.non_directed_ignored)
        yields, murmurs, tics, asides = (_figure(rate.value) for rate in rates)
        threshold = "graded" if knobs.threshold is None else f"{knobs.threshold:g}"
        yield (
            f"{mark}{threshold:>9} {knobs.min_delay:>9g} {knobs.max_delay:>9g}  {_figure(point.latency):>7} "
            f"{_p90(point):>5}  {_figure(point.interrupts):>10} {_figure(panel.pauses_kept.value):>6}"
            f"  {yields:>6} {murmurs:>6} {tics:>5} {asides:>5}  {_figure(point.measured.turn_taking):>5}"
        )


def _share(measured: "Measured", what: str, *, while_speaking: bool) -> str:
    those = [each.good for _, each in measured.found if each.what == what and each.while_speaking is while_speaking]
    return _figure(sum(those) / len(those)) if those else "-"


def _p90(point: "Point") -> str:
    from agent_runtime.trace.table import percentile

    return _figure(percentile(point.measured.latencies, 0.9))


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}" if value >= 0.9995 else f"{value:.3f}"


def _plain_call(call: "HeldCall") -> dict[str, Any]:
    labels = [{"kind": each.kind, "text": each.text, "owed": each.owed, "pause": each.pause} for each in call.labels]
    return {
        "name": call.name,
        "audible": {"caller": [list(each) for each in call.caller], "agent": [list(each) for each in call.agent]},
        "labels": labels,
        "failure": call.failure,
    }


def _write(option: str, name: str, content: bytes) -> None:
    try:
        Path(name).write_bytes(content)
    except OSError as error:
        raise UsageError(f"--{option} {name!r} cannot be written: {error.strerror}; name a file that can.") from error
