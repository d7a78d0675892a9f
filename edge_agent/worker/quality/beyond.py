"""Held-out windows that go beyond what calibration has seen, channel by channel. Pure; sees each window once.

``beyond_calibration``: some held-out windows leave the range of a channel's calibration values far: ranges that come
from there clip them. A few windows are no matter to the share of values that ``sets_unlike`` goes by, and they may be
just the ones that the model is for: an impact, an alarm.

Slightly beyond is no news: of 300 windows like the 200 that calibration has seen, one or two exceed the largest of
these in each channel, whatever the distribution. So something is said only where a value is farther outside than half
of the range is wide; how often that happens in ordinary data is measured in ``tests/bench/beyond.py``.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_agent.backends import Array, Signature
from edge_agent.worker.data.dataset import DataSet, Row
from edge_agent.worker.data.finding import Finding
from edge_agent.worker.data.seen import Reach

Numbers = NDArray[np.float64]
FAR = 0.5
"""How far outside a value must be, in widths of the range."""
_OUTSIDE = 0.05
"""How far outside a window counts: rounding to 256 steps forgives some, as of ``sets_unlike``."""
_MOST_CHANNELS = 64
"""A shorter axis than this may be one of channels or features; a longer one is one of time or place."""


def channel_axis(shape: Sequence[int | None], channels: int) -> int | None:
    """The axis of an input's channels; None: it is looked at as a whole.

    Args:
        shape: of the input, batch included; None for a dimension that is not fixed.
        channels: how many it is made of, where that is known, else 0: then the shortest axis is taken for theirs.
    """
    if channels == 1:
        return None
    fixed = {axis: size for axis, size in enumerate(shape) if size is not None and 1 < size <= _MOST_CHANNELS}
    named = [axis for axis, size in fixed.items() if size == channels]
    if len(named) == 1:
        return named[0]
    return min(fixed, key=lambda axis: fixed[axis], default=None)


class InputReach:
    """How far the float inputs of the windows reach that it is shown; showing one twice changes nothing."""

    def __init__(self, info: Signature, data: DataSet) -> None:
        """Start with nothing seen of the inputs of ``info``, which ``data`` feeds."""
        self._names = {spec.name: data.channels(spec.name) for spec in info.inputs}
        self._axes = {spec.name: channel_axis(spec.shape, len(self._names[spec.name])) for spec in info.inputs}
        self._low: dict[str, Numbers] = {}
        self._high: dict[str, Numbers] = {}

    def add(self, row: Row) -> None:
        """Look at one window."""
        for name, values in row.feeds.items():
            if values.dtype.kind != "f" or not values.size:
                continue
            low, high = _ends(values, self._axes[name])
            self._low[name] = np.minimum(self._low.get(name, low), low)
            self._high[name] = np.maximum(self._high.get(name, high), high)

    def found(self) -> dict[str, Reach]:
        """Input → its reach."""
        return {
            name: Reach(low.tolist(), self._high[name].tolist(), self._axes[name], self._told(name, len(low)))
            for name, low in self._low.items()
        }

    def _told(self, name: str, count: int) -> list[str]:
        return self._names[name] if len(self._names[name]) == count else []


class BeyondCalibration:
    """Holds windows against what calibration has seen."""

    def __init__(self, seen: Mapping[str, Reach]) -> None:
        """Start with no window; ``seen``: tensor → its reach in the calibration windows."""
        self._tensors = {name: _Tensor(name, reach) for name, reach in seen.items()}
        self._windows = 0

    def add(self, row: Row) -> None:
        """Look at one held-out window."""
        self._windows += 1
        for name, tensor in self._tensors.items():
            tensor.add(row.feeds[name])

    def findings(self, *, rows: bool) -> list[Finding]:
        """One finding for each input that leaves its reach; ``rows``: they are rows of an operator's file."""
        found = [tensor.said(self._windows) for tensor in self._tensors.values()]
        how = "give calibration rows with such values" if rows else "capture longer, in all real use"
        return [Finding("beyond_calibration", f"{text}; {how}", refuse=False) for text in found if text]


class _Tensor:
    """One input; arrays are ``[channels]``."""

    def __init__(self, name: str, reach: Reach) -> None:
        self._name = name
        self._reach = reach
        self._known_low, self._known_high = np.array(reach.low), np.array(reach.high)
        self._width = self._known_high - self._known_low
        self._low, self._high = self._known_low.copy(), self._known_high.copy()
        self._outside = np.zeros(len(reach.low), np.int64)

    def add(self, values: Array) -> None:
        if not values.size:
            return
        low, high = _ends(values, self._reach.axis)
        self._low, self._high = np.minimum(self._low, low), np.maximum(self._high, high)
        slack = _OUTSIDE * self._width
        self._outside += (low < self._known_low - slack) | (high > self._known_high + slack)

    def said(self, windows: int) -> str:
        """What there is to say, or nothing."""
        beyond = np.maximum(self._known_low - self._low, self._high - self._known_high)
        far = np.flatnonzero(beyond > FAR * self._width)
        if not far.size:
            return ""
        worst = max(far.tolist(), key=lambda place: (self._times(place), self._outside[place]))
        low, high = float(self._known_low[worst]), float(self._known_high[worst])
        text = f"{self._outside[worst]} of {windows} held-out windows exceed what calibration has seen in "
        text += (
            f"{self._called(worst)}: [{self._low[worst]:.4g}, {self._high[worst]:.4g}] against [{low:.4g}, {high:.4g}]"
        )
        if math.isfinite(times := self._times(worst)):
            text += f", {times:.2g} times its range"
        others = f"; so do {far.size - 1} other channels" if far.size > 1 else ""
        return f"{text}: static int8 clips there{others}"

    def _times(self, place: int) -> float:
        width = float(self._width[place])
        return float(self._high[place] - self._low[place]) / width if width else math.inf

    def _called(self, place: int) -> str:
        if self._reach.names:
            return f"channel {self._reach.names[place]!r}"
        if len(self._width) == 1:
            return f"input {self._name!r}"
        return f"channel {place} of input {self._name!r}"


def _ends(values: Array, axis: int | None) -> tuple[Numbers, Numbers]:
    """Smallest and largest value of each channel, or of all."""
    others = tuple(place for place in range(values.ndim) if place != axis)
    low, high = values.min(axis=others), values.max(axis=others)
    return np.atleast_1d(low).astype(np.float64), np.atleast_1d(high).astype(np.float64)
