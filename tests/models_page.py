"""docs/models.md, made of docs/models.toml: ``python -m tests.models_page`` writes it.

It is looked up besides which tests there are, and against which SDK a row is compared.
"""

import ast
import functools
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent_runtime.inference import catalog
from tests.contract.calls import CALLS

ROOT = Path(__file__).parents[1]
DATA = ROOT / "docs" / "models.toml"
PAGE = ROOT / "docs" / "models.md"

IDS = [
    f"{letter}{number}" for letter, last in zip("ABCD", (11, 16, 10, 32), strict=True) for number in range(1, last + 1)
]
"""The rows that there must be."""

SDKS = {"litellm": "LiteLLM", "livekit": "livekit-agents", "google": "google-genai", "openai": "openai"}
"""Those against which rows are compared, as people call them."""

HEAD = """\
# Models: what the documents say, and what to write

If you know LiveKit's pages on language models (Inference's Gemini, its open-weight models, the overview) or LiteLLM's page on
Gemini, you know what is on this one. It goes through them row by row: what to write here, what the document says, what is
otherwise by now, and the tests that prove it.

`agent-runtime models` lists what can be named, with the keys that were found; `agent-runtime chat DESCRIPTOR "Hello"` asks
one. The page is made of [models.toml](models.toml), and [a test](../tests/test_models_page.py) runs every snippet on it
against scripted services. Not every test of a row is named: `pytest -k d7_` runs all of D7's.
"""


@dataclass(frozen=True, kw_only=True)
class Part:
    """The rows of one document; see the head of the data for what each name means."""

    id: str
    title: str
    says: str
    intro: str
    setup: str
    form: str = ""

    @property
    def rows(self) -> "list[Row]":
        return [row for row in rows() if row.part is self]


@dataclass(frozen=True, kw_only=True)
class Row:
    id: str
    part: Part
    title: str
    says: str
    tests: tuple[str, ...]
    write: str = ""
    today: str = ""
    here: str = ""
    list: str = ""
    to: str | tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    sent: str = ""
    refused: tuple[tuple[str, str], ...] = ()
    tools: bool = False
    last: str = ""

    @property
    def code(self) -> str:
        """All of it: what stands before each snippet, and the snippet."""
        return self.code_of(self.write) if self.write else ""

    def code_of(self, write: str) -> str:
        setup = self.part.setup.replace("extra_kwargs={...}", "extra_kwargs={}")
        return f"{setup}\n{self.part.form.format(write=write) if write.startswith('{') else write}"


@functools.cache
def _data() -> dict[str, Any]:
    return tomllib.loads(DATA.read_text("utf-8"))


@functools.cache
def parts() -> dict[str, Part]:
    return {
        name: Part(id=name, **{key: value.strip() for key, value in table.items()})
        for name, table in _data().items()
        if len(name) == 1
    }


@functools.cache
def rows() -> "tuple[Row, ...]":
    return tuple(
        Row(id=name, part=parts()[name[0]], **_frozen(table)) for name, table in _data().items() if len(name) > 1
    )


def _frozen(table: dict[str, Any]) -> dict[str, Any]:
    made = {key: value.strip() if isinstance(value, str) else value for key, value in table.items()}
    for key, value in made.items():
        if isinstance(value, list):
            made[key] = tuple(tuple(each) if isinstance(each, list) else each for each in value)
        elif isinstance(value, dict):
            made[key] = tuple(value.items())
    return made


# Tests


@functools.cache
def tests() -> frozenset[str]:
    """Every test there is, as ``path::name``; the class of a method is left out."""
    paths = (ROOT / "tests").rglob("test_*.py")
    return frozenset(f"{path.relative_to(ROOT)}::{name}" for path in paths for name in _of(path))


def _of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node.name


def rows_named(test: str) -> list[str]:
    """The rows in the name of a test: ``test_a3_and_a4_the_ids`` names A3 and A4."""
    name = test.rpartition("::")[2]
    head = re.match(r"test_((?:[abcd]\d{1,2}_|and_|to_)*)", name)
    found = re.findall(r"[abcd]\d{1,2}(?=_)", head[1] if head else "")
    return [each.upper() for each in found if each.upper() in IDS]


def compared_with(row: str) -> list[str]:
    """The SDKs with whose requests ours are compared for a row, field by field (tests/contract)."""
    return [told for sdk, told in SDKS.items() if any(row in call.judges.get(sdk, "").split() for call in CALLS)]


# The page


def page() -> str:
    return "\n".join([HEAD, *(line for part in parts().values() for line in _part(part))]).rstrip() + "\n"


def _part(part: Part) -> Iterator[str]:
    yield f"## {part.id}. {part.title}\n"
    yield f"{part.intro}\n"
    yield from _code(part.setup)
    for row in part.rows:
        yield from _row(row)


def _row(row: Row) -> Iterator[str]:
    yield f"### {row.id}. {row.title}\n"
    if row.write:
        yield from _code(row.write)
    yield from _entry(row.part.says, _sentence(row.says))
    if row.list:
        yield ""
        yield from _list(row)
        yield ""
    if row.today:
        yield from _entry("Today", _sentence(row.today))
    if row.here:
        yield from _entry("Here", _sentence(row.here))
    if where := _sent(row):
        yield from _entry("Sent", where)
    for write, told in row.refused:
        yield from _entry("Refused", f"`{write}`: {told.rstrip('.')}.")
    yield from _entry("Proved by", _proof(row))
    yield ""


def _code(code: str) -> Iterator[str]:
    yield f"```py\n{code}\n```\n"


def _entry(name: str, text: str) -> Iterator[str]:
    yield f"* *{name}:* {text}"


def _sentence(text: str) -> str:
    return text if text.endswith((".", ":")) else f"{text}."


def _sent(row: Row) -> str:
    told = [f"`{name}: {value}`" for name, value in row.headers]
    if row.part.id == "D" and row.sent:
        told.append(f"`{row.sent}`")
    addresses = (row.to,) if isinstance(row.to, str) else dict.fromkeys(row.to)
    return ", ".join([*told, *(f"to `{address}`" for address in addresses)])


def _list(row: Row) -> Iterator[str]:
    if row.list == "providers":
        yield "| Provider | Plugin | A descriptor |"
        yield "| --- | --- | --- |"
        for each in catalog.providers():
            if each.number:
                example = f"`{each.example}`" if each.example else "none: a graph is an object"
                yield f"| {each.title} | `{each.plugin}` | {example} |"
        return
    models = [model for model in catalog.models() if row.id in model.rows]
    if not any(model.providers for model in models):
        yield ", ".join(f"`{model.name.partition('/')[2]}`" for model in models)
        return
    yield "| Model | Id | Provided by |"
    yield "| --- | --- | --- |"
    for model in models:
        yield f"| {model.title} | `{model.name}` | {', '.join(f'`{each}`' for each in model.providers)} |"


def _proof(row: Row) -> str:
    told = [f"{names} in [{path.removeprefix('tests/')}](../{path})" for path, names in _by_file(row.tests)]
    compared = compared_with(row.id)
    if compared:
        verb = "sends" if len(compared) == 1 else "send"
        told.append(f"[compared](../tests/contract/test_wires.py) with what {' and '.join(compared)} {verb}")
    return "; ".join(told) + "."


def _by_file(named: Iterable[str]) -> Iterator[tuple[str, str]]:
    by_file: dict[str, list[str]] = {}
    for test in named:
        path, _, name = test.partition("::")
        by_file.setdefault(path, []).append(f"`{name}`")
    for path, names in by_file.items():
        yield path, ", ".join(names)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    sys.stdout.write(f"{PAGE.relative_to(ROOT)}: {len(rows())} rows\n")
