"""Just enough of SVG: shapes and text as strings, the same bytes for the same drawing."""

import re
from html import escape
from typing import Any

Attribute = str | float | None

FONT = "-apple-system, 'Segoe UI', Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"

_NARROW = frozenset("ijlI|.,:;'!`\u00b7 ")
_SLIM = frozenset('frt()[]{}-/\\"')
_WIDE = frozenset("mwMW@%")
# What XML 1.0 cannot hold, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def number(value: float) -> str:
    """A coordinate, to a tenth of a pixel."""
    text = f"{value:.1f}"
    text = text.removesuffix(".0")
    return "0" if text == "-0" else text


def text_width(text: str, size: float) -> float:
    """About how wide a line is in the widest of the usual fonts, so that what fits here fits everywhere."""
    return size * sum(_em(character) for character in text)


def _em(character: str) -> float:
    if character in _NARROW:
        return 0.34
    if character in _SLIM:
        return 0.43
    if character in _WIDE:
        return 0.95
    if character.isupper():
        return 0.70
    return 0.61 if ord(character) < 0x1100 else 1.05


def shorten(text: str, width: float, size: float) -> str:
    """The text, or as much of it as fits with an ellipsis."""
    text = " ".join(text.split())
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "\u2026", size) > width:
        text = text[:-1]
    return text.rstrip() + "\u2026"


class Drawing:
    """A growing list of elements. Coordinates in pixels, y downward; later elements lie on top."""

    def __init__(self) -> None:
        self._elements: list[str] = []

    def element(self, name: str, content: str = "", **attributes: Attribute) -> None:
        """`content` is markup. An attribute's underscores stand for hyphens; None leaves it out."""
        given = "".join(
            f" {key.rstrip('_').replace('_', '-')}={_quoted(value)}"
            for key, value in attributes.items()
            if value is not None
        )
        self._elements.append(f"<{name}{given}>{content}</{name}>" if content else f"<{name}{given}/>")

    def add(self, other: "Drawing") -> None:
        self._elements += other._elements

    def rect(self, x: float, y: float, width: float, height: float, fill: str, **more: Any) -> None:
        self.element("rect", x=x, y=y, width=max(width, 0.0), height=height, fill=fill, **more)

    def line(self, x1: float, y1: float, x2: float, y2: float, stroke: str, **more: Any) -> None:
        self.element("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=stroke, **more)

    def text(self, x: float, y: float, text: str, size: float, fill: str, **more: Any) -> None:
        """`y` is the base line."""
        self.element("text", clean(text), x=x, y=y, font_size=size, fill=fill, **more)

    def finished(self, width: float, height: float, title: str) -> bytes:
        """The file. `title` is what a screen reader says."""
        box = f'viewBox="0 0 {number(width)} {number(height)}" width="{number(width)}" height="{number(height)}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="img" font-family="{FONT}">'
        return "\n".join([head, f"<title>{clean(title)}</title>", *self._elements, "</svg>", ""]).encode()


def _quoted(value: str | float) -> str:
    return f'"{escape(value)}"' if isinstance(value, str) else f'"{number(value)}"'


def clean(text: str) -> str:
    """Text as markup: escaped, and without what XML cannot hold."""
    return escape(_FORBIDDEN.sub("\ufffd", text), quote=False)
