"""Held-out windows that go beyond what calibration has seen, channel by channel. Pure; sees each window once.

``beyond_calibration``: some held-out windows leave the range of a channel's calibration values far: ranges that come
from there clip them. A few windows are no matter to the share of values that ``sets_unlike`` goes by, and they may be
just the ones that the model is for: an impact, an alarm.

Slightly beyond is no news: of 300 windows like the 200 that calibration has seen, one or two exceed the largest of
these in each channel, whatever the distribution. So something is said only where a value is farther outside than half
of the range is wide, and than the tails of calibration's own values lead to expect: if these end like an exponential,
the largest of a set is ln 12 = 2.5 of its scales above that of a usual twelfth (Gumbel 1958), and that distance, times
three, is hardly ever exceeded. Where few more windows exceed a range than must by chance (of m windows like n others
m / (n + 1) on each side), it must be a whole width. How often something is said of ordinary data, and of a
rare regime, is counted by ``tests/bench/beyond.py``.
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
"""How far outside a value must be, in widths of the range."""
TAIL = 3.0
"""The same in distances between the ends of the range and those of a usual twelfth of the windows."""
_STEP = 1 / 256
"""Of its largest value, the least width of a range that counts: a constant that is rounded differently is one."""
_ROUND = 10
_PARTS = 12
_BY_CHANCE = 2.0
"""Windows, times those that must exceed a range by chance or 1, below which so many are few."""
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
    if (named := _named_axis(shape, channels)) is not None:
        return named
    return min(fixed, key=lambda axis: fixed[axis], default=None)


def _named_axis(shape: Sequence[int | None], channels: int) -> int | None:
    """The one axis that is as long as there are channels; None: there is none, or several."""
    fitting = [axis for axis, size in enumerate(shape) if size == channels]
    return fitting[0] if len(fitting) == 1 and channels > 1 else None


class InputReach:
    """How far the float inputs of the windows reach that it is shown, each once."""

    def __init__(self, info: Signature, channels: Callable[[str], list[str]], windows: int) -> None:
        """Start with nothing seen.

        Args:
            info: whose inputs these are.
            channels: the names of an input's channels, empty if they are unknown.
            windows: how many there will be.
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
        """Look at the next window: input → what it is fed."""
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
    """Holds windows against what calibration has seen."""

    def __init__(self, seen: Mapping[str, Reach], calibration: int, what: str) -> None:
        """Start with no window.

        Args:
            seen: tensor → its reach in the calibration windows.
            calibration: how many these are.
            what: what the tensors are, ``input`` or ``output``.
        """
        self._tensors = {name: _Tensor(f"{what} {name!r}", reach) for name, reach in seen.items()}
        self._calibration = calibration
        self._windows = 0

    def add(self, values: Mapping[str, Array]) -> None:
        """Look at one held-out window: tensor → its values; of others nothing is said."""
        self._windows += 1
        for name, tensor in self._tensors.items():
            tensor.add(values[name])

    def findings(self, *, rows: bool) -> list[Finding]:
        """One finding for each tensor that leaves its reach; ``rows``: they are rows of an operator's file."""
        by_chance = 2 * self._windows / (self._calibration + 1)
        found = [tensor.said(self._windows, by_chance) for tensor in self._tensors.values()]
        how = "give calibration rows with such values" if rows else "capture longer, in all real use"
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

    def said(self, windows: int, by_chance: float) -> str:
        """What there is to say, or nothing; ``by_chance``: how many of the windows exceed a range in any case."""
        far = self._far(by_chance)
        if not far:
            return ""
        worst = max(far, key=lambda place: (self._times(place), self._outside[place]))
        times = self._times(worst)
        text = (
            f"{self._outside[worst]} of {windows} held-out windows exceed what calibration has seen in "
            f"{self._called(worst)}: [{self._low[worst]:.4g}, {self._high[worst]:.4g}] against "
            f"[{self._known_low[worst]:.4g}, {self._known_high[worst]:.4g}]"
        )
        text += f", {times:.{1 if times < _ROUND else 0}f} times its range" if math.isfinite(times) else ""
        text += ": static int8 clips there"
        return text + ("" if len(far) == 1 else f"; so it is in {len(far)} channels")

    def _far(self, by_chance: float) -> list[int]:
        """The channels that go so far that it is no chance."""
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
    """Smallest and largest value of each channel, or of all."""
    others = tuple(place for place in range(values.ndim) if place != axis)
    low, high = values.min(axis=others), values.max(axis=others)
    return np.atleast_1d(low).astype(np.float64), np.atleast_1d(high).astype(np.float64)
