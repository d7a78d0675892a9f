"""Checks a manifest against the devices' sources and the model's inputs. Pure.

Errors have the codes and nearly the words of the device, which checks again and knows more. Unknown facts are left to
the device: a device without an info message, a model that this host cannot read, a source without a channel list.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from edge_agent.errors import ContractError
from edge_agent.model_file.tensors import ModelTensors, Shape, Tensor
from edge_agent.strict import did_you_mean
from edge_agent.wire.manifest import InputContract, State
from edge_agent.wire.messages import DeviceInfo
from edge_agent.wire.steps import read_steps, shape_after


def troubles(
    inputs: Sequence[InputContract],
    states: Sequence[State],
    signature: ModelTensors | None,
    devices: Mapping[str, DeviceInfo | None],
) -> dict[str, ContractError]:
    """Device → the first error of the manifest there; a device without one is left out."""
    found: dict[str, ContractError] = {}
    for name, info in devices.items():
        try:
            if info is not None:
                _check_source(inputs, name, info)
            if signature is not None:
                check_model(inputs, states, signature, _channels(inputs, info))
        except ContractError as error:
            found[name] = error
    return found


def check_model(
    inputs: Sequence[InputContract], states: Sequence[State], signature: ModelTensors, channels: Collection[str] = ()
) -> None:
    """Raise ``ContractError`` (input_missing, shape_mismatch) unless windows can become the model's inputs.

    Args:
        inputs: the input contracts.
        states: the model's state from call to call.
        signature: the model's inputs and outputs.
        channels: the source's channels, for contracts that take all of them; empty: not known.
    """
    tensors = {tensor.name: tensor for tensor in signature.inputs}
    named = {contract.name for contract in inputs if contract.name} | {state.input for state in states}
    for name in (*(contract.name for contract in inputs if contract.name), *(state.input for state in states)):
        if name not in tensors:
            raise ContractError("input_missing", f"the model has no input {name!r}{did_you_mean(name, tensors)}")
    free = [name for name in tensors if name not in named]
    fed = {contract.name or (free[0] if free else next(iter(tensors))): contract for contract in inputs}
    for name, contract in fed.items():
        if contract.constant is None:
            _check_shape(contract, tensors[name], len(contract.channels or channels))
    for name in tensors:
        if name not in fed and name not in named:
            text = f"the model's input {name!r} has no data; add an [[inputs]] entry of that name"
            raise ContractError("input_missing", f"{text}, or declare it as [[state]]")


def fits(shape: Sequence[int], wanted: Shape) -> bool:
    """Whether a tensor of this shape can be fed as it is, or with a leading axis of 1."""
    return any(
        len(candidate) == len(wanted)
        and all(want in (None, have) for have, want in zip(candidate, wanted, strict=True))
        for candidate in (tuple(shape), (1, *shape))
    )


def _check_shape(contract: InputContract, tensor: Tensor, channels: int) -> None:
    if contract.window is None or tensor.shape is None or not channels:
        return
    window = contract.shape(contract.window.size, channels)
    made = shape_after(read_steps(contract), window)
    if fits(made, tensor.shape):
        return
    after = f", {_sizes(made)} after its steps," if contract.steps else ""
    hint = "correct window, channels or steps"
    if len(made) == 2 and fits(made[::-1], tensor.shape):  # noqa: PLR2004  # time and channels
        turns = any(step.get("op") == "transpose" for step in contract.steps)
        hint = "leave the step transpose out" if turns else 'add the step { op = "transpose", axes = [1, 0] }'
    text = f"a window of {_sizes(window)}{after} does not fit the model's input {tensor.name!r}, which wants"
    raise ContractError("shape_mismatch", f"{text} {_sizes(tensor.shape)}; {hint}")


def _check_source(inputs: Iterable[InputContract], device: str, info: DeviceInfo) -> None:
    for contract in inputs:
        if contract.constant is not None:
            continue
        if contract.source not in info.sources:
            hint = did_you_mean(contract.source, info.sources)
            raise ContractError("source_unknown", f"{device} has no source {contract.source!r}{hint}")
        have = _listed(info, contract.source)
        for channel in contract.channels if have else ():
            if channel not in have:
                text = f"source {contract.source!r} of {device} has no channel {channel!r}"
                raise ContractError("channel_unknown", f"{text}{did_you_mean(channel, have)}")


def _channels(inputs: Iterable[InputContract], info: DeviceInfo | None) -> list[str]:
    sources = [contract.source for contract in inputs if contract.constant is None]
    return _listed(info, sources[0]) if info is not None and sources else []


def _listed(info: DeviceInfo, source: str) -> list[str]:
    """The channels that a device reports for its source; empty: none reported (a file's header may have them)."""
    channels = info.sources.get(source, {}).get("channels")
    return [str(channel) for channel in channels] if isinstance(channels, list) else []


def _sizes(shape: Shape) -> str:
    return "x".join("?" if size is None else str(size) for size in shape) or "a single value"
