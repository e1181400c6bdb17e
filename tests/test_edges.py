"""What a user meets at the edges: the names at the top, and what a process keeps for its calls."""

import importlib
import os
import subprocess
import sys
from typing import Any

import pytest

import agent_runtime
from agent_runtime import AgentServer, AgentSession, JobContext, JobProcess, UsageError, virtual
from agent_runtime.worker.job import Job


class _Nowhere:
    """A room without sound."""

    name = "nowhere"

    def attach(self, *given: object) -> tuple[None, None]:
        return None, None


class TestNames:
    def test_every_name_is_there_and_is_the_one_of_its_module(self) -> None:
        for name in agent_runtime.__all__:
            home = agent_runtime._HOMES[name]
            module = importlib.import_module(f"agent_runtime.{home or name}")
            assert getattr(agent_runtime, name) is (getattr(module, name) if home else module)

    def test_an_error_can_be_caught_by_a_name_at_the_top(self) -> None:
        with pytest.raises(agent_runtime.UsageError):
            agent_runtime.AgentSession(llm="nonsense")

    def test_they_come_when_they_are_asked_for(self) -> None:
        code = "import agent_runtime, sys; print(sorted(n for n in sys.modules if n.startswith('agent_runtime.')))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        assert (done.stdout, done.stderr) == ("[]\n", "")


class TestProcess:
    def test_what_the_setup_keeps_is_found_by_every_call(self) -> None:
        seen: list[JobProcess] = []

        def setup(proc: JobProcess) -> None:
            seen.append(proc)
            proc.userdata["model"] = object()

        server = AgentServer()
        server.setup_fnc = setup
        first, second = server.process(), server.process()
        assert first is second
        assert seen == [first]
        assert set(first.userdata) == {"model"}
        assert first.pid == os.getpid()

    def test_it_can_be_given_to_the_server(self) -> None:
        server = AgentServer(setup_fnc=lambda proc: proc.userdata.update(a=1))
        assert server.process().userdata == {"a": 1}

    def test_two_servers_keep_nothing_in_common(self) -> None:
        first, second = AgentServer().process(), AgentServer().process()
        first.userdata["a"] = 1
        assert second.userdata == {}

    @pytest.mark.parametrize("given", ["load_models", 3, {}])
    def test_a_setup_that_cannot_be_called_is_refused_where_it_is_given(self, given: Any) -> None:
        with pytest.raises(UsageError, match=r"setup_fnc is .*; give a function that takes a JobProcess, or None"):
            AgentServer(setup_fnc=given)
        server = AgentServer()
        with pytest.raises(UsageError, match="setup_fnc is"):
            server.setup_fnc = given
        assert server.process().userdata == {}

    def test_a_setup_that_was_called_by_mistake_is_none(self) -> None:
        server = AgentServer()
        server.setup_fnc = None
        assert server.process().userdata == {}


class TestShutdown:
    def test_the_first_reason_stands(self) -> None:
        async def call() -> str:
            ctx = JobContext(room=_Nowhere(), job=Job("1"))
            assert not ctx.shutdown_asked.done()
            ctx.shutdown("first")
            ctx.shutdown("second")
            return await ctx.shutdown_asked

        assert virtual.run(call()) == "first"


def test_what_is_said_where_a_model_fails_is_a_text() -> None:
    with pytest.raises(UsageError, match="on_error is what is said where a model fails, a text or None, not 5"):
        AgentSession(on_error=5)  # type: ignore[arg-type]
