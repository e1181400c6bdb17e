"""Nodes that fail in the ways in which nodes fail. Each fault has a name; None is a node that works."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from agent_runtime import clock
from agent_runtime.audio.frame import AudioFrame
from agent_runtime.stt import RecognizeStream, SpeechData, SpeechEvent, SpeechEventType, STTContext
from agent_runtime.testing.caller import Caller
from agent_runtime.testing.scripted import ScriptedSTT, ScriptedVAD
from agent_runtime.vad import VAD, SpeechEnded, SpeechStarted, VADEvent, VADStream
from tests.sim.signed import SignedTTS

VAD_FAULTS = ("deaf", "stuck", "late", "flaps", "dies")
STT_FAULTS = ("dies once", "dies", "ends", "hangs", "babbles")
TTS_FAULTS = ("dies", "hangs", "is mute", "is slow")

DIES_AT_S = 6.0
"""When what dies or hangs in a call does so, in seconds of the call."""


class Broken(RuntimeError):
    """What a broken node raises."""


async def for_ever() -> None:
    await asyncio.get_running_loop().create_future()


class FaultyVAD(VAD):
    label = "scripted"

    def __init__(self, fault: str, **options: Any) -> None:
        self.fault = fault
        self.options = options

    def stream(self) -> VADStream:
        return _FaultyVADStream(self.fault, ScriptedVAD(**self.options).stream())


class _FaultyVADStream(VADStream):
    def __init__(self, fault: str, works: VADStream) -> None:
        self._fault = fault
        self._works = works
        self._frames = 0
        self._on = False
        self._late: list[tuple[int, VADEvent]] = []

    def push(self, frame: AudioFrame) -> list[VADEvent]:
        self._frames += 1
        events = self._works.push(frame)
        match self._fault:
            case "deaf":
                return []
            case "stuck":  # it never hears the end
                started = [event for event in events if isinstance(event, SpeechStarted) and not self._on]
                self._on = self._on or bool(started)
                return list(started)
            case "late":
                self._late += [(self._frames + 20, event) for event in events]
                due = [event for at, event in self._late if at <= self._frames]
                self._late = [(at, event) for at, event in self._late if at > self._frames]
                return due
            case "flaps":  # a voice is heard as two
                found = list(events)
                for event in events:
                    if isinstance(event, SpeechStarted):
                        found += [SpeechEnded(last_voiced=event.onset), SpeechStarted(onset=event.onset)]
                return found
            case _ if self._frames * 0.02 > DIES_AT_S:
                raise Broken("the detector died")
        return events


class FaultySTT(ScriptedSTT):
    def __init__(self, fault: str, caller: Caller, **options: Any) -> None:
        super().__init__(caller, **options)
        self.fault = fault
        self.streams = 0

    def stream(self, *, language: str | None = None, context: STTContext | None = None) -> RecognizeStream:
        self.streams += 1
        return _FaultyRecognition(self, super().stream(language=language, context=context))


class _FaultyRecognition(RecognizeStream):
    def __init__(self, stt: FaultySTT, works: RecognizeStream) -> None:
        super().__init__()
        self._stt = stt
        self._works = works

    async def recognize(self, audio: AsyncIterator[AudioFrame]) -> AsyncIterator[SpeechEvent]:
        fault = self._stt.fault
        if fault == "babbles":
            async for event in _babble(self._works.recognize(audio)):
                yield event
            return
        broken = fault != "dies once" or self._stt.streams == 1
        async for event in self._works.recognize(audio):
            if broken and clock.now() > DIES_AT_S:
                if fault == "hangs":
                    await for_ever()
                if fault == "ends":
                    return
                raise Broken("the recogniser died")
            yield event


async def _babble(events: AsyncIterator[SpeechEvent]) -> AsyncIterator[SpeechEvent]:
    """An empty final behind every final, as some recognisers send them."""
    async for event in events:
        yield event
        if event.type == SpeechEventType.FINAL_TRANSCRIPT:
            yield SpeechEvent(SpeechEventType.FINAL_TRANSCRIPT, [SpeechData("")])


class FaultyTTS(SignedTTS):
    """From its third phrase on."""

    def __init__(self, fault: str, **options: Any) -> None:
        super().__init__(**options)
        self.fault = fault
        if fault == "is slow":
            self.real_time_factor = 1.4

    async def synthesize(self, text: str) -> AsyncIterator[AudioFrame]:
        number = len(self.text)
        if number == 2 and self.fault == "is mute":
            self.text.append(text)
            self.mute.append(text)
            return
        sent = 0
        async for frame in super().synthesize(text):
            if number >= 2 and sent >= 5 and self.fault in ("dies", "hangs"):
                if self.fault == "hangs":
                    await for_ever()
                raise Broken("the synthesiser died")
            sent += 1
            yield frame
