"""Replaces nodes of a prepared graph by nodes that read integer weights, and drops unread float weights.

It knows how to store a value, not which layers to change. Weights lie on a symmetric int8 grid. A weight that is read
as float is written as Cast and Mul of a constant, which the runtime folds when it loads the file. (A DequantizeLinear
would be more usual, but the runtime keeps it for a fused kernel. Without such a kernel, as for Conv, it runs at each
call: 1.4 times float's time, measured with onnxruntime 1.32.)
"""

from collections.abc import Collection, Iterable, Mapping
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_agent.backends import Array, CandidateSpec
from edge_agent.backends.nothing_left import nothing_left
from edge_agent.backends.onnx.graph import Graph, attribute, with_inner
from edge_agent.backends.onnx.names import free, name_nodes
from edge_agent.backends.onnx.operators import PRODUCTS
from edge_agent.backends.onnx.sharing import Twins, share_constants, tables_of
from edge_agent.backends.onnx.tables import IntegerTable, read_rows
from edge_agent.quant.affine import quantize, weight_params

TABLE_BYTES = 2**16
"""From this size on, a float lookup table is worth the three small nodes that int8 rows need at each call."""
_MATRIX = 2
ZERO_POINT = 128
"""The zero point of unsigned weights."""


class Surgery:
    """The changes to one prepared model. Nodes are replaced in place, so their order stays valid."""

    def __init__(self, model: Any) -> None:
        self.graph = Graph(model)
        self.twins = Twins(self.graph.constants)
        self._model = model
        self._exchanged: dict[str, list[Any]] = {}
        self._first: list[Any] = []
        self._inside = 0
        self._constants: dict[str, Array] = {}
        self._names: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._taken = {name for node in self.graph.nodes for name in (*node.input, *node.output)}
        self._shared: dict[tuple[str, ...], tuple[str, ...]] = {}

    def exchange(self, node: Any, nodes: Iterable[Any]) -> None:
        """Replace ``node`` by ``nodes``."""
        self._exchanged[node.name] = list(nodes)

    def exchange_inside(self, node: Any, made: Any, before: Iterable[Any] = ()) -> None:
        """Turn ``node`` of an inner graph into ``made``; ``before``: nodes that the main graph runs for it."""
        node.CopyFrom(made)
        self._first += before
        self._inside += 1

    def constant(self, name: str, value: Array) -> str:
        """Add a constant, unless one has this value already; returns its name."""
        key = str(value.dtype), value.shape, blake2b(np.ascontiguousarray(value).data, digest_size=16).digest()
        if key not in self._names:
            self._names[key] = self.fresh(name)
            self._constants[self._names[key]] = value
        return self._names[key]

    def fresh(self, name: str) -> str:
        """Return ``name``, or a variant of it that no tensor has."""
        return free(name, self._taken)

    def as_float(self, weight: str, axis: int | None) -> tuple[str, list[Any]]:
        """Store a weight in int8 and read it as float.

        Returns the tensor to read, and the nodes to put before its reader.

        There are none if an earlier layer reads the same weight in the same form.
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
        """Quantize an activation at run time: (integers, scale, zero point), and the node unless it exists already."""
        key = ("now", tensor)
        if key in self._shared:
            return self._shared[key], []
        names = tuple(self.fresh(f"{tensor}_{part}") for part in ("uint8", "scale", "zero_point"))
        self._shared[key] = names
        return names, [helper.make_node("DynamicQuantizeLinear", [tensor], names, names[0])]

    def store_tables(
        self, spared: Collection[str], axes: Mapping[str, int | None], *, unsigned: Collection[str]
    ) -> None:
        """Store the rows of large lookup tables in int8, with one scale each; nodes named in ``spared`` stay.

        A table that is also a layer's weight is stored in the layer's form, whatever its size, and stays float if one
        such layer does.

        Args:
            spared: names of nodes that stay float.
            axes: the axis of the scales of each stored weight.
            unsigned: the weights with unsigned integers.
        """
        shared = tables_of(self.graph, axes, self.twins)
        for node in self.graph.quantizable(["Gather"]):
            if node.name in spared or not self.graph.is_table(node) or self._is_read_as_float(node.input[0]):
                continue
            name, weight = node.input[0], shared.get(node.name)
            if weight is None and self.graph.constants[name].ByteSize() < TABLE_BYTES:
                continue
            axis = 0 if weight is None else self.twins.axis_of(name, weight, axes[weight])
            table = self._table(name, axis, unsigned=weight in unsigned)
            self.exchange(node, read_rows(node, table, self.fresh))

    def _is_read_as_float(self, table: str) -> bool:
        """Whether a layer that was not replaced multiplies by the table."""
        first = self.twins.of(table).name
        left = (node for node in self.graph.nodes if node.name not in self._exchanged and node.op_type != "Gather")
        return any(name in self.graph.constants and self.twins.of(name).name == first for n in left for name in n.input)

    def _table(self, name: str, axis: int | None, *, unsigned: bool) -> IntegerTable:
        integers, scales = int8_grid(self.graph.array(name), axis)
        zero = self.constant(f"{name}_zero", np.array(ZERO_POINT, np.float32)) if unsigned else ""
        stored = self.constant(f"{name}_int8", as_unsigned(integers) if unsigned else integers)
        scale = self.constant(f"{name}_scale", scales if axis == 0 else scales.reshape(-1))
        return IntegerTable(stored, scale, by_row=axis == 0, zero=zero)

    def finish(self, spec: CandidateSpec) -> Any:
        """The changed model.

        Raises:
            ModelError: ``rewrite_invalid`` if nothing was replaced for ``spec``.
        """
        if not self._exchanged and not self._inside:
            raise nothing_left(spec, self.graph.weighted())
        nodes = [*self._first, *(new for old in self.graph.nodes for new in self._exchanged.get(old.name, [old]))]
        graph = self._model.graph
        read = {name for node in with_inner(nodes) for name in node.input} | {value.name for value in graph.output}
        kept = [tensor for tensor in graph.initializer if tensor.name in read]
        kept += [numpy_helper.from_array(value, name) for name, value in self._constants.items()]
        domains = {node.domain for node in with_inner(nodes)} - {entry.domain for entry in self._model.opset_import}
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(nodes)
        graph.initializer.extend(kept)
        self._model.opset_import.extend(helper.make_opsetid(domain, 1) for domain in sorted(domains))
        share_constants(self._model)
        name_nodes(graph.node)
        return self._model


def int8_grid(weights: Array, axis: int | None) -> tuple[Array, Array]:
    """Weights as int8 (-127 to 127) and their scales, which broadcast against them: along ``axis``, or one."""
    grid = weight_params(weights, axis)
    return quantize(weights, grid), grid.scale


def as_unsigned(integers: Array) -> NDArray[np.uint8]:
    """The same weights, shifted to a zero point of 128."""
    return (integers.astype(np.int16) + ZERO_POINT).astype(np.uint8)


def is_product(graph: Graph, node: Any) -> bool:
    """Whether a node is a MatMul or Gemm by a constant right factor, with the options of an ordinary layer."""
    weight = graph.weight(node)
    if node.op_type not in PRODUCTS or weight is None or weight != node.input[1]:
        return False
    beta = next((entry.f for entry in node.attribute if entry.name == "beta"), 1.0)
    plain = not attribute(node, "transA") and (len(node.input) <= _MATRIX or beta == 1.0)
    return plain and len(graph.constants[weight].dims) >= _MATRIX


def product(graph: Graph, node: Any) -> Array:
    """The constant right factor of an :func:`is_product` node as [..., inputs, outputs], with Gemm's alpha applied."""
    values = graph.array(node.input[1])
    alpha = next((entry.f for entry in node.attribute if entry.name == "alpha"), 1.0)
    turned = values.T if node.op_type == "Gemm" and attribute(node, "transB") else values
    return turned if alpha == 1.0 else np.asarray(turned * np.float32(alpha))


def bias(node: Any) -> str:
    """The tensor that a Gemm or Conv adds, or an empty name."""
    return str(node.input[2]) if node.op_type != "MatMul" and len(node.input) > _MATRIX else ""
