import random
import resource
import signal
import subprocess
import sys
import tracemalloc
import wave
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent_runtime.audio.frame import AudioFrame
from agent_runtime.errors import UsageError
from agent_runtime.trace.recording import CallRecorder

START = 50.0


def read(path: Path) -> Any:
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 24_000)
        data = file.readframes(file.getnframes())
        assert len(data) == 4 * file.getnframes()
        return np.frombuffer(data, dtype=np.int16).reshape(-1, 2).astype(int)


def tone(seconds: float, rate: int, *, at: float = 0.0, hertz: float = 300.0) -> Any:
    """Samples of one endless tone, from its second `at` on."""
    times = at + np.arange(round(seconds * rate)) / rate
    return np.rint(8000 * np.sin(2 * np.pi * hertz * times)).astype(np.int16)


def frames(seconds: float, *, at: float, jitter: float = 0.0, seed: int = 0) -> Iterator[AudioFrame]:
    """The tone at 16 kHz in 20 ms frames."""
    rng = random.Random(seed)
    for i in range(round(seconds / 0.02)):
        pcm = tone(0.02, 16_000, at=at + i * 0.02).tobytes()
        yield AudioFrame(data=pcm, sample_rate=16_000, at=START + at + i * 0.02 + rng.uniform(-jitter, jitter))


def chunks(seconds: float, *, at: float, jitter: float = 0.0) -> Iterator[tuple[float, bytes]]:
    rng = random.Random(1)
    for i in range(round(seconds / 0.02)):
        yield START + at + i * 0.02 + rng.uniform(-jitter, jitter), np.full(480, 1000, dtype=np.int16).tobytes()


def play(recorder: CallRecorder, seconds: float, *, at: float) -> None:
    for stamp, pcm in chunks(seconds, at=at):
        recorder.agent(stamp, pcm)


def both(recorder: CallRecorder, said: Iterable[AudioFrame], played: Iterable[tuple[float, bytes]]) -> None:
    """Each piece at its time, as in a call."""
    steps: list[tuple[float, Callable[[], None]]] = []
    steps += [(frame.at or 0.0, partial(recorder.caller, frame)) for frame in said]
    steps += [(at, partial(recorder.agent, at, pcm)) for at, pcm in played]
    for _, step in sorted(steps, key=lambda step: step[0]):
        step()


def test_both_lanes_lie_on_one_clock(tmp_path: Path) -> None:
    recorder = CallRecorder(tmp_path / "call.wav", started=START)
    both(recorder, frames(3.0, at=0.5), chunks(1.0, at=1.25))
    recorder.close()
    sound = read(tmp_path / "call.wav")
    assert len(sound) == 84_000
    # The caller: silence, then the tone to the sample, whatever the resampler held back.
    assert not sound[:11_000, 0].any()
    wanted = tone(3.0, 24_000, at=0.5)
    assert np.abs(sound[12_240:83_760, 0] - wanted[240:-240]).max() < 100
    # The agent: as given.
    assert np.flatnonzero(sound[:, 1]).tolist() == list(range(30_000, 54_000))


@pytest.mark.parametrize("seed", range(3))
def test_jitter_is_absorbed(tmp_path: Path, seed: int) -> None:
    recorder = CallRecorder(tmp_path / "call.wav", started=START)
    both(recorder, frames(3.0, at=0.5, jitter=0.0024, seed=seed), chunks(2.0, at=1.0, jitter=0.0024))
    recorder.close()
    sound = read(tmp_path / "call.wav")
    played = np.flatnonzero(sound[:, 1])
    assert len(played) == 48_000
    assert played[-1] - played[0] == 47_999
    assert abs(played[0] - 24_000) < 60
    # One unbroken tone: no step between samples is larger than the tone's own steepest.
    steps = np.abs(np.diff(sound[13_000:83_000, 0]))
    assert steps.max() < 8000 * 2 * np.pi * 300 / 24_000 + 50
    assert recorder.late_samples == 0


def test_a_drifting_clock_is_set_right_before_it_is_heard(tmp_path: Path) -> None:
    """The device is 1 per mille slow: after 30 s its sound would lie 30 ms early."""
    recorder = CallRecorder(tmp_path / "call.wav", started=START)
    for i in range(1500):
        recorder.agent(START + i * 0.02002, np.full(480, i % 2 * 1000 + 1000, dtype=np.int16).tobytes())
    recorder.close()
    sound = read(tmp_path / "call.wav")
    for i in (500, 1000, 1499):
        edge = np.flatnonzero(sound[:, 1] == i % 2 * 1000 + 1000)
        expected = round(i * 0.02002 * 24_000)
        assert np.abs(edge - expected).min() <= 120
    assert np.count_nonzero(sound[:, 1]) == 1500 * 480


def test_a_gap_is_silence_and_sound_goes_on_at_its_own_time(tmp_path: Path) -> None:
    recorder = CallRecorder(tmp_path / "call.wav", started=START)
    said = [*frames(0.5, at=0.0), *frames(0.5, at=2.0)]
    both(recorder, said, [*chunks(0.1, at=0.2), *chunks(0.1, at=0.5)])
    recorder.close()
    sound = read(tmp_path / "call.wav")
    assert not sound[12_000:48_000, 0].any()
    assert np.abs(sound[48_240:59_760, 0] - tone(0.5, 24_000, at=2.0)[240:-240]).max() < 100
    assert np.flatnonzero(sound[:, 1]).tolist() == [*range(4_800, 7_200), *range(12_000, 14_400)]


def test_an_hour_of_silence_costs_neither_memory_nor_time(tmp_path: Path) -> None:
    recorder = CallRecorder(tmp_path / "call.wav", started=START)
    play(recorder, 0.2, at=0.0)
    tracemalloc.start()
    play(recorder, 0.2, at=3600.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    recorder.close()
    assert peak < 500_000
    with wave.open(str(tmp_path / "call.wav"), "rb") as file:
        assert file.getnframes() == 3600 * 24_000 + 4_800
        file.setpos(3600 * 24_000)
        tail = np.frombuffer(file.readframes(4_800), dtype=np.int16).reshape(-1, 2)
    assert (tail[:, 1] == 1000).all()
    assert (tmp_path / "call.wav").stat().st_blocks * 512 < 1_000_000


def test_memory_is_bounded(tmp_path: Path) -> None:
    recorder = CallRecorder(tmp_path / "call.wav", started=START)
    silence = bytes(640)

    def minutes(first: int, last: int) -> None:
        for i in range(first * 3000, last * 3000):
            at = START + i * 0.02
            recorder.caller(AudioFrame(data=silence, sample_rate=16_000, at=at))
            if i % 500 < 200:
                recorder.agent(at, bytes(960))

    minutes(0, 1)
    tracemalloc.start()
    minutes(1, 4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    recorder.close()
    assert peak < 600_000
    assert recorder.late_samples == 0


def test_sound_that_comes_too_late_is_counted_and_lost(tmp_path: Path) -> None:
    recorder = CallRecorder(tmp_path / "call.wav", started=START)
    play(recorder, 5.0, at=0.0)
    for frame in frames(0.2, at=0.0):
        recorder.caller(frame)
    recorder.close()
    sound = read(tmp_path / "call.wav")
    assert not sound[:, 0].any()
    assert recorder.late_samples == 4_800


def test_what_overlaps_what_was_played_is_not_played_twice(tmp_path: Path) -> None:
    recorder = CallRecorder(tmp_path / "call.wav", started=START)
    recorder.agent(START, np.full(2400, 1000, dtype=np.int16).tobytes())
    recorder.agent(START + 0.05, np.full(2400, 2000, dtype=np.int16).tobytes())
    recorder.agent(START - 1.0, np.full(240, 3000, dtype=np.int16).tobytes())
    recorder.close()
    sound = read(tmp_path / "call.wav")
    assert (sound[:2400, 1] == 1000).all()
    assert (sound[2400:, 1] == 2000).all()
    assert len(sound) == 3600
    assert recorder.late_samples == 1200 + 240


def test_other_rates_and_frames_without_a_time(tmp_path: Path) -> None:
    recorder = CallRecorder(tmp_path / "call.wav", started=START)
    for i in range(50):
        recorder.caller(AudioFrame(data=tone(0.02, 48_000, at=i * 0.02).tobytes(), sample_rate=48_000))
    for frame in frames(1.0, at=1.0):
        recorder.caller(frame)
    recorder.close()
    sound = read(tmp_path / "call.wav")
    assert np.abs(sound[240:23_500, 0] - tone(1.0, 24_000)[240:23_500]).max() < 100
    assert np.abs(sound[24_240:47_760, 0] - tone(1.0, 24_000, at=1.0)[240:-240]).max() < 100


def test_the_file_can_be_read_at_any_time(tmp_path: Path) -> None:
    recorder = CallRecorder(tmp_path / "call.wav", started=START)
    assert len(read(tmp_path / "call.wav")) == 0
    lengths = []
    for second in range(10):
        play(recorder, 1.0, at=float(second))
        lengths.append(len(read(tmp_path / "call.wav")) / 24_000)
    assert all(second + 1 - length <= 1.5 for second, length in enumerate(lengths))
    recorder.close()
    assert len(read(tmp_path / "call.wav")) == 240_000


def test_closing_pads_to_the_end_of_the_call_and_may_be_repeated(tmp_path: Path) -> None:
    recorder = CallRecorder(tmp_path / "call.wav", started=START)
    play(recorder, 0.5, at=0.0)
    recorder.close(at=START + 2.0)
    recorder.close()
    recorder.agent(START + 3.0, b"\1\1")
    recorder.caller(AudioFrame(data=b"\1\1", sample_rate=16_000, at=START + 3.0))
    assert len(read(tmp_path / "call.wav")) == 48_000
    assert recorder.error is None


_KILLED = """
import os, signal, sys
from agent_runtime.trace.recording import CallRecorder
recorder = CallRecorder(sys.argv[1], started=0.0)
if sys.argv[2] == "SIGINT":
    signal.signal(signal.SIGINT, lambda *_: (recorder.close(), os._exit(130)))
for i in range(5000):
    recorder.agent(i * 0.02, b"\\1\\1" * 480)
    if i == 400:
        os.kill(os.getpid(), getattr(signal, sys.argv[2]))
"""


@pytest.mark.parametrize(("name", "least"), [("SIGKILL", 6.5), ("SIGINT", 8.0)])
def test_a_killed_process_leaves_a_file_that_can_be_read(tmp_path: Path, name: str, least: float) -> None:
    ended = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path / "call.wav"), name], check=False)
    assert ended.returncode == (130 if name == "SIGINT" else -signal.SIGKILL)
    sound = read(tmp_path / "call.wav")
    assert least <= len(sound) / 24_000 <= 8.1
    assert (sound[:, 1] == 257).all()


def test_closed_in_the_middle_of_a_write(tmp_path: Path) -> None:
    """As a signal handler may do at any line."""
    for line in range(400):
        recorder = CallRecorder(tmp_path / "call.wav", started=START)
        left = line

        def close_at(frame: Any, event: str, _: object, recorder: CallRecorder = recorder) -> Any:
            nonlocal left
            if "trace" not in frame.f_code.co_filename:
                return None
            if event == "line":
                left -= 1
                if left == 0:
                    sys.settrace(None)
                    recorder.close()
            return close_at

        previous = sys.gettrace()
        sys.settrace(close_at)
        try:
            for i in range(4):
                recorder.agent(START + i * 0.6, np.full(14_400, 5, dtype=np.int16).tobytes())
        finally:
            sys.settrace(previous)
        recorder.close()
        sound = read(tmp_path / "call.wav")
        assert (sound[:, 1] == 5).all()
        assert recorder.error is None
        if left > 0:
            return
    pytest.fail("the recorder has more lines than this test goes through")


def test_a_full_disk_is_told_once_and_never_raised() -> None:
    told: list[OSError] = []
    recorder = CallRecorder("/dev/full", started=START, on_error=told.append)
    play(recorder, 3.0, at=0.0)
    recorder.close(at=START + 5.0)
    assert [error.strerror for error in told] == ["No space left on device"]
    assert recorder.error is told[0]


def test_what_was_recorded_before_the_disk_was_full_can_be_read(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        recorder = CallRecorder(tmp_path / "call.wav", started=START)
        play(recorder, 6.0, at=0.0)
        recorder.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert recorder.error is not None
    sound = read(tmp_path / "call.wav")
    assert len(sound) > 24_000
    assert (sound[:, 1] == 1000).all()


def test_a_call_longer_than_a_wav_can_hold_stops_the_recording(tmp_path: Path) -> None:
    recorder = CallRecorder(tmp_path / "call.wav", started=START)
    play(recorder, 0.1, at=0.0)
    play(recorder, 2.0, at=45_000.0)
    recorder.close()
    assert recorder.error is not None
    assert "12 hours" in str(recorder.error)
    assert len(read(tmp_path / "call.wav")) == 2_400


def test_a_folder_that_is_not_there_is_told_before_the_call(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Cannot write .*call\.wav: No such file or directory; name a folder"):
        CallRecorder(tmp_path / "no" / "call.wav", started=START)
