"""A voice behind OpenAI's ``/audio/speech``, and behind every service that speaks it: a row of `services.toml`."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, Literal

import httpx

from agent_runtime.audio.frame import AudioFrame
from agent_runtime.errors import UsageError
from agent_runtime.providers.http.exchange import Attempts, Exchange, Request
from agent_runtime.providers.http.sse import Framing, ServerSentEvents
from agent_runtime.providers.openai import services
from agent_runtime.providers.openai.audio import AudioService, cannot, known_model, more, without
from agent_runtime.providers.openai.llm import Secret
from agent_runtime.providers.openai.sound import AsItComes, EventedSound, SoundAnswer
from agent_runtime.providers.ranges import number, one_of
from agent_runtime.tts import TTS
from agent_runtime.types import APIConnectOptions

OPTIONS = APIConnectOptions(timeout=2.0)
"""A voice that breaks off in a phrase is noticed before the session gives the speech up."""

SLOWEST, FASTEST = 0.25, 4.0
"""Of the API."""

_RATES = (8_000, 192_000)
_SENTENCE_ENDS = re.compile(r"(?<=[.!?…。！？])\s*|\n+")


class OpenAITTS(TTS):
    """A voice at a service. Each phrase is a request, and its sound is handed on as it comes.

    Args:
        model: as the service names it; where it is left out, the one that the service's row names.
        voice: any that the service has, by its name; an object as the API has it (``{"id": ...}``); else the row's.
        instructions: how to say it, in words; for models that take such.
        speed: from 0.25 to 4, where 1 is as usual.
        response_format: ``pcm`` or ``wav``; else what the row says. No other is played here.
        stream_format: ``audio``, or ``sse`` for sound in events; else what the row says.
        sample_rate: of the frames, in Hz; it must be that of the service's ``pcm``, a ``wav`` is resampled to it.
        provider: a row of `services.toml`.
        api_key, base_url, conn_options, transport: as for `OpenAILLM`.
        extra_headers: sent besides.
        extra_kwargs: further parameters, sent as they are.

    Raises:
        UsageError: an option, the address or the key is no such, or is missing.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        voice: str | Mapping[str, Any] | None = None,
        instructions: str | None = None,
        speed: float | None = None,
        response_format: str | None = None,
        stream_format: Literal["audio", "sse"] | None = None,
        sample_rate: int | None = None,
        provider: str = "openai",
        api_key: Secret | None = None,
        base_url: str | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_kwargs: Mapping[str, Any] | None = None,
        conn_options: APIConnectOptions | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        row = services.row(provider).tts
        if row is None:
            raise cannot(provider, "tts", "speak")
        model = known_model(model, row.default.default_model, provider, "speaks")
        speaks = row.of(model)
        name = f"{provider}/{model}"
        self.voice = _voice(speaks.default_voice if voice is None else voice, name)
        self.label = f"{name}:{self.voice if isinstance(self.voice, str) else self.voice.get('id', '')}"
        number("speed", speed, SLOWEST, FASTEST)
        number("sample_rate", sample_rate, *_RATES)
        format_ = _format(response_format or speaks.response_format, speaks.formats, services.row(provider).name)
        one_of("stream_format", stream_format, ("audio", "sse"))
        self._events = speaks.events if stream_format is None else stream_format == "sse"
        self._rate = sample_rate or speaks.sample_rate
        self._longest = speaks.longest
        self._service = AudioService(
            "/audio/speech",
            model,
            provider=provider,
            api_key=api_key,
            base_url=base_url,
            own_url=speaks.base_url,
            extra_headers=extra_headers,
            conn_options=conn_options or OPTIONS,
            transport=transport,
        )
        self.model, self.provider = self._service.model, provider
        self.leaves_machine = self._service.leaves_machine
        given = {
            "voice": self.voice,
            "response_format": speaks.names.get(format_, format_),
            **({} if stream_format is None else {"stream_format": stream_format}),
            **({} if speed is None else {"speed": speed}),
            **({} if instructions is None else {"instructions": instructions}),
        }
        self._body = {
            "model": model,
            **speaks.fields,
            **without(given, speaks.drop, name),
            **more(extra_kwargs, name),
        }

    @property
    def sample_rate(self) -> int:
        return self._rate

    def prewarm(self) -> None:
        """Make a connection now, in the background; whether that works is seen when something is said."""
        self._service.prewarm()

    async def synthesize(self, text: str) -> AsyncIterator[AudioFrame]:
        for piece in pieces(text, self._longest):
            async with aclosing(self._exchange(piece).pieces(Attempts())) as frames:
                async for frame in frames:
                    yield frame

    def _exchange(self, text: str) -> Exchange[AudioFrame]:
        content = json.dumps({**self._body, "input": text}, ensure_ascii=False).encode(errors="replace")
        service, framing = self._service, ServerSentEvents if self._events else AsItComes
        kind = EventedSound if self._events else SoundAnswer

        async def request() -> Request:
            return await service.post(content, "application/json")

        def make_framing() -> Framing:
            return framing()

        return Exchange(
            service.service,
            service.connections,
            service.conn_options,
            request=request,
            answer=lambda: kind(service.service, self._rate),
            framing=make_framing,
        )

    async def aclose(self) -> None:
        await self._service.aclose()


def pieces(text: str, longest: int) -> list[str]:
    """`text` in requests of at most `longest` characters: cut behind sentences, else between words, else anywhere.

    What has no letter and no digit cannot be spoken, and is left out.
    """
    packed: list[str] = []
    for sentence in _SENTENCE_ENDS.split(text):
        for part in _cut(sentence.strip(), longest):
            if packed and len(packed[-1]) + 1 + len(part) <= longest:
                packed[-1] += f" {part}"
            else:
                packed.append(part)
    return [piece for piece in packed if any(map(str.isalnum, piece))]


def _cut(sentence: str, longest: int) -> list[str]:
    parts = []
    while len(sentence) > longest:
        at = sentence.rfind(" ", 0, longest + 1)
        at = at if at > 0 else longest
        parts.append(sentence[:at].strip())
        sentence = sentence[at:].strip()
    return [*parts, sentence] if sentence else parts


def _voice(voice: Any, label: str) -> str | Mapping[str, Any]:
    if isinstance(voice, Mapping) and voice:
        return voice
    if not isinstance(voice, str) or not voice.strip():
        raise UsageError(f"voice is {voice!r}; name one that {label} has, as in '{label}:NAME' or voice='NAME'.")
    return voice


def _format(format_: str, formats: tuple[str, ...], name: str) -> str:
    if format_ in formats:
        return format_
    if format_ in ("pcm", "wav"):
        raise UsageError(f"response_format is {format_!r}; {name} has {' and '.join(formats)} here.")
    raise UsageError(
        f"response_format is {format_!r}; only 'pcm' and 'wav' are played as they come, without a decoder."
    )
