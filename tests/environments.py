"""Environments of their own, for what is not installed beside us (`scripts/environments.sh`)."""

from pathlib import Path

import pytest


def skip_without(python: Path) -> None:
    """Skip a test that asks the interpreter of .venv-NAME, where that is not here."""
    if not python.exists():
        venv = python.parent.parent.name
        command = f"sh scripts/environments.sh {venv.removeprefix('.venv-')}"
        pytest.skip(reason=f"{venv} is not here; '{command}' installs it.")
