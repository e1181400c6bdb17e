"""Reading an answer of OpenAI's chat completions, as the many services that speak it really send it. Pure.

What they differ in, and what is done:

* ``delta`` may be null, ``choices`` empty, ``content`` a list of parts, usage absent or repeated: the last usage counts.
* Tool calls come in fragments by index, or without index, or whole; with the name in each fragment, with a new id in each,
  without id. They are put together, and given out when the answer has ended, all at once: a call whose arguments are no
  JSON is an error of the answer.
* An error may come as an object in the stream, with or without ``choices``.
* An answer is whole once it has given its finish reason or its end mark ``[DONE]``: some services lack one of them. One that
  has neither was cut off, and one that has only the mark and nothing else is empty; both are errors.
* A usage without its two counts, or with some that are none, is no usage.
* A service that does not stream answers with one document, which is read as one message; Gemini's errors are in a list.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agent_runtime.llm import ChatChunk, ChoiceDelta, CompletionUsage, FunctionToolCall
from agent_runtime.providers.http.exchange import Answer
from agent_runtime.providers.http.service import Service
from agent_runtime.providers.thinking import ThinkTags

DONE = b"[DONE]"

BESIDES = {
    "citations": "citations",
    "search_results": "search_results",
    "vertex_ai_grounding_metadata": "grounding_metadata",
    "vertex_ai_url_context_metadata": "url_context_metadata",
}
"""What may stand beside the choices, and its name in `extra`. Services repeat it in each message; it is given out once."""

_BESIDES = {*BESIDES, "service_tier"}

_loads = json.JSONDecoder().decode


class OpenAIAnswer(Answer[ChatChunk]):
    """Reads one answer.

    Args:
        service: whose answer it is.
        tags: keeps thoughts apart that are written into the text.
        echo: fields of the answer that go back to the service with the tool calls.
        first_id: the number of the first call that gets an id from us; so they differ within a conversation.
    """

    def __init__(
        self, service: Service, *, tags: ThinkTags | None = None, echo: Sequence[str] = (), first_id: int = 1
    ) -> None:
        self._service = service
        self._tags = tags or ThinkTags()
        self._echo = echo
        self._calls = _Calls(first_id)
        self._others: dict[int, dict[str, Any]] = {}
        self._besides: dict[str, Any] = {}
        self._echoed: dict[str, Any] = {}
        self._usage: Mapping[str, Any] | None = None
        self._tier: str | None = None
        self._id = ""
        self._spoke = False
        self._finished = ""
        self._done = False

    def feed(self, payload: bytes) -> Sequence[ChatChunk]:
        if self._done or not payload:
            return ()
        if payload[:8].strip() == DONE:
            self._done = True
            last = self._last()
            self.whole = True  # not before: what is wrong with an answer that is whole is passed over
            return last
        try:
            message = _loads(payload.decode())
        except (ValueError, RecursionError):
            raise self._service.broken("a message in it is no JSON") from None
        try:
            return self._read(message[0] if message.__class__ is list and message else message)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise self._service.broken(f"a message in it has a form of its own ({payload[:200]!r})") from error

    def _read(self, message: Mapping[str, Any]) -> Sequence[ChatChunk]:
        choices = message.get("choices")
        self._id = message.get("id") or self._id
        if not choices or "error" in message:
            self._check(message)
        usage = message.get("usage")
        if usage.__class__ is dict and _is_counted(usage):
            self._usage = usage
        if not _BESIDES.isdisjoint(message):
            self._tier = message.get("service_tier") or self._tier
            self._besides |= {name: message[key] for key, name in BESIDES.items() if message.get(key)}
        chunks: list[ChatChunk] = []
        for choice in choices or ():
            index = choice.get("index")
            if index and index.__class__ is int:
                self._other(index, choice)
            else:
                self._choice(choice, message, chunks)
        return chunks

    def end(self) -> Sequence[ChatChunk]:
        if self._done:
            return ()
        if not self._finished:
            raise self._service.broken("it stopped without a finish reason and without [DONE]")
        return self._last()

    def _check(self, message: Mapping[str, Any]) -> None:
        """A message without choices may be usage, a filter's opinion of the request, or an error."""
        error = message.get("error")
        if error:
            raise self._service.failed_inside(error)
        if message.get("object") == "error":
            raise self._service.failed_inside(message)
        if "choices" not in message and "usage" not in message and ("message" in message or "detail" in message):
            raise self._service.failed_inside(message)

    def _choice(self, choice: Mapping[str, Any], message: Mapping[str, Any], chunks: list[ChatChunk]) -> None:
        delta = choice["delta"] if "delta" in choice else choice.get("message")
        finish = choice.get("finish_reason")
        spoken = ""
        extra: dict[str, Any] | None = None
        if delta:
            text = delta.get("content")
            if text.__class__ is str:
                spoken, thought = self._tags.feed(text) if text else ("", "")
                if thought:
                    extra = {"reasoning": thought}
            if len(delta) > 1 + ("role" in delta) or text.__class__ is not str:
                spoken, extra = self._more(delta, spoken, extra or {})
        logprobs = choice.get("logprobs")
        if logprobs:
            extra = {**(extra or {}), "logprobs": logprobs.get("content") or []}
        if spoken or extra:
            self._spoke = self._spoke or bool(spoken or (extra and ("images" in extra or "audio" in extra)))
            chunks.append(ChatChunk(self._id, ChoiceDelta("assistant", spoken or None, [], extra or None)))
        if finish and not self._finished:
            self._finish(str(finish), choice, message, chunks)

    def _more(self, delta: Mapping[str, Any], spoken: str, extra: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """What a delta has besides its text."""
        parts = delta.get("content")
        if isinstance(parts, list):
            spoken, thought, images = _of_parts(parts)
            spoken, tagged = self._tags.feed(spoken)
            thought += tagged
        else:
            thought, images = extra.pop("reasoning", ""), []
        if delta.get("refusal"):  # said instead of an answer
            spoken += delta["refusal"]
            extra["refusal"] = delta["refusal"]
        thought += _text(delta.get("reasoning_content")) or _text(delta.get("reasoning"))
        if thought:
            extra["reasoning"] = thought
        images += [each["image_url"]["url"] for each in delta.get("images") or () if each.get("image_url")]
        if images:
            extra["images"] = images
        for key in ("annotations", "audio"):
            if delta.get(key):
                extra[key] = delta[key]
        for key in self._echo:
            if delta.get(key):
                self._echoed[key] = self._echoed[key] + delta[key] if key in self._echoed else delta[key]
        fragments = delta.get("tool_calls") or ()
        if not fragments and delta.get("function_call"):  # as it was before there were tools
            fragments = [{"index": 0, "function": delta["function_call"]}]
        for fragment in fragments:
            self._calls.add(fragment)
            self.held += 1
            self.whole = False  # where it comes behind the finish reason
        return spoken, {**extra, **(delta.get("extra_content") or {})}

    def _other(self, index: int, choice: Mapping[str, Any]) -> None:
        """A choice behind the first is not spoken; it is given at the end, whole."""
        other = self._others.setdefault(index, {"index": index, "content": "", "finish_reason": ""})
        delta = choice.get("delta") or choice.get("message") or {}
        other["content"] += _text(delta.get("content"))
        other["finish_reason"] = choice.get("finish_reason") or other["finish_reason"]
        self.held += 1

    def _finish(
        self, reason: str, choice: Mapping[str, Any], message: Mapping[str, Any], chunks: list[ChatChunk]
    ) -> None:
        if reason == "error":
            raise self._service.failed_inside(choice.get("error") or message.get("error") or "finish reason 'error'")
        self._flush(chunks, reason)
        if reason == "content_filter" and not self._spoke:
            raise self._service.withheld(reason)
        self._finished = reason
        self.whole = True
        chunks.append(ChatChunk(self._id, ChoiceDelta("assistant", None, [], {"finish_reason": reason})))

    def _flush(self, chunks: list[ChatChunk], reason: str) -> None:
        """What was held back: the beginning of a tag, and the calls."""
        spoken, thought = self._tags.end()
        calls = self._calls.whole(self._service, reason, self._echoed)
        if calls or spoken or thought:
            self._spoke = self._spoke or bool(spoken or calls)
            extra = {"reasoning": thought} if thought else None
            chunks.append(ChatChunk(self._id, ChoiceDelta("assistant", spoken or None, calls, extra)))

    def _last(self) -> list[ChatChunk]:
        chunks: list[ChatChunk] = []
        self._flush(chunks, self._finished)
        if not (self._finished or self._spoke or chunks):
            raise self._service.broken("it was empty")
        if self._others:
            self._besides["choices"] = [self._others[index] for index in sorted(self._others)]
        if self._besides:
            chunks.append(ChatChunk(self._id, ChoiceDelta("assistant", None, [], self._besides)))
        if self._usage is not None:
            chunks.append(ChatChunk(self._id, None, usage_of(self._usage, self._tier)))
        return chunks


class _Call:
    __slots__ = ("arguments", "call_id", "extra", "name")

    def __init__(self) -> None:
        self.call_id = ""
        self.name = ""
        self.arguments: list[str] = []
        self.extra: dict[str, Any] = {}

    def is_whole(self) -> bool:
        text = "".join(self.arguments).rstrip()
        return text.endswith("}") and _parses(text)


class _Calls:
    """Tool calls, from their fragments."""

    def __init__(self, first_id: int) -> None:
        self._calls: list[_Call] = []
        self._at: dict[Any, _Call] = {}
        self._next_id = first_id

    def add(self, fragment: Mapping[str, Any]) -> None:
        function = fragment.get("function") or {}
        call = self._of(fragment, function)
        call.call_id = call.call_id or fragment.get("id") or ""
        call.name = call.name or function.get("name") or ""
        arguments = function.get("arguments")
        if arguments:
            call.arguments.append(arguments if isinstance(arguments, str) else json.dumps(arguments))
        call.extra.update(fragment.get("extra_content") or {})

    def _of(self, fragment: Mapping[str, Any], function: Mapping[str, Any]) -> _Call:
        """The call that a fragment belongs to; a new one where it belongs to none."""
        index, call_id, name = fragment.get("index"), fragment.get("id"), function.get("name")
        if index is not None:
            call = self._at.get(index)
        elif call_id:
            call = next((each for each in self._calls if each.call_id == call_id), None)
        else:
            call = self._calls[-1] if self._calls else None
        # A name begins a call, unless it is repeated: some services count badly, and some invent an id for each fragment.
        if call is None or (name and self._begins(call, call_id, name, function)):
            call = _Call()
            self._calls.append(call)
            if index is not None:
                self._at[index] = call
        return call

    @staticmethod
    def _begins(call: _Call, call_id: str | None, name: str, function: Mapping[str, Any]) -> bool:
        if not call.name:
            return False
        if call_id and call_id == call.call_id:
            return False
        return name != call.name or (bool(function.get("arguments")) and call.is_whole())

    def whole(self, service: Service, reason: str, echoed: dict[str, Any]) -> list[FunctionToolCall]:
        """All calls, once.

        Raises:
            APIError: the arguments of one are no JSON, or it has no name.
        """
        calls, self._calls = self._calls, []
        self._at.clear()
        made: list[FunctionToolCall] = []
        taken = {""}
        for call in calls:
            arguments = "".join(call.arguments).strip()
            arguments = arguments if arguments not in ("", "null") else "{}"
            if reason == "length" and not _parses(arguments):
                raise service.cut_off(f"the arguments of the tool call '{call.name}'")
            if not call.name or not _parses(arguments):
                named = f"tool call '{call.name}'" if call.name else "a tool call without a name"
                raise service.broken(f"{named} has arguments that are no JSON" if call.name else named)
            extra = {**call.extra, **(echoed if not made else {})}
            call_id = call.call_id if call.call_id not in taken else self._mint(calls)
            taken.add(call_id)
            made.append(FunctionToolCall(call.name, arguments, call_id, extra or None))
        return made

    def _mint(self, calls: Sequence[_Call]) -> str:
        """An id for a call that came without, or with that of another."""
        ids = {call.call_id for call in calls}
        while (minted := f"call_{self._next_id}") in ids:
            self._next_id += 1
        self._next_id += 1
        return minted


def usage_of(said: Mapping[str, Any], tier: str | None = None) -> CompletionUsage:
    """The tokens that a service counted, whichever of the usual names it has for them.

    `said` has the two counts that matter; of the others, what is no count is nothing.
    """
    prompt, completion = _count(said, "prompt_tokens"), _count(said, "completion_tokens")
    read, thought = said.get("prompt_tokens_details"), said.get("completion_tokens_details")
    return CompletionUsage(
        completion_tokens=completion,
        prompt_tokens=prompt,
        total_tokens=_count(said, "total_tokens") or prompt + completion,
        prompt_cached_tokens=_count(read, "cached_tokens")
        or _count(said, "prompt_cache_hit_tokens")  # DeepSeek
        or _count(said, "cache_read_input_tokens"),  # Anthropic, through a gateway
        cache_creation_tokens=_count(read, "cache_write_tokens")
        or _count(read, "cache_creation_tokens")
        or _count(said, "cache_creation_input_tokens"),
        reasoning_tokens=_count(thought, "reasoning_tokens") or _count(said, "reasoning_tokens"),
        service_tier=tier,
    )


def _is_counted(said: Mapping[str, Any]) -> bool:
    """Whether it says what was used. Nothing known is no zero: it would be billed as one."""
    return _is_count(said.get("prompt_tokens")) and _is_count(said.get("completion_tokens"))


def _is_count(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 and value % 1 == 0


def _count(said: Any, name: str) -> int:
    count = said.get(name) if isinstance(said, dict) else None
    return int(count) if count is not None and _is_count(count) else 0


def _of_parts(parts: Sequence[Any]) -> tuple[str, str, list[str]]:
    """Text, thoughts and pictures of a content that is a list (Mistral)."""
    spoken, thought, images = "", "", []
    for part in parts:
        if isinstance(part, str):
            spoken += part
        elif isinstance(part.get("thinking"), list):
            thought += "".join(_text(each.get("text")) for each in part["thinking"])
        elif part.get("image_url"):
            url = part["image_url"]
            images.append(url if isinstance(url, str) else url["url"])
        else:
            spoken += _text(part.get("text"))
            thought += _text(part.get("thinking"))
    return spoken, thought, images


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _parses(text: str) -> bool:
    try:
        _loads(text)
    except ValueError:
        return False
    return True
