"""Our side: what our clients send for the calls, without any socket, and what they read."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx

from agent_runtime import virtual
from agent_runtime.chat import ChatContext
from agent_runtime.errors import APIError, UsageError
from agent_runtime.llm import CollectedResponse
from agent_runtime.providers.anthropic.llm import AnthropicLLM
from agent_runtime.providers.bedrock.llm import BedrockLLM
from agent_runtime.providers.gemini.llm import GeminiLLM
from agent_runtime.providers.livekit_inference import InferenceLLM
from agent_runtime.providers.openai.llm import OpenAILLM
from agent_runtime.providers.remote import RemoteLLM
from agent_runtime.testing.model_server import Received, Said, told
from tests.contract.calls import HISTORIES, TOOLS, Call
from tests.contract.material import AWS_KEY, AWS_SECRET, HELLO, KEY, PICTURE_URL, PNG, REGION, SECRET
from tests.contract.normal import request

JSON = Any

MODELS: dict[str, tuple[type[RemoteLLM], dict[str, Any]]] = {
    "openai": (OpenAILLM, {"model": "gpt-4.1", "api_key": KEY, "base_url": "http://127.0.0.1:9/v1"}),
    "anthropic": (
        AnthropicLLM,
        {"model": "claude-sonnet-4-5", "api_key": KEY, "base_url": "http://127.0.0.1:9"},
    ),
    "boto3": (
        BedrockLLM,
        {
            "model": "amazon.nova-2-lite-v1:0",
            "api_key": AWS_KEY,
            "api_secret": AWS_SECRET,
            "region": REGION,
            "base_url": "http://127.0.0.1:9",
        },
    ),
    "google": (GeminiLLM, {"model": "gemini-2.5-flash", "api_key": KEY, "base_url": "http://127.0.0.1:9"}),
    "litellm": (GeminiLLM, {"model": "gemini/gemini-2.5-flash", "api_key": KEY, "base_url": "http://127.0.0.1:9"}),
    "services": (OpenAILLM, {"api_key": KEY, "base_url": "http://127.0.0.1:9/v1"}),
    "livekit": (
        InferenceLLM,
        {"model": "openai/gpt-4.1", "api_key": KEY, "api_secret": SECRET, "base_url": "http://127.0.0.1:9/v1"},
    ),
}


class Recording(httpx.AsyncBaseTransport):
    """A service that answers everything with `said`, and keeps what it was asked."""

    def __init__(self, said: Said) -> None:
        self.said = said
        self.received: list[Received] = []

    async def handle_async_request(self, asked: httpx.Request) -> httpx.Response:
        if asked.headers["host"] == urlsplit(PICTURE_URL).hostname:
            return httpx.Response(200, content=PNG, headers={"content-type": "image/png"})
        content = await asked.aread()
        received = Received(asked.method, asked.url.raw_path.decode(), dict(asked.headers), content)
        self.received.append(received)
        content_type, body = told(received, self.said)
        return httpx.Response(200, headers={"content-type": content_type}, stream=httpx.ByteStream(body))

    def normal(self, sdk: str) -> list[JSON]:
        return [request(sdk, each.method, each.path, each.headers, each.body) for each in self.received]


def sent(sdk: str, call: Call) -> JSON:
    """What we send where the SDK makes the call; ``{"refused": ...}`` where we would not."""
    service = Recording(Said("Fine.", prompt_tokens=3, completion_tokens=1))
    kind, base = MODELS[sdk]
    made, asked, extra = {**base, **call.of(sdk, "made")}, dict(call.of(sdk, "asked")), dict(call.of(sdk, "extra"))
    if made.get("provider") == "azure" and sdk == "openai":  # its address is made of the deployment
        made["placeholders"] = {**made["placeholders"], "AZURE_OPENAI_ENDPOINT": "http://127.0.0.1:9"}
        made["base_url"] = None
    if extra:
        (made if sdk == "livekit" else asked)["extra_kwargs"] = extra
    try:
        llm = kind(**made, transport=service)
        answered(llm, call.chat_ctx(sdk), tools=call.tools_of(sdk), **asked)
    except UsageError as error:
        return {"refused": str(error)}
    return one(service.normal(sdk))


def one(requests: Sequence[JSON]) -> JSON:
    """The request; where there are more, all, by their number."""
    return requests[0] if len(requests) == 1 else {str(number): each for number, each in enumerate(requests)}


def embedded(sdk: str, **more: Any) -> JSON:
    """What we send for two vectors."""
    service = Recording(Said())
    llm = GeminiLLM(**MODELS[sdk][1], transport=service)

    async def ask() -> None:
        try:
            await llm.embed([HELLO, "Bye"], **more)
        finally:
            await llm.aclose()

    virtual.run(ask())
    return one(service.normal(sdk))


def answered(llm: RemoteLLM, chat_ctx: ChatContext, **asked: Any) -> CollectedResponse:
    async def ask() -> CollectedResponse:
        try:
            return await llm.chat(chat_ctx=chat_ctx, **asked).collect()
        finally:
            await llm.aclose()

    return virtual.run(ask())


def read(sdk: str, said: Said, **asked: Any) -> CollectedResponse | APIError:
    """What our client understands of the scripted answer, on the wire of that SDK."""
    kind, made = MODELS[sdk]
    try:
        return answered(kind(**made, transport=Recording(said)), HISTORIES["plain"], **asked)
    except APIError as error:
        return error


CONVERTED = {
    "google": ("google", "contents", "systemInstruction"),
    "anthropic": ("anthropic", "messages", "system"),
    "aws": ("boto3", "messages", "system"),
}
"""livekit-agents' names of formats: whose wire that is, and where in a body the conversation and the instructions stand."""


def converted(form: str, history: str) -> JSON:
    """A conversation as it stands in our request, as livekit-agents tells of its own conversions."""
    sdk, messages, system = CONVERTED[form]
    tools = ["get_weather", "book"] if sdk == "boto3" else []  # without tools it is told of no calls
    made = {"url_mode": "uri"} if sdk == "google" else {}
    told = sent(sdk, Call(name=history, judges={}, history=history, tools=tools, made=made))
    if "refused" in told:
        return told
    instructions = told["body"].get(system) or []
    parts = instructions["parts"] if isinstance(instructions, dict) else instructions
    return {"messages": told["body"][messages], "system": [part["text"] for part in parts]}


def declared(form: str) -> JSON:
    """Tools as they stand in our request."""
    sdk = "boto3" if form == "aws" else "anthropic"
    made = {"strict_tools": True} if form == "anthropic-strict" else {}
    told = sent(sdk, Call(name="tools", judges={}, tools=[name for name in TOOLS if name != "mark"], made=made))
    if "refused" in told:
        return told
    return told["body"]["toolConfig"]["tools"] if sdk == "boto3" else told["body"]["tools"]
