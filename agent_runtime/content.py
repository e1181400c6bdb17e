"""Parts of a message that are no text: pictures, sound and files. The names are those of livekit-agents.

What is in them is trusted as the application's own: a path in an `ImageContent` is read, an address in it is fetched.
So what a caller or a model wrote belongs into text, and never into one of these.
"""

import io
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike, fspath
from typing import Any, ClassVar, Literal, get_args
from urllib.parse import urlsplit

from agent_runtime.audio.frame import AudioFrame
from agent_runtime.errors import UsageError
from agent_runtime.media import (
    VideoFrame,
    by_name,
    data_uri,
    data_uri_start,
    encoded,
    image_type,
    is_type,
    is_video_frame,
    parse_data_uri,
    scheme_of,
    shown,
    sniffed,
)

Detail = Literal["auto", "high", "low"]


@dataclass(frozen=True, slots=True)
class TextContent:
    """Text with a mark on it; text without one is a plain `str`.

    Attributes:
        cache_control: what a service is told about keeping it, as ``{"type": "ephemeral"}``.
    """

    type: ClassVar[Literal["text_content"]] = "text_content"

    text: str
    cache_control: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        return {"type": self.type, "text": self.text, **_given(cache_control=self.cache_control)}

    outline = to_dict


@dataclass(frozen=True, slots=True)
class ImageContent:
    """A picture: JPEG, PNG, WebP or GIF.

    Attributes:
        image: an address (``https://...``), a data URI, the bytes of a file, the path of one, or a frame of a video.
        inference_width, inference_height: a frame is made to fit into this before it is sent, never larger than it is;
            what is left out does not bound it. Pictures of other kinds are sent as they are.
        inference_detail: how closely the model is to look, where its service can be told.
        mime_type: of the bytes; found out where it is left out.
        cache_control: as in `TextContent`.
    """

    type: ClassVar[Literal["image_content"]] = "image_content"

    image: "str | bytes | PathLike[str] | VideoFrame" = field(repr=False)
    inference_width: int | None = None
    inference_height: int | None = None
    inference_detail: Detail = "auto"
    mime_type: str | None = None
    cache_control: Mapping[str, Any] | None = None
    loaded: "Loaded | None" = field(default=None, init=False, repr=False, compare=False)
    """What was read or fetched, so that it is not again for each request."""

    def __post_init__(self) -> None:
        if isinstance(self.image, bytearray | memoryview):
            object.__setattr__(self, "image", bytes(self.image))
        if self.mime_type is not None:
            object.__setattr__(self, "mime_type", image_type(self.mime_type, "mime_type"))
        for name in ("inference_width", "inference_height"):
            size = getattr(self, name)
            if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
                raise UsageError(f"ImageContent has {name}={size!r}; it is a number of pixels, 1 or more.")
        if self.inference_detail not in get_args(Detail):
            raise UsageError(
                f"ImageContent has inference_detail={self.inference_detail!r}; it is one of {', '.join(get_args(Detail))}."
            )
        self._check(self.image)

    def _check(self, image: Any) -> None:
        if isinstance(image, bytes):
            image_type(self.mime_type or sniffed(image), "these bytes")
            check_whole(image, "these bytes")
        elif isinstance(image, str) and image.startswith("data:"):
            kind, data = data_uri_start(image)  # the rest is looked at when it is loaded
            image_type(sniffed(data) or kind, "this data URI")
            check_whole(data, "this data URI")
        elif isinstance(image, str):
            if not image or ("://" in image and (scheme_of(image) not in ("http", "https") or not _has_host(image))):
                raise UsageError(
                    f"ImageContent has image={shown(bare(image))}; it is an https address, a data URI, bytes, a path or a "
                    "video frame (a gs:// address goes into FileContent(uri=...))."
                )
        elif not isinstance(image, PathLike) and not is_video_frame(image):
            raise UsageError(
                f"ImageContent has an image of the type {type(image).__name__}; "
                "it is an https address, a data URI, bytes, a path or a video frame."
            )

    @property
    def url(self) -> str | None:
        """The address, where it is one."""
        is_url = isinstance(self.image, str) and scheme_of(self.image) in ("http", "https")
        return str(self.image) if is_url else None

    def to_dict(self) -> dict[str, Any]:
        """JSON types. Bytes and frames are written as data URIs."""
        image = self.image
        if isinstance(image, bytes):
            image = data_uri(self.mime_type or sniffed(image) or "", image)
        elif isinstance(image, PathLike):
            image = fspath(image)
        elif not isinstance(image, str):
            image = data_uri(*encoded(image, self.inference_width, self.inference_height))
        return {
            "type": self.type,
            "image": image,
            **_given(
                inference_width=self.inference_width,
                inference_height=self.inference_height,
                inference_detail=self.inference_detail if self.inference_detail != "auto" else None,
                mime_type=self.mime_type,
                cache_control=self.cache_control,
            ),
        }

    def outline(self) -> dict[str, Any]:
        """`to_dict` for logs and tapes: what is long is only told of."""
        image = self.image
        if isinstance(image, bytes):
            return _omitted(self.type, f"{self.mime_type or sniffed(image)}, {len(image):,} bytes")
        if isinstance(image, str | PathLike):
            return dict(outline(self.to_dict()))
        return _omitted(self.type, f"video frame, {image.width} x {image.height}")


@dataclass(frozen=True, slots=True)
class AudioContent:
    """Sound that was said.

    Attributes:
        frame: the sound, piece by piece; all of one rate.
        transcript: what is said in it, for models that do not hear.
    """

    type: ClassVar[Literal["audio_content"]] = "audio_content"

    frame: Sequence[AudioFrame] = field(repr=False)
    transcript: str | None = None
    cache_control: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        frames = (self.frame,) if isinstance(self.frame, AudioFrame) else tuple(self.frame)
        for frame in frames:
            if not isinstance(frame, AudioFrame):
                raise UsageError(f"AudioContent holds a {type(frame).__name__}; it takes a list of AudioFrame.")
            if (frame.sample_rate, frame.num_channels) != (frames[0].sample_rate, frames[0].num_channels):
                raise UsageError(
                    f"AudioContent holds frames of {frames[0].sample_rate} and {frame.sample_rate} Hz, "
                    f"{frames[0].num_channels} and {frame.num_channels} channels; give frames of one kind."
                )
        if not any(frame.data for frame in frames):
            raise UsageError("AudioContent holds no sound; give it at least one AudioFrame with samples.")
        object.__setattr__(self, "frame", frames)

    def wav(self) -> bytes:
        """The bytes of a WAV file, 16 bit."""
        first, samples = self.frame[0], b"".join(frame.data for frame in self.frame)
        rate, block = first.sample_rate, 2 * first.num_channels
        header = struct.pack(
            "<4sI4s4sIHHIIHH4sI",
            *(b"RIFF", 36 + len(samples), b"WAVE", b"fmt ", 16, 1),
            *(first.num_channels, rate, rate * block, block, 16, b"data", len(samples)),
        )
        return header + samples

    def to_dict(self) -> dict[str, Any]:
        told = _given(transcript=self.transcript, cache_control=self.cache_control)
        return {"type": self.type, "audio": data_uri("audio/wav", self.wav()), **told}

    def outline(self) -> dict[str, Any]:
        """`to_dict` for logs and tapes: what is long is only told of."""
        told = _omitted(self.type, f"{sum(frame.duration for frame in self.frame):.2f} s")
        return {**told, **_given(transcript=self.transcript)}


@dataclass(frozen=True, slots=True)
class FileContent:
    """A file: sound, a video, a PDF, a text. One of `data`, `uri` and `path` says where it is.

    Attributes:
        data: its bytes, or a data URI.
        uri: an address that the service itself, or else we, fetch it from: ``https://...``, ``gs://...``.
        path: of a file on this machine.
        mime_type: found out where it is left out.
        filename: what the model is told that it is called.
        cache_control: as in `TextContent`.
    """

    type: ClassVar[Literal["file_content"]] = "file_content"

    data: bytes | str | None = field(default=None, repr=False)
    uri: str | None = None
    path: "str | PathLike[str] | None" = None
    mime_type: str | None = None
    filename: str | None = None
    cache_control: Mapping[str, Any] | None = None
    loaded: "Loaded | None" = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        given = [name for name in ("data", "uri", "path") if getattr(self, name) is not None]
        if len(given) != 1:
            raise UsageError(f"FileContent has {' and '.join(given) or 'nothing'}; give one of data, uri and path.")
        uri = self.uri if self.uri is None else str(self.uri)
        if uri is not None and (scheme_of(uri) not in ("https", "http", "gs") or not _has_host(uri)):
            raise UsageError(
                f"FileContent has uri={shown(bare(uri))}; it begins with https:// or gs://, or use path=..."
            )
        if self.mime_type is not None and not is_type(self.mime_type):
            raise UsageError(f"FileContent has mime_type={self.mime_type!r}; write it like 'application/pdf'.")
        kind = self.mime_type
        if isinstance(self.data, bytearray | memoryview):
            object.__setattr__(self, "data", bytes(self.data))
        if isinstance(self.data, str):
            if not self.data.startswith("data:"):
                raise UsageError(
                    "FileContent has data that is a string but no data URI; give bytes, or 'data:...;base64,...'."
                )
            told, data = parse_data_uri(self.data)
            object.__setattr__(self, "data", data)
            kind = kind or told
        elif self.data is not None and not isinstance(self.data, bytes):
            raise UsageError(f"FileContent has data of the type {type(self.data).__name__}; give bytes or a data URI.")
        elif self.path is not None and not isinstance(self.path, str | PathLike):
            raise UsageError(
                f"FileContent has a path of the type {type(self.path).__name__}; give a str or a pathlib.Path."
            )
        kind = kind or (sniffed(self.data) if isinstance(self.data, bytes) else None) or by_name(self.place)
        if kind is None and not self.uri and self.path is None:
            raise UsageError("FileContent has data of an unknown type; say it, as in mime_type='application/pdf'.")
        object.__setattr__(self, "mime_type", kind and kind.lower())

    @property
    def place(self) -> str:
        """Where it comes from, for messages; its name's end tells its type."""
        return self.uri or (fspath(self.path) if self.path is not None else self.filename or "")

    def to_dict(self) -> dict[str, Any]:
        """JSON types. Bytes are written as a data URI."""
        data = data_uri(self.mime_type or "", self.data) if isinstance(self.data, bytes) else None
        path = fspath(self.path) if self.path is not None else None
        return {
            "type": self.type,
            **_given(data=data, uri=self.uri, path=path, filename=self.filename, cache_control=self.cache_control),
            **_given(mime_type=self.mime_type),
        }

    def outline(self) -> dict[str, Any]:
        """`to_dict` for logs and tapes: what is long is only told of."""
        if isinstance(self.data, bytes):
            named = f"{self.filename}, " if self.filename else ""
            return _omitted(self.type, f"{named}{self.mime_type}, {len(self.data):,} bytes")
        return self.to_dict()


_SHORTEST = {"image/png": 24, "image/gif": 10, "image/webp": 16, "image/jpeg": 4}
"""Bytes at the beginning of a picture that tell what it is and how large; JPEG has no fixed place for that."""


def check_whole(data: bytes, what: str) -> None:
    """Refuse a picture that breaks off before it says how large it is.

    Raises:
        UsageError: it does; `what` says of what.
    """
    kind = sniffed(data)
    if len(data) < _SHORTEST.get(kind or "", 0):
        raise UsageError(f"An image ({what}) is cut off: {len(data)} bytes of '{kind}' are none; give the whole file.")


def bare(place: str) -> str:
    """An address without what may be a secret in it, for messages: its password and its query. Paths stay whole."""
    if "://" not in place:
        return place
    return re.split(r"[?#]", re.sub(r"://[^/]*@", "://***@", place), maxsplit=1)[0]


def _has_host(address: str) -> bool:
    try:
        return bool(urlsplit(address).hostname)
    except ValueError:  # brackets that do not close
        return False


@dataclass(frozen=True, slots=True)
class Loaded:
    """The bytes of a part and what they are."""

    mime_type: str
    data: bytes = field(repr=False)


Content = TextContent | ImageContent | AudioContent | FileContent
"""A part of a message, typed."""

CONTENT_TYPES = (TextContent, ImageContent, AudioContent, FileContent)


BULKY = frozenset("image_content audio_content file_content image_url input_image input_audio file input_file".split())
"""The types of parts in which something may stand that is no text, as dictionaries."""

LONGEST_TOLD = 500
"""Characters of anything but text that a log or a tape holds."""


def outline(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """A dictionary for logs and tapes. Of a part of one of the `BULKY` types, what is long is only told of."""
    kind = part.get("type")
    if not isinstance(kind, str) or kind not in BULKY:
        return part
    longest = _longest(part)
    return part if longest <= LONGEST_TOLD else _omitted(kind, f"{longest:,} characters")


def _omitted(kind: str, what: str) -> dict[str, Any]:
    return {"type": kind, "omitted": what}


def _longest(value: Any) -> int:
    if isinstance(value, str | bytes):
        return len(value)
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return max(map(_longest, inside), default=0)


def from_dict(entry: Mapping[str, Any]) -> "Content | dict[str, Any]":
    """A part as its `to_dict` wrote it; a dictionary of another kind stays one.

    Raises:
        UsageError: it lacks what its type needs.
    """
    told = {key: value for key, value in entry.items() if key not in ("type", "id")}
    if entry.get("type") in BULKY and "omitted" in entry:  # it comes from a tape
        return TextContent(f"[{entry['type']} that was not recorded: {entry['omitted']}]")
    try:
        match entry.get("type"):
            case "text_content":
                return TextContent(**told)
            case "image_content":
                return ImageContent(**told)
            case "audio_content" if "audio" in told:
                frames = tuple(_wav_frames(parse_data_uri(told.pop("audio"))[1]))
                return AudioContent(frames, **told)
            case "file_content":
                return FileContent(**told)
    except TypeError as error:
        raise UsageError(f"A part of the type '{entry.get('type')}' cannot be read: {error}.") from None
    return dict(entry)


def _wav_frames(data: bytes) -> Iterator[AudioFrame]:
    import wave

    with wave.open(io.BytesIO(data)) as sound:
        yield AudioFrame(sound.readframes(sound.getnframes()), sound.getframerate(), sound.getnchannels())


def _given(**values: Any) -> dict[str, Any]:
    return {
        key: dict(value) if isinstance(value, Mapping) else value for key, value in values.items() if value is not None
    }
