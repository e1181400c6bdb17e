"""Text that a terminal only shows."""

import sys

import pytest

from agent_runtime.io.lines import Span, columns, fit, harmless, paint, wrap


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("what  time\tis\nit ", "what time is it"),
        ("\x1b[2J\x1b]0;owned\x07", "\u241b[2J\u241b]0;owned\u2407"),
        ("\x9b31m red", "\ufffd31m red"),
        ("del\x7f", "del\u2421"),
        ("abc\u202edcba\u2066", "abcdcba"),
        ("line\u2028two\u2029three", "line two three"),
        ("\ud800", "\ufffd"),
        ("", ""),
        ("日本 語", "日本 語"),
    ],
)
def test_harmless(text: str, shown: str) -> None:
    assert harmless(text) == shown


def test_every_character_of_unicode_is_harmless() -> None:
    shown = harmless("x".join(map(chr, range(sys.maxunicode + 1))))
    unprintable = {character for character in shown if not character.isprintable()}
    assert not {c for c in unprintable if ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000}
    assert not unprintable & set(
        "\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\ufeff"
    )


@pytest.mark.parametrize(("text", "size"), [("abc", 3), ("日本", 4), ("e\u0301", 1), ("🙂", 2), ("", 0)])
def test_columns(text: str, size: int) -> None:
    assert columns(text) == size


def test_fit_keeps_head_or_tail() -> None:
    assert fit("hello", 5) == "hello"
    assert fit("hello", 4) == "hel…"
    assert fit("hello", 4, keep="tail") == "…llo"
    assert fit("日本語", 5) == "日本…"
    assert fit("日本語", 4) == "日…"
    assert fit("hello", 0) == ""


def test_wrap_breaks_at_blanks_and_keeps_styles() -> None:
    lines = wrap([Span("one two"), Span(" "), Span("three four five", "cut")], 12)
    assert ["".join(span.text for span in line) for line in lines] == ["one two", "three four", "five"]
    assert lines[0] == [Span("one two")]
    assert lines[2] == [Span("five", "cut")]


@pytest.mark.parametrize("width", [8, 11, 20, 79])
def test_no_wrapped_line_is_too_wide(width: int) -> None:
    text = "a 日本語日本語 " + "x" * 50 + " 🙂🙂 end " * 7
    lines = ["".join(span.text for span in line) for line in wrap([Span(harmless(text))], width)]
    assert max(map(columns, lines)) <= width
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_paint() -> None:
    spans = [Span("plain "), Span("struck", "cut")]
    assert paint(spans, color=False) == "plain struck"
    assert paint(spans, color=True) == "plain \x1b[90;9mstruck\x1b[0m"
