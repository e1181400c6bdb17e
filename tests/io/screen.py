"""A terminal small enough to be read: what escape codes leave on the screen."""

import re

from agent_runtime.io.lines import columns

_PART = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|(.)", re.DOTALL)


class Screen:
    """Rows of unbounded number and `width` columns; unknown codes are errors.

    Attributes:
        styles: for each row the SGR parameters that its letters were written with.
    """

    def __init__(self, width: int = 80) -> None:
        self.width = width
        self.rows: list[list[str]] = [[]]
        self.styles: list[set[str]] = [set()]
        self.row = 0
        self.column = 0
        self.wraps = True
        self._style = ""

    @classmethod
    def of(cls, output: str, width: int = 80) -> "Screen":
        screen = cls(width)
        screen.write(output)
        return screen

    def write(self, output: str) -> None:
        for part in _PART.finditer(output):
            parameters, code, character = part.groups()
            if code is not None:
                self._control(parameters, code)
            else:
                self._show(character)

    @property
    def lines(self) -> list[str]:
        """The rows that are not empty."""
        return [text for row in self.rows if (text := "".join(row).rstrip())]

    def style_of(self, text: str) -> set[str]:
        """How the row in which `text` stands is written."""
        return next(self.styles[n] for n, row in enumerate(self.rows) if text in "".join(row))

    def _control(self, parameters: str, code: str) -> None:
        count = int(parameters) if parameters.isdigit() else 1
        if code == "A":
            assert self.row - count >= 0, "the cursor left the screen"
            self.row -= count
        elif code == "C":
            self.column += count
        elif code == "J":
            del self.rows[self.row + 1 :], self.styles[self.row + 1 :]
            del self.rows[self.row][self.column :]
            if self.column == 0:
                self.styles[self.row].clear()
        elif code == "m":
            self._style = "" if parameters in ("", "0") else parameters
        elif parameters == "?7" and code in "lh":
            self.wraps = code == "h"
        else:
            raise AssertionError(f"unknown code ESC [ {parameters} {code}")

    def _show(self, character: str) -> None:
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self._next_row()
        else:
            assert character.isprintable(), f"{character!r} reached the terminal"
            size = columns(character)
            if self.column + size > self.width:
                if not self.wraps:
                    return
                self._next_row()
            row = self.rows[self.row]
            row += [" "] * (self.column - len(row))
            row[self.column : self.column + max(1, size)] = [character, *[""] * (size - 1)]
            if character != " ":
                self.styles[self.row].add(self._style)
            self.column += size

    def _next_row(self) -> None:
        self.row, self.column = self.row + 1, 0
        if self.row == len(self.rows):
            self.rows.append([])
            self.styles.append(set())
