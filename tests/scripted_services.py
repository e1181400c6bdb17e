"""Every service on the network at once, for tests that ask as a user does, without a `transport=`."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from agent_runtime.inference import routes
from agent_runtime.providers.openai import services
from agent_runtime.testing.model_server import Received, Said, told
from tests.providers.wires import PNG

PUBLIC = "93.184.215.14"


class Services(httpx.AsyncBaseTransport):
    """Every service there is, as the scripted server tells their answers; and pictures.

    Attributes:
        said: what is answered next; the last one stays.
        asked: the questions to models, in order.
    """

    def __init__(self) -> None:
        self.said = [Said("Hello there.")]
        self.asked: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        path = request.url.raw_path.decode()
        if path.endswith((".jpg", ".png")):
            return httpx.Response(200, content=PNG, headers={"content-type": "image/png"})
        received = Received(request.method, path, request.headers, request.content)
        said = self.said[0]
        if request.method == "POST" and "cachedContents" not in path:
            self.asked.append(request)
            said = self._answer(received.json)
        kind, data = told(received, said)
        return httpx.Response(200, stream=httpx.ByteStream(data), headers={"content-type": kind})

    def _answer(self, body: Any) -> Said:
        """Gemini is asked for sound or for a picture among the parameters."""
        modalities = body.get("generationConfig", {}).get("responseModalities", ())
        if "AUDIO" in modalities:
            return Said(audio=bytes(480))
        if "IMAGE" in modalities:
            return Said("Hello there.", images=[PNG])
        return self.said.pop(0) if len(self.said) > 1 else self.said[0]

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(request.content) for request in self.asked]

    @property
    def body(self) -> Any:
        """Of the last question; empty where nothing was asked."""
        return self.bodies[-1] if self.asked else {}


def forget_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key and no address is set."""
    names = {"LIVEKIT_URL", "LIVEKIT_INFERENCE_URL", *routes.ADDRESSES.values()}
    names.update(*routes.KEYS.values(), *routes.INSTEAD.values())
    for row in services.rows().values():
        names.update(row.key_variables, row.token_variables, row.base_url_variables)
    for name in names:
        monkeypatch.delenv(name, raising=False)


def everywhere(monkeypatch: pytest.MonkeyPatch) -> Services:
    """Every key is set, and every address leads to the same place."""
    forget_keys(monkeypatch)
    keys = {name for names in routes.KEYS.values() for name in names if name.endswith(("_KEY", "_SECRET"))}
    for name in (*keys, "AWS_BEARER_TOKEN_BEDROCK"):
        monkeypatch.setenv(name, f"key-of-{name.lower().replace('_', '-')}")
    made = Services()

    async def handle(self: object, request: httpx.Request) -> httpx.Response:
        return await made.handle_async_request(request)

    async def resolved(self: object, host: str, port: int, **_: Any) -> list[Any]:
        return [(None, None, None, "", (PUBLIC, port))]

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", handle)
    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", resolved)
    return made
