"""Everything that can happen in a session, each as a frozen record.

`at` is loop time in seconds. The name under which `session.on(...)` knows an event, and which stands in the log, is the
class's in snake case: `UserInputTranscribed` is ``user_input_transcribed``. A time that is not known is None, never 0.

The log of a call is the sequence of these, and everything that is told about a call afterwards (waterfall, picture,
transcript, latencies) is a function of that sequence.
"""

import re
from typing import Any, ClassVar, Literal

from agent_runtime.records import record

UserState = Literal["speaking", "listening", "away"]
AgentState = Literal["initializing", "idle", "listening", "thinking", "speaking"]


@record(frozen=True, slots=True, kw_only=True)
class Event:
    at: float
    type: ClassVar[str] = "event"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        # Not super(): a dataclass with slots is made twice, and the first class is not the one super() knows.
        object.__init_subclass__(**kwargs)
        if "type" not in cls.__dict__:
            cls.type = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()


# The call


@record(frozen=True, slots=True, kw_only=True)
class SessionStarted(Event):
    """`nodes` maps each of vad, stt, llm, tts to its descriptor, or to None."""

    nodes: dict[str, str | None]


@record(frozen=True, slots=True, kw_only=True)
class Close(Event):
    """The session ended.

    `reason` is one of error, job_shutdown, participant_disconnected, user_initiated, task_completed, budget_exceeded.
    """

    reason: str
    error: str | None = None


@record(frozen=True, slots=True, kw_only=True)
class Error(Event):
    """Something failed; `source` names the node (vad, stt, llm, tts, tool, hook, sink, source)."""

    source: str
    message: str
    recoverable: bool


@record(frozen=True, slots=True, kw_only=True)
class Stalled(Event):
    """Nothing happened in `what` (stt, llm, tts, playout, turn, or an engine) within `after` seconds of loop time.

    `after` is None for an engine in a child process: its deadline is in machine time. `action` says what is done.
    """

    what: str
    after: float | None
    action: str

    @property
    def sentence(self) -> str:
        lasted = f" for {self.after:g} s" if self.after is not None else ""
        return f"{self.what} stalled{lasted}: {self.action}"


@record(frozen=True, slots=True, kw_only=True)
class EngineRestarted(Event):
    """A child process of `engine` had to be started again; `reason` is died or stalled."""

    engine: str
    reason: str


@record(frozen=True, slots=True, kw_only=True)
class DeviceLost(Event):
    device: Literal["microphone", "speaker"]
    message: str


@record(frozen=True, slots=True, kw_only=True)
class DeviceReturned(Event):
    device: Literal["microphone", "speaker"]
    message: str


@record(frozen=True, slots=True, kw_only=True)
class InputEnded(Event):
    """The recording that plays the caller has come to its end, or the caller hung up."""


# The ear


@record(frozen=True, slots=True, kw_only=True)
class VoiceStarted(Event):
    """Voice was found; `onset` is the loop time of its first sample."""

    onset: float


@record(frozen=True, slots=True, kw_only=True)
class VoiceStopped(Event):
    """Voice has been absent for the detector's silence; `last_voiced` is the loop time of its last sample."""

    last_voiced: float


@record(frozen=True, slots=True, kw_only=True)
class UserInputTranscribed(Event):
    """What the recogniser reads, in the making or final.

    `ignored` says why the words are none of a turn: ``muted``, or ``echo`` where the agent's own words came back.
    """

    transcript: str
    is_final: bool
    language: str = "en"
    confidence: float | None = None
    ignored: str | None = None


# The turn


@record(frozen=True, slots=True, kw_only=True)
class InterruptionSuspected(Event):
    """There is voice over the agent's speech: it is ducked, and paused if the voice goes on."""

    speech_id: str


@record(frozen=True, slots=True, kw_only=True)
class PlayoutPaused(Event):
    """`position` is the agent's played position in its speech, in seconds."""

    speech_id: str
    position: float


@record(frozen=True, slots=True, kw_only=True)
class InterruptionConfirmed(Event):
    """The speech is cancelled: `reason` is words, duration, or said-so (`interrupt()`)."""

    speech_id: str
    reason: str
    position: float


@record(frozen=True, slots=True, kw_only=True)
class AgentFalseInterruption(Event):
    """It was no interruption: the agent goes on at `position`, the very sample where it stopped."""

    speech_id: str
    resumed: bool
    position: float
    reason: str


@record(frozen=True, slots=True, kw_only=True)
class TurnCommitted(Event):
    """The user's turn is final. `turn` counts from 1; `last_voiced` is None for a typed turn."""

    turn: int
    transcript: str
    reason: str
    last_voiced: float | None
    transcribed_at: float | None


@record(frozen=True, slots=True, kw_only=True)
class TurnIgnored(Event):
    """What the user said is no turn and is not answered: `kind` is backchannel, filler or aside."""

    transcript: str
    kind: str


@record(frozen=True, slots=True, kw_only=True)
class TurnReopened(Event):
    """The user went on before anything of the reply was heard: the reply is thrown away, the halves become one turn."""

    turn: int


@record(frozen=True, slots=True, kw_only=True)
class TurnPredicted(Event):
    """The turn detector's advice: the `probability` that the turn is complete; None is no opinion.

    `delay` is how long after the last voiced sample the turn is committed if nothing else comes, in seconds.
    """

    detector: str
    probability: float | None
    delay: float


@record(frozen=True, slots=True, kw_only=True)
class GenerationDiscarded(Event):
    """A reply that was made ahead of its turn was thrown away: `characters` of text and `audio` seconds of sound."""

    speech_id: str
    reason: str
    characters: int
    audio: float


@record(frozen=True, slots=True, kw_only=True)
class UserStateChanged(Event):
    old_state: UserState
    new_state: UserState


@record(frozen=True, slots=True, kw_only=True)
class AgentStateChanged(Event):
    old_state: AgentState
    new_state: AgentState


# The reply


@record(frozen=True, slots=True, kw_only=True)
class SpeechCreated(Event):
    """`source` is say or generate_reply; `turn` is the user's turn it answers, if any."""

    speech_id: str
    source: str
    user_initiated: bool
    turn: int | None


@record(frozen=True, slots=True, kw_only=True)
class LlmRequested(Event):
    speech_id: str
    step: int


@record(frozen=True, slots=True, kw_only=True)
class FirstToken(Event):
    """The first text or tool call of a step."""

    speech_id: str
    step: int


@record(frozen=True, slots=True, kw_only=True)
class ModelCalled(Event):
    """A request to a language model over the network is over; `at` is its end.

    `speech_id` is that of the speech for which it was made; None for one that no speech waited for (a probe). `outcome`
    is answered, failed, cancelled, lost (another model was faster) or probe. Token counts are the service's, None where it
    did not tell them; what was cached or thought is part of the larger counts.
    """

    speech_id: str | None
    provider: str
    model: str
    outcome: str
    requested_at: float
    first_token_at: float | None
    characters: int
    prompt_tokens: int | None = None
    prompt_cached_tokens: int | None = None
    cache_creation_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    error: str | None = None


@record(frozen=True, slots=True, kw_only=True)
class BudgetExceeded(Event):
    """What the models cost so far, in US dollars, is above the budget; `action` is what is done about it."""

    usd: float
    limit: float
    per: str
    action: str


@record(frozen=True, slots=True, kw_only=True)
class PhraseReady(Event):
    """A phrase went to the synthesiser."""

    speech_id: str
    index: int
    text: str


@record(frozen=True, slots=True, kw_only=True)
class FirstSample(Event):
    """The synthesiser's first sound of this speech arrived."""

    speech_id: str


@record(frozen=True, slots=True, kw_only=True)
class PlaybackStarted(Event):
    """The first sample of this speech left the sink."""

    speech_id: str


@record(frozen=True, slots=True, kw_only=True)
class PlaybackFinished(Event):
    """`heard` is what was said up to `position` seconds; `cut` is what was made but not heard."""

    speech_id: str
    position: float
    interrupted: bool
    heard: str
    cut: str


@record(frozen=True, slots=True, kw_only=True)
class ToolStarted(Event):
    speech_id: str
    call_id: str
    name: str
    arguments: str


@record(frozen=True, slots=True, kw_only=True)
class ToolEnded(Event):
    speech_id: str
    call_id: str
    name: str
    output: str
    is_error: bool


@record(frozen=True, slots=True, kw_only=True)
class FunctionToolsExecuted(Event):
    """All tools of one step have their outcome. The lists hold `FunctionCall` and `FunctionCallOutput` in pairs."""

    function_calls: list[Any]
    function_call_outputs: list[Any]

    def zipped(self) -> list[tuple[Any, Any]]:
        """Each call with its output."""
        return list(zip(self.function_calls, self.function_call_outputs, strict=True))


@record(frozen=True, slots=True, kw_only=True)
class ConversationItemAdded(Event):
    """`item` is a ChatMessage, FunctionCall, FunctionCallOutput or AgentHandoff."""

    item: Any


KINDS: tuple[type[Event], ...] = tuple(
    kind for kind in list(vars().values()) if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
)
"""Every class of event."""

BY_NAME: dict[str, type[Event]] = {kind.type: kind for kind in KINDS}
"""The same by what it is called in a log and in ``session.on(...)``."""
