"""What must hold of the turn machine after every step, each as one function that bears its number in DESIGN.md.

The watch keeps its own account of what happened, from the signals and the commands alone. Of the machine it reads what its
owner may read: `state`, `deadline`, `voice_on`, `pending_transcript`, `ignored`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, get_args

from agent_runtime.turns import signals
from agent_runtime.turns.endpoint import DEAF_AFTER_S
from agent_runtime.turns.facts import MURMUR_TOLD_S
from agent_runtime.turns.machine import ASK_AGAIN_MIN_S, HOLD_AFTER_S, RELEASE_AFTER_S, State, TurnMachine
from agent_runtime.turns.signals import (
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
    Release,
    Reopen,
    ReplyPlanned,
    ReplyTookEffect,
    Tick,
    TurnEvent,
    VoiceStarted,
    VoiceStopped,
)

EPS = 1e-6
SUSPICION = (State.OVERLAP, State.HELD)
MURMURS = tuple(kind for kind in get_args(signals.Kind) if kind not in ("speech", "command"))
IGNORE: Any = getattr(signals, "Ignore", ())
"""The words were a murmur: they are dropped by rule."""


class Violation(AssertionError):
    """An invariant does not hold."""

    def __init__(self, invariant: str, why: str) -> None:
        super().__init__(f"{invariant}: {why}")
        self.invariant = invariant


@dataclass
class Watch:
    """A machine that is looked at after every event it takes.

    Args:
        late_s: how late its ticks come.
        wild: whether the others break the rules; then only what is the machine's alone is asked of it.
        checks: what is asked of it.
    """

    machine: TurnMachine
    late_s: float = 0.0
    wild: bool = False
    checks: "tuple[Check, ...]" = ()
    rows: dict[tuple[State, type], int] = field(default_factory=dict)
    commands_seen: dict[str, int] = field(default_factory=dict)
    events: int = 0
    ignored: int = 0
    """Events that the table does not list for their state, or that the machine itself counts as ignored."""
    unchanged: int = 0
    """Events after which state, deadline and words are what they were, and that were answered by no command."""

    # The step
    event: TurnEvent = field(default_factory=lambda: Tick(0.0))
    commands: list[Command] = field(default_factory=list)
    before: State = State.LISTENING
    state: State = State.LISTENING
    deadline: float | None = None
    pending: str = ""
    was_ignored: bool = False

    # The account
    voice_on: bool = False
    onset: float = -math.inf
    last_voiced: float = -math.inf
    alive_at: float = -math.inf
    """When words came that are their own sign of life."""
    first_sign: float = math.inf
    """The earliest sign of life of the turn that is not committed yet."""
    voice_since_commit: bool = False
    noise: bool = False
    noise_was: bool = False
    unheard: bool = False
    """The noise may have been speech: the recogniser has said nothing of it, and nobody has spoken over it."""
    cleared_at: float = -math.inf
    audible: bool = False
    audible_at: float = -math.inf
    was_audible: bool = False
    due: bool = False
    interruptible: bool = True
    was_interruptible: bool = True
    reopenable: bool = False
    reopenable_was: bool = False
    suspected: bool = False
    suspected_was: bool = False
    suspected_at: float = -math.inf
    ducked: bool = False
    held: bool = False
    words_in_suspicion: bool = False
    paused_at: float = -math.inf
    committed_at: float = -math.inf
    finals: dict[str, bool] = field(default_factory=dict)
    """Words of finals that are neither committed nor dropped, and whether the recogniser is sure of them."""
    told: dict[str, int] = field(default_factory=dict)
    """How often each word was committed, those of reopened turns not counted."""
    said: set[str] = field(default_factory=set)
    """Words that were final, or committed without that."""
    repeated: set[str] = field(default_factory=set)
    """Words that the recogniser said again after something new: whose they are nobody can know."""
    reads_along: bool = False
    """Whether words in the making were read since the voice began."""
    quiet: bool = False
    """Whether nothing new was heard since the last final or commit."""
    read: set[str] = field(default_factory=set)
    """Words that were read at all."""
    unfinished: bool = False
    """Whether the last turn was over before its words were final, or was thrown away."""
    has_new_words: bool = False
    """Whether this reading is a final of words that were never read before."""
    last_commit: list[str] = field(default_factory=list)
    sign_before: float = math.inf
    murmured_at: float = -math.inf
    """When the last reading was that of a murmur over the agent."""

    def __post_init__(self) -> None:
        self.manual = self.machine.options.turn_detection == "manual"
        self.checks = self.checks or INVARIANTS
        self._table = self.machine._TABLE

    def take(self, event: TurnEvent) -> list[Command]:
        """Give an event to the machine, and look.

        Raises:
            Violation: an invariant does not hold afterwards.
        """
        machine = self.machine
        self.before, deadline, pending, ignored = self.state, self.deadline, self.pending, machine.ignored
        row = (self.before, type(event))
        if row in self._table:
            self.rows[row] = self.rows.get(row, 0) + 1
        commands = machine.handle(event)
        self.event, self.commands = event, commands
        self.state, self.deadline, self.pending = machine.state, machine.deadline, machine.pending_transcript
        self.events += 1
        self.was_ignored = machine.ignored > ignored
        self.ignored += self.was_ignored
        same = self.state is self.before and self.deadline == deadline and self.pending == pending and not commands
        self.unchanged += same
        self._account(event)
        for command in commands:
            name = type(command).__name__
            self.commands_seen[name] = self.commands_seen.get(name, 0) + 1
        for check in self.checks:
            why = check(self)
            if why:
                raise Violation(check.__name__, f"{why}, after {event} in {self.before.name}")
        self._settle_account()
        return commands

    def _account(self, event: TurnEvent) -> None:
        self.was_audible, self.was_interruptible = self.audible, self.interruptible
        self.suspected_was, self.reopenable_was, self.noise_was = self.suspected, self.reopenable, self.noise
        match event:
            case VoiceStarted():
                self.voice_on, self.onset, self.voice_since_commit = True, event.onset, True
                self.noise = self.unheard = self.quiet = self.reads_along = False
            case VoiceStopped():
                earlier = -math.inf if self.voice_on else self.last_voiced  # in a wild world it ends twice
                self.voice_on = False
                self.voice_since_commit = self.voice_since_commit and event.last_voiced > self.cleared_at
                if self.unheard:
                    self.noise = self.noise_was = self.unheard = False
                if not self.noise:
                    self.last_voiced = max(earlier, event.last_voiced)
                    self.first_sign = min(self.first_sign, event.last_voiced)
            case Heard():
                self.unheard = False
                recent = self.voice_on or event.at - self.last_voiced <= self.machine.options.endpointing.max_delay
                recent = recent and not self.wild  # there a voice ends twice
                known = self.machine.has_vad and self.voice_since_commit and not self.noise and recent
                if event.text and (not known or self.before is State.LISTENING):
                    self.alive_at = event.at
                    self.first_sign = min(self.first_sign, event.at)
                if event.text:
                    of_user = self.before in (State.LISTENING, State.USER_SPEAKING, State.USER_PAUSED)
                    told = event.kind == "echo" or (event.kind in MURMURS and not of_user)
                    self.murmured_at = event.at if told else -math.inf
                if self.suspected and event.text:
                    self.words_in_suspicion = True
                words = set(event.text.split())
                self.has_new_words = event.is_final and bool(words) and not words & self.read
                self.read |= words
                if event.is_final and event.text:
                    if not self.quiet:
                        self.repeated.update(word for word in event.text.split() if word in self.said)
                    # While a voice is on that only finals are read of, somebody may say it again; so where none tells.
                    self.quiet = self.machine.has_vad and (not self.voice_on or self.reads_along)
                    self.said.update(event.text.split())
                elif event.text:
                    self.reads_along = True
                    self.quiet = self.quiet and self.machine.has_vad
                    if not self.quiet:
                        self.repeated.update(word for word in event.text.split() if word in self.said)
                if event.is_final and not self.was_ignored:
                    for word in event.text.split():
                        self.finals[word] = event.sure
            case AgentStarted():
                self.audible = self.due = True
                self.unheard = False
                self.interruptible, self.reopenable = event.interruptible, False
                self.audible_at = event.at
            case AgentStopped():
                self.audible, self.due = False, event.more
                if not event.more:
                    self.reopenable = False
            case ReplyPlanned():
                self.due = True
                if not self.audible:
                    self.interruptible = event.interruptible
            case ReplyTookEffect():
                self.reopenable = False
            case CommitRequested():
                if self.voice_on:
                    self.alive_at = event.at
                    self.first_sign = min(self.first_sign, event.at)
            case ClearRequested():
                self.cleared_at, self.unfinished = event.at, True
                self.repeated |= self.said  # what is owed for what was thrown away may come in two parts
                self.voice_since_commit = self.voice_since_commit and self.voice_on
        if self.state is State.USER_PAUSED and self.before is not State.USER_PAUSED:
            self.paused_at = event.at
        for command in self.commands:
            if isinstance(command, GiveUpOnVoice) and not command.confirmed:
                self.alive_at = event.at  # until here there was a voice, and from here on it is noise
                self.first_sign = min(self.first_sign, event.at - command.after)

    def _settle_account(self) -> None:
        for command in self.commands:
            match command:
                case Duck():
                    self.suspected = self.ducked = True
                    self.held = self.words_in_suspicion = False
                    self.suspected_at = self.event.at
                case Hold():
                    if not self.suspected:
                        self.ducked = self.words_in_suspicion = False
                        self.suspected_at = self.event.at
                    self.suspected = self.held = True
                case Release() | Dismiss():
                    self.suspected = self.ducked = self.held = False
                case Cancel():
                    self.suspected = self.ducked = self.held = self.audible = self.due = False
                case Reopen():
                    self.suspected = self.ducked = self.held = self.audible = self.due = False
                    self.reopenable = False
                    self.first_sign = min(self.first_sign, self.sign_before)
                case Commit():
                    self.committed_at = self.event.at
                    self.voice_since_commit, self.due = False, True
                    self.reopenable = True
                    self.unfinished = any(word not in self.said for word in command.transcript.split())
                    self.quiet = not self.voice_on and (self.machine.has_vad or self.unfinished)
                    self.said.update(command.transcript.split())
                    self.alive_at, self.first_sign, self.sign_before = -math.inf, math.inf, self.first_sign
                case AskAgain():
                    self.committed_at = self.event.at
                    self.voice_since_commit, self.due = False, True
                case GiveUpOnVoice():
                    self.noise = self.voice_on and not command.confirmed
                    self.unheard = self.noise and self.before is State.USER_SPEAKING and len(self.commands) == 1
                    self.unheard = self.unheard and not self.pending
                case _ if IGNORE and isinstance(command, IGNORE):
                    self.voice_since_commit = False
                    self.unfinished = any(word not in self.said for word in command.transcript.split())
                    self.alive_at, self.first_sign = -math.inf, math.inf
                    if self.state is State.USER_PAUSED:  # words came, and then nothing but noise: it counts as over now
                        self.alive_at = self.event.at
                        self.first_sign = min(self.first_sign, self.event.at)
        kept = self.pending.split()
        if self.finals:
            self.finals = {word: sure for word, sure in self.finals.items() if word in kept}


# 2. After an interruption nothing of what was interrupted sounds.


def i2_a_suspicion_ends_once(w: Watch) -> str | None:
    """In exactly one of Release, Cancel, Reopen and Dismiss; it is open where the state says so, and nowhere else."""
    is_open = w.suspected_was
    for command in w.commands:
        match command:
            case Duck():
                if is_open:
                    return "Duck in an open suspicion"
                is_open = True
            case Hold():
                is_open = True
            case Release() | Dismiss():
                if not is_open:
                    return f"{command} ends nothing"
                is_open = False
            case Cancel() | Reopen():
                is_open = False
    if is_open != (w.state in SUSPICION):
        return f"the suspicion is {'open' if is_open else 'over'} in {w.state.name}"
    return None


def i2_hold_follows_duck(w: Watch) -> str | None:
    """Nothing stands still that was not ducked, unless nothing was audible; and only once in a suspicion."""
    ducked, held, is_open = w.ducked, w.held, w.suspected_was
    for command in w.commands:
        if isinstance(command, Duck):
            ducked, held, is_open = True, False, True
        elif isinstance(command, Hold):
            if is_open and held:
                return "a second Hold"
            if not ducked and w.was_audible and not w.wild:
                return "Hold of audible speech without Duck"
            held = True
        elif isinstance(command, Release | Cancel | Reopen | Dismiss):
            ducked = held = is_open = False
    return None


def i2_after_a_cancel_the_agent_has_no_floor(w: Watch) -> str | None:
    for command in w.commands:
        if isinstance(command, Cancel | Reopen) and w.state in (State.AGENT_SPEAKING, *SUSPICION):
            return f"{w.state.name} after {command}"
    return None


def i2_a_voice_over_the_agent_is_met_at_once(w: Watch) -> str | None:
    """Where it may be interrupted, within the very event."""
    if isinstance(w.event, VoiceStarted) and w.before is State.AGENT_SPEAKING and w.was_audible:
        may = w.was_interruptible and w.machine.options.interruption.enabled
        if may and not any(isinstance(command, Duck) for command in w.commands):
            return "no Duck"
    return None


# 3. History equals what was said: each of the user's words is in one turn.


def i3_no_commit_without_words(w: Watch) -> str | None:
    return next(("no words" for each in w.commands if isinstance(each, Commit) and not each.transcript.strip()), None)


def i3_no_word_lost(w: Watch) -> str | None:
    """A final's words wait, or are committed, or are dropped by a rule: thrown away by the application, doubted and
    released, a murmur over the agent."""
    if not w.finals:
        return None
    there = w.pending.split()
    for command in w.commands:
        if isinstance(command, Commit) or (IGNORE and isinstance(command, IGNORE)):
            there += command.transcript.split()
    lost = [word for word in w.finals if word not in there]
    if not lost or isinstance(w.event, ClearRequested):
        return None
    if isinstance(w.event, VoiceStopped) and w.last_voiced <= w.cleared_at:
        return None  # they are of the voice that was thrown away
    if isinstance(w.event, Heard) and getattr(w.event, "kind", "speech") in MURMURS:
        lost = [word for word in lost if word not in w.event.text.split()]
    if any(isinstance(command, Release) for command in w.commands):
        lost = [word for word in lost if w.finals[word]]
    return f"{lost} lost" if lost else None


def i3_no_new_word_is_ignored(w: Watch) -> str | None:
    """A final of new words is of no turn that was over, unless that turn was over before its own were final."""
    if not (isinstance(w.event, Heard) and w.has_new_words and w.was_ignored) or w.unfinished or w.wild:
        return None
    return f"{w.event.text!r} is ignored"


def i3_no_word_twice(w: Watch) -> str | None:
    """A word that was said once is in one turn, once, also where its final comes twice, or after the commit.

    Not where something new was heard before it came again: then it may be the user who says it again.
    """
    for command in w.commands:
        if isinstance(command, Reopen):
            for word in w.last_commit:
                w.told[word] = w.told.get(word, 1) - 1
            w.last_commit = []
        elif isinstance(command, Commit):
            words = command.transcript.split()
            w.last_commit = words
            for word in words:
                if word.startswith("w") and word not in w.repeated:
                    w.told[word] = w.told.get(word, 0) + 1
                    if w.told[word] > 1 and not w.wild:
                        return f"{word!r} is committed twice"
    return None


def i3_only_the_unheard_is_reopened(w: Watch) -> str | None:
    """A turn goes on only where nothing of its reply was heard, and none of its tools has started."""
    if any(isinstance(command, Reopen) for command in w.commands):
        if w.was_audible:
            return "Reopen under audible speech"
        if not w.reopenable_was:
            return "Reopen of nothing that could be"
    return None


# 4. A turn that produced no words never ends in silence.


def i4_no_silence_after_a_voice(w: Watch) -> str | None:
    """Where the user had the floor, and nobody threw it away, the floor falls to nobody only after a short noise."""
    if w.before not in (State.USER_SPEAKING, State.USER_PAUSED) or w.state is not State.LISTENING:
        return None
    if not w.machine.has_recogniser or w.noise_was or w.cleared_at >= w.onset or w.wild:
        return None
    if IGNORE and any(isinstance(command, IGNORE) for command in w.commands):
        return None  # a murmur asks for nothing
    if w.last_voiced - w.murmured_at <= MURMUR_TOLD_S or w.alive_at > w.last_voiced:
        return None  # words without a voice have come since, and come to nothing
    lasted = w.last_voiced - max(w.onset, w.committed_at)
    if lasted >= ASK_AGAIN_MIN_S + EPS:
        return f"a voice of {lasted:.2f} s is answered by nothing"
    return None


# 5. A commit is at most `max_delay` after the last voiced sample.


def i5_the_commit_is_due_in_time(w: Watch) -> str | None:
    """While the floor is the user's and the voice is over, a tick is due within `max_delay` of the last sign of life."""
    if w.state is not State.USER_PAUSED or w.manual or w.voice_on:
        return None
    if w.deadline is None:
        return "nothing is due"
    last = (
        max(w.last_voiced, w.alive_at) if not w.noise else w.event.at
    )  # a noise is no sign of life; words over it are
    bound = max(w.event.at, last + w.machine.options.endpointing.max_delay)
    return f"due {w.deadline - bound:.3f} s too late" if w.deadline > bound + EPS else None


def i5_a_commit_is_in_time(w: Watch) -> str | None:
    if w.manual:
        return None
    for command in w.commands:
        if isinstance(command, Commit) and command.reason != "requested":
            last = max(w.last_voiced, w.alive_at)
            since = w.paused_at if w.before is State.USER_PAUSED else w.event.at  # when the floor fell to the user
            bound = (
                max(last + w.machine.options.endpointing.max_delay, since) + 2 * w.late_s
            )  # one tick may set another
            if w.event.at > bound + EPS:
                return f"{w.event.at - bound:.3f} s too late"
    return None


def i5_a_commit_is_not_early(w: Watch) -> str | None:
    """Silence is one only after `min_delay`."""
    for command in w.commands:
        if isinstance(command, Commit) and command.reason == "silence":
            early = command.last_voiced + w.machine.options.endpointing.min_delay - w.event.at
            if early > EPS:
                return f"{early:.3f} s too early"
    return None


# 7. No state is left without progress.


def i7_the_deadline_is_ahead(w: Watch) -> str | None:
    """What is due lies ahead; after a tick nothing is due at once that would come for ever."""
    if w.deadline is None:
        return None
    if not math.isfinite(w.deadline):
        return f"the deadline is {w.deadline}"
    if isinstance(w.event, Tick) and w.deadline <= w.event.at and w.state is w.before and not w.commands:
        return "a tick that changes nothing comes for ever"
    if w.late_s == 0.0 and w.deadline < w.event.at - EPS:
        return f"the deadline is {w.event.at - w.deadline:.3f} s ago"
    return None


def i7_no_state_without_progress(w: Watch) -> str | None:
    """Each state has a deadline, or somebody else has something to do."""
    match w.state:
        case State.LISTENING:
            if w.pending and not w.wild:
                return f"nobody has the floor, and {w.pending!r} waits"
            if w.voice_on:
                return "nobody has the floor, and a voice is on"
        case State.USER_SPEAKING:
            if not w.voice_on:
                return "the user speaks without a voice"
            if w.machine.has_recogniser and not w.noise and w.deadline is None:
                commanded = any(isinstance(command, GiveUpOnVoice) for command in w.commands)
                if not commanded:
                    return "a voice that the detector may never see the end of, and nothing is due"
        case State.USER_PAUSED:
            if w.deadline is None and not w.manual:
                return "nothing is due"
        case State.REPLY_PENDING:
            due = w.due or any(isinstance(command, Commit | AskAgain) for command in w.commands)
            if not due:
                return "no reply is due"
        case State.AGENT_SPEAKING:
            if not w.audible:
                return "nothing of the agent is audible"
        case State.OVERLAP | State.HELD:
            if w.deadline is None:
                return "nothing is due"
    return None


def i7_a_suspicion_is_short(w: Watch) -> str | None:
    """Without a voice it ends `RELEASE_AFTER_S` after the last voiced sample; with one a recogniser has `DEAF_AFTER_S`."""
    if w.state not in SUSPICION or w.deadline is None:
        return None
    at, machine = w.event.at, w.machine
    began = w.suspected_at if w.suspected_was else at
    if not w.voice_on:
        bound = max(at, w.last_voiced + RELEASE_AFTER_S)
    elif machine.has_recogniser:
        bound = max(at, began + DEAF_AFTER_S + w.late_s)
    else:
        lasts = machine.options.interruption.min_duration + RELEASE_AFTER_S  # for the detector's own silence
        bound = max(at, max(w.onset, began) + max(lasts, HOLD_AFTER_S))
    return f"held {w.deadline - bound:.3f} s too long" if w.deadline > bound + EPS else None


def i7_what_is_ducked_is_held_in_time(w: Watch) -> str | None:
    """`HOLD_AFTER_S` after the voice's first sample the agent stands still, if nobody has said a word."""
    if w.state is not State.OVERLAP or not w.voice_on or w.words_in_suspicion or w.deadline is None or w.wild:
        return None
    began = w.suspected_at if w.suspected_was else w.event.at
    bound = max(w.event.at, (began if w.onset < w.audible_at else w.onset) + HOLD_AFTER_S)
    return f"Hold is {w.deadline - bound:.3f} s too late" if w.deadline > bound + EPS else None


# 9. Times are those of samples, and what is not known is None.


def i9_times_are_true(w: Watch) -> str | None:
    for command in w.commands:
        if isinstance(command, Commit):
            last = command.last_voiced
            if last > w.event.at + EPS and not w.wild:
                return f"the last voiced sample is {last - w.event.at:.3f} s ahead"
            if command.transcribed_at is not None and command.transcribed_at > w.event.at + EPS:
                return "transcribed before it was"
            if command.transcript and command.transcribed_at is None:
                return "words that came at no time"
            latest = max(w.last_voiced, w.alive_at)
            reopened = any(isinstance(each, Reopen) for each in w.commands)
            first = min(w.first_sign, w.sign_before) if reopened else w.first_sign
            if not w.wild and not w.noise_was and last != w.event.at and not first <= last <= latest:
                return f"{last} is no sign of life of this turn, whose were from {first} to {latest}"
    return None


# 10. Every buffer has a bound.


def i10_nothing_piles_up(w: Watch) -> str | None:
    if len(w.machine._timers) > len(State):
        return f"{len(w.machine._timers)} timers"
    if any(isinstance(command, Commit) for command in w.commands) and w.pending:
        return f"{w.pending!r} is left after the commit"
    if w.machine._out:
        return "commands that nobody was given"
    return None


Check = Callable[[Watch], str | None]

INVARIANTS: tuple[Check, ...] = tuple(
    check for name, check in list(globals().items()) if name[0] == "i" and name[1].isdigit() and callable(check)
)
