"""`agent_state` and `user_state`, worked out from what is true, and who waits for them."""

import asyncio
from collections.abc import Callable

from agent_runtime import clock, events
from agent_runtime.events import AgentState, AgentStateChanged, Event, UserState, UserStateChanged

TELLS_NOTHING = frozenset(
    {
        events.AgentStateChanged,
        events.ConversationItemAdded,
        events.FirstSample,
        events.FirstToken,
        events.LlmRequested,
        events.ModelCalled,
        events.PhraseReady,
        events.TurnCommitted,
        events.UserStateChanged,
    }
)
"""What is posted about something that other events have told already, or that changes neither state: no need to look."""


_ROUNDS = 8
"""How many rounds of the loop it has to be quiet: so many it takes until a hook that awaited a speech goes on, twice over."""


class States:
    """Looks after each event, and posts what has changed.

    Args:
        agent_state: works out the agent's state now.
        user_speaks: whether the user's voice is on.
        is_idle: whether nobody speaks, nothing is due and no tool runs.
        away_after: seconds of listening on both sides until the user is away; None: never.
    """

    def __init__(
        self,
        post: Callable[[Event], None],
        *,
        agent_state: Callable[[], AgentState],
        user_speaks: Callable[[], bool],
        is_idle: Callable[[], bool],
        away_after: float | None,
    ) -> None:
        self.agent: AgentState = "initializing"
        self.user: UserState = "listening"
        self._post = post
        self._agent_state = agent_state
        self._user_speaks = user_speaks
        self._is_idle = is_idle
        self._away_after = away_after
        self._away_timer: asyncio.TimerHandle | None = None
        self._quiet_since: float | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self._closed = self._ended = False

    def look(self) -> None:
        """Compare with what was true before."""
        agent = self._agent_state()
        user: UserState = "speaking" if self._user_speaks() else "listening"
        if user == "listening" and self.user == "away" and self._is_idle():
            user = "away"
        if user != self.user:
            self._user_is(user)
        if agent != self.agent:
            old, self.agent = self.agent, agent
            self._post(AgentStateChanged(at=clock.now(), old_state=old, new_state=agent))
        self._watch_for_absence()
        if self._waiting and self._is_idle():
            waiting, self._waiting = self._waiting, []
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_result(None)

    async def idle(self) -> None:
        """Wait until nobody speaks, nothing is due and no tool runs."""
        rounds = 0
        while rounds < _ROUNDS and not self._ended:
            if self._is_idle():
                rounds += 1
                await clock.sleep(0)
                continue
            rounds = 0
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter

    def close(self) -> None:
        """Nobody will be away any more."""
        self._closed = True
        if self._away_timer is not None:
            self._away_timer.cancel()

    def end(self) -> None:
        """Nothing will change any more: nobody waits on."""
        self._ended = True
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        self._waiting.clear()

    def _user_is(self, state: UserState) -> None:
        old, self.user = self.user, state
        self._post(UserStateChanged(at=clock.now(), old_state=old, new_state=state))

    def _watch_for_absence(self) -> None:
        if self.agent != "listening" or self.user != "listening":
            self._quiet_since = None
        elif self._quiet_since is None and self._away_after is not None and not self._closed:
            self._quiet_since = clock.now()
            if self._away_timer is None:
                self._away_timer = asyncio.get_running_loop().call_later(self._away_after, self._away)

    def _away(self) -> None:
        # The timer is not set anew at every word: it comes, and looks how long it has been quiet.
        self._away_timer = None
        if self._quiet_since is None or self._away_after is None:
            return
        due = self._quiet_since + self._away_after
        if clock.now() < due - clock.GRAIN_S:
            self._away_timer = asyncio.get_running_loop().call_at(due, self._away)
        else:
            self._user_is("away")
