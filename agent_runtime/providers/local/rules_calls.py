"""Which tools a sentence calls, and with which arguments.

A tool is called only when enough speaks for it and it leads the next by a clear margin: asking again is better than a
wrong call. Then its arguments are filled: documented values where they stand, numbers where numbers are wanted, and
what remains of the sentence, less the words that only point back at the tool ("... to my shopping list"), for free text.
What the user says not to do is never called.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent_runtime.providers.local.rules_numbers import read_number
from agent_runtime.providers.local.rules_tools import Slot, ToolWords
from agent_runtime.providers.local.rules_words import (
    DETERMINERS,
    PREPOSITIONS,
    QUESTION,
    SMALL,
    TRAILING,
    Sentence,
    name_words,
    stem,
)
from agent_runtime.tools import FunctionTool

MIN_POINTS = 3
MIN_MARGIN = 2

_ANYTHING = frozenset("something anything stuff one thing things item items".split())
"""A free text that says nothing."""

_CUES: dict[str, frozenset[str]] = {
    "to": frozenset("to recipient contact person whom destination receiver".split()),
    "at": frozenset("time when at".split()),
    "on": frozenset("date day on".split()),
    "in": frozenset("city location place where country region in".split()),
    "from": frozenset("origin source start from".split()),
    "for": frozenset("for name".split()),
    "saying": frozenset("message text body content".split()),
}
"""The word before an argument, and the parameters it is said before, where a tool takes more than one free text."""


@dataclass(frozen=True)
class Call:
    """A tool and the arguments found; `missing` are the required ones that were not said."""

    tool: FunctionTool
    arguments: dict[str, Any]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """What the sentence came to: calls to make, tools between which it does not decide, or one not to call."""

    calls: list[Call] = field(default_factory=list)
    unsure: list[FunctionTool] = field(default_factory=list)
    refused: bool = False


def choose(text: str, tools: Sequence[ToolWords], *, must: bool = False) -> Choice:
    """Find the tool that `text` asks for. `must`: take the best, however little speaks for it."""
    sentence = Sentence.of(text)
    if sentence.denied is None or must:
        return _choose(sentence, tools, must)
    meant = _choose(sentence, [tool for tool in tools if tool.denies or tool.is_example(sentence)], must)
    if meant.calls:
        return meant
    refused = _choose(sentence.denied, tools, must)
    return Choice(refused=bool(refused.calls or refused.unsure or refused.refused))


def _choose(sentence: Sentence, tools: Sequence[ToolWords], must: bool) -> Choice:
    other_verb = any(tool.says_verb(sentence) for tool in tools if not tool.asking)
    ranked = [(tool.points(_granted(tool, sentence), other_verb=other_verb), tool) for tool in tools]
    ranked.sort(key=lambda each: -each[0])
    if not ranked:
        return Choice()
    points, best = ranked[0]
    runner_up = ranked[1][0] if len(ranked) > 1 else 0
    if must or (points >= MIN_POINTS and points - runner_up >= MIN_MARGIN):
        return Choice(refused=True) if not must and _none_of_it(best, sentence) else Choice(calls=fill(best, sentence))
    return Choice(unsure=[tool.tool for score, tool in ranked if score >= MIN_POINTS and points - score < MIN_MARGIN])


def _none_of_it(known: ToolWords, sentence: Sentence) -> bool:
    """Whether "no" stands behind the verb: "order no tea", "add nothing"; in a text to pass on it may."""
    verb = known.verb_at(sentence)
    if verb is None or known.asking or known.denies or _passes_on(known):
        return False
    behind = sentence.words[verb + 1 + (known.particle in sentence.words[verb + 1 : verb + 2]) :]
    return behind in (("nothing",), ("none",)) or (len(behind) > 1 and behind[0] in ("no", "not"))


def _passes_on(known: ToolWords) -> bool:
    return any(slot.free and cue(slot) == "saying" for slot in known.slots.values())


def _granted(known: ToolWords, sentence: Sentence) -> Sentence:
    """What is asked of a tool, less what is excepted; a text to pass on is left whole."""
    return sentence if _passes_on(known) or known.is_example(sentence) else sentence.granted


def begins_command(text: str, tools: Sequence[ToolWords]) -> bool:
    """Whether `text` starts with a tool's verb or like a question: "milk and read my list" is two commands."""
    sentence = Sentence.of(text)
    sentence = sentence.denied or sentence
    return sentence.asks or any(
        tool.is_example(sentence) or (sentence.words[:1] and sentence.words[0] in tool.verbs) for tool in tools
    )


def is_command(text: str, tools: Sequence[ToolWords]) -> bool:
    """Whether `text` says a tool's verb or asks, and so is more than the name of something."""
    sentence = Sentence.of(text)
    return begins_command(text, tools) or any(tool.says_verb(sentence) for tool in tools)


# Arguments


def fill(known: ToolWords, sentence: Sentence) -> list[Call]:
    """The calls that a sentence asks of a tool: more than one where its one free text lists several things."""
    sentence = _granted(known, sentence)
    only = next(iter(known.slots.values())) if len(known.slots) == 1 else None
    if only is not None and only.values and (found := only.find_all(sentence.words)):
        values = [each.value for each in found]
        return [_call(known, {only.name: value}) for value in ([values] if only.many else values)]
    arguments, used = by_look(known, sentence)
    texts = _free_texts(known, sentence, used)
    arguments |= {name: text for name, text in texts.items() if text}
    return several(known, arguments)


def by_look(known: ToolWords, sentence: Sentence, given: Collection[str] = ()) -> tuple[dict[str, Any], set[int]]:
    """The arguments that can be told by their look, and the places of their words: values, numbers, times of day.

    `given`: the names of those that are known already.
    """
    timed = _times(known, sentence)
    arguments = {name: value for name, value in _time_arguments(known, sentence).items() if name not in given}
    used = set(timed) if arguments else set()
    for slot in sorted(known.slots.values(), key=lambda slot: (not slot.values, not slot.required)):
        if slot.name in arguments or slot.name in given or (slot is known.hour and timed):
            continue
        taken = used | set(timed) if slot.counts else used
        left = [word if at not in taken else "" for at, word in enumerate(sentence.words)]
        if first := slot.find(left):
            arguments[slot.name] = [first.value] if slot.many else first.value
            used.update(range(first.start, first.end))
    return arguments, used


def _time_arguments(known: ToolWords, sentence: Sentence) -> dict[str, Any]:
    """The hour and the minute of a time of day; nothing where the tool has no place for the minute that was said."""
    time = known.time_in(sentence)
    if time is None or known.hour is None:
        return {}
    if known.minute is not None:
        return {known.hour.name: time.hour, known.minute.name: time.minute}
    if known.hour.kind == "number":
        return {known.hour.name: time.hour + time.minute / 60}
    return {} if time.minute else {known.hour.name: time.hour}


def _times(known: ToolWords, sentence: Sentence) -> range:
    """The places of the words of a time of day. Where a text takes the time, "at six" is one."""
    if time := known.time_in(sentence):
        return range(time.start, time.end)
    if any(slot.free and cue(slot) == "at" for slot in known.slots.values()) and "at" in sentence.words:
        at = sentence.words.index("at") + 1
        read = read_number(sentence.words, at)
        return range(at, read[1] if read and read[0] <= 24 else at)
    return range(0)


def several(known: ToolWords, arguments: dict[str, Any]) -> list[Call]:
    free = [slot for slot in known.slots.values() if slot.free and slot.name in arguments]
    parts = _listed(arguments[free[0].name]) if len(free) == 1 else []
    if parts and free[0].many:
        arguments[free[0].name] = parts
    elif len(parts) > 1:
        return [_call(known, {**arguments, free[0].name: part}) for part in parts]
    return [_call(known, arguments)]


def _call(known: ToolWords, arguments: dict[str, Any]) -> Call:
    missing = tuple(slot.name for slot in known.slots.values() if slot.required and slot.name not in arguments)
    return Call(known.tool, {name: arguments[name] for name in known.slots if name in arguments}, missing)


def _listed(text: str) -> list[str]:
    parts = [bare(part.split()) for part in re.split(r"\s+(?:and|plus)\s+|\s*,\s*", text)]
    return [part for part in parts if part]


def bare(words: list[str]) -> str:
    while words and words[0].lower() in DETERMINERS | {"and", "also"}:
        words = words[1:]
    while words and words[-1].lower() in TRAILING | {"and"}:
        words = words[:-1]
    return "" if len(words) == 1 and words[0].lower() in _ANYTHING else " ".join(words)


def _free_texts(known: ToolWords, sentence: Sentence, used: set[int]) -> dict[str, str]:
    free = [slot for slot in known.slots.values() if slot.free]
    wanted = [slot for slot in free if slot.required]
    if not free:
        return {}
    left = without_references(known, sentence, used)
    texts: dict[str, str] = {}
    main = next((slot for slot in wanted if cue(slot) in (None, "saying")), wanted[0] if wanted else None)
    for slot in free:
        if slot is not main and (word := cue(slot)) is not None:
            texts[slot.name], left = _after_cue(sentence, left, word, _times(known, sentence))
    if main is not None:
        words = [sentence.written[at] for at in left]
        while words and words[0].lower() in PREPOSITIONS | DETERMINERS | {"saying", "that", "says"}:
            words = words[1:]
        while words and cue(main) == "at" and words[-1].lower() in PREPOSITIONS:
            words = words[:-1]
        texts[main.name] = bare(words)
    return texts


def cue(slot: Slot) -> str | None:
    """The word that is said before an argument, by its name: "at" before a time."""
    return next((cue for cue, names in _CUES.items() if names.intersection(name_words(slot.name))), None)


def _after_cue(sentence: Sentence, left: list[int], word: str, times: range) -> tuple[str, list[int]]:
    """What stands after `word` up to the next word that may come before an argument, and what is left then."""
    begin = next((i for i, at in enumerate(left) if sentence.words[at] == word and at not in times), None)
    if begin is None:
        return "", left
    behind = range(begin + 1, len(left))
    end = next((i for i in behind if sentence.words[left[i]] in _CUES and left[i] not in times), len(left))
    return bare([sentence.written[at] for at in left[begin + 1 : end]]), left[:begin] + left[end:]


def without_references(known: ToolWords, sentence: Sentence, used: set[int]) -> list[int]:
    """The places of the words that may be an argument: behind the verb, less what only points at the tool."""
    words = sentence.words
    verb = known.verb_at(sentence)
    begin = 0 if verb is None else verb + 1
    while begin < len(words) and (words[begin] in QUESTION or (verb is not None and words[begin] == "me")):
        begin += 1
    dropped = set(used) | set(range(begin))
    if known.particle and known.particle in words[begin:]:
        dropped.add(words.index(known.particle, begin))
    own = known.nouns | known.described
    at = begin
    while at < len(words):
        end = _reference(words, at, own, known.nouns)
        dropped.update(range(at, end))
        at = max(end, at + 1)
    return [at for at in range(len(words)) if at not in dropped]


def _reference(words: Sequence[str], at: int, own: frozenset[str], nouns: frozenset[str]) -> int:
    """Where a phrase such as "to my shopping list" or "from it" that begins at `at` ends; `at` where none begins."""
    begin = at
    if words[at] in PREPOSITIONS:
        at += 1
        if at < len(words) and words[at] in ("it", "there", "them"):
            return at + 1
    determined = at < len(words) and words[at] in DETERMINERS
    at += determined
    first = at
    while at < len(words) and stem(words[at]) in own:
        at += 1
    led = first > begin
    if at == first or not (led or stem(words[first]) in nouns):
        return begin
    # "the shopping bag": a word of the tool that only describes the next is no reference.
    return at if stem(words[at - 1]) in nouns or at == len(words) or words[at] in SMALL else begin
