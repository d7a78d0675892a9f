"""The static int8 model: QuantizeLinear/DequantizeLinear pairs around a candidate's layers, from our own ranges.

onnxruntime's ``QDQQuantizer`` inserts the pairs; its calibrators are never called. ``_overrides`` corrects its faults.
Activations are asymmetric, signed or not: a range that starts at 0, as after every ReLU, uses all 256 levels. Signed
weights are symmetric, unsigned ones asymmetric. 16-bit activations would be finer, but onnxruntime has no integer
kernel for them: measured on x86 (1.32), such a Conv takes 1.4 to 1.7 times float's time.
"""

from collections.abc import Mapping
from importlib import import_module
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from edge_agent.backends import CandidateSpec, Range
from edge_agent.backends.culprit import Naming, place_of
from edge_agent.backends.nothing_left import nothing_left
from edge_agent.backends.onnx.graph import Graph, attribute
from edge_agent.backends.onnx.names import name_nodes, restore, set_apart
from edge_agent.backends.onnx.operators import QUANTIZABLE, WEIGHTED
from edge_agent.backends.onnx.preparation import MIN_OPSET
from edge_agent.backends.onnx.prevent_requantization import keep_float
from edge_agent.backends.onnx.shared_biases import float_biases, share_biases
from edge_agent.backends.onnx.sharing import Twins, share_constants
from edge_agent.backends.onnx.static_tables import read_shared_tables, shared_tables
from edge_agent.errors import ModelError, StageError

_INFERRED = {"onnx.infer": "onnxruntime.quant"}
"""Marks types as known; otherwise the quantizer writes copies of the model to the temporary directory."""

_ONTO_GRID = 255 / 254
"""The quantizer spreads a symmetric unsigned range over 255 steps, so its upper end is half a step off the grid."""
_TENSOR_TYPES = {"u8": TensorProto.UINT8, "s8": TensorProto.INT8}


def rewrite_model(prepared: Path, ranges: Mapping[str, Range], spec: CandidateSpec, out: Path) -> None:
    """Write the int8 model that ``spec`` describes.

    Raises:
        StageError: a range is missing or not finite.
        ModelError: ``rewrite_invalid``, if no layer is left or the quantizer fails on this graph.
    """
    model = onnx.load_model(prepared, load_external_data=False)
    apart = set_apart(model)
    ranges = {apart.get(name, name): found for name, found in ranges.items()}
    graph = Graph(model)
    operators = spec.operators or QUANTIZABLE
    nodes = [node for node in graph.quantizable(operators) if node.name not in spec.float_layers]
    if not any(node.op_type in WEIGHTED for node in nodes):
        raise nothing_left(spec, graph.weighted())
    axes = weight_axes(graph, nodes, per_channel=spec.per_channel)
    tables = shared_tables(graph, axes, spec.float_layers)
    nodes = [node for node in nodes if node.name not in tables]
    _check_opset(model)
    check_ranges(graph, nodes, ranges)
    overrides = _overrides(graph, nodes, axes, spec)
    biases = float_biases(model)
    quantized = _quantized(model, nodes, ranges, overrides, spec)
    share_biases(quantized, biases)
    keep_float(quantized, spec.float_layers)
    read_shared_tables(quantized, tables)
    share_constants(quantized)
    name_nodes(quantized.graph.node)
    restore(quantized, apart)
    onnx.save_model(quantized, out)


def _check_opset(model: Any) -> None:
    if any(not entry.domain and entry.version < MIN_OPSET for entry in model.opset_import):
        raise StageError("stage_crashed", f"rewrite needs a prepared model of opset {MIN_OPSET} or later")


def check_ranges(graph: Graph, nodes: list[Any], ranges: Mapping[str, Range]) -> None:
    """Raise ``StageError`` unless every tensor around these nodes has a valid range."""
    for node in nodes:
        for name in graph.activations(node):
            found = ranges.get(name)
            if found is None:
                raise StageError("stage_crashed", f"tensor {name!r} of layer {node.name!r} has no range")
            if not (isfinite(found.low) and isfinite(found.high) and found.low <= 0 <= found.high):
                raise StageError(
                    "stage_crashed", f"tensor {name!r} has the impossible range [{found.low:g}, {found.high:g}]"
                )


def _overrides(
    graph: Graph, nodes: list[Any], axes: Mapping[str, int | None], spec: CandidateSpec
) -> dict[str, list[dict[str, Any]]]:
    """Settings per weight that correct the quantizer's own choices.

    * It takes axis 1 of every MatMul weight, which is not the output axis of a weight of rank 3 or a left factor.
    * A ConvTranspose with groups has fewer channels on axis 1 than its bias has elements; a Gemm bias may have rank 2.
    * A weight that two layers read along different axes cannot have scales per channel for both.
    * It gives a channel of zeros scale 1, which rounds the bias to whole steps of the input's scale.
    * It puts the largest weight of an unsigned channel outside the grid.
    * Depthwise convolutions have no fast kernel for unsigned weights with scales per channel, and signed ones are
      exact there on every processor.
    """
    overrides: dict[str, list[dict[str, Any]]] = {}
    depthwise = {node.input[1] for node in nodes if graph.depthwise(node)}
    signed = import_module("onnxruntime.quantization").QuantType.QInt8
    for name, axis in axes.items():
        weights = graph.array(name)
        all_of_it = float(np.abs(weights).max(initial=0.0)) or 1.0
        common: dict[str, Any] = {"symmetric": spec.symmetric_weights}
        if axis is None:
            overrides[name] = [common | ({} if weights.any() else {"rmin": -1.0, "rmax": 1.0})]
            continue
        unsigned = spec.types == "u8u8" and name not in depthwise
        peaks = np.abs(np.moveaxis(weights, axis, 0)).reshape(weights.shape[axis], -1).max(axis=1, initial=0.0)
        common |= {} if unsigned else {"quant_type": signed}
        overrides[name] = [common | _ends(peak or all_of_it, unsigned=unsigned) for peak in peaks.tolist()]
        overrides[name][0]["axis"] = axis
    return overrides


def _ends(peak: float, *, unsigned: bool) -> dict[str, float]:
    """The range of a channel with the largest magnitude ``peak``, so that ``peak`` and -``peak`` are on its grid."""
    end = peak * _ONTO_GRID if unsigned else peak
    return {"rmin": -end, "rmax": end}


def weight_axes(graph: Graph, nodes: list[Any], *, per_channel: bool) -> dict[str, int | None]:
    """Weight → the axis of its scales; None: one scale in total. Twins get the same axis."""
    named = [(name, node) for node in nodes if (name := graph.weight(node)) is not None]
    return Twins(graph.constants).common_axes(
        (name, graph.output_axis(node) if per_channel and _has_channels(graph, node, name) else None)
        for name, node in named
    )


def _has_channels(graph: Graph, node: Any, weight: str) -> bool:
    """Whether the quantizer and the runtime support one scale per output channel of these weights."""
    match node.op_type:
        case "MatMul":
            return weight == node.input[1] and len(graph.constants[weight].dims) == 2  # noqa: PLR2004  # a matrix
        case "ConvTranspose":
            return attribute(node, "group", 1) == 1
        case "Gemm":
            bias = graph.constants.get(node.input[2]) if len(node.input) > 2 else None  # noqa: PLR2004  # A, B, C
            channels = graph.constants[weight].dims[graph.output_axis(node)]
            return bias is None or list(bias.dims) == [channels]
        case _:
            return True


def _quantized(
    model: Any,
    nodes: list[Any],
    ranges: Mapping[str, Range],
    overrides: dict[str, list[dict[str, Any]]],
    spec: CandidateSpec,
) -> Any:
    # The package costs 26 MB of memory, so only the process that really rewrites imports it.
    calibrate = import_module("onnxruntime.quantization.calibrate")
    qdq = import_module("onnxruntime.quantization.qdq_quantizer")
    data = {
        name: calibrate.TensorData(lowest=np.float32(found.low), highest=np.float32(found.high))
        for name, found in ranges.items()
    }
    own_metadata = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, own_metadata | _INFERRED)
    try:
        quantized = qdq.QDQQuantizer(
            model,
            per_channel=spec.per_channel,
            reduce_range=False,  # costs one bit of every weight, and ruins models with one scale per tensor
            weight_qType=_TENSOR_TYPES[spec.types[2:]],
            activation_qType=_TENSOR_TYPES[spec.types[:2]],
            tensors_range=calibrate.TensorsData(calibrate.CalibrationMethod.MinMax, data),
            nodes_to_quantize=[node.name for node in nodes],
            nodes_to_exclude=[],
            op_types_to_quantize=sorted({node.op_type for node in nodes}),
            extra_options={"TensorQuantOverrides": overrides},
        ).quantize_model()
    except Exception as error:  # depends on the graph: ValueError, IndexError …; only this candidate ends
        place = place_of(error, *_namings(model))
        raise ModelError(
            "rewrite_invalid", f"onnxruntime's quantizer fails{place}: {type(error).__name__}: {error}"
        ) from error
    onnx.helper.set_model_props(quantized, own_metadata)
    del quantized.graph.value_info[:]  # the runtime infers it again; storing it would cost size
    return quantized


def _namings(model: Any) -> tuple[Naming, Naming]:
    """Naming functions for the quantizer's variables: nodes are ``NodeProto``, tensors are ``TensorProto`` or names."""
    nodes = {node.name for node in model.graph.node}
    tensors = {name for node in model.graph.node for name in (*node.input, *node.output)}

    def node(value: Any) -> str:
        return str(value.name) if isinstance(value, onnx.NodeProto) and value.name in nodes else ""

    def tensor(value: Any) -> str:
        name = value.name if isinstance(value, onnx.TensorProto) else value
        return name if isinstance(name, str) and name in tensors else ""

    return node, tensor
