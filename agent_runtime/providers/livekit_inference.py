"""LiveKit Inference: one gateway to the models of many, on OpenAI's wire with a token of its own.

A token is signed for each request: it lives ten minutes, and a call may last longer. It is a JSON Web Token (RFC 7519)
with HMAC-SHA256, nine lines of the standard library.
"""

import base64
import hashlib
import hmac
import json
import os
import platform
import uuid
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, get_args

import httpx

from agent_runtime import __version__, clock
from agent_runtime.errors import APIStatusError, UsageError
from agent_runtime.providers import ranges
from agent_runtime.providers.http.exchange import Request
from agent_runtime.providers.http.service import Service
from agent_runtime.providers.openai.llm import OpenAILLM
from agent_runtime.providers.remote import Asked, RemoteStream
from agent_runtime.types import NOT_GIVEN, APIConnectOptions, NotGivenOr

InferenceClass = Literal["priority", "standard", "low"]
"""How urgent it is. ``low`` gives way to calls, so it is for what nobody waits for."""

STAGING_URL = "https://agent-gateway.staging.livekit.cloud/v1"
STAGING_HOST = ".staging.livekit.cloud"
TOKEN_S = 600
"""Seconds that a token lives."""

SPEAKS_LIKE = "LiveKit Agents/1.8.9"
"""Whose requests the gateway takes these for."""

QUOTAS = {
    "rpm": ("X-LiveKit-Inference-RPM-Used", "X-LiveKit-Inference-RPM-Limit", "requests a minute"),
    "tpm": ("X-LiveKit-Inference-TPM-Used", "X-LiveKit-Inference-TPM-Limit", "tokens a minute"),
    "credits": ("X-LiveKit-Inference-Credits-Used", "X-LiveKit-Inference-Credits-Limit", "credits"),
}

job_headers: ContextVar[Mapping[str, str] | None] = ContextVar("livekit_job_headers", default=None)
"""Within a job of LiveKit's, what tells the gateway which one: ``X-LiveKit-Room-ID``, ``X-LiveKit-Job-ID``,
``X-LiveKit-Agent-ID``, and what else the job says; it counts before what a model says."""


class InferenceLLM(OpenAILLM):
    """A model behind LiveKit Inference; public as ``inference.LLM``.

    Args:
        model: as in the list of models there: ``"google/gemini-2.5-flash"``.
        provider: who is to serve it; else the gateway chooses, and bills accordingly.
        base_url: else LIVEKIT_INFERENCE_URL, else LiveKit's own.
        api_key, api_secret: else LIVEKIT_INFERENCE_API_KEY, LIVEKIT_API_KEY; likewise the secret.
        inference_class: how urgent the requests are.
        extra_kwargs: parameters of the request, as ``{"max_completion_tokens": 1000}``.
        conn_options, transport: as in `OpenAILLM`.

    Raises:
        UsageError: the model, a key or the address is missing or no such.
    """

    def __init__(
        self,
        model: str,
        *,
        provider: str | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        api_secret: str | None = None,
        inference_class: InferenceClass | None = None,
        extra_kwargs: Mapping[str, Any] | None = None,
        conn_options: APIConnectOptions | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._issuer, self._secret = _credentials(api_key, api_secret)
        super().__init__(
            model,
            provider="livekit",
            base_url=base_url or _own_address(),
            api_key=self._token_now,
            extra_kwargs=ranges.mapping("extra_kwargs", extra_kwargs),
            conn_options=conn_options,
            transport=transport,
        )
        self._patience = conn_options
        self._serve_with(provider)
        self._inference_class = ranges.one_of("inference_class", inference_class, get_args(InferenceClass))
        self._name(self.model)

    @classmethod
    def from_model_string(cls, model: str) -> Self:
        """A model by its name alone."""
        return cls(model)

    def update_options(
        self,
        *,
        model: NotGivenOr[str] = NOT_GIVEN,
        provider: NotGivenOr[str | None] = NOT_GIVEN,
        extra_kwargs: NotGivenOr[Mapping[str, Any]] = NOT_GIVEN,
    ) -> None:
        """Change what the next request asks for. `extra_kwargs` takes the place of those before, so ``{}`` clears them."""
        if model is not NOT_GIVEN:
            self._name(model)
        if provider is not NOT_GIVEN:
            self._serve_with(provider)
        if extra_kwargs is not NOT_GIVEN:
            self.parameters = (ranges.mapping("extra_kwargs", extra_kwargs),)

    def _name(self, model: str) -> None:
        if not isinstance(model, str) or not model.strip():
            raise UsageError(f"The model is {model!r}; name one, as in 'google/gemini-2.5-flash'.")
        self.model = model
        self.label = f"{self.provider}/{model}"
        self.service = Gateway(self.provider, model, "LIVEKIT_API_KEY and LIVEKIT_API_SECRET", [self._secret])
        self.conn_options = self._patience or APIConnectOptions(first_token_timeout=self.row.first_token_timeout(model))
        self.first_token_timeout = self.conn_options.first_token_timeout

    def _serve_with(self, provider: str | None) -> None:
        if provider is not None and (
            not isinstance(provider, str) or not provider.strip() or not provider.isprintable()
        ):
            raise UsageError(f"The provider is {provider!r}; name one, as in 'azure', or leave it out.")
        self._served_by = provider

    def _token_now(self) -> str:
        return signed_token(self._issuer, self._secret, int(clock.wall().timestamp()))

    def chat(
        self,
        *,
        inference_class: InferenceClass | None = None,
        extra_kwargs: Mapping[str, Any] | None = None,
        **asked: Any,
    ) -> RemoteStream:
        """As `OpenAILLM.chat`; `inference_class` counts before that of the model."""
        if inference_class is not None:
            extra_kwargs = {**(extra_kwargs or {}), "inference_class": inference_class}
        return super().chat(extra_kwargs=extra_kwargs, **asked)

    async def request(self, asked: Asked) -> Request:
        extra = dict(asked.extra_kwargs)
        chosen = ranges.one_of("inference_class", extra.pop("inference_class", None), get_args(InferenceClass))
        headers = self._told(chosen or self._inference_class) | ranges.mapping(
            "extra_headers", extra.get("extra_headers")
        )
        return await super().request(replace(asked, extra_kwargs={**extra, "extra_headers": headers}))

    def _told(self, inference_class: str | None) -> dict[str, str]:
        headers = {"user-agent": f"{SPEAKS_LIKE} (python {platform.python_version()}) agent-runtime/{__version__}"}
        if self._served_by:
            headers["X-LiveKit-Inference-Provider"] = self._served_by
        if inference_class:
            headers["X-LiveKit-Inference-Priority"] = inference_class
        job = job_headers.get()
        if job is not None:
            token = os.environ.get("LIVEKIT_WORKER_TOKEN")
            headers |= ({"X-LiveKit-Worker-Token": token} if token else {}) | dict(job)
            headers["X-LiveKit-Session-ID"] = f"inference_{uuid.uuid4().hex[:12]}"
        return headers


LLM = InferenceLLM


@dataclass(slots=True)
class Gateway(Service):
    """LiveKit's gateway: where it refuses because of a quota, it says which."""

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
        error = Service.refused(self, status, headers, body)
        quotas = {
            name: {"used": headers.get(used), "limit": headers.get(limit)}
            for name, (used, limit, _) in QUOTAS.items()
            if headers.get(limit)
        }
        if quotas:
            told = ", ".join(f"{each['used']} of {each['limit']} {QUOTAS[name][2]}" for name, each in quotas.items())
            error.message = f"{error.message} Used: {told}."
            error.args = (error.message,)
            error.body = {"said": error.body, "quotas": quotas}
        return error


def signed_token(issuer: str, secret: str, now: int) -> str:
    """A token that lets its bearer use the gateway until `TOKEN_S` from `now`, in seconds since 1970."""
    claims = {"inference": {"perform": True}, "sub": "agent", "iss": issuer, "nbf": now, "exp": now + TOKEN_S}
    head = ".".join(_base64url(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    return f"{head}.{_base64url(hmac.digest(secret.encode(), head.encode(), hashlib.sha256))}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _own_address() -> str | None:
    """Staging, for who works there; None for what the row says."""
    if os.environ.get("LIVEKIT_INFERENCE_URL") or STAGING_HOST not in os.environ.get("LIVEKIT_URL", ""):
        return None
    return STAGING_URL


def _credentials(api_key: str | None, api_secret: str | None) -> tuple[str, str]:
    """The key and its secret; what is missing is named, both at once."""
    found, missing = [], []
    for given, what in ((api_key, "KEY"), (api_secret, "SECRET")):
        names = (f"LIVEKIT_INFERENCE_API_{what}", f"LIVEKIT_API_{what}")
        value = given or next((os.environ[name] for name in names if os.environ.get(name)), "")
        found.append(value.strip())
        if not value.strip():
            missing.append(names[1])
    if missing:
        raise UsageError(
            f"LiveKit Inference needs {' and '.join(missing)}; set {'it' if len(missing) == 1 else 'them'} in the "
            "environment, or give api_key and api_secret."
        )
    return found[0], found[1]
