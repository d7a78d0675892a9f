"""At which node and tensor somebody else's quantizer stood when it failed.

Its message seldom says so ("list index out of range"). But what it was at is in the variables of the functions that
the error went through, under whatever name; the innermost one that is a node or a tensor of the model is told.
"""

from collections.abc import Callable, Iterator
from typing import Any

Naming = Callable[[Any], str]
"""What a variable's value is called in the model; empty if it is nothing of it."""


def place_of(error: BaseException, node: Naming, tensor: Naming) -> str:
    """Where ``error``, which was caught, came up: words to put behind "fails"; empty if nothing tells."""
    values = list(_variables(error))
    layer = next(filter(None, map(node, values)), "")
    name = next((one for one in map(tensor, values) if one not in ("", layer)), "")
    return (f" at node {layer!r}" if layer else "") + (f" at tensor {name!r}" if name else "")


def _variables(error: BaseException) -> Iterator[Any]:
    """The values in the functions that the error went through, the innermost first; those of their objects, too."""
    frames = []
    trace = error.__traceback__
    while trace is not None:
        frames.append(trace.tb_frame.f_locals)
        trace = trace.tb_next
    for variables in reversed(frames):
        yield from variables.values()
        yield from getattr(variables.get("self"), "__dict__", {}).values()
