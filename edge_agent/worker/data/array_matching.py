"""Matches the arrays of an operator's ``.npz`` to the inputs of the model. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from edge_agent.backends import Signature

LABELS = "labels"
GROUPS = "groups"
RESERVED = (LABELS, GROUPS)
_ESCAPE = "input:"


def match_arrays(names: Iterable[str], info: Signature) -> dict[str, str]:
    """Model input → array of an ``.npz``; inputs without an array are left out.

    An array has its input's name, or ``input:<name>`` if that name is reserved. TensorFlow's ``:0`` is optional.
    A model with one input takes the only array whose name is not reserved.
    """
    free = {name.removeprefix(_ESCAPE).removesuffix(":0"): name for name in names if name not in RESERVED}
    matched = {
        spec.name: free[key] for spec in info.inputs if (key := spec.name.removesuffix(":0")) in free
    }  # fmt: skip
    if not matched and len(info.inputs) == len(free) == 1:
        return {info.inputs[0].name: next(iter(free.values()))}
    return matched


def lead(labels: np.dtype[Any], shape: Sequence[int]) -> bool:
    """Whether an array of labels names the class of each row, so that the split can be stratified."""
    return labels.kind in "biu" and len(shape) == 1


def widened(dtypes: Mapping[str, np.dtype[Any]], matched: Mapping[str, str], info: Signature) -> list[str]:
    """A sentence for each integer array that feeds a float input."""
    specs = {spec.name: spec for spec in info.inputs}
    return [
        f"array {array!r} holds {dtypes[array].name} and is fed as {specs[name].dtype}"
        for name, array in matched.items()
        if dtypes[array].kind != np.dtype(specs[name].dtype).kind
    ]
