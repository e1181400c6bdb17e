"""Functions that the language model may call.

Theory of operation. `@function_tool` makes a `FunctionTool` of a function or a method; its schema is worked out at
first use (`signatures`). When the model writes a call, `execute` runs it and returns a `ToolOutcome`, whatever happens:
what the model is told (`output`), whether it is asked to go on (`reply_required`), an agent to hand over to, and, kept
apart from the model, the exception that a broken tool raised. Only a cancellation passes through.
"""

import contextvars
import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypedDict, overload

from agent_runtime import clock
from agent_runtime.content import CONTENT_TYPES
from agent_runtime.errors import UsageError
from agent_runtime.results import as_text, elements, is_agent, plain
from agent_runtime.signatures import (
    BadArguments,
    Signature,
    documented_values,
    parse_object,
    schema_values,
    without_nulls,
)
from agent_runtime.stt import ToolHint

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from agent_runtime.session import AgentSession
    from agent_runtime.speech import SpeechHandle

    Userdata = TypeVar("Userdata", default=Any)
else:
    from typing import TypeVar

    Userdata = TypeVar("Userdata")

__all__ = [
    "FunctionTool",
    "NamedToolChoice",
    "ProviderTool",
    "RunContext",
    "StopResponse",
    "Tool",
    "ToolChoice",
    "ToolContext",
    "ToolError",
    "ToolOutcome",
    "documented_values",
    "execute",
    "find_function_tools",
    "function_tool",
    "tool_hint",
]

INTERNAL_ERROR = "An internal error occurred"
"""What the model is told of an exception that was not meant for it."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class ToolError(Exception):
    """Raise it in a tool to tell the model what went wrong; the message is what the model reads."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class StopResponse(Exception):
    """Raise it in a tool or in `on_user_turn_completed` to have the agent say nothing more to this."""


class NamedFunction(TypedDict):
    name: str


class NamedToolChoice(TypedDict):
    type: Literal["function"]
    function: NamedFunction


ToolChoice = Literal["auto", "required", "none"] | NamedToolChoice
"""Whether the model may, must or must not call a tool, or which one it must call."""


@dataclass(frozen=True, slots=True)
class ProviderTool:
    """A tool that the model's own service runs: a search, a sandbox for code. It stands among an agent's tools.

    Attributes:
        provider: whose tool it is, as in a descriptor; other services refuse it.
        name: as the service calls it.
        options: what goes with it in the request.
    """

    provider: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


class CallLike(Protocol):
    """A call as a model writes it: `chat.FunctionCall` and `llm.FunctionToolCall` are both one."""

    @property
    def name(self) -> str: ...
    @property
    def arguments(self) -> str: ...
    @property
    def call_id(self) -> str: ...


class RunContext(Generic[Userdata]):
    """What a tool is told of where it runs: a parameter ``context: RunContext`` receives it.

    Attributes:
        session: the session in which the tool runs.
        speech_handle: the reply whose model called the tool.
        function_call: the call itself.
    """

    __slots__ = ("_played", "function_call", "session", "speech_handle")

    def __init__(
        self,
        *,
        session: "AgentSession[Userdata]",
        speech_handle: "SpeechHandle",
        function_call: CallLike,
        played: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`played` waits until what this reply said before the call is over; None: it said nothing."""
        self.session = session
        self.speech_handle = speech_handle
        self.function_call = function_call
        self._played = played

    @property
    def userdata(self) -> Userdata:
        """What was given as `AgentSession(userdata=...)`."""
        return self.session.userdata

    def disallow_interruptions(self) -> None:
        """From here on the caller cannot interrupt this reply: what the tool does could not be taken back."""
        self.speech_handle.allow_interruptions = False

    async def wait_for_playout(self) -> None:
        """Wait until what was said before the tool was called has been played, or was interrupted.

        This is not `speech_handle.wait_for_playout()`, which waits for the whole reply and so for this tool too.
        """
        if self._played is not None:
            await self._played()


class FunctionTool:
    """A function that a model may call, and how it is described to the model.

    It can still be called as the function it was made of. As an attribute of a class it binds like a method.

    Attributes:
        name: 1 to 64 letters, digits, ``_`` and ``-``.
        function: what is called.
        raw_schema: the schema as given, where it was; the function then takes the arguments as one dictionary,
            `raw_arguments`.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        description: str | None = None,
        raw_schema: Mapping[str, Any] | None = None,
    ) -> None:
        called = getattr(function, "__name__", type(function).__name__)  # a partial has no name
        if isinstance(function, staticmethod | classmethod):
            raise UsageError(f"@function_tool must stand below @{type(function).__name__} on '{called}', not above it.")
        unwrapped = inspect.unwrap(function)
        if inspect.isasyncgenfunction(unwrapped) or inspect.isgeneratorfunction(unwrapped):
            raise UsageError(
                f"The tool '{called}' yields, but gives the model one result; collect the parts and return them."
            )
        if raw_schema is not None and not ("name" in raw_schema and "parameters" in raw_schema):
            raise UsageError(f"The raw_schema of '{called}' needs a 'name' and 'parameters'.")
        parameters = (raw_schema or {}).get("parameters", {})
        if not isinstance(parameters, Mapping) or parameters.get("type", "object") != "object":
            raise UsageError(
                f"The parameters in the raw_schema of '{called}' are no object; write {{'type': 'object', ...}}."
            )
        self.name: str = name or (raw_schema or {}).get("name") or called
        if not _NAME.fullmatch(self.name):
            raise UsageError(
                f"'{self.name}' is no name for a tool; use 1 to 64 letters, digits, '_' and '-', "
                "for example with @function_tool(name=...)."
            )
        self.function = function
        self.raw_schema = raw_schema
        self._instance: object = None
        self._description = description
        self._plain = Signature(self.name, function, RunContext, skip_first=False)
        self._method = Signature(self.name, function, RunContext, skip_first=True)
        self.__doc__ = function.__doc__
        self.__name__ = called
        self.__qualname__ = getattr(function, "__qualname__", called)
        self.__module__ = function.__module__
        self.__wrapped__ = function

    def __repr__(self) -> str:
        return f"<FunctionTool {self.name}: {self.origin}>"

    def __get__(self, instance: object, owner: type | None = None) -> "FunctionTool":
        if instance is None:
            return self
        bound: FunctionTool = object.__new__(type(self))
        bound.__dict__.update(self.__dict__, _instance=instance)
        return bound

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return (
            self.function(*args, **kwargs) if self._instance is None else self.function(self._instance, *args, **kwargs)
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FunctionTool) and self.function is other.function and self._instance is other._instance

    def __hash__(self) -> int:
        return hash((self.function, id(self._instance)))

    @property
    def id(self) -> str:
        return self.name

    @property
    def origin(self) -> str:
        """Where it was written, for messages: ``clock.Clock.add_item``."""
        return f"{self.__module__}.{self.__qualname__}"

    @property
    def description(self) -> str:
        """What the model is told that it does: the given text, else that of the schema, else the docstring's."""
        if self._description is not None:
            return self._description
        if self.raw_schema is not None and "description" in self.raw_schema:
            return str(self.raw_schema["description"])
        return self._signature.description

    @property
    def parameters(self) -> dict[str, Any]:
        """The JSON schema of its arguments, an object.

        Raises:
            UsageError: a parameter cannot be described: an unknown type, ``**kwargs``.
        """
        return dict(self.raw_schema["parameters"]) if self.raw_schema is not None else self._signature.parameters

    @property
    def worked_out(self) -> bool:
        """Whether schema and description are there already. Before, `bind` may take a fifth of a second."""
        return self.raw_schema is not None or self._signature.worked_out

    def work_out(self) -> None:
        """Work out schema and description, which imports pydantic: in a thread, where there is a loop to hold up.

        Raises:
            UsageError: it cannot be described to a model.
        """
        _ = self.description, self.parameters

    def check_self(self) -> None:
        """Raises:
        UsageError: it is bound, but its function takes no `self`.
        """
        if self._instance is not None and not self._method.takes_self(type(self._instance)):
            raise UsageError(
                f"The tool '{self.name}' of {type(self._instance).__name__} takes no self; write "
                f"'{self.__name__}(self, ...)', or put @staticmethod above @function_tool."
            )

    @property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(inspect.unwrap(self.function))

    def bind(self, arguments: str, context: "RunContext[Any] | None" = None) -> dict[str, Any]:
        """Keyword arguments from the model's JSON text; `BadArguments` where they do not fit."""
        if self.raw_schema is not None:
            given = parse_object(self.name, arguments)
            bound: dict[str, Any] = {"raw_arguments": without_nulls(given, self.raw_schema["parameters"])}
        else:
            bound = self._signature.bind(arguments)
        if self._signature.context_parameter is not None:
            bound[self._signature.context_parameter] = context
        return bound

    @property
    def _signature(self) -> Signature:
        return self._plain if self._instance is None else self._method


@overload
def function_tool(f: Callable[..., Any], /) -> FunctionTool: ...
@overload
def function_tool(
    f: Callable[..., Any],
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    raw_schema: Mapping[str, Any] | None = None,
) -> FunctionTool: ...
@overload
def function_tool(
    *,
    name: str | None = None,
    description: str | None = None,
    raw_schema: Mapping[str, Any] | None = None,
) -> Callable[[Callable[..., Any]], FunctionTool]: ...
def function_tool(
    f: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    raw_schema: Mapping[str, Any] | None = None,
) -> FunctionTool | Callable[[Callable[..., Any]], FunctionTool]:
    """Make a tool of a function or of a method of an agent.

    The name, the description and the arguments come from the signature and the docstring (Google, NumPy or reST). A
    parameter annotated `RunContext` receives the context; the model knows nothing of it.

    A plain `def` runs in a thread, so it may block while the sound goes on; what touches the session belongs in an
    `async def`, which runs on the loop and must not block.

    The function's result is what the model is told: a string as it is, anything else as JSON. None means that the model
    need not reply; an `Agent`, or ``(agent, result)``, hands the conversation over to that agent. A picture is no result:
    it goes into the chat context.

    Args:
        name: instead of the function's.
        description: instead of the docstring's.
        raw_schema: ``{"name": ..., "description": ..., "parameters": <JSON schema>}``, for a function that takes the
            arguments as one dictionary, `raw_arguments`, unchecked.
    """

    def decorate(function: Callable[..., Any]) -> FunctionTool:
        return FunctionTool(function, name=name, description=description, raw_schema=raw_schema)

    return decorate if f is None else decorate(f)


def find_function_tools(owner: object) -> list[FunctionTool]:
    """The tools among the attributes of `owner`'s class, bound to it, in the order in which they were written.

    Raises:
        UsageError: one of them is a method without `self`.
    """
    names = dict.fromkeys(name for kind in reversed(type(owner).__mro__) for name in vars(kind))
    found = []
    for name in names:
        # Looked at without calling it: a property may not be ready yet.
        if isinstance(inspect.getattr_static(owner, name, None), FunctionTool | staticmethod):
            tool = getattr(owner, name)
            if isinstance(tool, FunctionTool):
                tool.check_self()
                found.append(tool)
    return found


Tool = FunctionTool | ProviderTool
"""What may stand among an agent's tools."""


class ToolContext(Mapping[str, FunctionTool]):
    """The tools of an agent or of one request: the functions by name, and those that the model's service runs.

    Raises:
        UsageError: two different tools have one name, or something in `tools` is no tool.
    """

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        self._tools: dict[str, FunctionTool] = {}
        self._provider_tools: list[ProviderTool] = []
        for tool in tools:
            if isinstance(tool, ProviderTool):
                if tool not in self._provider_tools:
                    self._provider_tools.append(tool)
                continue
            if not isinstance(tool, FunctionTool):
                raise UsageError(f"{_shown(tool)} is no tool; put @function_tool above the function.")
            other = self._tools.setdefault(tool.name, tool)
            if other != tool:
                raise UsageError(
                    f"Two tools are named '{tool.name}', {other.origin} and {tool.origin}; "
                    "give one of them another name with @function_tool(name=...)."
                )

    @classmethod
    def empty(cls) -> "ToolContext":
        return cls()

    @property
    def function_tools(self) -> dict[str, FunctionTool]:
        return dict(self._tools)

    @property
    def provider_tools(self) -> list[ProviderTool]:
        return list(self._provider_tools)

    @property
    def all_tools(self) -> list[Tool]:
        """What a model is offered: the functions, then what its service runs."""
        return [*self._tools.values(), *self._provider_tools]

    def __getitem__(self, name: str) -> FunctionTool:
        return self._tools[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tools)

    def __len__(self) -> int:
        return len(self._tools)

    def hints(self) -> list[ToolHint]:
        """What a recogniser may know of them."""
        return [tool_hint(tool) for tool in self.values()]

    async def prepare(self) -> None:
        """Work out every schema, in a thread: at the start of a session, so that no call has to wait for it.

        Raises:
            UsageError: a tool cannot be described to a model.
        """
        await clock.offload(self._work_out)

    def _work_out(self) -> None:
        for tool in self.values():
            tool.work_out()

    async def execute(self, call: CallLike, context: "RunContext[Any] | None" = None) -> "ToolOutcome":
        """`execute` with the tool of that name; where there is none the model is told which there are."""
        tool = self.get(call.name)
        if tool is None:
            known = f"; there are {', '.join(self._tools)}" if self._tools else ", nor any other"
            return ToolOutcome(output=f"There is no tool '{call.name}'{known}.", is_error=True)
        return await execute(tool, call, context)


def _shown(tool: object) -> str:
    if isinstance(tool, type) and issubclass(tool, ProviderTool):
        return f"The class {tool.__name__}, not an object of it ({tool.__name__}()),"
    return repr(tool)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOutcome:
    """What came of a call.

    Attributes:
        output: what the model is told.
        is_error: the tool was not called, or failed.
        value: what the function returned.
        agent: who speaks from here on, where the tool handed over.
        reply_required: the model is to be asked to go on.
        error: what the tool raised, unless it raised it for the model to read; or what was wrong with what it returned.
    """

    output: str = ""
    is_error: bool = False
    value: object = None
    agent: Any = None
    reply_required: bool = True
    error: BaseException | None = None


async def execute(tool: FunctionTool, call: CallLike, context: "RunContext[Any] | None" = None) -> ToolOutcome:
    """Run a tool as the model asked, in its own time: a deadline is for the caller to set.

    Cancelling it cancels an asynchronous tool; a synchronous one finishes unseen in its thread.
    """
    try:
        if not tool.worked_out:
            await clock.offload(tool.work_out)
        arguments = tool.bind(call.arguments, context)
        return _outcome(tool, await _call(tool, arguments))
    except BadArguments as error:
        return ToolOutcome(output=str(error), is_error=True)
    except ToolError as error:
        return ToolOutcome(output=error.message, is_error=True)
    except StopResponse:
        return ToolOutcome(reply_required=False)
    except SystemExit as error:
        return ToolOutcome(output=INTERNAL_ERROR, is_error=True, error=exit_refused(error))
    except Exception as error:
        return ToolOutcome(output=INTERNAL_ERROR, is_error=True, error=error)


def exit_refused(error: BaseException) -> UsageError:
    """For what tried to end the process from within a call: it would end the loop under everybody's feet."""
    how = f"sys.exit({error.code!r}) was called" if isinstance(error, SystemExit) else "KeyboardInterrupt was raised"
    return UsageError(f"{how}; end a call with session.shutdown(), or raise an error.")


async def _call(tool: FunctionTool, arguments: dict[str, Any]) -> object:
    if tool.is_async:
        return await tool(**arguments)
    value, error = await clock.offload(contextvars.copy_context().run, _caught, partial(tool, **arguments))
    if error is not None:
        raise error
    return await value if inspect.isawaitable(value) else value


def _caught(function: Callable[[], object]) -> tuple[Any, Exception | None]:
    # A future cannot carry every exception: a StopIteration would be lost on the way out of the thread.
    try:
        return function(), None
    except (SystemExit, KeyboardInterrupt) as error:  # in a thread neither is a Ctrl-C
        return None, exit_refused(error)
    except Exception as error:
        return None, error


def _outcome(tool: FunctionTool, value: object) -> ToolOutcome:
    agents, results = _parted(value)
    if len(agents) > 1:
        raise UsageError(f"A tool can hand over to one agent, not to {len(agents)}.")
    agent = agents[0] if agents else None
    if agent is not None:
        _ = agent.id  # raises where it was not made properly
    result = plain(results[0] if len(results) == 1 else results if results else None)
    shown = next((each for each in elements(result) if isinstance(each, CONTENT_TYPES)), None)
    if shown is not None:
        wrong = UsageError(
            f"The tool '{tool.name}' returned {type(shown).__name__}, but a tool gives text; a picture goes into the chat "
            "context, as with ctx.add_message(role='user', content=[...])."
        )
        return ToolOutcome(output=str(wrong), is_error=True, value=value, agent=agent, error=wrong)
    return ToolOutcome(output=as_text(tool.name, result), value=value, agent=agent, reply_required=result is not None)


def _parted(value: object) -> tuple[list[Any], list[object]]:
    """The agents in a result and the rest of it. A list or tuple without an agent is a result as it stands."""
    if is_agent(value):
        return [value], []
    if isinstance(value, tuple | list) and any(map(is_agent, value)):
        return [each for each in value if is_agent(each)], [each for each in value if not is_agent(each)]
    return [], [value]


def tool_hint(tool: FunctionTool) -> ToolHint:
    """What a recogniser may know of a tool: its words, and the values that its arguments are documented to have.

    An argument that need not be given and lists no values is left out: nobody can listen for it.
    """
    parameters = tool.parameters
    required: Sequence[str] = parameters.get("required", ())
    values = {name: schema_values(parameters, name) for name in parameters.get("properties", {})}
    arguments = {name: listed for name, listed in values.items() if listed or name in required}
    return ToolHint(name=tool.name, description=tool.description, arguments=arguments)
