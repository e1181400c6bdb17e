import random

import numpy as np
import pytest

from agent_runtime import clock, virtual
from agent_runtime.errors import InternalError
from agent_runtime.io.speaker import Speaker

TONE = (10_000 * np.sin(2 * np.pi * 440 * np.arange(24_000) / 24_000)).astype("<i2").tobytes()


def on_device(rate: int) -> Speaker:
    speaker = Speaker()
    speaker.attach(rate)
    speaker.present()
    return speaker


def device_takes(speaker: Speaker, samples: int) -> bytes:
    """One callback, on a device's side."""
    block = bytearray(b"\x55" * (2 * samples))
    speaker.move(memoryview(block))
    return bytes(block)


@pytest.mark.parametrize("rate", [24_000, 48_000, 44_100, 16_000, 8000])
@pytest.mark.parametrize("seed", range(3))
def test_each_sample_is_played_queued_or_thrown_once(rate: int, seed: int) -> None:
    rng = random.Random(seed)

    async def main() -> None:
        speaker, reported = on_device(rate), bytearray()
        speaker.on_played = lambda at, pcm: reported.extend(pcm)
        written, thrown, played = 0, 0, 0
        for _ in range(300):
            action = rng.random()
            if action < 0.4:
                count = rng.randint(0, 700)
                speaker.write(TONE[: 2 * count])
                written += count
            elif action < 0.9:
                device_takes(speaker, rate // 100)
            elif action < 0.95:
                thrown += speaker.clear()
                assert speaker.queued_samples == 0
            assert speaker.played_samples >= played
            played = speaker.played_samples
            assert played + speaker.queued_samples + thrown == written
            assert len(reported) == 2 * played
        while speaker.queued_samples:
            device_takes(speaker, rate // 100)
        assert speaker.played_samples + thrown == written

    virtual.run(main())


def test_silence_for_want_of_samples_does_not_count() -> None:
    async def main() -> None:
        speaker = on_device(24_000)
        speaker.write(TONE[:200])
        assert device_takes(speaker, 240) == TONE[:200] + bytes(280)
        assert device_takes(speaker, 240) == bytes(480)
        assert speaker.played_samples == 100

    virtual.run(main())


def test_after_clear_the_device_gets_silence_at_once() -> None:
    async def main() -> None:
        speaker = on_device(48_000)
        speaker.write(TONE)
        assert any(device_takes(speaker, 480))
        assert speaker.clear() == 24_000 - 240
        assert not any(device_takes(speaker, 480))

    virtual.run(main())


def test_the_queue_waits_for_another_device_which_may_have_another_rate() -> None:
    async def main() -> None:
        speaker, reported = on_device(48_000), bytearray()
        speaker.on_played = lambda at, pcm: reported.extend(pcm)
        speaker.write(TONE)
        for _ in range(30):
            device_takes(speaker, 480)
        speaker.detach()
        assert (speaker.played_samples, speaker.queued_samples) == (7200, 16_800)
        speaker.attach(44_100)
        assert not any(device_takes(speaker, 441))  # it has yet to prove that it is there
        assert (speaker.played_samples, speaker.queued_samples) == (7200, 16_800)
        speaker.present()
        for _ in range(70):
            device_takes(speaker, 441)
        assert (speaker.played_samples, speaker.queued_samples) == (24_000, 0)
        assert reported == TONE

    virtual.run(main())


def test_what_was_written_before_a_device_is_there_is_played_by_it() -> None:
    async def main() -> None:
        speaker = Speaker()
        speaker.write(TONE[:480])
        speaker.attach(24_000)
        speaker.present()
        assert device_takes(speaker, 240) == TONE[:480]

    virtual.run(main())


def test_the_far_end_hears_all_that_the_device_was_given() -> None:
    async def main() -> None:
        speaker = Speaker()
        far = speaker.far_end()
        speaker.attach(48_000)
        speaker.present()
        device_takes(speaker, 480)
        speaker.write(TONE[:480])
        given = device_takes(speaker, 480)
        assert any(given)
        assert far.ring.read(9999) == bytes(960) + given

    virtual.run(main())


def test_playing_is_dated_by_the_device() -> None:
    async def main() -> None:
        speaker = Speaker()
        dates: list[float] = []
        speaker.on_played = lambda at, pcm: dates.append(at)
        speaker.attach(24_000)
        speaker.present()
        speaker.write(TONE)
        await clock.sleep(1.0)
        for _ in range(3):
            device_takes(speaker, 240)
            await clock.sleep(0.01)
        assert speaker.played_samples == 720
        assert dates == pytest.approx([1.0])

    virtual.run(main())


def test_more_than_anybody_queues_is_refused() -> None:
    async def main() -> None:
        speaker = on_device(48_000)
        for _ in range(60):
            speaker.write(TONE)
        with pytest.raises(InternalError, match="More than 60 s"):
            speaker.write(TONE)
        assert speaker.queued_samples == 60 * 24_000

    virtual.run(main())
