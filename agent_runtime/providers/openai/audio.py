"""Asking a service for something that has to do with sound: its address, key and headers are those of its models."""

import json
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import httpx

from agent_runtime.errors import UsageError
from agent_runtime.providers.http.exchange import Request
from agent_runtime.providers.openai import services
from agent_runtime.providers.openai.llm import OpenAILLM, Secret, as_headers, without_path
from agent_runtime.providers.openai.request import Parameters
from agent_runtime.providers.ranges import mapping
from agent_runtime.types import APIConnectOptions

log = logging.getLogger("agent_runtime.speech")


class AudioService(OpenAILLM):
    """A service behind OpenAI's audio endpoints.

    Args:
        path: of the endpoint, as ``/audio/speech``.
        model: as the service names it.
        base_url: else the one that the service has for sound, else the one that it has for all.
        options: the others of `OpenAILLM` for the way there.
    """

    def __init__(
        self,
        path: str,
        model: str,
        *,
        provider: str,
        api_key: Secret | None,
        base_url: str | None,
        own_url: str,
        extra_headers: Mapping[str, str] | None,
        conn_options: APIConnectOptions,
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        given = without_path(base_url, path) if isinstance(base_url, str) else base_url
        super().__init__(
            model,
            provider=provider,
            api_key=api_key,
            base_url=given or own_url or None,
            conn_options=conn_options,
            transport=transport,
        )
        query = urlencode(self._query)
        self.url = f"{self.base_url}{path}" + (f"?{query}" if query else "")
        self._headers = Parameters.of({"extra_headers": extra_headers}).extra_headers
        as_headers(self._headers)

    async def post(self, content: bytes, content_type: str) -> Request:
        """What is sent."""
        headers = as_headers(await self.headers(), {"accept": "*/*", "content-type": content_type}, self._headers)
        return Request(self.url, headers, content)


def known_model(model: str | None, default: str, provider: str, kind: str) -> str:
    """The model that is named, else the service's own.

    Raises:
        UsageError: there is none.
    """
    named = default if model is None else model
    if not isinstance(named, str) or not named.strip():
        raise UsageError(f"The model is {model!r}; name a model of {provider} that {kind}.")
    return named


def cannot(provider: str, table: str, kind: str) -> UsageError:
    """The service does no such thing."""
    can = ", ".join(name for name, row in services.rows().items() if getattr(row, table) is not None)
    return UsageError(
        f"{services.row(provider).name} has no models here that {kind}; those that do are {can}, "
        f"and any other with provider='openai_compatible' and base_url=."
    )


def more(extra_kwargs: Any, label: str) -> dict[str, Any]:
    """Further parameters, as they were given.

    Raises:
        UsageError: they name another model, by which nothing would be billed.
    """
    extra = mapping("extra_kwargs", extra_kwargs or None)
    if "model" in extra:
        raise UsageError(f"extra_kwargs of {label} has model={extra['model']!r}; give it as the model itself.")
    return extra


def without(values: Mapping[str, Any], dropped: tuple[str, ...], label: str) -> dict[str, Any]:
    """`values` without those that the service does not know, which are told of."""
    for name in dropped:
        if name in values:
            log.warning("%s takes no %s; it is not sent.", label, name)
    return {name: value for name, value in values.items() if name not in dropped}


def parsed(payload: bytes) -> Any:
    """A message as JSON. `ValueError` where it is none."""
    try:
        return json.loads(payload)
    except UnicodeDecodeError as error:
        raise ValueError("bytes that are no text") from error
