"""Reading what Anthropic's Messages API streams. Pure."""

from collections.abc import Callable, Sequence
from typing import Any

from agent_runtime.llm import ChatChunk, CompletionUsage
from agent_runtime.providers.blocks import BlockAnswer
from agent_runtime.providers.http.service import Service

FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",
    "refusal": "content_filter",
}
"""Why an answer ended, in `ChoiceDelta`'s words. A turn that is paused is not whole: nothing here asks for the rest."""

STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The status that an error inside a stream would have had."""

_COUNTS = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "service_tier")


class AnthropicAnswer(BlockAnswer):
    """The events of a message; see `BlockAnswer`."""

    def __init__(self, service: Service, *, tags: bool = False, form: str | None = None) -> None:
        super().__init__(service, tags=tags, form=form)
        self._usage: dict[str, Any] = {}
        self._passed_over: set[int] = set()
        """Blocks of what the service did itself: searches and what they found."""

    def read(self, event: Any) -> Sequence[ChatChunk]:
        # Pings, and what is not known yet, are passed over.
        read = _READ.get(event["type"])
        return read(self, event) if read is not None else ()

    # Each event

    def _message_start(self, event: dict[str, Any]) -> Sequence[ChatChunk]:
        self._blocks.id = event["message"]["id"]
        self._count(event["message"].get("usage"))
        return ()

    def _block_start(self, event: dict[str, Any]) -> Sequence[ChatChunk]:
        index, block = event["index"], event["content_block"]
        match block["type"]:
            case "text":
                return self._blocks.text(index, block.get("text") or "")
            case "thinking":
                return self._blocks.thought(index, block.get("thinking") or "")
            case "redacted_thinking":
                self._blocks.redacted(index, block["data"])
            case "tool_use":
                self.held += 1
                self._blocks.call(index, block["id"], block["name"], block.get("input"))
            case _:
                self._passed_over.add(index)
        return ()

    def _block_delta(self, event: dict[str, Any]) -> Sequence[ChatChunk]:
        index, delta = event["index"], event["delta"]
        if index in self._passed_over:
            return ()
        match delta["type"]:
            case "text_delta":
                return self._blocks.text(index, delta["text"])
            case "input_json_delta":
                self.held += 1
                return self._blocks.arguments(index, delta["partial_json"])
            case "thinking_delta":
                return self._blocks.thought(index, delta["thinking"])
            case "signature_delta":
                self._blocks.signed(index, delta["signature"])
            case "citations_delta":
                return self._blocks.extra(citations=[delta["citation"]])
        return ()

    def _block_stop(self, event: dict[str, Any]) -> Sequence[ChatChunk]:
        return self._blocks.close(event["index"])

    def _message_delta(self, event: dict[str, Any]) -> Sequence[ChatChunk]:
        self._count(event.get("usage"))
        reason = event["delta"].get("stop_reason")
        if not reason:
            return ()
        finished = self._blocks.finish(FINISH.get(reason, str(reason)), "max_tokens")
        self.whole = True
        return [*finished, *(self._blocks.usage(self._completion_usage()) if self._usage else ())]

    def _error(self, event: dict[str, Any]) -> Sequence[ChatChunk]:
        error = event["error"]
        raise self._service.failed_inside({**error, "status": STATUS.get(error.get("type"), 500)})

    # Usage

    def _count(self, usage: Any) -> None:
        """Counts are of the whole answer so far: the last are true."""
        for name in _COUNTS:
            if usage and usage.get(name) is not None:
                self._usage[name] = usage[name]

    def _completion_usage(self) -> CompletionUsage:
        given, written, kept, read, tier = (self._usage.get(name) for name in _COUNTS)
        prompt = (given or 0) + (kept or 0) + (read or 0)
        return CompletionUsage(
            completion_tokens=written or 0,
            prompt_tokens=prompt,
            total_tokens=prompt + (written or 0),
            prompt_cached_tokens=read or 0,
            cache_creation_tokens=kept or 0,
            service_tier=tier,
        )


_READ: dict[str, Callable[[AnthropicAnswer, dict[str, Any]], Sequence[ChatChunk]]] = {
    "message_start": AnthropicAnswer._message_start,
    "content_block_start": AnthropicAnswer._block_start,
    "content_block_delta": AnthropicAnswer._block_delta,
    "content_block_stop": AnthropicAnswer._block_stop,
    "message_delta": AnthropicAnswer._message_delta,
    "error": AnthropicAnswer._error,
}
