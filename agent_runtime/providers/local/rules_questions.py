"""Questions for a missing argument, and the answers to them.

Nothing is remembered between requests. Which question is open is found by going through the last exchanges again: what
was asked is what would be asked.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from agent_runtime.chat import ChatMessage
from agent_runtime.providers.local import rules_talk
from agent_runtime.providers.local.rules_calls import (
    Call,
    bare,
    by_look,
    choose,
    cue,
    fill,
    is_command,
    several,
    without_references,
)
from agent_runtime.providers.local.rules_commands import commands
from agent_runtime.providers.local.rules_tools import Slot, ToolWords
from agent_runtime.providers.local.rules_words import DETERMINERS, PREPOSITIONS, Sentence, name_words
from agent_runtime.stt import MIN_CONFIDENCE

_QUESTIONS = {"to": "To whom?", "at": "At what time?", "on": "On what day?", "saying": "What should it say?"}
"""What is asked for an argument that is said behind that word."""

_MAX_EXCHANGES = 8
_REMARKS = frozenset({"greeting", "how_are_you", "thanks", "goodbye", "time", "date", "name"})
"""Intents that may as well be the text of a message."""

_LEAD = re.compile(
    r"^(?:(?:um|uh|er|erm|hmm|well|oh|so|maybe|just|please|then|it is|it's|that is|that's|let's say|make it|give me|get me"
    r"|how about|(?:i|we) (?:want|need|take|would like)(?: to have)?|i'd like(?: to have)?|i'll (?:have|take)"
    r"|(?:can|could|may) (?:i|we) (?:have|get)) )+"
)
"""What stands before an answer and is no part of it."""

_REQUEST = re.compile(
    r"^(?:please )?(?:(?:can|could|would|will) you|do you|are you|tell me|why|what|who|how|when|where)\b"
)


@dataclass(frozen=True)
class _Exchange:
    """A turn of the user and what was said to it."""

    user: str
    sure: bool
    said: str
    cut: bool

    @property
    def open(self) -> bool:
        return self.cut or not self.said or self.said.endswith("?") or self.said == rules_talk.TAKE_YOUR_TIME


def ask(call: Call) -> str:
    """The question for the first argument that is missing, the same for the same tool at each time."""
    known = ToolWords(call.tool)
    slot = known.slots[call.missing[0]]
    called = " ".join(name_words(slot.name))
    if slot.values:
        *others, last = slot.values
        return f"Which {called}: {', '.join(others)} or {last}?" if others else f"Which {called}: {last}?"
    if slot.counts:
        return f"How many {called}?" if called.endswith("s") else f"What number for {called}?"
    if slot.kind == "boolean":
        return f"On or off for {called}?"
    if slot == _object(known):
        particle = f" {known.particle}" if known.particle else ""
        return f"What should I {known.verb}{particle}?"
    return _QUESTIONS.get(cue(slot) or "", f"Which {called}?")


def _object(known: ToolWords) -> Slot | None:
    """The argument that the verb is done to: the first text of an order."""
    first = next((slot for slot in known.slots.values() if slot.required and slot.free and cue(slot) is None), None)
    return None if known.asking else first


def complete(call: Call, text: str) -> list[Call]:
    """A call that lacked an argument, with the answer to `ask` in it; the same call where `text` is no answer."""
    known = ToolWords(call.tool)
    slot = known.slots[call.missing[0]]
    if _passed_on(slot):
        said = bare(text.strip(" .?!").split())
    elif _excludes(text):
        return [call]
    elif slot.free:
        said = "" if rules_talk.intent(text) in ("yes", "no") else _named(known, text)
    else:
        return _valued(call, known, slot, Sentence.of(text).granted)
    return several(known, {**call.arguments, slot.name: said}) if said else [call]


def _passed_on(slot: Slot) -> bool:
    """Whether the answer is a text for somebody else, in which any word may stand."""
    return slot.free and cue(slot) == "saying"


def _excludes(text: str) -> bool:
    """Whether an answer only says what is not meant: "not the kitchen", "no tea"; "no, milk" and "no" are answers."""
    if rules_talk.intent(text) in ("yes", "no"):
        return False
    return Sentence.of(text).denied is not None or re.match(r"\W*(?:no|not)\s+\w", text.lower()) is not None


def _valued(call: Call, known: ToolWords, slot: Slot, sentence: Sentence) -> list[Call]:
    if slot.values and len(known.slots) == 1:
        calls = fill(known, sentence)
        return [call] if calls[0].missing else calls
    found, _ = by_look(known, sentence, given=call.arguments)
    return several(known, {**call.arguments, **found}) if slot.name in found else [call]


def _named(known: ToolWords, text: str) -> str:
    """What an answer names: "tea" of "um, I would like some tea, please"."""
    sentence = Sentence.of(text)
    lead = _LEAD.match(" ".join(sentence.words) + " ")
    skip = len(lead[0].split()) if lead else 0
    sentence = Sentence(sentence.words[skip:], sentence.written[skip:]).granted
    words = [sentence.written[at] for at in without_references(known, sentence, set())]
    while words and words[0].lower() in PREPOSITIONS | DETERMINERS | {"it", "it's", "is"}:
        words = words[1:]
    return bare(words)


def is_answer(call: Call, text: str, tools: Sequence[ToolWords]) -> bool:
    """Whether `text` may be meant for the open question, and not for something else."""
    slot = ToolWords(call.tool).slots[call.missing[0]]
    choice = choose(text, tools)
    if choice.refused or (choice.calls and is_command(text, tools)):
        return False
    if _passed_on(slot):
        return rules_talk.intent(text) in _REMARKS | {None, "yes"}
    if rules_talk.intent(text) not in (None, "yes", "no"):
        return False
    return not (slot.free and _REQUEST.match(text.strip().lower()))


def pending(messages: Sequence[ChatMessage], tools: Sequence[ToolWords]) -> Call | None:
    """The call whose missing argument was asked for last, and the user's last words are to be read as an answer to."""
    call: Call | None = None
    for each in _open_exchanges(messages):
        if not each.said:
            continue  # nothing of the reply was heard, so the question before it stands
        candidates = [call] if call else []
        if call and each.sure and is_answer(call, each.user, tools):
            candidates = [*complete(call, each.user), call]
        found = [new for part in commands(each.user, tools) for new in choose(part, tools).calls]
        waits = each.said == rules_talk.TAKE_YOUR_TIME
        call = next((c for c in [*candidates, *found] if c.missing and (waits or _is_said(ask(c), each))), None)
    return call


def _open_exchanges(messages: Sequence[ChatMessage]) -> list[_Exchange]:
    """The exchanges before the user's last words, back to the first after which no question was open."""
    found: list[_Exchange] = []
    said: list[ChatMessage] = []
    spoken = [message for message in messages if message.role in ("user", "assistant")]
    while spoken and spoken.pop().role != "user":
        pass
    for message in reversed(spoken):
        if message.role == "assistant":
            said.insert(0, message)
            continue
        exchange = _Exchange(
            message.text_content or "",
            message.transcript_confidence is None or message.transcript_confidence >= MIN_CONFIDENCE,
            " ".join((each.text_content or "").strip() for each in said),
            bool(said) and said[-1].interrupted,
        )
        if not exchange.open or len(found) == _MAX_EXCHANGES:
            break
        found.insert(0, exchange)
        said = []
    return found


def _is_said(question: str, exchange: _Exchange) -> bool:
    """Whether a reply ended with the question, or with its beginning where it was cut short."""
    heard = re.split(r"(?<=[.?!])\s+", exchange.said)[-1].rstrip(" .?!,:")
    return exchange.said.endswith(question) or (exchange.cut and bool(heard) and question.startswith(heard))
