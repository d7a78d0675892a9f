"""Steps for pictures ``[..., height, width, channels]`` or ``[height, width]``: size, place, colours. Pure.

Resampling is separable, and its taps are computed once for each size. With ``antialias`` the results are those of
Pillow and torchvision; without it, those of ONNX's Resize (half_pixel), OpenCV's INTER_LINEAR and ``tf.image.resize``.
Unlike there, nothing is rounded to bytes in between.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal, NamedTuple

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
"""ITU-R BT.601, as in all common libraries."""


def resize(step: options.Resize) -> Operation:
    """The picture resampled to the new size."""

    def run(x: Array) -> Array:
        first = options.plane_axis(x.ndim)
        height, width = step.shape(x.shape)[first : first + 2]
        return _resampled(floating(x), (height, width), step.method, antialias=step.antialias)

    return run


def letterbox(step: options.Letterbox) -> Operation:
    """The picture with its ratio kept and a constant around it."""

    def run(x: Array) -> Array:
        first = options.plane_axis(x.ndim)
        placed = step.place(*x.shape[first : first + 2])
        picture = _resampled(floating(x), (placed.height, placed.width), "bilinear", antialias=False)
        boxed = np.full(step.shape(x.shape), step.fill, picture.dtype)
        rows = slice(placed.top, placed.top + placed.height)
        columns = slice(placed.left, placed.left + placed.width)
        boxed[(slice(None),) * first + (rows, columns)] = picture
        return boxed

    return run


def center_crop(step: options.CenterCrop) -> Operation:
    """The middle of the picture; half pixels are rounded to even, as in torchvision."""

    def run(x: Array) -> Array:
        first = options.plane_axis(x.ndim)
        for axis, side in ((first, step.height), (first + 1, step.width)):
            begin = round((x.shape[axis] - side) / 2)
            x = x[(slice(None),) * axis + (slice(begin, begin + side),)]
        return x

    return run


def color(step: options.Color) -> Operation:
    """The channels in another order, or their luminance; gray is repeated to three channels."""
    if step.given == step.wanted:
        return lambda x: x
    if step.given == "gray":
        return lambda x: np.repeat(x, options.PLANES[step.wanted], axis=-1)
    if step.wanted == "gray":
        weights = _GRAY if step.given == "rgb" else _GRAY[::-1]
        return lambda x: (floating(x) * weights.astype(floating(x).dtype)).sum(axis=-1, keepdims=True)
    return lambda x: x[..., ::-1]


def _resampled(x: Array, size: tuple[int, int], method: Method, *, antialias: bool) -> Array:
    """Resample ``x`` to another height and width, first along the side that shrinks most."""
    first = options.plane_axis(x.ndim)
    wanted = dict(zip((first, first + 1), size, strict=True))
    for axis in sorted(wanted, key=lambda axis: wanted[axis] / x.shape[axis]):
        if wanted[axis] != x.shape[axis]:
            x = _along(x, axis, _taps(x.shape[axis], wanted[axis], method, antialias))
    return x


class Taps(NamedTuple):
    """Input positions of each output position, with their weights: ``[wanted, taps]``; weights sum to 1."""

    places: NDArray[np.intp]
    weights: Floats


def _along(x: Array, axis: int, taps: Taps) -> Array:
    """Resample ``x`` along one axis, tap by tap: resampling needs a few taps, not a whole matrix."""
    weights = taps.weights.astype(x.dtype).reshape(-1, taps.weights.shape[1], *[1] * (x.ndim - axis - 1))
    resampled: Array = x.take(taps.places[:, 0], axis) * weights[:, 0]
    for tap in range(1, taps.weights.shape[1]):
        resampled += x.take(taps.places[:, tap], axis) * weights[:, tap]
    return resampled


@lru_cache(maxsize=16)
def _taps(given: int, wanted: int, method: Method, antialias: bool) -> Taps:  # noqa: FBT001  # a key of the cache
    ratio = given / wanted
    spread = max(ratio, 1.0) if antialias else 1.0
    reach = _SUPPORT[method] * spread
    centre = (np.arange(wanted) + 0.5) * ratio - 0.5
    places = np.floor(centre - reach)[:, None].astype(np.intp) + np.arange(1, int(np.ceil(2 * reach)) + 1)
    weights = _kernel((places - centre[:, None]) / spread, method, _CUBIC_SMOOTH if antialias else _CUBIC_SHARP)
    inside = places.clip(0, given - 1)
    if antialias:  # positions beyond the edge do not count; without antialias they repeat the edge's pixel
        weights = np.where(places == inside, weights, 0.0)
        weights /= weights.sum(axis=1, keepdims=True)
    return Taps(inside, weights)


def _kernel(x: Floats, method: Method, a: float) -> Floats:
    """Return the triangle, or Keys' cubic convolution (1981) with the parameter ``a``."""
    x = np.abs(x)
    if method == "bilinear":
        return np.clip(1 - x, 0, None)
    inner = ((a + 2) * x - (a + 3)) * x * x + 1
    outer = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, inner, np.where(x < _SUPPORT["bicubic"], outer, 0.0))
