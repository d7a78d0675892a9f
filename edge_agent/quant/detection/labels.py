"""Labels of a detector, one row per box, ``[M, 5]``: x1, y1, x2, y2, class, in the units of the model's own boxes.

Arrays of several windows have as many rows per window as the window with the most boxes. Unused rows have a negative
class.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import ContractError
from edge_agent.quant.detection import CLASS
from edge_agent.quant.detection.match import overlaps, pairs

COLUMNS = 5
_CLASS = 4
_AXES = 2


def are_boxes(labels: Any) -> bool:
    """Whether labels of several windows are boxes."""
    return np.ndim(labels) == _AXES + 1 and np.shape(labels)[-1] == COLUMNS


def labelled_boxes(label: Any) -> NDArray[np.float64]:
    """The boxes of one window; raises ``ContractError`` (shape_mismatch) if the label is not a table of boxes."""
    values = np.asarray(label)
    whole = values.dtype.kind in "biuf" and values.ndim == _AXES and values.shape[1] == COLUMNS
    if not whole or (values[:, _CLASS] != np.rint(values[:, _CLASS])).any():
        raise ContractError(
            "shape_mismatch",
            f"a label of shape {values.shape} is no table of boxes [M, 5]; give x1, y1, x2, y2 and a class number for "
            "each, and rows of class -1 where a window has fewer",
        )
    return values[values[:, _CLASS] >= 0].astype(np.float64)


def all_found(labels: NDArray[np.float64], detections: NDArray[np.float64], least_overlap: float) -> bool:
    """Whether each labelled box matches a detection of its class, and each detection a label."""
    if len(labels) != len(detections):
        return False
    same = labels[:, None, _CLASS] == detections[None, :, CLASS]
    return bool((pairs(same & (overlaps(labels, detections) >= least_overlap)) >= 0).all())


def rightly_found(detections: NDArray[np.float64], label: Any, least_overlap: float) -> NDArray[np.float64]:
    """The detections that match a labelled box; all detections where the label has no boxes."""
    if label is None or not are_boxes([label]):
        return detections
    truth = labelled_boxes(label)
    same = detections[:, None, CLASS] == truth[None, :, _CLASS]
    return detections[pairs(same & (overlaps(detections, truth) >= least_overlap)) >= 0]
