"""What a function's signature and docstring tell a language model about it, and the arguments the model answers with.

Everything is worked out at first use: `inspect` is cheap, pydantic and docstring_parser are not, and a script that only
declares tools should start at once.
"""

import contextlib
import inspect
import json
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from agent_runtime.errors import UsageError

if TYPE_CHECKING:
    from docstring_parser import Docstring
    from pydantic import TypeAdapter, ValidationError

_CONTEXT_IN_TEXT = re.compile(r"(?:\w+\.)*RunContext\b")
_MAX_COMPLAINTS = 3


class BadArguments(Exception):
    """The model's arguments do not fit; the message is one sentence that tells it why."""


class Signature:
    """The parameters of one tool.

    Args:
        name: the tool's name, for messages.
        function: the function as it was written; a method without its object.
        context_type: a parameter of this type is given by the session and unknown to the model.
        skip_first: leave out the first parameter (`self`).
    """

    def __init__(self, name: str, function: Callable[..., Any], context_type: type, *, skip_first: bool) -> None:
        self._name = name
        self._function = function
        self._context_type = context_type
        self._skip_first = skip_first

    @cached_property
    def description(self) -> str:
        """The docstring without the parts about arguments, results and errors."""
        return (self._docstring.description or "").strip()

    @cached_property
    def context_parameter(self) -> str | None:
        """The name of the first parameter that is annotated with the context type, also as a string."""
        return next((p.name for p in self._written if self._is_context(p)), None)

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """The JSON schema of the arguments: an object."""
        from pydantic_core import to_jsonable_python

        schema: dict[str, Any] = without_titles(self._adapter.json_schema())
        schema.setdefault("properties", {})
        for parameter in self._asked:
            default = _given_default(parameter)
            if default is not inspect.Parameter.empty:
                # What has no JSON form is a default that the model need not know.
                default = to_jsonable_python(default, serialize_unknown=True)
                schema["properties"][parameter.name].setdefault("default", default)
        schema.pop("description", None)
        return schema

    @property
    def worked_out(self) -> bool:
        """Whether `parameters` is there already."""
        return "parameters" in self.__dict__

    def takes_self(self, owner: type) -> bool:
        """Whether the first parameter can be an object of `owner`: it says so, or has no type and another name."""
        first = next(iter(inspect.signature(self._function).parameters.values()), None)
        if first is None or first.kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD):
            return False
        untyped = first.annotation is inspect.Parameter.empty or first.kind is inspect.Parameter.VAR_POSITIONAL
        if first.name == "self" or untyped:
            return True
        told = getattr(first.annotation, "__name__", str(first.annotation)).strip("'\"")
        return told == "Self" or told in {kind.__name__ for kind in owner.__mro__}

    def bind(self, arguments: str) -> dict[str, Any]:
        """Turn the JSON text that a model wrote into keyword arguments of the annotated types.

        Raises:
            BadArguments: it is no JSON object, or an argument is missing, unknown or of another type.
        """
        from pydantic import ValidationError

        given = without_nulls(parse_object(self._name, arguments), self.parameters)
        try:
            bound: dict[str, Any] = self._adapter.validate_python(given)
        except ValidationError as error:
            raise BadArguments(self._complaint(error)) from None
        for parameter in self._asked:
            if parameter.name not in bound and _is_field(parameter.default):
                bound[parameter.name] = parameter.default.get_default(call_default_factory=True)
        return bound

    # How it is worked out

    @cached_property
    def _docstring(self) -> "Docstring":
        import docstring_parser

        return docstring_parser.parse(inspect.getdoc(self._function) or "")

    @cached_property
    def _written(self) -> list[inspect.Parameter]:
        return list(inspect.signature(self._function).parameters.values())[self._skip_first :]

    @cached_property
    def _asked(self) -> list[inspect.Parameter]:
        """The parameters that the model fills in."""
        asked = [parameter for parameter in self._written if parameter.name != self.context_parameter]
        for parameter in asked:
            if parameter.kind not in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY):
                raise UsageError(
                    f"Tool '{self._name}' takes '{str(parameter).split(':')[0]}', which a model cannot name; "
                    "write out each parameter."
                )
            if parameter.annotation is inspect.Parameter.empty and parameter.name in ("context", "ctx"):
                raise UsageError(
                    f"Tool '{self._name}': '{parameter.name}' has no type; "
                    f"write '{parameter.name}: RunContext' to be given the context."
                )
        return asked

    def _is_context(self, parameter: inspect.Parameter) -> bool:
        annotation = parameter.annotation
        if isinstance(annotation, str):
            # By its look: under `if TYPE_CHECKING:` the name does not exist at run time.
            return _CONTEXT_IN_TEXT.match(annotation.strip("'\" ")) is not None
        alternatives = typing.get_args(annotation) if _is_union(annotation) else (annotation,)
        return any(
            isinstance(kind := typing.get_origin(each) or each, type) and issubclass(kind, self._context_type)
            for each in alternatives
        )

    @cached_property
    def _adapter(self) -> "TypeAdapter[Any]":
        # A TypedDict and no model: a model's own attributes (copy, json, schema) would be forbidden names.
        from pydantic import ConfigDict, TypeAdapter
        from pydantic.errors import PydanticUserError
        from typing_extensions import TypedDict  # before 3.12 pydantic reads no other

        told = {each.arg_name: (each.description or "").strip() for each in self._docstring.params}
        items: dict[str, Any] = {}
        for parameter in self._asked:
            annotation = _described(self._resolved(parameter), parameter.default, told.get(parameter.name, ""))
            items[parameter.name] = typing.NotRequired[annotation] if self._optional(parameter) else annotation
        make: Any = TypedDict  # not a type that a checker could know
        arguments = make("Arguments", items)
        arguments.__pydantic_config__ = ConfigDict(extra="forbid", coerce_numbers_to_str=True)
        try:
            return TypeAdapter(arguments)
        except PydanticUserError as error:
            reason = str(error).split("\n")[0].rstrip(".")
            raise UsageError(
                f"Tool '{self._name}' has a parameter of a type that no model can fill in ({reason}); "
                "use str, int, float, bool, list, dict, Literal, an Enum or a pydantic model."
            ) from None

    def _resolved(self, parameter: inspect.Parameter) -> Any:
        if parameter.annotation is inspect.Parameter.empty:
            return Any
        function = inspect.unwrap(self._function)
        holder = SimpleNamespace(__annotations__={"it": parameter.annotation})
        try:
            hints = typing.get_type_hints(
                holder, getattr(function, "__globals__", {}), _captured(function), include_extras=True
            )
        except NameError as error:
            raise UsageError(
                f"Tool '{self._name}': the type of '{parameter.name}', {parameter.annotation!r}, is not known at run "
                f"time ({error}); define or import it at the top of its module, outside of 'if TYPE_CHECKING'."
            ) from None
        return hints["it"]

    def _optional(self, parameter: inspect.Parameter) -> bool:
        if _is_field(parameter.default):
            return not parameter.default.is_required()
        return parameter.default is not inspect.Parameter.empty

    def _complaint(self, error: "ValidationError") -> str:
        names = [parameter.name for parameter in self._asked]
        said = []
        for each in error.errors(include_url=False)[:_MAX_COMPLAINTS]:
            where = ".".join(str(step) for step in each["loc"])
            match each["type"]:
                case "missing":
                    said.append(f"the argument '{where}' is missing")
                case "extra_forbidden":
                    takes = f"it takes {', '.join(names)}" if names else "it takes none"
                    said.append(f"there is no argument '{where}' ({takes})")
                case _:
                    wrong = each["msg"].removeprefix("Input ").rstrip(".")
                    said.append(f"the argument '{where}' {wrong[:1].lower() + wrong[1:]}, not {_shown(each['input'])}")
        return f"{self._name} was not called: {'; '.join(said)}."


def parse_object(name: str, arguments: str) -> dict[str, Any]:
    """The JSON object that a model wrote for tool `name`; nothing at all and null mean no arguments."""
    try:
        given = json.loads(arguments.strip() or "{}", strict=False)
    except ValueError as error:
        raise BadArguments(f"{name} was not called: its arguments are not valid JSON ({error}).") from None
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise BadArguments(f"{name} was not called: its arguments must be a JSON object, not {_shown(given)}.")
    return given


def without_nulls(value: Any, schema: Any, root: Mapping[str, Any] | None = None) -> Any:
    """What a model gave, less each null that means "not given": of a property that may be left out and cannot be null.

    Models write such nulls on their own, and have to where a service holds them to a strict schema.
    """
    root = schema if root is None else root
    shapes = _shapes(schema, root)
    if isinstance(value, list):
        items = [each["items"] for each in shapes if "items" in each]
        return [without_nulls(each, items[0], root) for each in value] if len(items) == 1 else value
    if not isinstance(value, dict):
        return value
    objects = [each for each in shapes if "properties" in each]
    if len(objects) > 1:
        objects = [each for each in objects if value.keys() <= each["properties"].keys()]
    if len(objects) != 1:
        return value
    properties, required = objects[0]["properties"], objects[0].get("required", ())
    return {
        name: without_nulls(each, properties.get(name, {}), root)
        for name, each in value.items()
        if each is not None or name in required or _takes_null(properties.get(name, {}), root)
    }


def _shapes(schema: Any, root: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What a value of this schema may be: the schema, or each of its alternatives."""
    schema = _resolved_schema(schema, root)
    alternatives = (*schema.get("anyOf", ()), *schema.get("oneOf", ()))
    return [shape for each in alternatives for shape in _shapes(each, root)] if alternatives else [schema]


def _resolved_schema(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    for _ in range(8):  # a definition may be another's name
        reference = str(schema.get("$ref", "")) if isinstance(schema, Mapping) else ""
        if not reference.startswith("#/$defs/"):
            break
        schema = root.get("$defs", {}).get(reference.rpartition("/")[2], {})
    return schema if isinstance(schema, Mapping) else {}


def _takes_null(schema: Any, root: Mapping[str, Any]) -> bool:
    return any(map(_is_null_one, _shapes(schema, root)))


def _is_null_one(shape: Mapping[str, Any]) -> bool:
    if "enum" in shape:
        return None in shape["enum"]
    kinds = shape.get("type")
    return shape.get("const", kinds) is None or kinds == "null" or (isinstance(kinds, list) and "null" in kinds)


def _shown(value: object) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _captured(function: Callable[..., Any]) -> dict[str, Any]:
    """The names that a function inside a function takes from around it, as far as they have a value."""
    names = getattr(getattr(function, "__code__", None), "co_freevars", ())
    found = {}
    for name, cell in zip(names, getattr(function, "__closure__", None) or (), strict=True):
        with contextlib.suppress(ValueError):  # not assigned yet
            found[name] = cell.cell_contents
    return found


def _is_union(annotation: object) -> bool:
    import types

    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def _is_field(default: object) -> bool:
    """Whether a default is a pydantic `Field(...)`, without importing pydantic to find out."""
    kind = type(default)
    return kind.__name__ == "FieldInfo" and kind.__module__.startswith("pydantic")


def _given_default(parameter: inspect.Parameter) -> Any:
    if _is_field(parameter.default):
        return inspect.Parameter.empty  # pydantic writes it into the schema itself
    return parameter.default


def _described(annotation: Any, default: Any, told: str) -> Any:
    """The annotation as pydantic reads it: a string in `Annotated` is the description, else the docstring's is."""
    from pydantic import Field
    from pydantic.fields import FieldInfo

    metadata = list(getattr(annotation, "__metadata__", ()))
    kind = annotation.__origin__ if metadata else annotation
    if _is_field(default):
        metadata.append(default)
    metadata = [Field(description=each) if isinstance(each, str) else each for each in metadata]
    if told and not any(isinstance(each, FieldInfo) and each.description for each in metadata):
        metadata.append(Field(description=told))
    return typing.Annotated[(kind, *metadata)] if metadata else kind  # type: ignore[return-value,unused-ignore]


def without_titles(schema: Any) -> Any:
    """A schema less the titles that pydantic makes of the names."""
    if isinstance(schema, Mapping):
        return {
            key: without_titles(value)
            for key, value in schema.items()
            if not (key == "title" and isinstance(value, str))
        }
    return [without_titles(each) for each in schema] if isinstance(schema, list) else schema


# The values of an argument


def schema_values(parameters: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """The values that argument `name` may have: those of its Literal or Enum, else those its description lists."""
    schema = parameters.get("properties", {}).get(name, {})
    listed = tuple(_enumerated(schema, parameters.get("$defs", {})))
    return listed or documented_values(schema.get("description", ""))


def _enumerated(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> Iterator[str]:
    if reference := schema.get("$ref"):
        yield from _enumerated(defs.get(reference.rpartition("/")[2], {}), defs)
    for value in [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else [])]:
        if value is not None:
            yield str(value)
    for alternative in (*schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else [])):
        yield from _enumerated(alternative, defs)


_DEFAULT = re.compile(r"\(?[,;]?\s*\b(?:by default|(?:which )?defaults? (?:to|is)|default:?)\b.*$", re.IGNORECASE)
_EXAMPLE = re.compile(r"\b(?:e\.g|i\.e|for example|for instance|such as|like|including|etc)\b", re.IGNORECASE)
_LEAD = re.compile(r"^.*?(?::|\b(?:one|any) of(?: the following)?:?|\beither)\s+(?:the )?", re.IGNORECASE)
_QUOTED = re.compile(r"(?<!\w)(['\"`‘“])(.+?)(?:\1|’|”)(?!\w)")
_PROSE = frozenset("a an the of to is are be if in that this it what which who when where how for with by as".split())
_MAX_WORDS = 3


def documented_values(text: str) -> tuple[str, ...]:
    """The values that a description lists, as ``"Which room: kitchen, bedroom or garage"`` does; () for prose.

    A list is taken for one when it comes after a colon, "one of" or "either", stands in quotes, or is all there is of
    a sentence that begins in lower case ("on or off"); examples ("such as ...") are none. In doubt it is prose:
    a value that was missed can still be said freely, a word that is no value would be offered as one.
    """
    for sentence in re.split(r"(?<=[.;!?])\s+|\n\s*\n", text.strip()):
        values = _listed(" ".join(sentence.split()))
        if len(values) > 1:
            return values
    return ()


def _listed(sentence: str) -> tuple[str, ...]:
    if _EXAMPLE.search(sentence):
        return ()
    sentence = _DEFAULT.sub("", sentence).strip(" .;")
    quoted = tuple(dict.fromkeys(value.strip() for _, value in _QUOTED.findall(sentence)))
    if len(quoted) > 1:
        return quoted
    if bracketed := re.search(r"\(([^()]*)\)$", sentence):
        return _split_list(bracketed[1], led=True) or _listed(sentence[: bracketed.start()].strip())
    lead = _LEAD.match(sentence)
    listed = sentence[lead.end() :] if lead else sentence
    return _split_list(listed, led=lead is not None)


def _split_list(listed: str, *, led: bool) -> tuple[str, ...]:
    joined = r"\b(?:or|and)\b|[|]|\w/\w|,.*," if led else r"\bor\b|[|]"
    if not re.search(joined, listed) or not (led or listed[:1].islower()):
        return ()
    parts = [part.strip(" .") for part in re.split(r",\s*(?:or|and)\s+|\s+(?:or|and)\s+|\s*[,|/]\s*", listed)]
    for part in parts:
        words = part.lower().split()
        if not 0 < len(words) <= _MAX_WORDS or _PROSE.intersection(words):
            return ()
    return tuple(dict.fromkeys(parts))
