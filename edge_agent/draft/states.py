"""Finds outputs that look like carried state, which an input needs at the next call. Pure."""

from edge_agent.model_file.tensors import ModelTensors, Tensor

_LEAST_AXES = 2


def carried(signature: ModelTensors) -> dict[str, str]:
    """Input → output of what looks like carried state: more than one input, and an output just like one of them.

    Where the size of an axis is open, as that of the batch may be, the two must also be named alike.
    """
    found: dict[str, str] = {}
    for tensor in signature.inputs[1:]:
        fits = [one.name for one in signature.outputs if one.name not in found.values() and _returns(one, tensor)]
        if fits:
            found[tensor.name] = max(fits, key=lambda name: _alike(name, tensor.name))
    return found


def _returns(output: Tensor, tensor: Tensor) -> bool:
    shape = tensor.shape
    if not shape or len(shape) < _LEAST_AXES or output.dtype != tensor.dtype or output.shape is None:
        return False
    if None not in shape and None not in output.shape:
        return output.shape == shape
    sizes_fit = len(shape) == len(output.shape) and all(
        None in (one, other) or one == other for one, other in zip(shape, output.shape, strict=True)
    )
    return sizes_fit and any(shape) and _alike(output.name, tensor.name) > 0


def _alike(one: str, other: str) -> int:
    """The length of the common beginning of two names; 0 if it is less than half of the shorter name."""
    same = 0
    for left, right in zip(one.lower(), other.lower(), strict=False):
        if left != right:
            break
        same += 1
    return same if 2 * same >= min(len(one), len(other)) else 0
