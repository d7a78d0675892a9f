"""Statistics of a block of samples for judging the sets after the capture: a few numbers per channel. Pure."""

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
        split: the block's set.
        windows: number of windows in the block.
        mean: mean of each channel.
        std: standard deviation of each channel within the block.
        histograms: distribution of each channel's values, with exact minimum and maximum.
    """

    split: Split
    windows: int
    mean: Numbers
    std: Numbers
    histograms: tuple[Histogram, ...]


def block_stats(split: Split, windows: int, samples: Samples) -> BlockStats:
    """The statistics of finite ``samples [n, channels]``, n >= 1."""
    histograms = []
    for column in samples.T:
        histogram = Histogram(BINS)
        histogram.add(column)
        histograms.append(histogram)
    return BlockStats(
        split, windows, samples.mean(axis=0, dtype=np.float64), samples.std(axis=0, dtype=np.float64), tuple(histograms)
    )
