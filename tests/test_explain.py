"""The wiring plan of a session that is not started."""

import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pytest

from agent_runtime import Agent, AgentSession, ProviderTool, function_tool
from agent_runtime.errors import UsageError
from agent_runtime.explain import explain, explain_descriptor, plan_node, tool_signature
from agent_runtime.inference.descriptor import KEYS, Unresolved, planning
from agent_runtime.llm import LLM, LLMStream
from agent_runtime.providers.local.info import EngineInfo

ROOT = Path(__file__).parents[1]


class Clerk(Agent):
    def __init__(self, **options: Any) -> None:
        super().__init__(instructions="You keep a list.", **options)

    @function_tool
    async def add_item(self, item: str, count: int = 1) -> str:
        """Add an item to the list. It is kept for a day.

        Args:
            item: What to buy
        """
        return ""

    @function_tool
    async def light(self, room: Literal["kitchen", "bath"], on: bool | None = None) -> str:
        """Switch a light."""
        return ""


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for names in KEYS.values():
        for name in names:
            monkeypatch.delenv(name, raising=False)


def section(text: str, name: str) -> list[str]:
    """The lines under a heading."""
    blocks = dict(block.split("\n", 1) for block in text.split("\n\n") if "\n" in block)
    return [line.strip() for line in blocks[name].splitlines()]


def test_a_session_of_local_engines() -> None:
    session = AgentSession[Any](
        vad="local/silero", stt="local/pocketsphinx", llm="local/rules", tts="local/espeak:en-gb"
    )
    found = explain(session, Clerk(), title="agents/clerk.py")
    assert found.ok
    assert found.text.startswith("agents/clerk.py\n\nNodes\n")
    vad, stt, llm, tts = section(found.text, "Nodes")
    assert vad.split()[:4] == ["vad", "local/silero", "ready", "SileroVAD"]
    assert vad.endswith("MIT")
    assert "PocketsphinxSTT 5." in stt
    assert "BSD-2-Clause" in stt
    assert "RulesLLM" in llm
    assert "Apache-2.0" in llm
    assert "GPL-3.0-or-later (in a process of its own)" in tts
    assert all("on this machine" in line for line in (vad, stt, llm, tts))
    assert section(found.text, "Keys") == ["none needed"]
    assert section(found.text, "Leaves this machine") == ["nothing"]
    assert section(found.text, "Tools of 'clerk'") == [
        "add_item(item: string, count?: integer)               Add an item to the list.",
        "light(room: 'kitchen' | 'bath', on?: boolean | null)  Switch a light.",
    ]
    assert section(found.text, "Missing") == ["nothing; it can start"]


def test_columns_stand_under_each_other() -> None:
    session = AgentSession[Any](stt="local/pocketsphinx", llm="local/rules", tts="local/espeak")
    rows = section(explain(session).text, "Nodes")
    assert len({row.index("ready") for row in rows}) == 1
    assert len({row.index("on this machine") for row in rows}) == 1
    assert rows[0].endswith("(by default)")


def test_all_that_is_missing_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEKIT_API_KEY", "sesame")
    with pytest.raises(UsageError):
        AgentSession[Any](stt="deepgrm/nova-3", llm="google/gemini-2.5-flash-lite")
    with planning():
        session = AgentSession[Any](
            stt="deepgrm/nova-3", llm="google/gemini-2.5-flash-lite", tts="local/piper?model=/nowhere.onnx"
        )
    found = explain(session, Clerk())
    assert not found.ok
    assert "sesame" not in found.text
    assert section(found.text, "Keys") == [
        "LIVEKIT_API_KEY     set      for the LLM google/gemini-2.5-flash-lite",
        "LIVEKIT_API_SECRET  missing  for the LLM google/gemini-2.5-flash-lite",
    ]
    assert section(found.text, "Leaves this machine") == ["the conversation as text  to google/gemini-2.5-flash-lite"]
    unknown, secret, command, piper = section(found.text, "Missing")
    assert unknown == "1. Unknown STT 'deepgrm/nova-3'. Did you mean 'deepgram/nova-3'?"
    assert secret.startswith("2. The LLM 'google/gemini-2.5-flash-lite' needs LIVEKIT_API_SECRET")
    assert command == "export LIVEKIT_API_SECRET=..."
    assert piper.startswith("3. ")
    assert "/nowhere.onnx" in piper


def test_a_node_that_was_left_out_says_what_that_means() -> None:
    rows = section(explain(AgentSession[Any](llm="local/rules")).text, "Nodes")
    assert rows[0].startswith("vad  none")
    assert "the caller is not understood" in rows[1]
    assert "the agent writes instead of speaking" in rows[3]


def test_an_agent_has_nodes_of_its_own() -> None:
    class Own(Clerk):
        async def stt_node(self, audio: Any, model_settings: Any) -> Any:
            yield ""

    agent = Own(llm="openai/gpt-4.1-mini", tts=None)
    found = explain(AgentSession[Any](llm="local/rules", tts="local/espeak"), agent)
    _, stt, llm, tts = section(found.text, "Nodes")
    assert stt.endswith("(overridden by Own.stt_node)")
    assert "openai/gpt-4.1-mini  missing" in llm
    assert llm.endswith("(of 'own')")
    assert tts == "tts  none                 (of 'own')"
    assert not found.ok


class Foreign(LLM):
    """A plug-in from elsewhere."""

    label = "acme/large"

    def __init__(self, info: EngineInfo | Exception | None = None) -> None:
        self._info = info

    def chat(self, **_: Any) -> LLMStream:
        raise AssertionError("an explanation starts nothing")

    def describe(self) -> EngineInfo | None:
        if isinstance(self._info, Exception):
            raise self._info
        return self._info


def test_objects_say_what_they_are_or_that_they_do_not() -> None:
    known = plan_node("llm", Foreign(EngineInfo("acme/large", "MIT", False, missing="pip install acme")))
    assert (known.given, known.licence, known.missing) == (
        "acme/large",
        "MIT",
        "acme/large is not installed; install it with:\npip install acme",
    )
    silent = plan_node("llm", Foreign())
    assert (silent.made, silent.leaves, silent.missing) == ("Foreign", True, None)
    broken = plan_node("llm", Foreign(RuntimeError("no licence file")))
    assert broken.missing == "Foreign.describe() failed: no licence file"


@pytest.mark.parametrize(
    ("kind", "text", "line"),
    [
        ("stt", "deepgrm/nova-3", "Did you mean 'deepgram/nova-3'?"),
        ("llm", "nonsense", "write 'provider/model'"),
        ("tts", "cartesia/sonic-3:VOICE", "export CARTESIA_API_KEY=..."),
        ("tts", "local/espeak:xx", "has no voice 'xx'"),
        ("vad", "local/silero:loud", "knows nothing to do with"),
        ("vad", "local/silero?colour=red", "colour"),
        ("stt", "local/whisper", "local/whisper"),
        ("llm", "", "provider/model"),
    ],
)
def test_one_descriptor_never_raises(kind: Any, text: str, line: str) -> None:
    assert line in "\n".join(explain_descriptor(kind, text))


def test_no_secret_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARTESIA_API_KEY", "sesame")
    text = "\n".join(explain_descriptor("tts", "cartesia/sonic-3?api_key=sesame&speed=2"))
    assert "sesame" not in text
    assert "api_key=***&speed=2" in text
    assert "CARTESIA_API_KEY is set" in text


def test_turns_are_told_in_seconds() -> None:
    options: Any = {"endpointing": {"min_delay": 0.25}, "interruption": {"min_words": 2}}
    spoken = section(
        explain(AgentSession[Any](stt="local/pocketsphinx", turn_handling=options, user_away_timeout=None)).text,
        "Turns",
    )
    assert "0.25 s after the last voiced sample, once the words are there; 3 s at most" in spoken[1]
    assert "by 2 words" in spoken[2]
    assert "at most 0.5 s after the voice" in spoken[3]
    assert spoken[5].endswith("never")
    options = {"turn_detection": "manual", "interruption": {"resume_false_interruption": False}}
    manual = section(explain(AgentSession[Any](vad="local/webrtc", turn_handling=options)).text, "Turns")
    assert "when commit_user_turn() is called" in manual[1]
    assert "by 0.5 s of voice" in manual[2]
    assert "says no more" in manual[3]
    off: Any = {"interruption": {"enabled": False}}
    assert section(explain(AgentSession[Any](turn_handling=off)).text, "Turns")[2].endswith("never")


def test_a_tool_that_cannot_be_described_is_missing_something() -> None:
    class Odd:
        pass

    @function_tool
    async def odd(thing: Odd) -> str:
        """Do it."""
        return ""

    found = explain(AgentSession[Any](), Agent(instructions="", tools=[odd]))
    assert not found.ok
    assert "odd(?)" in found.text
    assert any("odd" in line for line in section(found.text, "Missing"))


def test_a_tool_that_the_service_runs_is_shown() -> None:
    found = explain(AgentSession[Any](), Agent(instructions="", tools=[ProviderTool("google", "googleSearch")]))
    assert "googleSearch  run by google" in found.text
    assert not any("googleSearch" in line for line in section(found.text, "Missing"))


def test_signatures() -> None:
    @function_tool
    async def plain() -> str:
        """Do it."""
        return ""

    @function_tool
    async def lists(names: list[str], sizes: dict[str, int] | None = None) -> str:
        """Do it."""
        return ""

    @function_tool(raw_schema={"name": "raw", "parameters": {"properties": {"a": {"$ref": "#/$defs/Point"}, "b": {}}}})
    async def raw(raw_arguments: dict[str, Any]) -> str:
        return ""

    assert tool_signature(plain) == "plain()"
    assert tool_signature(lists) == "lists(names: list of string, sizes?: object | null)"
    assert tool_signature(raw) == "raw(a?: Point, b?: any)"


def test_planning_ends() -> None:
    with planning():
        assert isinstance(AgentSession[Any](llm="acme/large").llm, Unresolved)
    with pytest.raises(UsageError):
        AgentSession[Any](llm="acme/large")


@pytest.mark.parametrize(("llm", "code"), [("local/rules", 0), ("openai/gpt-4.1-mini", 1)])
def test_the_command(tmp_path: Path, llm: str, code: int) -> None:
    script = tmp_path / "talk.py"
    script.write_text((ROOT / "agents" / "clock.py").read_text("utf-8").replace("local/rules", llm), "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "agent_runtime.cli", "explain", str(script)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=30,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == code
    assert f"llm  {llm}" in done.stdout
    assert "add_item(item: string)" in done.stdout
