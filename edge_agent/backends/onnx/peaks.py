"""Peaks of a float model's activations, because 16-bit floats end at 65,504.

They are measured on the float model, because a processor without 16-bit arithmetic computes the candidate in 32 bits
and never overflows. Every float tensor of the main graph counts, even those irrelevant for int8 candidates, such as the
power of a spectrum. Tensors of inner graphs cannot be observed.
"""

from collections.abc import Mapping
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from edge_agent.backends import Feeds
from edge_agent.backends.onnx.graph import Graph
from edge_agent.backends.onnx.mapped_weights import referring
from edge_agent.backends.onnx.names import free, tensor_names
from edge_agent.backends.onnx.session import create_session, run_session
from edge_agent.backends.onnx.skeleton import read_skeleton


class OnnxPeaks:
    """A prepared model that returns peaks instead of its outputs; implements ``Float16Peaks``."""

    def __init__(self, prepared: Path) -> None:
        """Open it; raises ``ModelError`` if the runtime rejects the added nodes, or ``MemoryError``."""
        model, _ = read_skeleton(prepared)
        graph = Graph(model)
        taken = set(tensor_names(model.graph))
        computed = [name for node in graph.nodes for name in node.output]
        fed = [value.name for value in model.graph.input]
        floats = [name for name in (*fed, *computed) if graph.types.get(name) == TensorProto.FLOAT]
        self._peaks = {name: free(f"{name}/peak", taken) for name in floats}
        added = onnx.GraphProto()
        for name, peak in self._peaks.items():
            size = free(f"{name}/size", taken)
            added.node.append(helper.make_node("Abs", [name], [size], size))
            added.node.append(helper.make_node("ReduceMax", [size], [peak], peak, keepdims=0))
            added.output.append(helper.make_tensor_value_info(peak, TensorProto.FLOAT, []))
        # A message behind another of its kind merges into it, so nothing needs to be parsed.
        content = referring(prepared) + onnx.ModelProto(graph=added).SerializeToString()
        self._session = create_session(content, weights=prepared.parent, arena=False)

    def run(self, feeds: Feeds) -> Mapping[str, float]:
        """Each float tensor's largest magnitude for one row; errors as :meth:`.session.OnnxSession.run`."""
        values = run_session(self._session, list(self._peaks.values()), feeds)
        return {name: float(value) for name, value in zip(self._peaks, values, strict=True)}
