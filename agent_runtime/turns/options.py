"""How turns are taken: the settings, with the names under which livekit-agents users know them."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from numbers import Integral, Real
from typing import Any, Literal, TypedDict, TypeVar

from agent_runtime.errors import UsageError
from agent_runtime.turns.detectors import TurnDetector

TurnDetectionMode = Literal["vad", "stt", "manual"]
"""What ends a turn after the delay: silence; the recogniser's final; nothing but the application."""

DEFAULT_DETECTOR = "local/text"

MuteWhen = Literal["until_first_reply", "during_tools"]


Mute = MuteWhen | Callable[[], bool]
"""``"until_first_reply"``: until the agent's first speech is over. ``"during_tools"``: while a tool runs. A function is
asked at each beginning of a voice. A voice that begins while the user is muted is not heard, to its end."""


class EndpointingOptions(TypedDict, total=False):
    """`min_delay`, `max_delay`: s from the user's last voiced sample to the commit."""

    min_delay: float
    max_delay: float


class InterruptionOptions(TypedDict, total=False):
    """`enabled`; `min_duration` (s of voice; counts only without a recogniser); `min_words`;
    `resume_false_interruption`; `false_interruption_timeout` (s after a voice without words; at most 0.5 is used).
    """

    enabled: bool
    min_duration: float
    min_words: int
    resume_false_interruption: bool
    false_interruption_timeout: float | None


class PreemptiveGenerationOptions(TypedDict, total=False):
    """`enabled`; `preemptive_tts` (speak it too, before the turn is final); `max_speech_duration` (s: after a longer
    turn nothing is made ahead); `max_retries` (how often in a turn something is made ahead).
    """

    enabled: bool
    preemptive_tts: bool
    max_speech_duration: float
    max_retries: int


class TurnHandlingOptions(TypedDict, total=False):
    """What `AgentSession(turn_handling=...)` takes.

    `turn_detection`: a mode, the name of a detector (``"local/text"``, the default), a `TurnDetector`, or None, which is
    silence alone. `mute`: when the user is not listened to; see `Mute`.
    """

    turn_detection: TurnDetectionMode | str | TurnDetector | None
    endpointing: EndpointingOptions
    interruption: InterruptionOptions
    preemptive_generation: PreemptiveGenerationOptions
    mute: Sequence[Mute]


@dataclass(frozen=True, slots=True)
class Endpointing:
    min_delay: float = 0.5
    max_delay: float = 3.0


@dataclass(frozen=True, slots=True)
class Interruption:
    enabled: bool = True
    min_duration: float = 0.5
    min_words: int = 0
    resume_false_interruption: bool = True
    false_interruption_timeout: float | None = 2.0


@dataclass(frozen=True, slots=True)
class PreemptiveGeneration:
    """Off unless it is asked for: it answers sooner, and pays for what it throws away."""

    enabled: bool = False
    preemptive_tts: bool = False
    max_speech_duration: float = 10.0
    max_retries: int = 3


@dataclass(frozen=True, slots=True)
class TurnHandling:
    """The settings, checked and complete."""

    turn_detection: TurnDetectionMode | str | TurnDetector | None = DEFAULT_DETECTOR
    endpointing: Endpointing = field(default_factory=Endpointing)
    interruption: Interruption = field(default_factory=Interruption)
    preemptive_generation: PreemptiveGeneration = field(default_factory=PreemptiveGeneration)
    mute: tuple[Mute, ...] = ()

    @classmethod
    def of(cls, given: "TurnHandlingOptions | TurnHandling | None") -> "TurnHandling":
        """Fill up what was given with the defaults.

        Raises:
            UsageError: an unknown key, or a value that cannot be.
        """
        if given is None:
            return cls()
        if isinstance(given, TurnHandling):
            return given
        _known(given, cls, "turn_handling")
        mode = given.get("turn_detection", DEFAULT_DETECTOR)
        if not (mode is None or isinstance(mode, str | TurnDetector)) or isinstance(mode, type):
            raise UsageError(
                f"turn_handling turn_detection is {mode!r}; it may be 'vad', 'stt', 'manual', None, "
                f"a detector's name ({DEFAULT_DETECTOR!r}) or an object with `label` and `predict`."
            )
        endpointing = _fill(Endpointing(), given.get("endpointing"), "turn_handling endpointing")
        interruption = _fill(Interruption(), given.get("interruption"), "turn_handling interruption")
        if not 0 <= endpointing.min_delay <= endpointing.max_delay:
            raise UsageError(
                f"turn_handling endpointing has min_delay {endpointing.min_delay!r} and max_delay "
                f"{endpointing.max_delay!r}; it needs 0 <= min_delay <= max_delay, in seconds."
            )
        preemptive = _fill(
            PreemptiveGeneration(), given.get("preemptive_generation"), "turn_handling preemptive_generation"
        )
        return cls(mode, endpointing, interruption, preemptive, _mutes(given.get("mute", ())))


def _mutes(given: Any) -> tuple[Mute, ...]:
    mutes = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else (given,)
    for each in mutes:
        if each not in ("until_first_reply", "during_tools") and not callable(each):
            raise UsageError(
                f"turn_handling mute has {each!r}; it takes 'until_first_reply', 'during_tools' or a function."
            )
    return mutes


T = TypeVar("T", Endpointing, Interruption, PreemptiveGeneration)


def _known(given: Any, kind: type, where: str) -> None:
    if not isinstance(given, dict):
        raise UsageError(f"{where} is {given!r}; it takes a dict.")
    names = [each.name for each in fields(kind)]
    for key in given:
        if key not in names:
            raise UsageError(f"{where} has the unknown key {key!r}; it takes {', '.join(names)}.")


def _fill(defaults: T, given: Any, where: str) -> T:
    if given is None:
        return defaults
    _known(given, type(defaults), where)
    for key, value in given.items():
        wanted = getattr(defaults, key)
        if isinstance(wanted, bool):
            if not isinstance(value, bool):
                raise UsageError(f"{where} {key} is {value!r}; it takes True or False.")
        elif value is not None or key != "false_interruption_timeout":
            check_number(f"{where} {key}", value, whole=isinstance(wanted, int))
    return replace(defaults, **given)


def check_number(name: str, value: Any, *, whole: bool = False) -> None:
    """Refuse what is no finite number from 0 on.

    Raises:
        UsageError: it names the option, the value, and what is allowed.
    """
    kind: Any = Integral if whole else Real
    if isinstance(value, bool) or not isinstance(value, kind) or not 0 <= value < math.inf:
        raise UsageError(f"{name} is {value!r}; it takes a {'whole ' if whole else ''}number from 0 on.")
