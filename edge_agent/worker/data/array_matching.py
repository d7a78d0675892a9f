"""Which array of an operator's ``.npz`` feeds which input of the model. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from edge_agent.backends import Signature

LABELS = "labels"
GROUPS = "groups"
RESERVED = (LABELS, GROUPS)
_ESCAPE = "input:"


def match_arrays(names: Iterable[str], info: Signature) -> dict[str, str]:
    """Model input → array of an ``.npz``; inputs that no array feeds are left out.

    The key is the input's name, or ``input:<name>`` if that is a reserved word; TensorFlow's ``:0`` may be there or
    not. A model with one input takes the only array that is not reserved.
    """
    free = {name.removeprefix(_ESCAPE).removesuffix(":0"): name for name in names if name not in RESERVED}
    matched = {
        spec.name: free[key] for spec in info.inputs if (key := spec.name.removesuffix(":0")) in free
    }  # fmt: skip
    if not matched and len(info.inputs) == len(free) == 1:
        return {info.inputs[0].name: next(iter(free.values()))}
    return matched


def lead(labels: np.dtype[Any], shape: Sequence[int]) -> bool:
    """Whether an array of labels says of each row which class it is of, so that the sets take their share of each."""
    return labels.kind in "biu" and len(shape) == 1


def widened(dtypes: Mapping[str, np.dtype[Any]], matched: Mapping[str, str], info: Signature) -> list[str]:
    """A sentence for each array of integers that feeds a float input."""
    specs = {spec.name: spec for spec in info.inputs}
    return [
        f"array {array!r} holds {dtypes[array].name} and is fed as {specs[name].dtype}"
        for name, array in matched.items()
        if dtypes[array].kind != np.dtype(specs[name].dtype).kind
    ]
