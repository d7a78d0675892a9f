"""How a detector's outputs before suppression are laid out: what ``[output] head`` may say. Pure.

    [output]
    kind = "detection_head"
    head = { layout = "yolov8" }                     # left out: found from float's outputs
    boxes = "pred_boxes"                             # of ssd, detr and centernet, whose outputs are separate
    scores = "logits"

An empty value is found from the layout and from float's outputs, and stays as it was found for int8.
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
    """The layout of a detection head, in the words of those who export them."""

    layout: HeadLayout = ""
    """yolov5 ``[N, 5 + C]`` with objectness; yolov8 ``[4 + C, N]``, as up to YOLO11, and yolov8_rows ``[N, 4 + C]``;
    end_to_end ``[N, 6]``, as of YOLOv10 and YOLO26; ssd and detr: boxes ``[N, 4]`` and scores ``[N, C]``; centernet:
    scores ``[C, H, W]``, boxes (width and height) ``[2, H, W]`` and offset ``[2, H, W]``."""
    activation: Activation = ""
    """What makes probabilities of the scores; none: they are already."""
    box_format: BoxFormat = ""
    """The four numbers of a box: corners, corners with y first, or centre and size."""
    background: Background = ""
    """Which score is that of no object."""
    units: Units = ""
    """Boxes in pixels of the model's input, or in fractions of its sides."""
    max_overlap: _Overlap | None = None
    """Of two boxes of one class with a larger intersection over union, the weaker is suppressed; 1: none is."""
    offset: str = ""
    """centernet: the output with the centre's place in its cell; empty: the middle."""
