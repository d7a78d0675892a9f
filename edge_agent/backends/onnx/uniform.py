"""Weights on a uniform int8 grid, from the weights alone: no activation data, no range.

Matrix products become MatMulNBits: onnxruntime's kernel for blocks of 8-bit weights, which never unpacks them in
memory. It rounds each block of activations to 8 bits as it goes, so its error is a little more than that of the
weights; its purely float form takes 2 to 20 times float's time and is of no use. Measured on x86 with VNNI at 16 and
fewer rows: 0.3 to 0.6 of float's time, half its memory; 4-bit weights are no faster and lose 20 dB. Every other
weighted layer computes in float as before and only its weights are stored in int8: a smaller file, float's speed.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from edge_agent.backends import Array, CandidateSpec
from edge_agent.backends.onnx.graph import Graph
from edge_agent.backends.onnx.operators import RECURRENT, WEIGHTED
from edge_agent.backends.onnx.surgery import Surgery, bias, product
from edge_agent.quant.affine import params, quantize

_BLOCKS = (128, 64, 32)
_ZERO_POINT = 128
_INT8_ARITHMETIC = 4
"""MatMulNBits' ``accuracy_level`` that lets it multiply integers."""
_MATRIX = 2


def rewrite_uniform(prepared: Path, spec: CandidateSpec, out: Path) -> None:
    """Write the model with int8 weights; raises ``ModelError`` (``rewrite_invalid``) if it has none to store."""
    model = onnx.load_model(prepared, load_external_data=False)
    surgery = Surgery(model)
    for node in surgery.graph.quantizable(spec.operators or (*WEIGHTED, *RECURRENT)):
        if node.name in spec.float_layers:
            continue
        matrix = product(surgery.graph, node)
        if matrix is not None and matrix.ndim == _MATRIX:
            surgery.exchange(node, _in_blocks(surgery, node, matrix))
        elif nodes := _unpacked(surgery, node, per_channel=spec.per_channel):
            surgery.exchange(node, nodes)
    surgery.store_tables(spec.float_layers)
    onnx.save_model(surgery.finish(), out)


def _unpacked(surgery: Surgery, node: Any, *, per_channel: bool) -> list[Any]:
    """The same node, its weights unpacked from int8 when the file is loaded; nothing if it has no constant weights."""
    reader = onnx.NodeProto()
    reader.CopyFrom(node)
    nodes: list[Any] = []
    for name, axis in _weights(surgery.graph, node).items():
        value, before = surgery.as_float(name, axis if per_channel else None)
        reader.input[list(node.input).index(name)] = value
        nodes += before
    return [*nodes, reader] if reader != node else []


def _weights(graph: Graph, node: Any) -> dict[str, int | None]:
    """The constant float weights of a layer, and the axis of each that counts its outputs."""
    if node.op_type in RECURRENT:
        known = [graph.constants.get(name) for name in node.input[1:3]]
        return {tensor.name: 1 for tensor in known if tensor is not None and tensor.data_type == TensorProto.FLOAT}
    name = graph.weight(node)
    if name is None:
        return {}
    return {name: graph.output_axis(node) if len(graph.constants[name].dims) >= _MATRIX else None}


def _in_blocks(surgery: Surgery, node: Any, matrix: Array) -> list[Any]:
    inputs, outputs = matrix.shape
    size = block_size(inputs)
    integers, scales = block_grid(matrix, size)
    name = node.input[1]
    stored = surgery.constant(f"{name}_blocks", integers)
    scale = surgery.constant(f"{name}_scale", scales)
    added = bias(node)
    product_output = surgery.fresh(f"{node.output[0]}_product") if added else node.output[0]
    nodes = [
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
        )
    ]
    if added:
        nodes.append(helper.make_node("Add", [product_output, added], [node.output[0]], f"{node.name}_bias"))
    return nodes


def block_size(inputs: int) -> int:
    """The block that stores a column of so many weights in the fewest bytes, padding and float scales included."""
    return min(_BLOCKS, key=lambda size: -(-inputs // size) * (size + 4))


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
    integers = quantize(columns, grid).astype(np.int16) + _ZERO_POINT
    return integers.astype(np.uint8), grid.scale.reshape(outputs, blocks)
