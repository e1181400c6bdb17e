"""The one owner of a conversation's state.

Everything that happens (voice, words, sound played, tools, timers, calls of the API) is posted as an event. Events are
taken one at a time, in the order of posting, on the loop and without a task switch: written to the log, told to the turn
machine, and the machine's commands carried out. Nothing else changes the floor, the speeches or the history.

`agent_state` and `user_state` are worked out from what is true after each event, never set (`states`).
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from agent_runtime import clock, events
from agent_runtime.accounts import Accounts
from agent_runtime.advice import Adviser, detector_of
from agent_runtime.agent import Agent
from agent_runtime.audio.endpoints import AudioSink
from agent_runtime.chat import AgentHandoff, ChatContext, ChatItem, ChatMessage
from agent_runtime.errors import UsageError
from agent_runtime.events import AgentState, Event
from agent_runtime.hand_over import HandOvers
from agent_runtime.hearing import Hearing
from agent_runtime.nodes.playout import Playout
from agent_runtime.reply import Request
from agent_runtime.speech import SpeechHandle
from agent_runtime.speeches import Speeches
from agent_runtime.states import TELLS_NOTHING, States
from agent_runtime.tool_runs import ToolRuns
from agent_runtime.trace.log import EventLog
from agent_runtime.turns import signals
from agent_runtime.turns.machine import TurnMachine
from agent_runtime.turns.options import TurnHandling

if TYPE_CHECKING:
    from agent_runtime.reply import Reply
    from agent_runtime.session import AgentSession

ASK_AGAIN = "Sorry, I did not catch that. Could you say it again?"


class Conversation:
    """Turns, speeches, tools and history of one session.

    Args:
        sink: where speech goes; None: the conversation is written, and what is written counts as heard.
        spawn: starts a task that lives no longer than the session.
        fail: ends the session with an error.
    """

    def __init__(
        self,
        session: "AgentSession[Any]",
        *,
        options: TurnHandling,
        sink: AudioSink | None,
        log: EventLog,
        spawn: Callable[..., asyncio.Task[Any]],
        fail: Callable[[BaseException], None],
        has_vad: bool,
        has_recogniser: bool,
    ) -> None:
        self.history = ChatContext.empty()
        self.log = log
        self.post: Callable[[Event], None] = log.append
        """This happened."""
        self.max_tool_steps = session.max_tool_steps
        self.machine = TurnMachine(options, has_recogniser=has_recogniser, has_vad=has_vad)
        self.hearing = Hearing(self)
        self.adviser: Adviser | None = None
        self.change_options(options)
        self.speeches = Speeches(self)
        self.playout = Playout(sink, self.speeches, fail) if sink is not None else None
        self.session = session
        self.spawn = spawn
        self.hand_overs = HandOvers(self)
        self.tools = ToolRuns(self)
        self.states = States(
            self.post,
            agent_state=self._agent_state,
            user_speaks=lambda: self.machine.voice_on,
            is_idle=lambda: self._is_idle,
            away_after=session.user_away_timeout,
        )
        self._fail = fail
        self._turn = 0
        self._skip_reply = False
        self._timer: asyncio.TimerHandle | None = None
        self._telling = False
        self._looked_at = 0  # how many events there were when the states were worked out
        self.is_open = True
        """Whether what the user says starts a turn."""
        self._commits: list[asyncio.Future[str]] = []
        self._audible: str | None = None
        """The speech of which the turn machine knows that it sounds."""
        self._closed = False
        self.accounts = Accounts(self, session.budget)
        log.subscribe(
            self._take, *(kind for kind in events.KINDS if kind in self._REACTIONS or kind not in TELLS_NOTHING)
        )

    # Events

    def _take(self, event: Event) -> None:
        try:
            react = self._REACTIONS.get(type(event))
            if react is not None:
                react(self, event)
            # What was posted on the way is delivered after that look, which has seen what it tells.
            if (react is not None or self.log.delivered > self._looked_at) and type(event) not in TELLS_NOTHING:
                self._look()
        except Exception as error:  # a broken promise of ours: the call cannot be trusted any more
            self._fail(error)

    def tell(self, signal: signals.TurnEvent, now: float | None = None) -> None:
        """The machine is told, and its commands are carried out: at the signal's own time, if `now` is not another."""
        if self._closed:
            return
        at = signal.at if now is None else now
        outermost, self._telling = not self._telling, True
        try:
            for command in self.machine.handle(signal):
                self._COMMANDS[type(command)](self, command, at)
        finally:
            if outermost:
                self._telling = False
        if not outermost:  # what is told on the way is settled with the whole
            return
        if self._commits and not self.machine.commit_is_due:
            self._answer_commits("")
        self._set_timer()
        if self.playout is not None and self.speeches.queue:
            self.playout.wake()
        self.speeches.check_prepared()

    def _set_timer(self) -> None:
        deadline = self.machine.deadline
        if deadline is None:
            return
        if self._timer is not None:
            if self._timer.when() <= deadline:  # it comes, and looks again
                return
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(deadline, self._tick)

    def _tick(self) -> None:
        self._timer = None
        deadline = self.machine.deadline
        if deadline is None:
            return
        now = clock.now()
        if now < deadline - clock.GRAIN_S:
            self._set_timer()
        else:  # the loop may wake a clock's resolution too early
            self.guarded(self.tell, signals.Tick(max(deadline, now)), now)

    def look(self) -> None:
        """Something was decided that is no event: work out the states again."""
        try:
            self._look()
        except Exception as error:
            self._fail(error)

    def _look(self) -> None:
        self._looked_at = len(self.log)
        self.states.look()

    def guarded(self, function: Callable[..., None], *args: object) -> None:
        try:
            function(*args)
        except Exception as error:
            self._fail(error)
        self.look()

    def _voice_started(self, event: events.VoiceStarted) -> None:
        if self.hearing.hears_voice():
            self.tell(signals.VoiceStarted(event.at, event.onset))

    def _voice_stopped(self, event: events.VoiceStopped) -> None:
        if self.hearing.hears_end():
            self.tell(signals.VoiceStopped(event.at, event.last_voiced))

    def _transcribed(self, event: events.UserInputTranscribed) -> None:
        if self.adviser is not None:
            self.adviser.language = event.language
        if event.ignored != "muted":
            self.tell(self.hearing.reading(event))

    def _playback_started(self, event: events.PlaybackStarted) -> None:
        reply = self.speeches.reply(event.speech_id)
        allowed = reply is None or reply.handle.allow_interruptions
        self.speeches.settle_turn(reply)
        self._audible = event.speech_id
        self.tell(signals.AgentStarted(event.at, interruptible=allowed))

    def _playback_finished(self, event: events.PlaybackFinished) -> None:
        self.hearing.agent_said_so_far(event.heard)
        if event.speech_id != self._audible:  # it never sounded
            return
        self._audible = None
        self.hearing.agent_stopped(interrupted=event.interrupted)
        self.tell(signals.AgentStopped(event.at, more=self.speeches.more_after(event.speech_id)))

    def permission_changed(self, handle: SpeechHandle) -> None:
        """From here on this speech may be interrupted, or may not."""
        allowed = handle.allow_interruptions
        if handle.id == self._audible:
            self.tell(signals.AgentStarted(clock.now(), interruptible=allowed))
        elif self._audible is None and handle is self.speeches.current:
            self.tell(signals.ReplyPlanned(clock.now(), interruptible=allowed))

    # Commands of the turn machine

    def _duck(self, command: signals.Duck, at: float) -> None:
        if self.playout is not None:
            self.playout.duck()
        self.post(events.InterruptionSuspected(at=at, speech_id=self.speeches.speaking_id))

    def _hold(self, command: signals.Hold, at: float) -> None:
        if self.playout is not None:
            self.playout.hold()
        self._post_position(events.PlayoutPaused, at)

    def _release(self, command: signals.Release, at: float) -> None:
        if self.playout is not None:
            self.playout.release()
        self._post_position(events.AgentFalseInterruption, at, resumed=True, reason=command.reason)

    def _cancel(self, command: signals.Cancel, at: float) -> None:
        if self.playout is not None:  # silence first, the accounts of it after that
            self.playout.hold()
        self._post_position(events.InterruptionConfirmed, at, reason=command.reason)
        self.speeches.cancel_all(force=False)
        self._open_floor()

    def _post_position(self, kind: Callable[..., Event], at: float, **more: object) -> None:
        """This happened to the speech that sounds, where it is now."""
        self.post(kind(at=at, speech_id=self.speeches.speaking_id, position=self.position, **more))

    def _dismiss(self, command: signals.Dismiss, at: float) -> None:
        self._open_floor()

    def _open_floor(self) -> None:
        """The floor's suspicion is over."""
        if self.playout is not None:
            self.playout.open()

    def _reopen(self, command: signals.Reopen, at: float) -> None:
        self.post(events.TurnReopened(at=at, turn=self._turn))
        self._turn -= 1
        self.speeches.cancel_unheard()
        self._open_floor()

    def _commit(self, command: signals.Commit, at: float) -> None:
        self._turn += 1
        self.post(
            events.TurnCommitted(
                at=at,
                turn=self._turn,
                transcript=command.transcript,
                reason=command.reason,
                last_voiced=command.last_voiced,
                transcribed_at=command.transcribed_at,
            )
        )
        skip_reply = self._skip_reply or not self.is_open
        if self._commits:
            self._answer_commits(command.transcript)
        message = ChatMessage(
            role="user",
            content=[command.transcript],
            transcript_confidence=None if command.sure else 0.0,
            created_at=at,
        )
        if skip_reply:
            self.add_item(message)
            self.tell(signals.ReplyTookEffect(at))
            self._no_reply(at)
        else:
            self.speeches.answer(message, self._turn, at)

    def _ignore(self, command: signals.Ignore, at: float) -> None:
        self.post(events.TurnIgnored(at=at, transcript=command.transcript, kind=command.kind))

    def _ask_detector(self, command: signals.AskDetector, at: float) -> None:
        if self.adviser is not None:
            self.adviser.ask(command.text, self.machine.since(at))

    def _prepare(self, command: signals.Prepare, at: float) -> None:
        if self.is_open and not self._skip_reply:
            self.speeches.prepare(command.transcript)

    def _answer_commits(self, transcript: str) -> None:
        """What became of the turns that the application has ended."""
        commits, self._commits = self._commits, []
        self._skip_reply = False
        for waiter in commits:
            if not waiter.done():
                waiter.set_result(transcript)

    def _no_reply(self, at: float) -> None:
        """The turn machine expects one, and none will be made."""
        if self._audible is None:
            self.tell(signals.AgentStopped(at, more=bool(self.speeches.queue)))

    def _ask_again(self, command: signals.AskAgain, at: float) -> None:
        if not self.is_open:
            self._no_reply(at)
            return
        self.post(events.Stalled(at=at, what="turn", after=command.after, action="the agent asks again"))
        self.speeches.speak("say", Request(text=ASK_AGAIN), turn=None)

    def _give_up_on_voice(self, command: signals.GiveUpOnVoice, at: float) -> None:
        action = "the voice counts as an interruption" if command.confirmed else "the agent goes on over the noise"
        self.post(events.Stalled(at=at, what="stt", after=command.after, action=action))

    # What replies ask of their conversation

    def wake_playout(self) -> None:
        if self.playout is not None:
            self.playout.wake()

    def fell_short(self, source: str, message: str) -> None:
        """A node did what it may, and it is not enough: an event."""
        self.post(events.Error(at=clock.now(), source=source, message=message, recoverable=True))

    def watch(self, what: str, seconds: float) -> asyncio.TimerHandle:
        """Tell of `what` if it has not ended in so many seconds; cancel the timer when it has."""
        event = partial(events.Stalled, what=what, after=seconds, action="it is waited for")
        return asyncio.get_running_loop().call_later(seconds, lambda: self.post(event(at=clock.now())))

    def failed(self, source: str, what: str, error: BaseException) -> None:
        """A node, hook or tool raised: an event, and the session lives on."""
        detail = str(error) or type(error).__name__
        named = "" if isinstance(error, UsageError) else f" with {type(error).__name__}"  # that is a sentence for users
        self.session.keep_traceback(error)
        self.post(
            events.Error(
                at=clock.now(),
                source=source,
                message=f"{what} failed{named}: {detail}",
                recoverable=True,
            )
        )

    # Agents

    @property
    def agent(self) -> Agent | None:
        """Who speaks now."""
        return self.hand_overs.agent

    @property
    def current_agent(self) -> Agent:
        agent = self.hand_overs.agent
        assert agent is not None, "no agent before start()"
        return agent

    # History

    def add_item(self, item: ChatItem, reply: "Reply | None" = None) -> None:
        self.history.insert(item)
        agent = reply.agent if reply is not None else self.agent
        if agent is not None and not isinstance(item, AgentHandoff):
            agent._chat_ctx.insert(item)
        if reply is not None:
            reply.handle.chat_items.append(item)
        self.post(events.ConversationItemAdded(at=clock.now(), item=item))

    # What the application asks

    def change_options(self, options: TurnHandling) -> None:
        detector = detector_of(options)
        self.adviser = Adviser(self, detector) if detector is not None else None
        self.machine.change_options(options, has_detector=detector is not None)

    def request_commit(self, *, timeout: float, skip_reply: bool) -> "asyncio.Future[str]":
        waiter: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._commits.append(waiter)
        self._skip_reply = skip_reply
        now = clock.now()
        self.guarded(self.tell, signals.CommitRequested(now, now + timeout))
        return waiter

    def clear_turn(self) -> None:
        self.guarded(self.tell, signals.ClearRequested(clock.now()))

    @property
    def _is_idle(self) -> bool:
        return not self.speeches.queue and not self.tools and not self.hand_overs.open and self.machine.is_quiet

    def close(self) -> None:
        """End every speech, and account for it."""
        if self._closed:
            return
        self.is_open = False
        self.speeches.cancel_all()
        self.states.close()
        if self._timer is not None:
            self._timer.cancel()
        rest = self.machine.pending_transcript
        self._closed = True
        self._answer_commits(rest)
        if rest:  # nothing that the user said is lost
            self.add_item(ChatMessage(role="user", content=[rest], created_at=clock.now()))

    def end(self) -> None:
        """Nothing will be said any more."""
        self.speeches.ended = True
        self.states.end()
        self.speeches.cancel_all()
        if self.playout is not None:
            self.playout.close()

    def _agent_state(self) -> AgentState:
        if self.hand_overs.agent is None:
            return "initializing"
        playout = self.playout
        if playout is not None and playout.sounding:
            return "speaking"
        if playout is not None and playout.current is not None:
            return "listening"  # it is held
        return "thinking" if self.tools or self.speeches.is_due else "listening"

    @property
    def position(self) -> float:
        """Seconds of the speech that sounds that were heard."""
        return self.playout.position_s if self.playout is not None else 0.0

    _REACTIONS: ClassVar[dict[type[Event], Callable[..., None]]] = {
        events.VoiceStarted: _voice_started,
        events.VoiceStopped: _voice_stopped,
        events.UserInputTranscribed: _transcribed,
        events.PlaybackStarted: _playback_started,
        events.PlaybackFinished: _playback_finished,
    }

    _COMMANDS: ClassVar[dict[type[signals.Command], Callable[..., None]]] = {
        signals.Duck: _duck,
        signals.Hold: _hold,
        signals.Release: _release,
        signals.Cancel: _cancel,
        signals.Dismiss: _dismiss,
        signals.Reopen: _reopen,
        signals.Commit: _commit,
        signals.Ignore: _ignore,
        signals.AskDetector: _ask_detector,
        signals.Prepare: _prepare,
        signals.AskAgain: _ask_again,
        signals.GiveUpOnVoice: _give_up_on_voice,
    }
