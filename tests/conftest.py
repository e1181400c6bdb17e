"""What no test may do: reach the network, wait for real time, leave a process or a thread behind.

The fences are always up. A test that needs a hole in one says so: `@pytest.mark.sockets` may open sockets to
addresses of this machine, `@pytest.mark.real_time` may wait on the machine's clock.
"""

import asyncio
import ipaddress
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.virtual import VirtualLoop

# Who runs the tests in the background has SIGINT ignored, and every child would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


class Fenced(AssertionError):
    """A test did what the fences around it forbid."""


# Sockets


_loopback_allowed = False


def _fence_sockets(event: str, args: tuple[Any, ...]) -> None:
    """An audit hook: it sees every Python socket of this process, whoever opens it, and cannot be taken off again."""
    if event in {"socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"}:
        address = args[1]
    elif event in {"socket.getaddrinfo", "socket.gethostbyname"}:
        address = (args[0],)
    else:
        return
    # A path or nothing (a Unix socket, a socket already connected) goes nowhere new.
    if isinstance(address, tuple) and not (_loopback_allowed and _is_loopback(address[0])):
        raise Fenced(f"A test tried {event} to {address[0]!r}; see `sockets` under markers in pyproject.toml.")


def _is_loopback(host: object) -> bool:
    name = host.decode() if isinstance(host, bytes) else str(host)
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


sys.addaudithook(_fence_sockets)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    # Around fixtures too: a server that a whole module shares is started by its first test.
    global _loopback_allowed
    _loopback_allowed = item.get_closest_marker("sockets") is not None
    try:
        return (yield)
    finally:
        _loopback_allowed = False


# Time


@pytest.fixture(autouse=True)
def no_real_time(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No `time.sleep`, and no timer on a loop that runs on the machine's clock."""
    if request.node.get_closest_marker("real_time") is not None:
        return
    monkeypatch.setattr(time, "sleep", _fenced_sleep(time.sleep))
    monkeypatch.setattr(asyncio.BaseEventLoop, "call_at", _fenced_call_at(asyncio.BaseEventLoop.call_at))


def _fenced_sleep(sleep: Callable[[float], None]) -> Callable[[float], None]:
    def fenced(seconds: float) -> None:
        # Waiting for a process to end, `subprocess` looks again every few milliseconds.
        if sys._getframe(1).f_globals.get("__name__") != "subprocess":
            raise Fenced(f"A test tried to sleep {seconds:g} s of real time; see agent_runtime.virtual.run.")
        sleep(seconds)

    return fenced


def _fenced_call_at(call_at: Callable[..., asyncio.TimerHandle]) -> Callable[..., asyncio.TimerHandle]:
    def fenced(self: asyncio.BaseEventLoop, when: float, *args: Any, **kwargs: Any) -> asyncio.TimerHandle:
        if not isinstance(self, VirtualLoop):
            raise Fenced("A test tried to wait on the machine's clock; see agent_runtime.virtual.run.")
        return call_at(self, when, *args, **kwargs)

    return fenced


# What is left behind


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """What a wider fixture has started before the test is not the test's."""
    processes, threads = _child_processes(), set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in threads and not _foreign(thread)]
    for thread in left:
        thread.join(timeout=2.0)  # one that has been told to end may still be on its way out
    names = [thread.name for thread in left if thread.is_alive()]
    assert not names, f"threads left behind: {names}"
    orphans = {pid: name for pid, name in _child_processes().items() if pid not in processes}
    assert not orphans, f"child processes left behind: {orphans}"


def _foreign(thread: threading.Thread) -> bool:
    """Started by a library outside Python, which ends it with the process."""
    return isinstance(thread, threading._DummyThread)


def _child_processes() -> dict[int, str]:
    """This process's children by pid, those not waited for included. Empty where the system has no /proc."""
    found = {}
    for children in Path("/proc/self/task").glob("*/children"):
        try:
            pids = children.read_text().split()
        except OSError:  # that thread has just ended
            continue
        for pid in map(int, pids):
            found[pid] = _command(pid)
    return found


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return "?"
