"""The int8 model, written by litert-quantizer from our own ranges. Its own calibration is never called.

Static: symmetric int8 weights, asymmetric int8 activations. Dynamic: int8 weights, activations quantized at run time.
Uniform: int8 weights that DEQUANTIZE converts to float when the file is loaded. This module corrects the library's
faults:

* A channel of zero weights gets a step of 1e-11, and its bias overflows in such steps: :func:`_peaks`.
* BATCH_MATMUL with one scale per channel is computed as if there were one scale (1.6 dB): it always gets one.
* A dynamic DEPTHWISE_CONV_2D reads one scale per channel even if there is only one: it always gets one per channel.
* An operator that reads one of the model's outputs reads floats instead of integers: :func:`_reconnect`.
* A quantized output is renamed to ``*_dequant`` and loses its dynamic dimensions: :func:`_restore_outputs`.
* LSTMs stay float: :mod:`.recurrent`.
* If no part of a model can be int8, it still reports success: the caller checks for int8 parts.
"""

from collections.abc import Iterable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.backends import CandidateSpec, Range
from edge_agent.backends.nothing_left import nothing_left
from edge_agent.backends.tflite import schema
from edge_agent.backends.tflite.graph import PreparedGraph, called_graphs
from edge_agent.backends.tflite.library import quantized
from edge_agent.backends.tflite.operators import BIAS, LSTM, QUANTIZABLE, TABLES, VALUES, WEIGHT, WEIGHTED
from edge_agent.backends.tflite.reading import Operator, read_model
from edge_agent.backends.tflite.recurrent import store_lstms
from edge_agent.backends.tflite.shared_tables import shared_lookups, without_float_twins
from edge_agent.backends.tflite.writing import load_objects, save_objects
from edge_agent.errors import ModelError, StageError

_INTEGERS = 127
_MOST_BIAS_STEPS = 2**27
"""A bias is stored in steps of input scale times weight scale; int32 holds 16 times as many."""
_PER_CHANNEL_VERSION = 12
_PAIR = ("QUANTIZE", "DEQUANTIZE")


def rewrite_model(prepared: Path, ranges: Mapping[str, Range], spec: CandidateSpec, out: Path) -> None:
    """Write the model that ``spec`` describes.

    Raises:
        StageError: a range is missing or not finite.
        ModelError: ``rewrite_invalid``, if no layer is left or the quantizer fails on this graph, or
            ``format_unsupported``.
    """
    model = read_model(prepared)
    graph = PreparedGraph(model)
    chosen = chosen_operators(graph, spec)
    lstms = {graph.name(one) for one in chosen_lstms(graph, spec)}
    if spec.method != "static":
        chosen += [one for inner in called_graphs(model) for one in chosen_operators(PreparedGraph(model, inner), spec)]
    if not lstms and not any(one.name in (*WEIGHTED, *TABLES) for one in chosen):
        raise nothing_left(spec, graph.weighted())
    statistics: dict[str, dict[str, Any]] | None = None
    if spec.method == "static":
        check_ranges(graph, chosen, ranges)
        if spec.io == "int8":
            _check_ends(graph, chosen)
        statistics = _statistics(graph, chosen, ranges, per_channel=spec.per_channel)
        chosen += shared_lookups(graph, chosen, spec.float_layers)
    objects = load_objects(quantized(prepared, graph, chosen, statistics, spec) if chosen else prepared)
    _reconnect(objects)
    _restore_outputs(objects, graph)
    store_lstms(objects, lstms, spec.method)
    _ask_for_channels(objects)
    save_objects(objects, out)


def chosen_operators(graph: PreparedGraph, spec: CandidateSpec) -> list[Operator]:
    """The operators that a candidate makes int8."""
    able = QUANTIZABLE if spec.method == "static" else (*WEIGHTED, *TABLES)
    operators = [name for name in able if not spec.operators or name in spec.operators]
    chosen = [one for one in graph.quantizable(operators) if graph.name(one) not in spec.float_layers]
    if spec.method != "uniform":
        chosen = [one for one in chosen if not graph.adds_activation(one)]
    if spec.method == "static":
        return chosen
    return without_float_twins(graph, (one for one in chosen if graph.weight(one) is not None))


def chosen_lstms(graph: PreparedGraph, spec: CandidateSpec) -> list[Operator]:
    """The LSTMs whose weights a candidate makes int8."""
    if spec.method == "static" or (spec.operators and LSTM not in spec.operators):
        return []
    return [one for one in graph.lstms() if graph.name(one) not in spec.float_layers]


def check_ranges(graph: PreparedGraph, chosen: Iterable[Operator], ranges: Mapping[str, Range]) -> None:
    """Raise ``StageError`` unless every tensor that these operators round has a valid range."""
    for operator in chosen:
        for name in graph.activations(operator):
            found = ranges.get(name)
            if found is None:
                raise StageError("stage_crashed", f"tensor {name!r} of layer {graph.name(operator)!r} has no range")
            if not (isfinite(found.low) and isfinite(found.high) and found.low <= 0 <= found.high):
                raise StageError(
                    "stage_crashed", f"tensor {name!r} has the impossible range [{found.low:g}, {found.high:g}]"
                )


def _check_ends(graph: PreparedGraph, chosen: Iterable[Operator]) -> None:
    main = graph.model.main
    rounded = {name for operator in chosen for name in graph.activations(operator)}
    for tensor in (graph.tensors[index] for index in (*main.inputs, *main.outputs)):
        if tensor.type == schema.FLOAT32 and tensor.name not in rounded:
            raise ModelError("rewrite_invalid", f"{tensor.name!r} cannot be int8: no layer that uses it is int8")


def weight_axes(graph: PreparedGraph, chosen: Iterable[Operator], *, per_channel: bool) -> dict[str, int | None]:
    """Weight → the axis of its scales; None: one scale in total."""
    axes: dict[str, int | None] = {}
    for operator in chosen:
        weight = graph.weight(operator)
        if weight is not None:
            axis = graph.output_axis(operator) if per_channel and operator.name != "BATCH_MATMUL" else None
            axes[weight.name] = axis if axes.get(weight.name, axis) == axis else None
    return axes


def weight_peaks(
    graph: PreparedGraph, chosen: Iterable[Operator], ranges: Mapping[str, Range], *, per_channel: bool
) -> dict[str, NDArray[np.float64]]:
    """Weight → the value of its largest integer, per channel or in total; broadcasts against the weight."""
    axes = weight_axes(graph, chosen, per_channel=per_channel)
    peaks: dict[str, NDArray[np.float64]] = {}
    for operator in chosen:
        weight = graph.weight(operator)
        if weight is not None:
            found = _peaks(graph, operator, axes[weight.name], ranges)
            peaks[weight.name] = np.maximum(peaks.get(weight.name, found), found)
    return peaks


def _peaks(
    graph: PreparedGraph, operator: Operator, axis: int | None, ranges: Mapping[str, Range]
) -> NDArray[np.float64]:
    """The largest weights, increased where the bias would otherwise overflow its integers."""
    weight = graph.weight(operator)
    values = np.abs(graph.model.value(weight)) if weight is not None else np.zeros(1)
    axes = None if axis is None else tuple(other for other in range(values.ndim) if other != axis)
    peaks = np.max(values, axis=axes, keepdims=True, initial=0.0).astype(np.float64)
    position = BIAS.get(operator.name, len(operator.inputs))
    if position < len(operator.inputs) and operator.inputs[position] >= 0:
        bias = graph.tensors[operator.inputs[position]]
        fed = ranges[graph.tensors[operator.inputs[VALUES.get(operator.name, 0)]].name]
        if bias.constant and bias.type == schema.FLOAT32 and fed.high > fed.low:
            largest = np.abs(graph.model.value(bias)).astype(np.float64)
            least = largest * _INTEGERS / ((fed.high - fed.low) / 255 * _MOST_BIAS_STEPS)
            peaks = np.maximum(peaks, least.reshape(peaks.shape) if axis is not None else least.max(initial=0.0))
    return np.where(peaks > 0, peaks, 1.0)


def _statistics(
    graph: PreparedGraph, chosen: list[Operator], ranges: Mapping[str, Range], *, per_channel: bool
) -> dict[str, dict[str, Any]]:
    """Ranges in the library's form: scalars fit tensors of any rank."""
    names = {name for operator in chosen for name in graph.activations(operator)}
    made = {name: {"min": np.array(ranges[name].low), "max": np.array(ranges[name].high)} for name in sorted(names)}
    for name, peaks in weight_peaks(graph, chosen, ranges, per_channel=per_channel).items():
        made[name] = {"min": -peaks, "max": peaks}
    return made


def _reconnect(objects: Any) -> None:
    """Make int8 operators read integers directly where the library inserted a DEQUANTIZE, as for a model output."""
    for graph in objects.subgraphs:
        names = [schema.OPERATORS[objects.operatorCodes[one.opcodeIndex].builtinCode] for one in graph.operators]
        pairs = list(zip(names, graph.operators, strict=True))
        integers = {one.outputs[0]: one.inputs[0] for name, one in pairs if name == "DEQUANTIZE"}
        for name, one in pairs:
            if name not in _PAIR and any(_on_grid(graph.tensors[index]) for index in one.outputs):
                one.inputs = [integers.get(index, index) for index in one.inputs]


def _on_grid(tensor: Any) -> bool:
    grid = tensor.quantization
    return tensor.type == schema.INT8 and grid is not None and grid.scale is not None


def _ask_for_channels(objects: Any) -> None:
    """Raise the operator version for weights per channel under float activations.

    tflite-runtime 2.14 would silently use one scale for all channels. This is the first version that supports several;
    an older runtime rejects the file. With int8 activations, both runtimes support several scales.
    """
    wanted = schema.OPERATORS.index("FULLY_CONNECTED")
    for graph, one in ((inner, one) for inner in objects.subgraphs for one in inner.operators):
        code = objects.operatorCodes[one.opcodeIndex]
        grid = graph.tensors[one.inputs[WEIGHT]].quantization if code.builtinCode == wanted else None
        several = grid is not None and grid.scale is not None and len(grid.scale) > 1
        if several and graph.tensors[one.outputs[0]].type == schema.FLOAT32:
            code.version = max(code.version, _PER_CHANNEL_VERSION)


def _restore_outputs(objects: Any, graph: PreparedGraph) -> None:
    """Restore names and dynamic dimensions of outputs that have become other tensors."""
    tensors = objects.subgraphs[0].tensors
    for was, now in zip(graph.model.main.outputs, objects.subgraphs[0].outputs, strict=True):
        if now != was:
            tensors[now].name = graph.tensors[was].name
            tensors[was].name = f"{graph.tensors[was].name}/int8"
            tensors[now].shapeSignature = tensors[was].shapeSignature
