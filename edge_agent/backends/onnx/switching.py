"""The float model with a switch at every int8 rounding, so that one session can measure each rounding's cost.

Each tensor that the int8 model would hold on a grid passes QuantizeLinear and DequantizeLinear. A boolean input of the
graph selects the rounded or the exact value. Weights are rounded in advance and selected likewise. A set of float
layers is then a set of inputs instead of a model: it needs one run, without rewriting or loading.

The simulation covers the roundings, which cause the loss of accuracy: on the grids of a static candidate, or on the
run-time grids of a dynamic one, which only the layers that multiply integers see. It does not cover the processor's
integer sums, so the int8 model itself is measured before a choice counts.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_agent.backends import Array, CandidateSpec, Feeds, Range
from edge_agent.backends.onnx.graph import Graph
from edge_agent.backends.onnx.operators import DYNAMIC, FOLDED, PASSING, QUANTIZABLE
from edge_agent.backends.onnx.rewriting import check_ranges, weight_axes
from edge_agent.backends.onnx.session import create_session, run_session
from edge_agent.quant.affine import fake_quantize, params, weight_params

_AS_WRITTEN = {"session.disable_quant_qdq": "1"}
"""Otherwise the runtime would take a rounded branch for an int8 layer and rewrite it."""


class OnnxSwitches:
    """A prepared model with switches; implements :class:`edge_agent.backends.FakeQuantSwitches`."""

    def __init__(self, prepared: Path, ranges: Mapping[str, Range], spec: CandidateSpec) -> None:
        model = onnx.load_model(prepared, load_external_data=False)
        graph = Graph(model)
        dynamic = spec.method == "dynamic"
        operators = spec.operators or (DYNAMIC if dynamic else QUANTIZABLE)
        nodes = [node for node in graph.quantizable(operators) if node.name not in spec.float_layers]
        if dynamic:
            nodes = [node for node in nodes if graph.weight(node) == node.input[1]]
        self._outputs = [value.name for value in model.graph.output]
        if not dynamic:
            check_ranges(graph, nodes, ranges)
        grids = _read(nodes) if dynamic else _grids(graph, nodes)
        weights = _weights(graph, nodes)
        self.needed_by: Mapping[str, tuple[str, ...]] = {**grids, **weights}
        self._inputs = {name: f"{name}/switch" for name in self.needed_by}
        _switch_weights(model, graph, nodes, weights, self._inputs, spec)
        if dynamic:
            _switch_reads(model, {node.name for node in nodes}, self._inputs)
        else:
            _switch_tensors(model, {name: ranges[name] for name in grids}, self._inputs)
        flags = (helper.make_tensor_value_info(flag, TensorProto.BOOL, []) for flag in self._inputs.values())
        model.graph.input.extend(flags)
        serialized = model.SerializeToString()
        del model, graph, nodes
        self._session = create_session(serialized, arena=False, entries=_AS_WRITTEN)

    def run(self, feeds: Feeds, rounded: Collection[str]) -> list[Array]:
        """The model's outputs with these places rounded; errors as :meth:`.session.OnnxSession.run`."""
        flags = {flag: np.array(name in rounded) for name, flag in self._inputs.items()}
        return run_session(self._session, self._outputs, {**feeds, **flags})


def _read(nodes: list[Any]) -> dict[str, tuple[str, ...]]:
    """Tensor → the layers that multiply it by weights and round it at run time."""
    read: dict[str, tuple[str, ...]] = {}
    for node in nodes:
        read[node.input[0]] = (*read.get(node.input[0], ()), node.name)
    return read


def _grids(graph: Graph, nodes: list[Any]) -> dict[str, tuple[str, ...]]:
    """Rounded tensor → the layers that need it rounded, because they compute it or read it as integers.

    A layer with a fused activation is rounded only behind the activation. An operator that only moves values passes on
    the grid of its input.
    """
    folded = graph.folded()
    place: dict[str, str] = {}
    wanted: dict[str, list[str]] = {}
    made: set[str] = set()
    for node in nodes:
        around = graph.activations(node)
        given = [name for name in node.input if name in around]
        source = place.setdefault(node.input[0], node.input[0]) if given[:1] == [node.input[0]] else ""
        if node.op_type in FOLDED and source in made and source in folded:
            made.remove(source)
            made.add(node.output[0])
            wanted[node.output[0]] = wanted.pop(source)
            place[node.output[0]] = node.output[0]
        elif node.op_type in PASSING and source:
            place.update(dict.fromkeys((name for name in node.output if name in around), source))
        else:
            for name in around:
                layers = wanted.setdefault(place.setdefault(name, name), [])
                if node.name not in layers:
                    layers.append(node.name)
            made.update(name for name in node.output if name in around)
    return {name: tuple(layers) for name, layers in wanted.items()}


def _weights(graph: Graph, nodes: list[Any]) -> dict[str, tuple[str, ...]]:
    """Weight → the layers that multiply by it."""
    weights: dict[str, tuple[str, ...]] = {}
    for node in nodes:
        name = graph.weight(node)
        if name is not None:
            weights[name] = (*weights.get(name, ()), node.name)
    return weights


def _switch_weights(
    model: Any, graph: Graph, nodes: list[Any], weights: Collection[str], flags: Mapping[str, str], spec: CandidateSpec
) -> None:
    axes = weight_axes(graph, nodes, per_channel=spec.per_channel)
    chosen = []
    for name in weights:
        exact = graph.array(name)
        rounded = fake_quantize(exact, weight_params(exact, axes[name], symmetric=spec.symmetric_weights))
        model.graph.initializer.append(numpy_helper.from_array(rounded, f"{name}/rounded"))
        chosen.append(helper.make_node("Where", [flags[name], f"{name}/rounded", name], [f"{name}/chosen"]))
    users = {node.name for node in nodes}
    for node in model.graph.node:
        if node.name in users:
            node.input[:] = [f"{name}/chosen" if name in weights else name for name in node.input]
    _place(model, {}, chosen)


def _switch_tensors(model: Any, ranges: Mapping[str, Range], flags: Mapping[str, str]) -> None:
    """Add switches: a computed tensor keeps its name behind the switch, for all its readers; an input before it."""
    fed = {value.name for value in model.graph.input}
    behind: dict[str, list[Any]] = {}
    first: list[Any] = []
    for name, found in ranges.items():
        exact, chosen = (name, f"{name}/chosen") if name in fed else (f"{name}/exact", name)
        grid = params(found.low, found.high, dtype="uint8")
        scale, zero = f"{name}/scale", f"{name}/zero"
        model.graph.initializer.extend(
            [
                numpy_helper.from_array(grid.scale, scale),
                numpy_helper.from_array(grid.zero_point.astype(np.uint8), zero),
            ]
        )
        nodes = [
            helper.make_node("QuantizeLinear", [exact, scale, zero], [f"{name}/integers"]),
            helper.make_node("DequantizeLinear", [f"{name}/integers", scale, zero], [f"{name}/rounded"]),
            helper.make_node("Where", [flags[name], f"{name}/rounded", exact], [chosen]),
        ]
        if name in fed:
            first += nodes
        else:
            behind[name] = nodes
    for node in model.graph.node:
        node.input[:] = [f"{name}/chosen" if name in ranges and name in fed else name for name in node.input]
    _place(model, behind, first)


def _switch_reads(model: Any, layers: Collection[str], flags: Mapping[str, str]) -> None:
    """Add switches to the inputs of ``layers`` only; other readers of the same tensors read the exact values."""
    ordered: list[Any] = []
    switched: set[str] = set()
    for node in model.graph.node:
        if node.name in layers:
            name = node.input[0]
            node.input[0] = f"{name}/chosen"
            if name not in switched:
                switched.add(name)
                grid = [f"{name}/integers", f"{name}/scale", f"{name}/zero"]
                ordered += [
                    helper.make_node("DynamicQuantizeLinear", [name], grid),
                    helper.make_node("DequantizeLinear", grid, [f"{name}/rounded"]),
                    helper.make_node("Where", [flags[name], f"{name}/rounded", name], [f"{name}/chosen"]),
                ]
        ordered.append(node)
    del model.graph.node[:]
    model.graph.node.extend(ordered)


def _place(model: Any, behind: Mapping[str, list[Any]], first: list[Any]) -> None:
    """Insert ``first`` at the start, and the nodes of ``behind`` after the node that computes their tensor."""
    ordered = list(first)
    for node in model.graph.node:
        ordered.append(node)
        for position, name in enumerate(node.output):
            if name in behind:
                node.output[position] = f"{name}/exact"
                ordered += behind[name]
    del model.graph.node[:]
    model.graph.node.extend(ordered)
