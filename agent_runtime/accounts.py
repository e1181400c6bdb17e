"""What a session's models cost: noted as they are called, held to a budget between turns."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from agent_runtime import clock, events
from agent_runtime.events import Event
from agent_runtime.inference.spending import TOKENS, Budget, Spending
from agent_runtime.llm import ModelCall

if TYPE_CHECKING:
    from agent_runtime.conversation import Conversation


class Accounts:
    """The books of one session."""

    def __init__(self, conversation: "Conversation", budget: Budget | None) -> None:
        self.spending = Spending()
        self._conversation = conversation
        self._last_speech = ""
        self._exceeded = False
        self._told_unknown: set[str] = set()
        conversation.log.subscribe(self.spending.note, events.ModelCalled, events.GenerationDiscarded)
        if budget is not None:
            conversation.log.subscribe(partial(self._watch, budget), events.ModelCalled, events.AgentStateChanged)

    def called(self, speech_id: str | None, call: ModelCall) -> None:
        """A request to a model is over."""
        self._conversation.post(
            events.ModelCalled(
                at=clock.now(),
                speech_id=speech_id,
                provider=call.provider,
                model=call.model,
                outcome=call.outcome,
                requested_at=call.requested_at,
                first_token_at=call.first_token_at,
                characters=call.characters,
                error=call.error,
                **{name: getattr(call.usage, name, None) for name in TOKENS},
            )
        )

    def _watch(self, budget: Budget, event: Event) -> None:
        if isinstance(event, events.ModelCalled):
            self._last_speech = event.speech_id or self._last_speech
            self._tell_unknown()
        elif isinstance(event, events.AgentStateChanged) and event.new_state == "listening":
            self._look(budget)

    def _tell_unknown(self) -> None:
        """A budget cannot be kept for what has no price: that is said, once for each model."""
        for model in self.spending.unknown:
            if model not in self._told_unknown:
                self._told_unknown.add(model)
                self._conversation.fell_short(
                    "budget",
                    f"What '{model}' costs is not known in full, so the budget counts too little; "
                    "put its price into config/prices.toml.",
                )

    def _look(self, budget: Budget) -> None:
        """Between two turns."""
        spent = budget.spent(self.spending, self._last_speech)
        if spent <= budget.usd or self._exceeded or not self._conversation.is_open:
            return
        self._exceeded = budget.per == "session"
        session, action = self._conversation.session, budget.on_exceed
        named = action if isinstance(action, str) else getattr(action, "__name__", repr(action))
        self._conversation.post(
            events.BudgetExceeded(at=clock.now(), usd=spent, limit=budget.usd, per=budget.per, action=named)
        )
        if action == "say_goodbye":
            session.say(budget.goodbye, allow_interruptions=False)
            session.shutdown(drain=True, reason="budget_exceeded")
        elif action == "stop":
            session.shutdown(drain=False, reason="budget_exceeded")
        elif callable(action):
            self._conversation.spawn(self._act(action), name="budget")

    async def _act(self, action: Callable[..., Any]) -> None:
        """What the application does about it."""
        try:
            result = action(self._conversation.session)
            if inspect.isawaitable(result):
                await result
        except Exception as error:
            self._conversation.failed("budget", "on_exceed", error)
