"""Figures as lines of text, and the bounds that they must keep."""

import platform
from collections.abc import Sequence
from statistics import median
from typing import TextIO


class Report:
    """Prints each line as it comes, to every one of `streams`, and remembers the bounds that were missed."""

    def __init__(self, *streams: TextIO) -> None:
        self._streams = streams
        self.missed: list[str] = []

    def say(self, line: str = "") -> None:
        for stream in self._streams:
            print(line, file=stream, flush=True)

    def title(self, text: str) -> None:
        self.say()
        self.say(text)
        self.say("-" * len(text))

    def bound(self, name: str, value: float, limit: float, unit: str, *, at_least: bool = False) -> None:
        """A figure that must not be above `limit`, or (`at_least`) below it."""
        kept = value >= limit if at_least else value <= limit
        verdict = "ok" if kept else "MISSED"
        line = f"{name}: {value:.3g} {unit}, bound {'at least' if at_least else 'at most'} {limit:.3g} {unit}"
        self.say(f"  {verdict:<6}  {line}")
        if not kept:
            self.missed.append(line)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that is not below `percent` of all."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100).__int__() - 1)]


def spread(values: Sequence[float], unit: str) -> str:
    """The middle and the ends."""
    return f"{median(values):.2f} {unit} ({min(values):.2f} to {max(values):.2f})"


def machine() -> str:
    import os

    return f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores"
