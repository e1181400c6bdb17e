"""Small types that several modules share."""

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

if TYPE_CHECKING:
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
