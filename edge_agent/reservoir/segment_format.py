"""What one kept stretch of samples looks like. Pure."""

import math
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

Samples = NDArray[Any]
"""``[n, *frame_shape, channels]``: float32, or uint8 of pictures."""


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """A source as far as a reservoir must know it, and how long a stretch is.

    A stretch is what is kept or not kept as a whole. It must be at least as long as a window, and is better not much
    longer: at equal space more stretches know more moments.
    """

    channels: tuple[str, ...]
    rate_hz: float
    samples: int
    """In one stretch."""
    frame_shape: tuple[int, ...] = ()
    """What a sample is in each channel: ``()`` a number, ``(height, width)`` a picture."""
    dtype: str = "float32"
    """``float32``, or ``uint8`` of pictures."""

    @property
    def array_shape(self) -> tuple[int, ...]:
        """The shape of a stretch: ``[samples, *frame_shape, channels]``."""
        return (self.samples, *self.frame_shape, len(self.channels))

    @property
    def stretch_bytes(self) -> int:
        """What the samples of a stretch take."""
        return math.prod(self.array_shape) * np.dtype(self.dtype).itemsize

    @property
    def stretch_s(self) -> float:
        """How much time a stretch takes, in seconds."""
        return self.samples / self.rate_hz
