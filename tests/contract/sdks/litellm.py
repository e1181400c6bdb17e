"""The calls as users of LiteLLM write them for ``gemini/``: the founding document of rows D1 to D32, and what it maps."""

import logging
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import httpx
import litellm  # type: ignore[import-not-found,import-untyped,attr-defined,unused-ignore]
from litellm.litellm_core_utils.prompt_templates import (  # type: ignore[import-not-found,import-untyped,attr-defined,unused-ignore]
    image_handling,
)

from tests.contract.material import (
    BOOK_TOOL,
    COOKIES,
    FORECAST,
    GS_URI,
    HARMS,
    HELLO,
    KEY,
    LONG,
    MODELS,
    MP3_BASE64,
    PDF_BASE64,
    PDF_URL,
    PICTURE_URL,
    PNG,
    PNG_URI,
    SAID,
    SYSTEM,
    WAV_BASE64,
    WEATHER_TOOL,
)
from tests.contract.sdks.running import run

THREE = "gemini/gemini-3-flash-preview"
TTS = "gemini/gemini-2.5-flash-preview-tts"
SPEECH = {"stream": False, "modalities": ["audio"]}
EPHEMERAL = {"type": "ephemeral"}

USER = {"role": "user", "content": HELLO}
QUESTION = {"role": "user", "content": "Weather in Rome?"}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": WEATHER_TOOL,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "description": "where"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
BOOK = {
    "type": "function",
    "function": {
        "name": "book",
        "description": BOOK_TOOL,
        "parameters": {
            "type": "object",
            "properties": {
                "seats": {"type": "integer"},
                "name": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
            },
            "required": ["seats"],
            "additionalProperties": False,
        },
    },
}
ROME = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Rome"}'}}
BERN = {"id": "call_2", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Bern"}'}}
SUNNY = {"role": "tool", "tool_call_id": "call_1", "content": "sunny in Rome"}
RAINY = {"role": "tool", "tool_call_id": "call_2", "content": "rain in Bern"}
TOOLS = {"messages": [QUESTION], "tools": [WEATHER, BOOK]}


def asking(*parts: Any) -> dict[str, Any]:
    made = [{"type": "text", "text": each} if isinstance(each, str) else each for each in parts]
    return {"messages": [{"role": "user", "content": made}]}


def file(**told: str) -> dict[str, Any]:
    return {"type": "file", "file": told}


def marked(role: str, text: str, **control: Any) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": text, "cache_control": {**EPHEMERAL, **control}}]}


CALLS: dict[str, dict[str, Any]] = {
    "plain": {},
    "not_streamed": {"stream": False},
    "turns": {
        "messages": [
            {"role": "system", "content": SYSTEM},
            USER,
            {"role": "assistant", "content": "Hi, what can I do?"},
            {"role": "user", "content": "Tell me a joke."},
        ]
    },
    "developer": {"messages": [{"role": "developer", "content": SYSTEM}, USER]},
    "tool_turn": {"messages": [QUESTION, {"role": "assistant", "tool_calls": [ROME]}, SUNNY], "tools": [WEATHER]},
    "parallel_calls": {
        "messages": [
            {"role": "user", "content": "Weather in Rome and Bern?"},
            {"role": "assistant", "tool_calls": [ROME, BERN]},
            SUNNY,
            RAINY,
        ],
        "tools": [WEATHER],
    },
    "spoken_call": {
        "messages": [
            {"role": "system", "content": SYSTEM},
            QUESTION,
            {"role": "assistant", "content": "Let me look.", "tool_calls": [ROME]},
            SUNNY,
            {"role": "assistant", "content": "It is sunny."},
            {"role": "user", "content": "Thanks!"},
        ],
        "tools": [WEATHER],
    },
    "late_instructions": {
        "messages": [
            {"role": "system", "content": SYSTEM},
            USER,
            {"role": "system", "content": "Mind your words."},
            {"role": "user", "content": "Go on."},
        ]
    },
    "system_only": {"messages": [{"role": "system", "content": SYSTEM}]},
    "tools": TOOLS,
    "functions": {"messages": [QUESTION], "functions": [WEATHER["function"], BOOK["function"]]},
    "choice_auto": {**TOOLS, "tool_choice": "auto"},
    "choice_required": {**TOOLS, "tool_choice": "required"},
    "choice_none": {**TOOLS, "tool_choice": "none"},
    "choice_named": {**TOOLS, "tool_choice": {"type": "function", "function": {"name": "book"}}},
    "sampling": {"temperature": 0.7, "top_p": 0.9, "max_completion_tokens": 100},
    "max_tokens": {"max_tokens": 100},
    "top_k": {"topK": 1},
    "penalties": {"frequency_penalty": 0.5, "presence_penalty": -0.5},
    "seed": {"seed": 7},
    "stop": {"stop": ["\n", "END"]},
    "stop_text": {"stop": "END"},
    "n": {"n": 2},
    "logprobs": {"logprobs": True},
    "top_logprobs": {"logprobs": True, "top_logprobs": 3},
    "logit_bias": {"logit_bias": {"50256": -100}},
    "json_schema": {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "Forecast", "schema": FORECAST, "strict": True},
        }
    },
    "response_schema": {"response_format": {"type": "json_object", "response_schema": COOKIES}},
    "response_schema_1.5": {
        "model": "gemini/gemini-1.5-pro",
        "response_format": {"type": "json_object", "response_schema": COOKIES},
    },
    "json_object": {"response_format": {"type": "json_object"}},
    "image_data": asking("What is this?", {"type": "image_url", "image_url": {"url": PNG_URI}}),
    "image_url": asking({"type": "image_url", "image_url": {"url": PICTURE_URL}}, "What is this?"),
    "image_detail": {
        "model": THREE,
        **asking("What is this?", {"type": "image_url", "image_url": {"url": PNG_URI, "detail": "low"}}),
    },
    "image_path": asking({"type": "image_url", "image_url": {"url": "./localimage.jpeg"}}, "What is this?"),
    "audio": asking({"type": "input_audio", "input_audio": {"data": WAV_BASE64, "format": "wav"}}, "What do you hear?"),
    "mp3": asking(file(file_data=f"data:audio/mp3;base64,{MP3_BASE64}"), "What do you hear?"),
    "pdf": asking(file(file_data=f"data:application/pdf;base64,{PDF_BASE64}"), "Sum it up."),
    "file_url": asking(file(file_id=PDF_URL, format="application/pdf"), "Sum it up."),
    "file_guess": asking(file(file_id=PDF_URL), "Sum it up."),
    "file_gs": asking(file(file_id=GS_URI), "Sum it up."),
    **{
        f"effort_{effort}": {"reasoning_effort": effort}
        for effort in ("disable", "none", "minimal", "low", "medium", "high", "xhigh")
    },
    **{
        f"effort_three_{effort}": {"model": THREE, "reasoning_effort": effort}
        for effort in ("minimal", "low", "medium", "high", "disable")
    },
    "effort_pro": {"model": "gemini/gemini-2.5-pro", "reasoning_effort": "minimal"},
    "effort_lite": {"model": "gemini/gemini-2.5-flash-lite", "reasoning_effort": "minimal"},
    **{f"model_{model}": {"model": f"gemini/{model}"} for model in MODELS},
    "thinking": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    "thinking_off": {"thinking": {"type": "disabled"}},
    "safety": {"safety_settings": HARMS},
    "search": {"tools": [{"googleSearch": {}}]},
    "url_context": {"tools": [{"urlContext": {}}]},
    "code": {"tools": [{"codeExecution": {}}]},
    "mixed": {"messages": [QUESTION], "tools": [WEATHER, {"googleSearch": {}}]},
    "speech": {"model": TTS, **SPEECH, "audio": {"voice": "Kore", "format": "pcm16"}},
    "speech_mp3": {"model": TTS, **SPEECH, "audio": {"voice": "Kore", "format": "mp3"}},
    "speech_more": {
        "model": "gemini/gemini-2.5-pro-preview-tts",
        **SPEECH,
        "messages": [{"role": "system", "content": SYSTEM}, USER],
        "audio": {"voice": "Charon", "format": "pcm16"},
        "temperature": 0.7,
        "max_tokens": 150,
    },
    "drawing": {"model": "gemini/gemini-2.0-flash-exp-image-generation", "modalities": ["image", "text"]},
    "cache": {"messages": [marked("system", LONG), marked("user", "What are the key terms?"), USER]},
    "cache_gap": {
        "messages": [
            marked("user", LONG),
            {"role": "assistant", "content": "I see."},
            marked("user", "Go on."),
        ]
    },
    "cache_late": {
        "messages": [
            {"role": "user", "content": "Before."},
            marked("user", LONG),
            {"role": "user", "content": "After."},
        ]
    },
    "cache_tools": {
        "messages": [marked("user", LONG), QUESTION],
        "tools": [WEATHER],
        "tool_choice": "required",
    },
    "cache_ttl": {"messages": [marked("user", LONG, ttl="300s"), QUESTION]},
    "cache_all": {"messages": [marked("user", LONG)]},
    "cache_small": {"messages": [marked("user", "Too small."), QUESTION]},
    "cache_model": {
        "messages": [marked("user", LONG), marked("assistant", "I see."), {"role": "user", "content": "Go on."}]
    },
}


def asked(url: str, model: str = "gemini/gemini-2.5-flash", **told: Any) -> Any:
    return litellm.completion(
        **{"model": model, "messages": [USER], "stream": True, **told},
        api_base=f"{url}/v1beta",
        api_key=KEY,
        num_retries=0,
        max_retries=0,
        # Else it imports `mcp` as soon as there are tools, which only its proxy brings.
        _skip_mcp_handler=True,
    )


def calling(name: str) -> Callable[[str], object]:
    def call(url: str) -> object:
        answer = asked(url, **CALLS[name])
        return list(answer) if CALLS[name].get("stream", True) else answer

    return call


def completion(url: str) -> object:
    """Row D3: OpenAI's ``/completions``."""
    return litellm.text_completion(
        model="gemini/gemini-2.5-flash", prompt=HELLO, api_base=f"{url}/v1beta", api_key=KEY, num_retries=0
    )


def embedding(url: str) -> object:
    return litellm.embedding(
        model="gemini/gemini-embedding-001", input=[HELLO, "Bye"], api_base=f"{url}/v1beta", api_key=KEY, num_retries=0
    )


def read(url: str) -> dict[str, Any]:
    found: dict[str, Any] = {"text": "", "reasoning": "", "calls": []}
    try:
        for chunk in asked(url, stream_options={"include_usage": True}):
            for choice in chunk.choices:
                found["text"] += choice.delta.content or ""
                found["reasoning"] += getattr(choice.delta, "reasoning_content", None) or ""
                for call in choice.delta.tool_calls or ():
                    found["calls"].append({"name": call.function.name, "arguments": call.function.arguments})
                found["finish"] = choice.finish_reason or found.get("finish")
            if getattr(chunk, "usage", None) is not None:
                found["usage"] = usage(chunk.usage)
    except litellm.exceptions.MidStreamFallbackError as error:
        said = SAID["error"]["error"]
        found["error"] = [type(error).__name__, said if said in str(error) else str(error)]
    return found


def whole(url: str) -> dict[str, Any]:
    answer = asked(url, stream=False)
    choice = answer.choices[0]
    return {
        "text": choice.message.content or "",
        "reasoning": getattr(choice.message, "reasoning_content", None) or "",
        "calls": [
            {"name": call.function.name, "arguments": call.function.arguments}
            for call in choice.message.tool_calls or ()
        ],
        "finish": choice.finish_reason,
        "usage": usage(answer.usage),
    }


def picture(url: str) -> dict[str, Any]:
    """Row D30."""
    message = asked(url, stream=False, modalities=["image", "text"]).choices[0].message
    return {"text": message.content, "images": [each["image_url"]["url"].partition(",")[2] for each in message.images]}


def sound(url: str) -> dict[str, Any]:
    """Row D28."""
    told = {"modalities": ["audio"], "audio": {"voice": "Kore", "format": "pcm16"}}
    message = asked(url, model=TTS, stream=False, **told).choices[0].message
    return {"audio": message.audio.data}


def enforced(url: str) -> dict[str, Any]:
    """Row D9."""
    wanted = {"type": "json_object", "response_schema": COOKIES, "enforce_validation": True}
    try:
        return {"text": asked(url, stream=False, response_format=wanted).choices[0].message.content}
    except litellm.JSONSchemaValidationError as error:
        return {"unfit": error.raw_response}


def usage(told: Any) -> dict[str, int]:
    details = told.completion_tokens_details
    return {
        "prompt_tokens": told.prompt_tokens,
        "completion_tokens": told.completion_tokens,
        "cached_tokens": (told.prompt_tokens_details and told.prompt_tokens_details.cached_tokens) or 0,
        "reasoning_tokens": (details and details.reasoning_tokens) or 0,
    }


def fetched(client: Any, url: str, **options: Any) -> Any:
    """There is one picture in the network, and nothing else."""
    if url != PICTURE_URL:
        raise ConnectionError(f"{url} is not there")
    return httpx.Response(200, content=PNG, headers={"content-type": "image/png"})


if __name__ == "__main__":
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    logging.disable(logging.CRITICAL)
    image_handling.safe_get = fetched
    besides = {"completion": completion, "embed_many": embedding}
    wholes: dict[str, Any] = {f"whole-{name}": whole for name in SAID if name != "error"}
    wholes |= {"whole-picture": picture, "whole-sound": sound, "whole-fit": enforced, "whole-unfit": enforced}
    calls = {name: calling(name) for name in CALLS} | besides
    run(version("litellm"), calls, dict.fromkeys(SAID, read) | wholes)
