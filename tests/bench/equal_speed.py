"""A classifier that int8 makes a quarter as large and no faster: of all candidates only int8 weights keep what it says.

Its windows are alike but for their amplitude, which spans six orders of magnitude, and it has no biases, so what it
says does not depend on the amplitude. No range of an activation fits them all: static candidates fail. What is left are
int8 weights with float compute, which a runtime unpacks when it loads them. All layers with weights are convolutions,
the head too, as products of int8 weights would be computed otherwise.
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from support.onnx_models import model as built
from support.onnx_models import value, weights

NAME = "equal"
CLASSES, SHAPE = 10, (3, 64, 64)
_CHANNELS, _STRIDES = (32, 64, 96), (1, 2, 2)
_NOISE = 0.3
_FEATURES = "pooled"
_DECADES = -4.0, 2.0


def write_equal_speed(folder: Path) -> Path:
    """Write model, calibration and held-out set into ``folder``, named as the zoo names them; the model's path."""
    model = _net()
    features, labels = _features(model), _rows(800, seed=1)[1]
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    targets = 2.0 * np.eye(CLASSES)[labels] - 1.0
    damped = features.T @ features + 1e-4 * np.eye(features.shape[1])
    head = np.linalg.solve(damped, features.T @ targets).T[:, :, None, None]
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    constants["w"].CopyFrom(numpy_helper.from_array(head.astype(np.float32), "w"))
    path = folder / f"{NAME}-float.onnx"
    onnx.save(model, path)
    for what, count, seed in (("calibration", 400, 2), ("heldout", 600, 3)):
        rows, labels = _rows(count, seed)
        np.savez(folder / f"{NAME}-{what}.npz", x=rows, labels=labels)
    return path


def _net() -> onnx.ModelProto:
    nodes, constants, name, have = [], {}, "x", SHAPE[0]
    for number, (give, stride) in enumerate(zip(_CHANNELS, _STRIDES, strict=True)):
        constants[f"w{number}"] = weights(give, have, 3, 3, seed=number)
        conv = {"pads": [1] * 4, "strides": [stride] * 2}
        nodes.append(helper.make_node("Conv", [name, f"w{number}"], [f"c{number}"], f"conv{number}", **conv))
        nodes.append(helper.make_node("Relu", [f"c{number}"], [f"r{number}"], f"relu{number}"))
        name, have = f"r{number}", give
    constants["w"] = weights(CLASSES, have, 1, 1)
    nodes += [
        helper.make_node("GlobalAveragePool", [name], [_FEATURES], "pool"),
        helper.make_node("Conv", [_FEATURES, "w"], ["scores"], "head"),
        helper.make_node("Flatten", ["scores"], ["y"], "flatten"),
    ]
    return built(nodes, [value("x", [1, *SHAPE])], [value("y", [1, CLASSES])], constants)


def _rows(count: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    templates = np.random.default_rng(0).normal(size=(CLASSES, *SHAPE))
    random = np.random.default_rng(seed)
    labels = random.integers(0, CLASSES, count)
    amplitudes = 10.0 ** random.uniform(*_DECADES, size=(count, 1, 1, 1))
    noisy = templates[labels] + _NOISE * random.normal(size=(count, *SHAPE))
    return (noisy * amplitudes).astype(np.float32), labels


def _features(model: onnx.ModelProto) -> NDArray[np.float64]:
    """What the head reads, of the rows that it is fitted to."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    probe.graph.output.append(helper.make_tensor_value_info(_FEATURES, TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(probe.SerializeToString())
    rows, _ = _rows(800, seed=1)
    return np.array([session.run([_FEATURES], {"x": one[None]})[0].ravel() for one in rows], np.float64)
