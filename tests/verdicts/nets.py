"""Float networks for the whole way through the search, built so that every static candidate loses the same."""

from typing import Any

import numpy as np
from onnx import helper
from support.onnx_models import model, value, weights
from verdicts.case import Array

FRAME, BOX_ROWS, CELLS = 3000.0, 4, 16
SPIKE = 20.0


def head(*, classes: bool = False, alike: bool = False) -> Any:
    """``x`` [1, 3, 16, 16] → convolutions → ``y`` [1, 7, 16]: boxes in pixels of a large frame beside three scores.

    One convolution gives both, so its output has one scale in int8, and all scores are below half of a step.

    Args:
        classes: a first output, ``classes`` [1, 4], of the same features.
        alike: boxes are in the unit of the scores instead.
    """
    rows = np.array([1.0 if alike else FRAME / 5] * BOX_ROWS + [0.35] * 3, np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], "conv1", strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"], "relu1"),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], "conv2", strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c2"], ["r2"], "relu2"),
        helper.make_node("Conv", ["r2", "w3", "b3"], ["c3"], "head"),
        helper.make_node("Reshape", ["c3", "shape"], ["y"], "reshape"),
    ]
    constants: dict[str, Array] = {
        "w1": weights(16, 3, 3, 3),
        "b1": weights(16, scale=0.1),
        "w2": weights(32, 16, 3, 3),
        "b2": weights(32, scale=0.1),
        "w3": weights(len(rows), 32, 1, 1) * rows[:, None, None, None],
        "b3": np.where(rows > 1, FRAME / 2, 0).astype(np.float32),
        "shape": np.array([1, len(rows), CELLS]),
    }
    outputs = [value("y", [1, len(rows), CELLS])]
    if classes:
        nodes += [
            helper.make_node("GlobalAveragePool", ["r2"], ["p"], "pool"),
            helper.make_node("Flatten", ["p"], ["f"], "flatten"),
            helper.make_node("Gemm", ["f", "w4", "b4"], ["logits"], "logits", transB=1),
            helper.make_node("Softmax", ["logits"], ["classes"], "softmax"),
        ]
        even = weights(4, 32, scale=12.0)
        constants |= {"w4": even - even.mean(axis=1, keepdims=True), "b4": np.zeros(4, np.float32)}
        outputs.insert(0, value("classes", [1, 4]))
    return model(nodes, [value("x", [1, 3, 16, 16])], outputs, constants)


def images(count: int, seed: int) -> Array:
    """Noise that :func:`head` looks at."""
    return np.random.default_rng(seed).normal(0, 1, (count, 3, 16, 16)).astype(np.float32)


def spike_finder(*, always: float = 0.0) -> Any:
    """``x`` [1, 32] → product, ReLU, maximum, product → ``y`` [1, 2]: class 1 where a sample is above half of a spike.

    ``always``: what is added to the logit of class 0; a lot: it is the class of every window.
    """
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["h"], "hidden"),
        helper.make_node("Relu", ["h"], ["r"], "relu"),
        helper.make_node("ReduceMax", ["r"], ["m"], "max", axes=[1], keepdims=1),
        helper.make_node("Gemm", ["m", "w2", "b2"], ["y"], "logits"),
    ]
    constants: dict[str, Array] = {
        "w1": (np.eye(32) + weights(32, 32, scale=0.01)).astype(np.float32),
        "b1": np.zeros(32, np.float32),
        "w2": np.array([[0.0, 1.0]], np.float32),
        "b2": np.array([always, -SPIKE / 2], np.float32),
    }
    return model(nodes, [value("x", [1, 32])], [value("y", [1, 2])], constants)


def quiet(count: int, seed: int, spikes: int = 0) -> Array:
    """Noise, with a spike in the first ``spikes`` windows."""
    rows = np.random.default_rng(seed).normal(0, 1, (count, 32)).astype(np.float32)
    rows[:spikes, 7] = SPIKE
    return rows
