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
from heapq import heappop, heappush
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
LARGEST = 65504.0
"""The largest 16-bit float; the converter clamps constants to it."""
_NO_MEMORY = ("Arena alloc failed", "Failed to serialize proto")
"""Messages of protobuf when memory runs out; it raises no ``MemoryError``."""


def rewrite_float16(prepared: Path, out: Path) -> None:
    """Write the model in 16-bit floats.

    Raises:
        ModelError: ``rewrite_invalid`` where the converter fails.
        MemoryError: the conversion needs more memory than there is.
    """
    try:
        made = _converted(onnx.load_model(prepared, load_external_data=False))
        nodes = _sorted(made.graph.node)
        del made.graph.node[:], made.graph.value_info[:]
        made.graph.node.extend(nodes)
        share_constants(made)
        name_nodes(made.graph.node)
        onnx.save_model(made, out)
    except Exception as error:
        if any(words in str(error) for words in _NO_MEMORY):
            raise MemoryError(str(error)) from error
        raise


def converter() -> Any:
    """Import the module of the runtime's converter."""
    return import_module(_CONVERTER)


def float16_weights(model: Any) -> int:
    """The number of constants stored as 16-bit floats."""
    return sum(tensor.data_type == TensorProto.FLOAT16 for tensor in model.graph.initializer)


def _converted(model: Any) -> Any:
    try:
        return converter().convert_float_to_float16(model, keep_io_types=True, disable_shape_infer=True)
    except MemoryError:
        raise
    except Exception as error:  # by graph an AssertionError, ValueError, KeyError …: this candidate ends, no other
        said = ": ".join(filter(None, (type(error).__name__, str(error).partition("\n")[0][:300])))
        raise ModelError("rewrite_invalid", f"onnxruntime's float16 converter fails: {said}") from error


def _sorted(nodes: Iterable[Any]) -> list[Any]:
    """The nodes in a valid execution order, as close as possible to the given one."""
    given = list(nodes)
    maker = {name: place for place, node in enumerate(given) for name in node.output if name}
    awaited = [
        {maker[name] for one in with_inner([node]) for name in one.input if name in maker} - {place}
        for place, node in enumerate(given)
    ]
    readers: dict[int, list[int]] = {}
    for place, makers in enumerate(awaited):
        for one in makers:
            readers.setdefault(one, []).append(place)
    missing = [len(makers) for makers in awaited]
    ready = [place for place, count in enumerate(missing) if not count]  # ascending, so a heap
    order: list[int] = []
    while ready:
        order.append(heappop(ready))
        for place in readers.get(order[-1], ()):
            missing[place] -= 1
            if not missing[place]:
                heappush(ready, place)
    cycle = [place for place, count in enumerate(missing) if count]  # a cycle has no valid order
    return [given[place] for place in (*order, *cycle)]
