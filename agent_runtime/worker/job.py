"""The call that an entrypoint is run for."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from agent_runtime import clock
from agent_runtime.audio.endpoints import AudioSink, AudioSource
from agent_runtime.errors import UsageError

if TYPE_CHECKING:
    from agent_runtime.agent import Agent
    from agent_runtime.session import AgentSession

SHUTDOWN_GRACE_S = 10.0
"""How long all shutdown callbacks of a call may take together."""

ShutdownCallback = Callable[[], Awaitable[None]] | Callable[[str], Awaitable[None]]


class Room(Protocol):
    """Where a session's sound comes from and goes: what `session.start(room=ctx.room)` is given."""

    name: str

    def attach(
        self,
        session: "AgentSession[Any]",
        agent: "Agent",
        given_input: AudioSource | None,
        given_output: AudioSink | None,
    ) -> tuple[AudioSource | None, AudioSink | None]:
        """Called once, when a session starts in the room; what was given to `start()` goes before the room's own."""


@dataclass(slots=True)
class JobProcess:
    """What a process keeps for all its calls: `server.setup_fnc` fills `userdata`."""

    userdata: dict[str, Any] = field(default_factory=dict)

    @property
    def pid(self) -> int:
        return os.getpid()


@dataclass(frozen=True, slots=True)
class Participant:
    """Somebody in the room."""

    identity: str
    name: str = ""


@dataclass(slots=True)
class Job:
    """What is known of the call beforehand."""

    id: str
    metadata: str = ""


class JobContext:
    """One call. The entrypoint gets it, makes an `AgentSession` and starts it with `room=ctx.room`.

    Attributes:
        shutdown_asked: for whoever runs the job: done, with the reason, once `shutdown()` was called.
    """

    def __init__(self, *, room: Room, job: Job | None = None, proc: JobProcess | None = None) -> None:
        self.room = room
        self.job = job or Job("console")
        self.proc = proc or JobProcess()
        self._callbacks: list[ShutdownCallback] = []
        self.shutdown_asked: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def connect(self, **_: Any) -> None:
        """Join the room. In the console there is nothing to join."""

    async def wait_for_participant(self, *, identity: str | None = None) -> "Participant":
        """The caller. In the console there is one, who is there from the start."""
        return Participant(identity or "caller")

    def add_shutdown_callback(self, callback: ShutdownCallback) -> None:
        """Await `callback()`, or `callback(reason)` if it takes one argument, when the call is over."""
        self._callbacks.append(callback)

    def shutdown(self, reason: str = "") -> None:
        """End the call, also one whose session has not started yet; the first reason stands."""
        if not self.shutdown_asked.done():
            self.shutdown_asked.set_result(reason)

    async def run_shutdown_callbacks(self, reason: str, *, grace: float = SHUTDOWN_GRACE_S) -> None:
        """For whoever runs the job: each callback once, in order; the first error is raised after the last of them.

        All of them together have `grace` seconds; what has not ended by then is cancelled.
        """
        import inspect

        callbacks, self._callbacks = self._callbacks, []
        errors: list[Exception] = []
        until = clock.now() + grace
        for callback in callbacks:
            name = getattr(callback, "__name__", repr(callback))
            try:
                takes_reason = bool(inspect.signature(callback).parameters)
                async with asyncio.timeout_at(until):
                    await (callback(reason) if takes_reason else callback())  # type: ignore[call-arg]
            except TimeoutError:
                errors.append(
                    UsageError(f"The shutdown callback '{name}' was cut off after {grace:g} s; make it shorter.")
                )
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]
