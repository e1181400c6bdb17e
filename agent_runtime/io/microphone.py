"""The caller's sound from a device."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from agent_runtime import clock
from agent_runtime.audio.echo import EchoCanceller
from agent_runtime.audio.endpoints import AudioSource
from agent_runtime.audio.frame import FRAME_S, INPUT_RATE, AudioFrame
from agent_runtime.audio.resample import LiveResampler
from agent_runtime.audio.ring import Ring
from agent_runtime.io.speaker import FarEnd

_FRAME_BYTES = int(INPUT_RATE * FRAME_S) * 2
_PIECE_BYTES = _FRAME_BYTES // 2


class Microphone(AudioSource):
    """A microphone of this machine. Made by `agent_runtime.io.sound.SoundDevices`."""

    def __init__(self) -> None:
        self.muted = False
        self._ring = Ring(1)
        self._rate = INPUT_RATE
        self._to_session = LiveResampler(INPUT_RATE, INPUT_RATE)
        self._echo: EchoCanceller | None = None
        self._far: FarEnd | None = None
        self._deaf: Callable[[], bool] = bool
        self._pending = bytearray()
        self._time = _StreamTime()
        self._end = 0.0
        self._absent = True
        self._closed = False
        self._awake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def mute(self, muted: bool = True) -> None:
        """Send silence instead of sound, or sound again. The echo canceller keeps listening."""
        self.muted = muted

    @property
    def dropped_s(self) -> float:
        """Seconds of sound that the loop was too late to take."""
        return self._ring.dropped / 2 / self._rate

    async def frames(self) -> AsyncIterator[AudioFrame]:
        self._end = clock.now()
        while not self._closed:
            await self._next()
            for frame in self._lost_frames() if self._absent else self._heard_frames():
                yield frame

    async def aclose(self) -> None:
        self._closed = True
        self._awake.set()

    # For SoundDevices.

    def cancel_echo(self, echo: EchoCanceller, far: FarEnd) -> None:
        """Take out of the sound what `far` brings."""
        self._echo, self._far = echo, far

    def echo_delay(self, delay_s: float) -> None:
        """Tell the canceller how long the devices take, both ways together."""
        if self._echo is not None:
            self._echo.hint_delay(delay_s)

    def deafen(self, deaf: Callable[[], bool]) -> None:
        """Send silence while `deaf()`."""
        self._deaf = deaf

    def attach(self, rate: int) -> None:
        """A device at `rate` is about to deliver."""
        self._ring = Ring(2 * 2 * rate)
        self._rate = rate
        self._to_session = LiveResampler(rate, INPUT_RATE)
        self._time = _StreamTime()
        self._loop = asyncio.get_running_loop()

    def present(self) -> None:
        """It has begun to deliver: from now on its sound counts."""
        self._ring.clear()
        self._absent = False

    def detach(self) -> None:
        """The device is gone; silence takes its place."""
        self._absent = True
        self._pending.clear()
        self._awake.set()

    def move(self, block: memoryview) -> None:
        """Take a block from the device (in its thread)."""
        ring = self._ring
        ring.write(block)
        if len(ring) >= 2 * int(self._rate * FRAME_S) and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be woken
                self._loop.call_soon_threadsafe(self._awake.set)

    # On the loop.

    async def _next(self) -> None:
        if self._absent:
            # Short enough not to miss the device's return, which wakes nobody.
            await clock.sleep(FRAME_S)
        else:
            await self._awake.wait()
            self._awake.clear()

    def _lost_frames(self) -> list[AudioFrame]:
        if self._far is not None:
            self._far.ring.clear()
        frames = []
        while self._end + FRAME_S <= clock.now() + 1e-6:
            frames.append(AudioFrame(bytes(_FRAME_BYTES), INPUT_RATE, at=self._end))
            self._end += FRAME_S
        return frames

    def _heard_frames(self) -> list[AudioFrame]:
        raw = self._ring.read(len(self._ring))
        came_in = self._time.of((self._ring.taken + self._ring.dropped) / 2 / self._rate)
        self._pending += self._without_echo(self._to_session.push(raw))
        silent = self.muted or self._deaf()
        frames = []
        while len(self._pending) >= _FRAME_BYTES:
            at = max(came_in - len(self._pending) / 2 / INPUT_RATE, self._end - FRAME_S)
            data = bytes(_FRAME_BYTES) if silent else bytes(self._pending[:_FRAME_BYTES])
            frames.append(AudioFrame(data, INPUT_RATE, at=at))
            del self._pending[:_FRAME_BYTES]
            self._end = at + FRAME_S
        return frames

    def _without_echo(self, near: bytes) -> bytes:
        if self._echo is None or self._far is None:
            return near
        far = self._far.take()
        clean = bytearray()
        # In step: the canceller takes a long run of one side for a jump in the echo's delay.
        for start in range(0, max(len(near), len(far)), _PIECE_BYTES):
            self._echo.played(far[start : start + _PIECE_BYTES])
            clean += self._echo.heard(near[start : start + _PIECE_BYTES])
        return bytes(clean)


class _StreamTime:
    """Loop time of a place in a stream, from when the loop got to see it.

    The loop sees sound when it came in or later, never earlier, so the earliest sight counts. It is let go of slowly
    (1 ms in a second) for the sake of a device whose crystal is slow.
    """

    def __init__(self) -> None:
        self._offset: float | None = None
        self._seen = 0.0

    def of(self, position_s: float) -> float:
        """The loop time at which the place `position_s` seconds into the stream came in; it has come in just now."""
        offset = clock.now() - position_s
        if self._offset is not None:
            offset = min(offset, self._offset + (position_s - self._seen) * 1e-3)
        self._offset, self._seen = offset, position_s
        return offset + position_s
