import subprocess
import sys
from typing import Any

import pytest

from agent_runtime.errors import UsageError
from agent_runtime.events import GenerationDiscarded, ModelCalled
from agent_runtime.inference.prices import Price
from agent_runtime.inference.spending import Budget, Spending

PRICES = {
    ("openai", "gpt"): Price(
        provider="openai", model="gpt", input=1.0, cached_input=0.1, output=10.0, as_of="2026-03", source="a page"
    )
}


def spending() -> Spending:
    return Spending(lambda provider, model: PRICES.get((provider, model)))


def called(
    model: str = "openai/gpt",
    *,
    outcome: str = "answered",
    speech: str | None = "speech_1",
    tokens: tuple[int, int] | None = (1_000_000, 100_000),
    cached: int = 0,
) -> ModelCalled:
    prompt, completion = tokens or (None, None)
    return ModelCalled(
        at=1.0,
        speech_id=speech,
        provider=model.partition("/")[0],
        model=model,
        outcome=outcome,
        requested_at=0.0,
        first_token_at=0.5,
        characters=10,
        prompt_tokens=prompt,
        completion_tokens=completion,
        prompt_cached_tokens=None if tokens is None else cached,
    )


def test_tokens_and_dollars_are_summed_by_model_and_by_speech() -> None:
    sum_ = spending()
    for event in (called(), called(speech="speech_2", cached=500_000)):
        sum_.note(event)
    (used,) = sum_.models
    assert (used.calls, used.wasted, used.prompt_tokens, used.completion_tokens) == (2, 0, 2_000_000, 200_000)
    assert used.prompt_cached_tokens == 500_000
    assert sum_.usd_of("speech_1") == pytest.approx(2.0)
    assert sum_.usd_of("speech_2") == pytest.approx(1.55)
    assert sum_.usd == pytest.approx(3.55)
    assert sum_.unknown == []


def test_an_unpriced_model_is_unknown_and_not_free() -> None:
    sum_ = spending()
    sum_.note(called("groq/llama"))
    (used,) = sum_.models
    assert used.usd is None
    assert used.prompt_tokens == 1_000_000
    assert sum_.unknown == ["groq/llama"]


def test_a_request_without_a_token_count_is_unmetered_and_not_free() -> None:
    sum_ = spending()
    sum_.note(called(tokens=None, outcome="cancelled"))
    (used,) = sum_.models
    assert (used.unmetered, used.wasted, used.usd, used.known_usd) == (1, 1, None, 0.0)
    assert sum_.unknown == ["openai/gpt"]


def test_what_is_known_of_a_model_of_which_not_all_is_stays_known() -> None:
    """Whichever came first; the session's sum is what is known, and `unknown` says that it is not all."""
    whole, unmetered = called(), called(tokens=None, outcome="lost")
    for order in ((whole, unmetered, whole), (unmetered, whole, whole), (whole, whole, unmetered)):
        sum_ = spending()
        for event in (*order, called("groq/llama")):
            sum_.note(event)
        gpt, llama = sum_.models
        assert (gpt.calls, gpt.usd) == (3, None)
        assert gpt.known_usd == pytest.approx(4.0)
        assert (llama.usd, llama.known_usd) == (None, 0.0)
        assert sum_.usd == sum_.usd_of("speech_1") == pytest.approx(4.0)
        assert sum_.unknown == ["openai/gpt", "groq/llama"]


def test_an_engine_on_this_machine_is_free_by_right() -> None:
    sum_ = Spending()
    sum_.note(called("local/rules"))
    sum_.note(called("local/rules", tokens=None, outcome="cancelled"))
    assert (sum_.usd, sum_.unknown, sum_.models[0].usd) == (0.0, [], 0.0)


@pytest.mark.parametrize("outcome", ["failed", "cancelled", "lost", "probe"])
def test_what_nobody_used_is_counted_and_paid_all_the_same(outcome: str) -> None:
    sum_ = spending()
    sum_.note(called(outcome=outcome, speech=None if outcome == "probe" else "speech_1"))
    assert sum_.models[0].wasted == 1
    assert sum_.usd == pytest.approx(2.0)


def test_an_answer_made_ahead_in_vain_is_wasted_once() -> None:
    sum_ = spending()
    sum_.note(called())
    discarded = GenerationDiscarded(at=2.0, speech_id="speech_1", reason="other words", characters=5, audio=0.0)
    for _ in range(2):
        sum_.note(discarded)
    assert (sum_.models[0].calls, sum_.models[0].wasted) == (1, 1)


def test_a_whole_log_comes_to_the_same() -> None:
    assert Spending.of([called("local/rules"), called("local/rules")]).models[0].calls == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"usd": 0}, "A budget of 0 dollars"),
        ({"usd": -1.0}, "A budget of -1.0 dollars"),
        ({"usd": float("nan")}, "nan dollars"),
        ({"usd": True}, "usd=True; it takes a number of dollars, for example 0.25."),
        ({"usd": "1"}, "usd='1'; it takes a number"),
        ({"usd": 1, "per": "day"}, "not per 'day'"),
        ({"usd": 1, "on_exceed": "cry"}, "on_exceed is 'cry'"),
    ],
)
def test_what_is_no_budget(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Budget(**given)


def test_a_budget_counts_the_session_or_the_turn() -> None:
    sum_ = spending()
    sum_.note(called())
    sum_.note(called(speech="speech_2"))
    assert Budget(1).spent(sum_, "speech_2") == pytest.approx(4.0)
    assert Budget(1, per="turn").spent(sum_, "speech_2") == pytest.approx(2.0)


def test_a_budget_from_a_profile() -> None:
    assert Budget.of({"usd": 0.25, "on_exceed": "stop"}) == Budget(0.25, on_exceed="stop")
    assert Budget.of(None) is None
    assert Budget.of(Budget(1)) == Budget(1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (0.25, "The budget is 0.25"),
        ({"per": "turn"}, "The budget is"),
        ({"usd": 1, "limit": 2}, "no 'limit'"),
        ({"usd": 0}, "A budget of 0"),
    ],
)
def test_what_is_no_budget_in_a_profile(given: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Budget.of(given)


def test_the_table_of_prices_is_read_when_something_is_to_be_paid_for() -> None:
    code = """
import sys
from agent_runtime import AgentSession, events
from agent_runtime.inference.spending import Spending
table = {"tomllib", "agent_runtime.inference.prices"}
assert not table & set(sys.modules), table & set(sys.modules)
asked = {"at": 0.0, "outcome": "answered", "requested_at": 0.0, "first_token_at": None, "characters": 0}
call = events.ModelCalled(
    provider="openai", model="openai/gpt-4.1", speech_id=None, prompt_tokens=1_000_000, completion_tokens=0, **asked
)
print(Spending.of([call]).usd > 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("True\n", "")
