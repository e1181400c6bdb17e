"""AgentServer: what a script hands to the command line: its entrypoint."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, overload

from agent_runtime.errors import UsageError
from agent_runtime.worker.job import JobContext, JobProcess

Entrypoint = Callable[[JobContext], Awaitable[None]]


class AgentServer:
    """Holds one entrypoint, which is run for each call.

    ``@server.rtc_session()`` marks it.

    Raises:
        UsageError: `setup_fnc` cannot be called.
    """

    def __init__(self, *, setup_fnc: Callable[[JobProcess], Any] | None = None) -> None:
        self.setup_fnc = setup_fnc
        self.agent_name = ""
        self._entrypoint: Entrypoint | None = None
        self._process: JobProcess | None = None

    @property
    def setup_fnc(self) -> Callable[[JobProcess], Any] | None:
        """Called once in each process, before its first call; ``proc.userdata`` keeps what it loads for all calls."""
        return self._setup_fnc

    @setup_fnc.setter
    def setup_fnc(self, function: Callable[[JobProcess], Any] | None) -> None:
        if function is not None and not callable(function):
            raise UsageError(
                f"The server's setup_fnc is {function!r}; give a function that takes a JobProcess, or None."
            )
        self._setup_fnc = function

    @overload
    def rtc_session(self, func: Entrypoint, /) -> Entrypoint: ...
    @overload
    def rtc_session(self, /, *, agent_name: str = "") -> Callable[[Entrypoint], Entrypoint]: ...
    def rtc_session(
        self, func: Entrypoint | None = None, /, *, agent_name: str = ""
    ) -> Entrypoint | Callable[[Entrypoint], Entrypoint]:
        """Decorate the entrypoint: ``async def entrypoint(ctx: JobContext) -> None``.

        Raises:
            UsageError: the server has an entrypoint, or the function is no coroutine function, or does not take the
                context.
        """

        def decorate(function: Entrypoint) -> Entrypoint:
            name = getattr(function, "__name__", repr(function))
            if self._entrypoint is not None:
                other = getattr(self._entrypoint, "__name__", repr(self._entrypoint))
                raise UsageError(
                    f"This server has two entrypoints, '{other}' and '{name}'; "
                    "take @server.rtc_session() from one of them."
                )
            if not asyncio.iscoroutinefunction(function):
                raise UsageError(f"The entrypoint '{name}' is no coroutine function; write 'async def {name}(ctx)'.")
            try:
                inspect.signature(function).bind("ctx")
            except TypeError:
                raise UsageError(
                    f"The entrypoint '{name}' must take one argument, the job's context; write 'async def {name}(ctx)'."
                ) from None
            self._entrypoint = function
            self.agent_name = agent_name
            return function

        return decorate if func is None else decorate(func)

    def process(self) -> JobProcess:
        """What this process keeps for its calls; `setup_fnc` fills it the first time.

        Raises:
            UsageError: `setup_fnc` is a coroutine function.
        """
        if self._process is None:
            process = JobProcess()
            if asyncio.iscoroutinefunction(self.setup_fnc):
                raise UsageError("The server's setup_fnc is a coroutine function; write 'def setup(proc: JobProcess)'.")
            if self.setup_fnc is not None:
                self.setup_fnc(process)
            self._process = process
        return self._process

    @property
    def entrypoint(self) -> Entrypoint:
        """The function marked by `rtc_session`; `UsageError` where there is none."""
        if self._entrypoint is None:
            raise UsageError(
                "This server has no entrypoint; put @server.rtc_session() above 'async def entrypoint(ctx: JobContext)'."
            )
        return self._entrypoint
