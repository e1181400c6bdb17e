"""Keys that do something to a call."""

import asyncio
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from agent_runtime import Agent, AgentSession, clock, events, virtual
from agent_runtime.channels import Channel
from agent_runtime.io.controls import HINT, KEYS, SessionControls, obey, read_keys
from agent_runtime.io.memory import ClockSink
from agent_runtime.io.microphone import Microphone
from agent_runtime.io.terminal import TerminalView
from agent_runtime.testing.scripted import Line, ScriptedCaller, ScriptedLLM, ScriptedSTT, ScriptedTTS, ScriptedVAD
from tests.io.conftest import Pty
from tests.io.screen import Screen


@dataclass
class Desk:
    """A call with a keyboard."""

    session: AgentSession[Any]
    microphone: Microphone
    view: TerminalView
    out: io.StringIO
    keys: Channel[str]
    quits: list[str]
    commits: list[Any]

    async def press(self, *keys: str) -> None:
        for key in keys:
            self.keys.put(key)
            await clock.sleep(0.01)

    @property
    def foot(self) -> str:
        return Screen.of(self.out.getvalue(), width=200).lines[-1]

    @property
    def said(self) -> list[tuple[str, str | None]]:
        return [(item.role, item.text_content) for item in self.session.history.items if item.type == "message"]


def at_desk(use: Callable[[Desk], Any], *lines: Line, start: bool = True) -> Desk:
    async def main() -> Desk:
        caller = ScriptedCaller(lines, until=60)
        session = AgentSession[Any](
            vad=ScriptedVAD(),
            stt=ScriptedSTT(caller, delay=0.4),
            llm=ScriptedLLM({"*": "That is a long answer with many words in it, which goes on and on."}),
            tts=ScriptedTTS(),
        )
        out = io.StringIO()
        view = TerminalView(out, live=True, color=False, width=200)
        session.log.subscribe(view)
        desk = Desk(session, Microphone(), view, out, Channel(100), [], [])
        session.log.subscribe(desk.commits.append, events.TurnCommitted)
        controls = SessionControls(session, desk.microphone, lambda: desk.quits.append("quit"))
        if start:
            await session.start(Agent(instructions="Answer."), input=caller, output=ClockSink())
        obeying = asyncio.ensure_future(obey(desk.keys, controls, view))
        await clock.sleep(0.01)
        await use(desk)
        desk.keys.close()
        await obeying
        await session.aclose()
        return desk

    return virtual.run(main())


def test_m_mutes_and_opens() -> None:
    async def use(desk: Desk) -> None:
        assert HINT in desk.foot
        assert "microphone" not in desk.foot
        await desk.press("m")
        assert desk.microphone.muted
        assert "microphone off" in desk.foot
        await desk.press("m")
        assert not desk.microphone.muted
        assert "microphone" not in desk.foot

    at_desk(use)


def test_space_takes_the_floor_and_ends_the_turn() -> None:
    async def use(desk: Desk) -> None:
        speech = desk.session.generate_reply(user_input="go on")
        await clock.sleep(1.0)
        assert desk.session.agent_state == "speaking"
        await desk.press(" ")
        assert speech.interrupted
        assert not desk.microphone.muted
        assert "talking, space ends your turn" in desk.foot
        await clock.sleep_until(3.05)  # the line ends at 3.0: without the key its turn would end at 3.5
        await desk.press(" ")
        assert desk.microphone.muted
        assert "push to talk, space begins" in desk.foot
        await clock.sleep_until(3.45)
        commits = desk.commits
        assert [(e.transcript, round(e.at, 2)) for e in commits] == [("what time is it", 3.4)]  # the reading
        await desk.press("m")  # back to an open microphone
        assert not desk.microphone.muted
        assert "push to talk" not in desk.foot

    at_desk(use, Line(2.0, "what time is it", 1.0))


def test_while_one_talks_silence_ends_no_turn() -> None:
    async def use(desk: Desk) -> None:
        await clock.sleep_until(1.5)
        await desk.press(" ")
        await clock.sleep_until(8.0)
        modes = [desk.session.turn_handling.turn_detection]
        await desk.press(" ")
        await clock.sleep(0.1)
        commits = desk.commits
        assert [e.transcript for e in commits] == ["what time is it in rome"]
        modes += [desk.session.turn_handling.turn_detection]
        await desk.press(" ", "m")  # m ends the turn too, and gives the floor back to silence
        modes += [desk.session.turn_handling.turn_detection]
        assert modes == ["manual", "local/text", "local/text"]
        assert not desk.microphone.muted

    at_desk(use, Line(2.0, "what time is it", 1.0), Line(7.0, "in rome", 0.5))


def test_a_typed_line_interrupts_and_is_answered() -> None:
    async def use(desk: Desk) -> None:
        speech = desk.session.generate_reply(user_input="go on")
        await clock.sleep(1.0)
        await desk.press("t", *"stop q", "backspace", "backspace")
        assert desk.foot == "you> stop"
        assert desk.microphone.muted  # typing is loud
        assert not speech.interrupted
        await desk.press("enter")
        assert speech.interrupted
        assert desk.foot == "you>"
        await desk.session.wait_for_idle()
        assert [text for role, text in desk.said if role == "user"] == ["go on", "stop"]
        assert desk.said[-1][0] == "assistant"
        await desk.press("enter")  # an empty line goes back to speaking
        assert not desk.microphone.muted
        assert HINT in desk.foot
        await desk.press("m", "t", "x", "escape")
        assert desk.microphone.muted  # as it was before
        await desk.press("t")
        assert desk.foot == "you>"

    desk = at_desk(use)
    assert any("you    stop" in line for line in Screen.of(desk.out.getvalue(), width=200).lines)


def test_q_hangs_up_but_not_while_typing() -> None:
    async def use(desk: Desk) -> None:
        await desk.press("t", "q", "escape")
        assert desk.quits == []
        await desk.press("q", "m")
        assert desk.quits == ["quit"]
        assert not desk.microphone.muted  # what follows is not obeyed
        assert HINT not in desk.foot

    at_desk(use)


def test_the_keys_are_told() -> None:
    async def use(desk: Desk) -> None:
        await desk.press("?")

    text = at_desk(use).out.getvalue()
    assert all(f"{key}: {meaning}" in text for key, meaning in KEYS)


def test_before_the_session_and_after_it_nobody_hears() -> None:
    async def use(desk: Desk) -> None:
        await desk.press(" ", "t", *"hello", "enter", "escape", "m")
        assert desk.microphone.muted

    text = at_desk(use, start=False).out.getvalue()
    assert text.count("nobody is there to hear it") == 2

    async def late(desk: Desk) -> None:
        await desk.session.aclose()
        await desk.press(" ", "t", *"hello", "enter", "escape", "q")
        assert desk.quits == ["quit"]

    assert at_desk(late).out.getvalue().count("nobody is there to hear it") == 2


@pytest.mark.real_time
def test_from_a_real_terminal(pty: Pty) -> None:
    before = pty.modes()
    pressed: list[str] = []

    async def main() -> bool:
        session = AgentSession[Any](llm=ScriptedLLM({"*": "Yes."}))
        await session.start(Agent(instructions="Answer."))
        view = TerminalView(pty.stdout, live=True)
        session.log.subscribe(view)
        microphone = Microphone()
        reading = asyncio.ensure_future(
            read_keys(SessionControls(session, microphone, lambda: pressed.append("q")), view, stdin=pty.stdin)
        )
        await clock.sleep(0.02)
        for keys in ("mthel", "lo\r", "\x1b", "q"):
            pty.press(keys)
            await clock.sleep(0.15)
        await reading
        await session.aclose()
        view.close()
        return microphone.muted

    assert asyncio.run(main())
    assert pressed == ["q"]
    assert pty.modes() == before
    lines = Screen.of(pty.output()).lines
    assert [line[8:] for line in lines[:2]] == ["you    hello", "agent  Yes."]
    assert len(lines) == 3  # and that the call is over; the foot is gone


def test_without_a_terminal_there_are_no_keys() -> None:
    async def main() -> None:
        session = AgentSession[Any]()
        controls = SessionControls(session, Microphone(), lambda: None)
        await read_keys(controls, TerminalView(io.StringIO(), live=False), stdin=io.StringIO("q"))

    virtual.run(main())
