"""What a speech recogniser is to a session."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import field
from enum import Enum
from types import TracebackType
from typing import Any, Self

from agent_runtime.audio.frame import AudioFrame
from agent_runtime.channels import Channel
from agent_runtime.errors import UsageError
from agent_runtime.records import record


class SpeechEventType(str, Enum):  # noqa: UP042  # `.value` and equality with the plain string, as users know it
    START_OF_SPEECH = "start_of_speech"
    INTERIM_TRANSCRIPT = "interim_transcript"
    FINAL_TRANSCRIPT = "final_transcript"
    END_OF_SPEECH = "end_of_speech"


@record(frozen=True, slots=True)
class SpeechData:
    """One reading of a stretch of speech.

    `confidence` is between 0 and 1; None means that the recogniser gives none. A text below
    `MIN_CONFIDENCE` interrupts nobody: it may be a cough read as a word.
    """

    text: str
    language: str = "en"
    confidence: float | None = None
    start_time: float = 0.0
    end_time: float = 0.0


MIN_CONFIDENCE = 0.5
"""Below this a reading is shown and logged but does not confirm an interruption."""


@record(frozen=True, slots=True)
class SpeechEvent:
    """What a recogniser says. A FINAL_TRANSCRIPT with no text means: that voice held no words."""

    type: SpeechEventType
    alternatives: list[SpeechData] = field(default_factory=list)


@record(frozen=True, slots=True)
class STTContext:
    """What the recogniser may know beforehand. Engines take from it what they can use.

    Attributes:
        keyterms: phrases that callers of this application are likely to say.
        tools: for each tool its name, its description and its documented argument values, as text.
    """

    keyterms: Sequence[str] = ()
    tools: "Sequence[ToolHint]" = ()


@record(frozen=True, slots=True)
class ToolHint:
    """A tool, as far as a recogniser cares: `arguments` maps a parameter to the values its documentation lists."""

    name: str
    description: str
    arguments: dict[str, tuple[str, ...]]


class STT(ABC):
    """A speech recogniser that can be named in `AgentSession(stt=...)`."""

    label: str = ""
    uses_tools: bool = False
    """It listens for the tools of the agent that speaks, so a new agent needs a new stream."""
    needs_vad: bool = False
    """It decodes only frames marked `voiced`, so it needs a voice activity detector beside it."""

    @abstractmethod
    def stream(self, *, language: str | None = None, context: STTContext | None = None) -> "RecognizeStream":
        """Start on a new microphone."""

    async def aclose(self) -> None:
        """End every child process and connection."""


class RecognizeStream(ABC):
    """Frames in, speech events out: push with one hand, iterate with the other.

    What is pushed while the recogniser lags is kept up to `backlog_s`; then the oldest is dropped and counted.
    """

    backlog_s = 30.0

    on_restart: Callable[[str], None] | None = None
    """Called with ``died`` or ``stalled`` when the engine had to be started again; the words meanwhile are not lost."""

    def __init__(self) -> None:
        self._input: Channel[AudioFrame] = Channel(int(self.backlog_s / 0.02))

    def push_frame(self, frame: AudioFrame) -> None:
        """Take 16 kHz mono sound."""
        self._input.put(frame)

    def end_input(self) -> None:
        """No more will be pushed; iteration ends after the last event."""
        if not self._input.closed:
            self._input.close()

    @property
    def dropped_frames(self) -> int:
        return self._input.dropped

    def __aiter__(self) -> AsyncIterator[SpeechEvent]:
        return self.recognize(self._input)

    @abstractmethod
    def recognize(self, audio: AsyncIterator[AudioFrame]) -> AsyncIterator[SpeechEvent]:
        """An async generator: the engine itself."""

    async def aclose(self) -> None:
        """End it now, whatever is pending."""
        self.end_input()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


def keyterms_of(options: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The phrases in `AgentSession(stt_context_options={"keyterms": [...]})`.

    Raises:
        UsageError: another key, or no list of phrases.
    """
    for key in options or {}:
        if key != "keyterms":
            raise UsageError(f"stt_context_options has the unknown key {key!r}; it takes 'keyterms'.")
    terms = (options or {}).get("keyterms", ())
    if isinstance(terms, str) or not all(isinstance(term, str) for term in terms):
        raise UsageError(f"stt_context_options keyterms is {terms!r}; it takes a list of phrases.")
    return tuple(terms)
