import asyncio

import pytest

from agent_runtime import clock, virtual
from agent_runtime.channels import Channel, ChannelClosed


async def drain(channel: Channel[int]) -> list[int]:
    return [item async for item in channel]


def test_items_come_out_in_the_order_in_which_they_went_in() -> None:
    async def main() -> list[int]:
        channel: Channel[int] = Channel(4)
        for item in range(4):
            await channel.send(item)
        channel.close()
        return await drain(channel)

    assert virtual.run(main()) == [0, 1, 2, 3]


@pytest.mark.parametrize("maxsize", [0, -1])
def test_a_channel_without_room_is_refused(maxsize: int) -> None:
    with pytest.raises(ValueError, match="room for at least one"):
        Channel(maxsize)


def test_put_drops_the_oldest_and_counts_it() -> None:
    async def main() -> tuple[list[int], int]:
        channel: Channel[int] = Channel(3)
        for item in range(5):
            channel.put(item)
        channel.close()
        return await drain(channel), channel.dropped

    assert virtual.run(main()) == ([2, 3, 4], 2)


def test_send_waits_for_room_and_loses_nothing() -> None:
    async def main() -> tuple[list[tuple[int, float]], float, int]:
        channel: Channel[int] = Channel(2)
        got: list[tuple[int, float]] = []

        async def produce() -> float:
            for item in range(5):
                await channel.send(item)
            channel.close()
            return clock.now()

        async with asyncio.TaskGroup() as tasks:
            producer = tasks.create_task(produce())
            await clock.sleep(1)
            assert len(channel) == 2
            async for item in channel:
                got.append((item, clock.now()))
                await clock.sleep(1)
        return got, producer.result(), channel.dropped

    got, produced_at, dropped = virtual.run(main())
    assert got == [(0, 1.0), (1, 2.0), (2, 3.0), (3, 4.0), (4, 5.0)]
    assert produced_at == 3.0
    assert dropped == 0


def test_senders_are_served_in_the_order_in_which_they_came() -> None:
    async def main() -> list[int]:
        channel: Channel[int] = Channel(1)
        async with asyncio.TaskGroup() as tasks:
            for item in range(4):
                tasks.create_task(channel.send(item))
            await clock.sleep(1)
            return [await anext(channel) for _ in range(4)]

    assert virtual.run(main()) == [0, 1, 2, 3]


def test_a_cancelled_sender_leaves_its_room_to_the_next() -> None:
    async def main() -> list[int]:
        channel: Channel[int] = Channel(1)
        await channel.send(0)
        first = asyncio.create_task(channel.send(1))
        second = asyncio.create_task(channel.send(2))
        await clock.sleep(1)
        got = [await anext(channel)]
        # Woken but not yet run: the room that it was woken for must not be lost with it.
        first.cancel()
        await asyncio.wait([first, second], timeout=1)
        assert first.cancelled()
        assert second.done()
        return [*got, await anext(channel)]

    assert virtual.run(main()) == [0, 2]


def test_a_cancelled_receiver_takes_nothing_with_it() -> None:
    async def main() -> int:
        channel: Channel[int] = Channel(1)
        waiting = asyncio.ensure_future(anext(channel))
        await clock.sleep(1)
        channel.put(7)
        waiting.cancel()
        await asyncio.wait([waiting])
        return await anext(channel)

    assert virtual.run(main()) == 7


def test_what_is_queued_outlives_the_close() -> None:
    async def main() -> list[int]:
        channel: Channel[int] = Channel(2)
        channel.put(1)
        channel.close()
        assert channel.closed
        with pytest.raises(ChannelClosed):
            channel.put(2)
        with pytest.raises(ChannelClosed):
            await channel.send(2)
        return await drain(channel)

    assert virtual.run(main()) == [1]


def test_closing_wakes_whoever_waits() -> None:
    async def main() -> None:
        empty: Channel[int] = Channel(1)
        full: Channel[int] = Channel(1)
        full.put(0)
        receiver = asyncio.create_task(drain(empty))
        senders = [asyncio.create_task(full.send(item)) for item in (1, 2)]
        await clock.sleep(1)
        empty.close()
        full.close()
        async with asyncio.timeout(1):
            assert await receiver == []
            for sender in senders:
                with pytest.raises(ChannelClosed):
                    await sender
            assert await drain(full) == [0]

    virtual.run(main())


def test_clearing_makes_room() -> None:
    async def main() -> list[int]:
        channel: Channel[int] = Channel(2)
        channel.put(1)
        channel.put(2)
        waiting = asyncio.create_task(channel.send(3))
        await clock.sleep(1)
        channel.clear()
        async with asyncio.timeout(1):
            await waiting
        channel.close()
        return await drain(channel)

    assert virtual.run(main()) == [3]


def test_a_second_consumer_is_refused() -> None:
    async def main() -> None:
        channel: Channel[int] = Channel(1)
        first = asyncio.ensure_future(anext(channel))
        await clock.sleep(1)
        with pytest.raises(RuntimeError, match="one consumer"):
            await anext(channel)
        channel.put(1)
        assert await first == 1

    virtual.run(main())
