"""Channels of one output whose scales differ so much that one number over all of them would see the large ones only.

A detector's head has boxes in pixels beside scores in [0, 1]; an error that wipes out every score is a thousandth of
the boxes' power. So channels are put into groups of like scale, by float's own values, and each group is judged by
itself. The worst counts.

What makes a group:

* the axis along which peaks (largest absolute values) differ most, if there is one along which they fall apart;
* a gap: sorted by their peaks, neighbours :data:`GAP` apart belong to different groups. Peaks that spread without a
  gap, as a spectrum's do, are one group;
* channels that stay within [0, 1] belong together where others do not: of scores, those that are never high are no
  scale of their own.

A group that never moves, or whose values are too small to be told from rounding, has nothing to be judged by: it is
named and not judged. So is the small end of a long axis: a few features of hundreds that hardly ever fire. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

GAP = 10.0
"""From one group's largest peak to the next one's smallest. int8 under one range costs a group 20 dB for each such gap:
what is left of the 40 to 50 dB of a sound tensor is near the 10 dB that the gate asks for after two of them."""
NOTHING = 1e-6
"""Of the largest group's peak: smaller values are within the rounding of float32 sums."""
_LONGEST_AXIS = 65_536
_LONG, _FEW = 64, 1 / 16
"""On an axis of so many channels, fewer than this part of them at its small end are no group of their own."""


@dataclass(frozen=True, slots=True)
class ScaleGroup:
    """Some channels along one axis.

    Attributes:
        axis: of the output without its leading axes of one, counted from the end.
        channels: their places along the axis.
        peak: the largest absolute value of float's.
        rms: of float's values over everything that was seen.
        judged: False: float's values never move, or are as good as zero.
    """

    axis: int
    channels: tuple[int, ...]
    peak: float
    rms: float
    judged: bool = True

    def take(self, output: NDArray[Any]) -> NDArray[Any]:
        """These channels of an output."""
        taken: NDArray[Any] = np.take(output, self.channels, axis=self.axis)
        return taken

    @property
    def name(self) -> str:
        """The channels as people write them: ``0-3``, ``4-83``, ``1, 5``."""
        runs: list[list[int]] = []
        for channel in self.channels:
            if runs and channel == runs[-1][1] + 1:
                runs[-1][1] = channel
            else:
                runs.append([channel, channel])
        words = [str(first) if first == last else f"{first}-{last}" for first, last in runs]
        return ", ".join(words if len(words) <= 4 else [*words[:3], f"{len(self.channels)} in all"])  # noqa: PLR2004


class ChannelScales:
    """Takes float's outputs, one by one, and finds the groups."""

    def __init__(self) -> None:
        self._shape: tuple[int, ...] | None = None
        self._fixed = True
        self._low: list[NDArray[np.float64]] = []
        self._high: list[NDArray[np.float64]] = []
        self._power: list[NDArray[np.float64]] = []
        self._seen = 0
        self._groups: list[ScaleGroup] | None = None

    def add(self, output: NDArray[Any]) -> None:
        """Take one output into account; one whose shape changes has no channels to compare."""
        if self._shape is None:
            self._shape = output.shape
        self._fixed = self._fixed and output.shape == self._shape
        self._groups = None
        if not self._fixed or not output.size:
            return
        values = output.astype(np.float64)
        first = not self._seen
        self._seen += 1
        for axis in range(output.ndim):
            others = tuple(one for one in range(output.ndim) if one != axis)
            low, high = values.min(axis=others), values.max(axis=others)
            power = np.square(values).sum(axis=others)
            if first:
                self._low.append(low)
                self._high.append(high)
                self._power.append(power)
            else:
                np.minimum(self._low[axis], low, out=self._low[axis])
                np.maximum(self._high[axis], high, out=self._high[axis])
                self._power[axis] += power

    @property
    def groups(self) -> Sequence[ScaleGroup]:
        """At least two groups, the largest scale first; empty: the output is judged as a whole."""
        if self._groups is None:
            self._groups = self._found() if self._fixed and self._seen else []
        return self._groups

    def _found(self) -> list[ScaleGroup]:
        best: list[ScaleGroup] = []
        apart = 1.0
        shape = self._shape or ()
        for axis, length in enumerate(shape):
            if not 2 <= length <= _LONGEST_AXIS:  # noqa: PLR2004  # channels to compare
                continue
            groups = self._along(axis)
            judged = [group for group in groups if group.judged]
            if len(judged) > 1 and (spread := judged[0].peak / judged[-1].peak) > apart:
                best, apart = groups, spread
        return best

    def _along(self, axis: int) -> list[ScaleGroup]:
        low, high = self._low[axis], self._high[axis]
        peaks = np.maximum(np.abs(low), np.abs(high))
        largest = float(peaks.max())
        fractions = (low >= 0.0) & (high <= 1.0)
        if fractions.all() or not (fractions & (high > low)).any() or largest < GAP:
            fractions = np.zeros(len(peaks), bool)
        still = (high == low) | (peaks <= NOTHING * largest)
        moving = np.flatnonzero(~still & ~fractions)
        order = moving[np.argsort(-peaks[moving], kind="stable")]
        cuts = np.flatnonzero(peaks[order][:-1] >= GAP * peaks[order][1:]) + 1
        parts = [*np.split(order, cuts), np.flatnonzero(fractions)]
        groups = [self._group(axis, part, judged=True) for part in parts[:-1] if len(part)]
        if groups and len(peaks) >= _LONG and len(groups[-1].channels) < _FEW * len(peaks):
            groups[-1] = replace(groups[-1], judged=len(groups) == 1)
        groups += [self._group(axis, part, judged=True) for part in parts[-1:] if len(part)]
        groups.sort(key=lambda group: -group.peak)
        quiet = np.flatnonzero(still & ~fractions)
        return [*groups, *([self._group(axis, quiet, judged=False)] if len(quiet) else [])]

    def _group(self, axis: int, channels: NDArray[np.intp], *, judged: bool) -> ScaleGroup:
        shape = self._shape or ()
        peaks = np.maximum(np.abs(self._low[axis]), np.abs(self._high[axis]))[channels]
        values = self._seen * int(np.prod(shape)) // shape[axis] * len(channels)
        rms = float(np.sqrt(self._power[axis][channels].sum() / max(values, 1)))
        places = tuple(sorted(channels.tolist()))
        moves = bool((self._high[axis][channels] > self._low[axis][channels]).any())
        return ScaleGroup(axis - len(shape), places, float(peaks.max()), rms, judged=judged and moves)
