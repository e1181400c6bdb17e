"""Servers that are programs of others, as child processes on loopback."""

import contextlib
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


@contextlib.contextmanager
def serving(
    command: Sequence[str | Path], *, ready: str, log: Path, env: Mapping[str, str] | None = None, within: float = 60.0
) -> Iterator[None]:
    """Run `command` until the block is left; it is entered when `ready` (a URL) answers.

    Nothing of the user's environment reaches it: no keys, no proxies. What it prints goes to `log`.

    Raises:
        RuntimeError: it ended, or did not answer in time; with the end of what it printed.
    """
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    with log.open("wb") as out:
        child = subprocess.Popen(
            list(map(str, command)),
            env={**kept, "HOME": str(log.parent), "NO_PROXY": "*", **(env or {})},
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait(child, ready, within, log)
            yield
        finally:
            child.terminate()
            try:
                child.wait(timeout=10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _wait(child: "subprocess.Popen[bytes]", ready: str, within: float, log: Path) -> None:
    until = time.monotonic() + within
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        try:
            with opener.open(ready, timeout=2):
                return
        except urllib.error.HTTPError:
            return
        except OSError as error:
            if child.poll() is not None or time.monotonic() > until:
                said = log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{child.args!r} does not answer at {ready} ({error}):\n{said}") from None
            time.sleep(0.05)
