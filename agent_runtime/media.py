"""What bytes are and how they are written into a request: types of files, data URIs, the frames of a video as pictures."""

import base64
import binascii
import io
import struct
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote_to_bytes, urlsplit

from agent_runtime.errors import UsageError

if TYPE_CHECKING:
    from numpy import uint8
    from numpy.typing import NDArray

IMAGE_TYPES = ("image/jpeg", "image/png", "image/webp", "image/gif")
"""What every service with vision takes."""

JPEG_QUALITY = 75
"""As livekit-agents encodes the frames of a video."""

LARGE = 1 << 18
"""Bytes, or characters of a data URI, that are read or written in 1 ms or so; more are large."""

START = 256
"""Characters of a large data URI by which it is known what is in it: whole groups of base64's four."""

RGBA = 0
"""`livekit.rtc.VideoBufferType.RGBA`."""

_SIGNATURES = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"%PDF-", "application/pdf"),
    (b"ID3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"\x1a\x45\xdf\xa3", "video/webm"),
    (b"<svg", "image/svg+xml"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_BOXES = {
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heif",
    b"avif": "image/avif",
    b"M4A ": "audio/mp4",
}
_EXTENSIONS = dict(
    pair.split("=")
    for pair in """
    .jpg=image/jpeg .jpeg=image/jpeg .png=image/png .webp=image/webp .gif=image/gif .bmp=image/bmp .svg=image/svg+xml
    .tif=image/tiff .tiff=image/tiff .heic=image/heic .heif=image/heif .avif=image/avif .pdf=application/pdf
    .wav=audio/wav .mp3=audio/mpeg .flac=audio/flac .ogg=audio/ogg .opus=audio/ogg .aac=audio/aac .m4a=audio/mp4
    .aiff=audio/aiff .mp4=video/mp4 .webm=video/webm .mov=video/quicktime .mpeg=video/mpeg .mpg=video/mpeg
    .avi=video/x-msvideo .txt=text/plain .md=text/markdown .csv=text/csv .html=text/html .css=text/css .xml=text/xml
    .rtf=text/rtf .json=application/json .py=text/x-python
    """.split()
)
"""Of our own: the system's table differs from machine to machine."""


class VideoFrame(Protocol):
    """A picture of a video, as `livekit.rtc.VideoFrame` is one."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def data(self) -> Any: ...
    @property
    def type(self) -> Any: ...
    def convert(self, dst_type: Any, /) -> "VideoFrame": ...


# Types


def sniffed(data: bytes) -> str | None:
    """The type that the first bytes tell; None where they tell none."""
    if data[:4] == b"RIFF":
        return _RIFF.get(data[8:12])
    if data[4:8] == b"ftyp":
        return _BOXES.get(data[8:12], "video/mp4")
    if data[:1] == b"\xff" and len(data) > 1 and data[1] & 0xE6 == 0xE2:  # a frame of layer III
        return "audio/mpeg"
    if data[:2] == b"BM" and data[6:10] == bytes(4):
        return "image/bmp"
    return next((kind for start, kind in _SIGNATURES if data.startswith(start)), None)


def by_name(place: str) -> str | None:
    """The type that the end of a path or an address tells."""
    path = urlsplit(place).path if "://" in place else place
    return _EXTENSIONS.get(PurePath(path).suffix.lower())


def image_type(kind: str | None, what: str) -> str:
    """The type, if every service with vision takes it.

    Raises:
        UsageError: it is another; `what` says of what.
    """
    plain = (kind or "").split(";")[0].strip().lower().replace("image/jpg", "image/jpeg")
    if plain not in IMAGE_TYPES:
        found = f"of the type '{plain}'" if plain else "of an unknown type"
        raise UsageError(f"An image is {found} ({what}); it is one of {', '.join(IMAGE_TYPES)}: convert it.")
    return plain


def is_type(kind: Any) -> bool:
    return (
        isinstance(kind, str) and all(part.strip() for part in kind.split("/", 1)) and "/" in kind and " " not in kind
    )


# Data URIs


def data_uri(mime_type: str, data: bytes) -> str:
    return f"data:{mime_type};base64,{base64.b64encode(data).decode()}"


def parse_data_uri(uri: str) -> tuple[str | None, bytes]:
    """Its type, where it says one, and its bytes.

    Raises:
        UsageError: it is none, or its base64 is none.
    """
    head, comma, body = uri.partition(",")
    kind, *options = head.removeprefix("data:").split(";")
    if not comma or not head.startswith("data:"):
        raise UsageError(f"{shown(uri)} is no data URI; write 'data:image/png;base64,...'.")
    try:
        data = base64.b64decode(body, validate=True) if "base64" in options else unquote_to_bytes(body)
    except binascii.Error as error:
        raise UsageError(
            f"The data URI {shown(uri)} is no base64 ({error}); encode the bytes with base64.b64encode."
        ) from None
    if not data:
        raise UsageError(f"The data URI {shown(uri)} is empty; it needs the bytes after the comma.")
    return kind.strip().lower() or None, data


def data_uri_start(uri: str) -> tuple[str | None, bytes]:
    """As `parse_data_uri`, but of the bytes of a large one only the first: they tell what it is."""
    comma = uri.find(",")
    return parse_data_uri(uri if comma < 0 or len(uri) <= LARGE else uri[: comma + 1 + START])


def scheme_of(text: str) -> str:
    return text.partition("://")[0].lower() if "://" in text else ""


def shown(text: object) -> str:
    shown = repr(text)
    return shown if len(shown) <= 80 else shown[:77] + "..."


# Frames of a video


def is_video_frame(image: Any) -> bool:
    return all(hasattr(image, name) for name in ("width", "height", "data", "convert"))


def encoded(frame: VideoFrame, width: int | None = None, height: int | None = None) -> tuple[str, bytes]:
    """A frame as JPEG; as PNG, ten times the size, where Pillow is not installed. Off the loop: it takes milliseconds.

    Returns:
        the type, and the bytes.
    """
    pixels = _fit(_pixels(frame), width or frame.width, height or frame.height)
    try:
        from PIL import Image  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return "image/png", _png(pixels)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=JPEG_QUALITY)
    return "image/jpeg", file.getvalue()


def _pixels(frame: VideoFrame) -> "NDArray[uint8]":
    """Height, width, and red, green and blue."""
    import numpy as np

    plain = frame if getattr(frame, "type", None) == RGBA else frame.convert(RGBA)
    data = np.frombuffer(plain.data, dtype=np.uint8)
    if data.size != plain.width * plain.height * 4:
        raise UsageError(
            f"A video frame of {plain.width} x {plain.height} has {data.size} bytes of RGBA; "
            f"it needs {plain.width * plain.height * 4}."
        )
    return data.reshape(plain.height, plain.width, 4)[:, :, :3]


def _fit(pixels: "NDArray[uint8]", width: int, height: int) -> "NDArray[uint8]":
    """Smaller by the mean of the pixels that fall together, its proportions kept."""
    import numpy as np

    rows, columns = pixels.shape[:2]
    scale = min(1.0, width / columns, height / rows)
    if scale == 1.0:
        return pixels
    sums = pixels.astype(np.uint32)
    for axis, size in ((0, rows), (1, columns)):
        kept = max(1, round(size * scale))
        starts = np.arange(kept) * size // kept
        counts = np.diff(np.append(starts, size))
        shape = [1, 1, 1]
        shape[axis] = kept
        sums = np.add.reduceat(sums, starts, axis=axis) // counts.reshape(shape).astype(np.uint32)
    return sums.astype(np.uint8)


def _png(pixels: "NDArray[uint8]") -> bytes:
    import zlib

    import numpy as np

    rows, columns = pixels.shape[:2]
    # Each line is told as its difference to the one above, which compresses well.
    lines = np.zeros((rows, 1 + columns * 3), dtype=np.uint8)
    flat = pixels.reshape(rows, columns * 3)
    lines[:, 0], lines[0, 1:], lines[1:, 1:] = 2, flat[0], flat[1:] - flat[:-1]
    header = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    body = zlib.compress(lines.tobytes(), 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
