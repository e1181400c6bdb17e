"""The engine that test_child.py runs in its child process."""

import os
import signal
import sys
from typing import Any


class Parrot:
    def __init__(self, greeting: str) -> None:
        self._greeting = greeting
        self._heard: list[str] = []

    def hear(self, word: str) -> list[str]:
        self._heard.append(word)
        return [self._greeting, *self._heard]

    def identity(self) -> tuple[int, int]:
        return os.getpid(), os.getpgid(0)

    def refuse(self) -> None:
        raise LookupError("no such word")

    def exit(self, code: int) -> None:
        os._exit(code)

    def hang(self) -> None:
        signal.pause()

    def loaded(self, module: str) -> bool:
        return module in sys.modules

    def variable(self, name: str) -> str | None:
        return os.environ.get(name)


def make(**options: Any) -> Parrot:
    return Parrot(**options)
