"""Small ONNX models, built node by node, for whoever tests with a real model.

Each builder returns a ``ModelProto`` whose weights come from a fixed seed; :func:`save` writes it. The arithmetic is
real, so int8 versions of them lose accuracy in the way that real models do.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
OPSET = 17
Floats = NDArray[np.float32]


def weights(*shape: int, seed: int = 0, scale: float | None = None) -> Floats:
    """Normal weights, by default so that a layer keeps its input's variance."""
    fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else 1
    sigma = (2.0 / fan_in) ** 0.5 if scale is None else scale
    return np.random.default_rng([seed, *shape]).normal(0, sigma, shape).astype(np.float32)


def value(name: str, shape: Sequence[int | str | None], dtype: int = FLOAT) -> Any:
    return helper.make_tensor_value_info(name, dtype, list(shape))


def model(
    nodes: Sequence[Any],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    constants: dict[str, NDArray[Any]],
    *,
    opset: int = OPSET,
    domains: Sequence[str] = (),
) -> Any:
    """A model of these nodes; ``constants`` become initializers."""
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(list(nodes), "g", list(inputs), list(outputs), initializers)
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def save(built: Any, path: Path) -> Path:
    onnx.save_model(built, path)
    return path


def conv_net(*, opset: int = OPSET) -> Any:
    """``x`` [n, 3, 16, 16] → conv, relu, conv, relu, mean, gemm → ``logits`` [n, 4]."""
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], "conv1", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"], "relu1"),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], "conv2", strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c2"], ["r2"], "relu2"),
        helper.make_node("GlobalAveragePool", ["r2"], ["p"], "pool"),
        helper.make_node("Flatten", ["p"], ["f"], "flatten"),
        helper.make_node("Gemm", ["f", "w3", "b3"], ["logits"], "gemm", transB=1),
    ]
    constants = {
        "w1": weights(8, 3, 3, 3),
        "b1": weights(8, scale=0.1),
        "w2": weights(16, 8, 3, 3),
        "b2": weights(16, scale=0.1),
        "w3": weights(4, 16),
        "b3": weights(4, scale=0.1),
    }
    return model(nodes, [value("x", ["n", 3, 16, 16])], [value("logits", ["n", 4])], constants, opset=opset)


def separable_net() -> Any:
    """``x`` [n, 6, 64] → batch norm, conv, clip, depthwise conv, clip, pointwise conv → ``y`` [n, 8, 64].

    The depthwise channels differ in size by 100, so one scale for all of them loses the small ones.
    """
    depthwise = weights(8, 1, 3) * np.geomspace(0.02, 2, 8, dtype=np.float32)[:, None, None]
    nodes = [
        helper.make_node("BatchNormalization", ["x", "g", "b", "m", "v"], ["n0"], "norm"),
        helper.make_node("Conv", ["n0", "w1", "b1"], ["c1"], "conv", pads=[1, 1]),
        helper.make_node("Clip", ["c1", "low", "high"], ["a1"], "clip1"),
        helper.make_node("Conv", ["a1", "w2", "b2"], ["c2"], "depthwise", group=8, pads=[1, 1]),
        helper.make_node("Clip", ["c2", "low", "high"], ["a2"], "clip2"),
        helper.make_node("Conv", ["a2", "w3", "b3"], ["y"], "pointwise"),
    ]
    constants = {
        "g": np.ones(6, np.float32),
        "b": np.zeros(6, np.float32),
        "m": np.full(6, 0.1, np.float32),
        "v": np.full(6, 2.0, np.float32),
        "low": np.float32(0.0).reshape(()),
        "high": np.float32(6.0).reshape(()),
        "w1": weights(8, 6, 3),
        "b1": weights(8, scale=0.1),
        "w2": depthwise,
        "b2": weights(8, scale=0.1),
        "w3": weights(8, 8, 1),
        "b3": weights(8, scale=0.1),
    }
    return model(nodes, [value("x", ["n", 6, 64])], [value("y", ["n", 8, 64])], constants)


def mlp() -> Any:
    """``x`` [n, 12] → matmul, add, relu, matmul → ``y`` [n, 5]; nodes without names, as some exporters leave them."""
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["h1"]),
        helper.make_node("Add", ["h1", "b1"], ["h2"]),
        helper.make_node("Relu", ["h2"], ["h3"]),
        helper.make_node("MatMul", ["h3", "w2"], ["y"]),
    ]
    constants = {"w1": weights(12, 32), "b1": weights(32, scale=0.1), "w2": weights(32, 5)}
    return model(nodes, [value("x", ["n", 12])], [value("y", ["n", 5])], constants)


def batch_norm_net() -> Any:
    """``x`` [1, 4, 8, 8] → conv, batch norm, relu → ``y``: what a trainer exports without folding."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c", "g", "b", "m", "v"], ["n0"], "norm"),
        helper.make_node("Relu", ["n0"], ["y"], "relu"),
    ]
    constants = {
        "w": weights(8, 4, 3, 3),
        "g": np.linspace(0.5, 2, 8, dtype=np.float32),
        "b": weights(8, seed=1, scale=0.5),
        "m": weights(8, seed=2, scale=0.5),
        "v": np.linspace(0.2, 3, 8, dtype=np.float32),
    }
    return model(nodes, [value("x", [1, 4, 8, 8])], [value("y", [1, 8, 8, 8])], constants)


def old_net() -> Any:
    """:func:`conv_net` at opset 11, its weights listed among the inputs as old exporters did."""
    built = conv_net(opset=11)
    built.graph.input.extend(value(tensor.name, tensor.dims) for tensor in built.graph.initializer)
    return built


def two_inputs() -> Any:
    """``image`` [1, 3, 8, 8] and ``facts`` [1, 6] → conv, mean, concat, gemm → ``y`` [1, 2], ``features`` [1, 10]."""
    nodes = [
        helper.make_node("Conv", ["image", "w1"], ["c"], "conv"),
        helper.make_node("GlobalAveragePool", ["c"], ["p"], "pool"),
        helper.make_node("Flatten", ["p"], ["f"], "flatten"),
        helper.make_node("Concat", ["f", "facts"], ["features"], "concat", axis=1),
        helper.make_node("Gemm", ["features", "w2", "b2"], ["y"], "gemm"),
    ]
    constants = {"w1": weights(4, 3, 3, 3), "w2": weights(10, 2), "b2": weights(2, scale=0.1)}
    inputs = [value("image", [1, 3, 8, 8]), value("facts", [1, 6])]
    return model(nodes, inputs, [value("y", [1, 2]), value("features", [1, 10])], constants)


def embedding_net() -> Any:
    """``ids`` int64 [1, 7] → gather, mean, gemm → ``y`` [1, 3]."""
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["e"], "gather"),
        helper.make_node("ReduceMean", ["e"], ["m"], "mean", axes=[1], keepdims=0),
        helper.make_node("Gemm", ["m", "w", "b"], ["y"], "gemm", transB=1),
    ]
    constants = {"table": weights(20, 16, scale=1.0), "w": weights(3, 16), "b": weights(3, scale=0.1)}
    return model(nodes, [value("ids", [1, 7], INT64)], [value("y", [1, 3])], constants)


def stateful_net() -> Any:
    """``x`` [1, 8], ``h`` [1, 16] → ``y`` [1, 2], ``hN`` [1, 16]: a recurrent cell with its state outside."""
    nodes = [
        helper.make_node("Concat", ["x", "h"], ["xh"], "concat", axis=1),
        helper.make_node("Gemm", ["xh", "w", "b"], ["s"], "cell", transB=1),
        helper.make_node("Tanh", ["s"], ["hN"], "tanh"),
        helper.make_node("Gemm", ["hN", "v", "c"], ["y"], "head", transB=1),
    ]
    constants = {"w": weights(16, 24), "b": weights(16, scale=0.1), "v": weights(2, 16), "c": weights(2, scale=0.1)}
    inputs = [value("x", [1, 8]), value("h", [1, 16])]
    return model(nodes, inputs, [value("y", [1, 2]), value("hN", [1, 16])], constants)


def quantized_net() -> Any:
    """``x`` [1, 8] between QuantizeLinear and DequantizeLinear: int8 already."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], "q"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], "dq"),
        helper.make_node("MatMul", ["d", "w"], ["y"], "matmul"),
    ]
    constants = {"s": np.float32(0.1).reshape(()), "z": np.uint8(128).reshape(()), "w": weights(8, 4)}
    return model(nodes, [value("x", [1, 8])], [value("y", [1, 4])], constants)


def byte_weights_net() -> Any:
    """``x`` [1, 8] → matmul with weights that are stored in int8, cast and scaled → ``y`` [1, 16]."""
    nodes = [
        helper.make_node("Cast", ["w8"], ["wf"], "cast", to=FLOAT),
        helper.make_node("Mul", ["wf", "s"], ["w"], "scale"),
        helper.make_node("MatMul", ["x", "w"], ["y"], "matmul"),
    ]
    constants = {"w8": (weights(8, 16) * 100).astype(np.int8), "s": np.float32(0.01).reshape(())}
    return model(nodes, [value("x", [1, 8])], [value("y", [1, 16])], constants)


def half_net() -> Any:
    """``x`` float16 [1, 8] → matmul → ``y`` float16 [1, 4]."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], "matmul")]
    half = TensorProto.FLOAT16
    constants = {"w": weights(8, 4).astype(np.float16)}
    return model(nodes, [value("x", [1, 8], half)], [value("y", [1, 4], half)], constants)


def custom_net() -> Any:
    """``x`` [1, 8] → an operator of somebody's own domain → matmul → ``y`` [1, 4]."""
    nodes = [
        helper.make_node("Wavelet", ["x"], ["h"], "wavelet", domain="com.example"),
        helper.make_node("MatMul", ["h", "w"], ["y"], "matmul"),
    ]
    return model(nodes, [value("x", [1, 8])], [value("y", [1, 4])], {"w": weights(8, 4)}, domains=["com.example"])


def save_with_external_data(path: Path) -> Path:
    """:func:`conv_net` with its weights in a second file beside it."""
    onnx.save_model(conv_net(), path, save_as_external_data=True, location=path.name + ".data", size_threshold=0)
    return path


def rows(built: Any, count: int, *, seed: int = 0, spread: float = 1.0) -> list[dict[str, NDArray[Any]]]:
    """Feeds for ``count`` runs: normal noise for float inputs, small indices for integer ones; batch and such are 1."""
    rng = np.random.default_rng(seed)
    constant = {tensor.name for tensor in built.graph.initializer}
    made = []
    for _ in range(count):
        feeds: dict[str, NDArray[Any]] = {}
        for entry in built.graph.input:
            if entry.name in constant:
                continue
            shape = [dim.dim_value or 1 for dim in entry.type.tensor_type.shape.dim]
            if entry.type.tensor_type.elem_type == INT64:
                feeds[entry.name] = rng.integers(0, 20, shape)
            else:
                feeds[entry.name] = rng.normal(0, spread, shape).astype(np.float32)
        made.append(feeds)
    return made
