"""The command `console`: chooses how to talk, runs the call, and tells about it."""

import argparse
import asyncio
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_runtime import clock, virtual
from agent_runtime.audio.wav import read_wav
from agent_runtime.errors import DeviceError, UsageError
from agent_runtime.io.call import CallerFromFile, ConsoleCall, Kept, Recorder
from agent_runtime.io.memory import ClockSink
from agent_runtime.io.wav import WavSource
from agent_runtime.trace.table import call_table
from agent_runtime.trace.waterfall import waterfalls

if TYPE_CHECKING:
    from agent_runtime.session import AgentSession
    from agent_runtime.worker.server import AgentServer

LeadServer = Callable[[], "AgentServer"]


def console(options: argparse.Namespace, server: LeadServer, script: Path) -> int:
    """Run the command; returns the exit status."""
    if options.list_devices:
        from agent_runtime.io.portaudio import list_devices

        print(list_devices())
        return 0
    if options.text:
        if options.input:
            raise UsageError("--text and --input exclude each other: take one of them.")
        return _in_text(server())
    if options.input:
        return _played(server(), options, Path(options.input))
    missing = _missing_sound(options)
    if missing is None:
        return _live(server(), options)
    recording = script.with_suffix(".wav")
    if options.input_device or options.output_device or not recording.is_file():
        raise DeviceError(missing)
    print(f"{missing}\nSo {recording} plays the caller.")
    return _played(server(), options, recording)


def _missing_sound(options: argparse.Namespace) -> str | None:
    """One sentence on why there is no microphone or speaker; None where both are there."""
    from agent_runtime.io.portaudio import find

    try:
        find(options.input_device, "input")
        find(options.output_device, "output")
    except DeviceError as error:
        return str(error)
    return None


# A recording as the caller


def _played(server: "AgentServer", options: argparse.Namespace, path: Path) -> int:
    recording = read_wav(path)
    for note in recording.notes:
        print(note)
    folder = _folder(options.out or ".")

    async def call() -> tuple[Kept, bool]:
        recorder = Recorder(folder, _complain)
        caller = CallerFromFile(WavSource(recording))

        async def until_done(session: "AgentSession[Any]") -> None:
            await caller.recorded.wait()
            await clock.sleep(session.turn_handling.endpointing.max_delay + 0.1)
            await session.wait_for_idle()

        one = ConsoleCall(
            server,
            source=caller,
            sink=ClockSink(on_played=recorder.played),
            recorder=recorder,
            on_session=lambda session: None,
            until=until_done,
        )
        return await one.run(), not recorder.failed

    if options.realtime:
        kept, whole = asyncio.run(call())
    else:
        kept, whole = virtual.run(call(), wall_start=_now(options.now))
    return _report(kept, folder, whole, title="heard gap" if options.realtime else "policy time")


def _now(text: str | None) -> datetime:
    if text is None:
        return virtual.WALL_START
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--now is {text!r}; write a date and time such as 2026-01-05T09:30:00+00:00.") from None
    return moment if moment.tzinfo is not None else moment.astimezone()


def _folder(name: str) -> Path:
    folder = Path(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"--out {name!r} cannot be made: {error.strerror}; name a folder that can be written."
        ) from error
    return folder


def _complain(sentence: str) -> None:
    print(f"agent-runtime: {sentence}", file=sys.stderr)


def _report(kept: Kept, folder: Path, whole: bool, *, title: str) -> int:
    from agent_runtime.trace.picture import draw_call
    from agent_runtime.trace.table import transcript

    print(transcript(kept.events))
    print()
    print(call_table(waterfalls(kept.events), title=title))
    if kept.machine_s and kept.length_s:
        print()
        took = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in kept.machine_s.items())
        print(f"machine time for {kept.length_s:.1f} s of call: {took}")
    if whole:
        try:
            draw_call(kept.events, folder / "call.wav", folder / "call.svg")
            print(f"written: {', '.join(str(folder / name) for name in ('call.wav', 'call.svg', 'call.jsonl'))}")
        except OSError as error:
            _complain(f"Cannot write {folder / 'call.svg'}: {error.strerror or error}; make room, or use --out.")
            whole = False
    if kept.failure is not None:
        raise kept.failure
    if kept.signal is not None:
        return 128 + kept.signal
    return 0 if whole else 1


# Live


def _live(server: "AgentServer", options: argparse.Namespace) -> int:
    raise UsageError("Live sound is being wired.")


def _in_text(server: "AgentServer") -> int:
    raise UsageError("Text is being wired.")


def explain_script(server: "AgentServer", script: Path) -> int:
    raise UsageError("Explain is being wired.")
