"""Schemas in the dialects of services: rows C8, D8 and D13; the strict form as livekit-agents 1.8.9 sends it."""

import contextlib
import copy
import inspect
import json
from collections.abc import Callable
from enum import Enum
from typing import Annotated, Any, Literal, NamedTuple, NotRequired

import jsonschema  # type: ignore[import-untyped,unused-ignore]
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from typing_extensions import TypedDict  # pydantic reads no other before Python 3.12

from agent_runtime.errors import UsageError
from agent_runtime.providers.dialects import NotStrict, for_gemini, loose, or_null, strict, strict_or_loose
from agent_runtime.signatures import without_nulls
from agent_runtime.tools import FunctionTool, function_tool


class Address(BaseModel):
    street: str
    zip: str | None = None
    floor: int = 0


class Node(BaseModel):
    name: str
    children: "list[Node]" = []


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str]


def parameters(function: Callable[..., Any]) -> dict[str, Any]:
    return function_tool(function).parameters


class TestStrict:
    def test_c8_the_form_that_livekit_agents_sends(self) -> None:
        def book(
            city: str,
            days: int = 3,
            kind: Literal["a", "b"] = "a",
            addr: Address | None = None,
            tags: list[str] = [],  # noqa: B006
            when: str | None = None,
        ) -> None:
            """Book.

            Args:
                city: Where.
                days: How long.
            """

        assert strict(parameters(book)) == {
            "$defs": {
                "Address": {
                    "properties": {
                        "street": {"type": "string"},
                        "zip": {"type": ["string", "null"]},
                        "floor": {"type": ["integer", "null"]},
                    },
                    "required": ["street", "zip", "floor"],
                    "type": "object",
                    "additionalProperties": False,
                }
            },
            "properties": {
                "city": {"description": "Where.", "type": "string"},
                "days": {"description": "How long.", "type": ["integer", "null"]},
                "kind": {"enum": ["a", "b", None], "type": ["string", "null"]},
                "addr": {"anyOf": [{"$ref": "#/$defs/Address"}, {"type": "null"}]},
                "tags": {"items": {"type": "string"}, "type": ["array", "null"]},
                "when": {"type": ["string", "null"]},
            },
            "required": ["city", "days", "kind", "addr", "tags", "when"],
            "type": "object",
            "additionalProperties": False,
        }

    def test_in_an_answer_nothing_is_null_that_has_a_default(self) -> None:
        made = strict(Address.model_json_schema(), nullable=False)
        assert made["properties"] == {
            "street": {"type": "string"},
            "zip": {"type": ["string", "null"]},
            "floor": {"type": "integer"},
        }
        assert made["required"] == ["street", "zip", "floor"]

    def test_what_may_be_left_out_is_described_beside_its_reference(self) -> None:
        def put(
            to: Annotated[Address | None, Field(description="Where to")] = None,
            colour: Annotated[Colour, "Which"] = Colour.RED,
        ) -> None: ...

        made = strict(parameters(put))["properties"]
        assert made["to"] == {"description": "Where to", "anyOf": [{"$ref": "#/$defs/Address"}, {"type": "null"}]}
        assert made["colour"] == {"description": "Which", "anyOf": [{"$ref": "#/$defs/Colour"}, {"type": "null"}]}

    def test_what_is_required_is_not_null_whatever_its_default(self) -> None:
        schema = {"type": "object", "properties": {"a": {"type": "string", "default": "x"}}, "required": ["a"]}
        assert strict(schema)["properties"]["a"] == {"type": "string"}

    def test_a_tool_without_arguments(self) -> None:
        assert strict({"type": "object", "properties": {}}) == {
            "type": "object",
            "properties": {},
            "required": [],
            "additionalProperties": False,
        }

    def test_a_model_that_holds_itself_keeps_its_references(self) -> None:
        made = strict(Node.model_json_schema())
        assert made["type"] == "object"  # the outermost level is no reference
        assert made["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
        assert made["$defs"]["Node"]["additionalProperties"] is False

    def test_what_stands_beside_a_reference_is_put_with_it(self) -> None:
        def put(to: Annotated[Address, Field(description="Where to")], colour: Colour = Colour.RED) -> None: ...

        made = strict(parameters(put))["properties"]
        assert made["to"]["description"] == "Where to"
        assert made["to"]["type"] == "object"
        assert "$ref" not in made["to"]
        assert made["colour"] == {"anyOf": [{"$ref": "#/$defs/Colour"}, {"type": "null"}]}

    def test_a_described_model_that_holds_itself_comes_to_an_end(self) -> None:
        schema = {
            "$defs": {
                "A": {
                    "type": "object",
                    "properties": {"next": {"$ref": "#/$defs/A", "description": "The next"}},
                    "required": [],
                }
            },
            "type": "object",
            "properties": {"first": {"$ref": "#/$defs/A", "description": "The first"}},
            "required": ["first"],
        }
        made = strict(schema)
        jsonschema.Draft202012Validator.check_schema(made)
        assert jsonschema.Draft202012Validator(made).is_valid({"first": {"next": {"next": None}}})

    def test_a_choice_by_a_kind_is_any_of(self) -> None:
        def groom(pet: Annotated[Cat | Dog, Field(discriminator="kind")]) -> None: ...

        made = strict(parameters(groom))["properties"]["pet"]
        assert made == {"anyOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}]}

    def test_what_only_narrows_and_is_not_known_is_told(self) -> None:
        schema = {
            "type": "object",
            "properties": {"code": {"type": "string", "minLength": 3, "format": "path", "description": "A code."}},
            "required": ["code"],
        }
        assert strict(schema)["properties"]["code"] == {
            "type": "string",
            "description": 'A code. (minLength: 3; format: "path")',
        }

    @pytest.mark.parametrize(
        ("annotation", "reason"),
        [
            (dict[str, int], "'it' takes keys that are not known before"),
            (dict, "'it' takes keys"),
            (Any, "'it' may be of any type"),
            (list[Any], "'it\\[\\]' may be of any type"),
            (tuple[int, str], "'it' is a tuple"),
            (list[dict[str, str]], "'it\\[\\]' takes keys"),
        ],
    )
    def test_what_it_cannot_say_is_loose_and_has_a_reason(self, annotation: Any, reason: str) -> None:
        def tool(it: annotation) -> None: ...  # type: ignore[valid-type,unused-ignore]

        schema = parameters(tool)
        with pytest.raises(NotStrict, match=reason):
            strict(schema)
        made, said = strict_or_loose(schema)
        assert made == schema == loose(schema)
        assert "it" in said

    @pytest.mark.parametrize(
        "schema",
        [
            {"type": "array", "items": {"type": "string"}},
            {"anyOf": [{"type": "object", "properties": {}}]},
            {"type": "object", "properties": {"a": {"not": {"type": "string"}}}},
            {"type": "object", "properties": {"a": {"$ref": "#/$defs/Gone"}}},
            {"type": "object", "properties": {"a": {"allOf": [{"type": "string"}, {"minLength": 3}]}}},
            {"type": "object", "properties": {"a": True}},
        ],
    )
    def test_other_schemas_that_have_no_strict_form(self, schema: dict[str, Any]) -> None:
        with pytest.raises(NotStrict):
            strict(schema)

    def test_what_went_in_is_not_touched(self) -> None:
        schema = Node.model_json_schema()
        before = copy.deepcopy(schema)
        strict(schema)
        strict_or_loose(schema)
        loose(Address.model_json_schema())["properties"]["street"]["type"] = "integer"
        for_gemini(Address.model_json_schema())
        assert schema == before

    def test_a_strict_schema_is_its_own_strict_form(self) -> None:
        for model in (Address, Node, Cat, Dog):
            once = strict(model.model_json_schema())
            assert strict(once) == once


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, {"type": ["string", "null"]}),
        ({"type": ["string", "null"]}, {"type": ["string", "null"]}),
        ({"const": "a", "type": "string"}, {"enum": ["a", None], "type": ["string", "null"]}),
        ({"enum": [1, None], "type": ["integer", "null"]}, {"enum": [1, None], "type": ["integer", "null"]}),
        ({"anyOf": [{"type": "null"}, {"$ref": "#"}]}, {"anyOf": [{"type": "null"}, {"$ref": "#"}]}),
    ],
)
def test_or_null(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    assert or_null(schema) == expected


# Any signature


class Kind(NamedTuple):
    """A type, and values of it as JSON."""

    annotation: Any
    values: st.SearchStrategy[Any]


_TEXT = st.text(max_size=3)
_SIMPLE = st.sampled_from(
    [
        Kind(str, _TEXT),
        Kind(int, st.integers(-5, 5)),
        Kind(float, st.floats(-5, 5)),
        Kind(bool, st.booleans()),
        Kind(Literal["a", "b"], st.sampled_from("ab")),
        Kind(Literal[1, 2], st.sampled_from([1, 2])),
        Kind(Colour, st.sampled_from(["red", "blue"])),
        Kind(Annotated[int, Field(ge=0, le=9)], st.integers(0, 9)),
        Kind(Annotated[str, Field(min_length=1, description="some")], st.text(min_size=1, max_size=3)),
        Kind(
            Address,
            st.fixed_dictionaries({"street": _TEXT}, optional={"zip": _TEXT | st.none(), "floor": st.integers()}),
        ),
        Kind(Node, st.fixed_dictionaries({"name": _TEXT}, optional={"children": st.just([{"name": "x"}])})),
    ]
)


def _list_of(kind: Kind) -> Kind:
    return Kind(list[kind.annotation], st.lists(kind.values, max_size=2))  # type: ignore[name-defined]


def _or_none(kind: Kind) -> Kind:
    return Kind(kind.annotation | None, kind.values | st.none())


def _record(kind: Kind, other: Kind) -> Kind:
    make: Any = TypedDict  # not a type that a checker could know
    record = make("Record", {"one": kind.annotation, "two": NotRequired[other.annotation]})
    return Kind(record, st.fixed_dictionaries({"one": kind.values}, optional={"two": other.values}))


KINDS = st.recursive(
    _SIMPLE,
    lambda inner: inner.map(_list_of) | inner.map(_or_none) | st.builds(_record, inner, inner),
    max_leaves=4,
)


@st.composite
def tools(draw: st.DrawFn) -> tuple[FunctionTool, st.SearchStrategy[dict[str, Any]]]:
    """A function with any signature, and the arguments that a model may call it with."""
    required: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    written: list[inspect.Parameter] = []
    for index, kind in enumerate(draw(st.lists(KINDS, max_size=4))):
        name = f"p{index}"
        has_default = draw(st.booleans())
        default = draw(kind.values) if has_default else inspect.Parameter.empty
        written.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind.annotation, default=default)
        )
        (optional if has_default else required)[name] = kind.values

    def function(**given: Any) -> None:
        """Do it."""

    function.__signature__ = inspect.Signature(written)  # type: ignore[attr-defined]
    return function_tool(function), st.fixed_dictionaries(required, optional=optional)


_OTHER: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers(-9, 9) | _TEXT | st.just([]) | st.just({})


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Where something stands in a value: its holder and its key there."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = []
    for key, each in inside:
        found += [(value, key), *_places(each)]
    return found


def _completed(value: Any, schema: Any, root: Any) -> Any:
    """With null for each property that was left out: what a strict schema has a model write."""
    if "$ref" in schema:
        return _completed(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    for each in schema.get("anyOf", ()):
        value = _completed(value, each, root)
    if isinstance(value, list):
        return [_completed(each, schema["items"], root) if "items" in schema else each for each in value]
    if not isinstance(value, dict) or "properties" not in schema:
        return value
    properties = schema["properties"]
    left_out = {name: None for name in properties if name not in schema.get("required", ())}
    return {**left_out, **{k: _completed(v, properties[k], root) if k in properties else v for k, v in value.items()}}


def accepts(schema: dict[str, Any], value: Any) -> bool:
    return bool(jsonschema.Draft202012Validator(schema).is_valid(value))


PATIENT = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@PATIENT
@given(st.data())
def test_the_strict_form_takes_the_same_values_null_besides(data: Any) -> None:
    tool, arguments = data.draw(tools())
    schema = tool.parameters
    told = strict(schema)
    jsonschema.Draft202012Validator.check_schema(told)
    given = json.loads(json.dumps(data.draw(arguments)))
    assert accepts(schema, given)
    tool.bind(json.dumps(given))  # and the tool takes it

    places = _places(given)
    if places and data.draw(st.booleans()):  # something of another type stands there
        holder, key = data.draw(st.sampled_from(places))
        holder[key] = data.draw(_OTHER)
    written = _completed(given, schema, schema)
    # What only narrows is told and no longer held to: a string that is too short passes the strict form alone.
    assert accepts(told, written) or not accepts(schema, without_nulls(given, schema))
    if accepts(told, written) and "minLength" not in json.dumps(schema):
        assert accepts(schema, without_nulls(written, schema))
        tool.bind(json.dumps(written))


@PATIENT
@given(tools())
def test_every_object_of_a_strict_form_is_closed(made: tuple[FunctionTool, Any]) -> None:
    def look(schema: Any) -> None:
        if isinstance(schema, dict):
            assert "default" not in schema
            assert "oneOf" not in schema
            assert "$ref" not in schema or len(schema) == 1
            if "object" in str(schema.get("type", "")):
                assert schema["additionalProperties"] is False
                assert schema["required"] == list(schema["properties"])
            for name, each in schema.items():
                for inner in each.values() if name in ("properties", "$defs") else [each]:
                    look(inner)
        elif isinstance(schema, list):
            for each in schema:
                look(each)

    look(strict(made[0].parameters))


GEMINI = frozenset(
    "type format description nullable enum items properties required propertyOrdering anyOf minItems maxItems "
    "minLength maxLength pattern minimum maximum".split()
)


def _is_gemini(schema: Any) -> None:
    assert set(schema) <= GEMINI, schema
    assert ("type" in schema) != ("anyOf" in schema), schema
    for each in schema.get("anyOf", ()):
        _is_gemini(each)
    kind = schema.get("type")
    assert kind in (None, "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT")
    assert "enum" not in schema or (kind == "STRING" and all(isinstance(each, str) for each in schema["enum"]))
    if kind == "ARRAY":
        _is_gemini(schema["items"])
    if kind == "OBJECT":
        assert set(schema.get("required", ())) <= set(schema["properties"])
        assert len(schema["properties"]) < 2 or schema["propertyOrdering"] == list(schema["properties"])
        for each in schema["properties"].values():
            _is_gemini(each)


@PATIENT
@given(tools())
def test_d13_any_signature_is_a_schema_of_gemini_or_refused(made: tuple[FunctionTool, Any]) -> None:
    schema = made[0].parameters
    if "Node" in schema.get("$defs", {}):
        with pytest.raises(UsageError, match=r"The tool 'function' cannot be told to Gemini: 'p\d.*' refers to itself"):
            for_gemini(schema, what="The tool 'function'")
    else:
        _is_gemini(for_gemini(schema))


class TestGemini:
    def test_d13_a_tool(self) -> None:
        def book(
            city: str, pet: Cat | Dog, nights: int | None = None, stars: Literal[3, 4] = 3, kind: Literal["x"] = "x"
        ) -> None:
            """Book.

            Args:
                stars: How good.
            """

        cat = {
            "type": "OBJECT",
            "properties": {"kind": {"type": "STRING", "enum": ["cat"]}, "lives": {"type": "INTEGER"}},
            "required": ["kind", "lives"],
            "propertyOrdering": ["kind", "lives"],
        }
        made = for_gemini(parameters(book))
        assert made["propertyOrdering"] == ["city", "pet", "nights", "stars", "kind"]
        assert made["required"] == ["city", "pet"]
        assert made["properties"]["pet"]["anyOf"][0] == cat
        assert made["properties"]["nights"] == {"type": "INTEGER", "nullable": True}
        assert made["properties"]["stars"] == {"type": "INTEGER", "description": "How good. (one of 3, 4)"}
        assert made["properties"]["kind"] == {"type": "STRING", "enum": ["x"]}
        assert "additionalProperties" not in json.dumps(made)

    def test_d8_the_seeds_schema_in_capitals_or_not(self) -> None:
        recipe = {
            "type": "array",
            "items": {"type": "object", "properties": {"recipe_name": {"type": "string"}}, "required": ["recipe_name"]},
        }
        assert for_gemini(recipe) == {
            "type": "ARRAY",
            "items": {"type": "OBJECT", "properties": {"recipe_name": {"type": "STRING"}}, "required": ["recipe_name"]},
        }

    @pytest.mark.parametrize(
        ("schema", "expected"),
        [
            ({"type": ["string", "integer"]}, {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}]}),
            ({"type": ["string", "null"]}, {"type": "STRING", "nullable": True}),
            ({"enum": ["a", None]}, {"type": "STRING", "enum": ["a"], "nullable": True}),
            (
                {"enum": ["a", 1]},
                {"anyOf": [{"type": "STRING", "enum": ["a"]}, {"type": "INTEGER", "description": "(one of 1)"}]},
            ),
            ({"type": "string", "format": "uri"}, {"type": "STRING", "description": "(format: uri)"}),
            ({"type": "string", "format": "date-time"}, {"type": "STRING", "format": "date-time"}),
            ({"type": "number", "exclusiveMinimum": 0}, {"type": "NUMBER", "description": "(exclusiveMinimum: 0)"}),
            ({"allOf": [{"type": "string"}, {"minLength": 2}]}, {"type": "STRING", "minLength": 2}),
            (
                {"type": "array", "prefixItems": [{"type": "integer"}] * 2},
                {"type": "ARRAY", "items": {"type": "INTEGER"}},
            ),
            ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "STRING", "nullable": True}),
            ({"type": "integer", "default": 3, "title": "N"}, {"type": "INTEGER"}),
            ({"type": "ARRAY", "items": {"type": "STRING"}}, {"type": "ARRAY", "items": {"type": "STRING"}}),
        ],
    )
    def test_each_keyword(self, schema: dict[str, Any], expected: dict[str, Any]) -> None:
        assert for_gemini(schema) == expected

    @pytest.mark.parametrize(
        ("annotation", "named"),
        [
            (Node, r"'it\.children\[\]' refers to itself"),
            (dict[str, int], "'it' is a dictionary"),
            (list[dict], r"'it\[\]' is a dict"),  # type: ignore[type-arg]
        ],
    )
    def test_what_gemini_cannot_take_is_refused_by_name(self, annotation: Any, named: str) -> None:
        def tool(it: annotation) -> None: ...

        with pytest.raises(UsageError, match=f"^The tool 'tool' cannot be told to Gemini: {named}.*; .+\\.$"):
            for_gemini(parameters(tool), what="The tool 'tool'")

    def test_a_reference_to_nothing_is_refused(self) -> None:
        with pytest.raises(UsageError, match="refers to '#/x', which is not there"):
            for_gemini({"type": "object", "properties": {"a": {"$ref": "#/x"}}})


# Schemas from elsewhere

_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.sampled_from(["string", "object", "array", "null", "a", "#/$defs/a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                "type properties items anyOf oneOf allOf enum const $ref $defs required additionalProperties description "
                "format minLength default prefixItems not title a".split()
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_JSON)
def test_whatever_is_given_is_a_schema_or_refused(schema: Any) -> None:
    given = [{"type": "object", "properties": {"a": schema}, "$defs": {"a": schema}}]
    for parameters in [*given, schema] if isinstance(schema, dict) else given:
        with contextlib.suppress(NotStrict):
            strict(parameters)
        with contextlib.suppress(UsageError):
            for_gemini(parameters)


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "object", "properties": None}, "it has properties=null"),
        ({"type": "object", "properties": {"a": {"required": "b"}}}, "'a' has required=\"b\""),
        ({"type": "object", "properties": {"a": 5}}, "'a' is 5 and no schema"),
        ({"type": [1]}, "it has something else than names"),
        ({"type": "object", "properties": {"a": {"type": "int"}}}, "'a' has the type 'int', which is none of array, "),
        (
            {"type": "object", "properties": {"a": {"items": {"$ref": "#/$defs/B"}}}},
            r"'a\[\]' refers to '#/.defs/B', which",
        ),
    ],
)
def test_what_is_no_schema_is_told(schema: dict[str, Any], told: str) -> None:
    for take in (loose, strict_or_loose):
        with pytest.raises(UsageError, match=f"The tool 'a' is no JSON schema: {told}"):
            take(schema, what="The tool 'a'")
    with pytest.raises(NotStrict, match=told):
        strict(schema)
    with pytest.raises(UsageError, match=f"The tool 'a' is no JSON schema: {told}"):
        for_gemini(schema, what="The tool 'a'")
