"""Which tools a sentence calls, and with which arguments.

A tool is called only when enough speaks for it and it leads the next by a clear margin: asking again is better than a
wrong call. Then its arguments are filled: documented values where they stand, numbers where numbers are wanted, and
what remains of the sentence, less the words that only point back at the tool ("... to my shopping list"), for free text.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

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

_QUESTIONS = {"to": "To whom?", "at": "At what time?", "on": "On what day?", "saying": "What should it say?"}
"""What is asked for an argument that is said behind that word."""


@dataclass(frozen=True)
class Call:
    """A tool and the arguments found; `missing` are the required ones that were not said."""

    tool: FunctionTool
    arguments: dict[str, Any]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """What the sentence came to: calls to make, or tools between which it does not decide."""

    calls: list[Call] = field(default_factory=list)
    unsure: list[FunctionTool] = field(default_factory=list)


def choose(text: str, tools: Sequence[ToolWords], *, must: bool = False) -> Choice:
    """Find the tool that `text` asks for. `must`: take the best, however little speaks for it."""
    sentence = Sentence.of(text)
    other_verb = any(tool.says_verb(sentence) for tool in tools if not tool.asking)
    ranked = sorted(((tool.points(sentence, other_verb=other_verb), tool) for tool in tools), key=lambda each: -each[0])
    if not ranked:
        return Choice()
    points, best = ranked[0]
    runner_up = ranked[1][0] if len(ranked) > 1 else 0
    if must or (points >= MIN_POINTS and points - runner_up >= MIN_MARGIN):
        return Choice(calls=fill(best, sentence))
    return Choice(unsure=[tool.tool for score, tool in ranked if score >= MIN_POINTS and points - score < MIN_MARGIN])


def begins_command(text: str, tools: Sequence[ToolWords]) -> bool:
    """Whether `text` starts with a tool's verb or like a question: "milk and read my list" is two commands."""
    sentence = Sentence.of(text)
    return sentence.asks or any(sentence.words[:1] and sentence.words[0] in tool.verbs for tool in tools)


# Arguments


def fill(known: ToolWords, sentence: Sentence) -> list[Call]:
    """The calls that a sentence asks of a tool: more than one where its one free text lists several things."""
    only = next(iter(known.slots.values())) if len(known.slots) == 1 else None
    if only is not None and only.values and (found := only.find_all(sentence.words)):
        values = [each.value for each in found]
        return [_call(known, {only.name: value}) for value in ([values] if only.many else values)]
    arguments: dict[str, Any] = {}
    used: set[int] = set()
    for slot in sorted(known.slots.values(), key=lambda slot: (not slot.values, not slot.required)):
        left = [word if at not in used else "" for at, word in enumerate(sentence.words)]
        if first := slot.find(left):
            arguments[slot.name] = [first.value] if slot.many else first.value
            used.update(range(first.start, first.end))
    texts = _free_texts(known, sentence, used)
    arguments |= {name: text for name, text in texts.items() if text}
    return _several(known, arguments)


def _several(known: ToolWords, arguments: dict[str, Any]) -> list[Call]:
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
    parts = [_bare(part.split()) for part in re.split(r"\s+(?:and|plus)\s+|\s*,\s*", text)]
    return [part for part in parts if part]


def _bare(words: list[str]) -> str:
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
    left = _without_references(known, sentence, used)
    texts: dict[str, str] = {}
    main = next((slot for slot in wanted if _cue(slot) in (None, "saying")), wanted[0] if wanted else None)
    for slot in free:
        if slot is not main and (cue := _cue(slot)) is not None:
            texts[slot.name], left = _after_cue(sentence, left, cue)
    if main is not None:
        words = [sentence.written[at] for at in left]
        while words and words[0].lower() in PREPOSITIONS | DETERMINERS | {"saying", "that", "says"}:
            words = words[1:]
        texts[main.name] = _bare(words)
    return texts


def _cue(slot: Slot) -> str | None:
    return next((cue for cue, names in _CUES.items() if names.intersection(name_words(slot.name))), None)


def _after_cue(sentence: Sentence, left: list[int], cue: str) -> tuple[str, list[int]]:
    """What stands after `cue` up to the next word that may come before an argument, and what is left then."""
    begin = next((i for i, at in enumerate(left) if sentence.words[at] == cue), None)
    if begin is None:
        return "", left
    end = next((i for i in range(begin + 1, len(left)) if sentence.words[left[i]] in _CUES), len(left))
    return _bare([sentence.written[at] for at in left[begin + 1 : end]]), left[:begin] + left[end:]


def _without_references(known: ToolWords, sentence: Sentence, used: set[int]) -> list[int]:
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


def ask(call: Call) -> str:
    """The question for the first argument that is missing, the same for the same tool at each time."""
    known = ToolWords(call.tool)
    slot = known.slots[call.missing[0]]
    called = " ".join(name_words(slot.name))
    if slot.values:
        *others, last = slot.values
        return f"Which {called}: {', '.join(others)} or {last}?" if others else f"Which {called}: {last}?"
    if slot.kind in ("integer", "number"):
        return f"How many {called}?" if called.endswith("s") else f"What number for {called}?"
    if slot.kind == "boolean":
        return f"On or off for {called}?"
    cue = _cue(slot)
    if cue is None and not known.asking:
        particle = f" {known.particle}" if known.particle else ""
        return f"What should I {known.verb}{particle}?"
    return _QUESTIONS.get(cue or "", f"Which {called}?")


def complete(call: Call, text: str) -> list[Call]:
    """A call that lacked an argument, with the answer to `ask` in it."""
    known = ToolWords(call.tool)
    slot = known.slots[call.missing[0]]
    sentence = Sentence.of(text)
    if not slot.free:
        found = slot.find(sentence.words)
        value = None if found is None else [found.value] if slot.many else found.value
    else:
        kept = _without_references(known, sentence, set())
        words = [sentence.written[at] for at in kept]
        while words and words[0].lower() in PREPOSITIONS | DETERMINERS | {"it", "it's", "is"}:
            words = words[1:]
        value = _bare(words)
    if value is None or value == "":
        return [call]
    return _several(known, {**call.arguments, slot.name: value})
