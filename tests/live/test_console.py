"""The console as a caller meets it: a process of its own, a voice in its microphone, eyes on its screen, and a recording.

Nothing here looks into the process: what is asserted was heard in the room, stood on the screen, or lies on disk.
"""

import asyncio
import datetime
import json
import re
import signal
import statistics
import time
import wave
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from agent_runtime.providers.local.espeak import EspeakTTS
from agent_runtime.providers.local.rules_numbers import spell
from tests.live.bus import RATE, Bus, Recording
from tests.live.console import Console, console
from tests.live.cough import write_cough
from tests.live.heard import WINDOW_S, Samples, Stretch, levels_db, place_of, sound_of, stretches, voice_in

pytestmark = pytest.mark.real_time

GREETING = "what can I do for you?"

# What is said here the recogniser takes for itself 30 times of 30, wherever a frame begins in it: "what day is it" it takes
# for "what a zed" 13 times of 30, and these tests are not about that.
LONG_QUESTION = "can you help me"
LONG_ANSWER = "I can "


class Call:
    """A console in a room, and what was heard there since the call began."""

    def __init__(self, console: Console, room: Bus) -> None:
        self.console = console
        self._room = room
        self._recording: Recording = room.record()
        self._voices: dict[tuple[str, str], Path] = {}

    def greeted(self) -> None:
        """Wait until the agent has said what it says first."""
        self.console.said("agent", GREETING, 15)
        self.pause(0.3)

    def say(self, text: str, voice: str = "slt") -> tuple[float, float]:
        """Speak and wait until it is spoken; from when to when the voice sounded, in seconds of the recording."""
        if (text, voice) not in self._voices:
            self._voices[text, voice] = self._room.speech(text, voice)
        return self.play(self._voices[text, voice])

    def play(self, wav: Path) -> tuple[float, float]:
        sound, began = sound_of(wav), self.now
        self._room.say(wav).wait()
        ended, place, alike = self.now, 0.0, 0.0
        while alike < 0.7:  # what was played may be recorded a little later
            assert self.now < ended + 2, "the caller's voice is not in the recording"
            self.pause(0.05)
            place, alike = place_of(sound, self._recording.so_far()[:, 0], start_s=max(0.0, began - 0.2))
        if not self._room.has_echo:
            assert alike > 0.99, f"the room has damaged the caller's voice ({alike:.3f})"
        voice = voice_in(sound)
        return place + voice.start, place + voice.end

    def agent(self, *, gap_s: float = 0.4) -> list[Stretch]:
        """What the agent has said up to now."""
        return stretches(self._recording.so_far()[:, 1], gap_s=gap_s)

    def sound(self, stretch: Stretch) -> Samples:
        return self._recording.so_far()[round(stretch.start * RATE) : round(stretch.end * RATE), 1]

    def agent_after(self, moment: float) -> Stretch:
        """The first thing that the agent said after `moment`, as far as it was said; waits for its beginning."""
        while not (found := [stretch for stretch in self.agent() if stretch.start > moment]):
            assert self.now < moment + 10, "the agent said nothing"
            self.pause(0.05)
        return found[0]

    @property
    def now(self) -> float:
        return len(self._recording.so_far()) / RATE

    def pause(self, seconds: float) -> None:
        self._recording.wait_for(self.now + seconds)

    def agent_speaks(self, seconds: float = 0.0) -> None:
        """Wait until it does, and then so many seconds more."""
        self.console.agent_is("speaking", 5)
        self.pause(seconds)

    def agent_listens(self, seconds: float = 15.0) -> None:
        self.console.agent_is("listening", seconds)
        self.pause(0.3)

    def silent_after(self, moment: float) -> float:
        """Seconds from `moment`, at which the agent sounded, to its silence."""
        sounding = [each for each in self.agent(gap_s=0.2) if each.start < moment < each.end]
        assert sounding, "the agent was not speaking when the caller began"
        return sounding[0].end - moment


@pytest.fixture
def call(bus: Bus) -> Iterator[Call]:
    with console(env=bus.env) as process:
        yield Call(process, bus)


def measured(what: str, value: object) -> None:
    """For who reads the report: `pytest -rP`."""
    print(f"{what}: {value}")


# A conversation


def test_a_conversation(call: Call, tmp_path: Path) -> None:
    call.greeted()
    _, asked_until = call.say("what time is it")
    call.console.said("agent", "It is ")
    answer = call.agent_after(asked_until)
    gap = answer.start - asked_until
    measured("end of speech to first sound, s", round(gap, 3))
    assert 0.4 < gap < 1.5
    call.console.said("you", "what time is it")
    said = next(line for line in call.console.lines if "It is " in line).partition("It is ")[2]
    assert as_spoken() in said or as_spoken(minutes_ago=1) in said
    answer = call.agent_after(asked_until)
    assert alike(call.sound(answer), f"It is {said}") > alike(call.sound(answer), "It is half past noon.") + 0.1

    # By the cough the canceller has heard enough of the agent to know that there is no echo here, and lets it through.
    _, asked_until = call.say(LONG_QUESTION)
    call.console.said("agent", LONG_ANSWER, 20)
    undisturbed = sounding_s(call, asked_until)
    coughed = over_a_cough(call, tmp_path)
    measured("agent's sound over a cough, s", (round(coughed, 3), round(undisturbed, 3)))
    assert coughed == pytest.approx(undisturbed, abs=0.06)

    silences = [interruption(call, "please stop", voice) for voice in ("slt", "rms", "slt")]
    assert heard_from_caller(call.console)[-5:] == ["please stop", *[LONG_QUESTION, "please stop"] * 2]
    measured("caller's voice to silence, s", [round(each, 3) for each in silences])
    assert statistics.median(silences) < 0.25
    assert max(silences) < 0.45
    call.console.press("q")
    assert call.console.ended() == 0
    assert call.console.is_whole


def interruption(call: Call, text: str, voice: str = "slt", *, repeat: bool = False) -> float:
    """Ask for something long and say `text` over it; how long after the caller's voice the agent fell silent.

    With `repeat` the caller says it again when the agent has heard a voice but no words, and goes on: it must fall silent
    as quickly at both times, and the longer of both counts.
    """
    already = sum("interrupted at" in line for line in call.console.lines)
    call.say(LONG_QUESTION)
    call.agent_speaks(1.8)
    silences = []
    for last in (False, True) if repeat else (True,):
        began, _ = call.say(text, voice)
        call.pause(1.5)
        silences.append(call.silent_after(began))
        if last or sum("interrupted at" in line for line in call.console.lines) > already:
            break
    call.console.shows("interrupted at", 3, times=already + 1)
    call.agent_listens()
    return max(silences)


def over_a_cough(call: Call, folder: Path) -> float:
    """Ask for something long and cough over the answer; the answer's seconds of sound."""
    _, asked_until = call.say(LONG_QUESTION)
    call.agent_speaks(0.8)
    call.play(write_cough(folder / "cough.wav"))
    call.console.said("agent", LONG_ANSWER, 20, times=2)
    call.pause(0.2)
    call.console.shows("paused at")
    call.console.shows("resumed at")
    assert not any("interrupted" in line for line in call.console.lines)
    silences = [
        after.start - before.end for before, after in pairwise(call.agent(gap_s=0.2)) if before.start > asked_until
    ]
    assert 0.3 < max(silences) < 2.0, "it never paused, or for long"
    return sounding_s(call, asked_until)


def sounding_s(call: Call, since: float) -> float:
    """Seconds of the agent's sound from a moment on, silences within left out."""
    call.pause(0.3)
    return float((levels_db(call.sound(Stretch(since, call.now))) > -80).sum() * WINDOW_S)


def as_spoken(*, minutes_ago: int = 0) -> str:
    """The time of day in the agent's words, as far as they tell a minute from the next."""
    moment = datetime.datetime.now().astimezone() - datetime.timedelta(minutes=minutes_ago)
    minute = "oh " * (0 < moment.minute < 10) + spell(moment.minute) if moment.minute else "o'clock"
    return f"{spell(moment.hour % 12 or 12)} {minute} in the"


def alike(sound: Samples, text: str) -> float:
    """How much a sound is like the agent's voice saying `text`: 1.0 the same, below 0.3 another text."""

    async def speak() -> bytes:
        voice = EspeakTTS()
        try:
            return b"".join([frame.data async for frame in voice.synthesize(text)])
        finally:
            await voice.aclose()

    import soxr

    spoken = soxr.resample(np.frombuffer(asyncio.run(speak()), dtype="<i2"), EspeakTTS().sample_rate, RATE)
    room = np.zeros(len(spoken), dtype=np.int16)
    return place_of(spoken, np.concatenate([room, sound, room]))[1]


# Echo


@pytest.mark.parametrize("latency_ms", [30, 100, 250])
def test_it_neither_interrupts_itself_nor_goes_deaf_in_its_own_echo(call: Call, bus: Bus, latency_ms: int) -> None:
    with bus.echo(latency_ms):  # as loud in the microphone as the caller
        call.greeted()
        _, asked_until = call.say(LONG_QUESTION)
        call.console.said("agent", LONG_ANSWER, 20)
        call.pause(0.8)
        assert call.agent_after(asked_until).length > 1.5
        assert not any("voice over the agent" in line for line in call.console.lines)
        assert heard_from_caller(call.console) == [LONG_QUESTION]
    with bus.echo(latency_ms, gain_db=-20):  # who speaks into a microphone is louder there than the speaker
        silence = interruption(call, "what time is it", repeat=True)
        # Its words stop the agent; the turn is over later, by as much as they are misread in the echo.
        call.console.until(lambda lines: len(turns_of_caller(lines)) == 3)
    measured("caller's voice to silence, s", round(silence, 3))
    assert silence < 0.45


def heard_from_caller(console: Console) -> list[str]:
    """The turns on the screen."""
    return turns_of_caller(console.lines)


def turns_of_caller(lines: list[str]) -> list[str]:
    turns = (re.match(r"\s*\d+:\d\d\.\d\s+you\s+(.*)", line) for line in lines)
    return [turn.group(1) for turn in turns if turn]


# Devices and keys


def test_devices_come_and_go_and_keys_are_obeyed(call: Call, bus: Bus) -> None:
    console = call.console
    call.greeted()

    console.press("m")
    console.shows("microphone off")
    call.say("what time is it")
    call.pause(1.0)
    assert heard_from_caller(console) == []
    console.press("m")
    console.until(lambda lines: "microphone off" not in lines[-1])
    call.say("what time is it")
    console.said("agent", "It is ")

    console.press(" ")
    console.shows("talking, space ends your turn")
    _, spoken_until = call.say("what is your name")
    console.press(" ")
    console.shows("push to talk, space begins")
    console.said("you", "what is your name")
    assert call.agent_after(spoken_until).start - spoken_until < 1.0
    console.said("agent", "My name is")
    console.press("m")

    console.press("t")
    console.shows("you>")
    console.press("what is two plus two\r")
    console.said("agent", "four")
    console.press("\x1b")
    console.until(lambda lines: not any(line.startswith("you>") for line in lines))

    bus.stop()
    console.shows("microphone lost")
    console.shows("speaker lost")
    bus.start()
    console.shows("microphone is back")
    console.shows("speaker is back")
    for sentence in ("microphone lost", "speaker lost", "microphone is back", "speaker is back"):
        assert sum(sentence in line for line in console.lines) == 1
    again = Call(console, bus)
    _, asked_until = again.say("what time is it")
    console.said("agent", "It is ", times=2)
    again.pause(0.3)
    assert 0.4 < again.agent_after(asked_until).start - asked_until < 1.5

    children = console.children()
    assert len(children) >= 2
    console.press("q")
    assert console.ended() == 0
    assert console.is_whole
    assert not alive(children)


# The end


SLOW = """
import asyncio
from agent_runtime import Agent, AgentServer, AgentSession, JobContext

class Slow(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="")

    async def on_enter(self) -> None:
        self.session.generate_reply(user_input="hello")

    async def llm_node(self, chat_ctx, tools, model_settings):
        await asyncio.sleep(60)
        yield "never"

server = AgentServer()

@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    session = AgentSession(vad="local/silero", stt="local/pocketsphinx", llm="local/rules", tts="local/espeak")
    await session.start(agent=Slow(), room=ctx.room)
"""

STUBBORN = """async def on_exit(self):
        await asyncio.sleep(60)

    async def on_enter"""


def listening(console: Console, room: Bus, folder: Path) -> None:
    console.said("agent", GREETING, 15)
    console.agent_is("listening")


def speaking(console: Console, room: Bus, folder: Path) -> None:
    console.agent_is("speaking", 15)


def thinking(console: Console, room: Bus, folder: Path) -> None:
    console.agent_is("thinking", 15)


def held(console: Console, room: Bus, folder: Path) -> None:
    speaking(console, room, folder)
    room.say(write_cough(folder / "cough.wav"))
    console.shows("paused at")


def typing(console: Console, room: Bus, folder: Path) -> None:
    speaking(console, room, folder)
    console.press("t")
    console.press("what")
    console.shows("you> what")


@pytest.mark.parametrize("state", [listening, speaking, thinking, held, typing])
def test_ctrl_c_in_any_state_ends_the_call_in_order(
    bus: Bus, tmp_path: Path, state: Callable[[Console, Bus, Path], None]
) -> None:
    script = "agents/clock.py"
    if state is thinking:
        (tmp_path / "slow.py").write_text(SLOW)
        script = str(tmp_path / "slow.py")
    with console("--no-aec", "--out", str(tmp_path / "out"), env=bus.env, script=script) as process:
        state(process, bus, tmp_path)
        children = process.children()
        pressed_at = time.monotonic()
        process.press("\x03")
        assert process.ended() == 130
        assert time.monotonic() - pressed_at < 2
        assert process.is_whole
        assert "Traceback" not in process.text
    assert events_in(tmp_path / "out")[-1] == "close"
    assert not alive(children)


def test_a_second_ctrl_c_ends_it_at_once(bus: Bus, tmp_path: Path) -> None:
    script = tmp_path / "stubborn.py"
    script.write_text(SLOW.replace("async def on_enter", STUBBORN))
    with console("--no-aec", "--out", str(tmp_path / "out"), env=bus.env, script=str(script)) as process:
        thinking(process, bus, tmp_path)
        children = process.children()
        process.press("\x03")
        time.sleep(0.2)
        pressed_at = time.monotonic()
        process.press("\x03")
        assert process.ended() == 130
        assert time.monotonic() - pressed_at < 0.3
        assert process.is_whole
    events_in(tmp_path / "out")
    assert not alive(children)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_call_in_order(bus: Bus, tmp_path: Path, number: int, status: int) -> None:
    with console("--no-aec", "--out", str(tmp_path), env=bus.env) as process:
        speaking(process, bus, tmp_path)
        children = process.children()
        process.signal(number)
        assert process.ended(4) == status  # 0.3 s when nothing else runs
        assert process.is_whole
    assert events_in(tmp_path)[-1] == "close"
    assert not alive(children)


def test_sigkill_leaves_no_process_behind(bus: Bus, tmp_path: Path) -> None:
    with console("--no-aec", env=bus.env) as process:
        speaking(process, bus, tmp_path)
        children = process.children()
        assert len(children) >= 2
        process.signal(signal.SIGKILL)
        assert process.ended() == 137
        deadline = time.monotonic() + 2
        while alive(children) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not alive(children)


def events_in(folder: Path) -> list[str]:
    """The kinds of the events in call.jsonl, after a look whether it and call.wav are whole."""
    with wave.open(str(folder / "call.wav")) as file:
        assert file.getnchannels() == 2
        length = file.getnframes()
        assert length
        assert len(file.readframes(length)) == 4 * length
    lines = (folder / "call.jsonl").read_text().split("\n")
    assert lines.pop() == "", "the last line is torn"
    return [json.loads(line)["type"] for line in lines]


def alive(pids: list[int]) -> list[int]:
    """Those that still run. One that has ended and that nobody has waited for does not run."""
    found = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state not in "ZX":
            found.append(pid)
    return found


# Without the right devices


@pytest.mark.parametrize(
    ("flag", "sentence"),
    [
        ("--input-device", "There is no microphone 'Jabra'; choose from 0 'pulse', 1 'default'."),
        ("--output-device", "There is no speaker 'Jabra'; choose from 0 'pulse', 1 'default'."),
    ],
)
def test_a_wrong_device_is_one_sentence(bus: Bus, flag: str, sentence: str) -> None:
    with console(flag, "Jabra", env=bus.env) as process:
        assert process.ended() == 2
        assert process.lines == [f"agent-runtime: {sentence}"]


def test_without_devices_the_recorded_caller_plays(tmp_path: Path) -> None:
    nowhere = {"PULSE_SERVER": f"unix:{tmp_path}/nothing", "PULSE_RUNTIME_PATH": str(tmp_path)}
    with console("--out", str(tmp_path), env=nowhere) as process:
        assert process.ended(60) == 0
        assert re.match(
            r"No microphone was found; .* Meanwhile agents/clock\.wav plays the caller\.", "".join(process.lines)
        )
        assert "what time is it" in heard_from_caller(process)
    assert events_in(tmp_path)[-1] == "close"
