"""A speech of the agent, as the application holds it: made by `say()` or `generate_reply()`, done when it was heard."""

import asyncio
from collections.abc import Callable, Generator
from typing import Any, Literal

from agent_runtime.chat import ChatItem
from agent_runtime.errors import UsageError

SpeechSource = Literal["say", "generate_reply", "tool_response"]


class SpeechHandle:
    """One speech. `await handle` waits until it was played to its end, interrupted, or given up.

    Attributes:
        id: ``speech_1``, ``speech_2``, ... within the session.
        chat_items: what it added to the history so far.
        num_steps: how often the model was asked; more than once when it called tools.
        tool_tasks: those of its tools, which may not wait for it.
    """

    SPEECH_PRIORITY_LOW = 0
    """Said when nothing else waits."""
    SPEECH_PRIORITY_NORMAL = 5
    SPEECH_PRIORITY_HIGH = 10
    """Said before all that waits; it does not interrupt what sounds."""

    def __init__(
        self,
        speech_id: str,
        *,
        source: SpeechSource,
        turn: int | None,
        allow_interruptions: bool,
        priority: int = SPEECH_PRIORITY_NORMAL,
        interrupt: Callable[[], None] | None = None,
        on_permission: Callable[[], None] | None = None,
    ) -> None:
        self.id = speech_id
        self.priority = priority
        self.source = source
        self.turn = turn
        self.chat_items: list[ChatItem] = []
        self.num_steps = 1
        self._allow_interruptions = allow_interruptions
        self._interrupted = False
        self._error: BaseException | None = None
        self._is_done = False
        self._waiter: asyncio.Future[None] | None = None  # there once somebody waits for it
        self._callbacks: list[Callable[[SpeechHandle], None]] = []
        self.tool_tasks: set[asyncio.Task[Any]] = set()
        self._interrupter = interrupt
        self._on_permission = on_permission

    def __repr__(self) -> str:
        state = "interrupted" if self._interrupted else "done" if self.done() else "on its way"
        return f"<SpeechHandle {self.id} ({self.source}, {state})>"

    @property
    def interrupted(self) -> bool:
        return self._interrupted

    @property
    def allow_interruptions(self) -> bool:
        """Whether the user, or `interrupt()` without force, may end it."""
        return self._allow_interruptions

    @allow_interruptions.setter
    def allow_interruptions(self, value: bool) -> None:
        if self._interrupted and not value:
            raise UsageError(f"{self.id} was interrupted already; set allow_interruptions=False earlier.")
        self._allow_interruptions = value
        self._tell("allow_interruptions", value)
        if self._on_permission is not None:
            self._on_permission()

    def done(self) -> bool:
        return self._is_done

    def exception(self) -> BaseException | None:
        """What made it fail, if anything did."""
        return self._error

    def interrupt(self, *, force: bool = False) -> "SpeechHandle":
        """End it here. What was heard of it stays in the history.

        Raises:
            UsageError: it may not be interrupted, and `force` is not set.
        """
        if not force and not self._allow_interruptions:
            raise UsageError(f"{self.id} may not be interrupted; use interrupt(force=True) to end it all the same.")
        if not self.done() and self._interrupter is not None:
            self._tell("interrupt", force)
            self._interrupter()
        return self

    async def wait_for_playout(self) -> None:
        """Wait until it is over.

        Raises:
            UsageError: awaited from inside a tool of this very speech, which is waiting for that tool. Use
                `RunContext.wait_for_playout()` there.
        """
        task = asyncio.current_task()
        if task in self.tool_tasks:
            raise UsageError(
                f"A tool of {self.id} waits for {self.id}, which waits for the tool: use context.wait_for_playout(), "
                "which waits for what was said before the tool was called."
            )
        if self._is_done:
            return
        if self._waiter is None:
            self._waiter = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._waiter)

    def __await__(self) -> Generator[None, None, "SpeechHandle"]:
        async def wait() -> SpeechHandle:
            await self.wait_for_playout()
            return self

        return wait().__await__()

    def add_done_callback(self, callback: Callable[["SpeechHandle"], None]) -> None:
        """Call `callback(handle)` once it is over; at the next turn of the loop if it is already."""
        if self.done():
            asyncio.get_running_loop().call_soon(callback, self)
        else:
            self._callbacks.append(callback)

    def remove_done_callback(self, callback: Callable[["SpeechHandle"], None]) -> None:
        if callback in self._callbacks:
            self._callbacks.remove(callback)

    # For the session.

    on_told: Callable[[str, bool], None] | None = None
    """Called with what the application did to it: ``interrupt`` and `force`, or ``allow_interruptions`` and its value."""

    def _tell(self, what: str, value: bool) -> None:
        if self.on_told is not None:
            self.on_told(what, value)

    def mark_interrupted(self) -> None:
        self._interrupted = True

    def mark_done(self, error: BaseException | None = None) -> None:
        if self.done():
            return
        self._error = error
        self._is_done = True
        if self._waiter is not None:
            self._waiter.set_result(None)
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            asyncio.get_running_loop().call_soon(callback, self)
