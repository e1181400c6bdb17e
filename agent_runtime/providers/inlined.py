"""The bytes of a part as they stand in a request: base64, which for a large one is made in slices and kept.

Reading base64, writing it, and writing it into JSON hold the interpreter for as long as they take, in a thread too: for a
picture of 15 MB that would be a tenth of a second in which nothing is heard and nothing is played. So a large one is read
and written slice by slice, with the loop's other work between them, and goes into the body as a `Verbatim`, which JSON does
not look at.
"""

import binascii
import json
from base64 import b64encode
from dataclasses import dataclass, field

from agent_runtime import clock
from agent_runtime.content import Loaded
from agent_runtime.media import LARGE as LARGE
from agent_runtime.media import data_uri_start, parse_data_uri
from agent_runtime.providers.http.exchange import Verbatim

SLICE = 3 << 16
"""Bytes of a slice: a multiple of three, so that the slices of the text fit together."""


@dataclass(frozen=True, slots=True)
class Inlined(Loaded):
    """A large part that is written."""

    base64: bytes = field(repr=False)


async def inlined(loaded: Loaded) -> Loaded:
    """The same, written if it is large."""
    if isinstance(loaded, Inlined) or len(loaded.data) <= LARGE:
        return loaded
    slices, data = [], memoryview(loaded.data)
    for at in range(0, len(data), SLICE):
        slices.append(binascii.b2a_base64(data[at : at + SLICE], newline=False))
        await clock.sleep(0)
    return Inlined(loaded.mime_type, loaded.data, b"".join(slices))


def is_large(uri: str) -> bool:
    """Whether a data URI is to be read slice by slice."""
    return len(uri) > LARGE


async def read(uri: str) -> tuple[str | None, bytes]:
    """The type and the bytes of a data URI; of a large one slice by slice.

    Raises:
        UsageError: its base64 is none.
    """
    head = uri[: uri.find(",") + 1]
    if not is_large(uri) or "base64" not in head[:-1].split(";"):
        return parse_data_uri(uri)
    kind, _ = data_uri_start(uri)
    slices = []
    for at in range(len(head), len(uri), SLICE // 3 * 4):
        slices.append(parse_data_uri(head + uri[at : at + SLICE // 3 * 4])[1])
        await clock.sleep(0)
    return kind, b"".join(slices)


def base64_of(loaded: Loaded) -> str | Verbatim:
    """Its bytes, for a body."""
    return _written("", loaded)


def data_uri(loaded: Loaded) -> str | Verbatim:
    """Its bytes and their type, for a body."""
    return _written(f"data:{loaded.mime_type};base64,", loaded)


def _written(head: str, loaded: Loaded) -> str | Verbatim:
    if isinstance(loaded, Inlined):
        return Verbatim((_escaped(head), loaded.base64))
    return head + b64encode(loaded.data).decode("ascii")


def _escaped(text: str) -> bytes:
    return json.dumps(text)[1:-1].encode()
