"""One call in the console: an entrypoint, a room made of a source and a sink, and what is kept of it.

The same code runs live (real devices, real time), played (a recording as the caller, virtual time by default) and in
text. It ends when the session ends, when the caller is gone and the agent is done, or when the user quits.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from agent_runtime import clock
from agent_runtime.agent import Agent
from agent_runtime.audio.endpoints import AudioSink, AudioSource
from agent_runtime.audio.frame import FRAME_S, INPUT_RATE, AudioFrame
from agent_runtime.errors import UsageError
from agent_runtime.events import Event, SessionStarted
from agent_runtime.io.keys import restore
from agent_runtime.session import AgentSession
from agent_runtime.trace.log import JsonlWriter
from agent_runtime.trace.recording import CallRecorder
from agent_runtime.trace.tape import TapeWriter
from agent_runtime.worker.job import SHUTDOWN_GRACE_S, JobContext
from agent_runtime.worker.server import AgentServer

START = "write 'await session.start(agent=..., room=ctx.room)'; without its room a session talks to nobody."

BEGIN_S = 60.0
"""How long an entrypoint may take until it starts its session: it may load a model, and it must not hang unseen."""

SPEAKS_ON_S = 300.0
"""How long an agent may go on when the recording of its caller is over, or over one line from a pipe.

Longer than what anybody listens to, so that a text that is read out is whole in the call; and an agent that never ends
costs some ten seconds and 30 MB in virtual time.
"""

HURRIED_S = 1.0
"""What a call's shutdown callbacks have, and its entrypoint, where the user hangs up with a signal.

Otherwise each has `SHUTDOWN_GRACE_S`: time to save a transcript."""


async def has_ended(work: Awaitable[object], *, within_s: float) -> bool:
    """Wait for `work`, but no longer than so many seconds; a TimeoutError of its own goes on."""
    try:
        async with asyncio.timeout(within_s) as limit:
            await work
    except TimeoutError:
        if not limit.expired():
            raise
        return False
    return True


class CallerFromFile(AudioSource):
    """A recorded caller, who stays on the line in silence when the recording is over.

    `recorded` is set when its last sample was heard.
    """

    def __init__(self, recorded: AudioSource) -> None:
        self._recording = recorded
        self._closed = False
        self.recorded = asyncio.Event()

    async def frames(self) -> AsyncIterator[AudioFrame]:
        at = clock.now()
        async for frame in self._recording.frames():
            yield frame
            at = (frame.at if frame.at is not None else at) + frame.duration
        self.recorded.set()
        silence = bytes(2 * int(FRAME_S * INPUT_RATE))
        number = 0
        while not self._closed:
            number += 1
            await clock.sleep_until(at + number * FRAME_S)
            yield AudioFrame(silence, INPUT_RATE, at=at + (number - 1) * FRAME_S)

    async def aclose(self) -> None:
        self._closed = True
        await self._recording.aclose()


class _Tapped(AudioSource):
    """A source whose frames somebody else sees too."""

    def __init__(self, source: AudioSource, tap: Callable[[AudioFrame], None]) -> None:
        self._source = source
        self._tap = tap

    async def frames(self) -> AsyncIterator[AudioFrame]:
        async for frame in self._source.frames():
            self._tap(frame)
            yield frame

    async def aclose(self) -> None:
        await self._source.aclose()


@dataclass(slots=True)
class Kept:
    """What a call leaves behind."""

    events: list[Event] = field(default_factory=list)
    failure: BaseException | None = None
    machine_s: dict[str, float] = field(default_factory=dict)
    """Machine time that each engine took, where it is measured."""
    length_s: float = 0.0
    signal: int | None = None
    tape: TapeWriter | None = None
    late: str = ""
    """What the entrypoint asked of its session when the caller had ended that; a sentence, or empty."""


class Recorder:
    """Keeps call.wav and call.jsonl in a folder, from the session's start on."""

    def __init__(self, folder: Path, say: Callable[[str], None], *, sound: bool = True) -> None:
        self.folder = folder
        self._say = say
        self._sound = sound
        self._wav: CallRecorder | None = None
        self._log: JsonlWriter | None = None
        self._ok = True

    @property
    def failed(self) -> bool:
        return not self._ok

    def start(self, at: float) -> None:
        if self._sound:
            self._wav = CallRecorder(self.folder / "call.wav", started=at, on_error=self._stopped("call.wav"))
        self._log = JsonlWriter(self.folder / "call.jsonl", started=at, on_error=self._stopped("call.jsonl"))

    def _stopped(self, name: str) -> Callable[[OSError], None]:
        def note(error: OSError) -> None:
            self._ok = False
            self._say(
                f"Cannot write {self.folder / name}: {error.strerror or error}; the call goes on without it. "
                "Make room, or name another folder with --out."
            )

        return note

    def heard(self, frame: AudioFrame) -> None:
        if self._wav is not None:
            self._wav.caller(frame)

    def played(self, at: float, pcm: bytes) -> None:
        if self._wav is not None:
            self._wav.agent(at, pcm)

    def event(self, event: Event) -> None:
        if self._log is not None:
            self._log(event)

    def close(self, at: float | None = None) -> None:
        """Also from a signal handler: the files are whole afterwards."""
        if self._wav is not None:
            self._wav.close(at)
        if self._log is not None:
            self._log.close()


class CallRoom:
    """The room of a console call: it connects the script's session; `session` is done when that has started."""

    name = "console"

    def __init__(
        self,
        source: AudioSource | None,
        sink: AudioSink | None,
        recorder: Recorder | None,
        on_session: Callable[[AgentSession[Any], Agent], None],
        record: str | None = None,
    ) -> None:
        self.record = record
        """Where the session is to keep its tape."""
        self.source = source
        self.sink = sink
        self._on_session = on_session
        self.attached: AgentSession[Any] | None = None
        """The session from the beginning of its start on: `session` may never come of it."""
        self.session: asyncio.Future[AgentSession[Any]] = asyncio.get_running_loop().create_future()
        self._recorder = recorder

    def attach(
        self,
        session: AgentSession[Any],
        agent: Agent,
        given_input: AudioSource | None,
        given_output: AudioSink | None,
    ) -> tuple[AudioSource | None, AudioSink | None]:
        if self.attached is not None:
            raise UsageError(
                "The entrypoint starts a second session in the room, and a call has one; "
                "give it other agents with session.update_agent(...)."
            )
        source, sink = given_input or self.source, given_output or self.sink
        if self._recorder is not None:
            self._recorder.start(clock.now())
            session.log.subscribe(self._recorder.event)
            if source is not None:
                source = _Tapped(source, self._recorder.heard)
        self.attached = session
        self._on_session(session, agent)  # before its first event
        session.log.subscribe(self._started(session))
        return source, sink

    def _started(self, session: AgentSession[Any]) -> Callable[[Event], None]:
        def look(event: Event) -> None:
            if isinstance(event, SessionStarted) and not self.session.done():
                self.session.set_result(session)

        return look


class ConsoleCall:
    """Runs one call.

    Args:
        source, sink: where the session's sound comes from and goes; None: it is written.
        recorder: None keeps nothing.
        on_session: told the session and its first agent, before the first event.
        until: awaited beside the call: when it returns, the call ends; what it raises ends it too.
        record: where the tape of the call goes.
        say: told in a sentence what the user waits for when the call is over; None where nobody waits.
    """

    def __init__(
        self,
        server: AgentServer,
        *,
        source: AudioSource | None,
        sink: AudioSink | None,
        recorder: Recorder | None,
        on_session: Callable[[AgentSession[Any], Agent], None],
        until: Callable[[AgentSession[Any]], Any] | None = None,
        record: str | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self._server = server
        self._room = CallRoom(source, sink, recorder, self._meet, record)
        self._recorder = recorder
        self._on_session = on_session
        self._until = until
        self._say = say
        self._ctx = JobContext(room=self._room, proc=server.process())
        self._quit: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._ended_itself = False  # and not by the caller
        self._hurried: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.kept = Kept()

    def quit(self, signal_number: int | None = None) -> None:
        """End the call: what is being said is cut."""
        if not self._quit.done():
            self._quit.set_result(signal_number)
        if signal_number is not None and not self._hurried.done():
            self._hurried.set_result(signal_number)

    async def run(self) -> Kept:
        """The call, from the entrypoint to the last callback.

        Raises:
            Exception: what the entrypoint raised, or what the session failed with.
        """
        with self._signals():
            entry = asyncio.ensure_future(self._enter())
            try:
                await self._begin(entry)
                await self._talk(entry)
            except BaseException:
                await self._end_session()
                raise
            await self._end_session()
            await self._see_out(entry)
            asked = self._ctx.shutdown_asked
            reason = "error" if self.kept.failure else asked.result() if asked.done() else "user_initiated"
            hurried = {} if self.kept.signal is None else {"grace": HURRIED_S}
            try:
                await self._ctx.run_shutdown_callbacks(reason, **hurried)
            except Exception as error:
                self.kept.failure = self.kept.failure or error
        return self.kept

    async def _enter(self) -> None:
        try:
            await self._server.entrypoint(self._ctx)
        except SystemExit as error:  # it would end the loop under everybody's feet
            raise UsageError(
                f"The entrypoint called sys.exit({error.code!r}); end a call with ctx.shutdown(), or raise an error."
            ) from error

    async def _begin(self, entry: "asyncio.Future[None]") -> None:
        enough: list[asyncio.Future[Any]] = [self._room.session, self._quit, self._ctx.shutdown_asked]
        await asyncio.wait([entry, *enough], timeout=BEGIN_S, return_when=asyncio.FIRST_COMPLETED)
        if any(future.done() for future in enough):
            return
        if not entry.done():
            entry.cancel()
            raise UsageError(f"The entrypoint has not started a session within {BEGIN_S:g} s; {START}")
        entry.result()
        raise UsageError(f"The entrypoint ended without starting a session in its room; {START}")

    def _meet(self, session: AgentSession[Any], agent: Agent) -> None:
        session.log.subscribe(self.kept.events.append)
        self._on_session(session, agent)

    async def _talk(self, entry: "asyncio.Future[None]") -> None:
        """Until somebody ends the call, or something in it fails."""
        tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(_failure_of(entry))]
        if self._room.session.done():
            session = self._room.session.result()
            tasks.append(asyncio.ensure_future(session.wait_closed()))
            if self._until is not None:
                tasks.append(asyncio.ensure_future(self._until(session)))
        over: list[asyncio.Future[Any]] = [self._quit, self._ctx.shutdown_asked, *tasks]
        done, _ = await asyncio.wait(over, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
        if self._quit in done:
            self.kept.signal = self._quit.result()
        if self._hurried.done() or not self._room.session.done():
            await _cut(entry)
        for each in (entry, *tasks):
            self.kept.failure = self.kept.failure or _error_of(each)

    async def _see_out(self, entry: "asyncio.Future[None]") -> None:
        """The session has ended: what its entrypoint has still to do, it may do, unless a signal hurries it."""
        enough: list[asyncio.Future[Any]] = [entry, self._hurried]
        for wait in (HURRIED_S, SHUTDOWN_GRACE_S - HURRIED_S):
            await asyncio.wait(enough, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            if any(future.done() for future in enough):
                break
            if wait == HURRIED_S and self._say is not None:
                self._say(f"The entrypoint goes on after its session; it has {SHUTDOWN_GRACE_S:g} s, Ctrl-C ends it.")
        if self._hurried.done() and not entry.done():
            self.kept.signal = self._hurried.result()
        await _cut(entry)
        error = _error_of(entry)
        if isinstance(error, UsageError) and not self._ended_itself:  # it could not know that the caller would hang up
            self.kept.late = str(error)
        else:
            self.kept.failure = self.kept.failure or error

    async def _end_session(self) -> None:
        try:
            session = self._room.attached
            if session is not None:
                self._ended_itself = not session.is_open
                await session.aclose()
                self._measure(session)
        finally:
            for end in (self._room.source, self._room.sink):
                if end is not None:
                    await end.aclose()
            if self._recorder is not None:
                self._recorder.close(clock.now())

    def _measure(self, session: AgentSession[Any]) -> None:
        for node in (session.vad, session.stt, session.llm, session.tts):
            watch = getattr(node, "watch", None)
            if watch is not None and node is not None:
                self.kept.machine_s[node.label] = watch.seconds
        if session.recorder is not None:
            self.kept.tape = session.recorder.tape
        events = self.kept.events
        if events:
            self.kept.length_s = events[-1].at - events[0].at

    @contextlib.contextmanager
    def _signals(self) -> Any:
        """The first Ctrl-C, SIGTERM or hang-up ends the call in order, the second at once; both leave whole files.

        Handlers of the process, not of the loop: a tool that blocks the loop must not keep the second from its effect.
        After the first they stay when the call is over, for the second may come while the rest is told and tidied up.
        """
        loop = asyncio.get_running_loop()
        caught = False

        def catch(number: int, _: object) -> None:
            nonlocal caught
            if caught:
                self._leave(number)
            caught = True
            loop.call_soon_threadsafe(self.quit, number)

        wanted = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # the terminal's window is closed, and not under nohup
            wanted.append(signal.SIGHUP)
        before = {number: signal.signal(number, catch) for number in wanted}
        try:
            yield
        finally:
            if not caught:
                for number, handler in before.items():
                    signal.signal(number, handler)

    def _leave(self, number: int) -> NoReturn:
        try:
            if self._recorder is not None:
                self._recorder.close()
            restore()
            sys.stdout.flush()
        finally:  # whatever that raises, for we may have come in the middle of a write
            os._exit(128 + number)


async def _cut(entry: "asyncio.Future[None]") -> None:
    if not entry.done():
        entry.cancel()
        await asyncio.wait([entry], timeout=HURRIED_S)


def _error_of(task: "asyncio.Future[Any]") -> BaseException | None:
    return task.exception() if task.done() and not task.cancelled() else None


async def _failure_of(entry: "asyncio.Future[None]") -> None:
    """Returns if the entrypoint raises: a call whose script has failed must not go on as if nothing were."""
    await asyncio.wait([entry])
    if entry.cancelled() or entry.exception() is None:
        await asyncio.get_running_loop().create_future()
