"""What is true of Claude's models by their generation, wherever they are served. Pure, and overridable where it is used."""

import re
from typing import Any

from agent_runtime.errors import UsageError

ADAPTIVE_SINCE = (4, 6)
"""From here on a model decides itself how long it thinks, and refuses an answer that was begun for it."""

BUDGETS = {"minimal": 1024, "low": 1024, "medium": 2048, "high": 4096, "xhigh": 8192, "max": 16384}
"""Tokens to think with, for the models before."""

EFFORTS = ("none", "disable", "minimal", "low", "medium", "high", "xhigh", "max")

LEAST_BUDGET = 1024

_NAMES = (
    re.compile(r"claude-(?:[a-z]+-)(\d+)(?:-(\d{1,2}))?(?!\d)"),  # claude-sonnet-4-6, claude-opus-5
    re.compile(r"claude-(\d+)(?:[-.](\d{1,2}))?(?!\d)"),  # claude-3-5-sonnet-20241022
)


def generation(model: str) -> tuple[int, int] | None:
    """``(4, 6)`` of ``claude-sonnet-4-6``; None where the name says nothing of it."""
    for pattern in _NAMES:
        match = pattern.search(model)
        if match is not None:
            return int(match[1]), int(match[2] or 0)
    return None


def is_adaptive(model: str) -> bool:
    """Whether it is of the newer kind. What cannot be told from the name is taken for new."""
    found = generation(model)
    return found is None or found >= ADAPTIVE_SINCE


def thinking_for(effort: str | None, adaptive: bool) -> dict[str, Any] | None:
    """What `reasoning_effort` means as Anthropic's ``thinking``; None where nothing was asked for."""
    if effort is None:
        return None
    if effort in ("none", "disable"):
        return {"type": "disabled"}
    return {"type": "adaptive"} if adaptive else {"type": "enabled", "budget_tokens": BUDGETS[effort]}


def effort_level(effort: str | None) -> str | None:
    """The level that the newer models take."""
    return {"minimal": "low", "none": None, "disable": None}.get(effort or "none", effort)


def checked_thinking(thinking: Any) -> dict[str, Any] | None:
    """``thinking`` as a user gave it.

    Raises:
        UsageError: it has no known type, or too small a budget.
    """
    if thinking is None:
        return None
    kind = thinking.get("type") if isinstance(thinking, dict) else None
    if kind not in ("enabled", "adaptive", "disabled"):
        raise UsageError(
            f"thinking is {thinking!r}; it is {{'type': 'adaptive'}}, {{'type': 'enabled', 'budget_tokens': 1024}} or "
            "{'type': 'disabled'}."
        )
    budget = thinking.get("budget_tokens")
    if kind == "enabled" and not (isinstance(budget, int) and not isinstance(budget, bool) and budget >= LEAST_BUDGET):
        raise UsageError(f"thinking has budget_tokens={budget!r}; it is a whole number of at least {LEAST_BUDGET}.")
    return dict(thinking)


def thinks(thinking: dict[str, Any] | None) -> bool:
    return thinking is not None and thinking["type"] != "disabled"
