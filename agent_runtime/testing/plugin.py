"""The pytest plugin: scenario files are tests, and `async def test_x(call)` runs in virtual time.

A YAML file is a test where it lies in a folder named ``scenarios`` (or below one), or is named on pytest's command line, and
has one of the keys `caller`, `models`, `until` or `expect` at the beginning of a line. With ``scenario_script`` in pytest's
configuration the agent of that script is called.

Nothing is imported here that pytest does not need while it starts.
"""

import inspect
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from agent_runtime.testing.call import SimulatedCall

FOLDER = "scenarios"
SUFFIXES = (".yaml", ".yml")

_SCENARIO = re.compile(r"^(caller|models|until|expect)\s*:", re.MULTILINE)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("scenario_script", "the script whose agent the scenarios call, from the folder of the configuration")


# Tests that are written


@pytest.fixture
def call(request: pytest.FixtureRequest) -> "SimulatedCall":
    """A simulated call that has not begun; its models are scripted. It is ended after the test."""
    from agent_runtime.testing.call import SimulatedCall

    return SimulatedCall(name=request.node.name)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine test that takes `call` on a virtual loop."""
    if "call" not in pyfuncitem.funcargs:
        return None
    function = pyfuncitem.obj
    if not inspect.iscoroutinefunction(function):
        function = inspect.unwrap(function)  # pytest-asyncio in auto mode has wrapped it
    if not inspect.iscoroutinefunction(function):
        return None
    from agent_runtime import virtual
    from agent_runtime.testing.call import SimulatedCall

    given = pyfuncitem.funcargs["call"]
    if not isinstance(given, SimulatedCall):
        return None  # a fixture of the user's own
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    virtual.run(_run(function, arguments, given))
    return True


async def _run(function: Any, arguments: dict[str, Any], call: "SimulatedCall") -> None:
    from agent_runtime.errors import UsageError

    begun = call.begun
    try:
        await function(**arguments)
    finally:
        result = await call.end() if call.session is not None else None
    if result is not None:
        result.check()
    elif call.begun == begun:
        raise UsageError(
            f"The test {call.name} takes 'call' and began no call, so nothing was tested; "
            "write 'await call.start(agent)' in it, or take 'call' away."
        )


# Scenario files


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> "ScenarioFile | None":
    if file_path.suffix not in SUFFIXES:
        return None
    named = parent.session.isinitpath(file_path)
    if not named and FOLDER not in [folder.name for folder in file_path.parents]:
        return None
    if _SCENARIO.search(file_path.read_text("utf-8", errors="replace")) is None:
        return None
    return ScenarioFile.from_parent(parent, path=file_path)


class ScenarioFile(pytest.File):
    """A scenario file: one test."""

    def collect(self) -> "Iterable[ScenarioTest]":
        yield ScenarioTest.from_parent(self, name=self.path.stem)


class ScenarioTest(pytest.Item):
    """Makes the call, and passes where every expectation is met."""

    def runtest(self) -> None:
        from agent_runtime.testing.scenario import Scenario

        scenario = Scenario.load(self.path)
        script = self.config.getini("scenario_script")
        if not script:
            from agent_runtime.testing.call import simulate

            simulate(scenario).check()
        else:
            _called(scenario, self.config.rootpath / script).check()

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        from agent_runtime.errors import UsageError
        from agent_runtime.testing.expect import NotAsExpected

        if isinstance(excinfo.value, NotAsExpected | UsageError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, self.name


def _called(scenario: Any, script: Path) -> Any:
    import importlib

    from agent_runtime import virtual
    from agent_runtime.testing.scripts import perform_with

    cli = importlib.import_module("agent_runtime.cli")  # which is above us, and knows how a script is run
    return virtual.run(perform_with(scenario, cli.load_server(str(script))))
