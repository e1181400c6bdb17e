"""The conversation that is measured, made for whoever holds it: its caller, its answers, its sink, and the stamps on them.

Every stage answers at once, so that all the time there is belongs to what joins the stages. Sound comes and goes in
frames of 20 ms at the pace of the running loop: a real one where time is measured, a virtual one where only work is.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from agent_runtime import clock
from agent_runtime.audio.endpoints import AudioSource
from agent_runtime.audio.frame import FRAME_S, INPUT_RATE, OUTPUT_RATE, AudioFrame
from agent_runtime.io.memory import ClockSink

SILENT = bytes(2 * int(FRAME_S * INPUT_RATE))
_VOICED = b"\x00\x10" * int(FRAME_S * INPUT_RATE)
_SPOKEN = b"\x00\x20" * int(FRAME_S * OUTPUT_RATE)


@dataclass(frozen=True, slots=True)
class Script:
    """What every answer is: `words` token by token, `every` seconds apart, each phrase `frames` frames of sound.

    `delay` is the endpointing delay in seconds. With `barge_in` the caller speaks into every answer but the last.
    """

    words: Sequence[str] = ("All right, ", "it ", "is ", "noon.")
    every: float = 0.0
    frames: int = 2
    delay: float = 0.0
    per_token: bool = True
    barge_in: bool = False

    def sound(self) -> Iterator[AudioFrame]:
        for _ in range(self.frames):
            yield AudioFrame(_SPOKEN, OUTPUT_RATE)


class Caller(AudioSource):
    """Speaks `turns` times for `voiced` frames: at the beginning, and `pause` frames after each `go_on`.

    `ended` holds, for each turn, the loop time of the end of its last voiced sample.
    """

    def __init__(self, turns: int, *, voiced: int = 5, pause: int = 2) -> None:
        self.ended: list[float] = []
        self.spoken = asyncio.Event()
        """The caller is gone."""
        self._turns, self._voiced, self._pause = turns, voiced, pause
        self._go_on = False
        self._at = 0.0

    def go_on(self) -> None:
        self._go_on = True

    async def frames(self) -> AsyncIterator[AudioFrame]:
        self._at = clock.now()
        for _ in range(self._turns):
            for _ in range(self._pause):
                yield await self._frame(SILENT)
            for _ in range(self._voiced):
                yield await self._frame(_VOICED)
            self.ended.append(self._at)
            self._go_on = False
            while not self._go_on:
                yield await self._frame(SILENT)
        self.spoken.set()

    async def _frame(self, sound: bytes) -> AudioFrame:
        frame = AudioFrame(sound, INPUT_RATE, at=self._at)
        self._at += FRAME_S
        await clock.sleep_until(self._at)
        return frame


@dataclass(slots=True)
class Ear:
    """Hears voice and words in frames, and notes when it tells what.

    Voice is found, and found to be over, in the first frame that shows it. The words come in the second voiced frame and
    are final in the second silent one: what the caller has to say is known then, and not before.

    Attributes:
        voices: when each voice was found.
        words: when the first words of each turn were there.
        finals: when the last were.
        cuts: when whoever holds the conversation decided, because of words, to end what the agent says.
    """

    voices: list[float] = field(default_factory=list)
    words: list[float] = field(default_factory=list)
    finals: list[float] = field(default_factory=list)
    cuts: list[float] = field(default_factory=list)
    _voice_on: bool = False
    _voiced: int = 0
    _silent: int = 0

    def voice(self, frame: AudioFrame) -> bool | None:
        """Whether there is voice, where that changes."""
        voiced = frame.data != SILENT
        if voiced == self._voice_on:
            return None
        self._voice_on = voiced
        if voiced:
            self.voices.append(clock.now())
        return voiced

    def word(self, frame: AudioFrame) -> Literal["words", "final"] | None:
        """What this frame brings."""
        if frame.data != SILENT:
            self._voiced, self._silent = self._voiced + 1, 0
            if self._voiced == 2:
                self.words.append(clock.now())
                return "words"
        elif self._voiced:
            self._silent += 1
            if self._silent == 2:
                self._voiced = 0
                self.finals.append(clock.now())
                return "final"
        return None


class Sink(ClockSink):
    """Consumes at the pace of the loop; notes when its silence ends, and when it is told to be silent."""

    def __init__(self) -> None:
        super().__init__(OUTPUT_RATE)
        self.begun: list[float] = []
        self.cleared: list[float] = []

    def write(self, pcm: bytes) -> None:
        if not self.queued_samples:
            self.begun.append(clock.now())
        super().write(pcm)

    def clear(self) -> int:
        self.cleared.append(clock.now())
        return super().clear()
