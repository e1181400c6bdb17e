"""A recogniser behind OpenAI's ``/audio/transcriptions``, and behind every service that speaks it: a row of `services.toml`.

Theory of operation. The service is sent whole utterances (see `voiced`), each when it is over; a long span is cut, and its
first utterances are read while the caller still speaks. Uploads may overlap, and answers come in any order, but a span says
nothing before the one before it has said its last: so finals are in the order of the words. The sound of an utterance is
kept until it has been read, so what fails is sent again. Where the service can stream, the words up to now are interim
transcripts.

An utterance that cannot be read is a final without words, by which a session asks the caller to say it again. The failure
itself is raised when nothing is going on, so that a new stream misses no sound.
"""

import asyncio
import hashlib
import logging
import struct
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import httpx

from agent_runtime.audio.frame import INPUT_RATE, AudioFrame
from agent_runtime.channels import Channel
from agent_runtime.errors import UsageError
from agent_runtime.providers.http.exchange import Attempts, Exchange, Request
from agent_runtime.providers.openai import services
from agent_runtime.providers.openai.audio import AudioService, cannot, known_model, more, without
from agent_runtime.providers.openai.document import DocumentOrEvents
from agent_runtime.providers.openai.llm import Secret
from agent_runtime.providers.openai.speech_services import Transcribes
from agent_runtime.providers.openai.transcript import Transcript, TranscriptAnswer
from agent_runtime.providers.ranges import number, one_of
from agent_runtime.providers.voiced import (
    MAX_UTTERANCE_S,
    NOTHING,
    SAMPLE_BYTES,
    PreRoll,
    Reading,
    Span,
    batches,
    by_voice,
)
from agent_runtime.stt import STT, RecognizeStream, SpeechEvent, SpeechEventType, STTContext
from agent_runtime.text.language import normalize_language
from agent_runtime.types import APIConnectOptions

_MANY = 1 << 16
"""More items than a channel here ever holds."""

Run = Callable[[Coroutine[Any, Any, None]], object]

log = logging.getLogger("agent_runtime.speech")


class OpenAISTT(STT):
    """A recogniser at a service. It needs a voice activity detector beside it.

    Args:
        model: as the service names it; where it is left out, the one that the service's row names.
        language: what is spoken, as ``en`` or ``de-CH``; None lets the model find out, and so does `detect_language`.
        prompt: words in the style and the spelling that are to be expected.
        temperature: from 0 to 1.
        response_format: ``json``, or ``verbose_json`` for how sure it is; else what the row says.
        stream: whether words are asked for while the service reads on; else what the row says.
        provider: a row of `services.toml`.
        api_key, base_url, conn_options, transport: as for `OpenAILLM`.
        extra_headers: sent besides.
        extra_kwargs: further fields of the form, sent as they are; a list is a field given several times.

    Raises:
        UsageError: an option, the address or the key is no such, or is missing.
    """

    needs_vad = True

    def __init__(
        self,
        model: str | None = None,
        *,
        language: str | None = "en",
        detect_language: bool = False,
        prompt: str | None = None,
        temperature: float | None = None,
        response_format: str | None = None,
        stream: bool | None = None,
        provider: str = "openai",
        api_key: Secret | None = None,
        base_url: str | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_kwargs: Mapping[str, Any] | None = None,
        conn_options: APIConnectOptions | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        row = services.row(provider).stt
        if row is None:
            raise cannot(provider, "stt", "transcribe")
        model = known_model(model, row.default.default_model, provider, "transcribes")
        self.row: Transcribes = row.of(model)
        self.label = f"{provider}/{model}"
        self.language = None if detect_language else language
        if self.language and normalize_language(self.language) is None:
            raise UsageError(
                f"language is {language!r}; give a code such as 'en' or 'de-CH', or None to let the model find out."
            )
        number("temperature", temperature, 0.0, 1.0)
        one_of("response_format", response_format, ("json", "verbose_json"))
        self.service = AudioService(
            "/audio/transcriptions",
            model,
            provider=provider,
            api_key=api_key,
            base_url=base_url,
            own_url=self.row.base_url,
            extra_headers=extra_headers,
            conn_options=conn_options or APIConnectOptions(),
            transport=transport,
        )
        self.model, self.provider = self.service.model, provider
        self.leaves_machine = self.service.leaves_machine
        given = {
            **({} if response_format is None else {"response_format": response_format}),
            **({} if prompt is None else {"prompt": prompt}),
            **({} if temperature is None else {"temperature": temperature}),
        }
        self._fields: dict[str, Any] = {
            "model": model,
            **({"response_format": self.row.response_format} if self.row.response_format else {}),
            **({"stream": True} if (self.row.streams if stream is None else stream) else {}),
            **self.row.fields,
            **without(given, self.row.drop, self.label),
            **more(extra_kwargs, self.label),
        }

    def stream(self, *, language: str | None = None, context: STTContext | None = None) -> "TranscriptionStream":
        """Start on a new microphone; key terms are told to the model as words to expect."""
        code = normalize_language(language or self.language) or ""
        return TranscriptionStream(self, self.form(code, context.keyterms if context else ()), code)

    def form(self, language: str, keyterms: Sequence[str]) -> list[tuple[str, str]]:
        """What is sent besides the sound."""
        fields = dict(self._fields)
        if language:
            fields.setdefault("language", language)
        if keyterms and self.row.keyterms == "prompt":
            fields["prompt"] = " ".join(filter(None, (fields.get("prompt"), self._told(keyterms))))
        elif keyterms and self.row.keyterms:
            fields.setdefault(self.row.keyterms, list(keyterms))
        return [(name, str(each)) for name, value in fields.items() for each in _several(value)]

    def _told(self, keyterms: Sequence[str]) -> str:
        told: list[str] = []
        for term in keyterms:
            if len(", ".join([*told, term])) > self.row.longest_prompt:
                log.warning(
                    "%s is told %d of %d key terms; a prompt has no room for more.",
                    self.label,
                    len(told),
                    len(keyterms),
                )
                break
            told.append(term)
        return ", ".join(told)

    def prewarm(self) -> None:
        """Make a connection now, in the background; whether that works is seen when something is said."""
        self.service.prewarm()

    async def aclose(self) -> None:
        await self.service.aclose()


class TranscriptionStream(RecognizeStream):
    """One microphone."""

    def __init__(self, stt: OpenAISTT, form: list[tuple[str, str]], language: str) -> None:
        super().__init__()
        self._stt = stt
        self._form = form
        self._language = language
        self._spans: Channel[_SpanOnItsWay] = Channel(_MANY)
        self._open = 0
        """Spans of which not all has been told."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def recognize(self, audio: AsyncIterator[AudioFrame]) -> AsyncIterator[SpeechEvent]:
        hearing = self._run(self._hear(audio))
        failure: Exception | None = None
        try:
            async for span in self._spans:
                yield SpeechEvent(SpeechEventType.START_OF_SPEECH)
                async for event in span.events:
                    yield event
                yield SpeechEvent(SpeechEventType.END_OF_SPEECH)
                self._open -= 1
                failure = span.failure or failure
                if failure is not None and not self._open:
                    raise failure
            if not self._closed:
                await hearing
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        await super().aclose()
        self._closed = True
        self._spans.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(coroutine, name=f"{self._stt.label} stream")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _hear(self, audio: AsyncIterator[AudioFrame]) -> None:
        """Cut the sound into spans, and send off what is over."""
        before = PreRoll()
        span: _SpanOnItsWay | None = None
        try:
            async for frames in batches(audio, self._stt.label):
                for frames_alike in by_voice(frames):
                    if frames_alike[0].voiced:
                        if span is None:
                            span = self._begin(frames_alike[0].at or 0.0)
                            frames_alike = [*before.take(), *frames_alike]
                        span.take(frames_alike)
                    else:
                        if span is not None:
                            span.end()
                            span = None
                        before.remember(frames_alike)
        finally:
            if span is not None:
                span.end()
            self._spans.close()

    def _begin(self, at: float) -> "_SpanOnItsWay":
        span = _SpanOnItsWay(self._stt, self._form, Span(self._language, at), self._run)
        self._open += 1
        self._spans.put(span)
        self._run(span.read())
        return span


class _SpanOnItsWay:
    """A span whose utterances are sent off as they are cut (`run` makes a task), and told of in their order."""

    def __init__(self, stt: OpenAISTT, form: list[tuple[str, str]], span: Span, run: Run) -> None:
        self.events: Channel[SpeechEvent] = Channel(_MANY)
        self.failure: Exception | None = None
        self._stt = stt
        self._form = form
        self._span = span
        self._run = run
        self._pcm = bytearray()
        self._utterances: Channel[_Utterance] = Channel(_MANY)

    def take(self, frames: Sequence[AudioFrame]) -> None:
        self._span.take(frames)
        for frame in frames:
            self._pcm += frame.data
        if len(self._pcm) >= MAX_UTTERANCE_S * INPUT_RATE * SAMPLE_BYTES:
            self._send()

    def end(self) -> None:
        if self._pcm:
            self._send()
        self._utterances.close()

    def _send(self) -> None:
        utterance = _Utterance(self._stt, self._form, bytes(self._pcm))
        self._pcm.clear()
        self._utterances.put(utterance)
        self._run(utterance.read())

    async def read(self) -> None:
        """Tell of the utterances, the first one first."""
        span = self._span
        try:
            async for utterance in self._utterances:
                async for words in utterance.so_far:
                    self._tell(span.heard(Reading(words, None)))
                found = utterance.result
                if not isinstance(found, Transcript):
                    self.failure = found
                    continue
                span.language = span.language or normalize_language(found.language) or ""
                span.keep(found.reading)
                if not self._utterances.closed or len(self._utterances):  # else the final comes at once
                    self._tell(span.heard(NOTHING))
            self._tell(span.finished(NOTHING))
        finally:
            self.events.close()

    def _tell(self, event: SpeechEvent | None) -> None:
        if event is not None:
            self.events.put(event)


class _Utterance:
    """A stretch of sound that is to be read. `result` is there when `so_far` has ended."""

    def __init__(self, stt: OpenAISTT, form: list[tuple[str, str]], pcm: bytes) -> None:
        self.so_far: Channel[str] = Channel(_MANY)
        self.result: Transcript | Exception | None = None
        self._stt = stt
        self._content_type, self._content = multipart(form, wav(pcm))

    async def read(self) -> None:
        try:
            async with aclosing(self._exchange().pieces(Attempts())) as found:
                async for transcript in found:
                    self._done(transcript)  # and to the end, so that the connection can be used again
        except Exception as error:
            if self.result is None:
                log.warning("%s: %s", self._stt.label, error)
                self._done(error)
        finally:
            self.so_far.close()

    def _done(self, result: Transcript | Exception) -> None:
        self.result = result
        self.so_far.close()

    def _more(self, words: str) -> None:
        if not self.so_far.closed:
            self.so_far.put(words)

    def _exchange(self) -> Exchange[Transcript]:
        service = self._stt.service

        async def request() -> Request:
            return await service.post(self._content, self._content_type)

        return Exchange(
            service.service,
            service.connections,
            service.conn_options,
            request=request,
            answer=lambda: TranscriptAnswer(service.service, self._more),
            framing=DocumentOrEvents,
        )


def wav(pcm: bytes) -> bytes:
    """A WAV file of 16 kHz mono."""
    format_ = struct.pack("<HHIIHH", 1, 1, INPUT_RATE, INPUT_RATE * SAMPLE_BYTES, SAMPLE_BYTES, 8 * SAMPLE_BYTES)
    head = b"WAVEfmt " + struct.pack("<I", len(format_)) + format_ + b"data" + struct.pack("<I", len(pcm))
    return b"RIFF" + struct.pack("<I", len(head) + len(pcm)) + head + pcm


def multipart(fields: Iterable[tuple[str, str]], file: bytes) -> tuple[str, bytes]:
    """A form and the type of its content. The same sound and the same fields make the same bytes."""
    boundary = hashlib.sha256(file).hexdigest()[:32]
    parts = [f'name="{name}"\r\n\r\n{value}\r\n'.encode(errors="replace") for name, value in fields]
    parts.append(b'name="file"; filename="speech.wav"\r\nContent-Type: audio/wav\r\n\r\n' + file + b"\r\n")
    mark = f"--{boundary}".encode()
    body = b"".join(mark + b"\r\nContent-Disposition: form-data; " + part for part in parts)
    return f"multipart/form-data; boundary={boundary}", body + mark + b"--\r\n"


def _several(value: Any) -> Sequence[Any]:
    if isinstance(value, bool):
        return (str(value).lower(),)
    return value if isinstance(value, list | tuple) else (value,)
