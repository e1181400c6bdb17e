"""What is expected of a call, in sentences: "agent starts speaking within 1.0 s of 1.7".

Theory of operation. `SENTENCES` is the whole grammar: a pattern for each sentence, and the function that looks. What stands
in braces in a pattern is read as `_PLACES` says and given to the function in order. A function says whether it is so, and
what is so instead, with the place in the call where that can be seen.
"""

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from agent_runtime.errors import UsageError
from agent_runtime.testing.fields import known_event, value_of
from agent_runtime.testing.result import CallResult, Interval, Outcome, Said, overlap
from agent_runtime.trace.waterfall import Waterfall

GRAIN_S = 1e-6
"""Times that differ by less are the same: intervals are rounded to this."""


class NotAsExpected(AssertionError):
    """A call went otherwise than was expected."""


Finding = tuple[bool, str, float | None]
"""Whether it is so, what is so, and where in the call."""

_PLACES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "who": (r"(agent|caller|user)", lambda text: "agent" if text == "agent" else "caller"),
    "role": (r"(user|agent|assistant)", lambda text: "user" if text == "user" else "assistant"),
    "seconds": (r"(\d+(?:\.\d+)?(?: ?m?s)?)", lambda text: _seconds(text)),
    "time": (r"(\d+(?:\.\d+)?(?: ?m?s)?)", lambda text: _seconds(text)),
    "count": (r"(\d+)", int),
    "times": (r"(once|twice|\d+ times?)", lambda text: {"once": 1, "twice": 2}.get(text) or int(text.split()[0])),
    "which": (r"(\d+|last)", lambda text: -1 if text == "last" else int(text)),
    "text": (r"(\"(?:.*)\"|'(?:.*)'|“(?:.*)”)", lambda text: text[1:-1]),
    "event": (r"(\w+)", known_event),
    "field": (r"(\w+)", str),
    "value": (r"(\".*\"|'.*'|“.*”|[^\s\"'“”]+)", str),
    "tool": (r"([\w-]+)", str),
}


@dataclass(frozen=True)
class Expectation:
    """A sentence that was understood."""

    text: str
    _look: Callable[..., Finding]
    _given: tuple[Any, ...]

    def look(self, call: CallResult) -> Outcome:
        """Whether it is so in this call."""
        met, detail, at = self._look(call, *self._given)
        return Outcome(self.text, met, detail, at)


def parse(text: str) -> Expectation:
    """Understand a sentence.

    Raises:
        UsageError: it is none of `SENTENCES` (which one is near is said), or with what it names it is so, or is not so,
            of every call.
    """
    sentence = text.strip().removesuffix(".")
    for pattern, look in SENTENCES.items():
        found = _compiled(pattern).fullmatch(sentence)
        if found is not None:
            names = re.findall(r"\{(\w+)\}", pattern)
            given = tuple(_PLACES[name][1](value) for name, value in zip(names, found.groups(), strict=True))
            return Expectation(text, look, _checked(pattern, names, given))
    plain = {_flat(re.sub(r"\{(\w+)\}", lambda found: _EXAMPLES.get(found[1], "x"), each)): each for each in SENTENCES}
    near = difflib.get_close_matches(_flat(sentence), plain, n=1, cutoff=0.0)
    raise UsageError(f"{text!r} is no expectation that is known; near it is: {plain[near[0]]}.")


def _checked(pattern: str, names: list[str], given: tuple[Any, ...]) -> tuple[Any, ...]:
    """What is given to a sentence, if calls can differ in it."""
    if "field" in names:
        at = names.index("field")
        event, field, value = given[at - 1 : at + 2]
        return (*given[: at + 1], value_of(event, field, value), *given[at + 2 :])
    if names[-2:] == ["time", "time"] and given[-1] < given[-2]:
        raise UsageError(f"From {given[-2]:g} to {given[-1]:g} is no stretch of time; write the earlier one first.")
    if names[-1:] == ["text"] and not given[-1] and not pattern.endswith(" is {text}"):
        raise UsageError("A text that is empty is part of every other; write what is to be in it.")
    if pattern.startswith("user turn ") and given[0] == 0:
        raise UsageError("There is no turn 0; the first is user turn 1.")
    if pattern.startswith("at least ") and given[0] == 0:
        raise UsageError(f"At least 0 are there in every call; write 'at least 1 events of {given[1]}', or more.")
    return given


_EXAMPLES = {"who": "agent", "role": "agent", "seconds": "1", "time": "1", "count": "1", "which": "1", "times": "once"}


def _flat(sentence: str) -> str:
    """Without what differs from one use of a sentence to the next."""
    sentence = re.sub(r"\b(agent|caller|user|assistant)\b", "agent", re.sub(r"\".*\"|'.*'", "x", sentence))
    return re.sub(r"\d+(\.\d+)?( ?m?s\b)?", "1", sentence)


_cache: dict[str, re.Pattern[str]] = {}


def _compiled(pattern: str) -> re.Pattern[str]:
    if pattern not in _cache:
        parts = re.split(r"\{(\w+)\}", pattern)
        _cache[pattern] = re.compile(
            "".join(_PLACES[part][0] if index % 2 else re.escape(part) for index, part in enumerate(parts)), re.DOTALL
        )
    return _cache[pattern]


def _seconds(text: str) -> float:
    number = float(text.rstrip("ms").strip())
    return number / 1000 if text.endswith("ms") else number


# Who is heard when


def _starts(call: CallResult, who: str, within: float, of: float) -> Finding:
    return _edge(call, who, 0, of - within, of + within, of)


def _starts_after(call: CallResult, who: str, within: float, after: float) -> Finding:
    return _edge(call, who, 0, after, after + within, after)


def _stops(call: CallResult, who: str, within: float, of: float) -> Finding:
    return _edge(call, who, 1, of - within, of + within, of)


def _stops_after(call: CallResult, who: str, within: float, after: float) -> Finding:
    return _edge(call, who, 1, after, after + within, after)


def _edge(call: CallResult, who: str, side: int, first: float, last: float, about: float) -> Finding:
    edges = [interval[side] for interval in call.audible[who]]
    verb = ("starts", "stops")[side]
    fits = [edge for edge in edges if first - GRAIN_S <= edge <= last + GRAIN_S]
    if fits:
        best = min(fits, key=lambda edge: abs(edge - about))
        return True, f"it {verb} at {best:.3f} ({best - about:+.3f} s)", best
    if not edges:
        return False, "it is never heard", about
    nearest = min(edges, key=lambda edge: abs(edge - about))
    return False, f"the nearest is that it {verb} at {nearest:.3f} ({nearest - about:+.3f} s)", about


def _sounding(intervals: Sequence[Interval], first: float, last: float) -> list[Interval]:
    return [each for each in intervals if each[0] < last - GRAIN_S and each[1] > first + GRAIN_S]


def _speaking_at(call: CallResult, who: str, at: float) -> Finding:
    is_so = any(begin - GRAIN_S <= at < end - GRAIN_S for begin, end in call.audible[who])
    return is_so, _told(call.audible[who]), at


def _silent_at(call: CallResult, who: str, at: float) -> Finding:
    speaks, detail, _ = _speaking_at(call, who, at)
    return _as_far_as_known(call, at, (not speaks, detail, at))


def _speaking_from(call: CallResult, who: str, first: float, last: float) -> Finding:
    is_so = any(begin <= first + GRAIN_S and end >= last - GRAIN_S for begin, end in call.audible[who])
    return is_so, _told(call.audible[who]), first


def _silent_from(call: CallResult, who: str, first: float, last: float) -> Finding:
    sounding = _sounding(call.audible[who], first, last)
    at = max(first, sounding[0][0]) if sounding else first
    return _as_far_as_known(call, last, (not sounding, _told(sounding), at))


def _as_far_as_known(call: CallResult, last: float, found: Finding) -> Finding:
    """That nothing is found up to `last`, where the call goes so far: what was never simulated is not so."""
    if not found[0] or last <= call.length + GRAIN_S:
        return found
    return False, f"the call goes to {call.length:.3f} only, and nothing is known of what comes later", call.length


def _speaks_between(call: CallResult, who: str, first: float, last: float) -> Finding:
    sounding = _sounding(call.audible[who], first, last)
    return bool(sounding), _told(sounding), first


def _speaks_times(call: CallResult, who: str, times: int) -> Finding:
    intervals = call.audible[who]
    return len(intervals) == times, _told(intervals), None


def _never_speaks(call: CallResult, who: str) -> Finding:
    intervals = call.audible[who]
    return not intervals, _told(intervals), intervals[0][0] if intervals else None


def _overlap(call: CallResult, most: float) -> Finding:
    both = overlap(call.audible["caller"], call.audible["agent"])
    total = sum(end - begin for begin, end in both)
    return total <= most + GRAIN_S, f"they overlap for {total:.3f} s: {_told(both)}", both[0][0] if both else None


def _told(intervals: Sequence[Interval]) -> str:
    return ", ".join(f"{begin:.3f} to {end:.3f}" for begin, end in intervals) or "never"


# The history


def _message(call: CallResult, role: str, which: int, is_so: Callable[[Said], bool]) -> Finding:
    messages = [said for said in call.history if said.role == role]
    index = which if which < 0 else which - 1
    if not -len(messages) <= index < len(messages) or which == 0:
        return False, f"there are {len(messages)} messages of that side: {_quoted(messages)}", None
    said = messages[index]
    return is_so(said), f"it is {said.content!r}{', interrupted' if said.interrupted else ''}", None


def _history_is(call: CallResult, role: str, which: int, text: str) -> Finding:
    return _message(call, role, which, lambda said: said.content == text)


def _history_contains(call: CallResult, role: str, which: int, text: str) -> Finding:
    return _message(call, role, which, lambda said: text in said.content)


def _history_lacks(call: CallResult, role: str, which: int, text: str) -> Finding:
    return _message(call, role, which, lambda said: text not in said.content)


def _history_starts(call: CallResult, role: str, which: int, text: str) -> Finding:
    return _message(call, role, which, lambda said: said.content.startswith(text))


def _history_ends(call: CallResult, role: str, which: int, text: str) -> Finding:
    return _message(call, role, which, lambda said: said.content.endswith(text))


def _history_interrupted(call: CallResult, role: str, which: int) -> Finding:
    return _message(call, role, which, lambda said: said.interrupted)


def _history_whole(call: CallResult, role: str, which: int) -> Finding:
    return _message(call, role, which, lambda said: not said.interrupted)


def _history_count(call: CallResult, count: int, role: str) -> Finding:
    messages = [said for said in call.history if said.role == role]
    return len(messages) == count, f"it has {len(messages)}: {_quoted(messages)}", None


def _history_length(call: CallResult, count: int) -> Finding:
    return len(call.history) == count, f"it has {len(call.history)}: {_quoted(call.history)}", None


def _anywhere(call: CallResult, text: str) -> Finding:
    return any(text in said.content for said in call.history), _quoted(call.history), None


def _nowhere(call: CallResult, text: str) -> Finding:
    return not _anywhere(call, text)[0], _quoted(call.history), None


def _agent_says(call: CallResult, text: str) -> Finding:
    messages = [said for said in call.history if said.role == "assistant"]
    return any(text in said.content for said in messages), f"it said {_quoted(messages)}", None


def _agent_never_says(call: CallResult, text: str) -> Finding:
    met, detail, _ = _agent_says(call, text)
    return not met, detail, None


def _quoted(messages: Sequence[Said]) -> str:
    return ", ".join(repr(said.content) for said in messages) or "nothing"


# Events


def _found(call: CallResult, name: str, field: str | None = None, value: Any = None) -> list[float]:
    return [
        event["t"] for event in call.events if event["type"] == name and (field is None or event.get(field) == value)
    ]


def _event_happens(call: CallResult, name: str) -> Finding:
    return _times(_found(call, name), at_least=1)


def _event_never(call: CallResult, name: str) -> Finding:
    return _times(_found(call, name), at_most=0)


def _event_count(call: CallResult, count: int, name: str) -> Finding:
    return _times(_found(call, name), at_least=count, at_most=count)


def _event_least(call: CallResult, count: int, name: str) -> Finding:
    return _times(_found(call, name), at_least=count)


def _event_most(call: CallResult, count: int, name: str) -> Finding:
    return _times(_found(call, name), at_most=count)


def _event_within(call: CallResult, name: str, within: float, of: float) -> Finding:
    return _near(_found(call, name), within, of)


def _event_between(call: CallResult, name: str, first: float, last: float) -> Finding:
    times = [t for t in _found(call, name) if first - GRAIN_S <= t <= last + GRAIN_S]
    return _as_far_as_known(call, last, _times(times, at_most=0))


def _event_where(call: CallResult, name: str, field: str, value: Any) -> Finding:
    return _times(_found(call, name, field, value), at_least=1)


def _event_where_within(call: CallResult, name: str, field: str, value: Any, within: float, of: float) -> Finding:
    return _near(_found(call, name, field, value), within, of)


def _event_never_where(call: CallResult, name: str, field: str, value: Any) -> Finding:
    return _times(_found(call, name, field, value), at_most=0)


def _times(times: Sequence[float], *, at_least: int = 0, at_most: int | None = None) -> Finding:
    met = len(times) >= at_least and (at_most is None or len(times) <= at_most)
    return met, f"it happens at {', '.join(f'{t:.3f}' for t in times)}" if times else "it never happens", _first(times)


def _near(times: Sequence[float], within: float, of: float) -> Finding:
    met = any(abs(t - of) <= within + GRAIN_S for t in times)
    return met, _times(times)[1], of


def _first(times: Sequence[float]) -> float | None:
    return times[0] if times else None


def _tool_called(call: CallResult, tool: str) -> Finding:
    return _times(_found(call, "tool_started", "name", tool), at_least=1)


def _tool_times(call: CallResult, tool: str, times: int) -> Finding:
    return _times(_found(call, "tool_started", "name", tool), at_least=times, at_most=times)


def _tool_with(call: CallResult, tool: str, text: str) -> Finding:
    called = [event for event in call.events if event["type"] == "tool_started" and event["name"] == tool]
    fits = [event["t"] for event in called if text in event["arguments"]]
    arguments = ", ".join(event["arguments"] for event in called)
    return bool(fits), f"it is called with {arguments}" if called else "it is never called", _first(fits)


def _tool_never(call: CallResult, tool: str) -> Finding:
    return _times(_found(call, "tool_started", "name", tool), at_most=0)


# Turns


def _answered(call: CallResult, turn: int) -> Finding:
    return _answered_within(call, turn, float("inf"))


def _answered_within(call: CallResult, turn: int, within: float) -> Finding:
    found = _turn(call, turn)
    if found is None:
        return False, f"there are {len(call.turns)} turns", None
    at = found.began - call.started
    if found.played is None:
        return False, f"nothing is heard after it ({', '.join(found.tags) or 'no reply'})", at
    return found.total <= within + GRAIN_S, f"the agent is heard {found.total:.3f} s after it", at


def _unanswered(call: CallResult, turn: int) -> Finding:
    met, detail, at = _answered(call, turn)
    return not met and _turn(call, turn) is not None, detail, at


def _turn(call: CallResult, turn: int) -> Waterfall | None:
    return next((each for each in call.turns if each.turn == turn), None)


def _committed(call: CallResult, turn: int, within: float, of: float) -> Finding:
    return _near(_found(call, "turn_committed", "turn", turn), within, of)


def _ends(call: CallResult, within: float, of: float) -> Finding:
    return abs(call.length - of) <= within + GRAIN_S, f"it ends at {call.length:.3f}", call.length


SENTENCES: dict[str, Callable[..., Finding]] = {
    "{who} starts speaking within {seconds} of {time}": _starts,
    "{who} starts speaking within {seconds} after {time}": _starts_after,
    "{who} stops speaking within {seconds} of {time}": _stops,
    "{who} stops speaking within {seconds} after {time}": _stops_after,
    "{who} is speaking at {time}": _speaking_at,
    "{who} is silent at {time}": _silent_at,
    "{who} is speaking from {time} to {time}": _speaking_from,
    "{who} is silent from {time} to {time}": _silent_from,
    "{who} speaks between {time} and {time}": _speaks_between,
    "{who} speaks {times}": _speaks_times,
    "{who} never speaks": _never_speaks,
    "caller and agent overlap for at most {seconds}": _overlap,
    "history {role} {which} is {text}": _history_is,
    "history {role} {which} contains {text}": _history_contains,
    "history {role} {which} does not contain {text}": _history_lacks,
    "history {role} {which} starts with {text}": _history_starts,
    "history {role} {which} ends with {text}": _history_ends,
    "history {role} {which} is interrupted": _history_interrupted,
    "history {role} {which} is not interrupted": _history_whole,
    "history has {count} {role} messages": _history_count,
    "history has {count} {role} message": _history_count,
    "history has {count} messages": _history_length,
    "history contains {text}": _anywhere,
    "history does not contain {text}": _nowhere,
    "agent says {text}": _agent_says,
    "agent never says {text}": _agent_never_says,
    "user turn {count} is answered": _answered,
    "user turn {count} is answered within {seconds}": _answered_within,
    "user turn {count} is never answered": _unanswered,
    "user turn {count} is committed within {seconds} of {time}": _committed,
    "tool {tool} is called": _tool_called,
    "tool {tool} is called {times}": _tool_times,
    "tool {tool} is called with {text}": _tool_with,
    "tool {tool} is never called": _tool_never,
    "event {event}": _event_happens,
    "event {event} within {seconds} of {time}": _event_within,
    "event {event} where {field} is {value}": _event_where,
    "event {event} where {field} is {value} within {seconds} of {time}": _event_where_within,
    "no event {event}": _event_never,
    "no event {event} from {time} to {time}": _event_between,
    "no event {event} where {field} is {value}": _event_never_where,
    "{count} events of {event}": _event_count,
    "at least {count} events of {event}": _event_least,
    "at most {count} events of {event}": _event_most,
    "call ends within {seconds} of {time}": _ends,
}
"""Every sentence that can be expected. `seconds` and `time` are numbers, with ``s`` or ``ms`` behind them or nothing;
`which` is a number from 1 on, or ``last``; `text` stands in quotes; `times` is ``once``, ``twice`` or ``3 times``."""
