"""What an agent did about one input, and expectations of it that read like sentences."""

import json
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Self

from agent_runtime.chat import AgentHandoff, ChatItem, ChatMessage, FunctionCall, FunctionCallOutput
from agent_runtime.errors import UsageError
from agent_runtime.events import ConversationItemAdded, Event
from agent_runtime.speech import SpeechHandle
from agent_runtime.trace.log import EventLog

_KINDS = {
    "message": ChatMessage,
    "function_call": FunctionCall,
    "function_call_output": FunctionCallOutput,
    "agent_handoff": AgentHandoff,
}


class RunResult:
    """The items that a run added to the history, in order, without the user's own message.

    ``result = await session.run(user_input="...")``, then ``result.expect.next_event().is_message(role="assistant")``.
    """

    def __init__(self, log: EventLog, *, user_input: str, idle: Callable[[], Awaitable[None]]) -> None:
        if not isinstance(user_input, str):
            raise UsageError(f"run(user_input=...) takes a text, not {user_input!r}.")
        self.user_input = user_input
        self.events: list[ChatItem] = []
        self._idle = idle
        self._handle: SpeechHandle | None = None
        self._unsubscribe = log.subscribe(self.take)
        self._expect: RunAssert | None = None

    def take(self, event: Event) -> None:
        if isinstance(event, ConversationItemAdded) and getattr(event.item, "role", "") != "user":
            self.events.append(event.item)

    def follow(self, handle: SpeechHandle) -> Self:
        """The run is over when this speech is, and nothing else is due."""
        self._handle = handle
        return self

    def done(self) -> bool:
        return self._handle is not None and self._handle.done()

    @property
    def final_output(self) -> str:
        """The last thing the agent said; empty where it said nothing."""
        said = [item.text_content or "" for item in self.events if isinstance(item, ChatMessage)]
        return said[-1] if said else ""

    @property
    def expect(self) -> "RunAssert":
        """Expectations, which walk through the items one after another."""
        if self._expect is None:
            self._expect = RunAssert(self.events)
        return self._expect

    def __await__(self) -> Generator[None, None, "RunResult"]:
        return self._wait().__await__()

    async def _wait(self) -> "RunResult":
        assert self._handle is not None
        try:
            await self._handle.wait_for_playout()
            await self._idle()
        finally:
            self._unsubscribe()
        return self


class RunAssert:
    """A place in the items of a run."""

    def __init__(self, items: list[ChatItem]) -> None:
        self._items = items
        self._next = 0

    def __getitem__(self, index: int) -> "EventAssert":
        try:
            return EventAssert(self._items[index], self._told())
        except IndexError:
            raise AssertionError(f"There is no event {index}.\n{self._told()}") from None

    def next_event(self, *, type: str | None = None) -> "EventAssert":  # noqa: A002
        """The next item; with `type` the next of that type, skipping others."""
        while self._next < len(self._items):
            item = self._items[self._next]
            self._next += 1
            if type is None or isinstance(item, _KINDS[type]):
                return EventAssert(item, self._told())
        wanted = f"event of type {type!r}" if type else "event"
        raise AssertionError(f"There is no further {wanted}.\n{self._told()}")

    def skip_next(self, count: int = 1) -> "RunAssert":
        for _ in range(count):
            self.next_event()
        return self

    def no_more_events(self) -> None:
        if self._next < len(self._items):
            raise AssertionError(
                f"There are {len(self._items) - self._next} events more than expected.\n{self._told()}"
            )

    def contains_message(self, *, role: str | None = None, text: str | None = None) -> "EventAssert":
        return self._any(lambda each: each.is_message(role=role, text=text), f"message (role {role!r}, text {text!r})")

    def contains_function_call(
        self, *, name: str | None = None, arguments: dict[str, Any] | None = None
    ) -> "EventAssert":
        return self._any(lambda each: each.is_function_call(name=name, arguments=arguments), f"call of {name!r}")

    def _any(self, check: Callable[["EventAssert"], object], what: str) -> "EventAssert":
        for item in self._items:
            found = EventAssert(item, self._told())
            try:
                check(found)
            except AssertionError:
                continue
            return found
        raise AssertionError(f"There is no {what}.\n{self._told()}")

    def _told(self) -> str:
        lines = [
            f"{'->' if index == self._next - 1 else '  '} [{index}] {item!r}" for index, item in enumerate(self._items)
        ]
        return "The run's events:\n" + ("\n".join(lines) or "   none")


class EventAssert:
    """One item of a run, to be looked at."""

    def __init__(self, item: ChatItem, told: str) -> None:
        self._item = item
        self._told = told

    def event(self) -> ChatItem:
        return self._item

    def is_message(self, *, role: str | None = None, text: str | None = None) -> "EventAssert":
        """It is a message, of `role`, and `text` stands in it (in any case)."""
        item = self._item
        self._check(isinstance(item, ChatMessage), "a message")
        assert isinstance(item, ChatMessage)
        self._check(role is None or item.role == role, f"a message of {role!r}")
        self._check(text is None or text.casefold() in (item.text_content or "").casefold(), f"a message with {text!r}")
        return self

    def is_function_call(self, *, name: str | None = None, arguments: dict[str, Any] | None = None) -> "EventAssert":
        """It is a call of `name`, and its arguments include `arguments`."""
        item = self._item
        self._check(isinstance(item, FunctionCall), "a function call")
        assert isinstance(item, FunctionCall)
        self._check(name is None or item.name == name, f"a call of {name!r}")
        if arguments is not None:
            given = json.loads(item.arguments or "{}")
            wrong = {key: value for key, value in arguments.items() if given.get(key) != value}
            self._check(not wrong, f"a call with {wrong!r}")
        return self

    def is_function_call_output(self, *, output: str | None = None, is_error: bool | None = None) -> "EventAssert":
        item = self._item
        self._check(isinstance(item, FunctionCallOutput), "a function call's output")
        assert isinstance(item, FunctionCallOutput)
        self._check(output is None or item.output == output, f"the output {output!r}")
        self._check(is_error is None or item.is_error == is_error, f"an output with is_error={is_error}")
        return self

    def is_agent_handoff(self, *, new_agent_id: str | None = None) -> "EventAssert":
        item = self._item
        self._check(isinstance(item, AgentHandoff), "a hand-over")
        assert isinstance(item, AgentHandoff)
        self._check(new_agent_id is None or item.new_agent_id == new_agent_id, f"a hand-over to {new_agent_id!r}")
        return self

    def _check(self, holds: bool, what: str) -> None:
        if not holds:
            raise AssertionError(f"Expected {what}, got {self._item!r}.\n{self._told}")
