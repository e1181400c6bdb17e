"""The command line as a new user meets it: what it teaches, what it refuses in one sentence, and how it ends."""

import io
import os
import re
import resource
import signal
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from agent_runtime import __version__, cli
from agent_runtime.clock import Stopwatch
from agent_runtime.inference.descriptor import KEYS
from agent_runtime.io import console
from tests.played import (
    CALLER,
    CLOCK,
    RATE,
    Played,
    asking,
    caller,
    command,
    environment,
    first_question,
    play,
    room,
    run,
)

HEAD = """\
from agent_runtime import Agent, AgentServer, AgentSession, JobContext, cli, function_tool
import asyncio
server = AgentServer()
"""

ENTRY = """
@server.rtc_session()
async def entrypoint(ctx):
    session = AgentSession({nodes})
    await session.start(agent={agent}, room=ctx.room)
"""


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    """A script's folder and module are those of the process; so are keys."""
    path, environ = list(sys.path), dict(os.environ)
    for names in KEYS.values():
        for name in names:
            os.environ.pop(name, None)
    yield
    sys.path[:] = path
    os.environ.clear()
    os.environ.update(environ)
    sys.modules.pop("agent_script", None)


def script(folder: Path, body: str, *, head: str = HEAD) -> Path:
    path = folder / "script.py"
    path.write_text(head + body)
    return path


def agent_script(folder: Path, nodes: str, *, agent: str = "Agent(instructions='x')", more: str = "") -> Path:
    return script(folder, more + ENTRY.format(nodes=nodes, agent=agent))


def refused(*argv: object) -> str:
    """The one sentence with which it is refused; 2 is the status."""
    status, out, err = run(*argv)
    assert status == 2, out + err
    assert err.startswith("agent-runtime: ")
    assert err.count("\n") == 1, err
    assert err.endswith((".\n", "?\n"))
    return err.removeprefix("agent-runtime: ").strip()


def refused_script(folder: Path, body: str, *, head: str = HEAD) -> str:
    return refused("console", script(folder, body, head=head), "--input", CALLER, "--out", folder)


# Help


def test_help_teaches() -> None:
    status, out, _ = run("--help")
    assert status == 0
    for word in ("console", "explain", "--text", "--input", "agents/clock.py", "cli.run_app"):
        assert word in out
    for name in ("console", "explain", "dev", "start", "connect"):
        status, out, err = run(name, "--help")
        assert (status, err) == (0, "")
        assert "SCRIPT" in out


def test_version() -> None:
    assert run("--version") == (0, f"agent-runtime {__version__}\n", "")


@pytest.mark.parametrize("name", ["dev", "start", "connect"])
@pytest.mark.parametrize("more", ["", "--room x", "--url wss://example.com --dev", "--debug=1", "x y --", "--text"])
def test_rooms_come_later_whatever_else_is_said(name: str, more: str) -> None:
    for argv in ([name, CLOCK, *more.split()], [name, *more.split()], ["--debug", name, *more.split()]):
        sentence = refused(*argv) if "--debug" not in argv else run(*argv)[2]
        assert f"'{name}'" in sentence
        assert "'console'" in sentence


def test_rooms_come_later_in_a_script_too() -> None:
    argv = [sys.executable, str(CLOCK), "connect", "--room", "x"]
    done = subprocess.run(argv, env=environment(), capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "agent-runtime: " + cli.LATER.format("connect") + "\n"


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ([], "COMMAND"),
        (["frob"], "'frob'"),
        (["console"], "needs a script"),
        (["explain"], "SCRIPT"),
        (["console", CLOCK, "--nope"], "--nope"),
        (["console", CLOCK, "--out"], "--out"),
        (["console", CLOCK, "--no-aec", "--half-duplex"], "--half-duplex"),
        (["console", CLOCK, "--text", "--input", CALLER], "--input"),
        (["console", CLOCK, "--text", "--realtime"], "--realtime"),
        (["console", CLOCK, "--text", "--now", "2031-01-01"], "--now"),
        (["console", CLOCK, "--input", CALLER, "--input-device", "1"], "--input-device"),
        (["console", CLOCK, "--input", CALLER, "--now", "yesterday"], "'yesterday'"),
        (["console", CLOCK, "--input", CALLER, "--now", ""], "''"),
        (["consle", CLOCK], "; did you mean 'console'? See agent-runtime --help."),
        (["console", CLOCK, "--input", CALLER, "--now", "0001-01-01"], "'0001-01-01'"),
        (["console", CLOCK, "--input", CALLER, "--now", "9999-12-31T23:59+00:00"], "'9999-"),
    ],
)
def test_a_wrong_command_is_told_in_one_sentence(argv: list[object], told: str) -> None:
    assert told in refused(*argv)


# Scripts


def test_a_script_that_is_missing_or_none(tmp_path: Path) -> None:
    assert "'nothing.py'" in refused("console", "nothing.py")
    assert "is a directory" in refused("console", tmp_path)
    for verb in ("console", "explain"):
        assert refused(verb, "") == "The path given as script is empty; name a Python file."
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    assert "is no Python file" in refused("console", text)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("", "has no entrypoint"),
        ("@server.rtc_session()\ndef entrypoint(ctx): pass", "write 'async def entrypoint(ctx)'"),
        (
            "@server.rtc_session()\nasync def a(ctx): pass\n@server.rtc_session()\nasync def b(ctx): pass",
            "two entrypoints, 'a' and 'b'",
        ),
        ("@server.rtc_session()\nasync def a(ctx): pass\nother = AgentServer()", "has 2 servers"),
        ("del server", "has no AgentServer"),
        ("\nx = 1 / 0\n", "ZeroDivisionError: division by zero (script.py, line 5)"),
        ("import json; json.loads('{')", "script.py, line 4"),
        ("x = (", "'(' was never closed (script.py, line 4)"),
        ("import nothing_of_that_name", "No module named 'nothing_of_that_name'"),
        ("raise SystemExit('no database')", "sys.exit('no database')"),
        (
            "@server.rtc_session()\nasync def entrypoint(ctx):\n    raise ValueError('no such table')",
            "ValueError: no such table (script.py, line 6)",
        ),
        ("@server.rtc_session()\nasync def entrypoint(ctx): pass", "ended without starting a session"),
        (
            ENTRY.format(nodes="llm='local/rules'", agent="Agent(instructions='x')").replace(", room=ctx.room", ""),
            "without starting a session in its room; write 'await session.start(agent=..., room=ctx.room)'",
        ),
        (
            ENTRY.format(nodes="llm='local/rules'", agent="Agent(instructions='x')").replace(", room=ctx.room", "")
            + "    await asyncio.Event().wait()\n",
            "room=ctx.room)'; without its room a session talks to nobody",
        ),
        (
            "import sys\n@server.rtc_session()\nasync def entrypoint(ctx): sys.exit(3)",
            "called sys.exit(3); end a call with ctx.shutdown()",
        ),
        (
            ENTRY.format(nodes="llm='local/rules'", agent="Agent"),
            "takes an Agent, not <class",
        ),
        (
            "@server.rtc_session()\nasync def entrypoint(ctx): await asyncio.Event().wait()",
            "has not started a session within 60 s",
        ),
        (
            (
                "@server.rtc_session()\nasync def entrypoint(ctx):\n    for _ in range(2):\n"
                "        await AgentSession(llm='local/rules').start(agent=Agent(instructions='x'), room=ctx.room)"
            ),
            "a second session",
        ),
        (
            (
                "async def setup(proc): pass\nserver.setup_fnc = setup\n"
                "@server.rtc_session()\nasync def entrypoint(ctx): pass"
            ),
            "setup_fnc is a coroutine function",
        ),
    ],
)
def test_a_script_that_cannot_run_says_why(tmp_path: Path, body: str, told: str) -> None:
    assert told in refused_script(tmp_path, body)


def test_an_entrypoint_that_raises_after_its_session_began_ends_the_call(tmp_path: Path) -> None:
    body = (
        ENTRY.format(nodes="llm='local/rules'", agent="Agent(instructions='x')") + "    raise ValueError('too late')\n"
    )
    assert "ValueError: too late (script.py, line 9)" in refused_script(tmp_path, body)


def test_a_shutdown_callback_that_raises_costs_nothing_of_the_recording(tmp_path: Path) -> None:
    body = ENTRY.format(nodes="llm='local/rules'", agent="Agent(instructions='x')") + (
        "    async def save(reason): raise OSError('no ' + reason)\n    ctx.add_shutdown_callback(save)\n"
    )
    call = play(tmp_path / "call", room(0.1), script(tmp_path, body))
    assert call.status == 2
    assert "OSError: no user_initiated (script.py, line 9)" in call.err
    assert (call.folder / "call.svg").exists()
    assert call.log[-1]["type"] == "close"


def test_a_shutdown_callback_that_hangs_is_cut_off(tmp_path: Path) -> None:
    body = ENTRY.format(nodes="llm='local/rules'", agent="Agent(instructions='x')") + (
        "    async def upload(): await asyncio.Event().wait()\n    ctx.add_shutdown_callback(upload)\n"
    )
    call = play(tmp_path / "call", room(0.1), script(tmp_path, body))
    assert call.status == 2
    assert "The shutdown callback 'upload' was cut off after 10 s" in call.err


@pytest.mark.real_time
def test_a_session_that_the_script_ends_ends_a_piped_conversation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = ENTRY.format(nodes="llm='local/rules'", agent="Agent(instructions='x')")
    path = script(tmp_path, body + "    await session.say('bye')\n    await session.aclose()\n")
    monkeypatch.setattr("sys.stdin", io.StringIO("hello\nhello again\n"))
    status, out, err = run("console", path, "--text")
    assert (status, err) == (0, "")
    assert "agent> bye" in out


def test_debug_shows_the_traceback_and_ends_alike(tmp_path: Path) -> None:
    path = script(tmp_path, "\nx = 1 / 0\n")
    for argv in (["--debug", "console", path], ["console", path, "--debug"]):
        status, _, err = run(*argv)
        assert status == 2
        assert "Traceback" in err
        assert "x = 1 / 0" in err


def test_a_script_may_end_in_run_app_without_looking_at_its_name(tmp_path: Path) -> None:
    path = agent_script(tmp_path, "llm='local/rules'")
    path.write_text(path.read_text() + "\ncli.run_app(server)\n")
    assert play(tmp_path / "call", room(0.1), path).status == 0


@pytest.mark.real_time
def test_a_script_is_set_up_once_and_its_calls_find_what_it_keeps(tmp_path: Path) -> None:
    more = "def setup(proc):\n    proc.userdata['nodes'] = 'local/rules'\nserver.setup_fnc = setup\n"
    path = agent_script(tmp_path, "llm=ctx.proc.userdata['nodes']", more=more)
    assert play(tmp_path / "call", room(0.1), path).status == 0
    assert run("explain", path)[0] == 0


# What a session is made of


@pytest.mark.parametrize(
    ("nodes", "told"),
    [
        ("stt='deepgrm/nova-3'", "Unknown STT 'deepgrm/nova-3'. Did you mean 'deepgram/nova-3'?"),
        ("llm='local/rulez'", "Did you mean 'local/rules'?"),
        ("llm='LOCAL/RULES'", "Did you mean 'local/rules'?"),
        ("llm='locl/rules'", "Did you mean 'local/rules'?"),
        ("llm='OpenAI/gpt-4.1-mini'", "Unknown LLM 'OpenAI/gpt-4.1-mini'. Did you mean 'openai/gpt-4.1-mini'?"),
        ("tts='espeak/en-gb'", "Did you mean 'local/espeak'?"),
        ("tts='LOCAL/Pocketsphinx'", "It is a kind of STT."),
        (
            "stt='ollama/whisper'",
            "The STT 'ollama/whisper' cannot be: no STT of ollama is known; 'local/pocketsphinx' runs",
        ),
        ("llm='Ollama/llama3'", "Did you mean 'ollama/llama3'?"),
        ("llm='local/llama3'", "Unknown LLM 'local/llama3'. Here there are local/rules."),
        ("llm='acme/llama3'", "Unknown LLM 'acme/llama3'. Known are local, anthropic, assemblyai, "),
        ("tts='local/pocketsphinx'", "It is a kind of STT."),
        ("stt='deepgram/nova-3'", "needs DEEPGRAM_API_KEY in the environment; 'local/pocketsphinx' needs no key."),
        ("llm='openai/gpt-4.1-mini'", "or OPENAI_API_KEY in the environment; 'local/rules' needs no key."),
        ("llm='google/gemini-2.5-flash-lite'", "needs LIVEKIT_API_KEY and LIVEKIT_API_SECRET"),
        ("llm='local/rules | groq/qwen3'", "The LLM 'groq/qwen3' needs GROQ_API_KEY"),
        ("llm='local/rules | '", "has nothing on side 2 of its '|'"),
        ("llm='gpt-4.1'", "write 'provider/model', for example 'local/rules'"),
        ("llm=''", "The LLM '' is no descriptor"),
        ("llm=42", "The LLM is 42; give a descriptor such as 'local/rules'"),
        ("llm=Agent", "The LLM is the class Agent"),
        ("tts='local/espeak?rate=fast'", "has rate='fast'; rate is a whole number."),
        ("tts='local/espeak?rate=nan'", "rate is a whole number"),
        ("tts='local/espeak?rate=9999'", "rate must lie between 80 and 450"),
        ("tts='local/espeak?speed=2'", "has the unknown option 'speed'; it takes voice, rate, pitch"),
        ("tts='local/espeak:xx-yy'", "has no voice 'xx-yy'"),
        ("tts='local/espeak:de?voice=fr'", "names its voice twice"),
        ("tts='local/piper'", "needs model=; write 'local/piper?model=...'"),
        ("tts='local/piper?model='", "needs model="),
        ("tts='local/piper?model=/nowhere.onnx'", "'/nowhere.onnx'"),
        ("vad='local/silero?threshold=0.5'", "did you mean 'activation_threshold'?"),
        ("vad='local/silero?activation_threshold=2'", "must lie between 0 and 1"),
        ("stt='local/pocketsphinx:de'", "knows only English, not 'de'"),
        ("stt='local/pocketsphinx', vad=None", "give AgentSession(vad='local/silero')"),
        ("llm='local/rules:fast'", "has a ':fast'"),
    ],
)
def test_a_node_that_cannot_be_had_says_what_to_write(tmp_path: Path, nodes: str, told: str) -> None:
    path = agent_script(tmp_path, nodes)
    assert told in refused("console", path, "--input", CALLER, "--out", tmp_path)
    assert not (tmp_path / "call.jsonl").exists(), "nobody was called"


SOME = {"stt": "stt='local/pocketsphinx'", "llm": "llm='local/rules'", "tts": "tts='local/espeak'"}


@pytest.mark.parametrize("present", [(), ("stt",), ("llm",), ("tts",), ("stt", "llm"), ("stt", "tts"), ("llm", "tts")])
def test_a_played_call_without_some_node_says_so_and_ends(tmp_path: Path, present: tuple[str, ...]) -> None:
    path = agent_script(tmp_path, ", ".join(SOME[kind] for kind in present))
    call = play(tmp_path / "call", asking(first_question()), path)
    assert (call.status, call.err) == (0, "")
    for kind, text in SOME.items():
        assert (f"give AgentSession({text})" in call.out) == (kind not in present)
    assert call.understood == (["what time is it"] if "stt" in present else [])
    if present == ("stt", "llm"):
        assert call.said == ["It is nine thirty in the morning."], "in writing"


@pytest.mark.real_time
@pytest.mark.parametrize("present", [(), ("stt",), ("tts",), ("llm",), ("stt", "llm", "tts")])
def test_in_text_only_the_model_is_missed(
    tmp_path: Path, present: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = agent_script(tmp_path, ", ".join(SOME[kind] for kind in present))
    monkeypatch.setattr("sys.stdin", io.StringIO("what is two plus two\n"))
    status, out, err = run("console", path, "--text")
    assert (status, err) == (0, "")
    assert ("agent> Two plus two is four." in out) == ("llm" in present)
    assert ("give AgentSession(llm='local/rules')" in out) == ("llm" not in present)
    assert "give AgentSession(stt=" not in out


# Explain


@pytest.mark.real_time
def test_explain_says_what_is_missing_and_ends_with_1(tmp_path: Path) -> None:
    status, out, err = run("explain", CLOCK)
    assert (status, err) == (0, "")
    assert "nothing; it can start" in out
    status, out, err = run(
        "explain", agent_script(tmp_path, "stt='deepgram/nova-3', llm='local/rulez', tts='local/espeak'")
    )
    assert (status, err) == (1, "")
    assert "export DEEPGRAM_API_KEY=..." in out
    assert "Did you mean 'local/rules'?" in out


@pytest.mark.real_time
def test_explain_refuses_what_console_refuses(tmp_path: Path) -> None:
    assert "'nothing.py'" in refused("explain", "nothing.py")
    path = script(tmp_path, "@server.rtc_session()\nasync def entrypoint(ctx): pass")
    assert "without starting a session" in refused("explain", path)
    path = script(tmp_path, "@server.rtc_session()\nasync def entrypoint(ctx):\n    raise TimeoutError('database')")
    assert "TimeoutError: database (script.py, line 6)" in refused("explain", path)


# --input and --out


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("missing.wav", None, "There is no file"),
        ("empty.wav", b"", "is empty"),
        ("text.wav", b"Hello, I am a song.\n" * 100, "is not a WAV file"),
        ("header.wav", CALLER.read_bytes()[:44], "holds no sound"),
        ("half-a-header.wav", CALLER.read_bytes()[:20], "is not a WAV file"),
        ("slow.wav", CALLER.read_bytes()[:24] + b"\1\0\0\0" + CALLER.read_bytes()[28:], "says 1 Hz"),
    ],
)
def test_an_input_that_cannot_be_played(tmp_path: Path, name: str, content: bytes | None, told: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    sentence = refused("console", CLOCK, "--input", path, "--out", tmp_path)
    assert told in sentence
    assert str(path) in sentence
    assert ("sox" in sentence) == ("format not recognised" in sentence)


def test_an_input_that_is_a_directory(tmp_path: Path) -> None:
    assert "is a directory" in refused("console", CLOCK, "--input", tmp_path)


def test_an_input_may_be_a_pipe(tmp_path: Path) -> None:
    play(tmp_path, asking(first_question(), length=4.0))  # makes caller.wav
    with (
        (tmp_path / "caller.wav").open("rb") as recording,
        subprocess.Popen(["cat"], stdin=recording, stdout=subprocess.PIPE) as cat,
    ):
        done = subprocess.run(
            command("console", CLOCK, "--input", "/dev/stdin", "--out", tmp_path / "call"),
            env=environment(),
            stdin=cat.stdout,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert "It is nine thirty" in done.stdout


def test_a_truncated_recording_is_played_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "cut.wav"
    path.write_bytes(CALLER.read_bytes()[: 44 + 2 * RATE * 4])
    call = play(tmp_path / "call", path)
    assert call.status == 0
    assert f"'{path}' is cut off: of the 39.00 s that its header promises, 4.00 s are played." in call.out
    assert call.said[1:] == ["It is nine thirty in the morning."]


@pytest.mark.parametrize(
    ("rate", "subtype", "channels"),
    [
        (16_000, "PCM_16", 2),
        (16_000, "PCM_U8", 1),
        (16_000, "PCM_24", 1),
        (44_100, "PCM_32", 1),
        (48_000, "FLOAT", 2),
        (8_000, "PCM_16", 1),
        (96_000, "PCM_24", 1),
    ],
)
def test_a_question_is_understood_in_any_wav(tmp_path: Path, rate: int, subtype: str, channels: int) -> None:
    question = caller()[22 * RATE : 24 * RATE]  # one that is understood from the telephone's half of the spectrum too
    samples = soxr.resample(asking(question, at=1.9, length=4.5) / 32768, RATE, rate)
    if subtype == "PCM_U8":
        samples = np.round(samples * 128) / 128  # libsndfile rounds down, which makes loud noise of the room's
    sound = np.stack([samples] * channels, axis=1)
    path = tmp_path / "question.wav"
    soundfile.write(path, sound, rate, subtype=subtype)
    call = play(tmp_path / "call", path)
    assert (call.status, call.err) == (0, "")
    assert call.understood == ["what is on my shopping list"]


def test_an_out_that_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for out in (file, file / "below", Path("/proc/nowhere")):
        sentence = refused("console", CLOCK, "--input", CALLER, "--out", out)
        assert f"--out '{out}'" in sentence
    (tmp_path / "out" / "call.wav").mkdir(parents=True)
    sentence = refused("console", CLOCK, "--input", CALLER, "--out", tmp_path / "out")
    assert "Cannot write" in sentence
    assert "call.wav" in sentence


def test_a_full_disk_costs_the_recording_and_not_the_call(tmp_path: Path) -> None:
    play(tmp_path, asking(first_question(), length=4.0))  # makes caller.wav
    room_bytes = 100_000
    done = subprocess.run(
        command("console", CLOCK, "--input", tmp_path / "caller.wav", "--out", tmp_path / "full"),
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, room_bytes)),
    )
    assert done.returncode == 1
    sound_lost, picture_lost = done.stderr.splitlines()
    assert sound_lost.startswith(f"agent-runtime: Cannot write {tmp_path / 'full' / 'call.wav'}: File too large")
    assert picture_lost.startswith(f"agent-runtime: Cannot write {tmp_path / 'full' / 'call.svg'}: the recording is")
    assert not (tmp_path / "full" / "call.svg").exists()
    assert "It is nine thirty" in done.stdout
    with wave.open(str(tmp_path / "full" / "call.wav")) as sound:
        assert 0 < sound.getnframes() * 4 <= room_bytes
        assert len(sound.readframes(sound.getnframes())) == sound.getnframes() * 4
    assert Played(0, "", "", tmp_path / "full").log[-1]["type"] == "close"


# How it ends


SIGNALS_ITSELF = """
import os, signal

class Impatient(Agent):
    async def on_enter(self):
        self.session.say("Hello, what can I do for you, now that we have all the time in the world?")

def at(event):
    if event.type == {phase!r}:
        os.kill(os.getpid(), signal.{name})
"""

LISTENS = "    session.log.subscribe(at)\n    await"


@pytest.mark.parametrize(
    ("name", "phase"),
    [
        ("SIGINT", "session_started"),
        ("SIGINT", "playback_started"),
        ("SIGINT", "voice_started"),
        ("SIGINT", "interruption_suspected"),
        ("SIGINT", "playout_paused"),
        ("SIGINT", "user_input_transcribed"),
        ("SIGINT", "interruption_confirmed"),
        ("SIGINT", "turn_committed"),
        ("SIGINT", "close"),
        ("SIGTERM", "playback_started"),
        ("SIGTERM", "turn_committed"),
    ],
)
def test_a_signal_in_any_phase_of_a_call_leaves_whole_files(tmp_path: Path, name: str, phase: str) -> None:
    nodes = ", ".join(SOME.values())
    entry = ENTRY.format(nodes=nodes, agent="Impatient(instructions='x')").replace("    await", LISTENS)
    path = script(tmp_path, SIGNALS_ITSELF.format(phase=phase, name=name) + entry)
    watch = Stopwatch()
    with watch:
        call = play(tmp_path / "call", asking(first_question(), at=1.0, length=4.0), path)
    assert call.status == (0 if phase == "close" else 128 + getattr(signal, name))
    assert call.err == ""
    assert call.log[-1]["type"] == "close"
    assert phase in {event["type"] for event in call.log}
    assert len(call.lanes()[0]) / 24_000 == pytest.approx(call.log[-1]["t"], abs=0.03)
    assert (call.folder / "call.svg").stat().st_size > 1000
    assert watch.seconds < 5


NOT_TODAY = """
@server.rtc_session()
async def entrypoint(ctx):
    async def note(reason): print(f"told: {{reason!r}}")
    ctx.add_shutdown_callback(note)
    ctx.shutdown({reason})
    {then}
"""


@pytest.mark.real_time
@pytest.mark.parametrize("reason", ["", "'closed on Sundays'"])
@pytest.mark.parametrize(
    "then",
    ["pass", "await asyncio.Event().wait()", "await session.start(agent=agent, room=ctx.room)"],
)
def test_a_job_that_is_shut_down_before_its_session_starts_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str, then: str
) -> None:
    more = """
class Greets(Agent):
    async def on_enter(self): self.session.say("Hello")
session, agent = AgentSession(llm='local/rules', tts='local/espeak'), Greets(instructions='x')
"""
    path = script(tmp_path, more + NOT_TODAY.format(reason=reason, then=then))
    call = play(tmp_path / "call", room(0.1), path)
    assert (call.status, call.err) == (0, "")
    assert f"told: {reason or repr('')}\n" in call.out
    assert "The call ended before its session started.\n" in call.out
    assert "Hello" not in call.out
    monkeypatch.setattr("sys.stdin", io.StringIO("hello\n"))
    status, out, err = run("console", path, "--text")
    assert (status, err) == (0, "")
    assert f"told: {reason or repr('')}\n" in out


def test_shutdown_callbacks_are_told_why(tmp_path: Path) -> None:
    body = ENTRY.format(nodes="llm='local/rules'", agent="Agent(instructions='x')") + (
        "    async def note(reason): print('told: ' + reason)\n    ctx.add_shutdown_callback(note)\n"
    )
    assert "told: user_initiated\n" in play(tmp_path / "call", room(0.1), script(tmp_path, body)).out
    body += "    ctx.shutdown('closed')\n"
    assert "told: closed\n" in play(tmp_path / "call", room(0.1), script(tmp_path, body)).out


def test_who_hangs_up_before_the_session_starts_leaves_quietly(tmp_path: Path) -> None:
    body = (
        "import os, signal\n@server.rtc_session()\nasync def entrypoint(ctx):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n    await asyncio.Event().wait()\n"
    )
    call = play(tmp_path / "call", room(0.1), script(tmp_path, body))
    assert (call.status, call.err) == (130, "")


SECOND_SIGNAL = """
import atexit, os, signal

def again():
    os.kill(os.getpid(), signal.{name})

class Again:
    def __del__(self, again=again):
        again()

@server.rtc_session()
async def entrypoint(ctx):
    session = AgentSession(llm='local/rules')
    await session.start(agent=Agent(instructions='x'), room=ctx.room)
    {when}
    again()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize(
    "when",
    [
        "async def callback(): again()\n    ctx.add_shutdown_callback(callback)",
        "ctx.kept = Again()",
        "atexit.register(again)",
        "globals().update(kept=Again())",
    ],
    ids=["in the callbacks", "after the call", "at exit", "in the last moment"],
)
@pytest.mark.parametrize("own_script", [True, False])
def test_a_second_signal_ends_it_quietly_wherever_it_meets_it(
    tmp_path: Path, name: str, when: str, own_script: bool
) -> None:
    path = script(tmp_path, SECOND_SIGNAL.format(name=name, when=when))
    argv = command("console", path, "--text")
    if own_script:
        path.write_text(path.read_text() + "\nif __name__ == '__main__':\n    cli.run_app(server)\n")
        argv = [sys.executable, str(path), "console", "--text"]
    done = subprocess.run(argv, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (128 + getattr(signal, name), "")


@pytest.mark.parametrize("own_script", [True, False])
def test_ctrl_c_before_the_call_ends_it_quietly_too(tmp_path: Path, own_script: bool) -> None:
    path = script(tmp_path, "")
    twice = (
        "import os, signal\ntry:\n    os.kill(os.getpid(), signal.SIGINT)\n    asyncio.run(asyncio.sleep(1))\n"
        "finally:\n    os.kill(os.getpid(), signal.SIGINT)\n"
    )
    entry = "@server.rtc_session()\nasync def entrypoint(ctx): pass\n"
    if own_script:
        twice = "def setup(proc):\n" + "".join(f"    {line}\n" for line in twice.splitlines())
        path.write_text(HEAD + twice + "server.setup_fnc = setup\n" + entry + "cli.run_app(server)\n")
        argv = [sys.executable, str(path), "console", "--text"]
    else:
        path.write_text(HEAD + twice + entry)
        argv = command("console", path, "--text")
    done = subprocess.run(argv, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, "")


def test_the_command_gives_signals_back_to_who_calls_it(tmp_path: Path) -> None:
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    before = [signal.getsignal(number) for number in numbers]
    path = script(tmp_path, SECOND_SIGNAL.format(name="SIGTERM", when="pass"))
    assert play(tmp_path / "call", room(0.1), path).status == 128 + signal.SIGTERM
    assert [signal.getsignal(number) for number in numbers] == before


SLOW_TO_END = """
import time

class Slow(Agent):
    async def on_exit(self):
        await asyncio.Event().wait()

    @function_tool
    async def add_item(self, item: str) -> str:
        \"\"\"Add an item to the shopping list.\"\"\"
        print("blocking", flush=True)
        time.sleep(60)
"""


@pytest.mark.real_time
@pytest.mark.parametrize("blocked", [True, False])
def test_the_first_signal_ends_it_within_two_seconds_and_the_second_at_once(tmp_path: Path, blocked: bool) -> None:
    path = agent_script(tmp_path, "llm='local/rules'", agent="Slow(instructions='x')", more=SLOW_TO_END)
    with _child("console", path, "--text", "--out", tmp_path) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write("add milk to the shopping list\n" if blocked else "hello\n")
        child.stdin.flush()
        for line in child.stdout:
            if line.startswith("blocking" if blocked else "agent>"):
                break
        watch = Stopwatch()
        with watch:
            child.send_signal(signal.SIGINT)
            if blocked:
                with pytest.raises(subprocess.TimeoutExpired):
                    child.wait(timeout=0.2)
                child.send_signal(signal.SIGINT)
            assert child.wait(timeout=5) == 130
        assert watch.seconds < (0.7 if blocked else 2.0)
        assert child.stderr is not None
        assert child.stderr.read() == ""
    log = Played(130, "", "", tmp_path).log
    assert (log[-1]["type"] == "close") != blocked


def _child(*argv: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command(*argv),
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_who_stops_reading_stops_the_call(tmp_path: Path) -> None:
    with _child("console", CLOCK, "--input", CALLER, "--out", tmp_path) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert "Hello" in child.stdout.readline()
        child.stdout.close()
        assert child.wait(timeout=60) == 141
        assert child.stderr.read() == ""


def test_without_an_output_or_an_input_it_runs_all_the_same(tmp_path: Path) -> None:
    shell = " ".join(map(str, command("console", CLOCK, "--text")))
    done = subprocess.run(["sh", "-c", f"{shell} <&- >&-"], env=environment(), capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_terminal_that_lacks_a_letter_does_not_end_the_call(tmp_path: Path, encoding: str) -> None:
    more = "class Greek(Agent):\n    async def on_enter(self): self.session.say('καλημέρα 😀')\n"
    path = agent_script(tmp_path, "llm='local/rules'", agent="Greek(instructions='x')", more=more)
    done = subprocess.run(
        command("console", path, "--text"),
        env=environment(PYTHONIOENCODING=encoding),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert ("καλημέρα".encode() in done.stdout) == (encoding == "utf-8")


def test_a_script_and_the_command_do_the_same() -> None:
    typed = "what is two plus two\nadd milk to my shopping list\nwhat is on my shopping list\ngood bye\n"
    children = [
        subprocess.Popen(
            argv, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for argv in ([sys.executable, str(CLOCK), "console", "--text"], command("console", CLOCK, "--text"))
    ]
    (script_says, command_says) = [(child.communicate(typed, timeout=60), child.returncode) for child in children]
    script_lines, command_lines = (
        [re.sub(r" \([0-9.]+ s\)$", "", line) for line in says[0][0].splitlines()]
        for says in (script_says, command_says)
    )
    assert script_lines == command_lines
    assert script_says[1] == command_says[1] == 0
    assert script_says[0][1] == command_says[0][1] == ""
    for answer in (
        "agent> Two plus two is four.",
        "agent> I added milk.",
        "agent> On the list: milk.",
        "agent> Good-bye!",
    ):
        assert answer in script_lines


HANGS = """
class Hangs(Agent):
    @function_tool
    async def add_item(self, item: str) -> str:
        \"\"\"Add an item to the shopping list.

        Args:
            item: What to buy
        \"\"\"
        await asyncio.Event().wait()
"""


@pytest.mark.real_time
def test_a_tool_that_hangs_does_not_hang_a_piped_conversation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = agent_script(tmp_path, "llm='local/rules'", agent="Hangs(instructions='x')", more=HANGS)
    monkeypatch.setattr(console, "PATIENCE_S", 0.1)
    monkeypatch.setattr("sys.stdin", io.StringIO("add milk to the shopping list\n"))
    status, out, err = run("console", path, "--text")
    assert status == 0
    assert "Nothing has happened for 0.1 s" in err
    assert "The call ended before this was done." in out


def test_a_tool_that_hangs_does_not_hang_a_played_call(tmp_path: Path) -> None:
    nodes = ", ".join([*SOME.values(), "stt_context_options={'keyterms': ['milk']}"])
    path = agent_script(tmp_path, nodes, agent="Hangs(instructions='x')", more=HANGS)
    question = caller()[round(6.4 * RATE) : round(9.0 * RATE)]
    call = play(tmp_path / "call", asking(question), path)
    assert call.status == 0
    assert "Nothing has happened for 60 s while the agent is at work" in call.err
    assert call.tools == ["add_item"]
    assert call.log[-1]["type"] == "close"


@pytest.mark.parametrize("guarded", [False, True])
def test_run_app_says_what_it_takes(tmp_path: Path, guarded: bool) -> None:
    body = (
        "async def entrypoint(ctx): ...\n" + 'if __name__ == "__main__":\n    ' * guarded + "cli.run_app(entrypoint)\n"
    )
    script = tmp_path / "habit.py"
    script.write_text(HEAD + body, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, script, "console", "--text"], capture_output=True, text=True, timeout=60, env=environment()
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "agent-runtime: cli.run_app() takes an AgentServer, not the function 'entrypoint'; write server = AgentServer(), "
        "@server.rtc_session() above the entrypoint, and cli.run_app(server).\n"
    )
