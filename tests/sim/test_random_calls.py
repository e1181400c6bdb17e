"""Calls in which anything happens at any time, and what must hold in each of them."""

import asyncio
import random
from typing import Any

import pytest

from agent_runtime import Agent, AgentSession, clock, function_tool
from agent_runtime.chat import ChatContext, FunctionCall, FunctionCallOutput
from agent_runtime.events import (
    Close,
    Error,
    InterruptionConfirmed,
    PlaybackFinished,
    PlaybackStarted,
    ToolEnded,
    ToolStarted,
    TurnCommitted,
)
from agent_runtime.testing.scripted import Call, Line, Pause, ScriptedLLM, ScriptedSTT, ScriptedTTS
from tests.scripted_call import Told, call

TALK = 18.0
END = 90.0


class Busy(Agent):
    def __init__(self, dice: random.Random) -> None:
        super().__init__(instructions="You are busy.")
        self.dice = dice

    @function_tool
    async def work(self, seconds: float) -> str:
        """Work for some time.

        Args:
            seconds: how long
        """
        await clock.sleep(seconds)
        return f"worked {seconds}"


def _sentence(dice: random.Random) -> str:
    words = [f"word{dice.randrange(1000)}" for _ in range(dice.randrange(1, 25))]
    return " ".join(f"{word}{dice.choice(['', '', '', ',', '.'])}" for word in words) + "."


def _answers(dice: random.Random) -> Any:
    def answer(ctx: ChatContext) -> Any:
        parts: list[Any] = [_sentence(dice)] if dice.random() < 0.9 else []
        if dice.random() < 0.15:
            parts.append(Pause(dice.choice([0.3, 2.0])))
        if dice.random() < 0.25:
            parts += [
                Call("work", f'{{"seconds": {dice.choice([0.0, 0.5, 3.0])}}}') for _ in range(dice.choice([1, 1, 2]))
            ]
        return parts

    return answer


def _lines(dice: random.Random, recogniser_delay: float) -> list[Line]:
    """Each line begins when the words of the one before are there: which words belong to which voice is another test."""
    lines, at, number = [], 0.3, 0
    while at < TALK:
        at = round(at + max(recogniser_delay + 0.1, dice.choice([0.3, 0.6, 1.0, 2.0, 4.0])), 2)
        if dice.random() < 0.3:
            lines.append(Line(at, "", dice.choice([0.06, 0.2, 0.5])))
        else:
            words = [f"u{number + i}" for i in range(dice.randrange(1, 5))]
            number += len(words)
            lines.append(Line(at, " ".join(words), round(0.35 * len(words), 2), confidence=dice.choice([None, 0.9])))
        at = lines[-1].end
    return lines


def _call(seed: int) -> tuple[Told, list[Line]]:
    dice = random.Random(seed)
    delay = dice.choice([0.05, 0.4, 0.9])
    lines = _lines(dice, delay)

    async def then(session: AgentSession[Any]) -> None:
        while clock.now() < TALK:
            await clock.sleep(dice.choice([0.1, 0.7, 2.0, 5.0]))
            match dice.randrange(7):
                case 0:
                    session.interrupt(force=dice.random() < 0.3)
                case 1:
                    session.say(_sentence(dice), allow_interruptions=dice.random() < 0.7)
                case 2:
                    session.generate_reply()
                case 3:
                    session.say(_sentence(dice)).interrupt()
        async with asyncio.timeout(60):  # nothing is left hanging
            await session.wait_for_idle()
        assert session.agent_state == "listening"

    told = call(
        lines,
        agent=lambda: Busy(dice),
        llm=ScriptedLLM(_answers(dice), ttft=dice.choice([0.02, 0.4])),
        tts=ScriptedTTS(ttfb=dice.choice([0.02, 0.3]), word_times=dice.random() < 0.5),
        stt=lambda caller: ScriptedSTT(caller, delay=delay, interim_every=0.2),
        then=then,
        until=END,
    )
    return told, lines


@pytest.mark.parametrize("seed", range(30))
def test_what_holds_in_every_call(seed: int) -> None:
    told, lines = _call(seed)
    assert told.one(Close).reason == "user_initiated"
    assert [
        event
        for event in told.of(Error)
        if not any(known in event.message for known in ("max_tool_steps", "empty answer"))
    ] == []

    # Each word of the user is in the history once, in order.
    spoken = [word for line in lines for word in line.text.split()]
    kept = [word for role, text in told.said if role == "user" for word in text.split()]
    assert kept == spoken

    # What is in the history of the agent is what was reported heard.
    heard = [event.heard for event in told.of(PlaybackFinished) if event.heard]
    assert sorted(text for role, text in told.said if role == "assistant") == sorted(heard)
    assert len(told.sound) // 2 == pytest.approx(
        sum(event.position for event in told.of(PlaybackFinished)) * 24_000, abs=2
    )

    # Nothing sounds between a confirmed interruption and the next speech.
    starts = [event.at for event in told.of(PlaybackStarted)] + [END]
    for event in told.of(InterruptionConfirmed):
        until = next(start for start in starts if start >= event.at)
        assert told.sounding(event.at, until) == b"", f"sound after {event}"

    # Each call of a tool has one outcome.
    calls = [item.call_id for item in told.history.items if isinstance(item, FunctionCall)]
    outcomes = [item.call_id for item in told.history.items if isinstance(item, FunctionCallOutput)]
    assert len(calls) == len(set(calls))
    assert sorted(calls) == sorted(outcomes)
    assert len(calls) == len(told.of(ToolStarted)) == len(told.of(ToolEnded))

    # A turn ends in time.
    for commit in told.of(TurnCommitted):
        if commit.last_voiced is not None and commit.reason in ("silence", "max_delay", "final transcript"):
            in_time = commit.at <= commit.last_voiced + 3.0 + 1e-6
            assert in_time or told.sounding(commit.last_voiced, commit.at), f"late, and the agent was silent: {commit}"
    assert told.states[-1] == "listening"


def test_the_same_dice_the_same_call() -> None:
    assert [repr(event) for event in _call(7)[0].events] == [repr(event) for event in _call(7)[0].events]
