"""The two tasks of the ear: one takes the caller's sound, the other what the recogniser makes of it.

A recogniser that fails, or ends before the caller does, is started again with the sound that came meanwhile; one that
keeps failing ends the session.
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from agent_runtime import clock, events
from agent_runtime.advice import Adviser
from agent_runtime.agent import Agent, call_node
from agent_runtime.audio.endpoints import AudioSource
from agent_runtime.audio.frame import AudioFrame
from agent_runtime.channels import Channel
from agent_runtime.events import Event
from agent_runtime.nodes.ear import Ear
from agent_runtime.stt import SpeechEvent, SpeechEventType
from agent_runtime.types import ModelSettings
from agent_runtime.vad import VAD, SpeechStarted, VADEvent

MAX_FAILURES = 3
"""A recogniser that fails so often in a row, without a word in between, ends the session."""

BACKOFF_S = 0.5

_FINAL, _INTERIM = SpeechEventType.FINAL_TRANSCRIPT, SpeechEventType.INTERIM_TRANSCRIPT


class Listening:
    """Posts voice events and transcripts for as long as the caller is there.

    Args:
        agent: who listens now; its `stt_node` is used.
        failed: told of a failure that the session lives through.
        fail: ends the session.
        ignores: says why a text, in a language, that comes now is none of the caller's.
        adviser: who may want to hear, too.
    """

    def __init__(
        self,
        source: AudioSource,
        vad: VAD | None,
        *,
        agent: Callable[[], Agent],
        post: Callable[[Event], None],
        failed: Callable[[str, str, BaseException], None],
        fail: Callable[[BaseException], None],
        ignores: Callable[[str, str, float], str | None],
        adviser: Callable[[], Adviser | None],
    ) -> None:
        self._ignores = ignores
        self._adviser = adviser
        self._source = source
        self._ear = Ear(vad)
        self._agent = agent
        self._post = post
        self._failed = failed
        self._fail = fail
        self._failures = 0
        self._next: Channel[AudioFrame] | None = None

    def tasks(self, *, recognises: bool) -> list[tuple[str, Coroutine[Any, Any, None]]]:
        """What is to run, by name."""
        listen = ("ear", self._listen())
        return [("stt", self._recognise()), listen] if recognises else [listen]

    def renew(self) -> None:
        """Another agent listens from here on: what is being said is finished with the old recogniser's stream."""
        self._next = self._ear.frames_for_stt()

    async def _listen(self) -> None:
        await clock.sleep(0)  # the recogniser opens its channel first, and misses no frame
        try:
            await self._source.listen(self._hear)
        except Exception as error:
            self._fail(error)
            return
        finally:
            found = self._ear.end()
            self._ear.close()
        self._tell(found)
        self._post(events.InputEnded(at=clock.now()))

    def _hear(self, frame: AudioFrame) -> None:
        try:
            adviser = self._adviser()
            if adviser is not None:
                adviser.hear(frame)
            found = self._ear.hear(frame)
        except Exception as error:  # whoever brings the frame has no part in it
            self._fail(error)
            return
        if found:
            self._tell(found)

    def _tell(self, found: Sequence[VADEvent]) -> None:
        for event in found:
            if isinstance(event, SpeechStarted):
                self._post(events.VoiceStarted(at=clock.now(), onset=event.onset))
            else:
                self._post(events.VoiceStopped(at=clock.now(), last_voiced=event.last_voiced))

    async def _recognise(self) -> None:
        while True:
            agent = self._agent()
            audio, self._next = self._next or self._ear.frames_for_stt(), None
            node = call_node(agent.stt_node, audio, ModelSettings())
            heard = False
            try:
                async for event in node:
                    heard = True
                    if self._transcribed(event):
                        self._failures = 0
                if self._next is None and self._ear.ended:
                    return
                if self._next is None:
                    raise EOFError("it ended while the caller was still there")
            except Exception as error:
                self._failures += 1
                self._failed("stt", f"The recogniser of '{agent.id}'", error)
                if isinstance(error, EOFError) and not heard:
                    return  # an override that gives nothing wants to hear nothing
                if self._failures >= MAX_FAILURES:
                    self._fail(error)
                    return
                await clock.sleep(BACKOFF_S)
            finally:
                await node.aclose()

    def _transcribed(self, event: SpeechEvent | str) -> bool:
        """Tell of a reading; whether there are words in it."""
        now = clock.now()
        if isinstance(event, str):
            ignored = self._ignores(event, "en", now)
            self._post(events.UserInputTranscribed(at=now, transcript=event, is_final=True, ignored=ignored))
            return bool(event.strip())
        if not isinstance(event, SpeechEvent):
            raise TypeError(f"it gave {event!r}; a recogniser gives SpeechEvents, or texts as finals")
        is_final = event.type == _FINAL
        if not is_final and event.type != _INTERIM:
            return False
        best = event.alternatives[0] if event.alternatives else None
        text = best.text.strip() if best is not None else ""
        language = best.language if best is not None else "en"
        self._post(
            events.UserInputTranscribed(
                at=now,
                transcript=text,
                is_final=is_final,
                language=language,
                ignored=self._ignores(text, language, now),
                confidence=best.confidence if best is not None else None,
            )
        )
        return bool(text)
