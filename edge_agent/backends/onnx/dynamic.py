"""Weights in int8, and activations quantized as they come: their range is that of the tensor at hand, no calibration.

Written in ONNX's own operators (DynamicQuantizeLinear, MatMulInteger, ConvInteger), which onnxruntime fuses where it
can. It fuses products well; ConvInteger is 3 to 12 times slower than a float Conv, so whoever asks for ``operators``
decides whether convolutions take part. Products of two activations, as in attention, stay float.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from edge_agent.backends import Array, CandidateSpec
from edge_agent.backends.onnx.operators import DYNAMIC
from edge_agent.backends.onnx.surgery import Surgery, bias, int8_grid, product

_SPATIAL_AXES_FROM = 2
_ZERO_POINT = 128


def rewrite_dynamic(prepared: Path, spec: CandidateSpec, out: Path) -> None:
    """Write the dynamically quantized model; raises ``ModelError`` (``rewrite_invalid``) if no layer takes part."""
    model = onnx.load_model(prepared, load_external_data=False)
    surgery = Surgery(model)
    for node in surgery.graph.quantizable(spec.operators or DYNAMIC):
        if node.name in spec.float_layers:
            continue
        nodes = _layer(surgery, node, spec)
        if nodes:
            surgery.exchange(node, nodes)
    surgery.store_tables(spec.float_layers)
    onnx.save_model(surgery.finish(), out)


def _layer(surgery: Surgery, node: Any, spec: CandidateSpec) -> list[Any]:
    """The nodes for one layer; none if it is not of a kind that can be."""
    weight = surgery.graph.weight(node)
    if node.op_type == "Conv":
        if weight is None or (bias(node) and bias(node) not in surgery.graph.constants):
            return []
        values = surgery.graph.array(weight)
        integers, scale = int8_grid(values, 0 if spec.per_channel else None)
        spatial = [1] * (values.ndim - _SPATIAL_AXES_FROM)
        attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
        scale = scale.reshape(-1, *spatial)  # against [batch, channels, ...]
        stored = _stored(surgery, weight, integers, spec)
        return _integer(surgery, node, "ConvInteger", attributes, stored, scale, (1, -1, *spatial))
    matrix = product(surgery.graph, node)
    if matrix is None:
        return []
    integers, scale = int8_grid(matrix, matrix.ndim - 1 if spec.per_channel else None)
    stored = _stored(surgery, node.input[1], np.ascontiguousarray(integers), spec)
    return _integer(surgery, node, "MatMulInteger", {}, stored, scale.reshape(-1), None)


def _stored(surgery: Surgery, weight: str, integers: Array, spec: CandidateSpec) -> list[str]:
    """The int8 weights as constants: the tensor and, where it is unsigned, the zero point that makes it so."""
    if spec.types == "u8s8":
        return [surgery.constant(f"{weight}_int8", integers)]
    unsigned = (integers.astype(np.int16) + _ZERO_POINT).astype(np.uint8)
    names = (f"{weight}_uint8", unsigned), (f"{weight}_zero_point", np.array(_ZERO_POINT, np.uint8))
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
