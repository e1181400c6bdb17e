"""`local/webrtc`: WebRTC's voice detector, from the package `webrtcvad-wheels` (MIT, WebRTC's code under BSD).

Never from the package `webrtcvad`, which owns the same module name: its last release (2.0.10) imports `pkg_resources`,
which Python 3.12 and new releases of setuptools no longer have.
"""

from typing import Any

from agent_runtime.audio.frame import INPUT_RATE
from agent_runtime.clock import Stopwatch
from agent_runtime.errors import UsageError
from agent_runtime.providers.local.info import EXTRA, EngineInfo, distribution_version
from agent_runtime.providers.local.voicing import VoicingOptions, VoicingStream
from agent_runtime.vad import VAD, VADStream

_WINDOW_SAMPLES = 320
_REPLACE = f"pip uninstall -y webrtcvad webrtcvad-wheels && {EXTRA}"


class WebRTCVAD(VAD):
    """The cheap detector: 2 microseconds for 20 ms, for quiet rooms.

    Of 14 human recordings 14 came out as one segment each down to white noise of 10 dB, 10 at 5 dB, and 2 at 0 dB,
    where it hears voice without end (Silero: 14 throughout). It finds voice after 160 ms, Silero after 70.

    Each window is voiced or not, so the thresholds mean nothing here; 8 of 10 windows begin speech. Keyword
    arguments are those of `VoicingOptions`. `mode` is WebRTC's aggressiveness, 0 (lets most through) to 3.
    """

    label = "local/webrtc"
    further_options = VoicingOptions

    def __init__(self, *, mode: int = 3, **options: Any) -> None:
        if mode not in (0, 1, 2, 3):
            raise UsageError(f"local/webrtc has no mode {mode!r}; use 0 (lets most through) to 3 (strictest).")
        self.watch = Stopwatch()
        """Machine time spent in the engine."""
        self._mode = mode
        self._options = VoicingOptions(**{"needed": 8, "of": 10, **options})

    def stream(self) -> VADStream:
        missing = _missing()
        if missing is not None:
            raise UsageError(missing)
        import webrtcvad

        vad: Any = webrtcvad.Vad(self._mode)

        def probability(window: bytes) -> float:
            return float(vad.is_speech(window, INPUT_RATE))

        return VoicingStream(self.label, probability, _WINDOW_SAMPLES, self._options, self.watch)

    def describe(self) -> EngineInfo:
        missing = _missing()
        return EngineInfo(
            descriptor=self.label,
            licence="MIT, BSD-3-Clause",
            installed=missing is None,
            version=distribution_version("webrtcvad-wheels"),
            missing=missing,
        )


def _missing() -> str | None:
    """What keeps the detector from being imported, as a sentence with the fix."""
    if distribution_version("webrtcvad") is not None:
        # Also beside webrtcvad-wheels: whichever was installed last owns the module.
        return f"local/webrtc cannot use the package webrtcvad, which needs pkg_resources; replace it: {_REPLACE}"
    if distribution_version("webrtcvad-wheels") is None:
        return f"local/webrtc needs the package webrtcvad-wheels; install it with: {EXTRA}"
    return None
