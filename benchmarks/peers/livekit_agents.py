"""The conversation held by livekit-agents' own `AgentSession`, with nodes made of its public classes.

`plain` is the leanest: an audio output that takes what comes and lets it play. `room` has what a session in a room has:
sound handed on at the pace at which it is played, and the transcript kept in step with it by its `TranscriptSynchronizer`.
Its own `rtc.AudioSource` is not in here, so that a room costs more than is measured.
"""
# mypy: ignore-errors
# These packages are not in the environment that is checked.

import asyncio
import time
from typing import Any

from livekit import rtc
from livekit.agents import Agent, AgentSession, llm, stt, tts, utils, vad
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS
from livekit.agents.voice import TranscriptSynchronizer, io

from benchmarks.peers.call import FRAME_S, HEARD, INPUT_RATE, INSTRUCTIONS, OUTPUT_RATE, Close, Line, Script

ROOM_QUEUE_S = 0.2
"""What a room's `rtc.AudioSource` holds before it makes the session wait."""

WINDOW_S = 0.032
"""How often its Silero node tells what it makes of the sound."""


async def plain(line: Line) -> Close:
    return await _call(line, room=False)


async def room(line: Line) -> Close:
    return await _call(line, room=True)


async def _call(line: Line, *, room: bool) -> Close:
    voice: tts.TTS = Voice(line.script)
    if line.script.per_sentence:
        voice = tts.StreamAdapter(tts=voice)
    session = AgentSession(
        vad=Detector(line),
        stt=Recogniser(line),
        llm=Model(line.script),
        tts=voice,
        turn_handling={
            "turn_detection": "vad",
            "endpointing": {"min_delay": line.script.delay, "max_delay": 3.0},
            "interruption": {"mode": "vad", "min_duration": 0.01},
        },
        aec_warmup_duration=None,
    )
    source = Source()
    session.input.audio = source
    if room:
        step = TranscriptSynchronizer(next_in_chain_audio=PacedSink(line), next_in_chain_text=Captions())
        session.output.audio, session.output.transcription = step.audio_output, step.text_output
    else:
        session.output.audio = Sink(line)
    await session.start(Agent(instructions=INSTRUCTIONS), record=False)

    async def feed(pcm: bytes) -> None:
        source.frames.send_nowait(rtc.AudioFrame(pcm, INPUT_RATE, 1, len(pcm) // 2))

    line.feed = feed
    return session.aclose


class Source(io.AudioInput):
    def __init__(self) -> None:
        super().__init__(label="bench")
        self.frames: utils.aio.Chan[rtc.AudioFrame] = utils.aio.Chan()

    async def __anext__(self) -> rtc.AudioFrame:
        return await self.frames.__anext__()


class Sink(io.AudioOutput):
    """Takes all that comes at once; the end of the playback is a timer."""

    def __init__(self, line: Line) -> None:
        super().__init__(label="bench", capabilities=io.AudioOutputCapabilities(pause=False), sample_rate=OUTPUT_RATE)
        self._line = line
        self._pushed_s = 0.0
        self._flushed = False
        self._end: asyncio.TimerHandle | None = None

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if not self._pushed_s:
            self.on_playback_started(created_at=time.time())
        self._pushed_s += frame.duration
        self._line.write(frame.data.cast("B"))

    def flush(self) -> None:
        super().flush()
        if self._pushed_s:
            self._flushed = True
            self._end = asyncio.get_running_loop().call_later(self._line.queued_s, self._finish)

    def clear_buffer(self) -> None:
        rest = self._line.clear()
        if self._pushed_s:
            self._finish(interrupted=True, rest=rest)

    def _finish(self, *, interrupted: bool = False, rest: float = 0.0) -> None:
        if self._end is not None:
            self._end.cancel()
        position, self._pushed_s, self._end = self._pushed_s - rest, 0.0, None
        self.on_playback_finished(playback_position=position, interrupted=interrupted)


class PacedSink(io.AudioOutput):
    """As a room's: a task hands frames on and waits while the source behind it is full; it can pause."""

    def __init__(self, line: Line) -> None:
        super().__init__(label="bench", capabilities=io.AudioOutputCapabilities(pause=True), sample_rate=OUTPUT_RATE)
        self._line = line
        self._frames: asyncio.Queue[rtc.AudioFrame | None] = asyncio.Queue()
        self._playing = asyncio.Event()
        self._playing.set()
        self._pushed_s = 0.0
        self._task = asyncio.create_task(self._forward())

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        self._frames.put_nowait(frame)

    def flush(self) -> None:
        super().flush()
        self._frames.put_nowait(None)

    def pause(self) -> None:
        super().pause()
        self._line.clear()
        self._playing.clear()

    def resume(self) -> None:
        super().resume()
        self._playing.set()

    def clear_buffer(self) -> None:
        rest = self._line.clear()
        while not self._frames.empty():
            self._frames.get_nowait()
        self._playing.set()
        self._task.cancel()
        self._task = asyncio.create_task(self._forward())
        if self._pushed_s:
            self._finish(interrupted=True, rest=rest)

    async def _forward(self) -> None:
        while True:
            frame = await self._frames.get()
            await self._playing.wait()
            if frame is None:
                await asyncio.sleep(self._line.queued_s)
                if self._pushed_s:
                    self._finish()
                continue
            if not self._pushed_s:
                self.on_playback_started(created_at=time.time())
            self._pushed_s += frame.duration
            self._line.write(frame.data.cast("B"))
            if (ahead := self._line.queued_s - ROOM_QUEUE_S) > 0:
                await asyncio.sleep(ahead)

    def _finish(self, *, interrupted: bool = False, rest: float = 0.0) -> None:
        position, self._pushed_s = max(0.0, self._pushed_s - rest), 0.0
        self.on_playback_finished(playback_position=position, interrupted=interrupted)


class Captions(io.TextOutput):
    def __init__(self) -> None:
        super().__init__(label="bench", next_in_chain=None)

    async def capture_text(self, text: str) -> None: ...

    def flush(self) -> None: ...


class Detector(vad.VAD):
    def __init__(self, line: Line) -> None:
        super().__init__(capabilities=vad.VADCapabilities(update_interval=WINDOW_S))
        self._line = line

    def stream(self) -> vad.VADStream:
        return Detection(self, self._line)


class Detection(vad.VADStream):
    """Tells of voice where it changes, and of the windows as its Silero node does, in the first frame after each."""

    def __init__(self, detector: Detector, line: Line) -> None:
        super().__init__(detector)
        self._line = line
        self._speaking = False
        self._speech_s = self._silence_s = 0.0
        self._samples = 0

    async def _main_task(self) -> None:
        window = 0.0
        async for frame in self._input_ch:
            if not isinstance(frame, rtc.AudioFrame):
                self._speaking, self._speech_s, self._silence_s = False, 0.0, 0.0
                continue
            voiced = frame.data[0] != 0
            self._speech_s += FRAME_S if voiced else 0.0
            self._silence_s = 0.0 if voiced else self._silence_s + FRAME_S
            self._samples += frame.samples_per_channel
            window += FRAME_S
            change = self._line.voice(voiced)
            if change:
                self._speaking = True
                self._tell(vad.VADEventType.START_OF_SPEECH, frame, voiced)
            if change is not None or window >= WINDOW_S:
                window = 0.0 if change is not None else window - WINDOW_S
                self._tell(vad.VADEventType.INFERENCE_DONE, frame, voiced)
            if change is False:
                self._speaking = False
                self._tell(vad.VADEventType.END_OF_SPEECH, frame, voiced)
                self._speech_s = 0.0

    def _tell(self, kind: vad.VADEventType, frame: rtc.AudioFrame, voiced: bool) -> None:
        self._event_ch.send_nowait(
            vad.VADEvent(
                type=kind,
                samples_index=self._samples,
                timestamp=time.time(),
                speech_duration=self._speech_s,
                silence_duration=self._silence_s,
                frames=[frame],
                probability=float(voiced),
                speaking=self._speaking,
                raw_accumulated_silence=self._silence_s,
                raw_accumulated_speech=self._speech_s if voiced else 0.0,
            )
        )


class Recogniser(stt.STT):
    def __init__(self, line: Line) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=True))
        self._line = line

    async def _recognize_impl(self, *args: Any, **kwargs: Any) -> stt.SpeechEvent:
        raise NotImplementedError

    def stream(self, *, language: Any = None, conn_options: Any = DEFAULT_API_CONNECT_OPTIONS) -> stt.RecognizeStream:
        return Recognition(self, conn_options, self._line)


class Recognition(stt.RecognizeStream):
    def __init__(self, recogniser: Recogniser, conn_options: Any, line: Line) -> None:
        super().__init__(stt=recogniser, conn_options=conn_options)
        self._line = line

    async def _run(self) -> None:
        async for frame in self._input_ch:
            if not isinstance(frame, rtc.AudioFrame):
                continue
            told = self._line.word(frame.data[0] != 0)
            if told is not None:
                kind = "INTERIM_TRANSCRIPT" if told == "words" else "FINAL_TRANSCRIPT"
                words = [stt.SpeechData(language="en", text=HEARD)]
                self._event_ch.send_nowait(stt.SpeechEvent(type=stt.SpeechEventType[kind], alternatives=words))


class Model(llm.LLM):
    def __init__(self, script: Script) -> None:
        super().__init__()
        self._script = script

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: Any = None,
        conn_options: Any = DEFAULT_API_CONNECT_OPTIONS,
        **kwargs: Any,
    ) -> llm.LLMStream:
        return Answer(self, self._script, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class Answer(llm.LLMStream):
    def __init__(self, model: Model, script: Script, **kwargs: Any) -> None:
        super().__init__(model, **kwargs)
        self._script = script

    async def _run(self) -> None:
        for number, token in enumerate(self._script.words):
            if number and self._script.every:
                await asyncio.sleep(self._script.every)
            delta = llm.ChoiceDelta(role="assistant", content=token)
            self._event_ch.send_nowait(llm.ChatChunk(id="answer", delta=delta))


class Voice(tts.TTS):
    def __init__(self, script: Script) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=not script.per_sentence),
            sample_rate=OUTPUT_RATE,
            num_channels=1,
        )
        self.script = script

    def synthesize(self, text: str, *, conn_options: Any = DEFAULT_API_CONNECT_OPTIONS) -> tts.ChunkedStream:
        return Sentence(tts=self, input_text=text, conn_options=conn_options)

    def stream(self, *, conn_options: Any = DEFAULT_API_CONNECT_OPTIONS) -> tts.SynthesizeStream:
        return Speech(tts=self, conn_options=conn_options)


def _begin(emitter: tts.AudioEmitter, *, stream: bool) -> None:
    emitter.initialize(
        request_id="answer",
        sample_rate=OUTPUT_RATE,
        num_channels=1,
        mime_type="audio/pcm",
        frame_size_ms=20,
        stream=stream,
    )


class Sentence(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        _begin(output_emitter, stream=False)
        for pcm in self._tts.script.sound(self._input_text):
            output_emitter.push(pcm)
        output_emitter.flush()


class Speech(tts.SynthesizeStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        _begin(output_emitter, stream=True)
        output_emitter.start_segment(segment_id="answer")
        async for token in self._input_ch:
            if isinstance(token, str):
                self._mark_started()
                for pcm in self._tts.script.sound(token):
                    output_emitter.push(pcm)
        output_emitter.end_segment()
