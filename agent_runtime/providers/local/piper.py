"""`local/piper?model=FILE`: Piper, neural voices, for users who have a voice file.

A voice is two files, `NAME.onnx` and `NAME.onnx.json`. Piper is under the GNU GPL, version 3 or later, and brings
espeak-ng along, so it runs in a process of its own as `local/espeak` does; it comes with the extra `piper`.
"""

import json
import os
from pathlib import Path

from agent_runtime.errors import UsageError
from agent_runtime.providers.local.info import EngineInfo, distribution_version
from agent_runtime.providers.local.speaking import ChildTTS

EXTRA = "pip install 'agent-runtime[piper]'"


class PiperTTS(ChildTTS):
    """A neural voice. It streams sentence by sentence; it does not time words.

    Piper draws noise, so the same text sounds a little different each time, and a call played twice is alike only
    to the words.

    Args:
        model: the voice's `.onnx` file; its description stands beside it with `.json` appended to the name.
        deadline: seconds of machine time for loading the voice, and for making each sentence.

    Raises:
        UsageError: one of the two files is missing, or the description names no sample rate.
    """

    def __init__(self, *, model: str | os.PathLike[str], deadline: float = 10.0) -> None:
        self.label = f"local/piper?model={os.fspath(model)}"
        file = Path(model).expanduser()
        self._sample_rate = _sample_rate(file)
        super().__init__(
            "agent_runtime.providers.local.piper_engine:Engine",
            {"model": str(file.absolute())},
            deadline=deadline,
        )

    @property
    def sample_rate(self) -> int:
        return self._sample_rate

    def describe(self) -> EngineInfo:
        version = distribution_version("piper-tts")
        return EngineInfo(
            descriptor=self.label,
            licence="GPL-3.0-or-later (in a process of its own); the voice has its own",
            installed=version is not None,
            version=version,
            missing=None if version else f"local/piper needs the package piper-tts; install it with: {EXTRA}",
        )


def _sample_rate(model: Path) -> int:
    description = Path(f"{model}.json")
    for path in (model, description):
        if not path.is_file():
            raise UsageError(
                f"local/piper finds no file {str(path)!r}; a voice is a .onnx file with its .onnx.json beside it."
            )
    try:
        rate = json.loads(description.read_text("utf-8"))["audio"]["sample_rate"]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{str(description)!r} does not describe a Piper voice: it names no audio.sample_rate."
        ) from error
    if not isinstance(rate, int) or rate <= 0:
        raise UsageError(
            f"{str(description)!r} gives {rate!r} as audio.sample_rate; it must be a positive number of Hz."
        )
    return rate
