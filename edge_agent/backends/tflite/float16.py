"""The model with 16-bit float weights; DEQUANTIZE converts them to 32-bit floats when the file is loaded.

The format's own converter writes this form, and both runtimes support it: XNNPACK unpacks the weights once, at load,
other kernels at the first call. The file is half as large; memory and speed are float's or slightly worse. Biases and
small constants stay in 32 bits, where there is nothing to gain.

litert-quantizer is not used: it supports only convolutions, fully connected layers and lookups, and importing it takes
28 MB.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edge_agent.backends.tflite import schema
from edge_agent.backends.tflite.graph import PreparedGraph, called_graphs, lstm_weights
from edge_agent.backends.tflite.operators import TABLES, WEIGHTED
from edge_agent.backends.tflite.reading import Graph, Model, read_model
from edge_agent.backends.tflite.writing import Drafter, drop_unread, load_objects, save_objects
from edge_agent.errors import ModelError

_LEAST_ELEMENTS = 64
"""A smaller constant costs less than the operator that unpacks it."""
_DEQUANTIZE_VERSION = 3
"""The first version of DEQUANTIZE that accepts 16-bit floats."""


def rewrite_float16(prepared: Path, out: Path) -> None:
    """Write the model; raises ``ModelError`` (``rewrite_invalid``) if it has no weights that 16-bit floats can hold."""
    model = read_model(prepared)
    objects = load_objects(prepared)
    buffers: dict[int, int] = {}
    called = {id(graph) for graph in (model.main, *called_graphs(model))}
    for graph, made in zip(model.graphs, objects.subgraphs, strict=True):
        if id(graph) not in called:
            continue
        drafter = Drafter(objects)
        drafter.graph = made
        unpacked = {index: _stored(model, graph, drafter, index, buffers) for index in sorted(_weights(model, graph))}
        for one in drafter.graph.operators:
            one.inputs = [unpacked[index][1] if index in unpacked else index for index in one.inputs]
        unpack = [_unpack(drafter, halves, value) for halves, value in unpacked.values()]
        drafter.graph.operators = unpack + drafter.graph.operators
    if not buffers:
        raise ModelError("rewrite_invalid", f"no weights of {_LEAST_ELEMENTS} values or more to store in 16 bits")
    drop_unread(objects)
    save_objects(objects, out)


def float16_weights(model: Model) -> int:
    """The number of constants stored as 16-bit floats."""
    return sum(one.constant and one.type == schema.FLOAT16 for graph in model.graphs for one in graph.tensors)


def _weights(model: Model, graph: Graph) -> Iterator[int]:
    """The indices of the float constants that are layers' weights or tables, each once."""
    prepared = PreparedGraph(model, graph)
    found = {one.inputs[1] for one in prepared.quantizable((*WEIGHTED, *TABLES)) if prepared.weight(one) is not None}
    found.update(index for one in prepared.lstms() for index in lstm_weights(one))
    return (index for index in found if np.prod(graph.tensors[index].shape) >= _LEAST_ELEMENTS)


def _stored(model: Model, graph: Graph, drafter: Drafter, index: int, buffers: dict[int, int]) -> tuple[int, int]:
    """Store a weight in 16 bits; returns the indices of that tensor and of the unpacked one.

    ``buffers``: buffer of 32-bit floats → buffer of the same weights in 16 bits.
    """
    tensor, held = graph.tensors[index], drafter.graph.tensors[index]
    if held.buffer not in buffers:
        values = model.value(tensor)
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16)
        if not np.isfinite(halves).all():
            raise ModelError(
                "rewrite_invalid",
                f"weights {tensor.name!r} reach {np.abs(values).max():.4g}, and 16-bit floats end at 65,504",
            )
        buffers[held.buffer] = drafter.buffer(halves)
    made = drafter.tensor(f"{tensor.name}/float16", tensor.shape, schema.FLOAT16)
    drafter.graph.tensors[made].buffer = buffers[held.buffer]
    return made, drafter.tensor(f"{tensor.name}/float32", tensor.shape, schema.FLOAT32)


def _unpack(drafter: Drafter, halves: int, value: int) -> Any:
    """The operator that converts 16-bit floats to 32-bit floats."""
    made = drafter.operator("DEQUANTIZE", [halves], [value], "DequantizeOptions")
    code = drafter.model.operatorCodes[made.opcodeIndex]
    code.version = max(code.version, _DEQUANTIZE_VERSION)
    return made
