"""Peaks of a float model's activations, because 16-bit floats end at 65,504.

They are measured on the float model, because a processor without 16-bit arithmetic computes the candidate in 32 bits
and never overflows. Every float tensor of the main graph counts, even those irrelevant for int8 candidates, such as the
power of a spectrum. Tensors of inner graphs cannot be observed.

An attention mask is no overflow. Exporters add the lowest 32-bit float to the scores of hidden positions. The
converter clamps that constant to -65,504 (:func:`_clamp`). Before a Softmax, minus infinity has the same effect as
-65,504 if each row has a value in range. For such tensors only large positive values count, and the largest value of
each row.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from edge_agent.backends import Array, Feeds
from edge_agent.backends.onnx.float16 import LARGEST, converter
from edge_agent.backends.onnx.graph import Graph, attribute, with_inner
from edge_agent.backends.onnx.mapped_weights import read_mapped, referring
from edge_agent.backends.onnx.names import free, tensor_names
from edge_agent.backends.onnx.session import create_session, run_session

_CARRYING = ("Add", "Concat", "Expand", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze", "Where")
"""Operators that pass minus infinity on unchanged."""
_AXES_AS_INPUT = 18
"""From this opset on, ReduceMax reads its axes from a tensor."""


class OnnxPeaks:
    """A prepared model that returns peaks instead of its outputs; implements ``Float16Peaks``."""

    def __init__(self, prepared: Path) -> None:
        """Open it; raises ``ModelError`` if the runtime rejects the added nodes, or ``MemoryError``."""
        model = onnx.ModelProto.FromString(referring(prepared))
        _clamp(model, read_mapped(prepared)[1])
        graph = Graph(model)
        computed = [name for node in graph.nodes for name in node.output]
        fed = [value.name for value in model.graph.input]
        floats = [name for name in (*fed, *computed) if graph.types.get(name) == TensorProto.FLOAT]
        masked = _masked(graph, floats, {value.name for value in model.graph.output})
        taken = set(tensor_names(model.graph))
        self._peaks: dict[str, str] = {}
        """Output → the tensor whose peak it is."""
        for name in floats:
            self._add(model, name, [] if name in masked else [helper.make_node("Abs", [name], [""])], taken)
        for name, axis in _softmaxes(graph):
            if name in masked:
                row = _reduce_row(model, name, axis, taken)
                self._add(model, name, [row, helper.make_node("Abs", [""], [""])], taken)
        del model.graph.output[:]
        model.graph.output.extend(helper.make_tensor_value_info(peak, TensorProto.FLOAT, []) for peak in self._peaks)
        self._session = create_session(model.SerializeToString(), weights=prepared.parent, arena=False)

    def run(self, feeds: Feeds) -> Mapping[str, float]:
        """Each float tensor's largest magnitude for one row; errors as :meth:`.session.OnnxSession.run`."""
        values = run_session(self._session, list(self._peaks), feeds)
        found: dict[str, float] = {}
        for name, value in zip(self._peaks.values(), values, strict=True):
            found[name] = max(float(value), found.get(name, float(value)))
        return found

    def _add(self, model: Any, name: str, nodes: list[Any], taken: set[str]) -> None:
        """Append a chain of nodes that starts at tensor ``name``, and make its maximum an output."""
        read = name
        for node in (*nodes, helper.make_node("ReduceMax", [""], [""], keepdims=0)):
            node.input[0], node.output[0] = read, free(f"{name}/peak", taken)
            node.name = read = node.output[0]
            model.graph.node.append(node)
        self._peaks[read] = name


def _reduce_row(model: Any, name: str, axis: int, taken: set[str]) -> Any:
    """A node that takes the maximum along one axis."""
    opset = max(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    if opset < _AXES_AS_INPUT:
        return helper.make_node("ReduceMax", [name], [""], axes=[axis])
    axes = free(f"{name}/axes", taken)
    model.graph.initializer.append(numpy_helper.from_array(np.array([axis], np.int64), axes))
    return helper.make_node("ReduceMax", [name, axes], [""])


def _clamp(model: Any, weights: Mapping[str, Array]) -> None:
    """Clamp each constant that an operator reads in 16 bits, as the converter does.

    ``weights``: values of the constants that ``model`` stores by reference.
    """
    able = [one for one in with_inner(model.graph.node) if one.op_type not in converter().DEFAULT_OP_BLOCK_LIST]
    read = {name for node in able for name in node.input}
    tensors = [tensor for tensor in model.graph.initializer if tensor.name in read]
    tensors += [entry.t for node in able for entry in node.attribute if entry.type == AttributeProto.TENSOR]
    for tensor in tensors:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        referred = tensor.data_location == TensorProto.EXTERNAL
        values = weights[tensor.name] if referred else numpy_helper.to_array(tensor)
        if values.size and max(values.max(), -values.min()) > LARGEST:
            ended = np.where(np.isfinite(values), values.clip(-LARGEST, LARGEST), values)
            tensor.CopyFrom(numpy_helper.from_array(ended.astype(np.float32), tensor.name))


def _masked(graph: Graph, floats: list[str], outputs: set[str]) -> set[str]:
    """The tensors that lead only to Softmaxes, where minus infinity is harmless."""
    readers: dict[str, list[Any]] = {}
    for node in graph.nodes:
        for name in {name for one in with_inner([node]) for name in one.input}:
            readers.setdefault(name, []).append(node)
    found: set[str] = set()
    for name in reversed(floats):  # readers follow the node that computes a tensor
        to_softmax = (one.op_type == "Softmax" or _carries(one, found) for one in readers.get(name, ()))
        if name in readers and name not in outputs and all(to_softmax):
            found.add(name)
    return found


def _carries(node: Any, masked: set[str]) -> bool:
    return node.op_type in _CARRYING and masked.issuperset(node.output)


def _softmaxes(graph: Graph) -> Iterator[tuple[str, int]]:
    """The input of each Softmax, with its axis."""
    for node in graph.nodes:
        if node.op_type == "Softmax":
            yield node.input[0], attribute(node, "axis", -1)
