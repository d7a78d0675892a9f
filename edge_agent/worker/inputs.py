"""How data meet a model's inputs: which array feeds which, in what shape and type. Pure.

A row is fed as it is if its shape fits the input, else with a leading axis of 1. Numbers may become wider, and floats
narrower; a float never becomes an integer.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from edge_agent.backends import Array, ModelInfo, TensorSpec
from edge_agent.errors import ContractError, ModelError
from edge_agent.wire.manifest import State

LABELS = "labels"
GROUPS = "groups"
RESERVED = (LABELS, GROUPS)
_ESCAPE = "input:"
_STATE_RANK = 2


def fed_shape(shape: Sequence[int], spec: TensorSpec, what: str) -> tuple[int, ...]:
    """The shape in which ``what`` of ``shape`` is fed; raises ``ContractError`` (shape_mismatch) with both shapes."""
    for candidate in (tuple(shape), (1, *shape)):
        if len(candidate) == len(spec.shape) and all(
            want in (None, have) for have, want in zip(candidate, spec.shape, strict=True)
        ):
            return candidate
    wanted = "x".join("?" if size is None else str(size) for size in spec.shape) or "a single value"
    given = "x".join(map(str, shape)) or "a single value"
    raise ContractError("shape_mismatch", f"{what} has shape {given}, the model's input {spec.name!r} wants {wanted}")


def check_dtype(dtype: np.dtype[Any], spec: TensorSpec, what: str) -> None:
    """Raises ``ContractError`` (dtype_mismatch) if numbers of ``dtype`` must not be fed to the input."""
    wanted = np.dtype(spec.dtype)
    allowed = {"f": "fiub", "i": "iub", "u": "iub", "b": "b"}.get(wanted.kind, wanted.kind)
    if dtype.kind not in allowed:
        raise ContractError(
            "dtype_mismatch", f"{what} holds {dtype.name}, the model's input {spec.name!r} wants {wanted.name}"
        )


def feed(values: Array, spec: TensorSpec, what: str) -> Array:
    """``values`` in the input's type and shape.

    Raises:
        ContractError: ``shape_mismatch``, or ``dtype_mismatch`` if the type is wrong or an integer does not fit in.
    """
    shape, wanted = fed_shape(values.shape, spec, what), np.dtype(spec.dtype)
    check_dtype(values.dtype, spec, what)
    if wanted.kind in "iu" and values.size and not np.can_cast(values.dtype, wanted):
        limits, low, high = np.iinfo(wanted), int(values.min()), int(values.max())
        if low < limits.min or high > limits.max:
            raise ContractError(
                "dtype_mismatch", f"{what} reaches from {low} to {high}; {wanted.name} of {spec.name!r} cannot hold it"
            )
    with np.errstate(over="ignore"):  # what does not fit into a narrower float is Inf, and Inf is refused
        return np.ascontiguousarray(values, dtype=wanted).reshape(shape)


def constant(value: Any, spec: TensorSpec) -> Array:
    """A contract's ``constant`` for an input: an array of its shape, or one number for every element."""
    what = f"the constant of {spec.name!r}"
    try:
        values = np.asarray(value)
    except ValueError:
        raise ContractError("shape_mismatch", f"{what} has rows of different lengths") from None
    if values.ndim == 0:
        values = np.broadcast_to(values, [size or 1 for size in spec.shape])
    return feed(values, spec, what)


def match_arrays(names: Iterable[str], info: ModelInfo) -> dict[str, str]:
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


def check_all_fed(fed: Iterable[str], info: ModelInfo, states: Sequence[State], have: str) -> None:
    """Raises unless each model input has data, a constant or declared state.

    Args:
        fed: inputs that have data or a constant.
        info: the model.
        states: what the task declares.
        have: what there is instead, for the message.

    Raises:
        ModelError: ``state_undeclared`` if what is missing looks like an output that the model wants back.
        ContractError: ``input_missing``.
    """
    known = {*fed, *(state.input for state in states)}
    for spec in info.inputs:
        if spec.name in known:
            continue
        looks_like = next((output.name for output in info.outputs if _same_tensor(spec, output)), None)
        if len(info.inputs) > 1 and looks_like is not None:
            raise ModelError(
                "state_undeclared",
                f"input {spec.name!r} has no data and looks like state from output {looks_like!r}; declare "
                f'[[state]] input = "{spec.name}", output = "{looks_like}", or give an array of that name',
            )
        raise ContractError("input_missing", f"the model's input {spec.name!r} has no data; {have}")


def widened(dtypes: Mapping[str, np.dtype[Any]], matched: Mapping[str, str], info: ModelInfo) -> list[str]:
    """A sentence for each array of integers that feeds a float input."""
    specs = {spec.name: spec for spec in info.inputs}
    return [
        f"array {array!r} holds {dtypes[array].name} and is fed as {specs[name].dtype}"
        for name, array in matched.items()
        if dtypes[array].kind != np.dtype(specs[name].dtype).kind
    ]


def _same_tensor(spec: TensorSpec, output: TensorSpec) -> bool:
    static = None not in spec.shape and len(spec.shape) >= _STATE_RANK
    return static and np.dtype(spec.dtype).kind == "f" and (spec.dtype, spec.shape) == (output.dtype, output.shape)
