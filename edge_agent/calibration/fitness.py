"""Tensors that no int8 grid can represent, so that the layers around them stay float. Pure.

* A tensor with infinite values or NaN has no range, for instance a mask that is added to attention scores.
* A tensor without elements has none either, for instance an empty slice.
* A tensor with values near one large constant and other, much smaller values uses only a few of 255 steps for the
  latter, which distinguish the windows: scores under a mask of -10000, or of the lowest float.
"""

import numpy as np

from edge_agent.calibration.histogram import Histogram

NOT_FINITE = "infinite values or NaN"
"""The reason for a tensor that has no range because of its values."""
_EMPTY = "no elements"
_STEPS = 255
_FEW_STEPS = 8
_OFTEN = 0.05
"""Share of the values above which a large constant is no outlier. Range methods may cut off outliers, and a sensor that
is sometimes at its rail reports real values."""
_WIDEST = float(np.finfo(np.float32).max)


def why_unfit(seen: Histogram) -> str:
    """Return why no grid of 256 steps can represent the observed values of a tensor; empty: one can."""
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
