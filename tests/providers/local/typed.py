"""A typed conversation with the rules, and two sets of tools for it."""

import json
from collections.abc import Sequence
from typing import Any

from agent_runtime import virtual
from agent_runtime.chat import ChatContext, FunctionCall, FunctionCallOutput
from agent_runtime.llm import ChatChunk, FunctionToolCall
from agent_runtime.providers.local.rules import RulesLLM
from agent_runtime.tools import FunctionTool, ToolChoice, find_function_tools, function_tool


class Shop:
    @function_tool
    async def add_item(self, item: str) -> None:
        """Add an item to the shopping list.

        Args:
            item: What to buy
        """

    @function_tool
    async def remove_item(self, item: str) -> None:
        """Remove an item from the shopping list.

        Args:
            item: What is not needed any more
        """

    @function_tool
    async def read_list(self) -> None:
        """Read the shopping list, for example "what do i still need"."""

    @function_tool
    async def end_call(self) -> None:
        """End the call, after saying good-bye."""


class House:
    @function_tool
    async def turn_on_light(self, room: str) -> None:
        """Turn on the light in a room.

        Args:
            room: kitchen, bedroom or garage
        """

    @function_tool
    async def turn_off_light(self, room: str) -> None:
        """Turn off the light in a room.

        Args:
            room: kitchen, bedroom or garage
        """

    @function_tool
    async def set_timer(self, minutes: int, label: str = "") -> None:
        """Set a timer."""

    @function_tool
    async def get_weather(self, city: str) -> None:
        """Look up the weather in a city."""

    @function_tool
    async def book_table(self, people: int, time: str) -> None:
        """Book a table."""

    @function_tool
    async def send_message(self, to: str, message: str) -> None:
        """Send a message to somebody."""


SHOP = find_function_tools(Shop())
HOUSE = find_function_tools(House())

Calls = list[tuple[str, dict[str, Any]]]


class Call:
    """A typed conversation with the rules; tools answer what `outputs` says, else "ok"."""

    def __init__(self, tools: Sequence[FunctionTool] = (), instructions: str = "Be brief.") -> None:
        self.ctx = ChatContext.empty()
        self.ctx.add_message(role="system", content=instructions)
        self.tools = tools
        self.outputs: dict[str, str] = {}
        self.llm = RulesLLM()

    def say(self, text: str, *, confidence: float | None = None) -> tuple[str, Calls]:
        """The whole answer to what the user says: all that is spoken, and the calls."""
        self.ctx.add_message(role="user", content=text, transcript_confidence=confidence)
        spoken, calls = self.ask()
        if calls:
            for call in calls:
                output = self.outputs.get(call.name, "ok")
                self.ctx.insert(FunctionCall(call_id=call.call_id, name=call.name, arguments=call.arguments))
                self.ctx.insert(FunctionCallOutput(call_id=call.call_id, name=call.name, output=output, is_error=False))
            spoken += self.ask(tool_choice="none")[0]
        return spoken, [(call.name, json.loads(call.arguments)) for call in calls]

    def ask(self, tool_choice: ToolChoice | None = None) -> tuple[str, list[FunctionToolCall]]:
        chunks = self.chunks(tool_choice)
        spoken = "".join(chunk.delta.content or "" for chunk in chunks if chunk.delta)
        if spoken:
            self.ctx.add_message(role="assistant", content=spoken)
        return spoken, [call for chunk in chunks if chunk.delta for call in chunk.delta.tool_calls]

    def chunks(self, tool_choice: ToolChoice | None = None) -> list[ChatChunk]:
        async def main() -> list[ChatChunk]:
            async with self.llm.chat(chat_ctx=self.ctx, tools=self.tools, tool_choice=tool_choice) as stream:
                return [chunk async for chunk in stream]

        return virtual.run(main())


def said(text: str, tools: Sequence[FunctionTool] = (), **options: Any) -> str:
    return Call(tools, **options).say(text)[0]


def called(text: str, tools: Sequence[FunctionTool]) -> Calls:
    return Call(tools).say(text)[1]
