"""The table of services, and the file that a user lays over it."""

from pathlib import Path

import pytest

from agent_runtime.errors import UsageError
from agent_runtime.providers.openai import services

SEEDS = (
    "baseten groq mistralai openai azure cerebras deepseek fireworks letta ollama openrouter perplexity telnyx together xai"
).split()


def written(folder: Path, text: str) -> Path:
    path = folder / "services.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("provider", [*SEEDS, "livekit", "litellm_proxy", "openai_compatible"])
def test_c3_every_compatible_provider_has_a_row(provider: str) -> None:
    row = services.row(provider)
    assert row.provider == provider
    assert row.base_url.startswith(("http", "{")) or provider == "openai_compatible"
    assert row.name


def test_unknown_services_say_what_was_near() -> None:
    with pytest.raises(UsageError, match=r"no service 'grok'\. Did you mean 'groq'"):
        services.row("grok")


@pytest.mark.parametrize("model", ["o1", "o3-mini", "openai/o4-mini", "gpt-5-nano", "openai/gpt-5", "gpt-6-sol"])
def test_reasoning_models_may_take_longer_to_begin(model: str) -> None:
    assert services.row("openai").first_token_timeout(model) == 60.0
    assert services.row("openrouter").first_token_timeout(model) == 60.0


def test_other_models_may_not() -> None:
    assert services.row("openai").first_token_timeout("gpt-4.1") == 10.0
    assert services.row("xai").first_token_timeout("grok-4-1-fast-non-reasoning") == 10.0


def test_a9_gemma_at_livekit_has_its_tags() -> None:
    row = services.row("livekit")
    assert row.think_tags("google/gemma-4-31b-it") == ("<|channel>thought", "<channel|>")
    assert row.think_tags("google/gemini-2.5-flash") == ()


# Laid over


def test_a_file_changes_one_key_and_leaves_the_others(tmp_path: Path) -> None:
    changed = services.load(
        written(tmp_path, '[groq]\nbase_url = "https://groq.test/v1"\nclamp = {top_p = [0.1, 1]}\n')
    )
    row, before = changed["groq"], services.load()["groq"]
    assert row.base_url == "https://groq.test/v1"
    assert row.key_variables == before.key_variables
    clamp = next(rule.clamp for rule in row.rules if rule.clamp)
    assert clamp["top_p"] == [0.1, 1]
    assert clamp["n"] == [1, 1]


def test_a_file_adds_rules_behind_those_that_are_there(tmp_path: Path) -> None:
    text = '[[openai.rules]]\nmodels = ["mine*"]\ndrop = ["seed"]\nthinks_first = true\nfirst_token_timeout = 30\n'
    row = services.load(written(tmp_path, text))["openai"]
    assert row.rules_for("mine-1")[-1].drop == ("seed",)
    assert row.thinks_first("mine-1")
    assert not row.thinks_first("gpt-4.1")
    assert row.first_token_timeout("mine-1") == 30.0
    assert len(row.rules) == len(services.load()["openai"].rules) + 1


def test_a_file_adds_services_and_families(tmp_path: Path) -> None:
    text = """
        [[families.house]]
        models = ["*"]
        defaults = { top_k = 3 }
        [house]
        base_url = "http://house.test/v1"
        families = ["house", "openai"]
        """
    row = services.load(written(tmp_path, text))["house"]
    assert row.provider == row.name == "house"
    assert row.rules_for("any")[0].defaults == {"top_k": 3}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[groq]\nbase_ur = 'x'", "unknown key 'base_ur' in [groq]. Did you mean 'base_url'?"),
        ("[grok]\nname = 'x'", "new service 'grok' without a base_url. Did you mean 'groq'?"),
        ("[groq]\nfamilies = ['opnai']", "unknown family 'opnai' in [groq]. Did you mean 'openai'?"),
        ("[[groq.rules]]\nmodel = ['x']", "unknown key 'model' in a rule of 'groq'. Did you mean 'models'?"),
        ("[groq]\nstrict_tools = 'no'", "'strict_tools = 'no'' for 'groq'; it is true or false."),
        ("[groq]\ndrop = 'n'", "'drop = 'n'' for 'groq'; it is a list."),
        ("[groq]\nfirst_token_timeout = 'x'", "'first_token_timeout = 'x'' for 'groq'; it is a number."),
        ("[groq]\ncall_id_length = true", "'call_id_length = True' for 'groq'; it is a whole number."),
        ("[groq]\nclamp = []", "'clamp = []' for 'groq'; it is a table."),
        ("[groq]\nturns = 'altern'", "'turns = 'altern'' for 'groq'; it is any or alternate or answered."),
        ("base_url = 'x'", "outside of a service"),
        ("[groq", "no TOML"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        services.load(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_is_named_with_the_variable(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=services.VARIABLE):
        services.load(tmp_path / "none.toml")


def test_the_file_is_that_of_the_variable_or_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(services.VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    assert services.overrides() is None
    services.OVERRIDES.parent.mkdir()
    services.OVERRIDES.touch()
    assert services.overrides() == services.OVERRIDES
    monkeypatch.setenv(services.VARIABLE, "/elsewhere.toml")
    assert services.overrides() == Path("/elsewhere.toml")
