"""Recognisers and voices behind OpenAI's wire."""

from agent_runtime.providers.openai_stt import OpenAISTT
from agent_runtime.providers.openai_tts import OpenAITTS

__all__ = ["OpenAISTT", "OpenAITTS"]
