"""The tools of a conversation while they run, and what comes of them.

A started tool is not part of the reply whose model called it: an interruption leaves it running, and its result is kept.
Each call has exactly one outcome, which enters the history when the tool is done, also when the session ends before that.
"""

import asyncio
import dataclasses
from functools import partial
from typing import TYPE_CHECKING, Any

from agent_runtime import clock, events
from agent_runtime.chat import ChatContext, FunctionCall, FunctionCallOutput
from agent_runtime.llm import FunctionToolCall
from agent_runtime.reply import Reply, Request
from agent_runtime.tools import INTERNAL_ERROR, RunContext, ToolOutcome

if TYPE_CHECKING:
    from agent_runtime.conversation import Conversation

STILL_RUNNING = "This call is still running; its result will follow."

TOOL_STALL_S = 15.0
"""After which a tool that still runs is told of. It is not cancelled: what it has begun may matter."""

CUT_SHORT = "The call ended before this was done."


class ToolRuns:
    """Starts tools, takes their outcomes, and sees that a result whose reply was interrupted is still told."""

    def __init__(self, conversation: "Conversation") -> None:
        self._conversation = conversation
        self._running: dict[str, FunctionCall] = {}
        self._outcomes: dict[str, tuple[FunctionCall, FunctionCallOutput]] = {}
        self._ids: dict[str, int] = {}
        self._requests = 0

    def __bool__(self) -> bool:
        """Whether any tool runs."""
        return bool(self._running)

    def llm_requested(self) -> None:
        """A model is being asked: from what it is told it knows of every outcome so far."""
        self._requests += 1

    def numbered(self, call: FunctionToolCall) -> FunctionToolCall:
        """The call, under an id that no other of this session has: some models give one twice."""
        self._ids[call.call_id] = count = self._ids.get(call.call_id, 0) + 1
        return call if count == 1 else dataclasses.replace(call, call_id=f"{call.call_id}_{count}")

    def tell(self, ctx: ChatContext) -> None:
        """Put the calls that still run into a context, so that the model does not make them again."""
        for call in self._running.values():
            ctx.insert(call)
            ctx.insert(FunctionCallOutput(call_id=call.call_id, name=call.name, output=STILL_RUNNING, is_error=False))

    def start(self, reply: Reply, call: FunctionToolCall, step: int) -> "asyncio.Task[ToolOutcome]":
        """Run a call that the model's answer number `step` made."""
        item = FunctionCall(
            call_id=call.call_id,
            name=call.name,
            arguments=call.arguments,
            extra=call.extra or {},
            created_at=clock.now(),
        )
        self._running[call.call_id] = item
        self._conversation.post(
            events.ToolStarted(
                at=clock.now(),
                speech_id=reply.handle.id,
                call_id=call.call_id,
                name=call.name,
                arguments=call.arguments,
            )
        )
        task = self._conversation.spawn(self._run(reply, call, item, step), name=f"tool {call.name}")
        # For the task that is cancelled before its first step: it has no `finally`.
        task.add_done_callback(lambda _: self._over(reply, call, item, _cut_short()))
        reply.handle.tool_tasks.add(task)
        return task

    async def _run(self, reply: Reply, call: FunctionToolCall, item: FunctionCall, step: int) -> ToolOutcome:
        context: RunContext[Any] = RunContext(
            session=self._conversation.session,
            speech_handle=reply.handle,
            function_call=call,
            played=partial(reply.step_over, step),
        )
        outcome = _cut_short()
        late = self._conversation.watch("tool", TOOL_STALL_S)
        try:
            outcome = await self._outcome(reply, call, context)
        finally:
            late.cancel()
            self._over(reply, call, item, outcome)
        return outcome

    async def _outcome(self, reply: Reply, call: FunctionToolCall, context: RunContext[Any]) -> ToolOutcome:
        try:
            run, recorder = reply.agent.tool_context.execute(call, context), self._conversation.session.recorder
            return await (run if recorder is None else recorder.tool(reply.agent, call, run))
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # the session ends
            # Something that the tool awaited was cancelled, as clients of services do at a timeout: it failed.
            return ToolOutcome(output=INTERNAL_ERROR, is_error=True, error=error)

    def _over(self, reply: Reply, call: FunctionToolCall, item: FunctionCall, outcome: ToolOutcome) -> None:
        conversation = self._conversation
        if self._running.get(call.call_id) is not item:  # it has its outcome
            return
        del self._running[call.call_id]
        output = FunctionCallOutput(
            call_id=call.call_id, name=call.name, output=outcome.output, is_error=outcome.is_error
        )
        self._outcomes[call.call_id] = (item, output)
        conversation.post(
            events.ToolEnded(
                at=clock.now(),
                speech_id=reply.handle.id,
                call_id=call.call_id,
                name=call.name,
                output=outcome.output,
                is_error=outcome.is_error,
            )
        )
        if outcome.error is not None:
            conversation.failed("tool", f"The tool '{call.name}'", outcome.error)
        conversation.add_item(item, reply)
        conversation.add_item(output, reply)
        if reply.handle.interrupted:
            self._after_interruption(call, outcome)

    def _after_interruption(self, call: FunctionToolCall, outcome: ToolOutcome) -> None:
        conversation = self._conversation
        self.executed([call.call_id])
        if not conversation.is_open:
            return
        if outcome.agent is not None:
            conversation.hand_overs.to(outcome.agent, reply=outcome.reply_required)
        elif outcome.reply_required:
            conversation.spawn(self._tell_late(self._requests), name="late result")

    async def _tell_late(self, requests: int) -> None:
        """Once it is quiet, answer with the result, unless an answer made meanwhile knew of it."""
        await self._conversation.states.idle()
        if self._requests == requests and self._conversation.is_open:
            self._conversation.speeches.speak("tool_response", Request(), turn=None)

    def executed(self, call_ids: list[str]) -> None:
        """All calls of one answer have their outcomes."""
        pairs = [self._outcomes.pop(call_id) for call_id in call_ids if call_id in self._outcomes]
        if pairs:
            self._conversation.post(
                events.FunctionToolsExecuted(
                    at=clock.now(),
                    function_calls=[call for call, _ in pairs],
                    function_call_outputs=[output for _, output in pairs],
                )
            )


def _cut_short() -> ToolOutcome:
    return ToolOutcome(output=CUT_SHORT, is_error=True, reply_required=False)
