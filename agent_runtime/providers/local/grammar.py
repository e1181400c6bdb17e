"""The grammar of what a caller is likely to say, made from what the application declares.

Every alternative is a whole phrase: the built-in intents, each tool with its arguments' values in it, and the phrases
that the application lists. Key terms fill slots in these phrases or stand alone; they never become a free loop of words,
in which any sound finds something that fits.
"""

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agent_runtime.providers.local import automaton, phrases
from agent_runtime.stt import STTContext, ToolHint

NUMBER_ARGUMENTS = frozenset(
    "amount count degrees hours level minutes number percent quantity seconds temperature".split()
)
"""Parameters without listed values that take a number."""

PARTICLES = frozenset("away back down in off on out over up".split())
"""Words that belong to the verb before them and may stand at its end: turn the light on."""

_THE = "[the | my | our]"
_BETWEEN = "[in | to | at | for | on | of | from]"
_DETERMINERS = frozenset("a an the my your our".split())
_MAX_DESCRIPTION_WORDS = 9
_MAX_VALUE_WORDS = 3


@dataclass(frozen=True, slots=True)
class Grammar:
    """A start symbol ``phrase`` with all its rules in JSGF, and what cannot be listened for, each with its reason."""

    rules: Mapping[str, str]
    skipped: tuple[str, ...]

    @property
    def jsgf(self) -> str:
        """The grammar as a file that other recognisers read."""
        rules = "".join(f"{'public ' * (name == 'phrase')}<{name}> = {text};\n" for name, text in self.rules.items())
        return f"#JSGF V1.0;\ngrammar call;\n{rules}"

    def machine(self) -> automaton.Machine:
        """The grammar as the smallest state machine for it."""
        return automaton.compile_patterns(["<phrase>"], self.rules)


def build(context: STTContext, known: Callable[[str], bool]) -> Grammar:
    """Make the grammar of a call. `known` says whether the recogniser's dictionary has a (lower-case) word."""
    maker = _Maker(known)
    for intent, patterns in phrases.INTENTS.items():
        for pattern in patterns:
            maker.phrase(_manner(intent), pattern, f"the built-in phrase '{pattern}'")
    maker.keyterms(context.keyterms)
    for tool in context.tools:
        maker.tool(tool)
    return maker.grammar()


def _manner(intent: str) -> str:
    return "question" if intent in phrases.QUESTIONS else "request" if intent in phrases.REQUESTS else "remark"


def spoken(text: str) -> str:
    """A phrase as it is said, in lower-case words: ``"Turn on 2 lights!"`` is ``"turn on two lights"``."""
    words = re.findall(r"[a-z]+(?:['.-][a-z]+)*|\d+", text.lower().replace("’", "'"))
    return " ".join(_number(word) if word.isdigit() else word for word in words)


def _number(digits: str) -> str:
    return phrases.number_words(int(digits)) if int(digits) <= 100 else digits


class _Maker:
    def __init__(self, known: Callable[[str], bool]) -> None:
        self._known = known
        self._skipped: list[str] = []
        # Phrases by the polite words that may stand around them; a dict, because it is a set that keeps its order.
        self._manners: dict[str, dict[str, None]] = {"remark": {}, "request": {}, "question": {}}
        self._rules = dict(phrases.RULES)
        self._terms: str | None = None

    def grammar(self) -> Grammar:
        rules = {
            manner: " | ".join(f"({pattern})" for pattern in said) for manner, said in self._manners.items() if said
        }
        around = {
            "remark": "<remark>",
            "request": f"{phrases.POLITE} <request> {phrases.AFTER}",
            "question": f"{phrases.ASK} <question> {phrases.AFTER}",
        }
        start = " | ".join(around[manner] for manner in rules)
        return Grammar({"phrase": start} | rules | self._rules, tuple(self._skipped))

    def phrase(self, manner: str, pattern: str, called: str) -> None:
        missing = [word for word in phrases.words(pattern) if not self._known(word)]
        if missing:
            self._skipped.append(f"{called}: '{missing[0]}' is not in the dictionary")
        else:
            self._manners[manner][pattern] = None

    def keyterms(self, keyterms: Sequence[str]) -> None:
        short = [text for text in keyterms if len(spoken(text).split()) <= _MAX_VALUE_WORDS]
        self._terms = self._values("term", short)
        if self._terms is not None:
            self.phrase("remark", self._terms, "")
        for text in keyterms:
            if text not in short:
                self.phrase("remark", spoken(text), f"'{text}'")

    def tool(self, tool: ToolHint) -> None:
        slots: dict[str, str] = {}
        for name, texts in tool.arguments.items():
            slot = self._slot(tool.name, name, texts)
            if slot is None:
                self._skipped.append(f"the tool '{tool.name}': no value of '{name}' can be said, and no key term")
                return
            slots[name] = slot
            if texts:
                self.phrase("remark", f"[in | on] {slot}", "")
        for pattern in tool_patterns(tool, slots, self._known):
            self.phrase("request", pattern, f"the tool '{tool.name}'")
        for example in re.findall(r'"([^"]+)"', tool.description):
            self.phrase("request", spoken(example), f"'{example}'")

    def _slot(self, tool: str, argument: str, texts: Sequence[str]) -> str | None:
        if texts:
            return self._values(re.sub(r"\W", "_", f"{tool}_{argument}"), texts)
        if argument in NUMBER_ARGUMENTS:
            return f"<number> [{argument}]" if self._known(argument) else "<number>"
        return self._terms and f"{self._terms} [and {self._terms}]"

    def _values(self, rule: str, texts: Sequence[str]) -> str | None:
        """Make a rule of the values that can be said, with their articles, and refer to it; None where there are none."""
        said: dict[str, None] = {}
        for text in texts:
            words = spoken(text).split()
            missing = [word for word in words if not self._known(word)]
            if missing:
                self._skipped.append(f"'{text}': '{missing[0]}' is not in the dictionary")
            elif words:
                article = "an" if words[0][0] in "aeiou" else "a"
                said[f"([{article} | some | the | my] {' '.join(words)})"] = None
        if not said:
            return None
        self._rules[rule] = " | ".join(said)
        return f"<{rule}>"


def tool_patterns(tool: ToolHint, slots: dict[str, str], known: Callable[[str], bool]) -> list[str]:
    """What a caller says to have a tool called, from its name and the first sentence of its description.

    `slots` maps each parameter to the pattern of its values. ``add_item(item)``, "Add an item to the shopping list.",
    gives ``add [a] <item> [to the [shopping] list]``; ``turn_on_light(room)`` gives ``turn on the light in the <room>``,
    ``turn on the <room> light`` and ``turn the <room> light on``.
    """
    verb, particle, noun = _split(spoken(re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", " ", tool.name)).split())
    thing = _either_number(noun, known) if noun and noun[-1] not in slots else ""
    patterns: list[str] = []
    for order in itertools.islice(itertools.permutations(slots.values()), 2):
        first, *rest = order or ("",)
        after = " ".join(f"[{_BETWEEN} {slot}]" for slot in rest)
        for object_ in _objects(thing, first):
            patterns += _around(verb, particle, f"{object_} {after}".strip())
    patterns += _described(tool.description, slots)
    return list(dict.fromkeys(" ".join(pattern.split()) for pattern in patterns))


def _split(words: list[str]) -> tuple[str, str, list[str]]:
    particle = words[1] if len(words) > 1 and words[1] in PARTICLES else ""
    return words[0] if words else "", particle, words[2 if particle else 1 :]


def _objects(thing: str, slot: str) -> list[str]:
    if thing and slot:
        return [f"{_THE} {thing} {_BETWEEN} {slot}", f"{slot} {thing}"]
    return [f"{slot}" if slot else f"{_THE} {thing}" if thing else ""]


def _around(verb: str, particle: str, object_: str) -> list[str]:
    if particle and object_:
        return [f"{verb} {particle} {object_}", f"{verb} {object_} {particle}"]
    return [f"{verb} {particle} {object_}"]


def _either_number(noun: list[str], known: Callable[[str], bool]) -> str:
    *before, last = noun
    other = last[:-1] if last.endswith("s") else last + "s"
    return " ".join([*before, f"({last} | {other})" if known(other) else last])


def _described(description: str, slots: dict[str, str]) -> list[str]:
    words = spoken(re.split(r"[.!?\n]", description.strip(), maxsplit=1)[0]).split()
    if not 1 < len(words) <= _MAX_DESCRIPTION_WORDS:
        return []
    if not slots:
        return [_loosely(words)]
    if len(slots) > 1:
        return []
    (name, slot), *_ = slots.items()
    if name not in words:
        return []
    at = words.index(name)
    before = [word for word in words[:at] if word not in _DETERMINERS]
    tail = _loosely(words[at + 1 :])
    return [f"{' '.join(before)} {slot} [{tail}]" if tail else f"{' '.join(before)} {slot}"]


def _loosely(words: list[str]) -> str:
    """A noun's article may be another, and what stands between it and the last word may be left out."""
    at = next((i for i, word in enumerate(words) if word in _DETERMINERS), None)
    if at is None or at + 1 >= len(words):
        return " ".join(words)
    between = " ".join(words[at + 1 : -1])
    return " ".join([*words[:at], "(the | my | our)", f"[{between}]" if between else "", words[-1]])
