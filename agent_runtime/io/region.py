"""The foot of the screen: a few rows that are written over, below lines that stay.

The terminal keeps its own scroll-back: nothing here takes over the screen, hides the cursor or changes a mode beyond the
one write in which it is done, so the terminal is whole after every write, however the process ends.
"""

import os
from collections.abc import Sequence
from typing import NamedTuple, TextIO

from agent_runtime.io.lines import Span, columns, paint

FALLBACK_WIDTH = 80

_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"  # a character that is wider than we believe must not start a new row


class Place(NamedTuple):
    """Where the cursor is left: row and column within the region, from 0."""

    row: int
    column: int


class Region:
    """Lines that stay, and under them rows that are replaced by the next `draw`.

    Args:
        live: whether there are such rows; otherwise `draw` writes the lines that stay and nothing else.
        width: in columns; None: that of the terminal at each draw.

    A terminal that has gone (a closed pipe, a hang-up) makes `gone` true and every later write a no-op: the call goes on.
    """

    def __init__(self, out: TextIO, *, live: bool, color: bool, width: int | None = None) -> None:
        self.gone = False
        self.live = live
        self.color = color
        self._out = out
        self._fixed_width = width
        self._drawn: list[int] = []  # the columns of each row on the screen
        self._cursor = Place(0, 0)
        self._picture: tuple[object, ...] = ()

    @property
    def width(self) -> int:
        if self._fixed_width is not None:
            return self._fixed_width
        try:
            return os.get_terminal_size(self._out.fileno()).columns or FALLBACK_WIDTH
        except (OSError, ValueError):
            return FALLBACK_WIDTH

    def draw(
        self, lines: Sequence[Sequence[Span]], rows: Sequence[Sequence[Span]] = (), cursor: Place | None = None
    ) -> None:
        """Add `lines` to those that stay and show `rows` below them; each must fit the width."""
        picture = (tuple(map(tuple, rows)), cursor, self.width)
        if not lines and (not self.live or picture == self._picture):
            return
        stay = "".join(paint(line, color=self.color) + "\n" for line in lines)
        if not self.live:
            self.write(stay)
            return
        self._picture = picture
        self.write(f"{self._erasure()}{stay}{self._rows(rows, cursor)}")

    def forget(self) -> None:
        """What was drawn is not there any more."""
        self._drawn, self._cursor, self._picture = [], Place(0, 0), ()

    def write(self, text: str) -> None:
        """Write as it stands, in one piece; what the terminal's character set lacks becomes a question mark."""
        if self.gone or not text:
            return
        encoding = getattr(self._out, "encoding", None) or "utf-8"
        try:
            self._out.write(text.encode(encoding, "replace").decode(encoding))
            self._out.flush()
        except (OSError, ValueError):  # ValueError: the stream was closed
            self.gone = True

    def _erasure(self) -> str:
        if not self._drawn:
            return ""
        # A terminal that became narrower has broken our rows in the meantime.
        width = max(1, self.width)
        up = sum(max(1, -(-size // width)) for size in self._drawn[: self._cursor.row]) + self._cursor.column // width
        return f"\r\x1b[{up}A\x1b[J" if up else "\r\x1b[J"

    def _rows(self, rows: Sequence[Sequence[Span]], cursor: Place | None) -> str:
        self._drawn = [columns("".join(span.text for span in row)) for row in rows]
        if not rows:
            self._cursor = Place(0, 0)
            return ""
        last = Place(len(rows) - 1, self._drawn[-1])
        self._cursor = cursor or last
        painted = "\n".join(paint(row, color=self.color) for row in rows)
        back = ""
        if cursor is not None:
            up = f"\x1b[{last.row - cursor.row}A" if cursor.row < last.row else ""
            right = f"\x1b[{cursor.column}C" if cursor.column else ""
            back = f"{up}\r{right}"
        return f"{_NO_WRAP}{painted}{_WRAP}{back}"
