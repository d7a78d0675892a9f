"""A sensor's samples for a person: a row of numbers and a line of characters for each channel. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 48


@dataclass(frozen=True, slots=True)
class ChannelNumbers:
    """Smallest, mean, largest and standard deviation of a channel's finite samples; None if it has none."""

    name: str
    low: float | None
    mean: float | None
    high: float | None
    std: float | None


def channel_numbers(channels: Sequence[str], samples: NDArray[np.float32]) -> list[ChannelNumbers]:
    """The numbers of each channel of ``samples [n, channels]``."""
    numbers = []
    for name, column in zip(channels, samples.T, strict=True):
        finite = column[np.isfinite(column)].astype(np.float64)
        if not finite.size:
            numbers.append(ChannelNumbers(name, None, None, None, None))
            continue
        numbers.append(
            ChannelNumbers(name, float(finite.min()), float(finite.mean()), float(finite.max()), float(finite.std()))
        )
    return numbers


def sparkline(column: NDArray[np.float32], width: int = _WIDTH) -> str:
    """A channel over time in ``width`` characters: the mean of each segment, from the lowest to the highest mean.

    A segment without a finite sample is ``?``.
    """
    segments = [part[np.isfinite(part)] for part in np.array_split(column, min(width, len(column)))]
    means = np.array([part.mean(dtype=np.float64) if part.size else np.nan for part in segments])
    known = means[np.isfinite(means)]
    span = float(np.ptp(known)) if known.size else 0.0
    if not span:
        return "".join("?" if np.isnan(mean) else _BARS[0] for mean in means)
    steps = (means - known.min()) / span * (len(_BARS) - 1)
    return "".join("?" if np.isnan(step) else _BARS[round(step)] for step in steps.tolist())


def look_lines(channels: Sequence[str], samples: NDArray[np.float32]) -> list[str]:
    """A header and a line for each channel."""
    rows = [("CHANNEL", "MIN", "MEAN", "MAX", "STD", "")]
    for numbers, column in zip(channel_numbers(channels, samples), samples.T, strict=True):
        values = (numbers.low, numbers.mean, numbers.high, numbers.std)
        low, mean, high, std = ("-" if value is None else f"{value:.4g}" for value in values)
        rows.append((numbers.name, low, mean, high, std, sparkline(column)))
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(row[place].rjust(widths[place]) for place in range(1, 5)), row[5]]
        ).rstrip()
        for row in rows
    ]
