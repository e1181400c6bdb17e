"""`local/whisper?model=DIR`: faster-whisper with a model that the user has. It reads a span when it is over.

In a child process: reading takes all cores for a second or more, and what is cut short must really end.
"""

import math
from pathlib import Path
from typing import Any

from agent_runtime.errors import UsageError
from agent_runtime.providers.local import models
from agent_runtime.providers.local.info import EngineInfo, distribution_version
from agent_runtime.providers.local.spans import SpanStream, SpanSTT
from agent_runtime.providers.voiced import NOTHING, Reading
from agent_runtime.stt import STTContext

INSTALL = "pip install 'agent-runtime[whisper]'"
FIX = "name a folder with a Whisper model in CTranslate2's form (model.bin, config.json, tokenizer.json)."
FILES = ("model.bin", "config.json", "tokenizer.json")
"""What must be in the folder. Without tokenizer.json the library would look for one on the network."""

_ENGINE = "agent_runtime.providers.local.whisper:WhisperEngine"
_NO_SPEECH = 0.6
"""Above this the model itself holds that nothing was said (its authors' bound)."""


class WhisperSTT(SpanSTT):
    """Whisper, after each span of speech: no interim transcripts, so speech over the agent is confirmed late.

    Args:
        model: the folder of the model.
        language: what is spoken, as in ``"en"``; None lets the model find out.
        compute_type: of CTranslate2: ``"int8"`` is the fastest on a CPU.
        deadline: seconds of machine time within which the child must answer, the loading of the model included.
    """

    def __init__(
        self, model: str, *, language: str | None = "en", compute_type: str = "int8", deadline: float = 60.0
    ) -> None:
        super().__init__(deadline=deadline)
        self.label = f"local/whisper?model={model}"
        self._model = model
        self._language = language
        self._compute_type = compute_type

    def stream(self, *, language: str | None = None, context: STTContext | None = None) -> SpanStream:
        """Start on a new microphone; key terms are told to the model as words to expect.

        Raises:
            UsageError: faster-whisper is not installed, or the folder is not there or lacks a file.
        """
        if not self.describe().installed:
            raise UsageError(f"{self.label} needs the package faster-whisper; install it with: {INSTALL}")
        language = language or self._language
        options: dict[str, object] = {
            "model": str(check_model(self.label, self._model)),
            "language": language.split("-")[0].lower() if language else None,
            "compute_type": self._compute_type,
            "keyterms": tuple(context.keyterms) if context else (),
        }
        return self._open(_ENGINE, options, language or "")

    def describe(self) -> EngineInfo:
        """What this engine is and whether it can run here."""
        version = distribution_version("faster-whisper")
        missing = None if version else INSTALL
        if version:
            try:
                check_model(self.label, self._model)
            except UsageError as error:
                missing = str(error)
        return EngineInfo(self.label, "MIT; the model has its own", version is not None, version, missing)


def check_model(engine: str, model: str) -> Path:
    """The folder of the model. A path that is none would be taken for the name of one on the network.

    Raises:
        UsageError: the folder is not there, or a file is missing.
    """
    path = models.folder(engine, model, FIX)
    for name in FILES:
        if not (path / name).is_file():
            raise UsageError(f"The model folder '{model}' of {engine} has no {name}; {FIX}")
    return path


class WhisperEngine:
    """What runs in the child: see `local.spans` for its methods."""

    def __init__(self, model: str, language: str | None, compute_type: str, keyterms: tuple[str, ...]) -> None:
        from faster_whisper import WhisperModel

        self._model: Any = WhisperModel(model, device="cpu", compute_type=compute_type, local_files_only=True)
        self._language = language
        self._hotwords = ", ".join(keyterms) or None
        self._heard = bytearray()

    def skipped(self) -> tuple[str, ...]:
        return ()

    def hear(self, pcm: bytes, first: bool, last: bool) -> Reading:
        if first:
            self._heard.clear()
        self._heard += pcm
        return self._read() if last and self._heard else NOTHING

    def _read(self) -> Reading:
        import numpy as np

        samples = np.frombuffer(bytes(self._heard), np.int16).astype(np.float32) / 32768
        found, _ = self._model.transcribe(
            samples,
            language=self._language,
            beam_size=1,
            condition_on_previous_text=False,
            without_timestamps=True,
            hotwords=self._hotwords,
        )
        segments = [segment for segment in found if segment.no_speech_prob <= _NO_SPEECH]
        text = " ".join(segment.text.strip() for segment in segments).strip()
        if not text:
            return NOTHING
        return Reading(text, min(1.0, math.exp(sum(segment.avg_logprob for segment in segments) / len(segments))))
