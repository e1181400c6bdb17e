"""What a model string means: who is asked, by which class, with which keys, and what is said where that cannot be."""

import re
from typing import Any

import pytest

from agent_runtime import inference
from agent_runtime.errors import UsageError
from agent_runtime.explain import explain_descriptor
from agent_runtime.inference import routes
from agent_runtime.inference.descriptor import Unresolved, check_name, keys_of, parse, planning, resolve, shown
from agent_runtime.providers.openai import services

LIVEKIT = {"LIVEKIT_API_KEY": "devkey", "LIVEKIT_API_SECRET": "secret"}
VARIABLES = {name for names in routes.KEYS.values() for name in names} | {
    name for names in routes.INSTEAD.values() for name in names
}


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for row in services.rows().values():
        for name in (*row.key_variables, *row.token_variables, *row.base_url_variables, *routes.ADDRESSES.values()):
            monkeypatch.delenv(name, raising=False)


def made(text: str, monkeypatch: pytest.MonkeyPatch, **variables: str) -> Any:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return resolve("llm", text)


# Who is asked


@pytest.mark.parametrize(
    ("text", "variables", "cls", "provider", "model"),
    [
        # A1: the seeds' strings
        ("google/gemini-2.5-flash-lite", LIVEKIT, "InferenceLLM", "livekit", "google/gemini-2.5-flash-lite"),
        ("google/gemma-4-31b-it", LIVEKIT, "InferenceLLM", "livekit", "google/gemma-4-31b-it"),
        ("openai/gpt-4.1-mini", LIVEKIT, "InferenceLLM", "livekit", "openai/gpt-4.1-mini"),
        (
            "openai/gpt-4.1-mini",
            {**LIVEKIT, "OPENAI_API_KEY": "sk-1"},
            "InferenceLLM",
            "livekit",
            "openai/gpt-4.1-mini",
        ),
        ("moonshotai/kimi-k2-instruct", LIVEKIT, "InferenceLLM", "livekit", "moonshotai/kimi-k2-instruct"),
        ("qwen/qwen3-235b-a22b-instruct", LIVEKIT, "InferenceLLM", "livekit", "qwen/qwen3-235b-a22b-instruct"),
        ("deepseek-ai/deepseek-v3", LIVEKIT, "InferenceLLM", "livekit", "deepseek-ai/deepseek-v3"),
        (
            "openai/gpt-oss-120b",
            {**LIVEKIT, "OPENAI_API_KEY": "sk-1"},
            "InferenceLLM",
            "livekit",
            "openai/gpt-oss-120b",
        ),
        (
            "openai/gpt-4.1",
            {"LIVEKIT_INFERENCE_API_KEY": "devkey", "LIVEKIT_INFERENCE_API_SECRET": "secret"},
            "InferenceLLM",
            "livekit",
            "openai/gpt-4.1",
        ),
        ("livekit/xai/grok-4-1-fast", LIVEKIT, "InferenceLLM", "livekit", "xai/grok-4-1-fast"),
        # without LiveKit's keys: straight to the owner
        ("google/gemini-2.5-flash", {"GEMINI_API_KEY": "g1234"}, "GeminiLLM", "gemini", "gemini-2.5-flash"),
        ("google/gemini-2.5-flash", {"GOOGLE_API_KEY": "g1234"}, "GeminiLLM", "gemini", "gemini-2.5-flash"),
        ("openai/gpt-4.1-mini", {"OPENAI_API_KEY": "sk-1"}, "OpenAILLM", "openai", "gpt-4.1-mini"),
        # one way
        ("gemini/gemini-pro", {"GOOGLE_API_KEY": "g1234"}, "GeminiLLM", "gemini", "gemini-pro"),
        (
            "anthropic/claude-sonnet-4-6",
            {"ANTHROPIC_API_KEY": "a1234"},
            "AnthropicLLM",
            "anthropic",
            "claude-sonnet-4-6",
        ),
        ("groq/openai/gpt-oss-120b", {"GROQ_API_KEY": "gsk_1"}, "OpenAILLM", "groq", "openai/gpt-oss-120b"),
        ("ollama/llama3.1:8b", {}, "OpenAILLM", "ollama", "llama3.1:8b"),
        ("llamacpp/default", {}, "OpenAILLM", "llamacpp", "default"),
        ("litellm_proxy/gemini-2.5-flash", {}, "OpenAILLM", "litellm_proxy", "gemini-2.5-flash"),
        ("litellm/gemini-2.5-flash", {}, "OpenAILLM", "litellm_proxy", "gemini-2.5-flash"),
        (
            "fireworks/accounts/fireworks/models/llama-v3p3-70b-instruct",
            {"FIREWORKS_API_KEY": "f1234"},
            "OpenAILLM",
            "fireworks",
            "accounts/fireworks/models/llama-v3p3-70b-instruct",
        ),
        (
            "azure/gpt-4o",
            {
                "AZURE_OPENAI_ENDPOINT": "https://me.openai.azure.com",
                "AZURE_OPENAI_API_KEY": "a1234",
                "OPENAI_API_VERSION": "2024-10-21",
            },
            "OpenAILLM",
            "azure",
            "gpt-4o",
        ),
        ("nebius/some/model", {"NEBIUS_API_KEY": "n1234"}, "OpenAILLM", "nebius", "some/model"),
        # with its own address or key it goes straight there
        ("openai/mine?base_url=http://localhost:8080/v1", LIVEKIT, "OpenAILLM", "openai", "mine"),
        ("openai/gpt-4.1?api_key=sk-1", LIVEKIT, "OpenAILLM", "openai", "gpt-4.1"),
    ],
)
def test_who_is_asked(
    monkeypatch: pytest.MonkeyPatch, text: str, variables: dict[str, str], cls: str, provider: str, model: str
) -> None:
    node = made(text, monkeypatch, **variables)
    assert (type(node).__name__, node.provider, node.model) == (cls, provider, model)


@pytest.mark.parametrize("text", ["bedrock/amazon.nova-2-lite-v1:0", "aws/us.anthropic.claude-sonnet-4-6-v1:0"])
def test_bedrock_ids_have_colons(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    node = made(text, monkeypatch, AWS_BEARER_TOKEN_BEDROCK="b1234")
    assert (node.provider, node.model) == ("bedrock", text.partition("/")[2])


def test_a_server_at_home_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    node = made("openai/mine", monkeypatch, OPENAI_BASE_URL="http://127.0.0.1:8080/v1")
    assert node.base_url == "http://127.0.0.1:8080/v1"
    assert not node.leaves_machine
    assert made("anthropic/mine", monkeypatch, ANTHROPIC_BASE_URL="http://localhost:8080").provider == "anthropic"


@pytest.mark.parametrize(
    ("url", "here"),
    [
        *(
            (f"http://{host}:8080/v1", True)
            for host in ("localhost", "api.localhost", "127.0.0.1", "127.0.1.1", "[::1]")
        ),
        *((f"http://{host}/v1", True) for host in ("127.255.0.3", "0.0.0.0", "LOCALHOST")),
        *((f"http://{host}/v1", False) for host in ("128.0.0.1", "10.0.0.1", "localhost.test", "mylocalhost", "[::2]")),
        *((url, False) for url in ("", "localhost", "http://[::1", "127.0.0.1:80")),
    ],
)
def test_what_is_on_this_machine(url: str, here: bool) -> None:
    assert routes.is_here(url) == here


def test_a2_the_class_behind_the_strings_is_public() -> None:
    node = inference.LLM(
        model="google/gemini-2.5-flash-lite",
        provider="google",
        extra_kwargs={"max_completion_tokens": 1000},
        api_key="devkey",
        api_secret="secret",
    )
    assert node.model == "google/gemini-2.5-flash-lite"
    with pytest.raises(AttributeError, match="Llm"):
        _ = inference.Llm


@pytest.mark.parametrize(
    ("kind", "text", "name", "suffix"),
    [
        ("tts", "openai/tts-1:alloy", "openai/tts-1", "alloy"),
        ("tts", "openai/gpt-4o-mini-tts", "openai/gpt-4o-mini-tts", None),
        ("tts", "gemini/gemini-2.5-flash-preview-tts:Kore", "gemini/gemini-2.5-flash-preview-tts", "Kore"),
        ("tts", "together/cartesia/sonic-2:VOICE", "together/cartesia/sonic-2", "VOICE"),
        ("stt", "groq/whisper-large-v3:en", "groq/whisper-large-v3", "en"),
        ("llm", "ollama/llama3.1:8b", "ollama/llama3.1:8b", None),
        ("llm", "local/rules:fast", "local/rules", "fast"),
    ],
)
def test_suffixes(kind: Any, text: str, name: str, suffix: str | None) -> None:
    descriptor = parse(kind, text)
    assert (descriptor.name, descriptor.suffix) == (name, suffix)


@pytest.mark.parametrize(
    ("kind", "text", "factory"),
    [
        ("stt", "openai/whisper-1", "openai.speech:OpenAISTT"),
        ("stt", "openai/gpt-4o-transcribe", "openai.speech:OpenAISTT"),
        ("stt", "groq/whisper-large-v3", "openai.speech:OpenAISTT"),
        ("tts", "openai/tts-1:alloy", "openai.speech:OpenAITTS"),
        ("tts", "together/cartesia/sonic-2", "openai.speech:OpenAITTS"),
        ("tts", "gemini/gemini-2.5-flash-preview-tts:Kore", "gemini.tts:GeminiTTS"),
    ],
)
def test_speech_has_classes_of_its_own(kind: Any, text: str, factory: str) -> None:
    descriptor = parse(kind, text)
    (way,) = descriptor.ways
    assert way.factory == f"agent_runtime.providers.{factory}"
    assert way.arguments["model"] == descriptor.model


def test_a_voice_of_gemini(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "g1234")
    node = resolve("tts", "gemini/gemini-2.5-flash-preview-tts:Kore")
    assert type(node).__name__ == "GeminiTTS"


# Options


def test_options_go_to_the_class(monkeypatch: pytest.MonkeyPatch) -> None:
    node = made(
        "openai/gpt-4.1?temperature=0.2&seed=7&parallel_tool_calls=false&stop=END", monkeypatch, OPENAI_API_KEY="sk-1"
    )
    named = node.parameters[1]
    assert named == {"temperature": 0.2, "seed": 7, "parallel_tool_calls": False, "stop": "END"}


def test_what_the_class_does_not_know_goes_to_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    text = 'ollama/llama3.1?top_k=5&mirostat=true&grammar=root&options={"a":1}'
    assert made(text, monkeypatch).parameters[0] == {
        "top_k": 5,
        "mirostat": True,
        "grammar": "root",
        "options": {"a": 1},
    }


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("temperatur=1", "has the unknown option 'temperatur'; did you mean 'temperature'?"),
        ("temperature=hot", "has temperature='hot'; temperature is a number."),
        ("temperature=inf", "temperature is a number."),
        ("seed=1.5", "has seed='1.5'; seed is a whole number."),
        ("store=perhaps", "has store='perhaps'; store is true or false."),
    ],
)
def test_a_wrong_option_is_named(options: str, told: str) -> None:
    with pytest.raises(UsageError, match=re.escape(told)):
        resolve("llm", f"ollama/llama3.1?{options}")


def test_no_message_has_the_key() -> None:
    with pytest.raises(UsageError, match="seed is a whole number") as raised:
        resolve("llm", "openai/gpt-4.1?api_key=sk-sesame&seed=x")
    assert "sesame" not in str(raised.value)


# Keys


@pytest.mark.parametrize(
    ("kind", "text", "variables", "needs"),
    [
        (
            "llm",
            "google/gemini-2.5-flash",
            {},
            "LIVEKIT_API_KEY and LIVEKIT_API_SECRET, or GEMINI_API_KEY or GOOGLE_API_KEY",
        ),
        ("llm", "openai/gpt-4.1", {}, "LIVEKIT_API_KEY and LIVEKIT_API_SECRET, or OPENAI_API_KEY"),
        ("llm", "openai/gpt-4.1", {"LIVEKIT_API_KEY": "k"}, "LIVEKIT_API_SECRET"),
        ("llm", "openai/gpt-oss-120b", {"OPENAI_API_KEY": "k"}, "LIVEKIT_API_KEY and LIVEKIT_API_SECRET"),
        ("llm", "moonshotai/kimi-k2-instruct", {}, "LIVEKIT_API_KEY and LIVEKIT_API_SECRET"),
        ("llm", "gemini/gemini-2.5-flash", {}, "GEMINI_API_KEY or GOOGLE_API_KEY"),
        ("llm", "azure/gpt-4o", {}, "AZURE_OPENAI_ENDPOINT and AZURE_OPENAI_API_KEY"),
        (
            "llm",
            "azure/gpt-4o",
            {"AZURE_OPENAI_ENDPOINT": "https://x"},
            "AZURE_OPENAI_API_KEY",
        ),
        ("llm", "xai/grok-3-fast", {}, "XAI_API_KEY"),
        ("llm", "sambanova/x", {}, "SAMBANOVA_API_KEY"),
        ("stt", "openai/whisper-1", {}, "OPENAI_API_KEY"),
        ("tts", "cartesia/sonic-3:VOICE", {}, "CARTESIA_API_KEY"),
    ],
)
def test_a_missing_key_is_named_with_all_that_would_do(
    monkeypatch: pytest.MonkeyPatch, kind: Any, text: str, variables: dict[str, str], needs: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError) as raised:
        resolve(kind, text)
    assert f"needs {needs} in the environment; 'local/" in str(raised.value)
    assert str(raised.value).endswith("needs no key.")


def test_an_empty_variable_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="needs GROQ_API_KEY"):
        made("groq/x", monkeypatch, GROQ_API_KEY="")


def test_keys_of_the_way_that_would_be_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert keys_of("llm", "openai/gpt-4.1") == {"OPENAI_API_KEY": False}
    monkeypatch.setenv("GOOGLE_API_KEY", "g1234")
    assert keys_of("llm", "google/gemini-2.5-flash | groq/x ~p90") == {"GOOGLE_API_KEY": True, "GROQ_API_KEY": False}
    assert keys_of("llm", "local/rules") == {}
    assert keys_of("llm", "no descriptor | ") == {}


def test_the_keys_are_those_of_the_table_of_services() -> None:
    for provider, row in services.rows().items():
        if provider in routes.KEYS and provider != "livekit":
            known = {*row.key_variables, *row.token_variables}
            keys = {name for key in routes.keys_of(provider) for name in key if name.endswith(("_KEY", "_TOKEN"))}
            assert keys <= known, provider
            assert bool(keys) == (row.key_required and bool(row.key_variables)), provider


# Names


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("opnai/gpt-4.1", "Unknown LLM 'opnai/gpt-4.1'. Did you mean 'openai/gpt-4.1'?"),
        ("groqq/llama", "Did you mean 'groq/llama'?"),
        ("Anthropic/claude", "Did you mean 'anthropic/claude'?"),
        ("acme/large", "Known are local, anthropic, "),
        ("gpt-4.1", "is no descriptor: write 'provider/model'"),
        ("openai/", "is no descriptor"),
        ("/gpt-4.1", "is no descriptor"),
        ("deepgram/nova-3", "no LLM of deepgram is known; 'local/rules' runs on this machine"),
        ("openai/gpt-4.1?temperature=0.2&temperature=0.4", "gives temperature= twice; take one away."),
    ],
)
def test_an_unknown_name_says_what_was_near(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=re.escape(told)):
        resolve("llm", text)


def test_no_key_is_asked_for_a_node_that_a_service_does_not_have() -> None:
    with pytest.raises(UsageError, match="no TTS of anthropic is known") as caught:
        resolve("tts", "anthropic/x")
    assert "KEY" not in str(caught.value)


@pytest.mark.parametrize("kind", ["llm", "stt", "tts"])
@pytest.mark.parametrize(
    "text",
    [
        "openai/gpt 4?api_key=SESAME",
        "openai?api_key=SESAME",
        "openai/x?api_key=SESAME | ollama/x ~0ms",
        "openai/x?api_key=SESAME | ollama/x ~p95",
        "openai/x?api_key=SESAME |",
        "openai/x?api_key=SESAME ~600ms | ollama/x",
        "openai/x?api_key=SESAME | openai/x?api_key=SESAME",
        "openai/x~1s?api_key=SESAME",
        "openai/x?api_key=open SESAME&temperature=1&temperature=2",
        "openai/x?base_url=http://u:SESAME@h/v1 |",
        "openai/x?base_url=http%3A%2F%2Fu%3ASESAME%40h |",
        "openai/x?extra_headers={'Authorization': 'Bearer SESAME'} |",
    ],
)
def test_no_error_tells_a_secret(kind: Any, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(kind, text)
    assert "SESAME" not in str(caught.value)


def test_shown_keeps_what_is_no_secret() -> None:
    text = "openai/x?max_tokens=5&api_key=SESAME&temperature=1 | groq/y?token=SESAME ~600ms"
    assert shown(text) == "openai/x?max_tokens=5&api_key=***&temperature=1 | groq/y?token=*** ~600ms"


def test_a_service_of_the_user_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    table = tmp_path / "services.toml"
    table.write_text('[house]\nbase_url = "https://models.house.example/v1"\nkey_variables = ["HOUSE_KEY"]\n')
    monkeypatch.setenv(services.VARIABLE, str(table))
    services.rows.cache_clear()
    try:
        with pytest.raises(UsageError, match="needs HOUSE_KEY in the environment"):
            resolve("llm", "house/big")
        assert made("house/big", monkeypatch, HOUSE_KEY="h1234").base_url == "https://models.house.example/v1"
    finally:
        services.rows.cache_clear()


# Chains


def test_all_that_is_wrong_in_a_chain_is_said_at_once() -> None:
    with pytest.raises(UsageError) as raised:
        resolve("llm", "groq/x | xai/y ~600ms | local/rules")
    assert "needs GROQ_API_KEY" in str(raised.value)
    assert "needs XAI_API_KEY" in str(raised.value)


def test_a_name_in_a_chain_is_checked() -> None:
    check_name(parse("llm", "groq/x?temperature=0.1 | local/rules"))
    with pytest.raises(UsageError, match="Did you mean 'groq/y'"):
        check_name(parse("llm", "local/rules | groqq/y"))


def test_a_chain_becomes_one_node(monkeypatch: pytest.MonkeyPatch) -> None:
    node = made("groq/x | local/rules ~600ms", monkeypatch, GROQ_API_KEY="gsk_1")
    assert node.label == "groq/x | local/rules"
    assert node.leaves_machine


@pytest.mark.parametrize(
    ("kind", "text"),
    [("vad", "local/silero | local/webrtc"), ("turn_detection", "local/text | local/smart-turn")],
)
def test_a_detector_has_no_fallback(kind: Any, text: str) -> None:
    with pytest.raises(UsageError, match=r"has no fallback yet; name one .*, as 'local/"):
        resolve(kind, text)


# Explained


def test_an_explanation_says_who_serves_it_and_that_it_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in LIVEKIT.items():
        monkeypatch.setenv(name, value)
    lines = explain_descriptor("llm", "google/gemini-2.5-flash-lite")
    assert "InferenceLLM at livekit" in lines[0]
    assert "over the network" in lines[0]
    assert lines[1:] == ["key  LIVEKIT_API_KEY is set", "key  LIVEKIT_API_SECRET is set"]
    assert "OpenAILLM at ollama  on this machine" in explain_descriptor("llm", "ollama/llama3.1")[0]


def test_an_explanation_of_a_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "gsk_1")
    lines = explain_descriptor("llm", "groq/x | local/rules ~p90")
    assert "FallbackLLM: OpenAILLM at groq, else RulesLLM" in lines[0]
    assert lines[1:] == ["key  GROQ_API_KEY is set"]


def test_planning_keeps_what_is_wrong() -> None:
    with planning():
        node = resolve("llm", "groq/x | nowhere")
    assert isinstance(node, Unresolved)
    assert "GROQ_API_KEY" in node.reason
    assert "'nowhere' is no descriptor" in node.reason
