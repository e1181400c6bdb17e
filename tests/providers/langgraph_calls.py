"""LangGraph's own graphs behind our adapter: test_langchain.py runs it in .venv-langgraph, and reads the JSON it prints."""

# Its packages are not where types are checked.
# mypy: ignore-errors

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.runtime import Runtime

from agent_runtime.chat import ChatContext, ChatMessage
from agent_runtime.errors import APIError
from agent_runtime.llm import CollectedResponse
from agent_runtime.providers.langchain import LLMAdapter


class Echo(BaseChatModel):
    """Says what was said last, word by word; with `script` that, and calls a tool first where `calls` says so."""

    script: str = ""
    calls: bool = False

    @property
    def _llm_type(self) -> str:
        return "echo"

    def _generate(self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **_: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage("not streamed"))])

    async def _astream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **_: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        if self.calls and not isinstance(messages[-1], ToolMessage):
            call = {
                "name": "get_weather",
                "args": '{"city": "Rome"}',
                "id": "c1",
                "index": 0,
                "type": "tool_call_chunk",
            }
            yield ChatGenerationChunk(message=AIMessageChunk("", tool_call_chunks=[call]))
            return
        words = (self.script or f"You said: {messages[-1].content}").split(" ")
        for at, word in enumerate(words):
            yield ChatGenerationChunk(message=AIMessageChunk(word if at == 0 else f" {word}"))
        usage = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
        yield ChatGenerationChunk(message=AIMessageChunk("", usage_metadata=usage))


MODEL = Echo()
told: list[list[str]] = []


async def answering(state: MessagesState) -> dict[str, Any]:
    told.append([type(message).__name__ for message in state["messages"]])
    return {"messages": [await MODEL.ainvoke(state["messages"])]}


async def looking(state: MessagesState) -> dict[str, Any]:
    get_stream_writer()("Looking. ")
    return {}


def graph(*nodes: Any, checkpointer: Any = None, **options: Any) -> Any:
    """One node after the other."""
    made = StateGraph(MessagesState, **options)
    names = [START, *(getattr(node, "__name__", "inner") for node in nodes), END]
    for name, node in zip(names[1:], nodes, strict=False):
        made.add_node(name, node)
    for before, after in pairwise(names):
        made.add_edge(before, after)
    return made.compile(checkpointer=checkpointer)


def conversation(*said: tuple[str, str]) -> ChatContext:
    return ChatContext([ChatMessage(role=role, content=[text]) for role, text in said])


async def ask(made: Any, ctx: ChatContext | None = None, **options: Any) -> CollectedResponse:
    return await LLMAdapter(made, **options).chat(chat_ctx=ctx or conversation(("user", "Hello"))).collect()


async def pieces(made: Any, ctx: ChatContext | None = None, **options: Any) -> list[str]:
    async with LLMAdapter(made, **options).chat(chat_ctx=ctx or conversation(("user", "Hello"))) as stream:
        return [chunk.delta.content async for chunk in stream if chunk.delta and chunk.delta.content]


async def plain() -> dict[str, Any]:
    ctx = conversation(("system", "Be brief."), ("user", "Hello"))
    streamed = len(await pieces(graph(answering), ctx))
    found = await ask(graph(answering), ctx)
    assert found.usage is not None
    usage = [found.usage.prompt_tokens, found.usage.completion_tokens]
    return {"text": found.text, "pieces": streamed, "told": told[-1], "usage": usage}


async def with_tools() -> dict[str, Any]:
    ran: list[str] = []
    model = Echo(script="It is sunny.", calls=True)

    async def agent(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    async def tools(state: MessagesState) -> dict[str, Any]:
        (call,) = state["messages"][-1].tool_calls
        ran.append(call["args"]["city"])
        return {"messages": [ToolMessage("sunny, and a secret", tool_call_id=call["id"])]}

    made = StateGraph(MessagesState)
    made.add_node("agent", agent)
    made.add_node("tools", tools)
    made.add_edge(START, "agent")
    made.add_conditional_edges("agent", lambda state: "tools" if state["messages"][-1].tool_calls else END)
    made.add_edge("tools", "agent")
    found = await ask(made.compile())
    return {"text": found.text, "ran": ran, "calls": len(found.tool_calls)}


@dataclass
class Context:
    name: str


async def with_context() -> str:
    async def greeting(state: MessagesState, runtime: Runtime[Context]) -> dict[str, Any]:
        return {"messages": [AIMessage(f"Hello, {runtime.context.name}.")]}

    return (await ask(graph(greeting, context_schema=Context), context=Context("Ann"))).text


async def with_memory() -> list[list[str]]:
    """The state after each of two turns: our history is sent whole both times."""
    made = graph(answering, checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "a"}}
    ctx = conversation(("user", "Hello"))
    seen = []
    for text in ("", "Bye"):
        if text:
            ctx.add_message(role="user", content=text)
        await LLMAdapter(made, config=config, remembers=True).chat(chat_ctx=ctx).collect()
        seen.append([message.content for message in made.get_state(config).values["messages"]][:-1])
        ctx.add_message(role="assistant", content=f"You said: {text or 'Hello'}")
    return seen


async def closing() -> dict[str, bool]:
    done = {"stopped": False, "finished": False}

    async def slow(state: MessagesState) -> dict[str, Any]:
        try:
            await MODEL.ainvoke(state["messages"])
            await asyncio.sleep(30)
            done["finished"] = True
        except asyncio.CancelledError:
            done["stopped"] = True
            raise
        return {}

    async with LLMAdapter(graph(slow)).chat(chat_ctx=conversation(("user", "Hello"))) as stream:
        async for _ in stream:
            break
    return done


async def failing() -> str:
    async def broken(state: MessagesState) -> dict[str, Any]:
        raise ValueError("no such table")

    try:
        await ask(graph(broken))
    except APIError as error:
        return str(error)
    return ""


async def main() -> None:
    inner = graph(answering)
    both = graph(looking, answering)
    found = {
        "messages": await plain(),
        "tools": await with_tools(),
        "custom": (await ask(both, stream_mode="custom")).text,
        "both": (await ask(both, stream_mode=["messages", "custom"])).text,
        "subgraph": {
            "without": await pieces(graph(inner)),
            "with": await pieces(graph(inner), subgraphs=True),
        },
        "nodes": (await ask(both, nodes=["answering"])).text,
        "context": await with_context(),
        "memory": await with_memory(),
        "closed": await closing(),
        "failed": await failing(),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main())
