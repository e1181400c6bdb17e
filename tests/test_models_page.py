"""docs/models.md: it is what its data makes, it has every row, what it names is there, and what it says to write works."""

import ast
import json
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agent_runtime import AgentSession, ChatContext, function_tool, virtual
from agent_runtime.errors import UsageError
from agent_runtime.inference.descriptor import LOCAL, Kind, resolve
from agent_runtime.llm import LLM
from agent_runtime.providers.http.exchange import DEBUG_VARIABLE
from agent_runtime.tts import TTS
from tests import models_page
from tests.models_page import IDS, Row
from tests.providers.wires import PNG
from tests.scripted_services import Services, everywhere, forget_keys

JSON = Any

ROWS = [pytest.param(row, id=row.id) for row in models_page.rows()]
WRITTEN = [pytest.param(row, id=row.id) for row in models_page.rows() if row.write]
REFUSED = [pytest.param(row, *each, id=row.id) for row in models_page.rows() for each in row.refused]
MAKE = "python -m tests.models_page"


# The page


def test_the_page_is_what_the_data_makes() -> None:
    assert models_page.PAGE.read_text("utf-8") == models_page.page(), f"make it again: {MAKE}"


def test_every_row_is_there_once_and_in_order() -> None:
    assert [row.id for row in models_page.rows()] == IDS


def test_what_is_not_to_be_written_is_said_to_be_none() -> None:
    assert [row.id for row in models_page.rows() if not row.write] == ["A11", "C9"]


@pytest.mark.parametrize("row", ROWS)
def test_every_test_that_is_named_is_there(row: Row) -> None:
    assert row.tests
    assert set(row.tests) <= models_page.tests()


@pytest.mark.parametrize("row", ROWS)
def test_every_row_has_a_test_with_its_name(row: Row) -> None:
    own = [test for test in row.tests if row.id in models_page.rows_named(test)]
    assert own, f"none of the tests of {row.id} has it in its name"


ALSO = {
    "tests/providers/openai/test_xllamacpp.py::test_b13_b14_a_tool_is_called",
    "tests/providers/test_langchain.py::test_c5_chunks_and_usage",
}
"""They prove another row besides those in their names."""


def test_no_row_has_a_test_of_another() -> None:
    for row in models_page.rows():
        for test in row.tests:
            named = models_page.rows_named(test)
            assert not named or row.id in named or test in ALSO, f"{row.id} lists {test}"


# What is to be written


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Services:
    """Every key is set, every address leads to the same place, and there are two files."""
    monkeypatch.setenv(DEBUG_VARIABLE, "0")  # so that what a snippet sets is taken back
    monkeypatch.chdir(tmp_path)
    (tmp_path / "localimage.jpeg").write_bytes(PNG)
    (tmp_path / "speech_vertex.mp3").write_bytes(b"ID3\x04")
    return everywhere(monkeypatch)


@function_tool
async def book(day: str) -> str:
    """Book a table."""
    return day


def _compiled(code: str) -> Callable[[], Any]:
    """An async function that runs `code` and gives what it has made by name."""
    names: dict[str, Any] = {}
    body = textwrap.indent(code, "    ")
    exec(compile(f"async def run():\n{body}\n    return locals()", "models.md", "exec"), names)
    run: Callable[[], Any] = names["run"]
    return run


async def _go(row: Row, code: str, world: Services) -> None:
    """Run `code`; ask what it has made, where it has not asked itself."""
    made: Mapping[str, Any] = await _compiled(code)()
    own = [value for name, value in made.items() if name != "llm" or "llm = " in row.write + row.part.form]
    models = [_model_of(value) for value in sorted(own, key=lambda value: isinstance(value, LLM))]
    if row.part.id == "D" and not any(isinstance(model, LLM | TTS) for model in models):
        models.append(made["llm"])
    chat_ctx = made.get("chat_ctx") or ChatContext()
    if not chat_ctx.items:
        chat_ctx.add_message(role="user", content="Hello?")
    if row.last == "assistant":
        chat_ctx.add_message(role="assistant", content="Once upon")
    asked = bool(world.asked)
    for model in models:
        if isinstance(model, TTS) and not asked:
            [frame async for frame in model.synthesize("Hello.")]
        elif isinstance(model, LLM) and not asked:
            await model.chat(chat_ctx=chat_ctx, tools=[book] if row.tools else ()).collect()
    for model in [*models, made.get("llm")]:
        if isinstance(model, LLM | TTS):
            await model.aclose()


def _model_of(value: Any) -> Any:
    return (value.llm or value.tts) if isinstance(value, AgentSession) else value


@pytest.mark.parametrize("row", WRITTEN)
def test_what_is_to_be_written_works(row: Row, world: Services, capsys: pytest.CaptureFixture[str]) -> None:
    virtual.run(_go(row, row.code, world))
    asks = bool(row.to or row.headers or row.sent) or row.code.count(".chat(")
    assert bool(world.asked) == bool(asks or row.part.id in "ABD"), row.id
    addresses = [str(request.url) for request in world.asked]
    if row.to:
        assert addresses == [row.to] if isinstance(row.to, str) else addresses == [*row.to]
    for name, value in row.headers:
        assert world.asked[-1].headers[name] == value
    wanted = json.loads(row.sent) if row.sent else {}
    if row.part.id == "B" and not row.sent:
        wanted = ast.literal_eval(row.write)
    assert list(_missing(wanted, world.body)) == []


def _missing(wanted: JSON, found: JSON, at: str = "") -> Iterator[str]:
    """What of `wanted` is not in `found`. Lists are compared entry by entry, as far as `wanted` has any."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key, value in wanted.items():
            yield from _missing(value, found.get(key), f"{at}.{key}")
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) <= len(found):
        for number, (one, other) in enumerate(zip(wanted, found, strict=False)):
            yield from _missing(one, other, f"{at}[{number}]")
    elif wanted != found:
        yield f"{at}: {wanted!r:.200}, and not {found!r:.200}"


@pytest.mark.parametrize(("row", "write", "said"), REFUSED)
def test_what_may_not_be_written_is_refused_before_anything_is_sent(
    row: Row, write: str, said: str, world: Services
) -> None:
    code = row.code_of(write) if row.part.form else f"{row.part.setup}\nllm = inference.LLM('m', extra_kwargs={write})"
    with pytest.raises(UsageError) as refused:
        virtual.run(_go(row, code, world))
    assert said in str(refused.value)
    assert not world.asked


# Descriptors


def descriptors() -> Iterator[tuple[str, Kind, str]]:
    """Every string on the page that a session or an agent is given for a model."""
    for row in models_page.rows():
        for node in ast.walk(ast.parse(f"async def f():\n{textwrap.indent(row.code, '    ')}\n    pass")):
            if not isinstance(node, ast.Call):
                continue
            for word in node.keywords:
                if word.arg in LOCAL and isinstance(word.value, ast.Constant) and isinstance(word.value.value, str):
                    kind: Kind = word.arg
                    yield row.id, kind, word.value.value


@pytest.mark.parametrize(("row", "kind", "text"), list(descriptors()))
def test_a_descriptor_without_keys_is_resolved_or_names_the_key(
    row: str, kind: Kind, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_keys(monkeypatch)
    if text.startswith(("local/", "litellm_proxy/")):
        assert resolve(kind, text) is not None
        return
    with pytest.raises(UsageError, match=r"needs \w+_API_KEY\b.* in the environment; 'local/"):
        resolve(kind, text)


def test_there_are_descriptors() -> None:
    assert len(list(descriptors())) > 10
