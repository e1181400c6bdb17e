"""Conversations and tools, written once with the names that livekit-agents and we share.

`kit` is `livekit.agents.llm` in its environment, `agent_runtime` in ours: that this module runs against both is itself a
part of the contract. It imports nothing of ours.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from tests.contract.material import HELLO, PICTURE_URL, PNG_URI, SYSTEM


class Address(BaseModel):
    """Where to bring it."""

    street: str
    number: int = Field(description="of the house")
    floor: int | None = None


MIND = "Mind your words."


def histories(kit: Any) -> dict[str, Any]:
    """Chat contexts by name."""

    def said(role: str, *content: Any, **more: Any) -> Any:
        return kit.ChatMessage(role=role, content=list(content), **more)

    def called(group: str, call_id: str, name: str, arguments: str, **more: Any) -> Any:
        return kit.FunctionCall(id=f"{group}/{call_id}", call_id=call_id, name=name, arguments=arguments, **more)

    def came(call_id: str, output: str, name: str, *, is_error: bool = False) -> Any:
        return kit.FunctionCallOutput(call_id=call_id, output=output, is_error=is_error, name=name)

    question = said("user", "Weather in Rome?")
    rome = called("a", "call_1", "get_weather", '{"city": "Rome"}')
    bern = called("a", "call_2", "get_weather", '{"city": "Bern"}')
    sunny = came("call_1", "sunny in Rome", "get_weather")
    rainy = came("call_2", "rain in Bern", "get_weather")
    made = {
        "plain": [said("user", HELLO)],
        "question": [question],
        "turns": [
            said("system", SYSTEM),
            said("user", HELLO),
            said("assistant", "Hi, what can I do?"),
            said("user", "Tell me a joke."),
        ],
        "tool_turn": [question, rome, sunny],
        "parallel_calls": [said("user", "Weather in Rome and Bern?"), rome, bern, sunny, rainy],
        "spoken_call": [
            said("system", SYSTEM),
            question,
            said("assistant", "Let me look.", id="a"),
            rome,
            sunny,
            said("assistant", "It is sunny."),
            said("user", "Thanks!"),
        ],
        "two_rounds": [
            question,
            rome,
            sunny,
            called("b", "call_3", "book", '{"seats": 2, "name": null}'),
            came("call_3", "no seats left", "book", is_error=True),
        ],
        "late_output": [
            question,
            said("assistant", "I am looking.", id="a"),
            rome,
            said("user", "Are you there?"),
            sunny,
        ],
        "half_done": [question, rome, bern, sunny],
        "orphan": [question, came("call_9", "sunny", "get_weather"), said("user", "Well?")],
        "late_instructions": [
            said("system", SYSTEM),
            said("user", HELLO),
            said("system", MIND),
            said("user", "Go on."),
        ],
        "developer": [said("developer", SYSTEM), said("user", HELLO)],
        "agent_last": [said("user", HELLO), said("assistant", "Once upon a time")],
        "agent_first": [said("assistant", "Welcome!"), said("user", HELLO)],
        "system_only": [said("system", SYSTEM)],
        "two_users": [said("user", "One."), said("user", "Two.")],
        "image_data": [said("user", "What is this?", kit.ImageContent(image=PNG_URI))],
        "image_url": [said("user", kit.ImageContent(image=PICTURE_URL, inference_detail="low"), "What is this?")],
        "thought_signature": [
            question,
            called("a", "call_1", "get_weather", '{"city": "Rome"}', extra={"google": {"thought_signature": "c2ln"}}),
            sunny,
        ],
    }
    return {name: kit.ChatContext(items) for name, items in made.items()}


def tools(kit: Any) -> dict[str, Any]:
    """Functions by name."""

    async def get_weather(city: str) -> str:
        """Look up the weather.

        Args:
            city: where
        """
        return f"sunny in {city}"

    async def book(seats: int, name: str | None = None) -> str:
        """Book seats."""
        return f"{seats} for {name}"

    async def order(
        item: Literal["tea", "coffee"],
        to: Address,
        count: int = 1,
        extras: list[str] | None = None,
        note: Annotated[str, Field(description="for the cook")] = "",
        *,
        warm: bool = True,
    ) -> str:
        """Order something.

        Args:
            item: what
            extras: what comes with it
        """
        return f"{count} {item} {to} {extras} {note} {warm}"

    async def mark(prices: dict[str, float]) -> None:
        """Mark prices."""

    async def end() -> None: ...

    made = {function.__name__: kit.function_tool(function) for function in (get_weather, book, order, mark)}
    return {**made, "hang_up": kit.function_tool(end, name="hang_up", description="End the call.")}
