"""The `STT` and `TTS` of services that speak OpenAI's audio wire, made when they are first asked for."""

import functools
import importlib
from collections.abc import Callable
from typing import Any

HOMES = {"STT": "OpenAISTT", "TTS": "OpenAITTS"}


def speech(module: str, provider: str) -> Callable[[str], Any]:
    """A `__getattr__` for a plugin module.

    Args:
        provider: whose models they are: a row of `services.toml`.
    """

    @functools.cache
    def get(name: str) -> Any:
        if name not in HOMES:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        home: Any = getattr(importlib.import_module("agent_runtime.providers.openai.speech"), HOMES[name])
        own = {"__doc__": home.__doc__, "__module__": module}
        return type(name, (home,), {**own, "__init__": functools.partialmethod(home.__init__, provider=provider)})

    return get
