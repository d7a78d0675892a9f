"""Describes a segment with a few numbers, and measures the distance of two segments. Pure.

The numbers per channel are mean, standard deviation and largest magnitude. Means are compared by their difference,
relative to the channel's scale (its usual maximum), or to the standard deviation if that is larger. The other two are
compared by ratio, since movement differs by orders of magnitude. Everything below a hundredth of the scale counts as
equally quiet: an int8 step is about that large, and a resting converter with occasional noise is one regime, not ten.
"""

import math

import numpy as np
from numpy.typing import NDArray

from edge_agent.reservoir.segment_format import Samples

Numbers = NDArray[np.float64]

_QUIET = 0.01
_MEAN_WEIGHT = 2.0
"""A mean at opposite ends of the scale gives a distance of 4, about as much as movement that is 50 times stronger."""
_MOST_VALUES = 4096
"""Values per channel of a picture that are used, evenly spaced, so that 30 pictures per second cost little."""


def describe(samples: Samples) -> Numbers | None:
    """Return mean, standard deviation and largest magnitude ``[3, channels]`` of ``[n, ..., channels]``.

    None: a value is not finite.
    """
    values = samples.reshape(-1, samples.shape[-1])
    if samples.dtype == np.uint8:
        values = values[:: math.ceil(len(values) / _MOST_VALUES) | 1]  # odd: an even step may hit only a few columns
    wide = values.astype(np.float64)
    peak = np.abs(wide).max(axis=0)
    if not np.isfinite(peak).all():
        return None
    mean = wide.sum(axis=0) / len(wide)
    wide -= mean
    return np.array([mean, np.sqrt(np.einsum("nc,nc->c", wide, wide) / len(wide)), peak])


def distance(one: Numbers, other: Numbers, scale: Numbers) -> Numbers:
    """Return the distance of described segments ``[..., 3, channels]``: the root mean square over channels."""
    quiet = _QUIET * scale
    shift = _MEAN_WEIGHT * (one[..., 0, :] - other[..., 0, :])
    moving = np.square(scale) + np.square(one[..., 1, :]) + np.square(other[..., 1, :])
    louder = np.log((one[..., 1:, :] + quiet) / (other[..., 1:, :] + quiet))
    squares = np.square(shift) / moving + np.square(louder).sum(axis=-2)
    root: Numbers = np.sqrt(squares.sum(axis=-1) / one.shape[-1])
    return root


def scale_of(described: Numbers) -> Numbers:
    """Return the scale of each channel: the magnitude that nine in ten of ``[n, 3, channels]``, n >= 1, stay below.

    It is not the maximum: one extreme sample must not make all other segments look alike.
    """
    reached: Numbers = np.quantile(described[:, 2, :], 0.9, axis=0, method="higher")
    return np.where(reached > 0, reached, 1.0)
