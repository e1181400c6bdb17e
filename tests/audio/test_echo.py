import os
import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from agent_runtime.audio.echo import EchoCanceller


def speechlike(seconds: float, rate: int, seed: int) -> NDArray[np.float64]:
    """Noise that comes and goes in syllables."""
    rng = np.random.default_rng(seed)
    count = round(seconds * rate)
    return 3000 * rng.standard_normal(count) * (np.sin(2 * np.pi * 3 * np.arange(count) / rate) > -0.3)


def pcm_of(samples: NDArray[np.float64]) -> bytes:
    return np.clip(np.rint(samples), -32768, 32767).astype("<i2").tobytes()


def level_db(pcm: bytes) -> float:
    return float(10 * np.log10(np.mean(np.frombuffer(pcm, dtype="<i2").astype(float) ** 2) + 1e-3))


def cancel(far: bytes, near: bytes, rate: int, chunk: int) -> bytes:
    echo = EchoCanceller(rate)
    echo.hint_delay(0.04)
    clean = b""
    for start in range(0, len(near), 2 * chunk):
        echo.played(far[start : start + 2 * chunk])
        clean += echo.heard(near[start : start + 2 * chunk])
    assert len(clean) / 2 / rate + echo.held_back_s == pytest.approx(len(near) / 2 / rate)
    return clean


@pytest.mark.parametrize(("rate", "chunk"), [(16_000, 160), (16_000, 137), (24_000, 480), (48_000, 1000)])
def test_the_agents_voice_is_taken_out_whatever_the_chunks(rate: int, chunk: int) -> None:
    far = speechlike(3, rate, seed=1)
    delay = round(0.06 * rate)
    near = np.concatenate([np.zeros(delay), 0.5 * far[:-delay]]) + np.random.default_rng(2).standard_normal(len(far))
    clean = cancel(pcm_of(far), pcm_of(near), rate, chunk)
    last_second = 2 * rate
    assert level_db(pcm_of(near)[-last_second:]) - level_db(clean[-last_second:]) > 20


def test_the_caller_is_left_alone_while_the_agent_is_silent() -> None:
    near = pcm_of(speechlike(2, 16_000, seed=3))
    clean = cancel(bytes(len(near)), near, 16_000, 320)
    assert level_db(clean) == pytest.approx(level_db(near), abs=1.5)


def test_less_than_a_piece_waits() -> None:
    echo = EchoCanceller(16_000)
    assert echo.heard(bytes(318)) == b""
    assert echo.held_back_s == 159 / 16_000
    assert len(echo.heard(bytes(2))) == 320


def test_a_rate_that_was_never_tried_is_refused() -> None:
    with pytest.raises(ValueError, match="not 22050"):
        EchoCanceller(22_050)


def test_it_is_available_here() -> None:
    assert EchoCanceller.available() is None


@pytest.mark.parametrize("hidden", ["livekit", "livekit.rtc"])
def test_without_the_package_it_says_what_brings_it(hidden: str) -> None:
    program = (
        f"import importlib.machinery, sys\n"
        f"class Hide:\n"
        f"    def find_spec(name, path=None, target=None):\n"
        f"        if name == {hidden!r}: raise ModuleNotFoundError(name)\n"
        f"sys.meta_path.insert(0, Hide)\n"
        f"from agent_runtime.audio.echo import EchoCanceller\n"
        f"print(EchoCanceller.available())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ)
    assert (
        done.stdout
        == "Echo cancellation needs the package 'livekit'; install it with `pip install 'agent-runtime[sound]'`.\n"
    )
