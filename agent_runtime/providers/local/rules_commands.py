"""The commands in what a user says: "add milk and eggs, but don't read my list" is two, and one is not to be done."""

import re
from collections.abc import Sequence

from agent_runtime.providers.local import rules_calls, rules_talk
from agent_runtime.providers.local.grammar import spoken
from agent_runtime.providers.local.rules_tools import ToolWords
from agent_runtime.providers.local.rules_words import ASKING, VERBS, Sentence

_JOINT = re.compile(r"([,.;?!]\s+|[.;?!]$|\s+(?:and then|and also|but then|and|then|but)\s+)")
_TAKEN_BACK = re.compile(
    r"\S.*(?<!saying)(?<!says)(?<!that) (?:never mind|(?:forget|cancel) (?:it|that)|(?:do not|don't)(?: do (?:it|that))?)"
    r"(?: please)?"
)
_MAX_ECHOED_WORDS = 12
_PERSONS = {
    "i": "you",
    "me": "you",
    "my": "your",
    "mine": "yours",
    "myself": "yourself",
    "we": "you",
    "us": "you",
    "our": "your",
    "you": "I",
    "your": "my",
    "yours": "mine",
}
"""The user's words in the mouth of the agent."""


def commands(text: str, tools: Sequence[ToolWords]) -> list[str]:
    """The commands in a sentence: "add milk and eggs and read my list" is two."""
    if rules_talk.intent(text) is not None:
        return [text]
    found: list[str] = []
    pieces = ["", *_JOINT.split(text)]
    for joint, part in zip(pieces[::2], pieces[1::2], strict=True):
        if not part.strip():
            continue
        word = "but" if joint.strip() == "but" else "and"
        if not found or (_begins(part, tools) and not (joint.strip() == "and" and _goes_on_denying(found[-1], part))):
            found.append(part)
        else:
            found[-1] += f" {word} {part}"
    return found or [text]


def _begins(part: str, tools: Sequence[ToolWords]) -> bool:
    return rules_talk.intent(part) is not None or rules_calls.begins_command(part, tools)


def _goes_on_denying(before: str, part: str) -> bool:
    """ "Don't turn on the light and open the door" may be one thing not to do, so it is."""
    if Sentence.of(before).denied is None or rules_talk.intent(part) is not None:
        return False
    sentence = Sentence.of(part)
    return sentence.denied is None and not sentence.asks


def taken_back(text: str) -> bool:
    """Whether a command ends with "no, don't", "never mind" or the like."""
    return _TAKEN_BACK.fullmatch(spoken(text)) is not None


def refusal(text: str, tools: Sequence[ToolWords]) -> str | None:
    """What to say to a command not to do something that could be done; None where `text` is none."""
    denied = Sentence.of(text).denied
    small_talk = denied is not None and rules_talk.intent(" ".join(denied.written)) is not None
    if not (small_talk or rules_calls.choose(text, tools).refused):
        return None
    verbs = ASKING.union(VERBS, ("repeat", "wait"), *(tool.verbs for tool in tools))
    begun = denied is not None and denied.words[0] in verbs
    if denied is not None and not begun and not small_talk:
        # "I can't see, turn on the light": no order that could be trusted, but no refusal either.
        return None
    return f"Okay, I will not {_echo(denied) if denied is not None and begun else 'do that'}."


def _echo(sentence: Sentence) -> str:
    if len(sentence.words) > _MAX_ECHOED_WORDS:
        return "do that"
    titled = all(written[0].isupper() for written in sentence.written)
    words = sentence.words if titled else (sentence.words[0], *sentence.written[1:])
    return " ".join(_PERSONS.get(word, said) for word, said in zip(sentence.words, words, strict=True))
