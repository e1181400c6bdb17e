"""Calls in virtual time: simulate one, expect something of it, make tests of it. The page is docs/testing-your-agent.md.

Names are imported when they are first used: pytest loads this package in every run.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent_runtime.testing.call import SimulatedCall as SimulatedCall
    from agent_runtime.testing.call import perform as perform
    from agent_runtime.testing.call import simulate as simulate
    from agent_runtime.testing.caller import Caller as Caller
    from agent_runtime.testing.expect import NotAsExpected as NotAsExpected
    from agent_runtime.testing.faults import FaultProxy as FaultProxy
    from agent_runtime.testing.model_server import ModelServer as ModelServer
    from agent_runtime.testing.result import CallResult as CallResult
    from agent_runtime.testing.result import to_json as to_json
    from agent_runtime.testing.scenario import Scenario as Scenario
    from agent_runtime.testing.scenario import scenario_text as scenario_text
    from agent_runtime.testing.scripted import Fail as Fail
    from agent_runtime.testing.scripted import OutOfScript as OutOfScript
    from agent_runtime.testing.scripted import Pause as Pause
    from agent_runtime.testing.scripted import ScriptedLLM as ScriptedLLM
    from agent_runtime.testing.scripted import ScriptedSTT as ScriptedSTT
    from agent_runtime.testing.scripted import ScriptedTTS as ScriptedTTS
    from agent_runtime.testing.scripted import ScriptedVAD as ScriptedVAD
    from agent_runtime.testing.scripted import ToolCall as ToolCall
    from agent_runtime.testing.steps import Line as Line
    from agent_runtime.testing.steps import Step as Step
    from agent_runtime.virtual import VirtualLoop as VirtualLoop
    from agent_runtime.virtual import run as run

_HOMES = {
    "CallResult": "testing.result",
    "Caller": "testing.caller",
    "Fail": "testing.scripted",
    "FaultProxy": "testing.faults",
    "Line": "testing.steps",
    "ModelServer": "testing.model_server",
    "NotAsExpected": "testing.expect",
    "OutOfScript": "testing.scripted",
    "Pause": "testing.scripted",
    "Scenario": "testing.scenario",
    "ScriptedLLM": "testing.scripted",
    "ScriptedSTT": "testing.scripted",
    "ScriptedTTS": "testing.scripted",
    "ScriptedVAD": "testing.scripted",
    "SimulatedCall": "testing.call",
    "Step": "testing.steps",
    "ToolCall": "testing.scripted",
    "VirtualLoop": "virtual",
    "perform": "testing.call",
    "run": "virtual",
    "scenario_text": "testing.scenario",
    "simulate": "testing.call",
    "to_json": "testing.result",
}

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module 'agent_runtime.testing' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"agent_runtime.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
