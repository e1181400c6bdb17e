"""The client of OpenAI's wire: who is asked where with which key, and what its failures are called."""

import json
import logging
import traceback
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from agent_runtime import clock, virtual
from agent_runtime.chat import FunctionCall, FunctionCallOutput
from agent_runtime.errors import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    JSONSchemaValidationError,
    UsageError,
)
from agent_runtime.providers.http.exchange import LINGER_S
from agent_runtime.providers.openai import services
from agent_runtime.providers.openai.llm import OpenAILLM
from agent_runtime.session import AgentSession
from agent_runtime.tools import function_tool
from agent_runtime.types import NOT_GIVEN, APIConnectOptions
from tests.providers.openai_wire import DONE, HELLO, Recorder, ask, called, events, fragment, hello, said

VARIABLES = {
    variable
    for row in services.load().values()
    for variable in (*row.base_url_variables, *row.key_variables, *row.token_variables, *row.header_variables.values())
}


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


@function_tool
async def book(day: str) -> str:
    """Book a table."""
    return day


def asked(llm: OpenAILLM, **options: Any) -> Any:
    return virtual.run(ask(llm, **options))


def made(wire: httpx.AsyncBaseTransport, model: str | None = "gpt-4o-mini", **options: Any) -> OpenAILLM:
    return OpenAILLM(model, **{"api_key": "sk-secret", "transport": wire, **options})


def test_an_answer() -> None:
    wire = Recorder()
    response = asked(made(wire, temperature=0.5))
    assert response.text == "Hello."
    assert response.usage is not None
    assert response.usage.total_tokens == 7
    assert response.extra == {"finish_reason": "stop"}
    assert wire.body["temperature"] == 0.5


# Every provider: address, key, default model

ADDRESSES = {
    "azure": "https://me.openai.azure.com/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
    "baseten": "https://inference.baseten.co/v1/chat/completions",
    "bedrock_openai": "https://bedrock-runtime.eu-west-1.amazonaws.com/openai/v1/chat/completions",
    "cerebras": "https://api.cerebras.ai/v1/chat/completions",
    "cometapi": "https://api.cometapi.com/v1/chat/completions",
    "deepseek": "https://api.deepseek.com/v1/chat/completions",
    "fireworks": "https://api.fireworks.ai/inference/v1/chat/completions",
    "gemini_openai": "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions",
    "groq": "https://api.groq.com/openai/v1/chat/completions",
    "letta": "https://api.letta.com/v1/chat/completions",
    "litellm_proxy": "http://localhost:4000/v1/chat/completions",
    "livekit": "https://agent-gateway.livekit.cloud/v1/chat/completions",
    "llamacpp": "http://localhost:8080/v1/chat/completions",
    "lmstudio": "http://localhost:1234/v1/chat/completions",
    "mistralai": "https://api.mistral.ai/v1/chat/completions",
    "nebius": "https://api.studio.nebius.com/v1/chat/completions",
    "ollama": "http://localhost:11434/v1/chat/completions",
    "openai": "https://api.openai.com/v1/chat/completions",
    "openai_compatible": "http://house.test/v1/chat/completions",
    "openrouter": "https://openrouter.ai/api/v1/chat/completions",
    "ovhcloud": "https://oai.endpoints.kepler.ai.cloud.ovh.net/v1/chat/completions",
    "perplexity": "https://api.perplexity.ai/chat/completions",
    "sambanova": "https://api.sambanova.ai/v1/chat/completions",
    "telnyx": "https://api.telnyx.com/v2/ai/chat/completions",
    "together": "https://api.together.xyz/v1/chat/completions",
    "vllm": "http://localhost:8000/v1/chat/completions",
    "xai": "https://api.x.ai/v1/chat/completions",
}


def test_every_row_has_its_address_here() -> None:
    assert set(ADDRESSES) == set(services.load())


@pytest.mark.parametrize("provider", ADDRESSES)
def test_c3_a_provider_is_asked_at_its_address_with_its_key(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://me.openai.azure.com/")
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("OPENAI_COMPATIBLE_BASE_URL", "http://house.test/v1/chat/completions/")
    row = services.row(provider)
    for variable in row.key_variables[-1:]:
        monkeypatch.setenv(variable, "sk-key\n")
    wire = Recorder()
    llm = OpenAILLM(row.default_model or "some-model", provider=provider, transport=wire)
    assert asked(llm).text == "Hello."
    request = wire.requests[0]
    assert str(request.url) == ADDRESSES[provider]
    key = "sk-key" if row.key_variables else row.key
    if row.auth == "bearer" and key:
        assert request.headers["authorization"] == f"Bearer {key}"
    elif key:
        assert request.headers[row.auth] == key
        assert "authorization" not in request.headers
    assert wire.body["model"] == (row.default_model or "some-model")
    assert wire.body["messages"] == [{"role": "user", "content": "Hello?"}]
    assert (llm.provider, llm.label) == (provider, f"{provider}/{llm.model}")
    assert llm.leaves_machine is ("localhost" not in ADDRESSES[provider])


@pytest.mark.parametrize(
    "provider", [name for name, row in services.load().items() if row.key_required and not row.key]
)
def test_a_missing_key_is_named(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://me.openai.azure.com/")
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    with pytest.raises(UsageError, match=services.row(provider).key_variables[0]):
        OpenAILLM("m", provider=provider)


def test_a_server_on_this_machine_needs_no_key() -> None:
    wire = Recorder()
    asked(OpenAILLM("m", base_url="http://127.0.0.1:9/v1", transport=wire))
    assert "authorization" not in wire.requests[0].headers


@pytest.mark.parametrize("address", ["localhost:8000", "ftp://a.test", "http://", "/v1"])
def test_a_wrong_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="begins with http"):
        OpenAILLM("m", base_url=address, api_key="k")


def test_openai_compatible_needs_an_address() -> None:
    with pytest.raises(UsageError, match="OPENAI_COMPATIBLE_BASE_URL"):
        OpenAILLM("m", provider="openai_compatible")


@pytest.mark.parametrize("model", ["", "  ", 3])
def test_a_model_has_a_name(model: Any) -> None:
    with pytest.raises(UsageError, match="The model is"):
        OpenAILLM(model, api_key="k")


def test_openai_is_told_of_its_organisation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    wire = Recorder()
    asked(made(wire, extra_headers={"X-A": "b"}, extra_query={"q": "1"}))
    headers = wire.requests[0].headers
    assert (headers["openai-organization"], headers["x-a"]) == ("org-1", "b")
    assert wire.requests[0].url.query == b"q=1"
    assert headers["user-agent"].startswith("agent-runtime/")
    assert headers["accept"] == "text/event-stream"


def test_perplexity_is_told_who_asks() -> None:
    wire = Recorder()
    asked(made(wire, "sonar", provider="perplexity"))
    assert wire.requests[0].headers["x-pplx-integration"] == "agent-runtime"


# Azure


def test_azure_has_deployments_versions_and_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_OPENAI_ENDPOINT", "OPENAI_API_VERSION"):
        monkeypatch.delenv(name, raising=False)
    fill = {"AZURE_OPENAI_ENDPOINT": "https://me.test", "model": "my deployment", "OPENAI_API_VERSION": "v1"}
    wire = Recorder()
    tokens = iter(["first", "second"])

    async def token() -> str:
        return next(tokens)

    async def twice() -> None:
        llm = OpenAILLM("gpt-4o", provider="azure", placeholders=fill, bearer_token=token, transport=wire)
        for _ in range(2):
            await llm.chat(chat_ctx=hello()).collect()
        await llm.aclose()

    virtual.run(twice())
    assert str(
        wire.requests[0].url
    ) == "https://me.test/openai/deployments/my deployment/chat/completions?api-version=v1".replace(" ", "%20")
    assert [request.headers["authorization"] for request in wire.requests] == ["Bearer first", "Bearer second"]
    assert wire.body["model"] == "gpt-4o"
    with pytest.raises(UsageError, match="azure needs AZURE_OPENAI_ENDPOINT"):
        OpenAILLM("gpt-4o", provider="azure", api_key="k")


# Options


def test_options_of_livekit_have_their_meaning() -> None:
    llm = made(Recorder(), timeout=httpx.Timeout(3.0), max_retries=1, user=NOT_GIVEN)
    assert llm.conn_options == APIConnectOptions(timeout=3.0, max_retry=1)
    assert made(Recorder(), timeout=4).conn_options.timeout == 4


def test_reasoning_models_may_take_a_minute_unless_told() -> None:
    assert made(Recorder(), "o3").first_token_timeout == 60.0
    assert made(Recorder(), "gpt-4.1").first_token_timeout == 10.0
    assert made(Recorder(), "o3", conn_options=APIConnectOptions(first_token_timeout=5)).first_token_timeout == 5


def test_c5_the_call_counts_before_the_constructor() -> None:
    wire = Recorder()
    llm = made(
        wire, temperature=0.1, max_completion_tokens=9, tool_choice="required", extra_kwargs={"top_k": 1, "seed": 1}
    )
    asked(llm, tools=[book], tool_choice="auto", extra_kwargs={"temperature": 0.9, "seed": None})
    sent = {
        name: wire.body.get(name) for name in ("temperature", "max_completion_tokens", "tool_choice", "top_k", "seed")
    }
    assert sent == {"temperature": 0.9, "max_completion_tokens": 9, "tool_choice": "auto", "top_k": 1, "seed": None}


def test_nothing_is_sent_that_is_wrong() -> None:
    wire = Recorder()
    with pytest.raises(UsageError, match="temperature"):
        asked(made(wire, temperature=3))
    assert not wire.requests


def test_what_is_left_out_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def twice() -> None:
        llm = made(Recorder(), "o3", temperature=0.5)
        for _ in range(2):
            await llm.chat(chat_ctx=hello()).collect()
        await llm.aclose()

    with caplog.at_level(logging.WARNING):
        virtual.run(twice())
    assert [record.getMessage() for record in caplog.records] == ["temperature is not sent: OpenAI's 'o3' refuses it."]


def test_d9_a_format_of_the_constructor_is_enforced_too() -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    wanted = {"type": "json_object", "response_schema": schema, "enforce_validation": True}
    for options in ({"response_format": wanted}, {"extra_kwargs": {"response_format": wanted}}):
        with pytest.raises(JSONSchemaValidationError) as caught:
            asked(made(Recorder([said('{"ok": 1}'), said(finish="stop")]), **options))
        assert caught.value.raw_response == '{"ok": 1}'


def test_minted_ids_are_new_in_the_conversation() -> None:
    chat_ctx = hello()
    chat_ctx.insert(FunctionCall(call_id="call_1", name="book", arguments="{}"))
    chat_ctx.insert(FunctionCallOutput(call_id="call_1", output="ok", is_error=False))
    wire = Recorder([called(fragment("{}", name="book")), said(finish="tool_calls")])
    assert asked(made(wire), chat_ctx=chat_ctx).tool_calls[0].call_id == "call_2"


# Failures


def refused(status: int, **headers: str) -> httpx.Response:
    body = {"error": {"message": f"Incorrect API key provided: sk-secret ({status})."}}
    return httpx.Response(status, headers=headers, stream=_Stream(json.dumps(body).encode()))


class _Stream(httpx.AsyncByteStream):
    def __init__(self, *pieces: bytes | float) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, bytes):
                yield piece
            else:
                await clock.sleep(piece)


def test_d32_a_refusal_names_the_variable_and_not_the_key() -> None:
    with pytest.raises(APIStatusError) as caught:
        asked(made(Recorder(refused(401))))
    assert "OPENAI_API_KEY" in str(caught.value)
    assert "sk-secret" not in str(caught.value) + repr(caught.value.body)
    assert (caught.value.fault, caught.value.provider, caught.value.model) == ("key", "openai", "gpt-4o-mini")


def test_a_service_that_is_busy_is_asked_again() -> None:
    wire = Recorder(refused(429, **{"retry-after": "1"}), [{"error": {"message": "busy", "code": 503}}], HELLO)
    assert asked(made(wire)).text == "Hello."
    assert len(wire.requests) == 3


def test_a_broken_call_is_asked_for_again_and_one_that_is_too_long_is_not() -> None:
    broken = [called(fragment('{"day":', name="book", index=0, id="a"))]
    wire = Recorder([*broken, said(finish="stop"), DONE], HELLO)
    assert asked(made(wire)).text == "Hello."
    wire = Recorder([*broken, said(finish="length"), DONE], HELLO)
    with pytest.raises(APIError, match="max_completion_tokens"):
        asked(made(wire))
    assert len(wire.requests) == 1


def slow_call(*pauses: float) -> httpx.Response:
    pieces: list[bytes | float] = [events([called(fragment("", name="book", index=0, id="a"))])]
    for pause in pauses:
        pieces += [pause, events([called(fragment(" ", index=0))])]
    end = events([called(fragment('{"day":"Monday"}', index=0)), said(finish="tool_calls"), DONE])
    return httpx.Response(200, stream=_Stream(*pieces, end))


def test_a_long_call_is_no_silence() -> None:
    response = asked(made(Recorder(slow_call(*[8.0] * 5))))
    assert json.loads(response.tool_calls[0].arguments) == {"day": "Monday"}


def test_a_call_that_stalls_is_a_silence() -> None:
    async def timed() -> float:
        begun = clock.now()
        with pytest.raises(APITimeoutError, match="in the middle"):
            await ask(made(Recorder(slow_call(8.0, 60.0))))
        return clock.now() - begun

    assert virtual.run(timed()) == pytest.approx(18.0)


class _Broken(httpx.AsyncByteStream):
    def __init__(self, data: bytes) -> None:
        self._data = data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._data
        raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")


@pytest.mark.parametrize("messages", [HELLO[:-2], HELLO[:-1], HELLO])
def test_what_fails_behind_a_whole_answer_is_no_failure(messages: Any) -> None:
    async def timed(stream: httpx.AsyncByteStream) -> float:
        begun = clock.now()
        response = await ask(made(Recorder(httpx.Response(200, stream=stream))))
        assert response.text == "Hello."
        assert (response.usage is None) is (len(messages) < 5)
        return clock.now() - begun

    assert virtual.run(timed(_Stream(events(messages), 60.0))) == pytest.approx(LINGER_S)
    assert virtual.run(timed(_Broken(events(messages)))) == 0.0


def test_what_fails_within_an_answer_is_a_failure() -> None:
    with pytest.raises(APIConnectionError, match="in the middle"):
        asked(made(Recorder(httpx.Response(200, stream=_Broken(events(HELLO[:3]))))))


def test_a_key_is_one_line_of_ascii() -> None:
    with pytest.raises(UsageError, match="has characters that no key has") as caught:
        asked(made(Recorder(), api_key="sk-\nsecret"))
    assert "secret" not in str(caught.value)


# What is wrong is said before anything is sent


@pytest.mark.parametrize(
    "messages",
    [
        [said("Moment."), called(fragment('{"amount": 1', name="pay", index=0, id="a")), DONE],
        [called(fragment("{}", index=0, id="a")), DONE],
        [DONE],
        [said("Hi.", finish="stop"), called(fragment('{"amount": 1', name="pay", index=0, id="a")), DONE],
    ],
    ids=["half a call", "a call without a name", "nothing", "half a call behind the end"],
)
def test_a_broken_answer_that_ends_with_the_mark_is_broken(messages: Any) -> None:
    with pytest.raises(APIError) as caught:
        asked(made(Recorder(messages), conn_options=APIConnectOptions(max_retry=0)))
    assert caught.value.fault == "answer"


def test_a_document_instead_of_a_stream_is_read() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "book", "arguments": '{"day": "Monday"}'}}
    message = {"role": "assistant", "content": "One moment.", "tool_calls": [call]}
    document = {
        "id": "c1",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
    }
    response = asked(made(Recorder(httpx.Response(200, json=document))), tools=[book])
    assert response.text == "One moment."
    assert [(each.name, each.arguments) for each in response.tool_calls] == [("book", '{"day": "Monday"}')]
    assert response.usage is not None
    assert response.usage.total_tokens == 7


@pytest.mark.parametrize("form", [lambda error: error, lambda error: [error]], ids=["OpenAI's", "Gemini's"])
def test_an_error_in_a_document_is_an_error(form: Any) -> None:
    document = form({"error": {"message": "No such deployment.", "code": 404}})
    with pytest.raises(APIStatusError, match="No such deployment") as caught:
        asked(made(Recorder(httpx.Response(200, json=document))))
    assert caught.value.status_code == 404


def test_headers_of_ones_own_take_the_place_of_ours() -> None:
    wire = Recorder()
    given = {"Authorization": "Bearer other", "Content-Type": "application/json; v=1", "User-Agent": "mine"}
    asked(made(wire, extra_headers=given), extra_kwargs={"extra_headers": {"AUTHORIZATION": "Bearer third"}})
    sent = wire.requests[0].headers
    assert sent.get_list("authorization") == ["Bearer third"]
    assert sent.get_list("content-type") == ["application/json; v=1"]
    assert sent.get_list("user-agent") == ["mine"]


@pytest.mark.parametrize("headers", [{"x-a": "b\nc"}, {"x-a": "☃"}, {"x a": "b"}, {"": "b"}, {"x-a": ["b"]}, {3: "b"}])
def test_a_header_that_http_cannot_carry_is_refused(headers: Any) -> None:
    with pytest.raises(UsageError, match="header"):
        made(Recorder(), extra_headers=headers)
    wire = Recorder()
    with pytest.raises(UsageError, match="header"):
        asked(made(wire), extra_kwargs={"extra_headers": headers})
    assert not wire.requests


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("temperature", {"temperature": 3}, "temperature is 3; "),
    ("max_tokens", {"max_tokens": 0}, "max_tokens is 0; "),
    ("extra_body", {"extra_body": "foo"}, "extra_body is 'foo'; "),
    ("extra_query", {"extra_query": 5}, "extra_query is 5; "),
    ("extra_kwargs", {"extra_kwargs": "x"}, "extra_kwargs is 'x'; "),
    ("model", {"extra_kwargs": {"model": "gpt-5"}}, "model is 'gpt-5' among the parameters"),
    ("timeout", {"timeout": "5"}, "timeout is '5'; "),
    ("no_timeout", {"timeout": 0}, "timeout is 0; "),
    ("max_retries", {"max_retries": 1.5}, "max_retries is 1.5; "),
    ("base_url", {"base_url": 5}, "base_url of openai is 5; "),
    ("port", {"base_url": "http://x:99999/v1"}, "base_url of openai is 'http://x:99999/v1'; "),
    ("port_of_letters", {"base_url": "http://x:abc/v1"}, "base_url of openai is 'http://x:abc/v1'; "),
    ("nul", {"base_url": "http://x\0y/v1"}, "base_url of openai is "),
    ("bracket", {"base_url": "http://[::1/v1"}, "base_url of openai is "),
    ("fragment", {"base_url": "http://x/v1#y"}, "base_url of openai is "),
    ("api_key", {"api_key": 5}, "api_key is a value of the type int; "),
    ("bearer_token", {"bearer_token": 5}, "bearer_token is a value of the type int; "),
    ("conn_options", {"conn_options": 3}, "conn_options is 3; "),
    ("placeholders", {"placeholders": 3}, "placeholders is 3; "),
    ("provider", {"provider": ["openai"]}, "The provider is ['openai']; "),
    ("quotes", {"api_key": '"sk-secret"'}, "without quotes"),
    ("newline", {"api_key": "sk-\nsecret"}, "without quotes"),
]


@pytest.mark.parametrize(("options", "message"), [pytest.param(*rest, id=name) for name, *rest in WRONG])
def test_a_wrong_option_is_refused_when_the_model_is_made(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        made(Recorder(), **options)
    assert message in str(caught.value)
    assert "sk-" not in str(caught.value)


@pytest.mark.parametrize("query", ["temperature=3", "max_tokens=0", "extra_body=foo", "n=500"])
def test_a_wrong_option_in_a_descriptor_is_refused_when_the_session_is_made(
    query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-key")
    with pytest.raises(UsageError, match=query.partition("=")[0]):
        AgentSession(llm=f"openai/gpt-4.1?{query}")


def test_a_function_that_gives_no_key_is_told_of() -> None:
    wire = Recorder()
    nothing: Any = lambda: None  # noqa: E731
    with pytest.raises(UsageError, match="gave None"):
        asked(made(wire, api_key=nothing))
    assert not wire.requests


def test_a_query_in_the_address_goes_with_each_request() -> None:
    wire = Recorder()
    llm = made(wire, base_url="http://house.test/v1/chat/completions?api-version=7&x=y", extra_query={"x": "z"})
    asked(llm)
    assert str(wire.requests[0].url) == "http://house.test/v1/chat/completions?api-version=7&x=z"
    assert llm.base_url == "http://house.test/v1"


def test_extra_kwargs_of_a_call_are_a_dictionary() -> None:
    llm = made(Recorder())
    with pytest.raises(UsageError, match="extra_kwargs is 'x'"):
        llm.chat(chat_ctx=hello(), extra_kwargs="x")  # type: ignore[arg-type]


def test_what_is_not_given_is_none() -> None:
    names = ("extra_kwargs", "extra_query", "extra_headers", "placeholders", "timeout", "max_retries", "conn_options")
    nothing: dict[str, Any] = dict.fromkeys((*names, "base_url", "bearer_token"), NOT_GIVEN)
    assert asked(made(Recorder(), **nothing), extra_kwargs=NOT_GIVEN).text == "Hello."


def test_a10_words_are_refused_when_the_model_is_made_and_not_of_another_server() -> None:
    with pytest.raises(UsageError, match=r"reasoning_effort is 'lo', which OpenAI has not\. Did you mean 'low'\?"):
        made(Recorder(), reasoning_effort="lo")
    wire = Recorder()
    asked(made(wire, base_url="http://house.test/v1", reasoning_effort="lo"))
    assert wire.body["reasoning_effort"] == "lo"


def test_a_key_in_the_query_of_an_address_is_in_no_error() -> None:
    class Nobody(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError(f"no way to {request.url}")

    address = "http://house.test/v1?code=hunter1&api-version=2&subscription_key=hunter2"
    with pytest.raises(APIConnectionError, match=r"at http://house.test/v1/chat/completions \(no way to") as caught:
        asked(made(Nobody(), base_url=address, max_retries=0))
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(UsageError, match=r"begins with http:// or https://") as wrong:
        made(Nobody(), base_url="ftp://me:hunter1@house.test?key=hunter2")
    assert "hunter" not in str(wrong.value)
