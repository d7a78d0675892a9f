"""How far a range would move if the data were gathered once more: enough windows, or not yet. Pure.

The range in question is the one between the 0.1st and the 99.9th percentile: what percentile and least-error ranges
settle on. (Smallest and largest value are no measure: on recorded movement they grow by the same 10 to 20 % with each
doubling of the data, whatever was gathered before.) Segments of time, not samples, are drawn with replacement (the
block bootstrap: Künsch 1989), because neighbours resemble each other; the interval is widened by Student's quantile,
as there are few of them. Memory is one small histogram a segment and channel.

Measured on recorded wrist movement (``tests/bench/quality.py``): with five segments or more, a channel's range in a
second set lies within its interval in 70 to 89 % of cases (90 % is promised: dependence that outlasts a block does not
show), and whether 100 or 300 windows were gathered, the number that is said to be enough is about the same. Cutting
fewer blocks of time finer does not help: they have seen the same movement.
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
"""A range that is a quarter too wide costs int8 2 dB (20 lg 1.25); one that is too narrow clips what is rare. A choice:
that accuracy follows from it has not been measured."""
FEWEST_SEGMENTS = 5
_SHARE = 0.001
_DRAWS = 100


@dataclass(frozen=True, slots=True)
class Stability:
    """How sure the ranges are.

    Attributes:
        windows: that were gathered.
        spread: by which part of itself the least sure range may be off (one-sided 95 %); infinite: too few segments.
        least_sure: the name of that channel or input.
        segments: in how many segments of time they were.
        rows: they are rows of an operator's file; else captured, as many as the recipe says.
    """

    windows: int
    spread: float
    least_sure: str
    segments: int = 1
    rows: bool = False

    @property
    def stable(self) -> bool:
        """Whether more windows would change little."""
        return self.spread <= TOLERANCE

    @property
    def enough(self) -> int | None:
        """How many windows would do: the spread falls with the square root of their number. None: cannot be said.

        Fewer than could tell how sure they are are never enough.
        """
        if not math.isfinite(self.spread):
            return None
        share = max((self.spread / TOLERANCE) ** 2, FEWEST_SEGMENTS / self.segments)
        return math.ceil(self.windows * share)

    @property
    def sentence(self) -> str:
        """What to tell a person."""
        if self.enough is None:
            return f"{self.windows} windows in so few stretches do not tell how sure their ranges are; capture longer"
        sure = f"after {self.windows} windows the range of {self.least_sure!r} is sure to {self.spread:.0%}"
        if self.stable:
            return f"{sure}; {self.enough} windows would do"
        how = "give more rows" if self.rows else f"set [recipe] calibration_windows = {self.enough}"
        return f"{sure}, not to {TOLERANCE:.0%}; about {self.enough} windows would do: {how}"

    def summary(self, planned: int) -> EnoughWindows:
        """As it stands in the result object, under ``data.enough.calibration``."""
        return EnoughWindows(
            planned=planned,
            windows=self.windows,
            enough=self.enough,
            spread=self.spread if math.isfinite(self.spread) else None,
            message=self.sentence,
        )


def judge_stability(names: Sequence[str], segments: Sequence[Sequence[Histogram]], windows: int) -> Stability:
    """How sure the ranges of ``windows`` windows are.

    Args:
        names: of the channels or inputs.
        segments: one histogram a name for each segment of time, all about equally long.
        windows: how many windows they hold together.
    """
    if len(segments) < FEWEST_SEGMENTS:
        return Stability(windows, math.inf, names[0])
    spreads = [_spread([segment[place] for segment in segments]) for place in range(len(names))]
    worst = int(np.argmax(spreads))
    return Stability(windows, spreads[worst], names[worst], len(segments))


def body_width(histogram: Histogram) -> float:
    """From the 0.1st to the 99.9th percentile of what was counted."""
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
    """From the 0.1st to the 99.9th percentile of ascending ``values``."""
    reached = np.cumsum(counts)
    low, high = np.searchsorted(reached, (_SHARE * reached[-1], (1 - _SHARE) * reached[-1]))
    return float(values[min(high, len(values) - 1)] - values[low])


def _values(segments: Sequence[Histogram]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]:
    """The middles of all cells, how many values each holds, and whose it is; zeros are values like others."""
    values, counts, owner = [], [], []
    for number, histogram in enumerate(segments):
        cells = histogram.cells()
        values.append(np.append((cells.low + cells.high) / 2, 0.0))
        counts.append(np.append(cells.counts, histogram.zeros))
        owner.append(np.full(len(cells.counts) + 1, number, np.intp))
    return np.concatenate(values), np.concatenate(counts), np.concatenate(owner)
