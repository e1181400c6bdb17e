"""One side of every measured call, the same whoever holds the other: the caller, the sink, and the stamps on them.

Nothing of any runtime is imported here, so that a process holds the system that it measures and nothing else. Times are
seconds of the running loop, sound is int16 mono: 16 kHz from the caller, 24 kHz to him, in frames of 20 ms.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

FRAME_S = 0.02
INPUT_RATE, OUTPUT_RATE = 16_000, 24_000
SILENT = bytes(640)
VOICED = b"\x00\x10" * 320
SPOKEN = b"\x00\x20" * 480
HEARD = "tell me what time it is"
INSTRUCTIONS = "You tell the time."


@dataclass(frozen=True, slots=True)
class Script:
    """What is said. The words of an answer come `every` seconds apart, each is `frames` frames of sound.

    `delay` is the endpointing delay in seconds. `per_sentence`: the synthesiser is given sentences, where a system lets
    its user choose. The caller speaks for `voiced` frames and waits for `pause` after each answer; with `barge_in` he
    speaks when so many frames of it have sounded; with `period` he speaks at fixed times instead, so many seconds apart.
    """

    words: Sequence[str] = ("All right, ", "it ", "is ", "noon.")
    every: float = 0.0
    frames: int = 2
    delay: float = 0.0
    per_sentence: bool = False
    voiced: int = 5
    pause: int = 3
    barge_in: int = 0
    period: float = 0.0

    def sound(self, text: str) -> list[bytes]:
        """The frames that say `text`: so many a word, however a system cuts an answer into pieces."""
        return [SPOKEN] * (self.frames * _words(text))

    @property
    def answer_s(self) -> float:
        return _words("".join(self.words)) * self.frames * FRAME_S


@dataclass(slots=True)
class Line:
    """A caller and what he hears. A system is given its frames by `feed`, asks what is in them, and writes sound.

    Attributes:
        ended: when the last voiced sample of each turn was over.
        voices, words, finals: when the detector found voice, the recogniser first words, and the last.
        begun: when sound came to a silent sink.
        told: when the sink was told to be silent (or softer).
        written_s: sound that came, in seconds.
    """

    script: Script
    turns: int = 0
    offset: float = 0.0
    feed: Callable[[bytes], Awaitable[None]] | None = None
    ended: list[float] = field(default_factory=list)
    voices: list[float] = field(default_factory=list)
    words: list[float] = field(default_factory=list)
    finals: list[float] = field(default_factory=list)
    begun: list[float] = field(default_factory=list)
    told: list[float] = field(default_factory=list)
    written_s: float = 0.0
    done: asyncio.Event = field(default_factory=asyncio.Event)
    on_turn: Callable[[int], None] | None = None
    _quiet_at: float = 0.0
    _said: int = 0
    _left: int = 0
    _pause: int = 0
    _due_s: float = 0.0
    _on: bool = False
    _voiced: int = 0
    _silent: int = 0

    # The caller's side.

    def frame(self, at: float) -> bytes:
        """The caller's next frame, whose last sample comes in at `at`."""
        if self.script.period:
            return VOICED if (at - self.offset) % self.script.period < self.script.voiced * FRAME_S else SILENT
        if self._left:
            self._left -= 1
            if not self._left:
                self.ended.append(at)
            return VOICED
        if self._answered():
            self._pause += 1
            if self._pause > self.script.pause and not self.done.is_set():
                self._speak()
        return SILENT

    def _answered(self) -> bool:
        if not self._said:
            return True
        if len(self.finals) < self._said or not self.begun or self.begun[-1] < self.finals[-1]:
            return False
        if self.script.barge_in:
            sounded_s = _now() - self.begun[-1]
            return sounded_s >= self.script.barge_in * FRAME_S if self._said < self.turns else not self.queued_s
        return self.written_s > self._due_s - 1e-6 and not self.queued_s

    def _speak(self) -> None:
        if self.on_turn is not None:
            self.on_turn(self._said)
        if self._said == self.turns:
            self.done.set()
            return
        self._said += 1
        self._pause = 0
        self._left = self.script.voiced
        self._due_s = self.written_s + self.script.answer_s

    # What the detector and the recogniser say of a frame.

    def voice(self, voiced: bool) -> bool | None:
        """Whether there is voice, where that changes: found, and found to be over, in the first frame that shows it."""
        if voiced == self._on:
            return None
        self._on = voiced
        if voiced:
            self.voices.append(_now())
        return voiced

    def word(self, voiced: bool) -> Literal["words", "final"] | None:
        """What a frame brings: words in the second voiced one, all of them in the second silent one."""
        if voiced:
            self._voiced, self._silent = self._voiced + 1, 0
            if self._voiced == 2:
                self.words.append(_now())
                return "words"
        elif self._voiced:
            self._silent += 1
            if self._silent == 2:
                self._voiced = 0
                self.finals.append(_now())
                return "final"
        return None

    # The sink, which consumes at the pace of the clock.

    @property
    def queued_s(self) -> float:
        return max(0.0, self._quiet_at - _now())

    def write(self, pcm: bytes) -> None:
        """Sound for the caller: what was not there is heard at once, or when what is queued has been."""
        now, seconds = _now(), len(pcm) / (2 * OUTPUT_RATE)
        if now >= self._quiet_at:
            self.begun.append(now)
            self._quiet_at = now
        self._quiet_at += seconds
        self.written_s += seconds

    def clear(self) -> float:
        """Throw away what is queued, and say how many seconds that was."""
        self.told.append(_now())
        thrown = self.queued_s
        self._quiet_at -= thrown
        return thrown


class Lines:
    """All callers of a process: one clock feeds each of them a frame every 20 ms, as a transport's loop does."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.late_s: list[float] = []

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        at = loop.time()
        while True:
            for line in self.lines:
                if line.feed is not None:
                    await line.feed(line.frame(at))
            at += FRAME_S
            await asyncio.sleep(max(0.0, at - loop.time()))

    async def watch(self) -> None:
        """How late the loop is: a timer that is not in step with the frames."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + 0.017
            await asyncio.sleep(0.017)
            self.late_s.append(loop.time() - due)


Close = Callable[[], Coroutine[Any, Any, None]]
Open = Callable[[Line], Awaitable[Close]]
"""What a system is: it takes the line, sets its `feed`, and gives back what hangs up."""


def _words(text: str) -> int:
    # A full stop may come in a piece of its own.
    return sum(any(letter.isalnum() for letter in word) for word in text.split())


def _now() -> float:
    return asyncio.get_running_loop().time()
