"""What went wrong, sorted by whose fault it was.

The message of every error here is one sentence that names the thing, the value and the fix; the command line
prints it as it stands and exits with 2.
"""

from typing import Any, Literal


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


Fault = Literal["request", "key", "model", "limit", "service", "network", "answer"]
"""Whose fault an `APIError` was: what was asked, the key, the model's name, a limit that was reached, the service itself,
the way there, or the answer that came."""


class APIError(ProviderError):
    """A service on the network refused, failed, or answered what cannot be used.

    Attributes:
        provider: who was asked, as in a descriptor (``"openai"``).
        model: what was asked for.
        fault: whose fault it was; see `Fault`.
        body: what the service said, as JSON where it was, with no secret in it.
        retry_after: seconds after which it wants to be asked again; None where it does not say.
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        model: str = "",
        fault: Fault = "service",
        body: Any = None,
        retryable: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, provider=provider, retryable=retryable)
        self.message = message
        self.model = model
        self.fault: Fault = fault
        self.body = body
        self.retry_after = retry_after


class APIStatusError(APIError):
    """The service answered with an error.

    Attributes:
        status_code: of HTTP; of an error inside a stream the one that the error names, else 500.
        request_id: by which the service finds the request in its logs.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int,
        request_id: str | None = None,
        **named: Any,
    ) -> None:
        super().__init__(message, **named)
        self.status_code = status_code
        self.request_id = request_id


class APIConnectionError(APIError):
    """The service was not reached, or the connection broke."""


class APITimeoutError(APIConnectionError):
    """The service was silent for too long."""


class JSONSchemaValidationError(APIError):
    """A structured answer does not fit its schema.

    Attributes:
        raw_response: the text of the answer.
        schema: the JSON schema.
    """

    def __init__(self, message: str, *, raw_response: str, schema: Any, **named: Any) -> None:
        super().__init__(message, fault="answer", **named)
        self.raw_response = raw_response
        self.schema = schema


class EngineDied(ProviderError):
    """A child process ended in the middle of a request. A new one can be started and the request repeated."""


class EngineStalled(ProviderError):
    """A child process did not answer within its deadline (real seconds, whatever clock the session runs on)."""


class DeviceError(AgentRuntimeError):
    """A microphone or a speaker could not be opened, or was lost."""


class InternalError(AgentRuntimeError):
    """A promise this package makes to itself was broken; please report it."""
