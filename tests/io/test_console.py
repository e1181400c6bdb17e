"""How a call in the console ends: what its entrypoint may still do, and what has no end of its own."""

import io
from pathlib import Path

import pytest

from agent_runtime.clock import Stopwatch
from agent_runtime.io import call, console
from agent_runtime.worker.job import SHUTDOWN_GRACE_S
from tests.played import CALLER, CLOCK, asking, first_question, play, room, run

HEAD = """\
import asyncio, os, signal
from agent_runtime import Agent, AgentServer, AgentSession, RunContext, function_tool
server = AgentServer()

class Ada(Agent):
    def __init__(self): super().__init__(instructions="You are Ada.")

    @function_tool
    async def hang_up(self, context: RunContext):
        "Hang up the phone"
        context.session.shutdown()

    @function_tool
    async def read_report(self):
        "Read the weather report"
        await asyncio.Event().wait()

class Endless(Agent):
    async def llm_node(self, chat_ctx, tools, model_settings):
        while True:
            yield "word "

@server.rtc_session()
async def entrypoint(ctx):
    async def bye(reason): print("reason:", reason)
    ctx.add_shutdown_callback(bye)
    session = AgentSession({nodes})
    await session.start(agent={agent}, room=ctx.room)
"""
WAITS = """
    await session.wait_closed()
    print("items:", len(session.history.items))
    await asyncio.sleep({seconds})
    print("after sleep")
"""


def script(folder: Path, then: str, *, nodes: str = "llm='local/rules'", agent: str = "Ada()") -> Path:
    path = folder / "script.py"
    path.write_text(HEAD.replace("{nodes}", nodes).replace("{agent}", agent) + then)
    return path


def typed(monkeypatch: pytest.MonkeyPatch, path: Path, text: str) -> tuple[int, str, str]:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    return run("console", path, "--text")


ENDS = pytest.mark.parametrize("how", ["played", "end of input", "hang up"])


def ended(how: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str, str]:
    """Run a script whose call ends in one of three ways."""
    if how == "played":
        played = play(path.parent / "call", room(0.1), path)
        return played.status, played.out, played.err
    return typed(monkeypatch, path, "hello\n" if how == "end of input" else "hang up\n")


# The entrypoint


@pytest.mark.real_time
@ENDS
def test_what_stands_behind_wait_closed_is_run(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, out, err = ended(how, script(tmp_path, WAITS.format(seconds=0.1)), monkeypatch)
    assert (status, err) == (0, "")
    items, slept, told = (out.index(text) for text in ("items: ", "after sleep\n", "reason: user_initiated\n"))
    assert items < slept < told, "the shutdown callbacks come last"
    assert "goes on" not in out


@pytest.mark.real_time
@ENDS
def test_what_it_raises_there_is_told(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    then = WAITS.format(seconds=0.1) + "    raise ValueError('no room')\n"
    status, out, err = ended(how, script(tmp_path, then), monkeypatch)
    assert status == 2
    assert "raised ValueError: no room" in err
    assert "reason: error\n" in out


@pytest.mark.real_time
@pytest.mark.parametrize("text", ["", "hello\n"])
def test_who_says_something_in_a_session_that_he_closed_is_told(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = script(tmp_path, "    await session.aclose()\n    session.say('x')\n")
    for status, _, err in (typed(monkeypatch, path, text), _of(play(tmp_path / "call", room(0.1), path))):
        assert status == 2
        assert "This session has ended" in err


def _of(played: object) -> tuple[int, str, str]:
    return played.status, played.out, played.err  # type: ignore[attr-defined]


def test_who_speaks_on_when_the_caller_has_hung_up_has_done_nothing_wrong(tmp_path: Path) -> None:
    then = "    while True:\n        await asyncio.sleep(1.3)\n        session.say('still there')\n"
    played = play(tmp_path / "call", room(0.1), script(tmp_path, then))
    assert played.status == 0
    assert "The entrypoint ended after the call with: This session has ended" in played.err


def test_an_entrypoint_that_never_ends_is_cut_off(tmp_path: Path) -> None:
    then = (
        "    try:\n        await asyncio.Event().wait()\n"
        "    finally:\n        print('cut at', asyncio.get_running_loop().time() - session.log.last.at)\n"
    )
    played = play(tmp_path / "call", room(0.1), script(tmp_path, then))
    assert (played.status, played.err) == (0, "")
    assert "goes on" not in played.out, "nobody waits in virtual time"
    assert f"cut at {SHUTDOWN_GRACE_S}\n" in played.out


@pytest.mark.real_time
def test_ctrl_c_ends_an_entrypoint_that_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call, "HURRIED_S", 0.1)
    then = (
        "    await session.wait_closed()\n"
        "    asyncio.get_running_loop().call_later(0.3, os.kill, os.getpid(), signal.SIGINT)\n"
        "    await asyncio.Event().wait()\n"
    )
    watch = Stopwatch()
    with watch:
        status, out, _ = typed(monkeypatch, script(tmp_path, then), "hello\n")
    assert status == 130
    assert "The entrypoint goes on after its session; it has 10 s, Ctrl-C ends it.\n" in out
    assert watch.seconds < 5


# What has no end


def test_a_model_that_never_ends_does_not_make_a_call_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "SPEAKS_ON_S", 20.0)
    nodes = "stt='local/pocketsphinx', tts='local/espeak', stt_context_options={'keyterms': ['what time is it']}"
    path = script(tmp_path, "", nodes=nodes, agent="Endless(instructions='x')")
    played = play(tmp_path / "call", asking(first_question(), at=0.5, length=2.0), path)
    assert played.status == 0
    assert "The agent has gone on for 20 s after its caller's end; the call ends here.\n" in played.err
    assert 22 < played.log[-1]["t"] < 28
    assert played.said[0].startswith("word word")


def test_a_tool_that_hangs_ends_a_call_after_a_minute_although_it_is_told_to_be_late(tmp_path: Path) -> None:
    nodes = "llm='local/rules', tts='local/espeak'"
    then = "    session.generate_reply(user_input='read the weather report')\n    await session.wait_closed()\n"
    played = play(tmp_path / "call", room(0.1), script(tmp_path, then, nodes=nodes))
    assert f"Nothing has happened for {console.PATIENCE_S:g} s while the agent is at work" in played.err
    (late,) = played.of("stalled")
    assert late["t"] == pytest.approx(15, abs=0.1)
    began = played.of("tool_started")[0]["t"]
    assert played.log[-1]["t"] == pytest.approx(began + console.PATIENCE_S, abs=8), "counted from the caller's end"


# What is refused


@pytest.mark.parametrize("where", [["--text"], ["--input", CALLER]])
@pytest.mark.parametrize("idle", [["--no-aec"], ["--half-duplex"], ["--output-device", "3"], ["--input-device", "x"]])
def test_an_option_of_the_devices_where_there_are_none(where: list[str], idle: list[str]) -> None:
    status, out, err = run("console", CLOCK, *where, *idle)
    assert (status, out) == (2, "")
    assert err == f"agent-runtime: {where[0]} and {idle[0]} exclude each other; take one of them.\n"


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ([CLOCK, "--input", ""], "The path given as --input is empty; name a WAV file."),
        ([""], "The path given as script is empty; name a Python file."),
    ],
)
def test_an_empty_path(argv: list[str], told: str) -> None:
    assert run("console", *argv) == (2, "", f"agent-runtime: {told}\n")
