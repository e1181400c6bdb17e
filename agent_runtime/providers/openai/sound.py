"""Reading what ``/audio/speech`` answers: samples as they are, a WAV file, or events with samples in them. Pure."""

import base64
import binascii
import re
import struct
from collections.abc import Sequence
from typing import Any

from agent_runtime.audio.frame import AudioFrame
from agent_runtime.audio.resample import Resampler
from agent_runtime.providers.http.exchange import Answer
from agent_runtime.providers.http.service import Service
from agent_runtime.providers.openai.audio import parsed

_PCM, _EXTENSIBLE = 1, 0xFFFE
_LONGEST_HEAD = 65_536
"""Bytes before the samples of a WAV file."""
_UNKNOWN_LENGTH = 0x7FFF_F000
"""From here on a length means that the writer did not know it."""

_OTHERS = {b"ID3": "MP3", b"OggS": "Ogg", b"fLaC": "FLAC"}
"""How files of other kinds begin."""
_COMPRESSED = ("mpeg", "mp3", "ogg", "opus", "aac", "flac", "mp4", "webm")
_RATE = re.compile(r"rate=(\d+)")


class AsItComes:
    """No messages, but a stream of sound."""

    def feed(self, data: bytes) -> list[bytes]:
        return [data]

    def end(self) -> list[bytes]:
        return []


class SoundAnswer(Answer[AudioFrame]):
    """Reads one answer that is sound: 16 bits, mono. A frame is what came at once, cut at a whole sample.

    Args:
        service: whose it is.
        sample_rate: in Hz. What is of another rate, by its own word, is resampled to it.
    """

    def __init__(self, service: Service, sample_rate: int) -> None:
        self._service = service
        self._rate = sample_rate
        self._source_rate = sample_rate
        self._content_type = ""
        self._head: bytes | None = b""
        """What came while it was not known where the samples begin; None since."""
        self._left: int | None = None
        """Bytes of samples that are still to come, where that is known."""
        self._odd = b""
        self._resampler: Resampler | None = None
        self._any = False

    def begins(self, content_type: str) -> None:
        kind = content_type.partition(";")[0].strip().lower()
        if kind.startswith("text/") or kind.endswith("json"):
            raise self._service.broken(f"it is {kind} and no sound")
        self._content_type = kind
        rate = _RATE.search(content_type)
        if rate is not None and int(rate[1]) > 0:
            self._source_rate = int(rate[1])

    def feed(self, payload: bytes) -> Sequence[AudioFrame]:
        if self._head is not None:
            self._head += payload
            begun = self._begun(self._head)
            if begun is None:
                return ()
            payload, self._head = begun, None
            if self._source_rate != self._rate:
                self._resampler = Resampler(self._source_rate, self._rate)
        if self._left is not None:
            payload = payload[: self._left]
            self._left -= len(payload)
            self.whole = not self._left
        data = self._odd + payload
        size = len(data) // 2 * 2
        self._odd = data[size:]
        return self._frames(data[:size], last=False)

    def end(self) -> Sequence[AudioFrame]:
        frames = self._frames(b"", last=True) if self._resampler is not None else ()
        if self._head:  # a sound of one sample, or a WAV file that is nothing but a head
            raise self._service.broken(f"it ends after {len(self._head)} bytes, before its sound")
        if self._left:
            raise self._service.broken(f"it is cut off, {self._left} bytes before the end of its sound")
        if not self._any:
            raise self._service.broken("there is no sound in it")
        return frames

    def _frames(self, data: bytes, *, last: bool) -> Sequence[AudioFrame]:
        if self._resampler is not None:
            data = self._resampler.flush() if last else self._resampler.push(data)
        if not data:
            return ()
        self._any = True
        return (AudioFrame(data, self._rate),)

    def _begun(self, data: bytes) -> bytes | None:
        """The samples that are there, once it is known where they begin."""
        if len(data) < 4:
            return None
        if data[:4] == b"RIFF":
            return self._wav(data)
        other = next((name for mark, name in _OTHERS.items() if data.startswith(mark)), None)
        if other is None and any(name in self._content_type for name in _COMPRESSED) and _is_mpeg(data):
            other = "MP3 or AAC"
        if other is not None:
            raise self._service.broken(f"it is {other}, and 16-bit samples were asked for")
        return data

    def _wav(self, data: bytes) -> bytes | None:
        at = 12
        while len(data) >= at + 8:
            name, size = struct.unpack_from("<4sI", data, at)
            if name == b"data":
                self._left = size if 0 < size < _UNKNOWN_LENGTH else None
                return data[at + 8 :]
            if len(data) < at + 8 + size:
                break
            if name == b"fmt ":
                self._format(data[at + 8 : at + 8 + size])
            at += 8 + size + size % 2
        if len(data) > _LONGEST_HEAD:
            raise self._service.broken("it is a WAV file without samples")
        return None

    def _format(self, chunk: bytes) -> None:
        if len(chunk) < 16:
            raise self._service.broken("it is a WAV file with a broken head")
        kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunk)
        if kind == _EXTENSIBLE and len(chunk) >= 26:
            (kind,) = struct.unpack_from("<H", chunk, 24)
        if (kind, channels, bits) != (_PCM, 1, 16) or not rate:
            what = "float samples" if kind == 3 else f"samples of {bits} bits"
            raise self._service.broken(f"it is a WAV file of {channels} channels with {what}, not mono with 16 bits")
        self._source_rate = rate


class EventedSound(SoundAnswer):
    """The same in server-sent events, as base64: ``speech.audio.delta``."""

    def begins(self, content_type: str) -> None:
        kind = content_type.partition(";")[0].strip().lower()
        if kind and kind != "text/event-stream":
            raise self._service.broken(f"it is {kind}, and events were asked for")

    def feed(self, payload: bytes) -> Sequence[AudioFrame]:
        if payload.strip() == b"[DONE]":
            self.whole = True
            return ()
        try:
            said = parsed(payload)
            if not isinstance(said, dict):
                raise ValueError("an event that is no object")
            if said.get("error") or said.get("type") == "error":
                raise self._service.failed_inside(said.get("error") or said)
            if str(said.get("type", "")).endswith(".done"):
                self.whole = True
            sound = base64.b64decode(_sound_of(said), validate=True)
        except (ValueError, binascii.Error) as error:
            raise self._service.broken(str(error)) from error
        return super().feed(sound) if sound else ()

    def end(self) -> Sequence[AudioFrame]:
        if not self.whole:
            raise self._service.broken("it ends before its end mark")
        return super().end()


def _sound_of(said: dict[str, Any]) -> str:
    """The base64 of an event: OpenAI calls it ``audio``, Together ``delta``, Mistral ``audio_data``."""
    if not str(said.get("type", "")).endswith(".delta"):
        return ""
    return str(next((said[name] for name in ("audio", "delta", "audio_data") if said.get(name)), ""))


def _is_mpeg(data: bytes) -> bool:
    """Whether it begins as a frame of MP3 or AAC does."""
    return data[0] == 0xFF and data[1] & 0xE0 == 0xE0
