"""The command `sim`: what it prints, writes and returns."""

import json
import wave
from pathlib import Path

import pytest

from agent_runtime import cli

ROOT = Path(__file__).parents[2]
SCENARIOS = ROOT / "tests/sim/scenarios"

GOOD = """\
name: good
models: {llm: {replies: "The bakery."}}
caller: [{at: 0.5, say: What is open?, for: 1.2}]
until: 4
expect: [agent speaks once]
"""

BAD = GOOD.replace("name: good", "name: bad").replace("speaks once", "speaks 3 times")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "calls"
    folder.mkdir()
    (folder / "b.yaml").write_text(BAD)
    (folder / "a.yaml").write_text(GOOD)
    (folder / "notes.txt").write_text("no scenario")
    return folder


def test_a_file_gives_an_object(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.json"
    assert cli.main(["sim", str(folder / "a.yaml"), "--json", str(out)]) == 0
    assert json.loads(out.read_text())["name"] == "good"
    assert capsys.readouterr().out == "ok      good  4 s, 1 of 1 met\n"


def test_a_folder_gives_a_list_by_file_name(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.json"
    assert cli.main(["sim", str(folder), "--json", str(out)]) == 1
    assert [call["name"] for call in json.loads(out.read_text())] == ["good", "bad"]
    told = capsys.readouterr().out
    assert "FAILED  bad  4 s, 0 of 1 met\nbad: not met: agent speaks 3 times\n" in told
    assert " caller |     ############" in told


def test_a_call_in_a_folder_is_the_call_of_its_file(folder: Path, tmp_path: Path) -> None:
    for name, out in (("", "all.json"), ("a.yaml", "one.json")):
        cli.main(["sim", str(folder / name), "--json", str(tmp_path / out)])
    assert json.loads((tmp_path / "all.json").read_text())[0] == json.loads((tmp_path / "one.json").read_text())


def test_json_may_be_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sim", str(folder / "a.yaml"), "--json", "-"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["name"] == "good"
    assert captured.err.startswith("ok")


def test_what_a_call_sounds_and_looks_like(folder: Path, tmp_path: Path) -> None:
    import numpy as np

    wav, svg = tmp_path / "call.wav", tmp_path / "call.svg"
    assert cli.main(["sim", str(folder / "a.yaml"), "--wav", str(wav), "--svg", str(svg)]) == 0
    with wave.open(str(wav)) as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (2, 24_000, 4 * 24_000)
        sound = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").reshape(-1, 2)
    caller, agent = (np.flatnonzero(np.abs(sound[:, side].astype(int)) > 300) / 24_000 for side in (0, 1))
    assert (caller[0], caller[-1]) == pytest.approx((0.5, 1.7), abs=0.002)
    assert agent[0] == pytest.approx(2.5, abs=0.02)
    assert "What is open?" in svg.read_text("utf-8")
    assert "<title>good</title>" in svg.read_text("utf-8")


def test_a_folder_of_calls_gives_folders(folder: Path, tmp_path: Path) -> None:
    cli.main(["sim", str(folder), "--wav", str(tmp_path / "w"), "--svg", str(tmp_path / "s" / "t")])
    assert sorted(path.name for path in (tmp_path / "w").iterdir()) == ["a.wav", "b.wav"]
    assert sorted(path.name for path in (tmp_path / "s" / "t").iterdir()) == ["a.svg", "b.svg"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["sim"], "the following arguments are required: FILE.yaml|DIR"),
        (["sim", "none.yaml"], "Cannot read none.yaml: No such file or directory; name a scenario file."),
        (["sim", "empty"], "The folder 'empty' holds no scenario"),
        (["sim", "bad.yaml"], "bad.yaml, line 1: has the unknown key 'caler'; did you mean 'caller'?"),
        (["sim", "calls/a.yaml", "--json", "none/out.json"], "--json 'none/out.json' cannot be written: No such file"),
        (["sim", "calls/a.yaml", "--wav", "none/out.wav"], "Cannot write none/out.wav: No such file"),
        (["sim", "calls/a.yaml", "--svg", "none/out.svg"], "--svg 'none/out.svg' cannot be written: No such file"),
        (["sim", "calls", "--wav", "bad.yaml"], "--wav 'bad.yaml' is no folder"),
        (["sim", "calls/a.yaml", "--script", "none.py"], "There is no script 'none.py'"),
    ],
)
def test_what_the_user_can_mend_is_one_sentence(
    folder: Path,
    tmp_path: Path,
    arguments: list[str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.yaml").write_text("caler: []")
    assert cli.main(arguments) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"agent-runtime: {sentence}")
    assert told.count("\n") == 1


def test_a_folder_is_searched_to_its_depth(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a/deep/z.yml", "a/a.yaml", "c.yaml", ".venv/hidden.yaml", "d/.hidden.yaml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(GOOD.replace("name: good", f"name: {name}"))
    (folder / "b.yaml").unlink()
    monkeypatch.chdir(tmp_path)
    assert cli.main(["sim", "calls", "--json", "out.json", "--svg", "svg", "--wav", "wav"]) == 0
    names = ["a/a.yaml", "a/deep/z.yml", "good", "c.yaml"]
    assert [call["name"] for call in json.loads((tmp_path / "out.json").read_text())] == names
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == names
    for kind in ("svg", "wav"):
        written = sorted(str(path.relative_to(kind)) for path in Path(kind).rglob(f"*.{kind}"))
        assert written == [f"a.{kind}", f"a/a.{kind}", f"a/deep/z.{kind}", f"c.{kind}"]


def test_bad_files_in_a_folder_are_told_and_the_good_ones_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "0").mkdir()
    for name, text in {
        "0/key.yaml": "name: x\ncaler: []",
        "0/yaml.yaml": "name: [",
        "c.yaml": GOOD.replace("say: What is open?, for: 1.2", "say: What?, sound: none.wav"),
        "d.yaml": "",
        "e.yaml": GOOD.replace("name: good", "name: last"),
    }.items():
        (folder / name).write_text(text)
    (folder / "f.yaml").write_bytes(b"\xff\xfe")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["sim", "calls", "--json", "out.json"]) == 2
    assert [call["name"] for call in json.loads((tmp_path / "out.json").read_text())] == ["good", "bad", "last"]
    captured = capsys.readouterr()
    assert "ok      last" in captured.out
    key, yaml, sound, empty, binary = captured.err.splitlines()
    assert key == "agent-runtime: calls/0/key.yaml, line 2: has the unknown key 'caler'; did you mean 'caller'?"
    assert yaml.startswith("agent-runtime: calls/0/yaml.yaml, line 1: this is no YAML")
    assert sound.startswith("agent-runtime: calls/c.yaml: ")
    assert "none.wav" in sound
    assert empty == "agent-runtime: calls/d.yaml: the file is empty; a scenario has a caller and models."
    assert binary == "agent-runtime: calls/f.yaml is no text in UTF-8; a scenario is a YAML file."


def test_a_folder_of_bad_files_gives_an_empty_list(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.yaml", "b.yaml"):
        (folder / name).write_text("caler: []")
    assert cli.main(["sim", str(folder), "--json", "-"]) == 2
    assert json.loads(capsys.readouterr().out) == []


def test_a_model_out_of_script_fails_the_call(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a.yaml").write_text(GOOD.replace('"The bakery."', "[]"))
    assert cli.main(["sim", str(folder / "a.yaml"), "--json", "-"]) == 1
    captured = capsys.readouterr()
    assert "good: OutOfScript: The scripted LLM has 0 replies" in captured.err
    assert json.loads(captured.out)["expectations"][-1]["met"] is False


# Scripts

SCRIPT = """\
from agent_runtime import Agent, AgentServer, AgentSession, cli, function_tool

class Baker(Agent):
    def __init__(self):
        super().__init__(instructions="You bake."{own})

    async def on_enter(self):
        self.session.say("Good morning.")

    @function_tool
    async def bake(self, what: str) -> str:
        '''Bake.

        Args:
            what: what
        '''
        return f"baked {{what}}"

server = AgentServer()

@server.rtc_session()
async def entrypoint(ctx):
    session = AgentSession({nodes})
    await session.start(agent=Baker(), room=ctx.room)

if __name__ == "__main__":
    cli.run_app(server)
"""

REMOTE = "stt='deepgram/nova-3', llm='openai/gpt-4.1-mini', tts='cartesia/sonic-3'"

ORDER = """\
name: order
session: {turn_handling: {endpointing: {min_delay: 0.3}}}
models:
  vad: {}
  stt: {}
  tts: {}
  llm: {replies: {bread please: [Sure., {call: bake, arguments: {what: bread}}], baked bread: Here it is.}}
caller: [{after: agent stops, wait: 0.5, say: bread please, for: 1.0}]
until: 9
expect:
  - agent starts speaking within 0.01 s of 0.2
  - history agent 1 is "Good morning."
  - tool bake is called with "bread"
  - history agent last is "Here it is."
"""


@pytest.mark.parametrize("own", ["", ", llm='openai/gpt-4.1-mini', tts='local/espeak'"])
def test_the_agent_of_a_script_is_called_without_its_keys(
    tmp_path: Path, own: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("DEEPGRAM_API_KEY", "OPENAI_API_KEY", "CARTESIA_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "baker.py").write_text(SCRIPT.format(own=own, nodes=REMOTE))
    (tmp_path / "order.yaml").write_text(ORDER)
    arguments = ["sim", str(tmp_path / "order.yaml"), "--script", str(tmp_path / "baker.py"), "--json", "-"]
    status = cli.main(arguments)
    captured = capsys.readouterr()
    assert status == 0, captured.err
    call = json.loads(captured.out)
    (commit,) = [event for event in call["events"] if event["type"] == "turn_committed"]
    assert commit["t"] - commit["last_voiced"] == pytest.approx(0.3, abs=0.001), "the scenario's turn_handling"


@pytest.mark.parametrize(
    ("scenario", "script", "sentence"),
    [
        (ORDER.replace("  stt: {}\n", ""), REMOTE, "The STT 'deepgram/nova-3' needs DEEPGRAM_API_KEY"),
        (
            ORDER.replace("  stt: {}\n", ""),
            "stt='local/pocketsphinx'",
            "The caller's step 1 has words and no sound, and the script's own recogniser 'local/pocketsphinx'",
        ),
        (ORDER.replace("session: {", "session: {tts_text_transforms: [], "), REMOTE, "The scenario's session.tts_text"),
        (ORDER, "1/0", "The script"),
    ],
)
def test_what_cannot_be_called_is_said(
    tmp_path: Path,
    scenario: str,
    script: str,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("DEEPGRAM_API_KEY", raising=False)
    (tmp_path / "baker.py").write_text(SCRIPT.format(own="", nodes=script))
    (tmp_path / "order.yaml").write_text(scenario)
    assert cli.main(["sim", str(tmp_path / "order.yaml"), "--script", str(tmp_path / "baker.py")]) == 2
    assert capsys.readouterr().err.startswith(f"agent-runtime: {sentence}")


def test_a_script_that_raises_in_one_call_of_a_folder_is_called_in_the_others(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = SCRIPT.format(own="", nodes="vad=None, stt=None, llm=None, tts=None")
    (tmp_path / "baker.py").write_text(
        own.replace(
            "async def entrypoint(ctx):",
            """async def entrypoint(ctx):
    from pathlib import Path
    calls = Path(__file__).with_suffix(".calls")
    calls.write_text((calls.read_text() if calls.exists() else "") + "x")
    len(calls.read_text()) != 1 or 1 / 0""",
        )
    )
    monkeypatch.chdir(tmp_path)
    models = "models: {vad: {}, stt: {}, tts: {}, llm: {replies: Yes.}}\nuntil: 2\n"
    for name in ("a", "b"):
        (folder / f"{name}.yaml").write_text(f"name: {name}\n{models}")
    assert cli.main(["sim", "calls", "--script", "baker.py"]) == 2
    told = capsys.readouterr()
    sentence = "its call raised ZeroDivisionError: division by zero; mend it, or add --debug for the traceback."
    assert told.err == f"agent-runtime: calls/a.yaml: {sentence}\n"
    assert told.out == "ok      b  2 s, 0 of 0 met\n"
    (tmp_path / "baker.calls").unlink()
    assert cli.main(["sim", "calls", "--script", "baker.py", "--debug"]) == 2
    assert "1 / 0" in capsys.readouterr().err


def test_the_example_script_is_called_with_engines_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "clock.yaml").write_text(
        "caller: [{after: agent stops, wait: 1, say: what time is it, with: local/espeak}]\nuntil: 9\n"
        'expect: [history agent 1 starts with "Hello", agent speaks between 3 and 9, caller speaks between 1 and 9]\n'
    )
    status = cli.main(["sim", str(tmp_path / "clock.yaml"), "--script", str(ROOT / "agents/clock.py")])
    assert status == 0, capsys.readouterr().out
