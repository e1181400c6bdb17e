"""OpenAI's ear: what is sent of the sound, in which order words come back, and that none is lost when a service fails."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_runtime import clock, virtual
from agent_runtime.audio.frame import AudioFrame
from agent_runtime.channels import Channel
from agent_runtime.errors import APIError, APIStatusError, UsageError
from agent_runtime.plugins import groq, openai
from agent_runtime.providers.http.service import Service
from agent_runtime.providers.openai import services
from agent_runtime.providers.openai import stt as openai_stt
from agent_runtime.providers.openai.document import DocumentOrEvents
from agent_runtime.providers.openai.stt import OpenAISTT, multipart, wav
from agent_runtime.providers.openai.transcript import Transcript, TranscriptAnswer, transcript
from agent_runtime.stt import SpeechEvent, SpeechEventType, STTContext
from agent_runtime.types import APIConnectOptions
from tests.providers.speech_wire import Answer, Ears, said, streamed
from tests.providers.wires import cut

ONCE = APIConnectOptions(max_retry=0)


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for row in services.rows().values():
        for variable in (*row.base_url_variables, *row.key_variables, *row.token_variables):
            monkeypatch.delenv(variable, raising=False)


def ear(service: Ears, model: str | None = "whisper-1", **options: Any) -> OpenAISTT:
    return OpenAISTT(model, **{"api_key": "key-1234567", "transport": service, **options})


Call = Sequence[tuple[float, bool]]
"""Stretches of a call: seconds, and whether there is a voice."""

ONE: Call = ((1.0, False), (0.6, True), (1.0, False))
TWO: Call = ((1.0, False), (0.6, True), (0.6, False), (0.4, True), (1.0, False))


@dataclass
class Heard:
    """What came of a call."""

    events: list[tuple[float, SpeechEvent]]
    failure: Exception | None = None

    def of(self, kind: SpeechEventType) -> list[str]:
        return [event.alternatives[0].text for _, event in self.events if event.type == kind]

    @property
    def finals(self) -> list[str]:
        return self.of(SpeechEventType.FINAL_TRANSCRIPT)

    @property
    def interims(self) -> list[str]:
        return self.of(SpeechEventType.INTERIM_TRANSCRIPT)

    @property
    def final(self) -> SpeechEvent:
        (event,) = (event for _, event in self.events if event.type == SpeechEventType.FINAL_TRANSCRIPT)
        return event


def heard(
    stt: OpenAISTT, call: Call, *, context: STTContext | None = None, during: Callable[[Any], None] | None = None
) -> Heard:
    """The call, at the speed at which it is spoken. The n-th frame's samples are all n."""

    async def main() -> Heard:
        audio: Channel[AudioFrame] = Channel(10_000)
        stream = stt.stream(context=context)
        result = Heard([])

        async def speak() -> None:
            number = 0
            for seconds, voiced in call:
                for _ in range(round(seconds / 0.02)):
                    data = number.to_bytes(2, "little") * 320
                    audio.put(AudioFrame(data, 16_000, at=clock.now(), voiced=voiced))
                    await clock.sleep(0.02)
                    number += 1
            audio.close()

        speaking = asyncio.ensure_future(speak())
        try:
            async with stream:
                async for event in stream.recognize(audio):
                    result.events.append((round(clock.now(), 3), event))
        except Exception as error:
            result.failure = error
        speaking.cancel()
        await asyncio.wait([speaking])
        await stt.aclose()
        assert len(asyncio.all_tasks()) == 1
        return result

    return virtual.run(main())


def sound_of(form: dict[str, list[bytes]]) -> tuple[int, int]:
    """The numbers of the first and of the last frame that were sent."""
    (file,) = form["file"]
    assert file[:4] == b"RIFF"
    assert len(file) - 8 == int.from_bytes(file[4:8], "little")
    assert int.from_bytes(file[24:28], "little") == 16_000
    return int.from_bytes(file[44:46], "little"), int.from_bytes(file[-2:], "little")


# What is sent, and when


def test_a_span_is_sent_when_it_ends_with_half_a_second_before_it() -> None:
    service = Ears(said("hello there"))
    result = heard(ear(service), ONE)
    (form,) = service.forms
    assert sound_of(form) == (25, 79)  # from 0.5 s to 1.6 s
    assert service.asked_at == [pytest.approx(1.6)]
    assert {name: values for name, values in form.items() if name != "file"} == {
        "model": [b"whisper-1"],
        "response_format": [b"verbose_json"],
        "language": [b"en"],
    }
    request = service.requests[0]
    assert str(request.url) == "https://api.openai.com/v1/audio/transcriptions"
    assert request.headers["authorization"] == "Bearer key-1234567"
    assert [event.type.value for _, event in result.events] == ["start_of_speech", "final_transcript", "end_of_speech"]
    data = result.final.alternatives[0]
    assert (data.text, data.language, data.confidence) == ("hello there", "en", None)
    assert data.start_time == pytest.approx(1.0)
    assert data.end_time == pytest.approx(1.6)


def test_language_prompt_temperature_and_key_terms_are_sent() -> None:
    service = Ears(said("x"))
    stt = ear(
        service, language="de-CH", prompt="Züri.", temperature=0.2, extra_kwargs={"seed": 7, "tags[]": ["a", "b"]}
    )
    heard(stt, ONE, context=STTContext(keyterms=["Tschau Sepp", "Zmittag"]))
    (form,) = service.forms
    assert form["language"] == [b"de"]
    assert form["prompt"] == ["Züri. Tschau Sepp, Zmittag".encode()]
    assert (form["temperature"], form["seed"], form["tags[]"]) == ([b"0.2"], [b"7"], [b"a", b"b"])


@pytest.mark.parametrize(
    ("options", "field", "told"),
    [
        ({"model": "gpt-transcribe"}, "keywords[]", [b"Ada", b"Bob Lee"]),
        ({"provider": "mistralai", "model": None}, "context_bias", [b"Ada", b"Bob Lee"]),
        ({"provider": "groq", "model": None}, "prompt", [b"Ada, Bob Lee"]),
    ],
)
def test_key_terms_go_where_the_service_takes_them(options: dict[str, Any], field: str, told: list[bytes]) -> None:
    service = Ears(said("x"))
    heard(ear(service, **options), ONE, context=STTContext(keyterms=["Ada", "Bob Lee"]))
    assert service.forms[0][field] == told


def test_more_key_terms_than_a_prompt_has_room_for_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    service = Ears(said("x"))
    heard(ear(service), ONE, context=STTContext(keyterms=["term"] * 500))
    assert len(service.forms[0]["prompt"][0]) <= 800
    assert "of 500 key terms" in caplog.text


@pytest.mark.parametrize(
    ("options", "url", "fields"),
    [
        ({"provider": "groq", "model": None}, "https://api.groq.com/openai/v1", {"model": "whisper-large-v3-turbo"}),
        (
            {"provider": "together", "model": None},
            "https://api.together.xyz/v1",
            {"model": "openai/whisper-large-v3", "response_format": "json"},
        ),
        (
            {"provider": "fireworks", "model": None},
            "https://audio-turbo.us-virginia-1.direct.fireworks.ai/v1",
            {"model": "whisper-v3-turbo"},
        ),
        (
            {"provider": "fireworks", "model": "whisper-v3"},
            "https://audio-prod.us-virginia-1.direct.fireworks.ai/v1",
            {"model": "whisper-v3"},
        ),
        (
            {"provider": "mistralai", "model": None},
            "https://api.mistral.ai/v1",
            {"stream": "true", "response_format": None},
        ),
        ({"model": "gpt-4o-transcribe"}, "https://api.openai.com/v1", {"stream": "true", "include[]": "logprobs"}),
        (
            {"provider": "openai_compatible", "model": "m", "base_url": "http://127.0.0.1:8000/v1/"},
            "http://127.0.0.1:8000/v1",
            {"model": "m", "stream": None},
        ),
    ],
)
def test_each_service_is_asked_in_its_way(options: dict[str, Any], url: str, fields: dict[str, str | None]) -> None:
    service = Ears(said("x"))
    assert heard(ear(service, **options), ONE).finals == ["x"]
    assert str(service.requests[0].url) == f"{url}/audio/transcriptions"
    form = service.forms[0]
    for name, value in fields.items():
        assert form.get(name) == (None if value is None else [value.encode()])


def test_what_a_service_does_not_take_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    service = Ears(said("x"))
    heard(ear(service, "gpt-4o-transcribe-diarize", prompt="Züri."), ONE)
    assert "prompt" not in service.forms[0]
    assert "openai/gpt-4o-transcribe-diarize takes no prompt" in caplog.text


def test_the_names_that_users_know() -> None:
    assert openai.STT(api_key="k-123").label == "openai/gpt-transcribe"
    assert groq.STT("whisper-large-v3", api_key="k-123").label == "groq/whisper-large-v3"
    assert openai.STT(api_key="k-123").needs_vad


def test_the_same_sound_makes_the_same_bytes() -> None:
    pcm = b"\x01\x02" * 100
    assert multipart([("a", "b")], wav(pcm)) == multipart([("a", "b")], wav(pcm))


# What comes back


def test_words_that_are_streamed_are_interims() -> None:
    service = Ears(streamed("Hel", "lo ", "there", done="Hello there.", delay=0.2, every=0.1))
    result = heard(ear(service, "gpt-4o-transcribe"), ONE)
    assert result.interims == ["Hel", "Hello", "Hello there"]
    assert result.finals == ["Hello there."]
    times = [at for at, event in result.events if event.type == SpeechEventType.INTERIM_TRANSCRIPT]
    assert times == [pytest.approx(1.8), pytest.approx(1.9), pytest.approx(2.0)]


def test_a_service_that_reads_slowly_is_waited_for_while_words_come() -> None:
    words = ["one ", "two ", "three ", "four ", "five ", "six ", "seven."]
    service = Ears(streamed(*words, done="".join(words), every=2.0))
    result = heard(ear(service, "gpt-4o-transcribe"), ((0.5, True), (20.0, False)))
    assert result.finals == ["one two three four five six seven."]
    assert result.failure is None


def test_a_service_that_ignores_the_stream_is_read_all_the_same() -> None:
    assert heard(ear(Ears(said("hi")), "whisper-1", stream=True), ONE).finals == ["hi"]


def test_the_final_does_not_wait_for_the_end_of_the_connection() -> None:
    service = Ears(Answer([b'data: {"type": "transcript.text.done", "text": "hi"}\n\n', b": ping\n\n"], every=0.8))
    result = heard(ear(service, "gpt-4o-transcribe"), ((0.5, True), (3.0, False)))
    assert result.events[1][0] == pytest.approx(0.5)


def test_no_words_are_a_final_without_text() -> None:
    result = heard(ear(Ears(said("  "))), ONE)
    assert result.finals == [""]
    assert result.failure is None


def test_finals_do_not_swap_where_the_second_upload_is_faster() -> None:
    service = Ears(said("first", delay=2.0), said("second", delay=0.1))
    result = heard(ear(service), TWO)
    assert result.finals == ["first", "second"]
    assert service.asked_at == [pytest.approx(1.6), pytest.approx(2.6)]  # they overlap
    assert [at for at, _ in result.events][-1] == pytest.approx(3.6)


def test_a_long_span_is_cut_and_its_parts_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_stt, "MAX_UTTERANCE_S", 2.0)
    service = Ears(said("one", delay=1.0), said("two", delay=0.2), said("three"))
    result = heard(ear(service), ((5.0, True), (1.0, False)))
    assert [sound_of(form) for form in service.forms] == [(0, 99), (100, 199), (200, 249)]
    assert result.finals == ["one two three"]
    assert result.interims == ["one", "one two"]


def test_the_model_finds_the_language_out() -> None:
    document = {"text": "Grüezi", "language": "german", "segments": []}
    service = Ears(Answer([json.dumps(document).encode()]))
    result = heard(ear(service, detect_language=True), ONE)
    assert "language" not in service.forms[0]
    assert result.final.alternatives[0].language == "de"


def segments(*told: tuple[str, float, float]) -> Transcript:
    return transcript(
        {
            "text": "".join(text for text, *_ in told),
            "segments": [{"text": text, "avg_logprob": sure, "no_speech_prob": none} for text, sure, none in told],
        }
    )


def test_how_sure_the_service_is() -> None:
    reading = segments((" Hello", -0.1, 0.0), (" there.", -0.3, 0.1)).reading
    assert reading.text == "Hello there."
    assert reading.confidence == pytest.approx(0.8187 * 0.9, abs=1e-3)
    tokens = transcript({"text": "Hi", "logprobs": [{"token": "Hi", "logprob": -0.5}]}).reading
    assert tokens.confidence == pytest.approx(0.6065, abs=1e-3)


@pytest.mark.parametrize(
    "text",
    [" Thank you.", " Thanks for watching!", " ご視聴ありがとうございました", " Untertitel der Amara.org-Community"],
)
def test_subtitles_of_silence_are_no_words(text: str) -> None:
    assert segments((text, -0.3, 0.8)).reading.text == ""
    assert segments((text, -0.3, 0.1)).reading.text == text.strip()


def test_a_guess_over_silence_is_no_words_and_a_clear_one_is_doubted() -> None:
    assert segments((" The weather in Rome", -1.2, 0.7)).reading.text == ""
    clear = segments((" The weather in Rome", -0.2, 0.7)).reading
    assert clear.text == "The weather in Rome"
    assert not clear.sure
    assert segments((" Yes.", -0.1, 0.0), (" Thank you.", -0.4, 0.9)).reading.text == "Yes."


MISTRAL: list[dict[str, Any]] = [
    {"type": "transcription.language", "audio_language": "fr"},
    {"type": "transcription.text.delta", "text": "Bon"},
    {"type": "transcription.text.delta", "text": "jour."},
    {"type": "transcription.segment", "text": "Bonjour.", "start": 0.0, "end": 0.5},
    {"type": "transcription.done", "model": "voxtral", "text": "Bonjour.", "language": "fr", "segments": []},
]
VLLM: list[dict[str, Any]] = [
    {"object": "transcription.chunk", "choices": [{"delta": {"content": "Bon"}, "finish_reason": None}]},
    {"object": "transcription.chunk", "choices": [{"delta": {"content": "jour."}, "finish_reason": "stop"}]},
]
OPENAI: list[dict[str, Any]] = [
    {"type": "transcript.text.delta", "delta": "Bon"},
    {"type": "transcript.text.delta", "delta": "jour."},
    {"type": "transcript.text.done", "text": "Bonjour."},
]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["MISTRAL", "VLLM", "OPENAI", "document"]), st.lists(st.integers(0, 600), max_size=8))
def test_any_cut_of_any_dialect_gives_the_same_words(name: str, places: list[int]) -> None:
    told: Any = {"MISTRAL": MISTRAL, "VLLM": VLLM, "OPENAI": OPENAI}.get(name)
    data = b' \n{"text": "Bonjour."}'
    if told is not None:
        data = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in told) + b"data: [DONE]\n\n"
    so_far: list[str] = []
    framing, answer = DocumentOrEvents(), TranscriptAnswer(Service("openai", "m"), so_far.append)
    found: list[Transcript] = []
    for piece in cut(data, places):
        found += [each for payload in framing.feed(piece) for each in answer.feed(payload)]
    found += [each for payload in framing.end() for each in answer.feed(payload)]
    answer.end()
    assert [each.reading.text for each in found] == ["Bonjour."]
    assert so_far == ([] if told is None else ["Bon", "Bonjour."])


# What fails


@pytest.mark.parametrize(
    "failing",
    [
        Answer(status=503),
        Answer([b"broken"]),
        Answer([b""]),
        Answer([b"{"]),
        streamed("Hel", "lo"),
        Answer([*streamed("Hel").pieces, b"broken"]),
        Answer([*streamed("Hel").pieces, b'data: {"type": "error", "error": {"message": "on fire"}}\n\n']),
    ],
)
def test_the_same_sound_is_sent_again(failing: Answer) -> None:
    service = Ears(failing, said("hello there"))
    result = heard(ear(service), ONE)
    assert result.finals == ["hello there"]
    assert result.failure is None
    assert len(service.requests) == 2
    assert service.requests[0].content == service.requests[1].content


def test_a_service_that_gives_up_is_an_error_behind_a_final_without_words(caplog: pytest.LogCaptureFixture) -> None:
    service = Ears(Answer([b'{"error": {"message": "No key key-1234567."}}'], status=401))
    with caplog.at_level(logging.WARNING):
        result = heard(ear(service), ONE)
    assert result.finals == [""]
    assert isinstance(result.failure, APIStatusError)
    assert "openai refused 'whisper-1' (status 401): No key ***. Check the key in OPENAI_API_KEY" in str(result.failure)
    assert "key-1234567" not in caplog.text


def test_the_error_waits_until_nothing_is_lost_by_it() -> None:
    service = Ears(Answer(status=400, delay=1.2), said("second", delay=0.5))
    result = heard(ear(service), TWO)
    assert result.finals == ["", "second"]
    assert isinstance(result.failure, APIStatusError)


def test_the_words_before_a_part_that_failed_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_stt, "MAX_UTTERANCE_S", 2.0)
    service = Ears(said("one"), Answer(status=400), said("three"))
    result = heard(ear(service), ((5.0, True), (1.0, False)))
    assert result.finals == ["one three"]
    assert isinstance(result.failure, APIStatusError)


def test_a_service_that_says_nothing_is_given_up() -> None:
    service = Ears(said("late", delay=60.0))
    result = heard(ear(service), ((0.5, True), (30.0, False)))
    assert result.finals == [""]
    assert "said nothing of 'whisper-1' for 10 s" in str(result.failure)
    assert result.events[1][0] == pytest.approx(10.5)


def test_a_stream_that_is_left_takes_its_uploads_with_it() -> None:
    async def main() -> None:
        stt = ear(Ears(said("late", delay=5.0)))
        audio: Channel[AudioFrame] = Channel(100)
        for voiced in (True, False):
            audio.put(AudioFrame(bytes(640), 16_000, at=0.0, voiced=voiced))
        stream = stt.stream()
        events = stream.recognize(audio)
        assert (await anext(aiter(events))).type == SpeechEventType.START_OF_SPEECH
        waiting = asyncio.ensure_future(anext(aiter(events)))
        await clock.sleep(1.0)
        await stream.aclose()
        assert [event.type.value async for event in _rest(waiting, events)] in ([], ["end_of_speech"])
        await stt.aclose()
        assert len(asyncio.all_tasks()) == 1

    virtual.run(main())


async def _rest(first: Any, events: AsyncIterator[SpeechEvent]) -> AsyncIterator[SpeechEvent]:
    try:
        yield await first
    except StopAsyncIteration:
        return
    async for event in events:
        yield event


def test_a_key_that_cannot_be_had_is_an_error() -> None:
    def no_key() -> str:
        raise OSError("the vault is shut")

    result = heard(ear(Ears(said("x")), api_key=no_key), ONE)
    assert result.finals == [""]
    assert isinstance(result.failure, OSError)


def test_sound_of_another_rate_is_refused() -> None:
    async def main() -> None:
        stt = ear(Ears(said("x")))
        audio: Channel[AudioFrame] = Channel(10)
        audio.put(AudioFrame(bytes(640), 8_000, voiced=True))
        with pytest.raises(UsageError, match="openai/whisper-1 takes mono sound at 16000 Hz"):
            async for _ in stt.stream().recognize(audio):
                pass
        await stt.aclose()

    virtual.run(main())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"temperature": 1.5}, "temperature is 1.5; it is a number from 0 to 1"),
        ({"response_format": "srt"}, "response_format is 'srt'; it is one of 'json', 'verbose_json'"),
        ({"language": "klingon"}, "language is 'klingon'; give a code such as 'en'"),
        ({"api_key": None}, "OpenAI needs a key; set OPENAI_API_KEY"),
        ({"provider": "cerebras"}, "Cerebras has no models here that transcribe; those that do are openai"),
        (
            {"provider": "openai_compatible", "model": None},
            "The model is None; name a model of openai_compatible that",
        ),
        ({"provider": "openai_compatible"}, "give base_url='http://host:port/v1'"),
        ({"model": " "}, "The model is ' '"),
        ({"extra_kwargs": {"model": "x"}}, "extra_kwargs of openai/whisper-1 has model='x'; give it as the model"),
    ],
)
def test_what_cannot_be_asked_is_refused_at_once(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        ear(Ears(said("x")), **{"model": "whisper-1", **options})


@pytest.mark.parametrize("document", [b"[]", b'{"texts": 3}', b'{"text": 3}'])
def test_an_answer_that_is_none_is_named(document: bytes) -> None:
    service = Ears(Answer([document]))
    result = heard(ear(service, conn_options=ONCE), ONE)
    assert isinstance(result.failure, APIError)
    assert "cannot be used" in str(result.failure)
