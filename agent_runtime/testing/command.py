"""The command `sim`: makes the calls of scenario files, and says whether they went as expected."""

import argparse
import itertools
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_runtime.errors import UsageError

if TYPE_CHECKING:
    from agent_runtime.testing.result import CallResult, Lane
    from agent_runtime.testing.scenario import Scenario
    from agent_runtime.worker.server import AgentServer

PIECE_S = 0.1
"""In pieces of this length the two sides of a call go to the recorder, which wants them about at the same time."""


def add_sim(commands: Any, *, with_script: bool) -> None:
    """Add the command to a command line's subparsers.

    Args:
        with_script: there is no script yet, so one may be named.
    """
    text = "Make simulated calls: scenario files, in virtual time."
    sim = commands.add_parser("sim", help=text, description=text)
    sim.add_argument("scenario", metavar="FILE.yaml|DIR", help="a scenario, or a folder of them")
    sim.add_argument(
        "--json", metavar="OUT", help="write log, sound intervals, history and expectations there (-: here)"
    )
    sim.add_argument("--svg", metavar="OUT", help="draw the call there; for a folder of scenarios, a folder")
    sim.add_argument("--wav", metavar="OUT", help="write its sound, caller left, agent right; for a folder, a folder")
    if with_script:
        sim.add_argument("--script", metavar="SCRIPT", help="call the agent of this script, as console does")
    sim.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show tracebacks")
    sim.set_defaults(run=sim_command)


def sim_command(options: argparse.Namespace, load: "Callable[[], AgentServer] | None") -> int:
    """Run the command. Returns 0 where every expectation was met, else 1.

    Args:
        load: gives the server of the script that is called; None: there is no script.

    Raises:
        UsageError: a file that is no scenario, or that cannot be written.
    """
    from agent_runtime.testing.result import to_json
    from agent_runtime.testing.timeline import complaints

    path = Path(options.scenario)
    scenarios = _scenarios(path)
    for option, name in (("--svg", options.svg), ("--wav", options.wav)):
        _prepare(option, name, folder=path.is_dir())
    told = sys.stderr if options.json == "-" else sys.stdout
    results = []
    for file, scenario in scenarios:
        result = _made(scenario, load)
        results.append(result)
        print(_summary(result), file=told)
        if not result.ok:
            print(complaints(result), file=told)
        _draw(result, file, options, folder=path.is_dir())
    if options.json is not None:
        _write(options.json, to_json(results if path.is_dir() else results[0]))
    return 0 if all(result.ok for result in results) else 1


def _scenarios(path: Path) -> "list[tuple[Path, Scenario]]":
    from agent_runtime.testing.scenario import Scenario, files_of

    return [(file, Scenario.load(file)) for file in (files_of(path) if path.is_dir() else [path])]


def _made(scenario: "Scenario", load: "Callable[[], AgentServer] | None") -> "CallResult":
    from agent_runtime import virtual
    from agent_runtime.testing.call import simulate

    if load is None:
        return simulate(scenario)
    from agent_runtime.testing.scripts import perform_with

    return virtual.run(perform_with(scenario, load()))  # loaded anew: no call finds what another has left


def _summary(result: "CallResult") -> str:
    met = sum(outcome.met for outcome in result.expectations)
    return f"{'ok' if result.ok else 'FAILED':6}  {result.name}  {result.length:g} s, {met} of {len(result.expectations)} met"


# Files


def _write(name: str, text: str) -> None:
    if name == "-":
        sys.stdout.write(text)
        return
    try:
        Path(name).write_text(text, "utf-8")
    except OSError as error:
        raise UsageError(f"--json {name!r} cannot be written: {error.strerror}; name a file that can.") from error


def _prepare(option: str, name: str | None, *, folder: bool) -> None:
    if name is None or not folder:
        return
    try:
        Path(name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{option} {name!r} is no folder: {error.strerror}; for a folder of scenarios name one."
        ) from error


def _draw(result: "CallResult", file: Path, options: argparse.Namespace, *, folder: bool) -> None:
    if options.wav is None and options.svg is None:
        return
    with tempfile.TemporaryDirectory() as temporary:
        wav = _place(options.wav, file, ".wav", folder=folder) or Path(temporary) / "call.wav"
        record_sound(result, wav)
        svg = _place(options.svg, file, ".svg", folder=folder)
        if svg is not None:
            draw(result, wav, svg)


def _place(name: str | None, file: Path, suffix: str, *, folder: bool) -> Path | None:
    if name is None:
        return None
    return Path(name) / f"{file.stem}{suffix}" if folder else Path(name)


def record_sound(result: "CallResult", path: Path) -> None:
    """Write a call's sound: caller left, agent right, sample 0 at the beginning of the call."""
    from agent_runtime.audio.frame import AudioFrame
    from agent_runtime.trace.recording import CallRecorder

    recorder = CallRecorder(path, started=0.0)
    caller, agent = (_pieces(track.lane(result.started, result.length)) for track in (result.heard, result.played))
    for number, (said, heard) in enumerate(itertools.zip_longest(caller, agent, fillvalue=b"")):
        recorder.caller(AudioFrame(said, result.heard.rate, at=number * PIECE_S))
        recorder.agent(number * PIECE_S, heard)
    recorder.close(result.length)
    if recorder.error is not None:
        raise UsageError(f"Cannot write {path}: {recorder.error.strerror}; make room, or name another file.")


def _pieces(lane: "Lane") -> Iterator[bytes]:
    size = 2 * round(PIECE_S * lane.rate)
    return (bytes(lane.pcm[first : first + size]) for first in range(0, len(lane.pcm), size))


def draw(result: "CallResult", recording: Path, path: Path) -> None:
    """Draw a call with its recording."""
    from agent_runtime.trace.picture import draw_call

    try:
        draw_call(result.log, recording, path, title=result.name)
    except OSError as error:
        raise UsageError(f"--svg '{path}' cannot be written: {error.strerror}; name a file that can.") from error
