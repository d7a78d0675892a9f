"""What a result says of a tensor's values: how often they occurred in each part of their range. Statistics only."""

import msgspec

MAX_BINS = 64
MAX_HISTOGRAMS = 9
"""Layers of a result that have one, the worst of them."""


class ValueHistogram(msgspec.Struct, frozen=True, kw_only=True):
    """The values of one tensor as calibration saw them, beside the range that int8 has for them."""

    low: float
    """Where the first bin begins."""
    width: float
    """Of a bin."""
    counts: list[int]
    """Values other than zero in each bin, in order; at most ``MAX_BINS``."""
    smallest: float
    """The smallest value."""
    largest: float
    """The largest value."""
    range_low: float
    """The least value that int8 can stand for."""
    range_high: float
    """The greatest one."""
    zeros: float
    """The part of all values that is exactly zero."""
    sqnr_db: float | None = None
    """Signal over the error of 256 even levels; null: they lose nothing."""
