"""Gemini's voice: rows D28 and D29, as a node and in a chat; sound as early as its bytes; a stop that stops it."""

import base64
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_runtime import clock, virtual
from agent_runtime.audio.frame import AudioFrame
from agent_runtime.errors import APIError, APIStatusError, UsageError
from agent_runtime.plugins import gemini as plugin
from agent_runtime.providers.gemini.answer import SoundAnswer
from agent_runtime.providers.gemini.tts import GeminiTTS, SoundFraming
from agent_runtime.providers.http.service import Service
from agent_runtime.types import APIConnectOptions
from tests.providers.gemini_wire import gemini, parts, refusal, stream
from tests.providers.wires import Scripted, collect, cut

MIME = "audio/L16;codec=pcm;rate=24000"
SOUND = bytes(range(256)) * 30
"""0.16 s."""


def sounds(*pieces: bytes, mime_type: str = MIME, finish: str = "STOP") -> bytes:
    messages = [
        parts({"inlineData": {"mimeType": mime_type, "data": base64.b64encode(each).decode()}}) for each in pieces
    ]
    return stream(
        [*messages, {**parts(finish=finish), "usageMetadata": {"candidatesTokenCount": 4, "totalTokenCount": 9}}]
    )


def voice(*answers: bytes | httpx.Response, **options: Any) -> tuple[GeminiTTS, Scripted]:
    service = Scripted(*answers)
    return GeminiTTS(**{"api_key": "key-1234567", **options, "transport": service}), service


def spoken(tts: GeminiTTS, text: str = "Hello there.") -> list[AudioFrame]:
    async def speak() -> list[AudioFrame]:
        frames = [frame async for frame in tts.synthesize(text)]
        await tts.aclose()
        return frames

    return virtual.run(speak())


def test_d28_a_phrase_is_a_request_and_its_sound_24_khz_mono() -> None:
    tts, service = voice(sounds(SOUND[:4000], SOUND[4000:]))
    frames = spoken(tts)
    assert b"".join(frame.data for frame in frames) == SOUND
    assert {(frame.sample_rate, frame.num_channels) for frame in frames} == {(24_000, 1)}
    assert tts.sample_rate == 24_000
    url = service.requests[0].url
    assert (url.path, url.query) == ("/v1beta/models/gemini-2.5-flash-preview-tts:streamGenerateContent", b"alt=sse")
    assert service.body["generationConfig"] == {
        "responseModalities": ["AUDIO"],
        "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}},
    }
    assert service.body["contents"][0]["parts"][0]["text"].endswith(':\n"Hello there."')


@pytest.mark.parametrize("name", ["Kore", "Charon", "AVoiceOfNextYear"])
def test_d29_any_voice_is_passed_on(name: str) -> None:
    tts, service = voice(sounds(SOUND), voice=name, instructions=None, language="de-DE", temperature=0.5)
    spoken(tts)
    config = service.body["generationConfig"]
    assert config["speechConfig"]["voiceConfig"]["prebuiltVoiceConfig"]["voiceName"] == name
    assert (config["speechConfig"]["languageCode"], config["temperature"]) == ("de-DE", 0.5)
    assert service.body["contents"][0]["parts"] == [{"text": "Hello there."}]
    assert tts.label == f"gemini/gemini-2.5-flash-preview-tts:{name}"


def test_d29_no_voice_is_refused() -> None:
    with pytest.raises(UsageError, match="voice is ''"):
        voice(b"", voice="")


def test_what_cannot_be_said_is_not_asked_for() -> None:
    tts, service = voice(sounds(SOUND))
    assert spoken(tts, " ... ") == []
    assert not service.requests


@pytest.mark.parametrize("kind", ["audio/L16;codec=pcm;rate=16000", "audio/wav", "audio/mpeg"])
def test_d28_sound_of_another_kind_is_an_error(kind: str) -> None:
    tts, _ = voice(sounds(SOUND, mime_type=kind), conn_options=APIConnectOptions(max_retry=0))
    with pytest.raises(APIError, match="not PCM of 24000 Hz"):
        spoken(tts)


def test_a_refusal_and_an_answer_without_sound_are_errors() -> None:
    refused, _ = voice(refusal(400, "INVALID_ARGUMENT", "Model tried to generate text"))
    with pytest.raises(APIStatusError, match="tried to generate text"):
        spoken(refused)
    blocked, _ = voice(stream([parts(finish="PROHIBITED_CONTENT")]))
    with pytest.raises(APIError, match="PROHIBITED_CONTENT"):
        spoken(blocked)


def test_a_failure_before_the_first_sound_is_tried_again() -> None:
    tts, service = voice(refusal(503, "UNAVAILABLE", "Overloaded"), sounds(SOUND))
    assert b"".join(frame.data for frame in spoken(tts)) == SOUND
    assert len(service.requests) == 2


class Slow(httpx.AsyncBaseTransport):
    """Sends its bytes in pieces, one each 100 ms, and notes when it was left."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.pieces = pieces
        self.left_at: float | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=_Slow(self))


class _Slow(httpx.AsyncByteStream):
    def __init__(self, service: Slow) -> None:
        self._service = service

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._service.pieces:
            await clock.sleep(0.1)
            yield piece

    async def aclose(self) -> None:
        self._service.left_at = clock.now()


def test_d28_the_first_frame_comes_before_its_message_is_whole_and_a_stop_closes_the_connection() -> None:
    whole = sounds(bytes(48_000))  # one message, one second
    service = Slow([whole[start : start + 4096] for start in range(0, len(whole), 4096)])
    assert len(service.pieces) > 10
    tts = GeminiTTS(api_key="k-123", transport=service)

    async def listen() -> tuple[float, float]:
        frames = tts.synthesize("Hello")
        await anext(aiter(frames))
        first_at = clock.now()
        await frames.aclose()  # type: ignore[attr-defined]
        return first_at, clock.now()

    first_at, closed_at = virtual.run(listen())
    assert first_at == pytest.approx(0.1)
    assert service.left_at == pytest.approx(first_at)
    assert closed_at == pytest.approx(first_at)


ESCAPED = sounds(SOUND, bytes(3), b"\xff" * 5000).replace(b"=", b"\\u003d").replace(b"/w", b"\\/w")
"""Odd numbers of bytes, and letters escaped as some servers do."""


@settings(max_examples=120, deadline=None)
@given(st.lists(st.integers(0, 20_000), max_size=10))
def test_any_cut_of_the_bytes_gives_the_same_samples(places: list[int]) -> None:
    framing, answer = SoundFraming(), SoundAnswer(Service("gemini", "tts"), lambda kind: None)
    samples = b""
    kinds = set()
    for piece in [*cut(ESCAPED, places), b""]:
        for payload in framing.feed(piece) if piece else framing.end():
            kinds |= {
                part["inlineData"]["mimeType"] for part in json.loads(payload)["candidates"][0]["content"]["parts"]
            }
            for chunk in answer.feed(payload):
                assert chunk.delta is not None
                assert chunk.delta.extra is not None
                assert len(chunk.delta.extra["pcm"]) % 2 == 0
                samples += chunk.delta.extra["pcm"]
    answer.end()
    assert samples == (SOUND + bytes(3) + b"\xff" * 5000)[:-1]  # half a sample is none
    assert kinds == {MIME}


# In a chat


def said(*pieces: bytes, **candidate: Any) -> bytes:
    content = [{"inlineData": {"mimeType": MIME, "data": base64.b64encode(each).decode()}} for each in pieces]
    return json.dumps(parts(*content, finish="STOP", **candidate)).encode()


def test_d28_sound_in_a_chat_comes_whole() -> None:
    llm, service = gemini(said(SOUND[:1001], SOUND[1001:]), model="gemini-2.5-pro-preview-tts")
    answer = collect(
        llm,
        modalities=["audio"],
        audio={"voice": "Charon", "format": "pcm16"},
        extra_kwargs={"temperature": 0.7, "max_tokens": 150},
    )
    assert service.requests[0].url.path.endswith(":generateContent")
    assert service.body["generationConfig"] == {
        "temperature": 0.7,
        "maxOutputTokens": 150,
        "responseModalities": ["AUDIO"],
        "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Charon"}}},
    }
    audio = answer.extra["audio"]
    assert base64.b64decode(audio["data"]) == SOUND
    assert (audio["id"], audio["transcript"]) == ("r-1", "")
    assert answer.text == ""


def test_d28_audio_alone_means_sound() -> None:
    llm, service = gemini(said(SOUND))
    assert collect(llm, audio={"voice": "Kore"}).extra["audio"]["data"]
    assert service.body["generationConfig"]["responseModalities"] == ["AUDIO"]


@pytest.mark.parametrize("asked", [{"audio": {"voice": "Kore", "format": "mp3"}}, {"audio": {"format": "wav"}}])
def test_d28_another_format_is_refused(asked: Any) -> None:
    llm, service = gemini()
    with pytest.raises(UsageError, match=r"audio\['format'\] is .*'pcm16' alone"):
        collect(llm, **asked)
    assert not service.requests


def test_d28_a_stream_of_sound_in_a_chat_is_refused() -> None:
    llm, service = gemini()
    with pytest.raises(UsageError, match=r"does not stream sound in a chat.*TTS node"):
        collect(llm, modalities=["audio"], extra_kwargs={"stream": True})
    assert not service.requests


def test_d28_the_names_that_users_know() -> None:
    assert plugin.TTS is GeminiTTS
    assert plugin.LLM.__name__ == "GeminiLLM"


def test_a_key_with_a_line_end_is_sent_without_and_one_that_no_header_carries_is_not_shown() -> None:
    tts, service = voice(sounds(SOUND), api_key="AIzaSECRET12345\n")
    spoken(tts)
    assert service.requests[0].headers["x-goog-api-key"] == "AIzaSECRET12345"
    with pytest.raises(UsageError, match=r"^Gemini's key") as caught:
        voice(api_key="AIzaSECRET\n12345")
    assert "SECRET" not in str(caught.value)
