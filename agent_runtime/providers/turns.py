"""A history as those services want it that insist on turns (Anthropic, Amazon Bedrock).

Their rules, kept here for whatever history there is:

* user and assistant take turns, the user begins, and no turn is empty;
* right behind the assistant's calls stand their results, at the head of the user's next turn. A call that has no result
  yet is left out, and so is a result that no call asked for;
* ids of calls are unique, ids and names of few characters;
* instructions stand apart. Those that come later in a conversation keep their place, between tags, as the user's words:
  at the head they would make what was cached worthless.

Pure.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from agent_runtime.chat import (
    INSTRUCTION_ROLES,
    ChatContext,
    ChatItem,
    ChatMessage,
    FunctionCall,
    FunctionCallOutput,
)
from agent_runtime.content import TextContent
from agent_runtime.providers.parts import Typing, typed

EMPTY = "(empty)"
"""Stands where a service insists on words and there are none."""

GO_ON = "."
"""The user's turn behind an assistant's, for models that would otherwise refuse to go on."""

LONGEST_ID = 64

_FOREIGN = re.compile(r"[^a-zA-Z0-9_-]")

Part = Any
"""A `ChatContent`, a `FunctionCall` or a `FunctionCallOutput`."""


@dataclass(slots=True)
class Turn:
    """What one side says until the other does. A call and its result have the same `call_id`."""

    role: Literal["user", "assistant"]
    parts: list[Part] = field(default_factory=list)

    @property
    def calls(self) -> list[FunctionCall]:
        return [part for part in self.parts if isinstance(part, FunctionCall)]


@dataclass(frozen=True, slots=True)
class History:
    """A conversation by turns, and the instructions that it began with."""

    instructions: list[str]
    turns: list[Turn]

    @property
    def calls(self) -> list[FunctionCall]:
        return [call for turn in self.turns for call in turn.calls]

    def contents(self) -> Iterator[Any]:
        """Every part that is neither text nor call nor result: pictures, files."""
        for turn in self.turns:
            for part in turn.parts:
                if not isinstance(part, str | TextContent | FunctionCall | FunctionCallOutput):
                    yield part


def history(chat_ctx: ChatContext, *, tools: bool = True, prefill: bool = False, typing: Typing = typed) -> History:
    """`chat_ctx` by turns.

    Args:
        tools: False leaves calls and results out.
        prefill: the assistant's turn may be the last, for the model to go on with; else the user says `GO_ON`.
        typing: what makes objects of parts.
    """
    instructions: list[str] = []
    turns: list[Turn] = []
    for role, part in _parts(chat_ctx.items, instructions, tools, typing):
        if not turns or turns[-1].role != role:
            turns.append(Turn(role))
        turns[-1].parts.append(part)
    if not turns or turns[0].role != "user":
        turns.insert(0, Turn("user", [EMPTY]))
    last = turns[-1]
    if last.role == "assistant" and prefill:
        _strip_end(last)
    elif last.role == "assistant":
        turns.append(Turn("user", [GO_ON]))
    return History(instructions, turns)


def arguments_of(call: FunctionCall) -> dict[str, Any]:
    """What a call was made with; nothing where the model wrote no JSON object, as its result says already."""
    try:
        arguments = json.loads(call.arguments or "{}")
    except ValueError:
        return {}
    return arguments if isinstance(arguments, dict) else {}


def _parts(
    items: Sequence[ChatItem], instructions: list[str], tools: bool, typing: Typing
) -> Iterator[tuple[Literal["user", "assistant"], Part]]:
    """Everything said and done with its side, in order. The first instructions are put into `instructions`."""
    pairs = _pairs(items) if tools else {}
    results: list[FunctionCallOutput] = []
    begun = False
    for index, item in enumerate(items):
        if isinstance(item, FunctionCall):
            if index in pairs:
                begun = True
                call, result = pairs[index]
                results.append(result)
                yield "assistant", call
            continue
        # Calls that stand together were made together: their results follow the last of them.
        for result in results:
            yield "user", result
        results.clear()
        if not isinstance(item, ChatMessage):
            continue
        if item.role in INSTRUCTION_ROLES:
            text = item.text_content
            if not text or not text.strip():
                continue
            if begun:
                yield "user", f"<instructions>\n{text}\n</instructions>"
            else:
                instructions.append(text)
            continue
        for part in (_typed(each, typing) for each in item.content):
            text = part.text if isinstance(part, TextContent) else part
            if not isinstance(text, str) or text.strip():
                begun = True
                yield "assistant" if item.role == "assistant" else "user", part
    for result in results:
        yield "user", result


def _typed(part: Any, typing: Typing) -> Part:
    known = typing(part)
    return known.text if isinstance(known, TextContent) and known.cache_control is None else known


def _pairs(items: Sequence[ChatItem]) -> dict[int, tuple[FunctionCall, FunctionCallOutput]]:
    """Calls that have a result, by their place in `items`, with ids and names that every service takes."""
    waiting: dict[str, int] = {}
    answered: dict[int, FunctionCallOutput] = {}
    for index, item in enumerate(items):
        if isinstance(item, FunctionCall):
            waiting[item.call_id] = index
        elif isinstance(item, FunctionCallOutput) and item.call_id in waiting:
            answered[waiting.pop(item.call_id)] = item
    pairs = {}
    taken: set[str] = set()
    for index in sorted(answered):
        call, result = items[index], answered[index]
        assert isinstance(call, FunctionCall)
        call_id = _free(_plain(call.call_id), taken)
        taken.add(call_id)
        name = _plain(call.name)
        pairs[index] = replace(call, call_id=call_id, name=name), replace(result, call_id=call_id, name=name)
    return pairs


def _plain(text: str) -> str:
    return _FOREIGN.sub("_", text)[:LONGEST_ID] or "_"


def _free(call_id: str, taken: set[str]) -> str:
    number, free = 1, call_id
    while free in taken:
        number += 1
        free = f"{call_id[: LONGEST_ID - 8]}_{number}"
    return free


def _strip_end(turn: Turn) -> None:
    """Services refuse a beginning that ends in a space."""
    last = turn.parts[-1]
    if isinstance(last, str):
        turn.parts[-1] = last.rstrip()
    elif isinstance(last, TextContent):
        turn.parts[-1] = replace(last, text=last.text.rstrip())
