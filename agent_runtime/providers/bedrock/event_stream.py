"""The framing of AWS's ``application/vnd.amazon.eventstream``. Pure: bytes in, payloads out, whatever the cuts between them.

A frame is its length, the length of its headers, the sum of these two, the headers, the payload, and the sum of all that.
A header is a name, a type and a value. Both sums are checked.
"""

import functools
import json
import struct
import zlib

LONGEST_FRAME = 24 * 1024 * 1024 + 128 * 1024
"""Bytes: the most that AWS allows for a payload, and its headers."""

_START, _SUM = 12, 4
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of a value, by its type: true, false, integers, a moment, a UUID."""
_BYTES, _STRING = 6, 7


class EventStream:
    """The messages of a stream, each as JSON under its type: ``{"contentBlockDelta": ...}``.

    An exception is ``{"exception": {"type": ..., "said": ...}}``, where `said` is its payload.
    """

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        rest = self._rest
        rest += data
        payloads, at = [], 0
        while len(rest) - at >= _START:
            length, headers, checked = struct.unpack_from("!III", rest, at)
            if zlib.crc32(rest[at : at + 8]) != checked:
                raise ValueError("a frame whose length has the wrong sum")
            if not _START + headers + _SUM <= length <= LONGEST_FRAME:
                raise ValueError(f"a frame of {length} bytes with {headers} bytes of headers")
            if len(rest) - at < length:
                break
            frame = bytes(rest[at : at + length])
            if zlib.crc32(frame[:-_SUM]) != int.from_bytes(frame[-_SUM:], "big"):
                raise ValueError("a frame with the wrong sum")
            before, after = _around(frame[_START : _START + headers])
            payloads.append(before + (frame[_START + headers : -_SUM] or b"{}") + after)
            at += length
        del rest[:at]
        return payloads

    def end(self) -> list[bytes]:
        return []  # half a frame says nothing


@functools.lru_cache(64)
def _around(headers: bytes) -> tuple[bytes, bytes]:
    """What is put before and behind a payload with these headers; most frames of a stream have one of three."""
    found = _headers(headers)
    match found.get(":message-type", "event"):
        case "event":
            return b"{%s:" % json.dumps(found.get(":event-type", "")).encode(), b"}"
        case "exception":
            return b'{"exception":{"type":%s,"said":' % json.dumps(found.get(":exception-type", "")).encode(), b"}}"
    code, message = found.get(":error-code", "error"), {"message": found.get(":error-message", "")}
    return json.dumps({"exception": {"type": code, "said": message, "payload": None}}).encode()[:-6], b"}}"


def _headers(data: bytes) -> dict[str, str]:
    """The headers that are strings, by name."""
    found, at = {}, 0
    try:
        while at < len(data):
            name_end = at + 1 + data[at]
            name, kind, at = data[at + 1 : name_end].decode(), data[name_end], name_end + 1
            if kind in (_BYTES, _STRING):
                (size,) = struct.unpack_from("!H", data, at)
                at += 2
            else:
                size = _SIZES[kind]
            if at + size > len(data):
                raise IndexError
            if kind == _STRING:
                found[name] = data[at : at + size].decode()
            at += size
    except (IndexError, KeyError, struct.error, UnicodeDecodeError):
        raise ValueError("a frame whose headers cannot be read") from None
    return found
