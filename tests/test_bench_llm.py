"""The runners of `make bench-llm` that need no other environment: what they print is sane, and a bound can be missed."""

import io
from collections.abc import Iterator

import pytest

from benchmarks.llm.__main__ import measure, serving, tabulate
from benchmarks.report import Report

pytestmark = [pytest.mark.sockets, pytest.mark.real_time]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving() as address:
        yield address


def found(system: str, measurement: str, url: str) -> dict[str, float]:
    outcome = measure(system, measurement, url, quick=True)
    assert isinstance(outcome, dict), outcome
    return outcome


@pytest.mark.parametrize("system", ["httpx", "ours"])
def test_a_chunk_costs_something(system: str, url: str) -> None:
    assert 1 < found(system, "back-to-back", url)["cpu_us"] < 5000


def test_the_server_sees_who_leaves_after_they_left(url: str) -> None:
    assert 0 < found("ours", "cancel", url)["p50_ms"] < 200
    assert 0 < found("ours", "hedge", url)["p50_ms"] < 200


def test_a_bound_that_is_missed_is_named() -> None:
    told = io.StringIO()
    report = Report(told)
    slow = {"cpu_us": 40.0, "late_ms": 0.0}
    tabulate(
        report,
        {"back-to-back": {"ours": [slow]}, "crowd": {"ours": [slow], "httpx": [{"cpu_us": 20.0, "late_ms": 0.0}]}},
    )
    assert report.missed == [
        "CPU a chunk, one stream back to back: 40 us, at most 25",
        "CPU a chunk, 16 streams, to raw httpx: 2 times, at most 1.3",
    ]


def test_what_was_not_measured_keeps_no_bound() -> None:
    report = Report(io.StringIO())
    tabulate(report, {"back-to-back": {}})
    assert len(report.missed) == report.checked == 1
