"""When a session has begun, and when it is over."""

import asyncio
from typing import Any, Self

from agent_runtime.chat import AgentHandoff
from agent_runtime.events import Close, ConversationItemAdded, Event
from agent_runtime.session import AgentSession


class Milestones:
    """Two moments of a session, to be waited for; from before its start on.

    Attributes:
        begun: done when its first agent listens (and so can be spoken to), or when it is over before that.
        over: done when it has ended.
    """

    def __init__(self, session: AgentSession[Any]) -> None:
        loop = asyncio.get_running_loop()
        self.begun: asyncio.Future[None] = loop.create_future()
        self.over: asyncio.Future[None] = loop.create_future()
        if session.history.items:
            _done(self.begun)
        if session.log.last is not None:
            self._look(session.log.last)
        self._unsubscribe = session.log.subscribe(self._look)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._unsubscribe()

    def _look(self, event: Event) -> None:
        if isinstance(event, ConversationItemAdded) and isinstance(event.item, AgentHandoff):
            _done(self.begun)
        elif isinstance(event, Close):
            _done(self.begun)
            _done(self.over)


def _done(moment: "asyncio.Future[None]") -> None:
    if not moment.done():
        moment.set_result(None)
