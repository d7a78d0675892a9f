"""Histogram of a tensor's values, for the result object. Statistics only."""

import msgspec

MAX_BINS = 64
MAX_HISTOGRAMS = 9
"""Most layers of a result with a histogram: the worst ones."""


class ValueHistogram(msgspec.Struct, frozen=True, kw_only=True):
    """The values of one tensor in calibration, with its int8 range."""

    low: float
    """Lower edge of the first bin."""
    width: float
    """Width of a bin."""
    counts: list[int]
    """Number of non-zero values in each bin, in order; at most ``MAX_BINS`` bins."""
    smallest: float
    """The smallest value."""
    largest: float
    """The largest value."""
    range_low: float
    """The smallest value that int8 can represent."""
    range_high: float
    """The largest value that int8 can represent."""
    zeros: float
    """The fraction of all values that is exactly zero."""
    sqnr_db: float | None = None
    """SQNR of 256 uniform levels; null: no loss."""
