"""The range with the least expected squared quantization error: the sum of rounding inside and clipping outside.

Nagel et al. (2021), "A White Paper on Neural Network Quantization", arXiv:2106.08295, section 3.1.2, "MSE".

The expectation is over the histogram, with values spread evenly within a cell. It is exact. With the error's
antiderivative

    G(x) = ∫ (t - Q(t))² dt,   Q rounds to the nearest multiple of the scale and clips,

a cell [a, b] of n values costs n · (G(b) - G(a)) / (b - a). Exact zeros cost nothing on any grid, so they do not count.
The search tries shrunk ranges: both ends together, then each end alone, closer and closer around the best. It evaluates
a row of shrunk ranges at once.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_agent.backends import Range
from edge_agent.calibration.histogram import Cells, Histogram
from edge_agent.calibration.normalise import normalise_range

_SHRUNK = np.concatenate([np.linspace(1.0, 0.3, 15), np.geomspace(0.27, 0.004, 20)])
"""Shares of the whole range to try; with a long tail a small one can be best."""
_CLOSER = (np.linspace(0.88, 1.12, 13), np.linspace(0.985, 1.015, 7))
"""Factors around the best so far."""
_AT_ONCE = 16_384
"""Values in an intermediate array (128 KB): it fits into a cache, and the overhead of numpy's calls stays small."""

_Floats = NDArray[np.float64]


def find_range(histogram: Histogram, *, symmetric: bool, levels: int = 256) -> Range:
    """Return the range whose grid of ``levels`` levels (one less if symmetric) has the least expected error."""
    cells = histogram.cells()
    whole = normalise_range(histogram.low, histogram.high, symmetric=symmetric)
    if not len(cells.counts):
        return whole
    search = _Search(cells, whole, levels - 2 if symmetric else levels - 1)
    each_end = not symmetric and whole.low < 0 < whole.high
    search.try_shares(_SHRUNK, _SHRUNK)
    if each_end:
        low, high = search.shares
        search.try_shares(_SHRUNK, high)
        search.try_shares(low, _SHRUNK)
    for factors in _CLOSER:
        low, high = search.shares
        search.try_shares(low * factors, high * factors)
        if each_end:
            low, high = search.shares
            search.try_shares(low * factors, high)
            low, high = search.shares
            search.try_shares(low, high * factors)
    low, high = search.shares
    return normalise_range(whole.low * low, whole.high * high, symmetric=symmetric)


class _Search:
    """The best shares of the whole range's two ends so far; of equals the first one tried, which is the widest."""

    def __init__(self, cells: Cells, whole: Range, steps: int) -> None:
        self.whole, self.steps = whole, steps
        self.density = _Density(cells)
        self.shares = (1.0, 1.0)
        self.least = math.inf

    def try_shares(self, low: ArrayLike, high: ArrayLike) -> None:
        lows, highs = np.broadcast_arrays(np.minimum(low, 1.0), np.minimum(high, 1.0))
        errors = self.density.errors(self.whole.low * lows, self.whole.high * highs, self.steps)
        best = int(np.argmin(errors))
        if errors[best] < self.least:
            self.shares, self.least = (float(lows[best]), float(highs[best])), float(errors[best])


def expected_error(cells: Cells, low: float, high: float, steps: int) -> float:
    """Return the sum of squared errors of all values on the grid of ``steps`` steps over [low, high], with a zero."""
    return float(_Density(cells).errors(np.array([low]), np.array([high]), steps)[0])


class _Density:
    """The cells as one sequence of edges, so that a common edge of two cells is evaluated once.

    A cell of zero width is a point: its values all have the same error.
    """

    def __init__(self, cells: Cells) -> None:
        wide = cells.high > cells.low
        low, high, counts = cells.low[wide], cells.high[wide], cells.counts[wide]
        self.edges: _Floats = np.unique(np.concatenate([low, high]))
        self.weights: _Floats = np.zeros(max(len(self.edges) - 1, 0))
        self.weights[np.searchsorted(self.edges, low)] = counts / (high - low)
        self.points, self.counts = cells.low[~wide], cells.counts[~wide]

    def errors(self, low: _Floats, high: _Floats, steps: int) -> _Floats:
        """Return the sum of squared errors for each of the ranges [low[i], high[i]]."""
        rows = max(1, _AT_ONCE // max(len(self.edges), len(self.points)))
        return np.concatenate(
            [self._errors(low[at : at + rows], high[at : at + rows], steps) for at in range(0, len(low), rows)]
        )

    def _errors(self, low: _Floats, high: _Floats, steps: int) -> _Floats:
        scale = (high - low) / steps
        first = np.rint(low / scale)[:, None]
        nearest, error = _rounded(self.edges, scale, first, steps)
        # In units of the scale: each whole step before x adds 1/12 to G, the remainder adds its cube.
        antiderivative = error * error
        antiderivative *= error
        antiderivative *= 4.0
        antiderivative += nearest
        spread: _Floats = np.diff(antiderivative, axis=1) @ self.weights
        spread *= scale**3 / 12.0
        if not len(self.points):
            return spread
        _, error = _rounded(self.points, scale, first, steps)
        spread += np.square(error) @ self.counts * scale**2
        return spread


def _rounded(x: _Floats, scale: _Floats, first: _Floats, steps: int) -> tuple[_Floats, _Floats]:
    """Return, with one row per scale, the nearest level to each ``x`` and the distance to it in units of the scale."""
    scaled = x[None, :] / scale[:, None]
    nearest = np.rint(scaled)
    np.clip(nearest, first, first + steps, out=nearest)
    scaled -= nearest
    return nearest, scaled
