"""Which ways lead to a model: who serves it, by which class, with which keys. Data, and a choice among them. Pure but for
the environment, of which only whether a variable is set is asked.

``google/...``, ``openai/...`` and the other owners of models go through LiveKit Inference where its keys are set, else
straight to the owner, where it has a service of its own. Every other provider has one way.
"""

import functools
import importlib
import ipaddress
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal
from urllib.parse import urlsplit

Kind = Literal["vad", "stt", "llm", "tts", "turn_detection"]

KEYS: dict[str, tuple[str, ...]] = {
    "anthropic": ("ANTHROPIC_API_KEY",),
    "assemblyai": ("ASSEMBLYAI_API_KEY",),
    "aws": (),
    "azure": ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY"),
    "baseten": ("BASETEN_API_KEY",),
    "bedrock": (),
    "cartesia": ("CARTESIA_API_KEY",),
    "cerebras": ("CEREBRAS_API_KEY",),
    "deepgram": ("DEEPGRAM_API_KEY",),
    "deepseek": ("DEEPSEEK_API_KEY",),
    "deepseek-ai": ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"),
    "elevenlabs": ("ELEVEN_API_KEY",),
    "fireworks": ("FIREWORKS_API_KEY",),
    "gemini": ("GEMINI_API_KEY",),
    "google": ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"),
    "groq": ("GROQ_API_KEY",),
    "letta": ("LETTA_API_KEY",),
    "litellm": (),
    "litellm_proxy": (),
    "livekit": ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"),
    "mistralai": ("MISTRAL_API_KEY",),
    "moonshotai": ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"),
    "ollama": (),
    "openai": ("OPENAI_API_KEY",),
    "openrouter": ("OPENROUTER_API_KEY",),
    "perplexity": ("PERPLEXITY_API_KEY",),
    "qwen": ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"),
    "telnyx": ("TELNYX_API_KEY",),
    "together": ("TOGETHER_API_KEY",),
    "vertex_ai": (),
    "xai": ("XAI_API_KEY",),
}
"""Providers whose names are known, and the variables their keys stand in. None: it needs none, or has ways of its own
to look for them (a profile, the machine's role), which its class knows."""

INSTEAD: dict[str, tuple[str, ...]] = {
    "AZURE_OPENAI_API_KEY": ("AZURE_OPENAI_AD_TOKEN",),
    "GEMINI_API_KEY": ("GOOGLE_API_KEY",),
    "LIVEKIT_API_KEY": ("LIVEKIT_INFERENCE_API_KEY",),
    "LIVEKIT_API_SECRET": ("LIVEKIT_INFERENCE_API_SECRET",),
}
"""Variables that do as well."""

OWNERS: dict[str, str | None] = {
    "deepseek-ai": None,
    "google": "gemini",
    "moonshotai": None,
    "openai": "openai",
    "qwen": None,
}
"""Owners whose models LiveKit Inference serves, and the provider that is the owner's own service."""

GIVEN_AWAY = ("openai/gpt-oss-*",)
"""Models that their owner does not serve itself; shell patterns."""

LOOKS_ITSELF = {
    "bedrock": "AWS's own variables, a profile, or the machine's role",
    "litellm_proxy": "LITELLM_PROXY_API_KEY, where the proxy wants one",
    "vertex_ai": "GOOGLE_APPLICATION_CREDENTIALS, or the machine's own",
}
"""Where the class of a provider without entries in `KEYS` looks for its keys."""

ADDRESSES = {"anthropic": "ANTHROPIC_BASE_URL"}
"""Variables with another address for providers with a wire of their own; those of the others are in services.toml."""

OTHER_NAMES = {"aws": "bedrock", "litellm": "litellm_proxy"}

COMPATIBLE = "agent_runtime.providers.openai.llm:OpenAILLM"
INFERENCE = "agent_runtime.providers.livekit_inference:InferenceLLM"

NATIVE: dict[str, str] = {
    "anthropic": "agent_runtime.providers.anthropic.llm:AnthropicLLM",
    "bedrock": "agent_runtime.providers.bedrock.llm:BedrockLLM",
    "gemini": "agent_runtime.providers.gemini.llm:GeminiLLM",
    "livekit": INFERENCE,
    "vertex_ai": "agent_runtime.providers.gemini.llm:GeminiLLM",
}
"""Providers with a wire of their own."""

WITHOUT_LLM = frozenset({"assemblyai", "cartesia", "deepgram", "elevenlabs"})

SPEECH: dict[Kind, str] = {
    "stt": "agent_runtime.providers.openai.speech:OpenAISTT",
    "tts": "agent_runtime.providers.openai.speech:OpenAITTS",
}
"""For every service whose row says that it has such a node."""

OWN_SPEECH: dict[Kind, dict[str, str]] = {
    "stt": {},
    "tts": dict.fromkeys(("gemini", "vertex_ai"), "agent_runtime.providers.gemini.tts:GeminiTTS"),
}


Key = tuple[str, ...]
"""Variables, one of which is enough; the first is the one that is asked for."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to a model.

    Attributes:
        service: who serves it; the `provider` of `KEYS`.
        factory: ``module:Class``.
        arguments: what the class is given, besides the options of the descriptor.
        keys: what must be set.
    """

    service: str
    factory: str
    arguments: Mapping[str, Any]
    keys: tuple[Key, ...] = ()

    @property
    def missing(self) -> tuple[Key, ...]:
        return tuple(key for key in self.keys if not is_set(key))

    @property
    def begun(self) -> bool:
        """Some of its keys are set, and not all."""
        return 0 < len(self.missing) < len(self.keys)


def is_set(key: Key) -> bool:
    """Whether one of the variables is there and not empty."""
    return any(os.environ.get(name) for name in key)


def name_of(key: Key) -> str:
    """The variable that is set, else the one that is asked for."""
    return next((name for name in key if os.environ.get(name)), key[0])


def keys_of(provider: str) -> tuple[Key, ...]:
    """What must be set for a provider; nothing for one that is not known, or that needs none."""
    if is_at_home(provider):
        return ()
    if provider in KEYS:
        return tuple((name, *INSTEAD.get(name, ())) for name in KEYS[provider])
    row = _rows().get(provider)
    if row is None or not row.key_required or not row.key_variables:
        return ()
    return ((*row.key_variables, *row.token_variables),)


def is_at_home(provider: str) -> bool:
    """Whether its address is on this machine, where it may want no key."""
    row = None if provider in NATIVE else _rows().get(provider)
    variables = (ADDRESSES.get(provider, ""),) if row is None else row.base_url_variables
    usual = "" if row is None else row.base_url
    return is_here(next((os.environ[name] for name in variables if os.environ.get(name)), usual))


def is_here(url: str) -> bool:
    """Whether an address is this machine's."""
    try:
        return is_this_machine(urlsplit(url).hostname or "")
    except ValueError:  # it is no address
        return False


@functools.lru_cache
def is_this_machine(host: str) -> bool:
    """Whether a host, by its name or its number, is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:  # another name
        return False
    return address.is_loopback or address.is_unspecified


def is_known(provider: str) -> bool:
    return provider in KEYS or provider in _rows()


def _rows() -> Mapping[str, Any]:
    """The services that speak OpenAI's wire; a user may have added some."""
    services = importlib.import_module("agent_runtime.providers.openai.services")
    rows: Mapping[str, Any] = services.rows()
    return rows


def ways(kind: Kind, provider: str, model: str, options: Mapping[str, str]) -> list[Way]:
    """The ways to a model, in the order in which they are tried; none where this version has none.

    A descriptor that brings its key or its address goes straight there.
    """
    straight = bool({"api_key", "base_url"} & options.keys())
    found = list(_ways(kind, provider, model, straight))
    if straight:
        return [Way(way.service, way.factory, way.arguments) for way in found]
    return found


def _ways(kind: Kind, provider: str, model: str, straight: bool) -> Iterator[Way]:
    if kind in SPEECH:
        row = _rows().get(provider)
        factory = SPEECH[kind] if row is not None and getattr(row, kind) is not None else OWN_SPEECH[kind].get(provider)
        if factory is not None:
            yield _way(provider, factory, model)
    elif kind != "llm" or provider in WITHOUT_LLM:
        return
    elif provider in OWNERS:
        own = None if _given_away(f"{provider}/{model}") and not straight else OWNERS[provider]
        if own is None or not straight:
            yield _way("livekit", INFERENCE, f"{provider}/{model}")
        if own is not None:
            yield _way(own, NATIVE.get(own, COMPATIBLE), model)
    else:
        provider = OTHER_NAMES.get(provider, provider)
        if is_known(provider):
            yield _way(provider, NATIVE.get(provider, COMPATIBLE), model)


def _given_away(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in GIVEN_AWAY)


def _way(provider: str, factory: str, model: str) -> Way:
    return Way(provider, factory, {"model": model, **_also(provider, factory)}, keys_of(provider))


def _also(provider: str, factory: str) -> dict[str, Any]:
    if provider == "vertex_ai":
        return {"vertexai": True}
    return {"provider": provider} if factory.startswith("agent_runtime.providers.openai.llm") else {}
