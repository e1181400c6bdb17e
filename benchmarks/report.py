"""Figures as lines of text, and the bounds that they must keep."""

import math
import os
import platform
from collections.abc import Sequence
from typing import TextIO


class Report:
    """Prints each line as it comes to every one of `streams`, and remembers the bounds that were missed."""

    def __init__(self, *streams: TextIO) -> None:
        self._streams = streams
        self.checked = 0
        self.missed: list[str] = []

    def say(self, line: str = "") -> None:
        for stream in self._streams:
            print(line.rstrip(), file=stream, flush=True)

    def title(self, text: str) -> None:
        self.say()
        self.say(text)
        self.say("-" * len(text))

    def bound(self, name: str, value: float, limit: float, unit: str, *, at_least: bool = False) -> None:
        """A figure that must not be above `limit`, or (`at_least`) below it. NaN keeps no bound."""
        kept = value >= limit if at_least else value <= limit
        line = f"{name}: {value:.3g} {unit}, {'at least' if at_least else 'at most'} {limit:.3g}"
        self.checked += 1
        self.say(f"  {'ok' if kept else 'MISSED':<8}{line}")
        if not kept:
            self.missed.append(line)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that is not below `percent` of a hundred of all."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def machine() -> str:
    return f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores"
