"""What a user meets at the edges: the names at the top, and what a process keeps for its calls."""

import functools
import importlib
import os
import subprocess
import sys
from typing import Any

import pytest

import agent_runtime
from agent_runtime import Agent, AgentServer, AgentSession, JobContext, JobProcess, UsageError, livekit_names, virtual
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


class TestNamesOfLiveKit:
    def test_they_are_told_what_to_write_instead(self) -> None:
        with pytest.raises(ImportError, match=r"no 'WorkerOptions': write server = AgentServer\(\), @server"):
            exec("from agent_runtime import WorkerOptions")
        with pytest.raises(ImportError, match=r"no 'CloseEvent': write from agent_runtime.events import Close$"):
            exec("from agent_runtime import CloseEvent")

    @pytest.mark.parametrize("name", sorted(livekit_names.INSTEAD))
    def test_none_of_them_is_there_and_what_is_told_can_be_written(self, name: str) -> None:
        assert name not in agent_runtime.__all__
        told = livekit_names.INSTEAD[name]
        if told.startswith("write from "):
            exec(told.removeprefix("write "))
        assert not told.endswith(".")

    def test_any_other_name_is_unknown_as_anywhere(self) -> None:
        assert not hasattr(agent_runtime, "nonsense")
        assert getattr(agent_runtime, "nonsense", 5) == 5
        with pytest.raises(ImportError, match="cannot import name 'nonsense' from 'agent_runtime'"):
            exec("from agent_runtime import nonsense")


class TestHooks:
    @pytest.mark.parametrize(
        ("name", "asked"),
        [
            ("on_enter", "self"),
            ("on_exit", "self"),
            ("on_user_turn_completed", "self, turn_ctx, new_message"),
        ],
    )
    def test_one_without_async_is_told_when_the_agent_is_made(self, name: str, asked: str) -> None:
        mute = type("Mute", (Agent,), {name: lambda self, *_: None})
        with pytest.raises(UsageError) as caught:
            mute(instructions="x")
        assert str(caught.value) == f"Mute.{name} is no coroutine function; write 'async def {name}({asked})'."

    def test_one_with_other_arguments_too(self) -> None:
        class Short(Agent):
            async def on_user_turn_completed(self, ctx: Any) -> None: ...  # type: ignore[override]

        class Long(Agent):
            async def on_enter(self, guest: str) -> None: ...  # type: ignore[override]

        with pytest.raises(UsageError, match=r"Short\.on_user_turn_completed .*\(too many positional arguments\)"):
            Short(instructions="x")
        with pytest.raises(UsageError, match=r"Long\.on_enter .*'guest'\); write 'async def on_enter\(self\)'"):
            Long(instructions="x")

    def test_a_decorated_one_is_what_it_wraps(self) -> None:
        def logged(hook: Any) -> Any:
            @functools.wraps(hook)
            def run(*args: Any) -> Any:
                return hook(*args)

            return run

        class Fine(Agent):
            @logged
            async def on_enter(self) -> None: ...

            async def on_user_turn_completed(self, *args: Any, **more: Any) -> None: ...

        assert Fine(instructions="x").id == "fine"


class TestInit:
    def test_an_agent_that_was_not_made_says_so_wherever_it_is_used(self) -> None:
        class Mute(Agent):
            def __init__(self) -> None:
                pass

        told = r"Mute\.__init__ has not called super\(\)\.__init__\(instructions=\.\.\.\); call it first\."

        async def main() -> None:
            session = AgentSession[Any](llm="local/rules")
            with pytest.raises(UsageError, match=told):
                await session.start(agent=Mute())
            session = AgentSession(llm="local/rules")
            await session.start(agent=Agent(instructions="x"))
            with pytest.raises(UsageError, match=told):
                session.update_agent(Mute())
            await session.run(user_input="hello")  # it goes on
            await session.aclose()

        virtual.run(main())
        with pytest.raises(UsageError, match=told):
            _ = Mute().session
        with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
            _ = Mute().nonsense  # type: ignore[attr-defined]

    def test_what_is_used_before_it_is_told_alike(self) -> None:
        class Early(Agent):
            def __init__(self) -> None:
                self.count = len(self.tools)
                super().__init__(instructions="x")

        with pytest.raises(UsageError, match=r"Early\.__init__ has not called super"):
            Early()


class TestEntrypoint:
    def test_one_that_does_not_take_the_context_is_refused(self) -> None:
        async def entrypoint() -> None: ...

        with pytest.raises(UsageError) as caught:
            AgentServer().rtc_session()(entrypoint)  # type: ignore[arg-type]
        assert str(caught.value) == (
            "The entrypoint 'entrypoint' must take one argument, the job's context; write 'async def entrypoint(ctx)'."
        )

    def test_one_with_more_of_its_own_is_taken(self) -> None:
        async def entrypoint(ctx: JobContext, greeting: str = "hello") -> None: ...

        server = AgentServer()
        server.rtc_session(entrypoint)
        assert server.entrypoint is entrypoint
