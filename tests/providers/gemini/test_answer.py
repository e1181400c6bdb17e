"""How Gemini's answers read: rows D6, D12, D13, D15 to D17, D30 and section 3D (ends), whatever the cuts of the bytes."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_runtime.errors import APIError, APIStatusError
from agent_runtime.llm import ChatChunk, CompletionUsage, FunctionToolCall
from agent_runtime.providers.gemini.answer import GeminiAnswer, GeminiFraming, finish_reason
from agent_runtime.providers.http.service import Service
from tests.providers.gemini_wire import parts, says, stream
from tests.providers.wires import cut

JSON = dict[str, Any]
SERVICE = Service("gemini", "gemini-2.5-flash")


def read(messages: list[JSON], **options: Any) -> list[ChatChunk]:
    answer = GeminiAnswer(SERVICE, **options)
    chunks = [chunk for each in messages for chunk in answer.feed(json.dumps(each).encode())]
    return [*chunks, *answer.end()]


def extras(chunks: list[ChatChunk]) -> JSON:
    """Of all chunks, the last of each name."""
    return {name: value for chunk in chunks if chunk.delta for name, value in (chunk.delta.extra or {}).items()}


def text(chunks: list[ChatChunk]) -> str:
    return "".join(chunk.delta.content or "" for chunk in chunks if chunk.delta)


def calls(chunks: list[ChatChunk]) -> list[FunctionToolCall]:
    return [call for chunk in chunks if chunk.delta for call in chunk.delta.tool_calls]


def test_text_comes_piece_by_piece_and_the_end_says_why_and_how_much() -> None:
    chunks = read(says("Hel", "lo."))
    assert [chunk.delta.content for chunk in chunks if chunk.delta] == ["Hel", "lo.", None]
    assert {chunk.id for chunk in chunks} == {"r-1"}
    assert extras(chunks) == {"finish_reason": "stop"}
    assert chunks[-1].usage == CompletionUsage(completion_tokens=5, prompt_tokens=10, total_tokens=15)


def test_d6_thoughts_are_not_said_and_are_counted() -> None:
    messages = [
        parts({"text": "Hmm.", "thought": True}, {"text": "Paris."}),
        *says("!", thoughtsTokenCount=20, cachedContentTokenCount=4, toolUsePromptTokenCount=3, totalTokenCount=38),
    ]
    chunks = read(messages)
    assert text(chunks) == "Paris.!"
    assert chunks[0].delta is not None
    assert chunks[0].delta.extra == {"reasoning": "Hmm."}
    assert chunks[-1].usage == CompletionUsage(
        completion_tokens=25, prompt_tokens=13, total_tokens=38, prompt_cached_tokens=4, reasoning_tokens=20
    )


CALL = {"functionCall": {"name": "get_weather", "args": {"city": "Köln"}}}


def test_d13_a_call_is_whole_with_an_id_of_its_own() -> None:
    chunks = read([parts({**CALL, "thoughtSignature": "c2ln"}, CALL, finish="STOP")], taken=["call_1", "call_3"])
    first, second = calls(chunks)
    assert (first.name, first.arguments, first.call_id) == ("get_weather", '{"city": "Köln"}', "call_4")
    assert first.extra == {"google": {"thought_signature": "c2ln"}}
    assert (second.call_id, second.extra) == ("call_5", None)
    assert extras(chunks)["finish_reason"] == "tool_calls"


def test_d13_an_id_that_gemini_gives_is_kept_and_no_arguments_are_an_empty_object() -> None:
    chunks = read([parts({"functionCall": {"name": "now", "id": "abc"}}, finish="STOP")])
    assert calls(chunks) == [FunctionToolCall("now", "{}", "abc")]


def test_one_call_at_a_time_where_that_was_asked_for() -> None:
    assert len(calls(read([parts(CALL, CALL, finish="STOP")], one_call=True))) == 1


def test_d13_signatures_of_texts_are_given_with_them() -> None:
    assert extras(read([parts({"text": "Yes."}), parts({"text": "", "thoughtSignature": "c2ln"}, finish="STOP")])) == {
        "google": {"thought_signature": "c2ln"},
        "finish_reason": "stop",
    }


@pytest.mark.parametrize(
    "call",
    [
        {"name": "f", "args": [1]},
        {"name": "", "args": {}},
        {"args": {}},
        {"name": "f", "partialArgs": [{"jsonPath": "$.a"}], "willContinue": True},
    ],
)
def test_d13_a_call_that_is_none_is_never_given(call: JSON) -> None:
    with pytest.raises(APIError, match="cannot be used") as failed:
        read([parts({"functionCall": call}, finish="STOP")])
    assert failed.value.fault == "answer"


GROUNDING = {
    "webSearchQueries": ["weather"],
    "groundingChunks": [
        {"web": {"uri": "https://a.test", "title": "A"}},
        {"web": {"uri": "https://b.test", "title": "B"}},
    ],
    "groundingSupports": [
        {"segment": {"startIndex": 5, "endIndex": 10, "text": "Köln"}, "groundingChunkIndices": [1, 7]}
    ],
}


def test_d15_sources_are_given_at_the_end_also_when_streaming() -> None:
    chunks = read([parts({"text": "Bei "}), parts({"text": "dir, Köln."}, groundingMetadata=GROUNDING, finish="STOP")])
    assert extras(chunks)["grounding_metadata"] == [GROUNDING]
    cited = {"start_index": 5, "end_index": 10, "url": "https://b.test", "title": "B"}
    assert extras(chunks)["annotations"] == [{"type": "url_citation", "url_citation": cited}]


def test_d15_places_are_counted_in_characters() -> None:
    grounding = {**GROUNDING, "groundingSupports": [{"segment": {"endIndex": 5}, "groundingChunkIndices": [0]}]}
    chunks = read([parts({"text": "Köln ist"}, groundingMetadata=grounding, finish="STOP")])
    assert extras(chunks)["annotations"][0]["url_citation"]["end_index"] == 4


def test_d16_what_was_read_of_the_web_is_given_also_when_streaming() -> None:
    told = {"urlMetadata": [{"retrievedUrl": "https://a.test", "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_SUCCESS"}]}
    chunks = read([parts({"text": "A"}, urlContextMetadata=told), parts({"text": "."}, finish="STOP")])
    assert extras(chunks)["url_context_metadata"][0]["urlMetadata"][0]["retrievedUrl"] == "https://a.test"


def test_d17_code_and_what_came_of_it_are_given_and_not_said() -> None:
    messages = [
        parts({"text": "Let me see. "}, {"executableCode": {"code": "print(2)", "language": "PYTHON"}}),
        parts({"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2\n"}}),
        parts({"text": "Two."}, {"executableCode": {"code": "1/0", "language": "PYTHON"}}, finish="STOP"),
    ]
    chunks = read(messages)
    assert text(chunks) == "Let me see. Two."
    ran = [run for chunk in chunks if chunk.delta for run in (chunk.delta.extra or {}).get("code_execution", ())]
    assert ran == [
        {"code": "print(2)", "language": "PYTHON", "outcome": "OUTCOME_OK", "output": "2\n"},
        {"code": "1/0", "language": "PYTHON", "outcome": "", "output": ""},
    ]


def test_d18_what_googles_tools_did_is_kept_with_the_call() -> None:
    own = [{"toolCall": {"id": "t"}}, {"toolResponse": {"id": "t"}}]
    chunks = read([parts(*own), parts(CALL, finish="STOP")])
    assert calls(chunks)[0].extra == {"google": {"before": own}}


def test_d30_pictures_are_data_uris() -> None:
    chunks = read([parts({"text": "A cat."}, {"inlineData": {"mimeType": "image/png", "data": "e4rr"}}, finish="STOP")])
    assert extras(chunks)["images"] == ["data:image/png;base64,e4rr"]


def test_d4_further_answers_are_given_whole_and_not_said() -> None:
    messages = [parts({"text": "One"}), parts({"text": "Uno"}, index=1), parts({"text": "!"}, index=1, finish="STOP")]
    chunks = read([*messages, parts({"text": "."}, finish="STOP")])
    assert text(chunks) == "One."
    assert extras(chunks)["choices"] == [{"index": 1, "content": "Uno!", "finish_reason": "stop"}]


def test_d4_how_likely_tokens_were() -> None:
    result = {
        "chosenCandidates": [{"token": "Yes", "logProbability": -0.1}],
        "topCandidates": [{"candidates": [{"token": "No", "logProbability": -2.5}]}],
    }
    chunks = read([parts({"text": "Yes"}, logprobsResult=result, finish="STOP")])
    beside = [{"token": "No", "logprob": -2.5}]
    assert extras(chunks)["logprobs"] == [{"token": "Yes", "logprob": -0.1, "top_logprobs": beside}]


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        *((reason, "content_filter") for reason in ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII")),
        *((reason, "content_filter") for reason in ("LANGUAGE", "IMAGE_SAFETY", "IMAGE_RECITATION")),
        ("SOMETHING_NEW", "stop"),
    ],
)
def test_3d_why_an_answer_ended(reason: str, word: str) -> None:
    assert extras(read(says("So", finish=reason)))["finish_reason"] == word
    assert finish_reason(reason, calls=True) == ("tool_calls" if word == "stop" else word)


@pytest.mark.parametrize("reason", ["SAFETY", "PROHIBITED_CONTENT", "IMAGE_SAFETY"])
def test_d12_an_answer_that_was_held_back_is_an_error_that_does_not_pass(reason: str) -> None:
    with pytest.raises(APIError, match=reason) as failed:
        read([parts(finish=reason)])
    assert not failed.value.retryable


def test_d12_a_prompt_that_was_refused_is_an_error_that_does_not_pass() -> None:
    with pytest.raises(APIError, match="BLOCKLIST") as failed:
        read([{"promptFeedback": {"blockReason": "BLOCKLIST"}, "usageMetadata": {"promptTokenCount": 3}}])
    assert not failed.value.retryable


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"])
def test_3d_a_call_that_went_wrong_is_an_error_that_may_pass(reason: str) -> None:
    with pytest.raises(APIError, match=reason) as failed:
        read([parts(finish=reason, finishMessage="print(default_api.f(")])
    assert failed.value.retryable


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([parts({"text": "Hel"})], "without a finish reason"),
        ([], "without a finish reason"),
        ([parts(finish="STOP")], "empty"),
        ([{"candidates": [{"content": {"parts": [1]}}]}], "not as Gemini writes it"),
        ([{"candidates": 3}], "not as Gemini writes it"),
        (["x"], "no JSON object"),
    ],
)
def test_an_answer_that_is_none_is_an_error_that_may_pass(messages: list[Any], said: str) -> None:
    with pytest.raises(APIError, match=said) as failed:
        read(messages)
    assert (failed.value.fault, failed.value.retryable) == ("answer", True)


def test_no_json_is_an_error() -> None:
    with pytest.raises(APIError, match="no JSON"):
        GeminiAnswer(SERVICE).feed(b'{"candidates": [{')


def test_all_tokens_thought_away_says_what_to_do() -> None:
    spent = {**parts(finish="MAX_TOKENS"), "usageMetadata": {"thoughtsTokenCount": 99}}
    with pytest.raises(
        APIError, match=r"thoughts \(99\).*raise max_output_tokens, or lower reasoning_effort"
    ) as failed:
        read([spent])
    assert not failed.value.retryable


def test_an_error_in_the_stream_has_its_own_status_and_time() -> None:
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3s"}
    error = {"code": 429, "message": "Slow down.", "status": "RESOURCE_EXHAUSTED", "details": [detail]}
    with pytest.raises(APIStatusError, match="Slow down") as failed:
        read([parts({"text": "Hel"}), {"error": error}])
    assert (failed.value.status_code, failed.value.retry_after, failed.value.fault) == (429, 3.0, "limit")


# Any cut of the bytes


MESSAGES = [
    parts({"text": "Größe: ", "thought": True}, {"text": "42 \u2028 \r\n data: {"}),
    parts({"functionCall": {"name": "f", "args": {"emoji": "🦆", "quote": '"'}}, "thoughtSignature": "c2ln"}),
    parts({"inlineData": {"mimeType": "image/png", "data": "AAAA"}}, groundingMetadata=GROUNDING),
    *says("Schön", "."),
]
WHOLE = read(MESSAGES)


@pytest.mark.parametrize("document", [False, True])
@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 5000), max_size=12))
def test_any_cut_of_the_bytes_gives_the_same_chunks(document: bool, places: list[int]) -> None:
    data = json.dumps(MESSAGES, ensure_ascii=False).encode() if document else stream(MESSAGES)
    framing, answer = GeminiFraming(), GeminiAnswer(SERVICE)
    chunks: list[ChatChunk] = []
    for piece in cut(data, places):
        for payload in framing.feed(piece):
            chunks += answer.feed(payload)
    for payload in framing.end():
        chunks += answer.feed(payload)
    assert [*chunks, *answer.end()] == WHOLE
