"""A stretch in a few numbers, and how unlike two stretches are. Pure.

Per channel: mean, standard deviation and largest magnitude. The mean is compared by difference, against the channel's
scale (what it usually reaches at most) or the movement itself if that is larger; the other two by ratio, as movement
differs by orders of magnitude. Below a hundredth of the scale all is equally quiet: an int8 step is about that large,
and a resting converter that sometimes flickers is one regime, not ten.
"""

import math

import numpy as np
from numpy.typing import NDArray

from edge_agent.reservoir.segment_format import Samples

Numbers = NDArray[np.float64]

_QUIET = 0.01
_MEAN_WEIGHT = 2.0
"""From one end of the scale to the other a mean moves by 4: about as much as movement that is 50 times stronger."""
_MOST_VALUES = 4096
"""Of a picture no more values a channel are looked at, evenly spaced: 30 pictures a second shall cost little."""


def describe(samples: Samples) -> Numbers | None:
    """Mean, standard deviation, largest magnitude: ``[3, channels]`` of ``[n, ..., channels]``; None: not finite."""
    values = samples.reshape(-1, samples.shape[-1])
    if samples.dtype == np.uint8:
        values = values[:: math.ceil(len(values) / _MOST_VALUES) | 1]  # odd: an even step may see but a few columns
    wide = values.astype(np.float64)
    peak = np.abs(wide).max(axis=0)
    if not np.isfinite(peak).all():
        return None
    mean = wide.sum(axis=0) / len(wide)
    wide -= mean
    return np.array([mean, np.sqrt(np.einsum("nc,nc->c", wide, wide) / len(wide)), peak])


def distance(one: Numbers, other: Numbers, scale: Numbers) -> Numbers:
    """How unlike described stretches ``[..., 3, channels]`` are: the root mean square over channels."""
    quiet = _QUIET * scale
    shift = _MEAN_WEIGHT * (one[..., 0, :] - other[..., 0, :])
    moving = np.square(scale) + np.square(one[..., 1, :]) + np.square(other[..., 1, :])
    louder = np.log((one[..., 1:, :] + quiet) / (other[..., 1:, :] + quiet))
    squares = np.square(shift) / moving + np.square(louder).sum(axis=-2)
    root: Numbers = np.sqrt(squares.sum(axis=-1) / one.shape[-1])
    return root


def scale_of(described: Numbers) -> Numbers:
    """What each channel usually reaches, of stretches ``[n, 3, channels]``, n >= 1: nine in ten stay below.

    Not the largest of all: one mad sample must not make everything else look alike.
    """
    reached: Numbers = np.quantile(described[:, 2, :], 0.9, axis=0, method="higher")
    return np.where(reached > 0, reached, 1.0)
