import pytest

from agent_runtime.inference.availability import LEARNED_AFTER, UNLEARNED_S, Availability


def test_all_are_asked_in_order_and_those_that_are_down_are_left_out() -> None:
    known = Availability([None, None, None])
    assert known.order() == [0, 1, 2]
    known.failed(0, 1.0)
    assert known.order() == [1, 2]
    known.failed(2, 1.0)
    assert known.order() == [1]


def test_where_all_are_down_all_are_asked_and_nobody_is_probed() -> None:
    known = Availability([None, None])
    known.failed(0, 1.0)
    known.failed(1, 1.0)
    assert known.order() == [0, 1]
    assert known.due(1000.0) == []


def test_who_is_down_is_probed_after_a_while_and_later_each_time_in_vain() -> None:
    known = Availability([None, None])
    at = 100.0
    for wait in (5.0, 10.0, 20.0, 40.0, 60.0, 60.0):
        known.failed(0, at)
        assert known.due(at + wait - 0.1) == []
        assert known.due(at + wait) == [0]
        at += wait


def test_who_answers_is_up_and_its_next_failure_is_the_first_again() -> None:
    known = Availability([None, None])
    known.failed(0, 0.0)
    known.failed(0, 5.0)
    known.answered(0, 0.3)
    assert known.order() == [0, 1]
    known.failed(0, 20.0)
    assert known.due(25.0) == [0]


def test_a_fixed_hedge_and_none() -> None:
    known = Availability([None, 0.6, None])
    assert known.hedge_after(1, 0) == 0.6
    assert known.hedge_after(2, 1) is None


def test_a_learned_hedge_is_the_ninth_tenth_of_what_the_one_before_takes() -> None:
    known = Availability([None, "p90"])
    for _ in range(LEARNED_AFTER - 1):
        known.answered(0, 0.2)
    assert known.hedge_after(1, 0) == UNLEARNED_S
    known.answered(0, 0.2)
    assert known.hedge_after(1, 0) == pytest.approx(0.2)
    for number in range(200):
        known.answered(0, 0.1 + (number % 10) / 10)
    assert known.hedge_after(1, 0) == pytest.approx(0.9, abs=0.15)
