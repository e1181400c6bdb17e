"""What the turn machine knows of both parties, in whatever state it is: voices, words, what is owed, what is due."""

from dataclasses import dataclass
from operator import attrgetter

from agent_runtime.turns.last_turn import LastTurn
from agent_runtime.turns.signals import (
    AgentStarted,
    AgentStopped,
    Heard,
    Kind,
    ReplyPlanned,
    ReplyTookEffect,
    TurnEvent,
    VoiceStarted,
    VoiceStopped,
)

HANG_OVER_S = 0.25
"""How long a voice activity detector is taken to wait for the end of a voice, until it has shown it."""

MURMUR_TOLD_S = 1.0
"""So soon before its end a voice that is read as a murmur has nothing else in it."""

_text, _sure = attrgetter("text"), attrgetter("sure")


@dataclass(slots=True)
class Words:
    """What has been understood since the last commit."""

    finals: list[Heard]
    interim: str = ""
    owed: bool = False
    """Whether the recogniser still owes a final for voice that was heard."""
    at: float | None = None
    """When the last words came."""
    longest: int = 0
    """How long the words in the making have become, in characters."""

    @property
    def text(self) -> str:
        return " ".join([*map(_text, self.finals), self.interim]).strip()

    @property
    def sure(self) -> bool:
        return all(map(_sure, self.finals))

    def ends_with(self, text: str) -> bool:
        """Whether these are the words of the last final, and nothing has come since."""
        return bool(self.finals) and not self.interim and self.finals[-1].text.casefold() == text.casefold()

    @property
    def last_final(self) -> str:
        return self.finals[-1].text if self.finals else ""

    def grow(self, reading: Heard) -> bool:
        """Whether a reading shows that somebody speaks: a final, or words in the making that are longer than ever."""
        grows = len(reading.text) > (0 if reading.is_final else self.longest)
        self.longest = 0 if reading.is_final else max(self.longest, len(reading.text))
        return grows


class Facts:
    """Kept up to date by every event, also by those that mean nothing in the present state."""

    def __init__(self, *, has_recogniser: bool, has_vad: bool) -> None:
        self.has_recogniser = has_recogniser
        self.has_vad = has_vad
        self.voice_on = False
        """Whether the user is speaking now, as far as anybody knows."""
        self._noise = False  # the voice that is on has held the floor long enough without a word
        self._unheard = False  # so it is, nobody else has spoken over it, and the recogniser has said nothing of it
        self.onset: float | None = None
        """When the voice began that was heard last, in the turn that is not committed yet."""
        self._last_voiced: float | None = None
        self._voice_ended: float | None = None  # the same, as the detector tells it
        self._hang_over = HANG_OVER_S
        self._words = Words([])
        self._committed: Words | None = None  # of the turn whose reply is pending, for Reopen
        self._asked_again = False
        self._requested = False  # the application ends this turn
        self._cleared_at: float | None = None
        self._agent_due = False  # a speech of it is planned or sounds, as far as anybody has told
        self.agent_audible = False
        """Whether a speech of the agent has begun to sound and is not over."""
        self._interruptible = True
        self._last_turn = LastTurn()
        self._voice_since_agent = False
        self._read_at: float | None = None  # when the recogniser gave anything last
        self._reads_along = False  # it has read words out of the voice that is on, while that was on
        self._murmured_at: float | None = None  # when the last reading of this voice was that of a murmur
        self._said_twice = False  # this final is the one before once more
        self._final_at: float | None = None
        self._kind: Kind = "speech"  # of the words since the last turn
        self._ignored_before = False  # what the user said last was no turn: the next one is, whatever it is
        self._asked = ""  # the words about which the turn detector was asked last
        self._advice: float | None = None
        self._advice_due: float | None = None  # until when its answer is waited for

    @property
    def pending_transcript(self) -> str:
        """The words of the turn that is not committed yet."""
        return self._words.text

    def so_far(self, text: str) -> str:
        """The words of the turn that is not committed yet, with `text` as the recogniser's newest reading.

        Over the agent's speech a turn is not what was said in several voices, but in the one that is on.
        """
        return " ".join(self.pieces(text)).strip() if self._words.finals else text.strip()

    def pieces(self, text: str) -> list[str]:
        """The same, reading by reading."""
        since = self.onset if self.agent_audible and self.onset is not None else float("-inf")
        return [final.text for final in self._words.finals if final.at >= since] + [text]

    def voice_s(self, at: float) -> float | None:
        """How long the voice that was heard last has lasted; None where none was."""
        end = at if self.voice_on else self._last_voiced
        return None if self.onset is None or end is None else max(0.0, end - self.onset)

    @property
    def _voice_tells(self) -> bool:
        """Whether the user speaks when the detector says so: there is one, and what it hears is no noise."""
        return self.has_vad and not (self._noise and self.voice_on)

    def _note(self, event: TurnEvent) -> None:
        match event:
            case VoiceStarted(onset=onset):
                self.voice_on = True
                self._noise = self._unheard = False
                self._cleared_at = None
                self.onset = onset
                self._last_turn.voice_began()
                self._voice_since_agent = True
                self._words.owed = self.has_recogniser
                self._final_at = None
                self._reads_along, self._murmured_at = False, None
            case VoiceStopped(at=at, last_voiced=last_voiced):
                self.voice_on = False
                self._voice_ended = last_voiced
                self._hang_over = max(0.0, at - last_voiced)
                if self._unheard:  # it may have been speech, to a recogniser that reads nothing before a voice is over
                    self._noise = self._unheard = False
                if not self._noise:
                    self._last_voiced = last_voiced
                    # A final that came after the voice's end, while the detector still waited, has paid.
                    paid = self._final_at is not None and self._final_at >= last_voiced
                    self._words.owed = self.has_recogniser and not paid and not self._murmured
            case Heard(text=text, is_final=is_final, at=at, kind=kind):
                self._read_at = at
                self._unheard = False
                self._murmured_at = at if kind == "echo" else None if text else self._murmured_at
                self._reads_along = self._reads_along or (self.voice_on and not is_final and bool(text))
                self._said_twice = is_final and self._words.ends_with(text) and self._has_told
                if is_final:
                    self._final_at = at
                    self._words.owed = self.voice_on and not self._noise
            case AgentStarted(interruptible=interruptible):
                self._agent_due = self.agent_audible = True
                self._unheard = False
                self._interruptible = interruptible
                self._committed = None
                self._voice_since_agent = self.voice_on
            case AgentStopped(more=more):
                self._agent_due, self.agent_audible = more, False
                self._committed = None if not more else self._committed
            case ReplyPlanned(interruptible=interruptible):
                self._agent_due = True
                if not self.agent_audible:
                    self._interruptible = interruptible
            case ReplyTookEffect():
                self._committed = None

    @property
    def _has_told(self) -> bool:
        """Whether the recogniser has no reason for a final: it has told of all voice, or would have read new words first."""
        return self._reads_along or (self.has_vad and not self.voice_on and not self._words.owed)

    @property
    def _murmured(self) -> bool:
        """Whether the voice that was heard last was a murmur, as far as anybody has read it."""
        read, end = self._murmured_at, self._last_voiced
        return read is not None and end is not None and end - read <= MURMUR_TOLD_S

    def _take_words(self, event: Heard) -> None:
        words = self._words
        if self._said_twice:
            return
        if event.text:
            self._kind = event.kind
        if event.is_final:
            words.interim = ""
            if event.text:
                words.finals.append(event)
                words.at = event.at
        else:
            words.interim = event.text
            words.at = event.at

    def _drop_words(self) -> None:
        self._words = Words([], owed=self.voice_on and self.has_recogniser and not self._noise)
        self._requested = False

    def _forget_advice(self) -> None:
        self._asked, self._advice, self._advice_due = "", None, None

    def _lives(self, at: float) -> None:
        self._last_voiced = at
        self.onset = at if self.onset is None else self.onset
