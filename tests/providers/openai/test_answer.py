"""Answers of OpenAI's wire, as services really send them. The rules are those of the reference, section 2C."""

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_runtime.errors import APIError, APIStatusError
from agent_runtime.llm import CompletionUsage
from agent_runtime.providers.http.service import Service
from agent_runtime.providers.http.sse import ServerSentEvents
from agent_runtime.providers.openai.answer import OpenAIAnswer
from tests.providers.openai_wire import (
    DONE,
    HELLO,
    Message,
    called,
    calls_of,
    events,
    extra_of,
    fragment,
    read,
    said,
    text_of,
)

STOP = said(finish="stop")
CALLED = said(finish="tool_calls")


def test_text_and_usage() -> None:
    chunks = read(*HELLO)
    assert text_of(chunks) == "Hello."
    assert extra_of(chunks, "finish_reason") == ["stop"]
    assert chunks[-1].usage == CompletionUsage(2, 5, 7)
    assert chunks[-1].delta is None


def test_rule_1_a_null_delta_empty_choices_and_no_usage_are_passed_over() -> None:
    azure: Message = {"id": "", "choices": [], "prompt_filter_results": [{}]}
    null: Message = {"id": "c1", "choices": [{"index": 0, "delta": None, "finish_reason": None}]}
    chunks = read(azure, null, said(None), said("Hi."), b"", STOP, DONE)
    assert text_of(chunks) == "Hi."
    assert all(chunk.usage is None for chunk in chunks)


def test_rule_1_the_last_of_several_usages_counts() -> None:
    def counted(tokens: int) -> Message:
        return {**said("a"), "usage": {"prompt_tokens": 3, "completion_tokens": tokens}}

    usages = [chunk.usage for chunk in read(counted(1), counted(2), STOP, DONE) if chunk.usage]
    assert usages == [CompletionUsage(2, 3, 5)]


@pytest.mark.parametrize(
    ("usage", "cached", "created", "thought"),
    [
        (
            {
                "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
                "completion_tokens_details": {"reasoning_tokens": 2},
            },
            *(4, 1, 2),
        ),
        ({"prompt_cache_hit_tokens": 4}, 4, 0, 0),
        ({"cache_read_input_tokens": 4, "cache_creation_input_tokens": 3}, 4, 3, 0),
        ({"prompt_tokens_details": None, "completion_tokens_details": None}, 0, 0, 0),
    ],
)
def test_what_was_cached_and_thought_is_counted_under_every_name(
    usage: dict[str, Any], cached: int, created: int, thought: int
) -> None:
    told = {
        "id": "c",
        "service_tier": "flex",
        "choices": [],
        "usage": {"prompt_tokens": 9, "completion_tokens": 5, **usage},
    }
    assert read(said("a"), STOP, told, DONE)[-1].usage == CompletionUsage(5, 9, 14, cached, created, thought, "flex")


# Rule 2: tool calls

WHOLE = [("a", "book", '{"day":"Monday"}'), ("b", "call", '{"number":1}')]


def split_calls() -> list[Message]:
    return [
        called(fragment("", name="book", index=0, id="a", type="function")),
        called(fragment('{"day":', index=0)),
        called(fragment('"Monday"}', index=0)),
        called(fragment("", name="call", index=1, id="b")),
        called(fragment('{"number":1}', index=1)),
    ]


DIALECTS: dict[str, list[Message]] = {
    "as OpenAI does": split_calls(),
    "interleaved": [
        called(fragment("", name="book", index=0, id="a"), fragment("", name="call", index=1, id="b")),
        called(fragment('{"day":', index=0), fragment('{"number"', index=1)),
        called(fragment(":1}", index=1), fragment('"Monday"}', index=0)),
    ],
    "whole, in one message": [
        called(
            fragment('{"day":"Monday"}', name="book", index=0, id="a"),
            fragment('{"number":1}', name="call", index=1, id="b"),
        )
    ],
    "whole, each at index 0": [
        called(fragment('{"day":"Monday"}', name="book", index=0, id="a")),
        called(fragment('{"number":1}', name="call", index=0, id="b")),
    ],
    "without index": [
        called(fragment("", name="book", id="a")),
        called(fragment('{"day":"Monday"}')),
        called(fragment('{"number":', name="call", id="b")),
        called(fragment("1}", id="b")),
    ],
    "name and id repeated": [
        called(fragment('{"day":', name="book", index=0, id="a")),
        called(fragment('"Monday"}', name="book", index=0, id="a")),
        called(fragment('{"number":', name="call", index=1, id="b")),
        called(fragment("1}", name="call", index=1, id="b")),
    ],
    "an id invented for each fragment": [
        called(fragment("", name="book", index=0, id="a")),
        called(fragment('{"day":', index=0, id="x")),
        called(fragment('"Monday"}', name="book", index=0, id="y")),
        called(fragment('{"number":1}', name="call", index=1, id="b")),
    ],
    "arguments as objects": [
        called(fragment({"day": "Monday"}, name="book", index=0, id="a")),
        called(fragment({"number": 1}, name="call", index=1, id="b")),
    ],
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_rule_2_calls_are_put_together(dialect: str) -> None:
    chunks = read(*DIALECTS[dialect], CALLED, DONE)
    assert [(call_id, name, json.loads(told)) for call_id, name, told in calls_of(chunks)] == [
        (call_id, name, json.loads(told)) for call_id, name, told in WHOLE
    ]


@pytest.mark.parametrize("finish", ["tool_calls", "stop", "function_call", "eos"])
def test_rule_2_calls_come_whatever_the_finish_reason(finish: str) -> None:
    chunks = read(*split_calls(), said(finish=finish), DONE)
    assert calls_of(chunks) == WHOLE
    assert extra_of(chunks, "finish_reason") == [finish]


def test_rule_2_calls_come_all_at_once_and_once() -> None:
    answer = read(*split_calls(), CALLED, CALLED, DONE)
    assert [len(chunk.delta.tool_calls) for chunk in answer if chunk.delta and chunk.delta.tool_calls] == [2]


def test_b13_two_calls_of_one_tool_without_ids_are_two() -> None:
    one = fragment('{"day":"Monday"}', name="book", index=0)
    chunks = read(called(one), called(one), CALLED, DONE, first_id=4)
    assert calls_of(chunks) == [("call_4", "book", '{"day":"Monday"}'), ("call_5", "book", '{"day":"Monday"}')]


def test_calls_with_one_id_get_two() -> None:
    chunks = read(
        called(fragment("{}", name="a", index=0, id="call_1"), fragment("{}", name="b", index=1, id="call_1")), CALLED
    )
    assert [call_id for call_id, _, _ in calls_of(chunks)] == ["call_1", "call_2"]


@pytest.mark.parametrize("arguments", ["", "null", " ", None])
def test_a_call_without_arguments_has_none(arguments: str | None) -> None:
    assert calls_of(read(called(fragment(arguments, name="book", index=0, id="a")), CALLED)) == [("a", "book", "{}")]


def test_d14_a_function_call_of_old_is_a_tool_call() -> None:
    pieces = [
        said(function_call={"name": "book", "arguments": '{"day":'}),
        said(function_call={"arguments": '"Monday"}'}),
    ]
    chunks = read(*pieces, said(finish="function_call"), DONE)
    assert calls_of(chunks) == [("call_1", "book", '{"day":"Monday"}')]


@pytest.mark.parametrize("finish", ["tool_calls", "stop", "length", None])
def test_rule_2_truncated_arguments_are_never_delivered(finish: str | None) -> None:
    end: list[Message] = [said(finish=finish)] if finish else []
    with pytest.raises(APIError) as caught:
        read(*split_calls()[:2], *end, DONE)
    assert "'book'" in str(caught.value)
    assert caught.value.retryable is (finish != "length")
    assert ("max_completion_tokens" in str(caught.value)) is (finish == "length")


def test_a_call_without_a_name_is_an_error() -> None:
    with pytest.raises(APIError, match="without a name"):
        read(called(fragment("{}", index=0, id="a")), CALLED, DONE)


# Rules 3 and 4: errors and ends


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ({"error": {"message": "Overloaded", "code": 529}}, 529),
        ({"error": {"message": "Provider returned error", "code": 502}, **said(finish="error")}, 502),
        ({"object": "error", "message": "too long", "code": 400}, 400),
        ({"detail": "Internal error"}, 500),
        ({"error": "something"}, 500),
        ({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "error", "error": {"code": 503}}]}, 503),
    ],
)
def test_rule_3_an_error_in_the_stream_is_an_error(message: Message, status: int) -> None:
    with pytest.raises(APIStatusError) as caught:
        read(said("Hi"), message, DONE)
    assert caught.value.status_code == status


def test_an_error_that_is_null_is_none() -> None:
    assert text_of(read({**said("Hi"), "error": None}, STOP, DONE)) == "Hi"


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ([said("Hi")], "stopped without"),
        ([], "stopped without"),
        ([DONE], "empty"),
        ([said(role="assistant"), DONE], "empty"),
        ([b"{nonsense"], "no JSON"),
        ([b'"text"'], "form of its own"),
        ([b'{"choices": [7]}'], "form of its own"),
        ([b'{"choices": [{"delta": {"tool_calls": ["x"]}}]}'], "form of its own"),
        ([b'{"choices": "x"}'], "form of its own"),
        ([b"\xff\xfe"], "no JSON"),
    ],
)
def test_rule_4_an_answer_that_is_not_whole_is_an_error(messages: list[Message], why: str) -> None:
    with pytest.raises(APIError, match=why) as caught:
        read(*messages)
    assert caught.value.fault == "answer"


@pytest.mark.parametrize("end", [[STOP], [DONE], [STOP, DONE], [said("!", finish="stop")]])
def test_rule_4_a_finish_reason_or_the_mark_is_enough(end: list[Message]) -> None:
    assert text_of(read(said("Hi"), *end)).startswith("Hi")


def test_an_answer_may_be_empty_if_it_says_so() -> None:
    assert text_of(read(STOP, DONE)) == ""


def test_what_comes_behind_the_mark_is_passed_over() -> None:
    assert text_of(read(said("Hi"), DONE, said("no"), b"garbage")) == "Hi"


def test_a_filter_that_leaves_nothing_is_an_error_that_stays() -> None:
    with pytest.raises(APIError, match="content_filter") as caught:
        read(said(finish="content_filter"), DONE)
    assert not caught.value.retryable


def test_a_filter_that_leaves_something_is_a_finish_reason() -> None:
    assert extra_of(read(said("Hi"), said(finish="content_filter"), DONE), "finish_reason") == ["content_filter"]


# Rules 7 and 10, and what stands besides


@pytest.mark.parametrize(
    "messages",
    [
        [said(reasoning_content="Hm."), said("Hi.")],
        [said("", reasoning_content="Hm."), said("Hi.")],
        [said(reasoning="Hm."), said("Hi.")],
        [said(reasoning="Hm.", reasoning_content="Hm."), said("Hi.")],
        [said("<th"), said("ink>Hm.</thi"), said("nk>Hi.")],
        [
            said([{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]),
            said([{"type": "text", "text": "Hi."}]),
        ],
    ],
)
def test_rule_7_what_is_thought_is_not_said(messages: list[Message]) -> None:
    chunks = read(*messages, STOP, DONE)
    assert text_of(chunks) == "Hi."
    assert "".join(extra_of(chunks, "reasoning")) == "Hm."


def test_rule_10_extra_content_is_kept() -> None:
    signature = {"google": {"thought_signature": "s"}}
    text = {**said("Hi"), "choices": [{"index": 0, "delta": {"content": "Hi", "extra_content": signature}}]}
    chunks = read(text, called(fragment("{}", name="book", index=0, id="a", extra_content=signature)), CALLED)
    assert extra_of(chunks, "google") == [{"thought_signature": "s"}]
    assert [call.extra for chunk in chunks if chunk.delta for call in chunk.delta.tool_calls] == [signature]


def test_fields_that_go_back_are_kept_with_the_first_call() -> None:
    messages = [said(reasoning_content="H"), said(reasoning_content="m."), *split_calls(), CALLED, DONE]
    calls = [
        call for chunk in read(*messages, echo=["reasoning_content"]) if chunk.delta for call in chunk.delta.tool_calls
    ]
    assert [call.extra for call in calls] == [{"reasoning_content": "Hm."}, None]


def test_lists_that_go_back_are_joined() -> None:
    details = [{"type": "reasoning.encrypted", "data": "x"}]
    messages = [said(reasoning_details=details), said(reasoning_details=details), *split_calls(), CALLED]
    chunks = read(*messages, echo=["reasoning_details"])
    assert next(chunk.delta.tool_calls[0].extra for chunk in chunks if chunk.delta and chunk.delta.tool_calls) == {
        "reasoning_details": details * 2
    }


def test_citations_are_given_once() -> None:
    message = {**said("Hi"), "citations": ["https://a"], "search_results": [{"title": "A"}]}
    chunks = read(message, message, STOP, DONE)
    assert extra_of(chunks, "citations") == [["https://a"]]
    assert extra_of(chunks, "search_results") == [[{"title": "A"}]]


def test_pictures_annotations_and_refusals() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    chunks = read(said(images=[image]), said(annotations=[{"type": "url_citation"}]), said(refusal="No."), STOP)
    assert extra_of(chunks, "images") == [["data:image/png;base64,AA=="]]
    assert extra_of(chunks, "annotations") == [[{"type": "url_citation"}]]
    assert text_of(chunks) == "No."
    assert extra_of(chunks, "refusal") == ["No."]


def test_b9_other_choices_are_given_at_the_end() -> None:
    def choice(index: int, content: str, finish: str | None = None) -> Message:
        return {"id": "c", "choices": [{"index": index, "delta": {"content": content}, "finish_reason": finish}]}

    chunks = read(choice(0, "a"), choice(1, "x"), choice(1, "y", "length"), choice(0, "b", "stop"), DONE)
    assert text_of(chunks) == "ab"
    assert extra_of(chunks, "choices") == [[{"index": 1, "content": "xy", "finish_reason": "length"}]]


def test_b10_logprobs_are_given() -> None:
    told = {"id": "c", "choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": {"content": [{"token": "a"}]}}]}
    assert extra_of(read(told, STOP), "logprobs") == [[{"token": "a"}]]


@settings(max_examples=60)
@given(st.data())
def test_any_cut_of_the_bytes_gives_the_same_chunks(data: st.DataObject) -> None:
    messages: list[Message] = [
        said("", role="assistant"),
        said("Grüße, <thi"),
        said("nk>日本</think>", reasoning_content="é"),
        *split_calls(),
        CALLED,
        HELLO[-2],
        DONE,
    ]
    length = len(events(messages))
    cuts = data.draw(st.lists(st.integers(0, length), max_size=30))
    assert read(*messages, cuts=cuts) == read(*messages)


KEYS = st.sampled_from(
    "id choices index delta message content tool_calls function name arguments finish_reason error code usage object "
    "prompt_tokens prompt_tokens_details logprobs reasoning reasoning_content images image_url extra_content type text "
    "thinking refusal annotations function_call citations detail service_tier".split()
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 600)
    | st.sampled_from(["", "stop", "error", "tool_calls", "x", "{", "{}"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
CHOICES = st.fixed_dictionaries(
    {},
    optional={"delta": VALUES, "finish_reason": VALUES, "index": VALUES, "logprobs": VALUES},
)
GARBAGE = VALUES | st.fixed_dictionaries({"choices": st.lists(CHOICES, max_size=2)}, optional={"usage": VALUES})


@settings(max_examples=200)
@given(st.lists(GARBAGE, max_size=3))
def test_whatever_json_comes_is_an_answer_or_a_typed_error(messages: list[Any]) -> None:
    try:
        chunks = read(*[json.dumps(message).encode() for message in messages], DONE, echo=["reasoning"])
    except APIError:
        return
    for chunk in chunks:
        assert chunk.usage is not None or chunk.delta is not None
        if chunk.delta is not None:
            assert chunk.delta.content is None or isinstance(chunk.delta.content, str)
            assert all(isinstance(json.loads(call.arguments), object) for call in chunk.delta.tool_calls)


@pytest.mark.parametrize(
    "usage",
    [
        {},
        {"prompt_tokens": 9},
        {"completion_tokens": 9, "total_tokens": 9},
        {"prompt_tokens": math.nan, "completion_tokens": 5},
        {"prompt_tokens": math.inf, "completion_tokens": 5},
        {"prompt_tokens": 9, "completion_tokens": -5},
        {"prompt_tokens": True, "completion_tokens": 5},
        {"prompt_tokens": "9", "completion_tokens": 5},
        {"prompt_tokens": None, "completion_tokens": None, "total_tokens": 14},
    ],
)
def test_a_usage_that_counts_nothing_is_none(usage: dict[str, Any]) -> None:
    assert all(chunk.usage is None for chunk in read(said("a"), STOP, {"choices": [], "usage": usage}, DONE))
    counted: Message = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 5.0}}
    usages = [
        each.usage for each in read(said("a"), STOP, counted, {"choices": [], "usage": usage}, DONE) if each.usage
    ]
    assert usages == [CompletionUsage(5, 9, 14)]


def test_a_detail_that_is_no_count_is_nothing() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": -4}}
    assert read(said("a"), STOP, {"choices": [], "usage": usage}, DONE)[-1].usage == CompletionUsage(5, 9, 14)


@pytest.mark.parametrize("messages", [[DONE], [called(fragment('{"a": 1', name="pay", index=0)), DONE]])
def test_a_mark_does_not_make_a_broken_answer_whole(messages: list[Message]) -> None:
    answer = OpenAIAnswer(Service("openai", "m"))
    *before, mark = ServerSentEvents().feed(events(messages))
    for payload in before:
        answer.feed(payload)
    with pytest.raises(APIError):
        answer.feed(mark)
    assert not answer.whole


def test_a_picture_is_an_answer() -> None:
    chunks = read(said(images=[{"image_url": {"url": "data:image/png;base64,AA=="}}]), DONE)
    assert extra_of(chunks, "images") == [["data:image/png;base64,AA=="]]
