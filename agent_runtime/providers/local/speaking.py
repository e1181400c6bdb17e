"""A speech synthesiser in a child process, spoken to by strict request and reply.

The engine in the child has four methods: `start(text)` begins a phrase and returns its first piece, `next()` returns
the next one, None at the end; `cancel()` forgets the phrase; `ready()` does nothing, once the engine is loaded. A piece
is made when it is asked for, so a phrase that is cut in a played call is cut at the same sample in every run.
"""

from collections.abc import AsyncGenerator
from typing import Any

from agent_runtime.audio.frame import AudioFrame, TimedWord
from agent_runtime.clock import Stopwatch
from agent_runtime.errors import EngineDied, EngineStalled, UsageError
from agent_runtime.providers.local.child import ChildEngine
from agent_runtime.providers.local.info import EngineInfo
from agent_runtime.providers.local.word_times import Piece, is_speakable
from agent_runtime.tts import TTS


class ChildTTS(TTS):
    """What the synthesisers in child processes share.

    A child speaks one phrase at a time. Two phrases at once (the next one is made while this one plays, or two sessions
    share the object) get a child each; children are kept for later phrases until `aclose`.

    Args:
        target: the engine, as `ChildEngine` takes it.
        options: keyword arguments of the engine in the child.
        deadline: seconds of machine time within which each piece must come, the start of a process included.
    """

    def __init__(self, target: str, options: dict[str, Any], *, deadline: float) -> None:
        self._target = target
        self._options = options
        self._deadline = deadline
        self._engines: list[ChildEngine] = []
        self._idle: list[ChildEngine] = []
        self._closed = False

    @property
    def watch(self) -> Stopwatch:
        """Machine time spent waiting for the engine so far, over all its children."""
        total = Stopwatch()
        total.seconds = sum(engine.watch.seconds for engine in self._engines)
        total.spans = sum(engine.watch.spans for engine in self._engines)
        return total

    @property
    def pids(self) -> list[int]:
        """Of its children that live."""
        return [engine.pid for engine in self._engines if engine.pid is not None]

    def describe(self) -> EngineInfo:
        raise NotImplementedError

    def prewarm(self) -> None:
        """Start a child now, so that the first phrase does not wait for it. Failures show at the first phrase."""
        if not self._engines:
            engine = self._borrow()
            engine.post("ready")
            self._idle.append(engine)

    async def synthesize(self, text: str) -> AsyncGenerator[AudioFrame, None]:
        """See `TTS.synthesize`. Text without a letter, a digit or a symbol makes no frames.

        Raises:
            EngineDied, EngineStalled: in the middle or at the start; the next phrase starts a new child.
            UsageError: the engine is not installed.
        """
        if not is_speakable(text):
            return
        engine = self._borrow()
        open_phrase = True
        try:
            piece: Piece | None = await engine.request("start", text)
            while piece is not None:
                yield self._frame(piece)
                piece = await self._next(engine)
            open_phrase = False
        except (EngineDied, EngineStalled):
            open_phrase = False
            raise
        finally:
            if open_phrase:
                engine.post("cancel")
            self._idle.append(engine)

    async def aclose(self) -> None:
        self._closed = True
        for engine in self._engines:
            await engine.aclose()

    def _borrow(self) -> ChildEngine:
        if self._closed:
            raise self._is_closed()
        if self._idle:
            return self._idle.pop()
        missing = self.describe().missing
        if missing is not None:
            raise UsageError(missing)
        engine = ChildEngine(self.label, self._target, self._options, deadline=self._deadline)
        self._engines.append(engine)
        return engine

    async def _next(self, engine: ChildEngine) -> Piece | None:
        if self._closed:
            raise self._is_closed()
        piece: Piece | None = await engine.request("next")
        return piece

    def _is_closed(self) -> EngineDied:
        return EngineDied(f"{self.label} was closed; make a new one.", provider=self.label)

    def _frame(self, piece: Piece) -> AudioFrame:
        sound, words = piece
        rate = self.sample_rate
        timed = tuple(TimedWord(text, start / rate, end / rate) for text, start, end in words)
        return AudioFrame(data=sound, sample_rate=rate, words=timed)
