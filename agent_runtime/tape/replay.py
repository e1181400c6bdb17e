"""A call again, from its tape: the same session in virtual time, with what came from outside taken from the tape."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from agent_runtime import clock, events
from agent_runtime.audio.frame import AudioFrame
from agent_runtime.chat import ChatContext, ChatMessage
from agent_runtime.errors import UsageError
from agent_runtime.events import Event
from agent_runtime.session import AgentSession
from agent_runtime.tape.answers import Answers, TapeDetector, TapeLLM, TapeSource, TapeSTT, TapeTTS, TapeVAD, due
from agent_runtime.tape.cast import Cast
from agent_runtime.tape.changes import Changes
from agent_runtime.tape.conductor import LATE_S, TOGETHER_S, Conductor, Mark, ReplayLoop
from agent_runtime.tape.positions import TapeSink, delays_of
from agent_runtime.testing.result import CallResult, Said, new_tracks
from agent_runtime.text.transforms import compose
from agent_runtime.trace.log import event_of
from agent_runtime.trace.tape import Json, Tape, is_tape, read_tape
from agent_runtime.turns.detectors import TextDetector
from agent_runtime.turns.options import TurnHandling
from agent_runtime.types import NOT_GIVEN

AFTERWARDS_S = 10.0
"""How long a changed call may go on behind the tape's end."""

OWN_DOING = frozenset(
    {
        "turn_committed",
        "playout_paused",
        "interruption_confirmed",
        "agent_false_interruption",
        "playback_finished",
        "playback_started",
        "stalled",
        "turn_predicted",
    }
)
"""Events that a timer of the session may have made."""


@dataclass
class Replay:
    """What came of a replay.

    Attributes:
        call: the call as it went now.
        lines: its log, as it stands in a call.jsonl.
        was: the log on the tape.
        notes: what the tape had no answer to, a sentence each.
        changed: whether anything was set otherwise.
        virtual: whether the tape was made in virtual time.
    """

    call: CallResult
    was: list[Json]
    notes: list[str]
    changed: bool
    virtual: bool
    cut: str | None = None
    lines: list[Json] = field(init=False)

    def __post_init__(self) -> None:
        self.lines = self.call.events

    @property
    def identical(self) -> bool:
        """Whether the two logs are the same, byte for byte."""
        return self.lines == self.was

    @property
    def same_decisions(self) -> bool:
        """Whether the same happened in the same order, at whatever times."""
        return [_timeless(line) for line in self.lines] == [_timeless(line) for line in self.was]

    @property
    def furthest_s(self) -> float:
        """The largest distance between the times of the same event, in s, where the decisions are the same."""
        return max((abs(a["t"] - b["t"]) for a, b in zip(self.lines, self.was, strict=False)), default=0.0)

    def first_difference(self) -> int | None:
        """The number of the first event that is another; None where there is none."""
        for number, (now, then) in enumerate(zip(self.lines, self.was, strict=False)):
            if _timeless(now) != _timeless(then):
                return number
        return None if len(self.lines) == len(self.was) else min(len(self.lines), len(self.was))


_TIMES = (
    *("t", "onset", "last_voiced", "transcribed_at", "position", "delay", "audio", "after"),
    *("requested_at", "first_token_at"),
)


def _timeless(line: Json) -> Json:
    return {name: value for name, value in line.items() if name not in _TIMES}


def replay(tape: Tape, changes: Changes | None = None, *, record: str | Path | None = None) -> Replay:
    """Make the call again.

    Args:
        changes: what is to be otherwise.
        record: where the tape of the replay goes; that of another replay there makes way, a recorded call does not.

    Raises:
        UsageError: there is no call on the tape, a change cannot be, or something stands where its tape is to go.
    """
    if record is not None:
        _make_way(Path(record))
    told = tape.first("call")
    changes = (changes or Changes()).beside(told["session"], told["turn_handling"])
    started = float(told["started"])
    wall = datetime.fromisoformat(told["wall"]) - timedelta(seconds=started)
    with asyncio.Runner(loop_factory=lambda: ReplayLoop(at=started, wall_start=wall)) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, ReplayLoop)
        return runner.run(_Machine(tape, told, changes, loop).run(record))


def _make_way(path: Path) -> None:
    """Remove the tape of a replay: it can be made again."""
    with contextlib.suppress(UsageError):  # no tape, or one that cannot be read: not ours to remove
        if is_tape(path) and any(read_tape(path).of("replay")):
            path.unlink()


class _Machine:
    """The session of a tape, and who plays it."""

    def __init__(self, tape: Tape, told: Json, changes: Changes, loop: ReplayLoop) -> None:
        self._tape = tape
        self._told = told
        self._changes = changes
        self._virtual = bool(told["virtual"])
        self._conductor = Conductor(
            loop,
            exact=not changes,
            together_s=0.0 if self._virtual or changes else TOGETHER_S,
            is_close=self._close_marks(),
        )
        self._log: list[Event] = []
        self._over = asyncio.Event()
        self._heard, self._played = new_tracks()
        self._counts: dict[str, int] = {}
        self._item_ids = deque(line["item"]["id"] for line in tape.log if line["type"] == "conversation_item_added")

    def _close_marks(self) -> Callable[[Mark], bool]:
        """Whether a timer of the session did something within `LATE_S` after a mark."""
        if self._virtual:
            return lambda _: False
        started = self._told["started"]
        own = [(line["seq"], started + line["t"]) for line in self._tape.log if line["type"] in OWN_DOING]

        def is_close(mark: Mark) -> bool:
            return any(seq >= mark.n and 0 <= at - mark.at <= LATE_S for seq, at in own)

        return is_close

    # Beginning

    async def run(self, record: str | Path | None) -> Replay:
        self._begin()
        session, answers = self._session, self._answers
        source = TapeSource(answers, on_frame=self._hear_caller) if self._told["source"] else None
        sink = self._sink()
        self._conductor.follow(session.log)
        self._plan()
        agent = self._cast.agent(self._told["agent"])
        try:
            await session.start(agent, input=source, output=sink, record=record)
        except Exception:
            if not self._log:  # else it ended at once, and the log says why
                raise
        if session.recorder is not None:
            session.recorder.tape.write({"r": "replay", "of": self._tape.path.name})
        try:
            await self._wait()
        finally:
            await session.aclose()
            await self._close_changed()
        if sink is not None:
            _ = sink.played_samples
        return self._result()

    def _begin(self) -> None:
        told, changes = self._told, self._changes
        nodes = told["nodes"]
        options = {**told["session"], **changes.session}
        keyterms = options.pop("keyterms")
        models: dict[str, Any] = dict.fromkeys(nodes)
        session: AgentSession[Any] = AgentSession(
            **models, **options, stt_context_options={"keyterms": keyterms} if keyterms else None
        )
        self._session = session
        session.log.subscribe(self._take)
        self._answers = answers = Answers(self._tape, self._conductor, session.log)
        answers.tell = self._told_by_node
        self._cast = Cast(answers, self._model, frozenset(changes.nodes))
        for kind, node in nodes.items():
            setattr(session.models, kind, self._model(kind, node["label"]) if node is not None else None)
        for kind, descriptor in changes.nodes.items():
            session.models.substitute(kind, descriptor)
        session.turn_handling = self._handling()
        session.text_transform = self._transform(compose())

    def _model(self, kind: str, label: str) -> Any:
        told = self._told["nodes"].get(kind) or {}
        match kind:
            case "vad":
                return TapeVAD(self._answers, label)
            case "stt":
                return TapeSTT(self._answers, told)
            case "llm":
                return TapeLLM(self._answers, label)
            case _:
                return TapeTTS(self._answers, {**told, "label": label})

    def _handling(self) -> TurnHandling:
        told = dict(self._told["turn_handling"])
        detector = told.pop("turn_detection")
        if isinstance(detector, dict):
            detector = self._value("turn_detection", detector)
        mutes = [
            each if isinstance(each, str) else partial(self._mute, number) for number, each in enumerate(told["mute"])
        ]
        given: Any = {**told, "turn_detection": detector, "mute": mutes}
        return self._changes.applied(TurnHandling.of(given))

    def _mute(self, number: int) -> bool:
        said = [r for _, r in self._tape.of("answer") if r["of"] == "mute" and r["number"] == number]
        asked = self._counts[f"mute {number}"] = self._counts.get(f"mute {number}", -1) + 1
        return bool(said[min(asked, len(said) - 1)].get("value")) if said else False

    def _transform(self, plain: Callable[[], Callable[[str], str]]) -> Callable[[], Callable[[str], str]]:
        known = {r["raw"]: r["spoken"] for _, r in self._tape.of("answer") if r["of"] == "transform"}

        def make() -> Callable[[str], str]:
            other = plain()

            def spoken(raw: str) -> str:
                said = other(raw)
                return str(known.get(raw, said))

            return spoken

        return make

    def _sink(self) -> TapeSink | None:
        rate = self._told["sink"]
        if rate is None:
            return None
        delays = [] if self._virtual else delays_of(self._tape, rate)
        return TapeSink(partial(self._answers.fail_again, "sink"), delays, rate, self._hear_agent)

    def _told_by_node(self, told: Json) -> None:
        if "phrase" in told:
            self._session.phrase_ready(told["phrase"])
        else:
            self._session.engine_restarted(told.get("engine") or self._told["nodes"]["stt"]["label"])(told["restart"])

    def _hear_caller(self, frame: AudioFrame) -> None:
        if frame.at is not None:
            self._heard.add(frame.at, frame.data)

    def _hear_agent(self, at: float, pcm: bytes) -> None:
        self._played.add(at, pcm)

    def _take(self, event: Event) -> None:
        self._log.append(event)
        if isinstance(event, events.ConversationItemAdded) and self._item_ids and not self._changes:
            # Items are counted by the loop, which other calls and the application's own items may have shared.
            object.__setattr__(event.item, "id", self._item_ids.popleft())
        if isinstance(event, events.Close):
            self._over.set()

    # What the application did

    def _plan(self) -> None:
        inside: list[Json] = []
        for _, action in self._tape.of("do"):
            mark = Mark.of(action["m"])
            if action["in"] is not None:
                inside.append(action)
            elif action["of"] is not None:
                self._after(action, mark)
            else:
                last = action["what"] in ("aclose", "shutdown")
                self._conductor.call(mark, mark.at, partial(self._act, action), last=last)
        if inside:
            self._in_callbacks(inside)

    def _after(self, action: Json, mark: Mark) -> None:
        """Done within a tool or a hook: as long after its beginning as it was."""
        asked = self._answers.number(action["of"])

        def begun(at: float) -> None:
            when = due(mark, asked.mark, at)
            if self._conductor.is_next(mark, when):
                self._act(action)
            else:
                self._conductor.call(mark, when, partial(self._act, action))

        self._answers.when_asked(asked.id, begun)

    def _in_callbacks(self, actions: list[Json]) -> None:
        """Done in a callback of an event: when that event is told to callbacks, or (where the log is another) the one
        that is the same by kind and count."""
        kinds: dict[str, list[int]] = {}
        for line in self._tape.log:
            kinds.setdefault(line["type"], []).append(line["seq"])
        told: dict[str, int] = {}

        def look(event: Event) -> None:
            count = told[event.type] = told.get(event.type, 0) + 1
            seqs = kinds.get(event.type, [])
            if count > len(seqs):
                return
            for action in actions:
                if action["in"] == seqs[count - 1]:
                    self._act(action)

        for kind in {self._tape.log[action["in"]]["type"] for action in actions if action["in"] < len(self._tape.log)}:
            self._session.on(kind, look)

    def _act(self, action: Json) -> None:
        session, what = self._session, action["what"]
        args = {name: self._value(name, value) for name, value in action["args"].items()}
        try:
            if what == "log":
                session.log.append(event_of(action["args"], at=clock.now()))
            elif what == "speech":
                self._speech(args)
            elif what == "aclose":
                session.shutdown(drain=False)
            elif what == "drain":
                session._started_conversation.is_open = False
            else:
                getattr(session, what)(**args)
        except Exception as error:  # it raised then, too, and the application caught it
            session.keep_traceback(error)

    def _speech(self, args: Json) -> None:
        conversation = self._session._conversation
        reply = conversation.speeches.reply(args["id"]) if conversation is not None else None
        if reply is None:
            return
        if args["what"] == "interrupt":
            reply.handle.interrupt(force=args["value"])
        else:
            reply.handle.allow_interruptions = args["value"]

    def _value(self, name: str, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return self._cast.agent(value) if name == "agent" else value
        if "stream" in value:
            return self._answers.play(self._answers.begun(self._answers.number(value["stream"])))
        if "chat_ctx" in value:
            return ChatContext.from_dict(value["chat_ctx"])
        if "message" in value:
            return ChatMessage(**value["message"])
        if "text_detector" in value:
            return TextDetector(value["text_detector"])
        if "detector" in value:
            return TapeDetector(self._answers, value["detector"])
        return NOT_GIVEN if "unknown" in value else dict(value)

    # End

    async def _wait(self) -> None:
        """Until the session has ended, or the tape has."""
        last = self._told["started"] + max((line["t"] for line in self._tape.log), default=0.0)
        closed = any(line["type"] == "close" for line in self._tape.log)
        grace = (AFTERWARDS_S if self._changes else 0.0) if closed else 0.0
        if closed and not self._changes:
            grace = AFTERWARDS_S  # it ends by itself
        try:
            async with asyncio.timeout(max(0.0, last + grace - clock.now())):
                await self._over.wait()
        except TimeoutError:
            return

    async def _close_changed(self) -> None:
        """The nodes that took the place of the tape's are ours."""
        for kind in self._changes.nodes:
            close = getattr(getattr(self._session.models, kind), "aclose", None)
            if close is not None:
                await close()

    def _result(self) -> Replay:
        call = self._call()
        return Replay(
            call=call,
            was=self._tape.log,
            notes=self._answers.notes,
            changed=bool(self._changes),
            virtual=self._virtual,
            cut=self._tape.cut,
        )

    def _call(self) -> CallResult:
        started = self._log[0].at
        length = self._log[-1].at - started
        return CallResult(
            name=self._tape.path.stem,
            log=self._log,
            started=started,
            lines=[],
            heard=self._heard,
            played=self._played,
            history=Said.all_of(self._session.history),
            length=length,
        )
