"""A floor for tests: a turn machine driven event by event, and the account of which rows of its table were taken."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec

from agent_runtime.turns.machine import State, TurnMachine
from agent_runtime.turns.options import TurnHandling
from agent_runtime.turns.signals import (
    Advice,
    AgentStarted,
    AgentStopped,
    Command,
    Commit,
    Heard,
    Kind,
    ReplyPlanned,
    Tick,
    TurnEvent,
    VoiceStarted,
    VoiceStopped,
)

P = ParamSpec("P")

LISTENING, USER_SPEAKING, USER_PAUSED = State.LISTENING, State.USER_SPEAKING, State.USER_PAUSED
REPLY_PENDING, AGENT_SPEAKING = State.REPLY_PENDING, State.AGENT_SPEAKING
OVERLAP, HELD = State.OVERLAP, State.HELD

VAD_SILENCE_S = 0.25


class Floor:
    """A machine, driven in order; `said` holds its commands with the time of each, ticks are given when due."""

    def __init__(
        self,
        *,
        has_recogniser: bool = True,
        has_vad: bool = True,
        has_detector: bool = False,
        mode: str | None = "vad",
        **given: dict[str, Any],
    ) -> None:
        asked: Any = {"turn_detection": mode, **given}
        self.machine = TurnMachine(
            TurnHandling.of(asked), has_recogniser=has_recogniser, has_vad=has_vad, has_detector=has_detector
        )
        self.said: list[tuple[float, Command]] = []
        self.taken: set[tuple[State, type]] = set()

    @property
    def state(self) -> State:
        return self.machine.state

    @property
    def commands(self) -> list[Command]:
        return [command for _, command in self.said]

    def take(self) -> list[tuple[float, Command]]:
        """The commands since this was last asked, with their times."""
        said, self.said = self.said, []
        return said

    def wait(self, until: float) -> "Floor":
        while (due := self.machine.deadline) is not None and due <= until:
            self._handle(Tick(due))
            assert self.machine.deadline != due, "a tick that changes nothing comes for ever"
        return self

    def give(self, event: TurnEvent) -> "Floor":
        self.wait(event.at)
        self._handle(event)
        return self

    def _handle(self, event: TurnEvent) -> None:
        self.taken.add((self.state, type(event)))
        self.said += [(event.at, command) for command in self.machine.handle(event)]

    # What happens, in the words of a test.

    def voice(self, onset: float, *, found: float | None = None) -> "Floor":
        return self.give(VoiceStarted(onset if found is None else found, onset))

    def silence(self, last_voiced: float, *, found: float | None = None) -> "Floor":
        return self.give(VoiceStopped(last_voiced + VAD_SILENCE_S if found is None else found, last_voiced))

    def final(self, at: float, text: str, *, sure: bool = True, kind: Kind = "speech") -> "Floor":
        return self.give(Heard(at, text, is_final=True, sure=sure, kind=kind))

    def interim(self, at: float, text: str, *, sure: bool = True, kind: Kind = "speech") -> "Floor":
        return self.give(Heard(at, text, is_final=False, sure=sure, kind=kind))

    def advice(self, at: float, text: str, probability: float | None) -> "Floor":
        return self.give(Advice(at, text, probability))

    def agent(self, at: float, *, interruptible: bool = True) -> "Floor":
        return self.give(AgentStarted(at, interruptible))

    def agent_stops(self, at: float, *, more: bool = False) -> "Floor":
        return self.give(AgentStopped(at, more))

    def plan(self, at: float, *, interruptible: bool = True) -> "Floor":
        return self.give(ReplyPlanned(at, interruptible))


ROWS: set[tuple[State, type]] = set()


def row(*rows: tuple[State, type]) -> Callable[[Callable[P, Floor]], Callable[P, None]]:
    """The test takes these rows of the table; it returns the floor on which it did."""
    ROWS.update(rows)

    def decorate(test: Callable[P, Floor]) -> Callable[P, None]:
        @functools.wraps(test)
        def run(*args: P.args, **kwargs: P.kwargs) -> None:
            missed = set(rows) - test(*args, **kwargs).taken
            assert not missed, f"these rows were not taken: {missed}"

        return run

    return decorate


def commit(transcript: str, reason: str, last_voiced: float, transcribed_at: float | None, sure: bool = True) -> Commit:
    return Commit(transcript, reason, last_voiced, transcribed_at, sure)
