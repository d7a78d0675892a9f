"""Decodes a head's outputs into detections: corners, score, class. The layout is known here (:mod:`.layouts`).

The input is one array per window, which may have a batch axis of one. For yolov5, yolov8 and end_to_end it is the
output. Separate outputs are joined (:mod:`edge_agent.contract.joined_head`): ssd and detr as ``[N, 4 + C]``, centernet
as ``[C + 2, H, W]``, or ``[C + 4, H, W]`` with the offset. Corners are in the units of the boxes. centernet's boxes are
in cells of the map, and its corners in fractions of the map's sides.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.quant.detection import CLASS, COLUMNS, SCORE
from edge_agent.quant.detection.layouts import candidates, heat_map
from edge_agent.wire.detection_head import Activation, BoxFormat, Head

Floats = NDArray[np.float64]

_BOX = 4


def decode(output: NDArray[Any], head: Head, least_score: float) -> Floats:
    """The detections ``[N, 6]`` of one window with at least ``least_score``, before suppression.

    Args:
        output: the model's output, with separate outputs joined.
        head: the result of :func:`.layouts.settle`, without an empty value.
        least_score: lower scores are left out.

    Raises:
        ContractError: ``shape_mismatch``: the output does not have that layout.
    """
    if head.layout == "centernet":
        return _peaks(heat_map(output), head, least_score)
    table = candidates(output, head)
    if head.layout == "end_to_end":
        found = table[table[:, SCORE] >= least_score].astype(np.float64)
        found[:, CLASS] = np.rint(found[:, CLASS])  # in int8, on a scale shared with pixels, it is no whole number
        return _with_corners(found, head.box_format)
    scores, objectness = _parts(table, head)
    score = objectness * probabilities(scores.max(axis=1), _after_softmax(head))
    strong = np.flatnonzero(score >= least_score)  # few of thousands, so the rest of the work is cheap
    number = np.argmax(scores[strong], axis=1)
    found = np.column_stack([table[strong, :_BOX], score[strong], number]).astype(np.float64)
    return _with_corners(found, head.box_format)


def probabilities(scores: NDArray[Any], activation: Activation) -> Floats:
    """Scores as probabilities; a softmax is taken over the last axis, the classes."""
    values = np.asarray(scores, np.float64)
    if activation == "sigmoid":
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)))  # does not overflow
    if activation == "softmax":
        powers = np.exp(values - values.max(axis=-1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
    return values


def _parts(table: NDArray[Any], head: Head) -> tuple[NDArray[Any], Floats | float]:
    """The class scores of each candidate, in order, and the factor to multiply them by."""
    scores = table[:, _BOX:]
    if head.activation == "softmax":
        scores = probabilities(scores, "softmax")
    objectness: Floats | float = 1.0
    if head.layout == "yolov5":
        objectness, scores = probabilities(scores[:, 0], head.activation), scores[:, 1:]
    if head.background != "none":
        scores = scores[:, 1:] if head.background == "first" else scores[:, :-1]
    if not scores.shape[1]:  # a single class without a score of its own: the objectness is the score
        return np.full((len(table), 1), np.inf if head.activation == "sigmoid" else 1.0), objectness
    return scores, objectness


def _after_softmax(head: Head) -> Activation:
    """The activation for the largest score alone: a sigmoid keeps the order of scores, so it is applied last."""
    return "sigmoid" if head.activation == "sigmoid" else "none"


def _with_corners(found: Floats, box_format: BoxFormat) -> Floats:
    if box_format == "cxcywh":
        centre, half = found[:, 0:2].copy(), found[:, 2:4] / 2
        found[:, 0:2], found[:, 2:4] = centre - half, centre + half
    elif box_format == "yxyx":
        found[:, :4] = found[:, [1, 0, 3, 2]]
    return found


def _peaks(maps: NDArray[Any], head: Head, least_score: float) -> Floats:
    """Cells that are no weaker than their eight neighbours (Zhou et al. 2019, "Objects as Points", section 4).

    Of equal neighbours, which int8 has next to every peak, the first one counts: a cell must exceed those before it.
    """
    tail = maps[-4:] if head.offset else maps[-2:]
    heat = probabilities(maps[: -len(tail)], head.activation)
    _, height, width = heat.shape
    walled = np.pad(heat, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    shifted = [walled[:, down : down + height, right : right + width] for down in range(3) for right in range(3)]
    before, after = np.max(shifted[:4], axis=0), np.max(shifted[5:], axis=0)
    number, row, column = np.nonzero((heat > before) & (heat >= after) & (heat >= least_score))
    found = np.empty((len(number), COLUMNS))
    place = tail[2:, row, column] if head.offset else np.full((2, len(number)), 0.5)
    centre = np.stack([column, row], axis=1) + place.T
    half = tail[:2, row, column].T.astype(np.float64) / 2
    found[:, :4] = np.hstack([centre - half, centre + half]) / [width, height, width, height]
    found[:, SCORE], found[:, CLASS] = heat[number, row, column], number
    return found
