"""Exchanges nodes of a prepared graph for others that read integer weights, and drops the float weights left unread.

Knows how a value is stored, not which layers should be. Weights lie on a symmetric int8 grid; where one is read as
float, it is written as Cast and Mul of a constant, which the runtime folds when it loads the file. (A
DequantizeLinear would look more usual, but the runtime leaves it for a fused kernel, and where there is none, as for
Conv, it runs at each call: 1.4 times float's time, measured with onnxruntime 1.32.)
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_agent.backends import Array
from edge_agent.backends.onnx.graph import Graph, attribute, with_inner
from edge_agent.errors import ModelError
from edge_agent.quant.affine import quantize, weight_params

TABLE_BYTES = 2**16
"""A float lookup table from this size on is worth the three small nodes that int8 rows cost at each call."""
_MATRIX = 2


class Surgery:
    """The changes to one prepared model. Nodes are exchanged in place, so their order stays a valid one."""

    def __init__(self, model: Any) -> None:
        self.graph = Graph(model)
        self._model = model
        self._exchanged: dict[str, list[Any]] = {}
        self._constants: dict[str, Array] = {}
        self._taken = {name for node in self.graph.nodes for name in (*node.input, *node.output)}
        self._shared: dict[tuple[str, ...], tuple[str, ...]] = {}

    def exchange(self, node: Any, nodes: Iterable[Any]) -> None:
        """Put ``nodes`` where ``node`` is."""
        self._exchanged[node.name] = list(nodes)

    def constant(self, name: str, value: Array) -> str:
        """Add a constant; returns the name it got."""
        fresh = self.fresh(name)
        self._constants[fresh] = value
        return fresh

    def fresh(self, name: str) -> str:
        """``name``, or one made from it that no tensor has."""
        candidate, count = name, 1
        while candidate in self._taken:
            count += 1
            candidate = f"{name}_{count}"
        self._taken.add(candidate)
        return candidate

    def as_float(self, weight: str, axis: int | None) -> tuple[str, list[Any]]:
        """Store a weight in int8 and read it as float: the tensor to read, and the nodes to put before its reader.

        The nodes are empty where an earlier layer reads the same weight in the same way.
        """
        key = ("float", weight, str(axis))
        if key in self._shared:
            return self._shared[key][0], []
        integers, scales = int8_grid(self.graph.array(weight), axis)
        cast, value = self.fresh(f"{weight}_cast"), self.fresh(f"{weight}_float")
        self._shared[key] = (value,)
        stored, scale = self.constant(f"{weight}_int8", integers), self.constant(f"{weight}_scale", scales)
        return value, [
            helper.make_node("Cast", [stored], [cast], cast, to=TensorProto.FLOAT),
            helper.make_node("Mul", [cast, scale], [value], value),
        ]

    def quantized_now(self, tensor: str) -> tuple[tuple[str, ...], list[Any]]:
        """Quantize an activation when it is there: (integers, scale, zero point), and the node where it is new."""
        key = ("now", tensor)
        if key in self._shared:
            return self._shared[key], []
        names = tuple(self.fresh(f"{tensor}_{part}") for part in ("uint8", "scale", "zero_point"))
        self._shared[key] = names
        return names, [helper.make_node("DynamicQuantizeLinear", [tensor], names, names[0])]

    def store_tables(self, spared: Sequence[str]) -> None:
        """Keep the rows of large lookup tables in int8, a scale each; nodes named in ``spared`` stay."""
        for node in self.graph.quantizable(["Gather"]):
            table = node.input[0]
            known = self.graph.constants.get(table)
            if node.name in spared or known is None or attribute(node, "axis"):
                continue
            if known.data_type != TensorProto.FLOAT or len(known.dims) != _MATRIX or known.ByteSize() < TABLE_BYTES:
                continue
            stored = self._shared.get(("rows", table))
            if stored is None:
                integers, scales = int8_grid(self.graph.array(table), 0)
                stored = (self.constant(f"{table}_int8", integers), self.constant(f"{table}_scale", scales))
                self._shared["rows", table] = stored
            rows, scale, cast = (self.fresh(f"{node.output[0]}_{part}") for part in ("int8", "scale", "cast"))
            self.exchange(
                node,
                [
                    helper.make_node("Gather", [stored[0], node.input[1]], [rows], node.name),
                    helper.make_node("Gather", [stored[1], node.input[1]], [scale], scale),
                    helper.make_node("Cast", [rows], [cast], cast, to=TensorProto.FLOAT),
                    helper.make_node("Mul", [cast, scale], [node.output[0]], f"{node.name}_scaled"),
                ],
            )

    def finish(self) -> Any:
        """The changed model.

        Raises:
            ModelError: ``rewrite_invalid`` if nothing was exchanged.
        """
        if not self._exchanged:
            raise ModelError("rewrite_invalid", "no layer with constant weights is left that this method could change")
        nodes = [new for old in self.graph.nodes for new in self._exchanged.get(old.name, [old])]
        graph = self._model.graph
        read = {name for node in with_inner(nodes) for name in node.input} | {value.name for value in graph.output}
        kept = [tensor for tensor in graph.initializer if tensor.name in read]
        kept += [numpy_helper.from_array(value, name) for name, value in self._constants.items()]
        domains = {node.domain for node in nodes} - {entry.domain for entry in self._model.opset_import}
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(nodes)
        graph.initializer.extend(kept)
        self._model.opset_import.extend(helper.make_opsetid(domain, 1) for domain in sorted(domains))
        return self._model


def int8_grid(weights: Array, axis: int | None) -> tuple[Array, Array]:
    """Weights as int8 (-127 to 127) and their scales, which broadcast against them: one along ``axis``, or one."""
    grid = weight_params(weights, axis)
    return quantize(weights, grid), grid.scale


def product(graph: Graph, node: Any) -> Array | None:
    """The constant right factor of a MatMul or Gemm as [..., inputs, outputs], Gemm's alpha in it.

    None for other operators and for products that are not of this kind.
    """
    weight = graph.weight(node)
    if node.op_type not in ("MatMul", "Gemm") or weight is None or weight != node.input[1]:
        return None
    values = graph.array(weight)
    if values.ndim < _MATRIX:
        return None
    if node.op_type == "MatMul":
        return values
    settings = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
    if settings.get("transA") or (len(node.input) > _MATRIX and settings.get("beta", 1.0) != 1.0):
        return None
    return np.asarray((values.T if settings.get("transB") else values) * np.float32(settings.get("alpha", 1.0)))


def bias(node: Any) -> str:
    """The tensor that a Gemm or Conv adds, or nothing."""
    return str(node.input[2]) if node.op_type != "MatMul" and len(node.input) > _MATRIX else ""
