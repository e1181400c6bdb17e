"""What a voice activity detector is to a session."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from agent_runtime.audio.frame import AudioFrame


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Voice was found. `onset` is the loop time of the first voiced sample (before the moment it was found)."""

    onset: float


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """Voice has been absent for the detector's silence. `last_voiced` is the loop time of the last voiced sample."""

    last_voiced: float


VADEvent = SpeechStarted | SpeechEnded


class VADStream(ABC):
    """One microphone's detector. It runs on the loop: a push must cost well under a millisecond."""

    @abstractmethod
    def push(self, frame: AudioFrame) -> list[VADEvent]:
        """Take the next frame (16 kHz mono, `frame.at` set) and say what changed."""

    def close(self) -> None:
        """Give back what the detector holds."""


class VAD(ABC):
    """A voice activity detector that can be named in `AgentSession(vad=...)`."""

    label: str = ""
    """The descriptor, as the user wrote it or would have."""

    @abstractmethod
    def stream(self) -> VADStream:
        """Start on a new microphone."""
