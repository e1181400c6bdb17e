"""A conversation in writing."""

import asyncio
import io
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TextIO

import pytest

from agent_runtime import (
    Agent,
    AgentSession,
    ChatContext,
    ModelSettings,
    RunContext,
    Tool,
    clock,
    function_tool,
    virtual,
)
from agent_runtime.io.terminal import TerminalView
from agent_runtime.io.typed import converse_in_text, lines_of
from agent_runtime.testing.scripted import Call, ScriptedLLM
from tests.io.conftest import Pty
from tests.io.screen import Screen

REPLIES: dict[str, Any] = {
    "buy milk": ["One moment.", Call("add_item", '{"item": "milk"}')],
    "milk is on the list.": "Done, milk is on the list.",
    "bye": ["Bye!", Call("end_call")],
    "*": "Sorry?",
}


class Clerk(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You keep a list.")

    async def on_enter(self) -> None:
        self.session.say("Hello!")

    @function_tool
    async def add_item(self, item: str) -> str:
        """Add an item."""
        await clock.sleep(0.5)
        return f"{item} is on the list."

    @function_tool
    async def end_call(self, context: RunContext) -> None:
        """End the call."""
        context.session.shutdown()


async def converse(stdin: TextIO, out: TextIO, *, live: bool = False, start: bool = True) -> AgentSession[Any]:
    session = AgentSession[Any](llm=ScriptedLLM(REPLIES, ttft=0.02))
    with TerminalView(out, live=live, written=True) as view:
        session.log.subscribe(view)
        conversing = asyncio.ensure_future(converse_in_text(session, view, stdin))
        await clock.sleep(0)  # the console waits for the session before the script has started it
        if start:
            await session.start(Clerk())
        await conversing
        await session.aclose()
    return session


def piped(text: str) -> list[str]:
    """What a piped conversation writes, with the same from a pipe, a file and memory."""
    told = []
    for make in (_pipe, io.StringIO):
        out = io.StringIO()
        source = make(text)
        virtual.run(converse(source, out))
        source.close()
        told.append(out.getvalue().splitlines())
    assert told[0] == told[1]
    return told[0]


def _pipe(text: str) -> TextIO:
    read, write = os.pipe()
    os.write(write, text.encode())
    os.close(write)
    return os.fdopen(read, encoding="utf-8")


def test_each_line_is_answered_before_the_next_is_asked_for() -> None:
    assert piped("hello\nbuy milk\n") == [
        "agent> Hello!",
        "you> hello",
        "agent> Sorry?",
        "you> buy milk",
        "agent> One moment.",
        "tool> add_item(item: milk) -> milk is on the list. (0.5 s)",
        "agent> Done, milk is on the list.",
        "you> ",
    ]


@pytest.mark.parametrize("text", ["hello\nquit\nbuy milk\n", "hello\r\n/EXIT\r\n"])
def test_quit_ends_it(text: str) -> None:
    lines = piped(text)
    assert lines[:3] == ["agent> Hello!", "you> hello", "agent> Sorry?"]
    assert len(lines) == 4


def test_empty_lines_and_a_last_line_without_an_end() -> None:
    assert piped("\n  \nhello") == ["agent> Hello!", "you> ", "you> ", "you> hello", "agent> Sorry?", "you> "]


def test_no_input_at_all() -> None:
    assert piped("") == ["agent> Hello!", "you> "]


def test_the_agent_may_end_it() -> None:
    assert piped("bye\nhello\n") == ["agent> Hello!", "you> bye", "tool> end_call() done", "agent> Bye!"]


def test_what_is_typed_cannot_move_the_cursor() -> None:
    assert "you> \u241b[2Jhi" in piped("\x1b[2Jhi\n")


def test_what_was_said_is_in_the_history() -> None:
    session = virtual.run(converse(io.StringIO("hello\n"), io.StringIO()))
    assert [(item.role, item.text_content) for item in session.history.items if item.type == "message"] == [
        ("assistant", "Hello!"),
        ("user", "hello"),
        ("assistant", "Sorry?"),
    ]


def test_something_said_unasked_stands_above_the_prompt() -> None:
    async def main() -> str:
        session = AgentSession[Any](llm=ScriptedLLM(REPLIES))
        out = io.StringIO()
        view = TerminalView(out, live=False, written=True)
        session.log.subscribe(view)
        await session.start(Agent(instructions="Remind me."))
        read, write = os.pipe()
        with os.fdopen(read, encoding="utf-8") as stdin, os.fdopen(write, "w", encoding="utf-8") as keyboard:
            conversing = asyncio.ensure_future(converse_in_text(session, view, stdin))
            await clock.sleep(1.0)
            assert out.getvalue() == "you> "
            await session.say("Time for tea.")
            assert out.getvalue() == "you> \nagent> Time for tea.\nyou> "
            keyboard.write("hello\n")
            keyboard.flush()
            await session.wait_for_idle()
            conversing.cancel()
            await asyncio.wait([conversing])
        await session.aclose()
        return out.getvalue()

    assert virtual.run(main()).startswith("you> \nagent> Time for tea.\nyou> ")


def test_a_file_can_be_read_and_nothing_too(tmp_path: Path) -> None:
    path = tmp_path / "said.txt"
    path.write_text("hello\nhäuser\n", encoding="utf-8")

    async def lines(source: TextIO) -> list[str]:
        return [line async for line in lines_of(source)]

    with path.open(encoding="utf-8") as file:
        assert virtual.run(lines(file)) == ["hello", "häuser"]
    with Path(os.devnull).open(encoding="utf-8") as nothing:
        assert virtual.run(lines(nothing)) == []


def test_a_letter_cut_in_two_by_a_pipe() -> None:
    async def main() -> list[str]:
        read, write = os.pipe()
        found: list[str] = []

        async def collect(source: TextIO) -> None:
            found.extend([line async for line in lines_of(source)])

        with os.fdopen(read, encoding="utf-8") as source:
            collecting = asyncio.ensure_future(collect(source))
            for piece in (b"h\xc3", b"\xa4user\nb", b"\n"):
                os.write(write, piece)
                await clock.sleep(0.1)
            os.close(write)
            await collecting
        return found

    assert virtual.run(main()) == ["häuser", "b"]


@pytest.mark.real_time
def test_at_a_terminal(pty: Pty) -> None:
    before = pty.modes()
    shown = Screen()

    async def until(seen: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while True:
                shown.write(pty.output())
                if seen():
                    return
                await clock.sleep(0.01)

    async def main() -> None:
        conversing = asyncio.ensure_future(converse(pty.stdin, pty.stdout, live=True))
        await until(lambda: shown.lines[-1:] == ["you>"])
        pty.press("buy mikl\x7f\x7flk")
        await until(lambda: shown.lines[-1] == "you> buy milk")
        assert shown.column == len("you> buy milk")
        pty.press("\r")
        await until(lambda: "agent thinking" in shown.lines)
        pty.press("日本")  # typing goes on while the agent works
        await until(lambda: shown.lines[-2:] == ["agent> Done, milk is on the list.", "you> 日本"])
        pty.press("\x15\x04")
        await conversing

    asyncio.run(main())
    shown.write(pty.output())
    assert shown.lines == [
        "agent> Hello!",
        "you> buy milk",
        "agent> One moment.",
        "tool> add_item(item: milk) -> milk is on the list. (0.5 s)",
        "agent> Done, milk is on the list.",
    ]
    assert pty.modes() == before


def test_from_a_pipe_to_a_terminal(pty: Pty) -> None:
    with _pipe("hello\nbuy milk\n") as stdin:
        virtual.run(converse(stdin, pty.stdout, live=True))
    assert Screen.of(pty.output()).lines == [
        "agent> Hello!",
        "you> hello",
        "agent> Sorry?",
        "you> buy milk",
        "agent> One moment.",
        "tool> add_item(item: milk) -> milk is on the list. (0.5 s)",
        "agent> Done, milk is on the list.",
        "you>",
    ]


class _Endless(Agent):
    async def llm_node(
        self, chat_ctx: ChatContext, tools: list[Tool], model_settings: ModelSettings
    ) -> AsyncIterator[str]:
        while True:
            await clock.sleep(0.05)
            yield "word "


def test_an_answer_that_never_ends_ends_a_piped_conversation() -> None:
    async def main() -> str:
        session = AgentSession[Any]()
        out = io.StringIO()
        with TerminalView(out, live=False, written=True) as view:
            session.log.subscribe(view)
            await session.start(_Endless(instructions="Go on."))
            await converse_in_text(session, view, io.StringIO("hello\nare you done\n"))
            await session.aclose()
        return out.getvalue()

    out = virtual.run(main())
    assert "The agent has gone on for 300 s over one line; the call ends here." in out
    assert "are you done" not in out
    assert "agent> ~~word word" in out
