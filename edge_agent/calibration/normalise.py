"""What every range must be, whichever method chose its ends: around zero, finite, never without width."""

from edge_agent.backends import Range

NOTHING = 1e-30
"""A tensor that stays below this is zero: a smaller range would make float32 scales (and their products) underflow."""
ZERO_RANGE = 1e-3
"""The width given to a constant zero, which every grid represents exactly. A tiny range, but not so tiny that the
scale of a following bias (input scale x weight scale) could no longer hold that bias in 32 bits."""


def normalise_range(low: float, high: float, *, symmetric: bool) -> Range:
    """The range that covers [low, high] and zero; ``symmetric``: [-a, a]. A zero interval gets a tiny one."""
    low, high = min(low, 0.0), max(high, 0.0)
    if high - low < NOTHING:
        low, high = 0.0, ZERO_RANGE
    if symmetric:
        bound = max(-low, high)
        return Range(-bound, bound)
    return Range(low, high)
