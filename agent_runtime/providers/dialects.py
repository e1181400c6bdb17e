"""JSON schemas in the dialects that services take.

Everything here is pure: a schema goes in, a new one comes out, what went in is not touched. A keyword that only narrows
a value (``minLength``) and that a dialect does not know becomes part of the description, so that the model is still told;
what gives a value its shape and cannot be said in a dialect is refused.
"""

import json
from collections.abc import Mapping
from typing import Any

from agent_runtime.errors import UsageError

JSON = dict[str, Any]

STRICT_FORMATS = frozenset("date-time time date duration email hostname ipv4 ipv6 uuid".split())
"""What OpenAI's strict form takes as ``format``; so does every service that copied it."""

GEMINI_FORMATS = {
    "STRING": frozenset({"date-time", "enum"}),
    "INTEGER": frozenset({"int32", "int64"}),
    "NUMBER": frozenset({"float", "double"}),
}

SHAPES = frozenset({"allOf", "anyOf", "oneOf", "$ref", "const", "enum", "items", "prefixItems", "properties", "type"})
"""Keywords of which a schema needs one to say what a value is."""
_STRICT_KEYWORDS = SHAPES - {"allOf", "oneOf", "prefixItems"} | {
    *("$defs", "definitions", "additionalProperties", "description", "required", "format", "pattern"),
    *("multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum", "minItems", "maxItems"),
}
_GEMINI_KEYWORDS = frozenset(
    "type format description nullable enum items properties required anyOf minItems maxItems minProperties "
    "maxProperties minLength maxLength pattern minimum maximum".split()
)
_SILENT = frozenset(
    "$schema $id $comment $anchor title default discriminator examples example deprecated readOnly writeOnly "
    "propertyOrdering property_ordering contentEncoding contentMediaType".split()
)
"""Keywords that allow and forbid nothing. Strict schemas refuse them."""
_UNSAYABLE = ("not", "if", "dependentRequired", "dependentSchemas", "patternProperties", "propertyNames", "contains")


class NotStrict(ValueError):
    """A schema has no strict form; the message is the reason, with the place in the schema."""


# OpenAI


def loose(schema: Mapping[str, Any], *, what: str = "The schema") -> JSON:
    """The schema as it is, for services that read JSON Schema.

    Args:
        what: what the schema is of, for messages: ``The tool 'book'``.

    Raises:
        UsageError: it is none; the field is named.
    """
    check(schema, what)
    return dict(_copied(schema))


def check(schema: Any, what: str) -> None:
    """Refuse what is no JSON schema.

    Raises:
        UsageError: a keyword has not its form, a type is unknown, or a reference leads nowhere; the field is named.
    """
    if (wrong := malformed(schema)) is not None:
        raise UsageError(f"{what} is no JSON schema: {wrong}; write it as JSON Schema has it.")


def strict(schema: Mapping[str, Any], *, nullable: bool = True) -> JSON:
    """The form that OpenAI's strict mode takes, from which the model then cannot depart.

    Every property is required and no others are allowed; ``oneOf`` is ``anyOf``; there are no defaults.

    Args:
        nullable: a property that need not be given may be null instead, which tools take for "left out". For answers
            False: the model gives every property a value, and what reads the answer need not know of this form.

    Raises:
        NotStrict: it cannot be said so: a dictionary with free keys, a value of any type, a tuple, ``not`` and the like.
    """
    if (wrong := malformed(schema)) is not None:
        raise NotStrict(wrong)
    return _Strict(schema, nullable).root()


def strict_or_loose(schema: Mapping[str, Any], *, nullable: bool = True, what: str = "The schema") -> tuple[JSON, str]:
    """The strict form and ``""``; where there is none the schema as it is, and the reason.

    Raises:
        UsageError: it is no schema.
    """
    try:
        return strict(schema, nullable=nullable), ""
    except NotStrict as reason:
        return loose(schema, what=what), str(reason)


class _Strict:
    def __init__(self, schema: Mapping[str, Any], nullable: bool) -> None:
        self._schema = schema
        self._nullable = nullable
        self._inlining: list[str] = []

    def root(self) -> JSON:
        schema = self._schema
        if "$ref" in schema and "type" not in schema:  # a recursive model: the root must be an object itself
            schema = {**schema, **target(schema["$ref"], schema)}
            schema.pop("$ref")
        if not _is_object(schema) or "anyOf" in schema or "oneOf" in schema:
            raise NotStrict("its outermost level is no object")
        if schema.get("additionalProperties") is not False and not schema.get("properties"):
            if not self._nullable:
                raise NotStrict("it names no properties, so it takes keys that are not known before")
            if schema.get("additionalProperties") is None:  # a tool without arguments
                schema = {**schema, "properties": {}}
        made = self._made(schema, "")
        for defs in ("$defs", "definitions"):
            if defs in schema:
                made[defs] = {name: self._made(each, name) for name, each in schema[defs].items()}
        return made

    def _made(self, schema: Any, where: str) -> JSON:
        if not isinstance(schema, Mapping) or not SHAPES.intersection(schema):
            raise NotStrict(f"{_place(where)} may be of any type")
        schema = self._merged(schema, where)
        for keyword in _UNSAYABLE:
            if keyword in schema:
                raise NotStrict(f"{_place(where)} has '{keyword}'")
        if "prefixItems" in schema:
            raise NotStrict(f"{_place(where)} is a tuple")
        if "$ref" in schema:
            return self._reference(schema, where)
        made, notes = {}, []
        for keyword, value in schema.items():
            if keyword in _SILENT or keyword in ("$defs", "definitions", "description"):
                continue
            if keyword not in _STRICT_KEYWORDS or (keyword == "format" and value not in STRICT_FORMATS):
                notes.append(f"{keyword}: {compact(value)}")
            else:
                made[keyword] = value
        if "enum" in made and "type" not in made:
            made["type"] = _kinds_of(made["enum"])
        if _is_object(made):
            self._close(made, where)
        if "array" in types_of(made):
            if "items" not in made:
                raise NotStrict(f"the items of {_place(where)} may be of any type")
            made["items"] = self._made(made["items"], f"{where}[]")
        if "anyOf" in made:
            made["anyOf"] = [self._made(each, where) for each in made["anyOf"]]
            _fold_null(made)
        return _with_notes(made, schema.get("description"), notes)

    def _merged(self, schema: Mapping[str, Any], where: str) -> JSON:
        """Without ``oneOf``, and without an ``allOf`` or ``anyOf`` of one."""
        merged = dict(schema)
        if "oneOf" in merged:
            if "anyOf" in merged:
                raise NotStrict(f"{_place(where)} has both 'oneOf' and 'anyOf'")
            merged["anyOf"] = merged.pop("oneOf")
        for keyword in ("allOf", "anyOf"):
            if keyword in merged and len(merged[keyword]) == 1 and isinstance(merged[keyword][0], Mapping):
                only = merged.pop(keyword)[0]
                if set(only) & set(merged) & SHAPES:
                    raise NotStrict(f"{_place(where)} has '{keyword}' besides its own type")
                merged = {**only, **merged}
        if "allOf" in merged:
            raise NotStrict(f"{_place(where)} has 'allOf'")
        return merged

    def _reference(self, schema: Mapping[str, Any], where: str) -> JSON:
        """Beside a ``$ref`` nothing may stand: what does is put with what it refers to."""
        reference = str(schema["$ref"])
        meant = target(reference, self._schema)  # unknown ones are refused, also where they stay
        beside = {key: value for key, value in schema.items() if key != "$ref" and key not in _SILENT}
        if not beside:
            return {"$ref": reference}
        if reference in self._inlining:  # it refers to itself
            return {"anyOf": [{"$ref": reference}], **_with_notes({}, beside.get("description"), [])}
        self._inlining.append(reference)
        made = self._made({**meant, **beside}, where)
        self._inlining.pop()
        return made

    def _close(self, made: JSON, where: str) -> None:
        if made.get("additionalProperties") is False:
            made.setdefault("properties", {})
        if made.get("additionalProperties", False) is not False or "properties" not in made:
            raise NotStrict(f"{_place(where)} takes keys that are not known before")
        required = set(made.get("required", ()))
        properties = {}
        for name, schema in made["properties"].items():
            path = f"{where}.{name}" if where else name
            if name not in required and self._nullable:
                properties[name] = or_null(self._made(_referred_or_null(schema), path))
            else:
                properties[name] = self._made(schema, path)
        made.update(properties=properties, required=list(properties), additionalProperties=False)


def _referred_or_null(schema: Any) -> Any:
    """A reference as one of two: so nothing has to be put in its place, and what stands beside it may."""
    if not isinstance(schema, Mapping) or "$ref" not in schema or "anyOf" in schema:
        return schema
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    return {**beside, "anyOf": [{"$ref": schema["$ref"]}, {"type": "null"}]}


def or_null(schema: JSON) -> JSON:
    """A schema that takes null besides."""
    made = dict(schema)
    if "enum" in made and None not in made["enum"]:
        made["enum"] = [*made["enum"], None]
    if "const" in made and made["const"] is not None:
        made["enum"] = [made.pop("const"), None]
    if "anyOf" in made:
        if not any("null" in types_of(each) for each in made["anyOf"]):
            made["anyOf"] = [*made["anyOf"], {"type": "null"}]
    elif "$ref" in made:
        made = {"anyOf": [{"$ref": made["$ref"]}, {"type": "null"}]}
    elif "type" in made and "null" not in types_of(made):
        made["type"] = [*types_of(made), "null"]
    return made


def _fold_null(made: JSON) -> None:
    """``anyOf`` of one simple type and null is a list of types."""
    others = [each for each in made["anyOf"] if each != {"type": "null"}]
    if (
        len(others) == 1 < len(made["anyOf"])
        and isinstance(others[0].get("type"), str)
        and "properties" not in others[0]
    ):
        del made["anyOf"]
        only = {key: value for key, value in or_null(others[0]).items() if key != "description" or key not in made}
        made.update(only)


# Gemini


def for_gemini(schema: Mapping[str, Any], *, what: str = "The schema") -> JSON:
    """The subset of OpenAPI 3.0 that Gemini takes.

    Types in capitals, ``nullable`` for null, references put in place, ``const`` and ``enum`` as lists of strings, the
    order of properties as it was written. Enumerations of other types than strings are told in the description.

    Args:
        what: what the schema is of, for messages: ``The tool 'book'``.

    Raises:
        UsageError: it refers to itself, or takes a dictionary with free keys; the field is named.
    """
    check(schema, what)
    return _Gemini(schema, what).made(schema, "", ())


class _Gemini:
    def __init__(self, root: Mapping[str, Any], what: str) -> None:
        self._root = root
        self._what = what

    def made(self, schema: Any, where: str, inside: tuple[str, ...]) -> JSON:
        if schema is True or schema == {}:
            schema = {"type": ["string", "number", "boolean"]}
        if not isinstance(schema, Mapping):
            raise self._refused(where, f"is {schema!r}", "give it a type")
        while "$ref" in schema:
            reference = str(schema["$ref"])
            if reference in inside:
                raise self._refused(
                    where,
                    "refers to itself",
                    "write out as many levels as are needed, or take its JSON text as a string",
                )
            inside = (*inside, reference)
            schema = {**self._found(reference, where), **{key: schema[key] for key in schema if key != "$ref"}}
        schema = self._merged(schema, where)
        types = [each.lower() for each in types_of(schema)] or _kinds_of(schema.get("enum", ()))
        alternatives = [each for each in schema.get("anyOf", ()) if types_of(each) != ["null"]]
        nullable = len(alternatives) < len(schema.get("anyOf", ())) or "null" in types
        types = [each for each in types if each != "null"]
        if len(alternatives) > 1 or len(types) > 1:
            made = self._any_of(schema, alternatives, types, where, inside)
        elif alternatives:
            own = {key: value for key, value in schema.items() if key != "anyOf"}
            made = self.made({**alternatives[0], **own}, where, inside)
        else:
            made = self._of_one(schema, (types or ["string"])[0], where, inside)
        if nullable:
            made["nullable"] = True
        return made

    def _of_one(self, schema: Mapping[str, Any], kind: str, where: str, inside: tuple[str, ...]) -> JSON:
        made: JSON = {"type": kind.upper()}
        notes = []
        for keyword, value in schema.items():
            if keyword == "format" and value not in GEMINI_FORMATS.get(made["type"], ()):
                notes.append(f"format: {value}")
            elif keyword == "enum" and kind != "string":
                notes.append(f"one of {', '.join(compact(each) for each in value if each is not None)}")
            elif keyword == "enum":
                made["enum"] = [each for each in value if each is not None]
            elif keyword in _GEMINI_KEYWORDS:
                made.setdefault(keyword, value)
            elif keyword not in _SILENT | {"$defs", "definitions", "additionalProperties", "prefixItems"}:
                notes.append(f"{keyword}: {compact(value)}")
        made.pop("description", None)
        if kind == "object":
            self._object(made, schema, where, inside)
        if kind == "array":
            items = schema.get("items", True)
            if "prefixItems" in schema:
                items = _one_of(schema["prefixItems"])
            made["items"] = self.made(items, f"{where}[]", inside)
        return _with_notes(made, schema.get("description"), notes)

    def _object(self, made: JSON, schema: Mapping[str, Any], where: str, inside: tuple[str, ...]) -> None:
        properties = schema.get("properties") or {}
        if not properties and (where or schema.get("additionalProperties") or "patternProperties" in schema):
            raise self._refused(
                where, "is a dictionary whose keys are not known before", "name its fields, in a TypedDict"
            )
        made["properties"] = {
            name: self.made(each, f"{where}.{name}" if where else name, inside) for name, each in properties.items()
        }
        made["required"] = [name for name in schema.get("required", ()) if name in properties]
        if not made["required"]:
            del made["required"]
        if len(properties) > 1:
            made["propertyOrdering"] = list(properties)

    def _any_of(
        self, schema: Mapping[str, Any], alternatives: list[Any], types: list[str], where: str, inside: tuple[str, ...]
    ) -> JSON:
        if alternatives:
            own = {key: value for key, value in schema.items() if key in ("properties", "required", "type")}
            made = [self.made({**own, **each} if own else each, where, inside) for each in alternatives]
        else:
            told = {key: value for key, value in schema.items() if key != "description"}
            made = [self._of_type(told, kind, where, inside) for kind in types]
        return _with_notes({"anyOf": made}, schema.get("description"), [])

    def _of_type(self, schema: Mapping[str, Any], kind: str, where: str, inside: tuple[str, ...]) -> JSON:
        """What a schema of several types says of values of one."""
        told = {**schema, "type": kind}
        if "enum" in told:
            told["enum"] = [each for each in told["enum"] if _type_of(each) == kind]
        return self._of_one(told, kind, where, inside)

    def _merged(self, schema: Mapping[str, Any], where: str) -> JSON:
        """Without ``const``, ``oneOf`` and ``allOf``."""
        merged = dict(schema)
        for keyword in {"anyOf", "oneOf", "allOf"} & merged.keys():  # a schema may be true or false
            merged[keyword] = [{} if each is True else each for each in merged[keyword] if each is not False]
        if "const" in merged:
            merged["enum"] = [merged.pop("const")]
        if "oneOf" in merged:
            merged["anyOf"] = [*merged.get("anyOf", ()), *merged.pop("oneOf")]
        for each in merged.pop("allOf", ()):
            each = {**self._found(str(each["$ref"]), where), **each} if "$ref" in each else each
            for key, value in each.items():
                if key == "properties":
                    merged[key] = {**value, **merged.get(key, {})}
                elif key == "required":
                    merged[key] = list(dict.fromkeys([*merged.get(key, ()), *value]))
                elif key != "$ref":
                    merged.setdefault(key, value)
        return merged

    def _found(self, reference: str, where: str) -> Mapping[str, Any]:
        try:
            return target(reference, self._root)
        except NotStrict:
            raise self._refused(where, f"refers to {reference!r}, which is not there", "define it in $defs") from None

    def _refused(self, where: str, what: str, fix: str) -> UsageError:
        return UsageError(f"{self._what} cannot be told to Gemini: {_place(where)} {what}; {fix}.")


# What both need

_FORMS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("properties", "$defs", "definitions"), (Mapping,)),
    **dict.fromkeys(("anyOf", "oneOf", "allOf", "prefixItems", "enum", "required"), (list, tuple)),
    **dict.fromkeys(("items", "additionalProperties"), (Mapping, bool)),
    **dict.fromkeys(("$ref", "format", "description"), (str,)),
    **dict.fromkeys(("type",), (str, list, tuple)),
}
"""Of what form the values of keywords are. Schemas come from elsewhere too: from servers of tools, from files."""


TYPES = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
"""Of values. Gemini's own way to write them, in capitals, is read too."""


def malformed(schema: Any, where: str = "", root: Any = None) -> str | None:
    """What in a schema has not the form that its keyword has, or leads nowhere; None where all is right."""
    root = schema if root is None else root
    if isinstance(schema, bool):
        return None
    if not isinstance(schema, Mapping):
        return f"{_place(where)} is {compact(schema)[:60]} and no schema"
    for keyword, kinds in _FORMS.items():
        if keyword in schema and not isinstance(schema[keyword], kinds):
            return f"{_place(where)} has {keyword}={compact(schema[keyword])[:60]}"
    names = [*schema.get("required", ()), *types_of(schema)]
    if not all(isinstance(name, str) for name in names):
        return f"{_place(where)} has something else than names in 'required' or 'type'"
    for kind in types_of(schema):
        if kind.lower() not in TYPES:
            return f"{_place(where)} has the type {kind!r}, which is none of {', '.join(sorted(TYPES))}"
    reference = schema.get("$ref", "#")
    if reference.startswith("#/") and not _is_there(reference, root):
        return f"{_place(where)} refers to {reference!r}, which is not there"
    inside = [(f"{where}.{name}".lstrip("."), each) for name, each in schema.get("properties", {}).items()]
    inside += [(str(name), each) for key in ("$defs", "definitions") for name, each in schema.get(key, {}).items()]
    inside += [(where, each) for key in ("anyOf", "oneOf", "allOf", "prefixItems") for each in schema.get(key, ())]
    inside += [(f"{where}[]", schema["items"])] if "items" in schema else []
    return next((wrong for place, each in inside if (wrong := malformed(each, place, root)) is not None), None)


def _is_there(reference: str, root: Any) -> bool:
    if not isinstance(root, Mapping):
        return False
    try:
        target(reference, root)
    except NotStrict:
        return False
    return True


def _copied(schema: Any) -> Any:
    if isinstance(schema, Mapping):
        return {str(key): _copied(value) for key, value in schema.items()}
    return [_copied(each) for each in schema] if isinstance(schema, list | tuple) else schema


def _place(where: str) -> str:
    return f"'{where}'" if where else "it"


def types_of(schema: Any) -> list[str]:
    kinds = schema.get("type", []) if isinstance(schema, Mapping) else []
    return [kinds] if isinstance(kinds, str) else list(kinds)


def _is_object(schema: Mapping[str, Any]) -> bool:
    return "object" in types_of(schema) or "properties" in schema


def _type_of(value: Any) -> str:
    names = {type(None): "null", bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
    return names.get(type(value), "object")


def _kinds_of(values: Any) -> list[str]:
    return list(dict.fromkeys(map(_type_of, values)))


def _one_of(schemas: list[Any]) -> Any:
    different = [each for index, each in enumerate(schemas) if each not in schemas[:index]]
    return different[0] if len(different) == 1 else {"anyOf": different}


def target(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """What ``#/$defs/Name`` stands for."""
    found: Any = root
    for step in reference.removeprefix("#").strip("/").split("/") if reference != "#" else ():
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list | tuple):
            found = found[int(step)] if step.isdecimal() and int(step) < len(found) else None
        else:
            found = found.get(step) if isinstance(found, Mapping) else None
    if not reference.startswith("#") or not isinstance(found, Mapping):
        raise NotStrict(f"it refers to {reference!r}, which is not there")
    return found


def _with_notes(made: JSON, description: Any, notes: list[str]) -> JSON:
    said = str(description).strip() if description else ""
    told = " ".join([*([said] if said else []), *([f"({'; '.join(notes)})"] if notes else [])])
    return {**({"description": told} if told else {}), **made}


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
