from typing import Literal

import pytest

from agent_runtime.tools import FunctionTool, function_tool
from tests.providers.local.typed import HOUSE, SHOP, Call, Calls


class TestMissingArguments:
    @pytest.mark.parametrize(
        ("tools", "text", "question", "reply", "calls"),
        [
            (SHOP, "add something", "What should I add?", "milk", [("add_item", {"item": "milk"})]),
            (
                SHOP,
                "add an item",
                "What should I add?",
                "some milk and eggs please",
                [("add_item", {"item": "milk"}), ("add_item", {"item": "eggs"})],
            ),
            (
                HOUSE,
                "turn on the light",
                "Which room: kitchen, bedroom or garage?",
                "in the kitchen",
                [("turn_on_light", {"room": "kitchen"})],
            ),
            (HOUSE, "set a timer", "How many minutes?", "five", [("set_timer", {"minutes": 5})]),
            (
                HOUSE,
                "book a table for two",
                "At what time?",
                "at seven",
                [("book_table", {"people": 2, "time": "seven"})],
            ),
            (HOUSE, "what's the weather", "Which city?", "in Paris", [("get_weather", {"city": "Paris"})]),
        ],
    )
    def test_they_are_asked_for(
        self, tools: list[FunctionTool], text: str, question: str, reply: str, calls: Calls
    ) -> None:
        call = Call(tools)
        assert call.say(text) == (question, [])
        assert call.say(reply)[1] == calls

    def test_what_is_no_answer_is_asked_again(self) -> None:
        call = Call(HOUSE)
        question = call.say("turn on the light")[0]
        assert call.say("in the bathroom") == (question, [])

    @pytest.mark.parametrize(
        ("reply", "answer", "calls"),
        [
            ("never mind", "Okay.", []),
            ("what time is it", "It is nine thirty in the morning.", []),
            ("read my list", "Ok.", [("read_list", {})]),
        ],
    )
    def test_the_user_may_go_on_to_something_else(self, reply: str, answer: str, calls: Calls) -> None:
        call = Call(SHOP)
        call.say("add something")
        assert call.say(reply) == (answer, calls)

    def test_a_question_that_was_cut_short_was_asked_too(self) -> None:
        call = Call(HOUSE)
        call.say("turn on the light")
        question = call.ctx.messages()[-1]
        question.content, question.interrupted = ["Which room: kitchen,"], True
        assert call.say("garage")[1] == [("turn_on_light", {"room": "garage"})]

    @pytest.mark.parametrize("reply", ["um", "", "yes", "not tea", "no tea", "I don't know"])
    def test_the_question_stays_open(self, reply: str) -> None:
        call = Call(SHOP)
        question = call.say("add something")[0]
        answer, calls = call.say(reply)
        assert (answer.endswith(question), calls) == (True, [])
        assert call.say("tea")[1] == [("add_item", {"item": "tea"})]

    def test_it_stays_open_where_the_answer_was_wrong_hardly_heard_or_has_to_wait(self) -> None:
        call = Call(HOUSE)
        question = call.say("turn on the light")[0]
        assert call.say("in the bathroom") == (question, [])
        assert call.say("wait a moment") == ("Take your time.", [])
        assert call.say("what did you say") == ("Take your time.", [])
        assert call.say("kitchen", confidence=0.2)[1] == []
        assert call.say("repeat")[0].endswith(question)
        assert call.say("kitchen")[1] == [("turn_on_light", {"room": "kitchen"})]

    @pytest.mark.parametrize(
        ("text", "steps", "calls"),
        [
            (
                "send a message",
                [("To whom?", "Bob"), ("What should it say?", "How are you?")],
                [("send_message", {"to": "Bob", "message": "How are you"})],
            ),
            (
                "book a table",
                [("What number for people?", "two"), ("At what time?", "half past six")],
                [("book_table", {"people": 2, "time": "half past six"})],
            ),
        ],
    )
    def test_one_after_the_other(self, text: str, steps: list[tuple[str, str]], calls: Calls) -> None:
        call = Call(HOUSE)
        for question, answer in steps:
            assert call.say(text) == (question, [])
            text = answer
        assert call.say(text)[1] == calls

    def test_each_of_several_has_a_question_of_its_own(self) -> None:
        @function_tool
        async def order_pizza(topping: str, sauce: str, size: Literal["small", "large"], count: int) -> None:
            """Order a pizza."""

        call = Call([order_pizza])
        assert call.say("order a pizza") == ("What should I order?", [])
        assert call.say("ham") == ("Which sauce?", [])
        assert call.say("tomato") == ("Which size: small or large?", [])
        assert call.say("large please") == ("What number for count?", [])
        assert call.say("three")[1] == [
            ("order_pizza", {"topping": "ham", "sauce": "tomato", "size": "large", "count": 3})
        ]

    @pytest.mark.parametrize(
        ("reply", "item"),
        [
            ("tea", "tea"),
            ("I would like some tea, please", "tea"),
            ("no, tea", "tea"),
            ("light bulbs", "light bulbs"),
            ("a weather station", "weather station"),
            ("tea but not milk", "tea"),
        ],
    )
    def test_a_bare_answer_is_the_argument(self, reply: str, item: str) -> None:
        call = Call([*SHOP, *HOUSE])
        assert call.say("add something")[0] == "What should I add?"
        assert call.say(reply)[1] == [("add_item", {"item": item})]

    @pytest.mark.parametrize("reply", ["no", "no thank you", "nothing", "never mind"])
    def test_the_user_may_want_nothing(self, reply: str) -> None:
        call = Call(SHOP)
        call.say("add something")
        assert call.say(reply) == ("Okay.", [])
        assert call.say("tea")[1] == []

    def test_another_request_is_no_answer(self) -> None:
        call = Call(SHOP)
        question = call.say("add something")[0]
        answer, calls = call.say("can you write a poem")
        assert (answer.startswith("I did not understand"), answer.endswith(question), calls) == (True, True, [])

    def test_several_values(self) -> None:
        call = Call(HOUSE)
        call.say("turn on the light")
        assert call.say("the kitchen and the garage")[1] == [
            ("turn_on_light", {"room": "kitchen"}),
            ("turn_on_light", {"room": "garage"}),
        ]
