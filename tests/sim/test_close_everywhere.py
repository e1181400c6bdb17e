"""A call that is closed at every event of it, and a few steps of the loop later, while some node never returns."""

import asyncio
import gc
import os
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent_runtime import Agent, AgentSession, clock, function_tool, virtual
from agent_runtime.audio.endpoints import AudioSink
from agent_runtime.audio.frame import AudioFrame
from agent_runtime.chat import ChatContext
from agent_runtime.events import Close, Event
from agent_runtime.io.memory import ClockSink
from agent_runtime.llm import LLMStream
from agent_runtime.stt import RecognizeStream, SpeechEvent
from agent_runtime.testing.scripted import (
    Call,
    Line,
    Pause,
    ScriptedCaller,
    ScriptedLLM,
    ScriptedSTT,
    ScriptedTTS,
    ScriptedVAD,
)
from tests.sim.faults import for_ever

LONGEST_S = 5.0
STEPS = tuple(int(each) for each in os.environ.get("CLOSE_STEPS", "0 1 3").split())
"""So many rounds of the loop after an event: the awaits that follow it."""

LINES = [Line(0.3, "work please", 0.6), Line(2.3, "stop", 0.4), Line(3.4, "", 0.3)]
UNTIL = 5.0


@dataclass(frozen=True)
class Hangs:
    """Who never returns: from what moment on of its work."""

    llm: bool = False
    tts: bool = False
    stt: bool = False
    tool: bool = False
    on_enter: bool = False
    on_exit: bool = False
    ends: bool = False
    """The caller's source and the speaker, when they are closed."""
    slow_to_die_s: float = 0.0
    """What is cancelled takes so long to clean up."""


async def _never(slow_s: float) -> None:
    try:
        await for_ever()
    finally:
        if slow_s:
            await clock.sleep(slow_s)


class _LLM(ScriptedLLM):
    slow_s = 0.0
    hangs = False

    def chat(self, **given: Any) -> LLMStream:
        stream = super().chat(**given)
        return _HungAnswer(self.slow_s) if self.hangs else stream


class _HungAnswer(LLMStream):
    def __init__(self, slow_s: float) -> None:
        self._slow_s = slow_s

    async def generate(self) -> AsyncIterator[Any]:
        await _never(self._slow_s)
        yield


class _TTS(ScriptedTTS):
    def __init__(self, hangs: bool, slow_s: float) -> None:
        super().__init__(ttfb=0.1)
        self.hangs, self.slow_s = hangs, slow_s

    async def synthesize(self, text: str) -> AsyncIterator[AudioFrame]:
        sent = 0
        async for frame in super().synthesize(text):
            yield frame
            sent += 1
            if self.hangs and sent == 10:
                await _never(self.slow_s)


class _STT(ScriptedSTT):
    def __init__(self, caller: ScriptedCaller, hangs: bool, slow_s: float) -> None:
        super().__init__(caller)
        self.hangs, self.slow_s = hangs, slow_s

    def stream(self, **given: Any) -> RecognizeStream:
        stream = super().stream(**given)
        return _HungRecognition(self.slow_s) if self.hangs else stream


class _HungRecognition(RecognizeStream):
    def __init__(self, slow_s: float) -> None:
        super().__init__()
        self._slow_s = slow_s

    async def recognize(self, audio: AsyncIterator[AudioFrame]) -> AsyncIterator[SpeechEvent]:
        await _never(self._slow_s)
        yield  # type: ignore[misc]  # never reached: it is what makes this a generator


class _HungCaller(ScriptedCaller):
    async def aclose(self) -> None:
        await for_ever()


class _HungSink(ClockSink):
    async def aclose(self) -> None:
        await for_ever()


class _Busy(Agent):
    def __init__(self, hangs: Hangs) -> None:
        super().__init__(instructions="You are busy.")
        self.hangs = hangs

    async def on_enter(self) -> None:
        if self.hangs.on_enter:
            await _never(self.hangs.slow_to_die_s)
        self.session.say("Hello, who is there?")

    async def on_exit(self) -> None:
        if self.hangs.on_exit:
            await _never(self.hangs.slow_to_die_s)

    @function_tool
    async def work(self) -> str:
        """Work."""
        if self.hangs.tool:
            await _never(self.hangs.slow_to_die_s)
        await clock.sleep(0.3)
        return "worked"


def _answer(ctx: ChatContext) -> Any:
    asked = [item for item in ctx.items if getattr(item, "role", None) == "user"]
    if len(asked) == 1 and getattr(ctx.items[-1], "role", None) == "user":
        return ["One moment, please, this takes its time.", Call("work")]
    return ["It is done, and it was a pleasure to work for you.", Pause(0.2), "Anything else?"]


async def _call(hangs: Hangs, event: int | None, steps: int) -> tuple[list[Event], float]:
    """The call; `aclose` comes `steps` rounds of the loop after event number `event`. Its log, and how long that took."""
    log: list[Event] = []
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    caller = (_HungCaller if hangs.ends else ScriptedCaller)(LINES, until=UNTIL + 1)
    sink: AudioSink = (_HungSink if hangs.ends else ClockSink)()
    model = _LLM(_answer, ttft=0.1)
    model.hangs, model.slow_s = hangs.llm, hangs.slow_to_die_s
    session: AgentSession[None] = AgentSession(
        vad=ScriptedVAD(),
        stt=_STT(caller, hangs.stt, hangs.slow_to_die_s),
        llm=model,
        tts=_TTS(hangs.tts, hangs.slow_to_die_s),
    )

    def look(happened: Event) -> None:
        log.append(happened)
        if len(log) - 1 == event:
            _after(steps, done)

    session.log.subscribe(look)
    starting = asyncio.ensure_future(session.start(_Busy(hangs), input=caller, output=sink))
    await asyncio.wait([done], timeout=UNTIL)
    at = clock.now()
    await session.aclose()
    took = clock.now() - at
    await asyncio.wait([starting])
    await session.aclose()  # any number of times
    await clock.sleep(0)
    left = [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert left == [], f"tasks left: {left}"
    return log, took


def _after(steps: int, done: "asyncio.Future[None]") -> None:
    if steps:
        asyncio.get_running_loop().call_soon(_after, steps - 1, done)
    elif not done.done():
        done.set_result(None)


def _files() -> set[str]:
    found = set()
    for link in Path("/proc/self/fd").glob("*"):
        try:
            found.add(f"{link.name} {link.readlink()}")
        except OSError:  # the one that lists them
            continue
    return found


EACH = {
    "nobody hangs": Hangs(),
    "the model hangs": Hangs(llm=True),
    "the synthesiser hangs": Hangs(tts=True),
    "the recogniser hangs": Hangs(stt=True),
    "a tool hangs": Hangs(tool=True),
    "on_enter hangs": Hangs(on_enter=True),
    "on_exit hangs": Hangs(on_exit=True),
    "both ends hang": Hangs(ends=True),
    "all of them hang": Hangs(llm=True, tts=True, stt=True, tool=True, on_exit=True, ends=True),
    "all are slow to die": Hangs(llm=True, tts=True, stt=True, tool=True, slow_to_die_s=1.0),
}


@pytest.mark.parametrize("name", EACH)
def test_it_ends_in_time_and_leaves_nothing(name: str) -> None:
    hangs = EACH[name]
    events, took = virtual.run(_call(hangs, None, 0))
    assert took <= LONGEST_S
    assert len(events) >= 8
    threads = set(threading.enumerate())
    gc.collect()
    files = _files()
    for number in range(len(events)):
        for steps in STEPS:
            log, took = virtual.run(_call(hangs, number, steps))
            where = f"{steps} steps after {events[number].type} ({number})"
            assert took <= LONGEST_S, f"aclose() took {took:.2f} s, {where}"
            assert [type(event) for event in log].count(Close) == 1, f"not one end, {where}"
            assert log[: number + 1] == events[: number + 1] or number >= len(log)
    gc.collect()
    assert set(threading.enumerate()) == threads
    assert _files() <= files


def test_a_close_that_takes_too_long_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_runtime.session.GRACE_S", 20.0)
    assert virtual.run(_call(EACH["on_exit hangs"], 3, 0))[1] > LONGEST_S
