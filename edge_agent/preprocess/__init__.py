"""Applies the input contract's steps: a raw window ``[size, channels]`` of float32 becomes the model's tensor. Pure.

Capture, validation and serving all use this package, so a model in use gets the same input as during its validation.
Each step works on the result of the previous one, without a batch axis. :mod:`edge_agent.wire.steps` lists the steps
and their options.

    basic       standardize, scale, clip, transpose, reshape, cast
    images      resize, letterbox, center_crop, color
    audio       log_mel, mfcc
    resample    converts a stream from the source's rate to the contract's, before it is cut into windows

It imports only numpy, and of its own files only those that a contract needs.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.wire.manifest import InputContract
from edge_agent.wire.steps import read_steps, shape_after
from edge_agent.wire.steps.step import Shape, Step

Array = NDArray[Any]
Operation = Callable[[Array], Array]


class Preprocess:
    """The steps of one input, ready to use."""

    def __init__(self, contract: InputContract) -> None:
        """Check the steps; raise ``RecipeError`` (recipe_unsupported) for an unknown step, option or value."""
        self._steps = read_steps(contract)
        self._operations = [_operation(name, step) for name, step in self._steps]
        self._fitting: Shape | None = None

    def __call__(self, window: Array) -> Array:
        """Return the tensor of a window ``[size, channels]``, without batch axis, contiguous.

        Raises:
            ContractError: ``shape_mismatch`` if a step does not fit the window.
        """
        if window.shape != self._fitting:
            shape_after(self._steps, window.shape)
            self._fitting = window.shape
        tensor = window
        for operation in self._operations:
            tensor = operation(tensor)
        return np.ascontiguousarray(tensor)


def _operation(name: str, step: Step) -> Operation:
    """Return the function for ``step``, with everything precomputed that does not depend on the window."""
    kind = type(step).__module__.rpartition(".")[2]
    make: Callable[[Step], Operation] = getattr(import_module(f"{__name__}.{kind}"), name)
    return make(step)
