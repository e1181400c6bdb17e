import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from agent_runtime import clock, virtual
from agent_runtime.errors import EngineDied, EngineStalled, ProviderError
from agent_runtime.providers.local.child import ChildEngine

T = TypeVar("T")


@pytest.fixture(autouse=True)
def the_child_finds_its_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


def talk(conversation: Callable[[ChildEngine], Awaitable[T]], *, deadline: float = 20.0, greeting: str = "hi") -> T:
    async def main() -> T:
        engine = ChildEngine("local/parrot", "parrot:make", {"greeting": greeting}, deadline=deadline)
        try:
            return await conversation(engine)
        finally:
            await engine.aclose()

    return virtual.run(main())


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_requests_are_answered_in_turn_by_one_process() -> None:
    async def conversation(engine: ChildEngine) -> None:
        assert engine.pid is None
        assert await engine.request("hear", "one") == ["hi", "one"]
        pid = engine.pid
        assert await engine.request("hear", "two") == ["hi", "one", "two"]
        assert (await engine.request("identity"))[0] == engine.pid == pid

    talk(conversation)


def test_requests_at_once_are_served_one_after_the_other() -> None:
    async def conversation(engine: ChildEngine) -> list[int]:
        answers = await asyncio.gather(*(engine.request("hear", str(n)) for n in range(5)))
        return [len(answer) for answer in answers]

    assert talk(conversation) == [2, 3, 4, 5, 6]


def test_loop_time_stands_still_and_machine_time_is_counted_apart() -> None:
    async def conversation(engine: ChildEngine) -> tuple[float, int, float]:
        await engine.request("hear", "one")
        return clock.now(), engine.watch.spans, engine.watch.seconds

    at, spans, seconds = talk(conversation)
    assert (at, spans) == (0.0, 1)
    assert seconds > 0


def test_an_engine_that_raises_lives_on() -> None:
    async def conversation(engine: ChildEngine) -> None:
        await engine.request("hear", "one")
        with pytest.raises(ProviderError, match="local/parrot failed in 'refuse': LookupError: no such word") as caught:
            await engine.request("refuse")
        assert not isinstance(caught.value, EngineDied | EngineStalled)
        assert caught.value.provider == "local/parrot"
        assert await engine.request("hear", "two") == ["hi", "one", "two"]

    talk(conversation)


def test_an_engine_that_dies_says_so_and_the_next_request_starts_another() -> None:
    async def conversation(engine: ChildEngine) -> None:
        await engine.request("hear", "one")
        first = engine.pid
        with pytest.raises(EngineDied, match="local/parrot ended with code 3 during 'exit'") as caught:
            await engine.request("exit", 3)
        assert caught.value.retryable
        assert engine.pid is None
        assert await engine.request("hear", "two") == ["hi", "two"]
        assert engine.pid != first

    talk(conversation)


def test_an_engine_killed_between_two_requests_is_seen_at_the_next() -> None:
    async def conversation(engine: ChildEngine) -> None:
        await engine.request("hear", "one")
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)
        with pytest.raises(EngineDied, match="code -9"):
            await engine.request("hear", "two")
        assert await engine.request("hear", "three") == ["hi", "three"]

    talk(conversation)


@pytest.mark.parametrize("target", ["no_such_module:make", "parrot:no_such_factory"])
def test_an_engine_that_cannot_be_made_says_why(target: str) -> None:
    async def main() -> None:
        engine = ChildEngine("local/parrot", target, {"greeting": "hi"})
        try:
            with pytest.raises(ProviderError, match="no_such"):
                await engine.request("hear", "one")
        finally:
            await engine.aclose()

    virtual.run(main())


def test_an_engine_that_hangs_is_killed_at_its_deadline_and_the_next_request_starts_another() -> None:
    async def conversation(engine: ChildEngine) -> None:
        await engine.request("hear", "one")
        hung = engine.pid
        assert hung is not None
        watch = clock.Stopwatch()
        with watch, pytest.raises(EngineStalled, match=r"local/parrot did not answer 'hang' within 1\.5 s") as caught:
            await engine.request("hang")
        assert caught.value.retryable
        assert 1.4 < watch.seconds < 3.0
        assert is_gone(hung)
        assert await engine.request("hear", "two") == ["hi", "two"]

    talk(conversation, deadline=1.5)


def test_a_cancelled_wait_does_not_lose_step() -> None:
    async def conversation(engine: ChildEngine) -> list[str]:
        waiting = asyncio.create_task(engine.request("hear", "one"))
        await clock.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        answer: list[str] = await engine.request("hear", "two")
        return answer

    assert talk(conversation) == ["hi", "one", "two"]


def test_on_the_machines_clock_a_cancelled_wait_does_not_lose_step_either() -> None:
    async def main() -> list[str]:
        engine = ChildEngine("local/parrot", "parrot:make", {"greeting": "hi"})
        try:
            await engine.request("hear", "one")
            waiting = asyncio.create_task(engine.request("hear", "two"))
            await clock.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
            assert waiting.cancelled()
            answer: list[str] = await engine.request("hear", "three")
            return answer
        finally:
            await engine.aclose()

    heard = asyncio.run(main())
    assert heard[-1] == "three"
    assert heard in (["hi", "one", "two", "three"], ["hi", "one", "three"])


def test_a_posted_request_is_done_before_the_next_and_its_failure_is_no_warning() -> None:
    async def conversation(engine: ChildEngine) -> list[str]:
        engine.post("hear", "posted")
        engine.post("refuse")
        answer: list[str] = await engine.request("hear", "asked")
        return answer

    assert talk(conversation) == ["hi", "posted", "asked"]


def test_closing_ends_the_child_and_every_later_request() -> None:
    async def conversation(engine: ChildEngine) -> None:
        await engine.request("hear", "one")
        pid = engine.pid
        assert pid is not None
        await engine.aclose()
        await engine.aclose()
        assert is_gone(pid)
        assert engine.pid is None
        engine.post("hear", "nobody listens")
        with pytest.raises(EngineDied, match=r"local/parrot is closed\."):
            await engine.request("hear", "two")

    talk(conversation)


def test_closing_an_engine_that_was_never_asked() -> None:
    async def conversation(engine: ChildEngine) -> None:
        await engine.aclose()
        assert engine.pid is None

    talk(conversation)


def test_closing_does_not_wait_for_an_engine_that_hangs() -> None:
    async def conversation(engine: ChildEngine) -> float:
        await engine.request("hear", "one")
        waiting = asyncio.create_task(engine.request("hang"))
        await clock.sleep(0)
        watch = clock.Stopwatch()
        with watch:
            await engine.aclose()
        with pytest.raises(EngineDied):
            await waiting
        return watch.seconds

    assert talk(conversation) < 2.0


def test_a_child_loads_no_more_than_its_engine() -> None:
    async def conversation(engine: ChildEngine) -> list[str]:
        return [name for name in ("numpy", "pydantic", "sounddevice") if await engine.request("loaded", name)]

    assert talk(conversation) == []


def test_an_engines_libraries_are_told_to_report_to_nobody() -> None:
    async def conversation(engine: ChildEngine) -> str | None:
        variable: str | None = await engine.request("variable", "ORT_DISABLE_TELEMETRY")
        return variable

    assert talk(conversation) == "1"


def test_an_interrupt_from_the_terminal_is_the_parents_to_act_on() -> None:
    async def conversation(engine: ChildEngine) -> tuple[int, int]:
        identity: tuple[int, int] = await engine.request("identity")
        return identity

    pid, group = talk(conversation)
    assert group == pid != os.getpgid(0)


PARENT = """
import sys
from agent_runtime import virtual
from agent_runtime.providers.local.child import ChildEngine

async def main():
    engine = ChildEngine("local/parrot", "parrot:make", {"greeting": "hi"})
    await engine.request("hear", "one")
    print(engine.pid, flush=True)
    if sys.argv[1] == "idle":
        sys.stdin.read()
    else:
        await engine.request("hang")

virtual.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="watches a process that is not its child, which needs a pidfd")
@pytest.mark.parametrize("doing", ["idle", "hanging"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_no_child_survives_its_parent(doing: str, how: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, doing], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))
        try:
            assert not _ends_within(child, 0)
            parent.send_signal(how)
            assert _ends_within(child, 5)
        finally:
            os.close(child)
            parent.kill()


def _ends_within(pidfd: int, seconds: float) -> bool:
    return bool(select.select([pidfd], [], [], seconds)[0])
