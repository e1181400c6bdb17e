"""``plugins.google``: what livekit-agents' google.LLM takes is taken (row C3, 4)."""

from types import SimpleNamespace
from typing import Any

import pytest

from agent_runtime.errors import UsageError
from agent_runtime.plugins import google
from agent_runtime.providers.gemini.llm import GeminiLLM
from agent_runtime.providers.gemini.tts import GeminiTTS
from agent_runtime.tools import ProviderTool
from agent_runtime.types import NOT_GIVEN
from tests.providers.gemini_wire import SAID
from tests.providers.wires import Scripted, collect


def made(**given: Any) -> tuple[google.LLM, Scripted]:
    service = Scripted(SAID)
    return google.LLM(**{"api_key": "key-1234567", **given}, transport=service), service


def test_c3_everything_that_livekit_takes() -> None:
    llm, service = made(
        model="gemini-2.5-flash",
        vertexai=False,
        temperature=0.8,
        max_output_tokens=100,
        top_p=0.9,
        top_k=40,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        tool_choice="auto",
        thinking_config={"thinking_budget": 0},
        automatic_function_calling_config={"disable": True},
        gemini_tools=[google.tools.GoogleSearch()],
        seed=3,
        safety_settings=[{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        media_resolution="MEDIA_RESOLUTION_LOW",
        project=NOT_GIVEN,
        location=NOT_GIVEN,
    )
    collect(llm)
    assert service.body["generationConfig"] == {
        "temperature": 0.8,
        "maxOutputTokens": 100,
        "topP": 0.9,
        "topK": 40,
        "presencePenalty": 0.1,
        "frequencyPenalty": 0.2,
        "thinkingConfig": {"thinkingBudget": 0},
        "seed": 3,
        "mediaResolution": "MEDIA_RESOLUTION_LOW",
    }
    assert service.body["tools"] == [{"googleSearch": {}}]
    assert service.body["safetySettings"][0]["threshold"] == "BLOCK_NONE"
    assert isinstance(llm, GeminiLLM)


@pytest.mark.parametrize("kind", [dict, SimpleNamespace])
def test_c3_http_options_as_a_dictionary_and_as_an_object(kind: Any) -> None:
    options = kind(base_url="http://localhost:9", api_version="v1", headers={"X-A": "b"}, timeout=2500)
    llm, service = made(http_options=options)
    collect(llm)
    assert str(service.requests[0].url).startswith("http://localhost:9/v1/models/")
    assert service.requests[0].headers["x-a"] == "b"
    assert (llm.conn_options.timeout, llm.first_token_timeout) == (2.5, 2.5)


def test_c3_vertex_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    llm, service = made(project="p", location="global", credentials=lambda: "t-123")
    collect(llm)
    assert service.requests[0].url.path.startswith("/v1/projects/p/locations/global/")
    assert made(vertexai=False)[0].provider == "gemini"


def test_c3_without_a_key_both_variables_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match=r"GEMINI_API_KEY .or GOOGLE_API_KEY"):
        google.LLM()


def test_d15_d16_d17_the_tools_have_livekits_names() -> None:
    tools = [
        google.tools.GoogleSearch(exclude_domains=["a.test"]),
        google.tools.GoogleMaps(enable_widget=True),
        google.tools.URLContext(),
        google.tools.FileSearch(["stores/1"], top_k=3),
        google.tools.CodeExecution(),
    ]
    assert all(isinstance(tool, ProviderTool) and tool.provider == "google" for tool in tools)
    llm, service = made()
    collect(llm, tools=tools)
    assert service.body["tools"] == [
        {"googleSearch": {"excludeDomains": ["a.test"]}},
        {"googleMaps": {"enableWidget": True}},
        {"urlContext": {}},
        {"fileSearch": {"fileSearchStoreNames": ["stores/1"], "topK": 3}},
        {"codeExecution": {}},
    ]


def test_d28_the_voice_has_livekits_names() -> None:
    tts = google.beta.GeminiTTS(voice_name="Puck", api_key="k-123", project=NOT_GIVEN)
    assert (tts.voice, tts.model) == ("Puck", "gemini-2.5-flash-preview-tts")
    other = google.TTS(model_name="gemini-2.5-pro-preview-tts", prompt="Whisper", api_key="k-123")
    assert (other.model, other.instructions) == ("gemini-2.5-pro-preview-tts", "Whisper")
    assert isinstance(other, GeminiTTS)
