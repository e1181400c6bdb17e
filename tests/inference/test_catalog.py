"""The list of models: what the founding documents name is in it."""

import re
from pathlib import Path

import pytest

from agent_runtime.inference import catalog
from agent_runtime.inference.descriptor import LOCAL, check_name, parse
from agent_runtime.providers.openai import services

PLUGINS = Path(__file__).parents[2] / "agent_runtime" / "plugins"

A6 = {
    "openai/gpt-4o": {"azure", "openai"},
    "openai/gpt-4o-mini": {"azure", "openai"},
    "openai/gpt-4.1": {"azure", "openai"},
    "openai/gpt-4.1-mini": {"azure", "openai"},
    "openai/gpt-4.1-nano": {"azure", "openai"},
    "openai/gpt-5": {"azure", "openai"},
    "openai/gpt-5-mini": {"azure", "openai"},
    "openai/gpt-5-nano": {"azure", "openai"},
    "openai/gpt-oss-120b": {"baseten", "groq", "cerebras"},
    "google/gemini-2.5-pro": {"google"},
    "google/gemini-2.5-flash": {"google"},
    "google/gemini-2.5-flash-lite": {"google"},
    "google/gemini-2.0-flash": {"google"},
    "google/gemini-2.0-flash-lite": {"google"},
    "qwen/qwen3-235b-a22b-instruct": {"baseten"},
    "moonshotai/kimi-k2-instruct": {"baseten"},
    "deepseek-ai/deepseek-v3": {"baseten"},
}

D24 = (
    "gemini-pro gemini-1.5-pro-latest gemini-2.0-flash gemini-2.0-flash-exp gemini-2.0-flash-lite-preview-02-05 "
    "gemini-1.5-pro gemini-1.5-flash gemini-pro-vision gemini-2.5-flash-preview-04-17"
)


def of_row(row: str) -> dict[str, catalog.Model]:
    return {model.name: model for model in catalog.models() if row in model.rows}


def test_a6_the_seventeen_models_and_who_runs_each() -> None:
    assert {name: set(model.providers) for name, model in of_row("A6").items()} == A6


def test_a3_and_a4_the_gemini_ids_come_through_vertex() -> None:
    models = of_row("A3")
    assert list(models) == [name for name in A6 if name.startswith("google/")]
    assert all("Vertex AI" in model.note for model in models.values())


def test_a5_the_model_that_livekit_hosts() -> None:
    assert list(of_row("A5")) == ["google/gemma-4-31b-it"]


def test_d24_the_named_models() -> None:
    assert set(of_row("D24")) == {f"gemini/{name}" for name in D24.split()}


def test_c3_each_of_the_nineteen_has_a_plugin_and_an_example() -> None:
    numbered = [each for each in catalog.providers() if each.number]
    assert [each.number for each in numbered] == list(range(1, 20))
    for provider in numbered:
        assert (PLUGINS / f"{provider.plugin}.py").is_file() or provider.plugin == "google", provider.id
        if provider.id != "langchain":
            assert provider.example.startswith(f"{provider.id}/")
            assert catalog.find(provider.example), provider.example


def test_the_defaults_are_those_of_the_services() -> None:
    listed = {model.name for model in catalog.models()}
    for provider in catalog.providers():
        row = services.rows().get(provider.id)
        if row is not None and row.default_model:
            assert f"{provider.id}/{row.default_model}" in listed


def test_every_name_means_something() -> None:
    for model in catalog.models():
        check_name(parse(model.kind, model.name))
        assert model.is_local or parse(model.kind, model.name).ways, model.name
        assert model.is_local or model.title
        assert re.fullmatch(r"\S+", model.name)


def test_a_name_stands_once_for_each_kind() -> None:
    names = [(model.kind, model.name) for model in catalog.models()]
    assert len(names) == len(set(names))


def test_engines_on_this_machine_come_first() -> None:
    count = sum(map(len, LOCAL.values()))
    models = catalog.models()
    assert all(model.is_local for model in models[:count])
    assert not any(model.is_local for model in models[count:])
    assert [model.name for model in catalog.models("vad")] == list(LOCAL["vad"])


def test_what_is_not_known_is_not_said() -> None:
    (auto,) = catalog.find("openrouter/auto")
    assert auto.can == ()
    assert auto.context_window is None


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("gpt-4.1-mni", "openai/gpt-4.1-mini"),
        ("openai/gpt4.1", "openai/gpt-4.1"),
        ("claude-sonnet", "anthropic/claude-sonnet-4-6"),
        ("google/gemini-2.5-flsh", "google/gemini-2.5-flash"),
        ("Whisper-1", "openai/whisper-1"),
        ("local/rulez", "local/rules"),
    ],
)
def test_near_names(name: str, near: str) -> None:
    assert catalog.near(name)[0] == near


def test_nothing_is_near_to_nonsense() -> None:
    assert catalog.near("zzzzzz") == []
    assert catalog.near("") == []
