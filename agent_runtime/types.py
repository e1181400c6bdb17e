"""Small types that several modules share."""

import math
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

from agent_runtime.errors import UsageError

if TYPE_CHECKING:
    from agent_runtime.llm import LLM
    from agent_runtime.tools import ToolChoice

T = TypeVar("T")


class NotGiven(Enum):
    """The type of `NOT_GIVEN`."""

    NOT_GIVEN = "not given"

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "NOT_GIVEN"


NOT_GIVEN = NotGiven.NOT_GIVEN
"""An argument that was left out, where None means something else (as for nodes: None switches the node off)."""

NotGivenOr: TypeAlias = T | NotGiven


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """What a node is told about this one request."""

    tool_choice: "ToolChoice | None" = None
    llm: "LLM | str | None" = None
    """Another model than the agent's or the session's."""


@dataclass(frozen=True, slots=True)
class APIConnectOptions:
    """How patient a node is with a service on the network.

    Attributes:
        max_retry: how often a request is sent again, if nothing of the answer has come yet and the failure may pass.
        retry_interval: seconds before it is sent again, the second time and later; 0.1 s before the first time. What
            the service asks for (``Retry-After``) counts instead, unless that is longer than there is time.
        timeout: seconds without a piece of the answer, once it has begun, after which the connection is given up.
        first_token_timeout: seconds from the request to the first piece of the answer, all attempts together.
    """

    max_retry: int = 3
    retry_interval: float = 2.0
    timeout: float = 10.0
    first_token_timeout: float = 10.0

    def __post_init__(self) -> None:
        if self.max_retry < 0:
            raise UsageError(f"max_retry is {self.max_retry}; it is a number of times, 0 or more.")
        for name in ("retry_interval", "timeout", "first_token_timeout"):
            value = getattr(self, name)
            if not 0 <= value < math.inf or (value == 0 and name != "retry_interval"):
                raise UsageError(f"{name} is {value}; it is a number of seconds above 0.")

    def interval(self, attempt: int) -> float:
        """Seconds to wait after attempt number `attempt`, counted from 0."""
        return 0.1 if attempt == 0 else self.retry_interval


def check_options(*, max_tool_steps: object, user_away_timeout: object, on_error: object) -> None:
    """Refuse what an `AgentSession` cannot be made with."""
    if isinstance(max_tool_steps, bool) or not isinstance(max_tool_steps, int) or max_tool_steps < 0:
        raise UsageError(f"max_tool_steps is {max_tool_steps!r}; it takes a whole number from 0 on.")
    away = user_away_timeout
    if away is not None and not (isinstance(away, int | float) and away >= 0):
        raise UsageError(f"user_away_timeout is {away!r}; it takes seconds from 0 on, or None for never.")
    if on_error is not None and not isinstance(on_error, str):
        raise UsageError(f"on_error is what is said where a model fails, a text or None, not {on_error!r}.")
