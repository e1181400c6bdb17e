import math
from typing import Any

import pytest

from agent_runtime.audio.frame import AudioFrame
from agent_runtime.clock import Stopwatch
from agent_runtime.errors import UsageError
from agent_runtime.providers.local.voicing import Segmenter, VoicingOptions, VoicingStream, Windows
from agent_runtime.vad import SpeechEnded, SpeechStarted, VADEvent
from tests.providers.local.voices import microphone, silence

STEP = 0.032


def hear(segmenter: Segmenter, probabilities: list[float], start: float = 10.0) -> list[tuple[int, VADEvent]]:
    """Push windows one after the other; each event comes with the number of the window that brought it."""
    found = []
    for index, probability in enumerate(probabilities):
        at = start + index * STEP
        found += [(index, event) for event in segmenter.push(probability, at, at + STEP)]
    return found


def at(window: int, start: float = 10.0) -> Any:
    """Compares equal to the loop time at which a window starts."""
    return pytest.approx(start + window * STEP)


def test_the_onset_is_the_first_voiced_window_and_the_end_the_last() -> None:
    found = hear(Segmenter(VoicingOptions()), [0.1, 0.9, 0.1, 0.9, 0.9] + [0.0] * 10)
    assert [index for index, _ in found] == [3, 12]  # 2 of 3 voiced; 8 silent windows are the first 0.25 s
    (_, started), (_, ended) = found
    assert started == SpeechStarted(at(1))
    assert ended == SpeechEnded(at(5))


def test_one_loud_window_is_no_speech() -> None:
    assert hear(Segmenter(VoicingOptions()), [0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0]) == []


def test_between_the_thresholds_speech_goes_on_but_does_not_begin() -> None:
    assert hear(Segmenter(VoicingOptions()), [0.4] * 50) == []
    found = hear(Segmenter(VoicingOptions()), [0.9, 0.9] + [0.4] * 50 + [0.34] * 20)
    assert [type(event) for _, event in found] == [SpeechStarted, SpeechEnded]
    assert found[1][1] == SpeechEnded(at(52))


def test_a_pause_shorter_than_the_silence_does_not_end_it() -> None:
    found = hear(Segmenter(VoicingOptions(min_silence_duration=0.25)), [0.9] * 3 + [0.0] * 7 + [0.9] + [0.0] * 8)
    assert [event for _, event in found] == [SpeechStarted(at(0)), SpeechEnded(at(11))]


def test_speech_must_last_before_it_is_reported() -> None:
    options = VoicingOptions(min_speech_duration=0.2)
    assert hear(Segmenter(options), [0.9] * 4 + [0.0] * 20) == []
    found = hear(Segmenter(options), [0.9] * 10)
    assert found == [(6, SpeechStarted(at(0)))]  # 7 windows are the first 0.2 s


def test_many_of_many() -> None:
    options = VoicingOptions(needed=8, of=10)
    assert hear(Segmenter(options), [1.0, 1.0, 0.0] * 30) == []  # at most 7 of 10
    assert hear(Segmenter(options), [1.0, 0.0, 1.0] + [1.0] * 6) == [(8, SpeechStarted(at(0)))]


def test_a_probability_that_is_no_number_is_silence() -> None:
    found = hear(Segmenter(VoicingOptions()), [0.9, 0.9] + [math.nan] * 10)
    assert [type(event) for _, event in found] == [SpeechStarted, SpeechEnded]


def test_speech_ends_in_a_gap_as_long_as_the_silence() -> None:
    segmenter = Segmenter(VoicingOptions())
    hear(segmenter, [0.9] * 4)
    assert segmenter.push(0.9, 10.3, 10.332) == []  # 0.17 s are missing
    assert segmenter.push(0.9, 12.0, 12.032) == [SpeechEnded(10.332)]
    assert segmenter.push(0.9, 12.032, 12.064) == [SpeechStarted(12.0)]


def test_an_onset_is_never_dated_back_across_a_gap() -> None:
    segmenter = Segmenter(VoicingOptions())
    assert segmenter.push(0.9, 10.0, 10.032) == []
    assert segmenter.push(0.9, 20.0, 20.032) == []
    assert segmenter.push(0.9, 20.032, 20.064) == [SpeechStarted(20.0)]


def test_time_set_back_ends_speech_and_starts_anew() -> None:
    segmenter = Segmenter(VoicingOptions())
    hear(segmenter, [0.9] * 4)
    assert segmenter.push(0.9, 1.0, 1.032) == [SpeechEnded(at(4))]
    assert segmenter.push(0.9, 1.032, 1.064) == [SpeechStarted(1.0)]


def test_windows_carry_the_times_of_their_own_samples() -> None:
    windows = Windows(512)
    cut = [window for frame in microphone(silence(0.1), 5.0) for window in windows.cut(frame.data, frame.at or 0.0)]
    assert [len(data) for data, _, _ in cut] == [1024] * 3
    assert [start for _, start, _ in cut] == [pytest.approx(5.0 + n * STEP) for n in range(3)]
    assert [end for _, _, end in cut] == [pytest.approx(5.0 + (n + 1) * STEP) for n in range(3)]


def test_a_dropped_frame_moves_the_times_and_a_long_gap_drops_the_begun_window() -> None:
    windows = Windows(512)
    frame = bytes(640)
    assert list(windows.cut(frame, 1.0)) == []
    ((_, start, end),) = windows.cut(frame, 1.04)  # the frame at 1.02 is lost
    assert (start, end) == pytest.approx((1.0, 1.052))
    assert list(windows.cut(frame, 3.0)) == []  # 8 ms from before the gap are not glued to it
    ((_, start, end),) = windows.cut(frame, 3.02)
    assert (start, end) == pytest.approx((3.0, 3.032))


def test_frames_of_any_length_make_the_same_windows() -> None:
    pcm = bytes(range(256)) * 40

    def cut(size: int) -> list[bytes]:
        windows = Windows(512)
        pieces = range(0, len(pcm), size)
        return [data for at in pieces for data, _, _ in windows.cut(pcm[at : at + size], at / 32_000)]

    assert cut(640) == cut(2) == cut(len(pcm)) == [pcm[at : at + 1024] for at in range(0, len(pcm), 1024)]


@pytest.mark.parametrize(
    ("frame", "named"),
    [
        (AudioFrame(bytes(640), 44_100, at=0.0), "44100 Hz"),
        (AudioFrame(bytes(640), 16_000, num_channels=2, at=0.0), "with 2"),
        (AudioFrame(bytes(640), 16_000), "at="),
    ],
)
def test_a_frame_it_cannot_use_is_named(frame: AudioFrame, named: str) -> None:
    stream = VoicingStream("local/silero", lambda window: 0.0, 512, VoicingOptions(), Stopwatch())
    with pytest.raises(UsageError, match=named):
        stream.push(frame)


@pytest.mark.parametrize(
    "options",
    [
        {"activation_threshold": 0.3, "deactivation_threshold": 0.4},
        {"activation_threshold": 1.0},
        {"deactivation_threshold": 0.0},
        {"needed": 4, "of": 3},
        {"min_silence_duration": 0.0},
        {"min_speech_duration": -1.0},
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        VoicingOptions(**options)  # type: ignore[arg-type]
