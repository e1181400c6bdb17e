"""Reading what Gemini answers: its messages, each a piece of the answer, made into chunks. Pure.

A call is whole when it comes. What belongs to the answer as a whole (why it ended, sources, tokens) is given at its end,
once: while it comes, each message repeats what was known before.
"""

import base64
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from agent_runtime.errors import APIError
from agent_runtime.llm import ChatChunk, ChoiceDelta, CompletionUsage, FunctionToolCall
from agent_runtime.providers.gemini.contents import GOOGLE
from agent_runtime.providers.http.exchange import Answer
from agent_runtime.providers.http.service import Service
from agent_runtime.providers.http.sse import LONGEST_LINE, ServerSentEvents, TooLong

JSON = dict[str, Any]

BLOCKED = frozenset(
    "SAFETY RECITATION BLOCKLIST PROHIBITED_CONTENT SPII LANGUAGE MODEL_ARMOR IMAGE_SAFETY IMAGE_PROHIBITED_CONTENT "
    "IMAGE_RECITATION IMAGE_OTHER".split()
)
"""Finish reasons of an answer that was held back."""

FAILED = frozenset(
    "MALFORMED_FUNCTION_CALL UNEXPECTED_TOOL_CALL TOO_MANY_TOOL_CALLS MALFORMED_RESPONSE NO_IMAGE "
    "MISSING_THOUGHT_SIGNATURE".split()
)
"""Finish reasons of an answer that went wrong; asked again it may go right."""

_MIME_AUDIO = "audio/"


class GeminiFraming:
    """The messages of a stream of events, or of one JSON document, whichever comes."""

    __slots__ = ("_document", "_events", "_size")

    def __init__(self) -> None:
        self._events: ServerSentEvents | None = None
        self._document: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        if self._events is not None:
            return self._events.feed(data)
        if not self._document:
            data = data.lstrip()
            if not data:
                return []
            if data[:1] not in (b"{", b"["):
                self._events = ServerSentEvents()
                return self._events.feed(data)
        self._size += len(data)
        if self._size > LONGEST_LINE:
            raise TooLong(f"an answer of more than {LONGEST_LINE} bytes")
        self._document.append(data)
        return []

    def end(self) -> list[bytes]:
        if self._events is not None:
            return self._events.end()
        whole, self._document = b"".join(self._document), []
        return [whole] if whole else []


class GeminiAnswer(Answer[ChatChunk]):
    """Reads one answer.

    Args:
        service: whose it is.
        taken: ids of calls that are in the history already; some models give none, and new ones are counted.
        one_call: of several calls only the first is given: the model cannot be told to make no more.
        sound: the answer is sound, given at its end.
    """

    def __init__(
        self, service: Service, *, taken: Collection[str] = (), one_call: bool = False, sound: bool = False
    ) -> None:
        self._service = service
        self._taken = set(taken)
        self._one_call = one_call
        self._sound = bytearray() if sound else None
        self._id = ""
        self._reason = ""
        self._why = ""
        self._usage: Mapping[str, Any] | None = None
        self._last: JSON = {}
        self._said: list[str] = []
        self._others: dict[int, JSON] = {}
        self._code: JSON | None = None
        self._server_parts: list[JSON] = []
        self._calls = 0
        self._came = False

    def feed(self, payload: bytes) -> Sequence[ChatChunk]:
        try:
            message = json.loads(payload)
        except (ValueError, RecursionError):
            raise self._service.broken("a message is no JSON") from None
        if isinstance(message, list):  # a stream that is one document
            return [chunk for each in message for chunk in self._read(each)]
        return self._read(message)

    def end(self) -> Sequence[ChatChunk]:
        if not self._reason:
            raise self._service.broken("it ended without a finish reason")
        if self._reason in BLOCKED and not self._said and not self._calls:
            raise self._held_back(self._reason, self._why)
        if not self._came and self._reason not in BLOCKED:
            raise self._empty()
        extra = self._besides()
        chunks = [ChatChunk(self._id, ChoiceDelta("assistant", extra=extra))]
        if self._usage is not None:
            chunks.append(ChatChunk(self._id, usage=usage_of(self._usage)))
        return chunks

    # A message

    def _read(self, message: Any) -> list[ChatChunk]:
        if not isinstance(message, dict):
            raise self._service.broken("a message is no JSON object")
        if "error" in message:
            raise self._service.failed_inside(message["error"])
        if not self._id:
            self._id = str(message.get("responseId") or "")
        usage = message.get("usageMetadata")
        if usage:
            self._usage = usage
        candidates = message.get("candidates")
        if not candidates:
            feedback = message.get("promptFeedback")
            if feedback and feedback.get("blockReason"):
                raise self._held_back(str(feedback["blockReason"]), str(feedback.get("blockReasonMessage") or ""))
            return []
        try:
            chunks = []
            for candidate in candidates:
                if candidate.get("index"):
                    self._other(candidate)
                else:
                    chunks += self._first(candidate)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise self._service.broken(f"a message is not as Gemini writes it ({error!r})") from None
        return chunks

    def _first(self, candidate: JSON) -> list[ChatChunk]:
        parts = (candidate.get("content") or {}).get("parts") or ()
        delta = self._delta(parts, candidate)
        for name in ("groundingMetadata", "urlContextMetadata", "citationMetadata"):
            if candidate.get(name):
                self._last[name] = candidate[name]
        reason = candidate.get("finishReason")
        if reason and reason != "FINISH_REASON_UNSPECIFIED":
            self._reason = reason
            self._settle()
            self._why = str(candidate.get("finishMessage") or "")
            if reason in FAILED:
                raise self._service.broken(f"finish reason {reason}{f', {self._why}' if self._why else ''}")
        return [] if delta is None else [ChatChunk(self._id, delta)]

    def _delta(self, parts: Sequence[JSON], candidate: JSON) -> ChoiceDelta | None:
        text = ""
        calls: list[FunctionToolCall] = []
        extra: JSON = {}
        for part in parts:
            self._came = True
            said = part.get("text")
            if said is not None:
                if part.get("thought"):
                    extra["reasoning"] = extra.get("reasoning", "") + said
                else:
                    text += said
                    if "thoughtSignature" in part:
                        extra[GOOGLE] = {"thought_signature": part["thoughtSignature"]}
            elif "functionCall" in part:
                call = self._call(part)
                if call is not None:
                    calls.append(call)
            else:
                self._no_text(part, extra)
        logprobs = candidate.get("logprobsResult")
        if logprobs:
            extra["logprobs"] = _logprobs(logprobs)
        if text:
            self._said.append(text)
        if not (text or calls or extra):
            return None
        return ChoiceDelta("assistant", text or None, calls, extra or None)

    def _no_text(self, part: JSON, extra: JSON) -> None:
        if "inlineData" in part:
            self.inline(part["inlineData"], extra)
        elif "executableCode" in part:
            self._flush_code(extra)
            self.held += 1
            code = part["executableCode"]
            self._code = {"code": code.get("code", ""), "language": code.get("language", "")}
        elif "codeExecutionResult" in part:
            result = part["codeExecutionResult"]
            self._code = {
                **(self._code or {"code": "", "language": ""}),
                "outcome": result.get("outcome", ""),
                "output": result.get("output", ""),
            }
            self._flush_code(extra)
        elif "toolCall" in part or "toolResponse" in part:
            self.held += 1
            self._server_parts.append(part)
        elif "thoughtSignature" in part:
            extra[GOOGLE] = {"thought_signature": part["thoughtSignature"]}

    def inline(self, data: JSON, extra: JSON) -> None:
        """A picture, or sound."""
        mime_type, content = str(data.get("mimeType", "")), data.get("data", "")
        if mime_type.startswith(_MIME_AUDIO):
            self.held += 1
            if self._sound is not None:
                self._sound += base64.b64decode(content)
        elif content:
            extra.setdefault("images", []).append(f"data:{mime_type};base64,{content}")

    def _flush_code(self, extra: JSON) -> None:
        if self._code is not None:
            extra.setdefault("code_execution", []).append({"outcome": "", "output": "", **self._code})
            self._code = None

    def _call(self, part: JSON) -> FunctionToolCall | None:
        call = part["functionCall"]
        name, arguments = call.get("name"), call.get("args") or {}
        if "partialArgs" in call or call.get("willContinue"):
            raise self._service.broken("a tool call comes in pieces, which was not asked for")
        if not name or not isinstance(arguments, dict):
            raise self._service.broken(f"the tool call {name or 'without a name'!r} has no JSON object for arguments")
        self._calls += 1
        if self._one_call and self._calls > 1:
            return None
        kept: JSON = {}
        if "thoughtSignature" in part:
            kept["thought_signature"] = part["thoughtSignature"]
        if self._server_parts:
            kept["before"], self._server_parts = self._server_parts, []
        text = json.dumps(arguments, ensure_ascii=False)
        return FunctionToolCall(name, text, call.get("id") or self._mint(), {GOOGLE: kept} if kept else None)

    def _mint(self) -> str:
        number = len(self._taken) + 1
        while f"call_{number}" in self._taken:
            number += 1
        self._taken.add(f"call_{number}")
        return f"call_{number}"

    def _other(self, candidate: JSON) -> None:
        """An answer behind the first is not spoken; it is given at the end, whole."""
        self.held += 1
        index = candidate["index"]
        other = self._others.setdefault(index, {"index": index, "content": "", "finish_reason": ""})
        for part in (candidate.get("content") or {}).get("parts") or ():
            if not part.get("thought"):
                other["content"] += part.get("text") or ""
        if candidate.get("finishReason"):
            other["finish_reason"] = finish_reason(candidate["finishReason"], calls=False)
            self._settle()

    def _settle(self) -> None:
        """It is over when every answer has said why it ended."""
        self.whole = bool(self._reason) and all(other["finish_reason"] for other in self._others.values())

    # The end

    def _besides(self) -> JSON:
        extra: JSON = {"finish_reason": finish_reason(self._reason, calls=bool(self._calls))}
        self._flush_code(extra)
        grounding = self._last.get("groundingMetadata")
        if grounding:
            extra["grounding_metadata"] = [grounding]
            extra["annotations"] = annotations(grounding, "".join(self._said))
        if "urlContextMetadata" in self._last:
            extra["url_context_metadata"] = [self._last["urlContextMetadata"]]
        if "citationMetadata" in self._last:
            cited = self._last["citationMetadata"]
            extra["citations"] = cited.get("citations") or cited.get("citationSources") or []
        if self._others:
            extra["choices"] = [self._others[index] for index in sorted(self._others)]
        if self._sound:
            content = base64.b64encode(self._sound).decode()
            extra["audio"] = {"id": self._id, "data": content, "expires_at": None, "transcript": "".join(self._said)}
        return extra

    def _held_back(self, reason: str, why: str) -> APIError:
        return self._service.withheld(f"{reason}: {why}" if why else reason)

    def _empty(self) -> APIError:
        service = self._service
        if self._reason != "MAX_TOKENS":
            return service.broken(f"it was empty, with the finish reason {self._reason}")
        thought = usage_of(self._usage or {}).reasoning_tokens
        return APIError(
            f"{service.provider} used all tokens that '{service.model}' may have for its thoughts ({thought}) and said "
            "nothing; raise max_output_tokens, or lower reasoning_effort.",
            provider=service.provider,
            model=service.model,
            fault="limit",
        )


class SoundAnswer(GeminiAnswer):
    """Reads an answer that is spoken: samples are given as they come, under ``pcm``.

    Args:
        sample: checks a type such as ``audio/L16;codec=pcm;rate=24000``; it raises where that cannot be played.
    """

    def __init__(self, service: Service, check: Callable[[str], None]) -> None:
        super().__init__(service)
        self._check = check
        self._odd = b""

    def inline(self, data: JSON, extra: JSON) -> None:
        self._check(str(data.get("mimeType", "")))
        samples = self._odd + base64.b64decode(data.get("data", ""))
        whole = len(samples) // 2 * 2
        self._odd = samples[whole:]
        if whole:
            extra["pcm"] = extra.get("pcm", b"") + samples[:whole]


def finish_reason(reason: str, *, calls: bool) -> str:
    """Gemini's word for why an answer ended, in OpenAI's."""
    if reason in BLOCKED:
        return "content_filter"
    if reason == "MAX_TOKENS":
        return "length"
    return "tool_calls" if calls else "stop"


def usage_of(said: Mapping[str, Any]) -> CompletionUsage:
    """``usageMetadata``. Thoughts are written, what tools brought in is read."""
    thoughts = said.get("thoughtsTokenCount") or 0
    completion = (said.get("candidatesTokenCount") or 0) + thoughts
    prompt = (said.get("promptTokenCount") or 0) + (said.get("toolUsePromptTokenCount") or 0)
    return CompletionUsage(
        completion_tokens=completion,
        prompt_tokens=prompt,
        total_tokens=said.get("totalTokenCount") or prompt + completion,
        prompt_cached_tokens=said.get("cachedContentTokenCount") or 0,
        reasoning_tokens=thoughts,
    )


def annotations(grounding: Mapping[str, Any], text: str) -> list[JSON]:
    """What was found on the web for which part of `text`, in OpenAI's form. Gemini counts bytes, this counts characters."""
    chunks = grounding.get("groundingChunks") or ()
    encoded = text.encode()
    made = []
    for support in grounding.get("groundingSupports") or ():
        segment = support.get("segment") or {}
        start, end = (
            len(encoded[: segment.get(name) or 0].decode(errors="ignore")) for name in ("startIndex", "endIndex")
        )
        for index in support.get("groundingChunkIndices") or ():
            source = chunks[index].get("web") or chunks[index].get("retrievedContext") if index < len(chunks) else None
            if source:
                cited = {"start_index": start, "end_index": end, "url": source.get("uri"), "title": source.get("title")}
                made.append({"type": "url_citation", "url_citation": cited})
    return made


def _logprobs(result: Mapping[str, Any]) -> list[JSON]:
    """As OpenAI lists them: a token, how likely it was, and what stood beside it."""
    chosen, top = result.get("chosenCandidates") or (), result.get("topCandidates") or ()
    made = []
    for number, token in enumerate(chosen):
        beside = (top[number].get("candidates") or ()) if number < len(top) else ()
        made.append({**_logprob(token), "top_logprobs": [_logprob(each) for each in beside]})
    return made


def _logprob(token: Mapping[str, Any]) -> JSON:
    return {"token": token.get("token", ""), "logprob": token.get("logProbability")}
