"""The turn detector and its answers: advice from somebody who may be slow, wrong, or broken."""

import asyncio
import inspect
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from agent_runtime import clock, events
from agent_runtime.errors import UsageError
from agent_runtime.turns.detectors import TextDetector, TurnDetector, TurnSoFar
from agent_runtime.turns.options import DEFAULT_DETECTOR, TurnHandling
from agent_runtime.turns.signals import Advice

if TYPE_CHECKING:
    from agent_runtime.conversation import Conversation


def detector_of(options: TurnHandling) -> TurnDetector | None:
    """The detector that `turn_detection` names; None where it is a mode.

    Raises:
        UsageError: a name that no detector has.
    """
    wanted = options.turn_detection
    if wanted is None or wanted in ("vad", "stt", "manual"):
        return None
    if not isinstance(wanted, str):
        return wanted
    if wanted == DEFAULT_DETECTOR:
        return TextDetector("en")
    from difflib import get_close_matches

    names = ("vad", "stt", "manual", DEFAULT_DETECTOR)
    near = get_close_matches(wanted, names, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"It may be {', '.join(map(repr, names))}, None or a detector."
    raise UsageError(f"Unknown turn detector {wanted!r} in turn_handling turn_detection. {hint}")


class Adviser:
    """Asks the detector, and tells the turn machine what it says.

    A detector that raises is an event, once; a late answer finds a machine that no longer waits for it.
    """

    def __init__(self, conversation: "Conversation", detector: TurnDetector) -> None:
        self._conversation = conversation
        self._detector = detector
        self._task: asyncio.Task[None] | None = None
        self._failed = False
        self.language: str | None = None
        """Of the caller's last words."""

    def ask(self, text: str, last_voiced: float) -> None:
        """Whether `text` is a whole turn; the answer comes in this very call where the detector is quick."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        turn = TurnSoFar(text, self.language, last_voiced, self._conversation.hearing.agent_said)
        self._complain()
        try:
            answer = self._detector.predict(turn)
        except Exception as error:
            self._broke(error)
            answer = None
        if inspect.isawaitable(answer):
            self._task = self._conversation.spawn(self._wait(text, answer), name="turn detector")
        else:
            self._tell(text, answer)

    async def _wait(self, text: str, answer: Awaitable[float | None]) -> None:
        try:
            self._tell(text, await answer)
        except Exception as error:
            self._broke(error)
            self._tell(text, None)

    def _tell(self, text: str, probability: object) -> None:
        number = isinstance(probability, int | float) and not isinstance(probability, bool)
        known = float(probability) if number and 0.0 <= probability <= 1.0 else None  # type: ignore[arg-type,operator]
        if probability is not None and known is None:
            self._broke(ValueError(f"its answer was {probability!r}, which is no probability"))
        machine = self._conversation.machine
        self._conversation.post(
            events.TurnPredicted(
                at=clock.now(), detector=self._detector.label, probability=known, delay=machine.delay_for(known)
            )
        )
        self._conversation.guarded(self._conversation.tell, Advice(clock.now(), text, known))

    def _broke(self, error: Exception) -> None:
        if not self._failed:
            self._failed = True
            self._conversation.failed("turn_detector", f"The turn detector {self._detector.label!r}", error)

    def _complain(self) -> None:
        if isinstance(self._detector, TextDetector) and (complaint := self._detector.complaint(self.language)):
            self._conversation.fell_short("turn_detector", complaint)
