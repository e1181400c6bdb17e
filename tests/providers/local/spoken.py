"""Sound for the recognisers' tests: sentences that flite speaks, marked as a voice detector would mark them."""

import asyncio
import functools
import shutil
import subprocess
import tempfile
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent_runtime import clock
from agent_runtime.audio.frame import FRAME_S, INPUT_RATE, AudioFrame
from agent_runtime.stt import RecognizeStream, SpeechEvent, SpeechEventType

needs_flite = pytest.mark.skipif(shutil.which("flite") is None, reason="flite speaks the test: apt-get install flite")

FRAME_BYTES = int(FRAME_S * INPUT_RATE) * 2
LATE_S = 0.1
"""The detector is sure this long after the voice begins, and hangs over as long as `HANG_S` after its end."""
HANG_S = 0.3


@functools.cache
def flite(text: str, voice: str = "slt") -> bytes:
    """16 kHz mono int16."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spoken.wav"
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True)
        with wave.open(str(path)) as speech:
            assert (speech.getframerate(), speech.getnchannels()) == (INPUT_RATE, 1)
            return bytes(speech.readframes(speech.getnframes()))


def silence(seconds: float) -> bytes:
    return bytes(2 * int(seconds * INPUT_RATE))


def frames(*spans: bytes, gap_s: float = 1.0) -> list[AudioFrame]:
    """A call: each piece of sound is one span, with a pause before it and after the last."""
    call: list[AudioFrame] = []
    for span in spans:
        call += _marked(silence(gap_s), 0.0, 0.0, len(call))
        call += _marked(span + silence(HANG_S), LATE_S, len(span) / 2 / INPUT_RATE + HANG_S, len(call))
    return call + _marked(silence(gap_s), 0.0, 0.0, len(call))


def _marked(pcm: bytes, start: float, end: float, before: int) -> list[AudioFrame]:
    pcm += bytes(-len(pcm) % FRAME_BYTES)
    return [
        AudioFrame(
            pcm[i : i + FRAME_BYTES],
            INPUT_RATE,
            at=(before + i // FRAME_BYTES) * FRAME_S,
            voiced=start <= i // FRAME_BYTES * FRAME_S < end,
        )
        for i in range(0, len(pcm), FRAME_BYTES)
    ]


async def play(stream: RecognizeStream, call: list[AudioFrame]) -> AsyncIterator[SpeechEvent]:
    """Push a call at its own pace and yield what the recogniser says."""

    async def push() -> None:
        for frame in call:
            await clock.sleep(FRAME_S)
            stream.push_frame(frame)
        stream.end_input()

    pushing = asyncio.create_task(push())
    try:
        async for event in stream:
            yield event
    finally:
        pushing.cancel()


async def transcribe(stream: RecognizeStream, call: list[AudioFrame]) -> list[SpeechEvent]:
    return [event async for event in play(stream, call)]


def finals(events: list[SpeechEvent]) -> list[str]:
    return [event.alternatives[0].text for event in events if event.type is SpeechEventType.FINAL_TRANSCRIPT]
