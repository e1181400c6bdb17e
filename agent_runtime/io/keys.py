"""Single keys from a terminal, and the terminal given back as it was.

While keys are read the terminal does not echo and does not wait for whole lines; everything else stays, so Ctrl-C still
is a signal, output is still processed, and a process that dies leaves a terminal whose modes a shell puts right by itself.
"""

import asyncio
import atexit
import codecs
import contextlib
import os
import re
import signal
import termios
from collections.abc import Callable, Iterator
from typing import Any

from agent_runtime.channels import Channel

ESCAPE_S = 0.05
"""An ESC that nothing follows within this time is the key; else it begins what an arrow key sends."""

_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[ -~])")
_UNFINISHED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O)?")
_NAMES = {
    "\r": "enter",
    "\n": "enter",
    "\x7f": "backspace",
    "\x08": "backspace",
    "\t": "tab",
    **{chr(code): f"ctrl-{chr(code + 96)}" for code in (1, 2, 3, 4, 5, 6, 11, 14, 16, 21, 23)},
}
_SEQUENCES = {
    "A": "up",
    "B": "down",
    "C": "right",
    "D": "left",
    "F": "end",
    "H": "home",
    "1~": "home",
    "3~": "delete",
    "4~": "end",
    "7~": "home",
    "8~": "end",
}


class KeyDecoder:
    """Bytes of a terminal to keys: a character stands for itself, others have names (``enter``, ``left``, ``ctrl-d``).

    Sequences that mean nothing here are swallowed whole.
    """

    def __init__(self) -> None:
        self._text = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    @property
    def undecided(self) -> bool:
        """Whether what came last may be the ESC key or the beginning of a sequence."""
        return bool(self._rest)

    def feed(self, data: bytes) -> list[str]:
        text = self._rest + self._text.decode(data)
        self._rest = ""
        keys = []
        while text:
            if text[0] == "\x1b":
                found = _SEQUENCE.match(text)
                if found is not None:
                    key = _SEQUENCES.get(found.group().lstrip("\x1b[O"))
                    text = text[found.end() :]
                elif _UNFINISHED.fullmatch(text):
                    self._rest = text
                    break
                else:  # Alt and a key: the key alone
                    key, text = None, text[1:]
            else:
                key, text = _NAMES.get(text[0], text[0] if text[0].isprintable() else None), text[1:]
            if key is not None:
                keys.append(key)
        return keys

    def decide(self) -> list[str]:
        """Nothing followed: it was the key."""
        rest, self._rest = self._rest, ""
        return ["escape"] if rest else []


# The terminal

_before: dict[int, list[Any]] = {}
"""What the terminals that are read key by key were set to."""


def restore() -> None:
    """Give back every terminal as it was. May be called at any time, from a signal handler too; twice does nothing."""
    while _before:
        fd, attributes = _before.popitem()
        with contextlib.suppress(termios.error):
            termios.tcsetattr(fd, termios.TCSANOW, attributes)


atexit.register(restore)


def _read_single_keys(fd: int) -> None:
    attributes = termios.tcgetattr(fd)
    _before.setdefault(fd, [*attributes[:6], list(attributes[6])])
    attributes[0] &= ~termios.IXON  # Ctrl-S would stop our output, and so the call
    attributes[3] &= ~(termios.ECHO | termios.ICANON)
    attributes[6][termios.VMIN], attributes[6][termios.VTIME] = 1, 0
    termios.tcsetattr(fd, termios.TCSANOW, attributes)


@contextlib.contextmanager
def open_keys(fd: int, *, on_continue: Callable[[], None] | None = None) -> Iterator[Channel[str]]:
    """The keys pressed at the terminal `fd`, on the running loop; the channel ends with the terminal.

    `on_continue` is called when the process goes on after a Ctrl-Z: the screen is another by then.
    """
    loop = asyncio.get_running_loop()
    keys: Channel[str] = Channel(1024)
    reader = _Reader(fd, keys, loop)

    def go_on() -> None:
        with contextlib.suppress(termios.error):
            _read_single_keys(fd)
        if on_continue is not None:
            on_continue()

    _read_single_keys(fd)
    loop.add_reader(fd, reader.read)
    with contextlib.suppress(ValueError, RuntimeError):  # not in the main thread: then without
        loop.add_signal_handler(signal.SIGCONT, go_on)
    try:
        yield keys
    finally:
        reader.close()
        with contextlib.suppress(ValueError, RuntimeError):
            loop.remove_signal_handler(signal.SIGCONT)
        restore()


class _Reader:
    def __init__(self, fd: int, keys: Channel[str], loop: asyncio.AbstractEventLoop) -> None:
        self._fd = fd
        self._keys = keys
        self._loop = loop
        self._decoder = KeyDecoder()
        self._timer: asyncio.TimerHandle | None = None

    def read(self) -> None:
        try:
            data = os.read(self._fd, 4096)
        except OSError:  # the terminal has gone
            data = b""
        if not data:
            self.close()
            return
        self._stop_timer()
        for key in self._decoder.feed(data):
            self._keys.put(key)
        if self._decoder.undecided:
            self._timer = self._loop.call_later(ESCAPE_S, self._decide)

    def close(self) -> None:
        self._stop_timer()
        self._loop.remove_reader(self._fd)
        self._keys.close()

    def _decide(self) -> None:
        for key in self._decoder.decide():
            self._keys.put(key)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
