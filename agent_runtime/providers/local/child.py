"""An engine in a process of its own, spoken to by strict request and reply.

Why a process: pocketsphinx holds the interpreter lock for whole calls, and espeak-ng is a process-wide singleton under
the GPL. Why strict request and reply, also for sound that streams (one request a chunk): the parent decides when the
next piece is made, so a reply that is cut is cut at the same chunk in every run of a played call, and the engine looks
up between two chunks and can be told to stop.

A request runs in the engine's own thread, one after the other; cancelling the task that waits for it leaves the reply to
be read and dropped, so the conversation with the child never loses step. A child that does not answer in time is killed.
No child outlives its parent: the parent's death closes the pipe, which the child sees when it next looks, and on Linux
the kernel kills the child when the parent's engine thread is gone, which helps while the engine computes or hangs.
"""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any

from agent_runtime import clock
from agent_runtime.errors import EngineDied, EngineStalled, ProviderError

_SILENCED = {"ORT_DISABLE_TELEMETRY": "1"}
"""onnxruntime, under several engines, reports to its maker from 1.31 on unless told not to: nothing leaves the machine."""


class ChildEngine:
    """One child process.

    Args:
        name: the descriptor, for messages.
        target: ``"package.module:factory"``; see `serve` for what the factory makes.
        options: keyword arguments of the factory; they must pickle.
        deadline: seconds of machine time within which each request must be answered.
        start_deadline: the same for a request that has to start a child first, which may have to read a model from a cold
            disk; None: no more than for any other.

    A child starts at the first request. After `EngineDied` or `EngineStalled` the next request starts a new one, which
    knows nothing of what the old one was told.
    """

    def __init__(
        self,
        name: str,
        target: str,
        options: dict[str, Any] | None = None,
        *,
        deadline: float = 10.0,
        start_deadline: float | None = None,
    ) -> None:
        self.name = name
        self.watch = clock.Stopwatch()
        """Machine time spent waiting for this engine."""
        self._target = target
        self._options = options or {}
        self._deadline = deadline
        self._start_deadline = deadline if start_deadline is None else start_deadline
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection[Any, Any] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._closed = False

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def request(self, method: str, *args: object) -> Any:
        """Call `method(*args)` on the engine in the child and return what it returned.

        Raises:
            EngineDied: the child ended instead of answering, or has been closed.
            EngineStalled: it did not answer within the deadline; it has been killed.
            ProviderError: the engine raised; it lives on.
        """
        self._must_be_open()
        return await clock.offload(self._exchange, method, args, executor=self._thread)

    def post(self, method: str, *args: object) -> None:
        """Send a request whose reply nobody waits for (a cancellation); a failure shows at the next request."""
        if not self._closed:
            future = asyncio.get_running_loop().run_in_executor(self._thread, self._exchange, method, args)
            future.add_done_callback(_forget)

    async def aclose(self) -> None:
        """End the child at once, whatever it is doing."""
        if self._closed:
            return
        self._closed = True
        if self._process is not None:
            self._process.kill()
        # The pipe is closed by the thread that reads it: nobody else may, while it waits there.
        await clock.offload(self._kill, executor=self._thread)
        self._thread.shutdown(wait=False)

    def _must_be_open(self) -> None:
        if self._closed:
            raise EngineDied(f"{self.name} is closed.", provider=self.name)

    # In the engine's thread.

    def _exchange(self, method: str, args: tuple[object, ...]) -> Any:
        self._must_be_open()
        with self.watch:
            deadline = self._deadline
            if self._process is None or self._pipe is None:
                deadline = self._start_deadline
                self._start()
            pipe = self._pipe
            assert pipe is not None
            try:
                pipe.send((method, args))
                if not pipe.poll(deadline):
                    self._kill()
                    raise EngineStalled(
                        f"{self.name} did not answer '{method}' within {deadline:g} s and was stopped.",
                        provider=self.name,
                        retryable=True,
                    )
                ok, value = pipe.recv()
            except (EOFError, OSError) as error:
                code = self._kill()
                raise EngineDied(
                    f"The process of {self.name} ended with code {code} during '{method}'.",
                    provider=self.name,
                    retryable=True,
                ) from error
        if not ok:
            raise ProviderError(f"{self.name} failed in '{method}': {value}", provider=self.name)
        return value

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "agent_runtime.providers.local.child", self._target, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=os.environ | _SILENCED,
                start_new_session=True,  # Ctrl-C in the terminal is for the parent to act on
            )
        self._pipe = Connection(ours.detach())
        self._pipe.send((os.getpid(), self._options))

    def _kill(self) -> int | None:
        process, self._process = self._process, None
        pipe, self._pipe = self._pipe, None
        if process is None:
            return None
        process.kill()
        code = process.wait()
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
        return code


def _forget(future: "asyncio.Future[Any]") -> None:
    if not future.cancelled():
        future.exception()


# In the child.


def serve(target: str, fd: int) -> None:
    """The child's main loop: make the engine, then answer requests until the parent is gone.

    `target` names a factory ``module:name``; called with the options, it returns an object whose public methods are the
    requests.
    """
    import importlib

    pipe: Connection[Any, Any] = Connection(fd)
    parent, options = pipe.recv()
    _die_with(parent)
    module, _, name = target.partition(":")
    engine: Any = None
    try:
        while True:
            method, args = pipe.recv()
            try:
                if engine is None:
                    engine = getattr(importlib.import_module(module), name)(**options)
                reply = (True, getattr(engine, method)(*args))
            except Exception as error:
                reply = (False, f"{type(error).__name__}: {error}")
            pipe.send(reply)
    except (EOFError, OSError, KeyboardInterrupt):
        os._exit(0)


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        import ctypes
        import signal

        PR_SET_PDEATHSIG = 1
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
