"""The turn detector and its answers: advice from somebody who may be slow, wrong, or broken."""

import asyncio
import inspect
from collections.abc import Awaitable
from difflib import get_close_matches
from numbers import Real
from typing import TYPE_CHECKING

from agent_runtime import clock, events
from agent_runtime.audio.frame import AudioFrame
from agent_runtime.audio.recent import RecentSound
from agent_runtime.errors import UsageError
from agent_runtime.inference.descriptor import LOCAL, resolve
from agent_runtime.turns.detectors import SOUND_AFTER_S, SOUND_BEFORE_S, TextDetector, TurnDetector, TurnSoFar
from agent_runtime.turns.machine import State
from agent_runtime.turns.options import DEFAULT_DETECTOR, TurnHandling
from agent_runtime.turns.signals import Advice

if TYPE_CHECKING:
    from agent_runtime.conversation import Conversation


MODES = ("vad", "stt", "manual")


def detector_of(options: TurnHandling) -> TurnDetector | None:
    """The detector that `turn_detection` names; None where it is a mode.

    Raises:
        UsageError: a name that no detector has, or one that cannot be used here.
    """
    wanted = options.turn_detection
    if wanted is None or wanted in MODES:
        return None
    if not isinstance(wanted, str):
        return wanted
    if wanted == DEFAULT_DETECTOR:
        return TextDetector("en")
    _check_name(wanted)
    detector: TurnDetector = resolve("turn_detection", wanted)
    return detector


def _check_name(wanted: str) -> None:
    known = (*MODES, *LOCAL["turn_detection"])
    name = wanted.partition("?")[0].partition(":")[0]
    if name in LOCAL["turn_detection"]:
        return
    near = get_close_matches(name.casefold(), known, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"It may be {', '.join(map(repr, known))}, None or a detector."
    raise UsageError(f"Unknown turn detector {wanted!r} in turn_handling turn_detection. {hint}")


async def prewarm(options: TurnHandling) -> None:
    """Let a detector get ready that says how; what is wrong with it is raised here and not in the first turn."""
    get_ready = getattr(options.turn_detection, "prewarm", None)
    if get_ready is not None:
        await get_ready()


class Adviser:
    """Asks the detector, and tells the turn machine what it says.

    A detector that raises is an event, once; a late answer finds a machine that no longer waits for it.
    """

    def __init__(self, conversation: "Conversation", detector: TurnDetector) -> None:
        self._conversation = conversation
        self._detector = detector
        self._task: asyncio.Task[None] | None = None
        self._failed = False
        hears_s = getattr(detector, "hears_s", None)
        self._sound = RecentSound(hears_s) if hears_s else None
        self.language: str | None = None
        """Of the caller's last words."""

    def ask(self, text: str, last_voiced: float) -> None:
        """Whether `text` is a whole turn; the answer comes in this very call where the detector is quick."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        sound = self._sound.until(last_voiced + SOUND_AFTER_S) if self._sound is not None else None
        turn = TurnSoFar(text, self.language, last_voiced, self._conversation.hearing.agent_said, sound)
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

    def hear(self, frame: AudioFrame) -> None:
        """Keep the caller's sound, where the detector goes by it, from a little before the turn began."""
        if self._sound is None:
            return
        self._sound.add(frame)
        machine = self._conversation.machine
        if machine.has_vad and machine.state in (State.LISTENING, State.AGENT_SPEAKING):  # no turn is under way
            self._sound.forget_all_but(SOUND_BEFORE_S)

    async def _wait(self, text: str, answer: Awaitable[float | None]) -> None:
        try:
            self._tell(text, await answer)
        except Exception as error:
            self._broke(error)
            self._tell(text, None)

    def _tell(self, text: str, probability: object) -> None:
        if self._conversation.adviser is not self:  # another detector has taken its place
            return
        number = isinstance(probability, Real) and not isinstance(probability, bool)  # numpy's floats are real, too
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
