"""In what we differ from an SDK, on purpose, and why. An entry that nothing needs any more fails a test."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from tests.contract.normal import ABSENT


@dataclass(frozen=True)
class Allowed:
    """A difference.

    Attributes:
        sdk, call, field: shell patterns. Steps of a field are joined by dots; the requests of a call with several have
            their numbers in front.
        how: we alone send it (`added`), they alone (`missing`), or both, otherwise (`changed`).
        why: what speaks for ours.
    """

    sdk: str
    call: str
    field: str
    how: str
    why: str

    def covers(self, sdk: str, call: str, field: str, ours: Any, theirs: Any) -> bool:
        how = "added" if theirs is ABSENT else "missing" if ours is ABSENT else "changed"
        patterns = ((sdk, self.sdk), (call, self.call), (field, self.field))
        return how == self.how and all(fnmatchcase(name, pattern) for name, pattern in patterns)


_VERSION = (
    "Since 2.0 the SDK speaks the API's version 2026-10-21, which refuses temperature, top_p and top_k; 2023-06-01 is "
    "served as before and takes them. extra_headers={'anthropic-version': ...} chooses."
)
_KEY = "Since 2.0 the SDK sends the key as a bearer; x-api-key is served as before, also by llama.cpp and by proxies."
_EMPTY = "An empty object says nothing."
_BATCH = "It is the role of a text that stands alone, which the service does not look at."
_OPTIONAL = (
    "An argument that may be None is a nullable string; an anyOf with one entry and a nullable in it says the same."
)
_IDS = "AI Studio takes ids, and the third generation wants them; LiteLLM leaves them out."
_OUTPUT = "Google's own key for what a function returned is 'output'; the service takes any."
_HALF = "LiteLLM's api_base lacks a path of Google's here; Google's SDK has ours."
_NAME = "The name of a cache is a digest of what is in it, each client's own."
_ORDER = "A cache is the beginning of a prompt: what stands before the marked message is kept with it, not put behind."
_FORCED = "1.0 is what the model does by itself; LiteLLM writes it down, and over what was asked for."
_AGENT = "Who asks is told besides."
_SYSTEM = "livekit-agents' conversion puts a developer's instructions into the user's mouth."

_BREAK = "A description ends with its last word, not with a line break."
_TITLES = "pydantic's titles say the names once more; they are tokens."
_FREE = "OpenAI's strict form has no objects of free keys, and refuses the request; so the tool is sent without it."

_LIMIT = "The newer of two names, which the service has; LiteLLM translates it into the older."
_OLD_LIMIT = "The one name that the service's documentation has; LiteLLM does not translate."
_UNKNOWN = (
    "LiteLLM knows it for some models only and leaves it out for the others, without a word. What nothing says that the "
    "service refuses is sent."
)

ALLOWED = (
    # anthropic
    Allowed("anthropic", "*", "headers.anthropic-version", "changed", _VERSION),
    Allowed("anthropic", "*", "headers.x-api-key", "added", _KEY),
    Allowed("anthropic", "*", "headers.authorization", "missing", _KEY),
    # google-genai
    Allowed("google", "*", "body.generationConfig", "missing", _EMPTY),
    Allowed("google", "caching", "2.body.generationConfig", "missing", _EMPTY),
    Allowed("google", "caching", "0.headers.content-type", "missing", "A GET has no content."),
    Allowed("google", "caching", "1.body.displayName", "changed", _NAME),
    Allowed("google", "embed_many", "body.requests.?.content.role", "missing", _BATCH),
    Allowed(
        "google",
        "effort_three",
        "body.generationConfig.thinkingConfig.thinkingLevel",
        "changed",
        "Google's documentation writes levels small, the SDK's enum in capitals; LiteLLM sends ours.",
    ),
    *(
        Allowed("google", "mixed_three", f"body.tools.{place}", how, "The order of tools says nothing.")
        for place, how in (
            ("0.functionDeclarations", "added"),
            ("0.googleSearch", "missing"),
            ("1.functionDeclarations", "missing"),
            ("1.googleSearch", "added"),
        )
    ),
    # litellm
    Allowed("litellm", "*_call*", "body.contents.?.parts.?.function*.id", "added", _IDS),
    Allowed("litellm", "tool_turn", "body.contents.?.parts.?.function*.id", "added", _IDS),
    Allowed("litellm", "*_call*", "body.contents.2.parts.?.functionResponse.response.output", "added", _OUTPUT),
    Allowed("litellm", "*_call*", "body.contents.2.parts.?.functionResponse.response.content", "missing", _OUTPUT),
    Allowed("litellm", "tool_turn", "body.contents.2.parts.0.functionResponse.response.output", "added", _OUTPUT),
    Allowed("litellm", "tool_turn", "body.contents.2.parts.0.functionResponse.response.content", "missing", _OUTPUT),
    *(
        Allowed(
            "litellm", call, f"body.tools.0.functionDeclarations.1.parameters.properties.name.{key}", how, _OPTIONAL
        )
        for call in ("tools", "choice_*", "functions")
        for key, how in (("anyOf", "missing"), ("nullable", "added"), ("type", "added"))
    ),
    *(
        Allowed(
            "litellm",
            call,
            "body.tools.0.functionDeclarations.1.parameters.propertyOrdering",
            "added",
            "Arguments in the order in which the function has them.",
        )
        for call in ("tools", "choice_*", "functions")
    ),
    Allowed(
        "litellm",
        "functions",
        "body.tools.0.functionDeclarations.1.parameters.properties.name.default",
        "missing",
        "A default of None says nothing that nullable does not.",
    ),
    Allowed("litellm", "embed_many", "headers.content-type", "changed", "JSON is UTF-8 and says no charset."),
    Allowed("litellm", "top_logprobs", "refused", "missing", "Gemini has them, as generationConfig.logprobs."),
    Allowed("litellm", "image_path", "refused", "missing", "Row D20: a file of the application's own is read."),
    Allowed(
        "litellm",
        "response_schema_1.5",
        "body.contents.0.parts.1",
        "missing",
        "Row D8: the schema is sent as such, not as words to the model; its table has forgotten gemini-1.5-pro.",
    ),
    Allowed("litellm", "response_schema_1.5", "body.generationConfig.responseSchema", "added", "As before."),
    Allowed(
        "litellm",
        "image_detail",
        "body.contents.0.parts.1.mediaResolution",
        "missing",
        "v1beta has the resolution for a request; for each part only v1alpha has.",
    ),
    Allowed("litellm", "image_detail", "body.generationConfig.mediaResolution", "added", "As before."),
    Allowed("litellm", "image_detail", "body.generationConfig.temperature", "missing", _FORCED),
    Allowed("litellm", "effort_three_*", "body.generationConfig.temperature", "missing", _FORCED),
    *(
        Allowed(
            "litellm",
            "thinking_off",
            f"body.generationConfig.thinkingConfig.{key}",
            "added",
            "'disabled' switches it off; LiteLLM's empty thinkingConfig leaves it on.",
        )
        for key in ("includeThoughts", "thinkingBudget")
    ),
    Allowed("litellm", "cache*", "0.headers.content-type", "missing", "A GET has no content."),
    Allowed("litellm", "cache*", "[01].path", "changed", _HALF),
    Allowed("litellm", "cache*", "0.query", "added", "Pages as long as can be."),
    Allowed("litellm", "cache*", "1.body.displayName", "changed", _NAME),
    Allowed("litellm", "cache*", "1.body.tools", "missing", "It is null."),
    Allowed("litellm", "cache_late", "1.body.contents.0.parts.0.text", "changed", _ORDER),
    Allowed("litellm", "cache_late", "1.body.contents.0.parts.1", "added", _ORDER),
    Allowed("litellm", "cache_late", "2.body.contents.0.parts.0.text", "changed", _ORDER),
    Allowed("litellm", "cache_late", "2.body.contents.0.parts.1", "missing", _ORDER),
    Allowed(
        "litellm", "cache_all", "2.body.contents.0.parts.0.text", "changed", "A blank text is refused by some models."
    ),
    # services of OpenAI's wire, through litellm
    *(
        Allowed("services", f"{service}_everything", f"body.{key}", how, _LIMIT)
        for service in ("baseten", "cerebras", "groq", "xai")
        for key, how in (("max_completion_tokens", "added"), ("max_tokens", "missing"))
    ),
    *(
        Allowed("services", f"{service}_everything", f"body.{key}", how, _OLD_LIMIT)
        for service in ("deepseek", "perplexity", "together")
        for key, how in (("max_completion_tokens", "missing"), ("max_tokens", "added"))
    ),
    *(
        Allowed("services", f"{service}_*", "body.stream_options", "added", "Usage is asked for of all in one way.")
        for service in ("cerebras", "perplexity")
    ),
    *(
        Allowed("services", "groq_everything", f"body.{key}", "missing", "Groq's documentation: it answers 400.")
        for key in ("logit_bias", "logprobs", "top_logprobs")
    ),
    Allowed("services", "groq_everything", "body.n", "changed", "Groq's documentation: n is 1, else it answers 400."),
    *(
        Allowed("services", f"{service}_everything", f"body.{key}", "added", _UNKNOWN)
        for service, keys in (
            ("baseten", ("logit_bias", "logprobs", "top_logprobs", "n")),
            ("cerebras", ("logprobs", "top_logprobs", "n")),
            ("mistralai", ("frequency_penalty", "presence_penalty")),
            ("xai", ("frequency_penalty", "stop")),
        )
        for key in keys
    ),
    Allowed("services", "baseten_tools", "body.parallel_tool_calls", "added", _UNKNOWN),
    Allowed("services", "fireworks_tools", "body.tool_choice", "added", _UNKNOWN),
    Allowed("services", "mistralai_tools", "body.tool_choice", "changed", "To Mistral 'any' and 'required' are one."),
    Allowed("services", "openrouter_*", "body.usage", "missing", "OpenRouter tells usage with stream_options as well."),
    # livekit-agents
    Allowed("livekit", "*", "headers.user-agent", "changed", _AGENT),
    Allowed("livekit", "*", "body.tools.0.function.description", "changed", _BREAK),
    Allowed(
        "livekit",
        "rich_tools",
        "body.tools.1.function.parameters.required",
        "added",
        "OpenAI's strict form names all arguments, also where there are none.",
    ),
    Allowed("livekit", "free_keys", "body.tools.0.function.strict", "missing", _FREE),
    # livekit-agents' conversions
    Allowed("livekit-*", "tools", "*.description", "changed", _BREAK),
    Allowed("livekit-*", "tools", "*.title", "missing", _TITLES),
    Allowed("livekit-*", "tools", "?.*.additionalProperties", "added", "Functions take no arguments but theirs."),
    Allowed("livekit-anthropic-strict", "tools", "3.input_schema.required", "added", "All arguments are named: none."),
    Allowed("livekit-*", "developer", "messages.0.*", "changed", _SYSTEM),
    Allowed("livekit-*", "developer", "messages.0.*", "missing", _SYSTEM),
    Allowed("livekit-*", "developer", "system.0", "added", _SYSTEM),
    Allowed("livekit-anthropic", "*", "messages.2.content.?.is_error", "missing", "False is its default."),
    Allowed("livekit-aws", "agent_last", "messages.2", "added", "Bedrock refuses an assistant's turn at the end."),
    Allowed("livekit-aws", "image_url", "refused", "missing", "Pictures are fetched and sent."),
    Allowed("livekit-aws", "two_rounds", "messages.4.content.0.toolResult.status", "changed", "The tool failed."),
    *(
        Allowed("livekit-google", "agent_first", f"messages.{field}", how, "Gemini refuses a model that speaks first.")
        for field, how in (
            ("[01].role", "changed"),
            ("[01].parts.0.text", "changed"),
            ("2", "added"),
        )
    ),
    Allowed(
        "livekit-google",
        "image_url",
        "messages.0.parts.0.fileData.mimeType",
        "changed",
        "The address ends in .png; it is no JPEG.",
    ),
    *(
        Allowed(
            "livekit-google",
            "late_instructions",
            field,
            how,
            "Row 3D of the reference, as LiteLLM: all instructions are systemInstruction, also later ones.",
        )
        for field, how in (
            ("messages.0.parts.1.text", "changed"),
            ("messages.0.parts.2", "missing"),
            ("system.1", "added"),
        )
    ),
    Allowed(
        "livekit-google",
        "thought_signature",
        "messages.1.parts.0.thoughtSignature",
        "added",
        "It stands in the call's extra; livekit-agents' plugin keeps signatures in a list of its own.",
    ),
)
