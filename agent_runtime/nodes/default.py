"""The nodes as they are where an agent overrides nothing. `Agent.default` names them."""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

from agent_runtime.audio.frame import AudioFrame
from agent_runtime.chat import ChatContext
from agent_runtime.errors import EngineDied, EngineStalled, UsageError
from agent_runtime.llm import ChatChunk
from agent_runtime.stt import SpeechEvent
from agent_runtime.text.phrases import Phrase, PhraseSplitter
from agent_runtime.tools import FunctionTool
from agent_runtime.tts import TTS
from agent_runtime.types import ModelSettings

if TYPE_CHECKING:
    from agent_runtime.agent import Agent


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


async def llm_node(
    agent: "Agent", chat_ctx: ChatContext, tools: list[FunctionTool], model_settings: ModelSettings
) -> AsyncIterator[ChatChunk]:
    """The agent's or the session's language model."""
    llm = agent.session.llm_of(agent)
    if llm is None:
        raise UsageError("This session has no language model; give AgentSession(llm=...), for example 'local/rules'.")
    async with llm.chat(chat_ctx=chat_ctx, tools=tools, tool_choice=model_settings.tool_choice) as stream:
        async for chunk in stream:
            yield chunk


async def tts_node(
    agent: "Agent", text: AsyncIterable[str], model_settings: ModelSettings
) -> AsyncIterator[AudioFrame]:
    """The agent's or the session's synthesiser, phrase by phrase, the first clause first.

    The first frame of each phrase carries the phrase's text as the model wrote it; a phrase in which nothing can be
    spoken (an emoji) becomes an empty frame, so that its text is not lost.
    """
    tts = agent.session.tts_of(agent)
    if tts is None:
        raise UsageError("This session has no synthesiser; give AgentSession(tts=...), for example 'local/espeak'.")
    splitter = PhraseSplitter(agent.session.text_transform())
    async for token in text:
        for phrase in splitter.push(token):
            async with aclosing(_speak(agent, tts, phrase)) as frames:
                async for frame in frames:
                    yield frame
    for phrase in splitter.flush():
        async with aclosing(_speak(agent, tts, phrase)) as frames:
            async for frame in frames:
                yield frame


async def _speak(agent: "Agent", tts: TTS, phrase: Phrase) -> AsyncGenerator[AudioFrame]:
    """Speak a phrase. An engine that dies or hangs is started again, once, with the words that it had not finished."""
    told = False
    if phrase.spoken.strip():
        agent.session.phrase_ready(phrase.raw)
        spoken = 0.0
        words: list[tuple[float, str]] = []  # when each ends, in seconds
        text, lost = phrase.spoken, False
        while text:
            try:
                async with aclosing(_generator(tts, text)) as frames:
                    async for frame in frames:
                        if frame.words:
                            words += [(spoken + word.end, word.text) for word in frame.words]
                        spoken += frame.duration
                        yield frame if told else _labelled(frame, phrase)
                        told = True
                text = ""
            except (EngineDied, EngineStalled) as error:
                if lost or (spoken and not tts.word_times):
                    raise  # or nobody knows which words are missing
                lost = True
                agent.session.engine_restarted(tts.label)("stalled" if isinstance(error, EngineStalled) else "died")
                text = " ".join(text.split()[sum(end <= spoken for end, _ in words) :])
    if not told:
        yield AudioFrame(b"", tts.sample_rate, text=phrase.raw, spoken="")


def _labelled(frame: AudioFrame, phrase: Phrase) -> AudioFrame:
    return AudioFrame(
        frame.data,
        frame.sample_rate,
        frame.num_channels,
        text=phrase.raw,
        spoken=phrase.spoken,
        words=frame.words,
    )


def _generator(tts: TTS, text: str) -> AsyncGenerator[AudioFrame]:
    """By its contract an async generator: closing it stops the engine at once, not when it is collected."""
    return cast(AsyncGenerator[AudioFrame], tts.synthesize(text))


async def transcription_node(
    agent: "Agent", text: AsyncIterable[str], model_settings: ModelSettings
) -> AsyncIterator[str]:
    """The text as it stands."""
    async for piece in text:
        yield piece
