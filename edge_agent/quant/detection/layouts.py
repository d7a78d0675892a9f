"""Which layout a head's outputs have, from float's own outputs, where nobody has said it. Pure.

| layout | one window | its exporters |
|---|---|---|
| yolov5 | ``[N, 5 + C]``: centre and size, objectness, classes | YOLOv5, v7, YOLOX with decoding |
| yolov8 | ``[4 + C, N]``: centre and size, classes | YOLOv8, v9, YOLO11 |
| yolov8_rows | ``[N, 4 + C]``: the same | what some converters make of it |
| end_to_end | ``[N, 6]``: corners, score, class; strongest first | YOLOv10, YOLO26; any export with suppression in it |
| ssd | boxes ``[N, 4]``, scores ``[N, C]``; of a softmax the first is the background | SSD, RetinaNet |
| detr | boxes ``[N, 4]``, logits ``[N, C]``; of a softmax the last is no object | DETR; RT-DETR with sigmoid |
| centernet | heat ``[C, H, W]``, size ``[2, H, W]``, offset ``[2, H, W]`` in cells | CenterNet |

An output that nobody has named as a head is taken as one only where nothing else looks like it (:func:`find`). What is
found is found once, from float's outputs, and int8's are decoded in the same way: a lost range must not look like
another activation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import ContractError
from edge_agent.wire.detection_head import Activation, Background, BoxFormat, Head, HeadLayout

_BOX = 4
_OBJECTNESS = 5
_TABLE, _MAPS = 2, 3
_END_TO_END = 6
_FEWEST, _MOST_FINAL = 16, 1000
"""Candidates of a head, and rows that an end-to-end head gives."""
_IN_PIXELS = 2.0
"""A box of fractions never reaches it, a box of pixels always does."""
_SLACK = 1e-3
_VALUES, _FEWEST_WINDOWS = 4_000_000, 4
_GRID = 21
"""Strides of 8, 16 and 32 make 21 cells of each 32 pixels square."""
_EVENLY = 0.2
"""Least deviation of the centres, in widths of the picture; evenly spread ones have 0.29."""
_RARE = 0.1


@dataclass(frozen=True, slots=True)
class _Usual:
    """What the exporters of a layout have in common, and their applications' defaults."""

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


def find(sample: Sequence[NDArray[Any]]) -> Head | None:
    """The layout of a single output that nobody has named, None unless it can be nothing else.

    Either its boxes are in pixels beside scores from 0 to 1. Or boxes lie on a grid of the usual strides, evenly
    spread, and few scores are high. Or the rows are ``[N, 6]`` with the strongest first and whole classes.
    """
    tables = [_table(one) for one in _few(sample)]
    if not tables or any(one is None or one.shape != tables[0].shape for one in tables):  # type: ignore[union-attr]  # None comes first
        return None
    values = np.stack([one for one in tables if one is not None])
    if not np.isfinite(values).all():
        return None
    if _is_end_to_end(values):
        return settle(Head(layout="end_to_end"), sample)
    if _is_head(values.swapaxes(1, 2)):
        return settle(Head(layout="yolov8"), sample)
    if _is_head(values):
        layout: HeadLayout = "yolov5" if values.shape[2] > _OBJECTNESS else "yolov8_rows"
        return settle(Head(layout=layout), sample)
    return None


def settle(head: Head, sample: Sequence[NDArray[Any]], *, separate: bool = False) -> Head:
    """``head`` without an empty value; as it is where the sample says nothing.

    Args:
        head: what ``[output] head`` says.
        sample: float's outputs for some windows, joined where they are separate.
        separate: whether boxes and scores are outputs of their own.

    Raises:
        ContractError: ``shape_mismatch``: the outputs are not of the layout.
    """
    if not head.layout:
        head = msgspec.structs.replace(head, layout=_layout(sample, separate=separate))
    for one in sample:
        heat_map(one) if head.layout == "centernet" else candidates(one, head)
    if not head.layout or not any(one.any() for one in sample):
        return head
    if head.layout == "centernet":
        heat = np.stack([_heat(heat_map(one), head) for one in _few(sample)])
        return _fill(head, activation="none" if _fractions(heat) else "sigmoid", box_format="cxcywh", units="fractions")
    values = np.stack([candidates(one, head) for one in _few(sample)])
    boxes, scores = values[..., :_BOX], values[..., _BOX:]
    units = "pixels" if float(np.abs(boxes).max()) > _IN_PIXELS else "fractions"
    corners: BoxFormat = "xyxy" if _ordered(boxes) and head.layout != "detr" else "cxcywh"
    if head.layout == "end_to_end":
        return _fill(head, activation="none", box_format="xyxy", units=units)
    if not USUAL[head.layout].separate:
        activation: Activation = "none" if _fractions(scores) else "sigmoid"
        return _fill(head, activation=activation, box_format=corners, units=units)
    first: Background = "first" if head.layout == "ssd" else "last"
    activation, background = _normalised(scores, first, head)
    return _fill(head, activation=activation, box_format=corners, background=background, units=units)


def candidates(output: NDArray[Any], head: Head) -> NDArray[Any]:
    """One window's candidates as rows; raises ``ContractError`` (shape_mismatch) if it has none of that layout."""
    table = _table(output)
    if table is not None and head.layout == "yolov8":
        table = table.T
    least = {"yolov5": _OBJECTNESS, "end_to_end": _END_TO_END}.get(head.layout, _BOX + 1)
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


def _few(sample: Sequence[NDArray[Any]]) -> Sequence[NDArray[Any]]:
    """As many windows as fit into little memory: the layout of thousands of candidates shows in a few."""
    return sample[: max(_FEWEST_WINDOWS, _VALUES // max(1, sample[0].size))] if len(sample) else sample


def _fill(head: Head, **found: str) -> Head:
    """``head`` with what was found where it says nothing, and with what is usual."""
    found = {"background": "none"} | found
    open_values = {key: value for key, value in found.items() if not getattr(head, key)}
    if head.max_overlap is None:
        return msgspec.structs.replace(head, **open_values, max_overlap=USUAL[head.layout].max_overlap)
    return msgspec.structs.replace(head, **open_values)


def _layout(sample: Sequence[NDArray[Any]], *, separate: bool) -> HeadLayout:
    """Which of the layouts; empty where the sample says nothing."""
    if separate:
        if not sample:
            return ""
        if sample[0].ndim == _MAPS:
            return "centernet"
        boxes = np.stack([one[:, :_BOX] for one in _few(sample)])
        return "ssd" if _ordered(boxes) or float(np.abs(boxes).max()) > _IN_PIXELS else "detr"
    found = find(sample)
    if found is not None:
        return found.layout
    if not any(one.any() for one in sample):  # as before a capture, when only shapes are known
        return ""
    raise ContractError(
        "shape_mismatch",
        f"an output of shape {sample[0].shape} does not show which detection head it is of; set head = "
        '{ layout = "yolov8" } (or yolov5, end_to_end) under [output]',
    )


def _table(output: NDArray[Any]) -> NDArray[Any] | None:
    """``[rows, columns]`` without axes of one before it; None if it is none."""
    if output.ndim < _TABLE or any(size != 1 for size in output.shape[:-_TABLE]) or not output.size:
        return None
    return output.reshape(output.shape[-_TABLE:])


def _heat(maps: NDArray[Any], head: Head) -> NDArray[Any]:
    return maps[: -4 if head.offset else -2]


def _is_end_to_end(values: NDArray[Any]) -> bool:
    """``[windows, N, 6]``: corners in order, scores that fall, whole classes, and something found."""
    if values.shape[2] != _END_TO_END or values.shape[1] > _MOST_FINAL:
        return False
    scores, classes = values[..., 4], values[..., 5]
    return (
        _fractions(scores)
        and float(scores.max()) > 0.0
        and bool(np.all(np.diff(scores, axis=1) <= _SLACK))
        and bool(np.all((classes == np.rint(classes)) & (classes >= -1.0)))
        and _ordered(values[..., :_BOX])
        and values.shape[1] > 1
    )


def _is_head(values: NDArray[Any]) -> bool:
    """``[windows, N, 4 + C]``: whether it can be nothing but boxes beside scores."""
    _, count, columns = values.shape
    if columns <= _BOX or count < _FEWEST:
        return False
    boxes, scores = values[..., :_BOX], values[..., _BOX:]
    if float(boxes[..., 2:].min()) < -_SLACK * max(1.0, float(boxes.max())) or float(np.ptp(scores)) == 0.0:
        return False
    in_pixels = bool(np.all(np.median(boxes, axis=(0, 1)) > _IN_PIXELS))
    if in_pixels and _fractions(scores):
        return float(np.ptp(boxes[..., :2])) > _IN_PIXELS
    return not count % _GRID and count >= _BOX * _GRID and _spread_evenly(boxes) and _mostly_off(scores)


def _spread_evenly(boxes: NDArray[Any]) -> bool:
    centres = boxes[..., :2]
    if float(centres.min()) < -_SLACK * float(centres.max()):
        return False
    return bool(np.all(centres.std(axis=1).mean(axis=0) > _EVENLY * np.ptp(centres, axis=(0, 1))))


def _mostly_off(scores: NDArray[Any]) -> bool:
    return float(np.median(scores)) < (_RARE if _fractions(scores) else -1.0)


def _fractions(values: NDArray[Any]) -> bool:
    return bool(np.all((values >= -_SLACK) & (values <= 1.0 + _SLACK)))


def _ordered(boxes: NDArray[Any]) -> bool:
    """Whether the second corner is never before the first: centres and sizes spread over a picture are not so."""
    slack = _SLACK * float(np.abs(boxes).max())
    return bool(np.all(boxes[..., 2:] >= boxes[..., :2] - slack))


def _normalised(scores: NDArray[Any], first: Background, head: Head) -> tuple[Activation, Background]:
    """The activation of separate scores, and whether one of them is that of no object.

    Of a softmax one is, and it is the largest nearly everywhere; with sigmoids there is none, and all are small.
    """
    if head.activation:
        return head.activation, first if head.activation == "softmax" else "none"
    if scores.shape[-1] == 1:
        return ("none" if _fractions(scores) else "sigmoid"), "none"
    if _fractions(scores):
        sums_to_one = bool(np.all(np.abs(scores.sum(axis=-1) - 1.0) <= 10 * _SLACK))
        return "none", first if sums_to_one else "none"
    nobody = 0 if first == "first" else scores.shape[-1] - 1
    common = float(np.mean(np.argmax(scores, axis=-1) == nobody))
    return ("softmax", first) if common > 0.5 else ("sigmoid", "none")  # noqa: PLR2004  # of most candidates


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
