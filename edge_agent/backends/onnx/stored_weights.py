"""Detects a quantized model: one with weights stored as integers and converted to floats. Structure only.

Integers alone are no evidence: masks are stored as bytes and cast to bool, indices are cast to int64, and an image
input may be bytes on a grid. The evidence is an operator that multiplies integers, or a stored integer tensor that
becomes a layer's weights through a scale.
"""

from collections.abc import Iterator
from math import prod
from typing import Any

import onnx
from onnx import TensorProto

from edge_agent.backends.onnx.operators import RECURRENT, WEIGHTED

_SMALL = (TensorProto.INT8, TensorProto.UINT8, TensorProto.INT4, TensorProto.UINT4)
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)
_MARKS = ("quantizelinear", "dynamicquantize", "qlinear", "integer", "nbits", "qattention", "qgemm", "qmoe")
"""Parts of the names of operators on quantized values, in lower case."""
_TABLE_ELEMENTS = 64
"""A byte tensor this large is a stored weight, not a setting."""
_SCALING = ("Mul", "Div", "Sub", "Add")
_MOVING = ("Transpose", "Reshape", "Squeeze", "Unsqueeze", "Identity")


def quantized_by(nodes: list[Any], graphs: list[Any]) -> str:
    """The evidence that a model is already quantized, in words; empty: it is float.

    Args:
        nodes: every node, including those of inner graphs.
        graphs: the main graph, its inner graphs, and the bodies of functions.
    """
    stored = {name for graph in graphs for name in _constants(graph)}
    for node in nodes:
        kind = node.op_type.lower()
        if node.op_type == "DequantizeLinear":
            if node.input[0] in stored:
                return f"weight {node.input[0]!r} is stored as integers and dequantized by {_called(node)}"
        elif any(mark in kind for mark in _MARKS):
            return f"{_called(node)} works on quantized values"
    for graph in graphs:
        if found := _dequantized_by_hand(graph):
            return found
    return ""


def _called(node: Any) -> str:
    return f"{node.op_type} {node.name or node.output[0]!r}"


def _constants(graph: Any) -> Iterator[str]:
    """Every stored tensor of a graph, including Constant nodes."""
    if isinstance(graph, onnx.GraphProto):
        yield from (tensor.name for tensor in graph.initializer)
    yield from (node.output[0] for node in graph.node if node.op_type == "Constant")


def _dequantized_by_hand(graph: Any) -> str:
    """The evidence of a stored byte tensor that is cast to float, scaled and used as a weight; empty: none."""
    constants = set(_constants(graph))
    stored = {tensor.name for tensor in getattr(graph, "initializer", ()) if _is_large_and_small(tensor)}
    stored |= {
        node.output[0]
        for node in graph.node
        if node.op_type == "Constant" and any(_is_large_and_small(entry.t) for entry in node.attribute)
    }
    source: dict[str, str] = {}
    """Tensor computed from one stored tensor only → that tensor."""
    scaled: set[str] = set()
    for node in graph.node:  # in an order of evaluation
        made = [source[name] for name in node.input if name in source]
        if node.op_type == "Cast" and node.input[0] in stored and _goes_to_float(node):
            source[node.output[0]] = node.input[0]
        elif made and (node.op_type in _MOVING or node.op_type in _SCALING):
            if constants.union(source).issuperset(node.input):
                source[node.output[0]] = made[0]
                if node.op_type in _SCALING or not scaled.isdisjoint(node.input):
                    scaled.add(node.output[0])
        elif node.op_type in (*WEIGHTED, *RECURRENT):
            weight = next((name for name in node.input if name in scaled), None)
            if weight is not None:
                return f"weight {source[weight]!r} of {_called(node)} is stored as integers, cast and scaled"
    return ""


def _is_large_and_small(tensor: Any) -> bool:
    """Whether a tensor has many elements of 8 bits or fewer."""
    return tensor.data_type in _SMALL and prod(tensor.dims) >= _TABLE_ELEMENTS


def _goes_to_float(node: Any) -> bool:
    return any(entry.name == "to" and entry.i in _FLOATS for entry in node.attribute)
