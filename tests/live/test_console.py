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
from pathlib import Path

import numpy as np
import pytest

from tests.live.bus import RATE, Bus, Recording
from tests.live.console import Console, console
from tests.live.heard import Samples, Stretch, place_of, sound_of, stretches, voice_in

pytestmark = pytest.mark.real_time

GREETING = "what can I do for you?"
LONG_QUESTION = "what can you do"
LONG_ANSWER = "I can add an item"


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
        self._recording.wait_for(self.now + 0.05)
        heard = self._recording.so_far()[:, 0]
        place, alike = place_of(sound, heard, start_s=max(0.0, began - 0.2))
        assert alike > 0.7, "the caller's voice is not in the recording"
        voice = voice_in(sound)
        return place + voice.start, place + voice.end

    def agent(self, *, gap_s: float = 0.4) -> list[Stretch]:
        """What the agent has said up to now."""
        return stretches(self._recording.so_far()[:, 1], gap_s=gap_s)

    def sound(self, stretch: Stretch) -> Samples:
        return self._recording.so_far()[round(stretch.start * RATE) : round(stretch.end * RATE), 1]

    def agent_after(self, moment: float) -> Stretch:
        """The first thing that the agent said after `moment`."""
        return next(stretch for stretch in self.agent() if stretch.start > moment)

    @property
    def now(self) -> float:
        return len(self._recording.so_far()) / RATE

    def pause(self, seconds: float) -> None:
        self._recording.wait_for(self.now + seconds)

    def agent_speaks(self, seconds: float = 0.0) -> None:
        """Wait until it does, and then so many seconds more."""
        self.console.until(lambda lines: lines[-1].startswith("agent speaking"), 5)
        self.pause(seconds)

    def agent_listens(self, seconds: float = 15.0) -> None:
        self.console.until(lambda lines: lines[-1].startswith("agent listening"), seconds)
        self.pause(0.3)

    def silent_after(self, moment: float) -> float:
        """Seconds from `moment`, at which the agent sounded, to its silence."""
        sounding = [each for each in self.agent(gap_s=0.2) if each.start < moment < each.end]
        assert sounding, "the agent was not speaking when the caller began"
        return sounding[0].end - moment


@pytest.fixture
def call(bus: Bus, request: pytest.FixtureRequest) -> Iterator[Call]:
    with console(*getattr(request, "param", ()), env=bus.env) as process:
        yield Call(process, bus)


# A conversation


def test_a_conversation(call: Call, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    call.greeted()
    _, asked_until = call.say("what time is it")
    call.console.said("agent", "It is ")
    answer = call.agent_after(asked_until)
    gap = answer.start - asked_until
    record_property("end of speech to first sound, s", round(gap, 3))
    assert 0.4 < gap < 1.5
    call.console.said("you", "what time is it")
    said = next(line for line in call.console.lines if "It is " in line).partition("It is ")[2]
    assert as_spoken() in said or as_spoken(minutes_ago=1) in said
    answer = call.agent_after(asked_until)
    assert alike(call.sound(answer), f"It is {said}") > alike(call.sound(answer), "It is half past noon.") + 0.2

    coughed, undisturbed = over_a_cough(call, tmp_path), 0.0
    call.say("what day is it")
    call.console.said("agent", "Today is", times=2)
    undisturbed = sounding_s(call)
    record_property("agent's sound over a cough, s", (round(coughed, 3), round(undisturbed, 3)))
    assert coughed == pytest.approx(undisturbed, abs=0.06)

    silences = [interruption(call, "stop", voice) for voice in ("slt", "rms", "slt")]
    record_property("caller's voice to silence, s", [round(each, 3) for each in silences])
    assert statistics.median(silences) < 0.25
    assert max(silences) < 0.45
    call.console.press("q")
    assert call.console.ended() == 0
    assert call.console.is_whole
