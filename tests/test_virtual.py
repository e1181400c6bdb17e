import asyncio
import os
import signal
import threading
from collections.abc import Callable
from datetime import datetime

import pytest

from agent_runtime import clock, virtual


def test_an_hour_passes_in_no_time() -> None:
    async def main() -> float:
        for _ in range(3600):
            await clock.sleep(1.0)
        return clock.now()

    watch = clock.Stopwatch()
    with watch:
        assert virtual.run(main()) == 3600.0
    assert watch.seconds < 5


def test_timers_fire_in_the_order_of_their_times() -> None:
    async def main() -> list[tuple[str, float]]:
        fired: list[tuple[str, float]] = []

        async def after(name: str, seconds: float) -> None:
            await clock.sleep(seconds)
            fired.append((name, clock.now()))

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(after("late", 2.0))
            tasks.create_task(after("early", 0.5))
            tasks.create_task(after("late too", 2.0))
        return fired

    assert virtual.run(main()) == [("early", 0.5), ("late", 2.0), ("late too", 2.0)]


def test_frames_of_20_ms_do_not_drift() -> None:
    async def main() -> float:
        for _ in range(50_000):
            await clock.sleep(0.02)
        return clock.now()

    assert virtual.run(main()) == pytest.approx(1000.0, abs=1e-6)


def test_a_timeout_is_virtual() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.Event().wait()
        return clock.now()

    assert virtual.run(main()) == 30.0


def test_time_stands_still_while_a_thread_works() -> None:
    """The timer is due long before the work is done, and still fires after it."""
    timer_fired = threading.Event()

    async def main() -> tuple[bool, float]:
        asyncio.get_running_loop().call_later(0.001, timer_fired.set)
        fired_meanwhile = await clock.offload(timer_fired.wait, 0.05)
        at = clock.now()
        await clock.sleep(1)
        assert timer_fired.is_set()
        return fired_meanwhile, at

    assert virtual.run(main()) == (False, 0.0)


def test_results_arrive_in_the_order_in_which_work_was_given_out() -> None:
    async def main() -> list[str]:
        order: list[str] = []
        second_done = threading.Event()

        async def work(name: str, function: Callable[[], object]) -> None:
            await clock.offload(function)
            order.append(name)

        async with asyncio.TaskGroup() as tasks:
            # The first cannot end before the second has.
            tasks.create_task(work("first", second_done.wait))
            tasks.create_task(work("second", second_done.set))
        return order

    assert virtual.run(main()) == ["first", "second"]


def test_work_whose_wait_was_cancelled_is_still_waited_for_before_time_goes_on() -> None:
    done = threading.Event()
    go = threading.Event()

    def work() -> None:
        go.wait()
        done.set()

    async def main() -> bool:
        waiting = asyncio.create_task(clock.offload(work))
        await clock.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        go.set()
        await clock.sleep(0.001)
        return done.is_set()

    assert virtual.run(main())


def test_a_failure_of_work_that_nobody_waits_for_is_no_warning() -> None:
    def fail() -> None:
        raise LookupError

    async def main() -> float:
        waiting = asyncio.create_task(clock.offload(fail))
        await clock.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        await clock.sleep(1)
        return clock.now()

    assert virtual.run(main()) == 1.0


def test_a_deadlock_is_named() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.Event().wait(), name="the listener")
            await clock.sleep(2.5)

    with pytest.raises(virtual.Deadlock, match=r"at 2\.500 s .*the listener"):
        virtual.run(main())


def test_the_wall_clock_starts_at_the_same_moment_in_every_run() -> None:
    async def main() -> datetime:
        return clock.wall()

    assert virtual.run(main()) == virtual.run(main()) == virtual.WALL_START


def test_a_signal_arrives() -> None:
    async def main() -> str:
        loop = asyncio.get_running_loop()
        told: asyncio.Future[str] = loop.create_future()
        loop.add_signal_handler(signal.SIGUSR1, told.set_result, "signal")
        os.kill(os.getpid(), signal.SIGUSR1)
        ticks = 0
        while not told.done():
            await clock.sleep(0.02)
            ticks += 1
            assert ticks < 1_000
        loop.remove_signal_handler(signal.SIGUSR1)
        return told.result()

    assert virtual.run(main()) == "signal"


def test_the_same_program_runs_the_same_twice() -> None:
    async def main() -> list[tuple[float, str]]:
        log: list[tuple[float, str]] = []

        async def voice(name: str, every: float) -> None:
            for _ in range(20):
                await clock.sleep(every)
                await clock.offload(sum, range(1000))
                log.append((clock.now(), name))

        async with asyncio.TaskGroup() as tasks:
            for name, every in (("a", 0.02), ("b", 0.03), ("c", 0.05)):
                tasks.create_task(voice(name, every))
        return log

    assert virtual.run(main()) == virtual.run(main())


def test_threads_end_with_the_loop() -> None:
    before = threading.active_count()

    async def main() -> None:
        await asyncio.gather(*(clock.offload(int) for _ in range(4)))

    virtual.run(main())
    assert threading.active_count() == before


def test_what_waits_for_nothing_cannot_hold_the_time_for_ever() -> None:
    async def main() -> None:
        await clock.sleep(1.5)
        while True:
            await clock.sleep(0)

    with pytest.raises(virtual.Deadlock, match=r"At 1\.500 s of virtual time something runs on and on"):
        virtual.run(main())
