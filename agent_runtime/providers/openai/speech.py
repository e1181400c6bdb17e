"""Recognisers and voices behind OpenAI's wire."""

from agent_runtime.providers.openai.stt import OpenAISTT
from agent_runtime.providers.openai.tts import OpenAITTS

__all__ = ["OpenAISTT", "OpenAITTS"]
