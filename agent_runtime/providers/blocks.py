"""An answer that comes in numbered blocks of text, thoughts and tool calls: Anthropic's and Amazon Bedrock's way. Pure.

Calls are given as soon as their block is closed and their arguments are a JSON object. One whose arguments are not is
kept until the answer says why it ended, so that the error can say it too.
"""

import json
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from agent_runtime.errors import APIError
from agent_runtime.llm import ChatChunk, ChoiceDelta, CompletionUsage, FunctionToolCall
from agent_runtime.providers.http.exchange import Answer
from agent_runtime.providers.http.service import Service
from agent_runtime.providers.thinking import ThinkTags

Chunks = list[ChatChunk]


@dataclass(slots=True)
class _Block:
    kind: Literal["text", "thought", "call"]
    pieces: list[str] = field(default_factory=list)
    call_id: str = ""
    name: str = ""
    given: Any = None
    """Arguments that came whole, at the start of the block."""
    signature: str = ""
    redacted: str = ""
    tags: ThinkTags | None = None


class Blocks:
    """What has come so far.

    Args:
        service: whose answer it is.
        tags: text between ``<thinking>`` and ``</thinking>`` is thought, not said: models with tools write it.
        form: the name of the tool whose arguments are the answer itself (see `structured`), where there is one.
    """

    __slots__ = (
        "_bad",
        "_blocks",
        "_form",
        "_formed",
        "_service",
        "_tags",
        "_thoughts",
        "_with_calls",
        "finished",
        "id",
    )

    def __init__(self, service: Service, *, tags: bool = False, form: str | None = None) -> None:
        self._service = service
        self._tags = tags
        self._form = form
        self._blocks: dict[int, _Block] = {}
        self._thoughts: list[dict[str, str]] = []
        self._formed = False
        self._with_calls = False
        self._bad: _Block | None = None
        self.id = ""
        self.finished = False
        """Whether the answer said why it ended."""

    def text(self, index: int, text: str) -> Chunks:
        """A piece of what is said."""
        if self._form is not None:  # what stands beside the form is no part of it
            return self._thought_of(text)
        if not self._tags:
            return self._said(text) if text else []
        block = self._block(index, "text")
        if block.tags is None:
            block.tags = ThinkTags("<thinking>", "</thinking>")
        return self._told(*block.tags.feed(text))

    def thought(self, index: int, text: str) -> Chunks:
        """A piece of what is thought."""
        self._block(index, "thought").pieces.append(text)
        return self._thought_of(text)

    def signed(self, index: int, signature: str) -> None:
        self._block(index, "thought").signature += signature

    def redacted(self, index: int, data: str) -> None:
        """A thought that only the service can read."""
        self._block(index, "thought").redacted += data

    def call(self, index: int, call_id: str, name: str, given: Any = None) -> None:
        """A call begins."""
        if name == self._form:
            if self._formed:  # a second answer, which some models give though they are told not to
                name = ""
            self._formed = True
        self._blocks[index] = _Block("call", call_id=call_id, name=name, given=given)

    def arguments(self, index: int, piece: str) -> Chunks:
        if index not in self._blocks:
            raise self._service.broken(f"arguments in block {index}, where no call has begun")
        block = self._block(index, "call")
        block.pieces.append(piece)
        return self._said(piece) if block.name == self._form and piece else []

    def extra(self, **extra: Any) -> Chunks:
        """Something besides."""
        return [ChatChunk(self.id, ChoiceDelta(extra=extra))]

    def close(self, index: int) -> Chunks:
        """A block is whole."""
        block = self._blocks.pop(index, None)
        if block is None:
            return []
        if block.kind == "thought":
            self._keep(block)
        elif block.tags is not None:
            return self._told(*block.tags.end())
        elif block.kind == "call":
            return self._called(block)
        return []

    def finish(self, reason: str, limit: str) -> Chunks:
        """The answer says why it ended, as `ChoiceDelta` calls it; `limit` names what cuts answers short.

        Raises:
            APIError: a call is not whole.
        """
        self.finished = True
        still_open = (
            each for each in self._blocks.values() if each.kind == "call" and each.name not in ("", self._form)
        )
        bad = self._bad or next(still_open, None)
        if bad is not None and reason == "length":
            service = self._service
            raise APIError(
                f"The answer of {service.provider}'s '{service.model}' broke off at {limit}, in the arguments of the "
                f"tool '{bad.name}'; raise {limit}.",
                provider=service.provider,
                model=service.model,
                fault="limit",
            )
        if bad is not None:
            raise self._service.broken(f"the arguments of the tool '{bad.name}' are no JSON object")
        if reason == "tool_calls" and not self._with_calls:
            reason = "stop"  # the form
        elif reason == "stop" and self._with_calls:
            reason = "tool_calls"
        return self.extra(finish_reason=reason)

    def usage(self, usage: CompletionUsage) -> Chunks:
        return [ChatChunk(self.id, usage=usage)]

    def _block(self, index: int, kind: Literal["text", "thought", "call"]) -> _Block:
        block = self._blocks.get(index)
        if block is None:
            block = self._blocks[index] = _Block(kind)
        elif block.kind != kind:
            raise self._service.broken(f"a piece of a {kind} in block {index}, which is a {block.kind}")
        return block

    def _told(self, spoken: str, thought: str) -> Chunks:
        return self._thought_of(thought) + (self._said(spoken) if spoken else [])

    def _said(self, text: str) -> Chunks:
        return [ChatChunk(self.id, ChoiceDelta("assistant", text))]

    def _thought_of(self, text: str) -> Chunks:
        return self.extra(reasoning=text) if text else []

    def _keep(self, block: _Block) -> None:
        if block.redacted:
            self._thoughts.append({"redacted": block.redacted})
        elif block.signature:
            self._thoughts.append({"text": "".join(block.pieces), "signature": block.signature})

    def _called(self, block: _Block) -> Chunks:
        if not block.name:
            return []
        written = "".join(block.pieces)
        came_whole = not written.strip()
        if came_whole:
            written = json.dumps(block.given or {}, ensure_ascii=False)
        if block.name == self._form:
            return self._said(written) if came_whole else []
        if not _is_object(written):
            self._bad = self._bad or block
            return []
        self._with_calls = True
        # Thoughts go back to the service with the call that they led to.
        thoughts, self._thoughts = self._thoughts, []
        service = self._service
        extra = {service.provider: {"model": service.model, "thoughts": thoughts}} if thoughts else None
        call = FunctionToolCall(block.name, written, block.call_id, extra)
        return [ChatChunk(self.id, ChoiceDelta("assistant", tool_calls=[call]))]


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


class BlockAnswer(Answer[ChatChunk]):
    """JSON events in, chunks out.

    Args:
        service: whose answer it is.
        tags: see `Blocks`.
        form: see `Blocks`.
    """

    def __init__(self, service: Service, *, tags: bool = False, form: str | None = None) -> None:
        self._service = service
        self._blocks = Blocks(service, tags=tags, form=form)

    @abstractmethod
    def read(self, event: Any) -> Sequence[ChatChunk]:
        """What an event brings; any error of reading says that it is none."""

    def feed(self, payload: bytes) -> Sequence[ChatChunk]:
        try:
            return self.read(json.loads(payload))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            said = payload[:200].decode("utf-8", "replace")
            raise self._service.broken(f"no event of a message ({type(error).__name__}): {said}") from error

    def end(self) -> Sequence[ChatChunk]:
        if not self._blocks.finished:
            raise self._service.broken("it ended without a stop reason")
        return ()
