"""The schema of an answer: what a user may give as `response_format`, as services take it, and checked when it is whole.

The dialects of JSON Schema for tools and answers are in `dialects`; their names are here too.
"""

import dataclasses
import json
import re
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    NotRequired,
    Required,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from agent_runtime.errors import JSONSchemaValidationError, UsageError
from agent_runtime.providers.dialects import (
    JSON,
    SHAPES,
    TYPES,
    NotStrict,
    check,
    compact,
    for_gemini,
    loose,
    or_null,
    strict,
    strict_or_loose,
    target,
    types_of,
)

if TYPE_CHECKING:
    from agent_runtime.providers.http.service import Service

__all__ = [
    "NotStrict",
    "ResponseSchema",
    "for_gemini",
    "loose",
    "or_null",
    "response_schema",
    "strict",
    "strict_or_loose",
]

INSTALL = "pip install 'agent-runtime[validation]'"

LONGEST_QUOTE = 500
"""Characters of an answer, and of its schema, that stand in a message."""

_NO_NAME = re.compile(r"[^A-Za-z0-9_-]+")


@dataclasses.dataclass(frozen=True, slots=True)
class ResponseSchema:
    """What an answer must look like.

    Attributes:
        name: 1 to 64 letters, digits, ``_`` and ``-``.
        schema: the JSON schema as it was given or made; None: JSON of any kind.
        strict: whether the service is to force the answer into it.
        enforce: whether the answer is checked here when it is whole.
        given: the schema was written for the service, so it is sent as it stands.
        description: what the model is told that it is.
    """

    name: str
    schema: JSON | None
    strict: bool
    enforce: bool
    given: bool = False
    description: str = ""

    @property
    def sent(self) -> JSON | None:
        """The schema as services take it that speak OpenAI's dialect."""
        if self.schema is None or self.given or not self.strict:
            return self.schema
        return strict(self.schema, nullable=False)

    def openai(self) -> JSON:
        """``response_format`` of OpenAI's chat completions."""
        if self.schema is None:
            return {"type": "json_object"}
        told = {"description": self.description} if self.description else {}
        return {
            "type": "json_schema",
            "json_schema": {"name": self.name, **told, "schema": self.sent, "strict": self.strict},
        }

    def check(self, text: str, service: "Service") -> None:
        """Raise where a whole answer does not fit, if that is to be seen to; else nothing happens.

        Raises:
            JSONSchemaValidationError: it is no JSON, or not of this schema.
        """
        if not self.enforce:
            return
        try:
            value = json.loads(text)
        except ValueError as error:
            raise self._unfit(f"it is no JSON ({error})", text, service) from None
        for unfit in _validator(self.schema or {}).iter_errors(value):
            where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in unfit.absolute_path)
            raise self._unfit(f"at '{where.lstrip('.')}' {unfit.message}" if where else unfit.message, text, service)

    def _unfit(self, why: str, text: str, service: "Service") -> JSONSchemaValidationError:
        said, schema = _quoted(text), _quoted(compact(self.schema))
        return JSONSchemaValidationError(
            f"The answer of {service.provider}/{service.model} does not fit its schema: {service.redacted(_quoted(why))}. "
            f"The answer was {service.redacted(said)}; the schema is {schema}.",
            raw_response=text,
            schema=self.schema,
            provider=service.provider,
            model=service.model,
        )


def response_schema(response_format: Any) -> ResponseSchema | None:
    """Read what a user gave as `response_format`; None where any text will do.

    It is a pydantic model, a TypedDict or a dataclass; ``{"type": "json_schema", "json_schema": {"name", "schema",
    "strict"}}``; ``{"type": "json_object"}``, with ``response_schema`` where the JSON has one; a JSON schema as it
    stands; or ``{"type": "text"}``. ``"enforce_validation": True`` in a dictionary has the answer checked here.

    Raises:
        UsageError: it is none of these, its schema is none, or `jsonschema` is missing that would check it.
    """
    if response_format is None:
        return None
    if isinstance(response_format, Mapping):
        found = _of_mapping(response_format)
    else:
        found = _of_type(response_format)
    if found is not None and found.enforce:
        _validator(found.schema or {})
    return found


def _of_mapping(told: Mapping[str, Any]) -> ResponseSchema | None:
    enforce = told.get("enforce_validation", False)
    if not isinstance(enforce, bool):
        raise UsageError(f"enforce_validation in response_format is {enforce!r}; it is True or False.")
    match told.get("type"):
        case "text":
            return None
        case "json_object" if told.get("response_schema") is None:
            return ResponseSchema("response", None, strict=False, enforce=enforce)
        case "json_object":
            return dataclasses.replace(_of_any(told["response_schema"]), enforce=enforce)
        case "json_schema":
            return dataclasses.replace(_of_json_schema(told.get("json_schema")), enforce=enforce)
    return dataclasses.replace(
        _of_plain({key: value for key, value in told.items() if key != "enforce_validation"}), enforce=enforce
    )


def _of_any(schema: Any) -> ResponseSchema:
    return _of_plain(schema) if isinstance(schema, Mapping) else _of_type(schema)


def _of_json_schema(told: Any) -> ResponseSchema:
    schema = told.get("schema") if isinstance(told, Mapping) else None
    if not isinstance(schema, Mapping):
        raise UsageError(
            f"response_format has the type 'json_schema' and json_schema={_quoted(repr(told))}; it needs "
            "{'name': ..., 'schema': <JSON schema>}."
        )
    check(schema, "The schema in response_format")
    name = _name(str(told.get("name") or schema.get("title") or "response"))
    asked = bool(told.get("strict", False))
    return ResponseSchema(
        name, dict(schema), strict=asked, enforce=False, given=True, description=str(told.get("description") or "")
    )


def _of_plain(schema: Mapping[str, Any]) -> ResponseSchema:
    if not (SHAPES | {"$defs"}).intersection(schema) or not _known_types(schema):
        raise UsageError(
            f"response_format is {_quoted(repr(dict(schema)))}, which is no JSON schema; give a pydantic model, a TypedDict, "
            "a dataclass, {'type': 'json_object'}, or a schema as {'type': 'object', 'properties': {...}}."
        )
    check(schema, "The schema in response_format")
    return _made_of(dict(schema), str(schema.get("title") or "response"))


def _known_types(schema: Mapping[str, Any]) -> bool:
    return {each.lower() for each in map(str, types_of(schema))} <= TYPES


def _of_type(kind: Any) -> ResponseSchema:
    if not isinstance(kind, type) or not _is_described(kind):
        shown = kind.__qualname__ if isinstance(kind, type) else repr(kind)
        raise UsageError(
            f"response_format is {_quoted(shown)}, which describes no answer; give a pydantic model, a TypedDict, a "
            "dataclass (the class, not an object of it), or a dictionary like {'type': 'json_object'}."
        )
    return _made_of(_schema_of(kind), kind.__name__)


def _is_described(kind: type) -> bool:
    known = is_typeddict(kind) or dataclasses.is_dataclass(kind) or hasattr(kind, "model_json_schema")
    return known or type(kind).__name__ == "_TypedDictMeta"  # of typing_extensions, before Python 3.13


def _schema_of(kind: type) -> JSON:
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticUserError

    from agent_runtime.signatures import without_titles

    try:
        return dict(without_titles(TypeAdapter(_readable(kind)).json_schema()))
    except (PydanticUserError, NameError) as error:
        reason = str(error).split("\n")[0].rstrip(".")
        raise UsageError(f"response_format {kind.__name__} has no JSON schema ({reason}); change that field.") from None


def _readable(kind: Any, inside: tuple[Any, ...] = ()) -> Any:
    """The type with each `typing.TypedDict` in it made one of typing_extensions: before 3.12 pydantic reads no other."""
    if kind in inside:
        raise UsageError(
            f"response_format has the TypedDict {kind.__name__}, which holds itself; before Python 3.12 import TypedDict "
            "from typing_extensions."
        )
    if sys.version_info >= (3, 12):
        return kind
    if is_typeddict(kind) and type(kind).__module__ == "typing":
        import typing_extensions

        items = {}
        for name, hint in get_type_hints(kind, include_extras=True).items():
            hint = _readable(hint, (*inside, kind))
            qualified = get_origin(hint) in (Required, NotRequired)
            items[name] = hint if qualified or name in kind.__required_keys__ else NotRequired[hint]
        make: Any = typing_extensions.TypedDict
        made = make(kind.__name__, items)
        made.__doc__ = kind.__doc__
        return made
    if get_origin(kind) is Annotated:
        return Annotated[(_readable(kind.__origin__, inside), *kind.__metadata__)]  # type: ignore[return-value,unused-ignore]
    arguments = get_args(kind)
    if not arguments or not any(isinstance(each, type) or get_args(each) for each in arguments):
        return kind
    changed = tuple(_readable(each, inside) for each in arguments)
    return kind if changed == arguments else _again(kind, changed)


def _again(kind: Any, arguments: tuple[Any, ...]) -> Any:
    if isinstance(kind, types.UnionType):
        return typing.Union[arguments]  # noqa: UP007  # the bar takes no list
    return kind.copy_with(arguments) if hasattr(kind, "copy_with") else get_origin(kind)[arguments]


def _made_of(schema: JSON, name: str) -> ResponseSchema:
    description = str(schema.get("description") or "")
    try:
        strict(schema, nullable=False)
    except NotStrict:
        return ResponseSchema(_name(name), schema, strict=False, enforce=False, description=description)
    return ResponseSchema(_name(name), schema, strict=True, enforce=False, description=description)


def _name(name: str) -> str:
    return _NO_NAME.sub("_", name).strip("_")[:64] or "response"


def _quoted(text: str) -> str:
    return text if len(text) <= LONGEST_QUOTE else text[: LONGEST_QUOTE - 3] + "..."


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        schema = list(schema.values())
    if isinstance(schema, list):
        for each in schema:
            yield from _references(each)


def _validator(schema: JSON) -> Any:
    """A validator that fetches nothing.

    Raises:
        UsageError: there is no `jsonschema`, or `schema` is none.
    """
    try:
        import jsonschema  # type: ignore[import-untyped,unused-ignore]
        from referencing import Registry
    except ImportError:
        raise UsageError(
            f"enforce_validation needs the package 'jsonschema'; install it with `{INSTALL}`, "
            "or leave enforce_validation out."
        ) from None
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise UsageError(f"The schema in response_format is no JSON schema: {_quoted(error.message)}.") from None
    for reference in _references(schema):
        try:
            target(reference, schema)
        except NotStrict:
            raise UsageError(
                f"The schema in response_format refers to {reference!r}, which is not in it; put it under '$defs'."
            ) from None
    return kind(schema, registry=Registry())
