"""What one kept segment of samples looks like. Pure."""

import math
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

Samples = NDArray[Any]
"""``[n, *frame_shape, channels]``: float32, or uint8 of pictures."""


class SegmentFormat(msgspec.Struct, frozen=True, kw_only=True):
    """A source as far as a reservoir must know it, and how long a segment is.

    A segment is what is kept or not kept as a whole. It must be at least as long as a window, and is better not much
    longer: at equal space more segments know more moments.
    """

    channels: tuple[str, ...]
    rate_hz: float
    samples: int
    """In one segment."""
    frame_shape: tuple[int, ...] = ()
    """What a sample is in each channel: ``()`` a number, ``(height, width)`` a picture."""
    dtype: str = "float32"
    """``float32``, or ``uint8`` of pictures."""

    @property
    def array_shape(self) -> tuple[int, ...]:
        """The shape of a segment: ``[samples, *frame_shape, channels]``."""
        return (self.samples, *self.frame_shape, len(self.channels))

    @property
    def segment_bytes(self) -> int:
        """What the samples of a segment take."""
        return math.prod(self.array_shape) * np.dtype(self.dtype).itemsize

    @property
    def segment_s(self) -> float:
        """How much time a segment takes, in seconds."""
        return self.samples / self.rate_hz
