"""Sound for the detectors' tests: what espeak-ng says, and silence, as microphone frames."""

import array
import functools
from collections.abc import Iterable

from agent_runtime import virtual
from agent_runtime.audio.frame import INPUT_RATE, AudioFrame
from agent_runtime.audio.resample import Resampler
from agent_runtime.providers.local.espeak import SAMPLE_RATE, EspeakTTS
from agent_runtime.vad import VAD, SpeechEnded, SpeechStarted, VADEvent

FRAME_BYTES = 640


@functools.cache
def speech(text: str) -> bytes:
    """16 kHz mono int16."""

    async def main() -> bytes:
        tts = EspeakTTS()
        pcm = b"".join([frame.data async for frame in tts.synthesize(text)])
        await tts.aclose()
        return pcm

    resampler = Resampler(SAMPLE_RATE, INPUT_RATE)
    return resampler.push(virtual.run(main())) + resampler.flush()


def audible(pcm: bytes) -> float:
    """Seconds up to the last sample above -40 dB."""
    return max(n for n, sample in enumerate(array.array("h", pcm)) if abs(sample) > 328) / INPUT_RATE


def silence(seconds: float) -> bytes:
    return bytes(2 * round(seconds * INPUT_RATE))


def microphone(pcm: bytes, start: float = 100.0) -> list[AudioFrame]:
    """20 ms frames, the first sample at loop time `start`."""
    whole = len(pcm) - len(pcm) % FRAME_BYTES
    cuts = range(0, whole, FRAME_BYTES)
    return [AudioFrame(pcm[cut : cut + FRAME_BYTES], INPUT_RATE, at=start + cut / 2 / INPUT_RATE) for cut in cuts]


def detect(vad: VAD, frames: Iterable[AudioFrame]) -> list[VADEvent]:
    stream = vad.stream()
    events = [event for frame in frames for event in stream.push(frame)]
    stream.close()
    return events


def segments(events: list[VADEvent]) -> list[tuple[float, float]]:
    """Onset and end of each stretch; starts and ends must alternate."""
    starts = [event.onset for event in events[::2] if isinstance(event, SpeechStarted)]
    ends = [event.last_voiced for event in events[1::2] if isinstance(event, SpeechEnded)]
    assert len(starts) + len(ends) == len(events), f"starts and ends do not alternate: {events}"
    return list(zip(starts, ends, strict=True))
