import random

import pytest

from agent_runtime.turns.quantiles import Quantile

PAPER = [
    0.02, 0.15, 0.74, 3.39, 0.83, 22.37, 10.15, 15.43, 38.62, 15.92, 34.60, 10.28, 1.47, 0.40, 0.05, 11.39, 0.27,
    0.42, 0.09, 11.37,
]  # fmt: skip
"""The worked example of Jain and Chlamtac's paper: its median comes out as 4.44."""


def estimate(p: float, observations: list[float]) -> float:
    quantile = Quantile(p)
    for each in observations:
        quantile.add(each)
    assert quantile.value is not None
    return quantile.value


def test_the_papers_example() -> None:
    assert estimate(0.5, PAPER) == pytest.approx(4.44, abs=0.005)


def test_nothing_seen_nothing_told() -> None:
    assert Quantile(0.9).value is None


def test_it_is_exact_for_a_few() -> None:
    assert estimate(0.5, [3.0]) == 3.0
    assert estimate(0.5, [3.0, 1.0, 2.0]) == 2.0
    assert estimate(0.8, [5.0, 1.0, 2.0, 4.0, 3.0]) == 5.0


@pytest.mark.parametrize("p", [0.05, 0.5, 0.8, 0.95])
def test_it_finds_a_quantile_of_many(p: float) -> None:
    dice = random.Random(7)
    seen = [dice.lognormvariate(-0.3, 0.6) for _ in range(2000)]
    assert estimate(p, seen) == pytest.approx(sorted(seen)[int(p * len(seen))], rel=0.08)


def test_it_stays_between_what_was_seen() -> None:
    dice = random.Random(8)
    for _ in range(200):
        seen = [dice.choice([dice.random(), dice.expovariate(1), 1.0]) for _ in range(dice.randrange(1, 60))]
        assert min(seen) <= estimate(dice.uniform(0.01, 0.99), seen) <= max(seen)


def test_no_number_is_passed_over() -> None:
    quantile = Quantile(0.5)
    for each in (float("nan"), 1.0, float("inf"), -float("inf"), 1.0):
        quantile.add(each)
    assert (quantile.count, quantile.value) == (2, 1.0)


@pytest.mark.parametrize("p", [0.0, 1.0, -1.0, float("nan")])
def test_a_quantile_is_between_0_and_1(p: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Quantile(p)
