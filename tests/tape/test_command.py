"""The commands replay, diff and keep, and console --record."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from agent_runtime import cli
from agent_runtime.testing import Scenario, simulate
from agent_runtime.trace.tape import TapeWriter, read_tape
from tests.tape.recorded import PIZZA, record

PLAIN: dict[str, Any] = {**PIZZA, "session": {"turn_handling": {"turn_detection": None}}}


@pytest.fixture
def tape(tmp_path: Path) -> str:
    path = tmp_path / "call.tape"
    record(path, PLAIN)
    return str(path)


def _run(*argv: str) -> int:
    return cli.main(list(argv))


def test_replay_says_that_it_is_the_same(tape: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "out"
    assert _run("replay", tape, "--out", str(folder), "--json", str(tmp_path / "call.json")) == 0
    assert "the same log, byte for byte" in capsys.readouterr().out
    told = json.loads((tmp_path / "call.json").read_text("utf-8"))
    assert told["events"] == read_tape(tape).log
    assert sorted(each.name for each in folder.iterdir()) == ["call.jsonl", "call.svg", "call.tape", "call.wav"]
    assert _run("replay", str(folder / "call.tape")) == 0
    assert _run("diff", tape, str(folder / "call.jsonl")) == 0
    assert "the same call" in capsys.readouterr().out


def test_replay_tells_where_a_log_differs(tape: str, capsys: pytest.CaptureFixture[str]) -> None:
    old = read_tape(tape)
    other = TapeWriter(tape + "2")
    for number, values in enumerate(old.records):
        if values["r"] == "event" and values["line"]["type"] == "turn_committed":
            values["line"]["reason"] = "a guess"
        other.write(values, old.sound(number))
    other.close()
    assert _run("replay", tape + "2") == 1
    out = capsys.readouterr().out
    assert "another log from event" in out
    assert "reason='a guess'" in out


@pytest.mark.sockets
@pytest.mark.real_time
def test_no_key_of_a_change_is_told_or_kept(tape: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node = "openai/gpt-4.1?base_url=http://me:SUPERSECRET789@127.0.0.1:1/v1&api_key=SUPERSECRET123"
    folder = tmp_path / "out"
    for change in (f"llm={node} | local/rules", f"llm={node}", f"tts={node}", f"lm={node}", node, f"llm=[{node}"):
        _run("replay", tape, "--set", change, "--out", str(folder), "--json", str(folder / "json"))
        told = "".join(capsys.readouterr())
        assert told
        assert "SUPERSECRET" not in told
        for file in folder.iterdir() if folder.exists() else ():
            assert b"SUPERSECRET" not in file.read_bytes(), file
            if file.name == "call.tape":
                assert "SUPERSECRET" not in str(read_tape(file).records)
    assert _run("replay", tape, "--set", f"llm={node}") == 0
    assert "with llm=openai/gpt-4.1?base_url=http://***@127.0.0.1:1/v1&api_key=***: the" in capsys.readouterr().out


def test_diff_tells_what_each_turn_gained(tape: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("replay", tape, "--set", "turn_handling.endpointing.min_delay=0.3", "--out", str(tmp_path / "b")) == 0
    capsys.readouterr()
    svg = tmp_path / "diff.svg"
    assert _run("diff", tape, str(tmp_path / "b" / "call.tape"), "--svg", str(svg)) == 1
    lines = capsys.readouterr().out.splitlines()
    table = lines[lines.index("what each turn lost (+) or gained (-), ms") + 2 :]
    assert [line.split()[3:5] for line in table] == [["-200", "-200"]] * 2
    assert sum("turn committed" in line and "-200 ms" in line for line in lines) == 2
    texts = [element.text for element in ElementTree.fromstring(svg.read_text("utf-8")).iter() if element.text]
    assert sum(text.startswith("-200 ms") for text in texts) == 2


def test_diff_shows_what_only_one_has(tape: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.tape"
    record(other, {**PLAIN, "caller": PLAIN["caller"][:1]})
    assert _run("diff", tape, str(other)) == 1
    out = capsys.readouterr().out
    assert any(line.rstrip().endswith("<") and "Thank you." in line for line in out.splitlines())
    assert "only in A: Thank you." in out


def test_what_is_no_call_cannot_be_compared(tape: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.jsonl").write_text("hello\n", "utf-8")
    assert _run("diff", tape, str(tmp_path / "x.jsonl")) == 2
    assert "is no JSON object" in capsys.readouterr().err


@pytest.mark.parametrize("redact", [False, True])
def test_what_is_kept_is_a_test_that_passes(
    tape: str, tmp_path: Path, redact: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "calls" / "pizza"
    assert _run("keep", tape, str(path), *(["--redact"] if redact else [])) == 0
    assert "left out" not in capsys.readouterr().out
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", str(path.parent)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert "1 passed" in done.stdout
    scenario = path.with_suffix(".yaml")
    result = simulate(Scenario.load(scenario))
    assert len(result.expectations) > 8
    committed = [event["t"] for event in result.events if event["type"] == "turn_committed"]
    assert committed == pytest.approx(
        [line["t"] for line in read_tape(tape).log if line["type"] == "turn_committed"], abs=0.05
    )
    assert len(list(path.parent.glob("*.wav"))) == (0 if redact else 2)


INTERRUPTED: dict[str, Any] = {
    "session": {"turn_handling": {"turn_detection": None}},
    "models": {
        "llm": {
            "replies": {
                "What is open?": 'The shop called "Bread and More" is open from nine until seven on every day of the week.',
                "*": "Certainly.",
            }
        },
    },
    "caller": [
        {"at": 0.5, "say": "What is open?", "for": 1.2},
        {"interrupt": "No thank you.", "wait": 1.9, "for": 0.9},
        {"at": 9.0, "say": "Good-bye."},
    ],
    "until": 12.0,
}


@pytest.mark.parametrize("redact", [False, True])
def test_an_interrupted_message_is_expected_to_be_one(
    tmp_path: Path, redact: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    tape = tmp_path / "call.tape"
    record(tape, INTERRUPTED)
    assert _run("keep", str(tape), str(tmp_path / "kept"), *(["--redact"] if redact else [])) == 0
    expected = [each.text for each in Scenario.load(tmp_path / "kept.yaml").expect]
    assert "history agent 1 is interrupted" in expected
    assert [each for each in expected if each.endswith("is interrupted")] == ["history agent 1 is interrupted"]
    assert sum(each.startswith("history agent 2 is ") for each in expected) == 1, "messages keep their numbers"
    assert "1 events of interruption_confirmed" in expected
    if not redact:
        assert 'history agent 1 is "The shop called "Bread and More"' in " ".join(expected)
        assert "left out" not in capsys.readouterr().out
    assert simulate(Scenario.load(tmp_path / "kept.yaml")).ok


def test_redacted_words_keep_their_number_and_lengths(tape: str, tmp_path: Path) -> None:
    _run("keep", tape, str(tmp_path / "pizza"), "--redact")
    text = (tmp_path / "pizza.yaml").read_text("utf-8")
    for word in ("What", "open", "bakery", "nine", "Thank", "Certainly"):
        assert word.casefold() not in text.casefold()
    said = [step["say"] for step in Scenario.load(tmp_path / "pizza.yaml").caller]
    assert [[len(word) for word in each.split()] for each in said] == [[4, 2, 5], [5, 4]]


def test_a_test_that_stands_there_is_not_replaced(
    tape: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("keep", tape, str(tmp_path / "pizza")) == 0
    assert _run("keep", tape, str(tmp_path / "pizza")) == 2
    assert "exists; name another, or replace it with --force" in capsys.readouterr().err
    assert _run("keep", tape, str(tmp_path / "pizza"), "--force") == 0


@pytest.fixture
def console(tmp_path: Path) -> list[str]:
    """The command line that plays a second of silence to an agent; its files go to `tmp_path`."""
    script = tmp_path / "agent.py"
    script.write_text(
        """
from agent_runtime import Agent, AgentServer, AgentSession, JobContext, function_tool
from agent_runtime.testing import ScriptedLLM, ScriptedTTS, ScriptedVAD

server = AgentServer()

@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    session = AgentSession(vad=ScriptedVAD(), llm=ScriptedLLM({}), tts=ScriptedTTS())
    await session.start(agent=Agent(instructions=""), room=ctx.room)
    session.say("Hello there.")
""",
        "utf-8",
    )
    import wave

    with wave.open(str(tmp_path / "in.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(64_000))
    return ["console", str(script), "--input", str(tmp_path / "in.wav"), "--out", str(tmp_path)]


def test_the_console_records(console: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tape = tmp_path / "call.tape"
    assert _run(*console, "--record", str(tape)) == 0
    names = ("call.wav", "call.svg", "call.jsonl", "call.tape")
    assert f"written: {', '.join(str(tmp_path / name) for name in names)}\n" in capsys.readouterr().out
    assert _run("replay", str(tape), "--out", str(tmp_path / "again")) == 0
    assert "byte for byte" in capsys.readouterr().out
    assert (tmp_path / "call.jsonl").read_bytes() == (tmp_path / "again" / "call.jsonl").read_bytes()


def test_the_console_replaces_no_tape(console: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tape = tmp_path / "call.tape"
    tape.write_text("a recording")
    assert _run(*console, "--record", str(tape)) == 2
    sentence = f"'{tape}' exists, and what was recorded is not replaced; remove it or choose another name."
    assert capsys.readouterr().err == f"agent-runtime: {sentence}\n"
    assert tape.read_text() == "a recording"
    assert not (tmp_path / "call.wav").exists(), "refused before anything is done"
    assert _run(*console, "--record", str(tmp_path / "none" / "call.tape")) == 2
    assert "there is no folder" in capsys.readouterr().err
    assert _run(*console, "--record", str(tmp_path)) == 2
    assert "is a folder; name a file in it" in capsys.readouterr().err


def test_a_replay_replaces_the_tape_of_a_replay_only(
    tape: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    for _ in range(2):
        assert _run("replay", tape, "--out", str(folder)) == 0
    assert _run("replay", str(folder / "call.tape")) == 0
    other = folder / "call.tape"
    other.unlink()
    record(other, PLAIN)
    was = other.read_bytes()
    capsys.readouterr()
    assert _run("replay", tape, "--out", str(folder)) == 2
    assert f"'{other}' exists, and what was recorded is not replaced" in capsys.readouterr().err
    assert other.read_bytes() == was
