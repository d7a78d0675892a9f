"""The demo's trained classifier as a TensorFlow Lite file: the same weights, so the same decisions on the same windows.

``imu`` [1, 1, 100, 6] (time before channels, as this format has it) → ``exercise`` [1, 7], logits.
"""

from typing import Any

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as fb
from numpy.typing import NDArray

from support.demo import MODEL
from support.tflite_models import RELU, Net

SIZE, CHANNELS = 100, 6


def har_net() -> bytes:
    """Every convolution with its ReLU, then mean and dense; where a stride makes SAME lopsided, a PAD as in ONNX."""
    graph = onnx.load(MODEL).graph
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    net = Net()
    x = at = net.input("imu", (1, 1, SIZE, CHANNELS))
    size = SIZE
    for number, node in enumerate(one for one in graph.node if one.op_type == "Conv"):
        found = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
        weights, bias = (constants[name] for name in node.input[1:])
        stride = found["strides"][0]
        if stride > 1:
            before, after = found["pads"]
            size += before + after
            sides = net.constant(f"sides{number}", np.array([[0, 0], [0, 0], [before, after], [0, 0]], np.int32))
            at = net.node("PAD", [at, sides], f"padded{number}", (1, 1, size, weights.shape[0]), "PadOptions")
            size = (size - weights.shape[2]) // stride + 1
        at = _convolution(net, at, f"conv{number}", weights, bias, size, stride=stride, depthwise=found["group"] > 1)
    channels = constants["36.weight"].shape[1]
    axes = net.constant("axes", np.array([1, 2], np.int32))
    mean = net.node("MEAN", [at, axes], "mean", (1, channels), "ReducerOptions", keepDims=False)
    dense = (net.constant(name, constants[f"36.{name}"]) for name in ("weight", "bias"))
    y = net.dense(mean, "exercise", *dense, (1, 7))
    return net.sign({"imu": x}, {"exercise": y}).build(y)


def _convolution(
    net: Net, x: int, name: str, weights: NDArray[Any], bias: NDArray[Any], size: int, *, stride: int, depthwise: bool
) -> int:
    """A convolution along time with ReLU; ``weights`` [out, in, kernel] as ONNX has them."""
    axes = (1, 2, 0) if depthwise else (0, 2, 1)  # depthwise: [1, 1, kernel, out], else [out, 1, kernel, in]
    turned = weights.transpose(axes)
    turned = turned[None] if depthwise else turned[:, None]
    tensors = [x, net.constant(f"{name}/w", np.ascontiguousarray(turned)), net.constant(f"{name}/b", bias)]
    return net.node(
        "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D",
        tensors,
        name,
        (1, 1, size, weights.shape[0]),
        "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions",
        padding=fb.Padding.SAME if stride == 1 else fb.Padding.VALID,
        strideW=stride,
        strideH=stride,
        fusedActivationFunction=RELU,
        dilationWFactor=1,
        dilationHFactor=1,
        **({"depthMultiplier": 1} if depthwise else {}),
    )
