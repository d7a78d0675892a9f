"""Checks that a source fits the model's inputs, as far as possible before the first sample. Pure.

A source here is its description: channels, rate, and the form of a sample. The checks are the same for an open source
and for stored samples.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_agent.backends import ModelInfo
from edge_agent.contract.feeding import sensor_inputs, window_maker
from edge_agent.errors import ContractError, RecipeError
from edge_agent.jobs.task import Task
from edge_agent.strict import did_you_mean
from edge_agent.wire.manifest import InputContract, Window

Samples = NDArray[Any]
"""``[n, *frame_shape, channels]``: float32, or uint8 for pictures."""
_NUMBERS_AXES = 2


class Described(Protocol):
    """The description of a source."""

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the last axis."""
        ...

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """The shape of a sample in each channel: ``()`` for a number, ``(height, width)`` for a picture."""
        ...


def common_window(info: ModelInfo, task: Task) -> tuple[str, Window, float | None]:
    """The common source, window and rate of all inputs, after checking that each input of the model is fed.

    Raises:
        RecipeError: ``recipe_unsupported``: several sources.
        ContractError: ``source_unknown``, ``shape_mismatch``, ``input_missing``.
    """
    inputs = sensor_inputs(info, task)
    sources = sorted({contract.source for contract in inputs.values()})
    if len(sources) != 1 or not sources[0]:
        named = ", ".join(map(repr, sources)) or "none"
        raise RecipeError("recipe_unsupported", f"inputs must come from one source; the contract names {named}")
    if sources[0] not in task.sources:
        hint = did_you_mean(sources[0], task.sources)
        raise ContractError("source_unknown", f"this device has no source {sources[0]!r}{hint}")
    windows = {(contract.window, contract.rate_hz) for contract in inputs.values()}
    window, rate_hz = next(iter(windows))
    if window is None or len(windows) > 1:
        text = "every input needs the same window = { size = ..., hop = ... } and, if any has one, the same rate_hz"
        raise ContractError("shape_mismatch", text)
    return sources[0], window, rate_hz


def check_source(info: ModelInfo, task: Task, source: Described, name: str, size: int) -> list[str]:
    """The needed channels of a source, in the source's order, after a trial with one window of zeros.

    Args:
        info: the model.
        task: the task, with the contracts of the inputs.
        source: the source that feeds the inputs.
        name: the source's name.
        size: samples in a window.

    Raises:
        ContractError: ``channel_unknown``, ``shape_mismatch``, ``dtype_mismatch``.
        RecipeError: ``recipe_unsupported`` for an unknown step.
    """
    inputs = sensor_inputs(info, task)
    needed = _columns(list(inputs.values()), source, name)
    _check_frames(list(inputs.values()), source.frame_shape, name)
    for spec in info.inputs:
        if spec.name in inputs:
            window_maker(inputs[spec.name], spec, needed)(blank(source, len(needed), size))
    return needed


def _columns(contracts: list[InputContract], source: Described, name: str) -> list[str]:
    """The channels that the inputs need, in the source's order; raises ``ContractError`` (channel_unknown)."""
    wanted = {channel for contract in contracts for channel in contract.channels or source.channels}
    for channel in sorted(wanted):
        if channel not in source.channels:
            hint = did_you_mean(channel, source.channels)
            raise ContractError("channel_unknown", f"source {name!r} has no channel {channel!r}{hint}")
    return [channel for channel in source.channels if channel in wanted]


def _check_frames(contracts: list[InputContract], frame: tuple[int, ...], name: str) -> None:
    """Raise ``ContractError`` (shape_mismatch) unless the source's samples have the form that the contracts declare.

    Args:
        contracts: contracts of all inputs.
        frame: height and width of the source's pictures; empty: its samples are numbers.
        name: the source's name.
    """
    for contract in contracts:
        if (contract.frame or ()) != frame:
            sends = f"pictures of {frame[0]}x{frame[1]}; set frame = {list(frame)}" if frame else "numbers, no pictures"
            declared = f"frame = {list(contract.frame)}" if contract.frame else "no frame"
            raise ContractError("shape_mismatch", f"source {name!r} sends {sends}; the input declares {declared}")


def blank(source: Described, count: int, samples: int = 0) -> Samples:
    """``samples`` samples of ``count`` channels of ``source``, all zero."""
    return np.zeros((samples, *source.frame_shape, count), np.uint8 if source.frame_shape else np.float32)


def levels(samples: Samples) -> NDArray[np.float32]:
    """The numbers that quality judges, ``[n, columns]``: for a picture the mean of each channel, which noise varies."""
    if samples.ndim == _NUMBERS_AXES:
        return samples
    means: NDArray[np.float32] = samples.mean(axis=tuple(range(1, samples.ndim - 1)), dtype=np.float32)
    return means
