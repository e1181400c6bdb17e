"""Cerebras: open-weight models, very fast."""

from typing import Unpack

from agent_runtime.plugins._options import Options
from agent_runtime.providers.openai.llm import OpenAILLM

__all__ = ["LLM"]


class LLM(OpenAILLM):
    """Models at Cerebras; the key is ``CEREBRAS_API_KEY``. See `OpenAILLM` for the options."""

    def __init__(self, model: str | None = None, **options: Unpack[Options]) -> None:
        super().__init__(model, provider="cerebras", **options)
