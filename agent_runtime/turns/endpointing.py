"""How long to wait after the last voiced sample, by what the detector says and what this call has shown so far.

A sure detector gets `min_delay`, one that is sure of the contrary `max_delay`; between the two the delay falls evenly as
the probability rises, to `HESITATION_S` above `min_delay`: a statement may be complete and go on all the same. Once a
caller has paused inside his turns a few times, his own pauses say how long an undecided turn waits, shorter or longer
than that line::

    delay     no observations          after OBSERVATIONS pauses
    max ──┐                            ──┐
          │╲                             ╲
          │ ╲                             ╲______   this caller's
    min   │  ╲_____┐____                         ╲____┐__
          └──┴──┴──┴─────                  ┴      ┴  ┴  ┴
          OPEN  COMPLETE SURE            OPEN UNSURE COMPLETE SURE

Nothing here leaves `[min_delay, max_delay]`, and the delay never rises with the probability.
"""

from itertools import pairwise
from math import isfinite, isnan

from agent_runtime.turns.options import Endpointing
from agent_runtime.turns.quantiles import Quantile

OPEN = 0.1
"""At or below it a turn waits for `max_delay`."""
UNSURE = 0.4
COMPLETE = 0.5
"""At or above it a turn waits for `min_delay`; between it and `UNSURE` nobody can say, also `SURE` when he pauses long."""
SURE = 0.9
HESITATION_S = 0.25
"""What a turn waits longer that is complete and not surely so. Of 16 sentences that people go on after, all were such."""

OBSERVATIONS = 5
"""Fewer say nothing about a caller."""

PAUSE_QUANTILE = 0.8
"""Of five pauses inside turns, four are over when the delay is."""
PAUSE_MARGIN_S = 0.1
"""A pause is over when a voice is noticed, which is a little later than it starts."""
LAG_QUANTILE = 0.95
LAG_MARGIN_S = 0.1


class Estimates:
    """What is known of this call's pauses and of its recogniser's lag. The same observations give the same floats.

    Args:
        options: the bounds.
        complete: the probability from which on a turn is taken to be complete.
    """

    def __init__(self, options: Endpointing, *, complete: float = COMPLETE) -> None:
        if not OPEN < complete < SURE:
            raise ValueError(f"`complete` is between {OPEN} and {SURE}, not {complete!r}.")
        self.options = options
        self._complete = complete
        self._pauses = Quantile(PAUSE_QUANTILE)
        self._lags = Quantile(LAG_QUANTILE)

    def pause(self, seconds: float) -> None:
        """The caller was silent for so long within a turn, and went on."""
        if seconds > 0:
            self._pauses.add(min(seconds, self.options.max_delay))

    def lag(self, seconds: float) -> None:
        """A final came so long after the last voiced sample that it covers; negative where it came before."""
        if not 0.0 <= seconds <= self.options.max_delay:
            if isnan(seconds):
                return
            seconds = min(max(0.0, seconds), self.options.max_delay)
        self._lags.add(seconds)

    def min_delay(self, probability: float | None = None) -> float:
        """How long after the last voiced sample to commit, in s.

        Args:
            probability: that the turn is complete; None (or no number) where nobody has an opinion, which is as good as
                `complete` and no better: silence decides.
        """
        low, high = self.options.min_delay, self.options.max_delay
        own = self._own_pause()
        if probability is None or not isfinite(probability):
            return low if own is None else own
        if probability >= SURE:
            return low
        hesitation = min(low + HESITATION_S, high)
        if own is None:
            return _between(probability, ((OPEN, high), (self._complete, hesitation)))
        unsure = min(UNSURE, (OPEN + self._complete) / 2)
        return _between(probability, ((OPEN, high), (unsure, own), (self._complete, own), (SURE, min(own, hesitation))))

    def final_due(self) -> float:
        """How long after the last voiced sample this recogniser's final is there as a rule, in s.

        Later than that a turn need not wait for it where there are interim words. Within the bounds; `max_delay` while
        the recogniser is not known yet.
        """
        lag = _enough(self._lags)
        return self.options.max_delay if lag is None else self._clamped(lag + LAG_MARGIN_S)

    def _own_pause(self) -> float | None:
        pause = _enough(self._pauses)
        return None if pause is None else self._clamped(pause + PAUSE_MARGIN_S)

    def _clamped(self, seconds: float) -> float:
        return min(max(seconds, self.options.min_delay), self.options.max_delay)


def _enough(quantile: Quantile) -> float | None:
    return quantile.value if quantile.count >= OBSERVATIONS else None


def _between(probability: float, knots: tuple[tuple[float, float], ...]) -> float:
    """The delay on the line through the knots, which are in the order of rising probability and falling delay."""
    if probability <= knots[0][0]:
        return knots[0][1]
    for (left, above), (right, below) in pairwise(knots):
        if probability < right:
            share = (probability - left) / (right - left)
            return max(below, above - share * (above - below))
    return knots[-1][1]
