"""Layers inside If, Loop and Scan. Their activations cannot be observed, but their weights can be int8.

A voice detector for two sampling rates, for example, is a single If. Preparation moves the weights of inner graphs into
the main graph, which inner graphs can read. There they are stored like those of any other layer.
"""

from collections.abc import Iterator
from math import prod
from typing import Any

from onnx import AttributeProto, TensorProto

from edge_agent.backends.onnx.graph import Graph, with_inner
from edge_agent.backends.onnx.names import free, tensor_names
from edge_agent.backends.onnx.operators import RECURRENT, WEIGHTED

_LEAST_ELEMENTS = 64
"""A smaller constant is a setting, and stays in place."""


def inner_layers(graph: Graph) -> Iterator[Any]:
    """Nodes of inner graphs that multiply by float constants of the main graph, at their second input."""
    for node in graph.nodes:
        for one in with_inner([node]):
            layer = one is not node and one.op_type in (*WEIGHTED, *RECURRENT) and not one.domain
            weight = graph.constants.get(one.input[1]) if layer else None
            if weight is not None and weight.data_type == TensorProto.FLOAT:
                yield one


def hoist_weights(model: Any) -> None:
    """Make large float constants of inner graphs initializers of the main one."""
    taken = set(tensor_names(model.graph))
    for node in model.graph.node:
        for inner in _graphs_inside(node):
            for tensor in _taken_out(inner, taken):
                model.graph.initializer.append(tensor)


def _graphs_inside(node: Any) -> Iterator[Any]:
    """Every graph inside a node, the outer ones first."""
    for entry in node.attribute:
        own = [entry.g] if entry.type == AttributeProto.GRAPH else []  # reading an unset field would create it
        for graph in (*own, *entry.graphs):
            yield graph
            for inner in graph.node:
                yield from _graphs_inside(inner)


def _taken_out(graph: Any, taken: set[str]) -> list[Any]:
    """Remove the large float constants of a graph and return them, with names that are not in ``taken``."""
    found: dict[str, Any] = {tensor.name: tensor for tensor in graph.initializer if _is_large(tensor)}
    nodes = {
        node.output[0]: entry.t
        for node in graph.node
        for entry in node.attribute
        if node.op_type == "Constant" and entry.name == "value" and _is_large(entry.t)
    }
    ends = {value.name for value in graph.output}
    out = []
    renamed: dict[str, str] = {}
    for name, tensor in (found | nodes).items():
        if name in ends:
            continue
        moved = TensorProto()
        moved.CopyFrom(tensor)
        renamed[name] = moved.name = free(f"{name}/weight", taken)
        out.append(moved)
    kept = [tensor for tensor in graph.initializer if tensor.name not in renamed]
    ordered = [node for node in graph.node if not (node.op_type == "Constant" and node.output[0] in renamed)]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(ordered)
    for node in with_inner(graph.node):
        node.input[:] = [renamed.get(name, name) for name in node.input]
    return out


def _is_large(tensor: Any) -> bool:
    return bool(tensor.data_type == TensorProto.FLOAT) and prod(tensor.dims) >= _LEAST_ELEMENTS
