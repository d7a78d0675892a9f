"""Tables that are also weights of layers: a language model reads one matrix as rows, and again for its scores.

If GATHER reads the rows, its int8 form needs the table on a grid of activations, and other methods do not support it.
EMBEDDING_LOOKUP computes the same from rows of weights, so that the file holds one int8 copy for both readers.
"""

from collections.abc import Iterable
from math import prod
from typing import Any

import numpy as np

from edge_agent.backends.tflite import schema
from edge_agent.backends.tflite.graph import PreparedGraph
from edge_agent.backends.tflite.operators import TABLES, WEIGHT, WEIGHTED
from edge_agent.backends.tflite.reading import Operator
from edge_agent.backends.tflite.writing import Drafter

_MULTIPLYING = "FULLY_CONNECTED"
"""The layer with weights in the memory layout of a table's rows."""


def look_up_shared(objects: Any) -> None:
    """Replace GATHER by EMBEDDING_LOOKUP if a layer multiplies by the same table."""
    graph, drafter = objects.subgraphs[0], Drafter(objects)
    names = [schema.OPERATORS[objects.operatorCodes[one.opcodeIndex].builtinCode] for one in graph.operators]
    pairs = list(zip(names, graph.operators, strict=True))
    weights = {graph.tensors[one.inputs[WEIGHT]].buffer for name, one in pairs if name == _MULTIPLYING}
    weights = {buffer for buffer in weights if objects.buffers[buffer].data is not None}
    graph.operators = [
        made
        for name, one in pairs
        for made in (_looked_up(drafter, one) if name == "GATHER" and _reads_rows(graph, one, weights) else [one])
    ]


def _reads_rows(graph: Any, operator: Any, buffers: Iterable[int]) -> bool:
    table, ids = (graph.tensors[index] for index in operator.inputs)
    options = operator.builtinOptions
    plain = options is None or (options.axis == 0 and options.batchDims == 0)
    floats = table.type == schema.FLOAT32 and len(table.shape) == 2  # noqa: PLR2004  # a matrix
    fixed = ids.shapeSignature is None or -1 not in list(ids.shapeSignature)
    return plain and floats and fixed and ids.type == schema.INT32 and table.buffer in set(buffers)


def _looked_up(drafter: Drafter, operator: Any) -> list[Any]:
    """The operators that read the rows; EMBEDDING_LOOKUP itself accepts only a list of ids."""
    graph = drafter.graph
    table, ids = operator.inputs
    shape, count = list(graph.tensors[ids].shape), prod(graph.tensors[ids].shape)
    if len(shape) == 1:
        return [drafter.operator("EMBEDDING_LOOKUP", [ids, table], operator.outputs)]
    name, width = graph.tensors[operator.outputs[0]].name, int(graph.tensors[table].shape[1])
    name = name.decode() if isinstance(name, bytes) else name
    listed = drafter.tensor(f"{name}/ids", [count], schema.INT32)
    rows = drafter.tensor(f"{name}/rows", [count, width], schema.FLOAT32)

    def reshape(source: int, wanted: list[int], result: int, part: str) -> Any:
        constant = drafter.constant(f"{name}/{part}", np.array(wanted, np.int32), schema.INT32)
        return drafter.operator("RESHAPE", [source, constant], [result])

    return [
        reshape(ids, [count], listed, "count"),
        drafter.operator("EMBEDDING_LOOKUP", [listed, table], [rows]),
        reshape(rows, [*shape, width], operator.outputs[0], "shape"),
    ]


def shared_lookups(graph: PreparedGraph, chosen: Iterable[Operator], spared: Iterable[str]) -> list[Operator]:
    """The lookups whose table is a weight of a ``chosen`` layer, except those named in ``spared``."""
    weights = _weights(graph, chosen)
    lookups = (one for one in graph.operators if one.name in TABLES and graph.name(one) not in set(spared))
    return [one for one in lookups if not weights.isdisjoint(_weights(graph, [one]))]


def without_float_twins(graph: PreparedGraph, chosen: Iterable[Operator]) -> list[Operator]:
    """``chosen`` without lookups whose table a float layer also reads: int8 rows would be a second copy."""
    chosen = list(chosen)
    names = {graph.name(one) for one in chosen}
    layers = (one for one in graph.quantizable(WEIGHTED) if graph.name(one) not in names)
    floats = _weights(graph, layers)
    return [one for one in chosen if one.name not in TABLES or floats.isdisjoint(_weights(graph, [one]))]


def _weights(graph: PreparedGraph, operators: Iterable[Operator]) -> set[range]:
    """The places in the file of these operators' weights."""
    return {weight.data for one in operators if (weight := graph.weight(one)) is not None}
