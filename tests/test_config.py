"""Profiles are checked where they are read."""

from pathlib import Path

import pytest

from agent_runtime import AgentSession
from agent_runtime.config import load_profile
from agent_runtime.errors import UsageError

LOCAL = Path(__file__).parent.parent / "config" / "local.yaml"


def test_a_session_is_made_of_a_profile() -> None:
    session: AgentSession[None] = AgentSession(**load_profile(LOCAL))
    assert session.vad is not None
    assert (session.vad.label, session.max_tool_steps) == ("local/silero", 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sst: local/pocketsphinx", "unknown key 'sst'. Did you mean 'stt'?"),
        ("colour: red", "unknown key 'colour'. It takes vad, stt"),
        ("- stt", "is no mapping"),
        ("stt: [", "is no YAML, line 1"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "profile.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"profile\.yaml") as raised:
        load_profile(path)
    assert said in str(raised.value)


def test_a_profile_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        load_profile(tmp_path / "nowhere.yaml")
