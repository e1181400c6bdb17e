"""`local/smart-turn?model=FILE`: Smart Turn v3, which hears in a caller's voice whether the turn is over.

The model is a file that the user has (BSD-2-Clause, 8 MB). It is run by onnxruntime in a thread of its own: 43 ms of one
core without the interpreter's lock, and 9 ms for the features.
"""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from agent_runtime import clock
from agent_runtime.errors import UsageError
from agent_runtime.providers.local.info import EngineInfo, distribution_version
from agent_runtime.providers.local.log_mel import BANDS, HOP_SAMPLES, RATE, log_mel
from agent_runtime.turns.detectors import TurnSoFar

if TYPE_CHECKING:
    from agent_runtime.providers.local.log_mel import Floats

INSTALL = "pip install 'agent-runtime[smart-turn]'"
FIX = "name the .onnx file of a Smart Turn v3 model (smart-turn-v3.2-cpu.onnx)."

HEARS_S = 8.0
SHAPE = (BANDS, int(HEARS_S * RATE) // HOP_SAMPLES)
"""Of the model's input for one turn: 80 bands, 800 frames."""


class SmartTurn:
    """A turn detector that goes by the sound of the turn, its last 8 s, and reads no words.

    Args:
        model: the `.onnx` file. Sessions that name the same file share what is loaded of it.

    Raises:
        UsageError: onnxruntime is not installed, or there is no such file.
    """

    hears_s = HEARS_S

    def __init__(self, model: str | os.PathLike[str]) -> None:
        self.label = f"local/smart-turn?model={os.fspath(model)}"
        self._file = Path(model).expanduser()
        missing = self.describe().missing
        if missing is not None:
            raise UsageError(missing)
        self._model: _Model | None = None
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="smart-turn")

    async def prewarm(self) -> None:
        """Load the model, which takes 0.3 s, before a turn waits for it.

        Raises:
            UsageError: the file is no Smart Turn v3 model.
        """
        await clock.offload(self._loaded, executor=self._worker)

    async def predict(self, turn: TurnSoFar) -> float | None:
        """The probability that the turn is complete; None without sound."""
        if not turn.audio:
            return None
        return await clock.offload(self._listen, turn.audio, executor=self._worker)

    async def aclose(self) -> None:
        """End the thread. A session does it for a detector that it was given by name."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    def describe(self) -> EngineInfo:
        """What this engine is and whether it can run here. The file is not opened."""
        version = distribution_version("onnxruntime")
        missing = None
        if version is None:
            missing = f"{self.label} needs the package onnxruntime; install it with: {INSTALL}"
        elif not self._file.is_file():
            what = "is a folder" if self._file.is_dir() else "does not exist"
            missing = f"The model '{self._file}' of local/smart-turn {what}; {FIX}"
        return EngineInfo(self.label, "MIT; the model has its own", version is not None, version, missing)

    def _loaded(self) -> "_Model":
        if self._model is None:
            self._model = _load(self.label, self._file)
        return self._model

    def _listen(self, pcm: bytes) -> float:
        return self._loaded().probability(features(pcm))


def features(pcm: bytes) -> "Floats":
    """What the model is given of int16 mono sound at 16 kHz: its last 8 s, with silence put before what is shorter.

    The sound is brought to mean 0 and variance 1 first, the silence included, as in the model's training.
    """
    import numpy as np

    count = int(HEARS_S * RATE)
    samples = np.frombuffer(pcm, np.int16)[-count:].astype(np.float32) / 32768
    samples = np.pad(samples, (count - len(samples), 0))
    return log_mel((samples - samples.mean()) / np.sqrt(samples.var() + 1e-7))


class _Model:
    """A loaded file; any thread may ask."""

    # However many sessions ask at once: a core is left for their loops.
    _cores = threading.BoundedSemaphore(max(1, (os.cpu_count() or 1) - 1))

    def __init__(self, run: Any, given: str) -> None:
        self._run = run
        self._given = given

    def probability(self, found: "Floats") -> float:
        with self._cores:
            answer = self._run(None, {self._given: found[None]})
        return float(answer[0].item())


_models: WeakValueDictionary[tuple[Path, float], _Model] = WeakValueDictionary()
_loading = threading.Lock()


def _load(label: str, file: Path) -> _Model:
    """Each file once, as long as a detector holds it, unless it has changed meanwhile."""
    with _loading:
        key = (file.resolve(), file.stat().st_mtime)
        model = _models.get(key)
        if model is None:
            model = _models[key] = _read(label, file)
        return model


def _read(label: str, file: Path) -> _Model:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # what is wrong is raised
    try:
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no class in common
        raise UsageError(f"{label} is no model that onnxruntime reads ({_first_line(error)}); {FIX}") from error
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if not (_has_shape(inputs, SHAPE) and _has_shape(outputs, (1,))):
        raise UsageError(
            f"{label} is a model from {_told(inputs)} to {_told(outputs)}, and Smart Turn v3 is one from "
            f"tensor(float) ['batch', 80, 800] to tensor(float) ['batch', 1]; {FIX}"
        )
    return _Model(session.run, inputs[0].name)


def _has_shape(ends: list[Any], shape: tuple[int, ...]) -> bool:
    """Whether there is one end, of floats, and this is the shape of each of its batch."""
    return len(ends) == 1 and ends[0].type == "tensor(float)" and tuple(ends[0].shape[1:]) == shape


def _told(ends: list[Any]) -> str:
    return ", ".join(f"{each.type} {each.shape}" for each in ends)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
