"""Rows of docs/models.md that belong to no wire alone: the documents' own snippets, a model in a session, a proxy.

All is asked as a user asks: keys in the environment, no transport of a test's own.
"""

import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from agent_runtime import Agent, AgentSession, ChatContext, cli, function_tool, inference, virtual
from agent_runtime.chat import ChatMessage
from agent_runtime.errors import UsageError
from agent_runtime.inference import catalog
from agent_runtime.llm import ChatChunk, ChoiceDelta
from agent_runtime.plugins import gemini, litellm_proxy, openai
from agent_runtime.testing.model_server import Said
from agent_runtime.testing.scripted import Line
from tests.providers.gemini.test_cache import LONG, seed
from tests.scripted_call import Plain, Told, call
from tests.scripted_services import Services, everywhere, forget_keys

HELLO = [Line(0.5, "hello", 0.6)]
AWS = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "BEDROCK_INFERENCE_PROFILE_ARN")
GATEWAY = "https://agent-gateway.livekit.cloud/v1/chat/completions"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Services:
    return everywhere(monkeypatch)


def answers(told: Told) -> list[str]:
    return [text for role, text in told.said if role == "assistant"]


async def typed(session: AgentSession[Any], agent: Agent | None = None) -> list[str]:
    """What the session says to "Hello?"."""
    await session.start(agent or Plain())
    await session.run(user_input="Hello?")
    said = [item.text_content or "" for item in session.history.items if isinstance(item, ChatMessage)]
    await session.aclose()
    return said[1:]


# The documents' snippets, their imports aside: `livekit.agents` is `agent_runtime`, `livekit.plugins` is
# `agent_runtime.plugins`.

GEMINI_BY_STRING = """\
from livekit.agents import AgentSession

session = AgentSession(
    llm="google/gemini-2.5-flash-lite",
    # ... tts, stt, vad, turn_detection, etc.
)
"""

GEMINI_BY_CLASS = """\
from livekit.agents import AgentSession, inference

session = AgentSession(
    llm=inference.LLM(
        model="google/gemini-2.5-flash-lite",
        extra_kwargs={
            "max_completion_tokens": 1000
        }
    ),
    # ... tts, stt, vad, turn_detection, etc.
)
"""

HOSTED_BY_CLASS = """\
from livekit.agents import AgentSession, inference
session = AgentSession(
llm=inference.LLM(
model="google/gemma-4-31b-it",
extra_kwargs={
"max_completion_tokens": 1000
}
),
# ... tts, stt, vad, turn_handling, etc.
)
"""

HOSTED_BY_STRING = """\
from livekit.agents import AgentSession
session = AgentSession(
llm="google/gemma-4-31b-it",
# ... tts, stt, vad, turn_handling, etc.
)
"""

OVERVIEW = """\
from livekit.agents import AgentSession

session = AgentSession(
    llm="openai/gpt-4.1-mini",
)
"""

STANDALONE = """\
from livekit.agents import ChatContext
from livekit.plugins import openai

llm = openai.LLM(model="gpt-4o-mini")
    
chat_ctx = ChatContext()
chat_ctx.add_message(role="user", content="Hello, this is a test message!")
    
async with llm.chat(chat_ctx=chat_ctx) as stream:
    async for chunk in stream:
        print("Received chunk:", chunk.delta)
"""  # noqa: W293  # as it stands there


def ours(snippet: str) -> str:
    return snippet.replace("livekit.agents", "agent_runtime").replace("livekit.plugins", "agent_runtime.plugins")


@pytest.mark.parametrize(
    ("snippet", "model", "parameters"),
    [
        (GEMINI_BY_STRING, "google/gemini-2.5-flash-lite", {}),
        (GEMINI_BY_CLASS, "google/gemini-2.5-flash-lite", {"max_completion_tokens": 1000}),
        (HOSTED_BY_CLASS, "google/gemma-4-31b-it", {"max_completion_tokens": 1000}),
        (HOSTED_BY_STRING, "google/gemma-4-31b-it", {}),
        (OVERVIEW, "openai/gpt-4.1-mini", {}),
    ],
)
def test_a1_a2_a5_a8_c10_the_documents_snippets_letter_for_letter(
    snippet: str, model: str, parameters: dict[str, Any], world: Services
) -> None:
    names: dict[str, Any] = {}
    exec(ours(snippet), names)

    async def main() -> list[str]:
        said = await typed(names["session"])
        await names["session"].llm.aclose()
        return said

    assert virtual.run(main()) == ["Hello there."]
    assert [str(request.url) for request in world.asked] == [GATEWAY]
    assert world.asked[0].headers["authorization"].startswith("Bearer ey")
    assert "x-livekit-inference-provider" not in world.asked[0].headers
    assert world.body == {
        "model": model,
        "messages": [{"role": "system", "content": "You are plain."}, {"role": "user", "content": "Hello?"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        **parameters,
    }


STARTS = {
    "openai": ("openai.LLM(model=", "https://api.openai.com/v1/chat/completions"),
    "google": ("google.LLM(model=", "https://generativelanguage.googleapis.com/v1beta/models/gpt-4o-mini:"),
    "anthropic": ("anthropic.LLM(model=", "https://api.anthropic.com/v1/messages"),
    "aws": ("aws.LLM(model=", "https://bedrock-runtime.us-east-1.amazonaws.com/model/gpt-4o-mini/converse-stream"),
    "inference": ("inference.LLM(model=", GATEWAY),
}


@pytest.mark.parametrize("name", STARTS)
def test_c5_the_snippet_for_wires_of_their_own(
    name: str, world: Services, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Letter for letter, with another provider's name for `openai`."""
    for variable in AWS:
        monkeypatch.delenv(variable, raising=False)
    made, address = STARTS[name]
    snippet = ours(STANDALONE).replace("openai.LLM(model=", made).replace("import openai", f"import {name}")
    if name == "inference":
        snippet = snippet.replace("agent_runtime.plugins", "agent_runtime")
    names: dict[str, Any] = {}
    body = "".join(f"    {line}\n" for line in snippet.splitlines())
    exec(f"async def main():\n{body}    await llm.aclose()", names)
    virtual.run(names["main"]())
    (request,) = world.asked
    assert str(request.url).startswith(address)
    assert "Hello, this is a test message!" in request.content.decode()
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("Received chunk: ") for line in lines)
    assert re.findall(r"content='(.*?)'", "".join(lines)) == ["Hello ", "there."]


# What is told about models


def test_a4_the_command_says_through_whom_a_model_comes(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "google/gemini-2.5-pro"]) == 0
    assert "Vertex AI" in capsys.readouterr().out


def test_a11_prices_are_shown_with_their_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "openai/gpt-4.1-mini"]) == 0
    out = capsys.readouterr().out
    assert "$0.40 in" in out
    assert "2026-" in out


# Parameters

OF_PLAIN_MODELS: dict[str, Any] = {
    "temperature": 0.7,
    "top_p": 0.9,
    "frequency_penalty": 0.5,
    "presence_penalty": 0.5,
    "n": 2,
    "logprobs": True,
    "top_logprobs": 3,
    "logit_bias": {"50256": -100},
}


@pytest.mark.parametrize(
    "model", ["openai/o1", "openai/o3-mini", "openai/o4-mini", "openai/gpt-5", "openai/gpt-5-nano"]
)
def test_b1_b2_b5_b6_b9_b10_b11_b12_are_not_sent_to_reasoning_models(
    model: str, world: Services, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        for name in (model, "openai/gpt-4.1-mini"):
            llm = inference.LLM(name, extra_kwargs={**OF_PLAIN_MODELS, "seed": 7})
            await llm.chat(chat_ctx=_asking()).collect()
            await llm.aclose()

    virtual.run(main())
    thinks, plain = world.bodies
    assert thinks["seed"] == 7
    assert not OF_PLAIN_MODELS.keys() & thinks.keys()
    assert {name: plain[name] for name in OF_PLAIN_MODELS} == OF_PLAIN_MODELS
    for name in OF_PLAIN_MODELS:
        assert f"{name} is not sent" in caplog.text


def test_c10_parameters_may_stand_in_the_string(world: Services) -> None:
    async def main() -> None:
        session: AgentSession[Any] = AgentSession(
            llm="google/gemma-4-31b-it?max_completion_tokens=1000&temperature=0.2&provider=baseten"
        )
        await typed(session)

    virtual.run(main())
    assert (world.body["max_completion_tokens"], world.body["temperature"]) == (1000, 0.2)
    assert "provider" not in world.body
    assert world.asked[0].headers["x-livekit-inference-provider"] == "baseten"


def _asking() -> ChatContext:
    chat_ctx = ChatContext()
    chat_ctx.add_message(role="user", content="Hello?")
    return chat_ctx


# A model in a session


def test_c1_what_is_recognised_goes_to_the_model_and_its_answer_is_spoken(world: Services) -> None:
    lines = [Line(0.5, "what is the capital of france", 1.5)]
    told = call(lines, llm=openai.LLM(model="gpt-4.1-mini"), until=6.0)
    assert world.body["messages"] == [
        {"role": "system", "content": "You are plain."},
        {"role": "user", "content": "what is the capital of france"},
    ]
    assert told.said == [("user", "what is the capital of france"), ("assistant", "Hello there.")]
    assert any(told.sound)


ADDRESSES = {
    "bedrock": "https://bedrock-runtime.us-east-1.amazonaws.com/model/amazon.nova-2-lite-v1%3A0/converse-stream",
    "anthropic": "https://api.anthropic.com/v1/messages",
    "baseten": "https://inference.baseten.co/v1/chat/completions",
    "gemini": "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
    "groq": "https://api.groq.com/openai/v1/chat/completions",
    "mistralai": "https://api.mistral.ai/v1/chat/completions",
    "openai": "https://api.openai.com/v1/chat/completions",
    "azure": "https://me.openai.azure.com/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
    "cerebras": "https://api.cerebras.ai/v1/chat/completions",
    "deepseek": "https://api.deepseek.com/v1/chat/completions",
    "fireworks": "https://api.fireworks.ai/inference/v1/chat/completions",
    "letta": "https://api.letta.com/v1/chat/completions",
    "ollama": "http://localhost:11434/v1/chat/completions",
    "openrouter": "https://openrouter.ai/api/v1/chat/completions",
    "perplexity": "https://api.perplexity.ai/chat/completions",
    "telnyx": "https://api.telnyx.com/v2/ai/chat/completions",
    "together": "https://api.together.xyz/v1/chat/completions",
    "xai": "https://api.x.ai/v1/chat/completions",
}
"""Of each of the nineteen; LangChain's graphs are objects, and have none."""


@pytest.mark.parametrize(
    "provider", [each for each in catalog.providers() if each.number], ids=lambda each: each.plugin
)
def test_c3_the_descriptor_of_each_of_the_nineteen_asks_its_service(
    provider: catalog.Provider, world: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    if provider.plugin == "langchain":
        assert provider.example == ""
        return
    for name in ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", *AWS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://me.openai.azure.com")
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")

    async def main() -> list[str]:
        return await typed(AgentSession(llm=provider.example))

    assert virtual.run(main()) == ["Hello there."]
    assert [str(request.url) for request in world.asked] == [ADDRESSES[provider.id]]
    assert "Hello?" in world.asked[0].content.decode()


class Groq(Agent):
    """With a plugin's model, of its own key."""

    def __init__(self) -> None:
        super().__init__(instructions="You are quick.", llm="groq/llama-3.3-70b-versatile")


class Transfers(Plain):
    @function_tool
    async def transfer(self) -> tuple[Agent, str]:
        """Hand over."""
        return Groq(), "Transferred."


def test_c2_one_agent_asks_the_gateway_and_the_other_the_service(world: Services) -> None:
    world.said = [Said("One moment.", calls=[("transfer", {})]), Said("Hello from here.")]
    told = call(HELLO, llm="google/gemini-2.5-flash", agent=Transfers, until=9.0)
    assert [str(request.url) for request in world.asked] == [
        GATEWAY,
        "https://api.groq.com/openai/v1/chat/completions",
    ]
    token, key = (request.headers["authorization"] for request in world.asked)
    assert token.startswith("Bearer ey")
    assert key == "Bearer key-of-groq-api-key"
    assert answers(told) == ["One moment.", "Hello from here."]


async def _strings() -> AsyncIterator[str]:
    yield "Two "
    yield "pieces."


async def _chunks() -> AsyncIterator[ChatChunk]:
    yield ChatChunk("a", ChoiceDelta(content="Two ", extra={"reasoning": "Hm."}))
    yield ChatChunk("a", ChoiceDelta(content="chunks."))


async def _one() -> str:
    return "One string."


async def _later() -> AsyncIterator[str]:
    return _strings()


class Own(Plain):
    def __init__(self, give: Callable[[], Any]) -> None:
        super().__init__()
        self.give = give

    def llm_node(self, chat_ctx: Any, tools: Any, model_settings: Any) -> Any:
        return self.give()


@pytest.mark.parametrize(
    ("give", "said"),
    [(_one, "One string."), (_strings, "Two pieces."), (_later, "Two pieces."), (_chunks, "Two chunks.")],
)
def test_c4_a_node_of_ones_own_is_spoken(give: Callable[[], Any], said: str, world: Services) -> None:
    told = call(HELLO, llm="openai/gpt-4.1-mini", agent=lambda: Own(give), until=6.0)
    assert answers(told) == [said]
    assert any(told.sound)
    assert not world.asked


class Shouts(Plain):
    """Round the model that was there before."""

    async def llm_node(self, chat_ctx: Any, tools: Any, model_settings: Any) -> AsyncIterator[Any]:
        chat_ctx.add_message(role="system", content="It is noon.")
        async for chunk in Agent.default.llm_node(self, chat_ctx, tools, model_settings):
            if chunk.delta is not None and chunk.delta.content:
                yield chunk.delta.content.upper()


def test_c4_a_node_may_go_round_the_model(world: Services) -> None:
    told = call(HELLO, llm="openai/gpt-4.1-mini", agent=Shouts, until=6.0)
    assert answers(told) == ["HELLO THERE."]
    assert {"role": "system", "content": "It is noon."} in world.body["messages"]
    assert all(item.text_content != "It is noon." for item in told.history.items if isinstance(item, ChatMessage))


class Booking(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You take bookings.", llm="openai/gpt-4.1")


class Desk(Plain):
    @function_tool
    async def transfer_to_booking(self) -> tuple[Agent, str]:
        """Hand the caller over to the booking desk."""
        return Booking(), "Transferred."


def test_c7_each_agent_asks_its_own_model(world: Services) -> None:
    world.said = [Said("I will put you through.", calls=[("transfer_to_booking", {})]), Said("For when?")]
    told = call(HELLO, llm="openai/gpt-4.1-mini", agent=Desk, until=9.0)
    assert [body["model"] for body in world.bodies] == ["openai/gpt-4.1-mini", "openai/gpt-4.1"]
    assert world.body["messages"][0] == {"role": "system", "content": "You take bookings."}
    assert answers(told) == ["I will put you through.", "For when?"]
    assert told.session.current_agent.id == "booking"


def test_c9_a_realtime_model_is_refused_in_a_sentence() -> None:
    class RealtimeModel:
        """Of another framework."""

    with pytest.raises(UsageError, match=r"The LLM is <.*RealtimeModel.*>; give a descriptor such as 'local/rules'"):
        AgentSession(llm=RealtimeModel())  # type: ignore[arg-type]


# LiteLLM's


def test_d3_the_pass_through_of_a_proxy_is_an_address(world: Services) -> None:
    async def main() -> None:
        llm = gemini.LLM("gemini-2.5-flash", base_url="http://localhost:4000/gemini", api_key="sk-1234-of-litellm")
        await llm.chat(chat_ctx=_asking(), extra_kwargs={"topK": 1}).collect()
        await llm.aclose()

    virtual.run(main())
    (request,) = world.asked
    assert str(request.url).startswith("http://localhost:4000/gemini/v1beta/models/gemini-2.5-flash:streamGenerate")
    assert request.headers["x-goog-api-key"] == "sk-1234-of-litellm"
    assert world.body["generationConfig"] == {"topK": 1}


def test_d27_the_usage_says_what_came_out_of_the_cache(world: Services) -> None:
    """The seed's loop: the second usage is less, by what was kept."""
    world.said = [Said("Terms.", prompt_tokens=9000), Said("Terms.", prompt_tokens=9000, cached_tokens=8900)]
    assert len(LONG) > 4096

    async def main() -> list[int]:
        llm = gemini.LLM("gemini-2.5-flash")
        found = []
        for _ in range(2):
            usage = (await llm.chat(chat_ctx=seed()).collect()).usage
            assert usage is not None
            found.append(usage.prompt_tokens - usage.prompt_cached_tokens)
        await llm.aclose()
        return found

    assert virtual.run(main()) == [9000, 100]
    assert [body["cachedContent"] for body in world.bodies] == ["cachedContents/c1"] * 2


AS_LITELLM_NAMES_IT: dict[str, Any] = {
    "D4": {"temperature": 0.7, "max_tokens": 150, "frequency_penalty": 0.5, "logprobs": True, "stop": ["END"]},
    "D5": {"reasoning_effort": "disable"},
    "D7": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    "D11": {"topK": 1},
    "D12": {"safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]},
    "D15": {"tools": [{"googleSearch": {}}]},
    "D16": {"tools": [{"urlContext": {}}]},
    "D17": {"tools": [{"codeExecution": {}}]},
    "D28": {"modalities": ["audio"], "audio": {"voice": "Kore", "format": "pcm16"}},
    "D30": {"modalities": ["image", "text"]},
}


@pytest.mark.parametrize("row", AS_LITELLM_NAMES_IT)
def test_d31_what_litellm_takes_goes_to_its_proxy_under_its_names(row: str, world: Services) -> None:
    async def main() -> None:
        llm = litellm_proxy.LLM("gemini-2.5-flash", extra_kwargs=AS_LITELLM_NAMES_IT[row])
        await llm.chat(chat_ctx=_asking()).collect()
        await llm.aclose()

    virtual.run(main())
    assert {name: world.body[name] for name in AS_LITELLM_NAMES_IT[row]} == AS_LITELLM_NAMES_IT[row]


RECIPES = {"type": "array", "items": {"type": "object", "properties": {"recipe_name": {"type": "string"}}}}


def test_d31_messages_go_to_the_proxy_as_litellm_writes_them(world: Services) -> None:
    """D8, D21 to D23 and D25 by the seed's own dictionaries."""
    kept = {"type": "text", "text": "A long agreement.", "cache_control": {"type": "ephemeral"}}
    files = [
        {"type": "file", "file": {"file_data": "data:audio/mp3;base64,SUQzBA=="}},
        {"type": "file", "file": {"file_id": "https://storage.test/a", "format": "application/pdf"}},
        {"type": "file", "file": {"file_id": "gs://storage/a", "format": "application/pdf"}},
    ]
    chat_ctx = ChatContext()
    chat_ctx.add_message(role="system", content=[kept])
    chat_ctx.add_message(role="user", content=["Please summarize the file.", *files])
    wanted = {"type": "json_object", "response_schema": RECIPES}

    async def main() -> None:
        llm = litellm_proxy.LLM("gemini-2.5-flash")
        await llm.chat(chat_ctx=chat_ctx, response_format=wanted).collect()
        await llm.aclose()

    virtual.run(main())
    system, user = world.body["messages"]
    assert system["content"] == [kept]
    sent = [part for part in user["content"] if part["type"] == "file"]
    assert [part["file"].get("file_id") for part in sent] == [None, "https://storage.test/a", "gs://storage/a"]
    assert [part["file"].get("format") for part in sent[1:]] == ["application/pdf"] * 2
    assert sent[0]["file"]["file_data"].endswith(";base64,SUQzBA==")
    assert json.dumps(RECIPES["items"]) in json.dumps(world.body["response_format"])


@pytest.mark.parametrize(
    ("variables", "address", "key"),
    [
        ({}, "http://localhost:4000/v1/chat/completions", None),
        (
            {"LITELLM_PROXY_API_BASE": "http://0.0.0.0:4000", "LITELLM_PROXY_API_KEY": "sk-1234"},
            "http://0.0.0.0:4000/chat/completions",
            "Bearer sk-1234",
        ),
    ],
)
def test_d31_the_address_and_the_key_of_the_proxy(
    variables: dict[str, str], address: str, key: str | None, world: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_keys(monkeypatch)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    async def main() -> list[str]:
        return await typed(AgentSession(llm="litellm_proxy/gemini-2.5-flash?reasoning_effort=low"))

    assert virtual.run(main()) == ["Hello there."]
    assert str(world.asked[0].url) == address
    assert world.asked[0].headers.get("authorization") == key
    assert (world.body["model"], world.body["reasoning_effort"]) == ("gemini-2.5-flash", "low")
