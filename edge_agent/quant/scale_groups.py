"""Groups of an output's channels by scale, where one number over all channels would reflect the large ones only.

A detector's head has boxes in pixels beside scores in [0, 1]. An error that wipes out every score is a thousandth of
the boxes' power. So channels are grouped by similar scale, using float's own values, and each group is judged
separately. The worst one counts.

Rules for groups:

* The axis is the one along which peaks (largest absolute values) differ most, if channels separate along any axis.
* A gap separates groups: sorted by peak, neighbours :data:`GAP` apart belong to different groups. Peaks that spread
  without a gap, as in a spectrum, are one group.
* Channels that stay within [0, 1] form one group if all others are a gap above them: scores that are never high are
  not a scale of their own.

A group that is constant but for rounding, or whose values are too small to distinguish from rounding, cannot be judged.
It is reported and not judged. The same holds for a few of many features that hardly ever fire. int8's values for them
must still be small compared with the whole (:func:`judged_parts`), or a dead constant would pass. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

GAP = 10.0
"""Ratio of one group's smallest peak to the next one's largest. int8 with a common range costs a group 20 dB per such
gap: after two of them, the 40 to 50 dB of a sound tensor are near the 10 dB that the gate requires. In eight public
exports neighbours of one scale are at most 2.5 apart. Boxes and scores are 465 apart, and hidden and cell state of an
LSTM, in one output, 9.6."""
NOTHING = 1e-6
"""Share of the largest group's peak below which values are within the rounding of float32 sums."""
STILL = 1e-5
"""Share of a channel's own peak: a channel that moves by less is constant but for rounding. float32 sums of a thousand
terms are off by some 1e-6, and int8 has no steps for either."""
_LONGEST_AXIS = 65_536
_LONG, _FEW = 64, 1 / 16
"""On an axis this long, a smallest-scale group below this share of the channels is not judged if never negative."""


@dataclass(frozen=True, slots=True)
class ScaleGroup:
    """A group of channels along one axis.

    Attributes:
        axis: axis of the output without its leading axes of one, counted from the end.
        channels: places of the channels along the axis.
        peak: the largest absolute value of float.
        rms: RMS of float's values over all windows.
        why_not: why the group cannot be judged; empty if it is judged.
    """

    axis: int
    channels: tuple[int, ...]
    peak: float
    rms: float
    why_not: Literal["", "constant", "zero", "seldom"] = ""

    @property
    def judged(self) -> bool:
        """Whether the group can be judged."""
        return not self.why_not

    def take(self, output: NDArray[Any]) -> NDArray[Any]:
        """The group's channels of an output."""
        taken: NDArray[Any] = np.take(output, self.channels, axis=self.axis)
        return taken

    @property
    def name(self) -> str:
        """The channels in short form: ``0-3``, ``4-83``, ``1, 5``."""
        runs: list[list[int]] = []
        for channel in self.channels:
            if runs and channel == runs[-1][1] + 1:
                runs[-1][1] = channel
            else:
                runs.append([channel, channel])
        words = [str(first) if first == last else f"{first}-{last}" for first, last in runs]
        return ", ".join(words if len(words) <= 4 else [*words[:3], f"{len(self.channels)} in all"])  # noqa: PLR2004


class ChannelScales:
    """Adds up float's outputs, and finds the groups."""

    def __init__(self) -> None:
        self._shape: tuple[int, ...] | None = None
        self._fixed = True
        self._low: dict[int, NDArray[np.float64]] = {}
        self._high: dict[int, NDArray[np.float64]] = {}
        self._power: dict[int, NDArray[np.float64]] = {}
        self._seen = 0
        self._groups: list[ScaleGroup] | None = None

    def add(self, output: NDArray[Any]) -> None:
        """Add one output; if shapes change, there are no channels to compare."""
        if self._shape is None:
            self._shape = output.shape
        self._fixed = self._fixed and output.shape == self._shape
        self._groups = None
        if not self._fixed or not output.size:
            return
        values = output.astype(np.float64)
        self._seen += 1
        for axis, length in enumerate(output.shape):
            if not 2 <= length <= _LONGEST_AXIS:  # noqa: PLR2004  # channels to compare
                continue
            others = tuple(one for one in range(output.ndim) if one != axis)
            low, high = values.min(axis=others), values.max(axis=others)
            power = np.square(values).sum(axis=others)
            self._low[axis] = np.minimum(self._low.get(axis, low), low)
            self._high[axis] = np.maximum(self._high.get(axis, high), high)
            self._power[axis] = self._power.get(axis, 0.0) + power

    @property
    def groups(self) -> Sequence[ScaleGroup]:
        """The groups, the largest scale first; empty if the output is judged as a whole."""
        if self._groups is None:
            self._groups = self._found() if self._fixed and self._seen else []
        return self._groups

    def _found(self) -> list[ScaleGroup]:
        best: list[ScaleGroup] = []
        apart = 1.0
        for axis in self._low:
            groups = self._along(axis)
            spread = _spread(groups)
            if spread > apart:
                best, apart = groups, spread
        return best

    def _along(self, axis: int) -> list[ScaleGroup]:
        low, high = self._low[axis], self._high[axis]
        peaks = np.maximum(np.abs(low), np.abs(high))
        moves = high - low > STILL * peaks
        nothing = peaks <= NOTHING * float(peaks[moves].max(initial=0.0))
        moving = moves & ~nothing
        fractions = self._fractions(low, high, peaks, moving)
        rest = np.flatnonzero(moving & ~fractions)
        order = rest[np.argsort(-peaks[rest], kind="stable")]
        cuts = np.flatnonzero(peaks[order][:-1] >= GAP * peaks[order][1:]) + 1
        groups = [self._group(axis, part) for part in np.split(order, cuts) if len(part)]
        if fractions.any():
            groups.append(self._group(axis, np.flatnonzero(fractions)))
        groups.sort(key=lambda group: -group.peak)
        if len(groups) > 1 and self._hardly_fires(groups[-1], low, len(peaks)):
            groups[-1] = replace(groups[-1], why_not="seldom")
        if (constant := ~moves & ~nothing).any():
            groups.append(replace(self._group(axis, np.flatnonzero(constant)), why_not="constant"))
        if nothing.any():
            groups.append(replace(self._group(axis, np.flatnonzero(nothing)), why_not="zero"))
        return groups

    def _fractions(
        self,
        low: NDArray[np.float64],
        high: NDArray[np.float64],
        peaks: NDArray[np.float64],
        moving: NDArray[np.bool_],
    ) -> NDArray[np.bool_]:
        """Mask of the channels that are scores in [0, 1]; empty unless a gap lies between them and all others."""
        fractions = moving & (low >= 0.0) & (high <= 1.0)
        others = moving & ~fractions
        apart = others.any() and fractions.any() and peaks[others].min() >= GAP * peaks[fractions].max()
        return fractions if apart else np.zeros(len(peaks), bool)

    def _hardly_fires(self, group: ScaleGroup, low: NDArray[np.float64], length: int) -> bool:
        """Whether the group of smallest scale is a few of many features, none of them ever negative."""
        few = length >= _LONG and len(group.channels) < _FEW * length
        return few and bool((low[list(group.channels)] >= 0.0).all())

    def _group(self, axis: int, channels: NDArray[np.intp]) -> ScaleGroup:
        shape = self._shape or ()
        peaks = np.maximum(np.abs(self._low[axis]), np.abs(self._high[axis]))[channels]
        values = self._seen * int(np.prod(shape)) // shape[axis] * len(channels)
        rms = float(np.sqrt(self._power[axis][channels].sum() / max(values, 1)))
        return ScaleGroup(axis - len(shape), tuple(sorted(channels.tolist())), float(peaks.max()), rms)


def judged_parts(groups: Sequence[ScaleGroup]) -> list[ScaleGroup]:
    """The judged parts of an output: each group that can be judged, and if some cannot, also all channels together.

    Constant channels that lie a gap above all others are left out: the value that stands for minus infinity in a mask
    may be any other large number. Empty: the output is judged as a whole.
    """
    judged = [group for group in groups if group.judged]
    quiet = [group for group in groups if not group.judged and not _towers(group, judged)]
    if not judged or not quiet:
        return judged
    every = [*judged, *quiet]
    channels = sorted(channel for group in every for channel in group.channels)
    power = sum(group.rms**2 * len(group.channels) for group in every)
    peak = max(group.peak for group in every)
    return [*judged, ScaleGroup(judged[0].axis, tuple(channels), peak, (power / len(channels)) ** 0.5)]


def _towers(group: ScaleGroup, judged: Sequence[ScaleGroup]) -> bool:
    """Whether the group is a constant that would hide all others."""
    return group.why_not == "constant" and bool(judged) and group.peak >= GAP * max(one.peak for one in judged)


def _spread(groups: Sequence[ScaleGroup]) -> float:
    """The ratio between the groups' scales; 1 if the output is better judged as a whole.

    One group beside constant channels is enough, as the constants would count as signal that int8 keeps, even more so
    where they would hide the group.
    """
    judged = [group for group in groups if group.judged]
    if len(judged) > 1:
        return max(group.peak for group in judged) / min(group.peak for group in judged)
    constant = [group.peak for group in groups if group.why_not == "constant"]
    if not judged or not constant:
        return 1.0
    return max(max(constant) / judged[0].peak, 1.0 + NOTHING)
