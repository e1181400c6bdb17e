"""The agent's speeches: one after another, each a reply in the making, and what of each was heard.

The queue is ordered by priority, then by age; the speech that sounds keeps its place. The first is being made, and the
second too where it needs nothing but a synthesiser, so that no gap is heard between them.

A reply may also be made ahead of its turn (`prepare`): it stands outside of the queue, so nothing of it sounds, its
events are kept back, and its tools wait. `adopt` puts it into the queue, `discard` throws it away.
"""

import asyncio
from contextvars import Context, copy_context
from functools import partial
from typing import TYPE_CHECKING

from agent_runtime import clock, events
from agent_runtime.agent import Agent
from agent_runtime.audio.frame import OUTPUT_RATE
from agent_runtime.chat import ChatMessage
from agent_runtime.errors import UsageError
from agent_runtime.nodes.playout import Utterance
from agent_runtime.reply import Reply, Request, Spoken, has_turn_hook
from agent_runtime.speech import SpeechHandle, SpeechSource
from agent_runtime.turns import signals
from agent_runtime.turns.ledger import Heard

if TYPE_CHECKING:
    from agent_runtime.conversation import Conversation


class Speeches:
    """What the agent says, is about to say, and has been heard to say. It owns the floor on the playout's side."""

    def __init__(self, conversation: "Conversation") -> None:
        self.queue: list[Reply] = []
        self.begun = 0
        """How many there were so far."""
        self.ended = False
        """Nothing is begun any more."""
        self._conversation = conversation
        self._held_back: tuple[Reply, ChatMessage] | None = None
        """The user's turn whose reply was not heard yet: final only when it is, so that the user may go on."""
        self._prepared: Reply | None = None
        self._standby: Reply | None = None
        self._context = copy_context()
        """Of the session, as no turn of the user's is begun by a task of the application's."""

    @property
    def current(self) -> SpeechHandle | None:
        return self.queue[0].handle if self.queue else None

    # Beginning

    def speak(
        self,
        source: SpeechSource,
        request: Request,
        *,
        turn: int | None,
        allow_interruptions: bool | None = None,
        priority: int = SpeechHandle.SPEECH_PRIORITY_NORMAL,
        at: float | None = None,
    ) -> SpeechHandle:
        """Queue a speech; `at`: when it was decided, if that was not now.

        Raises:
            UsageError: the session is ending, and nothing can be said any more.
        """
        if self.ended:
            raise UsageError("This session is ending, and nothing can be said in it any more.")
        reply = self._made(source, request, turn, allow_interruptions, priority)
        self._enqueue(reply, clock.now() if at is None else at)
        return reply.handle

    def _made(
        self, source: SpeechSource, request: Request, turn: int | None, allowed: bool | None, priority: int
    ) -> Reply:
        agent = self._conversation.current_agent
        self.begun += 1
        reply = self._standing_by(agent) if request.is_turn else None
        if reply is None:
            reply = Reply(self._conversation, agent)
        reply.request = request
        reply.handle = SpeechHandle(
            f"speech_{self.begun}",
            source=source,
            turn=turn,
            allow_interruptions=agent.allow_interruptions if allowed is None else allowed,
            priority=priority,
            interrupt=partial(self._conversation.guarded, self._interrupt, reply),
            on_permission=partial(self._conversation.guarded, self._permission_changed, reply),
        )
        return reply

    def _enqueue(self, reply: Reply, at: float) -> None:
        request, handle = reply.request, reply.handle
        if request.user_message is not None:
            if self._held_back is not None:  # an earlier turn waits for its reply: it is final now
                self.settle_turn(self._held_back[0], reopens=request.is_turn)
            self._held_back = (reply, request.user_message)
            if not request.is_turn:
                self.settle_turn(reply)
        self.queue.insert(self._place(handle.priority) if self.queue else 0, reply)
        self._conversation.post(
            events.SpeechCreated(
                at=at,
                speech_id=handle.id,
                source=handle.source,
                user_initiated=handle.turn is None,
                turn=handle.turn,
            )
        )
        self._conversation.tell(signals.ReplyPlanned(at, self.queue[0].handle.allow_interruptions))
        self._advance()

    def _place(self, priority: int) -> int:
        """Behind all that are as urgent, and behind what has begun to be made."""
        for place, other in enumerate(self.queue):
            if other.handle.priority < priority and not (place == 0 and other.begun):
                return place
        return len(self.queue)

    def _advance(self) -> None:
        if self.ended:
            return
        place = 0
        for reply in tuple(self.queue):
            if reply.waits:
                continue
            if not reply.begun and (place == 0 or reply.request.is_said_as_it_stands):
                self._start(reply)
            place += 1
            if place == 2:
                return

    def _start(self, reply: Reply) -> None:
        reply.begun = True
        if reply.task is None:
            self._spawn(reply, reply.handle.id)
        else:
            reply.go()

    def _spawn(self, reply: Reply, name: str, context: Context | None = None) -> None:
        own = context.copy() if context is not None else None
        work = self._run(reply)
        try:
            task = reply.task = self._conversation.spawn(work, name=name, context=own)
        except RuntimeError:  # the session is ending with an error, and its task group takes nothing any more
            work.close()
            raise
        # Not a `finally` in the task: one that is cancelled before its first step has none.
        task.add_done_callback(partial(self._conversation.guarded, self._done, reply), context=context)

    async def _run(self, reply: Reply) -> BaseException | None:
        try:
            await reply.run()
        except Exception as failure:
            error: BaseException = failure
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            if reply.begun and not reply.is_ahead:
                self._conversation.failed("reply", reply.handle.id, error)
            return error
        return None

    # One that stands by

    def stand_by(self) -> None:
        """Let the tasks of the next answer begin, which wait for the turn that it is an answer to."""
        conversation = self._conversation
        agent, standby = conversation.current_agent, self._standby
        wanted = conversation.is_open and not self.ended and conversation.machine.has_recogniser
        if not wanted or (standby is not None and standby.agent is agent):
            return
        if standby is not None and standby.task is not None:
            standby.task.cancel()
        reply = self._standby = Reply(conversation, agent)
        reply.stand_by()
        try:
            self._spawn(reply, "standby", self._context)
        except RuntimeError:
            self._standby = None

    def _standing_by(self, agent: Agent) -> Reply | None:
        reply, self._standby = self._standby, None
        fits = reply is not None and reply.agent is agent and reply.task is not None and not reply.task.done()
        return reply if fits else None

    # Making one ahead

    def prepare(self, transcript: str) -> None:
        """Begin a reply to a turn that will probably end with these words."""
        self.discard("another reading")
        agent = self._conversation.current_agent
        if self.queue or self.ended or has_turn_hook(agent):
            return
        message = ChatMessage(role="user", content=[transcript])
        reply = self._made(
            "generate_reply",
            Request(user_message=message, is_turn=True),
            None,
            None,
            SpeechHandle.SPEECH_PRIORITY_NORMAL,
        )
        reply.begin_ahead(speaks=self._conversation.machine.options.preemptive_generation.preemptive_tts)
        self._prepared = reply
        self._start(reply)

    def check_prepared(self) -> None:
        """Throw away what was made ahead for other words than the user's turn has by now."""
        if self._prepared is not None and self._prepared.transcript != self._conversation.machine.pending_transcript:
            self.discard("the user went on")

    def discard(self, reason: str) -> None:
        """Throw away what was made ahead."""
        reply, self._prepared = self._prepared, None
        if reply is None:
            return
        self._conversation.post(
            events.GenerationDiscarded(
                at=clock.now(),
                speech_id=reply.handle.id,
                reason=reason,
                characters=reply.characters,
                audio=sum(spoken.utterance.made_s for spoken in reply.spoken),
            )
        )
        self.cancel(reply)

    def answer(self, message: ChatMessage, turn: int, at: float) -> None:
        """The user's turn is final: its reply, or the one that was made ahead for the same words."""
        prepared = self._prepared
        if prepared is not None and not prepared.fits(message.text_content or ""):
            self.discard("the turn ended otherwise")
            prepared = None
        if prepared is None:
            self.speak("generate_reply", Request(user_message=message, is_turn=True), turn=turn, at=at)
            return
        self._prepared = None
        prepared.request.user_message = message
        prepared.handle.turn = turn
        self._enqueue(prepared, at)
        prepared.adopt()
        if self._conversation.playout is not None:
            self._conversation.playout.sound_came()

    # Ending

    def _done(self, reply: Reply, task: "asyncio.Task[BaseException | None]") -> None:
        if reply.begun:  # one that stood by in vain was nobody's
            self._over(reply, None if task.cancelled() else task.result())

    def _over(self, reply: Reply, error: BaseException | None) -> None:
        self._cut(reply)  # what a task that failed has left
        if reply is self._prepared:
            self._prepared = None  # it failed, or came to nothing: at the commit another one is made
        if reply in self.queue:
            self.queue.remove(reply)
        self._conversation.hand_overs.let_go(reply.agent)
        self.settle_turn(reply)
        reply.handle.mark_done(error)
        if not self.queue and not reply.is_ahead:
            self._conversation.tell(signals.AgentStopped(clock.now(), more=False))
        self._advance()
        self._conversation.wake_playout()
        self.stand_by()

    def cancel(self, reply: Reply) -> None:
        """End a speech here: its sound in this very call, its tasks as soon as they can."""
        if reply.handle.done():
            return
        reply.handle.mark_interrupted()
        self._cut(reply)
        if not reply.begun:
            self._over(reply, None)
        if reply.task is not None:
            reply.task.cancel()

    def cancel_all(self, *, force: bool = True) -> None:
        """End every speech that may be ended."""
        self.discard("interrupted")
        for reply in [each for each in self.queue if force or each.handle.allow_interruptions]:
            self.cancel(reply)

    def cancel_unheard(self) -> None:
        """End the reply of the turn that goes on."""
        reply = self._held_back[0] if self._held_back is not None else None
        self._held_back = None
        if reply is not None:
            self.cancel(reply)

    def _cut(self, reply: Reply) -> None:
        playout = self._conversation.playout
        for spoken in reply.spoken:
            utterance = spoken.utterance
            if playout is not None and not reply.is_ahead:
                playout.cut(utterance)
            elif not utterance.over.is_set():
                utterance.end(cut=True)
                if not reply.is_ahead:  # what was being written
                    self.utterance_over(utterance, 0.0, utterance.heard(0), cut=True)

    def interrupt(self, *, force: bool) -> list[SpeechHandle]:
        """The application ends every speech that may be ended; the handles of those ended."""
        self.discard("interrupted")
        ended = [each for each in self.queue if force or each.handle.allow_interruptions]
        for reply in ended:
            self._conversation.guarded(self._interrupt, reply)
        return [reply.handle for reply in ended]

    def _permission_changed(self, reply: Reply) -> None:
        self._conversation.permission_changed(reply.handle)

    def _interrupt(self, reply: Reply) -> None:
        conversation = self._conversation
        if conversation.playout is not None and conversation.playout.current in [s.utterance for s in reply.spoken]:
            conversation.post(
                events.InterruptionConfirmed(
                    at=clock.now(), speech_id=reply.handle.id, reason="interrupt()", position=conversation.position
                )
            )
        self.cancel(reply)

    # What replies ask of their conversation

    @property
    def has_voice(self) -> bool:
        """Whether speeches sound; otherwise they are written."""
        conversation = self._conversation
        agent = conversation.current_agent
        speaks = conversation.session.models.tts_of(agent) is not None or type(agent).tts_node is not Agent.tts_node
        return conversation.playout is not None and speaks

    def new_utterance(self) -> Utterance:
        playout = self._conversation.playout
        if playout is None:
            return Utterance(OUTPUT_RATE)
        utterance = Utterance(playout.sink.sample_rate)
        playout.expect(utterance)
        return utterance

    def reply_waits(self) -> None:
        """One that has called tools has nothing to say until they are done: what comes behind it may be said."""
        self._advance()
        self._conversation.wake_playout()

    def drop_user_message(self, reply: Reply) -> None:
        if self._held_back is not None and self._held_back[0] is reply:
            self._held_back = None

    def settle_turn(self, reply: Reply | None, *, reopens: bool = False) -> None:
        """Something of this reply was heard or done, or it is over: the turn it answers is final.

        `reopens`: the turn machine knows already of a later turn, which may still be reopened.
        """
        if self._held_back is not None and self._held_back[0] is reply:
            message = self._held_back[1]
            self._held_back = None
            self._conversation.add_item(message, reply)
            if not reopens:
                self._conversation.tell(signals.ReplyTookEffect(clock.now()))

    def written(self, utterance: Utterance, text: str) -> None:
        """An utterance without sound is complete: it counts as heard."""
        utterance.end(cut=False)
        self.utterance_over(utterance, 0.0, Heard(text=text, cut="", words=len(text.split())), cut=False)

    # What the playout asks of and tells the floor's owner

    def next_utterance(self) -> Utterance | None:
        for reply in self.queue:
            utterance = reply.next_utterance()
            if utterance is not None:
                return utterance
            if not reply.complete and not reply.waits:
                return None
        return None

    def may_start(self) -> bool:
        first = self.queue[0] if self.queue else None
        return self._conversation.machine.floor_is_free or (first is not None and not first.handle.allow_interruptions)

    def utterance_started(self, utterance: Utterance) -> None:
        found = self._spoken(utterance)
        if found is not None:
            reply, spoken = found
            if reply.request.is_said_as_it_stands:
                spoken.created_at = clock.now()
            self._conversation.post(events.PlaybackStarted(at=clock.now(), speech_id=reply.handle.id))

    def utterance_over(self, utterance: Utterance, position_s: float, heard: Heard, *, cut: bool) -> None:
        found = self._spoken(utterance)
        if found is None:
            return
        reply, spoken = found
        text, rest = spoken.as_shown(heard)
        self.settle_turn(reply)
        self._conversation.post(
            events.PlaybackFinished(
                at=clock.now(), speech_id=reply.handle.id, position=position_s, interrupted=cut, heard=text, cut=rest
            )
        )
        if text and reply.request.add_to_chat_ctx:
            missing = bool(rest) or (cut and not utterance.is_whole)
            item = ChatMessage(
                role="assistant",
                content=[text],
                interrupted=missing,
                extra=reply.returned.get(spoken.step, {}),
                created_at=spoken.created_at,
            )
            self._conversation.add_item(item, reply)

    def playout_stuck(self, after_s: float) -> None:
        self._conversation.post(
            events.Stalled(at=clock.now(), what="playout", after=after_s, action="waiting for the speaker")
        )

    # Look-ups

    @property
    def is_due(self) -> bool:
        """Whether anything is to be said yet."""
        for reply in self.queue:  # noqa: SIM110  # to leave a generator early is an exception
            if not reply.handle.interrupted and not reply.is_over:
                return True
        return False

    def of(self, agent: Agent) -> bool:
        """Whether a speech of this agent is under way."""
        return any(reply.agent is agent for reply in self.queue)

    def reply(self, speech_id: str) -> Reply | None:
        return next((reply for reply in self.queue if reply.handle.id == speech_id), None)

    def more_after(self, speech_id: str) -> bool:
        """Whether anything will sound when this speech has come to its end."""
        reply = self.reply(speech_id)
        if reply is not None and not reply.handle.interrupted:
            return not reply.is_over or len(self.queue) > 1
        return any(other is not reply and not other.handle.interrupted for other in self.queue)

    @property
    def is_in_tool(self) -> bool:
        """Whether the code that asks runs inside a tool of one of these speeches."""
        task = asyncio.current_task()
        return any(task in reply.handle.tool_tasks for reply in self.queue)

    @property
    def sounding(self) -> Reply | None:
        """Whose sound is in the sink."""
        current = self._conversation.playout.current if self._conversation.playout is not None else None
        found = self._spoken(current) if current is not None else None
        return found[0] if found is not None else None

    @property
    def speaking_id(self) -> str:
        reply = self.sounding or next(iter(self.queue), None)
        return reply.handle.id if reply is not None else ""

    def _spoken(self, utterance: Utterance) -> tuple[Reply, Spoken] | None:
        for reply in self.queue:
            for spoken in reply.spoken:
                if spoken.utterance is utterance:
                    return reply, spoken
        return None
