"""OpenRouter: many services behind one."""

from typing import Unpack

from agent_runtime.plugins._options import OpenRouterOptions, openrouter
from agent_runtime.providers.openai.llm import OpenAILLM

__all__ = ["LLM"]


class LLM(OpenAILLM):
    """Models through OpenRouter; the key is ``OPENROUTER_API_KEY``."""

    def __init__(self, model: str | None = None, **options: Unpack[OpenRouterOptions]) -> None:
        super().__init__(model, **openrouter(model, options))
