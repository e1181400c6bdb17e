"""What a caller at a terminal sees, from scripted calls in virtual time and from a real pseudo-terminal."""

import io
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from agent_runtime import Agent, AgentSession, clock, events, function_tool, virtual
from agent_runtime.events import Event
from agent_runtime.io.memory import ClockSink
from agent_runtime.io.terminal import TerminalView
from agent_runtime.testing.scripted import (
    Call,
    Fail,
    Line,
    ScriptedCaller,
    ScriptedLLM,
    ScriptedSTT,
    ScriptedTTS,
    ScriptedVAD,
)
from tests.io.conftest import Pty
from tests.io.screen import Screen


class Weather(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You tell the weather.")

    async def on_enter(self) -> None:
        self.session.say("Hello there, what can I do for you today my friend?")

    @function_tool
    async def weather(self, city: str) -> str:
        """Tell the weather.

        Args:
            city: Where
        """
        await clock.sleep(1.0)
        return f"sunny in {city}\x1b[2J"


REPLIES: dict[str, Any] = {
    "what is the weather": ["Let me look, one moment.", Call("weather", '{"city": "Rome"}')],
    "sunny in Rome\x1b[2J": "It is sunny in Rome, and that is a very long sentence to be interrupted.",
    "fail": Fail(RuntimeError("the \x1b[31mmodel broke")),
    "*": "OK then.",
}


def call(
    view: TerminalView, lines: Sequence[Line], *, until: float, at: dict[float, Callable[[], None]] | None = None
) -> AgentSession[Any]:
    """Play a call into `view`; `at` holds what is to be looked at when, in seconds from the start."""

    async def main() -> AgentSession[Any]:
        caller = ScriptedCaller(lines, until=until + 1)
        session = AgentSession[Any](
            vad=ScriptedVAD(), stt=ScriptedSTT(caller), llm=ScriptedLLM(REPLIES), tts=ScriptedTTS()
        )
        session.log.subscribe(view)
        await session.start(Weather(), input=caller, output=ClockSink())
        for moment, look in sorted((at or {}).items()):
            await clock.sleep_until(moment)
            look()
        await clock.sleep_until(until)
        await session.aclose()
        return session

    return virtual.run(main())


CALL = [Line(0.54, "", 0.3), Line(4.5, "what is the weather", 1.2), Line(9.0, "stop it", 0.6)]


def test_in_a_pipe_a_call_is_plain_lines() -> None:
    out = io.StringIO()
    call(TerminalView(out, live=False), CALL, until=15)
    paused = "               paused at N s\n"
    told = re.sub(r"at \d\.\d s", "at N s", out.getvalue())  # how soon is for the turn machine to say
    assert paused in told
    expected = """\
               voice over the agent: softer
               resumed at N s: no words
0:04.3  agent  Hello there, what can I do for you today my friend?
0:06.2  you    what is the weather
               turn 1  0.83 s  speech end +0.50 commit +0.00 transcript +0.10 first token +0.16 tool \
+0.03 first clause +0.04 first sample +0.00 played  (tool weather)
0:07.4  tool   weather(city: Rome) -> sunny in Rome\u241b[2J (1.0 s)
0:08.2  agent  Let me look, one moment.
               voice over the agent: softer
               interrupted at N s: words
0:09.2  agent  It is sunny ~~in Rome, and that is a very long sentence to be interrupted.~~
0:10.1  you    stop it
               turn 2  0.81 s  speech end +0.50 commit +0.00 transcript +0.10 first token +0.01 first clause \
+0.20 first sample +0.00 played
0:11.1  agent  OK then.
               the call is over: user initiated
"""
    assert told.replace(paused, "") == expected


def test_on_a_terminal_the_same_lines_stay() -> None:
    plain, live = io.StringIO(), io.StringIO()
    call(TerminalView(plain, live=False, width=60), CALL, until=15)
    call(TerminalView(live, live=True, color=False, width=60), CALL, until=15)
    screen = Screen.of(live.getvalue(), width=60)
    assert screen.lines == [line.rstrip() for line in plain.getvalue().splitlines()]
    assert max(map(len, screen.lines)) <= 60
    assert any(line.endswith(" +0.10 first token") for line in screen.lines)  # a number stays with its name


def test_what_is_in_the_making_stands_grey_at_the_foot() -> None:
    out = io.StringIO()
    view = TerminalView(out, live=True, color=True, width=80)
    shots: dict[str, Screen] = {}

    def shot(name: str) -> Callable[[], None]:
        return lambda: shots.update({name: Screen.of(out.getvalue())})

    moments = {0.4: "saying", 5.4: "interim", 6.0: "final", 6.9: "tool", 9.3: "cut"}
    call(view, CALL, until=15, at={moment: shot(name) for moment, name in moments.items()})

    assert shots["saying"].lines == [
        "agent  Hello there, what can I do for you today my friend?",
        "agent speaking   you listening",
    ]
    assert shots["saying"].style_of("Hello there") == {"90"}
    assert shots["interim"].lines[-2:] == ["you    what is the", "agent listening   you speaking"]
    assert shots["interim"].style_of("what is the") == {"90"}
    assert shots["final"].lines[-2:] == ["you    what is the weather", "agent listening   you listening"]
    assert "" in shots["final"].style_of("what is the weather")  # solid
    assert "tool   weather(city: Rome) ..." in shots["tool"].lines
    assert shots["tool"].lines[-1] == "agent speaking   you listening"
    assert shots["cut"].style_of("0:09.2  agent") == {"90", "1", "36", "90;9"}
    assert shots["cut"].lines[-2:] == ["you    stop", "agent listening   you speaking"]
    final = Screen.of(out.getvalue())
    assert final.style_of("0:04.3  agent  Hello there") == {"90", "1", "36"}
    assert not any("agent listening" in line for line in final.lines)  # the foot is gone


def test_faults_are_one_line_each_and_harmless() -> None:
    out = io.StringIO()
    view = TerminalView(out, live=False)
    call(view, [Line(5.0, "fail", 0.5)], until=9)
    text = out.getvalue()
    assert "The language model of 'weather' failed with RuntimeError: the \u241b[31mmodel broke" in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("event", "line", "style"),
    [
        (events.Stalled(at=1, what="llm", after=10.0, action="the turn is given up"), "llm stalled for 10 s", "33"),
        (events.EngineRestarted(at=1, engine="local/espeak", reason="died"), "local/espeak died and was", "33"),
        (events.DeviceLost(at=1, device="microphone", message="The card is gone."), "microphone lost: The card", "31"),
        (events.DeviceReturned(at=1, device="speaker", message="Card 2."), "speaker is back: Card 2.", "32"),
        (events.Error(at=1, source="tts", message="It broke.", recoverable=True), "It broke.", "31"),
        (events.Close(at=1, reason="error", error="Boom: x"), "the call failed: Boom: x", "31"),
        (events.TurnReopened(at=1, turn=3), "turn 3 goes on", "90"),
        (events.InputEnded(at=1), "the caller is gone", "90"),
    ],
)
def test_what_goes_wrong_has_its_colour(event: Event, line: str, style: str) -> None:
    out = io.StringIO()
    TerminalView(out, live=True, color=True, width=80)(event)
    screen = Screen.of(out.getvalue())
    assert screen.lines[0].strip().startswith(line)
    assert style in screen.style_of(line)


def test_a_turn_that_goes_on_is_told_whole() -> None:
    out = io.StringIO()
    lines = [Line(5.0, "put milk", 0.6), Line(6.15, "on the list", 0.6)]
    call(TerminalView(out, live=False), lines, until=12)
    told = [line[15:] for line in out.getvalue().splitlines() if "you  " in line or "goes on" in line]
    assert told == ["put milk", "turn 1 goes on", "put milk on the list"]


def test_wide_and_long_text_never_breaks_the_foot() -> None:
    out = io.StringIO()
    view = TerminalView(out, live=True, color=False, width=30)
    view(events.PhraseReady(at=0, speech_id="s", index=0, text="日本語" * 40_000))
    view(events.UserInputTranscribed(at=0, transcript="x" * 10_000, is_final=False))
    view(events.ToolStarted(at=0, speech_id="s", call_id="c", name="find", arguments="語" * 1000))
    screen = Screen.of(out.getvalue(), width=30)
    assert len(screen.lines) == 7  # three rows, one, two, one
    view(events.PlaybackFinished(at=1, speech_id="s", position=1.0, interrupted=True, heard="日本語", cut="語" * 99))
    view.close()
    screen = Screen.of(out.getvalue(), width=30)
    assert screen.lines[0] == "0:01.0  agent  日本語"
    assert "find" not in "".join(screen.lines)


def test_a_terminal_that_became_narrow_is_cleared_whole() -> None:
    out = io.StringIO()
    view = TerminalView(out, live=True, color=False, width=80)
    view(events.UserInputTranscribed(at=0, transcript="one two three four five six seven eight", is_final=False))
    screen = Screen.of(out.getvalue(), width=80)
    assert len(screen.lines) == 2
    reflowed = Screen(width=25)
    reflowed.write("".join(f"{line}\n" for line in screen.lines).rstrip("\n"))
    before = len(out.getvalue())
    view._region._fixed_width = 25
    view.close()
    reflowed.write(out.getvalue()[before:])
    assert reflowed.lines == []


def test_notes_stand_above_the_foot() -> None:
    out = io.StringIO()
    view = TerminalView(out, live=True, color=False, width=80)
    view.microphone, view.hint = "microphone off", "q quit"
    view.refresh()
    view.note("No echo cancellation.", "warning")
    assert Screen.of(out.getvalue()).lines == [
        "               No echo cancellation.",
        "agent initializing   you listening   microphone off   q quit",
    ]


def test_a_character_set_without_the_letters_loses_letters_only() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    view = TerminalView(out, live=False)
    view(
        events.TurnCommitted(
            at=0, turn=1, transcript="wie geht’s, 日本", reason="", last_voiced=None, transcribed_at=None
        )
    )
    assert raw.getvalue().decode() == "0:00.0  you    wie geht?s, ??\n"


def test_a_reader_that_has_gone_ends_the_writing_not_the_call() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    view = TerminalView(Gone(), live=False)
    session = call(view, CALL, until=15)
    assert session.last_error is None
    assert len(session.history.items) > 6


def test_on_a_real_terminal(pty: Pty) -> None:
    view = TerminalView(pty.stdout, live=pty.stdout.isatty())
    modes = pty.modes()
    call(view, CALL, until=15)
    output = pty.output()
    assert Screen.of(output).style_of("It is sunny") >= {"36", "90;9"}
    assert pty.modes() == modes
    assert output.endswith("\n")
    assert output.count("\x1b[?7l") == output.count("\x1b[?7h")  # nothing but the moment of writing is switched


def test_color_follows_the_terminal(pty: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    TerminalView(pty.stdout, live=False).note("played", "error")
    assert "\x1b[31m" in pty.output()
    monkeypatch.setenv("NO_COLOR", "1")
    TerminalView(pty.stdout, live=False).note("played", "error")
    assert "\x1b" not in pty.output()
    monkeypatch.setenv("TERM", "dumb")
    TerminalView(pty.stdout, live=True).note("played", "error")
    assert "\x1b" not in pty.output()


def test_an_exception_leaves_a_whole_line(pty: Pty) -> None:
    def fail() -> None:
        with TerminalView(pty.stdout, live=True) as view:
            view.microphone = "microphone off"
            view.refresh()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert Screen.of(pty.output()).lines == []
