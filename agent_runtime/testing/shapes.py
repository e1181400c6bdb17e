"""What a value in a YAML file may be: reads it strictly, and says it as JSON schema.

Theory of operation. A file is composed to YAML nodes, not to values: the shape that is expected decides what a scalar
means. So ``say: no`` is the word, ``say: 42`` is the text "42", and ``cough: true`` is a flag, whatever YAML 1.1 makes of
them; and every complaint can name its line. A key that stands twice is refused.

Plain values that come from Python become the same nodes, so they are read as strictly. An object that no file could hold
becomes a node of its own, which only `Anything` and `OrObject` take.
"""

import difflib
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from agent_runtime.errors import UsageError


@dataclass(frozen=True)
class Place:
    """Where in a file a value stands."""

    file: str
    keys: tuple[str, ...] = ()

    def __truediv__(self, key: object) -> "Place":
        return Place(self.file, (*self.keys, str(key)))

    def wrong(self, node: Any, sentence: str) -> UsageError:
        """An error that names file, line and key path before the sentence."""
        mark = getattr(node, "start_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        where = f" {'.'.join(self.keys)}" if self.keys else ""
        return UsageError(f"{self.file}{line}:{where} {sentence}")


class Shape(Protocol):
    """What a value may be."""

    def read(self, node: Any, place: Place) -> Any:
        """The value of a YAML node.

        Raises:
            UsageError: it is none of this shape.
        """

    def schema(self) -> dict[str, Any]:
        """The shape as JSON schema (draft 2020-12)."""


# Scalars


@dataclass(frozen=True)
class Number:
    """`whole`: an integer. Bounds are inclusive but for `above`."""

    minimum: float | None = None
    above: float | None = None
    maximum: float | None = None
    whole: bool = False

    def read(self, node: Any, place: Place) -> Any:
        text = _scalar(node, place, self._what)
        try:
            value: float = int(text) if self.whole else float(text)
        except ValueError:
            value = math.nan
        if node.style in ("'", '"') or not math.isfinite(value):
            raise place.wrong(node, f"is {text!r}; it takes {self._what}.")
        below = self.minimum is not None and value < self.minimum
        if below or (self.above is not None and value <= self.above) or value > (self.maximum or math.inf):
            raise place.wrong(node, f"is {text}; it takes {self._what}.")
        return value

    @property
    def _what(self) -> str:
        parts = [
            f"from {self.minimum:g} on" if self.minimum is not None else "",
            f"above {self.above:g}" if self.above is not None else "",
            f"up to {self.maximum:g}" if self.maximum is not None else "",
        ]
        return " ".join(["a whole number" if self.whole else "a number", *filter(None, parts)])

    def schema(self) -> dict[str, Any]:
        bounds = {"minimum": self.minimum, "exclusiveMinimum": self.above, "maximum": self.maximum}
        return {"type": "integer" if self.whole else "number"} | {k: v for k, v in bounds.items() if v is not None}


@dataclass(frozen=True)
class Text:
    """Any scalar, as it is written."""

    may_be_empty: bool = False

    def read(self, node: Any, place: Place) -> str:
        text = _scalar(node, place, "a text").strip() if node is not None else ""
        if not text and not self.may_be_empty:
            raise place.wrong(node, "is empty; it takes a text.")
        return text

    def schema(self) -> dict[str, Any]:
        return {"type": ["string", "number", "boolean"] + (["null"] if self.may_be_empty else [])}


@dataclass(frozen=True)
class Flag:
    """``true`` or ``false``; with `only_true`, a word that stands for itself (``cough: true``)."""

    only_true: bool = False

    def read(self, node: Any, place: Place) -> bool:
        what = "true" if self.only_true else "true or false"
        text = _scalar(node, place, what)
        allowed = ("true",) if self.only_true else ("true", "false")
        if text.lower() not in allowed or node.style in ("'", '"'):
            raise place.wrong(node, f"is {text!r}; it takes {what}.")
        return text.lower() == "true"

    def schema(self) -> dict[str, Any]:
        return {"const": True} if self.only_true else {"type": "boolean"}


@dataclass(frozen=True)
class Choice:
    """One of some words."""

    words: tuple[str, ...]

    def read(self, node: Any, place: Place) -> str:
        text = _scalar(node, place, f"one of {', '.join(self.words)}")
        if text not in self.words:
            raise place.wrong(node, f"is {text!r}; {near(text, self.words)}")
        return text

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.words)}


@dataclass(frozen=True)
class OrNone:
    """What `shape` takes, or ``null``."""

    shape: Shape

    def read(self, node: Any, place: Place) -> Any:
        return None if _is_null(node) else self.shape.read(node, place)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.shape.schema(), {"type": "null"}]}


@dataclass(frozen=True)
class OrObject:
    """What `shape` takes, or from Python an object; what takes it checks it."""

    shape: Shape

    def read(self, node: Any, place: Place) -> Any:
        return node.value if _is_object(node) else self.shape.read(node, place)

    def schema(self) -> dict[str, Any]:
        return self.shape.schema()


# Structures


@dataclass(frozen=True)
class Key:
    """A key of a mapping: its shape, and what it is for. Without `default` it is left out where it is not given."""

    shape: Shape
    doc: str = ""
    required: bool = False


@dataclass(frozen=True)
class Fields:
    """A mapping with these keys and no other."""

    keys: Mapping[str, Key]

    def read(self, node: Any, place: Place) -> dict[str, Any]:
        given = entries(node, place)
        for name, (key, _) in given.items():
            if name not in self.keys:
                raise place.wrong(key, unknown(name, self.keys))
        for name, key in self.keys.items():
            if key.required and name not in given:
                raise place.wrong(node, f"has no {name!r}, which it needs.")
        return {name: self.keys[name].shape.read(value, place / name) for name, (_, value) in given.items()}

    def schema(self) -> dict[str, Any]:
        properties = {}
        for name, key in self.keys.items():
            properties[name] = key.shape.schema() | ({"description": key.doc} if key.doc else {})
        required = [name for name, key in self.keys.items() if key.required]
        made: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
        return made | ({"required": required} if required else {})


@dataclass(frozen=True)
class Verbs:
    """A mapping with exactly one of the keys of `verbs`, which says what further keys it takes."""

    verbs: Mapping[str, Fields]
    what: str

    def read(self, node: Any, place: Place) -> dict[str, Any]:
        given = entries(node, place)
        found = [name for name in given if name in self.verbs]
        if len(found) == 1:
            return self.verbs[found[0]].read(node, place)
        if found:
            raise place.wrong(node, f"has both {found[0]!r} and {found[1]!r}; make two of it.")
        for name, (key, _) in given.items():
            close = difflib.get_close_matches(name, self.verbs, n=1)
            if close and not any(name in fields.keys for fields in self.verbs.values()):
                raise place.wrong(key, f"has the unknown key {name!r}; did you mean {close[0]!r}?")
        raise place.wrong(node, f"does not say {self.what}; it takes one of {', '.join(self.verbs)}.")

    def schema(self) -> dict[str, Any]:
        return {"oneOf": [fields.schema() | {"required": [verb]} for verb, fields in self.verbs.items()]}


@dataclass(frozen=True)
class Items:
    """A list."""

    shape: Shape
    at_least: int = 0

    def read(self, node: Any, place: Place) -> list[Any]:
        import yaml

        if not isinstance(node, yaml.SequenceNode):
            raise place.wrong(node, f"is {_kind(node)}; it takes a list.")
        if len(node.value) < self.at_least:
            raise place.wrong(node, "is an empty list; give it something, or take it away.")
        return [self.shape.read(item, place / number) for number, item in enumerate(node.value, start=1)]

    def schema(self) -> dict[str, Any]:
        made: dict[str, Any] = {"type": "array", "items": self.shape.schema()}
        return made | ({"minItems": self.at_least} if self.at_least else {})


@dataclass(frozen=True)
class Table:
    """A mapping from any text to values of one shape."""

    shape: Shape

    def read(self, node: Any, place: Place) -> dict[str, Any]:
        return {name: self.shape.read(value, place / repr(name)) for name, (_, value) in entries(node, place).items()}

    def schema(self) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": self.shape.schema()}


@dataclass(frozen=True)
class Either:
    """A shape for each kind of YAML value; None: that kind may not stand here."""

    scalar: Shape | None = None
    items: Shape | None = None
    mapping: Shape | None = None

    def read(self, node: Any, place: Place) -> Any:
        import yaml

        kinds = {yaml.ScalarNode: self.scalar, yaml.SequenceNode: self.items, yaml.MappingNode: self.mapping}
        shape = kinds[type(node)]
        if shape is None:
            names = {"a text": self.scalar, "a list": self.items, "a mapping": self.mapping}
            takes = " or ".join(name for name, each in names.items() if each is not None)
            raise place.wrong(node, f"is {_kind(node)}; it takes {takes}.")
        return shape.read(node, place)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [each.schema() for each in (self.scalar, self.items, self.mapping) if each is not None]}


@dataclass(frozen=True)
class Anything:
    """Whatever YAML holds; what takes it checks it. `keys` names the keys that are known, level by level."""

    keys: Mapping[str, Any] = field(default_factory=dict)

    def read(self, node: Any, place: Place) -> Any:
        if self.keys and not _is_null(node) and not _is_object(node):
            for name, (key, value) in entries(node, place).items():
                if name not in self.keys:
                    raise place.wrong(key, unknown(name, self.keys))
                if self.keys[name]:
                    Anything(self.keys[name]).read(value, place / name)
        return plain(node, place)

    def schema(self) -> dict[str, Any]:
        if self.keys:
            properties = {name: Anything(inner).schema() for name, inner in self.keys.items()}
            return {"type": "object", "properties": properties, "additionalProperties": False}
        return {}


# Reading


def compose(text: str, file: str) -> Any:
    """The root node of a YAML text.

    Raises:
        UsageError: it is no YAML, or empty.
    """
    import yaml

    try:
        node = yaml.compose(text, _loader())
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise UsageError(
            f"{file}{line}: this is no YAML ({problem}); put texts with ': ' or ' #' in quotes."
        ) from error
    if node is None:
        raise UsageError(f"{file}: the file is empty; a scenario has a caller and models.")
    return node


@cache
def _loader() -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """YAML 1.2 lets an unquoted text in braces hold a question mark ({say: What is open?, for: 1.2}); PyYAML does not."""

        _in_plain = False

        def scan_plain(self) -> Any:
            self._in_plain = True
            try:
                return super().scan_plain()
            finally:
                self._in_plain = False

        def peek(self, index: int = 0) -> Any:
            letter = super().peek(index)
            return (
                "." if letter == "?" and self._in_plain else letter
            )  # what is read is the buffer, not what we say here

    return Loader


def node_of(value: Any) -> Any:
    """Plain values as the nodes that a file with them would have."""
    import yaml

    if isinstance(value, Mapping):
        pairs = [(node_of(key), node_of(each)) for key, each in value.items()]
        return yaml.MappingNode("tag:yaml.org,2002:map", pairs)
    if isinstance(value, list | tuple):
        return yaml.SequenceNode("tag:yaml.org,2002:seq", [node_of(each) for each in value])
    if isinstance(value, bool):
        return yaml.ScalarNode("tag:yaml.org,2002:bool", str(value).lower())
    if value is None:
        return yaml.ScalarNode("tag:yaml.org,2002:null", "null")
    if isinstance(value, int | float):
        return yaml.ScalarNode("tag:yaml.org,2002:float", repr(value))
    if isinstance(value, str | os.PathLike):
        return yaml.ScalarNode("tag:yaml.org,2002:str", str(value), style='"')
    return yaml.ScalarNode(_OBJECT, value, style='"')


_OBJECT = "!object"


def _is_object(node: Any) -> bool:
    return getattr(node, "tag", None) == _OBJECT and not isinstance(node.value, str)


def plain(node: Any, place: Place) -> Any:
    """A node as YAML 1.2's core schema reads it: only true and false are flags, and there are no dates."""
    import yaml

    if isinstance(node, yaml.SequenceNode):
        return [plain(item, place / number) for number, item in enumerate(node.value, start=1)]
    if isinstance(node, yaml.MappingNode):
        return {name: plain(value, place / name) for name, (_, value) in entries(node, place).items()}
    if node.style in ("'", '"', "|", ">"):
        return node.value
    if _is_null(node):
        return None
    if node.value.lower() in ("true", "false"):
        return node.value.lower() == "true"
    for number in (int, float):
        try:
            return number(node.value)
        except ValueError:
            continue
    return node.value


def entries(node: Any, place: Place) -> dict[str, tuple[Any, Any]]:
    """A mapping's keys as text, with the nodes of key and value."""
    import yaml

    if not isinstance(node, yaml.MappingNode):
        raise place.wrong(node, f"is {_kind(node)}; it takes a mapping.")
    found: dict[str, tuple[Any, Any]] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise place.wrong(key, f"has {_kind(key)} for a key; a key is a text.")
        if key.value in found:
            raise place.wrong(key, f"has the key {key.value!r} twice; take one away.")
        found[key.value] = (key, value)
    return found


def unknown(name: str, known: Iterable[str]) -> str:
    return f"has the unknown key {name!r}; {near(name, list(known))}"


def near(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"it takes {', '.join(known)}."


def read_text(path: Path) -> str:
    """A file's text; `UsageError` where it cannot be had."""
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}; name a scenario file.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no text in UTF-8; a scenario is a YAML file.") from error


def _scalar(node: Any, place: Place, takes: str) -> str:
    import yaml

    if not isinstance(node, yaml.ScalarNode):
        hint = " Put the whole of it in quotes, because it has ': ' in it." if takes == "a text" else ""
        raise place.wrong(
            node, f"is {_kind(node)}; it takes {takes}.{hint if isinstance(node, yaml.MappingNode) else ''}"
        )
    if _is_object(node):
        raise place.wrong(node, f"is {node.value!r}; it takes {takes}.")
    return str(node.value)


def _is_null(node: Any) -> bool:
    import yaml

    return (
        isinstance(node, yaml.ScalarNode)
        and node.style not in ("'", '"')
        and node.value in ("", "~", "null", "Null", "NULL")
    )


def _kind(node: Any) -> str:
    import yaml

    if _is_null(node):
        return "nothing"
    kinds = {yaml.ScalarNode: "a single value", yaml.SequenceNode: "a list", yaml.MappingNode: "a mapping"}
    return kinds.get(type(node), "nothing")
