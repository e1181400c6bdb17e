import random

import pytest

from agent_runtime.trace.table import call_table, clock, percentile, shared, transcript, waterfall_line
from agent_runtime.trace.waterfall import Waterfall, waterfalls
from tests.trace.sample_call import events as sample_call


def turn(
    number: int = 3,
    *,
    tool: float | None = None,
    played: float | None = 0.02,
    gap: float | None = 1.02,
    tools: tuple[str, ...] = (),
    tags: tuple[str, ...] = (),
) -> Waterfall:
    return Waterfall(
        turn=number, speech_id="s", began=10.0, gap=gap, commit=0.5, transcript=0.0, first_token=0.2, tool=tool,
        first_clause=0.1, first_sample=0.2, played=played, tools=tools, tags=tags,
    )  # fmt: skip


def test_a_turn_in_one_line() -> None:
    assert waterfall_line(turn()) == (
        "turn 3  1.02 s  speech end +0.50 commit +0.00 transcript +0.20 first token +0.10 first clause"
        " +0.20 first sample +0.02 played"
    )


def test_a_tool_is_named_and_a_reply_that_was_never_heard_has_no_total() -> None:
    assert waterfall_line(turn(tool=0.3, tools=("add_item",), tags=("tool",))).endswith("played  (tool add_item)")
    cancelled = waterfall_line(turn(played=None, gap=None, tags=("interrupted",)))
    assert cancelled.startswith("turn 3  -  speech end +0.50 commit")
    assert cancelled.endswith("+0.20 first sample  (interrupted)")


def test_hundredths_sum_to_the_total_shown() -> None:
    rng = random.Random(5)
    for _ in range(300):
        parts = [rng.choice([0.0, rng.uniform(0, 0.02), rng.uniform(0, 2)]) for _ in range(rng.randrange(1, 8))]
        units = shared(parts, 0.01)
        assert sum(units) == round(sum(parts) / 0.01)
        assert all(abs(unit - part / 0.01) < 1 for unit, part in zip(units, parts, strict=True))


def test_the_table_of_a_call() -> None:
    lines = call_table(waterfalls(sample_call()), title="policy time").splitlines()
    assert lines[0] == "policy time, ms"
    assert (
        lines[1].split() == "turn heard gap commit transcript first token tool first clause first sample played".split()
    )
    rows = [line.split("  (")[0].split() for line in lines if line[:1].isdigit()]
    assert rows[1] == ["2", "1340", "500", "0", "140", "420", "210", "50", "20"]
    assert rows[0] == ["1", "770", "500", "0", "140", "-", "60", "50", "20"]
    for row in rows:
        assert sum(int(cell) for cell in row[2:] if cell != "-") == int(row[1])
    assert lines[-2].split() == ["median", "830", "500", "0", "140", "210", "60", "50", "20"]
    assert lines[-1].split()[:3] == ["p90", "1130", "560"]
    assert lines[4].endswith("(tool set_light; reopened)")


def test_the_table_of_a_call_without_turns() -> None:
    assert call_table([], title="machine time").splitlines()[0] == "machine time, ms"
    assert call_table([], title="machine time").endswith("no turn")


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([1.0, None, 3.0], 0.5, 2.0), ([7.0], 0.9, 7.0), ([None], 0.5, None), ([0.0, 1.0, 2.0, 3.0, 10.0], 0.9, 7.2)],
)
def test_percentiles_are_of_what_is_known(values: list[float | None], share: float, expected: float | None) -> None:
    assert percentile(values, share) == (expected if expected is None else pytest.approx(expected))


def test_the_transcript_strikes_what_was_cut() -> None:
    lines = transcript(sample_call()).splitlines()
    assert lines[1] == "0:04.1  caller  what time is it"
    assert "0:16.2  caller  (no words)" in lines
    cut = "0:22.8  agent   Nine times seven is sixty three. If you like ~~I can do longer sums too, one after the other.~~"
    assert cut in lines


def test_times_over_a_minute() -> None:
    assert [clock(0.04), clock(7.26), clock(59.96), clock(3671.0)] == ["0:00.0", "0:07.3", "1:00.0", "61:11.0"]
