"""The caller's ear on a device."""

import asyncio
from collections.abc import Callable

from agent_runtime.audio.endpoints import AudioSink
from agent_runtime.audio.frame import FRAME_S, INPUT_RATE, OUTPUT_RATE
from agent_runtime.audio.resample import LiveResampler
from agent_runtime.audio.ring import Ring
from agent_runtime.errors import InternalError


class FarEnd:
    """What the speaker has played, on its way to the echo canceller."""

    def __init__(self) -> None:
        self.use(OUTPUT_RATE)

    def use(self, rate: int) -> None:
        self.ring = Ring(2 * 2 * rate)
        self._to_canceller = LiveResampler(rate, INPUT_RATE)

    def take(self) -> bytes:
        return self._to_canceller.push(self.ring.read(len(self.ring)))


class Speaker(AudioSink):
    """A speaker of this machine. Made by `agent_runtime.io.sound.SoundDevices`.

    `on_played` may be set to a function that is called on the loop with (loop time of the first sample, int16 sound at
    `sample_rate`) for what the device has taken, in order, each sample once, whenever somebody asks, writes or clears.
    """

    ROOM_S = 60
    """A playout keeps a fraction of a second here."""

    def __init__(self) -> None:
        self.sample_rate = OUTPUT_RATE
        self.latency_s = 0.0
        self.on_played: Callable[[float, bytes], None] | None = None
        self._played = 0
        self._unplayed = bytearray()
        self._far: FarEnd | None = None
        self._absent = True
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._taken_at = 0.0
        self._use(OUTPUT_RATE)

    def write(self, pcm: bytes) -> None:
        """Queue samples behind those already queued. After `aclose` nobody listens, and nothing is queued."""
        if self._closed or not pcm:
            return
        self._settle()
        self._queue(pcm)
        self._unplayed += pcm

    @property
    def queued_samples(self) -> int:
        self._settle()
        return len(self._unplayed) // 2

    @property
    def played_samples(self) -> int:
        self._settle()
        return self._played

    def clear(self) -> int:
        self._ring.clear()
        self._settle()
        thrown = len(self._unplayed) // 2
        self._unplayed.clear()
        self._restart()
        return thrown

    async def aclose(self) -> None:
        self.clear()
        self._closed = True

    # For SoundDevices.

    def far_end(self) -> FarEnd:
        """A copy of what the device is given from now on."""
        self._far = FarEnd()
        self._far.use(self._rate)
        return self._far

    def attach(self, rate: int) -> None:
        """A device at `rate` is about to ask for samples; what waited for the one before is played by it."""
        self._loop = asyncio.get_running_loop()
        self._ring.clear()
        self._settle()
        self._use(rate)
        if self._unplayed:
            self._queue(bytes(self._unplayed))

    def present(self) -> None:
        """It goes on asking: from now on it gets what is queued."""
        self._absent = False

    def detach(self) -> None:
        """The device is gone; the queue stays."""
        self._absent = True

    def move(self, block: memoryview) -> None:
        """Fill a block for the device (in its thread)."""
        taken = 0 if self._absent else self._ring.read_into(block)
        block[taken:] = self._silence[: len(block) - taken]
        if taken and self._loop is not None:
            self._taken_at = self._loop.time()
        if self._far is not None:
            self._far.ring.write(block)

    # On the loop. A run is what was written since the queue was last cleared or moved to another device.

    def _use(self, rate: int) -> None:
        self._rate = rate
        self._ring = Ring(2 * rate * self.ROOM_S)
        self._silence = memoryview(bytes(2 * rate))
        self._to_device = LiveResampler(OUTPUT_RATE, rate)
        if self._far is not None:
            self._far.use(rate)
        self._restart()

    def _restart(self) -> None:
        self._to_device.reset()
        self._run_start = self._ring.taken
        self._run_written = self._run_played = 0

    def _queue(self, pcm: bytes) -> None:
        converted = self._to_device.push(pcm)
        if len(converted) > self._ring.room:
            raise InternalError(f"More than {self.ROOM_S} s of sound were queued for the speaker.")
        self._ring.write(converted)
        self._run_written += len(pcm) // 2

    def _settle(self) -> None:
        """Count what the device has taken since last asked."""
        taken = (self._ring.taken - self._run_start) // 2
        played = min(self._run_written, taken * OUTPUT_RATE // self._rate)
        count = played - self._run_played
        if not count:
            return
        pcm = bytes(self._unplayed[: 2 * count])
        del self._unplayed[: 2 * count]
        self._run_played = played
        self._played += count
        if self.on_played is not None:
            self.on_played(self._taken_at + FRAME_S / 2 - count / OUTPUT_RATE, pcm)
