"""A small classifier that has learned something, and windows of data for it: made here, the same every time.

Windows are sums of class-dependent sines over a few channels with noise; the network is a fixed random convolution and
a fixed random ReLU layer under an output layer fitted in closed form (ridge regression), so its argmax means something
and int8 has something to lose. No training loop, no file.
"""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

CHANNELS, SIZE, CLASSES = 3, 64, 5
_FILTERS, _KERNEL, _HIDDEN = 16, 5, 512


def windows(count: int, *, seed: int, noise: float = 1.0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """``[count, CHANNELS, SIZE]`` float32 windows and their class indices."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, CLASSES, count)
    time = np.linspace(0, 2 * np.pi, SIZE, endpoint=False)
    phase = random.uniform(0, 2 * np.pi, (count, 1, 1))
    frequency = (1 + labels)[:, None, None] * np.array([1.0, 1.5, 2.0])[None, :, None]
    data = np.sin(frequency * time + phase) + random.normal(0, noise, (count, CHANNELS, SIZE))
    return data.astype(np.float32), labels.astype(np.int64)


def _hidden(data: NDArray[np.float32], weights: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    patches = np.lib.stride_tricks.sliding_window_view(data, _KERNEL, axis=2)
    features = np.maximum(np.einsum("ncto,fco->nft", patches, weights["w0"]) + weights["b0"][None, :, None], 0)
    return np.maximum(features.reshape(len(data), -1) @ weights["w1"] + weights["b1"], 0)


def train() -> dict[str, NDArray[np.float32]]:
    """The network's weights."""
    random = np.random.default_rng(0)
    flat = _FILTERS * (SIZE - _KERNEL + 1)
    weights = {
        "w0": random.normal(0, 0.5, (_FILTERS, CHANNELS, _KERNEL)).astype(np.float32),
        "b0": random.normal(0, 0.1, _FILTERS).astype(np.float32),
        "w1": random.normal(0, flat**-0.5, (flat, _HIDDEN)).astype(np.float32),
        "b1": random.normal(0, 0.1, _HIDDEN).astype(np.float32),
    }
    data, labels = windows(4000, seed=1)
    features = _hidden(data, weights)
    features = np.concatenate([features, np.ones((len(features), 1), np.float32)], axis=1)
    wanted = 8.0 * np.eye(CLASSES)[labels] - 1.6
    solved = np.linalg.solve(features.T @ features + 1.0 * np.eye(features.shape[1]), features.T @ wanted)
    return {**weights, "w2": solved[:-1].astype(np.float32), "b2": solved[-1].astype(np.float32)}


def write_classifier(path: Path, *, probabilities: bool = True) -> Path:
    """Write the network as ``x[1, CHANNELS, SIZE] -> y[1, CLASSES]``."""
    weights = train()
    last = "logits" if probabilities else "y"
    nodes = [
        helper.make_node("Conv", ["x", "w0", "b0"], ["c"], name="conv"),
        helper.make_node("Relu", ["c"], ["r0"], name="relu0"),
        helper.make_node("Flatten", ["r0"], ["f"], name="flatten"),
        helper.make_node("Gemm", ["f", "w1", "b1"], ["h"], name="hidden"),
        helper.make_node("Relu", ["h"], ["r1"], name="relu1"),
        helper.make_node("Gemm", ["r1", "w2", "b2"], [last], name="head"),
    ]
    if probabilities:
        nodes.append(helper.make_node("Softmax", ["logits"], ["y"], name="softmax"))
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, CHANNELS, SIZE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, CLASSES])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path
