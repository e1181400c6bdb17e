"""Small talk: what the rules answer to the phrases that need no tool."""

import re
from datetime import datetime
from functools import cache, lru_cache

from agent_runtime.chat import INSTRUCTION_ROLES, ChatContext
from agent_runtime.providers.local import phrases
from agent_runtime.providers.local.grammar import spoken
from agent_runtime.providers.local.rules_numbers import arithmetic, ordinal, spell

MORE: dict[str, tuple[str, ...]] = {
    "greeting": ("(hello | hi | hey) (everyone | agent | computer)", "hiya", "howdy"),
    "how_are_you": ("how (is it | are things) going", "how do you do"),
    "time": ("what's the time", "time", "do you (have | know) the time", "do you know what time it is"),
    "date": ("what date is today", "which day is it [today]", "the date", "do you know what day it is"),
    "year": ("what year is it", "(what is | what's) the year", "which year is it"),
    "name": ("do you have a name", "tell me your name"),
    "goodbye": (
        "[okay | thank you | thanks] good (bye | night)",
        "(end | finish | close) (the | this) (call | conversation)",
        "i (am | have) (done | finished)",
        "i have to go",
        "that (will | would) be all",
        "(thanks | thank you | no thanks | no thank you) (that is | that's) all",
    ),
    "stop": ("forget (it | that)", "that is enough", "enough", "shut up"),
    "repeat": (
        "repeat [yourself | (the | your) [last] answer | what you said | what you just said]",
        "(can | could | would | will) you [please] (repeat [that | it | yourself] | say (that | it) again)",
        "(what | sorry | again)",
        "what was that",
        "(say | tell me) [that | it] (again | once more | one more time)",
        "(once more | once again | one more time)",
    ),
    "help": ("what can [i] you do", "what do you do", "what are you able to do", "what else can you do"),
    "no": ("(do not | don't) [do (it | that)]", "nothing [else]", "no [one | more]", "nobody", "none", "not now"),
    "yes": ("yes [i | we] do", "right", "correct", "ok", "fine", "great"),
}
"""Besides `phrases.INTENTS`: what people type, or say where the recogniser knows more than the grammar."""

TAKE_YOUR_TIME = "Take your time."

_FILLERS = re.compile(
    r"^(?:(?:um|uh|er|erm|well|so|and|then|but|now|okay|ok|hey|hi|hello|please|yes|no|thanks|thank you|also|actually"
    r"|excuse me|sorry|listen|i said|i asked) )+"
)
_TRAILERS = re.compile(r"(?: (?:please|then|now|again|thanks|thank you|for me|exactly))+$")


@cache
def _patterns() -> dict[str, tuple[re.Pattern[str], ...]]:
    intents = [*phrases.INTENTS, *(name for name in MORE if name not in phrases.INTENTS)]
    return {
        name: tuple(
            phrases.regex(pattern)
            for pattern in ((phrases.patterns(name) if name in phrases.INTENTS else ()) + MORE.get(name, ()))
        )
        for name in intents
    }


@lru_cache(maxsize=256)
def intent(text: str) -> str | None:
    """Which intent the whole of `text` is, with or without the small words around it; None for anything else."""
    said = spoken(text)
    bare = _TRAILERS.sub("", _FILLERS.sub("", said))
    for candidate in dict.fromkeys((said, _FILLERS.sub("", said), _TRAILERS.sub("", said), bare)):
        for name, patterns in _patterns().items():
            if any(pattern.fullmatch(candidate) for pattern in patterns):
                return name
    return "arithmetic" if arithmetic(text) is not None else None


def reply(name: str, text: str, chat_ctx: ChatContext, now: datetime, abilities: list[str]) -> str:
    """What to say to an intent.

    Args:
        name: the intent that `intent(text)` found.
        text: what the user said.
        chat_ctx: the conversation so far.
        now: the time of day to tell.
        abilities: what the agent's tools do, as verbs with what follows them ("add an item to the list").
    """
    match name:
        case "greeting":
            return _greeting(text)
        case "how_are_you":
            return "I am fine, thank you. What can I do for you?"
        case "time":
            return f"It is {_time(now)}."
        case "date":
            return f"Today is {now:%A}, the {ordinal(now.day)} of {now:%B}."
        case "year":
            return f"It is {spell(now.year)}."
        case "name":
            return _name(chat_ctx)
        case "arithmetic":
            return arithmetic(text) or arithmetic(_FILLERS.sub("", spoken(text))) or "I cannot work that out."
        case "repeat":
            return _last_answer(chat_ctx) or "I have not said anything yet."
        case "help":
            return _help(abilities)
        case "goodbye":
            return "Good-bye!"
        case "thanks":
            return "You are welcome."
        case "wait":
            return TAKE_YOUR_TIME
        case _:
            return "Okay."


def _greeting(text: str) -> str:
    part_of_day = re.search(r"good (morning|afternoon|evening)", text.lower())
    return f"{part_of_day[0].capitalize() if part_of_day else 'Hello'}! What can I do for you?"


def _time(now: datetime) -> str:
    hour = spell(now.hour % 12 or 12)
    if now.minute == 0:
        minute = "o'clock"
    else:
        minute = spell(now.minute) if now.minute >= 10 else f"oh {spell(now.minute)}"
    if (now.hour, now.minute) == (12, 0):
        return "noon"
    if (now.hour, now.minute) == (0, 0):
        return "midnight"
    part = "in the morning" if now.hour < 12 else "in the afternoon" if now.hour < 18 else "in the evening"
    return f"{hour} {minute} {part}"


_NAMED = re.compile(
    r"\b(?:[Yy]ou are|[Yy]ou're|[Yy]our name is|[Nn]amed|[Cc]alled)\s+([A-Z][\w'-]*(?:\s+[A-Z][\w'-]*)?)"
)
_ROLE = re.compile(r"\b[Yy]ou(?: are|'re)\s+((?:an?|the)\s+[^.,;:!?\n]{1,60})")


def _name(chat_ctx: ChatContext) -> str:
    """From the instructions: "You are Ada, ...", else "You are a waiter"."""
    told = " ".join(message.text_content or "" for message in chat_ctx.messages() if message.role in INSTRUCTION_ROLES)
    if named := _NAMED.search(told):
        return f"My name is {named[1]}."
    if role := _ROLE.search(told):
        return f"I have no name, I am {role[1].strip()}."
    return "Nobody has given me a name."


def _last_answer(chat_ctx: ChatContext) -> str:
    """All that was said since the user's turn before this one: before a tool call and after it."""
    said: list[str] = []
    for message in reversed(chat_ctx.messages()):
        if message.role == "assistant":
            said.insert(0, (message.text_content or "").strip())
        elif message.role == "user" and any(said):
            break
    return " ".join(text for text in said if text)


def _help(abilities: list[str]) -> str:
    said = "I can tell the time and the date, do sums, and repeat what I said."
    if not abilities:
        return said
    return f"I can {joined(abilities)}. {said.replace('I can', 'I can also')}"


def joined(parts: list[str], word: str = "and") -> str:
    """A list as it is said: ``"milk, bread and eggs"``."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {word} {parts[-1]}"
