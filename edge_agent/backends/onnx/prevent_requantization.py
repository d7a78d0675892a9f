"""Prevents the runtime from quantizing a float layer between int8 layers.

onnxruntime (1.20 and later, at its basic optimisation level) silently rounds the float weights of a Conv, ConvTranspose
or Gemm between a DequantizeLinear and a QuantizeLinear, with one scale for all channels. A layer that stayed float
because int8 ruins it would be int8 again, at lower accuracy than before. The runtime does so only if the bias is a
plain constant. Such a layer therefore reads its bias, or zeros, from 32-bit integers with a step below float32's
precision.
"""

from collections.abc import Collection
from typing import Any

import numpy as np
from onnx import helper, numpy_helper

from edge_agent.backends.onnx.graph import Graph

_ROUNDED_BY_RUNTIME = ("Conv", "ConvTranspose", "Gemm")
_BIAS = 2
_STEPS = 2**30
"""Steps from zero to the largest bias; float32 has 2**24."""


def keep_float(model: Any, layers: Collection[str]) -> None:
    """Change ``model`` so that the runtime leaves these layers float; their results stay the same."""
    graph = Graph(model)
    nodes: list[Any] = []
    for node in model.graph.node:
        if node.name in layers and node.op_type in _ROUNDED_BY_RUNTIME:
            nodes += _integer_bias(model, graph, node)
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _integer_bias(model: Any, graph: Graph, node: Any) -> list[Any]:
    """Store the layer's bias as integers; returns the node to put before it, or none if the bias is computed."""
    given = node.input[_BIAS] if len(node.input) > _BIAS else ""
    if (given and given not in graph.constants) or graph.weight(node) is None:
        return []
    bias = graph.array(given) if given else np.zeros(_channels(graph, node), np.float32)
    scale = np.array(np.abs(bias).max(initial=0.0) / _STEPS or 1.0, np.float32)
    integers, step, zero, value = (f"{node.name}/bias_{part}" for part in ("integers", "step", "zero", "kept"))
    model.graph.initializer.extend(
        [
            numpy_helper.from_array(np.rint(bias / scale).astype(np.int32), integers),
            numpy_helper.from_array(scale, step),
            numpy_helper.from_array(np.array(0, np.int32), zero),
        ]
    )
    if given:
        node.input[_BIAS] = value
    else:
        del node.input[_BIAS:]
        node.input.append(value)
    return [helper.make_node("DequantizeLinear", [integers, step, zero], [value], value)]


def _channels(graph: Graph, node: Any) -> int:
    """Number of values in the bias of a layer that has none yet."""
    per_group = int(graph.constants[node.input[1]].dims[graph.output_axis(node)])
    groups = next((entry.i for entry in node.attribute if entry.name == "group"), 1)
    return per_group * int(groups) if node.op_type == "ConvTranspose" else per_group
