"""Who of several models is asked next, and when a second one is asked besides. Pure: it is told what happened and when."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from agent_runtime.turns.quantiles import Quantile

Hedge = float | Literal["p90"] | None
"""After how many seconds without a usable token of the one before it a model is asked besides; None: only when that fails."""

FIRST_PROBE_S = 5.0
LONGEST_PROBE_S = 60.0
"""How long after a failure a model is asked whether it is back: doubled each time, up to the second."""

LEARNED_AFTER = 8
"""Answers that have to be seen before their quantile counts."""

UNLEARNED_S = 1.0
"""What counts before."""


@dataclass(slots=True)
class _Member:
    down_since: float | None = None
    probe_at: float = 0.0
    wait: float = FIRST_PROBE_S
    first_tokens: Quantile = field(default_factory=lambda: Quantile(0.9))


class Availability:
    """What is known of the members of a chain, by their places in it."""

    def __init__(self, hedges: Sequence[Hedge]) -> None:
        self._hedges = list(hedges)
        self._members = [_Member() for _ in hedges]

    def order(self) -> list[int]:
        """Who is asked, in turn: those that are not known to be down, or else all."""
        up = [place for place, member in enumerate(self._members) if member.down_since is None]
        return up or list(range(len(self._members)))

    def is_down(self, place: int) -> bool:
        return self._members[place].down_since is not None

    def due(self, at: float) -> list[int]:
        """Who is down and ought to be asked whether that is over, while another answers."""
        if all(member.down_since is not None for member in self._members):
            return []  # they are asked in earnest
        return [
            place
            for place, member in enumerate(self._members)
            if member.down_since is not None and at >= member.probe_at
        ]

    def failed(self, place: int, at: float) -> None:
        member = self._members[place]
        if member.down_since is None:
            member.down_since = at
        else:
            member.wait = min(2 * member.wait, LONGEST_PROBE_S)
        member.probe_at = at + member.wait

    def answered(self, place: int, first_token_s: float) -> None:
        member = self._members[place]
        member.down_since = None
        member.wait = FIRST_PROBE_S
        member.first_tokens.add(first_token_s)

    def hedge_after(self, place: int, before: int) -> float | None:
        """Seconds after which `place` is asked besides `before`, which has given no usable token; None: never."""
        hedge = self._hedges[place]
        if hedge != "p90":
            return hedge
        seen = self._members[before].first_tokens
        learned = seen.value if seen.count >= LEARNED_AFTER else None
        return UNLEARNED_S if learned is None else learned
