"""Small detectors, as exporters make them: convolutions, and behind them the decoding of a layout."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from edge_agent.wire.detection_head import Head, HeadLayout
from edge_agent.wire.manifest import Output
from support import onnx_models as onnx
from support import tflite_models as tflite

SIDE, CELLS, CLASSES = 320.0, 64, 3
LAYOUTS: Sequence[HeadLayout] = (
    "yolov8", "yolov8_rows", "yolov5", "end_to_end", "ssd", "detr", "centernet",
)  # fmt: skip
_ACROSS = 8
_STRIDE = SIDE / _ACROSS
_BIAS = -4.5
"""Of the scores: so that few are high."""


def asked(layout: HeadLayout) -> Output:
    """What a manifest says of a detector's outputs."""
    if layout in ("ssd", "detr"):
        return Output(kind="detection_head", boxes="boxes", scores="scores", head=Head(layout=layout))
    if layout == "centernet":
        return Output(
            kind="detection_head", boxes="boxes", scores="scores", head=Head(layout=layout, offset="offset")
        )  # fmt: skip
    return Output(kind="detection_head", head=Head(layout=layout))


def onnx_detector(layout: HeadLayout = "yolov8") -> Any:
    """``x`` [1, 3, 16, 16] → convolutions to 8 x 8 cells → the outputs of ``layout``.

    One output is called ``y``; separate ones are ``boxes``, ``scores`` and ``offset``.
    """
    net = _Onnx()
    if layout == "centernet":
        net.node("Sigmoid", [net.conv("heat", CLASSES, bias=_BIAS)], "scores")
        net.node("Abs", [net.conv("size", 2, bias=2.0)], "boxes")
        net.node("Sigmoid", [net.conv("place", 2)], "offset")
        return net.build(boxes=[1, 2, 8, 8], scores=[1, CLASSES, 8, 8], offset=[1, 2, 8, 8])
    boxes = net.decoded(pixels=layout not in ("ssd", "detr"))
    extra = {"yolov5": 1, "ssd": 1, "detr": 1}.get(layout, 0)
    bias = np.full(CLASSES + extra, _BIAS if extra == 0 or layout == "yolov5" else 0.0, np.float32)
    if layout in ("ssd", "detr"):  # no object is likeliest
        bias[0 if layout == "ssd" else -1] = 3.0
    logits = net.flat(net.conv("scores_conv", CLASSES + extra, bias=bias), CLASSES + extra)
    match layout:
        case "ssd":
            net.node("Transpose", [net.corners(boxes)], "boxes", perm=[0, 2, 1])
            net.node("Softmax", [net.node("Transpose", [logits], "rows", perm=[0, 2, 1])], "scores", axis=2)
            return net.build(boxes=[1, CELLS, 4], scores=[1, CELLS, CLASSES + 1])
        case "detr":
            net.node("Transpose", [boxes], "boxes", perm=[0, 2, 1])
            net.node("Transpose", [logits], "scores", perm=[0, 2, 1])
            return net.build(boxes=[1, CELLS, 4], scores=[1, CELLS, CLASSES + 1])
    scores = net.node("Sigmoid", [logits], "sigmoid")
    if layout == "yolov8":
        net.node("Concat", [boxes, scores], "y", axis=1)
        return net.build(y=[1, 4 + CLASSES, CELLS])
    if layout == "end_to_end":
        return net.end_to_end(net.corners(boxes), scores)
    joined = net.node("Concat", [boxes, scores], "join", axis=1)
    net.node("Transpose", [joined], "y", perm=[0, 2, 1])
    return net.build(y=[1, CELLS, 4 + CLASSES + extra])


class _Onnx:
    """A graph in the making; nodes are called after what they give."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: dict[str, NDArray[Any]] = {}
        self._body = self.node("Relu", [self._layer("x", "conv1", 16, 3, strides=[2, 2])], "relu1")
        self._body = self.node("Relu", [self._layer(self._body, "conv2", 32, 16)], "relu2")

    def node(self, operator: str, inputs: Sequence[str], output: str, **settings: Any) -> str:
        self._nodes.append(helper.make_node(operator, inputs, [output], output, **settings))
        return output

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self._constants[name] = value
        return name

    def _layer(self, given: str, name: str, count: int, before: int, **settings: Any) -> str:
        w, b = onnx.weights(count, before, 3, 3), onnx.weights(count, scale=0.1)
        inputs = [given, self.constant(f"{name}/w", w), self.constant(f"{name}/b", b)]
        return self.node("Conv", inputs, name, pads=[1, 1, 1, 1], **settings)

    def conv(self, name: str, count: int, *, bias: Any = 0.0) -> str:
        """A last convolution, over one cell."""
        w = onnx.weights(count, 32, 1, 1, seed=len(self._nodes), scale=0.3)
        b = np.broadcast_to(np.asarray(bias, np.float32), count).copy()
        return self.node(
            "Conv", [self._body, self.constant(f"{name}/w", w), self.constant(f"{name}/b", b)], name
        )  # fmt: skip

    def flat(self, given: str, count: int) -> str:
        shape = self.constant(f"{given}/shape", np.array([1, count, CELLS]))
        return self.node("Reshape", [given, shape], f"{given}_flat")

    def decoded(self, *, pixels: bool) -> str:
        """Centres and sizes ``[1, 4, 64]``, in pixels or in fractions of the picture."""
        unit = 1.0 if pixels else 1 / SIDE
        within = self.node("Tanh", [self.flat(self.conv("boxes_conv", 4), 4)], "within")  # no candidate has it in int8
        reach = self.constant("reach", np.array(_STRIDE / 2 * unit, np.float32))
        grid = self.constant("grid", (_grid()[None] * unit).astype(np.float32))
        return self.node("Add", [self.node("Mul", [within, reach], "in_pixels"), grid], "placed")

    def corners(self, boxes: str) -> str:
        half = self.constant("half", np.array(0.5, np.float32))
        halves = self.constant("halves", np.array([2, 2]))
        self._nodes.append(helper.make_node("Split", [boxes, halves], ["centre", "sides"], "parts", axis=1))
        half = self.node("Mul", ["sides", half], "halved")
        low, high = self.node("Sub", ["centre", half], "low"), self.node("Add", ["centre", half], "high")
        return self.node("Concat", [low, high], "corners", axis=1)

    def end_to_end(self, corners: str, scores: str) -> Any:
        """The 16 strongest cells ``[1, 16, 6]``."""
        count = self.constant("count", np.array([16]))
        best = self.node("ReduceMax", [scores], "best", axes=[1], keepdims=0)
        number = self.node("ArgMax", [scores], "number", axis=1, keepdims=0)
        self._nodes.append(helper.make_node("TopK", [best, count], ["strongest", "places"], "topk", axis=1))
        classes = self.node("Cast", [number], "classes", to=onnx.FLOAT)
        rows = self.node("Transpose", [corners], "rows", perm=[0, 2, 1])
        first = self.constant("first", np.array([0]))
        places = self.node("Squeeze", ["places", first], "place")
        taken = self.node("Gather", [rows, places], "taken", axis=1)
        last = self.constant("last", np.array([2]))
        kinds = self.node("Unsqueeze", [self.node("Gather", [classes, places], "kinds", axis=1), last], "kind_rows")
        strong = self.node("Unsqueeze", ["strongest", last], "strong_rows")
        self.node("Concat", [taken, strong, kinds], "y", axis=2)
        return self.build(y=[1, 16, 6])

    def build(self, **outputs: list[int]) -> Any:
        values = [onnx.value(name, shape) for name, shape in outputs.items()]
        return onnx.model(self._nodes, [onnx.value("x", [1, 3, 16, 16])], values, self._constants)


def _grid() -> NDArray[np.float32]:
    """The cells' centres, and a size for each: ``[4, 64]``."""
    across, down = np.meshgrid(np.arange(_ACROSS), np.arange(_ACROSS))
    centres = (np.stack([across, down]).reshape(2, CELLS) + 0.5) * _STRIDE
    return np.concatenate([centres, np.full((2, CELLS), 2 * _STRIDE)]).astype(np.float32)


def tflite_detector() -> bytes:
    """``x`` [1, 16, 16, 3] → convolutions → ``y`` [1, 64, 7], candidates as rows."""
    net = tflite.Net()
    given = net.input("x", (1, 16, 16, 3))
    body = net.conv(
        given, "conv1", net.constant("w1", tflite.weights(16, 3, 3, 3)),
        net.constant("b1", tflite.weights(16, scale=0.1)), (1, 8, 8, 16), stride=2,
    )  # fmt: skip
    body = net.conv(
        body, "conv2", net.constant("w2", tflite.weights(32, 3, 3, 16)),
        net.constant("b2", tflite.weights(32, scale=0.1)), (1, 8, 8, 32),
    )  # fmt: skip
    parts = []
    for name, count, bias in (("boxes", 4, 0.0), ("scores", CLASSES, _BIAS)):
        part = net.conv(
            body, name, net.constant(f"{name}/w", tflite.weights(count, 1, 1, 32, scale=0.3)),
            net.constant(f"{name}/b", np.full(count, bias, np.float32)), (1, 8, 8, count), act=0,
        )  # fmt: skip
        parts.append(net.reshape(part, f"{name}/flat", (1, CELLS, count)))
    stride = net.constant("stride", np.array([_STRIDE / 16], np.float32))
    pixels = net.node("MUL", [parts[0], stride], "in_pixels", (1, CELLS, 4), "MulOptions")
    placed = net.node("ADD", [pixels, net.constant("grid", _grid().T[None])], "placed", (1, CELLS, 4), "AddOptions")
    scores = net.node("LOGISTIC", [parts[1]], "sigmoid", (1, CELLS, CLASSES))
    joined = net.node("CONCATENATION", [placed, scores], "y", (1, CELLS, 4 + CLASSES), "ConcatenationOptions", axis=2)
    return net.build(joined)


def save(built: Any, folder: Path) -> Path:
    """The file of a detector of either format."""
    if isinstance(built, bytes):
        return tflite.save(built, folder / "detector.tflite")
    return onnx.save(built, folder / "detector.onnx")


def pictures(path: Path, count: int, seed: int = 1) -> NDArray[np.float32]:
    """Noise that a detector looks at, as its format wants it."""
    shape = (16, 16, 3) if path.suffix == ".tflite" else (3, 16, 16)
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32)
