"""The commands `replay`, `diff` and `keep`: what can be done with a tape."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_runtime.errors import UsageError

if TYPE_CHECKING:
    from agent_runtime.tape.replay import Replay
    from agent_runtime.worker.server import AgentServer

FILES = ("call.wav", "call.svg", "call.jsonl", "call.tape")


def add_tape_commands(commands: Any) -> None:
    """Add the commands to a command line's subparsers."""
    _add_replay(commands)
    _add_diff(commands)
    _add_keep(commands)


def _command(commands: Any, name: str, text: str, run: Callable[..., int]) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    made.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show tracebacks")
    made.set_defaults(run=run)
    return made


def _write(option: str, name: str, text: str) -> None:
    if name == "-":
        sys.stdout.write(text)
        return
    try:
        Path(name).write_text(text, "utf-8")
    except OSError as error:
        raise UsageError(f"{option} {name!r} cannot be written: {error.strerror}; name a file that can.") from error


# replay


def _add_replay(commands: Any) -> None:
    replay = _command(commands, "replay", "Make a recorded call again, in virtual time.", replay_command)
    replay.add_argument("tape", metavar="TAPE", help="what session.start(record=...) or console --record wrote")
    replay.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="with one thing changed: turn_handling.endpointing.min_delay=0.3, tts=local/espeak",
    )
    replay.add_argument("--json", metavar="OUT", help="write log, sound intervals and history there (-: here)")
    replay.add_argument("--svg", metavar="OUT", help="draw the call there")
    replay.add_argument("--wav", metavar="OUT", help="write its sound, caller left, agent right")
    replay.add_argument("--out", metavar="DIR", help=f"write {', '.join(FILES)} there")


def replay_command(options: argparse.Namespace, _: "Callable[[], AgentServer] | None" = None) -> int:
    """Run the command. Returns 0 where the log is the tape's (as far as it goes), or something was changed; else 1.

    Raises:
        UsageError: the file is no tape, a change cannot be, or something cannot be written.
    """
    from agent_runtime.tape.changes import Changes
    from agent_runtime.tape.replay import replay
    from agent_runtime.trace.tape import read_tape

    tape, changes = read_tape(options.tape), Changes.of(options.set)
    folder = _folder(options.out) if options.out is not None else None
    if folder is not None and (folder / "call.tape").exists() and (folder / "call.tape").samefile(tape.path):
        raise UsageError(f"--out {options.out!r} is where the tape lies that is replayed; name another folder.")
    result = replay(tape, changes, record=folder / "call.tape" if folder is not None else None)
    told = sys.stderr if options.json == "-" else sys.stdout
    print(summary(result, options.tape, changes.told), file=told)
    _keep(result, options, folder)
    as_far_as_it_goes = result.identical or (not result.virtual and result.same_decisions) or result.cut is not None
    return 0 if result.changed or as_far_as_it_goes else 1


def summary(result: "Replay", name: str, told: tuple[str, ...]) -> str:
    """How the replay went, in a few lines."""
    lines = [f"{name}: {len(result.lines)} events, {result.call.length:g} s"]
    if result.cut is not None:
        lines.append(f"The tape has no end: {result.cut}.")
    if result.changed:
        another = "the call goes another way; see what changed with 'agent-runtime diff'"
        lines.append(f"with {', '.join(told)}: {'the log is the same' if result.identical else another}")
    elif result.identical:
        lines.append("the same log, byte for byte")
    elif result.same_decisions:
        lines.append(f"the same decisions, every time within {1000 * result.furthest_s:.1f} ms (made in real time)")
    else:
        lines += _where_it_differs(result)
    return "\n".join([*lines, *result.notes])


def _where_it_differs(result: "Replay") -> list[str]:
    number = result.first_difference()
    if number is None:
        return ["the same decisions, at other times"]
    if result.cut is not None:
        return [f"the same log up to event {number} of {len(result.was)}; what came then is not whole on the tape"]
    pair = [log[number] if number < len(log) else None for log in (result.was, result.lines)]
    return [
        f"another log from event {number} on:",
        *(f"  {_line(who, e)}" for who, e in zip(("tape", "now"), pair, strict=True)),
    ]


def _line(who: str, event: Any) -> str:
    if event is None:
        return f"{who}: nothing"
    fields = " ".join(f"{key}={value!r}" for key, value in event.items() if key not in ("seq", "t", "type"))
    return f"{who}: {event['t']:.3f} {event['type']} {fields}"[:160]


def _folder(name: str) -> Path:
    folder = Path(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {name!r} cannot be made: {error.strerror}; name a folder that can be.") from error
    return folder


def _keep(result: "Replay", options: argparse.Namespace, folder: Path | None) -> None:
    import tempfile

    from agent_runtime.testing.command import draw, record_sound
    from agent_runtime.testing.result import to_json
    from agent_runtime.trace.log import encode

    if options.json is not None:
        _write("--json", options.json, to_json(result.call))
    if folder is not None:
        _write("--out", str(folder / "call.jsonl"), b"".join(map(encode, result.lines)).decode())
    places = [
        (Path(options.wav) if options.wav else None, Path(options.svg) if options.svg else None),
        (folder / "call.wav", folder / "call.svg") if folder is not None else (None, None),
    ]
    for wav, svg in places:
        if wav is None and svg is None:
            continue
        with tempfile.TemporaryDirectory() as temporary:
            recording = wav or Path(temporary) / "call.wav"
            record_sound(result.call, recording)
            if svg is not None:
                draw(result.call, recording, svg)


# diff


def _add_diff(commands: Any) -> None:
    diff = _command(commands, "diff", "Show two calls side by side, and what each turn gained or lost.", diff_command)
    diff.add_argument("a", metavar="A", help="a tape, or a call.jsonl")
    diff.add_argument("b", metavar="B", help="another")
    diff.add_argument("--svg", metavar="OUT", help="draw the two there")


def diff_command(options: argparse.Namespace, _: "Callable[[], AgentServer] | None" = None) -> int:
    """Run the command. Returns 0 where both calls are the same, else 1, as `diff` does."""
    from agent_runtime.tape.diff import Side, difference

    a, b = Side.read(options.a), Side.read(options.b)
    found = difference(a, b)
    print(found.text)
    if options.svg is not None:
        _write("--svg", options.svg, found.svg)
    return 0 if found.same else 1


# keep


def _add_keep(commands: Any) -> None:
    keep = _command(commands, "keep", "Make a scenario and a test of a recorded call.", keep_command)
    keep.add_argument("tape", metavar="TAPE", help="the call")
    keep.add_argument("path", metavar="DIR/NAME", help="writes DIR/NAME.yaml and DIR/test_NAME.py")
    keep.add_argument("--redact", action="store_true", help="with other words and other sound, of the same lengths")
    keep.add_argument("--force", action="store_true", help="replace what stands there")


def keep_command(options: argparse.Namespace, _: "Callable[[], AgentServer] | None" = None) -> int:
    """Run the command."""
    from agent_runtime.tape.keep import keep
    from agent_runtime.trace.tape import read_tape

    kept = keep(read_tape(options.tape), Path(options.path), redact=options.redact, force=options.force)
    print(kept.summary)
    return 0
