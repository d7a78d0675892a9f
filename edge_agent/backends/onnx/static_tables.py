"""Tables that are also weights of layers of the static model: their rows are read from the layers' integers.

The quantizer would store such a table a second time, on a grid of activations.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import onnx

from edge_agent.backends.onnx.graph import Graph, with_inner
from edge_agent.backends.onnx.sharing import Twins, tables_of
from edge_agent.backends.onnx.tables import IntegerTable, read_rows


class SharedTable(NamedTuple):
    """The table that a Gather node reads."""

    weight: str
    """The float weight of the layer."""
    turned: bool
    """Whether the table is its transpose."""
    axis: int | None
    """The axis of the table's scales."""


def shared_tables(graph: Graph, axes: Mapping[str, int | None], spared: Iterable[str]) -> dict[str, SharedTable]:
    """Gather node → its table, if that is one of the weights in ``axes``; skips nodes named in ``spared``."""
    twins = Twins(graph.constants)
    table_of = {node.name: node.input[0] for node in graph.quantizable(["Gather"])}
    found: dict[str, SharedTable] = {}
    for name, weight in tables_of(graph, axes, twins).items():
        if name not in set(spared):
            table = table_of[name]
            turned = twins.of(table).turned != twins.of(weight).turned
            found[name] = SharedTable(weight, turned, twins.axis_of(table, weight, axes[weight]))
    return found


def read_shared_tables(model: Any, tables: Mapping[str, SharedTable]) -> None:
    """Make these nodes of the quantizer's ``model`` read rows of the quantized weights."""
    if not tables:
        return
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    ordered: list[Any] = []
    for node in model.graph.node:
        if node.name in tables:
            table = _stored(model, constants, node, tables[node.name])
            ordered += read_rows(node, table, lambda name: f"{name}/rows")
        else:
            ordered.append(node)
    read = {name for node in with_inner(ordered) for name in node.input} | {value.name for value in model.graph.output}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in read]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(ordered)
    model.graph.initializer.extend(kept)


def _stored(model: Any, constants: Mapping[str, Any], node: Any, shared: SharedTable) -> IntegerTable:
    """Store the table in its own order; its integers are a twin of the weight's and will be shared."""
    integers, scale, zero = (
        onnx.numpy_helper.to_array(constants[f"{shared.weight}_{part}"])
        for part in ("quantized", "scale", "zero_point")
    )
    by_row = shared.axis == 0 and scale.ndim > 0
    values = {
        "integers": np.ascontiguousarray(integers.T) if shared.turned else integers,
        "scale": scale.reshape(-1, 1) if by_row else scale,
    }
    if zero.any():  # symmetric weights have the same one in all channels
        values["zero"] = zero.reshape(-1)[0].astype(np.float32)
    names = {part: f"{node.name}/{part}" for part in values}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(value, names[part]) for part, value in values.items())
    return IntegerTable(names["integers"], names["scale"], by_row=by_row, zero=names.get("zero", ""))
