"""What the code promises about itself."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "agent_runtime").rglob("*.py"))

CLOCKS = {
    "asyncio.sleep",
    "datetime.now",
    "datetime.today",
    "datetime.utcnow",
    "date.today",
    "datetime.datetime.now",
    "datetime.datetime.today",
    "datetime.datetime.utcnow",
    "datetime.date.today",
}
"""What reads a clock or sleeps; of the module `time` it is everything."""


def readings_of_time(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names) if any(name.name == "time" for name in names):
                yield f"line {node.lineno}: import time"
            case ast.ImportFrom(module="time"):
                yield f"line {node.lineno}: from time import"
            case ast.ImportFrom(module="asyncio", names=names) if any(name.name == "sleep" for name in names):
                yield f"line {node.lineno}: from asyncio import sleep"
            case ast.Attribute() if (name := ast.unparse(node)) in CLOCKS:
                yield f"line {node.lineno}: {name}"


def test_only_the_clock_reads_time() -> None:
    found = {
        str(path.relative_to(ROOT)): list(readings_of_time(path.read_text()))
        for path in MODULES
        if path.name != "clock.py"
    }
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "import os, time as t",
        "from time import monotonic",
        "def f():\n    import time",
        "from asyncio import sleep",
        "await asyncio.sleep(1)",
        "datetime.now()",
        "datetime.datetime.now(tz)",
    ],
)
def test_the_rule_sees_time_in(source: str) -> None:
    assert len(list(readings_of_time(source))) == 1


def test_no_module_outgrows_its_subject() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in MODULES}
    assert {path: lines for path, lines in lengths.items() if lines > 600} == {}


LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_logo=True))"


def test_imports_run_one_way() -> None:
    done = subprocess.run([sys.executable, "-c", LINT], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


IMPORT = """
import sys

def connects(event, args):
    if event in ("socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.Popen", "os.posix_spawn"):
        raise RuntimeError(f"{event} at import")

sys.addaudithook(connects)
%s
heavy = "httpx livekit numpy onnxruntime pocketsphinx prompt_toolkit pydantic sounddevice soundfile soxr yaml".split()
print(*(name for name in heavy if name in sys.modules))
"""


@pytest.mark.parametrize(
    "statement",
    [
        "import agent_runtime",
        "from agent_runtime import Agent, AgentServer, AgentSession, JobContext, RunContext, cli, function_tool",
    ],
)
def test_an_import_is_cheap_and_reaches_for_nothing(statement: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT % statement], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")
