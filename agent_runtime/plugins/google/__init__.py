"""``google.LLM``: Gemini, at AI Studio with ``GEMINI_API_KEY`` or ``GOOGLE_API_KEY``, or at Vertex AI with `vertexai=True`.

`TTS` is Gemini's voice; `tools` are what Google runs itself.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from agent_runtime.plugins.google import beta, tools
from agent_runtime.providers.gemini.llm import MODEL, GeminiLLM, content_or_image
from agent_runtime.providers.gemini.tts import GeminiTTS
from agent_runtime.tools import ProviderTool, ToolChoice
from agent_runtime.types import NOT_GIVEN, APIConnectOptions, NotGivenOr

__all__ = ["LLM", "TTS", "GeminiTTS", "beta", "content_or_image", "tools"]

VERTEX_VARIABLE = "GOOGLE_GENAI_USE_VERTEXAI"


class LLM(GeminiLLM):
    """A model of Google's, with the arguments of livekit-agents.

    Args:
        vertexai: else ``GOOGLE_GENAI_USE_VERTEXAI``.
        http_options: ``base_url``, ``api_version``, ``headers`` and ``timeout`` (in milliseconds), as an object of
            `google.genai` or as a dictionary.
        automatic_function_calling_config: taken, and of no effect: tools are run by the session.
        further: as for `GeminiLLM`.
    """

    def __init__(
        self,
        *,
        model: str = MODEL,
        api_key: NotGivenOr[str | None] = NOT_GIVEN,
        vertexai: NotGivenOr[bool | None] = NOT_GIVEN,
        project: NotGivenOr[str | None] = NOT_GIVEN,
        location: NotGivenOr[str | None] = NOT_GIVEN,
        temperature: NotGivenOr[float | None] = NOT_GIVEN,
        max_output_tokens: NotGivenOr[int | None] = NOT_GIVEN,
        top_p: NotGivenOr[float | None] = NOT_GIVEN,
        top_k: NotGivenOr[float | None] = NOT_GIVEN,
        presence_penalty: NotGivenOr[float | None] = NOT_GIVEN,
        frequency_penalty: NotGivenOr[float | None] = NOT_GIVEN,
        tool_choice: NotGivenOr[ToolChoice | None] = NOT_GIVEN,
        thinking_config: NotGivenOr[Any] = NOT_GIVEN,
        automatic_function_calling_config: NotGivenOr[Any] = NOT_GIVEN,
        gemini_tools: NotGivenOr[Sequence[ProviderTool | Mapping[str, Any]] | None] = NOT_GIVEN,
        http_options: NotGivenOr[Any] = NOT_GIVEN,
        seed: NotGivenOr[int | None] = NOT_GIVEN,
        safety_settings: NotGivenOr[Sequence[Any] | None] = NOT_GIVEN,
        media_resolution: NotGivenOr[str | None] = NOT_GIVEN,
        cached_content: NotGivenOr[str | None] = NOT_GIVEN,
        conn_options: APIConnectOptions | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        **further: Any,
    ) -> None:
        use_vertex = _or_none(vertexai)
        if use_vertex is None:
            use_vertex = os.environ.get(VERTEX_VARIABLE, "").lower() in ("1", "true")
        http = _http(_or_none(http_options))
        extra = dict(further.pop("extra_kwargs", None) or {})
        if http.get("headers"):
            extra["extra_headers"] = {**http["headers"], **(extra.get("extra_headers") or {})}
        if _or_none(media_resolution) is not None:
            extra["media_resolution"] = media_resolution
        if http.get("timeout") and conn_options is None:
            seconds = float(http["timeout"]) / 1000
            conn_options = APIConnectOptions(timeout=seconds, first_token_timeout=seconds)
        super().__init__(
            model,
            api_key=_or_none(api_key),
            base_url=further.pop("base_url", None) or http.get("base_url"),
            api_version=further.pop("api_version", None) or http.get("api_version"),
            vertexai=use_vertex,
            project=_or_none(project),
            location=_or_none(location),
            temperature=_or_none(temperature),
            max_output_tokens=_or_none(max_output_tokens),
            top_p=_or_none(top_p),
            top_k=_or_none(top_k),
            presence_penalty=_or_none(presence_penalty),
            frequency_penalty=_or_none(frequency_penalty),
            tool_choice=_or_none(tool_choice),
            thinking_config=_or_none(thinking_config),
            gemini_tools=_or_none(gemini_tools),
            seed=_or_none(seed),
            safety_settings=_or_none(safety_settings),
            cached_content=_or_none(cached_content),
            extra_kwargs=extra,
            conn_options=conn_options,
            transport=transport,
            **further,
        )


class TTS(beta.GeminiTTS):
    """A voice of Gemini's, with the arguments of livekit-agents.

    Args:
        model_name: the model, where `model` is not given.
        prompt: the instructions, where `instructions` are not given.
    """

    def __init__(
        self, *, model_name: NotGivenOr[str] = NOT_GIVEN, prompt: NotGivenOr[str] = NOT_GIVEN, **further: Any
    ) -> None:
        if model_name is not NOT_GIVEN:
            further.setdefault("model", model_name)
        if prompt is not NOT_GIVEN:
            further.setdefault("instructions", prompt)
        super().__init__(**further)


def _or_none(value: Any) -> Any:
    return None if value is NOT_GIVEN else value


def _http(options: Any) -> dict[str, Any]:
    if options is None:
        return {}
    if isinstance(options, Mapping):
        return dict(options)
    return {name: getattr(options, name, None) for name in ("base_url", "api_version", "headers", "timeout")}
