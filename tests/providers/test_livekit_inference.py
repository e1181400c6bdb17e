"""LiveKit's gateway: address, token, headers (rows A1 to A10, and section 4 of the reference)."""

import json
from typing import Any

import httpx
import jwt
import pytest

from agent_runtime import clock, virtual
from agent_runtime.errors import APIStatusError, UsageError
from agent_runtime.providers.livekit_inference import LLM, InferenceLLM, job_headers
from agent_runtime.tools import function_tool
from agent_runtime.virtual import WALL_START
from tests.providers.openai_wire import DONE, HELLO, Body, Message, Recorder, ask, hello, said

KEY, SECRET = "APIkey", "a secret of more than thirty-two bytes"


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LIVEKIT_INFERENCE_URL", "LIVEKIT_URL", "LIVEKIT_INFERENCE_API_KEY", "LIVEKIT_INFERENCE_API_SECRET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("LIVEKIT_WORKER_TOKEN", raising=False)
    monkeypatch.setenv("LIVEKIT_API_KEY", KEY)
    monkeypatch.setenv("LIVEKIT_API_SECRET", SECRET)


@function_tool
async def book(day: str) -> str:
    """Book a table."""
    return day


def made(wire: Recorder, model: str = "google/gemini-2.5-flash", **options: Any) -> InferenceLLM:
    return InferenceLLM(model, transport=wire, **options)


def test_a1_a_string_is_a_model() -> None:
    llm = LLM.from_model_string("google/gemini-2.5-flash-lite")
    assert isinstance(llm, InferenceLLM)
    assert (llm.model, llm.provider) == ("google/gemini-2.5-flash-lite", "livekit")


def test_a2_a8_a_request() -> None:
    wire = Recorder()
    llm = made(wire, provider="google", extra_kwargs={"max_completion_tokens": 1000, "add_generation_prompt": False})
    assert virtual.run(ask(llm)).text == "Hello."
    request = wire.requests[0]
    assert str(request.url) == "https://agent-gateway.livekit.cloud/v1/chat/completions"
    assert wire.body == {
        "model": "google/gemini-2.5-flash",
        "messages": [{"role": "user", "content": "Hello?"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_completion_tokens": 1000,
        "add_generation_prompt": False,
    }
    assert request.headers["x-livekit-inference-provider"] == "google"
    assert request.headers["user-agent"].startswith("LiveKit Agents/")


IDS = (
    "google/gemini-2.5-pro google/gemini-2.5-flash google/gemini-2.0-flash google/gemini-2.0-flash-lite "
    "google/gemma-4-31b-it openai/gpt-4o openai/gpt-oss-120b qwen/qwen3-235b-a22b-instruct moonshotai/kimi-k2-instruct "
    "deepseek-ai/deepseek-v3 anyone/anything"
).split()


@pytest.mark.parametrize("model", IDS)
def test_a3_a5_a6_no_model_is_unknown(model: str) -> None:
    wire = Recorder()
    virtual.run(ask(made(wire, model)))
    assert wire.body["model"] == model


def test_a7_the_gateway_chooses_where_no_provider_is_named() -> None:
    wire = Recorder()
    virtual.run(ask(made(wire)))
    assert "x-livekit-inference-provider" not in wire.requests[0].headers
    assert "x-livekit-inference-priority" not in wire.requests[0].headers


def test_a9_what_gemma_thinks_is_not_said() -> None:
    thoughts: list[Message] = [
        said("<|channel>tho"),
        said("ught\nHm.<chan"),
        said("nel|>Hi."),
        said(finish="stop"),
        DONE,
    ]
    response = virtual.run(ask(made(Recorder(thoughts), "google/gemma-4-31b-it")))
    assert (response.text, response.extra["reasoning"]) == ("Hi.", "\nHm.")
    thoughts = [said("<think>Hm.</think>Hi."), said(finish="stop"), DONE]
    assert virtual.run(ask(made(Recorder(thoughts)))).text == "Hi."


def test_a10_reasoning_effort_is_passed_on() -> None:
    wire = Recorder()
    virtual.run(ask(made(wire, "openai/gpt-5", extra_kwargs={"reasoning_effort": "low", "temperature": 1})))
    assert wire.body["reasoning_effort"] == "low"
    assert "temperature" not in wire.body


def test_tools_are_strict() -> None:
    wire = Recorder()
    virtual.run(ask(made(wire), tools=[book], tool_choice="required"))
    assert wire.body["tools"][0]["function"]["strict"] is True
    assert wire.body["tool_choice"] == "required"


# The token


def test_a_token_is_signed_for_each_request() -> None:
    wire = Recorder()

    async def twice() -> None:
        llm = made(wire)
        await llm.chat(chat_ctx=hello()).collect()
        await clock.sleep(700.0)
        await llm.chat(chat_ctx=hello()).collect()
        await llm.aclose()

    virtual.run(twice())
    begun = int(WALL_START.timestamp())
    for request, at in zip(wire.requests, (begun, begun + 700), strict=True):
        token = request.headers["authorization"].removeprefix("Bearer ")
        assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}
        claims = jwt.decode(token, SECRET, algorithms=["HS256"], options={"verify_exp": False, "verify_nbf": False})
        assert claims == {"inference": {"perform": True}, "sub": "agent", "iss": KEY, "nbf": at, "exp": at + 600}


def test_keys_of_the_arguments_count_first_and_then_those_of_inference(monkeypatch: pytest.MonkeyPatch) -> None:
    def issuer(**options: Any) -> str:
        wire = Recorder()
        virtual.run(ask(made(wire, **options)))
        token = wire.requests[0].headers["authorization"].removeprefix("Bearer ")
        return str(jwt.decode(token, options={"verify_signature": False})["iss"])

    assert issuer() == KEY
    monkeypatch.setenv("LIVEKIT_INFERENCE_API_KEY", "inference")
    assert issuer() == "inference"
    assert issuer(api_key="argument") == "argument"


def test_missing_keys_are_named_both_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIVEKIT_API_SECRET")
    with pytest.raises(UsageError, match="needs LIVEKIT_API_SECRET; set it"):
        made(Recorder())
    monkeypatch.delenv("LIVEKIT_API_KEY")
    with pytest.raises(UsageError, match="needs LIVEKIT_API_KEY and LIVEKIT_API_SECRET; set them"):
        made(Recorder())


# The address


@pytest.mark.parametrize(
    ("environment", "argument", "address"),
    [
        ({}, None, "https://agent-gateway.livekit.cloud/v1"),
        ({"LIVEKIT_URL": "wss://me.livekit.cloud"}, None, "https://agent-gateway.livekit.cloud/v1"),
        ({"LIVEKIT_URL": "wss://me.staging.livekit.cloud"}, None, "https://agent-gateway.staging.livekit.cloud/v1"),
        (
            {"LIVEKIT_URL": "wss://me.staging.livekit.cloud", "LIVEKIT_INFERENCE_URL": "https://own.test/v1/"},
            None,
            "https://own.test/v1",
        ),
        ({"LIVEKIT_INFERENCE_URL": "https://own.test/v1"}, "http://127.0.0.1:1/v1", "http://127.0.0.1:1/v1"),
    ],
)
def test_the_address(
    environment: dict[str, str], argument: str | None, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    llm = made(Recorder(), base_url=argument)
    assert llm.base_url == address
    assert llm.prewarm_url == f"{address}/models"


# How urgent, and for which job


def test_the_class_of_the_call_counts_before_the_models() -> None:
    wire = Recorder()
    virtual.run(ask(made(wire, inference_class="low")))
    assert wire.requests[-1].headers["x-livekit-inference-priority"] == "low"
    virtual.run(ask(made(wire, inference_class="low"), inference_class="priority"))
    assert wire.requests[-1].headers["x-livekit-inference-priority"] == "priority"
    assert "inference_class" not in wire.body
    with pytest.raises(UsageError, match="inference_class is 'urgent'; it is one of"):
        made(wire, inference_class="urgent")


def test_a_job_says_which_it_is_and_counts_before_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEKIT_WORKER_TOKEN", "worker")
    wire = Recorder()

    async def in_a_job() -> None:
        job_headers.set({"X-LiveKit-Room-ID": "RM_1", "X-LiveKit-Inference-Priority": "standard"})
        await ask(made(wire, inference_class="low"))

    virtual.run(in_a_job())
    headers = wire.requests[0].headers
    assert headers["x-livekit-room-id"] == "RM_1"
    assert headers["x-livekit-inference-priority"] == "standard"
    assert headers["x-livekit-worker-token"] == "worker"
    assert headers["x-livekit-session-id"].startswith("inference_")
    virtual.run(ask(made(wire)))
    assert not [name for name in wire.requests[1].headers if name.startswith("x-livekit")]


# Changes, and refusals


def test_options_change_for_the_next_request() -> None:
    wire = Recorder()

    async def changed() -> None:
        llm = made(wire, extra_kwargs={"seed": 1, "top_k": 2})
        llm.update_options(model="openai/o3", provider="azure", extra_kwargs={"seed": 3})
        assert (llm.label, llm.first_token_timeout) == ("livekit/openai/o3", 60.0)
        await ask(llm)

    virtual.run(changed())
    assert (wire.body["model"], wire.body["seed"], wire.body.get("top_k")) == ("openai/o3", 3, None)
    assert wire.requests[0].headers["x-livekit-inference-provider"] == "azure"
    with pytest.raises(UsageError, match="The model is ''"):
        made(wire).update_options(model="")


@pytest.mark.parametrize("options", [{"provider": ""}, {"provider": 3}, {"extra_kwargs": [1]}])
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        made(Recorder(), **options)


def test_a_quota_that_is_used_up_is_named() -> None:
    headers = {"X-LiveKit-Inference-RPM-Limit": "60", "X-LiveKit-Inference-RPM-Used": "61", "retry-after": "99"}
    body = json.dumps({"error": {"message": "rate limited"}}).encode()
    wire = Recorder(httpx.Response(429, headers=headers, stream=Body(body)), HELLO)
    with pytest.raises(APIStatusError, match="61 of 60 requests a minute") as caught:
        virtual.run(ask(made(wire)))
    assert caught.value.body["quotas"] == {"rpm": {"used": "61", "limit": "60"}}
    assert len(wire.requests) == 1
