"""The command `models`: which there are, who serves them, which keys are set, what they can do and what they cost."""

import argparse
import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent_runtime.errors import UsageError

if TYPE_CHECKING:
    from agent_runtime.inference.catalog import Model
    from agent_runtime.inference.prices import Price
    from agent_runtime.providers.openai.nearby import Nearby

FOOT = """\
Prices are US dollars a million tokens, as of the date behind them; unpriced is unknown, not free.
A model that is not listed works too: write provider/model. 'agent-runtime models NAME' shows one in full,
'--local' looks for servers on this machine, 'agent-runtime chat NAME "hello"' asks one."""


def add_models(commands: Any) -> None:
    """Add the command to a command line's subparsers."""
    text = "List models: who serves them, which keys are set, what they can do and what they cost."
    models = commands.add_parser("models", help=text, description=text)
    models.add_argument("name", metavar="NAME", nargs="?", help="a model, or a provider")
    models.add_argument("--local", action="store_true", help="look for servers on this machine, at their usual ports")
    models.add_argument("--json", action="store_true", help="print JSON")
    models.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show tracebacks")
    models.set_defaults(run=models_command)


def models_command(options: argparse.Namespace) -> int:
    """Run the command; returns 0.

    Raises:
        UsageError: no model and no provider has that name (with what was near); or a name with `--local`.
    """
    if options.local:
        if options.name is not None:
            raise UsageError(
                f"'models --local' looks for every server on this machine and takes no name; "
                f"leave out {options.name!r}, or leave out --local."
            )
        from agent_runtime.providers.openai.nearby import find

        _print_nearby(asyncio.run(find()), as_json=options.json)
        return 0
    rows, in_full = _chosen(options.name)
    if options.json:
        print(json.dumps([row.record() for row in rows], ensure_ascii=False, indent=1))
    elif in_full:
        print("\n\n".join(_in_full(row) for row in rows))
    else:
        print("\n".join([*_table(rows), "", FOOT]))
    return 0


# What is told of a model


@dataclass(frozen=True, slots=True)
class Row:
    """A model, as it would be asked from here.

    Attributes:
        served_by: who would serve it; where the keys of none are there, those who could, in turn.
        keys: for each of them the variables that it needs, and whether they are set.
        missing: what keeps it from being used; None: nothing that is known before it is asked.
        price: at who would serve it, or at the last of those who could; None: unpriced.
        listed: the list has it; else it would be asked all the same.
        near: where it has not, names that were perhaps meant.
    """

    model: "Model"
    served_by: tuple[str, ...]
    keys: tuple[dict[str, bool], ...]
    missing: str | None
    price: "Price | None"
    listed: bool = True
    near: tuple[str, ...] = ()

    @classmethod
    def of(cls, model: "Model", *, listed: bool = True, near: tuple[str, ...] = ()) -> "Row":
        from agent_runtime.explain import plan_node
        from agent_runtime.inference.descriptor import parse
        from agent_runtime.inference.prices import price_of
        from agent_runtime.inference.routes import is_set, keys_of, name_of

        if model.is_local:
            missing = plan_node(model.kind, model.name).missing
            return cls(model, ("this machine",), ({},), missing, price_of("local", model.name), listed)
        ways = parse(model.kind, model.name).ways
        keys = [each.keys for each in ways] or [keys_of(model.provider)]
        states = tuple({name_of(key): is_set(key) for key in each} for each in keys)
        if not ways:
            return cls(model, (_title(model.provider),), states, "this version cannot reach it yet", None, listed, near)
        open_ = [n for n, way in enumerate(ways) if not way.missing]
        missing = None if open_ else f"needs {', or '.join(_needs(way.missing) for way in ways)}"
        chosen = open_[0] if open_ else len(ways) - 1
        price = price_of(ways[chosen].service, ways[chosen].arguments["model"])
        shown = [chosen] if open_ else range(len(ways))
        return cls(
            model,
            tuple(_title(ways[n].service) for n in shown),
            tuple(states[n] for n in shown),
            missing,
            price,
            listed,
            near,
        )

    def record(self) -> dict[str, Any]:
        import dataclasses

        model = self.model
        return {
            "name": model.name,
            "kind": model.kind,
            "title": model.title or None,
            "family": model.family or None,
            "served_by": list(self.served_by),
            "providers": list(model.providers),
            "keys": [{name: _is(there) for name, there in each.items()} for each in self.keys],
            "usable": self.missing is None,
            "missing": self.missing,
            "capabilities": list(model.can),
            "context_window": model.context_window,
            "price": None if self.price is None else _filled(dataclasses.asdict(self.price)) | _zero(self.price),
            "rows": list(model.rows),
            "note": model.note or None,
            "listed": self.listed,
            "near": list(self.near),
        }


def _is(there: bool) -> str:
    return "set" if there else "missing"


def _needs(keys: Iterable[Sequence[str]]) -> str:
    return " and ".join(key[0] for key in keys)


def _filled(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _zero(price: "Price") -> dict[str, Any]:
    return {"usd": 0} if price.is_free else {}


def _title(provider: str) -> str:
    from agent_runtime.inference.catalog import providers
    from agent_runtime.providers.openai.services import rows

    titles = {each.id: each.title for each in providers()}
    row = rows().get(provider)
    return titles.get(provider) or (row.name if row is not None else provider)


def _chosen(name: str | None) -> tuple[list[Row], bool]:
    """The rows for a name, and whether they are to be shown in full."""
    from agent_runtime.inference import catalog

    models = catalog.models()
    if name is None:
        return [Row.of(model) for model in models], False
    named = [model for model in models if name in (model.name, model.name.partition("/")[2])]
    named = named or [model for model in models if model.name.rpartition("/")[2] == name]
    if named:
        return [Row.of(model) for model in named], True
    spoken = [model for model in models if model.kind in ("stt", "tts") and model.name == name.rpartition(":")[0]]
    if spoken:
        return [Row.of(model) for model in spoken], True
    of_provider = [model for model in models if model.provider == name]
    if of_provider:
        return [Row.of(model) for model in of_provider], False
    return [_unlisted(name)], True


def _unlisted(name: str) -> Row:
    """A model that could be asked, although the list does not have it."""
    from agent_runtime.inference import catalog
    from agent_runtime.inference.descriptor import parse

    near = catalog.near(name)
    hint = (
        f"Did you mean {' or '.join(map(repr, near))}?"
        if near
        else "'agent-runtime models' lists those that are known."
    )
    try:
        descriptor = parse("llm", name)
    except UsageError:
        raise UsageError(f"There is no model {name!r} in the list. {hint}") from None
    if not descriptor.ways or "|" in name:
        raise UsageError(f"There is no model {name!r} in the list. {hint}")
    return Row.of(catalog.Model(name=descriptor.name), listed=False, near=tuple(catalog.slips(descriptor.name)))


# Printing


def _table(rows: Sequence[Row]) -> list[str]:
    """Under each who serves them, with the keys, the models."""
    groups: dict[str, list[list[str]]] = {}
    for row in rows:
        groups.setdefault(_heading(row), []).append(_cells(row))
    lines: list[str] = []
    for heading, cells in groups.items():
        width = [max(len(each[n]) for each in cells) for n in range(3)]
        lines += ["", heading] if lines else [heading]
        lines += ["  " + "  ".join(cell.ljust(width[n]) for n, cell in enumerate(each)).rstrip() for each in cells]
    return lines


def _heading(row: Row) -> str:
    if row.model.is_local:
        return "On this machine: no key, free"
    parts = [f"{title}: {_keys(row, keys)}" for title, keys in zip(row.served_by, row.keys, strict=True)]
    return "; else ".join(parts)


def _keys(row: Row, keys: dict[str, bool]) -> str:
    from agent_runtime.inference.routes import LOOKS_ITSELF

    told = ", ".join(f"{name} {_is(there)}" for name, there in keys.items())
    return told or LOOKS_ITSELF.get(row.model.provider, "no key")


def _cells(row: Row) -> list[str]:
    model = row.model
    kind = "turns" if model.kind == "turn_detection" else model.kind
    if model.is_local:
        return [kind, model.name, "ready" if row.missing is None else row.missing.partition("\n")[0]]
    return [kind, model.name, f"{price_text(row.price)}{'; ' * bool(model.can)}{', '.join(model.can)}"]


def price_text(price: "Price | None") -> str:
    """A price in a few words."""
    if price is None:
        return "unpriced"
    if price.is_free:
        return "free"
    parts = [
        f"{_dollars(value)} {unit}"
        for value, unit in (
            (price.input, "in"),
            (price.cached_input, "cached"),
            (price.output, "out"),
            (price.audio_input, "sound in"),
            (price.audio_output, "sound out"),
            (price.minute, "a minute"),
            (price.million_characters, "a million characters"),
        )
        if value is not None
    ]
    return f"{', '.join(parts)} ({price.as_of})"


def _dollars(value: float) -> str:
    text = f"{value:.4f}".rstrip("0")
    whole, _, cents = text.partition(".")
    return f"${whole}.{cents.ljust(2, '0')}"


def _in_full(row: Row) -> str:
    model, price = row.model, row.price
    option = {"turn_detection": "turn_handling={'turn_detection': "}.get(model.kind, f"{model.kind}=")
    lines = [
        ("name", model.name),
        ("is", " ".join(filter(None, [model.title, f"({model.family})" if model.family else ""]))),
        ("write", f"AgentSession({option}{model.name!r}{'}' if model.kind == 'turn_detection' else ''})"),
        ("served by", "; else ".join(row.served_by)),
        ("run by", ", ".join(model.providers)),
        ("keys", "; else ".join(_keys(row, keys) for keys in row.keys)),
        ("missing", row.missing or ""),
        ("can", ", ".join(model.can) or ("" if model.is_local else "not known")),
        (
            "context",
            f"{model.context_window} tokens" if model.context_window else "" if model.is_local else "not known",
        ),
        ("price", price_text(price) + _at(row)),
        ("stated in", price.source if price is not None and not price.is_free else ""),
        ("note", model.note if row.listed else _unlisted_note(row.near)),
    ]
    return "\n".join(f"{name:<10} {value}" for name, value in lines if value)


def _unlisted_note(near: Sequence[str]) -> str:
    meant = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    return f"It is not in the list; it would be asked all the same.{meant}"


def _at(row: Row) -> str:
    """Whose price it is, where it is not clear."""
    return f", at {row.served_by[-1]}" if row.price is not None and len(row.served_by) > 1 else ""


def _print_nearby(found: "Sequence[Nearby]", *, as_json: bool) -> None:
    from agent_runtime.providers.openai.nearby import addresses

    if as_json:
        import dataclasses

        print(json.dumps([dataclasses.asdict(each) for each in found], ensure_ascii=False, indent=1))
        return
    if not found:
        print(
            f"No server answered at {', '.join(addresses())}. Start one there, or set its address in config/services.toml."
        )
        return
    for server in found:
        print(f"{server.name} at {server.base_url}{': ' + server.remark if server.remark else ''}")
        for model in server.models:
            print(f"  {model}")
    models = [model for server in found for model in server.models]
    if models:
        print(f"\nagent-runtime chat '{models[0]}' \"hello\"")
