"""The model of 16-bit floats, made by onnxruntime's own converter. Inputs and outputs keep their types.

The converter is one file of the runtime's wheel. It imports onnx, numpy and packaging in 7 ms, but not torch or sympy
like other files of its folder. Importing the folder appends it to ``sys.path``, where it must stay, because
``onnxruntime.quantization`` imports from there.

Behaviour, measured with onnxruntime 1.32:

* Weights beyond 65,504 become 65,504, and those below the smallest half become that half. Infinite ones stay infinite.
* Operators on its block list (Max, Min, TopK, CumSum, Upsample …) stay in 32 bits between two Casts. It appends Casts
  behind the last node. The runtime sorts them, but other readers reject such a file: :func:`_sorted`.
* It adds no Cast to a tensor of unknown type. Its own type inference fails at the runtime's operators and is switched
  off: a prepared model already has the types that the runtime found.
* It fails on constants of inner graphs that share a name, and on an operator without a 16-bit form.

A processor without 16-bit arithmetic computes such a file in 32 bits: the runtime removes the Casts, so that nothing
overflows there. :mod:`.peaks` finds out whether the activations fit.
"""

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto

from edge_agent.backends.onnx.graph import with_inner
from edge_agent.backends.onnx.names import name_nodes
from edge_agent.backends.onnx.sharing import share_constants
from edge_agent.errors import ModelError

_CONVERTER = "onnxruntime.transformers.float16"


def rewrite_float16(prepared: Path, out: Path) -> None:
    """Write the model in 16-bit floats; raises ``ModelError`` (``rewrite_invalid``) where the converter fails."""
    model = onnx.load_model(prepared, load_external_data=False)
    try:
        made = import_module(_CONVERTER).convert_float_to_float16(model, keep_io_types=True, disable_shape_infer=True)
    except Exception as error:  # by graph an AssertionError, ValueError, KeyError …: this candidate ends, no other
        reason = ": ".join(filter(None, (type(error).__name__, str(error).partition("\n")[0][:300])))
        raise ModelError("rewrite_invalid", f"onnxruntime's float16 converter fails: {reason}") from error
    nodes = _sorted(made.graph.node)
    del made.graph.node[:], made.graph.value_info[:]
    made.graph.node.extend(nodes)
    share_constants(made)
    name_nodes(made.graph.node)
    onnx.save_model(made, out)


def float16_weights(model: Any) -> int:
    """The number of constants stored as 16-bit floats."""
    return sum(tensor.data_type == TensorProto.FLOAT16 for tensor in model.graph.initializer)


def _sorted(nodes: Iterable[Any]) -> list[Any]:
    """The nodes in a valid execution order, as close as possible to the given one."""
    left = list(nodes)
    made = {name for node in left for name in node.output if name}
    order: list[Any] = []
    while left:
        later = []
        for node in left:
            if made.isdisjoint(name for one in with_inner([node]) for name in one.input if name not in node.output):
                order.append(node)
                made.difference_update(node.output)
            else:
                later.append(node)
        if len(later) == len(left):  # a cycle has no valid order
            return order + later
        left = later
    return order
