import asyncio
import random

import pytest

from agent_runtime import clock, virtual
from agent_runtime.io.memory import ClockSink, MemorySource

RATE = 24_000


class Ear:
    """A sink, and all that it says was played."""

    def __init__(self, rate: int = RATE) -> None:
        self.heard: list[tuple[float, bytes]] = []
        self.sink = ClockSink(rate, lambda at, pcm: self.heard.append((at, pcm)))

    @property
    def pcm(self) -> bytes:
        return b"".join(pcm for _, pcm in self.heard)


def numbered(count: int, first: int = 0) -> bytes:
    return b"".join(number.to_bytes(2, "little") for number in range(first, first + count))


def test_the_clock_consumes_the_queue_at_the_sample_rate() -> None:
    async def main() -> None:
        ear = Ear()
        await clock.sleep(1.0)
        ear.sink.write(numbered(4800))
        assert (ear.sink.queued_samples, ear.sink.played_samples) == (4800, 0)
        for step in range(1, 11):
            await clock.sleep(0.02)
            assert (ear.sink.queued_samples, ear.sink.played_samples) == (4800 - 480 * step, 480 * step)
        await clock.sleep(5)
        assert ear.sink.played_samples == 4800
        assert ear.pcm == numbered(4800)
        assert [at for at, _ in ear.heard] == pytest.approx([1.0 + 0.02 * step for step in range(10)])

    virtual.run(main())


def test_what_is_written_in_time_follows_without_a_gap_and_what_is_late_starts_anew() -> None:
    async def main() -> None:
        ear = Ear()
        ear.sink.write(numbered(480))
        await clock.sleep(0.01)
        ear.sink.write(numbered(480, 480))
        await clock.sleep(0.04)  # it has been empty for 10 ms
        ear.sink.write(numbered(480, 960))
        await clock.sleep(0.01)
        assert ear.sink.played_samples == 960 + 240
        await ear.sink.aclose()
        assert ear.pcm == numbered(1200)
        assert [(round(at, 6), len(pcm) // 2) for at, pcm in ear.heard] == [(0.0, 240), (0.01, 720), (0.05, 240)]

    virtual.run(main())


def test_what_is_cleared_is_never_reported() -> None:
    async def main() -> None:
        ear = Ear()
        ear.sink.write(numbered(2400))
        await clock.sleep(0.03)
        assert ear.sink.clear() == 2400 - 720
        assert (ear.sink.queued_samples, ear.sink.played_samples) == (0, 720)
        assert ear.sink.clear() == 0
        await clock.sleep(1)
        ear.sink.write(numbered(240, 5000))
        await clock.sleep(1)
        assert ear.sink.played_samples == 960
        assert ear.pcm == numbered(720) + numbered(240, 5000)

    virtual.run(main())


def test_closing_reports_what_was_played_and_drops_the_rest() -> None:
    async def main() -> None:
        ear = Ear()
        ear.sink.write(numbered(480))
        await clock.sleep(0.005)
        await ear.sink.aclose()
        await ear.sink.aclose()
        ear.sink.write(numbered(480))
        await clock.sleep(1)
        assert (ear.sink.queued_samples, ear.sink.played_samples) == (0, 120)
        assert ear.pcm == numbered(120)

    virtual.run(main())


@pytest.mark.parametrize("rate", [8000, 22_050, 24_000, 44_100])
@pytest.mark.parametrize("seed", range(5))
def test_whenever_it_is_asked_each_sample_is_somewhere_once(rate: int, seed: int) -> None:
    rng = random.Random(seed)

    async def main() -> None:
        ear = Ear(rate)
        written = thrown = 0
        for _ in range(300):
            action = rng.random()
            if action < 0.5:
                count = rng.randint(0, rate // 20)
                ear.sink.write(numbered(count, written % 1000))
                written += count
            elif action < 0.6:
                thrown += ear.sink.clear()
            await clock.sleep(rng.choice([0, 0.001, 0.01, 0.0333333333]))
            assert ear.sink.played_samples + ear.sink.queued_samples + thrown == written
            assert len(ear.pcm) == 2 * ear.sink.played_samples
        ends = [at + len(pcm) / 2 / rate for at, pcm in ear.heard]
        assert all(later >= end - 1e-6 for end, (later, _) in zip(ends, ear.heard[1:], strict=False))
        assert all(end <= clock.now() + 1e-6 for end in ends)

    virtual.run(main())


def test_it_needs_no_timer() -> None:
    async def main() -> float:
        ClockSink().write(bytes(2 * RATE * 60))
        return clock.now()

    assert virtual.run(main()) == 0


def test_pushed_sound_comes_in_frames_dated_back_from_now() -> None:
    async def main() -> None:
        source = MemorySource()
        await clock.sleep(1)
        source.push(numbered(400))
        await clock.sleep(0.015)
        source.push(numbered(240, 400))
        source.close()
        source.push(numbered(400))
        frames = [frame async for frame in source.frames()]
        assert b"".join(frame.data for frame in frames) == numbered(640)
        assert [frame.at for frame in frames] == pytest.approx([1 - 400 / 16_000, 1.015 - 320 / 16_000])

    virtual.run(main())


def test_a_late_session_loses_the_oldest_frames() -> None:
    async def main() -> None:
        source = MemorySource(room_s=0.1)
        source.push(numbered(320 * 8))
        source.close()
        assert [frame.data async for frame in source.frames()] == [numbered(320, 320 * index) for index in range(3, 8)]
        assert source.dropped == 3

    virtual.run(main())


def test_closing_ends_the_frames_at_once() -> None:
    async def main() -> None:
        source = MemorySource()
        source.push(numbered(320 * 8))
        await source.aclose()
        assert [frame async for frame in source.frames()] == []

    virtual.run(main())


def test_a_listener_hears_what_was_pushed_before_and_then_each_frame_in_the_call_that_brings_it() -> None:
    async def main() -> None:
        source, heard = MemorySource(), list[bytes]()
        source.push(numbered(320))
        listening = asyncio.create_task(source.listen(lambda frame: heard.append(frame.data)))
        await clock.sleep(0)
        assert heard == [numbered(320)]
        source.push(numbered(800, 320))
        assert heard == [numbered(320, 320 * index) for index in range(3)]
        source.close()
        source.push(numbered(320))
        await listening
        assert len(heard) == 3

    virtual.run(main())
