"""Reads a source block by block: consecutive samples, with a gap of discarded samples between two blocks.

An interruption restarts the current block, because no window may span missing samples.
"""

from collections.abc import Callable, Sequence

import numpy as np

from edge_agent.acquisition.monitored import GAP, MonitoredSource
from edge_agent.worker.capture.source_fit import Samples


class BlockReader:
    """Reads one block after another from ``source``."""

    def __init__(self, source: MonitoredSource, picked: Sequence[int], blank: Samples) -> None:
        """``picked``: indices of the channels; ``blank``: an array ``[0, ...]`` of their samples."""
        self._source, self._picked, self._blank = source, list(picked), blank
        self._rest = blank
        self._buffer: _BlockBuffer | None = None

    @property
    def taken(self) -> int:
        """Samples read for the current block, collected or discarded before it."""
        return 0 if self._buffer is None else self._buffer.taken

    def read(self, samples: int, gap: int, after_read: Callable[[], None]) -> Samples:
        """Read a block of ``samples`` samples, after discarding ``gap`` samples.

        Args:
            samples: number of samples in the block.
            gap: number of samples to discard before the block.
            after_read: called after each read, to check the source against its limits and report progress.

        Raises:
            EndOfSource: a recording has ended.
        """
        self._buffer = buffer = _BlockBuffer(samples, self._blank, gap)
        self._rest = buffer.add(self._rest)
        while not buffer.full:
            arrived = self._source.read()
            if arrived is GAP:
                buffer.restart()
            elif arrived is not None:
                self._rest = buffer.add(arrived[..., self._picked])
            after_read()
        self._buffer = None
        return buffer.samples


class _BlockBuffer:
    """Collects the samples of one block; the first ``gap`` samples are discarded."""

    def __init__(self, samples: int, blank: Samples, gap: int) -> None:
        """Start empty; ``blank``: an array ``[0, ...]`` with the shape and type of samples."""
        self._gap = self._skip = gap
        self._filled = 0
        self.samples: Samples = np.empty((samples, *blank.shape[1:]), blank.dtype)

    @property
    def taken(self) -> int:
        """Samples collected or discarded so far."""
        return self._gap - self._skip + self._filled

    @property
    def full(self) -> bool:
        """Whether the block is complete."""
        return self._filled == len(self.samples)

    def add(self, samples: Samples) -> Samples:
        """Take the needed samples; returns the samples after the block."""
        skipped = min(self._skip, len(samples))
        self._skip -= skipped
        taken = samples[skipped : skipped + len(self.samples) - self._filled]
        self.samples[self._filled : self._filled + len(taken)] = taken
        self._filled += len(taken)
        return samples[skipped + len(taken) :]

    def restart(self) -> None:
        """Drop the collected samples: the stream was interrupted, and no window may span the interruption."""
        self._filled = 0
