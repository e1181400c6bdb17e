"""Who speaks: the present agent, its hooks, and the change to another."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from agent_runtime import clock
from agent_runtime.agent import Agent, staying
from agent_runtime.chat import AgentHandoff
from agent_runtime.reply import Request

if TYPE_CHECKING:
    from agent_runtime.conversation import Conversation


class HandOvers:
    """Changes the agent, one change at a time, in tasks of their own: hooks may wait for speeches.

    Attributes:
        agent: who speaks now; None until the first was handed the session.
        open: how many changes are under way, including an `on_enter` that something is expected of.
    """

    def __init__(self, conversation: "Conversation") -> None:
        self.agent: Agent | None = None
        self.open = 0
        self._conversation = conversation
        self._door = asyncio.Lock()

    def to(self, agent: Agent, *, reply: bool = False) -> None:
        """Let `agent` speak from here on. With `reply`, it answers what is open if its on_enter says nothing.

        Raises:
            UsageError: its `__init__` has not called that of `Agent`.
        """
        _ = agent.id  # here, where whoever hands it over can be told
        self.open += 1
        self._conversation.spawn(self._change(agent, reply), name="hand-over")

    async def hook(self, hook: Callable[[], Coroutine[Any, Any, None]], what: str) -> None:
        """Call a hook of an agent; one that raises is an event."""
        hook = staying(hook)
        try:
            recorder = self._conversation.session.recorder
            await (hook() if recorder is None else recorder.hook(hook))
        except Exception as error:
            self._conversation.failed("hook", what, error)

    def let_go(self, agent: Agent) -> None:
        """An agent that has handed over leaves the session when the last of its speeches is over."""
        if agent is not self.agent and not self._conversation.speeches.of(agent):
            agent._session = None

    async def _change(self, agent: Agent, reply: bool) -> None:
        try:
            async with self._door:
                if self.agent is agent:
                    return
                await self._replace(agent)
        finally:
            self.open -= 1
        await self._enter(agent, reply)

    async def _replace(self, agent: Agent) -> None:
        conversation, old = self._conversation, self.agent
        if old is not None:
            await self.hook(old.on_exit, f"on_exit of '{old.id}'")
        agent._session = conversation.session
        self.agent = agent
        conversation.speeches.stand_by()
        conversation.add_item(
            AgentHandoff(old_agent_id=old.id if old else None, new_agent_id=agent.id, created_at=clock.now())
        )
        if old is not None:
            conversation.session.agent_changed(old, agent)
            self.let_go(old)

    async def _enter(self, agent: Agent, reply: bool) -> None:
        conversation = self._conversation
        before = conversation.speeches.begun
        self.open += reply  # then something will be said
        try:
            await self.hook(agent.on_enter, f"on_enter of '{agent.id}'")
        finally:
            self.open -= reply
        if reply and conversation.speeches.begun == before:
            conversation.speeches.speak("generate_reply", Request(chat_ctx=conversation.history), turn=None)
        conversation.look()
