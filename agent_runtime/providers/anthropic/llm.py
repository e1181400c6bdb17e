"""Claude, at Anthropic's Messages API, and every server that speaks it (llama.cpp's does)."""

import os
from collections.abc import Iterable, Mapping
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit, urlunsplit

import httpx

from agent_runtime.content import AudioContent, FileContent, ImageContent
from agent_runtime.errors import UsageError
from agent_runtime.inference.chain import shown
from agent_runtime.llm import ChatChunk
from agent_runtime.providers import parts, ranges
from agent_runtime.providers.anthropic import claude
from agent_runtime.providers.anthropic import messages as wire
from agent_runtime.providers.anthropic.answer import AnthropicAnswer
from agent_runtime.providers.http.exchange import Answer, Request
from agent_runtime.providers.http.service import Service, cleaned_key
from agent_runtime.providers.remote import Asked, RemoteLLM
from agent_runtime.providers.schemas import ResponseSchema, response_schema
from agent_runtime.providers.turns import History, history
from agent_runtime.types import APIConnectOptions

BASE_URL = "https://api.anthropic.com"
KEY_NAME = "The key for anthropic (ANTHROPIC_API_KEY or api_key=...)"
VERSION = "2023-06-01"
DEFAULT_MODEL = "claude-sonnet-4-6"
MAX_TOKENS = 1024
"""Where nothing else is said: the service insists on a number."""

THINKING_TIMEOUT_S = 60.0
"""To the first piece of the answer of a model that was told to think."""

LARGEST = 24_000_000
"""Bytes of all pictures and files of a request: in base64 that is the service's 32 MB."""

NAMES = {
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "stop": "stop_sequences",
}
"""Parameters by the names that other services have for them."""

ABSENT = ("frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs", "n", "seed")
"""Parameters of other services that this one has not, and refuses."""


class AnthropicLLM(RemoteLLM):
    """A model at Anthropic's API.

    Args:
        model: as the service calls it; any name is passed on.
        api_key: else ANTHROPIC_API_KEY. A server at a `base_url` of one's own may need none.
        base_url: else ANTHROPIC_BASE_URL, else Anthropic's.
        user: an opaque name of the end user, by which the service finds abuse.
        temperature, top_p: from 0 to 1.
        top_k: only the most likely so many tokens.
        max_tokens: the longest answer.
        stop: texts that end the answer.
        parallel_tool_calls: False: at most one call in an answer.
        tool_choice: where the call says nothing.
        caching: ``"ephemeral"``, or the mark itself (``{"type": "ephemeral", "ttl": "1h"}``): the beginning that a request
            shares with the one before is not paid in full again. Up to four places are marked: the instructions, the tools,
            the agent's last turn and the user's before it.
        reasoning_effort: how much it thinks before it answers: ``none``, ``minimal``, ``low``, ``medium``, ``high``,
            ``xhigh``, ``max``.
        thinking: the same in the service's own words, ``{"type": "enabled", "budget_tokens": 2048}``.
        strict_tools: the service forces arguments into the schema; every argument must then be sayable so.
        structured_output: how an answer is held to `response_format`: ``"native"`` by the service's own grammar (Claude 4.5
            and later), ``"tool"`` as the arguments of a tool that it must call, which any model can.
        prefill: whether the agent's turn may be the last, for the model to go on with; found from the model's name where it
            is left out. Else the user says "." behind it.
        allow_private: pictures and files may be fetched from this machine and its network too.
        extra_kwargs: further parameters of the request, as the service calls them; ``extra_headers`` (``anthropic-beta``,
            another ``anthropic-version``), ``extra_body`` and ``extra_query`` go where they say. What a call gives counts
            before this.
        conn_options: how patient to be.
        transport: see `RemoteLLM`.
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        user: str | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        top_k: int | None = None,
        max_tokens: int | None = None,
        stop: str | list[str] | None = None,
        parallel_tool_calls: bool | None = None,
        tool_choice: Any = None,
        caching: Literal["ephemeral"] | Mapping[str, Any] | None = None,
        reasoning_effort: str | None = None,
        thinking: Mapping[str, Any] | None = None,
        strict_tools: bool = False,
        structured_output: Literal["native", "tool"] = "native",
        prefill: bool | None = None,
        allow_private: bool = False,
        extra_kwargs: Mapping[str, Any] | None = None,
        conn_options: APIConnectOptions | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        own = base_url or os.environ.get("ANTHROPIC_BASE_URL")
        key = cleaned_key(api_key if api_key is not None else os.environ.get("ANTHROPIC_API_KEY", ""), KEY_NAME)
        if not model or not isinstance(model, str):
            raise UsageError(f"anthropic has no model {model!r}; name one, such as '{DEFAULT_MODEL}'.")
        if not key and not own:
            raise UsageError(
                "anthropic needs a key: set ANTHROPIC_API_KEY or give api_key=...; 'local/rules' is a model that needs none."
            )
        given = {
            "metadata": {"user_id": user} if user is not None else None,
            "temperature": temperature,
            "top_p": top_p,
            "top_k": top_k,
            "max_tokens": max_tokens,
            "stop_sequences": stop,
            "parallel_tool_calls": parallel_tool_calls,
            "tool_choice": tool_choice,
            "reasoning_effort": reasoning_effort,
            "thinking": dict(thinking) if isinstance(thinking, Mapping) else thinking,
        }
        self._url = _messages_url(own or BASE_URL)
        self._key = key
        self._adaptive = claude.is_adaptive(model)
        self._prefill = not self._adaptive if prefill is None else prefill
        self._caching = _cache_control(caching)
        self._strict_tools = strict_tools
        self._allow_private = allow_private
        self._structured = ranges.one_of("structured_output", structured_output, ("native", "tool"))
        self._given = _named({name: value for name, value in given.items() if value is not None}) | _named(
            ranges.mapping("extra_kwargs", extra_kwargs)
        )
        self._response_format = self._given.pop("response_format", None)
        checked = _checked(self._given)
        if conn_options is None and _is_thinking(checked, self._adaptive):
            conn_options = APIConnectOptions(first_token_timeout=THINKING_TIMEOUT_S)
        service = Service("anthropic", model, "ANTHROPIC_API_KEY", [key] if key else [])
        super().__init__(service, conn_options=conn_options, transport=transport)

    @property
    def prewarm_url(self) -> str:
        return self._url.removesuffix("/messages") + "/models"

    async def request(self, asked: Asked) -> Request:
        given = self._merged(asked)
        wanted = response_schema(asked.response_format)
        prefill = self._prefill and wanted is None and not _is_thinking(given, self._adaptive)
        told = history(asked.chat_ctx, prefill=prefill, typing=self.typed)
        contents = await self._contents(told)
        body: dict[str, Any] = {
            "model": self.model,
            "max_tokens": MAX_TOKENS,
            "messages": wire.messages(told, contents),
            "stream": True,
        }
        if told.instructions:
            body["system"] = wire.system(told)
        self._put_tools(body, asked, given, told.calls)
        self._put_format(body, wanted, given)
        self._put_thinking(body, asked, given)
        headers = {"anthropic-version": VERSION, **({"x-api-key": self._key} if self._key else {})}
        headers |= {str(name).lower(): str(value) for name, value in given.pop("extra_headers", {}).items()}
        extra_body, query = given.pop("extra_body", {}), given.pop("extra_query", {})
        body |= given
        body |= extra_body
        if self._caching is not None:
            wire.mark(body, self._caching)
        return Request.of_json(_with_query(self._url, query), headers, body)

    def answer(self, asked: Asked) -> Answer[ChatChunk]:
        wanted = response_schema(asked.response_format)
        form = wanted.name if wanted is not None and self._takes_form(wanted) else None
        return AnthropicAnswer(self.service, tags=bool(asked.tools), form=form)

    def _merged(self, asked: Asked) -> dict[str, Any]:
        """Every parameter, checked; what the call says counts."""
        said = {"parallel_tool_calls": asked.parallel_tool_calls, "tool_choice": asked.tool_choice}
        given = self._given | _named(asked.extra_kwargs)
        given.pop("response_format", None)  # `asked` has it
        return _checked(given | {name: value for name, value in said.items() if value is not None})

    async def _contents(self, told: History) -> dict[int, wire.JSON]:
        """The block of every picture and file, by the id of its part."""
        contents = {id(part): block for part in told.contents() if (block := _unloaded(part)) is not None}
        to_load = [part for part in told.contents() if id(part) not in contents]
        if to_load:
            client = await self.connections.client()
            loaded = await parts.load_all(to_load, total=LARGEST, allow_private=self._allow_private, client=client)
            for part, each in zip(to_load, loaded, strict=True):
                contents[id(part)] = wire.content(each)
        return contents

    def _put_tools(self, body: dict[str, Any], asked: Asked, given: dict[str, Any], made: Iterable[Any]) -> None:
        choice, parallel = given.pop("tool_choice", None), given.pop("parallel_tool_calls", None)
        given_tools = ranges.tools([*asked.tools, *given.pop("tools", ())])
        tools = wire.tools(given_tools, strictly=self._strict_tools)
        if tools:
            body["tools"] = tools
            chosen = wire.tool_choice(choice, [tool["name"] for tool in tools], parallel)
            if chosen is not None:
                body["tool_choice"] = chosen
        elif declared := wire.declared(list(made)):
            body |= {"tools": declared, "tool_choice": {"type": "none"}}

    def _put_format(self, body: dict[str, Any], wanted: ResponseSchema | None, given: dict[str, Any]) -> None:
        config = ranges.mapping("output_config", given.pop("output_config", None))
        effort = claude.effort_level(given.get("reasoning_effort")) if self._adaptive else None
        if effort is not None:
            config.setdefault("effort", effort)
        if wanted is not None and self._takes_form(wanted):
            wire.put_form(body, wire.form(wanted))
        elif wanted is not None:
            config["format"] = {"type": "json_schema", "schema": wire.output_schema(wanted)}
        if config:
            body["output_config"] = config

    def _takes_form(self, wanted: ResponseSchema) -> bool:
        """Whether an answer is asked for as a tool's arguments: the service has no JSON without a schema."""
        return self._structured == "tool" or wanted.schema is None

    def _put_thinking(self, body: dict[str, Any], asked: Asked, given: dict[str, Any]) -> None:
        thinking = given.pop("thinking", None) or claude.thinking_for(
            given.pop("reasoning_effort", None), self._adaptive
        )
        given.pop("reasoning_effort", None)
        if thinking is None or (thinking["type"] == "enabled" and not _may_think(body["messages"])):
            return
        if claude.thinks(thinking):
            _refuse_beside_thinking(given, body.get("tool_choice"))
        budget = thinking.get("budget_tokens", 0)
        most = given.get("max_tokens")
        if most is None:
            body["max_tokens"] = MAX_TOKENS + budget
        elif budget >= most and not asked.tools:  # between calls it may think for longer than it speaks
            raise UsageError(
                f"thinking has budget_tokens={budget}, and max_tokens is {most}; "
                "the answer comes out of max_tokens too, so that has to be larger."
            )
        body["thinking"] = thinking


def _messages_url(base: str) -> str:
    base = base.rstrip("/")
    if not base.startswith(("http://", "https://")):
        raise UsageError(f"base_url is {shown(base)!r}; it begins with https:// or http://.")
    if base.endswith("/messages"):
        return base
    return f"{base}/messages" if base.endswith("/v1") else f"{base}/v1/messages"


def _unloaded(part: Any) -> wire.JSON | None:
    """The block of what need not be loaded: what the service fetches itself, and what was said of a sound."""
    if isinstance(part, Mapping):
        return dict(part)
    if isinstance(part, AudioContent):
        if part.transcript:
            return {"type": "text", "text": part.transcript}
        raise UsageError("anthropic hears no sound; give the AudioContent a transcript, or leave it out.")
    uri = part.url if isinstance(part, ImageContent) else part.uri if isinstance(part, FileContent) else None
    if uri is None or not uri.startswith("https://"):
        return None
    is_image = isinstance(part, ImageContent) or (part.mime_type or "").startswith("image/")
    return {"type": "image" if is_image else "document", "source": {"type": "url", "url": uri}}


def _with_query(url: str, query: Mapping[str, Any]) -> str:
    return urlunsplit(urlsplit(url)._replace(query=urlencode(query))) if query else url


def _cache_control(caching: Any) -> dict[str, Any] | None:
    if caching is None:
        return None
    made = {"type": caching} if isinstance(caching, str) else ranges.mapping("caching", caching)
    if made.get("type") != "ephemeral":
        raise UsageError(f"caching is {caching!r}; it is 'ephemeral' or {{'type': 'ephemeral', 'ttl': '1h'}}.")
    return made


def _named(given: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters under the names that this service has for them."""
    named = {NAMES.get(name, name): value for name, value in given.items() if value is not None}
    if isinstance(named.get("user"), str):
        named["metadata"] = {"user_id": named.pop("user")}
    return named


def _checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters within their bounds.

    Raises:
        UsageError: one is not, or is none of this service's.
    """
    checked = dict(given)
    for name in ("extra_headers", "extra_body", "extra_query"):
        if name in checked:
            checked[name] = ranges.mapping(name, checked[name])
    ranges.check(checked | checked.get("extra_body", {}))
    ranges.check_patience(checked)
    for name in ABSENT:
        if name in checked:
            raise UsageError(f"anthropic has no {name} (it is {checked[name]!r}); leave it out.")
    ranges.number("temperature", checked.get("temperature"), 0, 1)
    ranges.number("top_p", checked.get("top_p"), 0, 1)
    ranges.whole("top_k", checked.get("top_k"), 0)
    ranges.whole("max_tokens", checked.get("max_tokens"), 1)
    ranges.one_of("reasoning_effort", checked.get("reasoning_effort"), claude.EFFORTS)
    if "stop_sequences" in checked:
        checked["stop_sequences"] = ranges.stops("stop", checked["stop_sequences"], 8191)
    if "thinking" in checked:
        checked["thinking"] = claude.checked_thinking(checked["thinking"])
    return checked


def _is_thinking(given: Mapping[str, Any], adaptive: bool) -> bool:
    return claude.thinks(given.get("thinking") or claude.thinking_for(given.get("reasoning_effort"), adaptive))


def _may_think(messages: list[wire.JSON]) -> bool:
    """Whether the service lets it: calls whose results it is told now have to stand with what it thought of them."""
    if messages[-1]["content"][0]["type"] != "tool_result":
        return True
    return messages[-2]["content"][0]["type"] in ("thinking", "redacted_thinking")


def _refuse_beside_thinking(given: Mapping[str, Any], choice: Mapping[str, Any] | None) -> None:
    if given.get("temperature") not in (None, 1) or given.get("top_k") is not None:
        name = "top_k" if given.get("top_k") is not None else "temperature"
        raise UsageError(f"{name} is {given[name]!r}, but a model that thinks takes no {name}; leave one of them out.")
    if choice is not None and choice["type"] in ("any", "tool"):
        raise UsageError(
            "A model that thinks cannot be made to call a tool; leave out thinking (reasoning_effort='none'), "
            "or the tool_choice, or have the answer's form held by structured_output='native'."
        )
