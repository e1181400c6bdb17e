"""What a replay is to do otherwise: `--set turn_handling.endpointing.min_delay=0.3 --set tts=local/espeak`."""

import dataclasses
import difflib
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Union, get_args, get_origin, get_type_hints

from agent_runtime.errors import UsageError
from agent_runtime.inference.chain import shown
from agent_runtime.inference.descriptor import Kind
from agent_runtime.trace.tape import Json
from agent_runtime.turns.options import TurnHandling, check_number

NODES: tuple[Kind, ...] = ("vad", "stt", "llm", "tts")

SESSION = ("max_tool_steps", "user_away_timeout")


@dataclass(frozen=True, slots=True)
class Changes:
    """Settings that take the place of the tape's.

    Attributes:
        nodes: descriptors of nodes that really run, or None for no such node.
        session: of what `AgentSession` takes besides.
        turn_handling: nested as `TurnHandlingOptions`.
    """

    nodes: Mapping[Kind, Any] = field(default_factory=dict)
    session: Json = field(default_factory=dict)
    turn_handling: Json = field(default_factory=dict)
    told: tuple[str, ...] = ()
    """As they were given, but for keys and passwords."""

    def __bool__(self) -> bool:
        return bool(self.nodes or self.session or self.turn_handling)

    @classmethod
    def of(cls, given: Iterable[str]) -> "Changes":
        """From ``key=value`` strings; a value is YAML.

        Raises:
            UsageError: no such key (with what is near), or a value that cannot be.
        """
        nodes: dict[Kind, Any] = {}
        session: Json = {}
        handling: Json = {}
        given = tuple(given)
        for one in given:
            key, value = _split(one)
            kind = next((kind for kind in NODES if kind == key), None)
            if kind is not None:
                nodes[kind] = value
            elif key in SESSION:
                if value is not None or key != "user_away_timeout":
                    check_number(key, value, whole=key == "max_tool_steps")
                session[key] = value
            elif key in _handling_keys():
                _put(handling, key.split(".")[1:], value)
            else:
                raise UsageError(_unknown(key))
        _check(handling)
        return cls(nodes, session, handling, tuple(shown(one) for one in given))

    def beside(self, session: Json, handling: Json) -> "Changes":
        """These, without what is so already in the settings of a tape: then it is a replay like any other."""
        return Changes(self.nodes, _other(self.session, session), _other(self.turn_handling, handling), self.told)

    def applied(self, handling: TurnHandling) -> TurnHandling:
        """The tape's settings with these in them.

        Raises:
            UsageError: together they cannot be.
        """
        given: Json = {}
        for each in dataclasses.fields(handling):
            value = getattr(handling, each.name)
            changed = self.turn_handling.get(each.name)
            if dataclasses.is_dataclass(value) and not isinstance(value, type):
                given[each.name] = {**_shallow(value), **(changed or {})}
            else:
                given[each.name] = value if each.name not in self.turn_handling else changed
        return TurnHandling.of(given)  # type: ignore[arg-type]


def _other(changed: Json, known: Json) -> Json:
    """What of `changed` is not in `known`."""
    kept: Json = {}
    for name, value in changed.items():
        has = known.get(name)
        if isinstance(value, dict) and isinstance(has, dict):
            if inner := _other(value, has):
                kept[name] = inner
        elif name not in known or value != has:
            kept[name] = value
    return kept


def _shallow(value: Any) -> Json:
    return {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}


def _check(handling: Json) -> None:
    """Refuse what cannot be, whatever the tape's settings are; whether the delays fit each other is seen with those."""
    for name, value in handling.get("endpointing", {}).items():
        check_number(f"turn_handling endpointing {name}", value)
    rest = {name: value for name, value in handling.items() if name != "endpointing"}
    TurnHandling.of(rest)  # type: ignore[arg-type]


def _split(one: str) -> tuple[str, Any]:
    import yaml

    key, equals, text = one.partition("=")
    if not equals or not key:
        raise UsageError(
            f"--set takes key=value, not {shown(one)!r}; for example turn_handling.endpointing.min_delay=0.3."
        )
    try:
        return key.strip(), yaml.safe_load(text) if text else ""
    except yaml.YAMLError:
        raise UsageError(
            f"--set {key} has the value {shown(text)!r}, which cannot be read; put it in quotes."
        ) from None


def _put(where: Json, path: list[str], value: Any) -> None:
    for name in path[:-1]:
        where = where.setdefault(name, {})
    where[path[-1]] = value


def _handling_keys() -> list[str]:
    return _keys("turn_handling", TurnHandling)


def _keys(path: str, kind: type) -> list[str]:
    found: list[str] = []
    hints = get_type_hints(kind)
    for each in dataclasses.fields(kind):
        hint, name = hints[each.name], f"{path}.{each.name}"
        inner = next((h for h in _parts(hint) if dataclasses.is_dataclass(h) and isinstance(h, type)), None)
        found += _keys(name, inner) if inner is not None else [name]
    return found


def _parts(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _unknown(key: str) -> str:
    known = [*NODES, *SESSION, *_handling_keys()]
    by_end = {name.rpartition(".")[2]: name for name in known}
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    meant = near[0] if near else None
    if meant is None:
        last = difflib.get_close_matches(key.rpartition(".")[2], by_end, n=1, cutoff=0.6)
        meant = by_end[last[0]] if last else None
    hint = f"Did you mean {meant!r}?" if meant is not None else f"There are {', '.join(known)}."
    return f"--set has the unknown key {key!r}. {hint}"
