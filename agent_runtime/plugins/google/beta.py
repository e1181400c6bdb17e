"""``google.beta.GeminiTTS``: a voice of Gemini's, where livekit-agents has it."""

from typing import Any

from agent_runtime.providers.gemini import tts as gemini_tts
from agent_runtime.types import NOT_GIVEN, NotGivenOr

__all__ = ["GeminiTTS"]


class GeminiTTS(gemini_tts.GeminiTTS):
    """See `gemini_tts.GeminiTTS` for the arguments.

    Args:
        voice_name: the voice, where `voice` is not given.
    """

    def __init__(self, *, voice_name: NotGivenOr[str] = NOT_GIVEN, **further: Any) -> None:
        if voice_name is not NOT_GIVEN:
            further.setdefault("voice", voice_name)
        super().__init__(**{name: value for name, value in further.items() if value is not NOT_GIVEN})
