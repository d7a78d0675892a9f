"""One histogram per tensor, filled in one pass, and the choice of tensors that need a second pass.

Memory is one fixed-size histogram per tensor, whatever the number of samples. The values of small tensors are buffered
until a few thousand can be counted at once (32 KB per tensor, 4 MB for all). Counts do not depend on batches, but each
call costs as much as the counting.

A single outlier makes a tensor's bins so wide that a range chosen inside spans only a few of them. A second pass then
counts that range with finer bins.

Counting every value of a large net takes longer than running it. A sample of the common values is sufficient
(:mod:`.sampling`).

Some tensors have no range, or none that int8 could use (:mod:`.fitness`). They are reported, not refused: the caller
knows whether the data or the model is the cause.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_agent.backends import Range
from edge_agent.calibration import find_range
from edge_agent.calibration.fitness import NOT_FINITE, why_unfit
from edge_agent.calibration.histogram import Histogram
from edge_agent.calibration.sampling import Sampler
from edge_agent.errors import Refusal

FEWEST_BINS = 256
"""One bin for each level of an int8 grid."""
_COUNTED_TOGETHER = 8192
_WAITING_AT_MOST = 2**20


class Observer:
    """Observes the tensors ``names``; in large ones it counts one in ``one_in`` of the common values."""

    def __init__(self, names: Iterable[str], one_in: int = 1) -> None:
        self._histograms: dict[str, Histogram] = {name: Histogram() for name in names}
        self._waiting: dict[str, NDArray[np.float32]] = {}
        self._waiting_values = dict.fromkeys(self._histograms, 0)
        self._together = min(_COUNTED_TOGETHER, _WAITING_AT_MOST // max(len(self._histograms), 1))
        self._samplers = {name: Sampler(name, one_in) for name in self._histograms} if one_in > 1 else {}
        self._not_finite: set[str] = set()

    @property
    def histograms(self) -> dict[str, Histogram]:
        """Histogram of all values of each finite tensor, by name, in the order of ``names``."""
        for name in self._histograms:
            self._count_waiting(name)
        return {name: one for name, one in self._histograms.items() if name not in self._not_finite}

    def unfit(self) -> dict[str, str]:
        """Return tensor → reason, for the tensors that no int8 grid can represent, judging by the values so far."""
        known = self.histograms
        reasons = {name: why_unfit(known[name]) if name in known else NOT_FINITE for name in self._histograms}
        return {name: reason for name, reason in reasons.items() if reason}

    def add(self, name: str, array: ArrayLike) -> None:
        """Count one sample's value of a tensor; in the second pass only the values in the requested range."""
        if name in self._not_finite:
            return
        values = np.asarray(array)
        if values.size >= self._together or values.dtype != np.float32:
            self._count(name, values)
            return
        if self._waiting_values[name] + values.size > self._together:
            self._count_waiting(name)
        first = self._waiting_values[name]
        waiting = self._waiting.get(name)
        if waiting is None:
            waiting = self._waiting[name] = np.empty(self._together, np.float32)
        waiting[first : first + values.size] = values.reshape(-1)
        self._waiting_values[name] += values.size

    def _count_waiting(self, name: str) -> None:
        if self._waiting_values[name]:
            self._count(name, self._waiting[name][: self._waiting_values[name]])
            self._waiting_values[name] = 0

    def _count(self, name: str, values: NDArray[Any]) -> None:
        histogram, sampler = self._histograms[name], self._samplers.get(name)
        sampled = sampler.draw(values, histogram) if sampler is not None and values.dtype == np.float32 else None
        try:
            histogram.finest.add(values, sampled)
        except Refusal:
            self._not_finite.add(name)

    def ranges(self, names: Iterable[str], methods: Iterable[str], *, symmetric: bool) -> dict[str, dict[str, Range]]:
        """Return method → tensor → current range, for those of ``names`` that have one."""
        histograms = self.histograms
        listed = [name for name in names if name in histograms and histograms[name].total]
        return {
            method: {name: find_range(method, histograms[name], symmetric=symmetric) for name in listed}
            for method in methods
        }

    def too_coarse(self, ranges: Mapping[str, Mapping[str, Range]]) -> Mapping[str, Range]:
        """Return the tensors for which a method's range spans too few bins, with the widest such range."""
        coarse: dict[str, Range] = {}
        histograms = self.histograms
        for chosen in ranges.values():
            for name, range_ in chosen.items():
                histogram, low, high = histograms[name], range_.low, range_.high
                if histogram.bins_used(low, high) < FEWEST_BINS and histogram.can_focus(low, high):
                    known = coarse.get(name, range_)
                    coarse[name] = Range(min(known.low, low), max(known.high, high))
        return coarse

    def second_pass(self, name: str, low: float, high: float) -> None:
        """Make :meth:`add` count this tensor's values in [low, high] with finer bins; add the same samples again."""
        self.histograms[name].focus(low, high)
