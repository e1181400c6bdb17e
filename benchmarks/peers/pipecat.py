"""The conversation held by a pipecat `Pipeline` under its `PipelineWorker`, with nodes made of its public classes.

`default` is as its documentation starts a bot; `lean` is without the observers that a worker has by default (RTVI, turn
tracking, the watch over idleness).
"""
# mypy: ignore-errors
# These packages are not in the environment that is checked.

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from loguru import logger
from pipecat.audio.vad.vad_analyzer import VADAnalyzer, VADParams, VADState
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    InterruptionFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    OutputAudioRawFrame,
    StartFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import LLMService
from pipecat.services.settings import LLMSettings, STTSettings, TTSSettings
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TextAggregationMode, TTSService
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.turns.user_start import TranscriptionUserTurnStartStrategy, VADUserTurnStartStrategy
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.utils.time import time_now_iso8601
from pipecat.workers.runner import WorkerRunner

from benchmarks.peers.call import FRAME_S, HEARD, INPUT_RATE, INSTRUCTIONS, OUTPUT_RATE, SILENT, Close, Line, Script

logger.remove()
_runner: WorkerRunner | None = None
_running: asyncio.Task[None] | None = None


async def default(line: Line) -> Close:
    return await _call(line)


async def lean(line: Line) -> Close:
    return await _call(line, enable_rtvi=False, enable_turn_tracking=False, idle_timeout_secs=None)


async def _call(line: Line, **options: Any) -> Close:
    global _runner, _running
    if _runner is None:
        _runner = WorkerRunner(handle_sigint=False)
        _running = asyncio.create_task(_runner.run(auto_end=False))
        await asyncio.sleep(0)
    script = line.script
    context = LLMContext([{"role": "system", "content": INSTRUCTIONS}])
    # It counts from the frame that shows that the voice is over, which is one later than the end of the voice.
    wait = SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=max(0.0, script.delay - FRAME_S))
    user, assistant = LLMContextAggregatorPair(
        context,
        user_params=LLMUserAggregatorParams(
            vad_analyzer=Detector(line),
            user_turn_strategies=UserTurnStrategies(
                start=[VADUserTurnStartStrategy(), TranscriptionUserTurnStartStrategy()], stop=[wait]
            ),
        ),
    )
    params = TransportParams(audio_in_enabled=True, audio_out_enabled=True)
    source = Source(params)
    pipeline = Pipeline([source, Recogniser(line), user, Model(script), Voice(script), Sink(params, line), assistant])
    worker = PipelineWorker(pipeline, **options)
    await _runner.add_workers(worker)
    await source.ready.wait()

    async def feed(pcm: bytes) -> None:
        await source.push_audio_frame(InputAudioRawFrame(pcm, INPUT_RATE, 1))

    line.feed = feed
    return worker.cancel


class Source(BaseInputTransport):
    def __init__(self, params: TransportParams) -> None:
        super().__init__(params)
        self.ready = asyncio.Event()

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)
        self.ready.set()


class Sink(BaseOutputTransport):
    """As its websocket transports: a chunk is written, then waited for as long as it sounds."""

    def __init__(self, params: TransportParams, line: Line) -> None:
        super().__init__(params)
        self._line = line
        self._next = 0.0

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InterruptionFrame):
            self._line.clear()
            self._next = 0.0

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        self._line.write(frame.audio)
        now, seconds = asyncio.get_running_loop().time(), len(frame.audio) / (2 * OUTPUT_RATE)
        wait = max(0.0, self._next - now)
        await asyncio.sleep(wait)
        self._next = self._next + seconds if wait else now + seconds
        return True


class Detector(VADAnalyzer):
    """Without a model, so without the thread in which one runs."""

    def __init__(self, line: Line) -> None:
        super().__init__(params=VADParams(start_secs=FRAME_S, stop_secs=0.0))
        self._line = line
        self._state = VADState.QUIET

    def num_frames_required(self) -> int:
        return 320

    def voice_confidence(self, buffer: bytes) -> float:
        return float(buffer != SILENT)

    async def analyze_audio(self, buffer: bytes) -> VADState:
        change = self._line.voice(buffer != SILENT)
        if change is not None:
            self._state = VADState.SPEAKING if change else VADState.QUIET
        return self._state


class Recogniser(STTService):
    def __init__(self, line: Line) -> None:
        super().__init__(ttfs_p99_latency=0.0, settings=STTSettings(model="bench", language="en"))
        self._line = line

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        told = self._line.word(audio != SILENT)
        if told == "words":
            yield InterimTranscriptionFrame(HEARD, "caller", time_now_iso8601())
        elif told == "final":
            yield TranscriptionFrame(HEARD, "caller", time_now_iso8601(), finalized=True)


class Model(LLMService):
    def __init__(self, script: Script) -> None:
        super().__init__(settings=LLMSettings(model="bench"))
        self._script = script

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        await self.push_frame(LLMFullResponseStartFrame())
        await self.start_processing_metrics()
        await self.start_ttfb_metrics()
        for number, token in enumerate(self._script.words):
            if number and self._script.every:
                await asyncio.sleep(self._script.every)
            await self.stop_ttfb_metrics()
            await self.push_frame(LLMTextFrame(token))
        await self.stop_processing_metrics()
        await self.push_frame(LLMFullResponseEndFrame())


class Voice(TTSService):
    def __init__(self, script: Script) -> None:
        mode = TextAggregationMode.SENTENCE if script.per_sentence else TextAggregationMode.TOKEN
        super().__init__(
            text_aggregation_mode=mode,
            push_start_frame=True,
            push_stop_frames=True,
            sample_rate=OUTPUT_RATE,
            settings=TTSSettings(model="bench", voice="bench", language="en"),
        )
        self._script = script

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        await self.start_tts_usage_metrics(text)
        await self.stop_ttfb_metrics()
        for pcm in self._script.sound(text):
            yield TTSAudioRawFrame(audio=pcm, sample_rate=OUTPUT_RATE, num_channels=1, context_id=context_id)
