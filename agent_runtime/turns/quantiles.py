"""A quantile of what has been seen so far, without keeping what was seen."""

from bisect import bisect_right, insort
from math import isfinite

_MARKERS = 5
_AT_MOST_NEW = 64


class Quantile:
    """The P² estimate of one quantile: five numbers, whatever the count of observations.

    R. Jain and I. Chlamtac, "The P² algorithm for dynamic calculation of quantiles and histograms without storing
    observations", Communications of the ACM 28(10), 1985. Five markers stand at the smallest value, half-way to the
    quantile, at it, half-way behind it, and at the largest. Each observation moves the places where they ought to stand;
    one that is a whole place off is moved by one, its height on a parabola through its neighbours.

    Args:
        p: which quantile, between 0 and 1, neither included.
    """

    __slots__ = ("_heights", "_new", "_places", "_wanted", "count", "p")

    def __init__(self, p: float) -> None:
        if not 0 < p < 1:
            raise ValueError(f"A quantile is between 0 and 1, not {p!r}.")
        self.p = p
        self.count = 0
        self._heights: list[float] = []
        self._new: list[float] = []  # looked at when the estimate is asked for: whoever adds has a turn to answer
        self._places = [0.0, 1.0, 2.0, 3.0, 4.0]
        self._wanted = (0.0, p / 2, p, (1 + p) / 2, 1.0)

    @property
    def value(self) -> float | None:
        """The estimate; exact (nearest rank) up to five observations, None before the first."""
        self._look()
        if not self._heights:
            return None
        if self.count > _MARKERS:
            return self._heights[2]
        return self._heights[min(len(self._heights) - 1, int(self.p * len(self._heights)))]

    def add(self, observation: float) -> None:
        """One more. What is no finite number is passed over."""
        if isfinite(observation):
            self.count += 1
            self._new.append(observation)
            if len(self._new) >= _AT_MOST_NEW:
                self._look()

    def _look(self) -> None:
        for seen, observation in enumerate(self._new, self.count - len(self._new) + 1):
            self._take(observation, seen)
        self._new.clear()

    def _take(self, observation: float, seen: int) -> None:
        """Observation number `seen`."""
        heights = self._heights
        if seen <= _MARKERS:
            insort(heights, observation)
            return
        heights[0] = min(heights[0], observation)
        heights[4] = max(heights[4], observation)
        cell = min(3, bisect_right(heights, observation) - 1)
        for marker in range(cell + 1, _MARKERS):
            self._places[marker] += 1
        for marker in (1, 2, 3):
            self._settle(marker, seen)

    def _settle(self, marker: int, seen: int) -> None:
        off = self._wanted[marker] * (seen - 1) - self._places[marker]
        room = self._places[marker + 1] - self._places[marker], self._places[marker - 1] - self._places[marker]
        if (off >= 1 and room[0] > 1) or (off <= -1 and room[1] < -1):
            step = 1 if off > 0 else -1
            height = self._parabola(marker, step)
            if not self._heights[marker - 1] < height < self._heights[marker + 1]:
                height = self._line(marker, step)
            self._heights[marker] = height
            self._places[marker] += step

    def _parabola(self, marker: int, step: int) -> float:
        below, here, above = self._heights[marker - 1 : marker + 2]
        left, middle, right = self._places[marker - 1 : marker + 2]
        rise = (middle - left + step) * (above - here) / (right - middle)
        fall = (right - middle - step) * (here - below) / (middle - left)
        return here + step / (right - left) * (rise + fall)

    def _line(self, marker: int, step: int) -> float:
        other = marker + step
        slope = (self._heights[other] - self._heights[marker]) / (self._places[other] - self._places[marker])
        return self._heights[marker] + step * slope
