"""A scenario's call to the agent of a user's script: `agent-runtime sim call.yaml --script agents/x.py`.

The entrypoint runs as in a console, and makes its session. When that starts, the nodes which the scenario names take the
place of the script's, for every agent in the call; so a script whose own models need keys can be called without them.
"""

import contextvars
from collections.abc import Mapping
from typing import Any

from agent_runtime.agent import Agent
from agent_runtime.errors import UsageError
from agent_runtime.events import Close
from agent_runtime.inference.descriptor import Kind, Unresolved, planning, resolve
from agent_runtime.io.call import ConsoleCall
from agent_runtime.session import AgentSession
from agent_runtime.testing.call import call_of, judged
from agent_runtime.testing.result import CallResult
from agent_runtime.testing.scenario import WORDS, Scenario
from agent_runtime.turns.options import TurnHandling
from agent_runtime.worker.server import AgentServer

KINDS: tuple[Kind, ...] = ("vad", "stt", "llm", "tts")

OPTIONS = ("turn_handling", "max_tool_steps", "user_away_timeout")
"""What of a scenario's `session` goes before what the script says. Its instructions, greeting and tools are the agent's,
and here the agent is the script's."""


async def perform_with(scenario: Scenario, server: AgentServer) -> CallResult:
    """Make the call; the entrypoint is started on the running loop.

    Raises:
        UsageError: the script starts no session, or cannot be called with what the scenario gives.
        Exception: what the entrypoint raised.
    """
    call = call_of(scenario)
    await call.caller.prepare()
    models = {kind: getattr(call, kind) for kind in scenario.models}

    def meet(session: AgentSession[Any], agent: Agent) -> None:
        substitute(session, models)
        _set_options(session, scenario.session)
        _check_ears(session, scenario)
        call.meet(session)

    console = ConsoleCall(
        server,
        source=call.caller,
        sink=call.sink,
        recorder=None,
        on_session=meet,
        until=lambda session: call.run(scenario.until),
    )
    with planning():  # nodes that cannot be had here are no matter where the scenario brings others
        kept = await console.run()
    result = await call.end()
    failed = any(isinstance(event, Close) and event.reason == "error" for event in result.log)
    if kept.failure is not None and not failed:
        raise kept.failure
    return judged(result, scenario)


def substitute(session: AgentSession[Any], models: Mapping[str, Any]) -> None:
    """Put these nodes in the place of the session's and of its agents' own; the session has not started yet.

    Raises:
        UsageError: a node that stays cannot be had here.
    """
    for kind in KINDS:
        if kind in models:
            session.models.substitute(kind, models[kind])
            continue
        given = session.models.given[kind]
        if isinstance(getattr(session, kind), Unresolved) or isinstance(given, str):
            contextvars.Context().run(resolve, kind, given)  # which says what is wrong, if anything is


def _set_options(session: AgentSession[Any], given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if name not in OPTIONS:
            raise UsageError(
                f"The scenario's session.{name} cannot be changed for a script; take it away, or set it in the script. "
                f"What can be is {', '.join(OPTIONS)}."
            )
        setattr(session, name, TurnHandling.of(value) if name == "turn_handling" else value)


def _check_ears(session: AgentSession[Any], scenario: Scenario) -> None:
    """A recogniser of the script's own hears sound, and words on paper are none."""
    if "stt" in scenario.models or session.stt is None:
        return
    for number, spec in enumerate(scenario.caller, start=1):
        if spec.keys() & set(WORDS) and not spec.keys() & {"sound", "with"}:
            raise UsageError(
                f"The caller's step {number} has words and no sound, and the script's own recogniser "
                f"{session.stt.label!r} hears nothing but sound; add 'models: {{stt: {{}}}}' to the scenario, or "
                "'with: local/flite' to the step."
            )
