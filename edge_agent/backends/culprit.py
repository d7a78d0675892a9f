"""Finds the node and tensor at which a third-party quantizer failed.

Its message seldom names them ("list index out of range"). But the local variables of the functions in the traceback
hold them, under any name. The innermost variable that is a node or a tensor of the model is reported.
"""

from collections.abc import Callable, Iterator
from typing import Any

Naming = Callable[[Any], str]
"""The name in the model of a variable's value; empty if it is not part of the model."""


def place_of(error: BaseException, node: Naming, tensor: Naming) -> str:
    """Words about where a caught ``error`` occurred, to follow "fails"; empty if that is not known."""
    values = list(_variables(error))
    layer = next(filter(None, map(node, values)), "")
    name = next((one for one in map(tensor, values) if one not in ("", layer)), "")
    return (f" at node {layer!r}" if layer else "") + (f" at tensor {name!r}" if name else "")


def _variables(error: BaseException) -> Iterator[Any]:
    """Local values of the functions in the traceback and attributes of their objects, the innermost first."""
    frames = []
    trace = error.__traceback__
    while trace is not None:
        frames.append(trace.tb_frame.f_locals)
        trace = trace.tb_next
    for variables in reversed(frames):
        yield from variables.values()
        yield from getattr(variables.get("self"), "__dict__", {}).values()
