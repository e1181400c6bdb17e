"""Anthropic's Messages API: what is sent, what is refused before, how an answer reads. Row 2 of the providers, C5, C6, C8."""

import json
from typing import Any, TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_runtime.audio.frame import AudioFrame
from agent_runtime.chat import ChatContext, ChatMessage, FunctionCall, FunctionCallOutput
from agent_runtime.content import AudioContent, FileContent, ImageContent, TextContent
from agent_runtime.errors import JSONSchemaValidationError, UsageError
from agent_runtime.plugins import anthropic
from agent_runtime.providers.anthropic.llm import AnthropicLLM
from agent_runtime.tools import ProviderTool
from tests.providers.anthropic_events import (
    ANSWER,
    OLD,
    REDACTED,
    THOUGHT,
    body,
    events,
    model,
    start,
    stop,
    text,
    tool_use,
)
from tests.providers.wires import (
    PNG,
    book,
    called,
    collect,
    conversation,
    get_weather,
    histories,
    raw_tool,
)

# What is sent


def test_row_2_request() -> None:
    llm, service = model()
    collect(llm, conversation(("system", "Be brief."), ("user", "Hello")))
    request = service.requests[0]
    assert (request.method, str(request.url)) == ("POST", "https://api.anthropic.com/v1/messages")
    sent = {name: request.headers[name] for name in ("x-api-key", "anthropic-version", "content-type")}
    assert sent == {
        "x-api-key": "sk-ant-secret",
        "anthropic-version": "2023-06-01",
        "content-type": "application/json",
    }
    assert "authorization" not in request.headers
    assert request.content == (
        b'{"model":"claude-sonnet-4-6","max_tokens":1024,'
        b'"messages":[{"role":"user","content":[{"type":"text","text":"Hello"}]}],"stream":true,'
        b'"system":[{"type":"text","text":"Be brief."}]}'
    )


def test_parameters_of_the_constructor_and_of_the_call() -> None:
    """A2, A8: any name passes through; the call counts before the constructor; other services' names are understood."""
    options = {"temperature": 0.2, "top_p": 0.9, "top_k": 5, "max_tokens": 100, "stop": "END", "user": "u1"}
    sent = body(options={**options, "extra_kwargs": {"service_tier": "auto", "new_thing": 1}})
    assert {
        key: sent[key] for key in ("temperature", "top_p", "top_k", "max_tokens", "stop_sequences", "metadata")
    } == {
        "temperature": 0.2,
        "top_p": 0.9,
        "top_k": 5,
        "max_tokens": 100,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u1"},
    }
    assert (sent["service_tier"], sent["new_thing"]) == ("auto", 1)
    sent = body(options=options, extra_kwargs={"max_completion_tokens": 7, "stop": ["A", "B"], "temperature": 1})
    assert (sent["max_tokens"], sent["stop_sequences"], sent["temperature"]) == (7, ["A", "B"], 1)
    assert "max_completion_tokens" not in sent


def test_extra_headers_body_and_query() -> None:
    llm, service = model()
    headers = {"anthropic-beta": "a", "Anthropic-Version": "2030-01-01"}
    extra = {"extra_headers": headers, "extra_body": {"x": 1}, "extra_query": {"beta": "true"}}
    collect(llm, extra_kwargs=extra)
    request = service.requests[0]
    assert (request.headers["anthropic-beta"], request.headers["anthropic-version"]) == ("a", "2030-01-01")
    assert request.url.query == b"beta=true"
    assert service.body["x"] == 1
    assert not set(service.body) & set(extra)


@pytest.mark.parametrize(
    "base", ["http://127.0.0.1:8080", "http://127.0.0.1:8080/v1/", "http://127.0.0.1:8080/v1/messages"]
)
def test_a_server_of_ones_own_needs_no_key(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    llm, service = model(api_key=None, base_url=base, model="any/name:1")
    collect(llm)
    assert str(service.requests[0].url) == "http://127.0.0.1:8080/v1/messages"
    assert "x-api-key" not in service.requests[0].headers
    assert service.body["model"] == "any/name:1"
    assert llm.prewarm_url == "http://127.0.0.1:8080/v1/models"


def test_the_key_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-of-the-environment")
    llm, service = model(api_key=None)
    collect(llm)
    assert service.requests[0].headers["x-api-key"] == "sk-of-the-environment"
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    with pytest.raises(UsageError, match=r"ANTHROPIC_API_KEY.*local/rules"):
        AnthropicLLM()


# History


def test_row_2_the_first_message_is_the_users() -> None:
    said = body(conversation(("assistant", "Hi, this is Ann."), ("user", "Hello")))["messages"]
    assert [message["role"] for message in said] == ["user", "assistant", "user"]
    assert said[0]["content"] == [{"type": "text", "text": "(empty)"}]
    assert body(conversation(("system", "Greet the caller.")))["messages"] == said[:1]


@pytest.mark.parametrize(
    ("name", "last"),
    [("claude-sonnet-4-6", "user"), ("claude-opus-5", "user"), ("unknown", "user"), (OLD, "assistant")],
)
def test_row_2_new_models_refuse_a_beginning(name: str, last: str) -> None:
    said = body(conversation(("user", "Hello"), ("assistant", "I am ")), options={"model": name})["messages"]
    assert said[-1]["role"] == last
    expected = "." if last == "user" else "I am"  # the service refuses one that ends in a space
    assert said[-1]["content"] == [{"type": "text", "text": expected}]


def test_prefill_can_be_said() -> None:
    said = body(conversation(("user", "a"), ("assistant", "b")), options={"model": "mine", "prefill": True})["messages"]
    assert said[-1]["role"] == "assistant"


def test_instructions_stand_apart_and_later_ones_keep_their_place() -> None:
    sent = body(
        conversation(
            ("system", "You are Ann."),
            ("developer", "Be brief."),
            ("user", "Hello"),
            ("assistant", "Hi."),
            ("system", "Say goodbye now."),
        )
    )
    assert [each["text"] for each in sent["system"]] == ["You are Ann.", "Be brief."]
    assert sent["messages"][-1] == {
        "role": "user",
        "content": [{"type": "text", "text": "<instructions>\nSay goodbye now.\n</instructions>"}],
    }


def test_c8_results_stand_behind_their_calls() -> None:
    call, result = called("c1", "get_weather", '{"city": "Rome"}', "sunny")
    other, failed = called("c2", "book", '{"seats": 2}', "none left", is_error=True)
    unanswered = FunctionCall(call_id="c3", name="book", arguments="{}")
    ctx = conversation(
        ("user", "Weather?"), call, other, ("user", "hurry"), result, failed, unanswered, ("user", "well?")
    )
    said = body(ctx, tools=[get_weather, book])["messages"]
    assert said == [
        {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "c1", "name": "get_weather", "input": {"city": "Rome"}},
                {"type": "tool_use", "id": "c2", "name": "book", "input": {"seats": 2}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": "sunny"},
                {"type": "tool_result", "tool_use_id": "c2", "content": "none left", "is_error": True},
                {"type": "text", "text": "hurry"},
                {"type": "text", "text": "well?"},
            ],
        },
    ]


def check(sent: dict[str, Any]) -> None:
    """The service's own rules of a request."""
    names = [tool["name"] for tool in sent.get("tools", ())]
    assert len(names) == len(set(names))
    assert sent["max_tokens"] >= 1
    said = sent["messages"]
    assert [message["role"] for message in said] == [("user", "assistant")[at % 2] for at in range(len(said))]
    assert said[-1]["role"] == "user"
    ids: list[str] = []
    waiting: list[str] = []
    for message in said:
        blocks = message["content"]
        assert blocks
        kinds = [each["type"] for each in blocks]
        results = [each["tool_use_id"] for each in blocks if each["type"] == "tool_result"]
        assert kinds[: len(results)] == ["tool_result"] * len(results), "results come first"
        assert sorted(results) == sorted(waiting), "every call has its result in the next message, and nothing else"
        waiting = [each["id"] for each in blocks if each["type"] == "tool_use"]
        ids += waiting
        for each in blocks:
            assert each["type"] != "text" or each["text"].strip(), "no text is blank"
            if each["type"] == "tool_use":
                assert isinstance(each["input"], dict)
                assert 1 <= len(each["name"]) <= 64
                assert sent.get("tools"), "calls stand only where there are tools"
    assert not waiting
    assert len(ids) == len(set(ids))
    assert all(
        each and set(each) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") for each in ids
    )
    assert all(each["text"].strip() for each in sent.get("system", ()))
    marked = [each for each in everything(sent) if "cache_control" in each]
    assert len(marked) <= 4
    assert all(each["type"] not in ("thinking", "redacted_thinking") for each in marked if "type" in each)


def everything(sent: dict[str, Any]) -> list[dict[str, Any]]:
    blocks = [each for message in sent["messages"] for each in message["content"]]
    return [*sent.get("system", ()), *sent.get("tools", ()), *blocks]


@settings(max_examples=150, deadline=None)
@given(
    chat_ctx=histories, with_tools=st.booleans(), caching=st.booleans(), choice=st.sampled_from([None, "auto", "none"])
)
def test_any_history_gives_a_request_that_is_taken(
    chat_ctx: ChatContext, with_tools: bool, caching: bool, choice: Any
) -> None:
    tools = [get_weather] if with_tools else []
    check(body(chat_ctx, tools=tools, tool_choice=choice, options={"caching": "ephemeral" if caching else None}))


# Tools


@pytest.mark.parametrize(
    ("choice", "parallel", "sent"),
    [
        (None, None, None),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("auto", None, {"type": "auto"}),
        ("required", None, {"type": "any"}),
        ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
        ("none", False, {"type": "none"}),
        ({"type": "function", "function": {"name": "book"}}, None, {"type": "tool", "name": "book"}),
    ],
)
def test_row_2_tool_choice(choice: Any, parallel: bool | None, sent: Any) -> None:
    request = body(tools=[get_weather, book], tool_choice=choice, parallel_tool_calls=parallel)
    assert request.get("tool_choice") == sent
    assert "parallel_tool_calls" not in request
    assert len(request["tools"]) == 2


def test_b13_b14_nothing_of_tools_without_tools() -> None:
    request = body(tool_choice="required", parallel_tool_calls=False)
    assert not {"tools", "tool_choice"} & set(request)


def test_b14_the_call_counts_before_the_constructor() -> None:
    options = {"tool_choice": "required", "parallel_tool_calls": False}
    assert body(tools=[book], options=options)["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
    assert body(tools=[book], options=options, tool_choice="auto", parallel_tool_calls=True)["tool_choice"] == {
        "type": "auto"
    }


def test_c8_tools() -> None:
    tools = body(tools=[get_weather, ProviderTool("anthropic", "web_search_20250305", {"max_uses": 2})])["tools"]
    assert tools[0]["name"] == "get_weather"
    assert tools[0]["description"] == "Look up the weather."
    schema = tools[0]["input_schema"]
    assert (schema["type"], schema["required"], schema["properties"]["city"]["type"]) == ("object", ["city"], "string")
    assert tools[1] == {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}
    strict = body(tools=[book], options={"strict_tools": True})["tools"][0]
    assert strict["strict"] is True
    assert strict["input_schema"]["additionalProperties"] is False
    assert strict["input_schema"]["required"] == ["seats", "name"]


def test_a_history_of_calls_without_tools_names_them() -> None:
    ctx = conversation(("user", "a"), *called("c1", "get_weather", "{}", "sunny"), ("user", "thanks"))
    request = body(ctx)
    assert request["tools"] == [{"name": "get_weather", "input_schema": {"type": "object"}}]
    assert request["tool_choice"] == {"type": "none"}


# Cache


def test_row_2_four_places_for_the_cache() -> None:
    ctx = conversation(
        ("system", "One."),
        ("system", "Two."),
        ("user", "a"),
        ("assistant", "b"),
        ("user", "c"),
        ("assistant", "d"),
        ("user", "e"),
    )
    request = body(ctx, tools=[get_weather, book], options={"caching": "ephemeral"})
    mark = {"type": "ephemeral"}
    assert [each.get("cache_control") for each in request["system"]] == [None, mark]
    assert [each.get("cache_control") for each in request["tools"]] == [None, mark]
    assert [message["content"][0].get("cache_control") for message in request["messages"]] == [
        None,
        None,
        mark,
        mark,
        None,
    ]
    assert not any("cache_control" in each for each in everything(body(ctx, tools=[book])))


def test_marks_of_the_application_count_too() -> None:
    own = {"type": "ephemeral", "ttl": "1h"}
    parts: list[Any] = [TextContent(str(number), own) for number in range(3)]
    ctx = ChatContext([ChatMessage(role="system", content=["a"]), ChatMessage(role="user", content=parts)])
    request = body(ctx, tools=[book], options={"caching": "ephemeral"})
    assert [each.get("cache_control") for each in request["messages"][0]["content"]] == [own] * 3
    assert sum("cache_control" in each for each in everything(request)) == 4
    assert "cache_control" in request["system"][0]


# Thinking


@pytest.mark.parametrize(
    ("name", "effort", "thinking", "config", "most"),
    [
        (OLD, "low", {"type": "enabled", "budget_tokens": 1024}, None, 2048),
        (OLD, "medium", {"type": "enabled", "budget_tokens": 2048}, None, 3072),
        (OLD, "high", {"type": "enabled", "budget_tokens": 4096}, None, 5120),
        (OLD, "none", {"type": "disabled"}, None, 1024),
        ("claude-sonnet-4-6", "minimal", {"type": "adaptive"}, {"effort": "low"}, 1024),
        ("claude-sonnet-4-6", "high", {"type": "adaptive"}, {"effort": "high"}, 1024),
        ("claude-opus-5", "max", {"type": "adaptive"}, {"effort": "max"}, 1024),
        ("claude-sonnet-4-6", "disable", {"type": "disabled"}, None, 1024),
    ],
)
def test_a10_d5_reasoning_effort(name: str, effort: str, thinking: Any, config: Any, most: int) -> None:
    request = body(options={"model": name}, extra_kwargs={"reasoning_effort": effort})
    assert request["thinking"] == thinking
    assert request.get("output_config") == config
    assert request["max_tokens"] == most
    assert "reasoning_effort" not in request


def test_d7_thinking_in_the_services_own_words() -> None:
    thinking = {"type": "enabled", "budget_tokens": 2000}
    request = body(options={"model": OLD, "thinking": thinking, "max_tokens": 3000})
    assert (request["thinking"], request["max_tokens"]) == (thinking, 3000)
    assert AnthropicLLM(OLD, api_key="k", thinking=thinking).first_token_timeout == 60
    assert AnthropicLLM(OLD, api_key="k").first_token_timeout == 10


def test_thoughts_go_back_with_the_calls_that_they_led_to() -> None:
    """Signed and redacted blocks stand first in the assistant's turn of the next request, as they came."""
    answer = events(start(), *THOUGHT, *REDACTED, *tool_use('{"city": "Rome"}', index=2), *stop("tool_use"))
    options = {"model": OLD, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    llm, _ = model(answer, ANSWER, **options)
    first = collect(llm, tools=[get_weather])
    assert first.extra["reasoning"] == "Hm, Rome."
    assert first.text == ""
    (call,) = first.tool_calls
    kept = FunctionCall(call_id=call.call_id, name=call.name, arguments=call.arguments, extra=call.extra or {})
    result = FunctionCallOutput(call_id=call.call_id, output="sunny", is_error=False)
    ctx = ChatContext.from_dict(json.loads(json.dumps(conversation(("user", "Weather?"), kept, result).to_dict())))
    request = body(ctx, tools=[get_weather], options=options)
    assert request["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "Hm, Rome.", "signature": "sig=="},
        {"type": "redacted_thinking", "data": "xxx"},
        {"type": "tool_use", "id": "toolu_2", "name": "get_weather", "input": {"city": "Rome"}},
    ]
    assert request["thinking"]["type"] == "enabled"


def test_no_thinking_over_the_result_of_a_call_that_another_model_made() -> None:
    """The service refuses it: the call has no thoughts. So this one answer is given without."""
    ctx = conversation(("user", "Weather?"), *called("c1", "get_weather", "{}", "sunny"))
    assert "thinking" not in body(ctx, tools=[get_weather], options={"model": OLD, "reasoning_effort": "low"})
    assert "thinking" in body(ctx, tools=[get_weather], options={"reasoning_effort": "low"})


# Answers of a given form


class City(TypedDict):
    name: str
    people: int


def test_d8_response_format_native() -> None:
    request = body(response_format=City)
    form = request["output_config"]["format"]
    assert form["type"] == "json_schema"
    assert form["schema"]["required"] == ["name", "people"]
    assert form["schema"]["additionalProperties"] is False
    assert "tools" not in request


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ({}, {"response_format": {}}),
        ({}, {"extra_kwargs": {"response_format": {}}}),
        ({"extra_kwargs": {"response_format": {}}}, {}),
    ],
)
def test_d8_an_empty_response_format_is_refused(options: dict[str, Any], asked: dict[str, Any]) -> None:
    llm, service = model(**options)
    with pytest.raises(UsageError, match=r"^response_format is \{\}, which is no JSON schema; give a pydantic model"):
        collect(llm, **asked)
    assert service.requests == []


def test_a8_response_format_where_other_parameters_are() -> None:
    """In the constructor's `extra_kwargs`, in the call's, or as an argument of the call: the nearest counts."""
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "title": "Other"}
    options = {"extra_kwargs": {"response_format": City}}
    for asked, name in (
        ({}, "people"),
        ({"extra_kwargs": {"response_format": schema}}, "a"),
        ({"response_format": schema}, "a"),
    ):
        request = body(options=options, **asked)
        assert name in request["output_config"]["format"]["schema"]["properties"]
        assert "response_format" not in request


def test_the_grammar_is_told_no_bounds() -> None:
    schema = {
        "type": "object",
        "properties": {"age": {"type": "integer", "minimum": 0, "description": "years"}},
        "required": ["age"],
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    sent = body(response_format=wanted)["output_config"]["format"]["schema"]
    assert sent["properties"]["age"] == {"type": "integer", "description": "years (minimum: 0)"}


@pytest.mark.parametrize("tools", [[], [get_weather]])
def test_response_format_as_a_tool(tools: list[Any]) -> None:
    answer = events(
        start(), *text("Well, "), *tool_use('{"name": "Ro', 'me", "people": 3}', name="City"), *stop("tool_use")
    )
    llm, service = model(answer, structured_output="tool")
    found = collect(llm, response_format=City, tools=tools)
    assert json.loads(found.text) == {"name": "Rome", "people": 3}
    assert found.tool_calls == []
    assert found.extra["finish_reason"] == "stop"
    assert [tool["name"] for tool in service.body["tools"]][-1] == "City"
    assert service.body["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}


def test_json_without_a_schema_is_a_tools_arguments() -> None:
    answer = events(start(), *tool_use('{"a": 1}', name="response"), *stop("tool_use"))
    llm, service = model(answer)
    assert collect(llm, response_format={"type": "json_object"}).text == '{"a": 1}'
    assert service.body["tools"][0]["input_schema"] == {"type": "object"}


def test_d9_enforced() -> None:
    llm, _ = model(events(start(), *text('{"a": "x"}'), *stop()))
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    wanted = {"type": "json_object", "response_schema": schema, "enforce_validation": True}
    with pytest.raises(JSONSchemaValidationError) as error:
        collect(llm, response_format=wanted)
    assert error.value.raw_response == '{"a": "x"}'


# Pictures and files


def shown(*parts: Any) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = body(ChatContext([ChatMessage(role="user", content=list(parts))]))["messages"][0][
        "content"
    ]
    return content


def test_c6_pictures() -> None:
    url, data = "https://example.com/a.png", "data:image/png;base64,"
    blocks = shown("What is this?", ImageContent(image=url), ImageContent(image=PNG))
    assert blocks[0] == {"type": "text", "text": "What is this?"}
    assert blocks[1] == {"type": "image", "source": {"type": "url", "url": url}}
    assert blocks[2]["source"]["media_type"] == "image/png"
    assert (blocks[2]["type"], blocks[2]["source"]["type"]) == ("image", "base64")
    encoded = blocks[2]["source"]["data"]
    assert shown({"type": "image_url", "image_url": {"url": data + encoded}}) == [blocks[2]]


def test_documents() -> None:
    pdf, note = FileContent(data=b"%PDF-1.4 x"), FileContent(data=b"hi", mime_type="text/markdown")
    blocks = shown("Read", pdf, note, FileContent(uri="https://example.com/a.pdf"))
    assert [each["type"] for each in blocks] == ["text", "document", "document", "document"]
    assert blocks[1]["source"]["media_type"] == "application/pdf"
    assert blocks[2]["source"] == {"type": "text", "media_type": "text/plain", "data": "hi"}
    assert blocks[3]["source"] == {"type": "url", "url": "https://example.com/a.pdf"}


def test_a_private_address_is_not_fetched() -> None:
    with pytest.raises(UsageError, match=r"127\.0\.0\.1"):
        shown(ImageContent(image="http://127.0.0.1/a.png"))


def test_sound_is_told_by_its_words() -> None:
    frame = AudioFrame(b"\1\0" * 160, 16000)
    assert shown(AudioContent([frame], transcript="hello")) == [{"type": "text", "text": "hello"}]
    with pytest.raises(UsageError, match="hears no sound"):
        shown(AudioContent([frame]))


def test_a_file_of_another_type_is_refused() -> None:
    with pytest.raises(UsageError, match="read no video/mp4"):
        shown(FileContent(data=b"....ftypisom", mime_type="video/mp4"))


# Refused before anything is sent


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"temperature": 1.5}, "temperature is 1.5.*from 0 to 1"),
        ({"temperature": True}, "temperature is True"),
        ({"top_p": -0.1}, "top_p is -0.1"),
        ({"top_k": 1.5}, "top_k is 1.5"),
        ({"max_tokens": 0}, "max_tokens is 0.*at least 1"),
        ({"extra_kwargs": {"max_completion_tokens": "5"}}, "max_tokens is '5'"),
        ({"stop": [" "]}, "stop is"),
        ({"reasoning_effort": "hard"}, "reasoning_effort is 'hard'"),
        ({"thinking": {"type": "on"}}, "thinking is"),
        ({"thinking": {"type": "enabled", "budget_tokens": 10}}, "budget_tokens=10.*1024"),
        ({"caching": "long"}, "caching is 'long'"),
        ({"tool_choice": "any"}, "tool_choice is 'any'"),
        ({"structured_output": "xml"}, "structured_output is 'xml'"),
        ({"base_url": "localhost:1"}, "base_url is 'localhost:1'"),
        ({"model": ""}, "no model"),
        ({"extra_kwargs": {"seed": 1}}, "has no seed"),
        ({"extra_kwargs": {"logprobs": True}}, "has no logprobs"),
        ({"extra_kwargs": {"extra_headers": 1}}, "extra_headers is 1"),
    ],
)
def test_bad_options(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        model(**options)


@pytest.mark.parametrize(
    ("options", "asked", "says"),
    [
        ({}, {"extra_kwargs": {"temperature": 2}}, "temperature is 2"),
        (
            {},
            {"tools": [book], "tool_choice": {"type": "function", "function": {"name": "cook"}}},
            "'cook'.*there are book",
        ),
        ({}, {"tools": [ProviderTool("google", "google_search")]}, "run by google"),
        ({}, {"tools": [raw_tool("t", {"anyOf": [{"type": "object"}]})]}, "'anyOf' at the top"),
        (
            {"strict_tools": True},
            {"tools": [raw_tool("t", {"type": "object", "properties": {"a": {}}})]},
            "no strict schema",
        ),
        ({"reasoning_effort": "low", "temperature": 0.5}, {}, "takes no temperature"),
        ({"reasoning_effort": "low"}, {"tools": [book], "tool_choice": "required"}, "cannot be made to call"),
        ({"model": OLD, "reasoning_effort": "low", "max_tokens": 1000}, {}, "max_tokens is 1000"),
        ({}, {"response_format": {"type": "object", "properties": {"a": {"type": "object"}}}}, "cannot be forced"),
        ({}, {"response_format": 5}, "response_format"),
        (
            {"structured_output": "tool"},
            {"response_format": City, "tools": [raw_tool("City", {"type": "object"})]},
            "both named",
        ),
    ],
)
def test_bad_requests(options: dict[str, Any], asked: dict[str, Any], says: str) -> None:
    llm, service = model(**options)
    with pytest.raises(UsageError, match=says):
        collect(llm, **asked)
    assert service.requests == []


# Names


def test_c3_livekits_names_and_options() -> None:
    llm = anthropic.LLM(
        model="claude-3-5-sonnet-20241022",
        api_key="k",
        base_url=None,
        user="u",
        temperature=0.8,
        parallel_tool_calls=True,
        tool_choice="auto",
        caching="ephemeral",
        max_tokens=100,
        top_k=3,
    )
    assert (llm.provider, llm.model, llm.label) == (
        "anthropic",
        "claude-3-5-sonnet-20241022",
        "anthropic/claude-3-5-sonnet-20241022",
    )


# The key


def test_a_key_that_was_copied_with_its_line_end_is_sent_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", " sk-SECRET12345\n")
    llm, service = model(api_key=None)
    collect(llm)
    assert service.requests[0].headers["x-api-key"] == "sk-SECRET12345"
    assert llm.service.secrets == ["sk-SECRET12345"]


@pytest.mark.parametrize("key", ["sk-SECRET\n12345", "sk-SECRET\u00e912345", "sk-SECRET\u200b12345"])
def test_a_key_that_no_header_carries_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(UsageError, match=r"^The key for anthropic \(ANTHROPIC_API_KEY") as caught:
        model(api_key=key)
    assert "SECRET" not in str(caught.value)


def test_a_key_of_blanks_is_none() -> None:
    with pytest.raises(UsageError, match="anthropic needs a key"):
        model(api_key=" \n")


def test_a_tool_whose_schema_is_none_is_named() -> None:
    odd = raw_tool("odd", {"type": "object", "properties": {"when": {"type": "date"}}})
    with pytest.raises(UsageError, match=r"^The schema of the tool 'odd' is no JSON schema: .*when"):
        body(tools=[odd])
