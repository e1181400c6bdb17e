"""Graphs in the place of a model: hand-made ones here, LangGraph's own in an environment of its own (row 6)."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from agent_runtime import clock, virtual
from agent_runtime.chat import ChatContext, ChatMessage
from agent_runtime.content import FileContent, ImageContent
from agent_runtime.errors import APIError, APITimeoutError, UsageError
from agent_runtime.llm import ModelCall, reporting
from agent_runtime.plugins import langchain
from agent_runtime.providers.langchain import messages, unpacked
from agent_runtime.types import APIConnectOptions
from tests.environments import skip_without
from tests.providers.wires import PNG, called, chunks, collect, conversation, get_weather

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-langgraph/bin/python"


@dataclass
class Token:
    """As LangChain's AIMessageChunk."""

    content: Any
    type: str = "AIMessageChunk"
    id: str = "run-1"
    usage_metadata: dict[str, Any] | None = None
    additional_kwargs: dict[str, Any] = field(default_factory=dict)


ABOUT = {"langgraph_node": "model", "langgraph_step": 1}


class Graph:
    """Streams what it is given; `asked` keeps how."""

    name = "helper"

    def __init__(self, *items: Any) -> None:
        self.items = items
        self.asked: list[tuple[Any, Any, dict[str, Any]]] = []
        self.closed = False

    async def astream(self, state: Any, config: Any = None, **options: Any) -> AsyncIterator[Any]:
        self.asked.append((state, config, options))
        try:
            for item in self.items:
                if isinstance(item, Exception):
                    raise item
                if isinstance(item, float):
                    await clock.sleep(item)
                else:
                    yield item
        finally:
            self.closed = True


def said(*items: Any, **options: Any) -> str:
    return collect(langchain.LLMAdapter(Graph(*items), **options)).text


HELLO = [(Token("Hel"), ABOUT), (Token("lo."), ABOUT)]


# What it is told


def test_row_6_the_state_and_the_options() -> None:
    graph = Graph(*HELLO)
    ctx = conversation(("system", "Be brief."), ("user", "Hi"), ("assistant", "Yes?"), ("user", " "), ("user", "Hello"))
    llm = langchain.LLMAdapter(graph, config={"configurable": {"thread_id": "a"}})
    assert collect(llm, ctx, tools=[get_weather], tool_choice="auto", extra_kwargs={"a": 1}).text == "Hello."
    (state, config, options) = graph.asked[0]
    items = ctx.items
    assert state == {
        "messages": [
            {"role": "system", "content": "Be brief.", "id": items[0].id},
            {"role": "user", "content": "Hi", "id": items[1].id},
            {"role": "assistant", "content": "Yes?", "id": items[2].id},
            {"role": "user", "content": "Hello", "id": items[4].id},
        ]
    }
    assert config == {"configurable": {"thread_id": "a"}}
    assert options == {"stream_mode": "messages"}


def test_context_and_subgraphs_are_told_where_they_are_given() -> None:
    graph = Graph(*HELLO)
    collect(langchain.LLMAdapter(graph, context={"user": "a"}, subgraphs=True))
    assert graph.asked[0][2] == {"stream_mode": "messages", "context": {"user": "a"}, "subgraphs": True}


def test_row_6_a_graph_that_does_not_know_an_option_is_asked_without_it() -> None:
    class Older(Graph):
        async def astream(self, state: Any, config: Any = None, *, stream_mode: Any) -> AsyncIterator[Any]:  # type: ignore[override]
            async for item in super().astream(state, config, stream_mode=stream_mode):
                yield item

    class Wrapped:
        """Takes everything, and hands it on."""

        def __init__(self, graph: Graph) -> None:
            self.graph = graph

        def astream(self, *args: Any, **options: Any) -> AsyncIterator[Any]:
            return self.graph.astream(*args, **options)

    for graph in (Older(*HELLO), Wrapped(Older(*HELLO))):
        assert collect(langchain.LLMAdapter(graph, context={"a": 1}, subgraphs=True)).text == "Hello."


def test_a_chain_is_told_no_mode() -> None:
    class Chain(Graph):
        def abatch(self) -> None: ...

    chain = Chain(Token("Hel"), Token("lo."))
    assert collect(langchain.LLMAdapter(chain)).text == "Hello."
    assert chain.asked[0][2] == {}


def test_langchains_own_messages_where_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("langchain_core.messages")
    for name in ("HumanMessage", "AIMessage", "SystemMessage"):
        setattr(module, name, lambda name=name, **given: (name, given["content"], given["id"]))
    monkeypatch.setitem(sys.modules, "langchain_core.messages", module)
    ctx = conversation(("developer", "a"), ("user", "b"), ("assistant", "c"))
    assert messages(ctx) == [
        ("SystemMessage", "a", ctx.items[0].id),
        ("HumanMessage", "b", ctx.items[1].id),
        ("AIMessage", "c", ctx.items[2].id),
    ]


def test_nothing_of_langchain_is_imported() -> None:
    code = "import sys; import agent_runtime.plugins.langchain; print([n for n in sys.modules if n.startswith('lang')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_graph_that_remembers_is_told_what_is_new() -> None:
    ctx = conversation(("system", "a"), ("user", "b"), ("assistant", "c"), ("user", "d"), ("user", "e"))
    assert [each["content"] for each in messages(ctx, only_new=True)] == ["a", "d", "e"]
    graph = Graph(*HELLO)
    collect(langchain.LLMAdapter(graph, remembers=True), ctx)
    assert len(graph.asked[0][0]["messages"]) == 3


def test_calls_of_the_sessions_tools_are_not_the_graphs() -> None:
    ctx = conversation(("user", "a"), *called("c1", "get_weather", "{}", "sunny"), ("assistant", "b"))
    assert [each["content"] for each in messages(ctx)] == ["a", "b"]


def test_c6_pictures() -> None:
    parts: list[Any] = ["What is this?", ImageContent(image="https://example.com/a.png"), ImageContent(image=PNG)]
    (message,) = messages(ChatContext([ChatMessage(role="user", content=parts)]))
    assert message["content"][:2] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    ]
    assert message["content"][2]["image_url"]["url"].startswith("data:image/png;base64,iVBOR")
    graph = Graph(*HELLO)
    collect(langchain.LLMAdapter(graph), ChatContext([ChatMessage(role="user", content=parts)]))
    assert graph.asked[0][0]["messages"][0]["content"] == message["content"]
    for part, says in ((ImageContent(image="a.png"), "by its path"), (FileContent(data=b"%PDF-"), "no files")):
        with pytest.raises(UsageError, match=says):
            collect(langchain.LLMAdapter(Graph()), ChatContext([ChatMessage(role="user", content=[part])]))


# What it says


@pytest.mark.parametrize(
    "shape",
    [
        lambda token: token,
        lambda token: (token, ABOUT),
        lambda token: (("sub:1",), (token, ABOUT)),
        lambda token: ((), (token, ABOUT)),
        lambda token: ("messages", (token, ABOUT)),
        lambda token: (("sub:1",), "messages", (token, ABOUT)),
    ],
)
def test_row_6_every_shape_of_a_token(shape: Callable[[Any], Any]) -> None:
    for token in (Token("Hello."), "Hello.", {"type": "AIMessageChunk", "content": "Hello."}):
        assert unpacked(shape(token))[0] is token
        assert said(shape(token)) == "Hello."


def test_a_word_that_is_the_name_of_a_mode() -> None:
    assert said(("custom", ABOUT), (" messages", ABOUT)) == "custom messages"


@pytest.mark.parametrize("kind", ["tool", "human", "system", "ToolMessageChunk", "remove", "function"])
def test_only_what_a_model_says_is_said(kind: str) -> None:
    assert said((Token("secret", kind), ABOUT), *HELLO) == "Hello."


def test_a_message_that_did_not_stream_is_said_whole() -> None:
    assert said((Token("Hello.", "ai"), ABOUT)) == "Hello."


def test_row_6_custom() -> None:
    items: list[Any] = [
        "Hel",
        {"content": "lo."},
        Token(" Bye."),
        {"progress": 5},
        {"type": "progress", "content": "x"},
        7,
        None,
    ]
    assert said(*items, stream_mode="custom") == "Hello. Bye."
    both: list[Any] = [("custom", "One moment. "), ("messages", (Token("Hello."), ABOUT)), ("custom", {"step": 1})]
    assert said(*both, stream_mode=["messages", "custom"]) == "One moment. Hello."


def test_a_router_stays_silent() -> None:
    items = [(Token('{"route": 1}'), {"langgraph_node": "router"}), *HELLO]
    assert said(*items) == '{"route": 1}Hello.'
    assert said(*items, nodes=["model"]) == "Hello."


def test_a9_thoughts_are_not_said() -> None:
    blocks = [{"type": "reasoning", "reasoning": "Hm."}, {"type": "thinking", "thinking": " Yes."}]
    told = Token([*blocks, {"type": "text", "text": "Hi."}])
    also = Token("", additional_kwargs={"reasoning_content": "!"})
    found = collect(langchain.LLMAdapter(Graph((told, ABOUT), (also, ABOUT))))
    assert (found.text, found.extra["reasoning"]) == ("Hi.", "Hm. Yes.!")


def test_c5_chunks_and_usage() -> None:
    first = {"input_tokens": 10, "output_tokens": 2, "total_tokens": 12, "input_token_details": {"cache_read": 4}}
    second = {"input_tokens": 20, "output_tokens": 3, "total_tokens": 23, "output_token_details": {"reasoning": 1}}
    router = (Token("route", usage_metadata=first), {"langgraph_node": "router"})
    found = chunks(
        langchain.LLMAdapter(Graph(router, *HELLO, (Token("", usage_metadata=second), ABOUT)), nodes=["model"])
    )
    assert [chunk.delta.content for chunk in found if chunk.delta and chunk.delta.content] == ["Hel", "lo."]
    assert {chunk.id for chunk in found} == {"run-1"}
    usage = found[-1].usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (30, 5, 35)
    assert (usage.prompt_cached_tokens, usage.reasoning_tokens) == (4, 1)
    assert chunks(langchain.LLMAdapter(Graph(*HELLO)))[-1].usage is None, "nobody counted"


def test_each_answer_is_in_the_books() -> None:
    kept: list[ModelCall] = []

    async def ask(graph: Graph) -> None:
        reporting.set(kept.append)
        with contextlib.suppress(APIError):
            await langchain.LLMAdapter(graph).chat(chat_ctx=conversation(("user", "a"))).collect()

    virtual.run(ask(Graph(1.0, *HELLO, 1.0)))
    virtual.run(ask(Graph(ValueError("no"))))
    assert [(each.model, each.outcome, each.first_token_at, each.ended_at, each.characters) for each in kept] == [
        ("langchain/helper", "answered", 1.0, 2.0, 6),
        ("langchain/helper", "failed", None, 0.0, 0),
    ]


# What goes wrong


def test_a_graph_that_fails() -> None:
    graph = Graph(*HELLO, ValueError("no such table"))
    with pytest.raises(APIError, match="The graph 'helper' failed: ValueError: no such table") as error:
        collect(langchain.LLMAdapter(graph))
    assert (error.value.fault, error.value.retryable, len(graph.asked)) == ("service", False, 1)
    assert isinstance(error.value.__cause__, ValueError)
    with pytest.raises(APIError, match="TypeError: 'str' object"):
        collect(langchain.LLMAdapter(Graph(TypeError("'str' object is not callable"))))


def test_a_graph_that_says_nothing_any_more() -> None:
    patience = APIConnectOptions(timeout=3, first_token_timeout=5)

    def waited(*items: Any) -> tuple[float, str, bool]:
        graph = Graph(*items)
        llm = langchain.LLMAdapter(graph, conn_options=patience)

        async def ask() -> tuple[float, str]:
            with pytest.raises(APITimeoutError) as error:
                await llm.chat(chat_ctx=conversation(("user", "a"))).collect()
            return clock.now(), str(error.value)

        at, message = virtual.run(ask())
        return at, message, graph.closed

    at, message, closed = waited(10.0, *HELLO)
    assert (at, closed) == (5, True)
    assert "langchain said nothing of 'helper' for 5 s before its answer began" in message
    assert waited(4.0, *HELLO, 10.0)[0] == 7
    assert said(4.0, *HELLO, 50.0, *HELLO) == "Hello.Hello."


def test_closing_stops_the_graph() -> None:
    graph = Graph(*HELLO, 30.0, *HELLO)

    async def leave() -> None:
        async with langchain.LLMAdapter(graph).chat(chat_ctx=conversation(("user", "a"))) as stream:
            async for _ in stream:
                break

    async def cancelled() -> None:
        task = asyncio.ensure_future(langchain.LLMAdapter(graph).chat(chat_ctx=conversation(("user", "a"))).collect())
        await clock.sleep(1)
        assert not graph.closed
        task.cancel()
        await asyncio.wait([task])

    for way in (leave, cancelled):
        graph.closed = False
        virtual.run(way())
        assert graph.closed


class Uncompiled:
    def compile(self) -> None: ...


@pytest.mark.parametrize(
    ("graph", "options", "says"),
    [
        (object(), {}, r"object is no graph.*astream\(\)"),
        (Uncompiled(), {}, r"call compile\(\) on it first"),
        (Graph(), {"stream_mode": "values"}, "stream_mode has 'values'"),
        (Graph(), {"stream_mode": []}, "stream_mode has ''"),
        (Graph(), {"config": "a"}, "config is 'a'"),
        (Graph(), {"nodes": "model"}, r"nodes is 'model'.*\['model'\]"),
    ],
)
def test_bad_options(graph: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        langchain.LLMAdapter(graph, **options)


# LangGraph's own


@pytest.fixture(scope="module")
def real() -> dict[str, Any]:
    skip_without(PYTHON)
    script = Path(__file__).with_name("langgraph_calls.py")
    done = subprocess.run(
        [PYTHON, script],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.real_time
def test_real_messages(real: dict[str, Any]) -> None:
    assert real["messages"]["text"] == "You said: Hello"
    assert real["messages"]["pieces"] > 1, "token by token"
    assert real["messages"]["told"] == ["SystemMessage", "HumanMessage"]
    assert real["messages"]["usage"] == [7, 3]


@pytest.mark.real_time
def test_real_tools_run_in_the_graph_and_are_not_said(real: dict[str, Any]) -> None:
    assert real["tools"] == {"text": "It is sunny.", "ran": ["Rome"], "calls": 0}


@pytest.mark.real_time
def test_real_custom_and_both_and_subgraphs(real: dict[str, Any]) -> None:
    assert real["custom"] == "Looking. "
    assert real["both"] == "Looking. You said: Hello"
    assert real["subgraph"] == {"without": ["You said: Hello"], "with": ["You", " said:", " Hello"]}
    assert real["nodes"] == "You said: Hello"
    assert real["context"] == "Hello, Ann."


@pytest.mark.real_time
def test_real_history_is_not_had_twice(real: dict[str, Any]) -> None:
    """A checkpointer's memory and ours are joined by the ids of messages."""
    assert real["memory"] == [["Hello"], ["Hello", "You said: Hello", "Bye"]]


@pytest.mark.real_time
def test_real_closing_stops_the_nodes(real: dict[str, Any]) -> None:
    assert real["closed"] == {"stopped": True, "finished": False}
    assert "ValueError: no such table" in real["failed"]
