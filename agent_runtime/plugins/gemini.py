"""``gemini.LLM`` and ``gemini.TTS``: Gemini at AI Studio, under LiteLLM's name for it. See `google` for livekit-agents'."""

from agent_runtime.providers.gemini.llm import GeminiLLM, content_or_image
from agent_runtime.providers.gemini.tts import GeminiTTS

__all__ = ["LLM", "TTS", "content_or_image"]

LLM = GeminiLLM
TTS = GeminiTTS
