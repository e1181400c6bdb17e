"""Calls that are recorded, for the tests of what can be done with a tape."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from agent_runtime import Agent, AgentSession, virtual
from agent_runtime.testing.call import SimulatedCall, call_of
from agent_runtime.testing.result import CallResult
from agent_runtime.testing.scenario import Scenario

PIZZA: dict[str, Any] = {
    "session": {"instructions": "You take orders."},
    "models": {"llm": {"replies": {"What is open?": "The bakery, until nine.", "*": "Certainly."}}},
    "caller": [
        {"at": 0.5, "say": "What is open?", "for": 1.2},
        {"at": 5.0, "say": "Thank you.", "for": 0.8},
    ],
    "until": 9.0,
}

Then = Callable[[SimulatedCall, AgentSession[Any]], Awaitable[object]]


def record(
    path: Path, given: dict[str, Any] | Scenario = PIZZA, agent: Agent | None = None, then: Then | None = None
) -> CallResult:
    """Make a simulated call, and keep it at `path`; `then` is done when it has begun."""
    from agent_runtime.testing.call import ScenarioAgent

    async def main() -> CallResult:
        scenario = given if isinstance(given, Scenario) else Scenario.of(given)
        call = call_of(scenario)
        call.record = str(path)  # type: ignore[attr-defined]  # a room may say where its session's tape goes
        session = await call.start(agent or ScenarioAgent(scenario), **scenario.session)
        if then is not None:
            await then(call, session)
        await call.run(scenario.until)
        return await call.end()

    return virtual.run(main())
