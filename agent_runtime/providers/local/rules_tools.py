"""A tool as the rules read it: its verb, its nouns, and what its arguments look like in a sentence.

A tool is read from its name and the first sentence of its description: ``turn_on_light(room)`` is the verb *turn*, the
particle *on* and the noun *light*. A sentence earns it points for its verb (or another that means the same), its nouns,
and documented values of its arguments; words that nothing explains cost points where the tool has no argument to put
them into.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from agent_runtime.providers.local.grammar import PARTICLES, spoken
from agent_runtime.providers.local.rules_numbers import read_number
from agent_runtime.providers.local.rules_times import Clock, find_time
from agent_runtime.providers.local.rules_words import (
    ASKING,
    DETERMINERS,
    NEGATIVE,
    QUESTION,
    VERBS,
    Sentence,
    name_words,
    stem,
    stems,
)
from agent_runtime.signatures import schema_values
from agent_runtime.tools import FunctionTool

_OPPOSITES = {"on": "off", "off": "on", "up": "down", "down": "up", "in": "out", "out": "in"}
_TRUE, _FALSE = frozenset("on yes true".split()), frozenset("off no false".split())


@dataclass(frozen=True)
class Found:
    """A value and the words it stands in."""

    value: Any
    start: int
    end: int


@dataclass(frozen=True)
class Slot:
    """An argument: how its value may be found in a sentence."""

    name: str
    kind: str
    required: bool
    values: tuple[str, ...]
    description: str
    many: bool

    @classmethod
    def of(cls, name: str, schema: dict[str, Any], required: bool, values: tuple[str, ...]) -> "Slot":
        kinds = [schema, *schema.get("anyOf", ())]
        kind = next((each["type"] for each in kinds if each.get("type", "null") != "null"), "string")
        many = kind == "array"
        if many:
            kind = schema.get("items", {}).get("type", "string")
        return cls(name, kind, required, values, schema.get("description", ""), many)

    @property
    def free(self) -> bool:
        return self.kind == "string" and not self.values

    @property
    def counts(self) -> bool:
        return self.kind in ("integer", "number")

    def find(self, words: Sequence[str]) -> Found | None:
        """Its value, where that can be told by its look: a documented value, a number, on or off."""
        if self.values:
            return self._find_listed(words)
        if self.counts:
            return self._find_number(words)
        if self.kind == "boolean":
            at = next((at for at, word in enumerate(words) if word in _TRUE | _FALSE), None)
            return None if at is None else Found(words[at] in _TRUE, at, at + 1)
        return None

    def _find_listed(self, words: Sequence[str]) -> Found | None:
        # The longest first: "living room" is no "room".
        for value in sorted(self.values, key=len, reverse=True):
            said = spoken(value).split() or [value.lower()]
            for at in range(len(words) - len(said) + 1):
                if [stem(word) for word in words[at : at + len(said)]] == [stem(word) for word in said]:
                    return Found(self._typed(value), at, at + len(said))
        return None

    def find_all(self, words: Sequence[str]) -> list[Found]:
        """Every documented value, each once, in the order in which they were said."""
        found: list[Found] = []
        left = list(words)
        while (each := self._find_listed(left)) is not None:
            if each.value not in [other.value for other in found]:
                found.append(each)
            left[each.start : each.end] = [""] * (each.end - each.start)
        return sorted(found, key=lambda each: each.start)

    def _typed(self, value: str) -> Any:
        if self.counts:
            return float(value) if "." in value else int(value)
        return value

    def _find_number(self, words: Sequence[str]) -> Found | None:
        """A number before the argument's own name ("ten minutes") where there is one, else the first number."""
        found = []
        at = 0
        while at < len(words):
            read = read_number(words, at)
            if read is not None:
                value, end = read
                if end < len(words) and stem(words[end]) in stems(name_words(self.name)):
                    return Found(self._number(value), at, end + 1)
                found.append(Found(self._number(value), at, end))
                at = end
            else:
                at += 1
        return found[0] if found else None

    def _number(self, value: Any) -> Any:
        return int(value) if value.denominator == 1 else float(value)


class ToolWords:
    """A tool as its words."""

    def __init__(self, tool: FunctionTool) -> None:
        self.tool = tool
        words = name_words(tool.name)
        first = spoken(re.split(r"[.!?\n]", tool.description.strip(), maxsplit=1)[0]).split()
        self.verb = next((w for w in (*words[:1], *first[:1]) if w in VERBS or w in ASKING), words[0] if words else "")
        rest = words[1:] if words[:1] == [self.verb] else words
        self.particle = rest[0] if rest and rest[0] in PARTICLES else ""
        self.nouns = stems(rest[1:] if self.particle else rest) - {self.verb}
        self.described = stems(first) - self.nouns - self.verbs
        self.examples = {spoken(example) for example in re.findall(r'"([^"]+)"', tool.description)}

    @cached_property
    def verbs(self) -> frozenset[str]:
        if self.verb in ASKING:
            return ASKING
        return frozenset(VERBS.get(self.verb, self.verb).split())

    @property
    def asking(self) -> bool:
        return self.verb in ASKING

    @cached_property
    def parameters(self) -> dict[str, Any]:
        return self.tool.parameters

    @cached_property
    def slots(self) -> dict[str, "Slot"]:
        required = self.parameters.get("required", ())
        return {
            name: Slot.of(name, schema, name in required, schema_values(self.parameters, name))
            for name, schema in self.parameters.get("properties", {}).items()
        }

    @cached_property
    def denies(self) -> bool:
        """Whether "do not ..." means this tool: ``do_not_disturb``."""
        return bool(NEGATIVE.intersection(name_words(self.tool.name)))

    @cached_property
    def hour(self) -> Slot | None:
        """The parameter for the hour of a time of day, not for a number of hours."""
        return self._counting("hour") or (self._counting("hours") if self.minute else None)

    @cached_property
    def minute(self) -> Slot | None:
        return self._counting("minute") or (self._counting("minutes") if self._counting("hours") else None)

    def _counting(self, word: str) -> Slot | None:
        return next((slot for slot in self.slots.values() if slot.counts and word in name_words(slot.name)), None)

    def time_in(self, sentence: Sentence) -> Clock | None:
        """The time of day in a sentence, the numbers of which are no other argument."""
        return find_time(sentence.words, bare=self.hour is not None)

    @property
    def takes_text(self) -> bool:
        return any(slot.free and slot.required for slot in self.slots.values())

    def says_verb(self, sentence: Sentence) -> bool:
        at = self.verb_at(sentence)
        return at is not None and (not self.particle or self._particle_said(sentence, at) == self.particle)

    def _particle_said(self, sentence: Sentence, verb: int) -> str | None:
        """The tool's particle or its opposite: next to the verb, else at the end, else the first of them."""
        either = (self.particle, _OPPOSITES.get(self.particle))
        behind = sentence.words[verb + 1 :]
        return next((word for word in (*behind[:1], *behind[-1:], *behind) if word in either), None)

    def verb_at(self, sentence: Sentence) -> int | None:
        """Where its verb stands: among the first words, for further on it is part of what is said."""
        # First of all for what only asks: "the list" has no verb in it.
        within = sentence.words[: 1 if self.asking else 3]
        # "The remove button" has none either.
        return next(
            (
                at
                for at, word in enumerate(within)
                if word in self.verbs and not DETERMINERS.intersection(within[:at][-1:])
            ),
            None,
        )

    def is_example(self, sentence: Sentence) -> bool:
        return " ".join(sentence.words) in self.examples

    def points(self, sentence: Sentence, *, other_verb: bool) -> int:
        """What the sentence earns it; 0 where it cannot be meant. `other_verb`: another tool's verb was said."""
        if self.is_example(sentence):
            return 100
        said = self.says_verb(sentence)
        implied = self.asking and not said and not other_verb and (sentence.asks or sentence.names)
        heard = stems(sentence.words)
        nouns, described = self.nouns & heard, self.described & heard
        values = [slot for slot in self.slots.values() if slot.values and slot.find(sentence.words)]
        points = (2 if self.asking else 3) * said + implied + 2 * len(nouns) + min(3, len(described)) + 2 * len(values)
        if not self.takes_text:
            points -= len(self._unexplained(sentence, heard))
        alone = said and not self.asking and (self._verb_will_do(sentence) or (not self.slots and bool(nouns)))
        eligible = (said or implied) and bool(nouns or described or values or alone)
        return points if eligible and (nouns or not self.asking) else 0

    def _verb_will_do(self, sentence: Sentence) -> bool:
        """Whether the verb alone means the tool: "add milk" does, "take a walk" is not to remove one."""
        return not self.nouns or (self.takes_text and self.verb in sentence.words[:3])

    def _unexplained(self, sentence: Sentence, heard: frozenset[str]) -> frozenset[str]:
        known = self.nouns | self.described | self.verbs | stems([*self.slots, self.particle]) | QUESTION
        for slot in self.slots.values():
            found = slot.find(sentence.words)
            known |= stems(sentence.words[found.start : found.end]) if found else frozenset()
        if (time := self.time_in(sentence)) and any(slot.counts for slot in self.slots.values()):
            known |= stems(sentence.words[time.start : time.end])
        return frozenset(word for word in heard if word not in known and not word.isdigit())
