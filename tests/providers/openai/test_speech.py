"""A whole call over OpenAI's wires, from a voice to a voice; and what a session does where the ear or the voice fails."""

import asyncio
import json
from typing import Any

import h11
import httpx
import pytest

from agent_runtime import Agent, AgentSession, clock
from agent_runtime.audio.frame import AudioFrame
from agent_runtime.channels import Channel
from agent_runtime.chat import ChatMessage
from agent_runtime.events import AgentFalseInterruption, Error, Event, FirstSample, TurnCommitted, UserInputTranscribed
from agent_runtime.inference.descriptor import resolve
from agent_runtime.io.memory import ClockSink
from agent_runtime.providers.openai import services
from agent_runtime.providers.openai.speech import OpenAISTT, OpenAITTS
from agent_runtime.stt import SpeechEventType
from agent_runtime.testing.faults import Drop, Fault, FaultProxy, Reset, Stall, Status
from agent_runtime.testing.http import Peer
from agent_runtime.testing.model_server import ModelServer, Received, Said
from agent_runtime.testing.scripted import Line, ScriptedCaller, ScriptedVAD
from tests.providers.speech_wire import Answer, Ears, Voices, said
from tests.scripted_call import Plain, call

QUESTION = "What time is it in Rome?"
ANSWER = "It is noon."


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for row in services.rows().values():
        for variable in (*row.base_url_variables, *row.key_variables, *row.token_variables):
            monkeypatch.delenv(variable, raising=False)


class Service(ModelServer):
    """Hears `QUESTION` in everything, and answers `ANSWER` to everything."""

    def said(self, received: Received) -> Said:
        return Said(QUESTION if received.path.endswith("/transcriptions") else ANSWER)

    def asked(self, path: str) -> list[Received]:
        return [received for received in self.requests if received.path.endswith(path)]


@pytest.mark.sockets
@pytest.mark.real_time
@pytest.mark.parametrize(("stt", "language"), [("openai/whisper-1:de", "de"), ("openai/gpt-4o-transcribe", "en")])
def test_words_in_words_out(stt: str, language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[Event] = []
    played: list[bytes] = []

    async def main(service: Service) -> AgentSession[Any]:
        session: AgentSession[Any] = AgentSession(
            vad=ScriptedVAD(), stt=stt, llm="openai/gpt-4.1", tts="openai/tts-1:alloy"
        )
        session.log.subscribe(events.append)
        began = clock.now()
        caller = ScriptedCaller([Line(0.1, QUESTION, 0.5)], until=3.0)
        ear = ClockSink(on_played=lambda at, pcm: played.append(pcm))
        await session.start(Plain(), input=caller, output=ear)
        while not any(event.type == "playback_finished" for event in events) and clock.now() - began < 5.0:
            await clock.sleep(0.05)
        await session.aclose()
        return session

    async def run() -> tuple[AgentSession[Any], Service]:
        async with Service() as service:
            monkeypatch.setenv("OPENAI_BASE_URL", f"{service.url}/v1")
            monkeypatch.setenv("OPENAI_API_KEY", "key-1234567")
            return await main(service), service

    session, service = asyncio.run(run())
    messages = [item for item in session.history.items if isinstance(item, ChatMessage)]
    assert [(item.role, item.text_content) for item in messages] == [("user", QUESTION), ("assistant", ANSWER)]
    heard = [event for event in events if isinstance(event, UserInputTranscribed)]
    assert [event.transcript for event in heard if event.is_final] == [QUESTION]
    assert {event.language for event in heard} == {language}
    (upload,) = service.asked("/audio/transcriptions")
    assert len(upload.form["file"][0]) > 2 * 16_000 * 0.5
    assert upload.form["language"] == [language.encode()]
    (speech,) = service.asked("/audio/speech")
    assert (speech.json["input"], speech.json["voice"]) == (ANSWER, "alloy")
    assert any(sample != 0 for sample in b"".join(played))
    assert not [event for event in events if isinstance(event, Error)]
    assert any(isinstance(event, FirstSample) for event in events)


@pytest.mark.sockets
@pytest.mark.real_time
def test_a_stop_closes_the_connection_within_10_ms() -> None:
    async def main() -> float:
        async with Service() as service, FaultProxy(service.url, Stall(after=960)) as proxy:
            tts = OpenAITTS("tts-1", voice="alloy", api_key="key-1234567", base_url=f"{proxy.url}/v1")
            frames = tts.synthesize("Hello there.")
            await anext(aiter(frames))
            stopped_at = clock.now()
            await frames.aclose()  # type: ignore[attr-defined]
            while not proxy.closed_at:
                await clock.sleep(0)
            await tts.aclose()
            return proxy.closed_at[0] - stopped_at

    assert min(asyncio.run(main()) for _ in range(3)) < 0.01  # the machine may be busy


@pytest.mark.sockets
@pytest.mark.real_time
@pytest.mark.parametrize(
    "fault",
    [Status(code=503, times=1), Drop(after=5, times=1), Reset(after=5, times=1)],
    ids=lambda fault: type(fault).__name__,
)
def test_no_word_is_lost_where_a_real_connection_breaks(fault: Fault) -> None:
    async def main() -> tuple[list[str], list[Received]]:
        async with Service() as service, FaultProxy(service.url, fault) as proxy:
            stt = OpenAISTT("whisper-1", api_key="key-1234567", base_url=f"{proxy.url}/v1")
            audio: Channel[AudioFrame] = Channel(100)
            for voiced in (True, False):
                audio.put(AudioFrame(bytes(640), 16_000, at=0.0, voiced=voiced))
            audio.close()
            events = [event async for event in stt.stream().recognize(audio)]
            await stt.aclose()
            return [each.text for event in events for each in event.alternatives], service.requests

    finals, requests = asyncio.run(main())
    assert finals == [QUESTION]
    assert len({received.body for received in requests}) == 1


@pytest.mark.sockets
@pytest.mark.real_time
def test_the_connection_of_one_utterance_is_there_for_the_next() -> None:
    clients = []

    class Counting(Service):
        async def serve(self, client: Peer, request: h11.Request, body: bytes) -> None:
            clients.append(client)
            await super().serve(client, request, body)

    async def main() -> None:
        async with Counting() as service:
            stt = OpenAISTT("gpt-4o-transcribe", api_key="key-1234567", base_url=f"{service.url}/v1")
            audio: Channel[AudioFrame] = Channel(100)
            finals = 0
            audio.put(AudioFrame(bytes(640), 16_000, at=0.0, voiced=True))
            audio.put(AudioFrame(bytes(640), 16_000, at=0.02, voiced=False))
            async for event in stt.stream().recognize(audio):
                if event.type == SpeechEventType.FINAL_TRANSCRIPT:
                    finals += 1
                    await clock.sleep(0.05)
                    if finals == 3:
                        break
                    audio.put(AudioFrame(bytes(640), 16_000, at=0.0, voiced=True))
                    audio.put(AudioFrame(bytes(640), 16_000, at=0.02, voiced=False))
            await stt.aclose()

    asyncio.run(main())
    assert len(clients) == 3
    assert len(set(map(id, clients))) == 1


def test_the_descriptors_name_these_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key-1234567")
    stt, tts = resolve("stt", "openai/whisper-1:de?temperature=0.2"), resolve("tts", "openai/tts-1:alloy?speed=1.5")
    assert isinstance(stt, OpenAISTT)
    assert isinstance(tts, OpenAITTS)
    assert (stt.label, stt.language) == ("openai/whisper-1", "de")
    assert (tts.label, tts.voice) == ("openai/tts-1:alloy", "alloy")


# What fails in a session


HELLO = [Line(0.5, "hello", 0.6)]


def ear(*answers: Answer) -> Any:
    return lambda caller: OpenAISTT("whisper-1", api_key="key-1234567", transport=Ears(*answers))


def test_an_ear_that_gives_up_is_an_error_and_the_caller_is_asked_again() -> None:
    lines = [*HELLO, Line(5.0, "hello", 0.6)]
    told = call(
        lines,
        {"*": "Good day."},
        stt=ear(Answer([b'{"error": {"message": "too loud"}}'], status=400), said("hello")),
        until=10.0,
    )
    error = told.one(Error)
    assert (error.source, error.recoverable) == ("stt", True)
    assert "openai refused 'whisper-1' (status 400): too loud" in error.message
    assert told.said[0][0] == "assistant"  # it asks the caller to say it again
    assert told.said[1:] == [("user", "hello"), ("assistant", "Good day.")]
    assert len(told.of(TurnCommitted)) == 1


def test_a_voice_without_words_interrupts_nobody() -> None:
    document = {
        "text": " Thank you.",
        "segments": [{"text": " Thank you.", "avg_logprob": -0.3, "no_speech_prob": 0.9}],
    }
    story = "One two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen."
    told = call(
        [*HELLO, Line(3.5, "", 0.4)],
        {"*": story},
        stt=ear(said("hello"), Answer([json.dumps(document).encode()])),
        until=12.0,
    )
    assert told.of(AgentFalseInterruption)[0].resumed
    assert told.said == [("user", "hello"), ("assistant", story)]


def test_a_voice_that_dies_in_a_phrase_is_dead_air_for_two_seconds() -> None:
    half_a_second = b"\x10\x10" * 12_000
    service = Voices([half_a_second, b"silence"])
    tts = OpenAITTS("tts-1", voice="alloy", api_key="key-1234567", transport=service)
    told = call(HELLO, {"*": "A long answer to a short question."}, stt=ear(said("hello")), tts=tts, until=10.0)
    error = told.one(Error)
    assert "openai said nothing of 'tts-1' for 2 s in the middle of its answer" in error.message
    assert error.at - told.one(FirstSample).at == pytest.approx(2.0)
    assert service.left_at == pytest.approx(error.at)


def test_a_voice_that_fails_is_an_error_and_the_session_goes_on() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(401, json={"error": {"message": "wrong key"}})

    tts = OpenAITTS("tts-1", voice="alloy", api_key="key-1234567", transport=httpx.MockTransport(answer))

    async def hello(session: AgentSession[Any]) -> None:
        await clock.sleep(2.0)

    class Greets(Agent):
        def __init__(self) -> None:
            super().__init__(instructions="You are plain.")

        async def on_enter(self) -> None:
            self.session.say("Hello there.")

    told = call(agent=Greets, tts=tts, then=hello, until=4.0)
    error = told.of(Error)[0]
    assert error.source == "tts"
    assert "openai refused 'tts-1' (status 401): wrong key. Check the key in OPENAI_API_KEY" in error.message
    assert "key-1234567" not in error.message
