"""Stores a bias that several layers of the static model add only once, in float.

An unrolled cell adds one bias at each step. An int8 layer needs its bias in units of input scale times weight scale,
and each step's input has its own scale. The quantizer therefore stores a bias per reader, with as many scales as
channels. If that takes more space than the float values plus the nodes that quantize them, the nodes are written
instead. The runtime folds them when it loads the file, so that its integer kernels still match.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from edge_agent.backends import Array
from edge_agent.backends.onnx.names import free, tensor_names

_INPUT, _WEIGHT, _BIAS = range(3)
_INTEGERS, _SCALE = range(2)
"""Positions among the inputs of a DequantizeLinear."""
_NODES_BYTES = 600
"""File size of the nodes of one bias."""
_MOST_STEPS = 2**30
"""A larger bias could exceed 32 bits by rounding."""


class _Read(NamedTuple):
    """One layer's bias in the quantizer's model."""

    layer: Any
    stored: Any
    """The DequantizeLinear that computes it."""
    scales: tuple[str, str]
    """The constants with the scales of input and weight; its own scale is their product."""


def float_biases(model: Any) -> dict[str, Array]:
    """Layer → its bias values, from a model that is still float."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    return {
        node.name: numpy_helper.to_array(constants[node.input[_BIAS]])
        for node in model.graph.node
        if node.op_type in ("Conv", "ConvTranspose", "Gemm")
        and len(node.input) > _BIAS
        and node.input[_BIAS] in constants
    }


def share_biases(model: Any, biases: Mapping[str, Array]) -> None:
    """Change the quantizer's ``model``; ``biases``: the result of :func:`float_biases` before quantization."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    taken = set(tensor_names(model.graph))
    groups: dict[bytes, list[_Read]] = {}
    for read in _reads(model.graph.node, constants, biases):
        groups.setdefault(biases[read.layer.name].tobytes(), []).append(read)
    made: list[Any] = []
    gone: set[str] = set()
    for group in groups.values():
        if _is_worth_it(group, constants):
            value = biases[group[0].layer.name]
            name = free(f"{group[0].layer.name}/bias", taken)
            model.graph.initializer.append(numpy_helper.from_array(value, name))
            made += _made_at_load(group, name, constants, taken)
            gone.update(read.stored.name for read in group)
    if not made:
        return
    nodes = [*made, *(node for node in model.graph.node if node.name not in gone)]
    read_now = {name for node in nodes for name in node.input}
    was_read = {name for node in model.graph.node if node.name in gone for name in node.input}
    kept = [one for one in model.graph.initializer if one.name in read_now or one.name not in was_read]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(kept)


def _reads(nodes: Iterable[Any], constants: Mapping[str, Any], biases: Mapping[str, Array]) -> Iterable[_Read]:
    """The layers with an integer bias that follows from its float values and two scales."""
    dequantized = {node.output[0]: node for node in nodes if node.op_type == "DequantizeLinear"}
    for node in nodes:
        if node.name not in biases or len(node.input) <= _BIAS:
            continue
        around = [dequantized[name] for name in node.input[: _BIAS + 1] if name in dequantized]
        if len(around) <= _BIAS or any(one.input[_SCALE] not in constants for one in around):
            continue
        stored, scales = around[_BIAS], (around[_INPUT].input[_SCALE], around[_WEIGHT].input[_SCALE])
        integers = constants.get(stored.input[_INTEGERS])
        if integers is None or integers.data_type != TensorProto.INT32:
            continue
        fed, weight = (numpy_helper.to_array(constants[name]) for name in scales)
        known = numpy_helper.to_array(constants[stored.input[_SCALE]])
        if _is_made_of(numpy_helper.to_array(integers), known, biases[node.name], np.asarray(fed * weight)):
            yield _Read(node, stored, scales)


def _is_made_of(integers: Array, scale: Array, bias: Array, product: Array) -> bool:
    """Whether ``integers`` with ``scale`` equal ``bias`` in steps of ``product``."""
    if scale.size != product.size or not np.allclose(scale.reshape(-1), product.reshape(-1), rtol=1e-6, atol=0.0):
        return False
    if np.abs(integers.astype(np.int64)).max(initial=0) >= _MOST_STEPS:
        return False
    steps = np.rint(bias / product)
    return bool(np.allclose(steps, integers, rtol=1e-6, atol=1.0))


def _values(read: _Read, constants: Mapping[str, Any]) -> tuple[bytes, ...]:
    """A key that distinguishes biases with the same float values."""
    return tuple(numpy_helper.to_array(constants[name]).tobytes() for name in read.scales)


def _is_worth_it(group: list[_Read], constants: Mapping[str, Any]) -> bool:
    """Whether float values and nodes take less space than integers and scales; equal ones are stored once anyway."""
    count = len({_values(read, constants) for read in group})
    integers, scales = (numpy_helper.to_array(constants[name]).nbytes for name in group[0].stored.input[:2])
    return count > 1 and count * (integers + scales) > integers + count * _NODES_BYTES


def _made_at_load(group: list[_Read], bias: str, constants: Mapping[str, Any], taken: set[str]) -> list[Any]:
    """The nodes that make each layer's bias from the float bias; layers with equal scales share one."""
    nodes: list[Any] = []
    known: dict[tuple[bytes, ...], str] = {}
    for read in group:
        key = _values(read, constants)
        if key not in known:
            start = f"{bias}/{len(known)}"
            scale, quotient, whole, integers, known[key] = (
                free(f"{start}{part}", taken) for part in ("s", "q", "r", "i", "")
            )
            nodes += [
                helper.make_node("Mul", read.scales, [scale], scale),
                helper.make_node("Div", [bias, scale], [quotient], quotient),
                helper.make_node("Round", [quotient], [whole], whole),
                helper.make_node("Cast", [whole], [integers], integers, to=TensorProto.INT32),
                helper.make_node("DequantizeLinear", [integers, scale], [known[key]], known[key]),
            ]
            nodes[-1].attribute.extend(read.stored.attribute)
        read.layer.input[_BIAS] = known[key]
    return nodes
