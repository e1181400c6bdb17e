import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.providers.http import sse
from agent_runtime.providers.http.sse import ServerSentEvents, TooLong


def events(*pieces: bytes) -> list[bytes]:
    reader = ServerSentEvents()
    return [event for piece in pieces for event in reader.feed(piece)] + reader.end()


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: one\n\ndata: two\n\n", [b"one", b"two"]),
        (b"data:one\r\n\r\ndata:two\r\n\r\n", [b"one", b"two"]),
        (b"data: one\r\rdata: two\r\r", [b"one", b"two"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b": comment\n\ndata: one\n: comment\n\n", [b"one"]),
        (b"event: x\nid: 7\nretry: 10\ndata: one\n\n", [b"one"]),
        (b"event: only\n\n", []),
        (b"data\n\n", [b""]),
        (b"data:  two spaces\n\n", [b" two spaces"]),
        (b"data: no empty line\n", [b"no empty line"]),
        (b"data: no line end", [b"no line end"]),
        (b"", []),
        (b"\n\n\r\n", []),
        (b"database: no\n\n", []),
    ],
)
def test_what_a_stream_says(stream: bytes, expected: list[bytes]) -> None:
    assert events(stream) == expected


@given(
    lines=st.lists(
        st.sampled_from([b"data: {}", b"data:x", b"data: \xc3\xa4", b"", b"", b": c", b"event: e", b"data", b"dat"]),
        max_size=12,
    ),
    ends=st.lists(st.sampled_from([b"\n", b"\r\n", b"\r"]), min_size=12, max_size=12),
    cuts=st.lists(st.integers(0, 200), max_size=8),
)
def test_cuts_change_nothing(lines: list[bytes], ends: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(line + end for line, end in zip(lines, ends, strict=False))
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    pieces = [stream[a:b] for a, b in itertools.pairwise(places)]
    assert events(*pieces) == events(stream)
    assert events(*(stream[i : i + 1] for i in range(len(stream)))) == events(stream)


def test_an_endless_line_and_an_endless_event_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "LONGEST_LINE", 100)
    with pytest.raises(TooLong, match="a line of more than 100"):
        events(*[b"data: xxxxxxxxxxxxxxxx"] * 20)
    with pytest.raises(TooLong, match="an event of more than 100"):
        events(*[b"data: xxxxxxxxxxxxxxxx\n"] * 20)
    assert len(events(*[b"data: xxxxxxxxxxxxxxxx\n\n"] * 20)) == 20


@pytest.mark.parametrize("cut", range(12))
def test_a_byte_order_mark_is_no_part_of_the_first_line(cut: int) -> None:
    data = b"\xef\xbb\xbfdata: one\n\ndata: \xef\xbb\xbftwo\n\n"
    events = ServerSentEvents()
    assert [*events.feed(data[:cut]), *events.feed(data[cut:]), *events.end()] == [b"one", b"\xef\xbb\xbftwo"]
