"""The pytest plugin, from the outside: another pytest, in a folder of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PASSES = """\
models: {llm: {replies: Yes.}}
caller: [{at: 0.5, say: hello, for: 0.5}]
until: 3
expect: [agent speaks once]
"""


def run(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    if not _is_installed():
        command += ["-p", "agent_runtime.testing.plugin"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        command, cwd=folder, env=environment, check=False, capture_output=True, text=True, timeout=60
    )
    return ended.stdout + ended.stderr


def _is_installed() -> bool:
    from importlib.metadata import entry_points

    return any(entry.value == "agent_runtime.testing.plugin" for entry in entry_points(group="pytest11"))


def test_scenario_files_are_tests(tmp_path: Path) -> None:
    for name, text in {
        "scenarios/good.yaml": PASSES,
        "scenarios/deep/unmet.yml": PASSES.replace("once", "3 times"),
        "scenarios/wrong.yaml": PASSES.replace("caller:", "caler:"),
        "scenarios/compose.yaml": "services: {web: {}}\n",
        "elsewhere/other.yaml": PASSES,
        "elsewhere/named.yaml": PASSES,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    told = run(tmp_path)
    assert "2 failed, 1 passed" in told
    assert re.search(r"unmet: not met: agent speaks 3 times\n  .*\n +s  0\.0 ", told)
    assert "wrong.yaml, line 2: has the unknown key 'caler'; did you mean 'caller'?" in told
    assert "Traceback" not in told
    assert "1 passed" in run(tmp_path, "elsewhere/named.yaml")


def test_coroutine_tests_run_in_virtual_time(tmp_path: Path) -> None:
    (tmp_path / "test_calls.py").write_text(
        """\
import asyncio
import pytest
from agent_runtime.testing import Scenario, perform, run, simulate

@pytest.fixture
def greeting():
    return "hello"

async def test_an_hour(call, greeting):
    await call.start()
    await asyncio.sleep(3600)
    assert greeting == "hello"

class TestCalls:
    @pytest.mark.parametrize("text", ["Yes.", "No."])
    async def test_in_a_class(self, call, text):
        call.llm.replies = {"*": text}
        await call.start()
        await call.caller.says("hello", wait=0.5)
        await call.wait_for("agent speaks", within=2)
        await call.wait_for("agent stops", within=2)
        call.expect(f"history agent 1 is '{text}'")

async def test_not_met(call):
    await call.start()
    await call.caller.coughs(lasting=0.2)
    call.expect("agent speaks once")

async def test_out_of_script(call):
    await call.start()
    call.caller.says("hello", wait=0.5)
    await call.run(5)

def test_plain(call):
    pass

def test_plain_that_fails(call):
    pytest.skip(reason="not here")

def test_plain_with_another_call(call):
    simulate({"until": 1}).expect("agent never speaks")

async def whole(call, text):
    call.llm.replies = {"*": text} if text else {}
    await call.start()
    await call.caller.says("hello", wait=0.5)
    await call.run(5)
    await call.end()

def test_plain_with_its_own_loop(call):
    run(whole(call, "Yes."))

def test_plain_out_of_script(call):
    run(whole(call, ""))

def test_plain_not_ended(call):
    run(call.start())

def test_plain_without_it():
    pass

async def test_another_call(call):
    (await perform(Scenario.of({"until": 1}))).expect("agent never speaks")

async def test_raises(call):
    pytest.skip(reason="not here")

async def test_never_begun(call):
    call.caller.says("hello", at=0.5)
"""
    )
    told = run(tmp_path)
    assert "6 failed, 7 passed, 2 skipped" in told
    for name in ("test_never_begun", "test_plain"):
        assert (
            f"The test {name} takes 'call' and began no call, so nothing was tested; write 'await call.start(agent)' in "
            "it, or take 'call' away." in told
        )
    assert "The test test_plain_not_ended takes 'call' and did not end it, so it was not checked; write 'await" in told
    assert "not met: agent speaks once" in told
    assert "test_out_of_script: OutOfScript: The scripted LLM has no reply to 'hello'" in told
    assert "test_plain_out_of_script: OutOfScript: The scripted LLM has no reply to 'hello'" in told


def test_the_tests_of_the_page_pass(tmp_path: Path) -> None:
    page = (ROOT / "docs/testing-your-agent.md").read_text("utf-8")
    snippets = re.findall(r"^```py\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert snippets
    for number, snippet in enumerate(snippets):
        (tmp_path / f"test_{number}.py").write_text(snippet)
    (tmp_path / "scenarios").mkdir()
    (scenario,) = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "scenarios/page.yaml").write_text(scenario)
    assert f"{len(snippets) + 1} passed" in run(tmp_path)


def test_scenarios_may_call_a_script(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text(f"[pytest]\nscenario_script = {ROOT}/agents/clock.py\n")
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios/greets.yaml").write_text(
        'models: {stt: {}, tts: {}, vad: {}}\nuntil: 4\nexpect: [history agent 1 starts with "Hello"]\n'
    )
    assert "1 passed" in run(tmp_path)


def test_it_loads_nothing_heavy() -> None:
    code = """\
import sys
import pytest, inspect, re, pathlib, typing
before = set(sys.modules)
import agent_runtime.testing.plugin
print(sorted(name for name in set(sys.modules) - before))
"""
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert ended.stdout.strip() == "['agent_runtime', 'agent_runtime.testing', 'agent_runtime.testing.plugin']"


def test_the_plugin_is_named_to_pytest() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"agent_runtime": "agent_runtime.testing.plugin"}


@pytest.mark.parametrize("name", __import__("agent_runtime.testing", fromlist=["__all__"]).__all__)
def test_every_public_name_is_there(name: str) -> None:
    import agent_runtime.testing

    assert getattr(agent_runtime.testing, name).__name__ == name
