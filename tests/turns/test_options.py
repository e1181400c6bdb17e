"""The settings of turn-taking: what they take, and how it is said where they do not."""

import math
import re
from typing import Any

import pytest

from agent_runtime.errors import UsageError
from agent_runtime.turns.options import Endpointing, Interruption, PreemptiveGeneration, TurnHandling

PARTS: dict[str, Any] = {
    "endpointing": Endpointing(),
    "interruption": Interruption(),
    "preemptive_generation": PreemptiveGeneration(),
}
OPTIONS = [(part, name) for part, defaults in PARTS.items() for name in defaults.__slots__]


@pytest.mark.parametrize(("part", "name"), OPTIONS)
def test_every_option_takes_its_kind_of_value_and_no_other(part: str, name: str) -> None:
    default = getattr(PARTS[part], name)
    flag, whole = isinstance(default, bool), isinstance(default, int)
    allowed = "True or False" if flag else "a whole number from 0 on" if whole else "a number from 0 on"
    values: list[Any] = [default, True, 0, 3, 2.5, -1, -0.5, math.nan, math.inf, "2", [2], None]
    for value in values:
        if flag:
            fits = isinstance(value, bool)
        elif value is None:
            fits = name == "false_interruption_timeout"
        else:
            number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
            fits = number and 0 <= value < math.inf
        given: Any = {part: {name: value, **({"max_delay": 4.0} if name == "min_delay" else {})}}
        if name == "max_delay":
            given[part]["min_delay"] = 0.0
        if fits:
            assert getattr(getattr(TurnHandling.of(given), part), name) == value
        else:
            with pytest.raises(
                UsageError, match=re.escape(f"turn_handling {part} {name} is {value!r}; it takes {allowed}.")
            ):
                TurnHandling.of(given)


@pytest.mark.parametrize("mute", [5, None, "always", ["during_tools", 5]])
def test_a_mute_that_is_none_is_refused(mute: Any) -> None:
    with pytest.raises(
        UsageError, match=r"turn_handling mute has .*; it takes 'until_first_reply', 'during_tools' or a"
    ):
        TurnHandling.of({"mute": mute})


@pytest.mark.parametrize("mute", ["during_tools", ["during_tools"], bool, (bool, "until_first_reply")])
def test_a_mute_may_be_one_or_several(mute: Any) -> None:
    assert TurnHandling.of({"mute": mute}).mute == (
        mute if isinstance(mute, tuple) else (mute,) if not isinstance(mute, list) else tuple(mute)
    )
