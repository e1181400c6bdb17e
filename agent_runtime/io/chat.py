"""The command `chat`: ask one model from a terminal, and see how fast it is and what it costs.

The answer goes to standard output as it comes; what is told of it (calls of tools, times, tokens, cost) to standard error,
so that a pipe carries the answer alone.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from agent_runtime import clock
from agent_runtime.errors import AgentRuntimeError, UsageError
from agent_runtime.io.lines import harmless
from agent_runtime.llm import CompletionUsage, FunctionToolCall, ModelCall, reporting

if TYPE_CHECKING:
    from agent_runtime.agent import Agent
    from agent_runtime.llm import LLM
    from agent_runtime.session import AgentSession
    from agent_runtime.worker.server import AgentServer

GOODBYE = frozenset({"quit", "exit", "/quit", "/exit"})

COUNTS = (
    *("completion_tokens", "prompt_tokens", "total_tokens"),
    *("prompt_cached_tokens", "cache_creation_tokens", "reasoning_tokens"),
)

PLAN_S = 30.0
"""A script that has not started its session by then never will."""


def add_chat(commands: Any) -> None:
    """Add the command to a command line's subparsers."""
    text = "Ask a model, and see its time to the first token, its rate, its tokens and its cost."
    chat = commands.add_parser("chat", help=text, description=text)
    chat.add_argument("descriptor", metavar="DESCRIPTOR", help="a model, as in AgentSession(llm=...): local/rules")
    chat.add_argument("text", metavar="TEXT", nargs="?", help="what to say (-: from standard input); else you converse")
    chat.add_argument("--system", metavar="TEXT", help="instructions")
    chat.add_argument("--tools", metavar="SCRIPT", help="have the model call the tools of this script's agent")
    chat.add_argument("--json", action="store_true", help="print each answer, whole, as a line of JSON")
    chat.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show tracebacks")
    chat.set_defaults(run=chat_command)


def chat_command(options: argparse.Namespace, load: "Callable[[str], AgentServer]") -> int:
    """Run the command; returns 0.

    Args:
        load: gives the server of a script.

    Raises:
        UsageError: a model that cannot be had, a script without a session, nothing to say.
        APIError: the model failed.
    """
    asyncio.run(_chat(options, load))
    return 0


async def _chat(options: argparse.Namespace, load: "Callable[[str], AgentServer]") -> None:
    from agent_runtime.inference.descriptor import resolve

    llm: LLM = resolve("llm", options.descriptor)
    try:
        crew = await _crew(load(options.tools), options.tools) if options.tools else None
        talk = Talk(llm, crew=crew, instructions=options.system, as_json=options.json)
        if options.text is None:
            await _converse(talk)
        else:
            text = sys.stdin.read().strip() if options.text == "-" else options.text.strip()
            if not text:
                raise UsageError(
                    "There is nothing to say to the model: the text is empty; write one, or none to converse."
                )
            await talk.ask(text)
    finally:
        await llm.aclose()


async def _converse(talk: "Talk") -> None:
    from agent_runtime.io.typed import lines_of

    at_terminal = sys.stdin.isatty()
    _prompt(at_terminal)
    async for line in lines_of(sys.stdin):
        text = line.strip()
        if text.casefold() in GOODBYE:
            return
        if text:
            try:
                await talk.ask(text)
            except AgentRuntimeError as error:
                if not at_terminal:
                    raise
                _tell(f"agent-runtime: {error}")
        if talk.is_over:
            return
        _prompt(at_terminal)
    if at_terminal:
        print()


def _prompt(at_terminal: bool) -> None:
    if at_terminal:
        sys.stdout.write("you> ")
        sys.stdout.flush()


def _tell(line: str) -> None:
    print(harmless(line), file=sys.stderr, flush=True)


# Asking


@dataclass(slots=True)
class Answer:
    """What came of a question, all steps together. Times are seconds; what is not known is None."""

    text: str = ""
    reasoning: str = ""
    calls: list[dict[str, Any]] = field(default_factory=list)
    asked_at: float = 0.0
    first_at: float | None = None
    last_at: float | None = None
    writing_s: float = 0.0
    usages: list[CompletionUsage | None] = field(default_factory=list)
    books: list[ModelCall] = field(default_factory=list)
    finish_reason: str | None = None

    @property
    def to_first_token(self) -> float | None:
        return None if self.first_at is None else self.first_at - self.asked_at

    @property
    def usage(self) -> CompletionUsage | None:
        """The sum over the steps, where each was told."""
        told = [usage for usage in self.usages if usage is not None]
        if not told or len(told) < len(self.usages):
            return None
        return CompletionUsage(**{name: sum(getattr(usage, name) for usage in told) for name in COUNTS})

    @property
    def rate(self) -> float | None:
        """Tokens a second, from the first to the last."""
        usage = self.usage
        return usage.completion_tokens / self.writing_s if usage is not None and self.writing_s > 0 else None


@dataclass(slots=True)
class Cost:
    """Dollars for an answer: None is unpriced. `of` says what that rests on."""

    usd: float | None
    of: str


class Talk:
    """A conversation with one model.

    Args:
        crew: the agent whose tools it may call, and the session that the agent was made for.
        instructions: what it is told first; else what the agent has.
    """

    def __init__(
        self,
        llm: "LLM",
        *,
        crew: "tuple[AgentSession[Any], Agent] | None" = None,
        instructions: str | None = None,
        as_json: bool = False,
    ) -> None:
        from agent_runtime.chat import ChatContext

        self._llm = llm
        self._session: AgentSession[Any] | None = crew[0] if crew is not None else None
        self._agent: Agent | None = crew[1] if crew is not None else None
        self._steps = self._session.max_tool_steps if self._session is not None else 0
        self._as_json = as_json
        self._chat_ctx: ChatContext = ChatContext.empty()
        told = instructions or (self._agent.instructions if self._agent is not None else None)
        if told:
            self._chat_ctx.add_message(role="system", content=told)

    @property
    def is_over(self) -> bool:
        """A tool has ended the call."""
        return self._session is not None and self._session._shut_down_early

    async def ask(self, text: str) -> Answer:
        """Say something, print the answer as it comes, run the tools that it calls, and tell about it."""
        self._chat_ctx.add_message(role="user", content=text)
        answer = Answer(asked_at=clock.now())
        token = reporting.set(answer.books.append)
        try:
            for step in range(self._steps + 1):
                calls = await self._step(answer, with_tools=step < self._steps)
                if not await self._run(calls, answer):
                    break
        finally:
            reporting.reset(token)
        self._told(answer)
        return answer

    async def _step(self, answer: Answer, *, with_tools: bool) -> list[FunctionToolCall]:
        tools = self._agent.tools if self._agent is not None and with_tools else ()
        calls: list[FunctionToolCall] = []
        usage, said, first_at = None, "", None
        try:
            async with self._llm.chat(chat_ctx=self._chat_ctx, tools=tools) as stream:
                async for chunk in stream:
                    usage, delta = chunk.usage or usage, chunk.delta
                    if delta is None:
                        continue
                    if delta.content or delta.tool_calls:
                        answer.last_at = clock.now()
                        first_at = first_at or answer.last_at
                        answer.first_at = answer.first_at or first_at
                    said += delta.content or ""
                    self._write(delta.content or "")
                    calls += delta.tool_calls
                    answer.reasoning += (delta.extra or {}).get("reasoning") or ""
                    answer.finish_reason = (delta.extra or {}).get("finish_reason") or answer.finish_reason
        finally:
            self._write("\n" if said and not said.endswith("\n") else "")  # what follows has a line of its own
        answer.text += said
        answer.usages.append(usage)
        answer.writing_s += (answer.last_at or 0.0) - first_at if first_at is not None else 0.0
        if said:
            self._chat_ctx.add_message(role="assistant", content=said)
        return calls

    def _write(self, text: str) -> None:
        if text and not self._as_json:
            sys.stdout.write(_on_terminal(text) if sys.stdout.isatty() else text)
            sys.stdout.flush()

    # Tools

    async def _run(self, calls: list[FunctionToolCall], answer: Answer) -> bool:
        """Run the calls of one step; whether the model is to be asked again."""
        from agent_runtime.chat import FunctionCall, FunctionCallOutput

        go_on = False
        for call in calls:
            outcome = await self._outcome(call)
            answer.calls.append({"name": call.name, "arguments": call.arguments, "output": outcome.output})
            self._chat_ctx.insert(
                FunctionCall(call_id=call.call_id, name=call.name, arguments=call.arguments, extra=call.extra or {})
            )
            self._chat_ctx.insert(
                FunctionCallOutput(
                    call_id=call.call_id, name=call.name, output=outcome.output, is_error=outcome.is_error
                )
            )
            failed = f" ({type(outcome.error).__name__}: {outcome.error})" if outcome.error is not None else ""
            if not self._as_json:
                _tell(f"{call.name}({call.arguments}) -> {outcome.output or 'nothing'}{failed}")
            if outcome.agent is not None:
                self._agent = outcome.agent
                self._chat_ctx.add_message(role="system", content=outcome.agent.instructions)
            go_on = go_on or outcome.reply_required
        return go_on and not self.is_over

    async def _outcome(self, call: FunctionToolCall) -> Any:
        from agent_runtime.speech import SpeechHandle
        from agent_runtime.tools import RunContext, ToolOutcome

        if self._agent is None or self._session is None:
            return ToolOutcome(output="There are no tools.", is_error=True)
        handle = SpeechHandle("chat", source="generate_reply", turn=None, allow_interruptions=False)
        context = RunContext(session=self._session, speech_handle=handle, function_call=call)
        return await self._agent.tool_context.execute(call, context)

    # Telling

    def _told(self, answer: Answer) -> None:
        cost = _cost(self._llm, answer)
        if self._as_json:
            print(json.dumps(_record(self._llm, answer, cost), ensure_ascii=False), flush=True)
        else:
            _tell(_line(answer, cost))


def _on_terminal(text: str) -> str:
    """The text without the power to do more than be read; line ends stay."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\n" else harmless(each) or " " for each in text)


def _cost(llm: "LLM", answer: Answer) -> Cost:
    from agent_runtime.inference.prices import HERE, price_of

    asked = [(call.provider, call.model.removeprefix(f"{call.provider}/"), call.usage) for call in answer.books]
    asked = asked or [(llm.provider or llm.label.partition("/")[0], llm.model, usage) for usage in answer.usages]
    total, dates = 0.0, set()
    for provider, model, usage in asked:
        price = price_of(provider, model)
        if price is None:
            return Cost(None, f"no price is known for {provider}/{model}")
        if price.is_free:
            continue
        cost = price.of_tokens(usage) if usage is not None else None
        if cost is None:
            return Cost(None, "tokens were not told")
        total += cost
        dates.add(price.as_of)
    if not asked:
        return Cost(None, "nothing was told of it")
    return Cost(total, f"prices of {min(dates)}" if dates else HERE)


def _line(answer: Answer, cost: Cost) -> str:
    first, rate, usage = answer.to_first_token, answer.rate, answer.usage
    parts = ["no token came" if first is None else f"first token {_seconds(first)}"]
    if rate is not None:
        parts.append(f"{rate:.1f} tokens/s")
    if usage is None:
        parts.append("tokens not told")
    else:
        cached = f" ({usage.prompt_cached_tokens} cached)" if usage.prompt_cached_tokens else ""
        thought = f" ({usage.reasoning_tokens} thought)" if usage.reasoning_tokens else ""
        parts.append(f"{usage.prompt_tokens}{cached} in + {usage.completion_tokens}{thought} out tokens")
    parts.append(_said(cost))
    if answer.finish_reason not in (None, "stop", "tool_calls"):
        parts.append(f"ended by {answer.finish_reason}")
    return "; ".join(parts)


def _said(cost: Cost) -> str:
    if cost.usd is None:
        return f"unpriced: {cost.of}"
    return f"${cost.usd:.6f}, {cost.of}" if cost.usd else f"free: {cost.of}"


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _record(llm: "LLM", answer: Answer, cost: Cost) -> dict[str, Any]:
    import dataclasses

    usage = answer.usage
    return {
        "model": llm.label or type(llm).__name__,
        "text": answer.text,
        "reasoning": answer.reasoning or None,
        "tool_calls": answer.calls,
        "finish_reason": answer.finish_reason,
        "time_to_first_token": answer.to_first_token,
        "tokens_per_second": answer.rate,
        "usage": None if usage is None else dataclasses.asdict(usage),
        "cost_usd": cost.usd,
        "cost_of": cost.of,
    }


# The script's agent


class _Found(BaseException):
    """Raised where the script would start its session."""


class _Stop:
    """A room that stops the script at `session.start()`."""

    name = "chat"

    def __init__(self) -> None:
        self.found: tuple[AgentSession[Any], Agent] | None = None

    def attach(self, session: "AgentSession[Any]", agent: "Agent", *_: object) -> NoReturn:
        self.found = (session, agent)
        raise _Found


async def _crew(server: "AgentServer", script: str) -> "tuple[AgentSession[Any], Agent]":
    """The agent that a script would start with, and its session, which is never started."""
    from agent_runtime.inference.descriptor import planning
    from agent_runtime.worker.job import JobContext

    room = _Stop()
    try:
        with planning():
            async with asyncio.timeout(PLAN_S):
                await server.entrypoint(JobContext(room=room, proc=server.process()))
    except _Found:
        pass
    except TimeoutError:
        if room.found is None:
            raise UsageError(f"The entrypoint of '{script}' has not started a session within {PLAN_S:g} s.") from None
    if room.found is None:
        raise UsageError(f"The entrypoint of '{script}' ended without starting a session in its room.")
    return room.found
