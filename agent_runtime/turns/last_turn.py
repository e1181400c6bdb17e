"""Whose words these are: of the turn that is open, or of the one before, which is over for everybody but the recogniser.

A recogniser may say late what it owes for a turn, say a thing twice, or end a voice in two finals. A voice activity
detector may miss a voice. So neither alone can tell. The rules, for a reading after a turn is over:

* Where the detector has told of a voice since, it is of that voice. Not so a final that pays what is owed, or that says
  the last one again before that voice is over.
* What begins as the words that were over before they were final, or is the beginning of them, is theirs. A final pays.
* A final that nothing led up to pays too, whatever it says, where the detector told of the turn's voice.
* What was final and comes again is said twice; a little later it may be the user who says it again.
* All else is new: a second part of the same voice, or a voice that the detector has missed.
"""

from functools import lru_cache

from agent_runtime.turns.lexicon import tokens
from agent_runtime.turns.signals import Heard

AGAIN_WITHIN_S = 3.0
"""A recogniser that says a thing twice does so within this after the turn; who has been asked something may say it again."""


class LastTurn:
    """The turn before: what was final of it, and what the recogniser owes for it.

    `voice_since`: whether the voice activity detector has told of a voice since it was over.
    """

    def __init__(self) -> None:
        self.voice_since = False
        self._told_at = float("-inf")
        self._final = ""
        self._owes = False
        self._debt: str | None = ""  # its words that were not final when it was over; None: whatever is owed is its own
        self._was_voiced = False  # whether the detector told of its voice
        self._is_open_again = False
        self._led_up = False  # whether new words in the making were read since

    def over(self, at: float, final: str, debt: str, *, owes: bool) -> None:
        """The turn that was open is the last one now: with its last final, and its words in the making."""
        owed_still = self._debt or "" if self._is_open_again and self._owes else ""
        self._told_at, self._final, self._debt = at, _plain(final), _plain(debt) or owed_still
        self._owes = owes or self._debt != ""
        voiced = self.voice_since or (self._is_open_again and self._was_voiced)
        self._was_voiced = voiced and not owed_still  # what was owed then is paid by its own words, or not at all
        self.voice_since = self._is_open_again = self._led_up = False

    def thrown_away(self, debt: str, *, voiced: bool) -> None:
        """What was said so far is nobody's, and so is what is still owed for it; `voiced`: for a voice that was told of."""
        self.over(self._told_at, "", debt, owes=True)
        self._was_voiced = voiced
        self._debt = None if voiced else self._debt

    def went_unread(self) -> None:
        """There was a voice after it, and no words: from here on only what it said itself is its own."""
        self.voice_since = self._was_voiced = False

    def goes_on(self) -> None:
        """It is open again."""
        self._is_open_again = True

    def voice_began(self) -> None:
        self.voice_since = True

    def is_rest(self, event: Heard) -> bool:
        """Whether this may be a second part of its voice: a final that nothing led up to, and no voice since."""
        return event.is_final and self._was_voiced and not self._led_up and not self.voice_since

    def claims(self, event: Heard, reading: str, *, voice_on: bool) -> bool:
        """Whether these words are its own, and so of no other turn.

        Args:
            reading: the words in the making of the turn that is open; "" where nobody has begun to say anything.
            voice_on: whether the detector hears a voice now.
        """
        new, said_now = _plain(event.text), _plain(reading)
        if not new or (said_now and new.startswith(said_now)):
            return False
        if self.voice_since:
            mine = event.is_final and ((bool(self._debt) and self._pays(new)) or (voice_on and new == self._final))
        elif self._pays(new):
            mine = True
        elif self.is_rest(event) and self._owes:
            mine = bool(self._debt) or self._completes(new)
        else:
            mine = self._says_again(event, new)
        if event.is_final:
            self._settle(new, mine=mine, of_its_voice=self.is_rest(event))
            self._told_at = event.at if mine else self._told_at
        elif not mine:
            self._led_up = True
        return mine

    def _settle(self, new: str, *, mine: bool, of_its_voice: bool) -> None:
        """A final has come."""
        if mine and self._owes and self._debt and self._debt.startswith(f"{new} "):
            self._debt = self._debt.removeprefix(f"{new} ")  # the rest comes in a final of its own, or never
        elif mine or of_its_voice:
            self._owes = False
        self._final = new if mine else self._final

    def _pays(self, new: str) -> bool:
        if self._debt is None:
            return self._owes
        return self._owes and self._debt != "" and (new.startswith(self._debt) or self._debt.startswith(new))

    def _completes(self, new: str) -> bool:
        return self._final != "" and f"{new} ".startswith(f"{self._final} ")

    def _says_again(self, event: Heard, new: str) -> bool:
        if event.at - self._told_at > AGAIN_WITHIN_S:
            return event.is_final and new == self._final and self._was_voiced
        if self._was_voiced:
            return self._completes(new) or self._final.startswith(new)
        return new == self._final if event.is_final else self._final.startswith(new)


@lru_cache(maxsize=16)  # a final mostly says what its last interim said
def _plain(text: str) -> str:
    """Without case and punctuation, which a recogniser adds at the end."""
    return " ".join(tokens(text))
