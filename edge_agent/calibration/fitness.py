"""Tensors that no int8 grid can stand for, so that the layers around them stay float. Pure.

* A tensor with infinite values or NaN has no range: a mask that is added to attention scores, for one.
* A tensor without elements has none either: what a slice leaves of an axis that it passes by.
* A tensor whose values are one large constant, give or take little, and others much smaller has a few steps left of 255
  for all that tells windows apart: scores under a mask of -10000, or of the lowest float.
"""

import numpy as np

from edge_agent.calibration.histogram import Histogram

NOT_FINITE = "infinite values or NaN"
"""The reason for a tensor that has no range for its values' sake."""
_EMPTY = "no elements"
_STEPS = 255
_FEW_STEPS = 8
_OFTEN = 0.05
"""The part of the values from which on a large constant is no outlier: those a range method may cut off, and a sensor
that is at its rail now and then says what it is for."""
_WIDEST = float(np.finfo(np.float32).max)


def why_unfit(seen: Histogram) -> str:
    """Why no grid of 256 steps can stand for what was seen of a tensor; empty: one can."""
    if not seen.total:
        return _EMPTY
    low, high = min(seen.low, 0.0), max(seen.high, 0.0)
    if high - low > _WIDEST:
        return f"values from {low:.3g} to {high:.3g}, too far apart for 32-bit floats"
    few = (high - low) / _STEPS * _FEW_STEPS
    cells = seen.cells()
    far = cells.high >= high - few if high > -low else cells.low <= low + few
    if not far.any() or far.all() or cells.counts[far].sum() < _OFTEN * seen.total:
        return ""
    others = float(np.maximum(-cells.low, cells.high)[~far].max())
    if others > few:
        return ""
    constant = high if high > -low else low
    return f"its values are near {constant:.4g} or below {others:.3g}, and int8 has no steps for the latter"
