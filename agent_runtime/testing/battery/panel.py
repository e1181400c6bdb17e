"""Turn-taking as the field measures it, from two lists of intervals: when the caller was heard, and when the agent was.

Theory of operation
===================

A call is two lists of ``[start, end]`` in seconds, and a label for each interval of the caller. Nothing else is looked
at, so that any recording of any runtime can be measured in the same way.

The *interaction panel* is that of tau-voice (sierra-research/tau2-bench, `docs/interaction-metrics.md`). It is defined on
ticks of 200 ms: a tick holds speech of a party if any of it falls into the tick. So a stop shorter than a tick may not be
seen, and a latency is a whole number of ticks. `read` therefore takes the grid: `TICK_S`, or `EXACT_S` for the same two
latencies as they were heard.

What counts, and with which window, stands at the functions. Three things are stricter here than there, because our labels
know more: the parts of a turn with pauses in it are one turn, and an agent that starts in such a pause has interrupted
the caller; a turn that is never answered counts as such also when nobody says anything after it; and noises of the
caller's surroundings are no speech of his, so nobody has to yield to them or answer them.

What cannot be known, because it never happened, is None.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from statistics import fmean
from typing import Literal

from agent_runtime.testing.battery.intervals import (
    FLOOR,
    TICK_S,
    HeardCall,
    Interval,
    Kind,
    Label,
    Said,
    Segment,
)

YIELD_WINDOW_S = 2.0
"""An agent that is interrupted has to be silent before so much has passed."""
IGNORE_WINDOW_S = 1.0
"""For so long an agent has to go on after the start of a backchannel, a tic or speech not meant for it."""
ANSWER_WINDOW_S = 2.0
"""For so long a silent agent has to stay silent after the end of a tic or of speech not meant for it."""

What = Literal["response", "yield", "agent_interrupts", "backchannel", "tic", "non_directed", "noise", "pause"]

_MEASURES: dict[Kind, What] = {
    "backchannel": "backchannel",
    "tic": "tic",
    "non_directed": "non_directed",
    "noise": "noise",
}
"""Which measure tells how a thing that is no turn was treated."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Something that a measure counts.

    `at` is when it began; `good` whether the agent did the right thing; `latency` in seconds, where there is one;
    `label` is the caller's interval it is about (for `agent_interrupts` the one that was talked into, or the one before
    the pause). `while_speaking` says whether the other party spoke then; None where that makes no difference.
    """

    what: What
    at: float
    good: bool
    label: Label
    latency: float | None = None
    while_speaking: bool | None = None


@dataclass(frozen=True, slots=True)
class Rate:
    count: int
    total: int

    @property
    def value(self) -> float | None:
        return self.count / self.total if self.total else None


@dataclass(frozen=True, slots=True)
class Panel:
    """The eight measures (and two of ours: `noise`, `pauses_kept`), each None where nothing of the kind happened."""

    response_latency: float | None
    yield_latency: float | None
    response_rate: Rate
    yield_rate: Rate
    agent_interrupts: Rate
    """Starts of the agent in the caller's turns, for each turn that could be answered; may exceed 1."""
    backchannels_ignored: Rate
    tics_ignored: Rate
    non_directed_ignored: Rate
    noise_ignored: Rate
    pauses_kept: Rate
    """Pauses inside a turn in which the agent kept silent."""


def read(
    caller: Sequence[Interval], agent: Sequence[Interval], labels: Sequence[Label], *, grid_s: float = TICK_S
) -> list[Occurrence]:
    """Everything in one call that the panel counts, in order of time.

    Args:
        caller, agent: when each was heard, ``[start, end]`` in seconds.
        labels: what the caller's intervals are, in order. What was never said has no interval: labels may be left over.
        grid_s: `TICK_S` or `EXACT_S`.

    Raises:
        UsageError: more intervals of the caller than labels, or an interval without length.
    """
    call = HeardCall(caller, agent, labels, grid_s)
    found = [*responses(call), *yields(call), *_agent_interrupts(call), *_ignored(call), *_pauses(call)]
    return sorted(found, key=lambda each: each.at)


def responses(call: HeardCall) -> Iterable[Occurrence]:
    """A turn is answered if the agent starts after its end and not after the caller's next turn starts.

    Turns at whose end the agent speaks are left out: it has cut in, or did not yield, which is counted there.
    """
    for turn, following in zip_longest(call.turns, call.turns[1:]):
        if not turn.label.owed or turn.label.kind == "part" or call.agent_goes_on(turn.end):
            continue
        start = call.next_start(turn.end)
        good = start is not None and (following is None or start <= following.start)
        latency = call.seconds(start - turn.end) if good and start is not None else None
        yield Occurrence("response", call.seconds(turn.end), good, turn.label, latency)


def yields(call: HeardCall) -> Iterable[Occurrence]:
    """Whenever the caller takes the floor while the agent speaks: silent within `YIELD_WINDOW_S`, and after how long."""
    for said in call.said:
        speaking = call.agent_at(said.start)
        if said.label.kind not in FLOOR or speaking is None:
            continue
        took = speaking.end - said.start
        good = took < call.units(YIELD_WINDOW_S)
        yield Occurrence(
            "yield",
            call.seconds(said.start),
            good,
            said.label,
            call.seconds(took) if good else None,
            while_speaking=True,
        )


def _agent_interrupts(call: HeardCall) -> Iterable[Occurrence]:
    """Each start of the agent while the caller speaks to it or murmurs, or pauses in the middle of a turn."""
    for agent in call.agent:
        within = next((turn for turn in call.turns if turn.start <= agent.start < turn.end), None)
        murmur = next((said for said in call.said if said.label.kind == "backchannel" and _holds(said, agent)), None)
        if within is not None:
            # One that starts in the tick in which the caller goes on has taken the pause before for the end.
            talked_into = ([piece for piece in within.pieces if piece.start < agent.start] or [within.pieces[0]])[-1]
            over_voice = agent.start < talked_into.end
            yield Occurrence(
                "agent_interrupts", call.seconds(agent.start), False, talked_into.label, while_speaking=over_voice
            )
        elif murmur is not None:
            yield Occurrence("agent_interrupts", call.seconds(agent.start), False, murmur.label, while_speaking=True)


def _holds(said: Said, agent: Segment) -> bool:
    return said.start <= agent.start < said.end


def _ignored(call: HeardCall) -> Iterable[Occurrence]:
    """What is no turn: a speaking agent goes on for `IGNORE_WINDOW_S`, a silent one stays silent for `ANSWER_WINDOW_S`.

    Backchannels and noises in silence are not scored.
    """
    for said in call.said:
        kind = said.label.kind
        if kind not in _MEASURES:
            continue
        speaking = call.agent_at(said.start)
        if speaking is not None:
            good = speaking.end - said.start >= call.units(IGNORE_WINDOW_S)
        elif kind in ("tic", "non_directed"):
            start = call.next_start(said.start)
            good = start is None or start > said.end + call.units(ANSWER_WINDOW_S)
        else:
            continue
        yield Occurrence(
            _MEASURES[kind], call.seconds(said.start), good, said.label, while_speaking=speaking is not None
        )


def _pauses(call: HeardCall) -> Iterable[Occurrence]:
    """Pauses inside a turn, at whose beginning the agent was silent: did it start before the caller went on?"""
    for turn in call.turns:
        for piece, following in pairwise(turn.pieces):
            if call.agent_goes_on(piece.end):
                continue
            start = call.next_start(piece.end)
            good = start is None or start >= following.start
            yield Occurrence("pause", call.seconds(piece.end), good, piece.label)


def summarise(found: Iterable[Occurrence]) -> Panel:
    """The panel over the occurrences of any number of calls."""
    every = list(found)

    def those(what: What) -> list[Occurrence]:
        return [each for each in every if each.what == what]

    def rate(what: What) -> Rate:
        return Rate(sum(each.good for each in those(what)), len(those(what)))

    def latency(what: What) -> float | None:
        known = [each.latency for each in those(what) if each.latency is not None]
        return fmean(known) if known else None

    return Panel(
        response_latency=latency("response"),
        yield_latency=latency("yield"),
        response_rate=rate("response"),
        yield_rate=rate("yield"),
        agent_interrupts=Rate(len(those("agent_interrupts")), len(those("response"))),
        backchannels_ignored=rate("backchannel"),
        tics_ignored=rate("tic"),
        non_directed_ignored=rate("non_directed"),
        noise_ignored=rate("noise"),
        pauses_kept=rate("pause"),
    )
