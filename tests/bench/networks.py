"""Models and data for the calibration benches: nets of the shapes that small boards really run, and noise to feed them.

Weights are seeded noise that keeps a layer's variance, so activations have the spread that trained ones have. What a
calibrator does depends on sizes and shapes, not on what a net has learned.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper
from support.onnx_models import model, value, weights

Arrays = dict[str, NDArray[np.float32]]


def conv_stack(
    shape: Sequence[int], channels: Sequence[int], strides: Sequence[int], *, separable: bool = False
) -> Any:
    """``x`` [1, *shape] → conv and relu for each of ``channels`` → mean → gemm → ``y`` [1, 10].

    Args:
        shape: channels, then one size (a signal) or two (an image or a spectrogram).
        channels: output channels of each layer.
        strides: of each layer, in every direction.
        separable: each but the first is a 3x3 depthwise one and a 1x1, as in MobileNet and DS-CNN.
    """
    axes = len(shape) - 1
    nodes, constants = [], {}
    name, have = "x", shape[0]

    def conv(have: int, give: int, kernel: int, stride: int, group: int) -> None:
        nonlocal name
        number = len(constants) // 2
        constants[f"w{number}"] = weights(give, have // group, *[kernel] * axes, seed=number)
        constants[f"b{number}"] = weights(give, seed=number, scale=0.1)
        attributes = {"pads": [kernel // 2] * 2 * axes, "strides": [stride] * axes, "group": group}
        inputs = [name, f"w{number}", f"b{number}"]
        nodes.append(helper.make_node("Conv", inputs, [f"c{number}"], f"conv{number}", **attributes))
        nodes.append(helper.make_node("Relu", [f"c{number}"], [f"r{number}"], f"relu{number}"))
        name = f"r{number}"

    for number, (give, stride) in enumerate(zip(channels, strides, strict=True)):
        if separable and number:
            conv(have, have, 3, stride, have)
            conv(have, give, 1, 1, 1)
        else:
            conv(have, give, 3, stride, 1)
        have = give
    nodes += [
        helper.make_node("GlobalAveragePool", [name], ["pooled"], "pool"),
        helper.make_node("Flatten", ["pooled"], ["flat"], "flatten"),
        helper.make_node("Gemm", ["flat", "w", "b"], ["y"], "head", transB=1),
    ]
    constants |= {"w": weights(10, have), "b": weights(10, scale=0.1)}
    return model(nodes, [value("x", [1, *shape])], [value("y", [1, 10])], constants)


def spectrogram_net() -> Any:
    """A log-mel patch [1, 96, 64], eight conv layers: about 2.5 MB of float activations a sample."""
    return conv_stack((1, 96, 64), (16, 24, 32, 32, 64, 64, 96, 96), (1, 2, 1, 1, 2, 1, 2, 1))


def keyword_net() -> Any:
    """A keyword's 49 x 10 coefficients, depthwise separable, 64 channels: the shape of DS-CNN."""
    return conv_stack((1, 49, 10), (64,) * 5, (2, 1, 1, 1, 1), separable=True)


def image_net() -> Any:
    """A 96 x 96 image, depthwise separable, 8 to 128 channels: the shape of a person detector."""
    return conv_stack((3, 96, 96), (8, 16, 32, 32, 64, 64, 128), (2, 1, 2, 1, 2, 1, 2), separable=True)


def signal_net() -> Any:
    """100 samples of six channels, four conv layers: the shape of an activity classifier."""
    return conv_stack((6, 100), (32, 32, 64, 64), (1, 2, 1, 2))


def samples(built: Any, count: int) -> Arrays:
    """``count`` rows for a model's input: noise over a slow wave, as sensors give it."""
    random = np.random.default_rng(0)
    shape = [dim.dim_value for dim in built.graph.input[0].type.tensor_type.shape.dim][1:]
    rows = random.normal(size=(count, *shape)).astype(np.float32)
    rows += np.sin(np.arange(shape[-1], dtype=np.float32) / 7 + random.uniform(0, 6, (count, *[1] * len(shape))))
    return {built.graph.input[0].name: rows.astype(np.float32)}
