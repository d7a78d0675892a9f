"""A stretch in a few numbers, and how unlike two stretches are. Pure.

Per channel: mean, standard deviation and largest magnitude. The mean is compared by difference, against the channel's
scale (what it usually reaches at most) or the movement itself if that is larger; the other two by ratio, as movement
differs by orders of magnitude. Below a hundredth of the scale all is equally quiet: an int8 step is about that large,
and a resting converter that sometimes flickers is one regime, not ten.
"""

import math

import numpy as np
from numpy.typing import NDArray

from edge_agent.sensing.shape import Samples

Numbers = NDArray[np.float64]

_QUIET = 0.01
_MEAN_WEIGHT = 2.0
"""From one end of the scale to the other a mean moves by 4: about as much as movement that is 50 times stronger."""
_MOST_VALUES = 65_536
"""Of a picture no more values a channel are looked at, evenly spaced: 30 pictures a second shall cost little."""


def describe(samples: Samples) -> Numbers | None:
    """Mean, standard deviation, largest magnitude: ``[3, channels]`` of ``[n, ..., channels]``; None: not finite."""
    values = samples.reshape(-1, samples.shape[-1])
    if samples.dtype == np.uint8:
        values = values[:: math.ceil(len(values) / _MOST_VALUES)]
    wide = values.astype(np.float64)
    mean = wide.mean(axis=0)
    peak = np.maximum(wide.max(axis=0), -wide.min(axis=0))
    wide -= mean
    std = np.sqrt(np.einsum("nc,nc->c", wide, wide) / len(wide))
    numbers = np.stack([mean, std, peak])
    return numbers if np.isfinite(numbers).all() else None


def distance(one: Numbers, other: Numbers, scale: Numbers) -> Numbers:
    """How unlike described stretches ``[..., 3, channels]`` are: the root mean square over channels."""
    (mean, std, peak), (mean_2, std_2, peak_2) = (np.moveaxis(each, -2, 0) for each in (one, other))
    quiet = _QUIET * scale
    shift = _MEAN_WEIGHT * (mean - mean_2) / np.sqrt(np.square(scale) + np.square(std) + np.square(std_2))
    louder = np.log((std + quiet) / (std_2 + quiet))
    further = np.log((peak + quiet) / (peak_2 + quiet))
    squares: Numbers = np.square(shift) + np.square(louder) + np.square(further)
    root: Numbers = np.sqrt(squares.mean(axis=-1))
    return root


def scale_of(described: Numbers) -> Numbers:
    """What each channel usually reaches, of stretches ``[n, 3, channels]``, n >= 1: nine in ten stay below.

    Not the largest of all: one mad sample must not make everything else look alike.
    """
    reached: Numbers = np.quantile(described[:, 2, :], 0.9, axis=0, method="higher")
    return np.where(reached > 0, reached, 1.0)
