"""LiteLLM's real proxy between us and our scripted Gemini server: what it answers, how it fails, and what it makes of the
parameters of row D31 and of all the others of D.

It runs as a child process out of .venv-litellm (`make model-servers`); the fixture takes seven seconds.
"""

import asyncio
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent_runtime import AgentSession
from agent_runtime.chat import ChatContext, ChatMessage, FunctionCall, FunctionCallOutput
from agent_runtime.content import FileContent, ImageContent, TextContent
from agent_runtime.errors import APIError, APIStatusError, APITimeoutError, JSONSchemaValidationError
from agent_runtime.inference import descriptor
from agent_runtime.llm import LLM, CollectedResponse
from agent_runtime.plugins import litellm_proxy, openai
from agent_runtime.plugins.google.tools import CodeExecution, GoogleSearch, URLContext
from agent_runtime.testing.faults import Cut, Fault, FaultProxy, Stall
from agent_runtime.testing.model_server import ModelServer, Said
from agent_runtime.types import APIConnectOptions
from tests.contract.children import ROOT, free_port, serving
from tests.contract.normal import gemini
from tests.providers.wires import HELLO, PNG, book, conversation, get_weather

PROGRAM = ROOT / ".venv-litellm/bin/litellm"

pytestmark = [
    pytest.mark.sockets,
    pytest.mark.real_time,
    pytest.mark.skipif(not PROGRAM.exists(), reason="no LiteLLM proxy here; `make model-servers` gets it"),
]

PATIENT = APIConnectOptions(max_retry=0, timeout=8.0, first_token_timeout=8.0)
MOCKED = "Hello from behind the proxy, and good day."
UPSTREAM_KEY = "key-of-gemini"


@dataclass
class Proxy:
    """The one that runs."""

    url: str
    key: str
    upstream_port: int
    """Where it looks for Gemini."""

    def model(self, name: str, **options: Any) -> LLM:
        given = {"base_url": f"{self.url}/v1", "api_key": self.key, "conn_options": PATIENT, **options}
        return litellm_proxy.LLM(name, **given)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    port, upstream = free_port(), free_port()
    found = Proxy(f"http://127.0.0.1:{port}", f"sk-{secrets.token_urlsafe(24)}", upstream)
    environment = {
        "LITELLM_MASTER_KEY": found.key,
        "GEMINI_API_KEY": "key-of-nobody",
        "UPSTREAM": f"http://127.0.0.1:{upstream}/v1beta",
        "UPSTREAM_KEY": UPSTREAM_KEY,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command: list[str | Path] = [
        PROGRAM,
        "--config",
        Path(__file__).with_name("litellm.yaml"),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    log = tmp_path_factory.mktemp("litellm") / "log"
    with serving(command, ready=f"{found.url}/health/liveliness", log=log, env=environment):
        yield found


def ask(llm: LLM, chat_ctx: ChatContext | None = None, **asked: Any) -> CollectedResponse:
    async def answered() -> CollectedResponse:
        try:
            return await llm.chat(chat_ctx=chat_ctx or conversation(*HELLO), **asked).collect()
        finally:
            await llm.aclose()

    return asyncio.run(answered())


@dataclass
class Translated:
    """An answer through the proxy, and what Gemini was asked for it."""

    answer: CollectedResponse
    body: dict[str, Any]
    """Of the last request, in Gemini's own spelling."""
    paths: list[str]
    headers: Any


HI = Said("Hi.")


def through(
    proxy: Proxy, said: Said = HI, chat_ctx: ChatContext | None = None, *, model: str = "gemini", **asked: Any
) -> Translated:
    async def answered() -> Translated:
        server = ModelServer(said)
        server.port = proxy.upstream_port
        llm = proxy.model(model)
        async with server:
            try:
                answer = await llm.chat(chat_ctx=chat_ctx or conversation(*HELLO), **asked).collect()
            finally:
                await llm.aclose()
        last = server.requests[-1]
        return Translated(answer, gemini(last.json), [each.path for each in server.requests], last.headers)

    return asyncio.run(answered())


# What it mocks itself


def test_d31_it_streams_to_us(proxy: Proxy) -> None:
    found = ask(proxy.model("hello"))
    assert found.text == MOCKED
    assert found.extra["finish_reason"] == "stop"
    assert found.usage is not None
    assert found.usage.completion_tokens > 0


def test_d31_the_same_under_openais_plugin(proxy: Proxy) -> None:
    llm = openai.LLM.with_litellm_proxy(model="hello", base_url=f"{proxy.url}/v1", api_key=proxy.key)
    assert ask(llm).text == MOCKED


def test_d31_the_same_by_its_descriptor(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITELLM_PROXY_API_BASE", proxy.url)
    monkeypatch.setenv("LITELLM_PROXY_API_KEY", proxy.key)
    assert ask(descriptor.resolve("llm", "litellm_proxy/hello")).text == MOCKED
    session: AgentSession[Any] = AgentSession(llm="litellm_proxy/hello")
    assert isinstance(session.llm, LLM)


@pytest.mark.parametrize(
    ("model", "status", "fault", "retryable"),
    [
        ("limited", 429, "limit", True),
        ("broken", 500, "service", True),
        ("overloaded", 529, "service", True),
        ("timing-out", 408, "service", True),
        ("too-long", 400, "request", False),
        ("filtered", 400, "request", False),
        ("no-such-model", 400, "request", False),
    ],
)
def test_d31_its_errors(model: str, status: int, fault: str, retryable: bool, proxy: Proxy) -> None:
    with pytest.raises(APIStatusError) as caught:
        ask(proxy.model(model))
    error = caught.value
    assert (error.status_code, error.fault, error.retryable) == (status, fault, retryable)
    assert str(error).startswith(f"litellm_proxy refused '{model}' (status {status}): ")
    assert proxy.key not in str(error)


def test_d31_a_wrong_key(proxy: Proxy) -> None:
    with pytest.raises(APIStatusError) as caught:
        ask(proxy.model("hello", api_key="sk-wrong-key"))
    assert caught.value.status_code in (400, 401)  # 400 "No connected db." of a proxy without a database
    assert "sk-wrong-key" not in str(caught.value)


def test_d31_so_many_a_minute(proxy: Proxy) -> None:
    for _ in range(2):
        assert ask(proxy.model("twice-a-minute")).text == "One of two."
    with pytest.raises(APIStatusError, match="No deployments available") as caught:
        ask(proxy.model("twice-a-minute"))
    assert caught.value.fault == "limit"


def test_d31_it_falls_back_by_itself(proxy: Proxy) -> None:
    assert ask(proxy.model("falls-back")).text == MOCKED


def test_d31_it_is_waited_for_only_so_long(proxy: Proxy) -> None:
    assert ask(proxy.model("slow")).text == "At last."
    with pytest.raises(APITimeoutError):
        ask(proxy.model("slow", conn_options=APIConnectOptions(max_retry=0, first_token_timeout=0.2)))


# What it makes of ours for Gemini


def test_d31_text_thoughts_and_two_calls(proxy: Proxy) -> None:
    """D6, D7, D11, D12, D13: `topK`, `thinking`, `safety_settings` in `extra_kwargs`."""
    calls: list[tuple[str, dict[str, Any]]] = [("get_weather", {"city": "Köln"}), ("book", {"seats": 2, "name": None})]
    said = Said("Grüße.", reasoning="Hmm.", calls=calls, completion_tokens=9, reasoning_tokens=3, cached_tokens=4)
    safety = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]
    thinking = {"type": "enabled", "budget_tokens": 1024}
    extra = {"topK": 1, "thinking": thinking, "safety_settings": safety}
    found = through(proxy, said, tools=[get_weather, book], extra_kwargs=extra)
    answer = found.answer
    assert (answer.text, answer.extra["reasoning"]) == ("Grüße.", "Hmm.")
    assert [(call.name, json.loads(call.arguments)) for call in answer.tool_calls] == calls
    assert answer.extra["finish_reason"] == "tool_calls"
    assert answer.usage is not None
    assert (answer.usage.completion_tokens, answer.usage.reasoning_tokens) == (9, 3)
    assert (answer.usage.prompt_tokens, answer.usage.prompt_cached_tokens) == (12, 4)
    assert found.paths == ["/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"]
    assert found.headers["x-goog-api-key"] == UPSTREAM_KEY
    assert found.body["generationConfig"] == {
        "topK": 1,
        "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 1024},
    }
    assert found.body["safetySettings"] == safety
    assert [each["name"] for each in found.body["tools"][0]["functionDeclarations"]] == ["get_weather", "book"]


def test_d13_what_came_of_a_call_goes_back_with_its_signature(proxy: Proxy) -> None:
    call = through(proxy, Said(calls=[("get_weather", {"city": "Köln"})]), tools=[get_weather]).answer.tool_calls[0]
    history = conversation(
        *HELLO,
        FunctionCall(call_id=call.call_id, name=call.name, arguments=call.arguments, extra=call.extra or {}),
        FunctionCallOutput(call_id=call.call_id, name=call.name, output="sunny", is_error=False),
    )
    contents = through(proxy, Said("Sunny."), history, tools=[get_weather]).body["contents"]
    (made,), (came,) = contents[1]["parts"], contents[2]["parts"]
    assert made["functionCall"]["args"] == {"city": "Köln"}
    assert made["thoughtSignature"] == "c2lnbmVk"
    assert came["functionResponse"]["name"] == "get_weather"
    assert "sunny" in json.dumps(came["functionResponse"]["response"])


@pytest.mark.parametrize(
    ("choice", "mode"), [("auto", "AUTO"), ("required", "ANY"), ("none", "NONE"), ("get_weather", "ANY")]
)
def test_d13_which_tool(choice: str, mode: str, proxy: Proxy) -> None:
    asked: Any = choice if choice != "get_weather" else {"type": "function", "function": {"name": choice}}
    calling = through(proxy, tools=[get_weather], tool_choice=asked).body["toolConfig"]["functionCallingConfig"]
    assert calling["mode"] == mode
    assert calling.get("allowedFunctionNames") == (["get_weather"] if choice == "get_weather" else None)


def test_d4_parameters(proxy: Proxy) -> None:
    given = {
        "temperature": 0.2,
        "top_p": 0.5,
        "max_completion_tokens": 50,
        "stop": ["."],
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "seed": 3,
        "n": 1,
    }
    assert through(proxy, extra_kwargs=given).body["generationConfig"] == {
        "temperature": 0.2,
        "topP": 0.5,
        "maxOutputTokens": 50,
        "stopSequences": ["."],
        "frequencyPenalty": 0.1,
        "presencePenalty": 0.2,
        "seed": 3,
        "candidateCount": 1,
    }


@pytest.mark.parametrize(
    ("effort", "budget"), [("disable", 0), ("minimal", 1), ("low", 1024), ("medium", 2048), ("high", 4096)]
)
def test_d5_effort(effort: str, budget: int, proxy: Proxy) -> None:
    config = through(proxy, extra_kwargs={"reasoning_effort": effort}).body["generationConfig"]
    assert config == {"thinkingConfig": {"thinkingBudget": budget, "includeThoughts": budget > 0}}


def test_d5_effort_of_gemini_3(proxy: Proxy) -> None:
    config = through(proxy, model="gemini-3", extra_kwargs={"reasoning_effort": "low"}).body["generationConfig"]
    assert config["thinkingConfig"] == {"thinkingLevel": "low", "includeThoughts": True}


SCHEMA = {
    "type": "object",
    "properties": {"degrees": {"type": "integer"}},
    "required": ["degrees"],
    "additionalProperties": False,
}


def test_d8_the_schema_of_an_answer(proxy: Proxy) -> None:
    wanted = {"type": "json_object", "response_schema": SCHEMA}
    config = through(proxy, Said('{"degrees": 7}'), response_format=wanted).body["generationConfig"]
    assert config == {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}


def test_d9_a_stream_is_checked_here_for_the_proxy_does_not(proxy: Proxy) -> None:
    pytest.importorskip("jsonschema")
    wanted = {"type": "json_object", "response_schema": SCHEMA, "enforce_validation": True}
    assert through(proxy, Said('{"degrees": 7}'), response_format=wanted).answer.text == '{"degrees": 7}'
    with pytest.raises(JSONSchemaValidationError) as caught:
        through(proxy, Said('{"degrees": "warm"}'), response_format=wanted)
    assert caught.value.raw_response == '{"degrees": "warm"}'


def test_d10_json(proxy: Proxy) -> None:
    config = through(proxy, Said("{}"), response_format={"type": "json_object"}).body["generationConfig"]
    assert config == {"responseMimeType": "application/json"}


@pytest.mark.parametrize(
    ("tool", "sent"),
    [(GoogleSearch(), "googleSearch"), (URLContext(), "urlContext"), (CodeExecution(), "codeExecution")],
)
def test_d15_d16_d17_tools_of_googles(tool: Any, sent: str, proxy: Proxy) -> None:
    assert through(proxy, tools=[tool]).body["tools"] == [{sent: {}}]


def test_d21_pictures_and_files(proxy: Proxy) -> None:
    """D19, D20, D21, D23: what is here is sent as bytes, gs:// as an address."""
    parts: list[Any] = [
        "What is this?",
        ImageContent(image=PNG),
        FileContent(data=b"%PDF-1.4\n%%EOF\n", mime_type="application/pdf"),
        FileContent(uri="gs://bucket/talk.mp4", mime_type="video/mp4"),
    ]
    said = conversation(ChatMessage(role="user", content=parts))
    sent = through(proxy, chat_ctx=said).body["contents"][0]["parts"]
    kinds = sorted(
        each["inlineData"]["mimeType"] if "inlineData" in each else each["fileData"]["fileUri"]
        for each in sent
        if "text" not in each
    )
    assert kinds == ["application/pdf", "gs://bucket/talk.mp4", "image/png"]


def test_d25_the_mark_for_the_cache(proxy: Proxy) -> None:
    """Of the first block of marked messages the proxy makes a cache, and asks with its name."""
    marked = TextContent("A long text. " * 600, cache_control={"type": "ephemeral"})
    said = conversation(ChatMessage(role="system", content=[marked]), *HELLO)
    found = through(proxy, chat_ctx=said)
    assert [path for path in found.paths if "cachedContents" in path]
    assert found.body["cachedContent"] == "cachedContents/c1"
    assert "systemInstruction" not in found.body


def test_d30_pictures(proxy: Proxy) -> None:
    found = through(proxy, Said("Here.", images=[PNG]), extra_kwargs={"modalities": ["image", "text"]})
    assert found.body["generationConfig"] == {"responseModalities": ["IMAGE", "TEXT"]}
    assert found.answer.text == "Here."
    assert found.answer.extra["images"][0].startswith("data:image/png;base64,")


def test_d31_why_it_ended(proxy: Proxy) -> None:
    assert through(proxy, Said("So much more", cut=True)).answer.extra["finish_reason"] == "length"


def test_d31_gemini_fails_behind_it(proxy: Proxy) -> None:
    with pytest.raises(APIStatusError) as caught:
        through(proxy, Said("Well", error="It broke."))
    assert (caught.value.status_code, caught.value.fault) == (503, "service")
    assert "It broke." in str(caught.value)


def test_d31_gemini_is_not_there(proxy: Proxy) -> None:
    with pytest.raises(APIStatusError) as caught:
        ask(proxy.model("gemini"))
    assert caught.value.retryable


@pytest.mark.parametrize("fault", [Cut(after="eins "), Stall(after="eins ")])
def test_d31_gemini_breaks_off_behind_it(fault: Fault, proxy: Proxy) -> None:
    """The proxy hides that an answer was cut off: it says "stop". But there is an end, and no call is made up."""

    async def answered() -> CollectedResponse | APIError:
        llm = proxy.model("gemini", conn_options=APIConnectOptions(max_retry=0, timeout=1.0, first_token_timeout=2.0))
        async with ModelServer(Said("eins zwei drei", calls=[("stop", {"now": True})])) as server:
            front = FaultProxy(server.url, fault)
            front.port = proxy.upstream_port
            async with front:
                try:
                    return await llm.chat(chat_ctx=conversation(*HELLO)).collect()
                except APIError as error:
                    return error
                finally:
                    await llm.aclose()

    found = asyncio.run(answered())
    if isinstance(fault, Stall):
        assert isinstance(found, APITimeoutError)
    elif isinstance(found, CollectedResponse):
        assert found.text in ("", "eins ")
        assert found.tool_calls == []
