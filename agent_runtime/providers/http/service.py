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
from agent_runtime.errors import APIConnectionError, APIError, APIStatusError, APITimeoutError, Fault, UsageError
from agent_runtime.inference.chain import SECRET

RETRYABLE = frozenset({408, 409, 424, 429, 499})
"""Statuses below 500 after which the same request may succeed."""

PROXY_FIX = "Check HTTP_PROXY, HTTPS_PROXY and ALL_PROXY, with the name and the password that the proxy wants."

LONGEST_QUOTE = 300
"""Characters of a service's own words in a message."""

REQUEST_IDS = ("x-request-id", "request-id", "x-amzn-requestid", "cf-ray", "x-goog-request-id")

_SECONDS = re.compile(r"(\d+(?:\.\d+)?)s")
_USER = re.compile(r"(?<=://)[^/?#\s\"'<>]*@")
"""The name and the password in an address."""
_QUERY = re.compile(rf"(?<=[?&])([^=&?\s]{{0,40}}{SECRET}[^=&?\s]{{0,40}}=)[^&\s\"'<>()]+", re.IGNORECASE)
"""What is given to a name in a query that may be a key's."""
_BYTES = re.compile(r"""b(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")
"""What h11 shows of a header that it refuses: it may be a key."""


def without_password(text: str) -> str:
    """A text whose addresses have no name, no password and no key."""
    return _QUERY.sub(r"\1***", _USER.sub("***@", text))


def cleaned_key(key: object, name: str) -> str:
    """A key without the blanks and line ends that come along where it is copied; empty where nothing is left.

    Raises:
        UsageError: it has characters that no header can carry. They are not shown.
    """
    text = str(key).strip()
    if not text.isascii() or not text.isprintable():
        raise UsageError(f"{name} has characters that no key has (a line end, a letter with an accent); set it again.")
    return text


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
        """The text without the secrets, as they are and as `repr` and JSON write them, and without passwords in addresses."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            if len(secret) >= 4:
                for form in {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], secret.replace("/", "\\/")}:
                    text = text.replace(form, "***")
        return without_password(text)

    def struck(self, said: Any) -> Any:
        """The same for what was JSON: however a secret was escaped there, here it is as it was."""
        if isinstance(said, str):
            return self.redacted(said)
        if isinstance(said, dict):
            return {self.redacted(name): self.struck(each) for name, each in said.items()}
        return [self.struck(each) for each in said] if isinstance(said, list) else said

    def _understood(self, text: str) -> Any:
        """The JSON that a text is, or the text; no secret in it."""
        try:
            return self.struck(json.loads(text))
        except (ValueError, RecursionError):
            return self.redacted(text)

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
        """The error that an answer with a `status` of 400 or more says."""
        said = self._understood(body.decode("utf-8", "replace"))
        request_id = next((headers[name] for name in REQUEST_IDS if headers.get(name)), None)
        return self._status_error(status, said, _retry_after(headers, said), request_id)

    def failed_inside(self, error: Any) -> APIStatusError:
        """The error that came as an object in a stream which had begun with status 200."""
        try:
            said = self.struck(error)
        except RecursionError:
            said = "an error that is too deep to be read"
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
        if status == 407:
            return "network", PROXY_FIX
        if status == 404:
            return "model", "Check the model's name and the base URL; 'agent-runtime models' lists what is known."
        if status == 429:
            return "limit", "Wait, ask for a higher limit, or name another model behind '|'."
        if status in (408, 424) or status >= 500:  # 424: Bedrock, of a model that broke
            return "service", "It may pass; name another model behind '|' to go on without it."
        return "request", "Check the parameters of the model."

    def redirected(self, status: int, there: str) -> APIStatusError:
        """Something else than the service is at the address: it leads elsewhere, or has nothing to say."""
        what = f"to {self.redacted(there)}" if there else "without saying where"
        found = f"redirects '{self.model}' {what}" if status >= 300 else f"has no answer of '{self.model}'"
        fix = (
            "which is not followed: correct the base URL." if status >= 300 else "nothing in it: correct the base URL."
        )
        return APIStatusError(
            f"{self.provider} {found} (status {status}), {fix}",
            status_code=status,
            provider=self.provider,
            model=self.model,
            fault="request",
        )

    def lost(self, error: Exception, url: str, *, begun: bool) -> APIError | UsageError:
        """What came of asking: a request that cannot be sent, an answer that cannot be read, or nobody there."""
        import httpx

        url = url.partition("?")[0]  # a key may stand behind it, by any name
        ours = httpx.LocalProtocolError | httpx.UnsupportedProtocol | httpx.InvalidURL | ValueError | TypeError
        if isinstance(error, ours):
            what = type(error).__name__ if isinstance(error, ValueError) else _BYTES.sub("(not shown)", str(error))
            return UsageError(
                f"What is asked of {self.provider} for '{self.model}' at {self.redacted(url)} cannot be sent "
                f"({self.redacted(what)}); check the key, the headers and the base URL for what HTTP cannot carry."
            )
        if isinstance(error, httpx.DecodingError):
            return self.broken(f"it is not compressed as it says ({error})")
        if isinstance(error, httpx.ProxyError):
            what = self.redacted(str(error)) or type(error).__name__
            return APIConnectionError(
                f"The proxy on the way to {self.provider} lets '{self.model}' not pass ({what}). {PROXY_FIX}",
                **self._network | {"retryable": "407" not in what},
            )
        return self.unreachable(error, url, begun=begun)

    def unreachable(self, error: Exception, url: str, *, begun: bool) -> APIConnectionError:
        """Nobody answered, or the connection broke."""
        what = self.redacted(str(error)) or type(error).__name__
        if begun:
            return APIConnectionError(
                f"The connection to {self.provider} broke in the middle of an answer of '{self.model}' ({what}).",
                **self._network,
            )
        return APIConnectionError(
            f"{self.provider} could not be reached for '{self.model}' at {self.redacted(url)} ({what}). "
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

    def broken(self, what: str, *, retryable: bool = True) -> APIError:
        """The answer cannot be used: cut off, no JSON, a tool call in pieces."""
        return APIError(
            f"{self.provider} sent an answer of '{self.model}' that cannot be used: {self.redacted(what)}. "
            "If it happens again, the service is not the one that its name says, or is broken.",
            provider=self.provider,
            model=self.model,
            fault="answer",
            retryable=retryable,
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
