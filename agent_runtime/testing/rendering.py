"""A caller's sound that is not computed: from a WAV file, or said by a synthesiser. Made before the call begins."""

from pathlib import Path

from agent_runtime import clock
from agent_runtime.audio.frame import INPUT_RATE
from agent_runtime.audio.resample import Resampler
from agent_runtime.audio.wav import read_wav
from agent_runtime.errors import UsageError
from agent_runtime.inference.descriptor import resolve
from agent_runtime.testing.sounds import LOUD


async def from_file(path: Path) -> bytes:
    """The file's sound as int16 mono at 16 kHz, without the silence round it.

    Raises:
        UsageError: it cannot be read, or holds nothing but silence.
    """
    recording = await clock.offload(read_wav, path)
    return _trimmed(recording.pcm, f"The recording '{path}'")


async def spoken(text: str, voice: str) -> bytes:
    """`text` said by the synthesiser that the descriptor `voice` names: int16 mono at 16 kHz, without silence round it.

    Raises:
        UsageError: there is no such engine here, or it said nothing.
    """
    engine = resolve("tts", voice)
    resampler = Resampler(engine.sample_rate, INPUT_RATE)
    pcm = bytearray()
    try:
        async for frame in engine.synthesize(text):
            pcm += resampler.push(frame.data)
        pcm += resampler.flush()
    finally:
        await engine.aclose()
    return _trimmed(bytes(pcm), f"What {voice!r} makes of {text!r}")


def _trimmed(pcm: bytes, what: str) -> bytes:
    import numpy as np

    samples = np.frombuffer(pcm, dtype="<i2")
    loud = np.flatnonzero((samples >= LOUD) | (samples <= -LOUD))
    if not len(loud):
        raise UsageError(f"{what} is silence; a caller who is to be silent has 'silence: true'.")
    return samples[loud[0] : loud[-1] + 1].tobytes()
