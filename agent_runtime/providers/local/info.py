"""What is known of a local engine without starting it."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

EXTRA = "pip install 'agent-runtime[local]'"
"""The command that installs every engine that a session uses by default."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """One line of `agent-runtime explain`.

    Attributes:
        descriptor: the engine, as a user names it.
        licence: of the engine and of what it brings along, which may differ from this package's.
        installed: whether it could be started now.
        version: of the installed engine; None where it is not installed or does not tell.
        missing: the fix, as a command or a sentence; None where nothing is missing.
        leaves_machine: whether sound or text goes over a network. Never, for a local engine.
    """

    descriptor: str
    licence: str
    installed: bool
    version: str | None = None
    missing: str | None = None
    leaves_machine: bool = False


def distribution_version(name: str) -> str | None:
    """The version of an installed distribution, or None. Nothing is imported."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
