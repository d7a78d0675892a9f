"""What is kept of a block of samples to judge the sets by when all are there: a few numbers a channel. Pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_agent.calibration.histogram import Histogram
from edge_agent.calibration.stability import BINS
from edge_agent.worker.data.split import Split

Samples = NDArray[np.float32]
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BlockStats:
    """One block of one set; arrays are ``[channels]``.

    Attributes:
        split: whose it is.
        windows: how many windows it holds.
        mean: the level of each channel.
        std: how much it moved within the block.
        histograms: where each channel's values lie, with the exact smallest and largest.
    """

    split: Split
    windows: int
    mean: Numbers
    std: Numbers
    histograms: tuple[Histogram, ...]


def block_stats(split: Split, windows: int, samples: Samples) -> BlockStats:
    """Of finite ``samples [n, channels]``, n >= 1."""
    histograms = []
    for column in samples.T:
        histogram = Histogram(BINS)
        histogram.add(column)
        histograms.append(histogram)
    return BlockStats(
        split, windows, samples.mean(axis=0, dtype=np.float64), samples.std(axis=0, dtype=np.float64), tuple(histograms)
    )
