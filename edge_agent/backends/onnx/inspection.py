"""The content of an ONNX file, and whether it is a float model that this agent can quantize.

Reads only structure (:mod:`.skeleton`): no weights, no external files, and no runtime unless an operator is unknown.
Other faults that only the runtime can find (an operator version without a kernel) appear when the model is prepared or
opened.
"""

from collections import Counter
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto

from edge_agent.backends import ModelInfo, TensorSpec
from edge_agent.backends.onnx.operators import FAMILIAR, RECURRENT, WEIGHTED
from edge_agent.backends.onnx.skeleton import read_skeleton
from edge_agent.backends.onnx.stored_weights import quantized_by
from edge_agent.errors import ModelError

STANDARD_DOMAINS = ("", "ai.onnx")
_CLASSIC = "ai.onnx.ml"
_SERVED_DOMAINS = (*STANDARD_DOMAINS, _CLASSIC, "com.microsoft")
"""Domains of onnxruntime's own operators."""
_HALF = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
_TREES = ("TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor")


def read_info(path: Path) -> ModelInfo:
    """Inspect a file.

    Raises:
        ModelError: ``model_unreadable``, ``model_too_large``, ``external_data``, ``already_quantized``,
            ``custom_operator`` or ``model_unsupported``.
    """
    model, size = read_skeleton(path)
    opset = _opset(model)
    graphs = list(_graphs(model))
    nodes = [node for graph in graphs for node in graph.node]
    if not nodes or not model.graph.output:
        raise ModelError("model_unreadable", f"{path.name} holds no graph; export it again")
    tensors = [tensor for graph in graphs for tensor in _tensors(graph)]
    _refuse_external_data(tensors)
    _refuse_quantized(graphs, nodes)
    _refuse_classic(nodes)
    _refuse_half(model, tensors)
    _refuse_custom(path, model, nodes)
    fed = {tensor.name for tensor in model.graph.initializer}
    return ModelInfo(
        format="onnx",
        inputs=tuple(_spec(value, "input") for value in model.graph.input if value.name not in fed),
        outputs=tuple(_spec(value, "output") for value in model.graph.output),
        operators=dict(Counter(node.op_type for node in nodes)),
        version=f"opset {opset}" if opset else "no standard opset",
        size_bytes=size,
    )


def _opset(model: Any) -> int:
    """The standard opset; 0 if a model has only operators of other sets."""
    if not model.opset_import:
        raise ModelError("model_unreadable", "the file names no ONNX opset and is not an ONNX model; export it again")
    return max((int(entry.version) for entry in model.opset_import if entry.domain in STANDARD_DOMAINS), default=0)


def _refuse_classic(nodes: list[Any]) -> None:
    """Reject a model of classic machine learning without layers; in a mixed model, the layers are quantized."""
    if any(node.domain != _CLASSIC and node.op_type in (*WEIGHTED, *RECURRENT) for node in nodes):
        return
    classic = next((node for node in nodes if node.domain == _CLASSIC), None)
    if classic is None:
        return
    trees = any(node.op_type in _TREES for node in nodes)
    what = "a tree ensemble" if trees else f"{classic.op_type}, an operator of {_CLASSIC}"
    raise ModelError(
        "model_unsupported",
        f"int8 has nothing to quantize in {what}: node {classic.name or classic.output[0]!r} has no weight matrix; "
        "serve the model as it is",
    )


def _graphs(model: Any) -> Iterator[Any]:
    """The main graph, every subgraph, and the bodies of the model's own functions."""
    waiting = [model.graph, *model.functions]
    while waiting:
        graph = waiting.pop(0)
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                waiting.extend(attribute.graphs)
                if attribute.type == onnx.AttributeProto.GRAPH:
                    waiting.append(attribute.g)


def _tensors(graph: Any) -> Iterator[Any]:
    """Every constant tensor of one graph: initializers and attribute tensors."""
    if isinstance(graph, onnx.GraphProto):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield sparse.values
            yield sparse.indices
    for node in graph.node:
        for attribute in node.attribute:
            yield from attribute.tensors
            if attribute.HasField("t"):
                yield attribute.t


def _refuse_external_data(tensors: list[Any]) -> None:
    for tensor in tensors:
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            raise ModelError(
                "external_data",
                f"weight {tensor.name!r} is stored in another file; save the model as one file "
                "(onnx.save_model without save_as_external_data)",
            )


def _refuse_quantized(graphs: list[Any], nodes: list[Any]) -> None:
    if found := quantized_by(nodes, graphs):
        raise ModelError("already_quantized", f"{found}; push the float model")


def _refuse_half(model: Any, tensors: list[Any]) -> None:
    values = [*model.graph.input, *model.graph.output]
    half = next((tensor.name for tensor in tensors if tensor.data_type in _HALF and prod(tensor.dims) > 1), None)
    half = half or next((value.name for value in values if value.type.tensor_type.elem_type in _HALF), None)
    if half is not None:
        raise ModelError("model_unsupported", f"{half!r} is 16-bit float; export the model in float32")


def _refuse_custom(path: Path, model: Any, nodes: list[Any]) -> None:
    """Reject unknown operators that the runtime lacks; the runtime is asked only if one is unknown."""
    own = {(function.domain, function.name) for function in model.functions}
    unknown = next((node for node in nodes if (node.domain, node.op_type) not in own and not _is_known(node)), None)
    if unknown is None:
        return
    from edge_agent.backends.onnx.session import create_session  # noqa: PLC0415  # most models need no runtime here

    try:
        create_session(path)
    except (ModelError, MemoryError) as error:
        kind = f"{unknown.domain + '.' if unknown.domain else ''}{unknown.op_type}"
        raise ModelError(
            "custom_operator",
            f"operator {kind} of node {unknown.name or unknown.output[0]!r} is not an onnxruntime operator; "
            f"export with standard operators ({getattr(error, 'message', error)})",
        ) from error


def _is_known(node: Any) -> bool:
    domain = "" if node.domain in STANDARD_DOMAINS else node.domain
    if domain == "com.microsoft" or (not domain and node.op_type in FAMILIAR):
        return True
    return domain in _SERVED_DOMAINS and bool(onnx.defs.has(node.op_type, domain))


def _spec(value: Any, what: str) -> TensorSpec:
    if value.type.WhichOneof("value") != "tensor_type":
        raise ModelError("model_unsupported", f"{what} {value.name!r} is not a tensor; export a model of tensors")
    tensor = value.type.tensor_type
    if tensor.elem_type in (TensorProto.UNDEFINED, TensorProto.STRING):
        raise ModelError("model_unsupported", f"{what} {value.name!r} is not numeric; export a model of numbers")
    if what == "input" and not tensor.HasField("shape"):
        raise ModelError("model_unsupported", f"input {value.name!r} has no shape; export the model with input shapes")
    dims = tuple(
        int(dim.dim_value) if dim.HasField("dim_value") and dim.dim_value >= 0 else None for dim in tensor.shape.dim
    )
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    except (KeyError, ValueError) as error:
        raise ModelError("model_unsupported", f"{what} {value.name!r} has an unknown element type") from error
    return TensorSpec(value.name, dtype, dims)
