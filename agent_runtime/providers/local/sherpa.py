"""`local/sherpa?model=DIR`: streaming recognition with sherpa-onnx and a model that the user has.

In a child process, as a wrong model file ends the process it is loaded into instead of raising.
"""

import math
from pathlib import Path
from typing import Any

from agent_runtime.errors import UsageError
from agent_runtime.providers.local import models
from agent_runtime.providers.local.info import EngineInfo, distribution_version
from agent_runtime.providers.local.spans import SpanStream, SpanSTT
from agent_runtime.providers.voiced import Reading
from agent_runtime.stt import STTContext

INSTALL = "pip install 'agent-runtime[sherpa]'"
FIX = (
    "unpack a streaming model from the sherpa-onnx releases and name its folder (it holds tokens.txt and .onnx files)."
)

_ENGINE = "agent_runtime.providers.local.sherpa:SherpaEngine"
_TAIL_S = 0.6
_CTC_KINDS = {"nemo": "from_nemo_ctc", "t-one": "from_t_one_ctc", "t_one": "from_t_one_ctc", "wenet": "from_wenet_ctc"}
"""What the name of a model's folder or file says of its kind; any other single-file model is a zipformer2."""


class SherpaSTT(SpanSTT):
    """Any streaming model of sherpa-onnx: transducer, paraformer, or CTC (zipformer2, nemo, wenet, t-one).

    Args:
        model: the folder that holds ``tokens.txt`` and the ``.onnx`` files.
        language: what the model was trained on; it stands in the transcripts.
        threads: how many cores one stream may use.
        deadline: seconds of machine time within which the child must answer, the loading of the model included.
    """

    def __init__(self, model: str, *, language: str = "en", threads: int = 1, deadline: float = 30.0) -> None:
        super().__init__(deadline=deadline)
        self.label = f"local/sherpa?model={model}"
        self._model = model
        self._language = language
        self._threads = threads

    def stream(self, *, language: str | None = None, context: STTContext | None = None) -> SpanStream:
        """Start on a new microphone.

        Raises:
            UsageError: sherpa-onnx is not installed, or the folder is not there or lacks a file.
        """
        if not self.describe().installed:
            raise UsageError(f"{self.label} needs the package sherpa-onnx; install it with: {INSTALL}")
        constructor, files = find_model(self.label, self._model)
        options: dict[str, object] = {"constructor": constructor, "files": files, "threads": self._threads}
        return self._open(_ENGINE, options, language or self._language)

    def describe(self) -> EngineInfo:
        """What this engine is and whether it can run here."""
        version = distribution_version("sherpa-onnx")
        missing = None if version else INSTALL
        if version:
            try:
                find_model(self.label, self._model)
            except UsageError as error:
                missing = str(error)
        return EngineInfo(self.label, "Apache-2.0; the model has its own", version is not None, version, missing)


def find_model(engine: str, model: str) -> tuple[str, dict[str, str]]:
    """The constructor of sherpa-onnx that fits what is in the folder `model`, and the files it takes.

    Raises:
        UsageError: the folder is not there, or a file is missing.
    """
    path = models.folder(engine, model, FIX)
    tokens = path / "tokens.txt"
    if not tokens.is_file():
        raise UsageError(f"The model folder '{model}' of {engine} has no tokens.txt; {FIX}")
    parts = {name: file for name in ("encoder", "decoder", "joiner") if (file := models.onnx_file(path, name))}
    if {"encoder", "decoder"} <= parts.keys():
        constructor = "from_transducer" if "joiner" in parts else "from_paraformer"
        return constructor, {"tokens": str(tokens)} | {name: str(file) for name, file in parts.items()}
    single = models.onnx_file(path, "")
    if single is None or parts:
        lacks = "decoder" if "encoder" in parts else "encoder" if parts else "model"
        raise UsageError(f"The model folder '{model}' of {engine} has no {lacks} .onnx file; {FIX}")
    return _ctc_kind(path, single), {"tokens": str(tokens), "model": str(single)}


def _ctc_kind(path: Path, file: Path) -> str:
    name = f"{path.resolve().name} {file.name}".lower()
    return next((constructor for kind, constructor in _CTC_KINDS.items() if kind in name), "from_zipformer2_ctc")


class SherpaEngine:
    """What runs in the child: see `local.spans` for its methods."""

    def __init__(self, constructor: str, files: dict[str, str], threads: int) -> None:
        import sherpa_onnx

        self._recognizer: Any = getattr(sherpa_onnx.OnlineRecognizer, constructor)(**files, num_threads=threads)
        self._stream: Any = None

    def skipped(self) -> tuple[str, ...]:
        return ()

    def hear(self, pcm: bytes, first: bool, last: bool) -> Reading:
        import numpy as np

        if first or self._stream is None:
            self._stream = self._recognizer.create_stream()
        samples = np.frombuffer(pcm, np.int16).astype(np.float32) / 32768
        self._stream.accept_waveform(16_000, samples)
        if last:
            # A model reads whole windows: silence pushes out what it still holds.
            self._stream.accept_waveform(16_000, np.zeros(int(_TAIL_S * 16_000), np.float32))
            self._stream.input_finished()
        while self._recognizer.is_ready(self._stream):
            self._recognizer.decode_stream(self._stream)
        text = self._recognizer.get_result(self._stream).strip().lower()
        return Reading(text, _confidence(self._recognizer.ys_probs(self._stream)) if text else 0.0)


def _confidence(log_probabilities: list[float]) -> float | None:
    """The mean probability of the tokens; transducers give these, CTC models do not."""
    if not log_probabilities:
        return None
    return min(1.0, math.exp(sum(log_probabilities) / len(log_probabilities)))
