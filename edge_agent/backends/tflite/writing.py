"""A ``.tflite`` file as mutable objects, and back again: shared by preparing, rewriting and switching.

The objects are those of the generated schema (``ai_edge_litert.schema_py_generated``). :mod:`.reading` has checked
every file before, except options and metadata. Only the generated code reads these, so its failures are reported as an
unreadable model. Equal objects always give equal bytes.
"""

import struct
from collections.abc import Mapping, Sequence
from importlib import import_module
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.backends.tflite import schema
from edge_agent.errors import ModelError

_ALIGNMENT = 16
_BYTES_A_TENSOR = 1024
"""Space reserved for a tensor, its operator and their names."""
_ONE_BYTE = 127
_ERRORS = (struct.error, IndexError, KeyError, TypeError, ValueError, AttributeError, OverflowError)
"""Exceptions of the generated code on broken options and metadata."""


def generated() -> Any:
    """The generated schema."""
    try:
        return import_module("ai_edge_litert.schema_py_generated")
    except ModuleNotFoundError as error:
        raise ModelError("format_unsupported", f"preparing .tflite models needs the package {error.name}") from error


def load_objects(source: Path | bytes | bytearray) -> Any:
    """Load a file or its bytes as a ``ModelT``. All buffers become data, as views of the file, never offsets.

    A file is mapped, so its weights take no additional memory. It must not change while the objects are in use.

    Raises:
        ModelError: ``model_unreadable``.
    """
    objects = generated()
    data = mapped(source) if isinstance(source, Path) else source
    try:
        model = objects.ModelT.InitFromObj(objects.Model.GetRootAs(data, 0))
    except _ERRORS as error:
        raise ModelError(
            "model_unreadable", f"the model's options cannot be read ({type(error).__name__}); export it again"
        ) from error
    for buffer in model.buffers or []:
        if buffer.data is None and buffer.offset > 1:
            buffer.data = np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
        buffer.offset = buffer.size = 0
    model.metadata = [entry for entry in model.metadata or [] if entry.buffer < len(model.buffers or [])]
    for graph in model.subgraphs:
        _as_lists(graph, data)
    for code in model.operatorCodes:
        code.builtinCode = max(code.builtinCode, code.deprecatedBuiltinCode)
        code.deprecatedBuiltinCode = min(code.builtinCode, _ONE_BYTE)
    return model


def mapped(path: Path) -> mmap:
    """A file's bytes, mapped and read on demand."""
    with path.open("rb") as file:
        return mmap(file.fileno(), 0, access=ACCESS_READ)


def _as_lists(graph: Any, data: bytes | bytearray | mmap) -> None:
    graph.inputs, graph.outputs = _list(graph.inputs), _list(graph.outputs)
    graph.operators = graph.operators or []
    for operator in graph.operators:
        operator.inputs, operator.outputs = _list(operator.inputs), _list(operator.outputs)
        if operator.largeCustomOptionsOffset:
            start = operator.largeCustomOptionsOffset
            operator.customOptions = np.frombuffer(data, np.uint8, operator.largeCustomOptionsSize, start)
            operator.largeCustomOptionsOffset = operator.largeCustomOptionsSize = 0


def _list(values: Any) -> list[int]:
    return [] if values is None else [int(value) for value in values]


def save_objects(model: Any, out: Path) -> None:
    """Write a model without unused buffers.

    Raises:
        ModelError: ``model_unreadable``, if an option has an impossible value.
    """
    out.write_bytes(_packed(model))


def packed(model: Any) -> bytes:
    """A model's bytes; raises as :func:`save_objects`."""
    return bytes(_packed(model))


def _packed(model: Any) -> memoryview:
    _compact(model)
    flatbuffers = import_module("flatbuffers")
    parts = [len(buffer.data) + _ALIGNMENT for buffer in model.buffers if buffer.data is not None]
    tensors = sum(len(graph.tensors) for graph in model.subgraphs)
    builder = flatbuffers.Builder(sum(parts) + tensors * _BYTES_A_TENSOR)  # sized in advance: growing copies everything
    model.buffers = [_aligned(buffer) for buffer in model.buffers]
    try:
        builder.Finish(model.Pack(builder), file_identifier=schema.IDENTIFIER)
    except (*_ERRORS, flatbuffers.builder.BuilderSizeError) as error:
        raise ModelError(
            "model_unreadable", f"the model's options cannot be written again ({type(error).__name__}); export it again"
        ) from error
    return memoryview(builder.Bytes)[builder.head :]


def _compact(model: Any) -> None:
    """Renumber the buffers in the order of their readers; the format needs an empty first buffer."""
    holders = [tensor for graph in model.subgraphs for tensor in graph.tensors] + list(model.metadata or [])
    kept = [generated().BufferT()]
    numbers: dict[int, int] = {}
    for holder in holders:
        data = model.buffers[holder.buffer].data
        if data is None or not len(data):
            holder.buffer = 0
            continue
        if holder.buffer not in numbers:
            numbers[holder.buffer] = len(kept)
            kept.append(model.buffers[holder.buffer])
        holder.buffer = numbers[holder.buffer]
    model.buffers = kept
    model.metadataBuffer = None


def _aligned(buffer: Any) -> Any:
    """The buffer with data aligned to 16 bytes as the schema requires, which the generated code does not do."""
    if buffer.data is None:
        return buffer
    data = np.ascontiguousarray(buffer.data).reshape(-1).view(np.uint8)
    objects = generated()

    class Aligned(objects.BufferT):  # type: ignore[misc, name-defined]  # the schema is untyped
        def Pack(self, builder: Any) -> Any:  # noqa: N802  # the generated code's name
            builder.StartVector(1, len(data), _ALIGNMENT)
            builder.head -= len(data)
            np.frombuffer(builder.Bytes, np.uint8)[builder.head : builder.head + len(data)] = data
            vector = builder.EndVector()
            objects.BufferStart(builder)
            objects.BufferAddData(builder, vector)
            return objects.BufferEnd(builder)

    return Aligned()


def drop_unread(objects: Any) -> None:
    """Drop the values of unread constants; the quantizer would change them for other readers of the same bytes."""
    for graph in objects.subgraphs:
        read = {index for operator in graph.operators for index in operator.inputs} | set(graph.outputs)
        for index, tensor in enumerate(graph.tensors):
            if index not in read:
                tensor.buffer = 0


class Drafter:
    """Adds tensors and operators to the main graph of a model."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.graph = model.subgraphs[0]
        self._codes: dict[int, int] = {}

    def tensor(
        self, name: str, shape: Sequence[int], kind: int, *, signature: Sequence[int] | None = None, grid: Any = None
    ) -> int:
        """Add a tensor without a value; returns its index."""
        made = generated().TensorT(name=name, shape=list(shape), type=kind, quantization=grid, hasRank=True)
        made.shapeSignature = None if signature is None else list(signature)
        self.graph.tensors.append(made)
        return len(self.graph.tensors) - 1

    def constant(self, name: str, value: NDArray[Any], kind: int = schema.FLOAT32) -> int:
        """Add a constant; returns its index."""
        index = self.tensor(name, value.shape, kind)
        self.graph.tensors[index].buffer = self.buffer(value)
        return index

    def buffer(self, value: NDArray[Any]) -> int:
        """Add a buffer for a value; returns its index."""
        self.model.buffers.append(generated().BufferT(data=np.ascontiguousarray(value).reshape(-1).view(np.uint8)))
        return len(self.model.buffers) - 1

    def operator(
        self, name: str, inputs: Sequence[int], outputs: Sequence[int], options: str = "", **settings: Any
    ) -> Any:
        """Create an operator that is not in a graph yet."""
        objects = generated()
        made = objects.OperatorT(opcodeIndex=self._code(name), inputs=list(inputs), outputs=list(outputs))
        if options:
            made.builtinOptionsType = getattr(objects.BuiltinOptions, options)
            made.builtinOptions = getattr(objects, f"{options}T")(**settings)
        return made

    def _code(self, name: str) -> int:
        wanted = schema.OPERATORS.index(name)
        if wanted not in self._codes:
            code = generated().OperatorCodeT(
                builtinCode=wanted, deprecatedBuiltinCode=min(wanted, _ONE_BYTE), version=_VERSIONS.get(name, 1)
            )
            self.model.operatorCodes.append(code)
            self._codes[wanted] = len(self.model.operatorCodes) - 1
        return self._codes[wanted]


_VERSIONS: Mapping[str, int] = {"DEQUANTIZE": 2}
"""First versions of operators that accept int8."""
