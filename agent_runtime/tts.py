"""What a speech synthesiser is to a session."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator

from agent_runtime.audio.frame import AudioFrame


class TTS(ABC):
    """A speech synthesiser that can be named in `AgentSession(tts=...)`."""

    label: str = ""
    word_times: bool = False
    """Whether the frames it makes carry the times of their words."""

    @property
    @abstractmethod
    def sample_rate(self) -> int:
        """Of the frames it makes, in Hz."""

    @abstractmethod
    def synthesize(self, text: str) -> AsyncIterator[AudioFrame]:
        """Speak one phrase: an async generator of mono frames, the first as early as the engine can.

        Frames carry `words` where the engine knows them. `text` is set by the caller. Closing the generator (or
        cancelling the task that iterates it) stops the engine.
        """

    async def aclose(self) -> None:
        """End every child process and connection."""
