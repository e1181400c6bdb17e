import random
from itertools import pairwise

import pytest

from agent_runtime.turns.endpointing import COMPLETE, HESITATION_S, OBSERVATIONS, OPEN, SURE, UNSURE, Estimates
from agent_runtime.turns.options import Endpointing

BOUNDS = Endpointing(min_delay=0.5, max_delay=3.0)
GRID = [each / 100 for each in range(101)]


def after_pauses(*pauses: float, bounds: Endpointing = BOUNDS) -> Estimates:
    estimates = Estimates(bounds)
    for each in pauses:
        estimates.pause(each)
    return estimates


def test_nothing_observed_and_surely_complete_is_min_delay_exactly() -> None:
    estimates = Estimates(BOUNDS)
    assert {estimates.min_delay(p) for p in GRID if p >= SURE} == {0.5}
    assert {estimates.min_delay(p) for p in GRID if COMPLETE <= p < SURE} == {0.5 + HESITATION_S}
    assert estimates.min_delay() == estimates.min_delay(None) == 0.5


def test_nothing_observed_and_open_is_max_delay_exactly() -> None:
    assert {Estimates(BOUNDS).min_delay(p) for p in GRID if p <= OPEN} == {3.0}


def test_between_the_two_it_is_graded() -> None:
    assert Estimates(BOUNDS).min_delay((OPEN + COMPLETE) / 2) == pytest.approx((3.0 + 0.5 + HESITATION_S) / 2)


@pytest.mark.parametrize("nothing", [float("nan"), float("inf"), -float("inf")])
def test_no_number_is_no_opinion(nothing: float) -> None:
    assert Estimates(BOUNDS).min_delay(nothing) == 0.5


@pytest.mark.parametrize(("p", "delay"), [(-1.0, 3.0), (7.0, 0.5)])
def test_what_is_no_probability_is_bounded_all_the_same(p: float, delay: float) -> None:
    assert Estimates(BOUNDS).min_delay(p) == delay


def test_few_pauses_say_nothing() -> None:
    estimates = after_pauses(*[1.5] * (OBSERVATIONS - 1))
    assert [estimates.min_delay(p) for p in GRID] == [Estimates(BOUNDS).min_delay(p) for p in GRID]


def test_a_slow_caller_gets_time_where_it_is_not_sure_that_he_is_done() -> None:
    estimates = after_pauses(*[1.5] * OBSERVATIONS)
    assert (
        estimates.min_delay(UNSURE) == estimates.min_delay(COMPLETE) == estimates.min_delay(None) == pytest.approx(1.6)
    )
    assert 0.5 + HESITATION_S < estimates.min_delay((COMPLETE + SURE) / 2) < 1.6
    assert estimates.min_delay(SURE) == 0.5
    assert estimates.min_delay(OPEN) == 3.0


def test_a_quick_caller_is_not_kept_waiting() -> None:
    quick, unknown = after_pauses(*[0.3] * OBSERVATIONS), Estimates(BOUNDS)
    assert quick.min_delay(UNSURE) == 0.5
    assert quick.min_delay(UNSURE) < unknown.min_delay(UNSURE)


def test_the_delay_stays_in_bounds_and_never_rises_with_the_probability() -> None:
    dice = random.Random(3)
    for _ in range(300):
        low = dice.choice([0.0, 0.3, dice.uniform(0, 2)])
        bounds = Endpointing(low, low + dice.choice([0.0, 1e-9, dice.uniform(0, 4)]))
        estimates = Estimates(bounds, complete=dice.uniform(OPEN + 0.01, SURE - 0.01))
        for _ in range(dice.randrange(12)):
            odd = dice.choice([dice.expovariate(1), -1.0, 1e300, float("nan"), float("inf")])
            estimates.pause(odd)
            estimates.lag(odd)
        delays = [estimates.min_delay(p) for p in GRID]
        assert all(above >= below for above, below in pairwise(delays))
        assert all(bounds.min_delay <= each <= bounds.max_delay for each in [*delays, estimates.min_delay(None)])
        assert bounds.min_delay <= estimates.final_due() <= bounds.max_delay


def test_longer_pauses_never_make_it_shorter() -> None:
    before = [0.0] * len(GRID)
    for pause in (0.1, 0.4, 0.7, 1.2, 2.0, 9.0):
        delays = [after_pauses(*[pause] * 8).min_delay(p) for p in GRID]
        assert all(new >= old for new, old in zip(delays, before, strict=True))
        before = delays


def test_the_same_observations_give_the_same_floats() -> None:
    dice = random.Random(4)
    pauses = [dice.expovariate(2) for _ in range(40)]
    one, other = after_pauses(*pauses), after_pauses(*pauses)
    assert [one.min_delay(p) for p in GRID] == [other.min_delay(p) for p in GRID]


def test_when_a_final_is_due() -> None:
    estimates = Estimates(BOUNDS)
    assert estimates.final_due() == 3.0
    for _ in range(OBSERVATIONS):
        estimates.lag(0.8)
    assert estimates.final_due() == pytest.approx(0.9)
    quick = Estimates(BOUNDS)
    for _ in range(OBSERVATIONS):
        quick.lag(-0.2)
    assert quick.final_due() == 0.5


@pytest.mark.parametrize("complete", [0.0, OPEN, SURE, 1.0, float("nan")])
def test_the_threshold_is_between_open_and_sure(complete: float) -> None:
    with pytest.raises(ValueError, match="complete"):
        Estimates(BOUNDS, complete=complete)
