"""The ear: the caller's sound to voice events and transcripts.

Every frame goes to the voice activity detector, on the loop, and then, marked `voiced` or not, to the recogniser's
channel. So a recogniser that decodes only speech needs nothing but the frames.
"""

from collections.abc import AsyncIterator, Callable

from agent_runtime import clock
from agent_runtime.audio.endpoints import AudioSource
from agent_runtime.audio.frame import FRAME_S, AudioFrame
from agent_runtime.channels import Channel
from agent_runtime.vad import VAD, SpeechEnded, SpeechStarted, VADEvent

BACKLOG_S = 30.0
"""How much sound waits for a recogniser that lags or is started again, before the oldest is dropped and counted."""


class Ear:
    """Splits the caller's sound into voice events and the recogniser's frames.

    Args:
        overhear: given every frame first.
    """

    def __init__(self, source: AudioSource, vad: VAD | None, overhear: Callable[[AudioFrame], None]) -> None:
        self._source = source
        self._overhear = overhear
        self._vad = vad.stream() if vad is not None else None
        self._voiced: bool | None = None if vad is None else False
        self._for_stt: Channel[AudioFrame] | None = None
        self.ended = False
        """Whether the caller is gone."""

    @property
    def dropped_frames(self) -> int:
        return self._for_stt.dropped if self._for_stt is not None else 0

    def frames_for_stt(self) -> Channel[AudioFrame]:
        """A new channel for a recogniser; the one before is closed, and what waits in it moves over."""
        fresh: Channel[AudioFrame] = Channel(int(BACKLOG_S / FRAME_S))
        old, self._for_stt = self._for_stt, fresh
        if old is not None:
            for frame in old.drain():
                fresh.put(frame)
            old.close()
        return fresh

    async def listen(self) -> AsyncIterator[VADEvent]:
        """The voice events, until the caller is gone. Frames flow to the recogniser as it is iterated."""
        try:
            async for frame in self._source.frames():
                self._overhear(frame)
                events = self._vad.push(frame) if self._vad is not None else []
                for event in events:
                    self._voiced = isinstance(event, SpeechStarted)
                if self._for_stt is not None:
                    self._for_stt.put(AudioFrame(frame.data, frame.sample_rate, at=frame.at, voiced=self._voiced))
                for event in events:
                    yield event
            if self._voiced:
                yield SpeechEnded(last_voiced=clock.now())
        finally:
            self.ended = True
            if self._for_stt is not None:
                self._for_stt.close()

    def close(self) -> None:
        if self._vad is not None:
            self._vad.close()
