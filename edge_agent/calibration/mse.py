"""The range with the least expected squared quantization error: rounding inside against clipping outside.

Nagel et al. (2021), "A White Paper on Neural Network Quantization", arXiv:2106.08295, section 3.1.2, "MSE".

The expectation is over the histogram, values spread evenly within a cell, and exact: with the error's antiderivative

    G(x) = ∫ (t - Q(t))² dt,   Q rounds to the nearest multiple of the scale and clips,

a cell [a, b] of n values costs n · (G(b) - G(a)) / (b - a). Exact zeros cost nothing on any grid, so they do not count.
The search walks over shrunk ranges: both ends together, then each by itself, closer and closer around the best.
"""

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from edge_agent.backends import Range
from edge_agent.calibration.histogram import Cells, Histogram
from edge_agent.calibration.shape import shaped

_SHRUNK = (*np.linspace(1.0, 0.3, 15), *np.geomspace(0.27, 0.004, 20))
"""Shares of the whole range that are tried; a long tail can make a small one best."""
_CLOSER = (np.linspace(0.88, 1.12, 13), np.linspace(0.985, 1.015, 7))
"""Factors around the best so far."""


def find_range(histogram: Histogram, *, symmetric: bool, levels: int = 256) -> Range:
    """The range whose grid of ``levels`` levels (one less where symmetric) is expected to lose least."""
    cells = histogram.cells()
    whole = shaped(histogram.low, histogram.high, symmetric=symmetric)
    if not len(cells.counts):
        return whole
    search = _Search(cells, whole, levels - 2 if symmetric else levels - 1)
    search.try_shares((share, share) for share in _SHRUNK)
    if not symmetric and whole.low < 0 < whole.high:
        low, high = search.shares
        search.try_shares((share, high) for share in _SHRUNK)
        search.try_shares((low, share) for share in _SHRUNK)
    for factors in _CLOSER:
        low, high = search.shares
        search.try_shares((low * factor, high * factor) for factor in factors)
        if not symmetric and whole.low < 0 < whole.high:
            low, high = search.shares
            search.try_shares((low * factor, high) for factor in factors)
            low, high = search.shares
            search.try_shares((low, high * factor) for factor in factors)
    low, high = search.shares
    return shaped(whole.low * low, whole.high * high, symmetric=symmetric)


class _Search:
    """The best shares of the whole range's two ends so far; among equals the first tried, so the widest."""

    def __init__(self, cells: Cells, whole: Range, steps: int) -> None:
        self.cells, self.whole, self.steps = cells, whole, steps
        self.shares = (1.0, 1.0)
        self.least = math.inf

    def try_shares(self, pairs: Iterable[tuple[float, float]]) -> None:
        for low, high in pairs:
            shares = min(float(low), 1.0), min(float(high), 1.0)
            error = expected_error(self.cells, self.whole.low * shares[0], self.whole.high * shares[1], self.steps)
            if error < self.least:
                self.shares, self.least = shares, error


def expected_error(cells: Cells, low: float, high: float, steps: int) -> float:
    """The sum of squared errors of all values on the grid of ``steps`` steps that covers [low, high] and has a zero."""
    scale = (high - low) / steps
    first = round(low / scale)
    wide = cells.high > cells.low
    widths = np.where(wide, cells.high - cells.low, 1.0)
    lower, lower_error = _antiderivative(cells.low / scale, first, first + steps)
    upper, _ = _antiderivative(cells.high / scale, first, first + steps)
    mean = np.where(wide, (upper - lower) / (widths / scale), lower_error * lower_error)
    return float(np.dot(cells.counts, mean)) * scale * scale


def _antiderivative(x: NDArray[np.float64], first: int, last: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """G and the error at ``x``, in units of the scale: each whole step before x adds 1/12, the rest of it a cube."""
    nearest = np.clip(np.rint(x), first, last)
    error = x - nearest
    return nearest / 12.0 + error * error * error / 3.0, error
