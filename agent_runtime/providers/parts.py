"""The bytes of pictures and files, for the services that want them in the request.

The rule of trust: only parts that the application made are loaded, as objects of `content` or as dictionaries in OpenAI's
form. Text is never looked through for paths or addresses, whoever wrote it. And as an application may pass an address on
that it was given, nothing on this machine or on its network is fetched unless `allow_private` says so; see `fetch`.
"""

import asyncio
import base64
import binascii
import stat
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from agent_runtime import clock
from agent_runtime.content import (
    CONTENT_TYPES,
    AudioContent,
    Content,
    FileContent,
    ImageContent,
    Loaded,
    TextContent,
    bare,
    check_whole,
    from_dict,
)
from agent_runtime.errors import UsageError
from agent_runtime.media import by_name, encoded, image_type, parse_data_uri, sniffed
from agent_runtime.providers.http.fetch import Fetch, Resolve, resolved, too_large
from agent_runtime.providers.inlined import inlined, read

if TYPE_CHECKING:
    from agent_runtime.chat import ChatContent

__all__ = ["LARGEST_PART", "LARGEST_REQUEST", "Loaded", "Typed", "Typing", "load", "load_all", "typed"]

LARGEST_PART = 20_000_000
"""Bytes of one part: what Gemini and OpenAI take in a request."""

LARGEST_REQUEST = 50_000_000
"""Bytes of all parts of one request together."""

MOST_KEPT = 64
"""Dictionaries of which a client keeps what was made of them."""

Typing = Callable[[Any], "Content | dict[str, Any]"]
"""What makes an object of `content` of a part: `typed`, or a `Typed`."""

_AUDIO_FORMATS = {"mp3": "audio/mpeg", "wav": "audio/wav"}


# What a part is


def typed(part: "ChatContent") -> "Content | dict[str, Any]":
    """A part as an object of `content`, whatever form it was written in; its mark for caching is kept.

    Text becomes `TextContent`. A dictionary of a kind that is unknown here stays what it is.

    Raises:
        UsageError: it is of a known kind, and lacks what that needs.
    """
    if isinstance(part, str):
        return TextContent(part)
    if isinstance(part, CONTENT_TYPES):
        return part
    if not isinstance(part, Mapping):
        raise UsageError(
            f"A message holds a {type(part).__name__}; its parts are text, ImageContent, AudioContent, "
            "FileContent or dictionaries."
        )
    mark = part.get("cache_control")
    if "omitted" in part:
        return from_dict(part)
    match part.get("type"):
        case "text" | "input_text":
            return TextContent(_field(part, "text"), mark)
        case "image_url" | "input_image":
            return _image(part, mark)
        case "file" | "input_file":
            return _file(part, mark)
        case "input_audio":
            told = _dictionary(part, "input_audio")
            kind = _audio_type(str(told.get("format", "wav")))
            return FileContent(data=_decoded(_field(told, "data"), kind), mime_type=kind, cache_control=mark)
    return from_dict(part)


class Typed:
    """`typed` that makes the same object of a dictionary each time, as long as nothing in it changes: what was read or
    fetched is kept with it, and need not be again for each request."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, tuple[Any, Content | dict[str, Any]]] = OrderedDict()

    def __call__(self, part: "ChatContent") -> "Content | dict[str, Any]":
        if not isinstance(part, dict):
            return typed(part)
        kept = self._kept.get(id(part))
        if kept is None or kept[0] != part:
            told = {key: dict(value) if isinstance(value, Mapping) else value for key, value in part.items()}
            kept = self._kept[id(part)] = (told, typed(part))
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return kept[1]


def _image(part: Mapping[str, Any], mark: Any) -> ImageContent:
    told = part.get("image_url")
    if isinstance(told, str):  # the Responses API's form, and LiteLLM's
        told = {"url": told, "detail": part.get("detail")}
    if not isinstance(told, Mapping):
        raise _lacking(part, "image_url", "{'url': ...}")
    kind = told.get("format") or told.get("mime_type")
    detail: Any = told.get("detail") or "auto"
    return ImageContent(_field(told, "url"), inference_detail=detail, mime_type=kind, cache_control=mark)


def _file(part: Mapping[str, Any], mark: Any) -> FileContent:
    told = part if part.get("type") == "input_file" else _dictionary(part, "file")
    kind, name = told.get("format") or told.get("mime_type"), told.get("filename")
    if (data := told.get("file_data")) is not None:
        data = data if isinstance(data, bytes) or str(data).startswith("data:") else _decoded(str(data), kind)
        return FileContent(data=data, mime_type=kind, filename=name, cache_control=mark)
    uri = told.get("file_id") or told.get("file_url")
    if not isinstance(uri, str):
        raise _lacking(part, "file", "{'file_data': 'data:...'} or {'file_id': 'https://...'}")
    return FileContent(uri=uri, mime_type=kind, filename=name, cache_control=mark)


def _audio_type(name: str) -> str:
    return name if "/" in name else _AUDIO_FORMATS.get(name.lower(), f"audio/{name.lower()}")


def _decoded(text: str, kind: str | None) -> bytes:
    if text.startswith("data:"):
        return parse_data_uri(text)[1]
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise UsageError(
            f"The data of a part of the type '{kind or 'file'}' is no base64 ({error}); encode it with base64.b64encode."
        ) from None


def _field(told: Mapping[str, Any], name: str) -> str:
    value = told.get(name)
    if not isinstance(value, str):
        raise UsageError(f"A part of a message has {name}={value!r}, which must be a string: {str(dict(told))[:80]}")
    return value


def _dictionary(part: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    told = part.get(name)
    if not isinstance(told, Mapping):
        raise _lacking(part, name, "a dictionary")
    return told


def _lacking(part: Mapping[str, Any], name: str, needed: str) -> UsageError:
    return UsageError(
        f"A part of the type '{part.get('type')}' has {name}={str(part.get(name))[:80]!r}; it needs {needed}."
    )


# Loading


async def load(
    part: "Content | Mapping[str, Any]",
    *,
    limit: int = LARGEST_PART,
    allow_private: bool = False,
    client: httpx.AsyncClient,
    resolve: Resolve | None = None,
) -> Loaded:
    """The bytes of a picture, of sound or of a file, and their type. What was fetched or read is kept with the part.

    Args:
        limit: bytes that it may have.
        allow_private: fetch from this machine and its network too.
        client: to fetch with; its redirects are not used.
        resolve: the addresses of a host, for tests; else the system is asked.

    Raises:
        UsageError: the file is not there, too large, or of a type that is not taken; the address is not public.
        APIError: the address could not be fetched.
    """
    known = typed(dict(part)) if isinstance(part, Mapping) else part
    fetch = Fetch(limit, allow_private, client, resolve or resolved)
    if isinstance(known, AudioContent):
        return await inlined(_within(Loaded("audio/wav", known.wav()), limit, "The sound in a message"))
    if not isinstance(known, ImageContent | FileContent):
        raise UsageError(f"A part of the type {type(known).__name__} has no bytes to load; it is text.")
    if known.loaded is None:
        loaded = await (_load_image(known, fetch) if isinstance(known, ImageContent) else _load_file(known, fetch))
        object.__setattr__(known, "loaded", await inlined(_within(loaded, limit, _named(known))))
    assert known.loaded is not None
    return _within(known.loaded, limit, _named(known))


async def load_all(
    parts: "Sequence[Content | Mapping[str, Any]]",
    *,
    limit: int = LARGEST_PART,
    total: int = LARGEST_REQUEST,
    allow_private: bool = False,
    client: httpx.AsyncClient,
    resolve: Resolve | None = None,
) -> list[Loaded]:
    """`load` of each, at the same time, and in their order; together they have at most `total` bytes."""
    loading = [load(each, limit=limit, allow_private=allow_private, client=client, resolve=resolve) for each in parts]
    loaded = await _together(loading)
    size = sum(len(each.data) for each in loaded)
    if size > total:
        raise UsageError(
            f"The pictures and files of one request have {size:,} bytes; together they may have {total:,}: "
            "take older ones out of the chat context."
        )
    return loaded


async def _together(loading: "list[Any]") -> list[Loaded]:
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in loading]
    except* Exception as errors:
        raise _first(errors) from None
    return [task.result() for task in tasks]


def _first(errors: BaseExceptionGroup[Any]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _load_image(part: ImageContent, fetch: Fetch) -> Loaded:
    image, name = part.image, _named(part)
    if isinstance(image, bytes):
        return Loaded(image_type(sniffed(image) or part.mime_type, name), image)
    if isinstance(image, str) and image.startswith("data:"):
        kind, data = await read(image)
        return Loaded(image_type(sniffed(data) or kind, name), data)
    if part.url is not None:
        kind, data = await fetch(part.url, name)
        return _picture(data, kind, name)
    if isinstance(image, str | PathLike):
        data = await clock.offload(_read, Path(image), fetch.limit, name)
        return _picture(data, by_name(str(image)), name)
    return Loaded(*await clock.offload(encoded, image, part.inference_width, part.inference_height))


def _picture(data: bytes, kind: str | None, name: str) -> Loaded:
    found = image_type(sniffed(data) or _not_an_image(kind), name)
    check_whole(data, name)
    return Loaded(found, data)


def _not_an_image(kind: str | None) -> str | None:
    """The type that a name or a server gave: where it is an image's, the bytes say that it is none."""
    return None if kind is not None and kind.startswith("image/") and "svg" not in kind else kind


async def _load_file(part: FileContent, fetch: Fetch) -> Loaded:
    name, kind = _named(part), part.mime_type
    if isinstance(part.data, bytes):
        data = part.data
    elif part.path is not None:
        data = await clock.offload(_read, Path(part.path), fetch.limit, name)
    elif part.uri is not None and part.uri.startswith("gs://"):
        raise UsageError(
            f"{name} is in Google's storage, which only Gemini reads itself; give its bytes as FileContent(data=...)."
        )
    else:
        told, data = await fetch(str(part.uri), name)
        kind = kind or (told if told != "application/octet-stream" else None)
    kind = kind or sniffed(data)
    if kind is None:
        raise UsageError(f"{name} is of an unknown type; say it, as in mime_type='application/pdf'.")
    return Loaded(kind, data)


def _named(part: ImageContent | FileContent) -> str:
    """What it is called in messages: an address without its password and its query, which may hold a key."""
    if isinstance(part, FileContent):
        return f"The file '{_bare(part.place)}'" if part.place else "The file in a message"
    if isinstance(part.image, bytes) or str(part.image).startswith("data:"):
        return "The image in a message"
    is_place = isinstance(part.image, str | PathLike)
    return f"The image '{_bare(str(part.image))}'" if is_place else "The video frame in a message"


def _bare(place: str) -> str:
    place = bare(place)
    return place if len(place) <= 200 else place[:200] + "..."


def _within(loaded: Loaded, limit: int, name: str) -> Loaded:
    if len(loaded.data) > limit:
        raise too_large(name, f"{len(loaded.data):,}", limit)
    return loaded


def _read(path: Path, limit: int, name: str) -> bytes:
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):  # a pipe would never end
            raise UsageError(f"{name} is no file; give the path of one.")
        if about.st_size > limit:
            raise too_large(name, f"{about.st_size:,}", limit)
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except FileNotFoundError:
        raise UsageError(f"{name} is not there (looked for {path.absolute()}); check the path.") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"{name} cannot be read ({why}); check the path and who may read it.") from None
    if not data:
        raise UsageError(f"{name} is empty; give a file with something in it.")
    if len(data) > limit:
        raise too_large(name, f"more than {limit:,}", limit)
    return data
