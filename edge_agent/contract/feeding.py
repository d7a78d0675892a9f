"""Feeds data to a model's inputs: assigns contracts to inputs, and converts shape and type. Pure.

A row is fed unchanged if its shape fits the input, else with a leading axis of 1. Numbers may be widened, and floats
narrowed; a float never becomes an integer.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from edge_agent.backends import Array, Signature, TensorSpec
from edge_agent.contract import Contract
from edge_agent.errors import ContractError, ModelError
from edge_agent.preprocess import Preprocess
from edge_agent.strict import did_you_mean
from edge_agent.wire.manifest import InputContract, State

_STATE_RANK = 2


def fed_shape(shape: Sequence[int], spec: TensorSpec, what: str) -> tuple[int, ...]:
    """Return the shape in which ``what`` is fed; raise ``ContractError`` (shape_mismatch) with both shapes."""
    for candidate in (tuple(shape), (1, *shape)):
        if len(candidate) == len(spec.shape) and all(
            want in (None, have) for have, want in zip(candidate, spec.shape, strict=True)
        ):
            return candidate
    wanted = "x".join("?" if size is None else str(size) for size in spec.shape) or "a single value"
    given = "x".join(map(str, shape)) or "a single value"
    raise ContractError("shape_mismatch", f"{what} has shape {given}; the model's input {spec.name!r} needs {wanted}")


def check_dtype(dtype: np.dtype[Any], spec: TensorSpec, what: str) -> None:
    """Raise ``ContractError`` (dtype_mismatch) if numbers of ``dtype`` must not be fed to the input."""
    wanted = np.dtype(spec.dtype)
    allowed = {"f": "fiub", "i": "iub", "u": "iub", "b": "b"}.get(wanted.kind, wanted.kind)
    if dtype.kind not in allowed:
        raise ContractError(
            "dtype_mismatch", f"{what} has the type {dtype.name}; the model's input {spec.name!r} needs {wanted.name}"
        )


def feed(values: Array, spec: TensorSpec, what: str) -> Array:
    """Return ``values`` in the input's type and shape.

    Raises:
        ContractError: ``shape_mismatch``, or ``dtype_mismatch`` if the type is wrong or an integer does not fit.
    """
    shape, wanted = fed_shape(values.shape, spec, what), np.dtype(spec.dtype)
    check_dtype(values.dtype, spec, what)
    if wanted.kind in "iu" and values.size and not np.can_cast(values.dtype, wanted):
        limits, low, high = np.iinfo(wanted), int(values.min()), int(values.max())
        if low < limits.min or high > limits.max:
            raise ContractError(
                "dtype_mismatch",
                f"{what} ranges from {low} to {high}, which {wanted.name} of {spec.name!r} cannot hold",
            )
    with np.errstate(over="ignore"):  # too large for a narrower float is Inf, and Inf is refused
        return np.ascontiguousarray(values, dtype=wanted).reshape(shape)


def constant(value: Any, spec: TensorSpec) -> Array:
    """Return a contract's ``constant`` for an input: an array of its shape, or one number for every element."""
    what = f"the constant of {spec.name!r}"
    try:
        values = np.asarray(value)
    except ValueError:
        raise ContractError("shape_mismatch", f"{what} has rows of different lengths") from None
    if values.ndim == 0:
        values = np.broadcast_to(values, [size or 1 for size in spec.shape])
    return feed(values, spec, what)


def check_all_fed(fed: Iterable[str], info: Signature, states: Sequence[State], have: str) -> None:
    """Check that each model input has data, a constant or declared state.

    Args:
        fed: inputs that have data or a constant.
        info: the model's signature.
        states: the declared states.
        have: the last clause of the message: the data at hand, or advice.

    Raises:
        ModelError: ``state_undeclared`` if the missing input looks like state from one of the outputs.
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


def fixed_feeds(info: Signature, asked: Contract) -> dict[str, Array]:
    """Return the inputs for which the contract has a constant."""
    specs = {spec.name: spec for spec in info.inputs}
    return {
        contract.name: constant(contract.constant, specs[contract.name])
        for contract in asked.inputs
        if contract.constant is not None and contract.name in specs
    }


def sensor_inputs(info: Signature, asked: Contract) -> dict[str, InputContract]:
    """Return model input → the contract that feeds it from a source; an unnamed one feeds the first free input.

    Raises:
        ContractError: ``input_missing`` if an input has no contract or several, or is not an input of the model.
        ModelError: ``state_undeclared``.
    """
    named = {contract.name for contract in asked.inputs if contract.name} | {state.input for state in asked.state}
    known = [spec.name for spec in info.inputs]
    free = [name for name in known if name not in named]
    sensed = [contract for contract in asked.inputs if contract.constant is None]
    inputs = {contract.name or (free[0] if free else known[0]): contract for contract in sensed}
    for name in [*inputs, *(contract.name for contract in asked.inputs)]:
        if name and name not in known:
            raise ContractError("input_missing", f"[[inputs]] names {name!r}{did_you_mean(name, known)}")
    if len(inputs) < len(sensed):
        text = "several [[inputs]] entries feed one input of the model; give each the name of the input that it feeds"
        raise ContractError("input_missing", text)
    check_all_fed([*inputs, *fixed_feeds(info, asked)], info, asked.state, "add an [[inputs]] entry of that name")
    return inputs


def window_maker(contract: InputContract, spec: TensorSpec, columns: Sequence[str]) -> Callable[[Array], Array]:
    """Return the function from a raw window ``[size, columns]`` of float32, or of pictures, to the input ``spec``.

    Raises:
        RecipeError: ``recipe_unsupported`` for an unknown step.
        ContractError: raised by the returned function if steps or result do not fit the input.
    """
    preprocess = Preprocess(contract)
    picked = [columns.index(channel) for channel in contract.channels] or slice(None)
    return lambda window: feed(preprocess(window[..., picked]), spec, "a window after its steps")


def _same_tensor(spec: TensorSpec, output: TensorSpec) -> bool:
    static = None not in spec.shape and len(spec.shape) >= _STATE_RANK
    return static and np.dtype(spec.dtype).kind == "f" and (spec.dtype, spec.shape) == (output.dtype, output.shape)
