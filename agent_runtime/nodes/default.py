"""The nodes as they are where an agent overrides nothing. `Agent.default` names them."""

from collections.abc import AsyncIterable, AsyncIterator
from typing import TYPE_CHECKING, Any

from agent_runtime.audio.frame import AudioFrame
from agent_runtime.chat import ChatContext
from agent_runtime.errors import EngineDied, EngineStalled, UsageError
from agent_runtime.llm import ChatChunk
from agent_runtime.stt import SpeechEvent
from agent_runtime.text.phrases import Phrase, PhraseSplitter
from agent_runtime.tools import Tool
from agent_runtime.tts import TTS
from agent_runtime.types import ModelSettings

if TYPE_CHECKING:
    from agent_runtime.agent import Agent
    from agent_runtime.session import AgentSession


async def stt_node(
    agent: "Agent", audio: AsyncIterable[AudioFrame], model_settings: ModelSettings
) -> AsyncIterator[SpeechEvent]:
    """The session's recogniser on `audio`."""
    stt = agent.session.stt
    if stt is None:
        raise UsageError(
            "This session has no speech recogniser; give AgentSession(stt=...), for example 'local/pocketsphinx'."
        )
    async with stt.stream(context=agent.session.stt_context(agent)) as stream:
        stream.on_restart = agent.session.engine_restarted(stt.label)
        async for event in stream.recognize(aiter(audio)):
            yield event


def llm_node(
    agent: "Agent", chat_ctx: ChatContext, tools: list[Tool], model_settings: ModelSettings
) -> AsyncIterator[ChatChunk]:
    """The agent's or the session's language model. What it gives is the model's own stream; closing that stops the model."""
    llm = agent.session.models.llm_of(agent, model_settings.llm)
    if llm is None:
        raise UsageError("This session has no language model; give AgentSession(llm=...), for example 'local/rules'.")
    return aiter(llm.chat(chat_ctx=chat_ctx, tools=tools, tool_choice=model_settings.tool_choice))


async def tts_node(
    agent: "Agent", text: AsyncIterable[str], model_settings: ModelSettings
) -> AsyncIterator[AudioFrame]:
    """The agent's or the session's synthesiser, phrase by phrase, the first clause first.

    The first frame of each phrase carries the phrase's text as the model wrote it; a phrase in which nothing can be
    spoken (an emoji) becomes an empty frame, so that its text is not lost. Words for which the engine gives no sound
    are lost: nobody has heard them.
    """
    session = agent.session
    tts = session.models.tts_of(agent)
    if tts is None:
        raise UsageError("This session has no synthesiser; give AgentSession(tts=...), for example 'local/espeak'.")
    splitter = PhraseSplitter(session.text_transform())
    pieces = aiter(text)
    piece: str | None = ""
    while piece is not None:
        piece = await anext(pieces, None)
        for phrase in splitter.push(piece) if piece is not None else splitter.flush():
            speaking = _Speaking(session, tts, phrase)
            while speaking.text:
                frames: Any = tts.synthesize(speaking.text)  # by its contract a generator: closing it stops the engine
                try:
                    async for frame in frames:
                        yield speaking.labelled(frame)
                    speaking.text = ""
                except (EngineDied, EngineStalled) as error:
                    speaking.lost(error)
                finally:
                    await frames.aclose()
            if not speaking.told and not any(map(str.isalnum, phrase.spoken)):
                yield AudioFrame(b"", tts.sample_rate, text=phrase.raw, spoken="")


class _Speaking:
    """A phrase on its way through the engine, and how far it has come.

    An engine that dies or hangs is started again, once, with the words that it had not finished.
    """

    def __init__(self, session: "AgentSession[Any]", tts: TTS, phrase: Phrase) -> None:
        self.text = phrase.spoken if phrase.spoken.strip() else ""
        """What is still to be spoken."""
        self.told = False
        """Whether a frame has carried the phrase's text."""
        self._session = session
        self._tts = tts
        self._phrase = phrase
        self._spoken_s = 0.0
        self._words: list[tuple[float, str]] = []  # when each ends, in seconds
        self._restarted = False
        if self.text:
            session.phrase_ready(phrase.raw)

    def labelled(self, frame: AudioFrame) -> AudioFrame:
        """Account for `frame`; the first one gets the text."""
        for word in frame.words:
            self._words.append((self._spoken_s + word.end, word.text))
        self._spoken_s += frame.duration
        if self.told or not frame.data:  # words without sound were not heard
            return frame
        self.told = True
        phrase = self._phrase
        return AudioFrame(
            frame.data,
            frame.sample_rate,
            frame.num_channels,
            text=phrase.raw,
            spoken=phrase.spoken,
            words=frame.words,
        )

    def lost(self, error: EngineDied | EngineStalled) -> None:
        """The engine is gone: go on with the words it owes, or raise where nobody knows which they are."""
        if self._restarted or (self._spoken_s and not self._tts.word_times):
            raise error
        self._restarted = True
        self._session.engine_restarted(self._tts.label)("stalled" if isinstance(error, EngineStalled) else "died")
        finished = sum(end <= self._spoken_s for end, _ in self._words)
        self.text = " ".join(self.text.split()[finished:])


async def transcription_node(
    agent: "Agent", text: AsyncIterable[str], model_settings: ModelSettings
) -> AsyncIterator[str]:
    """The text as it stands."""
    async for piece in text:
        yield piece
