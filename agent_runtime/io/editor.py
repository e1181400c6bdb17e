"""A line being typed."""

from collections.abc import Callable

HISTORY = 200


class LineEditor:
    """Text and a cursor, moved by keys as `agent_runtime.io.keys` names them.

    Attributes:
        text: what was typed.
        place: where the cursor stands in it, in characters.
    """

    def __init__(self) -> None:
        self.text = ""
        self.place = 0
        self._history: list[str] = []
        self._shown = 0  # which line of the history; its length: the new one

    def press(self, key: str) -> str | None:
        """Take a key. The line, once it is complete; the editor is then empty."""
        if key == "enter":
            return self._done()
        if len(key) == 1 or key == "tab":
            self._replace(self.place, self.place, " " if key == "tab" else key)
        elif key in ("up", "ctrl-p", "down", "ctrl-n"):
            self._recall(-1 if key in ("up", "ctrl-p") else 1)
        elif key in _DELETED:
            start, end = _DELETED[key](self)
            self._replace(max(0, start), end, "")
        elif key in _MOVED:
            self.place = min(max(0, _MOVED[key](self)), len(self.text))
        return None

    def clear(self) -> None:
        self.text, self.place = "", 0

    def _done(self) -> str:
        line = self.text
        if line.strip() and line not in self._history[-1:]:
            self._history = [*self._history, line][-HISTORY:]
        self._shown = len(self._history)
        self.clear()
        return line

    def _replace(self, start: int, end: int, text: str) -> None:
        self.text = self.text[:start] + text + self.text[end:]
        self.place = start + len(text)

    def _recall(self, step: int) -> None:
        self._shown = min(max(0, self._shown + step), len(self._history))
        self.text = self._history[self._shown] if self._shown < len(self._history) else ""
        self.place = len(self.text)

    def _word_start(self) -> int:
        before = self.text[: self.place].rstrip()
        return before.rfind(" ") + 1


_DELETED: dict[str, Callable[[LineEditor], tuple[int, int]]] = {
    "backspace": lambda e: (e.place - 1, e.place),
    "delete": lambda e: (e.place, e.place + 1),
    "ctrl-u": lambda e: (0, e.place),
    "ctrl-k": lambda e: (e.place, len(e.text)),
    "ctrl-w": lambda e: (e._word_start(), e.place),
}

_MOVED: dict[str, Callable[[LineEditor], int]] = {
    "left": lambda e: e.place - 1,
    "ctrl-b": lambda e: e.place - 1,
    "right": lambda e: e.place + 1,
    "ctrl-f": lambda e: e.place + 1,
    "home": lambda e: 0,
    "ctrl-a": lambda e: 0,
    "end": lambda e: len(e.text),
    "ctrl-e": lambda e: len(e.text),
}
