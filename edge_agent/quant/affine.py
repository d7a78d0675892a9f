"""The affine grid: real = scale · (integer - zero point), zero exactly on it.

Jacob et al. (2018), "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
CVPR, section 2.1. Rounding is half to even, as ONNX QuantizeLinear defines; scales are float32, as formats store them.

Invariants: every scale is finite and above zero, and zero points lie on the grid. For finite and infinite ``x``
``quantize`` returns integers of the grid's type. NaN has no value on a grid; callers must not pass it.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

GridType = Literal["int8", "uint8"]

_NO_WIDTH = 1e-30  # narrower ranges make the scale, or its product with another scale, underflow in float32


@dataclass(frozen=True, slots=True)
class QuantParams:
    """A grid, or one per channel; then ``scale`` and ``zero_point`` broadcast against the tensor.

    Integers run from ``qmin`` to ``qmax`` inclusive.
    """

    scale: NDArray[np.float32]
    zero_point: NDArray[np.int32]
    qmin: int
    qmax: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the integers."""
        return np.dtype(np.int8 if self.qmin < 0 else np.uint8)


def params(low: ArrayLike, high: ArrayLike, *, symmetric: bool = False, dtype: GridType = "int8") -> QuantParams:
    """The grid that covers [low, high] and zero.

    Args:
        low: lower end, a number or an array that broadcasts against the tensor (one grid per channel).
        high: upper end, of the same shape.
        symmetric: put zero in the middle and use one integer fewer (int8: -127 to 127), for weights.
        dtype: the type of the integers.
    """
    low, high = np.minimum(np.asarray(low, np.float64), 0.0), np.maximum(np.asarray(high, np.float64), 0.0)
    qmin, qmax = (-128, 127) if dtype == "int8" else (0, 255)
    if symmetric:
        qmin += 1
        high = np.maximum(-low, high)
        low = -high
    width = high - low
    scale = np.where(width > _NO_WIDTH, width / (qmax - qmin), 1.0).astype(np.float32)
    zero_point = (qmin + qmax) // 2 if symmetric else np.clip(np.rint(qmin - low / scale), qmin, qmax)
    return QuantParams(scale, np.broadcast_to(np.asarray(zero_point, np.int32), scale.shape), qmin, qmax)


def weight_params(weights: NDArray[Any], axis: int | None, *, symmetric: bool = True) -> QuantParams:
    """The grid of a weight: symmetric int8, or asymmetric uint8 that just covers its values and zero.

    Args:
        weights: of any shape.
        axis: the channel axis, for one grid per channel; None: one grid for all.
        symmetric: choose the symmetric grid.
    """
    axes = None if axis is None else tuple(other for other in range(weights.ndim) if other != axis)
    keepdims = axis is not None
    if symmetric:
        peak = np.max(np.abs(weights), axis=axes, keepdims=keepdims, initial=0.0)
        return params(-peak, peak, symmetric=True)
    low, high = (end(weights, axis=axes, keepdims=keepdims, initial=0.0) for end in (np.min, np.max))
    return params(low, high, dtype="uint8")


def quantize(x: ArrayLike, grid: QuantParams) -> NDArray[Any]:
    """The nearest integers of the grid; values outside are clipped to its ends."""
    with np.errstate(over="ignore"):  # an overflow is clipped anyway
        steps = np.rint(np.asarray(x, np.float32) / grid.scale) + grid.zero_point
    return np.asarray(np.clip(steps, grid.qmin, grid.qmax), grid.dtype)


def dequantize(integers: NDArray[Any], grid: QuantParams) -> NDArray[np.float32]:
    """The real values that the integers represent."""
    return np.asarray((integers.astype(np.int32) - grid.zero_point) * grid.scale, np.float32)


def fake_quantize(x: ArrayLike, grid: QuantParams) -> NDArray[np.float32]:
    """``x`` as the quantized model represents it: quantized and dequantized."""
    return dequantize(quantize(x, grid), grid)
