"""Reading what Anthropic's Messages API streams, whole, cut anywhere and broken."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_runtime import clock
from agent_runtime.errors import APIError, APIStatusError
from agent_runtime.providers.anthropic.llm import AnthropicLLM
from tests.providers.anthropic_events import (
    ANSWER,
    THOUGHT,
    block,
    events,
    model,
    start,
    stop,
    text,
    tool_use,
)
from tests.providers.wires import (
    Scripted,
    book,
    chunks,
    collect,
    get_weather,
)

# How an answer reads


def test_c5_chunks() -> None:
    found = chunks(model()[0])
    assert [chunk.delta.content for chunk in found if chunk.delta and chunk.delta.content] == ["Hel", "lo."]
    assert {chunk.id for chunk in found} == {"msg_1"}
    assert found[-2].delta is not None
    assert found[-2].delta.extra == {"finish_reason": "stop"}
    assert found[-1].delta is None
    assert found[-1].usage is not None


def test_row_2_usage_is_the_sum() -> None:
    usage = {"cache_creation_input_tokens": 100, "cache_read_input_tokens": 1000, "service_tier": "standard"}
    found = collect(model(events(start(**usage), *text("a"), *stop(output_tokens=9)))[0]).usage
    assert found is not None
    assert (found.prompt_tokens, found.prompt_cached_tokens, found.cache_creation_tokens) == (1110, 1000, 100)
    assert (found.completion_tokens, found.total_tokens, found.service_tier) == (9, 1119, "standard")


@pytest.mark.parametrize(
    ("reason", "means"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("refusal", "content_filter"),
        ("model_context_window_exceeded", "length"),
        ("something_new", "something_new"),
    ],
)
def test_stop_reasons(reason: str, means: str) -> None:
    assert collect(model(events(start(), *text("a"), *stop(reason)))[0]).extra["finish_reason"] == means


def test_c8_calls_are_whole() -> None:
    pieces = ('{"ci', 'ty": "R', '\\u00f6m"}')
    answer = events(
        start(), *text("One moment."), *tool_use(*pieces), *tool_use("", index=2, name="book"), *stop("tool_use")
    )
    found = chunks(model(answer)[0], tools=[get_weather, book])
    calls = [call for chunk in found if chunk.delta for call in chunk.delta.tool_calls]
    assert [(call.call_id, call.name, json.loads(call.arguments)) for call in calls] == [
        ("toolu_1", "get_weather", {"city": "Röm"}),
        ("toolu_2", "book", {}),
    ]
    assert calls[0].arguments == "".join(pieces)
    assert [chunk.delta.extra for chunk in found if chunk.delta and chunk.delta.extra] == [
        {"finish_reason": "tool_calls"}
    ]


def test_a_call_that_is_long_in_coming_is_waited_for() -> None:
    """Nothing can be given before it is whole, but the answer goes on."""
    answer = events(start(), *tool_use('{"city"', ': "Ro', 'me"}'), *stop("tool_use"))

    async def slowly() -> AsyncIterator[bytes]:
        for part in answer.split(b"\n\n"):
            await clock.sleep(4)
            yield part + b"\n\n"

    llm, _ = model(httpx.Response(200, content=slowly()))
    assert [call.arguments for call in collect(llm, tools=[get_weather]).tool_calls] == ['{"city": "Rome"}']


def test_arguments_that_came_with_the_start_of_the_block() -> None:
    whole = block(0, {"type": "tool_use", "id": "t", "name": "book", "input": {"seats": 2}})
    (call,) = collect(model(events(start(), *whole, *stop("tool_use")))[0], tools=[book]).tool_calls
    assert json.loads(call.arguments) == {"seats": 2}


@pytest.mark.parametrize("pieces", [('{"city": "Ro',), ("[1]",), ('{"city": "Rome"} x',)])
def test_arguments_that_are_no_object_are_an_error(pieces: tuple[str, ...]) -> None:
    answer = events(start(), *text("Well"), *tool_use(*pieces), *stop("tool_use"))
    with pytest.raises(APIError, match="arguments of the tool 'get_weather' are no JSON object") as error:
        collect(model(answer)[0], tools=[get_weather])
    assert error.value.fault == "answer"


@pytest.mark.parametrize("closed", [True, False])
def test_arguments_that_max_tokens_cut_off(closed: bool) -> None:
    cut_off = tool_use('{"city": "Ro')
    answer = events(start(), *(cut_off if closed else cut_off[:-1]), *stop("max_tokens"))
    llm, service = model(answer)
    with pytest.raises(APIError, match=r"broke off at max_tokens.*'get_weather'; raise max_tokens") as error:
        collect(llm, tools=[get_weather])
    assert error.value.fault == "limit"
    assert len(service.requests) == 1


def test_what_the_service_did_itself_is_no_call() -> None:
    search = block(
        0,
        {"type": "server_tool_use", "id": "s", "name": "web_search"},
        {"type": "input_json_delta", "partial_json": "{"},
    )
    results = block(1, {"type": "web_search_tool_result", "content": [{"type": "web_search_result", "url": "u"}]})
    citation = {"type": "web_search_result_location", "url": "https://example.com"}
    said = block(
        2,
        {"type": "text", "text": "It "},
        {"type": "citations_delta", "citation": citation},
        {"type": "text_delta", "text": "rains."},
    )
    found = collect(model(events(start(), *search, *results, *said, *stop()))[0])
    assert (found.text, found.tool_calls, found.extra["citations"]) == ("It rains.", [], [citation])


def test_row_2_thoughts_in_the_text_are_not_said_where_there_are_tools() -> None:
    answer = events(start(), *text("<thin", "king>I should", " look.</think", "ing>\n\nOne moment."), *stop())
    found = collect(model(answer)[0], tools=[get_weather])
    assert (found.text, found.extra["reasoning"]) == ("One moment.", "I should look.")
    assert collect(model(answer)[0]).text.startswith("<thinking>")


# What goes wrong


@pytest.mark.parametrize(
    ("kind", "status", "fault", "retryable"),
    [
        ("overloaded_error", 529, "service", True),
        ("rate_limit_error", 429, "limit", True),
        ("api_error", 500, "service", True),
        ("timeout_error", 504, "service", True),
        ("invalid_request_error", 400, "request", False),
        ("authentication_error", 401, "key", False),
        ("not_found_error", 404, "model", False),
        ("billing_error", 402, "limit", False),
    ],
)
def test_errors_inside_the_stream(kind: str, status: int, fault: str, retryable: bool) -> None:
    failed = {"type": "error", "error": {"type": kind, "message": "Overloaded, sk-ant-secret"}}
    llm, service = model(events(start(), *text("Hel"), failed))
    with pytest.raises(APIStatusError, match="Overloaded") as error:
        collect(llm)
    assert (error.value.status_code, error.value.fault, error.value.retryable) == (status, fault, retryable)
    assert "sk-ant-secret" not in str(error.value)
    assert len(service.requests) == 1, "a piece of the answer was delivered"


def test_overloaded_before_the_first_word_is_asked_again() -> None:
    failed = events(start(), {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    refused = httpx.Response(
        529, json={"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    )
    llm, service = model(failed, refused, ANSWER)
    assert collect(llm).text == "Hello."
    assert len(service.requests) == 3


def test_a_refusal_is_one_sentence() -> None:
    said = {"type": "error", "error": {"type": "not_found_error", "message": "model: claude-9"}, "request_id": "req_1"}
    llm, service = model(httpx.Response(404, json=said, headers={"request-id": "req_1"}), model="claude-9")
    with pytest.raises(APIStatusError, match=r"'claude-9'.*404, request req_1.*model: claude-9.*base URL") as error:
        collect(llm)
    assert (error.value.fault, len(service.requests)) == ("model", 1)


@pytest.mark.parametrize(
    "answer",
    [
        events(start(), *text("Hel")),
        events(start(), *text("Hel")) + b"data: {not json}\n\n",
        events(start(), *text("Hel"), {"type": "content_block_delta", "index": 0}),
        events(
            start(),
            *text("Hel"),
            {"type": "content_block_delta", "index": 9, "delta": {"type": "input_json_delta", "partial_json": "{"}},
        ),
        events(start(), *text("Hel")) + b"data: []\n\n",
        b"<html>A gateway</html>",
        b"",
    ],
)
def test_answers_that_break_off_or_cannot_be_read(answer: bytes) -> None:
    llm, _ = model(answer)
    with pytest.raises(APIError) as error:
        collect(llm)
    assert error.value.fault == "answer"


@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.integers(0, 5000), max_size=30))
def test_any_cut_of_the_bytes_gives_the_same_chunks(cuts: list[int]) -> None:
    answer = events(
        start(),
        *THOUGHT,
        *text("Grüße, ", "Jürgen 🙂", index=1),
        *tool_use('{"city": "Zü', 'rich"}', index=2),
        *stop("tool_use"),
    )
    whole = chunks(model(answer)[0], tools=[get_weather])
    service = Scripted(answer, cuts=cuts)
    assert chunks(AnthropicLLM(api_key="k", transport=service), tools=[get_weather]) == whole
