"""Where Gemini is asked: AI Studio with a key, Vertex AI with a token of Google Cloud.

The same models speak the same wire in both places; the address, the names of models and the proof of who asks differ.
Tokens are made by `google-auth` (extra `vertex`), which is imported when the first one is needed. It asks over the
network in a thread of its own, minutes before the last token ends, while that one is still used.
"""

import asyncio
import inspect
import json
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from agent_runtime import clock
from agent_runtime.errors import APIConnectionError, APIError, UsageError
from agent_runtime.providers.http.service import Service, cleaned_key

AI_STUDIO = "https://generativelanguage.googleapis.com"
KEY_VARIABLES = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
LOCATION = "us-central1"
INSTALL = "pip install 'agent-runtime[vertex]'"

TOKEN_S = 10.0
"""To a token, over the network."""

METADATA_HOSTS = ("169.254.169.254", "metadata.google.internal")
METADATA_S = 1.0
"""To an answer of the machine's own token service, which is looked for, several times, also where there is none."""

Token = Callable[[], str | Awaitable[str]]

log = logging.getLogger("agent_runtime.llm")


@dataclass(frozen=True, slots=True)
class Access:
    """How a request gets there.

    Attributes:
        root: the address before ``/models/...`` and ``/cachedContents``.
        models: what stands before a model's name, in an address.
        resource: the same in a body.
        headers: who asks.
    """

    root: str
    models: str
    resource: str
    headers: Mapping[str, str]


class Place(Protocol):
    """A place where Gemini is asked."""

    provider: str
    host: str
    ids: bool
    """Whether calls and results carry their ids."""
    mixes: bool
    """Whether the third generation takes functions and Google's own tools together."""
    secrets: list[str]

    async def access(self, service: Service) -> Access: ...
    async def aclose(self) -> None: ...


class AIStudio:
    """``generativelanguage.googleapis.com``.

    Raises:
        UsageError: there is no key.
    """

    provider = "gemini"
    ids = True
    mixes = True

    def __init__(self, model: str, api_key: str | None, base_url: str | None, api_version: str | None) -> None:
        found = api_key or next((value for name in KEY_VARIABLES if (value := os.environ.get(name))), "")
        key = cleaned_key(found, f"Gemini's key ({' or '.join(KEY_VARIABLES)} or api_key=...)")
        if not key:
            raise UsageError(
                f"Gemini's '{model}' needs a key: set {KEY_VARIABLES[0]} (or {KEY_VARIABLES[1]}), or give api_key=...; "
                "keys are made at https://aistudio.google.com."
            )
        self.host = (base_url or AI_STUDIO).rstrip("/")
        self.secrets = [key]
        root = f"{self.host}/{api_version or 'v1beta'}"
        self._access = Access(root, f"{root}/models/", "models/", {"x-goog-api-key": key})

    async def access(self, service: Service) -> Access:
        return self._access

    async def aclose(self) -> None:
        """There is nothing to give back."""


class VertexAI:
    """``aiplatform.googleapis.com`` of a project and a location.

    Args:
        credentials: a function that gives a token, also an asynchronous one; an object of `google.auth.credentials`; the
            path or the content of a credentials file; None finds them as all of Google's programs do.

    Raises:
        UsageError: `google-auth` is not installed and no function was given.
    """

    provider = "vertex_ai"
    ids = False
    mixes = False

    def __init__(
        self,
        project: str | None,
        location: str | None,
        credentials: Any,
        base_url: str | None,
        api_version: str | None,
    ) -> None:
        self.location = location or os.environ.get("GOOGLE_CLOUD_LOCATION") or LOCATION
        self._project = project or os.environ.get("GOOGLE_CLOUD_PROJECT")
        self.host = (base_url or _host(self.location)).rstrip("/")
        self._version = api_version or "v1"
        self.secrets: list[str] = []
        self._token = _Token(credentials)

    async def access(self, service: Service) -> Access:
        token = await self._token.get(service)
        self.secrets[:] = [token, *self._token.secrets]
        project = self._project or self._token.project
        if not project:
            raise UsageError(
                "Vertex AI needs a project; give project=..., set GOOGLE_CLOUD_PROJECT, or use a service account's file."
            )
        place = f"projects/{project}/locations/{self.location}"
        root = f"{self.host}/{self._version}/{place}"
        models = "publishers/google/models/"
        headers = {"authorization": f"Bearer {token}"}
        if self._token.billed:
            headers["x-goog-user-project"] = self._token.billed
        return Access(root, f"{root}/{models}", f"{place}/{models}", headers)

    async def aclose(self) -> None:
        await self._token.aclose()


def _google(module: str) -> Any:
    """A module of google-auth: imported when it is needed, and without types."""
    return import_module(module)


def _is_installed() -> bool:
    return find_spec("google") is not None and find_spec("google.auth") is not None


def _host(location: str) -> str:
    if location == "global":
        return "https://aiplatform.googleapis.com"
    if location in ("us", "eu"):
        return f"https://aiplatform.{location}.rep.googleapis.com"
    return f"https://{location}-aiplatform.googleapis.com"


class _Token:
    """Tokens, each used until shortly before its end."""

    def __init__(self, source: Any) -> None:
        self.project: str | None = None
        self.billed: str | None = None
        self.secrets: list[str] = []
        """What the credentials are made of, as far as it is theirs to tell."""
        self._ask: Token | None = None
        self._google: Any = None
        self._source: Any = None
        self._refreshing: asyncio.Task[None] | None = None
        if hasattr(source, "before_request"):  # one of google.auth.credentials
            self._take(source, None)
        elif callable(source):
            self._ask = source
        elif source is None or isinstance(source, str | PathLike | Mapping):
            self._source = source
        else:
            raise UsageError(
                f"credentials is a {type(source).__name__}; give a function that returns a token, an object of "
                "google.auth.credentials, or the path of a credentials file."
            )
        if self._ask is None and not _is_installed():
            raise UsageError(
                f"Vertex AI needs the package 'google-auth' for its tokens; install it with `{INSTALL}`, or give "
                "credentials=<a function that returns a token>."
            )

    async def get(self, service: Service) -> str:
        """A token that is still good.

        Raises:
            APIError: none could be had.
        """
        if self._ask is not None:
            token = self._ask()
            return cleaned_key(await token if inspect.isawaitable(token) else token, "The token for Vertex AI")
        if self._google is None or not _usable(self._google):
            await self._refreshed(service)
        elif _ends_soon(self._google):
            self._refresh(service)
        return str(self._google.token)

    def _refresh(self, service: Service) -> "asyncio.Task[None]":
        """One refresh at a time, for whoever waits for it."""
        running = self._refreshing
        if running is None or running.done() or running.get_loop() is not asyncio.get_running_loop():
            running = asyncio.get_running_loop().create_task(self._renew(service), name="google token")
            running.add_done_callback(_note)
            self._refreshing = running
        return running

    async def _refreshed(self, service: Service) -> None:
        await asyncio.shield(self._refresh(service))

    async def _renew(self, service: Service) -> None:
        exceptions = _google("google.auth.exceptions")

        try:
            await clock.offload(self._renew_in_thread)
        except exceptions.DefaultCredentialsError as error:
            raise UsageError(
                f"No credentials of Google Cloud can be used ({self._said(error, service)}); set "
                "GOOGLE_APPLICATION_CREDENTIALS to a service account's file, or run `gcloud auth application-default login`."
            ) from error
        except ValueError as error:  # a key that is none
            raise UsageError(
                f"The credentials of Google Cloud cannot be used ({self._said(error, service)})."
            ) from None
        except exceptions.TransportError as error:
            raise APIConnectionError(
                f"Google gave no token for '{service.model}' ({self._said(error, service)}). Check the network.",
                provider=service.provider,
                model=service.model,
                fault="network",
                retryable=True,
            ) from None
        except exceptions.GoogleAuthError as error:
            raise APIError(
                f"Google refused a token for '{service.model}' ({self._said(error, service)}). Check the service account, or "
                "log in again with `gcloud auth application-default login`.",
                provider=service.provider,
                model=service.model,
                fault="key",
                retryable=bool(getattr(error, "retryable", False)),
            ) from None

    def _said(self, error: Exception, service: Service) -> str:
        return Service(service.provider, service.model, secrets=self.secrets).redacted(_first_line(error))

    def _renew_in_thread(self) -> None:
        if self._google is None:
            self._take(*_found(self._source))
        self._google.refresh(_over_the_network)

    def _take(self, credentials: Any, project: str | None) -> None:
        if getattr(credentials, "requires_scopes", False):
            credentials = credentials.with_scopes([SCOPE])
        self._google = credentials
        self.project = project or getattr(credentials, "project_id", None)
        self.billed = getattr(credentials, "quota_project_id", None)
        made_of = (getattr(credentials, name, None) for name in ("refresh_token", "client_secret"))
        self.secrets = [each for each in made_of if isinstance(each, str)]

    async def aclose(self) -> None:
        if self._refreshing is not None and not self._refreshing.done():
            self._refreshing.cancel()
            await asyncio.wait([self._refreshing])


def _note(task: "asyncio.Task[None]") -> None:
    """Whoever waits is told; where nobody waits, the next request tries again."""
    if not task.cancelled() and task.exception() is not None:
        log.debug("no new token of Google's: %s", task.exception())


def _usable(credentials: Any) -> bool:
    return bool(credentials.token) and credentials.token_state.name != "INVALID"


def _ends_soon(credentials: Any) -> bool:
    return bool(credentials.token_state.name == "STALE")


def _found(source: Any) -> tuple[Any, str | None]:
    """Credentials, and the project that they name.

    Raises:
        UsageError: they are of a kind that is found in the environment alone, or no file of credentials.
    """
    if source is None:
        credentials, project = _google("google.auth").default(scopes=[SCOPE], request=_over_the_network)
        return credentials, project
    told = source if isinstance(source, Mapping) else _read(Path(source))
    kind = told.get("type")
    if kind == "service_account":
        account = _google("google.oauth2.service_account").Credentials
        return account.from_service_account_info(dict(told), scopes=[SCOPE]), told.get("project_id")
    if kind == "authorized_user":
        user = _google("google.oauth2.credentials").Credentials
        return user.from_authorized_user_info(dict(told), scopes=[SCOPE]), None
    raise UsageError(
        f"credentials are of the type {kind!r}; give those of a 'service_account' or an 'authorized_user', or set "
        "GOOGLE_APPLICATION_CREDENTIALS to their file."
    )


def _read(path: Path) -> Mapping[str, Any]:
    try:
        told = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"The credentials file '{path}' cannot be read ({error.strerror}); check the path.") from None
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise UsageError(f"The credentials file '{path}' is no JSON of Google Cloud; download it again.")
    return told


@dataclass(frozen=True, slots=True)
class _Said:
    """An answer as google-auth reads it."""

    status: int
    headers: Mapping[str, str]
    data: bytes


def _over_the_network(
    url: str,
    method: str = "GET",
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = TOKEN_S,
    **_: Any,
) -> _Said:
    """What google-auth asks with, in a thread. Its own way needs `requests`, which nothing else here does."""
    import urllib.error
    import urllib.request

    if urlsplit(url).hostname in METADATA_HOSTS:
        timeout = METADATA_S
    data = body.encode() if isinstance(body, str) else body
    request = urllib.request.Request(url, data=data, headers=dict(headers or {}), method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout or TOKEN_S) as answer:
            return _Said(answer.status, dict(answer.headers), answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return _Said(error.code, dict(error.headers), error.read())
    except OSError as error:
        raise _google("google.auth.exceptions").TransportError(str(error)) from error


def _first_line(error: Exception) -> str:
    said = str(error.args[0]) if error.args else str(error)
    return said.strip().split("\n")[0].rstrip(".")[:200]
