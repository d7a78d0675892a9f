"""What a detector sees, as an application wants it: boxes in the frame's pixels, scores, classes.

Decoded and suppressed by what decided the verdict, at the same threshold and in the same layout.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from edge_agent.backends import Array
from edge_agent.errors import ContractError
from edge_agent.preprocess.placement import Placement, placement
from edge_agent.quant.detection import CLASS, SCORE
from edge_agent.quant.kinds import KINDS
from edge_agent.quant.kinds.detection_head import given_head
from edge_agent.wire.manifest import InputContract, Output


class Detections(NamedTuple):
    """What is seen in one window, the surest first; the three go together row by row.

    Attributes:
        boxes: ``[N, 4]``, x1 y1 x2 y2, in pixels of the frame as the camera gave it; where windows are no frames, or
            the model suppresses by itself, as the model gives them.
        scores: ``[N]``.
        classes: ``[N]``, numbers of the model's classes.
    """

    boxes: Array
    scores: Array
    classes: Array


def read_detections(judged: Array, meaning: Output, inputs: Iterable[InputContract]) -> Detections:
    """The detections in what was judged of one window.

    Args:
        judged: as :class:`edge_agent.contract.scored_output.ScoredOutput` gives it.
        meaning: the output's, with everything that was found.
        inputs: the contracts of the inputs that a source feeds; the first of pictures says where boxes go.

    Raises:
        ContractError: ``shape_mismatch``: the model is no detector.
    """
    if meaning.kind not in ("detection", "detection_head"):
        text = f"the model's output is of kind {meaning.kind or 'unknown'}, which has no boxes; call the model itself"
        raise ContractError("shape_mismatch", text)
    table = KINDS[meaning.kind](meaning).answer(judged)
    boxes = table[:, :SCORE]
    placed = next(filter(None, map(placement, inputs)), None)
    if meaning.kind == "detection_head" and placed is not None:
        boxes = _in_frame(boxes, placed, meaning)
    return Detections(boxes, table[:, SCORE], table[:, CLASS].astype(np.int64))


def _in_frame(boxes: Array, placed: Placement, meaning: Output) -> Array:
    return placed.to_frame(boxes, fractions=given_head(meaning).units == "fractions")
