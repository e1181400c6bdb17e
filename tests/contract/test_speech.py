"""The official SDK judges the scripted server's sound, and says what our requests should look like.

It runs in an environment of its own: `sh scripts/environments.sh openai` makes it.
"""

import asyncio
import json
import struct
import textwrap
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.audio.frame import AudioFrame
from agent_runtime.channels import Channel
from agent_runtime.providers.openai.speech import OpenAISTT, OpenAITTS
from agent_runtime.providers.openai.stt import wav
from agent_runtime.stt import STTContext
from agent_runtime.testing.model_server import ModelServer, Received, Said

PYTHON = Path(__file__).parents[2] / ".venv-openai" / "bin" / "python"

pytestmark = [
    pytest.mark.sockets,
    pytest.mark.real_time,
    pytest.mark.skipif(not PYTHON.exists(), reason=".venv-openai is not there; sh scripts/environments.sh openai"),
]

KEY = "key-1234567"
PCM = struct.pack("<2000h", *(each * 11 % 30_000 - 15_000 for each in range(2000)))
SPOKEN = "Hello there."

SCRIPT = textwrap.dedent(
    """
    import base64, io, json, sys
    import openai

    url, key, text, pcm = sys.argv[1], sys.argv[2], sys.argv[3], base64.b64decode(sys.argv[4])
    client = openai.OpenAI(api_key=key, base_url=url, max_retries=0)
    told = {}
    for format_ in ("pcm", "wav"):
        with client.audio.speech.with_streaming_response.create(
            model="tts-1", voice="alloy", input=text, response_format=format_, speed=1.25
        ) as response:
            told[format_] = base64.b64encode(b"".join(response.iter_bytes())).decode()
    with client.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts", voice="alloy", input=text, response_format="pcm", instructions="Calmly.",
        stream_format="sse"
    ) as response:
        told["sse"] = b"".join(response.iter_bytes()).decode()
    file = ("speech.wav", io.BytesIO(pcm), "audio/wav")
    plain = client.audio.transcriptions.create(model="gpt-4o-transcribe", file=file, language="en")
    told["plain"] = plain.text
    file[1].seek(0)
    verbose = client.audio.transcriptions.create(
        model="whisper-1", file=file, language="en", prompt="Ada, Bob", temperature=0.2, response_format="verbose_json"
    )
    told["verbose"] = [verbose.text, verbose.language, [each.no_speech_prob for each in verbose.segments]]
    file[1].seek(0)
    events = client.audio.transcriptions.create(
        model="gpt-4o-transcribe", file=file, language="en", response_format="json", stream=True, include=["logprobs"]
    )
    told["events"] = [[event.type, getattr(event, "delta", None) or event.text] for event in events]
    print(json.dumps(told))
    """
)


class Server(ModelServer):
    def said(self, received: Received) -> Said:
        return Said("Grüezi, Ada.", no_speech=0.25) if "transcriptions" in received.path else Said(audio=PCM)


async def _judged() -> tuple[dict[str, Any], list[Received]]:
    import base64

    async with Server() as server:
        script = await asyncio.create_subprocess_exec(
            *(PYTHON, "-c", SCRIPT, f"{server.url}/v1", KEY, SPOKEN, base64.b64encode(wav(PCM)).decode()),
            stdout=asyncio.subprocess.PIPE,
            env={},
        )
        written, _ = await script.communicate()
    assert script.returncode == 0
    told: dict[str, Any] = json.loads(written)
    return told, server.requests


async def _ours() -> list[Received]:
    """The same calls, made by us."""
    async with Server() as server:
        there: Any = {"api_key": KEY, "base_url": f"{server.url}/v1"}
        for tts in (
            OpenAITTS("tts-1", voice="alloy", speed=1.25, **there),
            OpenAITTS("tts-1", voice="alloy", speed=1.25, response_format="wav", **there),
            OpenAITTS("gpt-4o-mini-tts", voice="alloy", instructions="Calmly.", stream_format="sse", **there),
        ):
            assert b"".join([frame.data async for frame in tts.synthesize(SPOKEN)]) == PCM
            await tts.aclose()
        for stt, keyterms in (
            (OpenAISTT("whisper-1", temperature=0.2, **there), ("Ada", "Bob")),
            (OpenAISTT("gpt-4o-transcribe", **there), ()),
        ):
            audio: Channel[AudioFrame] = Channel(10)
            audio.put(AudioFrame(PCM, 16_000, at=0.0, voiced=True))
            audio.close()
            stream = stt.stream(context=STTContext(keyterms=keyterms))
            finals = [event.alternatives[0] async for event in stream.recognize(audio) if event.alternatives]
            assert finals[-1].text == "Grüezi, Ada."
            await stt.aclose()
        return server.requests


def test_the_sdk_reads_what_the_server_says_and_sends_what_we_send() -> None:
    import base64

    told, theirs = asyncio.run(_judged())
    assert base64.b64decode(told["pcm"]) == PCM
    assert base64.b64decode(told["wav"])[44:] == PCM
    assert told["sse"].count("speech.audio.delta") == 1
    assert told["plain"] == "Grüezi, Ada."
    assert told["verbose"] == ["Grüezi, Ada.", "english", [0.25]]
    words = [["transcript.text.delta", "Grüezi, "], ["transcript.text.delta", "Ada."]]
    assert told["events"] == [*words, ["transcript.text.done", "Grüezi, Ada."]]

    ours = asyncio.run(_ours())
    assert [each.json for each in ours[:3]] == [each.json for each in theirs[:3]]
    assert [_form(each) for each in ours[3:]] == [_form(each) for each in theirs[4:]]
    assert {each.headers["authorization"] for each in ours} == {each.headers["authorization"] for each in theirs}


def _form(received: Received) -> dict[str, list[bytes]]:
    """Fields in any order. The SDK says `true` as the API does, and lists with brackets."""
    return dict(sorted(received.form.items()))
