"""A queue of bytes between a sound card's thread and the loop."""

import threading


class Ring:
    """A first-in first-out queue of bytes in memory taken once, for one writer and one reader in different threads.

    Made for sound callbacks: nothing here allocates more than a slice, and no call waits for data or room. The lock is
    held for the length of two copies of memory; the interpreter's own lock, which every callback in Python needs, is
    held for longer.

    When it is full, the *oldest* bytes make room for what is written and are counted in `dropped`: late sound is of no
    use. A writer for whom that is not so looks at `room` first.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"a ring needs room for at least one byte, not {capacity}")
        self.capacity = capacity
        self._memory = memoryview(bytearray(capacity))
        self._lock = threading.Lock()
        self._start = 0
        self._size = 0
        self.dropped = 0
        """Bytes that were overwritten before they were read."""
        self.taken = 0
        """Bytes that were read."""

    def __len__(self) -> int:
        return self._size

    @property
    def room(self) -> int:
        """Bytes that can be written before the oldest are dropped."""
        return self.capacity - self._size

    def write(self, data: "bytes | bytearray | memoryview") -> None:
        """Queue `data` behind what is there."""
        source = memoryview(data)
        with self._lock:
            surplus = self._size + len(source) - self.capacity
            if surplus > 0:
                self.dropped += surplus
                kept = min(surplus, self._size)
                self._start = (self._start + kept) % self.capacity
                self._size -= kept
                source = source[surplus - kept :]
            end = (self._start + self._size) % self.capacity
            first = min(len(source), self.capacity - end)
            self._memory[end : end + first] = source[:first]
            self._memory[: len(source) - first] = source[first:]
            self._size += len(source)

    def read_into(self, target: memoryview) -> int:
        """Fill `target` from the oldest bytes on; returns how many there were. What is not filled stays as it was."""
        with self._lock:
            count = min(len(target), self._size)
            first = min(count, self.capacity - self._start)
            target[:first] = self._memory[self._start : self._start + first]
            target[first:count] = self._memory[: count - first]
            self._start = (self._start + count) % self.capacity
            self._size -= count
            self.taken += count
            return count

    def read(self, count: int) -> bytes:
        """Take the oldest `count` bytes, or all where there are fewer."""
        data = bytearray(min(count, self._size))
        taken = self.read_into(memoryview(data))
        return bytes(data[:taken])

    def clear(self) -> int:
        """Throw away all that is queued; returns how many bytes. What a reader has taken is not among them."""
        with self._lock:
            thrown = self._size
            self._start = self._size = 0
            return thrown
