"""A synthesiser that dies or hangs in a phrase is started again, and no word is lost."""

import os
import signal
from collections.abc import AsyncIterator

import pytest

from agent_runtime import Agent, AgentSession, ModelSettings, virtual
from agent_runtime.events import EngineRestarted, Event, Stalled
from agent_runtime.providers.local.espeak import EspeakTTS

TEXT = "one two three four five six seven eight nine ten."


async def said() -> AsyncIterator[str]:
    yield TEXT


@pytest.mark.parametrize(("number", "reason"), [(signal.SIGKILL, "died"), (signal.SIGSTOP, "stalled")])
def test_a_synthesiser_lost_in_a_phrase_goes_on_with_the_words_that_are_missing(
    number: signal.Signals, reason: str
) -> None:
    events: list[Event] = []
    words: list[str] = []

    async def call() -> None:
        tts = EspeakTTS(deadline=1.5)
        session: AgentSession[None] = AgentSession(tts=tts)
        session.log.subscribe(events.append)
        agent = Agent(instructions="")
        await session.start(agent)
        struck = False
        async for frame in Agent.default.tts_node(agent, said(), ModelSettings()):
            words.extend(word.text for word in frame.words)
            if "four" in words and not struck:
                struck = True
                for pid in tts.pids:
                    os.kill(pid, number)
        await session.aclose()
        await tts.aclose()

    virtual.run(call())
    repeated = [word for at, word in enumerate(words) if word not in words[:at]]
    assert repeated == TEXT.split(), "each word once, in order"
    assert len(words) <= len(TEXT.split()) + 1, "only the word in which it was lost is said again"
    assert [event.reason for event in events if isinstance(event, EngineRestarted)] == [reason]
    assert any(isinstance(event, Stalled) for event in events) == (reason == "stalled")
