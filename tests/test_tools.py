import asyncio
import enum
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import pytest
from pydantic import BaseModel, Field

from agent_runtime import clock, virtual
from agent_runtime.agent import Agent
from agent_runtime.chat import ChatContext
from agent_runtime.content import FileContent, ImageContent, TextContent
from agent_runtime.errors import UsageError
from agent_runtime.llm import FunctionToolCall
from agent_runtime.providers.local.rules import RulesLLM
from agent_runtime.session import AgentSession
from agent_runtime.signatures import BadArguments
from agent_runtime.tools import (
    INTERNAL_ERROR,
    FunctionTool,
    ProviderTool,
    RunContext,
    StopResponse,
    Tool,
    ToolContext,
    ToolError,
    ToolOutcome,
    documented_values,
    execute,
    find_function_tools,
    function_tool,
    tool_hint,
)
from agent_runtime.trace import codec

if TYPE_CHECKING:
    from decimal import Decimal


class Room(enum.Enum):
    KITCHEN = "kitchen"
    GARAGE = "garage"


class Address(BaseModel):
    street: str
    number: int = 1


def call(tool: FunctionTool, context: Any = None, **arguments: object) -> ToolOutcome:
    return call_raw(tool, json.dumps(arguments), context)


def call_raw(tool: FunctionTool, arguments: str, context: Any = None) -> ToolOutcome:
    return virtual.run(execute(tool, FunctionToolCall(tool.name, arguments, "call_1"), context))


class TestGenerators:
    def test_a_function_that_yields_is_no_tool(self) -> None:
        async def numbers() -> AsyncIterator[int]:
            yield 1

        def letters() -> Iterator[str]:
            yield "a"

        for function in (numbers, letters, partial(numbers)):
            with pytest.raises(UsageError, match="yields, but gives the model one result; collect the parts"):
                function_tool(function)


class TestDescription:
    def test_name_and_description_come_from_the_function(self) -> None:
        @function_tool
        def add(first: int, second: int) -> int:
            """Add two numbers.

            They may be negative.

            Args:
                first: One of them
                second: The other

            Returns:
                their sum
            """
            return first + second

        assert add.name == "add"
        assert add.description == "Add two numbers.\n\nThey may be negative."
        assert add.parameters == {
            "type": "object",
            "properties": {
                "first": {"type": "integer", "description": "One of them"},
                "second": {"type": "integer", "description": "The other"},
            },
            "required": ["first", "second"],
            "additionalProperties": False,
        }

    @pytest.mark.parametrize(
        "arguments",
        [
            "Args:\n    item (str): What to buy",
            "Parameters\n----------\nitem : str\n    What to buy",
            ":param item: What to buy",
        ],
        ids=["google", "numpy", "rest"],
    )
    def test_arguments_are_documented_in_each_style(self, arguments: str) -> None:
        def add_item(item: str) -> None: ...

        add_item.__doc__ = f"Add an item.\n\n{arguments}\n"
        tool = function_tool(add_item)
        assert tool.description == "Add an item."
        assert tool.parameters["properties"]["item"]["description"] == "What to buy"

    def test_both_can_be_given(self) -> None:
        @function_tool(name="other", description="Does something else.")
        def one() -> None:
            """Does something."""

        assert (one.name, one.description) == ("other", "Does something else.")

    def test_a_function_can_be_wrapped_without_decorating_it(self) -> None:
        def one() -> None: ...

        assert function_tool(one, name="two").name == "two"
        assert one.__name__ == "one"

    def test_a_tool_without_arguments_takes_an_empty_object(self) -> None:
        @function_tool
        def now() -> None: ...

        assert now.parameters == {"type": "object", "properties": {}, "additionalProperties": False}
        assert now.description == ""

    def test_types_and_defaults_are_in_the_schema(self) -> None:
        @function_tool
        def everything(
            text: str,
            number: float,
            flag: bool,
            many: list[int],
            free: dict[str, str],
            maybe: Optional[int],  # noqa: UP045  # also in its old form
            mode: Literal["slow", "fast"] = "slow",
            room: Room = Room.KITCHEN,
            title: str | None = None,
        ) -> None: ...

        properties = everything.parameters["properties"]
        assert properties["text"] == {"type": "string"}
        assert properties["number"] == {"type": "number"}
        assert properties["flag"] == {"type": "boolean"}
        assert properties["many"] == {"type": "array", "items": {"type": "integer"}}
        assert properties["free"] == {"type": "object", "additionalProperties": {"type": "string"}}
        assert properties["maybe"] == {"anyOf": [{"type": "integer"}, {"type": "null"}]}
        assert properties["mode"] == {"type": "string", "enum": ["slow", "fast"], "default": "slow"}
        assert properties["room"]["default"] == "kitchen"
        assert properties["title"]["default"] is None
        assert everything.parameters["required"] == ["text", "number", "flag", "many", "free", "maybe"]
        assert everything.parameters["$defs"]["Room"]["enum"] == ["kitchen", "garage"]

    def test_annotations_describe_an_argument_before_the_docstring_does(self) -> None:
        @function_tool
        def set_level(
            level: Annotated[int, Field(description="How bright", ge=0, le=100)],
            room: Annotated[str, "Which room"],
            speed: int = Field(default=3, description="How fast"),
        ) -> int:
            """Set the level.

            Args:
                level: not this
                room: not this either
            """
            return speed

        properties = set_level.parameters["properties"]
        assert properties["level"] == {"type": "integer", "description": "How bright", "minimum": 0, "maximum": 100}
        assert properties["room"] == {"type": "string", "description": "Which room"}
        assert properties["speed"] == {"type": "integer", "description": "How fast", "default": 3}
        assert set_level.parameters["required"] == ["level", "room"]
        assert call(set_level, level=1, room="x").value == 3

    def test_types_from_around_the_function_are_found_by_name(self) -> None:
        class Size(enum.Enum):
            SMALL = "small"

        @function_tool
        def is_small(size: "Size") -> bool:
            return size is Size.SMALL

        assert call(is_small, size="small").value is True

    def test_a_partial_can_be_a_tool(self) -> None:
        def add(first: int, second: int) -> int:
            return first + second

        assert call(function_tool(partial(add, second=1), name="increase"), first=2).value == 3

    def test_any_name_may_be_an_argument(self) -> None:
        @function_tool
        def odd(copy: str, schema: str, json: str, model_config: str, title: str) -> str:
            return copy + schema + json + model_config + title

        assert set(odd.parameters["properties"]) == {"copy", "schema", "json", "model_config", "title"}
        assert call(odd, copy="a", schema="b", json="c", model_config="d", title="e").output == "abcde"

    def test_a_schema_can_be_given(self) -> None:
        @function_tool(raw_schema={"name": "raw", "description": "Raw.", "parameters": {"type": "object"}})
        async def anything(raw_arguments: dict[str, object], context: RunContext) -> object:
            return [raw_arguments, context]

        assert (anything.name, anything.description, anything.parameters) == ("raw", "Raw.", {"type": "object"})
        assert call(anything, "the context", a=1).value == [{"a": 1}, "the context"]

    def test_a_tool_is_still_the_function(self) -> None:
        @function_tool
        def double(number: int) -> int:
            return 2 * number

        assert double(4) == 8
        assert double.__name__ == "double"

    def test_declaring_tools_imports_neither_pydantic_nor_docstring_parser(self) -> None:
        program = (
            "import sys\n"
            "from agent_runtime.tools import RunContext, function_tool\n"
            "@function_tool\n"
            "def f(context: RunContext, item: str): 'Add. '\n"
            "heavy = {'pydantic', 'docstring_parser', 'numpy'} & set(sys.modules)\n"
            "assert not heavy, heavy\n"
            "assert f.parameters['required'] == ['item']\n"
        )
        subprocess.run([sys.executable, "-c", program], check=True)


class TestBadTools:
    def test_a_name_that_no_service_takes(self) -> None:
        with pytest.raises(UsageError, match="'add item' is no name"):
            function_tool(name="add item")(lambda: None)

    def test_an_argument_without_a_name(self) -> None:
        @function_tool
        def loose(**options: str) -> None: ...

        with pytest.raises(UsageError, match=r"'loose' takes '\*\*options'"):
            _ = loose.parameters

    def test_a_context_without_a_type(self) -> None:
        @function_tool
        def forgot(context, item: str) -> None: ...  # type: ignore[no-untyped-def]

        with pytest.raises(UsageError, match="context: RunContext"):
            _ = forgot.parameters

    def test_a_type_that_is_not_there_at_run_time(self) -> None:
        @function_tool
        def pay(amount: "Decimal") -> None: ...

        with pytest.raises(UsageError, match=r"'pay': the type of 'amount'.*TYPE_CHECKING"):
            _ = pay.parameters

    def test_a_type_that_no_model_can_write(self) -> None:
        @function_tool
        def wait(lock: threading.Event) -> None: ...

        with pytest.raises(UsageError, match="'wait' has a parameter of a type"):
            _ = wait.parameters

    def test_decorators_in_the_wrong_order(self) -> None:
        with pytest.raises(UsageError, match="below @staticmethod"):
            function_tool(staticmethod(lambda: None))

    def test_a_schema_that_is_none(self) -> None:
        with pytest.raises(UsageError, match="'parameters'"):
            function_tool(raw_schema={"name": "x"})(lambda: None)


class TestContext:
    @pytest.mark.parametrize("position", ["first", "last", "string", "qualified", "generic", "optional"])
    def test_it_is_given_and_not_in_the_schema(self, position: str) -> None:
        def first(context: RunContext, item: str) -> object:
            return (item, context)

        def last(item: str, *, context: RunContext) -> object:
            return (item, context)

        def string(ctx: "RunContext", item: str) -> object:
            return (item, ctx)

        def qualified(item: str, run: "nowhere.RunContext[int]") -> object:  # type: ignore[name-defined]  # noqa: F821
            return (item, run)

        def generic(context: RunContext[dict[str, int]], item: str) -> object:
            return (item, context)

        def optional(item: str, context: RunContext | None = None) -> object:
            return (item, context)

        tool = function_tool(locals()[position])
        assert list(tool.parameters["properties"]) == ["item"]
        assert call(tool, "the context", item="milk").value == ("milk", "the context")

    def test_playout_is_waited_for_where_something_was_said(self) -> None:
        async def main() -> float:
            async def played() -> None:
                await clock.sleep(1.5)

            said: Any = RunContext(session=None, speech_handle=None, function_call=None, played=played)  # type: ignore[arg-type]
            await said.wait_for_playout()
            unsaid: Any = RunContext(session=None, speech_handle=None, function_call=None)  # type: ignore[arg-type]
            await unsaid.wait_for_playout()
            return clock.now()

        assert virtual.run(main()) == 1.5


class TestMethods:
    class Owner:
        def __init__(self, name: str) -> None:
            self.name = name

        @property
        def not_ready(self) -> str:
            raise AssertionError("looking for tools must not call properties")

        @function_tool
        async def second_in_alphabet(self, context: RunContext, item: str) -> str:
            """Add.

            Args:
                item: What
            """
            return f"{self.name} {item}"

        @function_tool
        def first_in_alphabet(self) -> str:
            return self.name

        @staticmethod
        @function_tool
        def static(item: str) -> str:
            return item

        def no_tool(self) -> None: ...

    class Child(Owner):
        @function_tool
        async def second_in_alphabet(self, number: int) -> int:
            return number

        @function_tool
        def third(self) -> None: ...

        static = None  # type: ignore[assignment]  # switched off

    def test_they_are_found_in_the_order_in_which_they_were_written(self) -> None:
        tools = find_function_tools(self.Owner("a"))
        assert [tool.name for tool in tools] == ["second_in_alphabet", "first_in_alphabet", "static"]

    def test_they_are_bound(self) -> None:
        tool, _, static = find_function_tools(self.Owner("a"))
        assert tool.parameters["properties"] == {"item": {"type": "string", "description": "What"}}
        assert call(tool, item="milk").output == "a milk"
        assert call(static, item="milk").output == "milk"

    def test_they_can_be_called_as_methods(self) -> None:
        assert self.Owner("a").first_in_alphabet() == "a"

    def test_a_subclass_overrides_and_switches_off(self) -> None:
        tools = find_function_tools(self.Child("c"))
        assert [tool.name for tool in tools] == ["second_in_alphabet", "first_in_alphabet", "third"]
        assert list(tools[0].parameters["properties"]) == ["number"]

    def test_two_objects_have_tools_of_their_own(self) -> None:
        a, b = self.Owner("a"), self.Owner("b")
        assert a.first_in_alphabet == a.first_in_alphabet
        assert a.first_in_alphabet != b.first_in_alphabet


class TestArguments:
    @staticmethod
    @function_tool
    def book(people: int, room: Room = Room.KITCHEN, where: Address | None = None, notes: str = "") -> object:
        return [people, room, where, notes]

    def test_they_come_in_their_types(self) -> None:
        outcome = call(self.book, people=2, room="garage", where={"street": "High Street"}, notes="x")
        assert outcome.value == [2, Room.GARAGE, Address(street="High Street"), "x"]

    def test_what_was_left_out_has_its_default(self) -> None:
        assert call(self.book, people=2).value == [2, Room.KITCHEN, None, ""]

    def test_numbers_and_texts_are_taken_for_each_other(self) -> None:
        assert call(self.book, people="3", notes=7).value == [3, Room.KITCHEN, None, "7"]

    def test_null_means_left_out_where_null_is_no_value(self) -> None:
        assert call(self.book, people=3, room=None, notes=None, where=None).value == [3, Room.KITCHEN, None, ""]

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ("{}", "book was not called: the argument 'people' is missing."),
            ("", "book was not called: the argument 'people' is missing."),
            ("null", "book was not called: the argument 'people' is missing."),
            (
                '{"people": 1, "guests": 2}',
                "book was not called: there is no argument 'guests' (it takes people, room, where, notes).",
            ),
            (
                '{"people": "many"}',
                (
                    "book was not called: the argument 'people' should be a valid integer, "
                    'unable to parse string as an integer, not "many".'
                ),
            ),
            (
                '{"people": 1, "room": "bath"}',
                "book was not called: the argument 'room' should be 'kitchen' or 'garage', not \"bath\".",
            ),
            (
                '{"people": 1, "where": {"number": 1}}',
                "book was not called: the argument 'where.street' is missing.",
            ),
            ("[1]", "book was not called: its arguments must be a JSON object, not [1]."),
        ],
    )
    def test_what_is_wrong_is_told_to_the_model_in_a_sentence(self, arguments: str, said: str) -> None:
        outcome = call_raw(self.book, arguments)
        assert (outcome.output, outcome.is_error, outcome.reply_required) == (said, True, True)
        assert outcome.value is None

    def test_broken_json(self) -> None:
        outcome = call_raw(self.book, '{"people": 1')
        assert outcome.is_error
        assert outcome.output.startswith("book was not called: its arguments are not valid JSON")

    def test_the_tool_is_not_called(self) -> None:
        called = []

        @function_tool
        def note(item: str) -> None:
            called.append(item)

        assert call(note, itm="x").is_error
        assert called == []


class TestOutcomes:
    @staticmethod
    def returning(value: object) -> ToolOutcome:
        async def tool() -> object:
            return value

        return call(function_tool(tool))

    @pytest.mark.parametrize(
        ("value", "output"),
        [
            ("as it is", "as it is"),
            ("", ""),
            (3, "3"),
            (True, "true"),
            (["milk", "é"], '["milk", "é"]'),
            ({"a": 1}, '{"a": 1}'),
            ((1, 2), "[1, 2]"),
            (date(2026, 1, 5), '"2026-01-05"'),
            (Address(street="x"), '{"street":"x","number":1}'),
            (Room.GARAGE, '"garage"'),
        ],
    )
    def test_results_become_text(self, value: object, output: str) -> None:
        outcome = self.returning(value)
        assert (outcome.output, outcome.is_error, outcome.reply_required) == (output, False, True)
        assert outcome.value == value

    @pytest.mark.parametrize(
        "value",
        [
            ImageContent("data:image/png;base64,iVBORw0KGgoAAAAAAAAAAAAAAAAAAAAAAAAAAA=="),
            ["a cat", ImageContent("https://host.test/cat.png")],
            (FileContent(data=b"%PDF-1"), TextContent("the bill")),
        ],
    )
    def test_a_picture_is_no_result(self, value: object) -> None:
        outcome = self.returning(value)
        kind = "FileContent" if isinstance(value, tuple) else "ImageContent"
        assert outcome.output == (
            f"The tool 'tool' returned {kind}, but a tool gives text; a picture goes into the chat context, as with "
            "ctx.add_message(role='user', content=[...])."
        )
        assert (outcome.is_error, outcome.reply_required, str(outcome.error)) == (True, True, outcome.output)

    def test_nor_beside_an_agent(self) -> None:
        agent = Agent(instructions="x")
        outcome = self.returning((agent, ImageContent("https://host.test/cat.png")))
        assert (outcome.is_error, outcome.agent) == (True, agent)

    @pytest.mark.parametrize(
        ("value", "output"),
        [
            (TextContent("four o'clock"), "four o'clock"),
            ([TextContent("a", cache_control={"type": "ephemeral"}), "b"], '["a", "b"]'),
            ((TextContent("a"),), '["a"]'),
        ],
    )
    def test_text_content_is_its_text(self, value: object, output: str) -> None:
        outcome = self.returning(value)
        assert (outcome.output, outcome.is_error, outcome.value) == (output, False, value)

    def test_dataclasses_become_json(self) -> None:
        @dataclass
        class Point:
            x: int

        assert self.returning(Point(1)).output == '{"x":1}'

    def test_what_has_no_json_form_is_written_as_python_does(self) -> None:
        class Thing:
            def __repr__(self) -> str:
                return "a thing"

        assert self.returning(Thing()).output == "a thing"
        assert self.returning({1: Thing()}).output == "{1: a thing}"

    def test_none_needs_no_reply(self) -> None:
        outcome = self.returning(None)
        assert (outcome.output, outcome.reply_required, outcome.is_error) == ("", False, False)

    def test_an_agent_is_handed_over_to(self) -> None:
        agent = Agent(instructions="x")
        outcome = self.returning(agent)
        assert (outcome.agent, outcome.output, outcome.reply_required) == (agent, "", False)

    @pytest.mark.parametrize("order", [1, -1])
    def test_an_agent_and_a_result(self, order: int) -> None:
        agent = Agent(instructions="x")
        outcome = self.returning((agent, "Over to you.")[::order])
        assert (outcome.agent, outcome.output, outcome.reply_required) == (agent, "Over to you.", True)

    def test_two_agents_are_an_error(self) -> None:
        outcome = self.returning([Agent(instructions="x"), Agent(instructions="y")])
        assert outcome.agent is None
        assert (outcome.output, outcome.is_error) == (INTERNAL_ERROR, True)
        assert "not to 2" in str(outcome.error)

    def test_a_tool_error_is_for_the_model(self) -> None:
        @function_tool
        async def fail() -> None:
            raise ToolError("The shop is closed.")

        outcome = call(fail)
        assert (outcome.output, outcome.is_error, outcome.error) == ("The shop is closed.", True, None)
        assert outcome.reply_required

    def test_any_other_error_is_not(self) -> None:
        @function_tool
        async def fail() -> None:
            raise KeyError("secret")

        outcome = call(fail)
        assert (outcome.output, outcome.is_error) == (INTERNAL_ERROR, True)
        assert isinstance(outcome.error, KeyError)

    def test_stop_response_ends_the_turn(self) -> None:
        @function_tool
        async def stop() -> None:
            raise StopResponse

        outcome = call(stop)
        assert (outcome.output, outcome.is_error, outcome.reply_required, outcome.error) == ("", False, False, None)

    def test_a_result_that_cannot_be_written_is_the_tools_error(self) -> None:
        class Broken:
            def __repr__(self) -> str:
                raise RuntimeError("no")

        outcome = self.returning(Broken())
        assert outcome.is_error
        assert isinstance(outcome.error, Exception)

    def test_a_tool_that_cannot_be_described_is_an_error_too(self) -> None:
        @function_tool
        def loose(**options: str) -> None: ...

        assert isinstance(call(loose).error, UsageError)

    def test_a_cancellation_passes_through(self) -> None:
        @function_tool
        async def hang() -> None:
            await asyncio.Event().wait()

        async def main() -> None:
            async with asyncio.timeout(1.0):
                await execute(hang, FunctionToolCall("hang", "", "c"), None)

        with pytest.raises(TimeoutError):
            virtual.run(main())


class TestPlainFunctions:
    def test_they_run_in_a_thread_so_that_the_sound_goes_on(self) -> None:
        @function_tool
        def where() -> str:
            return threading.current_thread().name

        assert call(where).output != threading.main_thread().name

    def test_they_see_the_context_variables_of_the_call(self) -> None:
        who: ContextVar[str] = ContextVar("who")

        @function_tool
        def name() -> str:
            return who.get()

        async def main() -> ToolOutcome:
            who.set("caller")
            return await execute(name, FunctionToolCall("name", "{}", "c"), None)

        assert virtual.run(main()).output == "caller"

    def test_what_they_raise_comes_back(self) -> None:
        @function_tool
        def fail() -> None:
            raise ValueError("no")

        assert isinstance(call(fail).error, ValueError)

    def test_what_no_future_can_carry_comes_back_too(self) -> None:
        @function_tool
        def fail() -> object:
            return next(iter(()))

        error = call(fail).error
        assert error is not None
        assert isinstance(error.__cause__, StopIteration)

    def test_they_may_return_a_coroutine(self) -> None:
        async def later() -> str:
            return "later"

        assert call(function_tool(lambda: later(), name="f")).output == "later"


class TestToolContext:
    @staticmethod
    @function_tool
    def one() -> str:
        """The first."""
        return "1"

    def test_tools_are_looked_up_by_name(self) -> None:
        tools = ToolContext([self.one])
        assert tools["one"] is self.one
        assert tools.get("two") is None
        assert list(tools.values()) == [self.one]
        assert "one" in tools

    def test_one_name_for_two_tools_is_refused_and_both_are_named(self) -> None:
        @function_tool(name="one")
        def other() -> None: ...

        with pytest.raises(UsageError, match=r"named 'one', .*TestToolContext\.one and .*other"):
            ToolContext([self.one, other])

    def test_the_same_tool_twice_is_one(self) -> None:
        assert len(ToolContext([self.one, self.one])) == 1

    def test_what_is_no_tool_is_refused(self) -> None:
        with pytest.raises(UsageError, match="@function_tool"):
            ToolContext([lambda: None])  # type: ignore[list-item]

    def test_an_unknown_name_is_told_to_the_model(self) -> None:
        outcome = virtual.run(ToolContext([self.one]).execute(FunctionToolCall("two", "{}", "c"), None))
        assert (outcome.output, outcome.is_error) == ("There is no tool 'two'; there are one.", True)

    def test_preparing_works_everything_out(self) -> None:
        @function_tool
        def fresh(item: str) -> None: ...

        assert not fresh.worked_out
        virtual.run(ToolContext([fresh]).prepare())
        assert fresh.worked_out

    def test_preparing_finds_a_bad_tool(self) -> None:
        @function_tool
        def loose(*items: str) -> None: ...

        with pytest.raises(UsageError, match="loose"):
            virtual.run(ToolContext([loose]).prepare())


class TestHints:
    def test_values_of_arguments_are_listed(self) -> None:
        @function_tool
        def light(
            room: Room, mode: Literal["on", "off"], colour: str, level: int, note: str = "", hue: str = ""
        ) -> None:
            """Set a light.

            Args:
                colour: One of red, green or blue
                level: How bright
                hue: warm or cold
            """

        hint = tool_hint(light)
        assert (hint.name, hint.description) == ("light", "Set a light.")
        assert hint.arguments == {
            "room": ("kitchen", "garage"),
            "mode": ("on", "off"),
            "colour": ("red", "green", "blue"),
            "level": (),
            "hue": ("warm", "cold"),
        }

    @pytest.mark.parametrize(
        ("text", "values"),
        [
            ("room: kitchen, bedroom or garage", ("kitchen", "bedroom", "garage")),
            ("Which room: kitchen, bedroom, or garage. Ask if unsure.", ("kitchen", "bedroom", "garage")),
            ("on or off", ("on", "off")),
            ("Either on or off", ("on", "off")),
            ("One of living room, kitchen and bath", ("living room", "kitchen", "bath")),
            ('"low", "medium" or "high"', ("low", "medium", "high")),
            ("'on' or 'off'", ("on", "off")),
            ("Colour: red | green | blue, defaults to red", ("red", "green", "blue")),
            ("one of kitchen, bedroom or garage (default: kitchen)", ("kitchen", "bedroom", "garage")),
            ("The unit (celsius or fahrenheit)", ("celsius", "fahrenheit")),
            ("", ()),
            ("What to buy", ()),
            ("The name of the city and the country", ()),
            ("City or postcode", ()),
            ("Name, address or phone number", ()),
            ("City, e.g. Paris or London", ()),
            ("What to buy, such as milk, bread or eggs", ()),
            ("What to say: it is read aloud, and then sent as it is", ()),
            ("Brightness from 0 to 100", ()),
            ("The unit (optional)", ()),
            ("in km/h", ()),
        ],
    )
    def test_a_list_is_told_from_prose(self, text: str, values: tuple[str, ...]) -> None:
        assert documented_values(text) == values


class TestProviderTools:
    """Tools that the model's own service runs stand among an agent's tools. Rows D15 to D17."""

    SEARCH = ProviderTool("google", "googleSearch", {"exclude_domains": ["example.com"]})

    def agent(self) -> Agent:
        return Agent(instructions="", tools=[self.SEARCH, TestToolContext.one, self.SEARCH])

    def test_d15_they_are_offered_to_the_model_behind_the_functions(self) -> None:
        agent = self.agent()
        assert agent.tools == [TestToolContext.one, self.SEARCH]
        assert agent.tool_context.provider_tools == [self.SEARCH]
        assert dict(agent.tool_context) == {"one": TestToolContext.one}

    def test_functions_are_looked_up_without_them(self) -> None:
        agent = self.agent()
        hints = AgentSession[Any]().stt_context(agent).tools
        assert [hint.name for hint in hints] == ["one"]
        told = codec.agent(agent, (), ())
        assert [tool["name"] for tool in told["tools"]] == ["one"]
        virtual.run(agent.tool_context.prepare())

    def test_a_call_of_one_is_no_call_of_ours(self) -> None:
        call = FunctionToolCall("googleSearch", "{}", "c")
        assert virtual.run(self.agent().tool_context.execute(call)).output == (
            "There is no tool 'googleSearch'; there are one."
        )

    def test_they_can_be_changed(self) -> None:
        agent = self.agent()
        virtual.run(agent.update_tools([self.SEARCH]))
        assert agent.tools == [self.SEARCH]

    def test_the_class_instead_of_an_object_is_told(self) -> None:
        class Search(ProviderTool): ...

        with pytest.raises(UsageError, match=r"^The class Search, not an object of it \(Search\(\)\), is no tool"):
            Agent(instructions="", tools=[Search])  # type: ignore[list-item]

    def test_a_model_on_this_machine_does_without_them(self) -> None:
        async def call() -> str:
            llm, ctx = RulesLLM(), ChatContext.empty()
            ctx.add_message(role="user", content="What can you do?")
            return (await llm.chat(chat_ctx=ctx, tools=self.agent().tools).collect()).text

        said = virtual.run(call())
        assert said
        assert "googleSearch" not in said

    def test_a_node_is_given_them(self) -> None:
        offered: list[list[Tool]] = []

        class Asked(Agent):
            async def llm_node(
                self, chat_ctx: ChatContext, tools: list[Tool], model_settings: Any
            ) -> AsyncIterator[str]:
                offered.append(tools)
                yield "Yes."

        async def call() -> None:
            session = AgentSession[Any]()
            await session.start(Asked(instructions="", tools=[self.SEARCH]))
            await session.run(user_input="hello")
            await session.aclose()

        virtual.run(call())
        assert offered == [[self.SEARCH]]


class TestNulls:
    """A model writes null for what it leaves out: on its own, and because a strict schema has it do so."""

    class Inner(BaseModel):
        x: int = 3
        note: str | None = "n"

    def bound(self, function: Any, given: Any) -> dict[str, Any]:
        return function_tool(function).bind(json.dumps(given))

    def test_inside_a_model(self) -> None:
        def tool(inner: TestNulls.Inner, more: list[TestNulls.Inner] = []) -> None: ...  # noqa: B006

        made = self.bound(tool, {"inner": {"x": None, "note": None}, "more": [{"x": None}]})
        assert made == {"inner": self.Inner(x=3, note=None), "more": [self.Inner(x=3, note="n")]}

    def test_in_a_list_that_may_be_none(self) -> None:
        def tool(more: list[TestNulls.Inner] | None = None) -> None: ...

        assert self.bound(tool, {"more": [{"x": None}]}) == {"more": [self.Inner()]}
        assert self.bound(tool, {"more": None}) == {"more": None}

    def test_what_is_required_stays_null_and_is_refused(self) -> None:
        def tool(count: int) -> None: ...

        with pytest.raises(BadArguments, match="'count' should be a valid integer"):
            self.bound(tool, {"count": None})

    def test_a_dictionary_where_text_belongs_is_told_to_the_model(self) -> None:
        def tool(text: str) -> None: ...

        with pytest.raises(BadArguments, match="'text' should be a valid string"):
            self.bound(tool, {"text": {}})

    def test_raw_arguments(self) -> None:
        schema = {
            "name": "raw",
            "parameters": {
                "type": "object",
                "properties": {"a": {"type": "string"}, "b": {"type": ["string", "null"]}},
                "required": [],
            },
        }
        tool = function_tool(lambda raw_arguments: None, raw_schema=schema)
        assert tool.bind('{"a": null, "b": null, "c": null}')["raw_arguments"] == {"b": None, "c": None}
        assert tool.bind('{"a": null, "b": null}')["raw_arguments"] == {"b": None}


@pytest.mark.parametrize("parameters", [{"type": "string"}, [], "none", {"type": ["object", "null"]}])
def test_a_raw_schema_has_an_object_for_its_parameters(parameters: Any) -> None:
    with pytest.raises(UsageError, match=r"parameters in the raw_schema of 'f' are no object"):

        @function_tool(raw_schema={"name": "f", "parameters": parameters})
        async def f(raw_arguments: dict[str, Any]) -> None: ...


class TestMuteResults:
    """What has no text is the tool's error; nobody is read an address."""

    @staticmethod
    def returning(value: object) -> ToolOutcome:
        return TestOutcomes.returning(value)

    @pytest.mark.parametrize("wrap", [lambda it: it, lambda it: [1, it], lambda it: {"a": it}, lambda it: (it, 2)])
    def test_a_missing_await(self, wrap: Any) -> None:
        async def fetch() -> str:
            return "never"

        outcome = self.returning(wrap(fetch()))  # an unawaited coroutine would warn, and a warning is an error here
        assert (outcome.output, outcome.is_error) == (INTERNAL_ERROR, True)
        assert str(outcome.error) == "The tool 'tool' returned a coroutine; write 'return await ...'."
        assert isinstance(outcome.error, UsageError)

    def test_a_task_that_is_not_awaited(self) -> None:
        async def fetch() -> str:
            return "late"

        @function_tool
        async def tool() -> object:
            return asyncio.ensure_future(fetch())

        assert str(call(tool).error) == "The tool 'tool' returned a Task that is not awaited; write 'return await ...'."

    def test_the_class_instead_of_an_agent(self) -> None:
        class Kitchen(Agent):
            pass

        outcome = self.returning(Kitchen)
        assert (outcome.agent, outcome.is_error) == (None, True)
        assert "returned the class Kitchen; return an instance to hand over, Kitchen(...)" in str(outcome.error)

    @pytest.mark.parametrize(
        ("value", "named"),
        [
            (object(), "an object of type object"),
            ({"order": object()}, "an object of type object"),
            (threading.Lock(), "an object of type lock"),
            (len, "an object of type builtin_function_or_method"),
            (json, "an object of type module"),
            (dict, "the class dict"),
        ],
    )
    def test_what_is_no_more_than_its_address(self, value: object, named: str) -> None:
        error = str(self.returning(value).error)
        assert error.startswith(f"The tool 'tool' returned {named}, which has no text for the model; return a str, ")
        assert "0x" not in error

    def test_an_address_inside_of_what_python_writes(self) -> None:
        class Order:
            def __repr__(self) -> str:
                return f"Order({object()!r})"

        assert "an object of type Order, which has no text" in str(self.returning(Order()).error)

    def test_an_agent_that_was_not_made_properly(self) -> None:
        class Kitchen(Agent):
            def __init__(self) -> None:
                pass

        outcome = self.returning(Kitchen())
        assert (outcome.agent, outcome.is_error) == (None, True)
        assert "Kitchen.__init__ has not called super().__init__(instructions=...)" in str(outcome.error)


class TestExits:
    @pytest.mark.parametrize("plain", [True, False])
    @pytest.mark.parametrize("code", [3, "bye", None])
    def test_a_tool_cannot_end_the_process(self, plain: bool, code: object) -> None:
        async def leave() -> None:
            sys.exit(code)  # type: ignore[arg-type]

        def leave_plainly() -> None:
            sys.exit(code)  # type: ignore[arg-type]

        outcome = call(function_tool(leave_plainly if plain else leave))
        assert (outcome.output, outcome.is_error) == (INTERNAL_ERROR, True)
        assert str(outcome.error) == (
            f"sys.exit({code!r}) was called; end a call with session.shutdown(), or raise an error."
        )

    def test_in_a_thread_no_keyboard_interrupt_is_a_signal(self) -> None:
        @function_tool
        def leave() -> None:
            raise KeyboardInterrupt

        assert "KeyboardInterrupt was raised; end a call with session.shutdown()" in str(call(leave).error)

    def test_on_the_loop_it_may_be_ctrl_c_and_passes(self) -> None:
        @function_tool
        async def work() -> None:
            raise KeyboardInterrupt

        async def main() -> None:
            with pytest.raises(KeyboardInterrupt):
                await execute(work, FunctionToolCall("work", "", "c"), None)

        virtual.run(main())


class TestSelf:
    @staticmethod
    def refused(owner: type[Agent]) -> str:
        with pytest.raises(UsageError) as caught:
            owner(instructions="x")
        return str(caught.value)

    def test_a_method_without_self_is_told_when_the_agent_is_made(self) -> None:
        class Home(Agent):
            @function_tool
            async def light() -> str:
                return "on"

        assert self.refused(Home) == (
            "The tool 'light' of Home takes no self; write 'light(self, ...)', "
            "or put @staticmethod above @function_tool."
        )

    def test_nor_is_an_argument_or_the_context_taken_for_it(self) -> None:
        class Home(Agent):
            @function_tool
            async def light(room: str) -> str:  # noqa: N805
                return room

        class Flat(Agent):
            @function_tool
            async def light(context: RunContext) -> str:  # noqa: N805
                return "on"

        class Hut(Agent):
            @function_tool
            async def light(*, room: str) -> str:
                return room

        for owner in (Home, Flat, Hut):
            assert "takes no self" in self.refused(owner)

    def test_what_can_be_the_agent_is_taken_for_it(self) -> None:
        class Home(Agent):
            @function_tool
            async def one(this) -> str:  # noqa: N805
                return type(this).__name__

            @function_tool
            async def two(this: "Agent") -> str:  # noqa: N805
                return type(this).__name__

            @function_tool
            async def three(*args: Any) -> str:
                return type(args[0]).__name__

            @staticmethod
            @function_tool
            async def four(room: str) -> str:
                return room

        tools = Home(instructions="x").tool_context
        assert list(tools) == ["one", "two", "three", "four"]
        assert call(tools["one"]).output == call(tools["two"]).output == "Home"
        assert call(tools["four"], room="hall").output == "hall"
