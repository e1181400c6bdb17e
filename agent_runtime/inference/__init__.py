"""What a model string means, and LiveKit Inference: ``inference.LLM(model="google/gemini-2.5-flash")``."""

import importlib
from typing import Any

_HOMES = {
    "FallbackLLM": "agent_runtime.inference.fallback:FallbackLLM",
    "LLM": "agent_runtime.providers.livekit_inference:InferenceLLM",
}

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'agent_runtime.inference' has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    value = globals()[name] = getattr(importlib.import_module(module), attribute)
    return value
