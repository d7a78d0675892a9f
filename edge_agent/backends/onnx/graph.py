"""The quantizable nodes of a prepared graph, the tensors that need a range, and the weights.

Pure: reads a ``ModelProto``. Only the main graph counts; nodes inside If, Loop and Scan stay float.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from math import inf, prod
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from edge_agent.backends import Array, Flow, Layer, Node
from edge_agent.backends.onnx.mapped_weights import read_mapped
from edge_agent.backends.onnx.operators import (
    FOLDED,
    JOINING,
    MOVING,
    QUANTIZABLE,
    RECURRENT,
    SETTINGS_BEHIND,
    WEIGHTED,
)
from edge_agent.backends.onnx.skeleton import read_skeleton

_MATRIX = 2


class Graph:
    """A prepared model's main graph, indexed by constant name and tensor type."""

    def __init__(self, model: Any, weights: Mapping[str, Array] = MappingProxyType({})) -> None:
        """``weights``: values of constants that ``model`` lacks."""
        self._weights = weights
        self.nodes = list(model.graph.node)
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        values = (*model.graph.value_info, *model.graph.input, *model.graph.output)
        self.types = {value.name: value.type.tensor_type.elem_type for value in values}
        self._computed = {name for node in self.nodes for name in node.output}
        read = Counter(name for node in with_inner(self.nodes) for name in node.input)
        read.subtract(Counter(name for node in self.nodes for name in node.input))
        self._captured = set(+read)
        """Tensors that inner graphs read; a quantizer changes no reader there."""
        self._outside = {value.name for value in model.graph.output} | self._captured
        self._no_range: dict[str, bool] = {}

    def quantizable(self, operators: Iterable[str] = QUANTIZABLE) -> Iterator[Any]:
        """Nodes of these operators, in graph order, that compute on float."""
        wanted = set(operators)
        nodes = (node for node in self.nodes if node.op_type in wanted and not node.domain)
        return (node for node in nodes if self.activations(node) and not self._exceeds_grids(node))

    def activations(self, node: Any) -> list[str]:
        """The float tensors around a node that are not constants: those that need a range."""
        names = (*node.input, *node.output)
        return [name for name in names if name not in self.constants and self.types.get(name) == TensorProto.FLOAT]

    def _exceeds_grids(self, node: Any) -> bool:
        """Whether no grid can represent a node's work or its constants.

        onnxruntime's quantizer replaces an activation by the grid behind it, and gives the tensor before it the same
        grid. This fails in three cases. A grid contains zero and has fixed ends, which a Clip's limits may contradict.
        A tensor that is also read outside the graph's nodes would be clipped there too. An inner graph that reads the
        activation's output would see it unclipped. Also, no grid can represent a constant that is infinite, as in a
        mask, or empty.
        """
        if node.op_type in FOLDED and (node.input[0] in self._outside or node.output[0] in self._captured):
            return True
        if node.op_type not in SETTINGS_BEHIND and any(self._has_no_range(name) for name in node.input):
            return True
        if node.op_type != "Clip":
            return False
        low, high = (*node.input[1:], "", "")[:2]
        if not {low, high} <= {"", *self.constants}:
            return True
        return bool((low and self.array(low).item() > 0) or (high and self.array(high).item() < 0))

    def _has_no_range(self, name: str) -> bool:
        """Whether a tensor is a float constant without elements, or with infinite ones."""
        tensor = self.constants.get(name)
        if tensor is None or tensor.data_type != TensorProto.FLOAT:
            return False
        if name not in self._no_range:
            without_values = (
                name not in self._weights and not tensor.raw_data and not tensor.float_data and prod(tensor.dims)
            )  # a skeleton
            self._no_range[name] = not without_values and not (
                prod(tensor.dims) and bool(np.isfinite(self.array(name)).all())
            )
        return self._no_range[name]

    def same_ranges(self) -> dict[str, str]:
        """Tensor → the tensor whose range applies to it, where observing one of them is enough.

        An operator that only moves values keeps their range. A tensor that only an activation like Relu reads is
        clipped to the activation's range anyway, and loses least on a grid over that range.
        """
        same: dict[str, str] = {}
        for node in self.quantizable(MOVING):
            if {node.input[0], node.output[0]} <= set(self.activations(node)):
                same[node.output[0]] = node.input[0]
        same |= self.folded()
        return {name: _end(name, same) for name in same}

    def folded(self) -> dict[str, str]:
        """Tensor that only an activation reads → the activation's output; the runtime fuses both operators."""
        readers = Counter(name for node in self.nodes for name in node.input)
        inside = {name for name in self._computed if readers[name] == 1}
        return {node.input[0]: node.output[0] for node in self.quantizable(FOLDED) if node.input[0] in inside}

    def weight(self, node: Any) -> str | None:
        """The name of a weighted node's constant float weights, or None."""
        if node.op_type not in WEIGHTED:
            return None
        for name in (node.input[1], node.input[0]) if node.op_type == "MatMul" else (node.input[1],):
            constant = self.constants.get(name)
            if constant is not None and constant.data_type == TensorProto.FLOAT:
                return str(name)
        return None

    def weighted(self) -> Iterator[tuple[str, str]]:
        """Operator and name of every weighted or recurrent node, including those of inner graphs."""
        layers = (node for node in with_inner(self.nodes) if node.op_type in (*WEIGHTED, *RECURRENT))
        return ((node.op_type, node.name or node.output[0]) for node in layers)

    def weight_count(self, node: Any) -> float:
        """Number of weights that a node multiplies by; infinite if they are in an inner graph."""
        if any(one.op_type in (*WEIGHTED, *RECURRENT) for one in with_inner([node]) if one is not node):
            return inf
        if node.op_type not in (*WEIGHTED, *RECURRENT):
            return 0
        return float(sum(prod(self.constants[name].dims) for name in node.input if name in self.constants))

    def is_table(self, node: Any) -> bool:
        """Whether a node is a Gather of rows of a constant float matrix."""
        table = self.constants.get(node.input[0]) if node.op_type == "Gather" and not attribute(node, "axis") else None
        return table is not None and table.data_type == TensorProto.FLOAT and len(table.dims) == _MATRIX

    def array(self, name: str) -> Array:
        """A constant's value."""
        given = self._weights.get(name)
        return onnx.numpy_helper.to_array(self.constants[name]) if given is None else given

    def depthwise(self, node: Any) -> bool:
        """Whether a node is a depthwise convolution."""
        weight = self.weight(node) if node.op_type == "Conv" and attribute(node, "group", 1) > 1 else None
        return weight is not None and self.constants[weight].dims[1] == 1

    def output_axis(self, node: Any) -> int:
        """The axis of a weighted node's weights that counts its output channels."""
        match node.op_type:
            case "Conv":
                return 0
            case "Gemm":
                return 0 if attribute(node, "transB") else 1
            case "MatMul":
                return max(len(self.constants[node.input[1]].dims) - 1, 0) if node.input[1] in self.constants else 0
            case _:
                return 1


def with_inner(nodes: Iterable[Any]) -> Iterator[Any]:
    """Nodes and the nodes of their inner graphs, which may read any tensor of the outer graph."""
    for node in nodes:
        yield node
        for entry in node.attribute:
            for inner in (entry.g, *entry.graphs):
                yield from with_inner(inner.node)


def _end(name: str, same: Mapping[str, str]) -> str:
    """The end of a chain of equal ranges."""
    while name in same:
        name = same[name]
    return name


def attribute(node: Any, name: str, default: int = 0) -> int:
    """An integer attribute of a node."""
    return next((int(entry.i) for entry in node.attribute if entry.name == name), default)


def read_layers(prepared: Path) -> list[Layer]:
    """Every quantizable node of a prepared model, in graph order; large weights are read-only views of the file."""
    graph = Graph(*read_mapped(prepared))
    layers = []
    for node in graph.quantizable():
        weight = graph.weight(node)
        layers.append(
            Layer(
                name=node.name,
                operator=node.op_type,
                inputs=tuple(name for name in node.input if name),
                outputs=tuple(name for name in node.output if name),
                weights=None if weight is None else graph.array(weight),
                weight_axis=0 if weight is None else graph.output_axis(node),
                depthwise=graph.depthwise(node),
                multiplies=node.op_type in WEIGHTED,
            )
        )
    return layers


def read_flow(prepared: Path) -> Flow:
    """A prepared model's main graph; a node with inner graphs also reads their inputs."""
    model, _ = read_skeleton(prepared)
    graph = Graph(model)
    nodes = [
        Node(
            name=node.name,
            inputs=tuple(name for one in with_inner([node]) for name in one.input if name),
            outputs=tuple(name for name in node.output if name),
            weights=graph.weight_count(node),
            joins=node.op_type in JOINING,
            operator=node.op_type,
        )
        for node in graph.nodes
    ]
    return Flow(nodes, [value.name for value in model.graph.output])
