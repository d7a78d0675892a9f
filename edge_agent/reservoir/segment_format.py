"""The format of one stored segment of samples. Pure."""

import math
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

Samples = NDArray[Any]
"""``[n, *frame_shape, channels]``: float32, or uint8 for pictures."""


class SegmentFormat(msgspec.Struct, frozen=True, kw_only=True):
    """The properties of a source that a reservoir needs, and the length of a segment.

    A segment is the unit of storage. It must be at least as long as a window, and should not be much longer: in the
    same space more segments cover more moments.
    """

    channels: tuple[str, ...]
    rate_hz: float
    samples: int
    """Number of samples in one segment."""
    frame_shape: tuple[int, ...] = ()
    """Shape of a sample in each channel: ``()`` a number, ``(height, width)`` a picture."""
    dtype: str = "float32"
    """``float32``, or ``uint8`` for pictures."""

    @property
    def array_shape(self) -> tuple[int, ...]:
        """The shape of a segment: ``[samples, *frame_shape, channels]``."""
        return (self.samples, *self.frame_shape, len(self.channels))

    @property
    def segment_bytes(self) -> int:
        """Size of a segment's samples in bytes."""
        return math.prod(self.array_shape) * np.dtype(self.dtype).itemsize

    @property
    def segment_s(self) -> float:
        """Duration of a segment in seconds."""
        return self.samples / self.rate_hz
