"""The session profiles in config/ say what they promise."""

from pathlib import Path

import pytest
import yaml

from agent_runtime.turns.options import TurnHandling

PROFILES = sorted((Path(__file__).parent.parent / "config").glob("*.yaml"))


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.name)
def test_a_profile_holds_turn_settings_that_can_be(path: Path) -> None:
    profile = yaml.safe_load(path.read_text())
    assert {"vad", "stt", "llm", "tts"} <= profile.keys()
    assert isinstance(TurnHandling.of(profile["turn_handling"]), TurnHandling)


def test_the_local_profile_stays_on_this_machine_and_spells_out_the_defaults() -> None:
    profile = yaml.safe_load(next(path for path in PROFILES if path.name == "local.yaml").read_text())
    assert all(profile[node].startswith("local/") for node in ("vad", "stt", "llm", "tts"))
    assert TurnHandling.of(profile["turn_handling"]) == TurnHandling()
    assert (profile["max_tool_steps"], profile["user_away_timeout"]) == (3, 15)
