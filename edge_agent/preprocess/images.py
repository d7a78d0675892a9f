"""Steps for pictures ``[height, width]`` or ``[height, width, channels]``: size, middle, colours. Pure.

Resampling is separable: one matrix for the rows and one for the columns, worked out once for each size. With
``antialias`` its numbers are those of Pillow and torchvision, without it those of ONNX's Resize (half_pixel), of
OpenCV's INTER_LINEAR and of ``tf.image.resize``; but nothing is rounded to bytes in between.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_agent.preprocess.basic import floating
from edge_agent.wire.steps import images as options

Array = NDArray[Any]
Operation = Callable[[Array], Array]
Floats = NDArray[np.float64]
Method = Literal["bilinear", "bicubic"]

_SUPPORT: dict[Method, int] = {"bilinear": 1, "bicubic": 2}
_CUBIC_SMOOTH, _CUBIC_SHARP = -0.5, -0.75
"""Keys' parameter: Pillow's with antialias, OpenCV's and torch's without."""
_GRAY = np.array([0.299, 0.587, 0.114])
"""ITU-R BT.601, as everybody's."""


def resize(step: options.Resize) -> Operation:
    """The picture in its new size."""

    def run(x: Array) -> Array:
        x = floating(x)
        height, width = step.shape(x.shape)[:2]
        rows = _matrix(x.shape[0], height, step.method, step.antialias).astype(x.dtype)
        columns = _matrix(x.shape[1], width, step.method, step.antialias).astype(x.dtype)
        wide: Array = np.tensordot(columns, x, (1, 1))  # [new width, height, ...]
        return np.tensordot(rows, wide, (1, 1))

    return run


def center_crop(step: options.CenterCrop) -> Operation:
    """The middle; where it cannot be exact, it is rounded to even, as torchvision does."""

    def run(x: Array) -> Array:
        top, left = (
            round((size - wanted) / 2) for size, wanted in zip(x.shape, (step.height, step.width), strict=False)
        )
        return x[top : top + step.height, left : left + step.width]

    return run


def color(step: options.Color) -> Operation:
    """The colours in another order, or their brightness; gray becomes a colour by repetition."""
    if step.given == step.wanted:
        return lambda x: x
    if step.given == "gray":
        return lambda x: np.repeat(x, options.PLANES[step.wanted], axis=-1)
    if step.wanted == "gray":
        weights = _GRAY if step.given == "rgb" else _GRAY[::-1]
        return lambda x: (floating(x) * weights.astype(floating(x).dtype)).sum(axis=-1, keepdims=True)
    return lambda x: x[..., ::-1]


@lru_cache(maxsize=16)
def _matrix(given: int, wanted: int, method: Method, antialias: bool) -> Floats:  # noqa: FBT001  # a key of the cache
    """Weights ``[wanted, given]``: row i is what each given pixel counts for in pixel i. Rows sum to 1."""
    ratio = given / wanted
    centre = (np.arange(wanted) + 0.5) * ratio - 0.5
    if antialias:
        spread = max(ratio, 1.0)
        distance = (np.arange(given) - centre[:, None]) / spread
        weights = _kernel(distance, method, _CUBIC_SMOOTH)
        normalised: Floats = weights / weights.sum(axis=1, keepdims=True)
        return normalised
    reach = _SUPPORT[method]
    taps = np.floor(centre)[:, None].astype(np.int64) + np.arange(1 - reach, 1 + reach)
    weights = np.zeros((wanted, given))
    rows = np.arange(wanted)[:, None]
    # A tap beyond the edge is the edge's pixel once more.
    np.add.at(weights, (rows, taps.clip(0, given - 1)), _kernel(taps - centre[:, None], method, _CUBIC_SHARP))
    return weights


def _kernel(x: Floats, method: Method, a: float) -> Floats:
    """The triangle, or Keys' cubic convolution (1981) with the parameter ``a``."""
    x = np.abs(x)
    if method == "bilinear":
        return np.clip(1 - x, 0, None)
    inner = ((a + 2) * x - (a + 3)) * x * x + 1
    outer = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, inner, np.where(x < _SUPPORT["bicubic"], outer, 0.0))
