"""The type of every tensor of a graph, as inferred by the runtime.

onnx's own inference is not used: it fails at the runtime's own operators, and fills tables of 6 MB in every process
that prepares a model. Shapes are left out: the runtime infers them again, and reports unknown shapes like those of
scalars.
"""

from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto

from edge_agent.backends.onnx.mapped_weights import referring
from edge_agent.backends.onnx.session import create_session
from edge_agent.backends.onnx.skeleton import read_skeleton

_ELEMENTS = {
    "float": TensorProto.FLOAT,
    "double": TensorProto.DOUBLE,
    "float16": TensorProto.FLOAT16,
    "int8": TensorProto.INT8,
    "uint8": TensorProto.UINT8,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "bool": TensorProto.BOOL,
}
"""The runtime's type names; tensors of other types are irrelevant to quantization."""


def infer_types(path: Path) -> list[Any]:
    """A ``ValueInfoProto`` for each tensor of a known type between the inputs and outputs of the graph in ``path``."""
    graph = read_skeleton(path)[0].graph
    known = {value.name for value in (*graph.input, *graph.output)}
    between = dict.fromkeys(name for node in graph.node for name in node.output if name and name not in known)
    session = create_session(referring(path, between), weights=path.parent, optimize=False)
    return [made for value in session.get_outputs() if value.name in between and (made := _value(value)) is not None]


def _value(found: Any) -> Any:
    element = _ELEMENTS.get(found.type.removeprefix("tensor(").removesuffix(")"))
    return None if element is None else onnx.helper.make_tensor_value_info(found.name, element, None)
