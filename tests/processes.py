"""A search in as many processes as there are processors."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]


def in_parallel(module: str, *arguments: str) -> Iterator[str]:
    """What each process of `python -m module ARGUMENTS --part NUMBER OF` prints; none is left behind.

    Raises:
        RuntimeError: a part of it failed.
    """
    count = os.cpu_count() or 1
    command = [sys.executable, "-W", "error", "-m", module, *arguments, "--part"]
    children = [
        subprocess.Popen([*command, str(number), str(count)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
        for number in range(count)
    ]
    try:
        for child in children:
            out, _ = child.communicate()
            if child.returncode:
                raise RuntimeError(f"a part of the search ended with status {child.returncode}")
            yield out
    finally:
        for child in children:
            child.kill()
            child.wait()
            if child.stdout is not None:
                child.stdout.close()
