"""The command `sim`: makes the calls of scenario files, and says whether they went as expected."""

import argparse
import itertools
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_runtime.errors import AgentRuntimeError, UsageError

if TYPE_CHECKING:
    from agent_runtime.testing.result import CallResult, Lane
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
    sim.add_argument("scenario", metavar="FILE.yaml|DIR", help="a scenario, or a folder with scenarios in it and below")
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
    """Run the command. Returns 0 where every expectation was met, else 1, or 2 where calls of a folder could not be made.

    Args:
        load: gives the server of the script that is called; None: there is no script.

    Raises:
        UsageError: a file that is no scenario, a folder without any, or what is to be written cannot be.
    """
    from agent_runtime.testing.result import to_json
    from agent_runtime.testing.scenario import files_of
    from agent_runtime.testing.timeline import complaints

    path = Path(options.scenario)
    folder = path if path.is_dir() else None
    files = files_of(path) if folder else [path]
    for option, name in (("--svg", options.svg), ("--wav", options.wav)):
        _prepare(option, name, folder=folder is not None)
    told = sys.stderr if options.json == "-" else sys.stdout
    results = []
    for file in files:
        server = load() if load is not None else None  # loaded anew: no call finds what another has left
        result = _made(file, server) if folder is None else _made_if_good(file, server, options)
        if result is None:
            continue
        results.append(result)
        print(_summary(result), file=told)
        if not result.ok:
            print(complaints(result), file=told)
        _draw(result, file, options, folder)
    if options.json is not None:
        _write(options.json, to_json(results if folder else results[0]))
    if len(results) < len(files):
        return 2
    return 0 if all(result.ok for result in results) else 1


def _made_if_good(file: Path, server: "AgentServer | None", options: argparse.Namespace) -> "CallResult | None":
    """The call of one file among others; None where it cannot be made, which is told."""
    try:
        return _made(file, server)
    except Exception as error:  # also what a script raises: the other files are not to wait for it
        if getattr(options, "debug", False):
            traceback.print_exception(error)
        sentence = str(error)
        if not isinstance(error, AgentRuntimeError):
            sentence = f"its call raised {type(error).__name__}: {error}; mend it, or add --debug for the traceback."
        where = "" if str(file) in sentence else f"{file}: "
        print(f"agent-runtime: {where}{sentence}", file=sys.stderr)
        return None


def _made(file: Path, server: "AgentServer | None") -> "CallResult":
    from agent_runtime import virtual
    from agent_runtime.testing.call import simulate
    from agent_runtime.testing.scenario import Scenario

    scenario = Scenario.load(file)
    if server is None:
        return simulate(scenario)
    from agent_runtime.testing.scripts import perform_with

    return virtual.run(perform_with(scenario, server))


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


def _draw(result: "CallResult", file: Path, options: argparse.Namespace, folder: Path | None) -> None:
    if options.wav is None and options.svg is None:
        return
    with tempfile.TemporaryDirectory() as temporary:
        wav = _place("--wav", options.wav, file, ".wav", folder) or Path(temporary) / "call.wav"
        record_sound(result, wav)
        svg = _place("--svg", options.svg, file, ".svg", folder)
        if svg is not None:
            draw(result, wav, svg)


def _place(option: str, name: str | None, file: Path, suffix: str, folder: Path | None) -> Path | None:
    """Where a picture or a sound goes; for a folder of scenarios in folders like those of the files."""
    if name is None or folder is None:
        return None if name is None else Path(name)
    place = (Path(name) / file.relative_to(folder)).with_suffix(suffix)
    _prepare(option, str(place.parent), folder=True)
    return place


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
