import asyncio

import pytest

from agent_runtime import clock, virtual
from agent_runtime.audio.frame import AudioFrame
from agent_runtime.audio.wav import Recording
from agent_runtime.io.wav import WavSource

SOUND = bytes(range(1, 251)) * 10  # 1250 samples: three frames and 290 samples


async def play(source: WavSource) -> list[tuple[float, AudioFrame]]:
    return [(clock.now(), frame) async for frame in source.frames()]


def test_frames_come_when_their_last_sample_would_have() -> None:
    async def main() -> None:
        await clock.sleep(0.7)
        heard = await play(WavSource(Recording(SOUND, [])))
        assert [round(now, 9) for now, _ in heard] == [0.72, 0.74, 0.76, 0.78]
        assert [frame.at for _, frame in heard] == pytest.approx([0.7, 0.72, 0.74, 0.76])
        assert {(len(frame.data), frame.sample_rate, frame.num_channels) for _, frame in heard} == {(640, 16_000, 1)}
        assert b"".join(frame.data for _, frame in heard) == SOUND + bytes(4 * 640 - 2500)

    virtual.run(main())


def test_silence_before_and_after() -> None:
    async def main() -> None:
        heard = await play(WavSource(Recording(SOUND[:640], []), lead_s=0.5, tail_s=1.0))
        assert b"".join(frame.data for _, frame in heard) == bytes(16_000) + SOUND[:640] + bytes(32_000)
        assert clock.now() == pytest.approx(1.52)

    virtual.run(main())


def test_a_slow_listener_does_not_make_it_late() -> None:
    async def main() -> None:
        source = WavSource(Recording(bytes(32_000), []))
        dates = []
        async for frame in source.frames():
            dates.append(frame.at)
            await clock.sleep(0.015)
        assert dates == pytest.approx([0.02 * index for index in range(50)])
        assert clock.now() == pytest.approx(1.015)

    virtual.run(main())


def test_ten_minutes_do_not_drift() -> None:
    async def main() -> None:
        last = None
        async for frame in WavSource(Recording(b"", []), tail_s=600).frames():
            last = frame
        assert last is not None
        assert last.at == pytest.approx(599.98, abs=1e-9)
        assert clock.now() == pytest.approx(600, abs=1e-9)

    virtual.run(main())


def test_closing_ends_it() -> None:
    async def main() -> None:
        source = WavSource(Recording(bytes(32_000), []))
        playing = asyncio.create_task(play(source))
        await clock.sleep(0.1)
        await source.aclose()
        assert len(await playing) in {4, 5}
        assert clock.now() < 0.13

    virtual.run(main())
