"""A model with large weights that stay in their file and are mapped instead of copied.

A model that reaches the runtime as bytes is in memory three times while it loads: the bytes, the protobuf message and
the session's weights. :func:`referring` replaces each large initializer by a reference to its place in the file, which
ONNX calls external data. The runtime maps that place, and the kernel may drop the pages again. The same file serves
numpy: :func:`read_mapped` gives the values as read-only views.

Both treat float32 initializers of the main graph, whose values lie in the file as they do in memory. Everything else
is copied. Files here are our own or have passed inspection, which refuses external data of a foreign model.
Wire format: https://protobuf.dev/programming-guides/encoding/.
"""

from collections.abc import Iterable, Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx

from edge_agent.backends import Array
from edge_agent.backends.onnx.skeleton import PAYLOAD_BYTES, encode_varint, read_skeleton, read_varint

_LENGTH_DELIMITED = 2
"""The wire type of strings, bytes, messages and packed numbers."""


def _number(message: Any, field: str) -> int:
    return int(message.DESCRIPTOR.fields_by_name[field].number)


_GRAPH = _number(onnx.ModelProto, "graph")
_INITIALIZER = _number(onnx.GraphProto, "initializer")
_NAME, _TYPE = _number(onnx.TensorProto, "name"), _number(onnx.TensorProto, "data_type")
_VALUES = {_number(onnx.TensorProto, "raw_data"), _number(onnx.TensorProto, "float_data")}
"""Both are little-endian float32 one after the other."""
_LOCATION = _number(onnx.TensorProto, "data_location")


class _Field(NamedTuple):
    """One field of a message: bytes ``[start, end)`` of the file, of which ``[body, end)`` are the value."""

    number: int
    wire_type: int
    start: int
    body: int
    end: int


def referring(path: Path, outputs: Iterable[str] = ()) -> bytes:
    """The model in ``path`` with its large weights by reference, and with further tensors as outputs.

    The runtime finds the weights in ``path.parent`` (:func:`.session.create_session`, ``weights``). It reports a
    reference that does not fit the tensor's type and shape as an error. The runtime finds the outputs' types.
    """
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as mapped:
        model = b"".join(_model(mapped, path.name))
    graph = onnx.GraphProto(output=[onnx.ValueInfoProto(name=name) for name in outputs])
    # A message behind another of its kind merges into it, so nothing needs to be parsed.
    return model + bytes(onnx.ModelProto(graph=graph).SerializeToString())


def read_mapped(path: Path) -> tuple[Any, dict[str, Array]]:
    """The ``ModelProto`` without large weights, and each large weight by name as a read-only view of the file.

    Raises:
        ModelError: as :func:`.skeleton.read_skeleton`.
    """
    model, _ = read_skeleton(path)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    with path.open("rb") as file:
        mapped = mmap(file.fileno(), 0, access=ACCESS_READ)  # the views keep it open
    views: dict[str, Array] = {}
    for graph in _of(mapped, 0, len(mapped), _GRAPH):
        for field in _of(mapped, graph.body, graph.end, _INITIALIZER):
            values = _large(mapped, field)
            if values is not None:
                name = _name(mapped, field)
                flat = np.frombuffer(mapped, "<f4", (values.end - values.body) // 4, values.body)
                views[name] = flat.reshape(tuple(tensors[name].dims))
    return model, views


def _model(mapped: mmap, location: str) -> Iterator[bytes]:
    for field in _fields(mapped, 0, len(mapped)):
        if field.number == _GRAPH:
            yield from _message(mapped, field, b"".join(_graph(mapped, field, location)))
        else:
            yield mapped[field.start : field.end]


def _graph(mapped: mmap, graph: _Field, location: str) -> Iterator[bytes]:
    for field in _fields(mapped, graph.body, graph.end):
        values = _large(mapped, field) if field.number == _INITIALIZER else None
        if values is None:
            yield mapped[field.start : field.end]
        else:
            others = mapped[field.body : values.start] + mapped[values.end : field.end]
            yield from _message(mapped, field, others + _reference(location, values))


def _reference(location: str, values: _Field) -> bytes:
    entries = {"location": location, "offset": str(values.body), "length": str(values.end - values.body)}
    return bytes(
        onnx.TensorProto(
            data_location=onnx.TensorProto.EXTERNAL,
            external_data=[onnx.StringStringEntryProto(key=key, value=value) for key, value in entries.items()],
        ).SerializeToString()
    )


def _message(mapped: mmap, field: _Field, content: bytes) -> Iterator[bytes]:
    """``content`` in place of the value of ``field``."""
    tag, _ = read_varint(mapped, field.start, field.end)
    yield encode_varint(tag) + encode_varint(len(content))
    yield content


def _large(mapped: mmap, tensor: _Field) -> _Field | None:
    """The values of a float32 initializer that a skeleton leaves out, or None."""
    fields = list(_fields(mapped, tensor.body, tensor.end))
    numbers = {field.number: read_varint(mapped, field.body, field.end)[0] for field in fields if not field.wire_type}
    if numbers.get(_TYPE) != onnx.TensorProto.FLOAT or numbers.get(_LOCATION, 0) != onnx.TensorProto.DEFAULT:
        return None
    values = [field for field in fields if field.number in _VALUES]
    if len(values) != 1 or values[0].wire_type != _LENGTH_DELIMITED:
        return None
    return values[0] if values[0].end - values[0].body > PAYLOAD_BYTES else None


def _name(mapped: mmap, tensor: _Field) -> str:
    *_, field = _of(mapped, tensor.body, tensor.end, _NAME)
    return mapped[field.body : field.end].decode()


def _of(mapped: mmap, position: int, end: int, number: int) -> Iterator[_Field]:
    return (field for field in _fields(mapped, position, end) if field.number == number)


def _fields(mapped: mmap, position: int, end: int) -> Iterator[_Field]:
    """The fields of the message in bytes ``[position, end)``, whose lengths :func:`read_skeleton` has checked."""
    while position < end:
        start = position
        tag, body = read_varint(mapped, position, end)
        match tag & 7:
            case 0:
                _, position = read_varint(mapped, body, end)
            case 1:
                position = body + 8
            case 5:
                position = body + 4
            case _:
                length, body = read_varint(mapped, body, end)
                position = body + length
        yield _Field(tag >> 3, tag & 7, start, body, position)
