import asyncio
import contextlib
from collections.abc import AsyncIterator

import numpy as np
import pytest

from agent_runtime import clock, virtual
from agent_runtime.audio.echo import EchoCanceller
from agent_runtime.audio.frame import AudioFrame
from agent_runtime.io.microphone import Microphone
from agent_runtime.io.speaker import Speaker

SOUND = np.random.default_rng(4).integers(-9000, 9000, 48_000, dtype=np.int16).astype("<i2").tobytes()


@contextlib.asynccontextmanager
async def listening(microphone: Microphone) -> AsyncIterator[list[AudioFrame]]:
    frames: list[AudioFrame] = []

    async def listen() -> None:
        async for frame in microphone.frames():
            frames.append(frame)  # noqa: PERF401  # they are looked at while they come

    task = asyncio.create_task(listen())
    await clock.sleep(0)
    yield frames
    await microphone.aclose()
    await task


async def device_sends(microphone: Microphone, pcm: bytes, rate: int) -> None:
    """A device's callbacks, in time."""
    block = 2 * (rate // 100)
    for start in range(0, len(pcm), block):
        await clock.sleep(0.01)
        microphone.move(memoryview(pcm[start : start + block]))
    for _ in range(5):  # the loop is told, the listener woken, the frames made
        await clock.sleep(0)


def present(rate: int) -> Microphone:
    microphone = Microphone()
    microphone.attach(rate)
    microphone.present()
    return microphone


def test_blocks_become_frames_dated_by_their_first_sample() -> None:
    async def main() -> None:
        await clock.sleep(3)
        microphone = present(16_000)
        async with listening(microphone) as frames:
            await device_sends(microphone, SOUND[:6400], 16_000)
        assert b"".join(frame.data for frame in frames) == SOUND[:6400]
        assert [frame.at for frame in frames] == pytest.approx([3 + 0.02 * index for index in range(10)], abs=1e-3)

    virtual.run(main())


@pytest.mark.parametrize("rate", [8000, 44_100, 48_000])
def test_any_rate_becomes_16_khz(rate: int) -> None:
    async def main() -> None:
        microphone = present(rate)
        async with listening(microphone) as frames:
            await device_sends(microphone, SOUND[: 2 * rate // 2], rate)
        assert len(frames) == 25
        assert {len(frame.data) for frame in frames} == {640}
        assert [frame.at for frame in frames] == pytest.approx([0.02 * index for index in range(25)], abs=1e-3)

    virtual.run(main())


def test_frames_that_the_loop_saw_late_are_dated_right() -> None:
    async def main() -> None:
        microphone = present(16_000)
        async with listening(microphone) as frames:
            await device_sends(microphone, SOUND[:3200], 16_000)
            for start in range(3200, 9600, 320):  # 200 ms of blocks at once, after 200 ms without a look
                microphone.move(memoryview(SOUND[start : start + 320]))
            await clock.sleep(0.2)
            await device_sends(microphone, SOUND[9600:12_800], 16_000)
        assert b"".join(frame.data for frame in frames) == SOUND[:12_800]
        dates = [frame.at for frame in frames if frame.at is not None]
        assert np.min(np.diff(dates)) >= 0

    virtual.run(main())


def test_muted_and_deaf_are_silence_at_the_same_pace() -> None:
    async def main() -> None:
        microphone = present(16_000)
        deaf = False
        microphone.deafen(lambda: deaf)
        async with listening(microphone) as frames:
            microphone.mute()
            await device_sends(microphone, SOUND[:3200], 16_000)
            microphone.mute(False)
            await device_sends(microphone, SOUND[:3200], 16_000)
            deaf = True
            await device_sends(microphone, SOUND[:3200], 16_000)
        assert b"".join(frame.data for frame in frames) == bytes(3200) + SOUND[:3200] + bytes(3200)

    virtual.run(main())


def test_a_lost_device_is_silence_without_a_gap() -> None:
    async def main() -> None:
        microphone = present(16_000)
        async with listening(microphone) as frames:
            await device_sends(microphone, SOUND[:3200], 16_000)
            await clock.sleep(0.5)  # as long as the watch takes to notice
            microphone.detach()
            await clock.sleep(1.0)
            microphone.attach(48_000)
            microphone.present()
            await device_sends(microphone, SOUND[:9600], 48_000)
        heard = b"".join(frame.data for frame in frames)
        assert heard[:3200] == SOUND[:3200]
        assert not any(heard[3200 : 3200 + 46_000])
        assert any(heard[-3200:])
        dates = [frame.at for frame in frames if frame.at is not None]
        assert np.diff(dates) == pytest.approx(0.02, abs=0.021)
        assert dates[-1] == pytest.approx(clock.now() - 0.02, abs=0.021)

    virtual.run(main())


def test_what_nobody_takes_is_dropped_and_counted() -> None:
    async def main() -> None:
        microphone = present(8000)
        await device_sends(microphone, SOUND[: 2 * 8000 * 3], 8000)
        assert microphone.dropped_s == pytest.approx(1.0)

    virtual.run(main())


def test_the_speakers_sound_is_taken_out() -> None:
    async def main() -> None:
        speaker = Speaker()
        microphone = Microphone()
        microphone.cancel_echo(EchoCanceller(16_000), speaker.far_end())
        speaker.attach(48_000)
        speaker.present()
        microphone.attach(48_000)
        microphone.present()
        speaker.write(SOUND * 2)
        delayed = [bytes(960)] * 6
        async with listening(microphone) as frames:
            for _ in range(200):
                block = bytearray(960)
                speaker.move(memoryview(block))
                delayed.append(bytes(block))
                await device_sends(microphone, delayed.pop(0), 48_000)
        tail = np.frombuffer(b"".join(frame.data for frame in frames[50:]), dtype="<i2").astype(float)
        assert 10 * np.log10(np.mean(tail**2) + 1e-3) < 40  # it went in at 74

    virtual.run(main())


def test_closing_ends_the_frames_while_present_and_while_lost() -> None:
    async def main() -> None:
        for microphone in (present(16_000), Microphone()):
            async with listening(microphone):
                await clock.sleep(0.1)

    virtual.run(main())
