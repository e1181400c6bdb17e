import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from itertools import product

import pytest

from agent_runtime.chat import ChatContext, FunctionCall, FunctionCallOutput
from agent_runtime.errors import UsageError
from agent_runtime.providers.local import grammar, phrases, rules_numbers, rules_talk
from agent_runtime.providers.local.rules import NO_MODEL, RulesLLM
from agent_runtime.tool_runs import STILL_RUNNING
from agent_runtime.tools import INTERNAL_ERROR, FunctionTool, ToolChoice, function_tool, tool_hint
from tests.providers.local.typed import HOUSE, SHOP, Call, Calls, called, said

# Phrases of the grammar, spelled out


def spelled_out(pattern: str, **references: str) -> list[str]:
    """Every phrase that a pattern of the grammar stands for; a reference stands for what is given for it."""
    tokens = re.findall(r"[\[\]()|]|<\w+>|[^\[\]()|<>\s]+", pattern)
    return [" ".join(phrase.split()) for phrase in _alternatives(tokens, references)]


def _alternatives(tokens: list[str], references: dict[str, str]) -> list[str]:
    found = _sequence(tokens, references)
    while tokens and tokens[0] == "|":
        tokens.pop(0)
        found += _sequence(tokens, references)
    return found


def _sequence(tokens: list[str], references: dict[str, str]) -> list[str]:
    parts: list[list[str]] = []
    while tokens and tokens[0] not in ("|", ")", "]"):
        token = tokens.pop(0)
        if token in ("(", "["):
            inner = _alternatives(tokens, references)
            parts.append(inner if tokens.pop(0) == ")" else ["", *inner])
        else:
            parts.append([references[token.strip("<>")] if token.startswith("<") else token])
    return [" ".join(choice) for choice in product(*parts)]


def grammar_phrases() -> Iterator[tuple[str, str]]:
    for intent in phrases.INTENTS:
        for pattern in phrases.patterns(intent):
            for phrase in spelled_out(pattern, number="seven", operator="times"):
                yield intent, phrase


class TestGrammar:
    def test_each_phrase_that_the_recogniser_may_hear_is_understood(self) -> None:
        heard = list(grammar_phrases())
        assert len(heard) > 300
        assert [(intent, phrase) for intent, phrase in heard if rules_talk.intent(phrase) != intent] == []

    def test_each_intent_has_an_answer(self) -> None:
        for intent in phrases.INTENTS:
            phrase = spelled_out(phrases.patterns(intent)[0], number="seven", operator="times")[0]
            answer = said(phrase)
            assert answer
            assert "not understand" not in answer

    def test_each_phrase_for_a_tool_calls_it(self) -> None:
        heard = 0
        for tool in SHOP + HOUSE[:2]:
            hint = tool_hint(tool)
            slots = dict.fromkeys(hint.arguments, "<it>")
            value = "kitchen" if "room" in slots else "milk"
            for pattern in grammar.tool_patterns(hint, slots, lambda word: True):
                for phrase in spelled_out(pattern, it=value):
                    heard += 1
                    calls = called(phrase, SHOP if tool in SHOP else HOUSE)
                    assert calls == [(tool.name, dict.fromkeys(slots, value))], phrase
        assert heard > 100


class TestTalk:
    @pytest.mark.parametrize(
        ("text", "answer"),
        [
            ("hello", "Hello! What can I do for you?"),
            ("Good evening!", "Good evening! What can I do for you?"),
            ("how are you", "I am fine, thank you. What can I do for you?"),
            ("What time is it?", "It is nine thirty in the morning."),
            ("hello, could you please tell me the time", "It is nine thirty in the morning."),
            ("what's the date today", "Today is Monday, the fifth of January."),
            ("which year is it", "It is two thousand and twenty-six."),
            ("thank you very much", "You are welcome."),
            ("wait a moment", "Take your time."),
            ("stop", "Okay."),
            ("no", "Okay."),
            ("yes please", "Okay."),
            ("bye", "Good-bye!"),
            ("No, that's all.", "Good-bye!"),
            ("", "I did not catch that, please say it again."),
        ],
    )
    def test_answers(self, text: str, answer: str) -> None:
        assert said(text) == answer

    @pytest.mark.parametrize(
        ("hour", "minute", "spoken"),
        [
            (0, 0, "midnight"),
            (0, 5, "twelve oh five in the morning"),
            (9, 0, "nine o'clock in the morning"),
            (12, 0, "noon"),
            (12, 1, "twelve oh one in the afternoon"),
            (17, 59, "five fifty-nine in the afternoon"),
            (23, 40, "eleven forty in the evening"),
        ],
    )
    def test_the_time_in_words(self, hour: int, minute: int, spoken: str) -> None:
        now = datetime(2026, 1, 5, hour, minute, tzinfo=UTC)
        assert rules_talk.reply("time", "", ChatContext.empty(), now, []) == f"It is {spoken}."

    @pytest.mark.parametrize(
        ("instructions", "answer"),
        [
            ("You are Ada, a shop assistant.", "My name is Ada."),
            ("Your name is Ada Lovelace. Be kind.", "My name is Ada Lovelace."),
            ("You are a waiter in a small restaurant.", "I have no name, I am a waiter in a small restaurant."),
            ("Be brief.", "Nobody has given me a name."),
        ],
    )
    def test_its_name_comes_from_the_instructions(self, instructions: str, answer: str) -> None:
        assert said("what is your name", instructions=instructions) == answer

    def test_it_repeats_what_it_said_last(self) -> None:
        call = Call()
        assert call.say("say that again")[0] == "I have not said anything yet."
        first = call.say("what is seven times six")[0]
        assert call.say("pardon")[0] == first
        assert call.say("say that again please")[0] == first

    @pytest.mark.parametrize(
        "text",
        [
            "repeat",
            "Repeat, please.",
            "can you repeat",
            "could you please say that again",
            "say it once more",
            "again",
            "one more time",
            "repeat your last answer",
        ],
    )
    def test_each_way_to_ask_for_it(self, text: str) -> None:
        call = Call(SHOP)
        first = call.say("what is seven times six")[0]
        assert call.say(text) == (first, [])

    def test_it_repeats_what_it_said_before_a_tool_call_and_after_it(self) -> None:
        call = Call(SHOP)
        assert len(call.say("what time is it and add milk")[1]) == 1
        assert call.say("repeat") == ("It is nine thirty in the morning. Ok.", [])

    def test_a_tool_that_repeats_comes_first(self) -> None:
        @function_tool
        async def repeat() -> None:
            """Repeat the song."""

        @function_tool
        async def say(text: str) -> None:
            """Say something."""

        assert called("repeat", [repeat]) == [("repeat", {})]
        assert called("say that again", [say]) == []

    def test_help_tells_of_the_tools(self) -> None:
        answer = said("what can you do", SHOP)
        assert answer.startswith(
            "I can add an item to the shopping list, remove an item from the shopping list and read the shopping list."
        )
        assert "end the call" not in answer
        assert "I can also tell the time" in answer

    def test_unasked_it_greets(self) -> None:
        call = Call()
        assert call.ask()[0] == "Hello! What can I do for you?"

    def test_unasked_it_says_what_it_is_told_to(self) -> None:
        call = Call()
        call.say("hello")
        call.ctx.add_message(role="system", content='Say: "We close in ten minutes."')
        assert call.ask()[0] == "We close in ten minutes."

    def test_instructions_for_one_answer_do_not_hide_the_question(self) -> None:
        call = Call()
        call.ctx.add_message(role="user", content="what time is it")
        call.ctx.add_message(role="system", content="Be polite.")
        assert call.ask()[0] == "It is nine thirty in the morning."


class TestSums:
    @pytest.mark.parametrize(
        ("text", "answer"),
        [
            ("what is seven times six", "Seven times six is forty-two."),
            ("7*6", "Seven times six is forty-two."),
            ("how much is a hundred and five plus two", "One hundred and five plus two is one hundred and seven."),
            ("Ten divided by four?", "Ten divided by four is two point five."),
            ("10/3", "Ten divided by three is about three point three three."),
            ("what does two plus two make", "Two plus two is four."),
            ("two plus three times four", "Two plus three times four is fourteen."),
            ("five minus seven", "Five minus seven is minus two."),
            ("ten over zero", "I cannot divide by zero."),
            ("ten percent of fifty", "Ten percent of fifty is five."),
            ("seven squared", "Seven to the power of two is forty-nine."),
            ("the square root of 16", "The square root of sixteen is four."),
            ("so what is 1,000 + 1 please", "One thousand plus one is one thousand and one."),
        ],
    )
    def test_answers(self, text: str, answer: str) -> None:
        assert said(text) == answer

    @pytest.mark.parametrize("text", ["seven six", "plus", "two plus", "9 to the power of 99999", "the time minus two"])
    def test_what_is_no_sum(self, text: str) -> None:
        assert rules_numbers.arithmetic(text) is None

    @pytest.mark.parametrize("value", [*range(101), 110, 999, 1000, 1001, 1100, 20_019, 123_456, 999_999])
    def test_numbers_are_read_as_they_are_spelled(self, value: int) -> None:
        words = rules_numbers.spell(value).replace("-", " ").split()
        assert rules_numbers.read_number(words) == (Fraction(value), len(words))

    def test_days_of_the_month(self) -> None:
        days = [rules_numbers.ordinal(day) for day in (1, 2, 3, 4, 5, 8, 12, 20, 21, 22, 30, 31)]
        assert (
            days
            == (
                "first second third fourth fifth eighth twelfth twentieth twenty-first twenty-second thirtieth thirty-first"
            ).split()
        )


class TestTools:
    @pytest.mark.parametrize(
        ("text", "items"),
        [
            ("add milk to my shopping list", ["milk"]),
            ("put eggs on the list", ["eggs"]),
            ("add milk and eggs", ["milk", "eggs"]),
            ("Please add some bread, butter and cheese to the list.", ["bread", "butter", "cheese"]),
            ("can you add Oat Milk please", ["Oat Milk"]),
            ("add milk to the list and eggs", ["milk", "eggs"]),
            ("hello add two bottles of milk", ["two bottles of milk"]),
            ("I would like to add tea to it", ["tea"]),
        ],
    )
    def test_free_text(self, text: str, items: list[str]) -> None:
        assert called(text, SHOP) == [("add_item", {"item": item}) for item in items]

    @pytest.mark.parametrize(
        ("text", "calls"),
        [
            ("take milk off the list", [("remove_item", {"item": "milk"})]),
            ("what is on my shopping list", [("read_list", {})]),
            ("read me the list please", [("read_list", {})]),
            ("my shopping list", [("read_list", {})]),
            ("What do I still need?", [("read_list", {})]),
            ("add milk and read my list", [("add_item", {"item": "milk"}), ("read_list", {})]),
            ("remove the milk and add eggs", [("remove_item", {"item": "milk"}), ("add_item", {"item": "eggs"})]),
        ],
    )
    def test_verbs_nouns_and_examples(self, text: str, calls: Calls) -> None:
        assert called(text, SHOP) == calls

    @pytest.mark.parametrize(
        ("text", "calls"),
        [
            ("turn on the light in the kitchen", [("turn_on_light", {"room": "kitchen"})]),
            ("switch the garage light off please", [("turn_off_light", {"room": "garage"})]),
            (
                "turn on the kitchen light and the bedroom light",
                [("turn_on_light", {"room": "kitchen"}), ("turn_on_light", {"room": "bedroom"})],
            ),
            ("set a timer for ten minutes", [("set_timer", {"minutes": 10})]),
            ("What is the weather in New York?", [("get_weather", {"city": "New York"})]),
            ("how's the weather in São Paulo today", [("get_weather", {"city": "São Paulo"})]),
            ("book a table for two at seven", [("book_table", {"people": 2, "time": "seven"})]),
            (
                "send a message to Bob saying I am late",
                [("send_message", {"to": "Bob", "message": "I am late"})],
            ),
            (
                "turn on the kitchen light and set a timer for twenty five minutes",
                [("turn_on_light", {"room": "kitchen"}), ("set_timer", {"minutes": 25})],
            ),
        ],
    )
    def test_values_numbers_and_several_texts(self, text: str, calls: Calls) -> None:
        assert called(text, HOUSE) == calls

    @pytest.mark.parametrize(
        "text",
        [
            "read me a poem",
            "what is the capital of france",
            "milk",
            "to my list",
            "is the shop open",
            "a list of x y z",
        ],
    )
    def test_what_is_not_clear_calls_nothing(self, text: str) -> None:
        assert called(text, SHOP) == []

    def test_between_two_it_asks(self) -> None:
        call = Call(HOUSE[:2])
        answer, calls = call.say("turn the kitchen light")
        assert calls == []
        assert "not understand" in answer or answer.startswith("Did you mean")

    def test_lists_numbers_flags(self) -> None:
        @function_tool
        async def order(items: list[str]) -> None:
            """Order something."""

        @function_tool
        async def set_alarm(enabled: bool) -> None:
            """Set the alarm."""

        @function_tool
        async def set_temperature(degrees: float) -> None:
            """Set the temperature."""

        tools = [order, set_alarm, set_temperature]
        assert called("order tea and milk", tools) == [("order", {"items": ["tea", "milk"]})]
        assert called("set the alarm to off", tools) == [("set_alarm", {"enabled": False})]
        assert called("set the temperature to twenty one point five degrees", tools) == [
            ("set_temperature", {"degrees": 21.5})
        ]

    def test_a_tool_comes_before_what_the_rules_know_themselves(self) -> None:
        @function_tool
        async def get_time() -> None:
            """Tell the time."""

        assert called("what time is it", [get_time]) == [("get_time", {})]

    @pytest.mark.parametrize(
        "text",
        [
            "take a walk",
            "I put on my shoes",
            "put your hands up",
            "drop dead",
            "cross the road",
            "note that I am late",
            "the remove button",
            "could you take a seat",
        ],
    )
    def test_a_verb_that_only_means_the_same_needs_more_than_itself(self, text: str) -> None:
        answer, calls = Call(SHOP).say(text)
        assert calls == []
        assert "I did not understand" in answer

    def test_small_talk_and_a_tool_in_one_sentence(self) -> None:
        answer, calls = Call(SHOP).say("add milk and what time is it")
        assert calls == [("add_item", {"item": "milk"})]
        assert answer.startswith("It is nine thirty")


class TestOutcomes:
    @pytest.mark.parametrize(
        ("output", "spoken"),
        [
            ("milk is on the list", "Milk is on the list."),
            ("Really?", "Really?"),
            ("", "Done."),
            ("true", "Yes."),
            ("3", "3."),
            ("[]", "Nothing."),
            ('["milk", "tea", "eggs"]', "Milk, tea and eggs."),
            ('{"city_name": "Paris", "sunny": true}', "City name is Paris and sunny is yes."),
        ],
    )
    def test_they_are_said_as_a_sentence(self, output: str, spoken: str) -> None:
        call = Call(SHOP)
        call.outputs["read_list"] = output
        assert call.say("read my list")[0] == spoken

    def test_each_is_said_once(self) -> None:
        assert Call(SHOP).say("add milk and eggs")[0] == "Ok."

    @pytest.mark.parametrize(
        ("output", "spoken"),
        [
            ("The shop is closed", "Sorry, that did not work: The shop is closed."),
            (INTERNAL_ERROR, "Sorry, read list failed."),
        ],
    )
    def test_failures(self, output: str, spoken: str) -> None:
        call = Call(SHOP)
        call.ctx.add_message(role="user", content="read my list")
        call.ctx.insert(FunctionCall(call_id="c", name="read_list", arguments="{}"))
        call.ctx.insert(FunctionCallOutput(call_id="c", name="read_list", output=output, is_error=True))
        assert call.ask()[0] == spoken

    def test_a_call_that_still_runs_does_not_go_before_what_the_user_says_meanwhile(self) -> None:
        call = Call(SHOP)
        call.ctx.insert(FunctionCall(call_id="c", name="read_list", arguments="{}", created_at=1.0))
        call.ctx.add_message(role="user", content="what time is it", created_at=2.0)
        call.ctx.insert(FunctionCallOutput(call_id="c", output="still running", is_error=False, created_at=3.0))
        assert call.ask()[0] == "It is nine thirty in the morning."

    @pytest.mark.parametrize(
        ("instructions", "spoken"), [("", "One moment, please."), ('Say "I am looking."', "I am looking.")]
    )
    def test_of_a_call_that_still_runs_the_caller_hears_no_line_meant_for_a_model(
        self, instructions: str, spoken: str
    ) -> None:
        call = Call(SHOP)
        call.ctx.add_message(role="user", content="read my list", created_at=1.0)
        call.ctx.insert(FunctionCall(call_id="c", name="read_list", arguments="{}", created_at=2.0))
        call.ctx.insert(FunctionCallOutput(call_id="c", output=STILL_RUNNING, is_error=False, created_at=3.0))
        if instructions:
            call.ctx.add_message(role="system", content=instructions, created_at=4.0)
        assert call.ask() == (spoken, [])

    def test_a_result_goes_before_a_call_that_still_runs(self) -> None:
        call = Call(SHOP)
        call.ctx.add_message(role="user", content="read my list and add milk", created_at=1.0)
        for number, output in enumerate(("milk", STILL_RUNNING)):
            call.ctx.insert(FunctionCall(call_id=f"c{number}", name="read_list", arguments="{}", created_at=2.0))
            call.ctx.insert(FunctionCallOutput(call_id=f"c{number}", output=output, is_error=False, created_at=3.0))
        assert call.ask()[0] == "Milk."

    def test_a_result_that_comes_late_is_told(self) -> None:
        call = Call(SHOP)
        call.ctx.insert(FunctionCall(call_id="c", name="read_list", arguments="{}", created_at=1.0))
        call.ctx.add_message(role="user", content="what time is it", created_at=2.0)
        call.ctx.add_message(role="assistant", content="It is noon.", created_at=3.0)
        call.ctx.insert(FunctionCallOutput(call_id="c", output="milk", is_error=False, created_at=4.0))
        assert call.ask()[0] == "Milk."


class TestGoodbye:
    @pytest.mark.parametrize("text", ["goodbye", "thank you, bye", "that is all", "end the call", "hang up"])
    def test_it_says_so_and_ends_the_call(self, text: str) -> None:
        call = Call(SHOP)
        call.ctx.add_message(role="user", content=text)
        chunks = [chunk.delta for chunk in call.chunks() if chunk.delta]
        assert [delta.content for delta in chunks] == ["Good-bye!", None]
        assert [call.name for call in chunks[-1].tool_calls] == ["end_call"]

    def test_a_tool_that_says_that_it_ends_the_call_will_do(self) -> None:
        @function_tool
        async def finish() -> None:
            """Hang up when the caller is done."""

        assert Call([finish]).say("goodbye")[1] == [("finish", {})]

    def test_a_name_that_begins_like_one_ends_nothing(self) -> None:
        @function_tool
        async def hang_up_the_picture() -> None:
            """Hang up the picture on the wall."""

        assert Call([hang_up_the_picture]).say("hang up the picture") == ("Ok.", [("hang_up_the_picture", {})])
        assert Call([hang_up_the_picture]).say("goodbye") == ("Good-bye!", [])
        assert Call([hang_up_the_picture, *SHOP]).say("hang up")[1] == [("end_call", {})]

    @pytest.mark.parametrize(
        ("description", "ends"),
        [
            ("Hang up.", True),
            ("Hang up", True),
            ("Use this to hang up when the caller is done.", True),
            ("Say good-bye and end the call.", True),
            ("Politely ends this conversation.", True),
            ("Hang up the phone.", True),
            ("Hang up a picture.", False),
            ("Hang up washing on the line.", False),
            ("Save the notes before you end the call.", False),
            ("Ask a colleague. Does not end the call.", False),
        ],
    )
    def test_what_a_description_says(self, description: str, ends: bool) -> None:
        async def finish() -> None: ...

        tool = function_tool(finish, description=description)
        assert Call([tool]).say("goodbye")[1] == ([("finish", {})] if ends else [])

    def test_a_name_is_not_believed_against_the_description(self) -> None:
        @function_tool
        async def hang_up() -> None:
            """Hang up a picture."""

        assert Call([hang_up]).say("goodbye") == ("Good-bye!", [])

    def test_without_a_tool_it_only_says_so(self) -> None:
        assert Call().say("goodbye") == ("Good-bye!", [])


class TestNotUnderstood:
    def test_it_says_what_it_heard_and_how_to_have_a_model_and_is_brief_the_next_time(self) -> None:
        call = Call(SHOP)
        first = call.say("what is the capital of France?")[0]
        assert first.startswith('I did not understand "what is the capital of France". ')
        assert NO_MODEL in first
        assert "llm=" in first
        second = call.say("who wrote Hamlet")[0]
        assert second == 'I did not understand "who wrote Hamlet". Say "help" to hear what I can do.'

    def test_a_long_text_is_not_said_back_in_full(self) -> None:
        assert len(said("blah " * 200)) < 300

    @pytest.mark.parametrize("text", ["add milk to my list", "goodbye", "yes"])
    def test_what_was_hardly_heard_does_nothing(self, text: str) -> None:
        answer, calls = Call(SHOP).say(text, confidence=0.2)
        assert calls == []
        assert answer.startswith(f'I did not understand "{text}".')

    def test_what_was_hardly_heard_may_still_be_a_harmless_question(self) -> None:
        assert Call(SHOP).say("what time is it", confidence=0.2)[0] == "It is nine thirty in the morning."

    def test_what_was_well_heard_is_done(self) -> None:
        assert Call(SHOP).say("add milk", confidence=0.9)[1] == [("add_item", {"item": "milk"})]


class TestToolChoice:
    @staticmethod
    def choose(text: str, choice: ToolChoice, tools: Sequence[FunctionTool] = SHOP) -> Calls:
        call = Call(tools)
        call.ctx.add_message(role="user", content=text)
        return [(each.name, json.loads(each.arguments)) for each in call.ask(choice)[1]]

    def test_none(self) -> None:
        assert self.choose("add milk", "none") == []
        assert self.choose("goodbye", "none") == []

    def test_auto(self) -> None:
        assert self.choose("add milk", "auto") == [("add_item", {"item": "milk"})]

    def test_required(self) -> None:
        assert len(self.choose("nothing that any tool knows", "required")) == 1

    def test_one_by_name(self) -> None:
        choice: ToolChoice = {"type": "function", "function": {"name": "remove_item"}}
        assert self.choose("milk", choice) == [("remove_item", {"item": "milk"})]

    def test_one_that_is_not_there(self) -> None:
        with pytest.raises(UsageError, match="'fly'"):
            self.choose("x", {"type": "function", "function": {"name": "fly"}})

    def test_required_without_tools(self) -> None:
        with pytest.raises(UsageError, match="at least one tool"):
            self.choose("x", "required", [])


class TestStream:
    def test_it_streams_word_by_word(self) -> None:
        call = Call()
        call.ctx.add_message(role="user", content="what time is it")
        words = [chunk.delta.content for chunk in call.chunks() if chunk.delta]
        assert words == ["It ", "is ", "nine ", "thirty ", "in ", "the ", "morning."]

    def test_two_runs_are_the_same(self) -> None:
        def run() -> list[object]:
            call = Call(SHOP)
            call.ctx.add_message(role="user", content="add milk and eggs")
            return [*call.chunks(), *call.chunks()]

        assert run() == run()

    def test_no_two_calls_share_an_id(self) -> None:
        call = Call(SHOP)
        call.ctx.add_message(role="user", content="add milk and eggs")
        calls = [*call.ask()[1], *call.ask()[1]]
        assert len({each.call_id for each in calls}) == len(calls) == 4

    def test_nothing_leaves_the_machine(self) -> None:
        assert (RulesLLM().label, RulesLLM().leaves_machine) == ("local/rules", False)
