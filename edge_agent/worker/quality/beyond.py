"""Finds held-out windows far outside the calibrated range, channel by channel. Pure; sees each window once.

``beyond_calibration``: some held-out windows lie far outside a channel's calibration values, so calibrated ranges clip
them. A few windows hardly change the share of values that ``sets_unlike`` checks, but they may be the very events that
the model is for: an impact, an alarm.

Values slightly outside are normal. Of 300 windows like the 200 of calibration, one or two exceed the largest
calibration value in each channel, whatever the distribution. A finding needs a value that is outside by more than half
the range's width, and by more than the tails of the calibration values predict. With exponential tails, the maximum of
the whole set lies ln 12 = 2.5 scales above the maximum of a typical twelfth (Gumbel 1958); three times that distance is
hardly ever exceeded. If barely more windows exceed a range than must by chance (of m windows like n others, m / (n + 1)
on each side), the value must be outside by a whole width. ``tests/bench/beyond.py`` counts how often ordinary data, and
a rare regime, produce a finding.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_agent.backends import Array, Signature
from edge_agent.worker.data.finding import Finding
from edge_agent.worker.data.seen import Reach

Numbers = NDArray[np.float64]
FAR = 0.5
"""The least distance of a value outside the range, in widths of the range."""
TAIL = 3.0
"""The same, in distances between the ends of the range and those of a typical twelfth of the windows."""
_STEP = 1 / 256
"""The least width of a range, as a share of its largest value: a constant that is rounded differently is a constant."""
_ROUND = 10
_PARTS = 12
_BY_CHANCE = 2.0
"""Fewer exceeding windows than this many times the number expected by chance (at least 1) count as few."""
_OUTSIDE = 0.05
"""Tolerance at each end, as a share of the range: as in ``sets_unlike``, rounding to 256 steps forgives some."""
_MOST_CHANNELS = 64
"""An axis up to this length may hold channels or features; a longer one is an axis of time or place."""


def channel_axis(shape: Sequence[int | None], channels: int) -> int | None:
    """The channel axis of an input; None: the input is treated as a whole.

    Args:
        shape: the input's shape, batch included; None for a dimension that is not fixed.
        channels: the number of channels, or 0 if unknown: then the shortest axis is assumed to be theirs.
    """
    if channels == 1:
        return None
    fixed = {axis: size for axis, size in enumerate(shape) if size is not None and 1 < size <= _MOST_CHANNELS}
    if (named := _named_axis(shape, channels)) is not None:
        return named
    return min(fixed, key=lambda axis: fixed[axis], default=None)


def _named_axis(shape: Sequence[int | None], channels: int) -> int | None:
    """The only axis whose length is the number of channels; None if there is none, or several."""
    fitting = [axis for axis, size in enumerate(shape) if size == channels]
    return fitting[0] if len(fitting) == 1 and channels > 1 else None


class InputReach:
    """Collects how far the float inputs of windows reach; each window is added once."""

    def __init__(self, info: Signature, channels: Callable[[str], list[str]], windows: int) -> None:
        """Start with nothing seen.

        Args:
            info: the model's signature.
            channels: returns the names of an input's channels; empty if they are unknown.
            windows: the number of windows to come.
        """
        self._windows = max(windows, 1)
        self._seen = 0
        self._axes: dict[str, int | None] = {}
        self._names: dict[str, list[str]] = {}
        for spec in info.inputs:
            names = channels(spec.name)
            self._axes[spec.name] = channel_axis(spec.shape, len(names))
            known = len(names) == 1 or _named_axis(spec.shape, len(names)) is not None
            self._names[spec.name] = names if known else []
        self._parts: dict[str, dict[int, tuple[Numbers, Numbers]]] = {}
        """Input → twelfth of the windows → lowest and highest of each channel."""

    def add(self, feeds: Mapping[str, Array]) -> None:
        """Add the next window: input → values."""
        part = self._seen * min(_PARTS, self._windows) // self._windows
        self._seen += 1
        for name, values in feeds.items():
            if values.dtype.kind == "f" and values.size:
                low, high = _ends(values, self._axes[name])
                parts = self._parts.setdefault(name, {})
                before = parts.get(part, (low, high))
                parts[part] = np.minimum(before[0], low), np.maximum(before[1], high)

    def found(self) -> dict[str, Reach]:
        """Input → its reach."""
        return {name: self._reach(name, list(parts.values())) for name, parts in self._parts.items()}

    def _reach(self, name: str, parts: Sequence[tuple[Numbers, Numbers]]) -> Reach:
        low, high = (np.stack(ends) for ends in zip(*parts, strict=True))
        return Reach(
            low=low.min(axis=0).tolist(),
            high=high.max(axis=0).tolist(),
            part_low=np.median(low, axis=0).tolist(),
            part_high=np.median(high, axis=0).tolist(),
            axis=self._axes[name],
            names=self._names[name],
        )


class BeyondCalibration:
    """Compares windows with the calibrated range."""

    def __init__(self, seen: Mapping[str, Reach], calibration: int, what: str) -> None:
        """Start with no window.

        Args:
            seen: tensor → its reach in the calibration windows.
            calibration: the number of calibration windows.
            what: the kind of the tensors, ``input`` or ``output``.
        """
        self._tensors = {name: _Tensor(f"{what} {name!r}", reach) for name, reach in seen.items()}
        self._calibration = calibration
        self._windows = 0

    def add(self, values: Mapping[str, Array]) -> None:
        """Add one held-out window: tensor → its values; unknown tensors are ignored."""
        self._windows += 1
        for name, tensor in self._tensors.items():
            tensor.add(values[name])

    def findings(self, *, rows: bool) -> list[Finding]:
        """One finding per tensor that leaves its reach; ``rows``: windows are rows of an operator's file."""
        by_chance = 2 * self._windows / (self._calibration + 1)
        found = [tensor.sentence(self._windows, by_chance) for tensor in self._tensors.values()]
        how = "give calibration rows with such values" if rows else "capture longer, over all real use"
        return [Finding("beyond_calibration", f"{text}; {how}", refuse=False) for text in found if text]


class _Tensor:
    """One tensor; arrays are ``[channels]``."""

    def __init__(self, name: str, reach: Reach) -> None:
        self._name = name
        self._reach = reach
        self._known_low, self._known_high = np.array(reach.low), np.array(reach.high)
        self._width = self._known_high - self._known_low
        self._low, self._high = self._known_low.copy(), self._known_high.copy()
        largest = np.maximum(np.abs(self._known_low), np.abs(self._known_high))
        self._least = np.maximum(self._width, _STEP * largest)
        tails = self._known_low - np.array(reach.part_low), self._known_high - np.array(reach.part_high)
        self._tail_low, self._tail_high = (TAIL * np.abs(tail) for tail in tails)
        self._outside = np.zeros(len(reach.low), np.int64)

    def add(self, values: Array) -> None:
        if not values.size:
            return
        low, high = _ends(values, self._reach.axis)
        self._low, self._high = np.minimum(self._low, low), np.maximum(self._high, high)
        slack = _OUTSIDE * self._least
        self._outside += (low < self._known_low - slack) | (high > self._known_high + slack)

    def sentence(self, windows: int, by_chance: float) -> str:
        """The finding's sentence, or ""; ``by_chance``: the number of windows expected to exceed a range by chance."""
        far = self._far(by_chance)
        if not far:
            return ""
        worst = max(far, key=lambda place: (self._times(place), self._outside[place]))
        times = self._times(worst)
        text = (
            f"{self._outside[worst]} of {windows} held-out windows exceed the calibrated range of "
            f"{self._called(worst)}: [{self._low[worst]:.4g}, {self._high[worst]:.4g}] against "
            f"[{self._known_low[worst]:.4g}, {self._known_high[worst]:.4g}]"
        )
        text += f", {times:.{1 if times < _ROUND else 0}f} times its range" if math.isfinite(times) else ""
        text += ": static int8 clips these values"
        return text + ("" if len(far) == 1 else f"; {len(far)} channels are affected")

    def _far(self, by_chance: float) -> list[int]:
        """The channels that reach farther outside than chance explains."""
        few = self._outside < _BY_CHANCE * max(by_chance, 1.0)
        below, above = self._known_low - self._low, self._high - self._known_high
        least = np.where(few, 2 * FAR, FAR) * self._least
        far = (below > np.maximum(least, self._tail_low)) | (above > np.maximum(least, self._tail_high))
        places: list[int] = np.flatnonzero(far).tolist()
        return places

    def _times(self, place: int) -> float:
        width = float(self._width[place])
        return float(self._high[place] - self._low[place]) / width if width else math.inf

    def _called(self, place: int) -> str:
        if self._reach.names:
            return f"channel {self._reach.names[place]!r}"
        if len(self._width) == 1:
            return self._name
        return f"channel {place} of {self._name}"


def _ends(values: Array, axis: int | None) -> tuple[Numbers, Numbers]:
    """Smallest and largest value of each channel, or of the whole tensor."""
    others = tuple(place for place in range(values.ndim) if place != axis)
    low, high = values.min(axis=others), values.max(axis=others)
    return np.atleast_1d(low).astype(np.float64), np.atleast_1d(high).astype(np.float64)
