"""An agent: instructions, tools, hooks, and the nodes of the pipeline, each of which can be overridden."""

import contextlib
import functools
import inspect
import re
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Coroutine, Iterator, Sequence
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING, Any

from agent_runtime.audio.frame import AudioFrame
from agent_runtime.chat import ChatContext, ChatMessage
from agent_runtime.errors import UsageError
from agent_runtime.inference.descriptor import Kind, check_name, parse
from agent_runtime.llm import LLM, ChatChunk
from agent_runtime.nodes import default as _default_nodes
from agent_runtime.stt import SpeechEvent
from agent_runtime.tools import Tool, ToolContext, exit_refused, find_function_tools
from agent_runtime.tts import TTS
from agent_runtime.types import NOT_GIVEN, ModelSettings, NotGivenOr

if TYPE_CHECKING:
    from agent_runtime.session import AgentSession


class Agent:
    """Who speaks. Subclass it, decorate methods with `function_tool`, override hooks and nodes.

    Args:
        instructions: what the model is told about its role.
        id: the agent's name in hand-overs; by default the class's name in snake case.
        chat_ctx: what was said before; copied.
        tools: functions made by `function_tool`, besides the decorated methods; and tools that the model's service runs
            (`ProviderTool`).
        llm, tts: this agent's own; left out: the session's; None: none.
        allow_interruptions: whether its speeches may be interrupted, unless a speech says otherwise.

    Raises:
        UsageError: a hook is no coroutine function or takes other arguments, or a tool is none.
    """

    class default:  # noqa: N801  # the name its users know
        """The nodes as they are where nothing is overridden: ``async for x in Agent.default.tts_node(self, ...)``."""

        stt_node = staticmethod(_default_nodes.stt_node)
        llm_node = staticmethod(_default_nodes.llm_node)
        tts_node = staticmethod(_default_nodes.tts_node)
        transcription_node = staticmethod(_default_nodes.transcription_node)

    def __init__(
        self,
        *,
        instructions: str,
        id: str | None = None,  # noqa: A002
        chat_ctx: ChatContext | None = None,
        tools: Sequence[Tool] = (),
        llm: NotGivenOr[LLM | str | None] = NOT_GIVEN,
        tts: NotGivenOr[TTS | str | None] = NOT_GIVEN,
        allow_interruptions: bool = True,
    ) -> None:
        _check_hooks(self)
        self._instructions = instructions
        self._id = id or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).lower()
        self._chat_ctx = chat_ctx.copy() if chat_ctx is not None else ChatContext.empty()
        self._tools = ToolContext([*find_function_tools(self), *tools])
        nodes: dict[Kind, object] = {"llm": llm, "tts": tts}
        for kind, given in nodes.items():
            if isinstance(given, str):
                check_name(parse(kind, given))  # an unknown name fails here, and not in the call
        self._given_llm = llm
        self._given_tts = tts
        self.allow_interruptions = allow_interruptions
        self._session: AgentSession[Any] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._id!r}>"

    @property
    def id(self) -> str:
        return self._id

    label = id

    @property
    def instructions(self) -> str:
        return self._instructions

    @property
    def tool_context(self) -> ToolContext:
        return self._tools

    @property
    def tools(self) -> list[Tool]:
        """What its model is offered. `tool_context` has the functions alone, by name."""
        return self._tools.all_tools

    @property
    def chat_ctx(self) -> ChatContext:
        """What was said while this agent spoke: a copy. Change it with `update_chat_ctx`."""
        return self._chat_ctx.copy()

    @property
    def session(self) -> "AgentSession[Any]":
        """The session in which it speaks.

        Raises:
            UsageError: it is in none; `session` is there from `on_enter` to `on_exit`.
        """
        if self._session is None:
            raise UsageError(f"The agent '{self._id}' is in no session; use self.session from on_enter() on.")
        return self._session

    # Hooks

    async def on_enter(self) -> None:
        """Called when the agent begins to speak for the session."""

    async def on_exit(self) -> None:
        """Called when another agent takes over, or the session ends."""

    async def on_user_turn_completed(self, turn_ctx: ChatContext, new_message: ChatMessage) -> None:
        """Called when the user's turn is final, before the model is asked.

        Args:
            turn_ctx: the context this one request will be made with, without `new_message`; changes last for this
                request.
            new_message: the user's turn; its `content` may be changed, which is what the history then holds.

        Raises:
            StopResponse: to say nothing; the turn then does not enter the history.
        """

    # Nodes

    def stt_node(
        self, audio: AsyncIterable[AudioFrame], model_settings: ModelSettings
    ) -> AsyncIterable[SpeechEvent | str] | Coroutine[Any, Any, AsyncIterable[SpeechEvent | str]]:
        """Sound to speech events; a plain string counts as a final transcript."""
        return Agent.default.stt_node(self, audio, model_settings)

    def llm_node(
        self, chat_ctx: ChatContext, tools: list[Tool], model_settings: ModelSettings
    ) -> (
        AsyncIterable[ChatChunk | str]
        | Coroutine[Any, Any, AsyncIterable[ChatChunk | str]]
        | Coroutine[Any, Any, str]
        | Coroutine[Any, Any, ChatChunk]
        | Coroutine[Any, Any, None]
    ):
        """The conversation to an answer: chunks, strings, one string, or nothing."""
        return Agent.default.llm_node(self, chat_ctx, tools, model_settings)

    def tts_node(
        self, text: AsyncIterable[str], model_settings: ModelSettings
    ) -> AsyncIterable[AudioFrame] | Coroutine[Any, Any, AsyncIterable[AudioFrame]]:
        """The answer's text to sound."""
        return Agent.default.tts_node(self, text, model_settings)

    def transcription_node(
        self, text: AsyncIterable[str], model_settings: ModelSettings
    ) -> AsyncIterable[str] | Coroutine[Any, Any, AsyncIterable[str]]:
        """The answer's text to what is shown and kept of it."""
        return Agent.default.transcription_node(self, text, model_settings)

    # Changes

    async def update_instructions(self, instructions: str) -> None:
        """From the next request on."""
        self._instructions = instructions

    async def update_tools(self, tools: Sequence[Tool]) -> None:
        """These instead of all it had, from the next request on."""
        self._tools = ToolContext(list(tools))

    async def update_chat_ctx(self, chat_ctx: ChatContext) -> None:
        """This instead of what was said, from the next request on. The session's history stays as it is."""
        self._chat_ctx = chat_ctx.copy()


class _NotYet:
    """Stands in the class for what `Agent.__init__` gives every agent, and says so where it was not called."""

    def __get__(self, agent: Agent | None, kind: type[Agent]) -> object:
        if agent is None:
            return self
        raise UsageError(f"{kind.__name__}.__init__ has not called super().__init__(instructions=...); call it first.")


for _name in ("_instructions", "_id", "_chat_ctx", "_tools", "_given_llm", "_given_tts", "_session"):
    setattr(Agent, _name, _NotYet())


def check_may_join(agent: object, session: "AgentSession[Any]", what: str) -> None:
    """Refuse what is no agent, and one that speaks in another session: its hooks and tools would act on the wrong call."""
    if not isinstance(agent, Agent):
        raise UsageError(f"{what} takes an Agent, not {agent!r}.")
    if agent._session is not None and agent._session is not session and not agent._session._finished:
        raise UsageError(f"The agent '{agent.id}' speaks in another session; make an agent of its own for each.")


_HOOKS = {"on_enter": (), "on_exit": (), "on_user_turn_completed": ("turn_ctx", "new_message")}


def _check_hooks(agent: Agent) -> None:
    """Here and not in the call, where what they miss would be told as Python tells it."""
    for name, arguments in _HOOKS.items():
        hook = getattr(agent, name)
        if getattr(hook, "__func__", None) is getattr(Agent, name):
            continue
        asked = f"'async def {name}({', '.join(('self', *arguments))})'"
        what = f"{type(agent).__name__}.{name}"
        written = inspect.unwrap(hook)
        if inspect.isroutine(written) and not inspect.iscoroutinefunction(written):
            raise UsageError(f"{what} is no coroutine function; write {asked}.")
        try:
            inspect.signature(hook).bind(*arguments)
        except TypeError as error:
            raise UsageError(f"{what} cannot be called with what it is given ({error}); write {asked}.") from None


@contextlib.contextmanager
def _no_exit() -> Iterator[None]:
    try:
        yield
    except SystemExit as error:  # in a task it would end the loop under everybody's feet
        raise exit_refused(error) from error


def staying(hook: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., Coroutine[Any, Any, None]]:
    """The hook, but where it calls `sys.exit` it fails, and the process goes on."""

    @functools.wraps(hook)
    async def run(*args: object) -> None:
        with _no_exit():
            await hook(*args)

    run.__self__ = getattr(hook, "__self__", None)  # type: ignore[attr-defined]  # whose it is, as of a method
    return run


def call_node(node: Callable[..., object], *args: object) -> AsyncGenerator[Any]:
    """What a node gives, as one stream: an async iterable, a coroutine of one, a single value, or None for nothing.

    A node that raises when it is called raises from the stream, like one that raises later. Where the call is recorded,
    what an overridden node gives is.
    """
    session = getattr(getattr(node, "__self__", None), "_session", None)
    if session is not None and session.recorder is not None:
        recorded: AsyncGenerator[Any] = session.recorder.node(_called, node, args)
        return recorded
    return _called(node, *args)


def _called(node: Callable[..., object], *args: object) -> AsyncGenerator[Any]:
    try:
        result = node(*args)
    except (Exception, SystemExit) as error:
        result = _failed(error)
    is_default = getattr(node, "__func__", None) is getattr(Agent, getattr(node, "__name__", ""), node)
    if isinstance(result, AsyncGeneratorType) and is_default:
        return result
    return _stream(result)


async def _failed(error: BaseException) -> None:
    raise error


async def _stream(result: object) -> AsyncGenerator[Any]:
    with _no_exit():
        if isinstance(result, Awaitable):
            result = await result
        if result is None:
            return
        if isinstance(result, GeneratorType):
            for item in result:
                yield item
            return
        if isinstance(result, AsyncIterable):
            items = aiter(result)
            try:
                async for item in items:
                    yield item
            finally:
                close = getattr(items, "aclose", None)
                if close is not None:  # the node ends here and now, not when it is collected
                    await close()
        else:
            yield result
