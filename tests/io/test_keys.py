"""Keys from a terminal, and the terminal given back."""

import asyncio
import os
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from agent_runtime import clock
from agent_runtime.io.keys import KeyDecoder, open_keys, restore
from tests.io.conftest import Pty

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"mq? ", ["m", "q", "?", " "]),
        (b"\r\n", ["enter", "enter"]),
        (b"\x7f\x08\x15\x17\x04\x03\t", ["backspace", "backspace", "ctrl-u", "ctrl-w", "ctrl-d", "ctrl-c", "tab"]),
        (b"\x1b[A\x1b[B\x1bOC\x1b[D\x1b[H\x1b[4~\x1b[3~", ["up", "down", "right", "left", "home", "end", "delete"]),
        (b"\x1b[200~x\x1b[1;5C\x1b[24~y\x00\x1d", ["x", "y"]),
        (b"\x1bx", ["x"]),
        ("é日🙂".encode(), ["é", "日", "🙂"]),
        (b"\xff", ["\ufffd"]),
    ],
)
def test_decoding(data: bytes, keys: list[str]) -> None:
    whole = KeyDecoder()
    assert whole.feed(data) == keys
    assert not whole.undecided
    pieces = KeyDecoder()
    assert [key for byte in data for key in pieces.feed(bytes([byte]))] == keys


def test_a_lone_escape_is_decided_later() -> None:
    decoder = KeyDecoder()
    assert decoder.feed(b"a\x1b") == ["a"]
    assert decoder.undecided
    assert decoder.decide() == ["escape"]
    assert decoder.feed(b"[A") == ["[", "A"]


@pytest.mark.real_time
def test_keys_come_singly_and_unechoed_and_the_modes_come_back(pty: Pty) -> None:
    before = pty.modes()

    async def main() -> list[str]:
        with open_keys(pty.stdin.fileno()) as keys:
            during = pty.modes()
            assert not during[3] & (termios.ECHO | termios.ICANON)
            assert during[3] & termios.ISIG  # Ctrl-C stays a signal
            pty.press("ab\x1b")
            found = [await anext(keys), await anext(keys), await anext(keys)]
            pty.press("\x1b[A")
            return [*found, await anext(keys)]

    assert asyncio.run(main()) == ["a", "b", "escape", "up"]
    assert pty.modes() == before
    assert pty.output() == ""


@pytest.mark.real_time
def test_the_modes_come_back_after_an_exception(pty: Pty) -> None:
    before = pty.modes()

    async def main() -> None:
        with open_keys(pty.stdin.fileno()):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(main())
    assert pty.modes() == before


@pytest.mark.real_time
def test_restore_works_from_anywhere_and_twice(pty: Pty) -> None:
    before = pty.modes()

    async def main() -> None:
        with open_keys(pty.stdin.fileno()):
            restore()
            assert pty.modes() == before
            restore()

    asyncio.run(main())
    assert pty.modes() == before


@pytest.mark.real_time
def test_the_keys_end_with_the_terminal(pty: Pty) -> None:
    async def main() -> list[str]:
        with open_keys(pty.stdin.fileno()) as keys:
            pty.press("x")
            await clock.sleep(0.02)
            pty.hang_up()
            return [key async for key in keys]

    assert asyncio.run(main()) in (["x"], [])  # a hang-up may throw away what was not read


@pytest.mark.real_time
def test_going_on_after_a_stop_sets_the_modes_again(pty: Pty) -> None:
    async def main() -> int:
        repainted = 0

        def repaint() -> None:
            nonlocal repainted
            repainted += 1

        with open_keys(pty.stdin.fileno(), on_continue=repaint):
            cooked = pty.modes()
            cooked[3] |= termios.ECHO | termios.ICANON
            termios.tcsetattr(pty.stdin.fileno(), termios.TCSANOW, cooked)
            os.kill(os.getpid(), signal.SIGCONT)
            await clock.sleep(0.02)
            assert not pty.modes()[3] & termios.ECHO
        return repainted

    assert asyncio.run(main()) == 1


_DIES = """
import asyncio, sys
from agent_runtime.io.keys import open_keys
async def main():
    with open_keys(0):
        print("ready", flush=True)
        %s
asyncio.run(main())
"""


@pytest.mark.parametrize(
    "end", ["sys.exit(3)", "raise RuntimeError", "await asyncio.get_running_loop().create_future()"]
)
def test_however_a_process_ends(pty: Pty, end: str) -> None:
    before = pty.modes()
    process = subprocess.Popen(
        [sys.executable, "-c", _DIES % end],
        stdin=pty.stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    if "future" in end:
        process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode != 0
    assert pty.modes() == before
