"""Who is asked over the network, and what its failures are called.

Every failure becomes one `APIError`: one sentence that names the service, the model, what happened and what to do, with
the key struck out of whatever the service echoed.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from agent_runtime import clock
from agent_runtime.errors import APIConnectionError, APIError, APIStatusError, APITimeoutError, Fault

RETRYABLE = frozenset({408, 409, 424, 429, 499})
"""Statuses below 500 after which the same request may succeed."""

LONGEST_QUOTE = 300
"""Characters of a service's own words in a message."""

REQUEST_IDS = ("x-request-id", "request-id", "x-amzn-requestid", "cf-ray", "x-goog-request-id")

_SECONDS = re.compile(r"(\d+(?:\.\d+)?)s")


@dataclass(slots=True)
class Service:
    """A service and one of its models.

    Attributes:
        provider: as in a descriptor.
        model: as the service calls it.
        key_variable: the environment variable that the key is looked for in; for messages.
        secrets: what must not stand in any message or log line.
    """

    provider: str
    model: str
    key_variable: str = ""
    secrets: list[str] = field(default_factory=list, repr=False)

    def redacted(self, text: str) -> str:
        for secret in self.secrets:
            if len(secret) >= 4:
                text = text.replace(secret, "***")
        return text

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
        """The error that an answer with a `status` of 400 or more says."""
        said = _parsed(self.redacted(body.decode("utf-8", "replace")))
        request_id = next((headers[name] for name in REQUEST_IDS if headers.get(name)), None)
        return self._status_error(status, said, _retry_after(headers, said), request_id)

    def failed_inside(self, error: Any) -> APIStatusError:
        """The error that came as an object in a stream which had begun with status 200."""
        said = _parsed(self.redacted(json.dumps(error, ensure_ascii=False)))
        code = said.get("code") if isinstance(said, dict) else None
        codes = [int(str(each)) for each in (code, _status_of(said)) if str(each).isdecimal()]
        status = next((each for each in codes if 400 <= each < 600), 500)
        return self._status_error(status, {"error": said}, _retry_after({}, {"error": said}), None)

    def _status_error(
        self, status: int, said: Any, retry_after: float | None, request_id: str | None
    ) -> APIStatusError:
        fault, fix = self._blame(status)
        words = _words(said)
        quoted = f": {words}" if words else ""
        known = f"status {status}" + (f", request {request_id}" if request_id else "")
        return APIStatusError(
            f"{self.provider} refused '{self.model}' ({known}){quoted}{'' if quoted.endswith('.') else '.'} {fix}",
            status_code=status,
            request_id=request_id,
            retry_after=retry_after,
            provider=self.provider,
            model=self.model,
            fault=fault,
            body=said,
            retryable=status in RETRYABLE or status >= 500,
        )

    def _blame(self, status: int) -> tuple[Fault, str]:
        if status in (401, 403):
            where = f" in {self.key_variable}" if self.key_variable else ""
            return "key", f"Check the key{where} and what it may use."
        if status == 402:
            return "limit", "Check the account's credit."
        if status == 404:
            return "model", "Check the model's name and the base URL; 'agent-runtime models' lists what is known."
        if status == 429:
            return "limit", "Wait, ask for a higher limit, or name another model behind '|'."
        if status in (408, 424) or status >= 500:  # 424: Bedrock, of a model that broke
            return "service", "It may pass; name another model behind '|' to go on without it."
        return "request", "Check the parameters of the model."

    def unreachable(self, error: Exception, url: str, *, begun: bool) -> APIConnectionError:
        """Nobody answered, or the connection broke."""
        what = self.redacted(str(error)) or type(error).__name__
        if begun:
            return APIConnectionError(
                f"The connection to {self.provider} broke in the middle of an answer of '{self.model}' ({what}).",
                **self._network,
            )
        return APIConnectionError(
            f"{self.provider} could not be reached for '{self.model}' at {url} ({what}). "
            "Check the network and the base URL; name another model behind '|' to go on without it.",
            **self._network,
        )

    def silent(self, seconds: float, begun: bool) -> APITimeoutError:
        """It said nothing for too long."""
        when = "in the middle of its answer" if begun else "before its answer began"
        knob = "timeout" if begun else "first_token_timeout"
        return APITimeoutError(
            f"{self.provider} said nothing of '{self.model}' for {seconds:g} s {when}. "
            f"Raise {knob} in APIConnectOptions if it needs longer, or name another model behind '|'.",
            **self._network,
        )

    def broken(self, what: str) -> APIError:
        """The answer cannot be used: cut off, no JSON, a tool call in pieces."""
        return APIError(
            f"{self.provider} sent an answer of '{self.model}' that cannot be used: {self.redacted(what)}. "
            "If it happens again, the service is not the one that its name says, or is broken.",
            provider=self.provider,
            model=self.model,
            fault="answer",
            retryable=True,
        )

    def withheld(self, reason: str) -> APIError:
        """Its filter kept the whole answer back."""
        return APIError(
            f"{self.provider} held back the answer of '{self.model}' (finish reason '{reason}'). "
            "Change what is asked, or the filter of the service.",
            provider=self.provider,
            model=self.model,
            fault="request",
        )

    def cut_off(self, what: str) -> APIError:
        """The answer reached the most tokens that it may have, in the middle of something that is no use in part."""
        return APIError(
            f"{self.provider} stopped the answer of '{self.model}' at its most tokens, in the middle of {what}. "
            "Raise max_completion_tokens, or ask for less.",
            provider=self.provider,
            model=self.model,
            fault="limit",
        )

    @property
    def _network(self) -> dict[str, Any]:
        return {"provider": self.provider, "model": self.model, "fault": "network", "retryable": True}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _error_of(said: Any) -> Any:
    if isinstance(said, list) and said:  # Gemini answers a stream's error as a list of one
        said = said[0]
    return said.get("error", said) if isinstance(said, dict) else said


def _words(said: Any) -> str:
    error = _error_of(said)
    if isinstance(error, dict):
        error = error.get("message") or error.get("Message") or error.get("detail") or json.dumps(error)
    return " ".join(str(error).split())[:LONGEST_QUOTE]


def _status_of(said: Any) -> Any:
    error = _error_of(said)
    return error.get("status_code", error.get("status")) if isinstance(error, dict) else None


def _retry_after(headers: Mapping[str, str], said: Any) -> float | None:
    """Seconds: of ``retry-after-ms``, of ``Retry-After`` in seconds or as a date, or of Gemini's ``retryDelay``."""
    milliseconds, given = headers.get("retry-after-ms", ""), headers.get("retry-after", "")
    if _is_number(milliseconds):
        return float(milliseconds) / 1000
    if _is_number(given):
        return float(given)
    if given:
        try:
            return max(0.0, (_aware(parsedate_to_datetime(given)) - clock.wall()).total_seconds())
        except ValueError:
            return None
    error = _error_of(said)
    details = error.get("details") if isinstance(error, dict) else None
    for detail in details if isinstance(details, list) else ():
        match = _SECONDS.fullmatch(str(detail.get("retryDelay"))) if isinstance(detail, dict) else None
        if match is not None:
            return float(match[1])
    return None


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
