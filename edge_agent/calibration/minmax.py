"""The whole range: it clips nothing, but one outlier makes every step coarse."""

from edge_agent.backends import Range
from edge_agent.calibration.histogram import Histogram
from edge_agent.calibration.normalise import normalise_range


def find_range(histogram: Histogram, *, symmetric: bool, levels: int = 256) -> Range:  # noqa: ARG001  # one signature for all methods
    """Return the range from the smallest to the largest value."""
    return normalise_range(histogram.low, histogram.high, symmetric=symmetric)
