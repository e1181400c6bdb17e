"""What went wrong, sorted by whose fault it was.

The message of every error here is one sentence that names the thing, the value and the fix; the command line
prints it as it stands and exits with 2.
"""


class AgentRuntimeError(Exception):
    """The root of every error that this package raises on purpose."""


class UsageError(AgentRuntimeError):
    """The caller asked for something that cannot work: an unknown name, a missing key, a file that is no WAV."""


class ProviderError(AgentRuntimeError):
    """An engine or a service failed.

    Attributes:
        provider: who failed, as the user named it (``"local/espeak"``).
        retryable: whether the same request may be sent again.
    """

    def __init__(self, message: str, *, provider: str, retryable: bool = False) -> None:
        super().__init__(message)
        self.provider = provider
        self.retryable = retryable


class EngineDied(ProviderError):
    """A child process ended in the middle of a request. A new one can be started and the request repeated."""


class EngineStalled(ProviderError):
    """A child process did not answer within its deadline (real seconds, whatever clock the session runs on)."""


class DeviceError(AgentRuntimeError):
    """A microphone or a speaker could not be opened, or was lost."""


class InternalError(AgentRuntimeError):
    """A promise this package makes to itself was broken; please report it."""
