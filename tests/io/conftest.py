"""A terminal for tests."""

import os
import termios
from collections.abc import Iterator
from typing import Any, TextIO

import pytest


class Pty:
    """A pseudo-terminal: `stdin` and `stdout` are the program's, `press` and `output` the user's."""

    def __init__(self) -> None:
        self._master, self._slave = os.openpty()
        self.stdin: TextIO = os.fdopen(os.dup(self._slave), "r", encoding="utf-8")
        self.stdout: TextIO = os.fdopen(os.dup(self._slave), "w", encoding="utf-8")

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def output(self) -> str:
        """What was written since it was last asked."""
        os.set_blocking(self._master, False)
        data = b""
        while True:
            try:
                data += os.read(self._master, 65_536)
            except BlockingIOError:
                return data.decode().replace("\r\n", "\n")

    def modes(self) -> list[Any]:
        return termios.tcgetattr(self._slave)

    def hang_up(self) -> None:
        os.close(self._master)
        self._master = -1

    def close(self) -> None:
        self.stdin.close()
        self.stdout.close()
        os.close(self._slave)
        if self._master >= 0:
            os.close(self._master)


@pytest.fixture
def pty(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pty]:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = Pty()
    yield terminal
    terminal.close()
