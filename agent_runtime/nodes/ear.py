"""The ear: the caller's sound to voice events and the recogniser's frames.

Every frame goes to the voice activity detector, on the loop, and then, marked `voiced` or not, to the recogniser's
channel. So a recogniser that decodes only speech needs nothing but the frames.
"""

from collections.abc import Sequence

from agent_runtime import clock
from agent_runtime.audio.frame import FRAME_S, AudioFrame
from agent_runtime.channels import Channel
from agent_runtime.vad import VAD, SpeechEnded, SpeechStarted, VADEvent

BACKLOG_S = 30.0
"""How much sound waits for a recogniser that lags or is started again, before the oldest is dropped and counted."""


class Ear:
    """Splits the caller's sound into voice events and the recogniser's frames."""

    def __init__(self, vad: VAD | None) -> None:
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

    def hear(self, frame: AudioFrame) -> Sequence[VADEvent]:
        """Hand a frame on, and say which voice begins or ends with it."""
        events = self._vad.push(frame) if self._vad is not None else ()
        for event in events:
            self._voiced = isinstance(event, SpeechStarted)
        if self._for_stt is not None:
            frame.voiced = self._voiced
            self._for_stt.put(frame)
        return events

    def end(self) -> Sequence[VADEvent]:
        """The caller is gone: no frame comes any more, and a voice that was on is over."""
        self.ended = True
        if self._for_stt is not None:
            self._for_stt.close()
        return [SpeechEnded(last_voiced=clock.now())] if self._voiced else ()

    def close(self) -> None:
        if self._vad is not None:
            self._vad.close()
