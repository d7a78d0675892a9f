"""Reads a source block by block: samples that follow on each other, with some between two blocks thrown away.

A block that an interruption hits is begun anew, as no window may span what is missing.
"""

from collections.abc import Callable, Sequence

import numpy as np

from edge_agent.acquisition.monitored import GAP, MonitoredSource
from edge_agent.worker.capture.source_fit import Samples


class BlockReader:
    """Takes one block after another from ``source``."""

    def __init__(self, source: MonitoredSource, picked: Sequence[int], blank: Samples) -> None:
        """``picked`` are the places of the channels, ``blank`` is an array ``[0, ...]`` of samples of them."""
        self._source, self._picked, self._blank = source, list(picked), blank
        self._rest = blank
        self._buffer: _BlockBuffer | None = None

    @property
    def taken(self) -> int:
        """Samples of the block that is being read: collected, or thrown away before it."""
        return 0 if self._buffer is None else self._buffer.taken

    def read(self, samples: int, gap: int, after_read: Callable[[], None]) -> Samples:
        """A block of so many ``samples``, after ``gap`` more that are thrown away.

        Args:
            samples: how many.
            gap: how many come before it.
            after_read: called after each read; it holds the source against its limits and tells how far it is.

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
    """Collects the samples of one block; the first ``gap`` samples are thrown away."""

    def __init__(self, samples: int, blank: Samples, gap: int) -> None:
        """Start empty; ``blank`` is an array with the shape ``[0, ...]`` and type of samples."""
        self._gap = self._skip = gap
        self._filled = 0
        self.samples: Samples = np.empty((samples, *blank.shape[1:]), blank.dtype)

    @property
    def taken(self) -> int:
        """Samples collected or thrown away so far."""
        return self._gap - self._skip + self._filled

    @property
    def full(self) -> bool:
        """Whether the block is complete."""
        return self._filled == len(self.samples)

    def add(self, samples: Samples) -> Samples:
        """Take what is needed; returns what comes after the block."""
        skipped = min(self._skip, len(samples))
        self._skip -= skipped
        taken = samples[skipped : skipped + len(self.samples) - self._filled]
        self.samples[self._filled : self._filled + len(taken)] = taken
        self._filled += len(taken)
        return samples[skipped + len(taken) :]

    def restart(self) -> None:
        """Forget what was collected: the stream was interrupted, and no window may span that."""
        self._filled = 0
