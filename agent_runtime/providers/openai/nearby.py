"""Servers on this machine that speak OpenAI's wire, found at their usual addresses. Only when asked for."""

import asyncio
import os
from dataclasses import dataclass
from typing import Any

import httpx

from agent_runtime.providers.openai import services

PATIENCE_S = 0.5
"""A server on this machine that does not answer within this is not there."""

SERVERS = ("ollama", "llamacpp", "vllm", "lmstudio", "litellm_proxy")
"""Rows of services.toml: their addresses, or those in their variables, are asked."""


@dataclass(frozen=True, slots=True)
class Nearby:
    """A server that answered.

    Attributes:
        provider: the row whose address it has; what answers there may be something else that speaks the same wire.
        base_url: where it was asked.
        models: descriptors of its models.
        remark: why there are none, where that is known.
    """

    provider: str
    name: str
    base_url: str
    models: tuple[str, ...] = ()
    remark: str = ""


async def find(transport: httpx.AsyncBaseTransport | None = None) -> list[Nearby]:
    """The servers that answer, in the order of `SERVERS`. Never raises for one that does not."""
    async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=None) as client:
        found = await asyncio.gather(*(_ask(client, provider) for provider in SERVERS))
    return [each for each in found if each is not None]


def addresses() -> list[str]:
    """Where is asked."""
    return [_address(services.row(provider)) for provider in SERVERS]


def _address(row: services.ServiceRow) -> str:
    """A server's: that of its variable, else its usual one."""
    given = next((os.environ[name] for name in row.base_url_variables if os.environ.get(name)), row.base_url)
    return given.rstrip("/").removesuffix("/chat/completions")


async def _ask(client: httpx.AsyncClient, provider: str) -> Nearby | None:
    row = services.row(provider)
    base_url = _address(row)
    key = next((os.environ[name] for name in row.key_variables if os.environ.get(name)), row.key)
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        async with asyncio.timeout(PATIENCE_S):
            response = await client.get(f"{base_url}/models", headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError):
        return None
    if response.status_code in (401, 403):
        wants = " or ".join(row.key_variables) or "a key that it knows"
        return Nearby(provider, row.name, base_url, remark=f"it wants a key; set {wants}")
    names = _names(response)
    if names is None:
        return None
    return Nearby(
        provider,
        row.name,
        base_url,
        tuple(f"{provider}/{name}" for name in names),
        "" if names else "it has no model loaded",
    )


def _names(response: httpx.Response) -> list[str] | None:
    """The models of a list; None: this is no such list, so something else is at that port."""
    try:
        listed: Any = response.json()
    except ValueError:
        return None
    data = listed.get("data") if response.status_code == 200 and isinstance(listed, dict) else None
    if not isinstance(data, list):
        return None
    return [each["id"] for each in data if isinstance(each, dict) and isinstance(each.get("id"), str)]
