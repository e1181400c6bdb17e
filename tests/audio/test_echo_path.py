import numpy as np
import pytest
from numpy.typing import NDArray

from agent_runtime.audio.echo import EchoCanceller
from agent_runtime.audio.echo_path import LATEST_S, PIECE_S, EchoPath

Sound = NDArray[np.float64]

RATE = 16_000
PIECE = 2 * round(RATE * PIECE_S)


def talk(seconds: float, seed: int, level: float = 3000) -> Sound:
    """Noise of low frequencies that comes and goes in syllables."""
    random = np.random.default_rng(seed)
    count = round(seconds * RATE)
    coloured = np.convolve(random.standard_normal(count), np.exp(-np.arange(40) / 5.0), "same")
    syllables = np.sin(2 * np.pi * 3.3 * np.arange(count) / RATE + seed) > -0.3
    voice: Sound = level * coloured / coloured.std() * syllables
    return voice


def late(sound: Sound, seconds: float, gain: float) -> Sound:
    return gain * np.concatenate([np.zeros(round(seconds * RATE)), sound])[: len(sound)]


def pieces(sound: Sound) -> list[bytes]:
    pcm = np.clip(np.rint(sound), -32768, 32767).astype("<i2").tobytes()
    return [pcm[start : start + PIECE] for start in range(0, len(pcm) - PIECE + 1, PIECE)]


def watch(path: EchoPath, far: Sound, near: Sound) -> list[tuple[bool, bool]]:
    """(audible, caller_dominates) after each piece."""
    seen = []
    for played, heard in zip(pieces(far), pieces(near), strict=True):
        path.played(played)
        path.heard(heard)
        seen.append((path.audible, path.caller_dominates))
    return seen


@pytest.mark.parametrize("delay_s", [0.02, 0.15, LATEST_S - 0.02])
@pytest.mark.parametrize("caller", [0.0, 1000.0])
def test_an_echo_is_never_taken_for_none(delay_s: float, caller: float) -> None:
    far = talk(6, seed=1)
    near = late(far, delay_s, 0.1) + (talk(6, seed=2, level=caller) if caller else 0)
    assert all(audible for audible, _ in watch(EchoPath(RATE), far, near))


@pytest.mark.parametrize("near", [np.zeros(4 * RATE), talk(4, seed=2), talk(4, seed=3, level=20)])
def test_without_an_echo_it_is_known_in_two_seconds(near: Sound) -> None:
    seen = watch(EchoPath(RATE), talk(4, seed=1), near)
    assert not any(audible for audible, _ in seen[200:])
    assert all(audible for audible, _ in seen[:100])


def test_an_echo_that_begins_is_noticed_within_a_second() -> None:
    path = EchoPath(RATE)
    assert not watch(path, talk(3, seed=1), talk(3, seed=2))[-1][0]
    far = talk(2, seed=4)
    seen = watch(path, far, late(far, 0.1, 0.3))
    assert all(audible for audible, _ in seen[100:])


def test_while_nothing_is_played_nothing_is_decided() -> None:
    assert all(audible for audible, _ in watch(EchoPath(RATE), np.zeros(4 * RATE), talk(4, seed=2)))


def test_a_voice_above_the_echo_dominates_at_once_and_its_end_is_noticed() -> None:
    far = talk(6, seed=1)
    near = late(far, 0.1, 0.1)
    near[4 * RATE : 5 * RATE] += talk(1, seed=2)
    dominates = [dominant for _, dominant in watch(EchoPath(RATE), far, near)]
    assert not any(dominates[:400])
    assert dominates.index(True) < 400 + 20
    assert sum(dominates[400:500]) > 70
    assert not any(dominates[540:])


def test_an_echo_that_has_become_louder_is_a_voice_for_some_seconds_only() -> None:
    far = talk(9, seed=1)
    near = late(far, 0.1, 0.05)
    near[3 * RATE :] *= 6
    dominates = [dominant for _, dominant in watch(EchoPath(RATE), far, near)]
    assert any(dominates[300:500])
    assert not any(dominates[800:])


def test_the_canceller_leaves_a_caller_alone_who_hears_the_agent_in_headphones() -> None:
    far, near = talk(5, seed=1), np.zeros(5 * RATE)
    near[3 * RATE : 4 * RATE] = talk(1, seed=2)
    canceller = EchoCanceller(RATE)
    clean = bytearray()
    for played, heard in zip(pieces(far), pieces(near), strict=True):
        canceller.played(played)
        clean += canceller.heard(heard)
    assert (
        np.frombuffer(clean, dtype="<i2").tolist()[3 * RATE : 4 * RATE] == np.rint(near)[3 * RATE : 4 * RATE].tolist()
    )
