"""Makes the runtime keep a layer float that was left float between int8 layers.

onnxruntime (1.20 and later, at its basic optimisation level) rounds the float weights of a Conv, ConvTranspose or Gemm
whose input comes off a grid and whose output goes onto one, with one scale for all channels: the very layer that was
left float because int8 ruins it is int8 again, and worse, without a word. It does so only where the bias is a plain
constant. So such a layer gets its bias, or zeros, from 32-bit integers whose step is below what float32 can tell.
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
    """Change ``model`` so that the runtime leaves these layers float; the values they compute stay."""
    graph = Graph(model)
    nodes: list[Any] = []
    for node in model.graph.node:
        if node.name in layers and node.op_type in _ROUNDED_BY_RUNTIME:
            nodes += _spell_bias(model, graph, node)
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _spell_bias(model: Any, graph: Graph, node: Any) -> list[Any]:
    """Read the layer's bias off integers; the node to put before it, or none where the bias is computed anyway."""
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
    """How many values a layer without a bias would have in one."""
    per_group = int(graph.constants[node.input[1]].dims[graph.output_axis(node)])
    groups = next((entry.i for entry in node.attribute if entry.name == "group"), 1)
    return per_group * int(groups) if node.op_type == "ConvTranspose" else per_group
