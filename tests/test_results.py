"""What a tool's result is to a model."""

import datetime
from typing import Any

import pytest

from agent_runtime.results import as_text


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ({"milk", "bread", "eggs", "tea"}, '["bread","eggs","milk","tea"]'),
        (frozenset({3, 1, 2}), "[1,2,3]"),
        ({"left": {"b", "a"}, "right": [{"d", "c"}]}, '{"left":["a","b"],"right":[["c","d"]]}'),
        ({frozenset({2, 1})}, "[[1,2]]"),
        ({"on": datetime.date(2026, 1, 5)}, '{"on":"2026-01-05"}'),
        (("a", 1), '["a", 1]'),
    ],
)
def test_a_result_is_written_alike_in_every_run(result: Any, text: str) -> None:
    """A set's own order differs from process to process."""
    assert as_text("shop", result) == text
