"""The range that cuts off a fixed, tiny share of the values at its ends.

Exact zeros do not count: they are exact on every grid, and after a ReLU they would determine the share of the
informative values that is cut off. A bound is the outer end of the histogram cell that contains the percentile, so the
share cut off is never larger than intended.
"""

import numpy as np
from numpy.typing import NDArray

from edge_agent.backends import Range
from edge_agent.calibration.histogram import Histogram
from edge_agent.calibration.normalise import normalise_range

PERCENTILE = 99.99


def find_range(
    histogram: Histogram,
    *,
    symmetric: bool,
    levels: int = 256,  # noqa: ARG001  # one signature for all methods
    percentile: float = PERCENTILE,
) -> Range:
    """Return the range between the percentiles of the nonzero values.

    Asymmetric: from the (100 - ``percentile``)-th to the ``percentile``-th, one tail cut at each end. Symmetric:
    [-a, a] with a the ``percentile``-th of the absolute values.
    """
    cells, share = histogram.cells(), percentile / 100.0
    if not len(cells.counts):
        return normalise_range(0.0, 0.0, symmetric=symmetric)
    if symmetric:
        bound = _reaching(np.maximum(-cells.low, cells.high), cells.counts, share)
        return normalise_range(-bound, bound, symmetric=True)
    low = -_reaching(-cells.low, cells.counts, share)
    return normalise_range(low, _reaching(cells.high, cells.counts, share), symmetric=False)


def _reaching(ends: NDArray[np.float64], counts: NDArray[np.float64], share: float) -> float:
    """Return the smallest outer end of a cell that bounds at least ``share`` of all values."""
    order = np.argsort(ends)
    reached = np.cumsum(counts[order])
    return float(ends[order][np.searchsorted(reached, share * reached[-1])])
