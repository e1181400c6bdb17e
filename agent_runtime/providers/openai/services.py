"""The services that speak OpenAI's chat completions: what differs between them, read from services.toml.

A `ServiceRow` is a service, a `Rule` is what holds for some of its models. Both are data and decide nothing: what a
request becomes is worked out in `openai_request`.
"""

import difflib
import functools
import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from agent_runtime.errors import UsageError
from agent_runtime.providers.openai import speech_services
from agent_runtime.providers.openai.speech_services import ByModel, Speaks, Transcribes

VARIABLE = "AGENT_RUNTIME_SERVICES"
OVERRIDES = Path("config/services.toml")
"""Looked for in the folder that a program is started in, where the variable names no other file."""

FIRST_TOKEN_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What holds for some models of a service.

    Attributes:
        models: shell patterns, one of which is the model's name or what stands behind its last slash.
        unless_models: patterns of those that are excepted.
        with_tools: only where tools are sent.
        unless: not where the request has these values.
        drop: parameters that are left out.
        rename: parameters under another name.
        clamp: parameters that are kept within two numbers.
        defaults: parameters that are sent where the user says nothing.
        think_tags: what begins and what ends a thought in the text.
        thinks_first: the text begins within a thought, without its tag.
        first_token_timeout: seconds that the model may take to begin.
    """

    models: tuple[str, ...] = ("*",)
    unless_models: tuple[str, ...] = ()
    with_tools: bool = False
    unless: Mapping[str, Any] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    rename: Mapping[str, str] = field(default_factory=dict)
    clamp: Mapping[str, Sequence[float]] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    think_tags: tuple[str, ...] = ()
    thinks_first: bool = False
    first_token_timeout: float = 0.0

    def concerns(self, model: str) -> bool:
        names = (model, model.rpartition("/")[2])
        return _matches(names, self.models) and not _matches(names, self.unless_models)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRow:
    """A service.

    Attributes:
        provider: its name in descriptors.
        name: its name for people.
        base_url: where ``/chat/completions`` is asked for. ``{model}`` and ``{VARIABLE}`` (of the environment) are put in.
        base_url_variables: variables that have another address, the first that is set counts.
        query: what stands behind the ``?``, filled in the same way.
        auth: ``bearer``, or the header that has the key bare.
        key: a key that everybody has.
        key_variables: where the key is looked for, in this order.
        token_variables: where a token is looked for that goes as ``bearer`` whatever `auth` says.
        key_required: whether it answers nobody without a key.
        headers: sent with each request.
        header_variables: headers whose values are in the environment; sent where they are set.
        default_model: where the user names none.
        developer_role: whether it knows that role; else its messages are of the system.
        message_names: whether messages may have a name.
        turns: ``alternate``: the user begins, and no two messages of one side stand together. ``answered``: an answer stands
            behind a tool's output, instructions stand before answers, and the user or a tool is the last.
        history: ``new``: it remembers; only what came after its last message is sent.
        call_id_length: ids of calls have exactly so many letters and digits.
        tools: whether tools can be sent.
        strict_tools: whether schemas of tools are sent in OpenAI's strict form.
        tool_choice_auto: whether ``auto`` is said where the user says nothing.
        provider_tools: providers besides itself whose own tools it passes on.
        json_schema: whether answers can be held to a schema; else the model is asked to keep to it.
        image_urls: whether it fetches pictures itself; else they are sent.
        file_uris: whether it fetches files itself, by ``file_id``.
        audio_input: whether sound can be sent.
        cache_control: whether marks for its prompt cache may stand at messages.
        usage_in_stream: whether it has to be asked to count tokens.
        extra_content: whose opaque data goes back with messages and calls.
        echo: fields of an answer with tool calls that go back with them.
        words: of a parameter, all that the service has for it, where that is known; asked elsewhere than at `base_url` it
            may have others.
        stt, tts: how it transcribes, and how it speaks; None: it does not.
        rules: what holds for all and for some models, in the order in which it is done.
    """

    provider: str = ""
    name: str = ""
    base_url: str = ""
    base_url_variables: tuple[str, ...] = ()
    query: Mapping[str, str] = field(default_factory=dict)
    auth: str = "bearer"
    key: str = ""
    key_variables: tuple[str, ...] = ()
    token_variables: tuple[str, ...] = ()
    key_required: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)
    header_variables: Mapping[str, str] = field(default_factory=dict)
    default_model: str = ""
    developer_role: bool = False
    message_names: bool = True
    turns: Literal["any", "alternate", "answered"] = "any"
    history: Literal["all", "new"] = "all"
    call_id_length: int = 0
    tools: bool = True
    strict_tools: bool = True
    tool_choice_auto: bool = False
    provider_tools: tuple[str, ...] = ()
    json_schema: bool = True
    image_urls: bool = True
    file_uris: bool = False
    audio_input: bool = False
    cache_control: bool = False
    usage_in_stream: bool = True
    extra_content: tuple[str, ...] = ()
    echo: tuple[str, ...] = ()
    words: Mapping[str, Sequence[str]] = field(default_factory=dict)
    stt: ByModel[Transcribes] | None = None
    tts: ByModel[Speaks] | None = None
    rules: tuple[Rule, ...] = ()

    def rules_for(self, model: str) -> tuple[Rule, ...]:
        return tuple(rule for rule in self.rules if rule.concerns(model))

    def first_token_timeout(self, model: str) -> float:
        """Seconds that the model may take to begin: the most that a rule says."""
        return max((rule.first_token_timeout for rule in self.rules_for(model)), default=0.0) or FIRST_TOKEN_TIMEOUT_S

    def think_tags(self, model: str) -> tuple[str, ...]:
        """Of the last rule that says any; empty where none does."""
        return next((rule.think_tags for rule in reversed(self.rules_for(model)) if rule.think_tags), ())

    def thinks_first(self, model: str) -> bool:
        return any(rule.thinks_first for rule in self.rules_for(model))


def row(provider: str) -> ServiceRow:
    """The service of this name.

    Raises:
        UsageError: there is none, or the file of overrides is wrong.
    """
    known = rows()
    if not isinstance(provider, str):
        raise UsageError(f"The provider is {provider!r:.80}; it is the name of a service, as 'openai'.")
    if provider not in known:
        raise UsageError(f"There is no service '{provider}'. {near(provider, known)}")
    return known[provider]


@functools.cache
def rows() -> Mapping[str, ServiceRow]:
    """All services by name: services.toml, and over it the file of overrides. Read once."""
    return load(overrides())


def overrides() -> Path | None:
    """The file of overrides, where there is one."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    return OVERRIDES if OVERRIDES.is_file() else None


def load(path: Path | None = None) -> dict[str, ServiceRow]:
    """The services, with the file `path` laid over them.

    Raises:
        UsageError: the file cannot be read, or says something that is not known; it is named with what was near.
    """
    tables = _read(Path(__file__).with_name("services.toml"))
    source = "services.toml"
    if path is not None:
        source = str(path)
        _lay_over(tables, _read(path), source)
    families = {name: [_rule(each, name, source) for each in rules] for name, rules in tables.pop("families").items()}
    return {provider: _row(provider, table, families, source) for provider, table in tables.items()}


# Reading

_RULE_FIELDS = {each.name: each for each in fields(Rule)}
_ROW_FIELDS = {each.name: each for each in fields(ServiceRow) if each.name not in ("provider", "rules")}
_RULE_KEYS_OF_A_ROW = frozenset(_RULE_FIELDS) - {"models", "unless_models", "with_tools", "unless"}
_CHOICES = {"turns": ("any", "alternate", "answered"), "history": ("all", "new")}


def _read(path: Path) -> dict[str, Any]:
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(
            f"The services in '{path}' cannot be read: {error.strerror}; correct {VARIABLE} or unset it."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"The services in '{path}' are no TOML: {error}; compare it with services.toml.") from error
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise UsageError(
                f"'{path}' says '{name} = ...' outside of a service; write it below a line such as [openai]."
            )
    return tables


def _lay_over(tables: dict[str, Any], changes: Mapping[str, Any], source: str) -> None:
    """Tables within a service are merged, its rules come after those that are there, all else is replaced."""
    for name, changed in changes.items():
        if name not in tables and not changed.get("base_url"):
            raise UsageError(f"'{source}' has the new service '{name}' without a base_url. {near(name, tables)}")
        table = tables.setdefault(name, {})
        for key, value in changed.items():
            before = table.get(key)
            if isinstance(before, dict) and isinstance(value, dict):
                table[key] = {**before, **value}
            elif key == "rules" or name == "families":
                table[key] = [*(before or ()), *value]
            else:
                table[key] = value


def _row(provider: str, table: Mapping[str, Any], families: Mapping[str, list[Rule]], source: str) -> ServiceRow:
    known = [*_ROW_FIELDS, *_RULE_KEYS_OF_A_ROW, "families", "rules"]
    for key in table:
        if key not in known:
            raise UsageError(f"'{source}' has the unknown key '{key}' in [{provider}]. {near(key, known)}")
    rules: list[Rule] = []
    for family in table.get("families", ()):
        if family not in families:
            raise UsageError(f"'{source}' has the unknown family '{family}' in [{provider}]. {near(family, families)}")
        rules += families[family]
    own = {key: value for key, value in table.items() if key in _RULE_KEYS_OF_A_ROW}
    if own:
        rules.append(_rule(own, provider, source))
    rules += [_rule(each, provider, source) for each in table.get("rules", ())]
    values = {key: _checked(key, value, provider, source) for key, value in table.items() if key in _ROW_FIELDS}
    return ServiceRow(**{"name": provider, **values}, provider=provider, rules=tuple(rules))


def _rule(table: Mapping[str, Any], name: str, source: str) -> Rule:
    for key in table:
        if key not in _RULE_FIELDS:
            raise UsageError(f"'{source}' has the unknown key '{key}' in a rule of '{name}'. {near(key, _RULE_FIELDS)}")
    return Rule(**{key: _checked(key, value, name, source) for key, value in table.items()})


def _checked(key: str, value: Any, name: str, source: str) -> Any:
    """The value in the form that the dataclass has it in."""
    if key in speech_services.TABLES:
        return speech_services.read(key, value, name, source)
    wanted = _RULE_FIELDS.get(key) or _ROW_FIELDS[key]
    pattern = wanted.default if wanted.default is not MISSING else {}
    if isinstance(pattern, tuple) and isinstance(value, list):
        return tuple(map(str, value))
    if isinstance(pattern, float) and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(pattern) or value not in _CHOICES.get(key, (value,)):
        kind = " or ".join(_CHOICES.get(key, ())) or ("a list" if isinstance(pattern, tuple) else _KINDS[type(pattern)])
        raise UsageError(f"'{source}' says '{key} = {value!r}' for '{name}'; it is {kind}.")
    return value


_KINDS = {str: "text", bool: "true or false", int: "a whole number", float: "a number", dict: "a table"}


def near(name: str, known: Iterable[str]) -> str:
    """What was probably meant, as a sentence."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"Did you mean '{near[0]}'?" if near else f"Known are {', '.join(sorted(names))}."


def _matches(names: Iterable[str], patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)
