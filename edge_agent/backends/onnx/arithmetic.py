"""The integer types that this processor multiplies exactly, and therefore the schemes worth trying.

onnxruntime's kernels are optimised for unsigned activations with signed weights, which are the default. On some
processors other types are better:

* x86 without VNNI sums pairs of these products in 16 bits, which saturate, so that large values silently give too small
  results (measured with onnxruntime 1.32 on AVX2: 127 x 255 summed 64 times gives half of the correct sum). One
  multiplication finds out whether this processor does. Unsigned weights are exact everywhere. (So are signed
  activations, but on x86 the runtime converts them to unsigned when it loads a file.)
* ARM has separate kernels for signed with signed. The device measures which are faster.

One scale per tensor is faster than one per channel (measured on AVX2: a perceptron 0.67 against 0.89 of float's time,
an MTCNN 0.93 against 0.98). It is therefore tried as well: with the usual types, and with unsigned asymmetric weights,
which lose least.
"""

import platform
from collections.abc import Sequence
from functools import cache

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from edge_agent.backends import Method, Scheme
from edge_agent.backends.onnx.session import create_session, run_session

_LENGTH = 64
"""Products summed; more than any kernel processes at once."""
_OPSET = 13
_IR_VERSION = 8

USUAL = Scheme("u8s8", per_channel=True)
SIGNED = Scheme("s8s8", per_channel=True)
UNSIGNED = Scheme("u8u8", per_channel=True)
PER_TENSOR = Scheme("u8s8", per_channel=False)
UNSIGNED_PER_TENSOR = Scheme("u8u8", per_channel=False)


def worth_trying(method: Method) -> Sequence[Scheme]:
    """The schemes of a method."""
    match method:
        case "static":
            signed = [SIGNED] if platform.machine() == "aarch64" else []
            unsigned = [UNSIGNED] if saturates() else []
            return [USUAL, *signed, *unsigned, PER_TENSOR, UNSIGNED_PER_TENSOR]
        case "dynamic":
            return [USUAL, *([UNSIGNED] if saturates() else []), PER_TENSOR]
        case "uniform" | "float16":
            return [USUAL]


@cache
def saturates() -> bool:
    """Whether the largest unsigned activations times the largest signed weights give too small a sum here."""
    weights = np.full((_LENGTH, 1), np.iinfo(np.int8).max, np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["x", "weights"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [1, _LENGTH])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [1, 1])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    x = np.full((1, _LENGTH), np.iinfo(np.uint8).max, np.uint8)
    (y,) = run_session(create_session(model.SerializeToString()), None, {"x": x})
    return int(y.item()) != _LENGTH * int(weights[0, 0]) * int(x[0, 0])
