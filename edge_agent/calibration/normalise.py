"""The rules for every range, whichever method chose its ends: finite, containing zero, never of zero width."""

from edge_agent.backends import Range

NOTHING = 1e-30
"""A tensor below this counts as zero: a smaller range would make float32 scales (and their products) underflow."""
ZERO_RANGE = 1e-3
"""The width of the range of a constant zero, which every grid represents exactly. The width is small, but large enough
that a following bias still fits into 32 bits at its scale (input scale x weight scale)."""


def normalise_range(low: float, high: float, *, symmetric: bool) -> Range:
    """Return the range that covers [low, high] and zero; ``symmetric``: [-a, a]. A zero interval gets a tiny width."""
    low, high = min(low, 0.0), max(high, 0.0)
    if high - low < NOTHING:
        low, high = 0.0, ZERO_RANGE
    if symmetric:
        bound = max(-low, high)
        return Range(-bound, bound)
    return Range(low, high)
