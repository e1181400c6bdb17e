"""The conversation held by an `AgentSession`, with all on that is on in a call: history, log, ledger, pacing."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from agent_runtime import Agent, AgentSession, AudioFrame, ChatChunk, ChatContext, Tool
from agent_runtime.io.memory import ClockSink, MemorySource
from agent_runtime.llm import LLM, ChoiceDelta, LLMStream
from agent_runtime.stt import STT, RecognizeStream, SpeechData, SpeechEvent, SpeechEventType, STTContext
from agent_runtime.tools import ToolChoice
from agent_runtime.tts import TTS
from agent_runtime.vad import VAD, SpeechEnded, SpeechStarted, VADEvent, VADStream
from benchmarks.peers.call import HEARD, INSTRUCTIONS, OUTPUT_RATE, SILENT, Close, Line, Script


async def call(line: Line) -> Close:
    session: AgentSession[None] = AgentSession(
        vad=Detector(line),
        stt=Recogniser(line),
        llm=Model(line.script),
        tts=Voice(line.script),
        turn_handling={
            "turn_detection": "vad",  # as the others here: silence alone ends a turn
            "endpointing": {"min_delay": line.script.delay, "max_delay": 3.0},
        },
    )
    source = MemorySource()

    async def feed(pcm: bytes) -> None:
        source.push(pcm)

    async def close() -> None:
        await session.aclose()
        if session.last_error is not None:
            raise session.last_error

    await session.start(Agent(instructions=INSTRUCTIONS), input=source, output=Sink(line))
    line.feed = feed
    return close


class Sink(ClockSink):
    """A device of the loop's clock, which notes what is written and thrown away."""

    def __init__(self, line: Line) -> None:
        super().__init__(OUTPUT_RATE)
        self._line = line

    def write(self, pcm: bytes) -> None:
        self._line.write(pcm)
        super().write(pcm)

    def clear(self) -> int:
        self._line.written_s -= self._line.clear()  # it is written again where the agent goes on
        return super().clear()


class Detector(VAD):
    label = "bench"

    def __init__(self, line: Line) -> None:
        self._line = line

    def stream(self) -> VADStream:
        return Detection(self._line)


class Detection(VADStream):
    def __init__(self, line: Line) -> None:
        self._line = line

    def push(self, frame: AudioFrame) -> list[VADEvent]:
        change = self._line.voice(frame.data != SILENT)
        if change is None:
            return []
        assert frame.at is not None
        return [SpeechStarted(onset=frame.at) if change else SpeechEnded(last_voiced=frame.at)]


class Recogniser(STT):
    label = "bench"

    def __init__(self, line: Line) -> None:
        self._line = line

    def stream(self, *, language: str | None = None, context: STTContext | None = None) -> RecognizeStream:
        return Recognition(self._line)


class Recognition(RecognizeStream):
    def __init__(self, line: Line) -> None:
        super().__init__()
        self._line = line

    async def recognize(self, audio: AsyncIterator[AudioFrame]) -> AsyncIterator[SpeechEvent]:
        async for frame in audio:
            told = self._line.word(frame.data != SILENT)
            if told == "words":
                yield SpeechEvent(SpeechEventType.INTERIM_TRANSCRIPT, [SpeechData(HEARD)])
            elif told == "final":
                yield SpeechEvent(SpeechEventType.FINAL_TRANSCRIPT, [SpeechData(HEARD)])


class Model(LLM):
    label = "bench"

    def __init__(self, script: Script) -> None:
        self._script = script

    def chat(
        self, *, chat_ctx: ChatContext, tools: Sequence[Tool] = (), tool_choice: ToolChoice | None = None
    ) -> LLMStream:
        return Answer(self._script)


class Answer(LLMStream):
    def __init__(self, script: Script) -> None:
        self._script = script

    async def generate(self) -> AsyncIterator[ChatChunk]:
        for number, token in enumerate(self._script.words):
            if number and self._script.every:
                await asyncio.sleep(self._script.every)
            yield ChatChunk("answer", ChoiceDelta(role="assistant", content=token))


class Voice(TTS):
    label = "bench"
    sample_rate = OUTPUT_RATE

    def __init__(self, script: Script) -> None:
        self._script = script

    async def synthesize(self, text: str) -> AsyncIterator[AudioFrame]:
        for pcm in self._script.sound(text):
            yield AudioFrame(pcm, OUTPUT_RATE)
