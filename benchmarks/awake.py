"""A core that does not rest while something is measured on it."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

_BUSY = """
import os
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(100_000):
        pass
"""


@contextlib.contextmanager
def core_awake() -> Iterator[None]:
    """Keep this process on one core, which a process of the lowest priority keeps busy whenever this one waits.

    A virtual machine's core that rests is lent to a neighbour, whose work empties its caches. What a program does after
    20 ms of rest then takes two to four times as long, and differently long in every hour, a bare asyncio program's
    work no less than ours: one would measure the neighbours. Where there is no Linux it changes nothing.
    """
    if sys.platform != "linux":
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    busy = subprocess.Popen([sys.executable, "-S", "-c", _BUSY])
    try:
        yield
    finally:
        busy.kill()
        busy.wait()
        os.sched_setaffinity(0, cores)
