"""The calls, once: what is asked for, which SDKs judge what we send for it, and the rows of the documents it proves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

import agent_runtime as ours
from agent_runtime.chat import ChatContext, ChatMessage
from agent_runtime.content import AudioContent, FileContent, ImageContent, TextContent
from agent_runtime.tools import FunctionTool, ProviderTool
from tests.contract import material as said
from tests.contract.histories import histories, tools

HISTORIES = histories(ours)
TOOLS = tools(ours)


@dataclass(frozen=True, kw_only=True, eq=False)
class Call:
    """One call.

    Attributes:
        name: under which it stands in the golden files.
        judges: each SDK that makes it too, with the rows that the comparison proves.
        history: what was said; a name of `HISTORIES`, or messages.
        tools: names of `TOOLS`, or tools that a service runs itself.
        made: for the constructor.
        asked: for `chat`.
        extra: further parameters: for livekit-agents' model in the constructor, for the others in `chat`.
        per: what is otherwise for one SDK, by the names of these fields.
    """

    name: str
    judges: Mapping[str, str]
    history: str | Sequence[ChatMessage] = "plain"
    tools: Sequence[str | FunctionTool | ProviderTool] = ()
    made: Mapping[str, Any] = field(default_factory=dict)
    asked: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    per: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def of(self, sdk: str, field: str) -> Any:
        return self.per.get(sdk, {}).get(field, getattr(self, field))

    def chat_ctx(self, sdk: str) -> ChatContext:
        history = self.of(sdk, "history")
        return HISTORIES[history] if isinstance(history, str) else ChatContext(history)

    def tools_of(self, sdk: str) -> list[Any]:
        return [TOOLS[each] if isinstance(each, str) else each for each in self.of(sdk, "tools")]


def judged(*names: str, **rows: str) -> dict[str, str]:
    """SDKs, those of which the call proves rows with them."""
    return {**dict.fromkeys(names, ""), **rows}


def user(*content: Any) -> list[ChatMessage]:
    return [ChatMessage(role="user", content=list(content))]


def kept(role: Any, text: str, **control: Any) -> ChatMessage:
    """A message with the mark for the cache."""
    return ChatMessage(role=role, content=[TextContent(text, {"type": "ephemeral", **control})])


def message(role: Any, text: str) -> ChatMessage:
    return ChatMessage(role=role, content=[text])


def raw(name: str, description: str) -> FunctionTool:
    """A tool whose schema its user wrote."""

    async def run(raw_arguments: dict[str, Any]) -> None: ...

    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return FunctionTool(run, raw_schema={"name": name, "description": description, "parameters": parameters})


ALL = ("openai", "anthropic", "boto3", "google")
BOTH = ("get_weather", "book")
GEMINI_3 = {"model": "gemini-3-flash-preview"}
NAMED = {"type": "function", "function": {"name": "book"}}
WAV = AudioContent([ours.AudioFrame(said.WAV[44:], 16_000)])
SEARCH = ProviderTool("google", "googleSearch")
TTS = {"model": "gemini-2.5-flash-preview-tts"}
PRO_TTS = {"model": "gemini-2.5-pro-preview-tts"}
SPEECH = {"modalities": ["audio"], "audio": {"voice": "Kore", "format": "pcm16"}}
PICTURE = Path(__file__).with_name("localimage.png")
AZURE = {"provider": "azure", "model": "my-deployment", "placeholders": {"OPENAI_API_VERSION": "2025-01-01-preview"}}
ARN = "arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.amazon.nova-2-lite-v1:0"
RAW = raw("get_weather", said.WEATHER_TOOL)


class Forecast(BaseModel):
    city: str
    degrees: int


HISTORY = (
    Call(name="plain", judges=judged(*ALL, litellm="D1 D2", livekit="A1 A2")),
    Call(name="not_streamed", judges=judged("google", litellm="D1 D4"), extra={"stream": False}),
    Call(name="turns", history="turns", judges=judged(*ALL, "litellm", "livekit")),
    Call(name="developer", history="developer", judges=judged("openai", "litellm", "livekit")),
    Call(
        name="tool_turn",
        history="tool_turn",
        tools=["get_weather"],
        judges=judged(*ALL, litellm="D13", livekit="C8"),
    ),
    Call(
        name="parallel_calls",
        history="parallel_calls",
        tools=["get_weather"],
        judges=judged(*ALL, litellm="D13", livekit="B13 C8"),
    ),
    Call(
        name="spoken_call",
        history="spoken_call",
        tools=["get_weather"],
        judges=judged(*ALL, litellm="D13", livekit="C8"),
    ),
    Call(
        name="thought_signature",
        history="thought_signature",
        judges=judged("google", "livekit"),
        per={"google": {"tools": ["get_weather"]}},
    ),
    *(
        Call(name=name, history=name, judges=judged("livekit"))
        for name in ("two_rounds", "late_output", "half_done", "orphan", "agent_last", "agent_first", "two_users")
    ),
    *(
        Call(name=name, history=name, judges=judged("litellm", "livekit"))
        for name in ("late_instructions", "system_only")
    ),
)

CHOICE = (
    Call(name="tools", history="question", tools=BOTH, judges=judged(*ALL, litellm="D13", livekit="C8")),
    Call(name="free_keys", history="question", tools=["mark"], judges=judged(livekit="C8")),
    Call(name="rich_tools", history="question", tools=["order", "hang_up"], judges=judged(livekit="C8")),
    *(
        Call(
            name=f"choice_{choice}",
            history="question",
            tools=BOTH,
            asked={"tool_choice": choice},
            judges=judged(*services, litellm="D13", livekit="B14"),
        )
        for choice, services in (
            ("auto", ALL),
            ("required", ALL),
            ("none", ("openai", "anthropic", "google")),
        )
    ),
    Call(
        name="choice_named",
        history="question",
        tools=BOTH,
        asked={"tool_choice": NAMED},
        judges=judged(*ALL, litellm="D13", livekit="B14"),
    ),
    Call(
        name="choice_made",
        history="question",
        tools=BOTH,
        extra={"tool_choice": "required", "parallel_tool_calls": False},
        judges=judged(livekit="B13 B14"),
    ),
    Call(name="choice_alone", asked={"tool_choice": "required"}, judges=judged(livekit="B14")),
    Call(
        name="one_call",
        history="question",
        tools=BOTH,
        asked={"parallel_tool_calls": False},
        judges=judged("openai", "anthropic", livekit="B13"),
    ),
    Call(
        name="functions",
        history="question",
        judges=judged(litellm="D14"),
        extra={
            "functions": [
                {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
                for tool in (TOOLS["get_weather"], TOOLS["book"])
            ]
        },
    ),
)

PARAMETERS = (
    Call(
        name="sampling",
        extra={"temperature": 0.7, "top_p": 0.9, "max_completion_tokens": 100},
        judges=judged(*ALL, litellm="D4", livekit="B1 B2 B4 A8"),
    ),
    Call(name="max_tokens", extra={"max_tokens": 100}, judges=judged("openai", litellm="D4", livekit="B3")),
    Call(
        name="top_k",
        judges=judged("anthropic", "google", litellm="D11"),
        extra={"top_k": 40},
        per={"litellm": {"extra": {"topK": 1}}},
    ),
    Call(
        name="penalties",
        extra={"frequency_penalty": 0.5, "presence_penalty": -0.5},
        judges=judged("openai", "google", litellm="D4", livekit="B5 B6"),
    ),
    Call(name="seed", extra={"seed": 7}, judges=judged("openai", "google", "litellm", livekit="B7")),
    Call(
        name="stop",
        extra={"stop": ["\n", "END"]},
        judges=judged(*ALL, litellm="D4", livekit="B8"),
        per={"anthropic": {"extra": {"stop": ["###", "END"]}}},
    ),
    Call(name="stop_text", extra={"stop": "END"}, judges=judged("openai", litellm="D4", livekit="B8")),
    Call(name="n", extra={"n": 2}, judges=judged("openai", "google", litellm="D4", livekit="B9")),
    Call(
        name="logprobs",
        extra={"logprobs": True, "top_logprobs": 3},
        judges=judged("openai", "google", litellm="D4", livekit="B10 B11"),
        per={"litellm": {"extra": {"logprobs": True}}},
    ),
    Call(name="top_logprobs", extra={"logprobs": True, "top_logprobs": 3}, judges=judged(litellm="D4")),
    Call(
        name="logit_bias",
        extra={"logit_bias": {"50256": -100}},
        judges=judged("openai", litellm="D4", livekit="B12"),
    ),
    Call(
        name="user",
        extra={"user": "caller-7", "metadata": {"line": "2"}, "store": True, "service_tier": "flex"},
        judges=judged("openai", "anthropic", livekit="A8"),
        per={"anthropic": {"extra": {"user": "caller-7", "service_tier": "standard_only"}}},
    ),
    Call(
        name="prompt_cache",
        extra={"prompt_cache_key": "agent-7", "safety_identifier": "h4sh"},
        judges=judged("openai"),
    ),
    Call(
        name="extra",
        extra={"extra_body": {"top_k": 5}, "extra_headers": {"X-Trace": "t1"}, "extra_query": {"beta": "1"}},
        judges=judged("openai", "anthropic", livekit="A8"),
        per={
            "anthropic": {
                "extra": {
                    "extra_body": {"speed": "fast"},
                    "extra_headers": {"anthropic-beta": "b1"},
                    "extra_query": {"beta": "1"},
                }
            }
        },
    ),
    Call(name="call_extra", asked={"extra_kwargs": {"temperature": 0.2}}, judges=judged(livekit="A8")),
    Call(
        name="guardrail",
        extra={
            "guardrailConfig": {"guardrailIdentifier": "g1", "guardrailVersion": "1"},
            "performanceConfig": {"latency": "optimized"},
        },
        made={"additional_request_fields": {"inferenceConfig": {"topK": 20}}},
        judges=judged("boto3"),
    ),
    *(
        Call(
            name=f"drops_{name}", made={"model": model}, extra={**said.EVERYTHING, **more}, judges=judged(livekit=rows)
        )
        for name, model, rows, more in (
            ("o3", "openai/o3", "B1 B2 B5 B6 B9 B10 B11 B12", {}),
            ("gpt_5", "openai/gpt-5", "B1 B2 B5 B6 B9 B10 B11 B12", {}),
            ("gpt_5_1_none", "openai/gpt-5.1", "", {"reasoning_effort": "none"}),
            ("gpt_6", "openai/gpt-6-sol", "", {}),
            ("gpt_6_none", "openai/gpt-6-sol", "", {"reasoning_effort": "none"}),
            ("grok", "xai/grok-4-1-fast-reasoning", "", {}),
            ("grok_plain", "xai/grok-4-1-fast-non-reasoning", "", {}),
            ("gemini", "google/gemini-2.5-pro", "", {}),
        )
    ),
    Call(
        name="effort_with_tools",
        history="question",
        tools=BOTH,
        made={"model": "openai/gpt-5.2"},
        extra={"reasoning_effort": "low"},
        judges=judged(livekit="A10"),
    ),
)

ANSWER = (
    Call(
        name="json_schema",
        judges=judged(*ALL, "livekit", litellm="D8"),
        asked={
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "Forecast", "schema": said.FORECAST, "strict": True},
            }
        },
        per={"livekit": {"asked": {"response_format": Forecast}}, "openai": {"asked": {"response_format": Forecast}}},
    ),
    Call(
        name="response_schema",
        judges=judged("google", litellm="D8"),
        asked={"response_format": {"type": "json_object", "response_schema": said.COOKIES}},
    ),
    Call(
        name="response_schema_1.5",
        made={"model": "gemini-1.5-pro"},
        judges=judged("google", litellm="D8"),
        asked={"response_format": {"type": "json_object", "response_schema": said.COOKIES}},
    ),
    Call(
        name="json_object",
        judges=judged("openai", "google", litellm="D10"),
        asked={"response_format": {"type": "json_object"}},
    ),
)

CONTENT = (
    Call(name="image_data", history="image_data", judges=judged(*ALL, litellm="D21", livekit="C6")),
    Call(
        name="image_url",
        history="image_url",
        judges=judged("openai", "anthropic", "google", litellm="D19", livekit="C6"),
        per={
            "google": {"made": {"url_mode": "uri"}},
            "litellm": {"history": user(ImageContent(said.PICTURE_URL), "What is this?")},
        },
    ),
    Call(
        name="image_detail",
        made=GEMINI_3,
        history=user("What is this?", ImageContent(said.PNG_URI, inference_detail="low")),
        judges=judged("litellm"),
    ),
    Call(
        name="image_path",
        history=user(ImageContent(PICTURE), "What is this?"),
        judges=judged(litellm="D20"),
    ),
    Call(
        name="audio",
        history=user(WAV, "What do you hear?"),
        judges=judged("openai", "google", litellm="D21"),
    ),
    Call(
        name="mp3",
        history=user(FileContent(data=f"data:audio/mp3;base64,{said.MP3_BASE64}"), "What do you hear?"),
        judges=judged("google", litellm="D21"),
    ),
    Call(
        name="pdf",
        history=user(FileContent(data=said.PDF, mime_type="application/pdf", filename="paper.pdf"), "Sum it up."),
        judges=judged(*ALL, litellm="D21"),
    ),
    Call(
        name="file_url",
        history=user(FileContent(uri=said.PDF_URL, mime_type="application/pdf"), "Sum it up."),
        judges=judged("google", litellm="D22"),
    ),
    Call(name="file_guess", history=user(FileContent(uri=said.PDF_URL), "Sum it up."), judges=judged(litellm="D22")),
    Call(
        name="file_gs", history=user(FileContent(uri=said.GS_URI), "Sum it up."), judges=judged("google", litellm="D23")
    ),
)

THINKING = (
    Call(
        name="effort",
        made={"model": "o3"},
        extra={"reasoning_effort": "high", "max_completion_tokens": 2000},
        judges=judged("openai", "anthropic", "boto3", livekit="A10"),
        per={
            "anthropic": {"made": {"model": "claude-sonnet-4-6"}, "extra": {"reasoning_effort": "medium"}},
            "boto3": {"made": {}, "extra": {"reasoning_effort": "low"}},
            "livekit": {"made": {"model": "openai/gpt-5-mini"}, "extra": {"reasoning_effort": "low"}},
        },
    ),
    Call(
        name="verbosity",
        made={"model": "gpt-5"},
        extra={"verbosity": "low", "reasoning_effort": "low"},
        judges=judged("openai"),
    ),
    *(
        Call(name=f"effort_{effort}", extra={"reasoning_effort": effort}, judges=judged(*also, litellm="D5"))
        for effort, also in (
            ("disable", ["google"]),
            ("none", []),
            ("minimal", []),
            ("low", ["google"]),
            ("medium", []),
            ("high", []),
            ("xhigh", []),
        )
    ),
    *(
        Call(
            name=f"effort_three_{effort}",
            made=GEMINI_3,
            extra={"reasoning_effort": effort},
            judges=judged(litellm="D5"),
        )
        for effort in ("minimal", "low", "medium", "high", "disable")
    ),
    Call(name="effort_three", made=GEMINI_3, extra={"reasoning_effort": "low"}, judges=judged("google")),
    Call(
        name="effort_pro",
        made={"model": "gemini-2.5-pro"},
        extra={"reasoning_effort": "minimal"},
        judges=judged(litellm="D5"),
    ),
    Call(
        name="effort_lite",
        made={"model": "gemini-2.5-flash-lite"},
        extra={"reasoning_effort": "minimal"},
        judges=judged(litellm="D5"),
    ),
    Call(
        name="thinking",
        extra={"thinking": {"type": "enabled", "budget_tokens": 1024}},
        judges=judged("anthropic", "boto3", "google", litellm="D7"),
        per={
            "anthropic": {"extra": {"max_tokens": 4096, "thinking": {"type": "enabled", "budget_tokens": 2048}}},
            "boto3": {
                "made": {"model": "anthropic.claude-sonnet-4-5-20250929-v1:0"},
                "extra": {"max_tokens": 4096, "thinking": {"type": "enabled", "budget_tokens": 2048}},
            },
        },
    ),
    Call(
        name="thinking_off",
        extra={"thinking": {"type": "disabled"}},
        judges=judged("anthropic", litellm="D7"),
    ),
)

GOOGLES = (
    Call(name="safety", made={"safety_settings": said.HARMS}, judges=judged("google", litellm="D12")),
    Call(name="search", tools=[SEARCH], judges=judged("google", litellm="D15")),
    Call(name="url_context", tools=[ProviderTool("google", "urlContext")], judges=judged("google", litellm="D16")),
    Call(name="code", tools=[ProviderTool("google", "codeExecution")], judges=judged("google", litellm="D17")),
    Call(name="mixed", history="question", tools=["get_weather", SEARCH], judges=judged(litellm="D18")),
    Call(
        name="mixed_three",
        history="question",
        made=GEMINI_3,
        tools=["get_weather", SEARCH],
        judges=judged(google="D18"),
    ),
    Call(name="speech", made=TTS, asked=SPEECH, judges=judged("google", litellm="D28 D29")),
    Call(
        name="speech_mp3",
        made=TTS,
        asked={**SPEECH, "audio": {"voice": "Kore", "format": "mp3"}},
        judges=judged(litellm="D28"),
    ),
    Call(
        name="speech_more",
        made=TTS,
        history=[message("system", said.SYSTEM), message("user", said.HELLO)],
        asked={**SPEECH, "audio": {"voice": "Charon", "format": "pcm16"}},
        extra={"temperature": 0.7, "max_tokens": 150},
        judges=judged("google", litellm="D28 D29"),
        per={"litellm": {"made": PRO_TTS}},
    ),
    Call(
        name="drawing",
        made={"model": "gemini-2.0-flash-exp-image-generation"},
        asked={"modalities": ["image", "text"]},
        judges=judged("google", litellm="D30"),
    ),
    *(
        Call(name=f"model_{model}", made={"model": f"gemini/{model}"}, judges=judged(litellm="D24"))
        for model in said.MODELS
    ),
    Call(name="completion", judges=judged(litellm="D3"), extra={"stream": False}),
)

CACHE = (
    Call(name="cached_content", made={"cached_content": "cachedContents/c1"}, judges=judged(google="D25")),
    Call(
        name="cache",
        history=[
            kept("system", said.LONG),
            kept("user", "What are the key terms?"),
            message("user", said.HELLO),
        ],
        judges=judged(litellm="D25 D26"),
    ),
    Call(
        name="cache_gap",
        history=[kept("user", said.LONG), message("assistant", "I see."), kept("user", "Go on.")],
        judges=judged(litellm="D26"),
    ),
    Call(
        name="cache_late",
        history=[message("user", "Before."), kept("user", said.LONG), message("user", "After.")],
        judges=judged(litellm="D26"),
    ),
    Call(
        name="cache_tools",
        history=[kept("user", said.LONG), message("user", "Weather in Rome?")],
        tools=["get_weather"],
        asked={"tool_choice": "required"},
        judges=judged(litellm="D27"),
    ),
    Call(
        name="cache_ttl",
        history=[kept("user", said.LONG, ttl="300s"), message("user", "Weather in Rome?")],
        judges=judged(litellm="D27"),
    ),
    Call(name="cache_all", history=[kept("user", said.LONG)], judges=judged(litellm="D27")),
    Call(
        name="cache_small",
        history=[kept("user", "Too small."), message("user", "Weather in Rome?")],
        judges=judged(litellm="D27"),
    ),
    Call(
        name="cache_model",
        history=[kept("user", said.LONG), kept("assistant", "I see."), message("user", "Go on.")],
        judges=judged(litellm="D27"),
    ),
    Call(
        name="caching",
        tools=BOTH,
        made={"caching": "ephemeral"},
        history=[
            message("system", said.LONG),
            message("user", said.HELLO),
            message("assistant", "Hi, what can I do?"),
            message("user", "Tell me a joke."),
        ],
        judges=judged("anthropic", "boto3", google="D27"),
        per={
            "anthropic": {
                "history": [
                    message("system", said.LONG),
                    kept("user", said.HELLO),
                    message("assistant", "Hi, what can I do?"),
                    message("user", "Tell me a joke."),
                ]
            },
            "boto3": {
                "made": {"cache_system": True, "cache_tools": True},
                "history": [message("system", said.SYSTEM), message("user", said.HELLO)],
                "tools": ["get_weather"],
            },
            "google": {
                "made": {},
                "history": [
                    message("system", said.SYSTEM),
                    kept("user", said.LONG, ttl="300s"),
                    message("user", "Weather in Rome?"),
                ],
                "tools": ["get_weather"],
            },
        },
    ),
)

WHERE = (
    Call(
        name="organization",
        judges=judged("openai"),
        made={"extra_headers": {"OpenAI-Organization": "org-1", "OpenAI-Project": "proj-1"}},
    ),
    Call(name="azure", made=AZURE, judges=judged(openai="C3")),
    Call(
        name="azure_token",
        made={**AZURE, "api_key": None, "bearer_token": "token-1234567"},
        judges=judged(openai="C3"),
    ),
    Call(name="profile", made={"model": ARN, "region": said.REGION}, judges=judged(boto3="C3")),
    Call(name="session_token", made={"session_token": "session-1"}, judges=judged(boto3="C3")),
    Call(
        name="vertex",
        made={
            "api_key": None,
            "vertexai": True,
            "project": "proj-1",
            "location": "europe-west1",
            "credentials": lambda: "token-1234567",
        },
        history="tool_turn",
        tools=["get_weather"],
        judges=judged(google="A4 C3"),
    ),
    Call(name="provider", made={"model": "openai/gpt-4.1-mini", "provider": "azure"}, judges=judged(livekit="A7")),
    Call(
        name="low",
        made={"model": "google/gemini-2.5-flash-lite", "inference_class": "low"},
        judges=judged(livekit="A2 A3"),
    ),
    Call(name="priority", asked={"inference_class": "priority"}, judges=judged(livekit="A2")),
    Call(
        name="template",
        made={"model": "google/gemma-4-31b-it"},
        extra={"add_generation_prompt": False},
        judges=judged(livekit="A5 B15"),
    ),
    Call(
        name="prefill",
        made={"model": "google/gemma-4-31b-it"},
        history="agent_last",
        extra={"continue_final_message": True},
        judges=judged(livekit="A5 B16"),
    ),
)

SERVICES = tuple(
    Call(
        name=f"{service}_{kind}",
        made={"provider": service, "model": model},
        tools=[RAW] if kind == "tools" else [],
        asked={"tool_choice": "required", "parallel_tool_calls": False} if kind == "tools" else {},
        extra=said.EVERYTHING if kind == "everything" else {},
        judges=judged(services="C3"),
    )
    for service, model in said.SERVICES.items()
    for kind in ("plain", "tools", "everything")
)

CALLS = (*HISTORY, *CHOICE, *PARAMETERS, *ANSWER, *CONTENT, *THINKING, *GOOGLES, *CACHE, *WHERE, *SERVICES)
