"""A detector's result in the form that an application needs: boxes in the frame's pixels, scores, classes.

The same code as for the verdict decodes and suppresses the boxes, with the same threshold and layout.
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
    """The detections in one window, highest score first; row n of each array describes detection n.

    Attributes:
        boxes: ``[N, 4]``, x1 y1 x2 y2, in pixels of the camera's frame. If the windows are not frames, or the model
            suppresses boxes itself, the model's own coordinates.
        scores: ``[N]``.
        classes: ``[N]``, class numbers of the model.
    """

    boxes: Array
    scores: Array
    classes: Array


def read_detections(judged: Array, meaning: Output, inputs: Iterable[InputContract]) -> Detections:
    """The detections in the judged output of one window.

    Args:
        judged: the judged output from :class:`edge_agent.contract.scored_output.ScoredOutput`.
        meaning: the output's resolved options.
        inputs: the contracts of the inputs that a source feeds; the first one of pictures maps boxes to the frame.

    Raises:
        ContractError: ``shape_mismatch``: the model is not a detector.
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
