"""A scripted session, in virtual time, and what it left behind: what the tests of the session share."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from agent_runtime import Agent, AgentSession, clock, virtual
from agent_runtime.chat import ChatContext, ChatMessage
from agent_runtime.events import AgentStateChanged, Event
from agent_runtime.io.memory import ClockSink
from agent_runtime.testing.scripted import Line, ScriptedCaller, ScriptedLLM, ScriptedSTT, ScriptedTTS, ScriptedVAD

E = TypeVar("E", bound=Event)


class Plain(Agent):
    def __init__(self, **options: Any) -> None:
        super().__init__(instructions="You are plain.", **options)


@dataclass
class Told:
    """What was said in the call, once it is over."""

    session: AgentSession[Any]
    events: list[Event] = field(default_factory=list)
    played: list[tuple[float, bytes]] = field(default_factory=list)
    tasks_left: list[str] = field(default_factory=list)

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    def one(self, kind: type[E]) -> E:
        (event,) = self.of(kind)
        return event

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.events]

    @property
    def states(self) -> list[str]:
        return [event.new_state for event in self.of(AgentStateChanged)]

    @property
    def history(self) -> ChatContext:
        return self.session.history

    @property
    def said(self) -> list[tuple[str, str]]:
        """(role, text) of every message."""
        return [(item.role, item.text_content or "") for item in self.history.items if isinstance(item, ChatMessage)]

    @property
    def sound(self) -> bytes:
        return b"".join(pcm for _, pcm in self.played)

    def sounding(self, since: float, until: float) -> bytes:
        """What was played between two moments."""
        rate = 24_000
        pcm = bytearray()
        for at, piece in self.played:
            first = max(0, round((since - at) * rate))
            last = min(len(piece) // 2, round((until - at) * rate))
            if first < last:
                pcm += piece[2 * first : 2 * last]
        return bytes(pcm)


Script = Callable[[AgentSession[Any]], Awaitable[object]]


def call(
    lines: Sequence[Line] = (),
    replies: Any = None,
    *,
    agent: Callable[[], Agent] = Plain,
    then: Script | None = None,
    until: float = 10.0,
    llm: Any = None,
    tts: Any = None,
    stt: Callable[[ScriptedCaller], Any] = ScriptedSTT,
    sink: bool = True,
    source: Callable[[ScriptedCaller], Any] = lambda caller: caller,
    prepare: Callable[[AgentSession[Any]], None] = lambda session: None,
    **options: Any,
) -> Told:
    """Make the call: the caller says `lines`, `then(session)` is done meanwhile, and it is closed at `until`."""

    async def main() -> Told:
        caller = ScriptedCaller(lines, until=until + 1)
        model = llm if llm is not None else ScriptedLLM(replies if replies is not None else {"*": "All right."})
        voice = tts if tts is not None else ScriptedTTS()
        session: AgentSession[Any] = AgentSession(vad=ScriptedVAD(), stt=stt(caller), llm=model, tts=voice, **options)
        told = Told(session)
        session.log.subscribe(told.events.append)
        prepare(session)
        ear = ClockSink(on_played=lambda at, pcm: told.played.append((at, pcm)))
        await session.start(agent(), input=source(caller), output=ear if sink else None)
        if then is not None:
            await then(session)
        if clock.now() < until:
            await clock.sleep_until(until)
        await session.aclose()
        told.tasks_left = sorted(task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task())
        return told

    told = virtual.run(main())
    assert told.tasks_left == [], f"tasks left behind: {told.tasks_left}"
    return told
