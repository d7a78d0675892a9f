"""One standard form of graph, on which ``taps``, ``operators`` and ``rewriting`` rely.

A prepared model computes the same function as the original, and has these properties:

* The opset is at least 13 (per-channel DequantizeLinear).
* All weights are initializers, and all constants are folded: batch norm into convolutions, Gemm's beta into its bias.
* Layers share no bias, and nodes of the main graph have unique names.
* The type of every quantizable tensor is known.
* Inputs and outputs are the original's. Preparation is deterministic.

The runtime's own offline optimisation folds constants, at its basic level: hardware-independent, standard operators
only, no sympy. The caller proves on data that the prepared model equals the original.
"""

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
from onnx import TensorProto, version_converter

from edge_agent.backends.onnx.graph import Graph, with_inner
from edge_agent.backends.onnx.inner import hoist_weights, inner_layers
from edge_agent.backends.onnx.names import free, name_nodes, tensor_names
from edge_agent.backends.onnx.operators import RECURRENT, WEIGHTED
from edge_agent.backends.onnx.session import create_session
from edge_agent.backends.onnx.skeleton import read_skeleton
from edge_agent.backends.onnx.tensor_types import infer_types
from edge_agent.backends.said import first_line
from edge_agent.errors import ModelError
from edge_agent.process.heap import give_back

MIN_OPSET = 13
_MIN_IR = 4  # from here on an initializer need not be listed as an input
_STANDARD = ("", "ai.onnx")
_BIASED, _BIAS = ("Conv", "ConvTranspose", "Gemm"), 2
"""Operators with a bias, and its position among their inputs."""
_FOLD_SLACK_BYTES = 16 * 2**20


def prepare_model(path: Path, out: Path) -> None:
    """Write the prepared form of ``path`` to ``out``.

    Raises:
        ModelError: ``model_unreadable``, ``custom_operator`` or ``model_unsupported``.
    """
    skeleton, size = read_skeleton(path)
    with TemporaryDirectory(dir=out.parent, prefix="prepare-") as folder:
        source = path if _is_modern(skeleton) else _modernised(path, Path(folder) / "modern.onnx")
        folded = Path(folder) / "folded.onnx"
        _fold(source, folded, size)
        give_back()
        types = infer_types(folded)
        model = _load(folded, weights_beside=True)
    del model.graph.value_info[:]
    model.graph.value_info.extend(types)
    _drop_unused_opsets(model)
    hoist_weights(model)
    _rename_constants(model, skeleton)
    _fold_beta(model)
    _own_biases(model)
    name_nodes(model.graph.node)
    onnx.helper.set_model_props(model, {entry.key: entry.value for entry in skeleton.metadata_props})
    graph = Graph(model)
    if not any(True for _ in (*graph.quantizable((*WEIGHTED, *RECURRENT)), *inner_layers(graph))):
        raise ModelError(
            "model_unsupported",
            f"nothing in {path.name} would gain from int8: it has no float Conv, ConvTranspose, Gemm, MatMul, LSTM, "
            "GRU or RNN; serve it as it is",
        )
    onnx.save_model(model, out)


def _load(path: Path, *, weights_beside: bool = False) -> Any:
    try:
        model = onnx.load_model(path, load_external_data=weights_beside)
    except Exception as error:  # protobuf's DecodeError has no stable import path across its implementations
        raise ModelError("model_unreadable", f"{path.name} is not an ONNX model: {error}; export it again") from error
    for tensor in model.graph.initializer:
        if tensor.data_location == TensorProto.DEFAULT:
            tensor.ClearField("data_location")  # onnx records where it has just put the weights
    return model


def _opset(model: Any) -> int:
    return max((int(entry.version) for entry in model.opset_import if entry.domain in _STANDARD), default=0)


def _is_modern(model: Any) -> bool:
    fed = {value.name for value in model.graph.input}
    return _opset(model) >= MIN_OPSET and not any(tensor.name in fed for tensor in model.graph.initializer)


def _modernised(path: Path, out: Path) -> Path:
    """Write the model with constant weights (not overridable inputs) and opset 13 or later to ``out``."""
    model = _load(path)
    constant = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constant]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    model.ir_version = max(model.ir_version, _MIN_IR)
    if (opset := _opset(model)) < MIN_OPSET:
        try:
            model = version_converter.convert_version(model, MIN_OPSET)
        except Exception as error:  # a C++ RuntimeError or a ConvertError, by version of onnx
            raise ModelError(
                "model_unsupported",
                f"opset {opset} cannot be raised to {MIN_OPSET} ({first_line(error)}); "
                f"export the model with opset {MIN_OPSET} or later",
            ) from error
    onnx.save_model(model, out)
    return out


def _fold(source: Path, out: Path, size: int) -> None:
    create_session(
        source,
        optimized_path=out,
        entries={
            # A constant larger than the whole file is an expansion, and may be an attempt to fill the memory.
            "optimization.constant_folding_max_output_size_in_bytes": str(size + _FOLD_SLACK_BYTES),
            # Weights written into the file itself would be in memory three times.
            "session.optimized_model_external_initializers_file_name": f"{out.name}.data",
        },
    )


def _drop_unused_opsets(model: Any) -> None:
    """Drop unused opsets: the runtime declares all its own domains, and a reader that lacks one rejects the model."""
    used = {"" if node.domain in _STANDARD else node.domain for node in _all_nodes(model)}
    kept = [entry for entry in model.opset_import if entry.domain in used | {""}]
    del model.opset_import[:]
    model.opset_import.extend(kept)


def _all_nodes(model: Any) -> Iterable[Any]:
    return with_inner(node for graph in (model.graph, *model.functions) for node in graph.node)


def _rename_constants(model: Any, original: Any) -> None:
    """Rename constants made by the runtime, so that it cannot generate the same names again at a later load.

    It does not check whether a name exists: it rejected a transformer with ten float layers for "an attempt to replace
    the existing tensor" (onnxruntime 1.32, its fusion of MatMul and Add).
    """
    known = {tensor.name for tensor in original.graph.initializer}
    known.update(name for node in original.graph.node for name in (*node.input, *node.output))
    made = {one.name: f"{one.name}/prepared" for one in model.graph.initializer if one.name not in known}
    for tensor in model.graph.initializer:
        tensor.name = made.get(tensor.name, tensor.name)
    for node in _all_nodes(model):
        for place, name in enumerate(node.input):
            node.input[place] = made.get(name, name)


def _fold_beta(model: Any) -> None:
    """Fold Gemm's beta into its bias: onnxruntime's quantizer drops beta, at a loss of 35 dB."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != "Gemm":
            continue
        bias = next((constants[name] for name in node.input[2:] if name in constants), None)
        beta = next((entry for entry in node.attribute if entry.name == "beta"), None)
        if bias is None or beta is None or beta.f == 1:
            continue
        values = onnx.numpy_helper.to_array(bias)
        node.input[2] = f"{node.output[0]}_bias"
        model.graph.initializer.append(
            onnx.numpy_helper.from_array((values * beta.f).astype(values.dtype), node.input[2])
        )
        node.attribute.remove(beta)


def _own_biases(model: Any) -> None:
    """Give each layer its own bias: onnxruntime's quantizer copies a shared one under names that exist already."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    taken = set(tensor_names(model.graph))
    used: set[str] = set()
    for node in model.graph.node:
        if node.op_type not in _BIASED or len(node.input) <= _BIAS or node.input[_BIAS] not in constants:
            continue
        name = node.input[_BIAS]
        if name in used:
            own = TensorProto()
            own.CopyFrom(constants[name])
            own.name = free(name, taken)
            model.graph.initializer.append(own)
            node.input[_BIAS] = own.name
        used.add(name)
