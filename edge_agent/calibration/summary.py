"""A tensor's histogram in the few bins of a report, with its expected quantization error. Pure."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edge_agent.backends import Range
from edge_agent.calibration.histogram import Cells, Histogram
from edge_agent.calibration.mse import expected_error
from edge_agent.jobs.value_histogram import MAX_BINS, MAX_HISTOGRAMS, ValueHistogram

_STEPS = 255
_A_VALUE = 0.25
"""A bin with less than this fraction of a value counts as empty; one value may be split between two bins."""


def summary(histogram: Histogram, found: Range, bins: int = MAX_BINS) -> ValueHistogram | None:
    """Summarize the values and their range, both covered by the bins; None: all values were zero."""
    if histogram.total <= histogram.zeros:
        return None
    low, high = min(histogram.low, found.low), max(histogram.high, found.high)
    held = columns(histogram, low, high, bins)
    counts = np.where(held < _A_VALUE, 0, np.maximum(np.rint(held), 1)).astype(np.int64)
    sqnr_db = expected_sqnr_db(histogram.cells(), found)
    return ValueHistogram(
        low=low,
        width=(high - low) / bins,
        counts=counts.tolist(),
        smallest=histogram.low,
        largest=histogram.high,
        range_low=found.low,
        range_high=found.high,
        zeros=histogram.zeros / histogram.total,
        sqnr_db=None if math.isinf(sqnr_db) else sqnr_db,
    )


def worst(histograms: Mapping[str, Histogram], ranges: Mapping[str, Range]) -> dict[str, ValueHistogram]:
    """Return tensor → summary, for the tensors with a range and the lowest expected SQNR, the lowest first."""
    found = {
        name: summarized
        for name, one in histograms.items()
        if name in ranges and (summarized := summary(one, ranges[name])) is not None
    }
    least = sorted(found, key=lambda name: math.inf if (db := found[name].sqnr_db) is None else db)
    return {name: found[name] for name in least[:MAX_HISTOGRAMS]}


def expected_sqnr_db(cells: Cells, found: Range) -> float:
    """Return the ratio of the values' power to that of their error on 256 levels, for an even density in each cell."""
    middle, width = (cells.low + cells.high) / 2, cells.high - cells.low
    power = float(np.dot(cells.counts, middle * middle + width * width / 12))
    error = expected_error(cells, found.low, found.high, _STEPS)
    return 10 * math.log10(power / error) if power > 0 and error > 0 else math.inf


def columns(histogram: Histogram, low: float, high: float, count: int) -> NDArray[np.float64]:
    """Return the number of nonzero values in each of ``count`` equal parts of [low, high]."""
    cells = histogram.cells()
    ends = np.column_stack((cells.low, np.maximum(cells.high, np.nextafter(cells.low, math.inf)))).ravel()
    sums = np.concatenate(([0.0], np.cumsum(cells.counts)))
    below = np.column_stack((sums[:-1], sums[1:])).ravel()
    edges = np.linspace(low, high, count + 1)
    edges[-1] = math.inf  # the largest value belongs to the last column, whatever rounding did to its edge
    return np.diff(np.interp(edges, ends, below, left=0.0, right=sums[-1]))
