"""Amazon Bedrock's Converse API: what is sent, and what is refused before. Row 1 of the providers, C5, C6, C8.

AWS's own SDK judges every body that is sent here: it has to be valid by AWS's description of the service, and has to be
what the SDK would send.
"""

import hashlib
import hmac
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypedDict

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_runtime import virtual
from agent_runtime.audio.frame import AudioFrame
from agent_runtime.chat import ChatContext, ChatMessage, FunctionCall, FunctionCallOutput
from agent_runtime.content import AudioContent, FileContent, ImageContent, TextContent
from agent_runtime.errors import APIError, UsageError
from agent_runtime.plugins import aws
from agent_runtime.providers.bedrock.llm import BedrockLLM, signed
from agent_runtime.providers.http.exchange import Request
from agent_runtime.tools import ProviderTool
from tests.providers.bedrock_events import (
    ANSWER,
    CLAUDE,
    REDACTED,
    THOUGHT,
    body,
    model,
    operation,
    start,
    stop,
    tool_use,
)
from tests.providers.wires import PNG, Scripted, book, called, collect, conversation, get_weather, histories, raw_tool

VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_PROFILE",
    "BEDROCK_INFERENCE_PROFILE_ARN",
    "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
)


@pytest.fixture(autouse=True)
def nothing_of_aws_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


# What is sent


def test_row_1_request() -> None:
    llm, service = model()
    collect(llm, conversation(("system", "Be brief."), ("user", "Hello")))
    request = service.requests[0]
    assert request.method == "POST"
    host = "https://bedrock-runtime.us-east-1.amazonaws.com"
    assert str(request.url) == f"{host}/model/amazon.nova-2-lite-v1%3A0/converse-stream"
    assert request.headers["content-type"] == "application/json"
    assert request.content == (
        b'{"messages":[{"role":"user","content":[{"text":"Hello"}]}],"system":[{"text":"Be brief."}]}'
    )


def test_row_1_parameters() -> None:
    options = {"temperature": 0.2, "top_p": 0.9, "max_output_tokens": 100, "stop": "END"}
    more = {"additional_request_fields": {"top_k": 5}, "extra_kwargs": {"performanceConfig": {"latency": "optimized"}}}
    sent = body(options={**options, **more})
    assert sent["inferenceConfig"] == {"maxTokens": 100, "temperature": 0.2, "topP": 0.9, "stopSequences": ["END"]}
    assert sent["additionalModelRequestFields"] == {"top_k": 5}
    assert sent["performanceConfig"] == {"latency": "optimized"}
    sent = body(options=options, extra_kwargs={"max_completion_tokens": 7, "stop": ["A"], "temperature": 1})
    assert sent["inferenceConfig"] == {"maxTokens": 7, "temperature": 1, "topP": 0.9, "stopSequences": ["A"]}
    guarded = {"guardrailConfig": {"guardrailIdentifier": "abc", "guardrailVersion": "1"}}
    assert body(extra_kwargs=guarded)["guardrailConfig"] == guarded["guardrailConfig"]


def test_a10_reasoning() -> None:
    assert body(extra_kwargs={"reasoning_effort": "minimal"})["outputConfig"] == {"effort": "low"}
    assert "outputConfig" not in body(options={"reasoning_effort": "none"})
    thinking = {"type": "enabled", "budget_tokens": 2000}
    assert body(options={"thinking": thinking})["additionalModelRequestFields"] == {"thinking": thinking}
    assert model(thinking=thinking)[0].first_token_timeout == 60


def test_row_1_the_cache() -> None:
    point = {"cachePoint": {"type": "default"}}
    sent = body(
        conversation(("system", "a"), ("user", "b")), tools=[book], options={"cache_system": True, "cache_tools": True}
    )
    assert sent["system"] == [{"text": "a"}, point]
    assert sent["toolConfig"]["tools"][1:] == [point]
    marked = ChatContext([ChatMessage(role="user", content=[TextContent("a", {"type": "ephemeral"}), "b"])])
    assert body(marked)["messages"][0]["content"] == [{"text": "a"}, point, {"text": "b"}]


# Where, and who asks


ARN = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
MODELS = ["amazon.nova-2-lite-v1:0", CLAUDE, "us.meta.llama3-3-70b-instruct-v1:0", ARN]


def sdk_request(model_id: str, region: str) -> Any:
    """What AWS's SDK would send; it is stopped before it does."""
    import botocore.session

    class Caught(Exception):
        pass

    def stopped(request: Any, **_: Any) -> None:
        raise Caught(request)

    client = botocore.session.Session().create_client(
        "bedrock-runtime", region_name=region, aws_access_key_id="AKIATEST", aws_secret_access_key="very-secret"
    )
    client.meta.events.register("before-send.bedrock-runtime.ConverseStream", stopped)
    with pytest.raises(Caught) as caught:
        client.converse_stream(modelId=model_id, messages=[{"role": "user", "content": [{"text": "Hello"}]}])
    return caught.value.args[0]


@pytest.mark.parametrize("model_id", MODELS)
def test_row_1_the_same_address_as_awss_sdk(model_id: str) -> None:
    llm, service = model(model=model_id)
    collect(llm)
    theirs = sdk_request(model_id, "eu-west-1" if model_id == ARN else "us-east-1")
    sent = service.requests[0]
    assert str(sent.url) == theirs.url
    assert sent.url.raw_path.decode() == "/" + theirs.url.split("/", 3)[3], "nothing is quoted again on the way out"
    assert json.loads(sent.content) == json.loads(theirs.body)


def test_the_address_and_the_region(monkeypatch: pytest.MonkeyPatch) -> None:
    def host(**options: Any) -> str:
        llm, service = model(**options)
        collect(llm)
        return service.requests[0].url.host

    assert host() == "bedrock-runtime.us-east-1.amazonaws.com"
    assert host(model=ARN) == "bedrock-runtime.eu-west-1.amazonaws.com"
    assert host(region="cn-north-1") == "bedrock-runtime.cn-north-1.amazonaws.com.cn"
    assert host(base_url="https://vpce-1.example.com/") == "vpce-1.example.com"
    monkeypatch.setenv("AWS_REGION", "ap-northeast-1")
    assert host() == "bedrock-runtime.ap-northeast-1.amazonaws.com"
    assert host(region="us-west-2") == "bedrock-runtime.us-west-2.amazonaws.com"
    monkeypatch.setenv("BEDROCK_INFERENCE_PROFILE_ARN", ARN)
    llm, _ = model()
    assert (llm.model, llm.label) == (ARN, f"bedrock/{ARN}")


def signature(request: httpx.Request, secret: str, region: str) -> str:
    """Version 4, from the specification: what the service works out of what it got."""
    fields = dict(part.strip().split("=", 1) for part in request.headers["authorization"].split(" ", 1)[1].split(","))
    names = fields["SignedHeaders"].split(";")
    path = request.url.raw_path.decode().replace("%", "%25")  # what is quoted already is quoted once more
    headers = "".join(f"{name}:{request.headers[name].strip()}\n" for name in names)
    canonical = "\n".join(["POST", path, "", headers, ";".join(names), hashlib.sha256(request.content).hexdigest()])
    date = request.headers["x-amz-date"]
    scope = f"{date[:8]}/{region}/bedrock/aws4_request"
    assert fields["Credential"] == f"AKIATEST/{scope}"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    assert hmac.digest(key, to_sign.encode(), "sha256").hex() == fields["Signature"]
    return ";".join(names)


@pytest.mark.parametrize("model_id", MODELS)
def test_row_1_the_signature(model_id: str) -> None:
    llm, service = model(model=model_id, session_token="a-token", extra_kwargs={"extra_headers": {"X-Extra": "1"}})
    collect(llm)
    request = service.requests[0]
    names = signature(request, "very-secret", "eu-west-1" if model_id == ARN else "us-east-1")
    assert names == "content-type;host;x-amz-date;x-amz-security-token;x-extra"
    assert request.headers["x-amz-security-token"] == "a-token"
    assert abs((datetime.now(UTC) - datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%S%z")).days) < 1


def test_a_request_is_signed_as_it_is_sent() -> None:
    """A change of one byte behind the signature is noticed."""
    from botocore.credentials import Credentials

    made = signed(
        Request("https://b.test/model/a%3A0/converse-stream", {}, b"{}"), Credentials("AKIATEST", "s"), "us-east-1"
    )
    good = httpx.Request("POST", made.url, headers=dict(made.headers), content=made.content)
    signature(good, "s", "us-east-1")
    with pytest.raises(AssertionError):
        signature(httpx.Request("POST", made.url, headers=dict(made.headers), content=b"[]"), "s", "us-east-1")


def test_row_1_a_bearer_token(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {"api_key": None, "api_secret": None}
    llm, service = model(**keys, bearer_token="bedrock-key")
    collect(llm)
    assert service.requests[0].headers["authorization"] == "Bearer bedrock-key"
    assert "x-amz-date" not in service.requests[0].headers
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "of-the-environment")
    llm, service = model(**keys)
    collect(llm)
    assert service.requests[0].headers["authorization"] == "Bearer of-the-environment"
    llm, service = model()  # an access key that is given counts before it
    collect(llm)
    assert service.requests[0].headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIATEST/")


def test_credentials_are_found_as_awss_tools_find_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def asker(**options: Any) -> str:
        llm, service = model(api_key=None, api_secret=None, **options)
        collect(llm)
        return str(service.requests[0].headers["authorization"].split("Credential=")[1].split("/")[0])

    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = AKIADEFAULT\naws_secret_access_key = s1\n"
        "[voice]\naws_access_key_id = AKIAVOICE\naws_secret_access_key = s2\n"
    )
    assert asker() == "AKIADEFAULT"
    assert asker(profile="voice") == "AKIAVOICE"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3")
    assert asker() == "AKIAENV"
    assert asker(profile="voice") == "AKIAVOICE"

    class Session:
        async def get_credentials(self) -> Any:
            from botocore.credentials import Credentials

            return Credentials("AKIASESSION", "s4")

    assert asker(session=Session()) == "AKIASESSION"


def test_no_credentials_at_all() -> None:
    llm, service = model(api_key=None, api_secret=None)
    with pytest.raises(UsageError, match=r"AWS_ACCESS_KEY_ID.*AWS_BEARER_TOKEN_BEDROCK.*local/rules"):
        collect(llm)
    with pytest.raises(UsageError, match=r"nobody.*AWS_PROFILE"):
        collect(model(api_key=None, api_secret=None, profile="nobody")[0])
    assert service.requests == []


def test_temporary_credentials_are_renewed() -> None:
    """They are asked for before each request, in a thread: asking may take a round trip."""
    from botocore.credentials import Credentials

    class Renewing(Credentials):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__("AKIATEST", "secret-0", "token-0")
            self.times = 0

        def refresh_needed(self) -> bool:
            return True

        def get_frozen_credentials(self) -> Any:
            self.times += 1
            self.secret_key, self.token = f"secret-{self.times}", f"token-{self.times}"
            return super().get_frozen_credentials()

    found = Renewing()

    class Session:
        def get_credentials(self) -> Any:
            return found

    llm, service = model(api_key=None, api_secret=None, session=Session())

    async def twice() -> None:
        for _ in range(2):
            await llm.chat(chat_ctx=conversation(("user", "a"))).collect()
        await llm.aclose()

    virtual.run(twice())
    assert [each.headers["x-amz-security-token"] for each in service.requests] == ["token-1", "token-2"]
    signature(service.requests[1], "secret-2", "us-east-1")
    assert llm.service.redacted("secret-1 token-2") == "*** ***"


def test_botocore_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in sys.modules if each.partition(".")[0] == "botocore"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "botocore", None)
    with pytest.raises(UsageError, match=r"pip install 'agent-runtime\[bedrock\]'"):
        BedrockLLM(api_key="a", api_secret="b")
    llm, _ = model(api_key=None, api_secret=None, bearer_token="bedrock-key")
    assert collect(llm).text == "Hello."


# History and tools


def check(sent: dict[str, Any]) -> None:
    """The service's own rules of a request, besides those that its description has."""
    said = sent["messages"]
    assert [message["role"] for message in said] == [("user", "assistant")[at % 2] for at in range(len(said))]
    assert said[-1]["role"] == "user"
    waiting: list[str] = []
    ids: list[str] = []
    for message in said:
        blocks = message["content"]
        assert blocks
        results = [each["toolResult"]["toolUseId"] for each in blocks if "toolResult" in each]
        assert sorted(results) == sorted(waiting)
        waiting = [each["toolUse"]["toolUseId"] for each in blocks if "toolUse" in each]
        ids += waiting
        assert all(each["text"].strip() for each in blocks if "text" in each)
        assert "toolConfig" in sent or not (waiting or results), "calls stand only where there are tools"
        for each in blocks:
            for result in each.get("toolResult", {}).get("content", ()):
                assert result["text"].strip()
    assert not waiting
    assert len(ids) == len(set(ids))


@settings(max_examples=100, deadline=None)
@given(
    chat_ctx=histories, with_tools=st.booleans(), caching=st.booleans(), choice=st.sampled_from([None, "auto", "none"])
)
def test_any_history_gives_a_request_that_is_taken(
    chat_ctx: ChatContext, with_tools: bool, caching: bool, choice: Any
) -> None:
    options = {"cache_system": caching, "cache_tools": caching}
    check(body(chat_ctx, tools=[get_weather] if with_tools else [], tool_choice=choice, options=options))


HISTORY = conversation(
    ("user", "Weather?"), *called("c1", "get_weather", '{"city": "Rome"}', "sunny", is_error=True), ("user", "thanks")
)


def test_c8_calls_and_results() -> None:
    assert body(HISTORY, tools=[get_weather])["messages"][1:] == [
        {
            "role": "assistant",
            "content": [{"toolUse": {"toolUseId": "c1", "name": "get_weather", "input": {"city": "Rome"}}}],
        },
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "c1", "content": [{"text": "sunny"}], "status": "error"}},
                {"text": "thanks"},
            ],
        },
    ]


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (None, None),
        ("auto", {"auto": {}}),
        ("required", {"any": {}}),
        ({"type": "function", "function": {"name": "book"}}, {"tool": {"name": "book"}}),
    ],
)
def test_row_1_tool_choice(choice: Any, sent: Any) -> None:
    config = body(HISTORY, tools=[get_weather, book], tool_choice=choice, parallel_tool_calls=False)["toolConfig"]
    assert config.get("toolChoice") == sent
    assert [each["toolSpec"]["name"] for each in config["tools"]] == ["get_weather", "book"]
    assert config["tools"][0]["toolSpec"]["description"] == "Look up the weather."
    assert config["tools"][0]["toolSpec"]["inputSchema"]["json"]["required"] == ["city"]


def test_row_1_none_takes_tools_and_calls_out() -> None:
    for asked in ({"tools": [get_weather], "tool_choice": "none"}, {}):
        sent = body(HISTORY, **asked)
        assert "toolConfig" not in sent
        assert sent["messages"] == [{"role": "user", "content": [{"text": "Weather?"}, {"text": "thanks"}]}]


def test_the_last_turn_is_the_users() -> None:
    ctx = conversation(("user", "a"), ("assistant", "b "))
    assert body(ctx)["messages"][-1] == {"role": "user", "content": [{"text": "."}]}
    assert body(ctx, options={"model": "anthropic.claude-sonnet-4-6-v1:0"})["messages"][-1]["role"] == "user"
    assert body(ctx, options={"model": CLAUDE})["messages"][-1] == {"role": "assistant", "content": [{"text": "b"}]}


def test_thoughts_go_back_with_the_calls_that_they_led_to() -> None:
    answer = start() + THOUGHT + REDACTED + tool_use('{"city": "Rome"}', index=2) + stop("tool_use")
    first = collect(model(answer)[0], tools=[get_weather])
    assert first.extra["reasoning"] == "Hm, Rome."
    (call,) = first.tool_calls
    kept = FunctionCall(call_id=call.call_id, name=call.name, arguments=call.arguments, extra=call.extra or {})
    ctx = conversation(("user", "Weather?"), kept, FunctionCallOutput(call_id=call.call_id, output="a", is_error=False))
    assert body(ctx, tools=[get_weather])["messages"][1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "Hm, Rome.", "signature": "sig=="}}},
        {"reasoningContent": {"redactedContent": "eHh4"}},
        {"toolUse": {"toolUseId": "tooluse_2", "name": "get_weather", "input": {"city": "Rome"}}},
    ]
    other = body(ctx, tools=[get_weather], options={"model": CLAUDE})["messages"][1]["content"]
    assert len(other) == 1, "another model would refuse what this one thought"


# Answers of a given form


class City(TypedDict):
    name: str
    people: int


def test_d8_response_format() -> None:
    form = body(response_format=City)["outputConfig"]["textFormat"]
    schema = json.loads(form["structure"]["jsonSchema"]["schema"])
    assert (form["type"], form["structure"]["jsonSchema"]["name"]) == ("json_schema", "City")
    assert (schema["required"], schema["additionalProperties"]) == (["name", "people"], False)


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


@pytest.mark.parametrize("choice", [None, "none"])
def test_response_format_as_a_tool(choice: Any) -> None:
    answer = start() + tool_use('{"name": "Ro', 'me", "people": 3}', name="City") + stop("tool_use")
    llm, service = model(answer, structured_output="tool")
    found = collect(llm, response_format=City, tools=[book], tool_choice=choice)
    assert json.loads(found.text) == {"name": "Rome", "people": 3}
    assert (found.tool_calls, found.extra["finish_reason"]) == ([], "stop")
    config = service.body["toolConfig"]
    assert [each["toolSpec"]["name"] for each in config["tools"]] == (["City"] if choice else ["book", "City"])
    assert config["toolChoice"] == {"any": {}}


# Pictures and files


def shown(*parts: Any) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = body(ChatContext([ChatMessage(role="user", content=list(parts))]))["messages"][0][
        "content"
    ]
    return content


def test_c6_pictures_and_files() -> None:
    blocks = shown(
        ImageContent(image=PNG),
        FileContent(data=b"%PDF-1.4", filename="Bill_March  (1).pdf"),
        FileContent(data=b"a,b", mime_type="text/csv"),
        FileContent(data=b"x", mime_type="video/mp4"),
    )
    assert blocks[0]["image"]["format"] == "png"
    assert (blocks[1]["document"]["format"], blocks[1]["document"]["name"]) == ("pdf", "Bill March (1) pdf 2")
    assert (blocks[2]["document"]["format"], blocks[2]["document"]["name"]) == ("csv", "document 3")
    assert blocks[3]["video"]["format"] == "mp4"
    assert blocks[4] == {"text": "(empty)"}, "a document has to stand with words"
    frame = AudioFrame(b"\1\0" * 160, 16000)
    assert shown(AudioContent([frame], transcript="hello")) == [{"text": "hello"}]
    assert shown(AudioContent([frame]))[0]["audio"]["format"] == "wav"
    with pytest.raises(UsageError, match="read no application/zip"):
        shown(FileContent(data=b"PK", mime_type="application/zip"))


# Refused before anything is sent


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"temperature": 1.5}, r"temperature is 1.5.*from 0 to 1"),
        ({"top_p": 2}, "top_p is 2"),
        ({"max_output_tokens": 0}, r"max_output_tokens is 0"),
        ({"stop": [""]}, "stop is"),
        ({"region": "Frankfurt"}, "region is 'Frankfurt'"),
        ({"api_secret": None}, "one of api_key and api_secret"),
        ({"model": ""}, "no model ''"),
        ({"base_url": "bedrock"}, "base_url is 'bedrock'"),
        ({"reasoning_effort": 3}, "reasoning_effort is 3"),
        ({"thinking": "on"}, "thinking is 'on'"),
        ({"tool_choice": "any"}, "tool_choice is 'any'"),
        ({"additional_request_fields": "top_k"}, "additional_request_fields is 'top_k'"),
        ({"extra_kwargs": {"top_k": 5}}, "additional_request_fields="),
        ({"extra_kwargs": {"seed": 5}}, "no seed for all models"),
        ({"structured_output": "xml"}, "structured_output is 'xml'"),
    ],
)
def test_bad_options(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        model(**options)


@pytest.mark.parametrize(
    ("options", "asked", "says"),
    [
        ({}, {"extra_kwargs": {"temperature": 2}}, "temperature is 2"),
        ({}, {"tools": [book], "tool_choice": {"type": "function", "function": {"name": "cook"}}}, "'cook'"),
        ({}, {"tools": [ProviderTool("google", "google_search")]}, "run by google"),
        ({}, {"response_format": 5}, "response_format"),
        (
            {"structured_output": "tool"},
            {"response_format": City, "tools": [raw_tool("City", {})]},
            "both named 'City'",
        ),
    ],
)
def test_bad_requests(options: dict[str, Any], asked: dict[str, Any], says: str) -> None:
    llm, service = model(**options)
    with pytest.raises(UsageError, match=says):
        collect(llm, **asked)
    assert service.requests == []


def test_c3_livekits_names_and_options() -> None:
    service = Scripted(ANSWER)
    llm = aws.LLM(
        model=CLAUDE,
        api_key="AKIATEST",
        api_secret="s",
        region="us-west-2",
        temperature=0.8,
        max_output_tokens=10,
        top_p=1,
        tool_choice="auto",
        additional_request_fields={"top_k": 1},
        cache_system=True,
        cache_tools=True,
        transport=service,
    )
    assert collect(llm).text == "Hello."
    assert operation().name == "ConverseStream"


# The keys


def test_keys_that_were_copied_with_their_line_end_are_used_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "bedrock-SECRET\r\n")
    llm, service = model(api_key=None, api_secret=None)
    collect(llm)
    assert service.requests[0].headers["authorization"] == "Bearer bedrock-SECRET"
    llm, service = model(api_key="AKIATEST\n", api_secret="very-secret\n", session_token="token\n")
    collect(llm)
    assert "Credential=AKIATEST/" in service.requests[0].headers["authorization"]
    assert service.requests[0].headers["x-amz-security-token"] == "token"
    assert llm.service.secrets[:2] == ["very-secret", "token"]


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"bearer_token": "SEC\nRET"}, "AWS_BEARER_TOKEN_BEDROCK"),
        ({"api_key": "SEC\nRET"}, "AWS_ACCESS_KEY_ID"),
        ({"api_secret": "SEC\nRET"}, "AWS_SECRET_ACCESS_KEY"),
        ({"session_token": "SEC\u00e9RET"}, "AWS_SESSION_TOKEN"),
    ],
)
def test_keys_that_no_header_carries_are_refused_and_not_shown(options: dict[str, str], name: str) -> None:
    with pytest.raises(UsageError, match=f"^bedrock's .*{name}.* has characters that no key has") as caught:
        model(**options)
    assert "SEC" not in str(caught.value).replace("AWS_SECRET_ACCESS_KEY", "")


def test_a_tool_whose_schema_is_none_is_named() -> None:
    odd = raw_tool("odd", {"type": "object", "properties": {"when": {"type": "date"}}})
    with pytest.raises(UsageError, match=r"^The schema of the tool 'odd' is no JSON schema: .*when"):
        body(tools=[odd])


def test_credentials_that_cannot_be_had_are_an_error_of_the_key() -> None:
    from botocore.exceptions import CredentialRetrievalError

    class Found:
        def get_frozen_credentials(self) -> Any:
            raise CredentialRetrievalError(provider="sso", error_msg="the login is over")

    class Session:
        def get_credentials(self) -> Any:
            return Found()

    llm, service = model(api_key=None, api_secret=None, session=Session())
    with pytest.raises(
        APIError, match=r"AWS gave no credentials for 'amazon.*\(.*the login is over\). Check"
    ) as failed:
        collect(llm)
    assert (failed.value.fault, failed.value.retryable) == ("key", False)
    assert service.requests == []


def test_what_aws_found_is_in_no_error() -> None:
    """A refusal that repeats what was signed with."""
    from botocore.credentials import Credentials

    class Session:
        def get_credentials(self) -> Any:
            return Credentials("AKIATEST", "found/secret", "found-token")

    refusal = httpx.Response(403, json={"message": "not found-token, not found/secret"})
    llm, _ = model(refusal, api_key=None, api_secret=None, session=Session())
    with pytest.raises(APIError, match=r"not \*\*\*, not \*\*\*") as failed:
        collect(llm)
    assert "found" not in str(failed.value.body)
