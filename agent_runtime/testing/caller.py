"""The caller of a simulated call: says lines, coughs, interrupts and hangs up, at a time or after something happened.

Theory of operation. What the caller is to do is a list of `Step`s. A step with `at` begins at that second of the call. A
step with `after` waits for what it names, from the moment at which the step before it in the list begins; then it
begins `wait` seconds later, but not before the step before it is over. A step with neither begins `wait` seconds after
the step before it is over. When it is known when a step begins, its voice becomes `Line`s: stretches of sound with or
without words. The frames are cut from the lines, and `ScriptedSTT` reads them.

Times of steps and lines are seconds since the call began, which is the loop time of the session's first event.
"""

import asyncio
import difflib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Unpack

from agent_runtime import clock
from agent_runtime.audio.endpoints import AudioSource
from agent_runtime.audio.frame import FRAME_S, INPUT_RATE, AudioFrame
from agent_runtime.errors import UsageError
from agent_runtime.events import Event
from agent_runtime.testing import sounds
from agent_runtime.testing.steps import How, Kind, Step, When, check_hesitation, line_of, trigger
from agent_runtime.testing.steps import Line as Line

_FRAME = int(FRAME_S * INPUT_RATE)
_SILENCE = bytes(2 * _FRAME)

_NOT_VOICED = ("keys", "silence", "hang_up")


class Caller(AudioSource):
    """Plan what the caller does before the call, or let the caller do it while it runs (then each step can be awaited).

    Args:
        until: the caller stays on the line for so long; None: until hanging up.
    """

    def __init__(self, *, until: float | None = None) -> None:
        self.steps: list[Step] = []
        self.lines: list[Line] = []
        """What the caller has said and will say, as far as it is known when; by time."""
        self.until = until
        self.gone: asyncio.Event = asyncio.Event()
        """Set when the caller has hung up, and no frame will come any more."""
        self.on_frame: Callable[[AudioFrame], object] | None = None
        self.on_gone: Callable[[], object] | None = None
        self._origin: float | None = None
        self._waiting: list[tuple[float, Step, float]] = []
        self._tracks: list[tuple[int, bytes]] = []  # first sample and sound of what is not yet over, by time
        self._followers: list[Callable[[Line], None]] = []
        self._tick: asyncio.Future[None] | None = None
        self._closed = False

    # What the caller does

    def says(self, text: str, **how: Unpack[How]) -> Step:
        return self._add("say", text, how)

    def hesitates(self, text: str, *, pause: float | Sequence[float] = 1.0, **how: Unpack[How]) -> Step:
        """Says `text`, and is silent for `pause` seconds where it has ``...``; `lasting` is the time of the voice alone."""
        return self._add("hesitate", text, how, pauses=[pause] if isinstance(pause, int | float) else list(pause))

    def interrupts(self, text: str, **how: Unpack[How]) -> Step:
        """Says `text` over the agent; where nothing else is said, a second after the agent has begun to speak."""
        if "at" not in how and "after" not in how:
            how = {"wait": 1.0, **how, "after": "agent speaks"}
        return self._add("interrupt", text, how)

    def backchannels(self, text: str = "mm hmm", **how: Unpack[How]) -> Step:
        """Shows that the caller listens: nothing is asked of the agent."""
        return self._add("backchannel", text, how)

    def murmurs(self, text: str, **how: Unpack[How]) -> Step:
        """Says something to nobody."""
        return self._add("murmur", text, how)

    def says_aside(self, text: str, **how: Unpack[How]) -> Step:
        """Talks to somebody else in the room."""
        return self._add("aside", text, how)

    def coughs(self, **how: Unpack[How]) -> Step:
        return self._add("cough", "", how)

    def makes_noise(self, **how: Unpack[How]) -> Step:
        return self._add("noise", "", how)

    def phone_rings(self, **how: Unpack[How]) -> Step:
        return self._add("phone", "", how)

    def presses(self, keys: str, **how: Unpack[When]) -> Step:
        """Presses telephone keys: their tones are on the line. A session has no event for keys, so nothing reads them."""
        sounds.key_tones(keys)
        return self._add("keys", keys, how)

    def is_silent(self, lasting: float, **how: Unpack[When]) -> Step:
        return self._add("silence", "", how, lasting=lasting)

    def hangs_up(self, **how: Unpack[When]) -> Step:
        """The line is gone: no frame comes any more, and nobody hears the agent."""
        return self._add("hang_up", "", how)

    def _add(self, kind: Kind, text: str, how: Any, **more: Any) -> Step:
        known = [*(When if kind in _NOT_VOICED else How).__annotations__, *(["pause"] if kind == "hesitate" else [])]
        for name in how:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean {close[0]!r}?" if close else "."
                raise UsageError(f"The caller's {kind!r} has no option {name!r}{hint} It takes {', '.join(known)}.")
        return self.add(Step(kind, text, **{**how, **more}))

    def add(self, step: Step) -> Step:
        """The caller is to do this.

        Raises:
            UsageError: it begins both `at` a time and `after` something, or waits for nothing that can happen.
        """
        if step.at is not None and step.after is not None:
            raise UsageError(f"The caller's {step.said()!r} begins both 'at' and 'after'; take one of them away.")
        if step.after is not None:
            trigger(step.after)
        if step.kind == "hesitate":
            check_hesitation(step)
        self.steps.append(step)
        if self._origin is not None:
            if step.needs_making and step.pcm is None:
                raise UsageError(
                    f"The caller's {step.said()!r} needs sound that must be made before the call; plan it before start()."
                )
            self._arm(step, since=self.now)
        return step

    # The call

    @property
    def now(self) -> float:
        """Seconds since the call began."""
        return clock.now() - self._origin if self._origin is not None else 0.0

    @property
    def origin(self) -> float:
        """Loop time at which the call began."""
        assert self._origin is not None, "the call has not begun"
        return self._origin

    async def prepare(self) -> None:
        """Make the sound that comes from files and engines."""
        from agent_runtime.testing import rendering

        for step in self.steps:
            if step.pcm is None and step.sound is not None:
                step.pcm = await rendering.from_file(Path(step.sound))
            elif step.pcm is None and step.voice is not None:
                step.pcm = await rendering.spoken(step.text, step.voice)

    def take(self, event: Event) -> None:
        """Subscribe this to the session's log, so that steps with `after` see what happens."""
        self._begin()
        now = self.now
        for waiting in list(self._waiting):
            since, step, floor = waiting
            if now >= since - clock.GRAIN_S and trigger(step.after or "")(event):
                self._waiting.remove(waiting)
                self._schedule(step, max(now + step.wait, floor))

    @property
    def unsaid(self) -> list[Step]:
        """What the caller still waited to do when it was looked at: `after` something that has not happened."""
        return [step for step in self.steps if step.begun is None]

    @property
    def last_over(self) -> float:
        """When everything that is known will be over."""
        return max((step.over for step in self.steps if step.over is not None), default=0.0)

    def follow(self, follower: Callable[[Line], None]) -> Callable[[], None]:
        """Call `follower` with every line, those already known too. Returns what ends that."""
        for line in self.lines:
            follower(line)
        self._followers.append(follower)
        return lambda: self._followers.remove(follower) if follower in self._followers else None

    def _begin(self) -> None:
        if self._origin is not None:
            return
        self._origin = clock.now()
        for step in self.steps:
            if step.at is not None or step is self.steps[0]:
                self._arm(step, since=0.0)

    def _arm(self, step: Step, *, since: float) -> None:
        if step.begun is not None or any(step is other for _, other, _ in self._waiting):
            return
        index = self.steps.index(step)
        before = self.steps[index - 1] if index else None
        if step.at is not None:
            self._schedule(step, max(step.at, since))
        elif before is not None and before.begun is None:
            return  # it is armed when that one begins
        else:
            floor = before.over or 0.0 if before is not None else 0.0
            if step.after is not None:
                self._waiting.append((max(since, (before.begun or 0.0) if before is not None else 0.0), step, floor))
            else:
                self._schedule(step, max(since, floor) + step.wait)

    def _schedule(self, step: Step, at: float) -> None:
        """It is known when it begins."""
        step.begun = at
        stretches = step.stretches()
        step.over = at + (stretches[-1][0] + stretches[-1][1] if stretches else step.length)
        for offset, length, text in stretches:
            self._say(line_of(step, at + offset, length, text))
        if step.kind == "hang_up":
            asyncio.get_running_loop().call_at(self.origin + at, self._hang_up)
        asyncio.get_running_loop().call_at(self.origin + step.over, step._done.set)
        index = self.steps.index(step)
        if index + 1 < len(self.steps):
            self._arm(self.steps[index + 1], since=at)

    def _say(self, line: Line) -> None:
        self.lines.append(line)
        self.lines.sort(key=lambda each: each.at)
        first = round(line.at * INPUT_RATE)
        samples = round(line.end * INPUT_RATE) - first
        pcm = line.pcm if line.pcm is not None else sounds.sound("voice" if line.text else "cough", samples)
        self._tracks.append((first, pcm))
        self._tracks.sort(key=lambda track: track[0])
        for follower in list(self._followers):
            follower(line)

    def _hang_up(self) -> None:
        self._closed = True
        if self._tick is None:
            self.gone.set()
        else:
            _wake(self._tick)

    # The sound

    async def frames(self) -> AsyncIterator[AudioFrame]:
        self._begin()
        start, loop = self.origin, asyncio.get_running_loop()
        number = max(0, round((clock.now() - start) / FRAME_S))
        most = None if self.until is None else round(self.until / FRAME_S)
        while not self._closed and (most is None or number < most):
            end = start + (number + 1) * FRAME_S
            self._tick = loop.create_future()
            timer = loop.call_at(end, _wake, self._tick)
            try:
                await self._tick
            finally:
                timer.cancel()
            if clock.now() < end - clock.GRAIN_S:  # hung up within the frame
                break
            frame = AudioFrame(self._sound(number * _FRAME), INPUT_RATE, at=start + number * FRAME_S)
            if self.on_frame is not None:
                self.on_frame(frame)
            yield frame
            number += 1
        self._tick = None
        self.gone.set()
        if self.on_gone is not None:
            self.on_gone()

    def _sound(self, first: int) -> bytes:
        tracks, end = self._tracks, first + _FRAME
        if not tracks or tracks[0][0] >= end:
            return _SILENCE
        pieces = []
        for begin, pcm in tracks:
            if begin >= end:
                break
            lead = max(0, begin - first)
            piece = pcm[2 * max(0, first - begin) : 2 * (end - begin)]
            if piece:
                pieces.append(bytes(2 * lead) + piece + bytes(2 * (_FRAME - lead) - len(piece)))
        self._tracks = [track for track in tracks if track[0] + len(track[1]) // 2 > end]
        return pieces[0] if len(pieces) == 1 else _mixed(pieces) if pieces else _SILENCE

    async def aclose(self) -> None:
        self._closed = True


class ScriptedCaller(Caller):
    """A caller who says `lines` (times from the start of the call) and is there for `until` seconds."""

    def __init__(self, lines: Iterable[Line], *, until: float) -> None:
        super().__init__(until=until)
        self._given = sorted(lines, key=lambda line: line.at)

    def _begin(self) -> None:
        begun = self._origin is not None
        super()._begin()
        if not begun:
            for line in self._given:
                self._say(line)


def _wake(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _mixed(pieces: Sequence[bytes]) -> bytes:
    """Sounds at the same time: their sum."""
    import numpy as np

    from agent_runtime.audio.resample import to_int16

    return to_int16(np.sum([np.frombuffer(piece, "<i2").astype(np.float32) for piece in pieces], axis=0))
