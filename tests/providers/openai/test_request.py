"""What is sent for the parameters of the reference (rows B1 to B16), and what is refused before anything is sent."""

import math
from typing import Any, TypedDict

import pytest

from agent_runtime.errors import UsageError
from agent_runtime.providers.openai.request import Drawn, Parameters, draw
from agent_runtime.providers.openai.services import row
from agent_runtime.providers.remote import Asked
from agent_runtime.tools import FunctionTool, ProviderTool, ToolContext, function_tool
from agent_runtime.types import NOT_GIVEN
from tests.providers.openai_wire import hello

USER = [{"role": "user", "content": "Hello?"}]
PREFILL = [*USER, {"role": "assistant", "content": "Once"}]


@function_tool
async def book(day: str, people: int = 2) -> str:
    """Book a table."""
    return f"{day} {people}"


RAW = FunctionTool(
    lambda raw_arguments: raw_arguments,
    raw_schema={"name": "raw", "description": "Raw.", "parameters": {"type": "object", "properties": {"x": {}}}},
)


class Answer(TypedDict):
    ok: bool


def drawn(
    *layers: dict[str, Any],
    provider: str = "openai",
    model: str = "gpt-4.1",
    messages: list[dict[str, Any]] = USER,
    **asked: Any,
) -> Drawn:
    return draw(Asked(hello(), **asked), Parameters.of(*layers), row=row(provider), model=model, messages=messages)


def body(*layers: dict[str, Any], **told: Any) -> dict[str, Any]:
    return drawn(*layers, **told).body


def test_the_smallest_body() -> None:
    assert body() == {
        "model": "gpt-4.1",
        "messages": USER,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


SENT: list[tuple[str, str, Any]] = [
    ("b1", "temperature", 0),
    ("b1", "temperature", 2.0),
    ("b2", "top_p", 0.5),
    ("b3", "max_tokens", 1),
    ("b4", "max_completion_tokens", 1000),
    ("b5", "frequency_penalty", -2.0),
    ("b6", "presence_penalty", 2),
    ("b7", "seed", 7),
    ("b8", "stop", "\n"),
    ("b8", "stop", ["a", "b", "c", "d"]),
    ("b9", "n", 2),
    ("b10", "logprobs", True),
    ("b12", "logit_bias", {"50256": -100}),
    ("b15", "add_generation_prompt", False),
    ("a8", "anything_new", {"deep": [1, None]}),
    ("a10", "reasoning_effort", "low"),
]


@pytest.mark.parametrize(("row", "name", "value"), SENT)
def test_a_parameter_is_sent_as_it_is(row: str, name: str, value: Any) -> None:
    assert body({name: value})[name] == value


def test_b11_top_logprobs_go_with_logprobs() -> None:
    assert body({"logprobs": True, "top_logprobs": 20})["top_logprobs"] == 20
    with pytest.raises(UsageError, match="top_logprobs is 3, without logprobs; set logprobs=True"):
        body({"top_logprobs": 3})
    with pytest.raises(UsageError, match="without logprobs"):
        body({"top_logprobs": 3, "logprobs": False})


WRONG: list[tuple[str, str, Any, str]] = [
    ("b1", "temperature", 2.1, "temperature is 2.1; it is a number from 0 to 2"),
    ("b1", "temperature", math.nan, "from 0 to 2"),
    ("b1", "temperature", "hot", "from 0 to 2"),
    ("b1", "temperature", True, "from 0 to 2"),
    ("b2", "top_p", -0.1, "from 0 to 1"),
    ("b3", "max_tokens", 0, "at least 1"),
    ("b4", "max_completion_tokens", 1.5, "at least 1"),
    ("b5", "frequency_penalty", 2.5, "from -2 to 2"),
    ("b6", "presence_penalty", -3, "from -2 to 2"),
    ("b7", "seed", "x", "whole number"),
    ("b8", "stop", ["a", "b", "c", "d", "e"], "stop has 5 texts; 4 is the most"),
    ("b8", "stop", "", "not empty"),
    ("b8", "stop", [1], "list of such"),
    ("b9", "n", 0, "at least 1"),
    ("b10", "logprobs", 1, "True or False"),
    ("b11", "top_logprobs", 21, "from 0 to 20"),
    ("b12", "logit_bias", {"1": 101}, "from -100 to 100"),
    ("b12", "logit_bias", {"word": 1}, "a token is named by its number"),
    ("b12", "logit_bias", [1], "dictionary"),
    ("b13", "parallel_tool_calls", "yes", "True or False"),
    ("b14", "tool_choice", "any", "'auto', 'required', 'none'"),
    ("b14", "tool_choice", {"type": "function"}, "'auto', 'required', 'none'"),
    ("b15", "add_generation_prompt", "no", "True or False"),
    ("b16", "continue_final_message", 1, "True or False"),
    ("a8", "extra_body", [1], "dictionary"),
    ("a8", "anything", {1, 2}, "JSON cannot hold"),
    ("a8", "anything", [math.inf], "JSON cannot hold"),
    ("a8", "stream", False, "answers are streamed"),
    ("a8", "messages", [], "those of chat_ctx"),
    ("a8", "model", "gpt-5", "give it to the model itself"),
    ("b7", "seed", 2**63, "whole number from"),
    ("b8", "stop", [], "leave it out"),
    ("b9", "n", 129, "from 1 to 128"),
    ("a8", "metadata", {"a": 1}, "texts"),
    ("a8", "metadata", {str(number): "x" for number in range(17)}, "16 is the most"),
    ("a8", "verbosity", 3, "not empty"),
    ("a10", "reasoning_effort", "", "not empty"),
    ("a8", "modalities", "audio", "list of texts"),
    ("a8", "extra_headers", {"x": ["y"]}, "it is a text"),
    ("a8", "tools", {"googleSearch": {}}, "list of dictionaries"),
]


@pytest.mark.parametrize(("row", "name", "value", "said"), WRONG)
def test_a_wrong_parameter_is_refused_with_its_fix(row: str, name: str, value: Any, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        body({name: value}, tools=[book])
    assert name.removeprefix("extra_") in str(caught.value)
    assert said in str(caught.value)


def test_what_is_in_extra_body_is_checked_too() -> None:
    with pytest.raises(UsageError, match="temperature is 3"):
        body({"extra_body": {"temperature": 3}})


def test_b3_and_b4_are_not_given_together() -> None:
    with pytest.raises(UsageError, match="keep max_completion_tokens"):
        body({"max_tokens": 5, "max_completion_tokens": 6})


# Layers


def test_the_call_counts_before_the_model() -> None:
    sent = body({"temperature": 0.1, "seed": 1}, {"temperature": 0.9, "seed": None, "top_p": NOT_GIVEN})
    assert sent["temperature"] == 0.9
    assert "seed" not in sent
    assert "top_p" not in sent


def test_the_limit_of_the_call_takes_the_place_of_the_models_whatever_its_name() -> None:
    sent = body({"max_completion_tokens": 1000}, {"max_tokens": 5})
    assert (sent.get("max_tokens"), sent.get("max_completion_tokens")) == (5, None)


def test_a8_extra_body_is_sent_untouched_and_last() -> None:
    sent = body({"temperature": 0.5, "extra_body": {"temperature": 0.7, "top_k": 3}}, model="o3")
    assert sent["temperature"] == 0.7
    assert sent["top_k"] == 3


def test_headers_and_query_are_apart() -> None:
    parameters = Parameters.of({"extra_headers": {"A": 1}}, {"extra_headers": {"B": "2"}, "extra_query": {"q": 1}})
    assert parameters.extra_headers == {"A": "1", "B": "2"}
    assert parameters.extra_query == {"q": "1"}
    assert parameters.body == {}


# Tools


def test_tools_are_strict_and_optional_ones_may_be_null() -> None:
    assert body(tools=[book])["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "book",
                "description": "Book a table.",
                "strict": True,
                "parameters": {
                    "type": "object",
                    "properties": {"day": {"type": "string"}, "people": {"type": ["integer", "null"]}},
                    "required": ["day", "people"],
                    "additionalProperties": False,
                },
            },
        }
    ]


def test_a_tool_is_described_anew_for_another_service_and_another_name() -> None:
    other = FunctionTool(book.function, name="reserve")
    names = [body(tools=[tool])["tools"][0]["function"]["name"] for tool in (book, other, book)]
    assert names == ["book", "reserve", "book"]
    assert "strict" in body(tools=[book])["tools"][0]["function"]
    assert "strict" not in body(tools=[book], provider="cerebras")["tools"][0]["function"]


def test_a_schema_of_ones_own_is_left_as_it_is() -> None:
    function = body(tools=[RAW])["tools"][0]["function"]
    assert function == {"name": "raw", "description": "Raw.", "parameters": RAW.parameters}


def test_what_cannot_be_strict_is_sent_loose_with_a_note() -> None:
    @function_tool
    async def note(facts: dict[str, str]) -> None:
        """Note facts."""

    made = drawn(tools=[note])
    assert "strict" not in made.body["tools"][0]["function"]
    assert "'note' is sent without strict" in made.notes[0]


def test_b13_parallel_tool_calls_go_with_tools_alone() -> None:
    assert "parallel_tool_calls" not in body({"parallel_tool_calls": True})
    assert body({"parallel_tool_calls": True}, tools=[book])["parallel_tool_calls"] is True
    assert body({"parallel_tool_calls": True}, tools=[book], parallel_tool_calls=False)["parallel_tool_calls"] is False


@pytest.mark.parametrize("choice", ["auto", "required", "none", {"type": "function", "function": {"name": "book"}}])
def test_b14_tool_choice_goes_with_tools_alone(choice: Any) -> None:
    assert "tool_choice" not in body({"tool_choice": choice})
    assert body({"tool_choice": "auto"}, tools=[book], tool_choice=choice)["tool_choice"] == choice


def test_b14_a_named_tool_is_there() -> None:
    named = {"type": "function", "function": {"name": "cancel"}}
    with pytest.raises(UsageError, match="names the tool 'cancel', which is not there; there are book"):
        body(tools=[book], tool_choice=named)


def test_b14_auto_is_said_to_services_that_want_it() -> None:
    assert body(tools=[book], provider="groq", model="m")["tool_choice"] == "auto"
    assert "tool_choice" not in body(tools=[book])


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match="two tools 'book'"):
        body(tools=[book, book])


BOOK = {"type": "function", "function": {"name": "book", "parameters": {"type": "object", "properties": {}}}}


def test_a_tool_may_be_written_as_the_service_has_it() -> None:
    assert body(tools=[BOOK])["tools"] == body({"tools": [BOOK]})["tools"] == [BOOK]
    assert body(tools=[BOOK], tool_choice={"type": "function", "function": {"name": "book"}})["tools"] == [BOOK]


def test_a_tool_context_is_a_list_of_tools() -> None:
    assert body(tools=ToolContext([book])) == body(tools=[book])


@pytest.mark.parametrize("tool", [{}, {"type": "function"}, {"type": "function", "function": {}}, {"function": []}])
def test_a_tool_without_a_name_is_refused(tool: dict[str, Any]) -> None:
    for given, layer in ((tool, {}), (book, {"tools": [tool]}), (book, {"extra_body": {"tools": [tool]}})):
        with pytest.raises(UsageError, match=r"A tool (has no name: {|is {}).*write") as caught:
            body(layer, tools=[given])
        assert str(tool) in str(caught.value)


@pytest.mark.parametrize("tools", [[print], ["book"], [3], "book", 3, BOOK])
def test_what_is_no_tool_is_refused(tools: Any) -> None:
    with pytest.raises(UsageError, match=r"is no tool; put @function_tool|it is a list of tools"):
        body(tools=tools)


def test_two_tools_of_one_name_are_refused_wherever_they_stand() -> None:
    for given, raw in (([book], [BOOK]), ([book, BOOK], []), ([], [BOOK, BOOK])):
        with pytest.raises(UsageError, match="two tools 'book'"):
            body({"tools": raw}, tools=given)


def test_tools_of_the_service_itself() -> None:
    assert body(tools=[ProviderTool("openai", "web_search", {"a": 1})])["tools"] == [{"type": "web_search", "a": 1}]
    with pytest.raises(UsageError, match="'x' is xai's own; openai does not know it"):
        body(tools=[ProviderTool("xai", "x")])


def test_d15_d31_geminis_tools_through_a_proxy() -> None:
    sent = body(tools=[ProviderTool("gemini", "googleSearch")], provider="litellm_proxy", model="gemini-2.5-flash")
    assert sent["tools"] == [{"googleSearch": {}}]
    assert body({"tools": [{"urlContext": {}}]}, provider="litellm_proxy")["tools"] == [{"urlContext": {}}]


# Templates


def test_b16_continue_final_message_takes_the_generation_prompt_away() -> None:
    sent = body({"continue_final_message": True}, messages=PREFILL)
    assert (sent["continue_final_message"], sent["add_generation_prompt"]) == (True, False)


def test_b16_both_template_flags_are_refused() -> None:
    with pytest.raises(UsageError, match="continue_final_message and add_generation_prompt are both True"):
        body({"continue_final_message": True, "add_generation_prompt": True}, messages=PREFILL)
    with pytest.raises(UsageError, match="both True"):
        body({"extra_body": {"continue_final_message": True, "add_generation_prompt": True}}, messages=PREFILL)


def test_b16_there_is_something_to_continue() -> None:
    with pytest.raises(UsageError, match="the last message is not the assistant's"):
        body({"continue_final_message": True})


# Formats


def test_structured_answers() -> None:
    sent = body(response_format=Answer)["response_format"]
    assert sent["type"] == "json_schema"
    assert sent["json_schema"]["strict"] is True
    assert sent["json_schema"]["schema"]["required"] == ["ok"]
    assert body({"response_format": {"type": "json_object"}})["response_format"] == {"type": "json_object"}


def test_deepseek_knows_no_schemas_and_is_told_the_schema() -> None:
    sent = body(response_format=Answer, provider="deepseek", model="deepseek-chat")
    assert sent["response_format"] == {"type": "json_object"}
    assert sent["messages"][-1]["role"] == "system"
    assert '"ok"' in sent["messages"][-1]["content"]


# Quirks of models

EVERYTHING: dict[str, Any] = {
    "temperature": 0.5,
    "top_p": 0.5,
    "frequency_penalty": 1,
    "presence_penalty": 1,
    "n": 2,
    "logprobs": True,
    "top_logprobs": 2,
    "logit_bias": {"1": 1},
    "seed": 1,
    "stop": "x",
}
SAMPLING = {"temperature", "top_p"}
REFUSED = SAMPLING | {"frequency_penalty", "presence_penalty", "n", "logprobs", "top_logprobs", "logit_bias"}


@pytest.mark.parametrize(
    ("model", "given", "missing"),
    [
        ("o1", {}, REFUSED),
        ("openai/o3-mini", {}, REFUSED),
        ("o4-mini-2025-04-16", {}, REFUSED),
        ("gpt-5", {}, REFUSED),
        ("gpt-5-nano", {"reasoning_effort": "high"}, REFUSED),
        ("gpt-5.1", {"reasoning_effort": "high"}, REFUSED),
        ("gpt-5.1", {}, REFUSED - SAMPLING),
        ("gpt-6-sol", {}, set()),
        ("gpt-6-sol", {"reasoning_effort": "low"}, REFUSED - {"n"} | {"stop"}),
        ("gpt-4.1", {}, set()),
        ("gpt-4o-mini", {}, set()),
    ],
)
def test_reasoning_models_are_not_sent_what_they_refuse(model: str, given: dict[str, Any], missing: set[str]) -> None:
    made = drawn(EVERYTHING, given, model=model)
    assert set(EVERYTHING) - set(made.body) == missing
    assert sum("is not sent" in note for note in made.notes) == len(missing)


@pytest.mark.parametrize("provider", ["openai", "azure", "openrouter", "livekit", "litellm_proxy"])
def test_so_are_they_elsewhere(provider: str) -> None:
    assert set(EVERYTHING) - set(body(EVERYTHING, model="openai/o3", provider=provider)) == REFUSED


def test_b3_max_tokens_has_another_name_for_reasoning_models() -> None:
    assert body({"max_tokens": 5}, model="o3")["max_completion_tokens"] == 5
    assert body({"max_tokens": 5}, model="gpt-5")["max_completion_tokens"] == 5
    assert body({"max_tokens": 5}, model="gpt-4o")["max_tokens"] == 5


@pytest.mark.parametrize(
    ("model", "effort"),
    [("gpt-5", "minimal"), ("gpt-5-mini", "minimal"), ("gpt-5.1", "none"), ("gpt-5.4-mini", "none"), ("gpt-4.1", None)],
)
def test_a10_a_model_thinks_as_little_as_it_can_unless_told(model: str, effort: str | None) -> None:
    assert body(model=model).get("reasoning_effort") == effort
    assert body({"reasoning_effort": "high"}, model=model)["reasoning_effort"] == "high"
    assert "reasoning_effort" not in body(model=model, provider="livekit")


@pytest.mark.parametrize("model", ["gpt-5.2", "gpt-5.4-mini", "openai/gpt-5.2"])
def test_effort_and_tools_do_not_go_together_everywhere(model: str) -> None:
    assert "reasoning_effort" not in body({"reasoning_effort": "low"}, tools=[book], model=model)
    assert body({"reasoning_effort": "low"}, model=model)["reasoning_effort"] == "low"
    assert body({"reasoning_effort": "low"}, tools=[book], model="gpt-5.1")["reasoning_effort"] == "low"


def test_xais_reasoning_models_keep_their_temperature() -> None:
    missing = set(EVERYTHING) - set(body(EVERYTHING, model="grok-4-1-fast-reasoning", provider="xai"))
    assert missing == {"presence_penalty", "frequency_penalty", "stop"}
    assert set(body(EVERYTHING, model="grok-4-1-fast-non-reasoning", provider="xai")) >= set(EVERYTHING)


# Quirks of services

QUIRKS: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("baseten", "openai/gpt-oss-120b", {}, {"reasoning_effort": "low"}),
    ("baseten", "openai/gpt-oss-120b", {"reasoning_effort": "high"}, {"reasoning_effort": "high"}),
    (
        "cerebras",
        "m",
        {"frequency_penalty": 1, "presence_penalty": 1, "logit_bias": {"1": 1}, "service_tier": "auto"},
        {},
    ),
    ("cerebras", "m", {"max_tokens": 5}, {"max_completion_tokens": 5}),
    ("deepseek", "m", {"max_completion_tokens": 5}, {"max_tokens": 5}),
    ("groq", "m", {"logprobs": True, "top_logprobs": 1, "logit_bias": {"1": 1}}, {}),
    ("groq", "m", {"n": 3, "temperature": 0}, {"n": 1, "temperature": 1e-8}),
    ("groq", "openai/gpt-oss-20b", {}, {"reasoning_effort": "low"}),
    ("groq", "qwen/qwen3-32b", {}, {"reasoning_effort": "none"}),
    ("letta", "agent-1", {"temperature": 1}, {}),
    ("mistralai", "m", {"max_completion_tokens": 5, "seed": 7}, {"max_tokens": 5, "random_seed": 7}),
    ("mistralai", "m", {"n": 1, "logprobs": True}, {}),
    ("ollama", "m", {"n": 2, "logit_bias": {"1": 1}, "user": "u"}, {}),
    ("ollama", "m", {"max_completion_tokens": 5}, {"max_tokens": 5}),
    ("perplexity", "m", {"stop": "a", "seed": 1, "logprobs": True}, {}),
    ("fireworks", "m", {"top_k": 5, "min_p": 0.1}, {"top_k": 5, "min_p": 0.1}),
    ("litellm_proxy", "m", {"topK": 1, "thinking": {"type": "enabled"}}, {"topK": 1, "thinking": {"type": "enabled"}}),
]


@pytest.mark.parametrize(("provider", "model", "given", "sent"), QUIRKS)
def test_services_are_sent_what_they_take(
    provider: str, model: str, given: dict[str, Any], sent: dict[str, Any]
) -> None:
    made = body(given, provider=provider, model=model)
    assert {name: made[name] for name in made if name not in ("model", "messages", "stream", "stream_options")} == sent


def test_cerebras_takes_no_strict_tools_and_no_parallel_calls() -> None:
    sent = body({"parallel_tool_calls": True}, tools=[book], provider="cerebras")
    assert "strict" not in sent["tools"][0]["function"]
    assert sent["tools"][0]["function"]["parameters"]["required"] == ["day"]
    assert "parallel_tool_calls" not in sent
    assert "tool_choice" not in sent


@pytest.mark.parametrize("provider", ["perplexity", "letta"])
def test_services_without_tools_are_sent_none_with_a_note(provider: str) -> None:
    made = drawn(tools=[book], tool_choice="required", provider=provider)
    assert not {"tools", "tool_choice"} & set(made.body)
    assert any("takes no tools" in note for note in made.notes)


def test_mistral_counts_unasked() -> None:
    assert "stream_options" not in body(provider="mistralai")


def test_b9_more_than_one_answer_is_noted() -> None:
    assert "extra['choices']" in drawn({"n": 2}).notes[0]


@pytest.mark.parametrize("provider", ["openai", "cerebras"])
def test_a_tool_whose_schema_is_none_is_named(provider: str) -> None:
    parameters = {"type": "object", "properties": {"when": {"type": "date"}}}
    odd = FunctionTool(lambda raw_arguments: raw_arguments, raw_schema={"name": "odd", "parameters": parameters})
    with pytest.raises(UsageError, match=r"^The schema of the tool 'odd' is no JSON schema: .*when"):
        body(tools=[odd], provider=provider)


# Words


@pytest.mark.parametrize(
    ("name", "word", "near"),
    [
        ("reasoning_effort", "hihg", "Did you mean 'high'?"),
        ("reasoning_effort", "disable", "Known are high, low, max, medium, minimal, none, xhigh."),
        ("verbosity", "chatty", "Known are high, low, medium."),
    ],
)
def test_a10_a_word_that_the_service_has_not_is_refused(name: str, word: str, near: str) -> None:
    with pytest.raises(UsageError) as caught:
        body({name: word})
    assert str(caught.value).startswith(f"{name} is {word!r}, which OpenAI has not. {near} A newer word goes into")
    assert body({"extra_body": {name: word}})[name] == word


@pytest.mark.parametrize("effort", ["none", "minimal", "low", "medium", "high", "xhigh", "max"])
def test_a10_every_word_that_the_service_has_passes(effort: str) -> None:
    assert body({"reasoning_effort": effort})["reasoning_effort"] == effort


@pytest.mark.parametrize("provider", ["litellm_proxy", "openrouter", "groq", "livekit", "azure"])
def test_a10_where_the_words_are_not_known_all_pass(provider: str) -> None:
    sent = body({"reasoning_effort": "disable", "verbosity": "chatty"}, provider=provider, model="m")
    assert (sent["reasoning_effort"], sent["verbosity"]) == ("disable", "chatty")
