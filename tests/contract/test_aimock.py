"""aimock, an implementation of the services' wires that is not ours, with our clients: answers, calls, refusals, faults.

It lives in .venv-aimock (`make model-servers`). What it is known to do wrong is named where it is met.
"""

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent_runtime.errors import APIConnectionError, APIError, APIStatusError
from agent_runtime.llm import LLM, CollectedResponse
from agent_runtime.plugins import azure
from agent_runtime.providers.anthropic.llm import AnthropicLLM
from agent_runtime.providers.bedrock.llm import BedrockLLM
from agent_runtime.providers.gemini.llm import GeminiLLM
from agent_runtime.providers.openai.llm import OpenAILLM
from agent_runtime.types import APIConnectOptions
from tests.contract.children import ROOT, free_port, serving
from tests.providers.wires import book, called, conversation, get_weather

PROGRAM = ROOT / ".venv-aimock/node_modules/@copilotkit/aimock/dist/cli.js"
MISSING = None if PROGRAM.exists() and shutil.which("node") else "no aimock here; `make model-servers` gets it"

pytestmark = [
    pytest.mark.sockets,
    pytest.mark.real_time,
    pytest.mark.skipif(MISSING is not None, reason=str(MISSING)),
]

PATIENT = APIConnectOptions(max_retry=0, timeout=3.0, first_token_timeout=3.0)

CLIENTS: dict[str, Callable[[str, APIConnectOptions], LLM]] = {
    "openai": lambda url, options: OpenAILLM("gpt-5", base_url=f"{url}/v1", api_key="key-1", conn_options=options),
    "azure": lambda url, options: azure.LLM(
        "gpt-5",
        azure_endpoint=url,
        azure_deployment="ours",
        api_version="2024-10-21",
        api_key="k",
        conn_options=options,
    ),
    "ollama": lambda url, options: OpenAILLM("llama3.1", provider="ollama", base_url=f"{url}/v1", conn_options=options),
    "openrouter": lambda url, options: OpenAILLM(
        "openai/gpt-4o", provider="openrouter", base_url=f"{url}/api/v1", api_key="key-1", conn_options=options
    ),
    "anthropic": lambda url, options: AnthropicLLM(
        "claude-sonnet-4-6", base_url=url, api_key="key-1", conn_options=options
    ),
    "gemini": lambda url, options: GeminiLLM("gemini-2.5-flash", base_url=url, api_key="key-1", conn_options=options),
    "bedrock": lambda url, options: BedrockLLM(
        "anthropic.claude-sonnet-4-5-20250929-v1:0", base_url=url, bearer_token="key-1", conn_options=options
    ),
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    answers = Path(__file__).with_name("aimock.json")
    log = tmp_path_factory.mktemp("aimock") / "log"
    address = f"http://127.0.0.1:{port}"
    command: list[str | Path] = [
        "node",
        PROGRAM,
        "--port",
        str(port),
        "--fixtures",
        answers,
        "--chunk-size",
        "6",
        "--strict",
    ]
    with serving(command, ready=f"{address}/health", log=log):
        yield address


def ask(name: str, url: str, *said: Any, options: APIConnectOptions = PATIENT, **asked: Any) -> CollectedResponse:
    async def answered() -> CollectedResponse:
        llm = CLIENTS[name](url, options)
        try:
            return await llm.chat(chat_ctx=conversation(*said), **asked).collect()
        finally:
            await llm.aclose()

    return asyncio.run(answered())


def chaos(url: str, **rates: float) -> None:
    """What goes wrong from now on; nothing, where nothing is given."""

    async def tell() -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            address = f"{url}/__aimock/chaos"
            response = await (client.post(address, json=rates) if rates else client.delete(address))
            assert response.is_success, response.text

    asyncio.run(tell())


@pytest.fixture
def calm(url: str) -> Iterator[None]:
    yield
    chaos(url)


HELLO = ("user", "hello")


@pytest.mark.parametrize("name", CLIENTS)
def test_c5_it_streams_to_us(name: str, url: str) -> None:
    found = ask(name, url, HELLO)
    assert found.text == "Grüß dich! How can I help you today?"
    assert found.extra["finish_reason"] == "stop"


@pytest.mark.parametrize("name", CLIENTS)
def test_b13_two_calls_at_once(name: str, url: str) -> None:
    found = ask(name, url, ("user", "weather"), tools=[get_weather, book])
    calls = [(call.name, json.loads(call.arguments)) for call in found.tool_calls]
    assert calls == [("get_weather", {"city": "Köln"}), ("book", {"seats": 2, "name": "Käthe"})]
    assert len({call.call_id for call in found.tool_calls}) == 2


@pytest.mark.parametrize("name", CLIENTS)
def test_c8_it_takes_what_came_of_a_call(name: str, url: str) -> None:
    call = called("call_1", "get_weather", '{"city": "Köln"}', "sunny")
    assert ask(name, url, ("user", "weather"), *call, tools=[get_weather]).text == "It is sunny in Köln."


@pytest.mark.parametrize("name", CLIENTS)
def test_d6_what_it_thinks_is_not_said(name: str, url: str) -> None:
    found = ask(name, url, ("user", "think"))
    assert found.text == "Forty-two."
    assert found.extra.get("reasoning") == "Six times seven."


@pytest.mark.parametrize("name", CLIENTS)
def test_it_refuses(name: str, url: str) -> None:
    with pytest.raises(APIStatusError) as caught:
        ask(name, url, ("user", "busy"))
    assert (caught.value.status_code, caught.value.fault, caught.value.retryable) == (429, "limit", True)
    assert "Slow down." in str(caught.value)


@pytest.mark.usefixtures("calm")
@pytest.mark.parametrize("name", CLIENTS)
def test_it_says_when_to_come_again(name: str, url: str) -> None:
    chaos(url, rateLimitRate=1)
    with pytest.raises(APIStatusError) as caught:
        ask(name, url, HELLO)
    assert (caught.value.status_code, caught.value.retry_after) == (429, 1.0)


@pytest.mark.usefixtures("calm")
@pytest.mark.parametrize("name", CLIENTS)
def test_its_faults(name: str, url: str) -> None:
    kinds: dict[str, tuple[type[APIError], str]] = {
        "dropRate": (APIStatusError, "service"),
        "malformedRate": (APIError, "answer"),
        "disconnectRate": (APIConnectionError, "network"),
    }
    for fault, (kind, whose) in kinds.items():
        chaos(url, **{fault: 1})
        with pytest.raises(APIError) as caught:
            ask(name, url, HELLO)
        assert (type(caught.value), caught.value.fault, caught.value.retryable) == (kind, whose, True), fault


@pytest.mark.usefixtures("calm")
@pytest.mark.parametrize("name", CLIENTS)
def test_it_is_late(name: str, url: str) -> None:
    chaos(url, latencyMs=400)
    assert ask(name, url, HELLO).text
    with pytest.raises(APIConnectionError, match=r"said nothing of .* for 0.2 s before its answer began"):
        ask(name, url, HELLO, options=APIConnectOptions(max_retry=0, first_token_timeout=0.2))
