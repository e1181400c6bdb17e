"""Which models and providers are known by name. Pure lookups in data; a model that is not here can be asked all the same."""

import difflib
import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent_runtime.inference.descriptor import LOCAL
from agent_runtime.inference.routes import Kind

FREE = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model.

    Attributes:
        name: what to write in a session.
        kind: which node it is.
        title: its name for people.
        family: whose it is.
        providers: who runs it behind LiveKit Inference, for `inference.LLM(provider=...)`; empty: nobody does.
        can: what it is known to do: tools, vision (pictures), audio (sound), reasoning, structured (answers held to a
            schema), search, image output. What is not named is not known.
        context_window: tokens; None: not known.
        rows: the rows of the feature table that it stands for.
        note: what else is to be known.
    """

    name: str
    kind: Kind = "llm"
    title: str = ""
    family: str = ""
    providers: tuple[str, ...] = ()
    can: tuple[str, ...] = ()
    context_window: int | None = None
    rows: tuple[str, ...] = ()
    note: str = ""

    @property
    def provider(self) -> str:
        return self.name.partition("/")[0]

    @property
    def is_local(self) -> bool:
        return self.provider == FREE


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Who serves models.

    Attributes:
        id: as in a descriptor; empty where no string names one (LangChain: a graph is an object).
        title: its name for people.
        plugin: the module of `agent_runtime.plugins`.
        example: a descriptor.
        number: its place in the founding documents' list of 19; 0: not in it.
    """

    id: str
    title: str
    plugin: str = ""
    example: str = ""
    number: int = 0


def models(kind: Kind | None = None) -> list[Model]:
    """The engines on this machine, then all others; of one kind, or of all."""
    return [model for model in [*_local(), *_catalog()[0]] if kind in (None, model.kind)]


def find(name: str) -> list[Model]:
    """The models of this name: one of a kind, at most."""
    return [model for model in models() if model.name == name]


ALIKE = 0.9
"""How like a known name one that can be asked must be, from 0 to 1, for the known one to be named beside it."""


def slips(name: str) -> list[str]:
    """Names that differ from this one by a slip of the fingers, the likeliest first."""
    known = {model.name.casefold(): model.name for model in models("llm")}
    return [known[each] for each in difflib.get_close_matches(name.casefold(), known, cutoff=ALIKE)]


def near(name: str, count: int = 3) -> list[str]:
    """Names that were probably meant, the likeliest first."""
    known = list(dict.fromkeys(model.name for model in models()))
    wanted = name.casefold()
    inside = [each for each in known if wanted in each.casefold()] if len(wanted) > 2 else []
    folded = {each.casefold(): each for each in known}
    alike = [folded[each] for each in difflib.get_close_matches(wanted, folded, n=count, cutoff=0.6)]
    tails = {each.rpartition("/")[2].casefold(): each for each in reversed(known)}
    alike += [tails[each] for each in difflib.get_close_matches(wanted.rpartition("/")[2], tails, n=count, cutoff=0.75)]
    return list(dict.fromkeys([*inside, *alike]))[:count]


def providers() -> list[Provider]:
    """Those that have a page, or a plugin."""
    return list(_catalog()[1])


@functools.cache
def _catalog() -> tuple[tuple[Model, ...], tuple[Provider, ...]]:
    tables: dict[str, Any] = tomllib.loads(Path(__file__).with_name("catalog.toml").read_text("utf-8"))
    known = tuple(Model(**_frozen(table)) for table in tables["model"])
    return known, tuple(Provider(id=name, **table) for name, table in tables["providers"].items())


def _frozen(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}


def _local() -> list[Model]:
    return [Model(name=name, kind=kind, family=FREE) for kind, names in LOCAL.items() for name in names]
