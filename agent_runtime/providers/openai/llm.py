"""Every service that speaks OpenAI's chat completions; which one is a row of `services.toml`."""

import logging
import math
import os
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from inspect import isawaitable
from typing import Any, ClassVar
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import httpx

from agent_runtime import __version__
from agent_runtime.chat import FunctionCall
from agent_runtime.errors import UsageError
from agent_runtime.inference.chain import shown
from agent_runtime.inference.routes import is_here
from agent_runtime.providers import ranges
from agent_runtime.providers.http.exchange import Request
from agent_runtime.providers.http.service import Service
from agent_runtime.providers.http.sse import Framing
from agent_runtime.providers.openai import services
from agent_runtime.providers.openai.answer import OpenAIAnswer
from agent_runtime.providers.openai.document import DocumentOrEvents
from agent_runtime.providers.openai.messages import load_parts, messages
from agent_runtime.providers.openai.request import Parameters, check, check_words, draw
from agent_runtime.providers.openai.services import ServiceRow
from agent_runtime.providers.remote import Asked, RemoteLLM
from agent_runtime.providers.thinking import ThinkTags
from agent_runtime.tools import ToolChoice
from agent_runtime.types import NOT_GIVEN, APIConnectOptions

Secret = str | Callable[[], str | Awaitable[str]]
"""A key or a token, or what gives one for each request."""

USER_AGENT = f"agent-runtime/{__version__}"

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_NO_HEADER = re.compile(r"[^\t -~]")

log = logging.getLogger("agent_runtime.llm")


class OpenAILLM(RemoteLLM):
    """A model behind OpenAI's chat completions. The names of the options are those of livekit-agents' ``openai.LLM``.

    Args:
        model: as the service names it; where it is left out, the one that the service's row names.
        provider: a row of `services.toml`.
        api_key: else the row's variables are looked at.
        base_url: else the row's variables, and then its own address. ``/chat/completions`` is not needed; a query in it
            goes with each request.
        bearer_token: a token that goes as ``Authorization: Bearer`` where the key would go otherwise (Azure).
        placeholders: values for what stands in braces in the row's address; else variables of the environment.
        strict_tools: whether tools are sent in OpenAI's strict form; else what the row says.
        timeout: seconds between two pieces of an answer, as in `conn_options`.
        max_retries: as ``max_retry`` in `conn_options`.
        extra_kwargs: further parameters, sent as they are; so are `extra_body`, `extra_headers` and `extra_query`, which
            no rule of the service touches.
        allow_private: whether pictures and files may be fetched from this machine and its network.
        conn_options: how patient to be; else as patient as the row says that the model needs.
        transport: see `RemoteLLM`.

    The others are parameters of the request, sent where they are given. What is given to `chat` counts before them.

    Raises:
        UsageError: a parameter, the address or the key is no such, or is missing.
    """

    framing: ClassVar[type[Framing]] = DocumentOrEvents

    def __init__(
        self,
        model: str | None = None,
        *,
        provider: str = "openai",
        api_key: Secret | None = None,
        base_url: str | None = None,
        bearer_token: Secret | None = None,
        placeholders: Mapping[str, str | None] | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        max_completion_tokens: int | None = None,
        max_tokens: int | None = None,
        frequency_penalty: float | None = None,
        presence_penalty: float | None = None,
        seed: int | None = None,
        stop: str | Sequence[str] | None = None,
        n: int | None = None,
        logprobs: bool | None = None,
        top_logprobs: int | None = None,
        logit_bias: Mapping[str, int] | None = None,
        parallel_tool_calls: bool | None = None,
        tool_choice: ToolChoice | None = None,
        response_format: Any = None,
        reasoning_effort: str | None = None,
        verbosity: str | None = None,
        store: bool | None = None,
        metadata: Mapping[str, str] | None = None,
        user: str | None = None,
        safety_identifier: str | None = None,
        prompt_cache_key: str | None = None,
        prompt_cache_retention: str | None = None,
        service_tier: str | None = None,
        strict_tools: bool | None = None,
        timeout: float | httpx.Timeout | None = None,
        max_retries: int | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_query: Mapping[str, str] | None = None,
        extra_kwargs: Mapping[str, Any] | None = None,
        allow_private: bool = False,
        conn_options: APIConnectOptions | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        row = services.row(provider)
        if strict_tools is not None:
            row = replace(row, strict_tools=strict_tools)
        model = _model(model, row)
        self.row = row
        self._fill = {
            "model": quote(model, safe=""),
            **{k: v for k, v in ranges.mapping("placeholders", placeholders or None).items() if v},
        }
        self.base_url, query = _address(base_url, row, self._fill)
        replaced = query | ranges.mapping("extra_query", extra_query or None)
        own = {name: _filled(text, self._fill, row) for name, text in row.query.items() if name not in replaced}
        self._query = own | query
        if self.base_url != row.base_url:  # something else that speaks its wire
            self.row = replace(row, words={})
        self._key, self._token = _secrets(api_key, bearer_token, row, self.base_url)
        variables = (*row.key_variables, *row.token_variables)
        service = Service(provider, model, next(iter(variables), ""))
        options = _options(conn_options, timeout, max_retries, row.first_token_timeout(model))
        super().__init__(service, conn_options=options, transport=transport)
        self.leaves_machine = not is_here(self.base_url)
        named = {
            "temperature": temperature,
            "top_p": top_p,
            "max_completion_tokens": max_completion_tokens,
            "max_tokens": max_tokens,
            "frequency_penalty": frequency_penalty,
            "presence_penalty": presence_penalty,
            "seed": seed,
            "stop": stop,
            "n": n,
            "logprobs": logprobs,
            "top_logprobs": top_logprobs,
            "logit_bias": logit_bias,
            "parallel_tool_calls": parallel_tool_calls,
            "tool_choice": tool_choice,
            "response_format": response_format,
            "reasoning_effort": reasoning_effort,
            "verbosity": verbosity,
            "store": store,
            "metadata": metadata,
            "user": user,
            "safety_identifier": safety_identifier,
            "prompt_cache_key": prompt_cache_key,
            "prompt_cache_retention": prompt_cache_retention,
            "service_tier": service_tier,
        }
        apart = {"extra_headers": extra_headers, "extra_body": extra_body, "extra_query": extra_query}
        self.parameters: tuple[Mapping[str, Any], ...] = (
            ranges.mapping("extra_kwargs", extra_kwargs or None),
            _given(named),
            _given(apart),
        )
        """Layers of parameters, the later ones over the earlier."""
        parameters = Parameters.of(*self.parameters)
        check({**parameters.body, **parameters.extra_body})
        ranges.check_patience(parameters.body)
        check_words(parameters.body, self.row)
        as_headers(parameters.extra_headers)
        self._allow_private = allow_private
        self._noted: set[str] = set()

    @property
    def prewarm_url(self) -> str | None:
        return f"{self.base_url}/models"

    def _form(self, extra: Mapping[str, Any]) -> Any:
        return Parameters.of(*self.parameters, extra).body.get("response_format")

    async def request(self, asked: Asked) -> Request:
        parameters = Parameters.of(*self.parameters, asked.extra_kwargs)
        loaded = await load_parts(
            asked.chat_ctx,
            row=self.row,
            connections=self.connections,
            typing=self.typed,
            allow_private=self._allow_private,
        )
        told = messages(asked.chat_ctx, row=self.row, loaded=loaded)
        drawn = draw(asked, parameters, row=self.row, model=self.model, messages=told)
        for note in drawn.notes:
            if note not in self._noted:
                self._noted.add(note)
                log.warning("%s", note)
        headers = as_headers({"content-type": "application/json"}, await self.headers(), parameters.extra_headers)
        query = urlencode({**self._query, **parameters.extra_query})
        url = f"{self.base_url}/chat/completions" + (f"?{query}" if query else "")
        return Request.of_json(url, headers, drawn.body)

    async def headers(self) -> dict[str, str]:
        """What is sent besides the body, with the key."""
        row = self.row
        set_ = {name: os.environ.get(variable) for name, variable in row.header_variables.items()}
        headers = {"accept": "text/event-stream", "user-agent": USER_AGENT, **row.headers, **_given(set_)}
        if self._token is not None:
            headers["authorization"] = f"Bearer {await self._said(self._token)}"
        elif self._key is not None:
            key = await self._said(self._key)
            if row.auth == "bearer":
                headers["authorization"] = f"Bearer {key}"
            else:
                headers[row.auth] = key
        return headers

    async def _said(self, secret: Secret) -> str:
        """The secret's text, which from now on stands in no message."""
        said = secret if isinstance(secret, str) else secret()
        text = _key_text(await said if isawaitable(said) else said, self.row)
        if text not in self.service.secrets:
            first, *later = [*self.service.secrets, text]
            self.service.secrets[:] = [first, *later[-3:]]  # tokens come and go
        return text

    def answer(self, asked: Asked) -> OpenAIAnswer:
        row, model = self.row, self.model
        tags = ThinkTags(*row.think_tags(model), inside=row.thinks_first(model))
        calls = sum(isinstance(item, FunctionCall) for item in asked.chat_ctx.items)
        return OpenAIAnswer(self.service, tags=tags, echo=row.echo, first_id=calls + 1)


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None and value is not NOT_GIVEN}


def _model(model: Any, row: ServiceRow) -> str:
    model = row.default_model if model is None or model is NOT_GIVEN else model
    if not isinstance(model, str) or not model.strip():
        raise UsageError(
            f"The model is {model!r}; name one that {row.name} has, as in model={row.default_model or '...'!r}."
        )
    return model


def as_headers(*layers: Mapping[str, str]) -> dict[str, str]:
    """Layers of headers, the later ones over the earlier, whatever the case of their names.

    Raises:
        UsageError: HTTP cannot carry one.
    """
    headers: dict[str, str] = {}
    for layer in layers:
        for name, value in layer.items():
            if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
                raise UsageError(f"{name!r:.80} is no name of a header; it has letters, digits and hyphens.")
            wrong = _NO_HEADER.search(value.strip())
            if wrong is not None:
                raise UsageError(f"The header {name!r} has {wrong[0]!r} in its value; it is one line of ASCII.")
            headers[name.lower()] = value.strip()
    return headers


def without_path(url: str, path: str) -> str:
    """An address without the end that is put behind it here anyway."""
    address, mark, query = url.strip().partition("?")
    return address.rstrip("/").removesuffix(path).rstrip("/") + mark + query


def _address(base_url: Any, row: ServiceRow, fill: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Where requests go, and the query that stood there."""
    if base_url is not None and base_url is not NOT_GIVEN and not isinstance(base_url, str):
        raise UsageError(f"The base_url of {row.provider} is {base_url!r}; it is a text, as 'http://host:port/v1'.")
    given = base_url or next(
        (os.environ[name] for name in row.base_url_variables if os.environ.get(name)), row.base_url
    )
    if not given:
        named = " or ".join(row.base_url_variables)
        raise UsageError(
            f"{row.provider} has no address of its own; give base_url='http://host:port/v1' or set {named}."
        )
    address = without_path(_filled(given, fill, row), "/chat/completions")
    try:
        parts = urlsplit(address)
        is_one = parts.scheme in ("http", "https") and bool(httpx.URL(address).host) and parts.port != 0
    except (ValueError, httpx.InvalidURL):
        is_one = False
    if not is_one or not address.isprintable() or " " in parts.netloc or "#" in address:
        raise UsageError(
            f"The base_url of {row.provider} is {shown(address)!r}; it begins with http:// or https:// and a host, "
            "as in 'http://host:8000/v1'."
        )
    return address.partition("?")[0].rstrip("/"), dict(parse_qsl(parts.query, keep_blank_values=True))


def _key_text(key: Any, row: ServiceRow) -> str:
    """A key as it is sent."""
    if not isinstance(key, str):
        raise UsageError(f"What gives the key for {row.provider} gave {_kind(key)}; it gives a text, the key.")
    text = key.strip()
    if not text or not text.isascii() or not text.isprintable() or text[0] in "'\"":
        raise UsageError(
            f"The key for {row.provider} is empty or has characters that no key has; set it again, without quotes."
        )
    return text


def _kind(value: Any) -> str:
    return "None" if value is None else f"a value of the type {type(value).__name__}"


def _filled(text: str, fill: Mapping[str, str], row: ServiceRow) -> str:
    """`text` with what stands in braces put in."""

    def value(match: re.Match[str]) -> str:
        found = fill.get(match[1]) or os.environ.get(match[1])
        if not found:
            raise UsageError(f"{row.provider} needs {match[1]}; set it in the environment, or give base_url.")
        return found.rstrip("/")

    return _PLACEHOLDER.sub(value, text)


def _secrets(
    api_key: Secret | None, bearer_token: Secret | None, row: ServiceRow, base_url: str
) -> tuple[Secret | None, Secret | None]:
    """The key and the token. What is given counts, then what the environment has."""
    for name, secret in _given({"api_key": api_key, "bearer_token": bearer_token}).items():
        if not isinstance(secret, str) and not callable(secret):
            raise UsageError(f"{name} is {_kind(secret)}; it is a text, or a function that gives one.")
    if bearer_token:
        return None, _checked(bearer_token, row)
    key = (
        api_key
        or next((os.environ[name] for name in row.key_variables if os.environ.get(name)), None)
        or row.key
        or None
    )
    if key is not None:
        return _checked(key, row), None
    token = next((os.environ[name] for name in row.token_variables if os.environ.get(name)), None)
    if token is None and row.key_required and not is_here(base_url):
        named = " or ".join((*row.key_variables, *row.token_variables))
        raise UsageError(f"{row.name} needs a key; set {named}, or give api_key.")
    return None, _checked(token, row) if token is not None else None


def _checked(secret: Secret, row: ServiceRow) -> Secret:
    """What is known now is looked at now."""
    return _key_text(secret, row) if isinstance(secret, str) else secret


def _options(
    options: APIConnectOptions | None, timeout: float | httpx.Timeout | None, max_retries: int | None, first: float
) -> APIConnectOptions:
    seconds = timeout.read if isinstance(timeout, httpx.Timeout) else timeout
    if options and not isinstance(options, APIConnectOptions):
        raise UsageError(f"conn_options is {options!r:.80}; it is an APIConnectOptions(...).")
    given = _given({"timeout": seconds, "max_retry": max_retries})
    ranges.number("timeout", given.get("timeout"), 0, math.inf)  # that 0 and inf are none, the options say
    ranges.whole("max_retries", given.get("max_retry"), 0)
    return replace(options or APIConnectOptions(first_token_timeout=first), **given)
