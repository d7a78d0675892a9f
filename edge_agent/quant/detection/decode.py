"""A head's outputs become detections: corners, score, class. The layout is known by now (:mod:`.layouts`).

What is decoded is one array a window, with or without a batch axis of one. Of yolov5, yolov8 and end_to_end it is the
output. Separate outputs come side by side (:mod:`edge_agent.contract.joined_head`): ssd and detr as ``[N, 4 + C]``,
centernet as ``[C + 2, H, W]``, or ``[C + 4, H, W]`` with the offset. Corners are in the units of the boxes; of
centernet, whose boxes are in cells of the map, in fractions of its sides.
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
    """The detections ``[N, 6]`` of one window with at least this score, before suppression.

    Args:
        output: what the model says, separate outputs joined.
        head: as :func:`.layouts.settle` gives it, without an empty value.
        least_score: what is weaker is left out.

    Raises:
        ContractError: ``shape_mismatch``: the output is not of that layout.
    """
    if head.layout == "centernet":
        return _peaks(heat_map(output), head, least_score)
    table = candidates(output, head)
    if head.layout == "end_to_end":
        found = table[table[:, SCORE] >= least_score].astype(np.float64)
        found[:, CLASS] = np.rint(found[:, CLASS])  # beside pixels in int8 it is no whole number
        return _with_corners(found, head.box_format)
    scores, objectness = _parts(table, head)
    score = objectness * probabilities(scores.max(axis=1), _after_softmax(head))
    strong = np.flatnonzero(score >= least_score)  # a handful of thousands, so only these are looked at closely
    number = np.argmax(scores[strong], axis=1)
    found = np.column_stack([table[strong, :_BOX], score[strong], number]).astype(np.float64)
    return _with_corners(found, head.box_format)


def probabilities(scores: NDArray[Any], activation: Activation) -> Floats:
    """Scores as probabilities; of a softmax the last axis has the classes."""
    values = np.asarray(scores, np.float64)
    if activation == "sigmoid":
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)))  # does not overflow
    if activation == "softmax":
        powers = np.exp(values - values.max(axis=-1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
    return values


def _parts(table: NDArray[Any], head: Head) -> tuple[NDArray[Any], Floats | float]:
    """Of each candidate the scores of the classes, in their order, and what they are to be multiplied by."""
    scores = table[:, _BOX:]
    if head.activation == "softmax":
        scores = probabilities(scores, "softmax")
    objectness: Floats | float = 1.0
    if head.layout == "yolov5":
        objectness, scores = probabilities(scores[:, 0], head.activation), scores[:, 1:]
    if head.background != "none":
        scores = scores[:, 1:] if head.background == "first" else scores[:, :-1]
    if not scores.shape[1]:  # one class that nobody named: the objectness is all
        return np.full((len(table), 1), np.inf if head.activation == "sigmoid" else 1.0), objectness
    return scores, objectness


def _after_softmax(head: Head) -> Activation:
    """What is still to be done to the largest score: a sigmoid keeps their order, so it can wait for that one."""
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

    Of neighbours that are equal, as in int8 next to every peak, the first one counts: it has to be stronger than those
    before it.
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
