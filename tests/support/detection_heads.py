"""Heads of every layout, encoded plainly from boxes that are known: what an exported detector would have given."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.contract.joined_head import join

Floats = NDArray[np.float64]
SIDE = 320
CLASSES = 3
CELLS = 40
COUNT = 21 * 10 * 10
"""Cells of strides 8, 16 and 32 in a picture of :data:`SIDE` pixels."""


def scene(random: np.random.Generator, count: int) -> Floats:
    """``count`` boxes in pixels, none near another: x1, y1, x2, y2, score, class; the strongest first."""
    places = random.choice(25, count, replace=False)
    centre = np.stack([places % 5, places // 5], axis=1) * 64.0 + 32 + random.uniform(-6, 6, (count, 2))
    half = random.uniform(8, 25, (count, 2))
    scores = np.sort(random.uniform(0.55, 0.95, count))[::-1]
    return np.column_stack([centre - half, centre + half, scores, random.integers(0, CLASSES, count)])


def logit(p: Any) -> Any:
    return np.log(p / (1 - np.asarray(p)))


def cxcywh(boxes: Floats) -> Floats:
    return np.hstack([(boxes[:, :2] + boxes[:, 2:4]) / 2, boxes[:, 2:4] - boxes[:, :2]])


def background(random: np.random.Generator, count: int = COUNT, side: float = SIDE) -> tuple[Floats, Floats]:
    """Candidates that mean nothing: centres all over the picture, scores near 0."""
    boxes = np.hstack([random.uniform(0, side, (count, 2)), random.uniform(4, 60, (count, 2)) * side / SIDE])
    return boxes, random.uniform(0, 0.02, (count, CLASSES))


def _placed(random: np.random.Generator, found: Floats, side: float = SIDE) -> tuple[Floats, Floats]:
    """Candidates with the boxes of ``found`` among them, in centre and size, and the probability of each class."""
    boxes, scores = background(random, side=side)
    rows = random.choice(len(boxes), len(found), replace=False)
    boxes[rows] = cxcywh(found) * side / SIDE
    scores[rows, found[:, 5].astype(int)] = found[:, 4]
    return boxes, scores


def yolov8(random: np.random.Generator, found: Floats) -> Floats:
    return np.hstack(_placed(random, found)).T[None]


def yolov8_rows(random: np.random.Generator, found: Floats) -> Floats:
    return np.hstack(_placed(random, found))[None, :, :5]


def yolov8_in_fractions(random: np.random.Generator, found: Floats) -> Floats:
    return np.hstack(_placed(random, found, side=1.0)).T[None]


def yolov8_logits(random: np.random.Generator, found: Floats) -> Floats:
    boxes, scores = _placed(random, found)
    return np.hstack([boxes, logit(scores.clip(1e-4))]).T[None]


def yolov5(random: np.random.Generator, found: Floats) -> Floats:
    """Objectness and class share the score; of the background the classes are anything."""
    boxes, scores = _placed(random, found)
    objectness = scores.max(axis=1, keepdims=True) / 0.97
    classes = np.where(scores == scores.max(axis=1, keepdims=True), 0.97, random.uniform(0, 0.9, scores.shape))
    return np.hstack([boxes, objectness, classes])[None]


def end_to_end(random: np.random.Generator, found: Floats) -> Floats:
    del random
    return np.vstack([found, np.zeros((50 - len(found), 6))])[None]


def ssd(random: np.random.Generator, found: Floats) -> Floats:
    """Corners in fractions; probabilities of which the first is the background's."""
    boxes, scores = _placed(random, found, side=1.0)
    corners = np.hstack([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2])
    scores /= np.maximum(1.0, scores.sum(axis=1, keepdims=True) + 1e-6)
    scores = np.hstack([1 - scores.sum(axis=1, keepdims=True), scores])
    return join(corners[None], scores[None])


def ssd_logits(random: np.random.Generator, found: Floats) -> Floats:
    joined = ssd(random, found)
    return np.hstack([joined[:, :4], np.log(joined[:, 4:].clip(1e-6)) + random.normal(size=(len(joined), 1))])


def retina(random: np.random.Generator, found: Floats) -> Floats:
    """An SSD without background: logits of sigmoids, corners in pixels."""
    boxes, scores = _placed(random, found)
    corners = np.hstack([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2])
    return join(corners[None], logit(scores.clip(1e-4))[None])


def detr(random: np.random.Generator, found: Floats) -> Floats:
    """Logits of a softmax of which the last is no object's."""
    boxes, scores = _placed(random, found, side=1.0)
    scores = scores[:, :CLASSES] / np.maximum(1.0, scores.sum(axis=1, keepdims=True) + 1e-6)
    scores = np.hstack([scores, 1 - scores.sum(axis=1, keepdims=True)])
    return join(boxes[None], np.log(scores.clip(1e-6))[None] + 3.0)


def rt_detr(random: np.random.Generator, found: Floats) -> Floats:
    """The same with sigmoids, and without no object."""
    boxes, scores = _placed(random, found, side=1.0)
    return join(boxes[None], logit(scores.clip(1e-4))[None])


def _maps(random: np.random.Generator, found: Floats) -> tuple[Floats, Floats, Floats]:
    heat = random.uniform(0, 0.02, (1, CLASSES, CELLS, CELLS))
    size, offset = random.uniform(0, 5, (1, 2, CELLS, CELLS)), random.uniform(0, 1, (1, 2, CELLS, CELLS))
    for box in found:
        centre, whole = (box[:2] + box[2:4]) / 2 * CELLS / SIDE, (box[2:4] - box[:2]) * CELLS / SIDE
        column, row = np.floor(centre).astype(int)
        heat[0, int(box[5]), row - 1 : row + 2, column - 1 : column + 2] = box[4] * 0.6
        heat[0, int(box[5]), row, column] = box[4]
        size[0, :, row, column], offset[0, :, row, column] = whole, centre - [column, row]
    return heat, size, offset


def centernet(random: np.random.Generator, found: Floats) -> Floats:
    heat, size, offset = _maps(random, found)
    return join(size, heat, offset)


def centernet_logits(random: np.random.Generator, found: Floats) -> Floats:
    heat, size, offset = _maps(random, found)
    return join(size, logit(heat.clip(1e-4)), offset)


HEADS: Sequence[Callable[[np.random.Generator, Floats], Floats]] = (
    yolov8, yolov8_rows, yolov8_in_fractions, yolov8_logits, yolov5, end_to_end, ssd, ssd_logits, retina, detr, rt_detr,
    centernet, centernet_logits,
)  # fmt: skip
SINGLE = HEADS[:6]
"""Heads with one output."""
IN_FRACTIONS = (yolov8_in_fractions, ssd, ssd_logits, detr, rt_detr, centernet, centernet_logits)
