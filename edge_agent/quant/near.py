"""Where int8 has not decided, and whether float's own value is an excuse. Pure.

An int8 value exactly at a threshold, or two largest scores that are equal, is no decision: dead outputs come to lie
there, and what is read off them is chance or the order of classes. Where float itself is as near as rounding reaches,
it may lead there, and nothing is said by it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

NEAR = 1 / 64
"""Of the range of float's values: four steps of int8."""


class ValueRange:
    """The range of float's values, of all of an output or of each element."""

    def __init__(self) -> None:
        self._low: NDArray[np.float64] | None = None
        self._high: NDArray[np.float64] | None = None

    def add(self, values: NDArray[Any]) -> None:
        """Take values into account: element by element, or as a whole where their shape changes."""
        low = high = np.asarray(values, np.float64)
        if self._low is not None and self._high is not None:
            if low.shape != self._low.shape:
                low, self._low = (one.min(initial=np.inf) for one in (low, self._low))
                high, self._high = (one.max(initial=-np.inf) for one in (high, self._high))
            low, high = np.minimum(self._low, low), np.maximum(self._high, high)
        self._low, self._high = np.asarray(low), np.asarray(high)

    def add_whole(self, values: NDArray[Any]) -> None:
        """Take values into account that share one range."""
        if values.size:
            self.add(np.min(values))
            self.add(np.max(values))

    @property
    def near(self) -> NDArray[np.float64]:
        """Differences that rounding may make nothing of; nothing where nothing was seen."""
        return np.zeros(()) if self._low is None or self._high is None else NEAR * (self._high - self._low)


def at_threshold(
    wanted: NDArray[Any], got: NDArray[Any], threshold: float, near: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Where int8's value is the threshold itself though float's is not near it."""
    undecided: NDArray[np.bool_] = (got == threshold) & (np.abs(wanted - threshold) > near)
    return undecided


def tied(wanted: NDArray[Any], got: NDArray[Any], near: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where int8's largest score, along the first axis, is there twice though float is not torn between two."""
    torn = np.asarray(np.count_nonzero(got == got.max(axis=0), axis=0) > 1)
    if torn.any():  # which is seldom, so only these places are looked at closely
        less, surer = np.partition(np.asarray(wanted[:, torn], np.float64), [-2, -1], axis=0)[-2:]
        torn[torn] = surer - less > near
    return torn
