"""The range that keeps most of the distribution: the least Kullback-Leibler divergence from float to int8.

Szymon Migacz (2017), "8-bit Inference with TensorRT", GTC S7310: for each threshold T the values beyond ±T move to the
outermost bins; P is what is then there, Q the same without what was moved, spread evenly over the bins of each level
that hold anything; the T with the least KL(P ‖ Q) wins, and no T is tried that has fewer bins than levels.

Unlike there the bins are signed, so that a range with one side uses all levels for it; exact zeros do not count, as
after a ReLU they would be all that counts; and a threshold costs one look-up a level, not a pass over its bins, so all
of them are tried. Where there are finer bins within the threshold (a second pass's), they are searched in turn.

KL looks at shape, not at size: what it clips may be what the model needs. It is no safe default, and ``auto`` does
not try it.
"""

import math
from typing import cast

import numpy as np
from numpy.typing import NDArray

from edge_agent.backends import Range
from edge_agent.calibration.histogram import Cells, Histogram
from edge_agent.calibration.normalise import NOTHING, normalise_range

_SMOOTH = 1e-4
"""What an empty level counts where P has moved values into it: the divergence would be infinite."""
_AT_ONCE = 64
"""Thresholds that are evaluated together."""

_Floats = NDArray[np.float64]
_Integers = NDArray[np.intp]


def find_range(histogram: Histogram, *, symmetric: bool, levels: int = 256) -> Range:
    """The range within ±T whose grid of ``levels`` levels (one less where symmetric) tells least from float's."""
    cells = histogram.cells()
    whole = normalise_range(histogram.low, histogram.high, symmetric=symmetric)
    bound, width = max(-whole.low, whole.high), math.inf
    while True:
        range_ = Range(max(whole.low, -bound), min(whole.high, bound))
        bins = _Bins.within(cells, range_, 2 * histogram.bins)
        if bins is None or bins.width > width / 2:
            break
        width = bins.width
        bound = max(min(bound, bins.best_threshold(levels - 1 if symmetric else levels)), NOTHING)
    return normalise_range(max(whole.low, -bound), min(whole.high, bound), symmetric=symmetric)


class _Bins:
    """Equal bins on both sides of zero: ``counts[below + k]`` values in ``[k·width, (k+1)·width)``.

    Values outside the range that was asked for are counted in ``outside``, on the left and on the right.
    """

    def __init__(self, counts: _Floats, below: int, width: float, outside: tuple[float, float]) -> None:
        self.below, self.above, self.width = below, len(counts) - below, width
        self.outside = outside
        self.counts = counts
        self.reached = _prefix(counts)
        self.filled = _prefix(counts > 0)
        self.plogp = _prefix(_xlogx(counts))

    @classmethod
    def within(cls, cells: Cells, range_: Range, most: int) -> "_Bins | None":
        """The cells in a range, as bins of the widest of them; None if there is none that has a width.

        There are at most ``most`` on each side: cells far from zero are narrow, and so is one cut to what was seen.
        """
        inside = (cells.high > range_.low) & (cells.low < range_.high)
        width = float(np.max(cells.high[inside] - cells.low[inside], initial=0.0))
        if not width:
            return None
        width = max(width, max(-range_.low, range_.high) / most)
        below, above = int(np.ceil(-range_.low / width)), int(np.ceil(range_.high / width))
        edges = np.arange(-below, above + 1, dtype=np.float64) * width
        reached = _distribution(cells, edges)
        return cls(np.diff(reached), below, width, (float(reached[0]), float(cells.counts.sum() - reached[-1])))

    def best_threshold(self, levels: int) -> float:
        """The threshold with the least divergence."""
        most = max(self.below, self.above)
        sides = 2 if min(self.below, self.above) else 1
        # One bin fewer than levels on each side: so few that a second pass over them is called for.
        fewest = min(most, max(1, levels // sides - 1))
        sizes = np.arange(fewest, most + 1)
        divergences = np.concatenate(
            [self.divergences(sizes[at : at + _AT_ONCE], levels) for at in range(0, len(sizes), _AT_ONCE)]
        )
        return float(sizes[np.argmin(divergences)]) * self.width

    def divergences(self, sizes: _Integers, levels: int) -> _Floats:
        """KL(P ‖ Q) for thresholds of ``sizes`` bins; infinite where nothing is within.

        With p of P's N values in a bin, and the level around it holding s values in f filled bins, M in all:
        KL = Σ p/N · log((p/N) / (s/f/M)) = (Σ p·log p - Σ_levels P_level · log(s/f)) / N - log(N/M).
        """
        start = self.below - np.minimum(sizes, self.below)
        stop = self.below + np.minimum(sizes, self.above)
        bins, rows = stop - start, np.arange(len(sizes))
        # Bin j of n is on level j·levels // n.
        edges = start[:, None] - np.floor_divide(-np.arange(levels + 1) * bins[:, None], levels)
        kept, filled = np.diff(self.reached[edges], axis=1), np.diff(self.filled[edges], axis=1)
        left = self.outside[0] + self.reached[start]
        right = self.outside[1] + self.reached[-1] - self.reached[stop]
        first, last = self.counts[start], self.counts[stop - 1]
        moved = kept.copy()
        plogp = self.plogp[stop] - self.plogp[start]
        top = (bins - 1) * levels // bins
        for level, count, added in ((np.zeros_like(top), first, left), (top, last, right)):
            moved[rows, level] += added
            filled[rows, level] += (count == 0) & (added > 0)
        both = bins == 1
        plogp += _xlogx(first + left + np.where(both, right, 0.0)) - _xlogx(first)
        plogp += np.where(both, 0.0, _xlogx(last + right) - _xlogx(last))
        total, inside = kept.sum(axis=1) + left + right, kept.sum(axis=1)
        cross = np.sum(moved * np.log(np.maximum(kept, _SMOOTH) / np.maximum(filled, 1.0)), axis=1)
        with np.errstate(divide="ignore"):
            divergences = (plogp - cross) / total - np.log(total / inside)
        divergences[inside <= 0] = np.inf
        return cast("_Floats", divergences)


def _distribution(cells: Cells, x: _Floats) -> _Floats:
    """How many values lie below each of ``x``: evenly within a cell, a repeated value just inside its bin."""
    point = cells.high <= cells.low
    low = np.where(point & (cells.low > 0), np.nextafter(cells.low, 0.0), cells.low)
    high = np.where(point & (cells.low < 0), np.nextafter(cells.high, 0.0), cells.high)
    reached = np.cumsum(cells.counts)
    ends = np.stack([low, high], axis=1).reshape(-1)
    return np.interp(x, ends, np.stack([reached - cells.counts, reached], axis=1).reshape(-1))


def _prefix(values: NDArray[np.float64] | NDArray[np.bool_]) -> _Floats:
    return np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])


def _xlogx(x: _Floats) -> _Floats:
    product: _Floats = x * np.log(np.where(x > 0, x, 1.0))
    return product
