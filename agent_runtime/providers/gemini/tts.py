"""Gemini as a voice: the models that speak, as a TTS node.

Gemini sends sound as base64 in long lines of JSON. It is taken out of them as the bytes arrive, not when the line is
whole: the first frame is there as early as its bytes.
"""

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx

from agent_runtime.audio.frame import FRAME_S, AudioFrame
from agent_runtime.chat import ChatContext
from agent_runtime.errors import UsageError
from agent_runtime.llm import ChatChunk
from agent_runtime.providers.gemini.answer import GeminiFraming, SoundAnswer
from agent_runtime.providers.gemini.llm import GeminiLLM
from agent_runtime.providers.gemini.options import speech
from agent_runtime.providers.http.exchange import Answer
from agent_runtime.providers.http.sse import LONGEST_LINE, TooLong
from agent_runtime.providers.remote import Asked
from agent_runtime.tts import TTS
from agent_runtime.types import APIConnectOptions

MODEL = "gemini-2.5-flash-preview-tts"
VOICE = "Kore"
SAMPLE_RATE = 24_000

INSTRUCTIONS = "Say exactly these words, in a natural tone"
"""Without any, the models take short phrases for something to answer."""

_FRAME_BASE64 = int(SAMPLE_RATE * FRAME_S) * 2 * 4 // 3
"""Characters of a frame's samples: less is not handed on."""

_DATA = re.compile(rb'"data"\s*:\s*"')
_DATA_BEGUN = re.compile(rb'"(?:d(?:a(?:t(?:a(?:"(?:\s*:?\s*)?)?)?)?)?)?$')
_MIME_TYPE = re.compile(rb'"mimeType"\s*:\s*"([^"]*)"')
_RATE = re.compile(r"rate=(\d+)")
_HEAD = 512
"""Bytes before the sound in which its type is looked for."""
_LONGEST_ESCAPE = 6
_LONGEST_BEGINNING = 1000


class SoundFraming:
    """The messages of a stream, long ones with sound in them cut into many: a message for each frame or so.

    Inside a JSON string there is no bare quote, so ``"data":"`` is where sound begins wherever it stands.
    """

    __slots__ = ("_head", "_held", "_inside", "_messages", "_mime_type", "_size", "_sound")

    def __init__(self) -> None:
        self._messages = GeminiFraming()
        self._held = b""
        self._head = b""
        self._inside = False
        self._mime_type = ""
        self._sound = b""
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        data, self._held = self._held + data, b""
        payloads: list[bytes] = []
        while data:
            data = self._within(data, payloads) if self._inside else self._outside(data, payloads)
        return payloads

    def end(self) -> list[bytes]:
        return [*self._messages.feed(self._held), *self._messages.end()]

    def _outside(self, data: bytes, payloads: list[bytes]) -> bytes:
        begins = _DATA.search(data)
        if begins is not None:
            end = begins.end()
            self._inside, self._size = True, 0
        else:
            partial = _DATA_BEGUN.search(data, max(0, len(data) - _LONGEST_BEGINNING))
            end = partial.start() if partial is not None else len(data)
            self._held = data[end:]
        self._head = (self._head + data[:end])[-_HEAD:]
        payloads += self._messages.feed(data[:end])
        if begins is None:
            return b""
        types = _MIME_TYPE.findall(self._head)
        self._mime_type = _unescaped(types[-1]) if types else ""
        return data[end:]

    def _within(self, data: bytes, payloads: list[bytes]) -> bytes:
        end = data.find(b'"')
        piece = data if end < 0 else data[:end]
        if b"\\" in piece:
            if end < 0:  # the last escape may be cut
                cut = piece.rfind(b"\\", -_LONGEST_ESCAPE)
                if cut >= 0:
                    piece, self._held = piece[:cut], piece[cut:]
            piece = _unescaped(piece).encode()
        self._sound += piece
        self._size += len(piece)
        if self._size > LONGEST_LINE:
            raise TooLong(f"sound of more than {LONGEST_LINE} bytes in one piece")
        if len(self._sound) >= _FRAME_BASE64 or end >= 0:
            self._hand_on(payloads, whole=end >= 0)
        if end < 0:
            return b""
        self._inside = False
        return data[end:]

    def _hand_on(self, payloads: list[bytes], *, whole: bool) -> None:
        size = len(self._sound) if whole else len(self._sound) // 4 * 4
        sound, self._sound = self._sound[:size], self._sound[size:]
        if sound:
            inline = {"mimeType": self._mime_type, "data": sound.decode("ascii", "replace")}
            message = {"candidates": [{"content": {"parts": [{"inlineData": inline}]}}]}
            payloads.append(json.dumps(message, separators=(",", ":")).encode())


def _unescaped(text: bytes) -> str:
    """What is within the quotes of a JSON string. `ValueError` where it is none."""
    return str(json.loads(b'"' + text + b'"'))


class _Speaker(GeminiLLM):
    """The model behind the voice."""

    framing = SoundFraming
    streams_sound = True

    def answer(self, asked: Asked) -> Answer[ChatChunk]:
        return SoundAnswer(self.service, self._check)

    def _check(self, mime_type: str) -> None:
        """Refuse what is no 16-bit PCM of the rate that the node says."""
        kind = mime_type.partition(";")[0].strip().lower()
        rate = _RATE.search(mime_type)
        if kind not in ("audio/l16", "audio/pcm", "") or (rate is not None and int(rate[1]) != SAMPLE_RATE):
            raise self.service.broken(f"its sound is {mime_type!r} and not PCM of {SAMPLE_RATE} Hz")


class GeminiTTS(TTS):
    """A voice of Gemini's: 24 kHz, mono. Each phrase is a request.

    Args:
        model: one that speaks.
        voice: any of Google's names (``Kore``, ``Charon``, ...).
        instructions: how to say it, in words; None says only what to say.
        language: of the text, as ``de-DE``; else the model finds out.
        temperature: from 0 to 2.
        api_key, base_url, api_version, vertexai, project, location, credentials: as for `GeminiLLM`.
        extra_kwargs: as for `GeminiLLM`.
    """

    def __init__(
        self,
        model: str = MODEL,
        *,
        voice: str = VOICE,
        instructions: str | None = INSTRUCTIONS,
        language: str | None = None,
        temperature: float | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        api_version: str | None = None,
        vertexai: bool = False,
        project: str | None = None,
        location: str | None = None,
        credentials: Any = None,
        extra_kwargs: dict[str, Any] | None = None,
        conn_options: APIConnectOptions | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        if not voice or not str(voice).strip():
            raise UsageError(f"voice is {voice!r}; give one of Google's names, as {VOICE!r} or 'Charon'.")
        self.voice = voice
        self.instructions = instructions
        given = {"modalities": ["audio"], "speech_config": speech(voice, language), **(extra_kwargs or {})}
        self._speaker = _Speaker(
            model,
            api_key=api_key,
            base_url=base_url,
            api_version=api_version,
            vertexai=vertexai,
            project=project,
            location=location,
            credentials=credentials,
            temperature=temperature,
            extra_kwargs=given,
            conn_options=conn_options,
            transport=transport,
        )
        self.model = self._speaker.model
        self.provider = self._speaker.provider
        self.label = f"{self._speaker.label}:{voice}"

    @property
    def sample_rate(self) -> int:
        return SAMPLE_RATE

    def prewarm(self) -> None:
        self._speaker.prewarm()

    async def synthesize(self, text: str) -> AsyncIterator[AudioFrame]:
        if not any(letter.isalnum() for letter in text):  # Gemini refuses what cannot be said
            return
        prompt = f'{self.instructions}:\n"{text}"' if self.instructions else text
        chat_ctx = ChatContext()
        chat_ctx.add_message(role="user", content=prompt)
        async with self._speaker.chat(chat_ctx=chat_ctx) as stream:
            async for chunk in stream:
                samples = (chunk.delta.extra or {}).get("pcm") if chunk.delta is not None else None
                if samples:
                    yield AudioFrame(samples, SAMPLE_RATE)

    async def aclose(self) -> None:
        await self._speaker.aclose()
