"""The LSTM of the dynamic model: DynamicQuantizeLSTM, an operator of onnxruntime's own.

Its weights are integers, and it quantizes its input and its state at each step. It needs weights as [directions,
inputs, 4 x hidden], the transpose of an LSTM's, with one scale per direction or per column of a direction
(https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md). GRU and RNN have no such operator and
stay float.
"""

from functools import cache
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from edge_agent.backends import CandidateSpec
from edge_agent.backends.onnx.graph import Graph, attribute
from edge_agent.backends.onnx.session import create_session
from edge_agent.backends.onnx.surgery import ZERO_POINT, Surgery, as_unsigned, int8_grid
from edge_agent.errors import ModelError

DOMAIN = "com.microsoft"
WEIGHTS = (1, 2)
"""The positions of input and recurrent weights among an LSTM's inputs."""
_INPUTS = 8
"""Most inputs of an LSTM; scales and zero points follow."""
_OPSET = 17
_IR_VERSION = 8


def is_quantizable_lstm(graph: Graph, node: Any) -> bool:
    """Whether a node is an LSTM with constant weights, and the installed runtime has its quantized form."""
    if node.op_type != "LSTM" or attribute(node, "layout"):
        return False
    weights = [graph.constants.get(node.input[place]) for place in WEIGHTS]
    return all(one is not None and one.data_type == TensorProto.FLOAT for one in weights) and has_kernel()


def quantized_lstm(surgery: Surgery, node: Any, spec: CandidateSpec) -> list[Any]:
    """The node that replaces an LSTM."""
    inputs = [*node.input, *[""] * (_INPUTS - len(node.input))]
    for place in WEIGHTS:
        name = node.input[place]
        values = np.ascontiguousarray(np.swapaxes(surgery.graph.array(name), 1, 2))
        columns = values if spec.per_channel else values.reshape(len(values), -1, 1)
        grids = [int8_grid(one, 1 if spec.per_channel else None) for one in columns]
        integers = np.stack([one for one, _ in grids]).reshape(values.shape)
        scale = np.stack([scale.reshape(-1) for _, scale in grids])
        scale = scale if spec.per_channel else scale.reshape(-1)
        unsigned = spec.types == "u8u8"
        zero = np.full(scale.shape, ZERO_POINT if unsigned else 0, np.uint8 if unsigned else np.int8)
        inputs[place] = surgery.constant(f"{name}_integers", as_unsigned(integers) if unsigned else integers)
        inputs += [surgery.constant(f"{name}_scale", scale), surgery.constant(f"{name}_zero", zero)]
    made = helper.make_node("DynamicQuantizeLSTM", inputs, list(node.output), node.name, domain=DOMAIN)
    made.attribute.extend(entry for entry in node.attribute if entry.name != "layout")
    return [made]


@cache
def has_kernel() -> bool:
    """Whether the installed runtime has the operator; loads it once to find out."""
    shapes = {"W": (1, 1, 4), "R": (1, 1, 4)}
    constants = [numpy_helper.from_array(np.ones(shape, np.int8), name) for name, shape in shapes.items()]
    constants += [numpy_helper.from_array(np.ones(1, np.float32), f"{name}s") for name in shapes]
    constants += [numpy_helper.from_array(np.zeros(1, np.int8), f"{name}z") for name in shapes]
    inputs = ["X", "W", "R", "", "", "", "", "", "Ws", "Wz", "Rs", "Rz"]
    node = helper.make_node("DynamicQuantizeLSTM", inputs, ["Y"], domain=DOMAIN, hidden_size=1)
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("X", "Y"))
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(DOMAIN, 1)]
    graph = helper.make_graph([node], "lstm", [x], [y], constants)
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
    try:
        create_session(model.SerializeToString())
    except ModelError:
        return False
    return True
