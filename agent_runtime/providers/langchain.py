"""A graph of LangGraph, or a chain of LangChain, in the place of a model.

Neither is imported: a graph is anything with ``astream(state, config, stream_mode=...)``. It runs in this process and calls
its own tools; the session's are not told to it. What it sends again after a failure nobody can know, so nothing is tried
twice.

Only what a model of the graph says is spoken, never a tool's result, nor what a node was told.
"""

import inspect
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from agent_runtime import clock
from agent_runtime.chat import ChatContext, ChatMessage
from agent_runtime.content import AudioContent, FileContent, ImageContent, TextContent
from agent_runtime.errors import APIError, UsageError
from agent_runtime.llm import LLM, CallOutcome, ChatChunk, ChoiceDelta, CompletionUsage, LLMStream, ModelCall, reporting
from agent_runtime.providers.http.service import Service
from agent_runtime.types import APIConnectOptions

if TYPE_CHECKING:
    from agent_runtime.tools import Tool, ToolChoice

MODES = ("messages", "custom")

PATIENCE = APIConnectOptions(max_retry=0, timeout=60.0, first_token_timeout=60.0)
"""A graph searches and calls tools before it speaks, and in between."""

_CLASSES = {"user": "HumanMessage", "assistant": "AIMessage", "system": "SystemMessage", "developer": "SystemMessage"}


class LLMAdapter(LLM):
    """A graph in the place of a model.

    Args:
        graph: what `StateGraph(...).compile()` or `create_agent(...)` gives; its state has ``messages``.
        config: goes to the graph with each turn, such as ``{"configurable": {"thread_id": ...}}``.
        context: the runtime context of the graph.
        subgraphs: whether what subgraphs say is said too.
        stream_mode: ``"messages"``: what its models say is said; ``"custom"``: what its nodes write with
            ``get_stream_writer()``, which is a text, ``{"content": text}`` or a message; or both, as a list.
        nodes: the nodes whose words are said, by name; all where it is left out. So a router stays silent.
        remembers: the graph has a checkpointer and knows the conversation: only what was said since its last answer goes to
            it, and the instructions.
        conn_options: how patient to be; 60 s to the first word and between two, where nothing is said.
    """

    provider = "langchain"
    leaves_machine = True
    """Where a graph's models are, nobody knows."""

    def __init__(
        self,
        graph: Any,
        *,
        config: Mapping[str, Any] | None = None,
        context: Any = None,
        subgraphs: bool = False,
        stream_mode: str | Sequence[str] = "messages",
        nodes: Collection[str] | None = None,
        remembers: bool = False,
        conn_options: APIConnectOptions | None = None,
    ) -> None:
        if not callable(getattr(graph, "astream", None)):
            hint = "; call compile() on it first" if hasattr(graph, "compile") else ""
            raise UsageError(f"A {type(graph).__name__} is no graph that can be asked: it has no astream(){hint}.")
        modes = (stream_mode,) if isinstance(stream_mode, str) else tuple(stream_mode)
        for mode in modes or ("",):
            if mode not in MODES:
                raise UsageError(
                    f"stream_mode has {mode!r}; it is 'messages', 'custom' or a list of both: others hold nothing to say."
                )
        if config is not None and not isinstance(config, Mapping):
            raise UsageError(f"config is {config!r}; it is a dictionary, as {{'configurable': {{'thread_id': 'a'}}}}.")
        if isinstance(nodes, str):
            raise UsageError(f"nodes is {nodes!r}; it is a list of names, as [{nodes!r}].")
        self.graph = graph
        self.config = config
        self.model = str(getattr(graph, "name", None) or type(graph).__name__)
        self.label = f"langchain/{self.model}"
        self.service = Service(self.provider, self.model)
        self.remembers = remembers
        self.nodes = None if nodes is None else frozenset(nodes)
        self.conn_options = conn_options or PATIENCE
        self.first_token_timeout = self.conn_options.first_token_timeout
        self._stream_mode = modes[0] if len(modes) == 1 else list(modes)
        self._options = {"context": context, "subgraphs": subgraphs or None}

    def chat(
        self,
        *,
        chat_ctx: ChatContext,
        tools: "Sequence[Tool]" = (),
        tool_choice: "ToolChoice | None" = None,
        conn_options: APIConnectOptions | None = None,
        **_: Any,
    ) -> "GraphStream":
        """Ask the graph. Tools, and what else a model is told, are the graph's own business."""
        return GraphStream(self, chat_ctx, conn_options or self.conn_options)

    def run(self, state: dict[str, Any]) -> AsyncIterator[Any]:
        """The graph's own stream, with as many of the options as it takes."""
        graph = self.graph
        mode = {} if _is_chain(graph) else {"stream_mode": self._stream_mode}
        given = {name: value for name, value in self._options.items() if value is not None}
        taken = {name: value for name, value in given.items() if _takes(graph.astream, name)}
        try:
            stream: AsyncIterator[Any] = graph.astream(state, self.config, **mode, **taken)
        except TypeError as error:
            # One that takes what it is given and hands it on may still not know it.
            if not taken or "unexpected keyword" not in str(error):
                raise
            stream = graph.astream(state, self.config, **mode)
        return stream


class GraphStream(LLMStream):
    """An answer of a graph."""

    def __init__(self, adapter: LLMAdapter, chat_ctx: ChatContext, options: APIConnectOptions) -> None:
        self._adapter = adapter
        self._chat_ctx = chat_ctx
        self._patience = options
        self._usage = _Usage()
        self._id = ""

    async def generate(self) -> AsyncIterator[ChatChunk]:
        asked_at, first_at, characters = clock.now(), None, 0
        outcome: CallOutcome = "cancelled"
        failure = None
        try:
            async with aclosing(self._patiently()) as chunks:
                async for chunk in chunks:
                    if chunk.delta is not None and chunk.delta.content:
                        first_at = clock.now() if first_at is None else first_at
                        characters += len(chunk.delta.content)
                    yield chunk
            outcome = "answered"
        except APIError as error:
            outcome, failure = "failed", str(error)
            raise
        finally:
            report = reporting.get()
            if report is not None:
                adapter = self._adapter
                report(
                    ModelCall(
                        provider=adapter.provider,
                        model=adapter.label,
                        outcome=outcome,
                        requested_at=asked_at,
                        first_token_at=first_at,
                        ended_at=clock.now(),
                        characters=characters,
                        usage=self._usage.total,
                        error=failure,
                    )
                )

    async def _patiently(self) -> AsyncGenerator[ChatChunk]:
        """What the graph says, and how it ended; no silence is waited out."""
        adapter, options, begun = self._adapter, self._patience, False
        try:
            async with clock.Deadline(options.first_token_timeout) as deadline:
                deadline.restart()
                async with aclosing(self._spoken()) as chunks:
                    async for chunk in chunks:
                        # What its reader does with it is not the graph's time.
                        if begun:
                            deadline.pause()
                        else:
                            begun = True
                            deadline.change(options.timeout)
                        yield chunk
                        deadline.restart()
        except TimeoutError:
            if not deadline.expired:
                raise
            raise adapter.service.silent(options.timeout if begun else options.first_token_timeout, begun) from None
        yield ChatChunk(self._id, ChoiceDelta(extra={"finish_reason": "stop"}), self._usage.total)

    async def _spoken(self) -> AsyncGenerator[ChatChunk]:
        adapter = self._adapter
        stream: Any = None
        try:
            stream = adapter.run({"messages": await self._told()})
            async for item in stream:
                for chunk in self._read(item):
                    yield chunk
        except (APIError, UsageError):
            raise
        except Exception as error:
            raise APIError(
                f"The graph '{adapter.model}' failed: {type(error).__name__}: {error}. See the error that caused this.",
                provider=adapter.provider,
                model=adapter.model,
                fault="service",
            ) from error
        finally:
            # Cancelled or not: its nodes stop here.
            if hasattr(stream, "aclose"):
                await stream.aclose()

    async def _told(self) -> list[Any]:
        chat_ctx, only_new = self._chat_ctx, self._adapter.remembers
        if all(isinstance(part, str) for message in chat_ctx.messages() for part in message.content):
            return messages(chat_ctx, only_new=only_new)
        return await clock.offload(lambda: messages(chat_ctx, only_new=only_new))  # a frame takes milliseconds

    def _read(self, item: Any) -> Iterator[ChatChunk]:
        token, about = unpacked(item)
        nodes = self._adapter.nodes
        if nodes is not None and about.get("langgraph_node", "") not in nodes:
            self._usage.add(token)
            return
        if not _is_said(token):
            return
        self._id = str(_of(token, "id") or "") or self._id
        text, thought = _text_of(_of(token, "content") if not isinstance(token, str) else token)
        thought += _reasoning_of(token)
        self._usage.add(token)
        if thought:
            yield ChatChunk(self._id, ChoiceDelta(extra={"reasoning": thought}))
        if text:
            yield ChatChunk(self._id, ChoiceDelta(role="assistant", content=text))


def _takes(function: Any, name: str) -> bool:
    """Whether a function takes an argument of that name, or any."""
    parameters = inspect.signature(function).parameters
    return name in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())


def _is_chain(graph: Any) -> bool:
    """Whether it streams one thing alone, what its last step says, and would hand a mode on to its steps."""
    return hasattr(graph, "abatch") and "stream_mode" not in inspect.signature(graph.astream).parameters


# What the graph is told


def messages(chat_ctx: ChatContext, *, only_new: bool = False) -> list[Any]:
    """The conversation as LangChain's messages; as the dictionaries that LangGraph makes them of, where nobody has imported
    LangChain.

    Each keeps its id, so that a graph that has it already does not have it twice.

    Args:
        only_new: leave out everything up to the assistant's last message, but for the instructions.
    """
    said = chat_ctx.messages()
    last = max((at for at, each in enumerate(said) if each.role == "assistant"), default=-1) if only_new else -1
    kept = [each for at, each in enumerate(said) if at > last or each.role in ("system", "developer")]
    module = sys.modules.get("langchain_core.messages")
    made = []
    for message in kept:
        content = _content(message)
        if content:
            role = "system" if message.role == "developer" else message.role
            plain = {"role": role, "content": content, "id": message.id}
            made.append(plain if module is None else _made(module, message, content))
    return made


def _made(module: Any, message: ChatMessage, content: Any) -> Any:
    return getattr(module, _CLASSES[message.role])(content=content, id=message.id)


def _content(message: ChatMessage) -> Any:
    """Text where there is nothing else; else blocks, as LangChain's models take them."""
    from agent_runtime.providers.parts import typed

    blocks: list[dict[str, Any]] = []
    for part in map(typed, message.content):
        match part:
            case TextContent():
                if part.text.strip():
                    blocks.append({"type": "text", "text": part.text})
            case ImageContent():
                blocks.append({"type": "image_url", "image_url": {"url": part.url or _data_uri(part)}})
            case AudioContent():
                if part.transcript:
                    blocks.append({"type": "text", "text": part.transcript})
            case Mapping():
                blocks.append(dict(part))
            case FileContent():
                raise UsageError(
                    "A graph is told no files; put what is in them into the text, or into the graph's state."
                )
    if all(block.get("type") == "text" for block in blocks):
        return "\n".join(str(block["text"]) for block in blocks)
    return blocks


def _data_uri(part: ImageContent) -> str:
    uri = str(part.to_dict()["image"])
    if not uri.startswith("data:"):
        raise UsageError(f"A graph is told no image by its path ({uri!r}); give its bytes: ImageContent(image=data).")
    return uri


# What it says


def unpacked(item: Any) -> tuple[Any, Mapping[str, Any]]:
    """What was said, and what is known about it, of one thing that a graph streams.

    That is ``token``, ``(token, about)``, ``(mode, data)``, ``(namespace, data)`` or ``(namespace, mode, data)``, where data
    is one of the first two; which, depends on what was asked of which version.
    """
    if not isinstance(item, tuple):
        return item, {}
    if len(item) == 3:
        return unpacked(item[2])
    if len(item) != 2:
        return None, {}
    first, second = item
    if isinstance(first, tuple) or (isinstance(first, str) and first in MODES and not _is_about(second)):
        return unpacked(second)
    return first, second if isinstance(second, Mapping) else {}


def _is_about(value: Any) -> bool:
    return isinstance(value, Mapping) and any(str(key).startswith("langgraph_") for key in value)


def _is_said(token: Any) -> bool:
    """Whether it is a model's: LangChain's messages say whose they are, what a node writes is its own choice."""
    if isinstance(token, str):
        return True
    kind = _of(token, "type")
    return _of(token, "content") is not None and (kind is None or kind in ("ai", "AIMessageChunk"))


def _of(token: Any, name: str) -> Any:
    return token.get(name) if isinstance(token, Mapping) else getattr(token, name, None)


def _text_of(content: Any) -> tuple[str, str]:
    """What of a content is said, and what is thought."""
    if isinstance(content, str):
        return content, ""
    said, thought = "", ""
    for block in content if isinstance(content, list) else ():
        if isinstance(block, str):
            said += block
        elif isinstance(block, Mapping) and block.get("type") == "text":
            said += str(block.get("text") or "")
        elif isinstance(block, Mapping) and block.get("type") in ("reasoning", "thinking"):
            thought += str(block.get("reasoning") or block.get("thinking") or "")
    return said, thought


def _reasoning_of(token: Any) -> str:
    extra = _of(token, "additional_kwargs")
    return str(extra.get("reasoning_content") or "") if isinstance(extra, Mapping) else ""


class _Usage:
    """Tokens of all models that a graph asked for one answer."""

    def __init__(self) -> None:
        self._counted = False
        self._counts = {"output_tokens": 0, "input_tokens": 0, "cache_read": 0, "cache_creation": 0, "reasoning": 0}

    def add(self, token: Any) -> None:
        told = _of(token, "usage_metadata")
        if not isinstance(told, Mapping):
            return
        self._counted = True
        details = {**(told.get("input_token_details") or {}), **(told.get("output_token_details") or {})}
        for name in self._counts:
            self._counts[name] += told.get(name) or details.get(name) or 0

    @property
    def total(self) -> CompletionUsage | None:
        """None where nobody counted."""
        counts = self._counts
        if not self._counted:
            return None
        return CompletionUsage(
            completion_tokens=counts["output_tokens"],
            prompt_tokens=counts["input_tokens"],
            total_tokens=counts["input_tokens"] + counts["output_tokens"],
            prompt_cached_tokens=counts["cache_read"],
            cache_creation_tokens=counts["cache_creation"],
            reasoning_tokens=counts["reasoning"],
        )
