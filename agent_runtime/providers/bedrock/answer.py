"""Reading what Amazon Bedrock's Converse API streams, frame by frame (see `event_stream`). Pure."""

from collections.abc import Callable, Sequence
from typing import Any

from agent_runtime.llm import ChatChunk, CompletionUsage
from agent_runtime.providers.blocks import BlockAnswer

FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
"""Why an answer ended, in `ChoiceDelta`'s words."""

MALFORMED = ("malformed_model_output", "malformed_tool_use")

STATUS = {
    "accessDeniedException": 403,
    "validationException": 400,
    "resourceNotFoundException": 404,
    "modelTimeoutException": 408,
    "throttlingException": 429,
    "modelNotReadyException": 429,
    "internalServerException": 500,
    "modelErrorException": 500,
    "modelStreamErrorException": 500,
    "serviceUnavailableException": 503,
}
"""The status that an exception inside a stream would have had. The service has 424 for a model that broke, and asks for
the request again; so it is counted as its own fault."""


class BedrockAnswer(BlockAnswer):
    """One message a frame, under its kind; see `BlockAnswer`."""

    def read(self, event: Any) -> Sequence[ChatChunk]:
        ((kind, told),) = event.items()
        read = _READ.get(kind)
        return read(self, told) if read is not None else ()

    # Each event

    def _block_start(self, event: dict[str, Any]) -> Sequence[ChatChunk]:
        tool = event.get("start", {}).get("toolUse")
        if tool is not None:
            self.held += 1
            self._blocks.call(event["contentBlockIndex"], tool["toolUseId"], tool["name"])
        return ()

    def _block_delta(self, event: dict[str, Any]) -> Sequence[ChatChunk]:
        index, delta = event["contentBlockIndex"], event["delta"]
        if "text" in delta:
            return self._blocks.text(index, delta["text"])
        if "toolUse" in delta:
            self.held += 1
            return self._blocks.arguments(index, delta["toolUse"].get("input", ""))
        if "citation" in delta:
            return self._blocks.extra(citations=[delta["citation"]])
        thought = delta.get("reasoningContent", {})
        if "signature" in thought:
            self._blocks.signed(index, thought["signature"])
        if "redactedContent" in thought:
            self._blocks.redacted(index, thought["redactedContent"])
        return self._blocks.thought(index, thought["text"]) if "text" in thought else ()

    def _block_stop(self, event: dict[str, Any]) -> Sequence[ChatChunk]:
        return self._blocks.close(event["contentBlockIndex"])

    def _stop(self, event: dict[str, Any]) -> Sequence[ChatChunk]:
        reason = event["stopReason"]
        if reason in MALFORMED:
            raise self._service.broken(f"the model wrote what it could not read itself ({reason})")
        finished = self._blocks.finish(FINISH.get(reason, str(reason)), "max_output_tokens")
        self.whole = True
        return finished

    def _metadata(self, event: dict[str, Any]) -> Sequence[ChatChunk]:
        usage = event["usage"]
        read, kept = usage.get("cacheReadInputTokens") or 0, usage.get("cacheWriteInputTokens") or 0
        prompt = usage["inputTokens"] + read + kept  # the service counts what was cached apart
        return self._blocks.usage(
            CompletionUsage(
                completion_tokens=usage["outputTokens"],
                prompt_tokens=prompt,
                total_tokens=prompt + usage["outputTokens"],
                prompt_cached_tokens=read,
                cache_creation_tokens=kept,
                service_tier=(event.get("serviceTier") or {}).get("type"),
            )
        )

    def _exception(self, event: dict[str, Any]) -> Sequence[ChatChunk]:
        said = event["said"] if isinstance(event["said"], dict) else {"message": str(event["said"])}
        raise self._service.failed_inside({"type": event["type"], **said, "status": STATUS.get(event["type"], 500)})


_READ: dict[str, Callable[[BedrockAnswer, dict[str, Any]], Sequence[ChatChunk]]] = {
    "contentBlockStart": BedrockAnswer._block_start,
    "contentBlockDelta": BedrockAnswer._block_delta,
    "contentBlockStop": BedrockAnswer._block_stop,
    "messageStop": BedrockAnswer._stop,
    "metadata": BedrockAnswer._metadata,
    "exception": BedrockAnswer._exception,
}
