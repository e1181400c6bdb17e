import random
import threading

import pytest

from agent_runtime.audio.ring import Ring


def test_first_in_first_out_around_the_end() -> None:
    ring, rng = Ring(64), random.Random(5)
    sent = bytes(rng.randbytes(5000))
    written, read = 0, b""
    while len(read) < len(sent):
        piece = sent[written : written + rng.randint(0, ring.room)]
        ring.write(piece)
        written += len(piece)
        assert ring.room == 64 - len(ring)
        read += ring.read(rng.randint(0, 40))
    assert read == sent
    assert ring.taken == len(sent)
    assert ring.dropped == 0


def test_reading_into_leaves_the_rest_alone() -> None:
    ring = Ring(10)
    ring.write(b"abc")
    target = bytearray(b"......")
    assert ring.read_into(memoryview(target)) == 3
    assert target == b"abc..."
    assert ring.read_into(memoryview(target)) == 0


@pytest.mark.parametrize("piece", [b"0123", b"01234567", b"0123456789abcdef"])
def test_a_full_ring_keeps_the_newest(piece: bytes) -> None:
    ring = Ring(8)
    ring.write(b"xyzuv")
    ring.write(piece)
    whole = b"xyzuv" + piece
    assert ring.dropped == len(whole) - 8
    assert ring.read(99) == whole[-8:]


def test_clear_says_how_much_was_thrown_away() -> None:
    ring = Ring(8)
    ring.write(b"abcdef")
    ring.read(2)
    assert ring.clear() == 4
    assert len(ring) == 0
    assert ring.taken == 2
    ring.write(b"gh")
    assert ring.read(8) == b"gh"


def test_room_for_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one byte, not 0"):
        Ring(0)


def test_a_writer_a_reader_and_a_clearer_lose_count_of_nothing() -> None:
    ring = Ring(4096)
    pieces = 20_000
    read = bytearray()
    done = threading.Event()

    def take() -> None:
        block = memoryview(bytearray(96))
        while not done.is_set() or len(ring):
            read.extend(block[: ring.read_into(block)])

    reader = threading.Thread(target=take)
    reader.start()
    thrown = 0
    for number in range(pieces):
        while ring.room < 4:
            pass
        ring.write(number.to_bytes(4, "little"))
        if number % 500 == 499:
            thrown += ring.clear()
    done.set()
    reader.join()
    assert len(read) + thrown == 4 * pieces
    assert ring.taken == len(read)
    assert ring.dropped == 0
    assert len(read) % 4 == 0
    numbers = [int.from_bytes(read[start : start + 4], "little") for start in range(0, len(read), 4)]
    assert numbers == sorted(set(numbers))
