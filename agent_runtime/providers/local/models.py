"""Folders that a user keeps models in, looked at before an engine is: what an engine says of a wrong one helps nobody."""

from pathlib import Path

from agent_runtime.errors import UsageError


def folder(engine: str, model: str, fix: str) -> Path:
    """The folder `model`, which may begin with ``~``.

    Raises:
        UsageError: there is no such folder; `fix` says where models for `engine` come from.
    """
    path = Path(model).expanduser()
    if not path.is_dir():
        what = "is a file, not a folder" if path.exists() else "does not exist"
        raise UsageError(f"The model '{model}' of {engine} {what}; {fix}")
    return path


def onnx_file(path: Path, name: str) -> Path | None:
    """The ONNX file in `path` whose name holds `name`: the one in int8 where there is one, as it is twice as fast."""
    files = [file for file in path.glob("*.onnx") if name in file.name]
    found = sorted(files, key=lambda file: ("int8" not in file.name, file.name))
    return found[0] if found else None
