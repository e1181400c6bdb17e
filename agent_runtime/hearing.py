"""What the caller's sound means before the turn machine is told of it: muted or not, whose words, what kind of words."""

from typing import TYPE_CHECKING

from agent_runtime import clock
from agent_runtime.events import UserInputTranscribed
from agent_runtime.stt import MIN_CONFIDENCE
from agent_runtime.turns.backchannels import is_aside, kind_of
from agent_runtime.turns.own_words import is_echo, may_become_echo
from agent_runtime.turns.signals import Heard, Kind

if TYPE_CHECKING:
    from agent_runtime.conversation import Conversation

ECHO_FOR_S = 1.5
"""After the end of the agent's speech its words may still come back from a recogniser."""

LISTENING_FOR_S = 1.0
"""So soon after the agent's speech "okay" is a sign of having listened, where nothing was asked. Listeners take 0.2 s."""


class Hearing:
    """Judges voices and readings by what is true when they come."""

    def __init__(self, conversation: "Conversation") -> None:
        self._conversation = conversation
        self._muted = False
        self._speech: tuple[str, bool, str] | None = None
        self._looked_at: tuple[tuple[str, str, str], bool] | None = None
        self._heard: tuple[float, str] | None = None
        self._first_speech_over = False
        self._ended_at: float | None = None
        self._last_said = ""
        """What was heard of the speech before the one that sounds."""

    def hears_voice(self) -> bool:
        """A voice begins: whether the caller is listened to."""
        self._muted = self.mutes
        return not self._muted

    def hears_end(self) -> bool:
        """Its end is told of where its beginning was."""
        return not self._muted

    def agent_said_so_far(self, heard: str) -> None:
        """A stretch of speech is over, and this was heard of it."""
        self._last_said = heard or self._last_said

    def agent_stopped(self, *, interrupted: bool) -> None:
        """A speech is over. What comes after an interruption is neither an echo of it nor a sign of having listened."""
        self._first_speech_over = True
        self._ended_at = None if interrupted else clock.now()

    @property
    def mutes(self) -> bool:
        """Whether a voice that begins now is not listened to."""
        for when in self._conversation.machine.options.mute:
            if when == "until_first_reply":
                muted = not self._first_speech_over
            elif when == "during_tools":
                muted = bool(self._conversation.tools)
            else:
                muted = self._asks(when)
            if muted:
                return True
        return False

    def _asks(self, when: object) -> bool:
        assert callable(when)
        try:
            return bool(when())
        except Exception as error:
            self._conversation.failed("mute", "The mute function", error)
            return False

    def ignores(self, text: str, language: str, at: float) -> str | None:
        """Why a reading that comes at `at` is none of the caller's: ``muted``, ``echo``; None where it is."""
        machine = self._conversation.machine
        if self._muted or (not machine.has_vad and self.mutes):
            return "muted"
        said = self._sounding(at) or self._echoing(at)
        if not text or not said:
            return None
        # A final mostly says what the last interim said; looked at once, it holds up no commit.
        asked = text, said, language
        if self._looked_at is None or self._looked_at[0] != asked:
            self._looked_at = asked, is_echo(*asked)
        return "echo" if self._looked_at[1] else None

    def reading(self, event: UserInputTranscribed) -> Heard:
        """What the turn machine is told of a reading that counts."""
        sure = event.confidence is None or event.confidence >= MIN_CONFIDENCE
        if event.ignored == "echo":
            return Heard(event.at, "", event.is_final, sure, "echo")
        text = event.transcript
        kind = self._kind(text, event.language, event.at) if text else "speech"
        if kind == "undecided" and event.is_final:  # no more will come
            kind = "speech"
        return Heard(event.at, text, event.is_final, sure, kind)

    def _kind(self, text: str, language: str, at: float) -> Kind:
        machine = self._conversation.machine
        said = machine.so_far(text)
        speaking = machine.agent_audible or self._agent_has_just_spoken
        if self._speech == (said, speaking, language):  # the final of an interim that was speech
            return "speech"
        for piece in machine.pieces(text):
            if not is_aside(piece, language):
                break
        else:
            return "aside"
        sounding = self._sounding(at)
        kind = kind_of(
            said,
            language,
            duration_s=machine.voice_s(at),
            agent_speaking=speaking,
            after_question=(sounding or self._last_said).rstrip().endswith("?"),
        )
        if (
            kind == "speech"
            and machine.agent_audible
            and may_become_echo(said, sounding or self._echoing(at), language)
        ):
            return "undecided"
        if kind == "speech":
            self._speech = said, speaking, language
        return kind

    def _sounding(self, at: float) -> str:
        """What was heard of the utterance that sounds; worked out once for all that is asked about a reading."""
        if self._heard is None or self._heard[0] != at:
            self._heard = at, self._heard_now
        return self._heard[1]

    @property
    def _agent_has_just_spoken(self) -> bool:
        if self._ended_at is None:
            return False
        onset = self._conversation.machine.onset
        return onset is not None and onset - self._ended_at <= LISTENING_FOR_S

    @property
    def agent_said(self) -> str:
        """The agent's last words that were heard, those that sound now included."""
        return self._heard_now or self._last_said

    @property
    def _heard_now(self) -> str:
        playout = self._conversation.playout
        return playout.heard_now if playout is not None else ""

    def _echoing(self, at: float) -> str:
        """What of a speech that is over may still come back."""
        recent = self._ended_at is not None and at - self._ended_at <= ECHO_FOR_S
        return self._last_said if recent else ""
