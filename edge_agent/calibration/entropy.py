"""The range that preserves the distribution best: the least Kullback-Leibler divergence from float to int8.

Szymon Migacz (2017), "8-bit Inference with TensorRT", GTC S7310: for each threshold T the values beyond ±T move to the
outermost bins, which gives P. Q has the same values without the moved ones, spread evenly over the non-empty bins of
each level. The T with the least KL(P ‖ Q) wins. No T with fewer bins than levels is tried.

Three things differ from that paper. The bins are signed, so that a one-sided range uses all levels for its side. Exact
zeros do not count, since after a ReLU they would dominate. A threshold costs one look-up per level, not a pass over its
bins, so all thresholds are tried. If there are finer bins within the threshold (from a second pass), they are searched
next.

KL compares shapes, not magnitudes: it may clip values that the model needs. It is not a safe default, and ``auto`` does
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
"""Count of an empty level into which P has moved values; with zero the divergence would be infinite."""
_AT_ONCE = 64
"""Thresholds that are evaluated together."""

_Floats = NDArray[np.float64]
_Integers = NDArray[np.intp]


def find_range(histogram: Histogram, *, symmetric: bool, levels: int = 256) -> Range:
    """Return the range within ±T whose grid of ``levels`` levels (one less if symmetric) diverges least from float."""
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

    ``outside`` counts the values left and right of the requested range.
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
        """Return the cells in a range as bins as wide as the widest cell; None if no cell has a width.

        There are at most ``most`` bins on each side: all cells may be narrow, far from zero or cut at an extreme.
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
        """Return the threshold with the least divergence."""
        most = max(self.below, self.above)
        sides = 2 if min(self.below, self.above) else 1
        # One bin fewer than levels on each side: few enough to trigger a second pass over them.
        fewest = min(most, max(1, levels // sides - 1))
        sizes = np.arange(fewest, most + 1)
        divergences = np.concatenate(
            [self.divergences(sizes[at : at + _AT_ONCE], levels) for at in range(0, len(sizes), _AT_ONCE)]
        )
        return float(sizes[np.argmin(divergences)]) * self.width

    def divergences(self, sizes: _Integers, levels: int) -> _Floats:
        """Return KL(P ‖ Q) for thresholds of ``sizes`` bins; infinite for a threshold without values.

        A bin has p of P's N values. Its level has s of Q's M values, in f non-empty bins:
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
    """Return the number of values below each of ``x``: even within a cell, a repeated value just inside its bin."""
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
