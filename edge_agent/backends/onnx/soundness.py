"""Proof that a rewritten file is a sound int8 version of its original, and a count of what became int8.

Says nothing about accuracy: that is measured on data.
"""

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from edge_agent.backends.onnx.session import create_session
from edge_agent.errors import ModelError

_INT8 = (TensorProto.INT8, TensorProto.UINT8)
_PAIR = ("QuantizeLinear", "DequantizeLinear")
_SCALE, _ZERO_POINT = 1, 2
"""Positions among a pair's inputs."""


def check_model(original: Path, quantized: Path) -> dict[str, int]:
    """Check and count.

    Returns:
        ``int8_weights``: int8 tensors stored instead of float weights; ``int8_nodes``: nodes that read dequantized
        values, so that the runtime can run them on integers; ``qdq_nodes``: QuantizeLinear and DequantizeLinear nodes.

    Raises:
        ModelError: ``rewrite_invalid``.
    """
    _check_interface(original, quantized)
    model = onnx.load_model(quantized, load_external_data=False)
    pairs = [node for node in model.graph.node if node.op_type in _PAIR]
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in pairs:
        _check_parameters(node, constants)
    dequantized = {node.output[0] for node in pairs if node.op_type == "DequantizeLinear"}
    weights = {
        node.input[0] for node in pairs if node.input[0] in constants and constants[node.input[0]].data_type in _INT8
    }
    nodes = sum(node.op_type not in _PAIR and not dequantized.isdisjoint(node.input) for node in model.graph.node)
    if not nodes:
        raise _invalid("nothing in the rewritten model is int8")
    return {"int8_weights": len(weights), "int8_nodes": nodes, "qdq_nodes": len(pairs)}


def _check_interface(original: Path, quantized: Path) -> None:
    """Names, order, types and shapes of inputs and outputs are the original's; both load on the runtime here."""
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


def _check_parameters(node: Any, constants: dict[str, Any]) -> None:
    """Scales are finite and positive, and there is a zero point for each."""
    scale = constants.get(node.input[_SCALE])
    if scale is None:
        raise _invalid(f"{node.name!r} has no constant scale")
    values = onnx.numpy_helper.to_array(scale)
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise _invalid(f"{node.name!r} has a scale that is not finite and positive")
    zero_point = constants.get(node.input[_ZERO_POINT]) if len(node.input) > _ZERO_POINT else None
    if zero_point is None or prod(zero_point.dims) != values.size:
        raise _invalid(f"{node.name!r} has not one zero point for each scale")


def _invalid(message: str) -> ModelError:
    return ModelError("rewrite_invalid", message)
