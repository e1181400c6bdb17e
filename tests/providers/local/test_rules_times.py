import pytest

from agent_runtime.providers.local import rules_times
from agent_runtime.tools import function_tool
from tests.providers.local.typed import HOUSE, Call, called


class TestTimes:
    @pytest.mark.parametrize(
        ("text", "hour", "minute"),
        [
            ("half past six", 6, 30),
            ("half six", 6, 30),
            ("quarter past six", 6, 15),
            ("a quarter after six", 6, 15),
            ("a quarter to seven", 6, 45),
            ("quarter of seven", 6, 45),
            ("ten to seven", 6, 50),
            ("ten to one", 12, 50),
            ("twenty-five past eight", 8, 25),
            ("five minutes to nine", 8, 55),
            ("seventeen past three", 3, 17),
            ("noon", 12, 0),
            ("twelve noon", 12, 0),
            ("midnight", 0, 0),
            ("five to midnight", 23, 55),
            ("half past midnight", 0, 30),
            ("6:30", 6, 30),
            ("seven thirty", 7, 30),
            ("seven oh five", 7, 5),
            ("seven o'clock", 7, 0),
            ("6 pm", 18, 0),
            ("6pm", 18, 0),
            ("twelve am", 0, 0),
            ("half past six in the evening", 18, 30),
            ("ten at night", 22, 0),
            ("six in the morning", 6, 0),
        ],
    )
    def test_they_are_read(self, text: str, hour: int, minute: int) -> None:
        @function_tool
        async def set_clock(hour: int, minute: int) -> None:
            """Set the clock."""

        assert called(f"set the clock to {text}", [set_clock]) == [("set_clock", {"hour": hour, "minute": minute})]

    def test_the_minutes_are_not_lost_where_there_is_no_place_for_them(self) -> None:
        @function_tool
        async def set_opening_hour(hour: int) -> None:
            """Set the opening hour."""

        call = Call([set_opening_hour])
        assert call.say("set the opening hour to half past six") == ("What number for hour?", [])
        assert call.say("noon")[1] == [("set_opening_hour", {"hour": 12})]

        @function_tool
        async def set_closing_hour(hour: float) -> None:
            """Set the closing hour."""

        assert called("set the closing hour to half past six", [set_closing_hour]) == [
            ("set_closing_hour", {"hour": 6.5})
        ]

    @pytest.mark.parametrize("time", ["half past six", "ten to seven", "noon", "six", "6:30", "seven o'clock"])
    def test_they_are_no_count(self, time: str) -> None:
        booked = [("book_table", {"people": 2, "time": time})]
        assert called(f"book a table at {time} for two", HOUSE) == booked
        assert called(f"book a table for two at {time}", HOUSE) == booked
        call = Call(HOUSE)
        assert call.say(f"book a table at {time}") == ("What number for people?", [])
        assert call.say("two")[1] == booked

    def test_nor_a_duration(self) -> None:
        assert Call(HOUSE).say("set a timer for half past six") == ("How many minutes?", [])
        assert called("set a timer for twenty-five minutes", HOUSE) == [("set_timer", {"minutes": 25})]

    @pytest.mark.parametrize(
        "text", ["", "six", "from ten to seven", "half a loaf", "two to seven", "quarter", "25:10"]
    )
    def test_what_is_none(self, text: str) -> None:
        assert rules_times.find_time(text.split()) is None
