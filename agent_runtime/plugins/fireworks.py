"""Fireworks AI: open-weight models."""

from typing import Unpack

from agent_runtime.plugins._options import Options
from agent_runtime.plugins._speech import speech
from agent_runtime.providers.openai.llm import OpenAILLM

__all__ = ["LLM"]


class LLM(OpenAILLM):
    """Models at Fireworks AI; the key is ``FIREWORKS_API_KEY``. See `OpenAILLM` for the options."""

    def __init__(self, model: str | None = None, **options: Unpack[Options]) -> None:
        super().__init__(model, provider="fireworks", **options)


__getattr__ = speech(__name__, "fireworks")
