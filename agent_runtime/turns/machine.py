"""Who has the floor: the turn machine, a table of states and events.

Theory of operation
===================

Two parties share one floor. The machine is told what each of them does, in the order in which it happened, and answers
with commands. It reads no clock and does no I/O: every event carries its time, and what has to happen later stands in
`deadline`; the owner sends a `Tick` then.

States::

    LISTENING       nobody has the floor
    USER_SPEAKING   the user's voice is on, nothing of the agent is due
    USER_PAUSED     the voice stopped (or words came without a voice); the endpointing delays run
    REPLY_PENDING   the turn is final, and nothing of its reply was heard yet
    AGENT_SPEAKING  the agent is audible
    OVERLAP         the user's voice is on over the agent's speech, which is ducked
    HELD            the same a little longer: the agent's speech stands still, at a sample we know

The end of a turn. All delays count from the last *voiced sample*, however late anybody learnt of it; in a voice that the
detector misses, from the last new word. After `min_delay` the turn is committed if the recogniser owes nothing more for
the voice heard; otherwise as soon as it has paid; at `max_delay` with whatever is understood so far. A turn detector
advises (`AskDetector`, `Advice`): where it thinks the turn unfinished the delay is longer, up to `max_delay`. It is
waited for `ADVICE_BUDGET_S`; an answer that is late, none, or no probability is no advice. With no words at all the
machine says so (`AskAgain`) rather than wait on: the user spoke and must not meet silence. In manual mode only
`CommitRequested` commits.

While the delay runs a reply may be made ahead (`Prepare`): nothing of it sounds, or is told, before the `Commit` of the
same words.

An interruption has two steps. Voice over the agent's speech is a suspicion: `Duck` at once, `Hold` when it has lasted
`HOLD_AFTER_S`. Words confirm it: `Cancel`, and the floor is the user's; words that the recogniser doubts do so only when
they are final and `DOUBTED_WORDS` or more. Otherwise `Release`, and the agent goes on from the very sample: as soon as
the recogniser says that there were no words, at the latest `RELEASE_AFTER_S` after the voice ended. Murmurs (a
backchannel, a filler, words to somebody else) confirm nothing and are no turn: the agent goes on at once, also while that
voice is still on. Duration confirms only where there is no recogniser, or where it has been silent for `DEAF_AFTER_S`. A
voice that goes on for `DEAF_AFTER_S` while the recogniser lives and finds no words in it is noise: the agent goes on
over it. So is one after whose words nothing more is read, which ends the turn. A noise that nobody has spoken over, and of
which the recogniser had nothing to say either, is a voice once more when it is over: it is answered (`AskAgain`).

Between the commit and the first sample of the reply the same steps apply with nothing to duck: the reply is held back.
If words confirm, nothing of it was heard, so it never was: `Reopen` throws it away and the two halves become one turn.

A suspicion ends in exactly one of `Release`, `Cancel`, `Reopen` and `Dismiss`; the last where the speech came to its
own end meanwhile. What the agent says next does not begin before that: it waits for the same decision.

Words that came while the agent's speech may not be interrupted are kept and are the beginning of the next turn. What is
read after a commit may be of the turn that is over; `turns.last_turn` tells, and that changes nothing. All other words
are new: they do what a voice with words does, also where the detector has told of none.

The application may end the user's turn itself (`CommitRequested`), in any state in which there are words or a voice. In
manual mode only it does, so a pause of the user there holds up nobody: the agent may speak meanwhile.

An event that the table does not list for a state changes nothing but the facts (`turns.facts`); `TurnMachine.ignored`
counts them.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import ClassVar

from agent_runtime.turns.endpoint import DEAF_AFTER_S, MURMURS, Endpoint
from agent_runtime.turns.options import TurnHandling
from agent_runtime.turns.signals import (
    Advice,
    AgentStarted,
    AgentStopped,
    AskAgain,
    Cancel,
    ClearRequested,
    Command,
    Commit,
    CommitRequested,
    Dismiss,
    Duck,
    GiveUpOnVoice,
    Heard,
    Hold,
    Ignore,
    Release,
    Reopen,
    ReplyPlanned,
    Tick,
    TurnEvent,
    VoiceStarted,
    VoiceStopped,
)

HOLD_AFTER_S = 0.1
"""From the first voiced sample over the agent's speech to its standing still. A microphone, a speaker and a detector's
window add 30 to 70 ms on the way; talkers stop 200 to 300 ms after they are interrupted. A voice as short as this is
over only when the detector says so, 0.25 s later or more, so a longer wait would save no noise from a pause."""

RELEASE_AFTER_S = 0.5
"""From the last voiced sample of a suspected interruption without words to the agent's going on, at the most."""

LONGEST_VOICE_S = 20.0
"""A voice without the shortest pause is none when it has lasted so long after words, and nothing was read of it."""

LIVES_FOR_S = 30.0
"""A recogniser that has read anything in so long is not deaf: it finds no words in a noise because there are none."""

DOUBTED_WORDS = 4
"""A final of so many words is speech, also where the recogniser doubts every one: a cough is read as one or two."""

ASK_AGAIN_MIN_S = 0.3
"""A voice that held no words and was shorter than this is a noise that needs no answer."""


class State(StrEnum):
    LISTENING = "listening"
    USER_SPEAKING = "user speaking"
    USER_PAUSED = "user paused"
    REPLY_PENDING = "reply pending"
    AGENT_SPEAKING = "agent speaking"
    OVERLAP = "overlap"
    HELD = "held"


_REPLY_PENDING, _AGENT_SPEAKING = State.REPLY_PENDING, State.AGENT_SPEAKING
"""Before Python 3.12 it takes 0.2 µs to find a member in its class, and an answer waits."""


class TurnMachine(Endpoint):
    """The state of one conversation's floor.

    Args:
        options: the delays and policies.
        has_recogniser: False makes the voice's duration confirm interruptions.
    """

    def __init__(
        self, options: TurnHandling, *, has_recogniser: bool = True, has_vad: bool = True, has_detector: bool = False
    ) -> None:
        super().__init__(options, has_recogniser=has_recogniser, has_vad=has_vad, has_detector=has_detector)
        self.state = State.LISTENING
        self._doubted: Heard | None = None  # words of the present suspicion that were not enough

    # What the owner asks.

    @property
    def floor_is_free(self) -> bool:
        """Whether a new speech of the agent may begin to sound: nobody has the floor, or a noise without words has it."""
        return self.state is _REPLY_PENDING or self.state is _AGENT_SPEAKING or self.is_quiet

    @property
    def is_quiet(self) -> bool:
        """Whether nobody has the floor and nothing is due."""
        match self.state:
            case State.USER_SPEAKING:
                return self._noise and not self._words.text
            case State.USER_PAUSED:
                return not self._timers  # it waits for the application, which has all the time it wants
            case _:
                return self.state is State.LISTENING

    @property
    def commit_is_due(self) -> bool:
        """Whether the application has ended the user's turn, and only the recogniser is waited for."""
        return self._requested

    def handle(self, event: TurnEvent) -> list[Command]:
        """Take what happened and say what to do about it."""
        if isinstance(event, Heard) and self._last_turn.claims(event, self._words.interim, voice_on=self.voice_on):
            self.ignored += 1
            self._read_at = event.at
            return []
        row = self._TABLE.get((self.state, type(event)))
        self._note(event)
        if row is None:
            self.ignored += 1
        else:
            row(self, event)
        commands, self._out = self._out, []
        return commands

    # The user's turn.

    def _user_starts(self, event: VoiceStarted) -> None:
        self._go(State.USER_SPEAKING)
        self._listen_for_words(event.at)

    def _user_goes_on(self, event: VoiceStarted) -> None:
        if self._requested:  # the application has decided, whatever the user does
            return
        if self._last_voiced is not None and self._words.text:
            self.estimates.pause(event.onset - self._last_voiced)
        self._forget_advice()  # a detector that hears sound may think otherwise of the same words now
        self._user_starts(event)

    def _user_stops_after_request(self, event: VoiceStopped) -> None:
        """The turn was ended while the voice was still on; now it is known when that was over, and whether words are owed."""
        if "max_delay" in self._timers and self.options.turn_detection != "manual":
            bound = max(event.at, self.since(event.at) + self.options.endpointing.max_delay)
            self._timers["max_delay"] = min(bound, self._timers["max_delay"])
        self._maybe_commit(event.at, "requested" if self._requested else "silence")

    def _speaking_tick(self, event: Tick) -> None:
        if not self._due("deaf", event.at):
            return
        longest = event.at if self.onset is None else self.onset + LONGEST_VOICE_S
        if self._words.text and not self._reads_along and event.at < longest:
            self._timers["deaf"] = longest  # one that does not read along may be silent, and the voice one all the same
            return
        patience = self._patience
        self._noise = True
        self._unheard = not self._words.text
        self._words.owed = False
        self._out.append(GiveUpOnVoice(patience, confirmed=False))
        if self._words.text:
            self._lives(event.at if patience == DEAF_AFTER_S else event.at - patience)
            self._settle(event.at)
            self._paused_tick(event)  # the delay may be over already

    def _user_stops(self, event: VoiceStopped) -> None:
        if self._cleared_at is not None and event.last_voiced <= self._cleared_at:
            self._forget()  # only the detector was still waiting when all of it was thrown away
            self._settle(event.at)
            return
        if self._noise or self._murmured:
            self._settle(event.at)
            return
        self._go(State.USER_PAUSED)
        self._arm_endpoint(event.at)

    def _words_while_speaking(self, event: Heard) -> None:
        if not self._voice_tells:
            self._words_alone(event)
            return
        grows = self._words.grow(event)
        self._take_words(event)
        if grows or "deaf" not in self._timers:
            self._listen_for_words(event.at)

    def _words_alone(self, event: Heard) -> None:
        """Words without a voice: they are their own sign of life, as long as there are more and more of them."""
        if self._words.grow(event):
            self._lives(event.at)
        self._take_words(event)
        if not self._words.text:
            return
        self._go(State.USER_PAUSED)
        self._arm_endpoint(event.at)

    def _words_after_voice(self, event: Heard) -> None:
        if not self._is_of_a_voice(event.at) and not self._requested:
            self._words_alone(event)
            return
        if event.is_final and event.text and self._last_voiced is not None:
            self.estimates.lag(event.at - self._last_voiced)
        self._take_words(event)
        if event.kind == "echo" and event.is_final and not self._words.text and not self._requested:
            self._settle(event.at)  # that voice was nobody's
            return
        self._maybe_commit(event.at, "final transcript")

    def _commit(self, at: float, reason: str) -> None:
        if self._is_no_turn and reason != "requested":
            self._ignore(at)
            return
        words = self._words
        self._ignored_before = False
        last_voiced = self._last_voiced if self._last_voiced is not None else at
        self._out.append(Commit(words.text, reason, last_voiced, words.at, words.sure))
        self._committed = words
        self._murmured_at = None  # what that voice is from here on is not read yet
        self._prepared, self._preparations = "", 0
        self._close_turn(at)
        self._give_floor_to_agent()

    def _ignore(self, at: float) -> None:
        self._out.append(Ignore(self._words.text, self._kind))
        self._ignored_before = True
        self._close_turn(at)
        self._settle(at)

    def _close_turn(self, at: float) -> None:
        """What is heard from here on is of the next, but for what the recogniser still owes."""
        words = self._words
        self._last_turn.over(at, words.last_final, words.interim, owes=words.owed)
        self._asked_again = False
        self.onset = None
        self._forget_advice()
        self._drop_words()

    def _give_floor_to_agent(self) -> None:
        self._go(_AGENT_SPEAKING if self.agent_audible else _REPLY_PENDING)

    def _no_words(self, at: float) -> None:
        since = self._last_voiced if self._last_voiced is not None else at
        long_enough = self.onset is None or since - self.onset >= ASK_AGAIN_MIN_S
        self._drop_words()
        self.onset = None
        if long_enough and self.has_recogniser:
            self._out.append(AskAgain(after=at - since))
            self._asked_again = True
            self._last_turn.went_unread()
            self._give_floor_to_agent()
        else:
            self._settle(at)

    def _paused_tick(self, event: Tick) -> None:
        if self._due("min_delay", event.at):
            self._maybe_commit(event.at, "silence")
        if self.state is State.USER_PAUSED and self._due("max_delay", event.at):
            if self._words.text:
                self._commit(event.at, "requested" if self._requested else "max_delay")
            else:
                self._no_words(event.at)

    def _commit_on_request(self, event: CommitRequested) -> None:
        if self.voice_on:  # the user still speaks, but the application has decided
            self._last_voiced = event.at
        if self._words.text and not self._words.owed and not self._words.interim:
            self._commit(event.at, "requested")
            return
        until = self._at_the_latest(event)
        self._go(State.USER_PAUSED)
        self._requested = True
        self._timers["max_delay"] = max(event.at, until)

    def _commit_over_agent(self, event: CommitRequested) -> None:
        """What was said over a speech that went on is a turn: the application says so."""
        if self.voice_on:
            self._last_voiced = event.at
        if self._words.text:
            self._commit(event.at, "requested")

    def _commit_under_suspicion(self, event: CommitRequested) -> None:
        """A turn that the application ends is one, so this is no false alarm."""
        self._confirm(event.at, "requested")
        if self.state in (State.USER_SPEAKING, State.USER_PAUSED):
            self._commit_on_request(event)

    def _clear(self, event: ClearRequested) -> None:
        self._forget(event)
        self._settle(event.at)

    def _forget(self, event: ClearRequested | None = None) -> None:
        # What the recogniser still owes for the voice thrown away is thrown away too, and that voice if it is over.
        self._cleared_at = event.at if event is not None else self._cleared_at
        owes = not self.voice_on and (self._words.owed or bool(self._words.interim))
        if owes:
            self._last_turn.thrown_away(self._words.interim, voiced=self._words.owed)
        self._drop_words()

    # The agent's turn.

    def _reply_planned(self, event: ReplyPlanned) -> None:
        self._go(_REPLY_PENDING)

    def _agent_starts(self, event: AgentStarted) -> None:
        self._go(State.AGENT_SPEAKING)

    def _agent_stops(self, event: AgentStopped) -> None:
        self._settle(event.at)

    def _agent_stops_under_suspicion(self, event: AgentStopped) -> None:
        if not self._agent_due:
            self._out.append(Dismiss())
            self._settle(event.at)

    def _agent_starts_under_suspicion(self, event: AgentStarted) -> None:
        """What may not be interrupted does not wait for the suspicion's end."""
        if not self._may_be_interrupted:
            self._release("this speech may not be interrupted")

    def _agent_starts_in_pause(self, event: AgentStarted) -> None:
        """Where nothing is due in the pause, the agent has the floor; else the user's turn goes its way under it."""
        if not self._timers:
            self._go(State.AGENT_SPEAKING)

    def _agent_starts_over_voice(self, event: AgentStarted) -> None:
        """It began in the same moment as the user: that is an overlap like any other."""
        if self._noise or not self._may_be_interrupted:
            self._go(State.AGENT_SPEAKING)
        elif self.voice_on:
            self._suspect(event.at)

    def _words_over_agent(self, event: Heard) -> None:
        """Words while the agent has the floor and no suspicion is open."""
        if event.kind in (*MURMURS, "undecided") and not self._asked_again:
            self._drop_murmur(event)
            return
        of_a_voice = self._is_of_a_voice(event.at)
        rest = self._last_turn.is_rest(event)
        self._take_words(event)
        earlier = (of_a_voice or rest) and self.agent_audible and not self._voice_since_agent  # said before it began
        confirms = self._may_be_interrupted and self._confirms(event) and not earlier
        of_its_turn = rest and confirms and self._goes_on  # the delays count from the end of that voice
        if not of_a_voice and not of_its_turn and self._words.grow(event):
            self._lives(event.at)
        if confirms:
            self._confirm(event.at, "words")

    @property
    def _may_be_interrupted(self) -> bool:
        # A turn that nobody has heard the reply of may go on, also where that reply may not be interrupted.
        return self.options.interruption.enabled and (self._interruptible or self._goes_on)

    @property
    def _goes_on(self) -> bool:
        """Whether what is said now is a part of the turn that was committed: nothing of its reply was heard."""
        return self._committed is not None and not self.agent_audible

    def _confirms(self, event: Heard) -> bool:
        if not event.text:
            return False
        if event.kind == "command" and event.sure:
            return True
        enough = len(self._words.text.split()) >= self.options.interruption.min_words
        return enough and (event.sure or (event.is_final and len(event.text.split()) >= DOUBTED_WORDS))

    # An interruption.

    def _voice_over_agent(self, event: VoiceStarted) -> None:
        if self._may_be_interrupted:
            self._suspect(event.at)

    def _suspect(self, at: float) -> None:
        onset = self.onset if self.onset is not None else at
        self._go(State.OVERLAP)
        self._doubted = None
        self._out.append(Duck())
        self._timers["hold"] = max(at, onset + HOLD_AFTER_S)
        if self.has_recogniser:
            self._timers["deaf"] = at + DEAF_AFTER_S
        else:
            self._await_duration(at, onset)

    def _await_duration(self, at: float, onset: float) -> None:
        # A voice that is on may be over: its detector says so only later.
        told = min(self._hang_over, RELEASE_AFTER_S)
        self._timers["confirm"] = max(at, onset + self.options.interruption.min_duration + told)

    def _voice_over_pending(self, event: VoiceStarted) -> None:
        """The user goes on, or coughs, before anything of the reply was heard: nothing to duck, so hold at once."""
        if self._may_be_interrupted:
            self._suspect(event.at)
            self._out.remove(Duck())
            self._hold()

    def _hold(self) -> None:
        timers = {name: due for name, due in self._timers.items() if name != "hold"}
        self._go(State.HELD)
        self._timers = timers
        self._out.append(Hold())

    def _voice_goes_on(self, event: VoiceStarted) -> None:
        self._timers.pop("release", None)
        if not self.has_recogniser:
            self._await_duration(event.at, event.onset)

    def _voice_over_agent_stops(self, event: VoiceStopped) -> None:
        waited = self._timers.pop("confirm", None) is not None
        if waited and (self.voice_s(event.at) or 0.0) >= self.options.interruption.min_duration:
            self._confirm(event.at, "duration")
            return
        if not self.options.interruption.resume_false_interruption and self.state is State.HELD:
            self._confirm(event.at, "voice, and resume_false_interruption is off")
            return
        timeout = self.options.interruption.false_interruption_timeout
        if self.has_recogniser and not self._words.owed:
            self._release(self._why_no_interruption)
            return
        wait = RELEASE_AFTER_S if timeout is None else min(RELEASE_AFTER_S, timeout)
        self._timers["release"] = max(event.at, event.last_voiced + wait)

    def _words_in_overlap(self, event: Heard) -> None:
        if event.kind in MURMURS:
            self._drop_murmur(event)
            self._release(event.kind)
            return
        self._take_words(event)
        if event.kind == "undecided":
            return
        if self._confirms(event):
            self._confirm(event.at, "words")
            return
        if event.text:
            self._doubted = event
        if event.is_final and not self.voice_on:
            self._release(self._why_no_interruption)

    @property
    def _why_no_interruption(self) -> str:
        if self._doubted is None:
            return "no words"
        return "too few words" if self._doubted.sure else "words not certain"

    def _overlap_tick(self, event: Tick) -> None:
        if self._due("confirm", event.at):
            self._confirm(event.at, "duration")
        elif self._due("release", event.at):
            self._release("silence without words")
        elif self._due("deaf", event.at):
            lives = self._read_at is not None and event.at - self._read_at <= LIVES_FOR_S
            deaf = self.voice_on and not lives
            self._out.append(GiveUpOnVoice(DEAF_AFTER_S, confirmed=deaf))
            if deaf:
                self._confirm(event.at, "duration, the recogniser is silent")
            else:
                self._noise = self.voice_on
                self._release("noise without words")
        elif self._due("hold", event.at):
            self._hold()

    def _release(self, reason: str) -> None:
        # Certain words that were too few are kept for the next turn; all others were no words.
        certain = [final for final in self._words.finals if final.sure]
        self._drop_words()
        if certain:
            self._words.finals, self._words.at = certain, certain[-1].at
        self._out.append(Release(reason))
        self._give_floor_to_agent()

    def _confirm(self, at: float, reason: str) -> None:
        if self._committed is not None and self._goes_on:
            self._out.append(Reopen())
            self._last_turn.goes_on()
            earlier = self._committed
            if self.onset is not None and self._last_voiced is not None:
                self.estimates.pause(self.onset - self._last_voiced)
            self._words.at = self._words.at if self._words.at is not None else earlier.at
            if earlier.interim:
                earlier.finals.append(Heard(at, earlier.interim, is_final=True))
            self._words.finals[:0] = earlier.finals
            self._committed = None
        else:
            self._out.append(Cancel(reason))
        self._agent_due = self.agent_audible = False
        self._settle(at)

    # After which the floor falls to whoever is there.

    def _settle(self, at: float) -> None:
        if self._agent_due and self.agent_audible:
            self._go(State.AGENT_SPEAKING)
        elif self.voice_on and not (self._noise and self._words.text):
            self._go(State.USER_SPEAKING)
            self._listen_for_words(at)
        elif self._words.text or (self._words.owed and self._last_voiced is not None):
            self._go(State.USER_PAUSED)
            self._arm_endpoint(at)
        elif self._agent_due:
            self._go(State.REPLY_PENDING)
        else:
            self._go(State.LISTENING)

    def _go(self, state: State) -> None:
        self.state = state
        self._timers.clear()

    _TABLE: ClassVar[dict[tuple[State, type], Callable[..., None]]] = {
        (State.LISTENING, VoiceStarted): _user_starts,
        (State.LISTENING, Heard): _words_alone,
        (State.LISTENING, ReplyPlanned): _reply_planned,
        (State.LISTENING, AgentStarted): _agent_starts,
        (State.USER_SPEAKING, VoiceStopped): _user_stops,
        (State.USER_SPEAKING, Tick): _speaking_tick,
        (State.USER_SPEAKING, Heard): _words_while_speaking,
        (State.USER_SPEAKING, AgentStarted): _agent_starts_over_voice,
        (State.USER_SPEAKING, CommitRequested): _commit_on_request,
        (State.USER_SPEAKING, ClearRequested): _clear,
        (State.USER_PAUSED, VoiceStarted): _user_goes_on,
        (State.USER_PAUSED, VoiceStopped): _user_stops_after_request,
        (State.USER_PAUSED, Heard): _words_after_voice,
        (State.USER_PAUSED, Tick): _paused_tick,
        (State.USER_PAUSED, Advice): Endpoint._advised,
        (State.USER_PAUSED, CommitRequested): _commit_on_request,
        (State.USER_PAUSED, ClearRequested): _clear,
        (State.USER_PAUSED, AgentStarted): _agent_starts_in_pause,
        (State.REPLY_PENDING, VoiceStarted): _voice_over_pending,
        (State.REPLY_PENDING, Heard): _words_over_agent,
        (State.REPLY_PENDING, AgentStarted): _agent_starts,
        (State.REPLY_PENDING, AgentStopped): _agent_stops,
        (State.REPLY_PENDING, CommitRequested): _commit_over_agent,
        (State.REPLY_PENDING, ClearRequested): _forget,
        (State.AGENT_SPEAKING, VoiceStarted): _voice_over_agent,
        (State.AGENT_SPEAKING, Heard): _words_over_agent,
        (State.AGENT_SPEAKING, AgentStopped): _agent_stops,
        (State.AGENT_SPEAKING, CommitRequested): _commit_over_agent,
        (State.AGENT_SPEAKING, ClearRequested): _forget,
        (State.OVERLAP, VoiceStarted): _voice_goes_on,
        (State.OVERLAP, VoiceStopped): _voice_over_agent_stops,
        (State.OVERLAP, Heard): _words_in_overlap,
        (State.OVERLAP, Tick): _overlap_tick,
        (State.OVERLAP, AgentStarted): _agent_starts_under_suspicion,
        (State.OVERLAP, AgentStopped): _agent_stops_under_suspicion,
        (State.OVERLAP, CommitRequested): _commit_under_suspicion,
        (State.OVERLAP, ClearRequested): _forget,
        (State.HELD, VoiceStarted): _voice_goes_on,
        (State.HELD, VoiceStopped): _voice_over_agent_stops,
        (State.HELD, Heard): _words_in_overlap,
        (State.HELD, Tick): _overlap_tick,
        (State.HELD, AgentStarted): _agent_starts_under_suspicion,
        (State.HELD, AgentStopped): _agent_stops_under_suspicion,
        (State.HELD, CommitRequested): _commit_under_suspicion,
        (State.HELD, ClearRequested): _forget,
    }
