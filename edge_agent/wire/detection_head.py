"""The layout of a detector's outputs before suppression: the options of ``[output] head``. Pure.

    [output]
    kind = "detection_head"
    head = { layout = "yolov8" }                     # left out: detected from float's outputs
    boxes = "pred_boxes"                             # for ssd, detr and centernet, which have separate outputs
    scores = "logits"

An empty value is detected from the layout and from float's outputs; int8 then uses the detected value.
"""

from typing import Annotated, Literal

import msgspec

HeadLayout = Literal["", "yolov5", "yolov8", "yolov8_rows", "end_to_end", "ssd", "detr", "centernet"]
Activation = Literal["", "none", "sigmoid", "softmax"]
BoxFormat = Literal["", "xyxy", "yxyx", "cxcywh"]
Background = Literal["", "none", "first", "last"]
Units = Literal["", "pixels", "fractions"]
_Overlap = Annotated[float, msgspec.Meta(gt=0, le=1)]


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The layout of a detection head, in the words of the exporters."""

    layout: HeadLayout = ""
    """yolov5 ``[N, 5 + C]`` with objectness; yolov8 ``[4 + C, N]``, as up to YOLO11, and yolov8_rows ``[N, 4 + C]``;
    end_to_end ``[N, 6]``, as of YOLOv10 and YOLO26; ssd and detr: boxes ``[N, 4]`` and scores ``[N, C]``; centernet:
    scores ``[C, H, W]``, boxes (width and height) ``[2, H, W]`` and offset ``[2, H, W]``."""
    activation: Activation = ""
    """The function that turns scores into probabilities; none: they are probabilities already."""
    box_format: BoxFormat = ""
    """The four numbers of a box: corners, corners with y first, or centre and size."""
    background: Background = ""
    """The position of the score for "no object"."""
    units: Units = ""
    """Boxes in pixels of the model's input, or in fractions of its sides."""
    max_overlap: _Overlap | None = None
    """Largest intersection over union of two boxes of one class: above it the weaker box is suppressed. 1: no
    suppression."""
    offset: str = ""
    """centernet: the output with the position of the centre in its cell; empty: the middle."""
