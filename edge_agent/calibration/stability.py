"""How far a range would move if the capture were repeated: whether the windows are enough. Pure.

The measure is the range between the 0.1st and the 99.9th percentile, where percentile and least-error ranges settle.
(Smallest and largest value are no measure: on recorded movement they grow by the same 10 to 20 % with each doubling of
the data.) Segments of time, not samples, are drawn with replacement, because neighbouring samples are similar (block
bootstrap: Künsch 1989). Student's quantile widens the interval, since there are few segments. Memory is one small
histogram per segment and channel.

Measured on recorded wrist movement (``tests/bench/quality.py``) with five segments or more: a channel's range in a
second set is within its interval in 70 to 89 % of cases. The interval promises 90 %; dependence that outlasts a block
does not show. The number of windows reported as enough is about the same after 100 or after 300 windows. Cutting few
blocks of time into smaller ones does not help: they contain the same movement.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_agent.calibration.histogram import Histogram
from edge_agent.jobs.data_summary import EnoughWindows
from edge_agent.quant.bounds import CONFIDENCE, student_quantile

BINS = 512
TOLERANCE = 0.25
"""A range that is a quarter too wide costs int8 2 dB (20 lg 1.25); one that is too narrow clips rare values. The value
is a choice; its effect on accuracy has not been measured."""
FEWEST_SEGMENTS = 5
_SHARE = 0.001
_DRAWS = 100


@dataclass(frozen=True, slots=True)
class Stability:
    """How certain the ranges are.

    Attributes:
        windows: number of captured windows.
        spread: relative error of the least certain range (one-sided 95 %); infinite: too few segments.
        least_sure: the name of that channel or input.
        segments: number of segments of time that the windows come from.
        rows: whether the windows are rows of an operator's file; else they were captured, as the recipe says.
    """

    windows: int
    spread: float
    least_sure: str
    segments: int = 1
    rows: bool = False

    @property
    def stable(self) -> bool:
        """Whether more windows would change the ranges only slightly."""
        return self.spread <= TOLERANCE

    @property
    def enough(self) -> int | None:
        """The number of windows that is enough: the spread falls with the square root of it. None: unknown.

        The number is never lower than that of ``FEWEST_SEGMENTS`` segments, which the estimate itself needs.
        """
        if not math.isfinite(self.spread):
            return None
        share = max((self.spread / TOLERANCE) ** 2, FEWEST_SEGMENTS / self.segments)
        return math.ceil(self.windows * share)

    @property
    def sentence(self) -> str:
        """The result for a person."""
        if self.enough is None:
            return f"{self.windows} windows in so few segments do not show how certain their ranges are; capture longer"
        sure = f"after {self.windows} windows the range of {self.least_sure!r} is known to within {self.spread:.0%}"
        if self.stable:
            return f"{sure}; {self.enough} windows would do"
        how = "give more rows" if self.rows else f"set [recipe] calibration_windows = {self.enough}"
        return f"{sure}, not {TOLERANCE:.0%}; about {self.enough} windows would do: {how}"

    def summary(self, planned: int) -> EnoughWindows:
        """Return the entry of the result object, under ``data.enough.calibration``."""
        return EnoughWindows(
            planned=planned,
            windows=self.windows,
            enough=self.enough,
            spread=self.spread if math.isfinite(self.spread) else None,
            message=self.sentence,
        )


def judge_stability(names: Sequence[str], segments: Sequence[Sequence[Histogram]], windows: int) -> Stability:
    """Estimate how certain the ranges of ``windows`` windows are.

    Args:
        names: the names of the channels or inputs.
        segments: for each segment of time one histogram per name; all segments are about equally long.
        windows: total number of windows in them.
    """
    if len(segments) < FEWEST_SEGMENTS:
        return Stability(windows, math.inf, names[0])
    spreads = [_spread([segment[place] for segment in segments]) for place in range(len(names))]
    worst = int(np.argmax(spreads))
    return Stability(windows, spreads[worst], names[worst], len(segments))


def body_width(histogram: Histogram) -> float:
    """Return the distance from the 0.1st to the 99.9th percentile of a histogram."""
    values, counts, _ = _values([histogram])
    order = np.argsort(values, kind="stable")
    return _width(values[order], counts[order])


def _spread(segments: Sequence[Histogram]) -> float:
    count = len(segments)
    values, counts, owner = _values(segments)
    order = np.argsort(values, kind="stable")
    values, counts, owner = values[order], counts[order], owner[order]
    drawn = np.random.default_rng(0).multinomial(count, [1 / count] * count, size=_DRAWS)
    widths = np.array([_width(values, counts * picked[owner]) for picked in drawn])
    known = _width(values, counts)
    if not known:
        return 0.0 if not widths.any() else math.inf
    widening = student_quantile(CONFIDENCE, count - 1) * math.sqrt(count / (count - 1))
    return float(widths.std() / known) * widening


def _width(values: NDArray[np.float64], counts: NDArray[np.float64]) -> float:
    """Return the distance from the 0.1st to the 99.9th percentile of ascending ``values``."""
    reached = np.cumsum(counts)
    low, high = np.searchsorted(reached, (_SHARE * reached[-1], (1 - _SHARE) * reached[-1]))
    return float(values[min(high, len(values) - 1)] - values[low])


def _values(segments: Sequence[Histogram]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]:
    """Return the middles of all cells, their counts, and the segment of each; zeros are ordinary values here."""
    values, counts, owner = [], [], []
    for number, histogram in enumerate(segments):
        cells = histogram.cells()
        values.append(np.append((cells.low + cells.high) / 2, 0.0))
        counts.append(np.append(cells.counts, histogram.zeros))
        owner.append(np.full(len(cells.counts) + 1, number, np.intp))
    return np.concatenate(values), np.concatenate(counts), np.concatenate(owner)
