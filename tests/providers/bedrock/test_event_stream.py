"""AWS's frames: read as AWS's own SDK reads them, whatever the cuts; damage is noticed."""

import json
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.providers.bedrock.event_stream import LONGEST_FRAME, EventStream
from tests.providers.bedrock_events import event, exception, frame
from tests.providers.wires import cut

VALUES: dict[int, bytes] = {
    0: b"",
    1: b"",
    2: b"\x05",
    3: b"\x00\x05",
    4: b"\x00\x00\x00\x05",
    5: b"\x00" * 8,
    6: b"\x00\x02ab",
    7: b"\x00\x03abc",
    8: b"\x00" * 8,
    9: b"u" * 16,
}
"""A value of each type that there is."""


def with_headers(headers: bytes, payload: bytes = b"{}") -> bytes:
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    start = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + payload
    return start + struct.pack("!I", zlib.crc32(start))


def header(name: str, kind: int, value: bytes) -> bytes:
    return bytes([len(name)]) + name.encode() + bytes([kind]) + value


EVENT = header(":event-type", 7, b"\x00\x01a")


def read(data: bytes) -> list[Any]:
    return [json.loads(each) for each in EventStream().feed(data)]


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b"]), st.text(max_size=20)), max_size=4), st.lists(st.integers(0, 600))
)
def test_as_awss_sdk_reads_them(said: list[tuple[str, str]], places: list[int]) -> None:
    from botocore.eventstream import EventStreamBuffer

    data = b"".join(event(kind, text=text) for kind, text in said)
    theirs = EventStreamBuffer()
    theirs.add_data(data)
    expected = [{each.headers[":event-type"]: json.loads(each.payload)} for each in theirs]
    stream = EventStream()
    ours = [json.loads(payload) for piece in cut(data, places) for payload in stream.feed(piece)]
    assert ours == expected == [{kind: {"text": text}} for kind, text in said]
    assert stream.end() == []


@pytest.mark.parametrize("kind", VALUES)
def test_headers_of_every_type(kind: int) -> None:
    from botocore.eventstream import EventStreamBuffer

    data = with_headers(header("other", kind, VALUES[kind]) + EVENT, b'{"b":1}')
    theirs = EventStreamBuffer()
    theirs.add_data(data)
    assert next(theirs).headers[":event-type"] == "a"
    assert read(data) == [{"a": {"b": 1}}]


def test_exceptions_and_errors() -> None:
    assert read(exception("throttlingException", message="slow")) == [
        {"exception": {"type": "throttlingException", "said": {"message": "slow"}}}
    ]
    failed = frame(b"", message_type="error", error_code="Broken", error_message='It "broke"')
    assert read(failed)[0]["exception"]["type"] == "Broken"
    assert read(failed)[0]["exception"]["said"] == {"message": 'It "broke"'}
    assert read(with_headers(EVENT, b"")) == [{"a": {}}]


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("!II", 0, 0) + struct.pack("!I", zlib.crc32(bytes(8))),
        struct.pack("!II", 16, 8) + struct.pack("!I", zlib.crc32(struct.pack("!II", 16, 8))),
        struct.pack("!II", LONGEST_FRAME + 1, 0)
        + struct.pack("!I", zlib.crc32(struct.pack("!II", LONGEST_FRAME + 1, 0))),
        with_headers(header("a", 10, b"")),
        with_headers(header("a", 7, b"\x00\x09a")),
        with_headers(header("a", 7, b"\x00")),
        with_headers(header("a", 7, b"\x00\x01\xff")),
        with_headers(b"\x05a"),
        with_headers(EVENT)[:-1] + b"\x00",
        b"HTTP/1.1 502 Bad Gateway",
    ],
)
def test_what_is_no_frame(data: bytes) -> None:
    with pytest.raises(ValueError, match="a frame"):
        EventStream().feed(data)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_byte_that_changed_is_noticed(at: int, change: int) -> None:
    whole = event("a", text="Hello")
    at %= len(whole)
    data = whole[:at] + bytes([whole[at] ^ change]) + whole[at + 1 :]
    with pytest.raises(ValueError, match="sum"):
        EventStream().feed(data)
