"""The runners of `make bench-peers` that need no other framework: what they print is sane."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


def found(system: str, measurement: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.peers.run", system, measurement, "--quick"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    values: dict[str, Any] = json.loads(done.stdout)
    return values


@pytest.mark.real_time
@pytest.mark.parametrize("system", ["floor", "ours"])
def test_an_interruption_reaches_the_sink_after_the_voice_that_caused_it(system: str) -> None:
    told = found(system, "barge-in")
    assert len(told["voice"]) == 2
    assert all(0 < ms < 100 for ms in told["voice"])


@pytest.mark.real_time
@pytest.mark.parametrize("system", ["floor", "ours"])
def test_every_turn_of_a_long_call_is_held_and_costs_something(system: str) -> None:
    call = found(system, "long")
    # What the harness costs is taken off, so a few turns of next to nothing may come to less than nothing.
    assert -5 < call["last_ms"] < 200
    assert -5 < call["first_ms"] < 500


@pytest.mark.real_time
def test_every_caller_who_speaks_at_the_same_instant_is_answered() -> None:
    crowd = found("ours", "same-instant")
    assert len(crowd["added"]) == crowd["turns"] == 3
    assert all(0 < ms < 500 for ms in crowd["added"])
