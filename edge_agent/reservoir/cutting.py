"""Cuts a stream into stretches: none spans an interruption or two blocks of time, and a gap lies before each block.

Pure; memory is one stretch.
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
    """So many samples in a row.

    Attributes:
        time_s: when the first one was, in seconds of the wall clock.
        block: the block of time that all of them lie in.
        samples: ``[samples, *frame_shape, channels]``; overwritten when the next stretch is asked for.
    """

    time_s: float
    block: int
    samples: Samples


class Cutter:
    """Takes batches of any length, gives stretches.

    After a change of the block at least one stretch's worth of samples (no window is longer), and at least a second's,
    is thrown away; so too at the start, as nobody knows how long ago the last sample before it was.
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
        """The stretches that are complete with these samples.

        Args:
            samples: ``[n, *frame_shape, channels]``.
            time_s: when the first one was, in seconds of the wall clock.
            gap: it does not follow on the last one.
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
        """Skip or buffer what lies in one block; returns how many samples were used."""
        skipped = min(self._skip, len(samples))
        self._skip -= skipped
        taken = samples[skipped : skipped + len(self._buffer) - self._filled]
        if len(taken) and not self._filled:
            self._started_s = now + skipped / self._rate_hz
        self._buffer[self._filled : self._filled + len(taken)] = taken
        self._filled += len(taken)
        return skipped + len(taken)
