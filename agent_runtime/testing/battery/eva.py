"""EVA-Bench's turn taking (ServiceNow/eva, turn taking 0.2) from intervals and labels, on exact times.

The caller's turns are scored one by one; a call's score is their mean. An ordinary turn scores by its latency, on a curve
that also punishes an answer within half a second; an unanswered one 0; an interruption by how soon the agent yields.
A turn into which the agent cut scores the worst of the overlap, the number of times, and the latency of the answer that
came in the end, and `CUT_IN_BEST` at most. Where both interrupted the lower counts. Turns of which nothing can be said
(no answer was owed) have no score.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Literal

from agent_runtime.testing.battery.intervals import EXACT_S, HeardCall, Interval, Label, Segment, Turn
from agent_runtime.testing.battery.panel import Occurrence, responses, yields

LATENCY_POINTS = ((-0.5, 0.0), (0.5, 1.0), (2.0, 1.0), (3.5, 0.0))
"""Seconds from the end of the caller's turn to the agent's first sound, and what that scores; straight in between."""
TOOL_LATENCY_POINTS = ((-0.5, 0.0), (0.5, 1.0), (3.0, 1.0), (5.0, 0.0))
"""The same where a tool is called before the answer."""
YIELD_ZERO_S = 2.0
"""The score of an interruption falls from 1, for yielding at once, to 0 here."""
CUT_IN_BEST = 0.5
"""A turn into which the agent cut scores no more, however soon the agent stops."""
OVERLAP_ZERO_S = 2.0
CUT_INS_ZERO = 3

PASS_MARK = 0.80
"""A call that scores less has failed."""

Route = Literal["ordinary", "unanswered", "caller interrupts", "agent interrupts", "both interrupt"]


@dataclass(frozen=True, slots=True)
class TurnScore:
    route: Route
    score: float
    label: Label


def latency_score(latency: float, *, uses_tool: bool = False) -> float:
    """The score of one response latency in seconds."""
    points = TOOL_LATENCY_POINTS if uses_tool else LATENCY_POINTS
    if latency <= points[0][0] or latency >= points[-1][0]:
        return 0.0
    for (left, low), (right, high) in pairwise(points):
        if latency <= right:
            return low + (high - low) * (latency - left) / (right - left)
    raise AssertionError("the points cover every latency between the first and the last")


def call_score(scores: Sequence[TurnScore]) -> float | None:
    """A call's score; None where no turn of it has one."""
    return fmean(each.score for each in scores) if scores else None


def turn_scores(caller: Sequence[Interval], agent: Sequence[Interval], labels: Sequence[Label]) -> list[TurnScore]:
    """One call's turns that can be scored, in order. The arguments are those of `panel.read`."""
    call = HeardCall(caller, agent, labels, EXACT_S)
    answers = {each.at: each for each in responses(call)}
    yielded = {each.at: each for each in yields(call)}
    found = []
    for turn in call.turns:
        interrupted = [yielded[at] for piece in turn.pieces if (at := call.seconds(piece.start)) in yielded]
        score = _score(call, turn, answers.get(call.seconds(turn.end)), interrupted)
        if score is not None:
            found.append(score)
    return found


def _score(
    call: HeardCall, turn: Turn, answer: Occurrence | None, interrupted: Sequence[Occurrence]
) -> TurnScore | None:
    cut_ins = [each for each in call.agent if turn.start <= each.start < turn.end]
    scores = [max(0.0, 1 - each.latency / YIELD_ZERO_S) if each.latency is not None else 0.0 for each in interrupted]
    if cut_ins:
        scores += _cut_in_scores(call, turn, cut_ins)
        if answer is not None and answer.latency is not None:
            scores.append(latency_score(answer.latency))
        return TurnScore("both interrupt" if interrupted else "agent interrupts", min(scores), turn.label)
    if interrupted:
        return TurnScore("caller interrupts", min(scores), turn.label)
    if answer is None:
        return None
    if answer.latency is None:
        return TurnScore("unanswered", 0.0, turn.label)
    return TurnScore("ordinary", latency_score(answer.latency), turn.label)


def _cut_in_scores(call: HeardCall, turn: Turn, cut_ins: Sequence[Segment]) -> list[float]:
    overlap = sum(
        call.seconds(max(0, min(agent.end, piece.end) - max(agent.start, piece.start)))
        for agent in cut_ins
        for piece in turn.pieces
    )
    return [
        CUT_IN_BEST * max(0.0, 1 - overlap / OVERLAP_ZERO_S),
        CUT_IN_BEST * max(0.0, 1 - (len(cut_ins) - 1) / (CUT_INS_ZERO - 1)),
    ]
