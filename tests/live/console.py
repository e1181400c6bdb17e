"""The console as a process of its own, at a terminal of its own: what a user sees, and the keys that a user presses."""

import codecs
import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.io.screen import Screen

ROOT = Path(__file__).resolve().parents[2]
WIDTH = 110
_TIME = r"\s*\d+:\d\d\.\d"

_AT_A_TERMINAL = ("setpriv", "--pdeathsig", "KILL", "setsid", "--ctty")
"""Its terminal is its own, so that Ctrl-C there is a signal to it and to nobody else; it does not outlive the tests."""


class Console:
    """`agent-runtime console SCRIPT ...` under a pseudo-terminal.

    Args:
        arguments: what comes after the script's name.
        env: beside this process's environment.
    """

    def __init__(self, *arguments: str, env: Mapping[str, str], script: str = "agents/clock.py") -> None:
        self._terminal, theirs = pty.openpty()
        self._theirs = theirs
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, WIDTH, 0, 0))
        self.settings = termios.tcgetattr(theirs)
        self._screen = Screen(WIDTH)
        self._output = ""
        self._arrived = threading.Condition()
        self.process = subprocess.Popen(
            [*_AT_A_TERMINAL, sys.executable, "-m", "agent_runtime.cli", "console", script, *arguments],
            cwd=ROOT,
            env={**os.environ, "TERM": "xterm", **env},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            preexec_fn=_hang_up_is_heard,
        )
        self._reader = threading.Thread(target=self._read, name="screen")
        self._reader.start()

    # What a user sees.

    @property
    def lines(self) -> list[str]:
        """The rows of the screen that are not empty, scrolled ones too."""
        with self._arrived:
            return self._screen.lines

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def output(self) -> str:
        """All that was written to the terminal, escape codes too."""
        with self._arrived:
            return self._output

    def until(self, condition: Callable[[list[str]], bool], seconds: float = 10.0) -> None:
        """Wait until the screen's lines meet a condition."""
        with self._arrived:
            met = self._arrived.wait_for(lambda: condition(self._screen.lines), timeout=seconds)
        assert met, f"not on the screen within {seconds} s:\n{self.text}"

    def shows(self, text: str, seconds: float = 10.0, *, times: int = 1) -> None:
        """Wait until `text` stands in so many rows."""
        self.until(lambda lines: sum(text in line for line in lines) >= times, seconds)

    def said(self, who: str, text: str, seconds: float = 10.0, *, times: int = 1) -> None:
        """Wait for a line that stays, in which `who` (you, agent, tool) said `text`, which must fit one row."""
        line = re.compile(rf"{_TIME}\s+{who}\s.*{re.escape(text)}")
        self.until(lambda lines: sum(bool(line.match(row)) for row in lines) >= times, seconds)

    def agent_is(self, state: str, seconds: float = 15.0) -> None:
        """Wait until the foot says that the agent is speaking, listening or thinking."""
        self.until(lambda lines: any(line.startswith(f"agent {state}   you ") for line in lines[-2:]), seconds)

    # What a user does.

    def press(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def ended(self, seconds: float = 10.0) -> int:
        """Wait for the end; the exit status, as a shell tells it."""
        status = self.process.wait(timeout=seconds)
        return status if status >= 0 else 128 - status

    @property
    def is_whole(self) -> bool:
        """Whether the terminal is as it was before: its modes, its cursor, its wrapping, no style left on."""
        whole = True
        for on, off in (("\x1b[?7h", "\x1b[?7l"), ("\x1b[?25h", "\x1b[?25l")):
            whole &= self.output.rfind(on) >= self.output.rfind(off)
        plain, styled = self.output.rfind("\x1b[0m"), self.output.rfind("\x1b[")
        return whole and termios.tcgetattr(self._theirs) == self.settings and plain <= styled

    def children(self) -> list[int]:
        """The processes that it has started."""
        found: list[int] = []
        for listing in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            found += map(int, listing.read_text().split())
        return found

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._theirs)  # then the reader meets the end
        self._reader.join()
        os.close(self._terminal)

    def _read(self) -> None:
        decode = codecs.getincrementaldecoder("utf-8")("replace")
        rest = ""
        while True:
            try:
                data = os.read(self._terminal, 65_536)
            except OSError:  # nobody holds the other end any more
                return
            with self._arrived:
                text = decode.decode(data)
                self._output += text
                rest = _whole_codes(self._screen, rest + text)
                self._arrived.notify_all()


def _whole_codes(screen: Screen, text: str) -> str:
    """Show all but an escape code whose end has not come yet; that is returned."""
    cut = text.rfind("\x1b")
    if cut >= 0 and not any(c.isalpha() for c in text[cut + 2 :]):
        text, rest = text[:cut], text[cut:]
    else:
        rest = ""
    screen.write(text)
    return rest


@contextlib.contextmanager
def console(*arguments: str, env: Mapping[str, str], script: str = "agents/clock.py") -> Iterator[Console]:
    child = Console(*arguments, env=env, script=script)
    try:
        yield child
    finally:
        child.close()


def _hang_up_is_heard() -> None:
    """In the child: under nohup it would inherit that a hang-up is ignored."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
