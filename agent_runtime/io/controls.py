"""What a caller can do with the keys while a call runs."""

import sys
from collections.abc import AsyncIterator, Callable
from typing import Any, ClassVar, Protocol, TextIO

from agent_runtime.io.editor import LineEditor
from agent_runtime.io.keys import open_keys
from agent_runtime.io.milestones import Milestones
from agent_runtime.io.terminal import TerminalView
from agent_runtime.session import AgentSession

HINT = "m mute  space talk  t type  q quit  ? keys"

HINT_TYPING = "enter sends  esc goes back to speaking"

NOT_READY = "nobody is there to hear it"

KEYS = (
    ("m", "mute the microphone, or open it"),
    ("space", "push to talk: speak, then press again to end your turn; m leaves it"),
    ("t", "type instead of speaking"),
    ("q", "hang up (Ctrl-C too)"),
    ("?", "these keys"),
)


class Controls(Protocol):
    """What keys do to a call."""

    @property
    def ready(self) -> bool:
        """Whether there is somebody to talk to: the session has begun, and has not ended."""

    @property
    def muted(self) -> bool: ...

    def mute(self, muted: bool) -> None: ...

    def push_to_talk(self, talking: bool) -> None:
        """True: the caller takes the floor, and the microphone opens. False: the turn ends here, and it closes."""

    def send_text(self, text: str) -> None:
        """The caller says this, typed; what the agent is saying ends."""

    def quit(self) -> None:
        """The caller hangs up."""


class Mutable(Protocol):
    """A microphone, as far as keys care: `agent_runtime.io.microphone.Microphone` is one."""

    @property
    def muted(self) -> bool: ...

    def mute(self, muted: bool = True) -> None: ...


class SessionControls:
    """The controls of a session, which need not have started; `quit` is called for the key that hangs up."""

    def __init__(self, session: AgentSession[Any], microphone: Mutable, quit: Callable[[], None]) -> None:  # noqa: A002
        self._session = session
        self._microphone = microphone
        self._quit = quit
        self._milestones = Milestones(session)
        self._mode = session.turn_handling.turn_detection

    @property
    def ready(self) -> bool:
        return self._milestones.begun.done() and self._session.is_open

    @property
    def muted(self) -> bool:
        return self._microphone.muted

    def mute(self, muted: bool) -> None:
        self._microphone.mute(muted)

    def push_to_talk(self, talking: bool) -> None:
        # While the caller talks, silence ends no turn: the key does.
        self._session.update_options(turn_detection="manual" if talking else self._mode)
        if talking:
            self._session.interrupt()
        else:
            self._session.commit_user_turn()
        self._microphone.mute(not talking)

    def send_text(self, text: str) -> None:
        self._session.interrupt()
        self._session.generate_reply(user_input=text)

    def quit(self) -> None:
        self._quit()


class Keyboard:
    """Keys to controls, and the foot of the screen with them.

    Push to talk begins with the first press of space, and from then on the microphone is closed unless the caller
    talks. While a line is typed the microphone is closed too: typing is loud. `ended` is set by the keys that hang up.
    """

    def __init__(self, controls: Controls, view: TerminalView) -> None:
        self._controls = controls
        self._view = view
        self._editor = LineEditor()
        self._typing = False
        self._talking: bool | None = None  # None: not push to talk
        self._muted_before = False
        self.ended = False
        self._show()

    def press(self, key: str) -> None:
        if key == "ctrl-c":  # where the terminal makes no signal of it
            self._end()
        elif self._typing:
            self._type(key)
        elif (action := self._ACTIONS.get(key)) is not None:
            action(self)
        self._show()

    def _mute(self) -> None:
        if self._talking is not None:
            if self._talking:
                self._controls.push_to_talk(False)
            self._talking = None
            self._controls.mute(False)
        else:
            self._controls.mute(not self._controls.muted)

    def _talk(self) -> None:
        if not self._controls.ready:
            self._view.note(NOT_READY)
            return
        self._talking = not self._talking
        self._controls.push_to_talk(self._talking)

    def _start_typing(self) -> None:
        if self._talking:
            self._talk()
        self._typing = True
        self._muted_before = self._controls.muted
        self._controls.mute(True)

    def _type(self, key: str) -> None:
        if key == "escape" or (key == "ctrl-d" and not self._editor.text):
            self._stop_typing()
            return
        line = self._editor.press(key)
        if line is None:
            return
        if not line.strip():
            self._stop_typing()
        elif self._controls.ready:
            self._controls.send_text(line.strip())
        else:
            self._view.note(NOT_READY)

    def _stop_typing(self) -> None:
        self._typing = False
        self._editor.clear()
        self._controls.mute(self._muted_before)

    def _help(self) -> None:
        for key, meaning in KEYS:
            self._view.note(f"{key}: {meaning}")

    def _end(self) -> None:
        self.ended = True
        self._controls.quit()

    def _show(self) -> None:
        view = self._view
        view.entry = (self._editor.text, self._editor.place) if self._typing else None
        view.hint = HINT_TYPING if self._typing else HINT
        view.microphone = self._microphone_text()
        view.refresh()

    def _microphone_text(self) -> str:
        if self._talking is not None:
            return "talking, space ends your turn" if self._talking else "push to talk, space begins"
        return "microphone off" if self._controls.muted else ""

    _ACTIONS: ClassVar[dict[str, Callable[["Keyboard"], None]]] = {
        "m": _mute,
        " ": _talk,
        "t": _start_typing,
        "?": _help,
        "h": _help,
        "q": _end,
        "ctrl-d": _end,
    }


async def read_keys(controls: Controls, view: TerminalView, *, stdin: TextIO | None = None) -> None:
    """Obey the keys until one hangs up, or the terminal is gone. Where `stdin` is none, return at once.

    However it ends, the terminal is as it was before.
    """
    source = sys.stdin if stdin is None else stdin
    if source is None or source.closed or not source.isatty():
        return
    with open_keys(source.fileno(), on_continue=view.repaint) as keys:
        await obey(keys, controls, view)


async def obey(keys: AsyncIterator[str], controls: Controls, view: TerminalView) -> None:
    """Obey `keys` until one hangs up, or there are no more."""
    keyboard = Keyboard(controls, view)
    try:
        async for key in keys:
            keyboard.press(key)
            if keyboard.ended:
                return
    finally:
        view.entry, view.hint, view.microphone = None, "", ""
        view.refresh()
