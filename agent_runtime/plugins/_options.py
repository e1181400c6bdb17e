"""What the plugins of services with OpenAI's wire take, under livekit-agents' names."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

import httpx

from agent_runtime.providers.openai.llm import Secret
from agent_runtime.tools import ToolChoice
from agent_runtime.types import APIConnectOptions


class Options(TypedDict, total=False):
    """What every service takes; see `OpenAILLM`."""

    api_key: Secret | None
    base_url: str | None
    bearer_token: Secret | None
    placeholders: Mapping[str, str | None] | None
    temperature: float | None
    top_p: float | None
    max_completion_tokens: int | None
    max_tokens: int | None
    frequency_penalty: float | None
    presence_penalty: float | None
    seed: int | None
    stop: str | Sequence[str] | None
    n: int | None
    logprobs: bool | None
    top_logprobs: int | None
    logit_bias: Mapping[str, int] | None
    parallel_tool_calls: bool | None
    tool_choice: ToolChoice | None
    response_format: Any
    reasoning_effort: str | None
    verbosity: str | None
    store: bool | None
    metadata: Mapping[str, str] | None
    user: str | None
    safety_identifier: str | None
    prompt_cache_key: str | None
    prompt_cache_retention: str | None
    service_tier: str | None
    strict_tools: bool | None
    timeout: float | httpx.Timeout | None
    max_retries: int | None
    extra_headers: Mapping[str, str] | None
    extra_body: Mapping[str, Any] | None
    extra_query: Mapping[str, str] | None
    extra_kwargs: Mapping[str, Any] | None
    allow_private: bool
    conn_options: APIConnectOptions | None
    transport: httpx.AsyncBaseTransport | None


class AzureOptions(Options, total=False):
    """What Azure takes besides.

    Attributes:
        azure_endpoint: else ``AZURE_OPENAI_ENDPOINT``.
        azure_deployment: its name; else that of the model.
        api_version: else ``OPENAI_API_VERSION``.
        azure_ad_token: in the place of a key, else ``AZURE_OPENAI_AD_TOKEN``; the provider gives one for each request.
    """

    azure_endpoint: str | None
    azure_deployment: str | None
    api_version: str | None
    azure_ad_token: str | None
    azure_ad_token_provider: Callable[[], str] | None
    organization: str | None
    project: str | None


class OpenRouterOptions(Options, total=False):
    """What OpenRouter takes besides.

    Attributes:
        site_url, app_name: by which it knows the application.
        fallback_models: it asks these in turn where the model fails.
        provider: its rules for choosing among providers.
        plugins: its plugins, each ``{"id": ...}``.
    """

    site_url: str | None
    app_name: str | None
    fallback_models: Sequence[str] | None
    provider: Mapping[str, Any] | None
    plugins: Sequence[Mapping[str, Any]] | None


def azure(options: AzureOptions) -> dict[str, Any]:
    """The same as arguments of `OpenAILLM`."""
    made: dict[str, Any] = dict(options)
    places = {
        "model": made.pop("azure_deployment", None),
        "AZURE_OPENAI_ENDPOINT": made.pop("azure_endpoint", None),
        "OPENAI_API_VERSION": made.pop("api_version", None),
    }
    made["placeholders"] = places | (made.get("placeholders") or {})
    token, provider = made.pop("azure_ad_token", None), made.pop("azure_ad_token_provider", None)
    made["bearer_token"] = made.get("bearer_token") or token or provider
    named = {"OpenAI-Organization": made.pop("organization", None), "OpenAI-Project": made.pop("project", None)}
    made["extra_headers"] = _given(named) | (made.get("extra_headers") or {})
    return {"provider": "azure", **made}


def openrouter(model: str | None, options: OpenRouterOptions) -> dict[str, Any]:
    """The same as arguments of `OpenAILLM`."""
    made: dict[str, Any] = dict(options)
    named = {"HTTP-Referer": made.pop("site_url", None), "X-Title": made.pop("app_name", None)}
    made["extra_headers"] = _given(named) | (made.get("extra_headers") or {})
    fallbacks = made.pop("fallback_models", None)
    body = {
        "models": [model or "auto", *fallbacks] if fallbacks else None,
        "provider": made.pop("provider", None),
        "plugins": made.pop("plugins", None),
    }
    made["extra_body"] = _given(body) | (made.get("extra_body") or {})
    return {"provider": "openrouter", **made}


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}
