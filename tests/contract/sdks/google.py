"""The calls as users of the `google-genai` package write them."""

import base64
import logging
from collections.abc import Callable
from typing import Any

from google import genai  # type: ignore[import-not-found,import-untyped,attr-defined,unused-ignore]
from google.auth.credentials import Credentials  # type: ignore[import-not-found,import-untyped,attr-defined,unused-ignore]
from google.genai import errors, types  # type: ignore[import-not-found,import-untyped,attr-defined,unused-ignore]

from tests.contract.material import (
    BOOK_TOOL,
    COOKIES,
    FORECAST,
    GS_URI,
    HARMS,
    HELLO,
    KEY,
    LONG,
    MP3_BASE64,
    PDF,
    PDF_URL,
    PICTURE_URL,
    PNG,
    SAID,
    SYSTEM,
    WAV,
    WEATHER_TOOL,
)
from tests.contract.sdks.running import run

Part = types.Part


def user(*parts: Any) -> Any:
    made = [Part.from_text(text=each) if isinstance(each, str) else each for each in parts]
    return types.Content(role="user", parts=made)


def model(*parts: Any) -> Any:
    made = [Part.from_text(text=each) if isinstance(each, str) else each for each in parts]
    return types.Content(role="model", parts=made)


def called(call_id: str, city: str, **more: Any) -> Any:
    return Part(function_call=types.FunctionCall(id=call_id, name="get_weather", args={"city": city}), **more)


def came(call_id: str, output: str) -> Any:
    return Part(function_response=types.FunctionResponse(id=call_id, name="get_weather", response={"output": output}))


SPEAKS = {"model": "gemini-2.5-flash-preview-tts", "stream": False}
WEATHER = types.FunctionDeclaration(
    name="get_weather",
    description=WEATHER_TOOL,
    parameters=types.Schema(
        type="OBJECT",
        properties={"city": types.Schema(type="STRING", description="where")},
        required=["city"],
    ),
)
BOOK = types.FunctionDeclaration(
    name="book",
    description=BOOK_TOOL,
    parameters=types.Schema(
        type="OBJECT",
        properties={"seats": types.Schema(type="INTEGER"), "name": types.Schema(type="STRING", nullable=True)},
        required=["seats"],
        property_ordering=["seats", "name"],
    ),
)
QUESTION = "Weather in Rome?"
ONE = {"tools": [types.Tool(function_declarations=[WEATHER])]}
BOTH = {"tools": [types.Tool(function_declarations=[WEATHER, BOOK])]}


def choosing(mode: str, **more: Any) -> dict[str, Any]:
    calling = types.FunctionCallingConfig(mode=mode, **more)
    return {"contents": [user(QUESTION)], **BOTH, "tool_config": types.ToolConfig(function_calling_config=calling)}


def voice(name: str) -> Any:
    return types.SpeechConfig(
        voice_config=types.VoiceConfig(prebuilt_voice_config=types.PrebuiltVoiceConfig(voice_name=name))
    )


CALLS: dict[str, dict[str, Any]] = {
    "plain": {},
    "not_streamed": {"stream": False},
    "turns": {
        "system_instruction": types.Content(parts=[Part.from_text(text=SYSTEM)]),
        "contents": [user(HELLO), model("Hi, what can I do?"), user("Tell me a joke.")],
    },
    "tool_turn": {
        "contents": [user(QUESTION), model(called("call_1", "Rome")), user(came("call_1", "sunny in Rome"))],
        **ONE,
    },
    "parallel_calls": {
        "contents": [
            user("Weather in Rome and Bern?"),
            model(called("call_1", "Rome"), called("call_2", "Bern")),
            user(came("call_1", "sunny in Rome"), came("call_2", "rain in Bern")),
        ],
        **ONE,
    },
    "spoken_call": {
        "system_instruction": types.Content(parts=[Part.from_text(text=SYSTEM)]),
        "contents": [
            user(QUESTION),
            model("Let me look.", called("call_1", "Rome")),
            user(came("call_1", "sunny in Rome")),
            model("It is sunny."),
            user("Thanks!"),
        ],
        **ONE,
    },
    "thought_signature": {
        "contents": [
            user(QUESTION),
            model(called("call_1", "Rome", thought_signature=base64.b64decode("c2ln"))),
            user(came("call_1", "sunny in Rome")),
        ],
        **ONE,
    },
    "tools": {"contents": [user(QUESTION)], **BOTH},
    "choice_auto": choosing("AUTO"),
    "choice_required": choosing("ANY"),
    "choice_none": choosing("NONE"),
    "choice_named": choosing("ANY", allowed_function_names=["book"]),
    "sampling": {"temperature": 0.7, "top_p": 0.9, "max_output_tokens": 100},
    "top_k": {"top_k": 40},
    "penalties": {"frequency_penalty": 0.5, "presence_penalty": -0.5},
    "seed": {"seed": 7},
    "stop": {"stop_sequences": ["\n", "END"]},
    "n": {"candidate_count": 2},
    "logprobs": {"response_logprobs": True, "logprobs": 3},
    "json_schema": {"response_mime_type": "application/json", "response_json_schema": FORECAST},
    "response_schema": {"response_mime_type": "application/json", "response_json_schema": COOKIES},
    "response_schema_1.5": {
        "model": "gemini-1.5-pro",
        "response_mime_type": "application/json",
        "response_schema": types.Schema(
            type="ARRAY",
            items=types.Schema(
                type="OBJECT",
                properties={"recipe_name": types.Schema(type="STRING")},
                required=["recipe_name"],
            ),
        ),
    },
    "json_object": {"response_mime_type": "application/json"},
    "image_data": {"contents": [user("What is this?", Part.from_bytes(data=PNG, mime_type="image/png"))]},
    "image_url": {
        "contents": [user(Part.from_uri(file_uri=PICTURE_URL, mime_type="image/png"), "What is this?")],
        "media_resolution": "MEDIA_RESOLUTION_LOW",
    },
    "audio": {"contents": [user(Part.from_bytes(data=WAV, mime_type="audio/wav"), "What do you hear?")]},
    "mp3": {
        "contents": [
            user(Part.from_bytes(data=base64.b64decode(MP3_BASE64), mime_type="audio/mp3"), "What do you hear?")
        ]
    },
    "pdf": {"contents": [user(Part.from_bytes(data=PDF, mime_type="application/pdf"), "Sum it up.")]},
    "file_url": {"contents": [user(Part.from_uri(file_uri=PDF_URL, mime_type="application/pdf"), "Sum it up.")]},
    "file_gs": {"contents": [user(Part.from_uri(file_uri=GS_URI, mime_type="video/mp4"), "Sum it up.")]},
    "effort_disable": {"thinking_config": types.ThinkingConfig(thinking_budget=0, include_thoughts=False)},
    "effort_low": {"thinking_config": types.ThinkingConfig(thinking_budget=1024, include_thoughts=True)},
    "effort_three": {
        "model": "gemini-3-flash-preview",
        "thinking_config": types.ThinkingConfig(thinking_level="low", include_thoughts=True),
    },
    "thinking": {"thinking_config": types.ThinkingConfig(thinking_budget=1024, include_thoughts=True)},
    "safety": {"safety_settings": [types.SafetySetting(**harm) for harm in HARMS]},
    "cached_content": {"cached_content": "cachedContents/c1"},
    "search": {"tools": [types.Tool(google_search=types.GoogleSearch())]},
    "url_context": {"tools": [types.Tool(url_context=types.UrlContext())]},
    "code": {"tools": [types.Tool(code_execution=types.ToolCodeExecution())]},
    "mixed_three": {
        "model": "gemini-3-flash-preview",
        "contents": [user(QUESTION)],
        "tools": [types.Tool(function_declarations=[WEATHER]), types.Tool(google_search=types.GoogleSearch())],
        "tool_config": types.ToolConfig(include_server_side_tool_invocations=True),
    },
    "speech": {**SPEAKS, "response_modalities": ["AUDIO"], "speech_config": voice("Kore")},
    "speech_more": {
        **SPEAKS,
        "response_modalities": ["AUDIO"],
        "speech_config": voice("Charon"),
        "system_instruction": types.Content(parts=[Part.from_text(text=SYSTEM)]),
        "temperature": 0.7,
        "max_output_tokens": 150,
    },
    "drawing": {"model": "gemini-2.0-flash-exp-image-generation", "response_modalities": ["IMAGE", "TEXT"]},
}


def client(url: str, **more: Any) -> Any:
    return genai.Client(
        http_options=types.HttpOptions(base_url=url, api_version="v1beta"), **(more or {"api_key": KEY})
    )


def calling(name: str) -> Callable[[str], object]:
    def call(url: str) -> object:
        told = dict(CALLS[name])
        made: dict[str, Any] = {
            "model": told.pop("model", "gemini-2.5-flash"),
            "contents": told.pop("contents", [user(HELLO)]),
        }
        streams = told.pop("stream", True)
        made["config"] = types.GenerateContentConfig(**told) if told else None
        with client(url) as asked:
            ask = asked.models
            return list(ask.generate_content_stream(**made)) if streams else ask.generate_content(**made)

    return call


def embedding(texts: list[str], **config: Any) -> Callable[[str], object]:
    def call(url: str) -> object:
        with client(url) as asked:
            told = types.EmbedContentConfig(**config) if config else None
            return asked.models.embed_content(model="gemini-embedding-001", contents=texts, config=told)

    return call


class Token(Credentials):  # type: ignore[misc,unused-ignore]
    """A token of Google Cloud that lasts."""

    def __init__(self) -> None:
        super().__init__()
        self.token = "token-1234567"

    def refresh(self, request: Any) -> None:
        raise AssertionError("it lasts")


def vertex(url: str) -> object:
    options = types.HttpOptions(base_url=url, api_version="v1")
    made = genai.Client(
        vertexai=True, project="proj-1", location="europe-west1", credentials=Token(), http_options=options
    )
    turns = [
        user(QUESTION),
        model(Part(function_call=types.FunctionCall(name="get_weather", args={"city": "Rome"}))),
        user(Part.from_function_response(name="get_weather", response={"output": "sunny in Rome"})),
    ]
    config = types.GenerateContentConfig(**ONE)
    return list(made.models.generate_content_stream(model="gemini-2.5-flash", contents=turns, config=config))


def caching(url: str) -> object:
    """What is kept is looked for, made where it is not there, and named then."""
    made = client(url)
    assert not list(made.caches.list(config=types.ListCachedContentsConfig(page_size=1000)))
    kept = made.caches.create(
        model="gemini-2.5-flash",
        config=types.CreateCachedContentConfig(
            contents=[user(LONG)],
            system_instruction=types.Content(parts=[Part.from_text(text=SYSTEM)]),
            display_name="kept",
            ttl="300s",
            **ONE,
        ),
    )
    config = types.GenerateContentConfig(cached_content=kept.name)
    return list(made.models.generate_content_stream(model="gemini-2.5-flash", contents=[user(QUESTION)], config=config))


def read(url: str) -> dict[str, Any]:
    found: dict[str, Any] = {"text": "", "reasoning": "", "calls": [], "signatures": [], "images": [], "audio": ""}
    try:
        with client(url) as asked:
            for chunk in asked.models.generate_content_stream(model="m", contents=HELLO):
                understood(chunk, found)
    except errors.APIError as error:
        found["error"] = [type(error).__name__, error.message]
    return found


def whole(url: str) -> dict[str, Any]:
    found: dict[str, Any] = {"text": "", "reasoning": "", "calls": [], "signatures": [], "images": [], "audio": ""}
    with client(url) as asked:
        understood(asked.models.generate_content(model="m", contents=HELLO), found)
    return found


def understood(chunk: Any, found: dict[str, Any]) -> None:
    for candidate in chunk.candidates or ():
        for part in candidate.content.parts or ():
            if part.function_call is not None:
                call = part.function_call
                found["calls"].append({"id": call.id, "name": call.name, "arguments": call.args})
                found["signatures"].append(base64.b64encode(part.thought_signature).decode())
            elif part.inline_data is not None:
                data = base64.b64encode(part.inline_data.data).decode()
                if part.inline_data.mime_type == "image/png":
                    found["images"].append(data)
                else:
                    found["audio"] += data
            else:
                found["reasoning" if part.thought else "text"] += part.text or ""
        if candidate.finish_reason is not None:
            found["finish"] = candidate.finish_reason.value
    told = chunk.usage_metadata
    if told is not None:
        thought = told.thoughts_token_count or 0
        found["usage"] = {
            "prompt_tokens": told.prompt_token_count,
            "completion_tokens": told.candidates_token_count + thought,
            "cached_tokens": told.cached_content_token_count or 0,
            "reasoning_tokens": thought,
        }


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    besides = {
        "embed_many": embedding([HELLO, "Bye"], output_dimensionality=256, task_type="RETRIEVAL_QUERY"),
        "vertex": vertex,
        "caching": caching,
    }
    wholes = {f"whole-{name}": whole for name in [*SAID, "picture", "sound"] if name != "error"}
    run(genai.__version__, {name: calling(name) for name in CALLS} | besides, dict.fromkeys(SAID, read) | wholes)
