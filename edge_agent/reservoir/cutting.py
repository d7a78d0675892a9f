"""Cuts a stream into segments. No segment spans an interruption or two blocks of time, and each block follows a gap.

Pure; memory is one segment.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edge_agent.reservoir.segment_format import Samples, SegmentFormat
from edge_agent.reservoir.time_blocks import block_number, block_seconds

_GAP_S = 1.0


@dataclass(frozen=True, slots=True)
class Stretch:
    """A segment: consecutive samples of one block of time.

    Attributes:
        time_s: time of the first sample, in seconds of the wall clock.
        block: the block of time of all samples.
        samples: ``[samples, *frame_shape, channels]``; overwritten by the next segment.
    """

    time_s: float
    block: int
    samples: Samples


class Cutter:
    """Converts batches of any length to segments.

    After a change of the block it discards at least one segment of samples (no window is longer), and at least one
    second. It does the same at the start, since the time of the previous sample is unknown.
    """

    def __init__(self, shape: SegmentFormat) -> None:
        self._rate_hz = shape.rate_hz
        self._block_s = block_seconds(shape)
        self._gap = max(shape.samples, math.ceil(_GAP_S * shape.rate_hz))
        self._buffer: Samples = np.empty(shape.array_shape, shape.dtype)
        self._filled = 0
        self._started_s = 0.0
        self._block: int | None = None
        self._skip = 0

    def add(self, samples: Samples, time_s: float, *, gap: bool) -> Iterator[Stretch]:
        """Yield the segments that these samples complete.

        Args:
            samples: ``[n, *frame_shape, channels]``.
            time_s: time of the first sample, in seconds of the wall clock.
            gap: whether samples are missing before them.
        """
        if gap:
            self._filled = 0
        start = 0
        while start < len(samples):
            now = time_s + start / self._rate_hz
            block = block_number(now, self._block_s)
            if block != self._block:
                self._block, self._filled, self._skip = block, 0, self._gap
            rest = max(1, math.ceil(((block + 1) * self._block_s - now) * self._rate_hz))
            start += self._take(samples[start : start + rest], now)
            if self._filled == len(self._buffer):
                self._filled = 0
                yield Stretch(self._started_s, block, self._buffer)

    def _take(self, samples: Samples, now: float) -> int:
        """Skip or buffer samples of one block; return the number of samples used."""
        skipped = min(self._skip, len(samples))
        self._skip -= skipped
        taken = samples[skipped : skipped + len(self._buffer) - self._filled]
        if len(taken) and not self._filled:
            self._started_s = now + skipped / self._rate_hz
        self._buffer[self._filled : self._filled + len(taken)] = taken
        self._filled += len(taken)
        return skipped + len(taken)
