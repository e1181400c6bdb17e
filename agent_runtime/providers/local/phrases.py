"""What the built-in rules understand, as one table: the recogniser's grammar and the rules are both made from it.

A pattern is the right side of a JSGF rule over lower-case words, cut down to what a regular expression can say too:
``(a | b)``, ``[optional]``, and the references ``<number>`` (0 to 100 in words) and ``<operator>``. `regex` turns one
into a regular expression whose groups are its references, in order.
"""

import re
from collections.abc import Mapping

INTENTS: Mapping[str, tuple[str, ...]] = {
    "greeting": (
        "(hello | hi | hey) [there]",
        "good (morning | afternoon | evening)",
    ),
    "how_are_you": ("how are you [doing] [today]",),
    "time": (
        "what time is it [now | right now]",
        "(what is | what's) the [current] time [now | right now]",
        "what time it is",
        "the time",
    ),
    "date": (
        "what day is it [today]",
        "what day is today",
        "what day it is [today]",
        "(what is | what's) (the date | today's date) [today]",
        "what is the day today",
        "what date is it [today]",
    ),
    "name": (
        "(what is | what's) your name",
        "what your name is",
        "who are you",
        "what are you called",
        "what should i call you",
    ),
    "arithmetic": (
        "(what is | what's | how much is | calculate) <number> <operator> <number>",
        "what does <number> <operator> <number> (make | equal)",
        "<number> <operator> <number>",
    ),
    "repeat": (
        "say (that | it) again",
        "repeat (that | it)",
        "what did you say",
        "come again",
        "pardon [me]",
        "i did not (hear | get | catch) (that | you)",
        "i didn't (hear | get | catch) (that | you)",
    ),
    "help": (
        "what can you do [for me]",
        "what can i (say | ask | ask you)",
        "how can you help [me]",
        "help [me]",
    ),
    "goodbye": (
        "[okay | thank you | thanks] (goodbye | bye bye | bye)",
        "goodbye for now",
        "see you [later | soon]",
        "(that is | that's) all [for now | thank you | thanks]",
        "hang up",
    ),
    "thanks": (
        "thank you [very much | so much]",
        "thanks [a lot | very much]",
    ),
    "stop": (
        "stop [it | that | talking | speaking]",
        "be quiet",
        "never mind",
        "cancel [that | it]",
    ),
    "wait": (
        "wait [a | one] [minute | moment | second]",
        "hold on [a minute | a moment | a second]",
        "(one | just a) (minute | moment | second)",
    ),
    "no": ("no [thank you | thanks]", "nope", "no (i | we) (do not | don't)"),
    "yes": (
        "yes [please | thank you]",
        "yeah",
        "yep",
        "sure",
        "okay",
        "all right",
        "of course",
        "(that is | that's) right",
    ),
}
"""Intent to its patterns. What a caller says of a tool is not here: see `grammar.tool_patterns`."""

QUESTIONS = frozenset({"time", "date", "name", "arithmetic"})
"""Intents that `ASK` may stand before."""

REQUESTS = frozenset({"repeat", "help", "stop", "wait"})
"""Intents that `POLITE` may stand before; tools are the others."""

POLITE = "[please | (can | could | would | will) you [please] | i want to | i would like to | i'd like to]"
"""What may stand before a request."""

ASK = "[please] [(can | could | would | will) you [please]] [tell me]"
"""What may stand before a question."""

AFTER = "[please]"
"""What may stand after either."""

OPERATORS: Mapping[str, str] = {
    "plus": "+",
    "minus": "-",
    "times": "*",
    "multiplied by": "*",
    "divided by": "/",
    "over": "/",
}
"""Spoken operators and what they mean."""

_UNITS = tuple(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen".split()
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def number_words(value: int) -> str:
    """0 to 100 as it is spoken: ``"forty two"``, ``"one hundred"``."""
    if not 0 <= value <= 100:
        raise ValueError(f"only numbers from 0 to 100 are spelled out, not {value}")
    if value < 20:
        return _UNITS[value]
    if value == 100:
        return "one hundred"
    tens, unit = divmod(value, 10)
    return _TENS[tens - 2] + (f" {_UNITS[unit]}" if unit else "")


NUMBERS: Mapping[str, int] = {number_words(value): value for value in range(101)} | {"a hundred": 100}
"""Every spoken number that the grammar knows, and its value."""

RULES: Mapping[str, str] = {
    "number": f"zero | <unit> | {' | '.join(_UNITS[10:])} | <tens> [<unit>] | (a | one) hundred",
    "unit": " | ".join(_UNITS[1:10]),
    "tens": " | ".join(_TENS),
    "operator": " | ".join(OPERATORS),
}
"""The rules that patterns refer to, in JSGF."""


def patterns(intent: str) -> tuple[str, ...]:
    """An intent's patterns with the polite words that may stand around them."""
    before = ASK if intent in QUESTIONS else POLITE if intent in REQUESTS else ""
    after = AFTER if before else ""
    return tuple(" ".join(part for part in (before, pattern, after) if part) for pattern in INTENTS[intent])


_TOKEN = re.compile(r"[\[\]()|]|<\w+>|[\w'.-]+")
_START = "(?:^| )"  # a word takes the space before it along, so that an optional one leaves no gap
_END = r"(?![\w'.-])"


def words(pattern: str) -> list[str]:
    """Every word that stands in a pattern."""
    return [token for token in _TOKEN.findall(pattern) if token[0] not in "[]()|<"]


def regex(pattern: str) -> re.Pattern[str]:
    """The regular expression for one pattern: `fullmatch` it against lower-case words with single spaces between them.

    Each reference is a group: ``what is <number> <operator> <number>`` has three.
    """
    return re.compile("".join(_piece(token) for token in _TOKEN.findall(pattern)))


def _piece(token: str) -> str:
    match token:
        case "(" | "[":
            return "(?:"
        case ")" | "|":
            return token
        case "]":
            return ")?"
        case "<number>":
            return _START + f"({_longest_first(NUMBERS)})" + _END
        case "<operator>":
            return _START + f"({_longest_first(OPERATORS)})" + _END
        case _:
            return _START + re.escape(token) + _END


def _longest_first(spoken: Mapping[str, object]) -> str:
    return "|".join(sorted(spoken, key=len, reverse=True))
