import math

import numpy as np
import pytest
from numpy.typing import NDArray

from agent_runtime.audio.resample import LiveResampler, Resampler, scale

RATES = [(22_050, 24_000), (16_000, 24_000), (24_000, 16_000), (8000, 16_000), (44_100, 16_000), (24_000, 24_000)]
LIVE_RATES = [*RATES, (48_000, 16_000), (24_000, 48_000), (24_000, 44_100)]


def tone(rate: int, hz: float, count: int) -> NDArray[np.float64]:
    return 10_000 * np.sin(2 * np.pi * hz * np.arange(count) / rate)


def pcm_of(samples: NDArray[np.float64]) -> bytes:
    return np.rint(samples).astype("<i2").tobytes()


def cut(pcm: bytes, seed: int, even: bool) -> list[bytes]:
    """`pcm` in pieces of random length, some empty."""
    rng = np.random.default_rng(seed)
    pieces, start = [], 0
    while start < len(pcm):
        length = int(rng.integers(0, 700)) * (2 if even else 1)
        pieces.append(pcm[start : start + length])
        start += length
    return pieces


def level_db(pcm: bytes) -> float:
    samples = np.frombuffer(pcm, dtype="<i2").astype(float)
    return float(10 * np.log10(np.mean(samples**2) + 1e-9))


@pytest.mark.parametrize(("in_rate", "out_rate"), RATES)
@pytest.mark.parametrize("count", [0, 1, 7, 441, 9999])
def test_all_samples_come_out_whatever_the_chunks(in_rate: int, out_rate: int, count: int) -> None:
    pcm = pcm_of(tone(in_rate, 440, count))
    at_once = Resampler(in_rate, out_rate)
    whole = at_once.push(pcm) + at_once.flush()
    assert len(whole) == 2 * math.floor(count * out_rate / in_rate + 0.5)

    in_pieces = Resampler(in_rate, out_rate)
    pieces = b"".join(in_pieces.push(piece) for piece in cut(pcm, count, even=False)) + in_pieces.flush()
    assert pieces == whole
    assert in_pieces.held_back_s == 0

    assert in_pieces.push(pcm) + in_pieces.flush() == whole  # a new sound begins afresh


@pytest.mark.parametrize(("in_rate", "out_rate"), RATES)
def test_it_is_the_same_sound_and_not_late(in_rate: int, out_rate: int) -> None:
    resampler = Resampler(in_rate, out_rate)
    out = resampler.push(pcm_of(tone(in_rate, 440, in_rate))) + resampler.flush()
    error = np.frombuffer(out, dtype="<i2")[1000:-1000] - tone(out_rate, 440, out_rate)[1000:-1000]
    assert np.abs(error).max() < 4


def test_what_is_held_back_is_known() -> None:
    resampler = Resampler(22_050, 24_000)
    returned = b"".join(resampler.push(bytes(882)) for _ in range(20))
    assert resampler.held_back_s == pytest.approx(20 * 441 / 22_050 - len(returned) / 2 / 24_000)
    assert 0.005 < resampler.held_back_s < 0.06
    assert Resampler(16_000, 16_000).held_back_s == 0


def test_nothing_comes_of_nothing() -> None:
    assert Resampler(22_050, 24_000).flush() == b""


@pytest.mark.parametrize(("in_rate", "out_rate"), LIVE_RATES)
def test_live_holds_nothing_back(in_rate: int, out_rate: int) -> None:
    pcm = pcm_of(tone(in_rate, 440, 5000))
    at_once = LiveResampler(in_rate, out_rate).push(pcm)
    resampler, pushed, out = LiveResampler(in_rate, out_rate), 0, b""
    for piece in cut(pcm, 1, even=True):
        out += resampler.push(piece)
        pushed += len(piece) // 2
        assert len(out) == 2 * math.ceil(pushed * out_rate / in_rate)
    assert out == at_once


@pytest.mark.parametrize(("in_rate", "out_rate"), LIVE_RATES)
def test_live_is_the_same_sound_half_a_millisecond_late(in_rate: int, out_rate: int) -> None:
    resampler = LiveResampler(in_rate, out_rate)
    out = np.frombuffer(resampler.push(pcm_of(tone(in_rate, 440, in_rate))), dtype="<i2")
    assert resampler.delay_s <= 0.00131  # 10 samples of the lower rate
    late = 10_000 * np.sin(2 * np.pi * 440 * (np.arange(len(out)) / out_rate - resampler.delay_s))
    assert np.abs(out - late)[1000:].max() < 20


@pytest.mark.parametrize(("in_rate", "out_rate"), [(48_000, 16_000), (24_000, 48_000), (44_100, 16_000)])
def test_live_keeps_the_band_and_cuts_what_would_fold(in_rate: int, out_rate: int) -> None:
    low = min(in_rate, out_rate)
    reference = level_db(pcm_of(tone(in_rate, 1000, in_rate)))
    kept = LiveResampler(in_rate, out_rate).push(pcm_of(tone(in_rate, 0.4 * low, in_rate)))
    assert level_db(kept) - reference == pytest.approx(0, abs=1)
    if in_rate > out_rate:
        folded = LiveResampler(in_rate, out_rate).push(pcm_of(tone(in_rate, 0.62 * low, in_rate)))
        assert level_db(folded[1000:]) - reference < -55


def test_live_forgets_on_reset() -> None:
    resampler = LiveResampler(24_000, 48_000)
    first = resampler.push(pcm_of(tone(24_000, 440, 240)))
    resampler.reset()
    assert resampler.push(pcm_of(tone(24_000, 440, 240))) == first


def test_a_gain_goes_in_a_straight_line_and_joins_the_next_chunk() -> None:
    pcm = pcm_of(np.full(100, 1000.0))
    down = np.frombuffer(scale(pcm, 1.0, 0.2), dtype="<i2")
    assert down[0] == 1000
    assert set(np.diff(down).tolist()) == {-8}
    assert down[-1] - 8 == 200
    assert np.frombuffer(scale(pcm, 0.2, 0.2), dtype="<i2").tolist() == [200] * 100


def test_a_gain_clips() -> None:
    loud = np.array([30_000, -30_000], dtype="<i2").tobytes()
    assert np.frombuffer(scale(loud, 2.0, 2.0), dtype="<i2").tolist() == [32_767, -32_768]


def test_no_gain_changes_nothing_and_zero_is_silence() -> None:
    pcm = pcm_of(tone(16_000, 440, 320))
    assert scale(pcm, 1.0, 1.0) == pcm
    assert scale(pcm, 0.0, 0.0) == bytes(len(pcm))
    assert scale(b"", 1.0, 0.0) == b""
