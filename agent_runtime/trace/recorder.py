"""Recording a call onto a tape, as it goes: what came in from outside, and what the session made of it.

Theory of operation. A session decides nothing by chance: its log follows from its settings, from what comes in (sound,
the nodes' answers, tools, hooks, the application's calls) and from when and in which order that comes. The recorder
stands at each of these doors. Every arrival is written with a *mark*::

    "m": [at, n, k]

`at` is loop time; `n` is how many events the log had by then; `k` counts the arrivals. Times alone do not tell the order
of two things in one moment; `n` and `k` do, and `tape.conductor` goes by them.

The records, by their "r":

call     the settings: an allow-list, so that no key can stand in it
agent    who may speak: instructions, tools, and which nodes and hooks it overrides
event    a line of the log
frames   up to a second of the caller's sound, with a mark for each frame
vad      what the detector said at frame number `frame`
ask      a node (vad, stt, llm, tts, or one that an agent overrides), a tool, a hook, or a text or a sound given to say() was
         asked: `id`, `node` and what it was asked
got      an answer to `id`; with an overriding node also `pull`: a text that the node took
end      the end of `id`, with the error if there was one
do       the application did something: `what`, `args`; `in` says that it did so in a callback of event number `in`, `of`
         that it did so within that tool or hook
answer   what the application's detector, mute function or text transform said
played   the played position of a device, at the times at which somebody asked for it
replay   the call is a replay, `of` a tape of that name
"""

import asyncio
import dataclasses
import inspect
import os
from array import array
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Coroutine,
    Sequence,
)
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

from agent_runtime import clock, events
from agent_runtime.audio.endpoints import AudioSink, AudioSource
from agent_runtime.audio.frame import AudioFrame
from agent_runtime.events import Event
from agent_runtime.llm import LLM
from agent_runtime.tools import ToolOutcome
from agent_runtime.trace import codec
from agent_runtime.trace.doors import (
    Ask,
    TapedDetector,
    TapedFrames,
    TapedLLM,
    TapedSink,
    TapedSource,
    TapedSTT,
    TapedTTS,
    TapedVAD,
    within_node,
)
from agent_runtime.trace.log import record as log_record
from agent_runtime.trace.tape import Json, TapeWriter, pack_floats
from agent_runtime.turns.detectors import TextDetector
from agent_runtime.types import NOT_GIVEN

if TYPE_CHECKING:
    from agent_runtime.agent import Agent
    from agent_runtime.session import AgentSession

ACTIONS = (
    "say",
    "generate_reply",
    "interrupt",
    "run",
    "update_options",
    "update_agent",
    "commit_user_turn",
    "clear_user_turn",
    "shutdown",
    "drain",
    "aclose",
)
"""The methods of a session by which an application changes a call."""

HOOKS = ("on_enter", "on_exit", "on_user_turn_completed")
NODES = ("stt_node", "llm_node", "tts_node", "transcription_node")

_cause: ContextVar[int | None] = ContextVar("tape_cause", default=None)
"""The tool or hook in which the code runs."""


class Recorder:
    """One call's tape being written."""

    @classmethod
    def begin(
        cls,
        session: "AgentSession[Any]",
        agent: "Agent",
        source: AudioSource | None,
        sink: AudioSink | None,
        path: str | os.PathLike[str],
    ) -> tuple[AudioSource | None, AudioSink | None]:
        """Record this call, which is about to start with that agent; the source and the sink that it is to have.

        Raises:
            UsageError: the file cannot be made, or there is one.
        """
        recorder = session.recorder = cls(session, TapeWriter(path, secrets=codec.secrets()), source, sink)
        recorder._first = agent
        return recorder.source, recorder.sink

    def __init__(
        self, session: "AgentSession[Any]", tape: TapeWriter, source: AudioSource | None, sink: AudioSink | None
    ) -> None:
        self.tape = tape
        self._session = session
        self._virtual = getattr(asyncio.get_running_loop(), "wall_start", None) is not None
        self._k = self._asked = self._lines = 0
        self._started: float | None = None
        self._first: Agent | None = None
        self._agents: dict[int, tuple[int, Agent]] = {}
        self._nodes: dict[int, Any] = {}
        self._inside = self._draining = False
        self._sound = TapedFrames(self)
        self._positions = array("d")
        self.source = TapedSource(self, source) if source is not None else None
        self.sink = TapedSink(self, sink, by_clock=self._virtual) if sink is not None else None
        self._listen()

    def _listen(self) -> None:
        session = self._session
        session.log.subscribe(self._event)
        models = session.models
        if models.vad is not None:
            models.vad = TapedVAD(self, models.vad)
        if models.stt is not None:
            models.stt = TapedSTT(self, models.stt)
        for name in ("llm_of", "tts_of"):
            setattr(models, name, partial(self._node_of, getattr(models, name)))
        for name in ACTIONS:
            method = getattr(session, name)
            do = self._do_later if inspect.iscoroutinefunction(method) else self._do
            setattr(session, name, partial(do, name, method))
        session.phrase_ready = partial(self._phrase_ready, session.phrase_ready)  # type: ignore[method-assign]
        session.engine_restarted = partial(self._restarted, session.engine_restarted)  # type: ignore[method-assign]
        session.text_transform = partial(self._transform, session.text_transform)
        session.turn_handling = self._watched(session.turn_handling)

    def _watched(self, handling: Any) -> Any:
        """The settings, with what in them is code of the application recorded."""
        mutes = tuple(
            each if isinstance(each, str) else partial(self._mute, number, each)
            for number, each in enumerate(handling.mute)
        )
        detector = handling.turn_detection
        if detector is not None and not isinstance(detector, str | TextDetector | TapedDetector):
            detector = TapedDetector(self, detector)
        return dataclasses.replace(handling, mute=mutes, turn_detection=detector)

    # Marks

    def mark(self) -> list[float]:
        self._k += 1
        return [clock.now(), len(self._session.log), self._k]

    def ask(self, node: str, **asked: Any) -> "Ask":
        self._asked += 1
        self.tape.write({"r": "ask", "id": self._asked, "node": node, "m": self.mark(), **asked})
        return Ask(self, self._asked)

    def failed(self, of: str, error: Exception) -> None:
        """Something that is asked without waiting, the detector or the sink, raised."""
        self.answer(of, error=codec.error(error))

    def answer(self, of: str, **values: Any) -> None:
        self.tape.write({"r": "answer", "of": of, "m": self.mark(), **values})

    # The log

    def _event(self, event: Event) -> None:
        if self._started is None:
            self._started = event.at
            self._write_call()
        line = log_record(event, seq=self._lines, started=self._started)
        self._lines += 1
        if isinstance(event, events.SpeechCreated):
            self._follow_speech(event.speech_id)
        elif isinstance(event, events.DeviceLost | events.DeviceReturned) or _is_of_callback(event):
            at, _, k = self.mark()
            mark = [at, line["seq"], k]
            self.tape.write({"r": "do", "what": "log", "m": mark, "in": None, "of": None, "args": line})
        self.tape.write({"r": "event", "line": line})
        if isinstance(event, events.Close):
            self.close()

    def _write_call(self) -> None:
        session = self._session
        assert self._first is not None, "begun without an agent"
        self.tape.write(
            {
                "r": "call",
                "started": self._started,
                "virtual": self._virtual,
                "wall": clock.wall().isoformat(),
                "m": self.mark(),
                "session": codec.session_settings(session),
                "turn_handling": codec.turn_handling(session.turn_handling),
                "nodes": codec.nodes(session),
                "source": self.source is not None,
                "sink": self.sink.sample_rate if self.sink is not None else None,
                "agent": self.ref(self._first),
            }
        )

    def ref(self, agent: "Agent") -> int:
        """The number of an agent on the tape."""
        number, _ = self._agents.get(id(agent), (0, agent))
        if not number:
            number = len(self._agents) + 1
            self._agents[id(agent)] = (number, agent)  # kept, so that no other gets its place in memory
            self.tape.write({"r": "agent", "ref": number, **codec.agent(agent, HOOKS, NODES)})
        return number

    # What the application does

    def _do(self, what: str, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self._inside or self._started is None:
            return method(*args, **kwargs)
        bound = inspect.signature(method).bind(*args, **kwargs).arguments
        if what == "update_options" and not isinstance(bound.get("turn_detection"), str | TextDetector | None):
            bound["turn_detection"] = TapedDetector(self, bound["turn_detection"])
        self._draining = self._draining or what == "shutdown"
        self._write_action(what, bound)
        self._inside = True
        try:
            return method(**bound)
        finally:
            self._inside = False

    async def _do_later(self, what: str, method: Callable[..., Awaitable[Any]]) -> Any:
        if self._started is not None and not (what == "drain" and self._draining):
            self._write_action(what, {})
        return await method()

    def _write_action(self, what: str, args: Json) -> None:
        log = self._session.log
        told: Json = {}
        for name, value in args.items():
            if isinstance(value, AsyncIterable):
                args[name], told[name] = self._given(value)
            elif value is not NOT_GIVEN:
                told[name] = self.ref(value) if name == "agent" else codec.plain(value)
        self.tape.write(
            {
                "r": "do",
                "what": what,
                "m": self.mark(),
                "in": self._lines - 1 if log.delivering else None,
                "of": _cause.get(),
                "args": told,
            }
        )

    def _given(self, stream: AsyncIterable[Any]) -> tuple[AsyncIterable[Any], Json]:
        """A text or a sound that comes piece by piece."""
        ask = self.ask("say")
        return ask.through(stream), {"stream": ask.id}

    def _follow_speech(self, speech_id: str) -> None:
        conversation = self._session._conversation
        reply = conversation.speeches.reply(speech_id) if conversation is not None else None
        if reply is not None:
            reply.handle.on_told = partial(self._speech_told, speech_id)

    def _speech_told(self, speech_id: str, what: str, value: bool) -> None:
        if not self._inside:
            self._write_action("speech", {"id": speech_id, "what": what, "value": value})

    # Nodes, tools, hooks

    def _node_of(self, original: Callable[..., Any], *whose: Any) -> Any:
        node = original(*whose)
        if node is None:
            return None
        if id(node) not in self._nodes:
            self._nodes[id(node)] = TapedLLM(self, node) if isinstance(node, LLM) else TapedTTS(self, node)
        return self._nodes[id(node)]

    def node(
        self, call: Callable[..., AsyncGenerator[Any]], node: Callable[..., object], args: Sequence[object]
    ) -> AsyncGenerator[Any]:
        """A node of an agent; what an agent overrides is recorded as a whole."""
        name, agent = getattr(node, "__name__", ""), getattr(node, "__self__", None)
        if agent is None or name not in NODES or not codec.overrides(agent, name):
            return call(node, *args)
        ask = self.ask(name, agent=self.ref(agent), **codec.question(args[0]))
        if name in ("tts_node", "transcription_node"):
            args = [ask.pulling(args[0]), *args[1:]]  # type: ignore[arg-type]
        return ask.through(call(node, *args), whole=True)

    def _phrase_ready(self, original: Callable[[str], None], raw: str) -> None:
        node = within_node.get()
        if node is not None:
            node.got(phrase=raw)
        original(raw)

    def _restarted(self, original: Callable[[str], Callable[[str], None]], engine: str) -> Callable[[str], None]:
        node, note = within_node.get(), original(engine)
        if node is None:
            return note

        def noted(reason: str) -> None:
            node.got(restart=reason, engine=engine)
            note(reason)

        return noted

    async def tool(self, agent: "Agent", call: Any, run: Coroutine[Any, Any, ToolOutcome]) -> ToolOutcome:
        """Run a tool."""
        ask = self.ask("tool", agent=self.ref(agent), name=call.name, arguments=call.arguments, call_id=call.call_id)
        token = _cause.set(ask.id)
        try:
            outcome = await run
        except BaseException as error:
            ask.end(error)
            raise
        finally:
            _cause.reset(token)
        new_agent = self.ref(outcome.agent) if outcome.agent is not None else None
        ask.end(None, outcome=codec.outcome(outcome, new_agent))
        return outcome

    async def hook(self, hook: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        """Run a hook of an agent."""
        name, agent = getattr(hook, "__name__", ""), getattr(hook, "__self__", None)
        if agent is None or not codec.overrides(agent, name):
            await hook(*args)
            return
        ask = self.ask("hook", agent=self.ref(agent), name=name)
        token = _cause.set(ask.id)
        try:
            await hook(*args)
        except BaseException as error:
            ask.end(error, content=codec.content_of(args))
            raise
        finally:
            _cause.reset(token)
        ask.end(None, content=codec.content_of(args))

    # Code of the application that answers at once

    def _mute(self, number: int, asked: Callable[[], bool]) -> bool:
        try:
            value = bool(asked())
        except Exception as error:
            self.answer("mute", number=number, error=codec.error(error))
            raise
        self.answer("mute", number=number, value=value)
        return value

    def _transform(self, original: Callable[[], Callable[[str], str]]) -> Callable[[str], str]:
        transform = original()

        def spoken(raw: str) -> str:
            said = transform(raw)
            self.answer("transform", raw=raw, spoken=said)
            return said

        return spoken

    # Ends

    def position(self, played: int, queued: int) -> None:
        self._positions.extend((clock.now(), played, queued))
        if len(self._positions) >= 300:
            self._write_positions()

    def _write_positions(self) -> None:
        if self._positions:
            self.tape.write({"r": "played"}, pack_floats(self._positions))
            self._positions = array("d")

    def frame(self, frame: AudioFrame) -> None:
        self._sound.add(frame)

    def close(self) -> None:
        """The tape is complete; what comes now is not on it."""
        self._sound.flush()
        self._write_positions()
        self.tape.write({"r": "end"})
        self.tape.close()

    async def aclose(self) -> None:
        self.tape.close()


def _is_of_callback(event: Event) -> bool:
    """An error that code of the application made without any of the doors here."""
    return isinstance(event, events.Error) and event.source == "callback"
