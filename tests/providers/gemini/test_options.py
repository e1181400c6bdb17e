"""Parameters by OpenAI's, LiteLLM's, LiveKit's and Gemini's names: rows D4, D5, D7, D8, D10, D11, D12 and what is refused."""

from typing import Any

import pytest

from agent_runtime.errors import UsageError
from agent_runtime.providers.gemini.options import format_config, generation, options

FLASH = "gemini-2.5-flash"
THREE = "gemini-3-flash-preview"


def config(named: str = FLASH, /, **given: Any) -> dict[str, Any]:
    return options(named, given).config


def test_d4_every_parameter_of_openai_has_geminis_name() -> None:
    given = {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 100,
        "n": 2,
        "stop": "END",
        "logprobs": True,
        "top_logprobs": 3,
        "frequency_penalty": 0.1,
        "presence_penalty": -0.1,
        "seed": 7,
        "modalities": ["text"],
    }
    assert config(**given) == {
        "temperature": 0.5,
        "topP": 0.9,
        "maxOutputTokens": 100,
        "candidateCount": 2,
        "stopSequences": ["END"],
        "responseLogprobs": True,
        "logprobs": 3,
        "frequencyPenalty": 0.1,
        "presencePenalty": -0.1,
        "seed": 7,
        "responseModalities": ["TEXT"],
    }


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens"])
def test_d4_the_most_tokens_have_four_names(name: str) -> None:
    assert config(**{name: 5}) == {"maxOutputTokens": 5}


@pytest.mark.parametrize("name", ["logit_bias", "user", "store", "metadata"])
def test_d4_what_gemini_has_not_is_refused_or_dropped(name: str) -> None:
    with pytest.raises(UsageError, match=f"no parameter '{name}'.*drop_params=True"):
        config(**{name: {"1": 2}})
    assert options(FLASH, {name: {"1": 2}, "seed": 1}, drop_params=True).config == {"seed": 1}


@pytest.mark.parametrize(
    ("effort", "thinking"),
    [
        ("disable", {"thinkingBudget": 0, "includeThoughts": False}),
        ("none", {"thinkingBudget": 0, "includeThoughts": False}),
        ("minimal", {"thinkingBudget": 1, "includeThoughts": True}),
        ("low", {"thinkingBudget": 1024, "includeThoughts": True}),
        ("medium", {"thinkingBudget": 2048, "includeThoughts": True}),
        ("high", {"thinkingBudget": 4096, "includeThoughts": True}),
    ],
)
def test_d5_reasoning_effort_is_a_budget_up_to_the_second_generation(effort: str, thinking: dict[str, Any]) -> None:
    assert config("gemini-2.5-flash-preview-04-17", reasoning_effort=effort) == {"thinkingConfig": thinking}


@pytest.mark.parametrize(
    ("model", "effort", "thinking"),
    [
        (THREE, "disable", {"thinkingLevel": "minimal", "includeThoughts": False}),
        ("gemini-3.1-pro-preview", "none", {"thinkingLevel": "low", "includeThoughts": False}),
        (THREE, "minimal", {"thinkingLevel": "minimal", "includeThoughts": True}),
        ("gemini-3.5-flash", "low", {"thinkingLevel": "low", "includeThoughts": True}),
        (THREE, "high", {"thinkingLevel": "high", "includeThoughts": True}),
    ],
)
def test_d5_reasoning_effort_is_a_level_from_the_third_on(model: str, effort: str, thinking: dict[str, Any]) -> None:
    assert config(model, reasoning_effort=effort) == {"thinkingConfig": thinking}


@pytest.mark.parametrize(("effort", "budget"), [("disable", 128), ("minimal", 128), ("low", 1024)])
def test_d5_a_model_that_always_thinks_thinks_least(effort: str, budget: int) -> None:
    assert config("gemini-2.5-pro", reasoning_effort=effort)["thinkingConfig"]["thinkingBudget"] == budget


@pytest.mark.parametrize("effort", ["xhigh", "", 3])
def test_d5_an_unknown_effort_is_refused(effort: Any) -> None:
    with pytest.raises(UsageError, match="reasoning_effort is"):
        config(reasoning_effort=effort)


def test_d7_thinking_in_anthropics_form_and_in_geminis_own() -> None:
    assert config(thinking={"type": "enabled", "budget_tokens": 1024}) == {
        "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 1024}
    }
    assert config(thinking={"type": "disabled"}) == {"thinkingConfig": {"thinkingBudget": 0, "includeThoughts": False}}
    assert config(thinking_config={"thinking_budget": 512, "include_thoughts": True}) == {
        "thinkingConfig": {"thinkingBudget": 512, "includeThoughts": True}
    }
    assert config(THREE, thinking_config={"thinkingLevel": "LOW"}) == {"thinkingConfig": {"thinkingLevel": "low"}}
    assert config(thinking_config={"thinking_budget": -1}) == {"thinkingConfig": {"thinkingBudget": -1}}


@pytest.mark.parametrize(
    ("model", "given", "said"),
    [
        (THREE, {"thinking_config": {"thinking_budget": 10}}, "thinks by levels; give reasoning_effort"),
        (THREE, {"thinking": {"type": "enabled", "budget_tokens": 10}}, "thinks by levels"),
        (FLASH, {"thinking_config": {"thinking_level": "low"}}, "thinks by tokens; give thinking_budget"),
        (THREE, {"thinking_config": {"thinking_level": "huge"}}, "thinking_level is 'huge'"),
        (FLASH, {"thinking_config": {"thinking_budget": 24_577}}, "takes 1 to 24576 tokens, 0 for none"),
        ("gemini-2.5-pro", {"thinking_config": {"thinking_budget": 0}}, "takes 128 to 32768 tokens"),
        ("gemini-2.5-flash-lite", {"thinking_config": {"thinking_budget": 100}}, "takes 512 to 24576"),
        (FLASH, {"thinking_config": {"thinking_budget": "many"}}, "whole number"),
        (FLASH, {"thinking": {"type": "on"}}, "thinking\\['type'\\] is 'on'"),
    ],
)
def test_d7_a_budget_or_level_that_the_model_cannot_take_is_refused(model: str, given: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        config(model, **given)


SCHEMA = {
    "type": "array",
    "items": {"type": "object", "properties": {"recipe_name": {"type": "string"}}, "required": ["recipe_name"]},
}


@pytest.mark.parametrize(
    "told",
    [
        {"type": "json_object", "response_schema": SCHEMA},
        {"type": "json_schema", "json_schema": {"name": "recipes", "schema": SCHEMA}},
        SCHEMA,
    ],
)
def test_d8_a_schema_goes_as_it_is_to_models_that_read_json_schema(told: dict[str, Any]) -> None:
    assert format_config("gemini-2.0-flash", told) == {
        "responseMimeType": "application/json",
        "responseJsonSchema": SCHEMA,
    }


def test_d8_the_first_generation_gets_its_own_dialect() -> None:
    made = format_config("gemini-1.5-pro", {"type": "json_object", "response_schema": SCHEMA})
    assert made["responseSchema"]["type"] == "ARRAY"
    assert made["responseSchema"]["items"]["properties"] == {"recipe_name": {"type": "STRING"}}


def test_d8_a_schema_in_geminis_words_stays_as_it_is() -> None:
    own = {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}
    assert config(response_schema=own) == {"responseMimeType": "application/json", "responseSchema": own}
    assert options(FLASH, {"response_schema": SCHEMA}).response_format == SCHEMA


def test_d10_json_mode() -> None:
    assert format_config(FLASH, {"type": "json_object"}) == {"responseMimeType": "application/json"}


def test_d11_what_is_unknown_goes_into_generation_config_as_it_is() -> None:
    assert config(topK=1, someNewThing={"a_b": 1}) == {"topK": 1, "someNewThing": {"a_b": 1}}
    assert config(top_k=40.0) == {"topK": 40}


def test_d12_safety_settings_stand_beside_it() -> None:
    categories = ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT")
    settings = [{"category": f"HARM_CATEGORY_{each}", "threshold": "BLOCK_NONE"} for each in categories]
    assert options(FLASH, {"safety_settings": settings}).body == {"safetySettings": settings}
    with pytest.raises(UsageError, match="an entry is like"):
        options(FLASH, {"safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT"}]})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"temperature": 2.1}, "temperature is 2.1; it is a number from 0 to 2"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_p": -0.1}, "top_p is -0.1"),
        ({"top_k": 0}, "top_k is 0"),
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"max_tokens": True}, "max_tokens is True"),
        ({"n": 9}, "n is 9; 8 is the most"),
        ({"stop": ["a", "b", "c", "d", "e", "f"]}, "stop has 6 texts; 5 is the most"),
        ({"stop": ""}, "stop is ''"),
        ({"frequency_penalty": 3}, "frequency_penalty is 3"),
        ({"presence_penalty": -2.5}, "presence_penalty is -2.5"),
        ({"logprobs": 5}, "logprobs is 5"),
        ({"top_logprobs": 2}, "top_logprobs is 2 without logprobs"),
        ({"top_logprobs": 21, "logprobs": True}, "top_logprobs is 21; 20 is the most"),
        ({"modalities": "audio"}, "modalities is 'audio'; it is a list"),
        ({"modalities": ["smell"]}, "modalities is 'smell'"),
        ({"stream": "yes"}, "stream is 'yes'"),
        ({"seed": 1.5}, "seed is 1.5"),
    ],
)
def test_d4_a_value_out_of_its_range_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        config(**given)


SEARCH: dict[str, Any] = {"googleSearch": {}}
PLACES: dict[str, Any] = {"googleMaps": {}}


def test_what_is_asked_for_now_counts_before_what_was_asked_for_before() -> None:
    first = options(FLASH, {"max_output_tokens": 100, "temperature": 1, "tool_choice": "auto", "tools": [SEARCH]})
    both = options(FLASH, {"max_tokens": 5, "tools": [PLACES]}, over=first)
    assert both.config == {"maxOutputTokens": 5, "temperature": 1}
    assert (both.tool_choice, both.functions) == ("auto", [SEARCH, PLACES])
    assert options(FLASH, {"top_logprobs": 2}, over=options(FLASH, {"logprobs": True})).config["logprobs"] == 2


@pytest.mark.parametrize(
    ("model", "number"),
    [
        ("gemini-2.5-flash", 2.5),
        ("gemini-3-pro-preview", 3),
        ("gemini-pro", None),
        ("models/gemini-1.5-pro-latest", 1.5),
    ],
)
def test_the_generation_is_read_from_the_name(model: str, number: float | None) -> None:
    assert generation(model) == number
