"""AgentSession: a conversation between an agent and a caller, from start() to aclose()."""

import asyncio
import contextlib
import contextvars
import dataclasses
import os
from collections.abc import AsyncIterable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Generic, Self

from agent_runtime import clock, events
from agent_runtime.advice import prewarm
from agent_runtime.agent import Agent, check_may_join
from agent_runtime.audio import resample
from agent_runtime.audio.endpoints import AudioSink, AudioSource
from agent_runtime.audio.frame import AudioFrame
from agent_runtime.chat import ChatContext, ChatMessage
from agent_runtime.conversation import Conversation
from agent_runtime.errors import InternalError, UsageError
from agent_runtime.events import AgentState, UserState
from agent_runtime.inference.spending import Budget, Spending
from agent_runtime.listeners import Listeners
from agent_runtime.listening import Listening
from agent_runtime.llm import LLM
from agent_runtime.models import Models
from agent_runtime.reply import Request
from agent_runtime.reply import current as current_reply
from agent_runtime.run_result import RunResult
from agent_runtime.speech import SpeechHandle
from agent_runtime.stt import STT, STTContext, keyterms_of
from agent_runtime.text.transforms import TextTransform, compose
from agent_runtime.tools import ToolChoice, Userdata
from agent_runtime.trace.log import EventLog
from agent_runtime.trace.recorder import Recorder
from agent_runtime.tts import TTS
from agent_runtime.turns.detectors import TurnDetector
from agent_runtime.turns.options import TurnHandling, TurnHandlingOptions
from agent_runtime.types import NOT_GIVEN, NotGivenOr, check_options
from agent_runtime.vad import VAD

APOLOGY = "Sorry, something went wrong. Please say that again."

GRACE_S = 2.0
"""How long `aclose()` waits for tasks that do not end when they are told to."""


class AgentSession(Generic[Userdata]):
    """A pipeline of VAD, STT, LLM and TTS nodes round a turn machine.

    Each node is a descriptor (``"local/espeak"``), an object, or None to do without it. A `vad` that is not given is
    ``"local/silero"`` where there is an `stt`; the other nodes are there only if they are given.

    Args:
        vad, stt, llm, tts: the nodes.
        turn_handling: delays and policies; see `TurnHandlingOptions`.
        stt_context_options: ``{"keyterms": [...]}``: what callers are likely to say.
        max_tool_steps: how often in a row the model may answer with tool calls.
        tts_text_transforms: what is done to a phrase before it is spoken; the history keeps it as it was written.
        userdata: anything; tools find it in their context.
        user_away_timeout: s of silence on both sides until `user_state` is away; None: never.
        on_error: what is said where a model fails in a turn; None: nothing, there is only the `error` event.
        budget: what the models may cost.

    Raises:
        UsageError: a descriptor that is unknown or cannot be used; see `agent_runtime.inference.descriptor`.
    """

    def __init__(
        self,
        *,
        stt: STT | str | None = None,
        vad: NotGivenOr[VAD | str | None] = NOT_GIVEN,
        llm: LLM | str | None = None,
        tts: TTS | str | None = None,
        turn_handling: TurnHandlingOptions | TurnHandling | None = None,
        stt_context_options: Mapping[str, Any] | None = None,
        max_tool_steps: int = 3,
        tts_text_transforms: Sequence[str | TextTransform] = ("filter_markdown", "filter_emoji"),
        userdata: NotGivenOr[Userdata] = NOT_GIVEN,
        user_away_timeout: float | None = 15.0,
        on_error: str | None = APOLOGY,
        budget: Budget | Mapping[str, Any] | None = None,
    ) -> None:
        check_options(max_tool_steps=max_tool_steps, user_away_timeout=user_away_timeout, on_error=on_error)
        self.max_tool_steps = max_tool_steps
        self.user_away_timeout = user_away_timeout
        self.on_error, self.budget = on_error, Budget.of(budget)
        self.text_transform = compose(tts_text_transforms)
        """Makes what a phrase goes through before it is spoken: one for each utterance, as it may remember."""
        self.models = Models(vad=vad, stt=stt, llm=llm, tts=tts)
        self.turn_handling = self.models.with_detector(TurnHandling.of(turn_handling))
        self._keyterms = keyterms_of(stt_context_options)
        self._userdata = userdata
        self._listeners = Listeners(self._callback_failed)
        self._log = EventLog()
        self._conversation: Conversation | None = None
        self._main: asyncio.Task[None] | None = None
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._listening: Listening | None = None
        self._stop: asyncio.Event | None = None
        self._started: asyncio.Future[None] | None = None
        self._failure: BaseException | None = None
        self._close_reason = "user_initiated"
        self._finished = self._closed = self._shut_down_early = False
        self._source: AudioSource | None = None
        self._sink: AudioSink | None = None
        self.recorder: Recorder | None = None
        """Writes the tape, where the call is recorded."""
        self.last_error: BaseException | None = None
        """What a node, hook or tool last raised, with its traceback."""

    # What it is made of

    @property
    def vad(self) -> VAD | None:
        return self.models.vad

    @property
    def stt(self) -> STT | None:
        return self.models.stt

    @property
    def llm(self) -> LLM | None:
        return self.models.llm

    @property
    def tts(self) -> TTS | None:
        return self.models.tts

    @property
    def is_open(self) -> bool:
        """Whether it takes turns: it has started, and was not asked to end."""
        return self._conversation is not None and self._conversation.is_open

    @property
    def log(self) -> EventLog:
        """Every event, in order; subscribe before `start()`."""
        return self._log

    @property
    def userdata(self) -> Userdata:
        """What was given as `userdata`; `UsageError` where nothing was."""
        if self._userdata is NOT_GIVEN:
            raise UsageError("This session has no userdata; give AgentSession(userdata=...).")
        return self._userdata

    @userdata.setter
    def userdata(self, value: Userdata) -> None:
        self._userdata = value

    @property
    def history(self) -> ChatContext:
        """What was said and heard by all agents of this session, and what their tools did."""
        return self._conversation.history if self._conversation is not None else ChatContext.empty()

    @property
    def usage(self) -> Spending:
        """What its models used and cost so far."""
        return self._conversation.accounts.spending if self._conversation is not None else Spending()

    @property
    def current_agent(self) -> Agent:
        """Who speaks now; `UsageError` before `start()`."""
        agent = self._conversation.agent if self._conversation is not None else None
        if agent is None:
            raise UsageError("This session has no agent yet; call start(agent=...) first.")
        return agent

    @property
    def current_speech(self) -> SpeechHandle | None:
        return self._conversation.speeches.current if self._conversation is not None else None

    @property
    def agent_state(self) -> AgentState:
        return self._conversation.states.agent if self._conversation is not None else "initializing"

    @property
    def user_state(self) -> UserState:
        return self._conversation.states.user if self._conversation is not None else "listening"

    # Listening to it

    def on(self, event: str, callback: Callable[[Any], Any] | None = None) -> Any:
        """Call `callback(event)` at every event of that name (``"user_input_transcribed"``); also a decorator.

        Callbacks run on the loop, in the order of the events; one that raises is an `error` event and keeps its place.
        """
        if callback is None:
            return lambda function: self.on(event, function)
        self._listeners.add(event, callback)
        return callback

    def once(self, event: str, callback: Callable[[Any], Any]) -> Any:
        return self.on(event, self._listeners.once(event, callback))

    def off(self, event: str, callback: Callable[[Any], Any]) -> None:
        self._listeners.remove(event, callback)

    def _callback_failed(self, what: str, error: BaseException) -> None:
        if self._conversation is not None:
            self._conversation.failed("callback", what, error)

    def keep_traceback(self, error: BaseException) -> None:
        self.last_error = error

    # Beginning and end

    async def start(
        self,
        agent: Agent,
        *,
        room: Any = None,
        input: AudioSource | None = None,  # noqa: A002
        output: AudioSink | None = None,
        record: str | os.PathLike[str] | None = None,
    ) -> None:
        """Begin: the agent listens, and its `on_enter` runs.

        Args:
            room: what the entrypoint was given as `ctx.room`; it brings its own input and output.
            input, output: where sound comes from and goes, where there is no room. Without an output the conversation
                is written: `run(user_input=...)`, `history`.
            record: a file to keep the call on, for `agent-runtime replay`.

        Raises:
            UsageError: it was started before, or `agent` is no Agent, or speaks in another session.
        """
        if self._main is not None or self._closed:
            raise UsageError("This session was started before, or closed; make a new AgentSession for a new call.")
        check_may_join(agent, self, "start(agent=...)")
        if room is not None:
            attach = getattr(room, "attach", None)
            if attach is None:
                raise UsageError(
                    "Rooms come later: start the script with 'console', or give start(input=..., output=...)."
                )
            input, output = attach(self, agent, input, output)  # noqa: A001
        record = record or getattr(room, "record", None)
        if record is not None:
            input, output = Recorder.begin(self, agent, input, output, record)  # noqa: A001
        self._source, self._sink = input, output
        try:
            await self._prewarm(agent)
        except BaseException:
            await self._release()
            raise
        if self._closed or self._shut_down_early:
            await self._release()
            raise UsageError("This session was told to end before it had started; make a new AgentSession for a call.")
        loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._started = loop.create_future()
        self._main = loop.create_task(self._run(agent), name="session")
        await asyncio.shield(self._started)

    async def _prewarm(self, agent: Agent) -> None:
        await agent._tools.prepare()
        if self._sink is not None:
            await clock.offload(resample.prewarm)
        self.models.prewarm(agent)
        await prewarm(self.turn_handling)

    async def _run(self, agent: Agent) -> None:
        assert self._stop is not None
        assert self._started is not None
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                conversation = self._conversation = Conversation(
                    self,
                    options=self.turn_handling,
                    sink=self._sink,
                    log=self._log,
                    spawn=self._spawn,
                    fail=self._fail,
                    has_vad=self.vad is not None,
                    has_recogniser=self._recognises(agent),
                )
                self._listeners.follow(self._log)
                conversation.post(events.SessionStarted(at=clock.now(), nodes=self.models.labels))
                conversation.hand_overs.to(agent)
                for name, ear in self._ear_tasks(conversation, agent):
                    self._spawn(ear, name=name)
                self._started.set_result(None)
                try:
                    await self._stop.wait()
                    await self._wind_up(conversation)
                finally:
                    conversation.end()
                for task in self._tasks:
                    task.cancel()
        except BaseExceptionGroup as errors:
            self._failure = self._failure or errors.exceptions[0]
        finally:
            self._finish()
            if not self._started.done():
                self._started.set_exception(self._failure or InternalError("The session ended before it began."))
            await self._release()

    def _spawn(
        self, work: Coroutine[Any, Any, Any], *, name: str, context: contextvars.Context | None = None
    ) -> asyncio.Task[Any]:
        """Start a task that lives no longer than the session."""
        assert self._group is not None, "no task group before start()"
        task = self._group.create_task(work, name=name, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _ear_tasks(self, conversation: Conversation, agent: Agent) -> list[tuple[str, Coroutine[Any, Any, None]]]:
        if self._source is None:
            return []
        listening = self._listening = Listening(
            self._source,
            self.vad,
            agent=lambda: self.current_agent,
            post=conversation.post,
            failed=conversation.failed,
            fail=self._fail,
            ignores=conversation.hearing.ignores,
            adviser=lambda: conversation.adviser,
        )
        return listening.tasks(recognises=self._recognises(agent))

    def _recognises(self, agent: Agent) -> bool:
        return self.stt is not None or type(agent).stt_node is not Agent.stt_node

    async def _wind_up(self, conversation: Conversation) -> None:
        conversation.close()
        agent = conversation.agent
        if agent is not None and self._failure is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GRACE_S / 2):
                    await conversation.hand_overs.hook(agent.on_exit, f"on_exit of '{agent.id}'")

    def _finish(self) -> None:
        conversation = self._conversation
        if conversation is not None and not self._finished:
            self._finished = True
            try:
                conversation.close()
                conversation.end()
            except Exception as broken:  # whatever it is, the call ends
                self._failure = self._failure or broken
            reason = "error" if self._failure is not None else self._close_reason
            error = f"{type(self._failure).__name__}: {self._failure}" if self._failure is not None else None
            conversation.post(events.Close(at=clock.now(), reason=reason, error=error))

    def _fail(self, error: BaseException) -> None:
        """The session cannot go on."""
        self._failure = self._failure or error
        self.keep_traceback(error)
        self.shutdown(drain=False)

    def shutdown(self, *, drain: bool = True, reason: str = "user_initiated") -> None:
        """Ask it to end, without waiting: after what is being said, or (drain=False) now."""
        if self._stop is None:
            self._shut_down_early = True
        if self._stop is None or self._stop.is_set():
            return
        self._close_reason = reason
        if self._conversation is not None:
            self._conversation.is_open = False
        if drain and self._conversation is not None:
            self._spawn(self._drain_and_stop(), name="shutdown")
        else:
            self._stop.set()

    async def _drain_and_stop(self) -> None:
        assert self._stop is not None
        await self.drain()
        self._stop.set()

    async def drain(self) -> None:
        """Start no new turn, and wait until what was begun is said."""
        conversation = self._started_conversation
        conversation.is_open = False
        while conversation.speeches.current is not None:
            with contextlib.suppress(UsageError):  # called from one of its own tools: then that is what is left
                await conversation.speeches.current.wait_for_playout()
                continue
            return

    async def aclose(self) -> None:
        """End it now. From any state, any number of times, also from inside a tool (which then ends with it)."""
        if self._main is None or self._stop is None:
            await self._release()
            return
        self._stop.set()
        if self._is_inside():
            return
        done, _ = await asyncio.wait([self._main], timeout=2 * GRACE_S)
        if not done:  # something in it does not let itself be cancelled
            self._main.cancel()
            self._finish()
            await asyncio.wait([self._main], timeout=0.1)  # some let go when they are told twice
        await self._release()

    def _is_inside(self) -> bool:
        task = asyncio.current_task()
        return task is self._main or task in self._tasks

    async def _release(self) -> None:
        if self._closed:
            return
        self._closed = True
        ends: list[Any] = [self._source, self._sink, self.recorder, *self.models.to_close]
        for end in filter(None, ends):
            try:
                async with asyncio.timeout(GRACE_S):
                    await end.aclose()
            except Exception as error:
                self.keep_traceback(error)

    async def wait_closed(self) -> None:
        """Wait until the session has ended, for whatever reason, and has let go of everything.

        Raises:
            BaseException: what made it fail.
        """
        if self._main is None:
            return
        await asyncio.wait([self._main])
        await self._release()
        if self._failure is not None:
            raise self._failure

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.aclose()

    # Speaking

    def say(
        self,
        text: str | AsyncIterable[str],
        *,
        audio: AsyncIterable[AudioFrame] | None = None,
        allow_interruptions: NotGivenOr[bool] = NOT_GIVEN,
        add_to_chat_ctx: bool = True,
        priority: int = SpeechHandle.SPEECH_PRIORITY_NORMAL,
    ) -> SpeechHandle:
        """Say this, after what is being said. With `audio`, that is played and `text` is what it says.

        `priority`: what waits with a lower one is said later.
        """
        if text is None:
            raise UsageError("say() takes a text or an async iterable of texts, not None.")
        request = Request(text=text, audio=audio, add_to_chat_ctx=add_to_chat_ctx).checked()
        return self._started_conversation.speeches.speak(
            "say",
            request,
            turn=None,
            allow_interruptions=None if allow_interruptions is NOT_GIVEN else allow_interruptions,
            priority=priority,
        )

    def generate_reply(
        self,
        *,
        user_input: str | ChatMessage | None = None,
        instructions: str | None = None,
        tool_choice: ToolChoice | None = None,
        allow_interruptions: NotGivenOr[bool] = NOT_GIVEN,
        chat_ctx: ChatContext | None = None,
        llm: LLM | str | None = None,
        priority: int = SpeechHandle.SPEECH_PRIORITY_NORMAL,
    ) -> SpeechHandle:
        """Have the model answer, after what is being said.

        Args:
            user_input: what the user says, typed rather than spoken.
            instructions: for this one answer, besides the agent's.
            llm: another model, for this one answer.
            priority: what waits with a lower one is said later.
        """
        if user_input is not None:
            self._refuse_when_ending()
        message = ChatMessage(role="user", content=[user_input]) if isinstance(user_input, str) else user_input
        request = Request(
            user_message=message,
            instructions=instructions,
            tool_choice=tool_choice,
            chat_ctx=chat_ctx,
            llm=self.models.llm_of(self.current_agent, llm) if llm is not None else None,
        ).checked()
        return self._started_conversation.speeches.speak(
            "generate_reply",
            request,
            turn=None,
            allow_interruptions=None if allow_interruptions is NOT_GIVEN else allow_interruptions,
            priority=priority,
        )

    def interrupt(self, *, force: bool = False) -> "asyncio.Future[None]":
        """End what is being said and what waits to be. The future is done when all of it is over."""
        handles = self._started_conversation.speeches.interrupt(force=force)

        async def over() -> None:
            for handle in handles:
                await handle.wait_for_playout()

        return asyncio.ensure_future(over())

    def run(self, *, user_input: str, input_modality: str = "text") -> RunResult:
        """Type something to the agent and collect what it does about it: ``result = await session.run(user_input=...)``."""
        conversation = self._started_conversation
        self._refuse_in_tool("run()")
        self._refuse_when_ending()
        result = RunResult(self._log, user_input=user_input, idle=conversation.states.idle)
        conversation.speeches.interrupt(force=False)
        return result.follow(self.generate_reply(user_input=user_input))

    def update_options(self, *, turn_detection: NotGivenOr[str | TurnDetector | None] = NOT_GIVEN) -> None:
        """Change how turns end, from now on; before `start()` too.

        Raises:
            UsageError: an unknown mode or detector.
        """
        if turn_detection is NOT_GIVEN:
            return
        mode = TurnHandling.of({"turn_detection": turn_detection}).turn_detection
        changed = self.models.with_detector(dataclasses.replace(self.turn_handling, turn_detection=mode))
        self.turn_handling = changed
        if self._conversation is not None:
            self._conversation.change_options(changed)

    def update_agent(self, agent: Agent) -> None:
        """Let another agent speak from here on."""
        conversation = self._started_conversation
        check_may_join(agent, self, "update_agent()")
        conversation.hand_overs.to(agent)

    def commit_user_turn(
        self, *, transcript_timeout: float = 2.0, stt_flush_duration: float = 2.0, skip_reply: bool = False
    ) -> "asyncio.Future[str]":
        """The user's turn ends here. The future gives its transcript.

        `transcript_timeout`: s to wait for words that the recogniser still owes. `stt_flush_duration` is accepted for
        the sake of livekit-agents' scripts; no recogniser here needs it.
        """
        return self._started_conversation.request_commit(timeout=transcript_timeout, skip_reply=skip_reply)

    def clear_user_turn(self) -> None:
        """Throw away what the user said since the last turn."""
        self._started_conversation.clear_turn()

    async def wait_for_idle(self) -> None:
        """Wait until nobody speaks, no answer is due and no tool runs."""
        conversation = self._started_conversation
        self._refuse_in_tool("wait_for_idle()")
        await conversation.states.idle()

    def _refuse_in_tool(self, what: str) -> None:
        if self._conversation is not None and self._conversation.speeches.is_in_tool:
            raise UsageError(f"A tool waits for {what}, which waits for the tool; return from the tool first.")

    def _refuse_when_ending(self) -> None:
        if not self.is_open:
            raise UsageError("This session is ending and takes no more input; make a new AgentSession for a new call.")

    @property
    def _started_conversation(self) -> Conversation:
        if self._conversation is None:
            raise UsageError("This session was not started; call `await session.start(agent=...)` first.")
        if self._finished:
            raise UsageError("This session has ended; make a new AgentSession for a new call.")
        return self._conversation

    # What nodes ask of their session

    def agent_changed(self, old: Agent, new: Agent) -> None:
        """A recogniser that goes by the agent's tools, or that an agent overrides, starts on a new stream."""
        overridden = any(type(agent).stt_node is not Agent.stt_node for agent in (old, new))
        if self._listening is not None and (overridden or (self.stt is not None and self.stt.uses_tools)):
            self._listening.renew()

    def stt_context(self, agent: Agent) -> STTContext:
        """What the recogniser may know: the application's terms and the agent's tools."""
        return STTContext(keyterms=self._keyterms, tools=agent.tool_context.hints())

    def engine_restarted(self, engine: str) -> Callable[[str], None]:
        def note(reason: str) -> None:
            if self._conversation is None:
                return
            if reason == "stalled":
                self._conversation.post(events.Stalled(at=clock.now(), what=engine, after=None, action="started again"))
            self._conversation.post(events.EngineRestarted(at=clock.now(), engine=engine, reason=reason))

        return note

    def phrase_ready(self, raw: str) -> None:
        reply = current_reply.get(None)
        if reply is not None:
            reply.phrase_ready(raw)
