"""Azure OpenAI: deployments of OpenAI's models."""

from typing import Unpack

from agent_runtime.plugins._options import AzureOptions, azure
from agent_runtime.plugins._speech import speech
from agent_runtime.providers.openai.llm import OpenAILLM

__all__ = ["LLM"]


class LLM(OpenAILLM):
    """A deployment at Azure; the key is ``AZURE_OPENAI_API_KEY``. `model` is what the deployment has."""

    def __init__(self, model: str | None = None, **options: Unpack[AzureOptions]) -> None:
        super().__init__(model, **azure(options))


__getattr__ = speech(__name__, "azure")
