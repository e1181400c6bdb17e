import struct
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from agent_runtime.audio.wav import read_wav
from agent_runtime.errors import UsageError

SECONDS = 0.8


def tone(rate: int, hz: float = 440.0, level: float = 0.5) -> NDArray[np.float64]:
    return level * np.sin(2 * np.pi * hz * np.arange(round(SECONDS * rate)) / rate)


def samples(pcm: bytes) -> NDArray[np.float64]:
    return np.frombuffer(pcm, dtype="<i2") / 32768


def off_by(pcm: bytes, expected: NDArray[np.float64]) -> float:
    """The error's level over that of the sound, away from its ends, in dB."""
    heard = samples(pcm)
    middle = slice(2000, -2000)
    return float(10 * np.log10(np.mean((heard - expected)[middle] ** 2) / np.mean(expected[middle] ** 2)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "caller.wav"


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_any_rate_and_width_comes_out_as_the_same_sound(path: Path, rate: int, subtype: str) -> None:
    soundfile.write(path, tone(rate), rate, subtype=subtype)
    recording = read_wav(path)
    assert recording.notes == []
    assert len(recording.pcm) == 2 * round(SECONDS * 16_000)
    assert recording.duration == SECONDS
    assert off_by(recording.pcm, tone(16_000)) < (-35 if subtype == "PCM_U8" else -70)


def test_a_file_that_is_right_already_is_not_touched(path: Path) -> None:
    pcm = np.random.default_rng(3).integers(-32768, 32767, 5000, dtype=np.int16)
    soundfile.write(path, pcm, 16_000, subtype="PCM_16")
    assert read_wav(path).pcm == pcm.tobytes()


def test_channels_are_averaged(path: Path) -> None:
    left, right = tone(16_000, 440), tone(16_000, 700, level=0.2)
    soundfile.write(path, np.stack([left, right], axis=1), 16_000, subtype="PCM_16")
    assert off_by(read_wav(path).pcm, (left + right) / 2) < -70


def test_a_stereo_file_at_another_rate_is_resampled_once_and_nothing_folds_back(path: Path) -> None:
    too_high = tone(48_000, 11_000)
    soundfile.write(path, np.stack([too_high, too_high], axis=1), 48_000, subtype="PCM_24")
    assert np.abs(samples(read_wav(path).pcm)[500:-500]).max() < 1e-3


def test_float_that_is_too_loud_or_no_number_does_no_harm(path: Path) -> None:
    sound = tone(16_000, level=3.0)
    sound[1000], sound[1001], sound[1002] = np.nan, np.inf, -np.inf
    soundfile.write(path, sound, 16_000, subtype="FLOAT")
    heard = samples(read_wav(path).pcm)
    assert heard[1000] == 0
    assert heard[1001] > 0.99
    assert heard[1002] == -1
    assert np.max(heard) > 0.99


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_a_file_without_a_single_number_is_refused(path: Path, rate: int) -> None:
    soundfile.write(path, np.full(200_000, np.nan), rate, subtype="FLOAT")
    with pytest.raises(UsageError) as caught:
        read_wav(path)
    assert str(caught.value) == f"No sample in '{path}' is a number (NaN); record it again or name another WAV file."
    sound = np.full(200_000, np.nan)
    sound[-1] = 0.25
    soundfile.write(path, sound, rate, subtype="FLOAT")
    assert len(read_wav(path).pcm) > 2


def header(data_length: int, riff_length: int, rate: int = 16_000) -> bytes:
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", riff_length, b"WAVE", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16, b"data", data_length),
    )


def ramp(count: int) -> bytes:
    return np.arange(count, dtype="<i2").tobytes()


def test_a_truncated_file_plays_what_is_there_and_says_so(path: Path) -> None:
    path.write_bytes(header(32_000, 32_036) + ramp(4000) + b"\x07")
    recording = read_wav(path)
    assert recording.pcm == ramp(4000)
    assert recording.notes == [f"'{path}' is cut off: of the 1.00 s that its header promises, 0.25 s are played."]


def test_a_truncated_file_at_another_rate_keeps_its_end(path: Path) -> None:
    path.write_bytes(header(16_000, 16_036, rate=8000) + ramp(2000))
    recording = read_wav(path)
    assert len(recording.pcm) == 2 * 4000
    assert len(recording.notes) == 1


def test_a_header_that_was_never_finished_plays_what_is_there_and_says_so(path: Path) -> None:
    path.write_bytes(header(0, 0) + ramp(8000))
    recording = read_wav(path)
    assert recording.pcm == ramp(8000)
    assert recording.notes == [f"The header of '{path}' was never finished; the 0.50 s that are there are played."]


@pytest.mark.parametrize("unknown", [0xFFFFFFFF, 0x7FFFF000, 0x7FFFFFFF])
def test_a_file_written_into_a_pipe_is_whole(path: Path, unknown: int) -> None:
    path.write_bytes(header(unknown, min(unknown + 36, 0xFFFFFFFF)) + ramp(8000))
    recording = read_wav(path)
    assert recording.pcm == ramp(8000)
    assert recording.notes == []


def test_other_chunks_are_skipped(path: Path) -> None:
    whole = header(2000, 2046)
    path.write_bytes(whole[:36] + struct.pack("<4sI", b"LIST", 1) + b"x\0" + whole[36:] + ramp(1000))
    recording = read_wav(path)
    assert recording.pcm == ramp(1000)
    assert recording.notes == []


def test_a_missing_file(path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read_wav(path)
    assert str(caught.value) == f"There is no file '{path}'; name a WAV file that exists."


def test_a_directory(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read_wav(tmp_path)
    assert str(caught.value) == f"'{tmp_path}' is a directory; name a WAV file in it."


@pytest.mark.parametrize(
    "content", [b"", b"Hello, what time is it?\n" * 50, b"RIFF", header(0, 36)[:30], bytes(range(256)) * 20]
)
def test_what_is_no_wav(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_wav(str(path))
    assert str(caught.value).startswith(f"'{path}' is not a WAV file (")
    assert "\n" not in str(caught.value)


def test_sox_is_named_where_it_may_help_and_its_target_is_none_of_the_calls_own_files(tmp_path: Path) -> None:
    path = tmp_path / "my call.wav"
    path.write_bytes(b"ID3" + bytes(100))
    assert _told(path).endswith(
        f"; if it is sound in another format, convert it with `sox '{path}' 'my call-converted.wav'`."
    )


@pytest.mark.parametrize("broken", [slice(22, 24), slice(24, 28)], ids=["no channels", "no rate"])
def test_sox_is_not_named_for_a_header_that_is_wrong(path: Path, broken: slice) -> None:
    content = bytearray(header(2000, 2036) + ramp(1000))
    content[broken] = bytes(broken.stop - broken.start)
    path.write_bytes(content)
    assert _told(path).endswith("; record it again or name another WAV file.")


def test_sox_is_not_named_for_a_device() -> None:
    assert _told(Path("/dev/zero")).endswith("; record it again or name another WAV file.")


def _told(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        read_wav(path)
    return str(caught.value)


def test_a_wav_without_a_sample(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
    with pytest.raises(UsageError) as caught:
        read_wav(path)
    assert str(caught.value) == f"'{path}' holds no sound; record it again or name another WAV file."


def test_a_header_alone(path: Path) -> None:
    path.write_bytes(header(32_000, 32_036))
    with pytest.raises(UsageError, match="holds no sound"):
        read_wav(path)
