"""Models on Amazon Bedrock, through its Converse API, which is the same for all of them.

Of AWS's SDK only the signature and the search for credentials are used (`botocore`, the extra ``bedrock``), and with a key of
Bedrock's own not even these; the connection, the deadlines and the cancel are ours. botocore is imported when a model is
made, not before.
"""

import importlib.util
import inspect
import os
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal
from urllib.parse import quote

import httpx

from agent_runtime import clock
from agent_runtime.content import AudioContent
from agent_runtime.errors import APIError, UsageError
from agent_runtime.inference.chain import shown
from agent_runtime.llm import ChatChunk
from agent_runtime.providers import parts, ranges
from agent_runtime.providers.anthropic import claude
from agent_runtime.providers.bedrock import messages as wire
from agent_runtime.providers.bedrock.answer import BedrockAnswer
from agent_runtime.providers.bedrock.event_stream import EventStream
from agent_runtime.providers.http.exchange import Answer, Request
from agent_runtime.providers.http.service import Service, cleaned_key
from agent_runtime.providers.http.sse import Framing
from agent_runtime.providers.remote import Asked, RemoteLLM
from agent_runtime.providers.schemas import ResponseSchema, response_schema
from agent_runtime.providers.turns import History, history
from agent_runtime.types import APIConnectOptions

DEFAULT_MODEL = "amazon.nova-2-lite-v1:0"
DEFAULT_REGION = "us-east-1"
MODEL_VARIABLE = "BEDROCK_INFERENCE_PROFILE_ARN"
BEARER_VARIABLE = "AWS_BEARER_TOKEN_BEDROCK"

LARGEST = 18_000_000
"""Bytes of all pictures and files of a request."""

LONG = 1 << 20
"""Bytes of a request above which it is signed in a thread."""

THINKING_TIMEOUT_S = 60.0

NAMES = {
    "max_tokens": "maxTokens",
    "max_completion_tokens": "maxTokens",
    "max_output_tokens": "maxTokens",
    "temperature": "temperature",
    "top_p": "topP",
    "stop": "stopSequences",
    "stop_sequences": "stopSequences",
}
"""Parameters by the names of other services, to those of ``inferenceConfig``."""

ABSENT = ("frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs", "n", "seed", "top_k")
"""Parameters that are not the same for all models on Bedrock; some models take them as additional fields."""

_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-\d+")


class BedrockLLM(RemoteLLM):
    """A model on Amazon Bedrock.

    Args:
        model: the id of a model or of an inference profile, or its ARN; else BEDROCK_INFERENCE_PROFILE_ARN.
        region: else the one in the ARN, else AWS_REGION or AWS_DEFAULT_REGION, else ``us-east-1``.
        api_key, api_secret: an access key and its secret, with `session_token` where it is a temporary one.
        bearer_token: a key of Bedrock's own; else AWS_BEARER_TOKEN_BEDROCK. Where neither it nor `api_key` is given, the
            credentials are found as AWS's tools find them: the environment, the profile, the machine's role.
        profile: in AWS's configuration files; else AWS_PROFILE.
        session: an object whose `get_credentials()` has the credentials: a session of boto3, botocore or aioboto3.
        base_url: an address of one's own, such as a VPC's; else AWS_ENDPOINT_URL_BEDROCK_RUNTIME.
        temperature, top_p: from 0 to 1.
        max_output_tokens: the longest answer.
        stop: texts that end the answer.
        tool_choice: where the call says nothing. The service cannot be told ``none``: then neither tools nor what was
            called before is sent.
        additional_request_fields: what only some models take, as the model calls it.
        cache_system, cache_tools: mark the instructions, or the tools, for the service's cache.
        reasoning_effort, thinking: as for `AnthropicLLM`; for models that think.
        structured_output, prefill: as for `AnthropicLLM`.
        allow_private: pictures and files may be fetched from this machine and its network too.
        extra_kwargs: further members of the request (``guardrailConfig``, ``performanceConfig``); ``extra_headers`` and
            ``extra_body`` go where they say. What a call gives counts before this.
        conn_options: how patient to be.
        transport: see `RemoteLLM`.
    """

    framing: ClassVar[type[Framing]] = EventStream

    def __init__(
        self,
        model: str | None = None,
        *,
        region: str | None = None,
        api_key: str | None = None,
        api_secret: str | None = None,
        session_token: str | None = None,
        bearer_token: str | None = None,
        profile: str | None = None,
        session: Any = None,
        base_url: str | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        max_output_tokens: int | None = None,
        stop: str | list[str] | None = None,
        tool_choice: Any = None,
        additional_request_fields: Mapping[str, Any] | None = None,
        cache_system: bool = False,
        cache_tools: bool = False,
        reasoning_effort: str | None = None,
        thinking: Mapping[str, Any] | None = None,
        structured_output: Literal["native", "tool"] = "native",
        prefill: bool | None = None,
        allow_private: bool = False,
        extra_kwargs: Mapping[str, Any] | None = None,
        conn_options: APIConnectOptions | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        if model is None:
            model = os.environ.get(MODEL_VARIABLE) or DEFAULT_MODEL
        if not model or not isinstance(model, str):
            raise UsageError(f"bedrock has no model {model!r}; name one, such as '{DEFAULT_MODEL}'.")
        environment = os.environ
        region = region or _region_of(model) or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
        region = region or DEFAULT_REGION
        if not _REGION.fullmatch(region):
            raise UsageError(f"region is {region!r}; it is one of AWS's, such as '{DEFAULT_REGION}'.")
        if bool(api_key) != bool(api_secret):
            raise UsageError("bedrock has one of api_key and api_secret; give both, or neither.")
        base = base_url or environment.get("AWS_ENDPOINT_URL_BEDROCK_RUNTIME")
        domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        self._url = _url(base or f"https://bedrock-runtime.{region}.{domain}", model)
        self._region = region
        self._profile = profile
        self._session = session
        named = api_key is not None or session is not None or profile is not None
        bearer = bearer_token or (None if named else environment.get(BEARER_VARIABLE))
        self._bearer = cleaned_key(bearer or "", f"bedrock's key ({BEARER_VARIABLE} or bearer_token=...)")
        if not self._bearer:
            _require_botocore()
        if not named:
            api_key, api_secret = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
            session_token = environment.get("AWS_SESSION_TOKEN")
        api_key, api_secret, session_token = (
            each and cleaned_key(each, f"bedrock's {name}")
            for each, name in (
                (api_key, "access key (AWS_ACCESS_KEY_ID or api_key=...)"),
                (api_secret, "secret key (AWS_SECRET_ACCESS_KEY or api_secret=...)"),
                (session_token, "session token (AWS_SESSION_TOKEN or session_token=...)"),
            )
        )
        self._credentials: Any = None if self._bearer or not api_key else _static(api_key, api_secret, session_token)
        self._fields = ranges.mapping("additional_request_fields", additional_request_fields)
        self._cache_system = cache_system
        self._cache_tools = cache_tools
        self._allow_private = allow_private
        self._structured = ranges.one_of("structured_output", structured_output, ("native", "tool"))
        found = claude.generation(model)
        self._prefill = found is not None and found < claude.ADAPTIVE_SINCE if prefill is None else prefill
        given = {
            "maxTokens": max_output_tokens,
            "temperature": temperature,
            "topP": top_p,
            "stopSequences": stop,
            "tool_choice": tool_choice,
            "reasoning_effort": reasoning_effort,
            "thinking": thinking,
        }
        self._given = {name: value for name, value in given.items() if value is not None}
        self._given |= _named(ranges.mapping("extra_kwargs", extra_kwargs))
        self._response_format = self._given.pop("response_format", None)
        checked = _checked(self._given)
        if conn_options is None and _thinks(checked):
            conn_options = APIConnectOptions(first_token_timeout=THINKING_TIMEOUT_S)
        secrets = [each for each in (api_secret, session_token, self._bearer) if each]
        service = Service("bedrock", model, _key_variable(bool(self._bearer)), secrets)
        super().__init__(service, conn_options=conn_options, transport=transport)

    @property
    def prewarm_url(self) -> str:
        return self._url.partition("/model/")[0]

    async def request(self, asked: Asked) -> Request:
        given = self._merged(asked)
        wanted = response_schema(asked.response_format)
        form = wanted if wanted is not None and self._takes_form(wanted) else None
        tools = ranges.tools([*asked.tools, *given.pop("tools", ())])
        config = wire.tool_config(tools, given.pop("tool_choice", None), form, cache=self._cache_tools)
        prefill = self._prefill and wanted is None and not _thinks(given)
        told = history(asked.chat_ctx, tools=config is not None, prefill=prefill, typing=self.typed)
        body: dict[str, Any] = {"messages": wire.messages(told, await self._contents(told), self.model)}
        if told.instructions:
            body["system"] = wire.system(told, cache=self._cache_system)
        if config is not None:
            body["toolConfig"] = config
        inference = {name: given.pop(name) for name in dict.fromkeys(NAMES.values()) if name in given}
        inference |= ranges.mapping("inferenceConfig", given.pop("inferenceConfig", None))
        if inference:
            body["inferenceConfig"] = inference
        self._put_output(body, wanted if form is None else None, given)
        fields = self._fields | ranges.mapping(
            "additionalModelRequestFields", given.pop("additionalModelRequestFields", None)
        )
        if "thinking" in given:
            fields["thinking"] = given.pop("thinking")
        if fields:
            body["additionalModelRequestFields"] = fields
        headers = {str(name).lower(): str(value) for name, value in given.pop("extra_headers", {}).items()}
        extra_body = given.pop("extra_body", {})
        return await self._authorized(Request.of_json(self._url, headers, body | given | extra_body))

    def answer(self, asked: Asked) -> Answer[ChatChunk]:
        wanted = response_schema(asked.response_format)
        form = wanted.name if wanted is not None and self._takes_form(wanted) else None
        return BedrockAnswer(self.service, tags=bool(asked.tools), form=form)

    def _takes_form(self, wanted: ResponseSchema) -> bool:
        return self._structured == "tool" or wanted.schema is None

    def _merged(self, asked: Asked) -> dict[str, Any]:
        given = self._given | _named(asked.extra_kwargs)
        if asked.tool_choice is not None:
            given["tool_choice"] = asked.tool_choice
        if asked.parallel_tool_calls is not None:
            given["parallel_tool_calls"] = asked.parallel_tool_calls
        given.pop("response_format", None)  # `asked` has it
        checked = _checked(given)
        for name in ("parallel_tool_calls", "stream"):  # the service has no word for them
            checked.pop(name, None)
        return checked

    async def _contents(self, told: History) -> dict[int, wire.JSON]:
        """The block of every picture and file, by the id of its part."""
        contents: dict[int, wire.JSON] = {}
        to_load = []
        for part in told.contents():
            if isinstance(part, Mapping):
                contents[id(part)] = dict(part)
            elif isinstance(part, AudioContent) and part.transcript:
                contents[id(part)] = {"text": part.transcript}
            else:
                to_load.append(part)
        if to_load:
            client = await self.connections.client()
            loaded = await parts.load_all(to_load, total=LARGEST, allow_private=self._allow_private, client=client)
            for number, (part, each) in enumerate(zip(to_load, loaded, strict=True), 1):
                name = getattr(part, "filename", None) or ""
                contents[id(part)] = wire.content(each, name, number)
        return contents

    def _put_output(self, body: dict[str, Any], wanted: ResponseSchema | None, given: dict[str, Any]) -> None:
        config = ranges.mapping("outputConfig", given.pop("outputConfig", None))
        effort = claude.effort_level(given.pop("reasoning_effort", None))
        if effort is not None:
            config.setdefault("effort", effort)
        if wanted is not None:
            config["textFormat"] = wire.text_format(wanted)
        if config:
            body["outputConfig"] = config

    # Who asks

    async def prepare(self) -> None:
        if not self._bearer and self._credentials is None:
            self._credentials = await self._found()

    async def _authorized(self, request: Request) -> Request:
        if self._bearer:
            return Request(request.url, {**request.headers, "authorization": f"Bearer {self._bearer}"}, request.content)
        await self.prepare()
        frozen = await self._frozen()
        for secret in (frozen.secret_key, frozen.token):
            if secret and secret not in self.service.secrets:
                self.service.secrets.append(secret)
        if len(request.content) > LONG:
            return await clock.offload(signed, request, frozen, self._region)
        return signed(request, frozen, self._region)

    async def _frozen(self) -> Any:
        """The credentials as they are now."""
        from botocore.exceptions import BotoCoreError

        found = self._credentials
        try:
            # Temporary ones are asked for again, over the network, before they expire.
            changes = hasattr(found, "refresh_needed")
            frozen = await clock.offload(found.get_frozen_credentials) if changes else found.get_frozen_credentials()
            return await frozen if inspect.isawaitable(frozen) else frozen
        except BotoCoreError as error:
            raise APIError(
                f"AWS gave no credentials for '{self.model}' ({self.service.redacted(str(error)).rstrip('.')}). Check the "
                "profile, the login or the role that they come from.",
                provider=self.provider,
                model=self.model,
                fault="key",
            ) from None

    async def _found(self) -> Any:
        """Credentials that may be asked for frozen ones, of the session or as AWS's tools find them."""
        if self._session is not None:
            found = self._session.get_credentials()
            found = await found if inspect.isawaitable(found) else found
        else:
            found = await clock.offload(_chain, self._profile)
        if found is None:
            raise UsageError(
                "bedrock needs credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_BEARER_TOKEN_BEDROCK, or "
                "AWS_PROFILE, or give api_key=... and api_secret=...; 'local/rules' is a model that needs none."
            )
        return found


def signed(request: Request, credentials: Any, region: str) -> Request:
    """The request with AWS's signature, version 4."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    made = AWSRequest("POST", request.url, dict(request.headers), request.content)
    SigV4Auth(credentials, "bedrock", region).add_auth(made)
    headers = {name.lower(): value for name, value in made.headers.items()}
    return Request(request.url, headers, request.content)


def _require_botocore() -> None:
    if importlib.util.find_spec("botocore") is None:
        raise UsageError(
            "bedrock needs botocore for AWS's signatures: pip install 'agent-runtime[bedrock]', or set "
            f"{BEARER_VARIABLE}, with which it needs none."
        )
    import botocore.auth
    import botocore.awsrequest  # noqa: F401  # now, not in the first turn


def _static(key: str, secret: str | None, token: str | None) -> Any:
    """Credentials that need no looking for."""
    from botocore.credentials import Credentials

    return Credentials(key, secret, token)


def _chain(profile: str | None) -> Any:
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    try:
        return Session(profile=profile).get_credentials()
    except BotoCoreError as error:
        raise UsageError(f"bedrock found no credentials: {error}. Check AWS_PROFILE or profile=...") from error


def _key_variable(bearer: bool) -> str:
    return BEARER_VARIABLE if bearer else "AWS_ACCESS_KEY_ID"


def _region_of(model: str) -> str | None:
    """The region that an ARN names."""
    fields = model.split(":")
    return fields[3] if fields[0] == "arn" and len(fields) > 4 and fields[3] else None


def _url(base: str, model: str) -> str:
    base = base.rstrip("/")
    if not base.startswith(("http://", "https://")):
        raise UsageError(f"base_url is {shown(base)!r}; it begins with https:// or http://.")
    return f"{base}/model/{quote(model, safe='-._~')}/converse-stream"


def _named(given: Mapping[str, Any]) -> dict[str, Any]:
    return {NAMES.get(name, name): value for name, value in given.items() if value is not None}


def _checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters within their bounds.

    Raises:
        UsageError: one is not, or is not the same for all models.
    """
    checked = dict(given)
    for name in ("extra_headers", "extra_body"):
        if name in checked:
            checked[name] = ranges.mapping(name, checked[name])
    ranges.check(checked | checked.get("extra_body", {}))
    ranges.check_patience(checked)
    for name in ABSENT:
        if name in checked:
            raise UsageError(
                f"bedrock has no {name} for all models (it is {checked[name]!r}); where the model takes one, give "
                f"additional_request_fields={{'{name}': ...}}, by the model's name for it."
            )
    ranges.number("temperature", checked.get("temperature"), 0, 1)
    ranges.number("top_p", checked.get("topP"), 0, 1)
    ranges.whole("max_output_tokens", checked.get("maxTokens"), 1)
    ranges.one_of("reasoning_effort", checked.get("reasoning_effort"), claude.EFFORTS)
    if "stopSequences" in checked:
        checked["stopSequences"] = ranges.stops("stop", checked["stopSequences"], 2500, blank=True)
    if "thinking" in checked:
        checked["thinking"] = claude.checked_thinking(checked["thinking"])
    return checked


def _thinks(given: Mapping[str, Any]) -> bool:
    return claude.thinks(given.get("thinking")) or claude.effort_level(given.get("reasoning_effort")) is not None
