"""Sound that touches no device: what tests, simulated calls and rooms talk through."""

import math
from collections.abc import AsyncIterator, Callable

from agent_runtime import clock
from agent_runtime.audio.endpoints import AudioSink, AudioSource
from agent_runtime.audio.frame import FRAME_S, INPUT_RATE, OUTPUT_RATE, AudioFrame
from agent_runtime.channels import Channel

OnPlayed = Callable[[float, bytes], None]

_FRAME_BYTES = int(INPUT_RATE * FRAME_S) * 2


class MemorySource(AudioSource):
    """A caller whose sound is pushed in by hand, at the pace at which it is to be heard.

    It keeps `room_s` seconds for a session that is late; then the oldest frames are dropped, and counted in `dropped`.
    """

    def __init__(self, *, room_s: float = 10.0) -> None:
        self._frames: Channel[AudioFrame] = Channel(math.ceil(room_s / FRAME_S))
        self._rest = b""
        self._hear: Callable[[AudioFrame], None] = self._frames.put

    @property
    def dropped(self) -> int:
        """Frames that nobody took in time."""
        return self._frames.dropped

    def push(self, pcm: bytes) -> None:
        """Take int16 mono sound at 16 kHz, of any length, whose last sample has come in now."""
        if self._frames.closed:
            return
        pcm = self._rest + bytes(pcm)
        whole = len(pcm) - len(pcm) % _FRAME_BYTES
        self._rest = pcm[whole:]
        now = clock.now()
        for start in range(0, whole, _FRAME_BYTES):
            at = now - (len(pcm) - start) / (2 * INPUT_RATE)
            self._hear(AudioFrame(pcm[start : start + _FRAME_BYTES], INPUT_RATE, at=at))

    def close(self) -> None:
        """The caller is gone; what was pushed is still heard."""
        self._frames.close()

    async def frames(self) -> AsyncIterator[AudioFrame]:
        async for frame in self._frames:
            yield frame

    async def listen(self, hear: Callable[[AudioFrame], None]) -> None:
        self._hear = hear
        try:
            async for frame in self._frames:  # what was pushed before; then this waits for the end
                hear(frame)
        finally:
            self._hear = self._frames.put

    async def aclose(self) -> None:
        self._frames.clear()
        self._frames.close()


class ClockSink(AudioSink):
    """An ear without a device: the running loop's clock consumes the queue, at exactly `sample_rate`.

    There is no task and no timer in it. What has been consumed is worked out whenever somebody asks, writes, clears or
    closes, from the moment at which the queue last stopped being empty.

    Args:
        sample_rate: in Hz.
        on_played: called with (loop time of the first sample, int16 sound) for what was consumed, in order, each
            sample once, at the next of those occasions. Sound that was cleared is never reported.
    """

    def __init__(self, sample_rate: int = OUTPUT_RATE, on_played: OnPlayed | None = None) -> None:
        self.sample_rate = sample_rate
        self._on_played = on_played
        self._queue = bytearray()
        self._played = 0
        self._run_start = 0.0
        self._run_played = 0
        self._closed = False

    def write(self, pcm: bytes) -> None:
        """Queue samples behind those already queued. After `aclose` nobody listens, and nothing is queued."""
        if self._closed or not pcm:
            return
        self._consume()
        if not self._queue:
            self._run_start, self._run_played = clock.now(), 0
        self._queue += pcm

    @property
    def queued_samples(self) -> int:
        self._consume()
        return len(self._queue) // 2

    @property
    def played_samples(self) -> int:
        self._consume()
        return self._played

    def clear(self) -> int:
        self._consume()
        thrown = len(self._queue) // 2
        self._queue.clear()
        return thrown

    async def aclose(self) -> None:
        if not self._closed:
            self.clear()
            self._closed = True

    def _consume(self) -> None:
        if not self._queue:
            return
        # A sample is consumed when its time is over. The thousandth makes up for times rounded to nanoseconds.
        over = math.floor((clock.now() - self._run_start) * self.sample_rate + 1e-3)
        count = min(over - self._run_played, len(self._queue) // 2)
        if count <= 0:
            return
        at = self._run_start + self._run_played / self.sample_rate
        pcm = bytes(self._queue[: 2 * count])
        del self._queue[: 2 * count]
        self._run_played += count
        self._played += count
        if self._on_played is not None:
            self._on_played(at, pcm)
