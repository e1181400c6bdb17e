"""OpenAI's voice: sound as early as its bytes, whatever form it has; what is asked for; what goes wrong, by name."""

import base64
import json
import struct
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_runtime import clock, virtual
from agent_runtime.audio.frame import AudioFrame
from agent_runtime.errors import APIConnectionError, APIError, APIStatusError, APITimeoutError, UsageError
from agent_runtime.plugins import groq, openai, together
from agent_runtime.providers.http.service import Service
from agent_runtime.providers.http.sse import ServerSentEvents
from agent_runtime.providers.openai import services
from agent_runtime.providers.openai.sound import EventedSound, SoundAnswer
from agent_runtime.providers.openai.tts import OpenAITTS, pieces
from agent_runtime.types import APIConnectOptions
from tests.providers.speech_wire import Voices
from tests.providers.wires import cut

SOUND = struct.pack("<3000h", *(each * 7 % 20_000 - 10_000 for each in range(3000)))
"""0.125 s at 24 kHz."""

ONCE = APIConnectOptions(max_retry=0)


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for row in services.rows().values():
        for variable in (*row.base_url_variables, *row.key_variables, *row.token_variables):
            monkeypatch.delenv(variable, raising=False)


def voice(service: Voices, model: str | None = "tts-1", **options: Any) -> OpenAITTS:
    return OpenAITTS(model, **{"voice": "alloy", "api_key": "key-1234567", "transport": service, **options})


def spoken(tts: OpenAITTS, text: str = "Hello there.") -> list[AudioFrame]:
    async def speak() -> list[AudioFrame]:
        try:
            return [frame async for frame in tts.synthesize(text)]
        finally:
            await tts.aclose()

    return virtual.run(speak())


def samples(frames: Sequence[AudioFrame]) -> bytes:
    assert all(len(frame.data) % 2 == 0 and frame.num_channels == 1 for frame in frames)
    return b"".join(frame.data for frame in frames)


def wav(pcm: bytes, *, rate: int = 24_000, size: int | None = None, before: bytes = b"", **format_: int) -> bytes:
    bits, channels, kind = format_.get("bits", 16), format_.get("channels", 1), format_.get("kind", 1)
    head = struct.pack("<HHIIHH", kind, channels, rate, rate * 2, 2, bits)
    size = len(pcm) if size is None else size
    return (
        b"RIFF\0\0\0\0WAVE" + before + b"fmt " + struct.pack("<I", 16) + head + b"data" + struct.pack("<I", size) + pcm
    )


def events(
    *sounds: bytes, name: str = "audio", kind: str = "speech.audio.delta", done: str = "speech.audio.done"
) -> bytes:
    told = [{"type": kind, name: base64.b64encode(sound).decode()} for sound in sounds]
    return b"".join(
        b"data: " + json.dumps(each).encode() + b"\n\n" for each in [*told, *([{"type": done}] if done else [])]
    )


# What is asked


def test_headers_of_ones_own_take_the_place_of_ours() -> None:
    service = Voices([SOUND])
    spoken(voice(service, extra_headers={"Authorization": "Bearer other", "Accept": "audio/pcm"}))
    (request,) = service.requests
    assert request.headers.get_list("authorization") == ["Bearer other"]
    assert request.headers.get_list("accept") == ["audio/pcm"]


def test_a_query_in_the_address_stays_a_query() -> None:
    service = Voices([SOUND])
    spoken(voice(service, base_url="http://house.test/v1/audio/speech?x=y"))
    assert [str(each.url) for each in service.requests] == ["http://house.test/v1/audio/speech?x=y"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"extra_headers": {"x": "a\nb"}}, "The header 'x'"),
        ({"extra_headers": "x"}, "extra_headers is 'x'"),
        ({"extra_kwargs": "x"}, "extra_kwargs is 'x'"),
        ({"base_url": 5}, "base_url of openai is 5"),
    ],
)
def test_what_cannot_be_sent_is_refused_when_the_voice_is_made(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        voice(Voices([SOUND]), **options)


def test_a_phrase_is_a_request_and_its_sound_24_khz_mono() -> None:
    service = Voices([SOUND[:1001], SOUND[1001:]])
    tts = voice(service, speed=1.25, extra_kwargs={"seed": 7}, extra_headers={"x-team": "a"})
    frames = spoken(tts)
    assert samples(frames) == SOUND
    assert len(frames) == 2
    assert (tts.sample_rate, {frame.sample_rate for frame in frames}) == (24_000, {24_000})
    (request,) = service.requests
    assert str(request.url) == "https://api.openai.com/v1/audio/speech"
    assert request.headers["authorization"] == "Bearer key-1234567"
    assert (request.headers["x-team"], request.headers["accept"]) == ("a", "*/*")
    assert service.body == {
        "model": "tts-1",
        "input": "Hello there.",
        "voice": "alloy",
        "response_format": "pcm",
        "speed": 1.25,
        "seed": 7,
    }
    assert tts.label == "openai/tts-1:alloy"


def test_the_rows_model_and_voice_and_instructions() -> None:
    service = Voices([SOUND])
    spoken(voice(service, None, voice=None, instructions="Cheerfully."))
    assert service.body["model"] == "gpt-4o-mini-tts"
    assert (service.body["voice"], service.body["instructions"]) == ("alloy", "Cheerfully.")


def test_instructions_are_not_sent_to_models_that_take_none(caplog: pytest.LogCaptureFixture) -> None:
    service = Voices([SOUND])
    spoken(voice(service, instructions="Cheerfully."))
    assert "instructions" not in service.body
    assert "openai/tts-1 takes no instructions" in caplog.text


def test_a_voice_of_ones_own_is_an_object() -> None:
    service = Voices([SOUND])
    tts = voice(service, voice={"id": "voice_1"})
    spoken(tts)
    assert service.body["voice"] == {"id": "voice_1"}
    assert tts.label == "openai/tts-1:voice_1"


def test_azure_is_asked_at_its_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://me.openai.azure.com")
    monkeypatch.setenv("OPENAI_API_VERSION", "2025-04-01-preview")
    service = Voices([SOUND])
    spoken(voice(service, "my-tts", provider="azure"))
    (request,) = service.requests
    wanted = "https://me.openai.azure.com/openai/deployments/my-tts/audio/speech?api-version=2025-04-01-preview"
    assert str(request.url) == wanted
    assert request.headers["api-key"] == "key-1234567"


def test_a_server_of_ones_own_needs_an_address_alone() -> None:
    service = Voices([SOUND])
    address = "http://127.0.0.1:8880/v1/audio/speech"
    tts = voice(service, "kokoro", provider="openai_compatible", voice="af_heart", base_url=address, api_key=None)
    assert samples(spoken(tts)) == SOUND
    assert str(service.requests[0].url) == address
    assert not tts.leaves_machine


def test_the_names_that_users_know() -> None:
    assert openai.TTS(api_key="k-123").label == "openai/gpt-4o-mini-tts:alloy"
    assert groq.TTS(api_key="k-123").label == "groq/canopylabs/orpheus-v1-english:autumn"
    assert together.TTS("hexgrad/Kokoro-82M", api_key="k-123").label == "together/hexgrad/Kokoro-82M:af_alloy"


# Text


def test_what_cannot_be_said_is_not_asked_for() -> None:
    service = Voices([SOUND])
    assert spoken(voice(service), " ... 🙂 ") == []
    assert not service.requests


def test_long_text_is_spoken_in_several_requests() -> None:
    service = Voices([SOUND])
    text = "One sentence that is a little longer than most of them are. " * 100
    frames = spoken(voice(service), text)
    inputs = [json.loads(request.content)["input"] for request in service.requests]
    assert len(inputs) == 2
    assert all(len(each) <= 4096 and each.endswith(".") for each in inputs)
    assert " ".join(inputs).split() == text.split()
    assert samples(frames) == SOUND * 2


@given(st.text(st.sampled_from("ab.! \n…1"), max_size=60), st.integers(1, 20))
def test_no_letter_is_lost_and_no_piece_is_too_long(text: str, longest: int) -> None:
    cut_up = pieces(text, longest)
    assert all(0 < len(piece) <= longest for piece in cut_up)
    assert [each for each in "".join(cut_up) if each.isalnum()] == [each for each in text if each.isalnum()]


# Forms of sound


WAVES = {
    "plain": wav(SOUND),
    "of unknown length": wav(SOUND, size=0xFFFFFFFF),
    "never finished": wav(SOUND, size=0),
    "with a list": wav(SOUND, before=b"LIST\x03\0\0\0abc\0") + b"LIST\x04\0\0\0abcd",
    "extensible": b"RIFF\0\0\0\0WAVEfmt "
    + struct.pack("<IHHIIHHHHIH14s", 40, 0xFFFE, 1, 24_000, 48_000, 2, 16, 22, 16, 4, 1, bytes(14))
    + b"data"
    + struct.pack("<I", len(SOUND))
    + SOUND,
}


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["pcm", *WAVES]), st.lists(st.integers(0, 8000), max_size=8))
def test_any_cut_of_the_bytes_gives_the_same_samples(name: str, places: list[int]) -> None:
    answer = SoundAnswer(Service("openai", "tts-1"), 24_000)
    answer.begins("audio/wav")
    frames = [frame for piece in cut(WAVES.get(name, SOUND), places) if piece for frame in answer.feed(piece)]
    assert samples([*frames, *answer.end()]) == SOUND


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 12_000), max_size=8))
def test_any_cut_of_events_gives_the_same_samples(places: list[int]) -> None:
    framing, answer = ServerSentEvents(), EventedSound(Service("openai", "m"), 24_000)
    data = events(SOUND[:1001], SOUND[1001:])
    payloads = [each for piece in cut(data, places) for each in framing.feed(piece)] + framing.end()
    frames = [frame for payload in payloads for frame in answer.feed(payload)]
    assert samples([*frames, *answer.end()]) == SOUND


def test_a_wav_where_pcm_was_asked_for_is_read_as_one() -> None:
    assert samples(spoken(voice(Voices([WAVES["plain"]])))) == SOUND


def test_groq_is_asked_for_wav_and_another_rate_is_resampled() -> None:
    service = Voices([wav(SOUND * 2, rate=48_000)], content_type="audio/wav")
    tts = OpenAITTS(provider="groq", api_key="k-123", transport=service)
    frames = spoken(tts)
    assert service.body["response_format"] == "wav"
    assert {frame.sample_rate for frame in frames} == {tts.sample_rate} == {24_000}
    assert len(samples(frames)) == len(SOUND)


def test_the_rate_that_the_type_says_counts() -> None:
    frames = spoken(voice(Voices([SOUND], content_type="audio/L16;rate=12000")))
    assert len(samples(frames)) == 2 * len(SOUND)


def test_another_rate_of_pcm_is_told_as_sample_rate() -> None:
    tts = voice(Voices([SOUND]), sample_rate=16_000)
    frames = spoken(tts)
    assert (tts.sample_rate, {frame.sample_rate for frame in frames}, samples(frames)) == (16_000, {16_000}, SOUND)


def test_together_sends_events() -> None:
    answer = events(SOUND, name="delta", kind="conversation.item.audio_output.delta", done="") + b"data: [DONE]\n\n"
    service = Voices([answer], content_type="text/event-stream")
    assert samples(spoken(OpenAITTS(provider="together", api_key="k-123", transport=service))) == SOUND
    wanted = {"response_format": "raw", "stream": True, "response_encoding": "pcm_s16le", "voice": "tara"}
    assert {name: service.body[name] for name in wanted} == wanted


def test_events_where_they_are_asked_for() -> None:
    service = Voices([events(SOUND)], content_type="text/event-stream")
    assert samples(spoken(voice(service, "gpt-4o-mini-tts", stream_format="sse"))) == SOUND
    assert service.body["stream_format"] == "sse"


# Time


def test_the_first_frame_is_there_with_its_bytes_and_a_stop_closes_the_connection() -> None:
    service = Voices([SOUND[:960]] * 50, every=0.1)

    async def listen() -> tuple[float, float]:
        frames = voice(service).synthesize("Hello")
        await anext(aiter(frames))
        first_at = clock.now()
        await frames.aclose()  # type: ignore[attr-defined]
        return first_at, clock.now()

    first_at, closed_at = virtual.run(listen())
    assert first_at == pytest.approx(0.1)
    assert closed_at - first_at <= 0.01
    assert service.left_at == pytest.approx(first_at)


def test_a_failure_before_the_first_sound_is_tried_again() -> None:
    service = Voices(httpx.Response(503), [b"broken"], [SOUND])
    assert samples(spoken(voice(service))) == SOUND
    assert len(service.requests) == 3


def test_a_failure_behind_the_first_sound_is_not() -> None:
    service = Voices([SOUND, b"broken"], [SOUND])
    with pytest.raises(APIConnectionError, match="broke in the middle of an answer of 'tts-1'"):
        spoken(voice(service))
    assert len(service.requests) == 1


def test_silence_in_the_middle_ends_it_before_the_session_gives_up() -> None:
    async def main() -> float:
        tts = voice(Voices([SOUND, b"silence"]))
        try:
            with pytest.raises(APITimeoutError, match="said nothing of 'tts-1' for 2 s in the middle"):
                async for _ in tts.synthesize("Hello."):
                    pass
            return clock.now()
        finally:
            await tts.aclose()

    assert virtual.run(main()) == pytest.approx(2.0)


def test_sound_is_not_written_to_the_log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_RUNTIME_LLM_DEBUG", "1")
    spoken(voice(Voices([SOUND])))
    assert '"input": "Hello there."' in caplog.text
    assert f"<- openai/tts-1 {len(SOUND)} bytes that are no text" in caplog.text


# What is wrong


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"voice": ""}, "voice is ''; name one that openai/tts-1 has"),
        ({"voice": 3}, "voice is 3"),
        ({"voice": None, "provider": "openai_compatible", "base_url": "http://house.test/v1"}, "voice is ''"),
        ({"speed": 0.2}, r"speed is 0.2; it is a number from 0.25 to 4\."),
        ({"speed": 4.1}, "speed is 4.1"),
        ({"sample_rate": 1}, "sample_rate is 1"),
        ({"response_format": "mp3"}, "response_format is 'mp3'; only 'pcm' and 'wav' are played"),
        ({"response_format": "opus"}, "response_format is 'opus'"),
        ({"response_format": "pcm", "provider": "groq"}, "response_format is 'pcm'; Groq has wav here"),
        ({"stream_format": "chunks"}, "stream_format is 'chunks'"),
        ({"api_key": None}, "OpenAI needs a key; set OPENAI_API_KEY"),
        ({"provider": "cerebras"}, "Cerebras has no models here that speak; those that do are openai, azure"),
        ({"provider": "open_ai"}, "no service 'open_ai'"),
        ({"model": ""}, "The model is ''"),
        ({"extra_kwargs": {"model": "tts-2"}}, "extra_kwargs of openai/tts-1 has model='tts-2'; give it as the model"),
    ],
)
def test_what_cannot_be_asked_is_refused_at_once(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        voice(Voices([SOUND]), **{"model": "tts-1", **options})


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (401, r"openai refused 'tts-1' \(status 401\): No key \*\*\*\. Check the key in OPENAI_API_KEY"),
        (404, "status 404.*Check the model's name and the base URL"),
        (400, "status 400.*Check the parameters"),
    ],
)
def test_a_refusal_is_a_sentence_without_the_key(status: int, sentence: str) -> None:
    refusal = httpx.Response(status, json={"error": {"message": "No key key-1234567."}})
    with pytest.raises(APIStatusError, match=sentence):
        spoken(voice(Voices(refusal)))


@pytest.mark.parametrize(
    ("content_type", "answer", "sentence"),
    [
        ("audio/mpeg", b"\xff\xf3\xe4\xc4" + bytes(100), "it is MP3 or AAC, and 16-bit samples were asked for"),
        ("audio/pcm", b"ID3\x04" + bytes(100), "it is MP3"),
        ("", b"OggS" + bytes(100), "it is Ogg"),
        ("application/json", b'{"audio_data": ""}', "it is application/json and no sound"),
        ("audio/wav", wav(SOUND, kind=3, bits=32), "1 channels with float samples"),
        ("audio/wav", wav(SOUND, channels=2), "2 channels"),
        ("audio/wav", wav(SOUND, size=len(SOUND) + 10), "cut off, 10 bytes before the end"),
        ("audio/wav", wav(SOUND)[:30], "it ends after 30 bytes, before its sound"),
        ("audio/wav", wav(b""), "there is no sound in it"),
        ("audio/wav", b"RIFF\0\0\0\0WAVEjunk\xff\xff\xff\x0f" + bytes(70_000), "without samples"),
        ("audio/pcm", b"", "there is no sound in it"),
    ],
)
def test_sound_that_cannot_be_played_is_named(content_type: str, answer: bytes, sentence: str) -> None:
    with pytest.raises(APIError, match=sentence):
        spoken(voice(Voices([answer], content_type=content_type), conn_options=ONCE))


def test_pcm_that_is_loud_at_once_is_no_mp3() -> None:
    loud = b"\xff\xfb" + SOUND
    assert samples(spoken(voice(Voices([loud])))) == loud


@pytest.mark.parametrize(
    ("content_type", "answer", "sentence"),
    [
        ("audio/pcm", SOUND, "it is audio/pcm, and events were asked for"),
        ("text/event-stream", events(SOUND, done=""), "it ends before its end mark"),
        ("text/event-stream", b"data: {\n\n", "cannot be used"),
        ("text/event-stream", b"data: []\n\n", "an event that is no object"),
        ("text/event-stream", b'data: {"type": "speech.audio.delta", "audio": "?"}\n\n', "cannot be used"),
        ("text/event-stream", b'data: {"error": {"message": "on fire", "code": 500}}\n\n', "status 500.*on fire"),
    ],
)
def test_events_that_cannot_be_played_are_named(content_type: str, answer: bytes, sentence: str) -> None:
    service = Voices([answer], content_type=content_type)
    with pytest.raises(APIError, match=sentence):
        spoken(voice(service, "gpt-4o-mini-tts", stream_format="sse", conn_options=ONCE))
