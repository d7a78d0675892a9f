"""Stores equal weights once, however many layers read them.

An unrolled recurrent cell reads one matrix at each step. A language model reads one table as rows at its input and,
transposed, as a matrix at its output. Exporters express this by one name, by Identity, Transpose or Reshape, or they
write the values twice; the runtime folds the operators into copies. Therefore only the values are compared. A matrix
and its transpose are *twins*, and so are two shapes with the same order of values.

Two steps keep them shared. Twins are rounded on one grid (:meth:`Twins.common_axes`), so that their integers are twins
too. A finished model stores all twins once (:func:`share_constants`). The runtime transposes and reshapes constants
while it loads a file.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from hashlib import blake2b
from math import prod
from typing import Any, NamedTuple

import numpy as np
from onnx import helper, numpy_helper

from edge_agent.backends import Array
from edge_agent.backends.onnx.graph import Graph, with_inner

_LEAST_BYTES = 64
"""A smaller constant costs no more than a reference to its twin."""
_LEAST_TURNED_BYTES = 1024
"""The same for a twin of another shape or order, which needs a node."""
_NUMBERS = "fiu"
_ROWS = 256
_MATRIX = 2

_Place = tuple[int, int, int]
"""An axis, identified by the number of values outside, along and inside it, which reshaping preserves."""


class Twin(NamedTuple):
    """The constant that represents another."""

    name: str
    turned: bool
    """Whether it is the transpose."""


class Twins:
    """Constants with the same values, in the same order or transposed."""

    def __init__(self, constants: Mapping[str, Any]) -> None:
        """``constants``: ``TensorProto`` by name."""
        self._dims = {name: tuple(tensor.dims) for name, tensor in constants.items()}
        self._first: dict[str, Twin] = {}
        seen: dict[bytes, Twin] = {}
        for name, tensor in _alike(dict(_alike(constants, _size)), _mixed):
            one = numpy_helper.to_array(tensor)  # a copy, so one at a time
            if one.nbytes < _LEAST_BYTES:
                continue
            self._first[name] = seen.setdefault(_digest(one), Twin(name, turned=False))
            if self._first[name].name == name and one.ndim == _MATRIX and min(one.shape) > 1:
                seen.setdefault(_digest(one.T), Twin(name, turned=True))

    def of(self, name: str) -> Twin:
        """The first constant with the same values; itself if there is no earlier one."""
        return self._first.get(name, Twin(name, turned=False))

    def common_axes(self, wanted: Iterable[tuple[str, int | None]]) -> dict[str, int | None]:
        """Weight → the axis of its scales; None: one scale in total.

        Twins get the same axis, expressed in each one's own shape. If layers want different axes, twins get one scale:
        scales must not vary along the axis that a product sums over.

        Args:
            wanted: weights, and the axis that a layer prefers for each.
        """
        pairs = list(wanted)
        places: dict[str, _Place | None] = {}
        for name, axis in pairs:
            first, place = self.of(name).name, self._place(name, axis)
            places[first] = place if places.get(first, place) == place else None
        return {name: axis if places[self.of(name).name] is not None else None for name, axis in pairs}

    def axis_of(self, name: str, other: str, axis: int | None) -> int | None:
        """The axis of the constant ``name`` that corresponds to ``axis`` of its twin ``other``, or None."""
        place = self._place(other, axis)
        return next((own for own in range(len(self._dims[name])) if self._place(name, own) == place), None)

    def _place(self, name: str, axis: int | None) -> _Place | None:
        if axis is None:
            return None
        dims = self._dims[name]
        place = prod(dims[:axis]), dims[axis], prod(dims[axis + 1 :])
        return place[::-1] if self.of(name).turned else place


def _alike(items: Mapping[str, Any], look: Callable[[Any], Hashable]) -> list[tuple[str, Any]]:
    """The items with the same ``look`` as another item: only these need a more expensive comparison."""
    looks = {name: look(item) for name, item in items.items()}
    counts = Counter(looks.values())
    return [(name, item) for name, item in items.items() if counts[looks[name]] > 1]


def _size(tensor: Any) -> Hashable:
    return tensor.data_type, prod(tensor.dims)


def _mixed(tensor: Any) -> Hashable:
    """A key of the values that does not depend on their order."""
    values = numpy_helper.to_array(tensor)
    if values.dtype.kind not in _NUMBERS:
        return str(tensor.name)
    words = np.ascontiguousarray(values).reshape(-1).view(f"u{values.itemsize}")
    return values.dtype.str, values.size, int(np.bitwise_xor.reduce(words))


def _digest(values: Array) -> bytes:
    """Hash type and values in order, a few rows at a time: transposing a whole table would double its memory."""
    hashed = blake2b(values.dtype.str.encode(), digest_size=16)
    for first in range(0, len(values), _ROWS):
        hashed.update(np.ascontiguousarray(values[first : first + _ROWS]).data)
    return hashed.digest()


def tables_of(graph: Graph, weights: Iterable[str], twins: Twins) -> dict[str, str]:
    """Gather node that reads rows of a matrix which, maybe transposed, is one of ``weights`` → that weight."""
    firsts: dict[str, str] = {}
    for name in weights:
        firsts.setdefault(twins.of(name).name, name)
    nodes = (node for node in graph.quantizable(["Gather"]) if graph.is_table(node))
    return {node.name: firsts[first] for node in nodes if (first := twins.of(node.input[0]).name) in firsts}


def share_constants(model: Any) -> None:
    """Store constants with twins once; readers of the others read the first one, transposed or reshaped."""
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    given = {value.name for value in graph.output}
    twins = Twins(constants)
    renamed: dict[str, str] = {}
    nodes: list[Any] = []
    shapes: list[Any] = []
    for name, tensor in constants.items():
        first = twins.of(name)
        if first.name == name or name in given:
            continue
        if not first.turned and tensor.dims == constants[first.name].dims:
            renamed[name] = first.name
        elif numpy_helper.to_array(tensor).nbytes >= _LEAST_TURNED_BYTES:
            made, shape = _seen_as(name, tuple(tensor.dims), first, tuple(constants[first.name].dims))
            nodes += made
            shapes += shape
            renamed[name] = name
    for node in with_inner(graph.node):
        node.input[:] = [renamed.get(name, name) for name in node.input]
    kept = [tensor for tensor in graph.initializer if tensor.name not in renamed]
    ordered = [*nodes, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend([*kept, *shapes])
    graph.node.extend(ordered)


def _seen_as(name: str, dims: tuple[int, ...], first: Twin, stored: tuple[int, ...]) -> tuple[list[Any], list[Any]]:
    """The nodes that make the constant ``name`` from its twin, and the constants that they need."""
    nodes, source = [], first.name
    if first.turned:
        source, stored = f"{name}/turned" if dims != stored[::-1] else name, stored[::-1]
        nodes.append(helper.make_node("Transpose", [first.name], [source], source, perm=[1, 0]))
    if dims == stored:
        return nodes, []
    shape = numpy_helper.from_array(np.array(dims, np.int64), f"{name}/shape")
    nodes.append(helper.make_node("Reshape", [source, shape.name], [name], name))
    return nodes, [shape]
