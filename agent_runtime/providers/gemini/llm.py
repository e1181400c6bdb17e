"""The wire of Gemini: `generateContent` of Google AI Studio and of Vertex AI.

What is sent is put together here from pure parts: the conversation (`gemini_contents`), the parameters
(`gemini_options`), the tools (`gemini_tools`); what comes is read by `gemini_answer`. Besides the conversation a request
may need pictures (`parts`), a token (`vertex`) and a cache (`gemini_cache`), all over the same connections.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import httpx

from agent_runtime import clock
from agent_runtime.chat import ChatContext, ChatItem, ChatMessage, FunctionCall
from agent_runtime.content import Content, FileContent, ImageContent, TextContent
from agent_runtime.errors import APIStatusError, UsageError
from agent_runtime.llm import ChatChunk, CollectedResponse
from agent_runtime.media import by_name
from agent_runtime.providers import parts as files
from agent_runtime.providers.gemini.answer import GeminiAnswer, GeminiFraming
from agent_runtime.providers.gemini.cache import Block, Caches, first_block
from agent_runtime.providers.gemini.contents import Dialect, contents, history
from agent_runtime.providers.gemini.options import Options, format_config, generation, is_three, options
from agent_runtime.providers.gemini.tools import Tools
from agent_runtime.providers.gemini.vertex import KEY_VARIABLES, Access, AIStudio, Place, VertexAI
from agent_runtime.providers.http.exchange import Answer, Request
from agent_runtime.providers.http.service import Service
from agent_runtime.providers.http.sse import Framing
from agent_runtime.providers.inlined import base64_of
from agent_runtime.providers.ranges import mapping
from agent_runtime.providers.remote import Asked, RemoteLLM, RemoteStream
from agent_runtime.tools import FunctionTool
from agent_runtime.types import APIConnectOptions

if TYPE_CHECKING:
    from agent_runtime.tools import ProviderTool, ToolChoice

JSON = dict[str, Any]

MODEL = "gemini-2.5-flash"
EMBEDDING_MODEL = "gemini-embedding-001"

THINKING_TIMEOUT_S = 60.0
"""To the first token of a model that thinks long."""

LONG_THOUGHTS = 2048
"""Tokens of a budget from which on a model thinks long."""

PREFIXES = ("gemini/", "google/", "vertex_ai/", "models/")
"""What may stand before a model's name and is no part of it."""

log = logging.getLogger("agent_runtime.llm")


@dataclass(slots=True)
class GeminiService(Service):
    """Gemini, and what is peculiar in its refusals."""

    caches: Caches = field(default_factory=Caches, repr=False)

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
        error = Service.refused(self, status, headers, body)  # no super() in a dataclass with slots
        if b"API_KEY_INVALID" in body:  # a wrong key is a bad request to Google
            (_, wrong), (error.fault, fix) = self._blame(status), self._blame(401)
            error.message = error.message.replace(wrong, fix)
            error.args = (error.message,)
        if status in (403, 404) and b"achedContent" in body:
            self.caches.forget()
            error.retryable = True
        return error


class GeminiLLM(RemoteLLM):
    """A model of Google's.

    Args:
        model: any of Google's names; ``gemini/`` and ``models/`` may stand before it.
        api_key: of AI Studio; else ``GEMINI_API_KEY``, then ``GOOGLE_API_KEY``.
        base_url: of a proxy, or of another place.
        api_version: ``v1beta`` of AI Studio and ``v1`` of Vertex AI.
        vertexai: ask Vertex AI, for which `project`, `location` and `credentials` are (see `vertex.VertexAI`).
        reasoning_effort: ``disable``, ``minimal``, ``low``, ``medium``, ``high``; or `thinking` in Anthropic's form, or
            `thinking_config` in Gemini's.
        safety_settings: ``[{"category": ..., "threshold": ...}]``.
        cached_content: the name of a cache. It holds instructions and tools: the request then carries none.
        gemini_tools: tools that Google runs, for every request.
        url_mode: ``inline`` fetches pictures here and sends their bytes; ``uri`` sends their addresses.
        allow_private: fetch pictures from this machine and its network too.
        drop_params: leave out what Gemini has no parameter for, instead of refusing it.
        extra_kwargs: anything else, by OpenAI's name or Gemini's own.
    """

    framing: ClassVar[type[Framing]] = GeminiFraming
    streams_sound: ClassVar[bool] = False
    """Whether sound is asked for piece by piece; a chat gives it whole."""

    def __init__(
        self,
        model: str = MODEL,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        api_version: str | None = None,
        vertexai: bool = False,
        project: str | None = None,
        location: str | None = None,
        credentials: Any = None,
        temperature: float | None = None,
        max_output_tokens: int | None = None,
        top_p: float | None = None,
        top_k: float | None = None,
        presence_penalty: float | None = None,
        frequency_penalty: float | None = None,
        seed: int | None = None,
        stop: str | Sequence[str] | None = None,
        reasoning_effort: str | None = None,
        thinking: Mapping[str, Any] | None = None,
        thinking_config: Any = None,
        safety_settings: Sequence[Any] | None = None,
        tool_choice: "ToolChoice | None" = None,
        gemini_tools: "Sequence[ProviderTool | Mapping[str, Any]] | None" = None,
        cached_content: str | None = None,
        url_mode: Literal["inline", "uri"] = "inline",
        allow_private: bool = False,
        drop_params: bool = False,
        extra_kwargs: Mapping[str, Any] | None = None,
        conn_options: APIConnectOptions | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        model = plain_name(model)
        if url_mode not in ("inline", "uri"):
            raise UsageError(f"url_mode is {url_mode!r}; it is 'inline' or 'uri'.")
        given = {
            "temperature": temperature,
            "max_output_tokens": max_output_tokens,
            "top_p": top_p,
            "top_k": top_k,
            "presence_penalty": presence_penalty,
            "frequency_penalty": frequency_penalty,
            "seed": seed,
            "stop": stop,
            "reasoning_effort": reasoning_effort,
            "thinking": thinking,
            "thinking_config": thinking_config,
            "safety_settings": safety_settings,
            "tool_choice": tool_choice,
            "gemini_tools": gemini_tools,
            "cached_content": cached_content,
            **mapping("extra_kwargs", extra_kwargs or None),
        }
        self.drop_params = drop_params
        self.url_mode = url_mode
        self.allow_private = allow_private
        self._options = options(model, given, drop_params=drop_params)
        self._response_format = self._options.response_format
        self.place: Place = (
            VertexAI(project, location, credentials, base_url, api_version)
            if vertexai
            else AIStudio(model, api_key, base_url, api_version)
        )
        variable = "GOOGLE_APPLICATION_CREDENTIALS" if vertexai else KEY_VARIABLES[0]
        service = GeminiService(self.place.provider, model, variable, self.place.secrets)
        super().__init__(service, conn_options=conn_options or _patience(model, self._options), transport=transport)
        self.caches = service.caches
        self._dialect = Dialect(ids=self.place.ids, signed=is_three(model))
        self._warned = False

    @property
    def prewarm_url(self) -> str:
        return f"{self.place.host}/"

    def chat(
        self,
        *,
        chat_ctx: ChatContext,
        tools: "Sequence[FunctionTool | ProviderTool | Mapping[str, Any]]" = (),
        tool_choice: "ToolChoice | None" = None,
        parallel_tool_calls: bool | None = None,
        response_format: Any = None,
        extra_kwargs: Mapping[str, Any] | None = None,
        conn_options: APIConnectOptions | None = None,
        modalities: Sequence[str] | None = None,
        audio: Mapping[str, Any] | None = None,
        cached_content: str | None = None,
        gemini_tools: "Sequence[ProviderTool | Mapping[str, Any]] | None" = None,
    ) -> RemoteStream:
        """Ask for an answer. What is given here counts before what was given to the constructor.

        Args:
            tools: functions, Google's own, and both as dictionaries: ``{"type": "function", "function": {...}}``,
                ``{"googleSearch": {}}``.
            modalities: ``["audio"]`` with a model that speaks: the sound is in ``extra["audio"]`` at the end;
                ``["image", "text"]`` with one that draws: the pictures are in ``extra["images"]``.
            audio: ``{"voice": "Kore", "format": "pcm16"}``: 24 kHz, mono.
        """
        more = {
            "modalities": modalities,
            "audio": audio,
            "cached_content": cached_content,
            "gemini_tools": gemini_tools,
        }
        named = {name: value for name, value in more.items() if value is not None}
        extra = mapping("extra_kwargs", extra_kwargs or None) | named
        return super().chat(
            chat_ctx=chat_ctx,
            tools=cast(Any, tools),
            tool_choice=tool_choice,
            parallel_tool_calls=parallel_tool_calls,
            response_format=response_format,
            extra_kwargs=extra,
            conn_options=conn_options,
        )

    def complete(self, prompt: str, **asked: Any) -> RemoteStream:
        """Ask with one message, as OpenAI's ``/completions``; `asked` as for `chat`."""
        chat_ctx = ChatContext()
        chat_ctx.add_message(role="user", content=prompt)
        return self.chat(chat_ctx=chat_ctx, **asked)

    # What is sent

    async def request(self, asked: Asked) -> Request:
        read = self.read(asked)
        if read.speaks and read.stream and not self.streams_sound:
            raise UsageError(
                "stream is True, but Gemini does not stream sound in a chat; leave stream out, or use the TTS node "
                f"(gemini.TTS(model={self.model!r}))."
            )
        config = {**read.config, **format_config(self.model, read.response_format)}
        tools = await self._tools(asked, read)
        items = asked.chat_ctx.items
        block = None if "cachedContent" in read.body else first_block(items)
        access = await self.place.access(self.service)
        parts = await self._parts(items, config)
        body = await self._cached(block, items, parts, tools, access) if block else None
        if body is None:
            body = self._conversation(items, parts, tools, keeps_none="cachedContent" in read.body)
        if config:
            body["generationConfig"] = config
        body |= {
            name: value for name, value in read.body.items() if name != "toolConfig"
        }  # which stands with the tools
        streams = self.streams_sound or (not read.speaks and read.stream is not False)
        verb = "streamGenerateContent?alt=sse" if streams else "generateContent"
        return Request.of_json(f"{self._address(access)}:{verb}", {**access.headers, **read.headers}, body)

    def read(self, asked: Asked) -> Options:
        """What was asked for here, over what was asked for in the constructor.

        Raises:
            UsageError: a parameter cannot be as it is.
        """
        told = dict(asked.extra_kwargs)
        drop = bool(told.pop("drop_params", self.drop_params))
        named = {
            "parallel_tool_calls": asked.parallel_tool_calls,
            "tool_choice": asked.tool_choice,
            "response_format": asked.response_format,
        }
        told.update({name: value for name, value in named.items() if value is not None})
        return options(self.model, told, over=self._options, drop_params=drop)

    async def _tools(self, asked: Asked, read: Options) -> JSON:
        """``tools`` and ``toolConfig``."""
        given = [*asked.tools, *read.functions]
        for tool in given:
            if isinstance(tool, FunctionTool) and not tool.worked_out:
                await clock.offload(tool.work_out)
        tools = Tools()
        tools.add(given)
        mixed = self.place.mixes and is_three(self.model)
        told = tools.wire(model=self.model, mixed=mixed)
        config = dict(read.body.get("toolConfig") or {})
        choice = tools.choice(read.tool_choice)
        if choice is not None:
            config["functionCallingConfig"] = choice
        if tools.declarations and tools.googles:
            config["includeServerSideToolInvocations"] = True
        return {**({"tools": told} if told else {}), **({"toolConfig": config} if config else {})}

    def _conversation(
        self, items: Sequence[ChatItem], parts: Mapping[int, JSON], tools: JSON, *, keeps_none: bool
    ) -> JSON:
        made = history(items, parts, self._dialect)
        body: JSON = {"contents": contents(made.turns)}
        if keeps_none:
            self._warn_of_cache(made.system is not None or bool(tools))
            return body
        if made.system is not None:
            body["systemInstruction"] = made.system
        return body | tools

    def _warn_of_cache(self, left_out: bool) -> None:
        if left_out and not self._warned:
            self._warned = True
            log.warning("cached_content holds the instructions and the tools; those of the agent are not sent with it")

    async def _cached(
        self, block: Block, items: Sequence[ChatItem], parts: Mapping[int, JSON], tools: JSON, access: Access
    ) -> JSON | None:
        """The request with its beginning in a cache; None where that cannot be."""
        made = history(items, parts, self._dialect, cut=block.until)
        kept = [turn for turn in made.turns if turn.until <= block.until]
        if kept and kept[-1].kind != "user":
            log.debug("what is marked for the cache ends with the model's words, which Gemini does not keep")
            return None
        wanted: JSON = {"model": f"{access.resource}{self.model}"}
        if kept:
            wanted["contents"] = contents(kept, end=False)
        if made.system is not None:
            wanted["systemInstruction"] = made.system

        async def ask(method: str, path: str, body: JSON | None) -> JSON:
            return await self._ask(access, method, f"{access.root}/{path}", body)

        name = await self.caches.name(wanted | tools, block.ttl, ask)
        if name is None:
            return None
        return {"contents": contents(made.turns[len(kept) :], begin=False), "cachedContent": name}

    async def _parts(self, items: Sequence[ChatItem], config: JSON) -> dict[int, JSON]:
        """Every part that is no plain text, as Gemini takes it, by its id; what must be fetched is fetched."""
        made: dict[int, JSON] = {}
        loading: dict[int, Content] = {}
        for item in items:
            if not isinstance(item, ChatMessage):
                continue
            for part in item.content:
                if isinstance(part, str):
                    continue
                known = self.typed(part)
                wire = self._without_bytes(known)
                if wire is not None:
                    made[id(part)] = wire
                elif not isinstance(known, Mapping):
                    loading[id(part)] = known
                if isinstance(known, ImageContent) and known.inference_detail != "auto":
                    config.setdefault("mediaResolution", f"MEDIA_RESOLUTION_{known.inference_detail.upper()}")
        if loading:
            client = await self.connections.client()
            loaded = await files.load_all(list(loading.values()), allow_private=self.allow_private, client=client)
            for key, each in zip(loading, loaded, strict=True):
                made[key] = {"inlineData": {"mimeType": each.mime_type, "data": base64_of(each)}}
        return made

    def _without_bytes(self, part: Content | JSON) -> JSON | None:
        """What needs no bytes; None for what does.

        Raises:
            UsageError: it is of no kind that Gemini takes.
        """
        if isinstance(part, TextContent):
            return {"text": part.text}
        if isinstance(part, Mapping):
            if "type" in part or not part:
                raise UsageError(
                    f"A message has a part of the type {part.get('type')!r}, which Gemini does not take; give text, "
                    "ImageContent, AudioContent or FileContent."
                )
            return dict(part)  # in Gemini's own words
        if isinstance(part, ImageContent) and part.url is not None and self.url_mode == "uri":
            return {"fileData": {"fileUri": part.url, "mimeType": part.mime_type or by_name(part.url) or "image/jpeg"}}
        if isinstance(part, FileContent) and part.uri is not None:
            kind = part.mime_type
            return {"fileData": {"fileUri": part.uri, **({"mimeType": kind} if kind else {})}}
        return None

    def _address(self, access: Access) -> str:
        root, _, name = self.model.rpartition("/")
        return f"{access.root}/{root}/{name}" if root else f"{access.models}{name}"

    # What comes

    def answer(self, asked: Asked) -> Answer[ChatChunk]:
        read = self.read(asked)
        taken = [item.call_id for item in asked.chat_ctx.items if isinstance(item, FunctionCall)]
        return GeminiAnswer(self.service, taken=taken, one_call=bool(read.one_call), sound=read.speaks)

    # Besides

    async def embed(
        self,
        texts: str | Sequence[str],
        *,
        model: str = EMBEDDING_MODEL,
        dimensions: int | None = None,
        task_type: str | None = None,
    ) -> list[list[float]]:
        """A vector for each text (``:embedContent``). AI Studio only.

        Raises:
            APIError: they could not be had.
        """
        if not isinstance(self.place, AIStudio):
            raise UsageError("Embeddings are asked of AI Studio; use a model with api_key instead of vertexai=True.")
        named = f"models/{plain_name(model)}"
        told = {"outputDimensionality": dimensions, "taskType": task_type}
        more = {name: value for name, value in told.items() if value is not None}
        each = [texts] if isinstance(texts, str) else list(texts)
        asked = [{"model": named, "content": {"parts": [{"text": text}]}, **more} for text in each]
        access = await self.place.access(self.service)
        try:
            async with clock.Deadline(self.first_token_timeout) as deadline:
                deadline.restart()
                if len(asked) == 1:
                    answer = await self._ask(access, "POST", f"{access.root}/{named}:embedContent", asked[0])
                    found = [answer["embedding"]]
                else:
                    url = f"{access.root}/{named}:batchEmbedContents"
                    found = (await self._ask(access, "POST", url, {"requests": asked}))["embeddings"]
                return [[float(value) for value in one["values"]] for one in found]
        except TimeoutError:
            raise self.service.silent(self.first_token_timeout, begun=False) from None
        except (KeyError, TypeError) as error:
            raise self.service.broken(f"an embedding lacks {error}") from None

    async def _ask(self, access: Access, method: str, url: str, body: JSON | None) -> JSON:
        """One call besides the conversation."""
        client = await self.connections.client()
        sent = Request.of_json(url, access.headers, body) if body is not None else Request(url, access.headers, b"")
        try:
            response = await client.request(method, url, headers=dict(sent.headers), content=sent.content or None)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self.service.lost(error, url, begun=False) from None
        if response.status_code >= 400:
            raise self.service.refused(response.status_code, response.headers, response.content)
        if response.status_code >= 300:
            raise self.service.redirected(response.status_code, response.headers.get("location", ""))
        try:
            answer = response.json()
        except ValueError:
            raise self.service.broken("it is no JSON") from None
        return answer if isinstance(answer, dict) else {}

    async def prepare(self) -> None:
        await self.place.access(self.service)

    async def aclose(self) -> None:
        await super().aclose()
        await self.place.aclose()


def plain_name(model: str) -> str:
    """A model's name without what says where it is asked.

    Raises:
        UsageError: nothing is left.
    """
    name = str(model).strip()
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    if not name or any(letter.isspace() for letter in name):
        raise UsageError(f"{model!r} names no model of Gemini's; give one such as {MODEL!r}.")
    return name


def content_or_image(response: CollectedResponse) -> str:
    """The picture of an answer as a data URI, where it has one; else its text."""
    images = response.extra.get("images") or []
    return str(images[0]) if images else response.text


def _patience(model: str, read: Options) -> APIConnectOptions | None:
    """Longer for a model that thinks long before it says anything."""
    thinks = read.config.get("thinkingConfig") or {}
    long = thinks.get("thinkingLevel") in ("medium", "high") or (thinks.get("thinkingBudget") or 0) >= LONG_THOUGHTS
    if not long and not ("pro" in model and (generation(model) or 0) >= 2.5 and not thinks):
        return None
    return APIConnectOptions(first_token_timeout=THINKING_TIMEOUT_S)
