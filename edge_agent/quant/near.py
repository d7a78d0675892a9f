"""Detects where int8 is undecided, unless float itself is nearly undecided there. Pure.

An int8 value exactly at a threshold, or two equal largest scores, is no decision: dead outputs have such values, and
any answer read from them is chance or the order of classes. Where float itself is within rounding of such a point,
int8 may land on it by rounding, so it does not count.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

NEAR = 1 / 64
"""Share of the range of float's values that counts as near: four steps of int8."""


class ValueRange:
    """The range of float's values, for each element or for the whole output."""

    def __init__(self) -> None:
        self._low: NDArray[np.float64] | None = None
        self._high: NDArray[np.float64] | None = None

    def add(self, values: NDArray[Any]) -> None:
        """Add values: element by element, or as a whole once their shape changes."""
        low = high = np.asarray(values, np.float64)
        if self._low is not None and self._high is not None:
            if low.shape != self._low.shape:
                low, self._low = (one.min(initial=np.inf) for one in (low, self._low))
                high, self._high = (one.max(initial=-np.inf) for one in (high, self._high))
            low, high = np.minimum(self._low, low), np.maximum(self._high, high)
        self._low, self._high = np.asarray(low), np.asarray(high)

    def add_whole(self, values: NDArray[Any]) -> None:
        """Add values that share one range."""
        if values.size:
            self.add(np.min(values))
            self.add(np.max(values))

    @property
    def near(self) -> NDArray[np.float64]:
        """Differences that rounding may cancel; zero before any value was added."""
        return np.zeros(()) if self._low is None or self._high is None else NEAR * (self._high - self._low)


def at_threshold(
    wanted: NDArray[Any], got: NDArray[Any], threshold: float, near: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Mask of int8 values exactly at the threshold where float is not near it."""
    undecided: NDArray[np.bool_] = (got == threshold) & (np.abs(wanted - threshold) > near)
    return undecided


def tied(wanted: NDArray[Any], got: NDArray[Any], near: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mask of places where int8's largest score along the first axis occurs twice and float has a clear winner."""
    torn = np.asarray(np.count_nonzero(got == got.max(axis=0), axis=0) > 1)
    if torn.any():  # rare, so only these places are examined
        less, surer = np.partition(np.asarray(wanted[:, torn], np.float64), [-2, -1], axis=0)[-2:]
        torn[torn] = surer - less > near
    return torn
