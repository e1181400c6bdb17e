"""Recordings on disk, made into what a microphone sends."""

import io
import shlex
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from agent_runtime.audio.frame import INPUT_RATE
from agent_runtime.audio.resample import to_int16
from agent_runtime.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BLOCK_FRAMES = 1 << 16
_RATES = (1_000, 768_000)
"""Hz. What lies outside is no sound but a wrong header, and could be resampled to more than memory holds."""
_UNKNOWN_LENGTH = 0x7FFF_F000
"""From here on a length means that the writer did not know it: into a pipe sox writes about 2^31, ffmpeg 2^32-1."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A caller's sound.

    Attributes:
        pcm: int16 mono at 16 kHz.
        notes: what was odd about the file, a sentence each; empty for a sound file.
    """

    pcm: bytes
    notes: list[str]

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.pcm) / (2 * INPUT_RATE)


def read_wav(path: str | Path) -> Recording:
    """Read a WAV file of any width (8 to 64 bit, float), rate and number of channels.

    Channels are averaged and the rate is converted once (soxr HQ); a mono 16-bit file at 16 kHz comes through bit for
    bit. A file that ends before its header says, or whose header was never filled in, gives what is there, and a note.

    Raises:
        UsageError: there is no such file, it is a directory, cannot be read, is no WAV file, or holds no samples, or none
            that is a number.
    """
    import soundfile

    path = Path(path)
    with _open(path) as file:
        lengths = _data_lengths(file)
        whole = _repaired(file, *lengths) if lengths is not None and lengths[0] == 0 < lengths[1] else file
        try:
            with soundfile.SoundFile(whole) as sound:
                if not _RATES[0] <= sound.samplerate <= _RATES[1]:
                    raise UsageError(
                        f"The header of '{path}' says {sound.samplerate} Hz; speech has {_RATES[0]} to {_RATES[1]} Hz."
                    )
                pcm, numbers = _convert(sound)
                rate, frames = sound.samplerate, sound.frames
        except soundfile.LibsndfileError as error:
            raise UsageError(f"'{path}' is not a WAV file ({_reason(error)}); {_instead(path)}.") from error
    if not pcm:
        raise UsageError(f"'{path}' holds no sound; record it again or name another WAV file.")
    if not numbers:
        raise UsageError(f"No sample in '{path}' is a number (NaN); record it again or name another WAV file.")
    return Recording(pcm, _notes(path, lengths, frames / rate))


def _open(path: Path) -> BinaryIO:
    try:
        file = path.open("rb")
        return file if file.seekable() else io.BytesIO(file.read())
    except FileNotFoundError:
        raise UsageError(f"There is no file '{path}'; name a WAV file that exists.") from None
    except IsADirectoryError:
        raise UsageError(f"'{path}' is a directory; name a WAV file in it.") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(f"'{path}' cannot be read ({reason}); name a WAV file that can be read.") from error


def _instead(path: Path) -> str:
    """What to do with a file that cannot be read: sox knows formats that are not known here, and mends no header."""
    if not path.is_file() or _is_riff(path):
        return "record it again or name another WAV file"
    source, target = shlex.quote(str(path)), shlex.quote(f"{path.stem}-converted.wav")
    return f"if it is sound in another format, convert it with `sox {source} {target}`"


def _is_riff(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in (b"RIFF", b"RIFX", b"RF64")


def _convert(sound: Any) -> tuple[bytes, bool]:
    """The sound, and whether any sample of it is a number; block by block, or an hour at 48 kHz would need much room."""
    import numpy as np

    if sound.samplerate == INPUT_RATE and sound.channels == 1 and sound.subtype == "PCM_16":
        return bytes(sound.read(dtype="int16").astype("<i2").tobytes()), True
    resample = _resampler(sound.samplerate)
    pcm, numbers = bytearray(), False
    while len(block := sound.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)):
        numbers = numbers or not np.isnan(block).all()
        # A float file may hold anything; NaN would spread through the whole filter.
        mono = np.nan_to_num(block, nan=0.0, posinf=1.0, neginf=-1.0).mean(axis=1, dtype=np.float32)
        pcm += to_int16(resample(mono, False) * 32768)
    pcm += to_int16(resample(np.zeros(0, dtype=np.float32), True) * 32768)
    return bytes(pcm), numbers


def _resampler(rate: int) -> "Callable[[NDArray[np.float32], bool], NDArray[np.float32]]":
    if rate == INPUT_RATE:
        return lambda samples, last: samples
    import soxr

    stream = soxr.ResampleStream(rate, INPUT_RATE, 1, dtype="float32", quality="HQ")
    return lambda samples, last: stream.resample_chunk(samples, last=last)


def _data_lengths(file: BinaryIO) -> tuple[int, int] | None:
    """(bytes that the header of the data chunk promises, bytes that follow it); None where this is no RIFF file.

    libsndfile shortens a truncated file without a word, so the header is read here.
    """
    try:
        start = file.read(12)
        if start[:4] != b"RIFF" or start[8:12] != b"WAVE":
            return None
        while len(header := file.read(8)) == 8:
            name, size = struct.unpack("<4sI", header)
            if name == b"data":
                position = file.tell()
                return size, file.seek(0, io.SEEK_END) - position
            file.seek(size + size % 2, io.SEEK_CUR)
        return None
    finally:
        file.seek(0)


def _repaired(file: BinaryIO, promised: int, present: int) -> BinaryIO:
    """A copy whose header says what is there: a recorder that was killed leaves the lengths at zero."""
    content = bytearray(file.read())
    struct.pack_into("<I", content, len(content) - present - 4, present)
    struct.pack_into("<I", content, 4, len(content) - 8)
    return io.BytesIO(content)


def _notes(path: Path, lengths: tuple[int, int] | None, seconds: float) -> list[str]:
    if lengths is None:
        return []
    promised, present = lengths
    if promised == 0:
        return [f"The header of '{path}' was never finished; the {seconds:.2f} s that are there are played."]
    if present < promised < _UNKNOWN_LENGTH:
        whole = seconds * promised / present
        return [f"'{path}' is cut off: of the {whole:.2f} s that its header promises, {seconds:.2f} s are played."]
    return []


def _reason(error: Exception) -> str:
    text = getattr(error, "error_string", str(error)).strip().rstrip(".")
    return text[:1].lower() + text[1:]
