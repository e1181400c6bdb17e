"""What goes onto a tape and comes back: sound, answers, errors and settings as plain values.

Settings are an allow-list. Nothing of a node but its descriptor and what the session needs to know of it is written, so
no key can be among it; and what the environment holds as a secret is struck out wherever it turns up (`secrets`).
"""

import asyncio
import builtins
import dataclasses
import math
import os
from collections.abc import AsyncIterable, Mapping
from typing import TYPE_CHECKING, Any

from agent_runtime import errors
from agent_runtime.audio.frame import AudioFrame, TimedWord
from agent_runtime.chat import ChatContext, ChatMessage, FunctionCallOutput
from agent_runtime.content import CONTENT_TYPES, outline
from agent_runtime.llm import ChatChunk, ChoiceDelta, CompletionUsage, FunctionToolCall, ModelCall
from agent_runtime.stt import SpeechData, SpeechEvent, SpeechEventType
from agent_runtime.tools import StopResponse, ToolOutcome
from agent_runtime.trace.tape import Json, pack, unpack
from agent_runtime.turns.detectors import TextDetector
from agent_runtime.types import NOT_GIVEN
from agent_runtime.vad import SpeechEnded, SpeechStarted, VADEvent

if TYPE_CHECKING:
    from agent_runtime.agent import Agent
    from agent_runtime.session import AgentSession

_SECRET = ("KEY", "SECRET", "TOKEN", "PASSWORD")


def secrets() -> tuple[str, ...]:
    """What the environment keeps under names like OPENAI_API_KEY, the longest first."""
    found = {value for name, value in os.environ.items() if len(value) >= 8 and any(part in name for part in _SECRET)}
    return tuple(sorted(found, key=lambda value: (-len(value), value)))


def plain(value: Any) -> Any:
    """As JSON knows it; what it does not know is named by its type."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, CONTENT_TYPES):  # pictures have no place on a tape
        return value.outline()
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in outline(value).items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, ChatContext):
        return {"chat_ctx": value.to_dict()}
    if isinstance(value, ChatMessage):
        return {"message": {"role": value.role, "content": plain(value.content), "id": value.id}}
    if isinstance(value, TextDetector):
        return {"text_detector": value._language}
    if hasattr(value, "predict"):
        return {"detector": str(value.label)}
    return {"unknown": type(value).__name__}


# Settings


def session_settings(session: "AgentSession[Any]") -> Json:
    return {
        "max_tool_steps": session.max_tool_steps,
        "user_away_timeout": session.user_away_timeout,
        "keyterms": list(session._keyterms),
    }


def turn_handling(handling: Any) -> Json:
    told: Json = {}
    for each in dataclasses.fields(handling):
        value = getattr(handling, each.name)
        if each.name == "mute":
            told["mute"] = [mute if isinstance(mute, str) else {"function": True} for mute in value]
        else:
            told[each.name] = dataclasses.asdict(value) if dataclasses.is_dataclass(value) else plain(value)  # type: ignore[arg-type]
    return told


def nodes(session: "AgentSession[Any]") -> Json:
    vad, stt, llm, tts = session.vad, session.stt, session.llm, session.tts
    told: Json = {"vad": None, "stt": None, "llm": None, "tts": None}
    for kind, node in (("vad", vad), ("stt", stt), ("llm", llm), ("tts", tts)):
        if node is not None:
            told[kind] = {"label": node.label or type(node).__name__}
    if stt is not None:
        told["stt"] |= {"needs_vad": stt.needs_vad, "uses_tools": stt.uses_tools}
    if tts is not None:
        told["tts"] |= {"word_times": tts.word_times, "sample_rate": tts.sample_rate}
    return told


def overrides(agent: "Agent", name: str) -> bool:
    """Whether the agent's class has its own node or hook of this name."""
    kinds = type(agent).__mro__
    plain_agent = next(kind for kind in kinds if kind.__module__ == "agent_runtime.agent" and kind.__name__ == "Agent")
    return getattr(type(agent), name) is not getattr(plain_agent, name)


def agent(agent: "Agent", hooks: tuple[str, ...], nodes: tuple[str, ...]) -> Json:
    tools = [
        {
            "name": tool.name,
            "description": tool.description if tool.worked_out else "",
            "parameters": plain(tool.parameters) if tool.worked_out else {"type": "object", "properties": {}},
        }
        for tool in agent.tool_context.values()
    ]
    own = {
        kind: None if node is None else node if isinstance(node, str) else node.label or type(node).__name__
        for kind, node in (("llm", agent._given_llm), ("tts", agent._given_tts))
        if node is not NOT_GIVEN
    }
    return {
        "id": agent.id,
        "instructions": agent.instructions,
        "tools": tools,
        "allow_interruptions": agent.allow_interruptions,
        "overrides": [name for name in (*hooks, *nodes) if overrides(agent, name)],
        "own": own,
        "chat_ctx": agent._chat_ctx.to_dict() if agent._chat_ctx.items else None,
    }


# Questions


def question(asked: object) -> Json:
    """What a node is asked, as far as an answer can be found by it."""
    if isinstance(asked, ChatContext):
        return {"text": last_said(asked)}
    return {}


def last_said(ctx: ChatContext) -> str:
    """What the model is to answer: the user's last words, and what tools have said since."""
    said: list[str] = []
    for item in reversed(ctx.items):
        if isinstance(item, FunctionCallOutput):
            said.append(item.output)
        elif isinstance(item, ChatMessage) and item.role == "user":
            said.append(item.text_content or "")
            break
        elif isinstance(item, ChatMessage) and item.role == "assistant" and said:
            break
    return "\n".join(reversed(said))


# Answers


def item(value: Any) -> Json:
    """One thing that a node gave. A frame goes by itself, as it has sound."""
    if isinstance(value, AudioFrame):
        return {"frame": value}
    if isinstance(value, SpeechEvent):
        return {
            "speech": {"type": value.type.value, "alternatives": [dataclasses.asdict(a) for a in value.alternatives]}
        }
    if isinstance(value, ChatChunk):
        return {"chunk": _chunk(value)}
    return {"text": value if isinstance(value, str) else str(value)}


def _chunk(chunk: ChatChunk) -> Json:
    told: Json = {"id": chunk.id}
    if chunk.delta is not None:
        told["delta"] = {
            "role": chunk.delta.role,
            "content": chunk.delta.content,
            "tool_calls": [dataclasses.asdict(call) for call in chunk.delta.tool_calls],
            "extra": plain(chunk.delta.extra),
        }
    if chunk.usage is not None:
        told["usage"] = dataclasses.asdict(chunk.usage)
    return told


def item_back(told: Json, sound: bytes = b"") -> Any:
    """What `item` was given."""
    if "frame" in told:
        return frame_back(told["frame"], sound)
    if "speech" in told:
        speech = told["speech"]
        readings = [SpeechData(**reading) for reading in speech["alternatives"]]
        return SpeechEvent(SpeechEventType(speech["type"]), readings)
    if "chunk" in told:
        return _chunk_back(told["chunk"])
    return told["text"]


def model_call(call: ModelCall) -> Json:
    """What a request to a model came to."""
    return dataclasses.asdict(call)


def model_call_back(told: Json) -> ModelCall:
    usage = told["usage"]
    return ModelCall(**{**told, "usage": CompletionUsage(**usage) if usage is not None else None})


def _chunk_back(told: Json) -> ChatChunk:
    delta, usage = told.get("delta"), told.get("usage")
    return ChatChunk(
        told["id"],
        ChoiceDelta(
            role=delta["role"],
            content=delta["content"],
            tool_calls=[FunctionToolCall(**call) for call in delta["tool_calls"]],
            extra=delta["extra"],
        )
        if delta is not None
        else None,
        CompletionUsage(**usage) if usage is not None else None,
    )


def frame(frame: AudioFrame) -> tuple[Json, bytes]:
    name, sound = pack(frame.data, frame.sample_rate) if frame.num_channels == 1 else ("pcm", frame.data)
    told: Json = {"rate": frame.sample_rate, "codec": name}
    if frame.num_channels != 1:
        told["channels"] = frame.num_channels
    for key in ("text", "spoken"):
        if getattr(frame, key) is not None:
            told[key] = getattr(frame, key)
    if frame.words:
        told["words"] = [[word.text, word.start, word.end] for word in frame.words]
    return told, sound


def frame_back(told: Json, sound: bytes) -> AudioFrame:
    return AudioFrame(
        unpack(told["codec"], sound),
        told["rate"],
        told.get("channels", 1),
        text=told.get("text"),
        spoken=told.get("spoken"),
        words=tuple(TimedWord(*word) for word in told.get("words", ())),
    )


def vad_event(event: VADEvent) -> Json:
    return {"onset": event.onset} if isinstance(event, SpeechStarted) else {"last_voiced": event.last_voiced}


def vad_event_back(told: Json) -> VADEvent:
    return SpeechStarted(told["onset"]) if "onset" in told else SpeechEnded(told["last_voiced"])


def outcome(outcome: ToolOutcome, new_agent: int | None) -> Json:
    return {
        "output": outcome.output,
        "is_error": outcome.is_error,
        "agent": new_agent,
        "reply_required": outcome.reply_required,
        "error": error(outcome.error) if outcome.error is not None else None,
    }


def content_of(args: tuple[Any, ...]) -> Any:
    """What a hook has left of the user's message, if it was given one."""
    message = next((each for each in args if isinstance(each, ChatMessage)), None)
    return plain(message.content) if message is not None else None


# Errors


def error(error: BaseException) -> Json:
    return {"type": type(error).__name__, "message": str(error), "provider": getattr(error, "provider", None)}


def error_back(told: Json) -> BaseException:
    """An error that reads like the one that was raised, and is one where the session tells by the type."""
    name, message = told["type"], told["message"]
    if name == "StopResponse":
        return StopResponse()
    if name == "CancelledError":
        return asyncio.CancelledError(*[message] * bool(message))
    known = getattr(errors, name, None)
    if isinstance(known, type) and issubclass(known, errors.ProviderError):
        return known(message, provider=told["provider"] or "")
    if not (isinstance(known, type) and issubclass(known, Exception)):
        known = getattr(builtins, name, None)
    if isinstance(known, type) and issubclass(known, Exception):
        try:
            same = known(message)
        except TypeError:  # it wants other arguments
            same = Exception()
        if str(same) == message:
            return same
    made: type[Exception] = type(name, (Exception,), {})
    return made(message)


def is_stream(value: object) -> bool:
    return isinstance(value, AsyncIterable) and not isinstance(value, str)
