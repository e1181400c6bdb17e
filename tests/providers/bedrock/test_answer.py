"""Reading what Bedrock streams: whole, cut anywhere, damaged and broken. What the tests send, AWS's own SDK reads too."""

import json
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_runtime.errors import APIError, APIStatusError
from agent_runtime.providers.bedrock.llm import BedrockLLM
from tests.providers.bedrock_events import (
    ANSWER,
    REDACTED,
    THOUGHT,
    delta,
    event,
    exception,
    frame,
    model,
    read_by_the_sdk,
    start,
    stop,
    text,
    tool_use,
)
from tests.providers.wires import Scripted, book, chunks, collect, get_weather

LONG = (
    start() + THOUGHT + REDACTED + text("Grüße, ", "Jürgen 🙂", index=2) + tool_use('{"city": "Zü', 'rich"}', index=3)
)
LONG += stop("tool_use")


def test_c5_chunks() -> None:
    found = chunks(model()[0])
    assert [chunk.delta.content for chunk in found if chunk.delta and chunk.delta.content] == ["Hel", "lo."]
    assert found[-2].delta is not None
    assert found[-2].delta.extra == {"finish_reason": "stop"}
    assert found[-1].delta is None
    assert found[-1].usage is not None


def test_awss_sdk_reads_the_same() -> None:
    theirs = read_by_the_sdk(LONG)
    kinds = [next(iter(each)) for each in theirs]
    assert kinds[0] == "messageStart"
    assert kinds[-2:] == ["messageStop", "metadata"]
    deltas = [each["contentBlockDelta"]["delta"] for each in theirs if "contentBlockDelta" in each]
    ours = collect(model(LONG)[0], tools=[get_weather])
    assert ours.text == "".join(each.get("text", "") for each in deltas) == "Grüße, Jürgen 🙂"
    assert ours.tool_calls[0].arguments == "".join(each["toolUse"]["input"] for each in deltas if "toolUse" in each)
    thoughts = [each["reasoningContent"] for each in deltas if "reasoningContent" in each]
    assert ours.extra["reasoning"] == "".join(each.get("text", "") for each in thoughts)
    assert ours.usage is not None
    assert ours.usage.prompt_tokens == theirs[-1]["metadata"]["usage"]["inputTokens"]


def test_row_1_usage_with_the_cache() -> None:
    found = collect(model(start() + text("a") + stop(cacheReadInputTokens=1000, cacheWriteInputTokens=100))[0]).usage
    assert found is not None
    assert (found.prompt_tokens, found.prompt_cached_tokens, found.cache_creation_tokens) == (1110, 1000, 100)
    assert (found.completion_tokens, found.total_tokens) == (7, 1117)


@pytest.mark.parametrize(
    ("reason", "means"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("model_context_window_exceeded", "length"),
    ],
)
def test_stop_reasons(reason: str, means: str) -> None:
    assert collect(model(start() + text("a") + stop(reason))[0]).extra["finish_reason"] == means


def test_c8_calls_are_whole() -> None:
    answer = (
        start()
        + text("One moment.")
        + tool_use('{"ci', 'ty": "Rome"}')
        + tool_use(index=2, name="book")
        + stop("tool_use")
    )
    found = collect(model(answer)[0], tools=[get_weather, book])
    assert found.text == "One moment."
    assert [(each.call_id, each.name, json.loads(each.arguments)) for each in found.tool_calls] == [
        ("tooluse_1", "get_weather", {"city": "Rome"}),
        ("tooluse_2", "book", {}),
    ]
    assert found.extra["finish_reason"] == "tool_calls"


def test_thoughts_in_the_text_are_not_said_where_there_are_tools() -> None:
    """Nova writes them."""
    answer = start() + text("<thinking> I should", " look.</thinking>\n", "One moment.") + stop()
    found = collect(model(answer)[0], tools=[get_weather])
    assert (found.text, found.extra["reasoning"]) == ("One moment.", " I should look.")


def test_citations() -> None:
    citation = {"title": "Bill", "location": {"documentPage": {"documentIndex": 0, "start": 1, "end": 2}}}
    answer = start() + delta(0, text="Ten.") + delta(0, citation=citation) + text("") + stop()
    assert collect(model(answer)[0]).extra["citations"] == [citation]


# What goes wrong


@pytest.mark.parametrize(
    ("kind", "status", "fault", "retryable"),
    [
        ("throttlingException", 429, "limit", True),
        ("modelStreamErrorException", 500, "service", True),
        ("internalServerException", 500, "service", True),
        ("serviceUnavailableException", 503, "service", True),
        ("validationException", 400, "request", False),
        ("accessDeniedException", 403, "key", False),
        ("modelTimeoutException", 408, "service", True),
        ("unheardOfException", 500, "service", True),
    ],
)
def test_row_1_exceptions_inside_the_stream(kind: str, status: int, fault: str, retryable: bool) -> None:
    llm, service = model(start() + delta(0, text="Hel") + exception(kind, message="Too many tokens, very-secret"))
    with pytest.raises(APIStatusError, match="Too many tokens") as error:
        collect(llm)
    assert (error.value.status_code, error.value.fault, error.value.retryable) == (status, fault, retryable)
    assert "very-secret" not in str(error.value)
    assert error.value.body["error"]["type"] == kind
    assert len(service.requests) == 1, "a piece of the answer was delivered"


def test_an_error_frame() -> None:
    failed = frame(b"", message_type="error", error_code="InternalError", error_message="It broke")
    with pytest.raises(APIStatusError, match="It broke"):
        collect(model(start() + text("a") + failed)[0])


def test_throttled_before_the_first_word_is_asked_again() -> None:
    refused = httpx.Response(
        429, json={"message": "Too many requests"}, headers={"x-amzn-errortype": "ThrottlingException"}
    )
    llm, service = model(refused, start() + exception("throttlingException", message="slow"), ANSWER)
    assert collect(llm).text == "Hello."
    assert len(service.requests) == 3
    signatures = {each.headers["authorization"] for each in service.requests}
    assert len(signatures) == 1 or len({each.headers["x-amz-date"] for each in service.requests}) > 1


@pytest.mark.parametrize(
    ("status", "fault", "asked"),
    [(400, "request", 1), (403, "key", 1), (404, "model", 1), (424, "service", 4), (500, "service", 4)],
)
def test_refusals(status: int, fault: str, asked: int) -> None:
    said = httpx.Response(status, json={"message": "The model said no"}, headers={"x-amzn-requestid": "req-1"})
    llm, service = model(said)
    with pytest.raises(
        APIStatusError, match=rf"bedrock refused 'amazon.nova.*status {status}, request req-1.*The model said no"
    ) as error:
        collect(llm)
    assert (error.value.fault, len(service.requests)) == (fault, asked)


def damaged(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :]


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, len(ANSWER) - 1))
def test_a_byte_that_changed_is_noticed(at: int) -> None:
    """Every byte is under a sum. (A length that grew makes the answer wait for more, and so break off.)"""
    with pytest.raises(APIError) as error:
        collect(model(damaged(ANSWER, at))[0])
    assert error.value.fault == "answer"


@pytest.mark.parametrize(
    "answer",
    [
        start() + text("Hel"),
        ANSWER[:-1][: len(start() + text("Hel", "lo.")) + 5],
        start() + text("Hel") + frame(b"{not json", event_type="contentBlockDelta", message_type="event"),
        start() + text("Hel") + event("contentBlockDelta", contentBlockIndex=0),
        start() + text("Hel") + frame(b"{}", message_type="event"),
        start() + text("Hel") + stop("malformed_tool_use"),
        start() + delta(3, toolUse={"input": "{"}) + stop("tool_use"),
        b"<html>A gateway, and more than twelve bytes</html>",
        b'data: {"type": "message_start"}\n\n',
        b"",
    ],
)
def test_answers_that_break_off_or_cannot_be_read(answer: bytes) -> None:
    with pytest.raises(APIError) as error:
        collect(model(answer)[0])
    assert error.value.fault == "answer"


@pytest.mark.parametrize("pieces", [('{"city": "Ro',), ("[1]",)])
def test_arguments_that_are_no_object_are_an_error(pieces: tuple[str, ...]) -> None:
    with pytest.raises(APIError, match="arguments of the tool 'get_weather' are no JSON object"):
        collect(model(start() + text("a") + tool_use(*pieces) + stop("tool_use"))[0], tools=[get_weather])
    with pytest.raises(APIError, match=r"broke off at max_output_tokens.*'get_weather'"):
        collect(model(start() + text("a") + tool_use('{"city": "Ro') + stop("max_tokens"))[0], tools=[get_weather])


@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.integers(0, len(LONG)), max_size=40))
def test_any_cut_of_the_bytes_gives_the_same_chunks(cuts: list[int]) -> None:
    whole: list[Any] = chunks(model(LONG)[0], tools=[get_weather])
    llm = BedrockLLM(api_key="a", api_secret="b", transport=Scripted(LONG, cuts=cuts))
    assert chunks(llm, tools=[get_weather]) == whole
