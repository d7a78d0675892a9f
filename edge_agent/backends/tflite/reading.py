"""A ``.tflite`` file as plain values: graphs, tensors, operators, signatures; all indices and sizes are checked.

Reads structure, never copies weights (they stay in the mapped file), needs neither runtime nor generated schema. The
result has the guarantees of TensorFlow Lite's own verifier: every index is in range, every constant has the bytes that
its shape needs, and an operator reads only inputs, constants and tensors computed before it.
"""

import mmap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.backends.tflite import schema
from edge_agent.backends.tflite.flatbuffer import File, Malformed, Table
from edge_agent.errors import ModelError

_MOST_DIMENSIONS = 16
_MOST_ELEMENTS = 2**40
_VERSION = 3
_NEEDED = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL", "EMBEDDING_LOOKUP"), 2),
    **dict.fromkeys(("QUANTIZE", "DEQUANTIZE", "SQUEEZE", "EXPAND_DIMS"), 1),
    "TRANSPOSE_CONV": 3,
}
"""Operator → number of its first inputs, which later code reads."""
_BLOCKWISE = 2
_MULTI_AXIS = 3
_NO_SCALES = np.empty(0, np.float32)
_NO_ZERO_POINTS = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor; ``dims`` has None for a dynamic dimension, ``data`` is a constant's place in the file, else empty."""

    name: str
    type: int
    shape: tuple[int, ...]
    dims: tuple[int | None, ...]
    data: range
    scales: NDArray[np.float32]
    zero_points: NDArray[np.int64]
    axis: int
    variable: bool
    stored_otherwise: str
    """Its storage, if neither plain nor with a scale per tensor or channel; else empty."""

    @property
    def constant(self) -> bool:
        """Whether the file holds its value."""
        return len(self.data) > 0


@dataclass(frozen=True, slots=True)
class Operator:
    """One node; indices refer to the graph's tensors, -1 is an omitted input."""

    name: str
    custom: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Table | None


@dataclass(frozen=True, slots=True)
class Graph:
    """One graph; the runtime runs the first one of a model."""

    tensors: tuple[Tensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: tuple[Operator, ...]


@dataclass(frozen=True, slots=True)
class SignatureDef:
    """Public names of a graph's inputs and outputs."""

    key: str
    graph: int
    inputs: tuple[tuple[str, int], ...]
    outputs: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Model:
    """The content of a file."""

    graphs: tuple[Graph, ...]
    signatures: tuple[SignatureDef, ...]
    external: bool
    file: File

    @property
    def main(self) -> Graph:
        """The graph that the runtime runs."""
        return self.graphs[0]

    @property
    def size(self) -> int:
        """The file's size in bytes."""
        return len(self.file.data)

    def raw(self, tensor: Tensor) -> NDArray[np.uint8]:
        """A constant's bytes, not copied."""
        return np.frombuffer(self.file.data, np.uint8, len(tensor.data), tensor.data.start)

    def value(self, tensor: Tensor) -> NDArray[Any]:
        """A constant of a numpy type, in its shape; not copied."""
        return self.raw(tensor).view(np.dtype(schema.NUMPY[tensor.type])).reshape(tensor.shape)

    @property
    def signature(self) -> SignatureDef | None:
        """The signature of the main graph, or None."""
        mine = [signature for signature in self.signatures if signature.graph == 0]
        return next((one for one in mine if one.key == "serving_default"), mine[0] if mine else None)

    @property
    def input_names(self) -> tuple[str, ...]:
        """Public names of the main graph's inputs, in its order: from the signature, else from the tensors."""
        signature = self.signature
        return _public(self.main.inputs, signature.inputs if signature else (), self.main.tensors)

    @property
    def output_names(self) -> tuple[str, ...]:
        """Public names of the main graph's outputs, in its order."""
        signature = self.signature
        return _public(self.main.outputs, signature.outputs if signature else (), self.main.tensors)


def read_model(path: Path) -> Model:
    """Read a file.

    Raises:
        ModelError: ``model_unreadable``.
    """
    try:
        with path.open("rb") as file:
            data: Any = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError:  # an empty file cannot be mapped
        raise ModelError("model_unreadable", f"{path.name} is empty; export it again") from None
    except OSError as error:
        raise ModelError("model_unreadable", f"{path.name} cannot be read: {error.strerror}; check its path") from error
    try:
        return _model(File(data))
    except Malformed as error:
        raise ModelError(
            "model_unreadable", f"{path.name} is not a TensorFlow Lite model: {error}; export it again"
        ) from None


def unique(names: Iterable[str]) -> tuple[str, ...]:
    """``names``, with a number appended to duplicates."""
    taken: set[str] = set()
    made = []
    for name in names:
        candidate, count = name, 1
        while candidate in taken:
            count += 1
            candidate = f"{name}_{count}"
        taken.add(candidate)
        made.append(candidate)
    return tuple(made)


def _public(indices: Sequence[int], given: Iterable[tuple[str, int]], tensors: Sequence[Tensor]) -> tuple[str, ...]:
    names: dict[int, str] = {}
    for name, index in given:
        names.setdefault(index, name)
    return unique(names.get(index) or tensors[index].name or f"tensor_{index}" for index in indices)


def _model(file: File) -> Model:
    root = file.root(schema.IDENTIFIER)
    if (version := root.number(0, "I")) != _VERSION:
        raise Malformed(f"its schema has version {version}, not {_VERSION}")
    buffers = [_buffer(file, table) for table in root.tables(4)]
    codes = [_code(table) for table in root.tables(1)]
    graphs = tuple(_graph(table, codes, buffers) for table in root.tables(2))
    if not graphs or not graphs[0].operators or not graphs[0].outputs:
        raise Malformed("it holds no graph")
    signatures = tuple(_signature(table, graphs) for table in root.tables(7))
    return Model(graphs, signatures, external=root.vector(9, 4)[1] > 0, file=file)


def _buffer(file: File, table: Table) -> range:
    start, count = table.vector(0, 1)
    if not count and (offset := table.number(1, "Q")) > 1:  # behind the flatbuffer, in files of more than 2 GB
        start, count = offset, table.number(2, "Q")
        if start + count > len(file.data):
            raise Malformed("it ends too early")
    return range(start, start + count)


def _code(table: Table) -> tuple[str, str]:
    # Before 2020 there was only the first, a byte; it is still written, for all codes that fit into it.
    code = max(table.number(3, "i"), table.number(0, "b"))
    if not 0 <= code < len(schema.OPERATORS):
        raise Malformed(f"it has an operator {code} that is not known here")
    return schema.OPERATORS[code], table.text(1) if code == schema.CUSTOM else ""


def _graph(table: Table, codes: Sequence[tuple[str, str]], buffers: Sequence[range]) -> Graph:
    tensors = tuple(_tensor(one, buffers) for one in table.tables(0))
    graph = Graph(
        tensors,
        _indices(table.numbers(1, "i"), len(tensors)),
        _indices(table.numbers(2, "i"), len(tensors)),
        tuple(_operator(one, codes, len(tensors)) for one in table.tables(3)),
    )
    known = {index for index, tensor in enumerate(tensors) if tensor.constant or tensor.variable}
    known.update(graph.inputs)
    for operator in graph.operators:
        if not known.issuperset(index for index in operator.inputs if index >= 0):
            raise Malformed(f"a {operator.name} in it reads a tensor that no earlier operator computes")
        known.update(operator.outputs)
    if not known.issuperset(graph.outputs):
        raise Malformed("nothing in it computes one of its outputs")
    return graph


def _indices(indices: tuple[int, ...], count: int, lowest: int = 0) -> tuple[int, ...]:
    if indices and not (lowest <= min(indices) and max(indices) < count):
        raise Malformed("it names a tensor that it does not have")
    return indices


def _operator(table: Table, codes: Sequence[tuple[str, str]], tensors: int) -> Operator:
    if not 0 <= (code := table.number(0, "I")) < len(codes):
        raise Malformed("it names an operator that it does not have")
    name, custom = codes[code]
    inputs, outputs = _indices(table.numbers(1, "i"), tensors, -1), _indices(table.numbers(2, "i"), tensors, -1)
    if (needed := _NEEDED.get(name, 0)) and (len(inputs) < needed or min(inputs[:needed]) < 0):
        raise Malformed(f"a {name} in it lacks an input")
    if needed and (not outputs or outputs[0] < 0):
        raise Malformed(f"a {name} in it has no output")
    return Operator(name, custom, inputs, outputs, table.table(4))


def _tensor(table: Table, buffers: Sequence[range]) -> Tensor:
    shape = table.numbers(0, "i")
    signature = table.numbers(7, "i")
    if len(shape) > _MOST_DIMENSIONS or any(size < 0 for size in shape) or prod(shape) > _MOST_ELEMENTS:
        raise Malformed("a tensor in it has an impossible shape")
    if len(signature) != len(shape):
        signature = shape
    kind = table.number(1, "b")
    index = table.number(2, "I")
    if index >= max(len(buffers), 1):
        raise Malformed("it names a buffer that it does not have")
    data = buffers[index] if buffers else range(0)
    stored = "sparse" if table.place(6) else ""
    scales, zero_points, axis = _NO_SCALES, _NO_ZERO_POINTS, 0
    if (grid := table.table(4)) is not None:
        scales, zero_points, axis = (
            grid.array(2, np.dtype(np.float32)),
            grid.array(3, np.dtype(np.int64)),
            grid.number(6, "i"),
        )
        stored = stored or {_BLOCKWISE: "in blocks", _MULTI_AXIS: "on several axes"}.get(grid.number(4, "B"), "")
    if len(scales) > 1 and not (0 <= axis < len(shape) and len(scales) == shape[axis]):
        raise Malformed("a tensor in it does not have one scale for each channel")
    if len(zero_points) > 1 and len(zero_points) != len(scales):
        raise Malformed("a tensor in it does not have one zero point for each scale")
    if data and not stored and len(data) != (wanted := _size(kind, shape, len(data))):
        raise Malformed(f"a constant in it has {len(data)} bytes, but its shape needs {wanted}")
    dims = tuple(None if wish < 0 else size for size, wish in zip(shape, signature, strict=True))
    variable = bool(table.number(5, "B"))
    return Tensor(table.text(3), kind, shape, dims, data, scales, zero_points, axis, variable, stored)


def _size(kind: int, shape: tuple[int, ...], unknown: int) -> int:
    if kind == schema.INT4:
        return (prod(shape) + 1) // 2
    if kind not in schema.NUMPY:
        return unknown
    return prod(shape) * np.dtype(schema.NUMPY[kind]).itemsize


def _signature(table: Table, graphs: Sequence[Graph]) -> SignatureDef:
    if (graph := table.number(4, "I")) >= len(graphs):
        raise Malformed("a signature in it names a graph that it does not have")
    count = len(graphs[graph].tensors)

    def named(slot: int) -> tuple[tuple[str, int], ...]:
        pairs = [(one.text(0), one.number(1, "I")) for one in table.tables(slot)]
        _indices(tuple(index for _, index in pairs), count)
        return tuple(pairs)

    return SignatureDef(table.text(2), graph, named(0), named(1))
