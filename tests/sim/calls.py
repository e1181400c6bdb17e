"""Whole calls at random: a plan is drawn from a seed, and the call that it is made into leaves a recording and a log.

What a scenario file can say of a plan stands in `scenario`, so that a counter-example without more is a scenario file.
"""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

from agent_runtime import clock, virtual
from agent_runtime.chat import ChatContext
from agent_runtime.session import AgentSession
from agent_runtime.testing.call import ScenarioAgent, call_of
from agent_runtime.testing.result import CallResult
from agent_runtime.testing.scenario import Scenario
from agent_runtime.testing.scripted import ScriptedSTT
from tests.sim.faults import STT_FAULTS, TTS_FAULTS, VAD_FAULTS, FaultySTT, FaultyTTS, FaultyVAD
from tests.sim.signed import SignedTTS, Stretch, read

TALK_S = 16.0
"""The caller says nothing new after so long."""

SETTLES_S = 8.0
"""Then every turn is committed, whatever the recogniser does."""

REST_S = 90.0
"""And the caller stays on the line for so long at the most, in which everything has to come to rest."""


@dataclass
class Plan:
    seed: int
    scenario: dict[str, Any]
    faults: dict[str, str] = field(default_factory=dict)
    """By node."""
    acts: list[tuple[float, str]] = field(default_factory=list)
    """What the application does, and when."""

    @property
    def is_scenario(self) -> bool:
        """Whether it has no more to it than a scenario file can say."""
        return not self.faults and not self.acts

    @property
    def turn_handling(self) -> Any:
        return self.scenario["session"]["turn_handling"]

    @property
    def word_times(self) -> bool:
        return bool(self.scenario["models"]["tts"]["word_times"])


@dataclass
class Made:
    """A call that was made."""

    plan: Plan
    result: CallResult
    stretches: list[Stretch]
    """What was played, from the recording."""
    tts: SignedTTS
    history: ChatContext
    at_rest: bool
    """Whether the agent was listening at the end."""
    close_s: float
    tasks_left: list[str]


# Drawing


class _Words:
    """Words that are said once in a call."""

    def __init__(self, dice: random.Random, letter: str) -> None:
        self._dice = dice
        self._letter = letter
        self._count = 0

    def take(self, count: int) -> list[str]:
        self._count += count
        return [f"{self._letter}{self._count - count + n}" for n in range(count)]

    def sentence(self, count: int) -> str:
        words = self.take(count)
        return " ".join(f"{word}{self._dice.choice(['', '', '', ',', '.'])}" for word in words[:-1]) + f" {words[-1]}."


def plan(seed: int) -> Plan:
    dice = random.Random(seed)
    chance = dice.random
    agent, user = _Words(dice, "a"), _Words(dice, "u")
    delays = sorted([dice.choice([0.3, 0.5, 0.5, 0.8]), dice.choice([1.0, 2.0, 3.0, 3.0])])
    handling: dict[str, Any] = {
        "turn_detection": dice.choice(["vad", "vad", "vad", "stt", None]),
        "endpointing": {"min_delay": delays[0], "max_delay": delays[1]},
        "interruption": {
            "enabled": chance() < 0.9,
            "min_words": dice.choice([0, 0, 0, 2]),
            "min_duration": dice.choice([0.3, 0.5]),
            "false_interruption_timeout": dice.choice([None, 0.3, 2.0]),
        },
    }
    stt = {
        "delay": dice.choice([0.05, 0.2, 0.4, 0.9]),
        "interim_every": dice.choice([0.2, 0.3, None]),
        "finals": dice.choice(["once"] * 7 + ["never", "twice", "late"]),
        "shrinking": chance() < 0.2,
    }
    scenario: dict[str, Any] = {
        "name": f"call {seed}",
        "session": {
            "instructions": "You are busy.",
            "turn_handling": handling,
            "tools": {"work": {"returns": "done", "takes": dice.choice([0.0, 0.5, 3.0])}, "fail": {"error": "no tea"}},
        },
        "models": {
            "vad": {"min_silence": dice.choice([0.1, 0.25, 0.5])},
            "stt": stt,
            "llm": {
                "ttft": dice.choice([0.0, 0.02, 0.1, 0.6]),
                "tokens_per_second": dice.choice([20, 80, 500]),
                "replies": [_answer(dice, agent) for _ in range(70)],
            },
            "tts": {
                "ttfb": dice.choice([0.02, 0.2, 0.5]),
                "word_times": chance() < 0.6,
                "real_time_factor": dice.choice([0.02, 0.1, 0.6]),
            },
        },
        "caller": _steps(dice, user),
        "until": TALK_S + REST_S,
    }
    if chance() < 0.3:
        scenario["session"]["greeting"] = agent.sentence(8)
    if chance() < 0.15:
        scenario["models"]["tts"]["dies_after_samples"] = dice.randrange(1000, 200_000)
    return Plan(seed, scenario, _faults(dice), _acts(dice))


def _answer(dice: random.Random, words: _Words) -> list[Any]:
    parts: list[Any] = []
    if dice.random() < 0.93:
        parts.append(words.sentence(dice.randrange(2, 25)))
    if dice.random() < 0.1:
        parts.append({"pause": dice.choice([0.3, 2.0])})
        parts.append(words.sentence(dice.randrange(2, 6)))
    if dice.random() < 0.15:
        parts += [{"call": dice.choice(["work", "fail"]), "arguments": {}}] * dice.choice([1, 1, 2])
    elif dice.random() < 0.04:
        parts.append({"error": "overloaded"})
    elif dice.random() < 0.03:
        parts.append({"never_ends": True})
    return parts or [words.sentence(3)]


def _steps(dice: random.Random, words: _Words) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = []
    at = dice.choice([0.3, 1.0, 3.0])
    while at < TALK_S:
        kind = dice.random()
        if kind < 0.62:
            count = dice.randrange(1, 6)
            length = round(0.3 * count, 2)
            steps.append(
                {dice.choice(["say", "say", "interrupt"]): " ".join(words.take(count)), "at": at, "for": length}
            )
        elif kind < 0.7:
            length = 0.35
            steps.append({"backchannel": dice.choice(["mm hmm", "right", "okay"]), "at": at, "for": length})
        elif kind < 0.78:
            first, second = words.take(2), words.take(2)
            pause = dice.choice([0.4, 0.8, 1.5])
            steps.append(
                {"hesitate": f"{' '.join(first)} ... {' '.join(second)}", "pause": pause, "for": 1.2, "at": at}
            )
            length = 1.2 + pause
        else:
            length = dice.choice([0.06, 0.25, 0.6, 2.5])
            steps.append({dice.choice(["cough", "noise", "phone"]): True, "at": at, "for": length})
        at = round(at + length + dice.choice([0.15, 0.4, 0.6, 0.6, 1.0, 1.6, 2.5, 4.0]), 2)
    if dice.random() < 0.15:
        steps.append({"hang_up": True, "at": round(dice.uniform(1.0, TALK_S + 5.0), 2)})
        steps.sort(key=lambda step: step["at"])
    return steps


def _faults(dice: random.Random) -> dict[str, str]:
    found = {}
    for node, faults in (("vad", VAD_FAULTS), ("stt", STT_FAULTS), ("tts", TTS_FAULTS)):
        if dice.random() < 0.1:
            found[node] = dice.choice(faults)
    return found


ACTS = ("interrupt", "force", "say", "say through", "reply", "commit", "clear", "say and cancel")


def _acts(dice: random.Random) -> list[tuple[float, str]]:
    if dice.random() < 0.6:
        return []
    return sorted((round(dice.uniform(0.2, TALK_S), 2), dice.choice(ACTS)) for _ in range(dice.randrange(1, 6)))


# Making


def make(plan: Plan) -> Made:
    """Make the call, in virtual time."""
    return virtual.run(_make(plan))


async def _make(plan: Plan) -> Made:
    scenario = Scenario.of(plan.scenario)
    call = call_of(scenario)
    tts = dict(plan.scenario["models"]["tts"])
    call.tts = FaultyTTS(plan.faults["tts"], **tts) if "tts" in plan.faults else SignedTTS(**tts)
    if "vad" in plan.faults:
        call.vad = FaultyVAD(plan.faults["vad"], **plan.scenario["models"]["vad"])
    stt = plan.scenario["models"]["stt"]
    if "stt" in plan.faults:
        call.stt = FaultySTT(plan.faults["stt"], call.caller, **stt)
    assert isinstance(call.stt, ScriptedSTT)
    session = await call.start(ScenarioAgent(scenario), **scenario.session)
    acting = asyncio.ensure_future(_act(session, plan, random.Random(plan.seed)))
    at = TALK_S + SETTLES_S
    while at <= TALK_S + REST_S and session.is_open:
        await call.run(at)
        if session.agent_state == "listening":
            break
        at += 2.0
    acting.cancel()
    at_rest = session.agent_state == "listening"
    asked_at = clock.now()
    result = await call.end()
    close_s = clock.now() - asked_at
    await clock.sleep(0)
    left = sorted(task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task())
    return Made(plan, result, read(result.played), call.tts, session.history, at_rest, close_s, left)


async def _act(session: AgentSession[Any], plan: Plan, dice: random.Random) -> None:
    words = _Words(dice, "b")
    for at, what in plan.acts:
        await clock.sleep_until(at)
        if not session.is_open:
            return
        match what:
            case "interrupt":
                session.interrupt()
            case "force":
                session.interrupt(force=True)
            case "say":
                session.say(words.sentence(6))
            case "say through":
                session.say(words.sentence(6), allow_interruptions=False)
            case "reply":
                session.generate_reply()
            case "commit":
                session.commit_user_turn()
            case "clear":
                session.clear_user_turn()
            case _:
                session.say(words.sentence(6)).interrupt()
