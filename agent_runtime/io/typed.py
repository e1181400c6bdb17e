"""A conversation in writing: the same session, with a keyboard for a microphone."""

import asyncio
import codecs
import io
import os
import sys
from collections.abc import AsyncIterator
from typing import Any, TextIO

from agent_runtime import clock
from agent_runtime.channels import Channel
from agent_runtime.io.call import SPEAKS_ON_S, has_ended
from agent_runtime.io.editor import LineEditor
from agent_runtime.io.keys import open_keys
from agent_runtime.io.milestones import Milestones
from agent_runtime.io.terminal import TerminalView
from agent_runtime.session import AgentSession

GOODBYE = frozenset({"quit", "exit", "/quit", "/exit"})


async def converse_in_text(session: AgentSession[Any], view: TerminalView, stdin: TextIO | None = None) -> None:
    """Give each line to a session as what the user says, until the end of input, ``quit``, or the session's end.

    At a terminal one may go on typing while the agent thinks: the new line takes the floor. From a pipe the next line
    is read when the agent has done with the last. The session need not have started, and is not closed here.
    """
    source = sys.stdin if stdin is None else stdin
    with Milestones(session) as milestones:
        await milestones.begun
        if source is None or source.closed or milestones.over.done():
            return
        conversation = _at_terminal if view.live and source.isatty() else _from_pipe
        talk = asyncio.ensure_future(conversation(session, view, source))
        try:
            await asyncio.wait([talk, milestones.over], return_when=asyncio.FIRST_COMPLETED)
        finally:
            talk.cancel()
            await asyncio.wait([talk])
        if not talk.cancelled():
            talk.result()


async def _from_pipe(session: AgentSession[Any], view: TerminalView, source: TextIO) -> None:
    await session.wait_for_idle()  # what it says of itself comes before the first prompt
    view.ask()
    async for line in lines_of(source):
        text = line.strip()
        if text.casefold() in GOODBYE:
            view.asked(text)
            return
        view.asked(text)
        if text and session.is_open and not await has_ended(session.run(user_input=text), within_s=SPEAKS_ON_S):
            view.note(f"The agent has gone on for {SPEAKS_ON_S:g} s over one line; the call ends here.", "warning")
            return
        if not session.is_open:  # the agent has ended the call
            await asyncio.get_running_loop().create_future()
        view.ask()
    view.asked(None)


async def _at_terminal(session: AgentSession[Any], view: TerminalView, source: TextIO) -> None:
    editor = LineEditor()
    with open_keys(source.fileno(), on_continue=view.repaint) as keys:
        try:
            _show(view, editor)
            async for key in keys:
                if key == "ctrl-c" or (key == "ctrl-d" and not editor.text):
                    return
                line = editor.press(key)
                _show(view, editor)
                if line is None or not line.strip() or not session.is_open:
                    continue
                if line.strip().casefold() in GOODBYE:
                    return
                session.interrupt()
                session.generate_reply(user_input=line.strip())
        finally:
            view.entry = None
            view.refresh()


def _show(view: TerminalView, editor: LineEditor) -> None:
    view.entry = (editor.text, editor.place)
    view.refresh()


async def lines_of(source: TextIO) -> AsyncIterator[str]:
    """The lines of a pipe, a socket, a terminal or a file, without holding up the loop or leaving a thread behind."""
    try:
        fd = source.fileno()
    except io.UnsupportedOperation:  # text in memory
        for line in source:
            yield line.rstrip("\r\n")
        return
    text = codecs.getincrementaldecoder(source.encoding or "utf-8")("replace")
    rest = ""
    async for data in _chunks(fd):
        *lines, rest = (rest + text.decode(data)).split("\n")
        for line in lines:
            yield line.rstrip("\r")
    rest += text.decode(b"", final=True)
    if rest:
        yield rest.rstrip("\r")


async def _chunks(fd: int) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    ready: Channel[bool] = Channel(1)
    try:
        loop.add_reader(fd, ready.put, True)
    except PermissionError:  # a file on disk is always ready
        while data := os.read(fd, 65_536):
            yield data
            await clock.sleep(0)
        return
    try:
        async for _ in ready:
            try:
                data = os.read(fd, 65_536)
            except OSError:  # the terminal has gone
                data = b""
            if not data:
                return
            loop.remove_reader(fd)  # who takes its time over a line is not told again and again that there are more
            yield data
            ready.clear()
            loop.add_reader(fd, ready.put, True)
    finally:
        loop.remove_reader(fd)
