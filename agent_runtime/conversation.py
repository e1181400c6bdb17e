"""The one owner of a conversation's state.

Everything that happens (voice, words, sound played, tools, timers, calls of the API) is posted as an event. Events are
taken one at a time, in the order of posting, on the loop and without a task switch: written to the log, told to the turn
machine, and the machine's commands carried out. Nothing else changes the floor, the speeches or the history.

`agent_state` and `user_state` are worked out from what is true after each event, never set (`states`).
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from agent_runtime import clock, events
from agent_runtime.agent import Agent
from agent_runtime.audio.endpoints import AudioSink
from agent_runtime.audio.frame import OUTPUT_RATE
from agent_runtime.chat import AgentHandoff, ChatContext, ChatItem, ChatMessage
from agent_runtime.errors import UsageError
from agent_runtime.events import AgentState, Event
from agent_runtime.hand_over import HandOvers
from agent_runtime.nodes.playout import Playout, Utterance
from agent_runtime.reply import Reply, Request, Spoken
from agent_runtime.speech import SpeechHandle, SpeechSource
from agent_runtime.states import TELLS_NOTHING, States
from agent_runtime.stt import MIN_CONFIDENCE
from agent_runtime.tool_runs import ToolRuns
from agent_runtime.trace.log import EventLog
from agent_runtime.turns import signals
from agent_runtime.turns.ledger import Heard
from agent_runtime.turns.machine import TurnMachine
from agent_runtime.turns.options import TurnHandling

if TYPE_CHECKING:
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
        self.playout = Playout(sink, self) if sink is not None else None
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
        self._replies: deque[Reply] = deque()
        self._turn = 0
        self.speeches = 0
        """How many were begun so far."""
        self._skip_reply = False
        self._held_back: tuple[Reply, ChatMessage] | None = None
        """The user's turn whose reply was not heard yet: final only when it is, so that the user may go on."""
        self._timer: asyncio.TimerHandle | None = None
        self._telling = False
        self.is_open = True
        """Whether what the user says starts a turn."""
        self._commits: list[asyncio.Future[str]] = []
        self._audible: str | None = None
        """The speech of which the turn machine knows that it sounds."""
        self._closed = self._ended = False
        log.subscribe(self._take)

    # Events

    def _take(self, event: Event) -> None:
        try:
            react = self._REACTIONS.get(type(event))
            if react is not None:
                react(self, event)
            if type(event) not in TELLS_NOTHING:
                self.states.look()
        except Exception as error:  # a broken promise of ours: the call cannot be trusted any more
            self._fail(error)

    def _tell(self, signal: signals.TurnEvent) -> None:
        if self._closed:
            return
        outermost, self._telling = not self._telling, True
        try:
            for command in self.machine.handle(signal):
                self._COMMANDS[type(command)](self, command)
        finally:
            if outermost:
                self._telling = False
        if not outermost:  # what is told on the way is settled with the whole
            return
        if self._commits and not self.machine.commit_is_due:
            self._answer_commits("")
        self._set_timer()
        if self._replies:
            self.wake_playout()

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
            self._guarded(self._tell, signals.Tick(max(deadline, now)))

    def look(self) -> None:
        """Something was decided that is no event: work out the states again."""
        try:
            self.states.look()
        except Exception as error:
            self._fail(error)

    def _guarded(self, function: Callable[..., None], *args: object) -> None:
        try:
            function(*args)
        except Exception as error:
            self._fail(error)
        self.look()

    def _voice_started(self, event: events.VoiceStarted) -> None:
        self._tell(signals.VoiceStarted(event.at, event.onset))

    def _voice_stopped(self, event: events.VoiceStopped) -> None:
        self._tell(signals.VoiceStopped(event.at, event.last_voiced))

    def _transcribed(self, event: events.UserInputTranscribed) -> None:
        sure = event.confidence is None or event.confidence >= MIN_CONFIDENCE
        self._tell(signals.Heard(event.at, event.transcript, event.is_final, sure))

    def _playback_started(self, event: events.PlaybackStarted) -> None:
        reply = self._reply(event.speech_id)
        allowed = reply is None or reply.handle.allow_interruptions
        self.settle_turn(reply)
        self._audible = event.speech_id
        self._tell(signals.AgentStarted(event.at, interruptible=allowed))

    def _playback_finished(self, event: events.PlaybackFinished) -> None:
        if event.speech_id != self._audible:  # it never sounded
            return
        self._audible = None
        self._tell(signals.AgentStopped(event.at, more=self._more_to_come(event.speech_id)))

    def _more_to_come(self, speech_id: str) -> bool:
        reply = self._reply(speech_id)
        if reply is not None and not reply.handle.interrupted:
            return not reply.is_over or len(self._replies) > 1
        return any(other is not reply and not other.handle.interrupted for other in self._replies)

    # Commands of the turn machine

    def _duck(self, command: signals.Duck) -> None:
        if self.playout is not None:
            self.playout.duck()
        self.post(events.InterruptionSuspected(at=clock.now(), speech_id=self._speaking_id))

    def _hold(self, command: signals.Hold) -> None:
        if self.playout is not None:
            self.playout.hold()
        self._post_position(events.PlayoutPaused)

    def _release(self, command: signals.Release) -> None:
        if self.playout is not None:
            self.playout.release()
        self._post_position(events.AgentFalseInterruption, resumed=True, reason=command.reason)

    def _cancel(self, command: signals.Cancel) -> None:
        self._post_position(events.InterruptionConfirmed, reason=command.reason)
        for reply in [each for each in self._replies if each.handle.allow_interruptions]:
            self.cancel(reply)
        self._dismiss()

    def _post_position(self, kind: Callable[..., Event], **more: object) -> None:
        """This happened to the speech that sounds, where it is now."""
        self.post(kind(at=clock.now(), speech_id=self._speaking_id, position=self._position, **more))

    def _dismiss(self, command: signals.Dismiss | None = None) -> None:
        """The floor's suspicion is over."""
        if self.playout is not None:
            self.playout.open()

    def _reopen(self, command: signals.Reopen) -> None:
        self.post(events.TurnReopened(at=clock.now(), turn=self._turn))
        self._turn -= 1
        reply = self._held_back[0] if self._held_back is not None else None
        self._held_back = None
        if reply is not None:
            self.cancel(reply)
        self._dismiss()

    def _commit(self, command: signals.Commit) -> None:
        self._turn += 1
        now = clock.now()
        self.post(
            events.TurnCommitted(
                at=now,
                turn=self._turn,
                transcript=command.transcript,
                reason=command.reason,
                last_voiced=command.last_voiced,
                transcribed_at=command.transcribed_at,
            )
        )
        skip_reply = self._skip_reply or not self.is_open
        self._answer_commits(command.transcript)
        message = ChatMessage(
            role="user",
            content=[command.transcript],
            transcript_confidence=None if command.sure else 0.0,
            created_at=now,
        )
        if skip_reply:
            self.add_item(message)
            self._tell(signals.ReplyTookEffect(now))
            self._no_reply(now)
        else:
            self.speak("generate_reply", Request(user_message=message, is_turn=True), turn=self._turn)

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
            self._tell(signals.AgentStopped(at, more=bool(self._replies)))

    def _ask_again(self, command: signals.AskAgain) -> None:
        if not self.is_open:
            self._no_reply(clock.now())
            return
        self.post(events.Stalled(at=clock.now(), what="turn", after=command.after, action="the agent asks again"))
        self.speak("say", Request(text=ASK_AGAIN), turn=None)

    def _give_up_on_voice(self, command: signals.GiveUpOnVoice) -> None:
        action = "the voice counts as an interruption" if command.confirmed else "the agent goes on over the noise"
        self.post(events.Stalled(at=clock.now(), what="stt", after=command.after, action=action))

    # Speeches

    def speak(
        self, source: SpeechSource, request: Request, *, turn: int | None, allow_interruptions: bool | None = None
    ) -> SpeechHandle:
        """Queue a speech.

        Raises:
            UsageError: the session is ending, and nothing can be said any more.
        """
        if self._ended:
            raise UsageError("This session is ending, and nothing can be said in it any more.")
        agent = self._current_agent
        self.speeches += 1
        allowed = agent.allow_interruptions if allow_interruptions is None else allow_interruptions
        handle = SpeechHandle(f"speech_{self.speeches}", source=source, turn=turn, allow_interruptions=allowed)
        reply = Reply(self, agent, handle, request)
        handle.bind(interrupt=partial(self._guarded, self._interrupt, reply))
        if request.user_message is not None:
            if self._held_back is not None:  # an earlier turn waits for its reply: it is final now
                self.settle_turn(self._held_back[0], reopens=request.is_turn)
            self._held_back = (reply, request.user_message)
            if not request.is_turn:
                self.settle_turn(reply)
        self._replies.append(reply)
        self.post(
            events.SpeechCreated(
                at=clock.now(), speech_id=handle.id, source=source, user_initiated=turn is None, turn=turn
            )
        )
        self._tell(signals.ReplyPlanned(clock.now(), self._replies[0].handle.allow_interruptions))
        self._advance()
        return handle

    def _advance(self) -> None:
        """Start what may start: the first speech, and the second if it needs nothing but a synthesiser."""
        if self._ended:
            return
        waiting = [reply for reply in self._replies if not reply.waits]
        for index, reply in enumerate(waiting[:2]):
            if reply.task is None and (index == 0 or reply.request.is_said_as_it_stands):
                reply.task = self.spawn(self._run(reply), name=reply.handle.id)
                # Not a `finally` in the task: one that is cancelled before its first step has none.
                reply.task.add_done_callback(partial(self._guarded, self._reply_done, reply))

    async def _run(self, reply: Reply) -> BaseException | None:
        try:
            await reply.run()
        except Exception as failure:
            error: BaseException = failure
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            self.failed("reply", reply.handle.id, error)
            return error
        return None

    def _reply_done(self, reply: Reply, task: "asyncio.Task[BaseException | None]") -> None:
        self._reply_over(reply, None if task.cancelled() else task.result())

    def _reply_over(self, reply: Reply, error: BaseException | None) -> None:
        self._cut(reply)  # what a task that failed has left
        if reply in self._replies:
            self._replies.remove(reply)
        self.hand_overs.let_go(reply.agent)
        self.settle_turn(reply)
        reply.handle.mark_done(error)
        if not self._replies:
            self._tell(signals.AgentStopped(clock.now(), more=False))
        self._advance()
        self.wake_playout()

    def cancel(self, reply: Reply) -> None:
        """End a speech here: its sound in this very call, its tasks as soon as they can."""
        if reply.handle.done():
            return
        reply.handle.mark_interrupted()
        self._cut(reply)
        if reply.task is None:
            self._reply_over(reply, None)
        else:
            reply.task.cancel()

    def _cut(self, reply: Reply) -> None:
        for spoken in reply.spoken:
            if self.playout is not None:
                self.playout.cut(spoken.utterance)
            else:
                spoken.utterance.end(cut=True)

    def _interrupt(self, reply: Reply) -> None:
        if self.playout is not None and self.playout.current in [each.utterance for each in reply.spoken]:
            self.post(
                events.InterruptionConfirmed(
                    at=clock.now(), speech_id=reply.handle.id, reason="interrupt()", position=self._position
                )
            )
        self.cancel(reply)

    def interrupt(self, *, force: bool) -> list[SpeechHandle]:
        """End every speech that may be ended; the handles of those ended."""
        ended = [each for each in self._replies if force or each.handle.allow_interruptions]
        for reply in ended:
            self._guarded(self._interrupt, reply)
        return [reply.handle for reply in ended]

    @property
    def current_speech(self) -> SpeechHandle | None:
        return self._replies[0].handle if self._replies else None

    # What replies ask of their conversation

    @property
    def has_voice(self) -> bool:
        """Whether speeches sound; otherwise they are written."""
        agent = self._current_agent
        speaks = self.session.tts_of(agent) is not None or type(agent).tts_node is not Agent.tts_node
        return self.playout is not None and speaks

    def new_utterance(self) -> Utterance:
        if self.playout is None:
            return Utterance(OUTPUT_RATE)
        utterance = Utterance(self.playout.sink.sample_rate)
        self.playout.expect(utterance)
        return utterance

    def wake_playout(self) -> None:
        if self.playout is not None:
            self.playout.wake()

    def reply_waits(self) -> None:
        """One that has called tools has nothing to say until they are done: what comes behind it may be said."""
        self._advance()
        self.wake_playout()

    def drop_user_message(self, reply: Reply) -> None:
        if self._held_back is not None and self._held_back[0] is reply:
            self._held_back = None

    def failed(self, source: str, what: str, error: BaseException) -> None:
        """A node, hook or tool raised: an event, and the session lives on."""
        detail = str(error) or type(error).__name__
        self.session.keep_traceback(error)
        self.post(
            events.Error(
                at=clock.now(),
                source=source,
                message=f"{what} failed with {type(error).__name__}: {detail}",
                recoverable=True,
            )
        )

    def written(self, utterance: Utterance, text: str) -> None:
        """An utterance without sound is complete: it counts as heard."""
        utterance.end(cut=False)
        self.utterance_over(utterance, 0.0, Heard(text=text, cut="", words=len(text.split())), cut=False)

    # What the playout asks of and tells the floor's owner

    def next_utterance(self) -> Utterance | None:
        for reply in self._replies:
            utterance = reply.next_utterance()
            if utterance is not None:
                return utterance
            if not reply.complete and not reply.waits:
                return None
        return None

    def may_start(self) -> bool:
        reply = self._replies[0] if self._replies else None
        return self.machine.floor_is_free or (reply is not None and not reply.handle.allow_interruptions)

    def utterance_started(self, utterance: Utterance) -> None:
        found = self._spoken(utterance)
        if found is not None:
            reply, spoken = found
            if reply.request.is_said_as_it_stands:
                spoken.created_at = clock.now()
            self.post(events.PlaybackStarted(at=clock.now(), speech_id=reply.handle.id))

    def utterance_over(self, utterance: Utterance, position_s: float, heard: Heard, *, cut: bool) -> None:
        found = self._spoken(utterance)
        if found is None:
            return
        reply, spoken = found
        text, rest = spoken.as_shown(heard)
        self.settle_turn(reply)
        self.post(
            events.PlaybackFinished(
                at=clock.now(), speech_id=reply.handle.id, position=position_s, interrupted=cut, heard=text, cut=rest
            )
        )
        if text and reply.request.add_to_chat_ctx:
            self.add_item(
                ChatMessage(
                    role="assistant", content=[text], interrupted=cut or bool(rest), created_at=spoken.created_at
                ),
                reply,
            )

    def playout_stuck(self, after_s: float) -> None:
        self.post(events.Stalled(at=clock.now(), what="playout", after=after_s, action="waiting for the speaker"))

    # Agents

    @property
    def agent(self) -> Agent | None:
        """Who speaks now."""
        return self.hand_overs.agent

    @property
    def _current_agent(self) -> Agent:
        agent = self.hand_overs.agent
        assert agent is not None, "no agent before start()"
        return agent

    # History

    def add_item(self, item: ChatItem, reply: Reply | None = None) -> None:
        self.history.insert(item)
        agent = reply.agent if reply is not None else self.agent
        if agent is not None and not isinstance(item, AgentHandoff):
            agent._chat_ctx.insert(item)
        if reply is not None:
            reply.handle.chat_items.append(item)
        self.post(events.ConversationItemAdded(at=clock.now(), item=item))

    def settle_turn(self, reply: Reply | None, *, reopens: bool = False) -> None:
        """Something of this reply was heard or done, or it is over: the turn it answers is final.

        `reopens`: the turn machine knows already of a later turn, which may still be reopened.
        """
        if self._held_back is not None and self._held_back[0] is reply:
            message = self._held_back[1]
            self._held_back = None
            self.add_item(message, reply)
            if not reopens:
                self._tell(signals.ReplyTookEffect(clock.now()))

    # What the application asks

    def request_commit(self, *, timeout: float, skip_reply: bool) -> "asyncio.Future[str]":
        waiter: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._commits.append(waiter)
        self._skip_reply = skip_reply
        now = clock.now()
        self._guarded(self._tell, signals.CommitRequested(now, now + timeout))
        return waiter

    def clear_turn(self) -> None:
        self._guarded(self._tell, signals.ClearRequested(clock.now()))

    @property
    def _is_idle(self) -> bool:
        return not self._replies and not self.tools and not self.hand_overs.open and self.machine.is_quiet

    def close(self) -> None:
        """End every speech, and account for it."""
        if self._closed:
            return
        self.is_open = False
        for reply in list(self._replies):
            self.cancel(reply)
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
        self._ended = True
        self.states.end()
        for reply in list(self._replies):
            self.cancel(reply)

    def _agent_state(self) -> AgentState:
        if self.agent is None:
            return "initializing"
        if self.playout is not None and self.playout.sounding:
            return "speaking"
        if self.playout is not None and self.playout.current is not None:
            return "listening"  # it is held
        due = self.tools or any(not reply.is_over and not reply.handle.interrupted for reply in self._replies)
        return "thinking" if due else "listening"

    # Look-ups

    def speaks_for(self, agent: Agent) -> bool:
        """Whether a speech of this agent is under way."""
        return any(reply.agent is agent for reply in self._replies)

    def _reply(self, speech_id: str) -> Reply | None:
        return next((reply for reply in self._replies if reply.handle.id == speech_id), None)

    def _spoken(self, utterance: Utterance) -> tuple[Reply, Spoken] | None:
        pairs = ((reply, spoken) for reply in self._replies for spoken in reply.spoken)
        return next((pair for pair in pairs if pair[1].utterance is utterance), None)

    @property
    def _speaking_id(self) -> str:
        found = self._spoken(self.playout.current) if self.playout and self.playout.current else None
        reply = found[0] if found else next(iter(self._replies), None)
        return reply.handle.id if reply else ""

    @property
    def _position(self) -> float:
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
        signals.AskAgain: _ask_again,
        signals.GiveUpOnVoice: _give_up_on_voice,
    }
