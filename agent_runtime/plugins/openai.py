"""OpenAI, and through `LLM.with_...` every service that speaks its wire.

`STT` and `TTS` ask ``/audio/transcriptions`` and ``/audio/speech``.
"""

from typing import Unpack

from agent_runtime.plugins._options import AzureOptions, OpenRouterOptions, Options, azure, openrouter
from agent_runtime.plugins._speech import speech
from agent_runtime.providers.openai.llm import OpenAILLM

__all__ = ["LLM"]


class LLM(OpenAILLM):
    """OpenAI's models; the key is ``OPENAI_API_KEY``. See `OpenAILLM` for the options."""

    @staticmethod
    def with_azure(*, model: str | None = None, **options: Unpack[AzureOptions]) -> "LLM":
        """A deployment at Azure. `model` is what the deployment has, and its name where none is given."""
        return LLM(model, **azure(options))

    @staticmethod
    def with_cerebras(*, model: str | None = None, **options: Unpack[Options]) -> "LLM":
        return LLM(model, provider="cerebras", **options)

    @staticmethod
    def with_cometapi(*, model: str | None = None, **options: Unpack[Options]) -> "LLM":
        return LLM(model, provider="cometapi", **options)

    @staticmethod
    def with_deepseek(*, model: str | None = None, **options: Unpack[Options]) -> "LLM":
        return LLM(model, provider="deepseek", **options)

    @staticmethod
    def with_fireworks(*, model: str | None = None, **options: Unpack[Options]) -> "LLM":
        return LLM(model, provider="fireworks", **options)

    @staticmethod
    def with_groq(*, model: str | None = None, **options: Unpack[Options]) -> "LLM":
        return LLM(model, provider="groq", **options)

    @staticmethod
    def with_letta(*, agent_id: str, **options: Unpack[Options]) -> "LLM":
        """An agent at Letta, which keeps the conversation itself. A server of one's own has a `base_url`."""
        return LLM(agent_id, provider="letta", **options)

    @staticmethod
    def with_litellm_proxy(*, model: str, **options: Unpack[Options]) -> "LLM":
        """A model that a LiteLLM proxy has in its ``model_list``."""
        return LLM(model, provider="litellm_proxy", **options)

    @staticmethod
    def with_mistralai(*, model: str | None = None, **options: Unpack[Options]) -> "LLM":
        return LLM(model, provider="mistralai", **options)

    @staticmethod
    def with_nebius(*, model: str | None = None, **options: Unpack[Options]) -> "LLM":
        return LLM(model, provider="nebius", **options)

    @staticmethod
    def with_ollama(*, model: str | None = None, **options: Unpack[Options]) -> "LLM":
        return LLM(model, provider="ollama", **options)

    @staticmethod
    def with_openrouter(*, model: str | None = None, **options: Unpack[OpenRouterOptions]) -> "LLM":
        return LLM(model, **openrouter(model, options))

    @staticmethod
    def with_ovhcloud(*, model: str | None = None, **options: Unpack[Options]) -> "LLM":
        return LLM(model, provider="ovhcloud", **options)

    @staticmethod
    def with_perplexity(*, model: str | None = None, **options: Unpack[Options]) -> "LLM":
        return LLM(model, provider="perplexity", **options)

    @staticmethod
    def with_sambanova(*, model: str | None = None, **options: Unpack[Options]) -> "LLM":
        return LLM(model, provider="sambanova", **options)

    @staticmethod
    def with_telnyx(*, model: str | None = None, **options: Unpack[Options]) -> "LLM":
        return LLM(model, provider="telnyx", **options)

    @staticmethod
    def with_together(*, model: str | None = None, **options: Unpack[Options]) -> "LLM":
        return LLM(model, provider="together", **options)

    @staticmethod
    def with_x_ai(*, model: str | None = None, **options: Unpack[Options]) -> "LLM":
        return LLM(model, provider="xai", **options)


__getattr__ = speech(__name__, "openai")
