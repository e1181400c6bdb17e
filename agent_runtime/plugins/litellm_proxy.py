"""A LiteLLM proxy: whatever its ``model_list`` has."""

from typing import Unpack

from agent_runtime.plugins._options import Options
from agent_runtime.plugins._speech import speech
from agent_runtime.providers.openai.llm import OpenAILLM

__all__ = ["LLM"]


class LLM(OpenAILLM):
    """Models at a LiteLLM proxy; its address is ``LITELLM_PROXY_API_BASE``, its key ``LITELLM_PROXY_API_KEY``."""

    def __init__(self, model: str, **options: Unpack[Options]) -> None:
        super().__init__(model, provider="litellm_proxy", **options)


__getattr__ = speech(__name__, "litellm_proxy")
