"""The pytest plugin: scenario files are tests, and `async def test_x(call)` runs in virtual time.

A YAML file is a test where it lies in a folder named ``scenarios`` (or below one), or is named on pytest's command line, and
has one of the keys `caller`, `models`, `until` or `expect` at the beginning of a line. With ``scenario_script`` in pytest's
configuration the agent of that script is called.

Nothing is imported here that pytest does not need while it starts.
"""

import inspect
import re
from collections.abc import Generator, Iterable
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
    given = _given(pyfuncitem)
    if given is None:
        return None
    function = pyfuncitem.obj
    if not inspect.iscoroutinefunction(function):
        function = inspect.unwrap(function)  # pytest-asyncio in auto mode has wrapped it
    if not inspect.iscoroutinefunction(function):
        return None
    from agent_runtime import virtual

    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    virtual.run(_run(function, arguments, given))
    return True


async def _run(function: Any, arguments: dict[str, Any], call: "SimulatedCall") -> None:
    try:
        await function(**arguments)
    finally:
        if call.session is not None:
            await call.end()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """A test that takes `call` passes only if it began a call; its own must have come to an end, and gone well."""
    given = _given(item)
    begun = given.begun if given is not None else 0
    yield
    if given is None:
        return
    if given.result is not None:
        given.result.check()
    elif given.session is not None:
        raise _refused(given, "did not end it, so it was not checked; write 'await call.end()' in it")
    elif given.begun == begun:
        raise _refused(given, "began no call, so nothing was tested; write 'await call.start(agent)' in it")


def _given(item: pytest.Item) -> "SimulatedCall | None":
    """The `call` that a test takes; None where it takes none, or one from a fixture of the user's own."""
    given = item.funcargs.get("call") if isinstance(item, pytest.Function) else None
    if given is None:
        return None
    from agent_runtime.testing.call import SimulatedCall

    return given if isinstance(given, SimulatedCall) else None


def _refused(call: "SimulatedCall", why: str) -> Exception:
    from agent_runtime.errors import UsageError

    kind = "take 'call' away" if call.session is None else "make it an 'async def', which ends it by itself"
    return UsageError(f"The test {call.name} takes 'call' and {why}, or {kind}.")


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
