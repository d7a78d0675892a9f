"""The dynamic model: int8 weights, and activations quantized at run time by the range of each tensor.

It uses ONNX's own operators (DynamicQuantizeLinear, MatMulInteger, ConvInteger), which onnxruntime fuses where it can.
It fuses products well, but ConvInteger is 3 to 12 times slower than a float Conv; ``operators`` of the candidate
decides whether convolutions take part. Products of two activations, as in attention, stay float. The LSTM is the only
recurrent layer with an int8 form (:mod:`.recurrent`), and the only layer that becomes int8 in inner graphs.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from edge_agent.backends import Array, CandidateSpec
from edge_agent.backends.onnx.inner import inner_layers
from edge_agent.backends.onnx.operators import DYNAMIC
from edge_agent.backends.onnx.recurrent import is_quantizable_lstm, quantized_lstm
from edge_agent.backends.onnx.surgery import ZERO_POINT, Surgery, as_unsigned, bias, int8_grid, is_product, product

_SPATIAL_AXES_FROM = 2


def rewrite_dynamic(prepared: Path, spec: CandidateSpec, out: Path) -> None:
    """Write the dynamically quantized model; raises ``ModelError`` (``rewrite_invalid``) if no layer takes part."""
    model = onnx.load_model(prepared, load_external_data=False)
    surgery = Surgery(model)
    nodes = [node for node in surgery.graph.quantizable(spec.operators or DYNAMIC) if _takes_part(surgery, node, spec)]
    axis_of = surgery.graph.output_axis if spec.per_channel else lambda _: None
    axes = surgery.twins.common_axes((node.input[1], axis_of(node)) for node in nodes if node.op_type != "LSTM")
    for node in nodes:
        if node.op_type == "LSTM":
            surgery.exchange(node, quantized_lstm(surgery, node, spec))
        else:
            surgery.exchange(node, _layer(surgery, node, axes[node.input[1]], spec))
    for node in inner_layers(surgery.graph):
        named = node.op_type in (spec.operators or DYNAMIC) and node.name not in spec.float_layers
        if named and is_quantizable_lstm(surgery.graph, node):
            surgery.exchange_inside(node, quantized_lstm(surgery, node, spec)[0])
    surgery.store_tables(spec.float_layers, axes, unsigned=axes if spec.types == "u8u8" else ())
    onnx.save_model(surgery.finish(spec), out)


def _takes_part(surgery: Surgery, node: Any, spec: CandidateSpec) -> bool:
    """Whether the candidate quantizes a node, and the node's kind supports it."""
    if node.name in spec.float_layers:
        return False
    if node.op_type != "Conv":
        return is_product(surgery.graph, node) or is_quantizable_lstm(surgery.graph, node)
    return surgery.graph.weight(node) is not None and bias(node) in {"", *surgery.graph.constants}


def _layer(surgery: Surgery, node: Any, axis: int | None, spec: CandidateSpec) -> list[Any]:
    """The nodes for one layer; ``axis``: the axis of its weights with one scale per index."""
    weight = node.input[1]
    if node.op_type == "Conv":
        values = surgery.graph.array(weight)
        integers, scale = int8_grid(values, axis)
        spatial = [1] * (values.ndim - _SPATIAL_AXES_FROM)
        attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
        scale = scale.reshape(-1, *spatial)  # against [batch, channels, ...]
        stored = _stored(surgery, weight, integers, spec)
        return _integer(surgery, node, "ConvInteger", attributes, stored, scale, (1, -1, *spatial))
    matrix = product(surgery.graph, node)
    integers, scale = int8_grid(matrix, None if axis is None else matrix.ndim - 1)
    stored = _stored(surgery, weight, np.ascontiguousarray(integers), spec)
    return _integer(surgery, node, "MatMulInteger", {}, stored, scale.reshape(-1), None)


def _stored(surgery: Surgery, weight: str, integers: Array, spec: CandidateSpec) -> list[str]:
    """The int8 weights as constants: the tensor and, if it is unsigned, its zero point."""
    if spec.types == "u8s8":
        return [surgery.constant(f"{weight}_int8", integers)]
    names = (f"{weight}_uint8", as_unsigned(integers)), (f"{weight}_zero_point", np.array(ZERO_POINT, np.uint8))
    return [surgery.constant(name, value) for name, value in names]


def _integer(
    surgery: Surgery,
    node: Any,
    operator: str,
    attributes: dict[str, Any],
    weights: list[str],
    scale: Array,
    bias_shape: tuple[int, ...] | None,
) -> list[Any]:
    """Activation → integers → integer operator → float, times both scales, plus the bias."""
    name, output = node.input[1], node.output[0]
    (integers, its_scale, zero_point), nodes = surgery.quantized_now(node.input[0])
    weight_scale = surgery.constant(f"{name}_scale", scale)
    total, as_float, scales = (surgery.fresh(f"{output}_{part}") for part in ("int32", "cast", "scale"))
    added = bias(node)
    if added and bias_shape is not None:
        added = surgery.constant(f"{added}_shaped", surgery.graph.array(added).reshape(bias_shape))
    product_output = surgery.fresh(f"{output}_product") if added else output
    nodes += [
        helper.make_node(operator, [integers, weights[0], zero_point, *weights[1:]], [total], node.name, **attributes),
        helper.make_node("Cast", [total], [as_float], as_float, to=TensorProto.FLOAT),
        helper.make_node("Mul", [its_scale, weight_scale], [scales], scales),
        helper.make_node("Mul", [as_float, scales], [product_output], product_output),
    ]
    if added:
        nodes.append(helper.make_node("Add", [product_output, added], [output], f"{node.name}_bias"))
    return nodes
