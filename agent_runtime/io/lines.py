"""Text on a terminal: made harmless, measured in columns, wrapped, painted.

Transcripts, model output and tool results are written by others. What they contain may move the cursor, change the
title, or write backwards; `harmless` takes that power away before anything else here sees the text.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

Style = Literal["plain", "label", "agent", "grey", "cut", "warning", "error", "good"]

CODES: dict[Style, str] = {
    "plain": "",
    "label": "1",
    "agent": "36",
    "grey": "90",
    "cut": "90;9",
    "warning": "33",
    "error": "31",
    "good": "32",
}
"""SGR parameters; each is one that terminals without the attribute ignore."""

NO_BREAK = "\u00a0"
"""A blank at which no line is broken; written as a plain one. `harmless` leaves none in."""

_JOINERS = "\u200c\u200d"  # between letters of some scripts, and in emoji
_CONTROL_PICTURES = 0x2400


class Span(NamedTuple):
    """A stretch of harmless text in one style."""

    text: str
    style: Style = "plain"


def harmless(text: str) -> str:
    """One line that a terminal only shows.

    White space of every kind becomes single blanks. A control character is shown by its picture (ESC is U+241B) or
    as U+FFFD; marks that turn the direction of text or take no room are left out.
    """
    if text.isascii() and text.isprintable():
        return " ".join(text.split()) if "  " in text or text[:1] == " " or text[-1:] == " " else text
    return " ".join("".join(map(_shown, text)).split())


def _shown(character: str) -> str:
    if character.isspace() and character not in "\x1c\x1d\x1e\x1f\x85":
        return " "
    code = ord(character)
    if code < 0x20:
        return chr(_CONTROL_PICTURES + code)
    if code == 0x7F:
        return "\u2421"
    category = unicodedata.category(character)
    if category in ("Cc", "Cs"):
        return "\ufffd"
    if category in ("Zl", "Zp"):
        return " "
    return "" if category == "Cf" and character not in _JOINERS else character


def columns(text: str) -> int:
    """How many columns harmless text takes."""
    return len(text) if text.isascii() else sum(map(_columns_of, text))


def _columns_of(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fit(text: str, width: int, *, keep: Literal["head", "tail"] = "head") -> str:
    """At most `width` columns of `text`; an ellipsis stands for what was left out."""
    if columns(text) <= width:
        return text
    room = max(0, width - 1)
    kept = ""
    for character in text if keep == "head" else reversed(text):
        room -= _columns_of(character)
        if room < 0:
            break
        kept += character
    if width < 1:
        return ""
    return f"{kept}\u2026" if keep == "head" else f"\u2026{kept[::-1]}"


def wrap(spans: Sequence[Span], width: int, *, indent: int = 0) -> list[list[Span]]:
    """Lines of at most `width` columns, broken at blanks where there are any; all but the first are indented."""
    width = max(width, indent + 8)
    lines: list[list[Span]] = [[]]
    used, fresh = 0, True  # fresh: the line has no word yet, so a blank before the next would be lost
    for span in spans:
        for piece in _pieces(span.text, width - indent):
            size = columns(piece)
            if used + size > width and not fresh:
                _trim(lines[-1])
                lines.append([Span(" " * indent)] if indent else [])
                used, fresh = indent, True
            if piece == " " and fresh and len(lines) > 1:
                continue
            _add(lines[-1], Span(piece, span.style))
            used += size
            fresh = fresh and piece == " "
    return lines


def _pieces(text: str, longest: int) -> Iterable[str]:
    """Words and the single blanks between them; a word that fits on no line is cut."""
    for number, word in enumerate(text.split(" ")):
        if number:
            yield " "
        while columns(word) > longest:
            end, room = 0, longest
            while end < len(word) and (room := room - _columns_of(word[end])) >= 0:
                end += 1
            yield word[: max(1, end)]
            word = word[max(1, end) :]
        if word:
            yield word


def _add(line: list[Span], span: Span) -> None:
    if line and line[-1].style == span.style:
        line[-1] = Span(line[-1].text + span.text, span.style)
    else:
        line.append(span)


def _trim(line: list[Span]) -> None:
    while line and not line[-1].text.strip(" "):
        line.pop()
    if line:
        line[-1] = Span(line[-1].text.rstrip(" "), line[-1].style)


def paint(spans: Iterable[Span], *, color: bool) -> str:
    """The line as it is written."""
    return "".join(_painted(span) if color else span.text for span in spans).replace(NO_BREAK, " ")


def _painted(span: Span) -> str:
    code = CODES[span.style]
    return f"\x1b[{code}m{span.text}\x1b[0m" if code and span.text else span.text
