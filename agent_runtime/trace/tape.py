"""The tape of a call as a file: records, each whole or not there.

The file begins with a line, ``agent-runtime tape 1``, where 1 is the version of the format. Then come records::

    4 bytes   length of what follows the eight header bytes, little-endian
    4 bytes   its CRC-32
    4 bytes   length of the JSON
    JSON      one object in UTF-8; "r" names what kind of record it is
    rest      sound, where the record has any

A record is written by one call to the system and never changed, so a process that is killed leaves a file that can be read
up to its last whole record. What the kinds of record hold is told where they are made, in `trace.recorder`.
"""

import io
import json
import os
import struct
import zlib
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent_runtime.errors import UsageError
from agent_runtime.trace.file import CallFile

NAME = b"agent-runtime tape "
VERSION = 1

Json = dict[str, Any]

_HEAD = struct.Struct("<III")
_MOST_BYTES = 64 << 20
"""No record is longer: a length beyond it is damage."""
_FLAC_FROM = 4000
"""Samples. Shorter pieces are kept as they are: FLAC's own head would eat the gain."""


class TapeWriter:
    """Appends records to a new file. A disk that fails ends the writing, not the call: see `CallFile`.

    Args:
        secrets: what must not enter the file, whatever it stands in; it is replaced by ``***``.

    Raises:
        UsageError: the file cannot be made, or there is one already: what was recorded is not replaced.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        secrets: tuple[str, ...] = (),
        on_error: Callable[[OSError], None] | None = None,
    ) -> None:
        self._file = CallFile(path, on_error=on_error, new=True)
        self._secrets = secrets
        self._size = 0
        self._append(NAME + b"%d\n" % VERSION)

    @property
    def path(self) -> Path:
        return self._file.path

    @property
    def error(self) -> OSError | None:
        return self._file.error

    def write(self, values: Mapping[str, Any], sound: bytes = b"") -> None:
        text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
        for secret in self._secrets:
            text = text.replace(secret, "***")
        head = text.encode("utf-8", "backslashreplace")
        body = struct.pack("<I", len(head)) + head + sound
        self._append(struct.pack("<II", len(body), zlib.crc32(body)) + body)

    def _append(self, data: bytes) -> None:
        if self._file.write(self._size, data, whole=self._size):
            self._size += len(data)

    def close(self) -> None:
        self._file.close()


@dataclass(slots=True)
class Tape:
    """A tape as it was read. Sound stays in the file until somebody asks for it.

    Attributes:
        records: in the order in which they were written.
        cut: what is missing at the end, a sentence; None: the tape is whole.
    """

    path: Path
    version: int
    records: list[Json]
    places: list[tuple[int, int]] = field(repr=False)
    """For each record, where in the file its sound is and how many bytes that has."""
    cut: str | None = None

    def of(self, kind: str) -> Iterator[tuple[int, Json]]:
        """The records of a kind, each with its number."""
        return ((number, record) for number, record in enumerate(self.records) if record["r"] == kind)

    def first(self, kind: str) -> Json:
        """The first of a kind.

        Raises:
            UsageError: there is none: the call had not begun.
        """
        for _, record in self.of(kind):
            return record
        raise UsageError(f"The tape {self.path} ends before its call began; there is nothing on it to replay.")

    def sound(self, number: int) -> bytes:
        """The sound of a record as it was given to `TapeWriter.write`."""
        at, length = self.places[number]
        with self.path.open("rb") as file:
            file.seek(at)
            return file.read(length)

    @property
    def log(self) -> list[Json]:
        """The event log of the call."""
        return [record["line"] for _, record in self.of("event")]


def is_tape(path: str | os.PathLike[str]) -> bool:
    """Whether the file says that it is a tape, of whatever version."""
    try:
        with Path(path).open("rb") as file:
            return file.read(len(NAME)) == NAME
    except OSError:
        return False


def read_tape(path: str | os.PathLike[str]) -> Tape:
    """Read a tape, also one whose process died.

    Raises:
        UsageError: it is no tape, of a version that this one does not read, damaged, or without a call on it.
    """
    where = Path(path)
    try:
        with where.open("rb") as file:
            tape = _read(file, where, where.stat().st_size)
    except OSError as error:
        raise UsageError(f"Cannot read {where}: {error.strerror}; name a tape that a call has recorded.") from error
    tape.first("call")
    return tape


def _read(file: io.BufferedReader, path: Path, size: int) -> Tape:
    tape = Tape(path, _version(file.readline(64), path, size), [], [])
    at = file.tell()
    while at < size:
        head = file.read(_HEAD.size)
        length, crc, json_length = _HEAD.unpack(head) if len(head) == _HEAD.size else (size, 0, 0)
        end = at + 8 + length
        if end > size and (length <= _MOST_BYTES or len(head) < _HEAD.size):
            tape.cut = f"the last {size - at} bytes are half a record, as a process leaves it that is killed"
            break
        body = head[8:] + file.read(max(0, min(length, _MOST_BYTES) - 4))
        sound = json_length + 4 <= length <= _MOST_BYTES and zlib.crc32(body) == crc
        if not sound and end == size:
            tape.cut = "its last record is damaged, as a machine leaves it that loses its power"
            break
        if not sound:
            raise UsageError(
                f"The tape {path} is damaged at byte {at} of {size}; what comes behind it cannot be read. "
                "Take the copy that the call wrote."
            )
        tape.records.append(json.loads(body[4 : 4 + json_length]))
        tape.places.append((at + 12 + json_length, length - 4 - json_length))
        at = end
    return tape


def _version(line: bytes, path: Path, size: int) -> int:
    if not size:
        raise UsageError(f"{path} is empty; name a tape that a call has recorded.")
    if not line.startswith(NAME):
        raise UsageError(
            f"{path} is no tape: it is {_what(line)}; name a file that session.start(record=...) or --record wrote."
        )
    number = line[len(NAME) :].strip()
    if not number.isdigit() or not line.endswith(b"\n"):
        raise UsageError(f"The tape {path} is cut short in its first line; there is nothing on it.")
    if int(number) != VERSION:
        age = "an older" if int(number) < VERSION else "a newer"
        raise UsageError(
            f"The tape {path} is of format {int(number)}, {age} one; this version of agent-runtime reads format {VERSION}. "
            "Read it with the version that recorded it."
        )
    return VERSION


_KINDS = {
    b"RIFF": "a WAV recording",
    b"{": "JSON, perhaps a call.jsonl",
    b"PK": "a ZIP archive",
    b"fLaC": "a FLAC recording",
    b"<svg": "a picture",
    b"<?xml": "XML",
    b"\x1f\x8b": "gzip data",
}


def _what(start: bytes) -> str:
    return next(
        (what for sign, what in _KINDS.items() if start.startswith(sign)), f"something that begins {start[:16]!r}"
    )


# Sound


def pack(pcm: bytes, rate: int) -> tuple[str, bytes]:
    """int16 mono sound without loss, smaller: the codec's name and the bytes."""
    if len(pcm) // 2 < _FLAC_FROM:
        return "pcm", pcm
    import numpy as np
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, np.frombuffer(pcm, dtype="<i2"), rate, format="FLAC", subtype="PCM_16")
    return "flac", file.getvalue()


def unpack(codec: str, data: bytes) -> bytes:
    if codec == "pcm":
        return data
    import numpy as np
    import soundfile

    samples, _ = soundfile.read(io.BytesIO(data), dtype="int16")
    return np.asarray(samples, dtype="<i2").tobytes()


def pack_floats(values: "array[float]") -> bytes:
    """Times, exactly: eight bytes each, little-endian."""
    return struct.pack(f"<{len(values)}d", *values)


def unpack_floats(data: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(data) // 8}d", data)
