"""The command `console`: chooses how to talk, runs the call, and tells about it."""

import argparse
import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from agent_runtime import clock, events, virtual
from agent_runtime.audio.wav import read_wav
from agent_runtime.errors import DeviceError, UsageError
from agent_runtime.io.call import BEGIN_S, SPEAKS_ON_S, START, CallerFromFile, ConsoleCall, Kept, Recorder, has_ended
from agent_runtime.io.controls import SessionControls, read_keys
from agent_runtime.io.memory import ClockSink
from agent_runtime.io.terminal import TerminalView
from agent_runtime.io.wav import WavSource
from agent_runtime.trace.file import check_new
from agent_runtime.trace.table import call_table
from agent_runtime.trace.waterfall import waterfalls

if TYPE_CHECKING:
    from agent_runtime.agent import Agent
    from agent_runtime.inference.descriptor import Kind
    from agent_runtime.io.sound import EchoMode, SoundDevices
    from agent_runtime.session import AgentSession
    from agent_runtime.worker.server import AgentServer

FILES = ("call.wav", "call.svg", "call.jsonl")

PATIENCE_S = 60.0
"""How long a played or piped call waits for an agent from whom nothing comes."""

WITHOUT: dict["Kind", str] = {
    "stt": "what the caller says is not understood",
    "llm": "nothing is answered but what say() and overridden nodes say",
    "tts": "the agent writes instead of speaking",
}


def console(options: argparse.Namespace, server: Callable[[], "AgentServer"], script: Path) -> int:
    """Run the command; returns the exit status.

    Args:
        server: loads the script.
        script: where it is: a recording of the same name beside it plays the caller where there are no devices.
    """
    if options.list_devices:
        from agent_runtime.io.portaudio import list_devices

        print(list_devices())
        return 0
    _check(options)
    loaded = server()
    if options.text:
        return _in_text(loaded, options)
    if options.input is not None:
        return _played(loaded, options, Path(options.input))
    missing = _missing_sound(options)
    if missing is None:
        return _live(loaded, options)
    recording = script.with_suffix(".wav")
    if options.input_device or options.output_device or not recording.is_file():
        raise DeviceError(missing)
    print(f"{missing} Meanwhile {recording} plays the caller.", flush=True)
    return _played(loaded, options, recording)


def _check(options: argparse.Namespace) -> None:
    """Refuse options that would go without effect, an empty path, and a tape where something stands."""
    if options.record is not None:
        check_new(Path(options.record))
    if options.input == "":
        raise UsageError("The path given as --input is empty; name a WAV file.")
    if not options.text and options.input is None:
        return
    idle = {
        "--input-device": options.input_device,
        "--output-device": options.output_device,
        "--no-aec": options.no_aec or None,
        "--half-duplex": options.half_duplex or None,
    }
    if options.text:
        idle = {"--input": options.input, "--now": options.now, "--realtime": options.realtime or None, **idle}
    for name, value in idle.items():
        if value is not None:
            other = "--text" if options.text else "--input"
            raise UsageError(f"{other} and {name} exclude each other; take one of them.")


def _missing_sound(options: argparse.Namespace) -> str | None:
    """One sentence on why there is no microphone or speaker; None where both are there."""
    from agent_runtime.io.portaudio import find

    try:
        find(options.input_device, "input")
        find(options.output_device, "output")
    except DeviceError as error:
        return str(error)
    return None


def _folder(name: str) -> Path:
    folder = Path(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"--out {name!r} cannot be made: {error.strerror}; name a folder that can be written."
        ) from error
    return folder


def _view(*, written: bool = False, live: bool = True) -> TerminalView:
    return TerminalView(sys.stdout, live=live and sys.stdout.isatty(), written=written)


# A recording as the caller


def _played(server: "AgentServer", options: argparse.Namespace, path: Path) -> int:
    if path.is_file() and path.stat().st_size == 0:
        raise UsageError(f"--input '{path}' is empty; record it again or name another WAV file.")
    recording = read_wav(path)
    for note in recording.notes:
        print(note)
    folder = _folder(options.out or ".")
    if _is_inside(path, folder):
        raise UsageError(f"The call's own recording would replace --input '{path}'; name another folder with --out.")
    wall_start = _now(options.now)

    async def call() -> tuple[Kept, Recorder]:
        with _view(live=options.realtime) as view:
            recorder = Recorder(folder, _complain)
            caller = CallerFromFile(WavSource(recording))
            one = ConsoleCall(
                server,
                source=caller,
                sink=ClockSink(on_played=recorder.played),
                recorder=recorder,
                record=options.record,
                say=print if options.realtime else None,
                on_session=lambda session, agent: _watch(session, agent, view),
                until=lambda session: _heard_out(session, caller),
            )
            return await one.run(), recorder

    if options.realtime:
        kept, recorder = asyncio.run(call())
        return _report(kept, recorder, title="heard gap")
    kept, recorder = virtual.run(call(), wall_start=wall_start)
    return _report(kept, recorder, title="policy time")


def _is_inside(path: Path, folder: Path) -> bool:
    """Whether one of the files that a call writes there is this one."""
    return any(each.exists() and each.samefile(path) for each in (folder / name for name in FILES))


def _watch(session: "AgentSession[Any]", agent: "Agent", view: TerminalView) -> None:
    for sentence in _lacks(session, agent, written=view.written):
        view.note(sentence, "warning")
    session.log.subscribe(view)


def _lacks(session: "AgentSession[Any]", agent: "Agent", *, written: bool) -> list[str]:
    """A sentence for each node whose want the user will notice."""
    from agent_runtime.agent import Agent
    from agent_runtime.inference.descriptor import DEFAULTS, WHAT

    nodes = {"stt": session.stt, "llm": session.models.llm_of(agent), "tts": session.models.tts_of(agent)}
    return [
        f"This session has no {WHAT[kind]}: {without}; give AgentSession({kind}={DEFAULTS[kind]!r})."
        for kind, without in WITHOUT.items()
        if nodes[kind] is None
        and getattr(type(agent), f"{kind}_node") is getattr(Agent, f"{kind}_node")
        and (kind == "llm" or not written)
    ]


async def _heard_out(session: "AgentSession[Any]", caller: CallerFromFile) -> None:
    """The recording is over, its last turn has become final, and the agent is done with it."""
    await caller.recorded.wait()
    await clock.sleep(session.turn_handling.endpointing.max_delay + 0.1)
    if not await has_ended(_unless_stuck(session, session.wait_for_idle()), within_s=SPEAKS_ON_S):
        _complain(f"The agent has gone on for {SPEAKS_ON_S:g} s after its caller's end; the call ends here.")


async def _unless_stuck(session: "AgentSession[Any]", done: Coroutine[Any, Any, None]) -> None:
    """Wait for `done`, but not for a tool or a model that never ends: nobody is there who would hang up."""
    tasks = [asyncio.ensure_future(done), asyncio.ensure_future(_stuck(session))]
    try:
        finished, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0] not in finished:
            _complain(f"Nothing has happened for {PATIENCE_S:g} s while the agent is at work; the call ends here.")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in finished:
        task.result()


async def _stuck(session: "AgentSession[Any]") -> None:
    """Return when the agent has been at work for so long with nothing to show but that it is late."""

    def look(event: events.Event | None) -> None:
        if session.agent_state != "thinking":
            deadline.pause()
        elif not isinstance(event, events.Stalled):
            deadline.restart()

    deadline = clock.Deadline(PATIENCE_S)
    with contextlib.suppress(TimeoutError), contextlib.ExitStack() as stack:
        async with deadline:
            stack.callback(session.log.subscribe(look))
            look(None)
            await asyncio.get_running_loop().create_future()


def _now(text: str | None) -> datetime:
    if text is None:
        return virtual.WALL_START
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.astimezone()
        _ = moment.astimezone(UTC) + timedelta(days=1)  # there must be room for a call, and for another zone
    except (ValueError, OverflowError):
        raise UsageError(f"--now is {text!r}; write a date and time such as 2026-01-05T09:30:00+00:00.") from None
    return moment


# Live


def _live(server: "AgentServer", options: argparse.Namespace) -> int:
    from agent_runtime.io.sound import SoundDevices, stderr_to

    echo: EchoMode = "headphones" if options.no_aec else "half-duplex" if options.half_duplex else "aec"
    folder = _folder(options.out) if options.out else None

    async def call() -> tuple[Kept, Recorder | None]:
        with _view() as view:
            recorder = Recorder(folder, view.note) if folder is not None else None
            devices = SoundDevices(options.input_device, options.output_device, echo=echo)
            if recorder is not None:
                devices.speaker.on_played = recorder.played
            async with devices:
                _say_echo(view, devices)
                one = ConsoleCall(
                    server,
                    source=devices.microphone,
                    sink=devices.speaker,
                    recorder=recorder,
                    record=options.record,
                    say=print,
                    on_session=lambda session, agent: _connect(session, agent, view, devices),
                    until=lambda session: _keys(SessionControls(session, devices.microphone, one.quit), view),
                )
                return await one.run(), recorder

    with stderr_to(os.devnull), _heap_given_back():  # ALSA and PortAudio write over the screen
        kept, recorder = asyncio.run(call())
    return _report(kept, recorder, title="heard gap")


def _set_heap_aside(event: events.Event) -> None:
    """What has been loaded stays to the end: a full collection would look through it, and hold a turn for 20 ms."""
    gc.collect()
    gc.freeze()


@contextlib.contextmanager
def _heap_given_back() -> Iterator[None]:
    try:
        yield
    finally:
        gc.unfreeze()


def _say_echo(view: TerminalView, devices: "SoundDevices") -> None:
    if devices.note is not None:
        view.note(devices.note, "warning")
    elif devices.echo == "half-duplex":
        view.note("The microphone is off while the agent speaks.")
    elif devices.echo == "headphones":
        view.note("No echo cancellation: wear headphones, or the agent hears itself.")


def _connect(session: "AgentSession[Any]", agent: "Agent", view: TerminalView, devices: "SoundDevices") -> None:
    _watch(session, agent, view)
    session.log.subscribe(_set_heap_aside, events.SessionStarted)
    names: dict[str, Literal["microphone", "speaker"]] = {"input": "microphone", "output": "speaker"}

    def lost(kind: str, sentence: str) -> None:
        session.log.append(events.DeviceLost(at=clock.now(), device=names[kind], message=sentence))

    def returned(kind: str, sentence: str) -> None:
        session.log.append(events.DeviceReturned(at=clock.now(), device=names[kind], message=sentence))

    devices.on_lost, devices.on_returned = lost, returned


async def _keys(controls: SessionControls, view: TerminalView) -> None:
    await read_keys(controls, view)
    await asyncio.get_running_loop().create_future()  # without keys the call goes on until it is ended otherwise


# In text


def _in_text(server: "AgentServer", options: argparse.Namespace) -> int:
    folder = _folder(options.out) if options.out else None

    async def call() -> Kept:
        with _view(written=True) as view:
            one = ConsoleCall(
                server,
                source=None,
                sink=None,
                recorder=Recorder(folder, view.note, sound=False) if folder is not None else None,
                record=options.record,
                say=print,
                on_session=lambda session, agent: _watch(session, agent, view),
                until=lambda session: _typed(session, view),
            )
            return await one.run()

    kept = asyncio.run(call())
    whole = _tell_files(kept, None)
    status = _status(kept)
    return status if whole or status else 1


async def _typed(session: "AgentSession[Any]", view: TerminalView) -> None:
    from agent_runtime.io.typed import converse_in_text

    conversation = converse_in_text(session, view)
    await (conversation if view.live else _unless_stuck(session, conversation))


# Afterwards


def _report(kept: Kept, recorder: Recorder | None, *, title: str) -> int:
    if kept.signal == signal.SIGHUP or not kept.events:  # nobody is left to read it; there is nothing to tell
        return _status(kept)
    print()
    print(call_table(waterfalls(kept.events), title=title))
    if kept.machine_s and kept.length_s:
        took = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in kept.machine_s.items())
        print(f"\nmachine time for {kept.length_s:.1f} s of call: {took}")
    whole = _tell_files(kept, recorder)
    status = _status(kept)
    return status if whole or status else 1


def _tell_files(kept: Kept, recorder: Recorder | None) -> bool:
    """Draw the call, and say what was written; whether it is all there."""
    drawn = recorder is not None and _draw(kept, recorder)
    written = [recorder.folder / name for name in FILES] if recorder is not None and drawn else []
    tape = kept.tape
    if tape is not None and tape.error is None:
        written.append(tape.path)
    elif tape is not None and tape.error is not None:
        why = tape.error.strerror or tape.error
        _complain(
            f"Cannot write {tape.path}: {why}; the tape ends before the call. Make room, or name another --record."
        )
    if written:
        print(f"written: {', '.join(map(str, written))}")
    return (drawn or recorder is None) and (tape is None or tape.error is None)


def _draw(kept: Kept, recorder: Recorder) -> bool:
    from agent_runtime.trace.picture import draw_call

    folder = recorder.folder
    if recorder.failed:
        _complain(
            f"Cannot write {folder / 'call.svg'}: the recording is not whole; make room, or name another folder with --out."
        )
        return False
    try:
        draw_call(kept.events, folder / "call.wav", folder / "call.svg")
    except OSError as error:
        _complain(f"Cannot write {folder / 'call.svg'}: {error.strerror or error}; make room, or name another --out.")
        return False
    return True


def _status(kept: Kept) -> int:
    if kept.failure is not None:
        raise kept.failure
    if kept.late:
        _complain(f"The entrypoint ended after the call with: {kept.late}")
    if kept.signal is None and not kept.events:
        print("The call ended before its session started.")
    return 0 if kept.signal is None else 128 + kept.signal


def _complain(sentence: str) -> None:
    print(f"agent-runtime: {sentence}", file=sys.stderr)


# Explain


class _Planned(BaseException):
    """Raised where the script would start its session: this is as far as an explanation goes."""


class _PlanRoom:
    """A room that stops the script at `session.start()`."""

    name = "plan"

    def __init__(self) -> None:
        self.found: tuple[AgentSession[Any], Agent] | None = None

    def attach(self, session: "AgentSession[Any]", agent: "Agent", *given: object) -> NoReturn:
        self.found = (session, agent)
        raise _Planned


def explain_script(options: argparse.Namespace, server: Callable[[], "AgentServer"], script: Path) -> int:
    """Run the command `explain`: the script runs up to its session's start, and nothing is started."""
    from agent_runtime.explain import explain
    from agent_runtime.inference.descriptor import planning
    from agent_runtime.worker.job import JobContext

    loaded, room = server(), _PlanRoom()

    async def run() -> None:
        try:
            async with asyncio.timeout(BEGIN_S) as limit:
                await loaded.entrypoint(JobContext(room=room, proc=loaded.process()))
        except _Planned:
            return
        except TimeoutError:
            if not limit.expired():  # the script's own
                raise
            raise UsageError(
                f"The entrypoint of '{script}' has not started a session within {BEGIN_S:g} s; {START}"
            ) from None

    with planning():
        asyncio.run(run())
    if room.found is None:
        raise UsageError(f"The entrypoint of '{script}' ended without starting a session in its room; {START}")
    session, agent = room.found
    explanation = explain(session, agent, title=str(script))
    print(explanation.text)
    return 0 if explanation.ok else 1
