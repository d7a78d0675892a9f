"""Recognises a detection head in an output without a name, only where it can be nothing else. Pure."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.wire.detection_head import HeadLayout

BOX = 4
OBJECTNESS = 5
END_TO_END = 6
IN_PIXELS = 2.0
"""Boxes in fractions never reach this value, boxes in pixels always do."""
_TABLE = 2
_FEWEST, _MOST_FINAL = 16, 1000
"""Minimum candidates of a head, and maximum rows of an end-to-end head."""
_SLACK = 1e-3
_VALUES, _FEWEST_WINDOWS = 4_000_000, 4
_GRID = 21
"""Strides of 8, 16 and 32 give 21 cells for each 32 pixels square."""
_EVENLY = 0.2
"""Least standard deviation of the centres, in widths of the picture; evenly spread centres have 0.29."""
_RARE = 0.1
_HIGH = 0.25
_HALF = 0.5


def recognised(sample: Sequence[NDArray[Any]]) -> HeadLayout:
    """The layout of an output, from float's outputs for some windows; empty if it may be something else.

    A head has boxes in pixels beside scores from 0 to 1. Or its boxes lie on a grid of the usual strides, evenly
    spread, and few scores are high. Or its rows are ``[N, 6]`` with the strongest first and whole class numbers.
    """
    tables = [table_of(one) for one in few(sample)]
    if not tables or any(one is None or one.shape != tables[0].shape for one in tables):  # type: ignore[union-attr]  # None comes first
        return ""
    values = np.stack([one for one in tables if one is not None])
    if not np.isfinite(values).all():
        return ""
    if _is_end_to_end(values):
        return "end_to_end"
    if _is_head(values.swapaxes(1, 2)):
        return "yolov8"
    if _is_head(values):
        return "yolov5" if _has_objectness(values) else "yolov8_rows"
    return ""


def few(sample: Sequence[NDArray[Any]]) -> Sequence[NDArray[Any]]:
    """As many windows as fit into little memory: a few windows of thousands of candidates show the layout."""
    return sample[: max(_FEWEST_WINDOWS, _VALUES // max(1, sample[0].size))] if len(sample) else sample


def table_of(output: NDArray[Any]) -> NDArray[Any] | None:
    """The output as ``[rows, columns]`` without leading axes of one; None if it has another shape."""
    if output.ndim < _TABLE or any(size != 1 for size in output.shape[:-_TABLE]) or not output.size:
        return None
    return output.reshape(output.shape[-_TABLE:])


def _is_end_to_end(values: NDArray[Any]) -> bool:
    """``[windows, N, 6]``: corners in order, falling scores, whole classes, and at least one detection."""
    if values.shape[2] != END_TO_END or values.shape[1] > _MOST_FINAL:
        return False
    scores, classes = values[..., 4], values[..., 5]
    return (
        are_fractions(scores)
        and float(scores.max()) > 0.0
        and bool(np.all(np.diff(scores, axis=1) <= _SLACK))
        and bool(np.all((classes == np.rint(classes)) & (classes >= -1.0)))
        and are_ordered(values[..., :BOX])
        and values.shape[1] > 1
    )


def _is_head(values: NDArray[Any]) -> bool:
    """Whether ``[windows, N, 4 + C]`` can be nothing but boxes beside scores."""
    _, count, columns = values.shape
    if columns <= BOX or count < _FEWEST:
        return False
    boxes, scores = values[..., :BOX], values[..., BOX:]
    if float(boxes[..., 2:].min()) < -_SLACK * max(1.0, float(boxes.max())) or float(np.ptp(scores)) == 0.0:
        return False
    in_pixels = bool(np.all(np.median(boxes, axis=(0, 1)) > IN_PIXELS))
    if in_pixels and are_fractions(scores):
        return float(np.ptp(boxes[..., :2])) > IN_PIXELS
    return not count % _GRID and count >= BOX * _GRID and _spread_evenly(boxes) and _mostly_off(scores)


def _has_objectness(values: NDArray[Any]) -> bool:
    """Whether the first score is the objectness, so that a row with an object has two high scores.

    Where it is high in no row, the classes decide. With objectness they are untrained on the background, where they are
    high at random; without it they are high in a few rows only.
    """
    if values.shape[2] <= OBJECTNESS:
        return False
    scores = values[..., BOX:].reshape(-1, values.shape[2] - BOX)
    high = scores >= (_HIGH if are_fractions(scores) else 0.0)
    shows, other = high[:, 0], np.logical_or.reduce(high[:, 1:], axis=1)
    if shows.all():  # YOLOv6 writes a constant 1 there
        return True
    return bool(np.mean(other[shows]) > _HALF) if shows.any() else bool(np.mean(other) > _RARE)


def _spread_evenly(boxes: NDArray[Any]) -> bool:
    centres = boxes[..., :2]
    if float(centres.min()) < -_SLACK * float(centres.max()):
        return False
    return bool(np.all(centres.std(axis=1).mean(axis=0) > _EVENLY * np.ptp(centres, axis=(0, 1))))


def _mostly_off(scores: NDArray[Any]) -> bool:
    return float(np.median(scores)) < (_RARE if are_fractions(scores) else -1.0)


def are_fractions(values: NDArray[Any]) -> bool:
    """Whether all values lie between 0 and 1, as probabilities do."""
    return bool(np.all((values >= -_SLACK) & (values <= 1.0 + _SLACK)))


def are_ordered(boxes: NDArray[Any]) -> bool:
    """Whether the second corner never precedes the first, which does not hold for centres and sizes over a picture."""
    slack = _SLACK * float(np.abs(boxes).max())
    return bool(np.all(boxes[..., 2:] >= boxes[..., :2] - slack))
