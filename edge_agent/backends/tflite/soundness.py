"""Checks that a rewritten file is a sound int8 version of its original, and counts its int8 parts.

Does not check accuracy, which is measured on data.
"""

from pathlib import Path

import numpy as np

from edge_agent.backends.nothing_left import listed
from edge_agent.backends.tflite import schema
from edge_agent.backends.tflite.float16 import float16_weights
from edge_agent.backends.tflite.operators import BIAS, LSTM, OTHER_LAYERS, OWN_CUSTOM, TABLES, VALUES, WEIGHT, WEIGHTED
from edge_agent.backends.tflite.reading import Graph, Model, Operator, Tensor, read_model
from edge_agent.backends.tflite.session import open_model
from edge_agent.errors import ModelError

_PAIR = ("QUANTIZE", "DEQUANTIZE")
_BIAS_TOLERANCE = 0.01


def check_model(original: Path, quantized: Path, *, runtime: str = "", float16: bool = False) -> dict[str, int]:
    """Check and count.

    Args:
        original: the float model.
        quantized: the rewritten model.
        runtime: the runtime that loads it.
        float16: the rewritten model is the float16 candidate. An int8 file may have 16-bit constants of its original.

    Returns:
        ``int8_weights``: int8 tensors stored instead of float weights; ``int8_nodes``: operators that compute on
        integers or read such weights; ``qdq_nodes``: QUANTIZE and DEQUANTIZE operators; for a float16 candidate also
        ``float16_weights``: constants in 16-bit float, which DEQUANTIZE unpacks.

    Raises:
        ModelError: ``rewrite_invalid``.
    """
    try:
        before, after = read_model(original), read_model(quantized)
    except ModelError as error:
        raise _invalid(f"the rewritten model cannot be read: {error.message}") from error
    _check_interface(before, after)
    custom = {*OWN_CUSTOM, *(operator.custom for operator in before.main.operators)}
    unknown = {operator.custom for operator in after.main.operators if operator.name == "CUSTOM"} - custom
    if unknown:
        raise _invalid(f"the rewritten model has an unknown operator {min(unknown)!r}")
    halves = float16_weights(after) if float16 else 0
    counts = [_checked(graph) for graph in after.graphs]
    weights, nodes, pairs = (sum(part) for part in zip(*counts, strict=True))
    if not nodes and not halves:
        graph = after.main
        layers = (one for one in graph.operators if one.name in (*WEIGHTED, *OTHER_LAYERS) and one.outputs)
        floats = [f"{one.name} {graph.tensors[one.outputs[0]].name!r}" for one in layers]
        raise _invalid(f"nothing in the rewritten model is int8; still float: {listed(floats) or 'all its operators'}")
    try:
        open_model(quantized, runtime=runtime)
    except ModelError as error:
        raise _invalid(f"the rewritten model does not load: {error.message}") from error
    counted = {"int8_weights": weights, "int8_nodes": nodes, "qdq_nodes": pairs}
    return counted | ({"float16_weights": halves} if halves else {})


def _checked(graph: Graph) -> tuple[int, int, int]:
    """Check a graph; returns its numbers of int8 weights, int8 operators and QUANTIZE or DEQUANTIZE operators."""
    for tensor in graph.tensors:
        _check_grid(tensor)
    weights: set[int] = set()
    nodes = pairs = 0
    for operator in graph.operators:
        pairs += operator.name in _PAIR
        weights.update(index for index in operator.inputs if index >= 0 and _small_constant(graph.tensors[index]))
        if operator.name in WEIGHTED:
            _check_weighted(graph, operator)
        nodes += operator.name not in _PAIR and _is_int8(graph, operator)
    return len(weights), nodes, pairs


def _check_interface(before: Model, after: Model) -> None:
    """Check that names, order and shapes equal the original's; types as well, or int8 on a grid instead of float."""
    if (before.input_names, before.output_names) != (after.input_names, after.output_names):
        raise _invalid(
            f"the rewritten model's inputs and outputs are {after.input_names} and {after.output_names}, "
            f"the original's {before.input_names} and {before.output_names}"
        )
    for name, was, now in (
        *zip(before.input_names, before.main.inputs, after.main.inputs, strict=True),
        *zip(before.output_names, before.main.outputs, after.main.outputs, strict=True),
    ):
        old, new = before.main.tensors[was], after.main.tensors[now]
        became_int8 = (old.type, new.type) == (schema.FLOAT32, schema.INT8) and len(new.scales) == 1
        if old.dims != new.dims or not (old.type == new.type or became_int8):
            raise _invalid(f"{name!r} does not have its original type and shape in the rewritten model")


def _check_grid(tensor: Tensor) -> None:
    if not len(tensor.scales):
        return
    if not (np.isfinite(tensor.scales).all() and (tensor.scales > 0).all()):
        raise _invalid(f"{tensor.name!r} has a scale that is not finite and positive")
    if len(tensor.zero_points) not in (1, len(tensor.scales)):
        raise _invalid(f"{tensor.name!r} does not have one zero point for each scale")
    if tensor.type == schema.INT8 and not ((tensor.zero_points >= -128) & (tensor.zero_points <= 127)).all():  # noqa: PLR2004  # int8
        raise _invalid(f"{tensor.name!r} has a zero point outside int8")


def _check_weighted(graph: Graph, operator: Operator) -> None:
    """Check that an int8 layer has int8 weights and a 32-bit bias in steps of input scale times weight scale."""
    if not _on_grid(graph.tensors[operator.outputs[0]]):
        return
    fed = graph.tensors[operator.inputs[VALUES.get(operator.name, 0)]]
    weight = graph.tensors[operator.inputs[WEIGHT]]
    name = graph.tensors[operator.outputs[0]].name
    if not (_on_grid(fed) and _on_grid(weight)):
        raise _invalid(f"layer {name!r} computes int8 but does not read it")
    position = BIAS.get(operator.name, len(operator.inputs))
    if position >= len(operator.inputs) or operator.inputs[position] < 0:
        return
    bias = graph.tensors[operator.inputs[position]]
    if bias.type != schema.INT32 or not len(bias.scales):
        raise _invalid(f"layer {name!r} is int8 but its bias is not int32")
    if not np.allclose(bias.scales, fed.scales * weight.scales, rtol=_BIAS_TOLERANCE, atol=0.0):
        raise _invalid(f"layer {name!r} has a bias on another grid than its products")


def _is_int8(graph: Graph, operator: Operator) -> bool:
    inputs = [graph.tensors[index] for index in operator.inputs if index >= 0]
    if any(_on_grid(tensor) for tensor in inputs):
        return True
    if operator.name not in (*WEIGHTED, *TABLES, LSTM):
        return False
    made = {
        one.outputs[0]
        for one in graph.operators
        if one.name == "DEQUANTIZE" and _small_constant(graph.tensors[one.inputs[0]])
    }
    return not made.isdisjoint(operator.inputs)


def _on_grid(tensor: Tensor) -> bool:
    return tensor.type == schema.INT8 and len(tensor.scales) > 0


def _small_constant(tensor: Tensor) -> bool:
    return tensor.constant and _on_grid(tensor)


def _invalid(message: str) -> ModelError:
    return ModelError("rewrite_invalid", message)
