"""A history as Gemini wants it. Pure.

Its rules, kept here for whatever history there is:

* the user has the first word and the last, and nobody two turns together; no part is empty;
* calls made together stand in one turn of the model, and right behind it a turn with their results and nothing else. A
  call that has no result yet is left out, and so is a result that no call asked for;
* what was signed goes back as it was signed, in the place where it stood. The third generation refuses calls without a
  signature, as those of another model are: these get the one that Google names for it;
* instructions stand apart, wherever they came in the conversation.
"""

import json
import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from agent_runtime.chat import INSTRUCTION_ROLES, ChatItem, ChatMessage, FunctionCall, FunctionCallOutput

JSON = dict[str, Any]

FILLER = "."
"""The user's words where Gemini insists on some and there are none."""

NO_SIGNATURE = "skip_thought_signature_validator"
"""Stands for the signature of a call that another model made."""

LONGEST_NAME = 64
_FOREIGN = re.compile(r"[^A-Za-z0-9_.-]")

GOOGLE = "google"
"""The key in `extra` of what goes back to Gemini."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs between models and the places where they are asked.

    Attributes:
        ids: calls and results carry their ids (AI Studio), or are matched by their order (Vertex AI).
        signed: calls need a signature (the third generation).
    """

    ids: bool = True
    signed: bool = False


@dataclass(slots=True)
class Turn:
    """One of ``contents``.

    Attributes:
        kind: who speaks; ``results`` are the user's too, and stay by themselves.
        until: the place of the last item in the history that is in it.
    """

    kind: Literal["user", "model", "results"]
    until: int
    parts: list[JSON] = field(default_factory=list)

    @property
    def wire(self) -> JSON:
        return {"role": "model" if self.kind == "model" else "user", "parts": self.parts}


@dataclass(slots=True)
class History:
    """A conversation by turns, and its instructions.

    Attributes:
        cut: no turn goes on behind this place in the history.
    """

    instructions: list[str] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    cut: int | None = None

    def add(self, kind: Literal["user", "model", "results"], until: int, parts: Sequence[JSON]) -> None:
        if not parts:
            return
        last = self.turns[-1] if self.turns else None
        crossed = last is not None and self.cut is not None and last.until <= self.cut < until
        if last is None or last.kind != kind or kind == "results" or crossed:
            self.turns.append(Turn(kind, until))
        self.turns[-1].parts += parts
        self.turns[-1].until = until

    @property
    def system(self) -> JSON | None:
        """``systemInstruction``."""
        return {"parts": [{"text": text} for text in self.instructions]} if self.instructions else None


def contents(turns: Sequence[Turn], *, begin: bool = True, end: bool = True) -> list[JSON]:
    """``contents``, with the user's words in front (`begin`) and behind (`end`) where they are missing."""
    made = [turn.wire for turn in turns]
    if begin and (not made or made[0]["role"] != "user"):
        made.insert(0, {"role": "user", "parts": [{"text": FILLER}]})
    if end and (not made or made[-1]["role"] != "user"):
        made.append({"role": "user", "parts": [{"text": FILLER}]})
    return made


def history(
    items: Sequence[ChatItem], parts: Mapping[int, JSON], dialect: Dialect, *, cut: int | None = None
) -> History:
    """`items` by turns.

    Args:
        parts: every part that is no plain text, as Gemini takes it, by the id of the part.
        cut: what stands up to this place is kept in a cache. It holds the instructions and takes no more: those that
            come behind it are put into the user's mouth.
    """
    made = History(cut=cut)
    outputs = _outputs(items)
    batch: list[tuple[FunctionCall, FunctionCallOutput]] = []
    place = 0
    answered = False  # a result stands between the last call and here
    for index, item in enumerate(items):
        if isinstance(item, FunctionCall):
            found = outputs.get(item.call_id)
            if not found:
                continue
            if batch and answered and not _made_with(batch[0][0], item):
                _flush(made, batch, place, dialect)
            answered, place = False, index
            batch.append((item, found.popleft()))
        elif isinstance(item, FunctionCallOutput):
            answered = True
        elif isinstance(item, ChatMessage):
            late = cut is not None and index > cut
            texts = _instructions(item) if not late else None
            if texts is not None:
                made.instructions += texts
                continue
            said = _said(item, parts)
            if said:
                _flush(made, batch, place, dialect)
                made.add("model" if item.role == "assistant" else "user", index, said)
    _flush(made, batch, place, dialect)
    return made


def _outputs(items: Sequence[ChatItem]) -> dict[str, deque[FunctionCallOutput]]:
    """The results of each id, in order."""
    found: dict[str, deque[FunctionCallOutput]] = {}
    for item in items:
        if isinstance(item, FunctionCallOutput):
            found.setdefault(item.call_id, deque()).append(item)
    return found


def _instructions(message: ChatMessage) -> list[str] | None:
    if message.role not in INSTRUCTION_ROLES:
        return None
    texts = (part if isinstance(part, str) else _marked_text(part) for part in message.content)
    return [text for text in texts if text.strip()]


def _marked_text(part: Any) -> str:
    text = part.get("text") if isinstance(part, Mapping) else getattr(part, "text", None)
    return text if isinstance(text, str) else ""


def _said(message: ChatMessage, parts: Mapping[int, JSON]) -> list[JSON]:
    if len(message.content) == 1 and not message.extra:  # nearly all are so
        (text,) = message.content
        if isinstance(text, str):
            return [{"text": text}] if text.strip() else []
    made = [
        {"text": part} if isinstance(part, str) else parts[id(part)]
        for part in message.content
        if not isinstance(part, str) or part.strip()
    ]
    made = [part for part in made if part.get("text") is None or part["text"].strip()]
    signature = signature_of(message.extra)
    if signature and made and message.role == "assistant":
        made[-1] = {**made[-1], "thoughtSignature": signature}
    return made


def signature_of(extra: Mapping[str, Any] | None) -> str | None:
    """The thought signature that is kept in what belongs to a call or a message."""
    kept = (extra or {}).get(GOOGLE)
    signature = kept.get("thought_signature") if isinstance(kept, Mapping) else None
    return signature if isinstance(signature, str) else None


def _made_with(first: FunctionCall, call: FunctionCall) -> bool:
    """Whether a call was made together with one whose result comes before it in the history.

    Of calls made together the first is signed and no other.
    """
    return signature_of(first.extra) is not None and signature_of(call.extra) is None


def _flush(made: History, batch: list[tuple[FunctionCall, FunctionCallOutput]], place: int, dialect: Dialect) -> None:
    if not batch:
        return
    calls: list[JSON] = []
    for number, (call, _) in enumerate(batch):
        kept = (call.extra or {}).get(GOOGLE)
        calls += kept.get("before", ()) if isinstance(kept, Mapping) else ()  # what its own tools did, see the answer
        part: JSON = {"functionCall": {"name": plain(call.name), "args": arguments_of(call)}}
        if dialect.ids and call.call_id:
            part["functionCall"]["id"] = call.call_id
        signature = signature_of(call.extra) or (NO_SIGNATURE if dialect.signed and not number else None)
        calls.append({**part, "thoughtSignature": signature} if signature else part)
    made.add("model", place, calls)
    made.add("results", place, [_result(call, output, dialect) for call, output in batch])
    batch.clear()


def _result(call: FunctionCall, output: FunctionCallOutput, dialect: Dialect) -> JSON:
    told: JSON = {"name": plain(call.name), "response": {"error" if output.is_error else "output": output.output}}
    return {"functionResponse": {"id": call.call_id, **told} if dialect.ids and call.call_id else told}


def plain(name: str) -> str:
    """The name of a function that may be another model's invention, in the letters that Gemini takes."""
    return _FOREIGN.sub("_", name)[:LONGEST_NAME] or "_"


def arguments_of(call: FunctionCall) -> JSON:
    """What a call was made with; nothing where the model wrote no JSON object, as its result says already."""
    try:
        arguments = json.loads(call.arguments or "{}", parse_constant=_no_number)
    except ValueError:
        return {}
    return arguments if isinstance(arguments, dict) else {}


def _no_number(text: str) -> None:
    """NaN and Infinity are no JSON, though Python reads them."""
    raise ValueError(text)
