from typing import Literal

import pytest

from agent_runtime.tools import function_tool
from tests.providers.local.typed import HOUSE, SHOP, Call, Calls, called


class TestNotToDo:
    @pytest.mark.parametrize(
        ("text", "answer"),
        [
            ("do not turn off the kitchen light", "Okay, I will not turn off the kitchen light."),
            ("please don't turn on the light in the garage", "Okay, I will not turn on the light in the garage."),
            ("Don’t turn off my kitchen light!", "Okay, I will not turn off your kitchen light."),
            ("never turn on the kitchen light", "Okay, I will not turn on the kitchen light."),
            ("could you please not set a timer for ten minutes", "Okay, I will not set a timer for ten minutes."),
            ("I don't want you to add milk", "Okay, I will not add milk."),
            ("I'd rather you didn't add milk", "Okay, I will not add milk."),
            ("you don't have to add milk", "Okay, I will not add milk."),
            ("no need to add milk", "Okay, I will not add milk."),
            ("there is no need to add milk", "Okay, I will not add milk."),
            ("no, don't read my list", "Okay, I will not read your list."),
            ("I did not add milk", "Okay, I will not add milk."),
            ("don't add milk and read my list", "Okay, I will not add milk and read your list."),
            ("don't end the call", "Okay, I will not end the call."),
            ("don't hang up", "Okay, I will not hang up."),
            ("don't tell me the time", "Okay, I will not tell you the time."),
            ("add no milk", "Okay, I will not do that."),
            ("add nothing", "Okay, I will not do that."),
            ("turn on the kitchen light, no, don't", "Okay, I will not do that."),
            ("add milk. Never mind.", "Okay, I will not do that."),
            ("don't", "Okay."),
        ],
    )
    def test_it_says_so_and_calls_nothing(self, text: str, answer: str) -> None:
        assert Call([*SHOP, *HOUSE]).say(text) == (answer, [])

    def test_between_two_tools_it_need_not_choose(self) -> None:
        @function_tool
        async def order(item: str) -> None:
            """Order something."""

        @function_tool
        async def order_drink(drink: str) -> None:
            """Order a drink."""

        assert Call([order, order_drink]).say("please don't order tea") == ("Okay, I will not order tea.", [])

    @pytest.mark.parametrize("text", ["do not go gentle into that good night", "I don't like spam", "never", "not"])
    def test_what_no_tool_could_do_is_not_understood(self, text: str) -> None:
        answer, calls = Call(SHOP).say(text)
        assert (answer.startswith("I did not understand"), calls) == (True, [])

    @pytest.mark.parametrize(
        ("text", "calls"),
        [
            ("add milk but not eggs", [("add_item", {"item": "milk"})]),
            ("add milk not eggs", [("add_item", {"item": "milk"})]),
            ("turn on the kitchen light but not the bedroom light", [("turn_on_light", {"room": "kitchen"})]),
            ("don't add milk, add tea", [("add_item", {"item": "tea"})]),
            ("don't add milk but read my list", [("read_list", {})]),
            ("add tea and don't end the call", [("add_item", {"item": "tea"})]),
        ],
    )
    def test_the_rest_is_done(self, text: str, calls: Calls) -> None:
        assert called(text, [*SHOP, *HOUSE]) == calls

    @pytest.mark.parametrize(
        ("text", "calls"),
        [
            ("no, add milk", [("add_item", {"item": "milk"})]),
            ("don't forget to add milk", [("add_item", {"item": "milk"})]),
            ("why don't you add milk", [("add_item", {"item": "milk"})]),
            ("can't you turn on the kitchen light", [("turn_on_light", {"room": "kitchen"})]),
            ("add a no parking sign", [("add_item", {"item": "no parking sign"})]),
            (
                "send a message to Bob saying do not order tea",
                [("send_message", {"to": "Bob", "message": "do not order tea"})],
            ),
            (
                "send a message to Bob saying never mind",
                [("send_message", {"to": "Bob", "message": "never mind"})],
            ),
        ],
    )
    def test_not_every_no_is_one(self, text: str, calls: Calls) -> None:
        assert called(text, [*SHOP, *HOUSE]) == calls

    def test_a_tool_may_be_a_no_itself(self) -> None:
        @function_tool
        async def do_not_disturb() -> None:
            """Be left alone."""

        @function_tool
        async def silence() -> None:
            """Switch the bell off, for example "don't ring tonight"."""

        @function_tool
        async def vote(choice: Literal["yes", "no"]) -> None:
            """Vote."""

        tools = [do_not_disturb, silence, vote]
        assert called("do not disturb", tools) == [("do_not_disturb", {})]
        assert called("don't ring tonight", tools) == [("silence", {})]
        assert called("vote no", tools) == [("vote", {"choice": "no"})]
