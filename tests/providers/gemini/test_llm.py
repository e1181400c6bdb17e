"""Gemini's wire: rows D1 to D24, D30, D32 and row 4 of the providers: what is sent, what is refused, what comes."""

import base64
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from pydantic import BaseModel

from agent_runtime import clock, virtual
from agent_runtime.audio.frame import AudioFrame
from agent_runtime.chat import ChatContext, ChatMessage, FunctionCall, FunctionCallOutput
from agent_runtime.content import AudioContent, FileContent, ImageContent
from agent_runtime.errors import APIError, APIStatusError, JSONSchemaValidationError, UsageError
from agent_runtime.llm import CollectedResponse
from agent_runtime.plugins import google
from agent_runtime.providers.gemini.llm import GeminiLLM, content_or_image
from agent_runtime.providers.http.exchange import DEBUG_VARIABLE
from agent_runtime.tools import ProviderTool
from agent_runtime.types import APIConnectOptions
from tests.providers.gemini_wire import SAID, check, gemini, parts, refusal, says, stream, turns
from tests.providers.wires import HELLO, PNG, Scripted, chunks, collect, conversation, get_weather, histories, raw_tool

JSON = dict[str, Any]
PNG_BASE64 = base64.b64encode(PNG).decode()


def sent(
    chat_ctx: ChatContext | None = None, *, model: str = "gemini-2.5-flash", llm: Any = None, **asked: Any
) -> JSON:
    """The body of a request."""
    made, service = gemini(model=model, **(llm or {}))
    collect(made, chat_ctx, **asked)
    return service.body


# Where it goes


def test_d1_a_chat_is_streamed_from_the_models_address() -> None:
    llm, service = gemini()
    assert collect(llm).text == "Hello there."
    request = service.requests[0]
    assert request.method == "POST"
    assert str(request.url) == (
        "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    )
    assert request.headers["x-goog-api-key"] == "key-1234567"
    assert service.body == {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
    assert (llm.label, llm.provider) == ("gemini/gemini-2.5-flash", "gemini")


def test_d1_address_and_version_can_be_others() -> None:
    llm, service = gemini(base_url="http://localhost:4000/", api_version="v1")
    collect(llm)
    assert str(service.requests[0].url).startswith("http://localhost:4000/v1/models/gemini-2.5-flash:")


def test_d1_without_a_stream_it_is_one_document() -> None:
    whole = json.dumps(says("Hello.")[0]).encode()
    llm, service = gemini(whole)
    assert collect(llm, extra_kwargs={"stream": False}).text == "Hello."
    assert service.requests[0].url.path.endswith(":generateContent")


def test_d2_the_key_is_looked_for_in_two_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match=r"set GEMINI_API_KEY .or GOOGLE_API_KEY."):
        GeminiLLM("gemini-2.5-flash")
    for name, key in (("GOOGLE_API_KEY", "key-google"), ("GEMINI_API_KEY", "key-gemini")):
        monkeypatch.setenv(name, key)
        service = Scripted(SAID)
        collect(GeminiLLM(transport=service))
        assert service.requests[0].headers["x-goog-api-key"] == key


def test_d3_completions_are_one_message() -> None:
    llm, service = gemini()

    async def complete() -> CollectedResponse:
        return await llm.complete("Once upon a time", extra_kwargs={"max_tokens": 5}).collect()

    assert virtual.run(complete()).text == "Hello there."
    assert turns(service.body) == [("user", ["Once upon a time"])]
    assert service.body["generationConfig"] == {"maxOutputTokens": 5}


def test_d3_embeddings_of_one_text_and_of_several() -> None:
    one = httpx.Response(200, json={"embedding": {"values": [0.5, 1]}})
    two = httpx.Response(200, json={"embeddings": [{"values": [1]}, {"values": [2]}]})
    llm, service = gemini(one, two)
    assert virtual.run(llm.embed("Hi", dimensions=2)) == [[0.5, 1.0]]
    assert service.requests[0].url.path == "/v1beta/models/gemini-embedding-001:embedContent"
    assert service.body == {
        "model": "models/gemini-embedding-001",
        "content": {"parts": [{"text": "Hi"}]},
        "outputDimensionality": 2,
    }
    assert virtual.run(llm.embed(["a", "b"])) == [[1.0], [2.0]]
    assert [each["content"]["parts"][0]["text"] for each in service.body["requests"]] == ["a", "b"]


def test_d3_an_embedding_that_is_refused_says_so() -> None:
    llm, _ = gemini(refusal(404, "NOT_FOUND", "models/x is not found"))
    with pytest.raises(APIStatusError, match="x is not found"):
        virtual.run(llm.embed("Hi", model="x"))


SEED_MODELS = [
    "gemini-pro",
    "gemini-1.5-pro-latest",
    "gemini-2.0-flash",
    "gemini-2.0-flash-exp",
    "gemini-2.0-flash-lite-preview-02-05",
    "gemini-1.5-pro",
    "gemini-1.5-flash",
    "gemini-pro-vision",
    "gemini-2.5-flash-preview-04-17",
    "a-model-of-next-year",
]


@pytest.mark.parametrize("prefix", ["", "gemini/", "models/", "google/"])
@pytest.mark.parametrize("model", SEED_MODELS)
def test_d24_any_name_goes_as_it_is(model: str, prefix: str) -> None:
    llm, service = gemini(model=prefix + model)
    collect(llm)
    assert service.requests[0].url.path == f"/v1beta/models/{model}:streamGenerateContent"
    assert llm.model == model


def test_d24_tuned_models_have_an_address_of_their_own() -> None:
    llm, service = gemini(model="tunedModels/mine")
    collect(llm)
    assert service.requests[0].url.path == "/v1beta/tunedModels/mine:streamGenerateContent"


@pytest.mark.parametrize("model", ["", "gemini/", "gemini 2.5"])
def test_d24_no_name_is_refused(model: str) -> None:
    with pytest.raises(UsageError, match="names no model"):
        gemini(model=model)


# Parameters


def test_d4_parameters_of_the_constructor_and_of_the_call() -> None:
    body = sent(llm={"temperature": 0.2, "max_output_tokens": 9, "seed": 1}, extra_kwargs={"temperature": 1, "topK": 1})
    assert body["generationConfig"] == {"temperature": 1, "maxOutputTokens": 9, "seed": 1, "topK": 1}


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ({}, {"response_format": {}}),
        ({}, {"extra_kwargs": {"response_format": {}}}),
        ({"extra_kwargs": {"response_format": {}}}, {}),
    ],
)
def test_d8_an_empty_response_format_is_refused(options: dict[str, Any], asked: dict[str, Any]) -> None:
    llm, service = gemini(**options)
    with pytest.raises(UsageError, match=r"^response_format is \{\}, which is no JSON schema; give a pydantic model"):
        collect(llm, **asked)
    assert service.requests == []


def test_d9_an_answer_that_does_not_fit_its_schema_is_an_error_with_the_answer_in_it() -> None:
    schema = {"type": "array", "items": {"type": "string"}}
    wanted = {"type": "json_object", "response_schema": schema, "enforce_validation": True}
    good, _ = gemini(stream(says('["a', '"]')))
    assert collect(good, response_format=wanted).text == '["a"]'
    bad, service = gemini(stream(says('{"a"', ": 1}")))
    with pytest.raises(JSONSchemaValidationError) as failed:
        collect(bad, extra_kwargs={"response_format": wanted})  # as LiteLLM has it, too
    assert failed.value.raw_response == '{"a": 1}'
    assert failed.value.schema == schema
    assert len(service.requests) == 1
    assert service.body["generationConfig"]["responseJsonSchema"] == schema


class Recipe(BaseModel):
    recipe_name: str


def test_d8_a_class_is_a_schema() -> None:
    config = sent(response_format=Recipe)["generationConfig"]
    assert config["responseMimeType"] == "application/json"
    assert config["responseJsonSchema"]["properties"] == {"recipe_name": {"type": "string"}}


def test_d12_safety_settings_are_sent() -> None:
    settings = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]
    assert sent(llm={"safety_settings": settings})["safetySettings"] == settings
    assert sent(extra_kwargs={"safety_settings": settings})["safetySettings"] == settings


def test_d12_an_answer_that_was_blocked_is_not_asked_for_again() -> None:
    llm, service = gemini(stream([parts(finish="SAFETY")]))
    with pytest.raises(APIError, match="SAFETY"):
        collect(llm)
    assert len(service.requests) == 1


# Tools

SEED_TOOL = {
    "type": "function",
    "function": {
        "name": "get_current_weather",
        "description": "Get the current weather in a given location",
        "parameters": {
            "type": "object",
            "properties": {
                "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["location"],
            "additionalProperties": False,
        },
    },
}


def test_d13_tools_as_functions_and_in_openais_form() -> None:
    body = sent(tools=[get_weather, SEED_TOOL])
    declared = {each["name"]: each for each in body["tools"][0]["functionDeclarations"]}
    assert declared["get_weather"]["parameters"]["properties"] == {"city": {"type": "STRING", "description": "where"}}
    seed = declared["get_current_weather"]
    assert seed["description"] == "Get the current weather in a given location"
    assert seed["parameters"]["required"] == ["location"]
    assert "additionalProperties" not in json.dumps(seed)
    assert "toolConfig" not in body


def test_d13_a_tool_without_parameters_has_none() -> None:
    assert sent(tools=[raw_tool("now", {"type": "object", "properties": {}})])["tools"] == [
        {"functionDeclarations": [{"name": "now"}]}
    ]


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        ("auto", {"mode": "AUTO"}),
        ("required", {"mode": "ANY"}),
        ("none", {"mode": "NONE"}),
        (
            {"type": "function", "function": {"name": "get_weather"}},
            {"mode": "ANY", "allowedFunctionNames": ["get_weather"]},
        ),
    ],
)
def test_d13_the_choice_of_a_tool(choice: Any, config: JSON) -> None:
    assert sent(tools=[get_weather], tool_choice=choice)["toolConfig"] == {"functionCallingConfig": config}
    assert "toolConfig" not in sent(tool_choice=choice)


@pytest.mark.parametrize("choice", ["sometimes", {"type": "function", "function": {"name": "unknown"}}, {"type": "x"}])
def test_d13_a_choice_that_is_none_is_refused(choice: Any) -> None:
    with pytest.raises(UsageError, match="tool_choice"):
        sent(tools=[get_weather], tool_choice=choice)


def test_d13_a_call_and_its_signature_go_round() -> None:
    call = {"functionCall": {"name": "get_weather", "args": {"city": "Rome"}}, "thoughtSignature": "c2ln"}
    llm, service = gemini(stream([parts(call, finish="STOP")]), SAID, model="gemini-3-flash-preview")
    made = collect(llm, tools=[get_weather]).tool_calls[0]
    assert (made.name, json.loads(made.arguments)) == ("get_weather", {"city": "Rome"})

    again, service = gemini(model="gemini-3-flash-preview")
    item = FunctionCall(call_id=made.call_id, name=made.name, arguments=made.arguments, extra=made.extra or {})
    output = FunctionCallOutput(call_id=made.call_id, output="sunny", is_error=False)
    collect(again, conversation(*HELLO, item, output), tools=[get_weather])
    assert service.body["contents"][1]["parts"] == [
        {**call, "functionCall": {**call["functionCall"], "id": made.call_id}},  # type: ignore[dict-item]
    ]


def test_d14_functions_of_old() -> None:
    body = sent(extra_kwargs={"functions": [SEED_TOOL["function"]], "function_call": {"name": "get_current_weather"}})
    assert body["tools"][0]["functionDeclarations"][0]["name"] == "get_current_weather"
    assert body["toolConfig"]["functionCallingConfig"]["allowedFunctionNames"] == ["get_current_weather"]


@pytest.mark.parametrize(
    ("row", "tool"),
    [
        ("D15", {"googleSearch": {}}),
        ("D15", {"google_search": {}}),
        ("D15", google.tools.GoogleSearch()),
        ("D16", {"urlContext": {}}),
        ("D16", google.tools.URLContext()),
        ("D17", {"codeExecution": {}}),
        ("D17", google.tools.CodeExecution()),
        ("D17", google.tools.ToolCodeExecution()),
    ],
)
def test_d15_d16_d17_tools_that_google_runs(row: str, tool: Any) -> None:
    name = {"D15": "googleSearch", "D16": "urlContext", "D17": "codeExecution"}[row]
    assert sent(tools=[tool])["tools"] == [{name: {}}]
    assert sent(extra_kwargs={"tools": [tool]})["tools"] == [{name: {}}]
    assert sent(llm={"gemini_tools": [tool]})["tools"] == [{name: {}}]


def test_d15_the_options_of_a_tool_are_spelled_as_gemini_spells_them() -> None:
    assert sent(tools=[google.tools.GoogleSearch(exclude_domains=["a.test"])])["tools"] == [
        {"googleSearch": {"excludeDomains": ["a.test"]}}
    ]


def test_d18_only_the_third_generation_takes_functions_and_googles_tools(caplog: pytest.LogCaptureFixture) -> None:
    both = [get_weather, google.tools.GoogleSearch()]
    with caplog.at_level(logging.WARNING):
        tools = sent(tools=both)["tools"]
    assert [next(iter(tool)) for tool in tools] == ["functionDeclarations"]
    assert "googleSearch, which is left out" in caplog.text

    body = sent(model="gemini-3-flash-preview", tools=both)
    assert [next(iter(tool)) for tool in body["tools"]] == ["functionDeclarations", "googleSearch"]
    assert body["toolConfig"] == {"includeServerSideToolInvocations": True}


@pytest.mark.parametrize(
    ("tool", "said"),
    [
        (ProviderTool("openai", "web_search"), "is run by openai"),
        ({"type": "function", "function": {"name": ""}}, "has no name"),
        ({"type": "web_search"}, "of no form that Gemini takes"),
        ("search", "is no tool"),
        (raw_tool("f", {"type": "object", "properties": {"a": {"type": "object"}}}), "The tool 'f' cannot be told"),
    ],
)
def test_d13_what_is_no_tool_is_refused(tool: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        sent(tools=[tool])


# Pictures and files


def part_of(*content: Any, **llm: Any) -> JSON:
    body = sent(ChatContext([ChatMessage(role="user", content=list(content))]), llm=llm)
    part: JSON = body["contents"][0]["parts"][-1]
    return part


@pytest.mark.parametrize("form", ["object", "seed"])
def test_d19_a_picture_by_its_address_is_fetched_once_and_sent_inline(form: str) -> None:
    url = "https://93.184.215.14/cat"
    picture: Any = ImageContent(url) if form == "object" else {"type": "image_url", "image_url": {"url": url}}
    chat_ctx = ChatContext([ChatMessage(role="user", content=["What?", picture])])
    image = httpx.Response(200, content=PNG, headers={"content-type": "image/png"})
    llm, service = gemini(image, SAID)

    async def ask_twice() -> None:
        for _ in range(2):
            await llm.chat(chat_ctx=chat_ctx).collect()

    virtual.run(ask_twice())
    assert [request.method for request in service.requests] == ["GET", "POST", "POST"]
    assert service.body["contents"][0]["parts"][1] == {"inlineData": {"mimeType": "image/png", "data": PNG_BASE64}}


def test_d19_or_its_address_is_sent() -> None:
    assert part_of(ImageContent("https://storage.test/cat.png"), url_mode="uri") == {
        "fileData": {"fileUri": "https://storage.test/cat.png", "mimeType": "image/png"}
    }
    assert part_of(ImageContent("https://storage.test/cat"), url_mode="uri")["fileData"]["mimeType"] == "image/jpeg"
    with pytest.raises(UsageError, match="url_mode is 'link'"):
        gemini(url_mode="link")


def test_d19_an_address_of_this_machine_is_refused() -> None:
    with pytest.raises(UsageError, match=r"127\.0\.0\.1"):
        part_of(ImageContent("http://127.0.0.1/secret.png"))


@pytest.mark.parametrize("form", ["object", "seed"])
def test_d20_a_picture_in_local_storage(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "localimage.png").write_bytes(PNG)
    monkeypatch.chdir(tmp_path)
    path = "./localimage.png"
    part = ImageContent(path) if form == "object" else {"type": "image_url", "image_url": {"url": path}}
    assert part_of(part) == {"inlineData": {"mimeType": "image/png", "data": PNG_BASE64}}


def test_d20_a_picture_that_is_not_there_is_an_error_before_anything_is_sent() -> None:
    llm, service = gemini()
    with pytest.raises(UsageError, match="is not there"):
        collect(llm, ChatContext([ChatMessage(role="user", content=[ImageContent("./no.png")])]))
    assert not service.requests


def test_d20_a_path_in_a_text_is_a_text(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    assert part_of(str(tmp_path / "a.png")) == {"text": str(tmp_path / "a.png")}


def test_d21_files_inline() -> None:
    data = {"type": "file", "file": {"file_data": "data:audio/mp3;base64,SUQzBA=="}}
    assert part_of(data)["inlineData"]["data"] == "SUQzBA=="
    assert part_of(FileContent(data=b"%PDF-1.7"))["inlineData"]["mimeType"] == "application/pdf"
    sound = AudioContent([AudioFrame(bytes(960), 24_000)])
    assert part_of(sound)["inlineData"]["mimeType"] == "audio/wav"


@pytest.mark.parametrize(
    ("row", "uri", "told", "mime_type"),
    [
        ("D22", "https://storage.test/doc", "application/pdf", "application/pdf"),
        ("D22", "https://storage.test/doc.pdf?x=1", None, "application/pdf"),
        ("D22", "https://storage.test/doc", None, None),
        ("D23", "gs://bucket/movie.mp4", None, "video/mp4"),
        ("D23", "gs://bucket/movie", "video/mp4", "video/mp4"),
    ],
)
def test_d22_d23_files_by_their_address(row: str, uri: str, told: str | None, mime_type: str | None) -> None:
    seed = {"type": "file", "file": {"file_id": uri, **({"format": told} if told else {})}}
    wanted = {"fileData": {"fileUri": uri, **({"mimeType": mime_type} if mime_type else {})}}
    assert part_of(seed) == wanted
    assert part_of(FileContent(uri=uri, mime_type=told)) == wanted


@pytest.mark.parametrize(("detail", "resolution"), [("low", "LOW"), ("high", "HIGH")])
def test_d19_how_closely_to_look_is_a_resolution(detail: Any, resolution: str) -> None:
    picture = ImageContent(PNG, inference_detail=detail)
    body = sent(ChatContext([ChatMessage(role="user", content=[picture])]))
    assert body["generationConfig"]["mediaResolution"] == f"MEDIA_RESOLUTION_{resolution}"


def test_a_part_in_geminis_own_words_goes_as_it_is_and_an_unknown_one_is_refused() -> None:
    own = {"fileData": {"fileUri": "https://youtu.be/x"}, "videoMetadata": {"fps": 1}}
    assert part_of(own) == own
    with pytest.raises(UsageError, match="type 'hologram'"):
        part_of({"type": "hologram"})


def test_d30_a_picture_comes_as_a_data_uri() -> None:
    drawn = parts({"text": "Here."}, {"inlineData": {"mimeType": "image/png", "data": "e4rr"}}, finish="STOP")
    llm, service = gemini(stream([drawn]), model="gemini-2.0-flash-exp-image-generation")
    answer = collect(llm, modalities=["image", "text"])
    assert service.body["generationConfig"] == {"responseModalities": ["IMAGE", "TEXT"]}
    assert answer.extra["images"] == ["data:image/png;base64,e4rr"]
    assert content_or_image(answer) == "data:image/png;base64,e4rr"
    assert content_or_image(CollectedResponse("Text alone")) == "Text alone"


# Failures


def test_4_a_wrong_key_is_the_keys_fault_though_google_says_400() -> None:
    reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
    llm, service = gemini(refusal(400, "INVALID_ARGUMENT", "API key not valid: key-1234567.", reason))
    with pytest.raises(APIStatusError, match="Check the key in GEMINI_API_KEY") as failed:
        collect(llm)
    assert (failed.value.fault, failed.value.status_code) == ("key", 400)
    assert "key-1234567" not in f"{failed.value} {failed.value.body}"
    assert len(service.requests) == 1


def test_4_the_delay_that_google_asks_for_is_kept() -> None:
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3s"}
    llm, service = gemini(refusal(429, "RESOURCE_EXHAUSTED", "Quota.", detail), SAID)

    async def ask() -> float:
        begun = clock.now()
        await llm.chat(chat_ctx=conversation(*HELLO)).collect()
        return clock.now() - begun

    assert virtual.run(ask()) == pytest.approx(3.0)
    assert len(service.requests) == 2


def test_4_a_refusal_of_a_stream_is_a_list_of_one() -> None:
    body = [{"error": {"code": 404, "message": "models/gemini-9 is not found", "status": "NOT_FOUND"}}]
    llm, _ = gemini(httpx.Response(404, json=body))
    with pytest.raises(APIStatusError, match="gemini-9 is not found") as failed:
        collect(llm)
    assert failed.value.fault == "model"


def test_4_a_call_that_went_wrong_is_asked_for_again() -> None:
    llm, service = gemini(stream([parts(finish="MALFORMED_FUNCTION_CALL")]), SAID)
    assert collect(llm).text == "Hello there."
    assert len(service.requests) == 2


def test_an_answer_cut_off_in_a_call_runs_no_tool() -> None:
    whole = stream([parts({"functionCall": {"name": "get_weather", "args": {"city": "Rome"}}}, finish="STOP")])
    llm, _ = gemini(whole[: len(whole) - 60])
    with pytest.raises(APIError) as failed:
        collect(llm, tools=[get_weather], conn_options=APIConnectOptions(max_retry=0))
    assert failed.value.fault == "answer"


def test_d32_the_raw_calls_can_be_seen_without_the_key(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DEBUG_VARIABLE, "1")
    llm, _ = gemini()
    with caplog.at_level(logging.WARNING, logger="agent_runtime.llm"):
        collect(llm, conversation(("user", "My key is key-1234567")))
    assert '-> gemini/gemini-2.5-flash {"contents"' in caplog.text
    assert '<- gemini/gemini-2.5-flash {"candidates"' in caplog.text
    assert "key-1234567" not in caplog.text


def test_reasoning_models_have_longer() -> None:
    assert gemini()[0].first_token_timeout == 10
    assert gemini(reasoning_effort="high")[0].first_token_timeout == 60
    assert gemini(model="gemini-2.5-pro")[0].first_token_timeout == 60
    assert gemini(model="gemini-2.5-pro", reasoning_effort="disable")[0].first_token_timeout == 10
    assert gemini(model="gemini-2.5-pro", conn_options=APIConnectOptions())[0].first_token_timeout == 10


def test_one_tool_at_a_time() -> None:
    call = {"functionCall": {"name": "get_weather", "args": {"city": "Rome"}}}
    for asked in ({"parallel_tool_calls": False}, {"extra_kwargs": {"parallel_tool_calls": False}}):
        llm, _ = gemini(stream([parts(call, call, finish="STOP")]))
        assert len(collect(llm, tools=[get_weather], **asked).tool_calls) == 1


def test_headers_and_body_can_be_added_to() -> None:
    llm, service = gemini(extra_kwargs={"extra_headers": {"X-Team": "voice"}, "extra_body": {"labels": {"a": "b"}}})
    collect(llm)
    assert service.requests[0].headers["x-team"] == "voice"
    assert service.body["labels"] == {"a": "b"}


@settings(max_examples=60, deadline=None)
@given(histories)
def test_any_history_makes_a_request_that_gemini_accepts(chat_ctx: ChatContext) -> None:
    check(sent(chat_ctx, model="gemini-3-flash-preview", tools=[get_weather]), signed=True)


def test_the_seeds_standalone_use() -> None:
    llm, _ = gemini()
    said = [chunk.delta.content for chunk in chunks(llm) if chunk.delta and chunk.delta.content]
    assert said == ["Hello ", "there."]


def test_an_answer_is_over_when_it_says_why_it_ended_though_the_connection_stays_open() -> None:
    class Open(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield SAID
            await clock.sleep(1000)

    llm, _ = gemini(httpx.Response(200, stream=Open()))

    async def ask() -> tuple[str, float]:
        begun = clock.now()
        answer = await llm.chat(chat_ctx=conversation(*HELLO)).collect()
        await llm.aclose()
        return answer.text, clock.now() - begun

    said, seconds = virtual.run(ask())
    assert said == "Hello there."
    assert seconds <= 1.0


# The key


def test_a_key_that_was_copied_with_its_line_end_is_sent_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "AIzaSECRET12345\n")
    llm, service = gemini(api_key=None)
    collect(llm)
    assert service.requests[0].headers["x-goog-api-key"] == "AIzaSECRET12345"
    assert llm.service.secrets == ["AIzaSECRET12345"]


@pytest.mark.parametrize("key", ["AIzaSECRET\n12345", "AIzaSECRET\u00e912345"])
def test_a_key_that_no_header_carries_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(UsageError, match=r"^Gemini's key \(GEMINI_API_KEY or GOOGLE_API_KEY or api_key") as caught:
        gemini(api_key=key)
    assert "SECRET" not in str(caught.value)


def test_an_embedding_whose_request_cannot_be_sent_says_so_at_once() -> None:
    class Refused(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            raise httpx.LocalProtocolError("Illegal header value b'other-SECRET'")

    async def main() -> None:
        llm = GeminiLLM("gemini-embedding-001", api_key="key-1234567", transport=Refused())
        with pytest.raises(UsageError, match="cannot be sent") as caught:
            await llm.embed(["Hello"])
        assert "SECRET" not in str(caught.value)
        await llm.aclose()

    virtual.run(main())


def test_an_embedding_that_is_led_elsewhere_says_where() -> None:
    async def main() -> None:
        led = httpx.Response(302, headers={"location": "https://elsewhere.test/"})
        llm = GeminiLLM("gemini-embedding-001", api_key="key-1234567", transport=Scripted(led))
        with pytest.raises(APIStatusError, match=r"to https://elsewhere\.test/ \(status 302\)") as caught:
            await llm.embed(["Hello"])
        assert caught.value.fault == "request"
        await llm.aclose()

    virtual.run(main())
