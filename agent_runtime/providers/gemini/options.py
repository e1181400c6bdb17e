"""What Gemini can be asked besides the conversation: OpenAI's names, LiveKit's and its own, checked before anything is
sent. Pure.

What is not known here goes into ``generationConfig`` as it stands, so that a new parameter needs no new version of this
package. What OpenAI has and Gemini has not is refused, or left out with `drop_params`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent_runtime.errors import UsageError
from agent_runtime.providers import ranges
from agent_runtime.providers.ranges import flag, mapping, number, one_of, stops, whole
from agent_runtime.providers.schemas import for_gemini, response_schema

JSON = dict[str, Any]

MOST_STOPS = 5
MOST_CANDIDATES = 8
PCM = "pcm16"

EFFORTS: dict[str, int] = {"disable": 0, "none": 0, "low": 1024, "medium": 2048, "high": 4096}
"""Tokens to think with, by OpenAI's `reasoning_effort`: LiteLLM's numbers. Gemini 3 takes the word instead."""

LEVELS = ("minimal", "low", "medium", "high")


@dataclass(frozen=True, slots=True)
class Budget:
    """What a family of models may be told to think with, in tokens; -1 leaves it to any of them."""

    least: int
    most: int
    off: bool
    minimal: int


BUDGETS: dict[str, Budget] = {
    "gemini-2.5-pro": Budget(128, 32_768, off=False, minimal=128),
    "gemini-2.5-flash-lite": Budget(512, 24_576, off=True, minimal=512),
    "gemini-2.5-flash": Budget(1, 24_576, off=True, minimal=1),
}
"""By the beginning of the model's name, the longer first."""

NOT_GEMINIS = frozenset(
    "logit_bias user store metadata prediction service_tier web_search_options prompt_cache_key verbosity "
    "add_generation_prompt continue_final_message".split()
)
"""Parameters of OpenAI's chat completions, and of servers that speak it, that Gemini has nothing for."""

_GENERATION = re.compile(r"gemini-(\d+(?:\.\d+)?)")
_CAMEL = re.compile(r"_([a-z0-9])")


def generation(model: str) -> float | None:
    """2.5 of ``gemini-2.5-flash``; None where the name does not say."""
    match = _GENERATION.search(model)
    return float(match[1]) if match else None


def is_three(model: str) -> bool:
    """Whether it is of the third generation or later: it thinks by levels and insists on thought signatures."""
    return (generation(model) or 0) >= 3


def camel(name: str) -> str:
    return _CAMEL.sub(lambda match: match[1].upper(), name)


def cameled(value: Any) -> Any:
    """A configuration with Gemini's spelling of names all the way down."""
    if isinstance(value, Mapping):
        return {camel(str(key)): cameled(each) for key, each in value.items() if each is not None}
    return [cameled(each) for each in value] if isinstance(value, list | tuple) else value


@dataclass(slots=True)
class Options:
    """What was asked for, in Gemini's words.

    Attributes:
        config: ``generationConfig``.
        body: what stands beside it in the request.
        functions: tools in OpenAI's old form, or given as a parameter.
        tool_choice: as in `chat`.
        response_format: as in `chat`.
        stream: whether the answer comes in pieces; None where nobody said.
        one_call: the model is to call one tool at a time.
        headers: what goes into the head of the request.
    """

    config: JSON = field(default_factory=dict)
    body: JSON = field(default_factory=dict)
    functions: list[Any] = field(default_factory=list)
    tool_choice: Any = None
    response_format: Any = None
    stream: bool | None = None
    one_call: bool | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def over(self, other: "Options") -> "Options":
        """These, where they say anything; else the `other`."""
        return Options(
            {**other.config, **self.config},
            {**other.body, **self.body},
            [*other.functions, *self.functions],
            self.tool_choice if self.tool_choice is not None else other.tool_choice,
            self.response_format if self.response_format is not None else other.response_format,
            self.stream if self.stream is not None else other.stream,
            self.one_call if self.one_call is not None else other.one_call,
            {**other.headers, **self.headers},
        )

    @property
    def speaks(self) -> bool:
        """Whether the answer is sound."""
        return "AUDIO" in (self.config.get("responseModalities") or ())


def options(model: str, given: Mapping[str, Any], *, over: Options | None = None, drop_params: bool = False) -> Options:
    """Read parameters by whatever name they have. They count before those that they are put `over`.

    Raises:
        UsageError: a value is out of its range, or Gemini has no such parameter.
    """
    given = {name: value for name, value in given.items() if value is not None}
    ranges.check(given | mapping("extra_body", given.get("extra_body")), in_one_piece=True)
    ranges.check_patience(given)
    read = Options()
    for name, value in given.items():
        if name == "stream_options":
            continue
        if name in NOT_GEMINIS:
            if drop_params:
                continue
            raise UsageError(f"Gemini has no parameter {name!r}; leave it out, or set drop_params=True.")
        if name in _PARAMETERS:
            _PARAMETERS[name](read, model, name, value)
        else:
            read.config[name] = value
    whole_of_it = read if over is None else read.over(over)
    top = whole_of_it.config.get("logprobs")
    if top is not None and not whole_of_it.config.get("responseLogprobs"):
        raise UsageError(f"top_logprobs is {top!r} without logprobs; set logprobs=True besides.")
    return whole_of_it


Reader = Callable[[Options, str, str, Any], None]


def _number(wire: str, low: float, high: float) -> Reader:
    def read(options: Options, model: str, name: str, value: Any) -> None:
        options.config[wire] = number(name, value, low, high)

    return read


def _whole(wire: str, low: int, high: int | None = None) -> Reader:
    def read(options: Options, model: str, name: str, value: Any) -> None:
        options.config[wire] = whole(name, value, low)
        if high is not None and value > high:
            raise UsageError(f"{name} is {value}; {high} is the most.")

    return read


def _top_k(options: Options, model: str, name: str, value: Any) -> None:
    options.config["topK"] = whole(name, int(value) if isinstance(value, float) and value.is_integer() else value, 1)


def _seed(options: Options, model: str, name: str, value: Any) -> None:
    options.config["seed"] = whole(name, value, -(2**31))


def _stop(options: Options, model: str, name: str, value: Any) -> None:
    options.config["stopSequences"] = stops(name, value, MOST_STOPS, blank=True)


def _logprobs(options: Options, model: str, name: str, value: Any) -> None:
    options.config["responseLogprobs"] = flag(name, value)


def _effort(options: Options, model: str, name: str, value: Any) -> None:
    if value not in ("minimal", *EFFORTS):
        raise UsageError(
            f"reasoning_effort is {value!r}; for Gemini it is one of {', '.join(map(repr, ('minimal', *EFFORTS)))}."
        )
    off = value in ("disable", "none")
    if is_three(model):  # it cannot be switched off, only down
        level = ("minimal" if "flash" in model else "low") if off else value
        options.config["thinkingConfig"] = {"thinkingLevel": level, "includeThoughts": not off}
        return
    limits = _budget(model)
    tokens = EFFORTS.get(value, limits.minimal if limits else 1)
    if off and limits is not None and not limits.off:
        tokens = limits.least
    options.config["thinkingConfig"] = {"thinkingBudget": tokens, "includeThoughts": not off}


def _thinking(options: Options, model: str, name: str, value: Any) -> None:
    """Anthropic's form: ``{"type": "enabled", "budget_tokens": 1024}``."""
    told = mapping(name, value)
    kind = one_of("thinking['type']", told.get("type", "enabled"), ("enabled", "disabled"))
    if kind == "disabled":
        _effort(options, model, "reasoning_effort", "disable")
        return
    config: JSON = {"includeThoughts": True}
    if told.get("budget_tokens") is not None:
        config["thinkingBudget"] = told["budget_tokens"]
    options.config["thinkingConfig"] = _checked_thinking(config, model, "thinking['budget_tokens']")


def _thinking_config(options: Options, model: str, name: str, value: Any) -> None:
    if hasattr(value, "model_dump"):  # google.genai's
        value = value.model_dump(exclude_none=True, mode="json")
    config = _checked_thinking(cameled(mapping(name, value)), model, f"{name}'s thinking_budget")
    options.config["thinkingConfig"] = config


def _checked_thinking(config: JSON, model: str, what: str) -> JSON:
    budget, level = config.get("thinkingBudget"), config.get("thinkingLevel")
    if budget is not None:
        _check_budget(model, budget, what)
    if level is None:
        return config
    made = generation(model)
    if made is not None and made < 3:
        raise UsageError(
            f"thinking_level is {level!r}, but '{model}' thinks by tokens; give thinking_budget, or reasoning_effort."
        )
    one_of("thinking_level", str(level).lower(), LEVELS)
    return {**config, "thinkingLevel": str(level).lower()}


def _check_budget(model: str, budget: Any, what: str) -> None:
    if is_three(model):
        raise UsageError(
            f"{what} is {budget!r}, but '{model}' thinks by levels; give reasoning_effort, or thinking_level, one of "
            f"{', '.join(map(repr, LEVELS))}."
        )
    whole(what, budget, -1)
    limits = _budget(model)
    if limits is None or budget == -1 or (budget == 0 and limits.off) or limits.least <= budget <= limits.most:
        return
    off = ", 0 for none at all" if limits.off else ""
    raise UsageError(
        f"{what} is {budget}; '{model}' takes {limits.least} to {limits.most} tokens{off}, and -1 to choose itself."
    )


def _budget(model: str) -> Budget | None:
    return next((limits for family, limits in BUDGETS.items() if model.startswith(family)), None)


def _modalities(options: Options, model: str, name: str, value: Any) -> None:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise UsageError(f"{name} is {value!r}; it is a list, as ['audio'] or ['image', 'text'].")
    known = ("text", "image", "audio")
    options.config["responseModalities"] = [one_of(name, str(each).lower(), known).upper() for each in value]


def _audio(options: Options, model: str, name: str, value: Any) -> None:
    told = mapping(name, value)
    form = told.get("format", PCM)
    if form != PCM:
        raise UsageError(f"audio['format'] is {form!r}; Gemini speaks {PCM!r} alone, 24 kHz.")
    options.config.setdefault("responseModalities", ["AUDIO"])
    if told.get("voice"):
        options.config["speechConfig"] = speech(str(told["voice"]))


def speech(voice: str, language: str | None = None) -> JSON:
    """``speechConfig`` of one voice."""
    config: JSON = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": voice}}}
    return {**config, "languageCode": language} if language else config


def _safety(options: Options, model: str, name: str, value: Any) -> None:
    settings = [
        each.model_dump(exclude_none=True, mode="json") if hasattr(each, "model_dump") else each for each in value
    ]
    for each in settings:
        if not isinstance(each, Mapping) or not {"category", "threshold"} <= each.keys():
            raise UsageError(
                f"{name} has {each!r}; an entry is like "
                "{'category': 'HARM_CATEGORY_HARASSMENT', 'threshold': 'BLOCK_NONE'}."
            )
    options.body["safetySettings"] = [dict(each) for each in settings]


def _into_config(wire: str) -> Reader:
    def read(options: Options, model: str, name: str, value: Any) -> None:
        options.config[wire] = cameled(value)

    return read


def _into_body(wire: str) -> Reader:
    def read(options: Options, model: str, name: str, value: Any) -> None:
        options.body[wire] = value

    return read


def _tool_config(options: Options, model: str, name: str, value: Any) -> None:
    options.body["toolConfig"] = cameled(mapping(name, value))


def _extra_body(options: Options, model: str, name: str, value: Any) -> None:
    options.body.update(mapping(name, value))


def _extra_headers(options: Options, model: str, name: str, value: Any) -> None:
    options.headers.update({str(key).lower(): str(each) for key, each in mapping(name, value).items()})


def _tools(options: Options, model: str, name: str, value: Any) -> None:
    options.functions.extend(ranges.tools(value))


def _choice(options: Options, model: str, name: str, value: Any) -> None:
    if isinstance(value, Mapping) and "function" not in value and "name" in value:  # the old function_call
        value = {"type": "function", "function": {"name": value["name"]}}
    options.tool_choice = ranges.tool_choice(name, value)


def _format(options: Options, model: str, name: str, value: Any) -> None:
    options.response_format = value


def _stream(options: Options, model: str, name: str, value: Any) -> None:
    options.stream = flag(name, value)


def _parallel(options: Options, model: str, name: str, value: Any) -> None:
    options.one_call = not flag(name, value)


def _schema(options: Options, model: str, name: str, value: Any) -> None:
    """Gemini's own way to say it: a schema, JSON being understood."""
    if isinstance(value, Mapping) and any(str(each).isupper() for each in (value.get("type"), value.get("Type"))):
        options.config.update(responseMimeType="application/json", responseSchema=dict(value))  # its own dialect
    else:
        options.response_format = value


_PARAMETERS: dict[str, Reader] = {
    "temperature": _number("temperature", 0, 2),
    **dict.fromkeys(("top_p", "topP"), _number("topP", 0, 1)),
    **dict.fromkeys(("top_k", "topK"), _top_k),
    **dict.fromkeys(
        ("max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens"), _whole("maxOutputTokens", 1)
    ),
    **dict.fromkeys(("n", "candidate_count", "candidateCount"), _whole("candidateCount", 1, MOST_CANDIDATES)),
    **dict.fromkeys(("stop", "stop_sequences", "stopSequences"), _stop),
    "logprobs": _logprobs,
    "top_logprobs": _whole("logprobs", 0, 20),
    **dict.fromkeys(("frequency_penalty", "frequencyPenalty"), _number("frequencyPenalty", -2, 2)),
    **dict.fromkeys(("presence_penalty", "presencePenalty"), _number("presencePenalty", -2, 2)),
    "seed": _seed,
    "reasoning_effort": _effort,
    "thinking": _thinking,
    **dict.fromkeys(("thinking_config", "thinkingConfig"), _thinking_config),
    **dict.fromkeys(("modalities", "response_modalities", "responseModalities"), _modalities),
    "audio": _audio,
    **dict.fromkeys(("speech_config", "speechConfig"), _into_config("speechConfig")),
    **dict.fromkeys(("media_resolution", "mediaResolution"), _into_config("mediaResolution")),
    **dict.fromkeys(("response_mime_type", "responseMimeType"), _into_config("responseMimeType")),
    **dict.fromkeys(("response_schema", "responseSchema", "response_json_schema", "responseJsonSchema"), _schema),
    "response_format": _format,
    **dict.fromkeys(("safety_settings", "safetySettings"), _safety),
    **dict.fromkeys(("cached_content", "cachedContent"), _into_body("cachedContent")),
    "labels": _into_body("labels"),
    **dict.fromkeys(("tool_config", "toolConfig"), _tool_config),
    **dict.fromkeys(("tools", "functions", "gemini_tools"), _tools),
    **dict.fromkeys(("tool_choice", "function_call"), _choice),
    "parallel_tool_calls": _parallel,
    "stream": _stream,
    "extra_body": _extra_body,
    "extra_headers": _extra_headers,
}


def format_config(model: str, response_format: Any) -> JSON:
    """What ``generationConfig`` says of a structured answer.

    Raises:
        UsageError: it describes no answer, or one that Gemini cannot be told.
    """
    wanted = response_schema(response_format)
    if wanted is None:
        return {}
    if wanted.schema is None:
        return {"responseMimeType": "application/json"}
    if (generation(model) or 2) < 2:  # it reads its own dialect alone
        return {
            "responseMimeType": "application/json",
            "responseSchema": for_gemini(wanted.schema, what="response_format"),
        }
    return {"responseMimeType": "application/json", "responseJsonSchema": wanted.schema}
