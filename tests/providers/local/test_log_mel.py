"""The features, beside those of another implementation and by what must be true of them."""

from typing import Any

import numpy as np
import pytest

from agent_runtime.providers.local.log_mel import BANDS, log_mel

RATE = 16_000


def tone(hertz: float, seconds: float = 1.0) -> Any:
    return np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE).astype(np.float32)


def test_they_are_those_of_faster_whisper() -> None:
    whisper = pytest.importorskip("faster_whisper.feature_extractor", reason="pip install 'agent-runtime[whisper]'")
    dice = np.random.default_rng(5)
    sweep = np.sin(np.cumsum(np.linspace(0.0, np.pi, 8 * RATE))).astype(np.float32)
    for samples in (dice.standard_normal(8 * RATE).astype(np.float32), sweep, np.pad(tone(440.0), (7 * RATE, 0))):
        theirs = whisper.FeatureExtractor(chunk_length=8)(samples, padding=0)
        ours = log_mel(samples)
        assert ours.dtype == np.float32
        assert ours.shape == theirs.shape == (80, 800)
        assert np.abs(ours - theirs).max() < 1e-4


@pytest.mark.parametrize(("hertz", "band"), [(200.0, 4), (1000.0, 26), (4000.0, 62)])
def test_a_tone_stands_in_the_band_round_its_pitch(hertz: float, band: int) -> None:
    """A band is 45.2456 / 81 mel wide; up to 1 kHz a mel is 66.7 Hz, then 27 mel are a factor of 6.4."""
    assert log_mel(tone(hertz))[:, 50].argmax() == band


def test_ten_times_the_sound_is_two_bels_in_every_band() -> None:
    noise = np.random.default_rng(1).standard_normal(RATE).astype(np.float32)
    assert log_mel(10 * noise) - log_mel(noise) == pytest.approx(np.full((BANDS, 100), 2.0 / 4.0), abs=1e-4)


def test_what_is_much_softer_than_the_loudest_counts_as_eighty_decibels_softer() -> None:
    found = log_mel(np.concatenate([np.zeros(RATE, np.float32), tone(1000.0)]))
    assert found.max() - found.min() == pytest.approx(8.0 / 4.0)
    assert (found[:, :90] == found.min()).all()
