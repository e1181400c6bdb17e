"""Bounded channels between nodes, which say what happens when they are full."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

T = TypeVar("T")


class ChannelClosed(Exception):
    """Something was sent into a channel whose end had been announced."""


class Channel(Generic[T]):
    """A queue for one consumer, with a bound and an end.

    `send` waits for room: text and audio hold their producer back. `put` never waits: it drops the *oldest* item when
    the channel is full and counts it in `dropped`, which is what a microphone wants. `close` announces the end: what is
    queued is still delivered, then iteration stops.
    """

    __slots__ = ("_closed", "_items", "_maxsize", "_receiver", "_senders", "dropped")

    def __init__(self, maxsize: int) -> None:
        if maxsize < 1:
            raise ValueError(f"a channel needs room for at least one item, not {maxsize}")
        self._maxsize = maxsize
        self._items: deque[T] = deque()
        self._closed = False
        self._receiver: asyncio.Future[None] | None = None
        self._senders: deque[asyncio.Future[None]] = deque()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._items)

    @property
    def closed(self) -> bool:
        return self._closed

    def put(self, item: T) -> None:
        """Queue `item` now; the oldest item is dropped where there is no room."""
        if self._closed:
            raise ChannelClosed
        if len(self._items) >= self._maxsize:
            self._items.popleft()
            self.dropped += 1
        self._items.append(item)
        if self._receiver is not None:
            self._wake_receiver()

    def offer(self, item: T) -> bool:
        """Queue `item` if there is room for it now, and say whether there was."""
        if self._closed:
            raise ChannelClosed
        if self._senders or len(self._items) >= self._maxsize:
            return False
        self._items.append(item)
        if self._receiver is not None:
            self._wake_receiver()
        return True

    async def send(self, item: T) -> None:
        """Queue `item`, waiting for room."""
        while not self._closed and len(self._items) >= self._maxsize:
            waiter = asyncio.get_running_loop().create_future()
            self._senders.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                # The room that woke us belongs to the next in line.
                if waiter.done() and not waiter.cancelled():
                    self._wake_sender()
                raise
        if self._closed:
            raise ChannelClosed
        self._items.append(item)
        if self._receiver is not None:
            self._wake_receiver()

    def close(self) -> None:
        """No more will come. What is queued is still delivered; a waiting sender gets `ChannelClosed`."""
        self._closed = True
        self._wake_receiver()
        while self._senders:
            self._wake_sender()

    def clear(self) -> None:
        """Throw away what is queued."""
        self._items.clear()
        while self._senders:
            self._wake_sender()

    def drain(self) -> list[T]:
        """Take out all that is queued."""
        items = list(self._items)
        if items:
            self.clear()
        return items

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        while not self._items:
            if self._closed:
                raise StopAsyncIteration
            if self._receiver is not None:
                raise RuntimeError("a channel has one consumer")
            self._receiver = asyncio.get_running_loop().create_future()
            try:
                await self._receiver
            finally:
                self._receiver = None
        item = self._items.popleft()
        if self._senders:
            self._wake_sender()
        return item

    def _wake_receiver(self) -> None:
        if self._receiver is not None and not self._receiver.done():
            self._receiver.set_result(None)

    def _wake_sender(self) -> None:
        while self._senders:
            waiter = self._senders.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
