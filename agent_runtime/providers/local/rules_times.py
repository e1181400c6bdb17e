"""Times of day in words: half past six, a quarter to seven, ten to seven, noon, 6:30, seven o'clock, six pm."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from agent_runtime.providers.local.rules_numbers import read_number

_PAST = frozenset(["past", "after"])
_TO = frozenset(["to", "till", "til", "before"])
_ROUND = frozenset([5, 10, 20, 25])
"""Minutes that are said without "minutes" before "to": "two to seven" is from two to seven."""

_BEFORE_ROUND = frozenset("at for to by until till about around is it's".split())
"""What "ten to seven" follows where it is a time; "from ten to seven", "change ten to seven" are two numbers."""

_MORNING, _EVENING, _NIGHT = (
    frozenset(["am", "a.m", "morning"]),
    frozenset(["pm", "p.m", "afternoon", "evening"]),
    "night",
)


@dataclass(frozen=True)
class Clock:
    """A time of day (hour 0 to 23) and the words it stands in. Without "pm" or the like the hour is as it was said."""

    hour: int
    minute: int
    start: int
    end: int


def find_time(words: Sequence[str], *, bare: bool = False) -> Clock | None:
    """The first time of day among `words`. `bare`: "seven thirty" is one too, where a time is wanted."""
    return next((time for at in range(len(words)) if (time := read_time(words, at, bare=bare)) is not None), None)


def read_time(words: Sequence[str], at: int, *, bare: bool = False) -> Clock | None:
    """The time of day that begins at `words[at]`; None where none begins."""
    begin = at + (words[at] == "a" and _word(words, at + 1) == "quarter")
    read = _by_the_hour(words, begin, bare) or _full(words, begin, bare)
    if read is None:
        return None
    hour, minute, end = read
    hour, end = _in_its_half(hour, words, end)
    return Clock(hour % 24, minute, at, end)


def _word(words: Sequence[str], at: int) -> str:
    return words[at] if at < len(words) else ""


def _hour(words: Sequence[str], at: int) -> tuple[int, int] | None:
    word = _word(words, at)
    if word in ("noon", "midday", "midnight"):
        return (24 if word == "midnight" else 12), at + 1
    read = read_number(words, at)
    if read is None or read[0].denominator != 1 or not 0 <= read[0] <= 23:
        return None
    if read[0] == 12 and _word(words, read[1]) in ("noon", "midnight"):
        return _hour(words, read[1])
    return int(read[0]), read[1]


def _by_the_hour(words: Sequence[str], at: int, bare: bool) -> tuple[int, int, int] | None:
    """Minutes past or to an hour."""
    word = _word(words, at)
    if word == "half":
        hour = _hour(words, at + 1 + (_word(words, at + 1) in _PAST))
        return None if hour is None else (hour[0], 30, hour[1])
    counted = word == "quarter"
    if counted:
        minutes, end = 15, at + 1
    else:
        read = read_number(words, at)
        if read is None or read[0].denominator != 1 or not 0 < read[0] < 60:
            return None
        minutes, end = int(read[0]), read[1]
        counted = _word(words, end) in ("minute", "minutes")
        end += counted
    joint = _word(words, end)
    hour = _hour(words, end + 1)
    if hour is None:
        return None
    if joint in _PAST and (counted or joint == "past" or minutes in _ROUND):
        return hour[0], minutes, hour[1]
    led = bare or at == 0 or words[at - 1] in _BEFORE_ROUND
    if (joint in _TO and (counted or (minutes in _ROUND and led))) or (joint == "of" and word == "quarter"):
        return hour[0] - 1 or 12, 60 - minutes, hour[1]
    return None


def _full(words: Sequence[str], at: int, bare: bool) -> tuple[int, int, int] | None:
    """An hour, with or without its minutes behind it."""
    if digits := re.fullmatch(r"(\d{1,2}):([0-5]\d)", _word(words, at)):
        return (int(digits[1]), int(digits[2]), at + 1) if int(digits[1]) < 24 else None
    read = _hour(words, at)
    if read is None:
        return None
    hour, end = read
    if words[end - 1] in ("noon", "midday", "midnight"):
        return hour, 0, end
    minute, oh = 0, _word(words, end) == "oh"
    after = read_number(words, end + oh)
    if after is not None and after[0].denominator == 1 and (0 if oh else 9) < after[0] < 60:
        minute, end = int(after[0]), after[1]
    sure = _in_its_half(hour, words, end)[1] > end or (bare and minute > 0)
    return (hour, minute, end) if sure else None


def _in_its_half(hour: int, words: Sequence[str], end: int) -> tuple[int, int]:
    """The hour of 24, and the index behind "o'clock", "pm", "in the evening", "at night"."""
    end += _word(words, end) == "o'clock"
    part, behind = _word(words, end), end + 1
    if part == "in" and _word(words, end + 1) == "the":
        part, behind = _word(words, end + 2), end + 3
    elif part == "at":
        part, behind = _word(words, end + 1), end + 2
    elif part not in ("am", "pm", "a.m", "p.m"):
        return hour, end
    if part in _EVENING:
        return (hour + 12 if hour < 12 else hour), behind
    if part in _MORNING:
        return hour % 12 if hour <= 12 else hour, behind
    if part == _NIGHT:
        return (hour + 12 if 5 < hour <= 12 else hour), behind
    return hour, end
