"""Finds the layout of a head's outputs from float's own outputs, where the manifest does not name it. Pure.

| layout | one window | its exporters |
|---|---|---|
| yolov5 | ``[N, 5 + C]``: centre and size, objectness, classes | YOLOv5, v7, YOLOX with decoding |
| yolov8 | ``[4 + C, N]``: centre and size, classes | YOLOv8, v9, YOLO11 |
| yolov8_rows | ``[N, 4 + C]``: the same | YOLOv8 after some converters |
| end_to_end | ``[N, 6]``: corners, score, class; strongest first | YOLOv10, YOLO26; any export with suppression in it |
| ssd | boxes ``[N, 4]``, scores ``[N, C]``; of a softmax the first is the background | SSD, RetinaNet |
| detr | boxes ``[N, 4]``, logits ``[N, C]``; of a softmax the last is no object | DETR; RT-DETR with sigmoid |
| centernet | heat ``[C, H, W]``, size ``[2, H, W]``, offset ``[2, H, W]`` in cells | CenterNet |

The layout is found once, from float's outputs, and int8's outputs are decoded by it: a range lost in int8 must not look
like another activation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import ContractError
from edge_agent.quant.detection.plausible import check_boxes, check_final, check_scores
from edge_agent.quant.detection.recognition import (
    BOX,
    END_TO_END,
    IN_PIXELS,
    OBJECTNESS,
    are_fractions,
    are_ordered,
    few,
    recognised,
    table_of,
)
from edge_agent.wire.detection_head import Activation, Background, BoxFormat, Head, HeadLayout

_MAPS = 3
_UNLIKELY = -1.0
"""Scores are sigmoids if the median of the largest logits is below this; in a softmax that logit is no object's."""
_MOSTLY = 0.5
_SUM_SLACK = 0.01
"""float16 softmax rows add up to 1 within this."""


@dataclass(frozen=True, slots=True)
class _Usual:
    """Properties that the exporters of a layout share, and their applications' defaults."""

    threshold: float
    max_overlap: float
    separate: bool = False


USUAL: dict[HeadLayout, _Usual] = {
    "yolov5": _Usual(0.25, 0.45),
    "yolov8": _Usual(0.25, 0.7),
    "yolov8_rows": _Usual(0.25, 0.7),
    "end_to_end": _Usual(0.25, 1.0),
    "ssd": _Usual(0.5, 0.45, separate=True),
    "detr": _Usual(0.5, 1.0, separate=True),
    "centernet": _Usual(0.3, 1.0, separate=True),
}


def settle(head: Head, sample: Sequence[NDArray[Any]], *, separate: bool = False) -> Head:
    """``head`` with every empty value filled in; unchanged where the sample shows nothing.

    Args:
        head: the manifest's ``[output] head``.
        sample: float's outputs for some windows, joined where they are separate.
        separate: whether boxes and scores are separate outputs.

    Raises:
        ContractError: ``shape_mismatch``: the outputs do not have the layout.
    """
    if not head.layout:
        head = msgspec.structs.replace(head, layout=_layout(sample, separate=separate))
    elif not separate:
        _check_orientation(head.layout, sample)
    for one in sample:
        heat_map(one) if head.layout == "centernet" else candidates(one, head)
    if not head.layout or not any(one.any() for one in sample):
        return head
    if head.layout == "centernet":
        heat = np.stack([_heat(heat_map(one), head) for one in few(sample)])
        return _fill(
            head, activation="none" if are_fractions(heat) else "sigmoid", box_format="cxcywh", units="fractions"
        )
    values = np.stack([candidates(one, head) for one in few(sample)])
    boxes, scores = values[..., :BOX], values[..., BOX:]
    units = "pixels" if float(np.abs(boxes).max()) > IN_PIXELS else "fractions"
    corners: BoxFormat = "xyxy" if are_ordered(boxes) and head.layout != "detr" else "cxcywh"
    if head.layout == "end_to_end":
        check_final(values)
        return _fill(head, activation="none", box_format="xyxy", units=units)
    check_scores(scores)
    if not head.box_format:
        check_boxes(boxes, corners)
    if not USUAL[head.layout].separate:
        activation: Activation = "none" if are_fractions(scores) else "sigmoid"
        return _fill(head, activation=activation, box_format=corners, units=units)
    first: Background = "first" if head.layout == "ssd" else "last"
    activation, background = _normalised(scores, first, head)
    return _fill(head, activation=activation, box_format=corners, background=background, units=units)


def candidates(output: NDArray[Any], head: Head) -> NDArray[Any]:
    """One window's candidates as rows; raises ``ContractError`` (shape_mismatch) if the output has another layout."""
    table = table_of(output)
    if table is not None and head.layout == "yolov8":
        table = table.T
    least = {"yolov5": OBJECTNESS, "end_to_end": END_TO_END}.get(head.layout, BOX + 1)
    if table is None or table.shape[1] < least or (head.layout == "end_to_end" and table.shape[1] != least):
        raise ContractError(
            "shape_mismatch",
            f"an output of shape {output.shape} is no detection head {_described(head.layout)}; set head.layout under "
            "[output], name boxes and scores there, or set another output kind",
        )
    return table


def heat_map(output: NDArray[Any]) -> NDArray[Any]:
    """One window's maps ``[C + 2 or more, H, W]``; raises ``ContractError`` (shape_mismatch)."""
    maps = output[0] if output.ndim > _MAPS and len(output) == 1 else output
    if maps.ndim != _MAPS or len(maps) <= 2:  # noqa: PLR2004  # width and height
        raise ContractError(
            "shape_mismatch",
            f"an output of shape {output.shape} has no maps of scores and sizes; name boxes and scores under [output]",
        )
    return maps


def _fill(head: Head, **found: str) -> Head:
    """``head`` with its empty values replaced by the found or usual ones."""
    found = {"background": "none"} | found
    open_values = {key: value for key, value in found.items() if not getattr(head, key)}
    if head.max_overlap is None:
        return msgspec.structs.replace(head, **open_values, max_overlap=USUAL[head.layout].max_overlap)
    return msgspec.structs.replace(head, **open_values)


def _layout(sample: Sequence[NDArray[Any]], *, separate: bool) -> HeadLayout:
    """The layout of the sample; empty where the sample shows nothing."""
    if separate:
        if not sample:
            return ""
        if sample[0].ndim == _MAPS:
            return "centernet"
        boxes = np.stack([one[:, :BOX] for one in few(sample)])
        return "ssd" if are_ordered(boxes) or float(np.abs(boxes).max()) > IN_PIXELS else "detr"
    if layout := recognised(sample):
        return layout
    if not any(one.any() for one in sample):  # for example before a capture, when only shapes are known
        return ""
    raise ContractError(
        "shape_mismatch",
        f"an output of shape {sample[0].shape} does not show which detection head it is of; set head = "
        '{ layout = "yolov8" } (or yolov5, end_to_end) under [output]',
    )


def _check_orientation(layout: HeadLayout, sample: Sequence[NDArray[Any]]) -> None:
    """Raise ``ContractError`` (shape_mismatch) if candidates lie in rows and the layout has columns, or vice versa."""
    found = recognised(sample)
    if {layout, found} <= {"yolov5", "yolov8", "yolov8_rows"} and (layout == "yolov8") != (found == "yolov8"):
        raise ContractError(
            "shape_mismatch",
            f"an output of shape {sample[0].shape} has the layout {found}, not {layout}; correct head.layout under "
            "[output], or leave it out",
        )


def _heat(maps: NDArray[Any], head: Head) -> NDArray[Any]:
    return maps[: -4 if head.offset else -2]


def _normalised(scores: NDArray[Any], first: Background, head: Head) -> tuple[Activation, Background]:
    """The activation of separate scores, and the place of the score for no object.

    A softmax has one, which is the largest nearly everywhere. Sigmoids have none, and all their scores are small,
    though the commonest class may also be the largest nearly everywhere.
    """
    nobody = _nobody(scores)
    if head.activation in ("sigmoid", "softmax"):
        return head.activation, nobody or first if head.activation == "softmax" else "none"
    if scores.shape[-1] == 1:
        return ("none" if are_fractions(scores) else "sigmoid"), "none"
    if are_fractions(scores):
        sums_to_one = bool(np.all(np.abs(scores.sum(axis=-1) - 1.0) <= _SUM_SLACK))
        return "none", nobody or first if sums_to_one else "none"
    unlikely = float(np.median(scores.max(axis=-1))) < _UNLIKELY
    return ("softmax", nobody) if nobody and not unlikely else ("sigmoid", "none")


def _nobody(scores: NDArray[Any]) -> Background:
    """The end of the scores that is the largest for most candidates; empty if neither is."""
    best = np.argmax(scores, axis=-1)
    ends: dict[Background, int] = {"first": 0, "last": scores.shape[-1] - 1}
    return next((end for end, place in ends.items() if float(np.mean(best == place)) > _MOSTLY), "")


def _described(layout: HeadLayout) -> str:
    shapes: dict[HeadLayout, str] = {
        "yolov5": "[N, 5 + C]",
        "yolov8": "[4 + C, N]",
        "yolov8_rows": "[N, 4 + C]",
        "end_to_end": "[N, 6]",
        "ssd": "of boxes [N, 4] and scores [N, C]",
        "detr": "of boxes [N, 4] and logits [N, C]",
    }
    return f"{layout} {shapes[layout]}" if layout in shapes else "[N, 4 + C]"
