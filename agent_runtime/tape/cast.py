"""The agents of a tape: what they override, their tools and their hooks do what they did."""

from collections.abc import AsyncIterable, Callable
from typing import TYPE_CHECKING, Any

from agent_runtime.agent import Agent
from agent_runtime.chat import ChatContext
from agent_runtime.tools import CallLike, FunctionTool, RunContext, Tool, ToolContext, ToolOutcome, function_tool
from agent_runtime.trace import codec
from agent_runtime.trace.tape import Json

if TYPE_CHECKING:
    from agent_runtime.tape.answers import Answers


class Cast:
    """Makes each agent when it comes on.

    Args:
        model: gives the node of a kind that an agent of the tape has of its own, by its label.
        live: the kinds of nodes that really run: an agent's own, and what it overrides of them, make way.
    """

    def __init__(self, answers: "Answers", model: Callable[[str, str], Any], live: frozenset[str]) -> None:
        self._answers = answers
        self._model = model
        self._live = live
        self._told = {record["ref"]: record for _, record in answers.tape.of("agent")}
        self._made: dict[int, Agent] = {}

    def agent(self, ref: int) -> Agent:
        if ref not in self._made:
            self._made[ref] = self._make(self._told[ref])
        return self._made[ref]

    def _make(self, told: Json) -> Agent:
        parts = {
            name: part
            for name, part in _PARTS.items()
            if name in told["overrides"] and name.removesuffix("_node") not in self._live
        }
        kind: type[Agent] = type("TapeAgent", (Agent,), parts)
        own = {
            kind: None if label is None else self._model(kind, label)
            for kind, label in told["own"].items()
            if kind not in self._live
        }
        chat_ctx = ChatContext.from_dict(told["chat_ctx"]) if told["chat_ctx"] is not None else None
        agent = kind(
            instructions=told["instructions"],
            id=told["id"],
            chat_ctx=chat_ctx,
            tools=[_schema(tool) for tool in told["tools"]],
            allow_interruptions=told["allow_interruptions"],
            **own,
        )
        agent._tools = _TapeTools(self, told["ref"], agent.tools)
        agent._part = _Part(self._answers, told["ref"])  # type: ignore[attr-defined]
        return agent

    async def run_tool(self, ref: int, call: CallLike) -> ToolOutcome:
        """What came of the call."""
        answers = self._answers
        same = f"{call.name}({call.arguments})"
        fresh = [each for each in answers.of("tool") if not each.given and each.asked["name"] == call.name]
        exact = [each for each in fresh if each.asked["arguments"] == call.arguments]
        answer = answers.begun(exact[0]) if exact else answers.find("tool", same, name=call.name)
        outcome = (await answers.wait_for_end(answer))["outcome"]
        return ToolOutcome(
            output=outcome["output"],
            is_error=outcome["is_error"],
            agent=self.agent(outcome["agent"]) if outcome["agent"] is not None else None,
            reply_required=outcome["reply_required"],
            error=codec.error_back(outcome["error"]) if outcome["error"] is not None else None,
        )


class _Part:
    """What an agent of the tape has to do, and where that stands."""

    def __init__(self, answers: "Answers", ref: int) -> None:
        self._answers = answers
        self._ref = ref

    async def hook(self, name: str) -> Json:
        answer = self._answers.find("hook", "", name=name, agent=self._ref)
        return await self._answers.wait_for_end(answer)

    def node(self, name: str, asked: Any) -> Any:
        text = codec.question(asked).get("text", "")
        answer = self._answers.find(name, text, agent=self._ref)
        pulls = asked if name in ("tts_node", "transcription_node") else None
        return self._answers.play(answer, from_the_sound=name == "stt_node", pulls=pulls)


class _TapeTools(ToolContext):
    def __init__(self, cast: Cast, ref: int, tools: list[Tool]) -> None:
        super().__init__(tools)
        self._cast = cast
        self._ref = ref

    async def execute(self, call: CallLike, context: "RunContext[Any] | None" = None) -> ToolOutcome:
        return await self._cast.run_tool(self._ref, call)


def _schema(told: Json) -> FunctionTool:
    async def work(raw_arguments: dict[str, object]) -> str:
        raise NotImplementedError(told["name"])  # `_TapeTools` stands before it

    return function_tool(work, raw_schema=dict(told))


# What an agent's class has of its own where the one on the tape had.


async def _on_enter(self: Any) -> None:
    await self._part.hook("on_enter")


async def _on_exit(self: Any) -> None:
    await self._part.hook("on_exit")


async def _on_user_turn_completed(self: Any, turn_ctx: Any, new_message: Any) -> None:
    end = await self._part.hook("on_user_turn_completed")
    if end.get("content") is not None:
        new_message.content = end["content"]


def _stt_node(self: Any, audio: AsyncIterable[Any], model_settings: Any) -> Any:
    return self._part.node("stt_node", audio)


def _llm_node(self: Any, chat_ctx: Any, tools: Any, model_settings: Any) -> Any:
    return self._part.node("llm_node", chat_ctx)


def _tts_node(self: Any, text: Any, model_settings: Any) -> Any:
    return self._part.node("tts_node", text)


def _transcription_node(self: Any, text: Any, model_settings: Any) -> Any:
    return self._part.node("transcription_node", text)


_PARTS: dict[str, Any] = {
    "on_enter": _on_enter,
    "on_exit": _on_exit,
    "on_user_turn_completed": _on_user_turn_completed,
    "stt_node": _stt_node,
    "llm_node": _llm_node,
    "tts_node": _tts_node,
    "transcription_node": _transcription_node,
}
for _name, _function in _PARTS.items():
    _function.__name__ = _name  # a replay that is recorded goes by it
