"""What the turn machine is told, and what it answers. Each signal carries its time, in seconds of loop time."""

from typing import Literal

from agent_runtime.records import record

Kind = Literal["speech", "command", "undecided", "backchannel", "filler", "aside", "echo"]
"""What words are, said over the agent: `command` interrupts at once ("stop"), `undecided` not yet ("ye"), the last four
interrupt nobody. What is `echo` of the agent is not the user's, so it has no text."""

# Events


@record(frozen=True, slots=True)
class VoiceStarted:
    at: float
    onset: float


@record(frozen=True, slots=True)
class VoiceStopped:
    at: float
    last_voiced: float


@record(frozen=True, slots=True)
class Heard:
    """The recogniser's reading.

    `sure` is False where it does not trust its own words (see `stt.MIN_CONFIDENCE`). `kind` is of all that was said since
    the last turn, this reading included.
    """

    at: float
    text: str
    is_final: bool
    sure: bool = True
    kind: Kind = "speech"


@record(frozen=True, slots=True)
class Advice:
    """The turn detector's answer about `text`: the probability that the turn is complete; None is no opinion."""

    at: float
    text: str
    probability: float | None


@record(frozen=True, slots=True)
class ReplyPlanned:
    """A reply or an announcement is being made; nothing of it was heard."""

    at: float
    interruptible: bool = True
    """Of the speech that is to sound first."""


@record(frozen=True, slots=True)
class AgentStarted:
    """The first sample of a speech left the sink."""

    at: float
    interruptible: bool


@record(frozen=True, slots=True)
class AgentStopped:
    """A speech is over: played to its end, cancelled, or it came to nothing. `more` says that another is under way."""

    at: float
    more: bool = False


@record(frozen=True, slots=True)
class ReplyTookEffect:
    """A tool of the pending reply has started: its turn cannot be reopened any more."""

    at: float


@record(frozen=True, slots=True)
class CommitRequested:
    """The application ends the user's turn; it waits for the recogniser until `deadline`."""

    at: float
    deadline: float


@record(frozen=True, slots=True)
class ClearRequested:
    """The application throws the user's words away."""

    at: float


@record(frozen=True, slots=True)
class Tick:
    """The time has come that `TurnMachine.deadline` named."""

    at: float


TurnEvent = (
    VoiceStarted
    | VoiceStopped
    | Heard
    | Advice
    | ReplyPlanned
    | AgentStarted
    | AgentStopped
    | ReplyTookEffect
    | CommitRequested
    | ClearRequested
    | Tick
)


# Commands


@record(frozen=True, slots=True)
class Duck:
    """Play the agent's speech softly."""


@record(frozen=True, slots=True)
class Hold:
    """Let nothing of the agent's speech sound, and remember the sample."""


@record(frozen=True, slots=True)
class Release:
    """It was no interruption: on from that sample, at full level."""

    reason: str


@record(frozen=True, slots=True)
class Cancel:
    """It was one: end the agent's speech here."""

    reason: str


@record(frozen=True, slots=True)
class Dismiss:
    """It is open no more whether it was one: the agent's speech has come to its own end."""


@record(frozen=True, slots=True)
class Reopen:
    """Throw away the reply, of which nothing was heard: its turn goes on."""


@record(frozen=True, slots=True)
class Commit:
    """The user's turn is final."""

    transcript: str
    reason: str
    last_voiced: float
    transcribed_at: float | None
    sure: bool


@record(frozen=True, slots=True)
class Ignore:
    """What the user said is no turn: a sign of listening, a filler, words to somebody else."""

    transcript: str
    kind: Kind


@record(frozen=True, slots=True)
class AskDetector:
    """The turn detector is to say whether `text` is a whole turn; `Advice` is its answer, now or later."""

    text: str


@record(frozen=True, slots=True)
class Prepare:
    """The turn will probably end with these words: its reply may be made, and must not sound before the `Commit`."""

    transcript: str


@record(frozen=True, slots=True)
class AskAgain:
    """The user spoke, and `after` seconds later there are still no words."""

    after: float


@record(frozen=True, slots=True)
class GiveUpOnVoice:
    """A voice held the agent for `after` seconds without words: the recogniser is deaf (`confirmed`), or it is noise.

    A `Cancel` or a `Release` follows.
    """

    after: float
    confirmed: bool


Command = (
    Duck
    | Hold
    | Release
    | Cancel
    | Dismiss
    | Reopen
    | Commit
    | Ignore
    | AskDetector
    | Prepare
    | AskAgain
    | GiveUpOnVoice
)
