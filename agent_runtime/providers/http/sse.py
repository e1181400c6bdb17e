"""Taking a stream of bytes apart into messages. Pure: bytes in, payloads out, whatever the cuts between them."""

from typing import Protocol

LONGEST_LINE = 32 * 1024 * 1024
"""Bytes that an event may have: a picture in base64 fits, an endless line does not."""


BOM = b"\xef\xbb\xbf"


class TooLong(ValueError):
    """A message grew over its bound."""


class Framing(Protocol):
    """How a service puts messages into a stream of bytes."""

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads that `data` completes, in order. `ValueError` where the bytes are no such stream."""

    def end(self) -> list[bytes]:
        """The stream is over: what it left unfinished."""


class ServerSentEvents:
    """The events of ``text/event-stream``: of each its data, the lines joined by a newline.

    Names, ids, retry hints and comments are passed over. Lines may end in LF, CRLF or CR; the last event may lack its
    empty line, and the last line its end. A byte order mark before the first line is no part of it.
    """

    __slots__ = ("_after_cr", "_begun", "_data", "_kept", "_rest", "_size")

    def __init__(self) -> None:
        self._rest: list[bytes] = []  # of a line without its end: a picture comes in hundreds of pieces
        self._kept = 0
        self._data: list[bytes] = []
        self._size = 0
        self._after_cr = False
        self._begun = False

    def feed(self, data: bytes) -> list[bytes]:
        if self._after_cr and data[:1] == b"\n":  # the second half of a CRLF
            self._after_cr = False
            data = data[1:]
        if not data:
            return []
        self._after_cr = data[-1:] == b"\r"
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = data.split(b"\n")
        if lines and self._rest:
            lines[0] = self._unfinished() + lines[0]
        if rest:
            self._rest.append(rest)
            self._kept += len(rest)
            if self._kept > LONGEST_LINE:
                raise TooLong(f"a line of more than {LONGEST_LINE} bytes")
        return self._events(lines)

    def end(self) -> list[bytes]:
        return self._events([self._unfinished(), b""])

    def _unfinished(self) -> bytes:
        line = b"".join(self._rest)
        self._rest.clear()
        self._kept = 0
        return line

    def _events(self, lines: list[bytes]) -> list[bytes]:
        if not self._begun and lines:
            self._begun = True
            lines[0] = lines[0].removeprefix(BOM)
        events: list[bytes] = []
        for line in lines:
            if line[:5] == b"data:":
                value = line[6:] if line[5:6] == b" " else line[5:]
                self._size += len(value)
                if self._size > LONGEST_LINE:
                    raise TooLong(f"an event of more than {LONGEST_LINE} bytes")
                self._data.append(value)
            elif not line and self._data:
                events.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
                self._data.clear()
                self._size = 0
            elif line == b"data":  # a field without a colon has an empty value
                self._data.append(b"")
        return events
