"""Weights on a uniform int8 grid, from the weights alone: no activation data, no range.

Matrix products become MatMulNBits: onnxruntime's kernel for blocks of 8-bit weights, which never unpacks them in
memory. It rounds each block of activations to 8 bits at run time, so its error is slightly larger than that of the
weights. Its purely float form takes 2 to 20 times float's time and is useless. Measured on x86 with VNNI at 16 and
fewer rows: 0.3 to 0.6 of float's time, half its memory; 4-bit weights are no faster and lose 20 dB. Every other
weighted layer still computes in float, and only its weights are stored in int8: a smaller file at float's speed.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from edge_agent.backends import Array, CandidateSpec
from edge_agent.backends.onnx.graph import Graph
from edge_agent.backends.onnx.inner import inner_layers
from edge_agent.backends.onnx.operators import RECURRENT, WEIGHTED
from edge_agent.backends.onnx.sharing import tables_of
from edge_agent.backends.onnx.surgery import ZERO_POINT, Surgery, as_unsigned, bias, int8_grid, is_product, product
from edge_agent.quant.affine import params, quantize

_BLOCKS = (128, 64, 32)
_SMALLEST_BLOCK = 16
_INT8_ARITHMETIC = 4
"""MatMulNBits' ``accuracy_level`` that lets it multiply integers."""
_MATRIX = 2
_UNPACKED = "unpacked"
"""The form in which a layer that is not a product reads its weights."""


def rewrite_uniform(prepared: Path, spec: CandidateSpec, out: Path) -> None:
    """Write the model with int8 weights; raises ``ModelError`` (``rewrite_invalid``) if it has none to store."""
    model = onnx.load_model(prepared, load_external_data=False)
    surgery = Surgery(model)
    graph, twins = surgery.graph, surgery.twins
    layers = graph.quantizable(spec.operators or (*WEIGHTED, *RECURRENT))
    nodes = [node for node in layers if node.name not in spec.float_layers]
    weights = {node.name: _weights(graph, node) for node in nodes}
    axes = twins.common_axes(
        (name, axis if spec.per_channel else None) for node in nodes for name, axis in weights[node.name].items()
    )
    forms = _forms(surgery, nodes, weights)
    shared = {name: axis for name, axis in axes.items() if len(forms[twins.of(name).name]) > 1}
    for node in nodes:
        if _fits_blocks(graph, node) and _UNPACKED not in forms[twins.of(node.input[1]).name]:
            surgery.exchange(node, _in_blocks(surgery, node, shared))
        elif made := _unpacked(surgery, node, axes):
            surgery.exchange(node, made)
    _unpack_inside(surgery, spec, known={twins.of(name).name for name in axes})
    in_blocks = {name: axis for name, axis in shared.items() if _UNPACKED not in forms[twins.of(name).name]}
    surgery.store_tables(spec.float_layers, axes, unsigned=in_blocks)
    onnx.save_model(surgery.finish(spec), out)


def _fits_blocks(graph: Graph, node: Any) -> bool:
    return is_product(graph, node) and len(graph.constants[node.input[1]].dims) == _MATRIX


def _forms(surgery: Surgery, nodes: Sequence[Any], weights: Mapping[str, Mapping[str, Any]]) -> dict[str, set[str]]:
    """Weight (the first of its twins) → the forms in which it is read; with two forms it has no own blocks."""
    graph, twins = surgery.graph, surgery.twins
    forms: dict[str, set[str]] = {}
    for node in nodes:
        for name in weights[node.name]:
            first = twins.of(name)
            form = _UNPACKED
            if _fits_blocks(graph, node):
                form = "columns" if first.turned == (graph.output_axis(node) == 0) else "rows"
            forms.setdefault(first.name, set()).add(form)
    names = [name for read in weights.values() for name in read]
    for name in tables_of(graph, names, twins).values():
        forms[twins.of(name).name].add("table")
    return forms


def _unpacked(surgery: Surgery, node: Any, axes: Mapping[str, int | None]) -> list[Any]:
    """The same node with weights unpacked from int8 at load; nothing if it has no constant weights."""
    reader = onnx.NodeProto()
    reader.CopyFrom(node)
    nodes: list[Any] = []
    for name in _weights(surgery.graph, node):
        value, before = surgery.as_float(name, axes[name])
        reader.input[list(node.input).index(name)] = value
        nodes += before
    return [*nodes, reader] if reader != node else []


def _unpack_inside(surgery: Surgery, spec: CandidateSpec, *, known: set[str]) -> None:
    """The same for layers of inner graphs; skips ``known`` weights, which layers of the main graph read."""
    for node in inner_layers(surgery.graph):
        if node.name in spec.float_layers or (spec.operators and node.op_type not in spec.operators):
            continue
        made = onnx.NodeProto()
        made.CopyFrom(node)
        before: list[Any] = []
        for name, axis in _weights(surgery.graph, node).items():
            if surgery.twins.of(name).name not in known:
                value, nodes = surgery.as_float(name, axis if spec.per_channel else None)
                made.input[list(node.input).index(name)] = value
                before += nodes
        if made != node:
            surgery.exchange_inside(node, made, before)


def _weights(graph: Graph, node: Any) -> dict[str, int | None]:
    """The constant float weights of a layer, and the output axis of each."""
    if node.op_type in RECURRENT:
        known = [graph.constants.get(name) for name in node.input[1:3]]
        return {tensor.name: 1 for tensor in known if tensor is not None and tensor.data_type == TensorProto.FLOAT}
    name = graph.weight(node)
    if name is None:
        return {}
    return {name: graph.output_axis(node) if len(graph.constants[name].dims) >= _MATRIX else None}


def _in_blocks(surgery: Surgery, node: Any, shared: Mapping[str, int | None]) -> list[Any]:
    """A MatMulNBits; a weight in ``shared`` is also read in other forms, and uses the grid that suits them all."""
    matrix, name = product(surgery.graph, node), node.input[1]
    inputs, outputs = matrix.shape
    size = block_size(inputs) if name not in shared else common_block_size(inputs)
    before: list[Any] = []
    if name in shared:
        integers, scales = _by_rows(matrix, size, by_output=shared[name] is not None)
        rows = surgery.constant(f"{name}_rows", integers)
        stored, before = _cut(surgery, name, rows, (outputs, inputs, size))
    else:
        integers, scales = block_grid(matrix, size)
        stored = surgery.constant(f"{name}_blocks", integers)
    scale = surgery.constant(f"{name}_scale", scales)
    added = bias(node)
    product_output = surgery.fresh(f"{node.output[0]}_product") if added else node.output[0]
    nodes = [
        *before,
        helper.make_node(
            "MatMulNBits",
            [node.input[0], stored, scale],
            [product_output],
            node.name,
            domain="com.microsoft",
            K=inputs,
            N=outputs,
            bits=8,
            block_size=size,
            accuracy_level=_INT8_ARITHMETIC,
        ),
    ]
    if added:
        nodes.append(helper.make_node("Add", [product_output, added], [node.output[0]], f"{node.name}_bias"))
    return nodes


def _cut(surgery: Surgery, name: str, rows: str, sizes: tuple[int, int, int]) -> tuple[str, list[Any]]:
    """Cut rows of integers into blocks: the tensor, and the nodes that compute it at load.

    ``sizes``: number of rows, length of a row, size of a block. The last block of a row is padded with zeros.
    """
    count, length, size = sizes
    padded, nodes = rows, []
    if length % size:
        padded = surgery.fresh(f"{name}_padded")
        ends = surgery.constant(f"{name}_ends", np.array([0, 0, 0, -length % size], np.int64))
        zero = surgery.constant(f"{name}_zero", np.array(ZERO_POINT, np.uint8))
        nodes.append(helper.make_node("Pad", [rows, ends, zero], [padded], padded))
    blocks = surgery.fresh(f"{name}_blocks")
    shape = surgery.constant(f"{name}_shape", np.array([count, -1, size], np.int64))
    return blocks, [*nodes, helper.make_node("Reshape", [padded, shape], [blocks], blocks)]


def block_size(inputs: int) -> int:
    """The block size that stores a column of ``inputs`` weights in the fewest bytes, with padding and float scales."""
    return min(_BLOCKS, key=lambda size: -(-inputs // size) * (size + 4))


def common_block_size(inputs: int) -> int:
    """The largest block size that needs no padding node; else the size with the fewest bytes."""
    return next((size for size in (*_BLOCKS, _SMALLEST_BLOCK) if inputs % size == 0), block_size(inputs))


def _by_rows(matrix: Array, size: int, *, by_output: bool) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A float matrix [inputs, outputs] as integers [outputs, inputs] and scales [outputs, blocks].

    An output has one scale in all its blocks, or all outputs share one.
    """
    integers, scale = int8_grid(np.ascontiguousarray(matrix.T), 0 if by_output else None)
    blocks = -(-matrix.shape[0] // size)
    return as_unsigned(integers), np.ascontiguousarray(np.broadcast_to(scale, (matrix.shape[1], blocks)), np.float32)


def block_grid(matrix: Array, size: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A float matrix [inputs, outputs] in MatMulNBits' form.

    Returns:
        Integers [outputs, blocks, size] around 128, padded with zeros, and scales [outputs, blocks]: the symmetric
        grid of each block.
    """
    inputs, outputs = matrix.shape
    blocks = -(-inputs // size)
    padded = np.zeros((outputs, blocks * size), np.float32)
    padded[:, :inputs] = matrix.T
    columns = padded.reshape(outputs, blocks, size)
    peak = np.max(np.abs(columns), axis=2, keepdims=True)
    grid = params(-peak, peak, symmetric=True)
    return as_unsigned(quantize(columns, grid)), grid.scale.reshape(outputs, blocks)
