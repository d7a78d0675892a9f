"""Non-maximum suppression: of the boxes of one class that overlap, the strongest stays.

Greedy, as everybody's: the strongest box is kept, every other of its class that overlaps it more than allowed goes, and
so on with the strongest that is left. It ends with :data:`MOST` boxes, which is what the exporters keep as well.
"""

import numpy as np
from numpy.typing import NDArray

from edge_agent.quant.detection import CLASS, SCORE
from edge_agent.quant.detection.match import overlaps

MOST = 300


def suppress(detections: NDArray[np.float64], max_overlap: float) -> NDArray[np.float64]:
    """The detections ``[N, 6]`` that stay, the strongest first; of equal ones the first given.

    ``max_overlap`` of 1 keeps all, up to :data:`MOST`.
    """
    left = detections[np.argsort(-detections[:, SCORE], kind="stable")]
    if max_overlap >= 1:
        return left[:MOST]
    kept: list[NDArray[np.float64]] = []
    while len(left) and len(kept) < MOST:
        strongest, left = left[0], left[1:]
        kept.append(strongest)
        covered = overlaps(strongest[None], left)[0] > max_overlap
        left = left[~covered | (left[:, CLASS] != strongest[CLASS])]
    return np.array(kept).reshape(-1, detections.shape[1])
