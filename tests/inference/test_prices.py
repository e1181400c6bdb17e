"""What models cost: dated rows, overridable, and never 0 for what is not known."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_runtime.errors import UsageError
from agent_runtime.inference import prices
from agent_runtime.inference.prices import Price, load, price_of
from agent_runtime.llm import CompletionUsage

TABLE = Path(prices.__file__).with_name("prices.toml")

ROW = '[[price]]\nprovider = "groq"\nmodel = "x"\nas_of = "2026-11-20"\nsource = "a bill"\n'


@pytest.fixture(autouse=True)
def read_anew() -> Iterator[None]:
    prices.prices.cache_clear()
    yield
    prices.prices.cache_clear()


def usage(prompt: int, completion: int, *, cached: int = 0, written: int = 0) -> CompletionUsage:
    return CompletionUsage(
        completion_tokens=completion,
        prompt_tokens=prompt,
        total_tokens=prompt + completion,
        prompt_cached_tokens=cached,
        cache_creation_tokens=written,
    )


def test_each_row_says_when_and_where_it_was_true() -> None:
    rows = tomllib.loads(TABLE.read_text("utf-8"))["price"]
    assert len(rows) == len({(row["provider"], row["model"]) for row in rows}) == len(load())
    for row in rows:
        assert re.fullmatch(r"20\d\d-\d\d(-\d\d)?", row["as_of"]), row
        assert row["source"].startswith("https://"), row


def test_a_cost_is_of_the_tokens_as_the_service_counts_them() -> None:
    price = price_of("openai", "gpt-4.1-mini")
    assert price is not None
    assert price.of_tokens(usage(1_000_000, 0)) == pytest.approx(0.40)
    assert price.of_tokens(usage(0, 1_000_000)) == pytest.approx(1.60)
    assert price.of_tokens(usage(1_000_000, 0, cached=500_000)) == pytest.approx(0.20 + 0.05)


def test_a_cache_without_a_price_costs_what_it_would_have_cost_without() -> None:
    price = Price(provider="p", model="m", input=2.0, output=4.0, as_of="2026-11", source="x")
    assert price.of_tokens(usage(1_000_000, 0, cached=300_000, written=300_000)) == pytest.approx(2.0)
    written = Price(provider="p", model="m", input=2.0, output=4.0, cache_write=3.0, as_of="2026-11", source="x")
    assert written.of_tokens(usage(1_000_000, 0, written=500_000)) == pytest.approx(2.5)


def test_unknown_is_unpriced_and_not_free() -> None:
    assert price_of("openai", "gpt-99") is None
    assert price_of("openai", "gpt-4o-2024-05-13") is None, "a snapshot may have another price"
    assert price_of("livekit", "openai/gpt-4.1") is None, "what the gateway takes is not what the owner takes"
    whisper = price_of("openai", "whisper-1")
    assert whisper is not None
    assert whisper.minute == 0.006
    assert whisper.of_tokens(usage(10, 10)) is None


def test_a_price_holds_for_prompts_up_to_its_limit() -> None:
    price = price_of("gemini", "gemini-2.5-pro")
    assert price is not None
    assert price.of_tokens(usage(200_000, 0)) == pytest.approx(0.25)
    assert price.of_tokens(usage(200_001, 0)) is None


def test_what_runs_on_this_machine_is_free_by_right(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider, model in (("local", "local/rules"), ("ollama", "llama3.1"), ("llamacpp", "default")):
        price = price_of(provider, model)
        assert price is not None
        assert price.is_free
        assert price.of_tokens(usage(1000, 1000)) == 0.0
    assert price_of("litellm_proxy", "gpt-4o") is None, "it asks others, and they are paid"
    monkeypatch.setenv("VLLM_BASE_URL", "https://gpu.example/v1")
    assert price_of("vllm", "x") is None


def test_a_file_of_ones_own_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "prices.toml"
    own.write_text(
        ROW
        + "input = 0.5\noutput = 1\n\n"
        + ROW.replace("groq", "openai").replace('"x"', '"gpt-4.1"')
        + "input = 9\noutput = 9\n"
    )
    monkeypatch.setenv(prices.VARIABLE, str(own))
    first, second, third = price_of("groq", "x"), price_of("openai", "gpt-4.1"), price_of("openai", "gpt-4o")
    assert first is not None
    assert second is not None
    assert third is not None
    assert (first.output, second.input, third.input) == (1.0, 9.0, 2.5)
    assert second.cached_input is None, "the row takes the place of the other, whole"


def test_a_file_in_the_folder_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/prices.toml").write_text(ROW + "input = 0.5\noutput = 1.0\n")
    monkeypatch.chdir(tmp_path)
    assert price_of("groq", "x") is not None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (ROW + "input = 0\n", "has a price of groq/x with input = 0; it is a number above 0"),
        (ROW + "input = -1.0\n", "with input = -1.0; it is a number above 0"),
        (ROW + 'input = "1"\n', "with input = '1'"),
        (ROW + "input = nan\n", "with input = nan"),
        (ROW + "per_call = 1.0\n", "with the unknown key 'per_call'; it takes input, "),
        (ROW.replace("2026-11-20", "today"), "with as_of = 'today'; write a date"),
        (ROW.replace('source = "a bill"\n', ""), "without its source"),
        ('[[price]]\nmodel = "x"\n', "has a price of ?/x without its provider"),
        ("price = 3\n", "are no list; write [[price]] over each."),
        ("[[price]\n", "are no TOML"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, text: str, told: str) -> None:
    own = tmp_path / "prices.toml"
    own.write_text(text)
    with pytest.raises(UsageError) as raised:
        load(own)
    assert told in str(raised.value)
    assert str(own) in str(raised.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot be read: No such file.*AGENT_RUNTIME_PRICES"):
        load(tmp_path / "none.toml")


def test_a_price_can_be_written_as_json() -> None:
    import dataclasses

    assert json.dumps(dataclasses.asdict(next(iter(load().values()))))
