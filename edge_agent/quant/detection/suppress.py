"""Non-maximum suppression: of the boxes of one class that overlap, the strongest stays.

Greedy, as everybody's: the strongest box is kept, every other of its class that overlaps it more than allowed goes, and
so on with the strongest that is left. It ends with :data:`MOST` boxes, which is what the exporters keep as well.
"""

import numpy as np
from numpy.typing import NDArray

from edge_agent.quant.detection import CLASS, SCORE
from edge_agent.quant.detection.match import overlaps

MOST = 300
_AT_ONCE = 256
"""Boxes that are looked at together: where int8 is ruined, thousands may be above the threshold."""


def suppress(detections: NDArray[np.float64], max_overlap: float) -> NDArray[np.float64]:
    """The detections ``[N, 6]`` that stay, the strongest first; of equal ones the first given.

    ``max_overlap`` of 1 keeps all, up to :data:`MOST`.
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
    """Which of ``others`` overlap one of ``kept`` of their class too much."""
    same = kept[:, None, CLASS] == others[None, :, CLASS]
    covered: NDArray[np.bool_] = (same & (overlaps(kept, others) > max_overlap)).any(axis=0)
    return covered
