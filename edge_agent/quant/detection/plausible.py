"""Checks that float's values can be the boxes and scores of the assumed layout. Pure.

A model that is exported without its last steps, or for another task, has outputs of the same shapes. Decoded by the
wrong layout they still give boxes, and a meaningless verdict.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import ContractError
from edge_agent.quant.detection import CLASS, SCORE
from edge_agent.quant.detection.recognition import are_fractions
from edge_agent.wire.detection_head import BoxFormat

_NEGATIVE = 0.1
"""Largest share of boxes that may have a negative side, as where a corner is cut off."""
_MANY = 64
_SPREAD = 0.5
"""Least standard deviation of the centres of many candidates, in median sides. Centres in a picture are spread all over
it: a YOLOv8 has 1.5 to 2, a YOLOX without decoding has 0.2."""
_RAW = 'set kind = "raw" under [output], which judges all columns by their scale'


def check_scores(scores: NDArray[Any]) -> None:
    """Raise ``ContractError`` (shape_mismatch) if only the first columns of ``[windows, N, C]`` can be scores.

    Exports for segmentation and poses have masks and keypoints after the scores.
    """
    single = [are_fractions(scores[..., column]) for column in range(scores.shape[-1])]
    count = single.index(False) if False in single else 0
    if count and not any(single[count:]):
        raise ContractError(
            "shape_mismatch",
            f"{count} columns behind the boxes are scores from 0 to 1 and {len(single) - count} more are none, as the "
            f"masks or keypoints of another task; {_RAW}",
        )


def check_final(rows: NDArray[Any]) -> None:
    """Raise ``ContractError`` (shape_mismatch) if rows of six do not end with a score and a class number."""
    scores, classes = rows[..., SCORE], rows[..., CLASS]
    if not are_fractions(scores) or bool(np.any(classes != np.rint(classes))):
        raise ContractError(
            "shape_mismatch",
            "the last two of six columns are no score from 0 to 1 and no class, so this is no end_to_end head; "
            f"correct head.layout, or {_RAW}",
        )


def check_boxes(boxes: NDArray[Any], box_format: BoxFormat) -> None:
    """Raise ``ContractError`` (shape_mismatch) if ``[windows, N, 4]`` are offsets from anchors instead of boxes.

    Offsets of sides are as often negative as positive; offsets of centres are small compared with the sides.
    """
    if box_format == "cxcywh":
        centres, sides = boxes[..., :2], boxes[..., 2:]
    else:
        centres, sides = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
    negative = float(np.mean((sides < 0).any(axis=-1)))
    spread, side = centres.std(axis=1).mean(axis=0), np.median(sides, axis=(0, 1))
    heaped = boxes.shape[1] >= _MANY and bool(np.all(spread < _SPREAD * side))
    if negative > _NEGATIVE or heaped:
        what = "lie on one heap" if negative <= _NEGATIVE else f"have a side below 0 in {negative:.0%} of the rows"
        raise ContractError(
            "shape_mismatch",
            f"the boxes {what}, as offsets from anchors that the model does not hold; export it with its decoding, set "
            f"head.box_format if they are boxes after all, or {_RAW}",
        )
