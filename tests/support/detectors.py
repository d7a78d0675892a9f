"""Small detectors, as exporters make them: boxes in pixels beside the sigmoid of scores, in one output."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from support import onnx_models as onnx
from support import tflite_models as tflite

SIDE, CELLS, CLASSES = 320.0, 64, 3
_STRIDE, _ACROSS = 40.0, 8
_BIAS = -3.0
"""Of the scores: so that few are high."""


def _grid() -> NDArray[np.float32]:
    """The cells' centres, and a size for each: ``[4, 64]``."""
    across, down = np.meshgrid(np.arange(_ACROSS), np.arange(_ACROSS))
    centres = (np.stack([across, down]).reshape(2, CELLS) + 0.5) * _STRIDE
    return np.concatenate([centres, np.full((2, CELLS), 80.0)]).astype(np.float32)


def onnx_detector(*, separate: bool = False, joined: bool = True) -> Any:
    """``x`` [1, 3, 16, 16] → convolutions → ``y`` [1, 7, 64], the layout of YOLOv8.

    Args:
        separate: boxes [1, 64, 4] and scores [1, 64, 3] are outputs of their own, as those of an SSD.
        joined: False: the boxes alone are the output, so nothing is put side by side.
    """
    make = helper.make_node
    nodes = [
        make("Conv", ["x", "w1", "b1"], ["c1"], "conv1", strides=[2, 2], pads=[1, 1, 1, 1]),
        make("Relu", ["c1"], ["r1"], "relu1"),
        make("Conv", ["r1", "w2", "b2"], ["c2"], "conv2", pads=[1, 1, 1, 1]),
        make("Relu", ["c2"], ["r2"], "relu2"),
        make("Conv", ["r2", "w3"], ["c3"], "boxes"),
        make("Reshape", ["c3", "four"], ["c4"], "flat_boxes"),
        make("Tanh", ["c4"], ["t"], "within"),  # a step that no int8 candidate has, as exporters' own
        make("Mul", ["t", "stride"], ["m"], "in_pixels"),
        make("Add", ["m", "grid"], ["boxes_out"], "placed"),
    ]
    constants = {
        "w1": onnx.weights(16, 3, 3, 3),
        "b1": onnx.weights(16, scale=0.1),
        "w2": onnx.weights(32, 16, 3, 3),
        "b2": onnx.weights(32, scale=0.1),
        "w3": onnx.weights(4, 32, 1, 1, scale=0.1),
        "four": np.array([1, 4, CELLS]),
        "stride": np.array(_STRIDE / 2, np.float32),
        "grid": _grid()[None],
    }
    outputs = [onnx.value("boxes_out", [1, 4, CELLS])]
    if joined or separate:
        nodes += [
            make("Conv", ["r2", "w4", "b4"], ["s1"], "scores"),
            make("Reshape", ["s1", "many"], ["s2"], "flat_scores"),
            make("Sigmoid", ["s2"], ["s3"], "sigmoid"),
        ]
        constants |= {
            "w4": onnx.weights(CLASSES, 32, 1, 1, scale=0.3),
            "b4": np.full(CLASSES, _BIAS, np.float32),
            "many": np.array([1, CLASSES, CELLS]),
        }
    if separate:
        nodes += [
            make("Transpose", ["boxes_out"], ["b"], "box_rows", perm=[0, 2, 1]),
            make("Transpose", ["s3"], ["s"], "score_rows", perm=[0, 2, 1]),
        ]
        outputs = [onnx.value("b", [1, CELLS, 4]), onnx.value("s", [1, CELLS, CLASSES])]
    elif joined:
        nodes.append(make("Concat", ["boxes_out", "s3"], ["y"], "join", axis=1))
        outputs = [onnx.value("y", [1, 4 + CLASSES, CELLS])]
    return onnx.model(nodes, [onnx.value("x", [1, 3, 16, 16])], outputs, constants)


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
    for name, count, bias, scale in (("boxes", 4, 0.0, 0.1), ("scores", CLASSES, _BIAS, 0.3)):
        part = net.conv(
            body, name, net.constant(f"{name}/w", tflite.weights(count, 1, 1, 32, scale=scale)),
            net.constant(f"{name}/b", np.full(count, bias, np.float32)), (1, 8, 8, count), act=0,
        )  # fmt: skip
        parts.append(net.reshape(part, f"{name}/flat", (1, CELLS, count)))
    stride = net.constant("stride", np.array([_STRIDE / 8], np.float32))
    pixels = net.node("MUL", [parts[0], stride], "in_pixels", (1, CELLS, 4), "MulOptions")
    placed = net.node(
        "ADD", [pixels, net.constant("grid", _grid().T[None])], "placed", (1, CELLS, 4), "AddOptions"
    )  # fmt: skip
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
