"""How services transcribe and speak over OpenAI's wire: the tables ``stt`` and ``tts`` of a service in services.toml.

A table says what holds for all models of the service; ``rules`` in it say what is otherwise for some. Data, as in
`services`: what a request becomes is worked out in `openai_stt` and `openai_tts`.
"""

import difflib
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from fnmatch import fnmatchcase
from typing import Any, Generic, TypeVar

from agent_runtime.errors import UsageError

T = TypeVar("T", "Transcribes", "Speaks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcribes:
    """How ``/audio/transcriptions`` is asked.

    Attributes:
        base_url: where, if not where the rest of the service is.
        default_model: where the user names none.
        response_format: what is asked for: ``json``, or ``verbose_json`` for how sure it is, segment by segment.
        streams: whether it can send words while it reads on.
        keyterms: the field for the phrases that callers are likely to say; ``prompt`` makes them part of the prompt, any
            other field is given once for each phrase, and empty: they cannot be told.
        drop: fields that it does not know.
        fields: fields that are always sent.
        longest_prompt: characters that the phrases may have in a prompt. Whisper reads 224 tokens.
    """

    base_url: str = ""
    default_model: str = ""
    response_format: str = "json"
    streams: bool = False
    keyterms: str = "prompt"
    drop: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    longest_prompt: int = 800


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaks:
    """How ``/audio/speech`` is asked.

    Attributes:
        base_url: where, if not where the rest of the service is.
        default_model, default_voice: where the user names none.
        response_format: what is asked for where the user does not say: ``pcm`` or ``wav``.
        formats: which of these it has.
        names: what it calls a format.
        events: whether sound comes in events, as base64; else as it is.
        sample_rate: of ``pcm``, in Hz; a ``wav`` says its own.
        longest: characters of one request; longer text is spoken in several.
        drop: fields that it does not know.
        fields: fields that are always sent.
    """

    base_url: str = ""
    default_model: str = ""
    default_voice: str = ""
    response_format: str = "pcm"
    formats: tuple[str, ...] = ("pcm", "wav")
    names: Mapping[str, str] = field(default_factory=dict)
    events: bool = False
    sample_rate: int = 24_000
    longest: int = 4096
    drop: tuple[str, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ByModel(Generic[T]):
    """What holds for all models of a service, and changes for those whose name fits one of some shell patterns."""

    default: T
    rules: tuple[tuple[tuple[str, ...], Mapping[str, Any]], ...] = ()

    def of(self, model: str) -> T:
        names = (model, model.rpartition("/")[2])
        found = self.default
        for patterns, changes in self.rules:
            if any(fnmatchcase(name, pattern) for name in names for pattern in patterns):
                found = replace(found, **changes)
        return found


TABLES: dict[str, type[Transcribes] | type[Speaks]] = {"stt": Transcribes, "tts": Speaks}


def read(key: str, table: Any, provider: str, source: str) -> ByModel[Any]:
    """The table ``[provider.key]`` of the file `source`.

    Raises:
        UsageError: it says something that is not known, or says it wrongly.
    """
    kind, where = TABLES[key], f"[{provider}.{key}]"
    if not isinstance(table, dict):
        raise UsageError(f"'{source}' says '{key} = {table!r}' for '{provider}'; write a table {where}.")
    known = {each.name: each for each in fields(kind)}
    rules = []
    for rule in table.get("rules", ()):
        patterns = rule.get("models")
        if not isinstance(patterns, list):
            raise UsageError(f"'{source}' has a rule in {where} without models; give models = [\"...\"].")
        changes = {name: value for name, value in rule.items() if name != "models"}
        rules.append((tuple(map(str, patterns)), _values(changes, known, where, source)))
    own = {name: value for name, value in table.items() if name != "rules"}
    return ByModel(kind(**_values(own, known, where, source)), tuple(rules))


def _values(table: Mapping[str, Any], known: Mapping[str, Field[Any]], where: str, source: str) -> dict[str, Any]:
    return {name: _value(name, value, known, where, source) for name, value in table.items()}


def _value(name: str, value: Any, known: Mapping[str, Field[Any]], where: str, source: str) -> Any:
    if name not in known:
        near = difflib.get_close_matches(name, [*known, "rules"], n=1)
        hint = f"Did you mean '{near[0]}'?" if near else f"Known are {', '.join(sorted(known))}."
        raise UsageError(f"'{source}' has the unknown key '{name}' in {where}. {hint}")
    default = known[name].default
    wanted: type = dict if default is MISSING else list if isinstance(default, tuple) else type(default)
    if type(value) is not wanted:
        raise UsageError(f"'{source}' says '{name} = {value!r}' in {where}; it is {_KINDS[wanted]}.")
    return tuple(str(each) for each in value) if isinstance(value, list) else value


_KINDS = {str: "text", bool: "true or false", int: "a whole number", dict: "a table", list: "a list"}
