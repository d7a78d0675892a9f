"""The type and shape of every tensor of a graph: by onnx's inference, and by the runtime's where that gives up."""

from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto

from edge_agent.backends.onnx.session import create_session
from edge_agent.backends.onnx.skeleton import read_skeleton


def infer_types(path: Path) -> list[Any]:
    """A ``ValueInfoProto`` for each tensor between inputs and outputs whose type can be found.

    Inference runs on the file without its weights, of which only small ones (shapes, axes) say anything about types.
    """
    skeleton, _ = read_skeleton(path)
    graph = onnx.shape_inference.infer_shapes(skeleton, data_prop=True).graph
    found = list(graph.value_info)
    known = {value.name for value in (*found, *graph.input, *graph.output)}
    missing = {name for node in graph.node for name in node.output if name} - known
    return found + _float_outputs(path, sorted(missing)) if missing else found


def _float_outputs(path: Path, names: list[str]) -> list[Any]:
    """Those of the tensors that the runtime takes for float32; of operators that only it knows."""
    model = onnx.load_model(path, load_external_data=False)
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    serialized = model.SerializeToString()
    del model
    return [
        onnx.helper.make_tensor_value_info(value.name, TensorProto.FLOAT, None)
        for value in create_session(serialized).get_outputs()
        if value.name in names and value.type == "tensor(float)"
    ]
