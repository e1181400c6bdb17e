"""A voice-agent runtime: VAD, STT, LLM and TTS nodes round a turn machine.

Names are imported when they are first used, so `import agent_runtime` costs next to nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent_runtime.agent import Agent as Agent
    from agent_runtime.audio.frame import AudioFrame as AudioFrame
    from agent_runtime.chat import AgentHandoff as AgentHandoff
    from agent_runtime.chat import ChatContext as ChatContext
    from agent_runtime.chat import ChatMessage as ChatMessage
    from agent_runtime.chat import FunctionCall as FunctionCall
    from agent_runtime.chat import FunctionCallOutput as FunctionCallOutput
    from agent_runtime.content import AudioContent as AudioContent
    from agent_runtime.content import FileContent as FileContent
    from agent_runtime.content import ImageContent as ImageContent
    from agent_runtime.errors import UsageError as UsageError
    from agent_runtime.inference.spending import Budget as Budget
    from agent_runtime.llm import ChatChunk as ChatChunk
    from agent_runtime.session import AgentSession as AgentSession
    from agent_runtime.speech import SpeechHandle as SpeechHandle
    from agent_runtime.tools import FunctionTool as FunctionTool
    from agent_runtime.tools import ProviderTool as ProviderTool
    from agent_runtime.tools import RunContext as RunContext
    from agent_runtime.tools import StopResponse as StopResponse
    from agent_runtime.tools import Tool as Tool
    from agent_runtime.tools import ToolError as ToolError
    from agent_runtime.tools import function_tool as function_tool
    from agent_runtime.types import NOT_GIVEN as NOT_GIVEN
    from agent_runtime.types import ModelSettings as ModelSettings
    from agent_runtime.worker.job import JobContext as JobContext
    from agent_runtime.worker.job import JobProcess as JobProcess
    from agent_runtime.worker.server import AgentServer as AgentServer

    from . import cli as cli

__version__ = "0.1.0"

_HOMES = {
    "Agent": "agent",
    "AgentHandoff": "chat",
    "AgentServer": "worker.server",
    "AgentSession": "session",
    "AudioContent": "content",
    "AudioFrame": "audio.frame",
    "Budget": "inference.spending",
    "ChatChunk": "llm",
    "ChatContext": "chat",
    "ChatMessage": "chat",
    "FileContent": "content",
    "FunctionCall": "chat",
    "FunctionCallOutput": "chat",
    "FunctionTool": "tools",
    "ImageContent": "content",
    "JobContext": "worker.job",
    "JobProcess": "worker.job",
    "ModelSettings": "types",
    "NOT_GIVEN": "types",
    "ProviderTool": "tools",
    "RunContext": "tools",
    "SpeechHandle": "speech",
    "StopResponse": "tools",
    "Tool": "tools",
    "ToolError": "tools",
    "UsageError": "errors",
    "cli": "",
    "function_tool": "tools",
}

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    import importlib

    home = _HOMES.get(name)
    if home is None:
        foreign = importlib.import_module("agent_runtime.livekit_names")
        if name in foreign.INSTEAD:  # no AttributeError: `from agent_runtime import X` would hide what it says
            raise ImportError(f"agent_runtime has no {name!r}: {foreign.INSTEAD[name]}", name="agent_runtime")
        raise AttributeError(f"module 'agent_runtime' has no attribute {name!r}")
    if not home:
        return importlib.import_module(f"agent_runtime.{name}")
    value = getattr(importlib.import_module(f"agent_runtime.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
