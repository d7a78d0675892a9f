"""Checks that a rewritten file is a sound int8 version of its original, and counts its int8 parts.

Does not check accuracy, which is measured on data.
"""

from collections.abc import Collection, Iterable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from edge_agent.backends import Array
from edge_agent.backends.nothing_left import listed
from edge_agent.backends.onnx.float16 import float16_weights
from edge_agent.backends.onnx.graph import Graph, with_inner
from edge_agent.backends.onnx.session import create_session
from edge_agent.backends.onnx.skeleton import read_skeleton
from edge_agent.errors import ModelError

_INT8 = (TensorProto.INT8, TensorProto.UINT8)
_PAIR = ("QuantizeLinear", "DequantizeLinear")
_SCALE, _ZERO_POINT = 1, 2
"""Positions among a pair's inputs."""
_STORED = {"MatMulInteger": 1, "ConvInteger": 1, "MatMulNBits": 1, "DynamicQuantizeLSTM": 1, "Cast": 0, "Gather": 0}
"""Other operators that read int8 weights, and the position of these weights among their inputs."""
_OWN_SCALES = {"MatMulNBits": (2,), "DynamicQuantizeLSTM": (8, 10)}
"""Operators with the scales of their weights as inputs, and the positions of these."""


def check_model(original: Path, quantized: Path, *, float16: bool = False) -> dict[str, int]:
    """Check and count.

    Args:
        original: the float model.
        quantized: the rewritten model.
        float16: the rewritten model is the float16 candidate. An int8 file may have 16-bit constants of its original.

    Returns:
        ``int8_weights``: int8 tensors stored instead of float weights; ``int8_nodes``: nodes that read them or
        dequantized values, so that the runtime can run them on integers; ``qdq_nodes``: QuantizeLinear and
        DequantizeLinear nodes. A float16 candidate has none of these, but ``float16_weights``.

    Raises:
        ModelError: ``rewrite_invalid``.
    """
    _check_interface(original, quantized)
    model = onnx.load_model(quantized, load_external_data=False)
    if float16:
        if not (halves := float16_weights(model)):
            raise _invalid("nothing in the rewritten model is in 16-bit floats")
        return {"int8_weights": 0, "int8_nodes": 0, "qdq_nodes": 0, "float16_weights": halves}
    pairs = [node for node in model.graph.node if node.op_type in _PAIR]
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    biases = {name for name, tensor in constants.items() if tensor.data_type == onnx.TensorProto.INT32}
    biases |= {node.output[0] for node in model.graph.node if _gives_bias(node)}
    products = {node.output[0]: node for node in model.graph.node if node.op_type == "Mul"}
    for node in pairs:
        if node.input[0] in biases and node.input[_SCALE] in products:
            _check_product(products[node.input[_SCALE]], constants)
        else:
            _check_parameters(node, constants)
    dequantized = {
        node.output[0] for node in pairs if node.op_type == "DequantizeLinear" and node.input[0] not in biases
    }
    new = {name for name, tensor in constants.items() if tensor.data_type in _INT8} - _constants_of(original)
    new |= _reshaped_constants(model.graph.node, new)
    readers = [node for node in with_inner(model.graph.node) if _stored_weight(node) in new]
    _check_scales(model.graph.node, readers, constants)
    weights = {node.input[0] for node in pairs if node.input[0] in new} | {_stored_weight(node) for node in readers}
    nodes = sum(node.op_type not in _PAIR and not dequantized.isdisjoint(node.input) for node in model.graph.node)
    if not nodes + len(readers):
        floats = [f"{operator} {name!r}" for operator, name in Graph(model).weighted()]
        raise _invalid(f"nothing in the rewritten model is int8; still float: {listed(floats) or 'all its nodes'}")
    return {"int8_weights": len(weights), "int8_nodes": nodes + len(readers), "qdq_nodes": len(pairs)}


def _gives_bias(node: Any) -> bool:
    """Whether a node computes 32-bit integers, like those of a shared bias."""
    return node.op_type == "Cast" and any(one.name == "to" and one.i == TensorProto.INT32 for one in node.attribute)


def _reshaped_constants(nodes: Iterable[Any], constants: Collection[str]) -> set[str]:
    """Tensors that nodes make by transposing, reshaping or padding constants."""
    seen: set[str] = set()
    for node in nodes:  # in an order of evaluation
        if node.op_type in ("Transpose", "Reshape", "Pad") and (node.input[0] in constants or node.input[0] in seen):
            seen.add(node.output[0])
    return seen


def _constants_of(path: Path) -> set[str]:
    return {tensor.name for tensor in read_skeleton(path)[0].graph.initializer}


def _stored_weight(node: Any) -> str:
    """The tensor at the position of a node's int8 weights; empty if the node reads none."""
    position = _STORED.get(node.op_type)
    return "" if position is None else str(node.input[position])


def _check_scales(nodes: Iterable[Any], readers: list[Any], constants: dict[str, Any]) -> None:
    """Check the scales of int8 weights without a pair: a node's own, or the factors of its result."""
    for node in readers:
        for place in _OWN_SCALES.get(node.op_type, ()):
            _check_positive(node, constants.get(node.input[place]))
    unscaled = {node.output[0] for node in readers if node.op_type not in _OWN_SCALES}
    for node in nodes:  # in an order of evaluation
        if node.op_type == "Cast" and node.input[0] in unscaled:
            unscaled.add(node.output[0])
        elif node.op_type == "DynamicQuantizeLinear":
            unscaled.add(node.output[_SCALE])
        elif node.op_type == "Mul" and not unscaled.isdisjoint(node.input):
            for name in node.input:
                if name in constants:
                    _check_positive(node, constants[name])


def _check_interface(original: Path, quantized: Path) -> None:
    """Check that inputs and outputs equal the original's in name, order, type and shape, and that both files load."""
    before = _interface(create_session(original))
    try:
        after = _interface(create_session(quantized))
    except ModelError as error:
        raise _invalid(f"the rewritten model does not load: {error.message}") from error
    if before != after:
        raise _invalid(f"the rewritten model's inputs and outputs are {after}, the original's {before}")


def _interface(session: Any) -> tuple[list[tuple[str, str, str]], ...]:
    return tuple(
        [(value.name, value.type, str(value.shape)) for value in values]
        for values in (session.get_inputs(), session.get_outputs())
    )


def _check_product(node: Any, constants: dict[str, Any]) -> None:
    """Check a bias scale that is computed at load: factors and product must be finite and positive."""
    with np.errstate(over="ignore", under="ignore"):
        product = np.prod(
            np.broadcast_arrays(*(_check_positive(node, constants.get(name)) for name in node.input)), axis=0
        )
    if not (np.isfinite(product).all() and (product > 0).all()):
        raise _invalid(f"{node.name!r} gives a scale that is not finite and positive")


def _check_parameters(node: Any, constants: dict[str, Any]) -> None:
    """Check that scales are finite and positive, with one zero point for each."""
    values = _check_positive(node, constants.get(node.input[_SCALE]))
    zero_point = constants.get(node.input[_ZERO_POINT]) if len(node.input) > _ZERO_POINT else None
    if zero_point is None or prod(zero_point.dims) != values.size:
        raise _invalid(f"{node.name!r} does not have one zero point for each scale")


def _check_positive(node: Any, scale: Any) -> Array:
    if scale is None:
        raise _invalid(f"{node.name!r} has no constant scale")
    values = onnx.numpy_helper.to_array(scale)
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise _invalid(f"{node.name!r} has a scale that is not finite and positive")
    return values


def _invalid(message: str) -> ModelError:
    return ModelError("rewrite_invalid", message)
