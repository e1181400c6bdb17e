"""The same faults in a turn of a whole session: it never ends in silence, runs no tool on half of its arguments, and the
next turn is as if nothing had been. On the machine's clock, many calls at a time."""

import asyncio
import dataclasses
from dataclasses import dataclass
from typing import Any

import pytest

from agent_runtime import Agent
from agent_runtime.chat import ChatMessage
from agent_runtime.events import Error, ModelCalled
from agent_runtime.inference.fallback import FallbackLLM
from agent_runtime.session import APOLOGY
from agent_runtime.testing.call import SimulatedCall
from agent_runtime.testing.faults import FaultProxy
from agent_runtime.testing.model_server import ModelServer, Received, Said
from agent_runtime.testing.scripted import ScriptedTTS
from agent_runtime.tools import function_tool
from tests.contract.broken import ALONE, ARGUMENTS, CLIENTS, SAID, case

pytestmark = [pytest.mark.sockets, pytest.mark.real_time]

LAST = "Es ist sonnig."

ONCE = {"preemptive_generation": {"enabled": False}}
"""An answer that is asked for ahead would be asked for again when the turn is final; here nothing heals by that."""

EARLY = ("unanswered", "before", "alone")
"""Places before anything is delivered."""

# The client, the fault, its place, and whether another model stands behind the first.
TURNS: dict[str, tuple[str, str, str, bool]] = {
    "stalls before its first token": ("openai", "stall", "before", False),
    "stalls between tokens": ("anthropic", "stall", "between", False),
    "is reset between tokens": ("inference", "reset", "between", False),
    "is cut in the arguments of a call": ("bedrock", "cut in a string", "arguments", False),
    "is cut in the arguments of a call that is all": ("openai", "cut in a string", "alone", False),
    "has garbage between tokens": ("gemini", "garbage", "between", False),
    "is refused": ("anthropic", "401", "unanswered", False),
    "is overloaded": ("bedrock", "529", "unanswered", False),
    "fails inside": ("inference", "500", "between", False),
    "is dropped at its end": ("gemini", "no end", "end", False),
    "stalls, and another goes on": ("anthropic", "stall", "unanswered", True),
    "is reset, and another goes on": ("bedrock", "reset", "before", True),
    "is overloaded, and another goes on": ("gemini", "503", "unanswered", True),
    "is garbage, and another goes on": ("openai", "garbage", "before", True),
    "is cut in its arguments, and another goes on": ("inference", "cut in a string", "alone", True),
}


class Weather(ModelServer):
    """Says what it is told to; after a tool has been run, that it is sunny."""

    def said(self, received: Received) -> Said:
        return Said(LAST) if b"sunny in" in received.body else super().said(received)


@dataclass
class Turns:
    """What came of two turns."""

    said: list[list[str]]
    """By the agent, in each."""
    ran: list[str]
    errors: list[str]
    models: list[str]


@pytest.fixture(scope="module")
def calls() -> dict[str, Turns]:
    async def main() -> dict[str, Turns]:
        return dict(zip(TURNS, await asyncio.gather(*(_call(*each) for each in TURNS.values())), strict=True))

    return asyncio.run(main())


async def _call(name: str, fault: str, place: str, chained: bool) -> Turns:
    broken = case(CLIENTS[name], fault, place)
    assert broken is not None
    again = broken.retryable and broken.outcome != "silent" and place in EARLY
    times = None if chained else 2 if again else 1  # so that the first turn has no answer, and the second has
    faults = [dataclasses.replace(each, times=times) for each in broken.faults]
    ran: list[str] = []

    @function_tool
    async def get_weather(city: str) -> str:
        """Look up the weather.

        Args:
            city: where
        """
        ran.append(city)
        return f"sunny in {city}"

    said = ALONE if place == "alone" else SAID
    async with Weather(said) as server, FaultProxy(server.url, *faults) as proxy, Weather(SAID) as other:
        llm: Any = CLIENTS[name].make(proxy.url)
        if chained:
            llm = FallbackLLM([llm, CLIENTS["openai"].make(other.url)], attempt_timeout=1.0)
        call = SimulatedCall(name=fault)
        call.llm = llm
        call.tts = ScriptedTTS(ttfb=0.05, words_per_second=20.0)
        call.caller.says("Weather?", at=0.1, lasting=0.4)
        session = await call.start(Agent(instructions="Be brief.", tools=[get_weather]), turn_handling=ONCE)
        events: list[Any] = []
        session.log.subscribe(events.append)
        found: list[list[str]] = []
        for turn in range(2):
            if turn:
                call.caller.says("Is it warm?", lasting=0.4)
            await _answered(session)
            found.append(_of_agent(session)[sum(map(len, found)) :])
        await call.end()
        await llm.aclose()
    errors = [event.message for event in events if isinstance(event, Error)]
    return Turns(found, ran, errors, [event.model for event in events if isinstance(event, ModelCalled)])


async def _answered(session: Any) -> None:
    """Until the agent has said all that it has to say to this turn."""
    done = asyncio.Event()

    def look(event: Any) -> None:
        if event.type == "agent_state_changed" and event.new_state == "listening" and event.old_state == "speaking":
            done.set()
        elif event.type == "agent_state_changed":
            done.clear()

    unsubscribe = session.log.subscribe(look)
    async with asyncio.timeout(15):
        while True:
            await done.wait()
            await asyncio.sleep(0.4)
            if done.is_set():
                break
    unsubscribe()


def _of_agent(session: Any) -> list[str]:
    items = session.history.items
    return [item.text_content or "" for item in items if isinstance(item, ChatMessage) and item.role == "assistant"]


@pytest.mark.parametrize("what", TURNS)
def test_a_turn_whose_answer(what: str, calls: dict[str, Turns]) -> None:
    _, _, place, chained = TURNS[what]
    found = calls[what]
    first, then = found.said
    if chained:
        assert first == [SAID.text, LAST]
        assert found.errors == []
    else:
        spoken, sorry = "".join(first[:-1]), first[-1]
        assert sorry == (LAST if place == "end" else APOLOGY)  # at the end its call has come, and it is asked again
        assert SAID.text.startswith(spoken)
        assert bool(spoken) == (place not in EARLY)
        assert len(found.errors) == 1
    assert then[-1] == LAST
    assert found.ran == [ARGUMENTS["city"]]
