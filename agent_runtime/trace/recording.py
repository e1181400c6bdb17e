"""The sound of a call: call.wav, caller left, agent right as played, written while the call runs.

Theory of operation. Sample n of the file is loop time `started + n / 24000`, in both lanes. A lane is a run of samples
that grows at its end. A chunk whose time is within `JITTER_S` of the end of its run continues it, sample by sample; one
that comes later leaves silence before it, and of one that lies further back only what is new is kept. So a device clock
that drifts against the loop is set right in steps no larger than that, and chunks stamped by a jittery callback
stay in one piece.

Both lanes wait up to `_HORIZON_S` for each other, then go to the file together; sound that comes later than that is
dropped and counted. Silence in both lanes is not written: the file has a hole there, which reads as zeros. The header
is brought up to date after every block, so a file whose process was killed lacks its last second and a half at most.
"""

import contextlib
import errno
import os
import struct
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from agent_runtime.audio.frame import INPUT_RATE, OUTPUT_RATE, AudioFrame
from agent_runtime.audio.resample import to_int16
from agent_runtime.trace.file import CallFile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RATE = OUTPUT_RATE
JITTER_S = 0.005
"""Larger than what a loaded loop adds to a stamp, smaller than anything one hears as a shift between the lanes."""

_HORIZON_S = 1.0
_BLOCK_S = 0.5
_RESAMPLE_S = 0.1
"""Sound is resampled in pieces of this length: a call to the resampler costs more than its 20 ms of work."""

_HEADER_BYTES = 44
_FRAME_BYTES = 4
_MOST_FRAMES = (0xFFFFFFFF - _HEADER_BYTES) // _FRAME_BYTES
"""Sizes in a WAV header have 32 bits: 12 hours and 25 minutes."""


class CallRecorder:
    """Give it what was said and what was played; `close` when the call is over (again does no harm).

    Bounded memory: what waits for the file is less than two seconds of each lane. All calls come from one thread.
    `error` is what the disk said when the recording had to stop; nothing is raised into the call.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        started: float,
        on_error: Callable[[OSError], None] | None = None,
    ) -> None:
        self._started = started
        self._file = CallFile(path, on_error=on_error)
        self._caller = _Lane()
        self._agent = _Lane()
        self._resampler = _Resampler()
        self._written = 0
        self._frames = 0
        self._working = False
        self.late_samples = 0
        """Samples that came too late, or lay before the start or under what was there, and are not in the file."""
        self._write_header()

    @property
    def error(self) -> OSError | None:
        return self._file.error

    def caller(self, frame: AudioFrame) -> None:
        """A microphone frame, at `frame.at`; without a time it continues the one before."""
        with self._at_work() as works:
            if works:
                at = None if frame.at is None else self._position(frame.at)
                if at is not None and not self._resampler.continues(at, frame.sample_rate):
                    self._put(self._caller, *self._resampler.flush())
                    self._resampler.begin(at, frame.sample_rate)
                self._put(self._caller, *self._resampler.push(frame))

    def agent(self, at: float, pcm: bytes) -> None:
        """Samples (mono, 24 kHz) that the sink consumed, the first of them at loop time `at`."""
        with self._at_work() as works:
            if works:
                self._put(self._agent, self._position(at), pcm)

    def close(self, at: float | None = None) -> None:
        """Write what waits and finish the file; where `at` is given, with silence up to that loop time.

        A signal handler may call it in the middle of another call; then the file ends with what it already holds.
        """
        with self._at_work() as works:
            if works:
                self._put(self._caller, *self._resampler.flush())
                self._write_up_to(max(self._caller.end, self._agent.end))
                if at is not None and self._frames < self._position(at) <= _MOST_FRAMES:
                    self._frames = self._position(at)
                    self._file.stretch(_HEADER_BYTES + self._frames * _FRAME_BYTES)
            self._write_header()
        self._file.close()

    @contextlib.contextmanager
    def _at_work(self) -> Iterator[bool]:
        """Whether there is a file, and nobody is at it already."""
        works = self._file.open and not self._working
        self._working = self._working or works
        try:
            yield works
        finally:
            if works:
                self._working = False

    def _position(self, at: float) -> int:
        return round((at - self._started) * RATE)

    def _put(self, lane: "_Lane", position: int | None, pcm: bytes) -> None:
        if not pcm:
            return
        if position is None or (lane.begun and abs(position - lane.end) <= JITTER_S * RATE):
            position = lane.end
        earliest = max(self._written, lane.end)
        if position < earliest:
            self.late_samples += min(earliest - position, len(pcm) // 2)
            pcm = pcm[2 * (earliest - position) :]
            if not pcm:
                return
            position = earliest
        self._write_what_is_due(position)  # before, so that a long gap is never held in memory
        lane.put(position, pcm)
        self._write_what_is_due(lane.end)

    def _write_what_is_due(self, latest: int) -> None:
        if latest - self._written >= (_HORIZON_S + _BLOCK_S) * RATE:
            self._write_up_to(latest - int(_HORIZON_S * RATE))

    def _write_up_to(self, position: int) -> None:
        if position <= self._written:
            return
        lanes = (self._caller, self._agent)
        waiting = [lane for lane in lanes if lane.pending]
        first = min((lane.start for lane in waiting), default=position)
        last = min(position, max((lane.end for lane in waiting), default=position))
        if waiting and first < last:
            self._write_block(first, last)
        for lane in lanes:
            lane.drop_up_to(position)
        self._written = position

    def _write_block(self, first: int, last: int) -> None:
        import numpy as np

        if last > _MOST_FRAMES:
            self._file.fail(OSError(errno.EFBIG, "a WAV file ends at 12 hours"), whole=self._size())
            return
        block = np.zeros((last - first, 2), dtype="<i2")
        for channel, lane in enumerate((self._caller, self._agent)):
            lane.copy_into(block[:, channel], first)
        if self._file.write(_HEADER_BYTES + first * _FRAME_BYTES, block.tobytes(), whole=self._size()):
            self._frames = last
            self._write_header()

    def _write_header(self) -> None:
        data = self._frames * _FRAME_BYTES
        header = struct.pack(
            "<4sI4s4sIHHIIHH4sI",
            *(b"RIFF", _HEADER_BYTES - 8 + data, b"WAVE"),
            *(b"fmt ", 16, 1, 2, RATE, RATE * _FRAME_BYTES, _FRAME_BYTES, 16),
            *(b"data", data),
        )
        self._file.write(0, header, whole=self._size())

    def _size(self) -> int:
        return _HEADER_BYTES + self._frames * _FRAME_BYTES if self._frames else 0


_Placed = tuple[int | None, bytes]
"""Samples, and where the first of them belongs; None: behind those before."""


class _Lane:
    """Samples that wait for the file: `pending` lies at `start`; `end` is where the next one would go."""

    def __init__(self) -> None:
        self.begun = False
        self.start = 0
        self.end = 0
        self.pending = bytearray()

    def put(self, position: int, pcm: bytes) -> None:
        """`position` is at or after `end`."""
        if self.pending:
            self.pending += bytes(2 * (position - self.end))
        else:
            self.start = position
        self.pending += pcm
        self.end = position + len(pcm) // 2
        self.begun = True

    def drop_up_to(self, position: int) -> None:
        if self.pending and position > self.start:
            del self.pending[: 2 * (position - self.start)]
            self.start = position

    def copy_into(self, block: "NDArray[np.int16]", first: int) -> None:
        import numpy as np

        if not self.pending or self.start >= first + len(block):
            return
        samples = np.frombuffer(bytes(self.pending), dtype="<i2")[: first + len(block) - self.start]
        block[self.start - first : self.start - first + len(samples)] = samples


class _Resampler:
    """One run of microphone sound on its way to 24 kHz.

    soxr's stream holds samples back but neither adds nor shifts any: the n-th sample that comes out is the n-th of the
    run, so a run is placed by its beginning and its delay is no matter.
    """

    def __init__(self) -> None:
        self._rate = INPUT_RATE
        self._stream: Any = None
        self._begin: int | None = None
        self._run_start = 0
        self._taken = 0
        self._input = bytearray()

    def continues(self, position: int, rate: int) -> bool:
        """Whether a frame at `position` belongs to the run."""
        if self._stream is None or rate != self._rate:
            return False
        expected = self._run_start + self._taken * RATE / self._rate
        return abs(position - expected) <= JITTER_S * RATE

    def begin(self, position: int, rate: int) -> None:
        import soxr

        if self._stream is None or rate != self._rate:
            self._stream = soxr.ResampleStream(
                rate, RATE, 1, dtype="float32", quality="HQ"
            )  # int16 output would be dithered
        else:
            self._stream.clear()
        self._rate = rate
        self._begin = self._run_start = position
        self._taken = 0

    def push(self, frame: AudioFrame) -> "_Placed":
        if self._stream is None:
            self.begin(0, frame.sample_rate)
        self._input += frame.data
        self._taken += frame.samples_per_channel
        if len(self._input) < 2 * _RESAMPLE_S * self._rate:
            return None, b""
        return self._resample(last=False)

    def flush(self) -> "_Placed":
        """The rest of the run; the next frame begins another."""
        if self._stream is None or self._taken == 0:
            return None, b""
        self._taken = 0
        return self._resample(last=True)

    def _resample(self, *, last: bool) -> "_Placed":
        import numpy as np

        assert self._stream is not None
        samples = np.frombuffer(bytes(self._input), dtype=np.int16).astype(np.float32)
        self._input.clear()
        made: bytes = to_int16(self._stream.resample_chunk(samples, last=last))
        if not made:
            return None, b""
        begin, self._begin = self._begin, None
        return begin, made
