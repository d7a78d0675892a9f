"""Steps for every kind of data: arithmetic, order and type. Pure.

Arithmetic uses the float type of the input; integers become float32 first.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.wire.steps import basic as options

Array = NDArray[Any]
Operation = Callable[[Array], Array]


def standardize(step: options.Standardize) -> Operation:
    """``(x - mean) / std`` along the last axis; a single number applies to every channel."""

    def run(x: Array) -> Array:
        x = floating(x)
        standardized: Array = (x - np.asarray(step.mean, x.dtype)) / np.asarray(step.std, x.dtype)
        return standardized

    return run


def scale(step: options.Scale) -> Operation:
    """``x * factor + offset``."""

    def run(x: Array) -> Array:
        x = floating(x)
        scaled: Array = x * x.dtype.type(step.factor) + x.dtype.type(step.offset)
        return scaled

    return run


def clip(step: options.Clip) -> Operation:
    """``min(max(x, low), high)``."""

    def run(x: Array) -> Array:
        x = floating(x)
        return np.clip(x, x.dtype.type(step.low), x.dtype.type(step.high))

    return run


def transpose(step: options.Transpose) -> Operation:
    """Axis ``i`` of the result is axis ``axes[i]`` of the input."""
    return lambda x: x.transpose(step.axes)


def reshape(step: options.Reshape) -> Operation:
    """The values in the new shape, row-major."""
    return lambda x: x.reshape(step.sizes)


def cast(step: options.Cast) -> Operation:
    """Floats unchanged; integers rounded to the nearest and clipped to the type's range."""
    target = np.dtype(step.dtype)
    if target.kind == "f":
        return lambda x: x.astype(target)
    limits = np.iinfo(target)
    # The largest int64 is not a float64; the next lower float64 is the last that fits.
    high = min(float(limits.max), np.nextafter(float(2**63), 0))
    return lambda x: np.rint(x.astype(np.float64)).clip(limits.min, high).astype(target)


def floating(x: Array) -> Array:
    """Return ``x`` in its own float type, else as float32."""
    return x if x.dtype.kind == "f" else x.astype(np.float32)
