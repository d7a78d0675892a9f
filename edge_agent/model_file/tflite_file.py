"""The inputs and outputs of a ``.tflite`` file, from the few tables of its flatbuffer that describe them.

A table begins with the distance back to its list of fields, which gives the offset of each field in the table (0:
absent). A field's own value points to strings, vectors and tables. Field numbers: schema.fbs.
"""

from collections.abc import Callable
from dataclasses import replace
from mmap import mmap
from struct import Struct

from edge_agent.model_file.tensors import ModelTensors, Shape, Tensor
from edge_agent.model_file.wiring import Wiring

_IDENTIFIER = b"TFL3"
_MODEL_CODES, _MODEL_GRAPHS, _MODEL_SIGNATURES = 1, 2, 7
_GRAPH_TENSORS, _GRAPH_INPUTS, _GRAPH_OUTPUTS, _GRAPH_NODES = 0, 1, 2, 3
_CODE_FORMER, _CODE = 0, 3
_NODE_CODE, _NODE_INPUTS, _NODE_OUTPUTS = 0, 1, 2
_TENSOR_SHAPE, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_WISHED_SHAPE = 0, 1, 3, 7
_SIGNATURE_INPUTS, _SIGNATURE_OUTPUTS, _SIGNATURE_KEY, _SIGNATURE_GRAPH = 0, 1, 2, 4
_NAMED_NAME, _NAMED_TENSOR = 0, 1
_DTYPES = (
    *("float32", "float16", "int32", "uint8", "int64", "", "bool", "int16", "complex64", "int8", "float64"),
    *("complex128", "uint64", "", "", "uint32", "uint16"),
)
_OPERATORS = {
    0: "Add", 6: "Dequantize", 9: "Gemm", 11: "L2Normalization", 14: "Sigmoid", 18: "Mul", 22: "Reshape", 25: "Softmax",
    28: "Tanh", 39: "Transpose", 41: "Sub", 42: "Div", 43: "Squeeze", 50: "LogSoftmax", 53: "Cast", 56: "ArgMax",
    70: "ExpandDims",
}  # fmt: skip
"""Those that say what an input or output may mean, by ONNX's names."""
_UNSIGNED, _SIGNED, _SHORT = Struct("<I"), Struct("<i"), Struct("<H")
_MAX_COUNT = 1 << 16
_MAX_ELEMENTS = 1 << 20
"""Of all vectors that are read. Tables of a hostile file may share a long one, so its size does not bound the work."""


def read(data: mmap) -> ModelTensors:
    """The main graph's inputs and outputs, with the names of its signature if it has one.

    Raises:
        ValueError, IndexError, struct.error: the file is not of this format.
    """
    if data[4:8] != _IDENTIFIER:
        raise ValueError("another identifier")
    model = _Table(_File(data), _UNSIGNED.unpack_from(data)[0])
    graph = model.tables(_MODEL_GRAPHS)[0]
    tensors = graph.tables(_GRAPH_TENSORS)
    mine = [one for one in model.tables(_MODEL_SIGNATURES) if not one.number(_SIGNATURE_GRAPH)]
    named = next((one for one in mine if one.text(_SIGNATURE_KEY) == "serving_default"), mine[0] if mine else None)

    wiring = _wiring(model, graph)

    def described(field: int, names_field: int, operator: Callable[[int], str]) -> tuple[Tensor, ...]:
        names: dict[int, str] = {}
        for pair in named.tables(names_field) if named else ():
            names.setdefault(pair.number(_NAMED_TENSOR), pair.text(_NAMED_NAME))
        return tuple(
            replace(_tensor(tensors[index], names.get(index, "")), operator=operator(index))
            for index in graph.numbers(field)
        )

    return ModelTensors(
        described(_GRAPH_INPUTS, _SIGNATURE_INPUTS, wiring.taker),
        described(_GRAPH_OUTPUTS, _SIGNATURE_OUTPUTS, wiring.maker),
    )


def _wiring(model: "_Table", graph: "_Table") -> Wiring[int]:
    """The operators of the graph; one that no name is known of is called by its number."""
    codes = [max(one.byte(_CODE_FORMER), one.number(_CODE)) for one in model.tables(_MODEL_CODES)]
    wiring = Wiring[int]()
    for node in graph.tables(_GRAPH_NODES):
        code = codes[node.number(_NODE_CODE)]
        wiring.add(_OPERATORS.get(code, str(code)), node.numbers(_NODE_INPUTS), node.numbers(_NODE_OUTPUTS))
    return wiring


def _tensor(table: "_Table", public: str) -> Tensor:
    sizes, wished = table.numbers(_TENSOR_SHAPE), table.numbers(_TENSOR_WISHED_SHAPE)
    shape: Shape = tuple(
        None if size <= 0 or (len(wished) == len(sizes) and wished[axis] < 0) else size
        for axis, size in enumerate(sizes)
    )
    kind = table.byte(_TENSOR_TYPE)
    return Tensor(public or table.text(_TENSOR_NAME), shape, _DTYPES[kind] if kind < len(_DTYPES) else "")


class _File:
    """The bytes, and how many elements of vectors may still be read."""

    def __init__(self, data: mmap) -> None:
        self.data = data
        self._left = _MAX_ELEMENTS

    def spend(self, elements: int) -> None:
        """Raise ``ValueError`` for more than any model has."""
        self._left -= elements
        if elements > _MAX_COUNT or self._left < 0:
            raise ValueError("more than any model has")


class _Table:
    """A table of the file."""

    def __init__(self, file: _File, place: int) -> None:
        self._file, data = file, file.data
        self._data = data
        self._place = place
        self._fields = place - int(_SIGNED.unpack_from(data, place)[0])
        self._size = int(_SHORT.unpack_from(data, self._fields)[0])

    def number(self, field: int) -> int:
        """An unsigned number of four bytes; 0 if absent."""
        place = self._at(field)
        return int(_UNSIGNED.unpack_from(self._data, place)[0]) if place else 0

    def byte(self, field: int) -> int:
        """A number of one byte."""
        place = self._at(field)
        return self._data[place] if place else 0

    def text(self, field: int) -> str:
        """A string; empty if absent."""
        start, count = self._vector(field)
        return self._data[start : start + count].decode()

    def numbers(self, field: int) -> tuple[int, ...]:
        """A vector of signed numbers of four bytes."""
        start, count = self._vector(field)
        return tuple(int(_SIGNED.unpack_from(self._data, start + 4 * number)[0]) for number in range(count))

    def tables(self, field: int) -> list["_Table"]:
        """A vector of tables."""
        start, count = self._vector(field)
        places = range(start, start + 4 * count, 4)
        return [_Table(self._file, at + int(_UNSIGNED.unpack_from(self._data, at)[0])) for at in places]

    def _vector(self, field: int) -> tuple[int, int]:
        """The position of a vector's first element, and the number of elements."""
        place = self._at(field)
        if not place:
            return 0, 0
        place += int(_UNSIGNED.unpack_from(self._data, place)[0])
        count = int(_UNSIGNED.unpack_from(self._data, place)[0])
        self._file.spend(count)
        return place + 4, count

    def _at(self, field: int) -> int:
        """The position of a field; 0 if absent."""
        offset = 4 + 2 * field
        if offset >= self._size:
            return 0
        distance = int(_SHORT.unpack_from(self._data, self._fields + offset)[0])
        return self._place + distance if distance else 0
