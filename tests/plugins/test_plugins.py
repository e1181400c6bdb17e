"""The names that users know: each plugin is imported, and asks the right address with the right key for the right model."""

import asyncio
import importlib
import inspect
import json
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from agent_runtime import ChatContext, virtual
from agent_runtime.llm import LLM
from agent_runtime.plugins import azure, letta, openai, openrouter
from agent_runtime.plugins._options import AzureOptions, OpenRouterOptions, Options
from agent_runtime.providers.openai import services
from agent_runtime.providers.openai.llm import OpenAILLM
from tests.providers.openai_wire import HELLO, Recorder, events

ROOT = Path(__file__).parents[2]

KEY = "key-1234567890"

PLUGINS: dict[str, tuple[str | None, dict[str, Any], str, str]] = {
    # the model that is named, the options, the address, the model that is asked for
    "openai": (None, {}, "https://api.openai.com/v1", "gpt-4.1"),
    "baseten": (None, {}, "https://inference.baseten.co/v1", "meta-llama/Llama-4-Maverick-17B-128E-Instruct"),
    "cerebras": (None, {}, "https://api.cerebras.ai/v1", "gpt-oss-120b"),
    "deepseek": (None, {}, "https://api.deepseek.com/v1", "deepseek-chat"),
    "fireworks": (
        None,
        {},
        "https://api.fireworks.ai/inference/v1",
        "accounts/fireworks/models/llama-v3p3-70b-instruct",
    ),
    "groq": (None, {}, "https://api.groq.com/openai/v1", "llama-3.3-70b-versatile"),
    "letta": ("agent-7", {}, "https://api.letta.com/v1", "agent-7"),
    "litellm_proxy": ("gemini-2.5-flash", {}, "http://localhost:4000/v1", "gemini-2.5-flash"),
    "mistralai": (None, {}, "https://api.mistral.ai/v1", "ministral-8b-latest"),
    "ollama": (None, {}, "http://localhost:11434/v1", "llama3.1"),
    "openrouter": (None, {}, "https://openrouter.ai/api/v1", "auto"),
    "perplexity": (None, {}, "https://api.perplexity.ai", "sonar-pro"),
    "telnyx": (None, {}, "https://api.telnyx.com/v2/ai", "meta-llama/Meta-Llama-3.1-70B-Instruct"),
    "together": (None, {}, "https://api.together.xyz/v1", "meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo"),
    "xai": (None, {}, "https://api.x.ai/v1", "grok-4-1-fast-non-reasoning"),
}

OTHERS = ("anthropic", "aws", "google", "langchain")
"""Wires of their own, with tests of their own."""

WITH: dict[str, Callable[..., openai.LLM]] = {
    "cerebras": openai.LLM.with_cerebras,
    "deepseek": openai.LLM.with_deepseek,
    "fireworks": openai.LLM.with_fireworks,
    "groq": openai.LLM.with_groq,
    "litellm_proxy": openai.LLM.with_litellm_proxy,
    "mistralai": openai.LLM.with_mistralai,
    "nebius": openai.LLM.with_nebius,
    "ollama": openai.LLM.with_ollama,
    "ovhcloud": openai.LLM.with_ovhcloud,
    "perplexity": openai.LLM.with_perplexity,
    "sambanova": openai.LLM.with_sambanova,
    "cometapi": openai.LLM.with_cometapi,
    "telnyx": openai.LLM.with_telnyx,
    "together": openai.LLM.with_together,
    "xai": openai.LLM.with_x_ai,
}


def asked(llm: LLM, recorder: Recorder) -> tuple[str, dict[str, str], dict[str, Any]]:
    """The address, the headers and the body of one request."""

    async def ask() -> str:
        chat_ctx = ChatContext()
        chat_ctx.add_message(role="user", content="Hello")
        return (await llm.chat(chat_ctx=chat_ctx).collect()).text

    assert virtual.run(ask()) == "Hello."
    (request,) = recorder.requests
    return str(request.url), dict(request.headers), json.loads(request.content)


@pytest.fixture(autouse=True)
def no_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    for row in services.rows().values():
        for name in (*row.base_url_variables, *row.key_variables, *row.header_variables.values()):
            monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", PLUGINS)
def test_c3_a_plugin_asks_its_service(name: str) -> None:
    model, options, address, expected = PLUGINS[name]
    plugin = importlib.import_module(f"agent_runtime.plugins.{name}")
    recorder = Recorder()
    given = (model,) if model is not None else ()
    llm = plugin.LLM(*given, api_key=KEY, transport=recorder, **options)
    url, headers, body = asked(llm, recorder)
    assert url == f"{address}/chat/completions"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert body["model"] == expected
    assert body["messages"] == [{"role": "user", "content": "Hello"}]
    assert llm.provider == name


@pytest.mark.parametrize("name", WITH)
def test_c3_with_names_the_same_service(name: str) -> None:
    recorder = Recorder()
    llm = WITH[name](model="some/model", api_key=KEY, temperature=0.5, transport=recorder)
    url, headers, body = asked(llm, recorder)
    assert url == f"{services.row(name).base_url}/chat/completions"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert (body["model"], body["temperature"]) == ("some/model", 0.5)
    assert isinstance(llm, openai.LLM)


def test_every_with_is_tested() -> None:
    made = {name.removeprefix("with_") for name in vars(openai.LLM) if name.startswith("with_")}
    known = {"x_ai" if name == "xai" else name for name in WITH}
    assert made == known | {"azure", "letta", "openrouter"}


@pytest.mark.parametrize("make", [azure.LLM, lambda model, **options: openai.LLM.with_azure(model=model, **options)])
def test_c3_azure_has_an_address_of_its_own(make: Any) -> None:
    recorder = Recorder()
    llm = make(
        "gpt-4o",
        azure_endpoint="https://me.openai.azure.com/",
        azure_deployment="my-gpt",
        api_version="2024-10-21",
        api_key=KEY,
        organization="org-1",
        project="proj-1",
        transport=recorder,
    )
    url, headers, _ = asked(llm, recorder)
    assert url == "https://me.openai.azure.com/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21"
    assert headers["api-key"] == KEY
    assert "authorization" not in headers
    assert (headers["openai-organization"], headers["openai-project"]) == ("org-1", "proj-1")


def test_c3_azure_takes_tokens_in_the_place_of_a_key() -> None:
    tokens = iter(["first-token", "second-token"])
    recorder = Recorder()
    llm = azure.LLM(
        "gpt-4o",
        azure_endpoint="https://me.openai.azure.com",
        api_version="2024-10-21",
        azure_ad_token_provider=lambda: next(tokens),
        transport=recorder,
    )
    url, headers, _ = asked(llm, recorder)
    assert "/deployments/gpt-4o/" in url
    assert headers["authorization"] == "Bearer first-token"
    assert "api-key" not in headers


@pytest.mark.parametrize("make", [openrouter.LLM, lambda model, **o: openai.LLM.with_openrouter(model=model, **o)])
def test_c3_openrouter_is_told_who_asks_and_what_else_would_do(make: Any) -> None:
    recorder = Recorder()
    llm = make(
        "openai/gpt-4o",
        site_url="https://me.example",
        app_name="Me",
        fallback_models=["google/gemini-2.5-flash"],
        provider={"sort": "latency"},
        plugins=[{"id": "web"}],
        api_key=KEY,
        extra_body={"transforms": ["middle-out"]},
        transport=recorder,
    )
    _, headers, body = asked(llm, recorder)
    assert (headers["http-referer"], headers["x-title"]) == ("https://me.example", "Me")
    assert body["models"] == ["openai/gpt-4o", "google/gemini-2.5-flash"]
    assert body["provider"] == {"sort": "latency"}
    assert body["plugins"] == [{"id": "web"}]
    assert body["transforms"] == ["middle-out"]


def test_c3_letta_has_agents_for_models() -> None:
    for llm in (
        letta.LLM("agent-7", base_url="http://localhost:8283/v1"),
        openai.LLM.with_letta(agent_id="agent-7", base_url="http://localhost:8283/v1/chat/completions"),
    ):
        assert llm.model == "agent-7"
        assert llm.base_url == "http://localhost:8283/v1"


def test_the_options_are_those_of_the_class() -> None:
    takes = set(inspect.signature(OpenAILLM.__init__).parameters) - {"self", "model", "provider"}
    assert set(Options.__annotations__) == takes
    assert set(AzureOptions.__annotations__) > takes
    assert set(OpenRouterOptions.__annotations__) > takes


def test_an_unknown_name_in_a_plugin_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"'agent_runtime.plugins.groq' has no attribute 'Realtime'"):
        _ = importlib.import_module("agent_runtime.plugins.groq").Realtime


# C5: the seed's standalone snippet

SNIPPET = """\
llm = openai.LLM(model="gpt-4o-mini")

chat_ctx = ChatContext()
chat_ctx.add_message(role="user", content="Hello, this is a test message!")

async with llm.chat(chat_ctx=chat_ctx) as stream:
    async for chunk in stream:
        print("Received chunk:", chunk.delta)
"""


class _Scripted(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked_for = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.seen.append((self.path, self.headers, asked_for))  # type: ignore[attr-defined]
        body = events(HELLO)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Not on the tests' screen."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    made = ThreadingHTTPServer(("127.0.0.1", 0), _Scripted)
    made.seen = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.mark.sockets
@pytest.mark.real_time
@pytest.mark.parametrize("name", [*PLUGINS, "azure"])
def test_c5_the_standalone_snippet(
    name: str,
    server: ThreadingHTTPServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Letter for letter for OpenAI, with the plugin's name for the others; only the table of services leads it here."""
    address = f"http://127.0.0.1:{server.server_address[1]}/{name}"
    table = tmp_path / "services.toml"
    table.write_text(
        f'[{name}]\nbase_url = "{address}"\nkey_variables = ["A_KEY"]\n' + "query = {}\n" * (name == "azure")
    )
    monkeypatch.setenv(services.VARIABLE, str(table))
    monkeypatch.setenv("A_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
    services.rows.cache_clear()
    snippet = SNIPPET.replace("openai.LLM", f"{name}.LLM")
    if name == "letta":
        snippet = snippet.replace("model=", "agent_id=")
    code = (
        f"from agent_runtime import ChatContext\nfrom agent_runtime.plugins import {name}\n"
        f"async def snippet():\n{textwrap.indent(snippet, '    ')}\n    await llm.aclose()"
    )
    names: dict[str, Any] = {}
    exec(code, names)
    try:
        asyncio.run(names["snippet"]())
    finally:
        services.rows.cache_clear()
    ((path, headers, body),) = server.seen  # type: ignore[attr-defined]
    assert path.partition("?")[0] == f"/{name}/chat/completions"
    assert KEY in headers.get("authorization", headers.get("api-key"))
    assert body["model"] == "gpt-4o-mini"
    assert body["messages"][-1] == {"role": "user", "content": "Hello, this is a test message!"}
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Received chunk: ChoiceDelta(role='assistant', content='Hel', tool_calls=[], extra=None)"
    assert "content='lo.'" in lines[1]
    assert all(line.startswith("Received chunk: ") for line in lines)


# What they cost


def test_nineteen_providers_cost_less_than_15_mb() -> None:
    """All importable and one in use, over a script that has a session."""
    code = textwrap.dedent(
        """
        import importlib, pathlib, sys
        sys.modules["click"] = None  # with it and rich, which the tests' tools bring, httpx has a command line: 6 MB
        def rss():
            lines = pathlib.Path("/proc/self/status").read_text().splitlines()
            return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024
        from agent_runtime import AgentSession
        before = rss()
        import agent_runtime.plugins as plugins
        for path in sorted(pathlib.Path(plugins.__file__).parent.glob("*.py")):
            importlib.import_module(f"agent_runtime.plugins.{path.stem}")
        from agent_runtime.plugins import groq
        groq.LLM(api_key="gsk_12345678")
        print(rss() - before)
        heavy = {"numpy", "openai", "anthropic", "botocore", "google.auth", "jsonschema", "langchain_core", "pydantic"}
        print(*sorted(heavy & set(sys.modules)))
        """
    )
    if not Path("/proc/self/status").is_file():
        pytest.skip(reason="Memory is read from /proc/self/status: run the tests on Linux, or in a container.")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True, timeout=60
    )
    used, heavy = done.stdout.split("\n")[:2]
    assert heavy == ""
    assert float(used) < 15
