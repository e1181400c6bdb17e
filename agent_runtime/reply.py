"""One speech being made: the tree of tasks from the request to the last sample.

The path of a token: the model's stream (`_ask`) -> a bounded text channel -> the agent's tts_node -> frames -> the
utterance, which the playout plays. Every answer of the model is an utterance of its own, because each becomes a message
of its own in the history; after a tool the next answer is asked for at once, while the words before the tool still play.

Cancelling the reply's task ends the tree. Tools are not in it: a tool that has started runs to its end in the session.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from agent_runtime import clock
from agent_runtime.agent import Agent, call_node, staying
from agent_runtime.audio.frame import AudioFrame
from agent_runtime.channels import Channel
from agent_runtime.chat import ChatContext, ChatMessage, FunctionCall, FunctionCallOutput
from agent_runtime.errors import UsageError
from agent_runtime.events import Event, FirstSample, FirstToken, LlmRequested, PhraseReady, Stalled
from agent_runtime.llm import LLM, ChatChunk, FunctionToolCall, ModelCall, reporting
from agent_runtime.nodes.playout import Utterance
from agent_runtime.nodes.streams import WatchedText, captioned, once, tee
from agent_runtime.speech import SpeechHandle
from agent_runtime.tools import StopResponse, ToolChoice, ToolOutcome
from agent_runtime.turns.ledger import Heard
from agent_runtime.types import ModelSettings

if TYPE_CHECKING:
    from agent_runtime.conversation import Conversation

LLM_DEADLINE_S = 10.0
"""Between two pieces of a model's answer. Then the turn is given up with a spoken line."""

BACKSTOP_S = 0.5
"""So much longer a model is waited for that keeps the same deadlines itself."""

TTS_DEADLINE_S = 2.5
"""From text that a synthesiser has been given to its next frame."""

HOOK_STALL_S = 5.0
"""After which a hook that holds up an answer is told of. It is not cancelled: nobody knows what it has done so far."""

RETURNED = frozenset({"google", "livekit", "xai"})
"""Keys in a chunk's `extra` under which a service puts what it wants back with the message: signatures of thoughts."""

TEXT_AHEAD = 256
"""Pieces of text that may wait for the synthesiser before the model is held back."""

_AS_EVER = ModelSettings()

current: ContextVar["Reply"] = ContextVar("current_reply")
"""The reply in whose tasks the code runs; nodes and tools find it here."""


@dataclass(slots=True)
class Request:
    """What is to be said. With `text` or `audio` it is said as it stands, else the model is asked."""

    text: AsyncIterable[str] | str | None = None
    audio: AsyncIterable[AudioFrame] | None = None
    user_message: ChatMessage | None = None
    is_turn: bool = False
    instructions: str | None = None
    tool_choice: ToolChoice | None = None
    add_to_chat_ctx: bool = True
    chat_ctx: ChatContext | None = None
    llm: LLM | str | None = None

    def checked(self) -> Self:
        """Itself, where it came from the application.

        Raises:
            UsageError: something in it is of another kind.
        """
        text, message = self.text, self.user_message
        if text is not None and not isinstance(text, str | AsyncIterable):
            raise UsageError(f"say() takes a text or an async iterable of texts, not {text!r}.")
        if message is not None and not isinstance(message, ChatMessage):
            raise UsageError(f"generate_reply(user_input=...) takes a text or a ChatMessage, not {message!r}.")
        if self.instructions is not None and not isinstance(self.instructions, str):
            raise UsageError(f"generate_reply(instructions=...) takes a text, not {self.instructions!r}.")
        if isinstance(self.tool_choice, str) and self.tool_choice not in ("auto", "required", "none"):
            raise UsageError(
                f"tool_choice is {self.tool_choice!r}; it is 'auto', 'required', 'none', or names a tool: "
                '{"type": "function", "function": {"name": "..."}}.'
            )
        return self

    @property
    def is_said_as_it_stands(self) -> bool:
        return self.text is not None or self.audio is not None


@dataclass(slots=True)
class Spoken:
    """An utterance of this reply and what the history will need to know of it."""

    utterance: Utterance
    step: int
    created_at: float
    caption: list[str] | None = None
    """What an overridden transcription_node made of its text."""

    def as_shown(self, heard: Heard) -> tuple[str, str]:
        """Heard and cut text; of an overridden transcription as large a part as was heard of the words."""
        words = "".join(self.caption or ()).split()
        if not words:  # nothing else is shown (yet), but this was heard
            return heard.text, heard.cut
        said = len(heard.text.split())
        whole = said + len(heard.cut.split())
        share = round(len(words) * said / whole) if whole else 0
        return " ".join(words[:share]), " ".join(words[share:])

    captioning: "asyncio.Task[None] | None" = None


@dataclass(slots=True)
class _Call:
    call: FunctionToolCall
    task: "asyncio.Task[ToolOutcome]" = field(repr=False)


class Reply:
    """Makes one speech. `run` is its task.

    It may stand by: its tasks have begun before there is anything to say, and wait for it. A user who has come to the
    end of a turn is then answered by waking them.
    """

    handle: SpeechHandle
    request: Request

    def __init__(self, conversation: "Conversation", agent: Agent) -> None:
        self.agent = agent
        self.task: asyncio.Task[BaseException | None] | None = None
        self.begun = False
        self.spoken: list[Spoken] = []
        self.waits = False
        """Whether it is waiting for its tools: what they have said is spoken meanwhile."""
        self.complete = False
        """Whether no further utterance will be added."""
        self.is_ahead = False
        """Whether its turn is not final yet: nothing of it is told, or does anything, before `adopt`."""
        self.returned: dict[int, dict[str, Any]] = {}
        """What a service wants back with the text of each step, under its name."""
        self.characters = 0
        """How much text the model has given."""
        self._conversation = conversation
        self._phrases = 0
        self._sounds = False
        self._go: asyncio.Future[None] | None = None
        self._line: tuple[Channel[str], Utterance] | None = None  # from text to sound, standing by
        self._post = conversation.post
        self._adopted: asyncio.Event | None = None
        self._kept_back: list[Event] = []
        self._speaks_ahead = False
        self._context_size = 0

    # Standing by.

    def stand_by(self) -> None:
        """From now on `run` waits for `go`."""
        self._go = asyncio.get_running_loop().create_future()

    def go(self) -> None:
        """`handle` and `request` are there."""
        if self._go is not None and not self._go.done():
            self._go.set_result(None)

    async def _wait_to_go(self, group: asyncio.TaskGroup) -> None:
        speeches, nodes = self._conversation.speeches, (self.agent.tts_node, self.agent.transcription_node)
        # An agent's own are called when there is something to say, and what is wrong with a voice is told then.
        if [getattr(node, "__func__", None) for node in nodes] == [Agent.tts_node, Agent.transcription_node]:
            with contextlib.suppress(Exception):
                if speeches.has_voice:
                    self._line = Channel(TEXT_AHEAD), speeches.new_utterance()
                    self._give_voice(group, *self._line)
        assert self._go is not None
        await self._go

    # Being made ahead of its turn.

    def begin_ahead(self, *, speaks: bool) -> None:
        """Its turn is not final. With `speaks` its sound is made all the same."""
        self.is_ahead = True
        self._adopted = asyncio.Event()
        self._context_size = len(self.agent._chat_ctx.items)
        self._speaks_ahead = speaks
        self._post = self._kept_back.append

    @property
    def transcript(self) -> str:
        """The words of the user that it answers."""
        message = self.request.user_message
        return (message.text_content or "") if message is not None else ""

    def fits(self, transcript: str) -> bool:
        """Whether it answers these words as they would be answered now."""
        conversation = self._conversation
        same_context = conversation.agent is self.agent and len(self.agent._chat_ctx.items) == self._context_size
        return not self.handle.done() and self.transcript == transcript and same_context

    def adopt(self) -> None:
        """Its turn is final: what was kept back is told, and what waited goes on."""
        assert self._adopted is not None
        self.is_ahead = False
        self._post = self._conversation.post
        for spoken in self.spoken:  # in the history it comes after what it answers
            spoken.created_at = clock.now()
        self._conversation.tools.llm_requested()
        for event in self._kept_back:
            self._post(event)
        self._kept_back.clear()
        self._adopted.set()

    async def _final(self) -> None:
        """Wait until its turn is final."""
        if self._adopted is not None:
            await self._adopted.wait()

    async def run(self) -> None:
        """Make the speech and wait until it was played. Nodes that fail are events, not exceptions."""
        current.set(self)
        reporting.set(self._called)
        async with asyncio.TaskGroup() as group:
            if self._go is not None:
                await self._wait_to_go(group)
            if self.request.is_said_as_it_stands:
                await self._say(group)
            else:
                await self._answer(group)
            self.complete = True
            if self._line is not None:
                self._line[0].close()
            self._conversation.wake_playout()
            for spoken in self.spoken:
                await spoken.utterance.over.wait()
                if spoken.captioning is not None:  # what it has not shown by now comes too late
                    spoken.captioning.cancel()

    def next_utterance(self) -> Utterance | None:
        """The first one that is not over."""
        for each in self.spoken:
            if not each.utterance.over.is_set():
                return each.utterance
        return None

    @property
    def is_over(self) -> bool:
        """Whether all of it was played or cut, and nothing will be added."""
        return self.complete and self.next_utterance() is None

    async def step_over(self, step: int) -> None:
        """Wait until what the answers up to number `step` said was played or cut."""
        for spoken in list(self.spoken):
            if spoken.step <= step:
                await spoken.utterance.over.wait()

    def _called(self, call: ModelCall) -> None:
        self._conversation.accounts.called(self.handle.id, call)

    def phrase_ready(self, raw: str) -> None:
        self._post(PhraseReady(at=clock.now(), speech_id=self.handle.id, index=self._phrases, text=raw.strip()))
        self._phrases += 1

    # Saying what is given.

    async def _say(self, group: asyncio.TaskGroup) -> None:
        text, audio = self.request.text, self.request.audio
        pieces = once(text) if isinstance(text, str) else text
        if audio is not None:
            said = "".join([piece async for piece in pieces]) if pieces is not None else ""
            self._speak(group, audio=captioned(audio, said))
        elif pieces is not None:
            self._speak(group, text=pieces)

    # Asking the model.

    async def _answer(self, group: asyncio.TaskGroup) -> None:
        ctx = await self._context()
        if ctx is None:
            return
        steps = self._conversation.max_tool_steps
        step = -1
        while True:
            step += 1
            self.handle.num_steps = step + 1
            choice = self.request.tool_choice if step < steps else "none"
            llm = self.request.llm
            settings = ModelSettings(choice, llm) if choice is not None or llm is not None else _AS_EVER
            said, calls = await self._ask(group, ctx, settings, step, may_call=step < steps)
            if not calls:
                return
            if said:
                ctx.add_message(role="assistant", content=said, extra=self.returned.get(step))
            if not await self._take_outcomes(ctx, calls):
                return

    async def _context(self) -> ChatContext | None:
        """What the model is asked with; None where the hook says that nothing is to be answered."""
        request, agent = self.request, self.agent
        known = request.chat_ctx if request.chat_ctx is not None else agent._chat_ctx
        told = ChatMessage(role="system", content=[agent.instructions], id="instructions", created_at=0.0)
        ctx = ChatContext([told, *known.items])
        self._conversation.tools.tell(ctx)
        message = request.user_message
        if message is not None and request.is_turn and has_turn_hook(agent):
            late = self._conversation.watch("hook", HOOK_STALL_S)
            try:
                hook, recorder = staying(agent.on_user_turn_completed), self._conversation.session.recorder
                await (hook(ctx, message) if recorder is None else recorder.hook(hook, ctx, message))
            except StopResponse:
                self._conversation.speeches.drop_user_message(self)
                return None
            except Exception as error:
                self._conversation.failed("hook", f"on_user_turn_completed of '{agent.id}'", error)
            finally:
                late.cancel()
        if message is not None and not _holds(ctx, message):  # what was typed is in the history at once
            ctx.insert(message)
        if request.instructions:
            ctx.add_message(role="system", content=request.instructions)
        return ctx

    async def _ask(
        self, group: asyncio.TaskGroup, ctx: ChatContext, settings: ModelSettings, step: int, *, may_call: bool
    ) -> tuple[str, list[_Call]]:
        """One answer: its text goes to be spoken as it comes, its calls are started as they come."""
        agent = self.agent
        text: Channel[str] | None = None
        said: list[str] = []
        calls: list[_Call] = []
        first = True
        patience, then = self._patience(settings)
        self._post(LlmRequested(at=clock.now(), speech_id=self.handle.id, step=step))
        if not self.is_ahead:
            self._conversation.tools.llm_requested()
        chunks = call_node(agent.llm_node, ctx.copy(), agent.tools, settings)
        try:
            async with clock.Deadline(patience) as deadline:
                async for chunk in chunks:
                    content, tool_calls, extra = _parts(chunk)
                    if extra:
                        self._keep_for_return(step, extra)
                    if first and (content or tool_calls):
                        first = False
                        if patience != then:
                            patience = then
                            deadline.change(then)
                        self._post(FirstToken(at=clock.now(), speech_id=self.handle.id, step=step))
                    if content:
                        self.characters += len(content)
                        if text is None:
                            text = self._open(group, step)
                        said.append(content)
                        if not text.offer(content):
                            deadline.pause()  # the synthesiser holds us back
                            await text.send(content)
                        if len(said) == 1:
                            await clock.sleep(0)  # in a burst of text the first clause does not wait for the rest
                    if tool_calls:
                        if self.is_ahead:
                            deadline.pause()
                            await self._final()
                        if not may_call:
                            raise _TooManySteps(tool_calls[0].name, self._conversation.max_tool_steps)
                        for call in map(self._conversation.tools.numbered, tool_calls):
                            calls.append(_Call(call, self._start_tool(call, step)))  # noqa: PERF401  # kept where one fails
                    if content or tool_calls or extra:
                        deadline.restart()
                if text is not None:
                    text.close()
                    await clock.sleep(0)  # the last words are spoken before all is tidied up
            if first and not step and type(agent).llm_node is Agent.llm_node and not self.is_ahead:
                self._conversation.fell_short("llm", f"The language model of '{agent.id}' gave an empty answer.")
                self._apologize(group, step)
        except Exception as error:
            if self.is_ahead:
                raise  # at the commit it is asked again
            if isinstance(error, TimeoutError) and deadline.expired:
                self._post(Stalled(at=clock.now(), what="llm", after=patience, action="the turn is given up"))
            else:
                self._conversation.failed("llm", f"The language model of '{agent.id}'", error)
            if not calls:  # else the model is asked again with what came of them
                self._apologize(group, step)
        finally:
            if text is not None:
                text.close()
            await chunks.aclose()
        return "".join(said), calls

    def _apologize(self, group: asyncio.TaskGroup, step: int) -> None:
        """No turn of the user's ends in silence."""
        line = self._conversation.session.on_error
        if line:
            self._speak(group, text=once(line), step=step)

    def _keep_for_return(self, step: int, extra: dict[str, Any]) -> None:
        for service in RETURNED.intersection(extra):
            self.returned.setdefault(step, {})[service] = extra[service]

    def _patience(self, settings: ModelSettings) -> tuple[float, float]:
        """Seconds to the first piece of the answer, and then between two. Who watches itself says better what went wrong."""
        llm = self._conversation.session.models.llm_of(self.agent, settings.llm)
        if llm is None or type(self.agent).llm_node is not Agent.llm_node:
            return LLM_DEADLINE_S, LLM_DEADLINE_S
        margin = BACKSTOP_S if llm.watches_itself else 0.0
        return llm.first_token_timeout + margin, LLM_DEADLINE_S + margin

    def _start_tool(self, call: FunctionToolCall, step: int) -> "asyncio.Task[ToolOutcome]":
        self._conversation.speeches.settle_turn(self)
        return self._conversation.tools.start(self, call, step)

    async def _take_outcomes(self, ctx: ChatContext, calls: list[_Call]) -> bool:
        """Wait for the tools and tell the next request of them. Returns whether there is to be one."""
        self.waits = True
        self._conversation.speeches.reply_waits()
        try:
            await asyncio.wait([each.task for each in calls])
        finally:
            self.waits = False
        outcomes = [each.task.result() for each in calls]
        for call in (each.call for each in calls):
            extra = call.extra or {}
            ctx.insert(FunctionCall(call_id=call.call_id, name=call.name, arguments=call.arguments, extra=extra))
        for call, outcome in zip((each.call for each in calls), outcomes, strict=True):
            ctx.insert(
                FunctionCallOutput(
                    call_id=call.call_id, name=call.name, output=outcome.output, is_error=outcome.is_error
                )
            )
        new_agent = next((outcome.agent for outcome in outcomes if outcome.agent is not None), None)
        self._conversation.tools.executed([each.call.call_id for each in calls])
        if new_agent is not None:
            wants_words = any(outcome.reply_required for outcome in outcomes)
            # Not awaited: its hooks may wait for speeches, which come after this one.
            self._conversation.hand_overs.to(new_agent, reply=wants_words)
            return False
        return any(outcome.reply_required for outcome in outcomes)

    # From text to sound.

    def _open(self, group: asyncio.TaskGroup, step: int) -> Channel[str]:
        """Where text goes that is to be spoken as it comes."""
        if self._line is not None and (self._adopted is None or self._speaks_ahead):
            (text, utterance), self._line = self._line, None
            self.spoken.append(Spoken(utterance, step, clock.now()))
        else:
            text = Channel(TEXT_AHEAD)
            self._speak(group, text=text, step=step)
        return text

    def _give_voice(self, group: asyncio.TaskGroup, text: AsyncIterable[str], utterance: Utterance) -> None:
        group.create_task(self._voice(utterance, WatchedText(text, utterance.given, self._text_failed)), name="tts")

    def _speak(
        self,
        group: asyncio.TaskGroup,
        *,
        text: AsyncIterable[str] | None = None,
        audio: AsyncIterable[AudioFrame] | None = None,
        step: int = 0,
    ) -> None:
        utterance = self._conversation.speeches.new_utterance()
        spoken = Spoken(utterance, step, clock.now())
        self.spoken.append(spoken)
        if audio is None and text is not None:
            if type(self.agent).transcription_node is not Agent.transcription_node:
                text, shown = tee(text)
                spoken.caption = []
                spoken.captioning = group.create_task(
                    self._caption(spoken, shown), name=f"{self.handle.id} transcription"
                )
            if self._conversation.speeches.has_voice:
                self._give_voice(group, text, utterance)
            else:
                group.create_task(self._write(spoken, text), name=f"{self.handle.id} text")
        elif audio is not None:
            group.create_task(self._play(utterance, audio), name=f"{self.handle.id} audio")

    async def _voice(self, utterance: Utterance, text: WatchedText) -> None:
        if self._adopted is not None and not self._speaks_ahead:
            await self._final()
        frames = call_node(self.agent.tts_node, text, _AS_EVER)
        broken = True
        try:
            async with clock.Deadline(TTS_DEADLINE_S) as deadline:
                text.deadline = deadline
                async for frame in frames:
                    deadline.pause()
                    if not self._sounds:
                        self._note_first(frame)
                    await utterance.feed(frame)
                    text.restart()
            broken = False
        except Exception as error:
            if not self.begun:  # it stood by: another one will be made, and say what is wrong
                self._line = None
                return
            if self.is_ahead:
                raise
            if isinstance(error, TimeoutError) and deadline.expired:
                action = "the rest of the speech is given up"
                self._conversation.post(Stalled(at=clock.now(), what="tts", after=TTS_DEADLINE_S, action=action))
            else:
                self._conversation.failed("tts", f"The synthesiser of '{self.agent.id}'", error)
        finally:
            utterance.finish(broken=broken)
            await frames.aclose()
        await text.drain()
        if not broken and utterance.is_mute:
            self._conversation.fell_short("tts", f"The synthesiser of '{self.agent.id}' gave no sound for its text.")

    def _note_first(self, frame: AudioFrame) -> None:
        if frame.data:
            self._sounds = True
            self._post(FirstSample(at=clock.now(), speech_id=self.handle.id))

    async def _play(self, utterance: Utterance, audio: AsyncIterable[AudioFrame]) -> None:
        broken = True
        try:
            async for frame in audio:
                if not self._sounds:
                    self._note_first(frame)
                await utterance.feed(frame)
            broken = False
        except Exception as error:
            self._conversation.failed("say", "The audio given to say()", error)
        finally:
            utterance.finish(broken=broken)

    def _text_failed(self, error: Exception) -> None:
        self._conversation.failed("say", "The text given to say()", error)

    async def _write(self, spoken: Spoken, text: AsyncIterable[str]) -> None:
        """Without a voice, what is written is what is heard."""
        await self._final()
        pieces: list[str] = []
        try:
            async for piece in text:
                pieces.append(piece)  # what came before a failure is kept
                spoken.utterance.given(piece)
        except Exception as error:
            self._text_failed(error)
        if spoken.captioning is not None:
            await asyncio.wait([spoken.captioning], timeout=TTS_DEADLINE_S)
        self._conversation.speeches.written(spoken.utterance, "".join(pieces).strip())

    async def _caption(self, spoken: Spoken, text: AsyncIterable[str]) -> None:
        caption = spoken.caption
        assert caption is not None
        pieces = call_node(self.agent.transcription_node, text, _AS_EVER)
        try:
            async for piece in pieces:
                caption.append(piece)
        except Exception as error:
            spoken.caption = None
            self._conversation.failed("transcription", f"transcription_node of '{self.agent.id}'", error)
        finally:
            await pieces.aclose()


class _TooManySteps(Exception):
    """The model went on calling tools where it was told that it may not."""

    def __init__(self, tool: str, steps: int) -> None:
        super().__init__(f"it called '{tool}' after {steps} answers with tool calls; see max_tool_steps")


def _holds(ctx: ChatContext, message: ChatMessage) -> bool:
    """Whether the message is in there: behind all that is older, so a long history is not read through at every turn."""
    for item in reversed(ctx.items):
        if item.id == message.id:
            return True
        if 0.0 < item.created_at < message.created_at:
            return False
    return False


def has_turn_hook(agent: Agent) -> bool:
    """Whether it has a say in what is asked about a turn."""
    return getattr(agent.on_user_turn_completed, "__func__", None) is not Agent.on_user_turn_completed


def _parts(chunk: Any) -> tuple[str, Sequence[FunctionToolCall], dict[str, Any] | None]:
    """What an llm_node gives, told apart."""
    if not isinstance(chunk, ChatChunk):
        return str(chunk), (), None
    delta = chunk.delta
    return (delta.content or "", delta.tool_calls, delta.extra) if delta is not None else ("", (), None)
