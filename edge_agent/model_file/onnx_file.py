"""The inputs and outputs of an ``.onnx`` file, from the few fields of ONNX's protobuf that describe them.

A protobuf message is a sequence of fields: a number and a kind, then a varint, four or eight bytes, or a length and as
many bytes. Other fields are skipped, including weights. Field numbers: onnx.proto3.
"""

from collections.abc import Iterator
from dataclasses import replace
from mmap import mmap

from edge_agent.model_file.tensors import ModelTensors, Shape, Tensor
from edge_agent.model_file.wiring import Wiring

_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT = 1, 5, 11, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_OPERATOR = 1, 2, 4
_TENSOR_NAME = 8
_VALUE_NAME, _VALUE_TYPE = 1, 2
_TYPE_TENSOR = 1
_TENSOR_ELEMENT, _TENSOR_SHAPE = 1, 2
_SHAPE_DIM = 1
_DIM_VALUE = 1
_DTYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool", 10: "float16",
    11: "float64", 12: "uint32", 13: "uint64",
}  # fmt: skip
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
_MAX_SHIFT = 63

Field = tuple[int, int | range]
"""A field's number, and its varint or the position of its bytes."""


def read(data: mmap) -> ModelTensors:
    """The main graph's inputs, except those with a weight of their own, and its outputs.

    Raises:
        ValueError, IndexError: the file is not of this format.
    """
    graph = _last(data, range(len(data)), _MODEL_GRAPH)
    weights, inputs, outputs, wiring = set[str](), list[Tensor](), list[Tensor](), Wiring[str]()
    for number, place in _fields(data, graph):
        if isinstance(place, range):
            if number == _GRAPH_INITIALIZER:
                weights.add(_text(data, _last(data, place, _TENSOR_NAME)))
            elif number == _GRAPH_INPUT:
                inputs.append(_value(data, place))
            elif number == _GRAPH_OUTPUT:
                outputs.append(_value(data, place))
            elif number == _GRAPH_NODE:
                _add_node(data, place, wiring)
    return ModelTensors(
        tuple(replace(one, operator=wiring.taker(one.name)) for one in inputs if one.name not in weights),
        tuple(replace(one, operator=wiring.maker(one.name)) for one in outputs),
    )


def _add_node(data: mmap, place: range, wiring: Wiring[str]) -> None:
    inputs, outputs, operator = list[str](), list[str](), ""
    for number, found in _fields(data, place):
        if isinstance(found, range):
            if number == _NODE_INPUT:
                inputs.append(_text(data, found))
            elif number == _NODE_OUTPUT:
                outputs.append(_text(data, found))
            elif number == _NODE_OPERATOR:
                operator = _text(data, found)
    wiring.add(operator, inputs, outputs)


def _value(data: mmap, place: range) -> Tensor:
    tensor = _last(data, _last(data, place, _VALUE_TYPE), _TYPE_TENSOR)
    element, shape = 0, None
    for number, found in _fields(data, tensor):
        if number == _TENSOR_ELEMENT and isinstance(found, int):
            element = found
        elif number == _TENSOR_SHAPE and isinstance(found, range):
            shape = _shape(data, found)
    return Tensor(_text(data, _last(data, place, _VALUE_NAME)), shape, _DTYPES.get(element, ""))


def _shape(data: mmap, place: range) -> Shape:
    sizes: list[int | None] = []
    for number, dim in _fields(data, place):
        if number == _SHAPE_DIM and isinstance(dim, range):
            values = [value for key, value in _fields(data, dim) if key == _DIM_VALUE and isinstance(value, int)]
            sizes.append(values[-1] if values and 0 < values[-1] < 1 << 31 else None)
    return tuple(sizes)


def _last(data: mmap, place: range, wanted: int) -> range:
    """The position of a field's bytes; the last of several counts, and an absent field is empty."""
    found = range(place.stop, place.stop)
    for number, value in _fields(data, place):
        if number == wanted and isinstance(value, range):
            found = value
    return found


def _text(data: mmap, place: range) -> str:
    return data[place.start : place.stop].decode()


def _fields(data: mmap, place: range) -> Iterator[Field]:
    """Every field of the message at ``place``."""
    at = place.start
    while at < place.stop:
        key, at = _varint(data, at, place.stop)
        number, kind = key >> 3, key & 7
        if not number:
            raise ValueError("a field without a number")
        if kind == _VARINT:
            value, at = _varint(data, at, place.stop)
            yield number, value
            continue
        size, at = _varint(data, at, place.stop) if kind == _BYTES else ({_EIGHT: 8, _FOUR: 4}[kind], at)
        if size > place.stop - at:
            raise ValueError("a field that is longer than its message")
        yield number, range(at, at + size)
        at += size


def _varint(data: mmap, at: int, stop: int) -> tuple[int, int]:
    value = shift = 0
    while at < stop and shift <= _MAX_SHIFT:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:  # noqa: PLR2004  # the highest bit marks a continuation
            return value, at
    raise ValueError("a number without an end")
