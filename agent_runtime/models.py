"""The nodes of a session: made from what was given, found for an agent, closed at the end."""

import dataclasses
from typing import TYPE_CHECKING, Any

from agent_runtime.advice import detector_of
from agent_runtime.errors import UsageError
from agent_runtime.inference.descriptor import Kind, resolve
from agent_runtime.llm import LLM
from agent_runtime.stt import STT
from agent_runtime.tts import TTS
from agent_runtime.turns.options import TurnHandling
from agent_runtime.types import NOT_GIVEN, NotGivenOr
from agent_runtime.vad import VAD

if TYPE_CHECKING:
    from agent_runtime.agent import Agent


class Models:
    """What was given as a string is made here and closed here; an object belongs to who made it.

    Raises:
        UsageError: a descriptor that is unknown, or an `stt` that needs a `vad` and has none.
    """

    def __init__(
        self, *, vad: NotGivenOr[VAD | str | None], stt: STT | str | None, llm: LLM | str | None, tts: TTS | str | None
    ) -> None:
        self.given: dict[str, Any] = {"vad": vad, "stt": stt, "llm": llm, "tts": tts}
        """As it came from the application."""
        if vad is NOT_GIVEN:
            vad = "local/silero" if stt is not None else None
        self.vad: VAD | None = resolve("vad", vad)
        self.stt: STT | None = resolve("stt", stt)
        self.llm: LLM | None = resolve("llm", llm)
        self.tts: TTS | None = resolve("tts", tts)
        pairs = ((stt, self.stt), (llm, self.llm), (tts, self.tts))
        self._own: list[Any] = [node for given, node in pairs if isinstance(given, str)]
        self._of_agents: dict[tuple[str, str], Any] = {}
        self._substitutes: set[str] = set()
        if self.stt is not None and self.stt.needs_vad and self.vad is None:
            raise UsageError(
                f"The STT {self.stt.label!r} decodes only what a voice activity detector marks; "
                "give AgentSession(vad='local/silero') with it."
            )

    @property
    def labels(self) -> dict[str, str | None]:
        """What stands in the log for each node."""
        nodes = {"vad": self.vad, "stt": self.stt, "llm": self.llm, "tts": self.tts}
        return {kind: (node.label or type(node).__name__) if node is not None else None for kind, node in nodes.items()}

    def llm_of(self, agent: "Agent", instead: LLM | str | None = None) -> LLM | None:
        """The agent's or the session's; `instead` counts before both, for one request.

        Raises:
            UsageError: `instead` names no model, or is none.
        """
        if instead is not None and not isinstance(instead, str):
            resolve("llm", instead)
        given = agent._given_llm if instead is None else instead
        return self.llm if given is NOT_GIVEN else self._of("llm", given, self.llm)

    def tts_of(self, agent: "Agent") -> TTS | None:
        given = agent._given_tts
        return self.tts if given is NOT_GIVEN else self._of("tts", given, self.tts)

    def _of(self, kind: Kind, given: Any, default: Any) -> Any:
        if kind in self._substitutes:
            return default
        if not isinstance(given, str):
            return given
        if (kind, given) not in self._of_agents:
            self._of_agents[kind, given] = resolve(kind, given)
        return self._of_agents[kind, given]

    def with_detector(self, options: TurnHandling) -> TurnHandling:
        """The settings with the turn detector in the place of its name, where it has anything to close or to load.

        Raises:
            UsageError: a detector that is unknown, or cannot be used.
        """
        detector = detector_of(options)
        if detector is options.turn_detection or not hasattr(detector, "aclose"):
            return options
        self._own.append(detector)
        return dataclasses.replace(options, turn_detection=detector)

    def substitute(self, kind: Kind, given: Any) -> None:
        """Take this node in the place of the session's, and of every agent's own; before the session starts."""
        node = resolve(kind, given)
        if isinstance(given, str):
            self._own.append(node)
        setattr(self, kind, node)
        self._substitutes.add(kind)

    def prewarm(self, agent: "Agent") -> None:
        """Let the nodes of the first agent get ready."""
        for node in (self.stt, self.tts_of(agent), self.llm_of(agent)):
            prewarm = getattr(node, "prewarm", None)
            if prewarm is not None:
                prewarm()

    @property
    def to_close(self) -> list[Any]:
        """The nodes that were made here."""
        return [*self._of_agents.values(), *self._own]
