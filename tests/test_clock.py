import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from agent_runtime import clock, virtual


def test_now_is_the_loops_time() -> None:
    async def main() -> tuple[float, float]:
        return clock.now(), asyncio.get_running_loop().time()

    told, loops = virtual.run(main())
    assert told == loops


def test_now_needs_a_loop() -> None:
    with pytest.raises(RuntimeError):
        clock.now()


def test_sleep_takes_loop_time() -> None:
    async def main() -> float:
        await clock.sleep(1.5)
        return clock.now()

    assert virtual.run(main()) == 1.5


@pytest.mark.parametrize("at", [3.0, 0.0, -1.0])
def test_sleep_until_a_moment_or_at_once(at: float) -> None:
    async def main() -> float:
        await clock.sleep(1.0)
        await clock.sleep_until(at)
        return clock.now()

    assert virtual.run(main()) == max(at, 1.0)


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_sleeping_no_time_lets_the_others_run(seconds: float) -> None:
    async def main() -> list[str]:
        order: list[str] = []
        other = asyncio.create_task(append(order))
        await clock.sleep(seconds)
        order.append("sleeper")
        await other
        return order

    async def append(order: list[str]) -> None:
        order.append("other")

    assert virtual.run(main()) == ["other", "sleeper"]


def test_wall_follows_the_virtual_loop() -> None:
    start = datetime(2030, 5, 6, 7, 8, 9, tzinfo=UTC)

    async def main() -> datetime:
        await clock.sleep(61.0)
        return clock.wall()

    assert virtual.run(main(), wall_start=start) == start + timedelta(seconds=61)


def test_wall_elsewhere_is_the_machines_and_knows_its_zone() -> None:
    async def main() -> datetime:
        return clock.wall()

    before = datetime.now(UTC)
    on_a_loop, off_it = asyncio.run(main()), clock.wall()
    assert before <= on_a_loop <= off_it <= datetime.now(UTC)
    assert off_it.tzinfo is not None


def test_offload_runs_in_a_thread_and_returns_what_it_returned() -> None:
    async def main() -> tuple[str, int]:
        return await clock.offload(lambda word: (word, threading.get_ident()), "hello")

    word, thread = virtual.run(main())
    assert word == "hello"
    assert thread != threading.get_ident()


def test_offload_runs_in_the_executor_that_is_named() -> None:
    async def main() -> str:
        with ThreadPoolExecutor(1, thread_name_prefix="mine") as executor:
            return await clock.offload(lambda: threading.current_thread().name, executor=executor)

    assert virtual.run(main()).startswith("mine")


def test_offload_raises_what_was_raised() -> None:
    def fail() -> None:
        raise LookupError("gone")

    async def main() -> None:
        await clock.offload(fail)

    with pytest.raises(LookupError, match="gone"):
        virtual.run(main())


def test_a_deadline_counts_from_its_beginning() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with clock.Deadline(2.5):
                await clock.sleep(9.0)
        return clock.now()

    assert virtual.run(main()) == 2.5


def test_a_deadline_counts_from_its_last_restart() -> None:
    async def main() -> tuple[float, bool]:
        deadline = clock.Deadline(2.5)
        with pytest.raises(TimeoutError):
            await restarted(deadline)
        return clock.now(), deadline.expired

    async def restarted(deadline: clock.Deadline) -> None:
        async with deadline:
            deadline.restart()
            await clock.sleep(2.0)
            deadline.restart()
            await clock.sleep(9.0)

    assert virtual.run(main()) == (4.5, True)


def test_a_deadline_that_is_paused_does_not_count() -> None:
    async def main() -> bool:
        async with clock.Deadline(1.0) as deadline:
            await clock.sleep(0.9)
            deadline.pause()
            await clock.sleep(60.0)
            deadline.restart()
            await clock.sleep(0.5)
            deadline.pause()
            await clock.sleep(60.0)
            deadline.restart()
            await clock.sleep(0.9)
        deadline.restart()  # too late to matter
        await clock.sleep(60.0)
        return deadline.expired

    assert virtual.run(main()) is False


def test_a_deadline_that_is_made_shorter_comes_sooner() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            await changed()
        return clock.now()

    async def changed() -> None:
        async with clock.Deadline(60.0) as deadline:
            deadline.restart()
            await clock.sleep(1.0)
            deadline.change(3.0)
            await clock.sleep(5.0)
            deadline.restart()
            await clock.sleep(60.0)

    assert virtual.run(main()) == 9.0


def test_a_deadline_leaves_the_timeouts_of_its_body_alone() -> None:
    async def main() -> bool:
        deadline = clock.Deadline(5.0)
        with pytest.raises(TimeoutError, match="theirs"):
            await failing(deadline)
        return deadline.expired

    async def failing(deadline: clock.Deadline) -> None:
        async with deadline:
            deadline.restart()
            raise TimeoutError("theirs")

    assert virtual.run(main()) is False


def test_a_cancellation_from_elsewhere_outlives_a_deadline() -> None:
    async def body() -> None:
        async with clock.Deadline(1.0) as deadline:
            deadline.restart()
            await clock.sleep(9.0)

    async def main() -> tuple[bool, float]:
        task = asyncio.ensure_future(body())
        asyncio.get_running_loop().call_later(1.0, task.cancel)  # in the very moment in which it expires
        await clock.sleep(0.5)
        await asyncio.wait([task])
        return task.cancelled(), clock.now()

    assert virtual.run(main()) == (True, 1.0)


def test_a_stopwatch_sums_the_spans_in_which_it_ran() -> None:
    watch = clock.Stopwatch()
    assert (watch.seconds, watch.spans) == (0.0, 0)
    with watch:
        sum(range(10_000))
    first = watch.seconds
    sum(range(1_000_000))
    assert watch.seconds == first > 0
    with watch:
        pass
    assert watch.spans == 2
    assert watch.seconds > first


def test_a_stopwatch_stops_when_the_span_fails() -> None:
    watch = clock.Stopwatch()
    with pytest.raises(ZeroDivisionError), watch:
        1 / 0  # noqa: B018
    assert watch.spans == 1
