"""The conversation held by an `AgentSession`, with everything on that is on in a call: history, log, ledger, pacing."""

from collections.abc import AsyncIterator, Sequence

from agent_runtime import Agent, AgentSession, AudioFrame, ChatChunk, ChatContext, Tool, clock
from agent_runtime.audio.frame import OUTPUT_RATE
from agent_runtime.llm import LLM, ChoiceDelta, LLMStream
from agent_runtime.stt import STT, RecognizeStream, SpeechData, SpeechEvent, SpeechEventType, STTContext
from agent_runtime.tools import ToolChoice
from agent_runtime.tts import TTS
from agent_runtime.turns.signals import Cancel, Command, TurnEvent
from agent_runtime.vad import VAD, SpeechEnded, SpeechStarted, VADEvent, VADStream
from benchmarks.talk import Caller, Ear, Script, Sink

WORDS = "tell me what time it is"


def session(ear: Ear, script: Script) -> AgentSession[None]:
    return AgentSession(
        vad=_Detector(ear),
        stt=_Recogniser(ear),
        llm=_Model(script),
        tts=_Voice(script),
        turn_handling={"turn_detection": "vad", "endpointing": {"min_delay": script.delay, "max_delay": 3.0}},
    )


def agent() -> Agent:
    return Agent(instructions="You tell the time.")


async def converse(caller: Caller, ear: Ear, script: Script, sink: Sink) -> None:
    """Answer until the caller is gone."""
    talk = session(ear, script)
    answered = "playback_started" if script.barge_in else "playback_finished"
    talk.on(answered, lambda event: caller.go_on())
    await talk.start(agent(), input=caller, output=sink)
    if script.barge_in:
        _note_cuts(talk, ear)
    await caller.spoken.wait()
    await talk.aclose()
    if talk.last_error is not None:
        raise talk.last_error


def _note_cuts(talk: AgentSession[None], ear: Ear) -> None:
    """Stamp the turn machine's decisions to cut."""
    assert talk._conversation is not None
    machine = talk._conversation.machine
    handle = machine.handle

    def stamped(event: TurnEvent) -> list[Command]:
        commands = handle(event)
        if any(isinstance(command, Cancel) for command in commands):
            ear.cuts.append(clock.now())
        return commands

    machine.handle = stamped  # type: ignore[method-assign]


class _Detector(VAD):
    label = "bench"

    def __init__(self, ear: Ear) -> None:
        self._ear = ear

    def stream(self) -> VADStream:
        return _Detection(self._ear)


class _Detection(VADStream):
    def __init__(self, ear: Ear) -> None:
        self._ear = ear

    def push(self, frame: AudioFrame) -> list[VADEvent]:
        voiced = self._ear.voice(frame)
        if voiced is None:
            return []
        assert frame.at is not None
        return [SpeechStarted(onset=frame.at) if voiced else SpeechEnded(last_voiced=frame.at)]


class _Recogniser(STT):
    label = "bench"

    def __init__(self, ear: Ear) -> None:
        self._ear = ear

    def stream(self, *, language: str | None = None, context: STTContext | None = None) -> RecognizeStream:
        return _Recognition(self._ear)


class _Recognition(RecognizeStream):
    def __init__(self, ear: Ear) -> None:
        super().__init__()
        self._ear = ear

    async def recognize(self, audio: AsyncIterator[AudioFrame]) -> AsyncIterator[SpeechEvent]:
        words = [SpeechData(WORDS)]
        kinds = {"words": SpeechEventType.INTERIM_TRANSCRIPT, "final": SpeechEventType.FINAL_TRANSCRIPT}
        async for frame in audio:
            told = self._ear.word(frame)
            if told is not None:
                yield SpeechEvent(kinds[told], words)


class _Model(LLM):
    label = "bench"

    def __init__(self, script: Script) -> None:
        self._script = script

    def chat(
        self, *, chat_ctx: ChatContext, tools: Sequence[Tool] = (), tool_choice: ToolChoice | None = None
    ) -> LLMStream:
        return _Answer(self._script)


class _Answer(LLMStream):
    def __init__(self, script: Script) -> None:
        self._script = script

    async def generate(self) -> AsyncIterator[ChatChunk]:
        for number, token in enumerate(self._script.words):
            if number and self._script.every:
                await clock.sleep(self._script.every)
            yield ChatChunk("answer", ChoiceDelta(role="assistant", content=token))


class _Voice(TTS):
    label = "bench"
    sample_rate = OUTPUT_RATE

    def __init__(self, script: Script) -> None:
        self._script = script

    async def synthesize(self, text: str) -> AsyncIterator[AudioFrame]:
        for frame in self._script.sound():
            yield frame
