"""Non-maximum suppression: of overlapping boxes of one class only the strongest is kept.

The usual greedy algorithm: keep the strongest box, drop all boxes of its class that overlap it more than allowed, and
repeat with the strongest one left. It ends with :data:`MOST` boxes, the exporters' own limit.
"""

import numpy as np
from numpy.typing import NDArray

from edge_agent.quant.detection import CLASS, SCORE
from edge_agent.quant.detection.match import overlaps

MOST = 300
_AT_ONCE = 256
"""Boxes processed together: a ruined int8 model may put thousands above the threshold."""


def suppress(detections: NDArray[np.float64], max_overlap: float) -> NDArray[np.float64]:
    """The kept detections ``[N, 6]``, the strongest first; equal ones keep their order.

    A ``max_overlap`` of 1 keeps all, up to :data:`MOST`.
    """
    ordered = detections[np.argsort(-detections[:, SCORE], kind="stable")]
    if max_overlap >= 1:
        return ordered[:MOST]
    kept = ordered[:0]
    for start in range(0, len(ordered), _AT_ONCE):
        left = ordered[start : start + _AT_ONCE]
        left = left[~_covered(kept, left, max_overlap)]
        while len(left) and len(kept) < MOST:
            kept = np.vstack([kept, left[:1]])
            left = left[1:][~_covered(left[:1], left[1:], max_overlap)]
        if len(kept) == MOST:
            break
    return kept


def _covered(kept: NDArray[np.float64], others: NDArray[np.float64], max_overlap: float) -> NDArray[np.bool_]:
    """Mask of ``others`` that overlap a box of ``kept`` of the same class too much."""
    same = kept[:, None, CLASS] == others[None, :, CLASS]
    covered: NDArray[np.bool_] = (same & (overlaps(kept, others) > max_overlap)).any(axis=0)
    return covered
