"""The words that the rules know a sentence by."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from agent_runtime.providers.local.grammar import spoken

VERBS: dict[str, str] = {
    "add": "add put append insert include note jot",
    "remove": "remove delete take drop erase cross strike",
    "clear": "clear empty wipe",
    "set": "set change make adjust switch turn",
    "turn": "turn switch",
    "switch": "switch turn",
    "start": "start begin launch run",
    "begin": "begin start",
    "stop": "stop halt end pause cancel",
    "cancel": "cancel stop delete remove",
    "end": "end finish close stop",
    "open": "open",
    "close": "close shut",
    "book": "book reserve schedule",
    "schedule": "schedule book plan arrange",
    "order": "order buy get",
    "buy": "buy order get",
    "send": "send write",
    "write": "write note",
    "call": "call phone dial ring",
    "transfer": "transfer connect",
    "play": "play",
    "create": "create make new add",
    "make": "make create",
    "update": "update change",
    "change": "change update set",
    "move": "move",
    "increase": "increase raise",
    "decrease": "decrease lower reduce",
    "remember": "remember note keep save",
    "save": "save store keep remember",
    "roll": "roll throw",
    "hang": "hang",
}
"""A tool's verb, and what people say for it. A verb that is not here stands for itself."""

ASKING = frozenset("get read show tell list check look find fetch give say describe query search lookup".split())
"""Verbs of tools that only ask for something: any question means them, so the nouns decide."""

QUESTION = frozenset("what what's which who who's how how's when where where's is are do does any".split())
SMALL = frozenset(
    "a an the my our your his her their this that these those some any it its them there here to of on onto in into at "
    "for from off with by about as and or is are am was were be been do does did have has had got i you we us me he "
    "she they will would can could should shall may might must please now also too just what what's which who how "
    "when where not no yes okay up out want need like let's let today right again i'm i'd i'll".split()
)
DETERMINERS = frozenset("a an the my our your some any this that".split())
PREPOSITIONS = frozenset("to of on onto in into at for from off with about by".split())
TRAILING = frozenset("please now too also thanks then today".split())
_POLITE = re.compile(
    r"^(?:(?:um|uh|er|well|so|and|then|but|now|okay|ok|hey|hi|hello|please|yes|no(?! (?:need|reason)\b)|also|actually"
    r"|just|thanks|thank you|(?:can|could|would|will) (?:you|i|we)|i (?:want|need|would like|'d like)(?: you)? to"
    r"|i'd like(?: you)? to|i want you to|let's|let us|go ahead and|do you mind"
    r"|(?:can't|couldn't|won't|wouldn't) you|why (?:not|don't (?:you|we|i))|(?:do not|don't|never) forget to) )+"
)
_DENIAL = re.compile(
    r"(?:(?:please|just|i|you|we|i'd|you'd|we'd|do|does|did|can|could|would|will|should|must|shall|may|might|need|had"
    r"|better|rather|prefer|want|to|that) )*"
    r"(?:not|never|don't|dont|doesn't|didn't|won't|can't|cannot|couldn't|wouldn't|shouldn't|mustn't|needn't"
    r"|(?:there is |there's )?no (?:need|reason)) "
    r"(?:(?:i|you|we|us|me|want|wish|need|like|have|dare|ever|even|for|to|be|please|just|actually|now|think|should"
    r"|would|that) )*"
)
"""What stands before a command and makes it one not to do: "do not", "I don't want you to", "there is no need to"."""

_AUXILIARIES = frozenset("i'm am are is was were be do does did can could will would should must may might".split())

NEGATIVE = frozenset("not never no dont without".split())
"""Words in a tool's name that say "not": such a tool is meant by "do not ...", as ``do_not_disturb`` is."""


def stem(word: str) -> str:
    """A word without its ending, so that "lists" and "list" are one."""
    word = word.removesuffix("'s")
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("oes", "o"), ("ing", ""), ("ed", "")):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            return word.removesuffix(ending) + instead
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


def stems(words: Sequence[str]) -> frozenset[str]:
    return frozenset(stem(word) for word in words if word not in SMALL)


def name_words(name: str) -> list[str]:
    """The words of a name in snake case or camel case, in lower case."""
    return spoken(re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[_-]", " ", name)).split()


def _kept(word: str, then: str) -> int | None:
    """How many of two words stay before an exception; None where none begins: "the do not disturb sign" has none."""
    if word == "except" or (word in ("but", "and") and then == "not"):
        return 0
    return 1 if then in ("not", "except") and word not in _AUXILIARIES else None


@dataclass(frozen=True)
class Sentence:
    """What the user said, as words in lower case, each beside itself as it was written."""

    words: tuple[str, ...]
    written: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> "Sentence":
        written = re.findall(r"[^\W\d_]+(?:['’.-][^\W\d_]+)*|\d+(?:[.,:]\d+)*", text)
        words = [word.lower().replace("’", "'") for word in written]
        polite = _POLITE.match(" ".join(words) + " ")
        skip = len(polite[0].split()) if polite else 0
        skip = 0 if skip >= len(words) else skip
        end = len(words)
        while end > skip + 1 and words[end - 1] in TRAILING:
            end -= 1
        return cls(tuple(words[skip:end]), tuple(written[skip:end]))

    @cached_property
    def denied(self) -> "Sentence | None":
        """What the user says not to do: "turn on the light" of "please don't turn on the light"; None for the rest."""
        denial = _DENIAL.match(" ".join(self.words) + " ")
        if denial is None:
            return None
        skip = len(denial[0].split())
        return Sentence(self.words[skip:], self.written[skip:])

    @cached_property
    def granted(self) -> "Sentence":
        """Without what it excepts: "add milk" of "add milk but not eggs", "add milk not eggs"."""
        if self.asks:
            return self
        pairs = enumerate(zip(self.words, self.words[1:], strict=False))
        end = next(
            (at + kept for at, (word, then) in pairs if (kept := _kept(word, then)) is not None), len(self.words)
        )
        return Sentence(self.words[:end], self.written[:end])

    @property
    def asks(self) -> bool:
        return bool(self.words) and self.words[0] in QUESTION

    @property
    def names(self) -> bool:
        """Whether it may be no more than the name of what is wanted: "my shopping list"."""
        return 0 < len(self.words) <= 4 and self.words[0] not in PREPOSITIONS
